package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// proxy stands between two ends, as a firewall does.
type proxy struct {
	t        *testing.T
	listener net.Listener
	to       string
	deaf     atomic.Bool  // new connections are accepted, and nothing passes
	slow     atomic.Bool  // what passes to the far end passes slowly
	back     atomic.Int64 // bytes that came from the far end

	mu    sync.Mutex
	pipes []*pipe // all that there ever were
}

// pipe is one connection through the proxy.
type pipe struct {
	near, far net.Conn
	deaf      atomic.Bool   // what comes is swallowed
	ended     chan struct{} // when the near end is closed
}

func newProxy(t *testing.T, to string) *proxy {
	p := &proxy{t: t, listener: listen(t, "127.0.0.1:0"), to: to}
	t.Cleanup(func() {
		p.listener.Close()
		p.each(func(c *pipe) { c.close() })
	})
	go func() {
		for {
			near, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.open(near)
		}
	}()
	return p
}

func (p *proxy) open(near net.Conn) {
	c := &pipe{near: near, ended: make(chan struct{})}
	c.deaf.Store(p.deaf.Load())
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		near.Close()
		return
	}
	c.far = far
	p.mu.Lock()
	p.pipes = append(p.pipes, c)
	p.mu.Unlock()
	go func() {
		defer close(c.ended)
		c.pass(near, far, &p.slow, new(atomic.Int64))
	}()
	go c.pass(far, near, new(atomic.Bool), &p.back)
}

// pass carries what comes from one end to the other, or swallows it.
func (c *pipe) pass(from, to net.Conn, slow *atomic.Bool, count *atomic.Int64) {
	defer c.close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		count.Add(int64(n))
		if slow.Load() {
			time.Sleep(10 * time.Millisecond)
		}
		if c.deaf.Load() {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (c *pipe) close() {
	c.near.Close()
	c.far.Close()
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) each(f func(*pipe)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.pipes {
		f(c)
	}
}

func (p *proxy) swallow(on bool) { p.each(func(c *pipe) { c.deaf.Store(on) }) }

func (p *proxy) count() (all, open int) {
	p.each(func(c *pipe) {
		all++
		select {
		case <-c.ended:
		default:
			open++
		}
	})
	return all, open
}

// silence makes a transport impatient, so that a test need not wait.
func silence(d time.Duration) func(*Options) {
	return func(o *Options) { o.SilenceMax = d }
}

// reaches sends until something arrives that was sent from now on.
func (e *end) reaches(to core.Peer, b *end, first uint64) {
	e.t.Helper()
	n := first
	e.eventually(func() bool {
		e.Send([]core.Envelope{envelope(core.Peer{ID: e.opt.Self, Addr: e.addr}, to, n)})
		n++
		for _, got := range b.inbox.Take(nil, 1<<10, 1<<30) {
			if got.Body.(*core.Ping).Nonce >= first {
				return true
			}
		}
		return false
	}, "something arrives")
}

// The state of a connection is lost in a firewall: nothing passes any more, and
// neither end is told. A new connection works.
func TestASilentConnectionIsReplaced(t *testing.T) {
	for name, l := range map[string]net.Listener{"a node": listen(t, "127.0.0.1:0"), "a client": nil} {
		t.Run(name, func(t *testing.T) {
			a, b := newEnd(t, 1, l, silence(100*time.Millisecond)), newEnd(t, 2, listen(t, "127.0.0.1:0"))
			p := newProxy(t, b.addr)
			to := core.Peer{ID: 2, Addr: p.addr()}
			a.reaches(to, b, 1)
			for round := range uint64(3) {
				p.swallow(true)
				a.reaches(to, b, 1_000_000*(round+1))
				p.each(func(c *pipe) {
					if c.deaf.Load() {
						<-c.ended
					}
				})
			}
			require.Empty(t, a.hints(), "nobody is reported: the peer could be reached all the time")
			all, open := p.count()
			require.Equal(t, 4, all, "one more for each that went silent")
			require.Equal(t, 1, open)
		})
	}
}

// The state of many connections is lost at once; those on which nothing is under
// way are found out too, before they are needed.
func TestAnIdleConnectionThatIsSilentIsReplaced(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(100*time.Millisecond)), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	p := newProxy(t, b.addr)
	to := core.Peer{ID: 2, Addr: p.addr()}
	a.reaches(to, b, 1)
	p.swallow(true)
	a.eventually(func() bool {
		all, open := p.count()
		return all == 2 && open == 1
	}, "another has taken its place")
	require.Empty(t, a.hints())
}

// A peer that cannot be reached any more is reported in the end.
func TestAConnectionIsNotSilentForEver(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(20*time.Millisecond), func(o *Options) {
		o.FrameTimeout, o.DialTimeout = 200*time.Millisecond, 20*time.Millisecond
	}), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	p := newProxy(t, b.addr)
	to := core.Peer{ID: 2, Addr: p.addr()}
	a.reaches(to, b, 1)
	p.deaf.Store(true)
	p.swallow(true)
	a.eventually(func() bool { return len(a.hints()) > 0 }, "it is reported")
	require.Equal(t, downHint{to, false}, a.hints()[0])
}

// What a silent connection held up, its write included, does not hold up the next.
func TestASilentConnectionIsReplacedThoughAWriteWaits(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(100*time.Millisecond)), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	deaf := listen(t, "127.0.0.1:0") // whose first connection is read no more after the preface
	defer deaf.Close()
	to := core.Peer{ID: 2, Addr: deaf.Addr().String()}
	big := core.Envelope{Cluster: 7, From: core.Peer{ID: 1}, To: to, Body: &core.Op{Group: 1, Kind: core.OpPut, Key: "k", Value: strings.Repeat("v", core.ValueBytesMax)}}
	for range 16 {
		a.Send([]core.Envelope{big})
	}
	first, err := deaf.Accept()
	require.NoError(t, err)
	defer first.Close()
	_, err = handshake(t.Context(), first, &Options{DialTimeout: patience, FrameTimeout: patience}, nil, nil)
	require.NoError(t, err)
	second, err := deaf.Accept()
	require.NoError(t, err)
	pipeTo(t, second, b.addr)
	for _, got := range b.received(4) {
		require.IsType(t, &core.Op{}, got.Body)
	}
	require.Empty(t, a.hints())
}

// pipeTo connects two connections for good.
func pipeTo(t *testing.T, near net.Conn, address string) {
	far, err := net.Dial("tcp", address)
	require.NoError(t, err)
	c := &pipe{near: near, far: far}
	t.Cleanup(c.close)
	go c.pass(near, far, new(atomic.Bool), new(atomic.Int64))
	go c.pass(far, near, new(atomic.Bool), new(atomic.Int64))
}

// A large transfer that takes its time is not silent: bytes are acknowledged.
func TestASlowTransferIsNotSilent(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(300*time.Millisecond)), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	b.inbox.bytesMax = 1 << 30
	p := newProxy(t, b.addr)
	to := core.Peer{ID: 2, Addr: p.addr()}
	a.reaches(to, b, 1)
	p.slow.Store(true)
	const values = 3
	begin := time.Now()
	for range values {
		a.Send([]core.Envelope{{Cluster: 7, From: core.Peer{ID: 1}, To: to, Body: &core.Op{Group: 1, Kind: core.OpPut, Key: "k", Value: strings.Repeat("v", core.ValueBytesMax)}}})
	}
	for n := 0; n < values; {
		if _, ok := b.received(1)[0].Body.(*core.Op); ok {
			n++
		}
	}
	t.Logf("it took %v", time.Since(begin))
	all, _ := p.count()
	require.Equal(t, 1, all)
	require.Empty(t, a.hints())
}

// A process too busy to take envelopes in, but alive, gets no second connection.
func TestABusyPeerIsNotSilent(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(50*time.Millisecond)), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	b.inbox.countMax = 1
	p := newProxy(t, b.addr)
	to := core.Peer{ID: 2, Addr: p.addr()}
	a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, 1)})
	a.eventually(func() bool { return !b.inbox.Empty() }, "it has one, and no room for another")
	a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, 2)})
	before := p.back.Load()
	a.eventually(func() bool { return p.back.Load() > before+100 }, "it answers when it is asked, again and again")
	all, _ := p.count()
	require.Equal(t, 1, all)
}

// A peer that is paused, or beyond a broken network, is not flooded with
// connections: there are never more than the first and the two of one attempt.
// When it is back, the first connection to work is used.
func TestAPausedPeerIsNotFlooded(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(150*time.Millisecond), func(o *Options) { o.DialTimeout = 200 * time.Millisecond }), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	p := newProxy(t, b.addr)
	to := core.Peer{ID: 2, Addr: p.addr()}
	a.reaches(to, b, 1)
	p.deaf.Store(true)
	p.swallow(true)
	a.eventually(func() bool {
		a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, 2)})
		all, open := p.count()
		require.LessOrEqual(t, open, 4) // one may not be seen to have ended
		return all > 6
	}, "it is tried again and again")
	require.Empty(t, a.hints(), "it is for others to say whether that is long")
	p.deaf.Store(false)
	p.swallow(false)
	a.reaches(to, b, 1000)
	require.Empty(t, a.hints())
}

// The first packets of a connection are swallowed, those of the next are not.
func TestADialThatIsSilentGetsAnother(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(50*time.Millisecond), func(o *Options) { o.DialTimeout = patience }), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	p := newProxy(t, b.addr)
	p.deaf.Store(true)
	to := core.Peer{ID: 2, Addr: p.addr()}
	a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, 1)})
	a.eventually(func() bool { all, _ := p.count(); return all == 1 }, "one is made")
	p.deaf.Store(false)
	require.EqualValues(t, 1, b.received(1)[0].Body.(*core.Ping).Nonce, "what waited for it goes on the next")
	require.Empty(t, a.hints())
}

// A silent connection whose address then refuses another is one that broke.
func TestASilentConnectionAtARefusingAddress(t *testing.T) {
	a, b := newEnd(t, 1, nil, silence(50*time.Millisecond)), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	p := newProxy(t, b.addr)
	to := core.Peer{ID: 2, Addr: p.addr()}
	a.reaches(to, b, 1)
	p.listener.Close()
	p.swallow(true)
	a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, 2)})
	a.eventually(func() bool { return len(a.hints()) > 0 }, "it is reported")
	require.Equal(t, []downHint{{to, true}}, a.hints(), "by the address that was tried, and once")
}

// Nothing that waits, not even a write, holds up the end.
func TestCloseEndsAWriteThatWaits(t *testing.T) {
	a := newEnd(t, 1, nil, silence(time.Hour))
	near, far := net.Pipe() // which has no room at all
	defer far.Close()
	l := &link{t: a.Transport, address: "nowhere", queue: newQueue(1, a.queued.account())}
	c := newLine(l, newStream(near, time.Hour))
	defer c.finish()
	e := envelope(core.Peer{ID: 1}, core.Peer{ID: 2}, 1)
	require.True(t, l.queue.Put(&e))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.speak(t.Context(), time.Hour)
	}()
	_, err := io.ReadFull(far, make([]byte, 1))
	require.NoError(t, err, "it writes")
	a.stop()
	select {
	case <-ended:
	case <-time.After(patience):
		require.Fail(t, "it still waits")
	}
}

func TestOnlyARefusalIsARefusal(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{syscall.ECONNREFUSED, true},
		{syscall.ECONNRESET, false},
		{syscall.EHOSTUNREACH, false},
		{syscall.ENETUNREACH, false},
		{syscall.EPERM, false},
		{syscall.EACCES, false},
		{syscall.ETIMEDOUT, false},
		{os.ErrDeadlineExceeded, false},
		{io.EOF, false},
	} {
		err := fmt.Errorf("handshake: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", c.err)})
		require.Equal(t, c.want, isRefused(err), "%v", err)
	}
	require.False(t, isRefused(errors.New("connection refused")))

	// A peer that accepts and resets, in the middle of the handshake.
	l := listen(t, "127.0.0.1:0")
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	a := newEnd(t, 1, nil)
	to := core.Peer{ID: 2, Addr: l.Addr().String()}
	a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, 1)})
	a.eventually(func() bool { return len(a.hints()) > 0 }, "it is reported")
	require.Equal(t, downHint{to, false}, a.hints()[0])
}
