package core

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// nodesMax bounds the storage nodes that a cluster lists; see retire.go.
const nodesMax = 1 << 12

// Manager keeps the Directory and the groups alive: it pings, probes, decides,
// and proposes commands. A command is applied when it is durable, so whatever
// the Directory shows may be told to anyone.
type Manager struct {
	common
	opt   ManagerOptions
	boot  Boot  // how many times this data was started
	began Index // of the Directory when this start began
	start uint64
	dir   *Directory

	consensus  consensus
	several    *several // the same; nil while this manager is the only one
	leads      bool     // always, if it is the only one
	term       Term     // that it leads, or has led last
	denials    []denial // that wait for the word of the consensus
	confirming int      // how many of them the word that was asked for is about

	proposed Index  // of the last command proposed; those above dir.index are under way
	underWay []Time // when these were proposed
	late     bool   // the disk is, and that was told
	fold     fold

	contacts   []*contact // by nodeEntry.number
	watches    []watch    // in the order of dir.groups
	tally      tally
	glance     glance
	waiters    map[Unit][]waiter // by the unit that they wait for
	waiting    int               // in waiters
	early      []early
	waits      map[waiter]bool   // who is in waiters (true) or in early only: who asks again is there already
	listing    map[NodeID]bool   // nodes not on the list that a command under way puts there
	forgets    []operatorRequest // to forget a node, until it is gone
	drains     []operatorRequest // to drain a node, until it is in no chain, or has to stay
	refused    []refusedDrain
	nonce      uint64            // of the last ping or probe; see firstNonce
	about      map[uint64]NodeID // by the nonce of a question to a node outside the chain: whom it is about
	tokens     rand.ChaCha8      // what the next token is; nobody can guess it from those before
	rounds     int               // of pings so far
	shares     int               // in how many rounds every node is pinged once; see share
	turns      int               // given to contacts so far
	turn       int               // index in contacts of the node that was last asked about others
	askedAbout int               // where askOthers goes on in its list
	renewals   int               // groups that may still get this manager's terms in this round
	tooManyAt  Time              // when more were missing than the others could be asked about in one round

	started bool
	ready   bool // the identity is durable
	pingAt  Time
	haltAt  Time // Never, or when a lost group ends this manager
	calm    Time // since when the cluster is not just starting: there has been a manager

	// In the manager now is its own time, which stands still while the manager stalls:
	// see begin. All its times are measured in it.
	driver  Time // the driver's time at the last call
	stalled bool // the last call came after a stall
}

// operatorRequest is an operator's wish about a node, and who waits for the answer.
type operatorRequest struct {
	waiter
	node NodeID
}

// is tells whether two are the same request, wherever it came from: who asks again may
// do so over another connection, and so from another address.
func (r *operatorRequest) is(o *operatorRequest) bool {
	return r.client.ID == o.client.ID && r.req == o.req && r.node == o.node
}

// NewManager starts a manager over what it made durable before. It returns an
// error when the options are out of bounds or the space is damaged.
func NewManager(opt ManagerOptions, space Space) (*Manager, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	m := &Manager{common: common{self: opt.Self, cluster: opt.Cluster}, opt: opt, dir: newDirectory(cmp.Or(opt.Placement, PlacementKey)), consensus: sole{}, leads: true, waiters: make(map[Unit][]waiter), waits: make(map[waiter]bool), listing: make(map[NodeID]bool), about: make(map[uint64]NodeID), shares: 1, haltAt: Never, tooManyAt: longAgo, tokens: *rand.NewChaCha8(opt.Seed)}
	if opt.Durable {
		if err := m.restore(space); err != nil {
			return nil, err
		}
	}
	m.boot++
	if opt.Consensus != nil {
		m.leads, m.several = false, new(several)
		m.consensus = m.several
		council, err := opt.Consensus(machine{m}, m.self, space)
		if err != nil {
			return nil, err
		}
		m.several.council = council
	}
	m.began, m.start = m.dir.index, m.tokens.Uint64()
	m.nonce = firstNonce(m.boot)
	return m, nil
}

// firstNonce is where a start of a node begins to count its nonces: above those of all
// starts before it. So a late answer to an earlier start is not taken for one to this.
func firstNonce(b Boot) uint64 { return uint64(b) << 32 }

// Step implements Node.
func (m *Manager) Step(now Time, in Envelope, out *Output) {
	m.begin(now, out)
	switch {
	case in.From.ID == m.self.ID && in.To.ID == m.self.ID:
		m.onSelf(in.Body)
	case !inRange(&in):
		m.drop(in.From)
	case m.several != nil && m.takes(in):
	case m.ready && m.accepts(in):
		m.onMessage(in)
	}
	m.out = nil
}

// Tick implements Node.
func (m *Manager) Tick(now Time, out *Output) {
	m.begin(now, out)
	if m.several != nil {
		if m.consult(Consensus.Tick); m.now < m.alarm { // nothing else is due
			m.out = nil
			return
		}
	}
	m.alarm = Never
	if m.ready && m.now >= m.pingAt {
		m.ping()
		m.lookUpAgain()
		m.askOthers()
		m.judgeLosses()
		m.retireSilent()
		m.heal()
		m.persistFold()
		m.reviewHalt()
	}
	for i := range m.watches {
		m.tickWatch(&m.watches[i])
	}
	if m.now >= m.haltAt {
		m.haltForLoss()
	}
	m.tellDiskLate()
	if m.ready { // until then only its own Synced can move it
		m.wakeBy(min(m.pingAt, m.haltAt))
	}
	m.out = nil
}

// Deadline implements Node.
func (m *Manager) Deadline() Time {
	if !m.started {
		return 0
	}
	at := Never
	if m.alarm != Never {
		at = m.driver.After(m.alarm.Since(m.now))
	}
	if m.several != nil {
		at = min(at, m.several.council.Deadline())
	}
	return at
}

// begin measures time. A manager that stalls cannot tell who was silent meanwhile, so a
// stall does not count: what came during it is taken in before anybody is judged. If the
// call before came after a stall as well, one PingInterval counts: a manager that stalls
// all the time decides late, but decides. One that does not lead judges nobody, and is
// seldom called.
func (m *Manager) begin(now Time, out *Output) {
	m.out = out
	m.lookAgain()
	if !m.started {
		m.started = true
		m.now, m.driver, m.calm = now, now, now
		m.persistIdentity()
		m.after(m.self, &Synced{})
		m.pingAt, m.alarm = Never, now
		if m.leads {
			m.pingAt = now
			for _, n := range m.dir.nodes {
				m.contacts = append(m.contacts, m.newContact(n))
			}
			m.watches = make([]watch, len(m.dir.groups))
		}
		return
	}
	stalled := m.leads && now.Since(m.driver) > m.stallMax()
	if stalled {
		m.event(Event{Kind: EventPaused})
	}
	long := stalled && now.Since(m.driver) > patienceMax
	m.now, m.driver, m.stalled = m.at(now), now, stalled
	if long {
		m.inquireAnew()
	}
}

// at turns the driver's time into the manager's own.
func (m *Manager) at(now Time) Time {
	passed := now.Since(m.driver)
	switch {
	case passed <= m.stallMax() || !m.leads:
		return m.now.After(passed)
	case m.stalled:
		return m.now.After(m.opt.PingInterval)
	}
	return m.now
}

// stallMax is the longest time between two calls that is no stall. There is one with each
// round, however seldom each node is pinged.
func (m *Manager) stallMax() time.Duration { return 2 * m.opt.PingInterval }

// accepts tells whether a message is for this manager and from its cluster. To register,
// look up, forget, drain or ask for the status, a sender need not know either.
func (m *Manager) accepts(in Envelope) bool {
	reason, secret := m.wrongHere(&in), uint64(0)
	if reason == 0 {
		n := m.dir.node(in.From.ID)
		if n == nil || !n.gone {
			return true
		}
		reason, secret = RefusedForgotten, n.secret
	}
	if r, ok := in.Body.(*Register); ok {
		secret = r.Secret
	}
	m.refuse(in, reason, secret)
	return false
}

// wrongHere tells why a message is not for this manager, or not from its cluster; 0 if it is.
func (m *Manager) wrongHere(in *Envelope) Refusal {
	stranger := kinds[KindOf(in.Body)].stranger
	switch {
	case in.To.ID != m.self.ID && !(stranger && in.To.ID == 0):
		return RefusedOtherNode
	case in.Cluster != m.cluster && !(stranger && in.Cluster == 0):
		return RefusedOtherCluster
	}
	return 0
}

func (m *Manager) onSelf(b Message) {
	switch b := b.(type) {
	case *Synced:
		if b.Nonce != 0 {
			m.consult(func(c Consensus, now Time, out *Output) { c.Stored(now, b.Nonce, out) })
			return
		}
		m.ready = true
		m.wakeBy(m.pingAt)
	case *Committed:
		m.onCommitted(b)
	case *PeerDown:
		if m.several != nil {
			m.consult(func(c Consensus, now Time, out *Output) { c.Down(now, b.Peer.ID, out) })
		}
		if m.leads && m.ready { // else the question would have a number that the next start asks with, too
			m.onPeerDown(b)
		}
	}
}

func (m *Manager) onMessage(in Envelope) {
	if !m.mayHear(&in) {
		m.drop(in.From)
		return
	}
	switch b := in.Body.(type) {
	case *Register:
		m.onRegister(in, b)
	case *Farewell:
		m.onFarewell(in, b)
	case *Forget:
		m.onForget(in.From, b)
	case *Refused:
		m.onRefused(in, b)
	case *Pong:
		m.onPong(in, b)
	case *ProbeReply:
		m.onProbeReply(in, b)
	case *Lookup:
		m.onLookup(in.From, b)
	case *Suspect:
		m.onSuspect(in, b)
	case *StatusQuery:
		m.onStatusQuery(in.From, b)
	case *ManagersQuery:
		m.onManagersQuery(in.From, b)
	case *CaughtUp:
		m.onCaughtUp(in, b)
	case *Drain:
		m.onDrain(in.From, b)
	case *Enlist:
		m.onEnlist(in.From, b)
	default:
		m.drop(in.From)
	}
}

// propose asks for a command; it comes back by onCommitted.
func (m *Manager) propose(c Command) {
	m.proposed++
	m.underWay = append(m.underWay, m.now)
	m.consensus.propose(m, m.proposed, c)
}

// onCommitted applies a command and tells those whom it concerns.
func (m *Manager) onCommitted(b *Committed) {
	if b.Index != m.dir.index+1 {
		panic(fmt.Sprintf("core: manager %v: command %d committed at directory index %d", m.self.ID, b.Index, m.dir.index))
	}
	m.underWay = m.underWay[1:]
	c := &b.Command
	a := m.dir.apply(c)
	m.noteChange(c, &a)
	m.persistFold()
	onlyUnit := c.Kind == CommandPlace && !a.formed
	if !onlyUnit {
		m.recount()
	}
	switch c.Kind {
	case CommandRegister:
		m.registered(c, a)
	case CommandPlace:
		m.placed(c, a)
	case CommandGone:
		m.gone(c.Node.ID, a)
	case CommandJoin, CommandMember:
		m.joinChanged(c, a)
	case CommandReconfigure:
		m.watch(c.Group).join.proposed = false
	case CommandDrain:
		m.drainBegan(c, a)
	case CommandStay:
		m.drainEnded(c)
	case CommandRetire:
		m.retired(c, a)
	case CommandTerms:
		m.termsChanged(c, a)
	case CommandFound, CommandDoubtful, CommandLost:
		m.presumed(c, a)
	}
	if c.Kind == CommandMember || c.Kind == CommandReconfigure && len(c.Remove) > 0 {
		m.watch(c.Group).doubts = 0
	}
	if c.Kind == CommandReconfigure && len(a.changed) > 0 {
		m.tellEvicted(c, a.changed[0])
	}
	for _, config := range a.changed {
		m.spread(config)
	}
	if c.Kind == CommandReconfigure && len(a.changed) > 0 {
		for _, id := range c.Remove {
			m.send(m.dir.node(id).Peer, a.changed[0])
			out := m.contact(id)
			out.backAt = m.now // what it answers late tells how long it was taken for dead
			if !out.node.draining {
				m.watch(c.Group).failed(id, m.now)
				m.quarantine(out)
			}
		}
	}
	if !onlyUnit {
		m.settleDrains()
	}
}

// spread announces a new config to its members and ends the suspicions that
// spoke of the one before.
func (m *Manager) spread(c *Config) {
	m.event(Event{Kind: EventReconfigured, Group: c.Group, Epoch: c.Epoch})
	w := m.watch(c.Group)
	m.end(w)
	for _, p := range c.Chain {
		m.send(p, c)
	}
	if c.Joining.ID != 0 {
		m.send(c.Joining, c)
	}
}

// watch returns the soft state of a group, making room for a new group's.
func (m *Manager) watch(id GroupID) *watch {
	for int(id) > len(m.watches) {
		m.watches = append(m.watches, watch{})
	}
	return &m.watches[id-1]
}

func (m *Manager) onRegister(in Envelope, b *Register) {
	n := m.dir.node(in.From.ID)
	c := Command{Kind: CommandRegister, Node: NodeRecord{in.From, b.Name, b.Process, b.Boot}, Secret: b.Secret, Before: b.Before, Inherited: b.Inherited}
	switch {
	case b.Durable != m.opt.Durable:
		m.send(in.From, &Refused{Reason: RefusedMode, Wanted: in.To.ID, What: KindRegister, Token: b.Secret})
		return
	case b.Index > m.dir.index: // anybody can say so: if it is true, it answers pings, and says so there
		m.event(Event{Kind: EventAhead, Node: in.From.ID})
		return
	case n != nil && b.Secret == n.secret && (b.Boot < n.Boot || b.Inherited != 0): // late
		m.drop(in.From)
		return
	case !m.opt.Durable && (b.Boot != 1 || n != nil && in.From.Addr != n.Addr): // it is another node whenever it starts
		m.drop(in.From)
		return
	case b.Inherited != 0 && n != nil && b.Inherited == n.secret:
		m.confirm(&c)
		return
	case n == nil && m.listing[in.From.ID]:
		return // it is answered when that is agreed on
	case n == nil && len(m.dir.nodes)+len(m.listing) >= nodesMax:
		m.send(in.From, &Refused{Reason: RefusedFull, Wanted: in.To.ID, What: KindRegister, Token: b.Secret})
		return
	case n != nil && !n.follows(&c):
		m.send(in.From, &Refused{Reason: RefusedBoot, Wanted: in.To.ID, What: KindRegister, Token: b.Secret})
		return
	case n != nil && b.Inherited == 0 && b.Boot == n.Boot && in.From.Addr == n.Addr:
		m.heard(m.contact(in.From.ID))
		m.confirm(&c)
		return
	case n != nil && !n.gone:
		m.claim(m.contact(n.ID), &c)
		return
	}
	if n == nil {
		m.listing[in.From.ID] = true
	}
	m.propose(c)
}

// confirm tells a start of a node by which secret its data are known.
func (m *Manager) confirm(c *Command) {
	m.send(c.Node.Peer, &Registered{Boot: c.Node.Boot, Secret: cmp.Or(c.Inherited, c.Secret), Managers: m.managers()})
}

// introduce tells a node who the managers are, though it has not asked: where they have changed,
// where this one leads anew, and now and then until the node has answered it. A node hears no
// manager that it does not know. That this is one its own secret proves.
func (m *Manager) introduce(c *contact) {
	m.send(c.node.Peer, &Registered{Boot: c.node.Boot, Secret: c.node.secret, Managers: m.several.told})
}

// introduceRounds is how many pings a node has missed when it is told again who the managers are.
const introduceRounds = 20

// managers are all of them, if there are several.
func (m *Manager) managers() []Peer {
	if m.several == nil {
		return nil
	}
	return m.several.council.Managers()
}

// forgotMore halts the manager when a node of its Directory, at its address there, knows
// more than the Directory with which this start began, or a group or an epoch that it has
// not: a part was lost, or an old copy was restored (manager 7). In memory mode that cannot
// be. One of several managers may also have been deposed, and not know it yet: it halts only
// if it leads all the same.
func (m *Manager) forgotMore(node NodeID, b *Pong) bool {
	missing := m.missingBy(node, b)
	switch {
	case missing == "":
		return false
	case m.several != nil:
		m.deny(denial{waiter: waiter{client: Peer{ID: node}}, ask: b})
		return true
	}
	m.contradicted(node, missing)
	return true
}

// contradicted warns of what a node says that the Directory lacks, and ends the manager where that
// can be. In memory mode who lost the Directory is of another cluster, also of several
// managers, who have agreed on all that this one has: there the node is wrong.
func (m *Manager) contradicted(node NodeID, missing string) {
	m.event(Event{Kind: EventAhead, Node: node})
	if !m.opt.Durable {
		return
	}
	m.out.Halt = fmt.Errorf("core: manager %v: %w: %s; if another manager runs, leave it to that; else restore the newer state, or start a new cluster", m.self.ID, ErrAmnesia, missing)
}

// missingBy says what a node knows that is not in the Directory; "" for nothing.
func (m *Manager) missingBy(node NodeID, b *Pong) (missing string) {
	for _, k := range b.Groups {
		if g := m.dir.group(k.Group); g == nil {
			missing = fmt.Sprintf("it has no group %d, but node %v is or was in that", k.Group, node)
		} else if k.Epoch > g.config.Epoch {
			missing = fmt.Sprintf("it knows group %d up to epoch %d, but node %v knows epoch %d", k.Group, g.config.Epoch, node, k.Epoch)
		}
	}
	if b.Index > m.began {
		missing = fmt.Sprintf("it began at index %d, but node %v has seen index %d", m.began, node, b.Index)
	}
	return missing
}

func (m *Manager) registered(c *Command, a applied) {
	delete(m.listing, c.Node.ID)
	n := m.dir.node(c.Node.ID)
	if n.number == len(m.contacts) {
		m.contacts = append(m.contacts, m.newContact(n))
	}
	m.contacts[n.number].registering = false
	if c.Inherited != 0 {
		if n.secret == c.Inherited {
			m.confirm(c)
		}
		return
	}
	if n.gone {
		return
	}
	known := m.contacts[n.number]
	known.claims = nil
	if known.addr != n.Addr {
		known.addr, known.token, known.proven = n.Addr, m.tokens.Uint64(), false
	}
	m.welcome(known)
	if a.registered {
		if m.awaitsDrain(n.ID) { // its new start ended the drain, but somebody waits for that
			m.proposeDrain(m.contacts[n.number])
		}
		m.event(Event{Kind: EventRegistered, Node: n.ID})
	}
	m.send(n.Peer, &Registered{Boot: n.Boot, Secret: n.secret, Managers: m.managers()})
	if !known.proven && n.isSpare() { // else the next round of pings is soon enough
		m.nonce++
		m.pingOne(known, m.nonce)
	}
}

// onFarewell: in memory mode the data went with the node; in durable mode it
// only stopped, which is worth a probe.
func (m *Manager) onFarewell(in Envelope, b *Farewell) {
	n := m.dir.node(in.From.ID)
	if b.Boot != n.Boot || b.Token != m.contact(n.ID).token {
		m.drop(in.From)
		return
	}
	if m.opt.Durable {
		m.suspect(n.group, n.ID, 0)
		return
	}
	m.proposeGone(n)
}

// proposeGone has the managers know that a node's data is gone. Whoever says so says it again.
func (m *Manager) proposeGone(n *nodeEntry) {
	if c := m.contact(n.ID); !c.ending {
		c.ending = true
		m.propose(Command{Kind: CommandGone, Node: NodeRecord{Peer: n.Peer}})
	}
}

func (m *Manager) onForget(from Peer, b *Forget) {
	n, r := m.dir.node(b.Node), operatorRequest{waiter{from, b.Req}, b.Node}
	waits := slices.IndexFunc(m.forgets, func(w operatorRequest) bool { return w.is(&r) })
	switch {
	case n == nil:
		m.deny(denial{waiter: r.waiter, ask: b})
	case n.gone:
		m.send(from, &Forgotten{Req: b.Req, Status: StatusOK})
	case waits >= 0:
		m.forgets[waits] = r
	case len(m.forgets) >= nodesMax:
		m.send(from, &Forgotten{Req: b.Req, Status: StatusOverloaded})
	default:
		m.forgets = append(m.forgets, r)
		m.proposeGone(n)
	}
}

// gone tells a node whose data is gone to stop, and its group to do without.
func (m *Manager) gone(id NodeID, a applied) {
	m.forgets = slices.DeleteFunc(m.forgets, func(f operatorRequest) bool {
		if f.node == id {
			m.send(f.client, &Forgotten{Req: f.req, Status: StatusOK})
		}
		return f.node == id
	})
	if !a.gone {
		return
	}
	n := m.dir.node(id)
	m.event(Event{Kind: EventGone, Node: id})
	m.sendForgotten(n)
	m.suspect(n.group, id, 0)
	if n.group != 0 {
		m.judgeLoss(n.group)
	}
}

// sendForgotten tells a node that it must stop serving.
func (m *Manager) sendForgotten(n *nodeEntry) {
	m.send(n.Peer, &Refused{Reason: RefusedForgotten, Wanted: m.self.ID, What: KindRegister, Token: n.secret})
}
