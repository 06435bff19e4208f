package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of a manager that starts with other terms than its groups have.

// restartedWith starts the manager again over what is durable, with other options.
func (r *realm) restartedWith(options ...func(*ManagerOptions)) {
	r.t.Helper()
	r.crash(0)
	r.boot = func(s Space) (Node, error) {
		o := ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Replicas: 2, Durable: true}
		for _, option := range options {
			option(&o)
		}
		return NewManager(o, s)
	}
	r.restart()
	r.serve()
}

func leases(l time.Duration) func(*ManagerOptions) {
	return func(o *ManagerOptions) { o.Reads, o.Lease = ReadLease, l }
}

func minChain(n int) func(*ManagerOptions) {
	return func(o *ManagerOptions) { o.MinChain = n }
}

// Manager 7: what a manager is started with holds for the groups that it finds, too, from
// their next epoch on. It does so once.
func TestARestartedManagerGivesItsGroupsItsTerms(t *testing.T) {
	confirms := func(*ManagerOptions) {}
	for name, c := range map[string]struct {
		before, after func(*ManagerOptions)
		want          Terms
	}{
		"leases begin":       {confirms, leases(time.Second), Terms{ReadLease, time.Second, 1}},
		"leases end":         {leases(2 * time.Second), confirms, Terms{ReadConfirm, 0, 1}},
		"longer leases":      {leases(time.Second), leases(time.Minute), Terms{ReadLease, time.Minute, 1}},
		"shorter leases":     {leases(time.Minute), leases(time.Second), Terms{ReadLease, time.Second, 1}},
		"more must be there": {confirms, minChain(3), Terms{ReadConfirm, 0, 3}},
		"fewer will do":      {minChain(2), confirms, Terms{ReadConfirm, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 4, inDurableMode, c.before)
			r.place("a")
			r.restartedWith(c.after)
			r.pass(time.Second)
			r.requireChain(2, "n1", "n2", "n3")
			require.Equal(t, c.want, r.manager().Config(1).Terms())
			require.Len(t, r.happened(EventTerms), 1)
			for _, name := range []string{"n1", "n2", "n3"} {
				configs := received[*Config](r, name)
				require.Equal(t, r.manager().Config(1), configs[len(configs)-1], name)
			}

			r.pass(time.Minute)
			r.restartedWith(c.after)
			r.pass(time.Second)
			r.requireChain(2, "n1", "n2", "n3")
			require.Equal(t, c.want, r.manager().Config(1).Terms(), "what the disk has")
		})
	}
}

// Every change costs the members a sync and a round, so not all groups change at once.
func TestGroupsGetOtherTermsBitByBit(t *testing.T) {
	const groups = 2*termsMax + 1
	r := newRealm(t, 0, inDurableMode, replicas(0))
	for i := range groups {
		r.register(Peer{ID: NodeID(0x1000 + i), Addr: fmt.Sprintf("far%d", i)})
		r.place(fmt.Sprint("k", i))
	}
	require.Equal(t, groups, r.manager().Groups())
	r.restartedWith(replicas(0), leases(time.Second))
	changed := func() (n int) {
		for i := range groups {
			if r.manager().Config(GroupID(i+1)).Reads == ReadLease {
				n++
			}
		}
		return n
	}
	most := 0
	for before := changed(); changed() < groups; before = changed() {
		r.pass(50 * time.Millisecond)
		most = max(most, changed()-before)
		require.Less(t, r.now, Time(time.Hour+10*time.Second))
	}
	require.Equal(t, termsMax, most)
}

// Another epoch would end an inquiry, and whoever is accused in it would have all the time
// once more. So the terms wait for its end.
func TestTermsWaitForTheEndOfAnInquiry(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.restartedWith(leases(time.Second))
	r.pass(10 * time.Millisecond) // it has heard all of them, but did not look at the groups since
	r.ail(hanging, "n2")
	r.say("n1", suspect(1, "n2"))
	require.True(t, r.manager().Inquiring(1))
	for r.manager().Inquiring(1) {
		require.Equal(t, ReadConfirm, r.manager().Config(1).Reads)
		r.pass(10 * time.Millisecond)
	}
	r.requireChain(2, "n1", "n3")
	require.Equal(t, ReadConfirm, r.manager().Config(1).Reads)
	r.pass(100 * time.Millisecond)
	r.requireChain(3, "n1", "n3")
	require.Equal(t, ReadLease, r.manager().Config(1).Reads)
}

// A group whose primary does not answer has other worries, and gets its terms when somebody
// leads it again.
func TestTermsWaitForAPrimaryThatAnswers(t *testing.T) {
	r := newRealm(t, 1, inDurableMode, replicas(0))
	r.place("a")
	r.ail(silent, "n1")
	r.restartedWith(replicas(0), leases(time.Second))
	r.pass(10 * time.Second)
	r.requireChain(1, "n1")
	r.ail(well, "n1")
	r.pass(time.Second)
	r.requireChain(2, "n1")
	require.Equal(t, ReadLease, r.manager().Config(1).Reads)
}

// A join can take long, and what an operator asks for should not wait for it. It goes on over
// the change: it is the same join.
func TestAJoinGoesOnOverOtherTerms(t *testing.T) {
	r := newRealm(t, 4, inDurableMode)
	r.place("a")
	r.ail(refusing, "n3")
	r.pass(time.Second)
	before := r.manager().Config(1)
	require.Equal(t, "n4", before.Joining.Addr)

	r.restartedWith(leases(time.Second))
	r.pass(300 * time.Millisecond)
	c := r.manager().Config(1)
	require.Equal(t, ReadLease, c.Reads)
	require.Equal(t, before.Epoch+1, c.Epoch)
	require.Equal(t, before.Joining, c.Joining)
	require.Equal(t, before.Start, c.Start)

	r.say("n1", &CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: peerOf("n4").ID})
	r.requireChain(c.Epoch+1, "n1", "n2", "n4")
	require.Equal(t, ReadLease, r.manager().Config(1).Reads)
}

// Terms are given by compare-and-set on the epoch, as all that changes a config.
func TestTermsAreGivenByCompareAndSetOnTheEpoch(t *testing.T) {
	d := directoryOf("n1", "n2")
	d.apply(&Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1, 2}, Terms: Terms{ReadConfirm, 0, 1}})
	changes := func(group GroupID, epoch Epoch, terms Terms) bool {
		return len(d.apply(&Command{Kind: CommandTerms, Group: group, Epoch: epoch, Terms: terms}).changed) > 0
	}
	require.False(t, changes(1, 2, Terms{ReadConfirm, 0, 2}), "an epoch to come")
	require.False(t, changes(2, 1, Terms{ReadConfirm, 0, 2}), "no such group")
	require.False(t, changes(1, 1, Terms{ReadConfirm, 0, 1}), "what it has")
	require.True(t, changes(1, 1, Terms{ReadConfirm, 0, 2}))
	require.False(t, changes(1, 1, Terms{ReadConfirm, 0, 1}), "decided in the epoch before")
	c := *config(2, "n1", "n2")
	c.MinChain = 2
	require.Equal(t, &c, d.group(1).config)
}

// Rules R4 and R6: what a primary has in its log when writes begin to need more members ends
// as it would have; what comes afterwards is refused.
func TestWritesUnderWayOutliveOtherTerms(t *testing.T) {
	n := written(t, config(1, "n1", "n2"))
	sent[*Reply](n, "c1")
	n.step("c1", put(5, 1, 2, "x", "a"))
	sent[*Replicate](n, "n2")
	short := config(2, "n1", "n2")
	short.MinChain = 3
	n.step("m", short)
	n.step("c2", &Op{Group: 1, Req: 6, Kind: OpOpen})
	require.Equal(t, StatusUnavailable, only[*Reply](n, "c2").Status)
	r := latest[*Replicate](n, "n2")
	require.EqualValues(t, 2, r.Epoch)
	n.step("n2", &Ack{Group: 1, Epoch: 2, Round: r.Round, Matched: n.view().Last})
	require.Equal(t, StatusOK, only[*Reply](n, "c1").Status)
}

// Rule R9: a lease counts from a round of its own epoch on, and by that epoch's length. A
// primary that has never had leases does not take acks of confirm-reads for promises.
func TestALeaseBeginsWithItsEpoch(t *testing.T) {
	n := written(t, config(1, "n1", "n2"))
	require.False(t, n.view().Alone)
	n.step("m", leased(time.Second, 2, "n1", "n2"))
	require.False(t, n.view().Alone, "n2 has promised nothing yet")
	r := latest[*Replicate](n, "n2")
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: n.view().Last})
	require.False(t, n.view().Alone, "nor in the epoch before")
	n.step("n2", &Ack{Group: 1, Epoch: 2, Round: r.Round, Matched: n.view().Last})
	require.True(t, n.view().Alone)

	n.step("m", config(3, "n1", "n2"))
	require.False(t, n.view().Alone, "leases have ended, though n2's promise still holds")
	require.True(t, slices.ContainsFunc(sent[*Replicate](n, "n2"), func(r *Replicate) bool { return r.Epoch == 3 }))
}

// Rule R9: a restarted node waits for the longest lease that may still live. That is one of
// an earlier epoch, for as long as it can; then those that its groups have now.
func TestALongLeaseIsForgottenOnceItIsOver(t *testing.T) {
	n := newStorageAt(t, "n2", durable).registered()
	granted := func(c *Config) {
		n.step("m", c)
		n.step("n1", replicate(c.Epoch, 1, EntryID{}, 0))
		n.step("m", &Ping{Nonce: uint64(n.now), Boot: 1})
	}
	requireWaits := func(l time.Duration) {
		n.crash(0)
		n.restart().registered()
		require.Equal(t, n.now.After(grant(l, 1000)), n.storage().groups[0].grantUntil)
	}
	granted(leased(10*time.Second, 1, "n1", "n2"))
	granted(leased(time.Second, 2, "n1", "n2"))
	requireWaits(10 * time.Second)
	for range 9 {
		n.tick(time.Second)
		granted(leased(time.Second, 2, "n1", "n2"))
	}
	requireWaits(10 * time.Second)
	for range 12 {
		n.tick(time.Second)
		granted(leased(time.Second, 2, "n1", "n2"))
	}
	requireWaits(time.Second)
	n.tick(time.Second)
	granted(config(3, "n1", "n2"))
	requireWaits(time.Second)
	n.tick(2 * time.Second)
	granted(config(3, "n1", "n2"))
	requireWaits(0)

	granted(leased(5*time.Second, 4, "n1", "n2"))
	requireWaits(5 * time.Second)
}
