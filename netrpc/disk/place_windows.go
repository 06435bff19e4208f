package disk

import (
	"errors"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func isFull(error) bool       { return false }
func isReadOnly(error) bool   { return false }
func isOutOfFiles(error) bool { return false }

const sharingViolation = syscall.Errno(32)

// isHeld tells the error of a file that another has locked from all others of locking it.
func isHeld(err error) bool {
	return errors.Is(err, sharingViolation) || errors.Is(err, syscall.EAGAIN)
}

func placeOf(vfs.FS, string) string { return "" }

// holder tells whether another process has locked a file. Which one, the system does not tell.
func holder(name string) (pid int, held bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, sharingViolation) {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	return 0, false, f.Close()
}
