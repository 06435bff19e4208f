package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/fuzz"
)

func newFuzzMerge() *cobra.Command {
	var output format
	cmd := &cobra.Command{
		Use:   "merge OUT DIR...",
		Short: "Make one archive of those that many machines wrote",
		Long: `Takes the archives of the parts of one search (fuzz --shard i/n --out DIR), adds up what they counted, and
puts the shortest trace of each property and place into OUT, if it still fails when this build replays it.
OUT is a directory that is not there yet. It appears when all is done, and not at all after an error.

All must be of one build, seed and length, and each of another part; a DIR may have several parts. The
verdict is that of the build that searched, over the parts that are there. The exit code is 6 when a
property was violated, also if this build sees it fail no more; otherwise it is 1 when parts are missing,
which are named.`,
		Example: `  gtstore fuzz merge all part1 part2 part3 part4`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return cli.Errorf(cli.ExitUsage, "want OUT, a directory that is not there yet, and the DIR of at least one archive")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Failed(runFuzzMerge(cmd.Context(), args[0], args[1:], output, cmd.OutOrStdout()))
		},
	}
	addOutput(cmd, &output)
	return cmd
}

// mergeResult is what a merge says beside the totals and what was found.
type mergeResult struct {
	Build   fuzz.Build  `json:"build"` // that searched
	Of      int         `json:"of"`    // parts of the search; 0 when it was not split
	Parts   []fuzz.Part `json:"parts"`
	Missing []int       `json:"missing"` // parts
}

func runFuzzMerge(ctx context.Context, out string, dirs []string, output format, stdout io.Writer) error {
	m, err := fuzz.Merge(ctx, out, dirs)
	if err != nil {
		return err
	}
	r := resultOf(&fuzz.Options{Seed: m.Seed, Learn: m.Learn}, m.Stats())
	r.Night = archiveResultOf(out, m.Found, m.Others)
	r.Night.Gone = m.Gone
	r.Merged = &mergeResult{Build: m.Build, Of: m.Of, Parts: m.Parts, Missing: m.Missing}
	if err := output.show(stdout, r); err != nil {
		return err
	}
	if err := r.Night.violated(); err != nil {
		return err
	}
	if missing := r.Merged.missing(); missing != "" {
		return fmt.Errorf("%s: run what is missing, and merge all of it into another directory", missing)
	}
	return nil
}

// missing says which parts are missing, or "".
func (m *mergeResult) missing() string {
	switch {
	case len(m.Missing) == 0:
		return ""
	case m.Of == 0:
		return "the search ran no schedule"
	}
	parts := "part"
	if len(m.Missing) > 1 {
		parts = "parts"
	}
	return fmt.Sprintf("%s %s of %d missing", parts, ranges(m.Missing), m.Of)
}

// ranges writes ascending numbers as in "1, 3-5, 9".
func ranges(numbers []int) string {
	var list []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		if text := fmt.Sprint(numbers[i]); end == i {
			list = append(list, text)
		} else {
			list = append(list, fmt.Sprintf("%s-%d", text, numbers[end]))
		}
		i = end + 1
	}
	return strings.Join(list, ", ")
}

func (m *mergeResult) text(found *archiveResult) string {
	soFar := ""
	if missing := m.missing(); missing != "" {
		soFar = ", so far: " + missing
	}
	least, most := m.Parts[0].Schedules, m.Parts[0].Schedules
	for _, p := range m.Parts {
		least, most = min(least, p.Schedules), max(most, p.Schedules)
	}
	return fmt.Sprintf("parts       %s of %s, of %s to %s schedules\n", cli.Grouped(len(m.Parts)), cli.Grouped(max(1, m.Of)), cli.Grouped(least), cli.Grouped(most)) +
		fmt.Sprintf("build       %v\n", m.Build) +
		fmt.Sprintf("merged      %s\n", found.Dir) +
		found.text(soFar)
}
