package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Peer is who is at the other end of a connection.
type Peer struct {
	Name
	owner  string // see Owner
	source *Source
	chain  []*x509.Certificate
	usage  x509.ExtKeyUsage
	ends   time.Time             // of what either end showed
	seen   atomic.Pointer[state] // under which the peer was last found good
}

// ErrDenied is matched by the refusal of a peer whose name is on the deny-list.
var ErrDenied = errors.New("its name is on the deny-list")

// check tells whether a chain is good, and whose it is.
func (s *Source) check(st *state, chain []*x509.Certificate, usage x509.ExtKeyUsage) (Name, error) {
	if len(chain) == 0 {
		return Name{}, errNoPeer
	}
	n, err := nameIn(chain[0])
	if err != nil {
		return Name{}, err
	}
	err = verify(chain, st.roots, usage, s.now())
	switch invalid := new(x509.CertificateInvalidError); {
	case n.Cluster != s.name.Cluster:
		return Name{}, fmt.Errorf("it is %v, of another cluster: this one is %q", n, s.name.Cluster)
	case errors.As(err, invalid) && invalid.Reason == x509.Expired:
		return Name{}, fmt.Errorf("the certificate of %v is not valid now: it is from %s to %s", n, chain[0].NotBefore.UTC().Format(time.RFC3339), chain[0].NotAfter.UTC().Format(time.RFC3339))
	case err != nil:
		return Name{}, fmt.Errorf("the certificate of %v: %w", n, err)
	case st.denied[n.Name] || st.denied[n.Short()] || st.denied[n.String()]:
		return Name{}, fmt.Errorf("%v: %w", n, ErrDenied)
	}
	return n, nil
}

// configure makes the configurations of TLS. They stay: the keys of the server's tickets
// are in them.
func (s *Source) configure() {
	common := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{scheme}, DynamicRecordSizingDisabled: true,
		Time: func() time.Time { return s.now() },
	}
	s.server = common.Clone()
	s.server.ClientAuth = tls.RequireAnyClientCert // VerifyConnection looks at it, under the bundle of that moment
	s.server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.state.Load().own, nil }
	s.server.VerifyConnection = func(c tls.ConnectionState) error {
		_, err := s.check(s.state.Load(), c.PeerCertificates, x509.ExtKeyUsageClientAuth)
		return err
	}
	s.client = common.Clone()
	s.client.InsecureSkipVerify = true // which is of host names: VerifyConnection looks at all that counts
}

// Client makes TLS on a connection that this process has made to somebody, within the
// context.
func (s *Source) Client(ctx context.Context, c net.Conn, want Wanted) (*tls.Conn, *Peer, error) {
	st := s.current()
	config := s.client.Clone()
	config.ClientSessionCache = st.sessions
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return st.own, nil }
	config.VerifyConnection = func(c tls.ConnectionState) error {
		n, err := s.check(st, c.PeerCertificates, x509.ExtKeyUsageServerAuth)
		if err == nil && !want.is(n) {
			err = want.missed(n)
		}
		if err != nil {
			err = &stranger{err}
		}
		return err
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("TLS: %w", explain(err))
	}
	return t, s.peer(st, t, x509.ExtKeyUsageServerAuth), nil
}

// stranger is the error of a process that has dialled, and for which the certificate of whoever is
// there is not good.
type stranger struct{ error }

func (s *stranger) Unwrap() error { return s.error }

// IsStranger tells whether that is why a connection could not be made: somebody is there, whose
// certificate is not good, or not that of whom this process expects.
func IsStranger(err error) bool { return errors.As(err, new(*stranger)) }

// IsGone tells whether a handshake ended because the other end went away. That says nothing of
// who it was.
func IsGone(err error) bool {
	return errors.Is(err, errLeft) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// Server makes TLS on a connection that somebody has made to this process.
func (s *Source) Server(ctx context.Context, c net.Conn) (*tls.Conn, *Peer, error) {
	s.current() // now, and not amid the handshake: others wait for its turn to end
	t := tls.Server(c, s.server)
	if err := t.HandshakeContext(ctx); err != nil {
		if head := new(tls.RecordHeaderError); errors.As(err, head) && head.Conn != nil { // then TLS says nothing by itself
			_, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 70}) // an alert, of the version: so the peer can tell what is wanted
		}
		return nil, nil, fmt.Errorf("TLS: %w", explain(err))
	}
	return t, s.peer(s.state.Load(), t, x509.ExtKeyUsageClientAuth), nil
}

func (s *Source) peer(st *state, t *tls.Conn, usage x509.ExtKeyUsage) *Peer {
	p := &Peer{source: s, chain: t.ConnectionState().PeerCertificates, usage: usage}
	p.Name, _ = nameIn(p.chain[0]) // VerifyConnection has looked
	p.owner = p.Name.Owner()
	if p.ends = p.chain[0].NotAfter; st.ends.Before(p.ends) {
		p.ends = st.ends
	}
	return p
}

// Owner is that of the peer's name, made once for all of its messages.
func (p *Peer) Owner() string { return p.owner }

// Over tells why the connection with a peer must end: a certificate has ended, or what was read
// since refuses the peer. It is nil when the connection may go on.
func (p *Peer) Over() error {
	st := p.source.current()
	if p.source.now().After(p.ends) {
		return fmt.Errorf("the certificate of %s, or the one shown to it, has ended", p.Short())
	}
	if p.seen.Load() == st {
		return nil
	}
	if _, err := p.source.check(st, p.chain, p.usage); err != nil {
		return err
	}
	p.seen.Store(st)
	return nil
}

// Forget has the next connection to the same address make a full handshake: the session that
// was resumed may be why the peer refused this one.
func (s *Source) Forget(c net.Conn) {
	s.state.Load().sessions.Put(c.RemoteAddr().String(), nil)
}

// explain says what to do about an error of the handshake.
func explain(err error) error {
	var head tls.RecordHeaderError
	var network *net.OpError
	switch {
	case errors.As(err, &head) && string(head.RecordHeader[:]) == "GTSto":
		return fmt.Errorf("the peer speaks without TLS: give it --tls-cert, --tls-key and --tls-ca, or take them from this process (%w)", err)
	case errors.As(err, &head):
		return fmt.Errorf("the peer does not speak TLS: is it a GTStore port? (%w)", err)
	case errors.As(err, &network) && network.Op == "remote error":
		return rejected(err)
	case errors.Is(err, io.EOF):
		return errLeft
	}
	return err
}

// Rejection explains an error of the first words after the handshake: a peer may look at this
// process's certificate only then.
func Rejection(err error) error {
	if network := new(net.OpError); errors.As(err, &network) && network.Op == "remote error" {
		return rejected(err)
	}
	return err
}

var errLeft = errors.New("the peer closed the connection in the handshake: its log says why")

func rejected(err error) error {
	return fmt.Errorf("the peer refuses the certificate of this process: its log says why; compare --tls-ca on both sides, the names in the certificates, and the peer's --tls-deny (%w)", err)
}
