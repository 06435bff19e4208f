//go:build unix

package disk

import (
	"errors"
	"fmt"
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
