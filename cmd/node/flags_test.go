package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
)

func TestWrongCommandLines(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, c := range []struct {
		line string
		code int
		want string
	}{
		{"manager", cli.ExitUsage, "--listen is missing"},
		{"manager --listen 127.0.0.1", cli.ExitUsage, "want HOST:PORT"},
		{"manager --listen 127.0.0.1:99999", cli.ExitUsage, "want a port from 1 to 65535"},
		{"manager --listen 127.0.0.1:0 --advertise foo:bar", cli.ExitUsage, `"foo:bar": want a port from 1 to 65535`},
		{"manager --listen 127.0.0.1:0 --advertise foo:0", cli.ExitUsage, "want a port from 1 to 65535"},
		{"manager --listen 127.0.0.1:0 --advertise foo:99999", cli.ExitUsage, "want a port from 1 to 65535"},
		{"manager --listen 127.0.0.1:0 --advertise 0.0.0.0:7400", cli.ExitUsage, "is no address that others can reach"},
		{"manager --listen :0", cli.ExitUsage, "say with --advertise"},
		{"manager --listen 0.0.0.0:0", cli.ExitUsage, "say with --advertise"},
		{"manager --listen 127.0.0.1:0 --dir /dev/null", cli.ExitError, "is no directory"},
		{"storage --listen 127.0.0.1:0 --manager 127.0.0.1:7400 --dir /dev/null/data", cli.ExitError, "is no directory"},
		{"manager --listen 127.0.0.1:0 --moved", cli.ExitUsage, "name it with --dir"},
		{"manager --listen 127.0.0.1:0 --dir=", cli.ExitUsage, "want the name of a directory: leave the flag out for none"},
		{"manager --listen 127.0.0.1:0 --replicas 99", cli.ExitUsage, "want a number from 0 to 15"},
		{"manager --listen 127.0.0.1:0 --replicas 1 --min-chain 3", cli.ExitUsage, "minimum chain of 3, want 1 to 2"},
		{"manager --listen 127.0.0.1:0 --on-group-loss weep", cli.ExitUsage, "want halt or continue"},
		{"manager --listen " + taken.Addr().String(), cli.ExitError, "the port is in use"},
		{"storage --listen 127.0.0.1:0", cli.ExitUsage, "--manager is missing: say where the manager is"},
		{"storage --listen 127.0.0.1:0 --manager http://127.0.0.1:7400", cli.ExitUsage, `want HOST:PORT, without "http://"`},
		{"storage --listen 127.0.0.1:0 --manager 127.0.0.1:1 --name " + strings.Repeat("n", 65), cli.ExitUsage, "name of 65 bytes, at most 64"},
		{"storage --listen 127.0.0.1:0 --manager 127.0.0.1:1,127.0.0.1:2", cli.ExitUsage, "want one [NAME@]HOST:PORT; several are named with --managers"},
		{"storage --listen 127.0.0.1:0 --manager 127.0.0.1:1 --managers 127.0.0.1:1", cli.ExitUsage, "leave one of them out"},
		{"storage --nonsense", cli.ExitUsage, "unknown flag: --nonsense"},
		{"paint", cli.ExitUsage, `unknown command "paint"`},
	} {
		cmd := exec.Command(os.Args[0], strings.Fields(c.line)...)
		cmd.Env = append(os.Environ(), asNode+"=1")
		out, err := cmd.CombinedOutput()
		require.Error(t, err, c.line)
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%s: %s", c.line, out)
		require.Contains(t, string(out), c.want)
	}
}

// A storage node that is asked to end says farewell; its group goes on without
// it, and nobody takes it for a crash.
func TestSIGTERMEndsANodeInGoodOrder(t *testing.T) {
	c := startCluster(t, 3, "--replicas", "2")
	c.put("key", "value")
	primary := c.chain(1)[0]
	primary.signal(syscall.SIGTERM)
	require.Zero(t, primary.exitCode())
	require.Equal(t, "value", c.get("key"))
	require.Len(t, c.status().Groups[0].Chain, 2)
	require.Contains(t, c.manager.stderr.String(), "level=INFO msg=\"a node is gone with its data: it has stopped in good order, or was forgotten\"")
	c.manager.signal(syscall.SIGINT)
	require.Zero(t, c.manager.exitCode())
	require.NotContains(t, c.manager.stderr.String(), "level=WARN", "nothing is wrong")
}

func TestSettingsComeFromTheEnvironmentToo(t *testing.T) {
	t.Setenv(cli.Variable("replicas"), "0")
	t.Setenv(cli.Variable("log-format"), "json")
	c := startCluster(t, 1)
	c.put("key", "value")
	require.Contains(t, c.manager.stderr.String(), `"replicas":"0"`, "they are told at the start")
}

func TestSettingsComeFromAFileToo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "manager.yaml")
	require.NoError(t, os.WriteFile(name, []byte("replicas: 0\nlog-format: json\nlost-after: 7s\n"), 0o600))
	t.Setenv(cli.Variable("lost-after"), "8s")
	m := startProcess(t, "manager", "manager", "--listen", "127.0.0.1:0", "--config", name)
	require.Eventually(t, func() bool { return strings.Contains(m.stderr.String(), `"replicas":"0"`) }, patience, time.Millisecond)
	require.Contains(t, m.stderr.String(), `"lost-after":"8s"`, "the environment counts before it")

	require.NoError(t, os.WriteFile(name, []byte("replicas: 0\nreplica: 1\n"), 0o600))
	m = launch(t, "manager", exec.Command(os.Args[0], "manager", "--listen", "127.0.0.1:0", "--config", name), nil)
	require.Equal(t, cli.ExitUsage, m.exitCode())
	require.Contains(t, m.stderr.String(), name+`:2: there is no setting "replica"`)
}

// A storage node of another cluster at a manager's address is refused, and the
// refused one says so and goes on trying.
func TestANodeOfAnotherClusterIsRefused(t *testing.T) {
	a := startCluster(t, 1, "--replicas", "0")
	b := startCluster(t, 1, "--replicas", "0")
	a.put("key", "a")
	b.put("key", "b")
	// The manager of a ends; that of another cluster takes its address.
	a.manager.kill()
	<-a.manager.exited
	intruder := startProcess(t, "manager", "manager", "--listen", a.manager.addr, "--replicas", "0")
	require.Equal(t, a.manager.addr, intruder.addr)
	a.eventually(func() bool {
		return strings.Contains(intruder.stderr.String(), "refused a message for another node or cluster")
	},
		"the new manager refuses the old node: %s", &intruder.stderr)
	require.Equal(t, "a", a.get("key"), "mapped keys go on being served")
	require.Equal(t, "b", b.get("key"))
}
