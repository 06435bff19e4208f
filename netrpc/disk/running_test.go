package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// CopyRunning copies the directory of a process that runs, but writes nothing, to one that
// does not exist yet: what a kill would leave. The engine deletes files that it needs no
// more when it likes, so a copy during which one vanished is made anew.
func CopyRunning(from, to string) error {
	for {
		before, err := names(from)
		if err != nil {
			return err
		}
		err = os.CopyFS(to, os.DirFS(from))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if after, listed := names(from); err == nil && listed == nil && slices.Equal(before, after) {
			return nil
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
}

// names are those of all files below a directory; one that vanishes meanwhile may be missing.
func names(dir string) (list []string, err error) {
	err = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil && name != dir && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		list = append(list, name)
		return err
	})
	return list, err
}
