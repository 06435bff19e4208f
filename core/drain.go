package core

import "slices"

// An operator drains a node to stop it: its place goes to a spare, and then it is
// not used again until it is started anew. The wish is a command of the Directory. So
// it outlives a restart of the manager, and it comes after the commands that were about
// to use the node: an answer stays true. A drain that cannot be done is taken back, and
// the operator is told. A drain that waits for something shows in the status.

// refusedDrain is a drain that could not be done, and the answer to it. The request may
// come again, late or repeated. It must not begin a drain then, as the operator was told
// that there is none.
type refusedDrain struct {
	operatorRequest
	status Status
}

// refusedMax bounds how many refusals are remembered.
const refusedMax = 64

func (m *Manager) onDrain(from Peer, b *Drain) {
	d := operatorRequest{waiter{from, b.Req}, b.Node}
	answer := func(s Status) { m.send(from, &Drained{Req: b.Req, Status: s}) }
	n := m.dir.node(b.Node)
	again := slices.IndexFunc(m.refused, func(r refusedDrain) bool { return r.is(&d) })
	waits := slices.IndexFunc(m.drains, func(w operatorRequest) bool { return w.is(&d) })
	switch {
	case n == nil:
		m.deny(denial{waiter: d.waiter, ask: b})
	case n.drained(): // it may have been started anew since, if another manager leads by now
		m.deny(denial{waiter: d.waiter, ask: b})
	case again >= 0:
		answer(m.refused[again].status)
	case waits >= 0:
		m.drains[waits] = d
	case len(m.drains) >= nodesMax:
		answer(StatusOverloaded)
	default:
		m.drains = append(m.drains, d)
		m.proposeDrain(m.contact(n.ID))
	}
}

// drained tells whether the node is in no chain, and will not be in one: it can
// be stopped.
func (n *nodeEntry) drained() bool { return n.gone || n.draining && n.isSpare() }

// proposeDrain begins to drain a node, unless that is done or being decided.
func (m *Manager) proposeDrain(c *contact) {
	if !c.node.draining && !c.deciding {
		c.deciding = true
		m.propose(Command{Kind: CommandDrain, Node: NodeRecord{Peer: Peer{ID: c.node.ID}}})
	}
}

// drainBegan is called when the command of a drain was applied. The drain of a member is
// taken back if its group is lost, or if no spare can take its place.
func (m *Manager) drainBegan(b *Command, a applied) {
	c := m.contact(b.Node.ID)
	c.deciding = false
	for _, config := range a.changed {
		m.event(Event{Kind: EventJoinEnded, Group: config.Group, Epoch: config.Epoch})
	}
	if !a.drain {
		return
	}
	c.drainSince = m.now
	if g := m.dir.group(c.node.group); g != nil {
		if m.watch(g.config.Group).loss != lossNone {
			m.letStay(c, StatusGroupLost)
		} else if len(m.spares()) < m.lacking() { // others need them
			m.letStay(c, StatusUnavailable)
		}
	}
}

// letStay takes the drain of a member back, for a reason.
func (m *Manager) letStay(c *contact, reason Status) {
	if !c.deciding {
		c.deciding, c.refusal = true, reason
		m.propose(Command{Kind: CommandStay, Node: NodeRecord{Peer: Peer{ID: c.node.ID}}})
	}
}

// drainEnded is called when the command that takes a drain back was applied. It answers
// that the node stays, if it is still a member. It may have left its chain meanwhile,
// and so be drained after all, or it may have been started anew.
func (m *Manager) drainEnded(b *Command) {
	c := m.contact(b.Node.ID)
	c.deciding = false
	switch {
	case c.node.drained():
	case c.node.group != 0:
		m.answerDrains(c.node.ID, c.refusal)
	case m.awaitsDrain(c.node.ID):
		m.proposeDrain(c)
	}
}

// dismiss removes the members that are being drained once the group is as strong
// as it should be without them, or lets them stay when no spare is left to take
// their place.
func (m *Manager) dismiss(w *watch, c *Config) {
	staying := m.staying(c)
	if staying == len(c.Chain) {
		return
	}
	if staying < m.strength(c) {
		m.giveUpDrains(c, StatusUnavailable)
		return
	}
	var remove []NodeID
	next := NodeID(0) // who would be the primary
	for _, p := range c.Chain {
		if member := m.contact(p.ID); member.node.draining {
			if !member.deciding {
				remove = append(remove, p.ID)
			}
		} else if next == 0 {
			next = p.ID
		}
	}
	if len(remove) > 0 && m.answers(m.contact(next)) {
		w.join.proposed = true
		m.propose(Command{Kind: CommandReconfigure, Group: c.Group, Epoch: c.Epoch, Remove: remove})
	}
}

// giveUpDrains lets the members stay that cannot be drained.
func (m *Manager) giveUpDrains(c *Config, reason Status) {
	for _, p := range c.Chain {
		if member := m.contact(p.ID); member.node.draining {
			m.letStay(member, reason)
		}
	}
}

// allFailed tells whether every spare has tried to join since the drains of the
// group's members began, in vain.
func (m *Manager) allFailed(w *watch, c *Config) bool {
	since := longAgo
	for _, p := range c.Chain {
		if member := m.contact(p.ID); member.node.draining {
			since = max(since, member.drainSince)
		}
	}
	if since == longAgo {
		return false
	}
	spares := m.spares()
	return len(spares) > 0 && !slices.ContainsFunc(spares, func(s *contact) bool { return w.failedAt(s.node.ID) < since })
}

// awaitsDrain tells whether somebody waits for a node to be drained.
func (m *Manager) awaitsDrain(id NodeID) bool {
	return slices.ContainsFunc(m.drains, func(d operatorRequest) bool { return d.node == id })
}

// settleDrains answers those who wait for a node that can be stopped now.
func (m *Manager) settleDrains() {
	m.drains = slices.DeleteFunc(m.drains, func(d operatorRequest) bool {
		done := m.dir.node(d.node).drained()
		if done {
			m.send(d.client, &Drained{Req: d.req, Status: StatusOK})
		}
		return done
	})
}

func (m *Manager) answerDrains(id NodeID, s Status) {
	m.drains = slices.DeleteFunc(m.drains, func(d operatorRequest) bool {
		if d.node != id {
			return false
		}
		m.send(d.client, &Drained{Req: d.req, Status: s})
		if s != StatusOK {
			m.refused = append(m.refused, refusedDrain{d, s})
			m.refused = m.refused[max(0, len(m.refused)-refusedMax):]
		}
		return true
	})
}
