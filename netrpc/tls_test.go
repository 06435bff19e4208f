package netrpc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// A cluster with TLS does all that one without does, and a client only what clients do.
func TestAClusterWithTLS(t *testing.T) {
	ctx := patient(t)
	c := startSealed(t, 4, core.ManagerOptions{Replicas: 2})
	client, operator := c.dialAs("client/app"), c.dial()
	for range 50 {
		_, err := client.Put(ctx, "a", []byte("one"))
		require.NoError(t, err)
	}
	got, err := client.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "one", string(got.Data))
	large := make([]byte, core.ValueBytesMax)
	_, err = client.Put(ctx, "large", large)
	require.NoError(t, err)
	got, err = client.Get(ctx, "large")
	require.NoError(t, err)
	require.Equal(t, large, got.Data)

	s, err := client.Status(ctx)
	require.NoError(t, err)
	primary := c.server(got.Node)
	require.ErrorIs(t, client.Drain(ctx, got.Node), netrpc.ErrNotAllowed)
	require.ErrorIs(t, client.Forget(ctx, got.Node), netrpc.ErrNotAllowed)
	_, err = client.Managers(ctx)
	require.ErrorIs(t, err, netrpc.ErrNotAllowed)
	for _, n := range s.Nodes {
		require.NotContains(t, n.Addr, "@", "a person and a dialler want the address alone")
	}

	require.Eventually(t, func() bool { return operator.Drain(ctx, got.Node) == nil }, patience, 10*time.Millisecond, "once the spare has shown that it works")
	primary.Close()
	_, err = client.Put(ctx, "a", []byte("two"))
	require.NoError(t, err)
	require.Zero(t, c.manager.Security().Messages+c.manager.Security().Handshakes)
	for _, n := range c.nodes {
		require.Zero(t, n.Security().Messages+n.Security().Handshakes)
	}
}
