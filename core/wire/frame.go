package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// Version is the first byte of every frame that this package writes, and the
// only one that it reads.
const Version = 2

const checksumBytes = 4

// FrameBytes is what a frame adds to its payload.
const FrameBytes = 1 + checksumBytes

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewFrame returns a Coder that appends a frame to dst; Seal ends the frame.
func NewFrame(dst []byte) Coder {
	return Coder{buf: append(dst, Version), start: len(dst), framed: true}
}

// SealFor is Seal for a frame that is worth something only in one place, such as
// under a key: OpenFrameFor refuses it anywhere else.
func (c *Coder) SealFor(place string) []byte {
	end := len(c.buf)
	c.buf = append(c.buf, place...) // for the checksum alone
	sum := crc32.Checksum(c.buf[c.start:], castagnoli)
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
// b that is no intact frame of this Version gives a Coder with the error
// ErrTruncated, ErrChecksum or ErrVersion, which reads nothing.
func OpenFrame(b []byte) Coder { return OpenFrameFor(b, "") }

// OpenFrameFor is OpenFrame for what SealFor made for the place.
func OpenFrameFor(b []byte, place string) Coder {
	c := Coder{buf: b, decoding: true}
	if len(b) < FrameBytes {
		c.fail(ErrTruncated, "frame bytes", uint64(len(b)), FrameBytes)
		return c
	}
	end := len(b) - checksumBytes
	c.buf = b[:end]
	// The checksum comes first: a damaged version byte is damage, not a version.
	sum := crc32.Update(crc32.Checksum(c.buf, castagnoli), castagnoli, []byte(place))
	if sum != binary.LittleEndian.Uint32(b[end:]) {
		c.failAt(end, ErrChecksum, "frame", 0, 0)
		return c
	}
	if b[0] != Version {
		c.fail(ErrVersion, "frame", uint64(b[0]), Version)
		return c
	}
	c.off = 1
	return c
}
