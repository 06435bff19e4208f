package netrpc

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/netrpc/internal/identity/identitytest"
)

// logLines is a log that can be read while it is written.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// count is how many lines have a text.
func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// namedCluster is a durable cluster of managers m1, m2 … and nodes n1, n2 …, each at an address that stays
// its own.
type namedCluster struct {
	*testing.T
	ctx       context.Context
	ca        *identitytest.CA
	plain     bool
	addresses map[string]string
	disks     map[string]*memoryDisk
	servers   map[string]*Server
	logs      map[string]*logLines
	began     map[string]time.Time // when each was started last
	list      []string             // what each is told of the managers
}

func newNamedCluster(t *testing.T, managers, nodes int) *namedCluster {
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	t.Cleanup(cancel)
	c := &namedCluster{T: t, ctx: ctx, ca: identitytest.New(t), addresses: make(map[string]string), disks: make(map[string]*memoryDisk), servers: make(map[string]*Server), logs: make(map[string]*logLines), began: make(map[string]time.Time)}
	for i := range managers + nodes {
		name := fmt.Sprintf("m%d", i+1)
		if i >= managers {
			name = fmt.Sprintf("n%d", i+1-managers)
		}
		l := c.listen("127.0.0.1:0")
		defer l.Close() // when all have theirs, so that no two have the same
		c.addresses[name], c.disks[name] = l.Addr().String(), &memoryDisk{records: make(map[string]string)}
		if i < managers {
			c.list = append(c.list, c.addresses[name])
		}
	}
	return c
}

func (c *namedCluster) listen(address string) net.Listener {
	c.Helper()
	var l net.Listener
	require.Eventually(c, func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", address)
		return err == nil
	}, patience, time.Millisecond)
	return l
}

func (c *namedCluster) files(name string) TLS {
	if c.plain {
		return TLS{}
	}
	return TLS(c.ca.Issue("gtstore://test/" + name))
}

func (c *namedCluster) peers() (peers []core.Peer) {
	for _, a := range c.list {
		peers = append(peers, core.Peer{Addr: a})
	}
	return peers
}

func (c *namedCluster) several() bool { return c.addresses["m2"] != "" }

// tryStart starts a process with the certificate of that name, on its data at its address.
func (c *namedCluster) tryStart(name, certificate string) (*Server, error) {
	c.Helper()
	log := &logLines{}
	o := Options{TLS: c.files(certificate), Disk: c.disks[name], Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	l := c.listen(c.addresses[name])
	var s *Server
	var err error
	switch {
	case name[0] == 'n' && c.several():
		s, err = ServeStorage(l, core.StorageOptions{Managers: c.peers(), Name: name}, o)
	case name[0] == 'n':
		s, err = ServeStorage(l, core.StorageOptions{Manager: c.peers()[0], Name: name}, o)
	default:
		if c.several() {
			o.NewManager = func(opt core.ManagerOptions, space core.Space) (ManagerNode, error) {
				list, err := ManagerAddresses(c.list, !c.plain)
				require.NoError(c, err)
				return quorum.NewManager(opt, list, quorum.Options{}, space)
			}
		}
		s, err = ServeManager(l, core.ManagerOptions{Replicas: 1}, o)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	c.Cleanup(s.Close)
	c.servers[name], c.logs[name], c.began[name] = s, log, time.Now()
	return s, nil
}

func (c *namedCluster) start(names ...string) {
	c.Helper()
	for _, name := range names {
		role := map[byte]string{'m': "manager/", 'n': "node/"}[name[0]]
		_, err := c.tryStart(name, role+name)
		require.NoError(c, err)
	}
}

func (c *namedCluster) stop(names ...string) {
	for _, name := range names {
		c.servers[name].Close()
		delete(c.servers, name)
	}
}

func (c *namedCluster) startAll() { c.start(slices.Sorted(maps.Keys(c.addresses))...) }

func (c *namedCluster) stopAll() { c.stop(slices.Sorted(maps.Keys(c.servers))...) }

func (c *namedCluster) dial(name string, list ...string) *Client {
	c.Helper()
	if list == nil {
		list = c.list
	}
	var client *Client
	require.Eventually(c, func() (ok bool) {
		var err error
		client, err = (&Dialer{TLS: c.files(name)}).Dial(c.ctx, list)
		return err == nil
	}, 3*patience, 10*time.Millisecond)
	c.Cleanup(client.Close)
	return client
}

// dialByM1 makes a client that has met m1, the first of the list: where that was slow to answer, another
// one was asked, too.
func (c *namedCluster) dialByM1() (client *Client) {
	c.Helper()
	require.Eventually(c, func() bool {
		client = c.dial("client/app")
		return !c.several() || core.SameAddr(client.leaders.asked().Addr, c.list[0])
	}, 3*patience, 10*time.Millisecond)
	return client
}

// works waits until a new key can be written and read, which takes a manager and a group.
func (c *namedCluster) works(client *Client, key string) {
	c.Helper()
	require.Eventually(c, func() bool {
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		defer cancel()
		_, err := client.Put(ctx, key, []byte(key))
		return err == nil
	}, 3*patience, 10*time.Millisecond, key)
	v, err := client.Get(c.ctx, key)
	require.NoError(c, err)
	require.Equal(c, key, string(v.Data))
}

// whole waits until the one that leads hears all managers, and has their names.
func (c *namedCluster) whole() {
	c.Helper()
	operator := c.dial("operator/op")
	defer operator.Close()
	var last []core.ManagerStatus
	require.Eventually(c, func() bool {
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		defer cancel()
		m, err := operator.Managers(ctx)
		if err != nil {
			return false
		}
		last = m.Managers
		return len(last) == len(c.list) && !slices.ContainsFunc(last, func(s core.ManagerStatus) bool {
			name, _ := SplitAddress(s.Addr)
			return s.Silent || (name == "") != c.plain
		})
	}, 3*patience, 10*time.Millisecond, "%v", &last)
}

// told waits until all nodes have on their disks how the managers are called.
func (c *namedCluster) told() {
	c.Helper()
	for name, d := range c.disks {
		if name[0] != 'n' {
			continue
		}
		require.Eventually(c, func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			for i, address := range c.list {
				knows := func(record string) bool { return strings.Contains(record, fmt.Sprintf("manager/m%d@%s", i+1, address)) }
				if !slices.ContainsFunc(slices.Collect(maps.Values(d.records)), knows) {
					return false
				}
			}
			return true
		}, 3*patience, 10*time.Millisecond, name)
	}
}

// impostor is a manager that counts what others have told it.
type impostor struct {
	*Server
	*core.Manager
	t    require.TestingT
	told atomic.Int64
}

func (i *impostor) Step(now core.Time, in core.Envelope, out *core.Output) {
	if in.From.ID != i.Manager.Self().ID {
		i.told.Add(1)
	}
	i.Manager.Step(now, in, out)
}

func (i *impostor) Self() core.Peer           { return i.Manager.Self() }
func (i *impostor) Placement() core.Placement { return i.Manager.Placement() }

// over ends it. Nobody has told it anything.
func (i *impostor) over() {
	i.Close()
	require.Zero(i.t, i.told.Load())
}

// impostor answers at the address of a manager, under its id, with the certificate of another.
func (c *namedCluster) impostor(at string, id core.NodeID, cluster core.ClusterID, certificate string) *impostor {
	c.Helper()
	i := &impostor{t: c}
	o := Options{TLS: c.files(certificate), NewManager: func(opt core.ManagerOptions, space core.Space) (node ManagerNode, err error) {
		i.Manager, err = core.NewManager(opt, space)
		return i, err
	}}
	s, err := ServeManager(c.listen(c.addresses[at]), core.ManagerOptions{Replicas: 1, Cluster: cluster, Self: core.Peer{ID: id}}, o)
	require.NoError(c, err)
	c.Cleanup(s.Close)
	i.Server = s
	return i
}

// leads waits for one that leads, and returns its name.
func (c *namedCluster) leads() (name string) {
	c.Helper()
	operator := c.dial("operator/op", c.list[1:]...)
	defer operator.Close()
	require.Eventually(c, func() bool {
		m, err := operator.Managers(c.ctx)
		if err != nil {
			return false
		}
		i := slices.IndexFunc(m.Managers, func(s core.ManagerStatus) bool { return s.Leads })
		name, _ = SplitAddress(m.Managers[i].Addr)
		return true
	}, 3*patience, 10*time.Millisecond)
	return name
}

const refusal = "there is manager/m2, and manager/m1 is expected"

// refuses waits until a process has refused the impostor since it was started, and looks that this is
// counted, and said as a warning, but no more than once a second.
func (c *namedCluster) refuses(name string) {
	c.Helper()
	const says = `level=WARN msg="a connection was refused: at this address is not who belongs there"`
	require.Eventually(c, func() bool {
		return c.servers[name].Security().Handshakes > 0 && c.logs[name].count(says) > 0 && c.logs[name].count(refusal) > 0
	}, 3*patience, time.Millisecond, name)
	require.LessOrEqual(c, c.logs[name].count(says), 1+int(time.Since(c.began[name])/time.Second), name)
}

// Whoever has stolen the key of one manager does not take the place of another: not for nodes, nor
// for clients, the other managers and operators, who have been told no names but by the cluster;
// before they start again and after it. The cluster goes on meanwhile, and with the true one.
func TestNobodyAnswersInThePlaceOfAnotherManager(t *testing.T) {
	c := newNamedCluster(t, 3, 3)
	c.startAll()
	client := c.dialByM1()
	c.works(client, "a")
	c.whole()
	c.told()
	m1, cluster := c.servers["m1"].Self(), core.ClusterID(client.cluster.Load())

	c.stop("m1")
	thief := c.impostor("m1", m1.ID, cluster, "manager/m2")
	c.works(client, "b")
	c.refuses(c.leads())

	for _, name := range []string{"m3", "m2"} {
		c.stop(name)
		c.start(name)
		c.refuses(name)
		c.works(client, "c"+name)
	}

	// A node that found m1 slow to refuse it would ask another manager, and not m1 again.
	c.stop("m2", "m3")
	for _, name := range []string{"n1", "n2", "n3"} {
		c.stop(name)
		c.start(name) // its list begins with m1, and has no name
		c.refuses(name)
	}
	c.start("m2", "m3")
	c.works(client, "d")

	byName := make([]string, len(c.list))
	for i, a := range c.list {
		byName[i] = fmt.Sprintf("m%d@%s", i+1, a)
	}
	for _, who := range []string{"client/app", "operator/op"} {
		d := &Dialer{TLS: c.files(who)}
		_, err := d.Dial(c.ctx, byName[:1])
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorContains(t, err, "manager m1@"+m1.Addr+": TLS: "+refusal)
		require.ErrorContains(t, err, "--tls-deny", "it says what to do")
		_, err = d.AskManager(c.ctx, byName[0])
		require.ErrorContains(t, err, refusal)
	}
	again := c.dial("client/app", byName...)
	c.works(again, "e")
	thief.over()
	c.start("m1")
	c.whole()
	c.works(client, "f")
	c.works(again, "g")
}

// A client that has met a manager takes nobody else in its place while it runs, though it was told
// the address alone. One that is alone is remembered by its nodes, too.
func TestWhoHasMetAManagerExpectsIt(t *testing.T) {
	for _, managers := range []int{1, 3} {
		t.Run(fmt.Sprint(managers), func(t *testing.T) {
			c := newNamedCluster(t, managers, 2)
			c.startAll()
			client := c.dialByM1()
			c.works(client, "a")
			c.told()
			m1 := c.servers["m1"].Self()
			for i := range managers {
				c.stop(fmt.Sprintf("m%d", i+1))
			}
			thief := c.impostor("m1", m1.ID, core.ClusterID(client.cluster.Load()), "manager/m2")
			require.Eventually(t, func() bool {
				ctx, cancel := context.WithTimeout(c.ctx, 100*time.Millisecond)
				defer cancel()
				_, err := client.Put(ctx, "new", nil)
				require.Error(t, err)
				_, err = client.Status(ctx)
				require.Error(t, err)
				return client.Security().Handshakes > 0
			}, 3*patience, time.Millisecond)
			c.refuses("n1")
			c.stop("n2")
			c.start("n2")
			c.refuses("n2")
			thief.over()
			for i := range managers {
				c.start(fmt.Sprintf("m%d", i+1))
			}
			c.works(client, "b")
		})
	}
}

// Managers that were founded without certificates have names once they have them, whatever the list
// says; and none again without.
func TestSeveralManagersChangeToTLSAndBack(t *testing.T) {
	c := newNamedCluster(t, 3, 2)
	for i, plain := range []bool{true, false, false, true, false} {
		c.plain = plain
		c.startAll()
		client := c.dial("client/app")
		c.works(client, fmt.Sprint(i))
		c.whole()
		v, err := client.Get(c.ctx, "0")
		require.NoError(t, err)
		require.Equal(t, "0", string(v.Data))
		client.Close()
		for name, s := range c.servers {
			require.Zero(t, s.Security().Messages, name)
			require.NoError(t, s.Err())
		}
		c.stopAll()
	}
}

// A manager keeps its name with its data. Empty, under another one, it takes nobody's place by itself;
// an operator has it replace the former one.
func TestAManagerUnderAnotherNameIsAnotherOne(t *testing.T) {
	c := newNamedCluster(t, 3, 2)
	c.startAll()
	client, operator := c.dial("client/app"), c.dial("operator/op")
	c.works(client, "a")
	c.whole()
	c.stop("m1")
	_, err := c.tryStart("m1", "manager/m9")
	require.ErrorContains(t, err, "is manager/m1@"+c.addresses["m1"]+" in its cluster, and now manager/m9@")
	require.ErrorContains(t, err, "managers replace")

	former, err := operator.Managers(c.ctx)
	require.NoError(t, err)
	at := slices.IndexFunc(former.Managers, func(s core.ManagerStatus) bool { return strings.HasPrefix(s.Addr, "m1@") })
	c.disks["m1"] = &memoryDisk{records: make(map[string]string)}
	_, err = c.tryStart("m1", "manager/m9")
	require.NoError(t, err)
	d := &Dialer{TLS: c.files("operator/op")}
	_, err = d.AskManager(c.ctx, "m1@"+c.addresses["m1"])
	require.ErrorContains(t, err, "there is manager/m9, and manager/m1 is expected: if m9 has taken its place, write m9@")
	p, err := d.AskManager(c.ctx, c.addresses["m1"])
	require.NoError(t, err)
	require.Equal(t, core.Peer{ID: c.servers["m1"].Self().ID, Addr: "manager/m9@" + c.addresses["m1"]}, p)
	require.NoError(t, operator.ChangeManagers(c.ctx, []core.Peer{p}, []core.NodeID{former.Managers[at].ID}))
	c.whole()
	c.works(client, "b")
	c.stop("n1")
	c.start("n1") // the former name is in what it remembers, unless it was told
	c.works(client, "c")
}

// A manager that is alone is refused by its nodes under another name, until they are told of that.
func TestAManagerThatIsAloneIsRenamed(t *testing.T) {
	c := newNamedCluster(t, 1, 2)
	c.startAll()
	c.works(c.dial("client/app"), "a")
	c.stopAll()
	_, err := c.tryStart("m1", "manager/m2")
	require.NoError(t, err)
	c.start("n1")
	c.refuses("n1")
	c.stop("n1")
	c.list[0] = "m2@" + c.list[0]
	c.start("n1", "n2")
	client := c.dial("client/app")
	c.works(client, "b")
	v, err := client.Get(c.ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "a", string(v.Data))
}

// A name in the list of a process is checked; that of the process itself must be that of its
// certificate, and without a certificate nobody can have one.
func TestNamesInTheListAreChecked(t *testing.T) {
	c := newNamedCluster(t, 3, 1)
	plain := c.list
	c.list = []string{"m1@" + plain[0], "m7@" + plain[1], plain[2]}
	_, err := c.tryStart("m2", "manager/m2")
	require.ErrorContains(t, err, "the list of managers has manager/m7@"+plain[1]+", and this one is manager/m2@"+plain[1])
	c.start("m1")
	c.list = plain
	c.start("m2", "m3")
	require.Eventually(t, func() bool {
		return c.logs["m1"].count("there is manager/m2, and manager/m7 is expected: if m2 has taken") > 0
	}, patience, time.Millisecond)
	c.stop("m1")
	c.list = []string{"m1@" + plain[0], "m2@" + plain[1], plain[2]}
	c.start("m1", "n1") // its list agrees with those without names
	c.whole()

	c.plain = true
	c.stop("n1")
	_, err = c.tryStart("n1", "node/n1")
	require.ErrorContains(t, err, `the manager's address "m1@`+plain[0]+`" has a name, which nobody can check without certificates`)
	require.ErrorContains(t, err, "or write "+plain[0])
	_, err = Dial(t.Context(), c.list)
	require.ErrorContains(t, err, "has a name")
	require.NotErrorIs(t, err, ErrUnavailable)
}
