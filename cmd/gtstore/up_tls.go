package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gtstore/cmd/gtstore/internal/certs"
	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

// certsName is the directory of up's certificates, beside those of the nodes.
const certsName = "certs"

// renewBefore is how long before its end up makes a certificate anew.
const renewBefore = 30 * day

// makeCerts has a certificate be there for each process, and for who uses the cluster, if there is
// to be TLS: in the directory of the cluster, or in a temporary one, which end removes.
func (f *upFlags) makeCerts() (end func(), err error) {
	end = func() {}
	if !f.withTLS {
		return end, nil
	}
	dir := filepath.Join(f.dir, certsName)
	if f.dir == "" {
		if dir, err = os.MkdirTemp("", "gtstore-certs-"); err != nil {
			return end, fmt.Errorf("cannot make a directory for the certificates: %w", err)
		}
		end = func() { _ = os.RemoveAll(dir) } // what is left of it is for its owner only
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	if dir, err = filepath.Abs(dir); err != nil {
		return end, err
	}
	if f.certs, _, err = certs.Open(dir, ""); err != nil {
		return end, err
	}
	for _, n := range clusterNames(f.managers, f.nodes) {
		if _, err := f.certs.Ensure(n, certs.Options{Hosts: localHosts}); err != nil {
			return end, err
		}
	}
	list, err := f.certs.List()
	if err != nil {
		return end, err
	}
	for _, c := range list {
		if c.Name != (certs.Name{}) && time.Until(c.Until) < renewBefore {
			if err := f.certs.Renew(c.Name, certs.Options{}); err != nil {
				return end, err
			}
		}
	}
	return end, nil
}

// tlsOf are the files of whom a certificate names; the zero value without TLS.
func (f *upFlags) tlsOf(n certs.Name) (tls netrpc.TLS) {
	if f.certs != nil {
		tls.Cert, tls.Key, tls.CA = f.certs.Files(n)
	}
	return tls
}

// tlsFlags tell a process which files are its own.
func (f *upFlags) tlsFlags(role, name string) []string {
	if f.certs == nil {
		return nil
	}
	tls := f.tlsOf(certs.Name{Role: role, Name: name})
	return []string{"--tls-cert", tls.Cert, "--tls-key", tls.Key, "--tls-ca", tls.CA}
}

// dialer connects as an operator, where there is TLS.
func (f *upFlags) dialer() *netrpc.Dialer { return &netrpc.Dialer{TLS: f.tlsOf(operatorName)} }

// upResult is what up prints as JSON: the status, and by which files an operator shows who it is.
type upResult struct {
	*statusResult
	TLS *tlsResult `json:"tls,omitempty"`
}

type tlsResult struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

func (f *upFlags) tlsResult() *tlsResult {
	if f.certs == nil {
		return nil
	}
	tls := f.tlsOf(operatorName)
	return &tlsResult{tls.CA, tls.Cert, tls.Key}
}

// managerList is how the managers at these addresses are named to others: with TLS each by the name
// in its certificate, so that nobody else answers in its place.
func (f *upFlags) managerList(addresses []string) string {
	list := slices.Clone(addresses)
	if f.withTLS {
		for i := range list {
			list[i] = core.JoinAddr(f.managerName(i), list[i])
		}
	}
	return strings.Join(list, ",")
}

// tlsHint is what to type in a shell before the commands on a cluster with TLS.
func (f *upFlags) tlsHint(managers []string) string {
	if f.certs == nil {
		return ""
	}
	tls := f.tlsOf(operatorName)
	return fmt.Sprintf("  export %s=%s\n", cli.Variable("manager"), f.managerList(managers)) + tlsExports(tls.CA, tls.Cert, tls.Key)
}

// tlsExports are the lines with which a shell's commands are whom a certificate names.
func tlsExports(ca, cert, key string) string {
	return fmt.Sprintf("  export %s=%s\n  export %s=%s\n  export %s=%s\n", cli.Variable("tls-ca"), quoted(ca), cli.Variable("tls-cert"), quoted(cert), cli.Variable("tls-key"), quoted(key))
}
