package fuzz

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gtstore/sim"
	"gtstore/sim/schedule"
)

// someFail is a check of a code with two faults. One needs a put; the other needs a crash
// of a host, and shows at two places.
func someFail(s *schedule.Schedule) *sim.Outcome {
	out := &sim.Outcome{Events: s.Size(), Virtual: time.Second}
	has := func(v schedule.Verb) int {
		return slices.IndexFunc(s.Actions, func(a schedule.Action) bool { return a.Verb == v })
	}
	switch crash, put := has(schedule.VerbCrash), has(schedule.VerbPut); {
	case s.Shape.Seed%5 == 0 && crash >= 0:
		where := "before"
		if s.Shape.Replicas > 1 {
			where = "after"
		}
		out.Violation = &sim.Violation{Property: "commit-durable", Text: fmt.Sprintf("%s crashed at %v, %s 1 ack", s.Actions[crash].Host, s.Actions[crash].At, where)}
	case s.Shape.Seed%7 == 0 && put >= 0:
		out.Violation = &sim.Violation{Property: "lost", Text: fmt.Sprintf("key %q is gone", s.Actions[put].Key)}
	}
	return out
}

func openArchive(t *testing.T, dir string, seed uint64, shard Shard) *Archive {
	t.Helper()
	a, err := OpenArchive(dir, Options{Seed: seed, Shard: shard}, true, nil)
	require.NoError(t, err)
	t.Cleanup(a.Close)
	return a
}

// searchTo searches to an index, and returns the totals and the archive's content.
func searchTo(t *testing.T, dir string, shard Shard, schedules, workers int) (*Stats, map[string]string) {
	t.Helper()
	a := openArchive(t, dir, 7, shard)
	stats, failure, err := Search(t.Context(), Options{Seed: a.Seed(), Schedules: schedules, Workers: workers, Shard: shard, Archive: a, check: someFail})
	require.NoError(t, err)
	require.Nil(t, failure)
	a.Close()
	stats.Wall = 0
	return stats, contents(t, dir)
}

// contents are the traces of an archive, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.trace"))
	require.NoError(t, err)
	traces := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		traces[filepath.Base(file)] = string(text)
	}
	return traces
}

const archiveSchedules = 60

func TestArchiveKeepsOneShortTraceOfEachPlace(t *testing.T) {
	dir := t.TempDir()
	_, traces := searchTo(t, dir, Shard{}, archiveSchedules, 2)
	places := map[string]bool{}
	for _, text := range traces {
		s, err := schedule.Parse(text)
		require.NoError(t, err)
		require.Equal(t, 1, s.Size(), text)
		v := someFail(s).Violation
		require.NotNil(t, v, text)
		require.Contains(t, text, "Found by gtstore fuzz --seed 7, schedule ")
		places[v.Property+": "+Place(v)] = true
	}
	require.Equal(t, map[string]bool{
		"commit-durable: # crashed at #, before # ack": true,
		"commit-durable: # crashed at #, after # ack":  true,
		"lost: key # is gone":                          true,
	}, places)
	require.Len(t, traces, len(places))

	a := openArchive(t, dir, 7, Shard{})
	failures := 0
	for i := range archiveSchedules {
		if someFail(Schedule(7, i)).Violation != nil {
			failures++
		}
	}
	seen := 0
	for _, f := range a.Found() {
		seen += f.Seen
		require.Equal(t, 1, f.Size)
		require.FileExists(t, f.File)
	}
	require.Equal(t, failures, seen)
	require.Greater(t, failures, len(places), "some place was found twice")
}

func TestArchiveIsTheSameForAnyNumberOfWorkers(t *testing.T) {
	stats, traces := searchTo(t, t.TempDir(), Shard{}, archiveSchedules, 1)
	for _, workers := range []int{2, 7} {
		otherStats, otherTraces := searchTo(t, t.TempDir(), Shard{}, archiveSchedules, workers)
		require.Empty(t, cmp.Diff(stats, otherStats, cmp.AllowUnexported(Stats{})), "%d workers", workers)
		require.Empty(t, cmp.Diff(traces, otherTraces), "%d workers", workers)
	}
}

// A search comes to the same archive, wherever it is interrupted and taken up again.
func TestArchiveIsTheSameAfterInterruptions(t *testing.T) {
	stats, traces := searchTo(t, t.TempDir(), Shard{}, archiveSchedules, 2)
	dir := t.TempDir()
	for _, to := range []int{1, 9, 9, 31, 32, archiveSchedules} {
		partial, _ := searchTo(t, dir, Shard{}, to, 2)
		require.Equal(t, to, partial.Schedules)
	}
	again, _ := searchTo(t, dir, Shard{}, archiveSchedules, 2)
	require.Empty(t, cmp.Diff(stats, again, cmp.AllowUnexported(Stats{})))
	require.Empty(t, cmp.Diff(traces, contents(t, dir)))
}

// A search whose context ends while it shrinks has saved the failure. It shrinks the
// failure when it is taken up again.
func TestArchiveShrinksLaterWhatWasInterrupted(t *testing.T) {
	want, traces := searchTo(t, t.TempDir(), Shard{}, archiveSchedules, 1)
	dir := t.TempDir()
	a := openArchive(t, dir, 7, Shard{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := 0
	stats, _, err := Search(ctx, Options{Seed: 7, Workers: 1, Archive: a, check: func(s *schedule.Schedule) *sim.Outcome {
		out := someFail(s)
		if out.Violation != nil {
			if failed++; failed == 3 {
				cancel()
			}
		}
		return out
	}})
	require.NoError(t, err)
	require.Less(t, stats.Schedules, archiveSchedules)
	found := a.Found()
	require.Len(t, found, 1)
	require.Greater(t, found[0].Size, 1, "it was ended before it was done")
	require.FileExists(t, found[0].File)
	a.Close()

	again, _ := searchTo(t, dir, Shard{}, archiveSchedules, 1)
	require.Empty(t, cmp.Diff(want, again, cmp.AllowUnexported(Stats{})))
	require.Empty(t, cmp.Diff(traces, contents(t, dir)))
}

// A process that is killed loses what it counted since it last saved its state, and no
// failure that it found. The next process finds such a failure again, and does not count
// it twice.
func TestArchiveAfterTheProcessWasKilled(t *testing.T) {
	want, traces := searchTo(t, t.TempDir(), Shard{}, archiveSchedules, 1)
	dir := t.TempDir()
	searchTo(t, dir, Shard{}, 10, 1)
	old, err := os.ReadFile(stateFile(dir, Shard{}))
	require.NoError(t, err)
	searchTo(t, dir, Shard{}, 50, 1)
	require.NoError(t, os.WriteFile(stateFile(dir, Shard{}), old, 0o666))
	again, _ := searchTo(t, dir, Shard{}, archiveSchedules, 1)
	require.Empty(t, cmp.Diff(want, again, cmp.AllowUnexported(Stats{})))
	require.Empty(t, cmp.Diff(traces, contents(t, dir)))
}

func TestShardsAreTheWholeTogether(t *testing.T) {
	whole, traces := searchTo(t, t.TempDir(), Shard{}, archiveSchedules, 2)
	dir := t.TempDir()
	sum := Stats{}
	for i := 1; i <= 3; i++ {
		stats, _ := searchTo(t, dir, Shard{i, 3}, archiveSchedules, 2)
		require.Equal(t, archiveSchedules/3, stats.Schedules)
		sum.Schedules += stats.Schedules
		sum.Events += stats.Events
		sum.Virtual += stats.Virtual
	}
	require.Equal(t, Stats{Schedules: whole.Schedules, Events: whole.Events, Virtual: whole.Virtual}, sum)
	var names, want []string
	for name := range contents(t, dir) {
		names = append(names, name)
	}
	for name := range traces {
		want = append(want, name)
	}
	require.ElementsMatch(t, want, names, "the shards find what the whole finds")

	seen := map[string]int{}
	for i := 1; i <= 3; i++ {
		shard := Shard{i, 3}
		_, _, err := Search(t.Context(), Options{Seed: 7, Schedules: 20, Workers: 2, Shard: shard, check: func(s *schedule.Schedule) *sim.Outcome {
			return &sim.Outcome{Verdict: s.String(), Violation: nil}
		}})
		require.NoError(t, err)
		for index := shard.first(); index < 20; index += shard.step() {
			require.True(t, shard.has(index))
			seen[Schedule(7, index).String()]++
		}
	}
	require.Len(t, seen, 20)
}

func TestParseShard(t *testing.T) {
	for _, text := range []string{"1/1", "1/4", "4/4"} {
		s, err := ParseShard(text)
		require.NoError(t, err)
		require.Equal(t, text, s.String())
	}
	for _, text := range []string{"", "1", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/2/3", "1/9999999", "1 / 2"} {
		_, err := ParseShard(text)
		require.ErrorContains(t, err, "want i/n with 1 ≤ i ≤ n", text)
	}
	require.Equal(t, 0, Shard{4, 4}.first())
	require.Equal(t, 3, Shard{3, 4}.first())
	require.Equal(t, 8, Shard{3, 4}.End(2), "schedules 3 and 7")
	require.Equal(t, 2, Shard{}.End(2))
}

func TestArchiveOfAnotherSearch(t *testing.T) {
	dir := t.TempDir()
	searchTo(t, dir, Shard{}, 5, 1)
	_, err := OpenArchive(dir, Options{Seed: 8}, true, nil)
	require.ErrorContains(t, err, "of a search of seed 7, not of seed 8")

	_, err = OpenArchive(dir, Options{Seed: 7, Length: time.Hour}, true, nil)
	require.ErrorContains(t, err, "of schedules of length 0s, not 1h0m0s")

	_, err = OpenArchive(dir, Options{Seed: 7, Managers: 3}, true, nil)
	require.ErrorContains(t, err, "of schedules with 0 managers, not 3")

	a, err := OpenArchive(dir, Options{Seed: 99}, false, nil)
	require.NoError(t, err)
	require.EqualValues(t, 7, a.Seed(), "without a seed it goes on with its own")
	_, err = OpenArchive(dir, Options{Seed: 99}, false, nil)
	require.ErrorContains(t, err, "another process works there")
	a.Close()

	a, err = OpenArchive(t.TempDir(), Options{Seed: 99}, false, nil)
	require.NoError(t, err)
	defer a.Close()
	require.EqualValues(t, 99, a.Seed())
}

// A state that is wrong is refused, and neither it nor a trace is changed.
func TestArchiveWithABrokenState(t *testing.T) {
	dir := t.TempDir()
	searchTo(t, dir, Shard{}, archiveSchedules, 1)
	file := stateFile(dir, Shard{})
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	good := string(text)
	traces := contents(t, dir)
	swap := func(old, new string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "unexpected end of JSON input"},
		{"cut off", good[:len(good)/2], "unexpected end of JSON input"},
		{"of something else", `{"name": "x"}`, `its format is "", and this build reads only its own, "gtstore fuzz search 2"`},
		{"of an earlier version", swap("search 2", "search 1"), `its format is "gtstore fuzz search 1"`},
		{"of a later version", strings.Replace(swap("search 2", "search 3"), `"seed": 7`, `"seed": [7]`, 1), `its format is "gtstore fuzz search 3"`},
		{"of no build", swap(ThisBuild().Behaviour, ""), "does not say which build"},
		{"of a shard", swap(`"shard": ""`, `"shard": "1/2"`), `it is of the shard "1/2"`},
		{"a number changed", swap(`"next": 60`, `"next": 61`), "60 schedules were counted, but the next is schedule 61"},
		{"no number", swap(`"next": 60`, `"next": "many"`), "cannot unmarshal"},
		{"below nothing", swap(`"next": 60`, `"next": -1`), "the next schedule, -1, is none of the shard"},
		{"a total below nothing", swap(`"events": `, `"events": -`), "a total is -"},
		{"more failures than schedules", swap(`"others": 0`, `"others": 60`), "schedules failed"},
		{"a place seen never", swap(`"seen": `, `"seen": -`), "what it says of a failure cannot be"},
		{"pending beyond the end", swap(`"pending": []`, `"pending": [60]`), "schedule 60, which is to be shrunk"},
		{"too long", strings.Repeat(" ", stateBytesMax+1), "it has more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, []byte(c.text), 0o666))
			_, err := OpenArchive(dir, Options{Seed: 1}, false, nil)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, file)
			require.ErrorContains(t, err, "Move it away")
			after, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, c.text, string(after))
			require.Equal(t, traces, contents(t, dir))
		})
	}
}

// The shorter of two traces stays, unless it no longer fails. A file that is no trace is
// not overwritten.
func TestArchiveWithTracesAlreadyThere(t *testing.T) {
	dir := t.TempDir()
	f := &Failure{Seed: 7, Index: 3, Schedule: Schedule(7, 3), Violation: &sim.Violation{Property: "p", Text: "n1 is wrong"}}
	fails := func(*schedule.Schedule) *sim.Outcome { return &sim.Outcome{Violation: f.Violation} }
	holds := func(*schedule.Schedule) *sim.Outcome { return &sim.Outcome{} }
	file := filepath.Join(dir, fileName("p", "# is wrong"))
	const short = "at 0s c1 put a x\n"

	for _, c := range []struct {
		name, old string
		check     func(*schedule.Schedule) *sim.Outcome
		kept      bool
	}{
		{"a shorter one that fails", short, fails, true},
		{"a shorter one that holds by now", short, holds, false},
		{"a longer one", strings.Repeat("at 0s c1 get a\n", f.Schedule.Size()+1), fails, false},
	} {
		require.NoError(t, os.WriteFile(file, []byte(c.old), 0o666))
		a := &Archive{dir: dir}
		require.NoError(t, a.note(f, c.check), c.name)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, c.kept, string(text) == c.old, c.name)
		require.Len(t, a.Found(), 1)
	}

	require.NoError(t, os.WriteFile(file, []byte("notes of mine"), 0o666))
	a := &Archive{dir: dir}
	require.ErrorContains(t, a.note(f, fails), file+", where the archive has a failure, is not a trace")
	require.Empty(t, a.Found(), "it is not counted, so that it is met again")
}

func TestArchiveIsBounded(t *testing.T) {
	a := &Archive{dir: t.TempDir()}
	s := Schedule(7, 3)
	for i := range PlacesMax {
		a.state.Found = append(a.state.Found, &Found{Property: "p", Place: fmt.Sprint("place ", i), Seen: 1})
	}
	require.NoError(t, a.note(&Failure{Seed: 7, Index: 3, Schedule: s, Violation: &sim.Violation{Property: "p", Text: "yet another"}}, someFail))
	require.Equal(t, 1, a.Others())
	require.Len(t, a.Found(), PlacesMax)
	require.Empty(t, contents(t, a.dir))

	shrunk := 0
	for n := 1; n <= 1_000_000; n++ {
		if worthShrinking(n) {
			shrunk++
		}
	}
	require.Equal(t, 21, shrunk, "of a million failures of one place")
}

// When the archive cannot be written the search ends, and says why.
func TestArchiveThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	a := openArchive(t, dir, 7, Shard{})
	var ran atomic.Int64
	_, _, err := Search(t.Context(), Options{Seed: 7, Workers: 2, Archive: a, check: func(s *schedule.Schedule) *sim.Outcome {
		if ran.Add(1) == 2 {
			assert.NoError(t, os.Rename(dir, dir+"-away")) // before anything has failed
		}
		return someFail(s)
	}})
	require.ErrorContains(t, err, dir)
}

func TestPlace(t *testing.T) {
	for _, c := range []struct{ text, place string }{
		{"", ""},
		{"n2, a member of group 1 at epoch 3, gave up what it holds", "# member of group # at epoch #, gave up what it holds"},
		{"n17, a member of group 4 at epoch 31, gave up what it holds", "# member of group # at epoch #, gave up what it holds"},
		{"c1 put a v5, called at 1.2s, has not ended 10s after the faults did", "# put #, called at #, has not ended # after the faults did"},
		{"c1 get b, called at 1.2s, has not ended 10s after the faults did", "# get #, called at #, has not ended # after the faults did"},
		{"no order of the operations on key \"x\\\" y\" explains their results:\nand lines\n", "no order of the operations on key # explains their results:"},
		{"key \"open", "key #"},
		{"n1, n2 and n3 (of 4) differ", "# and # (of #) differ"},
		{"n1: runtime error: index out of range [5] with length 3", "#: runtime error: index out of range [#] with length #"},
		{"bad \xff byte", "bad ? byte"},
	} {
		require.Equal(t, c.place, Place(&sim.Violation{Text: c.text}))
	}
	require.LessOrEqual(t, len(Place(&sim.Violation{Text: strings.Repeat("é ", 1000)})), placeBytesMax)
	require.LessOrEqual(t, len(Place(&sim.Violation{Text: strings.Repeat("éé ", 1000)})), placeBytesMax)
}

// What one build has searched, another does not go on with: its verdict would be of
// neither.
func TestArchiveOfAnotherBuild(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b *Build)
	}{
		{"another revision", func(b *Build) { b.Revision = "0f1ed9e" }},
		{"another Go", func(b *Build) { b.Go = "go1.1" }},
		{"another behaviour, without a revision", func(b *Build) { b.Behaviour = "0123456789abcdef" }},
	} {
		dir := t.TempDir()
		searchTo(t, dir, Shard{}, 5, 1)
		s, err := readState(stateFile(dir, Shard{}), Shard{})
		require.NoError(t, err)
		c.change(&s.Build)
		require.NoError(t, s.write(stateFile(dir, Shard{})))
		_, err = OpenArchive(dir, Options{Seed: 7}, true, nil)
		require.ErrorContains(t, err, "a search by another build ("+s.Build.String()+")", c.name)
		require.ErrorContains(t, err, "choose another directory", c.name)
	}
}

func TestABuildIsKnownByItsRevisionOrWhatItDoes(t *testing.T) {
	for _, c := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, ""},
		{[]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, ""},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}, "abc"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}, "abc+changes"},
	} {
		require.Equal(t, c.want, revisionOf(&debug.BuildInfo{Settings: c.settings}))
	}
	require.Len(t, ThisBuild().Behaviour, 16)
	require.NotEqual(t, fmt.Sprintf("%016x", 0), ThisBuild().Behaviour)
	require.Equal(t, ThisBuild().Behaviour, behaviour(), "it is the same in every process of a build")
}
