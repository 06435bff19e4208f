package check

import (
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/bounds"
)

// words is what a storage node has said and heard in a group since its process started: what
// it counts on must be among it.
type words struct {
	leads   bool // it is the primary, and what follows is of this tenure
	serves  bool
	heard   []heard
	round   uint64   // the highest that it has sent
	gets    []getRef // that it has taken in and not answered
	commit  core.Seq
	waiting int           // for a round, or parked
	parked  time.Duration // since when requests are parked that nothing holds up; 0 if there are none
	// granted are the rounds that it has answered by a promise, of which the primary has not
	// heard yet.
	granted []grantRef
	leadsIn core.Epoch    // in which it is the primary,
	since   time.Duration // since when,
	untold  bool          // and has told nobody
	busy    time.Duration // when a session may last have been used
	pending bool          // there were writes under way after the event before
}

// heard is what a primary has been told by one node, each in the epoch that it was in then.
type heard struct {
	node    core.NodeID
	epoch   core.Epoch
	matched core.Seq
	round   uint64
	nacked  uint64 // the highest round that had been sent when a refusal was heeded
}

// getRef is a get, and the highest round that had been sent when it came first.
type getRef struct {
	client core.NodeID
	req    uint64
	round  uint64
	copies int
}

type grantRef struct {
	epoch core.Epoch
	round uint64
	at    time.Duration
}

// promise is one of which the primary to whom it was given has heard: until then it may serve
// alone, by its own clock.
type promise struct {
	to    core.NodeID
	until time.Duration
}

// drifts tells whether a host's clock is beyond the drift for which leases are safe.
func drifts(h *sim.Host) bool {
	const million = 1_000_000
	return h.ClockRate() < million-bounds.DriftMaxPPM || h.ClockRate() > million+bounds.DriftMaxPPM
}

// saidWrongly ends the run, unless its trace shows what becomes of a rule that is missing: what
// users would see of that comes later than the first wrong word.
func (c *checker) saidWrongly(w *sim.World, format string, args ...any) {
	if _, shown := w.Schedule().Broken(); shown == "" || shown == "said" {
		w.Fail("said", format, args...)
	}
}

func (s *words) of(id core.NodeID) *heard {
	for i := range s.heard {
		if s.heard[i].node == id {
			return &s.heard[i]
		}
	}
	s.heard = append(s.heard, heard{node: id})
	return &s.heard[len(s.heard)-1]
}

// checkSaid holds what a storage node says and does in the event under way against what it
// knows: nothing leaves in an epoch that is not durable, an ack speaks of what is verified, and a
// primary serves, commits and answers gets only on the word of every member.
func (c *checker) checkSaid(w *sim.World, h *sim.Host, s *core.Storage, r *hostRef, views []core.GroupView) {
	in := w.Taken()
	if in != nil && in.To.ID != s.ID() { // the node that was there before the disk was wiped
		in = nil
	}
	for i := range views {
		v := &views[i]
		said := &r.group(v.Group).words
		switch {
		case !v.Primary:
			c.checkDeposed(w, h, said, v)
			said.leads, said.serves, said.heard, said.gets, said.round = false, false, said.heard[:0], said.gets[:0], 0
		case !said.leads:
			said.leads, said.serves, said.heard, said.gets, said.round = true, false, said.heard[:0], said.gets[:0], 0
		}
		if in != nil {
			c.onHeard(w, h, said, v, in)
		}
		c.checkSent(w, h, said, v)
		c.checkTells(w, h, said, v)
		c.checkFollower(w, h, v, in, r.begun)
		c.checkIdle(w, h, said, v)
		if v.Primary {
			c.checkCounted(w, h, said, v)
		}
		said.commit, said.waiting = v.Commit, v.Waiting
	}
	r.begun = true
}

// checkDeposed: a primary that is one no more sends on all who wait for it.
func (c *checker) checkDeposed(w *sim.World, h *sim.Host, said *words, v *core.GroupView) {
	if !said.leads || said.waiting == 0 {
		return
	}
	told := 0
	for _, list := range [][]core.Envelope{h.Sent(), h.Held()} {
		for _, e := range list {
			if b, ok := e.Body.(*core.Reply); ok && b.Group == v.Group {
				told++
			}
		}
	}
	if told < said.waiting {
		c.saidWrongly(w, "%s leads group %d no more at epoch %d, and told %d of the %d who waited", h.Name(), v.Group, v.Config.Epoch, told, said.waiting)
	}
}

// onHeard takes in a message.
func (c *checker) onHeard(w *sim.World, h *sim.Host, said *words, v *core.GroupView, in *core.Envelope) {
	switch b := in.Body.(type) {
	case *core.Ack:
		if b.Group != v.Group || b.Epoch != v.Config.Epoch || in.From.ID == h.Peer().ID || !v.Primary {
			return
		}
		f := said.of(in.From.ID)
		f.epoch, f.matched, f.round = b.Epoch, max(f.matched, b.Matched), max(f.round, b.Round)
		c.onPromise(w, in.From.ID, v, b)
	case *core.Op:
		if b.Group != v.Group || b.Kind != core.OpGet || !v.Primary {
			return
		}
		for i := range said.gets {
			if g := &said.gets[i]; g.client == in.From.ID && g.req == b.Req {
				g.copies++
				return
			}
		}
		said.gets = append(said.gets, getRef{in.From.ID, b.Req, said.round, 1})
	case *core.Replicate:
		if b.Group != v.Group || b.Epoch != v.Config.Epoch || v.Config.Reads != core.ReadLease || in.From.ID != v.Config.Chain[0].ID {
			return
		}
		for _, e := range h.Held() {
			if a, ok := e.Body.(*core.Ack); ok && a.Group == b.Group && a.Epoch == b.Epoch && a.Round == b.Round && e.To.ID == in.From.ID {
				said.granted = append(said.granted, grantRef{b.Epoch, b.Round, w.Now()})
				break
			}
		}
	}
}

// onPromise takes in that a primary has heard a promise: from then on it may count on it.
func (c *checker) onPromise(w *sim.World, by core.NodeID, v *core.GroupView, a *core.Ack) {
	h := c.owner[by]
	if v.Config.Reads != core.ReadLease || h == nil {
		return
	}
	hg := c.hosts[h.Index()].known(v.Group)
	if hg == nil {
		return
	}
	rest := hg.words.granted[:0]
	for _, g := range hg.words.granted {
		switch {
		case g.epoch == a.Epoch && g.round == a.Round:
			const million = 1_000_000
			p := promise{v.Config.Chain[0].ID, g.at + v.Config.Lease*million/(million-bounds.DriftMaxPPM) - time.Microsecond}
			if key := (nodeGroup{by, v.Group}); p.until > c.promises[key].until {
				c.promises[key] = p
			}
			rest = append(rest, g) // the message may come again: it is no news then
		case g.epoch >= a.Epoch && g.round > a.Round:
			rest = append(rest, g)
		}
	}
	hg.words.granted = rest
}

// checkSent looks at what leaves.
func (c *checker) checkSent(w *sim.World, h *sim.Host, said *words, v *core.GroupView) {
	for _, e := range h.Sent() {
		epoch := core.Epoch(0)
		switch b := e.Body.(type) {
		case *core.Replicate:
			if b.Group != v.Group {
				continue
			}
			if epoch = b.Epoch; b.Epoch == v.Config.Epoch {
				said.round = max(said.round, b.Round)
			}
			if b.Commit > v.Commit {
				c.saidWrongly(w, "%s told %v that group %d is committed to %d, and knows of %d", h.Name(), e.To.ID, v.Group, b.Commit, v.Commit)
			}
		case *core.Chunk:
			if b.Group == v.Group {
				epoch = b.Epoch
			}
		case *core.ChunkAck:
			if b.Group == v.Group {
				epoch = b.Epoch
			}
		case *core.Nack:
			if b.Group == v.Group {
				epoch = b.Epoch
			}
		case *core.Reply:
			if b.Group != v.Group {
				continue
			}
			epoch = b.Epoch
			c.onReply(w, h, said, v, e.To.ID, b)
		}
		if epoch > v.Durable {
			c.saidWrongly(w, "%s sent a %v in epoch %d of group %d, and of that it had made %d durable", h.Name(), core.KindOf(e.Body), epoch, v.Group, v.Durable)
		}
	}
	for _, e := range h.Held() {
		if r, ok := e.Body.(*core.Replicate); ok && r.Group == v.Group && r.Epoch == v.Config.Epoch {
			said.round = max(said.round, r.Round)
		}
		if v.Primary {
			continue
		}
		if a, ok := e.Body.(*core.Ack); ok && a.Group == v.Group && a.Epoch == v.Config.Epoch && e.To.ID != h.Peer().ID && a.Matched > v.Verified {
			c.saidWrongly(w, "%s acked the log of group %d at epoch %d up to %d, and knows that it is the primary's up to %d", h.Name(), v.Group, a.Epoch, a.Matched, v.Verified)
		}
	}
}

// onReply: a get is answered when every member has answered a round that was sent after the
// get came (rule R8).
func (c *checker) onReply(w *sim.World, h *sim.Host, said *words, v *core.GroupView, to core.NodeID, b *core.Reply) {
	for i := range said.gets {
		g := &said.gets[i]
		if g.client != to || g.req != b.Req {
			continue
		}
		read := b.Status == core.StatusOK || b.Status == core.StatusNotFound
		for _, p := range v.Config.Chain[1:] {
			if f := said.of(p.ID); read && v.Primary && v.Config.Reads == core.ReadConfirm && f.round <= g.round {
				c.saidWrongly(w, "%s answered a get of group %d at epoch %d, and %s has answered no round that was sent since it came: %d, and that was sent before", h.Name(), v.Group, v.Config.Epoch, p.Addr, f.round)
			}
		}
		if g.copies--; g.copies == 0 {
			said.gets = append(said.gets[:i], said.gets[i+1:]...)
		}
		return
	}
}

// checkCounted: a primary begins to serve when every member has acked in its epoch, and its own
// promise to another is over; and commits what every member has acked.
func (c *checker) checkCounted(w *sim.World, h *sim.Host, said *words, v *core.GroupView) {
	begins := v.Serving && !said.serves
	said.serves = v.Serving
	if !v.Serving || v.Parked == 0 || v.Config.Joining.ID != 0 {
		said.parked = 0
	} else if said.parked == 0 {
		said.parked = w.Now()
	} else if w.Now() > said.parked {
		w.Fail("waits", "%s serves group %d at epoch %d, and lets %d requests wait for nothing", h.Name(), v.Group, v.Config.Epoch, v.Parked)
	}
	if !v.Serving {
		return
	}
	if p := c.promises[nodeGroup{h.Peer().ID, v.Group}]; begins && p.to != h.Peer().ID && w.Now() < p.until && !drifts(h) {
		c.saidWrongly(w, "%s serves group %d at epoch %d %v before its promise to %v is over", h.Name(), v.Group, v.Config.Epoch, p.until-w.Now(), p.to)
	}
	for _, p := range v.Config.Chain[1:] {
		f := said.of(p.ID)
		if begins && f.epoch < v.Config.Epoch {
			c.saidWrongly(w, "%s serves group %d at epoch %d, and %s has acked nothing in that", h.Name(), v.Group, v.Config.Epoch, p.Addr)
		}
		if v.Commit > said.commit && f.matched < v.Commit {
			c.saidWrongly(w, "%s committed group %d up to %d at epoch %d, and %s has acked up to %d", h.Name(), v.Group, v.Commit, v.Config.Epoch, p.Addr, f.matched)
		}
	}
}
