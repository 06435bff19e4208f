package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// busiest is the most probes that one node got.
func (s *swarm) busiest() (most int) {
	for _, n := range s.probes {
		most = max(most, n)
	}
	return most
}

// What a node is asked in a second has a bound that no size of the cluster, and no number of
// deaths, moves: for proof, with each ping; whether it reaches others, about relaysMax of
// them in inquiries, and about as many whose whole groups are missing. In all, a manager's
// probes grow with the cluster, and not with its square.
func TestProbesHaveABound(t *testing.T) {
	const pings = 20 // a second
	for _, c := range []struct {
		name     string
		permille int // of the nodes that fall silent
	}{{"a tenth", 100}, {"a third", 333}, {"most", 600}, {"all but one", 1000}} {
		for _, nodes := range []int{60, 240, 960} {
			s := newSwarm(nodes, func(o *ManagerOptions) { o.Spares = 2 })
			for i := 1; i < nodes; i++ {
				if i*c.permille%1000 < c.permille {
					s.dead[swarmPeer(i).ID] = true
				}
			}
			for range 15 {
				s.count()
				clear(s.probes)
				s.run(time.Second)
				require.LessOrEqual(t, s.busiest(), (2*relaysMax+3)*pings, "%s of %d nodes silent: the probes that one node got in a second", c.name, nodes)
				require.LessOrEqual(t, s.sent[KindProbe], 3*nodes*pings, "%s of %d nodes silent: all probes in a second", c.name, nodes)
			}
		}
	}
}

// The manager reaches one node only, which reaches all others. There are more than it can be
// asked about within LostAfter, so that most words are old. Nobody is taken for lost for that
// alone: while so many are missing the manager suspects itself. When others can be asked
// about all of them, silence counts again.
func TestNobodyIsLostForWantOfAsking(t *testing.T) {
	s := newSwarm(61, func(o *ManagerOptions) { o.LostAfter = 100 * time.Millisecond })
	s.cutOff = true
	for i := 1; i < 61; i++ {
		s.dead[swarmPeer(i).ID] = true
	}
	lost := func() (n int) {
		for id := range GroupID(s.m.Groups()) {
			if lost, _ := s.m.Lost(id + 1); lost {
				n++
			}
		}
		return n
	}
	s.run(5 * time.Second)
	require.Zero(t, lost(), "the one that answers reaches them")

	for i := 1; i < 50; i++ {
		delete(s.dead, swarmPeer(i).ID)
	}
	s.run(5 * time.Second)
	require.Zero(t, lost(), "others reach them")
	s.cutOff = false
	s.run(5 * time.Second)
	require.NotZero(t, lost())
}

// Many clients wait for a healthy primary, and each reports it again and again. It proves
// itself as often as it is pinged, and not once for each report: in durable mode each proof
// costs it a write.
func TestClientsThatWaitCostNoProofEach(t *testing.T) {
	for _, clients := range []int{1, 20, 200} {
		for _, refused := range []bool{false, true} {
			s := newSwarm(6)
			clear(s.probes)
			for i := range 2000 {
				for c := i % 10; c < clients; c += 10 {
					s.step(Peer{NodeID(1<<41 + c), "c"}, &Suspect{Group: 1, Epoch: 1, Node: swarmPeer(0).ID, Refused: refused})
				}
				s.run(500 * time.Microsecond)
			}
			require.InDelta(t, 20, s.busiest(), 3, "%d clients: probes for proof in a second", clients)
			require.Equal(t, Epoch(1), s.m.Config(1).Epoch, "nobody is removed")
		}
	}
}
