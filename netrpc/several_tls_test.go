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
	"gtstore/netrpc/internal/identity/identitytest"
)

// Several managers speak with each other over TLS, found a cluster, and go on without the one
// that led. A client is not told who they are, an operator is.
func TestSeveralManagersWithTLS(t *testing.T) {
	ca := identitytest.New(t)
	files := func(name string) TLS { return TLS(ca.Issue("gtstore://test/" + name)) }
	listeners, addresses := make([]net.Listener, 3), make([]string, 3)
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners[i], addresses[i] = l, l.Addr().String()
	}
	managers := make(map[core.NodeID]*Server)
	for i, l := range listeners {
		s, err := ServeManager(l, core.ManagerOptions{Replicas: 1}, Options{
			TLS: files(fmt.Sprintf("manager/m%d", i)),
			NewManager: func(opt core.ManagerOptions, space core.Space) (ManagerNode, error) {
				return quorum.NewManager(opt, addresses, quorum.Options{}, space)
			},
		})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		managers[s.Self().ID] = s
	}
	var peers []core.Peer
	for _, a := range addresses {
		peers = append(peers, core.Peer{Addr: a})
	}
	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s, err := ServeStorage(l, core.StorageOptions{Managers: peers}, Options{TLS: files(fmt.Sprintf("node/n%d", i))})
		require.NoError(t, err)
		t.Cleanup(s.Close)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	dial := func(name string) *Client {
		c, err := (&Dialer{TLS: files(name)}).Dial(ctx, addresses)
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	client, operator := dial("client/app"), dial("operator/op")
	require.Eventually(t, func() bool { _, err := client.Put(ctx, "a", nil); return err == nil }, 3*patience, 10*time.Millisecond)
	s, err := client.Status(ctx)
	require.NoError(t, err)
	require.Empty(t, s.Managers)
	m, err := operator.Managers(ctx)
	require.NoError(t, err)
	require.Len(t, m.Managers, 3)
	for _, one := range m.Managers {
		if one.Leads {
			managers[one.ID].Close()
		}
	}
	require.Eventually(t, func() bool {
		after, err := operator.Managers(ctx)
		return err == nil && after.Term > m.Term
	}, 3*patience, 10*time.Millisecond, "another leads")
	_, err = client.Put(ctx, "a", nil)
	require.NoError(t, err)
	for _, s := range managers {
		require.Zero(t, s.Security().Messages)
	}
}
