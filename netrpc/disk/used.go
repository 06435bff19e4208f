package disk

import (
	"os"
	"slices"
	"strings"
)

// Used tells whether a directory is a node's: whether there may be data in it. It is still one
// where a part is missing, which the node that starts there is going to tell.
func Used(name string) bool {
	files, _ := os.ReadDir(name) // one that is not there has none
	return slices.ContainsFunc(files, func(f os.DirEntry) bool {
		return f.Name() == descriptorFile || f.Name() == dataDir || strings.HasPrefix(f.Name(), asidePrefix)
	})
}
