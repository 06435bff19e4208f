package transport

import (
	"syscall"
	"unsafe"
)

const piecesMax = 64 // in one call

// writePieces writes the first of the pieces, of which there is at least one and none is
// empty, and returns how many bytes the system has taken.
func writePieces(fd int, pieces [][]byte) (int, error) {
	if len(pieces) == 1 {
		return syscall.Write(fd, pieces[0])
	}
	var v [piecesMax]syscall.Iovec
	pieces = pieces[:min(len(pieces), piecesMax)]
	for i, p := range pieces {
		v[i].Base = &p[0]
		v[i].SetLen(len(p))
	}
	n, _, err := syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(pieces)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
