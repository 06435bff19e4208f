package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
)

func certsJSON(t *testing.T, args ...string) (r certsResult) {
	t.Helper()
	code, stdout, stderr := run(t, "", append([]string{"certs", "-o", "json"}, args...)...)
	require.Zero(t, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	return r
}

// made counts the certificates that were made.
func (r *certsResult) made() (n int) {
	for _, c := range r.Certs {
		if c.Made {
			n++
		}
	}
	return n
}

func TestCertsOfACluster(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	r := certsJSON(t, "--dir", dir)
	require.Equal(t, "dev", r.Cluster)
	require.Equal(t, []int{1 + 1 + nodesUsual + 2, len(r.Certs)}, []int{r.made(), len(r.Certs)}, "a CA, a manager, nodes, a client and an operator")
	require.Equal(t, "ca", r.Certs[0].Role)

	r = certsJSON(t, "--dir", dir)
	require.Zero(t, r.made(), "without names it lists what is there")
	r = certsJSON(t, "--dir", dir, "client:client", "client:other", "--hosts", "10.0.0.1")
	require.Equal(t, 1, r.made())
	r = certsJSON(t, "--dir", dir, "--renew", "client:other,node:node1")
	require.Equal(t, 2, r.made())

	r = certsJSON(t, "--dir", dir, "--new-ca")
	require.Equal(t, 1, r.made())
	require.Equal(t, []bool{false, true, true}, []bool{r.Certs[0].OldCA, r.Certs[1].OldCA, r.Certs[2].OldCA})
	code, _, stderr := run(t, "", "certs", "--dir", dir, "--drop-old-ca")
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "are of the other authority: renew first")
	r = certsJSON(t, "--dir", dir, "--renew", "all")
	require.Equal(t, 1+nodesUsual+3, r.made())
	require.Len(t, certsJSON(t, "--dir", dir, "--drop-old-ca").Certs, 1+1+nodesUsual+3)

	code, stdout, _ := run(t, "", "certs", "--dir", dir)
	require.Zero(t, code)
	require.Contains(t, stdout, "  export GTSTORE_TLS_CA="+dir+"/ca.crt\n  export GTSTORE_TLS_CERT="+dir+"/operator-operator.crt\n  export GTSTORE_TLS_KEY="+dir+"/operator-operator.key\n")
	require.Contains(t, stdout, "gtstore://dev/node/node1")
	require.Contains(t, stdout, "Write manager@HOST:PORT where manager:manager is, in GTSTORE_MANAGER, --manager and --managers")
}

func TestCertsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, cli.ExitUsage, "--dir is missing"},
		{[]string{"--dir", dir, "node1"}, cli.ExitUsage, `"node1": want ROLE:NAME, such as node:node1`},
		{[]string{"--dir", dir, "--hosts", "10.0.0.1:7400"}, cli.ExitUsage, "--hosts: the host"},
		{[]string{"--dir", dir, "--days", "0"}, cli.ExitUsage, "want a number from 1 to 3650"},
		{[]string{"--dir", dir, "--renew", "all", "node:a"}, cli.ExitUsage, "do not go with --renew"},
		{[]string{"--dir", dir, "--renew", "all", "--new-ca"}, cli.ExitUsage, "were all set"},
		{[]string{"--dir", dir, "--renew", "node:a"}, cli.ExitError, "there is no CA in"},
		{[]string{"--dir", dir, "--cluster", "a b"}, cli.ExitError, "want 1 to 64 letters"},
	} {
		code, _, stderr := run(t, "", append([]string{"certs"}, c.args...)...)
		require.Equal(t, c.code, code, stderr)
		require.Contains(t, stderr, c.want)
		require.NoFileExists(t, filepath.Join(dir, "ca.key"))
	}
}

func TestQuoted(t *testing.T) {
	require.Equal(t, "/a/b-c.crt", quoted("/a/b-c.crt"))
	require.Equal(t, "'/a b/c'", quoted("/a b/c"))
	require.Equal(t, `'it'\''s'`, quoted("it's"))
	require.Equal(t, "''", quoted(""))
}
