package core

import (
	"slices"
	"time"
)

// tenure is a primary's time in office: from the epoch that made it primary,
// over later epochs in which it stays, until it is deposed or restarts.
type tenure struct {
	// A new primary serves once it has waited out what it granted to the one
	// before, and every required member holds durably all that it inherited.
	reconciled bool
	inherited  Seq
	notBefore  Time

	durable Seq      // the prefix of its own log that is durable here
	members []member // the required set without the primary itself (rule R3), and perhaps a learner

	round   uint64  // of the last flush
	flushed Seq     // the log's end at the last flush
	sent    []Time  // when the rounds were sent; see sentAt
	reads   []read  // gets that wait for a round, in rising order of it
	parked  []ask   // requests that wait for reconciliation, or for the node that joins
	pending []write // the entries behind the commit point, in log order
	bytes   int     // of user data in pending
	sweepAt Time    // when to look for idle sessions

	unparking bool // what was parked is being taken in

	transfer *transfer // of the node that joins, if any
	trimmed  Seq       // what every required member holds durably, as last told to them
}

// member is what the primary knows of another required member.
type member struct {
	peer    Peer
	learner bool   // a joining node of which nothing is required yet
	acked   Epoch  // the highest epoch in which it acked; below the current one the config goes along
	matched Seq    // the prefix it holds durably
	first   uint64 // rounds before it were sent before it had the snapshot, and count for nothing
	asked   uint64 // the last round sent to it
	round   uint64 // the highest round it answered
	lease   Time   // it has promised to follow nobody else until then

	from  Seq    // where to send from again: all before is known to match
	next  Seq    // where to send from
	back  uint64 // the round in which a Nack last took next back
	since Time   // when it last made progress while something is owed; Never when nothing is

	sentAt      Time // when it was last sent again what it lacks, or made progress
	resendAt    Time
	resendAfter time.Duration
	reportAt    Time

	trips    roundTrips // of rounds
	question question   // of somebody who wants to know whether it still moves
}

// question is a Probe that is not answered yet; nobody asks if nonce is 0.
type question struct {
	nonce uint64
	by    Peer
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
	client  Peer
	req     uint64
	session Seq
	opSeq   uint64
	bytes   int
}

// beginTenure starts to reconcile: everything inherited goes to every member,
// and each must ack explicitly in this epoch (rule R5). A missing ack is not
// zero: the member may hold more than this primary ever hears of.
func (g *group) beginTenure() {
	t := &tenure{inherited: g.log.last(), notBefore: g.grantUntil, sweepAt: g.s.now.After(g.s.opt.SessionTTL / 4)}
	g.tenure = t
	from := g.log.last() + 1
	if g.commit > 0 && from-g.commit <= BatchEntriesMax {
		from = g.commit + 1 // most likely some lack the uncommitted suffix: spare them a Nack
	}
	for _, p := range g.config.Chain[1:] {
		t.members = append(t.members, member{peer: p, from: from, next: from, since: Never, resendAt: g.s.now, reportAt: Never})
	}
	for _, s := range g.state.sessions {
		s.touched = g.s.now
	}
	g.s.wakeBy(t.notBefore)
	g.flushSoon()
}

// continueTenure goes on in a higher epoch with the members that stay and what
// is known of them (rule R6). Rounds and acks of the old epoch that are still
// under way no longer count, so a new round goes out.
func (g *group) continueTenure() {
	t := g.tenure
	stay := make([]member, 0, len(g.config.Chain))
	for _, p := range g.config.Chain[1:] {
		if m := t.member(p.ID); m != nil && !m.learner {
			m.peer = p
			stay = append(stay, *m)
		}
	}
	if len(stay) != len(g.config.Chain)-1 {
		g.broken("the chain grew without a join: %v", g.config.Chain)
	}
	if j := g.config.Joining; t.joining(j.ID) && t.transfer.start == g.config.Start {
		if m := t.member(j.ID); m != nil { // a learner, or proposed already
			m.peer = j
			stay = append(stay, *m)
		}
	}
	t.members = stay
	g.followJoin()
	g.flushSoon()
}

func (t *tenure) removeMember(id NodeID) {
	t.members = slices.DeleteFunc(t.members, func(m member) bool { return m.peer.ID == id })
}

// required is how many nodes' acks a commit needs, the primary's own included.
func (t *tenure) required() int {
	n := 1
	for i := range t.members {
		if !t.members[i].learner {
			n++
		}
	}
	return n
}

// flushSoon asks for a Tick before the Output leaves, so that everything that
// came in together goes out as one batch for each member.
func (g *group) flushSoon() { g.dirty, g.s.dirty = true, true }

func (t *tenure) member(id NodeID) *member {
	for i := range t.members {
		if t.members[i].peer.ID == id {
			return &t.members[i]
		}
	}
	return nil
}

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
	for i := range t.members {
		g.replicate(&t.members[i])
	}
	g.advance() // a lone primary's gets need nobody's answer
}

// roundsMax bounds how many rounds' times are kept. Beyond it an old round earns no
// lease and tells no round trip, which is only a loss of speed.
const roundsMax = 1024

func (t *tenure) nextRound(g *group) {
	t.round++
	if t.sent == nil {
		t.sent = make([]Time, roundsMax)
	}
	t.sent[t.round%roundsMax] = g.s.now
}

// sentAt tells when a round was first sent.
func (t *tenure) sentAt(round uint64) (Time, bool) {
	if t.sent == nil || round == 0 || round > t.round || t.round-round >= roundsMax {
		return 0, false
	}
	return t.sent[round%roundsMax], true
}

// replicate sends a member what it lacks, as far as the window goes, or an
// empty Replicate when it lacks nothing.
func (g *group) replicate(m *member) {
	t := g.tenure
	window := m.from + Seq(g.s.opt.PendingMax) - 1
	for {
		entries := g.log.batch(m.next, window)
		r := &Replicate{Group: g.id, Epoch: g.config.Epoch, Round: t.round, Prev: g.log.mark(m.next - 1), Entries: entries, Commit: g.commit, Trim: t.trimmed}
		if m.acked < g.config.Epoch {
			r.Config = g.config
		}
		g.send(m.peer, r)
		m.next += Seq(len(entries))
		if len(entries) == 0 || m.next > min(window, g.log.last()) {
			break
		}
	}
	m.asked = t.round
	if m.since == Never {
		g.expect(m)
	}
}

// expect has the time run in which a member must make progress.
func (g *group) expect(m *member) {
	m.since, m.sentAt = g.s.now, g.s.now
	m.resendAfter = g.s.opt.ResendInterval
	if m.trips.known() {
		m.resendAfter = m.trips.patience(m.resendAfter)
	}
	m.resendAt = g.s.now.After(m.resendAfter)
	m.reportAt = g.s.now.After(m.trips.patience(g.s.opt.AckTimeout))
	g.s.wakeBy(min(m.resendAt, m.reportAt))
}

// onAck counts an ack of the current epoch. One of an older epoch says nothing:
// in this epoch the member may have to answer otherwise.
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
	m := t.member(from.ID)
	if m == nil || a.Round < m.first {
		g.s.drop(from)
		return
	}
	g.credit(m, a)
	g.advance()
}

func (g *group) credit(m *member, a *Ack) {
	t := g.tenure
	progress := a.Epoch > m.acked || a.Round > m.round || a.Matched > m.matched
	m.acked = a.Epoch
	m.round = max(m.round, a.Round)
	m.matched = max(m.matched, a.Matched)
	m.from = max(m.from, m.matched+1)
	m.next = max(m.next, m.from)
	if at, ok := t.sentAt(a.Round); ok {
		m.lease = max(m.lease, at.After(g.config.Lease))
		if progress {
			m.trips.observe(g.s.now.Since(at))
		}
	}
	if progress {
		m.question.answer(g.s, false)
	}
	switch {
	case m.round == m.asked && m.matched == g.log.last():
		m.since = Never // all is answered; the next heartbeat asks again
		m.resendAt = g.s.now.After(g.heartbeat())
		g.s.wakeBy(m.resendAt)
	case progress:
		g.expect(m)
		if m.next <= g.log.last() { // the window has moved
			g.replicate(m)
		}
	}
}

// heartbeat is how long a member may hear nothing: short enough that leases
// are renewed before they end.
func (g *group) heartbeat() time.Duration {
	if g.config.Reads == ReadLease {
		return min(g.s.opt.HeartbeatInterval, g.config.Lease/3)
	}
	return g.s.opt.HeartbeatInterval
}

// onNack goes back to where the member's log ends or agrees, once for each
// round, or learns of the config that deposes this primary.
func (g *group) onNack(from Peer, n *Nack) {
	if n.Config != nil {
		if n.Config.Group == g.id {
			g.s.adopt(n.Config)
		}
		return
	}
	t := g.tenure
	if t == nil || n.Epoch > g.config.Epoch || n.Round > t.round {
		return
	}
	m := t.member(from.ID)
	if m == nil || n.Round < m.first || n.Round <= m.back {
		return
	}
	if n.Epoch < g.config.Epoch {
		m.acked = min(m.acked, n.Epoch) // it asks for the config
	} else {
		// No member lacks what was trimmed.
		m.from = max(m.matched, g.log.base.Seq, min(n.Last, g.log.last())) + 1
	}
	m.next = m.from
	m.back = t.round
	t.nextRound(g)
	g.replicate(m)
}

// onMemberDown reports a member at once whose connection broke or whose
// address is no longer its own.
func (g *group) onMemberDown(peer Peer, refused bool) {
	if g.tenure == nil {
		return
	}
	m := g.tenure.member(peer.ID)
	if m == nil || m.peer.Addr != peer.Addr || m.learner && !refused {
		return
	}
	if refused {
		m.question.answer(g.s, true)
	}
	g.s.suspect(g, peer.ID, refused)
}

// askAgain has a question answered by a member's next progress: on the same
// connection, behind all that is under way, so that something big which does not
// get through shows. It returns false when the node is no member.
func (g *group) askAgain(id NodeID, q question) bool {
	m := g.tenure.member(id)
	if m == nil {
		return false
	}
	if m.question != q {
		m.question = q
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
	matched, round := t.durable, t.round
	for i := range t.members {
		if m := &t.members[i]; !m.learner {
			matched = min(matched, m.matched)
			round = min(round, m.round)
		}
	}
	g.commitTo(matched)
	g.serveReads(round)
	g.considerJoin()
	if t.transfer != nil && !t.transfer.complete {
		g.pump()
	}
	g.unparkSoon()
	t.trimmed = max(t.trimmed, g.keepFor(min(matched, g.commit)))
	g.trim(t.trimmed)
}

// mayServe tells whether a new primary has done its duty (rule R5).
func (g *group) mayServe() bool {
	t := g.tenure
	if g.durable < g.config.Epoch || t.durable < t.inherited || g.s.now < t.notBefore {
		return false
	}
	for i := range t.members {
		if m := &t.members[i]; !m.learner && (m.acked < g.config.Epoch || m.matched < t.inherited) {
			return false
		}
	}
	return true
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
	if s.now >= t.sweepAt {
		g.sweepSessions()
	}
	s.wakeBy(t.sweepAt)
	g.tickTransfer()
	g.unpark()
	for i := range t.members {
		g.tickMember(&t.members[i])
	}
	if g.dirty {
		g.flush()
	}
}

// tickMember sends a heartbeat to a member that owes nothing, and to one that
// does the same again; and reports it when its time is over.
func (g *group) tickMember(m *member) {
	s := g.s
	if s.now >= m.resendAt && !g.dirty {
		if m.since == Never {
			g.flushSoon()
			m.resendAt = s.now.After(g.heartbeat())
		} else if m.resendAt = m.sentAt.After(m.resendAfter + transferTime(g.underWay())); s.now >= m.resendAt {
			m.sentAt = s.now
			m.resendAfter = min(2*m.resendAfter, max(m.resendAfter, 8*s.opt.ResendInterval))
			m.resendAt = s.now.After(m.resendAfter)
			m.next = m.from
			g.replicate(m)
		}
	}
	if m.since != Never && s.now >= m.reportAt {
		wait := min(m.trips.patience(s.opt.AckTimeout)+transferTime(g.underWay()), progressMax)
		if m.reportAt = m.since.After(wait); s.now >= m.reportAt {
			m.reportAt = s.now.After(s.opt.AckTimeout)
			if !m.learner {
				s.suspect(g, m.peer.ID, false)
			}
		}
	}
	s.wakeBy(m.resendAt)
	if m.since != Never {
		s.wakeBy(m.reportAt)
	}
}

// progressMax is the most that a primary waits for a member's progress before it
// reports the member, however much is under way.
const progressMax = patienceMax + time.Second

// underWay is how many bytes of keys and values were sent to the members and not
// acked: all of it shares this node's network.
func (g *group) underWay() int {
	bytes := 0
	for i := range g.tenure.members {
		m := &g.tenure.members[i]
		for seq := max(m.matched, g.log.base.Seq) + 1; seq < m.next; seq++ {
			bytes += g.log.at(seq).bytes()
		}
	}
	return bytes
}
