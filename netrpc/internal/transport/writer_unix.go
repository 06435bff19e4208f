//go:build unix

package transport

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// rawWriter writes to a connection as the system takes it.
type rawWriter struct {
	conn    syscall.RawConn // nil if the connection has none
	written *atomic.Uint64
	try     func(fd uintptr) (done bool)

	left [][]byte // to be written
	wait bool     // until all is
	err  error
}

func (w *rawWriter) initRaw(c net.Conn, written *atomic.Uint64) {
	if sc, ok := c.(syscall.Conn); ok {
		w.conn, _ = sc.SyscallConn() // an error leaves nil: all is left to the writes of net
	}
	w.written = written
	w.try = w.tryAll // made once: each write would else allocate one
}

func (w *rawWriter) raw() bool { return w.conn != nil }

// tryAll writes what the system takes. It returns false to be called again when that is more.
func (w *rawWriter) tryAll(fd uintptr) (done bool) {
	for len(w.left) > 0 {
		n, err := writePieces(int(fd), w.left)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return !w.wait
		case err != nil:
			w.err = err
			return true
		case n == 0: // which no system does: it would be asked for ever
			w.err = io.ErrNoProgress
			return true
		}
		w.written.Add(uint64(n))
		for len(w.left) > 0 && n >= len(w.left[0]) {
			n -= len(w.left[0])
			w.left = w.left[1:]
		}
		if n > 0 {
			w.left[0] = w.left[0][n:]
		}
	}
	return true
}

// writeRaw writes the pieces: all of them, or what the system takes at once. It must not be
// called while another write to the connection is under way.
func (w *rawWriter) writeRaw(pieces [][]byte, wait bool) error {
	w.left, w.wait, w.err = pieces, wait, nil
	err := w.conn.Write(w.try)
	w.left = nil
	if err == nil {
		err = w.err
	}
	return err
}
