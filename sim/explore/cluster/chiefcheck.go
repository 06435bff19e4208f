package cluster

import (
	"slices"

	"gtstore/core"
)

// What must hold of a real manager, after each of its steps.

// look holds the configs and the mapping of keys against what they were.
func (s *chiefStepper) look() {
	for i := range s.c.node.Groups() {
		n := s.c.node.Config(core.GroupID(i + 1))
		if i == len(s.c.configs) {
			s.c.configs = append(s.c.configs, nil)
		}
		list := s.c.configs[i]
		switch known := len(list); {
		case int(n.Epoch) == known && list[known-1] != n && configKey(list[known-1]) != configKey(n):
			s.fail("config-rules", "group %d has another config at epoch %d than before", i+1, n.Epoch)
		case int(n.Epoch) < known || int(n.Epoch) > known+1:
			s.fail("config-rules", "group %d went from epoch %d to %d", i+1, known, n.Epoch)
		case int(n.Epoch) == known+1:
			if known > 0 {
				s.follows(list[known-1], n)
			}
			s.c.configs[i] = append(slices.Clip(list), n)
		}
	}
	s.oneGroup()
	s.keys()
}

// restored takes in what a start found on the disk. Epochs that its last process had no time
// to apply nobody has heard of.
func (s *chiefStepper) restored() {
	if s.c.node.Groups() < len(s.c.configs) {
		s.fail("config-rules", "the manager restarted with %d groups, after %d", s.c.node.Groups(), len(s.c.configs))
		return
	}
	for i := range s.c.node.Groups() {
		if i == len(s.c.configs) {
			s.c.configs = append(s.c.configs, nil)
		}
		n := s.c.node.Config(core.GroupID(i + 1))
		for len(s.c.configs[i])+1 < int(n.Epoch) {
			s.c.configs[i] = append(slices.Clip(s.c.configs[i]), nil)
		}
	}
}

// follows is rule R2: members leave, or the node that joined comes last; a join begins in the
// epoch that names it, or ends, or goes on.
func (s *chiefStepper) follows(before, n *core.Config) {
	if before == nil {
		return
	}
	wrong := func(what string) { s.fail("config-rules", "group %d at epoch %d: %s", n.Group, n.Epoch, what) }
	if len(n.Chain) == 0 {
		wrong("it has no members")
		return
	}
	if n.Terms() != before.Terms() {
		wrong("it has other terms")
	}
	added := before.Joining.ID != 0 && n.Position(before.Joining.ID) == len(n.Chain)-1
	switch {
	case added && (n.Joining.ID != 0 || len(n.Chain) != len(before.Chain)+1 || !partOf(before.Chain, n.Chain)):
		wrong("more happened than that a node became a member")
	case !added && !partOf(n.Chain, before.Chain):
		wrong("the chain is not a part of the one before, in its order")
	}
	goesOn := n.Joining.ID == before.Joining.ID && n.Start == before.Start
	ends := n.Joining.ID == 0 && n.Start == 0
	begins := before.Joining.ID == 0 && n.Joining.ID != 0 && n.Start == n.Epoch && before.Position(n.Joining.ID) < 0
	if !goesOn && !ends && !begins {
		wrong("its join does not follow the one before")
	}
	for _, p := range before.Chain {
		if n.Position(p.ID) < 0 {
			s.o.removed = append(s.o.removed, p.ID)
		}
	}
}

// partOf tells whether part is whole with some members left out.
func partOf(part, whole []core.Peer) bool {
	i := 0
	for _, p := range whole {
		if i < len(part) && part[i].ID == p.ID {
			i++
		}
	}
	return i == len(part)
}

// oneGroup: a node is in one group at most.
func (s *chiefStepper) oneGroup() {
	in := map[core.NodeID]core.GroupID{}
	for i := range s.c.node.Groups() {
		c := s.c.node.Config(core.GroupID(i + 1))
		for _, p := range append(slices.Clip(c.Chain), c.Joining) {
			if p.ID != 0 && in[p.ID] != 0 {
				s.fail("one-group", "%s is in groups %d and %d, or twice", hostName(indexOf(p)), in[p.ID], c.Group)
			}
			in[p.ID] = c.Group
		}
	}
}

// keys: a key keeps its group.
func (s *chiefStepper) keys() {
	for i := range s.c.asks {
		a := &s.m.scenario.asks[i]
		if a.verb != askLookup {
			continue
		}
		now := s.c.node.KeyGroup(a.key)
		if was := s.c.asks[i].group; was != 0 && was != now {
			s.fail("key-moved", "key %q moved from group %d to group %d", a.key, was, now)
		}
		s.c.asks[i].group = now
	}
}

// note takes in what the manager says of itself.
func (s *chiefStepper) note(e *core.Event) {
	switch {
	case e.Kind == core.EventProbing:
		s.o.accused = append(s.o.accused, e.Node)
	case e.Kind == core.EventLost:
		for _, p := range s.c.node.Config(e.Group).Chain {
			if e.Effect {
				s.o.lost = append(s.o.lost, p.ID)
			} else {
				s.o.accused, s.o.presumed = append(s.o.accused, p.ID), append(s.o.presumed, p.ID)
			}
		}
	}
}

// shows: what a message says of the Directory is durable.
func (s *chiefStepper) shows(e *core.Envelope) {
	d, err := s.c.disk.directory()
	if err != nil {
		s.fail("disk-refused", "the manager's disk: %v", err)
		return
	}
	early := func(what string) {
		s.fail("durable-before-sent", "the manager tells %s %s, which is not durable", e.To.Addr, what)
	}
	config := func(c *core.Config) {
		if int(c.Group) > len(d.Groups) || d.Groups[c.Group-1].Config.Epoch < c.Epoch {
			early("a config: " + configText(c))
		}
	}
	switch b := e.Body.(type) {
	case *core.Config:
		config(b)
	case *core.Ping:
		if b.Index > d.Index {
			early("its index")
		}
		if s.c.disk.saved.report.Boot < b.Boot {
			early("its boot")
		}
	case *core.Registered:
		if n := viewOf(d, e.To.ID); n == nil || n.Boot < b.Boot && n.Secret != b.Secret {
			early("that its secret is known")
		}
	case *core.Forgotten:
		if n := viewOf(d, s.m.scenario.asks[b.Req-1].node()); b.Status == core.StatusOK && (n == nil || !n.Gone) {
			early("that a node is forgotten")
		}
	case *core.Drained:
		if n := viewOf(d, s.m.scenario.asks[b.Req-1].node()); b.Status == core.StatusOK && (n == nil || !n.Gone && (!n.Draining || n.Group != 0 || n.Joining != 0)) {
			early("that a node is drained")
		}
	case *core.LookupReply:
		if b.Config != nil {
			config(b.Config)
		}
	}
}

func viewOf(d *core.DiskDirectory, id core.NodeID) *core.NodeView {
	for i := range d.Nodes {
		if d.Nodes[i].ID == id {
			return &d.Nodes[i]
		}
	}
	return nil
}

// answered notes the answer to an ask. Of a drain that was done it must be true.
func (s *chiefStepper) answered(e *core.Envelope) {
	req := uint64(0)
	switch b := e.Body.(type) {
	case *core.Forgotten:
		req = b.Req
	case *core.Drained:
		req = b.Req
		for _, list := range s.c.configs {
			c := list[len(list)-1]
			id := s.m.scenario.asks[req-1].node()
			if b.Status == core.StatusOK && (c.Position(id) >= 0 || c.Joining.ID == id) {
				s.fail("drained-falsely", "the manager says that %s is drained, and it is in group %d", hostName(int(id)-1), c.Group)
			}
		}
	case *core.LookupReply:
		req = b.Req
	}
	if req > 0 && int(req) <= len(s.c.asks) {
		s.c.asks[req-1].done = true
	}
}

// judgeOrder judges what the manager did in a state: nobody is accused, removed or given up
// without a cause.
func (m *Model) judgeOrder(w *world, o *order) *broken {
	if o.broken != nil {
		return o.broken
	}
	for _, id := range o.lost {
		if !m.saidGone(w, id) {
			return brokenf("lost-falsely", "a group is lost for certain, but nobody said that %s's data is gone", hostName(int(id)-1))
		}
	}
	if len(o.presumed) > 0 && m.alone(w, o.presumed) {
		return brokenf("lost-on-its-own-word", "the manager presumes a loss, and nobody else has spoken for it")
	}
	if len(o.accused) > 0 && w.left[awaySlot] == 0 && !m.reported(w) { // a primary that is cut off may accuse anybody
		return brokenf("accused-without-cause", "the manager inquires into %s, and nobody ever was away, nor anything late", hostName(int(o.accused[0])-1))
	}
	spent := m.scenario.budgets[budgetLate] - w.left[budgetLate]
	if m.scenario.Cut > 0 && len(o.removed) > 0 && spent < hiccup {
		return brokenf("removed-too-soon", "the manager removes %s when it has been cut off over %d timers, which may be a hiccup", hostName(int(o.removed[0])-1), spent)
	}
	for _, id := range o.removed {
		if w.left[awaySlot]&(1<<(id-1)) == 0 {
			return brokenf("removed-without-cause", "the manager removes %s, which never was away, and nothing was late", hostName(int(id)-1))
		}
	}
	return nil
}

// hiccup is over how many timers, each a round of pings at most, somebody must have been cut
// off before it is removed. Who answers a ping in between, but no question for proof, has the
// time of four pings; who answers nothing has more.
const hiccup = 4

// reported tells whether a client has reported anybody.
func (m *Model) reported(w *world) bool {
	for i := range m.scenario.asks {
		if m.scenario.asks[i].verb == askReport && w.left[askSlot+i] == 0 {
			return true
		}
	}
	return false
}

// alone tells whether nobody can have spoken for the loss of some nodes: no client has
// reported one, and there is no other node.
func (m *Model) alone(w *world, nodes []core.NodeID) bool {
	if m.reported(w) {
		return false
	}
	for i, id := range w.hosts {
		if m.hosts.at(id).up() && !slices.Contains(nodes, core.NodeID(i+1)) {
			return false
		}
	}
	return true
}

// saidGone tells whether an operator, or in memory mode the node, has said that its data is
// gone.
func (m *Model) saidGone(w *world, id core.NodeID) bool {
	for i := range m.scenario.asks {
		a := &m.scenario.asks[i]
		if w.left[askSlot+i] == 0 && a.node() == id && (a.verb == askForget || a.verb == askStop && !m.scenario.Durable) {
			return true
		}
	}
	return false
}
