package core

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"gtstore/core/wire"
)

// GroupView shows a storage node's part in a group, for checks, status and
// viewers. It is a copy: changing it changes nothing.
type GroupView struct {
	Group    GroupID
	Config   *Config // of the highest epoch adopted; not to be changed
	Durable  Epoch   // the highest epoch known to be durable
	Base     Seq     // the log's part up to here was trimmed, or came as a snapshot
	Last     Seq     // the log's end
	Commit   Seq     // the commit point
	Verified Seq     // a replica's prefix that matches the current primary's log
	Primary  bool    // in a tenure
	Serving  bool    // and reconciled
	Alone    bool    // and may serve a get at this moment without asking anybody
	Granted  Time    // until then it is bound by what it has promised to a primary that serves by a lease
	Joining  bool    // on the way to become a member
	Partial  bool    // and not in possession of a whole snapshot yet
	Required int     // members without whose ack the primary commits nothing, itself included
	Pending  int     // uncommitted writes of this tenure
	Counted  bool    // and none are counted beside these: no bytes or openings of sessions
	Bytes    int     // of the keys and values of these
	Reads    int     // gets that wait for a round
	Parked   int     // requests that wait for the primary to reconcile, or behind a joining node
	Waiting  int     // all that wait for a round, or are parked
	Sessions int     // that are open
	Taken    int     // by a primary: these, with those about to open and without those about to end
	Keys     int

	ValueBytes int // of keys and values
	LogBytes   int // of the keys and values in the log
}

// FollowerView shows what a primary knows of a node that follows it.
type FollowerView struct {
	Node    NodeID
	Learner bool          // it joins, and nobody waits for it
	Lag     Seq           // entries of the primary's log that it has not acked
	Owes    time.Duration // for how long it has owed an answer without any progress; 0 if it owes none
}

// ID returns the id of the node's data.
func (s *Storage) ID() NodeID { return s.self.ID }

// Boot returns how many times the node's data was started.
func (s *Storage) Boot() Boot { return s.boot }

// Cluster returns the cluster the node belongs to, 0 when it does not know yet.
func (s *Storage) Cluster() ClusterID { return s.cluster }

// Groups returns how many groups the node is or was in.
func (s *Storage) Groups() int { return len(s.groups) }

// Group returns the i-th of these groups as it is at time now, i from 0, in the
// order in which they became known.
func (s *Storage) Group(i int, now Time) GroupView {
	g := s.groups[i]
	v := GroupView{
		Group: g.id, Config: g.config, Durable: g.durable, Base: g.log.base.Seq, Last: g.log.last(), Commit: g.commit, Verified: g.verified, Granted: g.grantUntil,
		Sessions: g.state.sessions.openSize(), Keys: g.state.values.len(),
		ValueBytes: g.state.values.bytes, LogBytes: g.log.bytes,
	}
	if t := g.tenure; t != nil {
		v.Primary, v.Serving, v.Pending, v.Required = true, t.reconciled, len(t.pending), t.required()
		v.Alone = g.leaseLivesAt(now)
		v.Counted = len(t.pending) > 0 || t.bytes == 0 && t.opening == 0
		v.Bytes, v.Reads, v.Parked = t.bytes, len(t.reads), len(t.parked)
		v.Waiting = v.Reads + v.Parked + len(t.exports)
		v.Taken = g.taken()
	}
	if g.joiner != nil {
		v.Joining, v.Partial = true, !g.joiner.complete
	}
	return v
}

// Config returns the config of the highest epoch that the node has adopted of a group; nil if
// it knows none. It must not be changed.
func (s *Storage) Config(id GroupID) *Config {
	if g := s.group(id); g != nil {
		return g.config
	}
	return nil
}

// AddressOf returns the address of a node that is in a config known here, else "".
func (s *Storage) AddressOf(id NodeID) string {
	for _, g := range s.groups {
		if i := g.config.Position(id); i >= 0 {
			return g.config.Chain[i].Addr
		}
		if g.config.Joining.ID == id {
			return g.config.Joining.Addr
		}
	}
	return ""
}

// Followers shows who follows this node in the i-th group, in the order of the chain, and the
// joining node last; none unless it is the primary.
func (s *Storage) Followers(i int, now Time) (list []FollowerView) {
	g := s.groups[i]
	if g.tenure == nil {
		return nil
	}
	for j := range g.tenure.followers {
		f := &g.tenure.followers[j]
		v := FollowerView{Node: f.peer.ID, Learner: f.learner, Lag: g.log.last() - min(f.matched, g.log.last())}
		if f.since != Never {
			v.Owes = now.Since(f.since)
		}
		list = append(list, v)
	}
	return list
}

// Registered tells whether the manager has taken in this start of the node.
func (s *Storage) Registered() bool { return s.registered }

// DiskLag is for how long a sync that is measured has not ended; 0 if there is none.
func (s *Storage) DiskLag(now Time) time.Duration { return s.disk.lag(now) }

// Stopping tells whether the node was asked to stop.
func (s *Storage) Stopping() bool { return s.leaveBy != Never }

// Entry returns the entry at seq, Base+1 to Last, of the i-th group's log. It must
// not be changed.
func (s *Storage) Entry(i int, seq Seq) *Entry { return s.groups[i].log.at(seq) }

// Values yields the i-th group's keys, in order, with data and version.
func (s *Storage) Values(i int) iter.Seq2[string, Versioned] {
	values := &s.groups[i].state.values
	return func(yield func(string, Versioned) bool) {
		for _, k := range slices.Sorted(maps.Keys(values.slots)) {
			if v, _ := values.get(k); !yield(k, Versioned{v.data, v.version}) {
				return
			}
		}
	}
}

// Versioned is a value and its version.
type Versioned struct {
	Data    string
	Version Seq
}

// NodeView shows what the manager knows of a registered node.
type NodeView struct {
	NodeRecord
	Secret  uint64  // by which its data are known
	Group   GroupID // 0 for a node in no chain
	Joining GroupID // what it is on the way to be a member of
	// Unfit: in quarantine, or being drained: not to be used now.
	Unfit    bool
	Draining bool          // an operator wants to stop it, or can
	Replaced bool          // a new node has begun at its address since it registered
	Gone     bool          // its data is certainly gone
	Missed   int           // pings in a row
	Answers  bool          // it answered recently
	Quiet    time.Duration // since it last answered a ping in time, or began to be pinged
}

// ID returns the manager's id.
func (m *Manager) ID() NodeID { return m.self.ID }

// Cluster returns the id of the cluster.
func (m *Manager) Cluster() ClusterID { return m.cluster }

// Leads tells whether the manager leads. One that is alone always does.
func (m *Manager) Leads() bool { return m.leads }

// NameOf returns the name of a registered node, else "".
func (m *Manager) NameOf(id NodeID) string {
	if n := m.dir.node(id); n != nil {
		return n.Name
	}
	return ""
}

// Leader is the manager that leads, as far as this one knows: the zero Peer for nobody.
func (m *Manager) Leader() Peer {
	if m.several == nil {
		return m.self
	}
	leader, _ := m.several.council.Leader()
	return leader
}

// Status is what the manager, which must lead, would answer to StatusQuery number 0: a page of
// nodes and groups from there on.
func (m *Manager) Status(nodeFrom, groupFrom uint32) *StatusReply {
	return m.statusReply(&StatusQuery{NodeFrom: nodeFrom, GroupFrom: groupFrom})
}

// Term is that which one of several managers leads, or has led last; else 0.
func (m *Manager) Term() Term { return m.term }

// Council returns all managers, if there are several.
func (m *Manager) Council() []Peer { return m.managers() }

// Index returns how many commands the Directory has applied.
func (m *Manager) Index() Index { return m.dir.index }

// Folded returns the index of which the manager's durable records are the state, once all
// is durable that it has asked to make durable; 0 where there are none.
func (m *Manager) Folded() Index { return m.fold.from }

// DirectoryHash returns a hash of all that the Directory says: it is the same where the same
// commands were applied. It takes time in proportion to the Directory.
func (m *Manager) DirectoryHash() uint64 {
	c, d := wire.NewEncoder(nil), m.dir
	for _, n := range d.nodes {
		wire.Uint(&c, &n.since)
		n.code(&c)
	}
	for _, g := range d.groups {
		g.config.code(&c)
		wire.Uint(&c, &g.presumed)
	}
	c.Bool(&d.halting)
	for _, u := range slices.Sorted(maps.Keys(d.units)) {
		group := d.units[u]
		wire.String(&c, &u, KeyBytesMax)
		wire.Uint(&c, &group)
	}
	d.record().code(&c)
	return wire.Hash(c.Seal())
}

// Groups returns how many groups there are; their ids are 1 to that.
func (m *Manager) Groups() int { return len(m.dir.groups) }

// Config returns the current config of a group, which must exist. It must not
// be changed.
func (m *Manager) Config(id GroupID) *Config { return m.dir.group(id).config }

// Terms returns what the manager was started with, which is what its groups are to have.
func (m *Manager) Terms() Terms { return m.terms() }

// Lost tells whether the group is declared lost, and whether for certain.
func (m *Manager) Lost(id GroupID) (lost, certain bool) {
	if g := m.dir.group(id); g != nil && !m.leads {
		return g.presumed != lossNone || m.dir.lost(g), m.dir.lost(g)
	}
	if id < 1 || id > GroupID(len(m.watches)) {
		return false, false
	}
	l := m.watches[id-1].loss
	return l != lossNone, l == lossCertain
}

// Inquiring tells whether the manager asks the members of a group for proof that
// they work.
func (m *Manager) Inquiring(id GroupID) bool {
	return id <= GroupID(len(m.watches)) && m.watches[id-1].inquiry != nil
}

// HeldBack says what the manager holds back for a command although none is under way; "" for
// nothing, or while one is.
func (m *Manager) HeldBack() string {
	if m.proposed != m.dir.index {
		return ""
	}
	for _, c := range m.contacts {
		if c.reserved || c.deciding {
			return fmt.Sprintf("node %v, which nothing else may use", c.node.ID)
		}
	}
	if len(m.waiters) > 0 || m.waiting > 0 {
		return fmt.Sprintf("lookups for %d units, counted as %d", len(m.waiters), m.waiting)
	}
	if len(m.waits) > len(m.early) {
		return fmt.Sprintf("the names of %d who asked, of whom %d wait", len(m.waits), len(m.early))
	}
	if len(m.forgets) > 0 {
		return fmt.Sprintf("the answers to %d operators", len(m.forgets))
	}
	return ""
}

// Placement returns the cluster's, which never changes.
func (m *Manager) Placement() Placement { return m.dir.placement }

// Units returns how many units are mapped.
func (m *Manager) Units() int { return len(m.dir.units) }

// KeyGroup returns the group that a key's unit is mapped to, or 0.
func (m *Manager) KeyGroup(key string) GroupID { return m.dir.units[m.dir.placement.Unit(key)] }

// Nodes returns how many nodes are registered.
func (m *Manager) Nodes() int { return len(m.dir.nodes) }

// Node returns the i-th registered node at time now, i from 0, in the order of
// registration.
func (m *Manager) Node(i int, now Time) NodeView {
	n := m.dir.nodes[i]
	v := n.view()
	if i < len(m.contacts) {
		c, now := m.contacts[i], m.at(now)
		v.Unfit = n.draining || c.deciding || now < c.quarantined
		v.Missed, v.Answers, v.Quiet = c.missed, m.answersAt(c, now), now.Since(max(c.answeredAt, c.since))
	}
	return v
}

// view shows what the Directory knows of a node.
func (n *nodeEntry) view() NodeView {
	return NodeView{NodeRecord: n.NodeRecord, Secret: n.secret, Group: n.group, Joining: n.joining, Unfit: n.draining, Gone: n.gone, Draining: n.draining, Replaced: n.replaced}
}

// Calls returns how many operations the client has under way.
func (c *Client) Calls() int { return len(c.timed) }

// HeldBack says what a client without an operation under way keeps of one, or of a session
// that it could use for two at a time; "" for nothing, or while one is under way.
func (c *Client) HeldBack() string {
	if len(c.timed) > 0 {
		return ""
	}
	if len(c.calls) > 0 {
		return fmt.Sprintf("%d calls that have ended", len(c.calls))
	}
	for _, id := range slices.Sorted(maps.Keys(c.routes)) {
		idle := c.routes[id].idle
		for i, s := range idle {
			if slices.ContainsFunc(idle[:i], func(other *clientSession) bool { return other.id == s.id }) {
				return fmt.Sprintf("session %d of group %d twice", s.id, id)
			}
		}
	}
	return ""
}
