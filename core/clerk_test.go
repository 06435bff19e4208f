package core

import (
	"fmt"
	"time"
)

// A clerk reads all that a manager gets and sends, and says what it has to conclude: whom it
// inquires into, whom it asks, whom it removes and when, and which losses it presumes. It is
// written from the rules of PROTOCOL.md (manager 3 to 6) and the times beside them, sees no state
// of the manager, and looks at everything anew with each message. The manager is one that is
// alone, and pings everybody in each round.
type clerk struct {
	opt ManagerOptions

	own, driver  Time // the manager's own time, and the driver's at the last call
	stalled      bool // the last call came after a stall
	pingAt, wake Time // when the next round is due, and when it must look again, by its own time
	calm, haltAt Time // calm: when the manager began

	nodes  []*record // in the order of registration
	groups []*docket // by GroupID-1

	awaited map[NodeID]bool // by an operator, who wants to stop it

	asks           []asking          // that the manager has put in this call, and the clerk did not expect yet
	pinged, tokens map[NodeID]uint64 // in this call: the nonce and the token of each ping
	events, orders []string          // that the manager has to tell, and the commands that it has to propose, in this call
	halts          bool
	fail           func(format string, args ...any)
	seen           map[string]int // situations, and how often they came
}

// The times of the rules.
const (
	ruleSilence    = 7                       // pings that a member may miss
	ruleStall      = 2                       // pings between two calls are no stall
	ruleLate       = 2 * time.Second         // the most that an answer is waited for; a longer stall voids everything
	ruleFirst      = 1500 * time.Millisecond // for a first answer
	ruleDispute    = 1300 * time.Millisecond
	ruleVouched    = 2 * time.Second
	ruleStuck      = time.Second
	ruleCrowd      = time.Second
	ruleInquiries  = 2  // that must end alike before one member is left though a removed one answers
	ruleFar        = 4  // round trips that all these get longer
	ruleFarDispute = 10 // and in a dispute
	ruleWitness    = 16 // inquiries for which one node is asked at a time
)

// record is what the manager knows of a node.
type record struct {
	peer                    Peer
	token                   uint64
	gone, replaced          bool
	known                   bool // it has answered at this address
	reserved                bool // a command that uses it is under way
	draining, deciding      bool // it is to be drained; a command about that is under way
	drained                 Time // since when
	sent                    pingTimes
	pinged, answered        uint64
	missed                  int
	fresh                   bool
	since, answeredAt       Time // when it started; when it last answered
	quiet, provedAt, backAt Time
	boot                    Boot
	trips                   tripRecord
	flaps                   uint
	flappedAt, quarantined  Time
	steady                  Time

	refused, other, evidence, told, missedBy, reached Time
	question                                          uint64 // to others whether they reach it
}

// noToken is the token at an address to which no ping has brought one yet: nobody has it.
const noToken = 1<<64 - 1

// docket is what the manager knows of a group.
type docket struct {
	config   *Config
	q        *hearing // nil for none
	next     NodeID   // to be inquired into afterwards
	doubts   int
	quiet    Time // until then only the primary's report is looked into
	loss     loss
	begun    Time // when its join was begun or last made progress
	moved    JoinProgress
	failed   map[NodeID]Time
	changing bool // a command about its membership is under way
}

// hearing is an inquiry.
type hearing struct {
	accused, accuser, reported NodeID
	begun, wordsAt, again      Time
	question                   uint64
	shown                      map[NodeID]*shown
	witness                    NodeID // outside of the chain
	asked, moved, decided      bool
}

// shown is what somebody has shown in an inquiry.
type shown struct {
	proof    answer
	since    Time
	resigned bool
	hurried  bool

	says answer // whether it reaches the accused
	open uint64 // the question about that; 0 for none
	at   Time   // since when that is open
}

type asking struct {
	to, about NodeID
	nonce     uint64
}

// tripRecord is what RFC 6298 says of round trips, with the shortest and the longest lately.
type tripRecord struct{ mean, spread, least, most time.Duration }

func (r *tripRecord) note(d time.Duration) {
	d = max(1, min(d, ruleLate))
	if r.mean == 0 {
		*r = tripRecord{d, d / 2, d, d}
		return
	}
	off := d - r.mean
	r.mean += off / 8
	if off < 0 {
		off = -off
	}
	r.spread += (off - r.spread) / 4
	r.least = min(d, r.least+(r.mean-r.least)/64)
	r.most = max(d, r.most-(r.most-r.mean)/64)
}

func (r *tripRecord) wait(least time.Duration) time.Duration {
	if r.mean == 0 {
		return max(least, ruleFirst)
	}
	return max(least, min(r.mean+4*r.spread, ruleLate))
}

func (k *clerk) node(id NodeID) *record {
	for _, n := range k.nodes {
		if n.peer.ID == id {
			return n
		}
	}
	return nil
}

// of is the group of which a node is a member, or nil.
func (k *clerk) of(id NodeID) *docket {
	for _, g := range k.groups {
		if g.config.Position(id) >= 0 {
			return g
		}
	}
	return nil
}

func (k *clerk) joins(id NodeID) *docket {
	for _, g := range k.groups {
		if g.config.Joining.ID == id {
			return g
		}
	}
	return nil
}

func (k *clerk) pings(n int) time.Duration { return time.Duration(n) * k.opt.PingInterval }

// recent is how old the last answer of a node that is well can be.
func (k *clerk) recent(n *record) time.Duration {
	return k.pings(k.opt.MissesMax) + min(4*n.trips.spread, ruleLate)
}

func (k *clerk) answers(n *record) bool {
	return n != nil && n.known && k.own.Since(n.answeredAt) <= k.recent(n)+k.pings(1) && n.refused == Never && n.other == Never
}

func (k *clerk) silent(n *record) bool {
	return n.missed >= k.opt.MissesMax && k.own.Since(n.answeredAt) >= k.recent(n) && (n.trips.mean > 0 || k.own.Since(n.since) >= ruleFirst)
}

// due tells whether it is so late already. Else the manager must look again then.
func (k *clerk) due(at Time) bool {
	if k.own < at {
		k.wake = min(k.wake, at)
	}
	return k.own >= at
}

// passes is the manager's own time: a stall is none, and of one that stalls again one ping.
// It tells whether the stall was so long that nothing holds that was said before.
func (k *clerk) passes(now Time) (long bool) {
	d := now.Since(k.driver)
	k.driver = now
	switch stall := d > k.pings(ruleStall); {
	case !stall:
		k.own, k.stalled = k.own.After(d), false
	case k.stalled:
		k.own = k.own.After(k.pings(1))
	default:
		k.stalled = true
	}
	return d > ruleLate
}

// heard: it lives, so no loss is presumed of its group.
func (k *clerk) heard(n *record) {
	n.missed = min(n.missed, 19)
	n.quiet, n.question = k.own, 0
	n.refused, n.other, n.evidence, n.told, n.missedBy, n.reached = Never, Never, longAgo, longAgo, longAgo, longAgo
	if g := k.of(n.peer.ID); g != nil && g.loss != lossNone && g.loss != lossCertain {
		k.seen["withdrawn"]++
		g.loss, k.haltAt = lossNone, Never
		k.events = append(k.events, fmt.Sprintf("withdraws the loss of group %d", g.config.Group))
		k.orders = append(k.orders, fmt.Sprintf("group %d again", g.config.Group))
		for _, g := range k.groups {
			k.haltFor(g)
		}
	}
}

func (k *clerk) answeredNow(n *record) {
	n.fresh, n.missed, n.answeredAt = true, 0, k.own
	k.heard(n)
}

// notThere: its address refuses, or is another's.
func (k *clerk) notThere(n *record, since *Time) {
	if k.own.Since(n.evidence) > 2*k.pings(k.opt.MissesMax+1) {
		*n = n.without()
	}
	n.evidence, n.steady = k.own, k.own
	*since = min(*since, k.own)
	if g := k.of(n.peer.ID); g != nil && !(n.answeredAt == longAgo && k.own.Since(k.calm) < ruleFirst) {
		if q := g.q; q != nil && !q.decided {
			if s := q.shown[n.peer.ID]; s.proof == answerOpen {
				s.proof = answerNo
				if n.peer.ID == q.accused {
					for _, s := range q.shown {
						if s.says == answerYes {
							s.says, s.open = answerOpen, 0
						}
					}
				}
				k.judge(g)
			}
		}
	}
	k.endJoin(k.joins(n.peer.ID))
}

// without is the record without evidence of a loss.
func (n *record) without() record {
	c := *n
	c.refused, c.other, c.evidence, c.told, c.missedBy, c.reached, c.question = Never, Never, longAgo, longAgo, longAgo, longAgo, 0
	return c
}

// inquire begins an inquiry. The proofs of the one before may be good for it.
func (k *clerk) inquire(g *docket, accused, accuser NodeID, before *hearing) {
	by := "somebody"
	if accuser != 0 {
		by = "its primary"
	}
	k.events = append(k.events, fmt.Sprintf("inquires into %d of group %d, for %s", accused, g.config.Group, by))
	q := &hearing{accused: accused, accuser: accuser, begun: k.own, shown: map[NodeID]*shown{}}
	g.q = q
	for _, p := range g.config.Chain {
		q.shown[p.ID] = &shown{since: k.own}
		if before != nil && before.shown[p.ID].proof == answerYes {
			q.shown[p.ID].proof = answerYes
			k.seen["proof kept"]++
		}
	}
	k.review(g)
	k.ask(g)
	if accuser != 0 || k.node(accused).missed > 0 {
		k.askAbout(g)
	}
	k.judge(g)
}

// suspect looks into a member, unless that is being done.
func (k *clerk) suspect(g *docket, node, accuser NodeID) {
	switch {
	case g == nil || g.loss == lossCertain:
	case g.q == nil:
		if accuser != 0 || k.own >= g.quiet {
			k.inquire(g, node, accuser, nil)
		}
	case g.q.decided || accuser == 0:
	case g.q.accused != node:
		g.next = node
	case g.q.accuser == 0:
		g.q.accuser = accuser
		k.askAbout(g)
		k.judge(g)
	}
}

// asked takes a question that the manager must have put now.
func (k *clerk) asked(to, about NodeID) uint64 {
	if len(k.asks) == 0 || k.asks[0].to != to || k.asks[0].about != about {
		k.fail("it has to ask %d about %d, and asks %v", to, about, k.asks)
		return 0
	}
	nonce := k.asks[0].nonce
	k.asks = k.asks[1:]
	return nonce
}

// ask: who has not proved that it works is asked for that, again and again.
func (k *clerk) ask(g *docket) {
	q, wait := g.q, k.pings(1)
	for _, p := range g.config.Chain {
		if q.shown[p.ID].proof == answerOpen {
			wait = max(wait, k.node(p.ID).trips.mean)
			k.proof(q, p.ID)
		}
	}
	q.again = k.own.After(min(wait, ruleLate/4))
	k.due(q.again)
}

func (k *clerk) proof(q *hearing, of NodeID) {
	if nonce := k.asked(of, 0); q.question == 0 {
		q.question = nonce
	} else if nonce != q.question {
		k.fail("%d is asked for proof with another question than before", of)
	}
}

// askAbout: the others are asked whether they reach the accused, and asked anew when what they
// said is old.
func (k *clerk) askAbout(g *docket) {
	q := g.q
	anew := !q.asked || k.own.Since(q.wordsAt) >= 4*max(k.pings(1), k.node(q.accused).trips.mean)
	if anew {
		q.asked, q.wordsAt = true, k.own
	}
	put := func(to NodeID, s *shown) {
		fresh := s.open == 0 && (anew || s.says == answerOpen)
		if !fresh && s.open == 0 {
			return
		}
		if nonce := k.asked(to, q.accused); fresh {
			s.open, s.at = nonce, k.own
		} else if nonce != s.open {
			k.fail("%d is asked about %d with another question than before", to, q.accused)
		}
	}
	for _, p := range g.config.Chain {
		if p.ID != q.accused {
			put(p.ID, q.shown[p.ID])
		}
	}
	if !k.answers(k.node(q.witness)) {
		delete(q.shown, q.witness)
		q.witness = 0
		if q.witness = k.pickWitness(g); q.witness != 0 {
			k.seen["witness outside"]++
			q.shown[q.witness] = &shown{}
		}
	}
	if q.witness != 0 {
		put(q.witness, q.shown[q.witness])
	}
}

// pickWitness: the one that joins, else a spare, else one in quarantine; whoever is asked by the
// fewest.
func (k *clerk) pickWitness(g *docket) NodeID {
	if j := g.config.Joining.ID; j != 0 && k.answers(k.node(j)) {
		return j
	}
	witness := func(id NodeID) (n int) {
		for _, o := range k.groups {
			if o.q != nil && o.q.witness == id {
				n++
			}
		}
		return n
	}
	for _, quarantined := range []bool{false, true} {
		best := NodeID(0)
		for _, n := range k.spares(quarantined) {
			if best == 0 || witness(n.peer.ID) < witness(best) {
				best = n.peer.ID
			}
		}
		if best != 0 && witness(best) < ruleWitness {
			return best
		}
	}
	return 0
}

// spares are the nodes in no group that answer, and no command is about.
func (k *clerk) spares(quarantined bool) (list []*record) {
	for _, n := range k.nodes {
		if !n.gone && !n.reserved && !n.draining && !n.deciding && k.of(n.peer.ID) == nil && k.joins(n.peer.ID) == nil && k.answers(n) && (quarantined || k.own >= n.quarantined) {
			list = append(list, n)
		}
	}
	return list
}

// review takes back what holds no longer.
func (k *clerk) review(g *docket) {
	for _, p := range g.config.Chain {
		n, s := k.node(p.ID), g.q.shown[p.ID]
		switch {
		case n.gone:
			s.proof, s.says = answerNo, answerNo
		case s.proof == answerYes && !k.answers(n):
			k.seen["proof lapsed"]++
			s.proof, s.since = answerOpen, k.own
		case s.proof == answerNo && !s.resigned && k.answers(n):
			k.seen["failure lapsed"]++
			s.proof, s.since, s.hurried = answerOpen, k.own, false
		}
	}
}
