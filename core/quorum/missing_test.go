package quorum

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// leads is the manager that leads.
func (s *site) leads() *chair {
	i := slices.IndexFunc(s.hosts, func(c *chair) bool { return c.node != nil && c.node.node != nil && c.node.node.leads != 0 })
	if i < 0 {
		return nil
	}
	return s.hosts[i]
}

// others are those that do not lead.
func (s *site) others() []*chair {
	leader := s.leads()
	return slices.DeleteFunc(slices.Clone(s.hosts), func(c *chair) bool { return c == leader })
}

// asked asks a manager who the managers are.
func (c *chair) asked() (replies []*core.ManagersReply) {
	var out core.Output
	c.node.Step(c.s.now, core.Envelope{From: core.Peer{ID: 77, Addr: "c"}, To: core.Peer{Addr: c.addr}, Body: &core.ManagersQuery{Req: 1}}, &out)
	for _, e := range out.Send {
		if r, ok := e.Body.(*core.ManagersReply); ok {
			replies = append(replies, r)
		}
	}
	return replies
}

// A manager that is removed says so, whether it runs then or is started again on its directory.
func TestAManagerThatWasRemovedSaysSo(t *testing.T) {
	for _, runs := range []bool{true, false} {
		s := foundedByThree()
		removed := s.others()[0]
		id := removed.node.Self().ID
		if !runs {
			removed.crash(false)
		}
		leader := s.leads()
		leader.do(func(*core.Output) { require.NoError(t, leader.node.node.Change(nil, []core.NodeID{id})) })
		s.run(s.now.After(4 * time.Second))
		if !runs {
			removed.start()
			s.run(s.now.After(4 * time.Second))
		}
		require.Len(t, removed.told, 1, "runs: %v", runs)
		require.Equal(t, core.EventRemoved, removed.told[0].Kind)
		removed.told = nil
		removed.crash(false)
		removed.start()
		s.run(s.now.After(4 * time.Second))
		require.Len(t, removed.told, 1, "it is said again")
		for _, c := range s.hosts {
			require.True(t, c == removed || len(c.told) == 0, "%s: %v", c.addr, c.told)
		}
		require.Empty(t, s.wrong)
	}
}

// Where a majority is down, those who are left say who is missing. Where it has lost its data,
// they say that the Directory is gone, and an operator is told so, too.
func TestTooFewManagersSayWhoIsMissing(t *testing.T) {
	for _, gone := range []bool{false, true} {
		s := foundedByThree()
		others := s.others()
		left := s.leads()
		for _, c := range others {
			c.crash(gone)
			if gone {
				c.start()
			}
		}
		s.run(s.now.After(2 * time.Second))
		require.Empty(t, left.told, "it may be an election")
		require.Empty(t, left.asked())
		s.run(s.now.After(20 * time.Second))
		require.Len(t, left.told, 1)
		replies := left.asked()
		require.Len(t, replies, 1)
		require.Equal(t, core.StatusUnavailable, replies[0].Status)
		kind, state, advice := core.EventTooFew, " does not answer", "start those"
		if gone {
			kind, state, advice = core.EventDirectoryGone, " has lost its data", "restore a backup"
		}
		require.Equal(t, kind, left.told[0].Kind)
		for _, c := range others {
			require.Contains(t, left.told[0].Text, c.addr+state)
			require.Contains(t, replies[0].Why, c.addr+state)
		}
		require.Contains(t, replies[0].Why, advice)
		if gone {
			continue
		}
		for _, c := range others {
			c.start()
		}
		s.run(s.now.After(3 * time.Second))
		require.NotNil(t, s.leads())
		for _, c := range others {
			require.Empty(t, c.asked(), "one leads: it is asked")
			require.Empty(t, c.told)
		}
	}
}

// Managers that cannot found a cluster yet say for whom they wait.
func TestManagersSayForWhomTheyWait(t *testing.T) {
	s := newSite(1)
	s.durable, s.hosts = true, s.hosts[:0]
	for _, addr := range []string{"m1", "m2", "m3"} {
		s.hosts = append(s.hosts, &chair{s: s, addr: addr, records: map[string]string{}})
	}
	for _, c := range s.hosts[:2] {
		c.start()
	}
	s.run(core.Time(4 * time.Second))
	require.Empty(t, s.hosts[0].told)
	s.run(core.Time(8 * time.Second))
	for _, c := range s.hosts[:2] {
		require.Equal(t, []core.Event{{Kind: core.EventAwaits, Text: "m3 does not answer"}}, c.told)
	}
	s.hosts[2].start()
	s.run(core.Time(12 * time.Second))
	require.NotNil(t, s.leads())
	require.Empty(t, s.hosts[2].told)
}

// A manager that is to become one more is started with the list that will be true, which the
// others do not have yet. That is no fault: it only says that it waits to be taken in.
func TestAManagerThatIsToBeTakenInMayHaveAnotherList(t *testing.T) {
	s := foundedByThree()
	fresh := &chair{s: s, addr: "m4", records: map[string]string{}}
	s.hosts = append(s.hosts, fresh)
	fresh.start()
	s.run(s.now.After(4 * time.Second))
	require.NotZero(t, s.counts["waits"])
	require.Empty(t, fresh.told)
	leader := s.leads()
	s.known[fresh.node.Self().ID] = true // an operator knows it
	leader.do(func(*core.Output) { require.NoError(t, leader.node.node.Change([]core.Peer{fresh.node.Self()}, nil)) })
	s.run(s.now.After(4 * time.Second))
	require.Equal(t, leader.node.inner.Index(), fresh.node.inner.Index())
	require.Empty(t, s.wrong)
}

// Lists that differ are told apart by their addresses, and by who has the other one.
func TestListsThatDifferAreToldApart(t *testing.T) {
	f, err := newFounding([]string{"a", "b", "c"}, "a", true)
	require.NoError(t, err)
	for _, test := range []struct {
		durable bool
		list    []string
		says    string
	}{
		{true, []string{"a", "b", "d"}, "the manager at d has d in its list, which this one has not; it has not c, which this one has"},
		{true, []string{"c", "b", "a"}, "the manager at d has the same addresses in another order: c,b,a"},
		{true, []string{"a", "b"}, "the manager at d has not c, which this one has"},
		{false, []string{"a", "b", "c"}, "the manager at d has no --dir, and this one has one"},
	} {
		require.Equal(t, test.says, f.difference("d", test.durable, test.list))
		require.False(t, f.agrees(test.durable, test.list))
	}
}

// A list with names agrees with one that has none, and not with one that has others. Each goes by the
// names that the members have, where the list has none.
func TestListsWithNamesAreHeldAgainstOthers(t *testing.T) {
	plain := []string{"h1:1", "h2:1", "h3:1"}
	f, err := newFounding(plain, "manager/a@h1:1", true)
	require.NoError(t, err)
	require.Equal(t, []string{"manager/a@h1:1", "h2:1", "h3:1"}, f.managers, "it knows its own name")
	require.Equal(t, []string{"h1:1", "h2:1", "h3:1"}, plain)
	require.True(t, f.agrees(true, plain))
	require.True(t, f.agrees(true, []string{"h1:1", "manager/b@h2:1", "h3:1"}))
	other := []string{"manager/z@h1:1", "h2:1", "h3:1"}
	require.False(t, f.agrees(true, other))
	require.Equal(t, "the manager at h2:1 has manager/z@h1:1 in its list, which this one has not; it has not manager/a@h1:1, which this one has", f.difference("manager/b@h2:1", true, other))

	f.resolve([]core.Peer{{ID: 2, Addr: "manager/b@h2:1"}, {ID: 9, Addr: "manager/x@h9:1"}})
	require.Equal(t, []string{"manager/a@h1:1", "manager/b@h2:1", "h3:1"}, f.managers)
	f.begin(1, 0)
	f.take(2, core.Peer{ID: 7, Addr: "manager/z@h2:1"}, &say{round: f.round, state: stateEmpty})
	require.True(t, f.misses("h2:1"), "who has another name than the member there is not that one")
	f.take(2, core.Peer{ID: 2, Addr: "manager/b@h2:1"}, &say{round: f.round, state: stateEmpty})
	require.False(t, f.misses("h2:1"))
	f.resolve([]core.Peer{{ID: 3, Addr: "manager/c@h2:1"}})
	require.Equal(t, []string{"manager/a@h1:1", "manager/c@h2:1", "h3:1"}, f.managers, "it was replaced")

	_, err = newFounding([]string{"manager/z@h1:1", "h2:1"}, "manager/a@h1:1", true)
	require.ErrorContains(t, err, "has manager/z@h1:1, and this one is manager/a@h1:1 by its certificate")
	_, err = newFounding([]string{"h1:1", "manager/a@h1:1"}, "manager/a@h1:1", true)
	require.ErrorContains(t, err, "named twice")
}
