package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
)

// handshake makes TLS on a connection, if this process has an identity, and exchanges the
// preface, within the time-out. Whoever dialled says whom it wants; the other end takes turns.
func handshake(ctx context.Context, c net.Conn, o *Options, want *identity.Wanted, turn *turn) (*stream, error) {
	if err := c.SetDeadline(time.Now().Add(o.DialTimeout)); err != nil {
		return nil, err
	}
	if o.Identity == nil {
		s, err := greet(c, o)
		if err != nil {
			return nil, fmt.Errorf("handshake: %w", err)
		}
		return s, nil
	}
	w := newCarrier(c, turn)
	var sealed net.Conn
	var peer *identity.Peer
	var err error
	if want != nil {
		sealed, peer, err = o.Identity.Client(ctx, w, *want)
	} else {
		sealed, peer, err = o.Identity.Server(ctx, w)
	}
	turn.end()
	w.turn = nil
	if err != nil {
		return nil, err
	}
	s, err := greet(sealed, o)
	if err != nil {
		if want != nil { // it looks at this process's certificate only after its own part of the handshake
			o.Identity.Forget(c)
			err = identity.Rejection(err)
		}
		return nil, fmt.Errorf("handshake: %w", err)
	}
	w.begin()
	s.carrier, s.peer = w, peer
	s.writer.initSealed(sealed, w)
	return s, nil
}

// received is how many bytes have come, those of records with TLS.
func (s *stream) received() uint64 {
	if s.carrier != nil {
		return s.carrier.got.Load()
	}
	return s.got.Load()
}

// expired tells why the connection must end for what its certificates say; nil if it need not.
func (s *stream) expired() error {
	if s.peer == nil {
		return nil
	}
	return s.peer.Over()
}

// Refusals counts what was refused for what a certificate says.
type Refusals struct {
	Handshakes atomic.Uint64 // connections without a certificate that is good here
	Messages   atomic.Uint64 // connections that ended as somebody said what it may not
	Ended      atomic.Uint64 // connections that ended with a certificate, or as its name was denied
}

// Refusals returns what was counted so far.
func (t *Transport) Refusals() *Refusals { return &t.refusals }

var errForbidden = errors.New("it may not say that")

// refusedHandshake notes that one who has connected did not show a certificate that is good here.
// One that went away in the middle may be any that ended just then.
func (t *Transport) refusedHandshake(peer string, err error) {
	if identity.IsGone(err) {
		t.notes.say(noteLeft, "a connection was given up by its peer in the handshake", peer, err)
		return
	}
	t.refusals.Handshakes.Add(1)
	t.notes.say(noteHandshake, "a connection was refused", peer, err)
}

// failedDial notes why a connection could not be made. Where somebody else is than was expected,
// a person has to know.
func (t *Transport) failedDial(address string, err error) {
	if !identity.IsStranger(err) {
		t.notes.say(noteDial, "cannot connect", address, err)
		return
	}
	t.refusals.Handshakes.Add(1)
	t.notes.say(noteStranger, "a connection was refused: at this address is not who belongs there", address, err)
}

// ended notes why a connection ended, if that was for what somebody may not say.
func (t *Transport) ended(s *stream, why error) {
	if errors.Is(why, errForbidden) {
		t.refusals.Messages.Add(1)
		t.notes.say(noteForbidden, "a connection was ended: its peer says what it may not", s.RemoteAddr().String(), why)
	}
}

// maySend tells whether the peer may send the kind of message whose frame it is, which is not
// decoded yet.
func (d *duplex) maySend(frame []byte) error {
	if d.peer == nil {
		return nil
	}
	own := d.t.opt.Identity.Name().Role
	if k := core.KindIn(frame); !k.MaySend(d.peer.Role, own) {
		return fmt.Errorf("%w: %s sends %v to a %v", errForbidden, d.peer.Short(), k, own)
	}
	return nil
}

// believe holds who the senders of envelopes claim to be against who the peer is. A client is
// who its certificate says, whatever it claims. The id of a node or a manager belongs to the name
// in the address under which its cluster knows it; that of a manager whose name the cluster does
// not know yet to the name that used it first. What is neither known nor harmful passes, or is taken off the list.
func (d *duplex) believe(list []core.Envelope) ([]core.Envelope, error) {
	p := d.peer
	if p == nil {
		return list, nil
	}
	kept := list[:0]
	for i := range list {
		e := &list[i]
		keep, err := true, error(nil)
		switch p.Role {
		case core.RoleClient, core.RoleOperator:
			e.From.ID = p.Bind(e.From.ID)
		case core.RoleNode:
			keep, err = d.believeNode(e)
		case core.RoleManager:
			err = d.believeManager(e)
		}
		if err != nil {
			return nil, err
		}
		if keep {
			kept = append(kept, *e)
		}
	}
	return kept, nil
}

// believeManager is believe for a manager.
func (d *duplex) believeManager(e *core.Envelope) error {
	own := d.peer.Owner()
	if claimed, _ := core.SplitAddr(e.From.Addr); claimed != own && (d.owner == nil || namesAddress(e.Body)) {
		return fmt.Errorf("%w: %s answers from %q, an address that is not its own: it must begin with its name", errForbidden, d.peer.Short(), e.From.Addr)
	}
	owner, _ := d.t.nameOf(e.From.ID)
	if owner == "" {
		owner = d.t.managers.bind(e.From.ID, own)
	}
	if owner != own {
		return fmt.Errorf("%w: %s claims to be manager %v, which is %s", errForbidden, d.peer.Short(), e.From.ID, owner)
	}
	return nil
}

// believeNode is believe for a node.
func (d *duplex) believeNode(e *core.Envelope) (keep bool, err error) {
	p := d.peer
	name, known := d.t.nameOf(e.From.ID)
	_, registers := e.Body.(*core.Register)
	if registers {
		if claimed, _ := core.SplitAddr(e.From.Addr); claimed != p.Owner() {
			return false, fmt.Errorf("%w: %s registers at %q, an address that is not its own: it must begin with its name", errForbidden, p.Short(), e.From.Addr)
		}
	}
	switch {
	case known && name != "" && name != p.Owner():
		return false, fmt.Errorf("%w: %s claims to be node %v, which is %s", errForbidden, p.Short(), e.From.ID, name)
	case known && name == "" && !registers:
		return false, nil // known from before there were certificates, until it registers
	}
	if c := configOf(e.Body); c != nil {
		return d.believeConfig(e.From.ID, c)
	}
	return true, nil
}

// believeConfig tells what is wrong with a config that comes along with what a node says:
// the node must be in it, under its name; and nobody in it who is known may have another. One
// that has no name for who is known by one is of an epoch before there were certificates, and
// not to be kept.
func (d *duplex) believeConfig(from core.NodeID, c *core.Config) (keep bool, err error) {
	own := d.t.opt.Identity.Name().Role
	if own != core.RoleNode { // a client is told of configs by whoever is in an older one
		return true, nil
	}
	keep = true
	found := false
	for _, p := range append(c.Chain[:len(c.Chain):len(c.Chain)], c.Joining) {
		name, _ := core.SplitAddr(p.Addr)
		known, _ := d.t.nameOf(p.ID)
		keep = keep && (known == "" || name != "")
		if known != "" && name != "" && name != known {
			return false, fmt.Errorf("%w: %s has a config in which node %v is %q, and it is %q", errForbidden, d.peer.Short(), p.ID, name, known)
		}
		found = found || p.ID == from && name == d.peer.Owner()
	}
	if !found {
		return false, fmt.Errorf("%w: %s has a config in which it is not", errForbidden, d.peer.Short())
	}
	return keep, nil
}

// managers binds the ids of managers whose names the cluster does not know to those that used them
// first, in this process: of managers from before there were certificates, and of those of whom
// this process was not told yet.
type managers struct {
	mu    sync.Mutex
	names map[core.NodeID]string
}

// managersMax bounds the ids that are remembered: far more managers than a cluster ever has.
const managersMax = 1024

// bind returns the name that an id is bound to: to this one, if it was to none.
func (m *managers) bind(id core.NodeID, name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if bound, ok := m.names[id]; ok {
		return bound
	}
	if m.names == nil || len(m.names) >= managersMax {
		m.names = make(map[core.NodeID]string)
	}
	m.names[id] = name
	return name
}
