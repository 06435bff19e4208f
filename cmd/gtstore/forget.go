package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
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
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return cli.Errorf(cli.ExitUsage, "forget gives up %s's data for good, even if the node still runs; if that is what you want, add --yes", args[0])
			}
			return t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				n, err := findNode(s, args[0])
				if err != nil {
					return err
				}
				if err := c.Forget(ctx, n.ID); err != nil {
					return err
				}
				if t.output == formatJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						Node string `json:"node"`
						ID   string `json:"id"`
					}{nameOf(s, n.ID), n.ID.String()})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "OK, %s is forgotten\n", nameOf(s, n.ID))
				return err
			})
		},
	}
	t.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "that data is to be given up")
	return cmd
}
