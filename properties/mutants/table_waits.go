package mutants

// ofWaits are mutants in which something that is asked for waits for an event that has
// nothing to do with it, such as the next heartbeat: a wake-up is missing. In the last ones
// somebody does not wait for as long as honest work takes.
var ofWaits = []Mutant{
	{
		Name: `get-waits-for-a-heartbeat`, Rule: `R8`,
		Story: `a get waits for the next round, whatever begins that`,
		File:  `core/serve.go`,
		Old: `	t.reads = append(t.reads, read{ask{from, op}, t.round + 1})
	g.flushSoon()`,
		New: `	t.reads = append(t.reads, read{ask{from, op}, t.round + 1})`,
	},
	{
		Name: `write-waits-for-a-heartbeat`, Rule: `R4`,
		Story: `a write is sent on with whatever is sent next`,
		File:  `core/serve.go`,
		Old: `	g.tenure.pending = append(g.tenure.pending, w)
	g.flushSoon()`,
		New: `	g.tenure.pending = append(g.tenure.pending, w)`,
	},
	{
		Name: `promoted-and-silent`, Rule: `R5`,
		Story: `a new primary asks the others what they hold with its next heartbeat`,
		File:  `core/tenure.go`,
		Old: `	g.s.wakeBy(t.notBefore)
	g.flushSoon()
}`,
		New: `	g.s.wakeBy(t.notBefore)
}`,
	},
	{
		Name: `parked-till-the-next`, Rule: `R5`,
		Story: `what waited for a primary to reconcile is taken in when something else comes`,
		File:  `core/squeeze.go`,
		Old: `&& !t.unparking && !g.holds() {
		g.flushSoon()
	}`,
		New: `&& !t.unparking && !g.holds() {
		return
	}`,
	},
	{
		Name: `parked-behind-a-trim`, Rule: `R10`,
		Story: `writers that a long log holds back are not let go when it is trimmed`,
		File:  `core/tenure.go`,
		Old:   `	to := g.keepFor(min(matched, g.commit)) // less`,
		New: `	g.unparkSoon()
	to := g.keepFor(min(matched, g.commit)) // less`,
		Also: []Edit{{`core/tenure.go`, `	g.unparkSoon() // after the trim, which can end what holds writers back
`, ``}},
	},
	{
		Name: `nack-waits-for-the-resend`, Rule: `R7`,
		Story: `a replica that lacks entries gets them when those that it has were due again`,
		File:  `core/tenure.go`,
		Old: `	t.nextRound(g)
	g.replicate(f)
}`,
		New: `	t.nextRound(g)
}`,
	},
	{
		Name: `session-opened-and-not-used`, Rule: `client`,
		Story: `a client that has opened a session writes in it when it would ask again`,
		File:  `core/client.go`,
		Old: `		call.take(&clientSession{id: b.Version, usedAt: c.now})
		c.attempt(call)
		c.wakeFor(call)`,
		New: `		call.take(&clientSession{id: b.Version, usedAt: c.now})
		c.wakeFor(call)`,
	},
	{
		Name: `mapping-learnt-and-not-used`, Rule: `client`,
		Story: `a client that has learnt where a key lives goes there when it would ask again`,
		File:  `core/client.go`,
		Old: `			call.route = c.routes[b.Config.Group]
			c.attempt(call)
			c.wakeFor(call)`,
		New: `			call.route = c.routes[b.Config.Group]
			c.wakeFor(call)`,
	},
	{
		Name: `sent-again-while-under-way`, Rule: `R10`,
		Story: `what is under way to a joining node is sent again and again, until nothing new gets through a slow network`,
		File:  `core/transfer.go`,
		Old:   `x.overdue(g.s.now, g.underWay())`,
		New:   `x.overdue(g.s.now, 0)`,
	},
	{
		Name: `no-progress-at-the-rate`, Rule: `manager 6`,
		Story: `a join whose primary waits for the rate is given up`,
		File:  `core/transfer.go`,
		Old:   `max(uint64(early), uint64(x.underWay()))`,
		New:   `max(0*uint64(early), uint64(x.underWay()))`,
	},
	{
		Name: `sent-is-taken-in`, Rule: `manager 6`,
		Story: `what was sent to a joining node is progress, so that there is none while the last of it is under way`,
		File:  `core/transfer.go`,
		Old:   `max(uint64(early), uint64(x.underWay()))`,
		New:   `uint64(early)`,
	},
}
