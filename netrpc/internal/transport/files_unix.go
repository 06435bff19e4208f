//go:build unix

package transport

import (
	"errors"
	"syscall"
)

// filesMax is how many files this process may have open, or 0 if that is not known. The
// runtime of Go has raised the limit to the highest that is allowed.
func filesMax() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}

// outOfFiles tells whether an error says that no more files can be opened.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
