package transport

import (
	"net"
	"syscall"
	"unsafe"
)

// unacknowledged tells how many bytes that were written to a connection its peer
// has not acknowledged: the length of the kernel's send queue.
func unacknowledged(c net.Conn) (n uint64, known bool) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var queued int32
	var failed syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, failed = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&queued)))
	})
	return uint64(max(queued, 0)), err == nil && failed == 0
}
