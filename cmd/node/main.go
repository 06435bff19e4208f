package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks the node to end, the second one ends the process.
	context.AfterFunc(ctx, stop)
	root := &cobra.Command{
		Use:           "node",
		Short:         "A node of a GTStore cluster",
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // printed below, once
		SilenceUsage:  true,
	}
	root.AddCommand(daemon.NewManager(), daemon.NewStorage())
	ran, err := root.ExecuteContextC(ctx)
	code := cli.Code(err)
	if err != nil {
		fmt.Fprintf(os.Stderr, "node: %v\n", err)
	}
	if code == cli.ExitUsage {
		fmt.Fprintf(os.Stderr, "Try: %s --help\n", ran.CommandPath())
	}
	os.Exit(code)
}
