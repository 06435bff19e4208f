package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"gtstore/cmd/gtstore/internal/load"
	"gtstore/cmd/internal/cli"
	"gtstore/netrpc"
)

// benchResult is what bench prints with -o json. Times are in seconds where their name says
// so; latencies are in microseconds.
type benchResult struct {
	Clients      int     `json:"clients"`
	Processes    int     `json:"processes"`
	Reads        float64 `json:"reads"`
	ValueSize    int     `json:"value_size"`
	Rate         int     `json:"rate"` // 0 for a closed loop
	Keys         int     `json:"keys"`
	Prefix       string  `json:"prefix"`
	Distribution string  `json:"distribution"`
	ForSeconds   float64 `json:"for_seconds"`

	ElapsedSeconds float64   `json:"elapsed_seconds"` // until the last operation ended
	Interrupted    bool      `json:"interrupted"`
	OpsPerSecond   float64   `json:"ops_per_second"`
	Puts           benchKind `json:"puts"`
	Gets           benchKind `json:"gets"`
	NotStarted     int64     `json:"not_started"` // were due, and waited for too long, or too many did
	Unfinished     int64     `json:"unfinished"`  // were under way when it was interrupted

	// IntervalSeconds is that of the two series: how many operations ended in each.
	IntervalSeconds float64 `json:"interval_seconds"`
}

// benchKind is what came of operations of one kind.
type benchKind struct {
	Operations   int64         `json:"operations"` // that succeeded, as are all but the errors
	OpsPerSecond float64       `json:"ops_per_second"`
	Mean         int64         `json:"mean_us"`
	P50          int64         `json:"p50_us"`
	P99          int64         `json:"p99_us"`
	P999         int64         `json:"p99_9_us"`
	Max          int64         `json:"max_us"`
	Errors       []load.Errors `json:"errors"`
	Series       []int64       `json:"series"`
	Histogram    string        `json:"histogram"` // HdrHistogram V2, compressed, in base64
}

func (f *benchFlags) result(r *load.Recording) (*benchResult, error) {
	result := benchResult{
		Clients: f.clients, Processes: f.processes, Reads: f.reads, ValueSize: f.valueSize, Rate: f.rate, Keys: f.keys,
		Prefix: netrpc.Printable(f.prefix), Distribution: f.distribution.Value, ForSeconds: f.length.Seconds(),
		ElapsedSeconds: r.Elapsed.Seconds(), Interrupted: r.Interrupted, NotStarted: r.NotStarted, Unfinished: r.Unfinished,
		IntervalSeconds: r.Interval.Seconds(),
	}
	var err error
	if result.Puts, err = newBenchKind(&r.Puts, r.Elapsed); err != nil {
		return nil, err
	}
	if result.Gets, err = newBenchKind(&r.Gets, r.Elapsed); err != nil {
		return nil, err
	}
	result.OpsPerSecond = result.Puts.OpsPerSecond + result.Gets.OpsPerSecond
	return &result, nil
}

func newBenchKind(o *load.Operations, elapsed time.Duration) (benchKind, error) {
	l, err := o.Latencies()
	if err != nil {
		return benchKind{}, err
	}
	percentile := func(p float64) int64 { return l.Percentile(p).Microseconds() }
	return benchKind{
		Operations: l.Count(), OpsPerSecond: float64(l.Count()) / elapsed.Seconds(), Mean: l.Mean().Microseconds(),
		P50: percentile(50), P99: percentile(99), P999: percentile(99.9), Max: percentile(100),
		Errors: append([]load.Errors{}, o.Errors...), Series: o.Series, Histogram: o.Latency,
	}, nil
}

// title and detail say what was measured.
func (r *benchResult) title() string {
	loop := "closed loop"
	if r.Rate > 0 {
		loop = fmt.Sprintf("open loop, %s operations/s due", cli.Grouped(r.Rate))
	}
	processes := "1 process"
	if r.Processes > 1 {
		processes = fmt.Sprintf("%d processes", r.Processes)
	}
	return fmt.Sprintf("%s, %d clients in %s", loop, r.Clients, processes)
}

func (r *benchResult) detail() string {
	text := fmt.Sprintf("%.4g %% gets, %s keys (%s), values of %s bytes, %.3g s",
		100*r.Reads, cli.Grouped(r.Keys), r.Distribution, cli.Grouped(r.ValueSize), r.ElapsedSeconds)
	if r.Interrupted {
		text += ", interrupted"
	}
	return text
}

func (r *benchResult) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s\n\n", r.title(), r.detail())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tOPERATIONS\tPER SECOND\tP50\tP99\tP99.9\tMAX\tFAILED\t")
	for _, k := range r.kinds() {
		failed := int64(0)
		for _, e := range k.Errors {
			failed += e.Count
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t", k.name, cli.Grouped(k.Operations), cli.Grouped(int64(k.OpsPerSecond)))
		for _, us := range []int64{k.P50, k.P99, k.P999, k.Max} {
			text := "-"
			if k.Operations > 0 {
				text = milliseconds(us)
			}
			fmt.Fprint(t, text, "\t")
		}
		fmt.Fprintf(t, "%s\t\n", cli.Grouped(failed))
	}
	t.Flush()
	for _, k := range r.kinds() {
		for _, e := range k.Errors {
			fmt.Fprintf(&b, "\n%s failed, %s: %s\n  for example: %s\n", k.name, e.Class, cli.Grouped(e.Count), netrpc.Printable(e.Example))
		}
	}
	if r.NotStarted > 0 {
		fmt.Fprintf(&b, "\nnot started: %s that were due, as too many waited, or for too long: the percentiles are without them\n", cli.Grouped(r.NotStarted))
	}
	if r.Unfinished > 0 {
		fmt.Fprintf(&b, "\nunder way when it was interrupted: %s\n", cli.Grouped(r.Unfinished))
	}
	return b.String()
}

type namedKind struct {
	name string
	*benchKind
}

func (r *benchResult) kinds() []namedKind { return []namedKind{{"puts", &r.Puts}, {"gets", &r.Gets}} }

func milliseconds(us int64) string { return fmt.Sprintf("%.2f ms", float64(us)/1000) }

// plotFile is the file that --plot names. It is opened before the load runs: whoever has
// waited for a load must not learn then that its picture cannot be written. What the file
// holds stays there until there is something else to write.
type plotFile struct {
	file *os.File // nil when no plot is asked for, or all is done
	made bool     // by this command
}

func checkPlot(name string) error {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".svg", ".html":
		return nil
	}
	if name == "" {
		return nil
	}
	return cli.Errorf(cli.ExitUsage, "--plot %s: want a file that ends in .svg or .html", name)
}

func openPlot(name string) (*plotFile, error) {
	if name == "" {
		return &plotFile{}, nil
	}
	_, err := os.Stat(name)
	made := os.IsNotExist(err)
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("cannot write the plot, so nothing was done: %w; name another file with --plot", err)
	}
	return &plotFile{file, made}, nil
}

// write draws a recording into the file.
func (p *plotFile) write(title, detail string, r *load.Recording) error {
	if p.file == nil {
		return nil
	}
	draw := load.WriteSVG
	if strings.EqualFold(filepath.Ext(p.file.Name()), ".html") {
		draw = load.WriteHTML
	}
	err := p.file.Truncate(0)
	if err == nil {
		err = draw(p.file, title, detail, r)
	}
	if closed := p.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("the load has run and its result is printed, but its plot cannot be written: %w", err)
	}
	p.file = nil
	return nil
}

// discard is for a load that did not come to its end.
func (p *plotFile) discard() {
	if p.file == nil {
		return
	}
	p.file.Close()
	if p.made {
		_ = os.Remove(p.file.Name()) // an empty file that stays does no harm
	}
}
