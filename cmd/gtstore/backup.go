package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/gtstore/internal/backup"
	"gtstore/cmd/internal/cli"
	"gtstore/core"
)

const (
	backupRate    = 16 << 20 // bytes a second: fewer than a joining node gets
	backupRateMin = 1 << 10
	backupRateMax = 1 << 30
	// backupPatience is how long a group may have no primary: far longer than a failover.
	backupPatience = 30 * time.Second
)

// backupResult is what backup prints.
type backupResult struct {
	File     string        `json:"file"`
	Cluster  string        `json:"cluster"`
	Time     time.Time     `json:"time"` // when it was begun
	Replicas int           `json:"replicas"`
	Groups   []backupGroup `json:"groups"`
	Keys     uint64        `json:"keys"`
	Bytes    int64         `json:"bytes"` // of the file
	Seconds  float64       `json:"seconds"`
}

// backupGroup is a group as it was at one position of its log.
type backupGroup struct {
	ID    core.GroupID `json:"id"`
	Epoch core.Epoch   `json:"epoch"`
	Seq   core.Seq     `json:"seq"`
	Keys  uint64       `json:"keys"`
}

func (r *backupResult) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "OK, %s: %s keys of cluster %s, %s, in %.1f s\n\n", r.File, cli.Grouped(int64(r.Keys)), r.Cluster, mebibytes(uint64(r.Bytes)), r.Seconds)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GROUP\tEPOCH\tSEQ\tKEYS")
	for _, g := range r.Groups {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\n", g.ID, g.Epoch, g.Seq, g.Keys)
	}
	_ = w.Flush() // to memory
	return b.String()
}

type backupFlags struct {
	target target
	rate   int
	force  bool
}

func newBackup() *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Save all keys of a running cluster in a file",
		Long: `Saves all keys of a running cluster, with values and versions, while it goes on serving. Of each group the
file has the state at one position of its log (SEQ), with every write that was acknowledged before the backup
began. Between groups there is no order: a write to one can be in the file without an earlier one to another.

--rate bounds what is read of keys and values in a second; what is written meanwhile comes on top. When a
group's primary fails, the group is begun anew under the next one. A group that is lost, or whose writes outran
the reading again and again, ends the backup.

The file appears under its name when it is complete and on the disk. FILE that exists is kept, unless --force
is given. The file - is standard output; the result then goes to standard error.`,
		Example: `  gtstore backup monday.backup
  gtstore backup - | ssh elsewhere 'cat > monday.backup'`,
		Args: named(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			return failed(f.run(cmd, args[0]))
		},
	}
	cli.Int(cmd.Flags(), &f.rate, "rate", backupRate, backupRateMin, backupRateMax, "bytes of keys and values that are read in a second")
	cmd.Flags().BoolVar(&f.force, "force", false, "replace FILE if it exists")
	f.target.addFor(cmd, backupPatience, "how long to wait for a group whose primary does not answer")
	return cmd
}

func (f *backupFlags) run(cmd *cobra.Command, name string) error {
	out, err := createBackup(name, f.force, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	defer out.discard()
	p := &progress{w: cmd.ErrOrStderr(), on: cli.IsTerminal(cmd.ErrOrStderr())}
	r, err := f.save(cmd.Context(), out, p)
	p.clear()
	if err == nil {
		err = out.keep()
	}
	switch {
	case err != nil && cmd.Context().Err() != nil:
		return cli.Errorf(cli.ExitError, "interrupted: there is no backup")
	case err != nil:
		return fmt.Errorf("there is no backup: %w", err)
	}
	r.File = name
	to := cmd.OutOrStdout()
	if out.stdout {
		to = cmd.ErrOrStderr()
	}
	if err := f.target.output.show(to, r); err != nil {
		return fmt.Errorf("the backup is complete, but that cannot be printed: %w", err)
	}
	return nil
}

// save writes the backup.
func (f *backupFlags) save(ctx context.Context, out io.Writer, p *progress) (*backupResult, error) {
	begin := time.Now()
	dialled, cancel := context.WithTimeout(ctx, f.target.timeout)
	defer cancel()
	c, err := f.target.dial(dialled)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := c.Status(dialled)
	if err != nil {
		return nil, err
	}
	r := &backupResult{Cluster: s.Cluster.String(), Time: begin.UTC().Truncate(time.Second), Replicas: s.Replicas, Groups: []backupGroup{}}
	buffer := bufio.NewWriterSize(out, 1<<16)
	w, err := backup.NewWriter(buffer, backup.Header{Cluster: s.Cluster, Time: begin.UnixNano(), Replicas: uint64(s.Replicas), Groups: uint64(len(s.Groups))})
	if err != nil {
		return nil, err
	}
	e := c.Exporter(f.rate, f.target.timeout)
	for i := range s.Groups {
		var last *core.Exported
		err := e.Group(ctx, s.Groups[i].Group, func(part *core.Exported) error {
			p.show(fmt.Sprintf("group %d of %d, %s keys left; %s written", i+1, len(s.Groups), cli.Grouped(int64(part.Cursor)), mebibytes(uint64(w.Bytes()))))
			last = part
			return savePart(w, part)
		})
		if err != nil {
			return nil, err
		}
		g := backupGroup{last.Group, last.Epoch, last.Position, last.Keys}
		if err := w.Group(backup.Group{ID: g.ID, Epoch: g.Epoch, Position: g.Seq, Keys: g.Keys}); err != nil {
			return nil, err
		}
		r.Groups = append(r.Groups, g)
		r.Keys += g.Keys
	}
	if err := errors.Join(w.End(), buffer.Flush()); err != nil {
		return nil, err
	}
	r.Bytes, r.Seconds = w.Bytes(), time.Since(begin).Seconds()
	return r, nil
}

func savePart(w *backup.Writer, part *core.Exported) error {
	if part.Anew {
		if err := w.Begin(part.Group); err != nil {
			return err
		}
	}
	return w.Items(part.Items)
}

// backupFile is what a backup is written to: a file beside the one that it is to be, or
// standard output.
type backupFile struct {
	io.Writer
	stdout bool
	name   string
	force  bool
	temp   *os.File // nil when there is none, or it is no longer ours
}

func createBackup(name string, force bool, stdout io.Writer) (*backupFile, error) {
	if name == "-" {
		if cli.IsTerminal(stdout) {
			return nil, cli.Errorf(cli.ExitUsage, "standard output is a terminal, or another device that keeps nothing: redirect it into a file or a pipe, or name a file")
		}
		return &backupFile{Writer: stdout, stdout: true}, nil
	}
	b := &backupFile{name: name, force: force}
	if err := b.free(); err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("cannot write a backup there: %w", err)
	}
	b.Writer, b.temp = temp, temp
	return b, nil
}

// free tells whether the backup may take its name.
func (b *backupFile) free() error {
	info, err := os.Stat(b.name)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return fmt.Errorf("cannot write a backup there: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file that a backup could replace: name another; the file - is standard output", b.name)
	case !b.force:
		return fmt.Errorf("%s exists: name another file, or replace it with --force", b.name)
	}
	return nil
}

// keep makes all that was written durable, and gives it its name. So there is never half a
// backup under that, whatever happens.
func (b *backupFile) keep() error {
	if b.stdout {
		return nil
	}
	if err := b.temp.Sync(); err != nil {
		return err
	}
	if err := b.temp.Close(); err != nil {
		return err
	}
	if err := b.free(); err != nil { // somebody may have made it meanwhile
		return err
	}
	if err := os.Rename(b.temp.Name(), b.name); err != nil {
		return err
	}
	b.temp = nil
	directory, err := os.Open(filepath.Dir(b.name))
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync() // the name, too
}

// discard removes what was written, unless it was kept.
func (b *backupFile) discard() {
	if b.temp != nil {
		_ = b.temp.Close()
		_ = os.Remove(b.temp.Name())
	}
}
