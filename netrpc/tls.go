package netrpc

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
)

// TLS names the files by which a process shows who it is, and knows its peers: all in PEM, but
// Deny. They are read again when they change. The zero value: all connections are plain, and
// anybody may say anything. Either all processes of a cluster have it, or none.
//
// A certificate has one URI name, gtstore://CLUSTER/ROLE/NAME, and is good for clients and
// servers (ExtKeyUsage); roles are manager, node, client and operator. A storage node's NAME is
// its name in the cluster.
type TLS struct {
	Cert string // the certificate, and those between it and the CA
	Key  string // its private key
	CA   string // of all certificates of the cluster; while one CA takes the place of another, both
	Deny string // names that are refused, one a line: NAME, or ROLE/NAME; "" for nobody
}

// load reads the files; nil for the zero value. The process must have one of the roles.
func (f TLS) load(log *slog.Logger, what string, roles ...core.Role) (*identity.Source, error) {
	if f == (TLS{}) {
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" || f.CA == "" {
		return nil, errors.New("netrpc: TLS needs a certificate, its key and the CA's certificate: some are not named")
	}
	s, err := identity.Load(identity.Files(f), log)
	if err != nil {
		return nil, fmt.Errorf("netrpc: TLS: %w", err)
	}
	for _, r := range roles {
		if s.Name().Role == r {
			return s, nil
		}
	}
	return nil, fmt.Errorf("netrpc: TLS: %s is the certificate of %v, and %s needs one of role %v", f.Cert, s.Name(), what, roles[0])
}

// ofCertificate gives the address of a process the name of its certificate: so whoever is told
// where it is knows whom to expect there.
func ofCertificate(id *identity.Source, self *core.Peer) error {
	if id == nil {
		return nil
	}
	self.Addr = id.Name().At(self.Addr)
	if len(self.Addr) > core.AddrBytesMax {
		return fmt.Errorf("netrpc: TLS: the name and address of this process, %q, have %d bytes: at most %d", self.Addr, len(self.Addr), core.AddrBytesMax)
	}
	return nil
}

// named gives a storage node the name of its certificate.
func named(id *identity.Source, opt *core.StorageOptions) error {
	if id == nil {
		return nil
	}
	name := id.Name().Name
	if opt.Name != "" && opt.Name != name {
		return fmt.Errorf("netrpc: TLS: the node's name is %q, and its certificate is of %v: they must be the same", opt.Name, id.Name())
	}
	opt.SessionsShared = true
	opt.Name = name
	return ofCertificate(id, &opt.Self)
}

// hostPort is the part of an address that can be dialled: those of nodes with a certificate
// begin with its name.
func hostPort(address string) string {
	_, rest := identity.SplitAddress(address)
	return rest
}

// Security tells of a process's certificate, and counts what it has refused for what
// certificates say. Without TLS it is zero.
type Security struct {
	Name  string    // in the certificate
	Ends  time.Time // when that ends
	Reads uint64    // how often the files were read, since they had changed

	Handshakes uint64 // connections without a certificate that is good here, or to somebody else than belongs there
	Messages   uint64 // connections that were ended as their peer said what it may not
	Ended      uint64 // connections that were ended with a certificate, or as its name was denied
}

// Security tells how it is now.
func (s *Server) Security() Security { return s.host.security() }

// Security tells how it is now.
func (c *Client) Security() Security { return c.host.security() }

func (h *host) security() (s Security) {
	if h.id != nil {
		s.Name, s.Reads, s.Ends = h.id.Name().String(), h.id.Reads(), h.id.Ends()
	}
	r := h.net.Refusals()
	s.Handshakes, s.Messages, s.Ended = r.Handshakes.Load(), r.Messages.Load(), r.Ended.Load()
	return s
}
