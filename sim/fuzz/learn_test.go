package fuzz

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"gtstore/sim"
	"gtstore/sim/schedule"
)

const learnSchedules = 3*roundSize + 10

// learnTo searches and learns up to an index, and returns the totals and the saved state.
func learnTo(t *testing.T, dir string, shard Shard, schedules, workers int) (*Stats, *state) {
	t.Helper()
	o := Options{Seed: 7, Schedules: schedules, Workers: workers, Shard: shard, Learn: true}
	a, err := OpenArchive(dir, o, true, nil)
	require.NoError(t, err)
	defer a.Close()
	o.Archive = a
	stats, _, err := Search(t.Context(), o)
	require.NoError(t, err)
	stats.Wall, a.state.Totals.Wall = 0, 0
	return stats, &a.state
}

// What a search learns does not depend on how many workers it has, or on where it was
// interrupted.
func TestASearchThatLearnsIsTheSameEveryTime(t *testing.T) {
	stats, want := learnTo(t, t.TempDir(), Shard{}, learnSchedules, 1)
	require.Equal(t, learnSchedules, stats.Schedules)
	for _, workers := range []int{3} {
		other, state := learnTo(t, t.TempDir(), Shard{}, learnSchedules, workers)
		require.Empty(t, cmp.Diff(stats, other, cmp.AllowUnexported(Stats{})), "%d workers", workers)
		require.Equal(t, want.Learnt, state.Learnt)
	}
	dir := t.TempDir()
	for _, to := range []int{roundSize + 3, 2 * roundSize, 3*roundSize - 1, learnSchedules} {
		partial, _ := learnTo(t, dir, Shard{}, to, 2)
		require.Equal(t, to, partial.Schedules)
	}
	again, state := learnTo(t, dir, Shard{}, learnSchedules, 2)
	require.Empty(t, cmp.Diff(stats, again, cmp.AllowUnexported(Stats{})))
	require.Equal(t, want.Learnt, state.Learnt)
}

// The first two rounds are those of a search that does not learn. After that about every
// second schedule is a variation.
func TestHowMuchASearchThatLearnsVaries(t *testing.T) {
	for _, shard := range []Shard{{}, {2, 3}} {
		l := newLearner(7, shard)
		i, varied := shard.first(), 0
		for n := range learnSchedules {
			s := l.schedule(i)
			require.Equal(t, s.String(), l.schedule(i).String())
			require.NoError(t, s.Validate())
			switch fresh := s.String() == Schedule(7, i).String(); {
			case n < 2*roundSize:
				require.True(t, fresh, "schedule %d", i)
			case !fresh:
				varied++
			}
			_, moments := runMoments(s)
			l.note(i, s, moments)
			i += shard.step()
		}
		require.InDelta(t, (learnSchedules-2*roundSize)/freshOf, varied, 14)
	}
}

// needs is such that a round never waits for the one before.
func TestWhatAScheduleNeeds(t *testing.T) {
	for _, c := range []struct {
		shard    Shard
		i, needs int
	}{
		{Shard{}, 0, 0}, {Shard{}, 2*roundSize - 1, 0}, {Shard{}, 2 * roundSize, roundSize}, {Shard{}, 3*roundSize - 1, roundSize},
		{Shard{}, 3 * roundSize, 2 * roundSize}, {Shard{2, 3}, 2 + 3*(2*roundSize-1), 2}, {Shard{2, 3}, 2 + 3*2*roundSize, 2 + 3*roundSize},
	} {
		require.Equal(t, c.needs, newLearner(1, c.shard).needs(c.i), "%v", c)
	}
}

// A schedule is kept when something came about for the first time, and no more than
// learntMax are.
func TestWhatIsKept(t *testing.T) {
	l := newLearner(7, Shard{})
	s := Schedule(7, 0)
	of := func(n ...uint64) (list []moment) {
		for _, what := range n {
			list = append(list, moment{situation: situationOf(classMark, what)})
		}
		return list
	}
	l.note(0, s, of(1, 2))
	l.note(1, s, of(2))
	l.note(2, s, of(2, 3))
	l.note(3, s, nil)
	require.Equal(t, []int{0, 2}, l.indices())
	for i := range learntMax + 10 {
		l.note(4+i, s, of(uint64(100+i)))
	}
	require.Len(t, l.indices(), learntMax)
}

// Whoever watches a run changes nothing in it, and names its messages as a schedule does: a
// fate for one of them has an effect.
func TestTheMomentsOfARun(t *testing.T) {
	messages := 0
	classes := map[class]bool{}
	for i := range 20 {
		s := Schedule(7, i)
		out, moments := runMoments(s)
		require.Equal(t, Check(s, sim.RunOptions{}).Hash, out.Hash)
		_, again := runMoments(s)
		require.Equal(t, moments, again)
		for n, m := range moments {
			classes[m.situation.class()] = true
			d := m.focus.Message
			if d.Kind == 0 || n%20 != 0 {
				continue
			}
			require.Equal(t, m.focus.Host, d.Link.To)
			messages++
			changed := s.Clone()
			d.Fate = schedule.FateDrop
			changed.Deviate = slices.DeleteFunc(changed.Deviate, func(e schedule.Deviation) bool {
				return e.Link == d.Link && e.Kind == d.Kind && e.Ordinal == d.Ordinal
			})
			changed.Deviate = append(changed.Deviate, d)
			require.NoError(t, changed.Validate())
			out, _ := runMoments(changed)
			require.NotContains(t, out.IdleDeviations, len(changed.Deviate)-1, "%v", &d)
		}
	}
	require.Len(t, classes, int(classCount))
	require.Greater(t, messages, 50)
}

func TestArchiveOfASearchThatLearns(t *testing.T) {
	dir := t.TempDir()
	learnTo(t, dir, Shard{1, 2}, 20, 2)
	_, err := OpenArchive(dir, Options{Seed: 7, Shard: Shard{1, 2}}, true, nil)
	require.ErrorContains(t, err, "of a search that learns: true; of this one: false")
	plain := t.TempDir()
	searchTo(t, plain, Shard{2, 2}, 20, 1)
	_, _, err = merge(t, dir, plain)
	require.ErrorContains(t, err, "of a search that learns: true, but")

	file := stateFile(dir, Shard{1, 2})
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, c := range []struct {
		learnt []int
		want   string
	}{
		{[]int{5, 1}, "what it says to have learnt cannot be"},
		{[]int{1, 21}, "schedule 21, which is to be varied, is none that was counted"},
		{[]int{2}, "schedule 2, which is to be varied, is none that was counted"},
	} {
		edit(t, dir, Shard{1, 2}, func(s *state) { s.Learnt = c.learnt })
		_, err = OpenArchive(dir, Options{Seed: 7, Shard: Shard{1, 2}, Learn: true}, true, nil)
		require.ErrorContains(t, err, c.want)
		require.NoError(t, os.WriteFile(file, good, 0o666))
	}

	// An index that was not kept is noticed when it is run again.
	l := newLearner(7, Shard{1, 2})
	for _, i := range []int{1, 3, 5, 7, 9, 11, 13, 15, 17, 19} {
		_, moments := runMoments(Schedule(7, i))
		l.note(i, Schedule(7, i), moments)
	}
	require.ErrorContains(t, newLearner(7, Shard{1, 2}).recall([]int{1, 1}), "nothing came about for the first time in schedule 1")
	require.NoError(t, newLearner(7, Shard{1, 2}).recall(l.indices()))
}
