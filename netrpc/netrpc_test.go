package netrpc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/netrpc/internal/identity/identitytest"
)

// patience is how long a test waits for what must happen; far more than it takes.
const patience = 20 * time.Second

// cluster is a manager and storage nodes in this process, on real sockets.
type cluster struct {
	t       *testing.T
	manager *netrpc.Server
	nodes   []*netrpc.Server
	options netrpc.Options
	ca      *identitytest.CA // with TLS
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func startCluster(t *testing.T, nodes int, opt core.ManagerOptions, options ...netrpc.Options) *cluster {
	t.Helper()
	c := &cluster{t: t}
	if len(options) > 0 {
		c.options = options[0]
	}
	return c.start(nodes, opt)
}

// startSealed starts a cluster with TLS.
func startSealed(t *testing.T, nodes int, opt core.ManagerOptions) *cluster {
	t.Helper()
	return (&cluster{t: t, ca: identitytest.New(t)}).start(nodes, opt)
}

// of returns the options of who is called so.
func (c *cluster) of(name string) netrpc.Options {
	o := c.options
	o.TLS = c.files(name)
	return o
}

func (c *cluster) files(name string) netrpc.TLS {
	if c.ca == nil {
		return netrpc.TLS{}
	}
	return netrpc.TLS(c.ca.Issue("gtstore://test/" + name))
}

func (c *cluster) start(nodes int, opt core.ManagerOptions) *cluster {
	t := c.t
	t.Helper()
	var err error
	c.manager, err = netrpc.ServeManager(listen(t), opt, c.of("manager/m"))
	require.NoError(t, err)
	t.Cleanup(c.manager.Close)
	for i := range nodes {
		c.add(fmt.Sprintf("node%d", i+1))
	}
	client := c.dial()
	require.Eventually(t, func() bool {
		s, err := client.Status(t.Context())
		return err == nil && len(s.Nodes) == nodes
	}, patience, time.Millisecond, "all are registered")
	return c
}

func (c *cluster) add(name string) *netrpc.Server {
	c.t.Helper()
	s, err := netrpc.ServeStorage(listen(c.t), core.StorageOptions{Manager: core.Peer{Addr: c.manager.Self().Addr}, Name: name}, c.of("node/"+name))
	require.NoError(c.t, err)
	c.t.Cleanup(s.Close)
	c.nodes = append(c.nodes, s)
	return s
}

func (c *cluster) dial() *netrpc.Client {
	c.t.Helper()
	return c.dialAs("operator/op")
}

func (c *cluster) dialAs(name string) *netrpc.Client {
	c.t.Helper()
	d := netrpc.Dialer{TLS: c.files(name)}
	client, err := d.Dial(c.t.Context(), []string{c.manager.Self().Addr})
	require.NoError(c.t, err)
	c.t.Cleanup(client.Close)
	return client
}

func (c *cluster) server(id core.NodeID) *netrpc.Server {
	for _, s := range c.nodes {
		if s.Self().ID == id {
			return s
		}
	}
	return nil
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestOperations(t *testing.T) {
	ctx := patient(t)
	c := startCluster(t, 3, core.ManagerOptions{Replicas: 2}).dial()

	_, err := c.Get(ctx, "a")
	require.ErrorIs(t, err, netrpc.ErrNotFound)
	_, err = c.Delete(ctx, "a")
	require.ErrorIs(t, err, netrpc.ErrNotFound)
	_, err = c.CompareAndSwap(ctx, "a", 1, nil)
	require.ErrorIs(t, err, netrpc.ErrConflict, "nothing is at version 1")

	put, err := c.Put(ctx, "a", []byte("one"))
	require.NoError(t, err)
	require.NotZero(t, put.Version)
	got, err := c.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, netrpc.Value{Data: []byte("one"), Result: put}, got)

	_, err = c.CompareAndSwap(ctx, "a", put.Version+1, []byte("two"))
	var e *netrpc.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, netrpc.ErrConflict, e.Class)
	require.Equal(t, put.Version, e.Version, "the current one")
	swapped, err := c.CompareAndSwap(ctx, "a", put.Version, []byte("two"))
	require.NoError(t, err)
	require.Greater(t, swapped.Version, put.Version)

	deleted, err := c.Delete(ctx, "a")
	require.NoError(t, err)
	require.Greater(t, deleted.Version, swapped.Version)
	_, err = c.Get(ctx, "a")
	require.ErrorIs(t, err, netrpc.ErrNotFound)
	_, err = c.CompareAndSwap(ctx, "a", 0, []byte("again"))
	require.NoError(t, err, "version 0: it is absent")
}

// Whoever gets a value may write into it: it is nobody else's.
func TestWhatAGetReturnsIsItsCallers(t *testing.T) {
	ctx := patient(t)
	c := startCluster(t, 1, core.ManagerOptions{}).dial()
	for _, size := range []int{0, 1, 100, 16<<10 - 1, 16 << 10, 64 << 10, core.ValueBytesMax} {
		value := strings.Repeat("v", size)
		_, err := c.Put(ctx, "k", []byte(value))
		require.NoError(t, err)
		for range 3 {
			got, err := c.Get(ctx, "k")
			require.NoError(t, err)
			require.NotNil(t, got.Data)
			require.True(t, string(got.Data) == value, "%d bytes", size)
			for i := range got.Data {
				got.Data[i] = 'x'
			}
		}
	}
}

func TestSizes(t *testing.T) {
	ctx := patient(t)
	c := startCluster(t, 1, core.ManagerOptions{}).dial()
	key := strings.Repeat("\xff\x00k", core.KeyBytesMax)[:core.KeyBytesMax]
	value := []byte(strings.Repeat("v\x00", core.ValueBytesMax/2))
	_, err := c.Put(ctx, key, value)
	require.NoError(t, err)
	got, err := c.Get(ctx, key)
	require.NoError(t, err)
	require.True(t, string(got.Data) == string(value))
	_, err = c.Put(ctx, "empty", nil)
	require.NoError(t, err)
	got, err = c.Get(ctx, "empty")
	require.NoError(t, err)
	require.Empty(t, got.Data)
	for name, do := range map[string]func() error{
		"an empty key":   func() error { _, err := c.Put(ctx, "", value); return err },
		"a long key":     func() error { _, err := c.Get(ctx, key+"k"); return err },
		"a long value":   func() error { _, err := c.Put(ctx, "k", append(value, 'v')); return err },
		"an empty get":   func() error { _, err := c.Get(ctx, ""); return err },
		"a delete of ''": func() error { _, err := c.Delete(ctx, ""); return err },
	} {
		require.ErrorIs(t, do(), netrpc.ErrTooLarge, name)
		require.ErrorContains(t, do(), "a key has 1 to 1024 bytes", name)
	}
}

func TestTooFewNodes(t *testing.T) {
	c := startCluster(t, 2, core.ManagerOptions{Replicas: 2})
	client := c.dial()
	require.EventuallyWithT(t, func(t *assert.CollectT) { // a node counts once it has answered
		_, err := client.Put(context.Background(), "a", nil)
		require.ErrorIs(t, err, netrpc.ErrUnavailable)
		require.ErrorContains(t, err, "2 of 3 nodes registered")
	}, patience, time.Millisecond)
	c.add("node3")
	require.Eventually(t, func() bool { _, err := client.Put(t.Context(), "a", nil); return err == nil }, patience, time.Millisecond)
}

func TestTheContextEndsAnOperation(t *testing.T) {
	c := startCluster(t, 1, core.ManagerOptions{})
	client := c.dial()
	_, err := client.Put(patient(t), "a", nil)
	require.NoError(t, err)
	c.nodes[0].Close() // in memory mode nobody else has the key: what follows can only wait

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	begin := time.Now()
	_, err = client.Put(ctx, "a", nil)
	require.ErrorIs(t, err, netrpc.ErrUnknownOutcome, "it was sent")
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(begin), time.Second)

	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = client.Get(ctx, "a")
	require.ErrorIs(t, err, netrpc.ErrUnavailable, "a get that ends has changed nothing")

	_, err = client.Put(ctx, "a", nil)
	require.ErrorIs(t, err, netrpc.ErrUnavailable, "the time was over before: nothing was sent")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A context may have been cancelled by the error of another operation, as errgroup does it. That says
// nothing of this one.
func TestTheCauseOfAContextIsNoOutcome(t *testing.T) {
	c := startCluster(t, 3, core.ManagerOptions{})
	client := c.dial()
	ctx, cancel := context.WithCancelCause(patient(t))
	_, missing := client.Get(ctx, "absent")
	require.ErrorIs(t, missing, netrpc.ErrNotFound)
	c.manager.Close() // so that the next operations wait
	entered := make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		close(entered)
		_, err := client.Put(ctx, "new", []byte("v"))
		ended <- err
	}()
	go func() {
		_, err := client.Status(ctx)
		ended <- err
	}()
	<-entered
	cancel(missing)
	errs := []error{<-ended, <-ended}
	_, err := client.Get(ctx, "absent")
	errs = append(errs, err)
	_, err = netrpc.Dial(ctx, []string{"127.0.0.1:1"})
	for _, err := range append(errs, err) {
		require.ErrorIs(t, err, netrpc.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, netrpc.ErrNotFound)
		require.ErrorContains(t, err, netrpc.ErrNotFound.Error(), "but it is said")
	}
}

func TestAClosedClient(t *testing.T) {
	c := startCluster(t, 1, core.ManagerOptions{})
	client := c.dial()
	_, err := client.Put(patient(t), "a", nil)
	require.NoError(t, err)
	c.nodes[0].Close()
	ended := make(chan error)
	go func() { _, err := client.Put(t.Context(), "a", nil); ended <- err }()
	time.Sleep(10 * time.Millisecond)
	client.Close()
	client.Close()
	require.ErrorIs(t, <-ended, netrpc.ErrClosed)
	_, err = client.Get(t.Context(), "a")
	require.ErrorIs(t, err, netrpc.ErrClosed)
	_, err = client.Status(t.Context())
	require.ErrorIs(t, err, netrpc.ErrClosed)
}

func TestDialFailures(t *testing.T) {
	c := startCluster(t, 1, core.ManagerOptions{})
	nobody := listen(t)
	nobody.Close()
	silent := listen(t)
	defer silent.Close()

	begin := time.Now()
	_, err := netrpc.Dial(t.Context(), []string{nobody.Addr().String()})
	require.ErrorIs(t, err, netrpc.ErrUnavailable)
	require.ErrorContains(t, err, "connection refused")
	require.Less(t, time.Since(begin), time.Second, "at once")

	_, err = netrpc.Dial(t.Context(), []string{c.nodes[0].Self().Addr})
	require.ErrorContains(t, err, "is a storage node, not a manager")
	_, err = netrpc.Dial(t.Context(), nil)
	require.ErrorContains(t, err, "no manager named")
	for address, want := range map[string]string{
		"":                       "want HOST:PORT",
		"127.0.0.1":              "want HOST:PORT",
		"http://127.0.0.1:7400":  `without "http://"`,
		":7400":                  "want a host",
		"a b:7400":               "want a host",
		"127.0.0.1:0":            "want a port",
		"127.0.0.1:99999":        "want a port",
		"127.0.0.1:http":         "want a port",
		strings.Repeat("a", 500): "at most 256 bytes",
	} {
		_, err = netrpc.Dial(t.Context(), []string{c.manager.Self().Addr, address})
		require.ErrorContains(t, err, want, "whoever else could be asked")
		require.NotErrorIs(t, err, netrpc.ErrUnavailable, "or a program would try again for ever")
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin = time.Now()
	_, err = netrpc.Dial(ctx, []string{silent.Addr().String()})
	require.Less(t, time.Since(begin), time.Second, "when the context ends")
	require.ErrorIs(t, err, netrpc.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = netrpc.Dial(ctx, []string{silent.Addr().String()})
	require.ErrorContains(t, err, "not asked any more", "the context has ended before")

	client, err := netrpc.Dial(t.Context(), []string{nobody.Addr().String(), c.manager.Self().Addr})
	require.NoError(t, err, "the first that answers")
	client.Close()
}

// Managers that stand still, so that the system connects in their place and nobody says a word,
// cost whoever connects little: the next ones are asked beside them.
func TestManagersThatStandStillArePassedOver(t *testing.T) {
	c := startCluster(t, 1, core.ManagerOptions{})
	var list []string
	for range 12 { // a dial time-out of each would be more than all of the patience
		silent := listen(t)
		defer silent.Close()
		list = append(list, silent.Addr().String())
	}
	client, err := netrpc.Dial(patient(t), append(list, c.manager.Self().Addr))
	require.NoError(t, err)
	client.Close()
}

func TestOptionsOutOfBoundsAreRefused(t *testing.T) {
	l := listen(t)
	defer l.Close()
	_, err := netrpc.ServeManager(l, core.ManagerOptions{Replicas: 99}, netrpc.Options{})
	require.ErrorContains(t, err, "99 replicas")
}

func TestForget(t *testing.T) {
	ctx := patient(t)
	c := startCluster(t, 3, core.ManagerOptions{Replicas: 2})
	client := c.dial()
	_, err := client.Put(ctx, "a", nil)
	require.NoError(t, err)
	require.ErrorIs(t, client.Forget(ctx, 42), netrpc.ErrNotFound)
	victim := c.nodes[1]
	require.NoError(t, client.Forget(ctx, victim.Self().ID))
	require.NoError(t, client.Forget(ctx, victim.Self().ID), "twice is no error")
	<-victim.Done()
	require.ErrorIs(t, victim.Err(), core.ErrForgotten)
	_, err = client.Put(ctx, "a", nil)
	require.NoError(t, err)
}

func TestFarewellAndCrash(t *testing.T) {
	ctx := patient(t)
	c := startCluster(t, 3, core.ManagerOptions{Replicas: 2})
	client := c.dial()
	for _, end := range []func(*netrpc.Server){(*netrpc.Server).Close, func(s *netrpc.Server) { s.Stop(patience) }} {
		r, err := client.Put(ctx, "a", []byte("v"))
		require.NoError(t, err)
		primary := c.server(r.Node)
		end(primary)
		require.NoError(t, primary.Err())
		begin := time.Now()
		next, err := client.Put(ctx, "a", []byte("v"))
		require.NoError(t, err)
		require.NotEqual(t, r.Node, next.Node)
		t.Logf("written again %v after the end of the primary", time.Since(begin))
	}
}

func TestManyGoroutinesOnOneClient(t *testing.T) {
	ctx := patient(t)
	c := startCluster(t, 3, core.ManagerOptions{Replicas: 2}).dial()
	const users, rounds = 32, 20
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for r := range rounds { // a counter that all of them raise
				for {
					v, err := c.Get(ctx, "counter")
					if err != nil && !errors.Is(err, netrpc.ErrNotFound) {
						t.Error(u, r, err)
						return
					}
					_, err = c.CompareAndSwap(ctx, "counter", v.Version, append(v.Data, 'x'))
					if err == nil {
						break
					}
					if !errors.Is(err, netrpc.ErrConflict) {
						t.Error(u, r, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	v, err := c.Get(ctx, "counter")
	require.NoError(t, err)
	require.Len(t, v.Data, users*rounds)
}

// A new manager at the old address is another cluster's. Its state must not be
// taken for that of the cluster the client is of, nor must it be told to forget
// or drain anything.
func TestAnotherClusterAtTheManagersAddress(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("the client knew its cluster: %v", known), func(t *testing.T) {
			ctx := patient(t)
			a := startCluster(t, 1, core.ManagerOptions{Cluster: 0xa1a1})
			client := a.dial()
			if known {
				_, err := client.Put(ctx, "key", []byte("a"))
				require.NoError(t, err)
			}
			address := a.manager.Self().Addr
			a.manager.Close()
			l, err := net.Listen("tcp", address)
			require.NoError(t, err)
			b, err := netrpc.ServeManager(l, core.ManagerOptions{Cluster: 0xb2b2}, netrpc.Options{})
			require.NoError(t, err)
			t.Cleanup(b.Close)

			told := func(err error) {
				t.Helper()
				require.ErrorIs(t, err, netrpc.ErrOtherCluster)
				require.ErrorIs(t, err, netrpc.ErrUnavailable)
				require.ErrorContains(t, err, core.ClusterID(0xb2b2).String())
				require.ErrorContains(t, err, "connect anew")
				if known {
					require.ErrorContains(t, err, "it was that of "+core.ClusterID(0xa1a1).String())
				}
			}
			_, err = client.Status(ctx)
			told(err)
			told(client.Forget(ctx, 1))
			told(client.Drain(ctx, 1))
			short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			defer cancel()
			_, err = client.Get(short, "another key")
			told(err)
			if known {
				v, err := client.Get(ctx, "key")
				require.NoError(t, err, "keys whose group is known go on being served")
				require.Equal(t, "a", string(v.Data))
			}
			anew, err := netrpc.Dial(ctx, []string{address})
			require.NoError(t, err)
			defer anew.Close()
			s, err := anew.Status(ctx)
			require.NoError(t, err)
			require.Equal(t, core.ClusterID(0xb2b2), s.Cluster)
		})
	}
}

// watched is a client that works all the time; every operation must succeed.
func watched(t *testing.T, c *cluster) (stop func()) {
	client := c.dial()
	quit := make(chan struct{})
	var wg sync.WaitGroup
	var done atomic.Int64
	var slowest atomic.Int64
	wg.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
			}
			begin := time.Now()
			if _, err := client.Put(patient(t), "watched", []byte("v")); err != nil {
				t.Errorf("after %d operations: %v", done.Load(), err)
				return
			}
			done.Add(1)
			slowest.Store(max(slowest.Load(), int64(time.Since(begin))))
		}
	})
	return func() {
		close(quit)
		wg.Wait()
		t.Logf("%d operations meanwhile, the slowest took %v", done.Load(), time.Duration(slowest.Load()))
		require.Positive(t, done.Load())
	}
}

// Strangers connect to every port and send random bytes; thousands stay idle.
func TestStrangersDoNoHarm(t *testing.T) {
	const most, idle = 300, 3000
	c := startCluster(t, 3, core.ManagerOptions{Replicas: 2}, netrpc.Options{ConnectionsMax: most})
	stop := watched(t, c)
	ports := []string{c.manager.Self().Addr}
	for _, s := range c.nodes {
		ports = append(ports, s.Self().Addr)
	}
	random := rand.New(rand.NewPCG(1, 2))
	preface := prefaceOf(t, ports[0])
	prefaced := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return append(preface[:len(preface):len(preface)], b...)
	}
	var open []net.Conn
	for i := range idle {
		conn, err := net.Dial("tcp", ports[i%len(ports)])
		require.NoError(t, err)
		open = append(open, conn)
		switch i % 3 {
		case 0: // says nothing
		case 1: // says it is one of us, then nothing
			_, err = conn.Write(prefaced(0))
		case 2:
			_, err = conn.Write(prefaced(100)[i%9:])
		}
		if err != nil {
			require.NotErrorIs(t, err, context.DeadlineExceeded)
		}
	}
	goroutines := runtime.NumGoroutine()
	require.Less(t, goroutines, (most+100)*(len(ports))*2, "bounded by the connections allowed")
	stop()
	for _, conn := range open {
		conn.Close()
	}
	for _, s := range append(c.nodes, c.manager) {
		require.NoError(t, s.Err())
	}
}

// prefaceOf is what both ends of a connection send first.
func prefaceOf(t *testing.T, address string) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	preface := make([]byte, 8)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(conn, preface)
	require.NoError(t, err)
	require.Equal(t, "GTStore", string(preface[:7]))
	return preface
}

// A client that asks for values, and reads one of them and no more, costs a bounded amount of
// memory, and nobody else anything.
func TestAClientThatNeverReads(t *testing.T) {
	c := startCluster(t, 1, core.ManagerOptions{})
	client := c.dial()
	big := []byte(strings.Repeat("v", core.ValueBytesMax))
	r, err := client.Put(patient(t), "big", big)
	require.NoError(t, err)
	stop := watched(t, c)

	node := c.nodes[0].Self()
	deaf, err := net.Dial("tcp", node.Addr)
	require.NoError(t, err)
	defer deaf.Close()
	status, err := client.Status(t.Context())
	require.NoError(t, err)
	flood := append(prefaceOf(t, node.Addr), deafRequests(status.Cluster, node, r.Group, "big", 2000)...)
	written := make(chan struct{})
	go func() {
		_, _ = deaf.Write(flood) // it is cut off some time
		close(written)
	}()
	require.NoError(t, deaf.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(deaf, make([]byte, len(big)))
	require.NoError(t, err, "it is answered")

	var m runtime.MemStats
	for range 10 {
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
		runtime.ReadMemStats(&m)
		require.Less(t, m.HeapAlloc, uint64(256<<20), "2000 values of 1 MiB were asked for")
	}
	stop()
	deaf.Close()
	<-written
}

// deafRequests is n frames that each Deliver a get.
func deafRequests(cluster core.ClusterID, to core.Peer, group core.GroupID, key string, n int) (frames []byte) {
	const deliver = 2
	for i := range n {
		e := core.AppendEnvelope(nil, &core.Envelope{Cluster: cluster, From: core.Peer{ID: 99}, To: to,
			Body: &core.Op{Group: group, Req: uint64(i), Kind: core.OpGet, Key: key}})
		frame := binary.AppendUvarint([]byte{deliver}, uint64(i+1))
		frame = append(frame, 1) // one envelope
		frame = binary.LittleEndian.AppendUint32(frame, uint32(len(e)))
		frame = append(frame, e...)
		frames = append(binary.LittleEndian.AppendUint32(frames, uint32(len(frame))), frame...)
	}
	return frames
}
