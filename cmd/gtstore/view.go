package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gtstore/sim/view"
)

func newView() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "view FILE",
		Short: "Show a trace as a space-time diagram, in one HTML file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &replayer{stdin: cmd.InOrStdin()}
			s, err := r.read(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				out = strings.TrimSuffix(filepath.Base(args[0]), ".trace") + ".html"
			}
			var b bytes.Buffer
			if err := view.WriteHTML(&b, view.NewPage(filepath.Base(args[0]), s, view.Record(s))); err != nil {
				return err
			}
			if err := os.WriteFile(out, b.Bytes(), 0o666); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), out)
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write")
	return cmd
}
