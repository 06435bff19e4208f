package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
)

// Queue holds what waits to leave by one way: at most so many envelopes, and as many
// bytes as its account has room for. Many put, and few take.
type Queue struct {
	countMax int
	account  *account

	// leave has what waits taken: by whoever calls it, if that needs no waiting.
	leave func()

	// Wake holds a token when there may be something to take.
	Wake chan struct{}

	mu     sync.Mutex
	fifo   fifo
	since  time.Time   // when the first came that waits, or when something was last taken
	closed atomic.Bool // with mu held when it becomes true
}

// newQueue makes a queue of at most countMax envelopes. Their bytes are charged to the
// account.
func newQueue(countMax int, a *account) *Queue {
	q := &Queue{countMax: countMax, account: a, Wake: make(chan struct{}, 1)}
	q.leave = q.Notify
	return q
}

// Put appends an envelope, or returns false when there is no room or the queue is
// closed. The taker learns of it by leave, so that many puts need one.
func (q *Queue) Put(e *core.Envelope) bool {
	size := sizeOf(e)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed.Load() || q.fifo.len() >= q.countMax || !q.account.take(size) {
		return false
	}
	if q.fifo.len() == 0 {
		q.since = time.Now()
	}
	q.fifo.push(e, size)
	return true
}

// Notify wakes whoever takes.
func (q *Queue) Notify() {
	select {
	case q.Wake <- struct{}{}:
	default:
	}
}

// Take moves up to countMax envelopes to dst, fewer once they hold bytesMax. It returns
// the bytes that they hold: they stay charged, and are the taker's to give back.
func (q *Queue) Take(dst []core.Envelope, countMax, bytesMax int) (list []core.Envelope, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; q.fifo.len() > 0 && countMax > 0 && bytes < bytesMax; countMax-- {
		var size int
		dst, size = q.fifo.pop(dst)
		bytes += size
	}
	q.fifo.tidy()
	if bytes > 0 && q.fifo.len() > 0 {
		q.since = time.Now()
	}
	return dst, bytes
}

// Empty tells whether there is nothing to take.
func (q *Queue) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fifo.len() == 0
}

// size is how many bytes wait.
func (q *Queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fifo.bytes
}

// length is how many envelopes wait.
func (q *Queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fifo.len()
}

// waits tells since when the queue has had something that nobody took; zero when it is
// empty.
func (q *Queue) waits() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fifo.len() == 0 {
		return time.Time{}
	}
	return q.since
}

// closeEmpty closes the queue unless something waits in it.
func (q *Queue) closeEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fifo.len() > 0 {
		return false
	}
	q.closed.Store(true)
	return true
}

// Close drops what the queue holds, and makes every put fail from now on.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed.Store(true)
	q.account.give(q.fifo.bytes)
	q.fifo = fifo{}
	q.mu.Unlock()
	q.Notify()
}
