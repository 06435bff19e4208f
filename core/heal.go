package core

import (
	"cmp"
	"slices"
)

// The manager heals groups that are below strength: it has a spare join, one at
// a time in each group, and gives up joins that lead nowhere (rules R2, R10).
// Draining is the same with another beginning: the node counts no longer as a
// member, so its group is below strength; and when a spare has taken its place,
// it goes.

// joinWatch is the manager's soft state about the join of a group.
type joinWatch struct {
	proposed bool // a command about the group's membership is under way
	start    Epoch
	begunAt  Time
	movedAt  Time // when it last made progress
	progress JoinProgress
}

// heal is called with every ping.
func (m *Manager) heal() {
	groups := slices.Clone(m.dir.groups)
	slices.SortStableFunc(groups, func(a, b *groupEntry) int { // most endangered first
		return cmp.Compare(len(a.config.Chain), len(b.config.Chain))
	})
	for _, g := range groups {
		m.healGroup(g.config)
	}
	m.settleDrains()
}

func (m *Manager) healGroup(c *Config) {
	w := m.watch(c.Group)
	switch {
	case w.loss != lossNone:
		m.giveUpDrains(c, func(*contact) Status { return StatusGroupLost })
		if w.loss == lossCertain {
			m.cancelJoin(c.Group)
		}
	case w.join.proposed || w.suspicion != nil:
	case c.Joining.ID != 0:
		m.watchJoin(w, c)
	case !m.contact(c.Chain[0].ID).answers(m.now, &m.opt):
	case m.lacks(c) > 0 && len(c.Chain) < ChainMax && m.recruit(w, c):
	default:
		m.dismiss(w, c)
	}
}

// staying counts the members that are not being drained.
func (m *Manager) staying(c *Config) int {
	n := 0
	for _, p := range c.Chain {
		if !m.contact(p.ID).draining {
			n++
		}
	}
	return n
}

// lacks is how many nodes a group needs to be at full strength.
func (m *Manager) lacks(c *Config) int {
	n := m.opt.Replicas + 1 - m.staying(c)
	if c.Joining.ID != 0 {
		n--
	}
	return max(0, n)
}

// lacking is how many spares healing is going to need.
func (m *Manager) lacking() int {
	n := 0
	for _, g := range m.dir.groups {
		if m.watch(g.config.Group).loss == lossNone {
			n += m.lacks(g.config)
		}
	}
	return n
}

// recruit has a spare join the group: of those that flapped least, the one that
// registered first. A node that answers the manager but that the primary cannot
// reach would otherwise be tried again and again, while another waits.
func (m *Manager) recruit(w *watch, c *Config) bool {
	spares := m.spares()
	if len(spares) == 0 {
		return false
	}
	spare := slices.MinFunc(spares, func(a, b *contact) int {
		return cmp.Compare(m.flaps(a), m.flaps(b))
	})
	spare.reserved = true
	w.join.proposed = true
	m.propose(Command{Kind: CommandJoin, Group: c.Group, Epoch: c.Epoch, Node: NodeRecord{Peer: Peer{ID: spare.node.ID}}})
	return true
}

// watchJoin gives up a join whose node does not answer, is to be stopped, or
// that made no progress for long.
func (m *Manager) watchJoin(w *watch, c *Config) {
	j := &w.join
	if j.start != c.Start { // of before a restart of the manager
		*j = joinWatch{start: c.Start, begunAt: m.now, movedAt: m.now}
	}
	node := m.contact(c.Joining.ID)
	if node.missed >= m.opt.MissesMax || node.draining || m.now.Since(j.movedAt) > m.opt.JoinTimeout {
		m.cancelJoin(c.Group)
	}
}

// cancelJoin ends the join of a group, if there is one.
func (m *Manager) cancelJoin(id GroupID) {
	g := m.dir.group(id)
	if g == nil || g.config.Joining.ID == 0 || m.watch(id).join.proposed {
		return
	}
	if node := m.contact(g.config.Joining.ID); !node.draining {
		m.quarantine(node)
	}
	m.watch(id).join.proposed = true
	m.propose(Command{Kind: CommandJoin, Group: id, Epoch: g.config.Epoch})
}

// onProgress notes a primary's word on its join.
func (m *Manager) onProgress(p *JoinProgress) {
	if j := &m.watch(p.Group).join; p.Start == j.start && *p != j.progress {
		j.progress, j.movedAt = *p, m.now
	}
}

// onCaughtUp makes a joining node a member, on its primary's word for this
// epoch and this join (rule R2).
func (m *Manager) onCaughtUp(in Envelope, b *CaughtUp) {
	g := m.dir.group(b.Group)
	if g == nil || b.Node == 0 || g.config.Epoch != b.Epoch || g.config.Start != b.Start || g.config.Joining.ID != b.Node || in.From.ID != g.config.Chain[0].ID {
		m.drop(in)
		return
	}
	w := m.watch(b.Group)
	if !w.join.proposed {
		w.join.proposed = true
		m.propose(Command{Kind: CommandMember, Group: b.Group, Epoch: b.Epoch, Node: NodeRecord{Peer: Peer{ID: b.Node}}})
	}
}

// joinChanged follows a command about a join; if its epoch was no longer
// current, it changed nothing.
func (m *Manager) joinChanged(c *Command, a applied) {
	w := m.watch(c.Group)
	w.join.proposed = false
	if c.Node.ID != 0 {
		m.contact(c.Node.ID).reserved = false
	}
	if len(a.changed) == 0 {
		return
	}
	config := a.changed[0]
	kind := EventJoining
	switch {
	case c.Kind == CommandMember:
		kind = EventJoined
	case c.Node.ID == 0:
		kind = EventJoinEnded
	default:
		w.join = joinWatch{start: config.Start, begunAt: m.now, movedAt: m.now}
	}
	m.event(Event{Kind: kind, Group: config.Group, Epoch: config.Epoch, Node: c.Node.ID})
}

// quarantine keeps a node that left a chain, or failed to join one, from being
// used at once; longer each time it happens.
func (m *Manager) quarantine(c *contact) {
	flaps := m.flaps(c)
	wait := min(m.opt.QuarantineMin<<min(flaps, 16), m.opt.QuarantineMax)
	c.flaps = flaps + 1
	c.flappedAt = m.now
	c.quarantined = m.now.After(wait)
	m.event(Event{Kind: EventQuarantined, Node: c.node.ID})
}

// flaps counts how often a node was put in quarantine lately.
func (m *Manager) flaps(c *contact) uint {
	if m.now.Since(c.flappedAt) > 4*m.opt.QuarantineMax {
		return 0
	}
	return c.flaps
}

// onDrain marks a node as one that is not to be used. Where no spare can take
// its place, nothing is changed.
func (m *Manager) onDrain(from Peer, b *Drain) {
	n := m.dir.node(b.Node)
	switch {
	case n == nil:
		m.send(from, &Drained{Req: b.Req, Status: StatusNotFound})
		return
	case n.gone:
		m.send(from, &Drained{Req: b.Req, Status: StatusOK})
		return
	case len(m.drains) >= nodesMax:
		m.send(from, &Drained{Req: b.Req, Status: StatusOverloaded})
		return
	}
	d := forget{waiter{from, b.Req}, b.Node}
	if slices.Contains(m.drains, d) {
		return
	}
	c := m.contact(b.Node)
	if !c.draining {
		if g := m.dir.group(n.group); g != nil {
			if len(m.spares()) == 0 && m.staying(g.config) <= m.opt.Replicas+1 && g.config.Joining.ID == 0 {
				m.send(from, &Drained{Req: b.Req, Status: StatusUnavailable})
				return
			}
			c.wanted = min(m.staying(g.config), m.opt.Replicas+1)
		}
		c.draining = true
	}
	m.drains = append(m.drains, d)
	m.cancelJoin(n.joining)
	m.settleDrains()
}

// dismiss removes the members that are being drained once enough others are
// there, or lets them stay when no spare is left to take their place.
func (m *Manager) dismiss(w *watch, c *Config) {
	staying := m.staying(c)
	if staying == len(c.Chain) {
		return
	}
	m.giveUpDrains(c, func(member *contact) Status {
		if member.wanted == 0 { // it was on the way to be a member when it was to be drained
			member.wanted = min(staying+1, m.opt.Replicas+1)
		}
		if staying < member.wanted {
			return StatusUnavailable
		}
		return 0
	})
	var remove []NodeID
	next := NodeID(0) // who would be the primary
	for _, p := range c.Chain {
		if m.contact(p.ID).draining {
			remove = append(remove, p.ID)
		} else if next == 0 {
			next = p.ID
		}
	}
	if len(remove) > 0 && next != 0 && m.contact(next).answers(m.now, &m.opt) {
		w.join.proposed = true
		m.propose(Command{Kind: CommandReconfigure, Group: c.Group, Epoch: c.Epoch, Remove: remove})
	}
}

// giveUpDrains lets the members stay for which there is a reason why they cannot
// be drained.
func (m *Manager) giveUpDrains(c *Config, reason func(*contact) Status) {
	for _, p := range c.Chain {
		member := m.contact(p.ID)
		if !member.draining {
			continue
		}
		if s := reason(member); s != 0 {
			member.draining = false
			m.answerDrains(p.ID, s)
		}
	}
}

// drained tells whether somebody waits for a node to be drained.
func (m *Manager) drained(id NodeID) bool {
	return slices.ContainsFunc(m.drains, func(d forget) bool { return d.node == id })
}

// settleDrains answers those who wait for a node that is in no chain any more.
func (m *Manager) settleDrains() {
	for i := 0; i < len(m.drains); i++ {
		n := m.dir.node(m.drains[i].node)
		if n.isSpare() || n.gone {
			m.answerDrains(n.ID, StatusOK)
			i = -1
		}
	}
}

func (m *Manager) answerDrains(id NodeID, s Status) {
	m.drains = slices.DeleteFunc(m.drains, func(d forget) bool {
		if d.node == id {
			m.send(d.client, &Drained{Req: d.req, Status: s})
		}
		return d.node == id
	})
}
