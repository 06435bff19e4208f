package disk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bornAt is when a file was made, or empty.
func bornAt(name string) string {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, name, 0, unix.STATX_BTIME, &s); err != nil || s.Mask&unix.STATX_BTIME == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%09d", s.Btime.Sec, s.Btime.Nsec)
}
