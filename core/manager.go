package core

import (
	"fmt"
	"slices"
	"time"
)

// nodesMax bounds the storage nodes ever registered in a cluster.
const nodesMax = 1 << 12

// Manager keeps the Directory and the groups alive: it pings, probes, decides,
// and proposes commands. A command is applied when it is durable, so whatever
// the Directory shows may be told to anyone.
type Manager struct {
	opt      ManagerOptions
	self     Peer
	cluster  ClusterID
	boot     Boot // how many times this data was started
	dir      *Directory
	proposed Index // of the last command proposed; those above dir.index are under way

	contacts []*contact // by nodeEntry.place
	watches  []watch    // in the order of dir.groups
	waiters  map[string][]waiter
	waiting  int // in waiters
	early    []early
	forgets  []forget // until their node is gone
	drains   []forget // until their node is in no chain, or has to stay
	refused  []refusedDrain
	nonce    uint64 // of the last ping or probe; see firstNonce
	turn     int    // in contacts: who was asked last about others

	started bool
	ready   bool // the identity is durable
	pingAt  Time
	haltAt  Time // Never, or when a lost group ends this manager

	// now is the manager's own time, in which everything here is measured. It stands
	// still while the manager itself does: see begin. driver is the driver's time
	// at the last call.
	now, driver Time
	out         *Output
	alarm       Time
}

// waiter is a client that waits for a key to be mapped.
type waiter struct {
	client Peer
	req    uint64
}

// early is a lookup that came before the nodes that it needs had answered.
type early struct {
	waiter
	lookup *Lookup
}

// forget is an operator who waits for a node to be forgotten, or drained.
type forget struct {
	waiter
	node NodeID
}

// NewManager starts a manager over what it made durable before. It returns an
// error when the options are out of bounds or the space is damaged.
func NewManager(opt ManagerOptions, space Space) (*Manager, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	m := &Manager{opt: opt, self: opt.Self, cluster: opt.Cluster, dir: newDirectory(), waiters: make(map[string][]waiter), haltAt: Never}
	if opt.Durable {
		if err := m.restore(space); err != nil {
			return nil, err
		}
	}
	m.boot++
	m.nonce = firstNonce(m.boot)
	return m, nil
}

// firstNonce is what a start of a node counts its nonces from: above all of the
// starts before it, so that an answer to one of those which comes late is not
// taken for an answer to one of this.
func firstNonce(b Boot) uint64 { return uint64(b) << 32 }

// Step implements Node.
func (m *Manager) Step(now Time, in Envelope, out *Output) {
	m.begin(now, out)
	if in.From.ID == m.self.ID && in.To.ID == m.self.ID {
		m.onSelf(in.Body)
	} else if m.ready && m.accepts(in) {
		m.onMessage(in)
	}
	m.out = nil
}

// Tick implements Node.
func (m *Manager) Tick(now Time, out *Output) {
	m.begin(now, out)
	m.alarm = Never
	if m.ready && m.now >= m.pingAt {
		m.ping()
		m.lookUpAgain()
		m.askOthers()
		m.judgeLosses()
		m.heal()
	}
	for i := range m.watches {
		m.tickWatch(&m.watches[i])
	}
	if m.now >= m.haltAt {
		m.haltForLoss()
	}
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
	if m.alarm == Never {
		return Never
	}
	return m.driver.After(m.alarm.Since(m.now))
}

// begin measures time. A manager that stalls cannot tell who was silent meanwhile,
// so of the time between two calls no more counts than two pings are apart: what
// came during the stall is taken in before anybody is judged, and a manager that
// stalls again and again decides later, but decides.
func (m *Manager) begin(now Time, out *Output) {
	m.out = out
	if !m.started {
		m.started = true
		m.now, m.driver = now, now
		m.persistIdentity()
		m.after(m.self, &Synced{})
		m.pingAt, m.alarm = now, now
		for _, n := range m.dir.nodes {
			m.contacts = append(m.contacts, newContact(n, now, m.nonce))
		}
		m.watches = make([]watch, len(m.dir.groups))
		return
	}
	if now.Since(m.driver) > m.stallMax() {
		m.event(Event{Kind: EventPaused})
	}
	m.now, m.driver = m.at(now), now
}

// at turns the driver's time into the manager's own.
func (m *Manager) at(now Time) Time { return m.now.After(min(now.Since(m.driver), m.stallMax())) }

// stallMax is the most that counts of the time between two calls.
func (m *Manager) stallMax() time.Duration { return 2 * m.opt.PingInterval }

func (m *Manager) wakeBy(t Time) { m.alarm = min(m.alarm, t) }

func (m *Manager) send(to Peer, b Message) {
	m.out.Send = append(m.out.Send, Envelope{m.cluster, m.self, to, b})
}

func (m *Manager) after(to Peer, b Message) {
	m.out.After = append(m.out.After, Envelope{m.cluster, m.self, to, b})
}

func (m *Manager) event(e Event) { m.out.Events = append(m.out.Events, e) }

func (m *Manager) drop(in Envelope) { m.event(Event{Kind: EventDropped, Node: in.From.ID}) }

// accepts tells whether a message is for this manager and from its cluster.
// Who does not know the two yet may register, look up, forget, drain and ask
// for the status without.
func (m *Manager) accepts(in Envelope) bool {
	reason := Refusal(0)
	stranger := false
	switch in.Body.(type) {
	case *Register, *Lookup, *Forget, *Drain, *StatusQuery:
		stranger = true
	}
	switch {
	case in.To.ID != m.self.ID && !(stranger && in.To.ID == 0):
		reason = RefusedOtherNode
	case in.Cluster != m.cluster && !(stranger && in.Cluster == 0):
		reason = RefusedOtherCluster
	default:
		if n := m.dir.node(in.From.ID); n == nil || !n.gone {
			return true
		}
		reason = RefusedForgotten
	}
	m.event(Event{Kind: EventRefused, Node: in.From.ID})
	if reason == RefusedForgotten || isRequest(in.Body) {
		m.out.Send = append(m.out.Send, Envelope{in.Cluster, m.self, in.From, &Refused{Reason: reason, Wanted: in.To.ID, What: KindOf(in.Body)}})
	}
	return false
}

func (m *Manager) onSelf(b Message) {
	switch b := b.(type) {
	case *Synced:
		m.ready = true
		m.wakeBy(m.pingAt)
	case *Committed:
		m.onCommitted(b)
	case *PeerDown:
		m.onPeerDown(b)
	}
}

func (m *Manager) onMessage(in Envelope) {
	switch b := in.Body.(type) {
	case *Register:
		m.onRegister(in, b)
	case *Farewell:
		m.onFarewell(in, b)
	case *Forget:
		m.onForget(in, b)
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
	case *CaughtUp:
		m.onCaughtUp(in, b)
	case *Drain:
		m.onDrain(in.From, b)
	default:
		m.drop(in)
	}
}

// propose makes a command durable; it comes back as Committed.
func (m *Manager) propose(c Command) {
	m.proposed++
	m.persistCommand(m.proposed, &c)
	m.after(m.self, &Committed{Index: m.proposed, Command: c})
}

// onCommitted applies a command and tells those whom it concerns.
func (m *Manager) onCommitted(b *Committed) {
	if b.Index != m.dir.index+1 {
		panic(fmt.Sprintf("core: manager %v: command %d committed at directory index %d", m.self.ID, b.Index, m.dir.index))
	}
	c := &b.Command
	a := m.dir.apply(c)
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
	}
	if c.Kind == CommandMember || c.Kind == CommandReconfigure && len(c.Remove) > 0 {
		m.watch(c.Group).doubts = 0
	}
	for _, config := range a.changed {
		m.spread(config)
	}
	if c.Kind == CommandReconfigure && len(a.changed) > 0 {
		for _, id := range c.Remove {
			m.send(m.dir.node(id).Peer, a.changed[0])
			if out := m.contact(id); !out.node.draining {
				m.watch(c.Group).failed(id, m.now)
				m.quarantine(out)
			}
		}
	}
	m.settleDrains()
}

// spread announces a new config to its members and ends the suspicions that
// spoke of the one before.
func (m *Manager) spread(c *Config) {
	m.event(Event{Kind: EventReconfigured, Group: c.Group, Epoch: c.Epoch})
	w := m.watch(c.Group)
	w.suspicion, w.next = nil, 0
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
	switch {
	case b.Durable != m.opt.Durable:
		m.send(in.From, &Refused{Reason: RefusedMode, Wanted: in.To.ID, What: KindRegister})
		return
	case m.forgotMore(in.From.ID, b.Index):
		return
	case n == nil && len(m.dir.nodes) >= nodesMax:
		m.drop(in)
		return
	case n != nil && b.Boot < n.Boot:
		m.send(in.From, &Refused{Reason: RefusedBoot, Wanted: in.To.ID, What: KindRegister})
		return
	case n != nil && b.Boot == n.Boot && in.From.Addr == n.Addr:
		m.heard(m.contact(in.From.ID))
		m.send(in.From, &Registered{Boot: b.Boot, Index: m.dir.index})
		return
	}
	m.propose(Command{Kind: CommandRegister, Node: NodeRecord{in.From, b.Name, b.Process, b.Boot}})
}

// forgotMore halts a manager that a node has known to know more than it does:
// its Directory was lost or an old copy of it restored (rule "Restart").
func (m *Manager) forgotMore(node NodeID, seen Index) bool {
	if seen <= m.dir.index {
		return false
	}
	m.out.Halt = fmt.Errorf("core: manager %v: %w: it is at index %d, but node %v has seen index %d; restore the newer state, or start a new cluster",
		m.self.ID, ErrAmnesia, m.dir.index, node, seen)
	return true
}

func (m *Manager) registered(c *Command, a applied) {
	n := m.dir.node(c.Node.ID)
	if n.place == len(m.contacts) {
		m.contacts = append(m.contacts, newContact(n, m.now, m.nonce))
	}
	if n.gone {
		return
	}
	m.welcome(m.contacts[n.place])
	if a.registered {
		if m.awaitsDrain(n.ID) { // its new start ended the drain, but somebody waits for that
			m.proposeDrain(m.contacts[n.place])
		}
		m.event(Event{Kind: EventRegistered, Node: n.ID})
	}
	m.send(n.Peer, &Registered{Boot: n.Boot, Index: m.dir.index})
}

// onFarewell: in memory mode the data went with the node; in durable mode it
// only stopped, which is worth a probe.
func (m *Manager) onFarewell(in Envelope, b *Farewell) {
	n := m.dir.node(in.From.ID)
	if n == nil || b.Boot != n.Boot {
		m.drop(in)
		return
	}
	if m.opt.Durable {
		m.suspect(n.group, n.ID, 0)
		return
	}
	m.propose(Command{Kind: CommandGone, Node: NodeRecord{Peer: n.Peer}})
}

func (m *Manager) onForget(in Envelope, b *Forget) {
	n := m.dir.node(b.Node)
	switch {
	case n == nil:
		m.send(in.From, &Forgotten{Req: b.Req, Status: StatusNotFound})
	case n.gone:
		m.send(in.From, &Forgotten{Req: b.Req, Status: StatusOK})
	case len(m.forgets) >= nodesMax:
		m.send(in.From, &Forgotten{Req: b.Req, Status: StatusOverloaded})
	default:
		m.forgets = append(m.forgets, forget{waiter{in.From, b.Req}, b.Node})
		m.propose(Command{Kind: CommandGone, Node: NodeRecord{Peer: n.Peer}})
	}
}

// gone tells a node whose data is gone to stop, and its group to do without.
func (m *Manager) gone(id NodeID, a applied) {
	m.forgets = slices.DeleteFunc(m.forgets, func(f forget) bool {
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
	m.judgeLosses()
}

// sendForgotten tells a node that it must stop serving.
func (m *Manager) sendForgotten(n *nodeEntry) {
	m.send(n.Peer, &Refused{Reason: RefusedForgotten, Wanted: m.self.ID, What: KindRegister})
}

func (m *Manager) onLookup(from Peer, b *Lookup) {
	if len(b.Key) < 1 || len(b.Key) > KeyBytesMax {
		m.send(from, &LookupReply{Req: b.Req, Status: StatusTooLarge})
		return
	}
	if id, ok := m.dir.keys[b.Key]; ok {
		m.tell(waiter{from, b.Req}, id)
		return
	}
	if !b.Create {
		m.send(from, &LookupReply{Req: b.Req, Status: StatusNotFound})
		return
	}
	if m.waiting >= m.opt.WaitersMax {
		m.send(from, &LookupReply{Req: b.Req, Status: StatusOverloaded})
		return
	}
	waiting, underWay := m.waiters[b.Key]
	if slices.Contains(waiting, waiter{from, b.Req}) {
		return
	}
	if !underWay && !m.place(b.Key) {
		m.tellUnavailableSoon(waiter{from, b.Req}, b)
		return
	}
	m.waiters[b.Key] = append(waiting, waiter{from, b.Req})
	m.waiting++
}

// tellUnavailableSoon lets a lookup wait while nodes that have just registered, and
// may be far away, have not answered their first ping, if they are what is missing.
func (m *Manager) tellUnavailableSoon(w waiter, b *Lookup) {
	nodes := 0
	for _, c := range m.contacts {
		if c.node.isSpare() && !c.node.gone && c.evidence.refusedSince == Never && (c.answers(m.now, &m.opt) || !c.trips.known() && m.now.Since(c.since) < firstPatience) {
			nodes++
		}
	}
	if nodes-m.lacking()-m.opt.Spares <= m.opt.Replicas || len(m.early) >= m.opt.WaitersMax {
		m.tellUnavailable(w)
		return
	}
	if !slices.ContainsFunc(m.early, func(e early) bool { return e.waiter == w }) {
		m.early = append(m.early, early{w, b})
	}
}

// lookUpAgain takes up the lookups that wait for a node's first answer. It is called
// with every ping.
func (m *Manager) lookUpAgain() {
	waiting := m.early
	m.early = nil
	for _, e := range waiting {
		m.onLookup(e.client, e.lookup)
	}
}

// tell answers a lookup with the key's group.
func (m *Manager) tell(w waiter, id GroupID) {
	r := &LookupReply{Req: w.req, Status: StatusOK, Config: m.dir.group(id).config}
	if m.watch(id).loss != lossNone {
		r.Status = StatusGroupLost
	}
	m.send(w.client, r)
}

func (m *Manager) tellUnavailable(w waiter) {
	m.send(w.client, &LookupReply{Req: w.req, Status: StatusUnavailable, Have: uint32(len(m.spares())), Need: uint32(m.opt.Replicas + 1 + m.opt.Spares)})
}

// place proposes a group for a key that has none: a new one while enough
// uninitialised nodes answer, else the next of the round robin. It returns
// false when there is neither.
func (m *Manager) place(key string) bool {
	o := &m.opt
	c := Command{Kind: CommandPlace, Key: key, Terms: Terms{o.Reads, o.Lease, uint32(o.MinChain)}}
	for i := range m.watches {
		if m.watches[i].loss != lossNone {
			c.Skip = append(c.Skip, GroupID(i+1))
		}
	}
	spares := m.spares()
	if len(spares) <= o.Replicas && len(c.Skip) == len(m.dir.groups) {
		// Nothing else can take the key: quarantine is no reason to refuse it.
		spares = m.unused(func(*contact) bool { return true })
	}
	// Healing comes before new groups.
	if len(spares)-m.lacking()-o.Spares > o.Replicas {
		for _, s := range spares[:o.Replicas+1] {
			s.reserved = true
			c.Members = append(c.Members, s.node.ID)
		}
	}
	if c.Members == nil && len(c.Skip) == len(m.dir.groups) && m.waiting == 0 {
		return false
	}
	m.propose(c)
	return true
}

// spares are the uninitialised nodes that answered recently, are not in
// quarantine or being drained, and that no command under way is about to use: a
// new group must not begin with the dead.
func (m *Manager) spares() []*contact {
	return m.unused(func(c *contact) bool { return m.now >= c.quarantined })
}

// unused are the spares, and those that would be but for their quarantine.
func (m *Manager) unused(fit func(*contact) bool) []*contact {
	var list []*contact
	for _, c := range m.contacts {
		n := c.node
		if n.isSpare() && !n.gone && !n.draining && !c.reserved && !c.deciding && c.answers(m.now, &m.opt) && fit(c) {
			list = append(list, c)
		}
	}
	return list
}

func (m *Manager) placed(c *Command, a applied) {
	for _, id := range c.Members {
		m.contact(id).reserved = false
	}
	if a.formed {
		m.event(Event{Kind: EventFormed, Group: a.mapped})
	}
	if a.isNew {
		m.event(Event{Kind: EventMapped, Group: a.mapped})
	}
	waiting := m.waiters[c.Key]
	delete(m.waiters, c.Key)
	m.waiting -= len(waiting)
	for _, w := range waiting {
		if a.mapped == 0 {
			m.tellUnavailable(w)
		} else {
			m.tell(w, a.mapped)
		}
	}
}
