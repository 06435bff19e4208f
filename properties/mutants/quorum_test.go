package mutants

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQuorumMutants: the tests of package quorum catch every mutant of it.
func TestQuorumMutants(t *testing.T) {
	if os.Getenv(env) == "" {
		t.Skipf("it takes some minutes; run: %s=1 go test ./properties/mutants -run TestQuorumMutants -timeout 1h -v", env)
	}
	for i := range ofQuorum {
		m := &ofQuorum[i]
		t.Run(m.Name, func(t *testing.T) {
			overlay, err := m.Overlay(root, t.TempDir())
			require.NoError(t, err)
			cmd := exec.Command("go", "test", "-vet=off", "-overlay", overlay, "-failfast", "-timeout", "3m", "./core/quorum")
			cmd.Dir = root
			out, _ := cmd.CombinedOutput()
			text := string(out)
			require.NotContains(t, text, "[build failed]", text)
			require.Contains(t, text, "FAIL", "nobody caught it: %s", m.Story)
			for _, line := range strings.Split(text, "\n") {
				if _, name, ok := strings.Cut(line, "--- FAIL: "); ok {
					t.Log(name)
				}
			}
		})
	}
}
