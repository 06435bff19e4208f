package mutants

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	root         = "../.."
	schedulesMax = 4000 // how many schedules the simulator gets to catch a mutant
	env          = "GTSTORE_MUTANTS"
)

// TestMutantsStillApply: each mutant matches the source, and is still Go. Otherwise only
// a long run of all mutants would notice.
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

// TestOutsideNamesMutants holds the names of those that no run can notice against the tables.
func TestOutsideNamesMutants(t *testing.T) {
	for name := range outside {
		require.NotNil(t, Find(name), "there is no mutant %s", name)
	}
}

// TestMutants: somebody catches every mutant.
func TestMutants(t *testing.T) {
	if os.Getenv(env) == "" {
		t.Skipf("it takes some minutes; run: %s=1 go test ./properties/mutants -run TestMutants -timeout 1h -v", env)
	}
	for i := range Table {
		m := &Table[i]
		t.Run(m.Name, func(t *testing.T) {
			if m.Equivalent != "" {
				t.Skipf("nobody can catch it: %s", m.Equivalent)
			}
			begin := time.Now()
			c, err := m.Hunt(root, t.TempDir(), 1, schedulesMax, false)
			require.NoError(t, err)
			require.NotEmpty(t, c.By, "nobody caught it: %s", m.Story)
			fmt.Printf("%-28s %-24.24s %-50s %5.1f s\n", m.Name, m.Rule, c.By, time.Since(begin).Seconds())
		})
	}
}

// fallToTests runs the tests of a package over each of n mutants: one must fail. Mutant i comes with
// the package, and with which of its tests those are; "" for all.
func fallToTests(t *testing.T, n int, mutant func(i int) (m *Mutant, pkg, run string)) {
	t.Helper()
	if os.Getenv(env) == "" {
		t.Skipf("it takes some minutes; run: %s=1 go test ./properties/mutants -run %s -timeout 1h -v", env, t.Name())
	}
	for i := range n {
		m, pkg, run := mutant(i)
		t.Run(m.Name, func(t *testing.T) {
			overlay, err := m.Overlay(root, t.TempDir())
			require.NoError(t, err)
			by, err := testOver(root, overlay, pkg, "-timeout", "3m", "-run", run)
			require.NoError(t, err)
			require.NotEmpty(t, by, "nobody caught it: %s", m.Story)
			t.Log(by)
		})
	}
}
