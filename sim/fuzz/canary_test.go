package fuzz

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/schedule"
)

// Each canary is found by what it is meant for, and soon: a search looks for it whenever
// it begins.
func TestCanariesAreFound(t *testing.T) {
	require.NoError(t, Canary())
	for i := range canaries {
		c := &canaries[i]
		index := c.find(Check)
		require.Less(t, index, canarySchedules/2, c.name)
		s := Schedule(canarySeed, index)
		require.Equal(t, c.property, Check(s, sim.RunOptions{Tamper: c.plant()}).Violation.Property, c.name)
		require.Nil(t, Check(s, sim.RunOptions{}).Violation, "%s: without it the schedule holds", c.name)
	}
}

func TestASearchWhoseChecksAreBrokenSaysSo(t *testing.T) {
	holds := func(*schedule.Schedule, sim.RunOptions) *sim.Outcome { return &sim.Outcome{Verdict: "holds"} }
	withoutHistory := func(s *schedule.Schedule, o sim.RunOptions) *sim.Outcome {
		o.SkipLinearizability = true
		return Check(s, o)
	}
	withoutFaults := func(s *schedule.Schedule, o sim.RunOptions) *sim.Outcome {
		o.Tamper = func(*sim.Host, *core.Output) {}
		return Check(s, o)
	}
	for _, c := range []struct {
		name   string
		run    func(*schedule.Schedule, sim.RunOptions) *sim.Outcome
		missed int
	}{
		{"everything holds", holds, len(canaries)},
		{"the history is not checked", withoutHistory, 1},
		{"nothing goes wrong", withoutFaults, len(canaries)},
	} {
		err := findCanaries(c.run)
		require.ErrorContains(t, err, "Build it anew", c.name)
		missed := 0
		for i := range canaries {
			missed += strings.Count(err.Error(), canaries[i].name)
		}
		require.Equal(t, c.missed, missed, c.name)
	}
	// A core that is broken by itself is the search's to tell, not the canary's.
	broken := func(*schedule.Schedule, sim.RunOptions) *sim.Outcome {
		return &sim.Outcome{Violation: &sim.Violation{Property: "panic"}}
	}
	require.NoError(t, findCanaries(broken))
}
