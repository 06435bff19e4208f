package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueueOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	type key struct {
		at       int64
		tie      uint32
		inserted uint64
	}
	var q queue
	var want, got []key
	n := uint64(0)
	pop := func() {
		e := q.pop()
		got = append(got, key{e.at, uint32(e.order >> 32), q.items[e.slot].number})
		q.release(e.slot)
	}
	for range 200 {
		base := int64(0)
		if len(got) > 0 {
			base = got[len(got)-1].at + 1 // a run never adds to the past
		}
		for range r.IntN(50) {
			k := key{base + r.Int64N(20), r.Uint32N(3), n}
			q.push(k.at, k.tie).number = n
			want = append(want, k)
			n++
		}
		for range r.IntN(50) {
			if len(q.heap) > 0 {
				pop()
			}
		}
	}
	for len(q.heap) > 0 {
		pop()
	}
	require.EqualValues(t, never, q.nextAt())
	require.Len(t, got, len(want))
	for i := 1; i < len(got); i++ {
		if got[i-1].at == got[i].at && got[i-1].tie == got[i].tie {
			require.Less(t, got[i-1].inserted, got[i].inserted)
		}
	}
	slices.SortFunc(want, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.tie, b.tie), cmp.Compare(a.inserted, b.inserted))
	})
	slices.SortStableFunc(got, func(a, b key) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.tie, b.tie)) })
	require.Equal(t, want, got)
	require.LessOrEqual(t, len(q.items), 2000, "slots are used again")
}
