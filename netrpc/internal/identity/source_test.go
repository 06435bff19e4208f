package identity_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/identity/identitytest"
)

const patience = 20 * time.Second

var quiet = slog.New(slog.DiscardHandler)

func load(t *testing.T, f identity.Files) *identity.Source {
	t.Helper()
	s, err := identity.Load(f, quiet)
	require.NoError(t, err)
	return s
}

func TestNames(t *testing.T) {
	n, err := identity.Parse("gtstore://prod/node/node-1.a_B")
	require.NoError(t, err)
	require.Equal(t, identity.Name{Cluster: "prod", Role: core.RoleNode, Name: "node-1.a_B"}, n)
	require.Equal(t, "gtstore://prod/node/node-1.a_B", n.String())
	require.Equal(t, n.String(), n.URL().String())
	for _, text := range []string{
		"", "gtstore://prod/node", "gtstore://prod/node/a/b", "gtstore://prod/king/a", "gtstore:///node/a", "gtstore://prod/node/", "https://prod/node/a",
		"gtstore://prod/node/a@b", "gtstore://prod/node/a%20b", "gtstore://u@prod/node/a", "gtstore://prod:1/node/a", "gtstore://prod/node/a?x", "gtstore://prod/node/a#x",
		"gtstore://prod/node/" + strings.Repeat("a", 65), "gtstore://prod/Node/a", "gtstore://prod/node/\x00",
	} {
		_, err := identity.Parse(text)
		require.Error(t, err, text)
	}
}

// The ids of clients of different names never meet, whatever they claim.
func TestTheIDOfAClientIsOfItsName(t *testing.T) {
	a, b := identity.Name{Cluster: "c", Role: core.RoleClient, Name: "a"}, identity.Name{Cluster: "c", Role: core.RoleClient, Name: "b"}
	o := identity.Name{Cluster: "c", Role: core.RoleOperator, Name: "a"}
	for _, id := range []core.NodeID{0, 1, 1 << 63, ^core.NodeID(0), a.Bind(7), b.Bind(7)} {
		require.Equal(t, a.Bind(id), a.Bind(a.Bind(id)), "so a client can know it")
		require.NotEqual(t, a.Bind(id), b.Bind(id))
		require.NotEqual(t, a.Bind(id), o.Bind(id))
	}
	require.NotEqual(t, a.Bind(1), a.Bind(2), "several processes have the same certificate")
}

func TestAddressesHaveNames(t *testing.T) {
	at := func(role core.Role) string {
		return identity.Name{Cluster: "c", Role: role, Name: "a1"}.At("10.0.0.1:7401")
	}
	w, rest := identity.WantedAt(at(core.RoleNode))
	require.Equal(t, identity.Wanted{Role: core.RoleNode, Name: "a1"}, w)
	require.Equal(t, "10.0.0.1:7401", rest)
	w, rest = identity.WantedAt(at(core.RoleManager))
	require.Equal(t, identity.Wanted{Role: core.RoleManager, Name: "a1"}, w)
	require.Equal(t, "10.0.0.1:7401", rest)
	require.Equal(t, "a1@10.0.0.1:7401", identity.ShownAddress(at(core.RoleManager)))
	for _, text := range []string{"a1@10.0.0.1:7401", "manager/a1@10.0.0.1:7401"} {
		read, err := identity.ManagerAddress(text)
		require.NoError(t, err)
		require.Equal(t, at(core.RoleManager), read)
	}
	for _, text := range []string{"@h:1", "manager/@h:1", "node/a1@h:1", "a b@h:1", strings.Repeat("a", 65) + "@h:1"} {
		_, err := identity.ManagerAddress(text)
		require.Error(t, err, text)
	}
	w, rest = identity.WantedAt("[::1]:7400")
	require.Equal(t, identity.Wanted{Role: core.RoleManager}, w)
	require.Equal(t, "[::1]:7400", rest)
}

// meeting is what both sides of a handshake say.
type meeting struct {
	client, server       *identity.Peer
	clientErr, serverErr error
}

// meet has a client connect to a server, and say a byte in each direction, since a client
// hears only then what a server thinks of it.
func meet(t *testing.T, client, server *identity.Source, want identity.Wanted) (m meeting) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			m.serverErr = err
			return
		}
		defer c.Close()
		s, p, err := server.Server(ctx, c)
		if m.server, m.serverErr = p, err; err == nil {
			_, m.serverErr = s.Write([]byte{1})
			_, _ = s.Read(make([]byte, 1)) // so that the close is no reset
		}
	})
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	s, p, err := client.Client(ctx, c, want)
	if m.client, m.clientErr = p, err; err == nil {
		if _, err = s.Read(make([]byte, 1)); err != nil {
			m.clientErr = identity.Rejection(err)
		}
	}
	c.Close()
	wg.Wait()
	return m
}

func anyNode(name string) identity.Wanted { return identity.Wanted{Role: core.RoleNode, Name: name} }

func TestBothSidesKnowEachOther(t *testing.T) {
	ca := identitytest.New(t)
	client, node := load(t, ca.Issue("gtstore://prod/client/app")), load(t, ca.Issue("gtstore://prod/node/node1"))
	for range 3 { // the first is a full handshake, the others resume its session
		m := meet(t, client, node, anyNode("node1"))
		require.NoError(t, errors.Join(m.clientErr, m.serverErr))
		require.Equal(t, "client/app", m.server.Short())
		require.Equal(t, "node/node1", m.client.Short())
		require.NoError(t, errors.Join(m.client.Over(), m.server.Over()))
	}
}

func TestWhoIsNotGoodIsRefused(t *testing.T) {
	ca, other := identitytest.New(t), identitytest.New(t)
	issue := func(name string, change ...func(*x509.Certificate)) identity.Files {
		return ca.Issue("gtstore://"+name, change...)
	}
	foreign := other.Issue("gtstore://prod/client/app")
	other.Write(foreign.CA, append(bytes.Clone(other.PEM), ca.PEM...)) // it trusts both
	elsewhere := issue("test/client/app")
	onlyServer := issue("prod/node/a", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	})
	node := issue("prod/node/node1")
	ca.Write(node.Deny, []byte("# who has left\nthief\nclient/gone # since May\n"))
	for name, c := range map[string]struct {
		files          identity.Files
		want           identity.Wanted
		client, server string
	}{
		"another CA":                 {foreign, anyNode("node1"), "refuses the certificate of this process", "unknown authority"},
		"another cluster":            {elsewhere, anyNode("node1"), "of another cluster", ""},
		"a denied name":              {issue("prod/operator/thief"), anyNode("node1"), "refuses the certificate", "operator/thief: its name is on the deny-list"},
		"a denied role and name":     {issue("prod/client/gone"), anyNode("node1"), "refuses the certificate", "deny-list"},
		"another role of that name":  {issue("prod/operator/gone"), anyNode("node1"), "", ""},
		"another node is expected":   {issue("prod/client/app"), anyNode("node2"), "there is node/node1, and node/node2 is expected", ""},
		"a manager is expected":      {issue("prod/client/app"), identity.Wanted{Role: core.RoleManager}, "there is node/node1, and a manager is expected", ""},
		"a node may say it to nodes": {onlyServer, anyNode("node1"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := meet(t, load(t, c.files), load(t, node), c.want)
			for side, text := range map[error]string{m.clientErr: c.client, m.serverErr: c.server} {
				if text != "" {
					require.ErrorContains(t, side, text)
					require.NotContains(t, side.Error(), "%!")
				}
			}
			require.Equal(t, c.client+c.server == "", m.clientErr == nil && m.serverErr == nil, "%v, %v", m.clientErr, m.serverErr)
		})
	}
}

func TestFilesThatDoNotFitAreRefusedAtTheStart(t *testing.T) {
	ca, other := identitytest.New(t), identitytest.New(t)
	two, err := url.Parse("gtstore://prod/client/b")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*identity.Files)
		say    string
	}{
		"no certificate":    {func(f *identity.Files) { f.Cert += ".gone" }, "no such file"},
		"no deny-list":      {func(f *identity.Files) { f.Deny += ".gone" }, "no such file"},
		"another key":       {func(f *identity.Files) { f.Key = ca.Issue("gtstore://prod/client/b").Key }, "does not match"},
		"another CA":        {func(f *identity.Files) { ca.Write(f.CA, other.PEM) }, "does not hold under the CA"},
		"no CA in the file": {func(f *identity.Files) { ca.Write(f.CA, []byte("hello")) }, "no certificate in PEM"},
		"another URI":       {func(f *identity.Files) { ca.Renew(*f, "spiffe://prod/client/a") }, "want gtstore://CLUSTER/ROLE/NAME"},
		"two URIs": {func(f *identity.Files) {
			ca.Renew(*f, "gtstore://prod/client/a", func(c *x509.Certificate) { c.URIs = append(c.URIs, two) })
		}, "2 URI names"},
		"it has ended": {func(f *identity.Files) {
			ca.Renew(*f, "gtstore://prod/client/a", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		}, "has ended on"},
		"it has not begun": {func(f *identity.Files) {
			ca.Renew(*f, "gtstore://prod/client/a", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
		}, "begins only on"},
		"too long a chain": {func(f *identity.Files) {
			ca.Renew(*f, "gtstore://prod/client/a", func(c *x509.Certificate) { c.Subject.Organization = []string{strings.Repeat("x", 17<<10)} })
		}, "at most 16384 are taken"},
		"a node for clients": {func(f *identity.Files) {
			ca.Renew(*f, "gtstore://prod/node/a", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })
		}, "key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			f := ca.Issue("gtstore://prod/client/a")
			c.change(&f)
			_, err := identity.Load(f, quiet)
			require.ErrorContains(t, err, c.say)
		})
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Certificates and CAs change while connections are there: what is new holds for all of them.
func TestFilesAreReadAgain(t *testing.T) {
	old, next := identitytest.New(t), identitytest.New(t)
	both := append(bytes.Clone(old.PEM), next.PEM...)
	clientFiles, nodeFiles := old.Issue("gtstore://prod/client/app"), old.Issue("gtstore://prod/node/node1")
	log := new(lines)
	client, err := identity.Load(clientFiles, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	node := load(t, nodeFiles)
	identity.SetEvery(0, client, node)
	good := func(when string) meeting {
		t.Helper()
		m := meet(t, client, node, anyNode("node1"))
		require.NoError(t, errors.Join(m.clientErr, m.serverErr), when)
		return m
	}
	first := good("at first")
	old.Write(clientFiles.CA, both)
	old.Write(nodeFiles.CA, both)
	good("both CAs are known")
	next.Renew(clientFiles, "gtstore://prod/client/app")
	good("the client has its certificate from the next CA")
	next.Renew(nodeFiles, "gtstore://prod/node/node1")
	last := good("and the node")
	require.NoError(t, errors.Join(first.client.Over(), first.server.Over()), "while both CAs are known")
	old.Write(clientFiles.CA, next.PEM)
	old.Write(nodeFiles.CA, next.PEM)
	good("the old CA is gone")
	require.ErrorContains(t, first.client.Over(), "authority")
	require.ErrorContains(t, first.server.Over(), "authority")
	require.NoError(t, errors.Join(last.client.Over(), last.server.Over()))

	require.NoError(t, os.WriteFile(clientFiles.Cert, []byte("half a file"), 0o600))
	good("what does not fit is not taken")
	require.Equal(t, 1, strings.Count(log.String(), "do not fit"), "and said once")
	next.Renew(clientFiles, "gtstore://prod/client/other")
	good("nor another name")
	require.Contains(t, log.String(), "start it again to give it another name")
	next.Renew(clientFiles, "gtstore://prod/client/app")
	good("whole again")

	next.Write(nodeFiles.Deny, []byte("client/app\n"))
	require.ErrorIs(t, last.server.Over(), identity.ErrDenied)
	m := meet(t, client, node, anyNode("node1"))
	require.ErrorIs(t, m.serverErr, identity.ErrDenied)
	require.ErrorContains(t, m.clientErr, "--tls-deny")
	next.Write(nodeFiles.Deny, nil)
	require.ErrorIs(t, last.server.Over(), identity.ErrDenied, "not at the first look: who writes the file may have emptied it first")
	good("it is denied no more")
}

// A deny-list that is being written anew lets nobody in meanwhile: what is gone from it holds until
// the file is the same at two looks, and what is new at once.
func TestADenyListIsNotEmptyForAMoment(t *testing.T) {
	ca := identitytest.New(t)
	files := ca.Issue("gtstore://prod/node/node1")
	ca.Write(files.Deny, []byte("thief\n"))
	node := load(t, files)
	identity.SetEvery(0, node)
	peers := make(map[string]*identity.Peer)
	for _, name := range []string{"app", "thief"} {
		m := meet(t, load(t, ca.Issue("gtstore://prod/client/"+name)), node, anyNode("node1"))
		peers[name] = m.server
		require.Equal(t, name == "thief", errors.Is(m.serverErr, identity.ErrDenied))
	}
	app := peers["app"]
	thief := load(t, ca.Issue("gtstore://prod/client/thief"))
	denied := func(when string) {
		t.Helper()
		// the first look is that of the connection that is there, so none comes between
		m := meet(t, thief, node, anyNode("node1"))
		require.ErrorIs(t, m.serverErr, identity.ErrDenied, when)
	}
	for _, text := range []string{"", "thie", "other\n", "\n"} {
		require.NoError(t, os.WriteFile(files.Deny, []byte(text), 0o600)) // in place
		denied("the file has " + text)
		require.NoError(t, os.WriteFile(files.Deny, []byte("thief\n# again\n"), 0o600))
		denied("and is whole again")
		require.NoError(t, app.Over())
	}
	for range 3 { // however often it is found empty, the same list in between
		require.NoError(t, os.WriteFile(files.Deny, nil, 0o600))
		denied("it is empty")
		require.NoError(t, os.Remove(files.Deny))
		denied("it is not there")
		require.NoError(t, os.WriteFile(files.Deny, nil, 0o600))
		denied("it is empty again, but was not there in between")
		require.NoError(t, os.WriteFile(files.Deny, []byte("thief\n"), 0o600))
		denied("it is whole")
		denied("it is whole at two looks")
	}
	require.NoError(t, os.WriteFile(files.Deny, []byte("thief\nclient/app"), 0o600))
	require.ErrorIs(t, app.Over(), identity.ErrDenied, "who is new on it is denied at once")
	require.NoError(t, os.WriteFile(files.Deny, []byte("thief\nclient/application\n"), 0o600))
	require.NoError(t, app.Over(), "that was only the half of another's name")
	denied("who was on it all the time")
	require.NoError(t, os.WriteFile(files.Deny, []byte("client/app\n"), 0o600))
	require.ErrorIs(t, app.Over(), identity.ErrDenied)
	require.NoError(t, meet(t, thief, node, anyNode("node1")).serverErr, "and who is gone from it at the next look")
}

// Files that are changed clumsily change nothing: of those that do not fit, what was read before
// stays, and the deny-list holds whatever the others are.
func TestFilesThatDoNotFitChangeNothing(t *testing.T) {
	ca, next := identitytest.New(t), identitytest.New(t)
	clientFiles, nodeFiles := ca.Issue("gtstore://prod/client/app"), ca.Issue("gtstore://prod/node/node1")
	log := new(lines)
	client := load(t, clientFiles)
	node, err := identity.Load(nodeFiles, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	identity.SetEvery(0, client, node)
	good := func(when string) {
		t.Helper()
		m := meet(t, client, node, anyNode("node1"))
		require.NoError(t, errors.Join(m.clientErr, m.serverErr, m.client.Over(), m.server.Over()), when)
	}
	good("at first")

	ca.Renew(nodeFiles, "gtstore://prod/node/node1", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(20*time.Hour)
	})
	good("another certificate is not good yet")
	require.Contains(t, log.String(), "which is not now")
	ends := node.Ends()
	identity.SetNow(func() time.Time { return time.Now().Add(2 * time.Hour) }, client, node)
	good("it is good now, and taken")
	require.NotEqual(t, ends, node.Ends())
	ca.Renew(nodeFiles, "gtstore://prod/node/node1")
	good("another one")
	ca.Renew(nodeFiles, "gtstore://prod/node/node1", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	good("one that has ended")
	ca.Renew(nodeFiles, "gtstore://prod/node/node1")

	both := append(bytes.Clone(next.PEM), ca.PEM...)
	require.NoError(t, os.WriteFile(nodeFiles.CA, both, 0o600))
	good("two CAs")
	other := append(bytes.Clone(ca.PEM), next.PEM...)
	nextFiles := next.Issue("gtstore://prod/client/next")
	next.Write(nextFiles.CA, other)
	require.NoError(t, os.WriteFile(nodeFiles.CA, other[:len(other)-20], 0o600))
	good("half a file of two CAs")
	require.Contains(t, log.String(), "of 2 blocks of PEM 1 are whole")
	m := meet(t, load(t, nextFiles), node, anyNode("node1"))
	require.NoError(t, errors.Join(m.clientErr, m.serverErr), "both CAs are known still")
	require.NoError(t, os.WriteFile(nodeFiles.CA, other, 0o600))

	require.NoError(t, os.Remove(nodeFiles.Cert))
	require.NoError(t, os.WriteFile(nodeFiles.Deny, []byte("client:app\nclient/app # gone\n"), 0o600))
	m = meet(t, client, node, anyNode("node1"))
	require.ErrorIs(t, m.serverErr, identity.ErrDenied, "though there is no certificate, and a line is wrong")
	require.Contains(t, log.String(), "denies nobody")
	ca.Renew(nodeFiles, "gtstore://prod/node/node1")
	require.NoError(t, os.Remove(nodeFiles.Deny))
	m = meet(t, client, node, anyNode("node1"))
	require.ErrorIs(t, m.serverErr, identity.ErrDenied, "a deny-list that is gone is the last one")
}

// Kubernetes has all files of a secret change at once, by a link to their directory.
func TestFilesThatChangeByALink(t *testing.T) {
	ca, next := identitytest.New(t), identitytest.New(t)
	dir := t.TempDir()
	swap := func(version string, ca *identitytest.CA) {
		t.Helper()
		f := ca.Issue("gtstore://prod/node/node1")
		ca.Write(f.CA, append(bytes.Clone(ca.PEM), next.PEM...))
		require.NoError(t, os.Symlink(filepath.Dir(f.Cert), filepath.Join(dir, version)))
		require.NoError(t, os.Rename(filepath.Join(dir, version), filepath.Join(dir, "..data")))
	}
	swap("..1", ca)
	for _, name := range []string{"cert.pem", "key.pem", "ca.pem", "deny"} {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	node := load(t, identity.Files{Cert: in("cert.pem"), Key: in("key.pem"), CA: in("ca.pem"), Deny: in("deny")})
	identity.SetEvery(0, node)
	files := ca.Issue("gtstore://prod/client/app")
	ca.Write(files.CA, append(bytes.Clone(ca.PEM), next.PEM...))
	client := load(t, files)
	first := meet(t, client, node, anyNode("node1"))
	require.NoError(t, errors.Join(first.clientErr, first.serverErr))
	swap("..2", next)
	require.Error(t, first.server.Over(), "the first CA is gone")
	m := meet(t, client, node, anyNode("node1"))
	require.ErrorContains(t, m.serverErr, "unknown authority")
	require.EqualValues(t, 1, node.Reads(), "all at once")
}

// A line of the deny-list that can be of nobody is an error at the start.
func TestTheLinesOfADenyList(t *testing.T) {
	for line, good := range map[string]bool{
		"app": true, "client/app": true, "gtstore://prod/client/app": true, " # nobody": true, "node/n.1_-": true,
		"client:app": false, "clients/app": false, "client/": false, "/app": false, "client app": false, "gtstore://prod/app": false,
		"client/app/b": false, "prod/client/app": false,
	} {
		f := identitytest.New(t).Issue("gtstore://prod/node/node1")
		require.NoError(t, os.WriteFile(f.Deny, []byte("# those who left\nann\n"+line+"\n"), 0o600))
		_, err := identity.Load(f, quiet)
		if good {
			require.NoError(t, err, line)
		} else {
			require.ErrorContains(t, err, "line 3", line)
		}
	}
}

// Of two certificates with which a connection was made the one that ends first ends it.
func TestAConnectionEndsWithItsCertificate(t *testing.T) {
	ca := identitytest.New(t)
	soon := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) }
	for name, files := range map[string][2]identity.Files{
		"the client's": {ca.Issue("gtstore://prod/client/app", soon), ca.Issue("gtstore://prod/node/node1")},
		"the node's":   {ca.Issue("gtstore://prod/client/app"), ca.Issue("gtstore://prod/node/node1", soon)},
	} {
		t.Run(name, func(t *testing.T) {
			client, node := load(t, files[0]), load(t, files[1])
			m := meet(t, client, node, anyNode("node1"))
			require.NoError(t, errors.Join(m.clientErr, m.serverErr, m.client.Over(), m.server.Over()))
			identity.SetNow(func() time.Time { return time.Now().Add(2 * time.Hour) }, client, node)
			require.ErrorContains(t, m.client.Over(), "has ended")
			require.ErrorContains(t, m.server.Over(), "has ended")
			m = meet(t, client, node, anyNode("node1"))
			require.Error(t, errors.Join(m.clientErr, m.serverErr), "nor does a session that is resumed")
		})
	}
}

// A peer without TLS is told so, on both sides.
func TestAPeerWithoutTLS(t *testing.T) {
	ca := identitytest.New(t)
	client, node := load(t, ca.Issue("gtstore://prod/client/app")), load(t, ca.Issue("gtstore://prod/node/node1"))
	say := func(f func(net.Conn) error) error {
		near, far := net.Pipe()
		defer near.Close()
		go func() {
			go func() { _, _ = far.Write([]byte("GTStore\x07")) }()
			_, _ = io.Copy(io.Discard, far)
		}()
		return f(near)
	}
	require.ErrorContains(t, say(func(c net.Conn) error { _, _, err := client.Client(t.Context(), c, anyNode("")); return err }), "the peer speaks without TLS: give it --tls-cert")
	require.ErrorContains(t, say(func(c net.Conn) error { _, _, err := node.Server(t.Context(), c); return err }), "the peer speaks without TLS")
}
