package certs

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"
)

// Options say what a certificate is to be.
type Options struct {
	Hosts []string      // names and IP addresses at which it is used
	Life  time.Duration // from LifeMin to LifeMax; it ends with the authority at the latest
}

// Cert is a certificate in the directory.
type Cert struct {
	Name   Name // zero for an authority
	File   string
	Until  time.Time
	Newest bool // of the authority that makes certificates now, or this authority itself
}

// Ensure makes a certificate that is not there, and its key. It keeps what is there; made tells.
func (a *Authority) Ensure(n Name, o Options) (made bool, err error) {
	certFile, keyFile, _ := a.Files(n)
	certs, certErr := readCerts(certFile)
	key, keyErr := readKey(keyFile)
	switch {
	case certErr == nil && keyErr == nil:
		return false, a.check(n, certs[0], key)
	case certErr == nil && isAbsent(keyErr):
		return false, fmt.Errorf("%s is there without %s: bring the key back, or remove both to have them made anew", certFile, keyFile)
	case certErr != nil && !isAbsent(certErr):
		return false, certErr
	case keyErr != nil && !isAbsent(keyErr):
		return false, keyErr
	}
	if keyErr != nil {
		if key, err = newKey(); err != nil {
			return false, err
		}
		text, err := keyText(key)
		if err != nil {
			return false, err
		}
		if err := write(keyFile, text, false); err != nil {
			return false, fmt.Errorf("cannot write a key: %w", err)
		}
	}
	return true, a.issue(n, o, key, false)
}

// Renew makes a certificate anew, with the key that it has: so there is one file to replace, and
// whoever reads the two at any moment has a pair. It has the hosts of the former, unless o names
// some. To have another key, remove both files and use Ensure.
func (a *Authority) Renew(n Name, o Options) error {
	certFile, keyFile, _ := a.Files(n)
	certs, err := readCerts(certFile)
	if isAbsent(err) {
		return fmt.Errorf("there is no certificate %s in %s to renew", n, a.dir)
	}
	if err != nil {
		return err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return err
	}
	if err := a.check(n, certs[0], key); err != nil {
		return err
	}
	if o.Hosts == nil {
		for _, ip := range certs[0].IPAddresses {
			o.Hosts = append(o.Hosts, ip.String())
		}
		o.Hosts = append(o.Hosts, certs[0].DNSNames...)
	}
	return a.issue(n, o, key, true)
}

// check tells what is wrong with a certificate that is there.
func (a *Authority) check(n Name, c *x509.Certificate, key *ecdsa.PrivateKey) error {
	file, keyFile, _ := a.Files(n)
	switch {
	case len(c.URIs) != 1 || c.URIs[0].String() != n.uri(a.Cluster).String():
		return fmt.Errorf("%s has the names %v, not %v: remove it and its key to have them made anew", file, c.URIs, n.uri(a.Cluster))
	case !key.PublicKey.Equal(c.PublicKey):
		return fmt.Errorf("%s is not the key of %s: remove both to have them made anew", keyFile, file)
	case !slices.ContainsFunc(a.all, func(ca *x509.Certificate) bool { return c.CheckSignatureFrom(ca) == nil }):
		return fmt.Errorf("%s is of another authority than %s: remove it and its key to have them made anew", file, a.path(caFile+certEnd))
	}
	return nil
}

// issue writes a certificate for a key.
func (a *Authority) issue(n Name, o Options, key *ecdsa.PrivateKey, replace bool) error {
	names, ips, err := SplitHosts(o.Hosts)
	if err != nil {
		return err
	}
	now := time.Now()
	until := now.Add(cmp.Or(o.Life, UsualLife))
	if until.After(a.cert.NotAfter) {
		until = a.cert.NotAfter
	}
	uses := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if n.Role == "manager" || n.Role == "node" { // which others connect to
		uses = append(uses, x509.ExtKeyUsageServerAuth)
	}
	c, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: n.String()},
		URIs:                  []*url.URL{n.uri(a.Cluster)},
		DNSNames:              names,
		IPAddresses:           ips,
		NotBefore:             now.Add(-slowClock),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           uses,
		BasicConstraintsValid: true,
	}, a.cert, key, a.key)
	if err != nil {
		return err
	}
	file, _, _ := a.Files(n)
	if err := write(file, certText(c), replace); err != nil {
		return fmt.Errorf("cannot write a certificate: %w", err)
	}
	return nil
}

// List lists what is in the directory: the authorities first, the newest before the other, and the
// certificates by their files' names.
func (a *Authority) List() (list []Cert, err error) {
	for _, c := range a.all {
		list = append(list, Cert{File: a.path(caFile + certEnd), Until: c.NotAfter, Newest: c == a.cert})
	}
	files, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		n, ok := nameOf(f.Name())
		if !ok {
			continue
		}
		certs, err := readCerts(a.path(f.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, Cert{Name: n, File: a.path(f.Name()), Until: certs[0].NotAfter, Newest: certs[0].CheckSignatureFrom(a.cert) == nil})
	}
	return list, nil
}
