package check

import (
	"slices"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim"
	"gtstore/sim/mark"
)

// councilMarks is what the marker remembers of several managers.
type councilMarks struct {
	leader  core.NodeID
	founded bool
	asked   map[uint64]core.Term   // by the operator's request: the first leader that got it
	members map[string]core.NodeID // by address, as a leader had them
	council []core.Peer            // that was last taken over into members
	parts   map[core.NodeID]bool   // who has been sent a part of a snapshot since it last applied something
}

// manager looks at an event of one of several managers. Node is nil while that is of no cluster.
// It is called before the checker takes in what was applied.
func (m *marker) manager(w *sim.World, h *sim.Host, node *core.Manager) {
	a := &m.council
	for _, e := range h.Events() {
		switch e.Kind {
		case core.EventWaits:
			m.reach(mark.EmptyManagerWaited)
		case core.EventFounded:
			m.reachIf(mark.ClusterFoundedAnew, a.founded)
			a.founded = true
		case core.EventLeads:
			m.reachIf(mark.LeaderChanged, a.leader != 0 && a.leader != node.ID() && m.c.council.index > 0)
			a.leader = node.ID()
		case core.EventYields:
			m.reach(mark.LeaderLetAnotherLead)
		case core.EventFollows:
			for _, sent := range h.Sent() {
				b, ok := sent.Body.(*core.NotLeader)
				m.reachIf(mark.DeposedLeaderSentElsewhere, ok && b.Req != 0)
			}
		}
	}
	if node == nil {
		return
	}
	in := w.Taken()
	m.snapshotOf(h, node, in)
	if !node.Leads() {
		return
	}
	m.answers(h, node, in)
	council := node.Council()
	if slices.Equal(council, a.council) {
		return
	}
	a.council = council
	for _, p := range council {
		if before := a.members[p.Addr]; before != p.ID {
			if a.members == nil {
				a.members = make(map[string]core.NodeID)
			}
			m.reachIf(mark.ManagerReplaced, before != 0)
			a.members[p.Addr] = p.ID
		}
	}
}

// snapshotOf looks for a Directory that came as a whole.
func (m *marker) snapshotOf(h *sim.Host, node *core.Manager, in *core.Envelope) {
	a := &m.council
	if in != nil {
		if b, ok := in.Body.(*core.Quorum); ok && b.Text != "" && b.Text[0] == byte(quorum.KindPart) {
			if a.parts == nil {
				a.parts = make(map[core.NodeID]bool)
			}
			a.parts[node.ID()] = true
		}
	}
	if node.Index() != m.c.looked(h) && a.parts[node.ID()] {
		delete(a.parts, node.ID())
		m.reach(mark.DirectoryFromASnapshot)
	}
}

// answers looks at what a leader says to operators and clients.
func (m *marker) answers(h *sim.Host, node *core.Manager, in *core.Envelope) {
	a := &m.council
	lookup := false
	if in != nil {
		req := uint64(0)
		switch b := in.Body.(type) {
		case *core.Lookup:
			lookup = true
		case *core.Drain:
			req = b.Req
		case *core.Forget:
			req = b.Req
		}
		if _, ok := a.asked[req]; !ok && req != 0 {
			if a.asked == nil {
				a.asked = make(map[uint64]core.Term)
			}
			a.asked[req] = node.Term()
		}
	}
	for _, sent := range h.Sent() {
		req, status := uint64(0), core.Status(0)
		switch b := sent.Body.(type) {
		case *core.LookupReply:
			m.reachIf(mark.DenialConfirmed, b.Status == core.StatusNotFound && !lookup)
		case *core.Drained:
			req, status = b.Req, b.Status
		case *core.Forgotten:
			req, status = b.Req, b.Status
		}
		if req != 0 && status == core.StatusOK {
			first, ok := a.asked[req]
			m.reachIf(mark.RequestOutlivedItsLeader, ok && first < node.Term())
		}
	}
}
