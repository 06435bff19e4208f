package netrpc

import (
	"slices"
	"strings"
	"sync"

	"gtstore/core"
)

// leaders is whom of several managers an operator's requests go to: the one that leads, as far
// as is known, or else each in turn. What a client's operations need is for the core.
type leaders struct {
	addresses []string // empty for a manager that is alone

	mu   sync.Mutex
	at   core.Peer // whom the requests go to
	told core.Term // the latest of which it was told who leads
}

func (l *leaders) several() bool { return len(l.addresses) > 0 }

func (l *leaders) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, a := range l.addresses {
		list = append(list, hostPort(a))
	}
	return strings.Join(list, ", ")
}

// next has another one asked, if that one is asked still.
func (l *leaders) next(was core.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == was {
		l.at = core.Peer{Addr: l.addresses[(l.find(was.Addr)+1)%len(l.addresses)]}
	}
}

// meet learns the name of a manager that has answered.
func (l *leaders) meet(p core.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learn(p.Addr)
}

// learn has a manager of the list go by its name from now on. The caller holds mu.
func (l *leaders) learn(address string) {
	if i := l.find(address); i >= 0 && address != hostPort(address) {
		l.addresses[i] = address
	}
}

// find is where the manager at an address is on the list; -1 for nowhere.
func (l *leaders) find(address string) int {
	return slices.IndexFunc(l.addresses, func(a string) bool { return core.SameAddr(a, address) })
}

func (l *leaders) asked() core.Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// follow takes a manager's word on who leads, and tells whether that is another than the one
// that is asked.
func (l *leaders) follow(m *core.NotLeader) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.Leader.ID == 0 || m.Term < l.told || l.at == m.Leader {
		return false
	}
	l.told, l.at = m.Term, m.Leader
	l.learn(m.Leader.Addr)
	return true
}
