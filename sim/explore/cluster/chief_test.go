package cluster

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/explore"
)

func TestASearchWithARealManagerGoesOnInAnotherProcess(t *testing.T) {
	s := parse(t, "cluster members=1 mode=durable", "manager real", "budget crash=1 restart=1 manager-crash=1", "finish")
	require.Positive(t, goesOn(t, s, 300))
}

// goesOn interrupts a search again and again, each time after so many steps more, and has another
// process go on: it comes to the same. It returns how often that was.
func goesOn(t *testing.T, s *Scenario, steps int) (interruptions int) {
	t.Helper()
	whole, err := Run(context.Background(), s, explore.Options{})
	require.NoError(t, err)
	require.True(t, whole.Complete)
	file := filepath.Join(t.TempDir(), "state")
	for {
		ctx, cancel := context.WithCancel(context.Background())
		m, err := New(s)
		require.NoError(t, err)
		r, err := explore.Search(ctx, &interrupting{m, steps * (interruptions + 1), cancel}, explore.Options{Workers: 1, State: file, Key: s.Text()})
		cancel()
		require.NoError(t, err)
		if !r.Interrupted {
			require.True(t, r.Complete)
			require.Equal(t, whole.States, r.States)
			require.Equal(t, whole.Depth, r.Depth)
			return interruptions
		}
		interruptions++
	}
}

// TestARealManagerDecidesWhatAScenarioIsAbout looks for a state that each scenario must reach:
// one that never gets there would hold for nothing.
func TestARealManagerDecidesWhatAScenarioIsAbout(t *testing.T) {
	for _, c := range []struct {
		scenario string
		reaches  func(g *manager) bool
	}{
		{"register-restart", func(g *manager) bool { return g.config().Epoch == 2 && g.chief.starts == 2 }},
		{"place-restart", func(g *manager) bool { return len(g.chief.configs) == 2 && g.chief.starts == 2 }},
		{"reconfigure-restart", func(g *manager) bool { return len(g.config().Chain) == 1 && g.chief.starts == 2 }},
		{"join-restart", func(g *manager) bool { return len(g.config().Chain) == 2 && g.chief.starts == 2 }},
		{"join-restart", func(g *manager) bool { return g.config().Joining.ID != 0 && g.chief.starts == 2 }},
		{"forget-restart", func(g *manager) bool { return len(g.config().Chain) == 1 && g.chief.starts == 2 }},
		{"farewell", func(g *manager) bool { return len(g.config().Chain) == 1 || g.config().Joining.ID == 3 }},
		{"farewell-durable", func(g *manager) bool { return g.config().Chain[0].ID == 2 }},
		{"drain", func(g *manager) bool { return g.config().Chain[0].ID == 2 }},
		{"loss-withdrawn", func(g *manager) bool { lost, _ := g.chief.node.Lost(group); return lost }},
		{"silent-member", func(g *manager) bool { return len(g.config().Chain) == 1 }},
		{"silent-primary", func(g *manager) bool { return g.config().Chain[0].ID == 2 }},
		{"crash", func(g *manager) bool { return g.config().Joining.ID == 3 }},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			s, err := Load("../../../traces/explore/manager-" + c.scenario + Suffix)
			require.NoError(t, err)
			s.Finish = false // what follows is not asked here
			m, err := New(s)
			require.NoError(t, err)
			_, err = explore.Search(context.Background(), m, explore.Options{StatesMax: 500_000})
			require.NoError(t, err)
			reached := false
			for id := range m.managers.len() {
				g := m.managers.at(uint32(id))
				reached = reached || g.chief.node != nil && g.config() != nil && c.reaches(g)
			}
			require.True(t, reached)
		})
	}
}

func TestConfigsThatDoNotFollowEachOtherAreNoticed(t *testing.T) {
	a, b, c := hostPeer(0), hostPeer(1), hostPeer(2)
	before := &core.Config{Group: group, Epoch: 4, Chain: []core.Peer{a, b}, Joining: c, Start: 3}
	for _, next := range []core.Config{
		{Chain: []core.Peer{b, a}, Joining: c, Start: 3},
		{Chain: []core.Peer{a, c, b}},
		{Chain: []core.Peer{a, c}},
		{Chain: []core.Peer{a, b, c}, Joining: c, Start: 3},
		{Chain: []core.Peer{a, b}, Joining: c, Start: 4},
		{Chain: []core.Peer{a, b}, Joining: c, Start: 3, MinChain: 2},
		{},
	} {
		s := &chiefStepper{o: &order{}}
		s.follows(before, &next)
		require.NotNil(t, s.o.broken, next)
		require.Equal(t, "config-rules", s.o.broken.property)
	}
	for _, next := range []core.Config{
		{Chain: []core.Peer{b}, Joining: c, Start: 3},
		{Chain: []core.Peer{a, b, c}},
		{Chain: []core.Peer{a, b}},
		{Chain: []core.Peer{a, b}, Joining: c, Start: 3},
	} {
		s := &chiefStepper{o: &order{}}
		s.follows(before, &next)
		require.Nil(t, s.o.broken, next)
	}
}
