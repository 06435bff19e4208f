package core

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireTally checks that what the manager remembers of its nodes and groups is what a
// look at all of them finds.
func requireTally(t *testing.T, m *Manager) {
	t.Helper()
	if m.tally.fresh {
		before := m.tally
		before.idle = slices.Clone(before.idle)
		m.recount()
		now := m.counted()
		require.ElementsMatch(t, now.idle, before.idle)
		require.Equal(t, now.lacking, before.lacking)
		require.Equal(t, now.lost, before.lost)
	}
	if m.glance.idle {
		before := slices.Clone(m.glance.answering)
		m.lookAgain()
		require.Equal(t, m.answering(), before)
	}
}

// The tally and the glance hold through deaths, removals, losses, joins and returns: in
// clusters with spares and without.
func TestTheTallyIsWhatALookAtAllFinds(t *testing.T) {
	for _, c := range []struct {
		name       string
		dead, step int // how many, and one of how many
		lost       bool
	}{{"a node", 1, 1, false}, {"some", 5, 2, false}, {"half", 12, 2, false}, {"whole groups", 7, 1, true}, {"nearly all", 22, 1, true}} {
		for _, spares := range []int{0, 3} {
			s := newSwarm(24, func(o *ManagerOptions) { o.Spares, o.LostAfter = spares, 100*time.Millisecond })
			s.stepped = func() { requireTally(t, s.m) }
			live := func(d time.Duration) {
				for range d / (20 * time.Millisecond) {
					s.run(20 * time.Millisecond)
					s.newKey()
				}
			}
			for i := range c.dead {
				s.dead[swarmPeer(c.step*i).ID] = true
			}
			live(4 * time.Second)
			lost, _ := s.m.Lost(1)
			require.Equal(t, c.lost, lost, c.name)
			require.True(t, lost || s.changed > 0, "%s: nobody was removed", c.name)
			clear(s.dead)
			live(8 * time.Second)
			require.True(t, s.full(), "%s dead, %d spares", c.name, spares)
		}
	}
}
