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
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms-median")
				b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "ms-most")
			})
		}
	}
}
