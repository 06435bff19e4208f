package cluster

import "gtstore/core"

// judge judges a state in which the i-th host has just changed.
func (m *Model) judge(w *world, i int, from uint32, e *edge) *broken {
	if m.several() {
		return m.judgeSeats(w, i, from)
	}
	h := m.hosts.at(w.hosts[i])
	f := &h.facts
	g, c := m.ghosts.at(w.ghost), m.managers.at(w.manager).config()
	if c == nil {
		return nil // there is no group yet
	}
	member := c.Position(core.NodeID(i+1)) >= 0
	switch {
	case member && e.cut > 0 && e.cut <= g.len():
		return brokenf("commit-truncated", "%s cut its log from %d, committed to %d", hostName(i), e.cut, g.len())
	case member && e.gave:
		return brokenf("commit-durable", "%s, a member at epoch %d, gave up what it holds", hostName(i), c.Epoch)
	}
	if m.hosts.at(from).facts.sum == f.sum {
		return nil // it looks as before
	}
	if was := &m.hosts.at(from).facts; f.short && f.primary && was.primary && f.last() > was.last() {
		return brokenf("min-chain", "%s takes a write in epoch %d, though its chain is too short for that", hostName(i), f.epoch)
	}
	if b := m.judgeConfig(w, i, f); b != nil {
		return b
	}
	for j, id := range w.hosts {
		if j == i {
			continue
		}
		o := &m.hosts.at(id).facts
		if b := matching(i, j, f, o); b != nil {
			return b
		}
		if b := readers(i, j, f, o); b != nil {
			return b
		}
	}
	return m.judgeCommitted(w, g, c)
}

// judgeAll judges a state in which the manager has issued a config.
func (m *Model) judgeAll(w *world) *broken {
	c := m.managers.at(w.manager).config()
	if c == nil {
		return nil
	}
	return m.judgeCommitted(w, m.ghosts.at(w.ghost), c)
}

// judgeConfig: a node adopts only what was issued.
func (m *Model) judgeConfig(w *world, i int, f *facts) *broken {
	keys := m.managers.at(w.manager).keys
	if f.epoch == 0 {
		return nil
	}
	if int(f.epoch) > len(keys) || keys[f.epoch-1] != f.config {
		return brokenf("config-agreement", "%s adopted a config at epoch %d that was never issued", hostName(i), f.epoch)
	}
	return nil
}

// judgeCommitted: every member whose data exists holds all that was committed, and so does
// whoever serves, of what was committed in epochs up to its own.
func (m *Model) judgeCommitted(w *world, g *ghost, c *core.Config) *broken {
	for i, id := range w.hosts {
		h := m.hosts.at(id)
		if !h.up() {
			continue
		}
		f := &h.facts
		if c.Position(core.NodeID(i+1)) >= 0 && !holds(f, g, int(g.len())) {
			return brokenf("commit-durable", "%s, a member at epoch %d, is without an entry that was committed, up to %d", hostName(i), c.Epoch, g.len())
		}
		if !f.serving {
			continue
		}
		n := int(g.len())
		for n > 0 && g.entries[n-1].at > f.epoch {
			n--
		}
		if !holds(f, g, n) {
			return brokenf("serving-complete", "%s serves at epoch %d without an entry that was committed, up to %d", hostName(i), f.epoch, n)
		}
	}
	return nil
}

func holds(f *facts, g *ghost, n int) bool {
	if int(f.last()) < n {
		return false
	}
	for seq := int(f.base.Seq) + 1; seq <= n; seq++ {
		if f.at(core.Seq(seq)).hash != g.entries[seq-1].hash {
			return false
		}
	}
	return true
}

// matching: logs that agree on an entry agree on all before it.
func matching(i, j int, f, o *facts) *broken {
	agree := false
	for seq := min(f.last(), o.last()); seq > max(f.base.Seq, o.base.Seq); seq-- {
		a, b := f.at(seq), o.at(seq)
		if agree = agree || a.epoch == b.epoch; agree && a.hash != b.hash {
			return brokenf("log-matching", "%s and %s have different entries at %d, and agree on a later one, or on its epoch", hostName(i), hostName(j), seq)
		}
	}
	return nil
}

// readers: while a primary serves, none of a lower epoch may still serve alone.
func readers(i, j int, f, o *facts) *broken {
	if !f.serving || !o.serving || f.epoch == o.epoch {
		return nil
	}
	if f.epoch > o.epoch {
		i, f, o = j, o, f
	}
	if f.alone {
		return brokenf("two-readers", "%s still serves alone at epoch %d while a primary serves at epoch %d", hostName(i), f.epoch, o.epoch)
	}
	return nil
}
