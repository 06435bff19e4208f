package cluster

import (
	"strings"

	"gtstore/core"
)

const (
	// calmRounds bounds how often a run without faults may come to rest before all
	// operations are answered: each rest lets the next timer go off.
	calmRounds = 400
	calmSteps  = 20_000
)

// finishes runs on from the state without faults, as if all messages that are under way were
// lost, and tells whether all operations are answered in the end. A state from which one such
// run leads there is remembered, whatever its budgets.
func (w *worker) finishes() *broken {
	m := w.m
	w.way = w.way[:0]
	w.calm.set(&w.at)
	w.calm.messages, w.calm.sum = w.calm.messages[:0], 0
	w.calm.left = m.scenario.budgets // how it ends may not depend on what is left
	for rounds, steps := 0, 0; ; steps++ {
		print := m.print(&w.calm) ^ w.calm.sum
		if m.endings.has(print) || m.ended(&w.calm) && m.rested(&w.calm) {
			break
		}
		w.way = append(w.way, print)
		moved, b := m.calmStep(&w.calm)
		if b == nil && !moved {
			moved, b = m.calmCall(&w.calm, false)
		}
		if b == nil && !moved {
			rounds++
			b = m.rest(&w.calm)
		}
		if b != nil {
			return &broken{b.property, b.text + "; in a run without faults from here"}
		}
		if rounds > calmRounds || steps > calmSteps {
			return brokenf("finishable", "without any more faults %s", m.unanswered(&w.calm))
		}
	}
	for _, print := range w.way {
		m.endings.add(print)
	}
	return nil
}

// ended tells whether there is nothing left to wait for: all is answered, or in memory mode
// no member is left.
func (m *Model) ended(w *world) bool {
	if m.several() {
		return m.seatsEnded(w)
	}
	if m.pasts.at(w.past).done() {
		return true
	}
	if m.scenario.Durable {
		return false
	}
	for _, p := range m.managers.at(w.manager).config().Chain {
		if m.hosts.at(w.hosts[indexOf(p)]).up() {
			return false
		}
	}
	return true
}

func (m *Model) unanswered(w *world) string {
	if m.several() {
		return m.unsettled(w)
	}
	var list []string
	for i, s := range m.pasts.at(w.past).states {
		if s != opDone {
			list = append(list, m.ops[i].String())
		}
	}
	if len(list) == 0 {
		return m.restless(w)
	}
	return strings.Join(list, ", ") + " is never answered"
}

// calmStep does the next thing that takes no time and no client; false if there is none.
func (m *Model) calmStep(w *world) (bool, *broken) {
	if m.several() {
		return m.calmSeat(w)
	}
	if !m.managers.at(w.manager).up() {
		return true, m.applyOrder(w, m.order(w.manager, orderStart))
	}
	for i, id := range w.messages {
		to := m.messages.at(id).to
		if m.scenario.Real && m.refuse(w, i) {
			return true, nil
		}
		if to >= 0 && !m.hosts.at(w.hosts[to]).up() {
			continue
		}
		m.take(w, i)
		if to < 0 {
			return true, m.applyOrder(w, m.order(w.manager, id))
		}
		return true, m.input(w, to, id, -1)
	}
	if c := m.managers.at(w.manager).chief; c != nil && len(c.gate) > 0 {
		return true, m.applyOrder(w, m.order(w.manager, orderSync))
	}
	for i, id := range w.hosts {
		h := m.hosts.at(id)
		switch {
		case len(h.gate) > 0:
			return true, m.input(w, i, inputSync, -1)
		case !h.up() && m.scenario.Durable && !h.ended:
			return true, m.input(w, i, inputStart, -1)
		}
		if c := m.managers.at(w.manager).config(); !h.up() && c != nil && !m.scenario.Real {
			for _, what := range [...]uint32{orderEvict + uint32(i), orderEndJoin + uint32(i)} {
				if o := m.order(w.manager, what); o.legal {
					return true, m.applyOrder(w, o)
				}
			}
		}
	}
	return false, nil
}

func (m *Model) input(w *world, i int, input uint32, called int) *broken {
	return m.apply(w, i, m.after(w.hosts[i], input), called, true)
}

// calmCall has a client ask the primary. Those who wait for an answer ask once more when
// all is at rest.
func (m *Model) calmCall(w *world, again bool) (bool, *broken) {
	c, p := m.managers.at(w.manager).config(), m.pasts.at(w.past)
	if c == nil {
		return false, nil
	}
	host := indexOf(c.Chain[0])
	if !m.hosts.at(w.hosts[host]).up() {
		return false, nil
	}
	for i, s := range p.states {
		first := i == 0 || m.ops[i-1].client != m.ops[i].client || p.states[i-1] == opDone
		if s == opDone || s == opCalled && !again || !first {
			continue
		}
		e := m.after(w.hosts[host], m.requests[i][host])
		if !m.takesIn(w.past, w.hosts[host], e, i) && !again {
			continue
		}
		if b := m.apply(w, host, e, i, true); b != nil {
			return true, b
		}
		if !again {
			return true, nil
		}
	}
	return false, nil
}

// rest is what happens when nothing is under way: the manager tells its config to those who
// do not know it, as it does with its pings; clients ask once more; the next timer goes off.
func (m *Model) rest(w *world) *broken {
	if m.several() {
		return m.nextTimer(w)
	}
	g := m.managers.at(w.manager)
	if m.scenario.Real {
		if b := m.calmAsks(w); b != nil {
			return b
		}
	} else if c := g.config(); c != nil {
		for _, p := range append([]core.Peer{c.Joining}, c.Chain...) {
			i := indexOf(p)
			if p.ID == 0 || !m.hosts.at(w.hosts[i]).up() || m.hosts.at(w.hosts[i]).facts.epoch == c.Epoch {
				continue
			}
			id := m.keepMessage(&core.Envelope{Cluster: cluster, From: managerPeer, To: p, Body: c})
			if b := m.input(w, i, id, -1); b != nil {
				return b
			}
		}
	}
	if _, b := m.calmCall(w, true); b != nil {
		return b
	}
	return m.nextTimer(w)
}

// nextTimer lets time pass until a timer goes off, of all that are due.
func (m *Model) nextTimer(w *world) *broken {
	due := m.managers.at(w.manager).dueOf()
	for _, id := range w.hosts {
		if h := m.hosts.at(id); h.up() {
			due = min(due, h.due)
		}
	}
	if due == neverDue {
		return nil
	}
	for i, id := range w.hosts {
		if m.hosts.at(id).up() {
			w.hosts[i] = m.later(id, due)
		}
	}
	w.manager = m.managerLater(w.manager, due)
	if m.managers.at(w.manager).dueOf() == 0 {
		if b := m.applyOrder(w, m.order(w.manager, orderTick)); b != nil {
			return b
		}
	}
	for i := range w.hosts {
		if h := m.hosts.at(w.hosts[i]); h.up() && h.due == 0 {
			if b := m.input(w, i, inputTick, -1); b != nil {
				return b
			}
		}
	}
	return nil
}
