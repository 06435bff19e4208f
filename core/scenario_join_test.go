package core

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of how a spare joins a group and becomes a member (rule R10).

// joined is a configuration of group 1 that a node joins since epoch start.
func joined(start, epoch Epoch, joiner string, chain ...string) *Config {
	c := config(epoch, chain...)
	c.Joining, c.Start = peerOf(joiner), start
	return c
}

// chunkItems is an option of a storage node.
func chunkItems(n int) func(*StorageOptions) {
	return func(o *StorageOptions) { o.ChunkItems = n }
}

// keep is an option of a storage node.
func keep(entries int) func(*StorageOptions) {
	return func(o *StorageOptions) { o.LogKeep = entries }
}

// ackChunks acks, as the joining node, all chunks that were sent to it, and
// returns them.
func (n *rig) ackChunks(joiner string) []*Chunk {
	n.t.Helper()
	list := sent[*Chunk](n, joiner)
	for _, c := range list {
		n.step(joiner, &ChunkAck{Group: 1, Epoch: c.Epoch, Start: c.Start, Tenure: c.Tenure, Attempt: c.Attempt, Next: c.Number + 1})
	}
	return list
}

// feeding is n1, alone in its group, with x=a at seq 2, whose joining node n3
// has the snapshot and gets the log.
func feeding(t *testing.T, options ...func(*StorageOptions)) *rig {
	t.Helper()
	n := serving(t, config(1, "n1"), options...)
	n.step("c1", put(2, 1, 1, "x", "a"))
	only[*Reply](n, "c1")
	n.step("m", joined(2, 2, "n3", "n1"))
	chunks := n.ackChunks("n3")
	require.Len(t, chunks, 1)
	require.True(t, chunks[0].Last)
	require.Equal(t, EntryID{1, 2}, chunks[0].At)
	return n
}

// Rule R6: a joining node acked entries of the log, and then its primary began
// anew with a snapshot for which the node discarded them. Its old acks, which
// come late, say nothing about what it holds now.
func TestAcksFromBeforeTheSnapshotDoNotCount(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"), func(o *StorageOptions) { o.JoinLagMax = 1 })
	n.step("m", joined(2, 2, "n3", "n1", "n2"))
	require.Len(t, n.ackChunks("n3"), 1)
	for i := range uint64(3) {
		n.step("c1", put(i+2, 1, i+1, "x", fmt.Sprint("v", i)))
	}
	old := latest[*Replicate](n, "n3") // of the log to seq 4: the ack of it is late
	require.EqualValues(t, 4, old.Prev.Seq+Seq(len(old.Entries)))
	n.step("n2", &Ack{Group: 1, Epoch: 2, Round: old.Round, Matched: 3})
	require.EqualValues(t, 3, n.view().Commit)
	chunks := n.ackChunks("n3")
	require.Len(t, chunks, 1, "it is too far behind, so it gets another snapshot")
	require.EqualValues(t, 2, chunks[0].Attempt)
	require.EqualValues(t, 3, chunks[0].At.Seq, "seq 4 is not in it, and was discarded")
	n.answer("n2")
	require.EqualValues(t, 4, n.view().Commit)

	n.step("n3", &Ack{Group: 1, Epoch: 2, Round: old.Round, Matched: 4})
	require.Empty(t, sent[*CaughtUp](n, "m"), "an ack of a round from before the snapshot")
	n.answer("n3")
	require.Len(t, sent[*CaughtUp](n, "m"), 1)
}

// Rules R3 and R2: from the moment at which the primary asks for a joining node
// to be made a member, no write is acknowledged without it, also when the epoch
// changes for another reason meanwhile, and it asks again until it is heard.
func TestAPendingAddIsNotForgotten(t *testing.T) {
	n := feeding(t)
	n.answer("n3")
	same(t, &CaughtUp{Group: 1, Epoch: 2, Start: 2, Node: peerOf("n3").ID}, only[*CaughtUp](n, "m"))
	n.step("c1", put(3, 1, 2, "x", "b"))
	require.Empty(t, sent[*Reply](n, "c1"))
	n.step("m", joined(2, 3, "n3", "n1"))
	require.Empty(t, sent[*Reply](n, "c1"), "the join goes on in the next epoch")
	n.tick(100 * time.Millisecond)
	require.EqualValues(t, 3, latest[*CaughtUp](n, "m").Epoch)
	n.answer("n3")
	require.EqualValues(t, 3, only[*Reply](n, "c1").Version)

	n.step("c1", put(4, 1, 3, "x", "c"))
	require.Empty(t, sent[*Reply](n, "c1"))
	n.step("m", config(4, "n1")) // the join was given up: nobody else can have been promoted
	require.EqualValues(t, 4, only[*Reply](n, "c1").Version)
	n.step("n3", &Ack{Group: 1, Epoch: 4, Round: 1, Matched: 4})
	require.Equal(t, 1, n.view().Required, "a node that is no longer to join counts for nothing")
}

// Rule R2: a restarted primary has forgotten that it had a node proposed. It does
// not go on with that join as if nothing had been, but begins anew in the epoch
// that its restart brings.
func TestARestartedPrimaryBeginsTheJoinAnew(t *testing.T) {
	n := feeding(t, durable)
	n.answer("n3")
	only[*CaughtUp](n, "m")
	n.crash(0)
	n.restart()
	n.registered()
	n.step("m", joined(2, 3, "n3", "n1"))
	n.tick(time.Millisecond)
	require.Empty(t, sent[*CaughtUp](n, "m"))
	n.step("n3", &Ack{Group: 1, Epoch: 3, Round: 1, Matched: 2})
	require.Empty(t, sent[*CaughtUp](n, "m"), "an ack that no round of this tenure asked for")
	chunks := n.ackChunks("n3")
	require.NotEmpty(t, chunks)
	require.EqualValues(t, 3, chunks[0].Tenure)
	n.answer("n3")
	require.EqualValues(t, 3, only[*CaughtUp](n, "m").Epoch)
}

// Rule R10: what a joining node answers that makes no sense changes nothing.
func TestNonsenseFromAJoiningNodeIsDropped(t *testing.T) {
	n := serving(t, config(1, "n1"))
	n.step("m", joined(2, 2, "n3", "n1"))
	c := only[*Chunk](n, "n3")
	good := ChunkAck{Group: 1, Epoch: 2, Start: 2, Tenure: 2, Attempt: 1, Next: 1}
	require.Equal(t, good.Attempt, c.Attempt)
	for name, change := range map[string]func(a *ChunkAck){
		"more than was sent": func(a *ChunkAck) { a.Next = 2 },
		"an absurd offset":   func(a *ChunkAck) { a.Next = 1 << 63 },
		"another join":       func(a *ChunkAck) { a.Start = 1 },
		"another tenure":     func(a *ChunkAck) { a.Tenure = 3 },
		"another attempt":    func(a *ChunkAck) { a.Attempt = 2 },
		"an epoch to come":   func(a *ChunkAck) { a.Epoch = 3 },
		"another group":      func(a *ChunkAck) { a.Group = 2 },
	} {
		a := good
		change(&a)
		n.step("n3", &a)
		require.False(t, n.storage().groups[0].tenure.transfer.installed, name)
	}
	n.step("n2", &good)
	require.False(t, n.storage().groups[0].tenure.transfer.installed, "another node")
	n.step("n3", &good)
	require.True(t, n.storage().groups[0].tenure.transfer.installed)
}

// snapshotOf is n1's snapshot for n3, in chunks of two keys.
func snapshotOf(t *testing.T, keys int) []*Chunk {
	t.Helper()
	n := serving(t, config(1, "n1"), chunkItems(2))
	for i := range keys {
		n.step("c1", put(uint64(i+2), 1, uint64(i+1), fmt.Sprint("k", i), fmt.Sprint("v", i)))
	}
	n.step("m", joined(2, 2, "n3", "n1"))
	var list []*Chunk
	for {
		more := n.ackChunks("n3")
		if len(more) == 0 {
			return list
		}
		list = append(list, more...)
	}
}

func renewed(c *Chunk, attempt uint64) *Chunk {
	again := *c
	again.Attempt = attempt
	return &again
}

// Rule R10: a chunk of an earlier attempt comes late, in the middle of the next
// one. It is of another moment, and its keys may have changed since.
func TestAChunkOfAnEarlierAttemptIsDropped(t *testing.T) {
	chunks := snapshotOf(t, 5)
	require.Greater(t, len(chunks), 2)
	n := following(t, "n3", joined(2, 2, "n3", "n1"))
	n.step("n1", renewed(chunks[0], 2))
	require.EqualValues(t, 1, only[*ChunkAck](n, "n1").Next)
	before := n.values()
	n.step("n1", chunks[0])
	n.step("n1", chunks[1])
	require.Empty(t, sent[*ChunkAck](n, "n1"))
	require.Equal(t, before, n.values())
	for _, c := range chunks[1:] {
		n.step("n1", renewed(c, 2))
	}
	require.EqualValues(t, len(chunks), latest[*ChunkAck](n, "n1").Next)
	require.Len(t, n.values(), 5)
	require.EqualValues(t, chunks[len(chunks)-1].At.Seq, n.view().Commit)
}

// Rule R10: a later attempt begins with nothing of the one before it, also on the
// disk.
func TestTheNextAttemptBeginsWithNothing(t *testing.T) {
	n := following(t, "n3", joined(2, 2, "n3", "n1"), durable)
	n.step("n1", snapshotOf(t, 5)[0])
	require.Len(t, n.values(), 2)
	n.step("n1", renewed(snapshotOf(t, 0)[0], 2))
	require.Empty(t, n.values())
	require.EqualValues(t, 1, n.view().Commit)
	n.crash(0)
	n.restart()
	require.EqualValues(t, 1, n.view().Commit, "the second is complete")
	require.Empty(t, n.values(), "of the first nothing is left")
}

// Rule R10: a chunk whose content is not what its checksum says is refused, and
// the attempt with it: the primary begins anew.
func TestAChunkWithAWrongChecksumIsRefused(t *testing.T) {
	chunks := snapshotOf(t, 5)
	n := following(t, "n3", joined(2, 2, "n3", "n1"))
	n.step("n1", chunks[0])
	only[*ChunkAck](n, "n1")
	damaged := *chunks[1]
	damaged.Items = slices.Clone(damaged.Items)
	damaged.Items[0].Value = "another"
	n.step("n1", &damaged)
	refusal := only[*ChunkAck](n, "n1")
	require.True(t, refusal.Refused)
	require.EqualValues(t, 1, refusal.Next)
	require.Len(t, n.happened(EventChunkRefused), 1)
	require.NotContains(t, n.values(), damaged.Items[0].Key)

	p := serving(t, config(1, "n1"))
	p.step("m", joined(2, 2, "n3", "n1"))
	only[*Chunk](p, "n3")
	p.step("n3", &ChunkAck{Group: 1, Epoch: 2, Start: 2, Tenure: 2, Attempt: 1, Refused: true})
	require.EqualValues(t, 2, only[*Chunk](p, "n3").Attempt)
}

// Durable before sent: a joining node that restarts in the middle of a snapshot
// has none of it, says so, and does not follow the log.
func TestHalfASnapshotCountsForNothing(t *testing.T) {
	chunks := snapshotOf(t, 5)
	n := following(t, "n3", joined(2, 2, "n3", "n1"), durable)
	n.step("n1", chunks[0])
	n.sync()
	n.crash(0)
	n.restart()
	n.registered()
	require.Empty(t, n.values())
	n.step("n1", chunks[1])
	require.Zero(t, latest[*ChunkAck](n, "n1").Next)
	n.step("n1", replicate(2, 9, EntryID{}, 1, opened(1)))
	for _, a := range sent[*Ack](n, "n1") {
		require.Zero(t, a.Matched)
	}
	require.Empty(t, n.values())
	for _, c := range chunks { // the primary begins anew
		n.step("n1", renewed(c, 2))
	}
	n.crash(0)
	n.restart()
	require.Len(t, n.values(), 5, "all of a snapshot is kept")
}

// Rule R10: a joining node has all of a snapshot, has acked the log after it, and
// restarts. Chunks of that attempt that come late, or of an earlier one, must not
// make it discard what it acked: the primary counts on that for ever.
func TestALateChunkAfterARestartChangesNothing(t *testing.T) {
	chunks := snapshotOf(t, 5)
	last := chunks[len(chunks)-1].At
	n := following(t, "n3", joined(2, 2, "n3", "n1"), durable)
	for _, c := range chunks {
		n.step("n1", renewed(c, 2))
	}
	n.step("n1", replicate(2, 9, last, last.Seq, opened(1)))
	require.Equal(t, last.Seq+1, latest[*Ack](n, "n1").Matched)
	n.crash(0)
	n.restart()
	n.registered()
	for attempt := range uint64(2) {
		for _, c := range chunks {
			n.step("n1", renewed(c, attempt+1))
		}
	}
	require.Len(t, n.values(), 5)
	require.Equal(t, last.Seq+1, n.view().Last, "it acked this")
	require.EqualValues(t, len(chunks), latest[*ChunkAck](n, "n1").Next, "it has all of them")
	n.step("n1", renewed(chunks[0], 3))
	require.Len(t, n.values(), 2, "a later attempt begins anew")
	n.crash(0)
	n.restart()
	require.Empty(t, n.values())
}

// Rule R10: a joining node restarts in the middle of a snapshot, and a chunk of
// that attempt comes again. Nothing that follows can complete it; the primary must
// hear that at once, also when it never heard of the first chunk, and begin anew.
func TestAnAttemptThatARestartLostIsRefused(t *testing.T) {
	chunks := snapshotOf(t, 5)
	for number, c := range chunks {
		n := following(t, "n3", joined(2, 2, "n3", "n1"), durable)
		n.step("n1", chunks[0])
		n.crash(0)
		n.restart()
		n.registered()
		n.step("n1", c)
		require.True(t, latest[*ChunkAck](n, "n1").Refused, "chunk %d", number)
		require.Empty(t, n.values())
	}
}

// Rules R6 and R10: what the primary knows of a joining node is void when it
// joins for the second time: that node may have discarded all of it.
func TestOldAcksOfAJoinerDoNotCountInItsNextJoin(t *testing.T) {
	for name, told := range map[string]bool{"told of the end of the first join": true, "told only of the second": false} {
		t.Run(name, func(t *testing.T) {
			n := feeding(t)
			old := latest[*Replicate](n, "n3")
			if told {
				n.step("m", config(3, "n1"))
			}
			n.step("m", joined(4, 4, "n3", "n1"))
			c := only[*Chunk](n, "n3")
			require.EqualValues(t, 4, c.Start)
			require.EqualValues(t, 4, c.Tenure, "an attempt of its own")
			for _, epoch := range []Epoch{2, 4} {
				n.step("n3", &Ack{Group: 1, Epoch: epoch, Round: old.Round, Matched: 2})
				n.step("n3", &ChunkAck{Group: 1, Epoch: epoch, Start: 2, Tenure: 2, Attempt: 1, Next: 1})
			}
			n.tick(100 * time.Millisecond)
			require.Empty(t, sent[*CaughtUp](n, "m"))
			require.Empty(t, sent[*Replicate](n, "n3"), "the log follows the snapshot")
			require.Equal(t, 1, n.view().Required)
			n.step("n3", &ChunkAck{Group: 1, Epoch: 4, Start: 4, Tenure: 4, Attempt: 1, Next: 1})
			n.answer("n3")
			same(t, &CaughtUp{Group: 1, Epoch: 4, Start: 4, Node: peerOf("n3").ID}, only[*CaughtUp](n, "m"))
		})
	}
}

// Rules R3 and R2: the only replica is evicted while a joining node is proposed
// as a member. The primary must not need nobody in between: the manager may have
// added the node already.
func TestAJoinThatRacesWithAnEvictionIsRequired(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.step("m", joined(2, 2, "n3", "n1", "n2"))
	n.answer("n2")
	require.Len(t, n.ackChunks("n3"), 1)
	n.answer("n3")
	require.EqualValues(t, 2, only[*CaughtUp](n, "m").Epoch)
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.step("m", joined(2, 3, "n3", "n1"))
	require.Equal(t, 2, n.view().Required)
	require.Empty(t, sent[*Reply](n, "c1"), "n2 is gone, but n3 is required")
	n.tick(100 * time.Millisecond)
	require.EqualValues(t, 3, latest[*CaughtUp](n, "m").Epoch, "what it said in epoch 2 counts for nothing in this")
	n.step("m", config(4, "n1", "n3"))
	require.Empty(t, sent[*Reply](n, "c1"))
	n.answer("n3")
	require.EqualValues(t, 2, only[*Reply](n, "c1").Version)
}

// model is what a joining node has of the chunks of an attempt.
func model(chunks []*Chunk) map[string]Versioned {
	m := map[string]Versioned{}
	for _, c := range chunks {
		for _, it := range c.Items {
			if it.Version == 0 {
				delete(m, it.Key)
			} else {
				m[it.Key] = Versioned{Data: it.Value, Version: it.Version}
			}
		}
	}
	return m
}

// Rule R10: whatever is put and deleted between two chunks of a snapshot, the whole
// of them is the state at exactly the position that the last one names.
func TestASnapshotHasWhatIsWrittenMeanwhile(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		n := serving(t, config(1, "n1"), chunkItems(1+random.IntN(3)))
		opSeq, states := uint64(0), map[Seq]map[string]Versioned{}
		write := func() {
			opSeq++
			key := fmt.Sprint("k", random.IntN(12))
			op := put(opSeq+1, 1, opSeq, key, fmt.Sprint("v", opSeq))
			if random.IntN(3) == 0 {
				op.Kind, op.Value = OpDelete, ""
			}
			n.step("c1", op)
			states[n.view().Commit] = n.values()
		}
		for range 20 {
			write()
		}
		n.step("m", joined(2, 2, "n3", "n1"))
		var chunks []*Chunk
		for steps := 0; len(chunks) == 0 || !chunks[len(chunks)-1].Last; steps++ {
			if random.IntN(3) == 0 || steps < 30 {
				write()
			}
			if list := sent[*Chunk](n, "n3"); len(list) > 0 {
				chunks = append(chunks, list...)
				c := list[len(list)-1]
				n.step("n3", &ChunkAck{Group: 1, Epoch: 2, Start: 2, Tenure: 2, Attempt: 1, Next: c.Number + 1})
			}
			n.tick(time.Millisecond)
			require.Less(t, steps, 1000, "the snapshot ends though writes go on")
		}
		last := chunks[len(chunks)-1]
		require.Equal(t, states[last.At.Seq], model(chunks), "seed %d", seed)
		require.Len(t, last.Sessions, 1)
		require.LessOrEqual(t, last.Sessions[0].Last, opSeq)

		j := following(t, "n3", joined(2, 2, "n3", "n1"))
		for _, c := range chunks {
			j.step("n1", c)
		}
		require.Equal(t, states[last.At.Seq], j.values())
		require.Equal(t, last.Sessions, j.storage().groups[0].state.sessions.records())
	}
}

// Rule R10: the last chunk says of which position the whole is the state, and is
// not made before the log was looked through up to there, which takes several
// chunks when the writes were many.
func TestASnapshotIsNeverAheadOfItsPosition(t *testing.T) {
	n := serving(t, config(1, "n1"), chunkItems(2))
	opSeq := uint64(0)
	write := func(key string) {
		opSeq++
		n.step("c1", put(opSeq+1, 1, opSeq, key, fmt.Sprint("v", opSeq)))
		n.mail, n.past = nil, nil
	}
	for i := range 2 * chunksMin {
		write(fmt.Sprint("k", i))
	}
	n.step("m", joined(2, 2, "n3", "n1"))
	n.tick(time.Millisecond)
	chunks := sent[*Chunk](n, "n3")
	require.Len(t, chunks, chunksMin, "all keys, but no room to say that this is all")
	for range chunkLooksMax + 100 {
		write("k0")
	}
	n.step("n3", &ChunkAck{Group: 1, Epoch: 2, Start: 2, Tenure: 2, Attempt: 1, Next: chunksMin})
	for !chunks[len(chunks)-1].Last {
		n.tick(10 * time.Millisecond)
		more := n.ackChunks("n3")
		require.NotEmpty(t, more)
		chunks = append(chunks, more...)
	}
	require.Equal(t, n.view().Commit, chunks[len(chunks)-1].At.Seq)
	require.Equal(t, n.values(), model(chunks))
}

// Trimming: an entry goes only when every member holds it, and a joining node's
// primary keeps what that needs to follow its snapshot. What a member lacks it
// gets from the log: a member never discards.
func TestTrimKeepsWhatAMemberLacks(t *testing.T) {
	n := serving(t, config(1, "n1", "n2", "n3"), keep(1))
	for i := range uint64(20) {
		n.step("c1", put(i+2, 1, i+1, "x", fmt.Sprint("v", i)))
	}
	r := latest[*Replicate](n, "n2")
	n.answer("n3")
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 9})
	require.EqualValues(t, 9, n.view().Commit)
	require.EqualValues(t, 8, n.view().Base, "all but one entry that n2 holds")
	sent[*Replicate](n, "n2")
	n.tick(100 * time.Millisecond)
	r = sent[*Replicate](n, "n2")[0]
	require.EqualValues(t, 9, r.Prev.Seq, "n2 goes on from where it is")
	require.LessOrEqual(t, r.Trim, Seq(9))
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 21})
	require.EqualValues(t, 21, n.view().Commit)
	require.EqualValues(t, 20, n.view().Base)

	n.step("m", joined(2, 2, "n4", "n1", "n2", "n3"))
	n.answer("n2", "n3")
	require.Len(t, n.ackChunks("n4"), 1)
	for i := range uint64(20) {
		n.step("c1", put(i+22, 1, i+21, "x", fmt.Sprint("w", i)))
		n.answer("n2", "n3")
	}
	require.EqualValues(t, 41, n.view().Commit)
	require.EqualValues(t, 20, n.view().Base, "the joining node has the snapshot to seq 21 and nothing more yet")
	n.answer("n4")
	only[*CaughtUp](n, "m")
	require.EqualValues(t, 40, n.view().Base)
}

// Trimming: a replica trims what the primary says that all hold, but nothing
// beyond its own commit point; in durable mode the values that the entries stand
// for are durable before these are gone.
func TestAReplicaTrimsOnlyWhatItHasApplied(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"), durable, keep(1))
	entries := []Entry{opened(1)}
	for i := range uint64(9) {
		entries = append(entries, wrote(1, i+1, fmt.Sprint("k", i%4), fmt.Sprint("v", i)))
	}
	m := replicate(1, 1, EntryID{}, 6, entries...)
	m.Trim = 10
	n.step("n1", m)
	require.EqualValues(t, saveSteps-1, n.view().Base, "no more was made durable as values so far")
	n.step("n1", m)
	require.EqualValues(t, 5, n.view().Base)
	require.EqualValues(t, 10, n.view().Last)
	before := n.values()
	require.Len(t, before, 4)
	n.crash(0)
	n.restart()
	require.Equal(t, before, n.values())
	require.EqualValues(t, 5, n.view().Base)
	require.EqualValues(t, 10, n.view().Last)
}

// Trimming: without a disk, too, a replica keeps what it does not know to be committed, though all
// hold it. That may be much where a new epoch's primary has shown it a short prefix only.
func TestAReplicaKeepsWhatItHasNotApplied(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"), keep(1))
	entries := []Entry{opened(1)}
	for i := range uint64(9) {
		entries = append(entries, wrote(1, i+1, fmt.Sprint("k", i%4), fmt.Sprint("v", i)))
	}
	n.step("n1", replicate(1, 1, EntryID{}, 0, entries...))
	n.step("m", config(2, "n1", "n2"))
	m := replicate(2, 2, EntryID{}, 10, entries[:6]...)
	m.Trim = 10
	n.step("n1", m)
	require.EqualValues(t, 6, n.view().Commit)
	require.EqualValues(t, 5, n.view().Base)
	require.EqualValues(t, 10, n.view().Last)
}

// A transfer copies nothing: whatever the group's size, it needs memory for the
// chunks under way, at most four of 16 KiB and a key each, and for what the log
// got since the last one.
func TestTransferOfAMillionKeys(t *testing.T) {
	const keys = 1_000_000
	n := serving(t, config(1, "n1"))
	g := n.storage().groups[0]
	value := strings.Repeat("v", 32)
	for i := range keys {
		g.state.values.set(fmt.Sprintf("key%07d", i), value, 1)
	}
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before, most := heap(), 0
	n.step("m", joined(2, 2, "n3", "n1"))
	received, last := 0, false
	for steps := 0; !last; steps++ {
		require.LessOrEqual(t, len(g.tenure.transfer.window), chunksMax)
		if steps%100 == 0 {
			most = max(most, heap()-before)
		}
		list := n.ackChunks("n3")
		for _, c := range list {
			received += len(c.Items)
			last = c.Last
		}
		n.past = nil
		n.tick(10 * time.Millisecond)
	}
	require.Equal(t, keys, received)
	require.Less(t, most, 4<<20, "bytes of heap for a transfer of %d bytes", g.state.values.bytes)
	t.Logf("%d keys, %d bytes: %d bytes of heap at most", keys, g.state.values.bytes, most)
}
