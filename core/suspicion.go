package core

import (
	"slices"
	"time"
)

// watch is the manager's soft state about one group.
type watch struct {
	suspicion *suspicion // nil when nobody is suspected
	quietTill Time       // after a round that could remove nobody, missed pings alone start none until then
	loss      loss
	join      joinWatch
}

// suspicion is one inquiry into a group: somebody did not answer somebody, and
// now every member is asked for proof that it works.
type suspicion struct {
	config  *Config
	accused []NodeID
	accuser NodeID // the primary that reported the accused, or 0

	nonce    uint64
	deadline Time
	members  []verdict // in the order of the chain

	witness  uint64 // nonce of the probe that a witness does; 0 before there is one
	proposed bool   // a removal is under way; nothing more to do
}

// verdict is what the probe of one member has shown so far.
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
		m.drop(in)
		return
	}
	accuser := NodeID(0)
	if in.From.ID == g.config.Chain[0].ID && in.From.ID != b.Node {
		accuser = in.From.ID
	}
	m.suspect(b.Group, b.Node, accuser)
}

// suspect begins an inquiry unless one is under way. Reports are repeated, so
// none is lost by that.
func (m *Manager) suspect(id GroupID, node, accuser NodeID) {
	if id == 0 {
		return
	}
	w := m.watch(id)
	if w.suspicion != nil || w.loss == lossCertain || m.now < w.quietTill {
		return
	}
	m.inquire(w, m.dir.group(id).config, []NodeID{node}, accuser)
}

func (m *Manager) inquire(w *watch, c *Config, accused []NodeID, accuser NodeID) {
	w.suspicion = &suspicion{config: c, accused: accused, accuser: accuser}
	m.event(Event{Kind: EventProbing, Group: c.Group, Epoch: c.Epoch, Node: accused[0]})
	m.probe(w, w.suspicion)
}

// probe asks every member for proof that it works, from now on.
func (m *Manager) probe(w *watch, s *suspicion) {
	m.nonce++
	s.nonce, s.witness = m.nonce, 0
	s.deadline = m.now.After(m.opt.ProbeTimeout)
	s.members = make([]verdict, len(s.config.Chain))
	m.wakeBy(s.deadline)
	for i, p := range s.config.Chain {
		if m.dir.node(p.ID).gone {
			s.members[i] = verdictFailed
		} else {
			m.send(m.dir.node(p.ID).Peer, &Probe{Nonce: s.nonce})
		}
	}
	m.judge(w, false)
}

func (m *Manager) onProbeReply(in Envelope, b *ProbeReply) {
	for i := range m.watches {
		w := &m.watches[i]
		s := w.suspicion
		if s == nil || s.proposed {
			continue
		}
		if s.witness != 0 && s.witness == b.Nonce { // it reaches the accused: so the accuser is at fault
			// Who would follow it must have proved itself, or it is the next to be asked.
			if next := s.config.Chain[1].ID; s.of(next) == verdictOpen {
				m.inquire(w, s.config, []NodeID{next}, 0)
			} else {
				m.remove(w, []NodeID{s.accuser})
			}
			return
		}
		if at := s.config.position(in.From.ID); s.nonce == b.Nonce && at >= 0 {
			if s.members[at] == verdictOpen {
				s.members[at] = verdictAnswered
				// As good as a Pong: a member that is slow, but not too slow, misses
				// pings all the time, and healing must have its turn between inquiries.
				m.answered(m.contact(in.From.ID))
			}
			m.judge(w, false)
			return
		}
	}
	m.drop(in)
}

// failed notes that a node's address refused: as good as no answer.
func (m *Manager) failed(c *contact) {
	if c.node.group == 0 {
		return
	}
	w := m.watch(c.node.group)
	if s := w.suspicion; s != nil && !s.proposed {
		if at := s.config.position(c.node.ID); at >= 0 && s.members[at] == verdictOpen {
			s.members[at] = verdictFailed
			m.judge(w, false)
		}
	}
}

func (m *Manager) tickWatch(w *watch) {
	s := w.suspicion
	if s == nil || s.proposed {
		return
	}
	if m.now >= s.deadline {
		m.judge(w, true)
	}
	if s = w.suspicion; s != nil && !s.proposed {
		m.wakeBy(s.deadline)
	}
}

func (s *suspicion) of(id NodeID) verdict { return s.members[s.config.position(id)] }

// judge decides as soon as the answers allow, and with overdue at the latest.
func (m *Manager) judge(w *watch, overdue bool) {
	s := w.suspicion
	var guilty []NodeID
	for _, id := range s.accused {
		switch v := s.of(id); {
		case v == verdictFailed || v == verdictOpen && overdue:
			guilty = append(guilty, id)
		case v == verdictOpen:
			return
		}
	}
	if len(guilty) > 0 {
		m.convict(w, guilty, overdue)
	} else if s.accuser == 0 {
		m.clear(w)
	} else {
		m.confront(w, overdue)
	}
}

// convict removes who gave no proof, if the member that would be the primary
// has given it: nobody leaves on suspicion unless one who stays has answered.
func (m *Manager) convict(w *watch, guilty []NodeID, overdue bool) {
	s := w.suspicion
	for i, p := range s.config.Chain {
		if slices.Contains(guilty, p.ID) {
			continue
		}
		switch v := s.members[i]; {
		case v == verdictAnswered:
			m.remove(w, guilty)
		case v == verdictFailed || overdue: // ask again without counting on it
			m.inquire(w, s.config, append(guilty, p.ID), 0)
		}
		return
	}
	// Nobody would stay. The last member is never evicted on suspicion: the
	// group waits for whoever of them returns first.
	w.suspicion = nil
	w.quietTill = m.now.After(time.Duration(m.opt.MissesMax) * m.opt.PingInterval)
}

// confront decides between a primary and the member it accuses, which both
// answer the manager: a third that reaches the accused speaks against the
// accuser. Without such a witness the accused goes, as the primary cannot do
// without it.
func (m *Manager) confront(w *watch, overdue bool) {
	s := w.suspicion
	if s.witness != 0 {
		if overdue {
			m.remove(w, s.accused)
		}
		return
	}
	switch v := s.of(s.accuser); {
	case v == verdictFailed || v == verdictOpen && overdue:
		m.inquire(w, s.config, []NodeID{s.accuser}, 0)
		return
	case v == verdictOpen:
		return
	}
	witness, wait := m.witness(s)
	switch {
	case wait && !overdue:
		return
	case witness.ID == 0:
		m.remove(w, s.accused)
		return
	}
	m.nonce++
	s.witness = m.nonce
	s.deadline = m.now.After(m.opt.ProbeTimeout)
	m.wakeBy(s.deadline)
	m.send(witness, &Probe{Nonce: s.witness, Target: m.dir.node(s.accused[0]).Peer})
}

// witness picks a third member that has answered, else the node that joins, else
// a spare. It says to wait while a third member may still answer.
func (m *Manager) witness(s *suspicion) (p Peer, wait bool) {
	for i, member := range s.config.Chain {
		if member.ID == s.accuser || slices.Contains(s.accused, member.ID) {
			continue
		}
		switch s.members[i] {
		case verdictAnswered:
			return member, false
		case verdictOpen:
			wait = true
		}
	}
	if joining := m.contact(s.config.Joining.ID); joining != nil && joining.answers(m.now, &m.opt) {
		return joining.node.Peer, wait
	}
	if spares := m.spares(); len(spares) > 0 {
		p = spares[0].node.Peer
	}
	return p, wait
}

// remove proposes the config without these members, if the one that would be
// the primary has proved itself in this inquiry.
func (m *Manager) remove(w *watch, members []NodeID) {
	s := w.suspicion
	for i, p := range s.config.Chain {
		if slices.Contains(members, p.ID) {
			continue
		}
		if s.members[i] != verdictAnswered {
			m.clear(w)
			return
		}
		s.proposed = true
		m.propose(Command{Kind: CommandReconfigure, Group: s.config.Group, Epoch: s.config.Epoch, Remove: members})
		return
	}
	m.clear(w)
}

func (m *Manager) clear(w *watch) {
	c := w.suspicion.config
	m.event(Event{Kind: EventCleared, Group: c.Group, Epoch: c.Epoch, Node: w.suspicion.accused[0]})
	w.suspicion = nil
}
