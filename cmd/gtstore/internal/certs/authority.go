package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Life times.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	UsualLife     = 365 * 24 * time.Hour
	LifeMin       = time.Minute
	LifeMax       = AuthorityLife

	othersWrite = 0o002 // of a directory's mode

	slowClock = time.Hour // how long before they are made certificates are good
)

// Authority is a cluster's authority and its directory.
type Authority struct {
	Cluster string
	dir     string
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate   // of key
	all     []*x509.Certificate // those of ca.crt
}

// Open opens the directory of an authority. It makes both if there are none, for a cluster of that
// name; made then is true. Where there is one, cluster is "" or the name that it has.
func Open(dir, cluster string) (a *Authority, made bool, err error) {
	if cluster != "" && !isWord(cluster) {
		return nil, false, fmt.Errorf("the cluster %q: %w", cluster, errWord)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("cannot make the directory for the certificates: %w", err)
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, false, err
	} else if info.Mode().Perm()&othersWrite != 0 && runtime.GOOS != "windows" { // which has no such modes
		return nil, false, fmt.Errorf("anybody on this machine may write into %s, and so put an authority of his own there: chmod 700 it, and look at what is in it", dir)
	}
	a = &Authority{dir: dir}
	certs, certErr := readCerts(a.path(caFile + certEnd))
	key, keyErr := readKey(a.path(caFile + keyEnd))
	switch {
	case isAbsent(certErr) && isAbsent(keyErr):
		if files, _ := filepath.Glob(a.path("*" + certEnd)); len(files) > 0 {
			return nil, false, fmt.Errorf("%s has certificates, but not the authority that made them, %s and %s: bring these back, or choose another directory", dir, caFile+certEnd, caFile+keyEnd)
		}
		if a.Cluster = cluster; cluster == "" {
			a.Cluster = "dev"
		}
		return a, true, a.begin()
	case isAbsent(certErr) && keyErr == nil: // it was killed between the two
		if a.Cluster = cluster; cluster == "" {
			a.Cluster = "dev"
		}
		a.key = key
		return a, true, a.certify()
	case certErr != nil:
		return nil, false, fmt.Errorf("the authority's certificate: %w", certErr)
	case keyErr != nil:
		return nil, false, fmt.Errorf("the authority's key: %w", keyErr)
	}
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return key.PublicKey.Equal(c.PublicKey) })
	if i < 0 {
		return nil, false, fmt.Errorf("%s is not the key of any certificate in %s: bring the right one back", a.path(caFile+keyEnd), a.path(caFile+certEnd))
	}
	a.key, a.cert, a.all = key, certs[i], certs
	if len(a.cert.URIs) != 1 || a.cert.URIs[0].Scheme != scheme || !isWord(a.cert.URIs[0].Host) {
		return nil, false, fmt.Errorf("%s is not of an authority that this command made: it has no name gtstore://CLUSTER", a.path(caFile+certEnd))
	}
	if a.Cluster = a.cert.URIs[0].Host; cluster != "" && cluster != a.Cluster {
		return nil, false, fmt.Errorf("%s has the authority of cluster %s, not of %s: choose another directory", dir, a.Cluster, cluster)
	}
	return a, false, nil
}

// Is tells whether there is an authority in a directory, or a part of one.
func Is(dir string) bool {
	_, certErr := os.Stat(filepath.Join(dir, caFile+certEnd))
	_, keyErr := os.Stat(filepath.Join(dir, caFile+keyEnd))
	return certErr == nil || keyErr == nil
}

func (a *Authority) path(file string) string { return filepath.Join(a.dir, file) }

// Files are where a certificate, its key and the authority's certificates are.
func (a *Authority) Files(n Name) (cert, key, ca string) {
	return a.path(n.file() + certEnd), a.path(n.file() + keyEnd), a.path(caFile + certEnd)
}

// begin makes the authority's files. The key comes first: it is of no use to others without the
// certificate.
func (a *Authority) begin() (err error) {
	if a.key, err = newKey(); err != nil {
		return err
	}
	text, err := keyText(a.key)
	if err != nil {
		return err
	}
	if err := write(a.path(caFile+keyEnd), text, false); err != nil {
		return fmt.Errorf("cannot write the authority's key: %w", err)
	}
	return a.certify()
}

// certify makes the authority's certificate.
func (a *Authority) certify() (err error) {
	if a.cert, err = a.selfSigned(a.key); err != nil {
		return err
	}
	a.all = []*x509.Certificate{a.cert}
	if err := write(a.path(caFile+certEnd), certText(a.cert), false); err != nil {
		return fmt.Errorf("cannot write the authority's certificate: %w", err)
	}
	return nil
}

func (a *Authority) selfSigned(key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "GTStore CA of " + a.Cluster + ", " + now.UTC().Format("2006-01-02 15:04:05.000")},
		URIs:                  []*url.URL{{Scheme: scheme, Host: a.Cluster}},
		NotBefore:             now.Add(-slowClock),
		NotAfter:              now.Add(AuthorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	return sign(t, t, key, key)
}

// sign makes a certificate of a template. Its serial number is drawn.
func sign(t, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	var err error
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Overlap begins an overlap of two authorities: there is a new one, which makes all certificates
// from now on, and ca.crt has both, so that whoever has it takes the certificates of either. The key
// of the old one is gone then.
func (a *Authority) Overlap() error {
	if len(a.all) > 1 {
		return errors.New("an overlap has begun already: renew all certificates, and end it, before the next one")
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	cert, err := a.selfSigned(key)
	if err != nil {
		return err
	}
	text, err := keyText(key)
	if err != nil {
		return err
	}
	// Between the two the old authority goes on, and EndOverlap takes the new one back.
	if err := write(a.path(caFile+certEnd), certText(cert, a.cert), true); err != nil {
		return fmt.Errorf("cannot write the authorities' certificates: %w", err)
	}
	if err := write(a.path(caFile+keyEnd), text, true); err != nil {
		return fmt.Errorf("cannot write the new authority's key: %w", err)
	}
	a.key, a.all, a.cert = key, []*x509.Certificate{cert, a.cert}, cert
	return nil
}

// EndOverlap ends an overlap: ca.crt has one authority. A certificate in the directory that would
// not be taken any more is an error.
func (a *Authority) EndOverlap() error {
	if len(a.all) < 2 {
		return fmt.Errorf("there is no overlap: %s has one authority", a.path(caFile+certEnd))
	}
	list, err := a.List()
	if err != nil {
		return err
	}
	var left []string
	for _, c := range list {
		if c.Name != (Name{}) && !c.Newest {
			left = append(left, c.Name.String())
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%s of the other authority: renew first, and have it where it is used", strings.Join(left, ", ")+isOrAre(len(left)))
	}
	if err := write(a.path(caFile+certEnd), certText(a.cert), true); err != nil {
		return fmt.Errorf("cannot write the authority's certificate: %w", err)
	}
	a.all = []*x509.Certificate{a.cert}
	return nil
}

func isOrAre(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

// SplitHosts returns the names and the IP addresses of a list of hosts.
func SplitHosts(hosts []string) (names []string, ips []net.IP, err error) {
	for _, h := range hosts {
		ip := net.ParseIP(h)
		switch {
		case ip != nil:
			ips = append(ips, ip)
		case h == "" || strings.ContainsAny(h, ":/@ ") || len(h) > 253:
			return nil, nil, fmt.Errorf("the host %q: want the name of one or its IP address, without a port", h)
		default:
			names = append(names, h)
		}
	}
	return names, ips, nil
}
