package disktest

import (
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Stalling is the system's file system, but nothing that writes or syncs goes on in it while
// there is a file of that name.
func Stalling(while string) vfs.FS { return &stallFS{vfs.Default, while} }

type stallFS struct {
	vfs.FS
	while string
}

func (s *stallFS) wait() {
	for {
		if _, err := os.Stat(s.while); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *stallFS) file(f vfs.File, err error) (vfs.File, error) {
	if s.wait(); err != nil {
		return nil, err
	}
	return &stallFile{f, s}, nil
}

func (s *stallFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.file(s.FS.Create(name, c))
}

func (s *stallFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.file(s.FS.ReuseForWrite(from, to, c))
}

func (s *stallFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return s.file(s.FS.OpenReadWrite(name, c, o...))
}

func (s *stallFS) OpenDir(name string) (vfs.File, error) { return s.file(s.FS.OpenDir(name)) }

func (s *stallFS) Unwrap() vfs.FS { return s.FS }

type stallFile struct {
	vfs.File
	fs *stallFS
}

func (f *stallFile) Write(p []byte) (int, error) {
	f.fs.wait()
	return f.File.Write(p)
}

func (f *stallFile) WriteAt(p []byte, at int64) (int, error) {
	f.fs.wait()
	return f.File.WriteAt(p, at)
}

func (f *stallFile) Sync() error {
	f.fs.wait()
	return f.File.Sync()
}

func (f *stallFile) SyncData() error {
	f.fs.wait()
	return f.File.SyncData()
}

func (f *stallFile) SyncTo(length int64) (bool, error) {
	f.fs.wait()
	return f.File.SyncTo(length)
}
