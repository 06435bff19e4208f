package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkFailover ends the primary of a group of three under load, again and again, and
// measures the time until the first write is acknowledged after it:
//
//	go test ./cmd/node -run '^$' -bench Failover -benchtime 20x
func BenchmarkFailover(b *testing.B) {
	for _, mode := range []string{"memory", "dir"} {
		for _, reads := range []string{"confirm", "lease"} {
			for name, signal := range map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP} {
				b.Run(fmt.Sprintf("%s/%s/%s", mode, reads, name), func(b *testing.B) {
					dir := ""
					if mode == "dir" {
						dir = b.TempDir()
					}
					d := startIn(b, dir, 3, "--replicas", "2", "--reads", reads)
					d.put("key", "value")
					d.whole(1, 3)
					l := d.startLoad(6, keysOf(0)...)
					var took []time.Duration
					for range b.N {
						l.grow(100)
						took = append(took, d.failover(l, signal))
					}
					l.stop()
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms-median")
					b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "ms-most")
				})
			}
		}
	}
}

// failover ends the primary, and has it back.
func (d *durable) failover(l *load, signal syscall.Signal) time.Duration {
	epoch := d.status().Groups[0].Epoch
	primary := d.chain(1)[0]
	m := d.all[slices.IndexFunc(d.all, func(m *member) bool { return m.process == primary })]
	at := time.Now()
	primary.signal(signal)
	took := l.firstWriteAfter(at, epoch, 1)
	if signal == syscall.SIGSTOP {
		primary.signal(syscall.SIGCONT)
	} else {
		m.end()
		d.again(m)
	}
	d.whole(1, 3)
	return took
}

// BenchmarkRestart kills a node with so many keys of 16 bytes and values of 100, starts it
// again, and measures the time until it listens and until it has answered a get:
//
//	go test ./cmd/node -run '^$' -bench Restart -benchtime 3x -timeout 1h
func BenchmarkRestart(b *testing.B) {
	for _, keys := range []int{1e4, 1e5, 1e6} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			d := startDurable(b, 1, "--replicas", "0")
			d.fillKeys(keys)
			var listens, serves []time.Duration
			for range b.N {
				m := d.all[1]
				m.end()
				begin := time.Now()
				d.again(m)
				listens = append(listens, time.Since(begin))
				d.get(fmt.Sprintf("key%013d", 1))
				serves = append(serves, time.Since(begin))
			}
			slices.Sort(listens)
			slices.Sort(serves)
			b.ReportMetric(listens[len(listens)/2].Seconds(), "s-listens")
			b.ReportMetric(serves[len(serves)/2].Seconds(), "s-serves")
		})
	}
}

// fillKeys puts so many keys.
func (d *durable) fillKeys(keys int) {
	d.t.Helper()
	var next, failed atomic.Int64
	value := make([]byte, 100)
	var all sync.WaitGroup
	for range 512 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(keys); i = next.Add(1) {
				err := within(func(ctx context.Context) error {
					_, err := d.client.Put(ctx, fmt.Sprintf("key%013d", i), value)
					return err
				})
				if err != nil {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.Zero(d.t, failed.Load())
}
