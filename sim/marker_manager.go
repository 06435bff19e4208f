package sim

import (
	"errors"
	"slices"
	"time"

	"gtstore/core"
)

// misses is how many pings in a row a node misses before the manager of a run
// suspects it, and graceTime how long that takes.
var (
	misses    = core.DefaultManagerOptions().MissesMax
	graceTime = time.Duration(misses) * core.DefaultManagerOptions().PingInterval
)

// takenByManager looks at a message that the manager has taken in.
func (m *marker) takenByManager(w *World, h *Host, in *core.Envelope, events []core.Event) {
	node := h.node.(*core.Manager)
	switch b := in.Body.(type) {
	case *core.Suspect:
		m.takenSuspect(w, in, b)
	case *core.ProbeReply:
		for i, g := range m.c.groups {
			if len(g.configs) > 0 && position(g.config(), in.From.ID) >= 0 {
				gm := m.group(core.GroupID(i + 1))
				gm.answered = append(gm.answered, in.From.ID)
			}
		}
	case *core.Pong:
		m.reachIf(MarkLagToldInAPong, b.Lag > 0 && happened(events, core.EventProbing))
	case *core.Register:
		m.reachIf(MarkDuplicateRegister, m.boots[in.From.ID] == b.Boot)
		m.boots[in.From.ID] = b.Boot
	case *core.CaughtUp:
		if g := m.c.ref(b.Group); len(g.configs) > 0 {
			m.reachIf(MarkCaughtUpOfAnOldEpoch, b.Epoch < g.config().Epoch)
		}
	case *core.Lookup:
		m.takenLookup(w, node, in, b, &h.out)
	case *core.Committed:
		if b.Command.Kind == core.CommandPlace {
			m.placed(b.Command.Key, events)
		}
	}
}

func (m *marker) takenSuspect(w *World, in *core.Envelope, b *core.Suspect) {
	from, g := w.hostNamed(in.From.Addr), m.c.ref(b.Group)
	if from == nil || len(g.configs) == 0 {
		return
	}
	if b.Epoch < g.config().Epoch {
		then := g.issued(b.Epoch)
		m.reachIf(MarkSecondReportOfADeath, then != nil && position(then, b.Node) >= 0 && position(g.config(), b.Node) < 0)
		return
	}
	gm := m.group(b.Group)
	gm.reporters |= 1 << from.index
	m.reachIf(MarkReportStorm, manyBits(gm.reporters))
}

// manyBits tells whether three or more are set.
func manyBits(x uint64) bool {
	x &= x - 1
	return x&(x-1) != 0
}

// takenLookup looks at a request for a key that is not mapped yet.
func (m *marker) takenLookup(w *World, node *core.Manager, in *core.Envelope, b *core.Lookup, out *core.Output) {
	from := w.hostNamed(in.From.Addr)
	if !b.Create || from == nil || node.KeyGroup(b.Key) != 0 {
		return
	}
	for i := range out.Send {
		if r, ok := out.Send[i].Body.(*core.LookupReply); ok && r.Req == b.Req {
			return // refused at once
		}
	}
	if first := m.mapping[b.Key]; first == nil {
		m.mapping[b.Key] = from
	} else {
		m.reachIf(MarkTwoClientsMapAKey, first != from)
	}
}

// placed looks at a key that got a group, or none.
func (m *marker) placed(key string, events []core.Event) {
	delete(m.mapping, key)
	if happened(events, core.EventFormed) {
		m.reachIf(MarkKeyWhileAGroupForms, len(m.mapping) > 0)
	} else {
		m.reachIf(MarkKeyToAnOldGroup, happened(events, core.EventMapped))
	}
}

// managerEvent looks at what the manager says has happened.
func (m *marker) managerEvent(w *World, h *Host, e *core.Event) {
	node := h.node.(*core.Manager)
	switch e.Kind {
	case core.EventProbing:
		m.probing(w, node, e)
	case core.EventCleared:
		gm := m.group(e.Group)
		m.reachIf(MarkClientsReportCleared, gm.byClient)
		gm.inquiry = false
	case core.EventLost:
		m.reach(MarkLossPresumed)
		if e.Effect {
			m.reach(MarkLossCertain)
		}
	case core.EventWithdrawn:
		m.reach(MarkLossWithdrawn)
	case core.EventFormed:
		m.formed(w, node, e.Group)
	case core.EventJoining:
		m.joining(w, node, e)
	case core.EventJoined:
		m.reachIf(MarkQuarantinedNodeUsedAgain, m.flaps[e.Node] > 0)
	case core.EventQuarantined:
		m.flaps[e.Node]++
		m.reachIf(MarkFlappingNode, m.flaps[e.Node] > 1)
	}
}

// probing looks at the beginning of an inquiry.
func (m *marker) probing(w *World, node *core.Manager, e *core.Event) {
	gm, config := m.group(e.Group), node.Config(e.Group)
	gm.inquiry, gm.byClient, gm.byPrimary = true, false, false
	gm.answered, gm.witnessed = gm.answered[:0], 0
	if w.taken != nil {
		if _, ok := w.taken.Body.(*core.Suspect); ok {
			from := w.hostNamed(w.taken.From.Addr)
			gm.byClient = from != nil && from.role == RoleClient
			gm.byPrimary = w.taken.From.ID == config.Chain[0].ID
		}
	}
	if len(config.Chain) == 1 {
		m.reach(MarkLastMemberSuspected)
		return
	}
	if m.reached[MarkAllMembersSilent] {
		return
	}
	silent := 0
	for i := range node.Nodes() {
		if n := node.Node(i, w.Local(w.hosts[0])); n.Group == e.Group && n.Missed >= misses {
			silent++
		}
	}
	m.reachIf(MarkAllMembersSilent, silent == len(config.Chain))
}

// formed looks for an uninitialised node that registered before one of a new
// group's and was not taken.
func (m *marker) formed(w *World, node *core.Manager, id core.GroupID) {
	dead := false
	for i := range node.Nodes() {
		n := node.Node(i, w.Local(w.hosts[0]))
		if n.Group == id {
			m.reachIf(MarkDeadSparePassedOver, dead)
		}
		dead = dead || n.Group == 0 && n.Joining == 0 && !n.Gone && !n.Unfit && !n.Answers
	}
}

// joining looks at the beginning of a join.
func (m *marker) joining(w *World, node *core.Manager, e *core.Event) {
	gm, config := m.group(e.Group), node.Config(e.Group)
	_, again := gm.ended[e.Node]
	m.reachIf(MarkCancelledJoinerJoinedAgain, again)
	for i := range node.Groups() {
		other := node.Config(core.GroupID(i + 1))
		m.reachIf(MarkTwoGroupsHealAtOnce, other.Group != e.Group && other.Joining.ID != 0)
	}
	if m.reached[MarkTwoMembersShort] || len(config.Chain)+1 >= w.schedule.Shape.Replicas+1 {
		return
	}
	for i := range node.Nodes() {
		n := node.Node(i, w.Local(w.hosts[0]))
		m.reachIf(MarkTwoMembersShort, n.Group == 0 && n.Joining == 0 && !n.Gone && !n.Unfit && n.Answers)
	}
}

// asked looks at a witness that is asked to reach an accused member.
func (m *marker) asked(h *Host, accused core.NodeID) {
	spare := true
	for i, g := range m.c.groups {
		if len(g.configs) == 0 {
			continue
		}
		c := g.config()
		spare = spare && position(c, h.peer.ID) < 0 && c.Joining.ID != h.peer.ID
		if position(c, accused) >= 0 {
			m.group(core.GroupID(i + 1)).witnessed = accused
		}
	}
	m.reachIf(MarkWitnessWasASpare, spare)
}

// config looks at a new config and at the one before it.
func (m *marker) config(w *World, before, n *core.Config) {
	gm := m.group(n.Group)
	added := len(n.Chain) > len(before.Chain)
	if before.Joining.ID != 0 && n.Joining.ID != before.Joining.ID && !added {
		gm.ended[before.Joining.ID] = struct{}{}
		if h := m.process(before.Joining.ID); h == nil {
			m.reach(MarkJoinerDied)
		} else {
			m.reachIf(MarkStalledJoinEnded, !h.paused)
		}
	}
	goesOn := before.Joining.ID != 0 && n.Joining.ID == before.Joining.ID && n.Start == before.Start
	drained := m.drains(w, before)
	for i, p := range before.Chain {
		if position(n, p.ID) >= 0 {
			continue
		}
		m.reachIf(MarkJoinMetAnEviction, goesOn)
		m.reachIf(MarkPendingAddMetAnEviction, goesOn && gm.caughtUp == before.Start)
		m.removed(w, gm, n, p.ID, i == 0)
		asked := slices.Contains(drained, p.ID)
		if i == 0 {
			m.reachIf(MarkJoinMetAPromotion, goesOn)
			m.reachIf(MarkSuspectPromoted, slices.Contains(gm.suspects, n.Chain[0].ID))
			m.reachIf(MarkPrimaryDrained, asked && m.process(p.ID) != nil)
		}
		m.reachIf(MarkDrainMetAnEviction, !asked && len(drained) > 0)
	}
	gm.inquiry, gm.witnessed, gm.reporters = false, 0, 0
	gm.answered, gm.suspects = gm.answered[:0], gm.suspects[:0]
}

// removed looks at why a member was removed.
func (m *marker) removed(w *World, gm *groupMarks, n *core.Config, id core.NodeID, primary bool) {
	switch {
	case primary:
		m.reachIf(MarkWitnessAgainstThePrimary, gm.witnessed != 0 && position(n, gm.witnessed) >= 0)
	case gm.witnessed == id:
		m.reach(MarkWitnessInVain)
	default:
		m.reachIf(MarkNoWitness, gm.byPrimary && gm.witnessed == 0 && slices.Contains(gm.answered, id))
	}
	h := m.process(id)
	if h != nil && !h.paused && !h.disk.clean() && w.connected(h, w.hosts[0]) {
		m.reachIf(MarkHungDiskEvicted, h.disk.latency > int64(w.schedule.Shape.SyncLatency))
	}
}

// drains lists the members of a chain that an operator waits to see drained.
func (m *marker) drains(w *World, c *core.Config) []core.NodeID {
	var list []core.NodeID
	for i := range w.requests {
		if r := &w.requests[i]; r.drain && r.status == 0 && position(c, r.node) >= 0 {
			list = append(list, r.node)
		}
	}
	return list
}

// change looks at a host whose process started, ended or stalled.
func (m *marker) change(w *World, h *Host, ch Change) {
	hm := &m.hosts[h.index]
	switch ch {
	case HostPaused:
		hm.paused = w.now
	case HostResumed:
		hm.resumed = w.now
		m.reachIf(MarkManagerPausedPastAllGrace, h.role == RoleManager && len(m.groups) > 0 && w.now-hm.paused > int64(graceTime))
	case HostStarted:
		if h.role == RoleStorage {
			m.started(w, h)
			hm.id = h.peer.ID
		}
	case HostCrashed:
		m.crashed(h)
	case HostHalted:
		m.reachIf(MarkForgottenNodeStopped, h.role == RoleStorage && errors.Is(h.halted, core.ErrForgotten))
	}
}

func (m *marker) crashed(h *Host) {
	lost, kept := h.disk.lost, h.disk.kept
	m.reachIf(MarkPartOfUnsyncedWritesKept, lost > 0 && kept > 0)
	if h.role == RoleStorage {
		m.reachIf(MarkUnsyncedWritesLost, lost > 0)
		return
	}
	m.reachIf(MarkCommandLost, lost > 0 && h.incarnation > 0)
	for i := range m.groups {
		m.reachIf(MarkManagerCrashedInAnInquiry, m.groups[i].inquiry)
		m.groups[i].inquiry = false
	}
	clear(m.mapping)
}

// started looks at a new process of a storage node; the checker still knows what
// its last one held.
func (m *marker) started(w *World, h *Host) {
	hm := &m.hosts[h.index]
	returned := hm.id == h.peer.ID
	for i, g := range m.c.groups {
		if len(g.configs) == 0 {
			continue
		}
		config := g.config()
		if !returned {
			m.reachIf(MarkWipedMemberReturned, position(config, hm.id) >= 0)
			continue
		}
		switch at := position(config, h.peer.ID); {
		case at == 0:
			m.reachIf(MarkPrimaryRestartedDuringAJoin, config.Joining.ID != 0)
		case at > 0 && m.c.leases:
			if primary := m.process(config.Chain[0].ID); primary != nil {
				v := m.c.view(w, primary, core.GroupID(i+1))
				m.reachIf(MarkGranterRestarted, v != nil && v.Alone)
			}
		case config.Joining.ID == h.peer.ID:
			a := &hm.attempt
			m.reachIf(MarkRestartWithHalfASnapshot, a.started && !a.installed && a.group == config.Group && a.start == config.Start)
		}
	}
	hm.attempt.started = false
}

// end looks at what came of the operator's requests.
func (m *marker) end(w *World) {
	for i := range w.requests {
		r := &w.requests[i]
		m.reachIf(MarkDrainRefused, r.drain && r.status == core.StatusUnavailable)
	}
}
