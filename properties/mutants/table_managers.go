package mutants

// ofManagers are mutants of what several managers do: section 11 of PROTOCOL.md.
var ofManagers = []Mutant{
	{
		Name: `denied-without-the-others`, Rule: `several managers`,
		Story: `a leader that was deposed, and does not know it, says that a key has no group`,
		File:  `core/several.go`,
		Old: `func (s *several) confirm(*Manager) {
	s.reads++
	s.council.Confirm(s.reads)`,
		New: `func (s *several) confirm(m *Manager) {
	m.confirmed()`,
	},
	{
		Name: `waiters-kept-by-the-deposed`, Rule: `several managers`,
		Story: `who waits for a leader that was deposed is not told where to go`,
		File:  `core/several.go`,
		Old:   `			m.sendElsewhere(w.client, w.req, 0)`,
		New:   `			_ = w`,
	},
	{
		Name: `commands-of-the-deposed`, Rule: `several managers`,
		Story: `what a deposed leader had no room for, it proposes in a later term`,
		File:  `core/several.go`,
		Old:   `	m.several.backlog, m.several.told = nil, nil`,
		New:   `	m.several.told = nil`,
	},
	{
		Name: `loss-presumed-alone`, Rule: `several managers`,
		Story: `a leader tells that a group is lost before the others agree`,
		File:  `core/loss.go`,
		Old:   `	if l > w.loss && l < lossCertain && m.several != nil {`,
		New:   `	if false {`,
	},
	{
		Name: `cut-off-and-sure`, Rule: `several managers`,
		Story: `a manager that reaches nobody holds everybody else for lost`,
		File:  `core/several.go`,
		Old:   `	if !w.presuming && m.somebody() != nil {`,
		New:   `	if !w.presuming {`,
	},
	{
		Name: `loss-forgotten-by-the-next`, Rule: `several managers`,
		Story: `a new leader does not know which groups are held for lost`,
		File:  `core/several.go`,
		Old: `	for i, g := range m.dir.groups {
		m.watches[i].loss = g.presumed
	}
`,
		New: ``,
	},
	{
		Name: `halts-by-itself`, Rule: `several managers`,
		Story: `one manager ends for a lost group, and the others go on without it`,
		File:  `core/loss.go`,
		Old: `	if m.several != nil {
		m.haltTogether()
		return
	}
`,
		New: ``,
	},
	{
		Name: `halt-that-nobody-withdraws`, Rule: `several managers`,
		Story: `managers that are started again end again, whatever they find`,
		File:  `core/several.go`,
		Old: `	if m.dir.halting { // whoever has decided that is gone: it is looked into again
		m.propose(Command{Kind: CommandGoOn})
	}
`,
		New: ``,
	},
	{
		Name: `deposed-and-amnesic`, Rule: `several managers`,
		Story: `a deposed leader takes what it has not heard for what it has lost, and halts`,
		File:  `core/manager.go`,
		Old: `	case m.several != nil:
		m.deny(denial{waiter: waiter{client: Peer{ID: node}}, ask: b})
		return true
	}
`,
		New: `	}
	if m.several != nil {
		m.out.Halt = ErrAmnesia
	}
`,
	},
	{
		Name: `terms-are-no-starts`, Rule: `several managers`,
		Story: `to a node two leaders are two managers on copies of one directory`,
		File:  `core/contact.go`,
		Old: `	if m.several != nil {
		return Boot(m.term)
	}
`,
		New: ``,
	},
	{
		Name: `managers-not-introduced`, Rule: `several managers`,
		Story: `a node hears a manager that is new only once it asks`,
		File:  `core/contact.go`,
		Old: `		if changed {
			m.introduce(c)
		}
`,
		New: ``,
	},
	{
		Name: `managers-not-remembered`, Rule: `several managers`,
		Story: `a node that is started again tries managers that are no more, and no others`,
		File:  `core/leaders.go`,
		Old: `			l.known = append(l.known, Peer{Addr: a})
`,
		New: ``,
	},
	{
		Name: `every-leader-is-a-start`, Rule: `several managers`,
		Story: `a primary that died with the leader is waited for as if the cluster were just starting`,
		File:  `core/inquiry.go`,
		Old:   `m.now.Since(m.calm) < firstPatience`,
		New:   `m.now.Since(c.since) < firstPatience`,
	},
	{
		Name: `word-of-an-earlier-term`, Rule: `several managers`,
		Story: `two managers who know different terms send a node to and fro`,
		File:  `core/leaders.go`,
		Old:   ` || m.Term < l.told`,
		New:   ``,
	},
	{
		Name: `one-manager-tried-for-ever`, Rule: `several managers`,
		Story: `who knows several managers asks only the first`,
		File:  `core/leaders.go`,
		Old:   `l.known[(i+1)%len(l.known)].Addr`,
		New:   `l.known[max(i, 0)].Addr`,
	},
	{
		Name: `leader-unheard`, Rule: `several managers`,
		Story: `a node hears only the manager that has registered it`,
		File:  `core/validate.go`,
		Old: `	if s.leaders.several() && s.leaders.named(id).ID != 0 {
		return true
	}
`,
		New: ``,
	},
	{
		Name: `anybody-sends-elsewhere`, Rule: `several managers`,
		Story: `one message has a node register, with its secret, wherever the sender likes`,
		File:  `core/validate.go`,
		Old:   ` && s.opt.Secret == m.Token`,
		New:   ``,
	},
	{
		Name: `halts-for-another-cluster`, Rule: `several managers`,
		Story: `a node ends because another cluster's manager has taken one of the addresses`,
		File:  `core/storage.go`,
		Old:   `		if s.leaders.several() { // one of the addresses may be another cluster's by now`,
		New:   `		if false {`,
	},
	{
		Name: `follower-that-skips`, Rule: `several managers`,
		Story: `a manager that follows leaves out a command`,
		File:  `core/several.go`,
		Old: `	} else {
		a.m.dir.apply(&c)
	}`,
		New: `	} else if c.Kind != CommandReconfigure {
		a.m.dir.apply(&c)
	} else {
		a.m.dir.index++
	}`,
	},
	{
		Name: `empty-manager-stays-out`, Rule: `several managers`,
		Story: `a manager that has lost its data is of no use any more`,
		File:  `core/several.go`,
		Old: `	m.several.council.Replace(from)
`,
		New: ``,
	},
	{
		Name: `leader-without-nodes-leads-on`, Rule: `several managers`,
		Story: `a leader that no node answers leads on, while another manager would reach all`,
		File:  `core/several.go`,
		Old: `	m.several.council.Yield(to)
`,
		New: ``,
	},
	{
		Name: `leads-by-turns`, Rule: `several managers`,
		Story: `a leader lets another one lead though nodes answer it`,
		File:  `core/several.go`,
		Old:   `		if m.now.Since(max(c.since, c.answeredAt)) < firstPatience {`,
		New:   `		if c == nil {`,
	},
	{
		Name: `text-without-losses`, Rule: `several managers`,
		Story: `a manager that gets the Directory as one text does not know what is held for lost`,
		File:  `core/snapshot.go`,
		Old:   `		if g.presumed != lossNone {`,
		New:   `		if false {`,
	},
	{
		Name: `leader-that-died-first`, Rule: `several managers`,
		Story: `a new leader looks after nobody who has not spoken with it`,
		File:  `core/contact.go`,
		Old: `		if m.silent(c) {
			m.suspect(c.node.group, c.node.ID, 0)`,
		New: `		if m.silent(c) && (m.several == nil || c.answeredAt != longAgo) {
			m.suspect(c.node.group, c.node.ID, 0)`,
	},
}
