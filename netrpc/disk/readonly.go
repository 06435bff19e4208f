package disk

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// readOnlyFS is a file system of which nothing can be changed, so that an engine that
// means well but is mistaken cannot either. It takes no lock: a lock would be a file, and
// a node that starts meanwhile must not be held up.
type readOnlyFS struct {
	vfs.FS
	opened atomic.Pointer[string] // the file that was opened last
}

type noLock struct{}

func (noLock) Close() error { return nil }

// Lock implements vfs.FS, as do the others.
func (*readOnlyFS) Lock(string) (io.Closer, error) { return noLock{}, nil }

// Open notes what was opened: the engine says that a log is damaged, but not which.
func (fs *readOnlyFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	fs.opened.Store(&name)
	return fs.FS.Open(name, o...)
}

func (fs *readOnlyFS) lastOpened() string {
	if name := fs.opened.Load(); name != nil {
		return *name
	}
	return ""
}

func refused(verb, name string) error {
	return fmt.Errorf("%s %s: it is only to be read: %w", verb, name, os.ErrPermission)
}

func (*readOnlyFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, refused("create", name)
}

func (*readOnlyFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return nil, refused("write", name)
}

func (*readOnlyFS) ReuseForWrite(_, name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, refused("write", name)
}

// What changes the file system is refused.
func (*readOnlyFS) Link(_, name string) error                 { return refused("link", name) }
func (*readOnlyFS) Remove(name string) error                  { return refused("remove", name) }
func (*readOnlyFS) RemoveAll(name string) error               { return refused("remove", name) }
func (*readOnlyFS) Rename(_, name string) error               { return refused("rename", name) }
func (*readOnlyFS) MkdirAll(name string, _ os.FileMode) error { return refused("make", name) }
func (fs *readOnlyFS) Unwrap() vfs.FS                         { return fs.FS }
