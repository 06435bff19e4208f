package core

import (
	"fmt"
	"time"
)

// contact is the manager's soft state about one registered node.
type contact struct {
	node *nodeEntry

	pinged, answered uint64 // nonces: of the last ping, and of the last one answered
	missed           int    // pings in a row without an answer
	answeredAt       Time   // when it last answered one, or registered a new boot

	// quietSince is when its silence began to count: when it was last heard, or
	// when the manager last gave everybody a new grace.
	quietSince Time
	// refusedSince and otherSince are when its address began to refuse
	// connections, or to answer as another node, without a break; Never if not.
	refusedSince, otherSince, evidenceAt Time

	reserved bool // a command under way makes it a member, or lets it join

	deciding    bool   // a command under way drains it, or lets it stay
	refusal     Status // with that: what to tell those who wanted it drained
	drainSince  Time   // when the drain began, or this manager
	quarantined Time   // not to be used before then
	steadySince Time   // it has missed nothing since then
	flaps       uint   // how often it was put in quarantine up to flappedAt, see Manager.flaps
	flappedAt   Time   // and when last
}

func (c *contact) reset(now Time) {
	c.missed, c.answered = 0, c.pinged
	c.quietSince, c.refusedSince, c.otherSince = now, Never, Never
}

// answers tells whether the node answered recently.
func (c *contact) answers(now Time, o *ManagerOptions) bool {
	return c.missed < o.MissesMax && now.Since(c.answeredAt) <= time.Duration(o.MissesMax)*o.PingInterval
}

// contact returns what is known of a registered node, or nil.
func (m *Manager) contact(id NodeID) *contact {
	if n := m.dir.node(id); n != nil {
		return m.contacts[n.place]
	}
	return nil
}

// grace starts every measure of silence anew, after a start or a pause.
func (m *Manager) grace() {
	m.event(Event{Kind: EventPaused})
	m.pingAt = m.now
	if m.haltAt != Never {
		m.haltAt = m.now.After(m.opt.DrainTime)
	}
	m.wakeBy(m.now)
	for _, c := range m.contacts {
		c.reset(m.now)
	}
	for i := range m.watches {
		if s := m.watches[i].suspicion; s != nil && !s.proposed {
			m.probe(&m.watches[i], s)
		}
	}
}

// pingsSeldom is how many pings a node outside all groups may miss before only
// every so many are sent to it. Most such nodes are gone for good, and over the
// years they get many; one that comes back registers by itself.
const pingsSeldom = 20

// ping counts what the last round missed and sends the next.
func (m *Manager) ping() {
	m.pingAt = m.now.After(m.opt.PingInterval)
	m.nonce++
	p := &Ping{Nonce: m.nonce, Index: m.dir.index}
	for _, c := range m.contacts {
		if c.node.gone { // not to be asked; but its group may not have got rid of it yet
			if c.node.group != 0 { // it may not have heard, and go on serving
				m.sendForgotten(c.node)
			}
			m.suspect(c.node.group, c.node.ID, 0)
			continue
		}
		if c.missed >= pingsSeldom && c.node.isSpare() && (m.nonce+uint64(c.node.place))%pingsSeldom != 0 {
			continue
		}
		if c.answered < c.pinged {
			c.missed++
			c.steadySince = m.now
		}
		c.pinged = m.nonce
		m.send(c.node.Peer, p)
		if c.missed >= m.opt.MissesMax {
			m.suspect(c.node.group, c.node.ID, 0)
		}
	}
}

func (m *Manager) onPong(in Envelope, b *Pong) {
	c := m.contact(in.From.ID)
	if c == nil || b.Nonce <= c.answered || b.Nonce > c.pinged {
		m.drop(in)
		return
	}
	if m.forgotMore(in.From.ID, b.Index) {
		return
	}
	m.answered(c)
	m.remind(c, b.Groups)
	if b.Join != nil && b.Join.Group == c.node.group {
		m.onProgress(b.Join)
	}
	if b.Lag > m.opt.ProbeTimeout {
		m.suspect(c.node.group, c.node.ID, 0)
	}
}

// remind sends a node the configs of its groups that it has missed.
func (m *Manager) remind(c *contact, known []GroupEpoch) {
	own := max(c.node.group, c.node.joining) // one of them is 0
	for _, k := range known {
		if k.Group == own {
			own = 0
		}
		if g := m.dir.group(k.Group); g != nil && k.Epoch < g.config.Epoch {
			m.send(c.node.Peer, g.config)
		}
	}
	if own != 0 {
		m.send(c.node.Peer, m.dir.group(own).config)
	}
}

// answered takes in that a node heard the manager, and the manager it.
func (m *Manager) answered(c *contact) {
	c.missed, c.answered = 0, c.pinged
	c.answeredAt = m.now
	m.heard(c)
}

// heard takes a sign of life in, and with it back what was presumed of a loss.
// That the node hears the manager is not shown by it: one that is cut off one
// way registers again and again, and is not fit to be a member. But it is worth
// a ping with the next round.
func (m *Manager) heard(c *contact) {
	c.missed = min(c.missed, pingsSeldom-1)
	c.quietSince, c.refusedSince, c.otherSince = m.now, Never, Never
	if c.node.group == 0 {
		return
	}
	w := m.watch(c.node.group)
	if w.loss == lossSilent || w.loss == lossPresumed {
		g := m.dir.group(c.node.group)
		m.event(Event{Kind: EventWithdrawn, Group: g.config.Group, Epoch: g.config.Epoch})
		w.loss = lossNone
		m.haltAt = Never
		m.propose(Command{Kind: CommandReconfigure, Group: g.config.Group, Epoch: g.config.Epoch})
		m.judgeLosses()
	}
}

// onPeerDown takes the driver's hint: the node is probed at once, and one whose
// address refuses connections has failed the probes under way.
func (m *Manager) onPeerDown(b *PeerDown) {
	c := m.contact(b.Peer.ID)
	if c == nil || c.node.gone {
		return
	}
	if b.Refused {
		m.evidence(c, &c.refusedSince)
		m.failed(c)
		m.cancelJoin(c.node.joining)
	}
	m.suspect(c.node.group, c.node.ID, 0)
}

// onRefused: the node's address answered as another node.
func (m *Manager) onRefused(b *Refused) {
	c := m.contact(b.Wanted)
	if c == nil || c.node.gone || b.Reason != RefusedOtherNode {
		return
	}
	m.evidence(c, &c.otherSince)
	m.failed(c)
	m.suspect(c.node.group, c.node.ID, 0)
}

// evidence notes that a node is not at its address. Evidence with a gap counts
// from anew: what happened in between is not known.
func (m *Manager) evidence(c *contact, since *Time) {
	if gap := 2 * time.Duration(m.opt.MissesMax) * m.opt.PingInterval; m.now.Since(c.evidenceAt) > gap {
		c.refusedSince, c.otherSince = Never, Never
	}
	c.evidenceAt, c.steadySince = m.now, m.now
	*since = min(*since, m.now)
}

// loss says how sure it is that no copy of a group is left.
type loss uint8

const (
	lossNone     loss = iota
	lossSilent        // presumed, from the silence of at least one member
	lossPresumed      // presumed, from what the members' addresses answered
	lossCertain
)

// lossOf tells how sure it is that a node's data is lost. A durable node that
// is down keeps its data, so only another node at its address counts.
func (m *Manager) lossOf(c *contact) loss {
	fresh := m.now.Since(c.evidenceAt) <= 2*time.Duration(m.opt.MissesMax)*m.opt.PingInterval
	since := c.otherSince
	if !m.opt.Durable {
		since = min(since, c.refusedSince)
	}
	switch {
	case c.node.gone:
		return lossCertain
	case fresh && since != Never && m.now.Since(since) >= m.opt.LostAfter:
		return lossPresumed
	case !m.opt.Durable && m.now.Since(c.quietSince) >= 10*m.opt.LostAfter:
		return lossSilent
	}
	return lossNone
}

// judgeLosses declares the groups lost of which every member is, as surely as
// the least sure of them. Only an answer withdraws a presumption.
func (m *Manager) judgeLosses() {
	for i, g := range m.dir.groups {
		w := m.watch(GroupID(i + 1))
		l := lossCertain
		for _, p := range g.config.Chain {
			l = min(l, m.lossOf(m.contact(p.ID)))
		}
		if l > w.loss {
			w.loss = l
			m.event(Event{Kind: EventLost, Group: g.config.Group, Epoch: g.config.Epoch, Effect: l == lossCertain})
		}
		if w.loss > lossSilent && m.opt.HaltOnLoss && m.haltAt == Never {
			m.haltAt = m.now.After(m.opt.DrainTime) // until then everyone who asks is told
			m.wakeBy(m.haltAt)
		}
	}
}

func (m *Manager) haltForLoss() {
	for i := range m.watches {
		if w := &m.watches[i]; w.loss > lossSilent {
			c := m.dir.groups[i].config
			how := "presumably: their addresses no longer answer for them"
			if w.loss == lossCertain {
				how = "certainly: each said farewell or was forgotten"
			}
			m.out.Halt = fmt.Errorf("core: manager %v: %w: group %d, epoch %d, members %v are gone, %s", m.self.ID, ErrGroupLost, c.Group, c.Epoch, c.Chain, how)
			return
		}
	}
}
