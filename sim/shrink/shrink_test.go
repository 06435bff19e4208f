package shrink

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
)

// has tells whether the actions of a schedule have these verbs, in this order.
func has(s *schedule.Schedule, verbs ...schedule.Verb) bool {
	for _, a := range s.Actions {
		if len(verbs) > 0 && a.Verb == verbs[0] {
			verbs = verbs[1:]
		}
	}
	return len(verbs) == 0
}

// A failure that needs a put, then a pause, then a get is shrunk to these three, on the
// default shape, from whatever schedule it was found in.
func TestShrinkFindsTheCore(t *testing.T) {
	fails := func(s *schedule.Schedule) bool {
		return has(s, schedule.VerbPut, schedule.VerbPause, schedule.VerbGet) && s.Shape.Nodes > 1
	}
	found := 0
	for seed := range uint64(40) {
		s := generate.Schedule(generate.NewSource(seed))
		if !fails(s) {
			continue
		}
		found++
		before := s.String()
		small := Schedule(s, fails, 5000)
		require.Equal(t, before, s.String(), "the schedule to shrink was changed")
		require.NoError(t, small.Validate())
		want := schedule.DefaultShape()
		want.Nodes, want.Replicas, want.Clients = 2, 0, 1
		require.Equal(t, want, small.Shape, "seed %d:\n%s", seed, small)
		require.Equal(t, 3, small.Size(), "seed %d:\n%s", seed, small)
		require.Zero(t, small.Actions[2].At, "seed %d:\n%s", seed, small)
	}
	require.Greater(t, found, 10)
}

// Two lines that can only be removed together are removed.
func TestShrinkPairs(t *testing.T) {
	fails := func(s *schedule.Schedule) bool {
		return has(s, schedule.VerbCut) && has(s, schedule.VerbPause) == has(s, schedule.VerbResume)
	}
	s, err := schedule.Parse("at 1s pause n1\nat 2s cut n1>n2\nat 3s resume n1\ndrop n1>n2 Ack#1")
	require.NoError(t, err)
	small := Schedule(s, fails, 100)
	require.Equal(t, "at 0s cut n1>n2", small.Actions[0].String())
	require.Equal(t, 1, small.Size())
}

func TestShrinkHosts(t *testing.T) {
	s, err := schedule.Parse(`
cluster nodes=4 replicas=3 clients=4 seed=3
clock n4 offset=1s
at 1s c4 put k v
at 2s partition n1 n3 c1 | n4 c2
at 3s c2 get k
at 4s heal
drop n1>n4 Ack#1
delay n4>n3 Ack#2 1s
`)
	require.NoError(t, err)
	// The failure needs a put, a partition and a lost Ack from the last node.
	fails := func(s *schedule.Schedule) bool {
		return has(s, schedule.VerbPut, schedule.VerbPartition) && slices.ContainsFunc(s.Deviate, func(d schedule.Deviation) bool {
			return d.Kind == core.KindAck && d.Link.From == numberedName("n", s.Shape.Nodes)
		})
	}
	small := Schedule(s, fails, 2000)
	require.Equal(t, 2, small.Shape.Nodes)
	require.Equal(t, 1, small.Shape.Clients)
	require.Equal(t, 3, small.Size())
	require.Equal(t, "drop n2>n1 Ack#2", small.Deviate[0].String())
	require.Equal(t, "at 0s c1 put k v", small.Actions[0].String())
}

func TestShrinkGaps(t *testing.T) {
	fails := func(s *schedule.Schedule) bool {
		return has(s, schedule.VerbCut, schedule.VerbHeal) && s.Actions[1].At-s.Actions[0].At > 260*time.Millisecond
	}
	s, err := schedule.Parse("at 1.234567s cut n1>n2\nat 3s heal")
	require.NoError(t, err)
	small := Schedule(s, fails, 100)
	require.Zero(t, small.Actions[0].At)
	require.Less(t, small.Actions[1].At, 400*time.Millisecond)
	require.Zero(t, small.Actions[1].At%(10*time.Millisecond))
}

func TestShrinkKeepsToItsBudget(t *testing.T) {
	s := generate.Schedule(generate.NewSource(3))
	for _, budget := range []int{0, 1, 17, 300} {
		calls := 0
		shrink := func() *schedule.Schedule {
			calls = 0
			return Schedule(s, func(c *schedule.Schedule) bool {
				calls++
				require.NoError(t, c.Validate())
				return has(c, schedule.VerbPut, schedule.VerbGet, schedule.VerbGet)
			}, budget)
		}
		first := shrink()
		require.LessOrEqual(t, calls, budget)
		require.Equal(t, first, shrink(), "shrinking is not deterministic")
	}
	require.Equal(t, s.String(), Schedule(s, func(*schedule.Schedule) bool { return false }, 1000).String())
}
