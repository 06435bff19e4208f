package core

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// What n1 must do with what comes to it, by the rules of a group in PROTOCOL.md.

func (w *drawnGroup) member() bool { return w.m.config.Position(w.me()) >= 0 }

// adopt: R1, and R5, R6 and R10 for what begins with a config.
func (w *drawnGroup) adopt(c *Config) {
	m := &w.m
	switch {
	case w.durable && !w.storage().Registered() && c.Chain[0].ID == w.me():
		return
	case m.config.Epoch == 0 && !c.names(w.me()), c.Epoch <= m.config.Epoch, m.partial() && c.Position(w.me()) >= 0:
		return
	}
	w.counts["adopted"]++
	m.config, m.verified = c, 0
	leads := c.Chain[0].ID == w.me()
	if t := m.tenure; t != nil && (!leads || !w.knowsAll(c)) {
		w.depose(c)
	}
	switch {
	case w.member():
		m.joiner = nil
	case c.Joining.ID != w.me():
		if m.partial() {
			w.discard()
		}
		m.start, m.joiner = 0, nil
	case c.Start != m.start || m.joiner == nil:
		w.beginJoin(c)
	}
	switch {
	case !leads:
	case m.tenure == nil:
		w.beginTenure()
	default:
		maps.DeleteFunc(m.tenure.acked, func(id NodeID, _ Epoch) bool { return c.Position(id) < 0 })
	}
}

func (w *drawnGroup) knowsAll(c *Config) bool {
	for _, p := range c.Chain[1:] {
		if _, known := w.m.tenure.acked[p.ID]; !known {
			return false
		}
	}
	return true
}

func (w *drawnGroup) beginTenure() {
	m := &w.m
	t := &modelTenure{
		began: m.config.Epoch, inherited: m.last(), notBefore: w.grant,
		acked: map[NodeID]Epoch{}, matched: map[NodeID]Seq{}, round: map[NodeID]uint64{}, lease: map[NodeID]Time{}, rounds: map[uint64]Time{},
		touched: map[Seq]Time{}, ending: map[Seq]bool{}, proposed: map[Seq]uint64{}, fullAt: w.now, pagedAt: longAgo,
	}
	for _, p := range m.config.Chain[1:] {
		t.acked[p.ID] = 0
	}
	for _, id := range m.state.open() {
		t.touched[id] = w.now
	}
	m.tenure, w.told = t, false
	w.counts["tenures"]++
}

// depose: who waits is sent on.
func (w *drawnGroup) depose(c *Config) {
	t := w.m.tenure
	w.m.tenure = nil
	for _, p := range t.pending {
		w.refuse(p.client, p.req, StatusNotPrimary, c)
	}
	for _, r := range t.reads {
		w.refuse(r.client, r.op.Req, StatusNotPrimary, c)
	}
	for _, a := range t.parked {
		w.refuse(a.client, a.op.Req, StatusNotPrimary, c)
	}
	for range t.exports {
		w.refusals = append(w.refusals, StatusNotPrimary)
	}
	w.counts["deposed"]++
}

func (w *drawnGroup) beginJoin(c *Config) {
	m := &w.m
	keeps := !m.partial() && m.commit > 0
	if keeps {
		m.log = m.log[:m.commit:m.commit]
	} else {
		w.discard()
	}
	clear(w.kept)
	w.life++
	m.start, m.joiner = c.Start, &modelJoiner{complete: keeps}
	w.counts["joins"]++
}

func (w *drawnGroup) discard() {
	w.m.discard()
	clear(w.kept)
	w.sure, w.toTrim, w.wasBase = 0, 0, 0
	w.life++
}

// follows: it is a member, or joins and has all that the log goes on from.
func (w *drawnGroup) follows() bool {
	m := &w.m
	return w.member() || m.config.Joining.ID == w.me() && m.start == m.config.Start && m.joiner.complete
}

// onReplicate: R1 and R7, and R9 for what it promises.
func (w *drawnGroup) onReplicate(from Peer, r *Replicate) {
	m := &w.m
	if r.Config != nil {
		w.adopt(r.Config)
	}
	nack := &Nack{Group: 1, Epoch: m.config.Epoch, Round: r.Round}
	switch {
	case m.config.Epoch == 0:
		w.expectNack(nack)
		return
	case r.Epoch < m.config.Epoch:
		nack.Config = m.config
		w.expectNack(nack)
		return
	case r.Epoch > m.config.Epoch:
		if !m.partial() {
			w.expectNack(nack)
		}
		return
	case from.ID != m.config.Chain[0].ID || !w.follows():
		return
	case !has(m.log, r.Prev):
		if r.Prev.Seq > m.commit {
			nack.Last = r.Prev.Seq - 1 // at most
			w.expectNack(nack)
		}
		return
	}
	m.log = take(m.log, r.Prev.Seq, r.Entries)
	m.verified = max(m.verified, r.Prev.Seq+Seq(len(r.Entries)))
	m.commitTo(min(r.Commit, m.verified), nil)
	w.commits(m.log[:m.commit])
	w.toTrim = max(w.toTrim, r.Trim)
	a := &Ack{Group: 1, Epoch: m.config.Epoch, Round: r.Round, Matched: m.verified}
	if r.Config != nil {
		a.Committed = m.commit
	}
	o := owedAck{message: a, life: w.life, commit: m.commit}
	if m.config.Reads == ReadLease {
		const million = 1_000_000
		slow := million - w.opt.DriftPPM
		o.promise = w.now.After(time.Duration((int64(m.config.Lease)*(million+w.opt.DriftPPM) + slow - 1) / slow))
		w.grant = max(w.grant, o.promise)
	}
	w.owed = append(w.owed, o)
	w.counts["taken"]++
}

func (w *drawnGroup) expectNack(n *Nack) { w.nacks = append(w.nacks, n) }

// onChunk: R10.
func (w *drawnGroup) onChunk(from Peer, c *Chunk) {
	m := &w.m
	if c.Config != nil {
		w.adopt(c.Config)
	}
	switch {
	case m.config.Epoch == 0:
		return
	case c.Epoch < m.config.Epoch:
		w.expectNack(&Nack{Group: 1, Epoch: m.config.Epoch, Config: m.config})
		return
	case c.Epoch > m.config.Epoch || from.ID != m.config.Chain[0].ID || m.config.Joining.ID != w.me() || m.start != m.config.Start || c.Start != m.start:
		return
	}
	j := m.joiner
	answer := &ChunkAck{Group: 1, Epoch: m.config.Epoch, Start: c.Start, Tenure: c.Tenure, Attempt: c.Attempt}
	later := c.Tenure > j.tenure || c.Tenure == j.tenure && c.Attempt > j.attempt
	same := c.Tenure == j.tenure && c.Attempt == j.attempt
	switch {
	case !same && !later:
		return
	case later && c.Attempt == 1 && j.complete:
		answer.Refused = m.commit == 0
		answer.Held = idOf(m.log, m.commit)
		w.counts["offers"]++
	case later && c.Number > 0:
	default:
		if later {
			w.discard()
			*j = modelJoiner{tenure: c.Tenure, attempt: c.Attempt, items: map[string]Versioned{}}
		}
		answer.Refused = j.void
		if c.Number == j.next && !j.complete && !j.void {
			answer.Refused = !w.takeChunk(c)
		}
		answer.Next = j.next
	}
	w.owed = append(w.owed, owedAck{message: answer, life: w.life, commit: m.commit})
}

func (w *drawnGroup) takeChunk(c *Chunk) bool {
	m := &w.m
	j := m.joiner
	i := slices.IndexFunc(w.attempts, func(a *drawnAttempt) bool {
		return a.start == c.Start && a.tenure == c.Tenure && a.number == c.Attempt
	})
	a := w.attempts[i]
	if c.Sum != a.chunks[c.Number].Sum {
		return false
	}
	j.next++
	for _, it := range c.Items {
		if it.Version == 0 {
			delete(j.items, it.Key)
		} else {
			j.items[it.Key] = Versioned{it.Value, it.Version}
		}
	}
	if c.Last {
		j.complete = true
		m.log, m.commit, m.state = slices.Clone(a.state), Seq(len(a.state)), modelOf(a.state)
		w.toTrim = m.commit
		w.counts["installed"]++
	}
	return true
}

// onAck: R5, R6, R8 and R9, as a primary counts what its members say.
func (w *drawnGroup) onAck(from Peer, a *Ack) {
	t := w.m.tenure
	if t == nil || a.Epoch != w.m.config.Epoch || w.m.config.Position(from.ID) < 0 || a.Matched > w.m.last() || a.Round > t.begun {
		return
	}
	if !t.reconciled && a.Committed > t.inherited {
		t.lacks = true
		w.counts["lacks"]++
	}
	id := from.ID
	t.acked[id], t.matched[id], t.round[id] = a.Epoch, max(t.matched[id], a.Matched), max(t.round[id], a.Round)
	if at, known := t.rounds[a.Round]; known {
		t.lease[id] = max(t.lease[id], at.After(w.m.config.Lease))
	}
}

// absorb takes in what n1 logs by itself: the ends of sessions that were idle for too long.
func (w *drawnGroup) absorb() {
	if len(w.storage().groups) == 0 {
		return
	}
	for w.m.last() < w.view().Last {
		e := w.entry(w.m.last() + 1)
		t := w.m.tenure
		w.must(t != nil, "an entry of nobody: %+v", e)
		w.must(e.Kind == OpExpire, "nobody asked for %+v", e)
		w.must(w.now.Since(t.touched[e.Session]) > w.opt.SessionTTL, "session %d ends after %v, and may after %v", e.Session, w.now.Since(t.touched[e.Session]), w.opt.SessionTTL)
		w.ends(e)
	}
}

func (w *drawnGroup) entry(seq Seq) Entry {
	v := w.view()
	w.must(seq > v.Base && seq <= v.Last, "no entry at seq %d: the log is from %d to %d", seq, v.Base+1, v.Last)
	return *w.storage().Entry(0, seq)
}

// ends takes in an entry that ends a session.
func (w *drawnGroup) ends(e Entry) {
	t, s := w.m.tenure, w.m.state.sessions[e.Session]
	w.must(s != nil && !s.ended && !t.ending[e.Session], "the session has ended, or is about to: %+v", e)
	t.ending[e.Session] = true
	w.append(e, modelWrite{kind: OpExpire, session: e.Session})
	w.noteFull()
	w.counts["ends"]++
}

func (w *drawnGroup) append(e Entry, p modelWrite) {
	e.Epoch = w.m.config.Epoch
	w.m.log = append(w.m.log, e)
	w.all[EntryID{e.Epoch, w.m.last()}] = e
	p.bytes = len(e.Key) + len(e.Value)
	w.m.tenure.pending = append(w.m.tenure.pending, p)
}

// mayServe: R5.
func (w *drawnGroup) mayServe() bool {
	t := w.m.tenure
	if t.lacks || !w.epochDurable() || t.durable < t.inherited || w.now < t.notBefore {
		return false
	}
	for _, p := range w.m.config.Chain[1:] {
		if t.acked[p.ID] < w.m.config.Epoch || t.matched[p.ID] < t.inherited {
			return false
		}
	}
	return true
}

// leaseLives: R9.
func (w *drawnGroup) leaseLives() bool {
	t := w.m.tenure
	if !t.reconciled || w.m.config.Reads != ReadLease || !w.epochDurable() {
		return false
	}
	for _, p := range w.m.config.Chain[1:] {
		if t.lease[p.ID] <= w.now {
			return false
		}
	}
	return true
}

// reconcile: R5, and what waited for it.
func (w *drawnGroup) reconcile() {
	m, t := &w.m, w.m.tenure
	if t == nil {
		return
	}
	if real := w.storage().groups[0].tenure; real != nil {
		for ; t.begun < real.round; t.begun++ {
			t.rounds[t.begun+1] = w.now
		}
	}
	if t.reconciled || !w.mayServe() {
		return
	}
	t.reconciled, t.fullAt = true, w.now
	w.counts["served"]++
	m.commitTo(t.inherited, func(seq Seq, _ result) {
		if m.state.sessions[seq] != nil {
			t.touched[seq] = w.now
		}
	})
	parked := t.parked
	t.parked = nil
	for _, a := range parked {
		w.onOp(a.client, a.op)
	}
}

// advance: R4 and R8.
func (w *drawnGroup) advance() {
	m, t := &w.m, w.m.tenure
	if t == nil || !t.reconciled {
		return
	}
	before := m.commit
	matched, round := t.durable, t.begun
	for _, p := range m.config.Chain[1:] {
		matched, round = min(matched, t.matched[p.ID]), min(round, t.round[p.ID])
	}
	m.commitTo(matched, w.finish)
	w.moved = m.commit > before
	w.commits(m.log[:m.commit])
	for len(t.reads) > 0 && t.reads[0].round <= round {
		w.served(t.reads[0].ask, before)
		t.reads = t.reads[1:]
	}
	t.exports = slices.DeleteFunc(t.exports, func(e export) bool {
		if e.round <= round {
			w.pages[e.m.Req] = owedPage{before, m.commit, t, w.now}
		}
		return e.round <= round
	})
}

// served: a get sees what is committed; of that the event that served it may have brought a part.
func (w *drawnGroup) served(a ask, since Seq) {
	var may []Reply
	for c := since; c <= w.m.commit; c++ {
		r := Reply{Group: 1, Req: a.op.Req, Status: StatusNotFound, Epoch: w.m.config.Epoch}
		state := w.m.state
		if c < w.m.commit {
			state = modelOf(w.m.log[:c])
		}
		if v, there := state.values[a.op.Key]; there {
			r.Status, r.Version, r.Value = StatusOK, v.Version, v.Data
		}
		may = append(may, r)
	}
	w.replies = append(w.replies, owedReply{a.client, may})
}

func (w *drawnGroup) refuse(to Peer, req uint64, s Status, c *Config) {
	w.reply(to, &Reply{Group: 1, Req: req, Status: s, Epoch: w.m.config.Epoch, Config: c})
}

func (w *drawnGroup) reply(to Peer, r *Reply) {
	if to.ID != 0 {
		w.replies = append(w.replies, owedReply{to, []Reply{*r}})
	}
}

func (w *drawnGroup) answer(to Peer, req uint64, r result) {
	w.reply(to, &Reply{Group: 1, Req: req, Status: r.status, Epoch: w.m.config.Epoch, Version: r.version})
}

// finish: an entry is committed, and who waits for it is told.
func (w *drawnGroup) finish(seq Seq, r result) {
	t, state := w.m.tenure, w.m.state
	p := t.pending[0]
	t.pending = t.pending[1:]
	id := p.session
	if p.kind == OpOpen {
		id = seq
	}
	if p.kind != OpExpire && state.sessions[id] != nil {
		t.touched[id] = w.now
	}
	if p.kind == OpOpen && r.status == StatusOK {
		for _, u := range w.users {
			if u.peer.ID == p.client.ID {
				u.sessions = append(u.sessions, seq)
			}
		}
	}
	w.counts["committed"]++
	w.answer(p.client, p.req, r)
}

// look holds what has left since against what had to.
func (w *drawnGroup) look() {
	durable := w.durableEpoch()
	mail := w.mail
	w.mail = nil
	w.past = nil
	in := func(e Epoch) {
		w.must(e <= durable, "a message leaves in epoch %d, and durable is %d", e, durable)
		w.epochOut = max(w.epochOut, e)
	}
	for i := range mail {
		e := &mail[i]
		switch b := e.Body.(type) {
		case *Replicate:
			in(b.Epoch)
			w.queue = append(w.queue, *e)
			w.queue = w.queue[max(0, len(w.queue)-40):]
		case *Ack:
			in(b.Epoch)
			w.leftAck(b)
		case *ChunkAck:
			in(b.Epoch)
			w.leftAck(b)
		case *Nack:
			in(b.Epoch)
			w.leftNack(b)
		case *Reply:
			in(b.Epoch)
			w.leftReply(e.To, b)
		case *Exported:
			in(b.Epoch)
			w.leftPage(b)
		case *Suspect:
			in(b.Epoch)
			w.told = w.told || b.Node == w.me()
		case *Pong:
			for _, g := range b.Groups {
				in(g.Epoch)
			}
		}
	}
}

func (w *drawnGroup) leftAck(b Message) {
	w.must(len(w.owed) > 0, "nobody asked for %+v", b)
	o := w.owed[0]
	w.owed = w.owed[1:]
	w.must(reflect.DeepEqual(b, o.message), "it says %+v, and had to say %+v", b, o.message)
	w.promised = max(w.promised, o.promise)
	if o.life != w.life {
		return
	}
	w.sure = max(w.sure, o.commit)
	if a, ok := b.(*Ack); ok {
		w.kept[a.Epoch] = max(w.kept[a.Epoch], a.Matched)
	}
	if c, ok := b.(*ChunkAck); ok && w.m.joiner != nil {
		w.chunks = *c
	}
}

func (w *drawnGroup) leftNack(b *Nack) {
	c := w.issued(b.Config)
	i := slices.IndexFunc(w.nacks, func(n *Nack) bool { return n.Round == b.Round && n.Epoch == b.Epoch && n.Config == c })
	w.must(i >= 0, "nobody asked for %+v", b)
	n := w.nacks[i]
	w.must(b.Last <= n.Last, "it goes back to seq %d, and not below %d", b.Last, n.Last)
	w.nacks = slices.Delete(w.nacks, i, i+1)
}

// issued is a config as the manager issued it: after a restart a node has a copy.
func (w *drawnGroup) issued(c *Config) *Config {
	if c == nil {
		return nil
	}
	same(w.t, w.configs[c.Epoch], c)
	return w.configs[c.Epoch]
}

func (w *drawnGroup) leftReply(to Peer, b *Reply) {
	r := *b
	r.Config = w.issued(b.Config)
	i := slices.IndexFunc(w.replies, func(o owedReply) bool { return o.to == to && slices.Contains(o.may, r) })
	w.must(i >= 0, "%v got %+v, and had to get one of %+v", to, b, w.replies)
	w.replies = slices.Delete(w.replies, i, i+1)
}

// leftPage holds a part of a backup against the state: R8, and the rule that is called backup.
func (w *drawnGroup) leftPage(b *Exported) {
	if b.Status != StatusOK {
		i := slices.Index(w.refusals, b.Status)
		w.must(i >= 0, "a backup was refused: %+v", b)
		w.refusals = slices.Delete(w.refusals, i, i+1)
		return
	}
	due, found := w.pages[b.Req]
	w.must(found, "a part of a backup was served before all had confirmed its round: %+v", b)
	delete(w.pages, b.Req)
	t, q, base := due.tenure, w.backup.asked[b.Req], w.view().Base
	w.must(b.Commit >= due.since && b.Commit <= due.till && b.Position <= b.Commit && b.Tenure == t.began, "a part of a backup that cannot be: %+v", b)
	if q.Tenure != t.began {
		w.must(b.Anew, "a backup goes on in another tenure: %+v", b)
	} else if kept := q.Position >= t.exported && due.at.Since(t.pagedAt) < time.Second; q.Position <= due.since && (q.Position >= base || kept) {
		w.must(!b.Anew, "a backup begins anew, and could have gone on: %+v", b)
	}
	t.exported, t.pagedAt = b.Position, due.at
	if b.Req != w.backup.latest {
		return
	}
	w.counts["pages"]++
	if b.Anew {
		clear(w.backup.keys)
	}
	for _, it := range b.Items {
		if it.Version == 0 {
			delete(w.backup.keys, it.Key)
		} else {
			w.backup.keys[it.Key] = Versioned{it.Value, it.Version}
		}
	}
	w.backup.next = &Export{Group: 1, Tenure: b.Tenure, Cursor: b.Cursor, Position: b.Position}
	if b.All {
		w.must(b.Position == b.Commit, "all of a state that has changed since: %+v", b)
		w.sameValues(modelOf(w.m.log[:b.Position]).values, w.backup.keys)
		w.backup.next, w.backup.keys = &Export{Group: 1}, map[string]Versioned{}
		w.counts["backups"]++
	}
}

// compare holds n1 against the model.
func (w *drawnGroup) compare() {
	m := &w.m
	if m.config.Epoch == 0 {
		w.must(w.storage().Groups() == 0, "a group that it was never in")
		return
	}
	v := w.view()
	w.must(w.storage().groups[0].grantUntil >= w.promised, "what was promised is taken back")
	w.must(v.Config.Epoch == m.config.Epoch, "it is in epoch %d, and has to be in %d", v.Config.Epoch, m.config.Epoch)
	w.must(v.Partial == m.partial(), "half a snapshot: %v", v.Partial)
	w.must(v.Joining == (m.joiner != nil), "it joins: %v", v.Joining)
	w.must(v.Commit == m.commit, "the commit point is %d, and has to be %d", v.Commit, m.commit)
	if m.partial() {
		w.sameValues(m.joiner.items, w.values())
		return
	}
	w.must(v.Last == m.last(), "the log goes to seq %d, and has to go to %d", v.Last, m.last())
	for seq := v.Base + 1; seq <= v.Last; seq++ {
		w.must(*w.storage().Entry(0, seq) == m.log[seq-1], "seq %d is %+v, and has to be %+v", seq, *w.storage().Entry(0, seq), m.log[seq-1])
	}
	if w.compared != m.commit || w.comparedIn != w.life {
		w.compareState()
	}
	t := m.tenure
	w.must(v.Primary == (t != nil), "it is the primary: %v", v.Primary)
	w.boundLog(&v)
	if w.epochDurable() || !w.held {
		w.must(len(w.replies) == 0, "answers that did not come: %+v", w.replies)
		w.must(len(w.nacks) == 0, "refusals that did not come: %+v", w.nacks)
		w.must(len(w.refusals) == 0, "refusals of backups that did not come: %+v", w.refusals)
		w.must(len(w.pages) == 0, "parts of backups that did not come: %+v", w.pages)
		w.must(t == nil || !t.lacks || w.told, "it lacks something, and tells nobody")
	}
	if !w.held {
		w.must(len(w.owed) == 0, "acks that did not come: %+v", w.owed)
	}
	if t == nil {
		return
	}
	w.must(v.Serving == t.reconciled, "it serves: %v", v.Serving)
	w.must(!(t.reconciled && w.now < w.promised), "it serves, and has promised not to")
	w.must(v.Pending == len(t.pending) && v.Reads == len(t.reads) && v.Parked == len(t.parked), "%d writes, %d gets and %d parked wait, and have to be %d, %d and %d",
		v.Pending, v.Reads, v.Parked, len(t.pending), len(t.reads), len(t.parked))
	w.compareSessions(&v)
}

func (w *drawnGroup) sameValues(want, got map[string]Versioned) {
	if !maps.Equal(want, got) {
		same(w.t, want, got)
	}
}

func (w *drawnGroup) compareState() {
	w.compared, w.comparedIn = w.m.commit, w.life
	w.sameValues(w.m.state.values, w.values())
	got := w.storage().groups[0].state.sessions.records()
	for i := range got {
		got[i].Ended = min(got[i].Ended, 1)
	}
	want := w.m.state.records()
	if len(want) == 0 && len(got) == 0 {
		return
	}
	same(w.t, want, got)
}

// boundLog: what may be trimmed, and what must be.
func (w *drawnGroup) boundLog(v *GroupView) {
	most, t := min(w.m.commit, max(w.toTrim, w.wasBase)), w.m.tenure
	if t != nil && t.reconciled {
		most = max(w.wasBase, min(w.m.commit, t.durable))
	}
	w.must(v.Base <= most, "it has trimmed up to seq %d, and may up to %d", v.Base, most)
	w.wasBase = v.Base
	if t == nil || !t.reconciled || w.durable || !w.moved || w.now.Since(t.pagedAt) <= time.Second {
		return
	}
	bytes := 0
	for seq := v.Base + 1; seq <= w.m.commit; seq++ {
		bytes += len(w.m.log[seq-1].Key) + len(w.m.log[seq-1].Value)
	}
	w.must(int(w.m.commit-v.Base) <= 2*w.opt.LogKeep, "the log has %d entries that nobody needs, and may keep %d", w.m.commit-v.Base, 2*w.opt.LogKeep)
	w.must(bytes <= 2*w.opt.LogKeepBytes, "the log has %d bytes that nobody needs, and may keep %d", bytes, 2*w.opt.LogKeepBytes)
}

// compareSessions: how many are open, and that none stays which nobody uses.
func (w *drawnGroup) compareSessions(v *GroupView) {
	t := w.m.tenure
	w.noteFull()
	if !t.reconciled {
		return
	}
	for _, id := range w.m.state.open() {
		if t.ending[id] {
			continue
		}
		since := max(t.touched[id].After(w.opt.SessionTTL), t.fullAt)
		w.must(w.now.Since(since) <= w.opt.SessionTTL/4+time.Millisecond, "session %d is idle, and does not end", id)
	}
	w.must(v.Taken == w.taken(), "%d sessions are open, or about to be, and have to be %d", v.Taken, w.taken())
}

// noteFull: while no entry can be taken in, no session is ended.
func (w *drawnGroup) noteFull() {
	if t := w.m.tenure; len(t.pending) >= w.opt.PendingMax {
		t.fullAt = w.now
	}
}

// taken is how many sessions a primary has to count.
func (w *drawnGroup) taken() int {
	t, n := w.m.tenure, 0
	for _, id := range w.m.state.open() {
		if !t.ending[id] {
			n++
		}
	}
	for _, p := range t.pending {
		if p.kind == OpOpen {
			n++
		}
	}
	return n
}

// crashes ends the process, and starts another over what is durable. Now and then its disk has
// lost the end of its log, behind all that tells of it.
func (w *drawnGroup) crashes() {
	led, commit := w.m.tenure != nil && w.m.tenure.reconciled, w.m.commit
	w.crash(w.rng.IntN(w.gate.Pending() + 1))
	lost := w.odds(3) && w.loseTail()
	w.restart()
	w.owed, w.replies, w.nacks, w.refusals, w.told = nil, nil, nil, nil, false
	clear(w.pages)
	w.reboot(led, commit)
	w.counts["crashes"]++
	w.after()
	if lost || w.odds(5) && !w.m.partial() && has(w.m.log, idOf(w.committed, Seq(len(w.committed)))) {
		w.promote()
	}
}

// loseTail deletes the last records of the log, if there are any that may go.
func (w *drawnGroup) loseTail() bool {
	text, found := w.space[ordered(prefixProgress, 1)]
	var p progress
	if found {
		require.NoError(w.t, readRecord(ordered(prefixProgress, 1), text, tagProgress, &p))
	}
	last := p.base.Seq
	for k := range w.space {
		if strings.HasPrefix(k, prefixLog) {
			last++
		}
	}
	least := max(p.base.Seq, p.applied, p.commit)
	if p.partial || last <= least || w.mayLeadAlone() {
		return false
	}
	x := w.upTo(least, last-1)
	for seq := x + 1; seq <= last; seq++ {
		delete(w.space, ordered(prefixLog, 1, uint64(seq)))
	}
	for e := range w.kept {
		w.kept[e] = min(w.kept[e], x)
	}
	for _, o := range w.others { // whoever is asked knows
		o.log = take(o.log, 0, w.committed)
		o.commit = Seq(len(w.committed))
	}
	w.lossy = true
	w.counts["tails"]++
	return true
}

// mayLeadAlone tells whether nobody else has what n1 holds, now or in a config that is under way.
func (w *drawnGroup) mayLeadAlone() bool {
	for e, c := range w.configs {
		if e >= w.m.config.Epoch && c.Chain[0].ID == w.me() && len(c.Chain) == 1 {
			return true
		}
	}
	return false
}

// reboot takes up what n1 holds after a restart, and holds it against what it had acked.
func (w *drawnGroup) reboot(led bool, commit Seq) {
	m := &w.m
	before := *m
	m.tenure = nil
	if w.storage().Groups() == 0 {
		w.must(w.epochOut == 0, "an epoch is forgotten")
		w.grant = 0 // no promise has left either
		*m = modelGroup{config: &Config{Group: 1}, state: modelOf(nil)}
		return
	}
	g, v := w.storage().groups[0], w.view()
	w.must(v.Config.Epoch >= w.epochOut, "it is in epoch %d, and a message has left in epoch %d", v.Config.Epoch, w.epochOut)
	m.config = w.configs[v.Config.Epoch]
	m.log, m.verified, m.commit, m.start = nil, 0, v.Commit, g.start
	w.rebootJoiner(&before)
	w.life++ // what was to leave has not
	w.must(v.Base <= Seq(len(w.committed)) && v.Commit <= Seq(len(w.committed)), "it takes for committed what is not: %+v", v)
	m.log = append(m.log, w.committed[:v.Base]...)
	for seq := v.Base + 1; seq <= v.Last; seq++ {
		e := w.entry(seq)
		w.must(e == w.all[EntryID{e.Epoch, seq}], "seq %d is %+v, and has to be %+v", seq, e, w.all[EntryID{e.Epoch, seq}])
		m.log = append(m.log, e)
	}
	if !w.lossy {
		w.survived(&before, led, commit)
	}
	w.must(m.partial() || has(m.log, idOf(w.committed, m.commit)), "what is committed is another")
	m.state = modelOf(m.log[:m.commit])
	w.compared = ^Seq(0)
	w.must(g.grantUntil >= w.promised, "what was promised is forgotten")
	w.grant, w.wasBase, w.toTrim = g.grantUntil, v.Base, max(w.toTrim, v.Base)
}

// survived: what was acked is there, by acks that have left; and what is committed is known.
func (w *drawnGroup) survived(before *modelGroup, led bool, commit Seq) {
	m := &w.m
	if led {
		w.must(has(m.log, idOf(before.log, commit)), "the primary has lost what it had committed")
	}
	for e, seq := range w.kept {
		log := w.logs[e]
		for seq > 0 && !(seq <= Seq(len(log)) && has(before.log, idOf(log, seq))) {
			seq--
		}
		w.must(has(m.log, idOf(log, seq)), "seq %d was acked in epoch %d, and is lost", seq, e)
	}
	w.must(m.commit >= min(w.sure, before.commit), "it knows %d to be committed, and knew %d when it acked", m.commit, min(w.sure, before.commit))
}

// rebootJoiner: which attempt the node is in is durable, with what it brought.
func (w *drawnGroup) rebootJoiner(before *modelGroup) {
	m, j := &w.m, w.storage().groups[0].joiner
	m.joiner = nil
	if j == nil {
		return
	}
	m.joiner = &modelJoiner{tenure: j.tenure, attempt: j.attempt, next: j.next, complete: j.complete, void: j.void, items: map[string]Versioned{}}
	was, acked := before.joiner, &w.chunks
	if was == nil || before.start != m.start || acked.Start != m.start || acked.Held.Seq > 0 || acked.Next == 0 {
		return
	}
	if acked.Tenure != was.tenure || acked.Attempt != was.attempt {
		return
	}
	w.must(j.tenure == acked.Tenure && j.attempt == acked.Attempt, "the attempt is forgotten")
	w.must(j.complete == was.complete || !j.complete && acked.Next < was.next, "a snapshot is lost, or is half of one")
}

// settleDown has all that is under way arrive, until nothing is left to do.
func (w *drawnGroup) settleDown() {
	w.register()
	for range 45 {
		w.exchange()
		w.pass(120 * time.Millisecond)
	}
	for range 20 {
		w.exchange()
	}
	t := w.m.tenure
	if t == nil || t.lacks || w.m.config != w.config {
		return
	}
	w.must(t.reconciled, "it never serves")
	w.must(len(t.pending) == 0, "writes that never end: %+v", t.pending)
	w.must(len(t.reads) == 0, "gets that never end: %+v", t.reads)
	w.must(len(t.exports) == 0, "parts of backups that never come: %+v", t.exports)
	w.counts["settled"]++
}

func (w *drawnGroup) exchange() {
	w.syncs()
	queue, back := w.queue, w.back
	w.queue, w.back = nil, nil
	for _, e := range queue {
		w.follow(w.others[e.To.ID], e.Body.(*Replicate))
	}
	for _, e := range back {
		w.deliverFrom(e.From, e.Body)
	}
}
