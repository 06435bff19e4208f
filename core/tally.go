package core

// tally is what the manager counts over all its nodes and groups. It is counted anew only
// when it is asked for after something that it rests on has changed. A new key changes
// nothing of it, so keys are placed without a look at every node and group.
type tally struct {
	fresh   bool
	idle    []*contact // the nodes in no chain that are not gone, in the order of contacts
	lacking int        // how many spares healing is going to need
	lost    []GroupID  // the groups of which no copy seems left; nil for none
}

// counted returns the tally as it is now.
func (m *Manager) counted() *tally {
	t := &m.tally
	if t.fresh {
		return t
	}
	*t = tally{fresh: true, idle: t.idle[:0]}
	for _, c := range m.contacts {
		if c.node.isSpare() && !c.node.gone {
			t.idle = append(t.idle, c)
		}
	}
	for i, g := range m.dir.groups {
		if id := GroupID(i + 1); m.watch(id).loss == lossNone {
			t.lacking += m.lacks(g.config)
		} else {
			t.lost = append(t.lost, id)
		}
	}
	return t
}

// recount has the tally counted anew. It follows whatever the tally rests on: a change of
// the Directory beyond a new key, of a group's loss, or of whether a join is about to begin.
func (m *Manager) recount() { m.tally.fresh = false }

// lacking is how many spares healing is going to need.
func (m *Manager) lacking() int { return m.counted().lacking }
