package transport

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"gtstore/core"
)

const (
	redialMin = 5 * time.Millisecond // after a failure; doubles
	redialMax = 150 * time.Millisecond
)

// link is the way to one address: a queue, and a goroutine that connects.
type link struct {
	t       *Transport
	address string
	queue   *Queue
	ctx     context.Context // ends with the transport, or when another needs the place
	cancel  context.CancelFunc
	usedAt  uint64               // the number of the last Send that had something for it; only who sends reads and writes it
	line    atomic.Pointer[line] // nil when there is no connection

	redial   time.Duration
	redialAt time.Time
}

func newLink(t *Transport, address string) *link {
	a := t.queued.account()
	a.group.Store(true) // it has all of the budget: no stranger has a part in it
	l := &link{t: t, address: address, queue: newQueue(t.opt.QueueMax, a)}
	l.queue.leave = l.leave
	l.ctx, l.cancel = context.WithCancel(t.ctx)
	t.running.Go(l.run)
	return l
}

// ended tells whether the link takes nothing more.
func (l *link) ended() bool { return l.queue.closed.Load() }

// leave has what waits said on the connection, or one made.
func (l *link) leave() {
	if c := l.line.Load(); c != nil {
		c.leave()
	} else {
		l.queue.Notify()
	}
}

// idle tells whether all that was sent has arrived.
func (l *link) idle() bool {
	c := l.line.Load()
	return l.ended() || l.queue.Empty() && (c == nil || !c.due())
}

func (l *link) run() {
	defer l.cancel()
	defer l.queue.Close()
	defer l.disconnect()
	for l.await() {
		if !l.connect() {
			continue
		}
		for c := l.line.Load(); c != nil; c = l.line.Load() {
			switch err := c.speak(l.ctx, l.t.opt.IdleTimeout); {
			case l.ctx.Err() != nil:
				return
			case err == errUnusedLine:
				l.disconnect()
			default:
				l.broke(err)
			}
		}
	}
}

// await waits until there is something to send. It returns false when the link is to end.
func (l *link) await() bool {
	idle := time.NewTimer(l.t.opt.IdleTimeout)
	defer idle.Stop()
	for l.queue.Empty() {
		select {
		case <-l.queue.Wake:
		case <-l.ctx.Done():
			return false
		case <-idle.C:
			return !l.queue.closeEmpty() // else something has just come
		}
	}
	return l.ctx.Err() == nil
}

// connect dials, not too soon after a failure. When that fails too, what waited
// to be sent is lost, and those to whom it was addressed are reported.
func (l *link) connect() bool {
	select {
	case <-time.After(time.Until(l.redialAt)):
	case <-l.ctx.Done():
		return false
	}
	stream, err := dial(l.ctx, l.address, &l.t.opt)
	if err != nil {
		if outOfFiles(err) { // which says nothing of the peer: what waits goes with the next attempt
			if !l.t.server.makeRoom() {
				l.redialAt = time.Now().Add(redialMax)
			}
			return false
		}
		l.redial = min(max(2*l.redial, redialMin), redialMax)
		l.redialAt = time.Now().Add(l.redial)
		l.fail(err)
		return false
	}
	l.redial = 0
	l.line.Store(newLine(l, stream))
	return true
}

// fail loses what waits to be sent.
func (l *link) fail(err error) {
	l.t.failedDial(l.address, err)
	list, bytes := l.queue.Take(nil, l.t.opt.QueueMax, math.MaxInt)
	l.queue.account.give(bytes)
	l.t.lost.unreachable.Add(uint64(len(list)))
	l.report(notePeers(nil, list), isRefused(err))
}

// broke ends a connection. If another has taken its place, traffic goes on there and
// nobody is reported. Else those to whom something was sent on it are reported. What was
// under way may or may not have arrived.
func (l *link) broke(err error) {
	c := l.line.Load()
	end := c.finish()
	peers := c.noted()
	if end.next != nil {
		l.t.notes.say(noteReplaced, "a new connection took the place of a silent one", l.address, nil)
		next := newLine(l, end.next)
		next.note(peers)
		l.line.Store(next)
		return
	}
	l.line.Store(nil)
	l.t.notes.say(noteBroke, "connection broke", l.address, err)
	l.report(peers, end.refused)
}

func (l *link) disconnect() {
	c := l.line.Swap(nil)
	if c == nil {
		return
	}
	if end := c.finish(); end.next != nil {
		end.next.Close()
	}
}

func (l *link) report(peers []core.Peer, refused bool) {
	for _, p := range peers {
		l.t.opt.Down(p, refused)
	}
}

// notePeers adds those to whom a list is addressed.
func notePeers(peers []core.Peer, list []core.Envelope) []core.Peer {
	for i := range list {
		if to := list[i].To; len(peers) < peersNotedMax && !slices.Contains(peers, to) {
			peers = append(peers, to)
		}
	}
	return peers
}
