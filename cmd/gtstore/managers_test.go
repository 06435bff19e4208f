package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
)

// all are the addresses of a cluster's managers.
func (u *running) all() string {
	var list []string
	for _, m := range u.status.Managers {
		list = append(list, m.Addr)
	}
	return strings.Join(list, ",")
}

// byAll runs a command on a cluster, of which all managers are named.
func (u *running) byAll(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t, "", append(args, "--manager", u.all(), "--timeout", patience.String())...)
	require.Zero(t, code, "%v: %s", args, stderr)
	return stdout
}

// With three managers the leading one can be killed. The status shows who leads, and who is
// silent.
func TestUpWithSeveralManagers(t *testing.T) {
	u := startUp(t, nil, "--managers", "3", "--nodes", "3", "--replicas", "1")
	require.Len(t, u.status.Managers, 3)
	require.NotContains(t, u.pids(), 0)
	u.byAll(t, "put", "key", "value")
	require.Equal(t, "value", u.ok(t, "get", "key"), "by the address of one")
	leader := u.status.Manager
	require.NoError(t, syscall.Kill(int(leader.PID), syscall.SIGKILL))
	u.byAll(t, "put", "another key", "value")
	var s statusResult
	require.Eventually(t, func() bool {
		s = statusResult{}
		require.NoError(t, json.Unmarshal([]byte(u.byAll(t, "status", "-o", "json")), &s))
		return slices.ContainsFunc(s.Managers, func(m statusMember) bool { return m.Silent && m.Addr == leader.Addr })
	}, patience, 10*time.Millisecond)
	require.NotEqual(t, leader.Addr, s.Manager.Addr)
	require.Greater(t, s.Term, u.status.Term)
	require.Regexp(t, `manager `+s.Manager.Addr+` \(pid \d+\), which leads in term \d+, `, u.byAll(t, "status"))
	require.Regexp(t, leader.Addr+` +silent +\d+\n`, u.byAll(t, "status"))
	text := u.byAll(t, "managers")
	require.Regexp(t, s.Manager.Addr+` +leads +0\n`, text)
	require.Equal(t, 1, strings.Count(text, "follows"))
	code, _, stderr := run(t, "", "managers", "remove", "nobody", "--manager", u.all())
	require.Equal(t, cli.ExitNotFound, code, stderr)
	code, _, stderr = run(t, "", "managers", "add", "nowhere", "--manager", u.all())
	require.Equal(t, cli.ExitUsage, code, stderr)
	require.Contains(t, stderr, `gtstore: the manager's address "nowhere": want HOST:PORT`)
	for _, args := range [][]string{{"add", s.Manager.Addr}, {"replace", leader.Addr, s.Manager.Addr}} { // they would be fewer
		code, _, stderr := run(t, "", append([]string{"managers"}, append(args, "--manager", u.all())...)...)
		require.Equal(t, cli.ExitUsage, code, stderr)
		require.Contains(t, stderr, "is one of them already")
	}
	require.NotContains(t, u.byAll(t, "managers", "remove", leader.Addr), leader.Addr)
}

// However up has ended, the next one finds all managers again, though they have other
// addresses, and as many as there are.
func TestUpFindsSeveralManagersAgain(t *testing.T) {
	dir := t.TempDir()
	u := startUp(t, nil, "--dir", dir, "--managers", "3", "--nodes", "3", "--replicas", "1")
	u.byAll(t, "put", "key", "value")
	ids := func(s statusResult) (list []string) {
		for _, m := range s.Managers {
			list = append(list, m.ID)
		}
		slices.Sort(list)
		return list
	}
	was := u.status
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		require.NoError(t, u.cmd.Process.Signal(s))
		_ = u.cmd.Wait()
		u.gone(t)
		u = startUp(t, nil, "--dir", dir, "--replicas", "1")
		require.Equal(t, was.Cluster, u.status.Cluster)
		require.Equal(t, ids(was), ids(u.status), "after %v", s)
		require.Equal(t, "value", u.byAll(t, "get", "key"))
		u.byAll(t, "put", "after "+s.String(), "")
	}
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	_ = u.cmd.Wait()
	u.gone(t)
	code, stderr := upFails(t, "--dir", dir, "--managers", "1")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "there are the data of 3")
	code, stdout, stderr := run(t, "", "disk", filepath.Join(dir, "manager1"))
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "One of several managers")
}

func TestUpWantsAnOddNumberOfManagers(t *testing.T) {
	code, stderr := upFails(t, "--managers", "2")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "want 1, 3 or 5")
}
