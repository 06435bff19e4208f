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
	require.Equal(t, Mark{1, 2}, chunks[0].At)
	return n
}

// Rule R6: a joining node acked entries of the log, and then its primary began
// anew with a snapshot for which the node discarded them. Its old acks, which
// come late, say nothing about what it holds now.
func TestAcksFromBeforeTheSnapshotAreCounted(t *testing.T) {
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
func TestPendingAddIsForgotten(t *testing.T) {
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
func TestRestartedPrimaryForgetsThePendingAdd(t *testing.T) {
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

// What a joining node answers that makes no sense changes nothing.
func TestJoiningNodeSendsNonsense(t *testing.T) {
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
func TestChunkOfAnEarlierAttempt(t *testing.T) {
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

// A later attempt begins with nothing of the one before it.
func TestNextAttemptBuildsOnTheOneBefore(t *testing.T) {
	n := following(t, "n3", joined(2, 2, "n3", "n1"))
	n.step("n1", snapshotOf(t, 5)[0])
	require.Len(t, n.values(), 2)
	n.step("n1", renewed(snapshotOf(t, 0)[0], 2))
	require.Empty(t, n.values())
	require.EqualValues(t, 1, n.view().Commit)
}

// A chunk whose content is not what its checksum says is refused, and the
// attempt with it: the primary begins anew.
func TestChunkWithAWrongChecksum(t *testing.T) {
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
func TestHalfASnapshotCounts(t *testing.T) {
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
	n.step("n1", replicate(2, 9, Mark{}, 1, opened(1)))
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

// Rule R10: what a node held from an earlier time in the group is discarded,
// durably, before it answers as a joining node.
func TestJoinerIsCancelledWipedAndJoinedAgain(t *testing.T) {
	n := heir(t, config(1, "n1", "n2"), durable)
	require.Len(t, n.values(), 1)
	n.step("m", config(2, "n1"))
	require.Empty(t, n.values(), "a node that left gives up its data")
	n.held = true
	n.step("m", joined(3, 3, "n2", "n1"))
	n.step("n1", replicate(3, 9, Mark{1, 3}, 3))
	for _, a := range sent[*Ack](n, "n1") {
		require.Zero(t, a.Matched, "it has nothing yet")
	}
	n.step("n1", &Chunk{Group: 1, Epoch: 3, Start: 3, Tenure: 3, Attempt: 1, Number: 4})
	require.Empty(t, sent[*ChunkAck](n, "n1"))
	n.sync()
	require.Zero(t, only[*ChunkAck](n, "n1").Next)
	n.crash(0)
	n.restart()
	require.Empty(t, n.values())
	require.Zero(t, n.view().Last)
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

// Snapshot races with writes: whatever is put and deleted between two chunks, the
// whole of them is the state at exactly the position that the last one names.
func TestSnapshotRacesWithWrites(t *testing.T) {
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
		require.Equal(t, last.Sessions, j.storage().groups[0].state.records())
	}
}

// Rules R2 and R10: the Directory takes one join at a time, for a spare only, and
// makes a member of nobody but the node that joins, by the epoch and the join in
// which it caught up.
func TestTwoRecruitsAtOnce(t *testing.T) {
	d := newDirectory()
	for _, name := range []string{"n1", "n2", "n3", "n4"} {
		d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(name), Boot: 1}})
	}
	id := func(name string) NodeRecord { return NodeRecord{Peer: Peer{ID: peerOf(name).ID}} }
	d.apply(&Command{Kind: CommandPlace, Key: "k", Members: []NodeID{peerOf("n1").ID, peerOf("n2").ID}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	changes := func(c Command) bool { return len(d.apply(&c).changed) > 0 }
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 1, Node: id("n2")}), "a member cannot join")
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 7, Node: id("n3")}))
	require.True(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 1, Node: id("n3")}))
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 1, Node: id("n4")}), "decided in the epoch before")
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 2, Node: id("n4")}), "one at a time")
	require.True(t, d.node(peerOf("n4").ID).isSpare())

	require.False(t, changes(Command{Kind: CommandMember, Group: 1, Epoch: 1, Node: id("n3")}), "caught up in another epoch")
	require.False(t, changes(Command{Kind: CommandMember, Group: 1, Epoch: 2, Node: id("n4")}), "another node")
	require.True(t, changes(Command{Kind: CommandMember, Group: 1, Epoch: 2, Node: id("n3")}))
	require.Len(t, d.group(1).config.Chain, 3)
	require.Equal(t, peerOf("n3"), d.group(1).config.Chain[2], "the newest is the last to be promoted")
	require.Zero(t, d.group(1).config.Joining)
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 3}), "nothing to give up")
}

// quick is an option of a manager.
func quick(o *ManagerOptions) {
	o.JoinTimeout, o.QuarantineMin, o.QuarantineMax = time.Second, 2*time.Second, 16*time.Second
}

// joiningNode is the name of the node that joins group 1, or "".
func (r *realm) joiningNode() string { return r.manager().Config(1).Joining.Addr }

// Join racing with eviction, and who may ask for a member: only the primary, for
// the current epoch, and for exactly that join and that node (rule R2).
func TestCaughtUpOfAnotherEpochOrNode(t *testing.T) {
	r := newRealm(t, 5, quick)
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(time.Second)
	require.Equal(t, "n4", r.joiningNode())
	c := r.manager().Config(1)
	chain, epoch := r.members(1), r.epoch(1)
	require.Equal(t, []string{"n1", "n2"}, chain)
	good := CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: peerOf("n4").ID}
	for name, change := range map[string]func(b *CaughtUp) string{
		"an earlier epoch":   func(b *CaughtUp) string { b.Epoch--; return "n1" },
		"an epoch to come":   func(b *CaughtUp) string { b.Epoch++; return "n1" },
		"another join":       func(b *CaughtUp) string { b.Start--; return "n1" },
		"another node":       func(b *CaughtUp) string { b.Node = peerOf("n5").ID; return "n1" },
		"the node that left": func(b *CaughtUp) string { b.Node = peerOf("n3").ID; return "n1" },
		"no node":            func(b *CaughtUp) string { b.Node = 0; return "n1" },
		"another group":      func(b *CaughtUp) string { b.Group = 2; return "n1" },
		"from a replica":     func(*CaughtUp) string { return "n2" },
		"from itself":        func(*CaughtUp) string { return "n4" },
	} {
		b := good
		from := change(&b)
		r.say(from, &b)
		require.Equal(t, chain, r.members(1), name)
		require.Equal(t, epoch, r.epoch(1), name)
	}
	r.say("n1", &good)
	require.Equal(t, []string{"n1", "n2", "n4"}, r.members(1))
	require.Empty(t, r.joiningNode())
}

// A stalled joiner holds the only slot: it is given up, put in quarantine, and
// another spare is tried; one that makes progress is left alone.
func TestStalledJoinerHoldsTheOnlySlot(t *testing.T) {
	r := newRealm(t, 5, quick)
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(600 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	start := r.manager().Config(1).Start
	for i := range uint64(30) {
		r.actors["n1"].join = &JoinProgress{Group: 1, Start: start, Keys: i, KeysTotal: 100, Bytes: i, BytesTotal: 100}
		r.pass(100 * time.Millisecond)
		require.Equal(t, "n4", r.joiningNode(), "it makes progress")
	}
	r.pass(1200 * time.Millisecond)
	require.Equal(t, "n5", r.joiningNode())
	require.NotEmpty(t, r.happened(EventJoinEnded))
	r.say("n1", &CaughtUp{Group: 1, Epoch: r.epoch(1), Start: start, Node: peerOf("n4").ID})
	require.Equal(t, []string{"n1", "n2"}, r.members(1), "it has caught up too late")
}

// Every group of one that is short gets its spare, and the one with the fewest
// members first.
func TestMostEndangeredGroupIsHealedFirst(t *testing.T) {
	r := newRealm(t, 6, quick)
	r.place("a")
	r.place("b")
	r.ail(refusing, "n3", "n5", "n6")
	r.pass(time.Second)
	require.Equal(t, []string{"n4"}, r.members(2))
	r.register(peerOf("n7"))
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n7", r.manager().Config(2).Joining.Addr)
	require.Zero(t, r.manager().Config(1).Joining)
	r.register(peerOf("n8"))
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n8", r.manager().Config(1).Joining.Addr)
}

// --spares holds nodes back from new groups, not from healing; and healing comes
// before new groups.
func TestSparesAreHeldBack(t *testing.T) {
	r := newRealm(t, 6, quick, func(o *ManagerOptions) { o.Spares = 1 })
	r.place("a")
	r.place("b")
	require.Equal(t, 1, r.manager().Groups(), "three more nodes would make a group, but none would be left")
	r.register(peerOf("n7"))
	r.place("c")
	require.Equal(t, 2, r.manager().Groups())
	r.ail(refusing, "n3")
	r.pass(time.Second)
	require.Equal(t, "n7", r.joiningNode())
}

// drain has an operator ask for a node to be drained, and returns the answers
// that came at once.
func (r *realm) drain(req uint64, name string) []*Drained {
	r.t.Helper()
	r.stepRaw(Envelope{From: Peer{Addr: "op"}, To: Peer{Addr: "m"}, Body: &Drain{Req: req, Node: peerOf(name).ID}})
	r.serve()
	return received[*Drained](r, "op")
}

// A drained node's place goes to a spare before it leaves. Without a spare, and
// of the last copy, nothing is changed.
func TestDrain(t *testing.T) {
	r := newRealm(t, 4, quick)
	r.place("k")
	same(t, []*Drained{{Req: 1, Status: StatusNotFound}}, r.drain(1, "n9"))
	require.Empty(t, r.drain(2, "n1"))
	require.Empty(t, r.drain(3, "n1"), "twice at once")
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1), "it leaves when the other is there")
	c := r.manager().Config(1)
	r.say("n1", &CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: peerOf("n4").ID})
	r.pass(100 * time.Millisecond)
	require.Equal(t, []string{"n2", "n3", "n4"}, r.members(1))
	same(t, []*Drained{{Req: 2, Status: StatusOK}, {Req: 3, Status: StatusOK}}, received[*Drained](r, "op"))
	same(t, []*Drained{{Req: 4, Status: StatusOK}}, r.drain(4, "n1"))

	epoch := r.epoch(1)
	same(t, []*Drained{{Req: 5, Status: StatusUnavailable}}, r.drain(5, "n2"))
	r.pass(time.Minute)
	require.Equal(t, epoch, r.epoch(1), "no spare is left: n1 is not used again")
}

// The last copy stays whatever is asked, and its drain is refused.
func TestDrainOfTheLastCopy(t *testing.T) {
	r := newRealm(t, 1, quick, replicas(0))
	r.place("k")
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, r.drain(1, "n1"))
	r.pass(time.Minute)
	require.Equal(t, []string{"n1"}, r.members(1))
	require.EqualValues(t, 1, r.epoch(1))
}

// The spare that a drain counted on dies before it has caught up: the node stays
// and whoever waits is told.
func TestDrainLosesItsSpare(t *testing.T) {
	r := newRealm(t, 4, quick)
	r.place("k")
	require.Empty(t, r.drain(1, "n1"))
	r.pass(100 * time.Millisecond)
	r.ail(refusing, "n4")
	r.pass(3 * time.Second)
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, received[*Drained](r, "op"))
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	require.Empty(t, r.joiningNode())
}

// A node that leaves chains again and again waits longer each time before it is
// used again.
func TestQuarantineGrows(t *testing.T) {
	r := newRealm(t, 3, quick)
	r.place("k")
	var waits []time.Duration
	for range 3 {
		r.ail(refusing, "n3")
		r.pass(time.Second)
		require.Equal(t, []string{"n1", "n2"}, r.members(1))
		r.ail(well, "n3")
		from := r.now
		for r.joiningNode() == "" {
			r.pass(50 * time.Millisecond)
			require.Less(t, r.now.Since(from), time.Minute)
		}
		waits = append(waits, r.now.Since(from))
		c := r.manager().Config(1)
		r.say("n1", &CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: peerOf("n3").ID})
		require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	}
	require.Greater(t, waits[1], waits[0]+time.Second)
	require.Greater(t, waits[2], waits[1]+3*time.Second)
}

// A transfer copies nothing: whatever the group's size, it needs memory for the
// chunks under way, at most four of 64 KiB and a key each, and for what the log
// got since the last one.
func TestTransferOfAMillionKeys(t *testing.T) {
	const keys = 1_000_000
	n := serving(t, config(1, "n1"))
	g := n.storage().groups[0]
	value := strings.Repeat("v", 32)
	for i := range keys {
		g.state.set(fmt.Sprintf("key%07d", i), value, 1)
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
	require.Less(t, most, 4<<20, "bytes of heap for a transfer of %d bytes", g.state.bytes)
	t.Logf("%d keys, %d bytes: %d bytes of heap at most", keys, g.state.bytes, most)
}
