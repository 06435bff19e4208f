package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

// operationResult is what an operation prints with -o json.
type operationResult struct {
	Key         string       `json:"key"`
	KeyEncoding string       `json:"key_encoding,omitempty"`
	Value       *string      `json:"value,omitempty"`    // of a get
	Encoding    string       `json:"encoding,omitempty"` // of the value
	Version     core.Seq     `json:"version"`
	Node        string       `json:"node"`
	Group       core.GroupID `json:"group"`
	Epoch       core.Epoch   `json:"epoch"`
}

func newOperationResult(key, node string, r netrpc.Result) operationResult {
	text, encoding := textOf([]byte(key))
	return operationResult{Key: text, KeyEncoding: encoding, Version: r.Version, Node: node, Group: r.Group, Epoch: r.Epoch}
}

func newPut() *cobra.Command {
	return newOperation("put KEY VALUE", "Set a key", `Sets a key and prints "OK, NODE" with the node that served it, once every member of the
key's group has the write. The value - is read from standard input.`, 2,
		func(ctx context.Context, c *netrpc.Client, args []string, read readValue) (netrpc.Result, error) {
			value, err := read(ctx, args[1])
			if err != nil {
				return netrpc.Result{}, err
			}
			return c.Put(ctx, args[0], value)
		})
}

func newDelete() *cobra.Command {
	return newOperation("delete KEY", "Remove a key", `Removes a key and prints "OK, NODE". A key that is absent is an error (exit code 3).`, 1,
		func(ctx context.Context, c *netrpc.Client, args []string, _ readValue) (netrpc.Result, error) {
			return c.Delete(ctx, args[0])
		})
}

func newCAS() *cobra.Command {
	cmd := newOperation("cas KEY VERSION VALUE", "Set a key if it has a version", `Sets a key if its version is VERSION, which get -o json prints; 0 stands for a key that is
absent. Another version is an error that tells the current one (exit code 7).
The value - is read from standard input.`, 3,
		func(ctx context.Context, c *netrpc.Client, args []string, read readValue) (netrpc.Result, error) {
			version, err := versionOf(args[1])
			if err != nil {
				return netrpc.Result{}, err
			}
			value, err := read(ctx, args[2])
			if err != nil {
				return netrpc.Result{}, err
			}
			return c.CompareAndSwap(ctx, args[0], version, value)
		})
	cmd.Args = cobra.MatchAll(cmd.Args, func(_ *cobra.Command, args []string) error {
		_, err := versionOf(args[1])
		return err
	})
	return cmd
}

func versionOf(text string) (core.Seq, error) {
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, cli.Errorf(cli.ExitUsage, "VERSION %q: want a number; get -o json tells a key's version", text)
	}
	return core.Seq(version), nil
}

// newOperation is a command that does one write.
func newOperation(use, short, long string, args int,
	do func(ctx context.Context, c *netrpc.Client, args []string, read readValue) (netrpc.Result, error)) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.MatchAll(named(args), goodKey),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
				r, err := do(ctx, c, args, t.reader(cmd.InOrStdin()))
				if err != nil {
					return err
				}
				node := servedBy(ctx, c, r)
				if t.output == formatJSON {
					err = printJSON(cmd.OutOrStdout(), newOperationResult(args[0], node, r))
				} else {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "OK, %s\n", node)
				}
				if err != nil {
					return fmt.Errorf("it was done, by %s at version %d, but that cannot be printed: %w", node, r.Version, err)
				}
				return nil
			})
		},
	}
	t.add(cmd)
	cmd.SetFlagErrorFunc(flagOrKey)
	return cmd
}

// flagOrKey is for who meant a key or a value by what looks like a flag.
func flagOrKey(cmd *cobra.Command, err error) error {
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		return fmt.Errorf("%w; a key or a value that begins with - comes after --, as in: %s -- -key", err, cmd.CommandPath())
	}
	return err
}

// named wants as many arguments as stand in the command's usage, and says which.
func named(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		names, plural := strings.Join(strings.Fields(cmd.Use)[1:n+1], " "), "s"
		if n == 1 {
			plural = ""
		}
		return cli.Errorf(cli.ExitUsage, "want %s: %d argument%s, not %d", names, n, plural, len(args))
	}
}

// goodKey refuses a first argument that can be no key, before anybody is asked.
func goodKey(_ *cobra.Command, args []string) error {
	if n := len(args[0]); n == 0 || n > core.KeyBytesMax {
		return cli.Errorf(cli.ExitUsage, "KEY: a key of %d bytes: want 1 to %d", n, core.KeyBytesMax)
	}
	return nil
}

func newGet() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key",
		Long: `Prints the value of a key, exactly; on a terminal a line break follows. A key that is
absent is an error (exit code 3). With -o json its version is printed too; a value that
is not UTF-8 is then in base64 ("encoding"), and so is such a key ("key_encoding").`,
		Args: cobra.MatchAll(named(1), goodKey),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
				v, err := c.Get(ctx, args[0])
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				if t.output == formatJSON {
					r := newOperationResult(args[0], servedBy(ctx, c, v.Result), v.Result)
					value, encoding := textOf(v.Data)
					r.Value, r.Encoding = &value, encoding
					return printJSON(out, r)
				}
				if _, err := out.Write(v.Data); err != nil {
					return err
				}
				if cli.IsTerminal(out) {
					_, err = fmt.Fprintln(out)
				}
				return err
			})
		},
	}
	t.add(cmd)
	cmd.SetFlagErrorFunc(flagOrKey)
	return cmd
}

// servedBy is the name of the node that served an operation. The manager knows
// it; if that is away, the id must do.
func servedBy(ctx context.Context, c *netrpc.Client, r netrpc.Result) string {
	s, err := statusOf(ctx, c)
	if err != nil {
		s = nil
	}
	return nameOf(s, r.Node)
}

// readValue takes a value from the command line, or from standard input.
type readValue func(ctx context.Context, text string) ([]byte, error)

func (t *target) reader(stdin io.Reader) readValue {
	return func(ctx context.Context, text string) ([]byte, error) {
		if text != "-" {
			return []byte(text), nil
		}
		t.waits.on("the value is read from standard input, which has not ended; Ctrl-D ends it on a terminal")
		defer t.waits.on("")
		return cli.ReadAll(ctx, "the value on standard input", cli.Open(stdin), core.ValueBytesMax)
	}
}

// textOf makes bytes fit for JSON, which takes only UTF-8, so that no two of them look
// alike.
func textOf(data []byte) (text, encoding string) {
	if utf8.Valid(data) {
		return string(data), ""
	}
	return encodeBase64(data), "base64"
}
