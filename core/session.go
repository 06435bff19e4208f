package core

import (
	"slices"
	"sort"
)

// session remembers the last operation of a client's session and its result,
// so that a retry is answered and not executed again (rule R12).
type session struct {
	id     Seq
	owner  NodeID // the client that opened it; nobody else can use it
	last   uint64
	result result
	ended  Seq // of the entry that ended it; 0 while it is open

	// The rest is what the primary knows in its tenure, and is not replicated.
	touched Time // when it last heard of the session
	ending  bool // an entry that ends it is pending
}

// endedMax bounds the ended sessions that are remembered. It is the same on every
// node, since which of them are remembered is a part of the state.
const endedMax = SessionsMax / 4

// sessions is a group's table of sessions. One that expired is remembered for some
// time: its client can be told for certain what became of the last operation, and
// that a later one was not executed and never will be.
type sessions struct {
	list      []*session // ascending ids, which is the order of their opening
	endedSize int        // how many of them have ended

	// gone has the ids that left the table since the log was last trimmed, for the
	// durable records.
	gone []Seq
}

// find returns the session with that id, or nil.
func (t *sessions) find(id Seq) *session {
	i := sort.Search(len(t.list), func(i int) bool { return t.list[i].id >= id })
	if i < len(t.list) && t.list[i].id == id {
		return t.list[i]
	}
	return nil
}

// openSize is how many sessions are open.
func (t *sessions) openSize() int { return len(t.list) - t.endedSize }

// openMax bounds the open sessions of any log, whatever its primaries took in.
const openMax = SessionsMax - endedMax

func (t *sessions) open(id Seq, owner NodeID) {
	if t.openSize() >= openMax {
		oldest := slices.IndexFunc(t.list, func(s *session) bool { return s.ended == 0 })
		t.end(t.list[oldest].id, id)
	}
	t.list = append(t.list, &session{id: id, owner: owner})
}

// end ends a session by the entry at seq. The one that ended longest ago makes room.
func (t *sessions) end(id, seq Seq) {
	s := t.find(id)
	if s == nil || s.ended > 0 {
		return
	}
	s.ended = seq
	t.endedSize++
	if t.endedSize > endedMax {
		oldest := s
		for _, o := range t.list {
			if o.ended > 0 && o.ended < oldest.ended {
				oldest = o
			}
		}
		t.remove(func(o *session) bool { return o == oldest })
	}
}

// forget removes all sessions of a client that has closed: it will ask for none again.
func (t *sessions) forget(owner NodeID) {
	t.remove(func(s *session) bool { return s.owner == owner })
}

func (t *sessions) remove(leaves func(*session) bool) {
	t.list = slices.DeleteFunc(t.list, func(s *session) bool {
		if !leaves(s) {
			return false
		}
		if s.ended > 0 {
			t.endedSize--
		}
		t.gone = append(t.gone, s.id)
		return true
	})
}

// owns tells whether a client has an open session.
func (t *sessions) owns(owner NodeID) bool {
	return slices.ContainsFunc(t.list, func(s *session) bool { return s.owner == owner && s.ended == 0 })
}

// idlest returns the open session that was used longest ago and is not about to end,
// or nil. Of those that this primary has heard nothing of, it is the one with the
// oldest result.
func (t *sessions) idlest() *session {
	var found *session
	for _, s := range t.list {
		switch {
		case s.ended > 0 || s.ending:
		case found == nil, s.touched < found.touched, s.touched == found.touched && s.usedAt() < found.usedAt():
			found = s
		}
	}
	return found
}

// usedAt is the seq of the last entry that is known to be of the session.
func (s *session) usedAt() Seq {
	if s.result.status == StatusOK {
		return max(s.id, s.result.version)
	}
	return s.id
}

// records returns the sessions as a snapshot holds them.
func (t *sessions) records() []SessionRecord {
	list := make([]SessionRecord, len(t.list))
	for i, s := range t.list {
		list[i] = s.record()
	}
	return list
}

func (s *session) record() SessionRecord {
	return SessionRecord{s.id, s.owner, s.last, s.result.status, s.result.version, s.ended}
}

// restore adds what a record says.
func (t *sessions) restore(r *SessionRecord) {
	t.list = append(t.list, &session{id: r.ID, owner: r.Owner, last: r.Last, result: result{r.Status, r.Version}, ended: r.Ended})
	if r.Ended > 0 {
		t.endedSize++
	}
}

// onOpen logs a new session of the sender. Its seq will be its id, which therefore is
// never used twice (rule R12). A full table drops the session that was idle longest.
func (g *group) onOpen(from Peer, op *Op) {
	t := g.tenure
	opening := 0
	for i := range t.pending {
		w := &t.pending[i]
		if w.kind != OpOpen {
			continue
		}
		if w.req == op.Req && w.client.ID == from.ID { // asked again before it is committed
			w.client = from
			return
		}
		opening++
	}
	if !g.admits(from, op) {
		return
	}
	if g.state.sessions.openSize()+opening-t.ending >= g.s.opt.SessionsMax && !g.endIdlest() {
		g.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
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
	s.ending = true
	g.tenure.ending++
	g.append(Entry{Kind: OpExpire, Session: s.id}, write{kind: OpExpire, session: s.id})
}

// onClose logs that the sender has closed. With that all its sessions end.
func (g *group) onClose(from Peer, op *Op) {
	opens := func(w write) bool { return w.kind == OpOpen && w.client.ID == from.ID }
	if !g.state.sessions.owns(from.ID) && !slices.ContainsFunc(g.tenure.pending, opens) {
		g.answer(from, op.Req, result{status: StatusOK})
		return
	}
	if g.admits(from, op) {
		g.append(Entry{Kind: OpClose, Owner: from.ID}, write{kind: OpClose, client: from, req: op.Req})
	}
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
	s.touched = g.s.now
	last := s.last
	for i := range t.pending {
		w := &t.pending[i]
		if w.session != op.Session || w.opSeq == 0 {
			continue
		}
		if w.opSeq == op.OpSeq {
			w.client, w.req = from, op.Req
			g.retried(op, 0)
			return
		}
		last = max(last, w.opSeq)
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
		g.append(Entry{Kind: op.Kind, Session: op.Session, OpSeq: op.OpSeq, Key: op.Key, Value: op.Value, Version: op.Version},
			write{kind: op.Kind, client: from, req: op.Req, session: op.Session, opSeq: op.OpSeq})
	}
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
	for _, s := range g.state.sessions.list {
		if s.ended > 0 || s.ending || g.s.now.Since(s.touched) <= ttl || len(t.pending) >= g.s.opt.PendingMax {
			continue
		}
		g.endSession(s)
	}
}
