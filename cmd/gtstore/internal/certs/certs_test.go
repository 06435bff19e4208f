package certs

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	node     = Name{"node", "node1"}
	operator = Name{"operator", "ann"}
	local    = Options{Hosts: []string{"127.0.0.1", "localhost"}}
)

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, _, err := Open(dir, "")
	require.NoError(t, err)
	return a
}

func ensure(t *testing.T, a *Authority, names ...Name) {
	t.Helper()
	for _, n := range names {
		_, err := a.Ensure(n, local)
		require.NoError(t, err)
	}
}

// filesOf returns the files in a directory.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range list {
		if f.Type().IsRegular() {
			text, err := os.ReadFile(filepath.Join(dir, f.Name()))
			require.NoError(t, err)
			files[f.Name()] = string(text)
		}
	}
	return files
}

// handshake connects with the certificate of one to the certificate of another, each with the
// authorities of its own directory, and returns what the two say.
func handshake(t *testing.T, from *Authority, client Name, to *Authority, server Name) (clientErr, serverErr error) {
	t.Helper()
	config := func(a *Authority, n Name) *tls.Config {
		cert, key, ca := a.Files(n)
		pair, err := tls.LoadX509KeyPair(cert, key)
		require.NoError(t, err)
		text, err := os.ReadFile(ca)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(text))
		return &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool,
			ServerName: "localhost", ClientAuth: tls.RequireAndVerifyClientCert,
		}
	}
	a, b := net.Pipe()
	var both sync.WaitGroup
	both.Go(func() {
		s := tls.Server(b, config(to, server))
		serverErr = s.Handshake()
		s.Close()
	})
	c := tls.Client(a, config(from, client))
	if clientErr = c.Handshake(); clientErr == nil {
		_, _ = c.Read(make([]byte, 1)) // until the server has looked at the certificate
	}
	a.Close()
	both.Wait()
	return clientErr, serverErr
}

func good(t *testing.T, a *Authority, client, server Name) {
	t.Helper()
	clientErr, serverErr := handshake(t, a, client, a, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
}

func TestCertificatesAreOfTheirRole(t *testing.T) {
	a, made, err := Open(filepath.Join(t.TempDir(), "certs"), "prod")
	require.NoError(t, err)
	require.True(t, made)
	ensure(t, a, node, operator)
	good(t, a, operator, node)
	good(t, a, node, node)
	clientErr, _ := handshake(t, a, node, a, operator)
	require.ErrorContains(t, clientErr, "incompatible key usage", "nobody connects to an operator")

	list, err := a.List()
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.WithinDuration(t, time.Now().Add(AuthorityLife), list[0].Until, time.Minute)
	require.WithinDuration(t, time.Now().Add(UsualLife), list[1].Until, time.Minute)
	certs, err := readCerts(list[1].File)
	require.NoError(t, err)
	require.Equal(t, "gtstore://prod/node/node1", certs[0].URIs[0].String())
	require.Len(t, certs[0].URIs, 1)
	require.True(t, certs[0].NotBefore.Before(time.Now().Add(-slowClock+time.Minute)))
	require.NoError(t, certs[0].VerifyHostname("127.0.0.1"))

	other := open(t, t.TempDir())
	require.Equal(t, "dev", other.Cluster)
	ensure(t, other, operator)
	_, serverErr := handshake(t, other, operator, a, node)
	require.Error(t, serverErr, "another authority's certificate is of no use")
}

// Whoever may write into the directory could be anybody in the cluster.
func TestADirectoryThatAnybodyMayWriteIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no such modes")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	_, _, err := Open(dir, "")
	require.ErrorContains(t, err, "chmod 700")
	require.Empty(t, filesOf(t, dir))
	require.NoError(t, os.Chmod(dir, 0o700))
	open(t, dir)
}

// What is there is kept, byte for byte, and what is missing is made.
func TestWhatIsThereIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "certs")
	ensure(t, open(t, dir), node)
	was := filesOf(t, dir)
	require.Len(t, was, 4)
	ensure(t, open(t, dir), node, operator)
	is := filesOf(t, dir)
	require.Len(t, is, 6)
	for name, text := range was {
		require.Equal(t, text, is[name], name)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "node-node1.crt")))
	ensure(t, open(t, dir), node)
	again := filesOf(t, dir)
	require.Equal(t, was["node-node1.key"], again["node-node1.key"], "for the key that is there")
	require.NotEqual(t, was["node-node1.crt"], again["node-node1.crt"])
	good(t, open(t, dir), operator, node)

	require.ErrorIs(t, write(filepath.Join(dir, "ca.key"), []byte("x"), false), fs.ErrExist)
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, _ error) error {
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is for its owner only", name)
		return nil
	}))
	require.Len(t, again, 6, "no temporary file is left")
}

func TestAnAuthorityThatWasHalfMadeIsFinished(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	require.NoError(t, os.Remove(a.path("ca.crt")))
	key := filesOf(t, dir)["ca.key"]
	ensure(t, open(t, dir), node, operator)
	require.Equal(t, key, filesOf(t, dir)["ca.key"])
	good(t, open(t, dir), operator, node)
}

func TestRenewKeepsKeyAndHosts(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	ensure(t, a, node, operator)
	was := filesOf(t, dir)
	require.NoError(t, a.Renew(node, Options{Life: time.Hour}))
	is := filesOf(t, dir)
	require.NotEqual(t, was["node-node1.crt"], is["node-node1.crt"])
	require.Equal(t, was["node-node1.key"], is["node-node1.key"])
	good(t, a, operator, node) // at localhost, as before
	list, err := a.List()
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), list[1].Until, time.Minute)
	require.ErrorContains(t, a.Renew(Name{"node", "other"}, local), "there is no certificate node:other")
}

// At each step of an overlap certificates of both authorities are taken by who has the bundle, and
// nothing in the directory is of an authority that is not in it.
func TestAnOverlapOfTwoAuthorities(t *testing.T) {
	dir, old := t.TempDir(), t.TempDir()
	a := open(t, dir)
	require.ErrorContains(t, a.EndOverlap(), "there is no overlap")
	ensure(t, a, node, operator)
	for name, text := range filesOf(t, dir) { // a process that has not got the new files yet
		require.NoError(t, os.WriteFile(filepath.Join(old, name), []byte(text), 0o600))
	}
	before := open(t, old)

	require.NoError(t, a.Overlap())
	require.ErrorContains(t, a.Overlap(), "has begun already")
	a = open(t, dir)
	require.Len(t, a.all, 2)
	good(t, a, operator, node)
	require.ErrorContains(t, a.EndOverlap(), "node:node1, operator:ann are of the other authority")
	require.NoError(t, a.Renew(node, Options{}))
	good(t, a, operator, node) // one of each
	require.ErrorContains(t, a.EndOverlap(), "operator:ann is of the other authority")
	clientErr, _ := handshake(t, before, operator, a, node)
	require.Error(t, clientErr, "the bundle comes first, and then the certificates")
	require.NoError(t, a.Renew(operator, Options{}))
	require.NoError(t, a.EndOverlap())
	a = open(t, dir)
	require.Len(t, a.all, 1)
	good(t, a, operator, node)
	_, serverErr := handshake(t, before, operator, before, node)
	require.NoError(t, serverErr)
	clientErr, _ = handshake(t, a, operator, before, node)
	require.Error(t, clientErr, "the old authority is not taken any more")
}

// Killed between its two files, an overlap can be taken back.
func TestAnOverlapThatHalfBegan(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	ensure(t, a, node, operator)
	key := filesOf(t, dir)["ca.key"]
	require.NoError(t, a.Overlap())
	require.NoError(t, os.WriteFile(a.path("ca.key"), []byte(key), 0o600))
	a = open(t, dir)
	good(t, a, operator, node)
	require.NoError(t, a.EndOverlap())
	require.Len(t, open(t, dir).all, 1)
	good(t, open(t, dir), operator, node)
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string
	}{
		{"no authority", func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "ca.crt")))
			require.NoError(t, os.Remove(filepath.Join(dir, "ca.key")))
		}, "has certificates, but not the authority that made them"},
		{"no authority's key", func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "ca.key"))) }, "the authority's key"},
		{"another authority's key", func(t *testing.T, dir string) { swap(t, dir, "ca.key") }, "is not the key of any certificate in"},
		{"another authority", func(t *testing.T, dir string) { swap(t, dir, "ca.key"); swap(t, dir, "ca.crt") }, "is of another authority than"},
		{"no PEM", func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("x"), 0o600))
		}, `has no PEM block "CERTIFICATE"`},
		{"damaged PEM", func(t *testing.T, dir string) {
			text := filesOf(t, dir)["ca.crt"]
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), []byte(strings.Replace(text, "MII", "AAA", 1)), 0o600))
		}, "ca.crt: x509: malformed certificate"},
		{"no key", func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "node-node1.key")))
		}, "is there without"},
		{"another key", func(t *testing.T, dir string) { swap(t, dir, "node-node1.key") }, "is not the key of"},
		{"another's certificate", func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "operator-ann.crt"), filepath.Join(dir, "node-node1.crt")))
		}, "has the names [gtstore://dev/operator/ann], not gtstore://dev/node/node1"},
		{"a directory in the place of a file", func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "node-node1.crt")))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "node-node1.crt"), 0o700))
		}, "is not a file of at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			ensure(t, open(t, dir), node, operator)
			c.damage(t, dir)
			was := filesOf(t, dir)
			a, _, err := Open(dir, "")
			if err == nil {
				_, err = a.Ensure(node, local)
			}
			require.ErrorContains(t, err, c.want)
			require.Equal(t, was, filesOf(t, dir), "nothing is overwritten")
		})
	}
	dir := t.TempDir()
	a := open(t, dir)
	_, _, err := Open(dir, "prod")
	require.ErrorContains(t, err, "has the authority of cluster dev, not of prod")
	_, _, err = Open(dir, "a/b")
	require.ErrorContains(t, err, "want 1 to 64 letters")
	_, err = a.Ensure(node, Options{Hosts: []string{"10.0.0.1:7400"}})
	require.ErrorContains(t, err, "without a port")
	for _, text := range []string{"node1", "king:node1", "node:", "node:a/b", "node:ä", "node:" + strings.Repeat("n", 65)} {
		_, err = ParseName(text)
		require.ErrorContains(t, err, text)
	}
}

// swap puts the file of another authority, with the same names, in the place of one.
func swap(t *testing.T, dir, file string) {
	t.Helper()
	other := t.TempDir()
	ensure(t, open(t, other), node, operator)
	text := filesOf(t, other)[file]
	if file == "ca.crt" { // with the key that was swapped before
		key, err := readKey(filepath.Join(dir, "ca.key"))
		require.NoError(t, err)
		cert, err := (&Authority{Cluster: "dev"}).selfSigned(key)
		require.NoError(t, err)
		text = string(certText(cert))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
}
