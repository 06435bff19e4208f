package core

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever came, went and was put off, the calls that are due are those that a look at
// every call finds, oldest first.
func TestTheCallsThatAreDueAreFoundOldestFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var timed calls
	var plain []*call // the same, oldest first
	for n := range uint64(20_000) {
		now := Time(n)
		switch i := random.IntN(len(plain) + 1); {
		case i == len(plain) || random.IntN(3) == 0:
			c := &call{number: n, dueAt: now + Time(random.IntN(500))}
			heap.Push(&timed, c)
			plain = append(plain, c)
		case random.IntN(2) == 0:
			timed.remove(plain[i])
			plain = slices.Delete(plain, i, i+1)
		default:
			plain[i].dueAt = now + Time(random.IntN(500))
			timed.moved(plain[i])
		}
		due, next := []*call(nil), Never
		for _, c := range plain {
			if c.dueAt <= now {
				due = append(due, c)
			}
			next = min(next, c.dueAt)
		}
		require.Equal(t, due, timed.due(now))
		require.Equal(t, next, timed.next())
		require.Equal(t, plain, timed.all())
	}
}
