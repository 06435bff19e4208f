package netrpc

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/transport"
)

// liar is a manager that answers whatever a test wants.
type liar struct {
	self   core.Peer
	answer func(core.Message) core.Message
}

func (n *liar) Step(_ core.Time, in core.Envelope, out *core.Output) {
	if m := n.answer(in.Body); m != nil {
		out.Send = append(out.Send, core.Envelope{Cluster: 1, From: n.self, To: in.From, Body: m})
	}
}

func (*liar) Tick(core.Time, *core.Output) {}

func (*liar) Deadline() core.Time { return core.Never }

// dialLiar returns a client of such a manager.
func dialLiar(t *testing.T, answer func(core.Message) core.Message) (context.Context, *Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	self := core.Peer{ID: 7, Addr: l.Addr().String()}
	s := serve(l, &liar{self, answer}, self, transport.RoleManager, nil, nil, Options{})
	t.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c, err := Dial(ctx, []string{self.Addr})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return ctx, c
}

// What a manager answers that is broken, or of another version, is an error or shown,
// and ends.
func TestAManagerThatAnswersNonsense(t *testing.T) {
	t.Run("a status without an end", func(t *testing.T) {
		ctx, c := dialLiar(t, func(m core.Message) core.Message {
			q, ok := m.(*core.StatusQuery)
			if !ok {
				return nil
			}
			return &core.StatusReply{Req: q.Req, Placement: core.PlacementKey, GroupCount: 1 << 31, Groups: slices.Repeat([]core.GroupStatus{{State: core.GroupOK, Terms: core.Terms{Reads: core.ReadConfirm}}}, core.StatusPageMax)}
		})
		_, err := c.Status(ctx)
		require.ErrorContains(t, err, "goes on and on")
	})
	t.Run("a group without a chain", func(t *testing.T) {
		ctx, c := dialLiar(t, func(m core.Message) core.Message {
			q, ok := m.(*core.StatusQuery)
			if !ok {
				return nil
			}
			return &core.StatusReply{Req: q.Req, Placement: core.PlacementKey, GroupCount: 1, Groups: []core.GroupStatus{{Group: 1, State: core.GroupOK, Terms: core.Terms{Reads: core.ReadConfirm}}}}
		})
		s, err := c.Status(ctx)
		require.NoError(t, err)
		require.Empty(t, s.Groups[0].Chain)
	})
	t.Run("something else", func(t *testing.T) {
		ctx, c := dialLiar(t, func(m core.Message) core.Message {
			switch m := m.(type) {
			case *core.StatusQuery:
				return &core.Drained{Req: m.Req, Status: core.StatusOK}
			case *core.Drain:
				return &core.Forgotten{Req: m.Req, Status: core.StatusOK}
			case *core.Forget:
				return &core.StatusReply{Req: m.Req, Placement: core.PlacementKey}
			case *core.Lookup:
				return &core.LookupReply{Req: m.Req, Status: core.StatusConflict, Placement: core.PlacementKey}
			}
			return nil
		})
		_, err := c.Status(ctx)
		require.ErrorContains(t, err, "answered something else")
		require.ErrorContains(t, c.Drain(ctx, 1), "answered something else")
		require.ErrorContains(t, c.Forget(ctx, 1), "answered something else")
	})
}

// Who waits for a drain is told when there is nobody left who could do it.
func TestADrainWhoseManagerEndsDoesNotClaimToGoOn(t *testing.T) {
	asked := make(chan struct{}, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	self := core.Peer{ID: 7, Addr: l.Addr().String()}
	s := serve(l, &liar{self, func(m core.Message) core.Message {
		if _, ok := m.(*core.Drain); ok {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
		return nil
	}}, self, transport.RoleManager, nil, nil, Options{})
	defer s.Close()
	c, err := Dial(t.Context(), []string{self.Addr})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- c.Drain(ctx, 1) }()
	<-asked
	s.Close()
	require.Eventually(t, c.refused.Load, patience, 5*time.Millisecond)
	cancel()
	err = <-ended
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorContains(t, err, "its address refuses connections, so its process has ended; in memory mode the cluster, and the drain with it, ended")
	require.NotContains(t, err.Error(), "goes on")
	_, err = c.Get(ctxOf(t, 300*time.Millisecond), "k")
	require.ErrorContains(t, err, "its address refuses connections", "as every operation that needs it")
}

func ctxOf(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
