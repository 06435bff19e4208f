package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"sync"

	"gtstore/core"
	"gtstore/core/wire"
)

// The methods, as net/rpc and as the wire name them.
const (
	methodHello byte = iota + 1
	methodDeliver
	methodCollect
	methodEnd
)

var methodNames = [methodEnd]string{methodHello: "Node.Hello", methodDeliver: "Node.Deliver", methodCollect: "Node.Collect"}

// Role is what a node's process does.
type Role uint8

const (
	RoleManager Role = iota + 1
	RoleStorage
	roleEnd
)

func (r Role) String() string {
	switch r {
	case RoleManager:
		return "manager"
	case RoleStorage:
		return "storage node"
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// Hello is how a node answers whoever wants to know what it is.
type Hello struct {
	Role Role
	ID   core.NodeID
}

func (h *Hello) code(c *wire.Coder) {
	wire.Enum(c, &h.Role, roleEnd)
	wire.Fixed64(c, &h.ID)
}

// Empty is the argument or the result of a method that has none.
type Empty struct{ conn *conn }

var errProtocol = errors.New("transport: the peer does not keep to the protocol")

// A request is a frame of the method, its number and the argument; a response
// one of the number, 0 or 1, and the result or the text of an error.

func appendBody(dst []byte, body any) []byte {
	switch b := body.(type) {
	case *Batch:
		return b.append(dst)
	case *Hello:
		c := wire.NewFrame(dst)
		b.code(&c)
		return c.Seal()
	}
	return dst
}

func decodeBody(src []byte, body any, like *core.Envelope) error {
	switch b := body.(type) {
	case *Batch:
		return b.decode(src, like)
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

// clientCodec is the caller's end of a connection.
type clientCodec struct {
	*stream
	out    []byte
	body   []byte // of the response being read
	like   core.Envelope
	once   sync.Once
	broken chan struct{} // closed when nothing more will be read

	// collected, if set, is given each batch that was collected, in the order of arrival,
	// before the call that asked for it ends.
	collected func(*Batch)
}

func newClientCodec(s *stream) *clientCodec {
	return &clientCodec{stream: s, broken: make(chan struct{})}
}

// WriteRequest implements rpc.ClientCodec; net/rpc calls it for one request at a
// time. When it returns, nothing of the argument is needed any more.
func (c *clientCodec) WriteRequest(r *rpc.Request, body any) error {
	b, start := beginFrame(c.out[:0])
	for method, name := range methodNames {
		if name == r.ServiceMethod {
			b = append(b, byte(method))
		}
	}
	b = binary.AppendUvarint(b, r.Seq)
	b = endFrame(appendBody(b, body), start)
	err := c.writeFrames(b)
	if c.out = b; cap(b) > keepBytesMax {
		c.out = nil
	}
	return err
}

// ReadResponseHeader implements rpc.ClientCodec.
func (c *clientCodec) ReadResponseHeader(r *rpc.Response) error {
	b, err := c.readFrame()
	if err != nil {
		c.Close()
		return err
	}
	seq, n := binary.Uvarint(b)
	if n <= 0 || len(b) <= n || b[n] > 1 {
		c.Close()
		return fmt.Errorf("%w: a malformed response", errProtocol)
	}
	r.Seq = seq
	if c.body = b[n+1:]; b[n] == 1 {
		r.Error = "the node refused the request"
		if len(c.body) > 0 {
			r.Error = string(c.body[:min(len(c.body), 256)])
		}
		c.body = nil
	}
	return nil
}

// ReadResponseBody implements rpc.ClientCodec.
func (c *clientCodec) ReadResponseBody(body any) error {
	err := decodeBody(c.body, body, &c.like)
	c.body = nil
	c.freeFrame()
	if err != nil {
		c.Close()
	}
	if b, ok := body.(*Batch); ok && err == nil && c.collected != nil {
		c.collected(b)
	}
	return err
}

// Close implements rpc.ClientCodec.
func (c *clientCodec) Close() error {
	err := c.stream.Close()
	c.once.Do(func() { close(c.broken) })
	return err
}

// serverCodec is the called end of a connection. Responses are gathered and
// written by a goroutine of its own, many at a time. Reading stops while too
// many requests are unanswered, since net/rpc has no bound of its own.
type serverCodec struct {
	*stream
	conn *conn
	body []byte // of the request being read
	like core.Envelope

	slots chan struct{} // a token for each request whose response is not written
	wake  chan struct{}
	mu    sync.Mutex
	out   *buffer // responses not written yet; nil for none
	count int     // how many
	held  int     // bytes that are charged for them
	ended bool    // nothing is written any more
}

func newServerCodec(s *stream, c *conn, window int) *serverCodec {
	codec := &serverCodec{stream: s, conn: c, slots: make(chan struct{}, window), wake: make(chan struct{}, 1)}
	go codec.flush()
	return codec
}

// ReadRequestHeader implements rpc.ServerCodec. An error ends the connection:
// calls that wait for something to happen are released.
func (c *serverCodec) ReadRequestHeader(r *rpc.Request) error {
	err := c.readRequest(r)
	if err != nil {
		c.conn.settle(0)
		c.conn.end(err)
	}
	return err
}

func (c *serverCodec) readRequest(r *rpc.Request) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.conn.done:
		return io.EOF
	}
	b, err := c.readFrame()
	if err != nil {
		return err
	}
	if len(b) < 2 || b[0] == 0 || b[0] >= methodEnd {
		return fmt.Errorf("%w: a malformed request", errProtocol)
	}
	seq, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return fmt.Errorf("%w: a malformed request", errProtocol)
	}
	if b[0] != methodHello { // which only asks for a sign of life
		c.conn.usedAt.Store(c.conn.clock())
	}
	r.ServiceMethod, r.Seq = methodNames[b[0]], seq
	c.body = b[1+n:]
	return nil
}

// ReadRequestBody implements rpc.ServerCodec. The argument learns whose it is.
func (c *serverCodec) ReadRequestBody(body any) error {
	switch b := body.(type) {
	case *Batch:
		b.conn = c.conn
	case *Empty:
		b.conn = c.conn
	}
	err := decodeBody(c.body, body, &c.like)
	c.body = nil
	c.freeFrame() // before it is settled: what is not charged is not held
	if b, ok := body.(*Batch); ok && err == nil {
		c.conn.arrived(b)
	} else {
		c.conn.settle(0)
	}
	if err != nil {
		c.conn.end(err)
	}
	return err
}

// WriteResponse implements rpc.ServerCodec; net/rpc calls it for one response at
// a time, and ignores the error.
func (c *serverCodec) WriteResponse(r *rpc.Response, body any) error {
	held := 0
	batch, ok := body.(*Batch)
	if ok {
		held = batch.bytes
		defer c.conn.collecting.Unlock()
	}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		c.conn.account.give(held)
		return nil
	}
	if c.out == nil {
		c.out = newBuffer()
	}
	b, start := beginFrame(c.out.b)
	b = binary.AppendUvarint(b, r.Seq)
	if r.Error != "" {
		b = append(append(b, 1), r.Error...)
	} else {
		b = appendBody(append(b, 0), body)
	}
	c.out.b = endFrame(b, start)
	c.count++
	c.held += held
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// flush writes responses until the connection ends.
func (c *serverCodec) flush() {
	defer func() {
		c.mu.Lock()
		c.ended = true
		c.conn.account.give(c.held)
		c.out, c.count, c.held = nil, 0, 0
		c.mu.Unlock()
	}()
	for {
		select {
		case <-c.wake:
		case <-c.conn.done:
			return
		}
		c.mu.Lock()
		b, count, held := c.out, c.count, c.held
		c.out, c.count, c.held = nil, 0, 0
		c.mu.Unlock()
		if count == 0 {
			continue
		}
		c.conn.writeAt.Store(c.conn.clock())
		err := c.writeFrames(b.b)
		c.conn.writeAt.Store(0)
		b.free()
		c.conn.account.give(held)
		if err != nil {
			c.conn.end(err)
			return
		}
		for range count {
			<-c.slots
		}
	}
}

// Close implements rpc.ServerCodec.
func (c *serverCodec) Close() error {
	c.conn.end(io.EOF)
	return nil
}
