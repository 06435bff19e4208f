package core

import (
	"cmp"
	"slices"

	"gtstore/core/wire"
)

// AppendDurable appends to b all that the node has made durable, or has asked to, but for
// values and sessions: those of a node that runs are further on, and StateHash is for them.
// A node and the one that NewStorage makes of its Space, before its first Step, have the
// same bytes, once all is durable that the first has asked for.
func (s *Storage) AppendDurable(b []byte) []byte {
	c := canon{b: b}
	c.peer(&Peer{ID: s.self.ID})
	c.fixed(uint64(s.cluster))
	kept := s.managerKept()
	if s.leaders.several() {
		kept = 0
	}
	c.peer(&Peer{ID: kept})
	c.peers(s.leaders.kept)
	c.fixed(s.known)
	c.span(s.leaseMax)
	boot, noted := s.boot, s.seen.noted
	if !s.started { // it counts its start already, and has noted nothing in it
		boot, noted = boot-1, s.seen.index
	}
	c.num(uint64(boot))
	c.num(uint64(noted))
	groups := slices.Clone(s.groups)
	slices.SortFunc(groups, func(a, b *group) int { return cmp.Compare(a.id, b.id) })
	for _, g := range groups {
		c.durableGroup(g)
	}
	return c.b
}

func (c *canon) durableGroup(g *group) {
	c.config(g.config)
	c.num(uint64(g.log.base.Epoch))
	c.num(uint64(g.log.base.Seq))
	c.num(uint64(len(g.log.entries)))
	for i := range g.log.entries {
		c.entry(&g.log.entries[i])
	}
	c.num(uint64(g.applied))
	c.num(uint64(g.noted))
	c.num(uint64(g.start))
	c.bool(g.joiner != nil)
	if j := g.joiner; j != nil {
		c.num(uint64(j.tenure))
		c.num(j.attempt)
		c.bool(j.complete)
		if j.complete { // else a restart discards what came
			c.num(j.next)
		}
	}
}

// StateHash returns a hash of the values and sessions of the i-th of the node's groups. It is
// the same on all nodes that have applied as much. Of a long value it takes the beginning, and
// how long it is: a check after every write must not read all of it.
func (s *Storage) StateHash(i int) (sum uint64) {
	const most = 256
	state := &s.groups[i].state
	for _, slab := range state.values.slabs { // nodes have the same in other orders, so the sum
		for i := range slab {
			it := &slab[i]
			c, data, size := wire.NewEncoder(s.scratch[:0]), it.data[:min(len(it.data), most)], uint64(len(it.data))
			wire.String(&c, &it.key, KeyBytesMax)
			wire.String(&c, &data, most)
			wire.Uint(&c, &size)
			wire.Uint(&c, &it.version)
			s.scratch = c.Seal()
			sum += wire.Hash(s.scratch)
		}
	}
	for i := range state.sessions.slots {
		if state.sessions.slots[i].id != 0 {
			c, record := wire.NewEncoder(s.scratch[:0]), state.sessions.slots[i].record()
			record.code(&c)
			s.scratch = c.Seal()
			sum += wire.Hash(s.scratch)
		}
	}
	return sum
}
