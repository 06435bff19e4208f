package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A node that hears nothing from its manager waits, and says for what.
func TestANodeThatHearsNothingSaysWhy(t *testing.T) {
	says := func(p *process, want ...string) {
		t.Helper()
		(&cluster{t: t}).eventually(func() bool {
			for _, text := range want {
				if !strings.Contains(p.stderr.String(), text) {
					return false
				}
			}
			return true
		}, "it says %q: %s", want, &p.stderr)
	}
	storage := func(t *testing.T, manager string, flags ...string) *process {
		t.Helper()
		return startProcess(t, "node", append([]string{"storage", "--listen", "127.0.0.1:0", "--manager", manager}, flags...)...)
	}
	free := func(t *testing.T) string { // an address at which nobody listens
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		return l.Addr().String()
	}
	const warns = "level=WARN msg=\"hears nothing from the manager\""
	t.Run("nobody is there", func(t *testing.T) {
		t.Parallel()
		says(storage(t, free(t)), warns, "connection refused")
	})
	t.Run("a web server is there", func(t *testing.T) {
		t.Parallel()
		web := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(web.Close)
		says(storage(t, web.Listener.Addr().String()), warns, "nobody there answers as a GTStore node")
	})
	t.Run("a storage node is there", func(t *testing.T) {
		t.Parallel()
		other := storage(t, free(t))
		says(storage(t, other.addr), warns, "there is a storage node, not a manager")
	})
	t.Run("the node itself is there", func(t *testing.T) {
		t.Parallel()
		addr := free(t)
		says(startProcess(t, "node", "storage", "--listen", addr, "--manager", addr), warns, "this node's own address")
	})
	t.Run("its own address is wrong", func(t *testing.T) {
		t.Parallel()
		m := startProcess(t, "manager", "manager", "--listen", "127.0.0.1:0")
		says(storage(t, m.addr, "--advertise", free(t)), warns, "its words do not reach this node")
	})
	t.Run("another manager is there", func(t *testing.T) {
		t.Parallel()
		m := startProcess(t, "manager", "manager", "--listen", "127.0.0.1:0")
		node := storage(t, m.addr)
		says(node, "registered with the manager")
		m.kill()
		<-m.exited
		says(node, warns, "connection refused")
		startProcess(t, "manager", "manager", "--listen", m.addr)
		says(node, "there is now another manager, of a new cluster")
	})
}
