package netrpc

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/transport"
)

// patience is how long a test waits for what must happen; far more than it takes.
const patience = 20 * time.Second

// restless is a node that always has something to do.
type restless struct {
	self     core.Peer
	deadline core.Time
	talks    bool // to itself, whenever it is told something
	refills  bool // its inbox gets another message for each that is taken
	to       core.Peer
	steps    atomic.Int64
}

func (n *restless) Step(_ core.Time, _ core.Envelope, out *core.Output) {
	n.steps.Add(1)
	if n.talks {
		out.Send = append(out.Send, core.Envelope{From: n.self, To: n.self, Body: &core.Synced{}})
	}
}

func (n *restless) Tick(_ core.Time, out *core.Output) {
	if n.to.Addr != "" {
		out.Send = append(out.Send, core.Envelope{From: n.self, To: n.to, Body: &core.Ping{Nonce: 1, Boot: 1}})
	}
}

func (n *restless) Deadline() core.Time { return n.deadline }

func startHost(t *testing.T, n *restless) *host {
	n.self = core.Peer{ID: 1}
	h := &host{node: n, self: n.self, log: &eventLog{Logger: logger(nil)}}
	h.other = func(e *core.Envelope) bool {
		if n.refills { // as fast as it is emptied
			h.driver.Put(e)
		}
		return false
	}
	h.start(nil, transport.Options{})
	t.Cleanup(h.end)
	return h
}

// busy gives the host a first message, and waits until it has been taken.
func busy(t *testing.T, h *host) {
	require.True(t, h.tell(h.self, &core.Synced{}))
	require.Eventually(t, func() bool { return h.node.(*restless).steps.Load() > 0 }, patience, time.Millisecond)
}

// ends stops the host while other goroutines go on filling its inbox.
func ends(t *testing.T, h *host) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		h.stop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		require.Fail(t, "the host does not end")
	}
}

func TestAHostEndsThoughItsInboxIsNeverEmpty(t *testing.T) {
	h := startHost(t, &restless{deadline: core.Never, refills: true})
	const writers = 4
	filled := make(chan struct{}, writers)
	for range writers {
		go func() {
			list := make([]core.Envelope, 2*stepsMax)
			for i := range list {
				list[i] = core.Envelope{To: h.self, Body: &core.Ping{Boot: 1}}
			}
			for h.driver.PutAll(list) {
			}
			filled <- struct{}{}
		}()
	}
	busy(t, h)
	ends(t, h)
	for range writers { // who waits for room is told that there will be none
		select {
		case <-filled:
		case <-time.After(patience):
			require.Fail(t, "a put still waits")
		}
	}
}

func TestAHostEndsThoughItsNodeTalksToItself(t *testing.T) {
	h := startHost(t, &restless{deadline: core.Never, talks: true})
	busy(t, h)
	ends(t, h)
}

// A node that wants one tick after the other still gets its words out, and ends.
func TestTicksAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	inbox := transport.NewInbox()
	hears := transport.New(l, transport.Options{Self: 2, Role: transport.RoleStorage, Inbox: inbox})
	defer func() {
		l.Close()
		hears.Close()
	}()
	h := startHost(t, &restless{to: core.Peer{ID: 2, Addr: l.Addr().String()}})
	select {
	case <-inbox.Wake:
	case <-time.After(patience):
		require.Fail(t, "nothing left the host")
	}
	ends(t, h)
}

// The transport learns of each node whose messages are to come first, by whatever step the
// core did.
func TestATransportExpectsThePeersOfItsNode(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	manager, err := ServeManager(listen(), core.ManagerOptions{Replicas: 1}, Options{})
	require.NoError(t, err)
	t.Cleanup(manager.Close)
	node := func() *Server {
		s, err := ServeStorage(listen(), core.StorageOptions{Manager: core.Peer{Addr: manager.Self().Addr}}, Options{})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		return s
	}
	expects := func(s, other *Server) func() bool {
		return func() bool { return s.host.net.Expects(other.Self().ID) }
	}
	a, b := node(), node()
	for _, n := range []*Server{a, b} {
		require.Eventually(t, expects(manager, n), patience, time.Millisecond, "once it is registered")
		require.Eventually(t, expects(n, manager), patience, time.Millisecond, "once it knows that")
	}
	require.False(t, expects(a, b)(), "they have nothing to do with each other")

	client, err := Dial(t.Context(), []string{manager.Self().Addr})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = client.Put(t.Context(), "k", nil)
	require.NoError(t, err)
	require.Eventually(t, expects(a, b), patience, time.Millisecond, "they form a group")
	require.Eventually(t, expects(b, a), patience, time.Millisecond)
}

// counting is a node that counts what it is given, and would lose count if two stepped it
// at the same time.
type counting struct {
	steps int
	done  chan struct{}
	want  int
}

func (n *counting) Step(core.Time, core.Envelope, *core.Output) {
	if n.steps++; n.steps == n.want {
		close(n.done)
	}
}
func (n *counting) Tick(core.Time, *core.Output) {}
func (n *counting) Deadline() core.Time          { return core.Never }

// Many bring messages at once. One at a time steps the node, and none is forgotten, though
// nothing comes after the last.
func TestManyDriveOneNode(t *testing.T) {
	const many, each = 16, 2000
	n := &counting{done: make(chan struct{}), want: many * each}
	h := &host{node: n, self: core.Peer{ID: 1}, log: &eventLog{Logger: logger(nil)}}
	h.start(nil, transport.Options{})
	defer h.stop()
	for range many {
		go func() {
			for range each {
				h.tell(h.self, &core.Synced{})
			}
		}()
	}
	select {
	case <-n.done:
	case <-time.After(patience):
		require.Fail(t, "some are forgotten")
	}
}

// preempted is a node that is due once. Whoever steps it is held up for a while each time
// that it asks when.
type preempted struct {
	due     atomic.Int64
	hold    atomic.Bool
	ticked  chan struct{}
	counted atomic.Int64
}

func (n *preempted) Step(core.Time, core.Envelope, *core.Output) {}
func (n *preempted) Tick(core.Time, *core.Output) {
	n.due.Store(int64(core.Never))
	n.ticked <- struct{}{}
}
func (n *preempted) Deadline() core.Time {
	due := core.Time(n.due.Load())
	if n.hold.Load() {
		n.counted.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
	return due
}

// The timer expires while somebody steps the node who has looked just before. The node is
// stepped all the same, though nothing more comes.
func TestWhatIsDueWhileAnotherLooksIsNotForgotten(t *testing.T) {
	for calls := range 8 { // at which of its looks the node becomes due
		n := &preempted{ticked: make(chan struct{}, 1)}
		n.due.Store(int64(core.Never))
		h := &host{node: n, self: core.Peer{ID: 1}, log: &eventLog{Logger: logger(nil)}}
		h.start(nil, transport.Options{})
		n.due.Store(int64(h.now().After(time.Duration(calls)*8*time.Millisecond + 5*time.Millisecond)))
		h.tell(h.self, &core.Synced{}) // sets the timer
		n.hold.Store(true)
		h.tell(h.self, &core.Synced{})
		n.hold.Store(false)
		select {
		case <-n.ticked:
		case <-time.After(patience):
			require.Fail(t, "it is forgotten")
		}
		h.stop()
	}
}
