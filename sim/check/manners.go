package check

import (
	"errors"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/schedule"
)

// joinAck is up to where a joining node has acked the log, in the join that Start names. It must
// outlive a restart: what was acked counts for a commit.
type joinAck struct {
	start   core.Epoch
	matched core.Seq
}

// checkTells: a primary tells its members at once that it goes on in another epoch: until then
// they ack nothing in it, and everybody waits.
func (c *checker) checkTells(w *sim.World, h *sim.Host, said *words, v *core.GroupView) {
	switch {
	case !v.Primary || len(v.Config.Chain) < 2:
		said.leadsIn, said.untold = 0, false
		return
	case said.leadsIn != v.Config.Epoch:
		said.leadsIn, said.untold, said.since = v.Config.Epoch, true, w.Now()
	}
	tells := func(e core.Envelope) bool {
		b, ok := e.Body.(*core.Replicate)
		return ok && b.Group == v.Group && b.Epoch == v.Config.Epoch
	}
	switch {
	case !said.untold:
	case slices.ContainsFunc(h.Sent(), tells) || slices.ContainsFunc(h.Held(), tells):
		said.untold = false
	case w.Now() > said.since:
		w.Fail("waits", "%s leads group %d in epoch %d since %v, and has told nobody", h.Name(), v.Group, v.Config.Epoch, said.since)
	}
}

// checkFollower: a replica applies what it knows to be the primary's, a node keeps what it has
// promised, and one that joins what it has acked.
func (c *checker) checkFollower(w *sim.World, h *sim.Host, v *core.GroupView, in *core.Envelope, begun bool) {
	key := nodeGroup{h.Peer().ID, v.Group}
	if p := c.promises[key]; w.Now() < p.until && v.Granted <= w.Local(h) && !drifts(h) {
		c.saidWrongly(w, "%s knows nothing of its promise to %v in group %d, which %v may count on for %v", h.Name(), p.to, v.Group, p.to, p.until-w.Now())
	}
	if v.Primary {
		return
	}
	commits := func(e core.Event) bool { return e.Kind == core.EventCommitted && e.Group == v.Group }
	if b, ok := bodyOf[*core.Replicate](in); ok && begun && b.Group == v.Group && b.Epoch == v.Config.Epoch && v.Commit > v.Verified && slices.ContainsFunc(h.Events(), commits) {
		c.saidWrongly(w, "%s applied group %d up to %d at epoch %d, and knows its log to be the primary's up to %d", h.Name(), v.Group, v.Commit, v.Config.Epoch, v.Verified)
	}
	if !v.Joining {
		delete(c.joinAcks, key)
		return
	}
	for _, e := range h.Held() {
		if a, ok := e.Body.(*core.Ack); ok && a.Group == v.Group && a.Epoch == v.Config.Epoch && e.To.ID != h.Peer().ID {
			c.joinAcks[key] = joinAck{v.Config.Start, max(a.Matched, c.joinAcks[key].matched)}
		}
	}
}

// bodyOf returns what a message says, if it is of that kind; in may be nil.
func bodyOf[M core.Message](in *core.Envelope) (b M, ok bool) {
	if in != nil {
		b, ok = in.Body.(M)
	}
	return b, ok
}

// onJoinEvent: a node that joins begins with what is committed, and discards for a chunk of a first
// attempt nothing that it has acked.
func (c *checker) onJoinEvent(w *sim.World, h *sim.Host, e *core.Event) {
	in := w.Taken()
	switch e.Kind {
	case core.EventKept:
		v, known := c.view(w, h, e.Group)
		if _, entries := bodyOf[*core.Replicate](in); known && !entries && v.Last > v.Commit {
			c.saidWrongly(w, "%s begins to join group %d with a log up to %d, of which it knows %d to be committed", h.Name(), e.Group, v.Last, v.Commit)
		}
	case core.EventDiscarded:
		key := nodeGroup{h.Peer().ID, e.Group}
		if b, ok := bodyOf[*core.Chunk](in); ok && b.Attempt == 1 && c.joinAcks[key].start == b.Start && c.joinAcks[key].matched > 0 {
			c.saidWrongly(w, "%s discards for a chunk of a first attempt what it holds of group %d, and has acked it up to %d", h.Name(), e.Group, c.joinAcks[key].matched)
		}
		delete(c.joinAcks, key)
	}
}

// checkIdle: sessions that nobody uses end.
func (c *checker) checkIdle(w *sim.World, h *sim.Host, said *words, v *core.GroupView) {
	in := w.Taken()
	ttl := w.Schedule().Shape.Limits.SessionTTL
	if b, ok := bodyOf[*core.Op](in); ok && b.Group == v.Group || !v.Serving || v.Sessions == 0 || v.Pending > 0 || said.pending || ttl >= schedule.DefaultShape().Limits.SessionTTL {
		said.busy = w.Now() // also by what has just ended
	}
	said.pending = v.Pending > 0
	if idle := w.Now() - said.busy; in == nil && idle > 2*ttl { // a Tick ends them
		w.Fail("limits", "%s, primary of group %d, has %d sessions open, and nobody has used one for %v: each is good for %v", h.Name(), v.Group, v.Sessions, idle, ttl)
	}
}

// checkLeading looks at what a manager that leads tells others in the event under way.
func (c *checker) checkLeading(w *sim.World, h *sim.Host, m *core.Manager) {
	in, pinged := w.Taken(), false
	for _, e := range h.Sent() {
		switch b := e.Body.(type) {
		case *core.Ping:
			pinged = true
			c.onNonce(w, h, m, b.Nonce)
		case *core.Probe:
			c.onNonce(w, h, m, b.Nonce)
		case *core.LookupReply:
			ask, asked := bodyOf[*core.Lookup](in)
			if b.Status == core.StatusNotFound && c.several(w) && asked && ask.Req == b.Req && e.To.ID == in.From.ID {
				c.saidWrongly(w, "%s says that key %q has no group, and has not asked the other managers", h.Name(), ask.Key)
			}
		}
	}
	if pinged && in == nil && !c.several(w) { // one of several pings whom it has just taken in, too
		c.checkForgotten(w, h, m)
	}
	for i := range h.Events() { // from the next round on
		if e := &h.Events()[i]; e.Kind == core.EventGone {
			c.forgets[e.Node] = true
		}
	}
	if _, pong := bodyOf[*core.Pong](in); pong && c.several(w) && errors.Is(h.Output().Halt, core.ErrAmnesia) {
		w.Fail("halt-without-cause", "%s ends since a node knows more than it, and has not asked the other managers", h.Name())
	}
}

// onNonce: no question has a number that an earlier start of the manager has used: a late answer
// to that would count.
func (c *checker) onNonce(w *sim.World, h *sim.Host, m *core.Manager, nonce uint64) {
	n := c.nonces[m.ID()]
	if nonce <= n.before {
		c.saidWrongly(w, "%s asks with the number %d, and an earlier start of it has used numbers up to %d", h.Name(), nonce, n.before)
	}
	n.highest = max(n.highest, nonce)
	c.nonces[m.ID()] = n
}

// nonces are the numbers of a manager's questions.
type nonces struct{ before, highest uint64 } // of earlier starts; of all

// checkForgotten: with each round of pings a member that was forgotten is told so, since it may
// not know, and still serve.
func (c *checker) checkForgotten(w *sim.World, h *sim.Host, m *core.Manager) {
	for i := range m.Nodes() {
		n := m.Node(i, w.Local(h))
		if n.Gone && n.Group != 0 && c.forgets[n.ID] && !slices.ContainsFunc(h.Sent(), func(e core.Envelope) bool {
			b, told := e.Body.(*core.Refused)
			return told && b.Reason == core.RefusedForgotten && e.To.ID == n.ID
		}) {
			c.saidWrongly(w, "%s pings all others, and does not tell %s, which is in group %d, that it was forgotten", h.Name(), n.Addr, n.Group)
		}
	}
}

// asking is who has asked one of several managers, and was not answered.
type asking struct {
	client core.NodeID
	req    uint64
}

// onAsked follows who waits for one of several managers. When it is deposed it sends them on.
func (c *checker) onAsked(w *sim.World, h *sim.Host, m *core.Manager) {
	r := c.hosts[h.Index()]
	if in := w.Taken(); in != nil && m.Leads() {
		switch b := in.Body.(type) {
		case *core.Lookup:
			r.asks = append(r.asks, asking{in.From.ID, b.Req})
		case *core.Drain:
			r.asks = append(r.asks, asking{in.From.ID, b.Req})
		}
	}
	for _, e := range h.Sent() {
		req := uint64(0)
		switch b := e.Body.(type) {
		case *core.LookupReply:
			req = b.Req
		case *core.Drained:
			req = b.Req
		case *core.NotLeader:
			req = b.Req
		default:
			continue
		}
		r.asks = slices.DeleteFunc(r.asks, func(a asking) bool { return a.client == e.To.ID && a.req == req })
	}
	for _, e := range h.Events() {
		switch e.Kind {
		case core.EventFollows:
			if len(r.asks) > 0 {
				c.saidWrongly(w, "%s leads no more, and did not tell %v, who waits for it", h.Name(), r.asks[0].client)
			}
		case core.EventLeads:
			r.asks = nil
			for i := range r.lost {
				if lost, _ := m.Lost(core.GroupID(i + 1)); r.lost[i] && !lost && m.Index() == r.applied {
					w.Fail("lost-silently", "%s leads, and does not hold group %d for lost, as the managers had agreed to", h.Name(), i+1)
				}
			}
		case core.EventLost:
			if !e.Effect && m.Index() == r.applied {
				w.Fail("loss-without-cause", "%s holds group %d for lost, and the managers have not agreed on that", h.Name(), e.Group)
			}
		}
	}
	r.applied, r.lost = m.Index(), r.lost[:0]
	for i := range m.Groups() {
		lost, _ := m.Lost(core.GroupID(i + 1))
		r.lost = append(r.lost, lost)
	}
}

// onAnswered: a leader that some node answers leads on.
func (c *checker) onAnswered(w *sim.World, h *sim.Host, m *core.Manager) {
	r := c.hosts[h.Index()]
	if _, ok := bodyOf[*core.Pong](w.Taken()); ok && m.Leads() {
		r.answered = w.Now()
	}
	for _, e := range h.Events() {
		if e.Kind == core.EventYields && r.answered > 0 && w.Now()-r.answered < time.Second {
			w.Fail("one-leader", "%s lets another manager lead, and a node has answered it %v ago", h.Name(), w.Now()-r.answered)
		}
	}
}
