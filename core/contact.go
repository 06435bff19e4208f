package core

import "fmt"

// contact is the manager's soft state about one registered node.
type contact struct {
	node *nodeEntry
	turn int // says in which rounds it is pinged, see Manager.hasTurn

	token  uint64 // goes with each ping to addr, and to nobody else
	addr   string // where it is registered
	proven bool   // somebody there has sent the token back: the address is real

	pinged, answered uint64     // nonces: of the last ping, and of the last one answered
	sentAt           pingTimes  // when the last pings were sent
	trips            roundTrips // of pings
	fresh            bool       // it has answered a ping since the last one was sent
	missed           int        // pings in a row without an answer, the last one sent not counted; each counts for the rounds until the next one
	since            Time       // when the manager began to ping it
	answeredAt       Time       // when it last answered one, or registered a new boot
	provedAt         Time       // when it last proved in an inquiry that it works
	backAt           Time       // when it last answered after it had been silent for long, or was removed
	remindedAt       Time       // when it was last sent configs that it had missed

	claims []claim // to its place

	quietSince Time // when anything was last heard of it
	evidence   evidence

	witness int // how many inquiries ask it about a member of another group

	reserved bool // a command under way makes it a member, or lets it join

	registering bool   // a command about a start of it is under way
	ending      bool   // one is that says that its data is gone
	deciding    bool   // a command about its drain is under way
	refusal     Status // what to answer if that command lets it stay
	drainSince  Time   // when the drain began, or this manager did, if that was later
	quarantined Time   // not to be used before then
	steadySince Time   // it has missed nothing since then
	flaps       uint   // how often it was put in quarantine; long ago counts no more, see Manager.flaps
	flappedAt   Time   // when it was last
}

// newContact begins with no knowledge: a node's silence counts from now.
func (m *Manager) newContact(n *nodeEntry) *contact {
	m.turns++
	return &contact{
		node: n, turn: m.turns, token: m.tokens.Uint64(), addr: n.Addr, pinged: m.nonce, answered: m.nonce, fresh: true, since: m.now, answeredAt: longAgo, provedAt: longAgo, backAt: longAgo, remindedAt: longAgo, quietSince: m.now, evidence: noEvidence,
		drainSince: m.now, steadySince: m.now,
	}
}

// pingTimes remembers when pings were sent, by the last digits of their nonces,
// so that an answer tells the length of the round trip.
type pingTimes [64]struct {
	nonce uint64
	at    Time
}

func (p *pingTimes) note(nonce uint64, at Time) {
	slot := &p[nonce%uint64(len(p))]
	slot.nonce, slot.at = nonce, at
}

func (p *pingTimes) of(nonce uint64) (at Time, known bool) {
	slot := &p[nonce%uint64(len(p))]
	return slot.at, slot.nonce == nonce
}

// contact returns what is known of a registered node, or nil.
func (m *Manager) contact(id NodeID) *contact {
	if n := m.dir.node(id); n != nil {
		return m.contacts[n.number]
	}
	return nil
}

// ping is a round of pings: it counts what those whose turn it is have missed, and pings them.
func (m *Manager) ping() {
	m.pingAt = m.now.After(m.opt.PingInterval)
	m.nonce++
	m.rounds++
	m.share()
	nonce := m.nonce // the inquiries that begin here take nonces too
	changed := m.several != nil && m.several.changed()
	for _, c := range m.contacts {
		if c.node.gone { // its data is: it is not pinged, but may still be in a chain
			if c.node.group != 0 { // it may not know, and still serve
				m.sendForgotten(c.node)
			}
			m.suspect(c.node.group, c.node.ID, 0)
			continue
		}
		if m.hasTurn(c) {
			if !c.fresh {
				c.missed += m.shares
				c.steadySince = m.now
			}
			c.fresh = false
			if m.several != nil && !changed && !c.proven && c.missed%introduceRounds < m.shares {
				m.introduce(c)
			}
			m.pingOne(c, nonce)
		}
		if changed {
			m.introduce(c)
		}
		if m.silent(c) {
			m.suspect(c.node.group, c.node.ID, 0)
		}
	}
	m.lookAgain()
	m.forgetQuestions()
}

func (m *Manager) pingOne(c *contact, nonce uint64) {
	c.pinged = nonce
	c.sentAt.note(nonce, m.now)
	m.send(c.node.Peer, &Ping{Nonce: nonce, Index: m.dir.index, Token: c.token, Boot: m.startNumber(), Start: m.start, Began: m.began})
}

// startNumber tells the nodes which of two pings is of an earlier manager: of several
// managers, each term is as a start.
func (m *Manager) startNumber() Boot {
	if m.several != nil {
		return Boot(m.term)
	}
	return m.boot
}

func (m *Manager) onPong(in Envelope, b *Pong) {
	c := m.contact(in.From.ID)
	if b.Token != c.token || b.Nonce <= c.answered || b.Nonce > c.pinged {
		m.drop(in.From)
		return
	}
	if m.forgotMore(in.From.ID, b) {
		return
	}
	c.answered = b.Nonce
	m.settleClaims(c, b)
	first := !c.proven
	c.proven = true
	if c.missed >= silenceMin {
		c.backAt = m.now
	}
	at, known := c.sentAt.of(b.Nonce)
	if known && (at >= c.backAt || !c.trips.known()) { // else it tells how long the node was away
		c.trips.observe(m.now.Since(at))
	}
	if known && m.now.Since(at) <= patienceMax {
		m.answersPings(c)
	} else {
		m.heard(c) // it lives, but answers too late to count as answering
	}
	m.remind(c, b.Groups)
	if b.Join != nil && b.Join.Group == c.node.group {
		m.onProgress(b.Join)
	}
	if g := m.dir.group(c.node.group); g != nil && b.Serves == c.node.group && g.config.Chain[0].ID == c.node.ID {
		m.watch(b.Serves).keys = b.Keys
	}
	if b.Lag > m.opt.ProbeTimeout {
		m.suspect(c.node.group, c.node.ID, 0)
	}
	if first {
		m.lookUpAgain()
	}
}

// remind sends a node the configs of its groups that it has missed; again only when
// it can have answered the last time.
func (m *Manager) remind(c *contact, known []GroupEpoch) {
	if m.now.Since(c.remindedAt) < c.trips.mean {
		return
	}
	send := func(g *groupEntry) {
		c.remindedAt = m.now
		m.send(c.node.Peer, g.config)
	}
	own := max(c.node.group, c.node.joining) // one of them is 0
	for _, k := range known {
		if k.Group == own {
			own = 0
		}
		if g := m.dir.group(k.Group); g != nil && k.Epoch < g.config.Epoch {
			send(g)
		}
	}
	if own != 0 {
		send(m.dir.group(own))
	}
}

// welcome begins anew with a node that has started, or moved: how long its answers
// take is not known yet. What it was asked before went to nobody, so it has the time anew that
// it has to prove itself.
func (m *Manager) welcome(c *contact) {
	c.since, c.trips = m.now, roundTrips{}
	if s := m.inquiry(c.node.group); s != nil {
		if t := &s.members[s.config.Position(c.node.ID)]; t.proof == answerOpen {
			t.since, t.again = m.now, false
		}
	}
	m.answersPings(c)
}

// answersPings notes that a node answers. A new registration counts as that.
func (m *Manager) answersPings(c *contact) {
	c.fresh, c.missed = true, 0
	c.answeredAt = m.now
	m.lookAgain()
	m.heard(c)
}

// heard notes that the manager heard a node. The node is not lost, so a loss of its group
// that was presumed is withdrawn, and it gets every ping again. Whether it hears the
// manager is not known: a node that is cut off one way registers again and again, and must
// not become a member by that.
func (m *Manager) heard(c *contact) {
	c.missed = min(c.missed, missesSeldom-1)
	c.quietSince, c.evidence = m.now, noEvidence
	if c.node.group == 0 {
		return
	}
	w := m.watch(c.node.group)
	if w.loss == lossDoubtful || w.loss == lossPresumed {
		config := m.dir.group(c.node.group).config
		if m.several == nil {
			m.withdraw(w, config)
		} else if !w.presuming {
			m.proposeLoss(w, config, lossNone)
		}
	}
}

// withdraw takes back that a group is held for lost.
func (m *Manager) withdraw(w *watch, c *Config) {
	m.event(Event{Kind: EventWithdrawn, Group: c.Group, Epoch: c.Epoch})
	w.loss = lossNone
	m.recount()
	m.haltAt = Never
	m.propose(Command{Kind: CommandReconfigure, Group: c.Group, Epoch: c.Epoch})
	for i := range m.watches {
		m.haltFor(&m.watches[i])
	}
}

// onPeerDown takes the driver's hint: the node is probed at once, and one whose
// address refuses connections has failed the probes under way. A hint about an address
// where the node no longer is says nothing about the node.
func (m *Manager) onPeerDown(b *PeerDown) {
	c := m.contact(b.Peer.ID)
	if c == nil || c.node.gone || b.Peer.Addr != c.node.Addr {
		return
	}
	if b.Refused {
		if m.opt.Durable { // whoever was there is gone as well
			c.evidence.otherSince = Never
		}
		m.notThere(c, &c.evidence.refusedSince)
	} else if c.node.group != 0 {
		if s := m.watch(c.node.group).inquiry; s != nil && !s.proposed {
			m.hurry(s, c.node.ID)
		}
	}
	m.suspect(c.node.group, c.node.ID, 0)
}

// onRefused: the node knows a start of this manager that comes from a copy of its data, or
// from newer ones; or the node's address answered as another node. Anybody may say so, but for what
// brings the token of a ping that went there, or follows such a one.
func (m *Manager) onRefused(in Envelope, b *Refused) {
	c := m.contact(b.Wanted)
	if c == nil || c.node.gone || in.From.Addr != c.node.Addr {
		return
	}
	if b.Reason == RefusedBoot && m.several != nil {
		return // another one leads, in a later term: this one will hear of it
	}
	if b.Reason == RefusedBoot && b.What == KindPing && b.Token == c.token {
		m.out.Halt = fmt.Errorf("core: manager %v, boot %d: %w: so says node %v", m.self.ID, m.boot, ErrOtherManager, c.node.ID)
		return
	}
	if b.Reason != RefusedOtherNode {
		return
	}
	if b.Token == c.token || c.evidence.otherSince != Never {
		m.notThere(c, &c.evidence.otherSince)
	}
	m.suspect(c.node.group, c.node.ID, 0)
}

// notThere notes that a node is not at its address. To a probe that is a no, at once.
func (m *Manager) notThere(c *contact, since *Time) {
	if m.now.Since(c.evidence.at) > m.evidenceGap() {
		c.evidence = noEvidence
	}
	c.evidence.at, c.steadySince = m.now, m.now
	*since = min(*since, m.now)
	m.lookAgain()
	m.failed(c)
	m.cancelJoin(c.node.joining)
}
