package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// asNode makes this test binary behave as the node binary: every node of a
// test's cluster is a process of its own, of the very code under test, with the
// race detector if the test has it.
const asNode = "GTSTORE_TEST_AS_NODE"

func init() {
	if os.Getenv(asNode) != "" {
		onStallingDisk()
		main()
		os.Exit(0)
	}
}

// cluster is a manager and storage nodes, each a process of its own.
type cluster struct {
	t       testing.TB
	manager *process
	several []string // the addresses of all managers, if there are several
	nodes   []*process
	client  *netrpc.Client
}

// process is a node's.
type process struct {
	t      testing.TB
	name   string
	addr   string
	cmd    *exec.Cmd
	stderr lockedBuffer
	said   chan string // its first line, when it has said it, or has ended without
	exited chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// patience is how long a test waits for what must happen; far more than it takes.
const patience = 20 * time.Second

func startProcess(t testing.TB, name string, args ...string) *process {
	t.Helper()
	return startCommand(t, name, exec.Command(os.Args[0], args...))
}

// startCommand starts a command that is a node in the end.
func startCommand(t testing.TB, name string, cmd *exec.Cmd) *process {
	t.Helper()
	return startCommandTo(t, name, cmd, nil)
}

// startCommandTo is startCommand, with the log to a file, if there is one.
func startCommandTo(t testing.TB, name string, cmd *exec.Cmd, log *os.File) *process {
	t.Helper()
	p := launch(t, name, cmd, log)
	require.True(t, p.listens(), "%s does not listen: %s", name, &p.stderr)
	return p
}

// launch is startCommandTo, but does not wait until the node listens.
func launch(t testing.TB, name string, cmd *exec.Cmd, log *os.File) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, said: make(chan string, 1), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asNode+"=1")
	p.cmd.Stderr = &p.stderr
	if log != nil {
		p.cmd.Stderr = log
	}
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s (%s) said:\n%s", name, p.addr, p.stderr.String())
		}
	})
	go func() {
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		p.said <- line
		_, _ = io.Copy(io.Discard, r)
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p
}

// listens waits until the node listens, and tells whether it does.
func (p *process) listens() bool {
	addr, ok := strings.CutPrefix(<-p.said, "listening ")
	p.addr = strings.TrimSpace(addr)
	return ok
}

// kill ends the process as nothing else does: with SIGKILL.
func (p *process) kill() time.Time {
	at := time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGKILL))
	return at
}

func (p *process) signal(s syscall.Signal) { require.NoError(p.t, p.cmd.Process.Signal(s)) }

// exitCode waits for the process to end by itself.
func (p *process) exitCode() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s still runs", p.name)
		return -1
	}
}

// startCluster runs a manager with these flags and waits until the storage
// nodes are registered.
func startCluster(t testing.TB, nodes int, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	c.manager = startProcess(t, "manager", append([]string{"manager", "--listen", "127.0.0.1:0"}, flags...)...)
	for range nodes {
		c.add()
	}
	c.client = c.dial()
	c.eventually(func() bool { // one that is registered is used once it has answered a ping
		all := c.status().Nodes
		return len(all) == nodes && !slices.ContainsFunc(all, func(n core.NodeStatus) bool { return n.State != core.NodeUp })
	}, "%d nodes answer", nodes)
	return c
}

// add starts one more storage node.
func (c *cluster) add() *process {
	c.t.Helper()
	name := fmt.Sprintf("node%d", len(c.nodes)+1)
	p := startProcess(c.t, name, "storage", "--listen", "127.0.0.1:0", "--manager", c.manager.addr, "--name", name)
	c.nodes = append(c.nodes, p)
	return p
}

func (c *cluster) dial() *netrpc.Client {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	managers := c.several
	if managers == nil {
		managers = []string{c.manager.addr}
	}
	client, err := netrpc.Dial(ctx, managers)
	require.NoError(c.t, err)
	c.t.Cleanup(client.Close)
	return client
}

// within gives an operation a time that it never needs.
func within(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return f(ctx)
}

func (c *cluster) put(key, value string) netrpc.Result {
	c.t.Helper()
	var r netrpc.Result
	require.NoError(c.t, within(func(ctx context.Context) (err error) {
		r, err = c.client.Put(ctx, key, []byte(value))
		return err
	}))
	return r
}

func (c *cluster) get(key string) string {
	c.t.Helper()
	var v netrpc.Value
	require.NoError(c.t, within(func(ctx context.Context) (err error) {
		v, err = c.client.Get(ctx, key)
		return err
	}))
	return string(v.Data)
}

func (c *cluster) status() *netrpc.Status {
	c.t.Helper()
	var s *netrpc.Status
	require.NoError(c.t, within(func(ctx context.Context) (err error) {
		s, err = c.client.Status(ctx)
		return err
	}))
	return s
}

func (c *cluster) eventually(f func() bool, text string, args ...any) {
	c.t.Helper()
	require.Eventually(c.t, f, patience, 5*time.Millisecond, text, args)
}

// chain returns the processes of a group, the primary first.
func (c *cluster) chain(id core.GroupID) []*process {
	c.t.Helper()
	s := c.status()
	var list []*process
	for _, member := range s.Groups[id-1].Chain {
		i := slices.IndexFunc(s.Nodes, func(n core.NodeStatus) bool { return n.ID == member })
		j := slices.IndexFunc(c.nodes, func(p *process) bool { return p.addr == s.Nodes[i].Addr })
		require.Equal(c.t, c.nodes[j].cmd.Process.Pid, int(s.Nodes[i].Process), "the status tells the process")
		list = append(list, c.nodes[j])
	}
	return list
}

// number is a variable of the environment, which makes a test go through more.
func number(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}
