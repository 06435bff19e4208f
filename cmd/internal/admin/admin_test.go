package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// rig is a cluster in this process, each of whose nodes has an admin listener.
type rig struct {
	t       *testing.T
	manager *watched
	nodes   []*watched
	client  *netrpc.Client
}

type watched struct {
	*Admin
	s *netrpc.Server
}

func serveOne(t *testing.T, role, name string, start func(net.Listener, netrpc.Options) (*netrpc.Server, error)) *watched {
	t.Helper()
	a, err := Listen(":0", Options{Role: role, Name: name, Lost: func() uint64 { return 3 }, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.False(t, a.Beyond(), "an address without a host is on loopback")
	t.Cleanup(a.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := start(l, netrpc.Options{Observer: a.Observer()})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	a.Attach(s)
	go a.Serve()
	return &watched{a, s}
}

// startRig starts a manager and nodes, one of them after the other.
func startRig(t *testing.T, replicas, nodes int) *rig {
	r := &rig{t: t}
	r.manager = serveOne(t, "manager", "manager", func(l net.Listener, o netrpc.Options) (*netrpc.Server, error) {
		opt := core.DefaultManagerOptions()
		opt.Replicas = replicas
		return netrpc.ServeManager(l, opt, o)
	})
	for i := range nodes {
		r.add(fmt.Sprintf("node%d", i+1))
	}
	c, err := netrpc.Dial(t.Context(), []string{r.manager.s.Self().Addr})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	r.client = c
	return r
}

func (r *rig) add(name string) {
	r.t.Helper()
	n := serveOne(r.t, "storage", name, func(l net.Listener, o netrpc.Options) (*netrpc.Server, error) {
		return netrpc.ServeStorage(l, core.StorageOptions{Manager: r.manager.s.Self(), Name: name}, o)
	})
	r.nodes = append(r.nodes, n)
	r.eventually(func() bool { return r.manager.sample("gtstore_cluster_nodes", "state", "up") == float64(len(r.nodes)) }, name+" is registered")
}

func (r *rig) eventually(f func() bool, what string) {
	r.t.Helper()
	require.Eventually(r.t, f, time.Minute, 10*time.Millisecond, what)
}

// get asks an admin listener.
func (w *watched) get(path string) (int, string) {
	r, err := http.Get("http://" + w.Address() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// scrape reads the metrics as Prometheus does.
func (w *watched) scrape() (map[string]*dto.MetricFamily, error) {
	code, text := w.get("/metrics")
	if code != http.StatusOK {
		return nil, fmt.Errorf("%d: %s", code, text)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	return p.TextToMetricFamilies(strings.NewReader(text))
}

// sample is a metric's value with a label of that value, or -1 if there is none; of a
// histogram it is the count.
func (w *watched) sample(name string, label ...string) float64 {
	all, err := w.scrape()
	if err != nil || all[name] == nil {
		return -1
	}
	for _, m := range all[name].Metric {
		found := 0
		for _, l := range m.Label {
			for i := 0; i < len(label); i += 2 {
				if l.GetName() == label[i] && l.GetValue() == label[i+1] {
					found++
				}
			}
		}
		if 2*found == len(label) {
			switch {
			case m.Gauge != nil:
				return m.Gauge.GetValue()
			case m.Counter != nil:
				return m.Counter.GetValue()
			}
			return float64(m.Histogram.GetSampleCount())
		}
	}
	return -1
}

// Prometheus' own parser reads what each role says, and what it says is so.
func TestMetricsSayWhatIsSo(t *testing.T) {
	r := startRig(t, 1, 3)
	for i := range 5 {
		_, err := r.client.Put(t.Context(), "key", fmt.Appendf(nil, "value %d", i))
		require.NoError(t, err)
	}
	_, err := r.client.Get(t.Context(), "key")
	require.NoError(t, err)
	_, err = r.client.CompareAndSwap(t.Context(), "key", 1, []byte("x"))
	require.ErrorIs(t, err, netrpc.ErrConflict)

	p := r.nodes[0]
	require.EqualValues(t, 5, p.sample("gtstore_request_duration_seconds", "op", "put", "result", "ok"))
	require.EqualValues(t, 1, p.sample("gtstore_request_duration_seconds", "op", "get", "result", "ok"))
	require.EqualValues(t, 1, p.sample("gtstore_request_duration_seconds", "op", "cas", "result", "conflict"))
	require.EqualValues(t, 1, p.sample("gtstore_group_serving", "group", "1"))
	require.EqualValues(t, 1, p.sample("gtstore_group_role", "group", "1", "role", "primary"))
	require.EqualValues(t, 1, r.nodes[1].sample("gtstore_group_role", "group", "1", "role", "replica"))
	require.EqualValues(t, 1, p.sample("gtstore_group_keys", "group", "1"))
	require.EqualValues(t, len("key")+len("value 4"), p.sample("gtstore_group_value_bytes", "group", "1"))
	require.EqualValues(t, 1, p.sample("gtstore_ready"))
	require.EqualValues(t, 3, p.sample("gtstore_log_lines_lost_total"))
	require.EqualValues(t, 0, p.sample("gtstore_member_ack_lag_entries", "group", "1", "member", r.nodes[1].id()))
	require.Positive(t, p.sample("gtstore_group_log_entries", "group", "1"))
	require.Positive(t, p.sample("gtstore_budget_max_bytes", "budget", "connections"))
	require.Positive(t, p.sample("gtstore_connections"))
	require.Positive(t, p.sample("go_goroutines"), "and of Go's runtime")
	require.EqualValues(t, 1, p.sample("gtstore_failover_phase_duration_seconds", "phase", "reconcile"), "the first primary counts as well")

	m := r.manager
	require.EqualValues(t, 1, m.sample("gtstore_manager_leads"))
	require.EqualValues(t, 1, m.sample("gtstore_cluster_groups", "state", "ok"))
	require.EqualValues(t, 1, m.sample("gtstore_cluster_spares"))
	require.GreaterOrEqual(t, m.sample("gtstore_node_heartbeat_age_seconds", "name", "node1"), 0.0)
	require.EqualValues(t, 0, m.sample("gtstore_evictions_total", "cause", "ended"))
	require.EqualValues(t, -1, m.sample("gtstore_registered"), "a manager has no metrics of a storage node")

	r.nodes[0].s.Close() // it dies, but for its admin listener
	r.eventually(func() bool { return m.sample("gtstore_evictions_total", "cause", "ended") == 1 }, "its address refuses: it goes")
	require.EqualValues(t, 1, m.sample("gtstore_failover_phase_duration_seconds", "phase", "inquiry"))
	r.eventually(func() bool { return m.sample("gtstore_joins_total", "result", "joined") == 1 }, "the spare joins")
	r.eventually(func() bool { return r.nodes[1].sample("gtstore_group_serving", "group", "1") == 1 }, "the replica is the primary")
	require.EqualValues(t, 0, p.sample("gtstore_ready"), "one that has ended is not ready")
}

// Every metric of this package has its prefix, is described, and has bounded labels.
func TestMetricsAreNamedAsTheyShould(t *testing.T) {
	r := startRig(t, 1, 2)
	_, err := r.client.Put(t.Context(), "key", []byte("value"))
	require.NoError(t, err)
	labels := map[string]bool{"role": true, "name": true, "id": true, "cluster": true, "kind": true, "why": true, "where": true, "budget": true, "group": true, "member": true, "state": true, "node": true, "cause": true, "result": true, "phase": true, "op": true}
	for _, w := range append(r.nodes, r.manager) {
		all, err := w.scrape()
		require.NoError(t, err)
		for name, f := range all {
			own := strings.HasPrefix(name, "gtstore_")
			require.True(t, own || strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "promhttp_"), name)
			require.NotEmpty(t, f.GetHelp(), name)
			require.Equal(t, f.GetType() == dto.MetricType_COUNTER, own && strings.HasSuffix(name, "_total") || !own && f.GetType() == dto.MetricType_COUNTER, name)
			for _, m := range f.Metric {
				for _, l := range m.Label {
					require.True(t, !own || labels[l.GetName()], "%s has the label %s", name, l.GetName())
				}
			}
		}
	}
}

// A node says whether it is alive, whether it is ready, and why it is not.
func TestHealthAndReadiness(t *testing.T) {
	r := startRig(t, 1, 2)
	for _, w := range append(r.nodes, r.manager) {
		for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
			code, body := w.get(path)
			require.Equal(t, http.StatusOK, code, body)
			require.Equal(t, want, body)
		}
	}
	lost := serveOne(t, "storage", "lost", func(l net.Listener, o netrpc.Options) (*netrpc.Server, error) {
		return netrpc.ServeStorage(l, core.StorageOptions{Manager: core.Peer{Addr: "127.0.0.1:1"}, Name: "lost"}, o)
	})
	code, body := lost.get("/healthz")
	require.Equal(t, http.StatusOK, code, body)
	code, body = lost.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "no manager has taken the node in yet\n", body)

	r.manager.s.Close()
	r.eventually(func() bool {
		code, body = r.nodes[0].get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "nothing was heard from the manager for ")
	}, "the manager is missed")
	code, body = r.manager.get("/healthz")
	require.Equal(t, http.StatusServiceUnavailable, code, body)
}

// pprof is there only where it was asked for, and nothing else answers.
func TestPprofIsAnOption(t *testing.T) {
	r := startRig(t, 1, 1)
	code, _ := r.manager.get("/debug/pprof/")
	require.Equal(t, http.StatusNotFound, code)
	a, err := Listen("127.0.0.1:0", Options{Role: "manager", Pprof: true, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	go a.Serve()
	code, body := (&watched{Admin: a}).get("/debug/pprof/")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "goroutine")
	resp, err := http.Post("http://"+r.manager.Address()+"/metrics", "", nil)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, "nothing can be changed here")
}

// The events of a failover tell its story, in order, and go on as they happen.
func TestEventsTellTheStory(t *testing.T) {
	r := startRig(t, 1, 3)
	_, err := r.client.Put(t.Context(), "key", []byte("value"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.manager.Address()+"/events?follow=1", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	wanted := []string{"registered", "registered", "registered", "formed", "probing", "evicted", "joining", "joined"}
	for killed := false; len(wanted) > 0 && lines.Scan(); {
		var e Event
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		require.Equal(t, "manager", e.Node)
		if e.Kind == wanted[0] {
			wanted = wanted[1:]
		}
		if e.Kind == "formed" && !killed {
			killed = true
			r.nodes[0].s.Close()
		}
		if e.Kind == "evicted" {
			require.Equal(t, "node1", e.Name)
			require.Equal(t, "ended", e.Cause)
			require.EqualValues(t, 2, e.Epoch)
		}
	}
	require.Empty(t, wanted)
}

// What comes again and again takes one place, and no more is kept than can be.
func TestTheRingIsBounded(t *testing.T) {
	r := newRing()
	for range 3 {
		r.add(Event{Kind: "dropped", Other: "1"})
		r.add(Event{Kind: "refused", Other: "1"})
	}
	list, _ := r.after(0)
	require.Len(t, list, 2)
	require.Equal(t, 3, list[0].Times)
	for i := range 2 * ringMax {
		r.add(Event{Kind: "adopted", Epoch: uint64(i)})
	}
	list, _ = r.after(0)
	require.Len(t, list, ringMax)
	require.EqualValues(t, 2*ringMax-1, list[len(list)-1].Epoch)
	next, _ := r.after(list[len(list)-2].Number)
	require.Len(t, next, 1)
}

// The page names the groups, who is in them, and what happened; names from elsewhere are text.
func TestStatusz(t *testing.T) {
	r := startRig(t, 1, 2)
	r.add("<script>alert(1)</script>")
	_, err := r.client.Put(t.Context(), "key", []byte("value"))
	require.NoError(t, err)
	code, body := r.manager.get("/statusz")
	require.Equal(t, http.StatusOK, code)
	for _, want := range []string{"node1 &gt; node2", "primary of group 1", "replica of group 1", "spare", "a node registered", "&lt;script&gt;alert(1)"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "<script>alert")
	code, body = r.nodes[0].get("/statusz")
	require.Equal(t, http.StatusOK, code)
	for _, want := range []string{"primary", "Followers", "serving as primary"} {
		require.Contains(t, body, want)
	}
	require.False(t, bytes.Contains([]byte(statuszText), []byte("http")), "no outside resource")
}
