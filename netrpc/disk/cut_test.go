package disk

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// cutsEnv is how long each of the tests goes on that cut the power, such as 10m.
const cutsEnv = "GTSTORE_DISK_CUTS"

func cutsTime(t *testing.T) time.Duration {
	if s := os.Getenv(cutsEnv); s != "" {
		d, err := time.ParseDuration(s)
		require.NoError(t, err, "%s", cutsEnv)
		return d
	}
	if testing.Short() {
		return time.Second
	}
	return 5 * time.Second
}

// A kind of node: how it starts, and what it goes through.
type nodeKind struct {
	name   string
	role   Role
	boot   func(core.Space) (core.Node, core.Peer, error)
	script func(*rand.Rand) script
}

var nodeKinds = []nodeKind{
	{"storage", Storage, bootStorage, func(rng *rand.Rand) script { return newStorageScript(rng) }},
	{"manager", Manager, bootManager, func(rng *rand.Rand) script { return newManagerScript(rng) }},
}

// cutter cuts the power before operations of a file system, which is after all earlier
// ones: it makes a clone, and starts a node over that.
type cutter struct {
	t       *testing.T
	kind    nodeKind
	mem     *vfs.MemFS
	history atomic.Pointer[history]
	every   func(errorfs.Op) bool // which operations

	mu    sync.Mutex // also of rng
	rng   *rand.Rand
	seed  uint64
	cuts  int
	until time.Time // but the first run is played to its end
	first bool
	ops   map[string]int
	kinds map[core.Kind]int // of the claims that were held against a clone
}

func (c *cutter) hook(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpFileClose || op.Kind == errorfs.OpLock {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.every(op) && c.more() {
		c.cut(op)
	}
	return nil
}

func (c *cutter) more() bool {
	return !c.t.Failed() && (c.first || time.Now().Before(c.until))
}

// what names an operation and the kind of its file.
func what(op errorfs.Op) string {
	names := map[errorfs.OpKind]string{
		errorfs.OpCreate: "create", errorfs.OpReuseForWrite: "reuse", errorfs.OpFileWrite: "write", errorfs.OpFileWriteAt: "write", errorfs.OpFileSync: "sync",
		errorfs.OpFileSyncData: "sync", errorfs.OpRename: "rename", errorfs.OpRemove: "remove", errorfs.OpMkdirAll: "mkdir",
	}
	base := path.Base(op.Path)
	if ext := path.Ext(base); ext == ".log" || ext == ".sst" {
		base = ext
	} else {
		base, _, _ = strings.Cut(base, "-")
	}
	return cmp.Or(names[op.Kind], "other") + " " + base
}

// cut is called with mu held.
func (c *cutter) cut(op errorfs.Op) {
	c.cuts++
	c.ops[what(op)]++
	for _, percent := range []int{0, 100, 1 + c.rng.IntN(99)} {
		h := c.history.Load()
		told, said := h.said()
		clone := unsynced(c.mem, percent, c.rng)
		if outOfOrder(c.t, clone) {
			continue
		}
		if err := c.examine(clone, h, told, said); err != nil {
			c.t.Errorf("seed %d, cut %d, before %v of %s, %d %% of what is not synced: %v", c.seed, c.cuts, op.Kind, op.Path, percent, err)
		}
	}
}

// outOfOrder tells whether a clone has the engine's marker without the file that it names,
// which was made before it. The engine relies on a file system that does not do that: in a
// journal the later of two changes of a directory is not kept without the earlier.
func outOfOrder(t *testing.T, clone *vfs.MemFS) bool {
	files, err := clone.List(nodeDir + "/" + dataDir)
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(f string) bool {
		_, named, found := strings.Cut(f, ".MANIFEST-")
		return found && !slices.Contains(files, "MANIFEST-"+named)
	})
}

// examine starts a node over a clone: it must be there, with all that was told, and no
// part of a batch.
func (c *cutter) examine(clone *vfs.MemFS, h *history, told int, said claims) error {
	d, err := Open(nodeDir, c.kind.role, smallOptions(clone))
	if err != nil {
		return fmt.Errorf("it does not open: %w", err)
	}
	defer d.Close()
	all, err := records(d)
	if err != nil {
		return err
	}
	if at := h.find(all, told); at < 0 {
		return fmt.Errorf("%d records, and %d batches were told as synced: that was never the state since", len(all), told)
	}
	node, _, err := c.kind.boot(d)
	if err != nil {
		return fmt.Errorf("no node starts: %w", err)
	}
	for _, e := range said {
		c.kinds[core.KindOf(e.Body)]++
	}
	return said.check(node, d)
}

func newCutter(t *testing.T, kind nodeKind, every func(errorfs.Op) bool) *cutter {
	return &cutter{
		t: t, kind: kind, every: every, rng: rand.New(rand.NewPCG(1, 1)), until: time.Now().Add(cutsTime(t)),
		ops: map[string]int{}, first: true, kinds: map[core.Kind]int{},
	}
}

// run plays lives of a node: each ends with a power cut, or in good order, and the next one
// begins with what is left. The creation of the directory is a part of it.
func (c *cutter) run(seed uint64) {
	c.seed = seed
	rng := rand.New(rand.NewPCG(seed, 2))
	mem := vfs.NewCrashableMem()
	script := c.kind.script(rng)
	said, start := claims{}, map[string]string{}
	for life := 0; life < 3 && c.more(); life++ {
		c.mem = mem
		h := newHistory(start)
		h.claims = said
		c.history.Store(h)
		d, err := Open(nodeDir, c.kind.role, smallOptions(hooked(mem, c.hook)))
		require.NoError(c.t, err, "seed %d", seed)
		r := onDisk(c.t, d, h, c.kind.boot)
		script.life(r)
		_, said = h.said()
		if rng.IntN(3) > 0 {
			for mem = unsynced(c.mem, rng.IntN(101), rng); outOfOrder(c.t, mem); {
				mem = unsynced(c.mem, rng.IntN(101), rng)
			}
		}
		require.NoError(c.t, d.Close())
		left, err := Open(nodeDir, c.kind.role, smallOptions(mem))
		require.NoError(c.t, err, "seed %d", seed)
		start, err = records(left)
		require.NoError(c.t, err)
		require.NoError(c.t, left.Close())
	}
	c.first = false
}

// A power cut at any moment: while a directory is made, batches are written, logs begin,
// tables are written and made one. Whatever part of what was not synced is there, the node
// starts, has all that it was told of, and no half of a batch.
func TestANodeStartsAfterAPowerCutAtAnyMoment(t *testing.T) {
	ops := map[string]int{}
	for i, kind := range nodeKinds {
		t.Run(kind.name, func(t *testing.T) {
			n, stride := 0, 5
			var c *cutter
			c = newCutter(t, kind, func(op errorfs.Op) bool {
				n++
				return n%stride == 0 || c.ops[what(op)] == 0
			})
			for run := 0; c.more(); run++ {
				c.run(uint64(2*run + i))
				stride = []int{1, 7, 31, 3}[run%4]
			}
			t.Logf("%d cuts, before %v", c.cuts, c.ops)
			for op, n := range c.ops {
				ops[op] += n
			}
		})
	}
	for _, op := range []string{
		"create .log", "write .log", "sync .log", "remove .log", "reuse .log", "create .sst", "write .sst", "sync .sst", "remove .sst",
		"create MANIFEST", "write MANIFEST", "sync MANIFEST", "sync data", "sync data.new", "sync node", "sync machine", "rename data.new", "write gtstore.json.new",
		"write logs.new", "rename logs.new", "remove logs",
	} {
		require.NotZero(t, ops[op], "cuts before: %s", op)
	}
}

// Each row of the table in PROTOCOL.md, section 7: what a node has sent is covered by what
// its disk holds, right before each sync and right after it.
func TestWhatWasSentIsDurable(t *testing.T) {
	kinds := map[core.Kind]int{}
	for i, kind := range nodeKinds {
		c := newCutter(t, kind, func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
		})
		c.run(uint64(100 + i))
		for k, n := range c.kinds {
			kinds[k] += n
		}
	}
	for _, e := range edges {
		require.NotZero(t, kinds[e.kind], "%v was sent", e.kind)
	}
}
