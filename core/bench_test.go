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
			carry(c, now, &out, Envelope{rigCluster, peerOf("m"), peerOf("c1"), &LookupReply{Req: 1, Status: StatusOK, Config: config(1, "n1", "n2")}})
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
