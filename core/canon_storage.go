package core

import (
	"cmp"
	"slices"
	"time"
)

// AppendState appends to b the canonical encoding of the node's state at time now, which
// must not be before its last call, and returns the extended buffer: see canon.go. Nodes of
// different roles cannot be compared. It must not be called amid a Step or a Tick.
func (s *Storage) AppendState(b []byte, now Time) []byte {
	c := canon{b, now}
	c.peer(&s.self)
	c.fixed(uint64(s.cluster))
	c.due(s.Deadline())
	c.peer(&s.manager)
	c.leaders(&s.leaders)
	c.num(uint64(s.boot))
	c.seen(&s.seen)
	c.fixed(s.token)
	c.fixed(s.secret)
	c.fixed(s.known)
	c.span(s.leaseMax)
	c.bool(s.started)
	c.bool(s.registered)
	c.due(s.registerAt)
	c.due(s.leaveBy)
	c.due(s.leaveAt)
	c.due(s.stopAt)
	c.relays(&s.relays)
	c.num(s.disk.nonce)
	c.bool(s.disk.owed)
	if s.disk.owed {
		c.ago(s.disk.since, forever) // a Pong tells it
	}
	c.num(uint64(len(s.groups)))
	for _, g := range s.groups {
		c.group(g)
	}
	return c.b
}

func (c *canon) leaders(l *leaders) {
	c.num(uint64(l.told))
	c.text(l.asked)
	c.peers(l.known)
	c.peers(l.kept)
}

func (c *canon) peers(list []Peer) {
	c.num(uint64(len(list)))
	for i := range list {
		c.peer(&list[i])
	}
}

func (c *canon) seen(v *directorySeen) {
	c.num(uint64(v.index))
	c.num(uint64(v.boot))
	c.fixed(v.start)
	c.num(uint64(v.before))
	c.num(uint64(v.noted))
}

// relays: where a free slot is shows in the nonces.
func (c *canon) relays(r *relays) {
	c.num(r.last)
	for i := range r.slots {
		if slot := &r.slots[i]; slot.nonce != 0 {
			c.num(slot.nonce)
			c.num(slot.asked)
			c.peer(&slot.by)
			c.peer(&slot.target)
			c.bool(slot.again)
		}
	}
	c.num(0)
}

func (c *canon) group(g *group) {
	c.num(uint64(g.id))
	c.config(g.config)
	c.num(uint64(g.durable))
	c.num(uint64(g.log.base.Epoch))
	c.num(uint64(g.log.base.Seq))
	c.num(uint64(len(g.log.entries)))
	for i := range g.log.entries {
		c.entry(&g.log.entries[i])
	}
	c.values(&g.state.values)
	c.sessions(&g.state.sessions, g.tenure != nil, g.s.opt.SessionTTL)
	c.num(uint64(g.commit))
	c.num(uint64(g.verified))
	c.num(uint64(g.applied))
	c.unsaved(&g.unsaved)
	c.num(uint64(g.noted))
	c.num(uint64(g.start))
	c.joiner(g.joiner)
	c.due(g.grantUntil)
	c.bool(g.dirty)
	c.bool(g.tenure != nil)
	if g.tenure != nil {
		c.tenure(g)
	}
}

// values are in the order of their slots, which is that of the items of a snapshot.
func (c *canon) values(v *values) {
	c.num(uint64(v.len()))
	for _, slab := range v.slabs {
		for i := range slab {
			it := &slab[i]
			c.text(it.key)
			c.text(it.data)
			c.num(uint64(it.version))
		}
	}
}

// sessions: which open session was idle for how long, and which write it has under way,
// counts at a primary only: a tenure begins by forgetting that. An owner's sessions are in
// the order of their ids.
func (c *canon) sessions(t *sessions, primary bool, ttl time.Duration) {
	c.num(uint64(len(t.byID)))
	if primary {
		c.num(uint64(t.idle.size))
		for s := t.at(t.idle.first); s != nil; s = t.at(s.links[byPlace].after) {
			c.session(s)
			c.num(s.proposed)
			c.ago(s.touched, ttl+1) // by then it is to be swept
		}
	}
	var few [8]uint32
	open := few[:0]
	for i := range t.slots {
		if s := &t.slots[i]; s.id != 0 && s.ended == 0 && !(primary && s.placed) {
			open = append(open, s.slot)
		}
	}
	slices.SortFunc(open, func(a, b uint32) int { return cmp.Compare(t.at(a).id, t.at(b).id) })
	c.num(uint64(len(open)))
	for _, slot := range open {
		c.session(t.at(slot))
		if primary {
			c.num(t.at(slot).proposed)
		}
	}
	for i := range t.ended {
		c.num(uint64(t.ended[i].size))
		for s := t.at(t.ended[i].first); s != nil; s = t.at(s.links[byPlace].after) {
			c.session(s)
			if primary {
				c.num(s.proposed)
			}
		}
	}
}

func (c *canon) session(s *session) {
	c.num(uint64(s.id))
	c.fixed(uint64(s.owner))
	c.num(s.last)
	c.num(uint64(s.result.status))
	c.num(uint64(s.result.version))
	c.num(uint64(s.ended))
}

func (c *canon) unsaved(u *unsaved) {
	c.num(uint64(len(u.effects)))
	for _, effect := range u.effects {
		c.bool(effect)
	}
	c.num(uint64(len(u.sessions)))
	for i := range u.sessions {
		change := &u.sessions[i]
		r := &change.record
		c.num(uint64(change.seq))
		c.num(uint64(r.ID))
		c.fixed(uint64(r.Owner))
		c.num(r.Last)
		c.num(uint64(r.Status))
		c.num(uint64(r.Version))
		c.num(uint64(r.Ended))
		c.bool(change.gone)
	}
}

func (c *canon) joiner(j *joiner) {
	c.bool(j != nil)
	if j == nil {
		return
	}
	c.num(uint64(j.tenure))
	c.num(j.attempt)
	c.num(j.next)
	c.fixed(j.sum)
	c.bool(j.begun)
	c.bool(j.complete)
	c.bool(j.void)
}

func (c *canon) tenure(g *group) {
	t := g.tenure
	c.num(uint64(t.began))
	c.bool(t.reconciled)
	if !t.reconciled {
		c.num(uint64(t.inherited))
		c.due(t.notBefore)
	}
	c.num(uint64(t.lacks))
	if t.lacks > 0 {
		c.due(t.resignAt)
	}
	c.num(uint64(t.durable))
	c.num(uint64(len(t.followers)))
	for i := range t.followers {
		c.follower(&t.followers[i])
	}
	c.num(t.round)
	c.num(uint64(t.flushed))
	c.rounds(g)
	c.num(uint64(len(t.reads)))
	for i := range t.reads {
		c.ask(&t.reads[i].ask)
		c.num(t.reads[i].round)
	}
	c.num(uint64(len(t.exports)))
	for i := range t.exports {
		c.peer(&t.exports[i].client)
		c.message(t.exports[i].m)
		c.num(t.exports[i].round)
	}
	c.num(uint64(len(t.parked)))
	for i := range t.parked {
		c.ask(&t.parked[i])
	}
	c.num(uint64(len(t.pending)))
	for i := range t.pending {
		c.pending(&t.pending[i])
	}
	c.due(t.sweepAt)
	c.ago(t.askedAt, idleMin) // joinRate asks no more
	c.num(uint64(t.trimmed))
	c.due(t.exportedTill)
	if c.now < t.exportedTill { // else the log is kept for no backup
		c.num(uint64(t.exported))
	}
	c.bool(t.transfer != nil)
	if t.transfer != nil {
		c.transfer(g, t.transfer)
	}
}

func (c *canon) ask(a *ask) {
	c.peer(&a.client)
	c.message(a.op)
}

func (c *canon) pending(w *write) {
	c.num(uint64(w.kind))
	c.peer(&w.client)
	c.num(w.req)
	c.num(uint64(w.session))
	c.num(w.opSeq)
}

// rounds are the times of the rounds to which an ack may still come. No round trip counts
// for more than patienceMax, and a lease from a round that is as long ago as a lease lasts is
// over. The mode and the length of a group's leases never change.
func (c *canon) rounds(g *group) {
	t, most := g.tenure, time.Duration(patienceMax)
	if g.config.Reads == ReadLease {
		most = max(most, g.config.Lease)
	}
	for round := t.round; ; round-- {
		at, ok := t.sentAt(round)
		if !ok {
			return
		}
		c.ago(at, most)
	}
}

// follower: while it owes nothing, the next time that it does sets when it is to be sent
// something again, and reported. A lease that is over is none. Of the round trips nobody asks
// for the shortest and the longest.
func (c *canon) follower(f *follower) {
	c.peer(&f.peer)
	c.bool(f.learner)
	c.num(uint64(f.acked))
	c.num(uint64(f.matched))
	c.num(f.round)
	c.num(f.first)
	c.due(f.lease)
	c.num(f.asked)
	c.num(uint64(f.from))
	c.num(uint64(f.next))
	c.num(f.back)
	c.due(f.resendAt)
	c.bool(f.since == Never)
	if f.since != Never {
		c.ago(f.since, progressMax) // by then it is to be reported, whatever is under way
		c.ago(f.sentAt, forever)
		c.span(f.resendAfter)
		c.due(f.reportAt)
	}
	c.span(f.trips.mean)
	c.span(f.trips.deviation)
	c.num(f.question.nonce)
	c.peer(&f.question.by)
}

func (c *canon) transfer(g *group, x *transfer) {
	c.peer(&x.peer)
	c.num(uint64(x.start))
	c.num(uint64(x.tenure))
	c.num(x.attempt)
	c.num(uint64(x.answered))
	c.num(uint64(x.cursor))
	c.num(uint64(x.position))
	c.fixed(x.sum)
	c.num(x.next)
	c.num(uint64(len(x.window)))
	for _, chunk := range x.window {
		c.message(chunk)
	}
	c.bool(x.complete)
	c.num(uint64(x.at.Epoch))
	c.num(uint64(x.at.Seq))
	c.bool(x.installed)
	c.bool(x.required)
	c.bool(x.caughtUp)
	c.num(x.keys)
	c.num(x.bytes)
	c.num(uint64(x.counted))
	c.num(uint64(x.behind))
	c.bool(x.timedAt == Never)
	if x.timedAt != Never {
		c.num(x.timed)
		c.ago(x.timedAt, time.Second) // hasRoom counts no more
	}
	c.span(min(x.trip, time.Second))
	c.squeeze(&x.squeeze)
	// What is not sent for longer than chunksMin chunks take is not made up for.
	longest := time.Duration(chunkItemBytesMax) * time.Second / time.Duration(g.s.opt.JoinRate)
	c.ago(x.sendAt, chunksMin*longest)
	if len(x.window) > 0 {
		c.due(x.resendAt)
		c.ago(x.sentAt, forever)
		c.span(x.resendAfter)
	}
	c.due(x.proposeAt)
}

// squeeze: what may be written is counted anew whenever writers begin to be held back.
func (c *canon) squeeze(q *squeeze) {
	c.bool(q.squeezed)
	if q.squeezed {
		c.num(uint64(q.allowed))
	}
	c.ago(q.caughtUpAt, squeezeAfter+1)
	c.ago(q.movedAt, squeezeStall)
	c.num(uint64(q.fed))
}
