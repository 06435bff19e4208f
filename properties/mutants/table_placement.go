package mutants

// ofPlacement are mutants of which unit a key belongs to.
var ofPlacement = []Mutant{
	{
		Name: `two-slots-for-one`, Rule: `manager 1`,
		Story: `a client takes what it knows of a slot for true of another one, too`,
		File:  `core/client.go`,
		Old:   `	if id, ok := c.units[c.placement.Unit(b.Key)]; ok {`,
		New:   `	if id, ok := c.units[(c.placement / 2).Unit(b.Key)]; ok {`,
		Also: []Edit{{`core/client.go`,
			`	u := c.placement.Unit(key)
	if _, known`,
			`	u := (c.placement / 2).Unit(key)
	if _, known`}},
	},
	{
		Name: `another-placement-taken`, Rule: `manager 1`,
		Story: `a client that knows the placement takes another one from whoever answers`,
		File:  `core/client.go`,
		Old: `	if b.Placement != c.placement { // no manager says so: a cluster's never changes
		c.drop(in.From)
		return
	}
`,
		New: `	c.placement = b.Placement
`,
	},
	{
		Name: `placement-not-durable`, Rule: `manager 1`,
		Story: `a manager that ends before its first fold has no placement`,
		File:  `core/durable.go`,
		Old:   `		if m.boot == 1 && m.several == nil { // with the first identity the placement is chosen`,
		New:   `		if false {`,
	},
	{
		Name: `placement-chosen-anew`, Rule: `manager 1`,
		Story: `a manager that is started with another placement looks for its units in vain, and maps their keys anew`,
		File:  `core/durable.go`,
		Old: `	if p := m.opt.Placement; p != 0 && p != m.dir.placement {
		return`,
		New: `	if p := m.opt.Placement; p != 0 && p != m.dir.placement {
		m.dir.placement = p
	}
	if false {
		p := m.opt.Placement
		return`,
	},
	{
		Name: `tags-not-seen`, Rule: `manager 1`,
		Story: `the keys of a tag are in different slots`,
		File:  `core/unit.go`,
		Old:   `	if inside, _, closed := strings.Cut(rest, "}"); closed && inside != "" {`,
		New:   `	if inside, _, closed := strings.Cut(rest, "}"); closed && inside == key {`,
	},
}
