package view

import (
	"encoding/json"
	"fmt"
	"io"
)

// perfettoEvent is an element of the JSON that Perfetto and chrome://tracing
// read ("Trace Event Format"). Times are microseconds.
type perfettoEvent struct {
	Name  string         `json:"name,omitempty"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"`
	TS    float64        `json:"ts"`
	Dur   float64        `json:"dur,omitempty"`
	Pid   int            `json:"pid"`
	Tid   int            `json:"tid"`
	ID    int            `json:"id,omitempty"`
	BP    string         `json:"bp,omitempty"`
	Scope string         `json:"s,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// The tracks of a host.
const (
	trackEvents = iota + 1
	trackFaults
	trackOps // the first of as many as there are operations under way at the same time
)

// networkPid is the process that stands for the network. Those of the hosts come after it.
const networkPid = 1

// eventMicros is the length with which an event is drawn. It takes no time, but an arrow
// must begin and end at something.
const eventMicros = 20

// WritePerfetto writes the first run of a page as JSON for ui.perfetto.dev: a
// process for each host, a slice for each step and operation, an arrow for each
// message that arrived.
func WritePerfetto(w io.Writer, p *Page) error {
	x := perfetto{run: p.Runs[0]}
	x.hosts()
	x.steps()
	x.bands()
	x.ops()
	return json.NewEncoder(w).Encode(map[string]any{
		"displayTimeUnit": "ms",
		"traceEvents":     x.events,
		"otherData":       map[string]any{"trace": p.Name, "verdict": x.run.Headline, "facts": x.run.Facts},
	})
}

type perfetto struct {
	run    *Run
	at     []float64 // of each step
	events []perfettoEvent
}

func micros(ns int64) float64 { return float64(ns) / 1000 }

func (x *perfetto) add(e perfettoEvent) { x.events = append(x.events, e) }

func (x *perfetto) name(what string, pid, tid int, name string) {
	x.add(perfettoEvent{Name: what, Phase: "M", Pid: pid, Tid: tid, Args: map[string]any{"name": name}})
}

func pidOf(host int) int { return networkPid + 1 + host }

func (x *perfetto) hosts() {
	x.name("process_name", networkPid, 0, "network")
	x.name("thread_name", networkPid, trackFaults, "faults")
	for i, h := range x.run.Hosts {
		x.name("process_name", pidOf(i), 0, h.Name+" ("+h.Role+")")
		x.add(perfettoEvent{Name: "process_sort_index", Phase: "M", Pid: pidOf(i), Args: map[string]any{"sort_index": i}})
		x.name("thread_name", pidOf(i), trackEvents, "events")
	}
}

// steps writes a slice for each step, and an arrow from the step that sent a message to
// the one that took it in.
func (x *perfetto) steps() {
	s, m := &x.run.Steps, &x.run.Messages
	at, copies := int64(0), 0
	for i := range s.Kind {
		at += s.Time[i]
		x.at = append(x.at, micros(at))
		e := perfettoEvent{Cat: "event", Phase: "X", TS: micros(at), Dur: eventMicros, Pid: pidOf(s.Host[i]), Tid: trackEvents}
		e.Name = x.run.stepName(i)
		if said := x.run.Strings[s.Events[i]]; said != "" {
			e.Args = map[string]any{"events": said}
		}
		switch {
		case s.Kind[i] == StepFault || s.Kind[i] == StepBad:
			e.Phase, e.Dur, e.Scope, e.Pid, e.Tid = "i", 0, "g", networkPid, trackFaults
		case s.Kind[i] == StepLose:
			e.Pid, e.Tid = networkPid, trackFaults
		}
		x.add(e)
		if n := s.Message[i]; n >= 0 && s.Kind[i] == StepTake && m.Cause[n] >= 0 {
			copies++ // a duplicate has an arrow of its own
			name := x.run.Strings[m.Kind[n]]
			x.add(perfettoEvent{Name: name, Cat: "message", Phase: "s", ID: copies, TS: x.at[m.Cause[n]], Pid: pidOf(m.From[n]), Tid: trackEvents})
			x.add(perfettoEvent{Name: name, Cat: "message", Phase: "f", BP: "e", ID: copies, TS: micros(at), Pid: pidOf(m.To[n]), Tid: trackEvents})
		}
	}
}

func (x *perfetto) until(step int) float64 {
	if step < 0 {
		return micros(x.run.End)
	}
	return x.at[step]
}

func (x *perfetto) bands() {
	for _, b := range x.run.Bands {
		pid := networkPid
		if b.Host >= 0 {
			pid = pidOf(b.Host)
		}
		x.slice(perfettoEvent{Name: b.Kind + ": " + b.Text, Cat: "fault", Pid: pid, Tid: trackFaults}, b.From, b.To)
	}
}

// ops writes a slice for each operation. Those that overlap stand on different tracks.
func (x *perfetto) ops() {
	busy := map[int][]int{} // by host: the step up to which each track is taken
	for _, op := range x.run.Ops {
		tracks, track := busy[op.Host], 0
		for track < len(tracks) && (tracks[track] < 0 || tracks[track] > op.Call) {
			track++
		}
		if track == len(tracks) {
			tracks = append(tracks, 0)
			x.name("thread_name", pidOf(op.Host), trackOps+track, fmt.Sprintf("operations %d", track+1))
		}
		tracks[track] = op.Return
		busy[op.Host] = tracks
		e := perfettoEvent{Name: op.Text + " → " + op.Result, Cat: "operation", Pid: pidOf(op.Host), Tid: trackOps + track}
		if op.Return < 0 {
			e.Name = op.Text + " never ends"
		}
		x.slice(e, op.Call, op.Return)
	}
}

// slice adds something that lasts from one step to another.
func (x *perfetto) slice(e perfettoEvent, from, to int) {
	e.Phase, e.TS = "X", x.until(from)
	e.Dur = max(x.until(to)-e.TS, 1)
	x.add(e)
}

// stepName says in a few words what a step is.
func (run *Run) stepName(i int) string {
	s, m := &run.Steps, &run.Messages
	text := run.Strings[s.Text[i]]
	n := s.Message[i]
	if n < 0 {
		if s.Kind[i] == StepCall {
			return "call " + text
		}
		return text
	}
	text = run.Strings[m.Text[n]]
	if s.Kind[i] == StepLose {
		return fmt.Sprintf("%s from %s to %s lost (%s)", text, run.Hosts[m.From[n]].Name, run.Hosts[m.To[n]].Name, run.Strings[s.Text[i]])
	}
	return text + " from " + run.Hosts[m.From[n]].Name
}
