package check

import (
	"bytes"

	"gtstore/core"
	"gtstore/sim"
)

// onDown keeps a process that has ended, when the end has cost it nothing that it had asked
// to be durable: the next one over its data must have the same.
func (c *checker) onDown(w *sim.World, h *sim.Host) {
	s, ok := h.Node().(*core.Storage)
	if !ok || !w.Schedule().Shape.Durable {
		return
	}
	delete(c.whole, s.ID())
	if s.Deadline() != 0 && h.LastCrash().Lost == 0 { // one that was never stepped has made nothing durable
		c.whole[s.ID()] = s
	}
}

// onStarted holds a process that starts over the data of an earlier one against that.
func (c *checker) onStarted(w *sim.World, h *sim.Host, s *core.Storage) {
	was := c.whole[s.ID()]
	if was == nil || was == s {
		return
	}
	delete(c.whole, s.ID())
	c.checkRestored(w, h, was, s)
}

// checkRestored: what a start finds on the disk is what the process before it had made
// durable there: all of it, and nothing else.
func (c *checker) checkRestored(w *sim.World, h *sim.Host, was, is *core.Storage) {
	if !bytes.Equal(was.AppendDurable(nil), is.AppendDurable(nil)) {
		w.Fail("restored", "%s restarted with something else than it had made durable: %s", h.Name(), differ(was, is))
	}
	for i := range is.Groups() {
		v := is.Group(i, 0)
		if v.Partial {
			continue
		}
		if want := c.ref(v.Group).state(v.Commit); want != 0 && want != is.StateHash(i) {
			w.Fail("restored", "%s restarted with other values or sessions of group %d than there are at seq %d", h.Name(), v.Group, v.Commit)
		}
	}
}

// differ says where two nodes differ in what is durable.
func differ(was, is *core.Storage) string {
	for i := range was.Groups() {
		a, known := was.Group(i, 0), false
		for j := range is.Groups() {
			b := is.Group(j, 0)
			if a.Group != b.Group {
				continue
			}
			known = true
			if a.Config.Epoch != b.Config.Epoch || a.Base != b.Base || a.Last != b.Last || a.Joining != b.Joining || a.Partial != b.Partial {
				return "its part in a group"
			}
		}
		if !known {
			return "it does not know a group"
		}
	}
	if was.Cluster() != is.Cluster() || was.Boot()+1 != is.Boot() {
		return "who it is"
	}
	return "a position, an entry, or what it has seen"
}

// checkDisks holds, when a run is over, what each disk says against the process that runs
// over it, as if that started anew.
func (c *checker) checkDisks(w *sim.World) {
	if !w.Schedule().Shape.Durable {
		return
	}
	for _, h := range w.Hosts() {
		was, ok := h.Node().(*core.Storage)
		if !ok || !h.Up() || h.Unsynced() || !h.Intact() || was.Deadline() == 0 {
			continue
		}
		is, err := core.NewStorage(core.StorageOptions{Self: h.Peer(), Secret: 1, Durable: true}, h.Disk())
		if err != nil {
			w.Fail("disk-refused", "%s could not start again, though its disk is as it was written: %v", h.Name(), err)
			continue
		}
		c.checkRestored(w, h, was, is)
	}
}

// state returns the hash of the group's state at a commit point; 0 while it is not known.
func (g *groupRef) state(commit core.Seq) uint64 {
	if commit == 0 || int(commit) > len(g.states) {
		return 0
	}
	return g.states[commit-1]
}

// noteState keeps the state that a node has come to by applying the log.
func (g *groupRef) noteState(s *core.Storage, i int, commit core.Seq) {
	if commit == 0 || g.state(commit) != 0 {
		return
	}
	for int(commit) > len(g.states) {
		g.states = append(g.states, 0)
	}
	g.states[commit-1] = s.StateHash(i)
}

// checkFormer: a member holds nothing of the groups that it was in before, and a spare what
// it held of one of them at most.
func (c *checker) checkFormer(w *sim.World, h *sim.Host, s *core.Storage) {
	used, held := 0, 0
	for i := range s.Groups() {
		v := s.Group(i, 0)
		if v.Config.Position(s.ID()) >= 0 || v.Config.Joining.ID == s.ID() {
			used = 1
		} else if v.Last > 0 {
			held++
		}
	}
	if used+held > 1 {
		w.Fail("dead-data", "%s holds data of %d groups that it has left, and is used for %d", h.Name(), held, used)
	}
}
