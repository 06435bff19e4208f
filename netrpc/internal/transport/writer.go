package transport

import (
	"net"
	"sync/atomic"
)

// writer writes to a connection, one write at a time.
type writer struct {
	rawWriter
	conn    net.Conn
	system  net.Conn      // the connection of the system: conn, or what is under it
	carrier *carrier      // the connection under TLS, to which conn writes; nil without
	written atomic.Uint64 // bytes so far, up to date also during a long write; those of TLS, with it
	pieces  [][]byte      // kept for the next write
	one     [1][]byte     // likewise
}

const writeBytes = 64 << 10 // at a time where the system does not tell how far a write has come

func (w *writer) init(c net.Conn) {
	w.conn, w.system = c, c
	w.initRaw(c, &w.written)
}

// initSealed is init for a connection with TLS, over a carrier.
func (w *writer) initSealed(c net.Conn, under *carrier) {
	w.conn, w.system, w.carrier = c, under.Conn, under
	w.initRaw(under.Conn, &w.written)
}

// write writes b: all of it, or as much as needs no waiting. It returns how much that was.
func (w *writer) write(b *buffer, wait bool) (int, error) {
	w.pieces = b.pieces(w.pieces[:0])
	defer func() { clear(w.pieces) }()
	if w.carrier != nil {
		return w.writeSealed(w.pieces, wait)
	}
	return w.writePlain(w.pieces, wait)
}

// writePlain writes pieces as they are to the connection of the system.
func (w *writer) writePlain(pieces [][]byte, wait bool) (int, error) {
	before := w.written.Load()
	err := error(nil)
	if w.raw() {
		err = w.writeRaw(pieces, wait)
	} else if wait {
		err = w.writeParts(pieces)
	}
	return int(w.written.Load() - before), err
}

func (w *writer) writeParts(pieces [][]byte) error {
	for _, p := range pieces {
		for len(p) > 0 {
			n, err := w.system.Write(p[:min(len(p), writeBytes)])
			w.written.Add(uint64(n))
			if err != nil {
				return err
			}
			p = p[n:]
		}
	}
	return nil
}
