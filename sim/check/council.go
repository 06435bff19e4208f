package check

import (
	"errors"
	"fmt"
	"slices"

	"gtstore/core"
	"gtstore/sim"
)

// council is what several managers have agreed on, as far as any of them has applied it.
type council struct {
	cluster core.ClusterID // of which somebody has applied a command: there may be no other
	members []core.Peer    // as its last leader knew them
	over    bool           // no majority of them was left at some time: what follows is an operator's
	leaders map[term]core.NodeID
	index   core.Index            // the highest that any has applied
	led     []core.Index          // by term: the highest that its leader has applied
	hashes  map[core.Index]uint64 // of the Directory
	applies *core.Manager         // who has applied something in the event under way

	election election
}

// term is one of a cluster. A cluster that nobody relies on may be given up, and another founded.
type term struct {
	cluster core.ClusterID
	number  core.Term
}

// several tells whether there are several managers.
func (c *checker) several(w *sim.World) bool { return len(w.Managers()) > 1 }

// onLeads: a term has one leader, and that has all that was agreed on before.
func (c *checker) onLeads(w *sim.World, m *core.Manager) {
	a := &c.council
	if a.leaders == nil {
		a.leaders = make(map[term]core.NodeID)
	}
	now := term{m.Cluster(), m.Term()}
	if other, ok := a.leaders[now]; ok && other != m.ID() {
		w.Fail("one-leader", "managers %v and %v both lead in term %d", other, m.ID(), m.Term())
	}
	a.leaders[now] = m.ID()
	// One that was elected and then stalled may begin to lead when others do in later terms.
	for term := range min(int(m.Term()), len(a.led)) {
		if m.Index() < a.led[term] {
			w.Fail("command-lost", "manager %v leads in term %d with a Directory of index %d, and index %d was applied in term %d", m.ID(), m.Term(), m.Index(), a.led[term], term)
		}
	}
	c.directory = directory{}
}

// onAgreed takes in what one of several managers has applied in the event under way. What it
// sends to nodes are configs that follow each other; of those that it has applied as a
// follower only the last is known, and nobody else has heard of the others.
func (c *checker) onAgreed(w *sim.World, h *sim.Host, m *core.Manager) {
	a := &c.council
	c.onCluster(w, h, m)
	if a.hashes == nil {
		a.hashes = make(map[core.Index]uint64)
	}
	if m.Index() > 0 && m.Index() != c.looked(h) {
		sum := m.DirectoryHash()
		if hash, known := a.hashes[m.Index()]; !known {
			a.hashes[m.Index()] = sum
		} else if sum != hash {
			w.Fail("directory-agreement", "%s has another Directory at index %d than another manager had", h.Name(), m.Index())
		}
		c.hosts[h.Index()].index = m.Index()
	}
	if m.Leads() {
		for len(a.led) <= int(m.Term()) {
			a.led = append(a.led, 0)
		}
		a.led[m.Term()] = m.Index()
	}
	a.applies = m
	for _, e := range h.Sent() {
		config, ok := e.Body.(*core.Config)
		if !ok {
			continue
		}
		switch known := c.ref(config.Group).configs; {
		case int(config.Epoch) == len(known)+1:
			c.onConfig(w, config)
		case int(config.Epoch) <= len(known) && known[config.Epoch-1] == nil: // followers with faster disks have applied it before
			known[config.Epoch-1] = config
		}
	}
	if m.Index() <= a.index {
		return
	}
	a.index = m.Index()
	for i := range m.Groups() {
		n := m.Config(core.GroupID(i + 1))
		g := c.ref(n.Group)
		var before *core.Config
		if known := len(g.configs); known > 0 && known+1 == int(n.Epoch) {
			before = g.config()
		}
		if len(g.configs) >= int(n.Epoch) {
			continue
		}
		for len(g.configs)+1 < int(n.Epoch) {
			g.configs = append(g.configs, nil)
		}
		c.admit(w, g, n, before)
	}
	c.checkKeys(w, m)
}

// onCluster takes in of which cluster a manager is. As soon as one has applied a command, nodes
// and clients may have been told of it, and there is no other.
func (c *checker) onCluster(w *sim.World, h *sim.Host, m *core.Manager) {
	a, id := &c.council, m.Cluster()
	if id != 0 && !slices.Contains(c.clusters, id) {
		c.clusters = append(c.clusters, id)
	}
	if m.Leads() && (a.cluster == 0 || a.cluster == id) {
		a.members = m.Council()
	}
	if m.Index() == 0 {
		return
	}
	if a.cluster == 0 {
		a.cluster = id
	}
	if a.cluster != id && !a.over {
		w.Fail("one-cluster", "%s has applied a command of cluster %v, and others had of cluster %v", h.Name(), id, a.cluster)
	}
}

// mayBeginAnew tells whether a manager may give up its id: nobody counts it among those of a
// cluster that is relied on, or that cluster could not go on with it either.
func (c *checker) mayBeginAnew(w *sim.World, h *sim.Host) bool {
	a, self := &c.council, h.Peer().ID
	return a.over || c.left(w, self) < len(a.members)/2+1 || !slices.ContainsFunc(a.members, func(p core.Peer) bool { return p.ID == self })
}

// left counts the members that have their data, as if that one of them had, too.
func (c *checker) left(w *sim.World, one core.NodeID) (left int) {
	for _, p := range c.council.members {
		if p.ID == one || slices.ContainsFunc(w.Managers(), func(h *sim.Host) bool { return h.Peer().ID == p.ID && (h.Up() || h.HasData()) }) {
			left++
		}
	}
	return left
}

// onManagerLoss looks, whenever a manager has ended, whether most of the members have lost their
// data. The generator spares a majority, but who shrinks a schedule may not.
func (c *checker) onManagerLoss(w *sim.World) {
	if a := &c.council; len(a.members) > 0 && c.left(w, 0) < len(a.members)/2+1 {
		a.over = true
	}
}

// looked is the index at which a manager was last looked at.
func (c *checker) looked(h *sim.Host) core.Index { return c.hosts[h.Index()].index }

// apart says which of several managers is up and not one of the cluster's, or has not applied
// all that the leader has; "" for none.
func (c *checker) apart(w *sim.World, leader *core.Manager) string {
	for _, h := range w.Managers() {
		if !c.several(w) || !h.Up() || h.Paused() || h.Stopped() {
			continue
		}
		m := h.Manager()
		if m == nil || !slices.ContainsFunc(leader.Council(), func(p core.Peer) bool { return p.ID == m.ID() }) {
			return h.Name() + " is none of the managers"
		}
		if m.Index() != leader.Index() {
			return fmt.Sprintf("%s has applied %d commands, and the leader %d", h.Name(), m.Index(), leader.Index())
		}
	}
	return ""
}

// leaderless says that no manager leads, though enough of several are well, and the faults are over;
// else "". For how long that may be so is for checkLeader to say.
func (c *checker) leaderless(w *sim.World) string {
	if !c.several(w) || c.council.over {
		return ""
	}
	well := 0
	for _, h := range w.Managers() {
		if errors.Is(h.Halted(), core.ErrGroupLost) {
			return "" // the others were to end with it
		}
		if h.Up() && !h.Paused() && !h.Stopped() {
			well++
		}
	}
	if _, healed := w.Healed(); healed && 2*well > len(w.Managers()) {
		return "no manager leads"
	}
	return ""
}
