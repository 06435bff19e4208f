package sim_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

const (
	clusterFormed = time.Second     // by when the groups have formed
	clusterKill   = 3 * time.Second // when nodes are killed
	clusterEnd    = 8 * time.Second
	clusterWrites = 100 * time.Millisecond // between two writes to a group, from shortly before the kill on
)

// cluster is a calm cluster of so many storage nodes, of which 3 % are spares and the rest in
// groups of three, each with one key that is written. At once 1 % of the nodes crash, or
// pause for ever: each in another group, primaries and replicas.
func cluster(nodes int, kill schedule.Verb) *schedule.Schedule {
	s := &schedule.Schedule{Shape: schedule.DefaultShape()}
	s.Shape.Nodes, s.Shape.Clients, s.Shape.Width, s.Shape.Seed = nodes, 4, 512, 1
	s.Shape.LatencyMin, s.Shape.LatencyMax = 200*time.Microsecond, 400*time.Microsecond
	groups := (nodes - nodes*3/100) / 3
	write := func(at time.Duration) {
		for i := range groups {
			s.Actions = append(s.Actions, schedule.Action{At: at, Verb: schedule.VerbPut, Host: fmt.Sprintf("c%d", 1+i%4), Key: fmt.Sprintf("k%d", i), Value: "v"})
		}
	}
	write(clusterFormed / 2)
	write(clusterKill - clusterWrites)
	for i := range nodes / 100 {
		s.Actions = append(s.Actions, schedule.Action{At: clusterKill, Verb: kill, Host: victim(i)})
	}
	for i := range time.Duration(10) {
		write(clusterKill + i*clusterWrites)
	}
	s.Actions = append(s.Actions, schedule.Action{At: clusterEnd, Verb: schedule.VerbGet, Host: "c1", Key: "k0"})
	return s
}

func victim(i int) string { return fmt.Sprintf("n%d", 1+100*i) }

// clusterWatch counts the messages that the manager sends, as they are taken in, and those
// that it takes in; and it looks when all groups are at full strength again after the kill.
type clusterWatch struct {
	events int
	sent   [core.KindCount]int // by the manager before the kill, from when the groups have formed
	took   int                 // by the manager, likewise
	after  int                 // both, in the second from the kill on
	looked time.Duration
	full   time.Duration            // how long after the kill; 0 before
	acked  map[string]time.Duration // by key: how long after the kill a write that came after it was first acknowledged
	dead   map[string]bool          // hosts
	groups int
}

func (c *clusterWatch) Begin(*sim.World)                              {}
func (c *clusterWatch) AfterChange(*sim.World, *sim.Host, sim.Change) {}
func (c *clusterWatch) Settled(*sim.World) bool                       { return true }
func (c *clusterWatch) End(*sim.World)                                {}
func (c *clusterWatch) AfterResult(_ *sim.World, op *history.Operation) {
	if _, known := c.acked[op.Key]; !known && op.Called >= clusterKill && op.Result.Status == core.StatusOK {
		c.acked[op.Key] = op.Returned - clusterKill
	}
}
func (c *clusterWatch) AfterEvent(w *sim.World, h *sim.Host) {
	c.events++
	now, e := w.Now(), w.Taken()
	if e != nil && (h.Role() == sim.RoleManager || e.From.Addr == schedule.ManagerHost) {
		switch {
		case now >= clusterKill && now < clusterKill+time.Second:
			c.after++
		case now < clusterFormed || now >= clusterKill:
		case h.Role() == sim.RoleManager:
			c.took++
		default:
			c.sent[core.KindOf(e.Body)]++
		}
	}
	if c.full == 0 && now >= c.looked && now > clusterKill && now < clusterEnd {
		c.looked = now + time.Millisecond
		c.look(w, now)
	}
}

// look tells whether every member of every group is up, and there are enough.
func (c *clusterWatch) look(w *sim.World, now time.Duration) {
	m := w.Hosts()[0].Manager()
	c.groups = m.Groups()
	for id := range core.GroupID(c.groups) {
		chain := m.Config(id + 1).Chain
		if len(chain) < 3 {
			return
		}
		for _, p := range chain {
			if h := w.Host(p.Addr); c.dead[p.Addr] || !h.Up() || h.Peer() != p {
				return
			}
		}
	}
	c.full = now - clusterKill
}

// run runs a cluster, and requires that it comes back to full strength.
func (c *clusterWatch) run(t testing.TB, nodes int, kill schedule.Verb) *sim.Outcome {
	*c = clusterWatch{acked: map[string]time.Duration{}, dead: map[string]bool{}}
	for i := range nodes / 100 {
		c.dead[victim(i)] = true
	}
	out := sim.Run(cluster(nodes, kill), sim.RunOptions{Observer: c, SkipLinearizability: true, EventsMax: 100_000_000})
	require.Nil(t, out.Violation)
	require.Equal(t, (nodes-nodes*3/100)/3, c.groups, "groups")
	require.NotZero(t, c.full, "it never came back to full strength")
	require.Len(t, c.acked, c.groups, "keys that were written after the kill")
	return out
}

// lastAck is when the last group acknowledged its first write, after the kill.
func (c *clusterWatch) lastAck() time.Duration {
	return slices.Max(slices.Collect(maps.Values(c.acked)))
}

// A cluster of hundreds of nodes runs in the simulator, and is at full strength again within
// a second after one node of a hundred crashed, or hangs. By then every group has written.
func TestALargeClusterComesBackToFullStrength(t *testing.T) {
	for _, kill := range []schedule.Verb{schedule.VerbCrash, schedule.VerbPause} {
		var c clusterWatch
		c.run(t, 300, kill)
		require.Less(t, c.full, time.Second, kill)
		require.Less(t, c.lastAck(), time.Second, kill)
	}
}

// BenchmarkCluster measures clusters of many nodes of which 1 % crashes at once, or pauses
// for ever: the manager's messages, those that it sends and those that it takes in, in a
// second of virtual time, and how long it takes until every group is at full strength, and
// until every group has acknowledged a write.
func BenchmarkCluster(b *testing.B) {
	for _, kill := range []schedule.Verb{schedule.VerbCrash, schedule.VerbPause} {
		for _, nodes := range []int{100, 1000, 4000} {
			benchmarkCluster(b, nodes, kill)
		}
	}
}

func benchmarkCluster(b *testing.B, nodes int, kill schedule.Verb) {
	b.Run(fmt.Sprintf("%v/%d", kill, nodes), func(b *testing.B) {
		var c clusterWatch
		events := 0
		for b.Loop() {
			c.run(b, nodes, kill)
			events += c.events
		}
		seconds := (clusterKill - clusterFormed).Seconds()
		sent := 0
		for _, n := range c.sent {
			sent += n
		}
		b.ReportMetric(float64(sent)/seconds, "sent/virtual-s")
		b.ReportMetric(float64(c.sent[core.KindPing])/seconds, "pings/virtual-s")
		b.ReportMetric(float64(c.took)/seconds, "taken/virtual-s")
		b.ReportMetric(float64(c.after), "both-in-the-second-after")
		b.ReportMetric(float64(c.full.Milliseconds()), "ms-to-full-strength")
		b.ReportMetric(float64(c.lastAck().Milliseconds()), "ms-to-last-first-ack")
		b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		b.ReportMetric(0, "ns/op")
	})
}
