package check

import (
	"fmt"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
	"gtstore/sim/mark"
)

func (c *checker) onManagerEvent(w *sim.World, m *core.Manager, e *core.Event) {
	switch e.Kind {
	case core.EventReconfigured, core.EventProbing, core.EventCleared:
		for int(e.Group) > len(c.inquiries) {
			c.inquiries = append(c.inquiries, inquiries{})
		}
		c.onInquiry(w, &c.inquiries[e.Group-1], m, e)
	}
	switch e.Kind {
	case core.EventReconfigured:
		if !c.several(w) { // else see onAgreed
			c.onConfig(w, m.Config(e.Group))
		}
	case core.EventMapped:
		if !c.several(w) {
			c.checkKeys(w, m)
		}
	case core.EventLeads:
		c.onLeads(w, m)
	case core.EventLost:
		c.onLost(w, m, e)
	}
}

func (c *checker) checkKeys(w *sim.World, m *core.Manager) {
	for _, key := range w.Keys() {
		at, now := c.keys[key], m.KeyGroup(key)
		if at != 0 && at != now {
			w.Fail("key-moved", "key %q moved from group %d to group %d", key, at, now)
		}
		c.keys[key] = now
	}
}

// checkServedBy: whoever ended an operation is in its key's group. Another client may know
// that group, and would not see what was written elsewhere.
func (c *checker) checkServedBy(w *sim.World, op *history.Operation) {
	if id := op.Result.Group; id != 0 && id != c.keys[op.Key] {
		w.Fail("key-moved", "%v went to group %d, and the key is of group %d", op, id, c.keys[op.Key])
	}
}

// onRestart takes in the commands that the manager's disk kept, and that its last
// process ended too early to apply. If they raised a group's epoch by more than one,
// nobody has heard of the epochs in between.
func (c *checker) onRestart(w *sim.World, m *core.Manager) {
	for i := range m.Groups() {
		n := m.Config(core.GroupID(i + 1))
		g := c.ref(n.Group)
		switch known := len(g.configs); {
		case int(n.Epoch) < known || int(n.Epoch) == known && !sameConfig(n, g.config()):
			w.Fail("config-rules", "the manager restarted with group %d at epoch %d, after %d", n.Group, n.Epoch, known)
		case int(n.Epoch) > known:
			var before *core.Config
			if known > 0 && known+1 == int(n.Epoch) {
				before = g.config()
			}
			c.marks.reach(mark.CommandKeptUntold)
			for len(g.configs)+1 < int(n.Epoch) {
				g.configs = append(g.configs, nil)
			}
			c.admit(w, g, n, before)
		}
	}
	c.checkKeys(w, m)
	if was := c.directory; was.manager == m.ID() && (m.Index() < was.index || m.Index() == was.index && m.DirectoryHash() != was.hash) {
		w.Fail("directory-kept", "the manager restarted with another Directory at index %d than it had at index %d", m.Index(), was.index)
	}
	c.directory.take(m)
	c.marks.reachIf(mark.RestartedOverRecords, m.Folded() > 0 && m.Folded() < m.Index())
}

// directory is what a manager had applied when it was last looked at.
type directory struct {
	manager core.NodeID
	index   core.Index
	hash    uint64
}

// take reports whether the manager has applied a command since.
func (d *directory) take(m *core.Manager) bool {
	if d.manager == m.ID() && d.index == m.Index() {
		return false
	}
	*d = directory{m.ID(), m.Index(), m.DirectoryHash()}
	return true
}

// onConfig holds a new config against the one before (rule R2).
func (c *checker) onConfig(w *sim.World, n *core.Config) {
	g := c.ref(n.Group)
	if int(n.Epoch) != len(g.configs)+1 {
		w.Fail("config-rules", "group %d went from epoch %d to %d", n.Group, len(g.configs), n.Epoch)
		return
	}
	var before *core.Config
	if len(g.configs) > 0 {
		before = g.config()
	}
	c.admit(w, g, n, before)
}

// admit takes a config in; before is the one that it follows, nil when that is
// not known.
func (c *checker) admit(w *sim.World, g *groupRef, n, before *core.Config) {
	if n.Epoch == 1 && len(n.Chain) != w.Schedule().Shape.Replicas+1 {
		w.Fail("config-rules", "group %d was formed of %d nodes, not of %d", n.Group, len(n.Chain), w.Schedule().Shape.Replicas+1)
	}
	if len(n.Chain) == 0 {
		w.Fail("config-rules", "group %d has no members at epoch %d", n.Group, n.Epoch)
		return
	}
	c.checkJoinTime(w, g, before, n)
	g.configs = append(g.configs, n)
	g.changed = w.Now()
	c.checkDrains(w, before, n)
	if before != nil {
		c.marks.config(w, before, n)
		c.checkStep(w, g, before, n)
		c.onEvictions(w, before, n)
	}
	for i, other := range c.groups {
		if core.GroupID(i+1) == n.Group || len(other.configs) == 0 {
			continue
		}
		for _, p := range append(n.Chain[:len(n.Chain):len(n.Chain)], n.Joining) {
			if p.ID != 0 && (other.config().Position(p.ID) >= 0 || other.config().Joining.ID == p.ID) {
				w.Fail("one-group", "node %v is in groups %d and %d", p.ID, n.Group, i+1)
			}
		}
	}
}

// checkStep holds a config against the one before: members leave, or the node
// that joined comes last, having all that is committed; a join begins in the
// epoch that names it, or ends, or goes on (rules R2 and R10). Where the terms change,
// nothing else does.
func (c *checker) checkStep(w *sim.World, g *groupRef, before, n *core.Config) {
	if n.Terms() != before.Terms() && (!slices.Equal(n.Chain, before.Chain) || n.Joining != before.Joining || n.Start != before.Start) {
		w.Fail("config-rules", "group %d at epoch %d: more happened than that it got other terms", n.Group, n.Epoch)
	}
	last := n.Chain[len(n.Chain)-1]
	if added := before.Joining.ID != 0 && last.ID == before.Joining.ID; added {
		if n.Joining.ID != 0 || len(n.Chain) != len(before.Chain)+1 || !isSubsequence(before.Chain, n.Chain) {
			w.Fail("config-rules", "group %d at epoch %d: more happened than that %s became a member", n.Group, n.Epoch, last.Addr)
		}
		if h := c.owner[last.ID]; h != nil && h.Up() && h.Peer().ID == last.ID {
			c.checkHolds(w, h, n.Group, g, "was made one")
		}
		return
	}
	if !isSubsequence(n.Chain, before.Chain) {
		w.Fail("config-rules", "group %d at epoch %d: the chain is not a part of the one before, in its order", n.Group, n.Epoch)
	}
	goesOn := n.Joining.ID == before.Joining.ID && n.Start == before.Start
	ends := n.Joining.ID == 0 && n.Start == 0
	begins := before.Joining.ID == 0 && n.Joining.ID != 0 && n.Start == n.Epoch && before.Position(n.Joining.ID) < 0
	if !goesOn && !ends && !begins {
		w.Fail("config-rules", "group %d at epoch %d: the join of %v from epoch %d follows that of %v from epoch %d",
			n.Group, n.Epoch, n.Joining.ID, n.Start, before.Joining.ID, before.Start)
	}
}

// isSubsequence tells whether part, which must not be empty, is whole with some
// members left out.
func isSubsequence(part, whole []core.Peer) bool {
	i := 0
	for _, p := range whole {
		if i < len(part) && part[i].ID == p.ID {
			i++
		}
	}
	return i == len(part) && i > 0
}

func (c *checker) onLost(w *sim.World, m *core.Manager, e *core.Event) {
	if !e.Effect {
		c.onPresumed(w, m, c.ref(e.Group).config())
		return
	}
	for _, p := range c.ref(e.Group).config().Chain {
		if c.hasData(w, p.ID) && !c.gone(w, p.ID) {
			w.Fail("lost-falsely", "group %d was declared lost for certain, but %s still has its data", e.Group, p.Addr)
		}
	}
}

// hasData tells whether the data that this id stands for still exists.
func (c *checker) hasData(w *sim.World, id core.NodeID) bool {
	h := c.owner[id]
	if h == nil || h.Peer().ID != id {
		return false
	}
	return h.Up() || w.Schedule().Shape.Durable && h.HasData() && h.Intact()
}

// gone tells whether somebody who may has said that a node's data is gone: an
// operator, or in memory mode the node itself in its farewell. It does not ask
// the manager, whose word is what is checked. Whether the manager has heard an
// operator is sure only when it has answered: see forgotten.
func (c *checker) gone(w *sim.World, id core.NodeID) bool {
	for i := range w.Requests() {
		if r := &w.Requests()[i]; !r.Drain && r.Node == id && r.Status != core.StatusNotFound {
			return true
		}
	}
	h := c.owner[id]
	return h != nil && h.Peer().ID == id && h.Stopped() && !w.Schedule().Shape.Durable
}

// forgotten tells whether an operator was told that a node is forgotten.
func (c *checker) forgotten(w *sim.World, id core.NodeID) bool {
	for i := range w.Requests() {
		if r := &w.Requests()[i]; !r.Drain && r.Node == id && r.Status == core.StatusOK {
			return true
		}
	}
	return false
}

// works tells whether a node is up with its data and may serve.
func (c *checker) works(w *sim.World, id core.NodeID) bool {
	h := c.owner[id]
	return c.hasData(w, id) && h.Up() && !h.Paused() && !h.Stopped() && !h.Broken() && !c.gone(w, id)
}

// manager returns the manager if one is at work.
func (c *checker) manager(w *sim.World) *core.Manager {
	if h := w.Manager(); h.Up() && !h.Paused() {
		if m := h.Manager(); m != nil && m.Leads() {
			return m
		}
	}
	return nil
}

// Settled implements Observer. It is true when every working member of every group has
// the Directory's epoch and all that its primary committed, when every group with a
// working member serves and is as strong as the spares allow, and when every drain that
// can be done or refused is, and every node that an operator gives up is forgotten.
func (c *checker) Settled(w *sim.World) bool { return c.unsettled(w) == "" }

func (c *checker) unsettled(w *sim.World) string {
	m := c.manager(w)
	if m == nil {
		return c.leaderless(w)
	}
	for i := range m.Groups() {
		config := m.Config(core.GroupID(i + 1))
		var lead *core.GroupView
		for _, p := range config.Chain {
			if !c.works(w, p.ID) {
				continue
			}
			h := c.owner[p.ID]
			v, known := c.view(w, h, config.Group)
			switch {
			case !known || v.Config.Epoch != config.Epoch:
				return h.Name() + " has not adopted the last config"
			case lead == nil:
				lead = &v
			case v.Commit != lead.Commit || v.Last != lead.Last && !longerByALostSuffix(config, lead, &v) && lead.Primary:
				return h.Name() + " has not caught up"
			}
		}
		if lead != nil && !c.servedByBroken(w, config) && (!lead.Serving || lead.Commit != lead.Last) {
			return "the primary does not serve"
		}
		if c.works(w, config.Chain[0].ID) && config.Terms() != m.Terms() {
			return fmt.Sprintf("group %d has the terms %v, and its manager %v", config.Group, config.Terms(), m.Terms())
		}
		if lead != nil && lead.Serving && lead.Waiting > 0 {
			return "requests wait at the primary, and nobody for them"
		}
		if why := c.short(w, m, config); lead != nil && why != "" {
			return why
		}
	}
	for i := range w.Requests() {
		switch r := &w.Requests()[i]; {
		case r.Status != 0:
		case !r.Drain:
			return fmt.Sprintf("that node %v is to be forgotten was not answered", r.Node)
		case c.drainable(w, m, r.Node):
			return fmt.Sprintf("the drain of node %v was not answered", r.Node)
		}
	}
	if why := c.apart(w, m); why != "" {
		return why
	}
	if id := c.endlessDrain(w, m); id != 0 {
		return fmt.Sprintf("the drain of node %v does not end", id)
	}
	return ""
}

// quarantineWaited is the longest first quarantine for whose end a run waits, ten times as long at
// most: what is left of a longer one may be more than the run.
const quarantineWaited = time.Second

// short tells why a group should have more members, and could; "" if not. A join that is under way
// has yet to end, and to end well: who fails to join is in quarantine for a while, and then it is
// his turn again. So a group in which no join ever ends well is short for ever.
func (c *checker) short(w *sim.World, m *core.Manager, config *core.Config) string {
	sh := &w.Schedule().Shape
	switch n := len(config.Chain); {
	case n > sh.Replicas:
		return ""
	case config.Joining.ID != 0 && c.mayJoin(w, config):
		return fmt.Sprintf("group %d has %d members, and %s still joins", config.Group, n, config.Joining.Addr)
	case c.eligible(w, m, c.owner[config.Chain[0].ID], n == 1 || sh.Quarantine <= quarantineWaited) > 0:
		return fmt.Sprintf("group %d has %d members although a spare could join", config.Group, n)
	}
	return ""
}

// longerByALostSuffix tells whether a member's log is longer only by a suffix that no primary
// knows, in a group that takes no writes. It is no part of what the member has to
// agree on: the first write that the group takes again cuts it off.
func longerByALostSuffix(config *core.Config, lead, v *core.GroupView) bool {
	return len(config.Chain) < int(config.MinChain) && v.Last > lead.Last && v.Verified >= lead.Last
}

// drainable tells whether a node's group can move its place: somebody must be
// there to lead it.
func (c *checker) drainable(w *sim.World, m *core.Manager, id core.NodeID) bool {
	for i := range m.Groups() {
		if config := m.Config(core.GroupID(i + 1)); config.Position(id) >= 0 {
			return c.works(w, config.Chain[0].ID)
		}
	}
	return true
}

// eligible counts the spares that could be used. With a primary it counts only those
// that the primary can reach: a node that stays broken may be cut off from some. With
// need it counts spares in quarantine too: one copy is left, or a key has no group.
func (c *checker) eligible(w *sim.World, m *core.Manager, primary *sim.Host, need bool) int {
	spares := 0
	for i := range m.Nodes() {
		n := m.Node(i, w.Local(w.Manager()))
		if n.Group != 0 || n.Joining != 0 || n.Gone || n.Draining || n.Unfit && !need || !c.works(w, n.ID) {
			continue
		}
		if primary == nil || w.Connected(primary, c.owner[n.ID]) {
			spares++
		}
	}
	return spares
}

func (c *checker) view(w *sim.World, h *sim.Host, id core.GroupID) (v core.GroupView, known bool) {
	s := h.Node().(*core.Storage)
	for i := range s.Groups() {
		if v = s.Group(i, w.Local(h)); v.Group == id {
			return v, true
		}
	}
	return core.GroupView{}, false
}

// End implements Observer: what must be true when all faults are over.
func (c *checker) End(w *sim.World) {
	c.marks.end(w)
	if w.Failed() == nil && w.Schedule().Shape.Seed%4 == 0 { // it takes as long as many a run
		c.checkDisks(w)
	}
	m := c.manager(w)
	since, healed := w.Healed()
	if healed && w.Failed() == nil && m == nil {
		if why := c.leaderless(w); why != "" {
			w.Fail("convergence", "%v after the faults: %s", w.Now()-since, why)
		}
	}
	if !healed || w.Failed() != nil || m == nil {
		return
	}
	ops := w.Ops()
	for i := range ops {
		if op := &ops[i]; op.Final && op.Result != nil {
			c.checkUsable(w, m, op)
		}
	}
	if why := c.unsettled(w); why != "" {
		w.Fail("convergence", "%v after the faults: %s", w.Now()-since, why)
	}
	c.checkStates(w, m)
}

// checkUsable: a group of which a member works must serve, one of which no copy
// is left must say so, and one that waits for a stopped node may do neither.
func (c *checker) checkUsable(w *sim.World, m *core.Manager, op *history.Operation) {
	id := m.KeyGroup(op.Key)
	if id == 0 {
		if slices.Contains(c.told.wrong, op) && !c.council.over { // a client of the former cluster follows no other
			w.Fail("usable", "%v ended %v although a group could have taken the key", op, op.Result.Status)
		}
		return
	}
	config := m.Config(id)
	works, lost := false, true
	for _, p := range config.Chain {
		works = works || c.works(w, p.ID)
		h := w.Host(p.Addr)
		// Data that is gone can be found missing where the address refuses or answers as
		// another node; silence takes ten times as long. In durable mode a new node must have
		// begun there: of one that has moved there nobody can tell whose disk is gone.
		found := w.Connected(w.Manager(), h) && !h.Paused() && (!w.Schedule().Shape.Durable || h.Up() && replaced(m, p))
		lost = lost && (c.forgotten(w, p.ID) || !c.hasData(w, p.ID) && found)
	}
	if c.several(w) && !slices.ContainsFunc(w.Hosts(), func(h *sim.Host) bool { return h.Role() == sim.RoleStorage && c.works(w, h.Peer().ID) }) {
		lost = false // a manager that reaches no node suspects itself
	}
	short := len(config.Chain) < int(config.MinChain) && op.Kind != core.OpGet
	switch s := op.Result.Status; {
	case works && !short && (op.Kind == core.OpGet || !c.outlastsSessions(w, config)) && s != core.StatusOK && !(op.Kind == core.OpGet && s == core.StatusNotFound):
		w.Fail("usable", "%v ended %v after the faults, although group %d has a member that works", op, s, id)
	case lost && s != core.StatusGroupLost && !(s == core.StatusUnknown && op.Result.Cause == core.StatusGroupLost):
		w.Fail("lost-silently", "%v ended %v after the faults, although no copy of group %d is left", op, s, id)
	}
}

// outlastsSessions tells whether the primary stays so slow that a session ends before the
// first write in it can come: it goes with the answer to who opened it, and comes back as
// late as the primary takes in any message. No write can succeed then, and the primary is not
// dead; a get has no session. Sessions of ten minutes, the default, leave no room for that.
func (c *checker) outlastsSessions(w *sim.World, config *core.Config) bool {
	sh := &w.Schedule().Shape
	h := w.Holder(config.Chain[0].ID)
	return h != nil && h.Slow() > 0 && h.Slow()+2*sh.LatencyMax >= sh.Limits.SessionTTL
}

// couldPlace tells whether the manager has somewhere to put a new key.
func (c *checker) couldPlace(w *sim.World, m *core.Manager) bool {
	for i := range m.Groups() {
		if lost, _ := m.Lost(core.GroupID(i + 1)); !lost {
			return true
		}
	}
	return c.eligible(w, m, nil, true) > w.Schedule().Shape.Replicas
}

// servedByBroken reports that a group's primary is a node that stays broken, but
// is well enough to serve: nobody has a reason to replace it.
func (c *checker) servedByBroken(w *sim.World, config *core.Config) bool {
	h := c.owner[config.Chain[0].ID]
	if h == nil || h.Peer().ID != config.Chain[0].ID || !h.Broken() || !h.Up() || h.Paused() {
		return false
	}
	v, known := c.view(w, h, config.Group)
	return known && v.Config.Epoch == config.Epoch && v.Serving
}

// checkStates compares whole maps: members with one commit point have the same.
func (c *checker) checkStates(w *sim.World, m *core.Manager) {
	for i := range m.Groups() {
		config := m.Config(core.GroupID(i + 1))
		var first *sim.Host
		for _, p := range config.Chain {
			if !c.works(w, p.ID) {
				continue
			}
			h := c.owner[p.ID]
			if first == nil {
				first = h
			} else if a, b := c.values(first, config.Group), c.values(h, config.Group); !sameValues(a, b) {
				w.Fail("state-agreement", "%s and %s have different maps of group %d", first.Name(), h.Name(), config.Group)
			}
		}
	}
}

func (c *checker) values(h *sim.Host, id core.GroupID) map[string]core.Versioned {
	s := h.Node().(*core.Storage)
	for i := range s.Groups() {
		if s.Group(i, 0).Group == id {
			all := make(map[string]core.Versioned)
			for k, v := range s.Values(i) {
				all[k] = v
			}
			return all
		}
	}
	return nil
}

func sameValues(a, b map[string]core.Versioned) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}
