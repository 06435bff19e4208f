package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of epochs: who may act in which, and what must be known of one
// before it is entered. Who is behind the times is refused and told so.

// Rule R1: a replica that knows a higher epoch takes nothing more in from an
// older one, also when that one's primary is still the primary: its log may have
// gone on otherwise since. The refusal says which config is current.
func TestADelayedReplicateOfAnOldEpochIsRefused(t *testing.T) {
	for name, current := range map[string]*Config{
		"of a deposed primary":     config(2, "n2", "n3"),
		"of the same primary":      config(2, "n1", "n2"),
		"to a node that has left":  config(2, "n1", "n3"),
		"several epochs ago":       config(7, "n1", "n2"),
		"whose config comes along": config(2, "n1", "n2", "n3"),
	} {
		t.Run(name, func(t *testing.T) {
			n := heir(t, config(1, "n1", "n2", "n3"))
			n.step("m", current)
			late := replicate(1, 4, EntryID{1, 3}, 3, wrote(1, 3, "x", "late"))
			late.Config = config(1, "n1", "n2", "n3")
			n.step("n1", late)
			same(t, &Nack{Group: 1, Epoch: current.Epoch, Round: 4, Config: current}, only[*Nack](n, "n1"))
			require.Empty(t, sent[*Ack](n, "n1"))
			require.EqualValues(t, 3, n.view().Last)
			require.EqualValues(t, 2, n.view().Commit)
			require.Equal(t, current, n.view().Config)
		})
	}
}

// Rule R1: an epoch is adopted together with its config or not at all. A node
// that knew only the number would not know whom to follow, and would refuse the
// primary of the epoch that it does know.
func TestNoEpochIsAdoptedWithoutItsConfig(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"))
	wrongGroup, wrongEpoch := *config(2, "n1", "n2"), *config(3, "n1", "n2")
	wrongGroup.Group = 2
	for _, c := range []*Config{nil, &wrongGroup, &wrongEpoch} {
		r := replicate(2, 5, EntryID{1, 3}, 3, wrote(2, 3, "x", "c"))
		r.Config = c
		n.step("n1", r)
		same(t, &Nack{Group: 1, Epoch: 1, Round: 5}, only[*Nack](n, "n1"))
		require.EqualValues(t, 1, n.view().Config.Epoch)
		require.EqualValues(t, 3, n.view().Last)
		require.EqualValues(t, 2, n.view().Commit)
	}
	n.step("n1", replicate(1, 6, EntryID{1, 3}, 2))
	same(t, &Ack{Group: 1, Epoch: 1, Round: 6, Matched: 3}, only[*Ack](n, "n1"))

	r := replicate(2, 7, EntryID{1, 3}, 2, wrote(2, 3, "x", "c"))
	r.Config = config(2, "n1", "n2")
	n.step("n1", r)
	same(t, &Ack{Group: 1, Epoch: 2, Round: 7, Matched: 4, Committed: 2}, only[*Ack](n, "n1"))
}

// Rule R1, the primary's side: a replica that says it does not know the epoch
// gets the config, and one that says it knows a higher ends the tenure.
func TestPrimaryHearsOfAnotherEpoch(t *testing.T) {
	n := serving(t, config(1, "n1", "n2", "n3"))
	n.step("m", config(2, "n1", "n2", "n3"))
	n.answer("n2", "n3")
	n.step("c1", put(2, 1, 1, "x", "a"))
	r := only[*Replicate](n, "n2")
	require.Nil(t, r.Config)
	n.step("n2", &Nack{Group: 1, Epoch: 1, Round: r.Round})
	r = only[*Replicate](n, "n2")
	require.Equal(t, config(2, "n1", "n2", "n3"), r.Config)
	same(t, []Entry{wrote(2, 1, "x", "a")}, r.Entries)

	n.step("n3", &Nack{Group: 1, Epoch: 3, Round: r.Round, Config: config(3, "n2", "n3")})
	require.False(t, n.view().Primary)
	same(t, &Reply{Group: 1, Req: 2, Status: StatusNotPrimary, Epoch: 3, Config: config(3, "n2", "n3")}, only[*Reply](n, "c1"))
}

// Rule R1: a node never forgets the highest epoch of any group it was in, also
// after leaving it and across a restart. Else a config that was long on its way
// would make it serve what the group has left behind.
func TestANodeThatLeftRemembersTheEpoch(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		n := serving(t, config(1, "n1", "n2", "n3"), durable)
		n.step("m", config(2, "n2", "n3"))
		if restarts {
			n.crash(0)
			n.restart().registered()
		}
		n.step("m", config(1, "n1", "n2", "n3"))
		require.False(t, n.view().Primary)
		require.EqualValues(t, 2, n.view().Config.Epoch)
		require.Empty(t, sent[*Replicate](n, "n2"))
		n.step("c1", get(7, "x"))
		same(t, &Reply{Group: 1, Req: 7, Status: StatusNotPrimary, Epoch: 2, Config: config(2, "n2", "n3")}, only[*Reply](n, "c1"))

		n.step("m", &Ping{Nonce: 1, Boot: 1})
		same(t, []GroupEpoch{{Group: 1, Epoch: 2}}, only[*Pong](n, "m").Groups)
	}
}

// Rule R1: a primary that is removed stops at once. Nobody who waits is told a
// result, each is sent on to the config that ended it, and no heartbeat keeps the
// others from following it.
func TestARemovedPrimaryStopsActing(t *testing.T) {
	n := serving(t, config(1, "n1", "n2", "n3"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("c2", get(3, "x"))
	late := latest[*Replicate](n, "n2")
	sent[*Replicate](n, "n3")
	current := config(2, "n2", "n3")
	n.step("m", current)
	same(t, &Reply{Group: 1, Req: 2, Status: StatusNotPrimary, Epoch: 2, Config: current}, only[*Reply](n, "c1"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusNotPrimary, Epoch: 2, Config: current}, only[*Reply](n, "c2"))

	for _, m := range []string{"n2", "n3"} {
		n.step(m, &Ack{Group: 1, Epoch: 1, Round: late.Round, Matched: 2})
	}
	n.tick(10 * time.Second)
	require.EqualValues(t, 1, n.view().Commit, "nothing more is committed by it")
	require.Empty(t, sent[*Replicate](n, "n2"))
	require.Empty(t, sent[*Suspect](n, "m"))
	n.step("c1", put(4, 1, 1, "x", "a"))
	same(t, &Reply{Group: 1, Req: 4, Status: StatusNotPrimary, Epoch: 2, Config: current}, only[*Reply](n, "c1"))
}

// A primary that is removed while it reconciles sends those on that wait for it.
func TestARemovedPrimarySendsOnWhatIsParked(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"))
	n.step("m", config(2, "n2", "n3"))
	n.step("c1", put(9, 1, 2, "x", "b"))
	require.Empty(t, sent[*Reply](n, "c1"))
	n.step("m", config(3, "n3"))
	same(t, &Reply{Group: 1, Req: 9, Status: StatusNotPrimary, Epoch: 3, Config: config(3, "n3")}, only[*Reply](n, "c1"))
}

// Rule R1: a replica that is removed acks nothing more. An ack would count for a
// group that has gone on without it. Nor does a member follow anyone but its
// primary.
func TestARemovedReplicaStopsAcking(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"))
	n.step("m", config(2, "n1", "n3"))
	n.step("n1", replicate(2, 5, EntryID{1, 3}, 3, wrote(2, 3, "x", "c")))
	require.Empty(t, sent[*Ack](n, "n1"))
	require.EqualValues(t, 3, n.view().Last, "and takes in nothing more")

	n = heir(t, config(1, "n1", "n2", "n3"))
	n.step("n3", replicate(1, 5, EntryID{1, 3}, 3, wrote(1, 3, "x", "c")))
	require.Empty(t, sent[*Ack](n, "n3"))
	require.EqualValues(t, 3, n.view().Last)
}

// Rule R11: a restarted primary does not know what it had promised, so it serves
// only in an epoch above the one it had persisted. Until then it does not even
// name a config: that one says that it is the primary.
func TestARestartedPrimaryServesInALaterEpochOnly(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"), durable)
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.answer("n2")
	sent[*Reply](n, "c1")
	n.crash(0)
	n.restart().registered()

	n.step("m", config(1, "n1", "n2")) // repeated
	n.tick(time.Second)
	require.False(t, n.view().Primary)
	require.Empty(t, sent[*Replicate](n, "n2"))
	n.step("c1", get(3, "x"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusNotPrimary, Epoch: 1}, only[*Reply](n, "c1"))
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: 9, Matched: 2})
	require.Zero(t, n.view().Commit)

	n.step("m", config(2, "n1", "n2"))
	n.step("c1", get(4, "x"))
	require.Empty(t, sent[*Reply](n, "c1"), "and then it reconciles as any new primary does")
	n.answer("n2")
	n.answer("n2")
	same(t, &Reply{Group: 1, Req: 4, Status: StatusOK, Epoch: 2, Version: 2, Value: "a"}, only[*Reply](n, "c1"))
}

// Rule "one start after the other": an epoch in which the node is the primary can begin while
// the manager knows an earlier start of it. What this one acknowledged then would be lost to
// a copy of its data that registers first.
func TestAPrimaryServesInNoStartThatIsNotRegistered(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"), durable)
	n.crash(0)
	n.restart()
	n.step("m", config(2, "n1"))
	require.Equal(t, Epoch(1), n.view().Config.Epoch)
	n.step("c1", put(2, 1, 1, "x", "a"))
	require.Equal(t, StatusNotPrimary, only[*Reply](n, "c1").Status)
	n.registered()
	n.step("m", config(3, "n1"))
	n.step("c1", get(3, "x"))
	require.Equal(t, StatusNotFound, only[*Reply](n, "c1").Status)
}

// Rule R11: a durable replica that restarts keeps its place, in the same epoch,
// and acks on. What it had applied is applied again once the primary tells the
// commit point, and not before.
func TestARestartedReplicaKeepsItsPlace(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), durable)
	n.crash(0)
	n.restart().registered()
	require.Equal(t, config(1, "n1", "n2", "n3"), n.view().Config)
	same(t, map[string]Versioned{"x": {"a", 2}}, n.values())

	n.step("n1", replicate(1, 2, EntryID{1, 3}, 2, wrote(1, 3, "x", "c")))
	same(t, &Ack{Group: 1, Epoch: 1, Round: 2, Matched: 4}, only[*Ack](n, "n1"))
	same(t, map[string]Versioned{"x": {"a", 2}}, n.values())
	n.step("n1", replicate(1, 3, EntryID{1, 4}, 4))
	same(t, map[string]Versioned{"x": {"c", 4}}, n.values())

	n.step("m", config(2, "n1", "n2", "n3"))
	n.step("n1", replicate(1, 4, EntryID{1, 4}, 4))
	require.NotNil(t, only[*Nack](n, "n1").Config, "the fence stands as before")
}

// A replica knows after a restart what was committed, as that became durable with the
// entries that told it, or by itself where no more came.
func TestARestartedReplicaKnowsWhatIsCommitted(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2", "n3"), durable)
	n.held = true
	n.step("n1", replicate(1, 1, EntryID{}, 0, opened(1), wrote(1, 1, "x", "a")))
	n.step("n1", replicate(1, 2, EntryID{1, 2}, 2, wrote(1, 2, "x", "b")))
	batches := n.gate.Pending()
	n.step("n1", replicate(1, 3, EntryID{1, 3}, 3))
	require.Equal(t, batches+1, n.gate.Pending(), "nothing else came with it")
	n.step("n1", replicate(1, 4, EntryID{1, 3}, 3))
	require.Equal(t, batches+1, n.gate.Pending(), "it says nothing new")
	n.sync()
	n.held = false
	n.crash(0)
	n.restart().registered()
	require.EqualValues(t, 3, n.view().Commit)
	same(t, map[string]Versioned{"x": {"b", 3}}, n.values())

	first := replicate(2, 1, EntryID{1, 3}, 2)
	first.Config = config(2, "n1", "n2", "n3")
	n.step("n1", first)
	same(t, &Ack{Group: 1, Epoch: 2, Round: 1, Matched: 3, Committed: 3}, latest[*Ack](n, "n1"))
}

// A disk loses what it had made durable, and its node becomes the primary. A member knows
// more to be committed. So the node does not serve, takes nothing back from anybody, and
// tells the manager until there is another primary.
func TestAPrimaryThatLostWhatItAckedResigns(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), durable)
	n.step("m", config(2, "n2", "n3"))
	n.step("c2", get(1, "x"))
	n.step("c2", put(2, 1, 3, "x", "c"))
	r := only[*Replicate](n, "n3")
	n.step("n3", &Ack{Group: 1, Epoch: 2, Round: r.Round, Matched: 3, Committed: 9})
	n.step("n3", &Ack{Group: 1, Epoch: 2, Round: r.Round, Matched: 3})
	require.Len(t, n.happened(EventLacks), 1)
	require.Empty(t, n.happened(EventServing))
	resigns := &Suspect{Group: 1, Epoch: 2, Node: peerOf("n2").ID}
	same(t, resigns, only[*Suspect](n, "m"))
	n.tick(n.storage().opt.AckTimeout)
	same(t, resigns, only[*Suspect](n, "m"))
	require.Empty(t, sent[*Reply](n, "c2"))
	require.EqualValues(t, 3, n.view().Last)

	n.step("m", config(3, "n3"))
	require.Len(t, sent[*Reply](n, "c2"), 2, "they look for the other")
	n.tick(time.Minute)
	require.Empty(t, sent[*Suspect](n, "m"))
}

// Who knows nothing of a group says so, so that the one who asks looks it up
// again; and no config makes it a member of a group that it was never in.
func TestNodeThatKnowsNothingOfTheGroup(t *testing.T) {
	n := newStorageAt(t, "n9").registered()
	n.step("m", config(3, "n1", "n2"))
	require.Zero(t, n.storage().Groups())
	n.step("c1", get(1, "x"))
	same(t, &Reply{Group: 1, Req: 1, Status: StatusNotPrimary}, only[*Reply](n, "c1"))
	n.step("n1", replicate(3, 8, EntryID{}, 0, opened(3)))
	same(t, &Nack{Group: 1, Round: 8}, only[*Nack](n, "n1"))
	require.Zero(t, n.storage().Groups())
}
