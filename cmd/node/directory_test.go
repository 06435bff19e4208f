package main

import (
	"fmt"
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
	"gtstore/core"
	"gtstore/netrpc/disk"
)

// A node that is started on what is no directory of its own ends at once with an error that
// says what to do. Nothing is lost by that, and no two nodes have one identity.
func TestANodeIsRefusedWhatIsNotItsDirectory(t *testing.T) {
	d := startDurable(t, 1, "--replicas", "0")
	other := startDurable(t, 1, "--replicas", "0")
	memory := startCluster(t, 1, "--replicas", "0")
	d.put("key", "value")
	manager, node := d.all[0], d.all[1]
	storage := func(at *cluster, dir string, more ...string) []string {
		return append([]string{"storage", "--manager", at.manager.addr, "--dir", dir}, more...)
	}
	foreign, unlocked := other.all[1], startDurable(t, 1, "--replicas", "0").all[1]
	foreign.end()
	require.NoError(t, os.Remove(filepath.Join(unlocked.dir, "LOCK")))
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"a file", storage(d.cluster, d.file("file", "")), "is no directory"},
		{"where none can be made", storage(d.cluster, "/proc/gtstore"), "/proc/gtstore cannot be made"},
		{"somebody's files", storage(d.cluster, filepath.Dir(d.file("home/letter", "dear"))), `there is "letter" in it; choose an empty one`},
		{"a newer format", storage(d.cluster, filepath.Dir(d.file("newer/gtstore.json", `{"format": 99, "records": 1, "role": "storage"}`))), "start it with the program that wrote it"},
		{"of another process", storage(d.cluster, node.dir), "another process uses it: end that one first"},
		{"of another process, unlocked by hand", storage(d.cluster, unlocked.dir), "another process uses it: end that one first"},
		{"of a manager that runs", storage(d.cluster, manager.dir), "another process uses it"},
		{"of a manager", storage(d.cluster, d.ended("manager").dir), "belongs to a manager: a storage node needs another directory"},
		{"of a storage node, for a manager", []string{"manager", "--dir", d.ended("storage", "--manager", memory.manager.addr).dir}, "belongs to a storage node: a manager needs another directory"},
		{"a copy", storage(d.cluster, d.copyOf(node, "copy")), "it is a copy of another directory"},
		{"a copy of links to the same files", storage(d.cluster, d.linksTo(node, "links")), "it is a copy of another directory"},
		{"a part of a copy", storage(d.cluster, d.copyOf(node, "part", "gtstore.json")), "it has data, but not that file"},
		{"of another cluster", storage(d.cluster, foreign.dir), "Name the manager of its own cluster with --manager"},
		{"none, in a durable cluster", []string{"storage", "--manager", d.manager.addr}, "give this node one too"},
		{"one, in memory mode", storage(memory, filepath.Join(d.dir, "for memory")), "The manager has no --dir"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], append(c.args, "--listen", "127.0.0.1:0")...)
			p := launch(t, c.name, cmd, nil)
			require.Equal(t, cli.ExitError, p.exitCode(), &p.stderr)
			require.Contains(t, p.stderr.String(), c.want)
			require.Equal(t, "value", d.get("key"))
		})
	}
	require.Len(t, d.status().Nodes, 1, "none of them was taken in")
	other.again(foreign)
	other.whole(0, 0)
	require.NoError(t, os.Remove(filepath.Join(unlocked.dir, "LOCK")))
	_, err := disk.Inspect(t.Context(), unlocked.dir, false, disk.Options{})
	require.ErrorIs(t, err, disk.ErrInUse, "what is written meanwhile would pass for damage")
}

// file makes a file, and the folders above it.
func (d *durable) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	require.NoError(d.t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(d.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// ended runs a node for a moment, so that there is a directory of such a one.
func (d *durable) ended(args ...string) *member {
	d.t.Helper()
	m := &member{args: append(args, "--dir", filepath.Join(d.dir, "ended "+args[0])), dir: filepath.Join(d.dir, "ended "+args[0])}
	m.process = startCommand(d.t, "ended", m.command("127.0.0.1:0"))
	m.end()
	return m
}

// copyOf copies the directory of a node that runs, as cp -a does, but for some files.
func (d *durable) copyOf(m *member, name string, without ...string) string {
	d.t.Helper()
	m.signal(syscall.SIGSTOP) // so that the copy is of one moment
	defer m.signal(syscall.SIGCONT)
	dir := filepath.Join(d.dir, name)
	out, err := exec.Command("cp", "-a", m.dir, dir).CombinedOutput()
	require.NoError(d.t, err, string(out))
	for _, file := range without {
		require.NoError(d.t, os.Remove(filepath.Join(dir, file)))
	}
	return dir
}

// linksTo copies the directory of a node that runs, as cp -al does.
func (d *durable) linksTo(m *member, name string) string {
	d.t.Helper()
	dir := filepath.Join(d.dir, name)
	out, err := exec.Command("cp", "-al", m.dir, dir).CombinedOutput()
	require.NoError(d.t, err, string(out))
	require.NoError(d.t, os.Remove(filepath.Join(dir, "LOCK"))) // that of the node that runs
	require.NoError(d.t, os.Remove(filepath.Join(dir, "data", "LOCK")))
	return dir
}

// Who says that a copy was moved takes over the node, but not while the original answers:
// then the copy ends. After that the original does not come back. There are never two.
func TestACopyThatWasSaidToBeMovedTakesThePlaceOnceTheOriginalHasEnded(t *testing.T) {
	d := startDurable(t, 1, "--replicas", "0")
	d.put("key", "value")
	ids, manager, original := d.ids(), d.all[0], d.all[1]
	moved := d.copyOf(original, "moved")
	args := slices.Clone(original.args)
	args[slices.Index(args, "--dir")+1] = moved
	args = append(args, "--moved", "--listen", "127.0.0.1:0")
	for _, restarted := range []bool{false, true} { // a manager that starts knows nothing of who runs
		if restarted {
			manager.end()
		}
		copied := launch(t, "copied", exec.Command(os.Args[0], args...), nil)
		if restarted {
			require.True(t, copied.listens())
			d.again(manager)
		}
		require.Equal(t, cli.ExitError, copied.exitCode())
		require.Contains(t, copied.stderr.String(), "So "+moved+" is a copy")
		require.Equal(t, "value", d.get("key"))
	}
	original.end()
	startProcess(t, "moved", args...)
	require.Equal(t, "value", d.get("key"))
	require.Equal(t, ids, d.ids())
	d.put("key", "of the copy")
	for range 3 { // it counts its starts, but they do not follow that of the copy
		original.launch()
		require.Equal(t, cli.ExitError, original.exitCode())
		require.Contains(t, original.stderr.String(), "has this node's place")
		require.Equal(t, "of the copy", d.get("key"))
	}
}

// Somebody else has the address of a durable node that is down. That is no loss for which a
// manager halts: the data are on its disk, and serve when it is started again.
func TestNothingHaltsForANodeWhoseAddressAnotherHas(t *testing.T) {
	d := startDurable(t, 1, "--replicas", "0", "--lost-after", "100ms")
	d.put("key", "value")
	manager, node := d.all[0], d.all[1]
	node.end()
	strangers := [][]string{
		{"manager", "--replicas", "0"},
		{"manager", "--replicas", "0", "--dir", filepath.Join(d.dir, "other")},
		{"storage", "--manager", manager.addr, "--dir", filepath.Join(d.dir, "new")},
	}
	for _, args := range strangers {
		stranger := &member{args: args}
		stranger.process = launchAt(t, "stranger", stranger.command(node.addr), node.addr)
		stranger.ready()
		time.Sleep(time.Second) // longer than a loss takes to be told, and to halt the manager
		stranger.end()
	}
	d.renew()
	require.Contains(t, manager.stderr.String(), "presumed lost", "for the new node, which may be on the same disk")
	require.NotContains(t, manager.stderr.String(), "fatal")
	d.again(node)
	d.whole(1, 1) // until the node is heard, clients are told of the loss
	require.Equal(t, "value", d.get("key"))
}

// A manager is started on a copy of the directory of one that runs. The nodes hear one of
// them only, and the other ends and says why.
func TestOfTwoManagersOnOneDirectoryOneEnds(t *testing.T) {
	d := startDurable(t, 3, "--replicas", "2")
	d.put("key", "value")
	d.whole(1, 3)
	manager := d.all[0]
	copied := d.copyOf(manager, "copied")
	args := slices.Clone(manager.args)
	args[slices.Index(args, "--dir")+1] = copied
	manager.end()
	d.again(manager)
	d.whole(1, 3)
	second := launch(t, "second", exec.Command(os.Args[0], append(args, "--moved", "--listen", "127.0.0.1:0")...), nil)
	require.Equal(t, cli.ExitError, second.exitCode())
	require.Contains(t, second.stderr.String(), "Let one run only")
	d.whole(1, 3)
	require.Equal(t, "value", d.get("key"))
}

// A copy from before a node's last start is put in its place. It lacks what was acknowledged
// since, so its node does not come back with it; with the group it would be the primary.
func TestAnOlderCopyIsRefused(t *testing.T) {
	d := startDurable(t, 3, "--replicas", "2")
	d.put("key", "old")
	d.whole(1, 3)
	primary := d.all[1+slices.IndexFunc(d.all[1:], func(m *member) bool { return m.process == d.chain(1)[0] })]
	copied := d.copyOf(primary, "copied")
	primary.end()
	d.again(primary)
	d.whole(1, 3)
	d.put("key", "new")
	for _, m := range d.all {
		m.end()
	}
	primary.args[slices.Index(primary.args, "--dir")+1] = copied
	primary.args = append(primary.args, "--moved")
	for _, m := range d.all {
		m.launch()
	}
	require.Equal(t, cli.ExitError, primary.exitCode())
	require.Contains(t, primary.stderr.String(), "has this node's place")
	d.eventually(func() bool { s := d.look(); return s != nil && len(s.Groups[0].Chain) == 2 }, "the group does without it")
	require.Equal(t, "new", d.get("key"))
}

// The end of a primary's log is gone when everything comes back after a power cut: its disk
// had said too early that it was durable. The members know what was committed. They are not
// cut off; the node leaves its place, and gets back what it lacks.
func TestAPrimaryThatLostTheEndOfItsLogMakesRoom(t *testing.T) {
	d := startDurable(t, 3, "--replicas", "2")
	for i := range 15 {
		d.put(fmt.Sprint("key", i), "value")
	}
	d.whole(1, 3)
	time.Sleep(time.Second) // the members hear of the last commit with a heartbeat
	primary := d.all[1+slices.IndexFunc(d.all[1:], func(m *member) bool { return m.process == d.chain(1)[0] })]
	for _, m := range d.all {
		m.end()
	}
	logs, err := filepath.Glob(filepath.Join(primary.dir, "data", "*.log"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	info, err := os.Stat(logs[0])
	require.NoError(t, err)
	require.NoError(t, os.Truncate(logs[0], info.Size()*2/3))
	d.again(d.all...)
	d.eventually(func() bool { s := d.look(); return s != nil && s.Groups[0].State == core.GroupOK }, "the group serves")
	for i := range 15 {
		require.Equal(t, "value", d.get(fmt.Sprint("key", i)))
	}
	require.Contains(t, primary.stderr.String(), "its disk has lost what was durable")
	d.put("more", "value")
	d.whole(1, 3)
	require.Equal(t, "value", d.get("key14"))
}

// A node whose data are damaged puts them aside, and is filled from its group. A manager
// does not: nobody else knows what it knew.
func TestDamagedDataArePutAside(t *testing.T) {
	d := startDurable(t, 3, "--replicas", "2")
	d.put("key", "value")
	d.whole(1, 3)
	was := d.ids()
	victim := d.all[1]
	victim.end()
	damage(t, victim.dir)
	victim.launch()
	victim.ready()
	d.renew()
	d.eventually(func() bool {
		s := d.status()
		return slices.ContainsFunc(s.Nodes, func(n core.NodeStatus) bool { return was[n.ID] == "" && n.Group == 1 })
	}, "another node takes its place: %s", &victim.stderr)
	require.Contains(t, victim.stderr.String(), "the data are damaged")
	require.Equal(t, "value", d.get("key"))

	victim.end()
	was = d.ids()
	descriptor := filepath.Join(victim.dir, "gtstore.json")
	text, err := os.ReadFile(descriptor)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(descriptor, []byte(strings.Replace(string(text), "records", "recores", 1)), 0o600))
	victim.launch()
	require.Equal(t, cli.ExitError, victim.exitCode(), "the data may be whole, and the only copy")
	require.Contains(t, victim.stderr.String(), "it is not as it was written")
	victim.args = append(victim.args, "--moved")
	d.again(victim)
	d.whole(1, 3)
	require.Equal(t, was, d.ids(), "it goes on with its data, and is the node that it was")

	manager := d.all[0]
	manager.end()
	logs, err := filepath.Glob(filepath.Join(manager.dir, "data", "*.log"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	require.NoError(t, os.Rename(logs[0], logs[0]+".away"))
	manager.launch()
	require.Equal(t, cli.ExitError, manager.exitCode(), "it does not begin a new cluster")
	require.Contains(t, manager.stderr.String(), "Nobody else knows what a manager knows")
	require.NoError(t, os.Rename(logs[0]+".away", logs[0]))
	d.again(manager)
	d.whole(1, 3)

	manager.end()
	damage(t, manager.dir)
	manager.launch()
	require.Equal(t, cli.ExitError, manager.exitCode())
	require.Contains(t, manager.stderr.String(), "Nobody else knows what a manager knows")
	require.Equal(t, "value", d.get("key"), "mapped keys go on being served")
}

// damage flips bits of what the engine says of its files.
func damage(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "data", "MANIFEST-*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for i := range text {
			text[i] ^= 0x5a
		}
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
}
