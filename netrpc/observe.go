package netrpc

import (
	"strings"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/transport"
)

// An Observer is told what happens in a server, for metrics. Whoever steps the node calls it,
// one call at a time, and waits: so it must return at once, and keep nothing that it is given.
type Observer interface {
	// Events is told of all that the core says has happened. A node's name is what people
	// call it: a manager knows the names of all, a storage node the addresses of its groups'
	// members. It is "" where neither is known, and may be asked for within the call.
	Events(list []core.Event, name func(core.NodeID) string)
	// Answered is told of each answer to a client's operation that leaves, and how long it is
	// since the node took the operation in.
	Answered(kind core.OpKind, status core.Status, took time.Duration)
	// Synced is told how long it took to make a batch of writes durable.
	Synced(took time.Duration)
}

// watched is what a host notes for its observer. Of a host without one nothing is noted.
type watched struct {
	Observer
	asked map[asked]taken // operations that are not answered yet
	syncs [syncsMax]core.Time
	begun int // syncs so far
	ended int
}

// asked is an operation: the request of a client, which may have come over several connections.
type asked struct {
	client core.NodeID
	req    uint64
}

type taken struct {
	kind core.OpKind
	at   core.Time
}

// askedMax bounds the operations that are noted. A node has no more under way, by the limits
// of the core; one that is asked again and again by clients that are gone is not measured.
const askedMax = 1 << 14

// observe wraps an observer; it returns nil for none.
func observe(o Observer) *watched {
	if o == nil {
		return nil
	}
	return &watched{Observer: o, asked: make(map[asked]taken)}
}

// took notes an operation that the node takes in.
func (w *watched) took(e *core.Envelope, now core.Time) {
	op, ok := e.Body.(*core.Op)
	if !ok || len(w.asked) >= askedMax {
		return
	}
	key := asked{e.From.ID, op.Req}
	if _, again := w.asked[key]; !again {
		w.asked[key] = taken{op.Kind, now}
	}
}

// answers tells the observer of an answer.
func (w *watched) answers(e *core.Envelope, now core.Time) {
	r, ok := e.Body.(*core.Reply)
	if !ok {
		return
	}
	key := asked{e.To.ID, r.Req}
	if t, known := w.asked[key]; known {
		delete(w.asked, key)
		w.Answered(t.kind, r.Status, now.Since(t.at))
	}
}

// rests forgets operations that are never answered, when the node has none under way.
func (w *watched) rests() { clear(w.asked) }

func (w *watched) syncBegins(now core.Time) {
	w.syncs[w.begun%syncsMax] = now
	w.begun++
}

func (w *watched) syncEnds(now core.Time) {
	w.Synced(now.Since(w.syncs[w.ended%syncsMax]))
	w.ended++
}

// nameOf is what people call a node: its name, or its address where that is not known.
func (h *host) nameOf(id core.NodeID) string {
	if id == h.self.ID {
		return ""
	}
	switch n := h.node.(type) {
	case *core.Storage:
		return AddressName(n.AddressOf(id))
	case *core.Manager:
		return n.NameOf(id)
	case interface{ Core() *core.Manager }:
		if m := n.Core(); m != nil {
			return m.NameOf(id)
		}
	}
	return ""
}

// chainOf is the chain of a group's config, as people call its members; "" if it is not known.
func (h *host) chainOf(id core.GroupID) string {
	var c *core.Config
	switch n := h.node.(type) {
	case *core.Storage:
		c = n.Config(id)
	case *core.Manager:
		c = n.Config(id)
	case interface{ Core() *core.Manager }:
		c = n.Core().Config(id)
	}
	if c == nil {
		return ""
	}
	names := make([]string, len(c.Chain))
	for i, p := range c.Chain {
		if names[i] = h.nameOf(p.ID); names[i] == "" {
			names[i] = AddressName(p.Addr)
		}
	}
	return strings.Join(names, " > ")
}

// Look is what a server is doing at one moment. Its Storage, or its Manager, is the node
// itself: it may be read while the Look lasts, and not be changed.
type Look struct {
	Now     core.Time
	Storage *core.Storage // nil for a manager
	Manager *core.Manager // nil for a storage node, and for one of several managers that is in no cluster yet
	Syncs   int           // under way; -1 in memory mode
	Heard   time.Duration // since a storage node heard its manager, or began
	Traffic
}

// Traffic is what waits in a server, and what it lost.
type Traffic = transport.Stats

// lookTime is how long a look may wait for its turn: a loop that stands still longer is stuck.
const lookTime = 2 * time.Second

// Look calls f while nobody steps the node, so f must be short: the node stands still
// meanwhile. It returns false, and has not called f, when the node has ended, or had not
// finished a step after two seconds.
func (s *Server) Look(f func(*Look)) bool {
	h := s.host
	for waited := time.Now(); !h.busy.CompareAndSwap(false, true); {
		if h.halted.Load() || time.Since(waited) > lookTime {
			return false
		}
		select {
		case <-h.done:
			return false
		case <-time.After(20 * time.Microsecond):
		}
	}
	l := Look{Now: h.now(), Syncs: -1, Traffic: h.net.Stats()}
	switch n := h.node.(type) {
	case *core.Storage:
		l.Storage = n
	case *core.Manager:
		l.Manager = n
	case interface{ Core() *core.Manager }:
		l.Manager = n.Core()
	}
	if h.disk != nil {
		l.Syncs = h.disk.gate.UnderWay()
	}
	if s.watch != nil {
		l.Heard = s.watch.quiet()
	}
	f(&l)
	h.busy.Store(false)
	h.drive() // what came meanwhile
	return true
}
