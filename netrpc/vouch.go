package netrpc

import (
	"context"
	"sync"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/transport"
)

const (
	vouchTimeout = 2 * time.Second        // for a node to answer at the address that it names
	vouchGap     = 100 * time.Millisecond // that it has, when others wait for a place
	vouchMax     = 64                     // nodes that are asked at the same time
	vouchedMax   = 8192                   // nodes that are known to have answered
)

// vouch keeps from a manager the Registers of nodes, and the Enlists of managers, that are not
// where they say. A
// manager keeps the address of a node for good, and pings it. So a stranger could have it
// dial anywhere, and fill its list of nodes. Before a Register is taken in, its address
// must have answered as that node. A node that is slow to answer registers again.
type vouch struct {
	take func(*core.Envelope) // takes in a Register that is vouched for
	ask  func(ctx context.Context, address string) (transport.Hello, error)

	mu    sync.Mutex
	known map[core.Peer]bool
	asked map[core.Peer]*asking
}

type asking struct {
	since  time.Time
	cancel context.CancelFunc
}

func newVouch(take func(*core.Envelope), id *identity.Source) *vouch {
	ask := func(ctx context.Context, address string) (transport.Hello, error) {
		a, err := transport.Ask(ctx, id, address)
		return a.Hello, err
	}
	return &vouch{take: take, ask: ask, known: make(map[core.Peer]bool), asked: make(map[core.Peer]*asking)}
}

// withhold takes a Register past the node, and returns true, unless it may be taken in
// now.
func (v *vouch) withhold(e *core.Envelope) bool {
	if k := core.KindOf(e.Body); k != core.KindRegister && k != core.KindEnlist {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known[e.From] {
		return false
	}
	if v.asked[e.From] != nil || len(v.asked) >= vouchMax && !v.makeRoom() {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), vouchTimeout)
	a := &asking{time.Now(), cancel}
	v.asked[e.From] = a
	go v.check(ctx, a, *e)
	return true
}

// makeRoom gives up the node that has been asked for longest, if that is long.
func (v *vouch) makeRoom() bool {
	var longest core.Peer
	since := time.Now().Add(-vouchGap)
	for p, a := range v.asked {
		if a.since.Before(since) {
			longest, since = p, a.since
		}
	}
	a := v.asked[longest]
	if a == nil {
		return false
	}
	a.cancel()
	delete(v.asked, longest)
	return true
}

func (v *vouch) check(ctx context.Context, a *asking, e core.Envelope) {
	defer a.cancel()
	hello, err := v.ask(ctx, e.From.Addr)
	role := transport.RoleStorage
	if core.KindOf(e.Body) == core.KindEnlist {
		role = transport.RoleSeveral
	}
	good := err == nil && hello.ID == e.From.ID && hello.Role == role
	v.mu.Lock()
	if v.asked[e.From] == a { // else another has its place
		delete(v.asked, e.From)
	}
	if good {
		if len(v.known) >= vouchedMax {
			clear(v.known)
		}
		v.known[e.From] = true
	}
	v.mu.Unlock()
	if good {
		v.take(&e)
	}
}
