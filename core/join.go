package core

import "gtstore/core/wire"

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
	complete bool   // all of the snapshot is, and the log may follow
	void     bool   // a restart lost what the attempt had brought: only another one helps
}

// beginJoin discards, durably and before any answer, what this node held of the
// group from an earlier time in it (rule R10).
func (g *group) beginJoin(c *Config) {
	g.discard()
	g.start, g.joiner = c.Start, &joiner{}
	g.persistProgress()
}

// leave gives up the data of a group that goes on without this node.
func (g *group) leave() {
	if g.log.last() == 0 && g.joiner == nil {
		return
	}
	g.discard()
	g.start, g.joiner = 0, nil
	g.persistProgress()
}

func (g *group) discard() {
	g.event(EventDiscarded, g.log.last())
	g.log, g.state = log{}, newState()
	g.commit, g.verified, g.applied, g.unsaved = 0, 0, 0, unsaved{}
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
// begins anew.
func (g *group) onChunk(from Peer, m *Chunk) {
	switch {
	case m.Epoch < g.config.Epoch:
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
