package disk

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// holdFS is the file system of an engine. The first write that fails is told, and never
// returns: the engine would panic with its locks in disorder, try again for ever, or free
// what it still uses. What it holds then nobody needs any more. Who only reads gets the
// error.
type holdFS struct {
	vfs.FS
	d *Disk
}

// done takes the outcome of a write.
func (h *holdFS) done(err error) error {
	switch {
	case h.d.fail.why() != nil:
		select {}
	case err == nil, errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrExist):
		return err
	}
	if isFull(err) {
		err = fmt.Errorf("%w: %w: free some, or move the directory to a larger disk, and start the node again", errFull, err)
	}
	h.d.fail.with(fmt.Errorf("disk: %s: writing: %w", h.d.dir.name, err))
	select {}
}

func (h *holdFS) file(f vfs.File, err error) (vfs.File, error) {
	if err = h.done(err); err != nil {
		return nil, err
	}
	return &holdFile{File: f, fs: h}, nil
}

// logFile is file, for what may be a log.
func (h *holdFS) logFile(name string, f vfs.File, err error) (vfs.File, error) {
	file, err := h.file(f, err)
	number, isLog := logNumber(h.PathBase(name))
	if isLog && err == nil && h.PathDir(name) == h.d.dir.path(dataDir) {
		file.(*holdFile).unlisted = uint64(number)
	}
	return file, err
}

// Create implements vfs.FS, as do the following.
func (h *holdFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.Create(name, c)
	return h.logFile(name, f, err)
}

func (h *holdFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.ReuseForWrite(from, to, c)
	return h.logFile(to, f, err)
}

func (h *holdFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return h.file(h.FS.OpenReadWrite(name, c, o...))
}

func (h *holdFS) OpenDir(name string) (vfs.File, error) { return h.file(h.FS.OpenDir(name)) }

func (h *holdFS) Link(from, to string) error { return h.done(h.FS.Link(from, to)) }

func (h *holdFS) Rename(from, to string) error { return h.done(h.FS.Rename(from, to)) }

func (h *holdFS) MkdirAll(name string, perm os.FileMode) error {
	return h.done(h.FS.MkdirAll(name, perm))
}

// List is held as well: the engine lists its files when it is at work already.
func (h *holdFS) List(name string) ([]string, error) {
	list, err := h.FS.List(name)
	return list, h.done(err)
}

func (h *holdFS) Unwrap() vfs.FS { return h.FS }

// holdFile is a file that can be written.
type holdFile struct {
	vfs.File
	fs       *holdFS
	unlisted uint64 // the number of a log that was not synced before; else 0

	ahead              bool // it is allocated ahead
	written, allocated int64
}

// aheadBytes is how much of a log is allocated at a time, ahead of what is written: syncs are
// faster so. The engine would have 70 MB for each log before anything is in it. A small disk has
// not that, and one that is nearly full loses it at a stroke.
const aheadBytes = 4 << 20

// Preallocate is called before a log is written to.
func (f *holdFile) Preallocate(_, _ int64) error {
	f.ahead = true
	return nil
}

func (f *holdFile) Write(p []byte) (int, error) {
	for f.written += int64(len(p)); f.ahead && f.allocated < f.written; f.allocated += aheadBytes {
		_ = f.File.Preallocate(f.allocated, aheadBytes) // where there is no room the write says so
	}
	n, err := f.File.Write(p)
	return n, f.fs.done(err)
}

func (f *holdFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	return n, f.fs.done(err)
}

func (f *holdFile) Sync() error { return f.synced(f.File.Sync()) }

func (f *holdFile) SyncData() error { return f.synced(f.File.SyncData()) }

// synced lists a log when it is synced for the first time.
func (f *holdFile) synced(err error) error {
	if err == nil && f.unlisted > 0 {
		err = f.fs.d.listLog(f.unlisted)
		f.unlisted = 0
	}
	return f.fs.done(err)
}

func (f *holdFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.fs.done(err)
}

func (f *holdFile) Close() error { return f.fs.done(f.File.Close()) }
