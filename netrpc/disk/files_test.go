package disk

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// openTables counts the engine's tables that are open.
type openTables struct {
	vfs.FS
	now, most atomic.Int64
}

type openTable struct {
	vfs.File
	of *openTables
}

func (o *openTables) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := o.FS.Open(name, options...)
	if err != nil || !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	o.most.Store(max(o.most.Load(), o.now.Add(1)))
	return &openTable{f, o}, nil
}

func (t *openTable) Close() error {
	t.of.now.Add(-1)
	return t.File.Close()
}

// However much a node holds, it keeps few files open: a process may have 1,024 in all, and each
// connection takes one.
func TestFewTablesAreKeptOpen(t *testing.T) {
	fs := &openTables{FS: vfs.NewMem()}
	d, err := Open(nodeDir, Storage, Options{FS: fs, memTable: smallTable})
	require.NoError(t, err)
	e := newEnds()
	d.Start(func() { e.tell(nil) }, e.tell)
	written, tables := 0, 0
	for value := strings.Repeat("v", smallTable/4); tables < 2*(openFilesMax+closingMax); written++ {
		d.Write(func(yield func([]core.Write) bool) { // in the order of the keys: no table is merged with another
			yield([]core.Write{{Key: fmt.Sprintf("%08d", written), Value: value}})
		})
		for synced, failed := e.now(); synced <= written; synced, failed = e.now() {
			require.NoError(t, failed)
			<-e.moved
		}
		tables = int(d.db.Metrics().Total().TablesCount)
	}
	require.NoError(t, d.Close())

	d, err = Open(nodeDir, Storage, Options{FS: fs, memTable: smallTable})
	require.NoError(t, err)
	fs.most.Store(0)
	all, err := records(d)
	require.NoError(t, err)
	require.Len(t, all, written)
	require.Positive(t, fs.most.Load())
	require.LessOrEqual(t, fs.most.Load(), int64(openFilesMax+closingMax))
	require.Eventually(t, func() bool { return fs.now.Load() <= openFilesMax }, patience, time.Millisecond)
	require.NoError(t, d.Close())
}
