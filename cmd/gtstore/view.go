package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/schedule"
	"gtstore/sim/view"
)

// viewFlags are the flags of view.
type viewFlags struct {
	out    string
	format viewFormat
	mutant string
	source string
}

// noMutant as the name of a mutant asks for the real core alone.
const noMutant = "none"

func newView() *cobra.Command {
	f := viewFlags{format: formatHTML}
	cmd := &cobra.Command{
		Use:   "view [FILE]",
		Short: "Show a trace as a space-time diagram, in one HTML file",
		Long: `Runs a trace, with every check on, and writes what happened as one HTML file that works offline: a lane
per host, the messages between them, the faults, the operations, and the state of each host at every step.
Without a FILE it is the last failure that gtstore fuzz saved in traces or traces/found; a directory stands
for the newest trace in it; the file - is standard input.
Of a trace that names a mutant (the core with one rule removed), both sides are shown: how the mutant fails
and how the real core does not. That takes the project's source and Go, since the mutant must be built.
A counterexample of gtstore explore (FILE.way) is shown step by step; its steps have no times.
The exit code is 0 when the picture is written, whatever the verdict is: gtstore replay judges a trace.`,
		Example: `  gtstore view traces/stale-primary-get.trace
  gtstore view traces/stale-primary-get.trace --mutant read-without-round
  gtstore view --format perfetto -o last.json
  gtstore view --format mermaid traces/found/join.way`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := f.file(args)
			if err != nil {
				return err
			}
			if strings.HasSuffix(file, waySuffix) {
				return cli.Failed(f.viewWay(cmd.Context(), file, cmd.OutOrStdout(), cmd.ErrOrStderr()))
			}
			r := &replayer{stdin: cmd.InOrStdin()}
			s, err := r.read(cmd.Context(), file)
			if err != nil {
				return cli.Failed(err)
			}
			return cli.Failed(f.view(cmd.Context(), file, s, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "output", "o", "", "the file to write; - is standard output (default: the trace's name, here)")
	flags.Var(&f.format, "format", "what to write: html; perfetto, JSON for ui.perfetto.dev; mermaid, a sequence diagram for a short trace")
	flags.StringVar(&f.mutant, "mutant", "", "show this mutant of the core too, or "+noMutant+" (default: the one that the trace names)")
	flags.StringVar(&f.source, "source", "", "the project's source, for mutants (default: the folder here or above with its go.mod)")
	complete := cobra.FixedCompletions([]string{string(formatHTML), string(formatPerfetto), string(formatMermaid)}, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("format", complete); err != nil {
		panic(err) // only when the flag does not exist
	}
	return cmd
}

// viewFormat is what view writes; it is the value of --format.
type viewFormat string

const (
	formatHTML     viewFormat = "html"
	formatPerfetto viewFormat = "perfetto"
	formatMermaid  viewFormat = "mermaid"
	// formatRun is the run itself, as JSON. A process that is built with a mutant hands
	// its run to the process that built it so.
	formatRun viewFormat = "run"
)

// String implements pflag.Value, as do Set and Type.
func (f *viewFormat) String() string { return string(*f) }

// Set refuses what is not known.
func (f *viewFormat) Set(text string) error {
	switch *f = viewFormat(text); *f {
	case formatHTML, formatPerfetto, formatMermaid, formatRun:
		return nil
	}
	return fmt.Errorf("want %s, %s or %s", formatHTML, formatPerfetto, formatMermaid)
}

// Type is the word for the flag's value.
func (*viewFormat) Type() string { return "html|perfetto|mermaid" }

// ending is how the name of the file ends that is written when none is named.
func (f viewFormat) ending() string {
	switch f {
	case formatPerfetto:
		return ".perfetto.json"
	case formatMermaid:
		return ".mmd"
	}
	return ".html"
}

// failureDirs are where fuzz saves failures when it is not told otherwise, and
// failureName is how it names them: by property, seed and number.
var (
	failureDirs = []string{"traces/found", "traces"}
	failureName = regexp.MustCompile(`-\d+-\d+\.trace$`)
	anyTrace    = regexp.MustCompile(`\.trace$`)
)

// file returns the path of the trace that the arguments mean.
func (f *viewFlags) file(args []string) (string, error) {
	if len(args) == 0 {
		file := newest(failureDirs, failureName)
		if file == "" {
			return "", cli.Errorf(cli.ExitUsage, "which trace? There is no failure of gtstore fuzz in %s; give a file, a directory with traces, or - for standard input",
				strings.Join(failureDirs, " or "))
		}
		return file, nil
	}
	if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
		return args[0], nil // what is wrong with it will be said when it is read
	}
	file := newest(args, anyTrace)
	if file == "" {
		return "", cli.Errorf(cli.ExitError, "there is no trace in %s: want a file that ends in .trace", args[0])
	}
	return file, nil
}

// newest returns the youngest file in some directories whose name matches, or "".
func newest(dirs []string, name *regexp.Regexp) string {
	found, at := "", time.Time{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it need not exist
		}
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && !e.IsDir() && name.MatchString(e.Name()) && info.ModTime().After(at) {
				found, at = filepath.Join(dir, e.Name()), info.ModTime()
			}
		}
	}
	return found
}

// view runs the trace on the real core, and on the mutant if the trace or the flag
// names one, and writes both runs.
func (f *viewFlags) view(ctx context.Context, file string, s *schedule.Schedule, stdout, stderr io.Writer) error {
	p := view.NewPage(filepath.Base(file), s, view.Record(s))
	mutant, _ := s.Broken()
	if f.mutant != "" {
		mutant = f.mutant
	}
	if mutant != "" && mutant != noMutant {
		show := &progress{w: stderr, on: cli.IsTerminal(stderr)}
		show.show(fmt.Sprintf("building the core without a rule: %s", mutant))
		run, err := runMutant(ctx, mutant, f.source, s)
		show.clear()
		switch {
		case err == nil:
			p.Runs = append([]*view.Run{run}, p.Runs...)
		case f.mutant != "" || ctx.Err() != nil:
			return fmt.Errorf("cannot show the mutant %s: %w", mutant, err)
		default:
			p.Note = fmt.Sprintf("This trace breaks the core without a rule, %s. That side is not shown: %v", mutant, err)
			fmt.Fprintf(stderr, "gtstore: only the real core is shown, not the mutant %s: %v\n", mutant, err)
		}
	}
	return f.emit(file, p, stdout, stderr)
}

// viewWay writes a counterexample of the explorer.
func (f *viewFlags) viewWay(ctx context.Context, file string, stdout, stderr io.Writer) error {
	if f.mutant != "" {
		return cli.Errorf(cli.ExitUsage, "--mutant %s: a way is that of the core with which this program was built; leave out --mutant", f.mutant)
	}
	found, text, err := readWay(ctx, file)
	if err != nil {
		return err
	}
	p, err := view.WayPage(filepath.Base(file), text, found)
	if err != nil {
		return err
	}
	if p.Note != "" {
		fmt.Fprintln(stderr, "gtstore:", p.Note)
	}
	return f.emit(file, p, stdout, stderr)
}

// emit writes the page where it belongs, and says where that is.
func (f *viewFlags) emit(file string, p *view.Page, stdout, stderr io.Writer) error {
	var b bytes.Buffer
	if err := f.write(&b, p); err != nil {
		return err
	}
	if f.out == "-" || f.format == formatRun {
		_, err := stdout.Write(b.Bytes())
		return err
	}
	out := f.out
	if out == "" {
		out = strings.TrimSuffix(strings.TrimSuffix(p.Name, ".trace"), waySuffix) + f.format.ending()
		if file == "-" {
			out = "trace" + f.format.ending()
		}
	}
	if err := os.WriteFile(out, b.Bytes(), 0o666); err != nil {
		return fmt.Errorf("cannot write what is to be seen: %w; name another file with -o", err)
	}
	fmt.Fprintln(stderr, p.Runs[0].Headline)
	_, err := fmt.Fprintln(stdout, out)
	return err
}

// write writes the page, or of its first run an export.
func (f *viewFlags) write(w io.Writer, p *view.Page) error {
	switch f.format {
	case formatRun:
		return printJSON(w, p.Runs[0])
	case formatPerfetto:
		return view.WritePerfetto(w, p)
	case formatMermaid:
		err := view.WriteMermaid(w, p)
		if long := (*view.TooLongError)(nil); errors.As(err, &long) {
			return cli.Errorf(cli.ExitError, "%w: use --format html or perfetto", err)
		}
		return err
	}
	return view.WriteHTML(w, p)
}
