package disk

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// filled makes a directory with some records, and returns them.
func filled(t *testing.T, fs vfs.FS) map[string]string {
	t.Helper()
	d, err := Open(nodeDir, Storage, smallOptions(fs))
	require.NoError(t, err)
	want := map[string]string{"a": "1", "b": "2"}
	put(t, d, core.Write{Key: "a", Value: "1"}, core.Write{Key: "b", Value: "2"})
	return want
}

// put makes writes durable, one after the other, and closes the disk.
func put(t *testing.T, d *Disk, writes ...core.Write) {
	t.Helper()
	synced := make(chan struct{}, 1)
	d.Start(func() { synced <- struct{}{} }, func(err error) { t.Error(err) })
	for _, w := range writes {
		d.Write(func(yield func([]core.Write) bool) { yield([]core.Write{w}) })
		<-synced
	}
	require.NoError(t, d.Close())
}

// The power goes while damaged data is put aside, or while what follows it is made. Then
// the data is there, or a new node begins: the directory is never of no use.
func TestAPowerCutWhileDataIsPutAside(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	mem := vfs.NewCrashableMem()
	want := filled(t, mem)
	cuts, anew := 0, 0
	var one sync.Mutex // the engine removes files by the side
	examine := func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		one.Lock()
		defer one.Unlock()
		for _, percent := range []int{0, 100, 50, 50} {
			clone := unsynced(mem, percent, rng)
			if outOfOrder(t, clone) {
				continue
			}
			cuts++
			d, err := Open(nodeDir, Storage, smallOptions(clone))
			if err != nil {
				t.Errorf("before %s of %s, %d %%: %v", what(op), op.Path, percent, err)
				continue
			}
			if all, err := records(d); len(all) == 0 {
				anew++
				require.NoError(t, err)
				put(t, d, core.Write{Key: "a", Value: "1"}) // a node can begin
			} else {
				require.NoError(t, err)
				require.Equal(t, want, all)
				require.NoError(t, d.Close())
			}
		}
		return nil
	}
	fs := hooked(mem, examine)
	_, err := SetAside(nodeDir, Storage, errors.New("the test says so"), Options{FS: fs})
	require.NoError(t, err)
	d, err := Open(nodeDir, Storage, smallOptions(fs))
	require.NoError(t, err)
	require.NoError(t, d.Close())
	one.Lock()
	defer one.Unlock()
	require.Greater(t, cuts, 50)
	require.NotZero(t, anew)
	require.Less(t, anew, cuts)
}

// A process ends while damaged data is put aside, or while what follows it is made. On a disk
// that tells files apart the directory is never taken for a copy of itself.
func TestAProcessThatEndsWhilePuttingDataAside(t *testing.T) {
	why := errors.New("the test says so")
	there, anew := 0, 0
	for at := 0; ; at++ {
		dir, n := onSystem(t), 0
		fs := hooked(vfs.Default, func(op errorfs.Op) error {
			in, base := filepath.Dir(op.Path), filepath.Base(op.Path)
			own := in == dir && (base != dataDir && base != newDataDir || op.Kind == errorfs.OpRename) || base == "WHY.txt"
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpLock || !own {
				return nil // the engine's own, which would hold it
			}
			if n++; n > at {
				return why
			}
			return nil
		})
		_, err := SetAside(dir, Storage, why, Options{FS: fs})
		if err == nil {
			var d *Disk
			if d, err = Open(dir, Storage, smallOptions(fs)); err == nil {
				require.NoError(t, d.Close())
			}
		}
		d, again := Open(dir, Storage, Options{memTable: smallTable})
		require.NoError(t, again, "after %d operations, and %v", at, err)
		all, again := records(d)
		require.NoError(t, again)
		require.NoError(t, d.Close())
		if len(all) == 0 {
			anew++
		} else {
			there++
		}
		require.Equal(t, d.dir.places(), d.self.Places)
		if err == nil {
			break
		}
	}
	require.Greater(t, there, 5)
	require.Greater(t, anew, 2)
}

// A bit flips in any place of the descriptor. That is told as damage, and not as another
// role, a newer format or a copy, and a node can begin anew.
func TestADamagedDescriptorIsToldAsDamage(t *testing.T) {
	dir := onSystem(t)
	name := filepath.Join(dir, descriptorFile)
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	for at := range whole {
		bad := slices.Clone(whole)
		bad[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(name, bad, 0o600))
		_, err := Open(dir, Storage, Options{memTable: smallTable})
		require.ErrorIs(t, err, ErrUnnamed, "%s", bad)
		require.ErrorContains(t, err, name)
		_, err = Inspect(t.Context(), dir, false, Options{})
		require.ErrorIs(t, err, ErrUnnamed)
	}
	_, err = Open(dir, Storage, Options{memTable: smallTable})
	_, err = SetAside(dir, Storage, err, Options{})
	require.NoError(t, err)
	d, err := Open(dir, Storage, Options{memTable: smallTable})
	require.NoError(t, err)
	put(t, d, core.Write{Key: "a", Value: "1"})
	holds(t, dir, Options{})
}

// What is put aside can be read, and says why. So many times, and not more: a disk that
// damages data again and again is not filled with it.
func TestDamagedDataIsPutAsideWithABound(t *testing.T) {
	mem := vfs.NewMem()
	want := filled(t, mem)
	why := errors.New("the test says so")
	var first, last string
	for range AsideMax {
		aside, err := SetAside(nodeDir, Storage, why, Options{FS: mem})
		require.NoError(t, err)
		require.NotEqual(t, last, aside)
		last = aside
		first = cmp.Or(first, aside)
		text, err := readFile(mem, path.Join(aside, "WHY.txt"))
		require.NoError(t, err)
		require.Contains(t, string(text), why.Error())
		d, err := Open(nodeDir, Storage, smallOptions(mem))
		require.NoError(t, err)
		all, err := records(d)
		require.NoError(t, err)
		require.Empty(t, all, "a new node begins")
		put(t, d, core.Write{Key: "a", Value: "1"}, core.Write{Key: "b", Value: "2"})
	}
	_, err := SetAside(nodeDir, Storage, why, Options{FS: mem})
	require.ErrorContains(t, err, "4 times")
	require.ErrorContains(t, err, "from "+path.Base(first)+" to "+path.Base(last))
	require.ErrorIs(t, err, why)
	d, err := Open(nodeDir, Storage, smallOptions(mem))
	require.NoError(t, err)
	all, err := records(d)
	require.NoError(t, err)
	require.Equal(t, want, all, "it is left as it was")
	require.NoError(t, d.Close())
	kept, err := mem.List(nodeDir)
	require.NoError(t, err)
	n := 0
	for _, f := range kept {
		if strings.HasPrefix(f, asidePrefix) {
			n++
		}
	}
	require.Equal(t, AsideMax, n)
}
