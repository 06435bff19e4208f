package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
	"gtstore/sim"
	"gtstore/sim/fuzz"
	"gtstore/sim/mark"
	"gtstore/sim/schedule"
)

// run carries out a command line as a person would, without a process.
func run(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Execute(t.Context(), newRoot(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestWrongCommandLines(t *testing.T) {
	for _, c := range []struct{ line, want, try string }{
		{"fuz", `there is no command "fuz": did you mean fuzz?`, "gtstore --help"},
		{"frobnicate", `there is no command "frobnicate"`, "gtstore --help"},
		{"--nonsense", "unknown flag: --nonsense", "gtstore --help"},
		{"fuzz --nonsense", "unknown flag: --nonsense", "gtstore fuzz --help"},
		{"fuzz extra", `unknown command "extra"`, "gtstore fuzz --help"},
		{"fuzz --schedules many", `invalid argument "many" for "--schedules" flag: want a number from 1 to`, "gtstore fuzz --help"},
		{"fuzz --schedules 0", `invalid argument "0" for "--schedules" flag: want a number from 1 to 1000000000`, "gtstore fuzz --help"},
		{"fuzz --schedules 1 --for 1s", "give one of them", "gtstore fuzz --help"},
		{"fuzz --for -1s", `invalid argument "-1s" for "--for" flag: want a time from 1ms to`, "gtstore fuzz --help"},
		{"fuzz --length 1s", `"--length" flag: want a time from 2m0s to 1h0m0s`, "gtstore fuzz --help"},
		{"fuzz --keep-going", "--keep-going: want --out too", "gtstore fuzz --help"},
		{"fuzz --shard 0/4", "--shard 0/4: want i/n with 1 ≤ i ≤ n", "gtstore fuzz --help"},
		{"fuzz --shard=", "--shard : want i/n with 1 ≤ i ≤ n", "gtstore fuzz --help"},
		{"fuzz --shard 1/4", "--shard 1/4: want --seed too, the same one for every part", "gtstore fuzz --help"},
		{"fuzz --seed 1 --shard auto/4", "there is no JOB_COMPLETION_INDEX, which Kubernetes sets", "gtstore fuzz --help"},
		{"fuzz merge", "want OUT, a directory that is not there yet, and the DIR of at least one archive", "gtstore fuzz merge --help"},
		{"fuzz merge out", "want OUT, a directory that is not there yet, and the DIR of at least one archive", "gtstore fuzz merge --help"},
		{"fuzz --managers 2", "--managers 2: want 1, 3 or 5", "gtstore fuzz --help"},
		{"fuzz --learn --managers 3", "--learn varies schedules as they are drawn: leave --managers out", "gtstore fuzz --help"},
		{"fuzz --learn --length 1h", "--learn varies short schedules: leave --length out", "gtstore fuzz --help"},
		{"fuzz --workers 0", `"--workers" flag: want a number from 1 to 1024`, "gtstore fuzz --help"},
		{"fuzz -o xml", "want text or json", "gtstore fuzz --help"},
		{"fuzz --seed -1", `"--seed" flag: want a number from 0 to 18446744073709551615`, "gtstore fuzz --help"},
		{"bench --clients 0", `"--clients" flag: want a number from 1 to 4096`, "gtstore bench --help"},
		{"bench --reads 1.1", `"--reads" flag: want a number from 0 to 1`, "gtstore bench --help"},
		{"bench --reads NaN", `"--reads" flag: want a number from 0 to 1`, "gtstore bench --help"},
		{"bench --value-size 1048577", `"--value-size" flag: want a number from 0 to 1048576`, "gtstore bench --help"},
		{"bench --rate -1", `"--rate" flag: want a number from 0 to 1000000`, "gtstore bench --help"},
		{"bench --keys 0", `"--keys" flag: want a number from 1 to 1000000`, "gtstore bench --help"},
		{"bench --distribution normal", `"--distribution" flag: want uniform or zipf`, "gtstore bench --help"},
		{"bench --for 0s", `"--for" flag: want a time from 10ms to 24h0m0s`, "gtstore bench --help"},
		{"bench --timeout 0s", `"--timeout" flag: want a time from 1ms to 24h0m0s`, "gtstore bench --help"},
		{"bench --processes 65", `"--processes" flag: want a number from 1 to 64`, "gtstore bench --help"},
		{"bench --processes 8 --clients 7", "--processes 8: each needs a client, but --clients is 7", "gtstore bench --help"},
		{"bench --processes 8 --rate 7", "--processes 8: each needs an operation a second, but --rate is 7", "gtstore bench --help"},
		{"bench --keys 2000 --value-size 1048576", "--keys 2000 with --value-size 1048576 would leave 2000.0 MiB in the memory of the nodes: want 1024.0 MiB at most", "gtstore bench --help"},
		{"bench --prefix " + strings.Repeat("p", 1015), "--prefix of 1015 bytes: want 1014 at most", "gtstore bench --help"},
		{"bench --plot a.png", "--plot a.png: want a file that ends in .svg or .html", "gtstore bench --help"},
		{"bench --part 2", "--part 2: there are 1 processes", "gtstore bench --help"},
		{"put k", "want KEY VALUE: 2 arguments, not 1", "gtstore put --help"},
		{"get a b", "want KEY: 1 argument, not 2", "gtstore get --help"},
		{"backup", "want FILE: 1 argument, not 0", "gtstore backup --help"},
		{"backup --rate 10 f", `"--rate" flag: want a number from 1024 to 1073741824`, "gtstore backup --help"},
		{"restore -", "standard input cannot be read twice", "gtstore restore --help"},
		{"drain", "want NODE: 1 argument, not 0", "gtstore drain --help"},
		{"disk", "want DIR: 1 argument, not 0", "gtstore disk --help"},
		{"cas k 1", "want KEY VERSION VALUE: 3 arguments, not 2", "gtstore cas --help"},
		{"put -k v", "a key or a value that begins with - comes after --, as in: gtstore put -- -key", "gtstore put --help"},
		{"get --key", "a key or a value that begins with - comes after --", "gtstore get --help"},
		{"explore", "there are no scenarios in traces/explore: name files, or go to the root of the project", "gtstore explore --help"},
		{"explore nowhere.scenario", "nowhere.scenario", "gtstore explore --help"},
		{"explore --shard 3/2 nowhere.scenario", "--shard 3/2: want i/n with 1 ≤ i ≤ n", "gtstore explore --help"},
		{"explore --memory 1 x", `"--memory" flag: want a number from 64 to 1048576`, "gtstore explore --help"},
		{"explore --replay", "which counterexamples?", "gtstore explore --help"},
		{"replay", "which traces?", "gtstore replay --help"},
		{"replay --record x -", "--record writes into the files", "gtstore replay --help"},
		{"replay --trace -o json x", "leave out -o json", "gtstore replay --help"},
	} {
		t.Run(c.line, func(t *testing.T) {
			code, stdout, stderr := run(t, "", strings.Fields(c.line)...)
			require.Equal(t, cli.ExitUsage, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c.want)
			require.True(t, strings.HasSuffix(stderr, "Try: "+c.try+"\n"), stderr)
			require.Equal(t, 2, strings.Count(stderr, "\n"), "the error and a hint, not the help: %s", stderr)
		})
	}
}

func TestHelp(t *testing.T) {
	for _, line := range []string{"", "--help", "help fuzz", "replay --help", "bench --help", "disk --help", "explore --help", "completion bash"} {
		code, stdout, stderr := run(t, "", strings.Fields(line)...)
		require.Equal(t, cli.ExitOK, code, line)
		require.NotEmpty(t, stdout, line)
		require.Empty(t, stderr, line)
	}
}

// Each shell's completions are made, and bash takes its own.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, stdout, stderr := run(t, "", "completion", shell)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "gtstore")
		if path, err := exec.LookPath(shell); err == nil && shell == "bash" {
			cmd := exec.Command(path, "-n")
			cmd.Stdin = strings.NewReader(stdout)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		}
	}
	_, stdout, _ := run(t, "", "__complete", "certs", "--new")
	require.Contains(t, stdout, "--new-ca")
}

// fuzzJSON runs a search and returns what it printed, without the times.
func fuzzJSON(t *testing.T, args ...string) (code int, r fuzzResult) {
	t.Helper()
	code, stdout, stderr := run(t, "", append([]string{"fuzz", "-o", "json", "--out", t.TempDir()}, args...)...)
	require.NoError(t, json.Unmarshal([]byte(stdout), &r), stdout+stderr)
	r.WallSeconds, r.Ratio = 0, 0
	if r.Failure != nil {
		r.Failure.File, r.Failure.Replay = "", ""
	}
	return code, r
}

func TestFuzzRepeats(t *testing.T) {
	code, first := fuzzJSON(t, "--seed", "7", "--schedules", "40", "--workers", "1")
	for _, workers := range []string{"1", "4"} {
		again, r := fuzzJSON(t, "--seed", "7", "--schedules", "40", "--workers", workers)
		require.Equal(t, code, again)
		require.Equal(t, first, r)
	}
	require.EqualValues(t, 7, first.Seed)
	require.Positive(t, first.Events)
	require.Positive(t, first.Operations)
	require.Positive(t, first.Medians.Clients)
}

func TestFuzzPrintsASummary(t *testing.T) {
	code, stdout, stderr := run(t, "", "fuzz", "--schedules", "20", "--seed", "11", "--out", t.TempDir())
	require.Contains(t, []int{cli.ExitOK, cli.ExitViolated}, code, stderr)
	for _, heading := range []string{"seed        11\n", "schedules   ", "events      ", "operations  ", "faults      ", "medians     ", "marks       reached ", "time        ", "verdict     "} {
		require.Contains(t, stdout, heading)
	}
	require.NotContains(t, stderr, "\r", "no progress where nobody watches")
}

func TestFuzzChoosesASeed(t *testing.T) {
	_, r := fuzzJSON(t, "--schedules", "1")
	require.NotZero(t, r.Seed)
}

func TestFuzzWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	require.Equal(t, cli.ExitOK, cli.Execute(ctx, newRoot(), []string{"fuzz", "--for", "1h"}, nil, &out, &errs))
	require.Contains(t, out.String(), "schedules   0\n")
	require.Contains(t, out.String(), "interrupted")
}

func TestFuzzGoesOnOnlyWhenThatIsSaid(t *testing.T) {
	for _, c := range []struct {
		flags string
		night bool
	}{
		{"", false},
		{"--out x", false},
		{"--for 1h", false},
		{"--for 1h --out x", true},
		{"--for 1h --out x --keep-going=false", false},
		{"--schedules 9 --out x --keep-going", true},
	} {
		t.Run(c.flags, func(t *testing.T) {
			cmd, f := fuzzCommand()
			require.NoError(t, cmd.ParseFlags(strings.Fields(c.flags)))
			require.NoError(t, f.check(cmd.Flags().Changed))
			require.Equal(t, c.night, f.keepGoing)
		})
	}
}

// A search for the night that is ended and taken up again comes to the same as
// one that is not.
func TestFuzzOfTheNightGoesOn(t *testing.T) {
	night := func(dir string, args ...string) (r fuzzResult) {
		code, stdout, stderr := run(t, "", append([]string{"fuzz", "-o", "json", "--keep-going", "--out", dir}, args...)...)
		require.Equal(t, cli.ExitOK, code, stderr)
		require.NoError(t, json.Unmarshal([]byte(stdout), &r))
		require.Empty(t, r.Night.Found)
		r.WallSeconds, r.Ratio, r.Night.Dir = 0, 0, ""
		return r
	}
	whole := night(t.TempDir(), "--seed", "7", "--schedules", "30")
	dir := t.TempDir()
	require.Equal(t, 12, night(dir, "--seed", "7", "--schedules", "12", "--workers", "1").Schedules)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	require.Equal(t, cli.ExitError, cli.Execute(ctx, newRoot(), []string{"fuzz", "--for", "1h", "--out", dir}, nil, &out, &errs))
	require.Contains(t, errs.String(), "interrupted: the same command goes on")
	require.Contains(t, out.String(), "seed        7\nschedules   12\n")
	require.Contains(t, out.String(), "verdict     holds, so far: interrupted; the same command goes on\n")
	require.Equal(t, whole, night(dir, "--schedules", "30"))

	code, _, stderr := run(t, "", "fuzz", "--for", "1h", "--out", dir, "--seed", "8")
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "of a search of seed 7, not of seed 8")

	parts := 0
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		parts += night(dir, "--seed", "7", "--schedules", "30", "--shard", shard).Events
	}
	require.Equal(t, whole.Events, parts)
}

// A search that learns says so, and is taken up again as one that does.
func TestFuzzThatLearns(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		code, out, stderr := run(t, "", "fuzz", "--learn", "--keep-going", "--seed", "7", "--schedules", "10", "--out", dir)
		require.Equal(t, cli.ExitOK, code, stderr)
		require.Contains(t, out, "seed        7\nlearn       yes")
	}
	code, _, stderr := run(t, "", "fuzz", "--keep-going", "--seed", "7", "--schedules", "10", "--out", dir)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "choose another directory")
	f := fuzzFlags{options: fuzz.Options{Seed: 7, Learn: true}}
	require.Equal(t, "go run ./cmd/gtstore fuzz --seed 7 --schedules 9 --learn", f.repeatCommand(9))
}

// The pods of an Indexed Job search a part each, by their index, and their archives become
// one. While one of them is missing nothing is said to hold.
func TestFuzzOfManyMachines(t *testing.T) {
	dir := t.TempDir()
	dirs := []string{filepath.Join(dir, "0"), filepath.Join(dir, "1")}
	for i, part := range dirs {
		t.Setenv(jobIndex, strconv.Itoa(i))
		code, out, stderr := run(t, "", "fuzz", "--keep-going", "--seed", "7", "--schedules", "10", "--shard", "auto/2", "--out", part)
		require.Equal(t, cli.ExitOK, code, stderr)
		require.Contains(t, out, fmt.Sprintf("shard       %d/2\nschedules   5\n", i+1))
	}
	for _, index := range []string{"2", "-1", "x", ""} {
		t.Setenv(jobIndex, index)
		code, _, stderr := run(t, "", "fuzz", "--seed", "7", "--shard", "auto/2")
		require.Equal(t, cli.ExitUsage, code)
		require.Contains(t, stderr, "JOB_COMPLETION_INDEX is ")
	}

	code, out, stderr := run(t, "", "fuzz", "merge", filepath.Join(dir, "part"), dirs[1])
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, out, "verdict     holds, so far: part 1 of 2 missing\n")
	require.Contains(t, stderr, "part 1 of 2 missing: run what is missing")

	code, out, stderr = run(t, "", append([]string{"fuzz", "merge", "-o", "json", filepath.Join(dir, "all")}, dirs...)...)
	require.Equal(t, cli.ExitOK, code, stderr)
	var merged fuzzResult
	require.NoError(t, json.Unmarshal([]byte(out), &merged))
	require.Equal(t, 10, merged.Schedules)
	require.Empty(t, merged.Merged.Missing)
	require.Empty(t, merged.Night.Found)

	code, _, stderr = run(t, "", append([]string{"fuzz", "merge", filepath.Join(dir, "all")}, dirs...)...)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "which is there already")
}

func TestMergeText(t *testing.T) {
	n := archiveResult{Dir: "all", Gone: []fuzz.Found{{Property: "usable", Place: "key #", Seen: 2}}, Found: []archiveFound{
		{fuzz.Found{Property: "lost", Place: "at #", Seen: 3, Size: 8}, "all/lost-2.trace", replayCommand("all/lost-2.trace")},
	}}
	m := mergeResult{Of: 9, Missing: []int{1, 3, 4, 5, 9}, Parts: []fuzz.Part{{Shard: "2/9", Schedules: 1000}, {Shard: "6/9", Schedules: 900}},
		Build: fuzz.Build{Revision: "abc", Go: "go1.26", Behaviour: "12"}}
	require.Equal(t, `parts       2 of 9, of 900 to 1,000 schedules
build       abc, behaviour 12, go1.26
merged      all
verdict     violates lost, usable, so far: parts 1, 3-5, 9 of 9 missing

lost, by 3 schedules: at #
  8 actions and deviations: go run ./cmd/gtstore replay all/lost-2.trace

usable, by 2 schedules, but not with this build any more: key #
`, m.text(&n))
	require.Equal(t, cli.ExitViolated, cli.Code((&archiveResult{Gone: n.Gone}).violated()), "the build that searched is broken")
	require.Equal(t, "the search ran no schedule", (&mergeResult{Missing: []int{1}}).missing())
}

func TestNightText(t *testing.T) {
	n := archiveResult{Others: 1000, Found: []archiveFound{
		{fuzz.Found{Property: "lost", Place: "key # is gone", Seen: 1234, Size: 7}, "d/lost-1.trace", replayCommand("d/lost-1.trace")},
		{fuzz.Found{Property: "lost", Place: "at #", Seen: 1, Size: 8}, "d/lost-2.trace", replayCommand("d/lost-2.trace")},
	}}
	require.Equal(t, `verdict     violates lost

lost, by 1,234 schedules: key # is gone
  7 actions and deviations: go run ./cmd/gtstore replay d/lost-1.trace

lost, by 1 schedules: at #
  8 actions and deviations: go run ./cmd/gtstore replay d/lost-2.trace

and 1,000 failures that are not in the archive, which keeps 1,000
`, n.text(""))
}

func TestFuzzTextOfAFailure(t *testing.T) {
	r := fuzzResult{Seed: 4, Schedules: 1234, Failure: &fuzzFailure{
		Property: "linearizable", Text: "two lines\nof text", Index: 17, SizeBefore: 85, SizeAfter: 7, ShrinkRuns: 1200,
		File: "traces/linearizable-4-17.trace", Replay: replayCommand("traces/linearizable-4-17.trace"),
	}}
	text := r.text()
	require.Contains(t, text, "schedules   1,234\n")
	require.Contains(t, text, "verdict     violates linearizable\n\n  two lines\n  of text\n\n")
	require.Contains(t, text, "found       schedule 17 of seed 4\nshrunk      from 85 to 7 actions and deviations, in 1,200 runs\n")
	require.True(t, strings.HasSuffix(text, "Replay with: go run ./cmd/gtstore replay traces/linearizable-4-17.trace\nSee it with: go run ./cmd/gtstore view traces/linearizable-4-17.trace\n"), text)
}

func TestFuzzDefaultDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, want := range []string{"traces/found", "traces"} {
		var f fuzzFlags
		f.options.Schedules, f.options.Workers = 1, 1
		require.NoError(t, f.check(func(string) bool { return false }))
		require.Equal(t, want, f.out)
		require.NoError(t, os.MkdirAll("traces", 0o777))
	}
}

func TestSearchLines(t *testing.T) {
	s := &fuzz.Stats{Schedules: 3000, Events: 8_000_000, Operations: 1234, Wall: 2 * time.Second, Kinds: map[string]int{"crash": 7, "drop": 1200, "cut": 7}}
	s.Marks[mark.All()[0]] = 1
	require.Equal(t, []string{
		"3,000 schedules, 1,500/s; 4,000,000 events/s; 1,234 operations checked; 2s",
		fmt.Sprintf("marks: 1 of %d reached", len(mark.All())),
		"faults: drop 1,200, crash 7, cut 7",
	}, searchLines(s))
}

func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := progress{w: &out, on: true}
	p.show("1 done")
	p.show("2 done") // too soon
	p.clear()
	p.show("3 done", "and more")
	p.clear()
	p.say("it stays")
	require.Equal(t, "\r\x1b[?7l1 done\x1b[J\x1b[?7h"+"\r\x1b[J"+
		"\r\x1b[?7l3 done\x1b[K\nand more\x1b[J\x1b[?7h"+"\r\x1b[1A\x1b[J"+
		"\r\x1b[Jit stays\n", out.String())
}

// A calm schedule: nothing but calls, on a whole cluster.
const calm = `# A put and a get.
expect holds
at 200ms c1 put a x
at 300ms c2 get a
`

// To heal a network that is whole has no effect.
const idle = `at 200ms c1 put a x
at 300ms heal
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o666))
	return file
}

func TestReplay(t *testing.T) {
	good := write(t, "good.trace", calm)
	bad := write(t, "bad.trace", "at 200ms c1 put a x\nat 300ms c1 frobnicate a\n")
	expecting := write(t, "expecting.trace", "expect violates liveness\n"+strings.Join(strings.Split(calm, "\n")[2:], "\n"))
	inapplicable := write(t, "inapplicable.trace", idle)
	for _, c := range []struct {
		name, stdin    string
		files          []string
		code           int
		stdout, stderr string
	}{
		{"as expected", "", []string{good}, cli.ExitOK, good + ": holds\n", ""},
		{"standard input", calm, []string{"-"}, cli.ExitOK, "-: holds\n", ""},
		{"an expectation that fails", "", []string{expecting}, cli.ExitError, "expected: violates liveness\n  the violation no longer happens", "1 of 1 traces not as expected"},
		{"an action without effect", "", []string{inapplicable}, cli.ExitError, ": not applicable: has no effect: at 300ms heal\n  expected: holds\n", "not as expected"},
		{"the same, expected", "expect not applicable\n" + idle, []string{"-"}, cli.ExitOK, "-: not applicable: has no effect: at 300ms heal\n", ""},
		{"a situation that does not come about", "shows no-witness\n" + calm, []string{"-"}, cli.ExitError, "-: not applicable: the situation no-witness did not come about: A primary accused", "not as expected"},
		{"a malformed one", "", []string{bad}, cli.ExitError, "", bad + `:2: "`},
		{"none at all", "", []string{"nowhere.trace"}, cli.ExitError, "", "cannot read the trace nowhere.trace: open nowhere.trace"},
		{"all of them, whatever comes first", "", []string{"nowhere.trace", bad, good}, cli.ExitError, good + ": holds\n", "2 of 3 not readable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, c.stdin, append([]string{"replay"}, c.files...)...)
			require.Equal(t, c.code, code, stdout+stderr)
			require.Contains(t, stdout, c.stdout)
			require.Contains(t, stderr, c.stderr)
			require.NotContains(t, stderr, "--help", "what is wrong is not the command line")
		})
	}
}

// A recording of today's run says nothing; one of another is told beside the
// verdict, which still counts.
func TestReplayOfARecording(t *testing.T) {
	text := strings.Replace(calm, "at 300ms", "# Then:\nat 300ms", 1)
	file := write(t, "calm.trace", text)
	code, stdout, stderr := run(t, "", "replay", "--record", file)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Equal(t, file+": holds\n", stdout)
	recorded, err := os.ReadFile(file)
	require.NoError(t, err)
	head, line, _ := strings.Cut(string(recorded), "recorded ")
	line, rest, _ := strings.Cut(line, "\n")
	require.Equal(t, text, head+rest, "all else stands as it did")
	require.Regexp(t, `^events=\d+ hash=[0-9a-f]{16} every=\d+ checkpoints=([0-9a-f]{4})+$`, line)

	code, stdout, stderr = run(t, "", "replay", file)
	require.Equal(t, cli.ExitOK, code)
	require.Equal(t, file+": holds\n", stdout)
	require.Empty(t, stderr)

	// What the code does after the put is another thing now.
	changed := write(t, "changed.trace", strings.Replace(string(recorded), "c2 get a", "c2 delete a", 1))
	code, stdout, stderr = run(t, "", "replay", file, changed)
	require.Equal(t, cli.ExitOK, code)
	require.Regexp(t, changed+`: holds; diverged at event \d+( to \d+)? \(\d+ events now, \d+ when it was recorded\)\n`, stdout)
	require.Contains(t, stderr, "1 of 2 traces diverged from their recordings")
	code, stdout, _ = run(t, "", "replay", "-o", "json", changed)
	require.Equal(t, cli.ExitOK, code)
	var r replayResult
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Equal(t, "holds", r.Verdict)
	require.True(t, r.AsExpected)
	require.Greater(t, r.Diverged.From, 1)
	require.GreaterOrEqual(t, r.Diverged.To, r.Diverged.From)

	code, _, _ = run(t, "", "replay", "--record", changed)
	require.Equal(t, cli.ExitOK, code)
	code, stdout, stderr = run(t, "", "replay", changed)
	require.Equal(t, cli.ExitOK, code)
	require.Equal(t, changed+": holds\n", stdout)
	require.Empty(t, stderr)
}

func TestReplayRecordsOnlyWhatIsExpected(t *testing.T) {
	file := write(t, "idle.trace", idle)
	code, _, stderr := run(t, "", "replay", "--record", file)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "1 of 1 traces not as expected")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, idle, string(text))
}

func TestReplayJSON(t *testing.T) {
	good := write(t, "good.trace", calm)
	code, stdout, stderr := run(t, calm, "replay", "-o", "json", good, "-")
	require.Equal(t, cli.ExitOK, code, stderr)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, lines, 2)
	var first, second replayResult
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &second))
	require.Equal(t, good, first.File)
	require.Equal(t, "holds", first.Verdict)
	require.True(t, first.AsExpected)
	require.Positive(t, first.Events)
	require.Equal(t, first.Hash, second.Hash)
}

func TestReplayTrace(t *testing.T) {
	code, stdout, stderr := run(t, calm, "replay", "--trace", "-")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.True(t, strings.HasSuffix(stdout, "-: holds\n"))
	require.Contains(t, stdout, "c1 put a x")
	require.Contains(t, stdout, "n1")
	require.Greater(t, strings.Count(stdout, "\n"), 20)
}

func TestReplayWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	require.Equal(t, cli.ExitError, cli.Execute(ctx, newRoot(), []string{"replay", "a", "b"}, nil, &out, &errs))
	require.Contains(t, errs.String(), "interrupted after 0 of 2 traces")
}

func TestJudge(t *testing.T) {
	s, err := schedule.Parse("at 100ms crash n3\nat 200ms crash n3\ndrop n1>n2 Replicate#3\n")
	require.NoError(t, err)
	holds := sim.Outcome{Verdict: "holds", Events: 3, Hash: 3, Hashes: []uint64{1, 2, 3}}
	with := func(change func(*sim.Outcome)) *sim.Outcome {
		o := holds
		change(&o)
		return &o
	}
	violates := with(func(o *sim.Outcome) {
		o.Verdict, o.Violation, o.IdleActions = "violates p", &sim.Violation{Property: "p", Text: "why"}, []int{1}
	})
	for _, c := range []struct {
		name          string
		expect        string
		first, second *sim.Outcome
		want          replayResult
	}{
		{"holds", "", &holds, &holds, replayResult{Verdict: "holds", AsExpected: true}},
		{"holds unexpectedly", "violates p", &holds, &holds, replayResult{Verdict: "holds"}},
		{"violates unexpectedly", "holds", violates, violates, replayResult{Verdict: "violates p", Property: "p", Text: "why"}},
		{"violates as expected", "violates p", violates, violates, replayResult{Verdict: "violates p", Property: "p", Text: "why", AsExpected: true}},
		{"violates another property", "violates q", violates, violates, replayResult{Verdict: "violates p", Property: "p", Text: "why"}},
		{
			"an idle action and deviation", "holds",
			with(func(o *sim.Outcome) { o.IdleActions, o.IdleDeviations = []int{1}, []int{0} }), &holds,
			replayResult{Verdict: "not applicable", Text: "has no effect: at 200ms crash n3\nnames a message that is never sent: drop n1>n2 Replicate#3"},
		},
		{
			"another event", "holds", &holds, with(func(o *sim.Outcome) { o.Hashes = []uint64{1, 7, 8}; o.Hash = 8 }),
			replayResult{Verdict: "not deterministic", Property: "deterministic", Text: "two runs differ from event 2 on"},
		},
		{
			"fewer events", "holds", &holds, with(func(o *sim.Outcome) { o.Hashes = []uint64{1, 2}; o.Hash, o.Events = 2, 2 }),
			replayResult{Verdict: "not deterministic", Property: "deterministic", Text: "two runs are equal for 2 events, then one of them ends"},
		},
		{
			"another end", "holds", &holds, with(func(o *sim.Outcome) { o.Hash = 9 }),
			replayResult{Verdict: "not deterministic", Property: "deterministic", Text: "two runs differ after their last event"},
		},
		{
			"another verdict", "holds", &holds, violates,
			replayResult{Verdict: "not deterministic", Property: "deterministic", Text: "two equal runs were judged differently: one holds, one violates p"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.Clone()
			s.Expect = c.expect
			got := judge(s, c.first, c.second)
			require.Equal(t, c.want.Verdict, got.Verdict)
			require.Equal(t, c.want.Property, got.Property)
			require.Equal(t, c.want.Text, got.Text)
			require.Equal(t, c.want.AsExpected, got.AsExpected)
		})
	}
}

func TestReplayCountsViolations(t *testing.T) {
	r := replayResult{File: "f", Verdict: "violates p", Expect: "holds", Property: "p", Text: "why\nit was", stack: "stack"}
	require.Equal(t, "f: violates p: why\n  it was\n  stack\n  expected: holds\n  see it with: go run ./cmd/gtstore view f\n", r.text())
	require.Equal(t, "2 of 5 traces not as expected, 1 of 5 not readable", notAsExpected(5, 2, 1))
	require.Empty(t, notAsExpected(5, 0, 0))
}
