package core

import "time"

// A primary brings a joining node up to date while it goes on serving (rule
// R10). It reads its state in chunks while that changes: see reading. The last chunk
// says of which position all that was sent is the state. From
// there the joining node gets the log, like a member, but nobody waits for it.
// Once it lacks little of what is committed, it is required (rule R3). Once it holds all
// of it, the manager is asked to make it a member.
//
// Nothing is copied: a transfer needs memory for the chunks under way, and for
// the log since the last chunk.
//
// It must end under any load that the group can carry. The rate limits only keys
// that are read for the first time; what changes goes as fast as the joining
// node takes it, and so does the end. Where that is not enough, the writers are held
// back: see squeeze.

// chunksMin and chunksMax bound the chunks sent and not acked; in between lies what
// the rate needs over a long round trip.
const (
	chunksMin = 4
	chunksMax = 64
)

// windowBytesMax bounds the bytes under way when more than chunksMin chunks are.
const windowBytesMax = chunksMax * ChunkBytesMax

// chunkLooksMax bounds the log entries looked through for one chunk.
const chunkLooksMax = 1 << 14

// transfer is a join as its primary sees it.
type transfer struct {
	peer    Peer
	start   Epoch  // names the join
	tenure  Epoch  // when the primary became one; with attempt it names the attempt
	attempt uint64 // counted from 1

	answered Epoch // the highest epoch in which the joining node answered
	reading
	sum      uint64
	next     uint64   // number of the next chunk
	window   []*Chunk // sent and not acked, in order
	complete bool     // the last chunk was made
	at       EntryID  // set with complete: the position that the snapshot is the state of

	installed bool // it has all of the snapshot, and gets the log
	required  bool // it has nearly caught up, and is required
	caughtUp  bool // it holds all that is committed, and is to be a member
	keys      uint64
	bytes     uint64

	counted Seq // behind includes the log up to here
	behind  int // weight of the log from position on
	timed   uint64
	timedAt Time          // when the chunk with the number timed was sent, or Never
	trip    time.Duration // the shortest that was seen; 0 before

	squeeze

	sendAt    Time // when the next chunk may go
	resending      // of the window
	proposeAt Time // when to ask the manager again
}

// joining tells whether a node is the one that joins.
func (t *tenure) joining(id NodeID) bool { return t.transfer != nil && t.transfer.peer.ID == id }

// followJoin begins the transfer that the config asks for and ends one that it
// no longer knows.
func (g *group) followJoin() {
	t, c := g.tenure, g.config
	if x := t.transfer; x != nil && (c.Joining.ID != x.peer.ID || c.Start != x.start) {
		t.transfer = nil
	}
	if c.Joining.ID != 0 && t.transfer == nil && t.reconciled {
		t.transfer = &transfer{peer: c.Joining, start: c.Start, tenure: c.Epoch}
		g.attemptTransfer()
	}
	if t.transfer != nil {
		t.transfer.peer = c.Joining
	}
}

// attemptTransfer begins the transfer, or begins it anew: what the joining node
// had of an earlier attempt is void.
func (g *group) attemptTransfer() {
	t := g.tenure
	x := t.transfer
	if x.installed {
		t.followers = t.followers.without(x.peer.ID)
	}
	*x = transfer{
		peer: x.peer, start: x.start, tenure: x.tenure, attempt: x.attempt + 1, answered: x.answered, sendAt: x.sendAt,
		reading: g.beginReading(), counted: g.commit, timedAt: Never, trip: x.trip, squeeze: x.squeeze,
	}
	x.caughtUpAt = g.s.now
	g.pump()
}

// pump sends chunks as far as the window goes, at a rate that leaves room for
// the requests that this node and the network serve meanwhile.
func (g *group) pump() {
	x := g.tenure.transfer
	for ; x.counted < g.commit; x.counted++ {
		x.behind += weight(g.log.at(x.counted + 1).bytes())
	}
	for !x.complete && g.hasRoom(x) {
		early := g.s.now < x.sendAt && x.cursor > 0 // the rate is for what is still to be read
		if early && x.behind < ChunkBytesMax {
			g.s.wakeBy(x.sendAt)
			return
		}
		c, read := g.cutChunk(x, !early)
		// Time lost since it was due is made up for, by up to chunksMin chunks.
		pace := time.Duration(read) * time.Second / time.Duration(g.joinRate())
		x.sendAt = max(x.sendAt, g.s.now.After(-chunksMin*pace)).After(pace)
		if len(x.window) == 0 {
			g.expectChunkAck(x)
		}
		x.window = append(x.window, c)
		if x.timedAt == Never {
			x.timed, x.timedAt = c.Number, g.s.now
		}
		g.sendChunk(x, c)
	}
}

// expectChunkAck begins to wait for the joining node to take in something of the window.
func (g *group) expectChunkAck(x *transfer) {
	x.expect(g.s.now, max(g.s.opt.ResendInterval, 2*min(x.trip, time.Second)))
	g.s.wakeBy(x.resendAt)
}

const (
	idleMin    = 100 * time.Millisecond // without a client's operation before the group is idle
	idleFactor = 16                     // times JoinRate that a joining node gets then
)

// joinRate is the bytes a second that are read for the first time: few enough for clients
// not to notice, and many when there are none.
func (g *group) joinRate() int {
	if g.s.now.Since(g.tenure.askedAt) < idleMin {
		return g.s.opt.JoinRate
	}
	return idleFactor * g.s.opt.JoinRate
}

// hasRoom tells whether one more chunk may be under way. In durable mode a node comes back
// with what it held: until it has answered, the first chunk is the question.
func (g *group) hasRoom(x *transfer) bool {
	if g.s.opt.Durable && x.answered == 0 {
		return len(x.window) == 0
	}
	if len(x.window) < chunksMin {
		return true
	}
	// As many as the rate fills in the shortest round trip that was seen. A longer one
	// shows that the node is busy, not that it is far away.
	fill := int64(g.joinRate()) * int64(min(x.trip, time.Second)) / int64(time.Second) / ChunkBytesMax
	return len(x.window) < int(min(fill, chunksMax)) && x.underWay() < windowBytesMax
}

// underWay is how many bytes of keys and values are in chunks that were sent and not acked.
func (x *transfer) underWay() int {
	bytes := 0
	for _, c := range x.window {
		for i := range c.Items {
			bytes += c.Items[i].bytes()
		}
	}
	return bytes
}

// sendChunk sends a chunk under the current epoch. A message is never changed
// once sent, so what goes out is a copy.
func (g *group) sendChunk(x *transfer, c *Chunk) {
	m := *c
	m.Epoch = g.config.Epoch
	if x.answered < g.config.Epoch {
		m.Config = g.config
	}
	g.send(x.peer, &m)
}

// cutChunk makes the next chunk, of what has changed of the keys sent before and, if more
// is to be read, of further keys; read tells how many bytes these have.
func (g *group) cutChunk(x *transfer, more bool) (c *Chunk, read int) {
	c = &Chunk{Group: g.id, Start: x.start, Tenure: x.tenure, Attempt: x.attempt, Number: x.next}
	x.next++
	p := portion{items: g.s.opt.ChunkItems, bytes: ChunkBytesMax, bytesMax: chunkItemBytesMax, looks: chunkLooksMax}
	if more {
		p.fresh = chunkItemBytesMax
	}
	looked := x.position
	items, changes, all := g.readOn(&x.reading, p)
	for c.Items = items; looked < x.position; looked++ {
		w := weight(g.log.at(looked + 1).bytes())
		x.behind -= w
		x.moved(w)
	}
	for i := range items {
		size := items[i].bytes()
		x.bytes += uint64(size)
		if i >= changes {
			x.keys++
			read += size
		}
	}
	x.moved(read)
	if starved := more && read == 0 && x.cursor > 0; x.position == g.commit && !starved {
		x.caughtUpAt = g.s.now
	}
	if all {
		x.complete, c.Last = true, true
		x.at = g.log.id(g.commit)
		c.At, c.Sessions = x.at, g.state.sessions.records()
	}
	x.sum = g.s.sum(c, x.sum)
	c.Sum = x.sum
	return c, read
}

// onChunkAck counts what the joining node has, and ends the snapshot when that
// is all of it.
func (g *group) onChunkAck(from Peer, a *ChunkAck) {
	t := g.tenure
	if t == nil || !t.joining(from.ID) {
		return
	}
	x := t.transfer
	if a.Start != x.start || a.Tenure != x.tenure || a.Attempt != x.attempt || a.Next > x.next || a.Epoch > g.config.Epoch {
		return
	}
	x.answered = max(x.answered, a.Epoch)
	if x.installed {
		return
	}
	if a.Held.Seq > 0 {
		g.resume(x, a.Held)
		return
	}
	acked := x.next - uint64(len(x.window))
	if a.Refused || a.Next < acked {
		if a.Refused || a.Next == 0 { // it has lost what it had; else the answer is only late
			g.attemptTransfer()
		}
		return
	}
	if a.Next == acked {
		return
	}
	if x.timedAt != Never && a.Next > x.timed {
		if trip := g.s.now.Since(x.timedAt); x.trip == 0 || trip < x.trip {
			x.trip = trip
		}
		x.timedAt = Never
	}
	x.movedAt = g.s.now
	x.window = append([]*Chunk(nil), x.window[a.Next-acked:]...)
	g.expectChunkAck(x)
	if x.complete && len(x.window) == 0 {
		g.feed(x)
		return
	}
	g.pump()
	g.unparkSoon()
}

// resume goes on from what the joining node holds, as if that were a complete snapshot. It
// begins one instead, for which the node discards all, where the log does not reach back to
// that or has another entry there, or where more was written since than there is to be sent.
func (g *group) resume(x *transfer, at EntryID) {
	if at.Seq < g.log.base.Seq || !g.log.holds(at) || size(g.log.entries[at.Seq-g.log.base.Seq:]) > max(g.state.values.bytes, windowBytesMax) {
		g.attemptTransfer()
		return
	}
	x.window, x.complete, x.at = nil, true, at
	x.keys, x.bytes = uint64(g.state.values.len()), uint64(g.state.values.bytes) // what it held counts as sent
	g.event(EventResumed, at.Seq)
	g.feed(x)
}

// feed goes on from the snapshot with the log: from now on the joining node gets it like
// a member, but nothing is required of it. It may have acked the log in an earlier attempt,
// and have discarded it since, so only rounds from now on count.
func (g *group) feed(x *transfer) {
	x.installed = true
	x.fed = x.at.Seq
	t := g.tenure
	t.nextRound(g)
	f := newFollower(x.peer, x.at.Seq+1, g.s.now)
	f.learner, f.first, f.acked, f.matched = true, t.round, min(x.answered, g.config.Epoch-1), x.at.Seq
	t.followers = append(t.followers, f)
	g.flushSoon()
}

// considerJoin makes the joining node required once it lacks little of what is
// committed: under writes without end it would otherwise be a round trip behind
// for ever. From then on nothing is committed without it, so it soon holds all that
// is; when it has said so in this epoch, the manager is asked to make it a member
// (rule R3).
func (g *group) considerJoin() {
	t := g.tenure
	x := t.transfer
	if x == nil || !x.installed {
		return
	}
	f := t.followers.of(x.peer.ID)
	if !x.required {
		for ; x.fed < min(f.matched, g.log.last()); x.fed++ {
			e := g.log.at(x.fed + 1)
			x.bytes += uint64(e.bytes())
			x.moved(weight(e.bytes()))
			x.movedAt = g.s.now
		}
		if f.acked < g.config.Epoch || !g.nearly(f) {
			return
		}
		f.learner, x.required, x.squeezed = false, true, false
	}
	if !x.caughtUp && f.acked == g.config.Epoch && f.matched >= g.commit {
		x.caughtUp = true
		g.event(EventCaughtUp, f.matched)
		g.proposeMember(x)
	}
}

// lagMax bounds the entries that a joining node may lack when it is required.
const lagMax = 256

// nearly tells whether a joining node lacks no more of what is committed than it
// can take in at once.
func (g *group) nearly(f *follower) bool {
	if f.matched+lagMax < g.commit {
		return false
	}
	lacks := 0
	for seq := f.matched + 2; seq <= g.commit; seq++ { // the first entry that it lacks may be of any size
		lacks += weight(g.log.at(seq).bytes())
	}
	return lacks <= squeezeSlack
}

func (g *group) proposeMember(x *transfer) {
	x.proposeAt = g.s.now.After(g.s.opt.ResendInterval)
	g.s.wakeBy(x.proposeAt)
	g.send(g.s.manager, &CaughtUp{Group: g.id, Epoch: g.config.Epoch, Start: x.start, Node: x.peer.ID, Token: g.s.token})
}

// tickTransfer sends again what was not answered.
func (g *group) tickTransfer() {
	x := g.tenure.transfer
	switch {
	case x == nil:
		return
	case x.required && !x.caughtUp:
		return
	case x.required:
		if g.s.now >= x.proposeAt {
			g.proposeMember(x)
		}
		g.s.wakeBy(x.proposeAt)
		return
	}
	g.considerSqueeze(x)
	if x.installed {
		return
	}
	if len(x.window) > 0 && g.s.now >= x.resendAt && x.overdue(g.s.now, g.underWay()) {
		x.again(g.s.now, 8*g.s.opt.ResendInterval)
		for _, c := range x.window {
			g.sendChunk(x, c)
		}
	}
	g.pump()
	if len(x.window) > 0 {
		g.s.wakeBy(x.resendAt)
	}
}

// keepFor returns how far the log may be trimmed, upTo at most. A joining node that
// needs too much of it begins a new attempt first.
func (g *group) keepFor(upTo Seq) Seq {
	x := g.tenure.transfer
	if x == nil {
		return upTo
	}
	needs := g.joinNeeds(x)
	if x.required {
		return min(upTo, needs)
	}
	if needs+Seq(g.s.opt.JoinLagMax) < upTo || needs < upTo && g.log.bytes > g.s.opt.JoinLagBytes {
		g.attemptTransfer()
		return min(upTo, g.tenure.transfer.position)
	}
	return min(upTo, needs)
}

// joinNeeds is the position in the log behind which the transfer needs all of it.
func (g *group) joinNeeds(x *transfer) Seq {
	switch {
	case x.installed:
		return g.tenure.followers.of(x.peer.ID).matched
	case x.complete:
		return x.at.Seq
	}
	return x.position
}

// progress tells the manager how far the join is. What was sent counts once the joining
// node has it, and once the rate allows it: so a join makes progress, and is not given up,
// while much is under way on a slow network, and while its primary waits for the rate.
func (g *group) progress() *JoinProgress {
	x := g.tenure.transfer
	total := uint64(g.state.values.bytes)
	early := int64(max(0, x.sendAt.Since(g.s.now))) * int64(g.s.opt.JoinRate) / int64(time.Second)
	bytes := x.bytes - min(x.bytes, max(uint64(early), uint64(x.underWay())))
	return &JoinProgress{Group: g.id, Start: x.start, Keys: x.keys, KeysTotal: uint64(g.state.values.len()), Bytes: bytes, BytesTotal: max(total, x.bytes)}
}
