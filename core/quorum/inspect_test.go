package quorum

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

func inspected(t *testing.T, space core.Space) *core.DiskReport {
	t.Helper()
	r, err := Inspect(space)
	require.NoError(t, err)
	return r
}

// What a manager made durable shows the Directory that it has, with snapshots and without, and
// whose fault it is where it cannot be shown.
func TestInspectReadsTheDirectory(t *testing.T) {
	w := newTable(t, 3)
	w.pass(time.Second)
	folded := 0
	for id := range core.NodeID(60) {
		w.say(w.leader(), core.Peer{ID: 200 + id, Addr: fmt.Sprint("n", id)}, &core.Register{Boot: 1, Durable: true, Secret: 1, Name: fmt.Sprint("node", id)})
		w.pass(100 * time.Millisecond)
		for _, s := range w.seats {
			r := inspected(t, s)
			require.Zero(t, r.Damaged, "%v", r.Damage)
			require.Equal(t, s.peer.ID, r.ID)
			d := r.Directory
			require.EqualValues(t, s.node.Index(), d.Index, "nothing is under way")
			require.Len(t, d.Nodes, int(id)+1)
			require.Equal(t, fmt.Sprint("node", id), d.Nodes[id].Name)
			require.Equal(t, core.PlacementKey, d.Placement)
			require.EqualValues(t, d.Index, int(d.Folded)+d.Commands)
			require.LessOrEqual(t, d.Pending, d.Commands)
			if d.Folded > 0 {
				folded++
			}
		}
	}
	require.Positive(t, folded)

	s := w.seats[0]
	whole := maps.Clone(s.space)
	for _, prefix := range []string{prefixPart, prefixLog, keySnapshot} {
		s.space = maps.Clone(whole)
		gone := ""
		for k := range s.space {
			if strings.HasPrefix(k, prefix) && (gone == "" || k < gone) {
				gone = k
			}
		}
		require.NotEmpty(t, gone, prefix)
		delete(s.space, gone)
		r := inspected(t, s)
		require.Equal(t, 1, r.Damaged, prefix)
		require.Equal(t, "quorum", r.Damage[0].Record)
		require.NotContains(t, r.Damage[0].Err.Error(), core.ErrDamaged.Error(), "the heading says so")
		require.Zero(t, r.Directory.Placement)
	}
	s.space = maps.Clone(whole)
	for k := range s.space {
		if strings.HasPrefix(k, prefixLog) {
			s.space[k] = "x"
		}
	}
	r := inspected(t, s)
	require.Positive(t, r.Damaged)
	require.Zero(t, r.Directory.Placement, "what cannot be read is shown by nobody")
}

// A manager that has founded nothing yet has no Directory, and no damage.
func TestInspectOfAManagerThatHasFoundedNothing(t *testing.T) {
	s := newSite(1)
	s.durable, s.hosts = true, s.hosts[:0]
	for i := range 3 {
		s.hosts = append(s.hosts, &chair{s: s, addr: fmt.Sprintf("m%d", i+1), records: map[string]string{}})
	}
	c := s.hosts[0]
	c.start()
	s.run(core.Time(2 * time.Second))
	r := inspected(t, c)
	require.Zero(t, r.Damaged, "%v", r.Damage)
	require.Zero(t, r.Directory.Placement)
	for _, c := range s.hosts[1:] {
		c.start()
	}
	s.every(100*time.Millisecond, s.register)
	s.run(core.Time(5 * time.Second))
	require.NotNil(t, s.leads())
	r = inspected(t, c)
	require.Zero(t, r.Damaged, "%v", r.Damage)
	require.NotZero(t, r.Directory.Placement)
	require.NotEmpty(t, r.Directory.Nodes)
}
