package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
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

// The tests of this file run every node in a network namespace of its own, which
// they make, so that packets can be lost, delayed and refused. They need root, ip,
// tc and ss (iproute2) and iptables, and take long; so they are run only when asked
// for:
//
//	GTSTORE_NETNS=1 go test ./cmd/node -run 'TestNetns/loss-5' -v -timeout 1h
//
//	GTSTORE_CLUSTERS  clusters that go through each scenario (default 1); with
//	                  more, as many at once as -parallel says
//	GTSTORE_ROUNDS    rounds of those scenarios that have some (default: its own)
//	GTSTORE_SECONDS   length of those that last (default: its own)
//	GTSTORE_SEED     of what the managers' scenario cuts (default: by the clock)
//	GTSTORE_OVERLOAD  length of the overload, such as 10m (default 30s)
//	GTSTORE_LOGS      directory for the nodes' logs; each cluster has one in it
const (
	netnsAsked  = "GTSTORE_NETNS"
	netnsInside = "GTSTORE_NETNS_INSIDE" // in the namespace of the users: the network and the scenario
)

// network is namespaces of one cluster: one of the switch, and one of each host.
type network struct {
	t      testing.TB
	prefix string // of the names of its namespaces
}

const (
	managerHost = "m"
	usersHost   = "u"
	nodesMost   = 9 // hosts for storage nodes, n1 and so on
)

func hosts() []string {
	list := []string{managerHost, usersHost}
	for i := range nodesMost {
		list = append(list, fmt.Sprintf("n%d", i+1))
	}
	return list
}

func address(host string) string {
	return fmt.Sprintf("10.77.0.%d", 1+slices.Index(hosts(), host))
}

func (n *network) ns(host string) string { return n.prefix + "-" + host }

// ip runs a command of iproute2.
func (n *network) ip(line string) {
	n.t.Helper()
	out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
	require.NoError(n.t, err, "ip %s: %s", line, out)
}

// in runs a shell's command on a host.
func (n *network) in(host, script string) string {
	n.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", n.ns(host), "sh", "-ec", script).CombinedOutput()
	require.NoError(n.t, err, "%s: %s: %s", host, script, out)
	return string(out)
}

// everywhere runs a command on every host, on all at once.
func (n *network) everywhere(script string) {
	var wg sync.WaitGroup
	for _, h := range hosts() {
		wg.Go(func() { n.in(h, script) })
	}
	wg.Wait()
}

var networks atomic.Int64

// newNetwork makes the namespaces. They have names of this process's own, and
// their addresses are known only in them.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, prefix: fmt.Sprintf("gtstore-%d-%d", os.Getpid(), networks.Add(1))}
	all := append([]string{"switch"}, hosts()...)
	t.Cleanup(func() {
		for _, h := range all {
			n.remove(h)
		}
	})
	for _, h := range all {
		n.ip("netns add " + n.ns(h))
		n.ip("-n " + n.ns(h) + " link set lo up")
	}
	n.ip("-n " + n.ns("switch") + " link add name br0 type bridge")
	n.ip("-n " + n.ns("switch") + " link set br0 up")
	for _, h := range hosts() {
		n.ip(fmt.Sprintf("link add eth0 netns %s type veth peer name p-%s netns %s", n.ns(h), h, n.ns("switch")))
		n.ip(fmt.Sprintf("-n %s link set dev p-%s master br0 up", n.ns("switch"), h))
		n.ip(fmt.Sprintf("-n %s addr add %s/24 dev eth0", n.ns(h), address(h)))
		n.ip(fmt.Sprintf("-n %s link set eth0 up", n.ns(h)))
	}
	return n
}

// remove ends what still runs in a namespace and deletes it.
func (n *network) remove(host string) {
	pids, err := exec.Command("ip", "netns", "pids", n.ns(host)).Output()
	if err != nil {
		return // it was never made
	}
	for _, pid := range strings.Fields(string(pids)) {
		if id, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
	if out, err := exec.Command("ip", "netns", "del", n.ns(host)).CombinedOutput(); err != nil {
		n.t.Errorf("ip netns del %s: %v: %s", n.ns(host), err, out)
	}
}

func seconds(otherwise int) time.Duration {
	return time.Duration(number("GTSTORE_SECONDS", otherwise)) * time.Second
}

// TestNetns goes through the scenarios, each in this binary's process in the
// namespace of the users.
func TestNetns(t *testing.T) {
	switch {
	case os.Getenv(netnsAsked) == "":
		t.Skip("run with " + netnsAsked + "=1, as root")
	case os.Geteuid() != 0:
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"ip", "tc", "ss", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	clusters := number("GTSTORE_CLUSTERS", 1)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			for i := range clusters {
				t.Run(fmt.Sprint(i+1), func(t *testing.T) {
					if clusters > 1 {
						t.Parallel()
					}
					newNetwork(t).inside(t, s.name)
				})
			}
		})
	}
}

// inside runs a scenario in the namespace of the users.
func (n *network) inside(t *testing.T, scenario string) {
	cmd := exec.Command("ip", "netns", "exec", n.ns(usersHost), os.Args[0], "-test.run=^TestInsideNetns$", "-test.v", "-test.timeout=0")
	cmd.Env = append(os.Environ(), netnsInside+"="+n.prefix+" "+scenario)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = cmd.Stdout
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text := lines.Text(); !strings.HasPrefix(text, "===") {
			t.Log(text)
		}
	}
	require.NoError(t, cmd.Wait(), "the scenario failed")
}

func TestInsideNetns(t *testing.T) {
	prefix, name, ok := strings.Cut(os.Getenv(netnsInside), " ")
	if !ok {
		t.Skip("a part of TestNetns")
	}
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
	scenarios[i].run(t, &network{t: t, prefix: prefix})
}

// start runs a manager and storage nodes, each on its host, and waits until they
// are registered.
func (n *network) start(nodes int, flags ...string) *netCluster {
	n.t.Helper()
	c := &netCluster{cluster: &cluster{t: n.t}, n: n, began: time.Now()}
	c.manager = n.process(managerHost, "manager", append([]string{"manager", "--listen", address(managerHost) + ":7400"}, flags...))
	for range nodes {
		c.addNode()
	}
	c.client = c.dial()
	c.eventually(func() bool { return len(c.status().Nodes) == nodes }, "%d nodes are registered", nodes)
	return c
}

func (n *network) process(host, name string, args []string) *process {
	p := startCommand(n.t, name, exec.Command("ip", append([]string{"netns", "exec", n.ns(host), os.Args[0]}, args...)...))
	if dir := os.Getenv("GTSTORE_LOGS"); dir != "" {
		n.t.Cleanup(func() {
			dir += "/" + n.prefix
			if err := os.MkdirAll(dir, 0o777); err != nil {
				n.t.Error(err)
			}
			if err := os.WriteFile(dir+"/"+name+".log", []byte(p.stderr.String()), 0o666); err != nil {
				n.t.Error(err)
			}
		})
	}
	return p
}

// netCluster is a cluster of hosts, whose configs are watched all the time.
type netCluster struct {
	*cluster
	n     *network
	began time.Time

	mu      sync.Mutex
	changes []string      // of a config since the groups were formed
	missed  int           // looks that were not answered
	excused []core.NodeID // who may go
	evicted []string      // who went though nobody excused it
}

// addNode starts a storage node on the next host; hosts take turns.
func (c *netCluster) addNode() *process {
	i := len(c.nodes)
	host := fmt.Sprintf("n%d", i%nodesMost+1)
	name := fmt.Sprintf("node%d", i+1)
	p := c.n.process(host, name, []string{"storage", "--listen", fmt.Sprintf("%s:%d", address(host), 7401+i),
		"--manager", address(managerHost) + ":7400", "--name", name})
	c.nodes = append(c.nodes, p)
	return p
}

// host is where a node runs.
func (c *netCluster) host(p *process) string {
	return fmt.Sprintf("n%d", slices.Index(c.nodes, p)%nodesMost+1)
}

// excuse says that a node may leave its group: what is done to it is no hiccup.
func (c *netCluster) excuse(p *process) {
	i := slices.IndexFunc(c.status().Nodes, func(n core.NodeStatus) bool { return n.Addr == p.addr })
	id := c.status().Nodes[i].ID
	c.mu.Lock()
	defer c.mu.Unlock()
	c.excused = append(c.excused, id)
}

// form has the groups formed and waits until they are at full strength, and
// watches them from then on.
func (c *netCluster) form(groups, members int) {
	c.t.Helper()
	for i := range groups {
		c.eventually(func() bool { // nodes may have registered and not answered yet
			return within(func(ctx context.Context) error {
				_, err := c.client.Put(ctx, fmt.Sprintf("form%d", i), nil)
				return err
			}) == nil
		}, "a key is put")
	}
	c.fullStrength(groups, members, patience)
	s := c.status()
	for _, g := range s.Groups {
		c.t.Logf("group %d is formed: epoch %d, %s", g.Group, g.Epoch, strings.Join(namesOf(s, g.Chain), " > "))
	}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	client := c.dial()
	wg.Go(func() { c.watch(client, s, quit) })
	c.t.Cleanup(func() {
		close(quit)
		wg.Wait()
	})
}

func namesOf(s *netrpc.Status, chain []core.NodeID) []string {
	var list []string
	for _, id := range chain {
		i := slices.IndexFunc(s.Nodes, func(n core.NodeStatus) bool { return n.ID == id })
		list = append(list, s.Nodes[i].Name)
	}
	return list
}

// fullStrength waits until so many groups have so many members, and tells how long
// that took.
func (c *netCluster) fullStrength(groups, members int, most time.Duration) time.Duration {
	c.t.Helper()
	begin := time.Now()
	last := "nothing"
	for time.Since(begin) < most {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		s, err := c.client.Status(ctx)
		cancel()
		if err == nil {
			full := 0
			last = ""
			for _, g := range s.Groups {
				last += fmt.Sprintf("group %d, epoch %d, %v: %v; ", g.Group, g.Epoch, g.State, namesOf(s, g.Chain))
				if len(g.Chain) == members && g.State == core.GroupOK {
					full++
				}
			}
			if full == groups {
				return time.Since(begin)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Errorf("%d groups were not at full strength after %v: %s", groups, most, last)
	return time.Since(begin)
}

// watch notes every change of a config.
func (c *netCluster) watch(client *netrpc.Client, last *netrpc.Status, quit chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case <-time.After(10 * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		s, err := client.Status(ctx)
		cancel()
		c.mu.Lock()
		if err != nil {
			c.missed++
			c.mu.Unlock()
			continue
		}
		for i, g := range s.Groups {
			if i < len(last.Groups) && g.Epoch != last.Groups[i].Epoch {
				c.changed(s, last.Groups[i], g)
			}
		}
		c.mu.Unlock()
		last = s
	}
}

// changed notes a change, with mu held.
func (c *netCluster) changed(s *netrpc.Status, was, is core.GroupStatus) {
	at := time.Since(c.began).Round(time.Millisecond)
	c.changes = append(c.changes, fmt.Sprintf("%v: group %d, epoch %d, %s", at, is.Group, is.Epoch, strings.Join(namesOf(s, is.Chain), " > ")))
	for i, id := range was.Chain {
		if slices.Contains(is.Chain, id) || slices.Contains(c.excused, id) {
			continue
		}
		role := "a replica"
		if i == 0 {
			role = "the primary"
		}
		c.evicted = append(c.evicted, fmt.Sprintf("%v: %s, %s of group %d, in epoch %d", at, namesOf(s, []core.NodeID{id})[0], role, is.Group, is.Epoch))
	}
}

// evictions counts the healthy nodes that were evicted so far.
func (c *netCluster) evictions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.evicted)
}

// noneEvicted is the end of a scenario: no healthy node may have left its group.
func (c *netCluster) noneEvicted() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.changes {
		c.t.Logf("changed: %s", text)
	}
	for _, text := range c.evicted {
		c.t.Errorf("EVICTED: %s", text)
	}
	c.t.Logf("%d changes of a config, %d healthy nodes evicted, %d looks not answered in time", len(c.changes), len(c.evicted), c.missed)
}

// gap is the longest time without an acknowledged write in a group, between two
// moments.
func (l *load) gap(from, to time.Time) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	acked := map[core.GroupID][]time.Time{}
	for _, op := range l.ops {
		if op.Kind != core.OpGet && op.Result != nil && op.Result.Status == core.StatusOK && op.at.After(from) && op.at.Before(to) {
			acked[op.Result.Group] = append(acked[op.Result.Group], op.at)
		}
	}
	for _, list := range acked {
		slices.SortFunc(list, time.Time.Compare)
		last := from
		for _, at := range append(list, to) {
			longest, last = max(longest, at.Sub(last)), at
		}
	}
	if len(acked) == 0 {
		return to.Sub(from)
	}
	return longest
}
