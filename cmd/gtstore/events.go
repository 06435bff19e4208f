package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/admin"
	"gtstore/cmd/internal/cli"
	"gtstore/netrpc"
)

// Bounds of what an admin listener says: it may be anybody's.
const (
	eventBytesMax = 64 << 10 // a line
	eventLinesMax = 4096     // without --follow
	whyBytesMax   = 512      // why it tells none
	askAgainAfter = time.Second
)

type eventsFlags struct {
	from    cli.Addresses
	follow  bool
	timeout time.Duration
	output  format
}

func newEvents() *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events --admin HOST:PORT,…",
		Short: "Show what has happened in a cluster",
		Long: `Shows the recent events of nodes, the oldest first, as their admin listeners tell them: nodes
that registered, suspicions, members that were removed and why, joins, new primaries. The
manager's events tell the story of the cluster, and those of a storage node its own part. A
node keeps its last 1,024 events, until it ends. up prints the address of the manager's admin
listener; other nodes have one with --admin.

With --follow the command goes on with what happens, until it is interrupted. A node that does
not answer is said, and asked again.`,
		Example: `  gtstore events --admin 127.0.0.1:9100
  gtstore events --admin 10.0.0.1:9100,10.0.0.2:9100 --follow`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			if len(f.from) == 0 {
				return cli.Errorf(cli.ExitUsage, "--admin is missing: say whose events, as the HOST:PORT of their admin listeners; up prints the manager's")
			}
			p := &eventPrinter{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), output: f.output}
			if f.follow {
				return f.followAll(cmd.Context(), p)
			}
			return f.showAll(cmd.Context(), p)
		},
	}
	cmd.Flags().Var(&f.from, "admin", "addresses of admin listeners, with commas")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "go on with what happens, until interrupted")
	cli.Duration(cmd.Flags(), &f.timeout, "timeout", 5*time.Second, time.Millisecond, 24*time.Hour, "bound of each request; with --follow, of its beginning")
	addOutput(cmd, &f.output)
	return cmd
}

// ask reads the events of a node. It calls begins when the node answers, with its run, and each for
// every event, in order. It returns when the node has told all, or at an error.
func (f *eventsFlags) ask(ctx context.Context, address string, begins func(run string), each func(*admin.Event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(f.timeout, func() { cancel(fmt.Errorf("no answer within %v", f.timeout)) })
	defer late.Stop()
	path := "http://" + address + "/events"
	if f.follow {
		path += "?follow=1"
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusServiceUnavailable { // it says why
		why, _ := bufio.NewReader(io.LimitReader(r.Body, whyBytesMax)).ReadString('\n')
		return errors.New(cmp.Or(netrpc.Printable(strings.TrimSpace(why)), r.Status))
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %q: it is no admin listener of a GTStore node", r.Status)
	}
	if f.follow {
		late.Stop()
	}
	begins(r.Header.Get(admin.RunHeader))
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, eventBytesMax)
	for n := 0; lines.Scan(); n++ {
		var e admin.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || !f.follow && n == eventLinesMax {
			return errors.New("what it says is not a list of events: it is no admin listener of a GTStore node")
		}
		each(&e)
	}
	return cmp.Or(lines.Err(), context.Cause(ctx))
}

// showAll prints what all nodes tell, in the order of time. Whose clocks differ are out of
// order by so much.
func (f *eventsFlags) showAll(ctx context.Context, p *eventPrinter) error {
	lists, errs := make([][]admin.Event, len(f.from)), make([]error, len(f.from))
	var all sync.WaitGroup
	for i, address := range f.from {
		all.Go(func() {
			errs[i] = f.ask(ctx, address, func(string) {}, func(e *admin.Event) { lists[i] = append(lists[i], *e) })
		})
	}
	all.Wait()
	list := slices.Concat(lists...)
	slices.SortStableFunc(list, func(a, b admin.Event) int { return a.Time.Compare(b.Time) })
	for i := range list {
		p.print(&list[i])
	}
	for i, err := range errs {
		if err != nil {
			return cli.Errorf(cli.ExitUnavailable, "no events from %s: %w", f.from[i], err)
		}
	}
	return cli.Failed(p.failed)
}

// followAll prints what nodes tell as it comes, and asks who does not answer again.
func (f *eventsFlags) followAll(ctx context.Context, p *eventPrinter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.end = cancel
	var all sync.WaitGroup
	for _, address := range f.from {
		all.Go(func() { f.followOne(ctx, address, p) })
	}
	all.Wait()
	return cli.Failed(p.failed)
}

func (f *eventsFlags) followOne(ctx context.Context, address string, p *eventPrinter) {
	// Of the events that were printed: after a break a node tells all again that it still knows, and
	// one that was started anew has others.
	run, last := "", uint64(0)
	for said := false; ; {
		err := f.ask(ctx, address, func(now string) {
			if now != run {
				run, last = now, 0
			}
			if said {
				said = false
				p.say("%s answers again", address)
			}
		}, func(e *admin.Event) {
			if e.Number > last {
				last = e.Number
				p.print(e)
			}
		})
		if ctx.Err() != nil {
			return
		}
		if !said {
			said = true
			p.say("no events from %s: %v; asking again", address, cmp.Or(err, errors.New("it has ended the answer")))
		}
		select {
		case <-time.After(askAgainAfter):
		case <-ctx.Done():
			return
		}
	}
}

// eventPrinter prints events; several goroutines may use it.
type eventPrinter struct {
	out, err io.Writer
	output   format
	end      func() // ends the command, when nobody reads it any more

	mu     sync.Mutex
	failed error
}

func (p *eventPrinter) print(e *admin.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return
	}
	if p.output == formatJSON {
		p.failed = printJSON(p.out, e)
	} else {
		_, p.failed = fmt.Fprintln(p.out, eventText(e))
	}
	if p.failed != nil && p.end != nil {
		p.end()
	}
}

func (p *eventPrinter) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.err, format+"\n", args...)
}

// eventText is an event on a line.
func eventText(e *admin.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s", e.Time.Local().Format("2006-01-02 15:04:05.000"), netrpc.Printable(e.Node))
	if e.Group != 0 {
		fmt.Fprintf(&b, "  group %d", e.Group)
	}
	if e.Epoch != 0 {
		fmt.Fprintf(&b, ", epoch %d", e.Epoch)
	}
	if other := cmp.Or(e.Name, e.Other); other != "" {
		fmt.Fprintf(&b, "  %s", netrpc.Printable(other))
	}
	fmt.Fprintf(&b, "  %s", netrpc.Printable(e.Text))
	if e.Cause != "" {
		fmt.Fprintf(&b, ": %s", netrpc.Printable(e.Cause))
	}
	if e.Times > 1 {
		fmt.Fprintf(&b, " (%d times)", e.Times)
	}
	return b.String()
}
