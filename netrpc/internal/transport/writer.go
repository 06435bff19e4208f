package transport

import (
	"net"
	"sync/atomic"
)

// writer writes to a connection, one write at a time.
type writer struct {
	rawWriter
	conn    net.Conn
	written atomic.Uint64 // bytes so far, up to date also during a long write
	pieces  [][]byte      // kept for the next write
}

const writeBytes = 64 << 10 // at a time where the system does not tell how far a write has come

func (w *writer) init(c net.Conn) {
	w.conn = c
	w.initRaw(c, &w.written)
}

// write writes b: all of it, or as much as needs no waiting.
func (w *writer) write(b *buffer, wait bool) error {
	w.pieces = b.pieces(w.pieces[:0])
	defer func() { clear(w.pieces) }()
	if w.raw() {
		return w.writeRaw(w.pieces, wait)
	}
	if !wait {
		return nil
	}
	for _, p := range w.pieces {
		for len(p) > 0 {
			n, err := w.conn.Write(p[:min(len(p), writeBytes)])
			w.written.Add(uint64(n))
			if err != nil {
				return err
			}
			p = p[n:]
		}
	}
	return nil
}
