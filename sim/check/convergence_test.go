package check

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
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

// TestAnOperatorWhoIsNeverAnswered: what an operator asks comes to an end, too.
func TestAnOperatorWhoIsNeverAnswered(t *testing.T) {
	for _, c := range []struct {
		asks string
		lost core.Kind
		want string
	}{
		{"drain n2", core.KindDrained, "violates convergence"},
		{"forget n2", core.KindForgotten, "violates convergence"},
		{"forget n2", 0, "holds"},
	} {
		s, err := schedule.Parse("cluster nodes=5\nat 100ms c1 put x a\nat 300ms crash n2\nat 1s " + c.asks + "\nat 2s c1 get x\n")
		require.NoError(t, err)
		out := RunWith(s, sim.RunOptions{Tamper: without(c.lost)})
		require.Equal(t, c.want, out.Verdict, "%v", c)
		if c.lost != 0 {
			require.Contains(t, out.Violation.Text, "was not answered")
		}
	}
}

// without has no process say what is of a kind.
func without(kind core.Kind) func(*sim.Host, *core.Output) {
	lost := func(e core.Envelope) bool { return core.KindOf(e.Body) == kind }
	return func(_ *sim.Host, out *core.Output) {
		out.Send, out.After = slices.DeleteFunc(out.Send, lost), slices.DeleteFunc(out.After, lost)
	}
}

// TestAGroupThatNobodyEverJoins: that a spare is joining, or is in quarantine since it has failed
// to, does not make a group full. So a core whose joins all come to nothing does not hold.
func TestAGroupThatNobodyEverJoins(t *testing.T) {
	for _, c := range []struct {
		name string
		lost core.Kind
		text string
	}{
		{"the primary never says that it has caught up", core.KindCaughtUp, "group 1 has 2 members"},
		{"all is well", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := schedule.Parse("cluster nodes=4 quarantine=100ms\nat 100ms c1 put x a\nat 300ms wipe n2\nat 2s c1 get x\n")
			require.NoError(t, err)
			s.Unhealed = []string{"n2"}
			out := RunWith(s, sim.RunOptions{Tamper: without(c.lost)})
			require.Positive(t, out.Seen[core.EventJoining])
			if c.lost == 0 {
				require.Equal(t, "holds", out.Verdict)
				return
			}
			require.Zero(t, out.Seen[core.EventJoined])
			require.Equal(t, "violates convergence", out.Verdict)
			require.Contains(t, out.Violation.Text, c.text)
		})
	}
}
