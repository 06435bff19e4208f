package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// What a clerk concludes: whom the manager has to remove, what it has to presume, and who has to
// join.

// judge: each case of manager 3, in the order in which they come first.
func (k *clerk) judge(g *docket) {
	q := g.q
	if q == nil || q.decided {
		return
	}
	k.review(g)
	accused, accuser := q.shown[q.accused], q.shown[q.accuser]
	if q.accuser == 0 || g.config.Position(q.accuser) < 0 {
		accuser = nil
	}
	switch {
	case accused.proof != answerYes:
		k.judgeSilent(g)
	case accuser == nil: // it works, and no primary misses it
		k.clear(g, false)
	case q.moved || accuser.says == answerYes:
		k.clear(g, true)
	case accuser.proof != answerYes: // the accuser is the one to be judged first
		if k.overdue(g, q.accuser) {
			k.seen["accuser accused"]++
			g.next = 0
			reported, by := q.accused, q.accuser
			k.clear(g, false)
			k.inquire(g, by, 0, nil)
			if g.q != nil {
				g.q.reported = reported
			}
		}
	case k.lasted(g, ruleDispute, ruleFarDispute):
		k.judgeDispute(g)
	}
}

// lasted tells whether the inquiry has lasted for so long, and for so many round trips more where
// the two are far away. They have had these once, if it follows a doubt.
func (k *clerk) lasted(g *docket, d time.Duration, trips time.Duration) bool {
	far := k.node(g.q.accused).trips.least
	if n := k.node(g.q.accuser); n != nil {
		far = max(far, n.trips.least)
	}
	if g.doubts > 0 {
		far = 0
	}
	return k.due(g.q.begun.After(d + min(trips*far, 2*ruleLate)))
}

// overdue tells whether a member has not proved that it works, and should have.
func (k *clerk) overdue(g *docket, id NodeID) bool {
	n, s := k.node(id), g.q.shown[id]
	switch s.proof {
	case answerYes:
		return false
	case answerNo:
		return true
	}
	// Who answers nothing may miss so many pings, from its last answer on.
	late := min(max(2*n.trips.mean+4*n.trips.spread, n.trips.most), ruleLate)
	silence := n.answeredAt.After(k.pings(ruleSilence) + late)
	if n.answeredAt > s.since { // it answers pings, so it is its disk that is late
		wait := n.trips.wait(max(k.pings(4), k.opt.ProbeTimeout))
		at := s.since.After(wait)
		if n.missed > 0 {
			at = max(at, min(silence, at.After(wait)))
		}
		return k.due(at)
	}
	ask := k.pings(4)
	if n.trips.mean > 0 || k.own.Since(n.since) < ruleFirst {
		ask = n.trips.wait(ask)
	}
	return k.due(max(s.since.After(ask), silence))
}

// word is what a node says of the accused now.
func (k *clerk) word(g *docket, id NodeID) answer {
	s := g.q.shown[id]
	if s.open != 0 {
		wait, a, b := ruleFirst, &k.node(id).trips, &k.node(g.q.accused).trips
		if a.mean > 0 && b.mean > 0 {
			wait = max(k.pings(4), min(a.wait(0)+3*max(a.wait(0), b.wait(0)), ruleLate+ruleDispute))
		}
		if k.due(s.at.After(wait)) {
			return answerNo
		}
	}
	return s.says
}

// words counts what the members say of the accused: all that are there, but for one.
func (k *clerk) words(g *docket, but NodeID) (yes, no, open int) {
	for _, p := range g.config.Chain {
		s := g.q.shown[p.ID]
		if p.ID == g.q.accused || p.ID == but || s.proof == answerNo {
			continue
		}
		switch k.word(g, p.ID) {
		case answerYes:
			yes++
		case answerOpen:
			open++
		case answerNo:
			if s.proof == answerYes {
				no++
			}
		}
	}
	return yes, no, open
}

func (k *clerk) outside(g *docket) answer {
	switch q := g.q; {
	case q.witness != 0:
		return k.word(g, q.witness)
	case q.asked:
		return answerNo // nobody is there
	}
	return answerOpen
}

// leave are those who go with the guilty: all that would be the primary, and do not work. ok is
// false while one of them has time.
func (k *clerk) leave(g *docket, guilty NodeID) (remove []NodeID, some, ok bool) {
	remove = []NodeID{guilty}
	for _, p := range g.config.Chain {
		if p.ID == guilty {
			continue
		}
		switch s := g.q.shown[p.ID]; {
		case s.proof == answerYes:
			return remove, true, true
		case s.proof == answerOpen && !(k.overdue(g, p.ID) && k.lasted(g, ruleCrowd, ruleFar)):
			return nil, true, false
		}
		remove = append(remove, p.ID)
	}
	return nil, false, true
}

func (k *clerk) judgeSilent(g *docket) {
	q := g.q
	s := q.shown[q.accused]
	if !k.overdue(g, q.accused) {
		return
	}
	remove, some, ok := k.leave(g, q.accused)
	yes, _, open := k.words(g, 0)
	outside := k.outside(g)
	switch {
	case !ok:
	case !some: // the last is never removed
		k.seen["nobody would stay"]++
		k.rest(g)
	case s.resigned:
		k.seen["resigned"]++
		k.remove(g, remove, false)
	case yes > 0 || outside == answerYes:
		after, trips := ruleVouched, time.Duration(ruleFar)
		if by := q.shown[q.accuser]; by != nil && g.config.Position(q.accuser) >= 0 && by.says != answerYes {
			after, trips = ruleStuck, ruleFarDispute
		}
		if k.lasted(g, after, trips) {
			k.seen["vouched for, and goes"]++
			k.remove(g, remove, true)
		}
	case k.node(q.accused).gone || s.proof == answerNo && len(g.config.Chain)-len(remove) > 1:
		k.seen["ended"]++
		k.remove(g, remove, false)
	case open > 0 || outside == answerOpen:
		if !q.asked {
			k.askAbout(g)
		}
	case s.proof == answerOpen && k.crowd() && !k.lasted(g, ruleCrowd, ruleFar):
		k.seen["crowd"]++
	default:
		k.seen["silent to all"]++
		k.remove(g, remove, false)
	}
}

// crowd: most members are silent, and not since their processes have ended.
func (k *clerk) crowd() bool {
	silent, all := 0, 0
	for _, n := range k.nodes {
		if k.of(n.peer.ID) == nil || n.gone || n.refused != Never {
			continue
		}
		if all++; k.silent(n) {
			silent++
		}
	}
	return silent > 2 && 2*silent > all
}

// judgeDispute: two who answer, and do not reach each other.
func (k *clerk) judgeDispute(g *docket) {
	q := g.q
	yes, no, open := k.words(g, q.accuser)
	if yes+no+open == 0 {
		switch k.outside(g) {
		case answerOpen:
			return
		case answerYes:
			yes = 1
		}
	}
	switch {
	case open > 0:
	case yes <= no:
		k.seen["accused goes"]++
		k.remove(g, []NodeID{q.accused}, true)
	default:
		if remove, some, ok := k.leave(g, q.accuser); ok {
			k.seen["accuser goes"]++
			if !some {
				remove = nil
			}
			k.remove(g, remove, true)
		}
	}
}

// remove: one member is left though somebody who goes answers only after several inquiries.
func (k *clerk) remove(g *docket, who []NodeID, answers bool) {
	if answers && len(g.config.Chain)-len(who) < 2 {
		if g.doubts++; g.doubts < ruleInquiries {
			k.seen["doubted"]++
			k.rest(g)
			return
		}
		k.seen["doubted no more"]++
	}
	g.q.decided = true
	k.orders = append(k.orders, fmt.Sprintf("group %d without %v", g.config.Group, who))
}

func (k *clerk) rest(g *docket) {
	g.quiet = k.own.After(k.pings(k.opt.MissesMax))
	k.clear(g, false)
}

// clear ends an inquiry that removes nobody.
func (k *clerk) clear(g *docket, moved bool) {
	q := g.q
	if moved {
		g.doubts = 0
		k.seen["moved"]++
	}
	k.events = append(k.events, fmt.Sprintf("clears %d of group %d, moved %t", q.accused, g.config.Group, moved))
	next, proofs := g.next, (*hearing)(nil)
	if q.reported != 0 && q.shown[q.accused].proof == answerYes { // too late for its report, but it works
		proofs = q
		next = cmp.Or(next, q.reported)
	}
	g.q, g.next = nil, 0
	if next != 0 {
		k.seen["next"]++
		k.inquire(g, next, g.config.Chain[0].ID, proofs)
	}
}

// endJoin gives a join up, unless a command about the group's membership is under way.
func (k *clerk) endJoin(g *docket) {
	if g == nil || g.config.Joining.ID == 0 || g.changing {
		return
	}
	k.seen["join ended"]++
	k.quarantine(k.node(g.config.Joining.ID))
	g.failed[g.config.Joining.ID] = k.own
	g.changing = true
	k.orders = append(k.orders, fmt.Sprintf("group %d has nobody join", g.config.Group))
}

// quarantine: twice as long each time, for as long as the last time is not long ago.
func (k *clerk) quarantine(n *record) {
	n.flaps = k.flaps(n)
	wait := k.opt.QuarantineMin
	for range n.flaps {
		wait = min(2*wait, k.opt.QuarantineMax)
	}
	n.flaps++
	n.flappedAt, n.quarantined, n.steady = k.own, k.own.After(wait), k.own
	k.events = append(k.events, fmt.Sprintf("puts %d in quarantine", n.peer.ID))
}

func (k *clerk) flaps(n *record) uint {
	if k.own.Since(n.flappedAt) > 4*k.opt.QuarantineMax {
		return 0
	}
	return n.flaps
}

// heal: the group with the fewest members first; a spare that never failed it, else the one that
// failed it longest ago.
func (k *clerk) heal() {
	groups := slices.Clone(k.groups)
	slices.SortStableFunc(groups, func(a, b *docket) int { return cmp.Compare(len(a.config.Chain), len(b.config.Chain)) })
	for _, g := range groups {
		c := g.config
		lost := g.loss != lossNone
		if lost {
			k.giveUpDrains(g)
		}
		switch {
		case lost && g.loss == lossCertain:
			k.endJoin(g)
		case lost || g.changing || g.q != nil:
		case c.Joining.ID != 0:
			if k.silent(k.node(c.Joining.ID)) || k.own.Since(g.begun) > k.opt.JoinTimeout {
				k.endJoin(g)
			}
		case !k.answers(k.node(c.Chain[0].ID)):
		case k.lacks(g) > 0 && k.allFailed(g):
			k.giveUpDrains(g)
		case k.lacks(g) > 0 && k.recruit(g):
		default:
			k.dismiss(g)
		}
	}
	k.settleDrains()
}

// staying are the members that are not being drained.
func (k *clerk) staying(g *docket) (list []*record) {
	for _, p := range g.config.Chain {
		if n := k.node(p.ID); !n.draining {
			list = append(list, n)
		}
	}
	return list
}

func (k *clerk) lacks(g *docket) int {
	n := k.opt.Replicas + 1 - len(k.staying(g))
	if g.config.Joining.ID != 0 {
		n--
	}
	return max(0, n)
}

// mayDrain: others need the spares that there are, or nobody can take its place.
func (k *clerk) mayDrain(g *docket) bool {
	lacking := 0
	for _, o := range k.groups {
		if o.loss == lossNone {
			lacking += k.lacks(o)
		}
	}
	return g.loss == lossNone && len(k.spares(false)) >= lacking
}

// letStay takes a drain back.
func (k *clerk) letStay(n *record) {
	if !n.deciding {
		k.seen["drain taken back"]++
		n.deciding = true
		k.orders = append(k.orders, fmt.Sprintf("%d stays", n.peer.ID))
	}
}

func (k *clerk) giveUpDrains(g *docket) {
	for _, p := range g.config.Chain {
		if n := k.node(p.ID); n.draining {
			k.letStay(n)
		}
	}
}

// allFailed: since the drains began each spare has tried to join, in vain.
func (k *clerk) allFailed(g *docket) bool {
	since := longAgo
	for _, p := range g.config.Chain {
		if n := k.node(p.ID); n.draining {
			since = max(since, n.drained)
		}
	}
	spares := k.spares(false)
	return since != longAgo && len(spares) > 0 && !slices.ContainsFunc(spares, func(n *record) bool {
		at, failed := g.failed[n.peer.ID]
		return !failed || at < since
	})
}

// dismiss: who is drained goes once the group is as strong as it should be without, and never before
// the one to be the primary answers.
func (k *clerk) dismiss(g *docket) {
	stay := k.staying(g)
	if len(stay) == len(g.config.Chain) {
		return
	}
	if len(stay) <= k.opt.Replicas {
		k.giveUpDrains(g)
		return
	}
	var remove []NodeID
	for _, p := range g.config.Chain {
		if n := k.node(p.ID); n.draining && !n.deciding {
			remove = append(remove, p.ID)
		}
	}
	if len(remove) > 0 && k.answers(stay[0]) {
		k.seen["dismissed"]++
		g.changing = true
		k.orders = append(k.orders, fmt.Sprintf("group %d without %v", g.config.Group, remove))
	}
}

// drain has the managers know that a node is to be drained.
func (k *clerk) drain(n *record) {
	if !n.draining && !n.deciding {
		n.deciding = true
		k.orders = append(k.orders, fmt.Sprintf("drains %d", n.peer.ID))
	}
}

// settleDrains: who is in no chain, and is not to be, can be stopped.
func (k *clerk) settleDrains() {
	for _, n := range k.nodes {
		if n.gone || n.draining && k.of(n.peer.ID) == nil && k.joins(n.peer.ID) == nil {
			delete(k.awaited, n.peer.ID)
		}
	}
}

func (k *clerk) recruit(g *docket) bool {
	list := k.spares(false)
	if len(list) == 0 {
		list = slices.DeleteFunc(k.spares(true), func(n *record) bool {
			if len(g.config.Chain) == 1 {
				at, failed := g.failed[n.peer.ID]
				return failed && k.own.Since(at) < min(k.opt.QuarantineMin, k.opt.JoinTimeout)
			}
			return k.own.Since(n.steady) < time.Duration(min(k.flaps(n)+1, 8))*k.opt.QuarantineMin
		})
		if len(list) > 0 {
			k.seen["recruits out of quarantine"]++
		}
	}
	if len(list) == 0 {
		return false
	}
	ago := func(at Time, some bool) Time {
		if !some {
			return longAgo
		}
		return at
	}
	best := slices.MinFunc(list, func(a, b *record) int {
		af, as := g.failed[a.peer.ID]
		bf, bs := g.failed[b.peer.ID]
		return cmp.Or(cmp.Compare(ago(af, as), ago(bf, bs)), cmp.Compare(ago(a.flappedAt, a.flaps > 0), ago(b.flappedAt, b.flaps > 0)))
	})
	best.reserved = true
	g.changing = true
	k.seen["recruits"]++
	k.orders = append(k.orders, fmt.Sprintf("group %d has %d join", g.config.Group, best.peer.ID))
	return true
}

// lossOf is what is to be held of a node's data, by manager 5.
func (k *clerk) lossOf(n *record) loss {
	fresh := k.own.Since(n.evidence) <= 2*k.pings(k.opt.MissesMax+1)
	long := func(at Time) bool { return at != Never && k.own.Since(at) >= k.opt.LostAfter }
	switch {
	case n.gone:
		return lossCertain
	case k.own.Since(n.reached) <= k.opt.LostAfter:
		k.seen["reached by another"]++
		return lossNone
	case k.opt.Durable && fresh && long(n.other) && n.replaced:
		return lossDoubtful
	case k.opt.Durable:
		return lossNone
	case fresh && long(n.other), fresh && long(n.refused) && k.own.Since(n.told) <= k.opt.LostAfter:
		return lossPresumed
	case k.own.Since(n.quiet) >= 10*k.opt.LostAfter && (k.own.Since(max(n.missedBy, n.told)) <= 10*k.opt.LostAfter || k.somebody()):
		return lossDoubtful
	}
	return lossNone
}

func (k *clerk) somebody() bool {
	return slices.ContainsFunc(k.nodes, func(n *record) bool { return !n.gone && k.answers(n) })
}

// judgeLoss: a group is lost as surely as the member of which it is least sure.
func (k *clerk) judgeLoss(g *docket) {
	l := lossCertain
	for _, p := range g.config.Chain {
		l = min(l, k.lossOf(k.node(p.ID)))
	}
	if l > g.loss {
		k.seen[fmt.Sprintf("loss %d", l)]++
		g.loss = l
		k.events = append(k.events, fmt.Sprintf("group %d is lost, for certain %t", g.config.Group, l == lossCertain))
	}
	k.haltFor(g)
}

// haltFor: nothing halts for what may be on a disk, or for silence.
func (k *clerk) haltFor(g *docket) {
	if g.loss != lossPresumed && g.loss != lossCertain || !k.opt.HaltOnLoss || k.haltAt != Never {
		return
	}
	k.haltAt = k.own.After(k.opt.DrainTime)
	if g.loss == lossPresumed {
		k.haltAt = k.haltAt.After(k.opt.LostAfter)
	}
}

// askOthers: where no member is there, another node tries each.
func (k *clerk) askOthers() {
	for _, g := range k.groups {
		missing := func(n *record) bool {
			return n.gone || k.own.Since(min(n.refused, n.other)) >= k.opt.LostAfter/4 || k.own.Since(n.quiet) >= 5*k.opt.LostAfter
		}
		if g.loss != lossNone || slices.ContainsFunc(g.config.Chain, func(p Peer) bool { return !missing(k.node(p.ID)) }) || !k.somebody() {
			continue
		}
		for _, p := range g.config.Chain {
			n := k.node(p.ID)
			if n.gone {
				continue
			}
			if len(k.asks) == 0 || !k.answers(k.node(k.asks[0].to)) {
				k.fail("it has to ask somebody who answers about %d, and asks %v", p.ID, k.asks)
				return
			}
			if nonce := k.asked(k.asks[0].to, p.ID); n.question == 0 {
				n.question = nonce
			} else if n.question != nonce {
				k.fail("it asks about %d with another question than before", p.ID)
			}
		}
	}
}
