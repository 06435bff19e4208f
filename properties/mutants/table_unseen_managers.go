package mutants

// ofUnseenManagers are mutants of several managers, and of nodes that start one after the other. They
// were written before the drawn tests of these rules, and it was not known who finds them.
var ofUnseenManagers = []Mutant{
	{
		Name: `list-kept-over-a-change`, Rule: `several managers`,
		Story: `once the managers have changed, a manager writes to those who were members before`,
		File:  quorumReady,
		Old:   `	n.members, n.listed = n.members.after(state, ch.added), nil`,
		New:   `	n.members = n.members.after(state, ch.added)`,
	},
	{
		Name: `room-of-the-deposed-is-gone`, Rule: `several managers`,
		Story: `what a deposed leader had under way counts against its room when it leads again`,
		File:  quorumNode,
		Old:   `		n.proposals, n.pending = nil, 0`,
		New:   `		n.proposals = nil`,
	},
	{
		Name: `retired-forgotten-in-a-restart`, Rule: `several managers`,
		Story: `who was started again does not know which ids must not come back`,
		File:  quorumDurable,
		Old: `	n.members, n.applied, n.folded = head.members, head.at, head.at
`,
		New: `	n.members, n.applied, n.folded = head.members, head.at, head.at
	n.members.Retired = nil
`,
	},
	{
		Name: `lost-part-not-sent-again`, Rule: `several managers`,
		Story: `a part of a snapshot that is lost is not sent again`,
		File:  quorumTransfer,
		Old:   `	t.resendAt = n.now.After(n.timeout)`,
		New:   `	t.resendAt = core.Never`,
	},
	{
		Name: `former-snapshots-stay`, Rule: `several managers`,
		Story: `each snapshot leaves the one before on the disk`,
		File:  quorumDurable,
		Old:   `	if n.parts > 0 && n.folded != n.applied {`,
		New:   `	if false {`,
	},
	{
		Name: `defers-for-ever`, Rule: `several managers`,
		Story: `who has once left it to another manager to ask for votes takes no answer any more`,
		File:  quorumNode,
		Old: `		n.defers = false
`,
		New: ``,
	},
	{
		Name: `introduced-in-an-earlier-term`, Rule: `several managers`,
		Story:      `who leads again tells the nodes nothing, as it has told them in its first term`,
		Equivalent: `in each term every node has missed and proved nothing yet, so it is told with its first ping, and that is in the first round, but where there are more nodes than a round pings`,
		File:       `core/several.go`,
		Old:        `	m.several.backlog, m.several.told = nil, nil`,
		New:        `	m.several.backlog = nil`,
	},
	{
		Name: `denials-outlive-their-term`, Rule: `several managers`,
		Story: `who was told that another one leads is answered all the same when this one leads again`,
		File:  `core/several.go`,
		Old:   `	m.denials, m.confirming = nil, 0`,
		New:   `	m.confirming = 0`,
	},
	{
		Name: `end-that-came-as-a-text`, Rule: `several managers`,
		Story: `a manager that hears with the Directory that all end goes on alone`,
		File:  `core/several.go`,
		Old: `	if m.started { // else it is what an earlier start has left, and a leader's word is to come
		m.haltingChanged()
	}
`,
		New: ``,
	},
	{
		Name: `managers-without-end`, Rule: `several managers`,
		Story: `a node keeps the addresses of all managers that there ever were`,
		File:  `core/leaders.go`,
		Old:   `		if len(known) < ManagersMax && !slices`,
		New:   `		if !slices`,
	},
	{
		Name: `claims-without-end`, Rule: `one start after the other`,
		Story: `the manager remembers every start that claims the place of a node`,
		File:  `core/claim.go`,
		Old:   `		if len(c.claims) == claimsMax {`,
		New:   `		if false {`,
	},
	{
		Name: `offers-at-the-first-word`, Rule: `several managers`,
		Story: `one stray question of a node has a follower offer to lead`,
		File:  `core/several.go`,
		Old:   `m.now.Since(s.soughtSince) >= offerAfter && m.now >= s.offerAt`,
		New:   `m.now >= s.offerAt`,
	},
}
