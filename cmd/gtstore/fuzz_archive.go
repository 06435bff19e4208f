package main

import (
	"context"
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
	Others int            `json:"others"` // failures that are not kept: the archive was full
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
	r := resultOf(o.Seed, o.Shard, stats)
	r.Interrupted = ctx.Err() != nil
	r.Night = &archiveResult{Found: []archiveFound{}, Others: archive.Others(), Dir: f.out}
	for _, found := range archive.Found() {
		r.Night.Found = append(r.Night.Found, archiveFound{found, found.File, replayCommand(found.File)})
	}
	if err := f.output.show(stdout, r); err != nil {
		return err
	}
	if violated := r.Night.properties(); len(violated) > 0 {
		return cli.Errorf(cli.ExitViolated, "violated: %s", strings.Join(violated, ", "))
	}
	return nil
}

// properties are those that were violated.
func (n *archiveResult) properties() []string {
	var names []string
	for _, f := range n.Found {
		names = append(names, f.Property)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *archiveResult) text(interrupted bool) string {
	var b strings.Builder
	verdict := "holds"
	if violated := n.properties(); len(violated) > 0 {
		verdict = "violates " + strings.Join(violated, ", ")
	}
	if interrupted {
		verdict += ", so far: interrupted; the same command goes on"
	}
	fmt.Fprintf(&b, "verdict     %s\n", verdict)
	for _, f := range n.Found {
		fmt.Fprintf(&b, "\n%s, by %s schedules: %s\n  %s actions and deviations: %s\n",
			f.Property, cli.Grouped(f.Seen), f.Place, cli.Grouped(f.Size), f.Replay)
	}
	if n.Others > 0 {
		fmt.Fprintf(&b, "\nand %s failures that are not in the archive, which keeps %s\n", cli.Grouped(n.Others), cli.Grouped(fuzz.PlacesMax))
	}
	return b.String()
}
