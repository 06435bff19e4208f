//go:build unix

package daemon

import "syscall"

// ownerOnly has what this process makes from now on be for its owner only, whatever the shell
// that starts it says: it holds other people's data.
func ownerOnly() { syscall.Umask(0o077) }
