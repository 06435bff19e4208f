package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

// defaultPort is where up puts the manager and the other commands look for it.
const defaultPort = 7400

// target is the cluster that a command talks to, and the flags that all such commands
// have.
type target struct {
	manager cli.Managers
	timeout time.Duration
	output  format
	waits   waits
	tls     netrpc.TLS
}

func (t *target) add(cmd *cobra.Command) { t.addFor(cmd, 5*time.Second, "bound of the whole command") }

// addFor is add for a command whose --timeout is another by default, or bounds something else.
func (t *target) addFor(cmd *cobra.Command, timeout time.Duration, bounds string) {
	t.manager = cli.Managers{"127.0.0.1:" + strconv.Itoa(defaultPort)}
	cmd.Flags().Var(&t.manager, "manager", "address of the cluster's manager, or of all of its managers, with commas; with TLS and NAME@, who answers must have a certificate of that name")
	cli.Duration(cmd.Flags(), &t.timeout, "timeout", timeout, time.Millisecond, 24*time.Hour, bounds)
	cli.TLS(cmd.Flags(), &t.tls, "a client, or of an operator for what administers the cluster")
	cli.Configurable(cmd.Flags())
	addOutput(cmd, &t.output)
}

// with runs a command's work with a client of the cluster, within the time-out.
func (t *target) with(cmd *cobra.Command, f func(ctx context.Context, c *netrpc.Client) error) error {
	if err := cli.Configure(cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
	defer cancel()
	c, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	done := t.waits.tell(ctx, c, cmd.ErrOrStderr())
	defer done()
	return failed(f(ctx, c))
}

// dial connects to the cluster.
func (t *target) dial(ctx context.Context) (*netrpc.Client, error) {
	if err := cli.CheckTLS(&t.tls); err != nil {
		return nil, err
	}
	c, err := t.dialer().Dial(ctx, t.manager)
	if err != nil && !errors.Is(err, netrpc.ErrUnavailable) { // nobody was asked
		return nil, cli.Errorf(cli.ExitUsage, "%s", strings.TrimPrefix(err.Error(), "netrpc: "))
	}
	if err != nil {
		return nil, failed(fmt.Errorf("%w; start a cluster with 'gtstore up', or name another manager with --manager or GTSTORE_MANAGER", err))
	}
	return c, nil
}

func (t *target) dialer() *netrpc.Dialer { return &netrpc.Dialer{TLS: t.tls} }

// codes are the exit codes of the classes of error. An error can be of two classes; the
// first in this list counts. That a write may have happened matters most.
var codes = []struct {
	class error
	code  int
}{
	{netrpc.ErrUnknownOutcome, cli.ExitUnknown},
	{netrpc.ErrNotFound, cli.ExitNotFound},
	{netrpc.ErrConflict, cli.ExitConflict},
	{netrpc.ErrGroupLost, cli.ExitGroupLost},
	{netrpc.ErrOverloaded, cli.ExitOverloaded},
	{netrpc.ErrUnavailable, cli.ExitUnavailable},
}

// failed gives an error of the client its exit code.
func failed(err error) error {
	for _, c := range codes {
		if errors.Is(err, c.class) {
			return &cli.Error{Code: c.code, Err: err}
		}
	}
	return cli.Failed(err)
}

// statusOf asks the manager for the status. All that a peer may have chosen is made
// printable here, and nowhere else.
func statusOf(ctx context.Context, c *netrpc.Client) (*netrpc.Status, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	s.Manager.Addr = netrpc.Printable(s.Manager.Addr)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.Name, n.Addr = netrpc.Printable(n.Name), netrpc.Printable(n.Addr)
	}
	return s, nil
}

// findNode returns the node that a person means: by its name, or by its id.
func findNode(s *netrpc.Status, text string) (*core.NodeStatus, error) {
	var found []*core.NodeStatus
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.ID.String() == text {
			return n, nil
		}
		if n.Name == netrpc.Printable(text) {
			found = append(found, n)
		}
	}
	// A node that was started again under its old name is meant, not the one that is gone.
	if left := slices.DeleteFunc(slices.Clone(found), func(n *core.NodeStatus) bool { return n.State == core.NodeGone }); len(left) > 0 {
		found = left
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if _, err := hex.DecodeString(text); err == nil && len(text) == 16 {
			return nil, cli.Errorf(cli.ExitNotFound, "there is no node with the id %s: see 'gtstore status'", text)
		}
		return nil, cli.Errorf(cli.ExitNotFound, "there is no node %q: see 'gtstore status' for their names and ids", text)
	}
	ids := make([]string, len(found))
	for i, n := range found {
		ids[i] = fmt.Sprintf("%v (%v)", n.ID, n.State)
	}
	return nil, cli.Errorf(cli.ExitUsage, "%d nodes are named %q: say which by its id: %s", len(found), text, strings.Join(ids, ", "))
}

// nameOf returns the name of a node, or its id when that is all there is.
func nameOf(s *netrpc.Status, id core.NodeID) string {
	if s != nil {
		for i := range s.Nodes {
			if n := &s.Nodes[i]; n.ID == id && n.Name != "" {
				return n.Name
			}
		}
	}
	return id.String()
}
