package core

import (
	"fmt"
	"testing"
	"time"
)

// carry has a node take in a message, then Tick while that is due, and returns the Output.
func carry(n Node, now Time, out *Output, e Envelope) {
	n.Step(now, e, out)
	for n.Deadline() <= now {
		n.Tick(now, out)
	}
}

// BenchmarkClientCalls measures an operation of a client that always has as many under
// way: the call, its reply, and a Tick. The reply is to the call that waits for longest.
func BenchmarkClientCalls(b *testing.B) {
	for _, calls := range []int{1, 64, 1024, 16384} {
		b.Run(fmt.Sprint(calls), func(b *testing.B) {
			c, err := NewClient(ClientOptions{Self: peerOf("c1"), Manager: peerOf("m"), Seed: 1})
			if err != nil {
				b.Fatal(err)
			}
			var out Output
			now, asked, answered := Time(time.Hour), uint64(0), uint64(0)
			call := func() {
				asked++
				carry(c, now, &out, Envelope{Body: &Call{ID: asked, Kind: OpGet, Key: "k", Timeout: 5 * time.Second}})
			}
			call()
			carry(c, now, &out, Envelope{rigCluster, peerOf("m"), peerOf("c1"), &LookupReply{Placement: PlacementKey, Req: 1, Status: StatusOK, Config: config(1, "n1", "n2")}})
			for int(asked) < calls {
				call()
			}
			out.Reset()
			b.ReportAllocs()
			for b.Loop() {
				now = now.After(time.Microsecond)
				answered++
				carry(c, now, &out, Envelope{rigCluster, peerOf("n1"), peerOf("c1"), &Reply{Group: 1, Req: answered << 1, Status: StatusNotFound, Epoch: 1}})
				call()
				c.Tick(now, &out)
				out.Reset()
			}
			if c.Calls() != calls {
				b.Fatalf("%d calls under way, want %d", c.Calls(), calls)
			}
		})
	}
}

// BenchmarkNewKey measures all that a manager does for a new key, in a cluster of groups
// with a few spares: the lookup, the command, and the reply.
func BenchmarkNewKey(b *testing.B) {
	for _, nodes := range []int{100, 1000, 3000, 4000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			s := newSwarm(nodes, func(o *ManagerOptions) { o.Spares = nodes / 100 })
			b.ReportAllocs()
			for b.Loop() {
				s.newKey()
				if s.key%1000 == 0 {
					b.StopTimer()
					s.run(time.Millisecond)
					b.StartTimer()
				}
			}
			if s.sent[KindLookupReply] < s.key {
				b.Fatalf("%d answers to %d lookups", s.sent[KindLookupReply], s.key)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

// BenchmarkPingRound measures what a round of pings costs a manager, with all answers.
func BenchmarkPingRound(b *testing.B) {
	for _, nodes := range []int{100, 1000, 4000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			s := newSwarm(nodes, func(o *ManagerOptions) { o.Spares = nodes / 100 })
			s.count()
			for b.Loop() {
				s.run(s.m.opt.PingInterval)
			}
			b.ReportMetric(float64(s.cost.Microseconds())/float64(b.N), "µs/round")
			b.ReportMetric(float64(s.cost.Nanoseconds())/float64(b.N)/float64(nodes), "ns/round/node")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkDeaths measures what it costs a manager that a part of its nodes falls silent at
// once, over the three seconds from then on. Spares for a hundredth are there.
func BenchmarkDeaths(b *testing.B) {
	for _, permille := range []int{10, 100, 300, 600} {
		for _, nodes := range []int{100, 1000, 4000} {
			b.Run(fmt.Sprintf("%.0f%%/%d", float64(permille)/10, nodes), func(b *testing.B) {
				var cost, most time.Duration
				var probes int
				for b.Loop() {
					s := newSwarm(nodes, func(o *ManagerOptions) { o.Spares = nodes / 100 })
					for i := range nodes {
						if i*permille%1000 < permille {
							s.dead[swarmPeer(i).ID] = true
						}
					}
					s.count()
					s.run(3 * time.Second)
					cost, most, probes = cost+s.cost, max(most, s.most), probes+s.sent[KindProbe]
				}
				b.ReportMetric(cost.Seconds()*1000/3/float64(b.N), "ms/s")
				b.ReportMetric(most.Seconds()*1000, "worst-ms")
				b.ReportMetric(float64(probes)/3/float64(b.N), "probes/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
