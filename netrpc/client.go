package netrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"gtstore/core"
	"gtstore/core/wire"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/transport"
)

// Client does operations on a cluster. It is safe for many goroutines: each
// operation borrows a session of its own, so they run at the same time. A
// write of unknown outcome is never repeated by a second call.
type Client struct {
	host    *host
	role    core.Role     // by its certificate; without TLS anybody is an operator
	manager core.Peer     // that is alone
	leaders leaders       // of several
	cluster atomic.Uint64 // its id, once known; it never changes
	other   atomic.Uint64 // id of the other cluster whose manager has taken the address, or 0
	refused atomic.Bool   // the manager's address did, when it was last tried

	mu    sync.Mutex
	calls map[uint64]chan *core.Result  // callers that wait, by the id of the call; nil once closed
	asked map[uint64]chan core.Envelope // an operator's requests that wait, by their id; nil once closed
}

// Result is what an operation did and who did it.
type Result struct {
	Version core.Seq // of the value written or read
	Node    core.NodeID
	Group   core.GroupID
	Epoch   core.Epoch
}

// Value is what a get found.
type Value struct {
	Data []byte
	Result
}

// Dialer makes clients. The zero value is good.
type Dialer struct {
	Logger *slog.Logger
	TLS    TLS                // of role client or operator; the zero value: no TLS
	Core   core.ClientOptions // Self, Manager, Managers and Seed are set by Dial
}

// Dial connects to a cluster by the addresses (HOST:PORT) of its managers; with TLS (Dialer) by
// NAME@HOST:PORT, of the name in the manager's certificate: who answers is then known from the
// first word on. Where there are
// several, the client follows whichever of them leads: name them all, and it needs any majority
// of them. With managers that are alone the first that answers is used. They are asked in the order
// of the list; one that does not answer within 250 ms is waited for no longer before the next is
// asked, too. Dial fails at once when every address refuses, and at the latest when the context
// ends; then the error is of class ErrUnavailable, and says what became of each. An address that can
// be nobody's (see CheckAddress) is an error of no class.
func Dial(ctx context.Context, managers []string) (*Client, error) {
	return new(Dialer).Dial(ctx, managers)
}

// Dial is the function Dial with the options of the Dialer.
func (d *Dialer) Dial(ctx context.Context, managers []string) (*Client, error) {
	if len(managers) == 0 {
		return nil, errors.New("netrpc: no manager named: give the address (host:port) of one")
	}
	managers, err := ManagerAddresses(managers, d.TLS != TLS{})
	if err != nil { // of no class: to try again is of no use
		return nil, err
	}
	id, err := d.TLS.load(logger(d.Logger), "a client", core.RoleClient, core.RoleOperator)
	if err != nil {
		return nil, err
	}
	at, hello, err := firstToAnswer(ctx, managers, func(ctx context.Context, address string) (transport.Answer, error) {
		hello, err := transport.Ask(ctx, id, address)
		switch {
		case err != nil:
			err = fmt.Errorf("manager %s: %w", ShownAddress(address), err)
		case hello.Role != transport.RoleSeveral && hello.Role != transport.RoleManager:
			err = fmt.Errorf("%s is a %v, not a manager: name the manager's address", address, hello.Role)
		}
		return hello, err
	})
	switch {
	case err != nil:
		return nil, &Error{Class: ErrUnavailable, Op: "connect", Detail: err.Error(), Cause: whyEnded(ctx)}
	case hello.Role == transport.RoleSeveral: // those before it were slower, or did not answer
		managers[at] = hello.Addr
		return d.connect(core.Peer{}, slices.Concat(managers[at:], managers[:at]), id)
	}
	return d.connect(core.Peer{ID: hello.ID, Addr: hello.Addr}, nil, id)
}

// connect makes a client of a manager that is alone, or of several, of which the first has
// answered.
func (d *Dialer) connect(manager core.Peer, several []string, id *identity.Source) (*Client, error) {
	opt := d.Core
	opt.Self, opt.Manager, opt.Seed = core.Peer{ID: core.NodeID(random())}, manager, random()
	role := core.RoleOperator
	if id != nil {
		opt.Self.ID, role = id.Name().Bind(opt.Self.ID), id.Name().Role // as whoever is asked has it
	}
	first := core.Peer{}
	if len(several) > 0 {
		first.Addr = several[0]
	}
	for _, address := range several {
		opt.Managers = append(opt.Managers, core.Peer{Addr: address})
	}
	node, err := core.NewClient(opt)
	if err != nil {
		return nil, err
	}
	c := &Client{manager: manager, role: role, leaders: leaders{addresses: several, at: first}, calls: make(map[uint64]chan *core.Result), asked: make(map[uint64]chan core.Envelope)}
	log := logger(d.Logger)
	c.host = &host{node: node, self: opt.Self, log: &eventLog{Logger: log}, id: id, local: c.ended, other: c.operate}
	c.host.start(nil, transport.Options{Logger: log})
	return c, nil
}

// Get returns the value of a key, or ErrNotFound.
func (c *Client) Get(ctx context.Context, key string) (Value, error) {
	r, err := c.do(ctx, &core.Call{Kind: core.OpGet, Key: key})
	if err != nil {
		return Value{}, err
	}
	return Value{dataOf(r.Value), resultOf(r)}, nil
}

// dataOf returns the bytes of a get's value, for the caller to do with as it likes. Nobody else
// has a value that came by the network, so a large one need not be copied. A small string may
// share its memory with others: Go keeps those of one byte in a table.
func dataOf(value string) []byte {
	if len(value) < wire.AsideBytesMin {
		return []byte(value)
	}
	return unsafe.Slice(unsafe.StringData(value), len(value))
}

// Put sets a key.
func (c *Client) Put(ctx context.Context, key string, value []byte) (Result, error) {
	return c.write(ctx, &core.Call{Kind: core.OpPut, Key: key, Value: string(value)})
}

// Delete removes a key. ErrNotFound says that it was absent.
func (c *Client) Delete(ctx context.Context, key string) (Result, error) {
	return c.write(ctx, &core.Call{Kind: core.OpDelete, Key: key})
}

// CompareAndSwap sets a key if its version is the expected one, 0 meaning that
// it is absent; else the error is an *Error of class ErrConflict with the
// current version.
func (c *Client) CompareAndSwap(ctx context.Context, key string, version core.Seq, value []byte) (Result, error) {
	return c.write(ctx, &core.Call{Kind: core.OpCAS, Key: key, Value: string(value), Version: version})
}

func (c *Client) write(ctx context.Context, call *core.Call) (Result, error) {
	r, err := c.do(ctx, call)
	if err != nil {
		return Result{}, err
	}
	return resultOf(r), nil
}

func resultOf(r *core.Result) Result { return Result{r.Version, r.Node, r.Group, r.Epoch} }

// timeoutMax is the time-out of a call whose context has no deadline. A context that is
// cancelled still ends the call, by a Cancel.
const timeoutMax = 10 * 365 * 24 * time.Hour

var waiters = sync.Pool{New: func() any { return make(chan *core.Result, 1) }}

// do hands a call to the core and waits for its one result.
func (c *Client) do(ctx context.Context, call *core.Call) (*core.Result, error) {
	call.Timeout = timeoutMax
	err := whyEnded(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		if call.Timeout = time.Until(deadline); call.Timeout <= 0 && err == nil {
			err = context.DeadlineExceeded // the context's own timer is a little late
		}
	}
	if err != nil {
		return nil, &Error{Class: ErrUnavailable, Op: call.Kind.String(), Key: call.Key, Cause: err}
	}
	waiter := waiters.Get().(chan *core.Result)
	closed := &Error{Class: ErrClosed, Op: call.Kind.String(), Key: call.Key}
	c.mu.Lock()
	if c.calls == nil {
		c.mu.Unlock()
		return nil, closed
	}
	call.ID = newID(c.calls)
	c.calls[call.ID] = waiter
	c.mu.Unlock()
	c.host.tell(core.Peer{}, call)
	var r *core.Result
	select {
	case r = <-waiter:
	case <-ctx.Done():
		c.host.tell(core.Peer{}, &core.Cancel{ID: call.ID})
		r = <-waiter
	}
	if r == nil { // closed meanwhile: the channel is not to be used again
		if call.Kind != core.OpGet {
			closed.Class, closed.Cause = ErrUnknownOutcome, ErrClosed
		}
		return nil, closed
	}
	waiters.Put(waiter)
	return r, c.outcome(ctx, call, r)
}

// newID draws an id of a call or a request, such as nobody has who waits. An answer is known by it,
// so whoever was not asked must not guess it: else any node could answer for all others. It has 48
// bits, which takes three bytes fewer in a message than all.
func newID[T any](waiting map[uint64]T) uint64 {
	for {
		id := rand.Uint64() >> 16
		if _, taken := waiting[id]; id != 0 && !taken {
			return id
		}
	}
}

// ended wakes the caller of a call that has its result.
func (c *Client) ended(r *core.Result) {
	c.mu.Lock()
	waiter := c.calls[r.ID]
	delete(c.calls, r.ID)
	c.mu.Unlock()
	if waiter != nil {
		waiter <- r
	}
}

// Close ends the client, and with it its sessions in the cluster. Operations under way
// end with ErrClosed, writes among them with ErrUnknownOutcome too.
func (c *Client) Close() {
	c.mu.Lock()
	calls, asked := c.calls, c.asked
	c.calls, c.asked = nil, nil
	c.mu.Unlock()
	if calls == nil {
		return
	}
	if c.host.tell(core.Peer{}, &core.Stop{}) {
		select {
		case <-c.host.done:
		case <-time.After(flushTime): // busy with something else: the sessions end when they are idle for long
		}
	}
	c.host.stop()
	for _, w := range calls {
		close(w)
	}
	for _, w := range asked {
		close(w)
	}
}
