package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// healed waits until every group is at full strength without the node, and
// tells how long that took from a moment on.
func (c *cluster) healed(victim *process, members int, since time.Time) time.Duration {
	c.t.Helper()
	c.eventually(func() bool {
		s := c.status()
		i := slices.IndexFunc(s.Nodes, func(n core.NodeStatus) bool { return n.Addr == victim.addr })
		for _, g := range s.Groups {
			if len(g.Chain) != members || g.State != core.GroupOK || slices.Contains(g.Chain, s.Nodes[i].ID) {
				return false
			}
		}
		return true
	}, "every group has %d members, and %s is none of them", members, victim.name)
	return time.Since(since)
}

// Whichever storage node is killed next, its group heals with a fresh one, and
// nothing that was acknowledged is ever lost. By the end no node of the first
// days is left.
func TestOneStorageNodeAfterTheOtherIsKilled(t *testing.T) {
	const kills, keys, members = 30, 200, 3
	c := startCluster(t, 7, "--replicas", "2")
	value := func(i int) string { return fmt.Sprintf("%10240d", i) }
	for i := range keys {
		c.put(fmt.Sprintf("key%d", i), value(i))
	}
	l := c.startLoad(6, "a", "b", "c", "d", "e", "f")
	random := rand.New(rand.NewPCG(4, 4))
	alive := slices.Clone(c.nodes)
	var times []time.Duration
	for range kills {
		l.grow(100)
		i := random.IntN(len(alive))
		victim := alive[i]
		at := victim.kill()
		alive[i] = c.add()
		times = append(times, c.healed(victim, members, at))
	}
	l.stop()
	for i := range keys {
		require.Equal(t, value(i), c.get(fmt.Sprintf("key%d", i)))
	}
	slices.Sort(times)
	t.Logf("%d kills: full strength again after %v (median), %v (most)", kills,
		times[kills/2].Round(time.Millisecond), times[kills-1].Round(time.Millisecond))
}

// A snapshot of the largest values arrives, though each chunk is far beyond what
// chunks mostly are.
func TestTheLargestValuesTravelInASnapshot(t *testing.T) {
	const keys = 10
	c := startCluster(t, 4, "--replicas", "2", "--spares", "1")
	value := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), core.ValueBytesMax) }
	for i := range keys {
		c.put(fmt.Sprintf("key%d", i), value(i))
	}
	victim := c.chain(1)[2]
	t.Logf("full strength again after %v", c.healed(victim, 3, victim.kill()).Round(time.Millisecond))
	for range 2 { // until only the node that joined is left
		epoch := c.status().Groups[0].Epoch
		c.chain(1)[0].kill()
		c.eventually(func() bool { return c.status().Groups[0].Epoch > epoch }, "the dead primary is replaced")
	}
	for i := range keys {
		require.Equal(t, value(i), c.get(fmt.Sprintf("key%d", i)))
	}
}

// More is written than the rate of a snapshot, by users who never rest. The group
// heals all the same, while they write.
func TestAGroupHealsUnderWritersThatNeverRest(t *testing.T) {
	const users, keys = 4, 20
	c := startCluster(t, 3, "--replicas", "1", "--spares", "1")
	for i := range keys {
		c.put(fmt.Sprint("key", i), "small")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan int, users)
	for user := range users {
		go func() {
			n := 0
			for value := make([]byte, 1<<19); ctx.Err() == nil; n++ {
				_, _ = c.client.Put(ctx, fmt.Sprint("key", (user*keys/users+n)%keys), value)
			}
			done <- n
		}()
	}
	time.Sleep(500 * time.Millisecond)
	victim := c.chain(1)[1]
	at := victim.kill()
	took := c.healed(victim, 2, at)
	stop()
	writes := 0
	for range users {
		writes += <-done
	}
	t.Logf("full strength again after %v, %d writes of half a MiB", took.Round(time.Millisecond), writes)
	require.Equal(t, "value", func() string { c.put("key0", "value"); return c.get("key0") }())
}

// SIGTERM after a drain takes nothing away: the group was never short.
func TestADrainedNodeIsStopped(t *testing.T) {
	c := startCluster(t, 4, "--replicas", "2", "--spares", "1")
	c.put("kept", "value")
	l := c.startLoad(4, "key", "other")
	l.grow(100)
	leaver := c.chain(1)[0]
	s := c.status()
	i := slices.IndexFunc(s.Nodes, func(n core.NodeStatus) bool { return n.Addr == leaver.addr })
	require.NoError(t, within(func(ctx context.Context) error { return c.client.Drain(ctx, s.Nodes[i].ID) }))
	s = c.status()
	require.Len(t, s.Groups[0].Chain, 3)
	require.NotContains(t, s.Groups[0].Chain, s.Nodes[i].ID)
	epoch := s.Groups[0].Epoch
	leaver.signal(syscall.SIGTERM)
	require.Zero(t, leaver.exitCode())
	l.grow(100)
	l.stop()
	require.Equal(t, epoch, c.status().Groups[0].Epoch, "nobody misses it")
	require.Equal(t, "value", c.get("kept"))

	unknown := within(func(ctx context.Context) error { return c.client.Drain(ctx, 12345) })
	require.ErrorIs(t, unknown, netrpc.ErrNotFound)
	s = c.status()
	refused := within(func(ctx context.Context) error { return c.client.Drain(ctx, s.Groups[0].Chain[0]) })
	require.ErrorIs(t, refused, netrpc.ErrUnavailable)
	require.ErrorContains(t, refused, "no spare can take its place")
	require.Equal(t, s.Groups, c.status().Groups, "nothing is changed")
}

// BenchmarkHealing kills a replica of a group of so many MiB, in values of
// 1 KiB, while 16 users put and get, and measures how long it takes until the
// group is at full strength again, how fast the snapshot streams, and the users'
// latency without and with the transfer (without the pause at the failure itself):
//
//	go test ./cmd/node -run '^$' -bench Healing -benchtime 1x
func BenchmarkHealing(b *testing.B) {
	for _, size := range []int{1, 16, 128, 512} {
		b.Run(fmt.Sprintf("MiB=%d", size), func(b *testing.B) {
			c := startCluster(b, 4, "--replicas", "2", "--spares", "1")
			fill(b, c, size)
			for range b.N {
				l := newMeter(c, 16)
				time.Sleep(2 * time.Second)
				before := l.take()
				victim := c.chain(1)[2]
				at := victim.kill()
				c.eventually(func() bool { return len(c.status().Groups[0].Chain) == 2 }, "the dead replica is dropped")
				l.take() // the failure's own pause
				short := time.Now()
				c.healedSoon(victim, 3)
				healed := time.Now()
				during := l.take()
				l.stop()
				c.add()
				b.ReportMetric(healed.Sub(at).Seconds(), "s/healed")
				b.ReportMetric(float64(size)/healed.Sub(short).Seconds(), "MiB/s")
				b.ReportMetric(before.p99.Seconds()*1e3, "ms-p99-before")
				b.ReportMetric(during.p99.Seconds()*1e3, "ms-p99-during")
				b.ReportMetric(before.rate, "ops/s-before")
				b.ReportMetric(during.rate, "ops/s-during")
			}
		})
	}
}

// fill puts so many MiB into the first group.
func fill(tb testing.TB, c *cluster, mebibytes int) {
	var wg sync.WaitGroup
	var next atomic.Int64
	value := make([]byte, 1<<10)
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(mebibytes)<<10; i = next.Add(1) {
				err := within(func(ctx context.Context) error {
					_, err := c.client.Put(ctx, fmt.Sprintf("key%d", i), value)
					return err
				})
				if err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// healedSoon waits, with more patience than a test, until a group is at full
// strength without the node.
func (c *cluster) healedSoon(victim *process, members int) {
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		s := c.status()
		i := slices.IndexFunc(s.Nodes, func(n core.NodeStatus) bool { return n.Addr == victim.addr })
		if g := s.Groups[0]; len(g.Chain) == members && !slices.Contains(g.Chain, s.Nodes[i].ID) {
			return
		}
	}
	c.t.Fatal("the group does not heal")
}

// meter is users whose operations are timed.
type meter struct {
	quit chan struct{}
	wg   sync.WaitGroup

	mu    sync.Mutex
	since time.Time
	took  []time.Duration
}

type measured struct {
	p99  time.Duration
	rate float64 // operations a second
}

// newMeter starts users who put and get, by turns, at a steady pace that the
// cluster can keep.
func newMeter(c *cluster, users int) *meter {
	m := &meter{quit: make(chan struct{}), since: time.Now()}
	for u := range users {
		m.wg.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			key := fmt.Sprintf("key%d", u+1)
			for i := 0; ; i++ {
				select {
				case <-m.quit:
					return
				case <-tick.C:
				}
				begin := time.Now()
				err := within(func(ctx context.Context) error {
					var err error
					if i%2 == 0 {
						_, err = c.client.Get(ctx, key)
					} else {
						_, err = c.client.Put(ctx, key, make([]byte, 100))
					}
					return err
				})
				if err != nil {
					c.t.Error(err)
					return
				}
				m.mu.Lock()
				m.took = append(m.took, time.Since(begin))
				m.mu.Unlock()
			}
		})
	}
	return m
}

// take returns what was measured since the last time.
func (m *meter) take() measured {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.took) == 0 {
		return measured{}
	}
	slices.Sort(m.took)
	r := measured{m.took[len(m.took)*99/100], float64(len(m.took)) / time.Since(m.since).Seconds()}
	m.took, m.since = nil, time.Now()
	return r
}

func (m *meter) stop() {
	close(m.quit)
	m.wg.Wait()
}
