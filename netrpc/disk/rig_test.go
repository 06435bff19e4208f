package disk

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/wire"
)

// patience is how long a test waits for what must happen; far more than it takes.
const patience = 30 * time.Second

const (
	nodeDir         = "/machine/node"
	smallTable      = 64 << 10 // so that a short run writes tables, and begins new logs
	underWayMax     = 8        // as a host has
	testID          = core.NodeID(2)
	testCluster     = core.ClusterID(0xc1)
	testSecret      = 0x5ec
	testManager     = core.NodeID(0x200)
	testClient      = core.NodeID(0x101)
	testOtherID     = core.NodeID(3)
	testPrimary     = core.NodeID(1)
	testGroup       = core.GroupID(1)
	testLogKeep     = 8
	testLogKeepSize = 24 << 10
)

func peer(id core.NodeID) core.Peer { return core.Peer{ID: id, Addr: fmt.Sprintf("at-%d", id)} }

// unsynced makes clones of a file system as a power cut leaves it, with that part of what
// was not synced, in percent.
func unsynced(fs *vfs.MemFS, percent int, rng *rand.Rand) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

// smallOptions are options of a directory on that file system, with a small engine.
func smallOptions(fs vfs.FS) Options { return Options{FS: fs, memTable: smallTable} }

// records reads all that a space holds.
func records(s core.Space) (map[string]string, error) {
	all := map[string]string{}
	err := s.Range("", func(k, v string) error { all[k] = v; return nil })
	return all, err
}

// history is what was given to a disk, and told of it: a number for each state after a
// batch, how many batches were told as synced, and what the node has said since.
type history struct {
	mu     sync.Mutex
	now    map[string]string
	sum    uint64
	sums   []uint64 // the state after so many batches
	told   int
	claims claims
}

func newHistory(start map[string]string) *history {
	h := &history{now: start, claims: claims{}}
	h.sum = sumOf(start)
	h.sums = []uint64{h.sum}
	return h
}

func sumOf(all map[string]string) (sum uint64) {
	for k, v := range all {
		sum ^= recordSum(k, v)
	}
	return sum
}

func recordSum(k, v string) uint64 {
	return wire.Hash(fmt.Appendf(nil, "%d %s %s", len(k), k, v))
}

func (h *history) remove(k string) {
	if v, ok := h.now[k]; ok {
		h.sum ^= recordSum(k, v)
		delete(h.now, k)
	}
}

func (h *history) wrote(batch []core.Write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range batch {
		switch {
		case w.Delete && w.End != "":
			for k := range h.now {
				if w.Key <= k && k < w.End {
					h.remove(k)
				}
			}
		case w.Delete:
			h.remove(w.Key)
		default:
			h.remove(w.Key)
			h.now[w.Key] = w.Value
			h.sum ^= recordSum(w.Key, w.Value)
		}
	}
	h.sums = append(h.sums, h.sum)
}

func (h *history) synced() {
	h.mu.Lock()
	h.told++
	h.mu.Unlock()
}

// said returns how many batches were told as synced, and what the node has said.
func (h *history) said() (int, claims) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told, h.claims.clone()
}

// find returns after how many batches, told or more, the state was this one; -1 if never.
func (h *history) find(all map[string]string, told int) int {
	sum := sumOf(all)
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.sums[told:], sum); i >= 0 {
		return told + i
	}
	return -1
}

// rig drives a node over a Disk as a host does, but for the network: what comes during a
// sync shares the next one, and several are under way.
type rig struct {
	t       *testing.T
	disk    *Disk
	node    core.Node
	self    core.Peer
	now     core.Time
	history *history

	gate   core.Gate
	out    core.Output
	own    []core.Envelope
	mail   []core.Envelope // that left and was not looked at
	ended  chan struct{}   // one for each sync
	failed chan error
}

// onDisk starts a node over a directory.
func onDisk(t *testing.T, d *Disk, h *history, boot func(core.Space) (core.Node, core.Peer, error)) *rig {
	t.Helper()
	node, self, err := boot(d)
	require.NoError(t, err)
	r := &rig{t: t, disk: d, node: node, self: self, now: core.Time(time.Hour), history: h, ended: make(chan struct{}, 1024), failed: make(chan error, 8)}
	d.Start(func() {
		h.synced()
		r.ended <- struct{}{}
	}, func(err error) { r.failed <- err })
	return r
}

func (r *rig) storage() *core.Storage { return r.node.(*core.Storage) }

// step gives the node a message, and takes in the syncs that have ended.
func (r *rig) step(from core.Peer, m core.Message) {
	r.own = append(r.own, core.Envelope{Cluster: testCluster, From: from, To: r.self, Body: m})
	r.work()
}

func (r *rig) tick(d time.Duration) {
	end := r.now.After(d)
	for r.node.Deadline() <= end {
		r.now = max(r.now, r.node.Deadline())
		r.node.Tick(r.now, &r.out)
		r.carryOut()
		r.work()
	}
	r.now = end
}

func (r *rig) work() {
	for {
		select {
		case <-r.ended:
			r.gate.End(func([]core.Write) {}, r.leave)
			r.begin()
			continue
		default:
		}
		if len(r.own) == 0 {
			return
		}
		e := r.own[0]
		r.own = r.own[1:]
		r.node.Step(r.now, e, &r.out)
		for r.node.Deadline() <= r.now && r.out.Halt == nil {
			r.node.Tick(r.now, &r.out)
		}
		r.carryOut()
	}
}

func (r *rig) carryOut() {
	require.NoError(r.t, r.out.Halt)
	for i := range r.out.Send {
		r.leave(&r.out.Send[i])
	}
	r.gate.Take(r.out.Persist, r.out.After, r.leave)
	r.out.Reset()
	r.begin()
}

func (r *rig) leave(e *core.Envelope) {
	if e.To.ID == r.self.ID {
		r.own = append(r.own, *e)
		return
	}
	r.mail = append(r.mail, *e)
	r.history.mu.Lock()
	r.history.claims.add(e)
	r.history.mu.Unlock()
}

func (r *rig) begin() {
	if r.gate.UnderWay() >= underWayMax {
		return
	}
	first, end, some := r.gate.Begin()
	if !some {
		return
	}
	var batch []core.Write
	for i := first; i < end; i++ {
		writes, _ := r.gate.Batch(i)
		batch = append(batch, writes...)
	}
	r.history.wrote(batch)
	r.disk.Write(func(yield func([]core.Write) bool) {
		for i := first; i < end; i++ {
			if writes, _ := r.gate.Batch(i); !yield(writes) {
				return
			}
		}
	})
}

// settle waits until all is durable that is to be.
func (r *rig) settle() {
	for r.gate.UnderWay() > 0 || len(r.own) > 0 {
		if len(r.own) == 0 {
			select {
			case <-r.ended:
				r.ended <- struct{}{}
			case err := <-r.failed:
				require.NoError(r.t, err)
			case <-time.After(patience):
				require.Fail(r.t, "a sync never ends")
			}
		}
		r.work()
	}
}

// took takes the messages of one type that left since.
func took[M core.Message](r *rig) (list []M) {
	r.mail = slices.DeleteFunc(r.mail, func(e core.Envelope) bool {
		m, ok := e.Body.(M)
		if ok {
			list = append(list, m)
		}
		return ok
	})
	return list
}

func bootStorage(s core.Space) (core.Node, core.Peer, error) {
	n, err := core.NewStorage(core.StorageOptions{
		Self: peer(testID), Manager: core.Peer{Addr: peer(testManager).Addr}, Secret: testSecret, Durable: true,
		LogKeep: testLogKeep, LogKeepBytes: testLogKeepSize,
	}, s)
	return n, peer(testID), err
}

func bootManager(s core.Space) (core.Node, core.Peer, error) {
	m, err := core.NewManager(core.ManagerOptions{Self: peer(testManager), Cluster: testCluster, Durable: true, Replicas: 1, Spares: 3}, s)
	return m, peer(testManager), err
}

// hook is called before each operation of a file system; its error is what comes of that.
type hook func(errorfs.Op) error

func hooked(fs vfs.FS, h hook) vfs.FS { return errorfs.Wrap(fs, errorfs.InjectorFunc(h)) }

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
