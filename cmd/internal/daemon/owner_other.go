//go:build !unix

package daemon

// ownerOnly has nothing to do where files have no such modes.
func ownerOnly() {}
