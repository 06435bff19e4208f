package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/gtstore/internal/backup"
	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

// contentsOf is what a backup has of each key.
func contentsOf(t *testing.T, name string) (*backup.Contents, map[string]core.Item) {
	t.Helper()
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	c, err := backup.Verify(file)
	require.NoError(t, err)
	_, err = file.Seek(0, 0)
	require.NoError(t, err)
	values := map[string]core.Item{}
	require.NoError(t, c.Items(file, func(it core.Item) error {
		if values[it.Key] = it; it.Version == 0 {
			delete(values, it.Key)
		}
		return nil
	}))
	return c, values
}

// dial returns a client of the cluster.
func (u *running) dial(t *testing.T) *netrpc.Client {
	t.Helper()
	c, err := netrpc.Dial(t.Context(), []string{u.status.Manager.Addr})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// Clients write, delete, and let go of a primary that is killed, while a backup is made. All
// that was acknowledged before is in it, and a new cluster that is filled from it has
// exactly what the file has.
func TestABackupUnderLoadFillsANewCluster(t *testing.T) {
	u := startUp(t, nil, "--nodes", "7")
	c := u.dial(t)
	const keys = 300
	var mu sync.Mutex
	acked := map[string]core.Seq{}
	put := func(ctx context.Context, key string, i int) {
		if r, err := c.Put(ctx, key, fmt.Appendf(nil, "%s %d %01000d", key, i, i)); err == nil {
			mu.Lock()
			acked[key] = max(acked[key], r.Version)
			mu.Unlock()
		}
	}
	writing, stop := context.WithTimeout(t.Context(), 2*patience)
	defer stop()
	for i := range keys {
		put(writing, fmt.Sprint("key", i), i)
	}
	require.Len(t, acked, keys)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; writing.Err() == nil; i += 8 {
				put(writing, fmt.Sprint("key", i%keys), i)
				_, _ = c.Put(writing, fmt.Sprint("gone", i%keys), []byte("soon")) // what becomes of it does not matter
				_, _ = c.Delete(writing, fmt.Sprint("gone", i%keys))
			}
		})
	}
	file := filepath.Join(t.TempDir(), "a.backup")
	mu.Lock()
	before := make(map[string]core.Seq, len(acked))
	for k, v := range acked {
		before[k] = v
	}
	mu.Unlock()
	killed := make(chan struct{})
	go func() { // a primary, while the backup is made: that takes a second and a half
		defer close(killed)
		time.Sleep(500 * time.Millisecond)
		s, err := c.Status(writing)
		if err != nil {
			return
		}
		for i := range s.Nodes {
			if n := &s.Nodes[i]; n.ID == s.Groups[0].Chain[0] {
				_ = syscall.Kill(int(n.Process), syscall.SIGKILL)
			}
		}
	}()
	var result backupResult
	require.NoError(t, json.Unmarshal([]byte(u.ok(t, "backup", file, "--rate", "200000", "-o", "json")), &result))
	<-killed
	stop()
	writers.Wait()

	contents, values := contentsOf(t, file)
	require.Equal(t, file, result.File)
	require.EqualValues(t, len(values), result.Keys)
	require.EqualValues(t, contents.Bytes, result.Bytes)
	require.Equal(t, u.status.Cluster, result.Cluster)
	require.Len(t, result.Groups, 2)
	for key, version := range before {
		require.GreaterOrEqual(t, values[key].Version, version, "%s was acknowledged before the backup began", key)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing but the backup")

	u2 := startUp(t, nil, "--nodes", "4", "--replicas", "1")
	var restored restoreResult
	require.NoError(t, json.Unmarshal([]byte(u2.ok(t, "restore", file, "-o", "json")), &restored))
	require.Equal(t, restoreResult{File: file, Cluster: u2.status.Cluster, Of: u.status.Cluster, Time: restored.Time, Keys: result.Keys, Seconds: restored.Seconds}, restored)
	require.Equal(t, result.Time, restored.Time)
	c2 := u2.dial(t)
	for key, it := range values {
		v, err := c2.Get(writingFor(t), key)
		require.NoError(t, err, key)
		require.Equal(t, it.Value, string(v.Data), key)
	}
	second := filepath.Join(t.TempDir(), "b.backup")
	u2.ok(t, "backup", second)
	_, again := contentsOf(t, second)
	require.Len(t, again, len(values), "and no other keys")

	code, stdout, stderr := u2.on(t, "", "restore", file)
	require.Equal(t, cli.ExitError, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, fmt.Sprintf("nothing was done: cluster %s has %s keys, and a backup is restored into an empty one only: start a new cluster", u2.status.Cluster, cli.Grouped(int64(len(values)))))
}

func writingFor(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// fullDisk is where nothing can be written any more.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestABackupThatCannotBeMadeLeavesNothing(t *testing.T) {
	u := startUp(t, nil, "--nodes", "3")
	u.ok(t, "put", "key", "value")
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	require.NoError(t, os.WriteFile(there, []byte("precious"), 0o600))
	unchanged := func() {
		t.Helper()
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 1)
		text, err := os.ReadFile(there)
		require.NoError(t, err)
		require.Equal(t, "precious", string(text))
	}

	code, _, stderr := u.on(t, "", "backup", there)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, there+" exists: name another file, or replace it with --force")
	unchanged()
	code, _, stderr = u.on(t, "", "backup", dir, "--force")
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "is no file that a backup could replace")
	code, _, stderr = u.on(t, "", "backup", filepath.Join(dir, "no", "such"))
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "no such file or directory")
	code, _, stderr = run(t, "", "backup", there, "--force", "--manager", "127.0.0.1:1")
	require.Equal(t, cli.ExitUnavailable, code)
	require.Contains(t, stderr, "there is no backup: connect: ")
	unchanged()

	var errs strings.Builder
	line := []string{"backup", "-", "--manager", u.status.Manager.Addr}
	code = cli.Execute(t.Context(), newRoot(), line, strings.NewReader(""), fullDisk{}, &errs)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, errs.String(), "there is no backup: no space left on device")

	code, stdout, stderr := u.on(t, "", "backup", "-")
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "OK, -: 1 keys")
	piped := filepath.Join(t.TempDir(), "piped")
	require.NoError(t, os.WriteFile(piped, []byte(stdout), 0o600))
	_, values := contentsOf(t, piped)
	require.Equal(t, map[string]core.Item{"key": {Key: "key", Value: "value", Version: values["key"].Version}}, values)

	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	errs.Reset()
	code = cli.Execute(interrupted, newRoot(), []string{"backup", there, "--force", "--manager", u.status.Manager.Addr}, strings.NewReader(""), fullDisk{}, &errs)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, errs.String(), "interrupted: there is no backup")
	unchanged()
	require.Contains(t, u.ok(t, "backup", there, "--force"), "OK, "+there)
	contentsOf(t, there)
}

func TestWhatCannotBeRestoredChangesNothing(t *testing.T) {
	u := startUp(t, nil, "--nodes", "3")
	u.ok(t, "put", "key", "value")
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	u.ok(t, "backup", whole)
	u.ok(t, "delete", "key") // so that the cluster is empty
	text, err := os.ReadFile(whole)
	require.NoError(t, err)
	damaged := append([]byte{}, text...)
	damaged[len(damaged)/2] ^= 1
	for _, c := range []struct {
		name string
		text []byte
		want string
	}{
		{"truncated", text[:len(text)-1], "it is truncated"},
		{"damaged", damaged, "it is damaged"},
		{"other", []byte("something else"), "it is no backup of GTStore"},
		{"empty", nil, "it is no backup of GTStore"},
	} {
		file := filepath.Join(dir, c.name)
		require.NoError(t, os.WriteFile(file, c.text, 0o600))
		code, stdout, stderr := u.on(t, "", "restore", file)
		require.Equal(t, cli.ExitError, code, c.name)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "nothing was done: "+file+" cannot be restored: "+c.want)
	}
	code, _, stderr := u.on(t, string(text), "restore", "-")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "standard input cannot be read twice: save it in a file first")
	code, _, stderr = u.on(t, "", "restore", filepath.Join(dir, "nowhere"))
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "nothing was done: open ")
	code, _, _ = u.on(t, "", "get", "key")
	require.Equal(t, cli.ExitNotFound, code)

	require.Contains(t, u.ok(t, "restore", whole), "OK, "+whole+": 1 keys of cluster "+u.status.Cluster)
	require.Equal(t, "value", u.ok(t, "get", "key"))
}
