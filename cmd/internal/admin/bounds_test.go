package admin

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// alone is an Admin whose node has not started yet.
func alone(t *testing.T) *watched {
	t.Helper()
	a, err := Listen(":0", Options{Role: "storage", Name: "node1", Lost: func() uint64 { return 0 }, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	go a.Serve()
	return &watched{Admin: a}
}

// ask opens a connection and asks for a path on it.
func (w *watched) ask(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", w.Address())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: node\r\n\r\n", path)
	require.NoError(t, err)
	return c
}

// answer is the status of an answer, 0 if the connection was closed instead.
func answer(c net.Conn) int {
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	return r.StatusCode
}

// Who opens a thousand connections takes up no more than callersMax of the files of the process,
// and the others are answered again as soon as these are gone.
func TestConnectionsAreBounded(t *testing.T) {
	w := alone(t)
	var open []net.Conn
	for range callersMax {
		c := w.ask(t, "/healthz")
		require.Equal(t, http.StatusOK, answer(c))
		open = append(open, c) // and it stays
	}
	for range 100 {
		require.Zero(t, answer(w.ask(t, "/healthz")), "hung up on")
	}
	for _, c := range open {
		c.Close()
	}
	require.Eventually(t, func() bool { code, _ := w.get("/healthz"); return code == http.StatusOK }, time.Minute, 10*time.Millisecond)
}

// Who follows the events keeps nobody else from asking.
func TestFollowersAreBounded(t *testing.T) {
	w := alone(t)
	var open []net.Conn
	for range followersMax {
		c := w.ask(t, "/events?follow=1")
		require.Equal(t, http.StatusOK, answer(c))
		open = append(open, c)
	}
	code, body := w.get("/events?follow=1")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "follow the events of this node already")
	for _, path := range []string{"/healthz", "/events", "/metrics"} {
		code, body = w.get(path)
		require.Equal(t, http.StatusOK, code, body)
	}
	open[0].Close()
	require.Eventually(t, func() bool {
		c := w.ask(t, "/events?follow=1")
		defer c.Close()
		return answer(c) == http.StatusOK
	}, time.Minute, 10*time.Millisecond, "a place is free again")
}

// No more than pagesMax pages are made at a time: the node's loop is asked by few, however many ask
// the listener.
func TestFewPagesAreMadeAtATime(t *testing.T) {
	a := alone(t).Admin
	var now, most atomic.Int64
	h := a.page(func(w http.ResponseWriter, _ *http.Request) {
		for n, m := now.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond) // for others to come
		now.Add(-1)
		fmt.Fprintln(w, "made")
	})
	s := &http.Server{Handler: h}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	go func() { _ = s.Serve(l) }()
	codes := make(chan int)
	for range 50 {
		go func() {
			r, err := http.Get("http://" + l.Addr().String())
			if err != nil {
				codes <- 0
				return
			}
			r.Body.Close()
			codes <- r.StatusCode
		}()
	}
	for range 50 {
		require.Equal(t, http.StatusOK, <-codes)
	}
	require.LessOrEqual(t, most.Load(), int64(pagesMax))
	require.Greater(t, most.Load(), int64(1))
}

// Whoever does not take an answer takes up no place among those that are made.
func TestSlowReadersHoldUpNobody(t *testing.T) {
	a := alone(t).Admin
	var asked atomic.Int64
	large := a.page(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write(slices.Repeat([]byte("x"), 16<<20)) // more than the sockets hold
	})
	mux := http.NewServeMux()
	mux.Handle("/large", large)
	mux.Handle("/small", a.page(a.healthz))
	s := &http.Server{Handler: mux}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	go func() { _ = s.Serve(l) }()
	for range 2 * pagesMax {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		_, err = io.WriteString(c, "GET /large HTTP/1.1\r\nHost: node\r\n\r\n")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return asked.Load() == 2*pagesMax }, time.Minute, time.Millisecond)
	r, err := http.Get("http://" + l.Addr().String() + "/small")
	require.NoError(t, err)
	r.Body.Close()
	require.Equal(t, http.StatusOK, r.StatusCode)
}

// While a node reads its data it is alive, so that nobody restarts it for that, but not ready.
func TestANodeThatStartsIsAliveAndNotReady(t *testing.T) {
	w := alone(t)
	code, body := w.get("/healthz")
	require.Equal(t, http.StatusOK, code, body)
	code, body = w.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "the node is starting: it reads its data first\n", body)
	code, body = w.get("/statusz")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "the node is starting")
	require.EqualValues(t, 0, w.sample("gtstore_ready"))
}

// A node that joins a group is not ready before it has caught up: whoever restarts one node after
// the other waits for that.
func TestANodeThatJoinsIsNotReady(t *testing.T) {
	st := &state{storage: &storageState{registered: true, groups: []groupState{{role: roleReplica}, {GroupView: core.GroupView{Group: 7}, role: roleJoining}}}}
	require.Equal(t, []string{"group 7: joins it, and has not caught up yet"}, st.unready())
	st.storage.groups[1].role = roleReplica
	require.Empty(t, st.unready())
}

// A manager that was removed is not ready, though it may hear one that leads, until it begins anew.
func TestARemovedManagerIsNotReady(t *testing.T) {
	m := startRig(t, 1, 1).manager
	code, body := m.get("/readyz")
	require.Equal(t, http.StatusOK, code, body)
	m.Observer().Events([]core.Event{{Kind: core.EventRemoved}}, func(core.NodeID) string { return "" })
	code, body = m.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "this manager was removed from its cluster: stop it\n", body)
	m.Attach(m.s)
	code, body = m.get("/readyz")
	require.Equal(t, http.StatusOK, code, body)
}
