package properties

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// story is a run with every check on: its outcome, what was sent, and what the manager
// decided.
type story struct {
	t *testing.T
	*sim.Outcome
	chronicle
	sent []sim.LogRecord        // every message that left
	host map[core.NodeID]string // by node, the host that it last sent from
}

// play runs a trace of traces/. It must hold, and everything in it must have an effect.
func play(t *testing.T, trace string) *story {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(traceDir, trace+".trace"))
	require.NoError(t, err)
	s, err := schedule.Parse(string(text))
	require.NoError(t, err)
	y := perform(t, s)
	require.Equal(t, "holds", y.Verdict, "%v\nreplay: go run ./cmd/gtstore replay traces/%s.trace", y.Violation, trace)
	require.Empty(t, y.IdleActions)
	require.Empty(t, y.IdleDeviations)
	return y
}

// perform runs a schedule.
func perform(t *testing.T, s *schedule.Schedule) *story {
	y := &story{t: t, host: map[core.NodeID]string{}}
	y.Outcome = check.RunWith(s, sim.RunOptions{Observer: &y.chronicle, Log: func(r *sim.LogRecord) {
		if r.What == sim.LogSent {
			kept, env := *r, *r.Env // both are good only during the call
			kept.Env = &env
			y.sent = append(y.sent, kept)
			y.host[r.Env.From.ID] = r.From
		}
	}})
	return y
}

// result returns the nth operation with that text, such as "c1 get a". n counts from 1.
func (y *story) result(op string, n int) *history.Operation {
	y.t.Helper()
	for i := range y.Ops {
		if y.Ops[i].String() == op {
			if n--; n == 0 {
				require.NotNil(y.t, y.Ops[i].Result, op)
				return &y.Ops[i]
			}
		}
	}
	require.Fail(y.t, "no such operation", op)
	return nil
}

// ended requires that the nth operation with that text ended with a status, and, if one
// is given, with that value.
func (y *story) ended(op string, n int, want core.Status, value ...string) {
	y.t.Helper()
	r := y.result(op, n).Result
	require.Equal(y.t, want.String(), r.Status.String(), "%s: %+v", op, r)
	if len(value) > 0 {
		require.Equal(y.t, value[0], r.Value, op)
	}
}

// requireResult requires that the nth operation with that text ended with ok, with that
// version, at that node in that epoch.
func (y *story) requireResult(op string, n int, version core.Seq, node string, epoch core.Epoch) *history.Operation {
	y.t.Helper()
	o := y.result(op, n)
	r := o.Result
	require.Equal(y.t, core.StatusOK, r.Status, op)
	require.Equal(y.t, version, r.Version, op)
	require.Equal(y.t, node, y.host[r.Node], op)
	require.Equal(y.t, epoch, r.Epoch, op)
	return o
}

// between returns the messages of a kind that left from one time to another. Kind 0
// stands for any.
func (y *story) between(from, to time.Duration, kind core.Kind) (list []sim.LogRecord) {
	for _, r := range y.sent {
		if from <= r.At && r.At <= to && (kind == 0 || core.KindOf(r.Env.Body) == kind) {
			list = append(list, r)
		}
	}
	return list
}

// chain requires that the first epochs of group 1 had these chains. Later ones, in which
// spares may have joined, do not matter.
func (y *story) chain(chains ...string) {
	y.t.Helper()
	got := y.chains[1]
	require.GreaterOrEqual(y.t, len(got), len(chains), "%q", got)
	require.Equal(y.t, chains, got[:len(chains)])
}

// only requires that group 1 had these chains, and no others.
func (y *story) only(chains ...string) {
	y.t.Helper()
	require.Equal(y.t, chains, y.chains[1])
}

// chronicle is an Observer that notes what the manager of a run decides.
type chronicle struct {
	chains map[core.GroupID][]string // the chain of each epoch, as hosts; n2' is a later node at n2
	first  map[core.NodeID]string    // the first node at each host
	groups int                       // at the end
	keys   int                       // at the end
}

func (c *chronicle) Begin(*sim.World) {
	c.chains, c.first = map[core.GroupID][]string{}, map[core.NodeID]string{}
}
func (c *chronicle) AfterChange(_ *sim.World, h *sim.Host, change sim.Change) {
	if change == sim.HostStarted && h.Incarnation() == 1 {
		c.first[h.Peer().ID] = h.Name()
	}
}
func (c *chronicle) AfterResult(*sim.World, *history.Operation) {}
func (c *chronicle) Settled(*sim.World) bool                    { return true }
func (c *chronicle) AfterEvent(_ *sim.World, h *sim.Host) {
	m := h.Manager()
	if m == nil {
		return
	}
	for _, e := range h.Events() {
		if e.Kind != core.EventReconfigured {
			continue
		}
		var chain []string
		for _, p := range m.Config(e.Group).Chain {
			name := p.Addr
			if c.first[p.ID] != p.Addr {
				name += "'"
			}
			chain = append(chain, name)
		}
		c.chains[e.Group] = append(c.chains[e.Group], strings.Join(chain, " "))
	}
}
func (c *chronicle) End(w *sim.World) {
	if m := w.Manager(); m.Up() {
		c.groups, c.keys = m.Manager().Groups(), m.Manager().Units()
	}
}
