//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A log that nobody reads, or nobody any more, is no reason to stand still.
func TestANodeServesThoughNobodyReadsItsLog(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, r, w *os.File){
		"the pipe is full": func(t *testing.T, _, w *os.File) {
			fd := int(w.Fd()) // once: each call makes the file wait again
			require.NoError(t, syscall.SetNonblock(fd, true))
			for err := error(nil); err == nil; {
				_, err = syscall.Write(fd, make([]byte, 1))
			}
			require.NoError(t, syscall.SetNonblock(fd, false))
		},
		"its reader is gone": func(t *testing.T, r, _ *os.File) { require.NoError(t, r.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			defer w.Close()
			prepare(t, r, w)
			c := &cluster{t: t}
			c.manager = startLogging(t, w, "manager", "--listen", "127.0.0.1:0", "--replicas", "0")
			c.nodes = []*process{startLogging(t, w, "storage", "--listen", "127.0.0.1:0", "--manager", c.manager.addr)}
			c.client = c.dial()
			c.eventually(func() bool { return len(c.status().Nodes) == 1 }, "it is registered")
			c.put("key", "value")
			require.Equal(t, "value", c.get("key"))
			for _, p := range []*process{c.manager, c.nodes[0]} { // or the manager would call the group lost
				p.signal(syscall.SIGTERM)
				require.Zero(t, p.exitCode())
			}
		})
	}
}

// startLogging starts a node whose log goes to a file.
func startLogging(t *testing.T, w *os.File, args ...string) *process {
	t.Helper()
	return startCommandTo(t, args[0], exec.Command(os.Args[0], args...), w)
}
