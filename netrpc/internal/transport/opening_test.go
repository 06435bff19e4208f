package transport

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/identity/identitytest"
)

// cut is a connection on which only so much is said.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	_, err := c.Conn.Write(b[:n])
	return len(b), err
}

// TLS would keep all of a certificate that does not end, though nobody knows yet whose it is.
func TestWhoSaysTooMuchInTheHandshakeIsRefused(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t)}
	e := g.node(listen(t, "127.0.0.1:0"), func(o *Options) { o.DialTimeout = 10 * patience })
	f := g.ca.Issue("gtstore://test/client/n5")
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	pair.Certificate = append(pair.Certificate, make([]byte, 200_000))
	raw := dialRaw(t, e.addr, false)
	c := tls.Client(&cut{raw, 100_000}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"gtstore"}, Certificates: []tls.Certificate{pair}})
	require.NoError(t, c.Handshake(), "its own part is done")
	closed(t, raw)
	require.EqualValues(t, 1, e.Refusals().Handshakes.Load())
}

// Connections that say nothing are few, and make room for those that do.
func TestConnectionsThatAreBeingMadeAreFew(t *testing.T) {
	eachGate(t, func(g gate) {
		e := g.node(listen(g.T, "127.0.0.1:0"), func(o *Options) { o.DialTimeout = 10 * patience })
		for range openingMax + openingMax/4 {
			dialRaw(g.T, e.addr, false)
		}
		e.server.mu.Lock()
		require.LessOrEqual(g, len(e.server.opening), openingMax)
		e.server.mu.Unlock()
		e.delivered(g.dial(e.addr), g.asks())
		e.server.mu.Lock()
		defer e.server.mu.Unlock()
		require.LessOrEqual(g, len(e.server.opening), openingMax)
		require.Len(g, e.server.conns, len(e.server.opening)+1)
	})
}

// Handshakes go on when it is their turn, those of peers who have answered first, and then who
// came last.
func TestHandshakesTakeTurns(t *testing.T) {
	s := &turnstile{free: 1}
	never, over := make(chan struct{}), make(chan struct{})
	require.True(t, s.take(0, never, patience))
	got := make(chan int, 3)
	for i, answered := range []int{0, 0, 1} {
		go func() {
			if s.take(answered, never, patience) {
				got <- i
			}
		}()
		require.Eventually(t, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.waiting[0])+len(s.waiting[1]) == i+1
		}, patience, time.Millisecond)
	}
	close(over)
	require.False(t, s.take(0, over, patience), "a connection that has ended waits no more")
	require.False(t, s.take(0, never, time.Nanosecond), "nor for ever")
	for _, want := range []int{2, 1, 0} {
		s.give()
		require.Equal(t, want, <-got)
	}
	s.give()
	require.Equal(t, 1, s.free)
	require.Empty(t, s.waiting[0])
	require.Empty(t, s.waiting[1])
}

// The handshake of somebody who connects waits for a turn, and gives it back whatever becomes of it.
func TestAHandshakeWaitsForATurn(t *testing.T) {
	g := gate{T: t, ca: identitytest.New(t), role: core.RoleClient}
	e := g.node(listen(t, "127.0.0.1:0"))
	turns := &e.server.turns
	for turns.free > 0 {
		require.True(t, turns.take(0, nil, patience))
	}
	done := make(chan error, 1)
	go func() {
		_, err := Ask(t.Context(), g.source("client/n5"), g.at(e).Addr)
		done <- err
	}()
	e.eventually(func() bool {
		turns.mu.Lock()
		defer turns.mu.Unlock()
		return len(turns.waiting[0]) == 1
	}, "it waits")
	require.Empty(t, done)
	turns.give()
	require.NoError(t, <-done)
	_, err := dialRaw(t, e.addr, false).Write([]byte("\x17\x03\x03\x00\x01\x00")) // a record that begins no handshake
	require.NoError(t, err)
	e.eventually(func() bool { return e.Refusals().Handshakes.Load() == 1 }, "refused")
	e.eventually(func() bool {
		turns.mu.Lock()
		defer turns.mu.Unlock()
		return turns.free == 1
	}, "the turn was given back each time")
}
