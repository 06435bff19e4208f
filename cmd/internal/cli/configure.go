package cli

import (
	"errors"
	"os"
	"slices"
	"strconv"
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
	open := unsaid(cmd.Flags())
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !open[f.Name] || f.Hidden || f.Name == "help" || err != nil {
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

// otherwise annotates a flag with the one that says the same in another way.
const otherwise = "gtstore_otherwise"

// Alternatives says that two flags say one thing in two ways. Who says it in one has said it: what
// comes after that (the environment, the file) is passed over for both.
func Alternatives(flags *pflag.FlagSet, a, b string) {
	for _, names := range [][2]string{{a, b}, {b, a}} {
		if err := flags.SetAnnotation(names[0], otherwise, names[1:]); err != nil {
			panic(err) // only when there is no such flag
		}
	}
}

// unsaid are the flags that nobody has set yet, in one way or another.
func unsaid(flags *pflag.FlagSet) map[string]bool {
	open := make(map[string]bool)
	flags.VisitAll(func(f *pflag.Flag) {
		open[f.Name] = !f.Changed && !slices.ContainsFunc(f.Annotations[otherwise], flags.Changed)
	})
	return open
}

// set gives a flag a value. The error is without pflag's words on a command line.
func set(flags *pflag.FlagSet, name, value string) error {
	if flags.Lookup(name).Value.Type() == "bool" {
		if _, err := strconv.ParseBool(value); err != nil {
			return errors.New("want true or false")
		}
	}
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
