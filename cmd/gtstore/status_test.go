package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/daemon"
	"gtstore/core"
	"gtstore/netrpc"
)

// odd is a status with which a manager that is broken, or of another version, may answer.
var odd = map[string]netrpc.Status{
	"nothing at all": {},
	"a group of nobody": {
		Keys: math.MaxUint64, Process: math.MaxUint64, Replicas: -1,
		Groups: []core.GroupStatus{{Group: math.MaxUint64, Join: &core.JoinStatus{}}},
	},
	"a group of nodes that there are not": {
		Groups: []core.GroupStatus{{Group: 1, State: 99, Chain: []core.NodeID{0, 7, 7}, Keys: math.MaxUint64, Join: &core.JoinStatus{
			Node: 9, Age: math.MaxInt64, Progress: core.JoinProgress{Bytes: math.MaxUint64, BytesTotal: 1, Keys: math.MaxUint64, KeysTotal: 1}}}},
	},
	"a node of a group that there is not": {
		Nodes: []core.NodeStatus{{Group: 3, Joining: 4, State: 99, Quarantine: math.MaxInt64}, {NodeRecord: core.NodeRecord{Boot: math.MaxUint64}}},
	},
}

func TestNoStatusMakesACommandPanic(t *testing.T) {
	for name, s := range odd {
		t.Run(name, func(t *testing.T) {
			r := newStatusResult(&s)
			require.NotEmpty(t, r.text())
			require.NoError(t, printJSON(t.Output(), r))
			_, err := findNode(&s, "node1")
			require.Equal(t, cli.ExitNotFound, cli.Code(err))
			require.NoError(t, (&upFlags{manager: daemon.NewManagerFlags()}).present(t.Output(), nil, nil, r))
		})
	}
}

// Who restarts a manager with other flags sees which groups have them.
func TestTheStatusShowsTheTermsOfGroups(t *testing.T) {
	usual := core.Terms{Reads: core.ReadConfirm, MinChain: 1}
	leased := core.Terms{Reads: core.ReadLease, Lease: 2 * time.Second, MinChain: 3}
	groups := func(list ...core.Terms) *statusResult {
		s := &netrpc.Status{}
		for i, terms := range list {
			s.Groups = append(s.Groups, core.GroupStatus{Group: core.GroupID(i + 1), Terms: terms})
		}
		return newStatusResult(s)
	}
	require.NotContains(t, groups().text(), "--reads")
	require.NotContains(t, groups(usual, usual).text(), "--reads")
	require.Contains(t, groups(leased).text(), "\n1 of 1 groups with --reads lease --lease 2s --min-chain 3\n")
	mixed := groups(usual, leased, usual)
	require.Contains(t, mixed.text(), "\n2 of 3 groups with --reads confirm --min-chain 1\n1 of 3 groups with --reads lease --lease 2s --min-chain 3\n")
	require.Equal(t, "lease", mixed.Groups[1].Reads)
	require.EqualValues(t, 2, mixed.Groups[1].Lease)
	require.EqualValues(t, 3, mixed.Groups[1].MinChain)
}

// A process that has ended is no spare.
func TestADeadNodeIsNotShownAsASpare(t *testing.T) {
	r := newStatusResult(&netrpc.Status{Nodes: []core.NodeStatus{
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 1}, Name: "up"}, State: core.NodeUp},
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 2}, Name: "dead"}, State: core.NodeSilent},
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 3}, Name: "gone"}, State: core.NodeGone, Draining: true},
		{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 4}, Name: "member"}, State: core.NodeSilent, Group: 1},
	}})
	require.Equal(t, []string{"up"}, r.Spares)
	for i, want := range []string{`up +:?\S* +0 +up +- +spare`, `dead .* silent, out of use +- +-`, `gone .* gone +- +-`, `member .* silent +1 +replica`} {
		require.Regexp(t, want, r.text(), i)
	}
	require.Equal(t, roleNone, r.Nodes[1].Role)
}

// The manager answers while its disk hangs, and all groups may be well. Whoever waits for a
// new key is told what it is that keeps it.
func TestADiskThatHangsShows(t *testing.T) {
	for lag, shows := range map[time.Duration]bool{0: false, 300 * time.Millisecond: false, 12 * time.Second: true} {
		r := newStatusResult(&netrpc.Status{DiskLag: lag})
		require.InDelta(t, lag.Seconds(), r.Manager.DiskLag, 1e-9)
		want := require.NotContains
		if shows {
			want = require.Contains
		}
		want(t, r.text(), "\nthe manager's disk has not ended a sync for 12s: ")
		want(t, waitsFor(r.source), "the manager's disk has not ended a sync for 12s: ")
		if !shows {
			require.Equal(t, "the manager answers, and every group is available", waitsFor(r.source))
		}
	}
}
