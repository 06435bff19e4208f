package cluster

import (
	"fmt"
	"time"

	"gtstore/sim/explore"
)

// chief has a real manager's timer go off, its disk sync, its process end and start, and puts
// what it is asked.
func (w *worker) chief(to *explore.Sink) {
	m := w.m
	g := m.managers.at(w.at.manager)
	c := g.chief
	do := func(what uint32, name string) { w.order(to, what, label{what: labelChief, order: name}) }
	if len(c.gate) > 0 {
		w.next.set(&w.at)
		do(orderSync, "has made its oldest batch durable")
	}
	if !g.up() {
		w.next.set(&w.at)
		do(orderStart, "starts")
		return
	}
	if w.at.left[budgetTimeout] > 0 && c.due != neverDue {
		if w.next.set(&w.at); w.elapsePromptly(c.due) {
			w.spend(budgetTimeout)
			do(orderTick, fmt.Sprintf("has its timer go off after %v", c.due))
		}
	}
	if w.at.left[budgetManagerCrash] > 0 {
		for keep := range len(c.gate) + 1 {
			w.next.set(&w.at)
			w.spend(budgetManagerCrash)
			do(orderCrash+uint32(keep), fmt.Sprintf("crashes, and of %d batches that were not durable its disk keeps %d", len(c.gate), keep))
		}
	}
	for i := range m.scenario.asks {
		w.ask(to, i)
	}
}

// ask puts an ask.
func (w *worker) ask(to *explore.Sink, i int) {
	m, a := w.m, &w.m.scenario.asks[i]
	if w.at.left[askSlot+i] == 0 {
		return
	}
	w.next.set(&w.at)
	w.next.left[askSlot+i] = 0
	if a.verb != askLookup && a.verb != askReport { // a client's word is no cause to remove anybody
		w.next.left[awaySlot] |= 1 << a.host
	}
	switch {
	case a.verb == askStop:
		if m.hosts.at(w.at.hosts[a.host]).up() {
			w.step(to, a.host, inputStop, -1, label{what: labelStops, host: a.host})
		}
	case a.verb == askReport && m.managers.at(w.at.manager).config() == nil:
	default:
		w.order(to, orderAsk+uint32(i), label{what: labelChief, order: "is asked to " + a.String()})
	}
}

// elapsePromptly lets time pass until a timer is due. Messages and disks take no time: what is
// under way when a timer goes off is late, and so is a timer that was due before.
func (w *worker) elapsePromptly(due time.Duration) bool {
	m, g := w.m, w.m.managers.at(w.next.manager)
	late := len(w.next.messages)
	for _, id := range w.next.messages {
		if m.scenario.Cut > 0 && m.messages.at(id).isOf(m.scenario.Cut-1) {
			late--
		}
	}
	other := g.up() && (len(g.chief.gate) > 0 || g.chief.due < due)
	for _, id := range w.next.hosts {
		h := m.hosts.at(id)
		other = other || len(h.gate) > 0 || h.up() && h.due < due
	}
	switch named := m.scenario.Cut > 0; {
	case named && (late > 0 || other):
		return false // only that node's messages take time
	case len(w.next.messages) == 0 && !other:
	case !w.spend(budgetLate):
		return false
	case named:
		w.next.left[awaySlot] |= 1 << (m.scenario.Cut - 1)
		for len(w.next.messages) > 0 {
			m.take(&w.next, 0)
		}
	default:
		w.next.left[awaySlot] = everybody
	}
	for i, id := range w.next.hosts {
		if m.hosts.at(id).up() {
			w.next.hosts[i] = m.later(id, due)
		}
	}
	if g.up() {
		w.next.manager = m.managerLater(w.next.manager, due)
	}
	return true
}

// delivery has a message get lost, and one to a process that is down refused; it returns
// whether that was all that can become of it.
func (w *worker) delivery(to *explore.Sink, i int, id uint32, msg *message) bool {
	m := w.m
	if w.next.set(&w.at); w.spend(budgetLose) {
		m.take(&w.next, i)
		w.next.left[awaySlot] = everybody
		w.void(to, label{what: labelVoid, message: msg, order: "the network loses"})
	}
	w.next.set(&w.at)
	if msg.to < 0 && !m.managers.at(w.at.manager).up() {
		m.take(&w.next, i)
		w.void(to, label{what: labelVoid, message: msg, order: "the manager is down for"})
		return true
	}
	if msg.to < 0 || m.hosts.at(w.at.hosts[msg.to]).up() {
		return false
	}
	m.take(&w.next, i)
	name := label{what: labelRefused, host: msg.to, message: msg}
	switch from := indexOf(msg.envelope.From); {
	case msg.envelope.From.Addr == managerAddr && m.managers.at(w.at.manager).up():
		w.order(to, orderRefused+uint32(msg.to), name)
	case from >= 0 && from < len(w.at.hosts) && m.hosts.at(w.at.hosts[from]).up():
		w.step(to, from, uint32(inputRefused+msg.to*inputKeep), -1, name)
	default:
		w.void(to, name)
	}
	return true
}

// everybody may have been away.
const everybody = 1<<hostsMax - 1

// isOf tells whether a message is to a host, or from it.
func (m *message) isOf(host int) bool { return m.to == host || indexOf(m.envelope.From) == host }

// void finishes a successor in which nobody takes in anything.
func (w *worker) void(to *explore.Sink, name label) {
	w.name(to, name)
	w.add(to)
}

// refuse does with a message to a process that is down what delivery does, in calm.
func (m *Model) refuse(w *world, i int) bool {
	msg := m.messages.at(w.messages[i])
	if msg.to < 0 || m.hosts.at(w.hosts[msg.to]).up() {
		return false
	}
	m.take(w, i)
	if msg.envelope.From.Addr == managerAddr {
		m.applyOrder(w, m.order(w.manager, orderRefused+uint32(msg.to)))
	} else if from := indexOf(msg.envelope.From); from >= 0 && from < len(w.hosts) && m.hosts.at(w.hosts[from]).up() {
		m.input(w, from, uint32(inputRefused+msg.to*inputKeep), -1)
	}
	return true
}

// calmAsks asks again for what is not answered, as those who wait do.
func (m *Model) calmAsks(w *world) *broken {
	for i := range m.scenario.asks {
		if m.scenario.asks[i].waits() && !m.managers.at(w.manager).chief.asks[i].done {
			if b := m.applyOrder(w, m.order(w.manager, orderAsk+uint32(i))); b != nil {
				return b
			}
		}
	}
	return nil
}

// rested tells whether a real manager has nothing left to do.
func (m *Model) rested(w *world) bool { return m.restless(w) == "" }

// restless says what a real manager has not done yet: each ask is answered, no join is under
// way, who is up knows the last config, and the group is as strong as the nodes allow.
func (m *Model) restless(w *world) string {
	g := m.managers.at(w.manager)
	if g.chief == nil {
		return ""
	}
	if !g.up() {
		return "the manager stays down"
	}
	for i := range g.chief.asks {
		if a := &m.scenario.asks[i]; a.waits() && !g.chief.asks[i].done {
			return a.String() + " is never answered"
		}
	}
	c := g.config()
	if c == nil {
		return ""
	}
	spares, lead := 0, m.hosts.at(w.hosts[indexOf(c.Chain[0])]).up()
	for i := range g.chief.node.Nodes() {
		n := g.chief.node.Node(i, g.chief.now)
		h := m.hosts.at(w.hosts[n.ID-1])
		member := c.Position(n.ID) >= 0
		switch {
		case !h.up() && member && len(c.Chain) > 1 && h.ended:
			return "a node that has ended stays a member"
		case !h.up() && m.scenario.Durable && !h.ended:
			return hostName(int(n.ID)-1) + " stays down"
		case !h.up():
		case member && h.facts.epoch != c.Epoch:
			return hostName(int(n.ID)-1) + " never knows the last config"
		case !member && n.Group == 0 && !n.Gone && !n.Draining:
			spares++
		}
	}
	lost, certain := g.chief.node.Lost(group)
	switch {
	case !lead:
	case lost && !certain:
		return "the presumed loss is never withdrawn"
	case !m.hosts.at(w.hosts[indexOf(c.Chain[0])]).facts.serving:
		return "the primary never serves"
	case c.Joining.ID != 0:
		return "a join never ends"
	case len(c.Chain) < m.scenario.Members && spares > 0:
		return "a spare is never used"
	}
	return ""
}
