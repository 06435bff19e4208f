package core

import "fmt"

// group is a storage node's part in one group: its log, the state that the
// committed part of the log adds up to, and as the primary its tenure.
type group struct {
	s  *Storage
	id GroupID

	config  *Config // of the highest epoch adopted; never nil
	durable Epoch   // the highest epoch known to be durable here

	log    log
	state  state
	commit Seq // the commit point: state is the log up to here

	// verified is the prefix that matches the current epoch's primary's log. An
	// Ack speaks of this and not of the log's end, which may be a suffix that no
	// primary knows (rule R7).
	verified Seq
	// applied is, in durable mode, the position that the durable values and
	// sessions are the state of; the log before it can be trimmed. What was
	// committed since is unsaved.
	applied Seq
	unsaved unsaved
	noted   Seq // the commit point that is durable, or on its way to be
	// start names the join by which this node came, or is coming, into the group;
	// 0 when it was there from the beginning or is out. joiner is nil unless the
	// join is under way.
	start  Epoch
	joiner *joiner

	grantUntil Time // a primary may count on this node's lease until then

	tenure *tenure // nil unless this node is the primary, since it adopted that epoch
	dirty  bool    // the tenure has something to send before the Output leaves
}

func newGroup(s *Storage, id GroupID) *group {
	return &group{s: s, id: id, config: &Config{Group: id}, state: newState()}
}

func (g *group) isMember() bool { return g.config.Position(g.s.self.ID) >= 0 }

func (g *group) primary() NodeID { return g.config.Chain[0].ID }

// send lets a message of this group leave, but none in an epoch that is not
// durable here: a crash would take back the promise that the message makes.
func (g *group) send(to Peer, m Message) {
	if g.durable < g.config.Epoch {
		g.s.after(to, m)
	} else {
		g.s.send(to, m)
	}
}

func (g *group) event(k EventKind, seq Seq) {
	g.s.event(Event{Kind: k, Group: g.id, Epoch: g.config.Epoch, Seq: seq})
}

// fence notes that a message of an earlier epoch was not taken in.
func (g *group) fence(from Peer) {
	g.s.event(Event{Kind: EventFenced, Group: g.id, Epoch: g.config.Epoch, Node: from.ID})
}

// broken reports a violated internal invariant: better no node than one that
// goes on with a state that cannot be.
func (g *group) broken(format string, args ...any) {
	panic(fmt.Sprintf("core: node %v, group %d, epoch %d, log to %d, commit point %d: %s",
		g.s.self.ID, g.id, g.config.Epoch, g.log.last(), g.commit, fmt.Sprintf(format, args...)))
}

// adopt takes over a higher config: go on as the primary (rule R6), begin a
// tenure (rule R5), or follow another.
func (g *group) adopt(c *Config) {
	g.config = c
	g.verified = 0
	g.s.persistConfig(c)
	g.event(EventAdopted, g.log.last())
	if g.primary() != g.s.self.ID || g.tenure != nil && !g.tenure.knows(c) {
		g.depose(c)
	}
	switch {
	case g.isMember():
		if g.partial() {
			g.broken("made a member in the middle of a snapshot")
		}
		g.joiner = nil
	case c.Joining.ID != g.s.self.ID:
		g.leave()
	case c.Start != g.start || g.joiner == nil:
		g.beginJoin(c)
	}
	g.s.giveUpFormer(g)
	if g.primary() == g.s.self.ID {
		if g.tenure != nil {
			g.continueTenure()
		} else {
			g.beginTenure()
		}
	}
	// Tells this node when the epoch, and the log as it is, are durable.
	g.s.after(g.s.self, &Ack{Group: g.id, Epoch: c.Epoch, Matched: g.log.last()})
}

// depose ends a tenure: who still waits is sent on to the config that ends it.
func (g *group) depose(c *Config) {
	t := g.tenure
	if t == nil {
		return
	}
	g.tenure, g.dirty = nil, false
	g.event(EventDeposed, g.commit)
	for i := range t.pending {
		g.refuse(t.pending[i].client, t.pending[i].req, StatusNotPrimary, c)
	}
	for i := range t.reads {
		g.refuse(t.reads[i].client, t.reads[i].op.Req, StatusNotPrimary, c)
	}
	for i := range t.exports {
		g.refuseExport(t.exports[i].client, t.exports[i].m)
	}
	for i := range t.parked {
		g.refuse(t.parked[i].client, t.parked[i].op.Req, StatusNotPrimary, c)
	}
}

// onReplicate is the replica's side of the log (rule R7).
func (g *group) onReplicate(from Peer, m *Replicate) {
	switch {
	case m.Epoch < g.config.Epoch:
		g.fence(from)
		g.send(from, &Nack{Group: g.id, Epoch: g.config.Epoch, Round: m.Round, Config: g.config})
		return
	case m.Epoch > g.config.Epoch: // its config did not come along
		if g.partial() { // or would make it a member: see Storage.adopt
			g.s.drop(from)
			return
		}
		g.send(from, &Nack{Group: g.id, Epoch: g.config.Epoch, Round: m.Round})
		return
	case from.ID != g.primary() || from.ID == g.s.self.ID || !g.follows():
		g.s.drop(from)
		return
	}
	if !g.log.holds(m.Prev) {
		if m.Prev.Seq <= g.commit {
			g.s.drop(from) // what is committed is the same in all logs
			return
		}
		g.send(from, &Nack{Group: g.id, Epoch: g.config.Epoch, Round: m.Round, Last: g.log.hint(m.Prev, g.commit)})
		return
	}
	if g.denies(m) {
		g.s.drop(from)
		return
	}
	g.take(m)
	g.verified = max(g.verified, m.Prev.Seq+Seq(len(m.Entries)))
	g.commitTo(min(m.Commit, g.verified))
	g.trim(m.Trim)
	g.persistCommit()
	if g.config.Reads == ReadLease {
		g.grantUntil = max(g.grantUntil, g.s.now.After(grant(g.config.Lease, g.s.opt.DriftPPM)))
	}
	ack := &Ack{Group: g.id, Epoch: g.config.Epoch, Round: m.Round, Matched: g.verified}
	if m.Config != nil { // the primary has had no ack in this epoch
		ack.Committed = g.commit
	}
	g.s.after(from, ack)
}

// denies tells whether entries contradict what is committed, or what this epoch's primary
// has said before. No primary does that by the rules.
func (g *group) denies(m *Replicate) bool {
	known := max(g.commit, g.verified)
	for i := range m.Entries {
		seq := m.Prev.Seq + Seq(i) + 1
		if seq > known {
			break
		}
		if seq > g.log.base.Seq && g.log.at(seq).Epoch != m.Entries[i].Epoch {
			return true
		}
	}
	return false
}

// take adds the entries of m that the log lacks. It cuts off a suffix only on a
// conflict: a message that is late and short must not take back what a longer
// one brought.
func (g *group) take(m *Replicate) {
	for i := range m.Entries {
		e, seq := &m.Entries[i], m.Prev.Seq+Seq(i)+1
		if seq <= g.log.last() {
			if seq <= g.log.base.Seq || g.log.at(seq).Epoch == e.Epoch {
				continue
			}
			g.truncate(seq)
		}
		g.log.append(*e)
		g.s.persistEntry(g.id, seq, e)
	}
}

func (g *group) truncate(from Seq) {
	if from <= g.commit || from <= g.verified {
		g.broken("truncation from %d, verified to %d", from, g.verified)
	}
	g.s.unpersistLog(g.id, from, g.log.last())
	g.log.truncate(from)
	g.event(EventTruncated, from)
}

// commitTo moves the commit point up to seq and applies what it passes. The
// primary's waiting clients get their results.
func (g *group) commitTo(seq Seq) {
	if seq <= g.commit {
		return
	}
	for g.commit < seq {
		g.commit++
		e := g.log.at(g.commit)
		r, effect := g.state.apply(g.commit, e)
		g.note(e, effect)
		g.s.event(Event{Kind: EventApplied, Group: g.id, Seq: g.commit, Session: e.Session, OpSeq: e.OpSeq, Status: r.status, Effect: effect})
		if g.tenure != nil {
			g.tenure.finish(g, g.commit, r)
		}
	}
	g.event(EventCommitted, seq)
}

func (g *group) tick() {
	if g.tenure != nil {
		g.tickTenure()
	}
}

// trim forgets entries that every member holds, up to seq at most, but keeps
// some: a joining node that is only a little behind is spared a new snapshot.
// It happens seldom, since the log that stays is copied. In durable mode it forgets
// only what the durable values have taken in: they take the log's place.
func (g *group) trim(seq Seq) {
	seq = min(seq, g.commit)
	saved := g.save()
	if g.s.opt.Durable {
		seq = min(seq, g.applied)
	}
	to := g.log.excess(seq, Seq(g.s.opt.LogKeep), g.s.opt.LogKeepBytes)
	if trimmed := to > g.log.base.Seq; trimmed {
		g.s.unpersistLog(g.id, g.log.base.Seq+1, to)
		g.log.trim(to)
		g.event(EventTrimmed, to)
	} else if !saved {
		return
	}
	g.persistProgress()
}
