package check

import (
	"errors"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/mark"
)

// misses is how many pings in a row a node misses before the manager of a run
// suspects it, and graceTime how long that takes.
var (
	misses    = core.DefaultManagerOptions().MissesMax
	graceTime = time.Duration(misses) * core.DefaultManagerOptions().PingInterval
)

// takenByManager looks at a message that the manager has taken in.
func (m *marker) takenByManager(w *sim.World, h *sim.Host, in *core.Envelope, events []core.Event) {
	node := h.Manager()
	switch b := in.Body.(type) {
	case *core.Suspect:
		m.takenSuspect(w, in, b)
	case *core.ProbeReply:
		for i := range m.groups {
			switch q := &m.groups[i].inquiry; b.Nonce {
			case q.nonce:
				q.answered = append(q.answered, in.From.ID)
			case q.witness:
				q.confirmed = q.confirmed || !b.Refused && in.From.ID != q.accuser
			}
		}
	case *core.Pong:
		m.reachIf(mark.LagToldInAPong, b.Lag > 0 && happened(events, core.EventProbing))
	case *core.Register:
		m.reachIf(mark.DuplicateRegister, m.boots[in.From.ID] == b.Boot)
		m.boots[in.From.ID] = b.Boot
	case *core.PeerDown:
		h := w.Holder(b.Peer.ID)
		m.reachIf(mark.OldAddressOfAMovedNode, b.Refused && h != nil && h.Name() != b.Peer.Addr)
	case *core.CaughtUp:
		if g := m.c.ref(b.Group); len(g.configs) > 0 {
			m.reachIf(mark.CaughtUpOfAnOldEpoch, b.Epoch < g.config().Epoch && g.config().Position(b.Node) < 0)
		}
	case *core.Lookup:
		m.takenLookup(w, node, in, b, h.Output())
	case *core.Committed:
		if b.Command.Kind == core.CommandPlace {
			delete(m.mapping, b.Command.Unit)
		}
	}
}

func (m *marker) takenSuspect(w *sim.World, in *core.Envelope, b *core.Suspect) {
	from, g := w.Host(in.From.Addr), m.c.ref(b.Group)
	if from == nil || len(g.configs) == 0 {
		return
	}
	if b.Epoch < g.config().Epoch {
		then := g.issued(b.Epoch)
		m.reachIf(mark.SecondReportOfADeath, then != nil && then.Position(b.Node) >= 0 && g.config().Position(b.Node) < 0)
		return
	}
	gm := m.group(b.Group)
	gm.reporters |= 1 << from.Index()
	m.reachIf(mark.ReportStorm, manyBits(gm.reporters))
}

// manyBits tells whether three or more are set.
func manyBits(x uint64) bool {
	x &= x - 1
	return x&(x-1) != 0
}

// takenLookup looks at a request for a key whose unit is not mapped yet.
func (m *marker) takenLookup(w *sim.World, node *core.Manager, in *core.Envelope, b *core.Lookup, out *core.Output) {
	m.asked[b.Key] = true
	from, unit := w.Host(in.From.Addr), node.Placement().Unit(b.Key)
	if !b.Create || from == nil || node.KeyGroup(b.Key) != 0 {
		return
	}
	for i := range out.Send {
		if r, ok := out.Send[i].Body.(*core.LookupReply); ok && r.Req == b.Req && out.Send[i].To.ID == in.From.ID {
			return // refused at once
		}
	}
	if first := m.mapping[unit]; first == nil {
		m.mapping[unit] = from
	} else {
		m.reachIf(mark.TwoClientsMapAKey, first != from)
	}
}

// managerEvent looks at what the manager says has happened.
func (m *marker) managerEvent(w *sim.World, h *sim.Host, e *core.Event) {
	node := h.Manager()
	switch e.Kind {
	case core.EventProbing:
		m.probing(w, node, h.Output(), e)
	case core.EventCleared:
		primary := node.Config(e.Group).Chain[0].ID
		m.reachIf(mark.ClientsReportCleared, m.group(e.Group).inquiry.byClient && e.Node == primary)
	case core.EventLost:
		m.reachIf(mark.LossCertain, e.Effect)
	case core.EventWithdrawn:
		m.reach(mark.LossWithdrawn)
	case core.EventFormed:
		m.formed(w, node, e.Group)
	case core.EventJoining:
		m.joining(w, node, e)
	case core.EventQuarantined:
		m.flaps[e.Node]++
		m.reachIf(mark.FlappingNode, m.flaps[e.Node] > 1)
	}
}

// probing looks at the beginning of an inquiry.
func (m *marker) probing(w *sim.World, node *core.Manager, out *core.Output, e *core.Event) {
	gm, config := m.group(e.Group), node.Config(e.Group)
	gm.probed = true
	q := &gm.inquiry
	*q = inquiry{answered: q.answered[:0], nonce: lastProbe(out)}
	if w.Taken() != nil {
		if _, ok := w.Taken().Body.(*core.Suspect); ok {
			from := w.Host(w.Taken().From.Addr)
			q.byClient = from != nil && from.Role() == sim.RoleClient
		}
	}
	q.byPrimary, q.accuser = e.Effect, config.Chain[0].ID
	if len(config.Chain) == 1 {
		m.reach(mark.LastMemberSuspected)
		return
	}
	if m.reached[mark.AllMembersSilent] {
		return
	}
	silent := 0
	for i := range node.Nodes() {
		if n := node.Node(i, w.Local(w.Manager())); n.Group == e.Group && n.Missed >= misses {
			silent++
		}
	}
	m.reachIf(mark.AllMembersSilent, silent == len(config.Chain))
}

// lastProbe returns the nonce of the last probe of members that an Output holds.
func lastProbe(out *core.Output) uint64 {
	for i := len(out.Send) - 1; i >= 0; i-- {
		if p, ok := out.Send[i].Body.(*core.Probe); ok && p.Target.ID == 0 {
			return p.Nonce
		}
	}
	return 0
}

// sentByManager looks for a probe with a target, while a primary's report is
// inquired into: somebody beside the primary is asked whether it reaches the accused.
func (m *marker) sentByManager(h *sim.Host) {
	for i := range m.groups {
		if q := &m.groups[i].inquiry; q.byPrimary && q.witness == 0 {
			m.witness(h, core.GroupID(i+1), q)
		}
	}
}

func (m *marker) witness(h *sim.Host, id core.GroupID, q *inquiry) {
	node := h.Manager()
	for i := range h.Output().Send {
		p, ok := h.Output().Send[i].Body.(*core.Probe)
		if !ok || p.Nonce <= q.nonce || p.Target.ID == 0 || h.Output().Send[i].To.ID == q.accuser || node.Config(id).Position(p.Target.ID) < 0 {
			continue
		}
		q.accused, q.witness = p.Target.ID, p.Nonce
		spare := true
		for g := range node.Groups() {
			c := node.Config(core.GroupID(g + 1))
			spare = spare && c.Position(h.Output().Send[i].To.ID) < 0 && c.Joining.ID != h.Output().Send[i].To.ID
		}
		m.reachIf(mark.WitnessWasASpare, spare)
	}
}

// formed looks for an uninitialised node that registered before one of a new
// group's and was not taken.
func (m *marker) formed(w *sim.World, node *core.Manager, id core.GroupID) {
	dead := false
	for i := range node.Nodes() {
		n := node.Node(i, w.Local(w.Manager()))
		if n.Group == id {
			m.reachIf(mark.DeadSparePassedOver, dead)
		}
		dead = dead || n.Group == 0 && n.Joining == 0 && !n.Gone && !n.Unfit && !n.Answers
	}
}

// joining looks at the beginning of a join.
func (m *marker) joining(w *sim.World, node *core.Manager, e *core.Event) {
	gm, config := m.group(e.Group), node.Config(e.Group)
	_, again := gm.ended[e.Node]
	m.reachIf(mark.CancelledJoinerJoinedAgain, again)
	if m.reached[mark.TwoMembersShort] || len(config.Chain)+1 >= w.Schedule().Shape.Replicas+1 {
		return
	}
	for i := range node.Nodes() {
		n := node.Node(i, w.Local(w.Manager()))
		m.reachIf(mark.TwoMembersShort, n.Group == 0 && n.Joining == 0 && !n.Gone && !n.Unfit && n.Answers)
	}
}

// config looks at a new config and at the one before it.
func (m *marker) config(w *sim.World, before, n *core.Config) {
	gm := m.group(n.Group)
	if before.Joining.ID != 0 && n.Joining.ID != before.Joining.ID && len(n.Chain) <= len(before.Chain) {
		gm.ended[before.Joining.ID] = struct{}{}
		h := m.process(before.Joining.ID)
		m.reachIf(mark.StalledJoinEnded, h != nil && !h.Paused() && !m.toBeDrained(w, before.Joining.ID))
	}
	goesOn := before.Joining.ID != 0 && n.Joining.ID == before.Joining.ID && n.Start == before.Start
	if n.Terms() != before.Terms() {
		m.reachIf(mark.TermsMetAJoin, goesOn)
		if primary := m.process(n.Chain[0].ID); primary != nil && n.Lease < before.Lease {
			v, _ := m.c.view(w, primary, n.Group)
			m.reachIf(mark.LeasesEndedUnderALease, v.Alone)
		}
	}
	for i, p := range before.Chain {
		if n.Position(p.ID) >= 0 {
			continue
		}
		m.reachIf(mark.JoinMetAnEviction, goesOn)
		m.reachIf(mark.PendingAddMetAnEviction, goesOn && gm.caughtUp == before.Start)
		if i == 0 {
			m.reachIf(mark.JoinMetAPromotion, goesOn)
			m.reachIf(mark.SuspectPromoted, slices.Contains(gm.suspects, n.Chain[0].ID))
		}
		if m.toBeDrained(w, p.ID) {
			m.reachIf(mark.PrimaryDrained, i == 0 && !gm.probed && m.process(p.ID) != nil)
		} else {
			m.evicted(w, gm, before, n, i)
		}
	}
	gm.reporters, gm.suspects, gm.probed = 0, gm.suspects[:0], false
	gm.inquiry = inquiry{answered: gm.inquiry.answered[:0]}
}

// evicted looks at why the member at a place of the chain before was removed.
func (m *marker) evicted(w *sim.World, gm *groupMarks, before, n *core.Config, at int) {
	id, q := before.Chain[at].ID, &gm.inquiry
	if at == 0 {
		m.reachIf(mark.WitnessAgainstThePrimary, q.confirmed && n.Position(q.accused) >= 0)
	} else {
		m.reachIf(mark.NoWitness, q.byPrimary && q.accused == 0 && slices.Contains(q.answered, id))
	}
	for _, p := range before.Chain {
		m.reachIf(mark.DrainMetAnEviction, p.ID != id && m.toBeDrained(w, p.ID))
	}
	if h := m.process(id); h != nil && !h.Paused() && h.Unsynced() && w.Connected(h, w.Manager()) {
		m.reachIf(mark.HungDiskEvicted, h.SyncLatency() > w.Schedule().Shape.SyncLatency)
	}
}

// toBeDrained tells whether an operator waits to see a node drained.
func (m *marker) toBeDrained(w *sim.World, id core.NodeID) bool {
	for i := range w.Requests() {
		if r := &w.Requests()[i]; r.Drain && r.Status == 0 && r.Node == id {
			return true
		}
	}
	return false
}

// change looks at a host whose process started, ended or stalled.
func (m *marker) change(w *sim.World, h *sim.Host, ch sim.Change) {
	hm := &m.hosts[h.Index()]
	switch ch {
	case sim.HostPaused:
		if node := h.Manager(); node != nil && hm.resumed >= 0 && w.Now()-hm.resumed < time.Second {
			for i := range m.groups {
				m.reachIf(mark.ManagerStutteredInAnInquiry, node.Inquiring(core.GroupID(i+1)))
			}
		}
		hm.paused = w.Now()
	case sim.HostResumed:
		hm.resumed = w.Now()
		m.reachIf(mark.ManagerPausedPastAllGrace, h.Role() == sim.RoleManager && len(m.c.groups) > 0 && w.Now()-hm.paused > graceTime)
	case sim.HostStarted:
		switch h.Role() {
		case sim.RoleStorage:
			m.started(w, h, hm)
		case sim.RoleManager:
			m.reachIf(mark.CommandLost, hm.id == h.Peer().ID && h.LastCrash().Commands > 0)
			clear(m.mapping)
		}
		hm.id, hm.running, hm.stopping = h.Peer().ID, true, false
	case sim.HostMoved:
		hm.moved = h.Peer().ID
	case sim.HostCrashed, sim.HostHalted:
		m.ended(h, hm)
		hm.running = false
	}
}

// ended looks at a process that has ended, or did not even start.
func (m *marker) ended(h *sim.Host, hm *hostMarks) {
	switch h.Role() {
	case sim.RoleStorage:
		m.reachIf(mark.ForgottenNodeStopped, errors.Is(h.Halted(), core.ErrForgotten))
		m.reachIf(mark.DamagedRecordsFound, !hm.running && !h.Intact())
	case sim.RoleManager:
		node := h.Manager()
		for i := range m.groups {
			m.reachIf(mark.ManagerCrashedInAnInquiry, node != nil && hm.running && node.Inquiring(core.GroupID(i+1)))
		}
	}
}

// started looks at a new process of a storage node; the checker still knows what
// its last one held.
func (m *marker) started(w *sim.World, h *sim.Host, hm *hostMarks) {
	for _, g := range m.c.groups {
		m.reachIf(mark.MemberMoved, hm.moved == h.Peer().ID && len(g.configs) > 0 && g.config().Position(hm.moved) >= 0)
	}
	hm.moved = 0
	if hm.id != h.Peer().ID {
		return
	}
	m.reachIf(mark.UnsyncedWritesLost, h.LastCrash().Lost > 0)
	m.reachIf(mark.PartOfUnsyncedWritesKept, h.LastCrash().Lost > 0 && h.LastCrash().Kept > 0)
	for i, g := range m.c.groups {
		if len(g.configs) == 0 {
			continue
		}
		config := g.config()
		switch at := config.Position(h.Peer().ID); {
		case at == 0:
			m.reachIf(mark.PrimaryRestartedDuringAJoin, config.Joining.ID != 0)
		case at > 0 && m.c.leases:
			if primary := m.process(config.Chain[0].ID); primary != nil {
				v, _ := m.c.view(w, primary, core.GroupID(i+1))
				m.reachIf(mark.GranterRestarted, v.Alone)
			}
		case config.Joining.ID == h.Peer().ID:
			a := &hm.attempt
			m.reachIf(mark.RestartWithHalfASnapshot, a.started && !a.installed && a.group == config.Group && a.start == config.Start)
		}
	}
	hm.attempt.started = false
}
