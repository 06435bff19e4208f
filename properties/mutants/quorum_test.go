package mutants

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	quorumNode     = "core/quorum/node.go"
	quorumReady    = "core/quorum/ready.go"
	quorumDurable  = "core/quorum/durable.go"
	quorumTransfer = "core/quorum/transfer.go"
	quorumMembers  = "core/quorum/members.go"
	quorumSeat     = "core/quorum/seat.go"
	quorumFounding = "core/quorum/founding.go"
)

// quorumMutants are the consensus of managers without one of the rules by which package
// quorum uses its library. The tests of that package must catch each.
var quorumMutants = []Mutant{
	{
		Name: `nobody-begins-anew`, Story: `a cluster whose founders are gone is waited for`, File: quorumSeat,
		Old: `&m.node.members, m.node.log.bytes > 0) {
			m.beginAnew(out)
`, New: `&m.node.members, m.node.log.bytes > 0) {
			_ = out
`,
	},
	{
		Name: `promise-before-the-disk`, Story: `an empty manager promises itself before it has written that down`, File: quorumSeat,
		Old: `		out.After = append(out.After, e)
`, New: `		out.Send = append(out.Send, e)
`,
	},
	{
		Name: `promise-forgotten`, Story: `a founder that crashes before it is of the cluster comes back as somebody else`, File: quorumSeat,
		Old: `			m.opt.Self.ID, m.promise = promised.id, promised.cluster
`, New: ``,
	},
	{
		Name: `removed-before-it-began`, Story: `one that was removed before it heard that it had been taken in asks for ever`, File: quorumSeat,
		Old: `	case s.verdict == verdictRemoved && m.inner == nil && s.cluster == m.promise:
`, New: `	case false:
`,
	},
	{
		Name: `founded-without-all`, Story: `the first founds a cluster before all have answered`, File: quorumFounding,
		Old: `		if i != f.place && (!f.answers[i].is() || !holds(&f.answers[i])) {`, New: `		if i != f.place && f.answers[i].is() && !holds(&f.answers[i]) {`,
	},
	{
		Name: `late-answers-count`, Story: `an answer to an earlier round counts as one to this`, File: quorumSeat,
		Old: `	if s.round != m.round {`, New: `	if s.round > m.round {`,
	},
	{
		Name: `promised-to-everybody`, Story: `a manager is a founder of whatever it is asked to be`, File: quorumFounding,
		Old: `	if f.promise != 0 && f.promise != c {`, New: `	if false {`,
	},
	{
		Name: `copy-of-the-leader-believed`, Story: `a copy of the leader's data has the others speak to it in the leader's place`, File: quorumNode,
		Old: `	return n.role.Lead != raft.None // and who leads is heard itself`, New: `	return n.role.Lead != raft.None && core.NodeID(n.role.Lead) != id`,
	},
	{
		Name: `new-leader-in-a-hurry`, Story: `a leader that has just begun takes whoever has not answered yet for dead`, File: quorumNode,
		Old: `		at := n.ledAt
`, New: `		at := core.Time(0)
`,
	},
	{
		Name: `data-kept-anew`, Story: `a manager that begins anew keeps what the dead cluster left`, File: quorumSeat,
		Old: `core.Write{Key: keyState[:len("quorum/")], Delete: true, End: "quorum0"}, `, New: ``,
	},
	{
		Name: `nobody-enlists`, Story: `a manager that lost its data is never taken in`, File: quorumSeat,
		Old: `		m.enlist(from, s.cluster, out)
`, New: `		_ = from
`,
	},
	{
		Name: `answers-before-the-disk`, Story: `votes and acks leave before what they speak of is durable`, File: quorumReady,
		Old: `			n.out.After = append(n.out.After, Envelope{n.self, to, fromRaft(r)})`,
		New: `			n.out.Send = append(n.out.Send, Envelope{n.self, to, fromRaft(r)})`,
	},
	{
		Name: `vote-not-written`, Story: `a member votes twice in a term`, File: quorumReady,
		Old: `next.vote != n.log.hard.vote`, New: `false`,
	},
	{
		Name: `term-not-written`, Story: `a member goes back to an earlier term`, File: quorumReady,
		Old: `changed = changed || next.term != n.log.hard.term || next.vote`, New: `changed = changed || next.vote`,
		Also: []Edit{{quorumReady, `		n.storeEntries(m.GetEntries())
		changed = true
`, `		n.storeEntries(m.GetEntries())
`}},
	},
	{
		Name: `commit-point-not-raised`, Story: `a member whose snapshot is newer does not start`, File: quorumDurable,
		Old: `	n.log.hard.commit = max(n.log.hard.commit, n.applied.Index)
`, New: ``,
	},
	{
		Name: `leader-never-forgotten`, Story: `followers do not tick, and refuse their votes until they campaign themselves`, File: quorumNode,
		Old: `		n.mustStep(n.raft.ForgetLeader())
`, New: `		n.forgetAt = core.Never
`,
	},
	{
		Name: `proposes-as-it-steps-down`, Story: `a leader that has just stepped down hands the library what it was to propose`, File: quorumNode,
		Old: `			n.noteRole() // a leader that reaches no majority has just stepped down
`, New: ``,
	},
	{
		Name: `replaces-who-is-heard`, Story: `whoever says that it is at a member's address takes its place`, File: quorumNode,
		Old: `	if old == n.self.ID || n.hears(old) {`, New: `	if old == n.self.ID {`,
	},
	{
		Name: `nobody-campaigns`, Story: `there is no election timer`, File: quorumNode,
		Old: `		n.mustStep(n.raft.Campaign())
`, New: ``,
	},
	{
		Name: `leader-too-early`, Story: `a leader is one before it has applied what was committed`, File: quorumReady,
		Old: ` && n.applied.Term == n.log.hard.term:`, New: `:`,
		Also: []Edit{{quorumReady, `n.leads, n.ledAt, n.voices = n.applied.Term, n.now, nil`, `n.leads, n.ledAt, n.voices = n.log.hard.term, n.now, nil`}, {quorumReady, `	case len(e.GetData()) > 0:`, `	case len(e.GetData()) > 0 && (n.leads != 0 || n.role.RaftState != raft.StateLeader):`}},
	},
	{
		Name: `read-without-applying`, Story: `a read is confirmed before all is applied that was committed when it came`, File: quorumNode,
		Old: ` || n.applied.Index < n.round.index {`, New: ` {`,
		Also: []Edit{{quorumNode, `n.round = readRound{number: n.round.number + 1, reads: n.reads}`, `n.round = readRound{number: n.round.number + 1, reads: n.reads, index: 1}`}},
	},
	{
		Name: `read-of-a-deposed-leader`, Story: `what a leader was to confirm is confirmed after it was deposed`, File: quorumNode,
		Old: `	if n.leads == 0 || n.round.index == 0 ||`, New: `	if len(n.round.reads) == 0 ||`,
	},
	{
		Name: `reads-join-a-round`, Story: `a read that came after a round began is confirmed by it`, File: quorumNode,
		Old: `	n.reads = append(n.reads, read)
`, New: `	if len(n.round.reads) > 0 {
		n.round.reads = append(n.round.reads, read)
		return true
	}
	n.reads = append(n.reads, read)
`,
	},
	{
		Name: `deposed-unnoticed`, Story: `the owner is not told that it leads no more`, File: quorumNode,
		Old: `		n.machine.Follow()
`, New: ``,
	},
	{
		Name: `pre-vote-off`, Story: `a member that was cut off deposes the leader`, File: quorumNode,
		Old: `		PreVote: true, CheckQuorum: true,`, New: `		CheckQuorum: true,`,
	},
	{
		Name: `check-quorum-off`, Story: `a leader that reaches nobody stays one`, File: quorumNode,
		Old: `		PreVote: true, CheckQuorum: true,`, New: `		PreVote: true,`,
	},
	{
		Name: `old-entries-kept`, Story: `entries of an earlier leader come back after a restart`, File: quorumReady,
		Old: `		n.unpersistLog(first, last)
`, New: ``,
	},
	{
		Name: `log-kept-behind-a-snapshot`, Story: `a snapshot comes in, and what was in the log stays on the disk`, File: quorumTransfer,
		Old: `	n.unpersistLog(n.log.base.Index+1, n.log.last())
`, New: ``,
	},
	{
		Name: `parts-in-any-order`, Story: `a repeated part of a snapshot counts as the next`, File: quorumTransfer,
		Old: `	if m.Number != in.next || in.text`, New: `	if in.text`,
	},
	{
		Name: `parts-of-two-snapshots`, Story: `the parts of one snapshot are taken for those of another`, File: quorumTransfer,
		Old: `in.term != m.Term || in.at != m.At {`, New: `in.at == (Position{}) {`,
	},
	{
		Name: `transfer-ends-at-a-late-answer`, Story: `an answer that is late takes the leader back, and then nothing more is sent`, File: quorumTransfer,
		Old: `	case m.Next != t.next && m.Next`, New: `	case m.Next <= t.next+1 && m.Next != t.next && m.Next`,
	},
	{
		Name: `transfer-not-reported`, Story: `after a snapshot that came too late nothing more is sent`, File: quorumTransfer,
		Old: `		n.raft.ReportSnapshot(uint64(from.ID), raft.SnapshotFinish)
`, New: `		_ = raft.SnapshotFinish
`,
	},
	{
		Name: `change-over-too-early`, Story: `those who were removed are shut down while they still count after a restart`, File: quorumReady,
		Old: `		n.changing, n.closing = true, len(n.members.Outgoing) == 0`, New: `		n.changing = len(n.members.Outgoing) > 0`,
	},
	{
		Name: `retired-id-used-again`, Story: `a member that was removed comes back under its id`, File: quorumMembers,
		Old: `		case slices.Contains(m.Retired, p.ID):`, New: `		case false:`,
	},
	{
		Name: `log-trimmed-before-it-is-applied`, Story: `a log is trimmed beyond its snapshot`, File: quorumDurable,
		Old: `	for to < n.applied.Index && bytes-gone`, New: `	for to < n.log.last() && bytes-gone`,
		Also: []Edit{{quorumDurable, `		bytes -= len(n.log.at(i).GetData())
`, ``}, {quorumDurable, `bytes-gone > n.opt.LogBytes`, `bytes-gone > 0`}},
	},
	{
		Name: `pending-without-bound`, Story: `a leader without a majority takes in commands without end`, File: quorumNode,
		Old: `	n.pending += len(command)
`, New: ``,
	},
}

// TestQuorumMutantsStillApply: each mutant of the consensus matches the source.
func TestQuorumMutantsStillApply(t *testing.T) {
	for i := range quorumMutants {
		_, err := quorumMutants[i].sources(root)
		require.NoError(t, err)
	}
}

// TestQuorumMutants: the tests of package quorum catch every mutant of it.
func TestQuorumMutants(t *testing.T) {
	if os.Getenv(env) == "" {
		t.Skipf("it takes some minutes; run: %s=1 go test ./properties/mutants -run TestQuorumMutants -timeout 1h -v", env)
	}
	for i := range quorumMutants {
		m := &quorumMutants[i]
		t.Run(m.Name, func(t *testing.T) {
			overlay, err := m.Overlay(root, t.TempDir())
			require.NoError(t, err)
			cmd := exec.Command("go", "test", "-vet=off", "-overlay", overlay, "-failfast", "-timeout", "3m", "./core/quorum")
			cmd.Dir = root
			out, _ := cmd.CombinedOutput()
			text := string(out)
			require.NotContains(t, text, "[build failed]", text)
			require.Contains(t, text, "FAIL", "nobody caught it: %s", m.Story)
			for _, line := range strings.Split(text, "\n") {
				if _, name, ok := strings.Cut(line, "--- FAIL: "); ok {
					t.Log(name)
				}
			}
		})
	}
}
