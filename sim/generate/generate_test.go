package generate

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/schedule"
)

// countingSource counts the draws that a schedule takes.
type countingSource struct {
	Source
	draws int
}

func (s *countingSource) Intn(label string, n int) int {
	s.draws++
	return s.Source.Intn(label, n)
}

// withoutLone draws no lone schedule, and withLone nothing else.
type (
	withoutLone struct{ Source }
	withLone    struct{ Source }
)

func (s withoutLone) Intn(label string, n int) int {
	if label == labelLone {
		return 0
	}
	return s.Source.Intn(label, n)
}

func (s withLone) Intn(label string, n int) int {
	if label == labelLone {
		return n - 1
	}
	return s.Source.Intn(label, n)
}

// zeroSource always makes the simplest choice, as a source that has shrunk.
type zeroSource struct{}

func (zeroSource) Intn(string, int) int { return 0 }

// endSource always makes the last choice.
type endSource struct{}

func (endSource) Intn(_ string, n int) int { return n - 1 }

func median(numbers []int) int {
	slices.Sort(numbers)
	return numbers[len(numbers)/2]
}

// faultCount counts what goes wrong, not what ends it.
func faultCount(s *schedule.Schedule) int {
	n := 0
	for _, a := range s.Actions {
		switch a.Verb {
		case schedule.VerbCrash, schedule.VerbWipe, schedule.VerbPause, schedule.VerbPartition, schedule.VerbCut, schedule.VerbClog, schedule.VerbFlaky, schedule.VerbReset, schedule.VerbStop, schedule.VerbForget,
			schedule.VerbFailSync, schedule.VerbFullDisk, schedule.VerbRot, schedule.VerbMisdirect, schedule.VerbUnreadable:
			n++
		case schedule.VerbSlow:
			if a.Latency > 0 {
				n++
			}
		case schedule.VerbSlowDisk:
			if a.Latency > s.Shape.SyncLatency {
				n++
			}
		}
	}
	return n
}

func callCount(s *schedule.Schedule) int {
	n := 0
	for _, a := range s.Actions {
		if a.Verb.Operation() != 0 {
			n++
		}
	}
	return n
}

func TestGenerateIsWorthRunning(t *testing.T) {
	const schedules = 5000
	var draws, calls, faults, deviations, clients, replicas, gets []int
	durable, lease, halt, drift, unhealed, verbs, kinds := 0, 0, 0, 0, 0, map[schedule.Verb]int{}, map[core.Kind]int{}
	longest := time.Duration(0)
	for seed := range uint64(schedules) {
		src := &countingSource{Source: withoutLone{NewSource(seed)}}
		s := Schedule(src)
		require.NoError(t, s.Validate(), "seed %d", seed)
		sh := &s.Shape
		require.GreaterOrEqual(t, sh.Clients, 2)
		require.Greater(t, sh.Nodes, sh.Replicas, "seed %d: no group can form", seed)
		draws = append(draws, src.draws)
		calls = append(calls, callCount(s))
		faults = append(faults, faultCount(s))
		deviations = append(deviations, len(s.Deviate))
		clients = append(clients, sh.Clients)
		replicas = append(replicas, sh.Replicas)
		get := 0
		for _, a := range s.Actions {
			verbs[a.Verb]++
			longest = max(longest, a.At)
			if a.Verb == schedule.VerbGet {
				get++
			}
		}
		gets = append(gets, 100*get/callCount(s))
		for _, d := range s.Deviate {
			kinds[d.Kind]++
		}
		durable += count(sh.Durable)
		lease += count(sh.Reads == core.ReadLease)
		halt += count(sh.Halt)
		unhealed += count(len(s.Unhealed) > 0)
		drift += count(slices.ContainsFunc(sh.Clocks, func(c schedule.Clock) bool { return c.PPM != 0 }))
	}
	t.Logf("medians of %d schedules: %d draws (most %d), %d calls (%d%% gets), %d faults, %d deviations, %d clients, k=%d; "+
		"durable %d, lease %d, halt %d, drift %d; longest %s; verbs %v",
		schedules, median(draws), slices.Max(draws), median(calls), median(gets), median(faults), median(deviations),
		median(clients), median(replicas), durable, lease, halt, drift, longest, verbs)
	require.GreaterOrEqual(t, median(calls), 50)
	require.GreaterOrEqual(t, median(faults), 8)
	require.GreaterOrEqual(t, median(clients), 3)
	require.InDelta(t, 40, median(gets), 5)
	require.LessOrEqual(t, slices.Max(draws), 700)
	require.Equal(t, 3, slices.Max(replicas))
	require.Equal(t, 0, slices.Min(replicas))
	require.InDelta(t, schedules/2, durable, schedules/10)
	require.InDelta(t, schedules/2, lease, schedules/10)
	require.InDelta(t, schedules/8, halt, schedules/20)
	require.Greater(t, drift, schedules/2)
	require.InDelta(t, schedules/3, unhealed, schedules/8)
	require.Less(t, longest, 30*time.Second) // of an eclipse; others end within 8 s
	for v := schedule.Verb(1); v < schedule.VerbCount; v++ {
		require.Greater(t, verbs[v], schedules/50, "%s is hardly ever drawn", v)
	}
	for _, way := range ways {
		require.NotZero(t, kinds[way.kind], "%s never deviates", way.kind)
	}
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// Nothing is drawn for a host that cannot take it: a process that is down does
// not pause or crash again, and a paused client makes no calls.
func TestGenerateOnlyEnabled(t *testing.T) {
	for seed := range uint64(2000) {
		down, paused, full := map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, a := range Schedule(NewSource(seed)).Actions {
			switch a.Verb {
			case schedule.VerbCrash, schedule.VerbWipe, schedule.VerbStop, schedule.VerbFailSync, schedule.VerbFullDisk:
				require.False(t, down[a.Host] || paused[a.Host], "seed %d: %s", seed, a)
				down[a.Host], full[a.Host] = true, a.Verb == schedule.VerbFullDisk
			case schedule.VerbFreeDisk:
				full[a.Host] = false
			case schedule.VerbMove:
				require.False(t, down[a.Host] || paused[a.Host], "seed %d: %s", seed, a)
				require.True(t, down[a.Target], "seed %d: %s", seed, a)
				down[a.Host] = true
			case schedule.VerbRestart:
				require.True(t, down[a.Host], "seed %d: %s", seed, a)
				down[a.Host] = full[a.Host]
			case schedule.VerbPause:
				require.False(t, down[a.Host] || paused[a.Host], "seed %d: %s", seed, a)
				paused[a.Host] = true
			case schedule.VerbResume:
				require.True(t, paused[a.Host], "seed %d: %s", seed, a)
				paused[a.Host] = false
			case schedule.VerbPut, schedule.VerbGet, schedule.VerbDelete, schedule.VerbCAS:
				require.False(t, paused[a.Host], "seed %d: %s", seed, a)
			}
		}
	}
}

func TestGenerateSimplest(t *testing.T) {
	s := Schedule(zeroSource{})
	require.NoError(t, s.Validate())
	require.Zero(t, faultCount(s))
	require.Empty(t, s.Deviate)
	require.Empty(t, s.Shape.Clocks)
	want := schedule.DefaultShape()
	want.Nodes, want.Replicas, want.SyncLatency = 1, 0, 500*time.Microsecond
	require.Equal(t, want, s.Shape)

	require.NoError(t, Schedule(endSource{}).Validate())
}

func TestGenerateIsDeterministic(t *testing.T) {
	require.Equal(t, Schedule(NewSource(7)), Schedule(NewSource(7)))
	require.NotEqual(t, Schedule(NewSource(7)), Schedule(NewSource(8)))
}

// A reported seed must give the same numbers with every version.
func TestSourceIsStable(t *testing.T) {
	src := NewSource(42)
	var got []int
	for range 8 {
		got = append(got, src.Intn("number", 1000))
	}
	require.Equal(t, []int{335, 877, 86, 76, 701, 974, 162, 887}, got)
	require.Zero(t, src.Intn("only", 1))
	require.PanicsWithValue(t, "sim: a draw from an empty range: empty", func() { src.Intn("empty", 0) })
}

func BenchmarkGenerate(b *testing.B) {
	for seed := range uint64(b.N) {
		Schedule(NewSource(seed))
	}
}

// In a lone schedule one storage node has trouble, or one of several managers, or both; calls go on
// before and after it.
func TestGenerateLone(t *testing.T) {
	several, verbs := 0, map[schedule.Verb]int{}
	for seed := range uint64(600) {
		s := Schedule(withLone{NewSource(seed)})
		require.NoError(t, s.Validate(), "seed %d", seed)
		require.Empty(t, s.Deviate)
		require.Empty(t, s.Unhealed)
		several += count(s.Shape.Managers > 1)
		first, last, calls := time.Hour, time.Duration(0), 0
		for i := range s.Actions {
			a := &s.Actions[i]
			if verbs[a.Verb]++; a.Verb.Operation() == 0 {
				first, last = min(first, a.At), max(last, a.At)
			} else {
				calls++
			}
		}
		require.Less(t, loneFrom, first, "seed %d", seed)
		require.LessOrEqual(t, calls, loneCalls)
		require.Less(t, last, s.Actions[len(s.Actions)-1].At, "seed %d: calls go on", seed)
	}
	require.InDelta(t, 100, several, 40)
	for _, v := range []schedule.Verb{schedule.VerbCrash, schedule.VerbRestart, schedule.VerbWipe, schedule.VerbPause, schedule.VerbResume, schedule.VerbPartition, schedule.VerbCut, schedule.VerbHeal, schedule.VerbStop, schedule.VerbSlow, schedule.VerbSlowDisk, schedule.VerbStallDisk} {
		require.Greater(t, verbs[v], 5, "%v", v)
	}
}

// In a calm schedule only chance can bring something beyond the bounds: packets that are
// lost again and again, and more large values than the bandwidth carries.
func TestGenerateCalm(t *testing.T) {
	drawn, calm, faults, verbs := 0, 0, 0, map[schedule.Verb]int{}
	for seed := range uint64(400) {
		s := Schedule(withoutLone{NewSource(seed)})
		if s.Shape.OpTimeout < schedule.CalmTimeout {
			continue
		}
		drawn++
		faults += faultCount(s)
		out := sim.Run(s, sim.RunOptions{SkipLinearizability: true})
		calm += count(out.Calm)
		for _, a := range s.Actions {
			verbs[a.Verb]++
		}
	}
	require.InDelta(t, 400/8, drawn, 20)
	require.Greater(t, calm, drawn*3/4)
	require.Greater(t, faults, 3*drawn)
	for _, v := range []schedule.Verb{schedule.VerbPause, schedule.VerbStall, schedule.VerbLossy, schedule.VerbBandwidth, schedule.VerbSlowDisk, schedule.VerbStallDisk, schedule.VerbSlow, schedule.VerbBusy} {
		require.Greater(t, verbs[v], 5, "%v", v)
	}
	for _, v := range []schedule.Verb{schedule.VerbCrash, schedule.VerbWipe, schedule.VerbCut, schedule.VerbFlaky, schedule.VerbMute, schedule.VerbReset} {
		require.Zero(t, verbs[v], "%v", v)
	}
}

// In a long schedule groups can heal. A failure is over, and its nodes are back, before
// the next one begins, and no failure destroys more copies than a group can spare.
func TestGenerateLongLetsGroupsHeal(t *testing.T) {
	verbs := map[schedule.Verb]int{}
	for seed := range uint64(100) {
		s := LongSchedule(NewSource(seed), 10*time.Minute)
		require.NoError(t, s.Validate(), "seed %d", seed)
		if s.Shape.OpTimeout >= schedule.CalmTimeout {
			continue
		}
		down, lost, failed := map[string]bool{}, map[string]bool{}, 0
		last, network := time.Duration(0), false
		for _, a := range s.Actions {
			verbs[a.Verb]++
			if a.Verb.Operation() != 0 {
				continue
			}
			require.Less(t, a.At, 10*time.Minute-longLast+healTime, "seed %d: %s", seed, a)
			if a.At-last > 5*time.Second { // nothing lasts so long
				require.Empty(t, down, "seed %d: %s", seed, a)
				require.False(t, network, "seed %d: %s", seed, a)
				clear(lost)
				failed++
			}
			last = a.At
			switch a.Verb {
			case schedule.VerbRestart, schedule.VerbResume:
				delete(down, a.Host)
			case schedule.VerbHeal:
				network = false
			case schedule.VerbPartition, schedule.VerbFlaky:
				network = true
			case schedule.VerbDrain:
			default:
				down[a.Host] = true
				if !isManager(a.Host) && (a.Verb == schedule.VerbWipe || !s.Shape.Durable && a.Verb != schedule.VerbPause) {
					lost[a.Host] = true
					require.LessOrEqual(t, len(lost), s.Shape.Replicas, "seed %d: %s", seed, a)
				}
			}
		}
		require.Empty(t, down, "seed %d", seed)
		require.Greater(t, failed, 10, "seed %d", seed)
	}
	for _, v := range []schedule.Verb{schedule.VerbCrash, schedule.VerbWipe, schedule.VerbStop, schedule.VerbDrain, schedule.VerbPause, schedule.VerbPartition, schedule.VerbFlaky} {
		require.Greater(t, verbs[v], 50, "%v", v)
	}
	require.NoError(t, LongSchedule(zeroSource{}, LongMin).Validate())
	require.NoError(t, LongSchedule(endSource{}, LongMax).Validate())
}

func TestGeneratedRoundTrip(t *testing.T) {
	for seed := range uint64(150) {
		s := Schedule(NewSource(seed))
		text := s.String()
		back, err := schedule.Parse(text)
		require.NoError(t, err, "seed %d", seed)
		require.Empty(t, cmp.Diff(s, back, cmpopts.EquateEmpty()), "seed %d", seed)
		require.Equal(t, text, back.String(), "seed %d", seed)
	}
}

func TestSchedulesWithSoManyManagers(t *testing.T) {
	for _, managers := range []int{1, 3, 5} {
		require.True(t, IsManagers(managers))
		for seed := range uint64(50) {
			s := Schedule(WithManagers(NewSource(seed), managers))
			require.NoError(t, s.Validate())
			require.Equal(t, managers, s.Shape.Managers)
		}
		require.Equal(t, managers, LongSchedule(WithManagers(NewSource(1), managers), LongMin).Shape.Managers)
	}
	require.False(t, IsManagers(2))
}
