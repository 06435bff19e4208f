package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/fuzz"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

const (
	// StepsShownMax is how many steps of a run are shown. A longer run is thinned out: it
	// loses its heartbeats, and other steps that changed nothing. If that is not enough,
	// only the last events are shown, since a violation is among them.
	StepsShownMax = 50_000
	// recordedFactor is how many times StepsShownMax are recorded before thinning out.
	recordedFactor = 8
)

// Record runs a schedule with every check on, and returns what there is to see. The
// schedule must be valid.
func Record(s *schedule.Schedule) *Run { return record(s, StepsShownMax) }

func record(s *schedule.Schedule, stepsMax int) *Run {
	r := newRecorder(s, 0, recordedFactor*stepsMax)
	out := r.watch()
	fits := out.Events <= recordedFactor*stepsMax
	if fits {
		r.settleRoutine()
		if len(r.steps) > stepsMax {
			r.thin()
		}
		fits = len(r.steps) <= stepsMax
	}
	if !fits {
		// The run is too long. A second run is the same, and this time it is known how
		// many events to skip.
		r = newRecorder(s, max(0, out.Events-stepsMax), out.Events)
		out = r.watch()
		r.settleRoutine()
	}
	return r.finish(out)
}

// step is one element of Steps while the run is under way.
type step struct {
	at                  int64
	kind                StepKind
	host, message, text int
	events              []string
	changed             bool // it changed its host's state
	quiet               bool // a reader need not see it, unless something came of it
	again               bool // its message was taken in before
	news                bool // it has an event that does not just repeat an earlier one
	routine             bool // a reader need not see it: see settleRoutine
}

type message struct {
	at                          int64
	from, to, kind, text, group int
	cause, takes                int
	beat                        bool // a heartbeat; or it was lost for the same reason as the one before it
	routine, late               bool
}

// recorder collects a Run. It is the Observer of the run, and reads its log.
type recorder struct {
	schedule *schedule.Schedule
	world    *sim.World
	from, to int  // the first event to be recorded, and the last
	on       bool // what happens now is recorded

	run     *Run
	strings map[string]int
	names   names
	keys    []string
	states  []fields // by host

	steps    []step
	messages []message
	number   map[uint64]int // by LogRecord.Number, the index of a message
	cause    []int          // by host, the step in which it sends what it sends now
	resumed  []int64        // by host, when its last pause ended
	ops      map[*history.Operation]int
	open     []int // the bands that have not ended

	lost      map[route]string   // why the last message of a route was lost
	said      map[[3]string]bool // host, event and node: what was said since a group last changed
	suspected map[string]bool    // the moments of suspicion so far: each is told once
	entry     string             // the log's entry that the violation is about; "" for none
}

// route is a kind of message on a link. When many of a route are lost one after the other,
// the first stands for all.
type route struct {
	from, to string
	kind     core.Kind
}

func newRecorder(s *schedule.Schedule, from, to int) *recorder {
	r := &recorder{
		schedule: s, from: from, to: to, run: &Run{Bad: -1, Healed: -1, Skipped: from},
		strings: map[string]int{}, names: names{}, number: map[uint64]int{}, ops: map[*history.Operation]int{},
		lost: map[route]string{}, said: map[[3]string]bool{}, suspected: map[string]bool{},
	}
	r.intern("")
	seen := map[string]bool{}
	for i := range s.Actions {
		if key := s.Actions[i].Key; key != "" && !seen[key] && len(r.keys) < keysMax {
			seen[key] = true
			r.keys = append(r.keys, key)
		}
	}
	return r
}

func (r *recorder) watch() *sim.Outcome {
	out := fuzz.Check(r.schedule, sim.RunOptions{Observer: r, Log: r.log})
	if v := out.Violation; v != nil && v.Property == fuzz.PropertyPanic && r.world != nil {
		// The simulator panicked. What there is of the run is worth seeing.
		r.on = true
		r.run.Bad = r.add(StepBad, -1, v.Property+": "+v.Text)
		out.Events, out.Virtual, out.Ops = r.world.Events(), r.world.Now(), r.world.Ops()
	}
	return out
}

func (r *recorder) intern(text string) int {
	if i, ok := r.strings[text]; ok {
		return i
	}
	i := len(r.run.Strings)
	r.strings[text] = i
	r.run.Strings = append(r.run.Strings, text)
	return i
}

// host returns the index of a host; -1 for none.
func (r *recorder) host(name string) int {
	if h := r.world.Host(name); h != nil {
		return h.Index()
	}
	return -1
}

// recording tells whether what happens now is to be recorded. A recording that skips
// events begins with a step that has the state of every host.
func (r *recorder) recording() bool {
	if r.world.Events() > r.to {
		r.on = false
	}
	if r.on || r.world.Events() < r.from || len(r.steps) > 0 {
		return r.on
	}
	r.on = true
	if r.from > 0 {
		i := r.add(StepFault, -1, fmt.Sprintf("%d events before this are not shown", r.from))
		for _, h := range r.world.Hosts() {
			r.note(i, h)
		}
	}
	return true
}

// add appends a step, and returns its index. While nothing is recorded it appends none
// and returns 0, so that whatever began earlier refers to the first step.
func (r *recorder) add(kind StepKind, host int, text string) int {
	if !r.on {
		return 0
	}
	r.steps = append(r.steps, step{at: int64(r.world.Now()), kind: kind, host: host, message: -1, text: r.intern(text)})
	return len(r.steps) - 1
}

// last returns the last step, if it was at that host and at this time; else nil.
func (r *recorder) last(host int) *step {
	if n := len(r.steps); n > 0 && r.steps[n-1].host == host && r.steps[n-1].at == int64(r.world.Now()) {
		return &r.steps[n-1]
	}
	return nil
}

// note records what changed in a host's state.
func (r *recorder) note(i int, h *sim.Host) {
	f := &r.states[h.Index()]
	r.stateOf(r.world, h, f)
	changed := f.changes()
	if len(changed) == 0 {
		return
	}
	list := []int{i, h.Index()}
	for _, c := range changed {
		list = append(list, r.intern(c.name), r.intern(c.value))
	}
	r.run.Steps.Changes = append(r.run.Steps.Changes, list)
	r.steps[i].changed = true
}

// Begin implements sim.Observer, as do the methods that follow.
func (r *recorder) Begin(w *sim.World) {
	r.world = w
	for _, h := range w.Hosts() {
		r.run.Hosts = append(r.run.Hosts, HostInfo{h.Name(), roleName(h.Role())})
		r.states = append(r.states, fields{known: map[string]string{}})
		r.cause = append(r.cause, -1)
		r.resumed = append(r.resumed, 0)
	}
}

func roleName(role sim.Role) string {
	switch role {
	case sim.RoleManager:
		return "manager"
	case sim.RoleStorage:
		return "storage"
	}
	return "client"
}

// AfterEvent adds the core's events, and what changed, to the step that the log began.
func (r *recorder) AfterEvent(w *sim.World, h *sim.Host) {
	if !r.on || len(r.steps) == 0 {
		return
	}
	i := len(r.steps) - 1
	for _, e := range h.Events() {
		text := r.names.eventText(&e)
		if text == "" || slices.Contains(r.steps[i].events, text) {
			continue
		}
		r.steps[i].events = append(r.steps[i].events, text)
		if !r.repeated(h, &e) {
			r.steps[i].news = true
			r.eventMoment(i, h, &e)
		}
	}
	r.note(i, h)
}

// repeated tells whether an event only repeats an earlier one. A node that cannot reach
// another, or is refused, says so again and again. After a group has changed, it is news
// again.
func (r *recorder) repeated(h *sim.Host, e *core.Event) bool {
	switch e.Kind {
	case core.EventReconfigured, core.EventServing, core.EventAdopted:
		clear(r.said)
	case core.EventSuspected, core.EventRefused, core.EventDropped:
		words := [3]string{h.Name(), e.Kind.String(), r.names.node(e.Node, "?")}
		known := r.said[words]
		r.said[words] = true
		return known
	}
	return false
}

// AfterChange records that a process started, ended, paused or went on.
func (r *recorder) AfterChange(w *sim.World, h *sim.Host, c sim.Change) {
	if c == sim.HostResumed {
		r.resumed[h.Index()] = int64(w.Now())
	}
	text := c.String()
	first := c == sim.HostStarted && h.Incarnation() == 1
	if c == sim.HostStarted {
		name := h.Name()
		if h.Incarnation() > 1 && r.names[h.Peer().ID] == "" {
			name = fmt.Sprintf("%s#%d", name, h.Incarnation())
		}
		if r.names[h.Peer().ID] == "" {
			r.names[h.Peer().ID] = name
		}
		if !first {
			text = "started again"
			if name != h.Name() {
				text += ", as a new node, " + name
			}
		}
	}
	if h.Halted() != nil && c == sim.HostHalted {
		text += ": " + h.Halted().Error()
	}
	recording := r.recording()
	i := len(r.steps) - 1
	if s := r.last(h.Index()); s == nil || s.kind != StepFault {
		i = r.add(StepHost, h.Index(), text)
	} else if !slices.Contains([]sim.Change{sim.HostCrashed, sim.HostPaused, sim.HostResumed}, c) && text != "started again" {
		s.events = append(s.events, text) // the fault's own step is the one that is seen
	}
	i = max(i, 0)
	r.hostBand(i, h, c, text)
	if recording {
		r.steps[i].quiet = r.steps[i].quiet || first
		r.note(i, h)
		r.cause[h.Index()] = i
	}
}

// AfterResult has nothing to do: the log has the result.
func (*recorder) AfterResult(*sim.World, *history.Operation) {}

// Settled is always true: the recorder waits for nothing.
func (*recorder) Settled(*sim.World) bool { return true }

// End marks where the run went wrong.
func (r *recorder) End(w *sim.World) {
	v := w.Failed()
	if v == nil {
		return
	}
	r.on = true // a violation is always recorded
	host := -1
	if first, _, ok := strings.Cut(v.Text, " "); ok {
		host = r.host(strings.TrimRight(first, ":,"))
	}
	line, _, _ := strings.Cut(v.Text, "\n")
	r.entry = entryOf(w, line)
	r.run.Bad = r.add(StepBad, host, v.Property+": "+r.names.in(line)+r.entry)
}

// log takes in a record of the run's log.
func (r *recorder) log(l *sim.LogRecord) {
	if !r.recording() && l.What != sim.LogCalled && l.What != sim.LogReturned && l.What != sim.LogAction && l.What != sim.LogHealed {
		return
	}
	to := r.host(l.To)
	switch l.What {
	case sim.LogSent:
		r.sent(l, to)
	case sim.LogDelivered:
		r.delivered(l, to)
	case sim.LogLost:
		i := r.add(StepLose, to, l.Text)
		m := r.messageOf(l, to)
		key := route{l.From, l.To, core.KindOf(l.Env.Body)}
		r.messages[m].beat = r.messages[m].beat || r.lost[key] == l.Text
		r.lost[key] = l.Text
		r.steps[i].message, r.steps[i].quiet = m, r.messages[m].beat
	case sim.LogTicked:
		r.ticked(to)
	case sim.LogSynced:
		i := r.add(StepTick, to, "its disk has synced")
		r.steps[i].quiet = true
		r.cause[to] = i
	case sim.LogCalled:
		i := r.add(StepCall, to, operationText(l.Op))
		r.ops[l.Op] = len(r.run.Ops)
		r.run.Ops = append(r.run.Ops, Op{Host: to, Text: operationText(l.Op), Call: i, Return: -1, Final: l.Op.Final})
	case sim.LogReturned:
		op := &r.run.Ops[r.ops[l.Op]]
		op.Result, op.Status, op.Group = resultText(l.Op), l.Op.Result.Status.String(), int(l.Op.Result.Group)
		op.Return = r.add(StepReturn, to, op.Text+" → "+op.Result)
	case sim.LogAction:
		r.action(l.Action)
	case sim.LogHealed:
		r.healed(l.Text)
	}
}

// messageOf returns the message of a record. One that was sent before the recording began
// is added now.
func (r *recorder) messageOf(l *sim.LogRecord, to int) int {
	if m, ok := r.number[l.Number]; ok {
		return m
	}
	return r.newMessage(l, to, -1)
}

func (r *recorder) newMessage(l *sim.LogRecord, to, cause int) int {
	body := l.Env.Body
	k := core.KindOf(body)
	m := message{
		at: int64(l.At), from: r.host(l.From), to: to, kind: r.intern(k.String()), text: r.intern(r.names.describe(body)),
		group: int(groupOf(body)), cause: cause,
	}
	switch b := body.(type) {
	case *core.Ping, *core.Pong:
		m.beat = true
	case *core.Replicate:
		m.beat = len(b.Entries) == 0 && b.Config == nil && r.ofTimer(cause)
	case *core.Ack, *core.Refused:
		m.beat = cause >= 0 && r.steps[cause].message >= 0 && r.messages[r.steps[cause].message].beat
	}
	r.messages = append(r.messages, m)
	r.number[l.Number] = len(r.messages) - 1
	return len(r.messages) - 1
}

// ofTimer tells whether a step began with a deadline, not with a message.
func (r *recorder) ofTimer(i int) bool { return i < 0 || r.steps[i].kind == StepTick }

func (r *recorder) sent(l *sim.LogRecord, to int) {
	from := r.host(l.From)
	cause := r.cause[from]
	r.newMessage(l, to, cause)
}

func (r *recorder) delivered(l *sim.LogRecord, to int) {
	if l.Number == 0 {
		r.deliveredLocally(l, to)
		return
	}
	m := r.messageOf(l, to)
	i := r.add(StepTake, to, "")
	delete(r.lost, route{l.From, l.To, core.KindOf(l.Env.Body)})
	r.steps[i].again = r.messages[m].takes > 0
	r.messages[m].takes++
	// A message that waited for the end of a pause is not late: the pause is shown.
	late := r.messages[m].at >= r.resumed[to] && int64(l.At)-r.messages[m].at > 2*int64(r.schedule.Shape.LatencyMax)
	r.messages[m].late = r.messages[m].late || late
	r.steps[i].message, r.steps[i].quiet = m, r.messages[m].beat
	r.cause[to] = i
}

// deliveredLocally records a message that crossed no network.
func (r *recorder) deliveredLocally(l *sim.LogRecord, to int) {
	text, quiet := "", false
	switch b := l.Env.Body.(type) {
	case *core.Call:
		if s := r.last(to); s != nil && s.kind == StepCall {
			r.cause[to] = len(r.steps) - 1
			return // the step of the call has it already
		}
		text = r.names.describe(b)
	case *core.Ack:
		text, quiet = fmt.Sprintf("its own log is durable up to %d", b.Matched), true
	case *core.Synced:
		text, quiet = "what it wrote is durable", true
	case *core.Committed:
		text = fmt.Sprintf("Directory command %d is durable", b.Index)
	case *core.PeerDown:
		text = "hears that a connection to " + r.names.of(b.Peer) + " broke"
		if b.Refused {
			text = "hears that " + r.names.of(b.Peer) + " refuses connections"
		}
	default:
		text = r.names.describe(b)
	}
	i := r.add(StepTake, to, text)
	r.steps[i].quiet = quiet
	r.cause[to] = i
}

// ticked records a Tick. One at the time of a step belongs to that step: with it a node
// sends once what several messages have led to.
func (r *recorder) ticked(to int) {
	if s := r.last(to); s != nil && (s.kind == StepTake || s.kind == StepTick || s.kind == StepCall) {
		r.cause[to] = len(r.steps) - 1
		return
	}
	i := r.add(StepTick, to, "a deadline passed")
	r.steps[i].quiet = true
	r.cause[to] = i
}

// healed records that the faults end.
func (r *recorder) healed(text string) {
	r.run.Healed = r.add(StepFault, -1, text)
	for _, b := range slices.Clone(r.open) {
		band := &r.run.Bands[b]
		if band.Host >= 0 && (band.Kind == bandDown || band.Kind == bandPaused || slices.Contains(r.schedule.Unhealed, r.run.Hosts[band.Host].Name)) {
			continue
		}
		r.close(b, r.run.Healed)
	}
}

// finish turns what was collected into the Run.
func (r *recorder) finish(out *sim.Outcome) *Run {
	run := r.run
	run.Verdict, run.End = out.Verdict, int64(out.Virtual)
	for _, b := range r.open {
		run.Bands[b].To = -1
	}
	r.columns()
	run.Facts = facts(out)
	r.sumUp(out)
	run.Focus = r.focus()
	return run
}

// settleRoutine settles which steps and messages are routine. A quiet step is routine
// unless it changed a state, has news, or sent something other than a heartbeat. A
// heartbeat is routine unless it was taken in by a step that is not.
func (r *recorder) settleRoutine() {
	useful := make([]bool, len(r.steps))
	for i := range r.steps {
		s := &r.steps[i]
		useful[i] = !s.quiet || s.news || s.changed && s.kind != StepHost
	}
	for i := range r.messages {
		m := &r.messages[i]
		if !m.beat && m.cause >= 0 {
			useful[m.cause] = true
		}
	}
	for i := range r.steps {
		r.steps[i].routine = !useful[i]
		if m := r.steps[i].message; m >= 0 && useful[i] && r.messages[m].beat {
			r.messages[m].beat = false // something came of it
		}
	}
	for i := range r.messages {
		r.messages[i].routine = r.messages[i].beat
	}
}

// thin leaves out the steps that are routine, and the messages that only such steps took
// in.
func (r *recorder) thin() {
	steps, where := r.steps[:0], make([]int, len(r.steps))
	for i, s := range r.steps {
		where[i] = len(steps) // where step i goes; for one that is left out, the next that stays
		if s.routine && !s.changed {
			r.run.Thinned++
			continue
		}
		steps = append(steps, s)
	}
	r.steps = steps
	last := len(steps) - 1
	at := func(i *int) {
		if *i >= 0 {
			*i = min(where[*i], last)
		}
	}
	messages, moved := r.messages[:0], make([]int, len(r.messages))
	for i, m := range r.messages {
		moved[i] = len(messages)
		if !m.routine {
			at(&m.cause)
			messages = append(messages, m)
		}
	}
	r.messages = messages
	for i := range r.steps {
		if m := &r.steps[i].message; *m >= 0 {
			*m = moved[*m]
		}
	}
	for _, change := range r.run.Steps.Changes {
		at(&change[0])
	}
	for i := range r.run.Ops {
		at(&r.run.Ops[i].Call)
		at(&r.run.Ops[i].Return)
	}
	for i := range r.run.Bands {
		at(&r.run.Bands[i].From)
		at(&r.run.Bands[i].To)
	}
	for i := range r.run.Moments {
		at(&r.run.Moments[i].Step)
	}
	at(&r.run.Bad)
	at(&r.run.Healed)
}

func (r *recorder) columns() {
	s, m := &r.run.Steps, &r.run.Messages
	at := int64(0)
	for i := range r.steps {
		x := &r.steps[i]
		s.Time, at = append(s.Time, x.at-at), x.at
		s.Kind = append(s.Kind, x.kind)
		s.Host = append(s.Host, x.host)
		s.Message = append(s.Message, x.message)
		s.Text = append(s.Text, x.text)
		s.Events = append(s.Events, r.intern(strings.Join(x.events, "; ")))
		s.Routine = append(s.Routine, bit(x.routine))
	}
	at = 0
	for i := range r.messages {
		x := &r.messages[i]
		m.Time, at = append(m.Time, x.at-at), x.at
		m.From = append(m.From, x.from)
		m.To = append(m.To, x.to)
		m.Kind = append(m.Kind, x.kind)
		m.Text = append(m.Text, x.text)
		m.Group = append(m.Group, x.group)
		m.Cause = append(m.Cause, x.cause)
		m.Routine = append(m.Routine, bit(x.routine))
		m.Late = append(m.Late, bit(x.late))
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func facts(out *sim.Outcome) string {
	called := 0
	for i := range out.Ops {
		if out.Ops[i].CallOrder > 0 {
			called++
		}
	}
	return fmt.Sprintf("%d operations, %d events and %d messages in %v of virtual time",
		called, out.Events, out.Sent, out.Virtual.Round(time.Millisecond))
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
