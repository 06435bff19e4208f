package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// carrier is what TLS has for its connection. What TLS writes is held, until the writer passes it
// on: so whoever has something to say never waits in TLS, and what the system does not take at
// once is left to a goroutine of the connection, as it is without TLS.
//
// And TLS is given one record at a time, so that whoever reads knows whether another is there:
// what comes at once is to be acted on at once, or each record would be a turn of the node.
type carrier struct {
	net.Conn
	got atomic.Uint64 // bytes, of records

	// Of whoever reads.
	r       *bufio.Reader // over Conn
	rest    int           // bytes of the record that TLS has begun to read
	records int           // that TLS has begun to read, and nobody has paid for
	opening bool          // the preface has not come yet
	turn    *turn         // at the processors, of the handshake; nil after it, and on a connection of ours

	mu   sync.Mutex
	hold bool    // the handshake is over
	out  *[]byte // records that were not passed on; nil for none

	writing atomic.Bool // what TLS writes the writer has given it
	unasked atomic.Bool // TLS has written something else

	// Of whoever writes.
	left []byte  // of held: what the system has not taken yet
	held *[]byte // the memory of left
}

// records are the buffers of carriers. A connection has one only while something is on its way.
var records = sync.Pool{New: func() any { return new([]byte) }}

const recordsKeepMax = 256 << 10 // bytes of a buffer that is used again

const (
	recordHeadBytes = 5        // kind, version, and the length of what follows
	recordsBytes    = 16 << 10 // of the reader's buffer
)

// system is the carrier's connection, as its reader has it.
type system carrier

func (c *system) Read(b []byte) (int, error) {
	if c.opening && c.got.Load() > handshakeBytesMax {
		return 0, errHandshakeTooLong
	}
	n, err := c.Conn.Read(b)
	c.got.Add(uint64(n))
	return n, err
}

func newCarrier(c net.Conn, turn *turn) *carrier {
	r := &carrier{Conn: c, turn: turn, opening: true}
	r.r = bufio.NewReaderSize((*system)(r), recordsBytes)
	return r
}

// Read implements io.Reader. It gives no more than what is left of a record.
func (c *carrier) Read(b []byte) (int, error) {
	c.turn.end()
	if c.unasked.Load() {
		return 0, errUnasked
	}
	if c.rest == 0 {
		c.records++
		if head, err := c.r.Peek(recordHeadBytes); err == nil {
			c.rest = recordHeadBytes + int(binary.BigEndian.Uint16(head[3:]))
		} else if c.r.Buffered() == 0 {
			return 0, err
		} else {
			c.rest = c.r.Buffered() // it will not do for TLS
		}
	}
	n, err := c.r.Read(b[:min(len(b), c.rest)])
	if c.rest -= n; c.rest == 0 && err == nil {
		err = c.turn.begin()
	}
	return n, err
}

// more tells whether a whole record is there that TLS has not begun to read. A nil carrier has none.
func (c *carrier) more() bool {
	if c == nil || c.rest > 0 || c.r.Buffered() < recordHeadBytes {
		return false
	}
	head, _ := c.r.Peek(recordHeadBytes)
	return c.r.Buffered() >= recordHeadBytes+int(binary.BigEndian.Uint16(head[3:]))
}

// recordsMax is how many records a connection may read before they are paid for.
const recordsMax = 64

// pay makes a connection wait that brings more records than anybody needs. Each costs as much as a
// small message, however little is in it.
func (s *stream) pay() {
	if s.owner != nil && s.carrier.records >= recordsMax {
		n := s.carrier.records
		s.carrier.records = 0
		s.owner.slow(n, n)
	}
}

// gather reads the records that are there, until there is a whole frame. It need not wait for
// any of them, unless a peer fills records with what is no frame: that is then the loss of what it has just said.
func (s *stream) gather() {
	for s.carrier.more() && !s.whole() && s.r.Buffered() < s.r.Size() {
		if _, err := s.r.Peek(s.r.Buffered() + 1); err != nil {
			return // it comes again
		}
	}
}

// errUnasked: a peer has TLS write by asking for new keys, without an end, and nobody would be
// charged for what is held. No peer of this module asks.
var errUnasked = errors.New("it has TLS write something, such as new keys, which nobody here does")

// give has TLS make records of what is written.
func (c *carrier) give(to io.Writer, b []byte) error {
	c.writing.Store(true)
	_, err := to.Write(b)
	c.writing.Store(false)
	return err
}

// Write implements io.Writer, for TLS.
func (c *carrier) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.hold {
		if c.turn != nil { // what is left to be done is up to the peer
			c.turn.end()
			c.turn.answered = 1
		}
		return c.Conn.Write(b)
	}
	if !c.writing.Load() {
		c.unasked.Store(true)
		return 0, errUnasked
	}
	if c.out == nil {
		c.out = records.Get().(*[]byte)
	}
	*c.out = append(*c.out, b...)
	return len(b), nil
}

// begin has all that is written from now on held. The preface has come.
func (c *carrier) begin() {
	c.opening = false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = true
}

// behind tells whether the system has not taken all that was written. What TLS says by itself
// in between can wait. A nil carrier never is.
func (c *carrier) behind() bool { return c != nil && len(c.left) > 0 }

// next returns what is to be passed on, and keeps it until it is taken.
func (c *carrier) next() []byte {
	if len(c.left) == 0 {
		c.free()
		c.mu.Lock()
		c.held, c.out = c.out, nil
		c.mu.Unlock()
		if c.held != nil {
			c.left = *c.held
		}
	}
	return c.left
}

func (c *carrier) took(n int) {
	if c.left = c.left[n:]; len(c.left) == 0 {
		c.free()
	}
}

func (c *carrier) free() {
	if b := c.held; b != nil {
		c.held, c.left = nil, nil
		if *b = (*b)[:0]; cap(*b) <= recordsKeepMax {
			records.Put(b)
		}
	}
}

// writeSealed writes pieces by TLS, all of them or none, and passes on what comes of that: all
// of it, or as much as needs no waiting. It writes none where something is left from before.
func (w *writer) writeSealed(pieces [][]byte, wait bool) (n int, err error) {
	if !wait && (!w.raw() || w.carrier.behind()) {
		return 0, nil
	}
	if err := w.passOn(wait); err != nil {
		return 0, err
	}
	for _, p := range pieces {
		for len(p) > 0 {
			part := p[:min(len(p), writeBytes)]
			if err := w.carrier.give(w.conn, part); err != nil {
				return n, err
			}
			n += len(part)
			p = p[len(part):]
			if wait { // no more is held than a part
				if err := w.passOn(true); err != nil {
					return n, err
				}
			}
		}
	}
	return n, w.passOn(wait)
}

// passOn gives the system what is held.
func (w *writer) passOn(wait bool) error {
	for {
		b := w.carrier.next()
		if len(b) == 0 {
			return nil
		}
		w.one[0] = b
		n, err := w.writePlain(w.one[:], wait)
		w.one[0] = nil
		w.carrier.took(n)
		if err != nil || n < len(b) {
			return err
		}
	}
}
