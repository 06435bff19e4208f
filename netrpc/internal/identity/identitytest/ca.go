package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/netrpc/internal/identity"
)

// CA is one that lives as long as a test.
type CA struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	PEM  []byte // its certificate
}

// New makes a CA.
func New(tb testing.TB) *CA {
	tb.Helper()
	ca := &CA{tb: tb, dir: tb.TempDir(), key: newKey(tb)}
	template := &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: "CA of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &ca.key.PublicKey, ca.key)
	require.NoError(tb, err)
	ca.cert, err = x509.ParseCertificate(raw)
	require.NoError(tb, err)
	ca.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	return ca
}

// NewUnder makes what a certificate has signed that is no CA's: the configuration of somebody who
// shows another one, node n2's of cluster prod.
func NewUnder(tb testing.TB, signer tls.Certificate) *tls.Config {
	tb.Helper()
	ca := &CA{tb: tb, dir: tb.TempDir(), cert: signer.Leaf, key: signer.PrivateKey.(*ecdsa.PrivateKey)}
	f := ca.Issue("gtstore://prod/node/n2")
	c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(tb, err)
	c.Certificate = append(c.Certificate, signer.Certificate...)
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"gtstore"}, Certificates: []tls.Certificate{c}}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	return key
}

func serial(tb testing.TB) *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	require.NoError(tb, err)
	return n
}

// Issue writes a certificate with the name, of this CA, to files of its own. It is good for a
// day, unless it is changed.
func (ca *CA) Issue(name string, change ...func(*x509.Certificate)) identity.Files {
	ca.tb.Helper()
	dir, err := os.MkdirTemp(ca.dir, "")
	require.NoError(ca.tb, err)
	f := identity.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem"), Deny: filepath.Join(dir, "deny")}
	ca.Write(f.CA, ca.PEM)
	ca.Write(f.Deny, nil)
	ca.Renew(f, name, change...)
	return f
}

// Renew writes another certificate in the place of the one in the files.
func (ca *CA) Renew(f identity.Files, name string, change ...func(*x509.Certificate)) {
	ca.tb.Helper()
	uri, err := url.Parse(name)
	require.NoError(ca.tb, err)
	key := newKey(ca.tb)
	template := &x509.Certificate{
		SerialNumber: serial(ca.tb), URIs: []*url.URL{uri},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, f := range change {
		f(template)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	require.NoError(ca.tb, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(ca.tb, err)
	ca.Write(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	ca.Write(f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

// Write puts a file in place, whole.
func (ca *CA) Write(name string, text []byte) {
	ca.tb.Helper()
	require.NoError(ca.tb, os.WriteFile(name+".new", text, 0o600))
	require.NoError(ca.tb, os.Rename(name+".new", name))
}
