package transport

import (
	"sync"
	"sync/atomic"
	"time"
)

// budget is how many bytes a process holds for others: frames that are read, envelopes
// that wait for the node, replies that wait to be taken, and those being written.
//
// It has accounts, one for each connection. No account may hold more than a quarter of
// what is free. So whatever many greedy ones do, something stays free, and a newcomer
// has as much of it as each of them. An account that holds nothing may always take one
// more message, while there is room at all. The last quarter of the budget is for small
// messages, and for connections that carry a group's messages.
type budget struct {
	max  int
	used atomic.Int64

	mu      sync.Mutex // never held where there is room: thousands of connections share it
	waiting []*wish    // for room, in the order in which they came
	waits   atomic.Int32
}

const (
	shareOfFree = 4        // an account may hold one part in so many of what is free
	smallBytes  = 16 << 10 // a message of at most so many bytes is small
)

// account is a connection's part of the budget.
type account struct {
	b     *budget
	of    *namesake // the account's name, whose part counts too; nil for none
	held  atomic.Int64
	group atomic.Bool // the connection carries messages of a group, from a node that is expected
}

// wish is an account that waits for room.
type wish struct {
	a       *account
	n       int
	small   bool
	granted chan struct{}
}

func newBudget(max int) *budget { return &budget{max: max} }

func (b *budget) account() *account { return &account{b: b} }

// take adds n bytes, or returns false when they do not fit.
func (a *account) take(n int) bool { return a.tryTake(int64(n), n <= smallBytes) }

func (a *account) tryTake(n int64, small bool) bool {
	for {
		used, held := a.b.used.Load(), a.held.Load()
		free := int64(a.b.max) - used
		if !small && !a.group.Load() {
			free -= int64(a.b.max) / 4
		}
		if n > free || held > 0 && held+n > free/shareOfFree || a.of.exceeds(n, free) {
			return false
		}
		if a.b.used.CompareAndSwap(used, used+n) {
			a.add(n)
			return true
		}
	}
}

// add counts n bytes to what is held.
func (a *account) add(n int64) {
	a.held.Add(n)
	if a.of != nil {
		a.of.bytes.Add(n)
	}
}

// exceeds tells whether n bytes more are too many for a name, where so many are free. One that
// has nothing may always take one message.
func (s *namesake) exceeds(n, free int64) bool {
	if s == nil {
		return false
	}
	held := s.bytes.Load()
	return held > 0 && held+n > free/nameShare
}

// pressTime is how often who waits for room says so.
const pressTime = 100 * time.Millisecond

// tryNow adds n bytes, or returns false when they do not fit, or others wait for room.
func (a *account) tryNow(n int, small bool) bool {
	return a.b.waits.Load() == 0 && a.tryTake(int64(n), small)
}

// await adds n bytes once they fit; it returns false when done is closed before. It
// calls full again and again while it waits.
func (a *account) await(n int, small bool, full func(), done <-chan struct{}) bool {
	w := &wish{a: a, n: n, small: small, granted: make(chan struct{})}
	a.b.mu.Lock()
	a.b.waiting = append(a.b.waiting, w)
	a.b.waits.Add(1)
	a.b.grant() // what was given back meanwhile
	a.b.mu.Unlock()
	press := time.NewTicker(pressTime)
	defer press.Stop()
	for waits := true; waits; {
		select {
		case <-w.granted:
			return true
		case <-press.C:
			full()
		case <-done:
			waits = false
		}
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	for i, other := range a.b.waiting {
		if other == w {
			a.b.waiting = append(a.b.waiting[:i], a.b.waiting[i+1:]...)
			a.b.waits.Add(-1)
			return false
		}
	}
	a.add(-int64(n)) // granted meanwhile
	a.b.used.Add(-int64(n))
	a.b.grant()
	return false
}

// give takes n bytes off the account. With a negative n it adds some, whether they fit
// or not: what is there already has to be counted.
func (a *account) give(n int) {
	if n == 0 {
		return
	}
	a.add(-int64(n))
	a.b.used.Add(-int64(n))
	if a.b.waits.Load() > 0 {
		a.b.mu.Lock()
		a.b.grant()
		a.b.mu.Unlock()
	}
}

// grant lets those have their wish for whom there is room now.
func (b *budget) grant() {
	still := b.waiting[:0]
	for _, w := range b.waiting {
		if w.a.tryTake(int64(w.n), w.small) {
			close(w.granted)
		} else {
			still = append(still, w)
		}
	}
	clear(b.waiting[len(still):])
	b.waiting = still
	b.waits.Store(int32(len(still)))
}
