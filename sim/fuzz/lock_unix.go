//go:build unix

package fuzz

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks a file for this process alone, until unlock is called or the process
// ends, however it ends.
func lockFile(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process searches there: wait for it, or choose another directory or shard")
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}
