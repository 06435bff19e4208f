package mutants

import "slices"

// Mutant is the core without one rule.
type Mutant struct {
	Name  string
	Rule  string // as core/PROTOCOL.md names it
	Story string // what goes wrong without it
	File  string // relative to the module's root
	Old   string // the piece of source that changes; it must stand in the file exactly once
	New   string
	Also  []Edit // what else would prevent the failure, and must go too

	// Equivalent says why nobody can catch the mutant: what it lacks is a second
	// safeguard. It is empty for all others.
	Equivalent string
}

// Edit replaces a piece of a source file, which must stand there exactly once.
type Edit struct{ File, Old, New string }

// Table lists the mutants: those that lack one rule, and the stripped ones.
var Table = slices.Concat(bare, ofPlacement, ofRejoining, ofTheDisk, ofTerms, ofLimits, ofWaits, ofPeers, ofSuspicion, ofManagers, ofQuorum, ofFounding, ofUnseen, ofUnseenStorage, ofUnseenManager, ofUnseenManagers, stripped)

// bare are mutants that lack one rule, in the order of the rules.
var bare = []Mutant{
	{
		Name: `accept-lower-epoch`, Rule: `R1`,
		Story: `a delayed Replicate of an old epoch is taken in`,
		File:  `core/group.go`,
		Old: `	case m.Epoch < g.config.Epoch:
		g.fence(from)
		g.send(from, &Nack{Group: g.id, Epoch: g.config.Epoch, Round: m.Round, Config: g.config})
		return
	case m.Epoch > g.config.Epoch: // its`,
		New: `	case m.Epoch < g.config.Epoch:
	case m.Epoch > g.config.Epoch: // its`,
		Also: []Edit{{`core/group.go`, `	if g.denies(m) {`, `	if false {`}},
	},
	{
		Name: `send-before-epoch-durable`, Rule: `durable: epoch and config before anything in that epoch`,
		Story: `a message leaves in an epoch that a crash takes back`,
		File:  `core/group.go`,
		Old: `	if g.durable < g.config.Epoch {
		g.s.after(to, m)`,
		New: `	if false {
		g.s.after(to, m)`,
	},
	{
		Name: `config-not-persisted`, Rule: `R1`,
		Story: `a node forgets the epochs it was in`,
		File:  `core/group.go`,
		Old: `	g.s.persistConfig(c)
`,
		New: ``,
	},
	{
		Name: `chain-out-of-order`, Rule: `R2`,
		Story: `another than the next survivor is promoted`,
		File:  `core/directory.go`,
		Old:   `			next.Chain = append(next.Chain, n.Peer)`,
		New:   `			next.Chain = append([]Peer{n.Peer}, next.Chain...)`,
	},
	{
		Name: `epoch-not-compared`, Rule: `R2`,
		Story: `two reports of the same death are applied twice`,
		File:  `core/directory.go`,
		Old: `	if g == nil || g.config.Epoch != c.Epoch {
		return applied{}
	}
	stay := 0`,
		New: `	if g == nil {
		return applied{}
	}
	stay := 0`,
	},
	{
		Name: `last-member-removed`, Rule: `R2`,
		Story: `suspicion empties the chain`,
		File:  `core/directory.go`,
		Old: `	if stay == 0 {
`,
		New: `	if stay < 0 {
`,
	},
	{
		Name: `primary-drops-slow`, Rule: `R3`,
		Story: `the primary does without a slow member by itself`,
		File:  `core/tenure.go`,
		Old: `	matched, round := t.followers.agreed(t.durable, t.round)
`,
		New: `	_, round := t.followers.agreed(t.durable, t.round)
	matched := t.durable
	for i := range t.followers {
		if f := &t.followers[i]; !f.learner && (f.since == Never || g.s.now.Since(f.since) <= g.s.opt.AckTimeout) {
			matched = min(matched, f.matched)
		}
	}
`,
	},
	{
		Name: `ack-before-replicas`, Rule: `R4`,
		Story: `a write is acknowledged before the replicas have it`,
		File:  `core/follower.go`,
		Old:   `matched, round = min(matched, f.matched), min(round, f.round)`,
		New:   `round = min(round, f.round)`,
	},
	{
		Name: `min-chain-ignored`, Rule: `R4`,
		Story: `a chain that is too short takes writes`,
		File:  `core/serve.go`,
		Old:   `case len(g.config.Chain) < int(g.config.MinChain):`,
		New:   `case false:`,
	},
	{
		Name: `serve-before-reconciled`, Rule: `R5`,
		Story: `a new primary serves before it has reconciled`,
		File:  `core/follower.go`,
		Old:   `!f.learner && (f.acked < epoch || f.matched < inherited) {`,
		New:   `!f.learner && f.acked > epoch {`,
	},
	{
		Name: `missing-ack-is-zero`, Rule: `R5`,
		Story: `reconciliation waits for nobody's explicit ack`,
		File:  `core/follower.go`,
		Old:   `(f.acked < epoch || f.matched < inherited)`,
		New:   `f.matched < inherited`,
	},
	{
		Name: `grants-not-waited-out`, Rule: `R5`,
		Story: `a new primary serves while the old one may read alone`,
		File:  `core/tenure.go`,
		Old:   ` && g.s.now >= t.notBefore &&`,
		New:   ` &&`,
	},
	{
		Name: `old-acks-counted`, Rule: `R6`,
		Story: `an ack of an older epoch counts in this one`,
		File:  `core/tenure.go`,
		Old:   `if t == nil || a.Epoch != g.config.Epoch {`,
		New:   `if t == nil {`,
	},
	{
		Name: `acks-forgotten`, Rule: `R6`,
		Story: `the same primary forgets in a new epoch who has what`,
		File:  `core/tenure.go`,
		Old: `			f.peer = p
			stay = append(stay, *f)`,
		New: `			stay = append(stay, newFollower(p, 1, Never))`,
	},
	{
		Name: `ack-own-last`, Rule: `R7`,
		Story: `a replica acks its own last seq`,
		File:  `core/group.go`,
		Old:   `Round: m.Round, Matched: g.verified}`,
		New:   `Round: m.Round, Matched: g.log.last()}`,
	},
	{
		Name: `prev-not-checked`, Rule: `R7`,
		Story: `entries are appended after others than the primary's`,
		File:  `core/group.go`,
		Old:   `if !g.log.holds(m.Prev) {`,
		New:   `if m.Prev.Seq > g.log.last() {`,
	},
	{
		Name: `short-message-truncates`, Rule: `R7`,
		Story: `a late short message cuts off what a longer one brought`,
		File:  `core/group.go`,
		Old: `	g.take(m)
`,
		New: `	if n := m.Prev.Seq + Seq(len(m.Entries)) + 1; n <= g.log.last() {
		g.log.truncate(n)
		g.verified = min(g.verified, n-1)
	}
	g.take(m)
`,
	},
	{
		Name: `apply-unverified`, Rule: `R7`,
		Story: `a suffix that no primary knows is applied`,
		File:  `core/group.go`,
		Old:   `g.commitTo(min(m.Commit, g.verified))`,
		New:   `g.commitTo(min(m.Commit, g.log.last()))`,
	},
	{
		Name: `conflict-kept`, Rule: `R7`,
		Story: `a divergent suffix survives a promotion`,
		File:  `core/group.go`,
		Old: `			g.truncate(seq)
`,
		New: `			continue
`,
	},
	{
		Name: `read-without-round`, Rule: `R8`,
		Story: `a stale primary serves a get`,
		File:  `core/serve.go`,
		Old: `	if g.leaseLives() {
`,
		New: `	if g.config.Reads == ReadConfirm || g.leaseLives() {
`,
	},
	{
		Name: `read-by-earlier-round`, Rule: `R8`,
		Story: `a get is served by a round sent before it came`,
		File:  `core/serve.go`,
		Old:   `read{ask{from, op}, t.round + 1}`,
		New:   `read{ask{from, op}, t.round}`,
	},
	{
		Name: `no-grant`, Rule: `R9`,
		Story: `a replica promises nothing`,
		File:  `core/group.go`,
		Old: `	if g.config.Reads == ReadLease {
`,
		New: `	if false {
`,
	},
	{
		Name: `lease-from-receipt`, Rule: `R9`,
		Story: `a lease counts from the ack and not from the sending`,
		File:  `core/tenure.go`,
		Old:   `f.lease = max(f.lease, at.After(g.config.Lease))`,
		New:   `f.lease = max(f.lease, max(at, g.s.now).After(g.config.Lease))`,
	},
	{
		Name: `no-drift-margin`, Rule: `R9`,
		Story: `a grant has no margin for drift`,
		File:  `core/lease.go`,
		Old:   `return (l*time.Duration(million+driftPPM) + slow - 1) / slow`,
		New:   `return l + 0*slow`,
	},
	{
		Name: `grant-forgotten`, Rule: `R9`,
		Story: `a promise is lost over a restart`,
		File:  `core/storage.go`,
		Old:   `		g.grantUntil = s.now.After(grant(s.leaseMax, s.opt.DriftPPM))`,
		New:   `		g.grantUntil = 0`,
	},
	{
		Name: `boot-not-issued`, Rule: `R11`,
		Story: `a restarted primary gets no later epoch`,
		File:  `core/directory.go`,
		Old:   `(moved || g.config.Chain[0].ID == n.ID)`,
		New:   `moved`,
	},
	{
		Name: `retry-executes-again`, Rule: `R12`,
		Story: `a retry in the log executes again`,
		File:  `core/state.go`,
		Old: `	case e.OpSeq == s.last:
`,
		New: `	case false:
`,
	},
	{
		Name: `retry-appended-again`, Rule: `R12`,
		Story: `a retry of the last operation is appended again`,
		File:  `core/session.go`,
		Old: `	case op.OpSeq == s.last:
`,
		New: `	case false:
`,
	},
	{
		Name: `older-retry-executes`, Rule: `R12`,
		Story: `a delayed retry overwrites a newer write`,
		File:  `core/state.go`,
		Old: `	case e.OpSeq < s.last:
`,
		New: `	case false:
`,
	},
	{
		Name: `expired-executes`, Rule: `R12`,
		Story: `a session expires and an old retry executes again`,
		File:  `core/state.go`,
		Old: `	case s == nil:
		return result{status: StatusSessionExpired}, false`,
		New: `	case s == nil:
		return st.write(seq, e)`,
	},
	{
		Name: `session-of-anybody`, Rule: `R12`,
		Story: `a client uses another's session, whose number it guessed`,
		File:  `core/session.go`,
		Old:   `	case s == nil || s.owner != from.ID:`,
		New:   `	case s == nil:`,
	},
	{
		Name: `full-table-refuses`, Rule: `R12`,
		Story: `clients that did not close keep newcomers out`,
		File:  `core/session.go`,
		Old:   ` && !g.endIdlest() {`,
		New:   ` {`,
	},
	{
		Name: `ended-session-unknown`, Rule: `R12`,
		Story: `nothing is remembered of a session that ended, so a write that never happened ends unknown`,
		File:  `core/session.go`,
		Old: `		t.unplace(&t.idle, s)
	}
	s.ended = seq
	order := t.endedAs(s)
	t.place(order, s)
	if order.size > endedMax {
		t.remove(t.at(order.first))
	}
`,
		New: `		t.unplace(&t.idle, s)
	}
	t.remove(s)
`,
	},
	{
		Name: `any-session-ended`, Rule: `client`,
		Story: `the news that one session has ended is taken for that of another`,
		File:  `core/client.go`,
		Old:   `b.Version != call.session.id || b.Req != call.req(false)`,
		New:   `b.Req != call.req(false)`,
	},
	{
		Name: `session-used-after-unknown`, Rule: `client`,
		Story: `a session is used again after an outcome that is not known`,
		File:  `core/client.go`,
		Old:   `s != nil && r.Status != StatusUnknown {`,
		New:   `s != nil {`,
	},
	{
		Name: `sessions-outlive-their-client`, Rule: `client`,
		Story: `a client that closes says nothing`,
		File:  `core/client.go`,
		Old:   `		if r := c.routes[id]; r.opened {`,
		New:   `		if r := c.routes[id]; r == nil {`,
	},
	{
		Name: `deposed-says-conflict`, Rule: `R12`,
		Story: `a deposed primary reports a failure`,
		File:  `core/group.go`,
		Old:   `g.refuse(t.pending[i].client, t.pending[i].req, StatusNotPrimary, c)`,
		New:   `g.refuse(t.pending[i].client, t.pending[i].req, StatusConflict, c)`,
	},
	{
		Name: `version-not-sent`, Rule: `every message is sent whole`,
		Story: `a reply loses on its way which version it is of`,
		File:  `core/codec.go`,
		Old: `	wire.Uint(c, &m.Version)
	wire.String(c, &m.Value, ValueBytesMax)
	if wire.Optional(c, &m.Config) {`,
		New: `	wire.String(c, &m.Value, ValueBytesMax)
	if wire.Optional(c, &m.Config) {`,
	},
	{
		Name: `bytes-counted-for-ever`, Rule: `R4`,
		Story: `the bytes of a write are counted as under way when it has ended, until the primary takes no more`,
		File:  `core/serve.go`,
		Old: `	t.bytes -= w.bytes
`,
		New: ``,
	},
	{
		Name: `opening-counted-for-ever`, Rule: `R12`,
		Story: `a session that has opened counts as one that is about to, until none may open any more`,
		File:  `core/serve.go`,
		Old: `		t.opening--
`,
		New: ``,
	},
	{
		Name: `spare-reserved-for-ever`, Rule: `manager 6`,
		Story: `a spare whose join was not begun after all is never used again`,
		File:  `core/heal.go`,
		Old: `		m.contact(c.Node.ID).reserved = false
`,
		New: ``,
	},
	{
		Name: `register-before-boot`, Rule: `durable: boot before Register`,
		Story: `a Register leaves before the boot is durable`,
		File:  `core/storage.go`,
		Old:   `	s.after(to, &Register{`,
		New:   `	s.send(to, &Register{`,
	},
	{
		Name: `ack-before-durable`, Rule: `durable: entries and truncation before Ack`,
		Story: `a replica acks what a crash takes back`,
		File:  `core/group.go`,
		Old:   `	g.s.after(from, ack)`,
		New:   `	g.s.send(from, ack)`,
	},
	{
		Name: `own-entry-not-durable`, Rule: `durable: own entry before commit`,
		Story: `the primary counts what a crash takes back`,
		File:  `core/tenure.go`,
		Old:   `matched, round := t.followers.agreed(t.durable, t.round)`,
		New:   `matched, round := t.followers.agreed(g.log.last(), t.round)`,
	},
	{
		Name: `command-before-durable`, Rule: `durable: Directory command before any reply or Config`,
		Story: `a command shows before it is durable`,
		File:  `core/consensus.go`,
		Old:   `	m.after(m.self, &Committed{Index: i, Command: c})`,
		New:   `	m.send(m.self, &Committed{Index: i, Command: c})`,
	},
	{
		Name: `dead-spares`, Rule: `manager 1`,
		Story: `dead nodes are picked for a new group`,
		File:  `core/tally.go`,
		Old:   `			if m.answers(c) {`,
		New:   `			if true {`,
		Also: []Edit{{`core/tally.go`,
			`		if c.node.isSpare() && !c.node.gone {`,
			`		if c.node.isSpare() {`}, {`core/placement.go`,
			`!c.node.draining && !c.reserved && !c.deciding && fit(c)`,
			`!c.reserved && fit(c)`}},
	},
	{
		Name: `loss-of-one`, Rule: `manager 5`,
		Story: `a group is declared lost when one member is`,
		File:  `core/loss.go`,
		Old:   `		l = min(l, m.lossOf(m.contact(p.ID)))`,
		New:   `		l = min(lossCertain, max(l%lossCertain, m.lossOf(m.contact(p.ID))))`,
	},
	{
		Name: `halts-for-what-may-be-on-its-disk`, Rule: `manager 5`,
		Story: `the manager halts for durable nodes at whose addresses new ones have begun`,
		File:  `core/loss.go`,
		Old: `		if m.opt.Durable {
			return lossDoubtful
		}
`,
		New: ``,
	},
	{
		Name: `whoever-is-there-replaces`, Rule: `manager 5`,
		Story: `a durable node is presumed lost for whoever answers at its address`,
		File:  `core/loss.go`,
		Old:   `	case m.opt.Durable && !c.node.replaced:`,
		New:   `	case false:`,
	},
	{
		Name: `gone-and-still-there`, Rule: `manager 5`,
		Story: `who has answered at the address of a durable node counts when nobody is there any more`,
		File:  `core/contact.go`,
		Old:   `		if m.opt.Durable { // whoever was there is gone as well`,
		New:   `		if false {`,
	},
	{
		Name: `replaced-till-the-restart`, Rule: `manager 5`,
		Story: `that a new node has begun at an address is lost with the commands that are folded`,
		File:  `core/fold.go`,
		Old: `	f.nodes = append(f.nodes, a.replaced...)
`,
		New: ``,
	},
	{
		Name: `reached-and-lost`, Rule: `manager 5`,
		Story: `a group is declared lost though another node reaches its members`,
		File:  `core/loss.go`,
		Old: `	case m.now.Since(e.reachedAt) <= m.opt.LostAfter:
		return lossNone
`,
		New: ``,
	},
	{
		Name: `amnesia-unnoticed`, Rule: `manager 7`,
		Story: `a manager that lost a part of its Directory goes on`,
		File:  `core/manager.go`,
		Old:   `	case missing == "":`,
		New:   `	case missing != "-":`,
	},
	{
		Name: `two-managers-heard`, Rule: `manager 7`,
		Story: `two managers, on one directory and a copy of it, are both heard`,
		File:  `core/seen.go`,
		Old:   `	if p.Boot < v.boot || p.Start != v.start {`,
		New:   `	if false {`,
	},
	{
		Name: `only-the-index-tells`, Rule: `manager 7`,
		Story: `a manager that lost a part of its Directory, and is above what it had by now, goes on`,
		File:  `core/manager.go`,
		Old:   `	if b.Index > m.began {`,
		New:   `	if b.Index > m.dir.index {`,
	},
	{
		Name: `other-node-accepted`, Rule: `who a node is`,
		Story: `a wiped node that comes back under its address is counted`,
		File:  `core/storage.go`,
		Old:   `case in.To.ID != s.self.ID && in.To.ID != 0:`,
		New:   `case false:`,
	},
	{
		Name: `client-renumbers`, Rule: `client`,
		Story: `a retry has another number`,
		File:  `core/client.go`,
		Old: `		op.Session, op.OpSeq = call.session.id, call.session.opSeq
`,
		New: `		call.session.opSeq += uint64(call.attempts / 3)
		op.Session, op.OpSeq = call.session.id, call.session.opSeq
`,
	},
	{
		Name: `client-knows-too-much`, Rule: `client`,
		Story: `a write that was sent is reported as refused`,
		File:  `core/client.go`,
		Old: `	if call.isWrite() && call.sent {
		r.Status, r.Cause = StatusUnknown, status`,
		New: `	if call.isWrite() && !call.sent && call.sent {
		r.Status, r.Cause = StatusUnknown, status`,
	},
	{
		Name: `opening-taken-for-result`, Rule: `client`,
		Story: `the reply to the opening of a session ends the write`,
		File:  `core/client.go`,
		Old: `		return call.ID<<1 | 1
`,
		New: `		return call.ID << 1
`,
	},
	{
		Name: `joiner-member-at-once`, Rule: `R10`,
		Story: `the manager is asked to make a member of a node that lacks what is committed`,
		File:  `core/transfer.go`,
		Old:   `	if !x.caughtUp && f.acked == g.config.Epoch && f.matched >= g.commit {`,
		New:   `	if !x.caughtUp {`,
	},
	{
		Name: `pending-add-not-required`, Rule: `R3`,
		Story: `writes are acknowledged without the node that was proposed as a member`,
		File:  `core/transfer.go`,
		Old:   `		f.learner, x.required, x.squeezed = false, true, false`,
		New:   `		x.required, x.squeezed = true, false`,
	},
	{
		Name: `pending-add-forgotten`, Rule: `R3`,
		Story: `the primary no longer requires a proposed node when the epoch changes`,
		File:  `core/tenure.go`,
		Old: `			f.peer = j
`,
		New: `			f.peer = j
			f.learner = true
`,
	},
	{
		Name: `joiner-keeps-its-data`, Rule: `R10`,
		Story: `a node that joins again builds the snapshot on what it held before`,
		File:  `core/join.go`,
		Old:   `&joiner{begun: keeps, complete: keeps}`,
		New:   `&joiner{complete: keeps}`,
	},
	{
		Name: `snapshot-without-changes`, Rule: `R10`,
		Story: `what changes after it was sent is not sent again`,
		File:  `core/reading.go`,
		Old:   `			case values.slot(e.Key) >= r.cursor && v.version == next: // else a later entry, or the reading, brings it`,
		New:   `			case false:`,
	},
	{
		Name: `snapshot-without-deletions`, Rule: `R10`,
		Story: `a key deleted after it was sent stays in the snapshot`,
		File:  `core/reading.go`,
		Old: `			case !present:
				if !add(Item{Key: e.Key}) {
					continue
				}
`,
		New: `			case !present:
`,
	},
	{
		Name: `full-of-changes-is-caught-up`, Rule: `R10`,
		Story: `a snapshot that gets no further counts as one that keeps up, as long as it has every change`,
		File:  `core/transfer.go`,
		Old:   `x.position == g.commit && !starved {`,
		New:   `x.position == g.commit && (!starved || more) {`,
	},
	{
		Name: `part-without-a-round`, Rule: `R8`,
		Story: `a deposed primary serves a backup`,
		File:  `core/export.go`,
		Old:   `export{from, m, t.round + 1}`,
		New:   `export{from, m, 0}`,
	},
	{
		Name: `backup-in-another-tenure`, Rule: `backup`,
		Story: `a backup goes on where it stands, though the keys have other places`,
		File:  `core/export.go`,
		Old:   `	anew := m.Tenure != t.began || m.Position`,
		New:   `	anew := m.Tenure == 0 || m.Position`,
	},
	{
		Name: `log-not-kept-for-a-backup`, Rule: `backup`,
		Story: `a busy group's backup begins anew again and again`,
		File:  `core/tenure.go`,
		Old:   `	g.trim(g.keepForExport(to))`,
		New:   `	g.trim(to)`,
	},
	{
		Name: `sessions-left-behind`, Rule: `R12`,
		Story: `the session table does not travel with the snapshot`,
		File:  `core/transfer.go`,
		Old:   `		c.At, c.Sessions = x.at, g.state.sessions.records()`,
		New:   `		c.At = x.at`,
	},
	{
		Name: `snapshot-ahead-of-its-position`, Rule: `R10`,
		Story:      `a snapshot says that it is of a position that was not looked through`,
		File:       `core/reading.go`,
		Old:        `r.cursor == 0 && r.position == g.commit && room()`,
		New:        `r.cursor == 0 && room()`,
		Equivalent: `whatever ends the look through the log early leaves no room either, but for the bound of 16,384 entries looked through for one chunk, which no schedule reaches`,
	},
	{
		Name: `trim-what-a-member-lacks`, Rule: `trimming`,
		Story: `the primary trims what it committed, and not what all hold`,
		File:  `core/tenure.go`,
		Old:   `	t.trimmed = max(t.trimmed, to)`,
		New: `	to = g.log.last()
	t.trimmed = max(t.trimmed, to)`,
	},
	{
		Name: `trim-under-the-transfer`, Rule: `trimming`,
		Story: `the log that a transfer still needs is trimmed`,
		File:  `core/transfer.go`,
		Old: `	x := g.tenure.transfer
	if x == nil {
		return upTo`,
		New: `	x := g.tenure.transfer
	if x == nil || x.installed {
		return upTo`,
	},
	{
		Name: `half-a-snapshot-counts`, Rule: `durable: complete snapshot before its last ack`,
		Story: `a restarted node takes half a snapshot for all of it`,
		File:  `core/durable.go`,
		Old:   `p.partial, p.tenure, p.attempt = !j.complete, j.tenure, j.attempt`,
		New:   `p.partial, p.tenure, p.attempt = false, j.tenure, j.attempt`,
	},
	{
		Name: `discard-not-durable`, Rule: `durable: a joiner's discard before its first ack`,
		Story: `what was given up is there again after a restart`,
		File:  `core/join.go`,
		Old: `	g.commit, g.noted, g.verified, g.applied, g.unsaved = 0, 0, 0, 0, unsaved{}
	g.unpersistData()
`,
		New: `	g.commit, g.noted, g.verified, g.applied, g.unsaved = 0, 0, 0, 0, unsaved{}
`,
	},
	{
		Name: `list-never-forgets`, Rule: `manager 1`,
		Story: `nodes that are long dead use up the list`,
		File:  `core/manager.go`,
		Old: `		m.retireSilent()
`,
		New: ``,
	},
	{
		Name: `retired-though-started-anew`, Rule: `manager 1`,
		Story: `a node is taken off the list that has just been started anew`,
		File:  `core/retire.go`,
		Old:   ` || n.Boot != c.Node.Boot`,
		New:   ``,
	},
	{
		Name: `log-of-any-size`, Rule: `trimming`,
		Story: `large values make a log that is trimmed by the number of entries only`,
		File:  `core/log.go`,
		Old:   `!many && l.bytes <= 2*keepBytes {`,
		New:   `!many {`,
	},
	{
		Name: `stalled-join-stays`, Rule: `manager 6`,
		Story: `a joining node that does not answer holds the only slot`,
		File:  `core/heal.go`,
		Old:   `	if m.silent(m.contact(c.Joining.ID)) || m.now.Since(j.movedAt) > m.opt.JoinTimeout {`,
		New:   `	if false {`,
	},
	{
		Name: `attempt-forgotten`, Rule: `R10`,
		Story: `a restarted node does not know which attempt its snapshot is of, and discards for a late chunk what it acked`,
		File:  `core/durable.go`,
		Old:   `&joiner{tenure: p.tenure, attempt: p.attempt, next: p.chunks, begun: true,`,
		New:   `&joiner{begun: true,`,
		Also:  []Edit{{`core/join.go`, `	case m.Attempt == 1 && j.complete: // it`, `	case false: // it`}},
	},
	{
		Name: `changes-at-the-rate`, Rule: `R10`,
		Story: `what changes waits for the rate of the snapshot, and a join never ends while more than that is written`,
		File:  `core/transfer.go`,
		Old:   `		if early && x.behind < ChunkBytesMax {`,
		New:   `		if early {`,
		Also: []Edit{{`core/transfer.go`,
			`		pace := time.Duration(read) *`,
			`		read = 0
		for _, it := range c.Items {
			read += len(it.Value)
		}
		pace := time.Duration(read) *`}},
	},
	{
		Name: `writers-never-held-back`, Rule: `R10`,
		Story: `a joining node that takes in less than is written never catches up`,
		File:  `core/squeeze.go`,
		Old:   `	case !x.squeezed && moves && (now.Since(x.caughtUpAt) > squeezeAfter || x.attempt > attemptsMax):`,
		New:   `	case false:`,
	},
	{
		Name: `joiner-required-when-level`, Rule: `R10`,
		Story: `a joining node whose answers take longer than the members' is a little behind for ever`,
		File:  `core/transfer.go`,
		Old:   `		if f.acked < g.config.Epoch || !g.nearly(f) {`,
		New:   `		if f.acked < g.config.Epoch || f.matched < g.commit {`,
	},
	{
		Name: `held-back-for-the-dead`, Rule: `R10`,
		Story: `writers wait for a joining node that does not move`,
		File:  `core/squeeze.go`,
		Old:   `	case x.squeezed && !moves:`,
		New:   `	case x.squeezed && !moves && false:`,
	},
	{
		Name: `nonces-begin-anew`, Rule: `every reply names its request`,
		Story: `an answer to a question of before a restart is taken for one of after it`,
		File:  `core/manager.go`,
		Old:   `return uint64(b) << 32 }`,
		New:   `return 0 * uint64(b) }`,
	},
	{
		Name: `drain-forgotten`, Rule: `manager 6`,
		Story: `a restart of the manager forgets what an operator asked for, and a drained node is used again`,
		File:  `core/durable.go`,
		Old:   `		a := m.dir.apply(&c)`,
		New: `		if c.Kind == CommandDrain {
			c.Node.ID = 0
		}
		a := m.dir.apply(&c)`,
	},
	{
		Name: `drain-answered-too-soon`, Rule: `manager 6`,
		Story: `the answer to a drain ignores that a command under way is about to use the node`,
		File:  `core/drain.go`,
		Old: `	case n.drained(): // it may have been started anew since, if another manager leads by now
		m.deny(denial{waiter: d.waiter, ask: b})`,
		New: `	case n.gone || n.isSpare():
		m.proposeDrain(m.contact(n.ID))
		answer(StatusOK)`,
	},
	{
		Name: `drain-never-given-up`, Rule: `manager 6`,
		Story: `a drain waits for ever for spares that cannot join`,
		File:  `core/heal.go`,
		Old:   `	case m.lacks(c) > 0 && m.allFailed(w, c):`,
		New:   `	case false:`,
		Also: []Edit{{`core/drain.go`,
			`		m.giveUpDrains(c, StatusUnavailable)
		return`,
			`		return`}},
	},
	{
		Name: `first-spare-first`, Rule: `manager 6`,
		Story: `the spare that registered first is tried again and again, while another waits`,
		File:  `core/heal.go`,
		Old:   `		return cmp.Or(cmp.Compare(w.failedAt(a.node.ID), w.failedAt(b.node.ID)), cmp.Compare(a.lastFlap(), b.lastFlap()))`,
		New:   `		return cmp.Compare(0, 0)`,
	},
	{
		Name: `quarantine-at-any-price`, Rule: `manager 6`,
		Story: `a group stays short, down to its last copy, while all spares are in quarantine`,
		File:  `core/heal.go`,
		Old: `		if len(c.Chain) == 1 {
			return`,
		New: `		if len(c.Chain) <= 1 {
			return false &&`,
	},
	{
		Name: `key-refused-for-quarantine`, Rule: `manager 1`,
		Story: `a key is refused though nodes in quarantine could form a group for it`,
		File:  `core/placement.go`,
		Old:   `		spares = m.unused(func(*contact) bool { return true })`,
		New:   `		spares = m.spares()`,
	},
	{
		Name: `forgotten-told-once`, Rule: `who a node is`,
		Story: `a forgotten member that does not hear the one word of it goes on serving`,
		File:  `core/contact.go`,
		Old:   `			if c.node.group != 0 { // it may`,
		New:   `			if false { // it may`,
	},
	{
		Name: `learner-counts-for-reads`, Rule: `R8`,
		Story: `a primary that is alone with a learner waits for nobody else`,
		File:  `core/follower.go`,
		Old: `		if f := &list[i]; !f.learner {
			matched, round`,
		New: `		if f := &list[i]; f.learner {
			matched, round`,
	},
}
