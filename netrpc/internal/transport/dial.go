package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"syscall"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
)

// isRefused tells whether an address refused a connection: nobody listens there.
// Other failures are no sign of that: an unreachable host, a reset in the middle
// of the handshake, a firewall that forbids.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// dial connects to an address and exchanges the preface. When an attempt is overdue, a
// second one is made beside it, since a firewall that swallows the packets of one
// connection may let those of another through. The first to work wins.
func dial(ctx context.Context, address string, o *Options) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel() // which ends the slower attempt too
	type result struct {
		s   *stream
		err error
	}
	results := make(chan result)
	attempt := func() {
		s, err := dialOnce(ctx, address, o)
		select {
		case results <- result{s, err}:
		case <-ctx.Done():
			if s != nil {
				s.Close()
			}
		}
	}
	go attempt()
	overdue := time.NewTimer(o.SilenceMax)
	defer overdue.Stop()
	under := 1
	var failure error
	for {
		select {
		case <-overdue.C:
			under++
			go attempt()
		case r := <-results:
			if r.err == nil {
				return r.s, nil
			}
			if failure == nil || isRefused(r.err) {
				failure = r.err
			}
			if under--; under == 0 || isRefused(r.err) {
				return nil, failure
			}
		case <-ctx.Done():
			if failure == nil {
				failure = fmt.Errorf("no connection and handshake: %w", context.Cause(ctx))
			}
			return nil, failure
		}
	}
}

// dialOnce makes one attempt.
func dialOnce(ctx context.Context, address string, o *Options) (*stream, error) {
	want, hostPort := identity.WantedAt(address)
	if o.Identity == nil && want.Name != "" {
		return nil, fmt.Errorf("%v had a certificate when it was last heard, and this process has none: give it --tls-cert, --tls-key and --tls-ca, or start that one again without", want)
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", hostPort)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	s, err := handshake(ctx, c, o, &want, nil)
	if !stop() { // the context has ended, and with it the connection
		err = fmt.Errorf("handshake: %w", context.Cause(ctx))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// Answer is what an address has answered to Ask.
type Answer struct {
	Hello
	Addr string // the address, with the name of whoever is there, if it has a certificate
}

// Ask connects to an address and asks what it is; with TLS, if there is an identity.
func Ask(ctx context.Context, id *identity.Source, address string) (Answer, error) {
	o := DefaultOptions()
	o.Identity = id
	s, err := dial(ctx, address, &o)
	if err != nil {
		return Answer{}, err
	}
	if s.peer != nil {
		address = s.peer.At(core.Place(address))
	}
	t := &Transport{opt: o, rpc: rpc.NewServer()} // which serves nothing
	d := newDuplex(t, s, nil, newQueue(0, newBudget(0).account()), nil)
	defer d.kill()
	d.mu.Lock()
	call := d.client.Go(methodNames[methodHello], &Empty{}, new(Hello), make(chan *rpc.Call, 1))
	out, held := d.takeOut()
	d.mu.Unlock()
	if out != nil { // else the connection has broken, and the call says so
		_ = d.writeFrames(out) // likewise
		d.wrote(out, held)
	}
	select {
	case <-call.Done:
		return Answer{*call.Reply.(*Hello), address}, call.Error
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("call: %w", context.Cause(ctx))
	}
}
