package mutants

// ofFounding are more mutants of how several managers found a cluster, and of what they must not
// forget. They were written after the explorer's model of several managers, and before it was known
// who finds them: sim/explore/README.md has what it found.
var ofFounding = []Mutant{
	{
		Name: `founds-on-empty-words`, Rule: `several managers`,
		Story: `the first counts on managers that have promised nothing`, File: quorumSeat,
		Old: `				m.askAll(m.opt.Cluster, out)
`, New: `				m.found(out)
`,
	},
	{
		Name: `promise-to-another-counts`, Rule: `several managers`,
		Story: `the first counts on a manager that has promised itself to another founder`, File: quorumSeat,
		Old: `		return a.state == statePromised && a.cluster == m.asks && m.agrees(`, New: `		return a.state == statePromised && m.agrees(`,
	},
	{
		Name: `promise-never-lapses`, Rule: `several managers`,
		Story: `a founder that lost its data is waited for, and no other one may found`, File: quorumFounding,
		Old: `func (f *founding) isLapsed(now core.Time) bool { return now.Since(f.promisedAt) >= promiseTime }`,
		New: `func (f *founding) isLapsed(now core.Time) bool { return now < f.promisedAt }`,
	},
	{
		Name: `everybody-founds`, Rule: `several managers`,
		Story: `not only the first of the list founds a cluster`, File: quorumSeat,
		Old: `	case m.place != 0:
	case m.asks == 0:`, New: `	case m.asks == 0:`,
		Also: []Edit{{quorumSeat, ` && m.inner == nil && m.place != 0 {`, ` && m.inner == nil {`}},
	},
	{
		Name: `taken-up-in-spite-of-its-promise`, Rule: `several managers`,
		Story: `a manager becomes one of another cluster than it has promised itself to`, File: quorumSeat,
		Old: `	case m.promise != 0 && m.promise != in.Cluster:
		if m.isLapsed(m.now) {`, New: `	case false:
		if m.isLapsed(m.now) {`,
	},
	{
		Name: `taken-up-under-another-id`, Rule: `several managers`,
		Story: `what is for an earlier start of a manager makes a later one a member`, File: quorumSeat,
		Old: `	case in.To.ID != m.opt.Self.ID || in.Cluster == 0 ||`, New: `	case in.Cluster == 0 ||`,
		Also: []Edit{{quorumNode, `	case in.To.ID != n.self.ID || !isMember(in.From.ID):`, `	case !isMember(in.From.ID):`}, {`core/several.go`, `		if in.To.ID != m.self.ID || in.Cluster`, `		if in.Cluster`}},
	},
	{
		Name: `anew-when-one-is-gone`, Rule: `several managers`,
		Story: `a manager gives its cluster up though a majority of the founders is left`, File: quorumFounding,
		Old: `	return gone > 0 && len(members)-gone < len(members)/2+1`, New: `	return gone > 0`,
	},
	{
		Name: `anew-with-commands`, Rule: `several managers`,
		Story: `a manager that has applied commands gives them up with its cluster`, File: quorumSeat,
		Old: `		case !m.isBlank():
`, New: `		case false:
`,
	},
	{
		Name: `answers-outlive-their-round`, Rule: `several managers`,
		Story: `what a manager was in an earlier round counts in this one`, File: quorumFounding,
		Old: `	f.wait = min(2*f.wait, askWaitMax)
	clear(f.answers)
`, New: `	f.wait = min(2*f.wait, askWaitMax)
`,
	},
	{
		Name: `vote-not-read`, Rule: `several managers`,
		Story: `a member that was started again has forgotten whom it voted for`, File: quorumDurable,
		Old: `	n.log.hard, n.written = state.hardState, state.commit
`, New: `	n.log.hard, n.written = state.hardState, state.commit
	n.log.hard.vote = 0
`,
	},
	{
		Name: `own-word-before-the-disk`, Rule: `several managers`,
		Story: `a manager counts its own vote and entries before its disk has them`, File: quorumReady,
		Old: `		n.out.After = append(n.out.After, Envelope{n.self, n.self, &Stored{Nonce: n.nonce}})`,
		New: `		n.out.Send = append(n.out.Send, Envelope{n.self, n.self, &Stored{Nonce: n.nonce}})`,
	},
	{
		Name: `late-enlist-believed`, Rule: `several managers`,
		Story: `a leader takes one in that has ended, in the place of who is there now`, File: quorumSeat,
		Old: `			m.enlists = in
			if`, New: `			m.inner.Step(now, in, out)
			if`,
	},
}
