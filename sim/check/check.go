package check

import (
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// Run runs a schedule with every check on: the invariants after each event,
// liveness, and linearizability of the whole history.
func Run(s *schedule.Schedule) *sim.Outcome { return RunWith(s, sim.RunOptions{}) }

// RunWith is Run with options; their Observer, if any, is called after the checks.
func RunWith(s *schedule.Schedule, o sim.RunOptions) *sim.Outcome {
	c := &checker{}
	if o.Observer == nil {
		o.Observer = c
	} else {
		o.Observer = &both{checker: c, also: o.Observer}
	}
	out := sim.Run(s, o)
	out.Seen, out.Marks, out.Suspicion = c.seen, c.marks.reached, c.suspicion
	if n := c.seen[core.EventLost]; s.Shape.Lossless && n > 0 && out.Violation == nil {
		out.Violation = &sim.Violation{Property: PropertyGroupLost, Event: out.Events, At: out.Virtual,
			Text: fmt.Sprintf("%d times no copy of a group was left, though no more nodes failed at a time than a group can spare", n)}
		out.Verdict = "violates " + PropertyGroupLost
	}
	return out
}

// PropertyGroupLost is violated when a group is lost in a schedule that says that none may be
// (schedule.Shape.Lossless), as a long one does, where groups have the time to heal.
const PropertyGroupLost = "group-lost"

// checker holds the invariants of the protocol against every event. It keeps a
// reference of what each group's log and state must be, and looks only at what
// an event has changed, so that a check costs little when nothing did.
//
// Properties, by the word a violation is named with:
//
//	log-matching       logs that agree on an entry's epoch and seq agree on all before it
//	commit-agreement   no two members commit different entries at a seq
//	commit-durable     a committed entry is held by every chain member whose data exists
//	commit-truncated   a chain member never truncates a committed entry
//	serving-complete   a serving primary holds all that was committed in epochs up to its own
//	state-agreement    equal states at equal commit points
//	exactly-once       a session's operation takes effect at one seq at most, and at none if its client was told so
//	config-agreement   a node adopts only what the Directory issued
//	config-rules       successive configs obey rule R2
//	required-set       a primary requires its whole chain
//	epoch-memory       a node never forgets an epoch that was durable
//	two-readers        under leases no deposed primary may still serve alone
//	one-group          a node is in one chain at most
//	key-moved          a key never changes its group, and is served by no other
//	directory-kept     a manager that restarts has the Directory that it had
//	one-cluster        several managers found one cluster, and none who counts there begins anew
//	one-leader         of several managers one leads in a term
//	leaderless         a majority of them with which nothing is wrong has a leader in time
//	deposed            the leader of such a majority leads on
//	directory-agreement  they have the same Directory at the same index
//	command-lost       a leader has all commands that any manager has applied
//	disk-refused       a process starts over a disk that nothing has damaged
//	restored           a start finds what was made durable, and nothing else
//	limits             nothing is taken in beyond a bound, or refused below it; no session ends early
//	said               what a node says is so, what it counts on was said to it, and who is asked answers
//	waits              at rest an operation, or a join, takes its round trips and no more
//	books              where nothing is under way nothing is counted, or held back
//	dead-data          nothing stays of groups that a node is out of, but of one at a spare
//	halt-without-cause a process ends by itself only for what has happened
//	answer-kept        what an operator was told stays true: a drained node is not used before it starts anew
//	endless-join       a join with nothing in its way ends
//	drain-weakens      a drain takes nobody from a group that is not at full strength without him
//	lost-falsely       a loss is certain only when every copy is gone
//	lost-silently      a loss that can be detected is declared
//	group-lost         where the schedule leaves each group a copy, none is lost
//	eviction-without-cause   who is within the bounds is not removed from its chain
//	loss-without-cause       a group of which such a node has a copy is not presumed lost
//	failed-without-cause     in a run that is within the bounds every call ends well
//	inquiry-without-end      what a primary reports comes to something
//	usable, convergence   after the faults every group that has a copy serves, its members agree, and it has its manager's terms
type checker struct {
	groups []*groupRef // by GroupID-1
	hosts  []*hostRef  // by Host.Index
	owner  map[core.NodeID]*sim.Host
	keys   map[string]core.GroupID
	told   told
	joins  []joinRef // by GroupID-1
	leases bool
	// whole are processes that ended with all that they had asked to be durable.
	whole map[core.NodeID]*core.Storage
	// clusters are those of which managers were.
	clusters []core.ClusterID
	seen     [core.EventKindCount]int
	marks    marker

	directory directory
	council   council
	inquiries []inquiries // by GroupID-1
	suspicion sim.Suspicion
	limits    limits
	promises  map[nodeGroup]promise
	turns     turns
	views     []core.GroupView // of viewsOf
	joinAcks  map[nodeGroup]joinAck
	nonces    map[core.NodeID]nonces
	forgets   map[core.NodeID]bool // who was forgotten, in an event before the one under way
}

// groupRef is what must be true of a group everywhere.
type groupRef struct {
	configs   []*core.Config // issued, by Epoch-1
	prefixes  map[core.EntryID]uint64
	changed   time.Duration // when the last was
	joining   time.Duration // when the join under way began
	committed []uint64      // hash of the log's prefix, by Seq-1
	at        []core.Epoch  // in which it was first committed, by Seq-1
	digests   []uint64      // of the results applied, by Seq-1
	states    []uint64      // of values and sessions, by Seq-1; 0 where nobody was seen to stop there
	effects   map[effect]core.Seq
	denied    map[effect]struct{} // of which a client was told that they took no effect, and never will
}

type effect struct {
	session core.Seq
	opSeq   uint64
}

func (g *groupRef) config() *core.Config { return g.configs[len(g.configs)-1] }

// hostRef is what was last seen of a host's storage node.
type hostRef struct {
	begun   bool         // it has had an event since it started: with the first it takes over what its disk has
	groups  []*hostGroup // in the node's own order
	index   core.Index   // at which it was last looked at; of one of several managers
	durable map[nodeGroup]core.Epoch
	spoken  spokenFor // of a client
	// Of one of several managers: who waits for it, and what it had applied, and held for lost, after
	// the last event.
	asks     []asking
	applied  core.Index
	lost     []bool
	answered time.Duration // when a node last answered it
}

type nodeGroup struct {
	node  core.NodeID
	group core.GroupID
}

type hostGroup struct {
	id       core.GroupID
	prefixes []uint64 // by Seq-1
	commit   core.Seq
	digest   uint64
	epoch    core.Epoch
	durable  core.Epoch
	serving  bool
	// For the marks.
	primary    bool
	reconciled bool // and serves
	out        bool // neither a member nor joining, in its own epoch
	pending    int  // writes that are not committed
	words      words
	since      time.Duration // when it became the primary
	installed  core.Seq      // what is known from a snapshot alone
	fromDisk   bool          // the process found it when it started
	// unproven: the state came as a snapshot, or from the disk, and was not yet
	// compared with another member's.
	unproven bool
}

// Begin implements Observer.
func (c *checker) Begin(w *sim.World) {
	c.owner = make(map[core.NodeID]*sim.Host)
	c.whole = make(map[core.NodeID]*core.Storage)
	c.keys = make(map[string]core.GroupID)
	c.directory = directory{}
	c.promises = make(map[nodeGroup]promise)
	c.joinAcks = make(map[nodeGroup]joinAck)
	c.nonces = make(map[core.NodeID]nonces)
	c.forgets = make(map[core.NodeID]bool)
	c.told = told{answered: make(map[uint64]bool), drained: make(map[core.NodeID]core.Boot)}
	c.leases = w.Schedule().Leases()
	c.limits.begin(w.Schedule())
	c.marks.begin(c, len(w.Hosts()))
	for range w.Hosts() {
		c.hosts = append(c.hosts, &hostRef{durable: make(map[nodeGroup]core.Epoch)})
	}
}

// AfterResult implements Observer.
func (c *checker) AfterResult(w *sim.World, op *history.Operation) {
	c.marks.result(op)
	c.onResult(w, op)
	c.checkServedBy(w, op)
	c.onRefusal(w, op)
	c.checkWait(w, op)
}

// AfterChange implements Observer. A new process is looked at from scratch.
func (c *checker) AfterChange(w *sim.World, h *sim.Host, ch sim.Change) {
	c.marks.change(w, h, ch)
	if h.Role() == sim.RoleManager {
		c.turns.failed = 0    // who leads then knows nothing of it
		c.joins = c.joins[:0] // a manager that stalls or is down stands in their way
		if ch == sim.HostCrashed || ch == sim.HostWiped {
			c.onManagerLoss(w)
		}
	}
	if h.Role() == sim.RoleManager && ch == sim.HostStarted {
		if m := h.Manager(); m != nil && !c.several(w) {
			c.clusters = append(c.clusters, m.Cluster())
			c.nonces[m.ID()] = nonces{c.nonces[m.ID()].highest, c.nonces[m.ID()].highest}
			c.onRestart(w, m)
		}
	}
	if ch == sim.HostHalted {
		c.onHalted(w, h)
	}
	if h.Role() == sim.RoleManager && ch == sim.HostStarted {
		r := c.hosts[h.Index()]
		r.asks, r.applied, r.lost, r.answered = nil, 0, nil, 0
	}
	if h.Role() == sim.RoleClient && ch == sim.HostStarted {
		c.hosts[h.Index()].spoken = spokenFor{}
	}
	if h.Role() != sim.RoleStorage {
		return
	}
	r := c.hosts[h.Index()]
	for _, g := range r.groups {
		g.serving = false
		if ch != sim.HostPaused && ch != sim.HostResumed {
			g.primary, g.reconciled, g.pending = false, false, 0
		}
	}
	switch ch {
	case sim.HostCrashed, sim.HostHalted:
		c.forgetUnsent(h)
		c.onDown(w, h)
		return
	case sim.HostMoved:
		c.onMoved(h, r)
		return
	case sim.HostStarted:
	default:
		return
	}
	s := h.Node().(*core.Storage)
	c.owner[s.ID()] = h
	c.onStarted(w, h, s)
	r.groups = r.groups[:0]
	c.checkStorage(w, h, s, r, c.viewsOf(w, h, s))
	r.begun = false
	for k, epoch := range r.durable {
		if k.node == s.ID() && c.epochOf(r, k.group) < epoch {
			w.Fail("epoch-memory", "%s restarted and knows epoch %d of group %d, but epoch %d was durable", h.Name(), c.epochOf(r, k.group), k.group, epoch)
		}
	}
	for i, g := range c.groups {
		if len(g.configs) == 0 || g.config().Position(s.ID()) < 0 {
			continue
		}
		c.checkHolds(w, h, core.GroupID(i+1), g, "restarted")
	}
}

// onMoved takes in that a node's data, and with it what it may never forget, is at
// another host now.
func (c *checker) onMoved(h *sim.Host, r *hostRef) {
	id := h.Peer().ID
	if old := c.owner[id]; old != nil {
		for k, epoch := range c.hosts[old.Index()].durable {
			if k.node == id {
				r.durable[k] = epoch
			}
		}
	}
	c.owner[id] = h
}

// forgetUnsent drops the entries that a process appended in an epoch which was
// not durable when it ended: none of them has left the node (rule R1), and its
// next process may lead in the same epoch and know nothing of them.
func (c *checker) forgetUnsent(h *sim.Host) {
	s, ok := h.Node().(*core.Storage)
	if !ok {
		return
	}
	for i := range s.Groups() {
		v := s.Group(i, 0)
		// It is the primary of that epoch also when it has stopped serving already.
		if v.Config.Epoch == 0 || v.Config.Chain[0].ID != s.ID() || v.Durable >= v.Config.Epoch {
			continue
		}
		g := c.ref(v.Group)
		for seq := v.Last; seq > v.Commit && s.Entry(i, seq).Epoch == v.Config.Epoch; seq-- {
			delete(g.prefixes, core.EntryID{Epoch: v.Config.Epoch, Seq: seq})
		}
	}
}

func (c *checker) epochOf(r *hostRef, id core.GroupID) core.Epoch {
	for _, g := range r.groups {
		if g.id == id {
			return g.epoch
		}
	}
	return 0
}

// AfterEvent implements Observer.
func (c *checker) AfterEvent(w *sim.World, h *sim.Host) {
	events := h.Events()
	for i := range events {
		c.seen[events[i].Kind]++
	}
	switch h.Role() {
	case sim.RoleStorage:
		s := h.Node().(*core.Storage)
		r := c.hosts[h.Index()]
		if in := w.Taken(); in != nil {
			c.marks.takenByStorage(w, h, r, in, events)
			c.checkRefusals(w, h, s, in)
			c.checkDuties(w, h, s, in)
		}
		for i := range events {
			c.marks.storageEvent(w, h, r, &events[i])
			c.onStorageEvent(w, h, r, &events[i])
			c.onJoinEvent(w, h, &events[i])
		}
		views := c.viewsOf(w, h, s)
		c.checkSaid(w, h, s, r, views)
		c.checkStorage(w, h, s, r, views)
	case sim.RoleManager:
		m := h.Manager()
		if c.several(w) {
			c.marks.manager(w, h, m)
			c.checkLeader(w, events)
		}
		if m == nil { // it has not founded a cluster yet, nor was taken in
			break
		}
		if c.several(w) {
			c.onAgreed(w, h, m)
			c.onAsked(w, h, m)
			c.onAnswered(w, h, m)
		}
		if !m.Leads() {
			break
		}
		if c.directory.take(m) {
			if held := m.HeldBack(); held != "" {
				w.Fail("books", "the manager has no command under way, and holds back %s", held)
			}
		}
		if in := w.Taken(); in != nil {
			c.marks.takenByManager(w, h, in, events)
			if _, ok := in.Body.(*core.ProbeReply); ok {
				c.onProbeReply(m, in.From.ID)
				c.onProof(in.From.ID)
			}
		}
		c.checkLeading(w, h, m)
		for i := range events {
			c.marks.managerEvent(w, h, &events[i])
			c.onManagerEvent(w, m, &events[i])
		}
		c.marks.sentByManager(h)
		c.onAnswers(w, h, m)
		c.checkJoins(w, m)
		c.checkTurns(w, m, events)
	case sim.RoleClient:
		if in := w.Taken(); in != nil {
			c.marks.takenByClient(w, in)
		}
		c.checkClient(w, h, w.Taken())
		if held := h.Node().(*core.Client).HeldBack(); held != "" {
			w.Fail("books", "%s has no call under way, and keeps %s", h.Name(), held)
		}
	}
}

// ref returns the reference of a group.
func (c *checker) ref(id core.GroupID) *groupRef {
	for int(id) > len(c.groups) {
		c.groups = append(c.groups, &groupRef{prefixes: make(map[core.EntryID]uint64), effects: make(map[effect]core.Seq), denied: make(map[effect]struct{})})
	}
	return c.groups[id-1]
}

func (r *hostRef) group(id core.GroupID) *hostGroup {
	for _, g := range r.groups {
		if g.id == id {
			return g
		}
	}
	g := &hostGroup{id: id}
	r.groups = append(r.groups, g)
	return g
}

func sameConfig(a, b *core.Config) bool {
	if len(a.Chain) != len(b.Chain) || a.Joining.ID != b.Joining.ID || a.Start != b.Start || a.Terms() != b.Terms() {
		return false
	}
	for i := range a.Chain {
		if a.Chain[i].ID != b.Chain[i].ID {
			return false
		}
	}
	return true
}
