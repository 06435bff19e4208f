package admin

import (
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/netrpc"
)

// state is a copy of what a node is doing at one moment.
type state struct {
	netrpc.Traffic
	syncs   int
	cluster core.ClusterID
	storage *storageState // of a storage node
	manager *managerState // of a manager
}

type storageState struct {
	registered, stopping bool
	heard, diskLag       time.Duration
	groups               []groupState
}

type groupState struct {
	core.GroupView
	role      string
	followers []core.FollowerView
}

type managerState struct {
	in     bool // a cluster
	leads  bool
	term   core.Term
	leader core.Peer // the zero Peer for nobody
	index  core.Index
	status *core.StatusReply // of the one that leads: all pages together
	quiet  []time.Duration   // of status.Nodes
}

// roles of a storage node in a group.
const (
	rolePrimary = "primary"
	roleReplica = "replica"
	roleJoining = "joining"
	roleFormer  = "former"
)

var roles = [...]string{rolePrimary, roleReplica, roleJoining, roleFormer}

// take copies the state of a server; nil if its loop does not answer, or it has ended.
func take(s *netrpc.Server) *state {
	var st state
	if s == nil || !s.Look(func(l *netrpc.Look) { st.take(l, s.Self().ID) }) {
		return nil
	}
	return &st
}

func (st *state) take(l *netrpc.Look, self core.NodeID) {
	st.Traffic, st.syncs = l.Traffic, l.Syncs
	if n := l.Storage; n != nil {
		st.cluster = n.Cluster()
		st.storage = &storageState{registered: n.Registered(), stopping: n.Stopping(), heard: l.Heard, diskLag: n.DiskLag(l.Now)}
		for i := range n.Groups() {
			g := groupState{GroupView: n.Group(i, l.Now), role: roleFormer, followers: n.Followers(i, l.Now)}
			switch {
			case g.Config.Position(self) == 0:
				g.role = rolePrimary
			case g.Config.Position(self) > 0:
				g.role = roleReplica
			case g.Config.Joining.ID == self:
				g.role = roleJoining
			}
			st.storage.groups = append(st.storage.groups, g)
		}
		return
	}
	st.manager = &managerState{}
	m := l.Manager
	if m == nil {
		return
	}
	st.cluster = m.Cluster()
	*st.manager = managerState{in: m.Cluster() != 0, leads: m.Leads(), term: m.Term(), leader: m.Leader(), index: m.Index()}
	if !m.Leads() {
		return
	}
	r := m.Status(0, 0)
	for len(r.Nodes) < int(r.NodeCount) || len(r.Groups) < int(r.GroupCount) {
		next := m.Status(uint32(len(r.Nodes)), uint32(len(r.Groups)))
		r.Nodes, r.Groups = append(r.Nodes, next.Nodes...), append(r.Groups, next.Groups...)
	}
	st.manager.status = r
	for i := range r.Nodes {
		st.manager.quiet = append(st.manager.quiet, m.Node(i, l.Now).Quiet)
	}
}

// quietMax is how long a storage node may hear nothing of its manager, which pings it far more
// often.
const quietMax = 3 * time.Second

// look copies the state of the node, as take does, and says why the node does not do what it is
// there for; nothing if it does.
func (a *Admin) look() (*state, []string) {
	s := a.server.Load()
	if s == nil {
		return nil, []string{"the node is starting: it reads its data first"}
	}
	st := take(s)
	if st == nil {
		return nil, []string{"the node's loop does not answer"}
	}
	why := st.unready()
	if a.observer.removed.Load() {
		why = append(why, "this manager was removed from its cluster: stop it")
	}
	return st, why
}

func (st *state) unready() (why []string) {
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if s := st.storage; s != nil {
		switch {
		case s.stopping:
			say("the node is stopping")
		case !s.registered:
			say("no manager has taken the node in yet")
		case s.heard > quietMax:
			say("nothing was heard from the manager for %v", s.heard.Round(time.Second))
		}
		if s.diskLag >= core.DiskLate {
			say("the disk has not ended a sync for %v", s.diskLag.Round(time.Second))
		}
		for i := range s.groups {
			switch g := &s.groups[i]; {
			case g.role == rolePrimary && !g.Serving:
				say("group %d: does not serve yet in epoch %d", g.Group, g.Config.Epoch)
			case g.role == roleJoining:
				say("group %d: joins it, and has not caught up yet", g.Group)
			}
		}
		return why
	}
	switch m := st.manager; {
	case !m.in:
		say("this manager is in no cluster yet: it waits for the others")
	case !m.leads && m.leader.ID == 0:
		say("no manager leads: more than half of them must be up, with their data")
	case m.leads && m.status.DiskLag >= core.DiskLate:
		say("the last change of the cluster has waited for %v to be durable", m.status.DiskLag.Round(time.Second))
	}
	return why
}
