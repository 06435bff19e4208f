package core

import (
	"cmp"
	"container/list"
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

	ended Seq // of the entry that ended it, or of a write behind that; 0 while it is open

	// touched is when the primary last heard of the session in its tenure. It is not
	// replicated.
	touched Time

	place *list.Element // in sessions.idle or sessions.ended; nil while an entry that ends it is pending
	owned *list.Element // in sessions.owners
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
	byID   map[Seq]*session
	owners map[NodeID]*list.List
	idle   list.List    // the open ones; at the primary the one that was idle longest is the first
	ended  [2]list.List // those that had not written, those that had; the one that ended first is the first

	// touched has the ids of those that the entry applied last opened, changed or removed,
	// for the durable records.
	touched []Seq
}

// find returns the session with that id, or nil.
func (t *sessions) find(id Seq) *session { return t.byID[id] }

// openSize is how many sessions are open.
func (t *sessions) openSize() int { return len(t.byID) - t.ended[0].Len() - t.ended[1].Len() }

func (t *sessions) add(s *session) {
	if t.byID == nil {
		t.byID, t.owners = make(map[Seq]*session), make(map[NodeID]*list.List)
	}
	t.byID[s.id] = s
	if t.owners[s.owner] == nil {
		t.owners[s.owner] = list.New()
	}
	s.owned = t.owners[s.owner].PushBack(s)
}

func (t *sessions) open(id Seq, owner NodeID) {
	if t.openSize() >= openMax {
		t.end(t.eldest(), id)
	}
	s := &session{id: id, owner: owner}
	t.touched = append(t.touched, id)
	t.add(s)
	s.place = t.idle.PushBack(s)
}

// eldest is the open session that was opened first. It is the same on every node.
func (t *sessions) eldest() *session {
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		if s := t.byID[id]; s.ended == 0 {
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
	if s.place != nil {
		t.idle.Remove(s.place)
	}
	t.remember(s, seq)
}

func (t *sessions) remember(s *session, seq Seq) {
	s.ended = seq
	order := t.endedAs(s)
	s.place = order.PushBack(s)
	if order.Len() > endedMax {
		t.remove(order.Front().Value.(*session))
	}
}

// endedAs is the list of ended sessions that a session belongs to.
func (t *sessions) endedAs(s *session) *list.List { return &t.ended[min(s.last, 1)] }

// wrote notes the result of a session's write at seq. The session may have ended before.
func (t *sessions) wrote(s *session, opSeq uint64, seq Seq, r result) {
	if s.ended > 0 {
		t.endedAs(s).Remove(s.place)
	}
	t.touched = append(t.touched, s.id)
	s.last, s.result = opSeq, r
	if s.ended > 0 {
		t.remember(s, seq)
	}
}

func (t *sessions) remove(s *session) {
	switch {
	case s.ended > 0:
		t.endedAs(s).Remove(s.place)
	case s.place != nil:
		t.idle.Remove(s.place)
	}
	mine := t.owners[s.owner]
	mine.Remove(s.owned)
	if mine.Len() == 0 {
		delete(t.owners, s.owner)
	}
	delete(t.byID, s.id)
	t.touched = append(t.touched, s.id)
}

// forget removes all sessions of a client that has closed: it will ask for none again.
func (t *sessions) forget(owner NodeID) {
	for t.owners[owner] != nil {
		t.remove(t.owners[owner].Front().Value.(*session))
	}
}

// owns tells whether a client has a session that is remembered.
func (t *sessions) owns(owner NodeID) bool { return t.owners[owner] != nil }

// beginTenure takes it that the primary has just heard of every open session. Which one
// was idle longest, only the results tell.
func (t *sessions) beginTenure(now Time) {
	var open []*session
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		s := t.byID[id]
		s.proposed = 0 // what an earlier tenure proposed may be cut
		if s.ended == 0 {
			s.touched = now
			open = append(open, s)
		}
	}
	slices.SortStableFunc(open, func(a, b *session) int { return cmp.Compare(a.usedAt(), b.usedAt()) })
	t.idle.Init()
	for _, s := range open {
		s.place = t.idle.PushBack(s)
	}
}

// touch notes that the primary has heard of a session.
func (t *sessions) touch(s *session, now Time) {
	s.touched = now
	if s.ended == 0 && s.place != nil {
		t.idle.MoveToBack(s.place)
	}
}

// idlest returns the open session that was idle longest and is not about to end, or nil.
func (t *sessions) idlest() *session {
	if first := t.idle.Front(); first != nil {
		return first.Value.(*session)
	}
	return nil
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
		records = append(records, t.byID[id].record())
	}
	return records
}

func (s *session) record() SessionRecord {
	return SessionRecord{s.id, s.owner, s.last, s.result.status, s.result.version, s.ended}
}

// restore adds what records say to an empty table.
func (t *sessions) restore(records []SessionRecord) {
	var ended []*session
	for _, r := range records {
		s := &session{id: r.ID, owner: r.Owner, last: r.Last, result: result{r.Status, r.Version}, ended: r.Ended}
		t.add(s)
		if s.ended > 0 {
			ended = append(ended, s)
		} else {
			s.place = t.idle.PushBack(s)
		}
	}
	slices.SortFunc(ended, func(a, b *session) int { return cmp.Compare(a.ended, b.ended) })
	for _, s := range ended {
		s.place = t.endedAs(s).PushBack(s)
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
	if g.state.sessions.openSize()+t.opening-t.ending >= g.s.opt.SessionsMax && !g.endIdlest() {
		g.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	t.opening++
	g.append(Entry{Kind: OpOpen, Owner: from.ID}, write{kind: OpOpen, client: from, req: op.Req})
}

// endIdlest makes room for one session. It returns false when all are about to end.
func (g *group) endIdlest() bool {
	s := g.state.sessions.idlest()
	if s != nil {
		g.endSession(s)
	}
	return s != nil
}

func (g *group) endSession(s *session) {
	g.state.sessions.idle.Remove(s.place)
	s.place = nil
	g.tenure.ending++
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
	case op.OpSeq == last:
		g.retried(op, s.result.status)
		g.answer(from, op.Req, s.result)
	case op.OpSeq < last:
		g.s.event(Event{Kind: EventDropped, Group: g.id, Node: from.ID})
	case s.ended > 0:
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
