package sim

import (
	"math/bits"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// network decides when each message arrives, if at all.
//
// A message's fate is settled when it is sent: what is on its way when a
// partition begins still arrives, as it may from a buffer somewhere in a real
// network. It is addressed to a host by name, not to a NodeID, so it reaches
// whichever process has that address when it arrives.
type network struct {
	links []link // from·hosts + to
	slots []slot // (from·hosts + to)·KindCount + kind
	rules []flaky

	streams []stream // from 1

	deviations []deviation // from 1; those of a slot are a list
	scratch    []byte
}

// link is the state of one direction between two hosts.
type link struct {
	cut     bool
	clogged bool          // what is sent is held back
	held    []uint32      // and that is what, in order
	talked  bool          // the two processes have exchanged a message: they have a connection
	pending []core.NodeID // nodes at the from end about which a PeerDown is on its way to the other
	flaky   int16         // index into rules; 0 for none
	stream  int32         // index into streams; 0 for none
}

// slot counts the messages of one kind on one link.
type slot struct {
	count uint32
	first int32 // first in the list of deviations; 0 for none
}

type flaky struct {
	drop, duplicate, delay, corrupt uint64 // permille
	delayMax                        int64
}

type deviation struct {
	fate    schedule.Fate
	ordinal uint32
	by      int64
	index   int   // in Schedule.Deviate
	next    int32 // of the same slot; 0 at the end
}

// Salts that make independent draws from the hash that names a message.
const (
	saltNode uint64 = iota + 1
	saltCluster
	saltSeed
	saltStart
	saltTimer
	saltGroup
	saltDrop
	saltDuplicate
	saltDelay
	saltDelayBy
	saltCorrupt
	saltBit
	saltCopy
	saltConnect
	saltLoss
)

// batchStep is the grid on which messages arrive when hosts take them in
// batches: without it two would hardly ever be due together.
const batchStep = int64(100 * time.Microsecond)

func (w *World) initNetwork() {
	n := len(w.hosts)
	w.net.links = make([]link, n*n)
	w.net.slots = make([]slot, n*n*core.KindCount)
	w.net.rules = make([]flaky, 1, 4)
	if w.schedule.Shape.Connect > 0 {
		w.net.streams = make([]stream, 1, 1+n*n)
		for _, from := range w.hosts {
			for _, to := range w.hosts {
				if from != to {
					w.streamOf(from, to)
				}
			}
		}
	}
	w.initBounds()
	w.net.deviations = make([]deviation, 1, len(w.schedule.Deviate)+1)
	for i := range w.schedule.Deviate {
		d := &w.schedule.Deviate[i]
		from, to := w.hostNamed(d.Link.From), w.hostNamed(d.Link.To)
		if from == nil || to == nil || int(d.Kind) >= core.KindCount {
			continue
		}
		s := w.slot(from, to, d.Kind)
		w.net.deviations = append(w.net.deviations, deviation{
			fate: d.Fate, ordinal: uint32(d.Ordinal), by: int64(d.By), index: i, next: s.first,
		})
		s.first = int32(len(w.net.deviations) - 1)
	}
}

func (w *World) link(from, to *Host) *link { return &w.net.links[from.index*len(w.hosts)+to.index] }

func (w *World) slot(from, to *Host, k core.Kind) *slot {
	return &w.net.slots[(from.index*len(w.hosts)+to.index)*core.KindCount+int(k)]
}

// Connected reports that messages pass between the two both ways.
func (w *World) Connected(a, b *Host) bool {
	to, from := w.link(a, b), w.link(b, a)
	return !to.cut && !to.clogged && !from.cut && !from.clogged
}

// draw hashes what names a message: the link, the kind, and the how-manieth of
// that kind it is. Hosts go by their codes, which do not depend on how many
// there are, so that a smaller cluster leaves the fates of the rest alone.
func (w *World) draw(from, to *Host, k core.Kind, ordinal uint32) uint64 {
	name := from.code<<16 | to.code<<8 | uint64(k)
	return splitmix.Mix(splitmix.Mix(w.seed, name), uint64(ordinal))
}

// latency turns a draw into how long a message takes, in nanoseconds.
func (w *World) latency(draw uint64) int64 {
	if w.seed == 0 {
		return w.latencyMin
	}
	hi, _ := bits.Mul64(draw, uint64(w.latencySpan)+1)
	return w.latencyMin + int64(hi)
}

// tie orders what is due at the same time. With batches all that is due at one
// host comes together.
func (w *World) tie(draw uint64, to *Host, at int64) uint32 {
	low := uint32(draw)
	switch {
	case w.batch <= 1 && w.seed == 0:
		return tieFree
	case w.batch <= 1:
		return max(low, tieFree)
	case w.seed == 0:
		return uint32(to.index+1) << 16
	}
	group := uint32(splitmix.Mix(splitmix.Mix(w.seed, uint64(at)), saltGroup<<8|to.code))
	return max(group, 1)<<16 | low&0xffff
}

// send carries out one envelope of a host's Output.
func (w *World) send(from *Host, e *core.Envelope) {
	switch {
	case e.To.ID == from.peer.ID && e.To.ID != 0:
		w.pushLocal(from, w.now, tieLocal, e)
		return
	case e.To.Addr == "":
		w.record(from, e)
		return
	case e.To.Addr == operatorAddr:
		w.answered(e)
		return
	}
	k := core.KindOf(e.Body)
	to := w.hostNamed(e.To.Addr)
	if to == nil || k >= core.KindCall {
		w.Fail("driver-contract", "%s sent a %v to %q", from.name, k, e.To.Addr)
		return
	}
	w.transmit(from, to, k, e)
}

// transmit puts an envelope on the network.
func (w *World) transmit(from, to *Host, k core.Kind, e *core.Envelope) {
	s := w.slot(from, to, k)
	s.count++
	w.sent++
	number := w.sent
	l := w.link(from, to)
	if w.log != nil {
		w.logMessage(LogSent, from, to, number, e, "")
	}
	if l.cut {
		w.fired.Cut++
		w.logLost(from, to, number, e, "cut")
		return
	}
	draw := w.draw(from, to, k, s.count)
	var f fates
	if l.flaky != 0 {
		f.roll(w, &w.net.rules[l.flaky], draw)
	}
	for d := s.first; d != 0; d = w.net.deviations[d].next {
		if w.net.deviations[d].ordinal == s.count {
			f.apply(w, &w.net.deviations[d])
		}
	}
	if f.drop || f.corrupt {
		w.trouble(from, to, w.now)
	}
	w.noteLate(from, to, f.delay)
	if f.drop {
		w.logLost(from, to, number, e, "drop")
		return
	}
	if f.corrupt {
		w.corrupt(draw, e)
		w.logLost(from, to, number, e, "corrupt")
		return
	}
	w.carry(from, to, e, number, draw, f.delay)
	for i := range f.copies {
		w.carry(from, to, e, number, splitmix.Mix(draw, saltCopy+uint64(i)), f.delay)
	}
}

// carry makes one copy of a message arrive.
func (w *World) carry(from, to *Host, e *core.Envelope, number, draw uint64, delay int64) {
	l := w.link(from, to)
	var slot uint32
	switch {
	case l.clogged:
		w.fired.Clogged++
		slot = w.queue.alloc()
		l.held = append(l.held, slot)
	case l.stream != 0:
		w.stream(from, to, l, e, number, draw, delay)
		return
	default:
		at := w.arrival(to, draw, delay)
		slot = w.queue.alloc()
		w.queue.pushSlot(at, w.tie(draw, to, at), slot)
	}
	w.fill(slot, from, to, e, number)
}

// arrival returns when a message arrives that leaves now.
func (w *World) arrival(to *Host, draw uint64, delay int64) int64 {
	at := w.now + w.latency(draw) + delay + to.slow
	if w.batch > 1 {
		at = (at + batchStep - 1) / batchStep * batchStep
	}
	return at
}

// fill makes a slot hold a message.
func (w *World) fill(slot uint32, from, to *Host, e *core.Envelope, number uint64) {
	it := &w.queue.items[slot]
	it.kind, it.env, it.number = itemMessage, *e, number
	it.from, it.to = int16(from.index), int16(to.index)
	if w.options.CheckImmutable {
		it.sum = w.hashEnvelope(e)
	}
}

// fates is what happens to one message.
type fates struct {
	drop, corrupt bool
	copies        int   // beyond the first
	delay         int64 // in nanoseconds
}

func (f *fates) roll(w *World, r *flaky, draw uint64) {
	hit := func(permille, salt uint64) bool {
		return permille > 0 && splitmix.Mix(draw, salt)%1000 < permille
	}
	if hit(r.drop, saltDrop) {
		f.drop = true
		w.fired.Fates[schedule.FateDrop]++
	}
	if hit(r.corrupt, saltCorrupt) {
		f.corrupt = true
		w.fired.Fates[schedule.FateCorrupt]++
	}
	if hit(r.duplicate, saltDuplicate) {
		f.copies++
		w.fired.Fates[schedule.FateDuplicate]++
	}
	if r.delayMax > 0 && hit(r.delay, saltDelay) {
		f.delay += 1 + int64(splitmix.Mix(draw, saltDelayBy)%uint64(r.delayMax))
		w.fired.Fates[schedule.FateDelay]++
	}
}

func (f *fates) apply(w *World, d *deviation) {
	switch d.fate {
	case schedule.FateDrop:
		f.drop = true
	case schedule.FateDuplicate:
		f.copies++
	case schedule.FateDelay:
		f.delay += d.by
	case schedule.FateCorrupt:
		f.corrupt = true
	}
	w.fired.Fates[d.fate]++
	w.idle.deviations[d.index] = false
}

// corrupt flips a bit of the message's frame. The receiver must notice, and then
// the message is as good as lost.
func (w *World) corrupt(draw uint64, e *core.Envelope) {
	frame := core.AppendEnvelope(w.net.scratch[:0], e)
	w.net.scratch = frame
	bit := splitmix.Mix(draw, saltBit) % uint64(8*len(frame))
	frame[bit/8] ^= 1 << (bit % 8)
	if _, err := core.DecodeEnvelope(frame); err == nil {
		w.Fail("corruption undetected", "bit %d of a %v of %d bytes was flipped, and it decoded", bit, core.KindOf(e.Body), len(frame))
	}
}

func (w *World) hashEnvelope(e *core.Envelope) (h uint64) {
	h, w.net.scratch = core.HashEnvelope(w.net.scratch[:0], e)
	return h
}

// refuse tells the sender that nobody listens at the address, if it still runs
// and the news can reach it.
func (w *World) refuse(it *item) {
	from, to := w.hosts[it.from], w.hosts[it.to]
	w.logLost(from, to, it.number, &it.env, "refused")
	w.disconnect(from, to)
	if w.Connected(from, to) {
		w.fired.Refused++
		w.tellDown(from, to, it.env.To, true)
	}
}

// tellDown gives a host a PeerDown about a peer at another host, one latency
// from now. One at a time for each node that is, or was, at that host: a host that
// floods a dead one learns of it once per latency, as from a connection.
func (w *World) tellDown(to, about *Host, peer core.Peer, refused bool) {
	l := w.link(about, to)
	if !to.up || slices.Contains(l.pending, peer.ID) {
		return
	}
	l.pending = append(l.pending, peer.ID)
	s := w.slot(about, to, core.KindPeerDown)
	s.count++
	draw := w.draw(about, to, core.KindPeerDown, s.count)
	at := w.now + w.latency(draw)
	e := core.Envelope{From: to.peer, To: to.peer, Body: &core.PeerDown{Peer: peer, Refused: refused}}
	it := w.pushLocal(to, at, w.tie(draw, to, at), &e)
	it.from = int16(about.index)
}

// breakConnections tells all who talked with a host that it is gone.
func (w *World) breakConnections(h *Host) {
	for _, other := range w.hosts {
		if other != h && w.link(h, other).talked && w.Connected(h, other) {
			w.tellDown(other, h, h.peer, false)
		}
	}
}

// forgetConnections makes a process start without any.
func (w *World) forgetConnections(h *Host) {
	for _, other := range w.hosts {
		in, out := w.link(other, h), w.link(h, other)
		in.talked, out.talked, in.pending = false, false, in.pending[:0]
		w.disconnect(h, other)
	}
}

// partition cuts every link between hosts of different groups.
func (w *World) partition(groups [][]string) bool {
	changed := false
	for i, group := range groups {
		for _, others := range groups[i+1:] {
			for _, a := range group {
				for _, b := range others {
					changed = w.cut(a, b) || changed
					changed = w.cut(b, a) || changed
				}
			}
		}
	}
	return changed
}

func (w *World) cut(from, to string) bool {
	a, b := w.hostNamed(from), w.hostNamed(to)
	if a == nil || b == nil || a == b || w.link(a, b).cut {
		return false
	}
	w.link(a, b).cut = true
	w.trouble(a, b, w.now)
	return true
}

// clog holds back what is sent on a link from now on.
func (w *World) clog(from, to *Host) bool {
	if from == nil || to == nil || from == to || w.link(from, to).clogged {
		return false
	}
	w.link(from, to).clogged = true
	w.trouble(from, to, w.now)
	return true
}

// unclog lets arrive what was held back on a link, in some order unless the link
// is a stream, as if it had been sent now.
func (w *World) unclog(from, to *Host) bool {
	if from == nil || to == nil || !w.link(from, to).clogged {
		return false
	}
	l := w.link(from, to)
	l.clogged = false
	w.trouble(from, to, w.now)
	for _, slot := range l.held {
		if l.stream != 0 {
			w.pass(to, &w.net.streams[l.stream], heldMessage{slot, 0, splitmix.Mix(w.seed, w.queue.items[slot].number)})
			continue
		}
		draw := splitmix.Mix(w.seed, w.queue.items[slot].number)
		at := w.now + w.latency(draw) + to.slow
		w.queue.pushSlot(at, w.tie(draw, to, at), slot)
	}
	l.held = l.held[:0]
	return true
}

// healNetwork ends all cuts, clogs, flaky and lossy links, stalls and mutes, and reports whether there
// were any. What is broken for good stays cut off from the manager and the nodes;
// but a client that cannot reach a node is no reason to do without that node.
func (w *World) healNetwork() bool {
	changed := len(w.net.streams) > 0 && w.healStreams()
	for i := range w.net.links {
		l := &w.net.links[i]
		from, to := w.hosts[i/len(w.hosts)], w.hosts[i%len(w.hosts)]
		if l.cut || l.clogged || l.flaky != 0 {
			changed = true
			w.trouble(from, to, w.now)
		}
		l.flaky = 0
		if (from.broken || to.broken) && from.role != RoleClient && to.role != RoleClient {
			continue
		}
		l.cut = false
		w.unclog(from, to)
	}
	return changed
}

// makeFlaky sets how unreliable a link is from now on, or every link.
func (w *World) makeFlaky(a *schedule.Action) bool {
	rule := int16(0)
	if a.Drop|a.Duplicate|a.Delay|a.Corrupt != 0 {
		rule = int16(len(w.net.rules))
		w.net.rules = append(w.net.rules, flaky{
			drop: uint64(a.Drop), duplicate: uint64(a.Duplicate), delay: uint64(a.Delay), corrupt: uint64(a.Corrupt),
			delayMax: int64(a.DelayMax),
		})
	}
	if a.Link == (schedule.Link{}) {
		for i := range w.net.links {
			if from, to := w.hosts[i/len(w.hosts)], w.hosts[i%len(w.hosts)]; from != to {
				w.net.links[i].flaky = rule
				w.trouble(from, to, w.now)
			}
		}
		return true
	}
	from, to := w.hostNamed(a.Link.From), w.hostNamed(a.Link.To)
	if from == nil || to == nil || from == to {
		return false
	}
	w.link(from, to).flaky = rule
	w.trouble(from, to, w.now)
	return true
}
