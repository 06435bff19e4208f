package view

import (
	"fmt"
	"strings"
	"time"

	"gtstore/sim/explore/cluster"
)

// wayStep is how far the steps of a way are apart in a picture. They have no times of their own.
const wayStep = int64(time.Millisecond)

// WayPage is the page of a counterexample of the explorer. The name is that of its file, and
// the text what it holds.
func WayPage(name, text string, f *cluster.Found) (*Page, error) {
	w, err := f.Way()
	if err != nil {
		return nil, err
	}
	p := &Page{Name: name, Lead: f.Scenario.About, Story: []string{f.Scenario.About}, Trace: text, Expect: "violates " + f.Property}
	p.Runs = []*Run{wayRun(f, w)}
	if w.NotApplicable != nil {
		p.Note = fmt.Sprintf("This code goes another way than the one in which the counterexample was found: %v", w.NotApplicable)
	}
	return p, nil
}

func wayRun(f *cluster.Found, w *cluster.Way) *Run {
	r := &recorder{run: &Run{Bad: -1, Healed: -1, Verdict: "holds", Headline: "Holds: nothing is violated on this way."}, strings: map[string]int{}, on: true}
	r.intern("")
	d := &wayDrawer{recorder: r, lane: map[string]int{}, op: map[[2]string]int{}}
	for i, name := range w.Hosts {
		role := "client"
		switch name[0] {
		case 'm':
			role = "manager"
		case 'n':
			role = "storage"
		}
		d.lane[name] = i
		r.run.Hosts = append(r.run.Hosts, HostInfo{name, role})
	}
	d.draw(w)
	run := r.run
	if v := w.Wrong; v != nil {
		line, _, _ := strings.Cut(v.Text, "\n")
		run.Verdict, run.Property, run.Detail, run.Meaning = "violates "+v.Property, v.Property, v.Text, meanings[v.Property]
		run.Headline = "Violated: " + v.Property + ": " + line
		run.Bad = d.add(StepBad, -1, v.Property+": "+line)
		d.moment(run.Bad, -1, momentBad, line)
	} else if w.NotApplicable != nil {
		run.Headline = "Holds: a step of this way cannot be taken."
	}
	run.Facts = fmt.Sprintf("%d steps of the explorer, which have no times", len(w.Steps))
	run.Focus = [2]int{0, max(0, len(r.steps)-1)}
	run.End = int64(len(r.steps)) * wayStep
	r.columns()
	return run
}

// wayDrawer makes steps and messages of a Way, with the recorder's columns.
type wayDrawer struct {
	*recorder
	lane   map[string]int
	op     map[[2]string]int // by client and text
	number []int             // of the Way's messages, those of the recorder; each once it was sent
}

func (d *wayDrawer) add(kind StepKind, host int, text string) int {
	d.steps = append(d.steps, step{at: int64(len(d.steps)) * wayStep, kind: kind, host: host, message: -1, text: d.intern(text)})
	return len(d.steps) - 1
}

func (d *wayDrawer) moment(at, host int, kind, text string) {
	d.run.Moments = append(d.run.Moments, Moment{Step: at, Host: host, Kind: kind, Text: text})
}

func (d *wayDrawer) draw(w *cluster.Way) {
	d.send(w, -1, -1)
	for host, state := range w.Begin {
		d.change(0, host, state)
	}
	for n := range w.Steps {
		s := &w.Steps[n]
		if s.Takes >= 0 && w.Messages[s.Takes].Step == n { // a client asks
			m := &w.Messages[s.Takes]
			at := d.add(StepCall, d.lane[m.From], m.Text)
			if called := [2]string{m.From, m.Text}; !d.called(called) {
				d.op[called] = len(d.run.Ops)
				d.run.Ops = append(d.run.Ops, Op{Host: d.lane[m.From], Text: m.Text, Call: at, Return: -1})
			}
			d.message(m, at)
		}
		at := d.take(s)
		d.send(w, n, at)
		d.change(at, d.steps[at].host, s.State)
		for i := range s.Done {
			d.answer(&s.Done[i])
		}
	}
}

// change notes what is new of a host's state after a step.
func (d *wayDrawer) change(at, host int, state [][2]string) {
	if len(state) == 0 {
		return
	}
	list := []int{at, host}
	for _, x := range state {
		list = append(list, d.intern(x[0]), d.intern(x[1]))
	}
	d.run.Steps.Changes = append(d.run.Steps.Changes, list)
}

func (d *wayDrawer) called(op [2]string) bool {
	_, ok := d.op[op]
	return ok
}

// send adds the messages that a step sent, which is at that step of the run.
func (d *wayDrawer) send(w *cluster.Way, n, at int) {
	for i := len(d.number); i < len(w.Messages) && w.Messages[i].Step == n; i++ {
		d.message(&w.Messages[i], at)
	}
}

func (d *wayDrawer) message(m *cluster.WayMessage, cause int) {
	d.number = append(d.number, len(d.messages))
	d.messages = append(d.messages, message{at: int64(max(0, cause)) * wayStep, from: d.lane[m.From], to: d.lane[m.To], kind: d.intern(m.Kind.String()), text: d.intern(m.Text), cause: cause})
}

// take adds the step itself.
func (d *wayDrawer) take(s *cluster.WayStep) int {
	host := d.lane[s.Host]
	var at int
	switch s.Kind {
	case cluster.WayTakes, cluster.WayAgain:
		at = d.add(StepTake, host, "")
		if s.Kind == cluster.WayAgain {
			d.steps[at].events = []string{"and not for the last time"}
		}
	case cluster.WayLoses:
		at = d.add(StepLose, host, s.Name)
	case cluster.WaySyncs, cluster.WayTimer:
		at = d.add(StepTick, host, s.Name)
	case cluster.WayEnds:
		at = d.add(StepHost, host, s.Name)
		d.begin(bandDown, host, at, "down")
		d.moment(at, host, momentFault, s.Name)
	case cluster.WayStarts:
		at = d.add(StepHost, host, s.Name)
		d.end(bandDown, host, at, "")
		d.moment(at, host, momentFault, s.Name)
	case cluster.WayOrders:
		at = d.add(StepHost, host, s.Name)
		d.moment(at, host, momentConfig, s.Name)
	}
	if s.Takes >= 0 {
		d.steps[at].message = d.number[s.Takes]
	}
	return at
}

// answer ends an operation.
func (d *wayDrawer) answer(a *cluster.WayAnswer) {
	o := &d.run.Ops[d.op[[2]string{a.Client, a.Op}]]
	text := a.Op + " → " + a.Result
	o.Result = a.Result
	o.Status, _, _ = strings.Cut(a.Result, " ")
	o.Return = d.add(StepReturn, o.Host, text)
	d.moment(o.Return, o.Host, momentOp, text)
}
