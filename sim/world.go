package sim

import (
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/history"
	"gtstore/sim/mark"
	"gtstore/sim/network"
	"gtstore/sim/schedule"
)

// World is a run under way, as an Observer sees it.
type World struct {
	schedule *schedule.Schedule
	options  RunOptions
	log      func(*LogRecord)

	seed     uint64
	batch    int
	storages int
	hosts    []*Host
	managers []*Host
	// clientsEnd is where the clients end in hosts: the managers after the first follow.
	clientsEnd int
	net        network.Network
	queue      queue
	now        int64 // virtual time
	cursor     int   // the next action
	actionAt   int64 // when, or never

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
	coded     [core.KindCount]uint8 // up to codedFirst
	sent      uint64
	hash      uint64
	hashes    []uint64
	recording schedule.Recording // but for what is known at the end
	fired     FaultCounts
	ledger    bounds.Ledger
	reached   mark.Set // situations that only the engine sees
	halts     []Halt
	idle      []bool // actions that had no effect
	scratch   []byte
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
	for _, h := range w.managers {
		h.terms = core.Terms{Reads: s.Shape.Reads, MinChain: uint32(s.Shape.MinChain)}
	}
	w.makeNetwork()
	w.makeHistory()
	w.nextAction(0)
	return w
}

// Schedule returns what is being run; it must not be changed.
func (w *World) Schedule() *schedule.Schedule { return w.schedule }

// Hosts returns the first manager, the storage nodes, the clients and the other managers, in
// this order.
// The slice must not be changed.
func (w *World) Hosts() []*Host { return w.hosts }

// Managers returns the managers' hosts; the slice must not be changed.
func (w *World) Managers() []*Host { return w.managers }

// Manager returns the host whose manager is at work: of several the one that leads in the
// latest term, whether that knows it or not. Where there is none it is the first.
func (w *World) Manager() *Host {
	found := w.managers[0]
	if len(w.managers) == 1 {
		return found
	}
	var latest core.Term
	for _, h := range w.managers {
		if m := h.Manager(); m != nil && h.up && m.Leads() && m.Term() > latest {
			found, latest = h, m.Term()
		}
	}
	return found
}

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

// Keys returns the keys of the workload; the slice must not be changed.
func (w *World) Keys() []string { return w.keys }

// Requests returns what the operator has asked of the manager so far; the slice
// must not be changed.
func (w *World) Requests() []Request { return w.requests }

// Faults tells how many faults the schedule has brought about so far.
func (w *World) Faults() (n int) {
	for verb, times := range w.fired.Verbs {
		if schedule.Verb(verb).Operation() == 0 {
			n += times
		}
	}
	return n
}

// Marks returns the situations that the engine alone sees, and has seen so far.
func (w *World) Marks() (s mark.Set) {
	s.Add(&w.reached)
	s.Add(w.net.Marks())
	return s
}

// Deviated returns when the schedule last said what becomes of a message; 0 for never.
func (w *World) Deviated() time.Duration { return time.Duration(w.net.Deviated()) }

// LeftBounds reports that something was beyond the bounds in this run.
func (w *World) LeftBounds() bool { return w.ledger.Left() }

// Connected reports that messages pass between the two both ways.
func (w *World) Connected(a, b *Host) bool { return w.net.Connected(a.index, b.index) }

// Loses tells whether a link loses packets, as TCP does.
func (w *World) Loses(from, to *Host) bool { return w.net.Loses(from.index, to.index) }

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

// reachIf notes a situation that the engine alone sees.
func (w *World) reachIf(situation mark.Mark, reached bool) {
	if reached {
		w.reached[situation] = true
	}
}
