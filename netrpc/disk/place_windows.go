package disk

import (
	"errors"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func isFull(error) bool     { return false }
func isReadOnly(error) bool { return false }

func placeOf(vfs.FS, string) string { return "" }

// holder tells whether another process has locked a file. Which one, the system does not tell.
func holder(name string) (pid int, held bool, err error) {
	const sharingViolation = syscall.Errno(32)
	f, err := os.Open(name)
	if errors.Is(err, sharingViolation) {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	return 0, false, f.Close()
}
