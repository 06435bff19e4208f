package view

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/fuzz"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// momentsMax is how many moments a run has at most: more would be no summary.
const momentsMax = 14

// The kinds of Moment.
const (
	momentFault  = "fault"
	momentConfig = "config"
	momentOp     = "op"
	momentBad    = "bad"
	momentGood   = "good"
)

// The weights of moments. Where there are too many, the lightest are left out.
const (
	weightLight = iota + 1
	weightFault
	weightConfig
	weightOp
	weightKey
)

// meanings says what each property demands, to somebody who meets it for the first time.
var meanings = map[string]string{
	"linearizable":           "Every operation must look as if it had happened at one moment between its call and its result.",
	"linearizable undecided": "The history could not be judged within the work that a check may take.",
	"linearizable disputed":  "Two independent checks of the same history must come to the same verdict.",
	"liveness":               "Once the faults are over, every operation must end.",
	"usable":                 "Once the faults are over, a group of which a copy is left must serve.",
	"convergence":            "Once the faults are over, the members of a group must come to agree.",
	"log-matching":           "Logs that agree on an entry must agree on all entries before it.",
	"commit-agreement":       "No two members may commit different entries at the same place of the log.",
	"commit-durable":         "A committed entry must be held by every chain member whose data exists.",
	"commit-truncated":       "A committed entry must never be cut off a member's log.",
	"serving-complete":       "A primary that serves must hold everything that was committed before.",
	"state-agreement":        "Members that have applied as much must hold the same values.",
	"exactly-once":           "An operation may take effect once at most, however often it is sent.",
	"config-agreement":       "A node may adopt only configs that the manager issued.",
	"config-rules":           "A group's configs must follow each other by the rules: only the primary adds a member, and the chain keeps its order.",
	"required-set":           "A primary must wait for every member of its chain.",
	"epoch-memory":           "A node must never forget an epoch that it has made durable.",
	"one-cluster":            "Several managers found one cluster.",
	"one-leader":             "Of several managers one leads in a term.",
	"leaderless":             "Managers must have a leader in time, where nothing is wrong with a majority of them.",
	"deposed":                "A leader goes on leading, where nothing is wrong with it and a majority of the managers.",
	"directory-agreement":    "Several managers must have the same Directory at the same index.",
	"command-lost":           "A manager that begins to lead must have all commands that earlier leaders have applied.",
	"directory-kept":         "A manager that restarts must have the Directory that it had.",
	"disk-refused":           "A process must start over a disk that nothing has damaged.",
	"restored":               "A start must find on its disk what was made durable, and nothing else.",
	"said":                   "What a node says must be so, what it counts on must have been said to it, and it must answer what it is asked.",
	"books":                  "Where nothing is under way, nothing may be counted as such, or held back for it.",
	"waits":                  "In a cluster at rest an operation, or a join, must take its round trips, and wait for nothing else.",
	"limits":                 "A primary must take in what the schedule's limits allow, and nothing beyond; a session ends only when it is due, or another needs room.",
	"dead-data":              "A member must hold nothing of groups that it has left, and a spare what it held of one at most.",
	"codec":                  "A message must be readable by its receiver.",
	"halt-without-cause":     "A process must end by itself only for what has happened to it.",
	"two-readers":            "Two primaries must never both answer gets by themselves.",
	"one-group":              "A node may be in one chain at most.",
	"key-moved":              "A key must never change its group.",
	"answer-kept":            "What an operator was told must stay true: a drained node is not used before it starts anew.",
	"drain-weakens":          "A drain may take nobody from a group that is not at full strength without him.",
	"endless-join":           "A join with nothing in its way must end.",
	"eviction-without-cause": "Who is within the bounds must not be removed from its chain.",
	"loss-without-cause":     "A group must not be presumed lost while a node within the bounds has its data.",
	"failed-without-cause":   "In a run that never leaves the bounds, every call must end well.",
	"inquiry-without-end":    "What a primary reports must come to something.",
	"lost-falsely":           "A group may be declared lost for certain only when no copy is left.",
	"lost-silently":          "A loss that can be noticed must be declared.",
	"group-lost":             "No group may be lost, as the schedule leaves each of them a copy.",
	"livelock":               "The nodes must come to rest.",
	"outcome":                "An operation must end as the trace says that it does.",
	fuzz.PropertyPanic:       "The simulator itself must not fail.",
	"panic":                  "No assertion of the core may fail.",
	"immutability":           "A message must not change once it was sent.",
	"driver-contract":        "A node must keep its contract with whoever drives it.",
	"result":                 "A client must answer each call once.",
	"corruption undetected":  "A damaged message must be noticed.",
}

// moment proposes a moment of the run. chooseMoments chooses among those proposed.
func (r *recorder) moment(i, host int, kind, text string, weight int) {
	r.run.Moments = append(r.run.Moments, Moment{Step: i, Host: host, Kind: kind, Text: text, weight: weight})
}

// eventMoment proposes a moment for an event of the core, if that is worth one.
func (r *recorder) eventMoment(i int, h *sim.Host, e *core.Event) {
	text, kind, weight := "", momentConfig, weightConfig
	switch e.Kind {
	case core.EventReconfigured, core.EventFormed:
		m := h.Manager()
		if m == nil || e.Kind == core.EventReconfigured && e.Epoch == 1 {
			return
		}
		c := m.Config(e.Group)
		text = fmt.Sprintf("the manager makes epoch %d of group %d: %s", c.Epoch, e.Group, r.names.chain(c))
		if e.Kind == core.EventFormed {
			text, weight = fmt.Sprintf("the manager forms group %d: %s", e.Group, r.names.chain(c)), weightLight
		}
	case core.EventServing:
		if e.Epoch == 1 {
			return
		}
		text = fmt.Sprintf("%s serves group %d as the primary of epoch %d", h.Name(), e.Group, e.Epoch)
	case core.EventDeposed:
		text, weight = fmt.Sprintf("%s learns that it is the primary no more: epoch %d", h.Name(), e.Epoch), weightLight
	case core.EventTruncated:
		text = fmt.Sprintf("%s cuts its log off from seq %d on", h.Name(), e.Seq)
	case core.EventLost:
		text, weight = fmt.Sprintf("the manager declares group %d lost", e.Group), weightKey
	case core.EventWithdrawn:
		text, weight = fmt.Sprintf("the manager withdraws the loss of group %d", e.Group), weightKey
	case core.EventSuspected:
		if text = fmt.Sprintf("%s suspects %s", h.Name(), r.names.node(e.Node, "a node")); r.suspected[text] {
			return
		}
		r.suspected[text], weight = true, weightLight
		if n := len(r.run.Moments); n > 0 && r.run.Moments[n-1].Step == i && r.run.Moments[n-1].weight == weightLight {
			r.run.Moments[n-1].Text += " and " + r.names.node(e.Node, "a node")
			return
		}
	case core.EventCaughtUp:
		text, weight = h.Name()+" has brought the joining node up to date", weightLight
	default:
		return
	}
	r.moment(i, h.Index(), kind, text, weight)
}

// sumUp says in a sentence what came of the run, and chooses the moments that tell how.
func (r *recorder) sumUp(out *sim.Outcome) {
	run, v := r.run, out.Violation
	if v == nil {
		run.Headline = "Holds: every check passed."
		r.chooseMoments(out, nil, nil)
		return
	}
	run.Property, run.Detail, run.Meaning = v.Property, v.Text, meanings[v.Property]
	line, _, _ := strings.Cut(v.Text, "\n")
	var stuck *history.Operation
	var part []*history.Operation
	if v.Property == "linearizable" {
		if stuck = history.Unexplained(out.Ops); stuck != nil {
			line, part = explain(out.Ops, stuck)
			run.Bad = r.run.Ops[r.ops[stuck]].Return
		}
	}
	line = r.names.in(line) + r.entry
	run.Headline = "Violated: " + v.Property + ": " + line
	if run.Bad < 0 {
		run.Bad = len(r.steps) - 1
	}
	if last := run.Bad - 1; stuck == nil && last >= 0 && r.steps[last].kind == StepTake && r.steps[last].message >= 0 && !r.steps[last].routine &&
		!r.steps[last].again && !r.messages[r.steps[last].message].late {
		// A check failed after this event.
		r.moment(last, r.steps[last].host, momentOp, fmt.Sprintf("%s takes %s", run.Hosts[r.steps[last].host].Name, run.stepName(last)), weightKey)
	}
	r.chooseMoments(out, stuck, part)
	r.moment(run.Bad, r.steps[run.Bad].host, momentBad, line, weightKey)
}

var entryWords = regexp.MustCompile(`group (\d+).*\bentry at seq (\d+)`)

// entryOf shows the log entry that a violation's text names by its group and seq, and who
// has committed it; "" when there is none.
func entryOf(w *sim.World, text string) string {
	found := entryWords.FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	group, _ := strconv.ParseUint(found[1], 10, 64) // cannot fail: the expression matched digits
	n, _ := strconv.ParseUint(found[2], 10, 64)
	seq := core.Seq(n)
	for _, h := range w.Hosts() {
		s, ok := h.Node().(*core.Storage)
		if !ok {
			continue
		}
		for i := range s.Groups() {
			if v := s.Group(i, w.Local(h)); v.Group == core.GroupID(group) && v.Base < seq && seq <= v.Commit {
				return fmt.Sprintf(" (%s, which %s has committed)", entryText(s.Entry(i, seq)), h.Name())
			}
		}
	}
	return ""
}

// explain says why no order explains the result of an operation, and returns the other
// operations that show it.
func explain(ops []history.Operation, stuck *history.Operation) (string, []*history.Operation) {
	key, got := show(stuck.Key), stuck.Result
	before := knownBefore(ops, stuck)
	said := fmt.Sprintf("%s’s %s was answered %s", stuck.Client, operationText(stuck), resultText(stuck))
	if stuck.Kind == core.OpGet {
		said = fmt.Sprintf("%s read %s=%s (version %d)", stuck.Client, key, show(got.Value), got.Version)
		if got.Status == core.StatusNotFound {
			said = fmt.Sprintf("%s found no %s", stuck.Client, key)
		}
	}
	if before != nil && (before.Result.Version > got.Version || got.Status == core.StatusNotFound) {
		how := fmt.Sprintf("after %s’s %s was acknowledged (version %d)", before.Client, operationText(before), before.Result.Version)
		if before.Kind == core.OpGet {
			how = fmt.Sprintf("after %s had read %s=%s (version %d)", before.Client, key, show(before.Result.Value), before.Result.Version)
		}
		return said + " " + how, append(writersOf(ops, stuck), before)
	}
	writers := writersOf(ops, stuck)
	for _, w := range writers {
		if w.Result != nil && w.Result.Status != core.StatusOK && w.Result.Status != core.StatusUnknown {
			return fmt.Sprintf("%s, which %s’s %s wrote although it was answered %s", said, w.Client, operationText(w), resultText(w)), writers
		}
	}
	return said + ", which fits no order of the operations on " + key, writers
}

// knownBefore returns the operation with the highest version among those that had
// returned before the stuck one was called, on the same key; nil for none.
func knownBefore(ops []history.Operation, stuck *history.Operation) *history.Operation {
	var last *history.Operation
	for i := range ops {
		op := &ops[i]
		if op.Key != stuck.Key || op.Result == nil || op.Result.Status != core.StatusOK || op.ReturnOrder > stuck.CallOrder {
			continue
		}
		// Of a write and the gets that saw it, the write is the one to name.
		if last == nil || op.Result.Version > last.Result.Version || op.Result.Version == last.Result.Version && op.Kind != core.OpGet {
			last = op
		}
	}
	return last
}

// writersOf returns the writes of the value that an operation read.
func writersOf(ops []history.Operation, read *history.Operation) []*history.Operation {
	var writers []*history.Operation
	for i := range ops {
		op := &ops[i]
		if (op.Kind == core.OpPut || op.Kind == core.OpCAS) && op.Key == read.Key && op.CallOrder > 0 && op != read &&
			read.Result.Status == core.StatusOK && op.Value == read.Result.Value {
			writers = append(writers, op)
		}
	}
	return writers
}

// chooseMoments proposes the operations and the faults as moments, too, and keeps the
// weightiest of all.
func (r *recorder) chooseMoments(out *sim.Outcome, stuck *history.Operation, part []*history.Operation) {
	run := r.run
	for i := range out.Ops {
		op := &out.Ops[i]
		at, known := r.ops[op]
		if !known {
			continue
		}
		x := &run.Ops[at]
		switch {
		case op == stuck:
			x.Part = 2
		case slices.Contains(part, op):
			x.Part = 1
			r.momentOf(x, op, weightKey)
		case op.Final || op.Result == nil:
		case op.Result.Status == core.StatusOK && op.Returned-op.Called < 100*time.Millisecond:
			r.momentOf(x, op, weightLight)
		default:
			r.momentOf(x, op, weightOp)
		}
	}
	r.faultMoments()
	all := run.Moments
	if run.Bad >= 0 {
		all = slices.DeleteFunc(all, func(m Moment) bool { return m.Step > run.Bad })
	}
	// Of equal weight the earlier ones are left out, since what led to a violation came
	// late. Where nothing went wrong the later ones are: the beginning says more.
	slices.SortStableFunc(all, func(a, b Moment) int { return a.Step - b.Step })
	if run.Bad < 0 {
		slices.Reverse(all)
	}
	for weight := weightLight; len(all) > momentsMax && weight < weightKey; weight++ {
		excess := len(all) - momentsMax
		all = slices.DeleteFunc(all, func(m Moment) bool {
			if m.weight != weight || excess == 0 {
				return false
			}
			excess--
			return true
		})
	}
	slices.SortStableFunc(all, func(a, b Moment) int { return a.Step - b.Step })
	run.Moments = all
}

// faultMoments proposes the actions of the schedule as moments, and what happened to
// single messages.
func (r *recorder) faultMoments() {
	run := r.run
	for i := range r.steps {
		s := &r.steps[i]
		kind := momentFault
		if i == run.Healed {
			kind = momentGood
		}
		if s.kind == StepFault {
			r.moment(i, s.host, kind, run.Strings[s.text], weightFault)
			continue
		}
		if s.message < 0 || s.routine {
			continue
		}
		m := &r.messages[s.message]
		what := run.Strings[m.text] + " from " + run.Hosts[m.from].Name
		switch {
		case s.kind == StepLose:
			if why := run.Strings[s.text]; why == schedule.FateDrop.String() || why == schedule.FateCorrupt.String() {
				r.moment(i, s.host, kind, fmt.Sprintf("%s to %s is lost (%s)", what, run.Hosts[m.to].Name, why), weightFault)
			}
		case s.again:
			r.moment(i, s.host, kind, fmt.Sprintf("%s takes %s a second time", run.Hosts[m.to].Name, what), weightFault)
		case m.late:
			r.moment(i, s.host, kind, fmt.Sprintf("%s takes %s, %v late", run.Hosts[m.to].Name, what, time.Duration(s.at-m.at)), weightFault)
		}
	}
}

func (r *recorder) momentOf(x *Op, op *history.Operation, weight int) {
	text := fmt.Sprintf("%s: %s → %s", op.Client, x.Text, x.Result)
	if took := op.Returned - op.Called; took >= 100*time.Millisecond {
		text += fmt.Sprintf(", after %v", took.Round(time.Millisecond))
	}
	r.moment(x.Return, x.Host, momentOp, text, weight)
}

// focus is what to look at first. In a run that went wrong, these are the steps from the
// last fault or new config on, up to there. Else it is the first fault.
func (r *recorder) focus() [2]int {
	run := r.run
	if run.Bad >= 0 {
		from := run.Bad
		for _, m := range run.Moments {
			if m.Step < run.Bad && (m.Kind == momentFault || m.Kind == momentConfig) {
				from = m.Step
			}
		}
		return [2]int{from, run.Bad}
	}
	for _, m := range run.Moments {
		if m.Kind == momentFault {
			return [2]int{m.Step, m.Step}
		}
	}
	if len(run.Moments) > 0 {
		return [2]int{run.Moments[0].Step, run.Moments[0].Step}
	}
	return [2]int{0, 0}
}

func operationText(op *history.Operation) string { return write(op.Kind, op.Key, op.Value, op.Version) }

// resultText says in a few words how an operation ended.
func resultText(op *history.Operation) string {
	x := op.Result
	switch {
	case op.Kind == core.OpGet && x.Status == core.StatusOK:
		return fmt.Sprintf("%s (version %d)", show(x.Value), x.Version)
	case x.Status == core.StatusOK && op.Kind != core.OpDelete || x.Status == core.StatusConflict:
		return fmt.Sprintf("%v (version %d)", x.Status, x.Version)
	case (x.Status == core.StatusUnknown || x.Status == core.StatusUnavailable) && x.Cause != 0:
		return fmt.Sprintf("%v (%v)", x.Status, x.Cause)
	}
	return x.Status.String()
}
