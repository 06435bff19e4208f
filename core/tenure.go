package core

import (
	"time"
)

// tenure is a primary's time in office: from the epoch that made it primary,
// over later epochs in which it stays, until it is deposed or restarts.
type tenure struct {
	began Epoch // in which it became the primary, which names the tenure

	// A new primary serves once it has waited out what it granted to the one
	// before, and every required member holds durably all that it inherited.
	reconciled bool
	inherited  Seq
	notBefore  Time

	// lacks is the highest commit point that a required member has, where the log that was
	// inherited ends before it; else 0. This node's disk has lost what it had made durable
	// and acked, so it must not serve, and another is to be the primary.
	lacks    Seq
	resignAt Time // when to tell the manager, again

	durable   Seq // the prefix of its own log that is durable here
	followers followers

	round   uint64   // of the last flush
	flushed Seq      // the log's end at the last flush
	sent    []Time   // when the last rounds were sent, up to roundsMax; see sentAt
	reads   []read   // gets that wait for a round, in rising order of it
	exports []export // requests of backups that wait for a round
	parked  []ask    // requests that wait for reconciliation, or for the node that joins
	pending []write  // the entries behind the commit point, in log order
	bytes   int      // of user data in pending
	opening int      // how many of pending open a session
	sweepAt Time     // when to look for idle sessions
	askedAt Time     // when a client last asked for an operation

	unparking bool // what was parked is being taken in

	transfer *transfer // of the node that joins, if any
	trimmed  Seq       // up to where logs may be trimmed: it goes out with each Replicate

	exported     Seq  // up to where the last page for a backup told what has changed
	exportedTill Time // the log is kept from there until then, so that it can go on
}

// ask is a client's request and whom to answer.
type ask struct {
	client Peer
	op     *Op
}

// read is a get that may be answered when round has been confirmed.
type read struct {
	ask
	round uint64
}

// write is a pending entry and whom to answer; nobody if client is zero.
type write struct {
	kind    OpKind
	client  Peer
	req     uint64
	session Seq
	opSeq   uint64
	bytes   int
}

// beginTenure starts to reconcile: each member is sent what it may lack, and a Nack says
// where to go back to. Each must ack explicitly in this epoch (rule R5). One that has not
// acked may hold entries all the same: it must not be taken for an empty one.
func (g *group) beginTenure() {
	t := &tenure{began: g.config.Epoch, inherited: g.log.last(), notBefore: g.grantUntil, sweepAt: g.s.now.After(g.s.opt.SessionTTL / 4)}
	g.tenure = t
	from := g.log.last() + 1
	if g.commit > 0 && from-g.commit <= BatchEntriesMax {
		from = g.commit + 1 // most likely some lack the uncommitted suffix: spare them a Nack
	}
	for _, p := range g.config.Chain[1:] {
		t.followers = append(t.followers, newFollower(p, from, g.s.now))
	}
	g.state.sessions.beginTenure(g.s.now)
	g.s.wakeBy(t.notBefore)
	g.flushSoon()
}

// knows tells whether this tenure has had all other members of a config as required ones.
// If not, somebody was made a member without the primary's word that it has caught up: what
// it holds is not known, so another tenure begins, and reconciles.
func (t *tenure) knows(c *Config) bool {
	for i := range c.Chain[1:] {
		if f := t.followers.of(c.Chain[i+1].ID); f == nil || f.learner {
			return false
		}
	}
	return true
}

// continueTenure goes on in a higher epoch with the members that stay and what
// is known of them (rule R6). Rounds and acks of the old epoch that are still
// under way no longer count, so a new round goes out.
func (g *group) continueTenure() {
	t := g.tenure
	stay := make(followers, 0, len(g.config.Chain))
	for _, p := range g.config.Chain[1:] {
		if f := t.followers.of(p.ID); f != nil && !f.learner {
			f.peer = p
			stay = append(stay, *f)
		}
	}
	if len(stay) != len(g.config.Chain)-1 {
		g.broken("the chain grew without a join: %v", g.config.Chain)
	}
	if j := g.config.Joining; t.joining(j.ID) && t.transfer.start == g.config.Start {
		if f := t.followers.of(j.ID); f != nil { // a learner, or proposed already
			f.peer = j
			stay = append(stay, *f)
		}
	}
	t.followers = stay
	g.followJoin()
	g.flushSoon()
}

// required is how many nodes' acks a commit needs, the primary's own included.
func (t *tenure) required() int { return 1 + t.followers.required() }

// flushSoon asks for a Tick before the Output leaves, so that everything that
// came in together goes out as one batch for each member.
func (g *group) flushSoon() { g.dirty, g.s.dirty = true, true }

// flush sends a new round to every member and makes the primary's own log
// durable. One round carries all entries and serves all gets that came in.
func (g *group) flush() {
	t := g.tenure
	g.dirty = false
	t.nextRound(g)
	if t.flushed < g.log.last() {
		t.flushed = g.log.last()
		g.s.after(g.s.self, &Ack{Group: g.id, Epoch: g.config.Epoch, Round: t.round, Matched: t.flushed})
	}
	for i := range t.followers {
		g.replicate(&t.followers[i])
	}
	g.advance() // a lone primary's gets need nobody's answer
}

// roundsMax bounds how many rounds' times are kept. Beyond it an old round earns no
// lease and tells no round trip, which is only a loss of speed.
const roundsMax = 1024

func (t *tenure) nextRound(g *group) {
	if len(t.sent) < roundsMax {
		t.sent = append(t.sent, g.s.now)
	} else {
		t.sent[t.round%roundsMax] = g.s.now
	}
	t.round++
}

// sentAt tells when a round was first sent.
func (t *tenure) sentAt(round uint64) (Time, bool) {
	if round == 0 || round > t.round || t.round-round >= roundsMax {
		return 0, false
	}
	return t.sent[(round-1)%roundsMax], true
}

// replicate sends a follower what it lacks, as far as the window goes, or an
// empty Replicate when it lacks nothing.
func (g *group) replicate(f *follower) {
	t := g.tenure
	window := f.from + Seq(g.s.opt.PendingMax) - 1
	for {
		entries := g.log.batch(f.next, window)
		r := &Replicate{Group: g.id, Epoch: g.config.Epoch, Round: t.round, Prev: g.log.id(f.next - 1), Entries: entries, Commit: g.commit, Trim: t.trimmed}
		if f.acked < g.config.Epoch {
			r.Config = g.config
		}
		g.send(f.peer, r)
		f.next += Seq(len(entries))
		if len(entries) == 0 || f.next > min(window, g.log.last()) {
			break
		}
	}
	f.asked = t.round
	if f.since == Never {
		g.expect(f)
	}
}

func (g *group) expect(f *follower) {
	f.expect(g.s.now, g.s.opt.ResendInterval, g.s.opt.AckTimeout)
	g.s.wakeBy(min(f.resendAt, f.reportAt))
}

// onAck counts an ack of the current epoch. One of an older epoch says nothing: in
// this one the member may answer otherwise.
func (g *group) onAck(from Peer, a *Ack) {
	self := from.ID == g.s.self.ID
	if self {
		g.durable = max(g.durable, a.Epoch)
	}
	t := g.tenure
	if t == nil || a.Epoch != g.config.Epoch {
		return
	}
	if a.Matched > g.log.last() || a.Round > t.round {
		g.s.drop(from)
		return
	}
	if self {
		t.durable = max(t.durable, a.Matched)
		g.advance()
		return
	}
	f := t.followers.of(from.ID)
	if f == nil || a.Round < f.first {
		g.s.drop(from)
		return
	}
	if !t.reconciled && !f.learner && a.Committed > max(t.inherited, t.lacks) {
		t.lacks = a.Committed
		g.event(EventLacks, t.lacks)
		g.resign()
	}
	g.credit(f, a)
	g.advance()
}

func (g *group) credit(f *follower, a *Ack) {
	t, now := g.tenure, g.s.now
	progress := f.take(a)
	if at, ok := t.sentAt(a.Round); ok {
		f.lease = max(f.lease, at.After(g.config.Lease))
		if progress {
			f.trips.observe(now.Since(at))
		}
	}
	if progress {
		f.question.answer(g.s, false)
	}
	switch {
	case f.holds(g.log.last()):
		f.rest(now.After(g.heartbeat())) // the next heartbeat asks again
		g.s.wakeBy(f.resendAt)
	case progress:
		g.expect(f)
		if f.next <= g.log.last() { // the window has moved
			g.replicate(f)
		}
	}
}

// heartbeat is how long a follower may hear nothing: short enough that leases
// are renewed before they end.
func (g *group) heartbeat() time.Duration {
	if g.config.Reads == ReadLease {
		return min(g.s.opt.HeartbeatInterval, g.config.Lease/3)
	}
	return g.s.opt.HeartbeatInterval
}

// onNack takes a follower back to where its log ends or agrees, once for each round. If
// the Nack brings a config, it is adopted.
func (g *group) onNack(from Peer, n *Nack) {
	if n.Config != nil {
		if n.Config.Group == g.id {
			g.s.adopt(from, n.Config)
		}
		return
	}
	t := g.tenure
	if t == nil || n.Epoch > g.config.Epoch || n.Round > t.round {
		return
	}
	f := t.followers.of(from.ID)
	if f == nil || n.Round < f.first || n.Round <= f.back {
		return
	}
	last := f.from - 1
	if n.Epoch < g.config.Epoch {
		f.acked = min(f.acked, n.Epoch) // it asks for the config
	} else {
		last = min(n.Last, g.log.last())
	}
	f.takeBack(last, g.log.base.Seq, t.round)
	t.nextRound(g)
	g.replicate(f)
}

// onFollowerDown reports a follower at once whose connection broke or whose
// address is no longer its own.
func (g *group) onFollowerDown(peer Peer, refused bool) {
	if g.tenure == nil {
		return
	}
	f := g.tenure.followers.of(peer.ID)
	if f == nil || f.peer.Addr != peer.Addr || f.learner && !refused {
		return
	}
	if refused {
		f.question.answer(g.s, true)
	}
	g.s.suspect(g, peer.ID, refused)
}

// askAgain answers a question with a follower's next progress. That goes over the same
// connection, behind all that is under way, so something big that does not get through
// shows. It returns false if the node does not follow.
func (g *group) askAgain(id NodeID, q question) bool {
	f := g.tenure.followers.of(id)
	if f == nil {
		return false
	}
	if f.question != q {
		f.question = q
		g.flushSoon()
	}
	return true
}

func (q *question) answer(s *Storage, refused bool) {
	if q.nonce != 0 {
		s.send(q.by, &ProbeReply{Nonce: q.nonce, Refused: refused})
		*q = question{}
	}
}

// advance moves the commit point, or completes the reconciliation, as far as
// the acks allow, and serves what waited for that.
func (g *group) advance() {
	t := g.tenure
	if !t.reconciled {
		if !g.mayServe() {
			return
		}
		t.reconciled = true
		g.commitTo(t.inherited)
		g.event(EventServing, g.commit)
		g.followJoin()
		parked := t.parked
		t.parked = nil
		for i := range parked {
			g.onOp(parked[i].client, parked[i].op)
		}
	}
	matched, round := t.followers.agreed(t.durable, t.round)
	g.commitTo(matched)
	g.serveReads(round)
	g.serveExports(round)
	g.considerJoin()
	if t.transfer != nil && !t.transfer.complete {
		g.pump()
	}
	to := g.keepFor(min(matched, g.commit)) // less than before when a node has come back with what it held
	t.trimmed = max(t.trimmed, to)
	g.trim(g.keepForExport(to))
	g.unparkSoon() // after the trim, which can end what holds writers back
}

// mayServe tells whether a new primary has done its duty (rule R5).
func (g *group) mayServe() bool {
	t := g.tenure
	return t.lacks == 0 && g.durable >= g.config.Epoch && t.durable >= t.inherited && g.s.now >= t.notBefore && t.followers.reconciled(g.config.Epoch, t.inherited)
}

func (g *group) tickTenure() {
	t, s := g.tenure, g.s
	if !t.reconciled {
		if s.now >= t.notBefore {
			g.advance()
		} else {
			s.wakeBy(t.notBefore)
		}
	}
	if t.lacks > 0 {
		g.resign()
	}
	if s.now >= t.sweepAt {
		g.sweepSessions()
	}
	s.wakeBy(t.sweepAt)
	g.tickTransfer()
	g.unpark()
	for i := range t.followers {
		g.tickFollower(&t.followers[i])
	}
	if g.dirty {
		g.flush()
	}
}

// resign tells the manager that this primary cannot go on, until there is another.
func (g *group) resign() {
	t := g.tenure
	if g.s.now >= t.resignAt {
		g.s.suspect(g, g.s.self.ID, false)
		t.resignAt = g.s.now.After(g.s.opt.AckTimeout)
	}
	g.s.wakeBy(t.resignAt)
}

// tickFollower does what is due for one follower. One that owes nothing gets a heartbeat;
// one that owes an answer is sent what it lacks again, and reported when it is stuck.
func (g *group) tickFollower(f *follower) {
	s := g.s
	switch {
	case s.now < f.resendAt || g.dirty:
	case f.since == Never:
		g.flushSoon()
		f.rest(s.now.After(g.heartbeat()))
	case f.overdue(s.now, g.underWay()):
		f.again(s.now, 8*s.opt.ResendInterval)
		g.replicate(f)
	}
	if f.since != Never && s.now >= f.reportAt && f.stuck(s.now, s.opt.AckTimeout, g.underWay()) && !f.learner {
		s.suspect(g, f.peer.ID, false)
	}
	s.wakeBy(f.resendAt)
	if f.since != Never {
		s.wakeBy(f.reportAt)
	}
}

// underWay is how many bytes of keys and values were sent to the followers and a joining
// node and not acked: all of it shares this node's network.
func (g *group) underWay() int {
	bytes := 0
	if x := g.tenure.transfer; x != nil {
		bytes = x.underWay()
	}
	for i := range g.tenure.followers {
		f := &g.tenure.followers[i]
		for seq := max(f.matched, g.log.base.Seq) + 1; seq < f.next; seq++ {
			bytes += g.log.at(seq).bytes()
		}
	}
	return bytes
}
