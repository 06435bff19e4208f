package sim

import (
	"slices"
	"time"

	"gtstore/core"
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
	resend  int64 // of that, when the first time-out ends which later traffic can shorten; 0 for none
	ready   int64 // when the connection is set up
	held    []heldMessage
	last    int64 // when, and with which tie, the last message arrives that is on its way
	tie     uint32
	loss    uint64 // permille of packets
	lossEnd int64  // when it last stopped to lose any; 0 for never
	open    bool   // there is a connection, or one is being set up
	mute    bool   // the connection carries nothing
	muteEnd int64  // when another one works; 0 while nothing was sent
}

// heldMessage is a message that waits to leave.
type heldMessage struct {
	slot  uint32
	delay int64
	draw  uint64
}

// streamOf makes a link a stream, if it is none, and returns it. The pointer is
// good until the next link is made one.
func (w *World) streamOf(from, to *Host) *stream {
	l := w.link(from, to)
	if l.stream == 0 {
		if len(w.net.streams) == 0 {
			w.net.streams = append(w.net.streams, stream{}) // 0 is none
		}
		w.net.streams = append(w.net.streams, stream{last: w.now})
		l.stream = int32(len(w.net.streams) - 1)
	}
	return &w.net.streams[l.stream]
}

// stream takes a message for a link that is one.
func (w *World) stream(from, to *Host, l *link, e *core.Envelope, number, draw uint64, delay int64) {
	if s := &w.net.streams[l.stream]; s.mute && s.muted(w) {
		w.fired.Muted++
		w.cameIf(MarkReplicateVanished, core.KindOf(e.Body) == core.KindReplicate)
		w.trouble(from, to, w.now)
		w.logLost(from, to, number, e, "muted")
		return
	}
	slot := w.queue.alloc()
	w.fill(slot, from, to, e, number)
	if from.uplink.rate != 0 {
		w.depart(from, outgoing{slot, int64(sizeOf(e)), delay, draw})
		return
	}
	w.enter(from, to, heldMessage{slot, delay, draw})
}

// enter puts a message on its link, where it may have to wait for a connection,
// or for what was lost before it or with it.
func (w *World) enter(from, to *Host, m heldMessage) {
	s := &w.net.streams[w.link(from, to).stream]
	if !s.open {
		w.connect(from, to, s, m.draw)
		if s.ready > w.now && !w.came[MarkConnectingToAMember] {
			w.cameIf(MarkConnectingToAMember, core.KindOf(w.queue.items[m.slot].env.Body) == core.KindReplicate)
		}
	}
	if s.loss != 0 {
		w.lose(from, to, s, m.draw)
	}
	w.pass(to, s, m)
}

// pass sends a message on its way, or has it wait for what is before it.
func (w *World) pass(to *Host, s *stream, m heldMessage) {
	if s.until > w.now || len(s.held) > 0 {
		w.fired.Stalled++
		s.held = append(s.held, m)
		if s.ready <= w.now && !w.came[MarkReplicateBehindAStall] {
			w.cameIf(MarkReplicateBehindAStall, core.KindOf(w.queue.items[m.slot].env.Body) == core.KindReplicate)
		}
		return
	}
	at := w.arrival(to, m.draw, m.delay)
	if at > s.last {
		s.last, s.tie = at, w.tie(m.draw, to, at)
	} // else it comes behind the one before, with a tie that keeps the order
	w.queue.pushSlot(s.last, s.tie, m.slot)
}

// wait lets nothing leave before a time.
func (w *World) wait(from, to *Host, s *stream, until int64) {
	if until <= s.until {
		return
	}
	s.until = until
	w.wake(from, to, until)
}

// wake has a stream looked at when what holds it back may be over.
func (w *World) wake(from, to *Host, at int64) {
	it := w.queue.push(max(at, w.now), tieLocal)
	it.kind, it.from, it.to = itemStream, int16(from.index), int16(to.index)
}

// onStream lets go what waited, unless it must wait on.
func (w *World) onStream(from, to *Host) {
	s := w.streamOf(from, to)
	if s.until > w.now || len(s.held) == 0 {
		return
	}
	held := s.held
	s.held, s.resend = nil, 0
	for _, m := range held {
		w.pass(to, s, m)
	}
	s.held = held[:0]
}

// outgoing is a message that waits for its host's bandwidth.
type outgoing struct {
	slot  uint32
	left  int64 // bytes that have not left yet
	delay int64
	draw  uint64
}

// packetMax is how much of one link's traffic leaves a host before it is another
// link's turn.
const packetMax = 1 << 16

// uplink is how messages leave a host whose bandwidth is bounded: those of a link
// one after the other, and the links in turn, as the connections of a machine share
// its network.
type uplink struct {
	rate    int64        // bytes a second; 0 for no bound
	lines   [][]outgoing // by the index of the host at the other end
	turn    []int        // the lines in which something waits
	bytes   int64        // of all that waits
	sending uint64       // names the part that leaves now, among all that ever did; 0 for none
	sent    uint64
}

// depart has a message leave its host when its turn comes.
func (w *World) depart(h *Host, m outgoing) {
	u, to := &h.uplink, int(w.queue.items[m.slot].to)
	u.bytes += m.left
	if waits := u.bytes * int64(time.Second) / u.rate; waits > int64(QueueMax) {
		w.troubleHost(h, w.now+waits)
	} else if waits > int64(markedWait) && !w.came[MarkReplicateWaitedForBandwidth] {
		w.cameIf(MarkReplicateWaitedForBandwidth, core.KindOf(w.queue.items[m.slot].env.Body) == core.KindReplicate)
	}
	if u.lines == nil {
		u.lines = make([][]outgoing, len(w.hosts))
	}
	if len(u.lines[to]) == 0 {
		u.turn = append(u.turn, to)
	}
	u.lines[to] = append(u.lines[to], m)
	w.sendNext(h)
}

// part is how much of the first message of a line leaves at once.
func (m *outgoing) part() int64 { return min(m.left, packetMax) }

func (w *World) sendNext(h *Host) {
	u := &h.uplink
	if u.sending != 0 || len(u.turn) == 0 {
		return
	}
	u.sent++
	u.sending = u.sent
	it := w.queue.push(w.now+u.lines[u.turn[0]][0].part()*int64(time.Second)/u.rate, tieLocal)
	it.kind, it.to, it.number = itemWire, int16(h.index), u.sending
}

// onWire goes on with the next line when a part has left, and sends the message if
// that was its last.
func (w *World) onWire(h *Host, number uint64) {
	u := &h.uplink
	if u.sending != number {
		return
	}
	u.sending = 0
	to := u.turn[0]
	m := &u.lines[to][0]
	part := m.part()
	m.left -= part
	u.bytes -= part
	u.turn = u.turn[1:]
	if m.left == 0 {
		w.leave(h, to)
	}
	if len(u.lines[to]) > 0 {
		u.turn = append(u.turn, to)
	}
	w.sendNext(h)
}

// leave puts the first message of a line on its link.
func (w *World) leave(h *Host, to int) {
	u := &h.uplink
	m := u.lines[to][0]
	u.lines[to] = u.lines[to][1:]
	u.bytes -= m.left
	w.enter(h, w.hosts[to], heldMessage{m.slot, m.delay, m.draw})
}

// setBandwidth bounds what leaves a host from now on; 0 ends it, and what waits
// leaves at once.
func (w *World) setBandwidth(h *Host, rate int) {
	u := &h.uplink
	u.rate = int64(rate)
	if rate == 0 {
		turn := u.turn
		u.sending, u.turn = 0, nil
		for _, to := range turn {
			for len(u.lines[to]) > 0 {
				w.leave(h, to)
			}
		}
		return
	}
	for _, to := range w.hosts {
		if to != h {
			w.streamOf(h, to)
		}
	}
}

// dropUnsent loses what has not left a host whose process ended.
func (w *World) dropUnsent(h *Host) {
	u := &h.uplink
	for _, to := range u.turn {
		for _, m := range u.lines[to] {
			it := &w.queue.items[m.slot]
			w.logLost(h, w.hosts[it.to], it.number, &it.env, "not sent")
			w.queue.release(m.slot)
		}
		u.lines[to] = nil
	}
	u.turn, u.bytes, u.sending = nil, 0, 0
}

// sizeOf is about how many bytes an envelope takes on a wire.
func sizeOf(e *core.Envelope) int {
	const head, item = 64, 24
	size := head
	switch m := e.Body.(type) {
	case *core.Replicate:
		for i := range m.Entries {
			size += item + len(m.Entries[i].Key) + len(m.Entries[i].Value)
		}
	case *core.Chunk:
		size += item * len(m.Sessions)
		for i := range m.Items {
			size += item + len(m.Items[i].Key) + len(m.Items[i].Value)
		}
	case *core.Op:
		size += len(m.Key) + len(m.Value)
	case *core.Reply:
		size += len(m.Value)
	}
	return size
}

// connect sets a connection up, if there is none: two hosts share one, and the
// first of them to send waits for it. To a host that is down none is: the first
// answer is that nobody listens.
func (w *World) connect(from, to *Host, s *stream, draw uint64) {
	if w.schedule.Shape.Connect == 0 || !to.up {
		return
	}
	s.open = true
	if back := w.streamOf(to, from); back.open && back.ready <= w.now {
		return
	}
	took := int64(0)
	for i := range 2 * w.schedule.Shape.Connect {
		took += w.latency(mix(draw, saltConnect+uint64(i)<<8))
	}
	s.ready = w.now + took
	w.wait(from, to, s, s.ready)
}

// disconnect ends what connection there is between two hosts: the next message
// sets up another.
func (w *World) disconnect(a, b *Host) {
	for _, l := range [...]*link{w.link(a, b), w.link(b, a)} {
		if l.stream != 0 {
			s := &w.net.streams[l.stream]
			s.open, s.mute, s.muteEnd = false, false, 0
		}
	}
}

// lose has a stream wait for a packet that was lost: for TCP's time-out, twice as
// long when it is lost again, or for the round trip in which later traffic tells
// of the loss.
func (w *World) lose(from, to *Host, s *stream, draw uint64) {
	roundTrip := w.latency(mix(draw, saltLoss)) + w.latency(mix(draw, saltLoss+1))
	times := 0
	for times < lossesMax && mix(draw, saltLoss+uint64(times+2)<<8)%1000 < s.loss {
		times++
	}
	switch {
	case s.until > w.now:
		if told := w.now + roundTrip; times == 0 && s.resend > told {
			s.until -= s.resend - told
			s.resend = 0
			w.wake(from, to, s.until)
		}
	case times > 0:
		w.fired.Resent++
		took := int64(0)
		for i := range times {
			took += roundTrip + int64(retransmitMin)<<i
		}
		s.resend = w.now + roundTrip + int64(retransmitMin)
		w.wait(from, to, s, w.now+took)
		if times > LossesMax {
			w.trouble(from, to, w.now+took)
		} else if times > 1 {
			w.noteHiccup(from, took)
			w.noteHiccup(to, took)
		}
	}
}

// muted tells whether what is sent now vanishes on a mute stream. The first message that does has
// the driver wait for an answer, and then make another connection.
func (s *stream) muted(w *World) bool {
	switch {
	case s.muteEnd == 0:
		s.muteEnd = w.now + int64(mutedTime) + int64(w.schedule.Shape.Connect)*2*w.latencyMin
	case w.now >= s.muteEnd:
		s.mute, s.muteEnd = false, 0
	}
	return s.mute
}

// faultStream carries out an action on a link as a stream.
func (w *World) faultStream(a *Action) bool {
	from, to := w.hostNamed(a.Link.From), w.hostNamed(a.Link.To)
	switch {
	case a.Verb == VerbLossy && a.Link == (Link{}):
		changed := false
		for _, from := range w.hosts {
			for _, to := range w.hosts {
				changed = w.makeLossy(from, to, a.Rate) || changed
			}
		}
		return changed
	case from == nil || to == nil || from == to:
		return false
	}
	switch a.Verb {
	case VerbLossy:
		return w.makeLossy(from, to, a.Rate)
	case VerbMute:
		s := w.streamOf(from, to)
		if s.mute {
			return false
		}
		s.mute = true
		w.trouble(from, to, w.now)
	default:
		s := w.streamOf(from, to)
		w.noteStall(from, to, int64(a.Latency))
		s.resend = 0
		w.wait(from, to, s, w.now+int64(a.Latency))
	}
	return true
}

// makeLossy sets at what rate packets of a link are lost from now on.
func (w *World) makeLossy(from, to *Host, rate int) bool {
	if from == to || rate == 0 && w.link(from, to).stream == 0 {
		return false
	}
	s := w.streamOf(from, to)
	if s.loss == uint64(rate) {
		return false
	}
	if max(s.loss, uint64(rate)) > LossMaxPermille {
		w.trouble(from, to, w.now)
	}
	if s.loss = uint64(rate); rate == 0 {
		s.lossEnd = w.now
	}
	return true
}

// healStreams ends what is wrong with the streams, and reports whether anything was.
func (w *World) healStreams() bool {
	changed := false
	for i := range w.net.links {
		if w.net.links[i].stream == 0 {
			continue
		}
		s := &w.net.streams[w.net.links[i].stream]
		from, to := w.hosts[i/len(w.hosts)], w.hosts[i%len(w.hosts)]
		if s.loss > LossMaxPermille || s.mute {
			w.trouble(from, to, w.now)
		}
		changed = changed || s.loss > 0 || s.mute || s.until > max(w.now, s.ready)
		if s.loss > 0 {
			s.lossEnd = w.now
		}
		s.loss, s.mute, s.muteEnd = 0, false, 0
		if s.until > w.now {
			s.until, s.resend = max(w.now, min(s.until, s.ready)), 0
			w.wake(from, to, s.until)
		}
	}
	return changed
}

// dropHeld loses what waits on a link whose connection broke.
func (w *World) dropHeld(from, to *Host) {
	l := w.link(from, to)
	if l.stream == 0 {
		return
	}
	s := &w.net.streams[l.stream]
	for _, m := range s.held {
		it := &w.queue.items[m.slot]
		w.logLost(from, to, it.number, &it.env, "reset")
		w.queue.release(m.slot)
	}
	s.held = slices.Delete(s.held, 0, len(s.held))
	s.until, s.resend = min(s.until, w.now), 0
}

// lastArrival is when the last message comes of those that are on their way where
// messages keep their order: what comes later waits for it. Hosts that stay broken
// do not count.
func (w *World) lastArrival() int64 {
	last := int64(0)
	for i := range w.net.links {
		if n := w.net.links[i].stream; n != 0 && !w.hosts[i/len(w.hosts)].broken && !w.hosts[i%len(w.hosts)].broken {
			last = max(last, w.net.streams[n].last)
		}
	}
	return last
}
