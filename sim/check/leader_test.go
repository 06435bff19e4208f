package check

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim"
	"gtstore/sim/schedule"
)

// isVote tells whether an envelope asks for a vote, or whether there would be one.
func isVote(e core.Envelope) bool {
	q, ok := e.Body.(*core.Quorum)
	return ok && q.Text[0] == byte(quorum.KindVote)
}

// A majority with which nothing is wrong has a leader within the bound, wherever it is. Where no
// vote is asked for any more, it has none, and the check says so.
func TestAMajorityHasALeaderInTime(t *testing.T) {
	for _, c := range []struct {
		name, network, faults string
		judged                bool
	}{
		{"a crash, near", "latency=1ms", "at 2s crash m1", true},
		{"a crash, far", "latency=150ms connect=2", "at 8s crash m1", true},
		{"a pause", "latency=1ms", "at 2s pause m1", true},
		{"cut off", "latency=1ms", "at 2s partition m1 | m2 m3 n1 n2 c1", true},
		{"cut off from one only", "latency=1ms", "at 2s cut m1>m2\nat 2s pause m3", false},
		{"no majority", "latency=1ms", "at 2s crash m1\nat 2s crash m2", false},
		{"one of the two is slow", "latency=1ms", "at 2s slow m2 20ms\nat 2s crash m1", false},
	} {
		s, err := schedule.Parse(fmt.Sprintf("cluster nodes=2 managers=3 replicas=0 clients=1 mode=durable\nnetwork %s\nat 1s c1 put a 1\n%s\nat 20s c1 get a", c.network, c.faults))
		require.NoError(t, err, c.name)
		require.Equal(t, "holds", RunWith(s, sim.RunOptions{}).Verdict, c.name)
		votes := false // since the cluster has a leader
		out := RunWith(s, sim.RunOptions{Tamper: func(h *sim.Host, out *core.Output) {
			if h.Role() != sim.RoleManager {
				return
			}
			m := h.Manager()
			if votes = votes || m != nil && m.Leads() && m.Index() > 0; votes {
				out.Send = slices.DeleteFunc(out.Send, isVote)
				out.After = slices.DeleteFunc(out.After, isVote)
			}
		}})
		require.NotNil(t, out.Violation, c.name)
		require.Equal(t, "leaderless", out.Violation.Property, c.name)
		since := s.Actions[1].At
		if !c.judged {
			since = s.Actions[len(s.Actions)-1].At // then all is well again
			require.Greater(t, out.Violation.At, since, c.name)
		}
		timeout := max(200*time.Millisecond, 3*(2*s.Shape.LatencyMax+10*time.Millisecond))
		require.Less(t, out.Violation.At-since, electionTimeouts*timeout+30*s.Shape.LatencyMax+time.Second, c.name)
	}
}

// A leader with which nothing is wrong, nor with a majority, stays. Where the first one is silent for its
// followers they elect another one, and the check says so; but not where something was wrong, or is.
func TestALeaderLeadsOn(t *testing.T) {
	isBeat := func(e core.Envelope) bool {
		q, ok := e.Body.(*core.Quorum)
		return ok && (q.Text[0] == byte(quorum.KindBeat) || q.Text[0] == byte(quorum.KindAppend))
	}
	for _, c := range []struct {
		name, faults string
		judged       bool
	}{
		{"all are well", "", true},
		{"a follower is down", "at 2s crash m3", true},
		{"a follower is cut off", "at 2s partition m3 | m1 m2 n1 n2 c1", true},
		{"a follower was away a moment ago", "at 5900ms pause m3\nat 5950ms resume m3", false},
		{"a follower is cut off from the leader alone", "at 2s cut m1>m3", false},
		{"the leader is slow", "at 2s slow m1 5ms", false},
	} {
		s, err := schedule.Parse(fmt.Sprintf("cluster nodes=2 managers=3 replicas=0 clients=1 mode=durable\nnetwork latency=1ms\nat 1s c1 put a 1\n%s\nat 6s c1 put b 2\nat 9s c1 get a", c.faults))
		require.NoError(t, err, c.name)
		require.Equal(t, "holds", RunWith(s, sim.RunOptions{}).Verdict, c.name)
		var first core.NodeID
		deposed := false
		out := RunWith(s, sim.RunOptions{Tamper: func(h *sim.Host, out *core.Output) {
			m := h.Manager()
			if m == nil || !m.Leads() {
				return
			}
			if first == 0 {
				first = m.ID()
			}
			if deposed = deposed || m.ID() != first; !deposed && m.Units() == 2 {
				out.Send, out.After = slices.DeleteFunc(out.Send, isBeat), slices.DeleteFunc(out.After, isBeat)
			}
		}})
		if !c.judged {
			require.Equal(t, "holds", out.Verdict, c.name)
			require.True(t, deposed, c.name)
			continue
		}
		require.NotNil(t, out.Violation, c.name)
		require.Equal(t, "deposed", out.Violation.Property, c.name)
	}
}
