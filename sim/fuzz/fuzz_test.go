package fuzz

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/generate"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// The tests search with checks of their own, since they test the search, not what the
// simulator finds.

// failing is a check that fails the schedules whose Shape.Seed is listed. It takes longest
// for the first of them, so that others overtake it.
func failing(seeds ...uint64) func(*schedule.Schedule) *sim.Outcome {
	return func(s *schedule.Schedule) *sim.Outcome {
		out := &sim.Outcome{Verdict: "holds", Events: len(s.Actions), Virtual: time.Second}
		if i := slices.Index(seeds, s.Shape.Seed); i >= 0 {
			time.Sleep(time.Duration(len(seeds)-i) * 5 * time.Millisecond)
			out.Violation = &sim.Violation{Property: "p"}
		}
		return out
	}
}

func TestSearchIsTheSameForAnyNumberOfWorkers(t *testing.T) {
	const seed, count = 7, 60
	var marks []uint64
	for _, i := range []int{31, 34, 50} {
		marks = append(marks, Schedule(seed, i).Shape.Seed)
	}
	for _, c := range []struct {
		name    string
		marks   []uint64
		failure int // -1 for none
		counted int
	}{
		{"all hold", nil, -1, count},
		{"the first failure counts", marks, 31, 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			var first *Stats
			for _, workers := range []int{1, 2, 8} {
				stats, failure, err := Search(t.Context(), Options{Seed: seed, Schedules: count, Workers: workers, check: failing(c.marks...)})
				require.NoError(t, err)
				require.Equal(t, c.counted, stats.Schedules)
				require.Equal(t, time.Duration(c.counted)*time.Second, stats.Virtual)
				if c.failure < 0 {
					require.Nil(t, failure)
				} else {
					require.Equal(t, c.failure, failure.Index)
					require.Equal(t, Schedule(seed, c.failure).String(), failure.Schedule.String())
				}
				if stats.Wall = 0; first == nil {
					first = stats
				}
				require.Empty(t, cmp.Diff(first, stats, cmp.AllowUnexported(Stats{})), "%d workers", workers)
			}
		})
	}
}

func TestSeedsGiveDifferentSchedules(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(8) {
		for i := range 8 {
			seen[Schedule(seed, i).String()] = true
		}
	}
	require.Len(t, seen, 64)
	// Seeds are printed and kept, so what a seed stands for must not change.
	require.Equal(t, uint64(0xe220a8397b1dcdaf), splitmix.Spread(0), "SplitMix64's first output from the state 0")
}

func TestSearchEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ran atomic.Int64
	stats, failure, err := Search(ctx, Options{Workers: 3, check: func(*schedule.Schedule) *sim.Outcome {
		if ran.Add(1) == 10 {
			cancel()
		}
		return &sim.Outcome{}
	}})
	require.NoError(t, err)
	require.Nil(t, failure)
	require.EqualValues(t, ran.Load(), stats.Schedules, "what has begun is finished and counted")
	require.GreaterOrEqual(t, stats.Schedules, 10)
}

func TestSearchEndsInTime(t *testing.T) {
	begin := time.Now()
	stats, _, err := Search(t.Context(), Options{For: 30 * time.Millisecond, Workers: 2, check: failing()})
	require.NoError(t, err)
	require.Positive(t, stats.Schedules)
	require.GreaterOrEqual(t, stats.Wall, 30*time.Millisecond)
	require.Less(t, time.Since(begin), 5*time.Second)
}

func TestSearchTellsItsProgress(t *testing.T) {
	var told []int
	_, _, err := Search(t.Context(), Options{For: 3 * progressInterval, Workers: 2, check: failing(), Progress: func(s *Stats) {
		told = append(told, s.Schedules)
	}})
	require.NoError(t, err)
	require.NotEmpty(t, told)
	require.True(t, slices.IsSorted(told))
}

func TestPanicOfTheSimulatorIsAViolation(t *testing.T) {
	out := Check(nil, sim.RunOptions{})
	require.Equal(t, PropertyPanic, out.Violation.Property)
	require.NotEmpty(t, out.Violation.Stack)
}

func TestSampleCounts(t *testing.T) {
	s, err := schedule.Parse(`cluster clients=3
at 0s c1 put a x
at 0s c2 put b y
at 0s c2 get a
at 0s crash n1
at 0s restart n1
at 0s heal
`)
	require.NoError(t, err)
	out := &sim.Outcome{Events: 9, Virtual: time.Second, Ops: make([]history.Operation, 5)}
	for _, a := range s.Actions {
		out.Fired.Verbs[a.Verb]++
	}
	out.Fired.Fates[schedule.FateDrop], out.Fired.Fates[schedule.FateDelay] = 2, 3
	out.Ops[0] = history.Operation{Kind: core.OpPut, Result: &core.Result{Status: core.StatusOK}}
	out.Ops[1] = history.Operation{Kind: core.OpPut, Result: &core.Result{Status: core.StatusUnknown}}
	out.Ops[2] = history.Operation{Kind: core.OpGet, Result: &core.Result{Status: core.StatusOK}}
	out.Seen[core.EventJoined], out.Seen[core.EventLost] = 4, 1
	out.Suspicion, out.Calm = sim.Suspicion{Evicted: 3, Uncaused: 1, Presumed: 2}, true
	want := sample{events: 9, checked: 5, clients: 3, keys: 2, operations: 3, faults: 1, messages: 5, fired: out.Fired, virtual: time.Second,
		writes: 1, gone: 1, joins: 4, lost: 1, suspicion: out.Suspicion, calm: true}
	require.Equal(t, want, sampleOf(s, out))
	s.Shape.Durable = true
	require.Zero(t, sampleOf(s, out).gone, "what crashes keeps its data")
}

// In a long schedule no group may be lost; in a short one it may.
func TestALostGroupIsAViolationOnlyInALongSchedule(t *testing.T) {
	s, err := schedule.Parse(`cluster nodes=1 replicas=0
at 100ms c1 put a x
at 200ms crash n1
at 300ms restart n1
at 4s c1 get a
`)
	require.NoError(t, err)
	require.Nil(t, plainly(s).Violation)
	require.True(t, generate.LongSchedule(source(1, 1), generate.LongMin).Shape.Lossless)
	require.False(t, Schedule(1, 1).Shape.Lossless)
	s.Shape.Lossless = true
	out := plainly(s)
	require.Equal(t, "violates "+check.PropertyGroupLost, out.Verdict)
	f := &Failure{Schedule: s, Violation: out.Violation, Length: time.Hour}
	shrunk := Shrink(t.Context(), f, nil)
	require.Equal(t, s, shrunk.Schedule, "a part of it is another matter")
	saved := Trace(f, shrunk)
	require.Contains(t, strings.Join(saved.Story, "\n"), "gtstore fuzz --seed 0 --length 1h0m0s, schedule 0")
	replayed, err := schedule.Parse(saved.String())
	require.NoError(t, err)
	require.Equal(t, out.Verdict, plainly(replayed).Verdict, "a replay of what was saved says the same")
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		numbers []int
		median  int
	}{
		{nil, 0}, {[]int{4}, 4}, {[]int{9, 1}, 1}, {[]int{3, 1, 2}, 2}, {[]int{5, 5, 1, 5, 9}, 5}, {[]int{1, 2, 3, 4}, 2},
	} {
		var h histogram
		for _, n := range c.numbers {
			h.add(n)
		}
		require.Equal(t, c.median, h.median(), "%v", c.numbers)
	}
}

// A failure that needs two of many lines becomes a trace of these two lines. It says what
// it shows, and can be parsed.
func TestFailureBecomesATrace(t *testing.T) {
	const seed, index = 3, 5
	fails := func(s *schedule.Schedule) *sim.Outcome {
		puts := slices.ContainsFunc(s.Actions, func(a schedule.Action) bool { return a.Verb == schedule.VerbPut })
		gets := slices.ContainsFunc(s.Actions, func(a schedule.Action) bool { return a.Verb == schedule.VerbGet })
		switch {
		case puts && gets:
			return &sim.Outcome{Violation: &sim.Violation{Property: "read your/writes", Text: "lost\r\n  a put"}}
		case puts:
			return &sim.Outcome{Violation: &sim.Violation{Property: "another"}}
		}
		return &sim.Outcome{}
	}
	f := &Failure{Seed: seed, Index: index, Schedule: Schedule(seed, index)}
	f.Violation = fails(f.Schedule).Violation
	size := 0
	r := shrinkTo(t.Context(), f, func(_, left int) { size = left }, fails)
	require.Equal(t, 2, r.Schedule.Size())
	require.Equal(t, 2, size)
	require.Equal(t, "read your/writes", r.Violation.Property)
	require.Positive(t, r.Runs)

	name, err := Save(t.TempDir()+"/new/dir", f, r)
	require.NoError(t, err)
	require.Contains(t, name, "read-your-writes-3-5.trace")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	saved, err := schedule.Parse(string(text))
	require.NoError(t, err)
	require.Equal(t, "holds", saved.Expect)
	require.Equal(t, check.Run(saved).Recording, saved.Recorded)
	require.Equal(t, "Violated read your/writes: lost", saved.Story[0])
	require.Equal(t, "  a put", saved.Story[1])
	require.Regexp(t, `^Found by gtstore fuzz --seed 3, schedule 5; shrunk from \d+ to 2 actions and deviations\.$`, saved.Story[2])
	require.Empty(t, cmp.Diff(r.Schedule, saved, cmpopts.IgnoreFields(schedule.Schedule{}, "Story", "Expect", "Recorded"), cmpopts.EquateEmpty()))
}

func TestShrinkEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := &sim.Violation{Property: "p"}
	f := &Failure{Schedule: Schedule(1, 1), Violation: v}
	r := shrinkTo(ctx, f, nil, func(*schedule.Schedule) *sim.Outcome {
		cancel()
		return &sim.Outcome{Violation: v}
	})
	require.Equal(t, 1, r.Runs)
	require.Less(t, r.Schedule.Size(), f.Schedule.Size(), "what the one run found is kept")
}
