package mutants

// ofUnseenStorage are mutants of storage nodes and clients that were written before the tests that
// draw what happens to one of them: see ofUnseen.
var ofUnseenStorage = []Mutant{
	{
		Name: `one-name-takes-more`, Rule: `R12`,
		Story: `the clients of one name have one session more than half`,
		File:  `core/session.go`,
		Old:   `	if count < share {`,
		New:   `	if count <= share {`,
	},
	{
		Name: `backups-of-the-deposed`, Rule: `R8`,
		Story: `the backups that wait at a primary are not sent on when it is deposed`,
		File:  `core/group.go`,
		Old: `	for i := range t.exports {
		g.refuseExport(t.exports[i].client, t.exports[i].m)
	}
`,
		New: ``,
	},
	{
		Name: `bytes-under-way-without-a-bound`, Rule: `R4`,
		Story: `a primary takes in large values as long as they are few`,
		File:  `core/serve.go`,
		Old:   ` || t.bytes+op.bytes() > g.s.opt.PendingBytesMax:`,
		New:   `:`,
	},
	{
		Name: `closed-before-it-opened`, Rule: `R12`,
		Story: `a client closes while its session opens, and the session stays`,
		File:  `core/session.go`,
		Old:   `	if !opens && !g.state.sessions.owns(from.ID) {`,
		New:   `	if !g.state.sessions.owns(from.ID) {`,
	},
	{
		Name: `half-a-snapshot-left-behind`, Rule: `R10`,
		Story: `a node whose join was cancelled takes the part of a snapshot that came for its data`,
		File:  `core/join.go`,
		Old: `	if g.partial() {
		g.discard()
	}
	if g.joiner`,
		New: `	if g.joiner`,
	},
	{
		Name: `epoch-durable-at-once`, Rule: `durable: epoch and config before anything in that epoch`,
		Story: `an epoch counts as durable before it is`,
		File:  `core/group.go`,
		Old:   `	g.s.after(g.s.self, &Ack{Group: g.id, Epoch: c.Epoch, Matched: g.log.last()})`,
		New:   `	g.s.send(g.s.self, &Ack{Group: g.id, Epoch: c.Epoch, Matched: g.log.last()})`,
	},
	{
		Name: `later-grant-shortens`, Rule: `R9`,
		Story: `a promise by a short lease takes back what was promised by a long one`,
		File:  `core/group.go`,
		Old:   `		g.grantUntil = max(g.grantUntil, g.s.now.After(grant(g.config.Lease, g.s.opt.DriftPPM)))`,
		New:   `		g.grantUntil = g.s.now.After(grant(g.config.Lease, g.s.opt.DriftPPM))`,
	},
	{
		Name: `second-opening-taken`, Rule: `client`,
		Story: `a write whose session opens twice is sent in both`,
		File:  `core/client.go`,
		Old: `		if call.session != nil {
			return // opened twice: one is enough, the other will expire
		}
`,
		New: ``,
	},
	{
		Name: `verified-in-another-epoch`, Rule: `R7`,
		Story: `what matched a former primary's log counts as matching the present one's`,
		File:  `core/group.go`,
		Old: `	g.verified = 0
	g.s.persistConfig(c)`,
		New: `	g.s.persistConfig(c)`,
	},
	{
		Name: `trimmed-before-it-is-applied`, Rule: `trimming`,
		Story: `a replica trims what it does not know to be committed yet`,
		File:  `core/group.go`,
		Old: `	seq = min(seq, g.commit)
	saved`,
		New: `	saved`,
	},
	{
		Name: `proposed-outlives-its-tenure`, Rule: `R12`,
		Story: `a write that a former tenure took in, and that was cut off, counts as the last of its session`,
		File:  `core/session.go`,
		Old: `		s.proposed = 0 // what an earlier tenure proposed may be cut
`,
		New:        ``,
		Equivalent: `only a number below one that was taken in is answered otherwise, namely dropped, and for that nobody waits: its client sent the next one once it knew what became of it`,
	},
	{
		Name: `asked-once-for-a-member`, Rule: `R10`,
		Story: `the manager is told only once that a joining node has caught up`,
		File:  `core/transfer.go`,
		Old: `		if g.s.now >= x.proposeAt {
			g.proposeMember(x)
		}
`,
		New: ``,
	},
	{
		Name: `session-saved-as-it-was`, Rule: `durable: values before the log is trimmed`,
		Story: `of a session that changed twice the first change is saved last`,
		File:  `core/save.go`,
		Old: `		written[c.record.ID] = true
`,
		New: ``,
	},
	{
		Name: `old-session-borrowed`, Rule: `client`,
		Story: `a client writes in a session that may have expired by now`,
		File:  `core/client.go`,
		Old:   `		if c.now.Since(s.usedAt) <= c.opt.SessionIdleMax {`,
		New:   `		if true {`,
	},
}
