package properties

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// chronicle notes what the manager of a run decides.
type chronicle struct {
	chains map[core.GroupID][]string // by epoch, from 1: the members' addresses, with a ' for a later node at one
	ids    map[core.NodeID]string    // of the first node at each host
	groups int                       // at the end
	keys   int
}

func (c *chronicle) Begin(*sim.World) {
	c.chains, c.ids = map[core.GroupID][]string{}, map[core.NodeID]string{}
}
func (c *chronicle) AfterChange(_ *sim.World, h *sim.Host, change sim.Change) {
	if change == sim.HostStarted && h.Incarnation() == 1 {
		c.ids[h.Peer().ID] = h.Name()
	}
}
func (c *chronicle) AfterResult(*sim.World, *history.Operation) {}
func (c *chronicle) Settled(*sim.World) bool                    { return true }
func (c *chronicle) AfterEvent(_ *sim.World, h *sim.Host) {
	m, ok := h.Node().(*core.Manager)
	if !ok {
		return
	}
	for _, e := range h.Events() {
		if e.Kind != core.EventReconfigured {
			continue
		}
		var chain []string
		for _, p := range m.Config(e.Group).Chain {
			name := p.Addr
			if c.ids[p.ID] != p.Addr {
				name += "'"
			}
			chain = append(chain, name)
		}
		c.chains[e.Group] = append(c.chains[e.Group], strings.Join(chain, " "))
	}
}
func (c *chronicle) End(w *sim.World) {
	if m := w.Hosts()[0]; m.Up() {
		c.groups, c.keys = m.Node().(*core.Manager).Groups(), m.Node().(*core.Manager).Keys()
	}
}

// story is a trace that was run: with every check, and once more for what the
// manager decided.
type story struct {
	t *testing.T
	*sim.Outcome
	chronicle
}

// tell runs a trace, which must hold and in which everything must fire.
func tell(t *testing.T, trace string) *story {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(traceDir, trace+".trace"))
	require.NoError(t, err)
	s, err := schedule.Parse(string(text))
	require.NoError(t, err)
	y := &story{t: t, Outcome: check.Run(s)}
	require.Equal(t, "holds", y.Verdict, "%v\nreplay: go run ./cmd/gtstore replay traces/%s.trace", y.Violation, trace)
	require.Empty(t, y.IdleActions)
	require.Empty(t, y.IdleDeviations)
	sim.Run(s, sim.RunOptions{Observer: &y.chronicle, SkipLinearizability: true})
	return y
}

// result is that of the operation of this text, such as "c1 get a", the n-th of
// them from 0.
func (y *story) result(op string, n int) *core.Result {
	y.t.Helper()
	for i := range y.Ops {
		o := &y.Ops[i]
		if o.Final || o.String() != op {
			continue
		}
		if n == 0 {
			require.NotNil(y.t, o.Result, op)
			return o.Result
		}
		n--
	}
	require.Fail(y.t, "no such operation", "%s", op)
	return nil
}

// ended holds a result's status, and its value if it is a get that found one.
func (y *story) ended(op string, n int, want core.Status, value ...string) {
	y.t.Helper()
	r := y.result(op, n)
	require.Equal(y.t, want.String(), r.Status.String(), "%s: %+v", op, r)
	if len(value) > 0 {
		require.Equal(y.t, value[0], r.Value, op)
	}
}

// chain holds what the manager made of group 1, epoch by epoch; later epochs do
// not matter, in which spares may have joined.
func (y *story) chain(chains ...string) {
	y.t.Helper()
	got := y.chains[1]
	require.GreaterOrEqual(y.t, len(got), len(chains), "%q", got)
	require.Equal(y.t, chains, got[:len(chains)])
}

// only is chain for what must be all.
func (y *story) only(chains ...string) {
	y.t.Helper()
	require.Equal(y.t, chains, y.chains[1])
}

func TestManagerStories(t *testing.T) {
	const ok, lost, unknown = core.StatusOK, core.StatusGroupLost, core.StatusUnknown
	for _, c := range []struct {
		trace string
		must  func(y *story)
	}{
		{"client-cut-off-from-the-primary", func(y *story) {
			y.only("n1 n2 n3")
			y.ended("c2 put a v3", 0, ok)
			y.ended("c2 get a", 0, ok, "v3")
			require.Positive(y.t, y.Seen[core.EventCleared], "its reports are looked into")
			require.Equal(y.t, y.Seen[core.EventProbing], y.Seen[core.EventCleared])
		}},
		{"half-broken-primary", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
		}},
		{"partial-partition-with-a-third-member", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
		}},
		{"partial-partition-with-a-spare", func(y *story) {
			y.chain("n1 n2", "n2")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
		}},
		{"partial-partition-without-a-witness", func(y *story) {
			y.chain("n1 n2", "n1")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
		}},
		{"manager-pauses", func(y *story) {
			y.only("n1 n2 n3")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
			y.ended("c1 get a", 1, ok, "v2")
			require.Zero(y.t, y.Seen[core.EventProbing])
			require.Zero(y.t, y.Seen[core.EventLost])
		}},
		{"new-keys-wait-for-the-manager", func(y *story) {
			y.chain("n1 n2 n3", "n1 n2")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
			y.ended("c2 put b v3", 0, core.StatusUnavailable)
			y.ended("c1 put a v4", 0, unknown)
			y.ended("c1 put a v5", 0, ok)
		}},
		{"suspicion-of-all-then-a-crash", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 get a", 0, ok, "v2")
			y.ended("c1 put a v3", 0, ok)
		}},
		{"slow-disk-of-the-primary", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
		}},
		{"slow-disk-of-a-replica", func(y *story) {
			y.chain("n1 n2 n3", "n1 n2")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
		}},
		{"wiped-replica-returns", func(y *story) {
			y.chain("n1 n2 n3", "n1 n2")
			y.ended("c1 get a", 0, ok, "v2")
		}},
		{"last-member-pauses", func(y *story) {
			y.only("n1")
			y.ended("c1 put a v2", 0, ok)
			y.ended("c1 get a", 0, ok, "v2")
			require.Zero(y.t, y.Seen[core.EventLost])
			require.Empty(y.t, y.Halted)
		}},
		{"lost-declared-for-a-paused-node", func(y *story) {
			y.chain("n1", "n1")
			y.ended("c1 get a", 0, lost)
			y.ended("c1 get a", 1, ok, "v1")
			require.Equal(y.t, 1, y.Seen[core.EventWithdrawn])
			require.Empty(y.t, y.Halted)
		}},
		{"loss-by-farewell", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3", "n3")
			y.ended("c1 get a", 0, lost)
			y.ended("c1 get a", 1, core.StatusUnavailable) // the manager is no more
			last := y.Halted[len(y.Halted)-1]
			require.Equal(y.t, schedule.ManagerHost, last.Host)
			require.Contains(y.t, last.Why, core.ErrGroupLost.Error())
			require.Contains(y.t, last.Why, "certainly")
		}},
		{"loss-by-crash-in-the-middle-of-a-write", func(y *story) {
			y.ended("c1 put a v3", 0, unknown)
			require.Equal(y.t, lost, y.result("c1 put a v3", 0).Cause)
			y.ended("c2 get a", 0, lost)
			y.ended("c2 put b v4", 0, ok)
			y.ended("c2 get b", 0, ok, "v4")
			for _, put := range []string{"c2 put c v5", "c2 put d v6"} {
				y.ended(put, 0, ok)
				require.EqualValues(y.t, 2, y.result(put, 0).Group, "new keys go to the group that is left")
			}
			require.Empty(y.t, y.Halted)
		}},
		{"durable-group-stops", func(y *story) {
			y.ended("c1 get a", 0, core.StatusUnavailable)
			y.ended("c1 get a", 1, ok, "v1")
			require.Zero(y.t, y.Seen[core.EventLost])
			require.Empty(y.t, y.Halted)
		}},
		{"durable-group-wiped", func(y *story) {
			y.ended("c1 get a", 0, core.StatusUnavailable)
			y.ended("c1 get a", 1, lost)
			y.ended("c1 put b v2", 0, ok)
			require.EqualValues(y.t, 2, y.result("c1 put b v2", 0).Group)
		}},
		{"two-clients-map-the-same-new-key", func(y *story) {
			y.ended("c1 put a v1", 0, ok)
			y.ended("c2 put a v2", 0, ok)
			require.Equal(y.t, y.result("c1 get a", 0).Version, y.result("c2 get a", 0).Version)
			require.Equal(y.t, []int{1, 1}, []int{y.groups, y.keys})
			require.Equal(y.t, 1, y.Seen[core.EventMapped])
		}},
		{"late-not-found", func(y *story) {
			y.ended("c1 get a", 0, core.StatusNotFound)
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"unknown-outcome", func(y *story) {
			y.ended("c1 put a v2", 0, unknown)
			require.True(y.t, y.result("c1 put a v2", 0).Sent)
			y.ended("c3 get a", 0, ok, "v2")
			y.ended("c2 put b v3", 0, core.StatusUnavailable)
			require.False(y.t, y.result("c2 put b v3", 0).Sent)
			y.ended("c3 get b", 0, core.StatusNotFound)
		}},
		{"too-few-nodes", func(y *story) {
			r := y.result("c1 put a v1", 0)
			require.Equal(y.t, []uint32{2, 3}, []uint32{r.Have, r.Need})
			y.ended("c1 put a v1", 0, core.StatusUnavailable)
			y.ended("c1 get a", 0, core.StatusNotFound)
			require.Zero(y.t, y.groups)
		}},
		{"keys-go-round-the-groups", func(y *story) {
			spread := map[core.GroupID]int{}
			for i := range y.Ops {
				if o := &y.Ops[i]; !o.Final {
					spread[o.Result.Group]++
				}
			}
			require.Equal(y.t, map[core.GroupID]int{1: 10, 2: 10}, spread)
			y.only("n1 n2 n3")
			require.Equal(y.t, []string{"n4 n5 n6"}, y.chains[2])
		}},
	} {
		t.Run(c.trace, func(t *testing.T) { c.must(tell(t, c.trace)) })
	}
}
