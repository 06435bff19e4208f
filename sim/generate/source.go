package generate

import (
	"math/bits"
	"math/rand/v2"
)

// A Source draws the choices from which a schedule is made. A smaller number stands for
// a simpler choice, so a source that shrinks its numbers towards 0 makes the schedule
// simpler.
type Source interface {
	// Intn draws a number in [0, n), with n at least 1. The label says what for.
	Intn(label string, n int) int
}

// NewSource is a Source that draws uniformly. A seed gives the same numbers with every
// version of Go: the algorithm is PCG-DXSM, and the reduction to a range is our own.
func NewSource(seed uint64) Source {
	return &pcgSource{rand.NewPCG(seed, 0x9e3779b97f4a7c15)}
}

type pcgSource struct{ pcg *rand.PCG }

func (s *pcgSource) Intn(label string, n int) int {
	if n < 1 {
		panic("sim: a draw from an empty range: " + label)
	}
	hi, _ := bits.Mul64(s.pcg.Uint64(), uint64(n))
	return int(hi)
}
