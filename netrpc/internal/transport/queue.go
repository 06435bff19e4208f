package transport

import (
	"sync"

	"gtstore/core"
)

// Queue holds envelopes between goroutines, at most so many and so many bytes.
// Many put, one takes.
type Queue struct {
	countMax, bytesMax int

	// Wake holds a token when there may be something to take.
	Wake chan struct{}

	mu     sync.Mutex
	room   sync.Cond
	items  []core.Envelope
	head   int // items before it have been taken
	bytes  int
	closed bool
}

// NewQueue makes a queue of at most countMax envelopes and, but for the last of
// them, bytesMax bytes.
func NewQueue(countMax, bytesMax int) *Queue {
	q := &Queue{countMax: countMax, bytesMax: bytesMax, Wake: make(chan struct{}, 1)}
	q.room.L = &q.mu
	return q
}

// Put appends an envelope, or returns false when the queue is full or closed.
// The taker learns of it by Notify, so that many puts need one.
func (q *Queue) Put(e *core.Envelope) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.full() {
		return false
	}
	q.add(e)
	return true
}

// PutAll appends envelopes and notifies; it waits while the queue is full, and
// returns false when it is closed.
func (q *Queue) PutAll(list []core.Envelope) bool {
	q.mu.Lock()
	for i := range list {
		for q.full() && !q.closed {
			q.Notify() // the taker may not know yet of what came before
			q.room.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return false
		}
		q.add(&list[i])
	}
	q.mu.Unlock()
	q.Notify()
	return true
}

// full lets one envelope in whatever its size.
func (q *Queue) full() bool { return len(q.items)-q.head >= q.countMax || q.bytes >= q.bytesMax }

func (q *Queue) add(e *core.Envelope) {
	q.items = append(q.items, *e)
	q.bytes += sizeOf(e)
}

func (q *Queue) Notify() {
	select {
	case q.Wake <- struct{}{}:
	default:
	}
}

// Take moves up to countMax envelopes to dst, fewer once they hold bytesMax.
func (q *Queue) Take(dst []core.Envelope, countMax, bytesMax int) []core.Envelope {
	q.mu.Lock()
	wasFull := q.full()
	for size := 0; q.head < len(q.items) && countMax > 0 && size < bytesMax; countMax-- {
		e := &q.items[q.head]
		n := sizeOf(e)
		size += n
		q.bytes -= n
		dst = append(dst, *e)
		*e = core.Envelope{}
		q.head++
	}
	switch rest := len(q.items) - q.head; {
	case rest == 0:
		q.items, q.head = q.items[:0], 0
	case q.head >= rest:
		copy(q.items, q.items[q.head:])
		clear(q.items[rest:])
		q.items, q.head = q.items[:rest], 0
	}
	q.mu.Unlock()
	if wasFull {
		q.room.Broadcast()
	}
	return dst
}

// Empty tells whether there is nothing to take.
func (q *Queue) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head == len(q.items)
}

// Close makes every put fail from now on. What is in the queue can be taken.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.room.Broadcast()
	q.Notify()
}
