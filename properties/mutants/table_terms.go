package mutants

// ofTerms are mutants of what becomes of groups when a manager starts with other terms.
var ofTerms = []Mutant{
	{
		Name: `terms-for-new-groups-only`, Rule: `manager 7`,
		Story: `a group keeps the terms that it was formed with, whatever the manager is started with`,
		File:  `core/terms.go`,
		Old:   `	if c.Terms() == m.terms() || `,
		New:   `	if c.Epoch > 0 || `,
	},
	{
		Name: `terms-without-an-epoch`, Rule: `manager 4`,
		Story: `a group gets other terms in the epoch that it is in`,
		File:  `core/terms.go`,
		Old:   `	next := d.issue(g, nil)`,
		New: `	next := new(*g.config)
	g.config = next`,
	},
	{
		Name: `grant-ends-with-the-leases`, Rule: `R9`,
		Story: `a member forgets what it has granted as soon as its group has no leases any more`,
		File:  `core/group.go`,
		Old: `	g.verified = 0
	g.s.persistConfig(c)`,
		New: `	g.verified = 0
	if c.Reads == ReadConfirm {
		g.grantUntil = 0
	}
	g.s.persistConfig(c)`,
	},
	{
		Name: `long-lease-forgotten-at-once`, Rule: `R9`,
		Story: `a restarted node does not wait for what it granted by a lease that was longer than the present one`,
		File:  `core/lease.go`,
		Old:   `		if g.grantUntil > s.now.After(grant(lease, s.opt.DriftPPM)) {`,
		New:   `		if g.grantUntil > s.now.After(grant(s.leaseMax, s.opt.DriftPPM)) {`,
	},
	{
		Name: `terms-end-an-inquiry`, Rule: `manager 7`,
		Story: `a group gets other terms amid an inquiry, which that ends`,
		File:  `core/heal.go`,
		Old: `	case w.join.proposed || w.inquiry != nil:
	case m.renew(w, c):`,
		New: `	case w.join.proposed:
	case m.renew(w, c):
	case w.inquiry != nil:`,
	},
	{
		Name: `terms-for-all-at-once`, Rule: `manager 7`,
		Story: `all groups get other terms in one round of pings`,
		File:  `core/heal.go`,
		Old:   `	m.renewals = termsMax`,
		New:   `	m.renewals = termsMax << 16`,
	},
}
