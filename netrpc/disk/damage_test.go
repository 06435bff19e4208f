package disk

import (
	"errors"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// lived is a directory in which a node has lived, closed in good order, and what it holds.
func lived(t *testing.T) (*vfs.MemFS, map[string]string) {
	mem := vfs.NewCrashableMem()
	script := newStorageScript(rand.New(rand.NewPCG(7, 7)))
	start := map[string]string{}
	for range 2 {
		h := newHistory(start)
		d, err := Open(nodeDir, Storage, smallOptions(mem))
		require.NoError(t, err)
		r := onDisk(t, d, h, bootStorage)
		script.life(r)
		r.settle()
		require.NoError(t, d.Close())
		start = h.now
	}
	return mem, start
}

// filesOf lists all files below a directory.
func filesOf(t *testing.T, fs *vfs.MemFS, dir string) (list []string) {
	names, err := fs.List(dir)
	require.NoError(t, err)
	slices.Sort(names)
	for _, n := range names {
		n = path.Join(dir, n)
		info, err := fs.Stat(n)
		require.NoError(t, err)
		if info.IsDir() {
			list = append(list, filesOf(t, fs, n)...)
		} else {
			list = append(list, n)
		}
	}
	return list
}

// rewritten is a copy of a file system, with another content of one file.
func rewritten(t *testing.T, fs *vfs.MemFS, name string, content []byte) *vfs.MemFS {
	clone := unsynced(fs, 100, rand.New(rand.NewPCG(0, 0)))
	f, err := clone.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(slices.Clone(content))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return clone
}

// started is what comes of a start over damaged files.
type started struct {
	all map[string]string
	err error
}

// startOver starts a node, reads all that is there, and ends. It fails when that hangs.
func startOver(t *testing.T, fs vfs.FS) (s started) {
	done := make(chan started, 1)
	go func() {
		d, err := Open(nodeDir, Storage, smallOptions(fs))
		if err != nil {
			done <- started{nil, err}
			return
		}
		all, err := records(d)
		if err == nil {
			_, _, err = bootStorage(d)
		}
		if err == nil && len(all) == 0 {
			err = errors.New("silence: nothing is there")
		}
		done <- started{all, errors.Join(err, d.Close())}
	}()
	select {
	case s = <-done:
	case <-time.After(patience):
		require.Fail(t, "the start hangs")
	}
	return s
}

// damagesMax is at how many places each file is damaged; all of them where a time is set in
// the environment, see cutsEnv.
const damagesMax = 60

// spots are those of a file where it is damaged: its ends, and some between.
func spots(size int, rng *rand.Rand) (list []int) {
	if size <= damagesMax || os.Getenv(cutsEnv) != "" {
		for i := range size {
			list = append(list, i)
		}
		return list
	}
	for i := range damagesMax / 4 {
		list = append(list, i, size-1-i, rng.IntN(size), rng.IntN(size))
	}
	return list
}

// Any file of a closed directory is damaged, at any place: a bit differs, or the rest is
// gone. The node starts with the right data, or is told that it is damaged. It is never
// without an answer, and never in peace with other data.
func TestDamageOfAClosedDirectoryIsNoticed(t *testing.T) {
	mem, want := lived(t)
	for how, damage := range map[string]func(b []byte, at int, rng *rand.Rand) []byte{
		"a bit flips":      func(b []byte, at int, rng *rand.Rand) []byte { b[at] ^= 1 << rng.IntN(8); return b },
		"the rest is gone": func(b []byte, at int, _ *rand.Rand) []byte { return b[:at] },
		"a part is zero": func(b []byte, at int, _ *rand.Rand) []byte {
			clear(b[at:min(len(b), at+512)])
			return b
		},
	} {
		t.Run(how, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(9, 9))
			kinds := map[string]int{}
			for _, name := range filesOf(t, mem, nodeDir) {
				content, err := readFile(mem, name)
				require.NoError(t, err)
				for _, at := range spots(len(content), rng) {
					s := startOver(t, rewritten(t, mem, name, damage(slices.Clone(content), at, rng)))
					kind, _, _ := strings.Cut(path.Base(name), "-")
					if path.Ext(kind) == ".sst" {
						kind = ".sst"
					}
					switch {
					case s.err == nil:
						require.Equal(t, want, s.all, "%s, %s at %d of %d: damage that nobody noticed", name, how, at, len(content))
					default:
						kinds[kind]++
						class := core.ErrDamaged
						if kind == descriptorFile {
							class = ErrUnnamed
						}
						require.ErrorIs(t, s.err, class, "%s, %s at %d of %d", name, how, at, len(content))
					}
				}
			}
			for _, kind := range []string{".sst", "MANIFEST", descriptorFile} {
				require.NotZero(t, kinds[kind], "damage of %s", kind)
			}
		})
	}
}

// A file of a closed directory is gone.
func TestAFileThatIsGoneIsNoticed(t *testing.T) {
	mem, want := lived(t)
	noticed := 0
	for _, name := range filesOf(t, mem, path.Join(nodeDir, dataDir)) {
		clone := unsynced(mem, 100, rand.New(rand.NewPCG(0, 0)))
		require.NoError(t, clone.Remove(name))
		s := startOver(t, clone)
		if s.err == nil {
			require.Equal(t, want, s.all, "without %s", name)
			continue
		}
		noticed++
		require.ErrorIs(t, s.err, core.ErrDamaged, "without %s", name)
	}
	require.GreaterOrEqual(t, noticed, 3, "tables, manifest and its marker")
}

// A log in use, of a node whose power was cut, ends where it was torn. What was synced last
// cannot be told from that if it is damaged, up to the part of the log behind it: see
// LIMITS.md. But what is left is as it was at some time.
func TestADamagedLogIsAtWorstAnEarlierState(t *testing.T) {
	mem := vfs.NewCrashableMem()
	h, e := newHistory(map[string]string{}), newEnds()
	d, err := Open(nodeDir, Storage, smallOptions(mem))
	require.NoError(t, err)
	load(t, d, h, e, loadBatches)
	cut := unsynced(mem, 0, nil)
	require.NoError(t, d.Close())
	rng := rand.New(rand.NewPCG(4, 4))
	noticed, earlier := 0, 0
	for _, name := range filesOf(t, cut, path.Join(nodeDir, dataDir)) {
		if path.Ext(name) != ".log" {
			continue
		}
		content, err := readFile(cut, name)
		require.NoError(t, err)
		for range 40 {
			bad := slices.Clone(content)
			bad[rng.IntN(len(bad))] ^= 1 << rng.IntN(8)
			d, err := Open(nodeDir, Storage, smallOptions(rewritten(t, cut, name, bad)))
			if err != nil {
				noticed++
				require.ErrorIs(t, err, core.ErrDamaged)
				continue
			}
			all, err := records(d)
			require.NoError(t, err)
			at := h.find(all, 0)
			require.GreaterOrEqual(t, at, 0, "a state that never was")
			if at < loadBatches {
				earlier++
			}
			require.NoError(t, d.Close())
		}
	}
	t.Logf("noticed %d times, taken for a torn end %d times", noticed, earlier)
	require.NotZero(t, noticed)
}

// A log of a node that was killed is gone as a whole, or its content is. To the engine it
// never was: it would start without what that held. It keeps others that it does not need, to
// use their files again.
func TestALogThatIsGoneIsNoticed(t *testing.T) {
	noticed, needless, several := 0, 0, 0
	for batches := 1; batches < loadBatches; batches += 2 {
		mem := vfs.NewCrashableMem()
		filled(t, mem) // the logs are of the second start
		h, e := newHistory(map[string]string{"a": "1", "b": "2"}), newEnds()
		d, err := Open(nodeDir, Storage, smallOptions(mem))
		require.NoError(t, err)
		load(t, d, h, e, batches)
		cut := unsynced(mem, 0, nil)
		require.NoError(t, d.Close())
		needed, err := (&directory{name: nodeDir, fs: cut}).neededLogs()
		require.NoError(t, err)
		require.NotEmpty(t, needed)
		if len(needed) > 1 {
			several++
		}
		for _, name := range filesOf(t, cut, path.Join(nodeDir, dataDir)) {
			number, isLog := logNumber(path.Base(name))
			if !isLog {
				continue
			}
			gone := unsynced(cut, 100, rand.New(rand.NewPCG(1, 1)))
			require.NoError(t, gone.Remove(name))
			for _, harmed := range []*vfs.MemFS{gone, rewritten(t, cut, name, nil), rewritten(t, cut, name, make([]byte, 100))} {
				d, err := Open(nodeDir, Storage, smallOptions(harmed))
				if slices.Contains(needed, uint64(number)) {
					noticed++
					require.ErrorIs(t, err, core.ErrDamaged)
					require.ErrorContains(t, err, path.Base(name)+": ")
					continue
				}
				needless++
				require.NoError(t, err)
				all, err := records(d)
				require.NoError(t, err)
				require.Equal(t, batches, h.find(all, batches))
				require.NoError(t, d.Close())
			}
		}
	}
	t.Logf("noticed %d times, not needed %d times, with several needed %d times", noticed, needless, several)
	require.Greater(t, noticed, 10)
	require.NotZero(t, needless)
}

// The engine's list of its tables is damaged while its tables have not been merged: to the
// engine the list ends there, and what the tables behind it held is gone.
func TestADamagedListOfAClosedDirectoryIsNoticed(t *testing.T) {
	for _, batches := range []int{40, 60, 200} {
		mem := vfs.NewCrashableMem()
		h, e := newHistory(map[string]string{}), newEnds()
		d, err := Open(nodeDir, Storage, smallOptions(mem))
		require.NoError(t, err)
		load(t, d, h, e, batches)
		require.NoError(t, d.Close())
		for _, name := range filesOf(t, mem, path.Join(nodeDir, dataDir)) {
			if !strings.HasPrefix(path.Base(name), "MANIFEST-") {
				continue
			}
			content, err := readFile(mem, name)
			require.NoError(t, err)
			for at := 0; at < len(content); at += 7 {
				bad := slices.Clone(content)
				bad[at] ^= 4
				_, err := Open(nodeDir, Storage, smallOptions(rewritten(t, mem, name, bad)))
				require.ErrorIs(t, err, core.ErrDamaged, "%d batches, %s at %d", batches, name, at)
			}
		}
	}
}
