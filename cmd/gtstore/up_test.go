package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
)

// However up has ended, the next one with the same directory finds all of it again: the
// nodes are who they were, and each group has the members that it had, in their order.
func TestUpFindsItsClusterAgain(t *testing.T) {
	const keys = 20
	dir := t.TempDir()
	u := startUp(t, nil, "--dir", dir, "--nodes", "4", "--replicas", "1")
	for i := range keys {
		u.ok(t, "put", fmt.Sprint("key", i), fmt.Sprint("value", i))
	}
	was := u.now(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM} {
		require.NoError(t, u.cmd.Process.Signal(s))
		_ = u.cmd.Wait()
		u.gone(t) // who is killed does not wait for what it started, and that holds the directories while it ends
		u = startUp(t, nil, "--dir", dir, "--replicas", "1")
		is := u.now(t)
		require.Equal(t, was.Cluster, is.Cluster)
		require.Equal(t, idsOf(was), idsOf(is), "after %v", s)
		require.Equal(t, chainsOf(was), chainsOf(is), "after %v", s)
		for i := range keys {
			require.Equal(t, fmt.Sprint("value", i), u.ok(t, "get", fmt.Sprint("key", i)))
		}
	}
}

// upFails runs an up that does not come to run a cluster, in a process of its own: what up
// starts is the program that it is itself, and in the process of the test that is the test.
func upFails(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience) // or one that runs a cluster after all never ends
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"up", "--base-port", "0"}, args...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, string(out))
	return cmd.ProcessState.ExitCode(), string(out)
}

func (u *running) now(t *testing.T) (s statusResult) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(u.ok(t, "status", "-o", "json")), &s))
	return s
}

func idsOf(s statusResult) map[string]string {
	list := map[string]string{}
	for _, n := range s.Nodes {
		list[n.Name] = n.ID
	}
	return list
}

func chainsOf(s statusResult) (list [][]string) {
	for _, g := range s.Groups {
		list = append(list, g.Chain)
	}
	return list
}

// The second up may have more nodes, and other flags. It must not leave out a node that
// has data, nor begin without the manager's.
func TestUpGoesOnWithOtherFlags(t *testing.T) {
	dir := t.TempDir()
	u := startUp(t, nil, "--dir", dir, "--nodes", "3", "--replicas", "1")
	u.ok(t, "put", "key", "value")
	first := u.now(t)
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())

	for _, c := range []struct{ line, want string }{
		{"--nodes 2 --replicas 1", "node3 has data in " + dir + ": start at least 3 nodes"},
		{"--replicas 3", "there are 3 in " + dir + ": say --replicas 2, or --nodes 4"},
	} {
		code, stderr := upFails(t, append([]string{"--dir", dir}, strings.Fields(c.line)...)...)
		require.Equal(t, cli.ExitUsage, code, stderr)
		require.Contains(t, stderr, c.want)
	}

	u = startUp(t, nil, "--dir", dir, "--nodes", "4", "--replicas", "2") // one more of each
	require.Equal(t, "value", u.ok(t, "get", "key"))
	var s statusResult
	require.Eventually(t, func() bool {
		s = u.now(t)
		return len(s.Groups[0].Chain) == 3
	}, patience, time.Millisecond, "the group gets another replica from the spares")
	require.Equal(t, first.Groups[0].Chain, s.Groups[0].Chain[:2])
	require.Len(t, s.Nodes, 4)
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())

	u = startUp(t, nil, "--dir", dir, "--replicas", "1", "--reads", "lease", "--min-chain", "2")
	require.Equal(t, s.Groups[0].Chain, u.now(t).Groups[0].Chain, "and keeps it")
	require.Eventually(t, func() bool {
		g := u.now(t).Groups[0]
		return g.Reads == "lease" && g.MinChain == 2
	}, patience, time.Millisecond, "the group serves and admits as it is told now")
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())

	aside := t.TempDir() + "/manager"
	require.NoError(t, os.Rename(filepath.Join(dir, "manager"), aside))
	code, stderr := upFails(t, "--dir", dir, "--replicas", "1")
	require.Equal(t, cli.ExitError, code, stderr)
	require.Contains(t, stderr, "but the manager has none")
	require.NoError(t, os.Rename(aside, filepath.Join(dir, "manager")))
	u = startUp(t, nil, "--dir", dir, "--replicas", "1")
	require.Equal(t, "value", u.ok(t, "get", "key"))
}

// A cluster keeps the placement that it was made with, whether or not the next up says it,
// and refuses another. Its keys come into a cluster of another one by a backup. Where clients
// look for a key is never said to them.
func TestUpKeepsItsPlacement(t *testing.T) {
	code, stderr := upFails(t, "--placement", "slots=100")
	require.Equal(t, cli.ExitUsage, code, stderr)
	require.Contains(t, stderr, `"slots=100" for "--placement" flag: want key, or slots=N with a power of two from 2 to 65536`)

	dir := t.TempDir()
	u := startUp(t, nil, "--dir", dir, "--nodes", "2", "--replicas", "0", "--placement", "slots=2")
	u.ok(t, "put", "{1}a", "one") // the digits 1 and 2 are in different slots
	u.ok(t, "put", "{2}a", "two")
	u.ok(t, "put", "{1}b", "three")
	s := u.now(t)
	require.Equal(t, []any{"slots=2", uint64(2), "slots=2"}, []any{s.Placement, s.Mapped, u.status.Placement})
	require.Contains(t, u.ok(t, "status"), "keys, 2 of 2 slots mapped\n")
	file := filepath.Join(t.TempDir(), "backup")
	u.ok(t, "backup", file)
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())

	for _, other := range []string{"key", "slots=4"} {
		_, stderr = upFails(t, "--dir", dir, "--replicas", "0", "--placement", other)
		require.Contains(t, stderr, "the placement of a cluster never changes: it is slots=2, and "+other+" was asked for.\n")
		require.Contains(t, stderr, "Leave --placement out.")
	}
	for _, same := range [][]string{nil, {"--placement", "slots=2"}} {
		u = startUp(t, nil, append(same, "--dir", dir, "--replicas", "0")...)
		require.Equal(t, "slots=2", u.status.Placement)
		require.Equal(t, "three", u.ok(t, "get", "{1}b"))
		require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, u.cmd.Wait())
	}
	for _, m := range disksOf(t, cli.ExitOK, dir) {
		if m.Directory != nil {
			require.Equal(t, []any{"slots=2", 2}, []any{m.Directory.Placement, m.Directory.Units})
			require.Contains(t, m.text(), "placement slots=2, 2 slots mapped")
		}
	}

	u = startUp(t, nil, "--nodes", "2", "--replicas", "0")
	u.ok(t, "restore", file)
	require.Equal(t, "two", u.ok(t, "get", "{2}a"))
	s = u.now(t)
	require.Equal(t, []any{"key", uint64(3)}, []any{s.Placement, s.Mapped})
	require.NotContains(t, u.ok(t, "status"), "slots")
}

// A directory that was copied is refused, unless somebody says that it was moved.
func TestUpTakesADirectoryThatWasMoved(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "moved")
	u := startUp(t, nil, "--dir", dir, "--nodes", "2", "--replicas", "1")
	u.ok(t, "put", "key", "value")
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())
	out, err := exec.Command("cp", "-a", dir, other).CombinedOutput()
	require.NoError(t, err, string(out))
	code, stderr := upFails(t, "--dir", other, "--replicas", "1")
	require.Equal(t, cli.ExitError, code, stderr)
	require.Contains(t, stderr, "say so with --moved")
	u = startUp(t, nil, "--dir", other, "--replicas", "1", "--moved")
	require.Equal(t, "value", u.ok(t, "get", "key"))
}

// A node of whose directory only a part is left, the last one too, is not left out: that would
// be a copy less of what it has, and nobody told.
func TestUpDoesNotLeaveOutANodeOfWhichAPartIsGone(t *testing.T) {
	dir := t.TempDir()
	u := startUp(t, nil, "--dir", dir, "--nodes", "3", "--replicas", "1")
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())
	for _, name := range []string{"node3", "manager"} {
		descriptor := filepath.Join(dir, name, "gtstore.json")
		require.NoError(t, os.Rename(descriptor, descriptor+".away"))
		code, stderr := upFails(t, "--dir", dir, "--replicas", "1")
		require.Equal(t, cli.ExitError, code, stderr)
		require.Contains(t, stderr, filepath.Join(dir, name)+": it is a copy, or gtstore.json was removed")
		require.NotContains(t, stderr, "--base-port")
		require.NoError(t, os.Rename(descriptor+".away", descriptor))
	}
	u = startUp(t, nil, "--dir", dir, "--replicas", "1")
	require.Len(t, u.now(t).Nodes, 3)
}

// A node that ends while the cluster is starting never comes up: nobody waits for it.
func TestUpDoesNotWaitForANodeThatHasEnded(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		u := startUp(t, nil, "--dir", dir, "--nodes", "2", "--replicas", "1")
		require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, u.cmd.Wait())
	}
	require.NoError(t, os.RemoveAll(filepath.Join(dirs[0], "node2")))
	require.NoError(t, os.Rename(filepath.Join(dirs[1], "node2"), filepath.Join(dirs[0], "node2")))
	code, stderr := upFails(t, "--dir", dirs[0], "--replicas", "1")
	require.Equal(t, cli.ExitError, code, stderr)
	require.Contains(t, stderr, "the manager is of another cluster than this node's data")
	require.Contains(t, stderr, "gtstore: node2 has ended (exit status 1) before the cluster was up: what it said stands above")
}

// Nobody's files are mixed with a cluster's: a new one is founded only where nothing else is. What
// is refused stays as it was.
func TestUpFoundsNoClusterAmongOtherFiles(t *testing.T) {
	dir := t.TempDir()
	u := startUp(t, nil, "--dir", dir, "--nodes", "1", "--replicas", "0")
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())
	file := write(t, "hosts", "127.0.0.1 localhost\n")
	other := filepath.Dir(file)
	require.NoError(t, os.Mkdir(filepath.Join(other, "manager"), 0o700))
	for _, c := range []struct{ dir, want string }{
		{filepath.Join(dir, "node1"), "it has the data of a single node"},
		{filepath.Join(dir, "manager"), "it has the data of a single node"},
		{other, `there is "hosts" in it; choose an empty one`},
		{file, "cannot be read"},
	} {
		was := treeOf(t, c.dir)
		for _, more := range [][]string{nil, {"--tls"}, {"--moved"}, {"--managers", "3"}} {
			code, stderr := upFails(t, append(more, "--dir", c.dir, "--nodes", "1", "--replicas", "0")...)
			require.Equal(t, cli.ExitError, code, stderr)
			require.Contains(t, stderr, "--dir "+c.dir+": ")
			require.Contains(t, stderr, c.want)
			require.Equal(t, was, treeOf(t, c.dir), "nothing is written")
		}
	}

	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes"), []byte("of whoever has the cluster"), 0o600))
	u = startUp(t, nil, "--dir", dir, "--replicas", "0")
	require.Len(t, u.now(t).Nodes, 1, "its own goes on")
	begun := t.TempDir()
	for _, name := range []string{"lost+found", "certs", "manager", "manager3", "node1"} {
		require.NoError(t, os.Mkdir(filepath.Join(begun, name), 0o700))
	}
	require.NoError(t, (&upFlags{dir: begun, managers: 1}).resume(false, false), "and one that did not come far")
	require.NoError(t, (&upFlags{dir: filepath.Join(begun, "new"), managers: 1}).resume(false, false))
}

// treeOf lists all that is in a directory.
func treeOf(t *testing.T, dir string) (list []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		list = append(list, name)
		return err
	}))
	return list
}

// Other ports are the advice only where a process ended because another has its port.
func TestUpAdvisesOtherPortsWhereOneIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := upFlags{basePort: l.Addr().(*net.TCPAddr).Port}
	ended := fmt.Errorf("manager %w", errEnded)
	require.ErrorContains(t, f.hint(ended), "--base-port")
	require.EqualError(t, f.hint(errors.New("interrupted")), "interrupted")
	require.NoError(t, f.hint(nil, nil))
	require.NoError(t, l.Close())
	require.EqualError(t, f.hint(ended), ended.Error())
}

// A node whose directory was removed begins anew, and the group fills it.
func TestUpReplacesANodeWhoseDirectoryIsGone(t *testing.T) {
	dir := t.TempDir()
	u := startUp(t, nil, "--dir", dir, "--nodes", "3", "--replicas", "2")
	u.ok(t, "put", "key", "value")
	first := u.now(t)
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "node1")))

	u = startUp(t, nil, "--dir", dir)
	require.Equal(t, "value", u.ok(t, "get", "key"))
	require.Eventually(t, func() bool {
		s := u.now(t)
		return len(s.Groups[0].Chain) == 3 && slices.ContainsFunc(s.Nodes, func(n statusNode) bool {
			return n.Name == "node1" && n.ID != idsOf(first)["node1"] && n.Group == 1
		})
	}, patience, time.Millisecond, "a new node1 takes the place of the old one")
}
