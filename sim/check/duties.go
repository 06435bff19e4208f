package check

import (
	"slices"

	"gtstore/core"
	"gtstore/sim"
)

// sends tells whether the event under way has a message for a node leave, now or when all that
// was written is durable.
func sends[M core.Message](h *sim.Host, to core.NodeID, is func(M) bool) bool {
	says := func(e core.Envelope) bool {
		b, ok := e.Body.(M)
		return ok && e.To.ID == to && is(b)
	}
	return slices.ContainsFunc(h.Sent(), says) || slices.ContainsFunc(h.Held(), says)
}

// knows tells whether a node has been told of another one, or of a manager.
func knows(s *core.Storage, id core.NodeID) bool {
	for p := range s.Peers() {
		if p.ID == id {
			return true
		}
	}
	return false
}

// checkDuties: who is asked answers, or acts, in the same event. Otherwise the other waits until
// it asks again, and no run ends differently for that.
func (c *checker) checkDuties(w *sim.World, h *sim.Host, s *core.Storage, in *core.Envelope) {
	if in.To.ID != s.ID() || h.Stopped() || h.Output().Halt != nil {
		return
	}
	from, missed := in.From.ID, ""
	switch b := in.Body.(type) {
	case *core.Ping:
		// Who has taken a manager's place since the node was told of them is nobody to it yet.
		if in.Cluster == s.Cluster() && s.Registered() && knows(s, from) && !sends(h, from, func(p *core.Pong) bool { return p.Nonce == b.Nonce }) &&
			!sends(h, from, func(r *core.Refused) bool { return r.What == core.KindPing }) {
			missed = "a ping"
		}
	case *core.Probe:
		self := b.Reach || knows(s, from) && (b.Target.ID == 0 || b.Target.ID == s.ID())
		if in.Cluster == s.Cluster() && s.Registered() && self && !sends(h, from, func(p *core.ProbeReply) bool { return p.Nonce == b.Nonce }) {
			missed = "a probe"
		} else if self && !b.Reach && w.Schedule().Shape.Durable && slices.ContainsFunc(h.Sent(), func(e core.Envelope) bool {
			p, ok := e.Body.(*core.ProbeReply)
			return ok && p.Nonce == b.Nonce && e.To.ID == from
		}) {
			c.saidWrongly(w, "%s proves to %v that it works, and has not written to its disk for that", h.Name(), from)
		}
	case *core.Op:
		if b.Session != 0 && sends(h, from, func(r *core.Reply) bool { return r.Req == b.Req && r.Status == core.StatusSessionEnded }) {
			c.onDenied(w, h, c.ref(b.Group), effect{b.Session, b.OpSeq})
		}
	case *core.Replicate:
		v, known := c.view(w, h, b.Group)
		switch {
		case !known || from == s.ID():
		case b.Epoch < v.Config.Epoch:
			if !sends(h, from, func(n *core.Nack) bool { return n.Config != nil && n.Config.Epoch > b.Epoch }) {
				missed = "a message of a former epoch"
			}
		case b.Epoch == v.Config.Epoch && v.Config.Position(s.ID()) > 0 && from == v.Config.Chain[0].ID && v.Verified > v.Commit &&
			v.Verified == b.Prev.Seq+core.Seq(len(b.Entries)):
			if !sends(h, from, func(a *core.Ack) bool { return a.Round == b.Round && a.Epoch == b.Epoch }) {
				missed = "entries that it has taken in"
			}
		}
	case *core.Nack:
		v, known := c.view(w, h, b.Group)
		if !known || !v.Primary || b.Config != nil || v.Config.Position(from) < 1 {
			return
		}
		said, now := &c.hosts[h.Index()].group(v.Group).words, uint64(0)
		f := said.of(from)
		if !sends(h, from, func(r *core.Replicate) bool { now = r.Round; return r.Group == v.Group }) && f.nacked < b.Round && b.Round <= said.round && b.Epoch == v.Config.Epoch {
			missed = "that something is lacking"
		}
		f.nacked = max(f.nacked, now) // what answers an earlier one says nothing more
	}
	if missed != "" {
		c.saidWrongly(w, "%s was told by %v of %s, and said nothing", h.Name(), from, missed)
	}
}

// onDenied notes that a client was told of an operation that it never takes effect. It may do it
// again, in another session.
func (c *checker) onDenied(w *sim.World, h *sim.Host, g *groupRef, what effect) {
	g.denied[what] = struct{}{}
	if at, ok := g.effects[what]; ok {
		w.Fail("exactly-once", "%s says of operation %d of session %d that it never takes effect, and it did at seq %d", h.Name(), what.opSeq, what.session, at)
	}
}

// spokenFor is what a client knows of its sessions.
type spokenFor struct {
	used   map[uint64]clientUse // by call: the last that was sent
	doubts map[clientSession]uint64
	open   map[core.GroupID]bool
}

type clientSession struct {
	group core.GroupID
	id    core.Seq
}

type clientUse struct {
	clientSession
	opSeq uint64
}

// checkClient: a client writes no more in a session in which it does not know how a write has
// ended, and closes the sessions that it has when it ends.
func (c *checker) checkClient(w *sim.World, h *sim.Host, in *core.Envelope) {
	r := &c.hosts[h.Index()].spoken
	if r.used == nil {
		*r = spokenFor{map[uint64]clientUse{}, map[clientSession]uint64{}, map[core.GroupID]bool{}}
	}
	for _, e := range h.Sent() {
		switch b := e.Body.(type) {
		case *core.Op:
			if b.Kind == core.OpOpen {
				r.open[b.Group] = true
			}
			if b.Session == 0 {
				continue
			}
			use := clientUse{clientSession{b.Group, b.Session}, b.OpSeq}
			if at, doubt := r.doubts[use.clientSession]; doubt && b.OpSeq > at {
				c.saidWrongly(w, "%s writes in session %d of group %d, and does not know how its operation %d there has ended", h.Name(), b.Session, b.Group, at)
			}
			r.used[b.Req>>1] = use
		case *core.Result:
			if use, ok := r.used[b.ID]; ok && b.Status == core.StatusUnknown {
				r.doubts[use.clientSession] = use.opSeq
			}
			delete(r.used, b.ID)
		}
	}
	if in == nil {
		return
	}
	if _, ends := in.Body.(*core.Stop); !ends {
		return
	}
	for id := range r.open {
		if !slices.ContainsFunc(h.Sent(), func(e core.Envelope) bool {
			op, ok := e.Body.(*core.Op)
			return ok && op.Kind == core.OpClose && op.Group == id
		}) {
			c.saidWrongly(w, "%s ends, and leaves its sessions of group %d open", h.Name(), id)
		}
	}
}

// turns is what the checker knows of how the manager chooses.
type turns struct {
	proved map[core.NodeID]bool // that it works, when the manager asked
	begun  joinBegun
	failed core.NodeID   // whose join came to nothing last; 0 for none
	others []core.NodeID // who could have been taken at every moment since
}

// joinBegun is the last join that began: of a node, as it was started then.
type joinBegun struct {
	node core.NodeID
	boot core.Boot
}

func (c *checker) onProof(by core.NodeID) {
	if c.turns.proved == nil {
		c.turns.proved = map[core.NodeID]bool{}
	}
	c.turns.proved[by] = true
}

// checkProof: nobody is removed on suspicion unless one who stays has proved that it works. How
// long ago is not said: an inquiry lasts as long as the manager is cut off.
func (c *checker) checkProof(w *sim.World, n *core.Config, id core.NodeID) {
	if slices.ContainsFunc(n.Chain, func(p core.Peer) bool { return c.turns.proved[p.ID] }) {
		return
	}
	w.Fail("eviction-without-cause", "%v was removed from group %d at epoch %d, and none of those who stay had proved that it works", id, n.Group, n.Epoch)
}

// fit lists the spares that answer and that nothing speaks against.
func (c *checker) fit(w *sim.World, m *core.Manager) (list []core.NodeID) {
	for i := range m.Nodes() {
		if n := m.Node(i, w.Local(w.Manager())); n.Group == 0 && n.Joining == 0 && !n.Gone && !n.Draining && !n.Unfit && n.Answers {
			list = append(list, n.ID)
		}
	}
	return list
}

// checkTurns: in a cluster of one group, a spare whose join has just come to nothing is not tried
// again while another one has been there all the time.
func (c *checker) checkTurns(w *sim.World, m *core.Manager, events []core.Event) {
	t := &c.turns
	if m.Groups() != 1 {
		t.failed = 0
		return
	}
	if t.failed != 0 {
		fit := c.fit(w, m)
		t.others = slices.DeleteFunc(t.others, func(id core.NodeID) bool { return !slices.Contains(fit, id) })
	}
	for i := range events {
		switch e := &events[i]; e.Kind {
		case core.EventJoining:
			if t.failed == e.Node && len(t.others) > 0 {
				w.Fail("endless-join", "%v joins group %d again, which it has just failed to do, and %v was not tried", e.Node, e.Group, t.others[0])
			}
			t.failed, t.begun = 0, joinBegun{e.Node, c.node(w, m, e.Node).Boot}
		case core.EventJoinEnded: // it was given up, if the node is as it was
			n := c.node(w, m, e.Node)
			if t.failed = 0; e.Node == t.begun.node && n.Boot == t.begun.boot && !n.Gone && !n.Draining && c.works(w, e.Node) {
				t.failed = e.Node
				t.others = slices.DeleteFunc(c.fit(w, m), func(id core.NodeID) bool { return id == e.Node })
			}
		case core.EventJoined:
			t.failed = 0
		}
	}
}
