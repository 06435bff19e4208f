package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/explore"
	"gtstore/sim/explore/cluster"
)

const smallScenario = `# A put while a member of a pair is evicted.
cluster members=2
before put x old
c1 put x a
budget evict=1
finish
`

// scenarioFile writes a scenario and returns its name.
func scenarioFile(t *testing.T, name, text string) string {
	file := filepath.Join(t.TempDir(), name+cluster.Suffix)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o666))
	return file
}

func TestExploreClaims(t *testing.T) {
	file := scenarioFile(t, "small", smallScenario)
	code, stdout, stderr := run(t, "", "explore", file)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Empty(t, stderr, "no progress where there is no terminal")
	require.True(t, strings.HasPrefix(stdout, "small: holds, complete\n  2 of 2, memory, confirm; at most evict=1\n"), stdout)
	code, stdout, _ = run(t, "", "explore", "-o", "json", file)
	require.Equal(t, cli.ExitOK, code)
	var r exploreResult
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.True(t, r.Complete)
	require.Positive(t, r.States)
	require.Greater(t, r.Miss, 0.0)
}

func TestExploreSaysWhenItIsNotComplete(t *testing.T) {
	file := scenarioFile(t, "bounded", smallScenario)
	code, stdout, stderr := run(t, "", "explore", "--states", "10", file)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stdout, "bounded: not complete: bound of 10 states reached at depth ")
	require.Contains(t, stderr, "1 of 1 scenarios were not searched completely")
}

func TestExploreGoesOnWhereItWasInterrupted(t *testing.T) {
	file, dir := scenarioFile(t, "night", smallScenario), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	require.Equal(t, cli.ExitError, cli.Execute(ctx, newRoot(), []string{"explore", "--state", dir, file}, nil, &out, &errs))
	require.Contains(t, out.String(), "not complete: interrupted")
	require.FileExists(t, filepath.Join(dir, "night.state"))
	code, _, stderr := run(t, "", "explore", "--state", dir, file)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.NoFileExists(t, filepath.Join(dir, "night.state"))
}

// What another build has searched says nothing of this one, whose checks may be others.
func TestExploreGoesOnWithNoOtherBuildsSearch(t *testing.T) {
	file, dir := scenarioFile(t, "night", smallScenario), t.TempDir()
	s, err := cluster.Load(file)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	state := filepath.Join(dir, "night.state")
	for _, key := range []string{s.Text(), "of another build\n" + s.Text()} {
		_, err = cluster.Run(ctx, s, explore.Options{State: state, Key: key})
		require.NoError(t, err)
		code, stdout, stderr := run(t, "", "explore", "--state", dir, file)
		require.Equal(t, cli.ExitError, code, stdout)
		require.Contains(t, stderr, "another build of the program")
		require.NoError(t, os.Remove(state))
	}
}

func TestExploreReplaysCounterexamples(t *testing.T) {
	s, err := cluster.Parse("way", smallScenario)
	require.NoError(t, err)
	m, err := cluster.New(s)
	require.NoError(t, err)
	next, _ := explore.Next(m, explore.Initial(m)[0].State)
	step := next[0].Name
	for _, c := range []struct{ name, step, want string }{
		{"taken", step, "taken.way: holds\n"},
		{"gone", "n1 takes in nothing", `gone.way: not applicable: step 1, "n1 takes in nothing", cannot be taken there`},
	} {
		file := filepath.Join(t.TempDir(), c.name+".way")
		text := cluster.FoundText(s, &explore.Violation{Property: "linearizable", Text: "as if", Steps: []string{c.step}})
		require.NoError(t, os.WriteFile(file, []byte(text), 0o666))
		code, stdout, stderr := run(t, "", "explore", "--replay", file)
		require.Equal(t, cli.ExitOK, code, stderr)
		require.Contains(t, stdout, c.want)
	}
}

func TestExploreText(t *testing.T) {
	r := &exploreResult{File: "traces/found/x.way", Claim: &cluster.Claim{
		Scenario: "x", Mode: "2 of 2, memory, confirm", Budgets: "evict=1", States: 1234, Generated: 5678, Passes: 2, Depth: 9, Seconds: 2, Miss: 1e-9,
		Violation: &explore.Violation{Property: "commit-durable", Text: "n2 is without it", Steps: []string{"n1 crashes", "n2 starts"}},
	}}
	require.Equal(t, `x: violates commit-durable
  2 of 2, memory, confirm; at most evict=1
  1,234 states, 5,678 generated in 2 passes, depth 9, in 2.0 s (2,839/s); a state was missed with a chance below 1e-09

  n2 is without it

   1. n1 crashes
   2. n2 starts

Saved: traces/found/x.way
Replay with: go run ./cmd/gtstore explore --replay traces/found/x.way
Picture: go run ./cmd/gtstore view traces/found/x.way
`, r.text())
}

func TestViewShowsACounterexampleOfTheExplorer(t *testing.T) {
	scenario := scenarioFile(t, "drift", driftScenario)
	dir := t.TempDir()
	code, stdout, _ := run(t, "", "explore", "--out", dir, scenario)
	require.Equal(t, cli.ExitViolated, code)
	way := filepath.Join(dir, "drift.way")
	require.Contains(t, stdout, "view "+way)
	code, stdout, stderr := run(t, "", "view", way, "--format", "mermaid", "-o", "-")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Contains(t, stdout, "m->>n2: Config epoch 2, n2")
	page := filepath.Join(dir, "drift.html")
	code, stdout, stderr = run(t, "", "view", way, "-o", page)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Equal(t, page+"\n", stdout)
	require.FileExists(t, page)
	code, _, stderr = run(t, "", "view", way, "--mutant", "x")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "leave out --mutant")
}

func TestExploreWritesTheTableOfClaims(t *testing.T) {
	scenario := scenarioFile(t, "small", smallScenario)
	file := filepath.Join(t.TempDir(), "README.md")
	require.NoError(t, os.WriteFile(file, []byte("before\n"+claimsBegin+"\nold\n"+claimsEnd+"\nafter\n"), 0o666))
	code, _, stderr := run(t, "", "explore", "--claims", file, scenario)
	require.Equal(t, cli.ExitOK, code, stderr)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), "| small | 2 of 2, memory, confirm | evict=1 | ")
	require.Contains(t, string(text), " | holds, complete |\n"+claimsEnd+"\nafter\n")
	require.NotContains(t, string(text), "\nold\n")
}

func TestExploreShards(t *testing.T) {
	var files []string
	for _, name := range []string{"a", "b", "c"} {
		files = append(files, scenarioFile(t, name, smallScenario))
	}
	var all []string
	for _, shard := range []string{"1/2", "2/2"} {
		list, err := (&exploreFlags{shard: shard}).scenarios(files)
		require.NoError(t, err)
		for _, s := range list {
			all = append(all, s.Name)
		}
	}
	require.ElementsMatch(t, []string{"a", "b", "c"}, all)
}

// A scenario that is not there is answered with those that are.
func TestExploreSaysWhichScenariosThereAre(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	code, stdout, stderr := run(t, "", "explore", "nosuch")
	require.Equal(t, cli.ExitUsage, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "nosuch")
	require.Contains(t, stderr, "a SCENARIO is a file such as "+filepath.Join(scenariosDir, "boot-not-durable.scenario"))
	require.Contains(t, stderr, "\n  durable-join-restart\n")
	t.Chdir(t.TempDir())
	for _, args := range [][]string{{"explore"}, {"explore", "nosuch"}} {
		code, _, stderr = run(t, "", args...)
		require.Equal(t, cli.ExitUsage, code)
		require.Contains(t, stderr, "name files, or go to the root of the project")
	}
}

// driftScenario is violated, as clocks drift by more than leases allow for: the core itself
// violates nothing within its bounds.
const driftScenario = "# Clocks drift too much.\ncluster members=2 reads=lease drift=50000\nbefore put x old\nsettle 2\nc1 get x\nbudget evict=1 timeout=6\n"

// What was found is told also where it cannot be saved, where another scenario cannot be searched,
// and where the table of claims cannot be written.
func TestExploreTellsAViolationWhateverElseFails(t *testing.T) {
	drift, small, dir := scenarioFile(t, "drift", driftScenario), scenarioFile(t, "small", smallScenario), t.TempDir()
	taken := filepath.Join(dir, "taken")
	require.NoError(t, os.WriteFile(taken, nil, 0o666))
	code, stdout, stderr := run(t, "", "explore", "--out", taken, drift)
	require.Equal(t, cli.ExitViolated, code, stderr)
	require.Contains(t, stdout, "drift: violates two-readers")
	require.Contains(t, stdout, "   1. ")
	require.NotContains(t, stdout, "Saved")
	require.Contains(t, stderr, "Name another directory with --out")

	state := filepath.Join(dir, "state")
	require.NoError(t, os.Mkdir(state, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(state, "small.state"), []byte("nonsense"), 0o666))
	code, stdout, stderr = run(t, "", "explore", "--out", dir, "--state", state, small, drift)
	require.Equal(t, cli.ExitViolated, code, stderr)
	require.Contains(t, stdout, "drift: violates two-readers")
	require.Contains(t, stderr, "scenario small: state file")
	code, _, stderr = run(t, "", "explore", "--state", state, small)
	require.Equal(t, cli.ExitError, code, stderr)
}

func TestExploreReplaysTheOthersOfAFileThatDoesNotRead(t *testing.T) {
	dir := t.TempDir()
	code, _, stderr := run(t, "", "explore", "--out", dir, scenarioFile(t, "drift", driftScenario))
	require.Equal(t, cli.ExitViolated, code, stderr)
	code, stdout, stderr := run(t, "", "explore", "--replay", filepath.Join(dir, "gone.way"), filepath.Join(dir, "drift.way"))
	require.Equal(t, cli.ExitViolated, code, stderr)
	require.Contains(t, stdout, "drift.way: violates two-readers")
	require.Contains(t, stderr, "gone.way")
	endless := filepath.Join(dir, "endless.way")
	require.NoError(t, os.WriteFile(endless, make([]byte, wayBytesMax+1), 0o666))
	for _, command := range [][]string{{"explore", "--replay"}, {"view"}} {
		code, _, stderr = run(t, "", append(command, endless)...)
		require.Equal(t, cli.ExitError, code)
		require.Contains(t, stderr, "has more than")
	}
}

// The table of claims is of whole searches: one that was interrupted leaves the last table.
func TestAnInterruptedSearchLeavesTheTableOfClaims(t *testing.T) {
	file, claims := scenarioFile(t, "small", smallScenario), filepath.Join(t.TempDir(), "claims.md")
	const before = "before\n" + claimsBegin + "\nthe last table\n" + claimsEnd + "\nafter\n"
	require.NoError(t, os.WriteFile(claims, []byte(before), 0o666))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	require.Equal(t, cli.ExitError, cli.Execute(ctx, newRoot(), []string{"explore", "--claims", claims, file}, nil, &out, &errs))
	text, err := os.ReadFile(claims)
	require.NoError(t, err)
	require.Equal(t, before, string(text))
	code, _, stderr := run(t, "", "explore", "--claims", claims, file)
	require.Equal(t, cli.ExitOK, code, stderr)
	text, err = os.ReadFile(claims)
	require.NoError(t, err)
	require.Contains(t, string(text), "| small | 2 of 2, memory, confirm | evict=1 |")
	code, stdout, stderr := run(t, "", "explore", "--claims", claims+".gone", file)
	require.Equal(t, cli.ExitError, code)
	require.Empty(t, stdout, "that is noticed before the search")
	require.Contains(t, stderr, "--claims")
}
