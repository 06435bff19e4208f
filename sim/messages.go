package sim

import (
	"gtstore/core"
	"gtstore/sim/network"
)

// makeNetwork connects the hosts, all of which are down.
func (w *World) makeNetwork() {
	w.initLedger()
	codes := make([]uint64, len(w.hosts))
	for i, h := range w.hosts {
		codes[i] = h.code
	}
	w.net = network.New(w.schedule, codes, func(name string) int {
		if h := w.hostNamed(name); h != nil {
			return h.index
		}
		return -1
	}, &w.ledger)
}

// send carries out one envelope of a host's Output.
func (w *World) send(from *Host, e *core.Envelope) {
	switch {
	case e.To.ID == from.peer.ID && e.To.ID != 0:
		w.pushLocal(from, w.now, tieLocal, e)
		return
	case e.To.Addr == "":
		w.takeResult(from, e)
		return
	case e.To.Addr == operatorAddr:
		w.answered(e)
		return
	}
	k := core.KindOf(e.Body)
	to := w.hostNamed(e.To.Addr)
	if to == nil || k.Local() {
		w.Fail("driver-contract", "%s sent a %v to %q", from.name, k, e.To.Addr)
		return
	}
	w.transmit(from, to, k, e)
}

// transmit puts an envelope on the network.
func (w *World) transmit(from, to *Host, k core.Kind, e *core.Envelope) {
	w.sent++
	number := w.sent
	if w.log != nil {
		w.logMessage(LogSent, from, to, number, e, "")
	}
	fate := w.net.Send(w.now, from.index, to.index, k, number)
	if fate.Lost != 0 {
		if fate.Lost == network.LostByCorruption {
			w.corrupt(&fate, e)
		}
		w.logLost(from, to, number, e, fate.Lost.String())
		return
	}
	if !w.options.CheckImmutable && w.samples(k, number) { // who changes a copy is not noticed
		if e = w.throughCodec(from, e); e.Body == nil {
			return
		}
	}
	for i := range fate.Copies() {
		slot := w.queue.alloc()
		w.hold(slot, from, to, e, number)
		if at, tie, other := w.net.Carry(w.now, &fate, i, slot, e); other == nil {
			w.queue.pushSlot(at, tie, slot)
		} else {
			w.carryOut(other)
		}
	}
}

// Which messages are encoded and decoded on their way: to do so with each would take longer
// than the rest of a run. Of the rare kinds it is every one.
const (
	codedFirst = 2   // of each kind in a run
	codedEach  = 100 // one of so many of those that follow
)

// samples tells whether a message is to go through the codec.
func (w *World) samples(k core.Kind, number uint64) bool {
	if w.coded[k] < codedFirst {
		w.coded[k]++
		return true
	}
	return number%codedEach == 0
}

// throughCodec returns a message as its receiver reads it from the wire. What the codec
// leaves out is missing there, and what it does not take stops the run.
func (w *World) throughCodec(from *Host, e *core.Envelope) *core.Envelope {
	w.inCore = from
	frame := core.AppendEnvelope(w.scratch[:0], e)
	w.inCore = nil
	w.scratch = frame
	read, err := core.DecodeEnvelope(frame)
	if err != nil {
		w.Fail("codec", "a %v of %s cannot be read by its receiver: %v", core.KindOf(e.Body), from.name, err)
	}
	return &read
}

// hold makes a slot hold a message.
func (w *World) hold(slot uint32, from, to *Host, e *core.Envelope, number uint64) {
	it := &w.queue.items[slot]
	it.kind, it.env, it.number = itemMessage, *e, number
	it.from, it.to = int16(from.index), int16(to.index)
	if w.options.CheckImmutable {
		it.sum = w.hashEnvelope(e)
	}
}

// carryOut does what the network has decided.
func (w *World) carryOut(decisions []network.Decision) {
	for i := range decisions {
		d := &decisions[i]
		switch d.What {
		case network.Arrive:
			w.queue.pushSlot(d.At, d.Tie, d.Slot)
		case network.Lose:
			it := &w.queue.items[d.Slot]
			w.logLost(w.hosts[it.from], w.hosts[it.to], it.number, &it.env, d.Why.String())
			w.queue.release(d.Slot)
		case network.LookAtLink:
			it := w.queue.push(d.At, tieLocal)
			it.kind, it.from, it.to = itemLink, d.From, d.To
		case network.LookAtHost:
			it := w.queue.push(d.At, tieLocal)
			it.kind, it.to, it.number = itemUplink, d.From, d.Part
		}
	}
}

// corrupt flips a bit of the message's frame. The receiver must notice, and then
// the message is as good as lost.
func (w *World) corrupt(fate *network.Fate, e *core.Envelope) {
	frame := core.AppendEnvelope(w.scratch[:0], e)
	w.scratch = frame
	bit := fate.Bit(len(frame))
	frame[bit/8] ^= 1 << (bit % 8)
	if _, err := core.DecodeEnvelope(frame); err == nil {
		w.Fail("corruption undetected", "bit %d of a %v of %d bytes was flipped, and it decoded", bit, core.KindOf(e.Body), len(frame))
	}
}

func (w *World) hashEnvelope(e *core.Envelope) (h uint64) {
	h, w.scratch = core.HashEnvelope(w.scratch[:0], e)
	return h
}

// refuse tells the sender that nobody listens at the address, if it still runs
// and the news can reach it.
func (w *World) refuse(it *item) {
	from, to := w.hosts[it.from], w.hosts[it.to]
	w.logLost(from, to, it.number, &it.env, "refused")
	w.net.Disconnect(from.index, to.index)
	if w.Connected(from, to) {
		w.fired.Refused++
		w.tellDown(from, to, it.env.To, true)
	}
}

// tellDown gives a host a PeerDown about a peer at another host, unless one is on
// its way.
func (w *World) tellDown(to, about *Host, peer core.Peer, refused bool) {
	if !to.up {
		return
	}
	at, tie, ok := w.net.TellDown(w.now, about.index, to.index, peer.ID)
	if !ok {
		return
	}
	e := core.Envelope{From: to.peer, To: to.peer, Body: &core.PeerDown{Peer: peer, Refused: refused}}
	it := w.pushLocal(to, at, tie, &e)
	it.from = int16(about.index)
}

// breakConnections tells all who talked with a host that it is gone.
func (w *World) breakConnections(h *Host) {
	for _, other := range w.hosts {
		if other != h && w.net.Talked(h.index, other.index) {
			w.tellDown(other, h, h.peer, false)
		}
	}
}
