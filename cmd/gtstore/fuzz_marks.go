package main

import (
	"fmt"
	"strings"

	"gtstore/sim/fuzz"
	"gtstore/sim/mark"
)

// rarestShown is how many marks are named: those that the fewest schedules reached.
const rarestShown = 3

// fuzzMarks tells how many of the marks, which are situations worth being in, a search
// has reached. The search has tested nothing in the others.
type fuzzMarks struct {
	Reached int        `json:"reached"`
	Of      int        `json:"of"`
	Rarest  []fuzzMark `json:"rarest"` // at least rarestShown, and all that were not reached
}

type fuzzMark struct {
	Name      string `json:"name"`
	Schedules int    `json:"schedules"` // that reached it
}

func marksOf(s *fuzz.Stats) fuzzMarks {
	r := fuzzMarks{Reached: s.MarksReached(), Of: len(mark.All())}
	for _, m := range s.Rarest(max(rarestShown, r.Of-r.Reached)) {
		r.Rarest = append(r.Rarest, fuzzMark{m.String(), s.Marks[m]})
	}
	return r
}

func (r *fuzzMarks) text() string {
	names := make([]string, 0, rarestShown)
	for _, m := range r.Rarest[:min(rarestShown, len(r.Rarest))] {
		names = append(names, fmt.Sprintf("%s %d", m.Name, m.Schedules))
	}
	return fmt.Sprintf("marks       reached %d of %d; in the fewest schedules: %s\n", r.Reached, r.Of, strings.Join(names, ", "))
}
