package mutants

import (
	"hash/fnv"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim/fuzz"
)

// galleryEnv is 1 for all mutants of the gallery, or a part of them such as 2/3: the second of
// three.
const galleryEnv = "GTSTORE_GALLERY"

// inThisPart tells whether a mutant is of those that galleryEnv names.
func inThisPart(t *testing.T, mutant string) bool {
	t.Helper()
	value := os.Getenv(galleryEnv)
	if value == "1" {
		return true
	}
	shard, err := fuzz.ParseShard(value)
	require.NoError(t, err, "%s=%s", galleryEnv, value)
	sum := fnv.New32a()
	sum.Write([]byte(mutant))
	return int(sum.Sum32()%uint32(shard.N)) == shard.I-1
}

// TestThePartsOfTheGalleryAreAll: each mutant is of one of them.
func TestThePartsOfTheGalleryAreAll(t *testing.T) {
	for i := range Table {
		parts := 0
		for _, part := range []string{"1/3", "2/3", "3/3"} {
			t.Setenv(galleryEnv, part)
			if inThisPart(t, Table[i].Name) {
				parts++
			}
		}
		require.Equal(t, 1, parts, Table[i].Name)
	}
}

// TestGalleryIsWhole: each trace of the gallery tells a story of some sentences, and names
// the rule that its mutant lacks. TestTraces in package properties shows that the core
// itself survives it.
func TestGalleryIsWhole(t *testing.T) {
	list, err := Gallery(root)
	require.NoError(t, err)
	require.NotEmpty(t, list)
	for _, e := range list {
		require.Equal(t, "holds", e.Schedule.Expect, e.File)
		require.Greater(t, len(e.Schedule.Story), 4, "%s: want the story: what the rule is, and what goes wrong without it, step by step", e.File)
		require.NotEmpty(t, e.Schedule.Rule, e.File)
	}
}

// TestGallery: with each trace the mutant that it names violates the property that it
// names.
func TestGallery(t *testing.T) {
	if os.Getenv(galleryEnv) == "" {
		t.Skipf("it builds a binary for each mutant; run: %s=1 go test ./properties/mutants -run TestGallery -timeout 1h -v", galleryEnv)
	}
	list, err := Gallery(root)
	require.NoError(t, err)
	of := map[*Mutant][]Exhibit{}
	for _, e := range list {
		if inThisPart(t, e.Mutant.Name) {
			of[e.Mutant] = append(of[e.Mutant], e)
		}
	}
	for m, list := range of {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			// It runs for milliseconds, so it is not worth what optimising it takes, a third of all.
			binary, err := m.build(root, t.TempDir(), "./properties/mutants/player", "-gcflags=gtstore/...=-N -l")
			require.NoError(t, err)
			for _, e := range list {
				property, err := replay(root, e.File, binary)
				require.NoError(t, err)
				require.Equal(t, e.Property, property, "the property that %s violates in %s", m.Name, e.File)
			}
		})
	}
}
