package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/sim"
	"gtstore/sim/fuzz"
	"gtstore/sim/schedule"
)

// traceBytesMax bounds a trace file: one with as many lines as a schedule may
// have, each with a long value, is larger, and not worth replaying.
const traceBytesMax = 64 << 20

func newReplay() *cobra.Command {
	var output format
	var trace, record bool
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Run saved traces and say what came of each",
		Long: `Runs each trace twice, with every check on, and prints its verdict: holds, violates PROPERTY,
not applicable (it names a message that is never sent, an action that has no effect, or a
situation that does not come about), or not deterministic (the two runs differ). A trace says
itself which verdict is expected of it.

A trace may also carry a recording, a fingerprint of a run; those that fuzz saves do. If the code now
behaves otherwise, that is said beside the verdict, as in: holds; diverged at event 529 to 544. The verdict
counts all the same, for the exit code too: a trace says what happens from outside, and what must hold
then. --record writes the recording of today's run into each file whose verdict is as expected.
The file - is standard input.`,
		Example: `  gtstore replay traces/*.trace
  gtstore replay --trace traces/found/linearizable-7-120.trace
  gtstore replay --record traces/linearizable-7-120.trace`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Errorf(cli.ExitUsage, "which traces? Give at least one file, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			if trace && output == formatJSON {
				return cli.Errorf(cli.ExitUsage, "--trace prints text: leave out -o json")
			}
			if record && slices.Contains(files, "-") {
				return cli.Errorf(cli.ExitUsage, "--record writes into the files: standard input is none")
			}
			r := &replayer{stdin: cmd.InOrStdin(), stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), output: output, trace: trace, record: record}
			return cli.Failed(r.replayAll(cmd.Context(), files))
		},
	}
	cmd.Flags().BoolVar(&trace, "trace", false, "print every event")
	cmd.Flags().BoolVar(&record, "record", false, "write the recording of this run into each file")
	addOutput(cmd, &output)
	return cmd
}

type replayer struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	output         format
	trace, record  bool
}

// replayAll goes on after a file that is not as expected, so that one run tells about
// all of them.
func (r *replayer) replayAll(ctx context.Context, files []string) error {
	unread, violated, unexpected, diverged, done := 0, 0, 0, 0, 0
	for _, file := range files {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted after %d of %d traces", done, len(files))
		}
		done++
		s, err := r.read(ctx, file)
		if err != nil {
			unread++
			fmt.Fprintf(r.stderr, "gtstore: %v\n", err)
			continue
		}
		result, err := r.replay(file, s)
		if err == nil {
			err = r.output.show(r.stdout, result)
		}
		if err != nil {
			return fmt.Errorf("printing the result of %s: %w", file, err)
		}
		if !result.AsExpected {
			unexpected++
			if result.Property != "" {
				violated++
			}
		} else if r.record {
			if err := r.write(ctx, file, result.recording); err != nil {
				return err
			}
		}
		if result.Diverged != nil {
			diverged++
		}
	}
	if diverged > 0 && !r.record {
		fmt.Fprintf(r.stderr, "gtstore: %d of %d traces diverged from their recordings: the code behaves otherwise than it did then. If that is meant, replay --record them\n", diverged, len(files))
	}
	switch text := notAsExpected(len(files), unexpected, unread); {
	case violated > 0:
		return cli.Errorf(cli.ExitViolated, "%s", text)
	case text != "":
		return errors.New(text)
	}
	return nil
}

// notAsExpected says how many traces were not as expected, or is "" when all were.
func notAsExpected(files, unexpected, unread int) string {
	var parts []string
	if unexpected > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d traces not as expected", unexpected, files))
	}
	if unread > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d not readable", unread, files))
	}
	return strings.Join(parts, ", ")
}

// write puts a recording into a trace, which is otherwise left as it stands.
func (r *replayer) write(ctx context.Context, file string, recording *schedule.Recording) error {
	text, err := r.text(ctx, file)
	if err == nil && recording != nil { // nil when there was not one event
		err = fuzz.WriteFile(file, []byte(schedule.WithRecording(text, recording)))
	}
	if err != nil {
		return fmt.Errorf("cannot write the recording: %w", err)
	}
	return nil
}

// read parses a file; an error begins with FILE:LINE where there is a line.
func (r *replayer) read(ctx context.Context, file string) (*schedule.Schedule, error) {
	text, err := r.text(ctx, file)
	if err != nil {
		return nil, err
	}
	s, err := schedule.Parse(text)
	if err != nil {
		return nil, errors.New(located(file, err))
	}
	return s, nil
}

func (r *replayer) text(ctx context.Context, file string) (string, error) {
	what, open := "the trace "+file, func() (io.ReadCloser, error) { return os.Open(file) }
	if file == "-" {
		what, open = "the trace on standard input", cli.Open(r.stdin)
	}
	text, err := cli.ReadAll(ctx, what, open, traceBytesMax)
	return string(text), err
}

// located writes the place of a parser's error as FILE:LINE, which editors understand,
// instead of "line LINE".
func located(file string, err error) string {
	if rest, ok := strings.CutPrefix(err.Error(), "line "); ok {
		if line, text, ok := strings.Cut(rest, ": "); ok && line != "0" {
			return file + ":" + line + ": " + text
		}
	}
	return file + ": " + err.Error()
}

// replay runs a schedule twice and judges it. The error is of printing.
func (r *replayer) replay(file string, s *schedule.Schedule) (*replayResult, error) {
	out := bufio.NewWriter(r.stdout)
	var options sim.RunOptions
	if r.trace {
		options.Log = func(record *sim.LogRecord) {
			out.WriteString(record.String())
			out.WriteByte('\n')
		}
	}
	options.KeepHashes = true
	begin := time.Now()
	first := fuzz.Check(s, options)
	wall := time.Since(begin)
	if err := out.Flush(); err != nil {
		return nil, err
	}
	second := fuzz.Check(s, sim.RunOptions{KeepHashes: true})
	result := judge(s, first, second)
	result.File, result.WallSeconds = file, wall.Seconds()
	return result, nil
}

// replayResult is what replay prints of a file.
type replayResult struct {
	File             string  `json:"file"`
	Verdict          string  `json:"verdict"`
	Expect           string  `json:"expect"`
	AsExpected       bool    `json:"as_expected"`
	Property         string  `json:"property,omitempty"` // that is violated
	Text             string  `json:"text,omitempty"`     // why the verdict is not "holds"
	Events           int     `json:"events"`
	Operations       int     `json:"operations"`
	SimulatedSeconds float64 `json:"simulated_seconds"`
	WallSeconds      float64 `json:"wall_seconds"` // of the first run
	Hash             string  `json:"hash"`         // of all events

	Diverged *divergence `json:"diverged,omitempty"` // from the trace's recording

	stack     string
	recording *schedule.Recording
}

// divergence is where the run begins to differ from the trace's recording: at one of
// the events From to To.
type divergence struct {
	From           int `json:"from"`
	To             int `json:"to"`
	RecordedEvents int `json:"recorded_events"`

	text string
}

// judge compares two runs of a schedule with each other, and with what the schedule
// expects. The first of these that applies is the verdict:
//
//   - The runs differ. Then nothing else about them can be relied on.
//   - A property is violated. That may keep later actions from having an effect, so it
//     comes before the next.
//   - An action had no effect, or a situation did not come about. Then the trace no
//     longer shows what it was saved for.
//
// A run that differs from the trace's recording does not change the verdict: the code
// has changed, but the schedule still means the same.
func judge(s *schedule.Schedule, first, second *sim.Outcome) *replayResult {
	r := &replayResult{
		Verdict: first.Verdict, Expect: s.Expect, Events: first.Events, Operations: len(first.Ops),
		SimulatedSeconds: first.Virtual.Seconds(), Hash: fmt.Sprintf("%016x", first.Hash),
	}
	if r.Expect == "" {
		r.Expect = "holds"
	}
	if difference := compareRuns(first, second); difference != "" {
		r.Verdict, r.Property, r.Text = "not deterministic", "deterministic", difference
	} else if v := first.Violation; v != nil {
		r.Property, r.Text, r.stack = v.Property, v.Text, v.Stack
	} else if missing := first.Missing(s); len(missing) > 0 {
		r.Verdict, r.Text = "not applicable", strings.Join(missing, "\n")
	}
	if s.Recorded != nil && r.Verdict != "not deterministic" {
		if d := s.Recorded.Compare(first.Events, first.Hash, first.Hashes); d != nil {
			r.Diverged = &divergence{d.From, d.To, d.Recorded, d.String()}
		}
	}
	r.recording = first.Recording
	r.AsExpected = r.Verdict == r.Expect
	return r
}

// compareRuns says how two runs of one schedule differ, or returns "".
func compareRuns(a, b *sim.Outcome) string {
	for i := range min(len(a.Hashes), len(b.Hashes)) {
		if a.Hashes[i] != b.Hashes[i] {
			return fmt.Sprintf("two runs differ from event %d on", i+1)
		}
	}
	switch {
	case a.Events != b.Events:
		return fmt.Sprintf("two runs are equal for %d events, then one of them ends", min(a.Events, b.Events))
	case a.Hash != b.Hash:
		return "two runs differ after their last event"
	case a.Verdict != b.Verdict:
		return fmt.Sprintf("two equal runs were judged differently: one %s, one %s", a.Verdict, b.Verdict)
	case a.Violation != nil && a.Violation.Text != b.Violation.Text:
		return fmt.Sprintf("two equal runs were judged differently: %s; and: %s", a.Violation.Text, b.Violation.Text)
	}
	return ""
}

func (r *replayResult) text() string {
	text := r.File + ": " + r.Verdict
	if d := r.Diverged; d != nil {
		text += fmt.Sprintf("; %s (%s events now, %s when it was recorded)", d.text, cli.Grouped(r.Events), cli.Grouped(d.RecordedEvents))
	}
	if r.Text != "" {
		head, rest, more := strings.Cut(r.Text, "\n")
		text += ": " + head
		if more {
			text += "\n" + indent(rest)
		}
	}
	text += "\n"
	if r.AsExpected {
		return text
	}
	if r.stack != "" {
		text += indent(r.stack) + "\n"
	}
	text += "  expected: " + r.Expect + "\n"
	switch {
	case r.Property != "":
		text += "  see it with: " + viewCommand(r.File) + "\n"
	case r.Verdict == "not applicable":
		text += "  the code behaves otherwise than when the trace was saved: mend the trace, delete it, or let it expect not applicable\n"
	default:
		text += "  the violation no longer happens: if that is meant, let the trace expect " + r.Verdict + "\n"
	}
	return text
}
