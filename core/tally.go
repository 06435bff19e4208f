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
	m.lookAgain()
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
// the Directory beyond a new key, or of a group's loss. recruit corrects it by itself.
func (m *Manager) recount() { m.tally.fresh = false }

// lacking is how many spares healing is going to need.
func (m *Manager) lacking() int { return m.counted().lacking }

// glance is what a look at many contacts has shown in the call under way. When a large part
// of a cluster is silent, hundreds of inquiries ask for the same at the same moment.
type glance struct {
	idle      bool       // answering is known
	answering []*contact // the idle that answer, in the order of contacts
	nobody    bool       // no node answers
	crowd     answer     // whether the manager is crowded; open while that is not known
}

// lookAgain forgets what the last look has shown. It follows whatever that may have changed:
// time, a round of pings, news of a node, a change of the Directory.
func (m *Manager) lookAgain() {
	g := &m.glance // each Pong comes here: its list stays as it is
	g.idle, g.nobody, g.crowd = false, false, answerOpen
}

// answering are the idle nodes that answer.
func (m *Manager) answering() []*contact {
	idle := m.counted().idle
	g := &m.glance
	if !g.idle {
		g.idle, g.answering = true, g.answering[:0]
		for _, c := range idle {
			if m.answers(c) {
				g.answering = append(g.answering, c)
			}
		}
	}
	return g.answering
}
