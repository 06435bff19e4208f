package core

import (
	"slices"

	"gtstore/core/wire"
)

// joiner is a joining node's side of a transfer. Which attempt it is in is durable
// with what the attempt brought: a node that restarts must know what a chunk that
// comes late belongs to. If it has all of a snapshot, it may have acked entries of
// the log after it, which it must never discard for a chunk of that attempt.
type joiner struct {
	tenure   Epoch // which attempt it is in; 0 before there is one
	attempt  uint64
	next     uint64 // number of the chunk that comes next
	sum      uint64 // of those before
	begun    bool   // something of the attempt is in the state
	complete bool   // all of the snapshot is, or what was held already, and the log may follow
	void     bool   // a restart lost what the attempt had brought: only another one helps
}

// beginJoin begins with what this node held of the group from an earlier time in it, cut
// back, durably and before any answer, to what it knows to be committed: that alone is the
// group's history for certain. It is as good as a snapshot of that position (rule R10).
// Without such a prefix the node begins with nothing.
func (g *group) beginJoin(c *Config) {
	keeps := !g.partial() && g.commit > 0
	switch {
	case !keeps:
		g.discard()
	case g.log.last() > g.commit:
		g.truncate(g.commit + 1)
	}
	if keeps {
		g.event(EventKept, g.commit)
	}
	g.start, g.joiner = c.Start, &joiner{begun: keeps, complete: keeps}
	g.persistProgress()
}

// leave ends this node's part in a group that goes on without it. The data stays, in case
// that the node joins again, unless it is half a snapshot.
func (g *group) leave() {
	if g.partial() {
		g.discard()
	}
	if g.joiner != nil || g.start != 0 {
		g.start, g.joiner = 0, nil
		g.persistProgress()
	}
}

// giveUpFormer discards what this node holds of groups that go on without it: but for the
// one that it left last all, and of that too once it is used for another. So a spare keeps
// no more than a member holds, and a member nothing beside its group.
func (s *Storage) giveUpFormer(last *group) {
	names := func(g *group) bool { return g.config.names(s.self.ID) }
	used := slices.ContainsFunc(s.groups, names)
	for _, g := range s.groups {
		if g.holdsLog() && !names(g) && (used || g != last && last.holdsLog()) {
			g.discard()
			g.persistProgress()
		}
	}
}

// holdsLog tells whether there is anything of the group's log here.
func (g *group) holdsLog() bool { return g.log.last() > 0 }

func (g *group) discard() {
	g.event(EventDiscarded, g.log.last())
	g.log, g.state = log{}, newState()
	g.commit, g.noted, g.verified, g.applied, g.unsaved = 0, 0, 0, 0, unsaved{}
	g.unpersistData()
}

// follows reports that this node has a log that the primary may continue: it is
// a member, or joins and has all of the snapshot.
func (g *group) follows() bool {
	return g.isMember() || g.isJoining() && g.joiner.complete
}

// partial reports that this node is in the middle of a snapshot.
func (g *group) partial() bool { return g.joiner != nil && !g.joiner.complete }

// isJoining reports that this node is to become a member by the current config.
func (g *group) isJoining() bool {
	return g.config.Joining.ID == g.s.self.ID && g.start == g.config.Start
}

// onChunk takes the next chunk of a snapshot. A chunk of an earlier attempt, or of
// another join, is dropped. A chunk of an earlier epoch gets a Nack. A later attempt
// begins anew, but a primary's first one asks first: it may do with the log behind what is
// here. Once it has begun another, what is here does not count for it.
func (g *group) onChunk(from Peer, m *Chunk) {
	switch {
	case m.Epoch < g.config.Epoch:
		g.fence(from)
		g.send(from, &Nack{Group: g.id, Epoch: g.config.Epoch, Config: g.config})
		return
	case m.Epoch > g.config.Epoch, from.ID != g.primary(), !g.isJoining(), m.Start != g.start:
		g.s.drop(from)
		return
	}
	j := g.joiner
	switch {
	case m.Tenure < j.tenure || m.Tenure == j.tenure && m.Attempt < j.attempt:
		g.s.drop(from)
		return
	case m.Tenure == j.tenure && m.Attempt == j.attempt:
	case m.Attempt == 1 && j.complete: // it discards nothing: a chunk that comes late must not take back what was acked
		g.offer(from, m)
		return
	case m.Number > 0: // its beginning did not come
		g.ackChunk(from, m, 0, false)
		return
	default:
		if j.begun {
			g.discard()
		}
		*j = joiner{tenure: m.Tenure, attempt: m.Attempt}
		g.persistProgress()
	}
	refused := j.void
	if m.Number == j.next && !j.complete && !j.void {
		refused = !g.takeChunk(m)
	}
	g.ackChunk(from, m, j.next, refused)
}

// offer tells a primary what this node holds already. After a restart it may not know how
// much of that is committed.
func (g *group) offer(to Peer, m *Chunk) {
	if g.commit == 0 {
		g.ackChunk(to, m, 0, true)
		return
	}
	g.s.after(to, &ChunkAck{Group: g.id, Epoch: g.config.Epoch, Start: m.Start, Tenure: m.Tenure, Attempt: m.Attempt, Held: g.log.id(g.commit)})
}

func (g *group) ackChunk(to Peer, m *Chunk, next uint64, refused bool) {
	g.s.after(to, &ChunkAck{Group: g.id, Epoch: g.config.Epoch, Start: m.Start, Tenure: m.Tenure, Attempt: m.Attempt, Next: next, Refused: refused})
}

// takeChunk adds a chunk to the state, unless its checksum is wrong.
func (g *group) takeChunk(m *Chunk) bool {
	j := g.joiner
	if sum := g.s.sum(m, j.sum); sum != m.Sum {
		g.event(EventChunkRefused, Seq(m.Number))
		return false
	}
	j.begun, j.sum, j.next = true, m.Sum, j.next+1
	for i := range m.Items {
		it := &m.Items[i]
		if it.Version == 0 {
			g.state.values.remove(it.Key)
		} else {
			g.state.values.set(it.Key, it.Value, it.Version)
		}
		g.persistValue(it.Key)
	}
	if !m.Last {
		return true
	}
	g.state.sessions.restore(m.Sessions)
	for i := range m.Sessions {
		g.persistSession(&m.Sessions[i])
	}
	g.log.base = m.At
	g.commit, g.applied = m.At.Seq, m.At.Seq
	j.complete = true
	g.persistProgress()
	g.event(EventInstalled, g.commit)
	return true
}

// sum continues a checksum over the content of a chunk.
func (s *Storage) sum(m *Chunk, before uint64) uint64 {
	c := wire.NewEncoder(s.scratch[:0])
	wire.Fixed64(&c, &before)
	m.codeContent(&c)
	s.scratch = c.Seal()
	return wire.Hash(s.scratch)
}
