package properties

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/schedule"
)

const traceDir = "../traces"

// TestTraces replays everything in traces/, and requires the verdict that each trace
// expects.
func TestTraces(t *testing.T) {
	var files []string
	require.NoError(t, filepath.WalkDir(traceDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".trace") {
			files = append(files, path)
		}
		return err
	}))
	require.NotEmpty(t, files, "traces/ holds the regressions of the bugs that were found")
	for _, file := range files {
		name, err := filepath.Rel(traceDir, file)
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			s, err := schedule.Parse(string(text))
			require.NoError(t, err)
			require.NotEmpty(t, s.Story, "a trace says in a sentence what it shows")
			expect := s.Expect
			if expect == "" {
				expect = "holds"
			}
			s.Mutant = "" // this is the core as it is: no check waits for what a mutant would show
			out := check.RunWith(s, sim.RunOptions{KeepHashes: true})
			require.Equal(t, expect, out.Verdict, "%v\nreplay: go run ./cmd/gtstore replay traces/%s", out.Violation, name)
			require.Empty(t, out.Missing(s), "the trace no longer shows what it says")
			if s.Recorded != nil {
				if d := s.Recorded.Compare(out.Events, out.Hash, out.Hashes); d != nil {
					t.Logf("%s; %v: the code behaves otherwise than when this was recorded", out.Verdict, d)
				}
			}
		})
	}
}
