package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/view"
)

// brokenByR8 is a trace that the real core survives and a core without rule R8
// does not.
const brokenByR8 = "../../traces/stale-primary-get.trace"

func TestViewWritesAPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	code, stdout, stderr := run(t, "", "view", brokenByR8, "-o", file)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Equal(t, file+"\n", stdout)
	require.Equal(t, "Holds: every check passed.\n", stderr)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "<!DOCTYPE html>"))
	require.True(t, strings.HasSuffix(string(text), "</html>\n"))
}

func TestViewNamesItsFileAfterTheTrace(t *testing.T) {
	trace, err := filepath.Abs(brokenByR8)
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	for _, c := range []struct{ format, file string }{
		{"html", "stale-primary-get.html"}, {"perfetto", "stale-primary-get.perfetto.json"}, {"mermaid", "stale-primary-get.mmd"},
	} {
		code, stdout, stderr := run(t, "", "view", trace, "--format", c.format)
		require.Equal(t, cli.ExitOK, code, stderr)
		require.Equal(t, c.file+"\n", stdout)
		require.FileExists(t, c.file)
	}
	code, stdout, stderr := run(t, calm, "view", "-", "-o", "-", "--format", "mermaid")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Contains(t, stdout, "sequenceDiagram\n")
}

func TestViewFindsTheLastFailure(t *testing.T) {
	t.Chdir(t.TempDir())
	code, _, stderr := run(t, "", "view")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "which trace? There is no failure of gtstore fuzz in traces/found or traces")
	require.NoError(t, os.MkdirAll("traces/found", 0o777))
	for i, name := range []string{"traces/found/liveness-7-1.trace", "traces/linearizable-7-120.trace", "traces/a-regression.trace"} {
		require.NoError(t, os.WriteFile(name, []byte(calm), 0o666))
		at := time.Unix(int64(1_000_000+i), 0)
		require.NoError(t, os.Chtimes(name, at, at))
	}
	code, stdout, stderr := run(t, "", "view")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Equal(t, "linearizable-7-120.html\n", stdout, "the newest of those that fuzz names")
	code, stdout, stderr = run(t, "", "view", "traces")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Equal(t, "a-regression.html\n", stdout, "the newest in the directory")
	require.NoError(t, os.Mkdir("empty", 0o777))
	code, _, stderr = run(t, "", "view", "empty")
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "there is no trace in empty")
}

func TestViewRefuses(t *testing.T) {
	for _, c := range []struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"", []string{"view", "nowhere.trace"}, cli.ExitError, "cannot read the trace"},
		{"nonsense\n", []string{"view", "-"}, cli.ExitError, "-:1: "},
		{calm, []string{"view", "-", "--format", "pdf"}, cli.ExitUsage, "want html, perfetto or mermaid"},
		{calm, []string{"view", "-", "-o", "/nowhere/at/all"}, cli.ExitError, "name another file with -o"},
		{calm, []string{"view", "-", "--mutant", "nobody"}, cli.ExitError, "there is no mutant \"nobody\""},
		{calm, []string{"view", "-", "--mutant", "read-without-round", "--source", "/nowhere"}, cli.ExitError, "is not the project's source"},
		{"", []string{"view", "a", "b"}, cli.ExitUsage, "accepts at most 1 arg"},
	} {
		code, stdout, stderr := run(t, c.stdin, c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, stderr)
		require.Contains(t, stderr, c.want)
		require.Empty(t, stdout)
	}
}

// withMutant is a trace that names the core that it breaks.
func withMutant(t *testing.T, mutant string) string {
	t.Helper()
	text, err := os.ReadFile(brokenByR8)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "broken.trace")
	head := "rule R8\n"
	require.Contains(t, string(text), head)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), head, head+"mutant "+mutant+" violates linearizable\n", 1)), 0o666))
	return file
}

func TestViewShowsHowAMutantFails(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the project with a mutant")
	}
	file := withMutant(t, "read-without-round")
	code, stdout, stderr := run(t, "", "view", file, "-o", "-", "--format", "run")
	require.Equal(t, cli.ExitOK, code, stderr)
	var broken view.Run
	require.NoError(t, json.Unmarshal([]byte(stdout), &broken))
	require.Equal(t, "violates linearizable", broken.Verdict)
	require.Equal(t, "Violated: linearizable: c2 read x=a (version 2) after c1’s put x=b was acknowledged (version 3)", broken.Headline)
	require.Equal(t, []string{"read-without-round", "R8"}, []string{broken.Core, broken.Removed})
	last := broken.Moments[len(broken.Moments)-1]
	require.Equal(t, broken.Bad, last.Step)
	require.Equal(t, view.StepReturn, broken.Steps.Kind[broken.Bad], "it goes wrong when the get returns")
}

// Where no mutant can be built the real core is shown all the same, and the
// reader is told what is missing.
func TestViewWithoutTheSource(t *testing.T) {
	file := withMutant(t, "read-without-round")
	t.Chdir(t.TempDir())
	code, stdout, stderr := run(t, "", "view", file)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Equal(t, "broken.html\n", stdout)
	require.Contains(t, stderr, "only the real core is shown, not the mutant read-without-round: a mutant is built from the project's source")
	text, err := os.ReadFile("broken.html")
	require.NoError(t, err)
	require.Contains(t, string(text), "That side is not shown")
}
