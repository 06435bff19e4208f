package fuzz

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/mark"
	"gtstore/sim/schedule"
)

// Stats count what the schedules of a search had in them, and what came of them.
type Stats struct {
	Schedules  int
	Events     int           // Steps and Ticks of the core
	Operations int           // whose results were checked, those of the final probes too
	Faults     int           // fault actions that had an effect
	Messages   int           // messages dropped, duplicated, delayed or corrupted
	Writes     int           // acknowledged
	Gone       int           // storage nodes that ended with their data
	Joins      int           // joining nodes that became members
	Lost       int           // groups of which no copy was left
	Evicted    int           // members removed from their chains on suspicion
	Uncaused   int           // those of them that were within the bounds: each is a violation
	Presumed   int           // groups presumed lost
	Calm       int           // schedules in whose runs nothing was beyond the bounds
	Virtual    time.Duration // simulated
	Wall       time.Duration
	Marks      [mark.Count]int // in how many schedules each mark was reached
	Kinds      map[string]int  // Faults and Messages by kind, as a schedule's text names it

	clients, keys, operations, faults, messages histogram // how many of them a schedule has
}

// Common lists the kinds of fault, the commonest first.
func (s *Stats) Common() []string {
	return slices.SortedFunc(maps.Keys(s.Kinds), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Kinds[b], s.Kinds[a]), cmp.Compare(a, b))
	})
}

// Medians are those of the schedules: half of them have as much or more.
type Medians struct {
	Clients    int `json:"clients"`
	Keys       int `json:"keys"`
	Operations int `json:"operations"`
	Faults     int `json:"faults"`
	Messages   int `json:"messages"`
}

// Medians returns the medians of the schedules so far.
func (s *Stats) Medians() Medians {
	return Medians{
		s.clients.median(), s.keys.median(), s.operations.median(), s.faults.median(), s.messages.median(),
	}
}

// PerSecond is a total divided by the seconds of wall time.
func (s *Stats) PerSecond(total int) int {
	if s.Wall <= 0 {
		return 0
	}
	return int(float64(total) / s.Wall.Seconds())
}

// Ratio is how many seconds were simulated in each second of wall time.
func (s *Stats) Ratio() float64 {
	if s.Wall <= 0 {
		return 0
	}
	return s.Virtual.Seconds() / s.Wall.Seconds()
}

// sample is one schedule's part of the Stats.
type sample struct {
	events, checked  int
	clients, keys    int
	operations       int // in the schedule; checked also has those of the final probe
	faults, messages int
	writes, gone     int
	joins, lost      int
	suspicion        sim.Suspicion
	calm             bool
	fired            sim.FaultCounts
	virtual          time.Duration
	marks            mark.Set
}

func sampleOf(s *schedule.Schedule, out *sim.Outcome) sample {
	r := sample{events: out.Events, checked: len(out.Ops), clients: s.Shape.Clients, fired: out.Fired, virtual: out.Virtual, marks: out.Marks,
		suspicion: out.Suspicion, calm: out.Calm}
	keys := map[string]bool{}
	for i := range s.Actions {
		if a := &s.Actions[i]; a.Verb.Operation() != 0 {
			r.operations++
			keys[a.Key] = true
		}
	}
	r.keys = len(keys)
	for verb, n := range out.Fired.Verbs {
		if isFault(schedule.Verb(verb)) {
			r.faults += n
		}
	}
	for _, n := range out.Fired.Fates {
		r.messages += n
	}
	for i := range out.Ops {
		if op := &out.Ops[i]; op.Kind != core.OpGet && op.Result != nil && op.Result.Status == core.StatusOK {
			r.writes++
		}
	}
	r.gone = out.Fired.Verbs[schedule.VerbWipe]
	if !s.Shape.Durable {
		r.gone += out.Fired.Verbs[schedule.VerbCrash] + out.Fired.Verbs[schedule.VerbStop]
	}
	r.joins, r.lost = out.Seen[core.EventJoined], out.Seen[core.EventLost]
	return r
}

// isFault tells whether a verb makes something worse. Restart, resume, heal, unclog and
// free-disk end a fault that is counted already, forget follows one, and terms go with one.
func isFault(v schedule.Verb) bool {
	switch v {
	case schedule.VerbRestart, schedule.VerbResume, schedule.VerbHeal, schedule.VerbUnclog, schedule.VerbFreeDisk, schedule.VerbForget, schedule.VerbTerms:
		return false
	}
	return v.Operation() == 0
}

// Add counts a schedule and what came of its run. It leaves Wall to the caller.
func (s *Stats) Add(schedule *schedule.Schedule, out *sim.Outcome) {
	r := sampleOf(schedule, out)
	s.add(&r)
}

func (s *Stats) add(r *sample) {
	s.Schedules++
	s.Events += r.events
	s.Operations += r.checked
	s.Faults += r.faults
	s.Messages += r.messages
	s.Writes += r.writes
	s.Gone += r.gone
	s.Joins += r.joins
	s.Lost += r.lost
	s.Evicted += r.suspicion.Evicted
	s.Uncaused += r.suspicion.Uncaused
	s.Presumed += r.suspicion.Presumed
	if r.calm {
		s.Calm++
	}
	s.Virtual += r.virtual
	for mark, reached := range r.marks {
		if reached {
			s.Marks[mark]++
		}
	}
	s.addKinds(&r.fired)
	s.clients.add(r.clients)
	s.keys.add(r.keys)
	s.operations.add(r.operations)
	s.faults.add(r.faults)
	s.messages.add(r.messages)
}

// MarksReached is how many of the marks a schedule has reached so far.
func (s *Stats) MarksReached() int {
	n := 0
	for _, count := range s.Marks {
		if count > 0 {
			n++
		}
	}
	return n
}

// Rarest lists the n marks that the fewest schedules reached, the rarest first.
func (s *Stats) Rarest(n int) []mark.Mark {
	marks := mark.All()
	slices.SortStableFunc(marks, func(a, b mark.Mark) int { return cmp.Compare(s.Marks[a], s.Marks[b]) })
	return marks[:min(n, len(marks))]
}

func (s *Stats) addKinds(fired *sim.FaultCounts) {
	if s.Kinds == nil {
		s.Kinds = map[string]int{}
	}
	for verb, n := range fired.Verbs {
		if n > 0 && isFault(schedule.Verb(verb)) {
			s.Kinds[schedule.Verb(verb).String()] += n
		}
	}
	for fate, n := range fired.Fates {
		if n > 0 {
			s.Kinds[schedule.Fate(fate).String()] += n
		}
	}
	for name, n := range map[string]int{"late message": fired.Stalled, "resent packet": fired.Resent, "vanished message": fired.Muted} {
		if n > 0 {
			s.Kinds[name] += n
		}
	}
}

// histogram counts how often each number came. It stays small in a search of days, since
// there are few different numbers.
type histogram map[int]int

func (h *histogram) add(n int) {
	if *h == nil {
		*h = histogram{}
	}
	(*h)[n]++
}

// median is the number in the middle, the lower of two; 0 when there is none.
func (h histogram) median() int {
	total := 0
	for _, count := range h {
		total += count
	}
	left := (total + 1) / 2
	for _, n := range slices.Sorted(maps.Keys(h)) {
		if left -= h[n]; left <= 0 {
			return n
		}
	}
	return 0
}
