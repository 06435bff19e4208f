package history_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// crowded has many clients call as many operations on one key at a time as they can.
// Meanwhile the only member stalls again and again, for longer than an operation may
// take. So most operations overlap with hundreds of others, and many end with unknown
// outcome.
func crowded(operations int, seed uint64) *schedule.Schedule {
	const clients, width, pauses = 16, 16, 8
	s := &schedule.Schedule{Shape: schedule.DefaultShape()}
	s.Shape.Nodes, s.Shape.Replicas, s.Shape.Clients, s.Shape.Width = 1, 0, clients, width
	s.Shape.OpTimeout = 300 * time.Millisecond
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range pauses {
		at := 200*time.Millisecond + time.Duration(i)*time.Second
		s.Actions = append(s.Actions, schedule.Action{At: at, Verb: schedule.VerbPause, Host: "n1"}, schedule.Action{At: at + 500*time.Millisecond, Verb: schedule.VerbResume, Host: "n1"})
	}
	for i := range operations {
		// Bursts, each about when the member stalls.
		at := 150*time.Millisecond + time.Duration(i*pauses/operations)*time.Second + time.Duration(r.IntN(100))*time.Millisecond
		a := schedule.Action{At: at, Verb: schedule.VerbGet, Host: fmt.Sprintf("c%d", 1+r.IntN(clients)), Key: "a"}
		switch r.IntN(8) {
		case 0, 1, 2:
			a.Verb = schedule.VerbPut
		case 3:
			a.Verb = schedule.VerbDelete
		case 4:
			a.Verb, a.Version = schedule.VerbCAS, []string{"last", "0"}[r.IntN(2)]
		}
		if a.Verb == schedule.VerbPut || a.Verb == schedule.VerbCAS {
			a.Value = fmt.Sprintf("v%d", i)
		}
		s.Actions = append(s.Actions, a)
	}
	slices.SortStableFunc(s.Actions, func(a, b schedule.Action) int { return int(a.At - b.At) })
	return s
}

// crowdedHistory is the history of a run of such a schedule.
func crowdedHistory(t testing.TB, operations int) []history.Operation {
	s := crowded(operations, 1)
	require.NoError(t, s.Validate())
	out := check.RunWith(s, sim.RunOptions{SkipLinearizability: true})
	require.Nil(t, out.Violation)
	return out.Ops
}

// The work of the sweep grows with the number of operations, not with how many are under
// way at once. That holds with an order and without.
func TestSweepOfACrowdIsLinear(t *testing.T) {
	for _, operations := range []int{1000, 4000, schedule.ActionsMax - 16} {
		ops := crowdedHistory(t, operations)
		swept := history.SweepKey(ops, "a")
		require.True(t, swept.Explained)
		require.Greater(t, swept.UnderWay, min(operations/20, 200))
		require.Greater(t, swept.Absences, operations/20)
		require.Greater(t, swept.Puts, operations/100)
		require.Greater(t, swept.Deletes, operations/100)
		require.Less(t, swept.Steps, 4*operations)

		// The last get before the final one returns a value that was replaced long ago.
		for i := len(ops) - 2; i >= 0; i-- {
			if op := &ops[i]; op.Kind == core.OpGet && !op.Final && op.Result.Status == core.StatusOK {
				old := firstGet(ops)
				op.Result = &core.Result{Status: core.StatusOK, Value: old.Value, Version: old.Version}
				break
			}
		}
		swept = history.SweepKey(ops, "a")
		require.True(t, swept.Possible, "each result is possible by itself")
		require.True(t, swept.Unexplained)
		require.Less(t, swept.Steps, 4*operations)
		property, _ := history.CheckLinearizable(ops)
		require.Equal(t, "linearizable", property)
	}
}

func firstGet(ops []history.Operation) *core.Result {
	for i := range ops {
		if r := ops[i].Result; ops[i].Kind == core.OpGet && r.Status == core.StatusOK {
			return r
		}
	}
	return nil
}

// BenchmarkLinearizable measures the check of one key alone.
func BenchmarkLinearizable(b *testing.B) {
	for _, operations := range []int{1000, 2000, 4000, 8000} {
		b.Run(fmt.Sprintf("crowd/%d", operations), func(b *testing.B) {
			ops := crowdedHistory(b, operations)
			for b.Loop() {
				if _, text := history.CheckLinearizable(ops); text != "" {
					b.Fatal(text)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ops)), "ns/operation")
		})
	}
}
