package fuzz

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"gtstore/sim"
	"gtstore/sim/schedule"
)

// parts searches in so many shards, each with an archive of its own.
func parts(t *testing.T, n int) []string {
	t.Helper()
	var dirs []string
	for i := 1; i <= n; i++ {
		dir := filepath.Join(t.TempDir(), fmt.Sprint("part", i))
		searchTo(t, dir, Shard{i, n}, archiveSchedules, 2)
		dirs = append(dirs, dir)
	}
	return dirs
}

func merge(t *testing.T, dirs ...string) (*Merged, map[string]string, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "new", "out")
	m, err := mergeWith(t.Context(), out, dirs, ThisBuild(), someFail)
	if err != nil {
		require.NoDirExists(t, out, "after an error nothing is there")
		left, globErr := filepath.Glob(filepath.Join(filepath.Dir(out), ".*"))
		require.NoError(t, globErr)
		require.Empty(t, left, "what was begun is removed")
	}
	return m, contents(t, out), err
}

// edit changes the state of an archive.
func edit(t *testing.T, dir string, shard Shard, change func(*state)) {
	t.Helper()
	s, err := readState(stateFile(dir, shard), shard)
	require.NoError(t, err)
	change(s)
	require.NoError(t, s.write(stateFile(dir, shard)))
}

// What many machines found and counted is, merged, what one machine finds and counts.
func TestMergedPartsAreTheWhole(t *testing.T) {
	wholeDir := t.TempDir()
	whole, traces := searchTo(t, wholeDir, Shard{}, archiveSchedules, 2)
	dirs := parts(t, 3)
	m, merged, err := merge(t, dirs...)
	require.NoError(t, err)
	require.Empty(t, m.Missing)
	require.Empty(t, m.Gone)
	stats := m.Stats()
	stats.Wall = 0
	require.Empty(t, cmp.Diff(whole, stats, cmp.AllowUnexported(Stats{})))
	require.Len(t, merged, len(traces))
	a := openArchive(t, wholeDir, 7, Shard{})
	seen := map[string]int{}
	for _, f := range a.Found() {
		seen[f.Property+" "+f.Place] = f.Seen
	}
	for _, f := range m.Found {
		require.Equal(t, seen[f.Property+" "+f.Place], f.Seen, f.Place)
		require.FileExists(t, f.File)
		require.Equal(t, 1, f.Size)
	}
	require.Len(t, m.Found, len(seen))
	require.Equal(t, []Part{{Shard: "1/3", Schedules: 20}, {Shard: "2/3", Schedules: 20}, {Shard: "3/3", Schedules: 20}},
		[]Part{{Shard: m.Parts[0].Shard, Schedules: m.Parts[0].Schedules}, {Shard: m.Parts[1].Shard, Schedules: m.Parts[1].Schedules}, {Shard: m.Parts[2].Shard, Schedules: m.Parts[2].Schedules}})

	text, err := os.ReadFile(filepath.Join(filepath.Dir(m.Found[0].File), mergedName))
	require.NoError(t, err)
	var saved Merged
	require.NoError(t, json.Unmarshal(text, &saved))
	require.Equal(t, m.Totals, saved.Totals)
	require.Equal(t, ThisBuild(), saved.Build)

	// The order in which they are named, and whether they share a directory, changes nothing.
	_, again, err := merge(t, dirs[2], dirs[0], dirs[1])
	require.NoError(t, err)
	require.Equal(t, merged, again)
	shared := t.TempDir()
	for i := 1; i <= 3; i++ {
		searchTo(t, shared, Shard{i, 3}, archiveSchedules, 2)
	}
	together, _, err := merge(t, shared)
	require.NoError(t, err)
	require.Equal(t, m.Stats().Events, together.Stats().Events)
	require.Len(t, together.Found, len(m.Found))

	one, _, err := merge(t, wholeDir)
	require.ErrorContains(t, err, "a search is under way there", "it is open, above")
	require.Nil(t, one)
	a.Close()
	one, _, err = merge(t, wholeDir)
	require.NoError(t, err)
	require.Zero(t, one.Of)
	require.Empty(t, one.Missing)
}

func TestMergeNamesWhatIsMissing(t *testing.T) {
	dirs := parts(t, 4)
	searchTo(t, dirs[1], Shard{2, 4}, archiveSchedules, 1)
	empty := t.TempDir()
	searchTo(t, empty, Shard{4, 4}, 1, 1) // schedule 0, and no more
	m, _, err := merge(t, dirs[1], dirs[2], empty)
	require.NoError(t, err)
	require.Equal(t, []int{1}, m.Missing)

	nothing := t.TempDir()
	openArchive(t, nothing, 7, Shard{1, 4}).Close()
	m, _, err = merge(t, dirs[1], nothing)
	require.NoError(t, err)
	require.Equal(t, []int{1, 3, 4}, m.Missing, "a search that ran nothing says nothing")
}

func TestMergeKeepsTheShortestThatStillFails(t *testing.T) {
	dirs := parts(t, 2)
	var place Found
	a := openArchive(t, dirs[0], 7, Shard{1, 2})
	for _, f := range a.Found() {
		if f.Property == "lost" {
			place = f
		}
	}
	a.Close()
	name := fileName(place.Property, place.Place)
	failing, err := os.ReadFile(filepath.Join(dirs[0], name))
	require.NoError(t, err)
	longer, holds := string(failing)+"at 1h c1 get a\n", "cluster nodes=1 replicas=0\n"
	write := func(dir, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
	}

	for _, c := range []struct{ name, first, second, want string }{
		{"the shorter", longer, string(failing), string(failing)},
		{"the shorter one holds", longer, holds, longer},
	} {
		write(dirs[0], c.first)
		write(dirs[1], c.second)
		_, traces, err := merge(t, dirs...)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, traces[name], c.name)
	}

	write(dirs[0], holds)
	write(dirs[1], holds)
	_, _, err = merge(t, dirs...)
	require.ErrorContains(t, err, "the file was changed since; copy that archive again", "one build sees the same twice")

	by := ThisBuild()
	by.Revision = "later"
	out := filepath.Join(t.TempDir(), "out")
	m, err := mergeWith(t.Context(), out, dirs, by, someFail)
	require.NoError(t, err)
	require.Len(t, m.Gone, 1)
	require.Equal(t, place.Place, m.Gone[0].Place)
	require.NoFileExists(t, filepath.Join(out, name))
}

// What cannot be merged is refused, and nothing is written or changed.
func TestMergeRefuses(t *testing.T) {
	dirs := parts(t, 3)
	other := func(shard Shard, change func(*state)) string {
		dir := t.TempDir()
		searchTo(t, dir, shard, archiveSchedules, 1)
		edit(t, dir, shard, change)
		return dir
	}
	same := func(*state) {}
	damaged := other(Shard{2, 3}, same)
	text, err := os.ReadFile(stateFile(damaged, Shard{2, 3}))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(stateFile(damaged, Shard{2, 3}), text[:len(text)/2], 0o666))
	noTrace, badTrace := other(Shard{2, 3}, same), other(Shard{2, 3}, same)
	lost, err := filepath.Glob(filepath.Join(noTrace, "*.trace"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(lost[0]))
	require.NoError(t, os.WriteFile(filepath.Join(badTrace, filepath.Base(lost[0])), []byte("at 0s c1 pu"), 0o666))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	merged := filepath.Join(t.TempDir(), "merged")
	_, err = mergeWith(t.Context(), merged, dirs, ThisBuild(), someFail)
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dirs[0], link))

	before := snapshot(t, dirs)
	for _, c := range []struct {
		name string
		dirs []string
		want string
	}{
		{"another seed", []string{dirs[0], other(Shard{2, 3}, func(s *state) { s.Seed = 8 })}, "of seed 7, but"},
		{"other managers", []string{dirs[0], other(Shard{2, 3}, func(s *state) { s.Managers = 3 })}, "of managers of each schedule 0, but"},
		{"another length", []string{dirs[0], other(Shard{2, 3}, func(s *state) { s.Length = time.Hour })}, "of schedules of length 0s, but"},
		{"another revision", []string{dirs[0], other(Shard{2, 3}, func(s *state) { s.Build.Revision = "x" })}, "only the parts of one search can be merged"},
		{"another Go", []string{dirs[0], other(Shard{2, 3}, func(s *state) { s.Build.Go = "go1.1" })}, "go1.1"},
		{"another format", []string{dirs[0], other(Shard{2, 3}, func(s *state) { s.Format = "gtstore fuzz search 1" })}, "reads only its own"},
		{"a split in two, and one in three", []string{dirs[0], other(Shard{2, 2}, same)}, "in so many parts: 3, but"},
		{"a part, and the whole", []string{dirs[0], other(Shard{}, same)}, "in so many parts: 1, but"},
		{"a part twice", []string{dirs[0], dirs[1], other(Shard{2, 3}, same)}, "are of the same part of the search: leave the older of the two out"},
		{"a directory twice", []string{dirs[0], dirs[1], dirs[0] + "/."}, "are the same directory: name it once"},
		{"a directory by two names", []string{dirs[0], link}, "are the same directory: name it once"},
		{"no directory", []string{dirs[0], filepath.Join(dirs[0], "nothing")}, "no such file or directory"},
		{"a file", []string{file}, "not a directory"},
		{"no archive", []string{dirs[0], t.TempDir()}, "is no archive: it has no search.json"},
		{"a merge", []string{merged}, "is what a merge made: name the archives that it was made of"},
		{"half a state", []string{dirs[0], damaged}, "unexpected end of JSON input"},
		{"a trace is missing", []string{noTrace}, "is missing, of which the archive says that it shows"},
		{"a trace is damaged", []string{badTrace}, "is not a trace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := merge(t, c.dirs...)
			require.ErrorContains(t, err, c.want)
		})
	}
	for _, out := range []string{dirs[0], t.TempDir(), file} {
		_, err = mergeWith(t.Context(), out, dirs, ThisBuild(), someFail)
		require.ErrorContains(t, err, "which is there already: name a directory that is not")
	}
	_, err = mergeWith(t.Context(), filepath.Join(file, "out"), dirs, ThisBuild(), someFail)
	require.ErrorContains(t, err, "not a directory")
	require.Equal(t, before, snapshot(t, dirs))

	_, err = OpenArchive(merged, Options{Seed: 7}, true, nil)
	require.ErrorContains(t, err, "is what a merge made, where no search goes on")
}

// Of two merges to one place that overlap, the second finds it taken, and leaves it alone.
func TestTwoMergesAtOnce(t *testing.T) {
	dirs := parts(t, 2)
	out := filepath.Join(t.TempDir(), "out")
	nested := false
	_, err := mergeWith(t.Context(), out, dirs, ThisBuild(), func(s *schedule.Schedule) *sim.Outcome {
		if !nested {
			nested = true
			_, err := mergeWith(t.Context(), out, dirs, ThisBuild(), someFail)
			require.NoError(t, err)
		}
		return someFail(s)
	})
	require.ErrorContains(t, err, "nothing was merged")
	require.FileExists(t, filepath.Join(out, mergedName))
	left, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// snapshot is all that is in the directories, but for lock files.
func snapshot(t *testing.T, dirs []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
				return err
			}
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		}))
	}
	return all
}
