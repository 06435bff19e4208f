//go:build unix

package main

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/notify"
)

// A service manager is told when a node serves, and when it stops.
func TestAServiceManagerIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // the name of a socket must be short
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	read := func() string {
		require.NoError(t, l.SetReadDeadline(time.Now().Add(patience)))
		b := make([]byte, 100)
		n, err := l.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	t.Setenv(notify.Socket, filepath.Join(dir, "socket"))
	m := startProcess(t, "manager", "manager", "--listen", "127.0.0.1:0")
	require.Equal(t, "READY=1", read())
	s := startProcess(t, "node1", "storage", "--listen", "127.0.0.1:0", "--manager", m.addr)
	require.Equal(t, "READY=1", read())
	for _, p := range []*process{s, m} {
		p.signal(syscall.SIGTERM)
		require.Equal(t, "STOPPING=1", read())
		require.Zero(t, p.exitCode())
	}
	t.Setenv(notify.Socket, filepath.Join(dir, "absent"))
	m = startProcess(t, "manager", "manager", "--listen", "127.0.0.1:0")
	require.Eventually(t, func() bool { return strings.Contains(m.stderr.String(), "cannot tell the service manager READY=1") }, patience, time.Millisecond)
}

// Whatever the umask is, what a node keeps is for its owner only: its directory, the engine's
// files, and what is put aside.
func TestDataAreForTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	start := func(name string, args ...string) *process {
		line := append([]string{os.Args[0]}, args...)
		line = append(line, "--listen", "127.0.0.1:0", "--dir", filepath.Join(dir, name))
		return startCommand(t, name, exec.Command("/bin/sh", append([]string{"-c", `umask 0; exec "$0" "$@"`}, line...)...))
	}
	m := start("manager", "manager", "--replicas", "0")
	s := start("node1", "storage", "--manager", m.addr)
	c := &cluster{t: t, manager: m, nodes: []*process{s}}
	c.client = c.dial()
	c.eventually(func() bool { return len(c.status().Nodes) == 1 }, "the node registers")
	c.put("key", "value")
	s.signal(syscall.SIGTERM)
	require.Zero(t, s.exitCode())
	tables, err := filepath.Glob(filepath.Join(dir, "node1", "data", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, name := range tables { // so that the data are put aside
		require.NoError(t, os.Truncate(name, 100))
	}
	start("node1", "storage", "--manager", m.addr)
	aside, err := filepath.Glob(filepath.Join(dir, "node1", "damaged-*"))
	require.NoError(t, err)
	require.Len(t, aside, 1)
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		switch {
		case os.IsNotExist(err) || name == dir: // a file of the engine that it needs no more
			return nil
		case d.IsDir():
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), "%s: %v", name, info.Mode())
		default:
			files++
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), "%s: %v", name, info.Mode())
		}
		return err
	}))
	require.Greater(t, files, 20)
}
