package netrpc

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// Clients that live for one operation, as those of a command line do, leave no session
// behind in the group.
func TestAClosedClientsSessionsEnd(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	manager, err := ServeManager(listen(), core.ManagerOptions{Replicas: 0}, Options{})
	require.NoError(t, err)
	defer manager.Close()
	node, err := ServeStorage(listen(), core.StorageOptions{Manager: core.Peer{Addr: manager.Self().Addr}, SessionsMax: 100}, Options{})
	require.NoError(t, err)
	defer node.Close()

	const clients = 20
	for range clients {
		c, err := Dial(t.Context(), []string{manager.Self().Addr})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := c.Put(t.Context(), "k", []byte("v"))
			return err == nil
		}, 10*time.Second, time.Millisecond)
		c.Close()
	}
	last, err := Dial(t.Context(), []string{manager.Self().Addr})
	require.NoError(t, err)
	_, err = last.Put(t.Context(), "k", []byte("last")) // and so all that was closed is applied
	require.NoError(t, err)
	node.Close()
	last.Close()
	v := node.host.node.(*core.Storage).Group(0, 0)
	require.EqualValues(t, 3*clients+2, v.Last, "opened, written, closed; and at last opened and written")
	require.Equal(t, 1, v.Sessions)
}
