package check

import (
	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
)

// told is what the manager has answered operators and clients, which what it does
// afterwards must bear out.
type told struct {
	answered map[uint64]bool           // requests, by number
	drained  map[core.NodeID]core.Boot // the start of a node that is not to be used again
	quiet    []bool                    // by GroupID-1: no inquiry was under way before the event
	wrong    []*history.Operation      // final ones that were refused though the key could have been placed
}

// onAnswers looks at what the manager has just told an operator.
func (c *checker) onAnswers(w *sim.World, h *sim.Host, m *core.Manager) {
	for i := range h.Output().Send {
		switch b := h.Output().Send[i].Body.(type) {
		case *core.Drained:
			c.onDrained(w, h, m, b)
		case *core.Forgotten:
			if id := c.asked(w, b.Req); b.Status == core.StatusOK && id != 0 && !c.node(w, m, id).Gone {
				w.Fail("answer-kept", "an operator was told that node %v is forgotten, but it is not", id)
			}
		}
	}
	c.told.quiet = c.told.quiet[:0]
	for i := range m.Groups() {
		c.told.quiet = append(c.told.quiet, !m.Inquiring(core.GroupID(i+1)))
	}
}

func (c *checker) onDrained(w *sim.World, h *sim.Host, m *core.Manager, b *core.Drained) {
	id := c.asked(w, b.Req)
	if id == 0 || c.told.answered[b.Req] {
		return
	}
	c.told.answered[b.Req] = true
	switch n := c.node(w, m, id); b.Status {
	case core.StatusOK:
		if n.Gone { // its data is gone already: it serves nobody, wherever its group still names it
			return
		}
		if n.Group != 0 || n.Joining != 0 {
			w.Fail("answer-kept", "an operator was told that node %v is drained, but it is in a group", id)
		}
		c.told.drained[id] = n.Boot
		for _, e := range h.Output().Send { // one of several managers applies many commands at a time
			if r, ok := e.Body.(*core.Registered); ok && e.To.ID == id && r.Boot == n.Boot {
				c.told.drained[id]--
			}
		}
	case core.StatusUnavailable, core.StatusGroupLost:
		if n.Draining && n.Group != 0 {
			w.Fail("answer-kept", "an operator was told that node %v stays, but it is being drained", id)
		}
	}
}

// asked is the node that an operator's request is about, or 0.
func (c *checker) asked(w *sim.World, req uint64) core.NodeID {
	if req == 0 || req > uint64(len(w.Requests())) {
		return 0
	}
	return w.Requests()[req-1].Node
}

// node is what the manager knows of a node; zero when it knows nothing.
func (c *checker) node(w *sim.World, m *core.Manager, id core.NodeID) core.NodeView {
	for i := range m.Nodes() {
		if n := m.Node(i, w.Local(w.Manager())); n.ID == id {
			return n
		}
	}
	return core.NodeView{}
}

// checkDrains: a node that can be stopped, as an operator was told, is not used
// before it is started anew; and a drain takes nobody from a group that is not at
// full strength without him.
func (c *checker) checkDrains(w *sim.World, before, n *core.Config) {
	m := w.Manager().Manager()
	if c.several(w) {
		m = c.council.applies
	}
	for _, p := range append(n.Chain[:len(n.Chain):len(n.Chain)], n.Joining) {
		if boot, ok := c.told.drained[p.ID]; ok && c.node(w, m, p.ID).Boot == boot {
			w.Fail("answer-kept", "an operator was told that %s is drained, but group %d at epoch %d uses it", p.Addr, n.Group, n.Epoch)
		}
	}
	if before == nil || int(n.Group) > len(c.told.quiet) || !c.told.quiet[n.Group-1] {
		return // whoever left may have been evicted
	}
	sh := &w.Schedule().Shape
	for _, p := range before.Chain {
		if n.Position(p.ID) < 0 && c.node(w, m, p.ID).Draining && len(n.Chain) < max(sh.Replicas+1, int(n.MinChain)) {
			w.Fail("drain-weakens", "group %d at epoch %d: %s was drained away, and %d members stay", n.Group, n.Epoch, p.Addr, len(n.Chain))
		}
	}
}

// endlessDrain returns a member that is to be drained, by the Directory, though
// its group could have moved its place, or said that it cannot.
func (c *checker) endlessDrain(w *sim.World, m *core.Manager) core.NodeID {
	for i := range m.Nodes() {
		if n := m.Node(i, w.Local(w.Manager())); n.Draining && n.Group != 0 && !n.Gone && c.drainable(w, m, n.ID) {
			return n.ID
		}
	}
	return 0
}

// onRefusal takes in that a final put found no group for its key, as long as it
// shows whether there could have been one.
func (c *checker) onRefusal(w *sim.World, op *history.Operation) {
	m := c.manager(w)
	if op.Final && m != nil && op.Result.Status == core.StatusUnavailable && m.KeyGroup(op.Key) == 0 && c.couldPlace(w, m) {
		c.told.wrong = append(c.told.wrong, op)
	}
}
