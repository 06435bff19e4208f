package transport

import (
	"context"
	"sync"
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
	*duplex
	address string

	ending sync.Mutex
	over   bool // it has left what it had: no second connection may take its place
	left   lineEnd
}

// lineEnd is what a connection leaves to its link.
type lineEnd struct {
	next    *stream // the connection that takes its place, or nil
	refused bool    // the peer was silent, and its address refused a second connection
}

func newLine(l *link, s *stream) *line {
	c := &line{duplex: newDuplex(l.t, s, nil, l.queue, l.t.opt.Inbox.Source()), address: l.address}
	go c.guard()
	return c
}

// finish closes the connection and returns what it leaves.
func (c *line) finish() lineEnd {
	c.ending.Lock()
	c.over = true
	end := c.left
	c.ending.Unlock()
	c.kill()
	return end
}

// giveUp closes the connection for the link to find out, unless it is over.
func (c *line) giveUp(end lineEnd) bool {
	c.ending.Lock()
	defer c.ending.Unlock()
	if c.over {
		return false
	}
	c.over, c.left = true, end
	c.kill() // which also ends a write that waits
	return true
}

// guard watches the connection until it ends. When an answer is due and nothing
// has moved for SilenceMax, it makes a second connection; the first of the two to
// work wins. A connection in use is asked for a sign of life also while no answer is
// due. A firewall that restarts forgets all its connections at once, and this process
// shall not find out about the next one only when it needs it. The guard counts its
// looks and reads no clock, so that a pause of this process is not taken for silence of
// the peer. A connection that stays silent for FrameTimeout ends, and so does one on which
// nothing that was delivered is taken in for as long.
func (c *line) guard() {
	ctx, cancel := context.WithCancel(c.t.ctx)
	defer cancel()
	defer context.AfterFunc(c.t.ctx, c.kill)() // a write may be waiting
	look := time.NewTicker(c.t.opt.SilenceMax / looksMax)
	defer look.Stop()
	longest := int(c.t.opt.FrameTimeout * looksMax / c.t.opt.SilenceMax)
	var m movement
	var sent uint64
	silent, unused, stuck, taken := 0, 0, 0, 0
	wait, pause := 0, secondMin
	for {
		select {
		case <-c.broken:
			return
		case <-look.C:
		}
		if err := c.expired(); err != nil {
			c.t.refusals.Ended.Add(1)
			c.t.notes.say(noteOver, "a connection has ended with its certificate", c.address, err)
			c.giveUp(lineEnd{})
			return
		}
		if stuck++; !c.stuck(&taken) {
			stuck = 0
		}
		if stuck >= longest {
			c.giveUp(lineEnd{})
			return
		}
		if n := c.sent.Load(); n != sent {
			sent, unused = n, 0
		}
		unused++
		if m.moved(c.stream) || !c.due() && unused > usedMax*looksMax {
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
		if silent >= longest {
			c.giveUp(lineEnd{})
			return
		}
		wait = int(pause * looksMax / c.t.opt.SilenceMax)
		pause = min(2*pause, secondMax)
	}
}

// second tries to make another connection while this one stays. It returns true
// when this one is over.
func (c *line) second(ctx context.Context, m *movement) bool {
	c.t.notes.say(noteSilent, "a connection is silent: trying another", c.address, nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.broken:
			cancel()
		case <-ctx.Done():
		}
	}()
	s, err := dial(ctx, c.address, &c.t.opt)
	switch {
	case err != nil:
		c.t.failedDial(c.address, err)
		return isRefused(err) && c.giveUp(lineEnd{refused: true})
	case !c.due() || m.moved(c.stream) || !c.giveUp(lineEnd{next: s}):
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
	written := s.writer.written.Load()
	queued, known := unacknowledged(s.writer.system)
	now := movement{got: s.received(), acked: written - min(queued, written), waiting: queued > 0 || !known}
	moved := now.got != m.got || m.waiting && now.acked > m.acked
	*m = now
	return moved
}
