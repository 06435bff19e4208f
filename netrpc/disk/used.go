package disk

import (
	"os"
	"path/filepath"
)

// Used tells whether a directory is a node's: whether there may be data in it.
func Used(name string) bool {
	_, err := os.Stat(filepath.Join(name, descriptorFile))
	return err == nil
}
