package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// councilNet is a durable cluster with three managers, and a network in which any host may be
// cut off from any other.
type councilNet struct {
	*council
	n      *network
	random *rand.Rand
	hosts  []string // of the managers, then of the nodes
}

const (
	councilManagers = 3
	councilNodes    = 6
)

// startCouncilNet starts three managers, and two groups of three.
func startCouncilNet(t *testing.T, n *network) *councilNet {
	seed := number("GTSTORE_SEED", int(time.Now().UnixNano()%1e6))
	t.Logf("GTSTORE_SEED=%d", seed)
	c := &councilNet{n: n, random: rand.New(rand.NewPCG(uint64(seed), 0)), council: &council{durable: &durable{cluster: &cluster{t: t}, dir: t.TempDir()}}}
	for i := range nodesMost {
		c.hosts = append(c.hosts, fmt.Sprintf("n%d", i+1))
	}
	for _, h := range c.hosts[:councilManagers] {
		c.several = append(c.several, address(h)+":7400")
	}
	list := strings.Join(c.several, ",")
	start := func(i int, name string, args ...string) *member {
		args = append(args, "--managers", list, "--dir", fmt.Sprint(c.dir, "/", name), "--listen", address(c.hosts[i])+":7400")
		m := &member{process: n.process(c.hosts[i], name, args), args: args}
		c.all = append(c.all, m)
		return m
	}
	for i := range councilManagers {
		c.managers = append(c.managers, start(i, fmt.Sprint("manager", i+1), "manager", "--replicas", fmt.Sprint(netMembers-1)))
	}
	c.client = c.dial()
	for i := range councilNodes {
		name := fmt.Sprint("node", i+1)
		start(councilManagers+i, name, "storage", "--name", name)
	}
	for _, m := range c.all[councilManagers:] {
		c.nodes = append(c.nodes, m.process)
	}
	c.eventually(func() bool { return c.up() == councilNodes }, "all nodes are up")
	return c
}

// cut draws between which hosts packets are dropped: around one host, between two halves, or one
// by one, also one way only. It returns what each host drops.
func (c *councilNet) cut() (kind string, rules map[string][]string) {
	rules = map[string][]string{}
	drop := func(from, to string) { rules[to] = append(rules[to], "-A INPUT -s "+address(from)+" -j DROP") }
	both := func(a, b string) { drop(a, b); drop(b, a) }
	all := append(slices.Clone(c.hosts), usersHost)
	c.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	split := func(part, rest []string, oneWay bool) {
		for _, a := range part {
			for _, b := range rest {
				if drop(a, b); !oneWay {
					drop(b, a)
				}
			}
		}
	}
	leader := c.hosts[slices.Index(c.managers, c.leads())]
	without := func(host string, list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(h string) bool { return h == host })
	}
	switch c.random.IntN(8) {
	case 0:
		split(all[:1], all[1:], false)
		return all[0] + " alone", rules
	case 1:
		split(all[:1], all[1:], true)
		return "nothing comes from " + all[0], rules
	case 2:
		split(all[1:], all[:1], true)
		return "nothing comes to " + all[0], rules
	case 3:
		n := 1 + c.random.IntN(len(all)-1)
		split(all[:n], all[n:], false)
		return strings.Join(all[:n], " ") + " | " + strings.Join(all[n:], " "), rules
	case 4:
		split([]string{leader}, without(leader, c.hosts[:councilManagers]), false)
		return "the leader and the other managers", rules
	case 5:
		split([]string{leader}, append(slices.Clone(c.hosts[councilManagers:]), usersHost), false)
		return "the leader and all but managers", rules
	case 6:
		split([]string{leader}, without(leader, all), false)
		return "the leader alone", rules
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			switch c.random.IntN(8) {
			case 0:
				both(a, b)
			case 1:
				drop(a, b)
			}
		}
	}
	return "here and there", rules
}

// managersInNet: a cluster with three managers is cut into parts again and again, under load.
// Every operation gets a result that one order explains, and the groups are whole after each cut.
func managersInNet(t *testing.T, n *network) {
	c := startCouncilNet(t, n)
	c.put("group1", "")
	c.put("group2", "")
	c.eventually(func() bool { return c.full(2, netMembers) }, "two groups are whole")
	var took []time.Duration
	for round := range number("GTSTORE_ROUNDS", 20) {
		l := c.startLoad(6, keysOf(round)...)
		l.grow(100)
		kind, rules := c.cut()
		var wg sync.WaitGroup
		for host, list := range rules {
			wg.Go(func() {
				n.in(host, "iptables-restore -w -n <<'EOF'\n*filter\n"+strings.Join(list, "\n")+"\nCOMMIT\nEOF")
			})
		}
		wg.Wait()
		length := time.Duration(100+c.random.IntN(4000)) * time.Millisecond
		time.Sleep(length)
		n.everywhere("iptables -w -F")
		begin := time.Now()
		require.Eventually(t, func() bool {
			return c.up() == councilNodes && c.full(2, netMembers) && c.agree(councilManagers)
		}, wholeMost, 10*time.Millisecond, "round %d, %s: %s", round+1, kind, lazily(c.text))
		whole := time.Since(begin)
		took = append(took, whole)
		t.Logf("round %d: %s, for %v: whole again after %v", round+1, kind, length, whole.Round(time.Millisecond))
		l.grow(50)
		l.end()
		l.readAll()
		l.everyResult()
		require.NoError(t, within(func(ctx context.Context) error {
			_, err := c.client.Put(ctx, fmt.Sprint("new key ", round), nil)
			return err
		}))
	}
	slices.Sort(took)
	t.Logf("FIGURES three managers, %d cuts: whole again after %v (median), %v (most)", len(took), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}
