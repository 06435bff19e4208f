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

// Clone is as Storage's. What the manager has only counted or seen lately is left out.
func (m *Manager) Clone() *Manager {
	n := new(Manager)
	*n = *m
	n.common = m.common.clone()
	n.dir = m.dir.clone()
	n.fold = m.fold.clone(m.dir, n.dir)
	n.consensus = m.consensus.(sole) // another would have a state
	n.denials = nil
	n.underWay = slices.Clone(m.underWay)
	n.tally, n.glance = tally{}, glance{}
	contacts := make([]contact, len(m.contacts))
	n.contacts = make([]*contact, len(m.contacts))
	for i, c := range m.contacts {
		contacts[i] = *c
		contacts[i].node = n.dir.nodes[i]
		contacts[i].claims = slices.Clone(c.claims)
		n.contacts[i] = &contacts[i]
	}
	n.watches = slices.Clone(m.watches)
	for i := range n.watches {
		n.watches[i].own()
	}
	n.waiters = maps.Clone(m.waiters)
	for _, u := range slices.Sorted(maps.Keys(n.waiters)) {
		n.waiters[u] = slices.Clip(n.waiters[u])
	}
	n.early = slices.Clip(m.early)
	n.waits = maps.Clone(m.waits)
	n.listing = maps.Clone(m.listing)
	n.forgets = slices.Clone(m.forgets)
	n.drains = slices.Clone(m.drains)
	n.refused = slices.Clip(m.refused)
	n.about = maps.Clone(m.about)
	return n
}

// own gives a copied watch memory of its own.
func (w *watch) own() {
	w.join.failed = slices.Clone(w.join.failed)
	if w.inquiry != nil {
		s := *w.inquiry
		s.members = slices.Clone(s.members)
		w.inquiry = &s
	}
}

func (d *Directory) clone() *Directory {
	n := new(Directory)
	*n = *d
	nodes := make([]nodeEntry, len(d.nodes))
	n.nodes, n.byID = make([]*nodeEntry, len(d.nodes)), make(map[NodeID]*nodeEntry, len(d.nodes))
	for i, node := range d.nodes {
		nodes[i] = *node
		n.nodes[i] = &nodes[i]
		n.byID[node.ID] = &nodes[i]
	}
	groups := make([]groupEntry, len(d.groups))
	n.groups = make([]*groupEntry, len(d.groups))
	for i, g := range d.groups {
		groups[i] = *g
		n.groups[i] = &groups[i]
	}
	n.units = maps.Clone(d.units)
	return n
}

// clone leads to the nodes of the copied Directory. Those that are off the list change no
// more.
func (f *fold) clone(from, to *Directory) fold {
	n := fold{from: f.from, nodes: slices.Clone(f.nodes), groups: slices.Clone(f.groups), units: slices.Clone(f.units), batches: slices.Clip(f.batches)}
	for i, node := range n.nodes {
		if from.node(node.ID) == node {
			n.nodes[i] = to.node(node.ID)
		}
	}
	return n
}

// Clone is as Storage's.
func (c *Client) Clone() *Client {
	n := new(Client)
	*n = *c
	n.common = c.common.clone()
	n.units = maps.Clone(c.units)
	n.routes = make(map[GroupID]*route, len(c.routes))
	for _, id := range slices.Sorted(maps.Keys(c.routes)) {
		n.routes[id] = c.routes[id].clone()
	}
	calls := make([]call, len(c.timed))
	n.timed, n.calls = make([]*call, len(c.timed)), make(map[uint64]*call, len(c.timed))
	for i, old := range c.timed {
		calls[i] = *old
		call := &calls[i]
		if old.route != nil {
			call.route = n.routes[old.route.config.Group]
		}
		if old.session != nil {
			s := *old.session
			call.session = &s
		}
		n.timed[i], n.calls[call.ID] = call, call
	}
	return n
}

// clone copies the sessions too: one is either here or in a call.
func (r *route) clone() *route {
	n := *r
	n.idle = make([]*clientSession, len(r.idle))
	sessions := make([]clientSession, len(r.idle))
	for i, s := range r.idle {
		sessions[i] = *s
		n.idle[i] = &sessions[i]
	}
	return &n
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
