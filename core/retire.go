package core

import (
	"slices"
	"time"
)

// The Directory lists nodesMax storage nodes at most. In memory mode every start of a
// process is a new node, so one that crashes again and again would fill the list, and
// the dead would be pinged for ever. A node that was silent for long and is in no chain
// is therefore taken off the list. Nothing is lost by that, whatever the node still
// holds: if it comes back it registers as a spare, knows the highest epoch of every group
// that it was in, and keeps of what it held what is committed.

// How long a node is silent before it is taken off the list. A durable node may come
// back, and people miss it, so it stays until there is need for room; so does one that
// is being drained, which is not to be used when it comes back.
const (
	retireAfter = 10 * time.Minute
	retireSoon  = 10 * time.Second // while the list is half full, in memory mode
)

// retireSilent is called with every ping.
func (m *Manager) retireSilent() {
	crowd := len(m.dir.nodes) - nodesMax/2 // how many must go for the list to be half full
	after := retireAfter
	if crowd > 0 && !m.opt.Durable {
		after = retireSoon
	}
	for _, c := range m.contacts {
		n := c.node
		stays := m.opt.Durable || n.draining && !n.gone
		if !n.isSpare() || m.now.Since(c.quietSince) < after || stays && crowd <= 0 || c.reserved || c.deciding || m.awaitsDrain(n.ID) {
			continue
		}
		crowd--
		c.deciding = true // nothing else is decided about it meanwhile
		m.propose(Command{Kind: CommandRetire, Node: NodeRecord{Peer: n.Peer, Boot: n.Boot}})
	}
}

// retire takes a node off the list, unless it has been started anew meanwhile or is used.
func (d *Directory) retire(c *Command) applied {
	n := d.node(c.Node.ID)
	if n == nil || n.Boot != c.Node.Boot || !n.isSpare() {
		return applied{}
	}
	d.nodes = slices.Delete(d.nodes, n.number, n.number+1)
	for _, later := range d.nodes[n.number:] {
		later.number--
	}
	delete(d.byID, n.ID)
	return applied{retired: n}
}

// retired is called when the command was applied.
func (m *Manager) retired(b *Command, a applied) {
	if a.retired == nil {
		if c := m.contact(b.Node.ID); c != nil {
			c.deciding = false
			if m.awaitsDrain(b.Node.ID) {
				m.proposeDrain(c)
			}
		}
		return
	}
	m.contacts = slices.Delete(m.contacts, a.retired.number, a.retired.number+1)
	m.answerDrains(b.Node.ID, StatusNotFound)
	m.event(Event{Kind: EventRetired, Node: b.Node.ID})
}
