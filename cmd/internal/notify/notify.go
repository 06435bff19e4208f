package notify

import (
	"fmt"
	"net"
	"os"
)

// The states.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)

// Socket is the environment variable that names the socket. A name that begins with @ is of the
// abstract namespace.
const Socket = "NOTIFY_SOCKET"

// Send tells a state to the service manager that has started this process, if there is one. It
// does not wait for it.
func Send(state string) error {
	name := os.Getenv(Socket)
	if name == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot tell the service manager %s: %w", state, err)
	}
	_, err = c.Write([]byte(state))
	if closing := c.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("cannot tell the service manager %s: %w", state, err)
	}
	return nil
}
