package explore

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPublishedModelsHaveTheirPublishedCounts holds the search against what others counted:
// two-phase commit in stateright's examples, the other two in the manifests of
// https://github.com/tlaplus/Examples (ewd840 and, below, lamport_mutex), which TLC wrote.
func TestPublishedModelsHaveTheirPublishedCounts(t *testing.T) {
	for _, c := range []struct {
		name              string
		model             Model
		states, generated int64 // 0 where it is not published
	}{
		{"two-phase commit, 3", &twoPhase{n: 3}, 288, 1146},
		{"two-phase commit, 5", &twoPhase{n: 5}, 8832, 0},
		{"two-phase commit, 7", &twoPhase{n: 7}, 296448, 0},
		{"two-phase commit, 5, with symmetry", &twoPhase{n: 5, symmetry: true}, 314, 0},
		{"EWD 840, 3", &ring{3}, 302, 0},
		{"EWD 840, 4", &ring{4}, 1566, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, workers := range []int{1, 3} {
				r, err := Search(context.Background(), c.model, Options{Workers: workers})
				require.NoError(t, err)
				require.Nil(t, r.Violation)
				require.True(t, r.Complete, r.Why)
				require.Equal(t, c.states, r.States)
				if c.generated > 0 {
					require.Equal(t, c.generated, r.Generated)
				}
			}
		})
	}
}

func TestLamportsMutexHasItsPublishedCount(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	r, err := Search(context.Background(), &mutex{3, 6}, Options{})
	require.NoError(t, err)
	require.Nil(t, r.Violation)
	require.True(t, r.Complete, r.Why)
	require.EqualValues(t, 724274, r.States)
	require.EqualValues(t, 2729079, r.Generated)
	require.Equal(t, 61, r.Depth+1) // TLC counts the states of the longest way, and not the steps
}

func TestTheFirstViolationIsAShortestAndAlwaysTheSame(t *testing.T) {
	var first *Result
	for _, workers := range []int{1, 1, 2, 3, 7} {
		r, err := Search(context.Background(), &twoPhase{n: 4, bug: true}, Options{Workers: workers})
		require.NoError(t, err)
		require.NotNil(t, r.Violation)
		require.False(t, r.Complete)
		// One aborts, the manager commits, another hears of it.
		require.Len(t, r.Violation.Steps, 3)
		if first == nil {
			first = r
		}
		require.Equal(t, first.Violation, r.Violation)
		require.Equal(t, first.States, r.States)
	}
	r, err := Search(context.Background(), &line{end: 100, bad: 7}, Options{})
	require.NoError(t, err)
	require.Equal(t, "at 7", r.Violation.Text) // to 7 and to 8 take four steps each
	require.Len(t, r.Violation.Steps, 4)
	require.Equal(t, "to 7", r.Violation.Steps[3])
}

func TestABoundIsKeptAndSaid(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		why     string
	}{
		{"memory", Options{MemoryMax: 2 << 20}, "memory bound reached at depth"},
		{"depth", Options{DepthMax: 5}, "bound of 5 steps reached"},
		{"states", Options{StatesMax: 1000}, "bound of 1000 states reached at depth"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Search(context.Background(), &twoPhase{n: 7}, c.options)
			require.NoError(t, err)
			require.False(t, r.Complete)
			require.Contains(t, r.Why, c.why)
			require.Less(t, r.States, int64(296448))
			if c.options.MemoryMax > 0 {
				require.LessOrEqual(t, r.Memory, c.options.MemoryMax)
			}
			if c.options.DepthMax > 0 {
				require.Equal(t, c.options.DepthMax, r.Depth)
			}
		})
	}
}

// interrupting cancels the search when so many states were asked for.
type interrupting struct {
	Model
	after  int
	cancel func()
}

func (m *interrupting) Worker() Worker { return &interruptingWorker{m.Model.Worker(), m} }

type interruptingWorker struct {
	Worker
	m *interrupting
}

func (w *interruptingWorker) Next(state []byte, to *Sink) {
	if w.m.after--; w.m.after == 0 {
		w.m.cancel()
	}
	w.Worker.Next(state, to)
}

func TestAnInterruptedSearchGoesOn(t *testing.T) {
	whole, err := Search(context.Background(), &twoPhase{n: 6}, Options{})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "state")
	times := 0
	for after := 5000; ; after += 5000 {
		ctx, cancel := context.WithCancel(context.Background())
		m := &interrupting{&twoPhase{n: 6}, after, cancel}
		r, err := Search(ctx, m, Options{Workers: 1, State: file, Key: "6"})
		cancel()
		require.NoError(t, err)
		if !r.Interrupted {
			require.True(t, r.Complete)
			require.Equal(t, whole.States, r.States)
			require.Equal(t, whole.Generated, r.Generated)
			require.Equal(t, whole.Depth, r.Depth)
			break
		}
		times++
	}
	require.Greater(t, times, 1)
	require.NoFileExists(t, file, "a search that has ended leaves no state")
}

func TestAStateFileOfAnotherSearchIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Search(ctx, &twoPhase{n: 6}, Options{State: file, Key: "6"})
	require.NoError(t, err)
	_, err = Search(context.Background(), &twoPhase{n: 5}, Options{State: file, Key: "5"})
	require.ErrorContains(t, err, "of another search")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(file, text, 0o666))
	_, err = Search(context.Background(), &twoPhase{n: 6}, Options{State: file, Key: "6"})
	require.ErrorContains(t, err, "damaged")
}

func BenchmarkTwoPhaseCommit(b *testing.B) {
	for b.Loop() {
		r, err := Search(context.Background(), &twoPhase{n: 7}, Options{})
		if err != nil || r.States != 296448 {
			b.Fatal(r.States, err)
		}
		b.ReportMetric(float64(r.Generated)/r.Elapsed.Seconds(), "generated/s")
		b.ReportMetric(float64(r.States)/r.Elapsed.Seconds(), "states/s")
	}
}
