package sim_test

import (
	"fmt"
	"testing"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
)

// steady is the stated workload of the simulator's benchmark: one group of
// three, no faults, four clients that do 50 % gets and 50 % puts on four keys,
// each of them four at a time, without a pause.
func steady(mode bool, reads core.ReadMode, operations int) *schedule.Schedule {
	s := &schedule.Schedule{Shape: schedule.DefaultShape()}
	s.Shape.Nodes, s.Shape.Replicas, s.Shape.Clients, s.Shape.Width = 3, 2, 4, 4
	s.Shape.Durable, s.Shape.Reads, s.Shape.Seed = mode, reads, 1
	s.Shape.LatencyMin, s.Shape.LatencyMax = 200*time.Microsecond, 400*time.Microsecond
	s.Shape.SyncLatency = 500 * time.Microsecond
	for i := range operations {
		a := schedule.Action{At: 10 * time.Millisecond, Verb: schedule.VerbGet, Host: fmt.Sprintf("c%d", 1+i%4), Key: string(rune('a' + i/4%4))}
		if i/2%2 == 0 {
			a.Verb, a.Value = schedule.VerbPut, fmt.Sprintf("v%d", i)
		}
		s.Actions = append(s.Actions, a)
	}
	return s
}

// report gives a benchmark of runs its figures, by event: a Step or a Tick.
func report(b *testing.B, events, operations int, virtual time.Duration) {
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(events)/seconds, "events/s")
	b.ReportMetric(float64(operations)/seconds, "ops/s")
	b.ReportMetric(virtual.Seconds()/seconds, "virtual-s/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSteady measures the simulator with the invariants on and without the
// check of linearizability, on one core; of its events at least half are Op, Replicate or Ack.
func BenchmarkSteady(b *testing.B) {
	for _, bc := range []struct {
		name  string
		mode  bool
		reads core.ReadMode
	}{{"memory/confirm", false, core.ReadConfirm}, {"memory/lease", false, core.ReadLease}, {"durable/confirm", true, core.ReadConfirm}} {
		b.Run(bc.name, func(b *testing.B) {
			s := steady(bc.mode, bc.reads, 4000)
			if err := s.Validate(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var events, operations, main int
			var virtual time.Duration
			for b.Loop() {
				out := check.RunWith(s, sim.RunOptions{SkipLinearizability: true})
				if out.Violation != nil {
					b.Fatal(out.Violation)
				}
				events += out.Events
				operations += len(out.Ops)
				virtual += out.Virtual
				main += out.EventsByKind[core.KindOp] + out.EventsByKind[core.KindReplicate] + out.EventsByKind[core.KindAck]
			}
			if 2*main < events {
				b.Fatalf("%d of %d events are Op, Replicate or Ack: not what is to be measured", main, events)
			}
			report(b, events, operations, virtual)
			b.ReportMetric(float64(main)/float64(events), "main/event")
			b.ReportMetric(float64(events)/float64(b.N), "events/op")
		})
	}
}

// BenchmarkFuzz measures whole schedules as the properties draw them, every
// check included.
func BenchmarkFuzz(b *testing.B) {
	b.ReportAllocs()
	var events, operations, n int
	var virtual, lin time.Duration
	for b.Loop() {
		out := check.Run(generate.Schedule(generate.NewSource(uint64(n))))
		n++
		if out.Violation != nil {
			b.Fatal(out.Violation)
		}
		events += out.Events
		operations += len(out.Ops)
		virtual += out.Virtual
		lin += out.Lin
	}
	report(b, events, operations, virtual)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "schedules/s")
	b.ReportMetric(lin.Seconds()/b.Elapsed().Seconds(), "linearizable-s/s")
}
