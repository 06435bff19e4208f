package core

import (
	"cmp"
	"maps"
	"slices"
)

// session remembers the last operation of a client's session and its result,
// so that a retry is answered and not executed again (rule R12).
type session struct {
	id     Seq
	owner  NodeID // the client that opened it; nobody else can use it
	last   uint64
	result result

	// proposed is the number of the last write that the primary took into its log in its
	// tenure; the write may be pending still. It is not replicated.
	proposed uint64

	ended Seq // of the entry that ended it; 0 while it is open

	// touched is when the primary last heard of the session in its tenure. It is not
	// replicated.
	touched Time

	slot   uint32 // its own, in sessions.slots
	placed bool   // it is in sessions.idle or sessions.ended; not while an entry that ends it is pending
	links  [2]link
}

const (
	// endedMax bounds the ended sessions that are remembered, those that had written
	// and those that had not. It is the same on every node, since which of them are
	// remembered is a part of the state.
	endedMax = SessionsMax / 4
	// openMax bounds the open sessions of any log, whatever its primaries took in.
	openMax = SessionsMax - 2*endedMax
)

// sessions is a group's table of sessions. One that ended while its client lives is
// remembered for some time: its client can be told for certain what became of the last
// operation, and that a later one was not executed and never will be. Those that never
// wrote are remembered apart, so that opening many makes no other forgotten.
type sessions struct {
	slots  []session // counted from 1; a session found in it is good until the next is added
	free   []uint32  // slots
	byID   map[Seq]uint32
	owners map[NodeID]queue
	idle   queue    // the open ones; at the primary the one that was idle longest is the first
	ended  [2]queue // those that had not written, those that had; the one that ended first is the first

	// touched has the ids of those that the entry applied last opened, changed or removed,
	// for the durable records.
	touched []Seq
}

// queue is a list of sessions, by their slots; 0 stands for none. Slots can be copied with
// all that leads from one to another, and pointers cannot.
type queue struct {
	first, last uint32
	size        int
}

// link says what is before and after a session in a queue.
type link struct{ before, after uint32 }

// A session is in two queues: one of idle and ended, and that of its owner.
const (
	byPlace = iota
	byOwner
)

// at returns the session in a slot, or nil.
func (t *sessions) at(slot uint32) *session {
	if slot == 0 {
		return nil
	}
	return &t.slots[slot-1]
}

// push makes a session the last of a queue.
func (t *sessions) push(q *queue, s *session, by int) {
	s.links[by] = link{before: q.last}
	if last := t.at(q.last); last != nil {
		last.links[by].after = s.slot
	} else {
		q.first = s.slot
	}
	q.last = s.slot
	q.size++
}

// cut takes a session out of a queue.
func (t *sessions) cut(q *queue, s *session, by int) {
	l := s.links[by]
	if before := t.at(l.before); before != nil {
		before.links[by].after = l.after
	} else {
		q.first = l.after
	}
	if after := t.at(l.after); after != nil {
		after.links[by].before = l.before
	} else {
		q.last = l.before
	}
	q.size--
}

// find returns the session with that id, or nil.
func (t *sessions) find(id Seq) *session { return t.at(t.byID[id]) }

// openSize is how many sessions are open.
func (t *sessions) openSize() int { return len(t.byID) - t.ended[0].size - t.ended[1].size }

// add gives a session a slot, and returns it there.
func (t *sessions) add(s session) *session {
	if t.byID == nil {
		t.byID, t.owners = make(map[Seq]uint32), make(map[NodeID]queue)
	}
	if n := len(t.free); n > 0 {
		s.slot, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.slots = append(t.slots, session{})
		s.slot = uint32(len(t.slots))
	}
	t.byID[s.id] = s.slot
	added := t.at(s.slot)
	*added = s
	mine := t.owners[s.owner]
	t.push(&mine, added, byOwner)
	t.owners[s.owner] = mine
	return added
}

// place puts a session at the end of idle or ended.
func (t *sessions) place(q *queue, s *session) {
	t.push(q, s, byPlace)
	s.placed = true
}

// unplace takes it out again.
func (t *sessions) unplace(q *queue, s *session) {
	t.cut(q, s, byPlace)
	s.placed = false
}

func (t *sessions) open(id Seq, owner NodeID) {
	if t.openSize() >= openMax {
		t.end(t.eldest(), id)
	}
	t.touched = append(t.touched, id)
	t.place(&t.idle, t.add(session{id: id, owner: owner}))
}

// eldest is the open session that was opened first. It is the same on every node.
func (t *sessions) eldest() *session {
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		if s := t.find(id); s.ended == 0 {
			return s
		}
	}
	return nil
}

// end ends a session, unless it is nil or has ended, by the entry at seq. The one that
// ended longest ago makes room.
func (t *sessions) end(s *session, seq Seq) {
	if s == nil || s.ended > 0 {
		return
	}
	t.touched = append(t.touched, s.id)
	if s.placed {
		t.unplace(&t.idle, s)
	}
	s.ended = seq
	order := t.endedAs(s)
	t.place(order, s)
	if order.size > endedMax {
		t.remove(t.at(order.first))
	}
}

// endedAs is the list of ended sessions that a session belongs to.
func (t *sessions) endedAs(s *session) *queue { return &t.ended[min(s.last, 1)] }

// wrote notes the result of an open session's write.
func (t *sessions) wrote(s *session, opSeq uint64, r result) {
	t.touched = append(t.touched, s.id)
	s.last, s.result = opSeq, r
}

func (t *sessions) remove(s *session) {
	switch {
	case s.ended > 0:
		t.unplace(t.endedAs(s), s)
	case s.placed:
		t.unplace(&t.idle, s)
	}
	mine := t.owners[s.owner]
	t.cut(&mine, s, byOwner)
	if t.owners[s.owner] = mine; mine.size == 0 {
		delete(t.owners, s.owner)
	}
	delete(t.byID, s.id)
	t.touched = append(t.touched, s.id)
	t.free = append(t.free, s.slot)
	*s = session{}
}

// forget removes all sessions of a client that has closed: it will ask for none again.
func (t *sessions) forget(owner NodeID) {
	for t.owns(owner) {
		t.remove(t.at(t.owners[owner].first))
	}
}

// owns tells whether a client has a session that is remembered.
func (t *sessions) owns(owner NodeID) bool { return t.owners[owner].size > 0 }

// beginTenure takes it that the primary has just heard of every open session. Which one
// was idle longest, only the results tell.
func (t *sessions) beginTenure(now Time) {
	var open []*session
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		s := t.find(id)
		s.proposed = 0 // what an earlier tenure proposed may be cut
		if s.ended == 0 {
			s.touched = now
			open = append(open, s)
		}
	}
	slices.SortStableFunc(open, func(a, b *session) int { return cmp.Compare(a.usedAt(), b.usedAt()) })
	t.idle = queue{}
	for _, s := range open {
		t.place(&t.idle, s)
	}
}

// touch notes that the primary has heard of a session.
func (t *sessions) touch(s *session, now Time) {
	s.touched = now
	if s.ended == 0 && s.placed {
		t.cut(&t.idle, s, byPlace)
		t.push(&t.idle, s, byPlace)
	}
}

// idlest returns the open session that was idle longest and is not about to end, or nil.
func (t *sessions) idlest() *session {
	return t.at(t.idle.first)
}

// usedAt is the seq of the last entry that is known to be of the session.
func (s *session) usedAt() Seq {
	if s.result.status == StatusOK {
		return max(s.id, s.result.version)
	}
	return s.id
}

// records returns the sessions as a snapshot holds them, by their ids.
func (t *sessions) records() []SessionRecord {
	records := make([]SessionRecord, 0, len(t.byID))
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		records = append(records, t.find(id).record())
	}
	return records
}

func (s *session) record() SessionRecord {
	return SessionRecord{s.id, s.owner, s.last, s.result.status, s.result.version, s.ended}
}

// restore adds what records say to an empty table.
func (t *sessions) restore(records []SessionRecord) {
	var ended []uint32
	for _, r := range records {
		s := t.add(session{id: r.ID, owner: r.Owner, last: r.Last, result: result{r.Status, r.Version}, ended: r.Ended})
		if s.ended > 0 {
			ended = append(ended, s.slot)
		} else {
			t.place(&t.idle, s)
		}
	}
	slices.SortFunc(ended, func(a, b uint32) int { return cmp.Compare(t.at(a).ended, t.at(b).ended) })
	for _, slot := range ended {
		t.place(t.endedAs(t.at(slot)), t.at(slot))
	}
}

// onOpen logs a new session of the sender. Its seq will be its id, which therefore is
// never used twice (rule R12). A full table drops the session that was idle longest.
func (g *group) onOpen(from Peer, op *Op) {
	t := g.tenure
	if t.opening > 0 {
		for i := range t.pending {
			w := &t.pending[i]
			if w.kind == OpOpen && w.req == op.Req && w.client.ID == from.ID { // asked again before it is committed
				w.client = from
				return
			}
		}
	}
	// Two entries may be needed, and one client that opens many must leave room for
	// writes: opens take half of what may be pending.
	if len(t.pending) >= (g.s.opt.PendingMax+1)/2 {
		g.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	if !g.admits(from, op) {
		return
	}
	if !g.hasShare(from.ID) {
		g.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	if g.taken() >= g.s.opt.SessionsMax && !g.endIdlest() {
		g.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	t.opening++
	g.append(Entry{Kind: OpOpen, Owner: from.ID}, write{kind: OpOpen, client: from, req: op.Req})
}

// taken is how many sessions the primary has to count: the open ones that are not about to
// end, and those about to open.
func (g *group) taken() int { return g.state.sessions.idle.size + g.tenure.opening }

// endIdlest makes room for one session. It returns false when all are about to end.
func (g *group) endIdlest() bool {
	s := g.state.sessions.idlest()
	if s != nil {
		g.endSession(s)
	}
	return s != nil
}

// hasShare makes room for one session among those of its client's name. It returns false when
// that has its share, and all of them are about to open or to end. It looks at every session
// only where so many are open that a name may have its share.
func (g *group) hasShare(owner NodeID) bool {
	share := max(1, g.s.opt.SessionsMax/2)
	if !g.s.opt.SessionsShared || g.taken() < share {
		return true
	}
	count, idlest := 0, (*session)(nil)
	table := &g.state.sessions
	for s := table.at(table.idle.first); s != nil; s = table.at(s.links[byPlace].after) {
		if !s.owner.sameName(owner) {
			continue
		}
		if count++; idlest == nil {
			idlest = s
		}
	}
	for i := range g.tenure.pending {
		if w := &g.tenure.pending[i]; w.kind == OpOpen && w.client.ID.sameName(owner) {
			count++
		}
	}
	if count < share {
		return true
	}
	if idlest != nil {
		g.endSession(idlest)
	}
	return idlest != nil
}

func (g *group) endSession(s *session) {
	g.state.sessions.unplace(&g.state.sessions.idle, s)
	g.append(Entry{Kind: OpExpire, Session: s.id}, write{kind: OpExpire, session: s.id})
}

// onClose logs that the sender has closed. With that all its sessions end. It is taken in
// beyond the limits too, once: it makes room, and its sender does not come back.
func (g *group) onClose(from Peer, op *Op) {
	opens := false
	for i := range g.tenure.pending {
		w := &g.tenure.pending[i]
		if w.client.ID == from.ID && w.kind == OpClose {
			w.client, w.req = from, op.Req
			return
		}
		opens = opens || w.client.ID == from.ID && w.kind == OpOpen
	}
	if !opens && !g.state.sessions.owns(from.ID) {
		g.answer(from, op.Req, result{status: StatusOK})
		return
	}
	g.append(Entry{Kind: OpClose, Owner: from.ID}, write{kind: OpClose, client: from, req: op.Req})
}

// onWrite admits a write of a session (rule R12). A retry of a pending write takes over
// its place, and so gets the answer. A retry of the session's last write gets the stored
// result. An older write is dropped: nobody waits for it. Another client's session is
// none at all.
func (g *group) onWrite(from Peer, op *Op) {
	t := g.tenure
	s := g.state.sessions.find(op.Session)
	switch {
	case s == nil || s.owner != from.ID:
		g.refuse(from, op.Req, StatusSessionExpired, nil)
		return
	case op.OpSeq == 0: // no client numbers so; and it would pass for a retry of nothing
		g.s.event(Event{Kind: EventDropped, Group: g.id, Node: from.ID})
		return
	}
	g.state.sessions.touch(s, g.s.now)
	last := max(s.last, s.proposed)
	if w := t.pendingWrite(op, last); w != nil {
		w.client, w.req = from, op.Req
		g.retried(op, 0)
		return
	}
	switch {
	case op.OpSeq < last:
		g.s.event(Event{Kind: EventDropped, Group: g.id, Node: from.ID})
	case op.OpSeq == s.last:
		g.retried(op, s.result.status)
		g.answer(from, op.Req, s.result)
	case s.ended > 0: // what was taken in behind its end was not executed either
		g.answer(from, op.Req, result{StatusSessionEnded, s.id})
	case g.admits(from, op):
		s.proposed = op.OpSeq
		g.append(Entry{Kind: op.Kind, Session: op.Session, OpSeq: op.OpSeq, Key: op.Key, Value: op.Value, Version: op.Version},
			write{kind: op.Kind, client: from, req: op.Req, session: op.Session, opSeq: op.OpSeq})
	}
}

// pendingWrite returns the pending write of which op is a retry, or nil. The last is the
// number of the session's last write: what comes after it is new, and need not be looked for.
func (t *tenure) pendingWrite(op *Op, last uint64) *write {
	if op.OpSeq > last {
		return nil
	}
	for i := range t.pending {
		if w := &t.pending[i]; w.session == op.Session && w.opSeq == op.OpSeq {
			return w
		}
	}
	return nil
}

func (g *group) retried(op *Op, stored Status) {
	g.s.event(Event{Kind: EventRetried, Status: stored, Group: g.id, Epoch: g.config.Epoch, Session: op.Session, OpSeq: op.OpSeq})
}

// sweepSessions proposes the expiry of sessions that were idle for long. It is
// a logged entry, so that every member ends them at the same place.
func (g *group) sweepSessions() {
	t := g.tenure
	ttl := g.s.opt.SessionTTL
	t.sweepAt = g.s.now.After(ttl / 4)
	if !t.reconciled {
		return
	}
	for s := g.state.sessions.idlest(); s != nil && g.s.now.Since(s.touched) > ttl && len(t.pending) < g.s.opt.PendingMax; {
		g.endSession(s)
		s = g.state.sessions.idlest()
	}
}
