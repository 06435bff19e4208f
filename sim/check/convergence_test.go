package check

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/sim"
	"gtstore/sim/schedule"
)

// demanding is a checker that wants a fourth member of a group of three, once the faults
// are over. So to it the group never settles.
type demanding struct {
	*checker
	waited time.Duration // since the faults ended
}

func (o *demanding) Settled(w *sim.World) bool {
	w.Schedule().Shape.Replicas = 3
	return o.checker.Settled(w)
}

func (o *demanding) End(w *sim.World) {
	healed, _ := w.Healed()
	o.waited = w.Now() - healed
	o.checker.End(w)
}

// TestAGroupThatNeverSettles: the violation says how long the run has waited for the
// group since the faults ended, which is FinalMax at least.
func TestAGroupThatNeverSettles(t *testing.T) {
	s, err := schedule.Parse("cluster nodes=4\nat 100ms c1 put x a")
	require.NoError(t, err)
	o := &demanding{checker: &checker{}}
	out := sim.Run(s, sim.RunOptions{Observer: o})
	require.NotNil(t, out.Violation)
	require.Equal(t, "convergence", out.Violation.Property)
	require.GreaterOrEqual(t, o.waited, s.Shape.FinalMax())
	require.Equal(t, o.waited.String()+" after the faults: group 1 has 3 members although a spare could join", out.Violation.Text)
}
