package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Files are where a process has what it shows and what it trusts, all in PEM but Deny.
type Files struct {
	Cert string // the process's certificate, and those between it and the CA
	Key  string // its private key
	CA   string // the CA's certificate; of two CAs during an overlap, both
	Deny string // names that are refused, one a line: NAME, or ROLE/NAME; "" for nobody
}

// Source has what the files of a process say now. It is safe for many goroutines.
type Source struct {
	files Files
	log   *slog.Logger
	name  Name

	now    func() time.Time
	every  time.Duration // between two looks at the files
	lookAt atomic.Int64  // when to look again, as Unix nanoseconds
	client *tls.Config
	server *tls.Config

	state   atomic.Pointer[state]
	reads   atomic.Uint64 // of files that had changed
	reading sync.Mutex    // who looks
	failure string        // that was logged last; of whoever looks
	warned  bool          // that the own certificate has ended; likewise
}

// state is what the files said when they were last whole.
type state struct {
	raw      [4][]byte
	own      *tls.Certificate
	ends     time.Time // of the own certificate
	roots    *x509.CertPool
	denied   map[string]bool
	sessions tls.ClientSessionCache // under this certificate
}

const (
	lookEvery   = time.Second
	filesMax    = 4 << 20 // bytes of a file
	sessionsMax = 1024    // of TLS, to be resumed
)

// ChainBytesMax bounds a certificate with those between it and the CA, as they are sent: a peer
// takes no more of somebody whom it does not know yet.
const ChainBytesMax = 16 << 10

// Load reads the files.
func Load(f Files, log *slog.Logger) (*Source, error) {
	s := &Source{files: f, log: log, now: time.Now, every: lookEvery}
	st, err := s.read(nil)
	if err != nil {
		return nil, err
	}
	s.name, _ = nameIn(st.own.Leaf) // read has looked
	if now := s.now(); now.After(st.ends) {
		return nil, fmt.Errorf("%s: the certificate of %v has ended on %s: issue another", f.Cert, s.name, st.ends.UTC().Format(time.RFC3339))
	} else if now.Before(st.own.Leaf.NotBefore) {
		return nil, fmt.Errorf("%s: the certificate of %v begins only on %s: look at the clock of this machine, and of where it was issued", f.Cert, s.name, st.own.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	s.lookAt.Store(s.now().Add(s.every).UnixNano())
	s.state.Store(st)
	s.configure()
	return s, nil
}

// Reads tells how often the files were read after they had changed.
func (s *Source) Reads() uint64 { return s.reads.Load() }

// Ends is when the process's certificate does.
func (s *Source) Ends() time.Time { return s.state.Load().ends }

// Name is the process's own.
func (s *Source) Name() Name { return s.name }

// read reads the files. It returns nil when they are as they were.
func (s *Source) read(was *state) (*state, error) {
	st := &state{denied: make(map[string]bool)}
	for i, file := range []string{s.files.Cert, s.files.Key, s.files.CA, s.files.Deny} {
		if file == "" && i == len(st.raw)-1 {
			break
		}
		b, err := readFile(file)
		if err != nil {
			return nil, err
		}
		st.raw[i] = b
	}
	if was != nil && bytes.Equal(bytes.Join(was.raw[:], nil), bytes.Join(st.raw[:], nil)) {
		return nil, nil
	}
	own, err := tls.X509KeyPair(st.raw[0], st.raw[1])
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s: %w", s.files.Cert, s.files.Key, err)
	}
	st.own, st.ends, st.roots = &own, own.Leaf.NotAfter, x509.NewCertPool()
	if !st.roots.AppendCertsFromPEM(st.raw[2]) {
		return nil, fmt.Errorf("CA %s: it has no certificate in PEM", s.files.CA)
	}
	name, err := nameIn(own.Leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", s.files.Cert, err)
	}
	if was != nil && name != s.name {
		return nil, fmt.Errorf("certificate %s: it is of %v now, and this process is %v: start it again to give it another name", s.files.Cert, name, s.name)
	}
	if n := len(bytes.Join(own.Certificate, nil)); n > ChainBytesMax {
		return nil, fmt.Errorf("certificate %s: with those between it and the CA it has %d bytes, and at most %d are taken: leave out those that peers have by their --tls-ca", s.files.Cert, n, ChainBytesMax)
	}
	chain, err := parseChain(own.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", s.files.Cert, err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if usage == x509.ExtKeyUsageServerAuth && !name.Role.Listens() {
			continue
		}
		// Of one that is not valid now, Load says so with its name.
		if err := verify(chain, st.roots, usage, own.Leaf.NotBefore); err != nil {
			return nil, fmt.Errorf("certificate %s does not hold under the CA %s: %w", s.files.Cert, s.files.CA, err)
		}
	}
	for line := range strings.Lines(string(st.raw[3])) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			st.denied[strings.TrimSpace(line)] = true
		}
	}
	st.sessions = tls.NewLRUClientSessionCache(sessionsMax)
	return st, nil
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > filesMax {
		return nil, fmt.Errorf("%s: it has %d bytes, more than any such file needs", name, info.Size())
	}
	return os.ReadFile(name)
}

func parseChain(raw [][]byte) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(raw))
	for i := range raw {
		c, err := x509.ParseCertificate(raw[i])
		if err != nil {
			return nil, err
		}
		chain[i] = c
	}
	return chain, nil
}

// current returns what the files say. It looks at them when the last look is long ago, unless
// somebody else does.
func (s *Source) current() *state {
	if now := s.now(); now.UnixNano() >= s.lookAt.Load() && s.reading.TryLock() {
		defer s.reading.Unlock()
		s.lookAt.Store(now.Add(s.every).UnixNano())
		s.look()
	}
	return s.state.Load()
}

func (s *Source) look() {
	st := s.state.Load()
	fresh, err := s.read(st)
	switch {
	case err != nil:
		if err.Error() != s.failure {
			s.failure = err.Error()
			s.log.Error("the files of TLS have changed and do not fit: what was read before stays in use", "err", err)
		}
	case fresh != nil:
		s.failure, s.warned = "", false
		s.state.Store(fresh)
		s.reads.Add(1)
		st = fresh
		s.log.Info("the files of TLS were read again", "certificate", s.name.String(), "ends", fresh.ends, "denied", len(fresh.denied))
	default:
		s.failure = ""
	}
	if !s.warned && s.now().After(st.ends) {
		s.warned = true
		s.log.Error("the certificate of this process has ended: nobody takes it any more, until another is in its place", "file", s.files.Cert, "ended", st.ends)
	}
}

var errNoPeer = errors.New("the peer showed no certificate")

// verify checks a chain, of which the first is the peer's own.
func verify(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, at time.Time) error {
	if len(chain) == 0 {
		return errNoPeer
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}
