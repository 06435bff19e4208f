package transport

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"time"

	"gtstore/core"
)

// Options configure a Transport. Zero values take the defaults of
// DefaultOptions; Inbox and Down must be set.
type Options struct {
	Self  core.NodeID
	Role  Role   // of a process that listens
	Inbox *Queue // where what arrives is put; it is full: the sender waits

	// Down is told of peers to whom something could not be sent, because their
	// address refused a connection or the connection broke. It must not block.
	Down func(peer core.Peer, refused bool)
	// Collects makes the transport ask those to whom it sends for what they have
	// for it. It is for a process that does not listen.
	Collects bool
	Logger   *slog.Logger

	ConnectionsMax int           // that others have made
	WindowMax      int           // unanswered requests of one connection
	QueueMax       int           // envelopes that wait for one peer
	QueueBytesMax  int           // and their bytes
	PeersMax       int           // that something is sent to
	DialTimeout    time.Duration // until both prefaces are exchanged
	SilenceMax     time.Duration // without movement where an answer is due before a second connection is tried
	FrameTimeout   time.Duration // for a frame that has begun, and for a Deliver to be answered
	IdleTimeout    time.Duration // without anything to send before a connection of ours is closed
}

// DefaultOptions are those of a cluster on one site's network.
func DefaultOptions() Options {
	return Options{
		Logger:         slog.New(slog.DiscardHandler),
		ConnectionsMax: 4096, WindowMax: 16, QueueMax: 1 << 14, QueueBytesMax: 16 << 20, PeersMax: 8192,
		DialTimeout: 2 * time.Second, SilenceMax: time.Second, FrameTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
}

func (o *Options) complete() {
	d := DefaultOptions()
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	o.ConnectionsMax = cmp.Or(o.ConnectionsMax, d.ConnectionsMax)
	o.WindowMax = cmp.Or(o.WindowMax, d.WindowMax)
	o.WindowMax = max(o.WindowMax, 2*collectsPerConn)
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
	opt    Options
	log    *slog.Logger
	began  time.Time
	ctx    context.Context // ends with the transport
	cancel context.CancelFunc
	server *server

	// Of the goroutine that calls Send.
	links   map[string]*link
	touched []*Queue // got something in this Send
	sweepAt time.Time
}

// New starts a transport that listens on l, or not if l is nil.
func New(l net.Listener, opt Options) *Transport {
	opt.complete()
	t := &Transport{opt: opt, log: opt.Logger, began: time.Now(), links: make(map[string]*link)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.server = newServer(t)
	if l != nil {
		t.server.wg.Add(1)
		go t.server.serve(l)
	}
	return t
}

// Send puts envelopes on their way; it does not wait for them to leave. Only
// one goroutine may call Send and Flush.
func (t *Transport) Send(list []core.Envelope) {
	for i := range list {
		if q := t.route(list[i].To.Addr); q != nil && q.Put(&list[i]) {
			if len(t.touched) == 0 || t.touched[len(t.touched)-1] != q {
				t.touched = append(t.touched, q)
			}
		}
	}
	for _, q := range t.touched {
		q.Notify()
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
		t.sweep()
		if len(t.links) >= t.opt.PeersMax {
			return nil
		}
		l = newLink(t, address)
		t.links[address] = l
	}
	return l.queue
}

// sweep forgets links that have ended, at most once a second.
func (t *Transport) sweep() {
	now := time.Now()
	if now.Before(t.sweepAt) {
		return
	}
	t.sweepAt = now.Add(time.Second)
	for address, l := range t.links {
		if l.ended() {
			delete(t.links, address)
		}
	}
}

// Flush waits until what was sent has left, but no longer than the time-out.
func (t *Transport) Flush(timeout time.Duration) {
	deadline := time.Now().Add(timeout)
	for _, l := range t.links {
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
	for _, l := range t.links {
		<-l.gone
	}
	t.server.close()
}

// strangers returns the envelopes that do not name this process as their
// sender: what a node says to itself is believed.
func (t *Transport) strangers(list []core.Envelope) []core.Envelope {
	return slices.DeleteFunc(list, func(e core.Envelope) bool { return e.From.ID == t.opt.Self })
}
