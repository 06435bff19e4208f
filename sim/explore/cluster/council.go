package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim/explore"
)

// seatAsks puts what is asked of several managers, once, to any that runs.
func (w *worker) seatAsks(to *explore.Sink) {
	m := w.m
	if !m.several() {
		return
	}
	for i := range m.scenario.asks {
		if w.at.left[askSlot+i] == 0 {
			continue
		}
		for host, id := range w.at.hosts {
			if at := m.scenario.asks[i].at; !m.hosts.at(id).up() || at >= 0 && at != host {
				continue
			}
			w.next.set(&w.at)
			w.next.left[askSlot+i] = 0
			w.next.ghost = m.keepGhost(&ghost{record: m.ghosts.at(w.next.ghost).record.put(i)})
			w.step(to, host, m.lookups[i][host], -1, label{what: labelPut, host: host, order: m.scenario.asks[i].String()})
		}
	}
}

// judgeSeats judges a state in which a manager has just changed: what it has newly applied a
// majority has on its disks.
func (m *Model) judgeSeats(w *world, i int, from uint32) *broken {
	now, was := m.hosts.at(w.hosts[i]).seat, m.hosts.at(from).seat
	v := &now.view
	if !m.scenario.Durable || !now.up || v.Cluster == 0 || v.Applied.Index <= was.view.Applied.Index || v.Led == 0 {
		return nil
	}
	r := m.ghosts.at(w.ghost).record
	for _, list := range [][]core.Peer{v.Members.Voters, v.Members.Outgoing} {
		has := 0
		for _, p := range list {
			if slices.Contains(r.Gone, p.ID) || m.holds(w, p.ID, v.Applied) {
				has++
			}
		}
		if len(list) > 0 && has < len(list)/2+1 {
			return brokenf("commit-durable", "%s has applied all up to %d, which %d of %d managers have on their disks", seatName(i), v.Applied.Index, has, len(list))
		}
	}
	return nil
}

// holds tells whether the disk of a manager reaches up to a position.
func (m *Model) holds(w *world, id core.NodeID, at quorum.Position) bool {
	for _, host := range w.hosts {
		if h := m.hosts.at(host); h.seat.self == id {
			k := m.kept(h)
			return k.err == nil && k.self == id && max(k.view.Last.Index, k.view.Applied.Index) >= at.Index
		}
	}
	return false
}

// calmSeat does the next thing that takes no time; false if there is none.
func (m *Model) calmSeat(w *world) (bool, *broken) { return m.calmOf(w, 0) }

// calmOf is the same for the managers from an index on.
func (m *Model) calmOf(w *world, first int) (bool, *broken) {
	for i, id := range w.messages {
		if to := m.messages.at(id).to; m.hosts.at(w.hosts[to]).up() {
			m.take(w, i)
			return true, m.input(w, to, id, -1)
		}
	}
	for i := first; i < len(w.hosts); i++ {
		switch h := m.hosts.at(w.hosts[i]); {
		case len(h.gate) > 0:
			return true, m.input(w, i, inputSync, -1)
		case !h.up():
			return true, m.input(w, i, inputStart, -1)
		}
	}
	return false, nil
}

// seatsEnded tells whether there is nothing left to wait for: somebody leads, and the members of
// one cluster are those that are there. A cluster on which somebody may rely, and that has lost
// the data of a majority, is for an operator to end.
func (m *Model) seatsEnded(w *world) bool {
	r := m.ghosts.at(w.ghost).record
	for i := range r.Clusters {
		if c := &r.Clusters[i]; c.Relied && !r.lives(c) {
			return true
		}
	}
	var all []core.NodeID
	for _, id := range w.hosts {
		all = append(all, m.hosts.at(id).seat.self)
	}
	leads := false
	for _, id := range w.hosts {
		s := m.hosts.at(id).seat
		if !s.up || s.view.Cluster != m.hosts.at(w.hosts[0]).seat.view.Cluster || !slices.Equal(idsOf(s.view.Members.Voters), all) || len(s.view.Members.Outgoing) > 0 {
			return false
		}
		leads = leads || s.leads != 0 && s.view.Settled
	}
	return leads
}

// unsettled says what is left in the end of a run without faults.
func (m *Model) unsettled(w *world) string {
	var list []string
	for i, id := range w.hosts {
		s := m.hosts.at(id).seat
		list = append(list, fmt.Sprintf("%s is %v of cluster %v (promised to %v) with the managers %v", seatName(i), s.self, s.view.Cluster, s.view.Promise, idsOf(s.view.Members.Voters)))
	}
	return "there is no one cluster of all managers with a leader: " + strings.Join(list, "; ")
}

// foundSeats makes the managers, of which none has started.
func (m *Model) foundSeats() error {
	w, s := &m.begin, m.scenario
	w.ghost = m.keepGhost(&ghost{record: &record{Answers: make([]answered, len(s.asks))}})
	for i := range s.Managers {
		h := &host{index: i, now: seatBegin, disk: &disk{}, seat: &seat{free: true}}
		m.encodeSeat(h, nil)
		w.hosts = append(w.hosts, m.hosts.put(h.key, h))
	}
	if !s.Founded {
		return nil
	}
	if err := m.lead(w); err != nil {
		return err
	}
	if err := m.formOne(w); err != nil {
		return err
	}
	if s.Durable { // started anew, they have less behind them that would be played back again and again
		for i := range w.hosts {
			if b := m.input(w, i, inputCrash, -1); b != nil {
				return b.err()
			}
		}
		if err := m.lead(w); err != nil {
			return err
		}
	}
	for range 3 { // until no manager is about to ask the others what they are
		if b := m.nextTimer(w); b != nil {
			return b.err()
		}
		if err := m.settle(w); err != nil {
			return err
		}
	}
	if s.Deposed {
		if err := m.depose(w); err != nil {
			return err
		}
	}
	if s.Replacing {
		if err := m.replace(w); err != nil {
			return err
		}
	}
	m.quiet = s.budgets[budgetWipe] == 0 && !s.Replacing
	for i := range s.asks {
		var to []uint32
		for host := range w.hosts {
			e := s.asks[i].envelope(i, nil)
			e.Cluster, e.To = m.hosts.at(w.hosts[host]).seat.view.Cluster, core.Peer{Addr: seatName(host)}
			to = append(to, m.keepMessage(e))
		}
		m.lookups = append(m.lookups, to)
	}
	return nil
}

// lead has all happen until the managers have a cluster, and one leads.
func (m *Model) lead(w *world) error {
	for rounds := 0; ; {
		moved, b := m.calmSeat(w)
		if b == nil && !moved {
			if m.seatsEnded(w) {
				return nil
			}
			if rounds++; rounds > calmRounds {
				return fmt.Errorf("before the search: %s", m.unsettled(w))
			}
			b = m.nextTimer(w)
		}
		if b != nil {
			return b.err()
		}
	}
}

// depose has another manager than m1 lead, of which m1 hears nothing: it stands still meanwhile.
func (m *Model) depose(w *world) error {
	first := w.hosts[0]
	still := &host{disk: &disk{}, seat: m.hosts.at(first).seat.down()}
	m.encodeSeat(still, nil)
	w.hosts[0] = m.hosts.put(still.key, still)
	defer func() { w.hosts[0] = first }()
	for range calmRounds {
		if slices.ContainsFunc(w.hosts, func(id uint32) bool { return m.hosts.at(id).seat.leads != 0 }) {
			return nil
		}
		if b := m.nextTimer(w); b != nil {
			return b.err()
		}
		for moved := true; moved; {
			m.forgetMessages(w, 0)
			var b *broken
			if moved, b = m.calmOf(w, 1); b != nil {
				return b.err()
			}
		}
	}
	return errors.New("before the search: nobody leads in the place of m1")
}

// replace has the last manager come back without data, until the leader proposes to replace it.
func (m *Model) replace(w *world) error {
	b := m.input(w, len(w.hosts)-1, inputWipe, -1)
	for rounds := 0; b == nil && rounds < calmRounds; {
		if slices.ContainsFunc(w.hosts, func(id uint32) bool { s := m.hosts.at(id).seat; return s.leads != 0 && !s.view.Settled }) {
			return nil
		}
		var moved bool
		if moved, b = m.calmSeat(w); b == nil && !moved {
			rounds++
			b = m.nextTimer(w)
		}
	}
	if b != nil {
		return b.err()
	}
	return errors.New("before the search: nobody replaces the manager that has lost its data")
}

// formOne has a storage node register, and a group form, so that there are commands to agree on.
// The node is never heard again.
func (m *Model) formOne(w *world) error {
	leads := slices.IndexFunc(w.hosts, func(id uint32) bool { return m.hosts.at(id).seat.leads != 0 })
	node := core.Peer{ID: clientID - 1, Addr: hostName(0)}
	say := func(from core.Peer, body core.Message) error {
		s := m.hosts.at(w.hosts[leads]).seat
		e := &core.Envelope{Cluster: s.view.Cluster, From: from, To: core.Peer{ID: s.self, Addr: seatName(leads)}, Body: body}
		if b := m.input(w, leads, m.keepMessage(e), -1); b != nil {
			return b.err()
		}
		return m.settle(w)
	}
	var ping *core.Ping
	var formed core.GroupID
	m.heard = func(e *core.Envelope) {
		switch b := e.Body.(type) {
		case *core.Ping:
			ping = b
		case *core.LookupReply:
			formed = groupOf(b)
		}
	}
	defer func() { m.heard = nil }()
	if err := say(node, &core.Register{Boot: 1, Secret: 1, Durable: m.scenario.Durable}); err != nil {
		return err
	}
	for rounds := 0; ping == nil && rounds < calmRounds; rounds++ {
		if b := m.nextTimer(w); b != nil {
			return b.err()
		}
		if err := m.settle(w); err != nil {
			return err
		}
	}
	if ping == nil {
		return errors.New("before the search: a storage node has registered, and is not pinged")
	}
	if err := say(node, &core.Pong{Nonce: ping.Nonce, Token: ping.Token, Boot: 1}); err != nil {
		return err
	}
	err := say(clientPeer(askFirstID-1), &core.Lookup{Key: "x", Create: true})
	if err == nil && formed == 0 {
		err = errors.New("before the search: no group has formed")
	}
	return err
}
