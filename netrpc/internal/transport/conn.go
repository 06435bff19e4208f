package transport

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
)

// clientMark begins the address of a peer that is reached only by the
// connection on which it came.
const clientMark = '#'

// conn is one connection that somebody made.
type conn struct {
	s       *server
	net     net.Conn
	address string
	account *account     // of all that is held for it
	source  *Source      // by which what it delivers comes into the inbox
	outbox  *Queue       // what a Collect on it returns
	ready   atomic.Bool  // the preface has come
	usedAt  atomic.Int64 // when it last asked for something, in nanoseconds since the transport began
	frameAt atomic.Int64 // when the frame began that is not complete, likewise; 0 for none
	writeAt atomic.Int64 // when the write began that is under way, likewise; 0 for none

	collects   atomic.Int32 // that wait
	collecting sync.Mutex   // from when something is taken for a Collect until it is encoded
	done       chan struct{}
	once       sync.Once

	// Of the goroutine that reads.
	charged int    // for the frame that is being read
	passOn  func() // lets another read a large frame; nil when this one is none

	order   sync.Mutex // held by the call of Deliver that hands on
	mu      sync.Mutex
	batches [][]core.Envelope // read, in order, for which there was no room yet
	waiting int               // how many, with the one that is being handed on
	handed  int               // that had room at once, and whose call of Deliver has not ended
}

func newConn(s *server, nc net.Conn, address string) *conn {
	c := &conn{s: s, net: nc, address: address, account: s.budget.account(), done: make(chan struct{})}
	c.source = s.t.opt.Inbox.source(c.account)
	c.source.expects = s.t.Expects
	c.outbox = newQueue(s.t.opt.QueueMax, c.account)
	c.usedAt.Store(c.clock())
	return c
}

// service is what net/rpc calls.
type service struct{ hello Hello }

// Hello tells what this process is.
func (s *service) Hello(_ *Empty, reply *Hello) error {
	*reply = s.hello
	return nil
}

// Deliver takes envelopes in.
func (s *service) Deliver(b *Batch, _ *Empty) error { return b.conn.deliver() }

// collectsPerConn bounds the Collects that wait on one connection. They must
// never fill its window: then it would not be read any more, and nobody would
// notice that the caller is gone.
const collectsPerConn = 4

var errCollects = errors.New("too many Collects at once")

// Collect waits for envelopes to the caller. It ends with the connection.
func (s *service) Collect(e *Empty, reply *Batch) error {
	c := e.conn
	defer c.collects.Add(-1)
	if c.collects.Add(1) > collectsPerConn {
		c.end(errCollects)
		return errCollects
	}
	for {
		c.collecting.Lock()
		reply.envelopes, reply.bytes = c.outbox.Take(nil, batchCountMax, batchBytesMax)
		if len(reply.envelopes) > 0 {
			if !c.outbox.Empty() {
				c.outbox.Notify() // another Collect may be waiting
			}
			return nil // WriteResponse unlocks: what is taken first leaves first
		}
		c.collecting.Unlock()
		select {
		case <-c.outbox.Wake:
		case <-c.done:
			return io.EOF
		}
	}
}

func (c *conn) run() {
	defer c.s.wg.Done()
	o := &c.s.t.opt
	stream, err := handshake(c.net, o.DialTimeout, o.FrameTimeout)
	if err != nil {
		c.end(err)
		return
	}
	stream.owner = c
	c.ready.Store(true)
	// ServeCodec returns when the connection has ended and its calls have.
	c.s.rpc.ServeCodec(newServerCodec(stream, c, o.WindowMax))
}

func (c *conn) clock() int64 { return int64(time.Since(c.s.t.began)) }

func (c *conn) unused() time.Duration { return time.Duration(c.clock() - c.usedAt.Load()) }

// stalled tells since when the connection has held memory by what its peer does not do;
// zero when it does all it should.
func (c *conn) stalled() time.Time {
	first := c.outbox.waits()
	for _, at := range []int64{c.frameAt.Load(), c.writeAt.Load()} {
		if t := c.s.t.began.Add(time.Duration(at)); at != 0 && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// paceTime is how long a large frame keeps others waiting: far more than it takes to
// read and decode one that is all there. A slow one needs little of the processor.
const paceTime = 25 * time.Millisecond

// admit waits until there is memory for a frame of n bytes and for what it may decode
// to. Large frames take turns too: else those of one flood would keep the processors
// busy, and what is small would wait behind them. Those of groups do not wait for those
// of clients. It returns false when the connection has ended.
func (c *conn) admit(n int) bool {
	small := n <= peekBytesMax
	cost := min(decodedFactor*n, decodedBytesMax)
	if !small {
		cost += n
		if !c.pace() {
			return false
		}
	}
	if !c.account.await(cost, small, c.s.pressed, c.done) {
		return false
	}
	c.charged = cost
	return true
}

func (c *conn) pace() bool {
	turn := c.s.pace[laneAsks]
	if c.account.group.Load() {
		turn = c.s.pace[laneGroup]
	}
	select {
	case turn <- struct{}{}:
	case <-c.done:
		return false
	}
	leave := sync.OnceFunc(func() { <-turn })
	timer := time.AfterFunc(paceTime, leave)
	c.passOn = func() {
		timer.Stop()
		leave()
	}
	return true
}

// settle charges what a frame has really come to, once it is read and decoded.
func (c *conn) settle(bytes int) {
	c.account.give(c.charged - bytes)
	c.charged = 0
	if c.passOn != nil {
		c.passOn()
		c.passOn = nil
	}
}

// arrived notes a batch in the order of its arrival. What claims to be from this process
// is not believed, nor are answers: see isAnswer. Whoever wants to be answered is
// answered on this connection, whatever address it claims.
func (c *conn) arrived(b *Batch) {
	list := slices.DeleteFunc(b.envelopes, func(e core.Envelope) bool { return e.From.ID == c.s.t.opt.Self || isAnswer(e.Body) })
	group := false
	for i := range list {
		e := &list[i]
		group = group || c.source.laneOf(e) == laneGroup
		if a := &e.From.Addr; *a == "" || (*a)[0] == clientMark || !namesAddress(e.Body) {
			*a = c.address
		}
	}
	if c.account.group.Load() != group { // by the last batch: nodes come and go
		c.account.group.Store(group)
	}
	c.settle(bytesOf(list)) // as it is now, with the addresses of this connection
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == 0 && c.source.put(list, false) == nil {
		c.handed++
		return
	}
	c.batches = append(c.batches, list)
	c.waiting++
}

// deliver ends when a batch has come into the inbox: the one that came first, which need
// not be the one whose call this is. For net/rpc starts a goroutine for each call, in
// any order.
func (c *conn) deliver() error {
	if c.wasHanded() {
		return nil
	}
	c.order.Lock()
	defer c.order.Unlock()
	if c.wasHanded() {
		return nil
	}
	c.mu.Lock()
	list := c.batches[0]
	if c.batches = c.batches[1:]; len(c.batches) == 0 {
		c.batches = nil
	}
	c.mu.Unlock()
	err := c.source.put(list, true)
	if err != nil {
		c.account.give(bytesOf(list))
	}
	c.mu.Lock()
	c.waiting--
	c.mu.Unlock()
	return err
}

func (c *conn) wasHanded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handed == 0 {
		return false
	}
	c.handed--
	return true
}

// end closes the connection and releases the calls that wait on it.
func (c *conn) end(why error) {
	c.once.Do(func() {
		c.s.mu.Lock()
		delete(c.s.conns, c.address)
		c.s.mu.Unlock()
		close(c.done)
		c.net.Close()
		c.outbox.Close()
		c.source.Close()
		if !errors.Is(why, io.EOF) && !errors.Is(why, net.ErrClosed) {
			c.s.t.notes.say(noteEnded, "connection ended", c.net.RemoteAddr().String(), why)
		}
	})
}
