package main

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkManagerFailover ends the leading one of three managers, again and again, while keys
// that are mapped are read and written, and measures the time until a put of a new key is
// acknowledged after it:
//
//	go test ./cmd/node -run '^$' -bench ManagerFailover -benchtime 20x
func BenchmarkManagerFailover(b *testing.B) {
	for _, mode := range []string{"memory", "dir"} {
		for name, signal := range map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP} {
			b.Run(mode+"/"+name, func(b *testing.B) {
				dir := ""
				if mode == "dir" {
					dir = b.TempDir()
				}
				c := startCouncil(b, dir, 3, 3, "--replicas", "2")
				l := c.startLoad(2, keysOf(0)...)
				l.grow(100)
				var took []time.Duration
				for i := range b.N {
					leader := c.leads()
					at := time.Now()
					leader.signal(signal)
					c.put(fmt.Sprint("new key ", i), "")
					took = append(took, time.Since(at))
					if signal == syscall.SIGSTOP {
						leader.signal(syscall.SIGCONT)
					} else {
						leader.end()
						c.restart(leader)
					}
					require.Eventually(b, func() bool { return c.agree(3) }, wholeMost, 5*time.Millisecond, "three managers agree")
					time.Sleep(time.Second) // nothing is left to be done for the last round
				}
				l.stop()
				report(b, took)
			})
		}
	}
}

// BenchmarkLeaderAndPrimary kills the leading one of three managers and the primary of a group
// together under load, again and again, and measures the time until the first write on a key of
// that group is acknowledged in a later epoch. No operation may fail:
//
//	go test ./cmd/node -run '^$' -bench LeaderAndPrimary -benchtime 50x -timeout 1h
func BenchmarkLeaderAndPrimary(b *testing.B) {
	for _, mode := range []string{"memory", "dir"} {
		b.Run(mode, func(b *testing.B) {
			dir := ""
			if mode == "dir" {
				dir = b.TempDir()
			}
			c := startCouncil(b, dir, 3, 5, "--replicas", "2", "--spares", "2")
			c.put("key", "")
			l := c.startLoad(6, keysOf(0)...)
			var took []time.Duration
			for range b.N {
				time.Sleep(2 * time.Second) // a cluster that is just starting gives a node more time
				l.grow(100)
				took = append(took, c.failBoth(l))
			}
			l.stop()
			report(b, took)
		})
	}
}

// failBoth kills the leading manager and the primary of the first group, and has both back.
func (c *council) failBoth(l *load) time.Duration {
	leader, primary := c.leads(), c.chain(1)[0]
	epoch := c.status().Groups[0].Epoch
	m := c.all[slices.IndexFunc(c.all, func(m *member) bool { return m.process == primary })]
	at := leader.kill()
	primary.kill()
	took := l.firstWriteAfter(at, epoch, 1)
	leader.end()
	m.end()
	c.restart(leader)
	c.again(m)
	c.whole(1, 3)
	require.Eventually(c.t, func() bool { return c.agree(3) }, wholeMost, 5*time.Millisecond, "three managers agree")
	return took
}

// report gives the median and the most of some times, and the rank below which nine in ten are.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for name, at := range map[string]int{"ms-median": len(took) / 2, "ms-90th": len(took) * 9 / 10, "ms-most": len(took) - 1} {
		b.ReportMetric(float64(took[at].Microseconds())/1e3, name)
	}
	b.Logf("%v", took)
}
