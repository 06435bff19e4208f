package mutants

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim/explore/cluster"
)

// TestScenariosBite searches the mutants that the scenarios of the explorer name: each must
// fall to what its scenario says. It takes some minutes.
func TestScenariosBite(t *testing.T) {
	if os.Getenv(galleryEnv) == "" {
		t.Skipf("it builds a program for each mutant; run: %s=1 go test ./properties/mutants -run TestScenariosBite -v", galleryEnv)
	}
	files, err := filepath.Glob(filepath.Join(root, "traces/explore/*"+cluster.Suffix))
	require.NoError(t, err)
	bitten := 0
	for _, file := range files {
		s, err := cluster.Load(file)
		require.NoError(t, err)
		for _, m := range s.Mutants {
			if !inThisPart(t, m.Name) {
				continue
			}
			bitten++
			t.Run(s.Name+"/"+m.Name, func(t *testing.T) {
				t.Parallel()
				mutant := Find(m.Name)
				require.NotNil(t, mutant, "there is no such mutant")
				searcher := mutant.Searcher(root, t.TempDir())
				found, err := searcher.Explore(1_000_000, []string{file})
				require.NoError(t, err)
				require.Equal(t, m.Property, found.By, found.Text)
			})
		}
	}
	require.Positive(t, bitten)
}

// TestScenariosNameMutants holds the names in the scenarios against the tables.
func TestScenariosNameMutants(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "traces/explore/*"+cluster.Suffix))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		s, err := cluster.Load(file)
		require.NoError(t, err)
		for _, m := range s.Mutants {
			require.NotNil(t, Find(m.Name), "%s: there is no mutant %s", file, m.Name)
		}
	}
}
