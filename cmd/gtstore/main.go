package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/daemon"
)

func main() { cli.Main(newRoot()) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gtstore",
		Short: "GTStore, a replicated key-value store",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newUp(), newCerts(), newPut(), newGet(), newDelete(), newCAS(), newStatus(), newEvents(), newManagers(), newForget(), newDrain(), newBackup(), newRestore(), newDisk(), newBench(), newFuzz(), newExplore(), newReplay(), newView(), newNode(), cli.NewMan())
	cli.AddVersion(root)
	return root
}

// newNode is what up and services run: so a machine needs one binary. cmd/node has the same commands.
func newNode() *cobra.Command {
	node := &cobra.Command{Use: "node", Short: "Run one node of a cluster", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	node.AddCommand(daemon.NewManager(), daemon.NewStorage())
	return node
}

// knownCommand refuses a word that is no command, and names the commands that are like
// it.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.SuggestionsMinimumDistance = max(1, len(args[0])/3); len(cmd.SuggestionsFor(args[0])) > 0 {
		return fmt.Errorf("there is no command %q: did you mean %s?", args[0], strings.Join(cmd.SuggestionsFor(args[0]), " or "))
	}
	return fmt.Errorf("there is no command %q", args[0])
}

// format is how a result is printed; it is the value of the flag -o.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
)

// String implements pflag.Value, as do Set and Type.
func (f *format) String() string { return string(*f) }

func (f *format) Set(text string) error {
	if *f = format(text); *f != formatText && *f != formatJSON {
		return fmt.Errorf("want %s or %s", formatText, formatJSON)
	}
	return nil
}

func (*format) Type() string { return "text|json" }

// addOutput gives a command the flag -o.
func addOutput(cmd *cobra.Command, f *format) {
	*f = formatText
	cmd.Flags().VarP(f, "output", "o", "how to print the result")
	complete := cobra.FixedCompletions([]string{string(formatText), string(formatJSON)}, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("output", complete); err != nil {
		panic(err) // only when the flag does not exist
	}
}

// printJSON writes a result as one line.
func printJSON(w io.Writer, result any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(result)
}

// show writes a result as one line of JSON, or as text.
func (f format) show(w io.Writer, result interface{ text() string }) error {
	if f == formatJSON {
		return printJSON(w, result)
	}
	_, err := io.WriteString(w, result.text())
	return err
}

// indent sets off lines below a heading.
func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
