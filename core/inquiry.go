package core

import "time"

// What the manager asks in an inquiry, and what it is told: proofs of members that they
// work, and words of others that they reach the accused.

// inquiry is one inquiry into a group.
type inquiry struct {
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
	proof answer // that it works
	since Time   // when it was first asked for it
	again bool   // it was asked again, as its connection broke
	word  word
}

// outsider is a node outside the chain that was asked whether it reaches the accused.
type outsider struct {
	node NodeID // 0 for none
	word word
}

// word is what a node says of whether it reaches the accused. It is asked again and
// again: its last word counts until the next, or until that is overdue.
type word struct {
	answer answer // the last
	nonce  uint64 // of the question that is open; 0 for none
	at     Time   // when that was first put
}

// answer is what a question has brought so far.
type answer uint8

const (
	answerOpen answer = iota
	answerYes
	answerNo // refused, or gone
)

// ask asks who has not answered. Questions are repeated, since they, or their
// answers, can be lost with a connection; but not before they can have been answered,
// for who has too much to do must not get more.
func (m *Manager) ask(s *inquiry) {
	wait := m.opt.PingInterval
	for i, p := range s.config.Chain {
		if s.members[i].proof == answerOpen {
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
func (m *Manager) hurry(s *inquiry, id NodeID) {
	if at := s.config.Position(id); at >= 0 && s.members[at].proof == answerOpen && !s.members[at].again {
		s.members[at].again = true
		m.send(m.dir.node(id).Peer, &Probe{Nonce: s.nonce})
	}
}

// askAbout asks the others whether they reach the accused. A question that is open is
// repeated as it is: with a new one, the answer that is on its way would be to another.
func (m *Manager) askAbout(s *inquiry) {
	accused := m.dir.node(s.accused)
	anew := !s.asked || m.now.Since(s.wordsAt) >= 4*max(m.opt.PingInterval, m.contact(s.accused).trips.mean)
	if anew {
		s.asked, s.wordsAt = true, m.now
	}
	nonce := uint64(0)
	ask := func(to Peer, w *word) {
		if w.nonce == 0 && (anew || w.answer == answerOpen) {
			if nonce == 0 {
				m.nonce++
				nonce = m.nonce
			}
			w.nonce, w.at = nonce, m.now
		}
		if w.nonce != 0 {
			m.send(to, &Probe{Nonce: w.nonce, Target: accused.Peer})
		}
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
		if s := w.inquiry; s != nil && !s.proposed && m.testify(s, in.From.ID, b) {
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
func (m *Manager) testify(s *inquiry, from NodeID, b *ProbeReply) bool {
	if at := s.config.Position(from); b.Nonce == s.nonce && at >= 0 {
		if s.members[at].proof == answerOpen {
			s.members[at].proof = answerYes
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
		s.hear(from, answerNo)
	default:
		s.hear(from, answerYes)
	}
	return true
}

// wordOf is where a node's word about the accused stands; nil if it was not asked.
func (s *inquiry) wordOf(id NodeID) *word {
	if id == s.accused {
		return nil
	}
	if at := s.config.Position(id); at >= 0 {
		return &s.members[at].word
	}
	if id != 0 && id == s.outside.node {
		return &s.outside.word
	}
	return nil
}

// hear notes what a node says of the accused.
func (s *inquiry) hear(from NodeID, says answer) {
	if w := s.wordOf(from); w != nil {
		w.answer, w.nonce = says, 0
		s.moved = s.moved || from == s.accuser && says == answerYes
	}
}

// failed notes that a node is not at its address: as good as no answer.
func (m *Manager) failed(c *contact) {
	if c.node.group == 0 {
		return
	}
	w := m.watch(c.node.group)
	if s := w.inquiry; s != nil && !s.proposed {
		if at := s.config.Position(c.node.ID); at >= 0 && s.members[at].proof == answerOpen {
			s.members[at].proof = answerNo
			if c.node.ID == s.accused {
				s.forgetWords()
			}
			m.judge(w)
		}
	}
}

// forgetWords has those asked anew who have said that they reach the accused: it was
// before it ended.
func (s *inquiry) forgetWords() {
	for i := range s.members {
		s.members[i].word.forget()
	}
	s.outside.word.forget()
}

func (w *word) forget() {
	if w.answer == answerYes {
		*w = word{}
	}
}

// reviewProofs takes back what holds no longer: a proof is good for as long as its
// node goes on answering pings, a node that is gone has none, and one that was not at
// its address may have come back, and is asked anew.
func (m *Manager) reviewProofs(s *inquiry) {
	for i, p := range s.config.Chain {
		t, c := &s.members[i], m.contact(p.ID)
		if c.node.gone {
			t.proof, t.word.answer = answerNo, answerNo
		} else if t.proof == answerYes && !c.answers(m.now, &m.opt) {
			t.proof, t.since = answerOpen, m.now
		} else if t.proof == answerNo && c.answers(m.now, &m.opt) {
			t.proof, t.since, t.again = answerOpen, m.now, false
		}
	}
}

// unproved tells whether a member has failed to prove itself, or is overdue.
func (m *Manager) unproved(s *inquiry, at int) bool {
	switch s.members[at].proof {
	case answerYes:
		return false
	case answerNo:
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

// poll counts members by what they say of the accused: that they reach it, that they do
// not, or nothing yet. Only who works can say no.
type poll struct{ yes, no, open int }

// poll asks all but the accused, and but one more.
func (m *Manager) poll(s *inquiry, but NodeID) (p poll) {
	for i, peer := range s.config.Chain {
		t := &s.members[i]
		if peer.ID == s.accused || peer.ID == but || t.proof == answerNo {
			continue
		}
		switch m.says(s, peer.ID, &t.word) {
		case answerYes:
			p.yes++
		case answerOpen:
			p.open++
		default:
			if t.proof == answerYes {
				p.no++
			}
		}
	}
	return p
}

// outsiderSays is what the node outside the chain says, if there is one.
func (m *Manager) outsiderSays(s *inquiry) answer {
	if s.asked && s.outside.node == 0 {
		return answerNo
	}
	return m.says(s, s.outside.node, &s.outside.word)
}

// says is what a node says of the accused. Who has had time to be answered, and says
// nothing, does not reach it.
func (m *Manager) says(s *inquiry, id NodeID, w *word) answer {
	if w.nonce != 0 && m.dueAt(w.at.After(m.wordPatience(s, id))) {
		return answerNo
	}
	return w.answer
}

// wordPatience is how long to wait for a node's word about the accused, to which it
// may first have to set up a connection.
func (m *Manager) wordPatience(s *inquiry, id NodeID) time.Duration {
	a, b := &m.contact(id).trips, &m.contact(s.accused).trips
	if !a.known() || !b.known() {
		return firstPatience
	}
	return max(4*m.opt.PingInterval, min(a.patience(0)+3*max(a.patience(0), b.patience(0)), patienceMax+disputeMax))
}
