package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

// asCommand makes this test binary behave as gtstore, also as the processes
// that up starts, which are this binary again.
const asCommand = "GTSTORE_TEST_AS_COMMAND"

func init() {
	if os.Getenv(asCommand) != "" {
		main()
	}
}

// patience is how long a test waits for what must happen; far more than it takes.
const patience = 20 * time.Second

// running is a gtstore up in a process of its own.
type running struct {
	cmd    *exec.Cmd
	status statusResult
	out    *bufio.Reader
	stderr lockedBuffer
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

// startUp runs gtstore up with ports chosen by the system. The command is by
// default this binary; it may be preceded by another that starts it.
func startUp(t *testing.T, before []string, args ...string) *running {
	t.Helper()
	line := append(append(before, os.Args[0], "up", "--base-port", "0", "-o", "json"), args...)
	u := &running{cmd: exec.Command(line[0], line[1:]...)}
	u.cmd.Env = append(os.Environ(), asCommand+"=1")
	u.cmd.Stderr = &u.stderr
	out, err := u.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, u.cmd.Start())
	t.Cleanup(func() {
		_ = u.cmd.Process.Kill() // and with it all that it started
		_ = u.cmd.Wait()
		u.gone(t)
	})
	u.out = bufio.NewReader(out)
	text, err := u.out.ReadString('\n')
	require.NoError(t, err, "%s", &u.stderr)
	require.NoError(t, json.Unmarshal([]byte(text), &u.status))
	return u
}

// on runs a command on the cluster.
func (u *running) on(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return run(t, stdin, append(args, "--manager", u.status.Manager.Addr, "--timeout", patience.String())...)
}

// ok runs a command that must succeed and returns what it printed.
func (u *running) ok(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := u.on(t, "", args...)
	require.Zero(t, code, "%v: %s", args, stderr)
	return stdout
}

func (u *running) pids() []int {
	list := []int{int(u.status.Manager.PID)}
	for _, m := range u.status.Managers {
		if !m.Leads {
			list = append(list, int(m.PID))
		}
	}
	for _, n := range u.status.Nodes {
		list = append(list, int(n.PID))
	}
	return list
}

// gone waits until none of the processes that up started is left.
func (u *running) gone(t *testing.T) {
	t.Helper()
	for _, pid := range u.pids() {
		if pid == 0 {
			continue
		}
		require.Eventually(t, func() bool { return !alive(pid) }, patience, 5*time.Millisecond, "process %d is left behind", pid)
	}
}

// alive tells whether a process runs; one that has ended and was not waited for
// does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(after, []byte("Z"))
}

func TestTheCommandsOnACluster(t *testing.T) {
	u := startUp(t, nil, "--nodes", "4")
	require.Len(t, u.status.Nodes, 4)
	require.Len(t, u.status.Spares, 4)
	require.Empty(t, u.status.Groups)

	// Which of them registered first, and so is the primary, is not known.
	ok := u.ok(t, "put", "key", "value")
	primary := strings.TrimSuffix(strings.TrimPrefix(ok, "OK, "), "\n")
	require.Contains(t, u.status.Spares, primary)
	require.Equal(t, "OK, "+primary+"\n", ok)
	require.Equal(t, "value", u.ok(t, "get", "key"))
	var got operationResult
	require.NoError(t, json.Unmarshal([]byte(u.ok(t, "get", "key", "-o", "json")), &got))
	require.Equal(t, "value", *got.Value)
	require.Equal(t, primary, got.Node)
	require.EqualValues(t, 1, got.Group)
	require.EqualValues(t, 1, got.Epoch)

	code, stdout, stderr := u.on(t, "", "cas", "key", "99", "other")
	require.Equal(t, cli.ExitConflict, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, fmt.Sprintf("it is at %d", got.Version))
	require.Equal(t, ok, u.ok(t, "cas", "key", fmt.Sprint(got.Version), "other"))
	require.Equal(t, ok, u.ok(t, "cas", "new", "0", "created"))

	code, _, _ = u.on(t, "\xff\x00\n", "put", "bytes", "-")
	require.Zero(t, code)
	require.Equal(t, "\xff\x00\n", u.ok(t, "get", "bytes"), "exactly, with nothing added")
	require.JSONEq(t, `"base64"`, field(t, u.ok(t, "get", "bytes", "-o", "json"), "encoding"))
	require.JSONEq(t, `"/wAK"`, field(t, u.ok(t, "get", "bytes", "-o", "json"), "value"))
	again := u.ok(t, "put", "key", "again", "-o", "json")
	require.NotContains(t, again, `"value"`)
	require.NotContains(t, again, `"key_encoding"`)
	for key, text := range map[string]string{"\xff\xfe": `"//4="`, "\xff\xfd": `"//0="`} { // not alike
		for _, line := range [][]string{{"put", key, "v"}, {"get", key}, {"delete", key}} {
			object := u.ok(t, append(line, "-o", "json")...)
			require.Equal(t, text, field(t, object, "key"), line)
			require.Equal(t, `"base64"`, field(t, object, "key_encoding"), line)
		}
	}

	require.Equal(t, ok, u.ok(t, "delete", "key"))
	for _, line := range []string{"get key", "delete key", "get never"} {
		code, stdout, stderr := u.on(t, "", strings.Fields(line)...)
		require.Equal(t, cli.ExitNotFound, code, line)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "the key is absent")
	}

	var s statusResult
	require.Eventually(t, func() bool { // the count of keys is as old as the last ping
		s = statusResult{}
		require.NoError(t, json.Unmarshal([]byte(u.ok(t, "status", "-o", "json")), &s))
		return len(s.Groups) == 1 && s.Groups[0].Keys == 2
	}, 10*time.Second, time.Millisecond, "deleted keys are not counted")
	chain := s.Groups[0].Chain
	require.Equal(t, []statusGroup{{ID: 1, Epoch: 1, State: "ok", Chain: chain, Keys: 2, Reads: "confirm", MinChain: 1}}, s.Groups)
	require.Equal(t, primary, chain[0])
	require.ElementsMatch(t, u.status.Spares, append(slices.Clone(chain), s.Spares...), "three are in the chain, and one is left over")
	require.Len(t, s.Spares, 1)
	require.Equal(t, u.status.Manager, s.Manager)
	roles := map[string]string{}
	for _, n := range s.Nodes {
		roles[n.Name] = n.Role
	}
	require.Equal(t, map[string]string{chain[0]: "primary", chain[1]: "replica", chain[2]: "replica", s.Spares[0]: "spare"}, roles)
	text := u.ok(t, "status")
	for _, want := range []string{"2 keys", strings.Join(chain, " > "), u.status.Nodes[3].Addr} {
		require.Contains(t, text, want)
	}
}

// field returns a field of a JSON object as it stands there.
func field(t *testing.T, object, name string) string {
	t.Helper()
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(object), &all))
	return string(all[name])
}

func TestBadInputOnACluster(t *testing.T) {
	u := startUp(t, nil, "--nodes", "2", "--replicas", "1")
	big := strings.Repeat("v", core.ValueBytesMax+1)
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		want        string
	}{
		{"empty key", "", []string{"put", "", "v"}, cli.ExitUsage, "a key of 0 bytes"},
		{"long key", "", []string{"get", strings.Repeat("k", core.KeyBytesMax+1)}, cli.ExitUsage, "a key of 1025 bytes"},
		{"long value", big, []string{"put", "k", "-"}, cli.ExitError, "the value on standard input has more than 1048576 bytes"},
		{"no version", "", []string{"cas", "k", "first", "v"}, cli.ExitUsage, `VERSION "first": want a number`},
		{"not so sure", "", []string{"forget", "node1"}, cli.ExitUsage, "add --yes"},
		{"no such node", "", []string{"forget", "node9", "--yes"}, cli.ExitNotFound, `no node "node9"`},
		{"drain of no node", "", []string{"drain", "node9"}, cli.ExitNotFound, `no node "node9"`},
		{"no such id", "", []string{"forget", "0123456789abcdef", "--yes"}, cli.ExitNotFound, "no node with the id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := u.on(t, c.stdin, c.args...)
			require.Equal(t, c.code, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c.want)
		})
	}
	t.Run("largest", func(t *testing.T) {
		key := strings.Repeat("k", core.KeyBytesMax)
		code, _, stderr := u.on(t, big[1:], "put", key, "-")
		require.Zero(t, code, stderr)
		require.Equal(t, big[1:], u.ok(t, "get", key))
	})
	t.Run("a storage node is no manager", func(t *testing.T) {
		code, _, stderr := run(t, "", "get", "k", "--manager", u.status.Nodes[0].Addr)
		require.Equal(t, cli.ExitUnavailable, code)
		require.Contains(t, stderr, "is a storage node, not a manager")
	})
	t.Run("port in use", func(t *testing.T) {
		_, port, err := net.SplitHostPort(u.status.Manager.Addr)
		require.NoError(t, err)
		cmd := exec.Command(os.Args[0], "up", "--nodes", "1", "--replicas", "0", "--base-port", port)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, cli.ExitError, cmd.ProcessState.ExitCode())
		require.Contains(t, string(out), u.status.Manager.Addr+": the port is in use")
		require.Contains(t, string(out), "--base-port")
	})
}

func TestNoManager(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close() // now nobody listens there
	begin := time.Now()
	for _, line := range []string{"put k v", "get k", "delete k", "cas k 0 v", "status", "status --watch", "forget n --yes", "drain n", "bench"} {
		t.Setenv(cli.Variable("manager"), l.Addr().String())
		code, stdout, stderr := run(t, "", strings.Fields(line)...)
		require.Equal(t, cli.ExitUnavailable, code, line)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "connection refused", line)
		require.Contains(t, stderr, "gtstore up", line)
	}
	require.Less(t, time.Since(begin), 5*time.Second, "at once, and not after a time-out")
}

// What is wrong with a command line whatever the cluster is, is said where none can be reached.
func TestArgumentsAreCheckedBeforeAnybodyIsAsked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close() // now nobody listens there
	t.Setenv(cli.Variable("manager"), l.Addr().String())
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"put", "", "v"}, "a key of 0 bytes: want 1 to 1024"},
		{[]string{"get", ""}, "a key of 0 bytes"},
		{[]string{"delete", strings.Repeat("k", core.KeyBytesMax+1)}, "a key of 1025 bytes"},
		{[]string{"cas", "", "1", "v"}, "a key of 0 bytes"},
		{[]string{"cas", "k", "first", "v"}, `VERSION "first": want a number`},
		{[]string{"cas", "k", "-1", "v"}, "-1"},
		{[]string{"managers", "add", "1.2.3"}, `the manager's address "1.2.3": want HOST:PORT`},
		{[]string{"managers", "replace", "m", "127.0.0.1:0"}, "want a port from 1 to 65535"},
		{[]string{"managers", "add", "name@127.0.0.1:7400"}, "has a name, which nobody can check without certificates"},
		{[]string{"forget", "node1"}, "add --yes"},
	} {
		code, stdout, stderr := run(t, "", c.args...)
		require.Equal(t, cli.ExitUsage, code, "%v: %s", c.args, stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, c.want)
	}
	code, _, stderr := run(t, "", "managers", "remove", "1.2.3")
	require.Equal(t, cli.ExitUnavailable, code, stderr, "only the cluster knows that")
}

// Who watches a cluster is not shown another's state as if it were the same.
func TestWatchEndsWhenAnotherClusterTakesTheAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a, err := netrpc.ServeManager(l, core.ManagerOptions{Cluster: 0xa1a1}, netrpc.Options{})
	require.NoError(t, err)
	defer a.Close()
	var out, errs lockedBuffer
	code := make(chan int)
	go func() {
		code <- cli.Execute(t.Context(), newRoot(), []string{"status", "--watch", "--manager", l.Addr().String()}, strings.NewReader(""), &out, &errs)
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), core.ClusterID(0xa1a1).String()) }, patience, time.Millisecond)
	a.Close()
	l, err = net.Listen("tcp", a.Self().Addr)
	require.NoError(t, err)
	b, err := netrpc.ServeManager(l, core.ManagerOptions{Cluster: 0xb2b2}, netrpc.Options{})
	require.NoError(t, err)
	defer b.Close()
	require.Equal(t, cli.ExitUnavailable, <-code, "%s", &errs)
	require.NotContains(t, out.String(), core.ClusterID(0xb2b2).String())
	require.Contains(t, errs.String(), "another cluster, "+core.ClusterID(0xb2b2).String()+"; it was that of "+core.ClusterID(0xa1a1).String())
}

func TestAManagerThatSaysNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	code, _, stderr := run(t, "", "get", "k", "--manager", l.Addr().String(), "--timeout", "200ms")
	require.Equal(t, cli.ExitUnavailable, code)
	require.Contains(t, stderr, "handshake")
}

func TestForget(t *testing.T) {
	u := startUp(t, nil, "--nodes", "3")
	u.ok(t, "put", "key", "value")
	require.Equal(t, "OK, node2 is forgotten\n", u.ok(t, "forget", "node2", "--yes"))
	require.Eventually(t, func() bool { return !alive(u.pids()[2]) }, patience, 5*time.Millisecond, "a forgotten node ends")
	require.Eventually(t, func() bool {
		return strings.Contains(u.stderr.String(), "node2 (pid "+fmt.Sprint(u.pids()[2])+", "+u.status.Nodes[1].Addr+") has ended: exit status 1")
	}, patience, 5*time.Millisecond, "up reports it: %s", &u.stderr)
	var s statusResult
	require.NoError(t, json.Unmarshal([]byte(u.ok(t, "status", "-o", "json")), &s))
	require.Equal(t, "gone", s.Nodes[1].State)
	require.Equal(t, "value", u.ok(t, "get", "key"))
}

// What the shell of up says to nodes is not for those of up: they could not all have that
// address, or that name.
func TestUpTellsItsNodesWhatTheyAreToDo(t *testing.T) {
	for name, value := range map[string]string{
		"advertise": "192.0.2.1:7400", "listen": "127.0.0.1:1", "manager": "192.0.2.1:7400", "name": "mine",
		"log-format": "no such format", "replicas": "1", // the last is for up, which passes it on
	} {
		t.Setenv(cli.Variable(name), value)
	}
	u := startUp(t, nil, "--nodes", "2")
	require.Regexp(t, `^127\.0\.0\.1:`, u.status.Manager.Addr)
	require.Equal(t, []string{"node1", "node2"}, u.status.Spares)
	u.ok(t, "put", "key", "value")
}

// However up ends, nothing that it started is left behind.
func TestUpLeavesNothingBehind(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			u := startUp(t, nil, "--nodes", "3")
			u.ok(t, "put", "key", "value")
			require.NoError(t, u.cmd.Process.Signal(s))
			err := u.cmd.Wait()
			if s != syscall.SIGKILL {
				require.NoError(t, err, "exit code 0: %s", &u.stderr)
			}
			u.gone(t)
			require.NotContains(t, u.stderr.String(), "NO COPY", "an orderly end is no loss")
		})
	}
}

// The go command does not pass SIGTERM on, and nothing when it is killed. It is
// played here by a shell under its name.
func TestUpEndsWithTheGoCommand(t *testing.T) {
	shell, err := exec.LookPath("sh")
	require.NoError(t, err)
	program, err := os.ReadFile(shell)
	require.NoError(t, err)
	goCommand := t.TempDir() + "/go"
	require.NoError(t, os.WriteFile(goCommand, program, 0o755))
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		u := startUp(t, []string{goCommand, "-c", `"$@"; exit $?`, "sh"}, "--nodes", "3")
		require.NoError(t, u.cmd.Process.Signal(s))
		u.gone(t)
	}
}

func TestALostGroupEndsUp(t *testing.T) {
	u := startUp(t, nil, "--nodes", "2", "--replicas", "1", "--lost-after", "300ms")
	u.ok(t, "put", "key", "value")
	for _, n := range u.status.Nodes {
		require.NoError(t, syscall.Kill(int(n.PID), syscall.SIGKILL))
	}
	code, _, stderr := u.on(t, "", "get", "key")
	require.Equal(t, cli.ExitGroupLost, code, stderr)
	require.Error(t, u.cmd.Wait())
	require.Equal(t, cli.ExitGroupLost, u.cmd.ProcessState.ExitCode())
	require.Contains(t, u.stderr.String(), "no copy of a group is left: group 1")
	require.Contains(t, u.stderr.String(), "the manager has ended")
}

// What can never work is a wrong command line, said at once, and no reason for a script
// to try again.
func TestWrongFlagsOnACluster(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"up --nodes 0", `"--nodes" flag: want a number from 1 to 256`},
		{"up --nodes 2", "--replicas 2 needs groups of 3 nodes, but --nodes is 2"},
		{"up --base-port 65530", "--base-port 65530: want"},
		{"up --base-port 99999", `"--base-port" flag: want a number from 0 to 65535`},
		{"up --reads maybe", "want confirm or lease"},
		{"up --min-chain many", "invalid argument"},
		{"up --min-chain 0", `"--min-chain" flag: want a number from 1 to 16`},
		{"up --min-chain 4", "minimum chain of 4, want 1 to 3"},
		{"up --replicas -1", `"--replicas" flag: want a number from 0 to 15`},
		{"up --spares 5 --nodes 3", "--spares 5: with --nodes 3 and groups of 3 nodes no group could ever be formed: want at most 0 spares, or more nodes"},
		{"up --ping-interval -1s", `"--ping-interval" flag: want a time from 1ms to 10s`},
		{"up --ping-interval 1ns", `"--ping-interval" flag: want a time from 1ms to 10s`},
		{"up --ping-interval 0s", `"--ping-interval" flag: want a time from 1ms to 10s`},
		{"up --ping-interval soon", `"--ping-interval" flag: want a time from 1ms to 10s`},
		{"up --misses -1", `"--misses" flag: want a number from 1 to 100`},
		{"up --lost-after -1s", `"--lost-after" flag: want a time from 10ms to 24h0m0s`},
		{"up --lost-after 10ms", "want at least 40ms with pings every 50ms"},
		{"up --lease -1s", `"--lease" flag: want a time from 1ms to 1m0s`},
		{"node manager --listen 127.0.0.1:0 --misses 0", `"--misses" flag: want a number from 1 to 100`},
		{"get k --timeout 0s", `"--timeout" flag: want a time from 1ms to`},
		{"get k --manager 127.0.0.1", `"127.0.0.1": want HOST:PORT`},
		{"get k --manager http://127.0.0.1:7400", `want HOST:PORT, without "http://"`},
		{"status --watch --manager 127.0.0.1:99999", "want a port from 1 to 65535"},
		{"status --manager 127.0.0.1:0", "want a port from 1 to 65535"},
		{"drain n --manager :7400", "want a host before the colon"},
		{"get k --manager 127.0.0.1:7400,", `"": want HOST:PORT`},
	} {
		t.Run(c.line, func(t *testing.T) {
			code, stdout, stderr := run(t, "", strings.Fields(c.line)...)
			require.Equal(t, cli.ExitUsage, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c.want)
		})
	}
	t.Setenv(cli.Variable("manager"), "")
	code, _, stderr := run(t, "", "get", "k")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, `the environment variable GTSTORE_MANAGER: "": want HOST:PORT`)
	t.Setenv(cli.Variable("nodes"), "none")
	code, _, stderr = run(t, "", "up")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "the environment variable GTSTORE_NODES: want a number from 1 to 256")
}

func TestDrain(t *testing.T) {
	u := startUp(t, nil, "--nodes", "3", "--replicas", "1", "--spares", "1")
	status := func() (s statusResult) {
		require.NoError(t, json.Unmarshal([]byte(u.ok(t, "status", "-o", "json")), &s))
		return s
	}
	u.ok(t, "put", "key", "value")
	require.Equal(t, []string{"node3"}, status().Spares)
	require.Equal(t, "OK, node1 is drained: it can be stopped\n", u.ok(t, "drain", "node1"))
	s := status()
	require.Equal(t, []string{"node2", "node3"}, s.Groups[0].Chain)
	require.Equal(t, "ok", s.Groups[0].State)
	require.Empty(t, s.Spares, "a drained node is not used again")
	require.True(t, s.Nodes[0].Draining)
	require.Equal(t, "OK, node1 is drained: it can be stopped\n", u.ok(t, "drain", "node1"), "once more changes nothing")
	require.Contains(t, u.ok(t, "status"), "up, drained")

	code, _, stderr := u.on(t, "", "drain", "node2")
	require.Equal(t, cli.ExitUnavailable, code)
	require.Contains(t, stderr, `drain "node2": unavailable: nothing was done: no spare can take its place`)
	after := status()
	require.Equal(t, s.Groups, after.Groups, "nothing is changed")
	require.False(t, after.Nodes[1].Draining)

	stopped, err := os.FindProcess(int(s.Nodes[0].PID))
	require.NoError(t, err)
	require.NoError(t, stopped.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return !alive(int(s.Nodes[0].PID)) }, patience, 5*time.Millisecond)
	require.Equal(t, "value", u.ok(t, "get", "key"))
	require.Equal(t, s.Groups, status().Groups, "nobody misses it")
	require.Regexp(t, `node1 .* gone +- +-\n`, u.ok(t, "status"))
	require.Equal(t, "OK, node1 is drained: it can be stopped\n", u.ok(t, "drain", "node1"), "it is stopped already")

	require.NoError(t, syscall.Kill(int(s.Nodes[2].PID), syscall.SIGKILL))
	require.Eventually(t, func() bool {
		return strings.Contains(u.ok(t, "status"), "1 of 1 groups below strength, 0 spares: start more storage nodes.")
	}, patience, 5*time.Millisecond)
	code, _, stderr = u.on(t, "", "drain", "node2")
	require.Equal(t, cli.ExitUnavailable, code, "the last copy")
	require.Contains(t, stderr, "no spare can take its place")
	require.Equal(t, "value", u.ok(t, "get", "key"))
}

// A node that comes back under its old name is another: the name then means that
// one, and of two that may both live neither.
func TestANameMeansTheNodeThatLives(t *testing.T) {
	s := &netrpc.Status{Nodes: []core.NodeStatus{
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 1}, Name: "node1"}, State: core.NodeGone},
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 2}, Name: "node1"}, State: core.NodeUp},
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 3}, Name: "node2"}, State: core.NodeSilent},
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 4}, Name: "node2"}, State: core.NodeUp},
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 5}, Name: "node3"}, State: core.NodeGone},
	}}
	for name, want := range map[string]core.NodeID{"node1": 2, "node3": 5, core.NodeID(1).String(): 1, core.NodeID(3).String(): 3} {
		n, err := findNode(s, name)
		require.NoError(t, err)
		require.Equal(t, want, n.ID, name)
	}
	_, err := findNode(s, "node2")
	require.ErrorContains(t, err, `2 nodes are named "node2": say which by its id: 0000000000000003 (silent), 0000000000000004 (up)`)
	require.Equal(t, cli.ExitUsage, cli.Code(err))
}

// inProcess runs a manager and storage nodes in this process, under these names, and
// waits until they are registered.
func inProcess(t *testing.T, opt core.ManagerOptions, names ...string) (manager *netrpc.Server, nodes []*netrpc.Server) {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	manager, err := netrpc.ServeManager(listen(), opt, netrpc.Options{})
	require.NoError(t, err)
	t.Cleanup(manager.Close)
	for i, name := range names {
		n, err := netrpc.ServeStorage(listen(), core.StorageOptions{Manager: core.Peer{Addr: manager.Self().Addr}, Name: name}, netrpc.Options{})
		require.NoError(t, err)
		t.Cleanup(n.Close)
		nodes = append(nodes, n)
		require.Eventually(t, func() bool { // one after the other, so that their order is known
			code, stdout, _ := run(t, "", "status", "-o", "json", "--manager", manager.Self().Addr)
			return code == 0 && strings.Count(stdout, `"state":"up"`) == i+1
		}, patience, 5*time.Millisecond)
	}
	return manager, nodes
}

// A node's name is what whoever started it chose.
func TestANodesNameForgesNoRows(t *testing.T) {
	const name = "n\nnode9  127.0.0.1:1  1  up  1  primary\x1b[2J"
	m, _ := inProcess(t, core.ManagerOptions{}, name)
	at := []string{"--manager", m.Self().Addr}
	for _, line := range [][]string{{"put", "k", "v"}, {"status"}, {"status", "-o", "json"}, {"drain", name}, {"forget", name, "--yes"}} {
		_, stdout, stderr := run(t, "", append(line, at...)...)
		require.Contains(t, stdout+stderr, `\x1b[2J`, line)
		require.NotContains(t, stdout+stderr, "\nnode9", line)
		require.NotContains(t, stdout+stderr, "\x1b", line)
	}
}

// endless is an input that never ends. It tells when somebody begins to read it.
type endless struct {
	once    sync.Once
	reading chan struct{}
	end     <-chan struct{} // of the test
}

func (e *endless) Read([]byte) (int, error) {
	e.once.Do(func() { close(e.reading) })
	<-e.end
	return 0, io.EOF
}

// A standard input that does not end must outlive neither --timeout nor a Ctrl-C.
func TestAStandardInputThatDoesNotEnd(t *testing.T) {
	m, _ := inProcess(t, core.ManagerOptions{}, "node1")
	at := []string{"--manager", m.Self().Addr}
	for _, c := range []struct {
		name      string
		line      []string
		interrupt bool
	}{
		{"put ends at the time-out", append([]string{"put", "k", "-", "--timeout", "1s"}, at...), false},
		{"cas", append([]string{"cas", "k", "0", "-", "--timeout", "1h"}, at...), true},
		{"replay", []string{"replay", "-"}, true},
		{"view", []string{"view", "-"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			in := &endless{reading: make(chan struct{}), end: t.Context().Done()}
			if c.interrupt {
				go func() {
					<-in.reading
					interrupt()
				}()
			}
			var stdout, stderr bytes.Buffer
			require.Equal(t, cli.ExitError, cli.Execute(ctx, newRoot(), c.line, in, &stdout, &stderr), "%s", &stderr)
			require.Contains(t, stderr.String(), "on standard input did not end: gave up reading it, and did nothing")
			require.Empty(t, stdout.String())
		})
	}
	code, _, stderr := run(t, "", append([]string{"get", "k"}, at...)...)
	require.Equal(t, cli.ExitNotFound, code, stderr)
}

// stopProcess stops a process until the test ends. The signal takes effect only when one of
// its threads runs next, and the others go on until then.
func stopProcess(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	stopped := regexp.MustCompile(`\) [Tt] `)
	require.Eventually(t, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return err == nil && !slices.ContainsFunc(threads, func(file string) bool {
			stat, err := os.ReadFile(file)
			return err == nil && !stopped.Match(stat)
		})
	}, patience, time.Millisecond)
}

// A command that takes long says for what it waits.
func TestACommandThatWaitsSaysForWhat(t *testing.T) {
	u := startUp(t, nil, "--nodes", "1", "--replicas", "0")
	u.ok(t, "put", "key", "value")
	pid := int(u.status.Nodes[0].PID)
	stopProcess(t, pid)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr lockedBuffer
	code := make(chan int)
	go func() {
		line := []string{"put", "key", "value", "--manager", u.status.Manager.Addr, "--timeout", "1h"}
		code <- cli.Execute(ctx, newRoot(), line, nil, &stdout, &stderr)
	}()
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`gtstore: still waiting after \d+s: group 1 is unavailable\n`).MatchString(stderr.String())
	}, 2*patience, 10*time.Millisecond, "%s", &stderr)
	interrupt()
	require.Equal(t, cli.ExitUnavailable, <-code, "no session was opened: nothing was sent")
}

func TestADrainSaysHowFarItIs(t *testing.T) {
	s := &netrpc.Status{
		Nodes:  []core.NodeStatus{{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 1}, Name: "node1"}, Group: 2}, {NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 2}, Name: "node2"}}},
		Groups: []core.GroupStatus{{Group: 1}, {Group: 2, Chain: []core.NodeID{1}}},
	}
	require.Equal(t, "no spare joins group 2 yet", drainText(s, 1))
	s.Groups[1].Join = &core.JoinStatus{Node: 2, Age: time.Second, Progress: core.JoinProgress{Bytes: 1 << 20, BytesTotal: 2 << 20, Keys: 5, KeysTotal: 10}}
	require.Equal(t, "node2 joins group 2: 50%, 5 of 10 keys, 1.0 MiB of 2.0 MiB, about 1s left", drainText(s, 1))
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Who reads that a write failed tries it again: what was done must not look like that.
func TestAWriteWhoseResultCannotBePrintedIsSaidToBeDone(t *testing.T) {
	m, _ := inProcess(t, core.ManagerOptions{}, "node1")
	for _, format := range []string{"text", "json"} {
		var stderr bytes.Buffer
		line := []string{"put", "k", "v", "-o", format, "--manager", m.Self().Addr}
		require.Equal(t, cli.ExitError, cli.Execute(t.Context(), newRoot(), line, nil, full{}, &stderr))
		require.Regexp(t, `^gtstore: it was done, by node1 at version \d+, but that cannot be printed: no space left on device\n$`, stderr.String())
	}
}
