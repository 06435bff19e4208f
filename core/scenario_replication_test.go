package core

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// The scenarios of replication: each is a failure that has bitten real systems,
// named after it, and the rule of the protocol that stands against it.

// same compares what the node said with what it had to say.
func same[T any](t *testing.T, want, got T) {
	t.Helper()
	require.Empty(t, cmp.Diff(want, got), "- what must be, + what is")
}

func open(req uint64) *Op { return &Op{Group: 1, Req: req, Kind: OpOpen} }

func get(req uint64, key string) *Op { return &Op{Group: 1, Req: req, Kind: OpGet, Key: key} }

func put(req uint64, session Seq, opSeq uint64, key, value string) *Op {
	return &Op{Group: 1, Req: req, Kind: OpPut, Session: session, OpSeq: opSeq, Key: key, Value: value}
}

func cas(req uint64, session Seq, opSeq uint64, key string, version Seq, value string) *Op {
	return &Op{Group: 1, Req: req, Kind: OpCAS, Session: session, OpSeq: opSeq, Key: key, Value: value, Version: version}
}

// opened and wrote are entries of a group's log; the session is that of c1, wrote is of
// session 1.
func opened(epoch Epoch) Entry { return Entry{Epoch: epoch, Kind: OpOpen, Owner: peerOf("c1").ID} }

func wrote(epoch Epoch, opSeq uint64, key, value string) Entry {
	return Entry{Epoch: epoch, Kind: OpPut, Session: 1, OpSeq: opSeq, Key: key, Value: value}
}

func replicate(epoch Epoch, round uint64, prev EntryID, commit Seq, entries ...Entry) *Replicate {
	return &Replicate{Group: 1, Epoch: epoch, Round: round, Prev: prev, Entries: entries, Commit: commit}
}

// following is a node that has adopted the config.
func following(t *testing.T, name string, c *Config, options ...func(*StorageOptions)) *rig {
	t.Helper()
	n := newStorageAt(t, name, options...).registered()
	n.step("m", c)
	return n
}

// answer acks, as each of the members, all that was replicated to it.
func (n *rig) answer(members ...string) {
	n.t.Helper()
	for _, m := range members {
		r := latest[*Replicate](n, m)
		n.step(m, &Ack{Group: r.Group, Epoch: r.Epoch, Round: r.Round, Matched: r.Prev.Seq + Seq(len(r.Entries))})
	}
}

// serving is n1 as the primary of the config's chain, reconciled, with session 1
// of c1 committed.
func serving(t *testing.T, c *Config, options ...func(*StorageOptions)) *rig {
	t.Helper()
	n := following(t, "n1", c, options...)
	var members []string
	for _, p := range c.Chain[1:] {
		members = append(members, p.Addr)
	}
	n.answer(members...)
	n.step("c1", open(1))
	n.answer(members...)
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: c.Epoch, Version: 1}, only[*Reply](n, "c1"))
	require.True(t, n.view().Serving)
	n.past = nil
	return n
}

// heir is n2, a replica of n1, with x=a committed at seq 2 and x=b, at seq 3,
// known to be in no more logs than n1's and its own.
func heir(t *testing.T, c *Config, options ...func(*StorageOptions)) *rig {
	t.Helper()
	n := following(t, "n2", c, options...)
	n.step("n1", replicate(1, 1, EntryID{}, 2, opened(1), wrote(1, 1, "x", "a"), wrote(1, 2, "x", "b")))
	same(t, &Ack{Group: 1, Epoch: 1, Round: 1, Matched: 3}, only[*Ack](n, "n1"))
	require.EqualValues(t, 2, n.view().Commit)
	n.past = nil
	return n
}

// Rule R3: a member stops being required only when a config without it has been
// adopted. A primary that went on without a slow replica could acknowledge a
// write which that replica, promoted by a manager who knows nothing of it, lacks.
func TestAPrimaryNeverDropsASlowReplicaByItself(t *testing.T) {
	n := serving(t, config(1, "n1", "n2", "n3"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.answer("n2")
	n.tick(320 * time.Millisecond)
	same(t, &Suspect{Group: 1, Epoch: 1, Node: peerOf("n3").ID}, only[*Suspect](n, "m"))

	n.tick(time.Minute)
	require.Empty(t, sent[*Reply](n, "c1"), "n3 is still required, however often it was reported")
	require.Equal(t, 3, n.view().Required)
	require.EqualValues(t, 1, n.view().Commit)

	n.step("m", config(2, "n1", "n2"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 2, Version: 2}, only[*Reply](n, "c1"))
}

// Rule R4: a write is acknowledged when every required member has it, the
// primary durably too; the ack of a majority, or of a stranger, is not enough.
func TestAWriteIsAcknowledgedOnceEveryMemberHasIt(t *testing.T) {
	for slow, fast := range map[string]string{"n2": "n3", "n3": "n2"} {
		n := serving(t, config(1, "n1", "n2", "n3"))
		n.step("c1", put(2, 1, 1, "x", "a"))
		r := only[*Replicate](n, slow)
		want := replicate(1, 3, EntryID{1, 1}, 1, wrote(1, 1, "x", "a"))
		want.Trim = 1 // that everybody has
		same(t, want, r)
		n.answer(fast)
		n.step("n4", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 2})
		n.step(slow, &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 1}) // it has the log only up to there
		require.Empty(t, sent[*Reply](n, "c1"))
		n.step(slow, &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 7}) // nonsense: there is no such entry
		require.Empty(t, sent[*Reply](n, "c1"))
		n.step(slow, &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 2})
		same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 1, Version: 2}, only[*Reply](n, "c1"))
	}
}

// Rules R5 and R7: what the dead primary sent to one replica only must give way
// on that replica to what the new primary has there, and was never visible.
func TestADivergentSuffixIsCutAfterAPromotion(t *testing.T) {
	n := following(t, "n3", config(1, "n1", "n2", "n3"))
	n.step("n1", replicate(1, 1, EntryID{}, 2, opened(1), wrote(1, 1, "x", "a"), wrote(1, 2, "x", "lost"), wrote(1, 3, "x", "lost too")))
	sent[*Ack](n, "n1")

	n.step("m", config(2, "n2", "n3"))
	n.step("n2", replicate(2, 1, EntryID{1, 2}, 2, wrote(2, 2, "x", "b")))
	same(t, []Event{{Kind: EventTruncated, Group: 1, Epoch: 2, Seq: 3}}, n.happened(EventTruncated))
	same(t, &Ack{Group: 1, Epoch: 2, Round: 1, Matched: 3}, only[*Ack](n, "n2"))
	require.EqualValues(t, 3, n.view().Last, "of the old suffix nothing is left")
	same(t, map[string]Versioned{"x": {"a", 2}}, n.values())

	n.step("n2", replicate(2, 2, EntryID{2, 3}, 3))
	same(t, map[string]Versioned{"x": {"b", 3}}, n.values())
}

// Rule R7: a Replicate whose Prev stands at the same seq but in another epoch
// does not fit, and what comes after it must not be taken for a match.
func TestPrevOfAnotherEpochIsNoMatch(t *testing.T) {
	n := following(t, "n3", config(1, "n1", "n2", "n3"))
	n.step("n1", replicate(1, 1, EntryID{}, 2, opened(1), wrote(1, 1, "x", "a"), wrote(1, 2, "x", "lost"), wrote(1, 3, "x", "lost too")))
	sent[*Ack](n, "n1")
	n.step("m", config(2, "n2", "n3"))

	n.step("n2", replicate(2, 1, EntryID{2, 3}, 2, wrote(2, 3, "x", "c")))
	same(t, &Nack{Group: 1, Epoch: 2, Round: 1, Last: 2}, only[*Nack](n, "n2"))
	require.Empty(t, sent[*Ack](n, "n2"))
	n.step("n2", replicate(2, 2, EntryID{2, 9}, 2))
	same(t, &Nack{Group: 1, Epoch: 2, Round: 2, Last: 4}, only[*Nack](n, "n2"))

	n.step("n2", replicate(2, 3, EntryID{1, 2}, 2, wrote(2, 2, "x", "b"), wrote(2, 3, "x", "c")))
	same(t, &Ack{Group: 1, Epoch: 2, Round: 3, Matched: 4}, only[*Ack](n, "n2"))
}

// Rule R7: an Ack speaks of the prefix that is known to match, and not of the
// log's end, which may be a suffix that the primary does not have.
func TestAReplicaAcksNoMoreThanIsVerified(t *testing.T) {
	n := following(t, "n3", config(1, "n1", "n2", "n3"))
	n.step("n1", replicate(1, 1, EntryID{}, 1, opened(1), wrote(1, 1, "x", "lost"), wrote(1, 2, "x", "lost too")))
	sent[*Ack](n, "n1")

	n.step("m", config(2, "n2", "n3"))
	n.step("n2", replicate(2, 1, EntryID{1, 1}, 1))
	require.EqualValues(t, 3, n.view().Last)
	same(t, &Ack{Group: 1, Epoch: 2, Round: 1, Matched: 1}, only[*Ack](n, "n2"))

	// Nor may a commit point that is further on make that suffix visible.
	n.step("n2", replicate(2, 2, EntryID{1, 1}, 3))
	same(t, &Ack{Group: 1, Epoch: 2, Round: 2, Matched: 1}, only[*Ack](n, "n2"))
	require.EqualValues(t, 1, n.view().Commit)
	require.Empty(t, n.values())
}

// Rule R7: what was verified in one epoch is not verified in the next, whose
// primary may have another log.
func TestTheVerifiedPrefixEndsWithItsEpoch(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"))
	n.step("m", config(2, "n3", "n2"))
	require.Zero(t, n.view().Verified)
	n.step("n3", replicate(2, 1, EntryID{1, 2}, 3))
	same(t, &Ack{Group: 1, Epoch: 2, Round: 1, Matched: 2}, only[*Ack](n, "n3"))
	require.EqualValues(t, 2, n.view().Commit)
}

// Rule R7: a message that is late and short must not take back what a longer
// one brought: its entries were acked, and may be committed.
func TestALateShortMessageTruncatesNothing(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"))
	long := []Entry{opened(1), wrote(1, 1, "x", "a"), wrote(1, 2, "x", "b")}
	n.step("n1", replicate(1, 2, EntryID{}, 0, long...))
	sent[*Ack](n, "n1")
	for name, late := range map[string]*Replicate{
		"a part of it": replicate(1, 1, EntryID{}, 0, long[:1]...),
		"a heartbeat":  replicate(1, 1, EntryID{1, 1}, 1),
	} {
		n.step("n1", late)
		same(t, &Ack{Group: 1, Epoch: 1, Round: 1, Matched: 3}, only[*Ack](n, "n1"))
		require.EqualValues(t, 3, n.view().Last, name)
		require.Empty(t, n.happened(EventTruncated), name)
	}
}

// Rule R5: a new primary cannot know what of its log the old one acknowledged.
// Until every member holds all of it, nothing is served: a get could miss an
// acknowledged write, or see one that is later lost.
func TestANewPrimaryReconcilesBeforeItServes(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"))
	n.step("m", config(2, "n2", "n3"))
	same(t, &Replicate{Group: 1, Epoch: 2, Round: 1, Config: config(2, "n2", "n3"), Prev: EntryID{1, 2}, Commit: 2,
		Entries: []Entry{wrote(1, 2, "x", "b")}}, only[*Replicate](n, "n3"))

	n.step("c2", get(1, "x"))
	n.step("c1", put(9, 1, 2, "x", "b")) // the client of x=b tries again
	require.Len(t, n.happened(EventParked), 2)
	n.step("n3", &Ack{Group: 1, Epoch: 2, Round: 1, Matched: 2})
	n.tick(30 * time.Millisecond)
	require.False(t, n.view().Serving, "n3 has not got all that is inherited")
	require.Empty(t, sent[*Reply](n, "c2"))
	require.Empty(t, sent[*Reply](n, "c1"))

	n.step("n3", &Ack{Group: 1, Epoch: 2, Round: 1, Matched: 3})
	same(t, []Event{{Kind: EventServing, Group: 1, Epoch: 2, Seq: 3}}, n.happened(EventServing))
	same(t, &Reply{Group: 1, Req: 9, Status: StatusOK, Epoch: 2, Version: 3}, only[*Reply](n, "c1"))
	require.EqualValues(t, 3, n.view().Last, "the retry was answered and not executed")
	n.answer("n3")
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 2, Version: 3, Value: "b"}, only[*Reply](n, "c2"))
}

// Rule R5: each member acks explicitly in the new epoch. That none has answered
// yet, or that there is nothing to inherit, is no reason to begin.
func TestReconciliationWaitsForEveryAck(t *testing.T) {
	n := following(t, "n1", config(1, "n1", "n2", "n3"))
	require.False(t, n.view().Serving)
	n.step("c1", open(1))
	n.answer("n2")
	n.step("n4", &Ack{Group: 1, Epoch: 1, Round: 1})
	n.tick(1500 * time.Millisecond)
	require.False(t, n.view().Serving, "a missing ack is not an ack of nothing")
	require.Zero(t, n.view().Last)
	require.Contains(t, sent[*Suspect](n, "m"), &Suspect{Group: 1, Epoch: 1, Node: peerOf("n3").ID})

	n.answer("n3")
	require.True(t, n.view().Serving)
	require.Empty(t, sent[*Reply](n, "c1"), "the session is appended only now")
	n.answer("n2", "n3")
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 1, Version: 1}, only[*Reply](n, "c1"))
}

// Rule R6: the same primary goes on in a higher epoch with what it knows of the
// members that stay; only the one that left is waited for no more.
func TestAPrimaryKeepsTheAcksOfThoseThatStay(t *testing.T) {
	n := serving(t, config(1, "n1", "n2", "n3"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.answer("n2")
	sent[*Replicate](n, "n3")

	n.step("m", config(2, "n1", "n2"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 2, Version: 2}, only[*Reply](n, "c1"))
	require.True(t, n.view().Serving)
	require.Empty(t, n.happened(EventServing), "it never stopped")
	require.Empty(t, sent[*Replicate](n, "n3"))
	r := only[*Replicate](n, "n2")
	same(t, &Replicate{Group: 1, Epoch: 2, Round: 4, Config: config(2, "n1", "n2"), Prev: EntryID{1, 2}, Commit: 1, Trim: 1}, r)

	require.Equal(t, 2, n.view().Required)
}

// Rule R6, the other half: acks of the old epoch that are still under way say
// nothing in the new one, where the member may have to answer otherwise.
func TestAnAckOfAnOlderEpochDoesNotCount(t *testing.T) {
	n := serving(t, config(1, "n1", "n2", "n3"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("c2", get(1, "x"))
	old := latest[*Replicate](n, "n2")
	n.step("m", config(2, "n1", "n2"))

	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: old.Round, Matched: 2})
	require.Empty(t, sent[*Reply](n, "c1"))
	require.Empty(t, sent[*Reply](n, "c2"))
	require.EqualValues(t, 1, n.view().Commit)
	require.NotNil(t, latest[*Replicate](n, "n2").Config, "it is not known to have heard of the epoch")

	n.tick(40 * time.Millisecond)
	n.answer("n2")
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: 2, Version: 2}, only[*Reply](n, "c1"))
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 2, Version: 2, Value: "a"}, only[*Reply](n, "c2"))
	n.step("c2", get(2, "x"))
	require.Nil(t, only[*Replicate](n, "n2").Config)
}

// Every group message names its group: a node can be known in several, and an
// Ack of one says nothing about the log of another.
func TestAnAckCountsInItsOwnGroupOnly(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	other := *config(1, "n1", "n2")
	other.Group = 2
	n.step("m", &other)
	n.step("n2", &Ack{Group: 2, Epoch: 1, Round: 1})
	sent[*Replicate](n, "n2")

	n.step("c1", put(2, 1, 1, "x", "a"))
	r := only[*Replicate](n, "n2")
	n.step("c2", &Op{Group: 2, Req: 1, Kind: OpOpen})
	n.step("c2", &Op{Group: 2, Req: 2, Kind: OpOpen})
	for round := range uint64(4) {
		n.step("n2", &Ack{Group: 2, Epoch: 1, Round: round, Matched: 2})
	}
	require.Len(t, sent[*Reply](n, "c2"), 2, "in its own group it counts")
	require.Empty(t, sent[*Reply](n, "c1"))
	require.EqualValues(t, 1, n.view().Commit)
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 2})
	require.Len(t, sent[*Reply](n, "c1"), 1)
}
