package sim

import (
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/mark"
	"gtstore/sim/splitmix"
)

// pushLocal makes an envelope reach the process that runs on a host now, and no
// later one. The item is good until the next push.
func (w *World) pushLocal(h *Host, at int64, tie uint32, e *core.Envelope) *item {
	it := w.queue.push(at, tie)
	it.kind, it.env, it.life = itemLocal, *e, h.life
	it.from, it.to = int16(h.index), int16(h.index)
	return it
}

// arm makes sure that a timer goes off by the host's deadline. An earlier timer that is
// in the queue already is left alone: it looks at the deadline when it goes off. Most
// deadlines are put off before they come.
func (w *World) arm(h *Host) {
	if h.deadline == core.Never {
		return
	}
	at := max(h.clock.virtual(h.deadline), w.now) + h.slow
	if at >= h.timerAt {
		return
	}
	h.timerAt = at
	tie := w.net.Tie(splitmix.Mix(splitmix.Mix(w.seed, saltTimer<<32|h.code), uint64(at)), h.index, at)
	if w.batch > 1 {
		tie |= 0xffff // after all that is due at this host at the same time
	}
	it := w.queue.push(at, tie)
	it.kind, it.to, it.life = itemTimer, int16(h.index), h.life
}

// onTimer ticks a host whose deadline has come.
func (w *World) onTimer(h *Host, life uint32) {
	if h.life != life || h.timerAt != w.now {
		return // of an earlier process, or overtaken by an earlier timer
	}
	h.timerAt = never
	if h.paused {
		return
	}
	if h.deadline > h.clock.local(w.now) {
		w.arm(h)
		return
	}
	w.finish(h)
}

// arrive gives what the slot holds to its host, and with it all that is due
// there at the same time, up to the size of a batch.
func (w *World) arrive(h *Host, slot uint32) {
	if !w.ready(h, slot) {
		return
	}
	if h.busy {
		h.inbox = append(h.inbox, waiting{slot, w.now})
		w.work(h)
		return
	}
	w.step(h, slot)
	for n := 1; n < w.batch && w.violation == nil && h.out.Halt == nil && len(w.queue.heap) > 0; n++ {
		e := w.queue.top()
		it := &w.queue.items[e.slot]
		if e.at != w.now || int(it.to) != h.index || it.kind != itemMessage && it.kind != itemLocal {
			break
		}
		slot := w.queue.pop().slot
		if w.ready(h, slot) {
			w.step(h, slot)
		}
	}
	w.finish(h)
}

// waiting is a message that a busy process has not taken in yet.
type waiting struct {
	slot  uint32
	since int64
}

// work has a busy process take in the first of its inbox, as soon as it can.
func (w *World) work(h *Host) {
	if h.working || h.paused || len(h.inbox) == 0 {
		return
	}
	h.working = true
	it := w.queue.push(w.now+h.cost, tieFree)
	it.kind, it.to, it.life = itemWork, int16(h.index), h.life
}

// onWork ends the work on a message. A process that is paused meanwhile does it
// again when it goes on.
func (w *World) onWork(h *Host, life uint32) {
	if life != h.life {
		return
	}
	h.working = false
	if h.paused {
		return
	}
	m := h.inbox[0]
	h.inbox = h.inbox[1:]
	if w.now-m.since > int64(bounds.WorkMax) {
		w.troubleIf(h, true)
	}
	w.reachIf(mark.OverloadedNode, h.role == RoleStorage && w.now-m.since > int64(mark.Wait))
	h.busy = h.cost > 0 || len(h.inbox) > 0
	w.step(h, m.slot)
	w.finish(h)
	w.work(h)
}

// setCost makes each message take a process that long from now on. 0 ends that: what
// waits in the inbox is then taken in as soon as the work on its first message is over.
func (w *World) setCost(h *Host, cost int64) {
	h.cost = cost
	h.busy = cost > 0 || len(h.inbox) > 0
}

// ready tells whether an item can be stepped now, and disposes of it if not.
func (w *World) ready(h *Host, slot uint32) bool {
	it := &w.queue.items[slot]
	switch {
	case it.kind == itemLocal && it.life != h.life:
	case !h.up:
		w.refuse(it)
	case h.paused:
		h.backlog = append(h.backlog, slot)
		return false
	default:
		return true
	}
	w.queue.release(slot)
	return false
}

// step is one event: a message is taken in. The envelope stays in its slot until
// then: a copy here would be an allocation.
func (w *World) step(h *Host, slot uint32) {
	it := &w.queue.items[slot]
	env, from := &it.env, w.hosts[it.from]
	k := core.KindOf(env.Body)
	if it.kind == itemMessage {
		if w.options.CheckImmutable && it.sum != w.hashEnvelope(env) {
			w.Fail("immutability", "a %v from %s to %s was changed after it was sent", k, from.name, h.name)
		}
		w.net.Talk(from.index, h.index)
	} else if down, ok := env.Body.(*core.PeerDown); ok {
		w.net.ToldDown(from.index, h.index, down.Peer.ID)
	}
	w.countEvent(h, k, env)
	if w.log != nil {
		w.logMessage(LogDelivered, from, h, it.number, env, "")
	}
	w.inCore = h
	h.node.Step(h.clock.local(w.now), *env, &h.out)
	w.inCore = nil
	w.taken = env
	w.afterEvent(h)
	w.taken = nil
	w.queue.release(slot)
}

// ticksMax is how many Ticks in a row a node may ask for at one moment.
const ticksMax = 100

// finish ticks the node as long as it asks for it, carries out the Output and
// sets the timer.
func (w *World) finish(h *Host) {
	now := h.clock.local(w.now)
	for n := 0; w.violation == nil && h.out.Halt == nil; n++ {
		w.inCore = h
		h.deadline = h.node.Deadline()
		w.inCore = nil
		if h.deadline > now {
			break
		}
		if n == ticksMax {
			w.Fail("livelock", "%s asks for another Tick after %d at the same moment", h.name, ticksMax)
			return
		}
		w.countEvent(h, 0, nil)
		if w.log != nil {
			w.logMessage(LogTicked, h, h, 0, nil, "")
		}
		w.inCore = h
		h.node.Tick(now, &h.out)
		w.inCore = nil
		w.afterEvent(h)
	}
	w.flush(h)
	if h.up {
		w.arm(h)
	}
}

// flush carries out a host's Output.
func (w *World) flush(h *Host) {
	out := &h.out
	if w.options.Tamper != nil {
		w.options.Tamper(h, out)
	}
	for i := range out.Send {
		w.send(h, &out.Send[i])
	}
	persist := out.Persist
	if !w.schedule.Shape.Durable {
		persist = nil
	}
	h.disk.gate.Take(persist, out.After, func(e *core.Envelope) { w.send(h, e) })
	w.sync(h)
	why := out.Halt
	out.Reset()
	h.told, h.sent, h.held = 0, 0, 0
	if why != nil {
		w.halt(h, why)
	}
}

// countEvent notes that an event happens, in the hash too. Kind 0 is a Tick.
func (w *World) countEvent(h *Host, k core.Kind, e *core.Envelope) {
	w.events++
	what := uint64(w.now)
	if k == 0 {
		w.ticks++
	} else {
		w.byKind[k]++
		if w.options.FullHash {
			what = splitmix.Mix(what, w.hashEnvelope(e))
		} else {
			what = splitmix.Mix(what, sketch(e.Body)^uint64(e.From.ID))
		}
	}
	w.hash = splitmix.Mix(w.hash, what^(h.code<<8|uint64(k))<<48)
	if w.events > w.options.EventsMax {
		w.Fail("livelock", "more than %d events", w.options.EventsMax)
	}
}

// sketch hashes a part of the commonest messages: enough that two runs that differ soon
// have different hashes. Hashing every message whole would cost more than the rest of
// the engine.
func sketch(m core.Message) uint64 {
	switch m := m.(type) {
	case *core.Replicate:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), splitmix.Mix(uint64(m.Prev.Seq)<<32^uint64(len(m.Entries)), uint64(m.Commit)<<32^m.Round))
	case *core.Ack:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), m.Round<<32^uint64(m.Matched))
	case *core.Nack:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), m.Round<<32^uint64(m.Last))
	case *core.Op:
		return splitmix.Mix(uint64(m.Kind)<<32^m.Req, uint64(m.Session)<<32^m.OpSeq)
	case *core.Reply:
		return splitmix.Mix(uint64(m.Status)<<32^m.Req, uint64(m.Version)<<32^uint64(m.Epoch))
	case *core.Ping:
		return m.Nonce
	case *core.Pong:
		return splitmix.Mix(m.Nonce, uint64(m.Index))
	case *core.Config:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), uint64(len(m.Chain)))
	case *core.LookupReply:
		return splitmix.Mix(uint64(m.Status), m.Req)
	case *core.PeerDown:
		return uint64(m.Peer.ID)
	}
	return 0
}

// afterEvent ends an event.
func (w *World) afterEvent(h *Host) {
	w.hash = splitmix.Mix(w.hash, uint64(len(h.out.Send))<<40^uint64(len(h.out.Persist))<<20^uint64(len(h.out.After)))
	w.recording.Checkpoint(w.events, w.hash)
	if w.options.KeepHashes {
		w.hashes = append(w.hashes, w.hash)
	}
	if w.options.Observer != nil {
		w.options.Observer.AfterEvent(w, h)
	}
	h.told, h.sent, h.held = len(h.out.Events), len(h.out.Send), len(h.out.After)
}

// changed tells of what happened to a host.
func (w *World) changed(h *Host, c Change) {
	w.hash = splitmix.Mix(w.hash, uint64(w.now)^(h.code<<8|uint64(c))<<40)
	w.noteChange(h, c)
	if w.log != nil {
		w.log(&LogRecord{At: time.Duration(w.now), What: LogChanged, To: h.name, Text: c.String()})
	}
	if w.options.Observer != nil {
		w.options.Observer.AfterChange(w, h, c)
	}
}
