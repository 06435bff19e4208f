package fuzz

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/schedule"
	"gtstore/sim/shrink"
)

const (
	// ShrinkRunsMax is how many schedules Shrink tries at most.
	ShrinkRunsMax = 2000
	// ShrinkTimeMax is how long Shrink goes on at most. Each run of a livelock takes
	// seconds.
	ShrinkTimeMax = 2 * time.Minute

	storyTextLinesMax = 40 // lines of a violation's text that a trace quotes: it may show a whole history
)

// Shrunk is what Shrink made of a Failure.
type Shrunk struct {
	Schedule  *schedule.Schedule
	Violation *sim.Violation // of the same property, by the shrunk schedule
	Runs      int            // schedules tried
}

// Shrink looks for a smaller schedule that violates the same property. When the context
// ends, it returns the smallest found so far. It leaves a schedule that violates
// check.PropertyGroupLost as it is: in a smaller one groups may lack the time to heal, and a
// loss shows nothing. progress, if not nil, is called after each run, with the number of
// runs and the size of the smallest schedule.
func Shrink(ctx context.Context, f *Failure, progress func(runs, size int)) *Shrunk {
	return shrinkTo(ctx, f, progress, plainly)
}

func shrinkTo(ctx context.Context, f *Failure, progress func(runs, size int), run func(*schedule.Schedule) *sim.Outcome) *Shrunk {
	ctx, cancel := context.WithTimeout(ctx, ShrinkTimeMax)
	defer cancel()
	if f.Violation.Property == check.PropertyGroupLost {
		return &Shrunk{Schedule: f.Schedule, Violation: f.Violation}
	}
	r := &Shrunk{Violation: f.Violation}
	size := f.Schedule.Size()
	r.Schedule = shrink.Schedule(f.Schedule, func(s *schedule.Schedule) bool {
		if ctx.Err() != nil {
			return false
		}
		r.Runs++
		v := run(s).Violation
		fails := v != nil && v.Property == f.Violation.Property
		if fails {
			r.Violation, size = v, s.Size()
		}
		if progress != nil {
			progress(r.Runs, size)
		}
		return fails
	}, ShrinkRunsMax)
	return r
}

// flags are those of the search in which the schedule has its Index.
func (f *Failure) flags() string {
	flags := ""
	if f.Length > 0 {
		flags += " --length " + f.Length.String()
	}
	if f.Managers > 0 {
		flags += " --managers " + strconv.Itoa(f.Managers)
	}
	if f.Learn {
		flags += " --learn"
	}
	if f.Learn && f.Shard.N > 0 {
		flags += " --shard " + f.Shard.String()
	}
	return flags
}

// Trace is what is saved of a failure: the shrunk schedule with a heading. It is a
// regression test, so it expects the property to hold, as it will once the code is
// mended. It carries the recording of the run that failed. While a replay reports no
// divergence from that, it shows the very same failure.
func Trace(f *Failure, r *Shrunk) *schedule.Schedule {
	s := r.Schedule.Clone()
	s.Expect = "holds"
	s.Recorded = Check(s, sim.RunOptions{}).Recording
	lines := strings.Split(r.Violation.Text, "\n")
	if len(lines) > storyTextLinesMax {
		lines = append(lines[:storyTextLinesMax], "...")
	}
	lines[0] = fmt.Sprintf("Violated %s: %s", r.Violation.Property, lines[0])
	s.Story = append(lines,
		fmt.Sprintf("Found by gtstore fuzz --seed %d%s, schedule %d; shrunk from %d to %d actions and deviations.",
			f.Seed, f.flags(), f.Index, f.Schedule.Size(), s.Size()))
	for i, line := range s.Story {
		s.Story[i] = strings.TrimRight(strings.ReplaceAll(strings.ToValidUTF8(line, "?"), "\r", " "), " \t")
	}
	return s
}

// Save writes the trace of a failure into a directory, which it makes if there is none,
// and returns the file's name.
func Save(dir string, f *Failure, r *Shrunk) (string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	name := filepath.Join(dir, fmt.Sprintf("%s-%d-%d.trace", fileWord(f.Violation.Property), f.Seed, f.Index))
	return name, os.WriteFile(name, []byte(Trace(f, r).String()), 0o666)
}

// fileWord is a property's name without what a file's name should not have.
func fileWord(property string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '-'
	}, property)
}
