package disk

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"gtstore/core"
	"gtstore/core/coretest"
)

// tested is a Disk whose file system can lose what was not synced.
type tested struct {
	*Disk
	t     *rapid.T
	mem   *vfs.MemFS
	ends  *ends
	given int
}

func (d *tested) open() {
	opened, err := Open(nodeDir, Storage, smallOptions(d.mem))
	require.NoError(d.t, err)
	d.Disk, d.ends, d.given = opened, newEnds(), 0
	e := d.ends
	d.Start(func() { e.tell(nil) }, e.tell)
}

func (d *tested) Write(batch []core.Write) {
	for d.given-d.told() >= underWayMax {
		d.await()
	}
	d.given++
	batch = append(slices.Clone(batch), core.Write{Key: identity, Value: "x"})
	d.Disk.Write(func(yield func([]core.Write) bool) { // as of several Outputs
		half := len(batch) / 2
		_ = yield(batch[:half]) && yield(batch[half:])
	})
}

// identity is the record that a node always has: data without any are damaged.
const identity = "\xff/identity"

func (d *tested) Range(prefix string, f func(key, value string) error) error {
	return d.Disk.Range(prefix, func(k, v string) error {
		if k == identity {
			return nil
		}
		return f(k, v)
	})
}

func (d *tested) told() int {
	synced, failed := d.ends.now()
	require.NoError(d.t, failed)
	return synced
}

func (d *tested) await() {
	select {
	case <-d.ends.moved:
	case <-time.After(patience):
		require.Fail(d.t, "a sync never ends")
	}
}

func (d *tested) Synced(wait bool) int {
	for wait && d.told() < d.given {
		d.await()
	}
	return d.told()
}

func (d *tested) Crash(draw func(string, int) int) {
	rng := rand.New(rand.NewPCG(uint64(draw("seed", 1<<20)), 0))
	left := unsynced(d.mem, draw("percent", 100), rng)
	require.NoError(d.t, d.Disk.Close()) // of the process that is no more
	d.mem = left
	d.open()
}

func (d *tested) Stop() {
	require.NoError(d.t, d.Disk.Close())
	d.open()
}

func TestTheEngineConforms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &tested{t: t, mem: vfs.NewCrashableMem()}
		d.open()
		coretest.Conform(t, d)
		require.NoError(t, d.Disk.Close())
	})
}
