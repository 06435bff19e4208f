package cluster

import (
	"slices"

	"gtstore/core"
)

// ghost is what no node remembers and the checks must know: what was ever committed. It is
// never changed.
type ghost struct {
	key     key
	entries []committed // by Seq-1
	record  *record     // of several managers, else nil
}

type committed struct {
	entry
	at      core.Epoch // in which it was first committed
	values  uint64     // hash of the state up to here, 0 while no node was seen with that
	applied uint64     // hash of what applying it gave
	effect  [2]uint64  // the session and number of the operation that changed a value, or zeros
}

func (g *ghost) len() core.Seq { return core.Seq(len(g.entries)) }

// ghostEdge is what a look at a host makes of a ghost.
type ghostEdge struct {
	to     uint32
	broken *broken
}

func (m *Model) keepGhost(g *ghost) uint32 {
	var b []byte
	for _, e := range g.entries {
		b = appendNumber(appendNumber(appendNumber(b, e.hash), uint64(e.at)), e.values)
		b = appendNumber(appendNumber(appendNumber(b, e.applied), e.effect[0]), e.effect[1])
	}
	if g.record != nil {
		b = g.record.append(b)
	}
	g.key = keyOf(b)
	return m.ghosts.put(g.key, g)
}

// look holds what a host has committed against what was committed before.
func (m *Model) look(id, host uint32, e *edge) *ghostEdge {
	work := m.workLook
	if m.several() {
		work = m.lookAtSeat
	}
	if len(e.applied)+len(e.answers) > 0 || e.gone != 0 {
		return work(id, host, e)
	}
	if g, ok := m.seen.get(pair(id, host)); ok {
		return g
	}
	return m.seen.put(pair(id, host), work(id, host, e))
}

func (m *Model) workLook(id, hostID uint32, e *edge) *ghostEdge {
	g, h := m.ghosts.at(id), m.hosts.at(hostID)
	f, name := &h.facts, hostName(h.index)
	wrong := func(property, format string, args ...any) *ghostEdge {
		return &ghostEdge{id, brokenf(property, format, append([]any{name}, args...)...)}
	}
	if !f.known {
		return &ghostEdge{to: id}
	}
	if f.base.Seq > g.len() {
		return wrong("commit-agreement", "%s has a log that begins at %d, and committed is up to %d", f.base.Seq+1, g.len())
	}
	next := &ghost{entries: g.entries}
	for seq := f.base.Seq + 1; seq <= f.commit; seq++ {
		if seq > g.len() {
			if n := next.has(f.at(seq).op); n > 0 {
				return wrong("exactly-once", "%s has committed one operation at %d and at %d", n, seq)
			}
			next.entries = append(slices.Clip(next.entries), committed{entry: *f.at(seq), at: f.epoch})
		} else if g.entries[seq-1].hash != f.at(seq).hash {
			return wrong("commit-agreement", "%s has committed another entry at %d than was committed before", seq)
		}
	}
	grown := len(next.entries) > len(g.entries)
	if n := int(f.commit); n > 0 && !f.partial && next.entries[n-1].values == 0 {
		next.entries = slices.Clone(next.entries)
		next.entries[n-1].values, grown = max(f.values, 1), true
	} else if n > 0 && !f.partial && next.entries[n-1].values != max(f.values, 1) {
		return wrong("state-agreement", "%s has another state at %d than another node had", n)
	}
	for i := range e.applied {
		changed, b := next.take(&e.applied[i], name)
		if b != nil {
			return &ghostEdge{id, b}
		}
		grown = grown || changed
	}
	if !grown {
		return &ghostEdge{to: id}
	}
	return &ghostEdge{to: m.keepGhost(next)}
}

// has returns where an operation is, or 0. A retry is told from a new operation before it is
// taken into the log, so that each is there once.
func (g *ghost) has(op [2]uint64) int {
	for i := range g.entries {
		if op[1] > 0 && g.entries[i].op == op {
			return i + 1
		}
	}
	return 0
}

// take notes what applying an entry gave, or holds it against what that gave elsewhere.
func (g *ghost) take(e *core.Event, name string) (changed bool, _ *broken) {
	n := int(e.Seq)
	if n > len(g.entries) {
		return false, brokenf("commit-agreement", "%s applied the entry at %d, committed to %d", name, n, len(g.entries))
	}
	sum := uint64(e.Status) + 1
	if e.Effect {
		sum |= 1 << 32
	}
	if known := g.entries[n-1].applied; known != 0 {
		if known != sum {
			return false, brokenf("state-agreement", "%s: applying the entry at %d gave another result (%v) than elsewhere", name, n, e.Status)
		}
		return false, nil
	}
	g.entries = slices.Clone(g.entries)
	at := &g.entries[n-1]
	at.applied = sum
	if e.Effect {
		at.effect = [2]uint64{uint64(e.Session), e.OpSeq}
		for i := range g.entries {
			if i != n-1 && g.entries[i].effect == at.effect {
				return false, brokenf("exactly-once", "%s: operation %d of session %d took effect at %d and at %d", name, e.OpSeq, e.Session, i+1, n)
			}
		}
	}
	return true, nil
}
