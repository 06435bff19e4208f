package sim

import (
	"math"
	"math/bits"
	"time"

	"gtstore/core"
	"gtstore/sim/schedule"
)

// never is the virtual time that no run reaches.
const never = math.MaxInt64

// clockOrigin is what every true clock shows at virtual time 0. It keeps clocks
// with a negative offset above 0, where a core keeps "not yet".
const clockOrigin = 24 * time.Hour

const million = 1_000_000

// hostClock turns virtual time, in nanoseconds from the start of the run, into
// what a host's own clock shows, and back. All in integers: floats would make
// a run depend on the machine.
type hostClock struct {
	origin int64
	rate   uint64 // local nanoseconds in a million virtual ones
}

func newClock(c schedule.Clock) hostClock {
	return hostClock{origin: int64(clockOrigin + c.Offset), rate: uint64(million + c.PPM)}
}

// local returns what the clock shows at virtual time v, which is not negative.
func (c hostClock) local(v int64) core.Time {
	if c.rate == million {
		return core.Time(c.origin + v)
	}
	hi, lo := bits.Mul64(uint64(v), c.rate)
	q, _ := bits.Div64(hi, lo, million)
	return core.Time(c.origin + int64(q))
}

// virtual returns the smallest virtual time at which the clock shows at least
// t, or never. Rounding down instead would wake a host before its deadline, and
// a core that then finds nothing due would be woken again for ever.
func (c hostClock) virtual(t core.Time) int64 {
	if t == core.Never {
		return never
	}
	need := int64(t) - c.origin
	switch {
	case need <= 0:
		return 0
	case c.rate == million:
		return need
	}
	hi, lo := bits.Mul64(uint64(need), million)
	lo, carry := bits.Add64(lo, c.rate-1, 0)
	hi += carry
	if hi >= c.rate {
		return never
	}
	q, _ := bits.Div64(hi, lo, c.rate)
	return int64(min(q, never))
}
