package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/daemon"
	"gtstore/netrpc/disk/disktest"
)

// stallFile names a file to a node's process: its disk does nothing while that file is there.
const stallFile = "GTSTORE_TEST_STALL_FILE"

// onStallingDisk has a node's process use such a disk, if it is told to.
func onStallingDisk() {
	if name := os.Getenv(stallFile); name != "" {
		daemon.Disk.FS = disktest.Stalling(name)
	}
}

// startStalling runs a durable cluster of one group of three, each on a disk that can stall.
// It returns, for each storage node, the file that makes it stall.
func startStalling(t *testing.T, spares int) (d *durable, files map[*process]string) {
	t.Helper()
	dir := t.TempDir()
	d = startIn(t, dir, 0, "--replicas", "2")
	files = map[*process]string{}
	for i := range 3 + spares {
		file := filepath.Join(dir, "stall"+strconv.Itoa(i+1))
		t.Setenv(stallFile, file)
		files[d.storage("node"+strconv.Itoa(i+1)).process] = file
	}
	d.put("group", "")
	d.whole(1, 3)
	return d, files
}

func (d *durable) stall(file string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(file, nil, 0o600))
}

// The disk of a member hangs for good: its group goes on without it, and nothing that was
// acknowledged is lost.
func TestAGroupDoesWithoutAMemberWhoseDiskHangs(t *testing.T) {
	for position, name := range []string{"the primary", "a replica"} {
		t.Run(name, func(t *testing.T) {
			d, files := startStalling(t, 1)
			l := d.startLoad(6, keysOf(0)...)
			l.grow(100)
			ill := d.chain(1)[position]
			d.stall(files[ill])
			d.eventually(func() bool { s := d.chain(1); return len(s) == 3 && !slices.Contains(s, ill) }, "the spare has the place of the node whose disk hangs")
			l.grow(100)
			l.end()
			l.readAll()
			l.everyResult()
		})
	}
}

// Disks stall, each in its turn and within the stated bounds, as under a compaction. Nobody
// is suspected.
func TestAStallOfADiskGetsNobodyEvicted(t *testing.T) {
	const stall = 200 * time.Millisecond
	d, files := startStalling(t, 1)
	epoch := d.status().Groups[0].Epoch
	l := d.startLoad(6, keysOf(0)...)
	for range 2 {
		for _, p := range d.chain(1) {
			d.stall(files[p])
			time.Sleep(stall)
			require.NoError(t, os.Remove(files[p]))
			l.grow(100)
		}
		time.Sleep(time.Second) // between two at the same disk
	}
	require.Equal(t, epoch, d.status().Groups[0].Epoch)
	l.end()
	l.readAll()
	l.everyResult()
}
