//go:build unix && !linux

package transport

import "syscall"

// writePieces writes the first of the pieces, and returns how many bytes the system has taken.
func writePieces(fd int, pieces [][]byte) (int, error) { return syscall.Write(fd, pieces[0]) }
