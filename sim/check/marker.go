package check

import (
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
	"gtstore/sim/mark"
)

// marker notes which situations a run comes to. It looks at each event before
// the checker takes in what that has changed, so the checker's references still
// tell how things were. Most events of a run concern no mark, so what can be
// ruled out by a comparison of numbers is.
type marker struct {
	c       *checker
	reached mark.Set
	hosts   []hostMarks               // by Host.Index
	groups  []groupMarks              // by GroupID-1
	mapping map[core.Unit]*sim.Host   // new units that a client waits for, and who asked first
	asked   map[string]bool           // keys about which the manager was asked
	boots   map[core.NodeID]core.Boot // of the last Register that the manager got
	flaps   map[core.NodeID]int       // how often a node was put in quarantine
	council councilMarks
}

// hostMarks is what the marker remembers of a host.
type hostMarks struct {
	id       core.NodeID // of its last process
	running  bool
	stopping bool          // the process takes no more messages
	paused   time.Duration // when it was last paused, and resumed
	resumed  time.Duration
	moved    core.NodeID // whose data was moved here, and has not started yet
	attempt  attempt     // the snapshot that it was last sent
}

// attempt is a snapshot on its way to a joining node.
type attempt struct {
	group     core.GroupID
	start     core.Epoch
	tenure    core.Epoch
	number    uint64
	committed int  // entries when its first chunk came
	started   bool // a chunk was taken since the process started
	installed bool
	successor bool // its primary is not the one that began the join
}

// groupMarks is what the marker remembers of a group.
type groupMarks struct {
	caughtUp core.Epoch               // the start of the last join of which the primary said that it is done
	ended    map[core.NodeID]struct{} // nodes whose join was ended

	// Of the current epoch:
	reporters uint64        // hosts that reported a member, as bits
	suspects  []core.NodeID // members that the primary reported
	probed    bool          // there was an inquiry
	inquiry   inquiry       // the last one
}

// inquiry is one of the manager's into a group.
type inquiry struct {
	byClient  bool          // a client's report began it
	byPrimary bool          // the primary's did
	accuser   core.NodeID   // that primary
	nonce     uint64        // of the probes
	answered  []core.NodeID // them
	accused   core.NodeID   // whom a witness was asked to reach; 0 before
	witness   uint64        // nonce of the probe that the witness was sent
	confirmed bool          // the witness has reached the accused
}

func (m *marker) begin(c *checker, hosts int) {
	m.c = c
	m.hosts = make([]hostMarks, hosts)
	for i := range m.hosts {
		m.hosts[i].resumed = -1
	}
	m.mapping = make(map[core.Unit]*sim.Host)
	m.asked = make(map[string]bool)
	m.boots = make(map[core.NodeID]core.Boot)
	m.flaps = make(map[core.NodeID]int)
}

func (m *marker) reach(mark mark.Mark) { m.reached[mark] = true }

// reachIf is reach for what is cheap to find out.
func (m *marker) reachIf(mark mark.Mark, reached bool) {
	if reached {
		m.reached[mark] = true
	}
}

// farTrip is the round trip from which on nodes are far apart.
const farTrip = 40 * time.Millisecond

// end takes in, at the end of a run, what the engine has seen.
func (m *marker) end(w *sim.World) {
	seen := w.Marks()
	m.reached.Add(&seen)
	m.reachIf(mark.TroubleWithinTheBounds, w.Faults() > 0 && !w.LeftBounds())
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

// process returns the host on which a node runs, nil when it runs nowhere.
func (m *marker) process(id core.NodeID) *sim.Host {
	if h := m.c.owner[id]; h != nil && h.Up() && h.Peer().ID == id {
		return h
	}
	return nil
}

// takenByStorage looks at a message that a storage node has taken in.
func (m *marker) takenByStorage(w *sim.World, h *sim.Host, r *hostRef, in *core.Envelope, events []core.Event) {
	hm := &m.hosts[h.Index()]
	switch {
	case in.To.ID != h.Peer().ID && in.To.ID != 0:
		m.misdirected(in.To.ID)
		return
	case in.From.ID == h.Peer().ID:
		if _, ok := in.Body.(*core.Stop); ok {
			hm.stopping = true
		}
		return
	case hm.stopping || in.Cluster != h.Node().(*core.Storage).Cluster():
		return
	}
	switch b := in.Body.(type) {
	case *core.Op:
		m.takenOp(w, h, r, b, events)
	case *core.Replicate:
		m.fromAPeer(h, r, b.Group, b.Epoch)
		m.takenReplicate(w, h, r, b, events)
	case *core.Ack:
		m.fromAPeer(h, r, b.Group, 0)
		if len(events) > 0 && happened(events, core.EventDropped) {
			m.droppedAck(r, in.From.ID, b)
		}
	case *core.Nack:
		m.fromAPeer(h, r, b.Group, 0)
		if hg := r.known(b.Group); hg != nil {
			m.reachIf(mark.ReplicaLackedThePrev, b.Config == nil && hg.primary && b.Epoch == hg.epoch)
		}
	case *core.Config:
		m.ofAnOldEpoch(h, r.known(b.Group), b.Epoch)
	case *core.Chunk:
		m.fromAPeer(h, r, b.Group, b.Epoch)
		m.takenChunk(h, r.known(b.Group), b, events)
	}
}

// misdirected looks at a message for the node that had this address before.
func (m *marker) misdirected(wanted core.NodeID) {
	if m.reached[mark.MessageForAWipedMember] {
		return
	}
	for _, g := range m.c.groups {
		m.reachIf(mark.MessageForAWipedMember, len(g.configs) > 0 && g.config().Position(wanted) >= 0)
	}
}

// fromAPeer looks at a storage node's message for whether its receiver has left
// the group that it is of. An epoch of 0 tells nothing.
func (m *marker) fromAPeer(h *sim.Host, r *hostRef, id core.GroupID, epoch core.Epoch) {
	hg := r.known(id)
	if hg == nil || !hg.out {
		return
	}
	m.ofAnOldEpoch(h, hg, epoch)
	for _, other := range r.groups {
		if c := m.c.ref(other.id).issued(other.epoch); c != nil && !other.out {
			m.reach(mark.MessageOfAFormerGroup)
		}
	}
}

func (m *marker) ofAnOldEpoch(h *sim.Host, hg *hostGroup, epoch core.Epoch) {
	if hg == nil || !hg.out || epoch >= hg.epoch {
		return
	}
	old := m.c.ref(hg.id).issued(epoch)
	m.reachIf(mark.LeaverGotAnOldEpoch, old != nil && old.Position(h.Peer().ID) >= 0)
}

// takenOp looks at a request.
func (m *marker) takenOp(w *sim.World, h *sim.Host, r *hostRef, op *core.Op, events []core.Event) {
	hg := r.known(op.Group)
	if hg == nil || hg.epoch == 0 {
		return
	}
	g := m.c.ref(op.Group)
	get := op.Kind == core.OpGet
	switch config := g.issued(hg.epoch); {
	case config == nil:
	case !hg.primary:
		m.reachIf(mark.RestartedPrimaryAsked, config.Chain[0].ID == h.Peer().ID)
	case int(config.MinChain) > len(config.Chain):
		reply := replyTo(h.Output(), op.Req)
		m.reachIf(mark.MinChainStoppedAWrite, hg.reconciled && reply != nil && reply.Status == core.StatusUnavailable)
	case get && hg.reconciled && int(hg.commit) < len(hg.prefixes) && !m.reached[mark.GetBesideAnUncommittedWrite]:
		m.reachIf(mark.GetBesideAnUncommittedWrite, pending(h.Node().(*core.Storage), op.Group, op.Key))
	}
	if get && hg.primary && int(hg.epoch) < len(g.configs) && len(g.at) > 0 {
		m.reachIf(mark.StalePrimaryGotAGet, g.at[len(g.at)-1] > hg.epoch)
	}
	if get && m.c.leases && m.hosts[h.Index()].resumed == w.Now() && hg.reconciled {
		v, _ := m.c.view(w, h, op.Group)
		m.reachIf(mark.GetWaitedThroughAPause, v.Serving && !v.Alone)
	}
	for i := range events {
		switch e := &events[i]; {
		case e.Kind == core.EventRetried && e.OpSeq == op.OpSeq && e.Session == op.Session:
			m.retried(h, hg, g, op, e.Status)
		case e.Kind == core.EventDropped && e.Group != 0:
			m.reach(mark.OldRetryDropped)
		}
	}
}

// pending tells whether a log has an uncommitted entry for a key.
func pending(s *core.Storage, id core.GroupID, key string) bool {
	for i := range s.Groups() {
		v := s.Group(i, 0)
		if v.Group != id {
			continue
		}
		for seq := v.Commit + 1; seq <= v.Last; seq++ {
			if s.Entry(i, seq).Key == key {
				return true
			}
		}
	}
	return false
}

// retried looks at a write that came again: it is answered at once if its
// result is stored.
func (m *marker) retried(h *sim.Host, hg *hostGroup, g *groupRef, op *core.Op, stored core.Status) {
	m.reachIf(mark.RetryOfAPendingOp, stored == 0)
	m.reachIf(mark.ConflictToldToARetry, stored == core.StatusConflict)
	at := g.effects[effect{op.Session, op.OpSeq}]
	if stored == 0 || at == 0 || int(at) > len(g.at) {
		return
	}
	if config := g.issued(g.at[at-1]); config != nil {
		m.reachIf(mark.RetryAnsweredByASuccessor, config.Chain[0].ID != h.Peer().ID)
	}
	m.reachIf(mark.RetryAnsweredFromASnapshot, at <= hg.installed)
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
func (m *marker) takenReplicate(w *sim.World, h *sim.Host, r *hostRef, b *core.Replicate, events []core.Event) {
	hg := r.known(b.Group)
	switch {
	case hg == nil || hg.epoch < b.Epoch:
		m.reachIf(mark.EpochLearntFromAReplicate, b.Epoch > 1 && b.Config != nil && happened(events, core.EventAdopted))
		return
	case hg.epoch > b.Epoch:
		m.reach(mark.OldReplicateRefused)
		return
	}
	end := b.Prev.Seq + core.Seq(len(b.Entries))
	if int(end) >= len(hg.prefixes) || m.reached[mark.LateShortReplicate] && m.reached[mark.UnverifiedSuffixAtAnAck] {
		return
	}
	// What the replica has after the end either came with another message, or no
	// primary of this epoch knows of it.
	v, known := m.c.view(w, h, b.Group)
	if !known || v.Verified < end || happened(events, core.EventTruncated) {
		return
	}
	m.reachIf(mark.LateShortReplicate, len(b.Entries) > 0 && v.Verified > end)
	if v.Verified < v.Last && !m.reached[mark.UnverifiedSuffixAtAnAck] {
		m.reachIf(mark.UnverifiedSuffixAtAnAck, !m.primaryHolds(w, b.Group, b.Epoch, hg.prefixes))
	}
}

// primaryHolds tells whether the primary of an epoch has all of a log.
func (m *marker) primaryHolds(w *sim.World, id core.GroupID, epoch core.Epoch, prefixes []uint64) bool {
	for i, r := range m.c.hosts {
		for _, hg := range r.groups {
			if n := len(prefixes); hg.id == id && hg.primary && hg.epoch == epoch && w.Hosts()[i].Up() {
				return len(hg.prefixes) >= n && hg.prefixes[n-1] == prefixes[n-1]
			}
		}
	}
	return true // it is gone: nobody can tell
}

// droppedAck looks at an ack that a primary dropped. If it is of this epoch and comes
// from the joining node, it speaks of what that node held before its present attempt.
func (m *marker) droppedAck(r *hostRef, from core.NodeID, a *core.Ack) {
	hg := r.known(a.Group)
	if hg == nil || !hg.primary || a.Epoch != hg.epoch {
		return
	}
	config := m.c.ref(a.Group).issued(hg.epoch)
	m.reachIf(mark.AckFromBeforeTheSnapshot, config != nil && config.Joining.ID == from)
}

// takenChunk looks at a chunk of a snapshot.
func (m *marker) takenChunk(h *sim.Host, hg *hostGroup, b *core.Chunk, events []core.Event) {
	a := &m.hosts[h.Index()].attempt
	same := a.group == b.Group && a.start == b.Start
	switch {
	case same && (b.Tenure < a.tenure || b.Tenure == a.tenure && b.Attempt < a.number):
		m.reach(mark.ChunkOfAnEarlierAttempt)
		return
	case same && b.Tenure == a.tenure && b.Attempt == a.number:
	default:
		successor := same && (a.successor || b.Tenure > a.tenure)
		if same {
			m.reachIf(mark.SnapshotFromASuccessor, successor && happened(events, core.EventDiscarded))
			m.reachIf(mark.JoinerTooFarBehind, b.Tenure == a.tenure && a.installed && a.started)
		}
		m.reachIf(mark.LogTooShortToResume, b.Attempt == 2 && hg != nil && hg.commit > 0 && happened(events, core.EventDiscarded))
		*a = attempt{group: b.Group, start: b.Start, tenure: b.Tenure, number: b.Attempt, committed: len(m.c.ref(b.Group).committed), successor: successor}
	}
	if offers(h.Output()) {
		return
	}
	a.started = true
	for i := range b.Items {
		m.reachIf(mark.DeletionDuringASnapshot, b.Items[i].Version == 0)
	}
}

// offers tells whether a joining node says what it holds, and so takes in no chunk.
func offers(out *core.Output) bool {
	for i := range out.After {
		if a, ok := out.After[i].Body.(*core.ChunkAck); ok && a.Held.Seq > 0 {
			return true
		}
	}
	return false
}

// storageEvent looks at what a storage node says has happened. Of interest are only gets
// and the rare kinds of event.
func (m *marker) storageEvent(w *sim.World, h *sim.Host, r *hostRef, e *core.Event) {
	switch e.Kind {
	case core.EventRead:
		if e.Effect && !m.reached[mark.LeaseReadUnderDrift] {
			m.readByLease(h, e)
		}
	case core.EventAdopted:
		m.adopted(w, h, r, e)
	case core.EventTruncated:
		joins := happened(h.Events(), core.EventKept)
		m.reachIf(mark.UncommittedSuffixCut, joins)
		m.reachIf(mark.DivergentSuffixCut, !joins)
	case core.EventDiscarded:
		if hg := r.known(e.Group); hg != nil {
			m.reachIf(mark.FormerGroupGivenUp, hg.out && e.Epoch == hg.epoch && happened(h.Events(), core.EventAdopted))
		}
	case core.EventResumed:
		m.resumed(w, e)
	case core.EventParked:
		hg := r.known(e.Group)
		m.reachIf(mark.RequestWhileReconciling, hg == nil || !hg.reconciled)
	case core.EventDeposed:
		if hg := r.known(e.Group); hg != nil { // who stops is deposed too, in the same epoch
			m.reachIf(mark.DeposedWithPendingWrites, hg.pending > 0 && e.Epoch > hg.epoch)
		}
	case core.EventServing:
		hg := r.group(e.Group)
		hg.reconciled = true
		m.reachIf(mark.ServingFarApart, e.Epoch == 1 && w.Schedule().Shape.LatencyMin >= farTrip/2)
		m.reachIf(mark.GrantWaitedOut, m.c.leases && w.Taken() == nil && w.Now() > hg.since)
	case core.EventSuspected:
		m.suspected(r, e)
	case core.EventCaughtUp:
		if config := m.c.ref(e.Group).issued(e.Epoch); config != nil {
			m.group(e.Group).caughtUp = config.Start
		}
	case core.EventInstalled:
		a := &m.hosts[h.Index()].attempt
		a.installed = true
		if from := w.Host(w.Taken().From.Addr); from != nil {
			m.reachIf(mark.SnapshotOverALossyLink, w.Loses(from, h))
		}
		m.reachIf(mark.WritesDuringASnapshot, int(e.Seq) > a.committed)
	}
}

// resumed looks at a join that goes on from what the joining node held.
func (m *marker) resumed(w *sim.World, e *core.Event) {
	m.reach(mark.JoinerResumed)
	joins := m.process(w.Taken().From.ID)
	if joins == nil {
		return
	}
	m.reachIf(mark.ResumedByASuccessor, m.hosts[joins.Index()].attempt.successor)
	hg := m.c.hosts[joins.Index()].known(e.Group)
	m.reachIf(mark.ResumedAfterARestart, hg != nil && hg.fromDisk)
}

// readByLease looks at a get that a primary answered alone, for a member whose
// clock runs faster: its promise ends sooner than the primary's own clock tells.
func (m *marker) readByLease(h *sim.Host, e *core.Event) {
	config := m.c.ref(e.Group).issued(e.Epoch)
	if config == nil {
		return
	}
	for _, p := range config.Chain[1:] {
		member := m.c.owner[p.ID]
		m.reachIf(mark.LeaseReadUnderDrift, member != nil && member.ClockRate() > h.ClockRate())
	}
}

// adopted looks at a node that takes over a config, and most of all at a new
// primary.
func (m *marker) adopted(w *sim.World, h *sim.Host, r *hostRef, e *core.Event) {
	g, hg := m.c.ref(e.Group), r.group(e.Group)
	config, before := g.issued(e.Epoch), g.issued(e.Epoch-1)
	if config == nil || config.Chain[0].ID != h.Peer().ID {
		return
	}
	if hg.primary {
		m.reachIf(mark.EpochOverPendingWrites, hg.pending > 0)
		return
	}
	hg.since = w.Now()
	if before == nil || before.Chain[0].ID == h.Peer().ID {
		return
	}
	v, _ := m.c.view(w, h, e.Group)
	m.reachIf(mark.PromotedWithUncommittedSuffix, v.Primary && v.Commit < v.Last)
	if old := m.process(before.Chain[0].ID); old != nil && m.c.leases {
		v, _ := m.c.view(w, old, e.Group)
		m.reachIf(mark.PromotedUnderAnOldLease, v.Alone)
	}
}

func (m *marker) suspected(r *hostRef, e *core.Event) {
	hg := r.group(e.Group)
	if !hg.primary {
		return
	}
	m.reachIf(mark.ReconcileMissedAMember, !hg.reconciled)
	m.reachIf(mark.WriteWaitedForASuspect, hg.reconciled && hg.pending > 0)
	if int(e.Epoch) == len(m.c.ref(e.Group).configs) {
		gm := m.group(e.Group)
		gm.suspects = append(gm.suspects, e.Node)
	}
}

// takenByClient looks at a message that a client has taken in.
func (m *marker) takenByClient(w *sim.World, in *core.Envelope) {
	b, ok := in.Body.(*core.Reply)
	if !ok || b.Status != core.StatusNotFound || m.reached[mark.LateNotFound] || b.Req>>1 == 0 || b.Req>>1 > uint64(len(w.Ops())) {
		return
	}
	late := &w.Ops()[b.Req>>1-1]
	if late.Kind != core.OpGet || late.Result == nil {
		return
	}
	for i := range w.Ops() {
		op := &w.Ops()[i]
		m.reachIf(mark.LateNotFound, op.Client == late.Client && op.Kind == core.OpGet && op.Key == late.Key && op.CallOrder > late.ReturnOrder && op.Result == nil)
	}
}

// result looks at how an operation ended.
func (m *marker) result(op *history.Operation) {
	m.reachIf(mark.OutcomeUnknown, op.Result.Status == core.StatusUnknown)
	m.reachIf(mark.TooFewNodes, op.Result.Status == core.StatusUnavailable && op.Result.Need > op.Result.Have)
	answered := op.Result.Status == core.StatusOK || op.Result.Status == core.StatusNotFound || op.Result.Status == core.StatusConflict
	m.reachIf(mark.KeyOfAMappedSlot, answered && op.Result.Group != 0 && !m.asked[op.Key])
}
