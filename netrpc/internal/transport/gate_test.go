package transport

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/identity/identitytest"
)

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// gate is by which a test comes in: plain, or over TLS with the certificate of a role.
type gate struct {
	*testing.T
	ca   *identitytest.CA // nil: plain
	role core.Role
}

// eachGate runs a hostile test plain, and over TLS with the certificate of each role.
func eachGate(t *testing.T, f func(g gate)) {
	t.Run("plain", func(t *testing.T) { f(gate{T: t}) })
	for _, r := range core.Roles {
		t.Run(r.String(), func(t *testing.T) { f(gate{t, identitytest.New(t), r}) })
	}
}

func (g gate) source(name string) *identity.Source {
	g.Helper()
	if g.ca == nil {
		return nil
	}
	s, err := identity.Load(g.ca.Issue("gtstore://test/"+name), slog.New(slog.DiscardHandler))
	require.NoError(g, err)
	return s
}

// node starts a transport of the storage node n1, which is under attack.
func (g gate) node(l net.Listener, change ...func(*Options)) *end {
	g.Helper()
	return newEnd(g.T, 1, l, append(change, func(o *Options) { o.Identity = g.source("node/n1") })...)
}

// honest starts a transport of a client.
func (g gate) honest() *end {
	g.Helper()
	return newEnd(g.T, 2, nil, func(o *Options) { o.Identity = g.source("client/honest") })
}

// at is the node as a peer.
func (g gate) at(e *end) core.Peer {
	if g.ca == nil {
		return core.Peer{ID: 1, Addr: e.addr}
	}
	return core.Peer{ID: 1, Addr: core.JoinAddr("n1", e.addr)}
}

// dial connects as somebody who has the certificate of the gate's role.
func (g gate) dial(address string) net.Conn {
	g.Helper()
	if g.ca == nil {
		return dialRaw(g.T, address, true)
	}
	return g.dialAs(g.source(g.role.String()+"/n5"), address, identity.Wanted{Role: core.RoleNode, Name: "n1"})
}

func (g gate) dialAs(s *identity.Source, address string, want identity.Wanted) net.Conn {
	g.Helper()
	raw := dialRaw(g.T, address, false)
	c, _, err := s.Client(g.Context(), raw, want)
	require.NoError(g, err)
	_, err = io.WriteString(c, preface)
	require.NoError(g, err)
	_, err = io.ReadFull(c, make([]byte, len(preface)))
	require.NoError(g, err)
	return c
}

// asks is something that the gate's role may say to a node, and to which it wants an answer.
func (g gate) asks() core.Envelope {
	from := core.Peer{ID: 5}
	switch g.role {
	case core.RoleNode:
		return envelopeOf(from, &core.Replicate{Group: 1, Epoch: 1})
	case core.RoleClient, core.RoleOperator:
		return envelopeOf(from, &core.Op{Group: 1, Kind: core.OpGet, Key: "k"})
	}
	return envelope(from, core.Peer{ID: 1}, 1)
}

// answers is what a node may answer to that.
func (g gate) answers(size int) core.Message {
	switch g.role {
	case core.RoleNode: // the largest
		items := make([]core.Item, 0, 1)
		if size > 0 {
			items = append(items, core.Item{Key: "k", Value: fmt.Sprintf("%*d", size, 0), Version: 1})
		}
		return &core.Chunk{Group: 1, Epoch: 1, Items: items}
	case core.RoleManager:
		return &core.Pong{}
	}
	return &core.Reply{Status: core.StatusOK, Value: fmt.Sprintf("%*d", max(1, size), 0)}
}

// Every pair of a role and a kind of message, between every two roles: the connection goes on if the role may
// say that, and else it ends before the body is decoded, which is nonsense here, and that is
// counted.
func TestEveryRoleSaysOnlyWhatItMay(t *testing.T) {
	for _, to := range core.Roles {
		for _, from := range core.Roles {
			if to.Listens() || from.Listens() {
				t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
					t.Parallel()
					everyKind(gate{T: t, ca: identitytest.New(t)}, from, to)
				})
			}
		}
	}
}

func everyKind(g gate, from, to core.Role) {
	speaker := g.source(from.String() + "/n5")
	e := newEnd(g.T, 1, listen(g.T, "127.0.0.1:0"), func(o *Options) {
		o.Identity, o.DialTimeout = g.source(to.String()+"/n1"), patience // many handshakes, on a machine that may be slow
	})
	forbidden := uint64(0)
	for k := core.Kind(0); int(k) <= core.KindCount; k++ {
		var c net.Conn
		if to.Listens() {
			c = g.dialAs(speaker, e.addr, identity.Wanted{Role: to, Name: "n1"})
		} else {
			c = g.accept(e, speaker, from)
		}
		_, err := c.Write(nonsense(k))
		require.NoError(g, err)
		closed(g.T, c)
		if !k.MaySend(from, to) {
			forbidden++
		}
		e.eventually(func() bool { return e.Refusals().Messages.Load() >= forbidden }, k.String())
		require.Equal(g, forbidden, e.Refusals().Messages.Load(), "%v from a %v to a %v", k, from, to)
	}
	require.Less(g, forbidden, uint64(core.KindCount)+1, "something may be said")
	require.True(g, e.inbox.Empty())
	require.Zero(g, e.Refusals().Handshakes.Load())
}

// accept has an end connect to a process of a role, and is that process's side of the connection.
func (g gate) accept(e *end, s *identity.Source, role core.Role) net.Conn {
	g.Helper()
	l := listen(g.T, "127.0.0.1:0")
	defer l.Close()
	address := l.Addr().String()
	if role.Listens() {
		address = s.Name().At(address)
	}
	m := core.Message(&core.Op{Group: 1, Kind: core.OpGet, Key: "k"})
	e.Send([]core.Envelope{{From: core.Peer{ID: 1}, To: core.Peer{ID: 5, Addr: address}, Body: m}})
	raw, err := l.Accept()
	require.NoError(g, err)
	g.Cleanup(func() { raw.Close() })
	c, _, err := s.Server(g.Context(), raw)
	require.NoError(g, err)
	_, err = io.WriteString(c, preface)
	require.NoError(g, err)
	_, err = io.ReadFull(c, make([]byte, len(preface)))
	require.NoError(g, err)
	return c
}

// nonsense is a Deliver of an envelope of a kind that has nothing else in it.
func nonsense(k core.Kind) []byte {
	body := []byte{1, 3, 0, 0, 0, 7, byte(k), 0xff} // one envelope of three bytes: version, kind, what is no checksum
	return request(methodDeliver, 1, body)
}

// Who comes without TLS is told what is wanted, and so is who comes with it where there is none.
func TestTheOtherSideHasNoTLS(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	e := g.node(listen(t, "127.0.0.1:0"))
	_, err := Ask(t.Context(), nil, e.addr)
	require.ErrorContains(t, err, "it wants TLS: give this process --tls-cert")
	require.EqualValues(t, 1, e.Refusals().Handshakes.Load())
	plain := newEnd(t, 3, listen(t, "127.0.0.1:0"))
	_, err = Ask(t.Context(), g.source("client/app"), plain.addr)
	require.ErrorContains(t, err, "TLS: the peer speaks without TLS")
}

// A log tells name and address apart.
func TestAPeerIsNamedInTheLog(t *testing.T) {
	var b bytes.Buffer
	n := notes{log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})), began: time.Now()}
	n.say(noteDial, "cannot connect", "node1@10.0.0.1:7401", nil)
	require.Contains(t, b.String(), "peer=10.0.0.1:7401 name=node1")
}

// What is allowed arrives: of each role what it asks, from whom its certificate says.
func TestWhatARoleMaySayArrives(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"))
		from := e.delivered(g.dial(e.addr), g.asks())
		if g.role == core.RoleClient || g.role == core.RoleOperator {
			name := identity.Name{Cluster: "test", Role: g.role, Name: "n5"}
			require.Equal(g, name.Bind(5), from.ID)
			require.Equal(g, from.ID, e.delivered(g.dial(e.addr), func() core.Envelope {
				m := g.asks()
				m.From.ID |= 0xabcdef << 40
				return m
			}()).ID, "it is not who it claims to be")
		} else {
			require.EqualValues(g, 5, from.ID)
		}
		require.Equal(g, "#", from.Addr[:1])
	})
}

// forbids sends an envelope over a connection, which is to end for it.
func (e *end) forbids(c net.Conn, m core.Envelope, why string) {
	e.t.Helper()
	before := e.Refusals().Messages.Load()
	_, err := c.Write(deliverOf(m))
	require.NoError(e.t, err)
	closed(e.t, c)
	e.eventually(func() bool { return e.Refusals().Messages.Load() == before+1 }, why)
	require.True(e.t, e.inbox.Empty(), why)
}

// The id of a node is that of the name in the address under which the cluster knows it. Nobody
// with another name speaks under it, tells of a config that says otherwise, or registers it.
func TestANodeSpeaksUnderItsOwnIDOnly(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	primary, evil := g.source("node/n5"), g.source("node/n6")
	peer := func(id core.NodeID, name string) core.Peer {
		return core.Peer{ID: id, Addr: core.JoinAddr(name, "127.0.0.1:1")}
	}
	chain := func(epoch core.Epoch, members ...core.Peer) *core.Config {
		return &core.Config{Group: 1, Epoch: epoch, Reads: core.ReadConfirm, MinChain: 1, Chain: members}
	}
	e := g.node(listen(t, "127.0.0.1:0"))
	e.Expect(func(yield func(core.Peer) bool) {
		_ = yield(peer(5, "n5")) && yield(peer(8, "n8")) && yield(core.Peer{ID: 9, Addr: "127.0.0.1:9"})
	})
	want := identity.Wanted{Role: core.RoleNode, Name: "n1"}
	say := func(s *identity.Source) net.Conn { return g.dialAs(s, e.addr, want) }
	replicate := func(id core.NodeID, c *core.Config) core.Envelope {
		return envelopeOf(core.Peer{ID: id}, &core.Replicate{Group: 1, Epoch: 2, Config: c})
	}

	e.forbids(say(evil), replicate(5, nil), "it claims to be the primary")
	e.forbids(say(evil), replicate(6, chain(2, peer(5, "n5"), peer(8, "n8"))), "it is not in that chain")
	e.forbids(say(evil), replicate(6, chain(2, peer(6, "n5"))), "it is in that chain under another name")
	e.forbids(say(evil), replicate(6, chain(2, peer(6, "n6"), peer(5, "n6"))), "it gives the primary's id its own name")
	e.forbids(say(evil), envelopeOf(core.Peer{ID: 6}, &core.Chunk{Group: 1, Epoch: 2, Config: chain(2, peer(5, "n5"))}), "likewise in a chunk")

	c := say(primary)
	e.delivered(c, envelopeOf(core.Peer{ID: 5}, &core.Replicate{Group: 1, Epoch: 2, Config: chain(2, peer(5, "n5"), core.Peer{ID: 8, Addr: "127.0.0.1:8"})}), replicate(5, nil))
	require.True(t, e.inbox.Empty(), "a config in which n8 has no name yet is no longer that")
	e.delivered(c, replicate(5, chain(2, peer(5, "n5"), peer(8, "n8"))))
	e.delivered(say(evil), replicate(6, chain(2, peer(6, "n6"), peer(8, "n8"))))
	e.delivered(say(evil), replicate(9, nil), envelopeOf(core.Peer{ID: 6}, &core.Probe{Reach: true, Nonce: 4}))
	require.True(t, e.inbox.Empty(), "9 is known from before there were certificates: until it registers nobody speaks for it")

	m := newEnd(t, 3, listen(t, "127.0.0.1:0"), func(o *Options) { o.Identity = g.source("manager/m") })
	m.Expect(func(yield func(core.Peer) bool) {
		_ = yield(peer(5, "n5")) && yield(core.Peer{ID: 9, Addr: "127.0.0.1:9"})
	})
	want = identity.Wanted{Role: core.RoleManager}
	say = func(s *identity.Source) net.Conn { return g.dialAs(s, m.addr, want) }
	register := func(p core.Peer) core.Envelope { return core.Envelope{From: p, Body: &core.Register{Boot: 2}} }
	m.forbids(say(evil), register(peer(5, "n6")), "that id is n5's")
	m.forbids(say(evil), register(peer(5, "n5")), "that address is n5's")
	m.forbids(say(evil), register(peer(66, "n5")), "likewise under an id that nobody has")
	m.forbids(say(evil), register(core.Peer{ID: 6, Addr: "127.0.0.1:6"}), "that address is nobody's")
	m.forbids(say(evil), envelopeOf(core.Peer{ID: 5}, &core.Farewell{Boot: 1}), "it says farewell for n5")
	require.Equal(t, peer(5, "n5"), m.delivered(say(primary), register(peer(5, "n5"))))
	require.Equal(t, peer(9, "n6"), m.delivered(say(evil), register(peer(9, "n6"))), "9 has had no name yet")
}

// The id of a manager is that of the name in the address under which the cluster knows it, else that of
// the name that used it first. It answers from no address of another.
func TestAManagerSpeaksUnderItsOwnIDOnly(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	e := g.node(listen(t, "127.0.0.1:0"))
	want := identity.Wanted{Role: core.RoleNode, Name: "n1"}
	first, second := g.dialAs(g.source("manager/a"), e.addr, want), g.dialAs(g.source("manager/b"), e.addr, want)
	e.delivered(first, envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1))
	e.delivered(second, envelope(core.Peer{ID: 6}, core.Peer{ID: 1}, 1))
	e.forbids(second, envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1), "that id is a's")
	e.delivered(first, envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1))

	e.Expect(func(yield func(core.Peer) bool) { // it was told by now, whoever came first
		_ = yield(core.Peer{ID: 5, Addr: "manager/c@127.0.0.1:1"}) && yield(core.Peer{ID: 7, Addr: "manager/a@127.0.0.1:2"}) && yield(core.Peer{ID: 8, Addr: "127.0.0.1:3"})
	})
	second = g.dialAs(g.source("manager/b"), e.addr, want)
	e.delivered(second, envelope(core.Peer{ID: 8}, core.Peer{ID: 1}, 1))
	e.forbids(second, envelope(core.Peer{ID: 7}, core.Peer{ID: 1}, 1), "that id is a's, which has not used it")
	third := g.dialAs(g.source("manager/c"), e.addr, want)
	e.delivered(third, envelope(core.Peer{ID: 5}, core.Peer{ID: 1}, 1))
	e.forbids(g.dialAs(g.source("node/c"), e.addr, want), envelopeOf(core.Peer{ID: 5}, &core.Replicate{Group: 1, Epoch: 2}), "a node of that name is another one")

	registered := func(address string) core.Envelope {
		return core.Envelope{From: core.Peer{ID: 6, Addr: address}, To: core.Peer{ID: 1}, Body: &core.Registered{Boot: 1}}
	}
	for _, address := range []string{"manager/a@127.0.0.1:2", "b@127.0.0.1:2", "127.0.0.1:2"} {
		e.forbids(g.dialAs(g.source("manager/b"), e.addr, want), registered(address), address)
	}
	e.delivered(g.dialAs(g.source("manager/b"), e.addr, want), registered("manager/b@127.0.0.1:2"))
}

// Where somebody else is than belongs there, who dials says so as a warning, and counts it. One that
// only goes away while a connection is made is nobody to warn of.
func TestWhoIsNotExpectedIsSaid(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	log := func(b *lockedBuffer) func(*Options) {
		return func(o *Options) {
			o.Logger = slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
	}
	var there, here lockedBuffer
	m := newEnd(t, 3, listen(t, "127.0.0.1:0"), log(&there), func(o *Options) { o.Identity = g.source("manager/m2") })
	n := newEnd(t, 1, nil, log(&here), func(o *Options) { o.Identity = g.source("node/n1") })
	for _, to := range []string{"manager/m1@" + m.addr, "m2@" + m.addr} {
		before := n.Refusals().Handshakes.Load()
		n.Send([]core.Envelope{{From: core.Peer{ID: 1}, To: core.Peer{ID: 3, Addr: to}, Body: &core.Probe{Reach: true}}})
		n.eventually(func() bool { return n.Refusals().Handshakes.Load() > before }, to)
	}
	require.Contains(t, here.String(), `level=WARN msg="a connection was refused: at this address is not who belongs there" peer=`+m.addr+` name=m1 err="TLS: there is manager/m2, and manager/m1 is expected: if m2 has taken its place, write m2@`)
	m.eventually(func() bool { return m.Refusals().Handshakes.Load() == 2 }, "it has seen why")

	dialRaw(t, m.addr, false).Close()
	m.eventually(func() bool { return strings.Contains(there.String(), "given up by its peer") }, "it says that")
	require.NotContains(t, there.String(), `level=WARN msg="a connection was given up`)
	require.EqualValues(t, 2, m.Refusals().Handshakes.Load(), "nobody was refused")
}

// Connections of a name have a part of all there is together, however many they are.
func TestOneNameHasItsPart(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t), role: core.RoleClient}
	const most = 8
	e := g.node(listen(t, "127.0.0.1:0"), func(o *Options) { o.ConnectionsMax = most })
	op := func(to core.Peer) []core.Envelope {
		return []core.Envelope{{Cluster: 7, From: core.Peer{ID: 2}, To: to, Body: &core.Op{Group: 1, Kind: core.OpGet, Key: "k"}}}
	}
	honest := g.honest()
	honest.Send(op(g.at(e)))
	e.received(1)
	thief := g.source("client/thief")
	want := identity.Wanted{Role: core.RoleNode, Name: "n1"}
	for range 3 * most {
		g.dialAs(thief, e.addr, want)
	}
	e.eventually(func() bool {
		e.server.mu.Lock()
		defer e.server.mu.Unlock()
		n := e.server.names["client/thief"]
		return n != nil && n.connections == most/nameShare && len(e.server.conns) == 1+most/nameShare
	}, "the others of its name have ended")
	honest.Send(op(g.at(e)))
	e.received(1)
	require.Empty(t, honest.hints(), "its connection is the one unused for longest, and stays")
}

// A name with many connections has one part of each turn.
func TestConnectionsOfOneNameShareTheirTurns(t *testing.T) {
	in := NewInbox()
	var sources []*Source
	of := new(namesake)
	for range 7 {
		s := in.Source()
		s.of = of
		sources = append(sources, s)
	}
	honest := in.Source()
	for i := range 20 {
		for j, s := range sources {
			s.put([]core.Envelope{*get(100*j + i)}, false)
		}
		honest.put([]core.Envelope{*get(7777)}, false)
	}
	mine, others := 0, map[uint64]int{}
	for _, e := range in.Take(nil, 32, 1<<20) {
		if r := e.Body.(*core.Op).Req; r == 7777 {
			mine++
		} else {
			others[r/100]++
		}
	}
	require.InDelta(t, 16, mine, 1, "as much as all the others together")
	require.Len(t, others, len(sources), "and those take turns")
}

// What waits from one name, and what is held for it, leaves room for others.
func TestOneNameDoesNotFillTheInboxOrTheMemory(t *testing.T) {
	in := NewInbox()
	of, b := new(namesake), newBudget(1<<20)
	held, waiting := int64(0), 0
	for range 200 {
		a := b.account()
		a.of = of
		for a.take(1 << 10) {
			held += 1 << 10
		}
		s := in.source(nil)
		s.of = of
		for s.Put(get(1)) {
			waiting++
		}
	}
	require.LessOrEqual(t, held, int64(1<<20)/2)
	require.Equal(t, held, of.bytes.Load())
	require.LessOrEqual(t, waiting, inboxCountMax*2/3)
	require.EqualValues(t, waiting, of.waiting.Load())
	require.True(t, b.account().take(64<<10), "another has its part")
	other, fits := in.Source(), 0
	for other.Put(get(1)) {
		fits++
	}
	require.Greater(t, fits, 100)
	for in.count.Load() > 0 {
		in.UnderWay(0, 0, true)
		in.Take(nil, 512, 1<<20)
	}
	require.Zero(t, of.waiting.Load())
}

// A certificate that ends ends the connections made with it, at both ends; so does a name on the
// deny-list.
func TestAConnectionEndsForItsCertificate(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	files := g.ca.Issue("gtstore://test/node/n1")
	node, err := identity.Load(files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"), func(o *Options) { o.Identity, o.FrameTimeout = node, 100*time.Millisecond })
	c := g.dialAs(g.source("client/leaves"), e.addr, identity.Wanted{Role: core.RoleNode, Name: "n1"})
	stays := g.dialAs(g.source("client/stays"), e.addr, identity.Wanted{Role: core.RoleNode, Name: "n1"})
	g.ca.Write(files.Deny, []byte("client/leaves\n"))
	closed(t, c)
	require.EqualValues(t, 1, e.Refusals().Ended.Load())
	e.delivered(stays, envelopeOf(core.Peer{ID: 5}, &core.Op{Group: 1, Kind: core.OpGet, Key: "k"}))

	dialler, err := identity.Load(g.ca.Issue("gtstore://test/node/n2"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	a := newEnd(t, 2, nil, func(o *Options) { o.Identity, o.SilenceMax = dialler, 100*time.Millisecond })
	to := g.at(e)
	a.Send([]core.Envelope{{From: core.Peer{ID: 2}, To: to, Body: &core.Probe{Reach: true}}})
	e.received(1)
	g.ca.Write(files.Deny, []byte("node/n2\n"))
	a.eventually(func() bool { return len(a.hints()) > 0 }, "it is told")
	require.Equal(t, []downHint{{to, false}}, a.hints()[:1])
}
