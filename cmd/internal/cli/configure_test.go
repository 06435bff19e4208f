package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// settings are the flags of the command that program runs.
type settings struct {
	number int
	time   time.Duration
	list   Addresses
	on     bool
}

// program is a program of two commands that have --config.
func program(s *settings) *cobra.Command {
	root := &cobra.Command{Use: "program"}
	one := &cobra.Command{Use: "one", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return Configure(cmd) }}
	Configurable(one.Flags())
	Int(one.Flags(), &s.number, "number", 1, 0, 9, "a number")
	Duration(one.Flags(), &s.time, "some-time", time.Second, 0, time.Hour, "a time")
	one.Flags().Var(&s.list, "list", "addresses")
	one.Flags().BoolVar(&s.on, "on", false, "a switch")
	one.Flags().Bool("moved", false, "consent")
	one.Flags().Var(&Address{Several: "--list"}, "only", "an address")
	Alternatives(one.Flags(), "only", "list")
	one.Flags().Bool("secret", false, "of the program itself")
	if err := one.Flags().MarkHidden("secret"); err != nil {
		panic(err)
	}
	two := &cobra.Command{Use: "two", RunE: func(*cobra.Command, []string) error { return nil }}
	Configurable(two.Flags())
	two.Flags().String("of-two", "", "a text")
	three := &cobra.Command{Use: "three", RunE: func(*cobra.Command, []string) error { return nil }}
	three.Flags().String("of-three", "", "no setting: the command has no --config")
	root.AddCommand(one, two, three)
	return root
}

// run runs program with what a file of settings has, and returns what it was set to.
func run(t *testing.T, file string, args ...string) (s settings, name, stderr string, code int) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "settings.yaml")
	require.NoError(t, os.WriteFile(name, []byte(file), 0o600))
	var errors bytes.Buffer
	code = Execute(context.Background(), program(&s), append([]string{"one", "--config", name}, args...), strings.NewReader(""), &bytes.Buffer{}, &errors)
	return s, name, errors.String(), code
}

func TestSettingsComeFromTheCommandLineTheEnvironmentAndAFile(t *testing.T) {
	const file = "# settings\nnumber: 2\nsome-time: 2s\non: true\nlist: [a:1, 'b:2']\nof-two: is not of this command\n"
	s, _, stderr, code := run(t, file)
	require.Zero(t, code, stderr)
	require.Equal(t, settings{2, 2 * time.Second, Addresses{"a:1", "b:2"}, true}, s, "the file counts before the default")

	t.Setenv(Variable("number"), "3")
	t.Setenv(Variable("some-time"), "3s")
	s, _, _, _ = run(t, file, "--number=4")
	require.Equal(t, settings{4, 3 * time.Second, Addresses{"a:1", "b:2"}, true}, s, "the environment before the file, and the command line before both")

	for _, empty := range []string{"", "# nothing\n", "---\n", "null\n"} {
		s, _, stderr, code = run(t, empty)
		require.Zero(t, code, stderr)
		require.Equal(t, settings{number: 3, time: 3 * time.Second}, s, "%q has no settings", empty)
	}

	s, name, _, _ := run(t, "list: c:3, d:4")
	require.Equal(t, Addresses{"c:3", "d:4"}, s.list)
	t.Setenv(Variable("config"), name)
	s = settings{}
	require.Zero(t, Execute(context.Background(), program(&s), []string{"one"}, nil, nil, os.Stderr))
	require.Equal(t, Addresses{"c:3", "d:4"}, s.list, "the environment may name the file")
}

// Of two flags that say one thing in two ways, what is said first counts: a variable that is there
// for other commands is in nobody's way.
func TestOneOfTwoAlternativesIsSaid(t *testing.T) {
	said := func(file string, args ...string) (list Addresses, only string) {
		t.Helper()
		var s settings
		name := filepath.Join(t.TempDir(), "settings.yaml")
		require.NoError(t, os.WriteFile(name, []byte(file), 0o600))
		root, errors := program(&s), &bytes.Buffer{}
		require.Zero(t, Execute(t.Context(), root, append([]string{"one", "--config", name}, args...), nil, io.Discard, errors), errors)
		one, _, err := root.Find([]string{"one"})
		require.NoError(t, err)
		return s.list, one.Flags().Lookup("only").Value.String()
	}
	t.Setenv(Variable("only"), "a:1,b:2") // as other commands understand it
	list, only := said("", "--list", "c:3,d:4")
	require.Equal(t, Addresses{"c:3", "d:4"}, list)
	require.Empty(t, only)

	t.Setenv(Variable("only"), "a:1")
	list, only = said("list: c:3,d:4\n")
	require.Empty(t, list, "the environment has said it")
	require.Equal(t, "a:1", only)
	list, only = said("list: c:3,d:4\n", "--only", "e:5")
	require.Empty(t, list)
	require.Equal(t, "e:5", only)

	t.Setenv(Variable("list"), "c:3,d:4")
	list, only = said("")
	require.NotEmpty(t, list, "one source has said both: it is for the command to refuse that")
	require.NotEmpty(t, only)
}

func TestWrongSettingsSayInWhichLine(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"unknown", "number: 2\n\nnumbr: 3\n", `FILE:3: there is no setting "numbr": the settings are the flags of 'program one --help'`},
		{"of a command without --config", "of-three: x\n", `FILE:1: there is no setting "of-three"`},
		{"hidden", "secret: true\n", `FILE:1: there is no setting "secret"`},
		{"itself", "config: other\n", `FILE:1: there is no setting "config"`},
		{"help", "help: true\n", `FILE:1: there is no setting "help"`},
		{"with an underscore", "some_time: 1s\n", `FILE:1: there is no setting "some_time"`},
		{"consent", "moved: true\n", "FILE:1: moved is no setting: say --moved on the command line"},
		{"out of bounds", "\nnumber: 10\n", "FILE:2: number: want a number from 0 to 9"},
		{"twice", "number: 1\nnumber: 1\n", "FILE:2: number is set in line 1, too"},
		{"no value", "number:\n", "FILE:1: number: want a value, or a list of values"},
		{"an empty list", "list: []\n", "FILE:1: list: want a value, or a list of values"},
		{"a mapping", "number: {a: 1}\n", "FILE:1: number: want a value"},
		{"a list of lists", "list:\n- a:1\n- [b:2]\n", "FILE:1: list: line 3 of the list has no plain value"},
		{"no switch", "on: yes\n", "FILE:1: on: want true or false"},
		{"an alias of a value", "number: &x 1\nlist: *x\n", "FILE:2: list: *x is an alias: write the value itself"},
		{"several where there is one", "only: a:1,b:2\n", `FILE:1: only: "a:1,b:2": want one HOST:PORT; several are named with --list`},
		{"an alias", "on: &x true\nsecond: *x\n", `FILE:2: there is no setting "second"`},
		{"no YAML at the end", "number: [1\n", "FILE:1: did not find expected ',' or ']'"},
		{"no mapping", "- number\n", "FILE:1: want settings"},
		{"no YAML", "number: 1\n\tb: 2\n", "FILE:2: found a tab character that violates indentation"},
		{"two documents", "number: 1\n---\nnumber: 2\n", "FILE:2: a second document begins"},
		{"too long", strings.Repeat("#\n", configBytesMax), "has more than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, name, stderr, code := run(t, c.file)
			require.Equal(t, ExitUsage, code, "%+v", s)
			require.Contains(t, strings.ReplaceAll(stderr, name, "FILE"), c.want)
		})
	}
	_, _, stderr, code := run(t, "", "--config", filepath.Join(t.TempDir(), "absent"))
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, "--config: cannot read the settings: open ")
	_, _, stderr, code = run(t, "", "--config", t.TempDir())
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, "is a directory")
}
