//go:build !unix

package transport

import (
	"net"
	"sync/atomic"
)

// rawWriter would write to a connection without waiting: here it never can.
type rawWriter struct{}

func (*rawWriter) initRaw(net.Conn, *atomic.Uint64) {}

func (*rawWriter) raw() bool { return false }

func (*rawWriter) writeRaw([][]byte, bool) error { return nil }
