package core

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// AppendState is as Storage's. With Steady the random source is never drawn from, and so is
// always the same.
func (c *Client) AppendState(b []byte, now Time) []byte {
	e := canon{b, now}
	e.peer(&c.self)
	e.fixed(uint64(c.cluster))
	e.due(c.Deadline())
	e.peer(&c.manager)
	e.leaders(&c.leaders)
	e.bool(c.owed)
	if c.owed {
		e.ago(c.owedAt, c.askedMax())
	}
	e.bool(c.displaced)
	e.b, _ = c.random.AppendBinary(e.b) // it never fails
	e.span(c.trips.mean)                // of the round trips nobody asks for the shortest and the longest
	e.span(c.trips.deviation)
	var few [8]*call
	list := append(few[:0], c.timed...)
	slices.SortFunc(list, func(a, b *call) int { return cmp.Compare(a.number, b.number) })
	e.num(uint64(len(list)))
	for _, call := range list {
		e.call(c, call)
	}
	e.num(uint64(c.placement))
	e.num(uint64(len(c.units)))
	for _, u := range slices.Sorted(maps.Keys(c.units)) {
		e.text(string(u))
		e.num(uint64(c.units[u]))
	}
	e.num(uint64(len(c.routes)))
	for _, id := range slices.Sorted(maps.Keys(c.routes)) {
		e.route(c, c.routes[id])
	}
	return e.b
}

// askedMax is the longest time in which a call, or a group's, may not ask the manager again.
func (c *Client) askedMax() time.Duration {
	return max(c.opt.AttemptTimeout, patienceMax, time.Duration(c.opt.CallsMax)*time.Second/retriesPerSecond)
}

// call: of the number only the order counts, and of the attempts only what a back-off makes of
// them. When it is looked at follows from its other times.
func (e *canon) call(c *Client, call *call) {
	e.num(call.ID)
	e.num(uint64(call.Kind))
	e.text(call.Key)
	e.text(call.Value)
	e.num(uint64(call.Version))
	e.due(call.deadline)
	e.due(call.retryAt)
	e.num(uint64(min(call.attempts, 17)))
	e.bool(call.waiting)
	e.num(call.asked)
	e.ago(call.askedAt, patienceMax) // no round trip counts for more
	e.ago(call.sentAt, forever)
	e.ago(call.inquiredAt, c.askedMax())
	e.span(call.again)
	e.bool(call.route != nil)
	if call.route != nil {
		e.num(uint64(call.route.config.Group))
	}
	e.bool(call.session != nil)
	if s := call.session; s != nil { // it counts as used when the call ends
		e.num(uint64(s.id))
		e.num(s.opSeq)
	}
	e.peer(&call.target)
	e.bool(call.sent)
	e.num(uint64(call.cause))
	e.num(uint64(call.have))
	e.num(uint64(call.need))
}

func (e *canon) route(c *Client, r *route) {
	e.config(r.config)
	e.ago(r.askedAt, c.askedMax())
	e.bool(r.opened)
	e.num(uint64(len(r.idle)))
	for _, s := range r.idle {
		e.num(uint64(s.id))
		e.num(s.opSeq)
		e.ago(s.usedAt, c.opt.SessionIdleMax+1) // by then it is not used again
	}
}
