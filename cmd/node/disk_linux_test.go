package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
)

// The small disks of these tests: in memory, and a file system that can break.
const (
	inMemory = `mount -t tmpfs -o size=32m none "$0"`
	onAFile  = `truncate -s 64m "$0.img" && mkfs.ext4 -q "$0.img" && mount -o loop,errors=remount-ro "$0.img" "$0"`
)

// onItsOwnDisk starts a storage node whose directory is a disk of its own, which only its
// process and those below it see. Before it starts, a command is run there.
func (d *durable) onItsOwnDisk(name, mount, before string) *process {
	d.t.Helper()
	dir := filepath.Join(d.dir, name)
	require.NoError(d.t, os.Mkdir(dir, 0o700))
	script := mount + ` && cd "$0" && { ` + before + `; } && cd / && exec "$@"`
	return launch(d.t, name, exec.Command("unshare", "-m", "sh", "-c", script, dir, os.Args[0],
		"storage", "--listen", "127.0.0.1:0", "--manager", d.manager.addr, "--name", name, "--dir", dir), nil)
}

// needsMount skips a test where a process cannot mount a disk of its own.
func needsMount(t *testing.T, mount string) {
	t.Helper()
	if out, err := exec.Command("unshare", "-m", "sh", "-c", mount, t.TempDir()).CombinedOutput(); err != nil {
		t.Skipf("no disk can be mounted here, which takes root (%v): %s", err, out)
	}
}

// A disk fills up, breaks, or its directory is removed, under a node that serves. The node
// ends and says why, and what to do. Its group goes on without it, and nothing that was
// acknowledged is lost.
func TestANodeWhoseDiskFailsEndsAndSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name, mount, fail string // fail is run in the directory
		want              string
	}{
		{"it fills up", inMemory, "cat /dev/zero > filler", "free some, or move the directory to a larger disk"},
		{"it becomes read-only", onAFile, "mount -o remount,abort .", "takes no more writes"},
		{"it is removed", inMemory, "rm -rf *", "A storage node begins anew when it is started again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needsMount(t, c.mount)
			d := startDurable(t, 2, "--replicas", "2")
			p := d.onItsOwnDisk("ill", c.mount, "true")
			require.True(t, p.listens(), &p.stderr)
			d.nodes = append(d.nodes, p)
			d.whole(0, 0)
			d.put("group", "")
			d.whole(1, 3)
			l := d.startLoad(6, keysOf(0)...)
			l.grow(100)
			dir := filepath.Join(d.dir, "ill")
			_ = exec.Command("nsenter", "-m", "-t", pid(p), "sh", "-c", "cd "+dir+" && "+c.fail).Run() // cat fails when the disk is full
			require.Equal(t, cli.ExitError, p.exitCode(), &p.stderr)
			require.Contains(t, p.stderr.String(), c.want)
			require.Contains(t, p.stderr.String(), dir)
			d.nodes = d.nodes[:2]
			d.eventually(func() bool { return len(d.status().Groups[0].Chain) == 2 }, "the group does without it")
			l.grow(100)
			l.end()
			l.readAll()
			l.everyResult()
		})
	}
}

// A node does not begin on a disk that has no room, or takes no writes.
func TestANodeDoesNotStartOnABadDisk(t *testing.T) {
	needsMount(t, inMemory)
	d := startDurable(t, 0)
	for name, c := range map[string]struct{ before, want string }{
		"full":      {"cat /dev/zero > filler 2>/dev/null || true", "the disk is full"},
		"read-only": {"mount -o remount,ro .", "read-only file system"},
	} {
		t.Run(name, func(t *testing.T) {
			p := d.onItsOwnDisk(name, inMemory, c.before)
			require.Equal(t, cli.ExitError, p.exitCode(), &p.stderr)
			require.Contains(t, p.stderr.String(), c.want)
			require.Contains(t, p.stderr.String(), filepath.Join(d.dir, name))
		})
	}
}
