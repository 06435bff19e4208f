package core

import (
	"fmt"
	"testing"
)

// trio is a group of three with a handful of entries, as its primary or as a replica.
func trio(t *testing.T, primary bool) *rig {
	if !primary {
		n := following(t, "n2", config(1, "n1", "n2", "n3"))
		entries := []Entry{opened(1)}
		for i := range uint64(5) {
			entries = append(entries, wrote(1, i+1, fmt.Sprintf("k%d", i%3), "v"))
		}
		n.step("n1", replicate(1, 1, EntryID{}, 6, entries...))
		return n
	}
	n := serving(t, config(1, "n1", "n2", "n3"))
	for i := range uint64(5) {
		n.step("c1", put(2+i, 1, 1+i, fmt.Sprintf("k%d", i%3), "v"))
		n.answer("n2", "n3")
	}
	return n
}

// benched are the nodes that the benchmarks copy and encode.
var benched = []struct {
	name  string
	build func(t *testing.T) *rig
}{
	{"primary", func(t *testing.T) *rig { return trio(t, true) }},
	{"replica", func(t *testing.T) *rig { return trio(t, false) }},
	{"manager", func(t *testing.T) *rig { return grouped(t).rig }},
	{"client", func(t *testing.T) *rig { return moreStates["a client whose calls back off"](t) }},
}

func BenchmarkClone(b *testing.B) {
	for _, c := range benched {
		b.Run(c.name, func(b *testing.B) {
			n := c.build(new(testing.T)).node
			b.ReportAllocs()
			for b.Loop() {
				copyOf(n)
			}
		})
	}
}

func BenchmarkAppendState(b *testing.B) {
	for _, c := range benched {
		b.Run(c.name, func(b *testing.B) {
			n := c.build(new(testing.T))
			s, now, buf := n.node.(stateful), n.now, []byte(nil)
			b.ReportAllocs()
			for b.Loop() {
				buf = s.AppendState(buf[:0], now)
			}
			b.ReportMetric(float64(len(buf)), "bytes")
		})
	}
}
