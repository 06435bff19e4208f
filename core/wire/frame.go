package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// The first byte of every frame that this package writes, and the only one that it
// reads: of a message, of a durable record, and of a record of a backup. Each changes by
// itself, since a disk outlives a release, and a backup a cluster, and a message neither.
// Those of backups are counted from 64 and those of records from 128, so that none meets
// another.
const (
	MessageVersion = 9
	BackupVersion  = 64 + 1
	RecordVersion  = 128 + 7
)

const checksumBytes = 4

// FrameBytes is what a frame adds to its payload.
const FrameBytes = 1 + checksumBytes

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewFrame returns a Coder that appends the frame of a message to dst; Seal ends it.
func NewFrame(dst []byte) Coder { return newFrame(dst, MessageVersion) }

// NewRecord returns a Coder that appends the frame of a durable record to dst;
// SealFor ends it.
func NewRecord(dst []byte) Coder { return newFrame(dst, RecordVersion) }

// NewBackup returns a Coder that appends the frame of a backup's record to dst; Seal
// ends it.
func NewBackup(dst []byte) Coder { return newFrame(dst, BackupVersion) }

func newFrame(dst []byte, version byte) Coder {
	return Coder{buf: append(dst, version), start: len(dst), summed: len(dst), framed: true}
}

// Aside takes the large strings of a frame, so that they need not be copied into it.
type Aside interface {
	// LeaveAside notes a string that belongs behind the first at bytes of what Seal will
	// return, and returns crc32.Update of the sum by it, with the table of Castagnoli.
	LeaveAside(at int, s string, sum uint32) uint32
}

// AsideBytesMin is how long a string must be to be left aside: less is copied sooner than
// noted.
const AsideBytesMin = 16 << 10

// NewFrameAside is NewFrame for a frame whose strings of at least AsideBytesMin are left
// aside. What Seal returns lacks them.
func NewFrameAside(dst []byte, a Aside) Coder {
	c := NewFrame(dst)
	c.aside = a
	return c
}

func (c *Coder) leaveAside(s string) {
	c.sum = crc32.Update(c.sum, castagnoli, c.buf[c.summed:])
	c.summed = len(c.buf)
	c.sum = c.aside.LeaveAside(c.summed, s, c.sum)
}

// SealFor is Seal for a record, which is worth something only under its key:
// OpenRecord refuses it under any other.
func (c *Coder) SealFor(key string) []byte {
	end := len(c.buf)
	c.buf = append(c.buf, key...) // for the checksum alone
	sum := crc32.Update(c.sum, castagnoli, c.buf[c.summed:])
	return binary.LittleEndian.AppendUint32(c.buf[:end], sum)
}

// Seal ends what NewFrame or NewEncoder began, and returns dst with it appended.
// The Coder must not be used after that. It does not look at Err.
func (c *Coder) Seal() []byte {
	if !c.framed {
		return c.buf
	}
	return c.SealFor("")
}

// OpenFrame returns a Coder that reads the payload of the frame b, all of it. A
// b that is no intact frame of a message, of MessageVersion, gives a Coder with the
// error ErrTruncated, ErrChecksum or ErrVersion, which reads nothing.
func OpenFrame(b []byte) Coder { return open(b, MessageVersion, nil) }

// OpenFrameShared is OpenFrame for a b that nobody changes any more. The text is the same
// bytes. A string that is most of them is not copied, but a part of the text: see IsMost.
func OpenFrameShared(b []byte, text string) Coder {
	c := OpenFrame(b)
	c.text = text
	return c
}

// IsMost tells whether n bytes are fifteen sixteenths of a frame, or more: then they may keep
// all of its memory.
func IsMost(n, frameBytes int) bool { return n > 0 && n >= frameBytes-frameBytes/16 }

// OpenRecord is OpenFrame for a durable record, of RecordVersion, that stood under
// that key. The Coder uses the memory of before again: a restart reads millions.
func (c *Coder) OpenRecord(record, key string) {
	b := append(append(c.buf[:0], record...), key...)
	*c = open(b[:len(record)], RecordVersion, b[len(record):])
}

// OpenBackup is OpenFrame for a record of a backup, of BackupVersion.
func OpenBackup(b []byte) Coder { return open(b, BackupVersion, nil) }

// open opens the frame b, of whose checksum a key is a part.
func open(b []byte, version byte, key []byte) Coder {
	c := Coder{buf: b, decoding: true}
	if len(b) < FrameBytes {
		c.fail(ErrTruncated, "frame bytes", uint64(len(b)), FrameBytes)
		return c
	}
	end := len(b) - checksumBytes
	c.buf = b[:end]
	// The checksum comes first: a damaged version byte is damage, not a version.
	sum := crc32.Update(crc32.Checksum(c.buf, castagnoli), castagnoli, key)
	if sum != binary.LittleEndian.Uint32(b[end:]) {
		c.failAt(end, ErrChecksum, "frame", 0, 0)
		return c
	}
	if b[0] != version {
		c.fail(ErrVersion, "frame", uint64(b[0]), uint64(version))
		return c
	}
	c.off = 1
	return c
}
