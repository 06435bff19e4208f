package check

import (
	"errors"
	"slices"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim"
)

// onHalted: who is down is in no other check, so a process that ends by itself, or that
// cannot start, must have a reason that the schedule gave it.
func (c *checker) onHalted(w *sim.World, h *sim.Host) {
	switch why := h.Halted(); {
	case errors.Is(why, sim.ErrNotStarted), errors.Is(why, core.ErrDamaged):
		if h.Intact() {
			w.Fail("disk-refused", "%s halted, though its disk is as it was written: %v", h.Name(), why)
		}
	case !c.mayHalt(w, h, why):
		w.Fail("halt-without-cause", "%s halted, and nothing had happened for which it must: %v", h.Name(), why)
	}
}

// mayHalt tells whether something has happened for which a process of that kind ends with
// such an error. No schedule brings an old copy of a disk back, nor mixes the modes, so the
// errors about that are never right.
func (c *checker) mayHalt(w *sim.World, h *sim.Host, why error) bool {
	switch {
	case errors.Is(why, sim.ErrDiskFailed):
		return w.Schedule().Shape.Durable
	case errors.Is(why, quorum.ErrAnew):
		return c.mayBeginAnew(w, h)
	case errors.Is(why, core.ErrStopped):
		return h.Stopped()
	case errors.Is(why, core.ErrForgotten):
		return c.gone(w, h.Peer().ID) && !h.Stopped()
	case errors.Is(why, core.ErrOtherCluster):
		own := h.Node().(*core.Storage).Cluster()
		return own != 0 && slices.ContainsFunc(c.clusters, func(id core.ClusterID) bool { return id != own })
	case errors.Is(why, core.ErrGroupLost):
		return w.Schedule().Shape.Halt && c.someLost(w, h.Manager())
	}
	return false
}

// someLost tells whether the manager holds a group to be lost of which no copy has been within
// its reach for long. Of durable nodes that must be certain: what is down keeps its data.
func (c *checker) someLost(w *sim.World, m *core.Manager) bool {
	for i := range m.Groups() {
		id := core.GroupID(i + 1)
		if lost, certain := m.Lost(id); lost && (certain || !w.Schedule().Shape.Durable) && !slices.ContainsFunc(m.Config(id).Chain, func(p core.Peer) bool {
			return c.hasData(w, p.ID) && !c.gone(w, p.ID) && w.Calm([]*sim.Host{w.Manager(), c.owner[p.ID]})
		}) {
			return true
		}
	}
	return false
}
