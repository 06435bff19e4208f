package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// onSystem makes a directory with some records on the system's disk.
func onSystem(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node")
	d, err := Open(dir, Storage, Options{memTable: smallTable})
	require.NoError(t, err)
	put(t, d, core.Write{Key: "a", Value: "1"})
	return dir
}

func holds(t *testing.T, dir string, o Options) {
	t.Helper()
	o.memTable = smallTable
	d, err := Open(dir, Storage, o)
	require.NoError(t, err)
	all, err := records(d)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1"}, all)
	require.NoError(t, d.Close())
}

// With another kernel a file system may begin to tell when files were made, or cease to. The
// directory is no copy for that, and says from then on what the system tells.
func TestADirectoryOutlivesThatASystemTellsMore(t *testing.T) {
	dir := onSystem(t)
	file := filepath.Join(dir, descriptorFile)
	change := func(changed func(string) string) {
		t.Helper()
		var found descriptor
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, found.read(text))
		for _, p := range []*string{&found.Places.File, &found.Places.Directory, &found.Places.Data} {
			*p = changed(*p)
		}
		require.NoError(t, os.WriteFile(file, found.text(), 0o600))
	}
	number := func(place string) string { before, _, _ := strings.Cut(place, "-"); return before }
	change(func(place string) string { return number(place) + "-" })
	holds(t, dir, Options{})
	change(func(place string) string {
		if born := strings.TrimPrefix(place, number(place)+"-"); born == "" {
			t.Skip("this system does not tell when files were made")
		}
		return number(place) + "-1.000000000"
	})
	_, err := Open(dir, Storage, Options{memTable: smallTable})
	require.ErrorIs(t, err, ErrCopied, "it was made at another time")
	change(func(place string) string { return "1" + number(place) + "-" })
	_, err = Open(dir, Storage, Options{memTable: smallTable})
	require.ErrorIs(t, err, ErrCopied, "it has another number")
}

// copied copies a directory as cp -r does.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// linked copies a directory as cp -al does, and backups that keep one file once.
func linked(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "linked")
	require.NoError(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		if err == nil && e.IsDir() {
			return os.Mkdir(filepath.Join(to, rel), 0o700)
		}
		return errors.Join(err, os.Link(name, filepath.Join(to, rel)))
	}))
	return to
}

// olderData puts back what data/ was before the last start.
func olderData(t *testing.T, dir string) {
	t.Helper()
	older := copied(t, dir)
	holds(t, dir, Options{})
	require.NoError(t, os.RemoveAll(filepath.Join(dir, dataDir)))
	require.NoError(t, os.CopyFS(filepath.Join(dir, dataDir), os.DirFS(filepath.Join(older, dataDir))))
	seal, err := os.ReadFile(filepath.Join(older, sealFile))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, sealFile), seal, 0o600))
	}
}

// rewrite changes a descriptor as a program that means it, with the checksum.
func rewrite(t *testing.T, dir, was, is string) {
	t.Helper()
	name := filepath.Join(dir, descriptorFile)
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(text), was)
	head, _, _ := strings.Cut(strings.Replace(string(text), was, is, 1), sumMark)
	require.NoError(t, os.WriteFile(name, []byte(head+sumText([]byte(head))), 0o600))
}

// Each directory that is not this node's own is refused, and left as it was.
func TestADirectoryThatIsNotItsOwnIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T) string
		role Role
		is   error  // nil for an error of no class
		says string // what is wrong, or what to do
	}{
		{"a copy", func(t *testing.T) string { return copied(t, onSystem(t)) }, Storage, ErrCopied, "--moved"},
		{"a copy of links to the same files", func(t *testing.T) string { return linked(t, onSystem(t)) }, Storage, ErrCopied, "--moved"},
		{"older data, put back", func(t *testing.T) string {
			dir := onSystem(t)
			olderData(t, dir)
			return dir
		}, Storage, ErrCopied, "--moved"},
		{"half a copy: the descriptor did not come", func(t *testing.T) string {
			dir := copied(t, onSystem(t))
			require.NoError(t, os.Remove(filepath.Join(dir, descriptorFile)))
			return dir
		}, Storage, ErrCopied, "--moved"},
		{"another role", onSystem, Manager, nil, "belongs to a storage node: a manager needs another directory"},
		{"a later format", func(t *testing.T) string {
			dir := onSystem(t)
			rewrite(t, dir, `"format": 2`, `"format": 99`)
			return dir
		}, Storage, ErrFormat, "the program that wrote it"},
		{"an earlier format, which had no checksum", func(t *testing.T) string {
			dir := onSystem(t)
			require.NoError(t, os.WriteFile(filepath.Join(dir, descriptorFile), []byte(`{"format": 1, "records": 131, "role": "storage"}`), 0o600))
			return dir
		}, Storage, ErrFormat, "the program that wrote it"},
		{"other records", func(t *testing.T) string {
			dir := onSystem(t)
			rewrite(t, dir, `"records": `, `"records": 9`)
			return dir
		}, Storage, ErrFormat, "the program that wrote it"},
		{"a role that there is not", func(t *testing.T) string {
			dir := onSystem(t)
			rewrite(t, dir, `"storage"`, `"storagf"`)
			return dir
		}, Storage, ErrUnnamed, "not as it was written"},
		{"an empty descriptor", func(t *testing.T) string {
			dir := onSystem(t)
			require.NoError(t, os.WriteFile(filepath.Join(dir, descriptorFile), nil, 0o600))
			return dir
		}, Storage, ErrUnnamed, "not as it was written"},
		{"a descriptor that is a directory", func(t *testing.T) string {
			dir := onSystem(t)
			require.NoError(t, os.Remove(filepath.Join(dir, descriptorFile)))
			require.NoError(t, os.Mkdir(filepath.Join(dir, descriptorFile), 0o700))
			return dir
		}, Storage, nil, "is no regular file"},
		{"empty data: a disk that is not mounted", func(t *testing.T) string {
			dir := onSystem(t)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, dataDir)))
			require.NoError(t, os.Mkdir(filepath.Join(dir, dataDir), 0o700))
			return dir
		}, Storage, nil, "mount that"},
		{"a link to data on a disk that is not mounted", func(t *testing.T) string {
			dir := onSystem(t)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, dataDir)))
			require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "not mounted"), filepath.Join(dir, dataDir)))
			return dir
		}, Storage, nil, "mount that"},
		{"data that are a file", func(t *testing.T) string {
			dir := onSystem(t)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, dataDir)))
			require.NoError(t, os.WriteFile(filepath.Join(dir, dataDir), nil, 0o600))
			return dir
		}, Storage, nil, "choose another directory"},
		{"something else's", func(t *testing.T) string {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600))
			return dir
		}, Storage, nil, "letter.txt"},
		{"a file", func(t *testing.T) string {
			name := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(name, nil, 0o600))
			return name
		}, Storage, nil, "is no directory"},
		{"half a copy: the data did not come", func(t *testing.T) string {
			dir := onSystem(t)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, dataDir)))
			return dir
		}, Storage, core.ErrDamaged, "does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := c.make(t)
			for range 2 { // the second time as the first
				_, err := Open(dir, c.role, Options{memTable: smallTable})
				require.ErrorContains(t, err, c.says)
				require.ErrorContains(t, err, dir)
				for _, class := range []error{ErrInUse, ErrCopied, ErrFormat, ErrUnnamed, core.ErrDamaged} {
					require.Equal(t, class == c.is, errors.Is(err, class), "%v: %v", class, err)
				}
			}
			if c.is == ErrFormat {
				_, err := Inspect(t.Context(), dir, false, Options{})
				require.ErrorIs(t, err, ErrFormat)
				require.ErrorContains(t, err, c.says)
			}
		})
	}
}

// A copy of the whole, taken while nobody used it, is as good as moved if somebody says so,
// and from then on it is the node's own.
func TestADirectoryThatWasMoved(t *testing.T) {
	dir := onSystem(t)
	holds(t, dir, Options{})
	moved := copied(t, dir)
	holds(t, moved, Options{Moved: true})
	holds(t, moved, Options{})
	holds(t, dir, Options{}) // where nobody must start it

	olderData(t, moved)
	holds(t, moved, Options{Moved: true})
	holds(t, moved, Options{})

	renamed := filepath.Join(t.TempDir(), "renamed")
	require.NoError(t, os.Rename(dir, renamed))
	holds(t, renamed, Options{}) // it is the same one
}

// One process uses a directory at a time.
func TestTwoUseADirectory(t *testing.T) {
	dir := onSystem(t)
	d, err := Open(dir, Storage, Options{memTable: smallTable})
	require.NoError(t, err)
	_, err = Open(dir, Storage, Options{})
	require.ErrorIs(t, err, ErrInUse)
	_, err = SetAside(dir, Storage, err, Options{})
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, d.Close())
	holds(t, dir, Options{})
}

// A directory in which a node ran holds nothing any more: the log is empty that was all that
// there was, or data/ is gone. That is no new node, and of a manager no new cluster.
func TestAUsedDirectoryThatHoldsNothingIsDamaged(t *testing.T) {
	withLog := func(harm func(log string) error) func(dir string) error {
		return func(dir string) error {
			logs, err := filepath.Glob(filepath.Join(dir, dataDir, "*.log"))
			if err != nil || len(logs) != 1 {
				return fmt.Errorf("logs %v: %w", logs, err)
			}
			return harm(logs[0])
		}
	}
	for name, harm := range map[string]func(dir string) error{
		"the log is empty": withLog(func(log string) error { return os.Truncate(log, 0) }),
		"the log is cut":   withLog(func(log string) error { return os.Truncate(log, 10) }),
		"the log is gone":  withLog(os.Remove),
		"data are gone":    func(dir string) error { return os.RemoveAll(filepath.Join(dir, dataDir)) },
		"put aside, and gone": func(dir string) error {
			return os.Rename(filepath.Join(dir, dataDir), filepath.Join(dir, asidePrefix+"1"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "node")
			d, err := Open(dir, Manager, Options{memTable: smallTable})
			require.NoError(t, err)
			synced := make(chan struct{}, 1)
			d.Start(func() { synced <- struct{}{} }, func(err error) { t.Error(err) })
			d.Write(func(yield func([]core.Write) bool) { yield([]core.Write{{Key: "a", Value: "1"}}) })
			<-synced
			killed := filepath.Join(t.TempDir(), "killed")
			require.NoError(t, CopyRunning(dir, killed))
			require.NoError(t, d.Close())
			require.NoError(t, harm(killed))
			r, err := Inspect(t.Context(), killed, false, Options{})
			require.NoError(t, err)
			require.Len(t, r.Damage, 1)
			require.True(t, strings.HasPrefix(r.Damage[0].File, dataDir), r.Damage[0].File)
			for range 2 { // the second time as the first
				_, err = Open(killed, Manager, Options{memTable: smallTable, Moved: true})
				require.ErrorIs(t, err, core.ErrDamaged)
			}
			_, err = SetAside(killed, Storage, err, Options{})
			require.NoError(t, err)
			d, err = Open(killed, Storage, Options{memTable: smallTable, Moved: true})
			require.NoError(t, err, "a storage node begins anew")
			require.NoError(t, d.Close())
		})
	}
}

// lockFails is a file system on which nothing can be locked.
type lockFails struct {
	vfs.FS
	err error
}

func (f lockFails) Lock(string) (io.Closer, error) { return nil, f.err }

// Only a lock that somebody holds is told as one: who looks for that process otherwise looks
// in vain.
func TestALockThatFailsIsToldAsWhatItIs(t *testing.T) {
	for _, c := range []struct {
		err  error
		held bool
		says string
	}{
		{syscall.EAGAIN, true, "end that one first"},
		{&os.PathError{Op: "open", Path: "LOCK", Err: syscall.EMFILE}, false, "too many open files"},
		{syscall.ENOLCK, false, "it cannot be locked"},
		{&os.PathError{Op: "open", Path: "LOCK", Err: os.ErrPermission}, false, "cannot be written to"},
	} {
		mem := vfs.NewMem()
		_, err := Open(nodeDir, Storage, smallOptions(lockFails{mem, c.err}))
		require.ErrorIs(t, err, c.err)
		require.Equal(t, c.held, errors.Is(err, ErrInUse), "%v", err)
		require.ErrorContains(t, err, c.says)
		require.ErrorContains(t, err, nodeDir)
	}
}

// A directory is made with all above it, and one that may not be written is refused.
func TestADirectoryIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	d, err := Open(dir, Storage, Options{memTable: smallTable})
	require.NoError(t, err)
	put(t, d, core.Write{Key: "a", Value: "1"})
	holds(t, dir, Options{})

	t.Chdir(t.TempDir())
	d, err = Open("here", Storage, Options{memTable: smallTable})
	require.NoError(t, err, "a relative name")
	put(t, d, core.Write{Key: "a", Value: "1"})
	holds(t, "here", Options{})
}
