package core

import "slices"

// consensus is how the commands of a manager come into one order. It answers within calls of
// the manager's, perhaps within the one that asks.
type consensus interface {
	// propose asks for a command, which is to be the one at that index. It comes back by
	// onCommitted, once it is durable and all before it have come back.
	propose(m *Manager, i Index, c Command)
	// confirm asks for the word that the Directory has now all that any manager has
	// acknowledged. It comes back by confirmed.
	confirm(m *Manager)
}

// sole is the consensus of a manager that is the only one: a command is agreed on when it is
// durable here, and nobody else can have acknowledged any.
type sole struct{}

func (sole) propose(m *Manager, i Index, c Command) {
	m.persistCommand(i, &c)
	m.after(m.self, &Committed{Index: i, Command: c})
}

func (sole) confirm(m *Manager) { m.confirmed() }

// denial is a question to which the answer rests on what the Directory lacks. To give it
// takes the word that the Directory lacks nothing: another manager may have mapped the unit,
// listed the node, formed a group, or heard that a drained one was started anew.
type denial struct {
	waiter
	unit Unit    // of a Lookup
	ask  Message // a StatusQuery, a Forget, a Drain or a Pong; nil for a Lookup
}

// deny answers a question whose answer rests on what is not in the Directory, once that is
// confirmed. What comes while a word is awaited was asked later than that is of, and waits
// for the next one. An operator's tool asks again and again, and takes the first answer: the
// question is one, or what it was told is not found would be forgotten by a later repeat.
func (m *Manager) deny(d denial) {
	if d.req != 0 && d.ask != nil && slices.ContainsFunc(m.denials, func(w denial) bool { return w.waiter == d.waiter && w.ask != nil }) {
		return
	}
	if len(m.denials) >= m.opt.WaitersMax {
		if d.ask == nil { // others ask again by themselves
			m.answer(d.waiter, LookupReply{Status: StatusOverloaded})
		}
		return
	}
	m.denials = append(m.denials, d)
	if m.confirming == 0 {
		m.confirmDenials()
	}
}

func (m *Manager) confirmDenials() {
	m.confirming = len(m.denials)
	m.consensus.confirm(m)
}

// confirmed answers those who were waiting when the word was asked for. What one of them
// asks about may have come meanwhile.
func (m *Manager) confirmed() {
	for _, d := range m.denials[:m.confirming] {
		m.settle(d)
	}
	m.denials = m.denials[:copy(m.denials, m.denials[m.confirming:])]
	if m.confirming = 0; len(m.denials) > 0 {
		m.confirmDenials()
	}
}

func (m *Manager) settle(d denial) {
	switch ask := d.ask.(type) {
	case nil:
		if id, ok := m.dir.units[d.unit]; ok {
			m.tell(d.waiter, id)
		} else {
			m.answer(d.waiter, LookupReply{Status: StatusNotFound})
		}
	case *StatusQuery:
		m.send(d.client, m.statusReply(ask))
	case *Forget:
		if m.dir.node(ask.Node) == nil {
			m.send(d.client, &Forgotten{Req: d.req, Status: StatusNotFound})
		} else {
			m.onForget(d.client, ask)
		}
	case *Drain:
		switch n := m.dir.node(ask.Node); {
		case n == nil:
			m.send(d.client, &Drained{Req: d.req, Status: StatusNotFound})
		case n.drained():
			m.send(d.client, &Drained{Req: d.req, Status: StatusOK})
		default:
			m.onDrain(d.client, ask)
		}
	case *Pong:
		if missing := m.missingBy(d.client.ID, ask); missing != "" {
			m.contradicted(d.client.ID, missing)
		}
	}
}
