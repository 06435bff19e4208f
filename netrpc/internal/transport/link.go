package transport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/rpc"
	"slices"
	"sync/atomic"
	"time"

	"gtstore/core"
)

const (
	// unansweredMax bounds the Delivers under way on a link. It is small: what
	// waits meanwhile goes in one batch.
	unansweredMax = 4
	// collectsMax is how many Collects a link keeps under way: while the answer
	// of one travels, another can already be answered.
	collectsMax = 2

	// peersNotedMax bounds the peers reported when a connection breaks. There is
	// one at most addresses; more where a node came back as another.
	peersNotedMax = 16

	redialMin = 5 * time.Millisecond // after a failure; doubles
	redialMax = 150 * time.Millisecond
)

// link is the way to one address: a queue, and a goroutine that connects and
// sends.
type link struct {
	t       *Transport
	address string
	queue   *Queue
	ctx     context.Context // ends with the transport, or when another needs the place
	cancel  context.CancelFunc
	usedAt  uint64        // the number of the last Send that had something for it; only the goroutine that sends reads and writes it
	gone    chan struct{} // closed when the goroutine has ended
	busy    atomic.Bool   // something has left the queue, and its Deliver is not answered yet

	batch Batch
	peers []core.Peer // to whom something was sent on the connection
	line  *line       // nil when there is no connection

	redial   time.Duration
	redialAt time.Time
}

func newLink(t *Transport, address string) *link {
	a := t.queued.account()
	a.group.Store(true) // it has all of the budget: no stranger has a part in it
	l := &link{t: t, address: address, queue: newQueue(t.opt.QueueMax, a), gone: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(t.ctx)
	t.running.Go(l.run)
	return l
}

func (l *link) ended() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

func (l *link) idle() bool { return l.ended() || l.queue.Empty() && !l.busy.Load() }

func (l *link) run() {
	defer close(l.gone)
	defer l.cancel()
	defer l.queue.Close()
	defer l.disconnect()
	for l.await() {
		if l.line != nil || l.connect() {
			l.send()
		}
	}
}

// await waits until there is something to send and fewer than unansweredMax Delivers are
// under way. It returns false when the link is to end.
func (l *link) await() bool {
	l.busy.Store(l.under() > 0)
	if l.under() < unansweredMax && !l.queue.Empty() {
		l.collectAnswers()
		return l.ctx.Err() == nil
	}
	idle := time.NewTimer(l.t.opt.IdleTimeout)
	defer idle.Stop()
	for {
		var broken chan struct{}
		var done chan *rpc.Call
		if l.line != nil {
			broken, done = l.line.codec.broken, l.line.done
		}
		wake := l.queue.Wake
		if l.under() == unansweredMax {
			wake = nil
			idle.Reset(l.t.opt.FrameTimeout)
		}
		select {
		case <-wake:
		case call := <-done:
			l.answered(call)
		case <-broken:
			l.broke(errors.New("the connection broke"))
		case <-l.ctx.Done():
			return false
		case <-idle.C:
			switch {
			case l.under() == unansweredMax:
				l.broke(fmt.Errorf("no answer for %v", l.t.opt.FrameTimeout))
			default:
				return false
			}
		}
		if l.under() < unansweredMax && !l.queue.Empty() {
			return true
		}
	}
}

// under counts the Delivers under way.
func (l *link) under() int {
	if l.line == nil {
		return 0
	}
	return int(l.line.under.Load())
}

// collectAnswers takes note of the Delivers that have ended meanwhile.
func (l *link) collectAnswers() {
	for l.under() > 0 {
		select {
		case call := <-l.line.done:
			l.answered(call)
		default:
			return
		}
	}
}

func (l *link) answered(call *rpc.Call) {
	l.busy.Store(l.line.under.Add(-1) > 0)
	if call.Error != nil {
		l.broke(call.Error)
	}
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
	l.line = newLine(l.t, l.address, stream)
	return true
}

// fail loses what waits to be sent.
func (l *link) fail(err error) {
	l.t.notes.say(noteDial, "cannot connect", l.address, err)
	var bytes int
	l.batch.envelopes, bytes = l.queue.Take(l.batch.envelopes[:0], l.t.opt.QueueMax, math.MaxInt)
	l.queue.account.give(bytes)
	l.notePeers()
	clear(l.batch.envelopes)
	l.report(isRefused(err))
}

// broke ends a connection. If another has taken its place, traffic goes on there and
// nobody is reported. Else those to whom something was sent on it are reported. What was
// under way may or may not have arrived.
func (l *link) broke(err error) {
	end := l.line.finish()
	l.line = nil
	l.busy.Store(false)
	if end.next != nil {
		l.t.notes.say(noteReplaced, "a new connection took the place of a silent one", l.address, nil)
		l.line = newLine(l.t, l.address, end.next)
		return
	}
	l.t.notes.say(noteBroke, "connection broke", l.address, err)
	l.report(end.refused)
}

func (l *link) disconnect() {
	if l.line == nil {
		return
	}
	if end := l.line.finish(); end.next != nil {
		end.next.Close()
	}
	l.line = nil
}

func (l *link) report(refused bool) {
	for _, p := range l.peers {
		l.t.opt.Down(p, refused)
	}
	l.peers = l.peers[:0]
}

func (l *link) notePeers() {
	for i := range l.batch.envelopes {
		to := l.batch.envelopes[i].To
		if len(l.peers) < peersNotedMax && !slices.Contains(l.peers, to) {
			l.peers = append(l.peers, to)
		}
	}
}

// send takes what has gathered and sends it as one batch.
func (l *link) send() {
	l.busy.Store(true)
	var bytes int
	l.batch.envelopes, bytes = l.queue.Take(l.batch.envelopes[:0], batchCountMax, batchBytesMax)
	if len(l.batch.envelopes) == 0 {
		return
	}
	l.notePeers()
	l.line.under.Add(1)
	l.line.sent.Add(1)
	// The batch is encoded and written before Go returns, so it can be used again.
	l.line.client.Go(methodNames[methodDeliver], &l.batch, &Empty{}, l.line.done)
	clear(l.batch.envelopes)
	l.queue.account.give(bytes)
}
