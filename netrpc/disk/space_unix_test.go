//go:build unix

package disk

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// A log takes little more room on the disk than what is in it.
func TestALogIsNotAllocatedAtAStroke(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	d, err := Open(dir, Storage, Options{}) // with the tables of a node
	require.NoError(t, err)
	put(t, d, core.Write{Key: "a", Value: "1"})
	logs, err := filepath.Glob(filepath.Join(dir, dataDir, "*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, log := range logs {
		info, err := os.Stat(log)
		require.NoError(t, err)
		const blockBytes = 512
		require.LessOrEqual(t, info.Sys().(*syscall.Stat_t).Blocks*blockBytes, int64(aheadBytes+1<<20))
	}
}

// To read a pipe would wait for who writes to it, without end.
func TestAPipeIsNoFileOfADirectory(t *testing.T) {
	for _, name := range []string{descriptorFile, sealFile} {
		dir := onSystem(t)
		holds(t, dir, Options{})
		file := filepath.Join(dir, name)
		require.NoError(t, os.RemoveAll(file))
		require.NoError(t, syscall.Mkfifo(file, 0o600))
		_, err := Open(dir, Storage, Options{memTable: smallTable})
		require.ErrorContains(t, err, dir)
		require.ErrorContains(t, err, "is no regular file")
	}
}

// Where no more files can be opened, as some process of the machine has them all, the directory
// is still there: a node that runs does not end for it.
func TestADirectoryIsThereThoughNoFileCanBeOpened(t *testing.T) {
	for _, why := range []error{syscall.EMFILE, syscall.ENFILE} {
		var none atomic.Bool
		fs := hooked(vfs.NewCrashableMem(), func(op errorfs.Op) error {
			if none.Load() && op.Kind == errorfs.OpList {
				return why
			}
			return nil
		})
		d, err := Open(nodeDir, Storage, smallOptions(fs))
		require.NoError(t, err)
		require.NoError(t, d.checkThere())
		none.Store(true)
		require.NoError(t, d.checkThere())
		none.Store(false)
		require.NoError(t, d.Close())
	}
}
