//go:build unix

package transport

import (
	"net"
	"syscall"
)

// rawWriter writes to a connection without waiting.
type rawWriter struct {
	raw syscall.RawConn // nil if the connection has none
	try func(fd uintptr) bool

	b   []byte // to be written
	n   int    // were written
	err error
}

func (w *rawWriter) init(c net.Conn) {
	if sc, ok := c.(syscall.Conn); ok {
		w.raw, _ = sc.SyscallConn() // an error leaves nil: all is left to writes that wait
	}
	w.try = func(fd uintptr) bool { // made once: each write would else allocate one
		for {
			w.n, w.err = syscall.Write(int(fd), w.b)
			if w.err != syscall.EINTR {
				return true
			}
		}
	}
}

// write writes what the system takes at once. It must not be called while another write
// to the connection is under way.
func (w *rawWriter) write(b []byte) (int, error) {
	if w.raw == nil {
		return 0, nil
	}
	w.b = b
	err := w.raw.Write(w.try)
	w.b = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == syscall.EAGAIN:
		return 0, nil
	case w.err != nil:
		return 0, w.err
	}
	return w.n, nil
}
