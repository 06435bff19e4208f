package transport

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"runtime"
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
	of      *namesake    // what its name has; nil without TLS. Guarded by the server
	called  string       // its name; likewise
	source  *Source      // by which what it delivers comes into the inbox
	outbox  *Queue       // what is to be delivered on it
	usedAt  atomic.Int64 // when something came last but a Hello, in nanoseconds since the transport began
	frameAt atomic.Int64 // when the frame began that is not complete, likewise; 0 for none
	writeAt atomic.Int64 // when the write began that is under way, likewise; 0 for none

	done   chan struct{}
	once   sync.Once
	duplex atomic.Pointer[duplex] // nil before the preface has come

	// Of the goroutine that reads.
	work    bucket
	charged int    // for the frame that is being read
	passOn  func() // lets another read a large frame; nil when this one is none
}

func newConn(s *server, nc net.Conn, address string) *conn {
	c := &conn{s: s, net: nc, address: address, account: s.budget.account(), done: make(chan struct{})}
	c.source = s.t.opt.Inbox.source(c.account)
	c.source.expects = s.t.Expects
	c.outbox = newQueue(s.t.opt.QueueMax, c.account)
	c.outbox.leave = c.leave
	c.usedAt.Store(c.clock())
	return c
}

// leave has what waits said on the connection, once it is there.
func (c *conn) leave() {
	if d := c.duplex.Load(); d != nil {
		d.leave()
	}
}

// run speaks on the connection until it ends.
func (c *conn) run() {
	defer c.s.wg.Done()
	o := &c.s.t.opt
	stream, err := handshake(c.s.t.ctx, c.net, o, nil, &turn{c: c})
	if err != nil {
		if o.Identity != nil {
			c.s.t.refusedHandshake(c.net.RemoteAddr().String(), err)
			c.linger(err)
		}
		c.end(err)
		return
	}
	stream.owner = c
	c.s.name(c, stream.peer)
	d := newDuplex(c.s.t, stream, c, c.outbox, c.source)
	if err := d.speak(context.Background(), forever); err != errBroken {
		c.end(err)
	}
	d.kill()
	<-d.broken
}

const forever = time.Duration(math.MaxInt64)

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

// admit waits until there is memory for a frame of n bytes and for what it may decode
// to. It returns false when the connection has ended.
func (c *conn) admit(n int) bool {
	small := n <= peekBytesMax
	cost := min(decodedFactor*n, decodedBytesMax)
	if !small {
		cost += n
	}
	if !c.account.tryNow(cost, small) {
		c.duplex.Load().pause()
		if !c.account.await(cost, small, c.s.pressed, c.done) {
			return false
		}
	}
	c.charged = cost
	return true
}

const (
	workRate  = 250_000 // messages that a connection may deliver a second: more than any client needs
	workBurst = workRate / 10

	// What other things count for, in messages.
	batchWork  = 4     // a batch, beside its messages
	openWork   = 25    // the opening of a session: it costs all members of the group a write, and its sender nothing
	exportWork = 1_000 // a page for a backup: its answer may have a MiB
	helloWork  = 2_500 // a Hello: nobody needs more than a few a second

	// All connections together that deliver much have so much work a second, for each
	// processor; and each of them the same part of it.
	sharedRate = 2 * workRate
	heavyWork  = workRate / 100 // in heavySpan, to be one of those
	heavySpan  = 100 * time.Millisecond
)

// workOf is how much work a batch makes.
func workOf(list []core.Envelope) int {
	work := batchWork + len(list)
	for i := range list {
		switch m := list[i].Body.(type) {
		case *core.Op:
			if m.Kind == core.OpOpen {
				work += openWork - 1
			}
		case *core.Export:
			work += exportWork - 1
		}
	}
	return work
}

// slow makes a connection wait that asks for more than anybody needs, or than its part when
// many ask for much: else it would keep the processors busy, and others would wait for these.
// What it asks for counts as so much work for itself, and as so much of what many ask for: who
// pays a penalty shall not have others pay too.
func (c *conn) slow(work, effort int) {
	rate := min(workRate, sharedRate*runtime.GOMAXPROCS(0)/c.s.heavy.count(c, effort))
	if wait := c.work.take(work, rate, time.Now()); wait > 0 {
		c.duplex.Load().pause()
		select {
		case <-time.After(wait):
		case <-c.done:
		}
	}
}

// heavy counts the connections that deliver much.
type heavy struct {
	mu   sync.Mutex   // held while the others change
	span atomic.Int64 // of heavySpan, in which they are counted
	now  int          // in this span
	last atomic.Int64 // in the last one
}

// count notes work of a connection, and returns how many deliver much, at least 1.
func (h *heavy) count(c *conn, work int) int {
	span := c.clock() / int64(heavySpan)
	if c.work.span != span {
		c.work.span, c.work.did = span, 0
	}
	before := c.work.did
	c.work.did += work
	if before < heavyWork && c.work.did >= heavyWork {
		h.mu.Lock()
		if counted := h.span.Load(); counted != span {
			if counted != span-1 {
				h.now = 0
			}
			h.last.Store(int64(h.now))
			h.now = 0
			h.span.Store(span)
		}
		h.now++
		h.mu.Unlock()
	}
	if span > h.span.Load()+1 {
		return 1 // nobody has for a while; whoever was slowed down because of them never would
	}
	return max(1, int(h.last.Load()))
}

// bucket is what may be done at once, of what is done at a rate in the long run.
type bucket struct {
	lacks int // of workBurst
	at    time.Time

	span int64 // the last of heavySpan in which something was done, and how much
	did  int
}

// take takes n, and returns how long to wait before it is done.
func (b *bucket) take(n, rate int, now time.Time) time.Duration {
	since := min(now.Sub(b.at), time.Second)
	b.lacks = max(0, b.lacks-int(time.Duration(rate)*since/time.Second)) + n
	b.at = now
	return time.Duration(max(0, b.lacks-workBurst)) * time.Second / time.Duration(rate)
}

// paceTime is how long a large frame keeps others waiting: more than it takes to read and
// decode one that is all there. A slow one needs little of the processor.
const paceTime = 2 * time.Millisecond

// pace waits for the turn of a large frame, of which the first part is there: else those of
// one flood would keep the processors busy, and what is small would wait behind them. Those
// of groups do not wait for those of clients. It returns false when the connection has ended.
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

// received returns what of a batch is taken in. What claims to be from this process
// is not believed, nor are answers: see isAnswer. Whoever wants to be answered is
// answered on this connection, whatever address it claims.
func (c *conn) received(list []core.Envelope) []core.Envelope {
	list = slices.DeleteFunc(list, func(e core.Envelope) bool {
		return e.From.ID == c.s.t.opt.Self || isAnswer(e.Body) || namesConnection(e.Body)
	})
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
	return list
}

// lingerTime is how long a connection stays, unread, on which something senseless came: who
// makes another each time shall not keep the processors busy by that.
const lingerTime = 100 * time.Millisecond

// linger waits when it is not the network that ends the connection.
func (c *conn) linger(why error) {
	if network := new(net.OpError); errors.Is(why, io.EOF) || errors.Is(why, net.ErrClosed) || errors.As(why, &network) {
		return
	}
	select {
	case <-time.After(lingerTime):
	case <-c.done:
	}
}

// end closes the connection and releases the calls that wait on it.
func (c *conn) end(why error) {
	c.once.Do(func() {
		c.s.mu.Lock()
		c.s.drop(c)
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
