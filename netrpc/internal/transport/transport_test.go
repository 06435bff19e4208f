package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// patience is how long a test waits for what must happen; far more than it takes.
const patience = 20 * time.Second

// end is a transport under test, what it received, and whom it was told about.
type end struct {
	t *testing.T
	*Transport
	listener net.Listener
	addr     string
	inbox    *Inbox

	mu   sync.Mutex
	down []downHint
}

type downHint struct {
	Peer    core.Peer
	Refused bool
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	return l
}

// newEnd starts a transport; with a listener it is a node, else a client.
func newEnd(t *testing.T, id core.NodeID, l net.Listener, change ...func(*Options)) *end {
	t.Helper()
	e := &end{t: t, listener: l, inbox: NewInbox()}
	o := Options{Self: id, Role: RoleStorage, Inbox: e.inbox, Down: func(p core.Peer, refused bool) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.down = append(e.down, downHint{p, refused})
	}}
	for _, f := range change {
		f(&o)
	}
	if l != nil {
		e.addr = l.Addr().String()
	}
	e.Transport = New(l, o)
	t.Cleanup(e.stop)
	return e
}

func (e *end) stop() {
	if e.ctx.Err() != nil {
		return
	}
	if e.listener != nil {
		e.listener.Close()
	}
	e.Close()
}

func (e *end) hints() []downHint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]downHint(nil), e.down...)
}

// received waits for n envelopes.
func (e *end) received(n int) []core.Envelope {
	e.t.Helper()
	var list []core.Envelope
	timeout := time.After(patience)
	for len(list) < n {
		list = e.inbox.Take(list, n-len(list), 1<<30)
		if len(list) == n {
			break
		}
		var again <-chan time.Time
		if held := e.inbox.HeldBack(); held > 0 { // as a host does
			again = time.After(held)
		}
		select {
		case <-e.inbox.Wake:
		case <-again:
		case <-timeout:
			require.Fail(e.t, "too few envelopes", "%d of %d", len(list), n)
		}
	}
	return list
}

func (e *end) eventually(f func() bool, text string) {
	e.t.Helper()
	require.Eventually(e.t, f, patience, time.Millisecond, text)
}

func envelope(from core.Peer, to core.Peer, n uint64) core.Envelope {
	return core.Envelope{Cluster: 7, From: from, To: to, Body: &core.Ping{Nonce: n, Boot: 1}}
}

// dialRaw connects as anybody could, and says the preface if asked to.
func dialRaw(t *testing.T, address string, greet bool) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	if greet {
		_, err = io.WriteString(c, preface)
		require.NoError(t, err)
		got := make([]byte, len(preface))
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, preface, string(got))
	}
	return c
}

// goroutinesAtMost waits until no more goroutines than n are left.
func goroutinesAtMost(t *testing.T, n int) {
	t.Helper()
	for begin := time.Now(); runtime.NumGoroutine() > n; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(begin), patience, "%d goroutines, not %d", runtime.NumGoroutine(), n)
	}
}

func (s *server) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) == 0
}

// request is a frame as a client sends it.
func request(method byte, seq uint64, body []byte) []byte {
	b := new(buffer)
	m := b.begin()
	b.b = append(binary.AppendUvarint(append(b.b, method), seq), body...)
	b.end(m)
	return b.b
}

// written is a batch as it is written.
func written(list ...core.Envelope) []byte {
	b := new(buffer)
	(&Batch{envelopes: list}).append(b)
	return bytes.Join(b.pieces(nil), nil)
}

// closed waits until the other side has closed the connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.Copy(io.Discard, c)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "still open")
}

func TestEnvelopesArriveInOrder(t *testing.T) {
	const n = 2000
	a, b := newEnd(t, 1, listen(t, "127.0.0.1:0")), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	from, to := core.Peer{ID: 1, Addr: a.addr}, core.Peer{ID: 2, Addr: b.addr}
	var sent []core.Envelope
	for i := range n { // one by one, so that there are many batches
		e := envelope(from, to, uint64(i))
		sent = append(sent, e)
		a.Send([]core.Envelope{e})
	}
	for i := range sent {
		sent[i].From.Addr = "#1" // whoever is to be answered is its connection
	}
	require.Empty(t, cmp.Diff(sent, b.received(n)))
	require.Empty(t, a.hints())
}

func TestAClientIsAnsweredOnItsConnection(t *testing.T) {
	node, client, other := newEnd(t, 1, listen(t, "127.0.0.1:0")), newEnd(t, 2, nil), newEnd(t, 3, nil)
	to := core.Peer{ID: 1, Addr: node.addr}
	client.Send([]core.Envelope{envelope(core.Peer{ID: 2}, to, 1)})
	other.Send([]core.Envelope{envelope(core.Peer{ID: 2}, to, 2)}) // under the client's name
	got := node.received(2)
	slices.SortFunc(got, func(a, b core.Envelope) int {
		return int(a.Body.(*core.Ping).Nonce) - int(b.Body.(*core.Ping).Nonce)
	})
	require.NotEqual(t, got[0].From.Addr, got[1].From.Addr, "each has the address of its connection")
	for _, e := range got {
		node.Send([]core.Envelope{envelope(to, e.From, e.Body.(*core.Ping).Nonce)})
	}
	require.EqualValues(t, 1, client.received(1)[0].Body.(*core.Ping).Nonce)
	require.EqualValues(t, 2, other.received(1)[0].Body.(*core.Ping).Nonce)

	gone := got[0].From
	client.stop()
	node.eventually(func() bool { return node.server.find(gone.Addr) == nil }, "the connection is gone")
	node.Send([]core.Envelope{envelope(to, gone, 3)}) // to nobody: dropped
	require.Empty(t, node.hints())
}

// frameOf reads a frame: what kind it is of, its number, and what follows.
func frameOf(t *testing.T, c net.Conn) (kind byte, seq uint64, body []byte) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	var head [frameHeadBytes]byte
	_, err := io.ReadFull(c, head[:])
	require.NoError(t, err)
	b := make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	seq, n := binary.Uvarint(b[1:])
	return b[0], seq, b[1+n:]
}

// The reply to a Deliver goes with what is said next, before it; when many are owed, or
// somebody asks, at once.
func TestTheReplyToADeliverRidesAlong(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	c := dialRaw(t, e.addr, true)
	deliver := func(seq uint64) core.Peer {
		_, err := c.Write(request(methodDeliver, seq, written(envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, seq))))
		require.NoError(t, err)
		return e.received(1)[0].From
	}
	want := func(kind byte, seq uint64) {
		t.Helper()
		k, s, _ := frameOf(t, c)
		require.Equal(t, []uint64{uint64(kind), seq}, []uint64{uint64(k), s})
	}
	to := deliver(7)
	e.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, 1)})
	want(callDone, 7)
	want(methodDeliver, 0)

	deliver(8)
	_, err := c.Write(request(methodHello, 9, nil))
	require.NoError(t, err)
	want(callDone, 8)
	want(callDone, 9)

	for seq := uint64(10); seq < 10+unansweredMax/2; seq++ {
		deliver(seq)
	}
	for seq := uint64(10); seq < 10+unansweredMax/2; seq++ {
		want(callDone, seq)
	}
}

// Whoever asks for more signs of life than it reads the answers to is not read any more.
func TestAnswersThatNobodyReadsAreFew(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	near, far := net.Pipe() // which has no room at all
	defer far.Close()
	c := newConn(e.server, near, "#9")
	d := newDuplex(e.Transport, newStream(near, patience), c, c.outbox, c.source)
	defer d.kill()
	sent := make(chan int)
	go func() {
		n := 0
		_ = far.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		for ; ; n++ {
			if _, err := far.Write(request(methodDeliver, uint64(n), written(envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1)))); err != nil {
				sent <- n
				return
			}
		}
	}()
	n := <-sent
	require.Greater(t, n, answersMax)
	d.mu.Lock()
	defer d.mu.Unlock()
	require.LessOrEqual(t, d.answers, answersMax+1)
}

// Both ends answer each message, while they read, with more than the connection takes at
// once. Neither waits for the other to read before it reads itself.
func TestTwoWhoWriteBothRead(t *testing.T) {
	near, far := net.Pipe() // which has no room at all
	const messages = 100
	ping := core.Envelope{From: core.Peer{ID: 9}, Body: &core.Replicate{Group: 1, Epoch: 1,
		Entries: []core.Entry{{Epoch: 1, Kind: core.OpPut, Key: "k", Value: strings.Repeat("v", 100_000)}}}}
	done := make(chan struct{}, 2)
	var start []func()
	for i, c := range []net.Conn{near, far} {
		var d *duplex
		var e *end
		took, ready := 0, make(chan struct{})
		e = newEnd(t, core.NodeID(i+1), nil, func(o *Options) {
			o.Drive = func() {
				<-ready
				for range e.inbox.Take(nil, 10, 1<<30) {
					if took++; took == messages {
						done <- struct{}{}
					}
					d.queue.Put(&ping)
					d.leave()
				}
			}
		})
		d = newDuplex(e.Transport, newStream(c, patience), nil, newQueue(messages, e.queued.account()), e.inbox.Source())
		close(ready)
		t.Cleanup(d.kill)
		go func() { _ = d.speak(t.Context(), patience) }()
		start = append(start, func() {
			d.queue.Put(&ping)
			d.leave()
		})
	}
	for _, begin := range start {
		begin()
	}
	for range start {
		select {
		case <-done:
		case <-time.After(patience):
			require.Fail(t, "they wait for each other")
		}
	}
}

// A peer may not speak for this node, nor for another connection.
func TestSendersAreNotBelieved(t *testing.T) {
	node, client := newEnd(t, 1, listen(t, "127.0.0.1:0")), newEnd(t, 2, nil)
	to := core.Peer{ID: 1, Addr: node.addr}
	client.Send([]core.Envelope{
		envelope(to, to, 1),
		envelope(core.Peer{ID: 2, Addr: "#999"}, to, 2),
	})
	got := node.received(1)[0]
	require.EqualValues(t, 2, got.Body.(*core.Ping).Nonce, "the first claimed to be from the node itself")
	require.NotEqual(t, "#999", got.From.Addr)
}

func TestRefusedAndBrokenConnectionsAreHints(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	a, b := newEnd(t, 1, nil), newEnd(t, 2, l)
	from, to := core.Peer{ID: 1}, core.Peer{ID: 2, Addr: b.addr}
	a.Send([]core.Envelope{envelope(from, to, 1)})
	b.received(1)
	b.stop()
	a.eventually(func() bool { return len(a.hints()) == 1 }, "the connection broke")
	require.Equal(t, downHint{to, false}, a.hints()[0])

	begin := time.Now()
	a.Send([]core.Envelope{envelope(from, to, 2)})
	a.eventually(func() bool { return len(a.hints()) == 2 }, "the address refuses")
	require.Equal(t, downHint{to, true}, a.hints()[1])
	t.Logf("told after %v", time.Since(begin))

	back := newEnd(t, 3, listen(t, b.addr))
	for n := uint64(3); ; n++ { // those sent before the next attempt to connect are lost
		a.Send([]core.Envelope{envelope(from, to, n)})
		if back.inbox.Empty() {
			time.Sleep(time.Millisecond)
			continue
		}
		break
	}
}

func TestWhatIsNoGTStore(t *testing.T) {
	answer := func(text string) string {
		l := listen(t, "127.0.0.1:0")
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, text)
				_, _ = io.ReadFull(c, make([]byte, len(preface))) // so that the close is no reset
				c.Close()
			}
		}()
		return l.Addr().String()
	}
	for _, c := range []struct{ says, want string }{
		{"HTTP/1.1 400 Bad Request\r\n\r\n", `it does not speak GTStore: it began with "HTTP/1.1"`},
		{preface[:len(preface)-1] + "\x09", "it speaks version 9 of the protocol, and this program version 7"},
		{"GT", "is it a GTStore port?"},
		{"", "is it a GTStore port?"},
	} {
		_, err := Ask(t.Context(), nil, answer(c.says))
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, "handshake")
	}
}

func TestHello(t *testing.T) {
	e := newEnd(t, 42, listen(t, "127.0.0.1:0"), func(o *Options) { o.Role = RoleManager })
	hello, err := Ask(t.Context(), nil, e.addr)
	require.NoError(t, err)
	require.Equal(t, Hello{RoleManager, 42}, hello.Hello)
}

// Whatever a stranger sends, the connection ends and nothing else does.
func TestNonsenseEndsTheConnection(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	good := written(envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	long := make([]byte, frameHeadBytes)
	binary.LittleEndian.PutUint32(long, frameBytesMax+1)
	for name, bytes := range map[string][]byte{
		"an endless frame":      long,
		"the longest length":    {0xff, 0xff, 0xff, 0xff},
		"an empty frame":        {0, 0, 0, 0},
		"no method":             request(0, 1, nil),
		"an unknown method":     request(frameKindEnd, 1, nil),
		"a batch of nothing":    request(methodDeliver, 1, []byte{0}),
		"an answer to nothing":  request(callDone, 1, nil),
		"a call that failed":    request(callFailed, 1, []byte("so it is")),
		"no number":             {2, 0, 0, 0, methodDeliver, 0x80},
		"an empty batch":        request(methodDeliver, 1, nil),
		"a lying count":         request(methodDeliver, 1, binary.AppendUvarint(nil, 1<<40)),
		"a count and no more":   request(methodDeliver, 1, []byte{3}),
		"a lying length":        request(methodDeliver, 1, []byte{1, 0xff, 0xff, 0xff, 0x7f, 0}),
		"a damaged envelope":    request(methodDeliver, 1, damaged),
		"bytes after the batch": request(methodDeliver, 1, append(good[:len(good):len(good)], 0)),
		"a Hello of what":       request(methodHello, 1, []byte("hello?")),
		"HTTP":                  []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, e.addr, true)
			_, err := c.Write(bytes)
			require.NoError(t, err)
			closed(t, c)
		})
	}
	t.Run("no preface", func(t *testing.T) {
		c := dialRaw(t, e.addr, false)
		_, err := c.Write([]byte("GET / HTTP/1.1\r\n"))
		require.NoError(t, err)
		closed(t, c)
	})
	e.eventually(e.server.empty, "all are gone")
	require.True(t, e.inbox.Empty(), "nothing came through")
	_, err := Ask(t.Context(), nil, e.addr)
	require.NoError(t, err, "others are served")
}

// A frame that has begun must be completed in time; so must the preface.
func TestHalfFramesAreNotWaitedForEndlessly(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"), func(o *Options) { o.FrameTimeout, o.DialTimeout = 50*time.Millisecond, 50*time.Millisecond })
	idle := dialRaw(t, e.addr, true)
	for _, c := range []struct {
		greet bool
		bytes []byte
	}{
		{false, nil},
		{false, []byte("GTS")},
		{true, request(methodHello, 1, nil)[:1]},
		{true, request(methodHello, 1, nil)[:frameHeadBytes]},
		{true, request(methodHello, 1, nil)[:5]},
		{true, append([]byte{0, 0, 16, 0}, make([]byte, 1000)...)},
	} {
		conn := dialRaw(t, e.addr, c.greet)
		_, err := conn.Write(c.bytes)
		require.NoError(t, err)
		closed(t, conn)
	}
	_, err := idle.Write(request(methodHello, 1, nil))
	require.NoError(t, err)
	_, err = idle.Read(make([]byte, 1))
	require.NoError(t, err, "who says nothing at all may stay")
}

// Requests beyond the window are not read: here Delivers to a node that is too
// busy to take anything.
func TestTheWindowBoundsRequests(t *testing.T) {
	const window = 8
	before := runtime.NumGoroutine()
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"), func(o *Options) { o.WindowMax = window })
	e.inbox.countMax = 1
	c := dialRaw(t, e.addr, true)
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
	hi := written(envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1))
	sent := 0
	for err := error(nil); err == nil; sent++ { // until nothing more is taken
		_, err = c.Write(request(methodDeliver, uint64(sent), hi))
	}
	require.Greater(t, sent, 10*window)
	require.LessOrEqual(t, runtime.NumGoroutine()-before, window+8)
	c.Close()
	e.eventually(func() bool {
		e.inbox.Take(nil, 1, 1)
		return e.server.empty()
	}, "all is taken, and then the end of the connection is seen")
}

// Who does not read is cut off, and others are served meanwhile.
func TestAReaderThatDoesNotReadIsCutOff(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"), func(o *Options) { o.FrameTimeout = 200 * time.Millisecond })
	c := dialRaw(t, e.addr, true)
	hi := written(envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1))
	_, err := c.Write(request(methodDeliver, 1, hi))
	require.NoError(t, err)
	peer := e.received(1)[0].From
	big := strings.Repeat("x", core.ValueBytesMax)
	e.eventually(func() bool {
		e.Send([]core.Envelope{{From: core.Peer{ID: 1}, To: peer, Body: &core.Reply{Status: core.StatusOK, Value: big}}})
		return e.server.find(peer.Addr) == nil
	}, "cut off")
	_, err = Ask(t.Context(), nil, e.addr)
	require.NoError(t, err)
}

func TestTheConnectionUnusedForLongestMakesRoom(t *testing.T) {
	const most = 10
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"), func(o *Options) { o.ConnectionsMax = most })
	client := newEnd(t, 2, nil)
	to := core.Peer{ID: 1, Addr: e.addr}
	use := func() {
		client.Send([]core.Envelope{envelope(core.Peer{ID: 2}, to, 1)})
		e.received(1)
	}
	use()
	for range 20 * most {
		dialRaw(t, e.addr, false)
		use()
		e.server.mu.Lock()
		n := len(e.server.conns)
		e.server.mu.Unlock()
		require.LessOrEqual(t, n, most)
	}
	require.Empty(t, client.hints(), "a connection in use is not given up for idle ones")
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	a, b, c := newEnd(t, 1, listen(t, "127.0.0.1:0")), newEnd(t, 2, listen(t, "127.0.0.1:0")), newEnd(t, 3, nil)
	a.Send([]core.Envelope{envelope(core.Peer{ID: 1, Addr: a.addr}, core.Peer{ID: 2, Addr: b.addr}, 1)})
	c.Send([]core.Envelope{envelope(core.Peer{ID: 3}, core.Peer{ID: 1, Addr: a.addr}, 1)})
	c.Send([]core.Envelope{envelope(core.Peer{ID: 3}, core.Peer{ID: 9, Addr: "127.0.0.1:1"}, 1)})
	b.received(1)
	a.received(1)
	for _, e := range []*end{a, b, c} {
		e.stop()
	}
	goroutinesAtMost(t, before)
}

func TestQueue(t *testing.T) {
	b := newBudget(1 << 20)
	put := func(q *Queue, value string) bool {
		return q.Put(&core.Envelope{Body: &core.Reply{Value: value}})
	}
	q := newQueue(3, b.account())
	require.True(t, q.waits().IsZero())
	for range 3 {
		require.True(t, put(q, ""))
	}
	require.False(t, put(q, ""), "full")
	list, bytes := q.Take(nil, 2, 1<<20)
	require.Len(t, list, 2)
	require.Equal(t, sizeOf(&list[0])*2, bytes)
	require.False(t, q.waits().IsZero())
	require.EqualValues(t, 3*sizeOf(&list[0]), b.used.Load(), "what was taken is charged until it is given back")
	q.account.give(bytes)
	q.Close()
	require.Zero(t, b.used.Load())
	require.True(t, q.Empty(), "what was in it is dropped")
	require.False(t, put(q, ""), "a queue that is closed takes nothing")

	q = newQueue(100, b.account())
	big := strings.Repeat("x", 60_000)
	require.True(t, put(q, big))
	require.True(t, put(q, big))
	require.False(t, put(q, big), "it has a quarter of what is free")
	list, _ = q.Take(nil, 9, 10)
	require.Len(t, list, 1, "one at least")
}

func FuzzBatch(f *testing.F) {
	for _, m := range []core.Message{&core.Ping{Nonce: 1, Boot: 1}, &core.Op{Group: 1, Req: 2, Kind: core.OpPut, Session: 3, OpSeq: 4, Key: "k", Value: "v"}} {
		f.Add(written(core.Envelope{Cluster: 1, From: core.Peer{ID: 2}, To: core.Peer{ID: 3, Addr: "x:1"}, Body: m}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		if b.decode(data, false, new(core.Envelope)) != nil {
			return
		}
		var again Batch
		require.NoError(t, again.decode(written(b.envelopes...), true, new(core.Envelope)))
		require.Empty(t, cmp.Diff(b.envelopes, again.envelopes))
	})
}

func ExampleRole() {
	fmt.Println(RoleManager, "and", RoleStorage)
	// Output: manager and storage node
}

// However large the messages are that wait, the batch that is taken of them fits a
// frame: a longer one would break the connection, again and again. Chunks once
// counted for nothing, and a snapshot of large values never arrived.
func TestABatchFitsAFrame(t *testing.T) {
	value := strings.Repeat("v", core.ValueBytesMax)
	small := strings.Repeat("v", core.ChunkBytesMax/2)
	for _, m := range []core.Message{
		&core.Chunk{Group: 1, Epoch: 1, Items: []core.Item{{Key: "k", Value: small}, {Key: "l", Value: value}}},
		&core.Chunk{Group: 1, Epoch: 1, Last: true, Sessions: make([]core.SessionRecord, core.SessionsMax)},
		&core.Replicate{Group: 1, Epoch: 1, Entries: []core.Entry{{Epoch: 1, Kind: core.OpPut, Key: "k", Value: value}}},
		&core.Op{Group: 1, Kind: core.OpPut, Key: "k", Value: value},
		&core.Reply{Group: 1, Status: core.StatusOK, Value: value},
		&core.Lookup{Key: strings.Repeat("k", core.KeyBytesMax)},
		&core.Ack{Group: 1, Epoch: 1},
	} {
		e := &core.Envelope{Cluster: 1, From: core.Peer{ID: 1}, To: core.Peer{ID: 2, Addr: "127.0.0.1:1"}, Body: m}
		require.GreaterOrEqual(t, sizeOf(e)+256, len(core.AppendEnvelope(nil, e)), "%T", m)
		q := newQueue(2*batchCountMax, newBudget(1<<32).account())
		for q.Put(e) {
		}
		var b Batch
		b.envelopes, _ = q.Take(nil, batchCountMax, batchBytesMax)
		frame := written(b.envelopes...)
		require.Less(t, len(frame), frameBytesMax-64, "%T", m)
		require.NoError(t, new(Batch).decode(frame, false, new(core.Envelope)), "%T", m)
	}
}
