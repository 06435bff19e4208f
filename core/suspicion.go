package core

import "time"

// The manager inquires into a group when somebody did not answer somebody: it asks
// every member for proof that it works, and others whether they reach the one that
// is accused. A hiccup is not a death, so whoever answers anybody is given time:
//
//   - Refused: the accused's process has ended, or moved. It goes at once. If another
//     still reaches it, it gets the time of the third case; if only one member would
//     stay, the others are heard first.
//   - Silent to the manager, and to all others that were asked: it goes when its answer
//     is later than the round trips that are known explain.
//   - Silent to the manager alone: it is the way between the two that is at fault.
//     The group works, so there is time: it goes after vouchedMax. If the primary waits
//     for it in vain as well, there is less: after stuckMax.
//   - It answers, but its primary, the accuser, waits for it in vain: the accuser is
//     asked again, and when what it waits for has moved since, nobody goes. If
//     nothing moves for disputeMax, the two cannot be in one group: the accuser goes
//     if most of the other members reach the accused, else the accused does. Where no
//     other member works, a node outside the chain is heard instead.
//   - A member says that it cannot go on, or is about to stop: it goes as soon as the one
//     that is to be the primary has proved itself.
//   - The accuser itself does not prove in time that it works: then it is the accused.
//     Its report is looked into afterwards.
//
// Nobody goes unless a member that stays, the one to be the primary, has proved
// itself in the same inquiry. While many members look silent at once, it is rather
// the manager's own network, and silence counts only after crowdMax. And if one member
// would stay while one of the removed still answers somebody, that takes doubtsMax
// inquiries in a row with the same end.
//
// Every inquiry ends, and none for nothing: see section 9 of PROTOCOL.md.
//
// The times below grow where nodes are far away: by farTrips or disputeTrips round
// trips, and by twice patienceMax at the most. They do not in an inquiry that follows a
// doubt, which has had that already.
const (
	// A packet that is lost twice in a row takes farTrips, beside TCP's time-outs. In a
	// dispute four messages can be lost so: the question to the accuser, what that asks
	// the accused, and both answers.
	farTrips     = 4
	disputeTrips = 10

	// silenceMin is how many pings a member may miss: who stalls for 250 ms misses six
	// at the most.
	silenceMin = 7

	// The accuser has already waited when it reports, and disputeMax comes on top. Together
	// they let TCP deliver a packet that was lost three times, which takes 1.4 s, and let
	// the driver make another connection, which it tries after a second.
	disputeMax = 1300 * time.Millisecond
	vouchedMax = 2 * time.Second
	stuckMax   = time.Second
	crowdMax   = time.Second
	doubtsMax  = 2
)

// watch is the manager's soft state about one group.
type watch struct {
	inquiry   *inquiry // nil when nobody is suspected
	next      NodeID   // whom the primary has reported meanwhile; 0 for nobody
	doubts    int      // inquiries in a row that would have left one member, while one of the removed answers
	quietTill Time     // until then only a primary's report begins an inquiry, so that healing has its turn
	loss      loss
	presuming bool // a command about the loss is under way
	join      joinWatch
	keys      uint64 // how many exist, as the primary said last
}

// onSuspect takes a report while its group and epoch are current. A client's
// only leads to a probe: the client may be the one who is cut off. A primary
// that cannot reach a member can do no write, so its report may end with one of
// the two removed.
func (m *Manager) onSuspect(in Envelope, b *Suspect) {
	g := m.dir.group(b.Group)
	if g != nil && g.config.Epoch == b.Epoch && g.config.Joining.ID == b.Node && m.isPrimary(in.From.ID, g, b.Token) {
		m.cancelJoin(b.Group) // the primary waits for it in vain
		return
	}
	if g == nil || g.config.Epoch != b.Epoch || g.config.Position(b.Node) < 0 {
		m.drop(in.From)
		return
	}
	if in.From.ID == b.Node && b.Token == m.contact(b.Node).token {
		m.resigns(b.Group, b.Node)
		return
	}
	m.told(m.contact(b.Node), b.Refused)
	accuser := NodeID(0)
	if m.isPrimary(in.From.ID, g, b.Token) {
		accuser = in.From.ID
	}
	// Else the node has just proved itself, and many clients that wait for the same node
	// would have it prove itself all the time: in durable mode with a write each time.
	if accuser != 0 || m.now.Since(m.contact(b.Node).provedAt) >= m.opt.PingInterval {
		m.suspect(b.Group, b.Node, accuser)
	}
	if w := m.watch(b.Group); b.Refused && w.inquiry != nil && w.inquiry.accused == b.Node {
		w.inquiry.hear(in.From.ID, answerNo)
		m.judge(w)
	}
}

// resigns takes the word of a member that it cannot go on, or is about to stop: it goes once
// it is known who is to be the primary.
func (m *Manager) resigns(id GroupID, node NodeID) {
	m.suspect(id, node, 0)
	if s := m.inquiry(id); s != nil && s.accused == node {
		t := &s.members[s.config.Position(node)]
		t.proof, t.resigned = answerNo, true
		m.judge(m.watch(id))
	}
}

// suspect begins an inquiry unless one is under way. Reports are repeated, so none is lost
// by that. The primary's makes it the accuser in an inquiry into the same member; about
// another one it is kept for afterwards, because others may always come just before it.
func (m *Manager) suspect(id GroupID, node, accuser NodeID) {
	if id == 0 {
		return
	}
	w := m.watch(id)
	switch s := w.inquiry; {
	case w.loss == lossCertain:
	case s == nil && (accuser != 0 || m.now >= w.quietTill):
		m.inquire(w, m.dir.group(id).config, node, accuser, nil)
	case s == nil || s.proposed || accuser == 0:
	case s.accused == node && s.accuser == 0:
		s.accuser = accuser
		m.askAbout(s)
		m.judge(w)
	case s.accused != node:
		w.next = node
	}
}

// inquire begins an inquiry. Proofs that were given in the one before may count in it.
func (m *Manager) inquire(w *watch, c *Config, accused, accuser NodeID, proofs []testimony) {
	m.nonce++
	s := &inquiry{config: c, accused: accused, accuser: accuser, begun: m.now, nonce: m.nonce, members: make([]testimony, len(c.Chain))}
	w.inquiry = s
	m.event(Event{Kind: EventProbing, Group: c.Group, Epoch: c.Epoch, Node: accused, Effect: accuser != 0})
	for i := range s.members {
		s.members[i].since = m.now
		if proofs != nil && proofs[i].proof == answerYes {
			s.members[i].proof = answerYes
		}
	}
	m.reviewProofs(s)
	m.ask(s)
	if accuser != 0 || m.hushed(m.contact(accused)) { // else the accused is most likely well, and nobody else is asked yet
		m.askAbout(s)
	}
	m.judge(w)
}

func (m *Manager) tickWatch(w *watch) {
	s := w.inquiry
	if s == nil || s.proposed {
		return
	}
	if m.now >= s.againAt {
		m.ask(s)
		m.askAbout(s)
	}
	m.wakeBy(s.againAt)
	m.judge(w)
}

// judge decides as soon as the answers, and the time that has passed, allow.
func (m *Manager) judge(w *watch) {
	s := w.inquiry
	if s == nil || s.proposed {
		return
	}
	m.reviewProofs(s)
	accuser := s.config.Position(s.accuser)
	switch {
	case s.members[s.config.Position(s.accused)].proof != answerYes:
		m.judgeSilent(w)
	case accuser < 0:
		m.clear(w, false)
	case s.moved || s.members[accuser].word.answer == answerYes:
		m.clear(w, true)
	case s.members[accuser].proof != answerYes:
		if m.unproved(s, accuser) { // it is the one to be judged first, whatever it says
			w.next = 0
			m.clear(w, false)
			m.inquire(w, s.config, s.accuser, 0, nil)
			if w.inquiry != nil {
				w.inquiry.reported = s.accused
			}
		}
	case m.due(s, disputeMax, disputeTrips):
		m.judgeDispute(w)
	}
}

// due tells whether an inquiry has lasted for so long, and so many round trips more. If
// not, it is looked at again at that moment.
func (m *Manager) due(s *inquiry, after, trips time.Duration) bool {
	if m.watch(s.config.Group).doubts > 0 {
		trips = 0
	}
	far := m.contact(s.accused).trips.shortest
	if c := m.contact(s.accuser); c != nil {
		far = max(far, c.trips.shortest)
	}
	return m.dueAt(s.begun.After(after + min(trips*far, 2*patienceMax)))
}

func (m *Manager) dueAt(at Time) bool {
	if m.now < at {
		m.wakeBy(at)
	}
	return m.now >= at
}

// judgeSilent decides about an accused that has not proved itself.
func (m *Manager) judgeSilent(w *watch) {
	s := w.inquiry
	at := s.config.Position(s.accused)
	if !m.unproved(s, at) {
		return
	}
	remove, wait := m.verdict(s, s.accused)
	members, outside := m.poll(s, 0), m.outsiderSays(s)
	switch {
	case wait:
		return
	case remove == nil:
		// Nobody would stay. The last member is never evicted on suspicion: the
		// group waits for whoever of them returns first.
		m.rest(w)
		return
	case s.members[at].resigned:
		// It goes at once.
	case members.yes > 0 || outside == answerYes:
		if after, trips := m.vouched(s); m.due(s, after, trips) {
			m.remove(w, remove, true)
		}
		return
	case m.dir.node(s.accused).gone || s.members[at].proof == answerNo && len(s.config.Chain)-len(remove) > 1:
		// It goes at once.
	case members.open > 0 || outside == answerOpen:
		if !s.asked {
			m.askAbout(s)
		}
		return
	case s.members[at].proof == answerOpen && m.crowded() && !m.due(s, crowdMax, farTrips):
		return
	}
	m.remove(w, remove, false)
}

// vouched returns how long an accused may be silent to the manager while others reach it,
// and how many round trips more. It is less if its primary waits for it, for then the
// group stands still.
func (m *Manager) vouched(s *inquiry) (after, trips time.Duration) {
	if at := s.config.Position(s.accuser); at >= 0 && s.members[at].word.answer != answerYes {
		return stuckMax, disputeTrips
	}
	return vouchedMax, farTrips
}

// judgeDispute decides between a primary and the member it accuses, both of whom
// answer the manager. Those who stay must work together, so the other members decide:
// the accuser goes if more of them reach the accused than do not, else the accused. Only
// where no other member works is a node outside the chain heard. Without a witness the
// accused goes, as the primary cannot do without it.
func (m *Manager) judgeDispute(w *watch) {
	s := w.inquiry
	members := m.poll(s, s.accuser)
	reached, not := members.yes, members.no
	if members == (poll{}) {
		switch m.outsiderSays(s) {
		case answerOpen:
			return
		case answerYes:
			reached++
		}
	}
	switch {
	case members.open > 0:
	case reached <= not:
		m.remove(w, []NodeID{s.accused}, true)
	default:
		if remove, wait := m.verdict(s, s.accuser); !wait {
			m.remove(w, remove, true)
		}
	}
}

// verdict returns whom to remove when one is guilty: with it go those who would follow as
// the primary and have not proved themselves; who is merely silent, after crowdMax. It is
// nil when nobody would be left, and wait is set while one of them still has time.
func (m *Manager) verdict(s *inquiry, guilty NodeID) (remove []NodeID, wait bool) {
	remove = []NodeID{guilty}
	for i, p := range s.config.Chain {
		switch {
		case p.ID == guilty:
		case s.members[i].proof == answerYes:
			return remove, false
		case s.members[i].proof == answerNo || m.unproved(s, i) && m.due(s, crowdMax, farTrips):
			remove = append(remove, p.ID)
		default:
			return nil, true
		}
	}
	return nil, false
}

// crowded tells whether so many members are silent at once that it is rather the
// manager's own network.
func (m *Manager) crowded() bool {
	if m.glance.crowd == answerOpen {
		m.glance.crowd = answerNo
		if m.mostAreSilent() {
			m.glance.crowd = answerYes
		}
	}
	return m.glance.crowd == answerYes
}

func (m *Manager) mostAreSilent() bool {
	silent, members := 0, 0
	for _, c := range m.contacts {
		if c.node.group == 0 || c.node.gone || c.evidence.refusedSince != Never {
			continue
		}
		members++
		if m.silent(c) {
			silent++
		}
	}
	return silent > 2 && 2*silent > members
}

// remove proposes the config without these members. One that would leave a single
// member, while one of the removed answers somebody, is first doubted.
func (m *Manager) remove(w *watch, members []NodeID, answers bool) {
	s := w.inquiry
	if answers && len(s.config.Chain)-len(members) < 2 {
		if w.doubts++; w.doubts < doubtsMax {
			m.rest(w)
			return
		}
	}
	s.proposed = true
	m.propose(Command{Kind: CommandReconfigure, Group: s.config.Group, Epoch: s.config.Epoch, Remove: members})
}

// rest ends an inquiry that removes nobody, and lets healing have its turn.
func (m *Manager) rest(w *watch) {
	w.quietTill = m.now.After(time.Duration(m.opt.MissesMax) * m.opt.PingInterval)
	m.clear(w, false)
}

// clear ends an inquiry that finds nobody guilty; moved when what the accuser
// waits for has moved since.
func (m *Manager) clear(w *watch, moved bool) {
	s := w.inquiry
	if moved {
		w.doubts = 0
	}
	m.event(Event{Kind: EventCleared, Group: s.config.Group, Epoch: s.config.Epoch, Node: s.accused, Effect: moved})
	next, proofs := w.next, []testimony(nil)
	if s.reported != 0 && s.members[s.config.Position(s.accused)].proof == answerYes {
		// A primary with a slow disk is too late whenever its report is looked into, but
		// proves itself whenever it is the accused. So the proof is kept for the next
		// inquiry.
		proofs = s.members
		if next == 0 {
			next = s.reported
		}
	}
	m.end(w)
	if next != 0 {
		m.inquire(w, s.config, next, s.config.Chain[0].ID, proofs)
	}
}

// tellEvicted says whom a config removed, and why: its inquiry does not end before.
func (m *Manager) tellEvicted(c *Command, config *Config) {
	s := m.watch(c.Group).inquiry
	for _, id := range c.Remove {
		e := Event{Kind: EventEvicted, Group: config.Group, Epoch: config.Epoch, Node: id, Cause: CauseDrained}
		if s != nil && s.proposed {
			e.Cause = s.cause(m.dir.node(id))
		}
		m.event(e)
	}
}

// cause is why a member goes by the inquiry's decision.
func (s *inquiry) cause(n *nodeEntry) Cause {
	t := &s.members[s.config.Position(n.ID)]
	switch {
	case n.gone:
		return CauseGone
	case t.resigned:
		return CauseResigned
	case t.proof == answerNo:
		return CauseEnded
	case t.proof == answerYes:
		return CauseDispute
	}
	return CauseSilent
}
