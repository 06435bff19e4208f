package core

import (
	"maps"
	"slices"
)

// AppendState is as Storage's. The manager's own time stands still while it stalls, so it
// counts how long ago the last call was, and all else is relative to that call. Its tokens
// are drawn from a source that is a part of the state: they go out with its pings.
func (m *Manager) AppendState(b []byte, now Time) []byte {
	c := canon{b, now}
	c.peer(&m.self)
	c.fixed(uint64(m.cluster))
	c.num(uint64(m.boot))
	c.num(uint64(m.began))
	c.fixed(m.start)
	c.bool(m.started)
	c.bool(m.ready)
	c.due(m.Deadline())
	if m.started {
		c.ago(m.driver, m.stallMax()+1)
	}
	c.now = m.now
	c.bool(m.stalled)
	c.due(m.pingAt)
	c.due(m.haltAt)
	c.ago(m.calm, firstPatience)
	c.num(uint64(m.proposed))
	c.num(uint64(len(m.underWay)))
	for _, at := range m.underWay {
		c.ago(at, forever) // the status tells it
	}
	c.bool(m.late)
	c.num(uint64(m.renewals))
	c.directory(m.dir)
	c.fold(&m.fold)
	c.num(uint64(len(m.contacts)))
	for _, contact := range m.contacts {
		c.contact(m, contact)
	}
	c.num(uint64(len(m.watches)))
	for i := range m.watches {
		c.watch(m, GroupID(i+1))
	}
	c.requests(m)
	c.num(m.nonce)
	c.num(uint64(m.rounds))
	c.num(uint64(m.shares))
	c.num(uint64(m.turns))
	c.num(uint64(m.turn))
	c.num(uint64(m.askedAbout))
	c.ago(m.tooManyAt, m.opt.LostAfter+1)
	c.b, _ = m.tokens.AppendBinary(c.b) // it never fails
	return c.b
}

func (c *canon) directory(d *Directory) {
	c.num(uint64(d.index))
	c.num(uint64(d.turn))
	c.num(uint64(len(d.nodes)))
	for _, n := range d.nodes {
		c.peer(&n.Peer)
		c.text(n.Name)
		c.num(n.Process)
		c.num(uint64(n.Boot))
		c.fixed(n.secret)
		c.num(uint64(n.since))
		c.num(uint64(n.group))
		c.num(uint64(n.joining))
		c.bool(n.gone)
		c.bool(n.draining)
		c.bool(n.replaced)
	}
	c.num(uint64(len(d.groups)))
	for _, g := range d.groups {
		c.config(g.config)
	}
	c.num(uint64(d.placement))
	c.num(uint64(len(d.units)))
	for _, u := range slices.Sorted(maps.Keys(d.units)) {
		c.text(string(u))
		c.num(uint64(d.units[u]))
	}
}

// fold: which nodes and groups have changed is sorted before it is used. A node is named by
// the command that listed it.
func (c *canon) fold(f *fold) {
	c.num(uint64(f.from))
	var nodes [8]Index
	list := nodes[:0]
	for _, n := range f.nodes {
		list = append(list, n.since)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	c.num(uint64(len(list)))
	for _, since := range list {
		c.num(uint64(since))
	}
	var groups [8]GroupID
	ids := append(groups[:0], f.groups...)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	c.num(uint64(len(ids)))
	for _, id := range ids {
		c.num(uint64(id))
	}
	c.num(uint64(len(f.units)))
	for _, u := range f.units {
		c.text(string(u))
	}
	c.num(uint64(len(f.batches)))
	for _, batch := range f.batches {
		c.writes(batch)
	}
}

// contact: of the times of the pings only those to which an answer would count. Whether the
// node has been away since such a ping is all that counts of when it came back.
func (c *canon) contact(m *Manager, n *contact) {
	c.num(uint64(n.turn))
	c.fixed(n.token)
	c.text(n.addr)
	c.bool(n.proven)
	c.num(n.pinged)
	c.num(n.answered)
	for i := range n.sentAt {
		if slot := &n.sentAt[i]; slot.nonce > n.answered {
			c.num(slot.nonce)
			c.ago(slot.at, patienceMax+1)
			c.bool(slot.at >= n.backAt)
		}
	}
	c.num(0)
	c.due(n.backAt)
	c.span(n.trips.mean)
	c.span(n.trips.deviation)
	c.span(n.trips.shortest)
	c.span(n.trips.longest)
	c.bool(n.fresh)
	c.num(uint64(n.missed))
	c.ago(n.since, firstPatience)
	c.bool(n.answeredAt == longAgo)
	c.ago(n.answeredAt, forever)
	c.ago(n.provedAt, m.opt.PingInterval)
	c.ago(n.remindedAt, patienceMax)
	c.num(uint64(len(n.claims)))
	for _, l := range n.claims {
		c.peer(&l.node.Peer)
		c.text(l.node.Name)
		c.num(l.node.Process)
		c.num(uint64(l.node.Boot))
		c.fixed(l.secret)
		c.fixed(l.before)
		c.fixed(l.inherited)
		c.num(l.nonce)
		c.bool(l.refused)
	}
	c.ago(n.quietSince, forever)
	c.evidence(m, &n.evidence)
	c.num(uint64(n.witness))
	c.bool(n.reserved)
	c.bool(n.registering)
	c.bool(n.ending)
	c.bool(n.deciding)
	c.num(uint64(n.refusal))
	if n.node.draining {
		c.ago(n.drainSince, forever)
	}
	c.due(n.quarantined)
	c.ago(n.steadySince, steadyMax*m.opt.QuarantineMin)
	c.num(uint64(n.flaps))
	if n.flaps > 0 {
		c.ago(n.flappedAt, forever)
	}
}

func (c *canon) evidence(m *Manager, e *evidence) {
	for _, since := range [...]Time{e.refusedSince, e.otherSince} {
		c.bool(since == Never)
		if since != Never {
			c.ago(since, m.opt.LostAfter)
		}
	}
	c.ago(e.at, forever)
	c.ago(e.toldAt, 10*m.opt.LostAfter+1)
	c.ago(e.missedAt, 10*m.opt.LostAfter+1)
	c.ago(e.reachedAt, m.opt.LostAfter+1)
	c.num(e.asked)
}

// watch: what is noted of a join counts while it goes on.
func (c *canon) watch(m *Manager, id GroupID) {
	w, j := &m.watches[id-1], &m.watches[id-1].join
	c.bool(w.inquiry != nil)
	if w.inquiry != nil {
		c.inquiry(m, w.inquiry)
	}
	c.fixed(uint64(w.next))
	c.num(uint64(w.doubts))
	c.due(w.quietTill)
	c.num(uint64(w.loss))
	c.num(w.keys)
	c.bool(j.proposed)
	c.bool(j.recruit)
	c.num(uint64(len(j.failed)))
	for i := range j.failed {
		c.fixed(uint64(j.failed[i].node))
		c.ago(j.failed[i].at, forever)
	}
	g := m.dir.group(id)
	if g == nil || g.config.Joining.ID == 0 {
		return
	}
	c.num(uint64(j.start))
	if j.start == g.config.Start {
		c.ago(j.begunAt, forever) // the status tells it
		c.ago(j.movedAt, m.opt.JoinTimeout+1)
	}
	p := &j.progress
	c.num(uint64(p.Group))
	c.num(uint64(p.Start))
	for _, n := range [...]uint64{p.Keys, p.KeysTotal, p.Bytes, p.BytesTotal} {
		c.num(n)
	}
}

// inquiry: its config is its group's. inquiryMax is by when all that may take its time is due.
func (c *canon) inquiry(m *Manager, s *inquiry) {
	const inquiryMax = vouchedMax + 2*patienceMax
	c.fixed(uint64(s.accused))
	c.fixed(uint64(s.accuser))
	c.ago(s.begun, inquiryMax)
	c.bool(s.moved)
	c.num(s.nonce)
	c.num(uint64(len(s.members)))
	for i := range s.members {
		t := &s.members[i]
		c.num(uint64(t.proof))
		c.ago(t.since, forever)
		c.bool(t.again)
		c.bool(t.resigned)
		c.word(m, &t.word)
	}
	c.fixed(uint64(s.outside.node))
	c.word(m, &s.outside.word)
	c.bool(s.asked)
	if s.asked {
		c.ago(s.wordsAt, 4*max(m.opt.PingInterval, patienceMax))
	}
	c.due(s.againAt)
	c.fixed(uint64(s.reported))
	c.bool(s.proposed)
}

func (c *canon) word(m *Manager, w *word) {
	c.num(uint64(w.answer))
	c.num(w.nonce)
	if w.nonce != 0 {
		c.ago(w.at, max(firstPatience, patienceMax+disputeMax, 4*m.opt.PingInterval)) // wordPatience is no longer
	}
}

// requests are those who wait for the manager.
func (c *canon) requests(m *Manager) {
	c.num(uint64(len(m.waiters)))
	for _, u := range slices.Sorted(maps.Keys(m.waiters)) {
		c.text(string(u))
		c.num(uint64(len(m.waiters[u])))
		for i := range m.waiters[u] {
			c.waiter(&m.waiters[u][i])
		}
	}
	c.num(uint64(len(m.early)))
	for i := range m.early {
		c.waiter(&m.early[i].waiter)
		c.message(m.early[i].lookup)
	}
	c.num(uint64(len(m.listing)))
	for _, id := range slices.Sorted(maps.Keys(m.listing)) {
		c.fixed(uint64(id))
		c.bool(m.listing[id])
	}
	for _, list := range [...][]operatorRequest{m.forgets, m.drains} {
		c.num(uint64(len(list)))
		for i := range list {
			c.waiter(&list[i].waiter)
			c.fixed(uint64(list[i].node))
		}
	}
	c.num(uint64(len(m.refused)))
	for i := range m.refused {
		r := &m.refused[i]
		c.waiter(&r.waiter)
		c.fixed(uint64(r.node))
		c.num(uint64(r.status))
	}
	c.num(uint64(len(m.about)))
	for _, nonce := range slices.Sorted(maps.Keys(m.about)) {
		c.num(nonce)
		c.fixed(uint64(m.about[nonce]))
	}
}

func (c *canon) waiter(w *waiter) {
	c.peer(&w.client)
	c.num(w.req)
}
