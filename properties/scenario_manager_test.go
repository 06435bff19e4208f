package properties

import (
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/schedule"
)

func TestTheManagerDecidesAsTheTracesTell(t *testing.T) {
	const ok, lost, unknown = core.StatusOK, core.StatusGroupLost, core.StatusUnknown
	for _, c := range []struct {
		trace string
		must  func(y *story)
	}{
		{"client-cut-off-from-the-primary", func(y *story) {
			y.only("n1 n2 n3")
			y.ended("c2 put a v3", 1, ok)
			y.ended("c2 get a", 1, ok, "v3")
			require.Positive(y.t, y.Seen[core.EventCleared], "its reports are looked into")
			require.Equal(y.t, y.Seen[core.EventProbing], y.Seen[core.EventCleared])
		}},
		{"half-broken-primary", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"partial-partition-with-a-third-member", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"partial-partition-with-a-spare", func(y *story) {
			y.chain("n1 n2", "n2")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"partial-partition-without-a-witness", func(y *story) {
			y.chain("n1 n2", "n1")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"manager-pauses", func(y *story) {
			y.only("n1 n2 n3")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
			y.ended("c1 get a", 2, ok, "v2")
			require.Zero(y.t, y.Seen[core.EventProbing])
			require.Zero(y.t, y.Seen[core.EventLost])
		}},
		{"new-keys-wait-for-the-manager", func(y *story) {
			y.chain("n1 n2 n3", "n1 n2")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
			y.ended("c2 put b v3", 1, core.StatusUnavailable)
			y.ended("c1 put a v4", 1, unknown)
			y.ended("c1 put a v5", 1, ok)
		}},
		{"suspicion-of-all-then-a-crash", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 get a", 1, ok, "v2")
			y.ended("c1 put a v3", 1, ok)
		}},
		{"slow-disk-of-the-primary", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"slow-disk-of-a-replica", func(y *story) {
			y.chain("n1 n2 n3", "n1 n2")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"wiped-replica-returns", func(y *story) {
			y.chain("n1 n2 n3", "n1 n2")
			y.ended("c1 get a", 1, ok, "v2")
		}},
		{"last-member-pauses", func(y *story) {
			y.only("n1")
			y.ended("c1 put a v2", 1, ok)
			y.ended("c1 get a", 1, ok, "v2")
			require.Zero(y.t, y.Seen[core.EventLost])
			require.Empty(y.t, y.Halted)
		}},
		{"lost-declared-for-a-paused-node", func(y *story) {
			y.chain("n1", "n1")
			y.ended("c1 get a", 1, lost)
			y.ended("c1 get a", 2, ok, "v1")
			require.Equal(y.t, 1, y.Seen[core.EventWithdrawn])
			require.Empty(y.t, y.Halted)
		}},
		{"loss-by-farewell", func(y *story) {
			y.chain("n1 n2 n3", "n2 n3", "n3")
			y.ended("c1 get a", 1, lost)
			y.ended("c1 get a", 2, core.StatusUnavailable) // the manager has halted
			last := y.Halted[len(y.Halted)-1]
			require.Equal(y.t, schedule.ManagerHost, last.Host)
			require.Contains(y.t, last.Why, core.ErrGroupLost.Error())
			require.Contains(y.t, last.Why, "certainly")
		}},
		{"loss-by-crash-in-the-middle-of-a-write", func(y *story) {
			y.ended("c1 put a v3", 1, unknown)
			require.Equal(y.t, lost, y.result("c1 put a v3", 1).Result.Cause)
			y.ended("c2 get a", 1, lost)
			y.ended("c2 put b v4", 1, ok)
			y.ended("c2 get b", 1, ok, "v4")
			for _, put := range []string{"c2 put c v5", "c2 put d v6"} {
				y.ended(put, 1, ok)
				require.EqualValues(y.t, 2, y.result(put, 1).Result.Group, "new keys go to the group that is left")
			}
			require.Empty(y.t, y.Halted)
		}},
		{"durable-group-stops", func(y *story) {
			y.ended("c1 get a", 1, core.StatusUnavailable)
			y.ended("c1 get a", 2, ok, "v1")
			require.Zero(y.t, y.Seen[core.EventLost])
			require.Empty(y.t, y.Halted)
		}},
		{"durable-group-wiped", func(y *story) {
			y.ended("c1 get a", 1, core.StatusUnavailable)
			y.ended("c1 get a", 2, lost)
			y.ended("c1 put b v2", 1, ok)
			require.EqualValues(y.t, 2, y.result("c1 put b v2", 1).Result.Group)
			y.ended("c1 get b", 1, ok, "v2")
			require.Empty(y.t, y.Halted)
		}},
		{"two-clients-map-the-same-new-key", func(y *story) {
			y.ended("c1 put a v1", 1, ok)
			y.ended("c2 put a v2", 1, ok)
			require.Equal(y.t, y.result("c1 get a", 1).Result.Version, y.result("c2 get a", 1).Result.Version)
			require.Equal(y.t, []int{1, 1}, []int{y.groups, y.keys})
			require.Equal(y.t, 1, y.Seen[core.EventMapped])
		}},
		{"late-not-found", func(y *story) {
			y.ended("c1 get a", 1, core.StatusNotFound)
			y.ended("c1 get a", 2, ok, "v2")
		}},
		{"unknown-outcome", func(y *story) {
			y.ended("c1 put a v2", 1, unknown)
			require.True(y.t, y.result("c1 put a v2", 1).Result.Sent)
			y.ended("c3 get a", 1, ok, "v2")
			y.ended("c2 put b v3", 1, core.StatusUnavailable)
			require.False(y.t, y.result("c2 put b v3", 1).Result.Sent)
			y.ended("c3 get b", 1, core.StatusNotFound)
		}},
		{"too-few-nodes", func(y *story) {
			r := y.result("c1 put a v1", 1).Result
			require.Equal(y.t, []uint32{2, 3}, []uint32{r.Have, r.Need})
			y.ended("c1 put a v1", 1, core.StatusUnavailable)
			y.ended("c1 get a", 1, core.StatusNotFound)
			require.Zero(y.t, y.groups)
		}},
		{"keys-go-round-the-groups", func(y *story) {
			spread := map[core.GroupID]int{}
			for i := range y.Ops {
				if o := &y.Ops[i]; !o.Final {
					spread[o.Result.Group]++
				}
			}
			require.Equal(y.t, map[core.GroupID]int{1: 10, 2: 10}, spread)
			y.only("n1 n2 n3")
			require.Equal(y.t, []string{"n4 n5 n6"}, y.chains[2])
		}},
	} {
		t.Run(c.trace, func(t *testing.T) { c.must(play(t, c.trace)) })
	}
}
