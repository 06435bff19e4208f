package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Environment gives every flag of a command that was not on the command line
// the value of its environment variable, if that is set: GTSTORE_ and the
// flag's name, "GTSTORE_LOST_AFTER" for "--lost-after".
func Environment(cmd *cobra.Command) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Hidden || f.Name == "help" || err != nil {
			return
		}
		name := Variable(f.Name)
		if value, ok := os.LookupEnv(name); ok {
			e := cmd.Flags().Set(f.Name, value)
			if cause := errors.Unwrap(e); cause != nil {
				e = cause // without pflag's words on a command line
			}
			if e != nil {
				err = Errorf(ExitUsage, "the environment variable %s: %w", name, e)
			}
		}
	})
	return err
}

// Variable is the environment variable of a flag.
func Variable(flag string) string {
	return "GTSTORE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// OneOf is the value of a flag that has a few possible ones.
type OneOf struct {
	Value  string
	Values []string
}

// String implements pflag.Value, as do Set and Type.
func (o *OneOf) String() string { return o.Value }

// Set takes one of the values.
func (o *OneOf) Set(text string) error {
	for _, v := range o.Values {
		if v == text {
			o.Value = v
			return nil
		}
	}
	return Errorf(ExitUsage, "want %s", strings.Join(o.Values, " or "))
}

// Type names the values in the help.
func (o *OneOf) Type() string { return strings.Join(o.Values, "|") }
