package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/core/quorum"
	"gtstore/netrpc/disk"
)

func newDisk() *cobra.Command {
	var d diskReader
	cmd := &cobra.Command{
		Use:   "disk DIR",
		Short: "Show what a node's directory holds",
		Long: `Reads the directory that a node has as its --dir, without a cluster, and changes nothing in
it. Shows whose it is, what it holds, how large its files are, what was put aside as damaged,
and what is damaged now. Of the directory of a whole cluster, as up --dir makes it, each
node's is shown.

All records are read, and their checksums. With --verify all the rest is too: every block of the
engine's tables. Exit code 1 says that something is damaged, or that a directory could not be
read. One that a node uses cannot be: what is written meanwhile would pass for damage. Stop the
node first. A copy can be read, if it was made while no node used the original.

A key of a record such as value/1/"hello" is of group 1, and log/1/42 is its entry 42. A manager's
node/3 is the node that its third command listed, and key/"hello" says which group has that key.`,
		Example: `  gtstore disk /var/lib/gtstore
  gtstore disk ~/gtstore --verify
  gtstore disk ~/gtstore/node1 -o json`,
		Args: named(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d.stdout, d.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return cli.Failed(d.show(cmd.Context(), args[0]))
		},
	}
	cmd.Flags().BoolVar(&d.verify, "verify", false, "read all of the files, and check every checksum")
	addOutput(cmd, &d.output)
	return cmd
}

type diskReader struct {
	stdout, stderr io.Writer
	output         format
	verify         bool
}

// show goes on after a directory that cannot be read, so that one run tells about all of
// them.
func (d *diskReader) show(ctx context.Context, name string) error {
	dirs, err := disk.Find(name, disk.Options{})
	if err != nil {
		return diskError(ctx, name, err)
	}
	slices.SortFunc(dirs, byNumber)
	damaged, unread := 0, 0
	for i, dir := range dirs {
		r, err := disk.Inspect(ctx, dir, d.verify, disk.Options{Inspect: quorum.Inspect})
		if err != nil {
			err = diskError(ctx, dir, err)
			if len(dirs) == 1 || ctx.Err() != nil {
				return err
			}
			unread++
			fmt.Fprintf(d.stderr, "gtstore: %v\n", err)
			continue
		}
		if i > 0 && d.output == formatText {
			fmt.Fprintln(d.stdout)
		}
		if err := d.output.show(d.stdout, newDiskResult(dir, r)); err != nil {
			return fmt.Errorf("printing what %s holds: %w", dir, err)
		}
		if r.Damaged() {
			damaged++
		}
	}
	return diskVerdict(name, len(dirs), damaged, unread)
}

// diskVerdict says of how many directories something is wrong; nil if of none.
func diskVerdict(name string, dirs, damaged, unread int) error {
	if dirs == 1 && damaged == 1 {
		return fmt.Errorf("%s is damaged: what to do is said above", name)
	}
	var parts []string
	if damaged > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d directories damaged", damaged, dirs))
	}
	if unread > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d not readable", unread, dirs))
	}
	if len(parts) == 0 {
		return nil
	}
	return errors.New(strings.Join(parts, ", "))
}

// diskError is what a person is told of an error of package disk.
func diskError(ctx context.Context, dir string, err error) error {
	text := strings.TrimPrefix(err.Error(), "disk: ")
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted while reading %s: nothing can be said of it", dir)
	case errors.Is(err, os.ErrPermission):
		text += "; read it as the user whose node it is"
	}
	return errors.New(text)
}

// byNumber orders names as people count: node2 comes before node10.
func byNumber(a, b string) int {
	wordA, wordB := strings.TrimRight(a, "0123456789"), strings.TrimRight(b, "0123456789")
	if wordA == wordB {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	return cmp.Compare(wordA, wordB)
}

// text is the result for people.
func (r *diskResult) text() string {
	var b bytes.Buffer
	r.writeHead(&b)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	r.writeDirectory(w)
	r.writeGroups(w)
	w.Flush()
	fmt.Fprintf(&b, "\nfiles: %s, %s, %s\n", r.Files.Logs.of("log"), r.Files.Tables.of("table"), r.Files.Other.of("other file"))
	for _, a := range r.Aside {
		fmt.Fprintf(&b, "put aside: %s, %s", a.Name, a.diskPart.of("file"))
		if a.Why != "" {
			fmt.Fprintf(&b, ": %s", a.Why)
		}
		b.WriteString("\n")
	}
	r.writeVerdict(&b)
	return b.String()
}

func (r *diskResult) writeHead(b *bytes.Buffer) {
	what := "manager"
	if r.Role != string(disk.Manager) {
		what = "storage node"
	}
	fmt.Fprintf(b, "%s: a %s, ", r.Dir, what)
	if r.ID != "" {
		cluster := "of no cluster yet"
		if r.Cluster != "" {
			cluster = "of cluster " + r.Cluster
		}
		fmt.Fprintf(b, "%s, %s, started %s; ", r.ID, cluster, times(uint64(r.Boots)))
	}
	fmt.Fprintf(b, "format %d, records of version %d\n", r.Format, r.RecordVersion)
	if r.Copied {
		b.WriteString("It is a copy, or was moved: a node starts on it only with --moved.\n")
	}
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatUint(n, 10) + " times"
}

func (r *diskResult) writeDirectory(w io.Writer) {
	d := r.Directory
	if r.Quorum > 0 {
		fmt.Fprintf(w, "One of several managers: %s of its log and its Directory\n", counted(r.Quorum, "record"))
	}
	if d == nil {
		return
	}
	unit := "key"
	if strings.HasPrefix(d.Placement, "slots=") {
		unit = "slot"
	}
	fmt.Fprintf(w, "Directory at index %d, placement %s, %s mapped: records of index %d, and %s since\n",
		d.Index, cmp.Or(d.Placement, "?"), counted(d.Units, unit), d.Folded, counted(d.Commands, "command"))
	if d.Pending > 0 {
		fmt.Fprintf(w, "Not known here to be agreed on: the last %s.\n", counted(d.Pending, "command"))
	}
	if d.Cut {
		fmt.Fprintln(w, "It is shown only as far as it was read before the first damage.")
	}
	if len(d.Nodes) > 0 {
		fmt.Fprintln(w, "\nNODE\tADDRESS\tID\tSTARTS\tSTATE\tGROUP\tROLE")
	}
	for _, n := range d.Nodes {
		group, role := "-", n.Role
		if n.Group != 0 {
			group = fmt.Sprint(n.Group)
		}
		if role == roleNone {
			role = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", cmp.Or(n.Name, "-"), n.Addr, n.ID, n.Boots, n.State, group, role)
	}
	if len(d.Groups) > 0 {
		fmt.Fprintln(w, "\nGROUP\tEPOCH\t"+strings.ToUpper(unit)+"S\tCHAIN")
	}
	for _, g := range d.Groups {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\n", g.ID, g.Epoch, cli.Grouped(g.Units), strings.Join(g.Chain, " > "))
	}
}

func (r *diskResult) writeGroups(w io.Writer) {
	if r.Role == string(disk.Storage) && r.ID != "" && len(r.Groups) == 0 {
		fmt.Fprintln(w, "It was never in a group.")
	}
	if len(r.Groups) > 0 {
		fmt.Fprintln(w, "\nGROUP\tEPOCH\tPART\tLOG\tAPPLIED\tENTRIES\tKEYS\tVALUES\tSESSIONS\tCHAIN")
	}
	behind := false
	for _, g := range r.Groups {
		behind = behind || g.Last > g.Applied && !g.Partial
		part, log, chain := g.Part, "-", make([]string, len(g.Chain))
		if part == roleNone {
			part = "-"
		}
		if g.Partial {
			part += ", half a snapshot"
		}
		if g.Last > g.Base.Seq {
			log = fmt.Sprintf("%d to %d", g.Base.Seq+1, g.Last)
		}
		for i, p := range g.Chain {
			chain[i] = cmp.Or(p.Name, p.Addr)
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%s\n", g.ID, g.Epoch, part, log, g.Applied,
			cli.Grouped(g.Entries), cli.Grouped(g.Keys), sizeText(g.ValueBytes), g.Sessions, cmp.Or(strings.Join(chain, " > "), "?"))
	}
	if behind {
		fmt.Fprintln(w, "Keys, values and sessions are those at APPLIED; what the log has after that comes on top when the node starts.")
	}
}

func (r *diskResult) writeVerdict(b *bytes.Buffer) {
	read := fmt.Sprintf("%s (%s)", counted(r.Records.Count, "record"), sizeText(r.Records.Bytes))
	if v := r.Verified; v != nil {
		read = fmt.Sprintf("%s, %s and %s", read, r.Files.Logs.of("log"), v.diskPart.of("table"))
	}
	switch {
	case r.Damaged == 0 && r.Records.Count == 0:
		b.WriteString("There are no data: a node that starts here begins anew.\n")
	case r.Damaged == 0 && r.Verified != nil:
		fmt.Fprintf(b, "whole: read %s; every checksum is right\n", read)
	case r.Damaged == 0:
		fmt.Fprintf(b, "no damage: read %s; --verify reads all the rest\n", read)
	default:
		if r.Records.Count == 0 {
			read = "no record"
		}
		fmt.Fprintf(b, "DAMAGED in %s; read %s\n", counted(r.Damaged, "place"), read)
		for _, d := range r.Damage {
			fmt.Fprintf(b, "  %s: %s\n", cmp.Or(d.Record, d.File), d.What)
		}
		if more := r.Damaged - len(r.Damage); more > 0 {
			fmt.Fprintf(b, "  and %s more\n", cli.Grouped(more))
		}
		fmt.Fprintf(b, "%s\n", r.Remedy)
	}
}

// of is a part of the files for people, as in "2 tables (1.5 MiB)".
func (p diskPart) of(what string) string {
	return fmt.Sprintf("%s (%s)", counted(p.Files, what), sizeText(p.Bytes))
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return cli.Grouped(n) + " " + what
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	switch {
	case n >= 1<<20:
		return mebibytes(uint64(n))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
