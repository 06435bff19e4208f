package quorum

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAGroupAgreesUnderEveryFault: whatever happens, all members apply the same, nothing
// that was acknowledged is lost, a term has one leader, no confirmed read is stale; and once
// the faults end the group works.
func TestAGroupAgreesUnderEveryFault(t *testing.T) {
	first, more := draws(t, "GTSTORE_GROUPS")
	for _, c := range []struct {
		name    string
		durable bool
		seeds   uint64
		least   map[string]int // how often each thing happens over all seeds
	}{
		{"durable", true, 220, map[string]int{"crash": 3000, "change": 900, "install": 600, "wipe": 170, "cut": 700, "lead": 700, "follow": 250, "read": 5000, "acked": 6000, "down": 6000, "lead amid a change": 1, "intrude": 3000}},
		{"in memory", false, 100, map[string]int{"change": 600, "install": 450, "wipe": 180, "cut": 350, "lead": 300, "follow": 170, "read": 3500, "acked": 4000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			total := map[string]int{}
			for seed := first + 1; seed <= first+max(c.seeds, more); seed++ {
				w := live(seed, c.durable, "")
				require.Empty(t, w.wrong, "seed %d", seed)
				for what, n := range w.counts {
					total[what] += n
				}
				total["acked"] += len(w.acked)
			}
			for what, least := range c.least {
				require.Greater(t, total[what], least, "too few of what is to happen: %s (all: %v)", what, total)
			}
		})
	}
}

// draws says by a variable of the environment, "first,count", which draws a test makes: 0 and 0 if it is
// not set, for as many as the test makes by itself, from the first on.
func draws(t *testing.T, variable string) (first, count uint64) {
	t.Helper()
	if text := os.Getenv(variable); text != "" {
		_, err := fmt.Sscanf(text, "%d,%d", &first, &count)
		require.NoError(t, err, "%s=first,count", variable)
	}
	return first, count
}

func TestEqualRunsAreEqual(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := uint64(1); seed <= 20; seed++ {
		first, again := live(seed, true, ""), live(seed, true, "")
		require.Equal(t, first.trace, again.trace, "seed %d", seed)
		require.Equal(t, first.counts, again.counts, "seed %d", seed)
		seen[first.trace] = true
	}
	require.Len(t, seen, 20, "different seeds give different runs")
}

// TestTheChecksNoticeAFaultyDriver: each of these breaks a promise that the group rests on.
// If no schedule brought it to light, the one above would prove little.
func TestTheChecksNoticeAFaultyDriver(t *testing.T) {
	for _, c := range []struct {
		bug     string
		durable bool
		noticed string // what is said by some seed
	}{
		{"answers-before-its-disk", true, "but it was|a read lacks"},
		{"votes-for-everybody", true, "leads term .*, which .* led"},
		{"same-id-without-data", false, "but it was|a read lacks"},
		{"acknowledges-at-once", true, "a read lacks"},
		{"reads-without-a-round", true, "a read lacks"},
	} {
		t.Run(c.bug, func(t *testing.T) {
			var said []string
			for seed := uint64(1); seed <= 1500 && !slices.ContainsFunc(said, regexp.MustCompile(c.noticed).MatchString); seed++ {
				if w := live(seed, c.durable, c.bug); w.wrong != "" {
					said = append(said, w.wrong)
				}
			}
			require.Regexp(t, c.noticed, strings.Join(said, "\n"))
		})
	}
}
