package properties

import (
	"flag"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/fuzz"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
)

const (
	shards           = 2    // how many parts of the schedules run side by side
	schedulesDefault = 2000 // how many schedules run in all; RAPID_CHECKS or -rapid.checks sets another number
)

// rapidSource lets rapid draw a schedule. rapid's own integers favour small numbers and
// the bounds, which would make small clusters with few operations. So a number is made of
// coins, which are fair. It shrinks towards 0 all the same.
type rapidSource struct{ t *rapid.T }

var (
	coin      = rapid.Bool()
	schedules = rapid.Custom(func(t *rapid.T) *schedule.Schedule { return generate.Schedule(rapidSource{t}) })
)

func (r rapidSource) Intn(_ string, n int) int {
	for {
		x := 0
		for range bits.Len(uint(n - 1)) {
			x <<= 1
			if coin.Draw(r.t, "") {
				x |= 1
			}
		}
		if x < n {
			return x
		}
	}
}

// tally counts what the schedules of all shards had in them, and what came of them.
type tally struct {
	mu    sync.Mutex
	stats fuzz.Stats
	seen  [core.EventKindCount]int
	reads map[core.ReadMode]int
	mode  map[bool]int
	k     map[int]int
	lin   time.Duration
}

func (y *tally) add(s *schedule.Schedule, out *sim.Outcome) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.stats.Add(s, out)
	for kind, n := range out.Seen {
		y.seen[kind] += n
	}
	y.reads[s.Shape.Reads]++
	y.mode[s.Shape.Durable]++
	y.k[s.Shape.Replicas]++
	y.lin += out.Lin
}

// checks is how many schedules are to run in all.
func checks(t *testing.T) int {
	n, err := strconv.Atoi(flag.Lookup("rapid.checks").Value.String())
	require.NoError(t, err)
	if _, set := os.LookupEnv("RAPID_CHECKS"); !set && n == 100 { // rapid's default
		n = schedulesDefault
	}
	return n
}

// TestSchedules draws clusters, workloads and faults, and runs them with every check of
// the simulator.
func TestSchedules(t *testing.T) {
	total := checks(t)
	y := &tally{reads: map[core.ReadMode]int{}, mode: map[bool]int{}, k: map[int]int{}}
	begin := time.Now()
	t.Run("shard", func(t *testing.T) {
		each := (total + shards - 1) / shards
		if testing.Short() {
			each *= 5 // with -short rapid runs a fifth of it
		}
		require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(each)))
		for i := range shards {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				checkSchedules(t, y)
			})
		}
	})
	y.stats.Wall = time.Since(begin)
	if t.Failed() {
		return
	}
	y.report(t)
	// Near the deadline of a test rapid passes without having run them all.
	require.GreaterOrEqual(t, y.stats.Schedules, total, "schedules that ran")
	if total >= schedulesDefault {
		y.requireReach(t)
	}
}

// checkSchedules is the property. When it fails, rapid shrinks the draws. The schedule
// that is left is shrunk further, and saved as a trace.
func checkSchedules(t *testing.T, y *tally) {
	var smallest *schedule.Schedule
	var violation *sim.Violation
	defer func() {
		if smallest != nil {
			saveFailure(t, smallest, violation)
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		s := schedules.Draw(t, "schedule")
		out := fuzz.Check(s, sim.RunOptions{})
		if out.Violation != nil {
			smallest, violation = s, out.Violation
			t.Fatalf("violates %s", out.Violation.Property) // rapid shrinks only to failures at this line with this text
		}
		y.add(s, out)
	})
}

func saveFailure(t *testing.T, s *schedule.Schedule, v *sim.Violation) {
	f := &fuzz.Failure{Schedule: s, Violation: v}
	shrunk := fuzz.Shrink(t.Context(), f, nil)
	file, err := fuzz.Save(traceDir, f, shrunk)
	if err != nil {
		t.Errorf("cannot save the trace: %v\n%v", err, shrunk.Schedule)
		return
	}
	t.Errorf("%v\nshrunk from %d to %d lines; replay with: go run ./cmd/gtstore replay %s",
		shrunk.Violation, s.Size(), shrunk.Schedule.Size(), file[len("../"):])
}

func (y *tally) report(t *testing.T) {
	s, m := &y.stats, y.stats.Medians()
	fmt.Printf("properties: %d schedules in %v: %d events (%d/s), %d operations checked, %.0f simulated seconds a second, linearizability %v\n",
		s.Schedules, s.Wall.Round(time.Millisecond), s.Events, s.PerSecond(s.Events), s.Operations, s.Ratio(), y.lin.Round(time.Millisecond))
	fmt.Printf("properties: medians: %d clients, %d keys, %d operations, %d faults, %d messages dropped, duplicated, delayed or corrupted\n",
		m.Clients, m.Keys, m.Operations, m.Faults, m.Messages)
	fmt.Printf("properties: confirm %d, lease %d; memory %d, durable %d; k=0 %d, k=1 %d, k=2 %d, k=3 %d\n",
		y.reads[core.ReadConfirm], y.reads[core.ReadLease], y.mode[false], y.mode[true], y.k[0], y.k[1], y.k[2], y.k[3])
	for kind := core.EventKind(1); int(kind) < core.EventKindCount; kind++ {
		t.Logf("%-12v %d", kind, y.seen[kind])
	}
}

// requireReach is a test of the generator. It requires the kind of workload without which
// the checks would find nothing.
func (y *tally) requireReach(t *testing.T) {
	m := y.stats.Medians()
	require.GreaterOrEqual(t, m.Clients, 3, "median of concurrent clients")
	require.LessOrEqual(t, m.Keys, 4, "median of keys")
	require.GreaterOrEqual(t, m.Operations, 50, "median of operations")
	require.GreaterOrEqual(t, m.Faults, 5, "median of fault actions that fired")
	require.Len(t, y.reads, 2, "read modes")
	require.Len(t, y.mode, 2, "memory and durable mode")
	require.Len(t, y.k, 4, "k from 0 to 3")
	for kind := core.EventKind(1); int(kind) < core.EventKindCount; kind++ {
		if outOfReach[kind] == "" {
			require.NotZero(t, y.seen[kind], "situation %q", kind)
		}
	}
}

// outOfReach are the events that no generated schedule of some seconds brings about, and
// why. Tests of the core do.
var outOfReach = map[core.EventKind]string{
	core.EventChunkRefused:  "the frame's own checksum notices a corrupted chunk first",
	core.EventAhead:         "a manager that forgets restarts with nothing and is another",
	core.EventDiskLate:      "the manager's disk stalls for a second with a command under way, as in few schedules",
	core.EventDiskInTime:    "the same",
	core.EventLacks:         "a disk loses what it had made durable",
	core.EventRetired:       "a node is silent for ten minutes before",
	core.EventNotTaken:      "it takes 4,096 nodes",
	core.EventCopied:        "no schedule copies a directory",
	core.EventListsDiffer:   "all managers of a schedule have one list",
	core.EventRemoved:       "no schedule has the managers changed: package quorum tests that",
	core.EventCopyRuns:      "no schedule copies a directory",
	core.EventDirectoryGone: "no schedule wipes most of the managers",
	core.EventWaits:         "few schedules have a manager that comes back empty while the others are silent",
	core.EventAwaits:        "in few schedules a manager waits that long for the others",
	core.EventTooFew:        "in few schedules most managers are away for that long",
}

// FuzzSchedules is the same property for go test -fuzz, which prefers draws that reach
// new code.
func FuzzSchedules(f *testing.F) {
	for seed := range 8 {
		source := generate.NewSource(uint64(seed))
		draws := make([]byte, 8*4096) // a coin takes eight bytes
		for i := range draws {
			draws[i] = byte(source.Intn("", 256))
		}
		f.Add(draws)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		s := schedules.Draw(t, "schedule")
		if out := fuzz.Check(s, sim.RunOptions{}); out.Violation != nil {
			t.Fatalf("%v\n%v", out.Violation, s)
		}
	}))
}
