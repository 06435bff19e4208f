package sim

import (
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/sim/history"
	"gtstore/sim/mark"
	"gtstore/sim/network"
	"gtstore/sim/schedule"
)

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
