package core

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of writes and their retries: what is executed once, what a
// client is told, and what is refused before anything is done.

// alone is a primary without members: what it appends is committed at once.
func alone(t *testing.T, options ...func(*StorageOptions)) *rig {
	t.Helper()
	return serving(t, config(1, "n1"), options...)
}

// Rule R12: a client moves on only when it knows the result, so what comes late
// with an older number is a copy from the network. Executed again, or answered,
// it would undo a newer write.
func TestADelayedRetryOverwritesNothing(t *testing.T) {
	n := alone(t)
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("c1", put(3, 1, 2, "x", "b"))
	require.Len(t, sent[*Reply](n, "c1"), 2)

	n.step("c1", put(2, 1, 1, "x", "a"))
	require.Empty(t, sent[*Reply](n, "c1"))
	require.EqualValues(t, 3, n.view().Last)
	same(t, map[string]Versioned{"x": {"b", 3}}, n.values())
}

// The same (rule R12) while the newer write is still pending.
func TestADelayedRetryOverwritesNoPendingWrite(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.answer("n2")
	n.step("c1", put(3, 1, 2, "x", "b"))
	require.Len(t, sent[*Reply](n, "c1"), 1)
	n.step("c1", put(2, 1, 1, "x", "a"))
	require.Empty(t, sent[*Reply](n, "c1"))
	require.EqualValues(t, 3, n.view().Last)
	n.answer("n2")
	same(t, &Reply{Group: 1, Req: 3, Status: StatusOK, Epoch: 1, Version: 3}, only[*Reply](n, "c1"))
}

// Rule R12: sessions are decided at apply, in log order, everywhere. Two
// primaries may each have appended the same operation; a replica that applies
// the log must come to one effect, whatever stands between the two.
func TestAnOperationThatIsInTheLogTwiceHappensOnce(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"))
	swap := Entry{Epoch: 1, Kind: OpCAS, Session: 1, OpSeq: 3, Key: "x", Value: "c", Version: 3}
	n.step("n1", replicate(1, 1, EntryID{}, 7,
		opened(1), wrote(1, 1, "x", "a"), wrote(1, 2, "x", "b"), wrote(1, 1, "x", "a"), wrote(1, 2, "x", "b"), swap, swap))
	same(t, map[string]Versioned{"x": {"c", 6}}, n.values())
	var got []Event
	for _, e := range n.happened(EventApplied) {
		got = append(got, Event{Seq: e.Seq, OpSeq: e.OpSeq, Status: e.Status, Effect: e.Effect})
	}
	same(t, []Event{
		{Seq: 1, Status: StatusOK},
		{Seq: 2, OpSeq: 1, Status: StatusOK, Effect: true},
		{Seq: 3, OpSeq: 2, Status: StatusOK, Effect: true},
		{Seq: 4, OpSeq: 1, Status: StatusUnknown},
		{Seq: 5, OpSeq: 2, Status: StatusOK}, // the result of seq 3 once more
		{Seq: 6, OpSeq: 3, Status: StatusOK, Effect: true},
		{Seq: 7, OpSeq: 3, Status: StatusOK}, // and not Conflict: the first has succeeded
	}, got)
}

// Rule R12: a session that has expired is remembered. A retry of its last write gets the
// stored result; a later write is not executed, and its client is told so for certain.
func TestARetryInAnExpiredSessionDoesNotExecute(t *testing.T) {
	n := alone(t, func(o *StorageOptions) { o.SessionTTL = time.Second })
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.tick(900 * time.Millisecond)
	n.step("c2", open(1))
	n.step("c2", put(2, 3, 1, "x", "b"))
	n.tick(900 * time.Millisecond)
	require.Equal(t, 1, n.view().Sessions, "that of c1 has expired, that of c2 has not")
	same(t, &Entry{Epoch: 1, Kind: OpExpire, Session: 1}, n.storage().Entry(0, 5))

	sent[*Reply](n, "c1")
	n.step("c1", put(2, 1, 1, "x", "a"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c1"))
	n.step("c1", put(3, 1, 2, "x", "c"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusSessionEnded, Epoch: 1, Version: 1}, only[*Reply](n, "c1"))
	require.EqualValues(t, 5, n.view().Last)
	same(t, map[string]Versioned{"x": {"b", 4}}, n.values())
}

// Rule R12: a write behind the end of its session is not executed, also if it was taken in before
// that end was committed. Another primary may have told its client that it never will be.
func TestAWriteBehindTheEndOfItsSessionIsNotExecuted(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"), func(o *StorageOptions) { o.SessionTTL = time.Second })
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.answer("n2")
	sent[*Reply](n, "c1")
	n.tick(1900 * time.Millisecond)
	require.EqualValues(t, 3, n.view().Last, "the expiry is pending")
	n.step("c1", put(3, 1, 2, "x", "b"))
	require.EqualValues(t, 4, n.view().Last)
	require.Empty(t, sent[*Reply](n, "c1"))
	n.answer("n2")
	want := &Reply{Group: 1, Req: 3, Status: StatusSessionEnded, Epoch: 1, Version: 1}
	same(t, want, only[*Reply](n, "c1"))
	n.step("c1", put(3, 1, 2, "x", "b"))
	same(t, want, only[*Reply](n, "c1"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	require.Empty(t, sent[*Reply](n, "c1"), "its client has moved on")
	require.EqualValues(t, 4, n.view().Last)
	same(t, map[string]Versioned{"x": {"a", 2}}, n.values())
}

// Rule R12: what a client is told of a session that has ended holds under every later primary,
// whatever the log of that has behind the end. Else the client, which does the write again in
// another session, would have it executed twice.
func TestThatASessionEndedHoldsUnderALaterPrimary(t *testing.T) {
	log := []Entry{opened(1), wrote(1, 1, "x", "a"), {Epoch: 1, Kind: OpExpire, Session: 1}, wrote(1, 2, "x", "b")}
	n3 := following(t, "n3", config(1, "n1", "n2", "n3"))
	n3.step("n1", replicate(1, 1, EntryID{}, 2, log...))

	n2 := following(t, "n2", config(1, "n1", "n2", "n3"))
	n2.step("n1", replicate(1, 1, EntryID{}, 2, log[:3]...)) // the last did not come
	n2.step("m", config(2, "n2", "n3"))
	n2.answer("n3")
	n2.step("c1", put(3, 1, 2, "x", "b"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusSessionEnded, Epoch: 2, Version: 1}, only[*Reply](n2, "c1"))

	n3.step("m", config(3, "n3"))
	require.EqualValues(t, 4, n3.view().Commit)
	same(t, map[string]Versioned{"x": {"a", 2}}, n3.values())
	n3.step("c1", put(3, 1, 2, "x", "b"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusSessionEnded, Epoch: 3, Version: 1}, only[*Reply](n3, "c1"))
}

// Rule R12: a session is its client's own. Its number is a position of the log, which
// anybody can guess: another client's write in it would end the owner's later writes.
func TestASessionIsItsOwnersAlone(t *testing.T) {
	n := alone(t)
	n.step("c2", put(2, 1, 1<<60, "x", "stolen"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusSessionExpired, Epoch: 1}, only[*Reply](n, "c2"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c1"))
	n.step("c2", put(3, 1, 1, "x", "a"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusSessionExpired, Epoch: 1}, only[*Reply](n, "c2"))

	n.step("c2", &Op{Group: 1, Req: 4, Kind: OpClose})
	same(t, &Reply{Group: 1, Req: 4, Status: StatusOK, Epoch: 1}, only[*Reply](n, "c2"))
	require.EqualValues(t, 2, n.view().Last, "it has nothing to close")
	require.Equal(t, 1, n.view().Sessions)
}

// The same while the owner's write is pending: a retry takes over the answer.
func TestAPendingWriteIsItsOwnersAlone(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("c2", put(2, 1, 1, "x", "a"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusSessionExpired, Epoch: 1}, only[*Reply](n, "c2"))
	n.answer("n2")
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c1"))
}

// Rule R12: short-lived clients that never say that they close must not keep newcomers out: the
// session that was idle longest makes room.
func TestAFullTableDropsTheSessionThatWasIdleLongest(t *testing.T) {
	n := alone(t, func(o *StorageOptions) { o.SessionsMax = 3 })
	n.step("c2", open(1)) // session 2
	n.tick(time.Millisecond)
	n.step("c3", open(1)) // session 3
	n.tick(time.Millisecond)
	n.step("c1", put(2, 1, 1, "x", "a"))
	for i := range 5 {
		n.tick(time.Millisecond)
		n.step("c4", open(uint64(i)+1))
		require.Equal(t, StatusOK, only[*Reply](n, "c4").Status)
		require.Equal(t, 3, n.view().Sessions)
		n.step("c1", put(uint64(i)+3, 1, uint64(i)+2, "x", "b"))
	}
	for _, r := range sent[*Reply](n, "c1") {
		require.Equal(t, StatusOK, r.Status, "the session of c1 was never the one that was idle longest")
	}
	same(t, &Entry{Epoch: 1, Kind: OpExpire, Session: 2}, n.storage().Entry(0, 5))
	same(t, &Entry{Epoch: 1, Kind: OpOpen, Owner: peerOf("c4").ID}, n.storage().Entry(0, 6))

	sent[*Reply](n, "c2")
	n.step("c2", put(9, 2, 1, "y", "b"))
	same(t, &Reply{Group: 1, Req: 9, Status: StatusSessionEnded, Epoch: 1, Version: 2}, only[*Reply](n, "c2"))
	require.NotContains(t, n.values(), "y")
}

// Clients of one name have half of a group's sessions at most: beyond that, one of their own makes
// room. So one name cannot end what others use.
func TestClientsOfOneNameShareHalfOfTheSessions(t *testing.T) {
	n := alone(t, func(o *StorageOptions) { o.SessionsMax, o.SessionsShared = 6, true })
	n.step("c1", put(2, 1, 1, "x", "a"))
	greedy := func(i int) Peer { return Peer{ID: 7<<NameBits | NodeID(i), Addr: "c2"} }
	for i := range 40 {
		n.tick(time.Millisecond)
		n.stepRaw(Envelope{Cluster: rigCluster, From: greedy(i), To: n.self, Body: open(uint64(i) + 1)})
		require.Equal(t, StatusOK, only[*Reply](n, "c2").Status)
		require.LessOrEqual(t, n.view().Sessions, 1+3)
	}
	n.step("c1", put(3, 1, 2, "x", "b"))
	replies := sent[*Reply](n, "c1")
	require.Equal(t, StatusOK, replies[len(replies)-1].Status, "its session was idle longest, and is of another name")
}

// After a promotion nothing is known of who was idle. The results tell who wrote last.
func TestANewPrimaryDropsTheSessionWithTheOldestResult(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"), func(o *StorageOptions) { o.SessionsMax = 2 })
	other := Entry{Epoch: 1, Kind: OpOpen, Owner: peerOf("c2").ID}
	n.step("n1", replicate(1, 1, EntryID{}, 3, opened(1), other, wrote(1, 1, "x", "a")))
	n.step("m", config(2, "n2"))
	n.step("c3", open(1))
	require.Equal(t, StatusOK, only[*Reply](n, "c3").Status)
	same(t, &Entry{Epoch: 2, Kind: OpExpire, Session: 2}, n.storage().Entry(0, 4))
}

// Rule R12: a client that closes ends its sessions, and only its own, also the one that is still
// being opened.
func TestAClientThatClosesEndsItsSessions(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.step("c2", open(1))
	n.step("c1", open(7))
	n.answer("n2")
	n.step("c1", open(8))
	n.step("c1", &Op{Group: 1, Req: 9, Kind: OpClose})
	n.answer("n2")
	require.Equal(t, 1, n.view().Sessions)
	same(t, &Reply{Group: 1, Req: 9, Status: StatusOK, Epoch: 1}, latest[*Reply](n, "c1"))

	n.step("c1", put(10, 1, 1, "x", "a"))
	same(t, &Reply{Group: 1, Req: 10, Status: StatusSessionExpired, Epoch: 1}, latest[*Reply](n, "c1"))
	n.step("c2", put(2, 2, 1, "x", "b"))
	n.answer("n2")
	require.Equal(t, StatusOK, latest[*Reply](n, "c2").Status)
}

// What is remembered of ended sessions is bounded, the same on every member, and travels
// in records and snapshots. Those that never wrote take no room from those that did.
func TestEndedSessionsAreForgottenInTheOrderOfTheirEnd(t *testing.T) {
	var all sessions
	const writer = 1
	all.open(writer, 7)
	all.wrote(all.find(writer), 1, result{StatusOK, 3})
	all.end(all.find(writer), 5)
	for i := range Seq(endedMax + 2) {
		all.open(100+i, 1)
	}
	for i := range Seq(endedMax + 2) { // the oldest session ends last
		all.end(all.find(100+endedMax+1-i), 100_000+i)
	}
	require.Zero(t, all.openSize())
	require.Len(t, all.byID, endedMax+1)
	require.Nil(t, all.find(100+endedMax+1), "it ended first")
	require.Nil(t, all.find(100+endedMax))
	require.NotNil(t, all.find(100))
	require.NotNil(t, all.find(writer))
	all.end(all.find(100), 900_000)
	require.Len(t, all.byID, endedMax+1, "it has ended already")

	copied := new(sessions)
	copied.restore(all.records())
	require.Equal(t, all.records(), copied.records())
	all.touched = nil
	for _, t := range []*sessions{&all, copied} { // and go on alike
		for i := range Seq(3) {
			t.open(200_000+i, 1)
			t.end(t.find(200_000+i), 300_000+i)
		}
		for id := range Seq(endedMax) {
			t.open(400_000+id, 2)
			t.wrote(t.find(400_000+id), 1, result{StatusOK, 500_000 + id})
			t.end(t.find(400_000+id), 600_000+id)
		}
	}
	require.Equal(t, all.records(), copied.records())
	require.Equal(t, all.touched, copied.touched)
	require.Nil(t, all.find(writer))

	all.forget(2)
	require.Zero(t, all.ended[1].size)
	require.False(t, all.owns(2))
	require.True(t, all.owns(1))
}

// Whatever a log says, its sessions fit in a snapshot.
func TestSessionsFitInASnapshot(t *testing.T) {
	var all sessions
	for id := Seq(1); id <= openMax+3; id++ {
		all.open(id, 1)
	}
	require.Equal(t, openMax, all.openSize())
	require.LessOrEqual(t, openMax+2*endedMax, SessionsMax)
	require.NotZero(t, all.find(3).ended)
	require.Zero(t, all.find(4).ended)
}

// One client that opens sessions without end leaves room for writes.
func TestOpensLeaveRoomForWrites(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"), func(o *StorageOptions) { o.PendingMax, o.SessionsMax = 8, 8 })
	for i := range uint64(20) {
		n.step("c2", open(i+1))
	}
	require.Len(t, sent[*Reply](n, "c2"), 16, "overloaded")
	n.step("c1", put(2, 1, 1, "x", "a"))
	require.Empty(t, sent[*Reply](n, "c1"))
	n.answer("n2")
	require.Equal(t, StatusOK, only[*Reply](n, "c1").Status)
}

// A client that closes ends its sessions also while the primary is at its limits, or the
// chain is too short for writes.
func TestACloseIsTakenInBeyondTheLimits(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"), func(o *StorageOptions) { o.PendingMax = 2 })
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("c1", put(3, 1, 2, "x", "b"))
	for range 3 {
		n.step("c1", &Op{Group: 1, Req: 9, Kind: OpClose})
	}
	require.Equal(t, 3, n.view().Pending, "once")
	n.answer("n2")
	n.answer("n2")
	require.Zero(t, n.view().Sessions)
	require.Equal(t, StatusOK, latest[*Reply](n, "c1").Status)
}

// A member that restarts knows the ended sessions that the others know, and none that
// they have forgotten.
func TestEndedSessionsOutliveARestart(t *testing.T) {
	n := newStorageAt(t, "n1", durable, func(o *StorageOptions) { o.SessionsMax, o.LogKeep = 2, 1 }).registered()
	n.step("m", config(1, "n1"))
	n.settle()
	for i, c := range []string{"c1", "c2", "c3", "c4"} {
		n.tick(time.Millisecond)
		n.step(c, open(1))
		n.settle()
		if i == 1 {
			n.step(c, put(2, 2, 1, "x", "a"))
			n.settle()
		}
	}
	n.step("c4", &Op{Group: 1, Req: 5, Kind: OpClose})
	n.settle()
	c3 := n.storage().groups[0].state.sessions.idlest().id
	for i := range uint64(4) { // until the log is trimmed
		n.step("c3", put(i+2, c3, i+1, "y", "b"))
		n.settle()
	}
	before := n.storage().groups[0].state.sessions.records()
	require.Len(t, before, 3, "two that ended and that of c3")
	n.crash(1 << 20)
	n.restart()
	n.step("m", config(2, "n1"))
	n.settle()
	same(t, before, n.storage().groups[0].state.sessions.records())
	require.Equal(t, 1, n.storage().groups[0].state.sessions.openSize())
}

// Rule R12: nothing is left of the sessions of a client that has closed, so what comes
// behind its end in the log cannot be told from a retry, and is not executed.
func TestNothingIsExecutedInASessionThatIsForgotten(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"))
	end := Entry{Epoch: 1, Kind: OpClose, Owner: peerOf("c1").ID}
	n.step("n1", replicate(1, 1, EntryID{}, 4, opened(1), wrote(1, 1, "x", "a"), end, wrote(1, 1, "x", "a")))
	same(t, map[string]Versioned{"x": {"a", 2}}, n.values())
	require.Equal(t, StatusSessionExpired, n.happened(EventApplied)[3].Status)
}

// Rule R12: a retry of a pending operation waits for it, and there is one result.
func TestARetryOfAPendingOperationIsNotAppendedAgain(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	first := latest[*Replicate](n, "n2")
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("c1", put(8, 1, 1, "x", "a"))
	require.Len(t, n.happened(EventRetried), 2)
	require.EqualValues(t, 2, n.view().Last)
	require.Equal(t, 1, n.view().Pending)
	require.Empty(t, sent[*Reply](n, "c1"), "nothing is known yet")

	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: first.Round, Matched: 2})
	same(t, &Reply{Group: 1, Req: 8, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c1"))
}

// Rule R12: a retry of the last operation gets the result that is stored, which
// is that of its own time and not of now.
func TestARetryOfAFinishedOperationIsNotExecutedAgain(t *testing.T) {
	n := alone(t)
	n.step("c1", cas(2, 1, 1, "x", 0, "a"))
	n.step("c2", open(1))
	n.step("c2", put(2, 3, 1, "x", "b"))
	n.step("c2", cas(3, 3, 2, "x", 2, "c"))
	sent[*Reply](n, "c1")
	sent[*Reply](n, "c2")

	n.step("c1", cas(2, 1, 1, "x", 0, "a"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c1"))
	n.step("c2", cas(3, 3, 2, "x", 2, "c"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusConflict, Epoch: 1, Version: 4}, only[*Reply](n, "c2"))
	require.EqualValues(t, 5, n.view().Last)
	same(t, map[string]Versioned{"x": {"b", 4}}, n.values())
}

// Rule R12: the answer to an open waits for commit. An id that was told earlier
// could be the seq of another client's session after the next promotion.
func TestASessionIsToldOnceItIsCommitted(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.step("c2", open(1))
	first := latest[*Replicate](n, "n2")
	n.step("c2", open(1)) // asked again: not a second session
	require.EqualValues(t, 2, n.view().Last)
	require.Empty(t, sent[*Reply](n, "c2"))

	n.step("c1", put(2, 2, 1, "x", "a")) // nor can anybody use it yet
	same(t, &Reply{Group: 1, Req: 2, Status: StatusSessionExpired, Epoch: 1}, only[*Reply](n, "c1"))

	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: first.Round, Matched: 2})
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c2"))
}

// Rule R12: a session's id is the seq of the entry that opened it, so no id is
// used twice, also after all sessions have expired and a new primary begins.
func TestASessionIDIsNeverReused(t *testing.T) {
	log := []Entry{opened(1), opened(1), {Epoch: 1, Kind: OpExpire, Session: 1}, {Epoch: 1, Kind: OpExpire, Session: 2}}
	n := following(t, "n2", config(1, "n1", "n2"))
	n.step("n1", replicate(1, 1, EntryID{}, 4, log...))
	require.Zero(t, n.view().Sessions)
	n.step("m", config(2, "n2"))
	n.step("c3", open(1))
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 2, Version: 5}, only[*Reply](n, "c3"))
	for id := range Seq(5) {
		n.step("c1", put(2, id, 1, "x", "late"))
		want := &Reply{Group: 1, Req: 2, Status: StatusSessionExpired, Epoch: 2}
		if id == 1 || id == 2 { // they are remembered
			want.Status, want.Version = StatusSessionEnded, id
		}
		same(t, want, only[*Reply](n, "c1"))
	}
	n.step("c3", put(3, 5, 1, "x", "a"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusOK, Epoch: 2, Version: 6}, only[*Reply](n, "c3"))
}

// Rule R12: a conflict is a logged result like any other. A primary that decided
// at admission, before it knows that it still is the primary, would speak of a
// version that the group has left behind; deposed, it knows no result at all.
func TestADeposedPrimaryReportsNoConflict(t *testing.T) {
	for name, op := range map[string]*Op{
		"a conflict":           cas(3, 1, 2, "x", 0, "b"),
		"a match":              cas(3, 1, 2, "x", 2, "b"),
		"a delete of nothing":  {Group: 1, Req: 3, Kind: OpDelete, Session: 1, OpSeq: 2, Key: "y"},
		"a conflict with none": cas(3, 1, 2, "y", 9, "b"),
	} {
		t.Run(name, func(t *testing.T) {
			n := serving(t, config(1, "n1", "n2", "n3"))
			n.step("c1", put(2, 1, 1, "x", "a"))
			n.answer("n2", "n3")
			sent[*Reply](n, "c1")

			n.step("c1", op)
			n.answer("n3")
			require.Empty(t, sent[*Reply](n, "c1"))
			n.step("n2", &Nack{Group: 1, Epoch: 2, Config: config(2, "n2", "n3")})
			same(t, &Reply{Group: 1, Req: 3, Status: StatusNotPrimary, Epoch: 2, Config: config(2, "n2", "n3")}, only[*Reply](n, "c1"))
		})
	}
}

// Rule R4: the minimum chain is checked before anything is appended. What was
// appended is decided by the log alone, whatever becomes of the chain.
func TestTheMinimumChainIsCheckedBeforeAppending(t *testing.T) {
	chain := func(epoch Epoch, members ...string) *Config {
		c := config(epoch, members...)
		c.MinChain = 2
		return c
	}
	n := serving(t, chain(1, "n1", "n2"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("m", chain(2, "n1"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 2, Version: 2}, only[*Reply](n, "c1"))

	n.step("c1", put(2, 1, 1, "x", "a")) // a retry appends nothing
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 2, Version: 2}, only[*Reply](n, "c1"))
	n.step("c1", put(3, 1, 2, "x", "b"))
	same(t, &Reply{Group: 1, Req: 3, Status: StatusUnavailable, Epoch: 2}, only[*Reply](n, "c1"))
	n.step("c2", open(1))
	same(t, &Reply{Group: 1, Req: 1, Status: StatusUnavailable, Epoch: 2}, only[*Reply](n, "c2"))
	require.EqualValues(t, 2, n.view().Last)
	n.step("c1", get(4, "x"))
	same(t, &Reply{Group: 1, Req: 4, Status: StatusOK, Epoch: 2, Version: 2, Value: "a"}, only[*Reply](n, "c1"))
}

// The same for a retry of what is still pending.
func TestARetryOfAPendingOperationPassesTheMinimumChain(t *testing.T) {
	c := config(1, "n1", "n2", "n3")
	c.MinChain = 3
	n := serving(t, c)
	n.step("c1", put(2, 1, 1, "x", "a"))
	c = config(2, "n1", "n2")
	c.MinChain = 3
	n.step("m", c)
	n.step("c1", put(2, 1, 1, "x", "a"))
	require.Empty(t, sent[*Reply](n, "c1"))
	n.answer("n2")
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 2, Version: 2}, only[*Reply](n, "c1"))
}

// A key's version only rises, also across a delete; else a compare-and-swap
// could match a value that came long after the one its client saw.
func TestVersionsRiseOverADelete(t *testing.T) {
	n := alone(t)
	for i, step := range []struct {
		op      *Op
		status  Status
		version Seq
	}{
		{cas(0, 0, 0, "x", 0, "a"), StatusOK, 2},
		{cas(0, 0, 0, "x", 0, "again"), StatusConflict, 2},
		{&Op{Kind: OpDelete, Key: "x"}, StatusOK, 4},
		{&Op{Kind: OpDelete, Key: "x"}, StatusNotFound, 0},
		{cas(0, 0, 0, "x", 2, "stale"), StatusConflict, 0},
		{cas(0, 0, 0, "x", 4, "stale"), StatusConflict, 0}, // the delete left no value with its version
		{cas(0, 0, 0, "x", 0, "b"), StatusOK, 8},
		{cas(0, 0, 0, "x", 2, "stale"), StatusConflict, 8},
		{cas(0, 0, 0, "x", 8, "c"), StatusOK, 10},
		{put(0, 0, 0, "x", "d"), StatusOK, 11},
	} {
		op := *step.op
		op.Group, op.Req, op.Session, op.OpSeq = 1, uint64(10+i), 1, uint64(1+i)
		n.step("c1", &op)
		same(t, &Reply{Group: 1, Req: op.Req, Status: step.status, Epoch: 1, Version: step.version}, only[*Reply](n, "c1"))
	}
	n.step("c1", get(50, "x"))
	same(t, &Reply{Group: 1, Req: 50, Status: StatusOK, Epoch: 1, Version: 11, Value: "d"}, only[*Reply](n, "c1"))
}

// Over a limit the answer is a clear status, nothing is done, and when there is
// room again the same request is taken in.
func TestLimits(t *testing.T) {
	half := strings.Repeat("v", ValueBytesMax/2)
	sessions := func(n *rig) { // 2 and 3
		n.step("c4", open(2))
		n.answer("n2")
		n.step("c4", open(3))
		n.answer("n2")
		sent[*Reply](n, "c4")
	}
	for name, c := range map[string]struct {
		limit  func(*StorageOptions)
		before func(n *rig)
		fill   []*Op
		over   *Op
	}{
		"pending entries": {
			limit:  func(o *StorageOptions) { o.PendingMax = 2 },
			before: sessions,
			fill:   []*Op{put(5, 2, 1, "x", "a"), put(6, 3, 1, "y", "b")},
			over:   put(7, 3, 2, "z", "c"),
		},
		"pending entries, by an open": {
			limit:  func(o *StorageOptions) { o.PendingMax = 2 },
			before: sessions,
			fill:   []*Op{put(5, 2, 1, "x", "a"), put(6, 3, 1, "y", "b")},
			over:   open(7),
		},
		"pending bytes": {
			limit:  func(o *StorageOptions) { o.PendingBytesMax = ValueBytesMax + KeyBytesMax },
			before: sessions,
			fill:   []*Op{put(5, 2, 1, "x", half), put(6, 3, 1, "y", half)},
			over:   put(7, 3, 2, "z", strings.Repeat("v", KeyBytesMax)),
		},
		"reads": {
			limit: func(o *StorageOptions) { o.ReadsMax = 2 },
			fill:  []*Op{get(5, "x"), get(6, "x")},
			over:  get(7, "x"),
		},
		"sessions, all about to be opened or to end": {
			limit: func(o *StorageOptions) { o.SessionsMax = 2 },
			fill:  []*Op{open(5), open(6)},
			over:  open(7),
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := serving(t, config(1, "n1", "n2"), c.limit)
			if c.before != nil {
				c.before(n)
			}
			for _, op := range c.fill {
				n.step("c4", op)
			}
			require.Empty(t, sent[*Reply](n, "c4"), "all of them are taken in")
			last, pending := n.view().Last, n.view().Pending
			n.step("c4", c.over)
			same(t, &Reply{Group: 1, Req: 7, Status: StatusOverloaded, Epoch: 1}, only[*Reply](n, "c4"))
			require.Equal(t, last, n.view().Last)
			require.Equal(t, pending, n.view().Pending)

			n.answer("n2")
			require.Len(t, sent[*Reply](n, "c4"), len(c.fill))
			n.step("c4", c.over)
			require.Empty(t, sent[*Reply](n, "c4"))
			n.answer("n2")
			require.Len(t, sent[*Reply](n, "c4"), 1)
		})
	}
}

func TestParkedLimit(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), func(o *StorageOptions) { o.ParkedMax = 2 })
	n.step("m", config(2, "n2", "n3"))
	n.step("c2", get(5, "x"))
	n.step("c2", put(6, 1, 3, "x", "c"))
	require.Empty(t, sent[*Reply](n, "c2"))
	n.step("c2", get(7, "x"))
	same(t, &Reply{Group: 1, Req: 7, Status: StatusOverloaded, Epoch: 2}, only[*Reply](n, "c2"))
	n.answer("n3")
	n.answer("n3")
	require.Len(t, sent[*Reply](n, "c2"), 2)
}

func TestTooLarge(t *testing.T) {
	n := alone(t)
	for name, op := range map[string]*Op{
		"no key":                 put(5, 1, 1, "", "a"),
		"key":                    put(5, 1, 1, strings.Repeat("k", KeyBytesMax+1), "a"),
		"value":                  put(5, 1, 1, "x", strings.Repeat("v", ValueBytesMax+1)),
		"value to compare with":  cas(5, 1, 1, "x", 0, strings.Repeat("v", ValueBytesMax+1)),
		"key of a get":           get(5, strings.Repeat("k", KeyBytesMax+1)),
		"no key in a get":        get(5, ""),
		"no key to delete":       {Group: 1, Req: 5, Kind: OpDelete, Session: 1, OpSeq: 1},
		"value, without session": put(5, 9, 1, "x", strings.Repeat("v", ValueBytesMax+1)),
	} {
		n.step("c1", op)
		same(t, &Reply{Group: 1, Req: 5, Status: StatusTooLarge, Epoch: 1}, only[*Reply](n, "c1"))
		require.EqualValues(t, 1, n.view().Last, name)
	}
	n.step("c1", put(6, 1, 1, strings.Repeat("k", KeyBytesMax), strings.Repeat("v", ValueBytesMax)))
	same(t, &Reply{Group: 1, Req: 6, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c1"))
}
