package core

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// What the manager asks in an inquiry, and what it is told: proofs of members that they
// work, and words of others that they reach the accused.

// inquiry is one inquiry into a group.
type inquiry struct {
	config  *Config
	accused NodeID
	accuser NodeID // the primary that reported the accused, or 0

	begun   Time
	moved   bool        // what the accuser waits for has moved since
	nonce   uint64      // of the question for proof
	members []testimony // in the order of the chain
	outside outsider    // whom else was asked about the accused
	asked   bool        // the others were asked whether they reach the accused
	wordsAt Time        // when they were last asked anew
	againAt Time        // when to ask again who has not answered

	reported NodeID // whom the accused, a primary, has reported: the next inquiry is about that
	proposed bool   // a removal is under way; nothing more to do
}

// testimony is what one member has shown so far.
type testimony struct {
	proof answer // that it works
	since Time   // when it was first asked for it
	again bool   // it was asked again, as its connection broke
	word  word

	resigned bool // it has said that it cannot go on
}

// outsider is a node outside the chain that was asked whether it reaches the accused.
type outsider struct {
	node NodeID // 0 for none
	word word
}

// word is a node's answer to whether it reaches the accused. It is asked repeatedly: its
// last answer counts until the next one comes, or is overdue.
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

// ask asks those who have not answered. A question or its answer can be lost with a
// connection, so it is repeated. It is not repeated before an answer can have come: a
// busy node must not get more work.
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

// hurry repeats the question to a member whose connection broke. The question may be lost,
// and a process that has ended refuses the next one. It does so once: a node that cannot
// be reached looks the same, and each question would break the next connection.
func (m *Manager) hurry(s *inquiry, id NodeID) {
	if at := s.config.Position(id); at >= 0 && s.members[at].proof == answerOpen && !s.members[at].again {
		s.members[at].again = true
		m.send(m.dir.node(id).Peer, &Probe{Nonce: s.nonce})
	}
}

// askAbout asks the others whether they reach the accused. An open question is repeated
// with the same nonce: with a new one, the answer that is under way would not count.
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
	if c := m.contact(s.outside.node); c == nil || !m.answers(c) {
		m.release(s)
		s.outside = outsider{node: m.outsider(s.config)}
		if c := m.contact(s.outside.node); c != nil {
			c.witness++
		}
	}
	if c := m.contact(s.outside.node); c != nil {
		ask(c.node.Peer, &s.outside.word)
		if n := s.outside.word.nonce; n != 0 {
			m.about[n] = s.accused
		}
	}
}

// outsider picks a node outside the chain that can be asked about a member: the
// one that joins, else a spare; in want of another also one in quarantine: that it failed to
// join may be the fault of the primary that is judged.
//
// When many inquiries go on at once, each asks whoever is asked by the fewest. Nobody is
// asked by more than it has room for: for each further one it would forget one.
func (m *Manager) outsider(c *Config) NodeID {
	if joining := m.contact(c.Joining.ID); joining != nil && m.answers(joining) {
		return joining.node.ID
	}
	for _, list := range [][]*contact{m.spares(), m.unused(func(*contact) bool { return true })} {
		if len(list) == 0 {
			continue
		}
		if c := slices.MinFunc(list, func(a, b *contact) int { return cmp.Compare(a.witness, b.witness) }); c.witness < relaysMax {
			return c.node.ID
		}
	}
	return 0
}

// inquireAnew begins each inquiry anew, as nothing that was asked or proved before a long stall
// says who works now, however little of the manager's own time has passed.
func (m *Manager) inquireAnew() {
	for i := range m.watches {
		w := &m.watches[i]
		s := w.inquiry
		if s == nil || s.proposed {
			continue
		}
		next := w.next
		m.event(Event{Kind: EventCleared, Group: s.config.Group, Epoch: s.config.Epoch, Node: s.accused})
		m.end(w)
		m.inquire(w, s.config, s.accused, s.accuser, nil)
		w.next = next
	}
}

// release notes that an inquiry asks its node outside the chain no more.
func (m *Manager) release(s *inquiry) {
	if c := m.contact(s.outside.node); c != nil {
		c.witness--
	}
	s.outside.node = 0
}

// end ends the inquiry into a group, if there is one.
func (m *Manager) end(w *watch) {
	if w.inquiry != nil {
		m.release(w.inquiry)
	}
	w.inquiry, w.next = nil, 0
}

// onProbeReply takes in the word of a member in the inquiry into its own group, or the word
// of another node about whoever the question was about.
func (m *Manager) onProbeReply(in Envelope, b *ProbeReply) {
	about := m.contact(m.about[b.Nonce])
	switch {
	case m.testify(m.dir.node(in.From.ID).group, in.From.ID, b):
	case about == nil:
		m.drop(in.From)
	case m.testify(about.node.group, in.From.ID, b):
	case about.evidence.asked == b.Nonce:
		m.onWord(about, b)
	default:
		m.drop(in.From)
	}
}

// forgetQuestions drops what was noted of questions that are no longer open. It is called
// with every ping.
func (m *Manager) forgetQuestions() {
	for _, nonce := range slices.Sorted(maps.Keys(m.about)) {
		c := m.contact(m.about[nonce])
		if c == nil || c.evidence.asked != nonce && !m.inquiry(c.node.group).asksOutside(nonce) {
			delete(m.about, nonce)
		}
	}
}

// asksOutside tells whether a node outside the chain is asked the question with that nonce;
// nobody is without an inquiry.
func (s *inquiry) asksOutside(nonce uint64) bool { return s != nil && s.outside.word.nonce == nonce }

// inquiry is the one into a group that is not decided yet, or nil.
func (m *Manager) inquiry(id GroupID) *inquiry {
	if id == 0 {
		return nil
	}
	if s := m.watch(id).inquiry; s != nil && !s.proposed {
		return s
	}
	return nil
}

// testify notes an answer to one of the two questions of the inquiry into a group, and
// returns whether it is one.
func (m *Manager) testify(id GroupID, from NodeID, b *ProbeReply) bool {
	s := m.inquiry(id)
	if s == nil || !m.takeAnswer(s, from, b) {
		return false
	}
	m.judge(m.watch(id))
	return true
}

func (m *Manager) takeAnswer(s *inquiry, from NodeID, b *ProbeReply) bool {
	if at := s.config.Position(from); b.Nonce == s.nonce && at >= 0 {
		if s.members[at].proof == answerOpen {
			s.members[at].proof = answerYes
			m.contact(from).provedAt = m.now
			// This counts as a Pong. A slow member misses pings all the time: if it
			// counted as silent, inquiries would follow each other without a pause, and
			// healing would have no turn.
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

// failed notes that a node is not at its address. To an open question that is a no, at once,
// but for a node of which a manager that was started again has heard nothing yet: it may be
// starting as well, perhaps elsewhere, as after a power cut. So it counts as silent. Of several
// managers one that leads anew is no such one, if there was a leader just before it.
func (m *Manager) failed(c *contact) {
	if c.node.group == 0 || c.answeredAt == longAgo && m.now.Since(m.calm) < firstPatience {
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

// forgetWords drops the words of those who reached the accused, since that was before it
// ended. They are asked again.
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
		} else if t.proof == answerYes && !m.answers(c) {
			t.proof, t.since = answerOpen, m.now
		} else if t.proof == answerNo && !t.resigned && m.answers(c) {
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

// proofDue is the time by which a node must have proved itself. One that has answered
// no ping since the question gets a round trip, and silentTill at least. One that has answered a ping gets what its disk may take.
// If it then fell silent it gets longer, but at most that wait once more.
func (m *Manager) proofDue(c *contact, asked Time) Time {
	floor := 4 * m.opt.PingInterval
	silent := m.silentTill(c, asked)
	if c.answeredAt > asked {
		wait := c.trips.patience(max(floor, m.opt.ProbeTimeout))
		due := asked.After(wait)
		if m.hushed(c) {
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
// not, or nothing yet. Only a member that has proved itself can say no.
type poll struct{ yes, no, open int }

// poll counts all members but the accused, and but one more.
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

// says is what a node says of the accused. If its open question is overdue, it does not
// reach the accused; else its last word counts.
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
