package netrpc

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/transport"
)

// heldDisk is a Disk that ends a sync when the test says so.
type heldDisk struct {
	core.Empty
	mu      sync.Mutex
	batches [][]core.Write
	synced  func()
	failed  func(error)
	closed  bool
}

func (d *heldDisk) Start(synced func(), failed func(error)) { d.synced, d.failed = synced, failed }

func (d *heldDisk) Write(persists func(yield func([]core.Write) bool)) {
	var batch []core.Write
	for writes := range persists {
		batch = append(batch, writes...)
	}
	d.mu.Lock()
	d.batches = append(d.batches, batch)
	d.mu.Unlock()
}

func (d *heldDisk) Close() error {
	d.closed = true
	return nil
}

func (d *heldDisk) written() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.batches {
		n += len(b)
	}
	return n
}

func (d *heldDisk) underWay() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.batches)
}

// writer is a node that writes for each message, and then says so to itself.
type writer struct {
	self core.Peer

	mu    sync.Mutex
	steps uint64
	heard []uint64 // what it has said
}

func (n *writer) Step(_ core.Time, e core.Envelope, out *core.Output) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m, ok := e.Body.(*core.Synced); ok {
		n.heard = append(n.heard, m.Nonce)
		return
	}
	n.steps++
	out.Persist = append(out.Persist, core.Write{Key: "k"})
	out.After = append(out.After, core.Envelope{From: n.self, To: n.self, Body: &core.Synced{Nonce: n.steps}})
}

func (n *writer) Tick(core.Time, *core.Output) {}
func (n *writer) Deadline() core.Time          { return core.Never }

func (n *writer) now() (steps uint64, heard []uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.steps, append([]uint64(nil), n.heard...)
}

func hostOn(t *testing.T, d Disk) (*host, *writer) {
	n := &writer{self: core.Peer{ID: 1}}
	h := &host{node: n, self: n.self, log: &eventLog{Logger: logger(nil)}, disk: &syncer{disk: d}}
	h.start(nil, transport.Options{})
	t.Cleanup(h.stop)
	return h, n
}

// A disk that does not answer does not hold up its node: it takes in what comes, and what it
// writes meanwhile shares a few syncs. When they end, what waited for each leaves, in order.
func TestANodeGoesOnWhileItsDiskHangs(t *testing.T) {
	d := &heldDisk{}
	h, n := hostOn(t, d)
	const messages = 500
	for range messages {
		require.True(t, h.tell(h.self, &core.PeerDown{}))
	}
	require.Eventually(t, func() bool { steps, _ := n.now(); return steps == messages }, patience, time.Millisecond)
	require.LessOrEqual(t, d.underWay(), syncsMax)
	_, heard := n.now()
	require.Empty(t, heard, "nothing is durable")
	for told := 0; ; told++ {
		_, heard := n.now()
		if len(heard) == messages {
			break
		}
		require.LessOrEqual(t, d.underWay()-told, syncsMax)
		durable := 0
		d.mu.Lock()
		for _, b := range d.batches[:told+1] {
			durable += len(b)
		}
		d.mu.Unlock()
		d.synced()
		require.Eventually(t, func() bool { _, heard := n.now(); return len(heard) == durable }, patience, time.Millisecond, "what was written by then leaves, and no more")
	}
	_, heard = n.now()
	for i, nonce := range heard {
		require.EqualValues(t, i+1, nonce)
	}
	require.Equal(t, messages, d.written(), "each write once")
}

// A disk that fails halts its node: what waited never leaves, and nothing is written after.
func TestADiskThatFailsHaltsItsNode(t *testing.T) {
	d := &heldDisk{}
	h, n := hostOn(t, d)
	for range 20 {
		require.True(t, h.tell(h.self, &core.PeerDown{}))
	}
	require.Eventually(t, func() bool { steps, _ := n.now(); return steps == 20 }, patience, time.Millisecond)
	why := errors.New("the disk failed")
	d.failed(why)
	<-h.done
	require.ErrorIs(t, h.halt, why)
	written := d.written()
	d.synced() // one that ended at the same time
	h.tell(h.self, &core.PeerDown{})
	_, heard := n.now()
	require.Empty(t, heard)
	require.Equal(t, written, d.written())
}
