package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/gtstore/internal/certs"
	"gtstore/cmd/internal/cli"
)

// withCert has the commands of a test be whom a certificate in a directory names.
func withCert(t *testing.T, dir, who string) {
	t.Helper()
	t.Setenv(cli.Variable("tls-ca"), filepath.Join(dir, "ca.crt"))
	t.Setenv(cli.Variable("tls-cert"), filepath.Join(dir, who+".crt"))
	t.Setenv(cli.Variable("tls-key"), filepath.Join(dir, who+".key"))
}

// A cluster with TLS takes who has a certificate, and nobody else. It is the same cluster when it
// starts again, with the certificates that it has, but for those that are about to end.
func TestUpWithTLS(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, certsName)
	u := startUp(t, nil, "--tls", "--dir", dir, "--nodes", "2", "--replicas", "1")
	code, _, stderr := u.on(t, "", "put", "key", "value", "--timeout", "2s")
	require.Equal(t, cli.ExitUnavailable, code, "without a certificate: %s", stderr)
	withCert(t, own, "client-client")
	u.ok(t, "put", "key", "value")
	code, _, stderr = u.on(t, "", "forget", "node1", "--yes", "--timeout", "2s")
	require.NotZero(t, code, "a client must not do what an operator does: %s", stderr)
	withCert(t, own, "operator-operator")
	u.ok(t, "status")
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())

	a, _, err := certs.Open(own, "")
	require.NoError(t, err)
	require.NoError(t, a.Renew(certs.Name{Role: "node", Name: "node1"}, certs.Options{Life: day}))
	kept := time.Now()
	list, err := a.List()
	require.NoError(t, err)
	u = startUp(t, nil, "--tls", "--dir", dir, "--replicas", "1")
	require.Equal(t, "value", u.ok(t, "get", "key"))
	again, err := a.List()
	require.NoError(t, err)
	require.Len(t, again, len(list))
	for i, c := range again {
		if c.Name.Name == "node1" {
			require.True(t, c.Until.After(kept.Add(renewBefore)), "it was made anew")
			continue
		}
		require.Equal(t, list[i], c)
	}
}

// Without a directory the certificates live as long as the cluster. JSON says where they are.
func TestUpWithTLSInMemory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dirs := func() []string {
		list, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "gtstore-certs-*"))
		require.NoError(t, err)
		return list
	}
	u := startUp(t, nil, "--tls", "--nodes", "2", "--replicas", "1", "--managers", "3")
	require.Len(t, dirs(), 1)
	withCert(t, dirs()[0], "operator-operator")
	u.ok(t, "put", "key", "value")
	require.Equal(t, "value", u.ok(t, "get", "key"))
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())
	require.Empty(t, dirs())
}

func TestUpTellsHowToUseTLS(t *testing.T) {
	f := upFlags{withTLS: true, managers: 1, nodes: 1, dir: t.TempDir()}
	_, err := f.makeCerts()
	require.NoError(t, err)
	own := filepath.Join(f.dir, certsName)
	require.Equal(t, "  export GTSTORE_MANAGER=manager@127.0.0.1:7400\n  export GTSTORE_TLS_CA="+own+"/ca.crt\n  export GTSTORE_TLS_CERT="+own+"/operator-operator.crt\n  export GTSTORE_TLS_KEY="+own+"/operator-operator.key\n", f.tlsHint([]string{"127.0.0.1:7400"}))
	text, err := json.Marshal(upResult{&statusResult{}, f.tlsResult()})
	require.NoError(t, err)
	require.Contains(t, string(text), `"tls":{"ca":"`+own+`/ca.crt","cert":"`+own+`/operator-operator.crt","key":"`+own+`/operator-operator.key"}`)
	require.Empty(t, (&upFlags{}).tlsHint(nil))
	require.Nil(t, (&upFlags{}).tlsResult())
}
