package core

import (
	"cmp"
	"slices"
	"time"
)

// The manager heals groups that are below strength: it has a spare join, one at
// a time in each group, and gives up joins that lead nowhere (rules R2, R10).
// Draining only begins in another way: the node no longer counts as a member, so its
// group is below strength. When a spare has taken its place, the node is removed
// (drain.go).

// joinWatch is the manager's soft state about the join of a group.
type joinWatch struct {
	proposed bool // a command about the group's membership is under way
	start    Epoch
	begunAt  Time
	movedAt  Time // when it last made progress
	progress JoinProgress

	recruit bool      // the command under way starts a join
	failed  []failure // of this group, oldest first
}

// failure is a node that left the group's chain, or did not manage to join it.
type failure struct {
	node NodeID
	at   Time
}

// failuresMax bounds the failures that are remembered of a group.
const failuresMax = 64

// failed notes that a node failed the group.
func (w *watch) failed(id NodeID, now Time) {
	w.succeeded(id)
	f := append(w.join.failed, failure{id, now})
	w.join.failed = f[max(0, len(f)-failuresMax):]
}

func (w *watch) succeeded(id NodeID) {
	w.join.failed = slices.DeleteFunc(w.join.failed, func(f failure) bool { return f.node == id })
}

// failedAt tells when a node last failed the group, or longAgo.
func (w *watch) failedAt(id NodeID) Time {
	for _, f := range w.join.failed {
		if f.node == id {
			return f.at
		}
	}
	return longAgo
}

// heal is called with every ping.
func (m *Manager) heal() {
	m.renewals = termsMax
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
		m.giveUpDrains(c, StatusGroupLost)
		if w.loss == lossCertain {
			m.cancelJoin(c.Group)
		}
	case w.join.proposed || w.inquiry != nil:
	case m.renew(w, c):
	case c.Joining.ID != 0:
		m.watchJoin(w, c)
	case !m.answers(m.contact(c.Chain[0].ID)):
	case m.lacks(c) > 0 && m.allFailed(w, c):
		m.giveUpDrains(c, StatusUnavailable)
	case m.lacks(c) > 0 && len(c.Chain) < ChainMax && m.recruit(w, c):
	default:
		m.dismiss(w, c)
	}
}

// staying counts the members that are not being drained.
func (m *Manager) staying(c *Config) int {
	n := 0
	for _, p := range c.Chain {
		if !m.dir.node(p.ID).draining {
			n++
		}
	}
	return n
}

// strength is how many members a group should have.
func (m *Manager) strength(c *Config) int { return max(m.opt.Replicas+1, int(c.MinChain)) }

// lacks is how many more nodes a group needs to be at full strength. A node that joins,
// or is about to, counts as there already.
func (m *Manager) lacks(c *Config) int {
	n := m.strength(c) - m.staying(c)
	if c.Joining.ID != 0 || m.watch(c.Group).join.recruit {
		n--
	}
	return max(0, n)
}

// recruit has a spare join the group: one that never failed it, else the one that
// failed it longest ago. Among equals it takes the one whose last quarantine is longest
// ago. Otherwise a node that answers the manager, but that the primary cannot reach,
// would be tried again and again while another waits.
func (m *Manager) recruit(w *watch, c *Config) bool {
	spares := m.candidates(w, c)
	if len(spares) == 0 {
		return false
	}
	spare := slices.MinFunc(spares, func(a, b *contact) int {
		return cmp.Or(cmp.Compare(w.failedAt(a.node.ID), w.failedAt(b.node.ID)), cmp.Compare(a.lastFlap(), b.lastFlap()))
	})
	spare.reserved = true
	w.join.proposed, w.join.recruit = true, true
	m.tally.lacking-- // the node that is about to join counts as there already; nothing else of the tally changes
	m.propose(Command{Kind: CommandJoin, Group: c.Group, Epoch: c.Epoch, Node: NodeRecord{Peer: Peer{ID: spare.node.ID}}})
	return true
}

// candidates are the spares that may join the group. Where there is none, a node in
// quarantine may do, so that the group is not short for long: one that has missed
// nothing for some time. A group that is down to its last copy takes any spare that
// answers, unless it failed this group just now.
func (m *Manager) candidates(w *watch, c *Config) []*contact {
	if spares := m.spares(); len(spares) > 0 {
		return spares
	}
	return m.unused(func(s *contact) bool {
		if len(c.Chain) == 1 {
			return m.now.Since(w.failedAt(s.node.ID)) >= min(m.opt.QuarantineMin, m.opt.JoinTimeout)
		}
		return m.now.Since(s.steadySince) >= time.Duration(min(m.flaps(s)+1, steadyMax))*m.opt.QuarantineMin
	})
}

// steadyMax bounds how many times QuarantineMin a node in quarantine must have
// missed nothing before it is used in want of a better one.
const steadyMax = 8

// lastFlap tells when a node was last put in quarantine, or longAgo.
func (c *contact) lastFlap() Time {
	if c.flaps == 0 {
		return longAgo
	}
	return c.flappedAt
}

// watchJoin gives up a join whose node is silent, or that made no progress for long. A node
// that has just started, and is far away, may be asked to join before it answers a ping.
func (m *Manager) watchJoin(w *watch, c *Config) {
	j := &w.join
	if j.start != c.Start { // of before a restart of the manager
		*j = joinWatch{start: c.Start, begunAt: m.now, movedAt: m.now, failed: j.failed}
	}
	if m.silent(m.contact(c.Joining.ID)) || m.now.Since(j.movedAt) > m.opt.JoinTimeout {
		m.cancelJoin(c.Group)
	}
}

// cancelJoin ends the join of a group, if there is one.
func (m *Manager) cancelJoin(id GroupID) {
	g := m.dir.group(id)
	if g == nil || g.config.Joining.ID == 0 || m.watch(id).join.proposed {
		return
	}
	m.quarantine(m.contact(g.config.Joining.ID))
	m.watch(id).failed(g.config.Joining.ID, m.now)
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
	if g == nil || b.Node == 0 || g.config.Epoch != b.Epoch || g.config.Start != b.Start || g.config.Joining.ID != b.Node || !m.isPrimary(in.From.ID, g, b.Token) {
		m.drop(in.From)
		return
	}
	w := m.watch(b.Group)
	if !w.join.proposed {
		w.join.proposed = true
		m.propose(Command{Kind: CommandMember, Group: b.Group, Epoch: b.Epoch, Node: NodeRecord{Peer: Peer{ID: b.Node}}})
	}
}

// isPrimary tells whether a message with that token is from the primary of a group.
func (m *Manager) isPrimary(id NodeID, g *groupEntry, token uint64) bool {
	return id == g.config.Chain[0].ID && token == m.contact(id).token
}

// joinChanged follows a command about a join; if its epoch was no longer
// current, it changed nothing.
func (m *Manager) joinChanged(c *Command, a applied) {
	w := m.watch(c.Group)
	w.join.proposed, w.join.recruit = false, false
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
		w.succeeded(c.Node.ID)
	case c.Node.ID == 0:
		kind = EventJoinEnded
	default:
		w.join = joinWatch{start: config.Start, begunAt: m.now, movedAt: m.now, failed: w.join.failed}
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
	c.quarantined, c.steadySince = m.now.After(wait), m.now
	m.event(Event{Kind: EventQuarantined, Node: c.node.ID})
}

// flaps counts how often a node was put in quarantine lately.
func (m *Manager) flaps(c *contact) uint {
	if m.now.Since(c.flappedAt) > 4*m.opt.QuarantineMax {
		return 0
	}
	return c.flaps
}
