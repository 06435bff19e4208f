package network

import (
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/mark"
	"gtstore/sim/splitmix"
)

// A link on which something happens that TCP hides, at a price, carries its
// messages as a stream: in the order in which they were sent. What TCP loses it
// sends again after a time-out, and meanwhile all that follows waits; then it
// comes late, at once and in order. Links without such a fault are left as they
// were, and let messages overtake each other: a protocol must not count on order.

const (
	// retransmitMin is TCP's smallest time-out beyond the round trip before it
	// sends again what was not acknowledged: that of Linux. It doubles each time.
	retransmitMin = 200 * time.Millisecond
	// mutedTime is how long the driver waits for an overdue answer before it makes
	// a second connection, of which the first to work wins.
	mutedTime = time.Second
	// lossesMax bounds how often one packet is lost in a row.
	lossesMax = 8
)

// stream is a link as a TCP connection makes it.
type stream struct {
	until   int64 // nothing leaves before
	resend  int64 // when the first time-out of that wait ends, while later traffic can shorten it
	ready   int64 // when the connection is set up
	held    []message
	last    int64 // when, and with which tie, the last message arrives that is on its way
	tie     uint32
	loss    uint64 // permille of packets
	lossEnd int64  // when it last stopped to lose any; 0 for never
	open    bool   // there is a connection, or one is being set up
	mute    bool   // the connection carries nothing
	muteEnd int64  // when another one works; 0 while nothing was sent
}

// streamOf makes a link a stream, if it is none, and returns it. The pointer is
// good until the next link is made one.
func (n *Network) streamOf(from, to int, now int64) *stream {
	l := n.link(from, to)
	if l.stream == 0 {
		if len(n.streams) == 0 {
			n.streams = append(n.streams, stream{}) // 0 is none
		}
		n.streams = append(n.streams, stream{last: now})
		l.stream = int32(len(n.streams) - 1)
	}
	return &n.streams[l.stream]
}

// carryInOrder is Carry for a link that is a stream.
func (n *Network) carryInOrder(now int64, from, to int, l *link, m message, e *core.Envelope) {
	if s := &n.streams[l.stream]; s.mute && n.muted(s, now) {
		n.counts.Muted++
		n.mark(mark.ReplicateVanished, m)
		n.ledger.Link(from, to, now)
		n.decided = append(n.decided, Decision{What: Lose, Slot: m.slot, Why: LostOnMute})
		return
	}
	if n.hosts[from].uplink.rate != 0 {
		n.depart(now, from, to, outgoing{m, int64(sizeOf(e))})
		return
	}
	n.enter(now, from, to, m)
}

// mark notes what a Replicate comes to.
func (n *Network) mark(situation mark.Mark, m message) {
	if m.kind == core.KindReplicate {
		n.reached[situation] = true
	}
}

// enter puts a message on its link, where it may have to wait for a connection,
// or for what was lost before it or with it.
func (n *Network) enter(now int64, from, to int, m message) {
	s := &n.streams[n.link(from, to).stream]
	if !s.open {
		n.connect(now, from, to, s, m.draw)
		if s.ready > now {
			n.mark(mark.ConnectingToAMember, m)
		}
	}
	if s.loss != 0 {
		n.lose(now, from, to, s, m.draw)
	}
	n.pass(now, to, s, m)
}

// pass sends a message on its way, or has it wait for what is before it.
func (n *Network) pass(now int64, to int, s *stream, m message) {
	if s.until > now || len(s.held) > 0 {
		n.counts.Stalled++
		s.held = append(s.held, m)
		if s.ready <= now {
			n.mark(mark.ReplicateBehindAStall, m)
		}
		return
	}
	at := n.arrival(now, to, m.draw, m.delay)
	if at > s.last {
		s.last, s.tie = at, n.Tie(m.draw, to, at)
	} // else it comes behind the one before, with a tie that keeps the order
	n.decided = append(n.decided, Decision{What: Arrive, Slot: m.slot, At: s.last, Tie: s.tie})
}

// wait lets nothing leave before a time.
func (n *Network) wait(now int64, from, to int, s *stream, until int64) {
	if until <= s.until {
		return
	}
	s.until = until
	n.lookAt(now, from, to, until)
}

// lookAt has a stream looked at when what holds it back may be over.
func (n *Network) lookAt(now int64, from, to int, at int64) {
	n.decided = append(n.decided, Decision{What: LookAtLink, From: int16(from), To: int16(to), At: max(at, now)})
}

// Waiting lets go what waits on a link that is a stream, unless it must wait on.
func (n *Network) Waiting(now int64, from, to int) []Decision {
	n.begin()
	s := n.streamOf(from, to, now)
	if s.until > now || len(s.held) == 0 {
		return nil
	}
	held := s.held
	s.held, s.resend = nil, 0
	for _, m := range held {
		n.pass(now, to, s, m)
	}
	s.held = held[:0]
	return n.decided
}

// connect sets up a connection, if there is none. Two hosts share one, and messages wait
// until it is set up. To a host that is down none is set up: the first answer is that
// nobody listens.
func (n *Network) connect(now int64, from, to int, s *stream, draw uint64) {
	if n.roundTrips == 0 || !n.hosts[to].up {
		return
	}
	s.open = true
	if back := n.streamOf(to, from, now); back.open && back.ready <= now {
		return
	}
	took := int64(0)
	for i := range 2 * n.roundTrips {
		took += n.latency(splitmix.Mix(draw, saltConnect+uint64(i)<<8))
	}
	s.ready = now + took
	n.wait(now, from, to, s, s.ready)
}

// Disconnect ends what connection there is between two hosts: the next message
// sets up another.
func (n *Network) Disconnect(a, b int) {
	n.disconnect(n.link(a, b))
	n.disconnect(n.link(b, a))
}

func (n *Network) disconnect(l *link) {
	if l.stream != 0 {
		s := &n.streams[l.stream]
		s.open, s.mute, s.muteEnd = false, false, 0
	}
}

// lose has a stream wait for a packet that was lost: for TCP's time-out, twice as
// long when it is lost again, or for the round trip in which later traffic tells
// of the loss.
func (n *Network) lose(now int64, from, to int, s *stream, draw uint64) {
	roundTrip := n.latency(splitmix.Mix(draw, saltLoss)) + n.latency(splitmix.Mix(draw, saltLoss+1))
	times := 0
	for times < lossesMax && splitmix.Mix(draw, saltLoss+uint64(times+2)<<8)%1000 < s.loss {
		times++
	}
	switch {
	case s.until > now:
		if told := now + roundTrip; times == 0 && s.resend > told {
			s.until -= s.resend - told
			s.resend = 0
			n.lookAt(now, from, to, s.until)
		}
	case times > 0:
		n.counts.Resent++
		took := int64(0)
		for i := range times {
			took += roundTrip + int64(retransmitMin)<<i
		}
		s.resend = now + roundTrip + int64(retransmitMin)
		n.wait(now, from, to, s, now+took)
		if times > bounds.LossesMax {
			n.ledger.Link(from, to, now+took)
		} else if times > 1 {
			n.ledger.Hiccup(from, now, took)
			n.ledger.Hiccup(to, now, took)
		}
	}
}

// muted tells whether what is sent now vanishes on a mute stream. The first message
// that does has the driver wait for an answer, and then make another connection.
func (n *Network) muted(s *stream, now int64) bool {
	switch {
	case s.muteEnd == 0:
		s.muteEnd = now + int64(mutedTime) + int64(n.roundTrips)*2*n.latencyMin
	case now >= s.muteEnd:
		s.mute, s.muteEnd = false, 0
	}
	return s.mute
}

// Mute has the connection of a link carry nothing from now on.
func (n *Network) Mute(now int64, from, to int) bool {
	s := n.streamOf(from, to, now)
	if s.mute {
		return false
	}
	s.mute = true
	n.ledger.Link(from, to, now)
	return true
}

// Stall lets nothing leave on a link for so long; then all of it comes, in order.
func (n *Network) Stall(now int64, from, to int, took int64) []Decision {
	n.begin()
	s := n.streamOf(from, to, now)
	n.ledger.LinkStall(from, to, now, took)
	s.resend = 0
	n.wait(now, from, to, s, now+took)
	return n.decided
}

// SetLoss sets at what rate, in permille, packets of a link are lost from now on.
func (n *Network) SetLoss(now int64, from, to int, rate int) bool {
	if from == to || rate == 0 && n.link(from, to).stream == 0 {
		return false
	}
	s := n.streamOf(from, to, now)
	if s.loss == uint64(rate) {
		return false
	}
	if max(s.loss, uint64(rate)) > bounds.LossMaxPermille {
		n.ledger.Link(from, to, now)
	}
	if s.loss = uint64(rate); rate == 0 {
		s.lossEnd = now
	}
	return true
}

// Loses tells whether a link loses packets, as TCP does.
func (n *Network) Loses(from, to int) bool {
	i := n.link(from, to).stream
	return i != 0 && n.streams[i].loss > 0
}

// LosesOrDid tells whether a link loses packets, or did a moment ago: the last of
// them may still be missing.
func (n *Network) LosesOrDid(now int64, from, to int) bool {
	i := n.link(from, to).stream
	if i == 0 {
		return false
	}
	s := &n.streams[i]
	return s.loss > 0 || s.lossEnd > 0 && now-s.lossEnd <= int64(bounds.PauseGap)
}

// KeepsOrder tells whether there is a link that is a stream.
func (n *Network) KeepsOrder() bool { return len(n.streams) > 1 }

// Sound tells whether nothing is wrong with a link just now that is beyond the bounds.
func (n *Network) Sound(from, to int) bool {
	l := n.link(from, to)
	if l.cut || l.clogged || l.rates != 0 {
		return false
	}
	s := &stream{}
	if l.stream != 0 {
		s = &n.streams[l.stream]
	}
	return !s.mute && s.loss <= bounds.LossMaxPermille
}

// Free tells whether nothing at all is wrong with a link just now, and nothing that was lost on it
// a moment ago may still be missing.
func (n *Network) Free(now int64, from, to int) bool {
	return n.Sound(from, to) && !n.LosesOrDid(now, from, to)
}

// healStreams ends what is wrong with the streams, and reports whether anything was.
func (n *Network) healStreams(now int64) bool {
	changed := false
	for at, l := range n.all {
		if l.stream == 0 {
			continue
		}
		s := &n.streams[l.stream]
		from, to := at.from, at.to
		if s.loss > bounds.LossMaxPermille || s.mute {
			n.ledger.Link(from, to, now)
		}
		changed = changed || s.loss > 0 || s.mute || s.until > max(now, s.ready)
		if s.loss > 0 {
			s.lossEnd = now
		}
		s.loss, s.mute, s.muteEnd = 0, false, 0
		if s.until > now {
			s.until, s.resend = max(now, min(s.until, s.ready)), 0
			n.lookAt(now, from, to, s.until)
		}
	}
	return changed
}

// dropHeld loses what waits on a link whose connection broke.
func (n *Network) dropHeld(now int64, from, to int) {
	l := n.link(from, to)
	if l.stream == 0 {
		return
	}
	s := &n.streams[l.stream]
	for _, m := range s.held {
		n.decided = append(n.decided, Decision{What: Lose, Slot: m.slot, Why: LostByReset})
	}
	s.held = slices.Delete(s.held, 0, len(s.held))
	s.until, s.resend = min(s.until, now), 0
}

// LastArrival is when the last message arrives that is on its way over a stream. What is
// sent later over the same stream arrives after it. The links of hosts that do not count
// are left out.
func (n *Network) LastArrival(counts func(host int) bool) int64 {
	last := int64(0)
	for at, l := range n.all {
		if s := l.stream; s != 0 && counts(at.from) && counts(at.to) {
			last = max(last, n.streams[s].last)
		}
	}
	return last
}
