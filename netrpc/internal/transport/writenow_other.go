//go:build !unix

package transport

import "net"

// rawWriter writes to a connection without waiting: here it never can.
type rawWriter struct{}

func (*rawWriter) init(net.Conn) {}

func (*rawWriter) write([]byte) (int, error) { return 0, nil }
