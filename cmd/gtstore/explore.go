package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/explore"
	"gtstore/sim/explore/cluster"
	"gtstore/sim/fuzz"
)

// scenariosDir is where the scenarios are, from the root of the project.
const scenariosDir = "traces/explore"

const (
	waySuffix   = ".way"  // of the names of counterexamples
	wayBytesMax = 1 << 20 // of such a file: a step takes some hundred bytes, and there are few
)

const memoryMost = 1 << 20 // MiB

type exploreFlags struct {
	options  explore.Options
	memory   int // MiB
	states   int
	all      bool
	shard    string
	state    string
	out      string
	claims   string
	replayed bool
	output   format
}

func newExplore() *cobra.Command {
	f := &exploreFlags{}
	cmd := &cobra.Command{
		Use:   "explore [SCENARIO...]",
		Short: "Search small clusters completely: every order of events",
		Long: `Searches all that can happen in a small cluster: every order of messages, time-outs, crashes with each
part of what was not synced, restarts and decisions of the manager, up to the number of each that the
scenario allows. The storage nodes are the core that is deployed. What it prints is a claim: within these
bounds there is no violation, or here is one that the fewest steps lead to.

Without a SCENARIO it searches those in ` + scenariosDir + ` that take no more than a minute, with --all
every one of them. A counterexample is saved in --out, and the command that replays it is printed.

With --state DIR a search that is interrupted goes on with the same command of the same build. --shard 2/4 searches the
second of four parts of the scenarios. A search that reaches the bound of --memory says so, and claims
nothing.`,
		Example: `  gtstore explore
  gtstore explore --all --memory 8192 --state nightly
  gtstore explore traces/explore/durable-join-restart.scenario
  gtstore explore --replay traces/found/durable-join-restart.way`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return cli.Failed(f.run(cmd.Context(), files, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "search the large scenarios too")
	flags.BoolVar(&f.replayed, "replay", false, "take the steps of saved counterexamples instead, which are the arguments")
	cli.Int(flags, &f.memory, "memory", 2048, 64, memoryMost, "MiB that the states of a search may take")
	cli.Int(flags, &f.states, "states", 0, 0, 1<<40, "the most states of a scenario, 0 for no bound")
	cli.Int(flags, &f.options.Workers, "workers", runtime.GOMAXPROCS(0), 1, workersMax, "goroutines that search")
	flags.StringVar(&f.shard, "shard", "", "search only part i of n of the scenarios: i/n")
	flags.StringVar(&f.state, "state", "", "directory in which an interrupted search goes on")
	flags.StringVar(&f.out, "out", "traces/found", "directory for counterexamples")
	flags.StringVar(&f.claims, "claims", "", "file in which the table of claims is written anew")
	addOutput(cmd, &f.output)
	return cmd
}

// run searches all scenarios, also after a violation, so that one run tells about all.
func (f *exploreFlags) run(ctx context.Context, files []string, stdout, stderr io.Writer) error {
	if f.replayed {
		return f.replayAll(ctx, files, stdout)
	}
	scenarios, err := f.scenarios(files)
	if err != nil {
		return err
	}
	if f.claims != "" {
		if _, _, err := aroundClaims(f.claims); err != nil { // now, and not after hours
			return err
		}
	}
	p := &progress{w: stderr, on: cli.IsTerminal(stderr)}
	var claims []*exploreResult
	var failed []error
	violated, open, interrupted := 0, 0, false
	for _, s := range scenarios {
		r, err := f.search(ctx, s, p)
		p.clear()
		if err != nil {
			failed = append(failed, err)
		}
		if r == nil {
			continue
		}
		if err := f.output.show(stdout, r); err != nil {
			failed = append(failed, err)
		}
		claims = append(claims, r)
		switch {
		case r.Violation != nil:
			violated++
		case !r.Complete:
			open++
		}
		if interrupted = r.Interrupted; interrupted {
			break
		}
	}
	if f.claims != "" && !interrupted {
		failed = append(failed, writeClaims(f.claims, claims))
	}
	switch {
	case violated > 0:
		failed = slices.Insert(failed, 0, fmt.Errorf("%d of %d scenarios are violated", violated, len(claims)))
		return cli.Errorf(cli.ExitViolated, "%w", errors.Join(failed...))
	case open > 0:
		failed = slices.Insert(failed, 0, fmt.Errorf("%d of %d scenarios were not searched completely", open, len(claims)))
	}
	return errors.Join(failed...)
}

// scenarios are those that are named, or those of the project.
func (f *exploreFlags) scenarios(files []string) ([]*cluster.Scenario, error) {
	shard := fuzz.Shard{I: 1, N: 1}
	if f.shard != "" {
		var err error
		if shard, err = fuzz.ParseShard(f.shard); err != nil {
			return nil, cli.Errorf(cli.ExitUsage, "--shard %s: %w", f.shard, err)
		}
	}
	named := len(files) > 0
	if !named {
		if files = scenarioFiles(); len(files) == 0 {
			return nil, cli.Errorf(cli.ExitUsage, "%s", scenariosThere())
		}
	}
	var list []*cluster.Scenario
	n := 0
	for _, file := range files {
		s, err := cluster.Load(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, cli.Errorf(cli.ExitUsage, "%w; %s", err, scenariosThere())
		}
		if err != nil {
			return nil, cli.Errorf(cli.ExitUsage, "%w", err)
		}
		if s.Large && !named && !f.all {
			continue
		}
		if n++; n%shard.N == shard.I%shard.N {
			list = append(list, s)
		}
	}
	return list, nil
}

// scenarioFiles are those of the project.
func scenarioFiles() []string {
	files, _ := filepath.Glob(filepath.Join(scenariosDir, "*"+cluster.Suffix)) // whose only error is a bad pattern
	return files
}

// scenariosThere says which scenarios can be named.
func scenariosThere() string {
	files := scenarioFiles()
	if len(files) == 0 {
		return fmt.Sprintf("there are no scenarios in %s: name files, or go to the root of the project", scenariosDir)
	}
	text := fmt.Sprintf("a SCENARIO is a file such as %s; those in %s are:", files[0], scenariosDir)
	for _, file := range files {
		text += "\n  " + strings.TrimSuffix(filepath.Base(file), cluster.Suffix)
	}
	return text
}

// search searches a scenario. What it found is there also where it could not be saved, which the
// error says then.
func (f *exploreFlags) search(ctx context.Context, s *cluster.Scenario, p *progress) (*exploreResult, error) {
	o := f.options
	o.MemoryMax, o.StatesMax = int64(f.memory)<<20, int64(f.states)
	// The bound is on what is held. The collector may leave no more garbage than a quarter of that.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(o.MemoryMax + o.MemoryMax/4))
	if f.state != "" {
		if err := os.MkdirAll(f.state, 0o777); err != nil {
			return nil, err
		}
		program, err := programSum()
		if err != nil {
			return nil, err
		}
		o.State, o.Key = filepath.Join(f.state, s.Name+".state"), program+"\n"+s.Text()
	}
	o.Progress = func(r explore.Progress) {
		p.show(fmt.Sprintf("%s: %s states, depth %d, %s/s generated; frontier %s, %s MiB",
			s.Name, cli.Grouped(r.States), r.Depth, cli.Grouped(int64(float64(r.Generated)/r.Elapsed.Seconds())), cli.Grouped(r.Frontier), cli.Grouped(r.Memory>>20)))
	}
	c, err := cluster.Run(ctx, s, o)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	r := &exploreResult{Claim: c}
	if c.Violation == nil {
		return r, nil
	}
	file := filepath.Join(f.out, s.Name+waySuffix)
	err = os.MkdirAll(f.out, 0o777)
	if err == nil {
		err = fuzz.WriteFile(file, []byte(cluster.FoundText(s, c.Violation)))
	}
	if err != nil {
		return r, fmt.Errorf("scenario %s: the counterexample cannot be saved, and its steps stand above only: %w\nName another directory with --out to search for it again", s.Name, err)
	}
	r.File = file
	return r, nil
}

// programSum names the program that searches: a claim is of one core, and of one set of checks, so
// another build does not go on with a search. The revision would not tell, as go run notes none.
var programSum = sync.OnceValues(func() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("--state: which program this is cannot be told: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("--state: which program this is cannot be told: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("--state: which program this is cannot be told: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
})

// readWay reads a counterexample, and its text.
func readWay(ctx context.Context, file string) (*cluster.Found, string, error) {
	text, err := cli.ReadAll(ctx, "the counterexample "+file, func() (io.ReadCloser, error) { return os.Open(file) }, wayBytesMax)
	if err != nil {
		return nil, "", err
	}
	found, err := cluster.ParseFound(file, string(text))
	if err != nil {
		return nil, "", cli.Errorf(cli.ExitUsage, "%w", err)
	}
	return found, string(text), nil
}

// replayAll takes the steps of counterexamples again. It goes on after a file that does not read.
func (f *exploreFlags) replayAll(ctx context.Context, files []string, stdout io.Writer) error {
	if len(files) == 0 {
		return cli.Errorf(cli.ExitUsage, "which counterexamples? Give at least one file")
	}
	violated := 0
	var failed []error
	for _, file := range files {
		found, _, err := readWay(ctx, file)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		v, err := found.Replay()
		r := &wayResult{File: file, Verdict: "holds"}
		switch {
		case errors.Is(err, cluster.ErrNotApplicable):
			r.Verdict = err.Error()
		case err != nil:
			return err
		case v != nil:
			violated++
			r.Verdict, r.Text = "violates "+v.Property, v.Text
		}
		if err := f.output.show(stdout, r); err != nil {
			return err
		}
	}
	if violated > 0 {
		failed = slices.Insert(failed, 0, fmt.Errorf("%d of %d are violated", violated, len(files)))
		return cli.Errorf(cli.ExitViolated, "%w", errors.Join(failed...))
	}
	return errors.Join(failed...)
}

// exploreResult is what explore prints of a scenario.
type exploreResult struct {
	*cluster.Claim
	File string `json:"file,omitempty"` // of the counterexample
}

func (r *exploreResult) text() string {
	text := fmt.Sprintf("%s: %s\n", r.Scenario, r.Verdict()) +
		fmt.Sprintf("  %s; at most %s\n", r.Mode, r.Budgets) +
		fmt.Sprintf("  %s states, %s generated in %d passes, depth %d, in %.1f s (%s/s); a state was missed with a chance below %.0e\n",
			cli.Grouped(r.States), cli.Grouped(r.Generated), r.Passes, r.Depth, r.Seconds, cli.Grouped(int64(float64(r.Generated)/max(r.Seconds, 1e-9))), r.Miss)
	if v := r.Violation; v != nil {
		text += "\n" + indent(v.Text) + "\n\n"
		for i, step := range v.Steps {
			text += fmt.Sprintf("  %2d. %s\n", i+1, step)
		}
	}
	if r.File != "" {
		text += fmt.Sprintf("\nSaved: %s\nReplay with: go run ./cmd/gtstore explore --replay %s\nPicture: go run ./cmd/gtstore view %s\n", r.File, r.File, r.File)
	}
	return text
}

type wayResult struct {
	File    string `json:"file"`
	Verdict string `json:"verdict"`
	Text    string `json:"text,omitempty"`
}

func (r *wayResult) text() string {
	text := fmt.Sprintf("%s: %s\n", r.File, r.Verdict)
	if r.Text != "" {
		text += indent(r.Text) + "\n"
	}
	return text
}

// The table of claims stands between these lines of its file.
const claimsBegin, claimsEnd = "<!-- claims -->", "<!-- end of claims -->"

// aroundClaims is what stands before and after the table of claims in its file.
func aroundClaims(file string) (before, after string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("--claims: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), claimsBegin)
	_, after, ok2 := strings.Cut(rest, claimsEnd)
	if !ok || !ok2 {
		return "", "", cli.Errorf(cli.ExitUsage, "--claims %s: it has no lines %s and %s, between which the table belongs", file, claimsBegin, claimsEnd)
	}
	return before, after, nil
}

// writeClaims writes the table of claims anew.
func writeClaims(file string, claims []*exploreResult) error {
	before, after, err := aroundClaims(file)
	if err != nil {
		return err
	}
	table := "\n| scenario | cluster | at most | states | depth | seconds | verdict |\n|---|---|---|---|---|---|---|\n"
	for _, r := range claims {
		table += fmt.Sprintf("| %s | %s | %s | %s | %d | %.1f | %s |\n", r.Scenario, r.Mode, r.Budgets, cli.Grouped(r.States), r.Depth, r.Seconds, r.Verdict())
	}
	return fuzz.WriteFile(file, []byte(before+claimsBegin+table+claimsEnd+after))
}
