package mutants

// ofUnseenManager are mutants of how a manager finds out who is dead, and of what it does then.
// They were written before the tests that draw what a manager hears, and those were not made for
// them: README.md has how many fall.
var ofUnseenManager = []Mutant{
	{
		Name: `no-pause-after-an-inquiry`, Rule: `manager 3`,
		Story: `inquiries that remove nobody follow each other without a pause, and healing has no turn`,
		File:  `core/suspicion.go`,
		Old: `	w.quietTill = m.now.After(time.Duration(m.opt.MissesMax) * m.opt.PingInterval)
	m.clear(w, false)`,
		New: `	m.clear(w, false)`,
	},
	{
		Name: `doubts-add-up`, Rule: `manager 3`,
		Story: `doubts of which the first was cleared up count as two in a row`,
		File:  `core/suspicion.go`,
		Old: `	if moved {
		w.doubts = 0
	}
`,
		New: ``,
	},
	{
		Name: `anybody-ends-a-join`, Rule: `manager 6`,
		Story: `a join ends for the report of whoever does not reach the joining node`,
		File:  `core/suspicion.go`,
		Old:   `g.config.Joining.ID == b.Node && m.isPrimary(in.From.ID, g, b.Token) {`,
		New:   `g.config.Joining.ID == b.Node {`,
	},
	{
		Name: `quarantine-never-grows`, Rule: `manager 6`,
		Story: `a node that fails again and again is used again as soon as one that failed once`,
		File:  `core/heal.go`,
		Old:   `m.opt.QuarantineMin<<min(flaps, 16)`,
		New:   `m.opt.QuarantineMin<<min(flaps, 0)`,
	},
	{
		Name: `doubtful-for-ever`, Rule: `manager 5`,
		Story: `a loss that was presumed from silence is not withdrawn when a member answers`,
		File:  `core/contact.go`,
		Old:   `	if w.loss == lossDoubtful || w.loss == lossPresumed {`,
		New:   `	if w.loss == lossPresumed {`,
	},
	{
		Name: `halts-as-for-a-certain-loss`, Rule: `manager 5`,
		Story: `a manager halts for a presumed loss as soon as for one that is certain`,
		File:  `core/loss.go`,
		Old:   `		if w.loss == lossPresumed {`,
		New:   `		if w.loss == lossNone {`,
	},
	{
		Name: `evidence-over-a-gap`, Rule: `manager 5`,
		Story: `an address that refuses, and refused some time ago, is held to have refused ever since`,
		File:  `core/contact.go`,
		Old:   `	if m.now.Since(c.evidence.at) > m.evidenceGap() {`,
		New:   `	if false {`,
	},
	{
		Name: `crowd-of-the-ended`, Rule: `manager 3`,
		Story: `members whose processes have ended count as silent, so that the manager takes itself for the one at fault`,
		File:  `core/suspicion.go`,
		Old:   `c.node.gone || c.evidence.refusedSince != Never {`,
		New:   `c.node.gone {`,
	},
	{
		Name: `drained-for-the-dead`, Rule: `manager 6`,
		Story: `a primary that is drained goes though the one to follow it is silent`,
		File:  `core/drain.go`,
		Old:   `	if len(remove) > 0 && m.answers(m.contact(next)) {`,
		New:   `	if len(remove) > 0 {`,
	},
	{
		Name: `stuck-and-no-hurry`, Rule: `manager 3`,
		Story: `a member for which its primary waits in vain has as long as one that only the manager misses`,
		File:  `core/suspicion.go`,
		Old:   `		return stuckMax, disputeTrips`,
		New:   `		return vouchedMax, disputeTrips`,
	},
	{
		Name: `asked-again-with-the-pings`, Rule: `manager 3`,
		Story: `a question that was lost is put again when something else is due`,
		File:  `core/suspicion.go`,
		Old: `	m.wakeBy(s.againAt)
	m.judge(w)`,
		New: `	m.judge(w)`,
	},
	{
		Name: `pong-counts-again`, Rule: `manager 3`,
		Story: `an answer that comes a second time counts as one to a later ping`,
		File:  `core/contact.go`,
		Old:   `b.Token != c.token || b.Nonce <= c.answered || b.Nonce > c.pinged {`,
		New:   `b.Token != c.token || b.Nonce > c.pinged {`,
	},
}
