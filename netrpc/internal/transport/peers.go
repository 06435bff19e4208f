package transport

import (
	"iter"

	"gtstore/core"
)

// Expect tells the transport from whom messages about groups are expected. On the
// connections that others make, those of anybody else have no priority: they share the
// lane of what clients ask. Before the first call nobody is expected.
func (t *Transport) Expect(ids iter.Seq[core.NodeID]) {
	set := make(map[core.NodeID]bool)
	for id := range ids {
		set[id] = true
	}
	t.expected.Store(&set)
}

// Expects tells whether a node was in the last call of Expect.
func (t *Transport) Expects(id core.NodeID) bool {
	set := t.expected.Load()
	return set != nil && (*set)[id]
}
