package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

func newForget() *cobra.Command {
	var t target
	var yes bool
	cmd := &cobra.Command{
		Use:   "forget NODE --yes",
		Short: "Tell the manager that a node's data is gone for good",
		Long: `Tells the manager that a node, named by its name or id, will never come back with its
data. The node is refused from then on, and its group goes on without it. A group
whose last copy is forgotten is lost.`,
		Args: named(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes { // before the environment is read: consent to this is no setting
				return cli.Errorf(cli.ExitUsage, "forget gives up %s's data for good, even if the node still runs; if that is what you want, add --yes", args[0])
			}
			return t.withNode(cmd, args[0], "forgotten", (*netrpc.Client).Forget)
		},
	}
	t.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "that data is to be given up")
	return cmd
}

func newDrain() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Have a node's place taken by a spare, so that it can be stopped",
		Long: `Has a spare take the place of a node, named by its name or id, and returns when the
node is in no group: it is not used again then and can be stopped without a group
getting shorter. Where no spare is there to take its place, that is said and nothing
is changed. If the time runs out first, the drain goes on: ask again to wait for it.`,
		Example: "  gtstore drain node3",
		Args:    named(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withNode(cmd, args[0], "drained: it can be stopped", func(c *netrpc.Client, ctx context.Context, node core.NodeID) error {
				t.waits.drain(node)
				return c.Drain(ctx, node)
			})
		},
	}
	t.addFor(cmd, 10*time.Minute, "bound of the whole command")
	return cmd
}

// withNode finds the node that a name or an id means, does something with it, and prints
// that it is done.
func (t *target) withNode(cmd *cobra.Command, text, done string, do func(*netrpc.Client, context.Context, core.NodeID) error) error {
	return t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
		s, err := statusOf(ctx, c)
		if err != nil {
			return err
		}
		n, err := findNode(s, text)
		if err != nil {
			return err
		}
		if err := do(c, ctx, n.ID); err != nil {
			if e := new(netrpc.Error); errors.As(err, &e) && n.Name != "" {
				e.Key = n.Name // as a person knows it
			}
			return err
		}
		if t.output == formatJSON {
			return printJSON(cmd.OutOrStdout(), struct {
				Node string `json:"node"`
				ID   string `json:"id"`
			}{nameOf(s, n.ID), n.ID.String()})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "OK, %s is %s\n", nameOf(s, n.ID), done)
		return err
	})
}
