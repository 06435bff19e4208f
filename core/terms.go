package core

import "time"

// Terms are what a group's configs say about its reads and writes. A command of the
// Directory brings them, not the options of whoever applies it: when it is applied again
// after a restart, those may be others.
type Terms struct {
	Reads    ReadMode
	Lease    time.Duration
	MinChain uint32
}

// Terms returns what the config says about reads and writes.
func (c *Config) Terms() Terms { return Terms{c.Reads, c.Lease, c.MinChain} }

// termsMax bounds the groups that get the manager's terms with one round of pings. Their
// members all have something to make durable then, so a large cluster changes bit by bit.
const termsMax = 16

// terms are those that this manager was started with.
func (m *Manager) terms() Terms {
	return Terms{m.opt.Reads, m.opt.Lease, uint32(m.opt.MinChain)}
}

// renew proposes this manager's terms for a group of an earlier manager that has others
// (manager 7). The group must have no inquiry, which another epoch would end. A join goes
// on over it.
func (m *Manager) renew(w *watch, c *Config) bool {
	if c.Terms() == m.terms() || m.renewals == 0 || !m.answers(m.contact(c.Chain[0].ID)) {
		return false
	}
	m.renewals--
	w.join.proposed = true
	m.propose(Command{Kind: CommandTerms, Group: c.Group, Epoch: c.Epoch, Terms: m.terms()})
	return true
}

// termsChanged is called when the command was applied.
func (m *Manager) termsChanged(c *Command, a applied) {
	m.watch(c.Group).join.proposed = false
	for _, config := range a.changed {
		m.event(Event{Kind: EventTerms, Group: config.Group, Epoch: config.Epoch})
	}
}

// setTerms re-issues the chain with other terms. Leases are safe over that: what a member has
// granted in an earlier epoch it waits out before it serves (rule R5), and a primary is
// credited with the lease of the epoch in which the ack came.
func (d *Directory) setTerms(c *Command) applied {
	g := d.group(c.Group)
	if g == nil || g.config.Epoch != c.Epoch || g.config.Terms() == c.Terms {
		return applied{}
	}
	next := d.issue(g, nil)
	next.Reads, next.Lease, next.MinChain = c.Terms.Reads, c.Terms.Lease, c.Terms.MinChain
	return applied{changed: []*Config{next}}
}
