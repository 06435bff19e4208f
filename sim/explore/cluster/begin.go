package cluster

import (
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/sim/history"
)

// silenceMax is so long that no node registers again because it heard no ping.
const silenceMax = time.Hour

// New returns the model of a scenario. What comes before the search happens here: the nodes
// start, the group forms, the clients open their sessions, and all is calm.
func New(s *Scenario) (*Model, error) {
	m := &Model{scenario: s, drops: !s.Real} // a real manager's messages take time: what is under way matters
	m.ops = append(m.ops, s.ops...)
	if m.several() {
		m.begin.left = s.budgets
		m.begin.manager, m.begin.past = m.keepManager(&manager{boots: make([]core.Boot, s.Hosts())}), m.keepPast(&past{})
		return m, m.foundSeats()
	}
	w := &m.begin
	w.left = s.budgets
	first := &manager{boots: make([]core.Boot, s.Hosts())}
	if s.Real {
		first = &manager{chief: &chief{now: core.Time(time.Second), disk: &disk{}, asks: make([]asked, len(s.asks))}}
	}
	w.manager = m.keepManager(first)
	w.ghost = m.keepGhost(&ghost{})
	w.past = m.keepPast(&past{states: make([]opState, len(m.ops)), results: make([]core.Reply, len(m.ops))})
	for i := range s.Hosts() {
		w.hosts = append(w.hosts, m.keepHost(&host{index: i, now: core.Time(time.Second), disk: &disk{}}))
	}
	if err := m.form(w); err != nil {
		return nil, err
	}
	if err := m.openSessions(w); err != nil {
		return nil, err
	}
	for range s.Settle {
		if b := m.nextTimer(w); b != nil {
			return nil, b.err()
		}
		if err := m.settle(w); err != nil {
			return nil, err
		}
	}
	for i := range m.ops {
		var to []uint32
		for host := range s.Hosts() {
			to = append(to, m.keepMessage(m.ops[i].envelope(i, host)))
		}
		m.requests = append(m.requests, to)
	}
	return m, nil
}

func (b *broken) err() error { return fmt.Errorf("before the search: %s: %s", b.property, b.text) }

// settle has all that takes no time happen.
func (m *Model) settle(w *world) error {
	for {
		moved, b := m.calmStep(w)
		if b != nil {
			return b.err()
		}
		if !moved {
			return nil
		}
	}
}

func (m *Model) form(w *world) error {
	if m.scenario.Real {
		return m.formReal(w)
	}
	for i := range w.hosts {
		if b := m.input(w, i, inputStart, -1); b != nil {
			return b.err()
		}
	}
	if err := m.settle(w); err != nil {
		return err
	}
	c := core.Config{Group: group, Reads: m.scenario.Reads, Lease: m.scenario.lease(), MinChain: uint32(max(1, m.scenario.MinChain))}
	for i := range m.scenario.Members {
		c.Chain = append(c.Chain, hostPeer(i))
	}
	g := m.managers.at(w.manager)
	if b := m.applyOrder(w, m.issue(g, g.boots, c)); b != nil {
		return b.err()
	}
	return m.settle(w)
}

// formReal has the nodes register with a real manager, in their order, and a group form.
func (m *Model) formReal(w *world) error {
	if b := m.applyOrder(w, m.order(w.manager, orderStart)); b != nil {
		return b.err()
	}
	for i := range w.hosts {
		if b := m.input(w, i, inputStart, -1); b != nil {
			return b.err()
		}
		if err := m.settle(w); err != nil {
			return err
		}
	}
	if b := m.nextTimer(w); b != nil { // a round of pings, which all answer
		return b.err()
	}
	if err := m.settle(w); err != nil || m.scenario.Fresh {
		return err
	}
	lookup := m.keepMessage(&core.Envelope{Cluster: cluster, From: clientPeer(askFirstID - 1), To: managerPeer, Body: &core.Lookup{Key: "x", Create: true}})
	if b := m.applyOrder(w, m.order(w.manager, lookup)); b != nil {
		return b.err()
	}
	if err := m.settle(w); err != nil {
		return err
	}
	if c := m.managers.at(w.manager).config(); c == nil || len(c.Chain) != m.scenario.Members {
		return fmt.Errorf("before the search: the group has formed as %v", c)
	}
	return nil
}

// openSessions opens a session for each client that writes, after it has written what was
// there before.
func (m *Model) openSessions(w *world) error {
	const before = 99 // the client that wrote what was there
	session := core.Seq(0)
	for i := range m.scenario.before {
		e := &m.scenario.before[i]
		if e.evict == 0 && session == 0 {
			r, err := m.ask(w, core.Op{Kind: core.OpOpen}, before)
			if err != nil {
				return err
			}
			session = r.Version
		}
		if err := m.happen(w, e, session, before); err != nil {
			return err
		}
	}
	sessions, numbers := map[int]core.Seq{}, map[int]uint64{}
	for i := range m.ops {
		o := &m.ops[i]
		if o.kind == core.OpGet || o.kind == core.OpOpen {
			continue
		}
		if sessions[o.client] == 0 {
			r, err := m.ask(w, core.Op{Kind: core.OpOpen}, o.client)
			if err != nil {
				return err
			}
			sessions[o.client] = r.Version
		}
		numbers[o.client]++
		o.session, o.number = sessions[o.client], numbers[o.client]
	}
	return nil
}

// happen has something happen before the search.
func (m *Model) happen(w *world, e *earlier, session core.Seq, client int) error {
	if e.evict > 0 {
		o := m.order(w.manager, orderEvict+uint32(e.evict-1))
		if !o.legal {
			return fmt.Errorf("before the search: %s cannot be evicted", hostName(e.evict-1))
		}
		if b := m.applyOrder(w, o); b != nil {
			return b.err()
		}
		return m.settle(w)
	}
	o, n := &e.put, len(m.before)
	r, err := m.ask(w, core.Op{Kind: o.kind, Key: o.key, Value: o.value, Session: session, OpSeq: uint64(n) + 1}, client)
	if err != nil {
		return err
	}
	m.before = append(m.before, history.Operation{Client: "before", Kind: o.kind, Key: o.key, Value: o.value,
		CallOrder: 2*n + 1, ReturnOrder: 2*n + 2, Result: &core.Result{Status: r.Status, Version: r.Version}})
	return nil
}

// ask has the primary answer a request.
func (m *Model) ask(w *world, o core.Op, client int) (*core.Reply, error) {
	const request = 1 << 40 // the operations of the search have other numbers
	o.Group, o.Req = group, request
	host := indexOf(m.managers.at(w.manager).config().Chain[0])
	id := m.keepMessage(&core.Envelope{Cluster: cluster, From: clientPeer(client), To: hostPeer(host), Body: &o})
	m.asked = nil
	if b := m.input(w, host, id, -1); b != nil {
		return nil, b.err()
	}
	if err := m.settle(w); err != nil {
		return nil, err
	}
	if m.asked == nil || m.asked.Status != core.StatusOK {
		return nil, fmt.Errorf("before the search: a %v was not answered well: %+v", o.Kind, m.asked)
	}
	return m.asked, nil
}
