package transport

import (
	"net"
	"sync"
	"sync/atomic"
)

// carrier is what TLS has for its connection. What TLS writes is held, until the writer passes it
// on: so whoever has something to say never waits in TLS, and what the system does not take at
// once is left to a goroutine of the connection, as it is without TLS.
type carrier struct {
	net.Conn
	got atomic.Uint64 // bytes, of records

	mu   sync.Mutex
	hold bool    // the handshake is over
	out  *[]byte // records that were not passed on; nil for none

	// Of whoever writes.
	left []byte  // of held: what the system has not taken yet
	held *[]byte // the memory of left
}

// records are the buffers of carriers. A connection has one only while something is on its way.
var records = sync.Pool{New: func() any { return new([]byte) }}

const recordsKeepMax = 256 << 10 // bytes of a buffer that is used again

// Read implements io.Reader.
func (c *carrier) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.got.Add(uint64(n))
	return n, err
}

// Write implements io.Writer.
func (c *carrier) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.hold {
		return c.Conn.Write(b)
	}
	if c.out == nil {
		c.out = records.Get().(*[]byte)
	}
	*c.out = append(*c.out, b...)
	return len(b), nil
}

// begin has all that is written from now on held.
func (c *carrier) begin() {
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
			if _, err := w.conn.Write(part); err != nil {
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
