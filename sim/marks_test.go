package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// Where nothing fails, no situation comes about but those that traffic alone
// makes: a request may come while the group forms, a get beside a put, and two
// clients with the same new key. A mark that such a run reached otherwise would
// say nothing when a search reaches it.
func TestMarksOfACalmRun(t *testing.T) {
	for _, reads := range []core.ReadMode{core.ReadConfirm, core.ReadLease} {
		for _, durable := range []bool{false, true} {
			s := steady(durable, reads, 400)
			s.Shape.Seed = 0 // without jitter, which lets messages overtake each other
			out := Check(s)
			require.Nil(t, out.Violation)
			for _, m := range out.Marks.Reached() {
				require.Contains(t, []Mark{MarkRequestWhileReconciling, MarkGetBesideAnUncommittedWrite, MarkTwoClientsMapAKey}, m)
			}
			require.True(t, out.Marks[MarkGetBesideAnUncommittedWrite], "%v, durable %v", reads, durable)
		}
	}
}

// A pause is no restart: what the marks remember of a primary outlives it.
func TestMarksOverAPause(t *testing.T) {
	s := &Schedule{Shape: DefaultShape()}
	s.Shape.Nodes, s.Shape.Replicas, s.Shape.Seed = 1, 0, 1
	s.Actions = []Action{
		{At: 100 * time.Millisecond, Verb: VerbPut, Host: "c1", Key: "a", Value: "v1"},
		{At: 200 * time.Millisecond, Verb: VerbPause, Host: "n1"},
		{At: 210 * time.Millisecond, Verb: VerbGet, Host: "c1", Key: "a"},
		{At: 250 * time.Millisecond, Verb: VerbResume, Host: "n1"},
	}
	require.NoError(t, s.Validate())
	out := Check(s)
	require.Nil(t, out.Violation)
	require.False(t, out.Marks[MarkRestartedPrimaryAsked])
	s.Actions[1].Verb, s.Actions[3].Verb, s.Shape.Durable = VerbCrash, VerbRestart, true
	s.Actions[3].At = s.Actions[2].At // asked before the manager can have issued another epoch
	require.NoError(t, s.Validate())
	require.True(t, Check(s).Marks[MarkRestartedPrimaryAsked])
}

func TestMissingMarks(t *testing.T) {
	s := &Schedule{Shape: DefaultShape(), Shows: "request-while-reconciling loss-certain"}
	s.Actions = []Action{{At: 10 * time.Millisecond, Verb: VerbPut, Host: "c1", Key: "a", Value: "v1"}}
	require.NoError(t, s.Validate())
	require.Equal(t, []Mark{MarkRequestWhileReconciling, MarkLossCertain}, s.Shown())
	require.Equal(t, []string{"the situation loss-certain did not come about: A group was declared lost for certain."}, Check(s).Missing(s))
}

// What is counted of a crash is what did not survive it.
func TestDiskCountsWhatACrashLost(t *testing.T) {
	for _, c := range []struct {
		name                 string
		keep, torn           int
		lost, kept, commands int
	}{
		{"all", 0, 0, 3, 0, 2},
		{"but the first", 1, 0, 2, 1, 1},
		{"and a part of the second that is of no use", 1, 5, 2, 1, 1},
		{"but the second, which is whole", 1, TornMax, 1, 2, 1},
		{"nothing", 3, 0, 0, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d disk
			for _, command := range []bool{true, false, true} {
				d.write([]core.Write{{Key: "k", Value: "v"}})
				if command {
					d.await(&core.Envelope{Body: &core.Committed{}})
				}
			}
			d.crash(c.keep, c.torn)
			require.Equal(t, [3]int{c.lost, c.kept, c.commands}, [3]int{d.lost, d.kept, d.commands})
		})
	}
}
