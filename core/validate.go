package core

import "slices"

// What a message says is checked once, as the message is taken in: each field against its
// range (inRange), and what it is about against who says it (Storage.mayHear,
// Manager.mayHear). A message that fails is dropped. Behind these checks the handlers can
// count with what a message says, and a panic is a fault of our own. What a message says
// against a node's own state is for its handler: Storage.adopt and group.onReplicate.
//
// Ranges are for what a node counts with. A number that is only compared, or sent back as
// it came, may have any value: a nonce, a Req, the Version of a compare-and-swap.

const (
	// countMax bounds all that counts up: epochs, positions, rounds, indexes. No count
	// gets there in a million years, and none that is there overflows.
	countMax = 1 << 56
	// TermMax is above every term of a leader among several managers.
	TermMax = Term(countMax)
	// bootMax bounds boots: nonces begin at a boot times 2^32.
	bootMax = 1 << 30
	// groupMax bounds group numbers: a group never loses its last member, and a node is in
	// one chain at most.
	groupMax = GroupsMax
)

// inRange tells whether a message from elsewhere, and its sender, are within the limits.
func inRange(in *Envelope) bool {
	if in.From.ID == 0 && !kinds[KindOf(in.Body)].operator || len(in.From.Addr) > AddrBytesMax {
		return false
	}
	switch m := in.Body.(type) {
	case *Register:
		return in.From.Addr != "" && m.Boot.inRange() && !(m.Inherited != 0 && m.Boot == 1) && len(m.Name) <= NameBytesMax && m.Index <= countMax
	case *Registered:
		return m.Boot.inRange() && len(m.Managers) <= ManagersMax &&
			!slices.ContainsFunc(m.Managers, func(p Peer) bool { return len(p.Addr) > AddrBytesMax })
	case *Farewell:
		return m.Boot.inRange()
	case *Refused:
		return m.Reason >= 1 && m.Reason < refusalEnd && m.What >= 1 && m.What < kindEnd
	case *Ping:
		// The Boot of one of several managers is its term, and no nonce begins at that.
		return m.Index <= countMax && m.Began <= m.Index && m.Boot >= 1 && m.Boot < Boot(TermMax)
	case *Pong:
		return m.inRange()
	case *Probe:
		return m.Target == Peer{} || m.Target.inRange()
	case *Config:
		return m.inRange()
	case *LookupReply:
		return m.Placement.valid() && (m.Config == nil || m.Config.inRange())
	case *Suspect:
		return m.Group.inRange() && m.Epoch.inRange() && m.Node != 0
	case *Replicate:
		return m.inRange()
	case *Ack:
		return m.Group.inRange() && m.Epoch.inRange() && m.Round <= countMax && m.Matched <= countMax && m.Committed <= countMax
	case *Nack:
		return m.Group.inRange() && m.Epoch <= countMax && m.Round <= countMax && m.Last <= countMax && (m.Config == nil || m.Config.inRange())
	case *Chunk:
		return m.inRange()
	case *ChunkAck:
		return m.Group.inRange() && isTransfer(m.Epoch, m.Start, m.Tenure, m.Attempt) && m.Next <= countMax && m.Held.inRange() && m.Held.Epoch <= m.Epoch
	case *CaughtUp:
		return m.Group.inRange() && m.Epoch.inRange() && m.Start.inRange() && m.Start <= m.Epoch && m.Node != 0
	case *Op:
		return m.inRange()
	case *Export:
		return m.Group.inRange() && m.Tenure <= countMax && m.Position <= countMax
	case *Reply:
		return m.Group.inRange() && m.Epoch <= countMax && m.Status >= 1 && m.Status < statusEnd && (m.Config == nil || m.Config.inRange())
	case *Quorum:
		return len(m.Text) <= QuorumBytesMax
	case *Enlist:
		return in.From.Addr != ""
	case *NotLeader:
		return len(m.Leader.Addr) <= AddrBytesMax && m.Term < TermMax
	case *Lookup, *ProbeReply, *StatusQuery, *Forget, *Drain, *ManagersQuery:
		return true // all that they say is answered
	}
	return false // a local message, or the answer to an operator, who is no node
}

func (b Boot) inRange() bool     { return b >= 1 && b <= bootMax }
func (id GroupID) inRange() bool { return id >= 1 && id <= groupMax }
func (e Epoch) inRange() bool    { return e >= 1 && e <= countMax }

func (p *Peer) inRange() bool { return p.ID != 0 && len(p.Addr) <= AddrBytesMax }

// inRange: only the start of a log has no position, and no epoch.
func (id *EntryID) inRange() bool {
	return id.Epoch <= countMax && id.Seq <= countMax && (id.Epoch == 0) == (id.Seq == 0)
}

func (m *Pong) inRange() bool {
	for i := range m.Groups {
		if !m.Groups[i].Group.inRange() || m.Groups[i].Epoch > countMax {
			return false
		}
	}
	return m.Boot.inRange() && m.Index <= countMax && len(m.Groups) <= GroupsMax && m.Lag >= 0 &&
		(m.Join == nil || m.Join.Group.inRange() && m.Join.Start.inRange()) && (m.Serves == 0 || m.Serves.inRange())
}

func (c *Config) inRange() bool {
	for i := range c.Chain {
		if len(c.Chain[i].Addr) > AddrBytesMax {
			return false
		}
	}
	joins := c.Joining.ID != 0
	switch {
	case !c.Group.inRange() || !c.Epoch.inRange() || c.MinChain > ChainMax:
	case len(c.Chain) > ChainMax || !isChain(c.Chain):
	case joins && (!c.Joining.inRange() || c.Position(c.Joining.ID) >= 0 || !c.Start.inRange() || c.Start > c.Epoch):
	case !joins && (c.Joining != Peer{} || c.Start != 0):
	case c.Reads == ReadConfirm:
		return c.Lease == 0
	case c.Reads == ReadLease:
		return c.Lease >= LeaseMin && c.Lease <= LeaseMax
	}
	return false
}

// inRange: the entries of a log, and so those of a message, have epochs that never fall.
func (m *Replicate) inRange() bool {
	if !m.Group.inRange() || !m.Epoch.inRange() || m.Round > countMax || m.Commit > countMax || m.Trim > countMax ||
		!m.Prev.inRange() || m.Prev.Epoch > m.Epoch || len(m.Entries) > BatchEntriesMax || m.Config != nil && !m.Config.inRange() {
		return false
	}
	epoch := max(m.Prev.Epoch, 1)
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Epoch < epoch || e.Epoch > m.Epoch || !e.inRange() {
			return false
		}
		epoch = e.Epoch
	}
	return true
}

func (e *Entry) inRange() bool {
	switch e.Kind {
	case OpPut, OpDelete, OpCAS:
		return isKey(e.Key) && len(e.Value) <= ValueBytesMax
	case OpOpen, OpClose:
		return e.Owner != 0 && e.Key == "" && e.Value == ""
	case OpExpire:
		return e.Key == "" && e.Value == ""
	}
	return false
}

// inRange leaves a key or a value that is too large to the primary, which says so.
func (m *Op) inRange() bool {
	if !m.Group.inRange() {
		return false
	}
	switch m.Kind {
	case OpGet:
		return m.Value == ""
	case OpOpen, OpClose:
		return m.Key == "" && m.Value == ""
	case OpPut, OpDelete, OpCAS:
		return true
	}
	return false
}

func (m *Chunk) inRange() bool {
	if !m.Group.inRange() || !isTransfer(m.Epoch, m.Start, m.Tenure, m.Attempt) || m.Number > countMax || m.Config != nil && !m.Config.inRange() ||
		len(m.Items) > ChunkItemsMax || len(m.Sessions) > SessionsMax || !m.At.inRange() || m.At.Epoch > m.Epoch {
		return false
	}
	for i := range m.Items {
		if it := &m.Items[i]; !isKey(it.Key) || len(it.Value) > ValueBytesMax || it.Version > countMax {
			return false
		}
	}
	before := Seq(0)
	for i := range m.Sessions {
		s := &m.Sessions[i]
		if s.ID <= before || s.ID > m.At.Seq || s.Ended > m.At.Seq || s.Owner == 0 || s.Status >= statusEnd {
			return false
		}
		before = s.ID
	}
	return m.Last || m.At == EntryID{} && len(m.Sessions) == 0
}

// isTransfer tells whether these can name an attempt of a join, in that epoch.
func isTransfer(epoch, start, tenure Epoch, attempt uint64) bool {
	return epoch.inRange() && start.inRange() && start <= epoch && tenure.inRange() && tenure <= epoch && attempt >= 1 && attempt <= countMax
}

func isKey(key string) bool { return len(key) >= 1 && len(key) <= KeyBytesMax }

// mayHear tells whether the sender of a message is one who says such a thing. Who acks, or
// asks for something again, is looked for among the followers of the primary that it says
// that to.
func (s *Storage) mayHear(in *Envelope) bool {
	switch m := in.Body.(type) {
	case *Registered:
		// Only a manager gets the secret: of several, also one that is new.
		return in.To.ID == s.self.ID && m.Secret == s.secret && (s.leaders.several() || s.isManager(in.From.ID))
	case *NotLeader:
		return s.leaders.several() && in.To.ID == s.self.ID && s.opt.Secret == m.Token
	case *Refused:
		// A node that has not registered since it started takes whoever has got its Register for
		// the manager that it was told of. Once it serves, no other one can stop it.
		manager := s.leaders.several() || s.isManager(in.From.ID) || m.Reason == RefusedOtherCluster && !s.registered
		return m.Reason == RefusedOtherNode || in.To.ID == s.self.ID && m.Token == s.opt.Secret && manager
	case *Ping, *Config:
		return s.isManager(in.From.ID)
	case *Probe:
		return m.Reach || s.isManager(in.From.ID)
	case *Replicate:
		return m.Config == nil || m.Config.Chain[0].ID == in.From.ID
	case *Chunk:
		return m.Config == nil || m.Config.Chain[0].ID == in.From.ID
	case *Nack:
		// Whom this node has in its config it asks, and nobody else. That a config names its
		// sender proves nothing.
		return m.Config == nil || s.knows(m.Group, in.From.ID)
	}
	return in.From.ID != s.self.ID
}

// isManager tells whether a node is the manager, or one of several. One that has not said
// yet who it is may be any.
func (s *Storage) isManager(id NodeID) bool {
	if s.leaders.several() && s.leaders.named(id).ID != 0 {
		return true
	}
	return id != s.self.ID && (s.manager.ID == 0 && !s.leaders.several() || id == s.manager.ID)
}

// knows tells whether this node knows another to be in a group.
func (s *Storage) knows(id GroupID, node NodeID) bool {
	g := s.group(id)
	return g != nil && g.config.names(node)
}

// names tells whether a node is in the chain, or joins.
func (c *Config) names(id NodeID) bool { return id != 0 && (c.Joining.ID == id || c.Position(id) >= 0) }

// mayHear tells whether the sender of a message is one who says such a thing: of what only a
// storage node says, one in the Directory. What else is required of a report, or of
// CaughtUp, hangs on its group and epoch.
func (m *Manager) mayHear(in *Envelope) bool {
	switch in.Body.(type) {
	case *Farewell, *Pong, *ProbeReply, *CaughtUp:
		return m.dir.node(in.From.ID) != nil
	}
	return in.From.ID != m.self.ID
}
