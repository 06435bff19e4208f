package mutants

// ofUnseen are mutants that were written after the checks, and before it was known who finds them:
// so they say how much of what nobody has thought of is found. README.md has how much that was.
var ofUnseen = []Mutant{
	{
		Name: `fenced-and-not-told`, Rule: `R1`,
		Story: `who sends in a former epoch is refused, and does not learn of the present one`,
		File:  `core/group.go`,
		Old:   `		g.send(from, &Nack{Group: g.id, Epoch: g.config.Epoch, Round: m.Round, Config: g.config})`,
		New:   `		g.send(from, &Nack{Group: g.id, Epoch: g.config.Epoch, Round: m.Round})`,
	},
	{
		Name: `gets-of-the-deposed`, Rule: `R8`,
		Story: `the gets that wait at a primary are not sent on when it is deposed`,
		File:  `core/group.go`,
		Old: `	for i := range t.reads {
		g.refuse(t.reads[i].client, t.reads[i].op.Req, StatusNotPrimary, c)
	}
`,
		New: ``,
	},
	{
		Name: `lease-outruns-its-heartbeat`, Rule: `R9`,
		Story: `leases that are shorter than a heartbeat run out between two of these`,
		File:  `core/tenure.go`,
		Old:   `		return min(g.s.opt.HeartbeatInterval, g.config.Lease/3)`,
		New:   `		return g.s.opt.HeartbeatInterval`,
	},
	{
		Name: `longest-lease-not-noted`, Rule: `R9`,
		Story: `a node does not write down how long a lease it may grant, so that a restart forgets it`,
		File:  `core/storage.go`,
		Old: `	if c.Lease > s.leaseMax {
		s.leaseMax = c.Lease
		s.persistIdentity()
	}
`,
		New: ``,
	},
	{
		Name: `restarted-and-still-joining`, Rule: `R10`,
		Story: `a join goes on though the joining node was started anew, and has lost what came`,
		File:  `core/directory.go`,
		Old: `		a.changed = append(a.changed, d.issue(g, nil))
	}
	if n.joining != 0 {`,
		New: `		a.changed = append(a.changed, d.issue(g, nil))
	}
	if false {`,
	},
	{
		Name: `lost-group-gets-keys`, Rule: `manager 1`,
		Story: `the round robin does not pass over a group of which no copy is left`,
		File:  `core/directory.go`,
		Old:   `!slices.Contains(skip, g.config.Group) && !d.lost(g) {`,
		New:   `!slices.Contains(skip, g.config.Group) {`,
	},
	{
		Name: `turn-stands-still`, Rule: `manager 1`,
		Story: `all keys go to the same group, and the others stay empty`,
		File:  `core/directory.go`,
		Old:   `		d.turn = (d.turn + 1) % len(d.groups)`,
		New:   `		d.turn = d.turn % len(d.groups)`,
	},
	{
		Name: `lost-and-found-by-a-member`, Rule: `R2`,
		Story: `a node becomes a member of a group that was declared lost meanwhile`,
		File:  `core/directory.go`,
		Old:   `g.config.Joining.ID != c.Node.ID || d.lost(g) {`,
		New:   `g.config.Joining.ID != c.Node.ID {`,
	},
	{
		Name: `terms-without-the-chain`, Rule: `manager 7`,
		Story: `a change of the terms leaves how long a chain must be as it was`,
		File:  `core/terms.go`,
		Old:   `	next.Reads, next.Lease, next.MinChain = c.Terms.Reads, c.Terms.Lease, c.Terms.MinChain`,
		New:   `	next.Reads, next.Lease = c.Terms.Reads, c.Terms.Lease`,
	},
	{
		Name: `sessions-never-swept`, Rule: `R12`,
		Story: `sessions that nobody uses any more are never ended`,
		File:  `core/tenure.go`,
		Old: `	if s.now >= t.sweepAt {
		g.sweepSessions()
	}
	s.wakeBy(t.sweepAt)
`,
		New: ``,
	},
	{
		Name: `next-epoch-in-silence`, Rule: `R6`,
		Story: `a primary that goes on in another epoch tells its members with the next heartbeat`,
		File:  `core/tenure.go`,
		Old: `	g.followJoin()
	g.flushSoon()
}`,
		New: `	g.followJoin()
}`,
	},
	{
		Name: `behind-and-not-reminded`, Rule: `manager 4`,
		Story: `a node whose Config was lost is not sent it again`,
		File:  `core/contact.go`,
		Old: `	m.remind(c, b.Groups)
`,
		New: ``,
	},
	{
		Name: `late-report-counts`, Rule: `manager 3`,
		Story: `a report of an epoch that is over begins an inquiry in the present one`,
		File:  `core/suspicion.go`,
		Old:   `	if g == nil || g.config.Epoch != b.Epoch || g.config.Position(b.Node) < 0 {`,
		New:   `	if g == nil || g.config.Position(b.Node) < 0 {`,
	},
	{
		Name: `strongest-first`, Rule: `manager 6`,
		Story: `of several groups the one that lacks the least gets the last spare`,
		File:  `core/heal.go`,
		Old:   `		return cmp.Compare(len(a.config.Chain), len(b.config.Chain))`,
		New:   `		return cmp.Compare(len(b.config.Chain), len(a.config.Chain))`,
	},
	{
		Name: `deletion-not-saved`, Rule: `durable: values before the log is trimmed`,
		Story: `a key that was deleted stays on the disk when the log has gone`,
		File:  `core/save.go`,
		Old: `			g.s.unpersist(g.valueKey(e.Key))
`,
		New: ``,
	},
	{
		Name: `parked-twice`, Rule: `R4`,
		Story: `a request that comes again while it is parked takes a second place`,
		File:  `core/squeeze.go`,
		Old: `			p.client = from
			return
`,
		New: `			p.client = from
`,
	},
	{
		Name: `older-config-learnt`, Rule: `client`,
		Story: `a client goes back to a former primary for a message that came late`,
		File:  `core/client.go`,
		Old:   `	} else if config.Epoch > r.config.Epoch {`,
		New:   `	} else if config.Epoch != r.config.Epoch {`,
	},
	{
		Name: `chunk-out-of-turn`, Rule: `R10`,
		Story: `a chunk is taken in before those that come before it`,
		File:  `core/join.go`,
		Old:   `	if m.Number == j.next && !j.complete && !j.void {`,
		New:   `	if m.Number >= j.next && !j.complete && !j.void {`,
	},
	{
		Name: `join-of-an-earlier-start`, Rule: `R10`,
		Story: `a chunk of an earlier join of the same node is taken for one of this`,
		File:  `core/join.go`,
		Old:   `!g.isJoining(), m.Start != g.start:`,
		New:   `!g.isJoining():`,
	},
	{
		Name: `farewell-not-heeded`, Rule: `manager 5`,
		Story: `a node that was forgotten may still be made a member`,
		File:  `core/directory.go`,
		Old: `	n.gone = true
	a := applied{gone: true}
	if n.joining != 0 {`,
		New: `	n.gone = true
	a := applied{gone: true}
	if false {`,
	},
}
