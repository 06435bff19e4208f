package core

// What n1 must do with what clients ask, by R4, R8 and R12.

func (w *drawnGroup) onOp(from Peer, op *Op) {
	m, t := &w.m, w.m.tenure
	switch {
	case m.config.Epoch == 0:
		w.reply(from, &Reply{Group: 1, Req: op.Req, Status: StatusNotPrimary})
	case t == nil && m.config.Chain[0].ID == w.me(): // restarted
		w.refuse(from, op.Req, StatusNotPrimary, nil)
	case t == nil:
		w.refuse(from, op.Req, StatusNotPrimary, m.config)
	case op.Kind <= OpCAS && op.Key == "":
		w.refuse(from, op.Req, StatusTooLarge, nil)
	case !t.reconciled:
		w.park(from, op)
	case op.Kind == OpGet:
		w.onGet(from, op)
	case op.Kind == OpOpen:
		w.onOpen(from, op)
	case op.Kind == OpClose:
		w.onClose(from, op)
	default:
		w.onWrite(from, op)
	}
}

// park: a request that comes again keeps its place.
func (w *drawnGroup) park(from Peer, op *Op) {
	t := w.m.tenure
	bytes := len(op.Key) + len(op.Value)
	for i := range t.parked {
		if p := &t.parked[i]; p.client.ID == from.ID && p.op.Req == op.Req {
			p.client = from
			return
		}
		bytes += len(t.parked[i].op.Key) + len(t.parked[i].op.Value)
	}
	if len(t.parked) >= w.opt.ParkedMax || bytes > w.opt.PendingBytesMax {
		w.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	t.parked = append(t.parked, ask{from, op})
	w.counts["parked"]++
}

func (w *drawnGroup) onGet(from Peer, op *Op) {
	t := w.m.tenure
	switch {
	case w.leaseLives():
		w.served(ask{from, op}, w.m.commit)
		w.counts["by lease"]++
	case len(t.reads) >= w.opt.ReadsMax:
		w.refuse(from, op.Req, StatusOverloaded, nil)
	default:
		t.reads = append(t.reads, read{ask{from, op}, w.nextRound()})
		w.counts["gets"]++
	}
}

// nextRound is the first round that is sent after this moment. What was parked is taken in before
// the round that the same event sends.
func (w *drawnGroup) nextRound() uint64 { return w.begunBefore + 1 }

func (w *drawnGroup) overloaded(op *Op) bool {
	t, bytes := w.m.tenure, len(op.Key)+len(op.Value)
	for _, p := range t.pending {
		bytes += p.bytes
	}
	return len(t.pending) >= w.opt.PendingMax || bytes > w.opt.PendingBytesMax
}

// admits: R4, before anything is appended.
func (w *drawnGroup) admits(from Peer, op *Op) bool {
	switch {
	case len(w.m.config.Chain) < int(w.m.config.MinChain):
		w.refuse(from, op.Req, StatusUnavailable, nil)
	case w.overloaded(op):
		w.refuse(from, op.Req, StatusOverloaded, nil)
	default:
		return true
	}
	w.counts["not admitted"]++
	return false
}

func (w *drawnGroup) onOpen(from Peer, op *Op) {
	t := w.m.tenure
	for i := range t.pending {
		if p := &t.pending[i]; p.kind == OpOpen && p.req == op.Req && p.client.ID == from.ID {
			p.client = from
			return
		}
	}
	if len(t.pending) >= (w.opt.PendingMax+1)/2 {
		w.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	if !w.admits(from, op) {
		return
	}
	if share := max(1, w.opt.SessionsMax/2); w.opt.SessionsShared && w.taken() >= share && w.ofName(from.ID) >= share {
		if !w.evict(from, op, func(owner NodeID) bool { return owner>>NameBits == from.ID>>NameBits }) {
			return
		}
	}
	if w.taken() >= w.opt.SessionsMax && !w.evict(from, op, func(NodeID) bool { return true }) {
		return
	}
	w.append(Entry{Kind: OpOpen, Owner: from.ID}, modelWrite{kind: OpOpen, client: from, req: op.Req})
}

// ofName is how many sessions the clients of one name have, or are about to.
func (w *drawnGroup) ofName(client NodeID) (n int) {
	t := w.m.tenure
	for _, id := range w.m.state.open() {
		if !t.ending[id] && w.m.state.sessions[id].owner>>NameBits == client>>NameBits {
			n++
		}
	}
	for _, p := range t.pending {
		if p.kind == OpOpen && p.client.ID>>NameBits == client>>NameBits {
			n++
		}
	}
	return n
}

// evict: of the sessions that may, the one that was idle longest makes room. It returns false, and
// the opening is refused, if there is none.
func (w *drawnGroup) evict(from Peer, op *Op, may func(owner NodeID) bool) bool {
	t, idlest := w.m.tenure, Never
	for _, id := range w.m.state.open() {
		if !t.ending[id] && may(w.m.state.sessions[id].owner) {
			idlest = min(idlest, t.touched[id])
		}
	}
	if idlest == Never {
		w.refuse(from, op.Req, StatusOverloaded, nil)
		return false
	}
	e := w.entry(w.m.last() + 1)
	w.must(e.Kind == OpExpire, "nobody makes room for %+v", op)
	w.must(may(w.m.state.sessions[e.Session].owner), "another's session makes room")
	w.must(t.touched[e.Session] == idlest, "another than the one that was idle longest makes room")
	w.ends(e)
	w.counts["evicted"]++
	return true
}

func (w *drawnGroup) onClose(from Peer, op *Op) {
	t, opens := w.m.tenure, false
	for i := range t.pending {
		p := &t.pending[i]
		if p.client.ID == from.ID && p.kind == OpClose {
			p.client, p.req = from, op.Req
			return
		}
		opens = opens || p.client.ID == from.ID && p.kind == OpOpen
	}
	if !opens && !w.m.state.owns(from.ID) {
		w.answer(from, op.Req, result{status: StatusOK})
		return
	}
	w.append(Entry{Kind: OpClose, Owner: from.ID}, modelWrite{kind: OpClose, client: from, req: op.Req})
	w.counts["closed"]++
}

// onWrite: R12. A write that is under way, or was the last, is not done again.
func (w *drawnGroup) onWrite(from Peer, op *Op) {
	t, s := w.m.tenure, w.m.state.sessions[op.Session]
	if s == nil || s.owner != from.ID {
		w.refuse(from, op.Req, StatusSessionExpired, nil)
		return
	}
	t.touched[op.Session] = w.now
	last := max(s.last, t.proposed[op.Session])
	for i := range t.pending {
		if p := &t.pending[i]; p.session == op.Session && p.opSeq == op.OpSeq && p.kind != OpExpire {
			p.client, p.req = from, op.Req
			w.counts["retried"]++
			return
		}
	}
	switch {
	case op.OpSeq < last: // nobody waits for it
	case op.OpSeq == s.last:
		w.answer(from, op.Req, s.outcome)
		w.counts["done before"]++
	case s.ended:
		w.answer(from, op.Req, result{StatusSessionEnded, op.Session})
	case w.admits(from, op):
		t.proposed[op.Session] = op.OpSeq
		w.append(Entry{Kind: op.Kind, Session: op.Session, OpSeq: op.OpSeq, Key: op.Key, Value: op.Value, Version: op.Version},
			modelWrite{kind: op.Kind, client: from, req: op.Req, session: op.Session, opSeq: op.OpSeq})
	}
}

func (w *drawnGroup) onExport(from Peer, x *Export) {
	t := w.m.tenure
	switch {
	case t == nil:
		w.refusals = append(w.refusals, StatusNotPrimary)
	case !t.reconciled:
		w.refusals = append(w.refusals, StatusUnavailable)
	default:
		for _, e := range t.exports {
			if e.m.Req == x.Req {
				return
			}
		}
		if len(t.exports) >= exportsMax {
			w.refusals = append(w.refusals, StatusOverloaded)
			return
		}
		t.exports = append(t.exports, export{from, x, w.nextRound()})
	}
}
