package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path"
	"slices"

	"gtstore/core"
)

// The engine's logs are blocks of chunks. Each chunk that engineFormat writes has a header:
// checksum (4 bytes), length (2), kind (1), number of the log (4), and how far the log was
// synced when the chunk was written (8).
const (
	logBlock     = 32 << 10
	chunkHeader  = 19
	chunkKindMin = 9
	chunkKindMax = 12
	closedKind   = 5 // of the mark with which a log ends that was closed: all zero but for that, and the number after the log's
)

// checkLogs returns an error if a log of the engine cannot be read, or one that matches
// core.ErrDamaged if what was durable in one is not there. The engine itself looks for signs
// of that only from the next block on. So it takes damage in the last block of a log for the
// torn end that a power cut leaves, and drops what comes after it without a word.
//
// That is noticed only where a later chunk tells how far the log was synced: not in the last
// batches, nor in the log with which an engine begins, and of a log whose batches go over
// blocks the engine notes less than it has synced.
func (d *directory) checkLogs() error {
	for name, err := range d.logDamage() {
		return fmt.Errorf("disk: %s: the log %s: %w", d.name, name, err)
	}
	return nil
}

// logDamage yields the logs that are damaged or gone, with what is wrong, and those that
// cannot be read.
func (d *directory) logDamage() func(yield func(name string, err error) bool) {
	return func(yield func(string, error) bool) {
		names, err := d.fs.List(d.path(dataDir))
		if err != nil {
			return // there is no engine yet, or it will say so
		}
		needed, err := d.neededLogs()
		if err != nil && !yield(path.Join(dataDir, logListFile), err) {
			return
		}
		for _, n := range needed {
			names = append(names, logName(n))
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			number, isLog := logNumber(name)
			if !isLog {
				continue
			}
			err := d.checkLog(name, number, slices.Contains(needed, uint64(number)))
			if err != nil && !yield(path.Join(dataDir, name), err) {
				return
			}
		}
	}
}

// checkLog checks one log, of which the beginning was durable if it is needed.
func (d *directory) checkLog(name string, number uint32, needed bool) error {
	text, err := d.read(d.inData(name))
	if errors.Is(err, os.ErrNotExist) {
		if needed {
			return fmt.Errorf("%w: it is gone, and what was durable in it is nowhere else", core.ErrDamaged)
		}
		return nil
	}
	if err != nil {
		return err
	}
	at, damaged := damageIn(text, number)
	if damaged || needed && !hasBegun(text, number) {
		return fmt.Errorf("%w at byte %d: what stood there was durable", core.ErrDamaged, at)
	}
	return nil
}

// closingMark is that with which the log of that number ends when it is closed.
func closingMark(number uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{6: closedKind}, number+1)
}

// hasBegun tells whether the log of that number has its beginning, which is its end if nothing
// was written to it.
func hasBegun(log []byte, number uint32) bool {
	_, _, whole := chunkAt(log, 0, number)
	return whole || bytes.HasPrefix(log, closingMark(number))
}

// damageIn finds where the log of that number is not as it was written, though a later
// chunk says that it was synced beyond there.
func damageIn(log []byte, number uint32) (at int, damaged bool) {
	closed := closingMark(number)
	for at < len(log) {
		if left := logBlock - at%logBlock; left < chunkHeader && isZero(log[at:min(at+left, len(log))]) {
			at += left // no chunk fits
			continue
		}
		if bytes.HasPrefix(log[at:], closed) {
			return 0, false
		}
		size, _, whole := chunkAt(log, at, number)
		if !whole {
			break
		}
		at += size
	}
	for next := at + 1; next+chunkHeader <= len(log); next++ {
		if _, synced, whole := chunkAt(log, next, number); whole && synced > uint64(at) {
			return at, true
		}
	}
	return 0, false
}

// chunkAt reads the chunk at a place in a log: its size, and how far the log was synced. It
// is not whole if none of this log begins there, or one that is damaged.
func chunkAt(log []byte, at int, number uint32) (size int, synced uint64, whole bool) {
	if at+chunkHeader > len(log) {
		return 0, 0, false
	}
	head := log[at:]
	size = chunkHeader + int(binary.LittleEndian.Uint16(head[4:]))
	kind := head[6]
	if kind < chunkKindMin || kind > chunkKindMax || binary.LittleEndian.Uint32(head[7:]) != number ||
		at+size > len(log) || at%logBlock+size > logBlock {
		return 0, 0, false
	}
	sum := crc32.Checksum(head[6:size], castagnoli)
	if binary.LittleEndian.Uint32(head) != (sum>>15|sum<<17)+0xa282ead8 { // as the engine masks it
		return 0, 0, false
	}
	return size, binary.LittleEndian.Uint64(head[11:]), true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func isZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}
