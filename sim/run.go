package sim

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// RunOptions say how a Schedule is run; none of them but Tamper changes what happens.
type RunOptions struct {
	Observer            Observer
	Log                 func(*LogRecord) // everything that happens; the record is good only during the call
	CheckImmutable      bool             // check that no message changes after it was sent
	SkipLinearizability bool
	KeepHashes          bool // fill in Outcome.Hashes
	FullHash            bool // hash whole messages; the Hash is then another one
	EventsMax           int  // a run of more events is a livelock; 0 for a default that grows with the schedule

	// Tamper, if not nil, may change what a process wants done, before that is carried out:
	// a fault of the core that is planted, to see that the checks notice it.
	Tamper func(h *Host, out *core.Output)

	newNode func(s *schedule.Schedule, h *Host, seed uint64) (core.Node, error) // for tests of the engine
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
	case itemLink:
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
	phaseSettle               // the faults last until all operations have ended, or for SettleMax
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
		if !w.founded() {
			w.settledAt += int64(schedule.FoundingTime)
		}
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

// founded tells whether the managers have a cluster on which somebody relies.
func (w *World) founded() bool {
	return len(w.managers) == 1 || slices.ContainsFunc(w.managers, func(h *Host) bool {
		m := h.Manager()
		return m != nil && m.Index() > 0
	})
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
