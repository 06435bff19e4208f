package netrpc

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/netrpc/internal/transport"
)

// BenchmarkNewKeys has 64 callers look new keys up, each another one as soon as it has its
// answer, from managers in memory, over TCP:
//
//	go test ./netrpc -run '^$' -bench NewKeys -benchtime 5s -count 5
func BenchmarkNewKeys(b *testing.B) {
	for _, managers := range []int{1, 3} {
		b.Run(fmt.Sprintf("managers=%d", managers), func(b *testing.B) {
			leader := startManagers(b, managers)
			a := &asker{manager: leader, left: b.N, done: make(chan struct{})}
			h := &host{node: a, self: core.Peer{ID: core.NodeID(random())}, log: &eventLog{Logger: logger(nil)}}
			a.self = h.self
			b.ResetTimer()
			h.start(nil, transport.Options{Logger: logger(nil)})
			h.tell(h.self, &core.Stop{})
			<-a.done
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
			h.stop()
		})
	}
}

// startManagers runs managers, one alone or several, and a storage node, and returns the one
// that leads.
func startManagers(b *testing.B, count int) core.Peer {
	var list []net.Listener
	var addresses []string
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		list, addresses = append(list, l), append(addresses, l.Addr().String())
	}
	node := core.StorageOptions{Manager: core.Peer{Addr: addresses[0]}}
	var o Options
	if count > 1 {
		node.Manager = core.Peer{}
		for _, address := range addresses {
			node.Managers = append(node.Managers, core.Peer{Addr: address})
		}
		o.NewManager = func(opt core.ManagerOptions, space core.Space) (ManagerNode, error) {
			return quorum.NewManager(opt, addresses, quorum.Options{}, space)
		}
	}
	for _, l := range list {
		s, err := ServeManager(l, core.ManagerOptions{}, o)
		require.NoError(b, err)
		b.Cleanup(s.Close)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s, err := ServeStorage(l, node, Options{})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := Dial(ctx, addresses)
	require.NoError(b, err)
	defer c.Close()
	status := &Status{}
	for len(status.Nodes) == 0 || status.Nodes[0].State != core.NodeUp {
		status, err = c.Status(ctx)
		require.NoError(b, err)
	}
	return status.Manager
}

// asker is a node that looks keys up, and does nothing else.
type asker struct {
	self, manager core.Peer
	asked, left   int
	done          chan struct{}
}

// Step begins with 64 lookups, and goes on with one for each that is answered.
func (a *asker) Step(_ core.Time, in core.Envelope, out *core.Output) {
	switch r := in.Body.(type) {
	case *core.Stop:
		for range 64 {
			a.ask(out)
		}
	case *core.LookupReply:
		if r.Status != core.StatusOK {
			panic(fmt.Sprintf("a lookup is answered by status %d", r.Status))
		}
		if a.left--; a.left == 0 {
			close(a.done)
		}
		a.ask(out)
	}
}

func (a *asker) ask(out *core.Output) {
	a.asked++
	out.Send = append(out.Send, core.Envelope{From: a.self, To: a.manager, Body: &core.Lookup{Req: uint64(a.asked), Key: fmt.Sprintf("key%012d", a.asked), Create: true}})
}

// Tick does nothing, and Deadline asks for none.
func (a *asker) Tick(core.Time, *core.Output) {}
func (a *asker) Deadline() core.Time          { return core.Never }
