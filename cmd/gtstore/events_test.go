package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/admin"
	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

// A person sees a death and what came of it, as it happens and afterwards.
func TestEventsOfADeath(t *testing.T) {
	u := startUp(t, nil, "--nodes", "4")
	require.Len(t, u.status.Admin, 5, "each process has an admin listener")
	u.ok(t, "put", "key", "value")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Execute(ctx, newRoot(), []string{"events", "--follow", "--admin", u.status.Admin["manager"] + "," + u.status.Admin["node1"]}, strings.NewReader(""), &out, &errs)
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "formed a group") }, patience, time.Millisecond, "%s", &errs)
	require.NoError(t, syscall.Kill(int(u.status.Nodes[0].PID), syscall.SIGKILL))
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "the joining node is a member") }, patience, time.Millisecond, "%s", &out)
	require.Regexp(t, `manager   group 1, epoch 2  node1  a node was removed from its chain: ended\n`, out.String())
	require.Eventually(t, func() bool { return strings.Contains(errs.String(), "no events from "+u.status.Admin["node1"]) }, patience, time.Millisecond)
	cancel()
	require.Zero(t, <-code, "to be interrupted is no failure")

	n, stdout, stderr := run(t, "", "events", "-o", "json", "--admin", u.status.Admin["manager"]+","+u.status.Admin["node2"])
	require.Zero(t, n, stderr)
	var last time.Time
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(stdout), "\n") {
		var e admin.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.False(t, e.Time.Before(last), "in the order of time")
		last = e.Time
		seen[e.Node+" "+e.Kind] = true
	}
	require.True(t, seen["manager evicted"] && seen["node2 adopted"] && seen["node2 serving"], "%v", seen)

	n, stdout, stderr = run(t, "", "events", "--admin", u.status.Admin["manager"]+","+u.status.Admin["node1"])
	require.Equal(t, cli.ExitUnavailable, n, "who does not answer is missed")
	require.Contains(t, stderr, u.status.Admin["node1"])
	require.Contains(t, stdout, "a node was removed from its chain", "what the others say is shown all the same")
}

// Whatever is at the address, the command ends, and says that it is no admin listener.
func TestEventsOfSomethingElse(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not found":    http.NotFound,
		"a page":       func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"without end":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("{}\n", 2*eventLinesMax)) },
		"one long one": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("{", 2*eventBytesMax)) },
		"nothing":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(answer)
			defer s.Close()
			code, _, stderr := run(t, "", "events", "--timeout", "500ms", "--admin", s.Listener.Addr().String())
			require.Equal(t, cli.ExitUnavailable, code)
			require.Contains(t, stderr, s.Listener.Addr().String())
		})
	}
	code, _, stderr := run(t, "", "events")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "--admin is missing")
}

// After a break a node tells again what it knows. What was printed is not printed twice, and what a
// node tells that was started anew is, even if its clock was set back.
func TestFollowedEventsAreToldOnce(t *testing.T) {
	now := time.Now()
	answers := make(chan []admin.Event, 4)
	answers <- nil
	answers <- []admin.Event{{Time: now, Node: "first run", Text: "one", Number: 1}, {Time: now.Add(-time.Hour), Node: "first run", Text: "two", Number: 2}}
	answers <- []admin.Event{{Time: now, Node: "first run", Text: "one", Number: 1}, {Time: now.Add(-time.Hour), Node: "first run", Text: "two", Number: 2}, {Time: now.Add(-time.Hour), Node: "first run", Text: "three", Number: 3}}
	answers <- []admin.Event{{Time: now.Add(-2 * time.Hour), Node: "second run", Text: "four", Number: 1}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := <-answers
		if list == nil {
			http.Error(w, "many follow already", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set(admin.RunHeader, list[0].Node)
		for i := range list {
			_ = json.NewEncoder(w).Encode(&list[i])
		}
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Execute(ctx, newRoot(), []string{"events", "--follow", "--admin", s.Listener.Addr().String()}, strings.NewReader(""), &out, &errs)
	}()
	require.Eventually(t, func() bool { return strings.Count(errs.String(), "no events from") == 4 }, patience, time.Millisecond, "%s", &errs)
	close(answers)
	cancel()
	require.Zero(t, <-code)
	require.Contains(t, errs.String(), ": many follow already; asking again")
	var told []string
	for line := range strings.Lines(out.String()) {
		told = append(told, strings.Fields(line)[len(strings.Fields(line))-1])
	}
	require.Equal(t, []string{"one", "two", "three", "four"}, told)
	require.Equal(t, 3, strings.Count(errs.String(), "answers again"), "%s", &errs)
}

// Who watches a cluster sees that its manager is gone, and that it is back.
func TestWatchGoesOnWhenTheManagerComesBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	opt := core.ManagerOptions{Cluster: 0xa1a1, Self: core.Peer{ID: 7}}
	m, err := netrpc.ServeManager(l, opt, netrpc.Options{})
	require.NoError(t, err)
	defer func() { m.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Execute(ctx, newRoot(), []string{"status", "--watch", "--timeout", "300ms", "--manager", l.Addr().String()}, strings.NewReader(""), &out, &errs)
	}()
	looks := func() int { return strings.Count(out.String(), "cluster "+core.ClusterID(0xa1a1).String()) }
	require.Eventually(t, func() bool { return looks() > 0 }, patience, time.Millisecond)
	m.Close()
	require.Eventually(t, func() bool { return strings.Contains(errs.String(), "looking again") }, patience, time.Millisecond)
	before := looks()
	l, err = net.Listen("tcp", m.Self().Addr)
	require.NoError(t, err)
	m, err = netrpc.ServeManager(l, opt, netrpc.Options{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return looks() > before }, patience, time.Millisecond, "%s", &errs)
	cancel()
	require.Zero(t, <-code)
}
