package check

import (
	"time"

	"gtstore/core"
	"gtstore/sim"
)

// joinBound is how long a join may go on while nothing stands in its way, however
// much is written meanwhile. A run's groups are small: it is many times what the
// largest of them takes.
const joinBound = 30 * time.Second

// joinRef is the join of a group, and since when nothing has stood in its way.
type joinRef struct {
	start core.Epoch
	since time.Duration
}

// checkJoins: a join makes progress or is given up, and one that makes progress
// comes to its end.
func (c *checker) checkJoins(w *sim.World, m *core.Manager) {
	for i := range m.Groups() {
		config := m.Config(core.GroupID(i + 1))
		for len(c.joins) <= i {
			c.joins = append(c.joins, joinRef{})
		}
		j := &c.joins[i]
		if config.Joining.ID == 0 || config.Start != j.start || !c.mayJoin(w, config) {
			*j = joinRef{config.Start, w.Now()}
		} else if w.Now()-j.since > joinBound {
			w.Fail("endless-join", "%s joins group %d since epoch %d, and has for %v, with nothing in its way", config.Joining.Addr, config.Group, config.Start, joinBound)
		}
	}
}

// mayJoin tells whether nothing stands in the way of a join.
func (c *checker) mayJoin(w *sim.World, config *core.Config) bool {
	primary, joining := c.owner[config.Chain[0].ID], c.owner[config.Joining.ID]
	return c.works(w, config.Chain[0].ID) && c.works(w, config.Joining.ID) &&
		w.Connected(primary, joining) && w.Connected(primary, w.Manager()) && w.Connected(joining, w.Manager())
}
