package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim"
)

const (
	galleryDir = root + "/traces/gallery"
	galleryEnv = "GTSTORE_GALLERY"
)

// exhibit is a trace of the gallery.
type exhibit struct {
	file     string // as the go command's and the mutants' folder, the module's root, sees it
	schedule *sim.Schedule
	mutant   *Mutant
	property string
}

func gallery(t *testing.T) []exhibit {
	t.Helper()
	files, err := filepath.Glob(galleryDir + "/*.trace")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var list []exhibit
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		s, err := sim.Parse(string(text))
		require.NoError(t, err, file)
		name, property := s.Broken()
		m := Find(name)
		require.NotNil(t, m, "%s: there is no mutant %q", file, name)
		file, err = filepath.Rel(root, file)
		require.NoError(t, err)
		list = append(list, exhibit{file, s, m, property})
	}
	return list
}

// TestGalleryIsWhole: a trace of the gallery tells a story of some sentences, and
// names the rule that its mutant lacks. That the core itself holds is for the
// replay of all traces, in package properties, to show.
func TestGalleryIsWhole(t *testing.T) {
	for _, e := range gallery(t) {
		s := e.schedule
		require.Equal(t, "holds", s.Expect, e.file)
		require.Greater(t, len(s.Story), 4, "%s: want the story: what the rule is, and what goes wrong without it, step by step", e.file)
		require.NotEmpty(t, s.Rule, e.file)
	}
}

// TestGallery shows the other side of each trace: the mutant that it names
// violates that very property.
func TestGallery(t *testing.T) {
	if os.Getenv(galleryEnv) == "" {
		t.Skipf("it builds a binary for each mutant; run: %s=1 go test ./properties/mutants -run TestGallery -v", galleryEnv)
	}
	of := map[*Mutant][]exhibit{}
	for _, e := range gallery(t) {
		of[e.mutant] = append(of[e.mutant], e)
	}
	for m, list := range of {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			binary, err := m.Build(root, t.TempDir())
			require.NoError(t, err)
			for _, e := range list {
				require.Equal(t, e.property, replay(t, binary, e.file), "the property that %s violates in %s", m.Name, e.file)
			}
		})
	}
}

// replay runs a trace with another gtstore and returns the property that it
// violates there, or else the verdict.
func replay(t *testing.T, binary, file string) string {
	t.Helper()
	cmd := exec.Command(binary, "replay", "-o", "json", file)
	cmd.Dir = root
	out, _ := cmd.Output() // it fails when the verdict is another than that expected
	var result struct{ Verdict, Property string }
	lines := strings.Split(string(out), "\n")
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "{") })
	require.GreaterOrEqual(t, i, 0, "the replay of %s printed no result: %s", file, out)
	require.NoError(t, json.Unmarshal([]byte(lines[i]), &result), "%s", out)
	if result.Property != "" {
		return result.Property
	}
	return result.Verdict
}
