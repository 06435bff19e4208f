package core

// waiter is a client that waits for a unit to be mapped.
type waiter struct {
	client Peer
	req    uint64
}

// early is a lookup that came before the nodes that it needs had answered.
type early struct {
	waiter
	lookup *Lookup
}

func (m *Manager) onLookup(from Peer, b *Lookup) {
	w := waiter{from, b.Req}
	if !isKey(b.Key) {
		m.answer(w, LookupReply{Status: StatusTooLarge})
		return
	}
	u := m.dir.placement.Unit(b.Key)
	if id, ok := m.dir.units[u]; ok {
		m.tell(w, id)
		return
	}
	if !b.Create {
		m.deny(denial{waiter: w, unit: u})
		return
	}
	if m.waiting >= m.opt.WaitersMax || !m.hasRoom() {
		m.answer(w, LookupReply{Status: StatusOverloaded})
		return
	}
	if m.waits[w] {
		return
	}
	waiting, underWay := m.waiters[u]
	if !underWay && !m.place(u) {
		m.tellUnavailableSoon(w, b)
		return
	}
	m.waits[w] = true
	m.waiters[u] = append(waiting, w)
	m.waiting++
}

// tellUnavailableSoon answers that a unit has no group, but not yet where enough nodes
// have just registered, or answered a moment ago: then the lookup waits for them.
func (m *Manager) tellUnavailableSoon(w waiter, b *Lookup) {
	nodes := 0
	for _, c := range m.counted().idle {
		if c.evidence.refusedSince == Never && m.now.Since(max(c.since, c.answeredAt)) < firstPatience {
			nodes++
		}
	}
	if nodes-m.lacking()-m.opt.Spares <= m.opt.Replicas || len(m.early) >= m.opt.WaitersMax {
		m.tellUnavailable(w)
		return
	}
	if _, waits := m.waits[w]; !waits {
		m.waits[w] = false
		m.early = append(m.early, early{w, b})
	}
}

// lookUpAgain takes up the lookups that wait for a node's first answer. It is called
// with every ping.
func (m *Manager) lookUpAgain() {
	waiting := m.early
	m.early = nil
	inVain := false // the one before it waits on; so does the next, which costs no look at the nodes
	for _, e := range waiting {
		if inVain && m.KeyGroup(e.lookup.Key) == 0 {
			m.early = append(m.early, e)
			continue
		}
		if !m.waits[e.waiter] {
			delete(m.waits, e.waiter)
		}
		m.onLookup(e.client, e.lookup)
		inVain = len(m.early) > 0
	}
}

// tell answers a lookup with the unit's group.
func (m *Manager) tell(w waiter, id GroupID) {
	r := LookupReply{Status: StatusOK, Config: m.dir.group(id).config}
	if m.watch(id).loss != lossNone {
		r.Status = StatusGroupLost
	}
	m.answer(w, r)
}

func (m *Manager) answer(w waiter, r LookupReply) {
	r.Req, r.Placement = w.req, m.dir.placement
	m.send(w.client, &r)
}

func (m *Manager) tellUnavailable(w waiter) {
	m.answer(w, LookupReply{Status: StatusUnavailable, Have: uint32(len(m.spares())), Need: uint32(m.opt.Replicas + 1 + m.opt.Spares)})
}

// place proposes a group for a unit that has none: a new one while enough
// uninitialised nodes answer, else the next of the round robin. It returns
// false when there is neither, and no client waits for another unit.
func (m *Manager) place(u Unit) bool {
	o := &m.opt
	c := Command{Kind: CommandPlace, Unit: u, Terms: m.terms()}
	t := m.counted()
	c.Skip = t.lost
	var spares []*contact
	if len(t.idle)-t.lacking-o.Spares > o.Replicas || len(c.Skip) == len(m.dir.groups) { // else there can be none to take
		spares = m.spares()
	}
	if len(spares) <= o.Replicas && len(c.Skip) == len(m.dir.groups) {
		// Nothing else can take the unit: quarantine is no reason to refuse it.
		spares = m.unused(func(*contact) bool { return true })
	}
	// Healing comes before new groups.
	if len(spares)-m.lacking()-o.Spares > o.Replicas {
		for _, s := range spares[:o.Replicas+1] {
			s.reserved = true
			c.Members = append(c.Members, s.node.ID)
		}
	}
	if c.Members == nil && len(c.Skip) == len(m.dir.groups) && m.waiting == 0 {
		return false
	}
	m.propose(c)
	return true
}

// spares are the uninitialised nodes that answered recently, are not in
// quarantine or being drained, and that no command under way is about to use: a
// new group must not begin with the dead.
func (m *Manager) spares() []*contact {
	return m.unused(func(c *contact) bool { return m.now >= c.quarantined })
}

// unused are the uninitialised nodes that answer, are not being drained, are not about
// to be used, and fit. Quarantine is for fit to look at.
func (m *Manager) unused(fit func(*contact) bool) []*contact {
	var list []*contact
	for _, c := range m.answering() {
		if !c.node.draining && !c.reserved && !c.deciding && fit(c) {
			list = append(list, c)
		}
	}
	return list
}

func (m *Manager) placed(c *Command, a applied) {
	for _, id := range c.Members {
		m.contact(id).reserved = false
	}
	if a.formed {
		m.event(Event{Kind: EventFormed, Group: a.mapped})
	}
	if a.isNew {
		m.event(Event{Kind: EventMapped, Group: a.mapped})
	}
	waiting := m.waiters[c.Unit]
	delete(m.waiters, c.Unit)
	m.waiting -= len(waiting)
	for _, w := range waiting {
		delete(m.waits, w)
		if a.mapped == 0 {
			m.tellUnavailable(w)
		} else {
			m.tell(w, a.mapped)
		}
	}
}
