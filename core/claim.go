package core

import "slices"

// claim is a start of a durable node that is not the one known, while nothing says that this
// one has ended. Its directory may be a copy, and the node still run: the data look the same.
// So whoever is at the node's address is asked, by a ping. It answers with its boot.
type claim struct {
	node                      NodeRecord
	secret, before, inherited uint64 // of the Register

	nonce   uint64 // of the ping that was sent when the start was first heard
	refused bool   // the known start has answered that ping, or a later one
}

// claimsMax bounds the claims to one node's place that are remembered. The oldest is
// forgotten, and gets its answer later if that start asks again.
const claimsMax = 8

// claim has a start take the node's place, once that is known to be free. Until then it gets
// no answer, and asks again.
func (m *Manager) claim(c *contact, start *Command) {
	i := slices.IndexFunc(c.claims, func(l claim) bool { return l.secret == start.Secret && l.inherited == start.Inherited })
	switch {
	case i >= 0 && c.claims[i].refused:
		m.refuseCopy(&c.claims[i])
	case m.away(c):
		m.take(c, start)
	case i < 0:
		m.nonce++
		m.pingOne(c, m.nonce)
		if len(c.claims) == claimsMax {
			c.claims = slices.Delete(c.claims, 0, 1)
		}
		c.claims = append(c.claims, claim{node: start.Node, secret: start.Secret, before: start.Before, inherited: start.Inherited, nonce: m.nonce})
	}
}

// away tells whether a node is not at its address any more. Silence counts only after the
// time after which a loss does: a node that stalls, or is cut off for a moment, is the only
// one that has what it acknowledged last.
func (m *Manager) away(c *contact) bool {
	e := &c.evidence
	return e.refusedSince != Never || e.otherSince != Never || m.silent(c) && m.now.Since(c.quietSince) >= m.lostAfter()
}

// take has the managers know a start from now on. It lives, though that is not durable yet. It
// asks again and again, so there is one command about a node at a time: while the disk is late, or
// the managers agree on nothing, there would be ever more.
func (m *Manager) take(c *contact, start *Command) {
	if start.Inherited == 0 {
		m.heard(c)
	}
	if !c.registering {
		c.registering = true
		m.propose(*start)
	}
}

// settleClaims takes in that a start of the node answered at its address. If it is the known
// one, the claims that were heard before are refused for good: by the time that the node
// stops, a copy may lack a lot. If it is one of those that claim the place, it is taken.
func (m *Manager) settleClaims(c *contact, b *Pong) {
	for i := 0; i < len(c.claims); i++ {
		l := &c.claims[i]
		switch {
		case l.nonce > b.Nonce:
		case b.Boot <= c.node.Boot && !l.refused:
			l.refused = true
			m.event(Event{Kind: EventCopied, Node: c.node.ID})
			m.refuseCopy(l)
		case b.Boot == l.node.Boot && c.node.Addr == l.node.Addr:
			start := &Command{Kind: CommandRegister, Node: l.node, Secret: l.secret, Before: l.before, Inherited: l.inherited}
			c.claims = slices.Delete(c.claims, i, i+1)
			i--
			m.take(c, start)
		}
	}
}

func (m *Manager) refuseCopy(l *claim) {
	m.send(l.node.Peer, &Refused{Reason: RefusedRuns, Wanted: m.self.ID, What: KindRegister, Token: l.secret})
}
