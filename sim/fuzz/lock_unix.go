//go:build unix

package fuzz

import (
	"errors"
	"io/fs"
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
	return lock(f, syscall.LOCK_EX, "another process works there: wait for it, or choose another directory or shard")
}

// lockToRead keeps others from locking a file for themselves alone. It writes nothing: the
// file may be on a disk that is read-only, and where there is none nobody has locked it.
func lockToRead(name string) (unlock func(), err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	return lock(f, syscall.LOCK_SH, "a search is under way there: wait for it, or end it")
}

func lock(f *os.File, how int, busy string) (unlock func(), err error) {
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New(busy)
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}
