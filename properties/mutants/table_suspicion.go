package mutants

// ofSuspicion are mutants that lack a rule of how the manager and a primary find out which
// nodes are dead.
var ofSuspicion = []Mutant{
	{
		Name: `client-condemns`, Rule: `manager 3`,
		Story: `a client's broken network condemns a healthy primary`,
		File:  `core/suspicion.go`,
		Old: `	case s.members[s.config.Position(s.accused)].proof != answerYes:
`,
		New: `	case s.members[s.config.Position(s.accused)].proof != answerYes || accuser < 0:
`,
		Also: []Edit{{`core/suspicion.go`,
			`	if !m.unproved(s, at) {
		return
	}
	remove, wait`, `	remove, wait`}, {`core/suspicion.go`,
			`; m.due(s, after, trips) {`, `; true || m.due(s, after, trips) {`}},
	},
	{
		Name: `evict-unproved`, Rule: `manager 3`,
		Story: `a member goes although nobody who stays has answered`,
		File:  `core/suspicion.go`,
		Old: `		case s.members[i].proof == answerYes:
			return remove, false`,
		New: `		case s.members[i].proof != answerNo:
			return remove, false`,
	},
	{
		Name: `accuser-believed`, Rule: `manager 3`,
		Story: `a half-broken primary evicts everyone`,
		File:  `core/suspicion.go`,
		Old: `	case m.due(s, disputeMax, disputeTrips):
		m.judgeDispute(w)`,
		New: `	case m.due(s, disputeMax, disputeTrips):
		m.remove(w, []NodeID{s.accused}, true)`,
	},
	{
		Name: `accuser-not-asked-again`, Rule: `manager 3`,
		Story: `a primary that had to wait for a moment has a healthy member removed`,
		File:  `core/suspicion.go`,
		Old: `	case s.moved || s.members[accuser].word.answer == answerYes:
		m.clear(w, true)
`,
		New: ``,
	},
	{
		Name: `hiccup-is-death`, Rule: `manager 3`,
		Story: `who misses some pings goes, though it only stalled for a moment`,
		File:  `core/inquiry.go`,
		Old:   `	return max(asked.After(floor), silent)`,
		New:   `	return asked.After(floor / 4)`,
	},
	{
		Name: `reports-in-step-lost`, Rule: `manager 3`,
		Story: `a client's reports always come just before the primary's, which is lost each time`,
		File:  `core/suspicion.go`,
		Old: `	case s.accused != node:
		w.next = node
`,
		New: ``,
	},
	{
		Name: `spare-outvotes-members`, Rule: `manager 3`,
		Story: `a member that only a spare reaches stays, and those that it does not reach go, one after the other`,
		File:  `core/suspicion.go`,
		Old: `	if members == (poll{}) {
`,
		New: `	if members.yes == 0 && members.open == 0 {
		not = 0
`,
	},
	{
		Name: `one-that-reaches-it-is-enough`, Rule: `manager 3`,
		Story: `a primary goes for one member that reaches the accused, whatever all others say`,
		File:  `core/suspicion.go`,
		Old:   `	case reached <= not:`,
		New:   `	case reached == 0 || not < 0:`,
	},
	{
		Name: `silence-forgiven`, Rule: `manager 3`,
		Story: `who does not reach a member is given its time anew, whenever another has to say again that it does`,
		File:  `core/inquiry.go`,
		Old:   `		if w.nonce == 0 && (anew || w.answer == answerOpen) {`,
		New:   `		if anew || w.nonce == 0 && w.answer == answerOpen {`,
	},
	{
		Name: `death-counts-as-late`, Rule: `manager 3`,
		Story: `a member that was taken for dead, and answers afterwards, is given that much longer the next time`,
		File:  `core/manager.go`,
		Old: `			out.backAt = m.now // what it answers late tells how long it was taken for dead
`,
		New: ``,
	},
	{
		Name: `too-slow-for-its-report`, Rule: `manager 3`,
		Story: `a primary with a slow disk proves itself too late for each inquiry into its report, and in time for each into itself`,
		File:  `core/suspicion.go`,
		Old: `		proofs = s.members
`,
		New: ``,
	},
	{
		Name: `moved-and-forgotten`, Rule: `manager 3`,
		Story: `what a primary waits for has moved, and it is removed because its word of that is old`,
		File:  `core/suspicion.go`,
		Old:   `case s.moved || s.members[accuser].word`,
		New:   `case s.members[accuser].word`,
	},
	{
		Name: `dead-never-pinged`, Rule: `manager 6`,
		Story: `a spare that was silent for long is not pinged while an inquiry begins with every round`,
		File:  `core/pace.go`,
		Old:   `(m.rounds/m.shares+c.node.number)%pingsSeldom`,
		New:   `(int(m.nonce)+c.node.number)%pingsSeldom`,
	},
	{
		Name: `pings-without-bound`, Rule: `manager 3`,
		Story: `a manager of thousands of nodes pings all of them in every round`,
		File:  `core/pace.go`,
		Old:   `max(1, (pings+most-1)/most)`,
		New:   `max(1, most/most)`,
	},
	{
		Name: `later-ping-is-silence`, Rule: `manager 3`,
		Story: `in a large cluster a node goes for a pause, as the time before it was pinged counts as its silence`,
		File:  `core/pace.go`,
		Old:   `min(max(asked.Since(c.answeredAt), m.opt.PingInterval), m.opt.PingInterval+m.later())`,
		New:   `min(m.opt.PingInterval, max(asked.Since(c.answeredAt), m.opt.PingInterval))`,
	},
	{
		Name: `turn-lost`, Rule: `manager 3`,
		Story: `a node is not pinged while others leave the list before it`,
		File:  `core/pace.go`,
		Old:   `(m.rounds+c.turn)%m.shares`,
		New:   `(m.rounds+c.node.number)%m.shares`,
	},
	{
		Name: `words-never-old`, Rule: `manager 3`,
		Story: `what others said of a member a second ago counts as if it were of now`,
		File:  `core/inquiry.go`,
		Old:   `|| m.now.Since(s.wordsAt) >= 4*max(`,
		New:   `|| false && 0 < 4*max(`,
	},
	{
		Name: `pair-at-odds-undone-at-once`, Rule: `manager 3`,
		Story: `a group of two is left with one member for a hiccup between the two`,
		File:  `core/suspicion.go`,
		Old:   `w.doubts < doubtsMax {`,
		New:   `false {`,
	},
	{
		Name: `crowd-believed`, Rule: `manager 3`,
		Story: `a hiccup of the manager's own network has many removed at once`,
		File:  `core/suspicion.go`,
		Old:   `	return silent > 2 && 2*silent > members`,
		New:   `	return false`,
	},
	{
		Name: `old-address-believed`, Rule: `manager 3`,
		Story: `what refuses at a node's old address counts against it`,
		File:  `core/contact.go`,
		Old:   ` || b.Peer.Addr != c.node.Addr {`,
		New:   ` {`,
	},
	{
		Name: `no-grace`, Rule: `manager 3`,
		Story: `the manager's own pause makes it evict everyone`,
		File:  `core/manager.go`,
		Old:   `func (m *Manager) stallMax() time.Duration { return 2 * m.opt.PingInterval }`,
		New:   `func (m *Manager) stallMax() time.Duration { return time.Hour }`,
	},
	{
		Name: `grace-without-end`, Rule: `manager 3`,
		Story: `a manager that stalls all the time never finds anybody dead`,
		File:  `core/manager.go`,
		Old: `	case m.stalled:
		return m.now.After(m.opt.PingInterval)
`,
		New: ``,
	},
	{
		Name: `stall-counts`, Rule: `manager 3`,
		Story: `a part of the manager's own stall counts as the others' silence`,
		File:  `core/manager.go`,
		Old: `	return m.now
}`,
		New: `	return m.now.After(m.stallMax())
}`,
	},
	{
		Name: `proofs-outlive-a-stall`, Rule: `manager 3`,
		Story: `a manager that stalled for an hour removes a member on a proof of before, though whoever gave it may have died`,
		File:  `core/manager.go`,
		Old: `	if long {
`,
		New: `	if false && long {
`,
	},
	{
		Name: `asked-before-it-started`, Rule: `manager 3`,
		Story: `a node that comes up after the manager goes at once, since it has not proved in time what it was asked while it was down`,
		File:  `core/contact.go`,
		Old: `			t.since, t.again = m.now, false
`,
		New: `			t.again = false
`,
	},
	{
		Name: `proofs-never-lapse`, Rule: `manager 3`,
		Story: `a member that proved itself and fell silent since is held to be fit to succeed`,
		File:  `core/inquiry.go`,
		Old:   `t.proof == answerYes && !m.answers(c) {`,
		New:   `false {`,
	},
	{
		Name: `failures-never-lapse`, Rule: `manager 3`,
		Story: `a member that restarts during an inquiry counts as failed for as long as it lasts`,
		File:  `core/inquiry.go`,
		Old:   `t.proof == answerNo && !t.resigned && m.answers(c) {`,
		New:   `false {`,
	},
	{
		Name: `late-answers-count`, Rule: `manager 3`,
		Story: `a member whose answers come ever later stays, and its group with it`,
		File:  `core/contact.go`,
		Old:   `	if known && m.now.Since(at) <= patienceMax {`,
		New:   `	if known {`,
	},
	{
		Name: `vouched-for-in-vain`, Rule: `manager 3`,
		Story: `a way that is broken between the manager and a member has the member removed at once`,
		File:  `core/suspicion.go`,
		Old: `	case members.yes > 0 || outside == answerYes:
		if after, trips := m.vouched(s); m.due(s, after, trips) {
			m.remove(w, remove, true)
		}
		return
`,
		New: `	case members.yes > 0 || outside == answerYes:
`,
	},
	{
		Name: `vouched-for-for-ever`, Rule: `manager 3`,
		Story: `a member that hears the manager no more never learns its config, and stays`,
		File:  `core/suspicion.go`,
		Old:   `		if after, trips := m.vouched(s); m.due(s, after, trips) {`,
		New:   `		if false {`,
	},
	{
		Name: `vouched-for-beyond-its-end`, Rule: `manager 3`,
		Story: `who has ended stays for as long as others once said that they reach it`,
		File:  `core/inquiry.go`,
		Old: `				s.forgetWords()
			}
			m.judge(w)
`,
		New: `			}
			m.judge(w)
`,
	},
	{
		Name: `refused-for-ever`, Rule: `manager 3`,
		Story: `a member that was not at its address for a moment, as it restarted, is there again, and its primary is not asked anew`,
		File:  `core/inquiry.go`,
		Old:   `		if w.nonce == 0 && (anew || w.answer == answerOpen) {`,
		New:   `		if w.nonce == 0 && (anew && w.answer == answerYes || w.answer == answerOpen) {`,
	},
	{
		Name: `asked-once`, Rule: `manager 3`,
		Story: `a member goes since the one question for proof was lost`,
		File:  `core/suspicion.go`,
		Old: `		m.ask(s)
		m.askAbout(s)`,
		New: `		s.againAt = m.now.After(m.opt.PingInterval)
		m.askAbout(s)`,
	},
	{
		Name: `first-answer-is-due-at-once`, Rule: `manager 3`,
		Story: `a node to which the connection is being set up counts as silent`,
		File:  `core/pace.go`,
		Old:   ` && (c.trips.known() || m.now.Since(c.since) >= firstPatience)`,
		New:   ``,
		Also: []Edit{{`core/inquiry.go`,
			`	if c.trips.known() || m.now.Since(c.since) < firstPatience {`,
			`	if c.trips.known() {`}},
	},
	{
		Name: `distance-not-learnt`, Rule: `manager 3`,
		Story: `who is far away is given no more time than who is near`,
		File:  `core/patience.go`,
		Old:   `	return max(floor, min(r.mean+4*r.deviation, patienceMax))`,
		New:   `	return max(floor, time.Millisecond)`,
	},
	{
		Name: `big-is-slow`, Rule: `manager 3`,
		Story: `a member that takes in a large value is reported by its primary all the while`,
		File:  `core/patience.go`,
		Old:   `	return time.Duration(bytes/(slowRate/1000)) * time.Millisecond`,
		New:   `	return 0 * time.Duration(bytes)`,
	},
	{
		Name: `proof-for-each-report`, Rule: `manager 3`,
		Story: `a healthy node proves itself for each client that waits for it`,
		File:  `core/suspicion.go`,
		Old:   `	if accuser != 0 || m.now.Since(m.contact(b.Node).provedAt) >= m.opt.PingInterval {`,
		New:   `	{`,
	},
	{
		Name: `one-witness-for-all`, Rule: `manager 3`,
		Story: `all inquiries ask the same node outside the chain`,
		File:  `core/inquiry.go`,
		Old:   `			c.witness++`,
		New:   ``,
	},
	{
		Name: `one-is-asked-about-all`, Rule: `manager 5`,
		Story: `the few that answer are asked about everybody who is missing, with each ping`,
		File:  `core/loss.go`,
		Old:   `	most := min(len(list), relaysMax*len(others)) // the rest has its turn with the next pings`,
		New:   `	most := len(list) * min(1, len(others))`,
	},
	{
		Name: `lost-for-want-of-asking`, Rule: `manager 5`,
		Story: `a group counts as lost since there was no turn to ask about it`,
		File:  `core/loss.go`,
		Old:   `|| m.now.Since(m.tooManyAt) > m.opt.LostAfter && m.somebody() != nil):`,
		New:   `|| m.somebody() != nil):`,
	},
}
