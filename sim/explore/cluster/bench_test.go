package cluster

import (
	"context"
	"testing"

	"gtstore/sim/explore"
)

// BenchmarkExplore searches a scenario on one core. Most successors are put together of what
// is known of single hosts; worked-out/s counts the others, for which the core ran.
func BenchmarkExplore(b *testing.B) {
	for _, name := range []string{"two-writers-of-three", "rejoin-late-chunk"} {
		b.Run(name, func(b *testing.B) {
			s, err := Load("../../../traces/explore/" + name + Suffix)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				m, err := New(s)
				if err != nil {
					b.Fatal(err)
				}
				r, err := explore.Search(context.Background(), m, explore.Options{Workers: 1})
				if err != nil || !r.Complete {
					b.Fatal(r, err)
				}
				b.ReportMetric(float64(r.Generated)/r.Elapsed.Seconds(), "generated/s")
				b.ReportMetric(float64(m.edges.len())/r.Elapsed.Seconds(), "worked-out/s")
				b.ReportMetric(float64(r.Memory)/float64(r.States), "B/state")
			}
		})
	}
}
