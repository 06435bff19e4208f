package mutants

// stripped are mutants that lack a rule and all that would prevent the same failure: the
// core of somebody who did not think of the failure at all.
var stripped = []Mutant{
	{
		Name: `reports-believed`, Rule: `manager 4`,
		Story: `a report of a death is carried out at once, and so is the same one once more`,
		File:  `core/suspicion.go`,
		Old:   `	m.suspect(b.Group, b.Node, accuser)`,
		New: `	_ = accuser
	m.propose(Command{Kind: CommandReconfigure, Group: b.Group, Epoch: g.config.Epoch, Remove: []NodeID{g.config.Chain[0].ID}})`,
		Also: []Edit{{`core/suspicion.go`,
			`	if g == nil || g.config.Epoch != b.Epoch || g.config.Position(b.Node) < 0 {`,
			`	if g == nil {`}},
	},
	{
		Name: `last-seq-acked-and-believed`, Rule: `R7`,
		Story: `a replica acks its own last seq, and the primary takes that for its own log's`,
		File:  `core/group.go`,
		Old:   `Round: m.Round, Matched: g.verified}`,
		New:   `Round: m.Round, Matched: g.log.last()}`,
		Also: []Edit{{`core/tenure.go`,
			`	if a.Matched > g.log.last() || a.Round > t.round {`,
			`	if a.Round > t.round {`}},
	},
	{
		Name: `reconciled-by-guess`, Rule: `R5`,
		Story: `a new primary takes it that everybody has what it inherited`,
		File:  `core/tenure.go`,
		Old: `		t.followers = append(t.followers, newFollower(p, from, g.s.now))
`,
		New: `		f := newFollower(p, from, g.s.now)
		f.acked, f.matched = g.config.Epoch, g.log.last()
		t.followers = append(t.followers, f)
`,
	},
	{
		Name: `epoch-without-config`, Rule: `R1`,
		Story: `an epoch is adopted without the config that it names`,
		File:  `core/storage.go`,
		Old: `func (s *Storage) onReplicate(from Peer, m *Replicate) {
`,
		New: `func (s *Storage) onReplicate(from Peer, m *Replicate) {
	if g := s.group(m.Group); g != nil && m.Epoch > g.config.Epoch {
		c := *g.config
		c.Epoch = m.Epoch
		g.adopt(&c)
	}
`,
	},
	{
		Name: `ack-of-any-group`, Rule: `every group message names its group`,
		Story: `an ack counts in whatever group its receiver leads`,
		File:  `core/storage.go`,
		Old: `	case *Ack:
		if g := s.group(m.Group); g != nil {
			g.onAck(in.From, m)
		}
	case *Nack:`,
		New: `	case *Ack:
		for _, g := range s.groups {
			g.onAck(in.From, m)
		}
	case *Nack:`,
	},
	{
		Name: `left-node-forgets`, Rule: `R1`,
		Story: `a node that left a group forgets its epoch`,
		File:  `core/join.go`,
		Old: `		g.start, g.joiner = 0, nil
		g.persistProgress()
	}
}
`,
		New: `		g.start, g.joiner = 0, nil
		g.persistProgress()
	}
	g.discard()
	for i := range g.s.groups {
		if g.s.groups[i] == g {
			g.s.groups = append(g.s.groups[:i:i], g.s.groups[i+1:]...)
			break
		}
	}
}
`,
	},
	{
		Name: `whoever-is-asked-serves`, Rule: `R1`,
		Story: `a node answers gets though it is, or is no longer, no primary`,
		File:  `core/serve.go`,
		Old:   `	case t == nil && (!g.isMember() ||`,
		New: `	case t == nil && op.Kind == OpGet:
		g.serveRead(from, op, false)
	case t == nil && (!g.isMember() ||`,
	},
	{
		Name: `any-reply-will-do`, Rule: `every reply names its request`,
		Story: `a reply ends whatever its receiver waits for`,
		File:  `core/client.go`,
		Old: `		if call := c.calls[b.Req>>1]; call != nil {
			c.onOpReply(in, call, b)
		}`,
		New: `		call := c.calls[b.Req>>1]
		if call == nil && len(c.timed) > 0 {
			call = c.timed.all()[0]
		}
		if call != nil {
			c.onOpReply(in, call, b)
		}`,
		Also: []Edit{{`core/client.go`,
			`b.Group != call.route.config.Group || !call.awaits(b.Req) {`,
			`b.Group != call.route.config.Group {`}},
	},
	{
		Name: `mapped-twice`, Rule: `manager 1`,
		Story: `of two clients racing each maps the unit`,
		File:  `core/directory.go`,
		Old: `	if id, ok := d.units[c.Unit]; ok {
		return applied{mapped: id}
	}
`,
		New: ``,
		Also: []Edit{{`core/placement.go`,
			`	if !underWay && !m.place(u) {`,
			`	if _ = underWay; !m.place(u) {`}},
	},
	{
		Name: `primary-not-believed`, Rule: `manager 3`,
		Story: `a primary's report is worth no more than a client's`,
		File:  `core/suspicion.go`,
		Old:   `		accuser = in.From.ID`,
		New:   `		accuser = 0`,
	},
	{
		Name: `probe-without-a-write`, Rule: `manager 3`,
		Story: `a node proves that it works without touching its disk`,
		File:  `core/relay.go`,
		Old: `		if s.opt.Durable {
			s.out.Persist = append(s.out.Persist, Write{Key: keyProbe})
		}
		s.after(in.From, &ProbeReply{Nonce: m.Nonce})`,
		New: `		s.send(in.From, &ProbeReply{Nonce: m.Nonce})`,
	},
	{
		Name: `no-quarantine`, Rule: `manager 6`,
		Story: `a node that flaps is taken again at once, before any other`,
		File:  `core/heal.go`,
		Old:   `	c.flaps = flaps + 1`,
		New: `	wait = 0
	c.flaps = 0`,
		Also: []Edit{{`core/heal.go`,
			`	w.join.failed = f[max(0, len(f)-failuresMax):]`,
			`	w.join.failed = f[len(f):]`}},
	},
	{
		Name: `drained-node-used`, Rule: `manager 6`,
		Story: `a node that can be stopped, as an operator was told, is made a member`,
		File:  `core/placement.go`,
		Old:   `!c.node.draining && !c.reserved && !c.deciding && fit(c)`,
		New:   `!c.reserved && !c.deciding && fit(c)`,
		Also: []Edit{{`core/directory.go`,
			`		if n == nil || n.gone || n.draining || !n.isSpare() {`,
			`		if n == nil || n.gone || !n.isSpare() {`}, {`core/directory.go`,
			`n.gone || n.draining || !n.isSpare() || g.config.Joining.ID != 0`,
			`n.gone || !n.isSpare() || g.config.Joining.ID != 0`}},
	},
	{
		Name: `spare-promised-twice`, Rule: `manager 6`,
		Story: `a drain takes the spare that healing needs, and the group stays short`,
		File:  `core/drain.go`,
		Old:   `len(m.spares()) < m.lacking() {`,
		New:   `len(m.spares()) == 0 && m.lacks(g.config) > 0 {`,
		Also: []Edit{{`core/drain.go`,
			`	if staying < m.strength(c) {`,
			`	if staying < m.strength(c)-1 {`}},
	},
	{
		Name: `every-report-begins-anew`, Rule: `manager 3`,
		Story: `each report begins the inquiry anew, which so never ends`,
		File:  `core/suspicion.go`,
		Old:   `	case s == nil && (accuser != 0 || m.now >= w.quietTill):`,
		New:   `	case s == nil || !s.proposed:`,
	},
	{
		Name: `two-recruits`, Rule: `R2`,
		Story: `a second node begins to join while one is on the way`,
		File:  `core/directory.go`,
		Old:   `!n.isSpare() || g.config.Joining.ID != 0 || len`,
		New:   `!n.isSpare() || len`,
		Also: []Edit{{`core/heal.go`,
			`	case c.Joining.ID != 0:
		m.watchJoin(w, c)
`, ``}, {`core/heal.go`,
			`	if c.Joining.ID != 0 || m.watch(c.Group).join.recruit {
		n--
	}
	return max(0, n)`,
			`	return max(0, n)`}},
	},
	{
		Name: `a-group-of-what-is-there`, Rule: `manager 1`,
		Story: `a group is formed of fewer nodes than it is to have`,
		File:  `core/placement.go`,
		Old: `len(spares)-m.lacking()-o.Spares > o.Replicas {
		for _, s := range spares[:o.Replicas+1] {`,
		New: `len(spares)-m.lacking()-o.Spares > 0 {
		for _, s := range spares[:min(len(spares), o.Replicas+1)] {`,
	},
	{
		Name: `hole-taken-for-the-end`, Rule: `durable before sent`,
		Story: `damage in the middle of the log is taken for its end`,
		File:  `core/durable.go`,
		Old: `	if err := r.read(k, v, tagEntry, &e); err != nil {
		return err
	}
	if seq := g.log.append(e); k != ordered(prefixLog, uint64(g.id), uint64(seq)) {
		return fmt.Errorf("no entry at seq %d", seq)
	}
`,
		New: `	if err := r.read(k, v, tagEntry, &e); err != nil || k != ordered(prefixLog, uint64(g.id), uint64(g.log.last()+1)) {
		return nil
	}
	g.log.append(e)
`,
		Also: []Edit{{`core/durable.go`, // the commit point that is kept says how much there was
			`		if g.log.last() < g.noted {`,
			`		if false {`}},
	},
	{
		Name: `silence-is-certain`, Rule: `manager 5`,
		Story: `a node that is silent for long is taken to be gone for good`,
		File:  `core/loss.go`,
		Old: `		return lossDoubtful
	}
	return lossNone`,
		New: `		return lossCertain
	}
	return lossNone`,
	},
	{
		Name: `last-member-evicted`, Rule: `manager 5`,
		Story: `the last member of a group leaves it on suspicion`,
		File:  `core/directory.go`,
		Old: `	if stay == 0 {
		return applied{}
	}
`,
		New: ``,
		Also: []Edit{{`core/suspicion.go`,
			`		// Nobody would stay.`,
			`		m.propose(Command{Kind: CommandReconfigure, Group: s.config.Group, Epoch: s.config.Epoch, Remove: []NodeID{s.accused}})
		// Nobody would stay.`}},
	},
	{
		Name: `nobody-need-answer`, Rule: `manager 3`,
		Story: `members leave on suspicion one after the other though none that stays has answered`,
		File:  `core/suspicion.go`,
		Old: `		case s.members[i].proof == answerYes:
			return remove, false`,
		New: `		case true:
			return remove, false`,
	},
	{
		Name: `manager-alone-presumes-a-loss`, Rule: `manager 5`,
		Story: `a firewall beside the manager ends a healthy cluster`,
		File:  `core/loss.go`,
		Old:   ` && m.now.Since(e.toldAt) <= m.opt.LostAfter:`,
		New:   `:`,
	},
	{
		Name: `caught-up-of-another-epoch`, Rule: `R2`,
		Story: `a joining node becomes a member on a word of an epoch that is over`,
		File:  `core/heal.go`,
		Old:   `g.config.Epoch != b.Epoch || g.config.Start != b.Start || g.config.Joining.ID != b.Node`,
		New:   `g.config.Joining.ID != b.Node`,
		Also: []Edit{{`core/heal.go`,
			`m.propose(Command{Kind: CommandMember, Group: b.Group, Epoch: b.Epoch,`,
			`m.propose(Command{Kind: CommandMember, Group: b.Group, Epoch: g.config.Epoch,`}},
	},
	{
		Name: `old-acks-of-a-joining-node`, Rule: `R6`,
		Story: `what a joining node acked in an earlier join is counted in this one`,
		File:  `core/tenure.go`,
		Old:   `t.joining(j.ID) && t.transfer.start == g.config.Start {`,
		New:   `t.joining(j.ID) {`,
		Also: []Edit{{`core/transfer.go`,
			`(c.Joining.ID != x.peer.ID || c.Start != x.start) {`,
			`(c.Joining.ID != x.peer.ID) {`}, {`core/transfer.go`,
			`		t.transfer.peer = c.Joining
`,
			`		t.transfer.peer, t.transfer.start = c.Joining, c.Start
`}, {`core/join.go`,
			`	keeps := !g.partial() && g.commit > 0`,
			`	keeps := false`}},
	},
	{
		Name: `chunk-of-any-attempt`, Rule: `R10`,
		Story: `a chunk of an earlier attempt is taken for one of this`,
		File:  `core/join.go`,
		Old: `	case m.Tenure < j.tenure || m.Tenure == j.tenure && m.Attempt < j.attempt:
		g.s.drop(from)
		return
	case m.Tenure == j.tenure && m.Attempt == j.attempt:`,
		New: `	case m.Tenure == j.tenure && (m.Attempt == j.attempt || j.next > 0):`,
		Also: []Edit{{`core/join.go`,
			`	if sum := g.s.sum(m, j.sum); sum != m.Sum {`,
			`	if m.Items == nil && m.Number > 1<<40 {`}},
	},
	{
		Name: `retry-not-told-apart`, Rule: `R12`,
		Story: `an operation that comes late is executed, whatever came after it`,
		File:  `core/state.go`,
		Old: `	case e.OpSeq < s.last:
`,
		New: `	case false:
`,
		Also: []Edit{{`core/session.go`,
			`	case op.OpSeq < last:
`,
			`	case false:
`}},
	},
	{
		Name: `expired-session-revived`, Rule: `R12`,
		Story: `a session that expired is good for an old retry`,
		File:  `core/state.go`,
		Old: `	case s == nil:
		return result{status: StatusSessionExpired}, false`,
		New: `	case s == nil:
		return st.write(seq, e)`,
		Also: []Edit{{`core/session.go`,
			`	case s == nil || s.owner != from.ID:
		g.refuse(from, op.Req, StatusSessionExpired, nil)
		return
`,
			`	case s == nil:
		s = new(session)
`}, {`core/session.go`,
			`		t.unplace(&t.idle, s)
	}
	s.ended = seq
	order := t.endedAs(s)
	t.place(order, s)
	if order.size > endedMax {
		t.remove(t.at(order.first))
	}
`,
			`		t.unplace(&t.idle, s)
	}
	t.remove(s)
`}},
	},
	{
		Name: `get-sees-the-uncommitted`, Rule: `R8`,
		Story: `a get is answered from the log's end and not from the commit point`,
		File:  `core/serve.go`,
		Old: `		r.Status, r.Version, r.Value = StatusOK, v.version, v.data
	}
`,
		New: `		r.Status, r.Version, r.Value = StatusOK, v.version, v.data
	}
	for seq := g.commit + 1; seq <= g.log.last(); seq++ {
		if e := g.log.at(seq); e.Key == op.Key && e.Kind == OpPut {
			r.Status, r.Version, r.Value = StatusOK, seq, e.Value
		}
	}
`,
	},
}
