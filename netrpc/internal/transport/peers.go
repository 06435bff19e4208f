package transport

import (
	"iter"

	"gtstore/core"
)

// Expect tells the transport from whom messages about groups are expected. On the
// connections that others make, those of anybody else have no priority: they share the
// lane of what clients ask. Before the first call nobody is expected.
func (t *Transport) Expect(peers iter.Seq[core.Peer]) {
	set := make(map[core.NodeID]string)
	for p := range peers {
		if name, _ := core.SplitAddr(p.Addr); set[p.ID] == "" {
			set[p.ID] = name
		}
	}
	t.expected.Store(&set)
}

// Expects tells whether a node was in the last call of Expect.
func (t *Transport) Expects(id core.NodeID) bool {
	_, known := t.nameOf(id)
	return known
}

// nameOf returns the name of a node or a manager that was in the last call of Expect, as its
// address has it; "" if that has none.
func (t *Transport) nameOf(id core.NodeID) (name string, known bool) {
	if set := t.expected.Load(); set != nil {
		name, known = (*set)[id]
	}
	return name, known
}
