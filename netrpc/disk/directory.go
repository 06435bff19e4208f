package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gtstore/core"
)

const (
	lockFile       = "LOCK"
	engineLock     = "LOCK" // the engine's own, in dataDir
	descriptorFile = "gtstore.json"
	dataDir        = "data"
	newDataDir     = "data.new" // while it is made
	asidePrefix    = "damaged-"
)

// AsideMax is how often damaged data are put aside in a directory, where they stay: each time
// may take as much of the disk as the data. After that SetAside fails.
const AsideMax = 4

// Role is what kind of node a directory belongs to.
type Role string

// The roles.
const (
	Manager Role = "manager"
	Storage Role = "storage"
)

// what is the role in a sentence.
func (r Role) what() string {
	if r == Storage {
		return "storage node"
	}
	return string(r)
}

// Classes of the errors of Open.
var (
	ErrInUse   = errors.New("another process uses it")
	ErrCopied  = errors.New("it is a copy")
	ErrFormat  = errors.New("its format is not known here")
	ErrUnnamed = errors.New("what says whose data it has is damaged")
)

// Options of Open. The zero value is good.
type Options struct {
	Logger *slog.Logger // default: none
	FS     vfs.FS       // default: the system's; another one is for tests

	// Moved says that the directory was moved here, and that no node will ever be started
	// on where it was. A directory that was copied is refused without. So is one that does
	// not say any more whose it is: with Moved, it is the node's that is started.
	Moved bool

	// Inspect is what the function Inspect reads the records by; default: core.Inspect.
	Inspect func(core.Space) (*core.DiskReport, error)

	memTable  uint64        // bytes; a smaller one is for tests
	closeTime time.Duration // likewise
}

// directory is a directory in use.
type directory struct {
	name string
	fs   vfs.FS
	lock io.Closer
}

// Open opens a node's directory, and makes it if it is not there. Only one process can have
// it open. The error matches core.ErrDamaged if what it holds is not as it was written;
// SetAside then makes room for a new start. It matches ErrInUse, ErrCopied, ErrFormat or
// ErrUnnamed where it says so; the data may be whole then.
func Open(name string, role Role, o Options) (*Disk, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := lock(o.FS, name)
	if err != nil {
		return nil, err
	}
	d := &Disk{dir: dir, fs: o.FS, log: o.Logger, memTable: cmp.Or(o.memTable, memTableBytes), closeTime: cmp.Or(o.closeTime, closeTime), quit: make(chan struct{}), fail: failure{done: make(chan struct{})}}
	if err := d.begin(role, o.Moved); err != nil {
		if d.fail.why() != nil { // the engine may be at work in it until the process ends
			return nil, err
		}
		return nil, errors.Join(err, dir.unlock())
	}
	return d, nil
}

// lock makes the directory if need be, and takes it for this process.
func lock(fs vfs.FS, name string) (*directory, error) {
	if err := fs.MkdirAll(name, 0o700); err != nil {
		return nil, fmt.Errorf("disk: %s cannot be made, or is no directory: %w", name, err)
	}
	l, err := fs.Lock(fs.PathJoin(name, lockFile))
	switch {
	case errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist), isReadOnly(err):
		return nil, fmt.Errorf("disk: %s: it cannot be written to: %w", name, err)
	case isFull(err):
		return nil, fmt.Errorf("disk: %s: %w: %w", name, errFull, err)
	case isHeld(err):
		return nil, inUse(name, err)
	case err != nil:
		return nil, fmt.Errorf("disk: %s: it cannot be locked, so whether another process uses it is not known: %w; look at its %s, which must be a file", name, err, lockFile)
	}
	return &directory{name, fs, l}, nil
}

func inUse(name string, err error) error {
	return fmt.Errorf("disk: %s: %w: end that one first, or choose another directory (%w)", name, ErrInUse, err)
}

func (d *directory) unlock() error { return d.lock.Close() }

func (d *directory) path(file string) string { return d.fs.PathJoin(d.name, file) }

// begin checks what the directory is, and opens the engine in it. In a new directory the
// descriptor is written last. So while there is none, no node has run in it. The engine's
// files are there as a whole or not at all: what is half made is made anew.
func (d *Disk) begin(role Role, moved bool) error {
	if err := d.dir.checkData(); err != nil {
		return err
	}
	found, err := d.dir.describe()
	if moved && errors.Is(err, ErrUnnamed) {
		d.log.Warn("what says whose data these are is damaged, and is written anew, as --moved says", "file", d.dir.path(descriptorFile))
		found, err = nil, nil
	}
	if err != nil {
		return err
	}
	if found != nil {
		if files, err := d.fs.List(d.dir.path(dataDir)); err == nil && len(files) == 0 && found.Begun {
			return fmt.Errorf("disk: %s is empty, though its node had data there: if it is on a disk of its own, mount that; else bring the data back, or choose another directory", d.dir.path(dataDir))
		}
		if err := d.dir.check(found, role, moved); err != nil {
			return err
		}
	}
	if err := d.dir.checkLogs(); err != nil {
		return err
	}
	if err := d.dir.dropLogs(); err != nil {
		return d.inDir(err)
	}
	if err := d.checkSpace(); err != nil {
		return err
	}
	if found == nil {
		if err := d.dir.foreign(); err != nil {
			return err
		}
		if err := d.dir.syncParents(); err != nil {
			return err
		}
	}
	if err := d.dir.unseal(); err != nil {
		return d.inDir(err)
	}
	if !d.dir.hasData() {
		if found != nil && found.Begun {
			return d.inDir(fmt.Errorf("%w: %s does not exist", core.ErrDamaged, dataDir))
		}
		if err := d.make(); err != nil {
			return d.inDir(err)
		}
	}
	if err := d.open(dataDir, false); err != nil {
		return d.inDir(err)
	}
	if err := d.describe(role, found, moved); err != nil {
		return errors.Join(err, d.guard(d.db.Close))
	}
	return nil
}

// inDir says where an error is from, unless it does already. Somebody who removed LOCK has
// left the engine's own lock.
func (d *Disk) inDir(err error) error {
	if err == d.fail.why() {
		return err
	}
	if isHeld(err) {
		return inUse(d.dir.name, err)
	}
	return fmt.Errorf("disk: %s: %w", d.dir.name, err)
}

// make makes the files of an engine that holds nothing.
func (d *Disk) make() error {
	tmp := d.dir.path(newDataDir)
	if err := d.fs.RemoveAll(tmp); err != nil {
		return err
	}
	if err := d.open(newDataDir, true); err != nil {
		return err
	}
	if err := d.guard(d.db.Close); err != nil {
		return err
	}
	if err := d.fs.Rename(tmp, d.dir.path(dataDir)); err != nil {
		return err
	}
	return d.dir.sync()
}

// describe holds the descriptor against the data, and writes it where it is new, or does not
// say where they are.
func (d *Disk) describe(role Role, found *descriptor, moved bool) error {
	empty, err := d.isEmpty()
	switch {
	case err != nil:
		return err
	case found == nil && !empty && !moved:
		return fmt.Errorf("disk: %s: %w, or %s was removed: it has data, but not that file, which says whose. %s", d.dir.name, ErrCopied, descriptorFile, adviceUnnamed)
	case found == nil && !empty:
		if err := d.ofRole(role); err != nil {
			return err
		}
	case found != nil && found.Begun && empty:
		return fmt.Errorf("disk: %s: %w: %w", d.dir.name, core.ErrDamaged, errEmpty)
	}
	now := d.dir.places()
	if d.self = found; found != nil && found.Places == now {
		return nil
	}
	if found == nil {
		d.self = newDescriptor(role)
		d.self.Begun = !empty
	}
	d.self.Places.Data = now.Data
	return d.dir.writeDescriptor(d.self)
}

var (
	errEmpty    = errors.New("it holds nothing, though its node had begun")
	errNotEmpty = errors.New("not empty")
)

// ofRole refuses data that the records in them say to be those of another role, or that are
// damaged.
func (d *Disk) ofRole(role Role) error {
	r, err := core.Inspect(d)
	switch {
	case err != nil:
		return err
	case r.Damaged > 0:
		return fmt.Errorf("disk: %s: %w: %s: %w", d.dir.name, core.ErrDamaged, r.Damage[0].Record, r.Damage[0].Err)
	case role == Manager && len(r.Groups) > 0:
		return belongs(d.dir.name, Storage, role)
	case role == Storage && r.Directory.Index > 0:
		return belongs(d.dir.name, Manager, role)
	}
	return nil
}

// isEmpty tells whether there is no record. A node that has begun has at least its identity.
func (d *Disk) isEmpty() (bool, error) {
	err := d.Range("", func(string, string) error { return errNotEmpty })
	if err == errNotEmpty {
		return false, nil
	}
	return err == nil, err
}

// foreign refuses a directory that has something else in it.
func (d *directory) foreign() error {
	files, err := d.fs.List(d.name)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	for _, f := range files {
		switch {
		case f == lockFile, f == dataDir, f == newDataDir, f == sealFile, f == "lost+found", strings.HasPrefix(f, descriptorFile), strings.HasPrefix(f, asidePrefix):
		default:
			return fmt.Errorf("disk: %s is no directory of a node: there is %q in it; choose an empty one", d.name, f)
		}
	}
	return nil
}

// sync makes what was made or renamed in it durable.
func (d *directory) sync() error { return syncDir(d.fs, d.name) }

// syncParents makes the directory itself durable: else a power cut could take all of it
// back. Nothing was made in one that may not be read or written, nor in one that no file
// system of a disk has, such as /proc.
func (d *directory) syncParents() error {
	for at := d.name; at != d.fs.PathDir(at); {
		at = d.fs.PathDir(at)
		if err := syncDir(d.fs, at); err != nil && !cannotHold(err) {
			return fmt.Errorf("disk: %s: syncing %s, which it is in: %w", d.name, at, err)
		}
	}
	return nil
}

// cannotHold tells of the error of syncing a directory that nothing can have been made there.
func cannotHold(err error) bool {
	return slices.ContainsFunc([]error{os.ErrPermission, syscall.EROFS, syscall.EINVAL, errors.ErrUnsupported},
		func(e error) bool { return errors.Is(err, e) })
}

func syncDir(fs vfs.FS, name string) error {
	f, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// SetAside puts the data of a directory aside, under a name that says when, with a file
// WHY.txt that says why, so that a new node of that role can begin in the directory. It
// returns the new name of the data. The descriptor may be what is damaged, so it is written
// anew.
func SetAside(name string, role Role, why error, o Options) (aside string, err error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	dir, err := lock(o.FS, name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, dir.unlock()) }()
	kept := dir.setAside()
	if len(kept) >= AsideMax {
		return "", fmt.Errorf("disk: %s: %d times damaged data was put aside there, from %s to %s; look at the disk, then remove them: %w",
			name, len(kept), path.Base(kept[0]), path.Base(kept[len(kept)-1]), why)
	}
	aside = dir.path(asidePrefix + time.Now().UTC().Format("20060102T150405.000000Z"))
	if err := dir.note(why); err != nil {
		return "", fmt.Errorf("disk: %s: %w", name, err)
	}
	if err := dir.writeDescriptor(newDescriptor(role)); err != nil {
		return "", err
	}
	if err := dir.fs.Rename(dir.path(dataDir), aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("disk: %w", err)
	}
	if err := dir.sync(); err != nil {
		return "", fmt.Errorf("disk: %s: %w", name, err)
	}
	return aside, nil
}

// note writes down, beside the data, why they are put aside.
func (d *directory) note(why error) error {
	if err := d.fs.MkdirAll(d.path(dataDir), 0o700); err != nil {
		return err
	}
	f, err := d.fs.Create(d.inData("WHY.txt"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, why.Error()+"\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// setAside lists what was set aside, oldest first.
func (d *directory) setAside() (list []string) {
	files, _ := d.fs.List(d.name)
	for _, f := range files {
		if strings.HasPrefix(f, asidePrefix) {
			list = append(list, d.path(f))
		}
	}
	slices.Sort(list)
	return list
}

// checkData refuses what is under the name of the data and is no directory. A link that leads
// nowhere is that of a disk which is not mounted: data on it are not gone, nor damaged.
func (d *directory) checkData() error {
	data := d.path(dataDir)
	info, err := d.fs.Stat(data)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("disk: %s is a file, where a node has the directory of its data: bring that back, or choose another directory", data)
	case errors.Is(err, os.ErrNotExist):
		if files, _ := d.fs.List(d.name); slices.Contains(files, dataDir) {
			return fmt.Errorf("disk: %s is a link that leads nowhere: if the data are on a disk of their own, mount that; else bring them back, or choose another directory", data)
		}
	}
	return nil
}

// hasData tells whether there is data of the engine.
func (d *directory) hasData() bool { return d.exists(dataDir) }

func (d *directory) exists(file string) bool {
	_, err := d.fs.Stat(d.path(file))
	return !errors.Is(err, os.ErrNotExist)
}

func (d *directory) inData(file string) string { return d.fs.PathJoin(d.path(dataDir), file) }

var _ core.Space = (*Disk)(nil)
