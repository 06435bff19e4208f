package generate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/sim/schedule"
)

// asked tells what a schedule asks of the protocol that nobody has promised; "" for
// nothing. A drawn one may give up data some time before or after its process ends, which
// the protocol survives; a varied one, of which there are ever further ones, does not.
func asked(s *schedule.Schedule, varied bool) string {
	down, paused, ended := map[string]bool{}, map[string]bool{}, map[string]time.Duration{}
	for i := range s.Actions {
		a := &s.Actions[i]
		switch a.Verb {
		case schedule.VerbRot, schedule.VerbMisdirect, schedule.VerbUnreadable:
			if isManager(a.Host) || !down[a.Host] {
				return "damage on the manager's disk, or that of a host that is up: " + a.String()
			}
		case schedule.VerbForget:
			if at, ok := ended[a.Host]; varied && (!ok || a.At-at > time.Second) {
				return "data given up that may be there: " + a.String()
			}
		case schedule.VerbMove:
			if !down[a.Target] || down[a.Host] {
				return "a move of data that nobody has, or to a host that is up: " + a.String()
			}
			down[a.Host], ended[a.Host], ended[a.Target] = true, a.At, a.At
		case schedule.VerbCrash, schedule.VerbWipe:
			down[a.Host], paused[a.Host], ended[a.Host] = true, false, a.At
		case schedule.VerbStop, schedule.VerbFailSync, schedule.VerbFullDisk:
			ended[a.Host] = a.At
		case schedule.VerbRestart:
			down[a.Host] = false
		case schedule.VerbPause, schedule.VerbResume:
			paused[a.Host] = a.Verb == schedule.VerbPause
		}
		if a.Verb.Operation() != 0 && paused[a.Host] {
			return "a call of a paused client: " + a.String()
		}
	}
	return ""
}

func TestDrawnSchedulesAskOnlyWhatIsPromised(t *testing.T) {
	for i := range 500 {
		require.Empty(t, asked(Schedule(NewSource(uint64(i))), false), "seed %d", i)
	}
}

// Variations of variations ask no more than the schedules that they come from, do not
// grow, and leave these as they were.
func TestVariedSchedulesAskOnlyWhatIsPromised(t *testing.T) {
	changed := 0
	for i := range 60 {
		src := NewSource(uint64(i))
		s, other := Schedule(NewSource(uint64(2*i))), Schedule(NewSource(uint64(2*i+1)))
		first := s.Shape
		for depth := range 25 {
			focus := Focus{At: time.Duration(src.Intn("at", 3000)) * time.Millisecond, Host: []string{"n1", "m", "c1", ""}[src.Intn("host", 4)]}
			if depth%2 == 0 {
				focus.Message = schedule.Deviation{Link: schedule.Link{From: "m", To: "n1"}, Kind: ways[2].kind, Ordinal: 1 + src.Intn("n", 5)}
			}
			before, beforeOther := s.String(), other.String()
			next := Vary(src, Parent{s, focus}, Parent{other, focus})
			require.Equal(t, before, s.String())
			require.Equal(t, beforeOther, other.String())
			require.NoError(t, next.Validate())
			require.Empty(t, asked(next, true), "seed %d, depth %d", i, depth)
			require.LessOrEqual(t, len(next.Actions), actionsVaried)
			require.LessOrEqual(t, len(next.Deviate), deviationsVaried)
			sh := &next.Shape
			require.Less(t, sh.OpTimeout, sh.CalmTimeout(), "no call must end well amid faults that were not drawn for it")
			require.Equal(t, []any{first.Durable, first.Reads, first.Clocks, first.LatencyMin, first.LatencyMax, first.Nodes, first.Clients},
				[]any{sh.Durable, sh.Reads, sh.Clocks, sh.LatencyMin, sh.LatencyMax, sh.Nodes, sh.Clients})
			if next.String() != before {
				changed++
			}
			s = next
		}
	}
	require.Greater(t, changed, 60*25*9/10)
}

func TestTheSameChoicesVaryTheSame(t *testing.T) {
	one, other := Parent{Schedule: Schedule(NewSource(1))}, Parent{Schedule: Schedule(NewSource(2))}
	seen := map[string]bool{}
	for i := range 50 {
		text := Vary(NewSource(uint64(i)), one, other).String()
		require.Equal(t, text, Vary(NewSource(uint64(i)), one, other).String())
		seen[text] = true
	}
	require.Greater(t, len(seen), 45)
}

// Each kind of change changes something.
func TestEachChangeChangesSomething(t *testing.T) {
	other := Schedule(NewSource(5))
	for i, c := range changes {
		done := false
		for seed := uint64(0); seed < 20 && !done; seed++ {
			s := Schedule(NewSource(100 + seed))
			g := newGenerator(NewSource(seed))
			g.s, g.end = s.Clone(), 3*time.Second
			focus := Focus{At: time.Second, Host: "n1", Message: schedule.Deviation{Link: schedule.Link{From: "m", To: "n1"}, Kind: ways[2].kind, Ordinal: 1}}
			c.make(&variation{generator: g, other: other, focus: focus})
			done = g.s.String() != s.String()
		}
		require.True(t, done, "change %d", i)
	}
}
