package check

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim"
)

// council is what several managers have agreed on, as far as any of them has applied it.
type council struct {
	leaders map[core.Term]core.NodeID
	index   core.Index            // the highest that any has applied
	led     []core.Index          // by term: the highest that its leader has applied
	hashes  map[core.Index]uint64 // of the Directory
	applies *core.Manager         // who has applied something in the event under way
}

// several tells whether there are several managers.
func (c *checker) several(w *sim.World) bool { return len(w.Managers()) > 1 }

// onLeads: a term has one leader, and that has all that was agreed on before.
func (c *checker) onLeads(w *sim.World, m *core.Manager) {
	a := &c.council
	if a.leaders == nil {
		a.leaders = make(map[core.Term]core.NodeID)
	}
	if other, ok := a.leaders[m.Term()]; ok && other != m.ID() {
		w.Fail("one-leader", "managers %v and %v both lead in term %d", other, m.ID(), m.Term())
	}
	a.leaders[m.Term()] = m.ID()
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
	if a.hashes == nil {
		a.hashes = make(map[core.Index]uint64)
	}
	if hash, known := a.hashes[m.Index()]; m.Index() > 0 && m.Index() != c.looked(h) {
		if sum := m.DirectoryHash(); !known {
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

// looked is the index at which a manager was last looked at.
func (c *checker) looked(h *sim.Host) core.Index { return c.hosts[h.Index()].index }

// apart says which of several managers is up and not one of the cluster's, or has not applied
// all that the leader has; "" for none.
func (c *checker) apart(w *sim.World, leader *core.Manager) string {
	for _, h := range w.Managers() {
		if !c.several(w) || !h.Up() || h.Paused() || h.Stopped() {
			continue
		}
		m := h.Node().(*core.Manager)
		if !slices.ContainsFunc(leader.Council(), func(p core.Peer) bool { return p.ID == m.ID() }) {
			return h.Name() + " is none of the managers"
		}
		if m.Index() != leader.Index() {
			return fmt.Sprintf("%s has applied %d commands, and the leader %d", h.Name(), m.Index(), leader.Index())
		}
	}
	return ""
}

// leaderTime is how long several managers may take to have a leader that is at work, once
// nothing stands in their way.
const leaderTime = 3 * time.Second

// leaderless says that no manager leads, though enough of several are well; else "".
func (c *checker) leaderless(w *sim.World) string {
	if !c.several(w) {
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
	since, healed := w.Healed()
	if 2*well > len(w.Managers()) && healed && w.Now()-since > leaderTime+100*w.Schedule().Shape.BeyondNear() {
		return "no manager leads"
	}
	return ""
}
