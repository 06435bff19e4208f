package transport

import (
	"errors"
	"io"
	"net"
	"net/rpc"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
)

// clientMark begins the address of a peer that is reached only by the
// connection on which it came.
const clientMark = '#'

// server is the listening side: the connections that others made.
type server struct {
	t   *Transport
	rpc *rpc.Server

	mu     sync.Mutex
	conns  map[string]*conn // by address: the mark and a number
	last   uint64
	closed bool
	wg     sync.WaitGroup
}

// conn is one connection that somebody made.
type conn struct {
	s       *server
	net     net.Conn
	address string
	ready   atomic.Bool  // the preface has come
	usedAt  atomic.Int64 // when it last asked for something, in nanoseconds
	outbox  *Queue       // what a Collect on it returns

	collects atomic.Int32 // that wait
	done     chan struct{}
	once     sync.Once

	order   sync.Mutex // held by the call of Deliver that hands on
	mu      sync.Mutex
	batches [][]core.Envelope // read, in order, and not handed on yet
}

func newServer(t *Transport) *server {
	s := &server{t: t, rpc: rpc.NewServer(), conns: make(map[string]*conn)}
	if err := s.rpc.RegisterName("Node", &service{Hello{t.opt.Role, t.opt.Self}}); err != nil {
		panic(err) // only when the methods do not fit net/rpc
	}
	return s
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
		reply.envelopes = c.outbox.Take(nil, batchCountMax, batchBytesMax)
		if len(reply.envelopes) > 0 {
			if !c.outbox.Empty() {
				c.outbox.Notify() // another Collect may be waiting
			}
			return nil
		}
		select {
		case <-c.outbox.Wake:
		case <-c.done:
			return io.EOF
		}
	}
}

// serve accepts connections until the listener is closed.
func (s *server) serve(l net.Listener) {
	defer s.wg.Done()
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many open files, say: it passes
			s.t.log.Warn("cannot accept a connection", "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.t.ctx.Done():
			}
			continue
		}
		if c := s.add(nc); c != nil {
			go c.run()
		} else {
			nc.Close()
		}
	}
}

// add makes room for a connection if it must.
func (s *server) add(nc net.Conn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if len(s.conns) >= s.t.opt.ConnectionsMax {
		if old := s.leastUsed(); old != nil {
			delete(s.conns, old.address)
			go old.end(errEvicted)
		}
	}
	s.last++
	c := &conn{s: s, net: nc, address: string(clientMark) + strconv.FormatUint(s.last, 10), done: make(chan struct{})}
	c.outbox = NewQueue(s.t.opt.QueueMax, s.t.opt.QueueBytesMax)
	c.touch()
	s.conns[c.address] = c
	s.wg.Add(1)
	return c
}

var errEvicted = errors.New("it was unused for longest, and there are too many")

// leastUsed prefers connections that have not even said the preface.
func (s *server) leastUsed() *conn {
	var least *conn
	for _, c := range s.conns {
		if least == nil || !c.ready.Load() && least.ready.Load() ||
			c.ready.Load() == least.ready.Load() && c.usedAt.Load() < least.usedAt.Load() {
			least = c
		}
	}
	return least
}

// find returns the connection with that address, or nil.
func (s *server) find(address string) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[address]
}

// close ends every connection and waits for what runs on them.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	all := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.end(net.ErrClosed)
	}
	s.wg.Wait()
}

func (c *conn) run() {
	defer c.s.wg.Done()
	o := &c.s.t.opt
	stream, err := handshake(c.net, o.DialTimeout, o.FrameTimeout)
	if err != nil {
		c.end(err)
		return
	}
	c.ready.Store(true)
	// ServeCodec returns when the connection has ended and its calls have.
	c.s.rpc.ServeCodec(newServerCodec(stream, c, o.WindowMax))
}

func (c *conn) touch() { c.usedAt.Store(int64(time.Since(c.s.t.began))) }

// arrived notes a batch in the order of its arrival.
func (c *conn) arrived(list []core.Envelope) {
	list = c.s.t.strangers(list)
	for i := range list {
		if a := &list[i].From.Addr; *a == "" || (*a)[0] == clientMark {
			*a = c.address
		}
	}
	c.mu.Lock()
	c.batches = append(c.batches, list)
	c.mu.Unlock()
}

// deliver hands on the batch that came first, which need not be the one whose
// call this is: net/rpc starts a goroutine for each call, in any order.
func (c *conn) deliver() error {
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.Lock()
	list := c.batches[0]
	c.batches = c.batches[1:]
	if len(c.batches) == 0 {
		c.batches = nil
	}
	c.mu.Unlock()
	if !c.s.t.opt.Inbox.PutAll(list) {
		return net.ErrClosed
	}
	return nil
}

// end closes the connection and releases the calls that wait on it.
func (c *conn) end(why error) {
	c.once.Do(func() {
		close(c.done)
		c.net.Close()
		c.outbox.Close()
		c.s.mu.Lock()
		delete(c.s.conns, c.address)
		c.s.mu.Unlock()
		if !errors.Is(why, io.EOF) && !errors.Is(why, net.ErrClosed) {
			c.s.t.log.Debug("connection ended", "peer", c.net.RemoteAddr().String(), "err", why)
		}
	})
}
