package transport

import (
	"context"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"
)

const (
	looksMax = 10 // at a silent connection before another is made
	usedMax  = 10 // times looksMax without a Deliver before a connection need not show that it works
)

const (
	secondMin = 125 * time.Millisecond // between two attempts to make a second connection; doubles
	secondMax = time.Second
)

// line is one connection of a link. When the peer falls silent on it, its guard makes a
// second one.
type line struct {
	t       *Transport
	address string
	client  *rpc.Client
	codec   *clientCodec
	done    chan *rpc.Call // the Delivers that ended
	under   atomic.Int32   // Delivers under way
	sent    atomic.Uint64  // Delivers so far
	asked   atomic.Bool    // a Hello is under way
	source  *Source        // by which what is collected comes into the inbox
	behind  atomic.Int32   // batches that were collected, and for which there was no room yet

	mu   sync.Mutex
	over bool // it has left what it had: no second connection may take its place
	end  lineEnd
}

// lineEnd is what a connection leaves to its link.
type lineEnd struct {
	next    *stream // the connection that takes its place, or nil
	refused bool    // the peer was silent, and its address refused a second connection
}

func newLine(t *Transport, address string, s *stream) *line {
	c := &line{t: t, address: address, codec: newClientCodec(s), done: make(chan *rpc.Call, unansweredMax)}
	c.source = t.opt.Inbox.Source()
	c.codec.collected = c.collected
	c.client = rpc.NewClientWithCodec(c.codec)
	go c.collect()
	go c.guard()
	return c
}

// finish closes the connection and returns what it leaves.
func (c *line) finish() lineEnd {
	c.mu.Lock()
	c.over = true
	end := c.end
	c.mu.Unlock()
	c.client.Close()
	return end
}

// leave closes the connection for the link to find out, unless it is over.
func (c *line) leave(end lineEnd) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.over, c.end = true, end
	c.codec.Close() // which also ends a write that waits
	return true
}

// collect asks for what the peer has for this process, until the connection
// ends. The next is asked for when there was room for the last.
func (c *line) collect() {
	done := make(chan *rpc.Call, collectsMax)
	for range collectsMax {
		c.client.Go(methodNames[methodCollect], &Empty{}, &Batch{}, done)
	}
	for call := range done {
		if call.Error != nil {
			return
		}
		if list := call.Reply.(*Batch).envelopes; len(list) > 0 {
			if !c.source.PutAll(list) {
				return
			}
			c.behind.Add(-1)
		}
		c.client.Go(methodNames[methodCollect], &Empty{}, &Batch{}, done)
	}
}

// collected puts what came into the inbox, or leaves it to collect if there is no room.
// It is called in the order of arrival.
func (c *line) collected(b *Batch) {
	b.envelopes = c.t.strangers(b.envelopes)
	switch {
	case len(b.envelopes) == 0:
	case c.behind.Load() == 0 && c.source.put(b.envelopes, false) == nil:
		b.envelopes = nil
	default:
		c.behind.Add(1)
	}
}

// guard watches the connection until it ends. When an answer is due and nothing
// has moved for SilenceMax, it makes a second connection; the first of the two to
// work wins. A connection in use is asked for a sign of life also while no answer is
// due. A firewall that restarts forgets all its connections at once, and this process
// shall not find out about the next one only when it needs it. The guard counts its
// looks and reads no clock, so that a pause of this process is not taken for silence of
// the peer. A connection that stays silent for FrameTimeout ends.
func (c *line) guard() {
	ctx, cancel := context.WithCancel(c.t.ctx)
	defer cancel()
	defer context.AfterFunc(c.t.ctx, func() { c.codec.Close() })() // a write may be waiting
	look := time.NewTicker(c.t.opt.SilenceMax / looksMax)
	defer look.Stop()
	var m movement
	var sent uint64
	silent, unused := 0, 0
	wait, pause := 0, secondMin
	for {
		select {
		case <-c.codec.broken:
			return
		case <-look.C:
		}
		if n := c.sent.Load(); n != sent {
			sent, unused = n, 0
		}
		unused++
		if m.moved(c.codec.stream) || !c.due() && unused > usedMax*looksMax {
			silent, wait, pause = 0, 0, secondMin
			continue
		}
		silent++
		if silent == looksMax/2 {
			c.ask()
		}
		if wait--; silent < looksMax || wait > 0 {
			continue
		}
		if c.second(ctx, &m) {
			return
		}
		if silent >= int(c.t.opt.FrameTimeout*looksMax/c.t.opt.SilenceMax) {
			c.leave(lineEnd{})
			return
		}
		wait = int(pause * looksMax / c.t.opt.SilenceMax)
		pause = min(2*pause, secondMax)
	}
}

// due tells whether an answer is due.
func (c *line) due() bool { return c.under.Load() > 0 || c.asked.Load() }

// ask asks the peer for a sign of life. A process that is too busy to take envelopes in
// gives one all the same.
func (c *line) ask() {
	if c.asked.Swap(true) {
		return
	}
	go func() { // it may wait for a Deliver that is being written
		<-c.client.Go(methodNames[methodHello], &Empty{}, new(Hello), make(chan *rpc.Call, 1)).Done
		c.asked.Store(false)
	}()
}

// second tries to make another connection while this one stays. It returns true
// when this one is over.
func (c *line) second(ctx context.Context, m *movement) bool {
	c.t.notes.say(noteSilent, "a connection is silent: trying another", c.address, nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.codec.broken:
			cancel()
		case <-ctx.Done():
		}
	}()
	s, err := dial(ctx, c.address, &c.t.opt)
	switch {
	case err != nil:
		return isRefused(err) && c.leave(lineEnd{refused: true})
	case !c.due() || m.moved(c.codec.stream) || !c.leave(lineEnd{next: s}):
		s.Close()
		return false // the first works after all, or has ended by itself
	}
	return true
}

// movement is how much had come and gone on a connection when it was last looked at.
type movement struct {
	got, acked uint64
	waiting    bool // for bytes to be acknowledged
}

// moved tells whether, since the last look, anything came from the peer, or some of
// what waited for TCP's acknowledgement then was acknowledged. An acknowledgement of
// what was sent only since then does not count: it shows that this direction works, but
// not that an answer can come.
func (m *movement) moved(s *stream) bool {
	written := s.written.Load()
	queued, known := unacknowledged(s.Conn)
	now := movement{got: s.got.Load(), acked: written - min(queued, written), waiting: queued > 0 || !known}
	moved := now.got != m.got || m.waiting && now.acked > m.acked
	*m = now
	return moved
}
