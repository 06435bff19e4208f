package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Packets are delayed by this process, since not every kernel can do it: each host
// has a tun device instead of its place at the switch, and what it sends is read,
// kept for a while and given to the device of the host it is for.

// packet is on its way.
type packet struct {
	due  time.Time
	data []byte
}

const (
	packetsMax     = 1 << 14 // on their way from one host
	packetBytesMax = 1 << 16
)

// delay gives the hosts a network on which every packet takes so long one way.
func (n *network) delay(oneWay time.Duration) {
	n.t.Helper()
	devices := map[[4]byte]*os.File{}
	for _, h := range hosts() {
		f, err := openTun(n.ns(h))
		require.NoError(n.t, err)
		n.t.Cleanup(func() { f.Close() })
		n.ip(fmt.Sprintf("-n %s addr flush dev eth0", n.ns(h)))
		n.ip(fmt.Sprintf("-n %s addr add %s/24 dev tun0", n.ns(h), address(h)))
		n.ip(fmt.Sprintf("-n %s link set tun0 up", n.ns(h)))
		var ip [4]byte
		_, err = fmt.Sscanf(address(h), "%d.%d.%d.%d", &ip[0], &ip[1], &ip[2], &ip[3])
		require.NoError(n.t, err)
		devices[ip] = f
	}
	for _, f := range devices {
		under := make(chan packet, packetsMax)
		go func() { // until the device is closed
			defer close(under)
			b := make([]byte, packetBytesMax)
			for {
				size, err := f.Read(b)
				if err != nil {
					return
				}
				select {
				case under <- packet{time.Now().Add(oneWay), append([]byte(nil), b[:size]...)}:
				default: // as a switch that has no room
				}
			}
		}()
		go func() {
			for p := range under {
				time.Sleep(time.Until(p.due))
				const version, header, receiver = 4, 20, 16
				if len(p.data) < header || p.data[0]>>4 != version {
					continue
				}
				if to := devices[[4]byte(p.data[receiver:])]; to != nil {
					_, _ = to.Write(p.data) // a packet may be lost
				}
			}
		}()
	}
}

// setns is the number of the system call that enters a namespace.
var setns = map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]

// openTun makes the device tun0 in a namespace.
func openTun(ns string) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		f, err := openTunHere(ns)
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

// openTunHere is openTun for a thread that does nothing else.
func openTunHere(ns string) (*os.File, error) {
	dir, err := os.Open("/var/run/netns/" + ns)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if _, _, e := syscall.RawSyscall(setns, dir.Fd(), syscall.CLONE_NEWNET, 0); e != 0 {
		return nil, os.NewSyscallError("setns", e)
	}
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/net/tun", err)
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "tun0")
	request.flags = syscall.IFF_TUN | syscall.IFF_NO_PI
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request))); e != 0 {
		syscall.Close(fd)
		return nil, os.NewSyscallError("TUNSETIFF", e)
	}
	return os.NewFile(uintptr(fd), "tun0 of "+ns), nil
}
