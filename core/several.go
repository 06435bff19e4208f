package core

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gtstore/core/wire"
)

// Several managers agree on one order of commands, and each applies them to its Directory.
// One of them leads: it alone speaks with nodes and clients, and proposes. The others say
// who leads. What a manager knows of nodes beyond the Directory (contacts, watches,
// waiters) is a leader's, and ends with its term.

// Consensus brings the commands of several managers into one order. It belongs to one
// Manager, which calls it, and is called back by way of a Machine within these calls. Package
// core/quorum makes one. Core does not import that: a program that has only a client need not
// compile it.
type Consensus interface {
	// Step takes in the text of a Quorum that came from a manager.
	Step(now Time, from Peer, text string, out *Output)
	// Stored says that a Synced of that nonce, which is not 0, has come back by Output.After.
	Stored(now Time, nonce uint64, out *Output)
	// Tick, Deadline and the Output are as a Node's. The envelopes lack the Cluster.
	Tick(now Time, out *Output)
	Deadline() Time
	// Down hints that a manager's connection broke or was refused.
	Down(now Time, id NodeID, out *Output)
	// Propose returns false if this manager does not lead, or if there is no room now: then
	// there is after the next Apply.
	Propose(command string) bool
	// Confirm returns false if this manager does not lead. Else Confirmed follows, or Follow.
	Confirm(read uint64) bool
	// Leader is who leads as far as this manager knows, the zero Peer for nobody, and the
	// term.
	Leader() (Peer, Term)
	// Replace asks for a change of the managers: this one in place of another that was at its
	// address, and that has not been heard for some time. It does nothing where that cannot
	// be done, or not now.
	Replace(p Peer)
	// Offer tells the leader, if another one leads, that this manager could.
	Offer()
	// Yield has another manager lead, if this one does. It does nothing where that cannot be done
	// now. Follow comes when it is done.
	Yield(id NodeID)
	// Managers are all managers, also amid a change of them.
	Managers() []Peer
}

// Machine is the state that a Consensus keeps the same on all managers. It may be called
// back within any call but Propose, Confirm, Offer, Yield, Deadline, Leader and Managers, and
// may itself call these.
type Machine interface {
	// Apply takes in the next committed command. Every manager applies the same ones, in
	// the same order. It is durable here, and on a majority.
	Apply(command string)
	// Lead says that this manager leads, and has applied all that earlier leaders committed.
	// From here on nobody else proposes, until Follow. For so long this manager has known one
	// leader after the other, without a gap that is longer than an election takes.
	Lead(t Term, calm time.Duration)
	// Follow says that this manager leads no more. What it proposed and did not see applied
	// may be applied yet, or never. What it asked to confirm is not confirmed.
	Follow()
	// Confirmed says that the state held, after Confirm(read) was called, all that any
	// leader had applied before that.
	Confirmed(read uint64)
	// Offered says that another manager has made an Offer to this one, which leads.
	Offered(id NodeID)
	// Reads tells whether a command that another manager, or whoever says that he is one, has
	// sent can be one. No other is agreed on, so Apply gets no other.
	Reads(command string) bool
	// ReadsSnapshot is the same of a snapshot. No other is restored from another manager.
	ReadsSnapshot(text string) bool
	// Snapshot returns the state; the same state gives the same text.
	Snapshot() string
	// Restore replaces the state by a snapshot's. An error ends the manager.
	Restore(text string) error
}

// several is the consensus of a manager that is one of several.
type several struct {
	council Consensus
	out     Output   // of the call under way
	backlog []string // commands for which there was no room
	reads   uint64   // confirmations asked for
	told    []Peer   // the managers of whom this leader has told the nodes

	// While it follows:
	sought, soughtSince Time // when a node asked it last to be registered that is, and since when they do again and again
	offerAt             Time // when it may tell the leader
}

func (s *several) propose(_ *Manager, _ Index, c Command) {
	e := wire.NewEncoder(nil)
	c.code(&e)
	if err := e.Err(); err != nil {
		panic(fmt.Sprintf("core: a command to be proposed is outside the limits: %v", err))
	}
	s.backlog = append(s.backlog, string(e.Seal()))
	s.push()
}

// push proposes what waits for room.
func (s *several) push() {
	for len(s.backlog) > 0 && s.council.Propose(s.backlog[0]) {
		s.backlog = s.backlog[1:]
	}
}

func (s *several) confirm(*Manager) {
	s.reads++
	s.council.Confirm(s.reads)
}

// changed tells whether the managers are others than the nodes were told.
func (s *several) changed() bool {
	managers := s.council.Managers()
	changed := !slices.Equal(managers, s.told)
	s.told = managers
	return changed
}

// machine is a Manager as its Consensus sees it.
type machine struct{ m *Manager }

// Apply implements Machine, as do all that follow.
func (a machine) Apply(text string) {
	c, err := readCommand(text)
	if err != nil {
		panic(fmt.Sprintf("core: manager %v: the command after index %d, which is agreed on, does not read: %v; start the managers with the same release", a.m.self.ID, a.m.dir.index, err))
	}
	if a.m.leads {
		a.m.onCommitted(&Committed{Index: a.m.dir.index + 1, Command: c})
		a.m.several.push()
	} else {
		a.m.dir.apply(&c)
	}
	if c.Kind == CommandHalt || c.Kind == CommandGoOn {
		a.m.haltingChanged()
	}
}

func (a machine) Lead(t Term, calm time.Duration) { a.m.lead(t, calm) }
func (a machine) Follow()                         { a.m.follow() }
func (a machine) Offered(id NodeID)               { a.m.offered(id) }

func (a machine) Confirmed(read uint64) {
	if a.m.leads && read == a.m.several.reads {
		a.m.confirmed()
	}
}

func (a machine) Reads(command string) bool {
	_, err := readCommand(command)
	return err == nil
}

func (a machine) ReadsSnapshot(text string) bool {
	_, _, err := a.read(text)
	return err == nil || errors.Is(err, ErrPlacement) && a.m.dir.index == 0 // its operator is to know
}

func (a machine) Snapshot() string { return a.m.dir.text(a.m.cluster) }

// read reads a snapshot, and looks whether it can be of the cluster that this manager is of.
func (a machine) read(text string) (*Directory, ClusterID, error) {
	m := a.m
	d, cluster, err := readDirectory(text)
	switch p := m.opt.Placement; {
	case err != nil:
	case m.cluster != 0 && cluster != m.cluster:
		err = fmt.Errorf("core: manager %v is of cluster %v, and was sent the Directory of cluster %v", m.self.ID, m.cluster, cluster)
	case p != 0 && p != d.placement:
		err = fmt.Errorf("core: manager %v: %w: it is %v, and %v was asked for", m.self.ID, ErrPlacement, d.placement, p)
	}
	return d, cluster, err
}

func (a machine) Restore(text string) error {
	m := a.m
	d, cluster, err := a.read(text)
	if err != nil {
		return err
	}
	m.dir = d
	if learnt := m.cluster == 0; learnt {
		m.cluster = cluster
		if m.out != nil {
			m.persistIdentity()
		}
	}
	if m.started { // else it is what an earlier start has left, and a leader's word is to come
		m.haltingChanged()
	}
	return nil
}

// consult calls the consensus, and takes over what it wants done.
func (m *Manager) consult(call func(c Consensus, now Time, out *Output)) {
	o := &m.several.out
	call(m.several.council, m.driver, o)
	for _, list := range [][]Envelope{o.Send, o.After} {
		for i := range list {
			list[i].Cluster = m.cluster
		}
	}
	m.out.Send = append(m.out.Send, o.Send...)
	m.out.Persist = append(m.out.Persist, o.Persist...)
	m.out.After = append(m.out.After, o.After...)
	m.out.Halt = cmp.Or(m.out.Halt, o.Halt)
	o.Reset()
}

// lead begins a term in office. It knows nothing of how the nodes are, so each gets the
// grace of one that is new, and then all are looked after that are in the Directory.
func (m *Manager) lead(t Term, calm time.Duration) {
	m.leads, m.term = true, t
	m.calm = m.now.After(-min(calm, firstPatience))
	m.began, m.start = m.dir.index, m.tokens.Uint64()
	m.proposed = m.dir.index
	for _, n := range m.dir.nodes {
		m.contacts = append(m.contacts, m.newContact(n))
	}
	m.watches = make([]watch, len(m.dir.groups))
	for i, g := range m.dir.groups {
		m.watches[i].loss = g.presumed
	}
	m.pingAt = m.now
	m.wakeBy(m.now)
	m.event(Event{Kind: EventLeads, Seq: Seq(t)})
	if m.dir.halting { // whoever has decided that is gone: it is looked into again
		m.propose(Command{Kind: CommandGoOn})
	}
}

// follow ends a term. Who waits is told to ask another manager.
func (m *Manager) follow() {
	m.leads = false
	m.event(Event{Kind: EventFollows, Seq: Seq(m.term)})
	for _, u := range slices.Sorted(maps.Keys(m.waiters)) {
		for _, w := range m.waiters[u] {
			m.sendElsewhere(w.client, w.req, 0)
		}
	}
	for _, e := range m.early {
		m.sendElsewhere(e.client, e.req, 0)
	}
	for _, d := range m.denials {
		if _, pong := d.ask.(*Pong); !pong {
			m.sendElsewhere(d.client, d.req, 0)
		}
	}
	for _, r := range slices.Concat(m.forgets, m.drains) {
		m.sendElsewhere(r.client, r.req, 0)
	}
	m.several.backlog, m.several.told = nil, nil
	m.proposed, m.underWay, m.late = m.dir.index, nil, false
	m.contacts, m.watches, m.tally, m.glance = nil, nil, tally{}, glance{}
	m.waiters, m.waiting, m.early, m.waits = make(map[Unit][]waiter), 0, nil, make(map[waiter]bool)
	m.denials, m.confirming = nil, 0
	m.forgets, m.drains, m.refused = nil, nil, nil
	clear(m.listing)
	m.about, m.shares, m.turn, m.askedAbout, m.renewals, m.tooManyAt = make(map[uint64]NodeID), 1, 0, 0, 0, longAgo
	m.pingAt = Never
	m.haltingChanged()
}

// sendElsewhere tells a sender who leads.
func (m *Manager) sendElsewhere(to Peer, req, token uint64) {
	leader, term := m.several.council.Leader()
	if leader.ID == m.self.ID { // it does not lead yet, or no more
		leader = Peer{}
	}
	m.send(to, &NotLeader{Req: req, Token: token, Leader: leader, Term: term})
}

// takes takes in what concerns the consensus, and while this manager does not lead all else.
// It returns false for what is for a leader.
func (m *Manager) takes(in Envelope) bool {
	if q, ok := in.Body.(*Quorum); ok {
		// One that joins does not know its cluster yet.
		if in.To.ID != m.self.ID || in.Cluster != m.cluster && m.cluster != 0 && in.Cluster != 0 {
			m.drop(in.From)
			return true
		}
		m.consult(func(c Consensus, now Time, out *Output) { c.Step(now, in.From, q.Text, out) })
		return true
	}
	if m.leads {
		return false
	}
	if b, ok := in.Body.(*Register); ok {
		m.offer(in.From, b)
	}
	answer, ok := Elsewhere(in.Body)
	if !ok {
		return true // an answer to an earlier term, or a report that comes again
	}
	if reason := m.wrongHere(&in); reason != 0 {
		m.refuse(in, reason, answer.Token)
	} else if m.cluster != 0 {
		m.sendElsewhere(in.From, answer.Req, answer.Token)
	}
	return true
}

const (
	// offerAfter is how long nodes must have asked a follower to register them, though they are,
	// before it tells the leader. One that has just started asks once, and then the leader.
	offerAfter = 300 * time.Millisecond
	// offerGap is how long it may take until one asks again, if they ask again and again.
	offerGap = time.Second
	// offerPause is how long a manager makes no offer that has let another one lead: it would reach
	// no more nodes than before.
	offerPause = 10 * time.Second
)

// offer is called when a node asks this follower to be registered. One that is registered does so
// when the leader does not reach it. Where the leader hears no node at all, this one is to lead.
func (m *Manager) offer(from Peer, b *Register) {
	n, s := m.dir.node(from.ID), m.several
	if n == nil || n.gone || n.secret != b.Secret && (b.Inherited == 0 || n.secret != b.Inherited) {
		return
	}
	if m.now.Since(s.sought) > offerGap {
		s.soughtSince = m.now
	}
	if s.sought = m.now; m.now.Since(s.soughtSince) >= offerAfter && m.now >= s.offerAt {
		s.offerAt = m.now.After(offerAfter)
		s.council.Offer()
	}
}

// offered is called when nodes ask another manager to register them, though they are. A leader whose
// pings no node has answered for so long lets that one lead. That it hears a node proves nothing: who
// is cut off from it one way asks it again and again. Else it stays: whom one answers all may soon
// answer, and where no manager hears any there is nobody to offer. So the leadership does not go to
// and fro.
func (m *Manager) offered(to NodeID) {
	for _, c := range m.contacts {
		if m.now.Since(max(c.since, c.answeredAt)) < firstPatience {
			return
		}
	}
	m.several.offerAt = m.now.After(offerPause)
	m.event(Event{Kind: EventYields, Node: to})
	m.several.council.Yield(to)
}

// Elsewhere is what a manager that does not lead, and knows nobody who does, answers to what only
// a leader can: so the sender need not wait before it tries the next. Ok is false for all else.
func Elsewhere(asked Message) (answer NotLeader, ok bool) {
	switch b := asked.(type) {
	case *Register:
		answer.Token = b.Secret
	case *Lookup:
		answer.Req = b.Req
	case *Forget:
		answer.Req = b.Req
	case *Drain:
		answer.Req = b.Req
	case *StatusQuery:
		answer.Req = b.Req
	case *ManagersQuery:
		answer.Req = b.Req
	default:
		return answer, false
	}
	return answer, true
}

// onEnlist takes a manager in that has lost its data, as another one. So those in memory, and
// those whose disks are replaced, are as many again.
func (m *Manager) onEnlist(from Peer, b *Enlist) {
	if m.several == nil || b.Durable != m.opt.Durable {
		m.drop(from)
		return
	}
	m.several.council.Replace(from)
}

// presume has the managers agree that a group is lost. A manager that reaches nobody
// suspects itself instead: most likely it is cut off, and another one is to lead.
func (m *Manager) presume(w *watch, c *Config, l loss) {
	if !w.presuming && m.somebody() != nil {
		m.proposeLoss(w, c, l)
	}
}

func (m *Manager) proposeLoss(w *watch, c *Config, l loss) {
	w.presuming = true
	m.propose(Command{Kind: CommandFound + CommandKind(l), Group: c.Group, Epoch: c.Epoch})
}

// presumed is called when such a command was applied.
func (m *Manager) presumed(c *Command, a applied) {
	w := m.watch(c.Group)
	w.presuming = false
	if !a.presumed || w.loss == lossCertain {
		return
	}
	g := m.dir.group(c.Group)
	if g.presumed == lossNone {
		m.withdraw(w, g.config)
		return
	}
	w.loss = g.presumed
	m.recount()
	m.event(Event{Kind: EventLost, Group: c.Group, Epoch: c.Epoch})
	m.haltFor(w)
}

// haltTogether ends this manager when the managers have agreed on that and one leads. Until
// then a leader asks them to.
func (m *Manager) haltTogether() {
	leader, _ := m.several.council.Leader()
	lost := m.lostGroup()
	switch {
	case lost == nil, leader.ID == 0:
		m.haltAt = m.now.After(m.opt.PingInterval)
	case m.dir.halting:
		m.out.Halt = m.groupLost(lost.config, m.dir.lost(lost))
	case m.leads && m.somebody() != nil:
		m.propose(Command{Kind: CommandHalt})
		m.haltAt = m.now.After(m.opt.DrainTime)
	default:
		m.haltAt = m.now.After(m.opt.PingInterval)
	}
}

// haltingChanged is called when the managers have agreed to end, or not to.
func (m *Manager) haltingChanged() {
	m.haltAt = Never
	if m.dir.halting {
		m.haltAt = m.now.After(m.opt.DrainTime) // until then the others hear of it
		m.wakeBy(m.haltAt)
	}
}

// lostGroup is a group that the managers hold for lost, or nil.
func (m *Manager) lostGroup() *groupEntry {
	for _, g := range m.dir.groups {
		if g.presumed > lossDoubtful || m.dir.lost(g) {
			return g
		}
	}
	return nil
}

// reviewHalt takes back that the managers end when no group is lost any more. It is called
// with every ping.
func (m *Manager) reviewHalt() {
	if m.dir.halting && m.lostGroup() == nil && m.proposed == m.dir.index {
		m.propose(Command{Kind: CommandGoOn})
	}
}
