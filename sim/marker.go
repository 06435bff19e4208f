package sim

import (
	"gtstore/core"
)

// marker notes which situations a run comes to. It looks at each event before
// the checker takes in what that has changed, so the checker's references still
// tell how things were. Most events of a run concern no mark, so what can be
// ruled out by a comparison of numbers is.
type marker struct {
	c       *checker
	reached Marks
	hosts   []hostMarks               // by Host.Index
	groups  []groupMarks              // by GroupID-1
	mapping map[string]*Host          // new keys that a client waits for, and who asked first
	boots   map[core.NodeID]core.Boot // of the last Register that the manager got
	flaps   map[core.NodeID]int       // how often a node was put in quarantine
}

// hostMarks is what the marker remembers of a host.
type hostMarks struct {
	id      core.NodeID // of its last process
	paused  int64       // when it was last paused, and resumed
	resumed int64
	attempt attempt // the snapshot that it was last sent
}

// attempt is a snapshot on its way to a joining node.
type attempt struct {
	group     core.GroupID
	start     core.Epoch
	tenure    core.Epoch
	number    uint64
	committed int  // entries when it began
	started   bool // a chunk was taken since the process started
	installed bool
}

// groupMarks is what the marker remembers of a group. Inquiry and what follows
// it are of the current epoch.
type groupMarks struct {
	caughtUp core.Epoch               // the start of the last join of which the primary said that it is done
	ended    map[core.NodeID]struct{} // nodes whose join was ended

	reporters uint64        // hosts that reported a member, as bits
	suspects  []core.NodeID // members that the primary reported

	inquiry   bool
	byClient  bool          // a client's report began it
	byPrimary bool          // the primary's did
	answered  []core.NodeID // to the probes
	witnessed core.NodeID   // the accused whom a witness was asked to reach
}

func (m *marker) begin(c *checker, hosts int) {
	m.c = c
	m.hosts = make([]hostMarks, hosts)
	for i := range m.hosts {
		m.hosts[i].resumed = -1
	}
	m.mapping = make(map[string]*Host)
	m.boots = make(map[core.NodeID]core.Boot)
	m.flaps = make(map[core.NodeID]int)
}

func (m *marker) reach(mark Mark) { m.reached[mark] = true }

// reachIf is reach for what is cheap to find out.
func (m *marker) reachIf(mark Mark, reached bool) {
	if reached {
		m.reached[mark] = true
	}
}

func (m *marker) group(id core.GroupID) *groupMarks {
	for int(id) > len(m.groups) {
		m.groups = append(m.groups, groupMarks{ended: make(map[core.NodeID]struct{})})
	}
	return &m.groups[id-1]
}

// known returns what a host knows of a group, nil for nothing.
func (r *hostRef) known(id core.GroupID) *hostGroup {
	for _, g := range r.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

// issued returns the config of an epoch, nil when it is not known.
func (g *groupRef) issued(e core.Epoch) *core.Config {
	if e == 0 || int(e) > len(g.configs) {
		return nil
	}
	return g.configs[e-1]
}

func happened(events []core.Event, k core.EventKind) bool {
	for i := range events {
		if events[i].Kind == k {
			return true
		}
	}
	return false
}

// takenByStorage looks at a message that a storage node has taken in.
func (m *marker) takenByStorage(w *World, h *Host, r *hostRef, in *core.Envelope, events []core.Event) {
	if in.To.ID != h.peer.ID && in.To.ID != 0 {
		m.reach(MarkMessageForAnotherNode)
		return
	}
	switch b := in.Body.(type) {
	case *core.Op:
		m.takenOp(w, h, r, b, events)
	case *core.Replicate:
		m.ofGroup(h, r, b.Group, b.Epoch)
		m.takenReplicate(w, h, r, b, events)
	case *core.Ack:
		if in.From.ID == h.peer.ID {
			return
		}
		m.ofGroup(h, r, b.Group, 0)
		if len(events) > 0 && happened(events, core.EventDropped) && r.known(b.Group) != nil {
			config := m.c.ref(b.Group).issued(r.known(b.Group).epoch)
			m.reachIf(MarkAckFromBeforeTheSnapshot, config != nil && b.Epoch == config.Epoch && config.Joining.ID == in.From.ID)
		}
	case *core.Nack:
		m.ofGroup(h, r, b.Group, 0)
		if hg := r.known(b.Group); hg != nil {
			m.reachIf(MarkReplicaLackedThePrev, b.Config == nil && hg.primary && b.Epoch == hg.epoch)
		}
	case *core.Config:
		m.ofGroup(h, r, b.Group, b.Epoch)
	case *core.Chunk:
		m.ofGroup(h, r, b.Group, b.Epoch)
		m.takenChunk(h, r, b)
	case *core.Probe:
		if b.Target.ID != 0 && b.Target.ID != h.peer.ID {
			m.asked(h, b.Target.ID)
		}
	}
}

// ofGroup looks at a message of a group for whether its receiver is in it. An
// epoch of 0 tells nothing.
func (m *marker) ofGroup(h *Host, r *hostRef, id core.GroupID, epoch core.Epoch) {
	hg := r.known(id)
	if hg == nil || hg.epoch == 0 || hg.epoch == 1 && len(r.groups) == 1 {
		return
	}
	config := m.c.ref(id).issued(hg.epoch)
	if config == nil || position(config, h.peer.ID) >= 0 || config.Joining.ID == h.peer.ID {
		return
	}
	if old := m.c.ref(id).issued(epoch); old != nil && epoch < hg.epoch {
		m.reachIf(MarkLeaverGotAnOldEpoch, position(old, h.peer.ID) >= 0)
	}
	for _, other := range r.groups {
		if c := m.c.ref(other.id).issued(other.epoch); c != nil && position(c, h.peer.ID) >= 0 {
			m.reach(MarkMessageOfAFormerGroup)
		}
	}
}

// takenOp looks at a request.
func (m *marker) takenOp(w *World, h *Host, r *hostRef, op *core.Op, events []core.Event) {
	hg := r.known(op.Group)
	if hg == nil || hg.epoch == 0 {
		return
	}
	g := m.c.ref(op.Group)
	write := op.Kind != core.OpGet && op.Kind != core.OpOpen
	switch config := g.issued(hg.epoch); {
	case config == nil:
	case !hg.primary:
		m.reachIf(MarkRestartedPrimaryAsked, config.Chain[0].ID == h.peer.ID)
	case int(config.MinChain) > len(config.Chain):
		m.reachIf(MarkMinChainStoppedAWrite, write && hg.serving)
	}
	if hg.primary && int(hg.epoch) < len(g.configs) && len(g.at) > 0 && g.at[len(g.at)-1] > hg.epoch {
		m.reachIf(MarkStalePrimaryGotAGet, op.Kind == core.OpGet)
		m.reachIf(MarkStalePrimaryGotAWrite, write)
	}
	if op.Kind == core.OpGet && m.c.leases && m.hosts[h.index].resumed == w.now && hg.serving && !m.reached[MarkGetWaitedThroughAPause] {
		if v := m.c.view(w, h, op.Group); v != nil {
			m.reachIf(MarkGetWaitedThroughAPause, v.Serving && !v.Alone)
		}
	}
	for i := range events {
		switch e := &events[i]; {
		case e.Kind == core.EventRetried && e.OpSeq == op.OpSeq && e.Session == op.Session:
			m.retried(h, hg, g, op)
		case e.Kind == core.EventDropped && e.Group != 0:
			m.reach(MarkOldRetryDropped)
		}
	}
}

// retried looks at a write that came again: it is answered at once if its
// result is stored.
func (m *marker) retried(h *Host, hg *hostGroup, g *groupRef, op *core.Op) {
	r := replyTo(&h.out, op.Req)
	if r == nil {
		m.reach(MarkRetryOfAPendingOp)
		return
	}
	m.reach(MarkRetryAfterTheResult)
	m.reachIf(MarkConflictToldToARetry, r.Status == core.StatusConflict)
	at := g.effects[effect{op.Session, op.OpSeq}]
	if at == 0 || int(at) > len(g.at) {
		return
	}
	if config := g.issued(g.at[at-1]); config != nil {
		m.reachIf(MarkRetryAnsweredByASuccessor, config.Chain[0].ID != h.peer.ID)
	}
	m.reachIf(MarkRetryAnsweredFromASnapshot, at <= hg.installed)
}

// replyTo returns the reply to a request that an Output holds, or nil.
func replyTo(out *core.Output, req uint64) *core.Reply {
	for _, list := range [...][]core.Envelope{out.Send, out.After} {
		for i := range list {
			if r, ok := list[i].Body.(*core.Reply); ok && r.Req == req {
				return r
			}
		}
	}
	return nil
}

// takenReplicate looks at a Replicate, at what its receiver held before.
func (m *marker) takenReplicate(w *World, h *Host, r *hostRef, b *core.Replicate, events []core.Event) {
	hg := r.known(b.Group)
	switch {
	case hg == nil || hg.epoch < b.Epoch:
		m.reachIf(MarkEpochLearntFromAReplicate, b.Config != nil && happened(events, core.EventAdopted))
		return
	case hg.epoch > b.Epoch:
		m.reach(MarkOldReplicateRefused)
		return
	}
	end := b.Prev.Seq + core.Seq(len(b.Entries))
	if int(end) >= len(hg.prefixes) {
		return
	}
	// What the replica has after the end either came with a later message, or no
	// primary of this epoch knows of it.
	if m.reached[MarkLateShortReplicate] && m.reached[MarkUnverifiedSuffixAtAnAck] {
		return
	}
	v := m.c.view(w, h, b.Group)
	if v == nil {
		return
	}
	m.reachIf(MarkLateShortReplicate, len(b.Entries) > 0 && end < v.Verified && !happened(events, core.EventTruncated))
	if v.Verified < v.Last && v.Verified >= end && !happened(events, core.EventTruncated) {
		m.reachIf(MarkUnverifiedSuffixAtAnAck, !m.primaryHolds(w, b.Group, b.Epoch, hg.prefixes))
	}
}

// primaryHolds tells whether the primary of an epoch has all of a log.
func (m *marker) primaryHolds(w *World, id core.GroupID, epoch core.Epoch, prefixes []uint64) bool {
	for i, r := range m.c.hosts {
		for _, hg := range r.groups {
			if n := len(prefixes); hg.id == id && hg.primary && hg.epoch == epoch && w.hosts[i].up {
				return len(hg.prefixes) >= n && hg.prefixes[n-1] == prefixes[n-1]
			}
		}
	}
	return true // it is gone: nobody can tell
}

// takenChunk looks at a chunk of a snapshot.
func (m *marker) takenChunk(h *Host, r *hostRef, b *core.Chunk) {
	a := &m.hosts[h.index].attempt
	same := a.group == b.Group && a.start == b.Start
	switch {
	case same && (b.Tenure < a.tenure || b.Tenure == a.tenure && b.Attempt < a.number):
		m.reach(MarkChunkOfAnEarlierAttempt)
		return
	case same && b.Tenure == a.tenure && b.Attempt == a.number:
	default:
		if same {
			m.reachIf(MarkSnapshotFromASuccessor, b.Tenure > a.tenure)
			m.reachIf(MarkJoinerTooFarBehind, b.Tenure == a.tenure && a.installed && a.started)
		}
		*a = attempt{group: b.Group, start: b.Start, tenure: b.Tenure, number: b.Attempt, committed: len(m.c.ref(b.Group).committed)}
	}
	a.started = true
	for i := range b.Items {
		m.reachIf(MarkDeletionDuringASnapshot, b.Items[i].Version == 0)
	}
}

// storageEvent looks at what a storage node says has happened. Only the kinds
// that are seldom are of interest here, and gets.
func (m *marker) storageEvent(w *World, h *Host, r *hostRef, e *core.Event) {
	switch e.Kind {
	case core.EventRead:
		m.read(h, r, e)
	case core.EventAdopted:
		m.adopted(w, h, r, e)
	case core.EventTruncated:
		m.reach(MarkDivergentSuffixCut)
	case core.EventParked:
		m.reach(MarkRequestWhileReconciling)
	case core.EventDeposed:
		m.reachIf(MarkDeposedWithPendingWrites, r.group(e.Group).pending > 0)
	case core.EventServing:
		hg := r.group(e.Group)
		m.reachIf(MarkGrantWaitedOut, m.c.leases && w.taken == nil && w.now > hg.since)
	case core.EventSuspected:
		m.suspected(r, e)
	case core.EventCaughtUp:
		if config := m.c.ref(e.Group).issued(e.Epoch); config != nil {
			m.group(e.Group).caughtUp = config.Start
		}
	case core.EventInstalled:
		a := &m.hosts[h.index].attempt
		a.installed = true
		m.reachIf(MarkWritesDuringASnapshot, int(e.Seq) > a.committed)
	}
}

func (m *marker) read(h *Host, r *hostRef, e *core.Event) {
	if e.Effect {
		m.reach(MarkLeaseRead)
		m.reachIf(MarkLeaseReadUnderDrift, m.c.drifts && h.clock.rate < million)
	} else {
		m.reachIf(MarkGetWithoutALease, m.c.leases)
	}
	if !m.reached[MarkGetBesideAnUncommittedWrite] {
		m.reachIf(MarkGetBesideAnUncommittedWrite, int(e.Seq) < len(r.group(e.Group).prefixes))
	}
}

// adopted looks at a node that takes over a config, and most of all at a new
// primary.
func (m *marker) adopted(w *World, h *Host, r *hostRef, e *core.Event) {
	g, hg := m.c.ref(e.Group), r.group(e.Group)
	config, before := g.issued(e.Epoch), g.issued(e.Epoch-1)
	if config == nil || config.Chain[0].ID != h.peer.ID {
		return
	}
	if hg.primary {
		m.reachIf(MarkEpochOverPendingWrites, hg.pending > 0)
		return
	}
	hg.since = w.now
	if before == nil || before.Chain[0].ID == h.peer.ID {
		return
	}
	if v := m.c.view(w, h, e.Group); v != nil {
		m.reachIf(MarkPromotedWithUncommittedSuffix, v.Primary && v.Commit < v.Last)
	}
	if !m.c.leases {
		return
	}
	if old := m.process(before.Chain[0].ID); old != nil {
		v := m.c.view(w, old, e.Group)
		m.reachIf(MarkPromotedUnderAnOldLease, v != nil && v.Alone)
	}
}

// process returns the host on which a node runs, nil when it runs nowhere.
func (m *marker) process(id core.NodeID) *Host {
	if h := m.c.owner[id]; h != nil && h.up && h.peer.ID == id {
		return h
	}
	return nil
}

func (m *marker) suspected(r *hostRef, e *core.Event) {
	hg := r.group(e.Group)
	if !hg.primary {
		return
	}
	m.reachIf(MarkReconcileMissedAMember, !hg.serving)
	m.reachIf(MarkWriteWaitedForASuspect, hg.serving && hg.pending > 0)
	if int(e.Epoch) == len(m.c.ref(e.Group).configs) {
		gm := m.group(e.Group)
		gm.suspects = append(gm.suspects, e.Node)
	}
}

// takenByClient looks at a message that a client has taken in.
func (m *marker) takenByClient(w *World, in *core.Envelope) {
	b, ok := in.Body.(*core.Reply)
	if !ok || b.Req == 0 || b.Req>>1 > uint64(len(w.ops)) {
		return
	}
	if w.ops[b.Req>>1-1].Result != nil {
		m.reach(MarkLateReply)
		m.reachIf(MarkLateNotFound, b.Status == core.StatusNotFound)
	}
}

// result looks at how an operation ended.
func (m *marker) result(op *Operation) {
	m.reachIf(MarkOutcomeUnknown, op.Result.Status == core.StatusUnknown)
	m.reachIf(MarkTooFewNodes, op.Result.Status == core.StatusUnavailable && op.Result.Need > op.Result.Have)
}
