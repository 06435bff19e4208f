package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of a join under a load that does not let up.

// loaded is a primary alone in its group, with keys, a joining node n3 and a client
// that writes one key after the other all the time.
type loaded struct {
	*rig
	keys     int
	trip     time.Duration // of what the joining node answers
	each     time.Duration // between two chunks that it takes in; 0 when it is as fast as can be
	mail     []answering
	free     Time // when it can take in the next chunk
	written  int
	answered int
	longest  int // writes that waited at once
}

// answering is an answer of the joining node on its way.
type answering struct {
	at Time
	m  Message
}

func newLoaded(t *testing.T, keys int, options ...func(*StorageOptions)) *loaded {
	t.Helper()
	l := &loaded{rig: serving(t, config(1, "n1"), options...), keys: keys}
	for range keys {
		l.write()
	}
	l.step("m", joined(2, 2, "n3", "n1"))
	return l
}

func (l *loaded) write() {
	l.t.Helper()
	l.written++
	l.step("c1", put(uint64(l.written+1), 1, uint64(l.written), fmt.Sprint("k", l.written%l.keys), fmt.Sprintf("%100d", l.written)))
	l.count()
}

func (l *loaded) count() {
	for _, r := range sent[*Reply](l.rig, "c1") {
		require.Equal(l.t, StatusOK, r.Status)
		l.answered++
	}
	l.longest = max(l.longest, l.written-l.answered)
}

// listen has the joining node take in what was sent to it, and answer.
func (l *loaded) listen() {
	l.t.Helper()
	for _, c := range sent[*Chunk](l.rig, "n3") {
		l.free = max(l.free, l.now).After(l.each)
		l.mail = append(l.mail, answering{l.free.After(l.trip), &ChunkAck{Group: 1, Epoch: c.Epoch, Start: c.Start, Tenure: c.Tenure, Attempt: c.Attempt, Next: c.Number + 1}})
	}
	for _, r := range sent[*Replicate](l.rig, "n3") {
		l.mail = append(l.mail, answering{l.now.After(l.trip), &Ack{Group: 1, Epoch: r.Epoch, Round: r.Round, Matched: r.Prev.Seq + Seq(len(r.Entries))}})
	}
	for len(l.mail) > 0 && l.mail[0].at <= l.now {
		m := l.mail[0].m
		l.mail = l.mail[1:]
		l.step("n3", m)
	}
	l.count()
}

// bear goes on with a write each so often until the join is over, and tells how
// long that took.
func (l *loaded) bear(every time.Duration, most time.Duration) time.Duration {
	l.t.Helper()
	from := l.now
	for l.now.Since(from) < most {
		l.write()
		for range 4 {
			l.listen()
			l.tick(every / 4)
		}
		if len(sent[*CaughtUp](l.rig, "m")) > 0 {
			break
		}
	}
	return l.now.Since(from)
}

// squeezed goes on with writes until they are held back.
func (l *loaded) squeezed() {
	l.t.Helper()
	for i := 0; len(l.happened(EventSqueezed)) == 0; i++ {
		require.Less(l.t, i, 10_000, "writers are never held back")
		l.write()
		l.listen()
		l.tick(2 * time.Millisecond)
	}
}

// joinRate is an option of a storage node.
func joinRate(bytes int) func(*StorageOptions) {
	return func(o *StorageOptions) { o.JoinRate = bytes }
}

// Rule R10: more is written than the rate at which a snapshot is sent. What changes
// goes as fast as the joining node takes it, so the join ends, and no writer waits.
func TestChangesAreSentFasterThanTheRate(t *testing.T) {
	l := newLoaded(t, 3000, joinRate(64<<10)) // 5 s to read
	l.trip = time.Millisecond
	took := l.bear(time.Millisecond, 30*time.Second) // 100 KB in a second
	require.Less(t, took, 7*time.Second)
	require.LessOrEqual(t, l.longest, 2, "a write waits for no more than a round trip")
	require.Empty(t, l.happened(EventSqueezed))
}

// Rule R10: the rate is there for the clients. While none asks, a joining node gets its
// snapshot sixteen times as fast; the first operation slows it down again.
func TestASnapshotIsFasterWhileNobodyAsks(t *testing.T) {
	const rate = 64 << 10 // 5 s
	whole := func(asked bool) time.Duration {
		l := newLoaded(t, 3000, joinRate(rate))
		from := l.now
		for n := uint64(0); !l.storage().groups[0].tenure.transfer.complete; n++ {
			if asked {
				l.step("c1", &Op{Group: 1, Req: 1<<40 + n, Kind: OpGet, Key: "k1"})
			}
			for range idleMin / time.Millisecond / 2 {
				l.listen()
				l.tick(time.Millisecond)
			}
		}
		return l.now.Since(from)
	}
	require.Less(t, whole(false), time.Second)
	require.Greater(t, whole(true), 3*time.Second)
}

// large is the primary of group 1, with values of 1 MiB and a small one, which is read first,
// that a client has just written.
func large(t *testing.T, values int, options ...func(*StorageOptions)) *rig {
	t.Helper()
	n := serving(t, config(1, "n1"), options...)
	v := strings.Repeat("v", ValueBytesMax)
	for i := range uint64(values) {
		n.step("c1", put(i+2, 1, i+1, fmt.Sprint("large", i), v))
	}
	n.step("c1", put(100, 1, uint64(values+1), "small", "s"))
	n.tick(idleMin / 2)
	return n
}

// progress is that of a join, of which the manager is told.
func (n *rig) progress() JoinProgress {
	n.step("m", &Ping{Nonce: 1, Boot: 1})
	return *latest[*Pong](n, "m").Join
}

// joinsAt is the primary of group 1 from whom a node joins at a rate of a large value in 16 s.
func joinsAt(t *testing.T, values int) *rig {
	t.Helper()
	n := large(t, values, joinRate(64<<10), chunkItems(1))
	n.step("m", joined(2, 2, "n3", "n1"))
	return n
}

// Rule R10: the rate is for what is still to be read. When all was, nothing is waited for.
func TestTheEndOfASnapshotDoesNotWaitForTheRate(t *testing.T) {
	n := joinsAt(t, 1)
	require.Len(t, n.ackChunks("n3"), 3, "small, large, and that this was all")
	require.True(t, n.storage().groups[0].tenure.transfer.installed)
}

// Manager 6: a join whose primary waits for the rate makes progress, as the manager is told.
// Else it is given up, again and again, where the wait after a value is longer than JoinTimeout.
func TestAJoinMovesWhileItsPrimaryWaitsForTheRate(t *testing.T) {
	n := joinsAt(t, 2)
	require.Len(t, n.ackChunks("n3"), 2, "small and large")
	before := n.progress()
	require.Less(t, before.Bytes, uint64(64<<10), "what the rate does not allow yet")
	for second := range uint64(15) {
		n.tick(time.Second)
		require.Empty(t, sent[*Chunk](n, "n3"))
		now := n.progress()
		require.InDelta(t, 64<<10, now.Bytes-before.Bytes, 1<<10, "second %d", second)
		before = now
	}
	n.tick(time.Second)
	require.Len(t, n.ackChunks("n3"), 2, "the other value, and that this was all")
	require.GreaterOrEqual(t, n.progress().Bytes, before.Bytes)
}

// slowly has the joining node take in what it is sent over a network that needs so long for
// a large value, until it has the snapshot. It returns the numbers of the chunks that were
// sent, in order.
func (n *rig) slowly(each time.Duration) (numbers []uint64) {
	n.t.Helper()
	var queue []*Chunk
	var free Time
	next := uint64(0)
	for x := n.storage().groups[0].tenure.transfer; !x.installed; n.tick(time.Millisecond) {
		require.Less(n.t, len(numbers), 1000, "it is never over")
		for _, c := range sent[*Chunk](n, "n3") {
			numbers = append(numbers, c.Number)
			if queue = append(queue, c); len(queue) == 1 {
				free = n.now.After(each)
			}
		}
		if len(queue) == 0 || n.now < free {
			continue
		}
		c := queue[0]
		queue, free = queue[1:], n.now.After(each)
		if c.Number == next {
			next++
		}
		n.step("n3", &ChunkAck{Group: 1, Epoch: c.Epoch, Start: c.Start, Tenure: c.Tenure, Attempt: c.Attempt, Next: next})
	}
	return numbers
}

// Rule R10: a network of 100 Mbit/s needs 84 ms for a large value, and one that is half as fast
// twice as long. What is under way is not sent again meanwhile: else each answer comes behind
// more and more of what the joining node has already, until the join is given up.
func TestNoChunkIsSentAgainWhileItIsUnderWay(t *testing.T) {
	for _, each := range []time.Duration{84 * time.Millisecond, 168 * time.Millisecond} {
		n := large(t, 20)
		n.step("m", joined(2, 2, "n3", "n1"))
		for i, number := range n.slowly(each) {
			require.EqualValues(t, i, number, "%v for a chunk", each)
		}
	}
}

// Rule R10: a chunk that was lost is sent again, at longer and longer intervals.
func TestALostChunkIsSentAgain(t *testing.T) {
	n := large(t, 0)
	n.step("m", joined(2, 2, "n3", "n1"))
	only[*Chunk](n, "n3")
	last := n.now
	for i := range 6 {
		for len(sent[*Chunk](n, "n3")) == 0 {
			require.Less(t, n.now.Since(last), time.Second)
			n.tick(time.Millisecond)
		}
		took := n.now.Since(last)
		require.InDelta(t, min(40*time.Millisecond<<i, 320*time.Millisecond), took, float64(2*time.Millisecond), "time %d", i)
		last = n.now
	}
	n.step("n3", &ChunkAck{Group: 1, Epoch: 2, Start: 2, Tenure: 2, Attempt: 1, Next: 1})
	require.True(t, n.storage().groups[0].tenure.transfer.installed)
}

// Manager 6: what is under way to a joining node is no progress yet. It counts when the
// node has it, so that the join moves on until the last of it has come.
func TestAJoinHasMovedWhenTheNodeHasWhatWasSent(t *testing.T) {
	n := large(t, 2, joinRate(1<<30))
	n.step("m", joined(2, 2, "n3", "n1"))
	chunks := sent[*Chunk](n, "n3")
	require.Len(t, chunks, 3, "all that there is")
	require.Zero(t, n.progress().Bytes)
	for i, c := range chunks[:2] {
		n.step("n3", &ChunkAck{Group: 1, Epoch: c.Epoch, Start: c.Start, Tenure: c.Tenure, Attempt: c.Attempt, Next: c.Number + 1})
		require.InDelta(t, (i+1)<<20, n.progress().Bytes, 1<<10)
	}
}

// Rule R4: what goes to a joining node goes over the network that the members' entries
// share. A member that has to wait for it is not reported.
func TestAMemberWaitsBehindWhatAJoiningNodeIsSent(t *testing.T) {
	wait := func(joins bool) time.Duration {
		n := serving(t, config(1, "n1", "n2"), joinRate(1<<30))
		for i := range uint64(4) {
			n.step("c1", put(i+2, 1, i+1, fmt.Sprint("large", i), strings.Repeat("v", ValueBytesMax)))
			n.answer("n2")
		}
		next := config(2, "n1", "n2")
		if joins {
			next = joined(2, 2, "n3", "n1", "n2")
		}
		n.step("m", next)
		n.answer("n2")
		n.step("c1", put(9, 1, 5, "x", "b"))
		from := n.now
		for len(sent[*Suspect](n, "m")) == 0 {
			require.Less(t, n.now.Since(from), 5*time.Second)
			n.tick(time.Millisecond)
		}
		return n.now.Since(from)
	}
	require.InDelta(t, transferTime(4*ValueBytesMax), wait(true)-wait(false), float64(10*time.Millisecond))
}

// Rule R10: more is written than the joining node can take in. Writers are held
// back until it has caught up; each of them is answered.
func TestWritersAreHeldBackForAJoiningNode(t *testing.T) {
	l := newLoaded(t, 100, chunkItems(2))
	l.trip, l.each = time.Millisecond, 5*time.Millisecond // 400 keys in a second
	took := l.bear(2*time.Millisecond, 30*time.Second)    // 500
	require.Less(t, took, 10*time.Second)
	require.NotEmpty(t, l.happened(EventSqueezed))
	l.listen()
	l.tick(20 * time.Millisecond)
	l.listen()
	l.tick(20 * time.Millisecond)
	l.listen()
	require.Equal(t, l.written, l.answered)
}

// Rule R10: the joining node has the snapshot, but its answers take longer than the
// members'. Under writes without end it is always a little behind.
func TestAJoiningNodeThatIsAlwaysALittleBehind(t *testing.T) {
	l := newLoaded(t, 10)
	l.trip = 20 * time.Millisecond
	took := l.bear(time.Millisecond, 30*time.Second)
	require.Less(t, took, time.Second)
	require.LessOrEqual(t, l.longest, 2*20, "a write waits for no more than a round trip")
	require.Empty(t, l.happened(EventSqueezed))
}

// Rule R10: the joining node stops moving while writers are held back for it. They
// do not wait for the manager to give it up.
func TestAJoiningNodeThatStopsHoldsUpNobody(t *testing.T) {
	l := newLoaded(t, 100, chunkItems(2))
	l.trip, l.each = time.Millisecond, 20*time.Millisecond
	l.squeezed()
	for range 100 {
		l.write()
		l.tick(time.Millisecond)
	}
	l.count()
	require.Less(t, l.answered, l.written)
	l.tick(squeezeStall)
	l.count()
	require.Equal(t, l.written, l.answered)
	l.write()
	require.Equal(t, l.written, l.answered, "without it moving they are not held back again")
	l.tick(5 * time.Second)
	l.write()
	require.Equal(t, l.written, l.answered)
}

// Rule R10: a request that comes again while it waits keeps its place, and takes no second one.
func TestAHeldBackWriteThatComesAgainWaitsOnce(t *testing.T) {
	l := newLoaded(t, 100, chunkItems(2))
	l.trip, l.each = time.Millisecond, 20*time.Millisecond
	l.squeezed()
	l.tick(100 * time.Millisecond)
	for l.written == l.answered {
		l.write()
	}
	again := put(uint64(l.written+1), 1, uint64(l.written), fmt.Sprint("k", l.written%l.keys), fmt.Sprintf("%100d", l.written))
	parked := func() int { return len(l.storage().groups[0].tenure.parked) }
	was := parked()
	require.Positive(t, was)
	for range 3 {
		l.step("c1", again)
	}
	require.Equal(t, was, parked())
	l.tick(squeezeStall)
	l.count()
	require.Equal(t, l.written, l.answered, "it is answered once")
}

// Rule R10: the join ends, one way or another, or another primary takes over while
// writers are held back. All of them are answered.
func TestWritersAreReleasedWhenTheJoinEnds(t *testing.T) {
	for name, after := range map[string]*Config{"given up": config(3, "n1"), "another primary": config(3, "n2", "n1")} {
		l := newLoaded(t, 100, chunkItems(2))
		l.trip, l.each = time.Millisecond, 20*time.Millisecond
		l.squeezed()
		l.tick(100 * time.Millisecond)
		for range 10 {
			l.write()
		}
		waiting := l.written - l.answered
		require.Positive(t, waiting)
		l.step("m", after)
		l.tick(100 * time.Millisecond)
		require.Len(t, sent[*Reply](l.rig, "c1"), waiting, name)
	}
}
