package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// NewMan returns the command that writes a program's manual pages: they are made of what --help
// says, so they cannot differ from the program.
func NewMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of this program into a directory",
		Long: `Writes a manual page for this program and one for each of its commands, as files NAME.1 in DIR,
which is made if it is not there. Files of these names are replaced. 'man DIR/NAME.1' shows one.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return Errorf(ExitError, "cannot make the directory for the manual pages: %w", err)
			}
			return Failed(writeMan(cmd.Root(), args[0]))
		},
	}
}

// writeMan writes the page of a command, and of those below it that help shows.
func writeMan(cmd *cobra.Command, dir string) error {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			if err := writeMan(sub, dir); err != nil {
				return err
			}
		}
	}
	page, err := manPage(cmd)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, manName(cmd)+".1")
	if err := os.WriteFile(file, page, 0o666); err != nil {
		return fmt.Errorf("cannot write a manual page: %w", err)
	}
	return nil
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage returns a command's page. It has no date: two builds of one source make the same page.
func manPage(cmd *cobra.Command) ([]byte, error) {
	cmd.DisableAutoGenTag = true
	cmd.InitDefaultHelpFlag()
	var b bytes.Buffer
	header := &doc.GenManHeader{Title: strings.ToUpper(manName(cmd)), Section: "1", Source: "GTStore", Manual: "GTStore", Date: &time.Time{}}
	if err := doc.GenMan(cmd, header, &b); err != nil {
		return nil, fmt.Errorf("cannot make the manual page of %s: %w", cmd.CommandPath(), err)
	}
	return b.Bytes(), nil
}
