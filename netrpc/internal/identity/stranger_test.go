package identity_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/netrpc/internal/identity/identitytest"
)

// connect makes a connection, and returns both its ends.
func connect(t *testing.T) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	far, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

// Who comes with another library than this one may show and say anything. Both ends refuse what is
// not good, whatever it is that is wrong.
func TestStrangersAreRefused(t *testing.T) {
	ca, other := identitytest.New(t), identitytest.New(t)
	pair := func(ca *identitytest.CA, name string, change ...func(*x509.Certificate)) *tls.Config {
		f := ca.Issue(name, change...)
		c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		require.NoError(t, err)
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"gtstore"}, Certificates: []tls.Certificate{c}}
	}
	with := func(c *tls.Config, change func(*tls.Config)) *tls.Config {
		change(c)
		return c
	}
	const good = "gtstore://prod/node/n2"
	second, err := url.Parse("gtstore://prod/operator/n2")
	require.NoError(t, err)
	under := pair(ca, good) // a certificate that is no CA's, and what it has signed
	forged := identitytest.NewUnder(t, under.Certificates[0])
	stolen := pair(ca, good)
	stolen.Certificates[0].PrivateKey = pair(ca, good).Certificates[0].PrivateKey

	strangers := map[string]*tls.Config{
		"no certificate":            {InsecureSkipVerify: true, NextProtos: []string{"gtstore"}},
		"TLS 1.2":                   with(pair(ca, good), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		"another protocol":          with(pair(ca, good), func(c *tls.Config) { c.NextProtos = []string{"h2"} }),
		"another CA":                pair(other, good),
		"another cluster":           pair(ca, "gtstore://test/node/n2"),
		"another scheme":            pair(ca, "spiffe://prod/node/n2"),
		"no such role":              pair(ca, "gtstore://prod/admin/n2"),
		"no role":                   pair(ca, "gtstore://prod/n2"),
		"a port in the name":        pair(ca, "gtstore://prod:1/node/n2"),
		"a query in the name":       pair(ca, good+"?x=y"),
		"a name that is escaped":    pair(ca, "gtstore://prod/nod%65/n2"),
		"no URI name":               pair(ca, good, func(c *x509.Certificate) { c.URIs = nil }),
		"a DNS name instead":        pair(ca, good, func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{"node.n2"} }),
		"two URI names":             pair(ca, good, func(c *x509.Certificate) { c.URIs = append(c.URIs, second) }),
		"it has ended":              pair(ca, good, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
		"it has not begun":          pair(ca, good, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }),
		"for signing code only":     pair(ca, good, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }),
		"another's certificate":     stolen,
		"signed by a node":          forged,
		"a name on the deny-list":   pair(ca, "gtstore://prod/node/thief"),
		"another case of that name": pair(ca, "gtstore://prod/Node/thief"),
	}
	files := ca.Issue("gtstore://prod/node/n1")
	require.NoError(t, os.WriteFile(files.Deny, []byte("thief\n"), 0o600))
	node := load(t, files)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	asServer := func(c *tls.Config) error { // what the node says of one that connects
		near, far := connect(t)
		go func() {
			if s := tls.Client(near, c); s.HandshakeContext(ctx) == nil {
				_, _ = s.Read(make([]byte, 1))
			}
			near.Close()
		}()
		_, _, err := node.Server(ctx, far)
		return err
	}
	asClient := func(c *tls.Config) error { // and of one to which it connects
		near, far := connect(t)
		c = c.Clone()
		c.ClientAuth = tls.RequestClientCert
		go func() {
			_ = tls.Server(near, c).HandshakeContext(ctx)
			near.Close()
		}()
		_, _, err := node.Client(ctx, far, anyNode("n2"))
		return err
	}
	require.NoError(t, asServer(pair(ca, good)))
	require.NoError(t, asClient(pair(ca, good)))
	for name, c := range strangers {
		require.Error(t, asServer(c), name)
		require.Error(t, asClient(c), name)
	}
	forClients := pair(ca, good, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	require.NoError(t, asServer(forClients))
	require.Error(t, asClient(forClients), "nobody connects to whoever is good as a client only")
	forServers := pair(ca, good, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	require.NoError(t, asClient(forServers))
	require.Error(t, asServer(forServers), "and the other way round")
	for _, name := range []string{"gtstore://prod/manager/n2", "gtstore://prod/client/n2", "gtstore://prod/node/n3"} {
		require.Error(t, asClient(pair(ca, name)), name)
	}
}
