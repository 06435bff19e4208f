package netrpc

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// Of several managers any may come to lead, also where only one of them was named: a node that hears
// that one hears its manager. Where there is one manager, nobody else is it.
func TestANodeHearsWhicheverOfSeveralManagersLeads(t *testing.T) {
	for _, several := range []bool{true, false} {
		w := newManagerWatch(core.Peer{ID: 9, Addr: "node:1"}, []string{"first:1"}, several, nil, slog.New(slog.DiscardHandler))
		hear := func(from core.Peer, m core.Message) bool {
			w.heardAt.Store(int64(-time.Hour))
			require.False(t, w.note(&core.Envelope{Cluster: 7, From: from, Body: m}))
			return w.quiet() < time.Hour
		}
		first, second := core.Peer{ID: 1, Addr: "first:1"}, core.Peer{ID: 2, Addr: "second:1"}
		require.True(t, hear(first, &core.Registered{}))
		require.True(t, hear(first, &core.Ping{}))
		require.Equal(t, several, hear(second, &core.Ping{}))
	}
}

// A manager that stands still, whose system connects in its place, keeps nobody from saying what is
// wrong with the others.
func TestWhatIsWrongIsSaidOfEachManager(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	w := newManagerWatch(core.Peer{ID: 9, Addr: "node:1"}, []string{silent.Addr().String(), gone.Addr().String()}, true, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	why := w.whySeveral(ctx)
	require.Contains(t, why, "0 of 2 managers are there")
	require.Contains(t, why, "nobody at "+gone.Addr().String()+" answers as a GTStore node: dial tcp "+gone.Addr().String()+": connect: connection refused")
}
