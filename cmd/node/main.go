package main

import (
	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/daemon"
)

func main() {
	root := &cobra.Command{
		Use:   "node",
		Short: "A node of a GTStore cluster",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(daemon.NewManager(), daemon.NewStorage(), cli.NewMan())
	cli.AddVersion(root)
	cli.Main(root)
}
