package mutants

// ofLimits are mutants of how much a primary takes in, and of how long sessions are good.
var ofLimits = []Mutant{
	{
		Name: `inherited-session-is-old`, Rule: `R12`,
		Story: `a session that an earlier primary's entry opens counts as idle since the beginning of time`,
		File:  `core/serve.go`,
		Old: `		if s := g.state.sessions.find(seq); s != nil {
			g.state.sessions.touch(s, g.s.now)
		}
		return`,
		New: `		return`,
	},
	{
		Name: `executes-behind-the-end`, Rule: `R12`,
		Story: `a write happens of which its client was told that it never will`,
		File:  `core/state.go`,
		Old: `	case s.ended > 0: // a primary whose log ends here says so, and must be right
`,
		New: `	case false:
`,
	},
	{
		Name: `session-ends-early`, Rule: `R12`,
		Story: `a session ends after half of its time to live`,
		File:  `core/session.go`,
		Old:   `g.s.now.Since(s.touched) > ttl &&`,
		New:   `g.s.now.Since(s.touched) > ttl/2 &&`,
	},
	{
		Name: `unused-but-written-in`, Rule: `R12`,
		Story: `a session's writes are no use of it, so it ends amid them`,
		File:  `core/session.go`,
		Old: `	g.state.sessions.touch(s, g.s.now)
	last := max(s.last, s.proposed)`,
		New: `	last := max(s.last, s.proposed)`,
	},
	{
		Name: `one-session-too-many`, Rule: `R12`,
		Story: `a group opens one session more than it may`,
		File:  `core/session.go`,
		Old:   `g.taken() >= g.s.opt.SessionsMax`,
		New:   `g.taken() > g.s.opt.SessionsMax`,
	},
	{
		Name: `one-write-too-many`, Rule: `R4`,
		Story: `a primary takes in one write more than it may have under way`,
		File:  `core/serve.go`,
		Old:   `len(t.pending) >= g.s.opt.PendingMax ||`,
		New:   `len(t.pending) > g.s.opt.PendingMax ||`,
	},
	{
		Name: `one-get-too-few`, Rule: `R8`,
		Story: `a primary refuses the last get for which it has room`,
		File:  `core/serve.go`,
		Old:   `len(t.reads) >= g.s.opt.ReadsMax {`,
		New:   `len(t.reads)+1 >= g.s.opt.ReadsMax {`,
	},
	{
		Name: `parked-without-a-bound`, Rule: `R4`,
		Story: `nothing bounds the requests that wait for a primary to reconcile`,
		File:  `core/squeeze.go`,
		Old:   `len(t.parked) >= g.s.opt.ParkedMax || `,
		New:   ``,
	},
	{
		Name: `who-asked-never-forgotten`, Rule: `manager 1`,
		Story: `the manager remembers for ever who has asked for a key, and takes the next question for the same one`,
		File:  `core/placement.go`,
		Old: `		delete(m.waits, w)
`,
		New: ``,
	},
	{
		Name: `session-idle-twice`, Rule: `client`,
		Story: `a session that is given back can be used by two operations at a time`,
		File:  `core/client.go`,
		Old:   `		call.route.idle = append(call.route.idle, s)`,
		New:   `		call.route.idle = append(call.route.idle, s, s)`,
	},
}
