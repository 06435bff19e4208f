package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configFlag is the flag that names the file of the settings.
const configFlag = "config"

// Configurable gives a command the flag --config. Configure reads the file.
func Configurable(flags *pflag.FlagSet) {
	flags.String(configFlag, "", "YAML file with settings: flags by their names; one on the command line or in the environment counts before it")
}

// Configure gives every flag of a command that was not on the command line its value from the
// environment, if there is one: GTSTORE_ and the flag's name, "GTSTORE_LOST_AFTER" for
// "--lost-after". A flag that is not there either it takes from the file that --config names. What
// is in neither keeps its default.
func Configure(cmd *cobra.Command) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Hidden || f.Name == "help" || err != nil {
			return
		}
		name := Variable(f.Name)
		if value, ok := os.LookupEnv(name); ok {
			if e := set(cmd.Flags(), f.Name, value); e != nil {
				err = Errorf(ExitUsage, "the environment variable %s: %w", name, e)
			}
		}
	})
	if err != nil {
		return err
	}
	if f := cmd.Flags().Lookup(configFlag); f != nil && f.Changed {
		return readConfig(cmd, f.Value.String())
	}
	return nil
}

// set gives a flag a value. The error is without pflag's words on a command line.
func set(flags *pflag.FlagSet, name, value string) error {
	err := flags.Set(name, value)
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
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
