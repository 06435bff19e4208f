package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// council is a cluster with several managers.
type council struct {
	*durable
	managers []*member
}

// startCouncil starts so many managers at once, with these flags, and then storage nodes.
// Without a directory all are in memory mode.
func startCouncil(t testing.TB, dir string, managers, nodes int, flags ...string) *council {
	t.Helper()
	c := &council{durable: &durable{cluster: &cluster{t: t, several: freeAddresses(t, managers)}, dir: dir}}
	for i, address := range c.several {
		m := &member{args: append([]string{"manager", "--managers", strings.Join(c.several, ",")}, flags...)}
		name := fmt.Sprint("manager", i+1)
		if dir != "" {
			m.dir = filepath.Join(dir, name)
			m.args = append(m.args, "--dir", m.dir)
		}
		m.process = launchAt(t, name, m.command(address), address)
		c.managers = append(c.managers, m)
	}
	for _, m := range c.managers {
		m.ready()
	}
	c.all = []*member{c.managers[0]} // of these durable knows the first as the manager
	c.client = c.dial()
	for i := range nodes {
		c.storage(fmt.Sprint("node", i+1))
	}
	c.eventually(func() bool { return c.up() == nodes }, "%d nodes are up", nodes)
	return c
}

// freeAddresses are addresses where nobody listens: managers must know each other's before any
// of them listens.
func freeAddresses(t testing.TB, count int) (list []string) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		list = append(list, l.Addr().String())
	}
	return list
}

// leads is the manager that leads.
func (c *council) leads() *member {
	c.t.Helper()
	s := c.status()
	i := slices.IndexFunc(c.managers, func(m *member) bool { return uint64(m.cmd.Process.Pid) == s.Process })
	require.GreaterOrEqual(c.t, i, 0, "no manager is process %d", s.Process)
	return c.managers[i]
}

// restart starts managers that have ended again.
func (c *council) restart(list ...*member) {
	for _, m := range list {
		m.launch()
	}
	for _, m := range list {
		m.ready()
	}
}

// try puts a key within a time.
func (c *council) try(key string, most time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	_, err := c.client.Put(ctx, key, nil)
	return err
}

// modes are run with data on disk, and in memory.
func modes(t *testing.T, f func(t *testing.T, dir string)) {
	t.Run("in memory", func(t *testing.T) { f(t, "") })
	t.Run("on disk", func(t *testing.T) { f(t, t.TempDir()) })
}

// The leading manager is killed under load, and a storage node soon after. No operation on a
// key that was mapped fails, a new key is mapped, and the group is repaired.
func TestTheLeadingManagerIsKilled(t *testing.T) {
	modes(t, func(t *testing.T, dir string) {
		c := startCouncil(t, dir, 3, 4, "--replicas", "2")
		l := c.startLoad(6, keysOf(0)...)
		l.grow(300) // all of them are mapped
		leader := c.leads()
		at := leader.kill()
		<-leader.exited
		c.put("a new key", "value")
		t.Logf("a new key is acknowledged %v after the kill", time.Since(at).Round(time.Millisecond))
		require.NotSame(t, leader, c.leads())
		c.chain(1)[2].kill()
		c.eventually(func() bool {
			s := c.look()
			return s != nil && len(s.Groups[0].Chain) == 3 && s.Groups[0].State == core.GroupOK && s.Groups[0].Epoch > 2
		}, "the spare is a member")
		l.grow(200)
		l.stop()
		require.Equal(t, "value", c.get("a new key"))
	})
}

// All managers are killed and started again on their data: they go on, whatever became of the
// nodes' word meanwhile. In memory all of it has ended, and they found another cluster, in
// which nobody of the former one is.
func TestAllManagersAreStartedAgain(t *testing.T) {
	modes(t, func(t *testing.T, dir string) {
		c := startCouncil(t, dir, 3, 3, "--replicas", "2")
		c.put("key", "value")
		was := c.status()
		for _, m := range c.managers {
			m.end()
		}
		require.Equal(t, "value", c.get("key"), "a mapped key needs no manager")
		c.restart(c.managers...)
		if dir == "" {
			c.client = c.dial()
			is := c.status()
			require.NotEqual(t, was.Cluster, is.Cluster)
			require.Empty(t, is.Nodes)
			return
		}
		require.NoError(t, c.try("a new key", patience))
		is := c.status()
		require.Equal(t, was.Cluster, is.Cluster)
		require.Greater(t, is.Term, was.Term)
		require.Equal(t, idsOfManagers(was.Managers), idsOfManagers(is.Managers))
		c.whole(1, 3)
	})
}

func idsOfManagers(list []core.ManagerStatus) (ids []core.NodeID) {
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// A minority of five managers is down: nobody notices. Then a majority is: keys that are mapped
// are served, a new one is unavailable until enough managers are back.
func TestTooFewManagersAreLeft(t *testing.T) {
	c := startCouncil(t, t.TempDir(), 5, 3, "--replicas", "2")
	l := c.startLoad(4, keysOf(0)...)
	l.grow(300) // all of them are mapped
	leader := c.leads()
	others := slices.DeleteFunc(slices.Clone(c.managers), func(m *member) bool { return m == leader })
	for _, m := range []*member{leader, others[0]} {
		m.end()
	}
	l.grow(100)
	c.put("another key", "")
	others[1].end()
	l.grow(100)
	err := c.try("a third key", 2*time.Second)
	require.ErrorIs(t, err, netrpc.ErrUnavailable)
	require.ErrorContains(t, err, "more than half of them must be up")
	c.restart(others[0])
	require.NoError(t, c.try("a third key", patience))
	c.restart(leader, others[1])
	l.grow(100)
	l.stop()
	c.whole(1, 3)
}

// A manager that lost its data is not the former one. It founds no other cluster, says that it
// waits, and is taken in by the others; then another one can be missed.
func TestAManagerWithoutItsDataIsTakenIn(t *testing.T) {
	modes(t, func(t *testing.T, dir string) {
		c := startCouncil(t, dir, 3, 3, "--replicas", "2")
		c.put("key", "value")
		was := c.status()
		for i, m := range c.managers { // each of them
			former := c.idAt(m.addr)
			m.end()
			if dir != "" {
				m.args = slices.Clone(m.args)
				m.args[len(m.args)-1] = filepath.Join(dir, fmt.Sprint("anew", i))
			}
			c.restart(m)
			c.eventually(func() bool { return c.agree(3) && c.idAt(m.addr) != former }, "it is taken in, and has all")
			require.Equal(t, 1, strings.Count(m.stderr.String(), "waits to be taken in"), "once: %s", &m.stderr)
			require.NoError(t, c.try(fmt.Sprint("a new key ", i), patience))
		}
		c.managers[1].end()
		require.NoError(t, c.try("one more key", patience), "the other two are a majority")
		require.Equal(t, was.Cluster, c.status().Cluster)
		require.Equal(t, "value", c.get("key"))
	})
}

// idAt is the id of the manager at an address, 0 if none is listed there.
func (c *council) idAt(addr string) core.NodeID {
	for _, m := range c.status().Managers {
		if m.Addr == addr {
			return m.ID
		}
	}
	return 0
}

// agree tells whether there are so many managers, and each has all.
func (c *council) agree(count int) bool {
	s := c.look()
	return s != nil && len(s.Managers) == count && !slices.ContainsFunc(s.Managers, func(m core.ManagerStatus) bool { return m.Lag > 0 || m.Silent || m.Leaving })
}

// An operator puts a manager at another address in the place of one, also of the one that
// leads, which can be stopped then; adds one, and removes it.
func TestAnOperatorHasOtherManagers(t *testing.T) {
	c := startCouncil(t, "", 3, 3, "--replicas", "2")
	c.put("key", "")
	change := func(add string, remove core.NodeID) {
		var peers []core.Peer
		var ids []core.NodeID
		require.NoError(t, within(func(ctx context.Context) error {
			if add != "" {
				p, err := netrpc.AskManager(ctx, add)
				require.NoError(t, err)
				peers = append(peers, p)
			}
			if remove != 0 {
				ids = append(ids, remove)
			}
			return c.client.ChangeManagers(ctx, peers, ids)
		}))
	}
	leader := c.leads()
	others := slices.DeleteFunc(slices.Clone(c.several), func(a string) bool { return a == leader.addr })
	list := append(freeAddresses(t, 2), others...)
	var added []*member
	for i, address := range list[:2] {
		m := &member{args: []string{"manager", "--replicas", "2", "--managers", strings.Join(list, ",")}}
		m.process = launchAt(t, fmt.Sprint("added", i+1), m.command(address), address)
		m.ready()
		added = append(added, m)
	}
	change(added[0].addr, c.idAt(leader.addr))
	require.NotEqual(t, leader.addr, c.status().Manager.Addr)
	require.Zero(t, c.idAt(leader.addr))
	leader.end()
	require.NoError(t, c.try("a new key", patience))
	change(added[1].addr, 0)
	c.eventually(func() bool { return c.agree(4) }, "it is one of four")
	change("", c.idAt(added[1].addr))
	c.eventually(func() bool { return c.agree(3) }, "there are three again")
	added[1].end()
	require.NoError(t, c.try("another key", patience))
	c.whole(1, 3)
}

// A leader that is stopped is followed by another one. When it goes on it is believed by nobody.
func TestTheLeadingManagerIsStopped(t *testing.T) {
	c := startCouncil(t, "", 3, 3, "--replicas", "2")
	c.put("key", "")
	leader := c.leads()
	term := c.status().Term
	leader.signal(syscall.SIGSTOP)
	c.eventually(func() bool {
		s := c.look()
		return s != nil && s.Term > term
	}, "another one leads")
	require.NoError(t, c.try("a new key", patience))
	leader.signal(syscall.SIGCONT)
	require.NoError(t, c.try("another key", patience))
	c.eventually(func() bool {
		s := c.status()
		return len(s.Managers) == 3 && !slices.ContainsFunc(s.Managers, func(m core.ManagerStatus) bool { return m.Silent || m.Lag > 0 })
	}, "it follows")
	require.Contains(t, leader.stderr.String(), "this manager leads no more")
}

// Managers that cannot found a cluster together say why.
func TestManagersWithOtherListsFoundNothing(t *testing.T) {
	a := freeAddresses(t, 4)
	list := strings.Join(a[:3], ",")
	for _, c := range []struct {
		name, address string
		args          []string
		says          string
	}{
		{"a list without itself", a[3], []string{"--managers", list}, "lacks this manager"},
		{"one named twice", a[0], []string{"--managers", list + "," + a[1]}, "twice"},
		{"too many", a[0], []string{"--managers", strings.Repeat(a[0]+",", 15) + a[0]}, "at most 15"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := launch(t, "manager", (&member{args: append([]string{"manager"}, c.args...)}).command(c.address), nil)
			require.Equal(t, 2, p.exitCode())
			require.Contains(t, p.stderr.String(), c.says)
		})
	}
	t.Run("lists that differ", func(t *testing.T) {
		var all []*member
		for i, managers := range []string{list, list, strings.Join([]string{a[1], a[0], a[2]}, ",")} {
			m := &member{args: []string{"manager", "--managers", managers}}
			m.process = launchAt(t, fmt.Sprint("manager", i+1), m.command(a[i]), a[i])
			all = append(all, m)
		}
		for _, m := range all {
			m.ready()
			require.Eventually(t, func() bool { return strings.Contains(m.stderr.String(), "other --managers") }, patience, 5*time.Millisecond)
			require.NotContains(t, m.stderr.String(), "founded a cluster")
			require.Contains(t, m.stderr.String(), "the same addresses in another order")
			require.Contains(t, m.stderr.String(), "the manager at 127.0.0.1:")
		}
	})
	t.Run("one and several on a directory", func(t *testing.T) {
		c := startCouncil(t, t.TempDir(), 1, 0)
		c.client.Close()
		m := c.managers[0]
		m.end()
		alone := launch(t, "alone", (&member{args: []string{"manager", "--dir", m.dir}}).command("127.0.0.1:0"), nil)
		require.Equal(t, 2, alone.exitCode())
		require.Contains(t, alone.stderr.String(), "do not mix")
		require.Contains(t, alone.stderr.String(), "--managers")
	})
}

// The managers' lags and addresses are in the status, and one of them is said to lead.
func TestTheStatusShowsManagers(t *testing.T) {
	c := startCouncil(t, "", 3, 1, "--replicas", "0")
	c.put("key", "")
	s := c.status()
	require.Len(t, s.Managers, 3)
	leaders := slices.DeleteFunc(slices.Clone(s.Managers), func(m core.ManagerStatus) bool { return !m.Leads })
	require.Len(t, leaders, 1)
	require.Equal(t, s.Manager.Addr, leaders[0].Addr)
	slices.SortFunc(s.Managers, func(a, b core.ManagerStatus) int {
		return cmp.Compare(slices.Index(c.several, a.Addr), slices.Index(c.several, b.Addr))
	})
	for i, m := range s.Managers {
		require.Equal(t, c.several[i], m.Addr)
	}
}

// All managers are replaced, one after the other. A node with a directory that was down meanwhile
// for a moment, or is started again after that, finds them, though it is told of the first ones.
func TestANodeFindsManagersThatWereAllReplaced(t *testing.T) {
	c := startCouncil(t, t.TempDir(), 3, 3, "--replicas", "2")
	c.put("key", "value")
	list := c.several
	for i, was := range c.managers {
		address := freeAddresses(t, 1)[0]
		list = append(slices.Clone(list[1:]), address)
		m := &member{args: []string{"manager", "--replicas", "2", "--managers", strings.Join(list, ","), "--dir", filepath.Join(c.dir, fmt.Sprint("other", i))}}
		m.process = launchAt(t, fmt.Sprint("other", i+1), m.command(address), address)
		m.ready()
		require.NoError(t, within(func(ctx context.Context) error {
			p, err := netrpc.AskManager(ctx, address)
			require.NoError(t, err)
			return c.client.ChangeManagers(ctx, []core.Peer{p}, []core.NodeID{c.idAt(was.addr)})
		}))
		was.end()
		c.client.Close()
		c.several = list
		c.client = c.dial()
		c.eventually(func() bool { return c.agree(3) }, "there are three")
	}
	for _, m := range c.all[1:] {
		m.end()
		c.again(m)
		c.eventually(func() bool { return c.up() == 3 }, "%s finds them", m.name)
	}
	require.Equal(t, "value", c.get("key"))
}

// Two of three managers have lost their data. The third says that the Directory is gone, and so do
// the commands that ask for it.
func TestMostManagersHaveLostTheirData(t *testing.T) {
	c := startCouncil(t, t.TempDir(), 3, 1, "--replicas", "0")
	c.put("key", "value")
	leader := c.leads()
	var lost []*member
	for _, m := range c.managers {
		if m != leader {
			m.end()
			m.args = slices.Clone(m.args)
			m.args[len(m.args)-1] = m.dir + "-anew"
			lost = append(lost, m)
		}
	}
	c.restart(lost...)
	require.Eventually(t, func() bool { return strings.Contains(leader.stderr.String(), "THE DIRECTORY IS GONE") }, wholeMost, 20*time.Millisecond)
	for _, ask := range []func(ctx context.Context) error{
		func(ctx context.Context) error { _, err := c.client.Managers(ctx); return err },
		func(ctx context.Context) error { _, err := c.client.Status(ctx); return err },
	} {
		err := within(ask)
		require.ErrorIs(t, err, netrpc.ErrUnavailable)
		require.ErrorContains(t, err, lost[0].addr+" has lost its data")
		require.ErrorContains(t, err, "restore a backup")
	}
	require.Equal(t, "value", c.get("key"), "a mapped key needs no manager")
}

// A manager that was replaced says so when it is started again on its directory, and so does a copy
// of a directory whose manager runs.
func TestManagersThatAreNoMembersSaySo(t *testing.T) {
	c := startCouncil(t, t.TempDir(), 3, 1, "--replicas", "0")
	c.put("key", "value")
	leader := c.leads()
	i := slices.IndexFunc(c.managers, func(m *member) bool { return m != leader })
	removed := c.managers[i]
	removed.end()
	copied := &member{dir: removed.dir + "-copy"}
	require.NoError(t, os.CopyFS(copied.dir, os.DirFS(removed.dir)))
	c.restart(removed)
	c.eventually(func() bool { return c.agree(3) }, "it is back")

	address := freeAddresses(t, 1)[0]
	list := slices.Clone(c.several)
	list[i] = address
	copied.args = []string{"manager", "--managers", strings.Join(list, ","), "--replicas", "0", "--moved", "--dir", copied.dir}
	copied.process = launchAt(t, "copy", copied.command(address), address)
	copied.ready()
	says := func(m *member, text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(m.stderr.String(), text) }, patience, 10*time.Millisecond, "%s", &m.stderr)
	}
	says(copied, "this one is on a copy of its directory")
	require.Contains(t, copied.stderr.String(), removed.addr)
	copied.end()

	require.NoError(t, within(func(ctx context.Context) error {
		return c.client.ChangeManagers(ctx, nil, []core.NodeID{c.idAt(removed.addr)})
	}))
	says(removed, "is none of its managers any more")
	removed.end()
	c.restart(removed)
	says(removed, "is none of its managers any more")
}
