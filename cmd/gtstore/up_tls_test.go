package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
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
	saved := filepath.Join(t.TempDir(), "saved")
	u.ok(t, "backup", saved)
	restores(t, saved)
	withCert(t, own, "operator-operator")
	u.ok(t, "status")
	address := u.status.Manager.Addr
	require.NotContains(t, address, "@")
	for name, want := range map[string]int{"manager": cli.ExitOK, "other": cli.ExitUnavailable} {
		code, _, stderr := run(t, "", "get", "key", "--manager", name+"@"+address, "--timeout", patience.String())
		require.Equal(t, want, code, stderr)
		require.Equal(t, want != cli.ExitOK, strings.Contains(stderr, "manager other@"+address+": TLS: there is manager/manager, and manager/other is expected: if manager has taken its place, write manager@"), stderr)
	}
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

// restores fills another cluster, which has certificates of its own, from a backup. A client that may not
// count what is there is told so before it has written anything.
func restores(t *testing.T, saved string) {
	t.Helper()
	dir := t.TempDir()
	u := startUp(t, nil, "--tls", "--dir", dir, "--nodes", "2", "--replicas", "1")
	withCert(t, filepath.Join(dir, certsName), "client-client")
	code, _, stderr := u.on(t, "", "restore", saved)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "the certificate is of a client, and this needs one of an operator")
	code, _, _ = u.on(t, "", "get", "key")
	require.Equal(t, cli.ExitNotFound, code, "nothing was done")
	withCert(t, filepath.Join(dir, certsName), "operator-operator")
	u.ok(t, "restore", saved)
	require.Equal(t, "value", u.ok(t, "get", "key"))
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, u.cmd.Wait())
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
	code, _, stderr := run(t, "", "managers", "add", u.status.Managers[0].Addr, "--manager", u.all(), "--timeout", patience.String())
	require.Equal(t, cli.ExitUsage, code, stderr)
	require.Contains(t, stderr, "is one of them already", "it was asked with the certificate of the command")
	for _, m := range u.status.Managers {
		require.Regexp(t, `^manager[123]$`, m.Name)
		require.Contains(t, u.byAll(t, "managers"), m.ID+"  "+m.Name+"@"+m.Addr+"  ", "as it is written in a list")
	}
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

	// A name is of use only with certificates, and nobody is told one else.
	require.Equal(t, "127.0.0.1:1", (&upFlags{managers: 1}).managerList([]string{"127.0.0.1:1"}))
	require.Equal(t, "manager1@127.0.0.1:1,manager2@127.0.0.1:2", (&upFlags{withTLS: true, managers: 3}).managerList([]string{"127.0.0.1:1", "127.0.0.1:2"}))
	code, _, stderr := run(t, "", "get", "key", "--manager", "m1@127.0.0.1:1")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, `the manager's address "m1@127.0.0.1:1" has a name, which nobody can check without certificates: give this process --tls-cert, --tls-key and --tls-ca, or write 127.0.0.1:1`)
}
