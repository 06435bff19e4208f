package core

import "slices"

// claim is a start of a durable node at another address than that at which the node is
// registered. Its directory was moved, or it is a copy, and the node still runs: the data
// look the same. So the node itself is asked, by a ping to its address.
type claim struct {
	secret uint64 // of the start
	nonce  uint64 // of the ping that was sent when the start was first heard
}

// claimsMax bounds the claims to one node's place that are remembered. The oldest is
// forgotten, and gets its answer later if that start asks again.
const claimsMax = 8

// moved tells whether a start at another address takes the node's place. It does when the
// node's address refuses, answers as another node, or is silent. Until then nothing is said,
// and the start asks again. Once the node has answered that ping, it runs, and the start is
// refused for good: by the time that the node stops, the copy may lack a lot.
func (m *Manager) moved(c *contact, from Peer, b *Register) bool {
	i := slices.IndexFunc(c.claims, func(l claim) bool { return l.secret == b.Secret })
	if i < 0 {
		m.nonce++
		m.pingOne(c, m.nonce)
		if len(c.claims) == claimsMax {
			c.claims = slices.Delete(c.claims, 0, 1)
		}
		c.claims = append(c.claims, claim{b.Secret, m.nonce})
		i = len(c.claims) - 1
	}
	if c.answered >= c.claims[i].nonce {
		m.send(from, &Refused{Reason: RefusedRuns, Wanted: m.self.ID, What: KindRegister, Token: b.Secret})
		return false
	}
	return c.evidence.refusedSince != Never || c.evidence.otherSince != Never || m.silent(c)
}
