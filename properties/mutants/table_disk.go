package mutants

// ofTheDisk are mutants of what a durable node keeps as its state, beside its log or its
// commands.
var ofTheDisk = []Mutant{
	{
		Name: `values-not-durable-before-the-trim`, Rule: `durable: values before the log is trimmed`,
		Story: `the log is trimmed though the values it stands for are not durable`,
		File:  `core/save.go`,
		Old:   `			g.s.persist(g.valueKey(e.Key), tagValue, &value{e.Value, seq})`,
		New:   `			_ = seq`,
	},
	{
		Name: `failed-cas-saved`, Rule: `durable: values before the log is trimmed`,
		Story: `a write that changed nothing is in the durable values`,
		File:  `core/save.go`,
		Old:   `!u.effects[seq-after-1] || written[e.Key]`,
		New:   `e.Key == "" || written[e.Key]`,
	},
	{
		Name: `values-ahead-of-their-position`, Rule: `durable: values before the log is trimmed`,
		Story: `a restarted node judges a compare-and-swap by a value that came after it`,
		File:  `core/save.go`,
		Old:   `			g.s.persist(g.valueKey(e.Key), tagValue, &value{e.Value, seq})`,
		New:   `			g.persistValue(e.Key)`,
	},
	{
		Name: `ended-session-not-saved`, Rule: `R12`,
		Story: `a restarted node takes a session that has ended for an open one`,
		File:  `core/session.go`,
		Old: `	t.touched = append(t.touched, s.id)
	if s.placed`,
		New: `	if s.placed`,
	},
	{
		Name: `commands-deleted-before-the-fold`, Rule: `manager 7`,
		Story: `the commands are deleted in a batch of their own, before the one with the records that take them in`,
		File:  `core/fold.go`,
		Old:   `		f.batches = append(f.batches, m.makeFold())`,
		New: `		writes := m.makeFold()
		last := len(writes) - 1
		f.batches = append(f.batches, writes[last:], writes[:last])`,
	},
	{
		Name: `changed-group-not-folded`, Rule: `manager 7`,
		Story: `the record of a group is written when it forms, and never again`,
		File:  `core/fold.go`,
		Old: `	for _, config := range a.changed {
`,
		New: `	for _, config := range a.changed {
		if config.Epoch > 1 {
			continue
		}
`,
	},
	{
		Name: `changed-node-not-folded`, Rule: `manager 7`,
		Story: `the record of a node is written when it registers first, and never again`,
		File:  `core/fold.go`,
		Old:   `	} else if n := m.dir.node(c.Node.ID); n != nil {`,
		New:   `	} else if n := m.dir.node(c.Node.ID); n != nil && n.since == m.dir.index {`,
	},
	{
		Name: `fold-of-another-index`, Rule: `manager 7`,
		Story: `the records say that they are of an earlier state, whose next command is gone`,
		File:  `core/fold.go`,
		Old:   `	set(keyDirectory, tagDirectory, d.record())`,
		New: `	head := d.record()
	head.index--
	set(keyDirectory, tagDirectory, head)`,
	},
	{
		Name: `turn-not-folded`, Rule: `manager 7`,
		Story: `the round robin of groups begins anew, and a command that is applied again maps its key to another group`,
		File:  `core/fold.go`,
		Old:   `	d.placement, d.index, d.turn = r.placement, r.index, r.turn`,
		New:   `	d.placement, d.index = r.placement, r.index`,
	},
	{
		Name: `lost-tail-served`, Rule: `R5`,
		Story: `a primary whose disk lost what it had acked serves, and has the others cut that off`,
		File:  `core/tenure.go`,
		Old:   `	return t.lacks == 0 && g.durable`,
		New:   `	return g.durable`,
	},
	{
		Name: `commit-forgotten`, Rule: `R5`,
		Story: `a replica that was started again does not know what is committed`,
		File:  `core/group.go`,
		Old: `	g.persistCommit()
`,
		New: ``,
	},
	{
		Name: `resigned-in-vain`, Rule: `manager 3`,
		Story: `a primary that cannot go on answers, and so it stays`,
		File:  `core/suspicion.go`,
		Old: `		t.proof, t.resigned = answerNo, true
`,
		New: `		t.resigned = false
`,
	},
	{
		Name: `stops-without-leaving`, Rule: `manager 3`,
		Story: `a node that is asked to stop ends its service at once, and its group misses it`,
		File:  `core/storage.go`,
		Old: `			if missed = true; s.now >= s.leaveAt {
`,
		New: `			if s.now >= s.leaveAt {
`,
	},
}
