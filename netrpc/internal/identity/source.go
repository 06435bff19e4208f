package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
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
	list    denyList      // of whoever looks
	failure string        // that was logged last; likewise
	warned  bool          // that the own certificate has ended; likewise
}

// state is what the files said when they were last whole.
type state struct {
	raw      [3][]byte // of certificate, key and CA
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

// read reads the files. It returns nil when they are as they were. With an error it returns what
// is to be used all the same, or nil: a certificate that does not fit keeps nobody off the
// deny-list, nor a line of that the others.
func (s *Source) read(was *state) (*state, error) {
	st, err := s.readOwn(was)
	if was == nil && err != nil {
		return nil, err
	}
	fresh := st != nil
	if !fresh {
		st = new(state)
		*st = *was
	} else if was != nil {
		st.denied = was.denied
	}
	denied, denyErr := s.readDeny()
	if was == nil && denyErr != nil {
		return nil, denyErr
	}
	if denied != nil && !maps.Equal(denied, st.denied) {
		st.denied, fresh = denied, true
	}
	if err = errors.Join(err, denyErr); !fresh {
		st = nil
	}
	return st, err
}

// denyList is what the file of those who are denied says. A name is let in again only once the file
// is the same at two looks, one after the other: one that is just being written may be empty for a
// moment. Whoever is new on it is kept off at once.
type denyList struct {
	text   []byte          // at the last look
	read   bool            // there was a last look, and it found a file
	steady map[string]bool // what the file said when it was last the same at two looks; nil before the first look
}

// take returns who is denied now, with what is wrong with the first line that is no name.
func (l *denyList) take(text []byte) (map[string]bool, error) {
	denied, err := parseDeny(text)
	if l.steady == nil || l.read && bytes.Equal(text, l.text) {
		l.steady = denied
	}
	l.text, l.read = text, true
	all := maps.Clone(l.steady)
	maps.Copy(all, denied)
	return all, err
}

// readDeny returns who is denied, nil where the file cannot be read. With an error beside it, that
// is what its other lines say.
func (s *Source) readDeny() (map[string]bool, error) {
	if s.files.Deny == "" {
		return map[string]bool{}, nil
	}
	text, err := readFile(s.files.Deny)
	if err != nil {
		s.list.read = false
		return nil, err
	}
	denied, err := s.list.take(text)
	if err != nil {
		err = fmt.Errorf("deny-list %s: %w; its other lines hold", s.files.Deny, err)
	}
	return denied, err
}

// parseDeny returns the names on a deny-list, and what is wrong with the first line that is no name.
func parseDeny(text []byte) (denied map[string]bool, err error) {
	denied = make(map[string]bool)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		switch line = strings.TrimSpace(line); {
		case line == "":
		case isDeniable(line):
			denied[line] = true
		case err == nil:
			err = fmt.Errorf("line %d, %.80q, denies nobody: want NAME, or ROLE/NAME with the role manager, node, client or operator", number, line)
		}
	}
	return denied, err
}

// isDeniable tells whether there can be somebody whom a line of the deny-list names.
func isDeniable(line string) bool {
	if strings.Contains(line, "://") {
		_, err := Parse(line)
		return err == nil
	}
	role, name, both := strings.Cut(line, "/")
	return !both && isWord(line) || both && isWord(name) && roleOf(role).Valid()
}

// readOwn reads certificate, key and CA. It returns nil when they are as they were. Who is denied is
// not in the state yet.
func (s *Source) readOwn(was *state) (*state, error) {
	st := new(state)
	for i, file := range []string{s.files.Cert, s.files.Key, s.files.CA} {
		b, err := readFile(file)
		if err != nil {
			return nil, err
		}
		st.raw[i] = b
	}
	if was != nil && slices.EqualFunc(was.raw[:], st.raw[:], bytes.Equal) {
		return nil, nil
	}
	own, err := tls.X509KeyPair(st.raw[0], st.raw[1])
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s: %w", s.files.Cert, s.files.Key, err)
	}
	st.own, st.ends = &own, own.Leaf.NotAfter
	if st.roots, err = parseRoots(st.raw[2]); err != nil {
		return nil, fmt.Errorf("CA %s: %w", s.files.CA, err)
	}
	name, err := nameIn(own.Leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", s.files.Cert, err)
	}
	if was != nil && name != s.name {
		return nil, fmt.Errorf("certificate %s: it is of %v now, and this process is %v: start it again to give it another name", s.files.Cert, name, s.name)
	}
	if err := s.checkOwn(st, name); err != nil {
		return nil, err
	}
	// Who begins with it is told so by Load. Who has one that is good has no use for another one
	// that nobody takes; where it is good from later on, it is taken then.
	if now := s.now(); was != nil && !bytes.Equal(st.raw[0], was.raw[0]) && (now.Before(own.Leaf.NotBefore) || now.After(st.ends)) {
		return nil, fmt.Errorf("certificate %s: it is good from %s to %s, which is not now: look at the clock of this machine, and of where it was issued", s.files.Cert, own.Leaf.NotBefore.UTC().Format(time.RFC3339), st.ends.UTC().Format(time.RFC3339))
	}
	st.sessions = tls.NewLRUClientSessionCache(sessionsMax)
	return st, nil
}

// checkOwn tells what is wrong with the process's own certificate.
func (s *Source) checkOwn(st *state, name Name) error {
	if n := len(bytes.Join(st.own.Certificate, nil)); n > ChainBytesMax {
		return fmt.Errorf("certificate %s: with those between it and the CA it has %d bytes, and at most %d are taken: leave out those that peers have by their --tls-ca", s.files.Cert, n, ChainBytesMax)
	}
	chain, err := parseChain(st.own.Certificate)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", s.files.Cert, err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if usage == x509.ExtKeyUsageServerAuth && !name.Role.Listens() {
			continue
		}
		// Of one that is not valid now, others say so with its name.
		if err := verify(chain, st.roots, usage, st.own.Leaf.NotBefore); err != nil {
			return fmt.Errorf("certificate %s does not hold under the CA %s: %w", s.files.Cert, s.files.CA, err)
		}
	}
	return nil
}

// parseRoots reads the certificates of CAs. One that is not whole is an error: of two CAs, the one
// that is missing would end connections.
func parseRoots(text []byte) (*x509.CertPool, error) {
	roots, begun, blocks, certs := x509.NewCertPool(), bytes.Count(text, []byte("-----BEGIN ")), 0, 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		roots.AddCert(c)
		certs++
	}
	switch {
	case blocks != begun:
		return nil, fmt.Errorf("of %d blocks of PEM %d are whole", begun, blocks)
	case certs == 0:
		return nil, errors.New("it has no certificate in PEM")
	}
	return roots, nil
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
	failure := ""
	if err != nil {
		if failure = err.Error(); failure != s.failure {
			s.log.Error("the files of TLS have changed, and some do not fit: of these, what was read before stays in use", "err", err)
		}
	}
	s.failure = failure
	if fresh != nil {
		s.warned = s.warned && fresh.ends.Equal(st.ends)
		s.state.Store(fresh)
		s.reads.Add(1)
		st = fresh
		s.log.Info("the files of TLS were read again", "certificate", s.name.String(), "ends", fresh.ends, "denied", len(fresh.denied))
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
