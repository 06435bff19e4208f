//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func isFull(err error) bool     { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// isOutOfFiles tells whether an error says that no more files can be opened.
func isOutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// isHeld tells the error of a file that another has locked from all others of locking it.
func isHeld(err error) bool {
	var opening *os.PathError
	if err == nil || errors.As(err, &opening) {
		return false
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return number == syscall.EAGAIN || number == syscall.EACCES
	}
	return strings.Contains(err.Error(), heldHere)
}

// heldHere is what the engine's file system says of a file that this very process has locked.
const heldHere = "lock held by current process"

// placeOf tells a file from its copy: by its number in its file system, and when it was
// made, where the system knows that.
func placeOf(fs vfs.FS, name string) string {
	if vfs.Root(fs) != vfs.Default {
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
