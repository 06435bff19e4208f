package sim

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/history"
	"gtstore/sim/mark"
	"gtstore/sim/network"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// RunOptions say how a Schedule is run; none of them changes what happens.
type RunOptions struct {
	Observer            Observer
	Log                 func(*LogRecord) // everything that happens; the record is good only during the call
	CheckImmutable      bool             // check that no message changes after it was sent
	SkipLinearizability bool
	KeepHashes          bool // fill in Outcome.Hashes
	FullHash            bool // hash whole messages; the Hash is then another one
	EventsMax           int  // a run of more events is a livelock; 0 for a default that grows with the schedule

	newNode func(s *schedule.Schedule, h *Host, seed uint64) (core.Node, error) // for tests of the engine
}

// An Observer watches a run, to check invariants or to collect what is worth
// showing. It may look at everything, change nothing, and call World.Fail.
type Observer interface {
	// Begin comes before everything else; no host is up yet.
	Begin(w *World)
	// AfterEvent comes after each Step and Tick, before the Output is carried out.
	AfterEvent(w *World, h *Host)
	// AfterChange comes after a host's process started, ended, or was paused or resumed.
	AfterChange(w *World, h *Host, c Change)
	// AfterResult comes when an operation returned.
	AfterResult(w *World, op *history.Operation)
	// Settled is asked after each event once all operations have ended. The run
	// goes on until it is true, or LivenessBound has passed since the heal.
	Settled(w *World) bool
	// End comes last, also when the run has failed.
	End(w *World)
}

// Change is what happened to a host.
type Change uint8

const (
	HostStarted Change = iota + 1 // a new process runs
	HostCrashed                   // the process ended; what was not synced is lost, but for what the schedule keeps
	HostWiped                     // the disk is empty; the process, if one ran, ended
	HostHalted                    // the process ended by itself, or could not start
	HostPaused
	HostResumed
	HostMoved // a node's data has come to the host, which is down
)

var changeNames = [...]string{
	HostStarted: "started", HostCrashed: "crashed", HostWiped: "wiped", HostHalted: "halted",
	HostPaused: "paused", HostResumed: "resumed", HostMoved: "given another node's data",
}

func (c Change) String() string {
	if int(c) < len(changeNames) && changeNames[c] != "" {
		return changeNames[c]
	}
	return fmt.Sprintf("Change(%d)", uint8(c))
}

// Violation says which property a run violates, and how.
type Violation struct {
	Property string        // short and stable, such as "linearizable", "liveness" or "panic"
	Text     string        // the same in every run of the schedule
	Event    int           // how many events had happened
	At       time.Duration // virtual time
	Stack    string        // of a panic; differs from run to run
}

func (v *Violation) String() string {
	return fmt.Sprintf("%s at %v, event %d: %s", v.Property, v.At, v.Event, v.Text)
}

// Halt is a process that ended by itself.
type Halt struct {
	Host string
	Node core.NodeID
	At   time.Duration
	Why  string
}

// FaultCounts says how often each fault really happened.
type FaultCounts struct {
	network.Counts
	Verbs   [schedule.VerbCount]int // actions that had an effect, by Verb
	Refused int                     // messages to a host that was down, of which the sender was told
}

// Suspicion counts what was done because somebody was taken for dead.
type Suspicion struct {
	Evicted  int // members that were removed from their chains
	Uncaused int // of these, who was within the bounds
	Presumed int // groups presumed lost
}

// Outcome is what came of a run.
type Outcome struct {
	Verdict   string     // as Schedule.Expect: "holds", or "violates PROPERTY"
	Violation *Violation // nil when it holds

	Hash         uint64 // of all events: equal runs have equal ones
	Hashes       []uint64
	Recording    *schedule.Recording // with the Hash; nil for a run without an event
	Events       int                 // Steps and Ticks
	EventsByKind [core.KindCount]int
	Ticks        int
	Sent         int           // messages put on the network
	Virtual      time.Duration // at the end
	Healed       time.Duration // when the faults ended
	Lin          time.Duration // wall time that the check for linearizability took

	Ops       []history.Operation
	Halted    []Halt
	Fired     FaultCounts
	Seen      [core.EventKindCount]int // the cores' events, by kind; filled in by the package check
	Suspicion Suspicion                // filled in by the package check
	Calm      bool                     // nothing was beyond the bounds within which nobody may be evicted
	Marks     mark.Set                 // the situations that came about; filled in by the package check

	IdleActions    []int // actions that could not fire, as indices
	IdleDeviations []int // deviations whose message was never sent, as indices
}

// World is a run under way, as an Observer sees it.
type World struct {
	schedule *schedule.Schedule
	options  RunOptions
	log      func(*LogRecord)

	seed     uint64
	batch    int
	storages int
	hosts    []*Host
	net      network.Network
	queue    queue
	now      int64 // virtual time
	cursor   int   // the next action
	actionAt int64 // when, or never

	phase      phase
	phaseFrom  int64
	healedAt   int64
	settledAt  int64 // when the last of what was sent under faults has arrived, where messages keep their order
	ops        []history.Operation
	nextOp     int // for operationOf
	keys       []string
	clients    []client
	unfinished int // operations
	order      int // of calls and returns
	requests   []Request
	large      map[string]string // what values are padded to, by what from

	inCore    *Host          // whose core is running
	taken     *core.Envelope // see Taken
	violation *Violation
	done      bool
	events    int
	ticks     int
	byKind    [core.KindCount]int
	sent      uint64
	hash      uint64
	hashes    []uint64
	recording schedule.Recording // but for what is known at the end
	fired     FaultCounts
	ledger    bounds.Ledger
	came      mark.Set // situations that only the engine sees
	halts     []Halt
	idle      []bool // actions that had no effect
	scratch   []byte
}

// Schedule returns what is being run; it must not be changed.
func (w *World) Schedule() *schedule.Schedule { return w.schedule }

// Hosts returns the manager, the storage nodes and the clients, in this order.
// The slice must not be changed.
func (w *World) Hosts() []*Host { return w.hosts }

// Host returns the host of that name or address, or nil.
func (w *World) Host(name string) *Host { return w.hostNamed(name) }

// Now returns the virtual time since the start.
func (w *World) Now() time.Duration { return time.Duration(w.now) }

// Local returns what a host's clock shows.
func (w *World) Local(h *Host) core.Time { return h.clock.local(w.now) }

// Taken returns the message that the event under way took in, nil for a Tick. It
// is good only within an Observer's AfterEvent and must not be changed.
func (w *World) Taken() *core.Envelope { return w.taken }

// Events returns how many Steps and Ticks there have been.
func (w *World) Events() int { return w.events }

// Ops returns the history so far; it must not be changed.
func (w *World) Ops() []history.Operation { return w.ops }

// Healed returns since when there are no more faults, and whether it is so.
func (w *World) Healed() (time.Duration, bool) {
	return time.Duration(w.healedAt), w.phase >= phaseHealed
}

// Failed returns the violation that ends the run, or nil.
func (w *World) Failed() *Violation { return w.violation }

// Fail ends the run with a violation. Of several the first counts.
func (w *World) Fail(property, format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{Property: property, Text: fmt.Sprintf(format, args...), Event: w.events, At: time.Duration(w.now)}
	}
}

// Run carries out a schedule, which must be valid, and judges what happens. The
// same schedule has the same Outcome, wall times and stacks aside.
func Run(s *schedule.Schedule, o RunOptions) *Outcome {
	w := newWorld(s, o)
	w.run()
	if o.Observer != nil {
		o.Observer.End(w)
	}
	out := w.outcome()
	if w.violation == nil && !o.SkipLinearizability {
		begin := time.Now()
		if property, text := history.CheckLinearizable(w.ops); property != "" {
			w.Fail(property, "%s", text)
		}
		out.Lin = time.Since(begin)
	}
	out.Verdict = "holds"
	if out.Violation = w.violation; w.violation != nil {
		out.Verdict = "violates " + w.violation.Property
	}
	return out
}

func newWorld(s *schedule.Schedule, o RunOptions) *World {
	w := &World{schedule: s, options: o, log: o.Log}
	if w.options.newNode == nil {
		w.options.newNode = newNode
	}
	if w.options.EventsMax == 0 {
		w.options.EventsMax = s.EventsMax()
	}
	w.recording.Every, w.recording.Checkpoints = 1, make([]uint16, 0, schedule.CheckpointsMax)
	w.seed, w.batch = s.Shape.Seed, max(1, s.Shape.Batch)
	w.idle = make([]bool, len(s.Actions))
	w.makeHosts()
	w.makeNetwork()
	w.makeHistory()
	w.nextAction(0)
	return w
}

func (w *World) outcome() *Outcome {
	out := &Outcome{
		Hash: w.hash, Hashes: w.hashes, Events: w.events, EventsByKind: w.byKind, Ticks: w.ticks, Sent: int(w.sent),
		Virtual: time.Duration(w.now), Healed: time.Duration(w.healedAt), Ops: w.ops, Halted: w.halts, Fired: w.fired,
		Calm: !w.ledger.Left(),
	}
	out.Fired.Counts = w.net.Counts()
	if w.events > 0 {
		r := w.recording
		r.Events, r.Hash = w.events, w.hash
		r.Checkpoint(w.events, w.hash) // of an event in which the core panicked
		out.Recording = &r
	}
	for i, idle := range w.idle {
		if idle || i >= w.cursor {
			out.IdleActions = append(out.IdleActions, i)
		}
	}
	out.IdleDeviations = w.net.IdleDeviations()
	return out
}

// run is the loop: whatever is due next happens.
func (w *World) run() {
	defer w.recover()
	if w.options.Observer != nil {
		w.options.Observer.Begin(w)
	}
	w.startAll()
	for w.violation == nil && !w.done {
		next := w.queue.nextAt()
		if w.actionAt <= next && w.actionAt != never {
			w.now = w.actionAt
			w.act(w.cursor)
			w.nextAction(w.cursor + 1)
			continue
		}
		e := w.queue.pop() // there is always something: the next phase at least
		w.now = e.at
		w.happen(e.slot)
		if w.phase == phaseFinal && w.unfinished == 0 {
			w.done = w.done || w.options.Observer == nil || w.options.Observer.Settled(w)
		}
	}
}

// recover makes a panic of a core a violation. Others are the engine's own.
func (w *World) recover() {
	if w.inCore == nil {
		return
	}
	p := recover()
	text, _, _ := strings.Cut(fmt.Sprint(p), "\n")
	w.Fail("panic", "%s: %s", w.inCore.name, text)
	if w.violation.Property == "panic" {
		w.violation.Stack = string(debug.Stack())
	}
	w.inCore = nil
}

// happen carries out one item.
func (w *World) happen(slot uint32) {
	it := &w.queue.items[slot]
	h := w.hosts[it.to]
	switch it.kind {
	case itemMessage, itemLocal:
		w.arrive(h, slot)
		return
	case itemSync:
		w.onSync(h, slot)
		return
	}
	kind, life, number, from := it.kind, it.life, it.number, it.from
	w.queue.release(slot)
	switch kind {
	case itemTimer:
		w.onTimer(h, life)
	case itemStart:
		if h.incarnation == 0 {
			w.start(h)
		}
	case itemRequest:
		w.sendRequest(int(number))
	case itemStream:
		w.carryOut(w.net.Waiting(w.now, int(from), h.index))
	case itemUplink:
		w.carryOut(w.net.Departed(w.now, h.index, number))
	case itemDisk:
		w.resumeDisk(h)
	case itemWork:
		w.onWork(h, life)
	case itemPhase:
		w.onPhase()
	}
}

// count notes that an event happens, in the hash too. Kind 0 is a Tick.
func (w *World) count(h *Host, k core.Kind, e *core.Envelope) {
	w.events++
	what := uint64(w.now)
	if k == 0 {
		w.ticks++
	} else {
		w.byKind[k]++
		if w.options.FullHash {
			what = splitmix.Mix(what, w.hashEnvelope(e))
		} else {
			what = splitmix.Mix(what, sketch(e.Body)^uint64(e.From.ID))
		}
	}
	w.hash = splitmix.Mix(w.hash, what^(h.code<<8|uint64(k))<<48)
	if w.events > w.options.EventsMax {
		w.Fail("livelock", "more than %d events", w.options.EventsMax)
	}
}

// sketch hashes enough of the commonest messages that runs which differ soon
// have different hashes. Hashing all of every message would cost more than the
// rest of the engine.
func sketch(m core.Message) uint64 {
	switch m := m.(type) {
	case *core.Replicate:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), splitmix.Mix(uint64(m.Prev.Seq)<<32^uint64(len(m.Entries)), uint64(m.Commit)<<32^m.Round))
	case *core.Ack:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), m.Round<<32^uint64(m.Matched))
	case *core.Nack:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), m.Round<<32^uint64(m.Last))
	case *core.Op:
		return splitmix.Mix(uint64(m.Kind)<<32^m.Req, uint64(m.Session)<<32^m.OpSeq)
	case *core.Reply:
		return splitmix.Mix(uint64(m.Status)<<32^m.Req, uint64(m.Version)<<32^uint64(m.Epoch))
	case *core.Ping:
		return m.Nonce
	case *core.Pong:
		return splitmix.Mix(m.Nonce, uint64(m.Index))
	case *core.Config:
		return splitmix.Mix(uint64(m.Group)<<32^uint64(m.Epoch), uint64(len(m.Chain)))
	case *core.LookupReply:
		return splitmix.Mix(uint64(m.Status), m.Req)
	case *core.PeerDown:
		return uint64(m.Peer.ID)
	}
	return 0
}

// afterEvent ends an event.
func (w *World) afterEvent(h *Host) {
	w.hash = splitmix.Mix(w.hash, uint64(len(h.out.Send))<<40^uint64(len(h.out.Persist))<<20^uint64(len(h.out.After)))
	w.recording.Checkpoint(w.events, w.hash)
	if w.options.KeepHashes {
		w.hashes = append(w.hashes, w.hash)
	}
	if w.options.Observer != nil {
		w.options.Observer.AfterEvent(w, h)
	}
	h.mark = len(h.out.Events)
}

// changed tells of what happened to a host.
func (w *World) changed(h *Host, c Change) {
	w.hash = splitmix.Mix(w.hash, uint64(w.now)^(h.code<<8|uint64(c))<<40)
	w.noteChange(h, c)
	if w.log != nil {
		w.log(&LogRecord{At: time.Duration(w.now), What: LogChanged, To: h.name, Text: c.String()})
	}
	if w.options.Observer != nil {
		w.options.Observer.AfterChange(w, h, c)
	}
}

// act carries out an action and notes whether it could fire.
func (w *World) act(i int) {
	a := &w.schedule.Actions[i]
	if w.log != nil {
		w.log(&LogRecord{At: time.Duration(w.now), What: LogAction, To: a.Host, Action: a, Text: a.String()})
	}
	var fired bool
	if a.Verb.Operation() != 0 {
		w.offer(w.operationOf(i))
		fired = true
	} else {
		fired = w.fault(a)
		w.noteTroubles()
	}
	if fired {
		w.fired.Verbs[a.Verb]++
	}
	w.idle[i] = !fired
}

// operationOf returns the operation that an action calls. Operations are in the
// order of their actions, and each action comes once.
func (w *World) operationOf(action int) int {
	for w.ops[w.nextOp].Action != action {
		w.nextOp++
	}
	return w.nextOp
}

// phase is a part of a run.
type phase uint8

const (
	phaseActions phase = iota // actions are left
	phaseSettle               // the faults last until the operations have felt them
	phaseHealed               // no more faults: the operations must end
	phaseFinal                // the cluster must be of use again
)

func (w *World) nextAction(i int) {
	w.cursor = i
	if i < len(w.schedule.Actions) {
		w.actionAt = max(int64(w.schedule.Actions[i].At), w.now)
		return
	}
	w.actionAt = never
	w.phase, w.phaseFrom = phaseSettle, w.now
	w.pushPhase(w.schedule.Shape.SettleMax())
	if w.unfinished == 0 {
		w.pushPhase(0)
	}
}

// pushPhase has the phase looked at after the delay.
func (w *World) pushPhase(delay time.Duration) {
	w.queue.push(w.now+int64(delay), tieLocal).kind = itemPhase
}

// onPhase begins the next phase if its time has come.
func (w *World) onPhase() {
	elapsed, sh := time.Duration(w.now-w.phaseFrom), &w.schedule.Shape
	switch w.phase {
	case phaseSettle:
		if w.unfinished > 0 && elapsed < sh.SettleMax() {
			return
		}
		w.heal()
		w.phase, w.phaseFrom, w.healedAt = phaseHealed, w.now, w.now
		w.settledAt = max(w.now, w.lastArrival())
		w.onPhase()
	case phaseHealed:
		if w.unfinished > 0 {
			w.checkStuck()
			w.pushPhase(time.Second)
			return
		}
		if ready := w.settledAt + int64(sh.ReturnTime()); w.now < ready {
			w.pushPhase(time.Duration(ready - w.now))
			return
		}
		if last := w.lastArrival(); last > w.now+int64(sh.LatencyMax) { // something is late, and all behind it
			w.settledAt = last
			w.pushPhase(time.Duration(last-w.now) + sh.ReturnTime())
			return
		}
		w.phase, w.phaseFrom = phaseFinal, w.now
		w.pushPhase(sh.FinalMax())
		w.probePuts()
	case phaseFinal:
		if elapsed >= sh.FinalMax() {
			w.checkStuck()
			w.done = true
		}
	}
}

// checkStuck fails when an operation takes too long although there are no more
// faults.
func (w *World) checkStuck() {
	for i := range w.ops {
		op := &w.ops[i]
		if op.CallOrder == 0 || op.Result != nil {
			continue
		}
		if took := time.Duration(w.now) - max(op.Called, time.Duration(w.healedAt)); took >= w.schedule.Shape.LivenessBound() {
			w.Fail("liveness", "%v, called at %v, has not ended %v after the faults did", op, op.Called, took)
		}
	}
}

// heal ends all faults, but for those of hosts that are to stay broken: a load that
// nobody can carry ends there too, since it is none of the host's. What was
// stopped or has halted stays down, but for a storage node in memory mode that
// halted, whose host starts a new one, and for a host whose disk works again.
func (w *World) heal() {
	if w.log != nil {
		w.log(&LogRecord{At: time.Duration(w.now), What: LogHealed, Text: "the faults end"})
	}
	w.leaveBroken()
	w.healNetwork()
	for _, h := range w.hosts {
		w.troubleIf(h, h.slow > int64(bounds.SlowMax) || h.disk.latency > int64(bounds.DiskMax) || w.net.Narrow(h.index))
		w.carryOut(w.net.SetBandwidth(w.now, h.index, 0))
		w.setCost(h, 0)
		if h.broken {
			continue
		}
		w.setSlow(h, 0)
		h.disk.stalled = min(h.disk.stalled, w.now)
		w.resumeDisk(h)
		h.disk.latency, h.disk.full, h.disk.failing = int64(w.schedule.Shape.SyncLatency), false, nil
		switch {
		case h.paused:
			w.resume(h)
		case h.up || h.stopped || h.incarnation == 0:
		case h.halted == nil || h.role == RoleStorage && !w.schedule.Shape.Durable || errors.Is(h.halted, errDiskFailed) || errors.Is(h.halted, errDiskFull):
			w.start(h)
		}
	}
}

// leaveBroken settles which hosts stay broken: those that the schedule names,
// but for the members of groups of which none of the others has a copy.
func (w *World) leaveBroken() {
	for _, name := range w.schedule.Unhealed {
		w.hostNamed(name).broken = true
	}
	m, ok := w.hosts[0].node.(*core.Manager)
	if !ok {
		return
	}
	for i := range m.Groups() {
		chain := m.Config(core.GroupID(i + 1)).Chain
		if slices.ContainsFunc(chain, func(p core.Peer) bool {
			h := w.Holder(p.ID)
			return h != nil && !h.broken && !h.stopped && (h.up || !h.disk.empty() && h.disk.intact())
		}) {
			continue
		}
		for _, p := range chain {
			h := w.Holder(p.ID)
			if h == nil {
				h = w.hostNamed(p.Addr)
			}
			h.broken = false
		}
	}
}

// Holder returns the host whose last process was that node, or to which its data
// was moved; nil when another node has taken the place since.
func (w *World) Holder(id core.NodeID) *Host {
	for _, h := range w.hosts {
		if h.peer.ID == id && h.role == RoleStorage {
			return h
		}
	}
	return nil
}

// Missing says, a line each, what a schedule names and its run did not come to:
// an action that had no effect, a message that was never sent, a situation that
// did not come about. A trace of which something is missing no longer shows what
// it says, and so is not applicable; nothing is when it is.
func (o *Outcome) Missing(s *schedule.Schedule) []string {
	var lines []string
	for _, i := range o.IdleActions {
		lines = append(lines, "has no effect: "+s.Actions[i].String())
	}
	for _, i := range o.IdleDeviations {
		lines = append(lines, "names a message that is never sent: "+s.Deviate[i].String())
	}
	for _, m := range s.Shown() {
		if !o.Marks[m] {
			lines = append(lines, fmt.Sprintf("the situation %v did not come about: %s", m, m.Text()))
		}
	}
	return lines
}
