//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a process in a group of its own, so that ctrl-C reaches only up,
// which then ends the others in good order.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
