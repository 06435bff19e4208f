package transport

import (
	"sync/atomic"

	"gtstore/netrpc/internal/identity"
)

// A name has no more than a part of what there is for all: one in nameShare of the
// connections, and of what is free of places in the inbox and of bytes. So who has stolen one
// certificate, or has lost control of a program, leaves something to the others.
const nameShare = 2

// namesake is what all connections have together whose peers have the same name. It is there as
// long as one of them is.
type namesake struct {
	bytes       atomic.Int64      // of the budget
	waiting     atomic.Int64      // envelopes in the inbox
	had         [laneCount]uint64 // as way.had; guarded by the Inbox
	connections int               // guarded by the server
}

// name notes who is at the other end of a connection, whose preface has come. When there are too
// many of its name, the one unused for longest makes room. It is called before anything is held
// for the connection.
func (s *server) name(c *conn, p *identity.Peer) {
	s.mu.Lock()
	s.made(c)
	if p == nil || s.conns[c.address] != c { // it has ended meanwhile
		s.mu.Unlock()
		return
	}
	name := p.Short()
	n := s.names[name]
	if n == nil {
		n = new(namesake)
		s.names[name] = n
	}
	var old *conn
	if n.connections >= max(1, s.t.opt.ConnectionsMax/nameShare) {
		if old = s.leastUsed(n); old != nil {
			s.drop(old)
		}
	}
	c.of, c.called = n, name
	c.account.of, c.source.of = n, n
	n.connections++
	s.mu.Unlock()
	if old != nil {
		old.end(errQuota)
	}
}

// drop takes a connection off the lists. The caller holds mu.
func (s *server) drop(c *conn) {
	if s.conns[c.address] != c {
		return
	}
	delete(s.conns, c.address)
	s.made(c)
	if c.of != nil {
		if c.of.connections--; c.of.connections == 0 {
			delete(s.names, c.called)
		}
	}
}
