package check

import (
	"slices"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/bounds"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// inquiriesMax is how many inquiries into a group may come to nothing in one epoch. Only
// those count that the primary's report began, and that another member answered. Such an
// inquiry must bring a new epoch, or find that the primary has got what it waited for.
// Else primary and member accuse each other for ever, and the group never serves again.
// When the primary has got what it waited for from a member, the earlier inquiries about
// that member no longer count: an epoch of an hour sees any number of hiccups.
const inquiriesMax = 16

// inquiries is what the checker knows of the manager's into one group, in the
// present epoch.
type inquiries struct {
	open      bool        // one is under way, as far as is known
	accuser   core.NodeID // the primary that began it, 0 when somebody else did
	accused   core.NodeID
	answered  bool                // by another member than the accuser
	fruitless map[core.NodeID]int // by the accused
}

// onEvictions looks at who left a chain, and counts those who left on suspicion.
// It is a violation when all that concerns such a node was within the bounds.
func (c *checker) onEvictions(w *sim.World, before, n *core.Config) {
	for _, p := range before.Chain {
		if n.Position(p.ID) >= 0 || c.askedToDrain(w, p.ID) || c.gone(w, p.ID) {
			continue
		}
		c.suspicion.Evicted++
		c.checkProof(w, n, p.ID)
		if hosts := c.hostsOf(w, before); hosts != nil && w.Calm(hosts) {
			c.suspicion.Uncaused++
			w.Fail("eviction-without-cause", "%s was removed from group %d at epoch %d, although it, the others and the manager had been within the bounds for %v",
				c.owner[p.ID].Name(), n.Group, n.Epoch, bounds.Horizon)
		}
	}
}

// askedToDrain tells whether an operator has asked for a node's place to be moved.
func (c *checker) askedToDrain(w *sim.World, id core.NodeID) bool {
	for i := range w.Requests() {
		if r := &w.Requests()[i]; r.Drain && r.Node == id {
			return true
		}
	}
	return false
}

// hostsOf returns the manager's host and those of a chain's members; nil when one
// of these runs no more where it was.
func (c *checker) hostsOf(w *sim.World, config *core.Config) []*sim.Host {
	hosts := []*sim.Host{w.Manager()}
	for _, p := range config.Chain {
		h := c.owner[p.ID]
		if h == nil || h.Peer().ID != p.ID {
			return nil
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// onPresumed looks at a group that the manager presumes lost. That a member runs
// with its data and is within the bounds makes it a violation, and so does that a
// durable one is merely down, and no new node has begun at its address.
func (c *checker) onPresumed(w *sim.World, m *core.Manager, config *core.Config) {
	c.suspicion.Presumed++
	for _, p := range config.Chain {
		h := c.owner[p.ID]
		if w.Schedule().Shape.Durable && c.hasData(w, p.ID) && !c.gone(w, p.ID) && !replaced(m, p) {
			w.Fail("loss-without-cause", "group %d was presumed lost, although the data of %s are on its disk, and no node has begun at its address since", config.Group, p.Addr)
		}
		if c.hasData(w, p.ID) && !c.gone(w, p.ID) && w.Calm([]*sim.Host{w.Manager(), h}) {
			w.Fail("loss-without-cause", "group %d was presumed lost, although %s has its data, and it and the manager had been within the bounds for %v",
				config.Group, h.Name(), bounds.Horizon)
		}
	}
}

// replaced tells whether a new node has begun at the address of another since that registered.
func replaced(m *core.Manager, p core.Peer) bool {
	for i := range m.Nodes() {
		if n := m.Node(i, 0); n.ID == p.ID {
			return n.Replaced
		}
	}
	return false
}

// onResult looks at how a call ends while nothing has been beyond the bounds in the
// whole run: well.
func (c *checker) onResult(w *sim.World, op *history.Operation) {
	if !w.LeftBounds() && !endedWell(&w.Schedule().Shape, op) && !c.trouble(w) {
		w.Fail("failed-without-cause", "%v ended %v, although all had been within the bounds since the start", op, op.Result.Status)
	}
}

// endedWell tells whether a call has ended well, or nobody has promised that it
// does: its client gives the cluster too little time, or there are too few nodes, or more
// calls may be under way than a group has sessions, and it is a write: each then ends a session
// of another, which has to open a new one, and none may come to its end in time.
func endedWell(sh *schedule.Shape, op *history.Operation) bool {
	if sh.OpTimeout < sh.CalmTimeout() || op.Called < sh.ReturnTime() || sh.Nodes <= sh.Replicas || op.Kind != core.OpGet && sh.Clients*sh.Width > sh.Sessions {
		return true
	}
	switch op.Result.Status {
	case core.StatusOK, core.StatusNotFound, core.StatusConflict, core.StatusTooLarge:
		return true
	}
	return false
}

// trouble tells whether a node pauses beyond the bounds just now, or an operator has
// taken one out of use.
func (c *checker) trouble(w *sim.World) bool {
	return len(w.Requests()) > 0 || slices.ContainsFunc(w.Hosts(), func(h *sim.Host) bool {
		return h.Paused() && w.Now()-h.PausedAt() > bounds.PauseMax
	})
}

// onInquiry follows the inquiries into a group: an event of the manager.
func (c *checker) onInquiry(w *sim.World, q *inquiries, m *core.Manager, e *core.Event) {
	switch e.Kind {
	case core.EventReconfigured:
		*q = inquiries{}
	case core.EventCleared:
		if e.Effect { // the accuser has got what it waited for: that is progress
			q.open = false
			delete(q.fruitless, e.Node)
		}
		c.endInquiry(w, q, e)
	case core.EventProbing:
		accuser := core.NodeID(0)
		if in := w.Taken(); in != nil {
			if _, ok := in.Body.(*core.Suspect); ok && in.From.ID == m.Config(e.Group).Chain[0].ID {
				accuser = in.From.ID
			}
		}
		if accuser == 0 && q.open {
			return // it goes on, with others
		}
		c.endInquiry(w, q, e)
		q.open, q.accuser, q.accused, q.answered = true, accuser, e.Node, false
	}
}

// onProbeReply notes that a member other than the accuser answers an inquiry.
func (c *checker) onProbeReply(m *core.Manager, from core.NodeID) {
	for i := range c.inquiries {
		if q := &c.inquiries[i]; q.open && q.accuser != 0 && from != q.accuser && m.Config(core.GroupID(i+1)).Position(from) >= 0 {
			q.answered = true
		}
	}
}

// endInquiry counts an inquiry that ends in the epoch in which it began.
func (c *checker) endInquiry(w *sim.World, q *inquiries, e *core.Event) {
	if !q.open {
		return
	}
	q.open = false
	if q.accuser == 0 || !q.answered {
		return
	}
	if q.fruitless == nil {
		q.fruitless = map[core.NodeID]int{}
	}
	q.fruitless[q.accused]++
	fruitless := 0
	for _, n := range q.fruitless {
		fruitless += n
	}
	if fruitless > inquiriesMax {
		w.Fail("inquiry-without-end", "%d inquiries that the primary of group %d began in epoch %d have come to nothing", fruitless, e.Group, e.Epoch)
	}
}
