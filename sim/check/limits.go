package check

import (
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/mark"
	"gtstore/sim/schedule"
)

// limits holds what primaries take in, and for how long, against the bounds of the schedule.
type limits struct {
	closes int  // of clients: each is taken in beyond the bounds, once
	large  bool // there are large values, so that bytes may run out as well
	// heard is, by primary and session, when that last heard of the session, at the latest.
	heard map[sessionAt]time.Duration
}

type sessionAt struct {
	host    int // Host.Index
	group   core.GroupID
	session core.Seq
}

func (l *limits) begin(s *schedule.Schedule) {
	*l = limits{heard: make(map[sessionAt]time.Duration)}
	for i := range s.Actions {
		if s.Actions[i].Verb == schedule.VerbClose {
			l.closes++
		}
		l.large = l.large || s.Actions[i].Size > 0
	}
}

// checkLimits: a primary holds no more than it may.
func (c *checker) checkLimits(w *sim.World, h *sim.Host, v *core.GroupView) {
	sh := &w.Schedule().Shape
	over := ""
	switch l := &sh.Limits; {
	case v.Pending > l.Pending+c.limits.closes:
		over = "writes"
	case v.Reads > l.Reads:
		over = "gets that wait"
	case v.Parked > l.Parked:
		over = "requests that are parked"
	case v.Taken > sh.Sessions:
		over = "sessions"
	}
	if over != "" {
		w.Fail("limits", "%s, primary of group %d at epoch %d, has more %s than the schedule lets it have", h.Name(), v.Group, v.Config.Epoch, over)
	}
}

// checkRefusals: a primary refuses an operation as too many only when there is no room for it.
func (c *checker) checkRefusals(w *sim.World, h *sim.Host, s *core.Storage, in *core.Envelope) {
	op, ok := in.Body.(*core.Op)
	if !ok || in.To.ID != h.Peer().ID { // the node that was there before the disk was wiped
		return
	}
	if hg := c.hosts[h.Index()].known(op.Group); hg != nil && hg.serving {
		c.hear(w, h, op.Group, op.Session)
	}
	refused := slices.ContainsFunc(h.Sent(), func(e core.Envelope) bool {
		b, ok := e.Body.(*core.Reply)
		return ok && b.Req == op.Req && e.To.ID == in.From.ID && b.Status == core.StatusOverloaded
	})
	if !refused {
		return
	}
	c.marks.reach(mark.RefusedAsTooMany)
	if c.limits.large {
		return
	}
	sh := &w.Schedule().Shape
	for i := range s.Groups() {
		v := s.Group(i, w.Local(h))
		if v.Group != op.Group {
			continue
		}
		full := v.Parked >= sh.Limits.Parked
		switch {
		case !v.Serving:
		case op.Kind == core.OpGet:
			full = v.Reads >= sh.Limits.Reads
		case op.Kind == core.OpOpen: // it may end another, and leaves room for writes
			full = full || v.Pending >= (sh.Limits.Pending+1)/2 || v.Taken >= sh.Sessions
		default:
			full = full || v.Pending >= sh.Limits.Pending
		}
		if !full {
			w.Fail("limits", "%s, primary of group %d, refused %v of %v as too many, and has %d writes under way, %d gets that wait, %d requests parked, %d sessions",
				h.Name(), v.Group, op.Kind, in.From.ID, v.Pending, v.Reads, v.Parked, v.Taken)
		}
	}
}

// hear notes when a primary heard of a session: an operation came, or a write was applied.
func (c *checker) hear(w *sim.World, h *sim.Host, group core.GroupID, session core.Seq) {
	if session != 0 && !c.limits.large && w.Schedule().Shape.Limits.SessionTTL < schedule.DefaultShape().Limits.SessionTTL {
		c.limits.heard[sessionAt{h.Index(), group, session}] = w.Now()
	}
}

// onAppended looks at what a primary has taken into its log: no write where the chain is too
// short for that (rule R4).
func (c *checker) onAppended(w *sim.World, h *sim.Host, hg *hostGroup, e *core.Entry, v *core.GroupView) {
	switch e.Kind {
	case core.OpExpire:
		c.onExpire(w, h, hg, e, v)
	case core.OpPut, core.OpDelete, core.OpCAS:
		if len(v.Config.Chain) < int(v.Config.MinChain) {
			w.Fail("limits", "%s, primary of group %d at epoch %d, took in a write with %d members, and it takes %d", h.Name(), v.Group, v.Config.Epoch, len(v.Config.Chain), v.Config.MinChain)
		}
	}
}

// onExpire: a primary ends a session that is open only when it was idle for too long, or to
// make room for another.
func (c *checker) onExpire(w *sim.World, h *sim.Host, hg *hostGroup, e *core.Entry, v *core.GroupView) {
	if v.Taken >= w.Schedule().Shape.Sessions {
		return
	}
	c.marks.reach(mark.IdleSessionEnded)
	since := max(hg.since, c.limits.heard[sessionAt{h.Index(), hg.id, e.Session}])
	// What was heard in this very event may have come after the decision. And clocks drift.
	if idle, ttl := w.Now()-since, w.Schedule().Shape.Limits.SessionTTL; idle > 0 && idle < ttl-ttl/5 {
		w.Fail("limits", "%s, primary of group %d, ends session %d, which was idle for %v, and not for %v", h.Name(), hg.id, e.Session, idle, ttl)
	}
}
