package core

// relaysMax bounds the questions that a node relays at a time. A further one takes the place
// of the one that came first.
const relaysMax = 16

// relays are the probes of other nodes that this one was asked for.
type relays struct {
	last  uint64  // nonce
	slots []relay // relaysMax of them, by their nonces; nil before the first
}

type relay struct {
	nonce  uint64 // of this node's probe; 0 in a free slot
	asked  uint64 // the nonce of the one who asked
	by     Peer
	target Peer
	again  bool // sent again, as the connection broke
}

// onProbe proves that this node works. The reply follows whatever the node has
// still to make durable, and in durable mode at least one write, so that a disk
// that hangs shows. With a target it is a round trip to it, for which no disk need
// work.
func (s *Storage) onProbe(in Envelope, m *Probe) {
	if m.Reach {
		s.send(in.From, &ProbeReply{Nonce: m.Nonce})
		return
	}
	if m.Target.ID == 0 || m.Target.ID == s.self.ID {
		if s.opt.Durable {
			s.out.Persist = append(s.out.Persist, Write{Key: keyProbe})
		}
		s.after(in.From, &ProbeReply{Nonce: m.Nonce})
		return
	}
	for _, g := range s.groups {
		if g.tenure != nil && g.askAgain(m.Target.ID, question{m.Nonce, in.From}) {
			return
		}
	}
	s.send(m.Target, &Probe{Nonce: s.relays.take(in.From, m), Reach: true})
}

// take returns the nonce of the probe that goes to the target. A question that is
// repeated is the same probe. Its answer goes where it was asked last.
func (r *relays) take(by Peer, m *Probe) uint64 {
	for i := range r.slots {
		if slot := &r.slots[i]; slot.nonce != 0 && slot.asked == m.Nonce && slot.by.ID == by.ID {
			slot.by = by
			return slot.nonce
		}
	}
	if r.slots == nil {
		r.slots = make([]relay, relaysMax)
	}
	r.last++
	r.slots[r.last%relaysMax] = relay{nonce: r.last, asked: m.Nonce, by: by, target: m.Target}
	return r.last
}

func (s *Storage) onProbeReply(in Envelope, m *ProbeReply) {
	slot := s.relays.find(m.Nonce)
	if slot == nil || slot.target.ID != in.From.ID {
		s.drop(in.From)
		return
	}
	s.send(slot.by, &ProbeReply{Nonce: slot.asked})
	*slot = relay{}
}

// find returns the relay whose probe has that nonce, or nil.
func (r *relays) find(nonce uint64) *relay {
	if nonce == 0 || r.slots == nil {
		return nil
	}
	slot := &r.slots[nonce%relaysMax]
	if slot.nonce != nonce {
		return nil
	}
	return slot
}

// down answers those who asked about a node that is not at its address. Where only
// the connection broke, and the probe perhaps with it, it goes out again; once, as
// it may bring the next break.
func (r *relays) down(s *Storage, target Peer, refused bool) {
	for i := range r.slots {
		switch slot := &r.slots[i]; {
		case slot.nonce == 0 || slot.target != target:
		case refused:
			s.send(slot.by, &ProbeReply{Nonce: slot.asked, Refused: true})
			*slot = relay{}
		case !slot.again:
			slot.again = true
			s.send(slot.target, &Probe{Nonce: slot.nonce, Reach: true})
		}
	}
}
