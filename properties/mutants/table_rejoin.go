package mutants

// ofRejoining are mutants of how a node comes back to a group of which it still holds
// something.
var ofRejoining = []Mutant{
	{
		Name: `uncommitted-suffix-kept`, Rule: `R10`,
		Story: `a node that joins again keeps entries of which nobody knows whether they were committed`,
		File:  `core/join.go`,
		Old: `	case g.log.last() > g.commit:
		g.truncate(g.commit + 1)
`,
		New: ``,
	},
	{
		Name: `held-entry-not-compared`, Rule: `R10`,
		Story: `the primary goes on from a position that the joining node names, whatever entry that has there`,
		File:  `core/transfer.go`,
		Old:   `!g.log.holds(at) || `,
		New:   `at.Seq > g.log.last() || `,
	},
	{
		Name: `resumed-with-too-short-a-log`, Rule: `R10`,
		Story: `the primary goes on with the log though that does not reach back to what the joining node holds`,
		File:  `core/transfer.go`,
		Old:   `	if at.Seq < g.log.base.Seq || `,
		New:   `	if `,
	},
	{
		Name: `late-chunk-takes-back`, Rule: `R10`,
		Story: `a chunk of the first attempt, which comes again, makes the joining node discard what it held and has acked since`,
		File:  `core/join.go`,
		Old:   `	case m.Attempt == 1 && j.complete: // it`,
		New:   `	case m.Attempt == 1 && j.complete && g.commit <= j.offered: // it`,
		Also: []Edit{
			{`core/join.go`, `	void     bool   //`, `	offered  Seq
	void     bool   //`},
			{`core/join.go`, `&joiner{begun: keeps, complete: keeps}`, `&joiner{begun: keeps, complete: keeps, offered: g.commit}`},
		},
	},
	{
		Name: `held-forgotten-in-a-restart`, Rule: `R10`,
		Story: `a joining node that knows of nothing that is committed discards for a late chunk what it acked`,
		File:  `core/join.go`,
		Old:   `	case m.Attempt == 1 && j.complete: // it`,
		New:   `	case m.Attempt == 1 && j.complete && g.commit > 0: // it`,
	},
	{
		Name: `spare-keeps-every-group`, Rule: `R10`,
		Story: `what a node held of the groups that it was in stays for ever`,
		File:  `core/group.go`,
		Old: `	g.s.giveUpFormer(g)
`,
		New: ``,
	},
	{
		Name: `trim-under-a-rejoin`, Rule: `trimming`,
		Story: `the log is trimmed as far as it could be before a node came back that needs it`,
		File:  `core/tenure.go`,
		Old:   `	g.trim(g.keepForExport(to))`,
		New:   `	g.trim(g.keepForExport(t.trimmed))`,
	},
}
