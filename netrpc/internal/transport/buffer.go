package transport

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
	"unsafe"

	"gtstore/core"
)

// buffer is memory that connections use in turn, so that one that is idle has none. It holds
// a frame that came, or frames that are to leave. The large strings of these are not copied
// into it.
type buffer struct {
	b          []byte
	aside      []aside // in order
	asideBytes int     // of all of them
	values     bool    // values may be parts of it: it is not used again
}

// aside is a string that belongs behind the first at bytes of a buffer.
type aside struct {
	at int
	s  string
}

const (
	keepBytesMax = 68 << 10 // of the buffers of which any number is kept: a value of 64 KiB fits
	batchBytes   = 4 * keepBytesMax
	largeBytes   = batchBytes + core.ValueBytesMax + 64<<10
	fewMax       = 2 // buffers of batchBytes are kept, and of largeBytes
)

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 4<<10)} }}

// A few buffers are kept for full batches, and for the largest frames that are usual, as many
// as are read at a time. Without them a flood of such frames would have the collector of
// garbage at work all the time. They are few, so nobody is charged for them while they are
// unused.
var batchBuffers, largeBuffers = make(chan *buffer, fewMax), make(chan *buffer, fewMax)

func newBuffer() *buffer { return buffers.Get().(*buffer) }

// grow returns a buffer with the contents of b and room for n bytes in all. It gives back b.
func (b *buffer) grow(n int) *buffer {
	next := &buffer{}
	switch {
	case n <= keepBytesMax || n > largeBytes:
		next.b = make([]byte, 0, n)
	case n <= batchBytes:
		next = oneOf(batchBuffers, batchBytes)
	default:
		next = oneOf(largeBuffers, largeBytes)
	}
	next.b = append(next.b, b.b...)
	next.aside, b.aside = b.aside, next.aside
	next.asideBytes = b.asideBytes
	b.free()
	return next
}

func oneOf(kept chan *buffer, bytes int) *buffer {
	select {
	case b := <-kept:
		return b
	default:
		return &buffer{b: make([]byte, 0, bytes)}
	}
}

// growForValues is grow for a frame of which a value is most: the buffer has no room for more,
// and will not be used again.
func (b *buffer) growForValues(n int) *buffer {
	next := &buffer{b: append(make([]byte, 0, n), b.b...), values: true}
	b.free()
	return next
}

// free gives back a buffer, unless it is nil, or large and there are enough of those.
func (b *buffer) free() {
	if b == nil || b.values {
		return
	}
	clear(b.aside) // whoever keeps an empty buffer keeps no value
	b.b, b.aside, b.asideBytes = b.b[:0], b.aside[:0], 0
	kept := batchBuffers
	switch cap(b.b) {
	case batchBytes:
	case largeBytes:
		kept = largeBuffers
	default:
		if cap(b.b) <= keepBytesMax {
			buffers.Put(b)
		}
		return
	}
	select {
	case kept <- b:
	default:
	}
}

// size is how many bytes are to be written.
func (b *buffer) size() int { return len(b.b) + b.asideBytes }

// mark is where a frame begins.
type mark struct{ at, size int }

// begin leaves room for the length of a frame, which end fills in.
func (b *buffer) begin() mark {
	m := mark{len(b.b), b.size()}
	b.b = append(b.b, 0, 0, 0, 0)
	return m
}

func (b *buffer) end(m mark) {
	binary.LittleEndian.PutUint32(b.b[m.at:], uint32(b.size()-m.size-frameHeadBytes))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// LeaveAside implements wire.Aside.
func (b *buffer) LeaveAside(at int, s string, sum uint32) uint32 {
	b.aside = append(b.aside, aside{at, s})
	b.asideBytes += len(s)
	return crc32.Update(sum, castagnoli, bytesIn(s))
}

// pieces appends what is to be written, in order.
func (b *buffer) pieces(dst [][]byte) [][]byte {
	from := 0
	for _, a := range b.aside {
		if from < a.at {
			dst = append(dst, b.b[from:a.at])
		}
		dst = append(dst, bytesIn(a.s))
		from = a.at
	}
	if from < len(b.b) {
		dst = append(dst, b.b[from:])
	}
	return dst
}

// drop takes away the first n bytes, which were written.
func (b *buffer) drop(n int) {
	cut := 0 // of b.b
	rest := b.aside[:0]
	for _, a := range b.aside {
		head := min(n, a.at-cut)
		cut, n = cut+head, n-head
		gone := 0
		if cut == a.at {
			gone = min(n, len(a.s))
		}
		n -= gone
		b.asideBytes -= gone
		if a.s = a.s[gone:]; a.s != "" {
			rest = append(rest, a)
		}
	}
	cut += n
	clear(b.aside[len(rest):])
	b.aside = rest
	for i := range rest {
		rest[i].at -= cut
	}
	b.b = b.b[:copy(b.b, b.b[cut:])]
}

// bytesIn returns the bytes of a string, which nobody may change.
func bytesIn(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// textOf returns bytes as a string. Nobody may change them any more.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
