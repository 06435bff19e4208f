package transport

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/rpc"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
)

// Options configure a Transport. Zero values take the defaults of
// DefaultOptions; Inbox and Down must be set.
type Options struct {
	Self  core.NodeID
	Role  Role   // of a process that listens
	Inbox *Inbox // where what arrives is put

	// Down is told of peers to whom something could not be sent, because their
	// address refused a connection or the connection broke. It must not block.
	Down func(peer core.Peer, refused bool)

	// Drive is called by a goroutine that has put something into the Inbox, when nothing
	// more is there to be read, so that it can let the node take it. It may Send. The
	// default wakes whoever waits for the Inbox.
	Drive  func()
	Logger *slog.Logger

	// Identity is who this process is; then all connections have TLS. nil: they are plain.
	Identity *identity.Source

	ConnectionsMax int           // that others have made; fewer if the process may not open so many files
	MemoryMax      int           // bytes held for those connections, all together
	WindowMax      int           // batches of one connection for which there is no room, before no more is read
	QueueMax       int           // envelopes that wait for one peer
	QueueBytesMax  int           // and the bytes of those that wait for all peers to which this process connects
	PeersMax       int           // to which this process connects
	DialTimeout    time.Duration // until both prefaces are exchanged, and with TLS its handshake before them
	SilenceMax     time.Duration // without movement where an answer is due before a second connection is tried
	FrameTimeout   time.Duration // for a frame that has begun, and for a Deliver to be answered
	IdleTimeout    time.Duration // without anything to send before a connection of ours is closed
}

// DefaultOptions are those of a cluster on one site's network.
func DefaultOptions() Options {
	return Options{
		Logger:         slog.New(slog.DiscardHandler),
		ConnectionsMax: 4096, MemoryMax: 96 << 20, WindowMax: 16, QueueMax: 1 << 14, QueueBytesMax: 64 << 20, PeersMax: 8192,
		DialTimeout: 2 * time.Second, SilenceMax: time.Second, FrameTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
}

// MemoryMin is the least budget for the connections that others make: several of the
// largest messages fit.
const MemoryMin = 16 << 20

// filesReserveMin is how many files at least are left for connections to peers, and for
// what else the process opens. It is a quarter of those that it may have, if that is more.
const filesReserveMin = 24

func (o *Options) complete() {
	d := DefaultOptions()
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	if o.Drive == nil {
		o.Drive = o.Inbox.Notify
	}
	o.ConnectionsMax = cmp.Or(o.ConnectionsMax, d.ConnectionsMax)
	if files := filesMax(); files > 0 {
		o.ConnectionsMax = max(1, min(o.ConnectionsMax, files-max(files/4, filesReserveMin)))
	}
	o.MemoryMax = max(cmp.Or(o.MemoryMax, d.MemoryMax), MemoryMin)
	o.WindowMax = cmp.Or(o.WindowMax, d.WindowMax)
	o.QueueMax = cmp.Or(o.QueueMax, d.QueueMax)
	o.QueueBytesMax = cmp.Or(o.QueueBytesMax, d.QueueBytesMax)
	o.PeersMax = cmp.Or(o.PeersMax, d.PeersMax)
	o.DialTimeout = cmp.Or(o.DialTimeout, d.DialTimeout)
	o.SilenceMax = cmp.Or(o.SilenceMax, d.SilenceMax)
	o.FrameTimeout = cmp.Or(o.FrameTimeout, d.FrameTimeout)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, d.IdleTimeout)
}

// Transport sends and receives a node's envelopes.
type Transport struct {
	opt     Options
	notes   notes
	began   time.Time
	ctx     context.Context // ends with the transport
	cancel  context.CancelFunc
	server  *server
	rpc     *rpc.Server    // what peers call
	running sync.WaitGroup // the links
	queued  *budget        // of what waits for peers to which this process connects
	lost    lost

	expected atomic.Pointer[map[core.NodeID]string] // see Expect: the name of each; the map is never changed
	managers managers
	refusals Refusals

	// Of whoever calls Send.
	links   map[string]*link
	touched []*Queue // got something in this Send
	sends   uint64   // so far
}

// New starts a transport that listens on l, or not if l is nil.
func New(l net.Listener, opt Options) *Transport {
	opt.complete()
	t := &Transport{opt: opt, began: time.Now(), links: make(map[string]*link), queued: newBudget(opt.QueueBytesMax)}
	t.notes.log, t.notes.began = opt.Logger, t.began
	t.rpc = rpc.NewServer()
	if err := t.rpc.RegisterName("Node", &service{Hello{opt.Role, opt.Self}}); err != nil {
		panic(err) // only when the methods do not fit net/rpc
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.server = newServer(t)
	if l != nil {
		t.server.wg.Add(2)
		go t.server.serve(l)
		go t.server.watch()
	}
	return t
}

// Send puts envelopes on their way; it does not wait for them to leave. No two goroutines
// may call Send and Flush at the same time.
func (t *Transport) Send(list []core.Envelope) {
	t.sends++
	for i := range list {
		q := t.route(list[i].To.Addr)
		if q == nil {
			t.lost.gone.Add(1)
			continue
		}
		put := q.Put(&list[i])
		if !put && q.closed.Load() { // the link has ended just now: there is another
			if q = t.route(list[i].To.Addr); q == nil {
				t.lost.gone.Add(1)
				continue
			}
			put = q.Put(&list[i])
		}
		if put {
			if len(t.touched) == 0 || t.touched[len(t.touched)-1] != q {
				t.touched = append(t.touched, q)
			}
		} else {
			t.lost.full.Add(1)
		}
	}
	for _, q := range t.touched {
		q.leave()
	}
	t.touched = t.touched[:0]
}

// route returns the queue to an address, or nil if there is no way to it.
func (t *Transport) route(address string) *Queue {
	if address == "" {
		return nil
	}
	if address[0] == clientMark {
		if c := t.server.find(address); c != nil {
			return c.outbox
		}
		return nil
	}
	l := t.links[address]
	if l == nil || l.ended() {
		if len(t.links) >= t.opt.PeersMax {
			t.forget()
		}
		l = newLink(t, address)
		t.links[address] = l
	}
	l.usedAt = t.sends
	return l.queue
}

// forget makes room for a link: those that have ended go, or else the one unused for
// longest.
func (t *Transport) forget() {
	var oldest *link
	for address, l := range t.links {
		if l.ended() {
			delete(t.links, address)
		} else if oldest == nil || l.usedAt < oldest.usedAt {
			oldest = l
		}
	}
	if len(t.links) >= t.opt.PeersMax {
		delete(t.links, oldest.address)
		oldest.cancel()
	}
}

// Flush waits until what was sent has left, but no longer than the time-out.
func (t *Transport) Flush(timeout time.Duration) {
	deadline := time.Now().Add(timeout)
	for _, l := range t.links {
		if c := l.line.Load(); c != nil {
			c.ask() // with the answer comes that to all that was sent before
		}
		for !l.idle() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
	}
}

// Close ends all connections. What was not sent is lost. The listener is the
// caller's to close, before.
func (t *Transport) Close() {
	t.cancel()
	t.opt.Inbox.Close()
	t.running.Wait()
	t.server.close()
}

// strangers returns the envelopes that do not name this process as their
// sender: what a node says to itself is believed.
func (t *Transport) strangers(list []core.Envelope) []core.Envelope {
	return slices.DeleteFunc(list, func(e core.Envelope) bool { return e.From.ID == t.opt.Self || namesConnection(e.Body) })
}
