package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/netrpc/disk"
)

// Disk are the options of every directory. The processes of tests set a file system that
// fails.
var Disk disk.Options

// serve starts a node over what its directory holds. A storage node whose data are damaged
// puts them aside, and begins anew: the others of its group have them. A manager does not,
// as nobody else knows what it knew. Nor does a node of which only the file that says whose
// data these are is damaged: a person can say so, and there may be no others.
func (c *common) serve(ctx context.Context, role disk.Role, log *slog.Logger, start func(netrpc.Options) (*netrpc.Server, error)) (*netrpc.Server, error) {
	o := netrpc.Options{Logger: log, TLS: c.tls, Observer: c.admin.observer()}
	begin := start
	start = func(o netrpc.Options) (*netrpc.Server, error) {
		s, err := begin(o)
		if err == nil {
			c.admin.attach(s)
		}
		return s, err
	}
	if c.dir == "" {
		s, err := start(o)
		return s, refused(err)
	}
	s, err := c.serveOver(ctx, role, o, start)
	if !errors.Is(err, core.ErrDamaged) {
		return s, refused(err)
	}
	if c.several {
		return nil, cli.Errorf(cli.ExitError, "%w.\nThe other managers have what it had: start it in an empty --dir, and they take it in again", err)
	}
	if role == disk.Manager {
		return nil, cli.Errorf(cli.ExitError, "%w.\nNobody else knows what a manager knows: restore %s from a copy of the disk, of this very state, or start a new cluster in empty directories", err, c.dir)
	}
	directory := Disk
	directory.Logger = log
	aside, failed := disk.SetAside(c.dir, role, err, directory)
	if failed != nil {
		return nil, cli.Failed(failed)
	}
	log.Error("the data are damaged: this node begins anew, and is filled from its group, where that has other members", "why", err, "put aside", aside)
	s, err = c.serveOver(ctx, role, o, start)
	return s, refused(err)
}

// errToldToEnd is why a node did not start that was told to end before it had read its data.
var errToldToEnd = errors.New("told to end before the node had read its data")

// reading is a directory of which no more is read once the process is told to end: a node may have
// to read for minutes before it can serve.
type reading struct {
	netrpc.Disk
	ctx context.Context
}

// Range implements core.Space.
func (r reading) Range(prefix string, f func(key, value string) error) error {
	return r.Disk.Range(prefix, func(key, value string) error {
		if r.ctx.Err() != nil {
			return errToldToEnd
		}
		return f(key, value)
	})
}

// serveOver starts a node over its directory. The node closes it.
func (c *common) serveOver(ctx context.Context, role disk.Role, o netrpc.Options, start func(netrpc.Options) (*netrpc.Server, error)) (*netrpc.Server, error) {
	directory := Disk
	directory.Logger, directory.Moved = o.Logger, c.moved
	d, err := disk.Open(c.dir, role, directory)
	if err != nil {
		return nil, err
	}
	o.Disk = reading{d, ctx}
	s, err := start(o)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return s, nil
}

// refused gives an error of a start its exit code.
func refused(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errToldToEnd):
		return err
	case errors.Is(err, core.ErrDamaged), strings.HasPrefix(err.Error(), "disk: "):
		return cli.Errorf(cli.ExitError, "%s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "core: "), "disk: "))
	}
	advice := ""
	if errors.Is(err, core.ErrPlacement) {
		advice = ".\nLeave --placement out. To have the keys under another one, fill a new cluster: 'gtstore backup', and 'gtstore restore'"
	}
	if errors.Is(err, core.ErrManagers) {
		advice = ".\nStart it as it was, with --managers or without. To have several, fill a new cluster: 'gtstore backup', and 'gtstore restore'"
	}
	return cli.Errorf(cli.ExitUsage, "%s%s", strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "quorum: "), "core: "), "netrpc: "), advice)
}
