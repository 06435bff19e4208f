package core

import "time"

// The manager inquires into a group when somebody did not answer somebody: it asks
// every member for proof that it works, and others whether they reach the one that
// is accused. A hiccup is not a death, so whoever answers anybody is given time:
//
//   - Refused: the accused's process has ended, or moved. It goes at once, unless
//     another still reaches it, or only one member would stay.
//   - Silent to the manager, and to all others that were asked: it goes when an
//     answer is overdue by all that is known of the round trips.
//   - Silent to the manager alone: it is the way between the two that is at fault.
//     The group works, so there is time: it goes after vouchedMax. If the primary waits
//     for it in vain as well, there is less: after stuckMax.
//   - It answers, but its primary, the accuser, waits for it in vain: the accuser is
//     asked again, and when what it waits for has moved since, nobody goes. If
//     nothing moves for disputeMax, the two cannot be in one group: the accuser goes
//     if most of the other members reach the accused, else the accused does. Where no
//     other member works, a node outside the chain is heard instead.
//   - The accuser itself does not prove in time that it works: it is the accused then,
//     and its report comes after that.
//
// Nobody goes unless a member that stays, the one to be the primary, has proved
// itself in the same inquiry. While many members look silent at once, it is rather
// the manager's own network, and silence counts only after crowdMax. And where only
// one member would stay while the other still answers somebody, the manager wants to
// come to the same end doubtsMax times in a row.
//
// Every inquiry ends, and none for nothing: see section 9 of PROTOCOL.md.
//
// These times are longer where nodes are far away, by farTrips or disputeTrips round
// trips, and by twice patienceMax at the most; but not when a doubt has had that already.
const (
	// farTrips is what a packet takes that is lost twice in a row on a long way, beside
	// TCP's time-outs. In a dispute there are four ways, each of which may lose so: of the
	// question to the accuser, of what that asks the accused, and of both answers.
	farTrips     = 4
	disputeTrips = 10

	// silenceMin is how many pings a member may miss: who stalls for 250 ms misses six
	// at the most.
	silenceMin = 7

	// disputeMax, after what the accuser has waited already, lets TCP bring a packet that
	// was lost three times in a row, which takes 1.4 s, and the driver make another
	// connection, which it tries after a second.
	disputeMax = 1300 * time.Millisecond
	vouchedMax = 2 * time.Second
	stuckMax   = time.Second
	crowdMax   = time.Second
	doubtsMax  = 2
)

// watch is the manager's soft state about one group.
type watch struct {
	suspicion *suspicion // nil when nobody is suspected
	next      NodeID     // whom the primary has reported meanwhile; 0 for nobody
	doubts    int        // inquiries in a row that would have left one member, while the other answers
	quietTill Time       // until then only a primary's report begins an inquiry, so that healing has its turn
	loss      loss
	join      joinWatch
}

// suspicion is one inquiry into a group.
type suspicion struct {
	config  *Config
	accused NodeID
	accuser NodeID // the primary that reported the accused, or 0

	begun   Time
	moved   bool   // what the accuser waits for has moved since
	nonce   uint64 // of the question for proof
	members []testimony
	outside outsider // whom else was asked about the accused
	asked   bool     // the others were asked whether they reach the accused
	wordsAt Time     // when they were last asked anew
	againAt Time     // when to ask again who has not answered

	reported NodeID // whom the accused, a primary, has reported: the inquiry into that goes on after this one
	proposed bool   // a removal is under way; nothing more to do
}

// testimony is what a member, in the order of the chain, has shown so far.
type testimony struct {
	proof verdict // that it works
	since Time    // when it was first asked for it
	again bool    // it was asked again, as its connection broke
	word  word
}

// outsider is a node outside the chain that was asked whether it reaches the accused.
type outsider struct {
	node NodeID // 0 for none
	word word
}

// word is a node's answer to the question whether it reaches the accused.
type word struct {
	verdict verdict
	nonce   uint64 // of the question; 0 when it was not put yet
	at      Time   // when it was first put
}

// verdict is what a question has brought so far.
type verdict uint8

const (
	verdictOpen verdict = iota
	verdictAnswered
	verdictFailed // refused, or gone
)

// onSuspect takes a report while its group and epoch are current. A client's
// only leads to a probe: the client may be the one who is cut off. A primary
// that cannot reach a member can do no write, so its report may end with one of
// the two removed.
func (m *Manager) onSuspect(in Envelope, b *Suspect) {
	g := m.dir.group(b.Group)
	if g != nil && g.config.Epoch == b.Epoch && g.config.Joining.ID == b.Node && in.From.ID == g.config.Chain[0].ID {
		m.cancelJoin(b.Group) // the primary waits for it in vain
		return
	}
	if g == nil || g.config.Epoch != b.Epoch || g.config.position(b.Node) < 0 {
		m.drop(in.From)
		return
	}
	m.told(m.contact(b.Node), b.Refused)
	accuser := NodeID(0)
	if in.From.ID == g.config.Chain[0].ID && in.From.ID != b.Node {
		accuser = in.From.ID
	}
	m.suspect(b.Group, b.Node, accuser)
	if w := m.watch(b.Group); b.Refused && w.suspicion != nil && w.suspicion.accused == b.Node {
		w.suspicion.hear(in.From.ID, verdictFailed)
		m.judge(w)
	}
}

// suspect begins an inquiry unless one is under way. Reports are repeated, so none
// is lost by that; but the primary's is kept for afterwards, as others may come in
// step with it, each time just before.
func (m *Manager) suspect(id GroupID, node, accuser NodeID) {
	if id == 0 {
		return
	}
	w := m.watch(id)
	switch s := w.suspicion; {
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
	s := &suspicion{config: c, accused: accused, accuser: accuser, begun: m.now, nonce: m.nonce, members: make([]testimony, len(c.Chain))}
	w.suspicion = s
	m.event(Event{Kind: EventProbing, Group: c.Group, Epoch: c.Epoch, Node: accused, Effect: accuser != 0})
	for i := range s.members {
		s.members[i].since = m.now
		if proofs != nil && proofs[i].proof == verdictAnswered {
			s.members[i].proof = verdictAnswered
		}
	}
	m.reviewProofs(s)
	m.ask(s)
	if accuser != 0 || m.contact(accused).missed > 0 { // else it is most likely well
		m.askAbout(s)
	}
	m.judge(w)
}

// ask asks who has not answered. Questions are repeated, since they, or their
// answers, can be lost with a connection; but not before they can have been answered,
// for who has too much to do must not get more.
func (m *Manager) ask(s *suspicion) {
	wait := m.opt.PingInterval
	for i, p := range s.config.Chain {
		if s.members[i].proof == verdictOpen {
			wait = max(wait, m.contact(p.ID).trips.mean)
			m.send(m.dir.node(p.ID).Peer, &Probe{Nonce: s.nonce})
		}
	}
	s.againAt = m.now.After(min(wait, patienceMax/4))
	m.wakeBy(s.againAt)
}

// hurry asks a member again whose connection broke: the question may have been lost
// with it, and a process that has ended refuses the next. But only once, for who
// cannot be reached may look the same, and every question brings the next break.
func (m *Manager) hurry(s *suspicion, id NodeID) {
	if at := s.config.position(id); at >= 0 && s.members[at].proof == verdictOpen && !s.members[at].again {
		s.members[at].again = true
		m.send(m.dir.node(id).Peer, &Probe{Nonce: s.nonce})
	}
}

// askAbout asks the others whether they reach the accused. Who has not answered is asked
// the same again: a new question would make the answer that is on its way one to another.
func (m *Manager) askAbout(s *suspicion) {
	accused := m.dir.node(s.accused)
	nonce := uint64(0)
	ask := func(to Peer, w *word) {
		if w.verdict != verdictOpen {
			return
		}
		if w.nonce == 0 {
			if nonce == 0 {
				m.nonce++
				nonce = m.nonce
			}
			w.nonce, w.at = nonce, m.now
		}
		m.send(to, &Probe{Nonce: w.nonce, Target: accused.Peer})
	}
	for i, p := range s.config.Chain {
		if p.ID != s.accused {
			ask(m.dir.node(p.ID).Peer, &s.members[i].word)
		}
	}
	if c := m.contact(s.outside.node); c == nil || !c.answers(m.now, &m.opt) {
		s.outside = outsider{node: m.outsider(s.config)}
	}
	if c := m.contact(s.outside.node); c != nil {
		ask(c.node.Peer, &s.outside.word)
	}
	if !s.asked {
		s.asked, s.wordsAt = true, m.now
	}
}

// outsider picks a node outside the chain that can be asked about a member: the
// one that joins, else any that is in no group. That it failed to join, and is in
// quarantine, may be the fault of the very primary that is to be judged.
func (m *Manager) outsider(c *Config) NodeID {
	if joining := m.contact(c.Joining.ID); joining != nil && joining.answers(m.now, &m.opt) {
		return joining.node.ID
	}
	if unused := m.unused(func(*contact) bool { return true }); len(unused) > 0 {
		return unused[0].node.ID
	}
	return 0
}

func (m *Manager) onProbeReply(in Envelope, b *ProbeReply) {
	for i := range m.watches {
		w := &m.watches[i]
		if s := w.suspicion; s != nil && !s.proposed && m.testify(s, in.From.ID, b) {
			m.judge(w)
			return
		}
	}
	for _, c := range m.contacts {
		if c.evidence.asked == b.Nonce && b.Nonce != 0 {
			m.onWord(c, b)
			return
		}
	}
	m.drop(in.From)
}

// testify notes an answer to one of an inquiry's two questions, and returns whether
// it is one.
func (m *Manager) testify(s *suspicion, from NodeID, b *ProbeReply) bool {
	if at := s.config.position(from); b.Nonce == s.nonce && at >= 0 {
		if s.members[at].proof == verdictOpen {
			s.members[at].proof = verdictAnswered
			// As good as a Pong: a member that is slow, but not too slow, misses pings
			// all the time, and healing must have its turn between inquiries.
			m.answersPings(m.contact(from))
		}
		return true
	}
	switch w := s.wordOf(from); {
	case w == nil || w.nonce != b.Nonce || b.Nonce == 0:
		return false
	case b.Refused:
		m.told(m.contact(s.accused), true)
		s.hear(from, verdictFailed)
	default:
		s.hear(from, verdictAnswered)
	}
	return true
}

// wordOf is where a node's word about the accused stands; nil if it was not asked.
func (s *suspicion) wordOf(id NodeID) *word {
	if id == s.accused {
		return nil
	}
	if at := s.config.position(id); at >= 0 {
		return &s.members[at].word
	}
	if id != 0 && id == s.outside.node {
		return &s.outside.word
	}
	return nil
}

// hear notes what a node says of the accused.
func (s *suspicion) hear(from NodeID, says verdict) {
	if w := s.wordOf(from); w != nil {
		w.verdict = says
		s.moved = s.moved || from == s.accuser && says == verdictAnswered
	}
}

// failed notes that a node is not at its address: as good as no answer.
func (m *Manager) failed(c *contact) {
	if c.node.group == 0 {
		return
	}
	w := m.watch(c.node.group)
	if s := w.suspicion; s != nil && !s.proposed {
		if at := s.config.position(c.node.ID); at >= 0 && s.members[at].proof == verdictOpen {
			s.members[at].proof = verdictFailed
			if c.node.ID == s.accused {
				m.forgetWords(s) // they speak of before
			}
			m.judge(w)
		}
	}
}

// forgetWords has those who have said that the accused is reached asked anew. Who has
// said nothing yet has no more time for that.
func (m *Manager) forgetWords(s *suspicion) {
	s.wordsAt = m.now
	for i := range s.members {
		s.members[i].word.forget()
	}
	s.outside.word.forget()
}

func (w *word) forget() {
	if w.verdict == verdictAnswered {
		*w = word{}
	}
}

func (m *Manager) tickWatch(w *watch) {
	s := w.suspicion
	if s == nil || s.proposed {
		return
	}
	if m.now >= s.againAt {
		m.ask(s)
		if m.now.Since(s.wordsAt) >= 4*max(m.opt.PingInterval, m.contact(s.accused).trips.mean) {
			m.forgetWords(s) // what they say is of a while ago
		}
		m.askAbout(s)
	}
	m.wakeBy(s.againAt)
	m.judge(w)
}

// judge decides as soon as the answers, and the time that has passed, allow.
func (m *Manager) judge(w *watch) {
	s := w.suspicion
	if s == nil || s.proposed {
		return
	}
	m.reviewProofs(s)
	accuser := s.config.position(s.accuser)
	switch {
	case s.members[s.config.position(s.accused)].proof != verdictAnswered:
		m.judgeSilent(w)
	case accuser < 0:
		m.clear(w, false)
	case s.moved || s.members[accuser].word.verdict == verdictAnswered:
		m.clear(w, true)
	case s.members[accuser].proof != verdictAnswered:
		if m.unproved(s, accuser) { // it is the one to be judged first, whatever it says
			w.next = 0
			m.clear(w, false)
			m.inquire(w, s.config, s.accuser, 0, nil)
			if w.suspicion != nil {
				w.suspicion.reported = s.accused
			}
		}
	case m.due(s, disputeMax, disputeTrips):
		m.judgeDispute(w)
	}
}

// reviewProofs takes back what holds no longer: a proof is good for as long as its
// node goes on answering pings, a node that is gone has none, and one that was not at
// its address may have come back, and is asked anew.
func (m *Manager) reviewProofs(s *suspicion) {
	for i, p := range s.config.Chain {
		t, c := &s.members[i], m.contact(p.ID)
		if c.node.gone {
			t.proof, t.word.verdict = verdictFailed, verdictFailed
		} else if t.proof == verdictAnswered && !c.answers(m.now, &m.opt) {
			t.proof, t.since = verdictOpen, m.now
		} else if t.proof == verdictFailed && c.answers(m.now, &m.opt) {
			t.proof, t.since, t.again = verdictOpen, m.now, false
		}
	}
}

// due tells whether an inquiry has lasted that long, and so many round trips more, and
// else has it looked at then.
func (m *Manager) due(s *suspicion, after, trips time.Duration) bool {
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

// unproved tells whether a member has failed to prove itself, or is overdue.
func (m *Manager) unproved(s *suspicion, at int) bool {
	switch s.members[at].proof {
	case verdictAnswered:
		return false
	case verdictFailed:
		return true
	}
	return m.dueAt(m.proofDue(m.contact(s.config.Chain[at].ID), s.members[at].since))
}

// proofDue is until when a node that was asked at a time must have proved itself.
// One that is silent is given a round trip, and goes only when it has missed silenceMin
// pings, and longer where answers were late lately. One that has answered pings
// meanwhile is given what its disk may take, and if it is silent now, longer, but
// not without end.
func (m *Manager) proofDue(c *contact, asked Time) Time {
	floor := 4 * m.opt.PingInterval
	silent := c.answeredAt.After(silenceMin*m.opt.PingInterval + min(max(2*c.trips.mean+4*c.trips.deviation, c.trips.longest), patienceMax))
	if c.answeredAt > asked {
		wait := c.trips.patience(max(floor, m.opt.ProbeTimeout))
		due := asked.After(wait)
		if c.missed > 0 {
			due = max(due, min(silent, due.After(wait)))
		}
		return due
	}
	if c.trips.known() || m.now.Since(c.since) < firstPatience {
		floor = c.trips.patience(floor)
	}
	return max(asked.After(floor), silent)
}

// judgeSilent decides about an accused that has not proved itself.
func (m *Manager) judgeSilent(w *watch) {
	s := w.suspicion
	at := s.config.position(s.accused)
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
	case members.yes > 0 || outside == verdictAnswered:
		if after, trips := m.vouched(s); m.due(s, after, trips) {
			m.remove(w, remove, true)
		}
		return
	case m.dir.node(s.accused).gone || s.members[at].proof == verdictFailed && len(s.config.Chain)-len(remove) > 1:
	case members.open > 0 || outside == verdictOpen:
		if !s.asked {
			m.askAbout(s)
		}
		return
	case s.members[at].proof == verdictOpen && m.crowded() && !m.due(s, crowdMax, farTrips):
		return
	}
	m.remove(w, remove, false)
}

// vouched is how long, and how many round trips more, an accused may be silent to the
// manager that others reach. If its primary waits for it, the group stands still meanwhile.
func (m *Manager) vouched(s *suspicion) (after, trips time.Duration) {
	if at := s.config.position(s.accuser); at >= 0 && s.members[at].word.verdict != verdictAnswered {
		return stuckMax, disputeTrips
	}
	return vouchedMax, farTrips
}

// poll counts members by what they say of the accused: that they reach it, that they do
// not, or nothing yet. Only who works can say no.
type poll struct{ yes, no, open int }

// poll asks all but the accused, and but one more.
func (m *Manager) poll(s *suspicion, but NodeID) (p poll) {
	for i, peer := range s.config.Chain {
		t := &s.members[i]
		if peer.ID == s.accused || peer.ID == but || t.proof == verdictFailed {
			continue
		}
		switch m.says(s, peer.ID, &t.word) {
		case verdictAnswered:
			p.yes++
		case verdictOpen:
			p.open++
		default:
			if t.proof == verdictAnswered {
				p.no++
			}
		}
	}
	return p
}

// outsiderSays is what the node outside the chain says, if there is one.
func (m *Manager) outsiderSays(s *suspicion) verdict {
	if s.asked && s.outside.node == 0 {
		return verdictFailed
	}
	return m.says(s, s.outside.node, &s.outside.word)
}

// says is what a node says of the accused. Who has had time to be answered, and says
// nothing, does not reach it.
func (m *Manager) says(s *suspicion, id NodeID, w *word) verdict {
	if w.verdict == verdictOpen && w.nonce != 0 && m.dueAt(w.at.After(m.wordPatience(s, id))) {
		return verdictFailed
	}
	return w.verdict
}

// wordPatience is how long to wait for a node's word about the accused, to which it
// may first have to set up a connection.
func (m *Manager) wordPatience(s *suspicion, id NodeID) time.Duration {
	a, b := &m.contact(id).trips, &m.contact(s.accused).trips
	if !a.known() || !b.known() {
		return firstPatience
	}
	return max(4*m.opt.PingInterval, min(a.patience(0)+3*max(a.patience(0), b.patience(0)), patienceMax+disputeMax))
}

// judgeDispute decides between a primary and the member it accuses, both of whom
// answer the manager. Those who stay must work together, so the other members decide:
// the accuser goes if more of them reach the accused than do not, else the accused. Only
// where no other member works is a node outside the chain heard. Without a witness the
// accused goes, as the primary cannot do without it.
func (m *Manager) judgeDispute(w *watch) {
	s := w.suspicion
	members := m.poll(s, s.accuser)
	reached, not := members.yes, members.no
	if members == (poll{}) {
		switch m.outsiderSays(s) {
		case verdictOpen:
			return
		case verdictAnswered:
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

// verdict returns whom to remove when one is guilty: with it go those who would
// follow as the primary and have not proved themselves. Nil when nobody would be
// left, wait when one of them still has time.
func (m *Manager) verdict(s *suspicion, guilty NodeID) (remove []NodeID, wait bool) {
	remove = []NodeID{guilty}
	for i, p := range s.config.Chain {
		switch {
		case p.ID == guilty:
		case s.members[i].proof == verdictAnswered:
			return remove, false
		case s.members[i].proof == verdictFailed || m.unproved(s, i) && m.due(s, crowdMax, farTrips):
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
	silent, members := 0, 0
	for _, c := range m.contacts {
		if c.node.group == 0 || c.node.gone || c.evidence.refusedSince != Never {
			continue
		}
		members++
		if c.silent(m.now, &m.opt) {
			silent++
		}
	}
	return silent > 2 && 2*silent > members
}

// remove proposes the config without these members. One that would leave a single
// member, while one of the removed answers somebody, is first doubted.
func (m *Manager) remove(w *watch, members []NodeID, answers bool) {
	s := w.suspicion
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
	s := w.suspicion
	if moved {
		w.doubts = 0
	}
	m.event(Event{Kind: EventCleared, Group: s.config.Group, Epoch: s.config.Epoch, Node: s.accused, Effect: moved})
	next, proofs := w.next, []testimony(nil)
	if s.reported != 0 && s.members[s.config.position(s.accused)].proof == verdictAnswered {
		// A primary whose disk is slow would else be too late each time that its report
		// is inquired into, and prove itself each time that it is inquired into itself.
		proofs = s.members
		if next == 0 {
			next = s.reported
		}
	}
	w.suspicion, w.next = nil, 0
	if next != 0 {
		m.inquire(w, s.config, next, s.config.Chain[0].ID, proofs)
	}
}
