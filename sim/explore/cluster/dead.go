package cluster

// A message is dead if it does nothing at its host, and nothing at whatever may become of that
// host. Two states that differ only in dead messages go on alike, so the search takes dead
// messages off the network.
//
// Which are dead is known only once it is known what may become of each host. So a pass of the
// search takes every message that does nothing for dead, unless it is known to wake, and
// notes what it has dropped and what became of the hosts. Then learn tries each dropped message
// at all that became of its host. If none does anything there, then each step that a
// search without this takes is one of the pass too: the pass is complete. Otherwise the
// next pass keeps those that woke. No rule of the protocol is taken for granted, so this holds
// for a mutant as well.

// Proven implements explore.Prover.
func (m *Model) Proven() bool { return m.learn() == 0 }

// drop takes the messages that seem dead off the network of the next state, and notes what
// became of each host.
func (w *worker) drop() {
	m, n := w.m, &w.next
	for i, was := range w.at.hosts {
		if is := n.hosts[i]; is != was {
			m.became.add(pair(was, is))
		}
	}
	for i := 0; i < len(n.messages); {
		if m.seemsDead(n, n.messages[i]) {
			m.take(n, i)
		} else {
			i++
		}
	}
}

func (m *Model) seemsDead(w *world, id uint32) bool {
	to := m.messages.at(id).to
	if to < 0 {
		// The stub refuses what is about another epoch than its last, and no epoch comes back.
		o := m.order(w.manager, id)
		return o.to == w.manager && !o.answers
	}
	host := w.hosts[to]
	if !m.hosts.at(host).up() || !m.after(host, id).quiet(host) || m.wakes.has(pair(host, id)) {
		return false
	}
	m.dropped.add(pair(host, id))
	return true
}

// learn notes of which hosts something can become to which a message that was dropped does
// something. It returns how many such messages it found; none proves the pass.
func (m *Model) learn() int {
	next, before := map[uint32][]uint32{}, map[uint32][]uint32{}
	for p := range m.became.all {
		was, is := uint32(p>>32), uint32(p)
		next[was], before[is] = append(next[was], is), append(before[is], was)
	}
	var dropped, woken []uint64
	for p := range m.dropped.all {
		if !m.wakes.has(p) {
			dropped = append(dropped, p)
		}
	}
	follow(dropped, next, func(host, message uint32) {
		if m.hosts.at(host).up() && !m.after(host, message).quiet(host) {
			woken = append(woken, pair(host, message))
		}
	})
	follow(woken, before, func(host, message uint32) { m.wakes.add(pair(host, message)) })
	return len(woken)
}

// follow visits pairs of a host and a message, and all pairs of the message and a host to which
// the links lead from there, each once.
func follow(pairs []uint64, links map[uint32][]uint32, visit func(host, message uint32)) {
	seen := make(map[uint64]bool, len(pairs))
	for _, p := range pairs {
		seen[p] = true
	}
	for len(pairs) > 0 {
		p := pairs[len(pairs)-1]
		pairs = pairs[:len(pairs)-1]
		host, message := uint32(p>>32), uint32(p)
		visit(host, message)
		for _, to := range links[host] {
			if q := pair(to, message); !seen[q] {
				seen[q] = true
				pairs = append(pairs, q)
			}
		}
	}
}
