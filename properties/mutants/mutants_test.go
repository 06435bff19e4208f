package mutants

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	root         = "../.."
	schedulesMax = "4000" // that the simulator gets to catch a mutant
	env          = "GTSTORE_MUTANTS"
)

// TestMutantsStillApply: a mutant that no longer matches the source would be
// caught by nothing but a broken build.
func TestMutantsStillApply(t *testing.T) {
	names := map[string]bool{}
	for i := range Table {
		m := &Table[i]
		require.False(t, names[m.Name], "two mutants named %s", m.Name)
		names[m.Name] = true
		texts, err := m.sources(root)
		require.NoError(t, err)
		for file, text := range texts {
			_, err = parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
			require.NoError(t, err, m.Name)
		}
	}
}

// TestMutants runs every mutant until somebody catches it.
func TestMutants(t *testing.T) {
	if os.Getenv(env) == "" {
		t.Skipf("it takes some minutes; run: %s=1 go test ./properties/mutants -run TestMutants -timeout 1h -v", env)
	}
	for i := range Table {
		m := &Table[i]
		t.Run(m.Name, func(t *testing.T) {
			begin := time.Now()
			by := m.hunt(t)
			require.NotEmpty(t, by, "nobody caught it: %s", m.Story)
			fmt.Printf("%-26s %-24.24s %-60s %5.1f s\n", m.Name, m.Rule, by, time.Since(begin).Seconds())
		})
	}
}

// hunt tells who caught the mutant, or nothing.
func (m *Mutant) hunt(t *testing.T) string {
	dir := t.TempDir()
	overlay, err := m.Overlay(root, dir)
	require.NoError(t, err)

	binary := filepath.Join(dir, "gtstore")
	out, err := run("go", "build", "-overlay", overlay, "-o", binary, "./cmd/gtstore")
	require.NoError(t, err, "the mutant does not build:\n%s", out)
	if out, err := run(binary, "fuzz", "--seed", "1", "--schedules", schedulesMax, "--out", dir, "-o", "json"); err != nil {
		if found := regexp.MustCompile(`"property":"([^"]+)"`).FindStringSubmatch(out); found != nil {
			return "fuzz: " + found[1]
		}
		require.Fail(t, "the search ended otherwise", out)
	}
	if out, err := run("go", "test", "-overlay", overlay, "-count=1", "./core"); err != nil {
		if found := regexp.MustCompile(`--- FAIL: (\S+)`).FindStringSubmatch(out); found != nil {
			return found[1]
		}
		if strings.Contains(out, "panic: core: ") {
			return "an assertion of the core"
		}
		require.Fail(t, "the scenario tests ended otherwise", out)
	}
	return ""
}

// run runs a command in the module's root and returns all that it printed.
func run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
