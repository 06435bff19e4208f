package core

import "iter"

// Peers yields the nodes from which this one has reason to expect messages: its manager,
// once that is known, and the members and joining nodes of the configs that it holds. A
// node may come more than once. A driver can have their messages first. It looks again
// after EventAdopted, and after a Registered came in. Without an identity, anybody can use the ID of another.
func (s *Storage) Peers() iter.Seq[Peer] {
	return func(yield func(Peer) bool) {
		if s.manager.ID != 0 && !yield(s.manager) {
			return
		}
		for _, list := range [...][]Peer{s.leaders.known, s.leaders.kept} {
			for _, p := range list {
				if p.ID != 0 && !yield(p) {
					return
				}
			}
		}
		for _, g := range s.groups {
			for _, p := range g.config.Chain {
				if !yield(p) {
					return
				}
			}
			if p := g.config.Joining; p.ID != 0 && !yield(p) {
				return
			}
		}
	}
}

// Peers yields the other managers and the nodes of the Directory, as Storage's does those that it knows. They
// change with EventRegistered and EventRetired.
func (m *Manager) Peers() iter.Seq[Peer] {
	return func(yield func(Peer) bool) {
		for _, p := range m.managers() {
			if !yield(p) {
				return
			}
		}
		for _, n := range m.dir.nodes {
			if !yield(n.Peer) {
				return
			}
		}
	}
}
