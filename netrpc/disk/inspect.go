package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gtstore/core"
)

// Report is what a node's directory is, and what it holds.
type Report struct {
	Role    Role
	Format  int
	Records int  // the version of the records
	Copied  bool // it is not the directory that was made: no node starts on it that is not told that it was moved

	Logs, Tables, Other Part // the engine's files
	Aside               []Aside

	// Contents are the records; nil when there are none to be read: the data were put aside
	// and no node has begun anew, or the engine's files are so damaged that it opens none.
	Contents *core.DiskReport
	Damage   []FileDamage // that the engine found
	Verified *Verified    // nil when nobody asked for it, and without Contents
}

// Part is some of the files.
type Part struct {
	Files int
	Bytes int64
}

// Aside is data that were put aside as damaged.
type Aside struct {
	Name string // of the directory
	Why  string // the first line of its WHY.txt, empty where there is none
	Part
}

// FileDamage is a file that is not as it was written.
type FileDamage struct {
	File string // in the node's directory
	Err  error
}

// Verified is what was read beside the records.
type Verified struct {
	Tables int
	Bytes  int64 // of them
	Points int64 // writes and deletes in the tables and logs, those that a later one replaced too
}

// Damaged tells whether anything is not as it was written.
func (r *Report) Damaged() bool {
	return len(r.Damage) > 0 || r.Contents != nil && r.Contents.Damaged > 0
}

// ErrNone is the class of the errors of Find and Inspect where there is no node's directory.
var ErrNone = errors.New("no directory of a node")

// Find returns the nodes' directories that a name stands for: itself, or those right below
// it. The error matches ErrNone if there are none.
func Find(name string, o Options) ([]string, error) {
	fs := o.fs()
	if err := isDirectory(fs, name); err != nil {
		return nil, err
	}
	if _, err := fs.Stat(fs.PathJoin(name, descriptorFile)); err == nil {
		return []string{name}, nil
	}
	files, err := fs.List(name)
	if err != nil {
		return nil, fmt.Errorf("disk: %s cannot be read: %w", name, err)
	}
	slices.Sort(files)
	var found []string
	for _, f := range files {
		if _, err := fs.Stat(fs.PathJoin(name, f, descriptorFile)); err == nil {
			found = append(found, fs.PathJoin(name, f))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("disk: %s is %w: there is no %s in it, nor in a directory right below it; name the one that a node has as its --dir", name, ErrNone, descriptorFile)
	}
	return found, nil
}

func (o *Options) fs() vfs.FS {
	if o.FS == nil {
		return vfs.Default
	}
	return o.FS
}

func isDirectory(fs vfs.FS, name string) error {
	switch info, err := fs.Stat(name); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("disk: %s does not exist: name the directory that a node has as its --dir", name)
	case err != nil:
		return fmt.Errorf("disk: %s cannot be read: %w", name, err)
	case !info.IsDir():
		return fmt.Errorf("disk: %s is %w, but a file: name the directory that a node has as its --dir", name, ErrNone)
	}
	return nil
}

// inspector reads one directory.
type inspector struct {
	Disk
	records func(core.Space) (*core.DiskReport, error)
	damage  map[string]error // by file, what is wrong first
}

// Inspect reads a node's directory, and changes nothing in it. With verify it also reads
// what no record needs: all of the engine's tables, each block with its checksum, and how
// they fit together. The directory must be in no use: of an engine that is at work files
// vanish and change. So the error matches ErrInUse if a node has it or started on it
// meanwhile. It matches ErrFormat if its format is not known here. What is damaged is no
// error, but stands in the report.
//
// It must not be used on a directory that this process itself has open.
func Inspect(ctx context.Context, name string, verify bool, o Options) (*Report, error) {
	if err := isDirectory(o.fs(), name); err != nil {
		return nil, err
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	fs := &readOnlyFS{FS: o.fs()}
	name = fs.PathJoin(name) // as the engine writes it
	in := &inspector{Disk: Disk{dir: &directory{name: name, fs: fs}, fs: fs, log: log}, records: o.Inspect, damage: map[string]error{}}
	if in.records == nil {
		in.records = core.Inspect
	}
	r, err := in.recognise(fs.FS)
	if err != nil {
		return nil, err
	}
	before, err := in.list(dataDir)
	if errors.Is(err, os.ErrNotExist) {
		if in.self.Begun {
			in.note(dataDir, errors.New("it is missing"))
		}
		r.Damage = in.damages()
		return r, nil
	}
	if err == nil {
		r.Logs, r.Tables, r.Other = parts(before)
		err = in.read(ctx, r, verify)
	}
	if after, listed := in.list(dataDir); listed != nil || !maps.Equal(before, after) {
		return nil, fmt.Errorf("disk: %s: %w: a node was started on it while it was read, so nothing can be said of it: stop that node, and try again", name, ErrInUse)
	}
	if err != nil {
		return nil, err
	}
	r.Damage = in.damages()
	return r, nil
}

// recognise tells what the directory is, from all but its data.
func (in *inspector) recognise(fs vfs.FS) (*Report, error) {
	if fs == vfs.Default {
		for _, lock := range []string{in.dir.path(lockFile), fs.PathJoin(in.dir.path(dataDir), engineLock)} {
			switch pid, held, err := holder(lock); {
			case err != nil && !errors.Is(err, os.ErrNotExist):
				return nil, fmt.Errorf("disk: %s cannot be read: %w", in.dir.name, err)
			case held:
				return nil, fmt.Errorf("disk: %s: %w%s: it cannot be read while that writes to it; stop that node first", in.dir.name, ErrInUse, processText(pid))
			}
		}
	}
	found, err := in.dir.describe()
	if err != nil {
		return nil, err
	}
	if in.self = found; found == nil {
		return nil, fmt.Errorf("disk: %s is %w: there is no %s in it", in.dir.name, ErrNone, descriptorFile)
	}
	if err := in.dir.check(found, found.Role, true); err != nil {
		return nil, err
	}
	r := &Report{Role: found.Role, Format: found.Format, Records: found.Records, Copied: in.dir.isCopy(found)}
	for _, name := range in.dir.setAside() {
		aside := Aside{Name: path.Base(name), Why: in.firstLine(in.fs.PathJoin(name, "WHY.txt"))}
		files, err := in.list(aside.Name)
		if err != nil {
			return nil, fmt.Errorf("disk: %s cannot be read: %w", name, err)
		}
		for _, bytes := range files {
			aside.Part.add(bytes)
		}
		r.Aside = append(r.Aside, aside)
	}
	return r, nil
}

// processText names a process, where the system tells which it is.
func processText(pid int) string {
	if pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

func (in *inspector) firstLine(name string) string {
	f, err := in.fs.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	s := bufio.NewScanner(io.LimitReader(f, 4<<10))
	s.Scan()
	return s.Text()
}

// list returns the files of a part of the directory, with their sizes.
func (in *inspector) list(part string) (map[string]int64, error) {
	names, err := in.fs.List(in.dir.path(part))
	if err != nil {
		return nil, err
	}
	files := make(map[string]int64, len(names))
	for _, name := range names {
		info, err := in.fs.Stat(in.fs.PathJoin(in.dir.path(part), name))
		if err != nil {
			return nil, err
		}
		files[name] = info.Size()
	}
	return files, nil
}

func (p *Part) add(bytes int64) {
	p.Files++
	p.Bytes += bytes
}

// parts sorts the engine's files.
func parts(files map[string]int64) (logs, tables, other Part) {
	for name, bytes := range files {
		switch path.Ext(name) {
		case ".log":
			logs.add(bytes)
		case ".sst":
			tables.add(bytes)
		default:
			other.add(bytes)
		}
	}
	return logs, tables, other
}

// note notes what is wrong with a file. What follows from that does not count.
func (in *inspector) note(file string, err error) {
	file = strings.TrimLeft(strings.TrimPrefix(file, in.dir.name), `/\`)
	if in.damage[file] == nil {
		in.damage[file] = err
	}
}

func (in *inspector) damages() (list []FileDamage) {
	for _, file := range slices.Sorted(maps.Keys(in.damage)) {
		list = append(list, FileDamage{file, in.damage[file]})
	}
	return list
}

// read opens the engine, and reads what is in it. The engine panics on some damage.
func (in *inspector) read(ctx context.Context, r *Report, verify bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			in.noteLast(fmt.Errorf("the engine: %v", p))
		}
	}()
	for name, err := range in.dir.logDamage() {
		in.note(name, err)
	}
	if err := in.openEngine(); err != nil || in.db == nil {
		return err
	}
	err = in.readAll(ctx, r, verify)
	if _, broken := in.dir.checkSeal(); broken != nil && len(in.damage) == 0 {
		in.note(sealFile, broken) // what it seals is whole to the engine, and yet not as it was
	}
	if err == nil && in.self.Begun && r.Contents.Records == 0 && r.Contents.Damaged == 0 && len(in.damage) == 0 {
		in.note(dataDir, errEmpty)
	}
	return errors.Join(err, in.db.Close()) // not after a panic: the engine may hold locks
}

func (in *inspector) readAll(ctx context.Context, r *Report, verify bool) (err error) {
	if r.Contents, err = in.records(interruptible{ctx, in}); err == nil && verify {
		r.Verified, err = in.verify(ctx)
	}
	return err
}

// noteLast notes damage in the file that was opened last.
func (in *inspector) noteLast(err error) { in.note(in.fs.(*readOnlyFS).lastOpened(), err) }

// openEngine opens the engine's files. Where that fails for what is in them, the damage is
// noted and there is no engine.
func (in *inspector) openEngine() error {
	o := &pebble.Options{
		FS: in.fs, ReadOnly: true, ErrorIfNotExists: true, FormatMajorVersion: engineFormat,
		MemTableSize: memTableBytes, CacheSize: cacheBytes, Logger: readLog{in},
		EventListener: &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) { in.note(i.Path, i.Details) }},
	}
	var err error
	in.db, err = pebble.Open(in.dir.path(dataDir), o)
	if err == nil {
		return nil
	}
	in.db = nil
	if number := syscall.Errno(0); errors.As(err, &number) && number != syscall.ENOENT {
		return fmt.Errorf("disk: %s: reading: %w", in.dir.name, err)
	}
	tables := inconsistent.FindAllStringSubmatch(err.Error(), -1)
	for _, t := range tables {
		in.note(in.fs.PathJoin(dataDir, t[1]+".sst"), errors.New(t[2]))
	}
	if len(tables) == 0 {
		in.noteLast(err)
	}
	return nil
}

// inconsistent finds the tables of which the engine says that they are missing or of
// another size, which it does in words alone.
var inconsistent = regexp.MustCompile(`(?m)^L\d+: (\d{6,}): (.*)$`)

// verify reads all of the engine's tables, and goes on after a damaged one.
func (in *inspector) verify(ctx context.Context) (*Verified, error) {
	var v Verified
	levels, err := in.db.SSTables()
	if err != nil {
		return nil, in.readFailed(err)
	}
	for _, tables := range levels {
		for i := range tables {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			name := in.fs.PathJoin(in.dir.path(dataDir), tables[i].BackingSSTNum.String()+".sst")
			if err := in.verifyTable(ctx, name); err != nil {
				in.note(name, err)
			}
			v.Tables, v.Bytes = v.Tables+1, v.Bytes+int64(tables[i].Size)
		}
	}
	if len(in.damage) > 0 {
		return &v, nil // and how they fit together cannot be told
	}
	var stats pebble.CheckLevelsStats
	if err := in.db.CheckLevels(&stats); err != nil {
		in.note(dataDir, err)
	}
	v.Points = stats.NumPoints
	return &v, nil
}

func (in *inspector) verifyTable(ctx context.Context, name string) error {
	f, err := in.fs.Open(name)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	table, err := sstable.NewReader(ctx, readable, sstable.ReaderOptions{})
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return errors.Join(table.ValidateBlockChecksums(), table.Close())
}

// interruptible is a space of which reading ends with a context.
type interruptible struct {
	ctx context.Context
	core.Space
}

// Range implements core.Space.
func (s interruptible) Range(prefix string, f func(key, value string) error) error {
	return s.Space.Range(prefix, func(k, v string) error {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		return f(k, v)
	})
}

// readLog is where the engine logs while it reads.
type readLog struct{ in *inspector }

func (l readLog) Infof(format string, args ...any)  { engineLog{&l.in.Disk}.Infof(format, args...) }
func (l readLog) Errorf(format string, args ...any) { l.Infof(format, args...) } // what it finds is in the report

// Fatalf must not return.
func (l readLog) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
