package transport

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gtstore/netrpc/internal/identity"
)

// Until its peer has shown who it is, a connection may be anybody's. So what those have that
// are being made is bounded for itself, in number, bytes and use of the processors.
const (
	openingMax = 1024                   // connections that are being made
	openingMin = 250 * time.Millisecond // that one of them has, before it makes room for another

	// handshakeBytesMax bounds what a peer says until TLS knows who it is, but for one read
	// ahead. TLS itself would keep a certificate of 256 KiB.
	handshakeBytesMax = identity.ChainBytesMax + 8<<10
)

var errHandshakeTooLong = fmt.Errorf("it says more than %d bytes in the handshake", handshakeBytesMax)

// awaitRoom waits while as many connections as may be are being made, unless the first of them
// has had its time. Those that come meanwhile wait in the system.
func (s *server) awaitRoom() {
	for {
		wait := time.Duration(0)
		s.mu.Lock()
		if len(s.opening) >= openingMax {
			wait = openingMin - s.opening[0].unused()
		}
		s.mu.Unlock()
		if wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-s.opened:
		case <-s.t.ctx.Done():
			return
		}
	}
}

// made takes a connection off those that are being made. The caller holds mu.
func (s *server) made(c *conn) {
	if i := slices.Index(s.opening, c); i >= 0 {
		s.opening = slices.Delete(s.opening, i, i+1)
		select {
		case s.opened <- struct{}{}:
		default:
		}
	}
}

// turnstile gives turns to the handshakes of TLS that others begin: each costs the processors as
// much as a hundred messages, and anybody can have one begun. So only so many go on at a time,
// those first whose peers have answered already. Among the others who came last goes first: when
// there are more than turns, some wait in vain, and those who have waited for longest are the
// likeliest to have gone. A newcomer need not wait for what a flood has left.
type turnstile struct {
	mu      sync.Mutex
	free    int
	waiting [2][]chan struct{} // closed when it is their turn; those that have been answered are the second
}

// take waits for a turn. It returns false when over is closed before, or the time has passed.
func (t *turnstile) take(answered int, over <-chan struct{}, timeout time.Duration) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	t.waiting[answered] = append(t.waiting[answered], mine)
	t.mu.Unlock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-mine:
		return true
	case <-over:
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting[answered], mine); i >= 0 {
		t.waiting[answered] = slices.Delete(t.waiting[answered], i, i+1)
		return false
	}
	return true // it is its turn all the same
}

// give ends a turn.
func (t *turnstile) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.waiting) - 1; i >= 0; i-- {
		if last := len(t.waiting[i]) - 1; last >= 0 {
			close(t.waiting[i][last])
			t.waiting[i] = slices.Delete(t.waiting[i], last, last+1)
			return
		}
	}
	t.free++
}

// turn is what a connection that is being made has of the turnstile.
type turn struct {
	c        *conn
	answered int  // 1 once TLS has said something, to which the peer has to answer
	has      bool // it is this connection's
}

var errNoTurn = errors.New("no turn came for its handshake in time: more connect than this process can take")

// begin is called before TLS is given a whole record. A nil turn needs none.
func (t *turn) begin() error {
	if t == nil || t.has {
		return nil
	}
	if t.has = t.c.s.turns.take(t.answered, t.c.done, t.c.s.t.opt.DialTimeout); !t.has {
		return errNoTurn
	}
	return nil
}

// end is called before TLS waits for the peer, or writes, and when the handshake has ended.
func (t *turn) end() {
	if t != nil && t.has {
		t.has = false
		t.c.s.turns.give()
	}
}
