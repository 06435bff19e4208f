package mutants

const (
	quorumNode     = "core/quorum/node.go"
	quorumReady    = "core/quorum/ready.go"
	quorumDurable  = "core/quorum/durable.go"
	quorumTransfer = "core/quorum/transfer.go"
	quorumMembers  = "core/quorum/members.go"
	quorumSeat     = "core/quorum/seat.go"
	quorumFounding = "core/quorum/founding.go"
)

// ofQuorum are the consensus of managers without one of the rules by which package
// quorum uses its library, or founds a cluster. The tests of that package must catch each.
var ofQuorum = []Mutant{
	{
		Name: `nobody-begins-anew`, Rule: `several managers`,
		Story: `a cluster whose founders are gone is waited for`, File: quorumSeat,
		Old: `&m.node.members, m.node.log.holdsData()):
			m.beginAnew(out)
`, New: `&m.node.members, m.node.log.holdsData()):
			_ = out
`,
	},
	{
		Name: `first-command-not-noted`, Rule: `several managers`,
		Story: `a manager that was started anew does not know that its only command was agreed on, and gives it up`, File: quorumReady,
		Old: `		n.rely()
`, New: ``,
	},
	{
		Name: `promise-before-the-disk`, Rule: `several managers`,
		Story: `an empty manager promises itself before it has written that down`, File: quorumSeat,
		Old: `		out.After = append(out.After, e)
`, New: `		out.Send = append(out.Send, e)
`,
	},
	{
		Name: `promise-forgotten`, Rule: `several managers`,
		Story: `a founder that crashes before it is of the cluster comes back as somebody else`, File: quorumSeat,
		Old: `			m.opt.Self.ID, m.promise = promised.id, promised.cluster
`, New: ``,
	},
	{
		Name: `removed-before-it-began`, Rule: `several managers`,
		Story: `one that was removed before it heard that it had been taken in asks for ever`, File: quorumSeat,
		Old: `	case s.verdict == verdictRemoved && m.inner == nil && s.cluster == m.promise:
`, New: `	case false:
`,
	},
	{
		Name: `founded-without-all`, Rule: `several managers`,
		Story: `the first founds a cluster before all have answered`, File: quorumFounding,
		Old: `		if i != f.place && (!f.answers[i].is() || !holds(&f.answers[i])) {`, New: `		if i != f.place && f.answers[i].is() && !holds(&f.answers[i]) {`,
	},
	{
		Name: `late-word-of-a-founder-counts`, Rule: `several managers`,
		Story: `an answer to an earlier round counts as one to this`, File: quorumSeat,
		Old: `	if !m.isOfThisRound(s) {`, New: `	if s.round-s.round%questionsMax > m.round {`,
	},
	{
		Name: `promised-to-everybody`, Rule: `several managers`,
		Story: `a manager is a founder of whatever it is asked to be`, File: quorumFounding,
		Old: `	if f.promise != 0 && f.promise != c {`, New: `	if false {`,
	},
	{
		Name: `copy-of-the-leader-believed`, Rule: `several managers`,
		Story: `a copy of the leader's data has the others speak to it in the leader's place`, File: quorumNode,
		Old: `	return n.role.Lead != raft.None // and who leads is heard itself`, New: `	return n.role.Lead != raft.None && core.NodeID(n.role.Lead) != id`,
	},
	{
		Name: `new-leader-in-a-hurry`, Rule: `several managers`,
		Story: `a leader that has just begun takes whoever has not answered yet for dead`, File: quorumNode,
		Old: `		at := n.ledAt
`, New: `		at := core.Time(0)
`,
	},
	{
		Name: `data-kept-anew`, Rule: `several managers`,
		Story: `a manager that begins anew keeps what the dead cluster left`, File: quorumSeat,
		Old: `core.Write{Key: keyState[:len("quorum/")], Delete: true, End: "quorum0"}, `, New: ``,
	},
	{
		Name: `nobody-enlists`, Rule: `several managers`,
		Story: `a manager that lost its data is never taken in`, File: quorumSeat,
		Old: `		m.enlist(from, s.cluster, out)
`, New: `		_ = from
`,
	},
	{
		Name: `answers-before-the-disk`, Rule: `several managers`,
		Story: `votes and acks leave before what they speak of is durable`, File: quorumReady,
		Old: `			n.out.After = append(n.out.After, Envelope{n.self, to, fromRaft(r)})`,
		New: `			n.out.Send = append(n.out.Send, Envelope{n.self, to, fromRaft(r)})`,
	},
	{
		Name: `vote-not-written`, Rule: `several managers`,
		Story: `a member votes twice in a term`, File: quorumReady,
		Old: `next.vote != n.log.hard.vote`, New: `false`,
	},
	{
		Name: `term-not-written`, Rule: `several managers`,
		Story: `a member goes back to an earlier term`, File: quorumReady,
		Old: `changed = changed || next.term != n.log.hard.term || next.vote`, New: `changed = changed || next.vote`,
		Also: []Edit{{quorumReady, `		n.storeEntries(m.GetEntries())
		changed = true
`, `		n.storeEntries(m.GetEntries())
`}},
	},
	{
		Name: `commit-point-not-raised`, Rule: `several managers`,
		Story: `a member whose snapshot is newer does not start`, File: quorumDurable,
		Old: `	n.log.hard.commit = max(n.log.hard.commit, n.applied.Index)
`, New: ``,
	},
	{
		Name: `leader-never-forgotten`, Rule: `several managers`,
		Story: `followers do not tick, and refuse their votes until they campaign themselves`, File: quorumNode,
		Old: `		n.mustStep(n.raft.ForgetLeader())
`, New: `		n.forgetAt = core.Never
`,
	},
	{
		Name: `proposes-as-it-steps-down`, Rule: `several managers`,
		Story: `a leader that has just stepped down hands the library what it was to propose`, File: quorumNode,
		Old: `			n.noteRole() // a leader that reaches no majority has just stepped down
`, New: ``,
	},
	{
		Name: `replaces-who-is-heard`, Rule: `several managers`,
		Story: `whoever says that it is at a member's address takes its place`, File: quorumNode,
		Old: `	return old, old != n.self.ID && !n.hears(old)`, New: `	return old, old != n.self.ID`,
	},
	{
		Name: `nobody-campaigns`, Rule: `several managers`,
		Story: `there is no election timer`, File: quorumNode,
		Old: `		n.mustStep(n.raft.Campaign())
`, New: ``,
	},
	{
		Name: `nobody-leaves-it-to-the-other`, Rule: `several managers`,
		Story: `two managers that ask for votes at the same time both fail, and wait for a whole time-out`, File: quorumNode,
		Old: `			n.defers = true
`, New: ``,
	},
	{
		Name: `proposes-while-another-takes-over`, Rule: `several managers`,
		Story: `a leader hands the library what it was to propose, while that lets another one lead`, File: quorumNode,
		Old: `	if len(n.proposals) > 0 && !n.isYielding() {`, New: `	if len(n.proposals) > 0 {`,
	},
	{
		Name: `late-beat-believed`, Rule: `several managers`,
		Story: `a beat that comes after the news that the leader's connection broke puts the election off`, File: quorumNode,
		Old: `n.now < n.doubtTo {`, New: `false {`,
	},
	{
		Name: `leader-too-early`, Rule: `several managers`,
		Story: `a leader is one before it has applied what was committed`, File: quorumReady,
		Old: ` && n.applied.Term == n.log.hard.term:`, New: `:`,
		Also: []Edit{{quorumReady, `n.leads, n.ledAt, n.voices = n.applied.Term, n.now, nil`, `n.leads, n.ledAt, n.voices = n.log.hard.term, n.now, nil`}, {quorumReady, `	case len(e.GetData()) > 0:`, `	case len(e.GetData()) > 0 && (n.leads != 0 || n.role.RaftState != raft.StateLeader):`}},
	},
	{
		Name: `read-without-applying`, Rule: `several managers`,
		Story: `a read is confirmed before all is applied that was committed when it came`, File: quorumNode,
		Old: ` || n.applied.Index < n.round.index {`, New: ` {`,
		Also: []Edit{{quorumNode, `n.round = readRound{number: n.round.number + 1, reads: n.reads}`, `n.round = readRound{number: n.round.number + 1, reads: n.reads, index: 1}`}},
	},
	{
		Name: `read-of-a-deposed-leader`, Rule: `several managers`,
		Story: `what a leader was to confirm is confirmed after it was deposed`, File: quorumNode,
		Old: `	if n.leads == 0 || n.round.index == 0 ||`, New: `	if len(n.round.reads) == 0 ||`,
	},
	{
		Name: `reads-join-a-round`, Rule: `several managers`,
		Story: `a read that came after a round began is confirmed by it`, File: quorumNode,
		Old: `	n.reads = append(n.reads, read)
`, New: `	if len(n.round.reads) > 0 {
		n.round.reads = append(n.round.reads, read)
		return true
	}
	n.reads = append(n.reads, read)
`,
	},
	{
		Name: `deposed-unnoticed`, Rule: `several managers`,
		Story: `the owner is not told that it leads no more`, File: quorumNode,
		Old: `		n.machine.Follow()
`, New: ``,
	},
	{
		Name: `pre-vote-off`, Rule: `several managers`,
		Story: `a member that was cut off deposes the leader`, File: quorumNode,
		Old: `		PreVote: true, CheckQuorum: true,`, New: `		CheckQuorum: true,`,
	},
	{
		Name: `check-quorum-off`, Rule: `several managers`,
		Story: `a leader that reaches nobody stays one`, File: quorumNode,
		Old: `		PreVote: true, CheckQuorum: true,`, New: `		PreVote: true,`,
	},
	{
		Name: `old-entries-kept`, Rule: `several managers`,
		Story: `entries of an earlier leader come back after a restart`, File: quorumReady,
		Old: `		n.unpersistLog(first, last)
`, New: ``,
	},
	{
		Name: `log-kept-behind-a-snapshot`, Rule: `several managers`,
		Story: `a snapshot comes in, and what was in the log stays on the disk`, File: quorumTransfer,
		Old: `	n.unpersistLog(n.log.base.Index+1, n.log.last())
`, New: ``,
	},
	{
		Name: `parts-in-any-order`, Rule: `several managers`,
		Story: `a repeated part of a snapshot counts as the next`, File: quorumTransfer,
		Old: `	if m.Number != in.next || in.text`, New: `	if in.text`,
	},
	{
		Name: `parts-of-two-snapshots`, Rule: `several managers`,
		Story: `the parts of one snapshot are taken for those of another`, File: quorumTransfer,
		Old: `in.term != m.Term || in.at != m.At {`, New: `in.at == (Position{}) {`,
	},
	{
		Name: `transfer-ends-at-a-late-answer`, Rule: `several managers`,
		Story: `an answer that is late takes the leader back, and then nothing more is sent`, File: quorumTransfer,
		Old: `	case m.Next != t.next && m.Next`, New: `	case m.Next <= t.next+1 && m.Next != t.next && m.Next`,
	},
	{
		Name: `transfer-not-reported`, Rule: `several managers`,
		Story: `after a snapshot that came too late nothing more is sent`, File: quorumTransfer,
		Old: `		n.raft.ReportSnapshot(uint64(from.ID), raft.SnapshotFinish)
`, New: `		_ = raft.SnapshotFinish
`,
	},
	{
		Name: `change-over-too-early`, Rule: `several managers`,
		Story: `those who were removed are shut down while they still count after a restart`, File: quorumReady,
		Old: `		n.changing, n.closing = true, len(n.members.Outgoing) == 0`, New: `		n.changing = len(n.members.Outgoing) > 0`,
	},
	{
		Name: `retired-id-used-again`, Rule: `several managers`,
		Story: `a member that was removed comes back under its id`, File: quorumMembers,
		Old: `		case slices.Contains(m.Retired, p.ID):`, New: `		case false:`,
	},
	{
		Name: `log-trimmed-before-it-is-applied`, Rule: `several managers`,
		Story: `a log is trimmed beyond its snapshot`, File: quorumDurable,
		Old: `	for to < n.applied.Index && bytes-gone`, New: `	for to < n.log.last() && bytes-gone`,
		Also: []Edit{{quorumDurable, `		bytes -= sizeOf(n.log.at(i))
`, ``}, {quorumDurable, `bytes-gone > n.opt.LogBytes`, `bytes-gone > 0`}},
	},
	{
		Name: `pending-without-bound`, Rule: `several managers`,
		Story: `a leader without a majority takes in commands without end`, File: quorumNode,
		Old: `	n.pending += len(command)
`, New: ``,
	},
}
