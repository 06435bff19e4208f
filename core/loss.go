package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The manager declares a group lost when no copy of it is left. What it sees by itself
// may be its own fault: a firewall beside it may refuse its connections, or swallow its
// messages. So it presumes a loss only when, for every member, something else speaks for
// it: the other node that has the member's address, or a client or a node that was
// refused as well. For silence, which takes ten times as long, it is enough that a client
// reports the member, or that another node answers the manager. A manager that reaches
// nobody, or so few that it cannot ask them about all who are missing, suspects itself.
//
// A durable node that is down keeps its data, whoever is at its address: another cluster's
// node, or one of this cluster that has moved there. Only a new node of this cluster may
// have begun on the very disk, wiped. Nor is that sure: it may have another directory. So
// clients are told, and nothing halts.

// loss says how sure it is that no copy of a group is left.
type loss uint8

const (
	lossNone     loss = iota
	lossDoubtful      // presumed, from the silence of at least one member, or of durable nodes
	lossPresumed      // presumed, from what the members' addresses answered
	lossCertain
)

// evidence is what speaks for the loss of a node's data.
type evidence struct {
	// refusedSince is since when its address has refused connections without a break,
	// otherSince since when it has answered as another node; Never if it does not.
	// at is when it last did either.
	refusedSince, otherSince, at Time

	toldAt    Time   // when a client or another node last said that the address refuses
	missedAt  Time   // when a client last said that the node did not answer in time
	reachedAt Time   // when another node last said that it reaches the node
	asked     uint64 // nonce of the question to another node
}

var noEvidence = evidence{refusedSince: Never, otherSince: Never, at: longAgo, toldAt: longAgo, missedAt: longAgo, reachedAt: longAgo}

// evidenceGap is how long evidence, which pings bring, is fresh. What has a gap counts from
// anew: what happened in between is not known.
func (m *Manager) evidenceGap() time.Duration { return 2 * (m.missesTime() + m.opt.PingInterval) }

// lostAfter is LostAfter where silence is meant. It is more where a person chose so little
// that a node of a large cluster would be lost between two pings: see silenceLeast.
func (m *Manager) lostAfter() time.Duration { return max(m.opt.LostAfter, m.evidenceGap()/10) }

// told takes in what a client or a node says of another.
func (m *Manager) told(c *contact, refused bool) {
	if refused {
		c.evidence.toldAt = m.now
	} else {
		c.evidence.missedAt = m.now
	}
}

// lossOf tells how sure it is that a node's data is lost.
func (m *Manager) lossOf(c *contact) loss {
	e := &c.evidence
	fresh := m.now.Since(e.at) <= m.evidenceGap()
	switch {
	case c.node.gone:
		return lossCertain
	case m.now.Since(e.reachedAt) <= m.opt.LostAfter:
		return lossNone
	case m.opt.Durable && !c.node.replaced:
		return lossNone
	case fresh && e.otherSince != Never && m.now.Since(e.otherSince) >= m.opt.LostAfter:
		if m.opt.Durable {
			return lossDoubtful
		}
		return lossPresumed
	case m.opt.Durable:
		return lossNone
	case fresh && e.refusedSince != Never && m.now.Since(e.refusedSince) >= m.opt.LostAfter && m.now.Since(e.toldAt) <= m.opt.LostAfter:
		return lossPresumed
	case m.now.Since(c.quietSince) >= 10*m.lostAfter() && (m.now.Since(max(e.missedAt, e.toldAt)) <= 10*m.opt.LostAfter || m.now.Since(m.tooManyAt) > m.opt.LostAfter && m.somebody() != nil):
		return lossDoubtful
	}
	return lossNone
}

// judgeLosses declares a group lost when each of its members is. The group's loss is as
// sure as that of the member of which the manager is least sure. Only an answer
// withdraws a presumption. Clients are told of a presumed loss at once, but the manager
// waits longer before it halts for it than for a certain one.
func (m *Manager) judgeLosses() {
	for i := range m.dir.groups {
		m.judgeLoss(GroupID(i + 1))
	}
}

func (m *Manager) judgeLoss(id GroupID) {
	c, w := m.dir.group(id).config, m.watch(id)
	l := lossCertain
	for _, p := range c.Chain {
		l = min(l, m.lossOf(m.contact(p.ID)))
	}
	if l > w.loss && l < lossCertain && m.several != nil {
		m.presume(w, c, l)
	} else if l > w.loss {
		w.loss = l
		m.recount()
		m.event(Event{Kind: EventLost, Group: c.Group, Epoch: c.Epoch, Effect: l == lossCertain})
	}
	m.haltFor(w)
}

// haltFor has the manager halt soon if a group is lost, and it is to halt for that.
func (m *Manager) haltFor(w *watch) {
	if w.loss > lossDoubtful && m.opt.HaltOnLoss && m.haltAt == Never {
		wait := m.opt.DrainTime // until then everyone who asks is told
		if w.loss == lossPresumed {
			wait += m.opt.LostAfter
		}
		m.haltAt = m.now.After(wait)
		m.wakeBy(m.haltAt)
	}
}

// askOthers has another node try the members of each group of which the manager
// reaches none. So a loss does not rest on the manager's word alone. It is called with
// every ping.
func (m *Manager) askOthers() {
	var list []*contact // whom to ask about
	for _, g := range m.dir.groups {
		if m.watch(g.config.Group).loss == lossNone && !slices.ContainsFunc(g.config.Chain, func(p Peer) bool { return !m.missing(m.contact(p.ID)) }) {
			for _, p := range g.config.Chain {
				if c := m.contact(p.ID); !c.node.gone {
					list = append(list, c)
				}
			}
		}
	}
	if len(list) == 0 {
		return
	}
	others := m.everybody()
	most := min(len(list), relaysMax*len(others)) // the rest has its turn with the next pings
	for i := range most {
		m.askOther(list[(m.askedAbout+i)%len(list)], others[i%len(others)])
	}
	m.askedAbout = (m.askedAbout + most) % len(list)
	if most > 0 {
		m.turn = others[(most-1)%len(others)].node.number
		if most < len(list) {
			m.tooManyAt = m.now
		}
	}
}

// everybody returns the nodes that answer, beginning with the one whose turn it is.
func (m *Manager) everybody() (list []*contact) {
	for i := range m.contacts {
		if c := m.contacts[(m.turn+1+i)%len(m.contacts)]; !c.node.gone && m.answers(c) {
			list = append(list, c)
		}
	}
	return list
}

// missing tells whether a node is gone, or has not been at its address for a while, or
// has been silent for a longer while.
func (m *Manager) missing(c *contact) bool {
	e := &c.evidence
	return c.node.gone || m.now.Since(min(e.refusedSince, e.otherSince)) >= m.opt.LostAfter/4 || m.now.Since(c.quietSince) >= 5*m.lostAfter()
}

// askOther repeats a question until it is answered, each time to another node: the
// one asked before may itself be cut off.
func (m *Manager) askOther(c, other *contact) {
	if c.evidence.asked == 0 {
		m.nonce++
		c.evidence.asked = m.nonce
		m.about[m.nonce] = c.node.ID
	}
	m.send(other.node.Peer, &Probe{Nonce: c.evidence.asked, Target: c.node.Peer})
}

// somebody returns a node that answers, in turn, or nil: then it may well be the
// manager that is cut off.
func (m *Manager) somebody() *contact {
	if m.glance.nobody {
		return nil
	}
	for range m.contacts {
		m.turn = (m.turn + 1) % len(m.contacts)
		if c := m.contacts[m.turn]; !c.node.gone && m.answers(c) {
			return c
		}
	}
	m.glance.nobody = true
	return nil
}

// onWord takes another node's answer to the question whether it reaches a node.
func (m *Manager) onWord(c *contact, b *ProbeReply) {
	c.evidence.asked = 0
	if b.Refused {
		m.told(c, true)
	} else {
		c.evidence.reachedAt = m.now
	}
}

func (m *Manager) haltForLoss() {
	if m.several != nil {
		m.haltTogether()
		return
	}
	for i := range m.watches {
		if w := &m.watches[i]; w.loss > lossDoubtful {
			m.out.Halt = m.groupLost(m.dir.groups[i].config, w.loss == lossCertain)
			return
		}
	}
}

func (m *Manager) groupLost(c *Config, certain bool) error {
	how := "presumably: their addresses no longer answer for them"
	if certain {
		how = "certainly: each said farewell or was forgotten"
	}
	members := make([]string, len(c.Chain))
	for i, p := range c.Chain {
		name, place := SplitAddr(p.Addr)
		members[i] = fmt.Sprintf("%s at %s", cmp.Or(name, p.ID.String()), place)
	}
	return fmt.Errorf("core: manager %v: %w: group %d, epoch %d, members %s are gone, %s", m.self.ID, ErrGroupLost, c.Group, c.Epoch, strings.Join(members, ", "), how)
}
