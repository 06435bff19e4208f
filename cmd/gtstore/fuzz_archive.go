package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/fuzz"
)

// archiveResult is what came of a search that goes on after a failure, over all
// the processes that have worked on it.
type archiveResult struct {
	Found  []archiveFound `json:"found"`
	Gone   []fuzz.Found   `json:"gone,omitempty"` // of a merge: what the search found, and this build does not see fail
	Others int            `json:"others"`         // failures that are not kept: the archive was full
	Dir    string         `json:"dir"`
}

type archiveFound struct {
	fuzz.Found
	File   string `json:"file"`
	Replay string `json:"replay"`
}

// runArchived searches, and takes every failure into an archive.
func runArchived(ctx context.Context, f *fuzzFlags, p *progress, stdout io.Writer) error {
	o := f.options
	var mu sync.Mutex // of p, which the search and the archive both write to
	archive, err := fuzz.OpenArchive(f.out, o, f.seedGiven, func(found fuzz.Found) {
		mu.Lock()
		defer mu.Unlock()
		p.say(fmt.Sprintf("violates %s: %s\n  schedule %d, %s actions and deviations: %s",
			found.Property, found.Place, found.Index, cli.Grouped(found.Size), found.File))
	})
	if err != nil {
		return err
	}
	defer archive.Close()
	o.Archive, o.Seed = archive, archive.Seed()
	o.Progress = func(s *fuzz.Stats) {
		mu.Lock()
		defer mu.Unlock()
		p.show(searchLines(s)...)
	}
	stats, _, err := fuzz.Search(ctx, o)
	p.clear()
	if err != nil {
		return err
	}
	r := resultOf(&o, stats)
	r.Interrupted = ctx.Err() != nil
	r.Night = archiveResultOf(f.out, archive.Found(), archive.Others())
	if err := f.output.show(stdout, r); err != nil {
		return err
	}
	if r.Interrupted && len(r.Night.Found) == 0 {
		return errors.New("interrupted: the same command goes on")
	}
	return r.Night.violated()
}

func archiveResultOf(dir string, found []fuzz.Found, others int) *archiveResult {
	r := &archiveResult{Found: []archiveFound{}, Others: others, Dir: dir}
	for _, f := range found {
		r.Found = append(r.Found, archiveFound{f, f.File, replayCommand(f.File)})
	}
	return r
}

// violated is the error of an archive in which something is.
func (n *archiveResult) violated() error {
	if properties := n.properties(); len(properties) > 0 {
		return cli.Errorf(cli.ExitViolated, "violated: %s", strings.Join(properties, ", "))
	}
	return nil
}

// properties are those that were violated.
func (n *archiveResult) properties() []string {
	var names []string
	for _, f := range n.Found {
		names = append(names, f.Property)
	}
	for _, f := range n.Gone {
		names = append(names, f.Property)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// text is the verdict, qualified by what is not known yet, and what was found.
func (n *archiveResult) text(soFar string) string {
	var b strings.Builder
	verdict := "holds"
	if violated := n.properties(); len(violated) > 0 {
		verdict = "violates " + strings.Join(violated, ", ")
	}
	fmt.Fprintf(&b, "verdict     %s%s\n", verdict, soFar)
	for _, f := range n.Found {
		fmt.Fprintf(&b, "\n%s, by %s schedules: %s\n  %s actions and deviations: %s\n",
			f.Property, cli.Grouped(f.Seen), f.Place, cli.Grouped(f.Size), f.Replay)
	}
	for _, f := range n.Gone {
		fmt.Fprintf(&b, "\n%s, by %s schedules, but not with this build any more: %s\n", f.Property, cli.Grouped(f.Seen), f.Place)
	}
	if n.Others > 0 {
		fmt.Fprintf(&b, "\nand %s failures that are not in the archive, which keeps %s\n", cli.Grouped(n.Others), cli.Grouped(fuzz.PlacesMax))
	}
	return b.String()
}
