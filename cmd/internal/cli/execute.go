package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Main carries out this process's command line and ends it with the exit code.
// The first SIGINT or SIGTERM asks the command to end, the second one ends the
// process.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Execute(ctx, root, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Execute carries out a command line and returns the exit code. What goes wrong
// is printed once, without a page of help around it.
func Execute(ctx context.Context, root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	code := Code(err)
	var last []byte
	if err != nil {
		last = fmt.Appendf(last, "%s: %v\n", root.Name(), err)
	}
	if code == ExitUsage {
		last = fmt.Appendf(last, "Try: %s --help\n", ran.CommandPath())
	}
	if last != nil { // nobody may be reading, and the process must end all the same
		w := NewLogWriter(stderr, nil)
		_, _ = w.Write(last)
		w.Flush(FlushTime)
	}
	return code
}
