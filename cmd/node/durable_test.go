package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// durable is a cluster whose nodes each have a directory, and can be started again. The
// manager is the first of all.
type durable struct {
	*cluster
	dir string
	all []*member
}

// member is a node of such a cluster: one directory and one address, and one process after
// the other.
type member struct {
	*process
	args []string // but for --listen
	dir  string
}

// wholeMost is how long a test waits for a whole cluster; the quarantine of nodes that
// have left their groups again and again counts in it.
const wholeMost = time.Minute

// startDurable runs a manager with these flags, and storage nodes, and waits until they
// can be used.
func startDurable(t testing.TB, nodes int, flags ...string) *durable {
	t.Helper()
	return startIn(t, t.TempDir(), nodes, flags...)
}

// startIn is startDurable, in a directory. Without one the nodes are in memory mode: what
// is started again is then another node at the same address.
func startIn(t testing.TB, dir string, nodes int, flags ...string) *durable {
	t.Helper()
	d := &durable{cluster: &cluster{t: t}, dir: dir}
	d.run("manager", append([]string{"manager"}, flags...)...)
	d.manager = d.all[0].process
	d.client = d.dial()
	for i := range nodes {
		d.storage(fmt.Sprint("node", i+1))
	}
	d.eventually(func() bool { return d.up() == nodes }, "%d nodes are up", nodes)
	return d
}

// storage runs one more storage node.
func (d *durable) storage(name string, flags ...string) *member {
	d.t.Helper()
	at := []string{"storage", "--name", name, "--manager"}
	if d.several != nil {
		at = append(at[:3], "--managers", strings.Join(d.several, ","))
	} else {
		at = append(at, d.manager.addr)
	}
	return d.run(name, append(at, flags...)...)
}

func (d *durable) run(name string, args ...string) *member {
	d.t.Helper()
	m := &member{args: args}
	if d.dir != "" {
		m.dir = filepath.Join(d.dir, name)
		m.args = append(args, "--dir", m.dir)
	}
	m.process = startCommand(d.t, name, m.command("127.0.0.1:0"))
	d.all = append(d.all, m)
	d.renew()
	return m
}

// renew has the cluster know its processes of now.
func (d *durable) renew() {
	d.manager, d.nodes = d.all[0].process, nil
	for _, m := range d.all[1:] {
		d.nodes = append(d.nodes, m.process)
	}
}

func (m *member) command(listen string) *exec.Cmd {
	return exec.Command(os.Args[0], append(slices.Clone(m.args), "--listen", listen)...)
}

// end kills a node, and waits until it is gone: its directory and its port are free.
func (m *member) end() {
	_ = m.cmd.Process.Kill() // it may have ended
	<-m.exited
}

// launch starts a node that has ended again, without waiting for it.
func (m *member) launch() {
	m.process = launchAt(m.t, m.name, m.command(m.addr), m.addr)
}

func launchAt(t testing.TB, name string, cmd *exec.Cmd, addr string) *process {
	p := launch(t, name, cmd, nil)
	p.addr = addr
	return p
}

// ready waits until a node listens. Its port was free for a while, and may have been taken
// by somebody else's connection: it then tries again.
func (m *member) ready() {
	m.t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		addr := m.addr
		if m.listens() {
			return
		}
		m.addr = addr
		<-m.exited
		taken := strings.Contains(m.stderr.String(), "the port is in use")
		require.True(m.t, taken && time.Since(begin) < patience, "%s does not start: %s", m.name, &m.stderr)
		m.launch()
	}
}

// again starts a node that has ended again.
func (d *durable) again(list ...*member) {
	d.t.Helper()
	for _, m := range list {
		m.launch()
	}
	for _, m := range list {
		m.ready()
	}
	d.renew()
}

// look is the status, or nil while the manager does not tell it.
func (d *durable) look() *netrpc.Status {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := d.client.Status(ctx)
	if err != nil {
		return nil
	}
	return s
}

// up counts the processes of the cluster that the manager reaches.
func (d *durable) up() int {
	s := d.look()
	if s == nil {
		return 0
	}
	count := 0
	for i := range s.Nodes {
		if s.Nodes[i].State == core.NodeUp && slices.ContainsFunc(d.nodes, func(p *process) bool { return p.cmd.Process.Pid == int(s.Nodes[i].Process) }) {
			count++
		}
	}
	return count
}

// whole waits until every process is up, and every group has so many members, and returns
// how long that took.
func (d *durable) whole(groups, members int) time.Duration {
	d.t.Helper()
	begin := time.Now()
	require.Eventually(d.t, func() bool { return d.up() == len(d.nodes) && d.full(groups, members) }, wholeMost, 5*time.Millisecond, "%s", lazily(d.text))
	return time.Since(begin)
}

func (d *durable) full(groups, members int) bool {
	s := d.look()
	return s != nil && len(s.Groups) == groups && !slices.ContainsFunc(s.Groups, func(g core.GroupStatus) bool {
		return g.State != core.GroupOK || len(g.Chain) != members
	})
}

func (d *durable) text() string {
	s := d.look()
	if s == nil {
		return "the manager does not answer"
	}
	return fmt.Sprintf("groups %+v of nodes %+v", s.Groups, s.Nodes)
}

// pid is a process's, as text.
func pid(p *process) string { return strconv.Itoa(p.cmd.Process.Pid) }

// lazily is text for a failure, made when it is printed.
type lazily func() string

func (f lazily) String() string { return f() }

// ids are the nodes' names, by id.
func (d *durable) ids() map[core.NodeID]string {
	list := map[core.NodeID]string{}
	for _, n := range d.status().Nodes {
		list[n.ID] = n.Name
	}
	return list
}
