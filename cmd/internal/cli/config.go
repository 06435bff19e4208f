package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// configBytesMax is the most that a file of settings may have.
const configBytesMax = 1 << 20

// onlyTyped are flags that no file sets: they consent to one thing once, and a file would consent
// to it each time.
var onlyTyped = []string{"moved", "yes"}

// readConfig sets the flags of a command that are not set yet from a file: a YAML mapping of
// flags' names to values, where a list is what the command line has with commas. Commands may share
// a file, as they share the environment: what another command of this program has as a flag is
// passed over. A name that none has is an error, and so is anything else that is not a setting; it
// says in which file and line.
func readConfig(cmd *cobra.Command, name string) error {
	root, err := parseConfig(name)
	if err != nil || root == nil {
		return err
	}
	known, open := settingsOf(cmd.Root()), unsaid(cmd.Flags())
	lines := make(map[string]int) // by setting
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		wrong := func(text string, args ...any) error {
			return Errorf(ExitUsage, "%s:%d: %w", name, key.Line, fmt.Errorf(text, args...))
		}
		switch {
		case slices.Contains(onlyTyped, key.Value):
			return wrong("%s is no setting: say --%s on the command line, once, when it is so", key.Value, key.Value)
		case !known[key.Value]:
			return wrong("there is no setting %q: the settings are the flags of '%s --help', without the dashes", key.Value, cmd.CommandPath())
		case lines[key.Value] > 0:
			return wrong("%s is set in line %d, too: leave one of them out", key.Value, lines[key.Value])
		}
		lines[key.Value] = key.Line
		text, err := settingText(value)
		if err != nil {
			return wrong("%s: %w", key.Value, err)
		}
		if !open[key.Value] { // or it is another command's
			continue
		}
		if err := set(cmd.Flags(), key.Value, text); err != nil {
			return wrong("%s: %w", key.Value, err)
		}
	}
	return nil
}

// parseConfig returns the mapping that a file has, nil if it has nothing.
func parseConfig(name string) (*yaml.Node, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, Errorf(ExitUsage, "--config: cannot read the settings: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configBytesMax+1))
	switch {
	case err != nil:
		return nil, Errorf(ExitUsage, "--config: cannot read the settings: %w", err)
	case len(text) > configBytesMax:
		return nil, Errorf(ExitUsage, "--config: %s has more than %d bytes, the most that settings may have", name, configBytesMax)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "line ") // "2: found a tab"
		return nil, Errorf(ExitUsage, "%s:%s", name, text)
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, Errorf(ExitUsage, "%s:%d: a second document begins: want one", name, max(second.Line, document.Line))
	}
	root := document.Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return nil, Errorf(ExitUsage, "%s:%d: want settings, such as \"log-level: info\", one a line", name, root.Line)
	}
	return root, nil
}

// settingText is what the command line would have for a value.
func settingText(value *yaml.Node) (string, error) {
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag != "!!null":
		return value.Value, nil
	case value.Kind == yaml.AliasNode:
		return "", fmt.Errorf("*%s is an alias: write the value itself", value.Value)
	case value.Kind == yaml.SequenceNode && len(value.Content) > 0:
		list := make([]string, len(value.Content))
		for i, one := range value.Content {
			if one.Kind != yaml.ScalarNode || one.Tag == "!!null" {
				return "", fmt.Errorf("line %d of the list has no plain value", one.Line)
			}
			list[i] = one.Value
		}
		return strings.Join(list, ","), nil
	}
	return "", errors.New("want a value, or a list of values")
}

// settingsOf are the flags of all commands that have --config.
func settingsOf(cmd *cobra.Command) map[string]bool {
	known := make(map[string]bool)
	if cmd.Flags().Lookup(configFlag) != nil {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = !f.Hidden && f.Name != configFlag && f.Name != "help" })
	}
	for _, sub := range cmd.Commands() {
		for name, is := range settingsOf(sub) {
			known[name] = known[name] || is
		}
	}
	return known
}
