package properties

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/sim/fuzz"
)

// However long failures go on, no group is lost while groups have the time to heal
// between them. This test takes an hour of virtual time. A longer one is
//
//	go run ./cmd/gtstore fuzz --length 1h --schedules 300
func TestFailuresGoOnForLong(t *testing.T) {
	const seed = 1
	o := fuzz.Options{Seed: seed, Schedules: 12, Length: 5 * time.Minute, Workers: shards}
	if testing.Short() {
		o.Schedules = 8
	}
	stats, failure, err := fuzz.Search(t.Context(), o)
	require.NoError(t, err)
	if failure != nil {
		shrunk := fuzz.Shrink(t.Context(), failure, nil)
		t.Fatalf("seed %d, schedule %d: %v\n\n%s", seed, failure.Index, failure.Violation, fuzz.Trace(failure, shrunk))
	}
	require.Zero(t, stats.Lost)
	require.Greater(t, stats.Joins, 2*o.Schedules, "groups heal again and again; but in calm schedules nobody fails")
	require.Greater(t, stats.Writes, 100*o.Schedules)
	t.Logf("%v of virtual time: %d faults, %d nodes ended with their data, %d joined a group, %d groups lost, %d writes acknowledged",
		stats.Virtual.Round(time.Second), stats.Faults, stats.Gone, stats.Joins, stats.Lost, stats.Writes)
}
