package properties

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim"
)

const (
	determinismSchedules = 60
	determinismEnv       = "GTSTORE_DETERMINISM_CHILD"
)

// hashes runs schedules and gives a line for each, with the hash of everything
// that happened.
func hashes(check func(*sim.Schedule) *sim.Outcome) []string {
	lines := make([]string, determinismSchedules)
	for i := range lines {
		out := check(sim.Generate(sim.NewSource(uint64(i))))
		lines[i] = fmt.Sprintf("schedule %d: %s, %d events, hash %016x", i, out.Verdict, out.Events, out.Hash)
	}
	return lines
}

func fullHash(s *sim.Schedule) *sim.Outcome {
	return sim.CheckWith(s, sim.RunOptions{FullHash: true})
}

// TestDeterminism: the same schedule gives the same events, twice in this
// process and in fresh ones with other numbers of threads.
func TestDeterminism(t *testing.T) {
	first := hashes(fullHash)
	if os.Getenv(determinismEnv) != "" {
		fmt.Println(strings.Join(first, "\n"))
		return
	}
	require.Equal(t, first, hashes(fullHash), "twice in one process")
	for _, threads := range []string{"1", "2", "4"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDeterminism$")
		cmd.Env = append(os.Environ(), determinismEnv+"=1", "GOMAXPROCS="+threads)
		out, err := cmd.Output()
		require.NoError(t, err)
		child := strings.Split(string(out), "\n")
		require.GreaterOrEqual(t, len(child), len(first))
		require.Equal(t, first, child[:len(first)], "in a fresh process with GOMAXPROCS=%s", threads)
	}
}

// TestDivergenceIsFound: two runs that differ do have different hashes, and the
// first event at which they do is told.
func TestDivergenceIsFound(t *testing.T) {
	s := sim.Generate(sim.NewSource(1))
	other := s.Clone()
	other.Shape.Seed++
	a := sim.CheckWith(s, sim.RunOptions{KeepHashes: true})
	b := sim.CheckWith(other, sim.RunOptions{KeepHashes: true})
	require.NotEqual(t, a.Hash, b.Hash)
	at := 0
	for at < min(len(a.Hashes), len(b.Hashes)) && a.Hashes[at] == b.Hashes[at] {
		at++
	}
	require.Less(t, at, min(len(a.Hashes), len(b.Hashes)), "the first diverging event")
}

// TestMessagesAreImmutable: nobody changes a message after it was sent.
func TestMessagesAreImmutable(t *testing.T) {
	for i := range 200 {
		s := sim.Generate(sim.NewSource(uint64(1000 + i)))
		out := sim.CheckWith(s, sim.RunOptions{CheckImmutable: true})
		require.Nil(t, out.Violation, "schedule of source %d", 1000+i)
	}
}
