package disk_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/disk"
)

// Parts of a directory.
const (
	dataDir        = "data"
	descriptorFile = "gtstore.json"
)

// snapshot is all of a directory: names, modes, times of change, contents.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := fmt.Sprint(info.Mode(), info.ModTime())
		if !d.IsDir() {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(content))
		}
		all[name] = text
		return nil
	}))
	return all
}

// write makes batches of writes durable, one after the other.
func write(t *testing.T, d *disk.Disk, batches ...[]core.Write) {
	t.Helper()
	synced := make(chan struct{}, len(batches))
	d.Start(func() { synced <- struct{}{} }, func(err error) { t.Errorf("the disk failed: %v", err) })
	for _, b := range batches {
		d.Write(func(yield func([]core.Write) bool) { yield(b) })
		<-synced
	}
}

// records are what a node really made durable: that of group 1, whose primary it is.
func records(t *testing.T, puts int) (list []core.Write) {
	t.Helper()
	self, manager := core.Peer{ID: 0x11, Addr: "n1"}, core.Peer{ID: 0x22, Addr: "m"}
	node, err := core.NewStorage(core.StorageOptions{Self: self, Manager: core.Peer{Addr: "m"}, Durable: true, Secret: 7}, core.Empty{})
	require.NoError(t, err)
	var out core.Output
	inbox := []core.Envelope{
		{Cluster: 1, From: manager, To: self, Body: &core.Registered{Boot: 1, Secret: 7}},
		{Cluster: 1, From: manager, To: self, Body: &core.Config{Group: 1, Epoch: 1, Chain: []core.Peer{self}, Reads: core.ReadConfirm, MinChain: 1}},
		{Cluster: 1, From: core.Peer{ID: 0x33, Addr: "c"}, To: self, Body: &core.Op{Group: 1, Req: 1, Kind: core.OpOpen}},
	}
	for i := range puts {
		inbox = append(inbox, core.Envelope{Cluster: 1, From: core.Peer{ID: 0x33, Addr: "c"}, To: self,
			Body: &core.Op{Group: 1, Req: uint64(i + 2), Kind: core.OpPut, Session: 1, OpSeq: uint64(i + 1), Key: fmt.Sprint("key", i%100), Value: strings.Repeat("v", 1000)}})
	}
	for len(inbox) > 0 {
		node.Step(core.Time(1e9), inbox[0], &out)
		inbox = inbox[1:]
		for node.Deadline() <= core.Time(1e9) {
			node.Tick(core.Time(1e9), &out)
		}
		list = append(list, out.Persist...)
		for _, e := range out.After {
			if e.To.ID == self.ID {
				inbox = append([]core.Envelope{e}, inbox...)
			}
		}
		require.NoError(t, out.Halt)
		out.Reset()
	}
	return list
}

// kill ends a disk as the end of its process does: what is not in tables is in the log.
func kill(t *testing.T, d *disk.Disk, dir string) {
	t.Helper()
	data, left := filepath.Join(dir, dataDir), filepath.Join(t.TempDir(), dataDir)
	require.NoError(t, disk.CopyRunning(data, left))
	require.NoError(t, d.Close())
	files, err := filepath.Glob(filepath.Join(data, "*"))
	require.NoError(t, err)
	for _, f := range append(files, filepath.Join(dir, "closed")) {
		require.NoError(t, os.Remove(f))
	}
	require.NoError(t, os.CopyFS(data, os.DirFS(left)))
}

// nodeDir is the directory of a node: of one that was killed, with one table and a log, or
// of one that was stopped, with all in tables.
func nodeDir(t *testing.T, withLog bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node1")
	all := records(t, 200)
	half := len(all) / 2
	d, err := disk.Open(dir, disk.Storage, disk.Options{})
	require.NoError(t, err)
	write(t, d, all[:half])
	require.NoError(t, d.Close())
	d, err = disk.Open(dir, disk.Storage, disk.Options{}) // which makes a table of the log
	require.NoError(t, err)
	if withLog {
		write(t, d, slices.Collect(slices.Chunk(all[half:], 10))...)
		kill(t, d, dir)
	} else {
		write(t, d)
		require.NoError(t, d.Close())
	}
	return dir
}

func inspect(t *testing.T, dir string, verify bool) *disk.Report {
	t.Helper()
	before := snapshot(t, dir)
	r, err := disk.Inspect(t.Context(), dir, verify, disk.Options{})
	require.NoError(t, err)
	require.Equal(t, before, snapshot(t, dir), "nothing changed, and nothing was added")
	return r
}

// file is the one file of the engine whose name matches.
func file(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, dataDir, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, found, pattern)
	return found[len(found)-1]
}

func flip(t *testing.T, name string, at func(size int) int) {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	text[at(len(text))] ^= 1
	require.NoError(t, os.WriteFile(name, text, 0o600))
}

// Whatever is found, the directory stays as it was, byte for byte.
func TestInspectChangesNothing(t *testing.T) {
	dir := nodeDir(t, true)
	for _, verify := range []bool{false, true} {
		r := inspect(t, dir, verify)
		require.False(t, r.Damaged(), "%v %v", r.Damage, r.Contents)
		require.Equal(t, disk.Storage, r.Role)
		require.Equal(t, disk.Format, r.Format)
		require.False(t, r.Copied)
		require.Equal(t, 1, r.Tables.Files)
		require.Positive(t, r.Logs.Files)
		require.Positive(t, r.Tables.Bytes)
		require.EqualValues(t, 0x11, r.Contents.ID)
		require.Len(t, r.Contents.Groups, 1)
		require.EqualValues(t, 201, r.Contents.Groups[0].Last, "what is only in the log is read too")
		require.Equal(t, verify, r.Verified != nil)
		if verify {
			require.Equal(t, 1, r.Verified.Tables)
			require.Equal(t, r.Tables.Bytes, r.Verified.Bytes)
			require.GreaterOrEqual(t, r.Verified.Points, int64(r.Contents.Records))
		}
	}
	d, err := disk.Open(dir, disk.Storage, disk.Options{})
	require.NoError(t, err, "a node starts as if nobody had looked")
	write(t, d)
	require.NoError(t, d.Close())
}

// sealed is a file system that fails a test when anything in it is to be changed.
type sealed struct {
	vfs.FS
	t *testing.T
}

func (s sealed) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	s.t.Errorf("create %s", name)
	return nil, os.ErrPermission
}

func (s sealed) Lock(name string) (io.Closer, error) {
	s.t.Errorf("lock %s", name)
	return nil, os.ErrPermission
}

func (s sealed) MkdirAll(name string, _ os.FileMode) error {
	s.t.Errorf("make %s", name)
	return os.ErrPermission
}

// A directory may belong to somebody else, or be on a disk that is mounted to be read.
func TestInspectOfWhatMustNotBeWritten(t *testing.T) {
	mem := vfs.NewMem()
	d, err := disk.Open("node", disk.Storage, disk.Options{FS: mem})
	require.NoError(t, err)
	write(t, d, records(t, 20))
	require.NoError(t, d.Close())
	r, err := disk.Inspect(t.Context(), "node", true, disk.Options{FS: sealed{mem, t}})
	require.NoError(t, err)
	require.EqualValues(t, 21, r.Contents.Groups[0].Last)
	require.False(t, r.Damaged())
}

// What says whose data they are is damaged or gone, and the data are whole. Nobody puts them
// aside: they may be the only copy. A person can say whose they are, but not that they are
// another role's.
func TestDataThatNothingSaysWhoseTheyAreStay(t *testing.T) {
	for name, harm := range map[string]func(file string) error{
		"damaged": func(file string) error { return os.WriteFile(file, []byte("{"), 0o600) },
		"gone":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := nodeDir(t, true)
			require.NoError(t, harm(filepath.Join(dir, descriptorFile)))
			_, err := disk.Open(dir, disk.Storage, disk.Options{})
			require.ErrorContains(t, err, "--moved")
			_, err = disk.Open(dir, disk.Manager, disk.Options{Moved: true})
			require.ErrorContains(t, err, "belongs to a storage node")
			d, err := disk.Open(dir, disk.Storage, disk.Options{Moved: true})
			require.NoError(t, err)
			require.NoError(t, d.Close())
			d, err = disk.Open(dir, disk.Storage, disk.Options{})
			require.NoError(t, err, "from now on it says whose it is")
			require.NoError(t, d.Close())
			r := inspect(t, dir, true)
			require.False(t, r.Damaged())
			require.EqualValues(t, 201, r.Contents.Groups[0].Last, "nothing is lost")
		})
	}
}

// Damage in any of the engine's files is told with the file, and the rest is read on.
func TestInspectNamesTheDamagedFile(t *testing.T) {
	quarter := func(size int) int { return size / 4 }
	for name, c := range map[string]struct {
		harm     func(t *testing.T, dir string)
		file     string // that is named, as a pattern
		says     string
		contents bool // records can be read
	}{
		"a bit in a table": {func(t *testing.T, dir string) { flip(t, file(t, dir, "*.sst"), quarter) }, "data/*.sst", "checksum mismatch", true},
		"a bit in a table's end": {func(t *testing.T, dir string) {
			flip(t, file(t, dir, "*.sst"), func(size int) int { return size - 3 })
		}, "data/*.sst", "magic", true},
		"a table cut":    {func(t *testing.T, dir string) { require.NoError(t, os.Truncate(file(t, dir, "*.sst"), 1000)) }, "data/*.sst", "size mismatch", false},
		"a table gone":   {func(t *testing.T, dir string) { require.NoError(t, os.Remove(file(t, dir, "*.sst"))) }, "data/*.sst", "does not exist", false},
		"a bit in a log": {func(t *testing.T, dir string) { flip(t, file(t, dir, "*.log"), quarter) }, "data/*.log", "damaged at byte", false},
		"a bit in the list of tables": {func(t *testing.T, dir string) {
			flip(t, file(t, dir, "MANIFEST-*"), func(int) int { return 12 })
		}, "data/MANIFEST-*", "", false},
		"no list of tables": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(file(t, dir, "MANIFEST-*"))) }, "data/MANIFEST-*", "", false},
		"no data":           {func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, dataDir))) }, "data", "missing", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := nodeDir(t, true)
			c.harm(t, dir)
			for _, verify := range []bool{false, true} {
				before := snapshot(t, dir)
				r, err := disk.Inspect(t.Context(), dir, verify, disk.Options{})
				require.NoError(t, err)
				require.Equal(t, before, snapshot(t, dir))
				require.True(t, r.Damaged())
				require.Len(t, r.Damage, 1)
				matched, err := filepath.Match(c.file, r.Damage[0].File)
				require.NoError(t, err)
				require.True(t, matched, "%s: %v", r.Damage[0].File, r.Damage[0].Err)
				require.ErrorContains(t, r.Damage[0].Err, c.says)
				require.NotContains(t, r.Damage[0].Err.Error(), "goroutine")
				require.Equal(t, c.contents, r.Contents != nil)
			}
		})
	}
}

// The engine takes a list of tables that lacks its end for one that a crash has cut. The
// seal of a directory that was closed tells them apart, and a node does not start.
func TestInspectTellsOfABrokenSeal(t *testing.T) {
	dir := nodeDir(t, false)
	require.Empty(t, inspect(t, dir, true).Damage)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "closed"), []byte("another sum"), 0o600))
	r := inspect(t, dir, false)
	require.Len(t, r.Damage, 1)
	require.Equal(t, "closed", r.Damage[0].File)
	_, err := disk.Open(dir, disk.Storage, disk.Options{})
	require.ErrorIs(t, err, core.ErrDamaged)
}

// A record that is damaged in an engine that is whole is told with its key.
func TestInspectNamesTheDamagedRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node1")
	d, err := disk.Open(dir, disk.Storage, disk.Options{})
	require.NoError(t, err)
	write(t, d, records(t, 20), []core.Write{{Key: "log/\x01\x01\x01\x05", Value: "?"}})
	require.NoError(t, d.Close())
	r := inspect(t, dir, true)
	require.Empty(t, r.Damage)
	require.True(t, r.Damaged())
	require.Equal(t, 1, r.Contents.Damaged)
	require.Equal(t, "log/1/5", r.Contents.Damage[0].Record)
}

func TestInspectTellsWhatWasPutAside(t *testing.T) {
	dir := nodeDir(t, false)
	aside, err := disk.SetAside(dir, disk.Storage, errors.New("the log has a hole\nand more"), disk.Options{})
	require.NoError(t, err)
	r := inspect(t, dir, true)
	require.False(t, r.Damaged(), "a node begins anew there")
	require.Nil(t, r.Contents)
	require.Len(t, r.Aside, 1)
	require.Equal(t, filepath.Base(aside), r.Aside[0].Name)
	require.Equal(t, "the log has a hole", r.Aside[0].Why)
	require.Positive(t, r.Aside[0].Bytes)
	require.NoError(t, os.Remove(filepath.Join(aside, "WHY.txt")))
	require.Empty(t, inspect(t, dir, false).Aside[0].Why)
}

func TestInspectTellsACopy(t *testing.T) {
	dir, copied := nodeDir(t, false), filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	r := inspect(t, copied, false)
	require.True(t, r.Copied)
	require.NotNil(t, r.Contents, "it can be read all the same")
}

func TestInspectRefusesWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(t *testing.T, dir string) string
		class error
		says  string
	}{
		"not there": {func(t *testing.T, dir string) string { return filepath.Join(dir, "nowhere") }, nil, "does not exist: name the directory"},
		"a file": {func(t *testing.T, dir string) string {
			name := filepath.Join(dir, "file")
			require.NoError(t, os.WriteFile(name, nil, 0o600))
			return name
		}, disk.ErrNone, "but a file"},
		"empty": {func(_ *testing.T, dir string) string { return dir }, disk.ErrNone, "there is no gtstore.json in it"},
		"a newer format": {func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, descriptorFile), []byte(`{"format":99,"records":2,"role":"storage"}`), 0o600))
			return dir
		}, disk.ErrFormat, "it has format 99"},
		"a descriptor that is none": {func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, descriptorFile), []byte("?"), 0o600))
			return dir
		}, disk.ErrUnnamed, "not as it was written"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := c.make(t, t.TempDir())
			_, err := disk.Inspect(t.Context(), dir, false, disk.Options{})
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, dir)
			if c.class != nil {
				require.ErrorIs(t, err, c.class)
			}
		})
	}
}

// forbidding is a file system in which one may not look.
type forbidding struct{ vfs.FS }

func (forbidding) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrPermission}
}

func TestInspectWithoutPermission(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("node", 0o700))
	_, err := disk.Inspect(t.Context(), "node", false, disk.Options{FS: forbidding{mem}})
	require.ErrorIs(t, err, os.ErrPermission)
	require.NotErrorIs(t, err, core.ErrDamaged)
}

// starting is a file system in which a node starts as soon as the engine's tables are read.
type starting struct {
	vfs.FS
	start func()
}

func (s *starting) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if strings.Contains(name, "MANIFEST") && s.start != nil {
		s.start()
		s.start = nil
	}
	return s.FS.Open(name, o...)
}

// What a node that starts meanwhile does to the files is no damage.
func TestInspectNoticesANodeThatStartsMeanwhile(t *testing.T) {
	mem := vfs.NewMem()
	d, err := disk.Open("node", disk.Storage, disk.Options{FS: mem})
	require.NoError(t, err)
	write(t, d, records(t, 20))
	require.NoError(t, d.Close())
	fs := &starting{mem, func() {
		d, err := disk.Open("node", disk.Storage, disk.Options{FS: mem})
		require.NoError(t, err)
		write(t, d)
		require.NoError(t, d.Close())
	}}
	_, err = disk.Inspect(t.Context(), "node", false, disk.Options{FS: fs})
	require.ErrorIs(t, err, disk.ErrInUse)
	require.ErrorContains(t, err, "a node was started on it")
}

func TestInspectEndsWhenItIsInterrupted(t *testing.T) {
	dir := nodeDir(t, false)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	cancel(why)
	_, err := disk.Inspect(ctx, dir, true, disk.Options{})
	require.ErrorIs(t, err, why)
}

func TestFind(t *testing.T) {
	top := t.TempDir()
	_, err := disk.Find(top, disk.Options{})
	require.ErrorIs(t, err, disk.ErrNone)
	for _, name := range []string{"node1", "manager"} {
		d, err := disk.Open(filepath.Join(top, name), disk.Storage, disk.Options{})
		require.NoError(t, err)
		write(t, d)
		require.NoError(t, d.Close())
	}
	require.NoError(t, os.Mkdir(filepath.Join(top, "other"), 0o700))
	found, err := disk.Find(top, disk.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(top, "manager"), filepath.Join(top, "node1")}, found)
	found, err = disk.Find(found[1], disk.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(top, "node1")}, found)
	_, err = disk.Find(filepath.Join(top, "none"), disk.Options{})
	require.ErrorContains(t, err, "does not exist")
}
