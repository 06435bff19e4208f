package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

func deliverOf(list ...core.Envelope) []byte {
	return request(methodDeliver, 1, written(list...))
}

func (e *end) delivered(c net.Conn, list ...core.Envelope) core.Peer {
	e.t.Helper()
	_, err := c.Write(deliverOf(list...))
	require.NoError(e.t, err)
	return e.received(1)[0].From
}

// A stranger claims an address. The node answers on the stranger's connection, and
// neither connects to the address nor says anything of who may be there.
func TestAnAnswerIsNoReasonToConnect(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	victim := core.Peer{ID: 9, Addr: "127.0.0.1:1"}
	c := dialRaw(t, e.addr, true)
	for _, m := range []core.Message{&core.Ping{Boot: 1}, &core.Op{Group: 1, Kind: core.OpGet, Key: "k"}, &core.Replicate{Group: 1, Epoch: 1}} {
		from := e.delivered(c, core.Envelope{Cluster: 7, From: victim, To: core.Peer{ID: 1}, Body: m})
		require.Equal(t, core.Peer{ID: 9, Addr: "#1"}, from)
		e.Send([]core.Envelope{{Cluster: 7, From: core.Peer{ID: 1}, To: from, Body: &core.Pong{}}})
	}
	require.Empty(t, e.links)
	require.Empty(t, e.hints())
	from := e.delivered(c, core.Envelope{From: victim, Body: &core.Register{Boot: 1}})
	require.Equal(t, victim, from, "where a node wants to be reached is for the manager to check")
}

// Only whoever was asked can answer.
func TestAnAnswerThatNobodyAskedForIsDropped(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	c := dialRaw(t, e.addr, true)
	from := core.Peer{ID: 5, Addr: "127.0.0.1:1"}
	e.delivered(c, envelopeOf(from, &core.Ack{Group: 1, Epoch: 1, Matched: 9}), envelopeOf(from, &core.Pong{}), envelope(from, core.Peer{ID: 1}, 4))
	require.True(t, e.inbox.Empty(), "only the Ping came in")
}

// What a manager says to a node that registers goes to the address that the node named, on a
// connection that the manager makes: also that another one leads.
func TestWhatANodeIsToldOfItsRegisterComesIn(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	c := dialRaw(t, e.addr, true)
	from := core.Peer{ID: 5, Addr: "127.0.0.1:1"}
	for _, m := range []core.Message{
		&core.NotLeader{Token: 7, Leader: core.Peer{ID: 6, Addr: "127.0.0.1:2"}, Term: 3}, &core.Registered{Boot: 1, Secret: 7},
		&core.Refused{Reason: core.RefusedFull, What: core.KindRegister},
	} {
		_, err := c.Write(deliverOf(envelopeOf(from, m)))
		require.NoError(t, err)
		require.Equal(t, m, e.received(1)[0].Body)
	}
}

func envelopeOf(from core.Peer, m core.Message) core.Envelope {
	return core.Envelope{Cluster: 7, From: from, To: core.Peer{ID: 1}, Body: m}
}

// However many addresses there were, there is room for the one that is needed now.
func TestTheLinkUnusedForLongestMakesRoom(t *testing.T) {
	const most = 3
	a, b := newEnd(t, 1, listen(t, "127.0.0.1:0"), func(o *Options) { o.PeersMax = most }), newEnd(t, 2, listen(t, "127.0.0.1:0"))
	to := core.Peer{ID: 2, Addr: b.addr}
	a.reaches(to, b, 1)
	for i := range 10 * most {
		a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, core.Peer{ID: 9, Addr: fmt.Sprintf("127.0.0.1:%d", i+1)}, 1)})
		require.LessOrEqual(t, len(a.links), most)
		a.Send([]core.Envelope{envelope(core.Peer{ID: 1}, to, uint64(100+i))})
		for b.received(1)[0].Body.(*core.Ping).Nonce != uint64(100+i) {
		}
	}
}

func get(n int) *core.Envelope {
	return &core.Envelope{Body: &core.Op{Req: uint64(n), Kind: core.OpGet, Key: "k"}}
}

func TestWhoFloodsAnInboxWaitsForTheOthers(t *testing.T) {
	in := NewInbox()
	flood, honest, node := in.Source(), in.Source(), in.Source()
	sent := 0
	for flood.Put(get(sent)) {
		sent++
	}
	require.Less(t, sent, inboxCountMax/2, "one source never has all places")
	require.True(t, honest.Put(get(7777)))
	got := in.Take(nil, 4, 1<<20)
	require.Contains(t, got, *get(7777), "it comes at once, not after the flood")

	for range 10 { // what a group needs comes first, whoever floods
		require.True(t, node.Put(&core.Envelope{Body: &core.Ping{Nonce: 1, Boot: 1}}))
	}
	got = in.Take(nil, 16, 1<<20)
	require.Len(t, got, 16)
	for i := range 10 {
		require.IsType(t, &core.Ping{Boot: 1}, got[i].Body)
	}
	require.IsType(t, &core.Op{}, got[15].Body)

	for node.Put(&core.Envelope{Body: &core.Ping{Nonce: 1, Boot: 1}}) {
	}
	got = in.Take(nil, 4*clientsPart, 1<<20)
	require.IsType(t, &core.Op{}, got[len(got)-1].Body, "a part of each turn is for the clients")
}

// Bytes count: one large value is worth many small ones.
func TestLargeMessagesHaveFewerTurns(t *testing.T) {
	in := NewInbox()
	large, small := in.Source(), in.Source()
	value := strings.Repeat("v", core.ValueBytesMax)
	for i := range 3 {
		large.Put(&core.Envelope{Body: &core.Op{Kind: core.OpPut, Key: "k", Value: value, Req: uint64(i)}})
	}
	for i := range 100 {
		small.Put(get(i))
	}
	n := 0
	for _, e := range in.Take(nil, 102, 1<<30) {
		if e.Body.(*core.Op).Value != "" {
			n++
		}
	}
	require.Equal(t, 2, n, "the first, and the next when the other has had as much or nothing more")
}

// Operations beyond what the node has room for wait here, where all have their turn, and
// are not refused by the node, whoever's they are.
func TestOperationsWaitForThoseUnderWay(t *testing.T) {
	in := NewInbox()
	in.under.patience = time.Hour
	a, b := in.Source(), in.Source()
	taken := 0
	for round := range 10 {
		for a.Put(get(round)) && b.Put(get(round)) {
		}
		taken += len(in.Take(nil, 300, 1<<30))
	}
	require.InDelta(t, 2*underCountEach, taken, 1)
	in.UnderWay(2*underCountEach-100, 0, true)
	require.InDelta(t, 100, len(in.Take(nil, 300, 1<<30)), 1)
	in.under.patience = time.Millisecond
	require.Eventually(t, func() bool { return len(in.Take(nil, 1, 1)) == 1 }, patience, time.Millisecond,
		"a node that does not answer is asked again")
}

// An operation that opens a session may take two entries of the group's log.
func TestOpeningASessionCountsTwice(t *testing.T) {
	in := NewInbox()
	in.under.patience = time.Hour
	a, b := in.Source(), in.Source()
	open := func(n int) *core.Envelope {
		return &core.Envelope{Body: &core.Op{Req: uint64(n), Kind: core.OpOpen}}
	}
	for n := 0; a.Put(open(n)) && b.Put(open(n)); n++ {
	}
	require.InDelta(t, underCountEach, len(in.Take(nil, underCountMax, 1<<30)), 1)
	in.UnderWay(2*underCountEach-100, 0, true) // as the node counts: an entry each
	require.InDelta(t, 50, len(in.Take(nil, underCountMax, 1<<30)), 1)
}

// What the node drops without an answer, such as what it has already, takes nobody's room.
func TestWhatTheNodeDropsIsNotUnderWay(t *testing.T) {
	in := NewInbox()
	in.under.patience = time.Hour
	a, b := in.Source(), in.Source()
	for range 10 {
		for a.Put(get(1)) && b.Put(get(1)) {
		}
		require.Equal(t, 2*underCountEach, len(in.Take(nil, 300, 1<<30)))
		in.UnderWay(0, 0, false)
	}
}

// Who brings more than anybody needs waits, and has to make up for no more than that.
func TestWorkBeyondTheRateWaits(t *testing.T) {
	now := time.Now()
	var b bucket
	require.Zero(t, b.take(workBurst, workRate, now))
	require.Equal(t, time.Second, b.take(workRate, workRate, now))
	now = now.Add(time.Second)
	require.Zero(t, b.take(0, workRate, now), "a second later it has waited long enough")
	require.Equal(t, time.Millisecond, b.take(workRate/1000, workRate, now))
	now = now.Add(time.Hour)
	require.Zero(t, b.take(workBurst, workRate, now))
	require.Equal(t, time.Millisecond, b.take(workRate/1000, workRate, now), "nobody saves up")
}

// Connections that deliver much are counted, and share what the processors can do.
func TestConnectionsThatDeliverMuchAreCounted(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"))
		var list []*conn
		for range 4 {
			g.dial(e.addr)
		}
		e.eventually(func() bool { list = e.server.all(); return len(list) == 4 }, "they are there")
		var h heavy
		at := func(span int) {
			for _, c := range list {
				c.s.t.began = time.Now().Add(-time.Duration(span)*heavySpan - heavySpan/2)
			}
		}
		at(10)
		for _, c := range list[:3] {
			require.Equal(g, 1, h.count(c, heavyWork))
			h.count(c, heavyWork)
		}
		h.count(list[3], heavyWork-1)
		at(11)
		require.Equal(g, 3, h.count(list[0], heavyWork))
		at(13)
		require.Equal(g, 1, h.count(list[1], 1), "they have stopped: nobody is slowed down any more")
		at(14)
		h.count(list[0], heavyWork)
		at(15)
		require.Equal(g, 1, h.count(list[0], heavyWork), "in the last span it was alone")
	})
}

// A Hello counts for much where it is said too often, but that slows down nobody else: with few
// of them on many connections, one name would slow down all others.
func TestASignOfLifeSlowsDownNobodyElse(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"))
		c := g.dial(e.addr)
		_, err := c.Write(append(request(methodHello, 1, nil), request(methodHello, 2, nil)...))
		require.NoError(g, err)
		e.eventually(func() bool {
			list := e.server.all()
			return len(list) == 1 && list[0].duplex.Load() != nil
		}, "it is there")
		s := e.server.all()[0]
		_, err = c.Read(make([]byte, 1))
		require.NoError(g, err, "it is answered")
		c.Close()
		<-s.duplex.Load().broken
		require.GreaterOrEqual(g, s.work.lacks, helloWork)
		e.server.heavy.mu.Lock()
		defer e.server.heavy.mu.Unlock()
		require.Zero(g, e.server.heavy.now)
	})
}

// An address of a connection that a message contains leads nowhere.
func TestNobodySpeaksOnTheConnectionOfAnother(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"))
		c := g.dial(e.addr)
		other := core.Peer{ID: 6, Addr: "#2"}
		chain := &core.Config{Group: 1, Epoch: 1, Reads: core.ReadConfirm, Chain: []core.Peer{{ID: 5, Addr: "n5@127.0.0.1:1"}, other}, MinChain: 1}
		from := core.Peer{ID: 5}
		list := []core.Envelope{envelopeOf(from, &core.Probe{Nonce: 1, Target: other}), envelopeOf(from, chain),
			envelopeOf(from, &core.Replicate{Group: 1, Epoch: 1, Config: chain}), g.asks()}
		if g.ca != nil { // what its role may not say ends the connection anyway
			list = slices.DeleteFunc(list, func(e core.Envelope) bool { return !core.KindOf(e.Body).MaySend(g.role, core.RoleNode) })
		}
		_, err := c.Write(deliverOf(list...))
		require.NoError(g, err)
		require.IsType(g, g.asks().Body, e.received(1)[0].Body)
		require.True(g, e.inbox.Empty(), "only the last came in")
	})
}

// Frames whose first bytes alone are there hold up nobody, and hold no memory.
func TestHalfFramesHoldUpNobody(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"))
		half := binary.LittleEndian.AppendUint32(nil, 2<<20)
		many := 200
		if g.ca != nil {
			many = 50 // each costs a handshake
		}
		for range many {
			_, err := g.dial(e.addr).Write(half)
			require.NoError(g, err)
		}
		honest := g.honest()
		value := strings.Repeat("v", 2*readBytes)
		for range 20 {
			honest.Send([]core.Envelope{{From: core.Peer{ID: 2}, To: g.at(e), Body: &core.Op{Group: 1, Kind: core.OpPut, Key: "k", Value: value}}})
			e.received(1)
			require.Less(g, e.server.budget.used.Load(), int64(1<<20))
		}
	})
}

// A stranger who speaks of groups is one of many who ask for something.
func TestAStrangerHasNoPriority(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	c := dialRaw(t, e.addr, true)
	for _, step := range []struct {
		name   string
		expect []core.Peer
		want   lane
	}{
		{"nobody is expected", nil, laneAsks},
		{"it is expected", []core.Peer{{ID: 5}, {ID: 6}}, laneGroup},
		{"it is expected no more", []core.Peer{{ID: 6}}, laneAsks},
	} {
		e.Expect(slices.Values(step.expect))
		_, err := c.Write(deliverOf(envelopeOf(core.Peer{ID: 5}, &core.Replicate{Group: 1, Epoch: 1})))
		require.NoError(t, err)
		e.eventually(func() bool { return !e.inbox.Empty() }, "it comes")
		e.inbox.mu.Lock()
		require.Equal(t, 1, e.inbox.lanes[step.want].Len(), step.name)
		e.inbox.mu.Unlock()
		require.Equal(t, step.want == laneGroup, e.server.find("#1").account.group.Load(), step.name)
		e.received(1)
	}
}

// The ID of a node is no secret. Whoever floods under it leaves clients their part.
func TestClientsHaveTheirPartWhateverAGroupSends(t *testing.T) {
	for name, size := range map[string]int{"small messages": 1, "messages that fill a turn": core.ValueBytesMax} {
		t.Run(name, func(t *testing.T) {
			in := NewInbox()
			node, client := in.Source(), in.Source()
			m := &core.Replicate{Group: 9, Entries: []core.Entry{{Key: "k", Value: strings.Repeat("v", size)}}}
			for node.Put(&core.Envelope{Body: m}) {
			}
			for i := range 100 {
				client.Put(get(i))
			}
			const turn = 256
			asked := 0
			for _, e := range in.Take(nil, turn, 1<<20) {
				if core.KindOf(e.Body) == core.KindOp {
					asked++
				}
			}
			require.GreaterOrEqual(t, asked, turn/clientsPart)
		})
	}
}

// Large frames of those who flood under the name of a node take turns as well, but not
// with those of clients.
func TestLargeFramesTakeTurns(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	e.Expect(slices.Values([]core.Peer{{ID: 5}}))
	large := envelopeOf(core.Peer{ID: 5}, &core.Replicate{Group: 1, Epoch: 1, Entries: []core.Entry{{Kind: core.OpPut, Key: "k", Value: strings.Repeat("v", core.ValueBytesMax)}}})
	c := dialRaw(t, e.addr, true)
	e.delivered(c, large) // from now on it is one of a group
	for l, free := range []lane{laneGroup: laneAsks, laneAsks: laneGroup} {
		for range cap(e.server.pace[l]) { // others read
			e.server.pace[l] <- struct{}{}
		}
		_, err := c.Write(deliverOf(large))
		require.NoError(t, err)
		if free == laneAsks {
			e.eventually(func() bool { return e.server.find("#1").account.held.Load() > core.ValueBytesMax }, "it begins")
			require.True(t, e.inbox.Empty(), "it waits for its turn")
			<-e.server.pace[l]
		}
		e.received(1)
	}
}

// Replies that nobody reads are lost once the process holds its budget of them; what
// others are answered is not.
func TestRepliesThatNobodyReadsAreBounded(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"), func(o *Options) { o.MemoryMax = MemoryMin })
		big := g.answers(core.ValueBytesMax)
		for range 20 {
			to := e.delivered(g.dial(e.addr), g.asks())
			for range 20 {
				e.Send([]core.Envelope{{From: core.Peer{ID: 1}, To: to, Body: big}})
				require.LessOrEqual(g, e.server.budget.used.Load(), int64(MemoryMin))
			}
		}
		honest := g.honest()
		honest.Send([]core.Envelope{{Cluster: 7, From: core.Peer{ID: 2}, To: g.at(e), Body: &core.Op{Group: 1, Kind: core.OpGet, Key: "k"}}})
		e.Send([]core.Envelope{{From: core.Peer{ID: 1}, To: e.received(1)[0].From, Body: &core.Reply{Req: 3, Status: core.StatusOK}}})
		require.EqualValues(g, 3, honest.received(1)[0].Body.(*core.Reply).Req)
	})
}

func TestWhoDoesNotTakeWhatItIsAnsweredLosesItsConnection(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"), func(o *Options) { o.FrameTimeout = 100 * time.Millisecond })
		c := g.dial(e.addr)
		to := e.delivered(c, g.asks())
		e.eventually(func() bool { // as soon as more waits than may be unanswered
			e.Send([]core.Envelope{{From: core.Peer{ID: 1}, To: to, Body: g.answers(0)}})
			return e.server.find(to.Addr) == nil
		}, "it is cut off")
		closed(g.T, c)
		e.eventually(func() bool { return e.server.budget.used.Load() == 0 }, "and holds nothing any more")
	})
}

// Frames that are never completed hold memory that others need. They make room.
func TestHalfFramesMakeRoom(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"), func(o *Options) { o.MemoryMax = MemoryMin })
		half := binary.LittleEndian.AppendUint32(nil, 2<<20)
		for range 10 {
			_, err := g.dial(e.addr).Write(half)
			require.NoError(g, err)
		}
		honest := g.honest()
		honest.Send([]core.Envelope{{From: core.Peer{ID: 2}, To: g.at(e),
			Body: &core.Op{Group: 1, Kind: core.OpPut, Key: "k", Value: strings.Repeat("v", core.ValueBytesMax)}}})
		require.IsType(g, &core.Op{}, e.received(1)[0].Body)
	})
}

// Small elements take many times the bytes that they have on the wire.
func TestABatchThatDecodesToTooMuchIsRefused(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"))
		items := make([]core.Item, core.ChunkItemsMax)
		for i := range items {
			items[i].Key = "k"
		}
		chunk := envelopeOf(core.Peer{ID: 5}, &core.Chunk{Group: 1, Epoch: 1, Items: items})
		batch := deliverOf(slices.Repeat([]core.Envelope{chunk}, 20)...)
		require.Less(g, len(batch), decodedBytesMax/4)
		c := g.dial(e.addr)
		_, err := c.Write(batch)
		require.NoError(g, err)
		closed(g.T, c)
		require.True(g, e.inbox.Empty())
	})
}

// full is a listener of a process that may have only so many connections open.
type full struct {
	net.Listener
	open func() int
	max  int
	next net.Conn
}

func (l *full) Accept() (net.Conn, error) {
	if l.next == nil {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.next = c
	}
	if l.open() >= l.max {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	c := l.next
	l.next = nil
	return c, nil
}

// The process has no file left for a newcomer: the connection unused for longest makes
// room for it.
func TestNewcomersFindRoomWhenFilesRunOut(t *testing.T) {
	eachGate(t, func(g gate) {
		l := &full{Listener: listen(g.T, "127.0.0.1:0"), max: 5}
		var e atomic.Pointer[end]
		l.open = func() int {
			for e.Load() == nil {
				time.Sleep(time.Millisecond)
			}
			return len(e.Load().server.all())
		}
		e.Store(g.node(l))
		for range 4 * l.max {
			g.dial(e.Load().addr)
		}
		_, err := Ask(g.Context(), g.source("client/honest"), g.at(e.Load()).Addr)
		require.NoError(g, err)
	})
}

func TestConnectionsFitTheFilesOfTheProcess(t *testing.T) {
	o := Options{ConnectionsMax: 1 << 30}
	o.complete()
	require.Positive(t, o.ConnectionsMax)
	if files := filesMax(); files > 0 {
		require.LessOrEqual(t, o.ConnectionsMax, files-filesReserveMin)
	}
}

// counter is a log that counts its lines.
type counter struct{ lines atomic.Int64 }

func (*counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) Handle(context.Context, slog.Record) error {
	c.lines.Add(1)
	return nil
}
func (c *counter) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *counter) WithGroup(string) slog.Handler      { return c }

func TestWhatAPeerCausesIsNotLoggedEachTime(t *testing.T) {
	log := &counter{}
	n := notes{log: slog.New(log), began: time.Now()}
	for range 100_000 {
		n.say(noteEnded, "connection ended", "x", io.EOF)
		if time.Since(n.began) > noteGap/2 {
			break
		}
	}
	require.EqualValues(t, 1, log.lines.Load())
	n.say(noteBroke, "connection broke", "x", io.EOF)
	require.EqualValues(t, 2, log.lines.Load(), "another kind")
}

// deepSize is the memory that a value holds, without the spare room of slices.
func deepSize(v reflect.Value) int {
	n := 0
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			n = deepSize(v.Elem())
			if v.Kind() == reflect.Pointer {
				n += int(v.Elem().Type().Size())
			}
		}
	case reflect.String:
		n = v.Len()
	case reflect.Slice:
		for i := range v.Len() {
			n += int(v.Index(i).Type().Size()) + deepSize(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += deepSize(v.Field(i))
		}
	}
	return n
}

func TestSizesAreThoseOfMemory(t *testing.T) {
	addr := strings.Repeat("a", core.AddrBytesMax)
	chain := make([]core.Peer, core.ChainMax)
	for i := range chain {
		chain[i] = core.Peer{ID: core.NodeID(i + 1), Addr: addr}
	}
	config := &core.Config{Chain: chain, Joining: core.Peer{ID: 99, Addr: addr}}
	for _, m := range []core.Message{
		&core.Ping{Boot: 1}, &core.Ack{}, &core.Op{Key: "k", Value: "v"}, config,
		&core.Replicate{Config: config, Entries: make([]core.Entry, core.BatchEntriesMax)},
		&core.Nack{Config: config}, &core.Reply{Config: config, Value: addr}, &core.LookupReply{Placement: core.PlacementKey, Config: config},
		&core.Chunk{Config: config, Items: make([]core.Item, core.ChunkItemsMax), Sessions: make([]core.SessionRecord, core.SessionsMax)},
		&core.Pong{Groups: make([]core.GroupEpoch, core.GroupsMax), Join: &core.JoinProgress{}},
		&core.Register{Name: strings.Repeat("n", core.NameBytesMax)}, &core.Probe{Target: core.Peer{Addr: addr}},
		&core.StatusReply{Placement: core.PlacementKey, Nodes: make([]core.NodeStatus, core.StatusPageMax), Groups: make([]core.GroupStatus, core.StatusPageMax)},
		&core.Lookup{Key: addr}, &core.Call{Key: addr, Value: addr},
	} {
		e := core.Envelope{From: core.Peer{Addr: addr}, To: core.Peer{Addr: addr}, Body: m}
		is := int(reflect.TypeOf(e).Size()) + deepSize(reflect.ValueOf(e))
		require.GreaterOrEqual(t, sizeOf(&e), is*3/4, "%T", m)
		require.LessOrEqual(t, sizeOf(&e), 2*is+envelopeBytes, "%T", m)
	}
}
