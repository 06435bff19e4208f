package sim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/generate"
	"gtstore/sim/mark"
	"gtstore/sim/schedule"
)

// A real run matches its recording, and another one does not.
func TestRecordingOfARun(t *testing.T) {
	for source := range uint64(40) {
		s := generate.Schedule(generate.NewSource(source))
		r := check.Run(s).Recording
		s.Recorded = r
		require.NoError(t, s.Validate())
		out := check.RunWith(s, sim.RunOptions{KeepHashes: true})
		require.Nil(t, r.Compare(out.Events, out.Hash, out.Hashes))
		other := s.Clone()
		require.Equal(t, s, other)
		call := slices.IndexFunc(other.Actions, func(a schedule.Action) bool { return a.Verb.Operation() != 0 })
		other.Actions[call].At++ // of a fault it need not show
		slices.SortStableFunc(other.Actions, func(a, b schedule.Action) int { return int(a.At - b.At) })
		out = check.RunWith(other, sim.RunOptions{KeepHashes: true})
		require.NotNil(t, r.Compare(out.Events, out.Hash, out.Hashes), "source %d", source)
	}
}

// What a disk gives back is what was written or an error: whichever of its
// records is damaged, its process does not start, and says why.
func TestADamagedRecordStopsTheProcess(t *testing.T) {
	for _, host := range []string{schedule.ManagerHost, "n1"} {
		for _, verb := range []string{"rot", "misdirect", "unreadable"} {
			for record := range 5 {
				damaged := fmt.Sprintf("%s %s record=%d", verb, host, record)
				s, err := schedule.Parse(fmt.Sprintf(`
cluster nodes=3 clients=2 mode=durable
at 100ms c1 put x a
at 150ms c1 put y b
at 200ms crash %[1]s
at 210ms %[2]s
at 220ms restart %[1]s
at 600ms c1 get x
`, host, damaged))
				require.NoError(t, err)
				require.NoError(t, s.Validate())
				out := check.Run(s)
				require.Nil(t, out.Violation, damaged)
				require.NotEmpty(t, out.Halted, damaged)
				require.Equal(t, host, out.Halted[0].Host, damaged)
				require.Regexp(t, "^cannot start: .*(damaged: .*checksum|cannot be read)", out.Halted[0].Why, damaged)
			}
		}
	}
}

// The core's node that moves is the same member at another address.
func TestAMemberMoves(t *testing.T) {
	s, err := schedule.Parse(`
cluster nodes=4 replicas=1 clients=1 mode=durable
at 1s c1 put a v1 -> ok
at 2s crash n4
at 2s move n1 n4
at 2s restart n4
at 2100ms restart n1
at 4s c1 get a -> ok v1
at 5s c1 put a v2 -> ok
`)
	require.NoError(t, err)
	out := check.Run(s)
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.Empty(t, out.IdleActions)
}

// Large values travel whole and stand in the history by what they are padded from.
func TestLargeValues(t *testing.T) {
	s, err := schedule.Parse(`
cluster nodes=2 replicas=1 clients=2
at 1s c1 put a v1*1048576 -> ok
at 2s c2 get a -> ok v1
at 3s c1 cas a last v2*1000 -> ok
at 4s c2 get a -> ok v2
`)
	require.NoError(t, err)
	longest := 0
	out := check.RunWith(s, sim.RunOptions{Log: func(r *sim.LogRecord) {
		if r.Env != nil {
			if m, ok := r.Env.Body.(*core.Replicate); ok && len(m.Entries) > 0 {
				longest = max(longest, len(m.Entries[0].Value))
			}
		}
		require.Less(t, len(r.String()), 1000)
	}})
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.Equal(t, 1<<20, longest)
}

// Where nothing fails, no situation comes about but those that traffic alone
// makes: a request may come while the group forms, a get beside a put, and two
// clients with the same new key. A mark that such a run reached otherwise would
// say nothing when a search reaches it.
func TestMarksOfACalmRun(t *testing.T) {
	for _, reads := range []core.ReadMode{core.ReadConfirm, core.ReadLease} {
		for _, durable := range []bool{false, true} {
			s := steady(durable, reads, 400)
			s.Shape.Seed = 0 // without jitter, which lets messages overtake each other
			out := check.Run(s)
			require.Nil(t, out.Violation)
			for _, m := range out.Marks.Reached() {
				require.Contains(t, []mark.Mark{mark.RequestWhileReconciling, mark.GetBesideAnUncommittedWrite, mark.TwoClientsMapAKey}, m)
			}
			require.True(t, out.Marks[mark.GetBesideAnUncommittedWrite], "%v, durable %v", reads, durable)
		}
	}
}

// A pause is no restart: what the marks remember of a primary outlives it.
func TestMarksOverAPause(t *testing.T) {
	s := &schedule.Schedule{Shape: schedule.DefaultShape()}
	s.Shape.Nodes, s.Shape.Replicas, s.Shape.Seed = 1, 0, 1
	s.Actions = []schedule.Action{
		{At: 100 * time.Millisecond, Verb: schedule.VerbPut, Host: "c1", Key: "a", Value: "v1"},
		{At: 200 * time.Millisecond, Verb: schedule.VerbPause, Host: "n1"},
		{At: 210 * time.Millisecond, Verb: schedule.VerbGet, Host: "c1", Key: "a"},
		{At: 250 * time.Millisecond, Verb: schedule.VerbResume, Host: "n1"},
	}
	require.NoError(t, s.Validate())
	out := check.Run(s)
	require.Nil(t, out.Violation)
	require.False(t, out.Marks[mark.RestartedPrimaryAsked])
	s.Actions[1].Verb, s.Actions[3].Verb, s.Shape.Durable = schedule.VerbCrash, schedule.VerbRestart, true
	s.Actions[3].At = s.Actions[2].At // asked before the manager can have issued another epoch
	require.NoError(t, s.Validate())
	require.True(t, check.Run(s).Marks[mark.RestartedPrimaryAsked])
}

func TestMissingMarks(t *testing.T) {
	s := &schedule.Schedule{Shape: schedule.DefaultShape(), Shows: "request-while-reconciling loss-certain"}
	s.Actions = []schedule.Action{{At: 10 * time.Millisecond, Verb: schedule.VerbPut, Host: "c1", Key: "a", Value: "v1"}}
	require.NoError(t, s.Validate())
	require.Equal(t, []mark.Mark{mark.RequestWhileReconciling, mark.LossCertain}, s.Shown())
	require.Equal(t, []string{"the situation loss-certain did not come about: A group was declared lost for certain."}, check.Run(s).Missing(s))
}
