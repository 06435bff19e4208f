package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ping = 50 * time.Millisecond // the PingInterval

// The manager sends no more than pingsMax pings a second, however many nodes there are. Every
// node gets its share, and no round has many more pings than another.
func TestPingsHaveABound(t *testing.T) {
	for _, c := range []struct {
		nodes    int
		interval time.Duration // in effect
	}{{100, ping}, {1000, ping}, {1001, 2 * ping}, {2000, 2 * ping}, {3000, 3 * ping}, {4000, 4 * ping}} {
		s := newSwarm(c.nodes)
		most := 0
		s.count()
		for range 12 { // a whole number of intervals, whichever
			before := s.sent[KindPing]
			s.run(ping)
			most = max(most, s.sent[KindPing]-before)
		}
		require.Equal(t, c.nodes*int(12*ping/c.interval), s.sent[KindPing], "%d nodes: pings in 600 ms", c.nodes)
		require.LessOrEqual(t, most, pingsMax/20, "%d nodes: pings in one round", c.nodes)
		for _, n := range s.m.contacts {
			require.LessOrEqual(t, s.now.Since(n.answeredAt), c.interval+2*swarmTrip, "%d nodes: how long ago a node was pinged", c.nodes)
		}
	}
}

// A node that is late by 100 ms counts as one that answers, whenever it is late, so its proofs
// stay good and a spare is used. The time between two pings does not make it silent.
func TestWhoIsLateForAMomentAnswers(t *testing.T) {
	for _, nodes := range []int{1000, 2000, 4000} {
		s := newSwarm(nodes)
		for i := range 40 {
			s.run(5 * time.Millisecond)
			id := swarmPeer(i).ID
			s.sleep(id)
			for range 100 {
				s.run(time.Millisecond)
				require.True(t, s.m.answers(s.m.contact(id)), "%d nodes: n%d, %v after it answered last", nodes, i+1, s.now.Since(s.m.contact(id).answeredAt))
			}
			s.wake(id)
		}
	}
}

// A joining node answers a ping 150 ms late, and the next one 210 ms late, when it is pinged a
// third time. It has not been silent for long, so its join goes on.
func TestAnUnevenAnswerEndsNoJoin(t *testing.T) {
	s := newSwarm(4000, func(o *ManagerOptions) { o.Spares = 10 })
	s.stuck = true
	s.dead[s.m.Config(1).Chain[2].ID] = true
	s.run(time.Second)
	joining := s.m.Config(1).Joining.ID
	require.NotZero(t, joining)
	c := s.m.contact(joining)
	for last := c.pinged; c.pinged == last; {
		s.run(swarmTrip)
	}
	for _, nap := range []struct{ after, lasts time.Duration }{{190 * time.Millisecond, 160 * time.Millisecond}, {40 * time.Millisecond, 220 * time.Millisecond}} {
		s.run(nap.after) // 10 ms before its next ping
		s.sleep(joining)
		s.run(nap.lasts)
		s.wake(joining)
	}
	s.run(ping)
	require.Equal(t, joining, s.m.Config(1).Joining.ID)
}

// Nodes leave the list, one with each round, so that those behind move up by one each time.
// These are pinged in their turn all the same.
func TestWhoMovesUpTheListKeepsItsTurn(t *testing.T) {
	const nodes, spares = 1100, 60
	s := newSwarm(nodes, func(o *ManagerOptions) { o.Spares = spares })
	for i := range 40 {
		id := swarmPeer(nodes - spares + i).ID
		s.dead[id] = true
		s.m.contact(id).quietSince = longAgo
		s.run(ping)
		require.Nil(t, s.m.contact(id), "it is off the list")
		for i := nodes - spares + 40; i < nodes; i++ {
			n := s.m.contact(swarmPeer(i).ID)
			require.LessOrEqual(t, s.now.Since(n.answeredAt), 2*ping+2*swarmTrip, "n%d was pinged so long ago", i)
		}
	}
}

// A member dies silently. If only the manager's pings tell, that is found later in a large
// cluster, by what its interval is longer. If the primary reports it, it is found as soon as
// in a small one, and if a client does, at most 100 ms later.
func TestASilentMemberGoesInTimeInALargeCluster(t *testing.T) {
	const each, moments = 613 * time.Millisecond, 16 // deaths at moments 13 ms apart in the longest interval
	for _, c := range []struct {
		nodes                   int
		nobody, client, primary time.Duration // by when it is removed, if they report it
	}{
		{1000, 400 * time.Millisecond, 350 * time.Millisecond, 500 * time.Millisecond},
		{4000, 600 * time.Millisecond, 450 * time.Millisecond, 500 * time.Millisecond},
	} {
		s := newSwarm(c.nodes)
		for _, k := range []struct {
			name          string
			member        int // in its chain
			report, bound time.Duration
		}{{"nobody", 0, 0, c.nobody}, {"a client", 0, 150 * time.Millisecond, c.client}, {"its primary", 1, 300 * time.Millisecond, c.primary}} {
			for i := range moments {
				g := s.m.Config(GroupID(i + 1))
				s.dead[g.Chain[k.member].ID] = true
				if k.report > 0 {
					s.run(k.report)
					s.report(g, k.member)
				}
				s.run(k.bound + 4*time.Millisecond - k.report) // and the round trips
				require.NotContains(t, s.m.Config(g.Group).Chain, g.Chain[k.member], "%d nodes, %s reports it: not removed after %v", c.nodes, k.name, k.bound)
				delete(s.dead, g.Chain[k.member].ID)
				s.run(each - k.bound - 4*time.Millisecond)
			}
		}
	}
}

// A person chose short times, as for a small cluster. In a large one nobody is taken for lost,
// or missing, between two pings.
func TestNobodyIsLostBetweenTwoPings(t *testing.T) {
	s := newSwarm(4000, func(o *ManagerOptions) { o.PingInterval, o.LostAfter = 10*time.Millisecond, 10*time.Millisecond })
	s.count()
	s.run(time.Second)
	for id := range GroupID(s.m.Groups()) {
		lost, _ := s.m.Lost(id + 1)
		require.False(t, lost, "group %d", id+1)
	}
	require.Zero(t, s.sent[KindProbe], "questions whether others reach those who were not pinged yet")
}

// report has the primary of a group report a member, or a client if that is the primary.
func (s *swarm) report(g *Config, member int) {
	from, token := Peer{1 << 41, "c"}, uint64(0)
	if member > 0 {
		from, token = g.Chain[0], s.tokens[g.Chain[0].ID]
	}
	s.step(from, &Suspect{Group: g.Group, Epoch: g.Epoch, Node: g.Chain[member].ID, Token: token})
}

// Nodes of a large cluster pause for 250 ms, at all times, and are reported at any moment of
// that. That is within what never evicts a healthy node, though the manager may not have
// pinged them for a while before.
func TestPausesEvictNobodyInALargeCluster(t *testing.T) {
	const step, pause = 10 * time.Millisecond, 250 * time.Millisecond
	s := newSwarm(4000)
	groups := s.m.Groups()
	pausing := func(i int) (*Config, int) { // the i-th who pauses, and its place in its chain
		return s.m.Config(GroupID(i%groups + 1)), i / groups % 3
	}
	const each = 5 // pause with each step
	for now := range 600 {
		for i := now * each; i < now*each+each; i++ {
			g, member := pausing(i)
			s.sleep(g.Chain[member].ID)
		}
		for late := range int(pause / step) { // one of each step is reported, with its own delay
			if i := (now-late)*each + late%each; now >= late && (now-late)%int(pause/step) == late {
				g, member := pausing(i)
				s.report(g, member)
			}
		}
		s.run(step)
		for i := (now - int(pause/step) + 1) * each; i >= 0 && i < (now-int(pause/step)+2)*each; i++ {
			g, member := pausing(i)
			s.wake(g.Chain[member].ID)
		}
	}
	s.requireNobodyWent(t)
}

// Nodes are reported just before they pause, some while their answer to a ping is on its way.
// So they have answered since the question for proof, but not that question (manager 3).
func TestAPauseRightAfterAnAnswerEvictsNobody(t *testing.T) {
	for _, nodes := range []int{1000, 4000} {
		s := newSwarm(nodes)
		s.run(s.m.Deadline().Since(s.now) + 3*swarmTrip/2) // those who were pinged have answered
		for id := range GroupID(40) {
			g := s.m.Config(id + 1)
			s.report(g, 0)
			s.sleep(g.Chain[0].ID)
		}
		s.run(250 * time.Millisecond)
		for id := range GroupID(40) {
			s.wake(s.m.Config(id + 1).Chain[0].ID)
		}
		s.run(time.Second)
		s.requireNobodyWent(t)
	}
}

func (s *swarm) requireNobodyWent(t *testing.T) {
	for i := range s.m.Groups() {
		require.Equal(t, Epoch(1), s.m.Config(GroupID(i+1)).Epoch, "group %d", i+1)
	}
}
