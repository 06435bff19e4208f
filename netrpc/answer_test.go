package netrpc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/netrpc/internal/transport"
)

// fake is a process of a cluster that says what a test wants.
type fake struct {
	core.Peer
	net   *transport.Transport
	inbox *transport.Inbox
}

const fakeCluster = 7

func newFake(t *testing.T, id core.NodeID, role transport.Role) *fake {
	l := listen(t)
	f := &fake{Peer: core.Peer{ID: id, Addr: l.Addr().String()}, inbox: transport.NewInbox()}
	f.net = transport.New(l, transport.Options{Self: id, Role: role, Inbox: f.inbox, Down: func(core.Peer, bool) {}})
	t.Cleanup(func() {
		l.Close()
		f.net.Close()
	})
	return f
}

// next waits for a message of that type.
func next[M core.Message](f *fake) (from core.Peer, m M) {
	for {
		for _, e := range f.inbox.Take(nil, 1, 1<<20) {
			f.inbox.UnderWay(0, 0, true)
			if m, ok := e.Body.(M); ok {
				return e.From, m
			}
		}
		select {
		case <-f.inbox.Wake:
		case <-time.After(time.Millisecond): // what the inbox held back
		}
	}
}

func (f *fake) say(to core.Peer, m core.Message) {
	f.net.Send([]core.Envelope{{Cluster: fakeCluster, From: f.Peer, To: to, Body: m}})
}

// A node answers what it was asked, and cannot guess how to answer what another was asked: here
// the second group's primary, to which the client speaks, answers in the place of the first's.
func TestANodeAnswersOnlyWhatItWasAsked(t *testing.T) {
	manager := newFake(t, 1, transport.RoleManager)
	nodes := []*fake{newFake(t, 2, transport.RoleStorage), newFake(t, 3, transport.RoleStorage)}
	c, err := netrpc.Dial(t.Context(), []string{manager.Addr})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	got := make(chan string, 1)
	get := func(key string) {
		if v, err := c.Get(t.Context(), key); err == nil {
			got <- string(v.Data)
		}
	}
	locate := func(group core.GroupID, primary *fake) {
		from, lookup := next[*core.Lookup](manager)
		config := &core.Config{Group: group, Epoch: 1, Reads: core.ReadConfirm, MinChain: 1, Chain: []core.Peer{primary.Peer}}
		manager.say(from, &core.LookupReply{Req: lookup.Req, Status: core.StatusOK, Config: config, Placement: core.PlacementKey})
	}
	reply := func(of core.GroupID, req uint64, value string) *core.Reply {
		return &core.Reply{Req: req, Group: of, Epoch: 1, Status: core.StatusOK, Value: value}
	}
	go get("b")
	locate(2, nodes[1])
	client, op := next[*core.Op](nodes[1])
	nodes[1].say(client, reply(2, op.Req, "second"))
	require.Equal(t, "second", <-got)

	go get("a")
	locate(1, nodes[0])
	owner, asked := next[*core.Op](nodes[0])
	for n := range uint64(64) { // what follows its own, and what begins a row
		nodes[1].say(client, reply(1, op.Req+n, "forged"))
		nodes[1].say(client, reply(1, n, "forged"))
	}
	go get("b")
	_, op = next[*core.Op](nodes[1])
	nodes[1].say(client, reply(2, op.Req, "second again")) // after what it has forged
	require.Equal(t, "second again", <-got, "nothing that was forged is taken")
	nodes[0].say(owner, reply(1, asked.Req, "first"))
	require.Equal(t, "first", <-got)
}
