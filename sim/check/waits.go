package check

import (
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// checkWait: in a cluster at rest an operation takes the messages that it is made of, and
// waits for nothing else: no heartbeat, no message that is sent again, no other operation.
// So it is over after so many one-way trips and syncs. Those bounds are what the longest
// way takes: a get asks for a round, two messages may overtake each other, and a disk may
// be at work. A put may connect to the manager and the primary, look its key up and open a
// session before. It may also be refused once, by a member that is the primary no more.
func (c *checker) checkWait(w *sim.World, op *history.Operation) {
	if !op.Final || op.Result.Status != core.StatusOK || !c.atRest(w, op) {
		return
	}
	sh := &w.Schedule().Shape
	bound := 8*sh.LatencyMax + 4*sh.SyncLatency + time.Millisecond
	if op.Kind == core.OpPut {
		bound += time.Duration(8+4*sh.Connect)*sh.LatencyMax + 4*sh.SyncLatency + 10*time.Millisecond
	}
	if took := op.Returned - op.Called; took > bound {
		w.Fail("waits", "%v took %v, in a cluster at rest, where the longest way of a message and its answers takes %v: it has waited for something else", op, took, bound)
	}
}

// checkJoinTime: likewise, a join takes the config, a snapshot of one chunk, an ack of the log
// and two more messages. One of them may overtake another, and be sent again. A primary that
// has promised not to serve begins none before that is over, so with leases nothing is said.
func (c *checker) checkJoinTime(w *sim.World, g *groupRef, before, n *core.Config) {
	begins := n.Joining.ID != 0 && (before == nil || before.Start != n.Start)
	if begins {
		g.joining = w.Now()
	}
	if before == nil || before.Joining.ID == 0 || n.Position(before.Joining.ID) < 0 {
		return
	}
	sh := &w.Schedule().Shape
	since, _ := w.Healed()
	if g.joining < since+sh.ReturnTime() || !c.undisturbed(w) || c.leases || sh.Chunk < schedule.DefaultShape().Chunk {
		return
	}
	bound := time.Duration(16+8*sh.Connect)*sh.LatencyMax + 8*sh.SyncLatency + 2*core.DefaultStorageOptions().ResendInterval
	if took := w.Now() - g.joining; took > bound {
		w.Fail("waits", "the join of %s into group %d took %v, in a cluster at rest, where its messages take %v", before.Joining.Addr, n.Group, took, bound)
	}
}

// checkPromotionTime: likewise, a new primary serves once it has its epoch on its disk, and an
// answer of every member that its last epoch has. A member whose log differs says so, and gets
// what it lacks; one that does not have the config yet asks for it.
func (c *checker) checkPromotionTime(w *sim.World, hg *hostGroup, config *core.Config) {
	sh := &w.Schedule().Shape
	since, _ := w.Healed()
	g := c.ref(config.Group)
	if g.config().Epoch != config.Epoch || hg.since < since+8*sh.LatencyMax+slowestSync(w.Schedule()) || !c.undisturbed(w) || c.leases {
		return
	}
	for _, p := range config.Chain {
		if !c.works(w, p.ID) {
			return
		}
	}
	bound := time.Duration(8+4*sh.Connect)*sh.LatencyMax + 6*sh.SyncLatency + time.Millisecond
	if took := w.Now() - max(hg.since, g.changed); took > bound {
		w.Fail("waits", "group %d was served %v after its primary of epoch %d had the config, in a cluster at rest, where its messages take %v", config.Group, took, config.Epoch, bound)
	}
}

// slowestSync is how long a write may take that a slow disk began just before the faults ended.
func slowestSync(s *schedule.Schedule) (slowest time.Duration) {
	for i := range s.Actions {
		if s.Actions[i].Verb == schedule.VerbSlowDisk {
			slowest = max(slowest, s.Actions[i].Latency)
		}
	}
	return slowest
}

// undisturbed tells whether the faults are over, and left nothing behind.
func (c *checker) undisturbed(w *sim.World) bool {
	s, usual := w.Schedule(), schedule.DefaultShape()
	since, healed := w.Healed()
	return healed && w.Deviated() <= since && len(s.Unhealed) == 0 && s.Shape.Limits == usual.Limits && s.Shape.Sessions >= usual.Sessions && !c.limits.large
}

// atRest tells whether nothing has been amiss since the faults ended, and the key's group
// has been the same since the operation began.
func (c *checker) atRest(w *sim.World, op *history.Operation) bool {
	m := c.manager(w)
	if !c.undisturbed(w) || m == nil || m.KeyGroup(op.Key) == 0 {
		return false
	}
	config := m.Config(m.KeyGroup(op.Key))
	changed := c.ref(config.Group).changed
	if c.leases { // a new primary waits till those of the epoch before have run out
		changed += w.Schedule().Shape.ReturnTime()
	}
	if config.Joining.ID != 0 || changed > op.Called {
		return false
	}
	for _, p := range config.Chain {
		if !c.works(w, p.ID) {
			return false
		}
	}
	return true
}
