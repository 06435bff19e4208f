package core

// onOp answers a client, takes its write into the log, or lets it wait.
func (g *group) onOp(from Peer, op *Op) {
	t := g.tenure
	if t != nil {
		t.askedAt = g.s.now
	}
	switch {
	case t == nil && (!g.isMember() || g.primary() != g.s.self.ID) && g.config.Epoch > 0:
		g.refuse(from, op.Req, StatusNotPrimary, g.config)
	case t == nil: // restarted: it serves in a later epoch only (rule R11)
		g.refuse(from, op.Req, StatusNotPrimary, nil)
	case !op.fits():
		g.refuse(from, op.Req, StatusTooLarge, nil)
	case !t.reconciled:
		g.park(from, op)
	case op.Kind == OpGet:
		g.onGet(from, op)
	case op.Kind == OpOpen:
		g.onOpen(from, op)
	case op.Kind == OpClose:
		g.onClose(from, op)
	default:
		g.onWrite(from, op)
	}
}

// bytes is the size of the user data that an operation brings.
func (op *Op) bytes() int { return len(op.Key) + len(op.Value) }

func (op *Op) fits() bool {
	return !op.Kind.hasKey() || len(op.Key) >= 1 && len(op.Key) <= KeyBytesMax && len(op.Value) <= ValueBytesMax
}

// onGet serves at once under a lease (rule R9), else lets the get wait for a
// round that is sent after it came in (rule R8).
func (g *group) onGet(from Peer, op *Op) {
	t := g.tenure
	if g.leaseLives() {
		g.serveRead(from, op, true)
		return
	}
	if len(t.reads) >= g.s.opt.ReadsMax {
		g.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	t.reads = append(t.reads, read{ask{from, op}, t.round + 1})
	g.flushSoon()
}

// serveReads answers the gets whose round every required member has answered.
// A member that left since then is no longer asked; none can have been added.
func (g *group) serveReads(round uint64) {
	t := g.tenure
	n := 0
	for n < len(t.reads) && t.reads[n].round <= round {
		g.serveRead(t.reads[n].client, t.reads[n].op, false)
		n++
	}
	if n > 0 {
		rest := copy(t.reads, t.reads[n:])
		clear(t.reads[rest:])
		t.reads = t.reads[:rest]
	}
}

func (g *group) serveRead(to Peer, op *Op, byLease bool) {
	g.s.event(Event{Kind: EventRead, Group: g.id, Epoch: g.config.Epoch, Seq: g.commit, Effect: byLease})
	r := &Reply{Group: g.id, Req: op.Req, Status: StatusNotFound, Epoch: g.config.Epoch}
	if v, ok := g.state.values.get(op.Key); ok {
		r.Status, r.Version, r.Value = StatusOK, v.version, v.data
	}
	g.send(to, r)
}

// admits checks what must hold before anything is appended; after that only a
// committed result ends the operation (rule R4).
func (g *group) admits(from Peer, op *Op) bool {
	t := g.tenure
	switch {
	case len(g.config.Chain) < int(g.config.MinChain):
		g.refuse(from, op.Req, StatusUnavailable, nil)
	case len(t.pending) >= g.s.opt.PendingMax || t.bytes+op.bytes() > g.s.opt.PendingBytesMax:
		g.refuse(from, op.Req, StatusOverloaded, nil)
	case g.mustWait():
		g.park(from, op)
	default:
		if x := t.transfer; x != nil && x.squeezed {
			x.allowed -= weight(op.bytes())
		}
		return true
	}
	return false
}

func (g *group) append(e Entry, w write) {
	e.Epoch = g.config.Epoch
	seq := g.log.append(e)
	g.s.persistEntry(g.id, seq, g.log.at(seq))
	w.bytes = e.bytes()
	g.tenure.bytes += w.bytes
	g.tenure.pending = append(g.tenure.pending, w)
	g.flushSoon()
}

// finish takes the write at seq, which was applied, out of the queue. What was
// inherited was never in it; but a session that begins with that has not been idle before.
func (t *tenure) finish(g *group, seq Seq, r result) {
	if seq <= t.inherited {
		if s := g.state.sessions.find(seq); s != nil {
			g.state.sessions.touch(s, g.s.now)
		}
		return
	}
	w := t.pending[0]
	t.pending[0] = write{}
	t.pending = t.pending[1:]
	t.bytes -= w.bytes
	switch w.kind {
	case OpOpen:
		t.opening--
		if s := g.state.sessions.find(seq); s != nil {
			g.state.sessions.touch(s, g.s.now)
		}
	case OpExpire: // nobody used it
	default:
		if s := g.state.sessions.find(w.session); s != nil {
			g.state.sessions.touch(s, g.s.now)
		}
	}
	g.answer(w.client, w.req, r)
}

// refuse answers a request with the reason why it is not served, answer with its result.
// Neither sends anything when the peer is zero.
func (g *group) refuse(to Peer, req uint64, s Status, c *Config) {
	if to.ID == 0 {
		return
	}
	g.send(to, &Reply{Group: g.id, Req: req, Status: s, Epoch: g.config.Epoch, Config: c})
}

func (g *group) answer(to Peer, req uint64, r result) {
	if to.ID == 0 {
		return
	}
	g.send(to, &Reply{Group: g.id, Req: req, Status: r.status, Epoch: g.config.Epoch, Version: r.version})
}
