package properties

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim/fuzz"
	"gtstore/sim/mark"
)

// marksSchedules is so large that even the rarest mark is reached some ten times, so
// that any seed would do.
const (
	marksSeed      = 1
	marksSchedules = 10000
	rarestShown    = 12
)

// TestMarksAreReached runs the same schedules every time, and requires that they reach
// every mark. If they miss one, the workload is at fault, not the core: the schedules no
// longer bring about what the mark stands for, so they say nothing about it.
func TestMarksAreReached(t *testing.T) {
	stats, failure, err := fuzz.Search(t.Context(), fuzz.Options{
		Seed: marksSeed, Schedules: marksSchedules, Workers: runtime.GOMAXPROCS(0),
	})
	require.NoError(t, err)
	if failure != nil {
		saveFailure(t, failure.Schedule, failure.Violation)
		return
	}
	require.Equal(t, marksSchedules, stats.Schedules)
	t.Logf("%d schedules in %v; reached by the fewest of them:", stats.Schedules, stats.Wall)
	for _, m := range stats.Rarest(rarestShown) {
		t.Logf("%6d %v", stats.Marks[m], m)
	}
	for _, m := range mark.All() {
		if stats.Marks[m] == 0 {
			t.Errorf("no schedule of %d reached the mark %v (%s): %s\n"+
				"Let package sim/generate draw what leads to it, or find the change of the core that keeps it from coming about.",
				stats.Schedules, m, m.Of(), m.Text())
		}
	}
}

// TestMarksAreNamed: every mark has a name that can stand in a trace and belongs to it
// alone, and a sentence that says what has happened.
func TestMarksAreNamed(t *testing.T) {
	said := map[string]mark.Mark{}
	for _, m := range mark.All() {
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, m.String())
		require.Equal(t, m, mark.Named(m.String()), "two marks are called %v", m)
		require.NotEmpty(t, m.Of(), "%v stands for a rule, or for a failure of real systems", m)
		require.Regexp(t, `^[A-Z].*\.$`, m.Text(), "%v says in a sentence what has happened", m)
		require.Zero(t, said[m.Text()], "%v says the same as %v", m, said[m.Text()])
		said[m.Text()] = m
	}
	require.Zero(t, mark.Named("no-such-mark"))
	require.Zero(t, mark.Named(""))
}
