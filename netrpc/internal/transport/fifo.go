package transport

import "gtstore/core"

// fifo is a list of envelopes, first in, first out, that counts their bytes.
type fifo struct {
	items []item
	head  int // items before it have been taken
	bytes int
}

type item struct {
	core.Envelope
	size int
}

func (f *fifo) len() int { return len(f.items) - f.head }

func (f *fifo) push(e *core.Envelope, size int) {
	f.items = append(f.items, item{*e, size})
	f.bytes += size
}

// pop moves the first envelope to dst and returns its size. The fifo is not empty.
func (f *fifo) pop(dst []core.Envelope) ([]core.Envelope, int) {
	e := &f.items[f.head]
	size := e.size
	f.bytes -= size
	dst = append(dst, e.Envelope)
	*e = item{}
	f.head++
	return dst, size
}

// tidy gives back the room of what was taken.
func (f *fifo) tidy() {
	switch rest := f.len(); {
	case rest == 0 && cap(f.items) > keepItemsMax:
		*f = fifo{}
	case rest == 0:
		f.items, f.head = f.items[:0], 0
	case f.head >= rest:
		copy(f.items, f.items[f.head:])
		clear(f.items[rest:])
		f.items, f.head = f.items[:rest], 0
	}
}

// keepItemsMax is the most envelopes of which an empty fifo keeps the room.
const keepItemsMax = 128
