package cluster

import (
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim/explore"
)

// worker gives the states of a model, for one goroutine.
type worker struct {
	m     *Model
	at    world // whose successors are asked for
	next  world
	bytes []byte
	calm  world
	way   []uint64

	labels *[]label // of the steps that are named, for who wants them
}

// name names the step of the next add, where that is wanted.
func (w *worker) name(to *explore.Sink, l label) {
	if !to.Naming() {
		return
	}
	l.several = w.m.several()
	to.Name(l.String())
	if w.labels != nil {
		*w.labels = append(*w.labels, l)
	}
}

// Initial implements explore.Worker.
func (w *worker) Initial(to *explore.Sink) {
	w.next.set(&w.m.begin)
	w.add(to)
}

func (w *worker) add(to *explore.Sink) {
	if w.m.drops {
		w.drop()
	}
	w.bytes = w.next.encode(w.bytes[:0])
	to.Add(mix(w.m.print(&w.next)^w.next.sum, w.next.budgets()), w.bytes)
}

// Next implements explore.Worker.
func (w *worker) Next(state []byte, to *explore.Sink) {
	m := w.m
	m.decode(&w.at, state)
	if m.scenario.Finish {
		if b := w.finishes(); b != nil {
			to.Fail(b.property, b.text)
		}
	}
	w.deliveries(to)
	w.operations(to)
	if m.scenario.Real {
		w.chief(to)
	}
	w.seatAsks(to)
	for i, id := range w.at.hosts {
		h := m.hosts.at(id)
		if len(h.gate) > 0 {
			w.host(to, i, inputSync, label{what: labelSynced, host: i})
		}
		w.faults(to, i, h)
	}
	w.orders(to)
}

// spend takes from a budget; false if there is nothing left.
func (w *worker) spend(b budget) bool {
	if w.next.left[b] == 0 {
		return false
	}
	w.next.left[b]--
	return true
}

// deliveries has each message taken in, once or not for the last time. One that does nothing
// at all at a host is left where it is: without it the same could happen as with it, and
// less, as any message may be late for ever.
func (w *worker) deliveries(to *explore.Sink) {
	m := w.m
	for i, id := range w.at.messages {
		if i > 0 && w.at.messages[i-1] == id {
			continue
		}
		msg := m.messages.at(id)
		if m.scenario.Real && w.delivery(to, i, id, msg) {
			continue
		}
		if msg.to < 0 {
			if o := m.order(w.at.manager, id); o.to != w.at.manager || o.answers {
				w.next.set(&w.at)
				m.take(&w.next, i)
				w.order(to, id, label{what: labelManager, message: msg})
			}
			continue
		}
		host := w.at.hosts[msg.to]
		if !m.hosts.at(host).up() || !m.whole && !m.scenario.Real && m.after(host, id).quiet(host) {
			continue
		}
		w.next.set(&w.at)
		m.take(&w.next, i)
		w.step(to, msg.to, id, -1, label{what: labelTakes, host: msg.to, message: msg})
		if kind := m.scenario.Repeat; kind != 0 && kind != core.KindOf(msg.envelope.Body) {
			continue
		}
		if w.next.set(&w.at); w.spend(budgetRepeat) {
			w.step(to, msg.to, id, -1, label{what: labelTakesAgain, host: msg.to, message: msg})
		}
	}
}

// operations has clients ask: for their next operation once the last is done, anew where
// they were refused, and again within the budget.
func (w *worker) operations(to *explore.Sink) {
	m := w.m
	p := m.pasts.at(w.at.past)
	for i := range m.ops {
		state := p.states[i]
		if state == opIdle && i > 0 && m.ops[i-1].client == m.ops[i].client && p.states[i-1] != opDone {
			continue
		}
		again := state == opCalled || state == opDone
		if again && w.at.left[budgetAgain] == 0 {
			continue
		}
		for host, id := range w.at.hosts {
			if !m.hosts.at(id).up() {
				continue
			}
			w.next.set(&w.at)
			if again {
				w.spend(budgetAgain)
			}
			w.step(to, host, m.requests[i][host], i, label{what: labelAsks, host: host, op: &m.ops[i]})
		}
	}
}

// faults has a host's timer go off, its process end, or start.
func (w *worker) faults(to *explore.Sink, i int, h *host) {
	left := &w.at.left
	if !h.up() {
		if w.next.set(&w.at); h.seat != nil && h.seat.free || !h.ended && w.spend(budgetRestart) {
			w.step(to, i, inputStart, -1, label{what: labelStarts, host: i})
		}
		return
	}
	if left[budgetTimeout] > 0 && h.due != neverDue {
		if w.next.set(&w.at); w.elapse(i, h.due) {
			w.spend(budgetTimeout)
			w.step(to, i, inputTick, -1, label{what: labelTimer, host: i, due: h.due})
		}
	}
	if w.next.set(&w.at); w.spend(budgetWipe) {
		w.step(to, i, inputWipe, -1, label{what: labelWiped, host: i})
	}
	if left[budgetCrash] == 0 {
		return
	}
	for keep := range len(h.gate) + 1 {
		w.next.set(&w.at)
		w.spend(budgetCrash)
		w.step(to, i, uint32(inputCrash+keep*inputKeep), -1, label{what: labelCrashes, host: i, keep: keep, pending: len(h.gate)})
	}
}

// elapse lets time pass until a host's timer is due. A timer that was due before is late,
// which is a matter of its host's clock, or of a pause; false if none may be.
func (w *worker) elapse(i int, due time.Duration) bool {
	m := w.m
	if m.scenario.Real {
		return w.elapsePromptly(due)
	}
	for j, id := range w.next.hosts {
		other := m.hosts.at(id)
		if j != i && other.up() && other.due < due && !w.spend(budgetLate) {
			return false
		}
	}
	for j, id := range w.next.hosts {
		if m.hosts.at(id).up() {
			w.next.hosts[j] = m.later(id, due)
		}
	}
	return true
}

// orders has the manager issue each config that it may.
func (w *worker) orders(to *explore.Sink) {
	for _, o := range [...]struct {
		budget budget
		order  uint32
		name   string
	}{{budgetEvict, orderEvict, "evicts"}, {budgetJoin, orderJoin, "begins the join of"}, {budgetEndJoin, orderEndJoin, "ends the join of"}} {
		if w.at.left[o.budget] == 0 {
			continue
		}
		for i := range w.at.hosts {
			if o.budget == budgetJoin && !w.m.hosts.at(w.at.hosts[i]).up() {
				continue // nobody recruits a node that does not answer
			}
			if what := o.order + uint32(i); w.m.order(w.at.manager, what).legal {
				w.next.set(&w.at)
				w.spend(o.budget)
				w.order(to, what, label{what: labelOrders, host: i, order: o.name})
			}
		}
	}
}

// host begins a successor in which something happens to one host.
func (w *worker) host(to *explore.Sink, i int, input uint32, name label) {
	w.next.set(&w.at)
	w.step(to, i, input, -1, name)
}

// step finishes a successor in which one host takes in something: the request of the
// operation called, unless that is -1.
func (w *worker) step(to *explore.Sink, i int, input uint32, called int, name label) {
	e := w.m.after(w.next.hosts[i], input)
	if called >= 0 && !w.m.takesIn(w.next.past, w.next.hosts[i], e, called) {
		if called = -1; e.to == w.next.hosts[i] && len(e.sent) == 0 {
			return
		}
	}
	heard := len(e.told) > 0
	if heard && w.next.left[budgetLose] > 0 {
		w.calm.set(&w.next)
		w.next.left[budgetLose]--
		name.lost = true
		w.finish(to, i, e, called, false, name)
		name.lost = false
		w.next.set(&w.calm)
	}
	w.finish(to, i, e, called, true, name)
}

// takesIn tells whether a request does anything. A client that is refused at once, and has
// asked nobody else, has not called.
func (m *Model) takesIn(pastID, host uint32, e *edge, called int) bool {
	if e.broken != nil {
		return true
	}
	for _, r := range e.told {
		if int(r.Req) == called+1 && (r.Status == core.StatusNotPrimary || r.Status == core.StatusUnavailable || r.Status == core.StatusOverloaded) {
			return false
		}
	}
	return m.pasts.at(pastID).states[called] != opDone || !e.quiet(host)
}

// finish adds the successor, and judges it.
func (w *worker) finish(to *explore.Sink, i int, e *edge, called int, heard bool, name label) {
	from := w.next.hosts[i]
	b := w.m.apply(&w.next, i, e, called, heard)
	w.name(to, name)
	w.add(to)
	if b == nil {
		b = w.m.judge(&w.next, i, from, e)
	}
	if b != nil {
		to.Fail(b.property, b.text)
	}
}

// apply changes a state by what one host did.
func (m *Model) apply(w *world, i int, e *edge, called int, heard bool) *broken {
	from := w.hosts[i]
	w.hosts[i] = e.to
	if called >= 0 {
		w.past = m.call(w.past, called)
	}
	for _, id := range e.sent {
		m.send(w, id)
	}
	for _, id := range e.asked {
		m.send(w, id)
	}
	if heard {
		for _, r := range e.told {
			w.past = m.hear(w.past, r)
		}
	}
	if m.scenario.Real && !m.hosts.at(e.to).up() {
		w.left[awaySlot] |= 1 << i
	}
	if !m.scenario.Real && m.hosts.at(from).up() && !m.hosts.at(e.to).up() && !m.startsAgain(w, e.to) {
		m.forgetMessages(w, i)
	}
	if e.broken != nil {
		return e.broken
	}
	if b := m.hosts.at(e.to).broken; b != nil {
		return b
	}
	if b := m.pasts.at(w.past).broken; b != nil {
		return b
	}
	g := m.look(w.ghost, e.to, e)
	w.ghost = g.to
	return g.broken
}

// startsAgain tells whether a host that is down may start, and be what it was to its messages.
func (m *Model) startsAgain(w *world, id uint32) bool {
	if s := m.hosts.at(id).seat; s != nil {
		return s.free || w.left[budgetRestart] > 0
	}
	return m.scenario.Durable && w.left[budgetRestart] > 0
}

// forgetMessages drops what is under way to a host that is down for good.
func (m *Model) forgetMessages(w *world, i int) {
	w.messages = slices.DeleteFunc(w.messages, func(id uint32) bool {
		gone := m.messages.at(id).to == i
		if gone {
			w.sum -= m.messages.at(id).key[1]
		}
		return gone
	})
}

// order finishes a successor in which the manager takes in something.
func (w *worker) order(to *explore.Sink, what uint32, name label) {
	o := w.m.order(w.next.manager, what)
	b := w.m.applyOrder(&w.next, o)
	w.name(to, name)
	w.add(to)
	if b == nil {
		b = w.m.judgeOrder(&w.next, o)
	}
	if b == nil {
		b = w.m.judgeAll(&w.next)
	}
	if b != nil {
		to.Fail(b.property, b.text)
	}
}

// applyOrder changes a state by what the manager did. What it answers to a Register is heard
// at once: nothing depends on when.
func (m *Model) applyOrder(w *world, o *order) *broken {
	w.manager = o.to
	for _, id := range o.sent {
		if to := m.messages.at(id).to; m.scenario.Real || m.hosts.at(w.hosts[to]).up() || m.scenario.Durable && w.left[budgetRestart] > 0 {
			m.send(w, id)
		}
	}
	if !o.answers {
		return o.broken
	}
	if i := m.messages.at(o.answer).to; m.hosts.at(w.hosts[i]).up() {
		return m.apply(w, i, m.after(w.hosts[i], o.answer), -1, true)
	}
	return nil
}
