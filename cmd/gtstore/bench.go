package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/gtstore/internal/load"
	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

const (
	// benchClientsMax is how many sessions a group has open at most: each client that
	// writes needs one.
	benchClientsMax = 4096

	benchProcessesMax = 64
	benchRateMax      = 1_000_000
	benchKeysMax      = 10_000_000 // they stay in the manager's memory for ever

	// benchBytesMax bounds what the keys hold together, in the memory of every node of
	// their groups.
	benchBytesMax = 1 << 30
)

type benchFlags struct {
	target       target
	clients      int
	reads        float64
	valueSize    int
	rate         int
	keys         int
	distribution cli.OneOf
	length       time.Duration
	processes    int
	prefix       string
	plot         string
	part         int // of a client process: its number, from 1; 0 for who starts them
}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put a cluster under load and measure it",
		Long: fmt.Sprintf(`Does puts and gets on a running cluster and prints how many succeeded in a second, how long they took,
and what failed, puts and gets apart. Ctrl-C ends it earlier, and what was measured until then is printed.

Without --rate each client begins an operation as soon as its last one has ended (a closed loop): that
shows what the cluster can do. With --rate operations are due at that rate, whatever the cluster does, and
a latency counts from the moment at which its operation was due (an open loop): so a cluster that stalls
shows in the percentiles. --clients is then how many are under way at a time, at most. Of those that are
due for longer, %s wait. Any more are not started, and neither are those that still wait when
--timeout has passed after the end; their number is printed.

The load is on --keys keys, whose names begin with --prefix. Each is written once before the time counts,
so that gets find it. The keys stay in the cluster: a later bench uses them again, and overwrites them.

--timeout bounds each operation. One that fails is counted by the class of its error; the percentiles are
of those that succeeded. --processes divides clients and rate among so many processes.

The exit code is 0 whenever the load ran, whatever came of its operations. It is 4 if the cluster cannot be
reached; if a key cannot be written, it is that of such a put.`, cli.Grouped(load.WaitingMax)),
		Example: `  gtstore bench
  gtstore bench --rate 5000 --for 1m --plot load.html
  gtstore bench --reads 0.95 --distribution zipf --clients 64 --processes 4 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			if err := f.check(); err != nil {
				return err
			}
			if f.part > 0 {
				return f.runPart(cmd)
			}
			return cli.Failed(f.run(cmd))
		},
	}
	flags := cmd.Flags()
	cli.Int(flags, &f.clients, "clients", 16, 1, benchClientsMax, "operations under way at a time")
	cli.Share(flags, &f.reads, "reads", 0.5, "the share of gets among the operations; the others are puts")
	cli.Int(flags, &f.valueSize, "value-size", 100, 0, core.ValueBytesMax, "bytes of each value")
	cli.Int(flags, &f.rate, "rate", 0, 0, benchRateMax, "operations due in a second; 0 lets each client begin the next one at once")
	cli.Int(flags, &f.keys, "keys", 1000, 1, benchKeysMax, "how many keys")
	f.distribution = cli.OneOf{Value: string(load.Uniform), Values: []string{string(load.Uniform), string(load.Zipf)}}
	flags.Var(&f.distribution, "distribution", fmt.Sprintf("which keys are used: all alike, or the k-th in proportion to 1/k^%v", load.ZipfExponent))
	cli.Duration(flags, &f.length, "for", 10*time.Second, 10*time.Millisecond, 24*time.Hour, "how long operations are begun")
	cli.Int(flags, &f.processes, "processes", 1, 1, benchProcessesMax, "client processes")
	flags.StringVar(&f.prefix, "prefix", "bench/", "how the names of the keys begin")
	flags.StringVar(&f.plot, "plot", "", "write a picture, operations a second and latencies, to this file: .svg or .html")
	cli.Int(flags, &f.part, "part", 0, 0, benchProcessesMax, "which client process this is")
	if err := flags.MarkHidden("part"); err != nil {
		panic(err) // only when the flag does not exist
	}
	f.target.addFor(cmd, 5*time.Second, "bound of each operation")
	return cmd
}

// check says which flags do not go together.
func (f *benchFlags) check() error {
	prefixMax := core.KeyBytesMax - load.KeyDigits
	switch bytes := int64(f.keys) * int64(f.valueSize); {
	case f.clients < f.processes:
		return cli.Errorf(cli.ExitUsage, "--processes %d: each needs a client, but --clients is %d", f.processes, f.clients)
	case f.rate > 0 && f.rate < f.processes:
		return cli.Errorf(cli.ExitUsage, "--processes %d: each needs an operation a second, but --rate is %d", f.processes, f.rate)
	case f.part > f.processes:
		return cli.Errorf(cli.ExitUsage, "--part %d: there are %d processes", f.part, f.processes)
	case bytes > benchBytesMax:
		return cli.Errorf(cli.ExitUsage, "--keys %d with --value-size %d would leave %s in the memory of the nodes: want %s at most",
			f.keys, f.valueSize, mebibytes(uint64(bytes)), mebibytes(benchBytesMax))
	case len(f.prefix) > prefixMax:
		return cli.Errorf(cli.ExitUsage, "--prefix of %d bytes: want %d at most, as %d digits follow, and a key has up to %d bytes",
			len(f.prefix), prefixMax, load.KeyDigits, core.KeyBytesMax)
	}
	return checkPlot(f.plot)
}

// share is a part of a number that is divided among the processes.
func (f *benchFlags) share(of int) int {
	part := max(f.part, 1) - 1
	share := of / f.processes
	if part < of%f.processes {
		share++
	}
	return share
}

// options are those of this process's load.
func (f *benchFlags) options() load.Options {
	return load.Options{
		Clients: f.share(f.clients), Reads: f.reads, ValueSize: f.valueSize, Rate: f.share(f.rate), Keys: f.keys, Prefix: f.prefix,
		Distribution: load.Distribution(f.distribution.Value), For: f.length, Timeout: f.target.timeout,
		Waiting: f.share(load.WaitingMax), Seed: rand.Uint64(), Part: max(f.part, 1) - 1, Parts: f.processes, Class: errorClass,
	}
}

// run runs the load in this process, or in several, and prints what came of it.
func (f *benchFlags) run(cmd *cobra.Command) error {
	plot, err := openPlot(f.plot)
	if err != nil {
		return err
	}
	defer plot.discard()
	p := &progress{w: cmd.ErrOrStderr(), on: cli.IsTerminal(cmd.ErrOrStderr())}
	var r *load.Recording
	if f.processes > 1 {
		r, err = f.runProcesses(cmd, p)
	} else {
		r, err = f.runHere(cmd.Context(), func(now load.Progress) { p.show(f.progressLine(now)) }, func() {})
	}
	p.clear()
	if err != nil {
		return err
	}
	result, err := f.result(r)
	if err != nil {
		return err
	}
	if err := f.target.output.show(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	return plot.write(result.title(), result.detail(), r)
}

// runHere runs this process's part of the load. Between the writing of the keys and the
// load it calls ready.
func (f *benchFlags) runHere(ctx context.Context, show func(load.Progress), ready func()) (*load.Recording, error) {
	dialled, cancel := context.WithTimeout(ctx, f.target.timeout)
	defer cancel()
	c, err := f.target.dial(dialled)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	opt := f.options()
	opt.Progress = show
	l := load.New(opt, func(int) load.Store { return benchStore{c} })
	switch err := l.Fill(ctx); {
	case err != nil && ctx.Err() != nil:
		return nil, cli.Errorf(cli.ExitError, "interrupted while the keys were written: the load had not begun")
	case err != nil:
		return nil, failed(fmt.Errorf("cannot write the %s keys, so the load did not begin: %w", cli.Grouped(f.keys), err))
	}
	ready()
	return l.Run(ctx), nil
}

// progressLine is what is shown while it runs.
func (f *benchFlags) progressLine(p load.Progress) string {
	if p.Elapsed == 0 {
		return fmt.Sprintf("writing the keys, which stay in the cluster: %s of %s", cli.Grouped(p.Filled), cli.Grouped(f.keys))
	}
	line := fmt.Sprintf("%v of %v: %s operations, %s/s", p.Elapsed.Round(100*time.Millisecond), f.length,
		cli.Grouped(p.Operations), cli.Grouped(int64(float64(p.Operations)/p.Elapsed.Seconds())))
	if p.Errors > 0 {
		line += fmt.Sprintf("; %s failed", cli.Grouped(p.Errors))
	}
	if p.NotStarted > 0 {
		line += fmt.Sprintf("; %s not started", cli.Grouped(p.NotStarted))
	}
	return line
}

// benchStore is a cluster as something to be loaded.
type benchStore struct{ c *netrpc.Client }

func (s benchStore) Put(ctx context.Context, key string, value []byte) error {
	_, err := s.c.Put(ctx, key, value)
	return err
}

func (s benchStore) Get(ctx context.Context, key string) error {
	_, err := s.c.Get(ctx, key)
	return err
}

// errorClasses are the names by which errors are counted. An error can be of two classes;
// the first in this list counts.
var errorClasses = []struct {
	class error
	name  string
}{
	{netrpc.ErrUnknownOutcome, "unknown outcome"},
	{netrpc.ErrGroupLost, "group lost"},
	{netrpc.ErrOverloaded, "overloaded"},
	{netrpc.ErrOtherCluster, "other cluster"},
	{netrpc.ErrNotFound, "not found"},
	{netrpc.ErrUnavailable, "unavailable"},
}

func errorClass(err error) string {
	for _, c := range errorClasses {
		if errors.Is(err, c.class) {
			return c.name
		}
	}
	return "other"
}
