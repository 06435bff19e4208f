package transport

import (
	"errors"
	"fmt"

	"gtstore/core"
	"gtstore/core/wire"
)

// The first byte of a frame: a method that is called, as net/rpc and as the wire name it,
// or what became of a call.
const (
	methodHello byte = iota + 1
	methodDeliver
	callDone
	callFailed
	frameKindEnd
)

var methodNames = [callDone]string{methodHello: "Node.Hello", methodDeliver: "Node.Deliver"}

func methodOf(name string) byte {
	for m, n := range methodNames {
		if n == name {
			return byte(m)
		}
	}
	return 0
}

// Role is what a node's process does.
type Role uint8

const (
	RoleManager Role = iota + 1
	RoleStorage
	RoleSeveral
	roleEnd
)

func (r Role) String() string {
	switch r {
	case RoleManager:
		return "manager"
	case RoleStorage:
		return "storage node"
	case RoleSeveral:
		return "manager that is one of several"
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// Hello is how a process answers whoever wants to know what it is.
type Hello struct {
	Role Role
	ID   core.NodeID
}

func (h *Hello) code(c *wire.Coder) {
	wire.Enum(c, &h.Role, roleEnd)
	wire.Fixed64(c, &h.ID)
}

// Empty is the argument or the result of a method that has none.
type Empty struct{}

var errProtocol = errors.New("transport: the peer does not keep to the protocol")

// service is what net/rpc calls.
type service struct{ hello Hello }

// Hello tells what this process is.
func (s *service) Hello(_ *Empty, reply *Hello) error {
	*reply = s.hello
	return nil
}

// Deliver takes envelopes in.
func (s *service) Deliver(b *Batch, _ *Empty) error {
	b.duplex.deliver(b)
	return nil
}

func appendBody(dst *buffer, body any) {
	switch b := body.(type) {
	case *Batch:
		b.append(dst)
	case *Hello:
		c := wire.NewFrame(dst.b)
		b.code(&c)
		dst.b = c.Seal()
	}
}

// decodeBody reads a body. A shared src is one that nobody will change any more.
func decodeBody(src []byte, shared bool, body any, like *core.Envelope) error {
	switch b := body.(type) {
	case *Batch:
		return b.decode(src, shared, like)
	case *Hello:
		c := wire.OpenFrame(src)
		b.code(&c)
		return c.End()
	case *Empty:
		if len(src) > 0 {
			return fmt.Errorf("%w: %d bytes where none belong", errProtocol, len(src))
		}
	}
	return nil
}
