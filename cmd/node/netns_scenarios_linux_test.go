package main

import (
	"context"
	"fmt"
	"net"
	"os"
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

// scenario is what is done to a cluster, and what must hold.
type scenario struct {
	name string
	run  func(t *testing.T, n *network)
}

// A cluster of the scenarios: two groups of three, and a spare.
const (
	netNodes   = 7
	netGroups  = 2
	netMembers = 3
)

var scenarios = slices.Concat(hiccups(), []scenario{
	{"drop-25ms", droppedForAMoment},
	{"loss-1", lossy(1)},
	{"loss-5", lossy(5)},
	{"large-puts", largePuts},
	{"round-trip-76ms", roundTrip(76 * time.Millisecond)},
	{"round-trip-150ms", roundTrip(150 * time.Millisecond)},
	{"round-trip-300ms", roundTrip(300 * time.Millisecond)},
	{"loss-30", heavyLoss},
	{"silent", silentConnections},
	{"manager-refused", managerRefused},
	{"kill", primaryGone(50*time.Millisecond, 10*time.Millisecond, killed)},
	{"stop", primaryGone(500*time.Millisecond, 500*time.Millisecond, stopped)},
	{"partition", primaryGone(500*time.Millisecond, 500*time.Millisecond, partitioned)},
	{"overload", overload},
	{"managers", managersInNet},
})

// formed starts a cluster of the usual size.
func formed(n *network) *netCluster {
	n.t.Helper()
	c := n.start(netNodes, "--replicas", fmt.Sprint(netMembers-1))
	c.form(netGroups, netMembers)
	return c
}

// netKeys are many, so that the histories of one key stay short.
func netKeys() (list []string) {
	for i := range 48 {
		list = append(list, fmt.Sprintf("key%d", i))
	}
	return list
}

func (c *netCluster) users(count int) *load {
	l := c.startLoad(count, netKeys()...)
	l.grow(10 * count)
	return l
}

// hiccups: a process that stands still for a moment is not evicted.
func hiccups() (list []scenario) {
	for i, role := range []string{"primary", "replica"} {
		for _, ms := range []int{60, 120, 180, 240} {
			list = append(list, scenario{fmt.Sprintf("pause-%s-%dms", role, ms), func(t *testing.T, n *network) {
				c := formed(n)
				l := c.users(4)
				rounds, bad := number("GTSTORE_ROUNDS", 20), 0
				for range rounds {
					before := c.evictions()
					victim := c.chain(1)[i]
					victim.signal(syscall.SIGSTOP)
					time.Sleep(time.Duration(ms) * time.Millisecond)
					victim.signal(syscall.SIGCONT)
					time.Sleep(700 * time.Millisecond)
					if c.evictions() > before {
						bad++
						c.fullStrength(netGroups, netMembers, patience)
					}
				}
				l.stop()
				t.Logf("FIGURES %s paused for %d ms: %d of %d times with an eviction", role, ms, bad, rounds)
				c.noneEvicted()
			}})
		}
	}
	return list
}

// droppedForAMoment: packets between a primary and a replica are dropped for 25
// ms, one way and the other in turn, and then both.
func droppedForAMoment(t *testing.T, n *network) {
	c := formed(n)
	l := c.users(4)
	rounds, bad := number("GTSTORE_ROUNDS", 20), 0
	for round := range rounds {
		before := c.evictions()
		chain := c.chain(1)
		at, from := c.host(chain[1]), c.host(chain[0])
		if round%3 == 1 {
			at, from = from, at
		}
		rules := []string{"INPUT -s " + address(from)}
		if round%3 == 2 {
			rules = append(rules, "OUTPUT -d "+address(from))
		}
		script := ""
		for _, r := range rules {
			script += "iptables -w -A " + r + " -j DROP; "
		}
		script += "sleep 0.025; "
		for _, r := range rules {
			script += "iptables -w -D " + r + " -j DROP; "
		}
		n.in(at, script)
		time.Sleep(700 * time.Millisecond)
		if c.evictions() > before {
			bad++
			c.fullStrength(netGroups, netMembers, patience)
		}
	}
	l.stop()
	t.Logf("FIGURES dropped for 25 ms: %d of %d times with an eviction", bad, rounds)
	c.noneEvicted()
}

// lose has every host lose packets that come to it.
func (n *network) lose(percent int) {
	n.everywhere(fmt.Sprintf("iptables -w -A INPUT -i eth0 -m statistic --mode random --probability %.2f -j DROP", float64(percent)/100))
}

func (n *network) loseNoMore() { n.everywhere("iptables -w -F INPUT") }

// lossy: packets are lost all the time.
func lossy(percent int) func(t *testing.T, n *network) {
	return func(t *testing.T, n *network) {
		c := formed(n)
		l := c.users(4)
		begin := time.Now()
		n.lose(percent)
		time.Sleep(seconds(60))
		n.loseNoMore()
		end := time.Now()
		l.stop()
		t.Logf("FIGURES %d%% lost for %v: longest time without a write %v, %d evictions", percent, seconds(60), l.gap(begin, end).Round(time.Millisecond), c.evictions())
		c.fullStrength(netGroups, netMembers, patience)
		c.noneEvicted()
	}
}

// largePuts: values of 1 MiB over 100 Mbit/s, one at a time and then several.
func largePuts(t *testing.T, n *network) {
	n.everywhere("tc qdisc add dev eth0 root tbf rate 100mbit burst 128kb latency 50ms")
	c := formed(n)
	value := strings.Repeat("v", core.ValueBytesMax)
	var took []time.Duration
	for i := range number("GTSTORE_ROUNDS", 20) {
		begin := time.Now()
		c.put(fmt.Sprintf("large%d", i%10), value)
		took = append(took, time.Since(begin))
		time.Sleep(200 * time.Millisecond)
	}
	alone := c.evictions()
	var wg sync.WaitGroup
	for u := range 4 {
		wg.Go(func() {
			for i := range number("GTSTORE_ROUNDS", 20) {
				err := within(func(ctx context.Context) error {
					_, err := c.client.Put(ctx, fmt.Sprintf("large%d", (u+i)%10), []byte(value))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, value, c.get("large1"))
	slices.Sort(took)
	t.Logf("FIGURES puts of 1 MiB at 100 Mbit/s: median %v, most %v; %d evictions with one at a time, %d more with four",
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), alone, c.evictions()-alone)
	c.noneEvicted()
}

// roundTrip: a cluster over distances works, and survives the end of a primary.
func roundTrip(d time.Duration) func(t *testing.T, n *network) {
	return func(t *testing.T, n *network) {
		n.delay(d / 2)
		c := formed(n)
		l := c.users(4)
		time.Sleep(seconds(10))
		victim := c.chain(1)[0]
		c.excuse(victim)
		epoch := c.status().Groups[0].Epoch
		at := victim.kill()
		first := l.firstWriteAfter(at, epoch, 1)
		time.Sleep(seconds(10))
		l.stop()
		full := c.fullStrength(netGroups, netMembers, patience)
		t.Logf("FIGURES round trip %v: first write %v after the kill, full strength %v after the load; %d evictions", d,
			first.Round(time.Millisecond), full.Round(time.Millisecond), c.evictions())
		c.noneEvicted()
	}
}

// heavyLoss: nothing is promised while a third of all packets is lost, but the
// groups come back to full strength soon after.
func heavyLoss(t *testing.T, n *network) {
	c := formed(n)
	l := c.users(4)
	n.lose(30)
	time.Sleep(seconds(30))
	n.loseNoMore()
	end := time.Now()
	full := c.fullStrength(netGroups, netMembers, 25*time.Second)
	gap := l.gap(end, time.Now())
	l.finish()
	t.Logf("FIGURES 30%% lost for %v: full strength after %v, longest time without a write meanwhile %v; %d evictions during the loss",
		seconds(30), full.Round(time.Millisecond), gap.Round(time.Millisecond), c.evictions())
}

// silentConnections: every connection that there is goes silent, without a reset;
// new ones work.
func silentConnections(t *testing.T, n *network) {
	c := formed(n)
	l := c.users(4)
	var gaps []time.Duration
	for range number("GTSTORE_ROUNDS", 3) {
		time.Sleep(2 * time.Second)
		begin := time.Now()
		cut := 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, h := range hosts() {
			wg.Go(func() {
				rules := silentRules(n.in(h, "ss -Htn state established"))
				n.in(h, "iptables-restore -w -n <<'EOF'\n*filter\n"+strings.Join(rules, "\n")+"\nCOMMIT\nEOF")
				mu.Lock()
				defer mu.Unlock()
				cut += len(rules)
			})
		}
		wg.Wait()
		t.Logf("%d ends of connections cut, in %v", cut, time.Since(begin).Round(time.Millisecond))
		time.Sleep(6 * time.Second)
		gap := l.gap(begin, time.Now())
		gaps = append(gaps, gap.Round(time.Millisecond))
		if gap > 2*time.Second {
			t.Errorf("%v without an acknowledged write in a group", gap)
		}
	}
	l.stop()
	t.Logf("FIGURES silent connections: longest times without a write %v, %d evictions", gaps, c.evictions())
}

// silentRules drop what comes on the connections that ss told of.
func silentRules(ss string) (rules []string) {
	for line := range strings.Lines(ss) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		host, port, err := net.SplitHostPort(f[2])
		peer, peerPort, err2 := net.SplitHostPort(f[3])
		if err == nil && err2 == nil {
			rules = append(rules, fmt.Sprintf("-A INPUT -p tcp -s %s --sport %s -d %s --dport %s -j DROP", peer, peerPort, host, port))
		}
	}
	return rules
}

// managerRefused: for five seconds the manager's own side refuses every
// connection, to it and from it.
func managerRefused(t *testing.T, n *network) {
	c := formed(n)
	for i := range 100 {
		c.put(fmt.Sprintf("kept%d", i), fmt.Sprint(i))
	}
	l := c.users(4)
	for range number("GTSTORE_ROUNDS", 1) {
		n.in(managerHost, `for chain in INPUT OUTPUT; do # but the resets themselves pass
			iptables -w -A $chain -p tcp ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset
			done`)
		time.Sleep(5 * time.Second)
		n.in(managerHost, "iptables -w -F")
		full := c.fullStrength(netGroups, netMembers, patience)
		time.Sleep(3 * time.Second)
		t.Logf("FIGURES manager refused for 5 s: full strength %v after it, %d evictions", full.Round(time.Millisecond), c.evictions())
	}
	select {
	case <-c.manager.exited:
		t.Errorf("the manager ended")
	default:
	}
	counts := l.finish()
	require.Zero(t, counts[core.StatusGroupLost], "no group is lost")
	for i := range 100 {
		require.Equal(t, fmt.Sprint(i), c.get(fmt.Sprintf("kept%d", i)))
	}
	c.put("a new key", "value")
}

// The ways in which a primary is gone. Each returns when, and how it comes back.

func killed(c *netCluster, p *process) (at time.Time, back func()) {
	return p.kill(), func() { c.addNode() }
}

func stopped(_ *netCluster, p *process) (at time.Time, back func()) {
	at = time.Now()
	p.signal(syscall.SIGSTOP)
	return at, func() { p.signal(syscall.SIGCONT) }
}

func partitioned(c *netCluster, p *process) (at time.Time, back func()) {
	host := c.host(p)
	c.n.in(host, "iptables -w -A OUTPUT -j DROP")
	at = time.Now() // half of it is there
	c.n.in(host, "iptables -w -A INPUT -j DROP")
	return at, func() { c.n.in(host, "iptables -w -F") }
}

// primaryGone measures the time from the end of a primary to the first write that
// its successor acknowledges.
func primaryGone(most, median time.Duration, gone func(*netCluster, *process) (time.Time, func())) func(t *testing.T, n *network) {
	return func(t *testing.T, n *network) {
		c := formed(n)
		l := c.users(4)
		var took []time.Duration
		for range number("GTSTORE_ROUNDS", 20) {
			l.grow(200)
			victim := c.chain(1)[0]
			c.excuse(victim)
			epoch := c.status().Groups[0].Epoch
			at, back := gone(c, victim)
			took = append(took, l.firstWriteAfter(at, epoch, 1))
			back()
			c.fullStrength(netGroups, netMembers, time.Minute)
		}
		l.stop()
		slices.Sort(took)
		t.Logf("FIGURES first write: median %v, most %v of %d; %d evictions", took[len(took)/2].Round(100*time.Microsecond),
			took[len(took)-1].Round(100*time.Microsecond), len(took), c.evictions())
		if took[len(took)-1] > most || took[len(took)/2] > median {
			t.Errorf("want at most %v, and a median of %v: %v", most, median, took)
		}
		c.noneEvicted()
	}
}

// overload: four times as many callers as the machine is fit for.
func overload(t *testing.T, n *network) {
	length := 30 * time.Second
	if d, err := time.ParseDuration(os.Getenv("GTSTORE_OVERLOAD")); err == nil {
		length = d
	}
	c := formed(n)
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(length)
	var slowest atomic.Int64
	for range 4 {
		client := c.dial()
		for caller := range 128 {
			wg.Go(func() { callUntil(client, caller, end, &done, &failed, &slowest) })
		}
	}
	wg.Wait()
	t.Logf("FIGURES overload for %v: %.0f operations a second, %d failed, the slowest took %v, %d evictions", length,
		float64(done.Load())/length.Seconds(), failed.Load(), time.Duration(slowest.Load()).Round(time.Millisecond), c.evictions())
	c.fullStrength(netGroups, netMembers, patience)
	c.noneEvicted()
}

// callUntil puts and gets without a pause.
func callUntil(client *netrpc.Client, caller int, end time.Time, done, failed, slowest *atomic.Int64) {
	for i := 0; time.Now().Before(end); i++ {
		begin := time.Now()
		err := within(func(ctx context.Context) (err error) {
			key := fmt.Sprintf("key%d", (caller*31+i)%1000)
			if i%2 == 0 {
				_, err = client.Put(ctx, key, []byte("value"))
			} else if _, err = client.Get(ctx, key); statusOf(err) == core.StatusNotFound {
				err = nil
			}
			return err
		})
		took := int64(time.Since(begin))
		for was := slowest.Load(); took > was && !slowest.CompareAndSwap(was, took); was = slowest.Load() {
		}
		if err != nil {
			failed.Add(1)
		}
		done.Add(1)
	}
}
