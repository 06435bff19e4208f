package core

import "slices"

// leaders is what a node or a client knows of several managers, of which one leads. With one
// manager alone it is empty, and nobody asks it.
type leaders struct {
	known []Peer // never changed in place; the IDs are 0 where they are not known
	told  Term   // the latest of which it was told who leads
	asked string // the address of whom a node asked last to register it
	kept  []Peer // those that a storage node made durable; never changed in place
}

func (l *leaders) several() bool { return len(l.known) > 0 }

// after is the manager to be tried when one does not answer: each has its turn. Who is there
// may have lost its data, and be another one.
func (l *leaders) after(p Peer) Peer {
	i := slices.IndexFunc(l.known, func(k Peer) bool { return k.Addr == p.Addr })
	if i < 0 {
		i = l.at(p.Addr)
	}
	return Peer{Addr: l.known[(i+1)%len(l.known)].Addr}
}

// at is where the manager at an address is among those that are known; -1 for none.
func (l *leaders) at(addr string) int {
	return slices.IndexFunc(l.known, func(k Peer) bool { return SameAddr(k.Addr, addr) })
}

// named finds a manager by its id; the zero Peer if there is none.
func (l *leaders) named(id NodeID) Peer {
	for _, p := range l.known {
		if p.ID == id && id != 0 {
			return p
		}
	}
	return Peer{}
}

// learn takes in who the managers are. Addresses that were known before stay, to be tried
// where nobody else answers; but who is at a manager's place is that manager.
func (l *leaders) learn(managers []Peer) {
	if !l.several() || len(managers) == 0 {
		return
	}
	known := slices.Clone(managers)
	for _, p := range l.known {
		if len(known) < ManagersMax && !slices.ContainsFunc(known, func(k Peer) bool { return Place(k.Addr) == Place(p.Addr) }) {
			known = append(known, Peer{Addr: p.Addr})
		}
	}
	if !slices.Equal(known, l.known) {
		l.known = known
	}
}

// recall takes in the managers that an earlier start kept. Those of the list are tried first, and
// have the names that were kept where the list has none. A process without a certificate expects
// no names.
func (l *leaders) recall(kept []Peer, certified bool) {
	l.kept = kept
	if !l.several() {
		return
	}
	l.known = slices.Clone(l.known)
	for _, p := range kept {
		a := p.Addr
		if !certified {
			a = Place(a)
		}
		if i := l.at(a); i >= 0 {
			l.known[i].Addr = NamedAddr(nameIn(a), l.known[i].Addr)
		} else if len(l.known) < ManagersMax {
			l.known = append(l.known, Peer{Addr: a})
		}
	}
}

// meet learns the name of a manager of the list that has answered.
func (l *leaders) meet(p Peer) {
	if i := l.at(p.Addr); i >= 0 && l.known[i].Addr != p.Addr && isNamed(p.Addr) {
		l.known = slices.Clone(l.known)
		l.known[i].Addr = p.Addr
	}
}

// follow takes a manager's word on who leads, and returns whether that is news: a term has
// one leader, so two managers who know different terms do not send anybody to and fro.
func (l *leaders) follow(m *NotLeader, manager *Peer) bool {
	if m.Leader.ID == 0 || m.Term < l.told || *manager == m.Leader {
		return false
	}
	l.told, *manager = m.Term, m.Leader
	l.meet(m.Leader)
	return true
}
