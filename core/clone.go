package core

import (
	"maps"
	"slices"
)

// A search that tries what could happen next from one state needs that state again and
// again. So a node can be copied. The copy shares with its original only what nobody ever
// changes: messages, options, strings, and parts of lists that only grow at their end. Such
// a list is cut off behind what the copy sees of it, so that the copy's next element goes to
// memory of its own.

// Clone returns a copy that goes on by itself: no call of one of the two is seen by the
// other. It must not be called amid a Step or a Tick. Several may be made at the same time.
func (s *Storage) Clone() *Storage {
	n := new(Storage)
	*n = *s
	n.common = s.common.clone()
	n.scratch = nil
	n.relays.slots = slices.Clone(s.relays.slots)
	n.groups = make([]*group, len(s.groups))
	for i, g := range s.groups {
		n.groups[i] = g.clone(n)
	}
	return n
}

// clone leaves out what belongs to the call under way, and memory that is used again.
func (n *common) clone() common {
	return common{self: n.self, cluster: n.cluster, now: n.now, alarm: n.alarm}
}

func (g *group) clone(s *Storage) *group {
	n := new(group)
	*n = *g
	n.s = s
	n.log.entries = slices.Clip(g.log.entries)
	n.state = g.state.clone()
	n.unsaved.effects = slices.Clip(g.unsaved.effects)
	n.unsaved.sessions = slices.Clip(g.unsaved.sessions)
	if g.joiner != nil {
		j := *g.joiner
		n.joiner = &j
	}
	if g.tenure != nil {
		n.tenure = g.tenure.clone()
	}
	return n
}

func (t *tenure) clone() *tenure {
	n := new(tenure)
	*n = *t
	n.followers = slices.Clone(t.followers)
	n.sent = slices.Clone(t.sent)
	n.reads = slices.Clone(t.reads)
	n.exports = slices.Clone(t.exports)
	n.parked = slices.Clone(t.parked)
	n.pending = slices.Clone(t.pending)
	if t.transfer != nil {
		x := *t.transfer
		x.window = slices.Clip(x.window)
		n.transfer = &x
	}
	return n
}

func (st *state) clone() state {
	return state{values: st.values.clone(), sessions: st.sessions.clone()}
}

func (v *values) clone() values {
	n := values{slots: maps.Clone(v.slots), slabs: make([][]item, len(v.slabs)), bytes: v.bytes}
	for i, slab := range v.slabs {
		n.slabs[i] = slices.Clone(slab)
	}
	return n
}

func (t *sessions) clone() sessions {
	return sessions{slots: slices.Clone(t.slots), free: slices.Clone(t.free), byID: maps.Clone(t.byID), owners: maps.Clone(t.owners), idle: t.idle, ended: t.ended}
}

// Clone returns a copy that goes on by itself, with all that waits.
func (g *Gate) Clone() Gate {
	n := Gate{batches: make([]gated, len(g.batches)), syncs: slices.Clone(g.syncs), covered: g.covered}
	for i, b := range g.batches {
		n.batches[i] = gated{slices.Clone(b.writes), slices.Clone(b.after)}
	}
	return n
}
