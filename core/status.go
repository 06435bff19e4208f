package core

import "time"

// NodeState is what the manager thinks of a storage node.
type NodeState uint8

const (
	NodeUp     NodeState = iota + 1 // it answers pings
	NodeSilent                      // it did not answer recently
	NodeGone                        // its data is certainly gone: it said farewell, or was forgotten
	nodeStateEnd
)

var nodeStateNames = [...]string{NodeUp: "up", NodeSilent: "silent", NodeGone: "gone"}

func (s NodeState) String() string { return name(nodeStateNames[:], int(s), "NodeState") }

// GroupState is what the manager thinks of a group.
type GroupState uint8

const (
	GroupOK          GroupState = iota + 1 // k+1 members, or more while one is being drained
	GroupShort                             // fewer than k+1 members
	GroupUnavailable                       // its primary does not answer, or its chain is too short for writes
	GroupLost                              // no copy is left
	groupStateEnd
)

var groupStateNames = [...]string{GroupOK: "ok", GroupShort: "short", GroupUnavailable: "unavailable", GroupLost: "lost"}

func (s GroupState) String() string { return name(groupStateNames[:], int(s), "GroupState") }

// NodeStatus is a registered node as a StatusReply shows it.
type NodeStatus struct {
	NodeRecord
	Group   GroupID // 0 for a spare, or a node that joins
	Joining GroupID // the group that it is to be a member of, or 0
	State   NodeState
	// Draining: it is to be stopped, or can be when it is in no group.
	Draining   bool
	Quarantine time.Duration // before it is used again
}

// GroupStatus is a group as a StatusReply shows it.
type GroupStatus struct {
	Group GroupID
	Epoch Epoch
	State GroupState
	Chain []NodeID // the first is the primary
	Keys  uint64   // that exist in it, as its primary said last
	Terms Terms
	Join  *JoinStatus
}

// JoinStatus is the join of a group as a StatusReply shows it.
type JoinStatus struct {
	Node     NodeID
	Age      time.Duration
	Progress JoinProgress
}

// onStatusQuery answers once it is confirmed that no other manager knows of further groups: a
// backup goes by the answer.
func (m *Manager) onStatusQuery(from Peer, b *StatusQuery) {
	m.deny(denial{waiter: waiter{from, b.Req}, ask: b})
}

func (m *Manager) statusReply(b *StatusQuery) *StatusReply {
	d := m.dir
	r := &StatusReply{
		Req: b.Req, Process: m.opt.Process, Replicas: uint32(m.opt.Replicas), Mapped: uint64(len(d.units)), Placement: d.placement,
		NodeCount: uint32(len(d.nodes)), GroupCount: uint32(len(d.groups)), DiskLag: m.diskLag(),
	}
	for i := range m.watches {
		r.Keys += m.watches[i].keys
	}
	for _, n := range page(d.nodes, b.NodeFrom) {
		c := m.contacts[n.number]
		r.Nodes = append(r.Nodes, NodeStatus{n.NodeRecord, n.group, n.joining, m.nodeState(n), n.draining, max(0, c.quarantined.Since(m.now))})
	}
	for _, g := range page(d.groups, b.GroupFrom) {
		s := GroupStatus{Group: g.config.Group, Epoch: g.config.Epoch, State: m.groupState(g.config), Keys: m.watch(g.config.Group).keys, Terms: g.config.Terms()}
		for _, p := range g.config.Chain {
			s.Chain = append(s.Chain, p.ID)
		}
		if id := g.config.Joining.ID; id != 0 {
			j := &m.watch(s.Group).join
			s.Join = &JoinStatus{Node: id, Progress: j.progress}
			if j.start == g.config.Start {
				s.Join.Age = m.now.Since(j.begunAt)
			}
		}
		r.Groups = append(r.Groups, s)
	}
	return r
}

// onManagersQuery tells who the managers are. How far they are, and how to have others, is for
// those to say who know what their consensus is: see package core/quorum.
func (m *Manager) onManagersQuery(from Peer, b *ManagersQuery) {
	r := &ManagersReply{Req: b.Req, Status: StatusOK, Term: m.term}
	if len(b.Add)+len(b.Remove) > 0 {
		r.Status, r.Why = StatusUnavailable, "this manager is alone, for good: it cannot become one of several"
	}
	list := m.managers()
	if m.several == nil {
		list = []Peer{m.self}
	}
	for _, p := range list {
		r.Managers = append(r.Managers, ManagerStatus{Peer: p, Leads: p.ID == m.self.ID})
	}
	m.send(from, r)
}

// page returns the part of a list that fits in one reply, from a place on.
func page[T any](list []T, from uint32) []T {
	list = list[min(int(from), len(list)):]
	return list[:min(len(list), StatusPageMax)]
}

func (m *Manager) nodeState(n *nodeEntry) NodeState {
	switch {
	case n.gone:
		return NodeGone
	case m.answers(m.contacts[n.number]):
		return NodeUp
	}
	return NodeSilent
}

func (m *Manager) groupState(c *Config) GroupState {
	switch {
	case m.watch(c.Group).loss != lossNone:
		return GroupLost
	case m.nodeState(m.dir.node(c.Chain[0].ID)) != NodeUp, len(c.Chain) < int(c.MinChain):
		return GroupUnavailable
	case len(c.Chain) <= m.opt.Replicas:
		return GroupShort
	}
	return GroupOK
}
