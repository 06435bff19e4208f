package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/schedule"
)

func TestClock(t *testing.T) {
	fast := newClock(schedule.Clock{Offset: -time.Second, PPM: 100})
	require.Equal(t, core.Time(clockOrigin-time.Second), fast.local(0))
	require.Equal(t, core.Time(clockOrigin-time.Second+10_001*time.Second), fast.local(int64(10_000*time.Second)))
	require.EqualValues(t, never, fast.virtual(core.Never))
	require.Zero(t, fast.virtual(0), "what is past is due at once")
	require.EqualValues(t, 10*time.Second, newClock(schedule.Clock{}).virtual(core.Time(clockOrigin+10*time.Second)))
	slow := newClock(schedule.Clock{PPM: -schedule.PPMMax})
	require.EqualValues(t, never, slow.virtual(core.Never-1))
}

// A deadline must be due when its timer goes off, and not a nanosecond before.
func TestClockInversion(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300_000 {
		c := newClock(schedule.Clock{
			Offset: time.Duration(r.Int64N(int64(2*schedule.DurationMax))) - schedule.DurationMax,
			PPM:    r.Int64N(2*schedule.PPMMax+1) - schedule.PPMMax,
		})
		if r.IntN(10) == 0 {
			c = newClock(schedule.Clock{})
		}
		deadline := core.Time(c.origin + 1 + r.Int64N(1<<uint(1+r.IntN(50))))
		v := c.virtual(deadline)
		require.GreaterOrEqual(t, c.local(v), deadline, "%+v", c)
		require.Less(t, c.local(v-1), deadline, "%+v", c)
		require.LessOrEqual(t, c.local(v-1), c.local(v), "a clock never goes back")
	}
}
