package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of a node that comes back to a group of which it still holds something
// (rule R10).

// chunk is the chunk of that number of an attempt, in a join that began in epoch 3 with n1
// as the primary.
func chunk(attempt, number uint64) *Chunk {
	return &Chunk{Group: 1, Epoch: 3, Start: 3, Tenure: 3, Attempt: attempt, Number: number}
}

// held is the answer to attempt 1 of that join.
func held(at EntryID) *ChunkAck {
	return &ChunkAck{Group: 1, Epoch: 3, Start: 3, Tenure: 3, Attempt: 1, Held: at}
}

// Rule R10: a node that joins again keeps what it knows to be committed, and no more:
// durably before it says so, and also when it never heard that it had left.
func TestAJoiningNodeKeepsWhatItKnowsToBeCommitted(t *testing.T) {
	for name, told := range map[string]bool{"that it left": true, "only that it joins": false} {
		t.Run(name, func(t *testing.T) {
			n := heir(t, config(1, "n1", "n2"), durable)
			if told {
				n.step("m", config(2, "n1"))
				require.EqualValues(t, 3, n.view().Last, "a node that left keeps what it has")
			}
			n.held = true
			n.step("m", joined(3, 3, "n2", "n1"))
			require.EqualValues(t, 2, n.view().Last, "nobody knows whether seq 3 was committed")
			n.step("n1", chunk(1, 0))
			require.Empty(t, sent[*ChunkAck](n, "n1"), "seq 3 is cut off durably first")
			n.sync()
			same(t, held(EntryID{1, 2}), only[*ChunkAck](n, "n1"))
			require.Empty(t, sent[*Ack](n, "n1"), "it has acked nothing yet")

			n.step("n1", replicate(3, 9, EntryID{1, 2}, 3, wrote(3, 2, "x", "c")))
			n.sync()
			same(t, &Ack{Group: 1, Epoch: 3, Round: 9, Matched: 3}, only[*Ack](n, "n1"))
			same(t, map[string]Versioned{"x": {"c", 3}}, n.values())
			n.crash(0)
			n.restart()
			require.EqualValues(t, 3, n.view().Last)
		})
	}
}

// Rule R10: when its primary begins a snapshot all the same, the node discards what it
// held, durably, before it answers.
func TestASnapshotReplacesWhatWasHeld(t *testing.T) {
	n := heir(t, config(1, "n1", "n2"), durable)
	n.step("m", joined(3, 3, "n2", "n1"))
	n.step("n1", chunk(1, 0))
	only[*ChunkAck](n, "n1")
	n.held = true
	c := *snapshotOf(t, 5)[0]
	c.Epoch, c.Start, c.Tenure, c.Attempt = 3, 3, 3, 2
	n.step("n1", &c)
	require.Len(t, n.values(), 2)
	require.NotContains(t, n.values(), "x")
	require.Empty(t, sent[*ChunkAck](n, "n1"))
	n.sync()
	require.EqualValues(t, 1, only[*ChunkAck](n, "n1").Next)
	n.step("n1", chunk(1, 0))
	require.Empty(t, sent[*ChunkAck](n, "n1"), "a chunk of the first attempt, which comes late")
	n.crash(0)
	n.restart()
	require.Empty(t, n.values())
	require.Zero(t, n.view().Last)
}

// Rule R10: a chunk of the first attempt comes late or again, after the node has acked the
// log behind what it held. It takes nothing back; not after a restart either.
func TestALateChunkTakesNothingBackOfWhatWasHeld(t *testing.T) {
	n := heir(t, config(1, "n1", "n2"), durable)
	n.step("m", joined(3, 3, "n2", "n1"))
	for _, number := range []uint64{1, 0} {
		n.step("n1", chunk(1, number))
		same(t, held(EntryID{1, 2}), only[*ChunkAck](n, "n1"))
	}
	n.step("n1", replicate(3, 9, EntryID{1, 2}, 2, wrote(3, 2, "x", "c")))
	only[*Ack](n, "n1")
	for range 2 {
		n.step("n1", chunk(1, 0))
		require.EqualValues(t, 3, n.view().Last, "it acked this")
		n.crash(0)
		n.restart()
		n.registered()
	}
}

// Rule R10: a snapshot of nothing is complete, too. What was acked behind it, and is not known
// to be committed, stays when a chunk of a successor's first attempt comes.
func TestALateChunkTakesNothingBackBehindAnEmptySnapshot(t *testing.T) {
	p := following(t, "n1", config(1, "n1"))
	p.step("m", joined(2, 2, "n3", "n1"))
	n := following(t, "n3", joined(2, 2, "n3", "n1", "n2"), durable)
	for _, c := range p.ackChunks("n3") {
		n.step("n1", c)
	}
	n.step("n1", replicate(2, 9, EntryID{}, 0, opened(2)))
	require.EqualValues(t, 1, latest[*Ack](n, "n1").Matched)
	n.step("m", joined(2, 3, "n3", "n2"))
	n.step("n2", &Chunk{Group: 1, Epoch: 3, Start: 2, Tenure: 3, Attempt: 1})
	require.EqualValues(t, 1, n.view().Last, "it acked this")
	require.True(t, latest[*ChunkAck](n, "n2").Refused)
}

// Rule R10: half a snapshot is no prefix of the group's history. Who has that begins with
// nothing, in the same join or in another.
func TestHalfASnapshotIsNotKept(t *testing.T) {
	for name, next := range map[string]*Config{"left": config(3, "n1"), "another join": joined(3, 3, "n3", "n1")} {
		t.Run(name, func(t *testing.T) {
			n := following(t, "n3", joined(2, 2, "n3", "n1"), durable)
			n.step("n1", snapshotOf(t, 5)[0])
			require.NotEmpty(t, n.values())
			n.step("m", next)
			require.Empty(t, n.values())
			n.crash(0)
			n.restart()
			require.Empty(t, n.values())
		})
	}
}

// Rule R10: a primary dies in the middle of a join. To its successor the joining node
// says what it holds by then: a whole snapshot need not be sent twice.
func TestASuccessorGoesOnFromTheSnapshotOfItsPredecessor(t *testing.T) {
	n := following(t, "n3", joined(2, 2, "n3", "n1", "n2"), durable)
	chunks := snapshotOf(t, 5)
	for _, c := range chunks {
		n.step("n1", c)
	}
	last := chunks[len(chunks)-1].At
	n.step("n1", replicate(2, 9, last, last.Seq, opened(1)))
	sent[*ChunkAck](n, "n1")
	n.step("m", joined(2, 3, "n3", "n2"))
	n.step("n2", &Chunk{Group: 1, Epoch: 3, Start: 2, Tenure: 3, Attempt: 1})
	same(t, &ChunkAck{Group: 1, Epoch: 3, Start: 2, Tenure: 3, Attempt: 1, Held: last}, only[*ChunkAck](n, "n2"))
	n.step("n2", replicate(3, 1, last, last.Seq+1, wrote(3, 1, "x", "a")))
	same(t, &Ack{Group: 1, Epoch: 3, Round: 1, Matched: last.Seq + 1}, only[*Ack](n, "n2"))
	require.EqualValues(t, last.Seq+1, n.view().Last)
}

// Rule R10: a spare keeps what it held of the group that it left last, until it is used
// for another. So what is kept in vain is never more than a member holds.
func TestASpareKeepsOneGroupAtMost(t *testing.T) {
	second := func(epoch Epoch, chain ...string) *Config {
		c := config(epoch, chain...)
		c.Group = 2
		return c
	}
	last := func(n *rig, group int) Seq { return n.storage().Group(group, n.now).Last }
	write := func(n *rig) {
		r := replicate(1, 1, EntryID{}, 1, opened(1))
		r.Group = 2
		n.step("n1", r)
	}
	t.Run("used for another", func(t *testing.T) {
		n := heir(t, config(1, "n1", "n2"), durable)
		n.step("m", config(2, "n1"))
		require.EqualValues(t, 3, last(n, 0))
		n.step("m", second(1, "n1", "n2"))
		require.Zero(t, last(n, 0))
		n.crash(0)
		n.restart()
		require.Zero(t, last(n, 0), "durably")
	})
	t.Run("used for another before it hears that it left", func(t *testing.T) {
		n := heir(t, config(1, "n1", "n2"), durable)
		n.step("m", second(1, "n1", "n2"))
		write(n)
		require.EqualValues(t, 3, last(n, 0), "as far as it knows it is a member")
		n.step("m", config(2, "n1"))
		require.Zero(t, last(n, 0))
		require.EqualValues(t, 1, last(n, 1))
	})
	t.Run("left both", func(t *testing.T) {
		n := heir(t, config(1, "n1", "n2"), durable)
		n.step("m", second(1, "n1", "n2"))
		write(n)
		n.step("m", second(2, "n1"))
		n.step("m", config(2, "n1"))
		require.EqualValues(t, 0, last(n, 1))
		require.EqualValues(t, 3, last(n, 0), "this one it left last")
		n.step("m", second(3, "n1", "n3"))
		require.EqualValues(t, 3, last(n, 0), "of the other it holds nothing")
	})
}

// Rule R10: the primary asks with the first chunk. If its log reaches back to what the
// joining node holds, it sends the log from there and no snapshot.
func TestANodeThatComesBackGetsTheLogOnly(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"), durable, chunkItems(1))
	for i := range uint64(4) {
		n.step("c1", put(2+i, 1, 1+i, fmt.Sprint("k", i), "a"))
		n.answer("n2")
	}
	n.step("m", config(2, "n1"))
	n.step("c1", put(6, 1, 5, "k0", "b"))
	n.step("m", joined(3, 3, "n2", "n1"))
	c := only[*Chunk](n, "n2")
	require.False(t, c.Last, "there are more, but this is the question")
	sent[*Replicate](n, "n2")
	n.step("n2", held(EntryID{1, 5}))
	require.Empty(t, sent[*Chunk](n, "n2"))
	r := only[*Replicate](n, "n2")
	require.Equal(t, EntryID{1, 5}, r.Prev)
	same(t, []Entry{wrote(2, 5, "k0", "b")}, r.Entries)
	require.EqualValues(t, 5, n.happened(EventResumed)[0].Seq)

	n.step("n2", held(EntryID{1, 5}))
	n.tick(time.Second)
	require.Empty(t, sent[*Chunk](n, "n2"), "the answer comes twice")
	require.Empty(t, sent[*CaughtUp](n, "m"), "it has acked nothing in this epoch")
	require.Equal(t, 1, n.view().Required)
	n.answer("n2")
	only[*CaughtUp](n, "m")
	require.Equal(t, 2, n.view().Required)
}

// Rule R10: where the log does not do, the primary begins a snapshot.
func TestWhereTheLogDoesNotDoTheNodeGetsASnapshot(t *testing.T) {
	large := strings.Repeat("v", windowBytesMax/2)
	for name, c := range map[string]struct {
		at    EntryID
		value string
		keep  int
	}{
		"the log was trimmed":            {EntryID{1, 2}, "a", 1},
		"the log has another entry":      {EntryID{2, 4}, "a", 64},
		"the log ends before":            {EntryID{1, 40}, "a", 64},
		"more was written than there is": {EntryID{1, 2}, large, 64},
	} {
		t.Run(name, func(t *testing.T) {
			n := serving(t, config(1, "n1"), durable, keep(c.keep))
			for i := range uint64(8) {
				n.step("c1", put(2+i, 1, 1+i, "x", c.value))
			}
			n.step("m", joined(3, 3, "n2", "n1"))
			require.EqualValues(t, 1, only[*Chunk](n, "n2").Attempt)
			n.step("n2", held(c.at))
			chunks := sent[*Chunk](n, "n2")
			require.NotEmpty(t, chunks)
			require.EqualValues(t, 2, chunks[0].Attempt)
			require.Empty(t, sent[*Replicate](n, "n2"))
			require.Equal(t, 1, n.view().Required)
			n.step("n2", held(c.at))
			require.Empty(t, sent[*Replicate](n, "n2"), "the answer comes twice")
			n.step("n2", &ChunkAck{Group: 1, Epoch: 3, Start: 3, Tenure: 3, Attempt: 2, Next: uint64(len(chunks))})
			require.Equal(t, EntryID{1, 9}, only[*Replicate](n, "n2").Prev)
		})
	}
}

// Trimming: what a node that came back lacks was trimmable before it came back. From then on
// it stays, also when the log has more bytes than are kept.
func TestTrimKeepsWhatANodeThatCameBackLacks(t *testing.T) {
	n := serving(t, config(1, "n1"), durable, func(o *StorageOptions) { o.LogKeepBytes = 4096 })
	write := func(i uint64) { n.step("c1", put(1+i, 1, i, fmt.Sprint("k", i), strings.Repeat("v", 1600))) }
	for i := range uint64(5) {
		write(1 + i)
	}
	require.Zero(t, n.view().Base)
	n.step("m", joined(3, 3, "n2", "n1"))
	n.step("n2", held(EntryID{1, 2}))
	write(6)
	require.Zero(t, n.view().Base)
	sent[*Replicate](n, "n2")
	n.tick(100 * time.Millisecond)
	require.Equal(t, EntryID{1, 2}, sent[*Replicate](n, "n2")[0].Prev)
}

// Rule R6: a node that had come back with what it held falls too far behind, and gets a
// snapshot for which it discards that. What it acked before counts no more.
func TestAcksFromBeforeTheSnapshotOfANodeThatCameBackDoNotCount(t *testing.T) {
	n := serving(t, config(1, "n1"), durable, keep(1), func(o *StorageOptions) { o.JoinLagMax = 1 })
	n.step("m", joined(3, 3, "n2", "n1"))
	n.step("n2", held(EntryID{1, 1}))
	r := only[*Replicate](n, "n2")
	sent[*Chunk](n, "n2")
	for i := range uint64(4) {
		n.step("c1", put(2+i, 1, 1+i, "x", "a"))
	}
	old := latest[*Replicate](n, "n2")
	require.Greater(t, old.Round, r.Round)
	require.EqualValues(t, 2, only[*Chunk](n, "n2").Attempt)
	n.step("n2", &Ack{Group: 1, Epoch: 3, Round: old.Round, Matched: 5})
	require.Empty(t, sent[*CaughtUp](n, "m"))
	require.Equal(t, 1, n.view().Required)
}

// converse carries what two nodes say to each other, in the order in which it was sent,
// until both are silent. It returns how many bytes each sent the other.
func converse(a, b *rig) (fromA, fromB int) {
	for silent := 0; silent < 2; {
		bytes := pass(a, b)
		fromA += bytes
		silent++
		if bytes > 0 {
			silent = 0
		}
		a, b, fromA, fromB = b, a, fromB, fromA
	}
	return fromA, fromB
}

func pass(from, to *rig) (bytes int) {
	list := from.mail
	from.mail = nil
	for _, e := range list {
		if e.To.ID == to.self.ID {
			e.Cluster, e.From = rigCluster, from.self
			bytes += len(AppendEnvelope(nil, &e))
			to.stepRaw(e)
		} else {
			from.mail = append(from.mail, e)
		}
	}
	return bytes
}

// A node that restarts and joins again costs what it missed, and one chunk; a new node
// costs all that the group holds.
func TestARejoinCostsWhatWasMissed(t *testing.T) {
	const keys, missed, size = 500, 50, 1 << 10
	value := func(c string) string { return strings.Repeat(c, size) }
	p := following(t, "n1", config(1, "n1", "n2"), durable, keep(200))
	j := following(t, "n2", config(1, "n1", "n2"), durable, keep(200))
	converse(p, j)
	p.step("c1", open(1))
	converse(p, j)
	for i := range uint64(keys) {
		p.step("c1", put(2+i, 1, 1+i, fmt.Sprint("k", i), value("a")))
		converse(p, j)
	}
	j.crash(0)
	p.step("m", config(2, "n1"))
	for i := range uint64(missed) {
		p.step("c1", put(2+keys+i, 1, 1+keys+i, fmt.Sprint("k", i), value("b")))
	}
	p.mail = nil
	j.restart()
	j.registered()
	require.EqualValues(t, keys+1, j.view().Last)
	lacks := p.view().Last - j.view().Commit
	require.Greater(t, lacks, Seq(missed), "it does not know of its last writes whether they were committed")

	p.step("m", joined(3, 3, "n2", "n1"))
	again, _ := converse(p, j)
	only[*CaughtUp](p, "m")
	require.Equal(t, p.values(), j.values())

	p.step("m", config(4, "n1"))
	p.step("m", joined(5, 5, "n3", "n1"))
	n := following(t, "n3", joined(5, 5, "n3", "n1"), durable)
	first, _ := converse(p, n)
	for range 100 { // the rest comes at a rate
		p.tick(10 * time.Millisecond)
		more, _ := converse(p, n)
		first += more
	}
	require.NotEmpty(t, sent[*CaughtUp](p, "m"))
	require.Equal(t, p.values(), n.values())
	t.Logf("bytes from the primary to a node that comes back %d, to a new one %d; %d entries were missed, and %d not known to be committed", again, first, missed, int(lacks)-missed)
	require.Less(t, again, int(lacks)*(size+100)+ChunkBytesMax+4<<10)
	require.Greater(t, first, keys*size)
}

// A node that has been in many groups goes on to be used: it remembers the epoch of each group that
// there can be. One that ignored a config would answer pings and prove itself, and as the primary of
// a new group it would stay that, and never serve.
func TestANodeRemembersEveryGroupThatItWasIn(t *testing.T) {
	n := newStorageAt(t, "n1")
	n.tick(0)
	n.step("m", &Registered{Boot: 1})
	for id := GroupID(1); id <= groupMax; id++ {
		c := config(1, "n1", "n2")
		c.Group = id
		n.step("m", c)
		require.Equal(t, c, n.node.(*Storage).group(id).config)
		if id < groupMax {
			c = config(2, "n2")
			c.Group = id
			n.step("m", c)
		}
		n.mail = nil
	}
	require.EqualValues(t, nodesMax, groupMax, "a group has a member of its own")
	require.Len(t, n.node.(*Storage).groups, GroupsMax)
}
