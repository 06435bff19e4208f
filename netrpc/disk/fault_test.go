package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// A fault is what goes wrong with the disk, from one operation on.
type fault struct {
	name  string
	err   error
	hits  func(errorfs.Op) bool
	lasts bool // else that one operation fails, and none after it
}

func writes(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }
func reads(op errorfs.Op) bool  { return !writes(op) && op.Kind != errorfs.OpGetDiskUsage }
func syncs(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
}

var faults = []fault{
	{"a sync fails once", syscall.EIO, syncs, false},
	{"a write fails once", syscall.EIO, writes, false},
	{"the disk is full", syscall.ENOSPC, writes, true},
	{"the disk is read-only", syscall.EROFS, writes, true},
	{"a read fails", syscall.EIO, reads, true},
}

// ends is what a disk told, in order.
type ends struct {
	mu     sync.Mutex
	synced int
	failed []error
	late   bool // something was synced after it had failed
	moved  chan struct{}
}

func newEnds() *ends { return &ends{moved: make(chan struct{}, 1)} }

func (e *ends) tell(err error) {
	e.mu.Lock()
	if err != nil {
		e.failed = append(e.failed, err)
	} else {
		e.synced++
		e.late = e.late || len(e.failed) > 0
	}
	e.mu.Unlock()
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

func (e *ends) now() (synced int, failed error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.synced, errors.Join(e.failed...)
}

// batchOf is the n-th batch of a load; what it deletes an earlier one has written.
func batchOf(n int) []core.Write {
	value := strings.Repeat(string(rune('a'+n%26)), 3000)
	return []core.Write{
		{Key: fmt.Sprint("a", n), Value: value}, {Key: fmt.Sprint("b", n%7), Value: value}, {Key: fmt.Sprint("a", n-20), Delete: true},
		{Key: fmt.Sprint("c", n%3), Delete: true, End: fmt.Sprint("c", n%3+1)}, {Key: fmt.Sprintf("c%d/%d", n%3, n), Value: "x"},
	}
}

// load writes batches, so many under way, until all are told or the disk fails.
func load(t *testing.T, d *Disk, h *history, e *ends, batches int) {
	d.Start(func() { h.synced(); e.tell(nil) }, e.tell)
	given := 0
	for {
		synced, failed := e.now()
		switch {
		case failed != nil || synced == batches:
			return
		case given < batches && given-synced < underWayMax:
			b := batchOf(given)
			h.wrote(b)
			given++
			d.Write(func(yield func([]core.Write) bool) { _ = yield(b[:2]) && yield(b[2:]) })
		default:
			select {
			case <-e.moved:
			case <-time.After(patience):
				require.Fail(t, "neither synced nor failed", "%d of %d batches were synced", synced, given)
			}
		}
	}
}

const loadBatches = 90

// Whatever fails, and at whichever operation: it is told once, nothing is synced after it,
// what was told is there, the process lives, Close returns, and the engine rests.
func TestADiskThatFailsIsToldOnce(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			opened, failed, lived := 0, 0, 0
			for at := int64(1); ; at += 1 + at/12 {
				what, hit := suffer(t, f, at)
				if !hit {
					break
				}
				switch what {
				case "refused":
					opened++
				case "failed":
					failed++
				default:
					lived++
				}
			}
			t.Logf("Open returned the error %d times, the node would have failed %d times, and %d times it did no harm", opened, failed, lived)
			require.NotZero(t, opened)
			require.True(t, failed > 0 || f.name == "a read fails", "a node reads at its start only")
		})
	}
}

// suffer has the at-th operation fail that the fault hits, and says what came of it.
func suffer(t *testing.T, f fault, at int64) (what string, hit bool) {
	mem := vfs.NewCrashableMem()
	var n, ops atomic.Int64
	fs := hooked(mem, func(op errorfs.Op) error {
		ops.Add(1)
		if !f.hits(op) {
			return nil
		}
		if i := n.Add(1); i == at || f.lasts && i > at {
			return f.err
		}
		return nil
	})
	d, err := Open(nodeDir, Storage, smallOptions(fs))
	if err != nil {
		require.ErrorIs(t, err, f.err, "operation %d", at)
		require.ErrorContains(t, err, "disk: ", "it says where")
		require.NotErrorIs(t, err, core.ErrDamaged, "operation %d: the data is as it was", at)
		return "refused", true
	}
	h, e := newHistory(map[string]string{}), newEnds()
	load(t, d, h, e, loadBatches)
	synced, failure := e.now()
	if failure != nil {
		require.ErrorIs(t, failure, f.err, "operation %d", at)
		_ = d.Close()
		require.Eventually(t, func() bool {
			before := ops.Load()
			time.Sleep(2 * time.Millisecond)
			return ops.Load() == before
		}, patience, time.Millisecond, "the engine goes on and on")
	} else {
		require.Equal(t, loadBatches, synced)
		_ = d.Close() // its error is one of the system's: all is durable
	}
	e.mu.Lock()
	require.LessOrEqual(t, len(e.failed), 1, "operation %d", at)
	require.False(t, e.late, "operation %d", at)
	e.mu.Unlock()

	left, err := Open(nodeDir, Storage, smallOptions(unsynced(mem, 0, rand.New(rand.NewPCG(1, 1)))))
	require.NoError(t, err, "operation %d", at)
	all, err := records(left)
	require.NoError(t, err)
	require.GreaterOrEqual(t, h.find(all, synced), synced, "operation %d: what was told is there", at)
	require.NoError(t, left.Close())
	if failure != nil {
		return "failed", n.Load() >= at
	}
	return "lived", n.Load() >= at
}

// A node that cannot read its records does not start, and is told why. That is no damage:
// the data is as it was.
func TestARecordThatCannotBeReadIsNoDamage(t *testing.T) {
	mem, want := lived(t)
	refused := 0
	for at := int64(1); ; at++ {
		var n atomic.Int64
		fs := hooked(unsynced(mem, 100, rand.New(rand.NewPCG(1, 1))), func(op errorfs.Op) error {
			if reads(op) && n.Add(1) == at {
				return syscall.EIO
			}
			return nil
		})
		s := startOver(t, fs)
		if n.Load() < at {
			break
		}
		if s.err == nil {
			require.Equal(t, want, s.all, "read %d", at)
			continue
		}
		refused++
		require.ErrorIs(t, s.err, syscall.EIO, "read %d", at)
		require.NotErrorIs(t, s.err, core.ErrDamaged, "read %d", at)
	}
	require.Greater(t, refused, 20)
}

// A disk that does not answer keeps nobody waiting: Write returns, and so does Close, which
// says so.
func TestADiskThatHangsKeepsNobodyWaiting(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var hangs atomic.Bool
	var once sync.Once
	free := make(chan struct{})
	hung := make(chan struct{})
	fs := hooked(mem, func(op errorfs.Op) error {
		if hangs.Load() && writes(op) {
			once.Do(func() { close(hung) })
			<-free
		}
		return nil
	})
	o := smallOptions(fs)
	o.closeTime = 20 * time.Millisecond
	d, err := Open(nodeDir, Storage, o)
	require.NoError(t, err)
	e := newEnds()
	d.Start(func() { e.tell(nil) }, e.tell)
	hangs.Store(true)
	for i := range queueLen {
		d.Write(func(yield func([]core.Write) bool) { yield(batchOf(i)) })
	}
	<-hung
	require.ErrorContains(t, d.Close(), "did not answer")
	synced, failed := e.now()
	require.Zero(t, synced)
	require.NoError(t, failed)
	_, err = Open(nodeDir, Storage, smallOptions(mem))
	require.ErrorIs(t, err, ErrInUse, "the engine may still be at work in it")
	close(free)
}

// counting is a file system of a size, on which what is in a directory takes room.
type counting struct {
	vfs.FS
	dir  string
	size uint64 // bytes
}

func (c *counting) GetDiskUsage(string) (vfs.DiskUsage, error) {
	names, err := c.List(c.dir)
	used := uint64(0)
	for _, n := range names {
		info, err := c.Stat(c.PathJoin(c.dir, n))
		if errors.Is(err, os.ErrNotExist) { // the engine has removed it meanwhile
			continue
		}
		if err != nil {
			return vfs.DiskUsage{}, err
		}
		used += uint64(info.Size())
	}
	return vfs.DiskUsage{TotalBytes: c.size, UsedBytes: used, AvailBytes: c.size - min(c.size, used)}, err
}

// What fills the disk may be logs that the node has kept to use them again. It gives them back
// when it starts, and so it does start.
func TestANodeWhoseOldLogsFillTheDiskStarts(t *testing.T) {
	mem := vfs.NewCrashableMem()
	filled(t, mem)
	h, e := newHistory(map[string]string{"a": "1", "b": "2"}), newEnds()
	d, err := Open(nodeDir, Storage, smallOptions(mem))
	require.NoError(t, err)
	load(t, d, h, e, loadBatches)
	cut := unsynced(mem, 0, nil)
	require.NoError(t, d.Close())
	fs := &counting{FS: cut, dir: nodeDir + "/" + dataDir, size: 1 << 40}
	old, err := fs.Create(fs.PathJoin(fs.dir, "000001.log"), vfs.WriteCategoryUnspecified) // there may be none at this moment
	require.NoError(t, err)
	_, err = old.Write(make([]byte, 64<<10))
	require.NoError(t, err)
	require.NoError(t, old.Close())
	full, err := fs.GetDiskUsage("")
	require.NoError(t, err)
	fs.size = full.UsedBytes
	d, err = Open(nodeDir, Storage, smallOptions(fs))
	require.NoError(t, err)
	all, err := records(d)
	require.NoError(t, err)
	require.Equal(t, loadBatches, h.find(all, loadBatches))
	require.NoError(t, d.Close())
}

// A directory that goes away while a node runs is noticed, and not only when the engine makes
// its next file: what is acknowledged until then nobody finds again.
func TestADirectoryThatGoesAwayIsNoticed(t *testing.T) {
	for name, away := range map[string]func(t *testing.T, dir string) error{
		"all of it is removed": func(_ *testing.T, dir string) error { return os.RemoveAll(dir) },
		"its data are": func(_ *testing.T, dir string) error {
			files, err := filepath.Glob(filepath.Join(dir, dataDir, "*"))
			for _, f := range files {
				err = errors.Join(err, os.Remove(f))
			}
			return err
		},
		"its descriptor is": func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, descriptorFile)) },
		"another stands there": func(t *testing.T, dir string) error {
			return errors.Join(os.Rename(dir, dir+".away"), os.Rename(onSystem(t), dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "node")
			d, err := Open(dir, Storage, Options{memTable: smallTable})
			require.NoError(t, err)
			synced, failed := make(chan struct{}, 1), make(chan error, 1)
			d.Start(func() { synced <- struct{}{} }, func(err error) { failed <- err })
			d.Write(func(yield func([]core.Write) bool) { yield([]core.Write{{Key: "a", Value: "1"}}) })
			<-synced
			require.NoError(t, away(t, dir))
			select {
			case err := <-failed:
				require.ErrorIs(t, err, os.ErrNotExist)
				require.ErrorContains(t, err, dir)
			case <-time.After(patience):
				require.Fail(t, "nobody noticed")
			}
			require.NoError(t, d.Close())
		})
	}
}

// A disk that is nearly full fails before the engine is in trouble, and is refused at once
// at the next start.
func TestADiskThatIsNearlyFullFails(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d, err := Open(nodeDir, Storage, smallOptions(mem))
	require.NoError(t, err)
	e := newEnds()
	d.Start(func() { e.tell(nil) }, e.tell)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20, TotalBytes: 100 << 30})
	require.Eventually(t, func() bool { _, failed := e.now(); return failed != nil }, patience, time.Millisecond)
	_, failed := e.now()
	require.ErrorIs(t, failed, errFull)
	require.NoError(t, d.Close())
	clone := unsynced(mem, 100, rand.New(rand.NewPCG(1, 1)))
	clone.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20, TotalBytes: 100 << 30})
	_, err = Open(nodeDir, Storage, smallOptions(clone))
	require.ErrorIs(t, err, errFull)
	clone.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20, TotalBytes: 100 << 20})
	d, err = Open(nodeDir, Storage, smallOptions(clone))
	require.NoError(t, err, "on a small disk a small part is enough")
	require.NoError(t, d.Close())
}
