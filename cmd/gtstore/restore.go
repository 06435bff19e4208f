package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/gtstore/internal/backup"
	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

const (
	restoreWriters = 64
	// restoreBytesMax bounds the keys and values that are under way, in units of
	// restoreUnit: a primary takes no more than 16 MiB that are not committed.
	restoreBytesMax = 8 << 20
	restoreUnit     = 1 << 14
)

// restoreResult is what restore prints.
type restoreResult struct {
	File    string    `json:"file"`
	Cluster string    `json:"cluster"` // that was filled
	Of      string    `json:"of"`      // of which the backup is
	Time    time.Time `json:"time"`    // when that was begun
	Keys    uint64    `json:"keys"`
	Seconds float64   `json:"seconds"`
}

func (r *restoreResult) text() string {
	return fmt.Sprintf("OK, %s: %s keys of cluster %s at %s are in cluster %s, in %.1f s\n",
		r.File, cli.Grouped(int64(r.Keys)), r.Of, r.Time.Format(time.RFC3339), r.Cluster, r.Seconds)
}

func newRestore() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill an empty cluster from a backup",
		Long: `Writes all keys of a backup into a cluster that has none. The whole file is verified before the first write,
so FILE cannot be -, which can be read only once.

The keys are written as any client would write them: they may come into other groups than before, and have new
versions. A version that was read before the backup is of no use to a compare-and-swap any more.

A restore that did not come to its end leaves a cluster that is not empty. Do not use it: start a new one, and
restore into that.`,
		Args: named(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			return failed(restore(cmd, &t, args[0]))
		},
	}
	t.addFor(cmd, backupPatience, "bound of each write, and of what comes before the first")
	return cmd
}

func restore(cmd *cobra.Command, t *target, name string) error {
	if name == "-" {
		return cli.Errorf(cli.ExitUsage, "the whole file is verified before the first write, and standard input cannot be read twice: save it in a file first")
	}
	begin := time.Now()
	p := &progress{w: cmd.ErrOrStderr(), on: cli.IsTerminal(cmd.ErrOrStderr())}
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	defer file.Close()
	p.show("verifying " + name)
	contents, err := backup.Verify(readUntil(cmd.Context(), file))
	p.clear()
	if err != nil {
		return fmt.Errorf("nothing was done: %s cannot be restored: %w", name, err)
	}
	dialled, cancel := context.WithTimeout(cmd.Context(), t.timeout)
	defer cancel()
	c, err := t.dial(dialled)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Exporter(backupRate, t.timeout).Allowed(); err != nil { // else what it has done could not be verified
		return err
	}
	cluster, keys, err := countKeys(dialled, c, t.timeout)
	switch {
	case err != nil:
		return fmt.Errorf("nothing was done: whether the cluster is empty cannot be told: %w", err)
	case keys > 0:
		return fmt.Errorf("nothing was done: cluster %v has %s keys, and a backup is restored into an empty one only: start a new cluster", cluster, cli.Grouped(int64(keys)))
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	r := &restorer{client: c, timeout: t.timeout, progress: p, total: contents.Keys}
	err = r.run(cmd.Context(), contents, file)
	p.clear()
	if err == nil {
		err = r.count(cmd.Context())
	}
	switch {
	case err != nil && cmd.Context().Err() != nil:
		return cli.Errorf(cli.ExitError, "interrupted: cluster %v has some of the keys only: do not use it, but restore into a new one", cluster)
	case err != nil:
		return fmt.Errorf("cluster %v does not have all keys: do not use it, but restore into a new one: %w", cluster, err)
	}
	result := &restoreResult{
		File: name, Cluster: cluster.String(), Of: contents.Cluster.String(), Time: time.Unix(0, contents.Time).UTC().Truncate(time.Second),
		Keys: contents.Keys, Seconds: time.Since(begin).Seconds(),
	}
	if err := t.output.show(cmd.OutOrStdout(), result); err != nil {
		return fmt.Errorf("all was restored, but that cannot be printed: %w", err)
	}
	return nil
}

// readUntil reads a file until the context ends.
func readUntil(ctx context.Context, file io.Reader) io.Reader { return contextReader{ctx, file} }

type contextReader struct {
	ctx  context.Context
	file io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.file.Read(p)
}

// countKeys asks the primaries how many keys there are.
func countKeys(ctx context.Context, c *netrpc.Client, patience time.Duration) (cluster core.ClusterID, keys uint64, err error) {
	s, err := c.Status(ctx)
	if err != nil {
		return 0, 0, err
	}
	e := c.Exporter(backupRate, patience)
	for i := range s.Groups {
		n, err := e.Keys(ctx, s.Groups[i].Group)
		if err != nil {
			return 0, 0, err
		}
		keys += n
	}
	return s.Cluster, keys, nil
}

// restorer writes the items of a backup. All that the file says about one key is written
// by the same writer, in order.
type restorer struct {
	client   *netrpc.Client
	timeout  time.Duration
	progress *progress
	total    uint64
	done     atomic.Int64 // items
}

// run ends with the first error.
func (r *restorer) run(ctx context.Context, contents *backup.Contents, file io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := make(chan struct{}, restoreBytesMax/restoreUnit)
	var writers [restoreWriters]chan core.Item
	var group sync.WaitGroup
	for i := range writers {
		ch := make(chan core.Item, cap(room)) // each that waits has a part of the room
		writers[i] = ch
		group.Go(func() {
			for it := range ch {
				if ctx.Err() == nil {
					if err := r.write(ctx, it); err != nil {
						cancel(err)
					}
				}
				for range unitsOf(it) {
					<-room
				}
			}
		})
	}
	seed := maphash.MakeSeed()
	err := contents.Items(file, func(it core.Item) error {
		for range unitsOf(it) {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		writers[maphash.String(seed, it.Key)%restoreWriters] <- it
		r.progress.show(fmt.Sprintf("%s written, of %s keys", cli.Grouped(r.done.Load()), cli.Grouped(int64(r.total))))
		return nil
	})
	for _, ch := range writers {
		close(ch)
	}
	group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// unitsOf is how much room an item takes.
func unitsOf(it core.Item) int { return 1 + (len(it.Key)+len(it.Value))/restoreUnit }

// write does what an item says.
func (r *restorer) write(ctx context.Context, it core.Item) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var err error
	if it.Version == 0 {
		if _, err = r.client.Delete(ctx, it.Key); errors.Is(err, netrpc.ErrNotFound) {
			err = nil
		}
	} else {
		_, err = r.client.Put(ctx, it.Key, []byte(it.Value))
	}
	r.done.Add(1)
	return err
}

// count holds what is in the cluster now against the backup.
func (r *restorer) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	_, keys, err := countKeys(ctx, r.client, r.timeout)
	if err == nil && keys != r.total {
		err = fmt.Errorf("it has %s keys, and the backup %s: somebody else has written meanwhile", cli.Grouped(int64(keys)), cli.Grouped(int64(r.total)))
	}
	return err
}
