package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/fuzz"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
)

const (
	schedulesDefault = 2000
	schedulesMax     = 1_000_000_000
	workersMax       = 1024
	searchMin        = time.Millisecond
	searchMax        = 30 * 24 * time.Hour
)

// fuzzFlags are the flags of fuzz.
type fuzzFlags struct {
	options   fuzz.Options
	seedGiven bool
	out       string
	keepGoing bool
	shard     string
	output    format
}

func newFuzz() *cobra.Command {
	cmd, _ := fuzzCommand()
	return cmd
}

// fuzzCommand returns the command, and where it puts its flags.
func fuzzCommand() (*cobra.Command, *fuzzFlags) {
	f := &fuzzFlags{}
	cmd := &cobra.Command{
		Use:   "fuzz",
		Short: "Search for a schedule that violates a property",
		Long: `Runs generated schedules of calls and faults in the simulator, with every check on.
The first that violates a property is shrunk, saved as a trace, and the command that replays it is printed.
Schedule i of a seed is always the same, whatever the number of workers.

With --length each schedule is that long, in virtual time, and failures go on and on in it, one every
30 s, but never faster than groups can heal: then nothing at all may be lost. Without, a schedule is some
seconds full of faults, and may lose groups.

With --for and --out together, or with --keep-going, it is a search for the night: it goes on after a
violation, and --out is an archive, with one trace for each property and place (what the check said, but
for names and numbers), the shortest that was found, and the search's state, search.json. The same command
again goes on where the last one ended, however that was; --schedules then counts from the first one. The
totals and the verdict are those of the whole search. Another seed needs another directory.

--shard 2/4 is the second of four parts of a search, for as many machines: all parts together run every
schedule once. Archives of the parts may be copied into one directory, and gtstore fuzz merge makes one of
them. With --shard auto/4 the part is the one after JOB_COMPLETION_INDEX, which Kubernetes sets in the pods
of an Indexed Job. All parts must have the same --seed.

With --learn every second schedule is a variation of an earlier one in which something came about for the
first time. Rare situations are then reached some times as often, and common ones less. Schedule i of a seed
is still always the same, but of another search than without --learn; a part i/n learns by itself.

A search for the night that is interrupted (SIGTERM, as when a machine is taken away) ends with exit code
1, and the same command goes on. The exit code is 6 when a property was violated, now or before.

Before anything else the search looks for canaries: failures that are planted. A build that does not find
them ends with exit code 1, since its verdict would mean nothing.`,
		Example: `  gtstore fuzz
  gtstore fuzz --for 5m
  gtstore fuzz --length 1h --schedules 100
  gtstore fuzz --managers 3 --schedules 100000
  gtstore fuzz --seed 7 --schedules 100000 -o json
  gtstore fuzz --for 8h --out nightly
  gtstore fuzz --for 8h --out nightly --seed 7 --shard 2/4
  gtstore fuzz --for 8h --out learnt --learn
  gtstore fuzz merge all part1 part2 part3 part4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed
			if err := f.check(given); err != nil {
				return err
			}
			return cli.Failed(runFuzz(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	cli.Int(flags, &f.options.Schedules, "schedules", schedulesDefault, 1, schedulesMax, "how many schedules to run")
	cli.Duration(flags, &f.options.For, "for", 0, searchMin, searchMax, "how long to go on, instead of a number of schedules")
	cli.Duration(flags, &f.options.Length, "length", 0, generate.LongMin, generate.LongMax, "virtual time of each schedule, with failures that groups have the time to heal")
	cli.Int(flags, &f.options.Managers, "managers", 0, 0, schedule.ManagersMax, "managers of every schedule: 1, 3 or 5 (default: as drawn, 1 in five of six)")
	cli.Uint64(flags, &f.options.Seed, "seed", 0, "seed of the schedules (default: from the clock)")
	cli.Int(flags, &f.options.Workers, "workers", runtime.GOMAXPROCS(0), 1, workersMax, "schedules run at the same time")
	flags.BoolVar(&f.options.Learn, "learn", false, "vary the schedules that did something new, instead of drawing each from nothing")
	flags.StringVar(&f.out, "out", "", "directory for the traces of failures (default: traces, if there is one here, else traces/found)")
	flags.BoolVar(&f.keepGoing, "keep-going", false, "go on after a violation, and keep the state in --out (default: true with --for and --out)")
	flags.StringVar(&f.shard, "shard", "", "run only part i of n of the schedules: i/n, or auto/n in an Indexed Job")
	addOutput(cmd, &f.output)
	cmd.AddCommand(newFuzzMerge())
	return cmd, f
}

// check fills in what follows from other flags, or says which flags do not go together.
// given tells whether a flag was on the command line.
func (f *fuzzFlags) check(given func(string) bool) error {
	o := &f.options
	if !given("keep-going") {
		f.keepGoing = given("for") && given("out")
	}
	switch {
	case given("schedules") && given("for"):
		return cli.Errorf(cli.ExitUsage, "--schedules and --for both say when to end: give one of them")
	case o.Managers != 0 && !generate.IsManagers(o.Managers):
		return cli.Errorf(cli.ExitUsage, "--managers %d: want 1, 3 or 5", o.Managers)
	case o.Learn && o.Managers != 0:
		return cli.Errorf(cli.ExitUsage, "--learn varies schedules as they are drawn: leave --managers out")
	case o.Learn && o.Length > 0:
		return cli.Errorf(cli.ExitUsage, "--learn varies short schedules: leave --length out")
	case f.keepGoing && !given("out"):
		return cli.Errorf(cli.ExitUsage, "--keep-going: want --out too, the directory for what is found and how far the search is")
	}
	if given("shard") {
		var err error
		if o.Shard, err = parseShard(f.shard); err != nil {
			return cli.Errorf(cli.ExitUsage, "--shard %s: %w", f.shard, err)
		}
		if !given("seed") {
			return cli.Errorf(cli.ExitUsage, "--shard %s: want --seed too, the same one for every part", f.shard)
		}
	}
	if given("for") {
		o.Schedules = 0
	}
	if f.seedGiven = given("seed"); !f.seedGiven {
		o.Seed = uint64(time.Now().UnixMilli())
	}
	if f.out == "" {
		f.out = "traces/found"
		if info, err := os.Stat("traces"); err == nil && info.IsDir() {
			f.out = "traces"
		}
	}
	return nil
}

// jobIndex is set by Kubernetes in the pods of an Indexed Job, and counts from 0.
const jobIndex = "JOB_COMPLETION_INDEX"

// parseShard reads i/n, or auto/n.
func parseShard(text string) (fuzz.Shard, error) {
	n, auto := strings.CutPrefix(text, "auto/")
	if !auto {
		return fuzz.ParseShard(text)
	}
	value, ok := os.LookupEnv(jobIndex)
	if !ok {
		return fuzz.Shard{}, fmt.Errorf("there is no %s, which Kubernetes sets in the pods of an Indexed Job: elsewhere give i/%s", jobIndex, n)
	}
	i, err := strconv.Atoi(value)
	if err != nil {
		return fuzz.Shard{}, fmt.Errorf("%s is %q: want a number from 0", jobIndex, value)
	}
	shard, err := fuzz.ParseShard(fmt.Sprintf("%d/%s", i+1, n))
	if err != nil {
		return fuzz.Shard{}, fmt.Errorf("%s is %s, so this would be part %d of %s: %w; n is the completions of the Job", jobIndex, value, i+1, n, err)
	}
	return shard, nil
}

// gcPercent has the garbage of a search collected a quarter as often as by default. The
// heap is only some ten MiB, and the search runs a fifth faster.
const gcPercent = 400

func runFuzz(ctx context.Context, f *fuzzFlags, stdout, stderr io.Writer) error {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	p := &progress{w: stderr, on: cli.IsTerminal(stderr)}
	if f.keepGoing {
		return runArchived(ctx, f, p, stdout)
	}
	o := f.options
	o.Progress = func(s *fuzz.Stats) { p.show(searchLines(s)...) }
	stats, failure, err := fuzz.Search(ctx, o)
	p.clear()
	if err != nil {
		return fmt.Errorf("%w\nRepeat with: %s", err, f.repeatCommand(o.Shard.End(stats.Schedules+1)))
	}
	r := resultOf(&o, stats)
	r.Interrupted = ctx.Err() != nil && failure == nil
	if failure == nil {
		return f.output.show(stdout, r)
	}
	shrunk := fuzz.Shrink(ctx, failure, func(runs, size int) {
		p.show(fmt.Sprintf("shrinking: %s of at most %s schedules tried, %s of %s lines left",
			cli.Grouped(runs), cli.Grouped(fuzz.ShrinkRunsMax), cli.Grouped(size), cli.Grouped(failure.Schedule.Size())))
	})
	p.clear()
	v := shrunk.Violation
	r.Failure = &fuzzFailure{
		Property: v.Property, Text: v.Text, stack: v.Stack, Index: failure.Index,
		SizeBefore: failure.Schedule.Size(), SizeAfter: shrunk.Schedule.Size(), ShrinkRuns: shrunk.Runs,
	}
	file, saveErr := fuzz.Save(f.out, failure, shrunk)
	if saveErr == nil {
		r.Failure.File, r.Failure.Replay = file, replayCommand(file)
	}
	if err := f.output.show(stdout, r); err != nil {
		return err
	}
	if saveErr != nil {
		return cli.Errorf(cli.ExitViolated, "property %s was violated, but the trace could not be saved: %w\nRepeat, with another --out, with: %s",
			v.Property, saveErr, f.repeatCommand(failure.Index+1))
	}
	return cli.Errorf(cli.ExitViolated, "property %s was violated", v.Property)
}

func replayCommand(file string) string { return "go run ./cmd/gtstore replay " + file }

func viewCommand(file string) string { return "go run ./cmd/gtstore view " + file }

// repeatCommand runs the same schedules again, those below an index.
func (f *fuzzFlags) repeatCommand(schedules int) string {
	command := fmt.Sprintf("go run ./cmd/gtstore fuzz --seed %d --schedules %d", f.options.Seed, schedules)
	if f.options.Length > 0 {
		command += " --length " + f.options.Length.String()
	}
	if f.options.Managers > 0 {
		command += " --managers " + strconv.Itoa(f.options.Managers)
	}
	if f.options.Learn {
		command += " --learn"
	}
	if f.options.Shard.N > 0 {
		command += " --shard " + f.options.Shard.String()
	}
	return command
}

// fuzzResult is what fuzz prints, in the order of its lines.
type fuzzResult struct {
	Seed             uint64         `json:"seed"`
	Shard            string         `json:"shard,omitempty"`
	Learn            bool           `json:"learn"`
	Interrupted      bool           `json:"interrupted"`
	Schedules        int            `json:"schedules"`
	Events           int            `json:"events"`
	Operations       int            `json:"operations"`
	Faults           int            `json:"faults"`
	Messages         int            `json:"messages"` // dropped, duplicated, delayed or corrupted
	Kinds            faultKinds     `json:"kinds"`
	Writes           int            `json:"writes"`   // acknowledged
	Gone             int            `json:"gone"`     // storage nodes that ended with their data
	Joins            int            `json:"joins"`    // nodes that became members of a group that others had left
	Lost             int            `json:"lost"`     // groups of which no copy was left
	Evicted          int            `json:"evicted"`  // members removed from their chains on suspicion
	Uncaused         int            `json:"uncaused"` // of these, though the member was within the bounds
	Presumed         int            `json:"presumed"` // groups that were presumed lost
	Calm             int            `json:"calm"`     // schedules in which every fault was within the bounds
	Medians          fuzz.Medians   `json:"medians"`
	Marks            fuzzMarks      `json:"marks"`
	WallSeconds      float64        `json:"wall_seconds"`
	SimulatedSeconds float64        `json:"simulated_seconds"`
	Ratio            float64        `json:"ratio"` // simulated seconds in a second of wall time
	Failure          *fuzzFailure   `json:"failure"`
	Night            *archiveResult `json:"night,omitempty"` // of a search that goes on after a failure
	Merged           *mergeResult   `json:"merged,omitempty"`
}

func resultOf(o *fuzz.Options, s *fuzz.Stats) *fuzzResult {
	return &fuzzResult{
		Seed: o.Seed, Shard: o.Shard.String(), Learn: o.Learn,
		Schedules: s.Schedules, Events: s.Events, Operations: s.Operations,
		Faults: s.Faults, Messages: s.Messages, Kinds: kindsOf(s),
		Writes: s.Writes, Gone: s.Gone, Joins: s.Joins, Lost: s.Lost,
		Evicted: s.Evicted, Uncaused: s.Uncaused, Presumed: s.Presumed, Calm: s.Calm, Medians: s.Medians(), Marks: marksOf(s),
		WallSeconds: s.Wall.Seconds(), SimulatedSeconds: s.Virtual.Seconds(), Ratio: s.Ratio(),
	}
}

// faultKinds say how often each kind of fault happened, the commonest first.
type faultKinds []faultKind

type faultKind struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

func kindsOf(s *fuzz.Stats) faultKinds {
	kinds := faultKinds{}
	for _, kind := range s.Common() {
		kinds = append(kinds, faultKind{kind, s.Kinds[kind]})
	}
	return kinds
}

func (k faultKinds) String() string {
	parts := make([]string, len(k))
	for i, kind := range k {
		parts[i] = kind.Kind + " " + cli.Grouped(kind.Count)
	}
	return strings.Join(parts, ", ")
}

type fuzzFailure struct {
	Property   string `json:"property"`
	Text       string `json:"text"`
	Index      int    `json:"index"`
	SizeBefore int    `json:"size_before"`
	SizeAfter  int    `json:"size_after"`
	ShrinkRuns int    `json:"shrink_runs"`
	File       string `json:"file,omitempty"`
	Replay     string `json:"replay,omitempty"`

	stack string
}

func (r *fuzzResult) text() string {
	m := r.Medians
	text := fmt.Sprintf("seed        %d\n", r.Seed)
	if r.Shard != "" {
		text += fmt.Sprintf("shard       %s\n", r.Shard)
	}
	if r.Learn {
		text += "learn       yes: schedules are varied that did something new\n"
	}
	text +=
		fmt.Sprintf("schedules   %s\n", cli.Grouped(r.Schedules)) +
			fmt.Sprintf("events      %s\n", cli.Grouped(r.Events)) +
			fmt.Sprintf("operations  %s checked\n", cli.Grouped(r.Operations)) +
			fmt.Sprintf("faults      %s, and %s messages disturbed\n", cli.Grouped(r.Faults), cli.Grouped(r.Messages)) +
			fmt.Sprintf("kinds       %s\n", r.Kinds) +
			fmt.Sprintf("healing     %s nodes ended with their data, %s joined a group, %s groups lost; %s writes acknowledged\n",
				cli.Grouped(r.Gone), cli.Grouped(r.Joins), cli.Grouped(r.Lost), cli.Grouped(r.Writes)) +
			fmt.Sprintf("suspicion   %s members evicted, %s of them without a cause; %s groups presumed lost; %s schedules within the bounds\n",
				cli.Grouped(r.Evicted), cli.Grouped(r.Uncaused), cli.Grouped(r.Presumed), cli.Grouped(r.Calm)) +
			fmt.Sprintf("medians     %d clients, %d keys, %d operations, %d faults, %d messages disturbed\n", m.Clients, m.Keys, m.Operations, m.Faults, m.Messages) +
			r.Marks.text() +
			fmt.Sprintf("time        %.1f s, in which %s s were simulated (%s : 1)\n",
				r.WallSeconds, cli.Grouped(int(r.SimulatedSeconds)), cli.Grouped(int(r.Ratio)))
	switch {
	case r.Merged != nil:
		return text + r.Merged.text(r.Night)
	case r.Night != nil && r.Interrupted:
		return text + r.Night.text(", so far: interrupted; the same command goes on")
	case r.Night != nil:
		return text + r.Night.text("")
	case r.Failure != nil:
		return text + r.Failure.text(r.Seed)
	case r.Interrupted:
		return text + "verdict     holds so far: interrupted\n"
	}
	return text + "verdict     holds\n"
}

func (f *fuzzFailure) text(seed uint64) string {
	text := fmt.Sprintf("verdict     violates %s\n\n%s\n\n", f.Property, indent(f.Text))
	if f.stack != "" {
		text += indent(f.stack) + "\n\n"
	}
	text += fmt.Sprintf("found       schedule %d of seed %d\n", f.Index, seed) +
		fmt.Sprintf("shrunk      from %s to %s actions and deviations, in %s runs\n",
			cli.Grouped(f.SizeBefore), cli.Grouped(f.SizeAfter), cli.Grouped(f.ShrinkRuns))
	if f.File != "" {
		text += fmt.Sprintf("saved       %s\n\nReplay with: %s\nSee it with: %s\n", f.File, f.Replay, viewCommand(f.File))
	}
	return text
}
