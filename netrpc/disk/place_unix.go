//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func isFull(err error) bool     { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// placeOf tells a file from its copy: by its number in its file system, and when it was
// made, where the system knows that.
func placeOf(fs vfs.FS, name string) string {
	if fs != vfs.Default {
		return ""
	}
	var s syscall.Stat_t
	if err := syscall.Stat(name, &s); err != nil {
		return ""
	}
	return fmt.Sprintf("%d-%s", s.Ino, bornAt(name))
}

// holder tells whether another process has locked a file, and which, without locking it.
func holder(name string) (pid int, held bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		return 0, false, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return int(lock.Pid), lock.Type != syscall.F_UNLCK, nil
}
