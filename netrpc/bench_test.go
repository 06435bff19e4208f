package netrpc_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/netrpc/internal/identity/identitytest"
)

// The benchmarks compare operations on a cluster of which every node is a
// process of its own with a plain net/rpc echo, gob and all, to one more
// process, in the same run:
//
//	go test ./netrpc -run '^$' -bench . -benchtime 3s
//
// A put is acknowledged by all three members; a get is a confirm-read.

// benchRole makes this test binary one of the processes, benchTLS names the files of one that
// has TLS.
const (
	benchRole = "GTSTORE_BENCH_ROLE"
	benchTLS  = "GTSTORE_BENCH_TLS"
)

func init() {
	role, manager, _ := strings.Cut(os.Getenv(benchRole), " ")
	if role == "" {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	var o netrpc.Options
	if files := strings.Fields(os.Getenv(benchTLS)); len(files) > 0 {
		o.TLS = netrpc.TLS{Cert: files[0], Key: files[1], CA: files[2]}
	}
	switch role {
	case "manager":
		_, err = netrpc.ServeManager(l, core.ManagerOptions{Replicas: 2}, o)
	case "storage":
		_, err = netrpc.ServeStorage(l, core.StorageOptions{Manager: core.Peer{Addr: manager}}, o)
	case "echo":
		s := rpc.NewServer()
		err = s.Register(new(Echo))
		go s.Accept(l)
	case "relay": // to as many as are named; with none it is where the bytes end
		go relay(l, strings.Fields(manager))
	}
	check(err)
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // the benchmark has ended
	os.Exit(0)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Echo is the service to compare with.
type Echo struct{}

// EchoArgs has what an operation on the store has.
type EchoArgs struct {
	Key   string
	Value []byte
}

// Echo returns its argument.
func (*Echo) Echo(in *EchoArgs, out *EchoArgs) error {
	*out = *in
	return nil
}

// startProcess runs this binary in a role and returns its address.
func startProcess(b *testing.B, role string, tls ...netrpc.TLS) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchRole+"="+role)
	for _, f := range tls {
		cmd.Env = append(cmd.Env, benchTLS+"="+f.Cert+" "+f.Key+" "+f.CA)
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(line)
}

// relay takes messages, each a length and so many bytes, passes them on, and answers each
// with a byte once those to whom it passed it on have.
func relay(l net.Listener, to []string) {
	for {
		c, err := l.Accept()
		check(err)
		next := make([]net.Conn, len(to))
		for i := range to {
			next[i], err = net.Dial("tcp", to[i])
			check(err)
		}
		go func() {
			b := make([]byte, 4+core.ValueBytesMax)
			for carry(c, next, b) {
			}
		}()
	}
}

func carry(c net.Conn, next []net.Conn, b []byte) bool {
	if _, err := io.ReadFull(c, b[:4]); err != nil {
		return false // the benchmark has ended
	}
	n := 4 + binary.LittleEndian.Uint32(b)
	_, err := io.ReadFull(c, b[4:n])
	check(err)
	for _, to := range next {
		_, err = to.Write(b[:n])
		check(err)
	}
	var ack [1]byte
	for _, to := range next {
		_, err = io.ReadFull(to, ack[:])
		check(err)
	}
	_, err = c.Write(ack[:])
	check(err)
	return true
}

// BenchmarkLarge compares puts of large values with as many bytes that go the same way
// over plain TCP: to one process, and from there to two more.
func BenchmarkLarge(b *testing.B) {
	client, ctx := benchCluster(b)
	first := startProcess(b, "relay "+startProcess(b, "relay")+" "+startProcess(b, "relay"))
	for _, size := range []int{64 << 10, core.ValueBytesMax} {
		for _, callers := range []int{1, 8} {
			run := func(name string, caller func(i int) func() error) {
				b.Run(fmt.Sprintf("%s/%dKiB/%d", name, size>>10, callers), func(b *testing.B) {
					b.SetBytes(int64(size))
					atOnce(b, callers, caller)
				})
			}
			message := make([]byte, 4+size)
			binary.LittleEndian.PutUint32(message, uint32(size))
			run("tcp", func(int) func() error {
				c, err := net.Dial("tcp", first)
				require.NoError(b, err)
				b.Cleanup(func() { c.Close() })
				return func() error {
					if _, err := c.Write(message); err != nil {
						return err
					}
					_, err := io.ReadFull(c, make([]byte, 1))
					return err
				}
			})
			key := func(i int) string { return fmt.Sprintf("large%d", i) }
			run("put", func(i int) func() error {
				return func() error {
					_, err := client.Put(ctx, key(i), message[4:])
					return err
				}
			})
			run("get", func(i int) func() error {
				_, err := client.Put(ctx, key(i), message[4:])
				require.NoError(b, err)
				return func() error {
					_, err := client.Get(ctx, key(i))
					return err
				}
			})
		}
	}
}

// atOnce runs the b.N operations of a benchmark with so many callers. Each has an operation
// of its own.
func atOnce(b *testing.B, callers int, caller func(i int) func() error) {
	ops := make([]func() error, callers)
	for i := range ops {
		ops[i] = caller(i)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for _, op := range ops {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// benchCluster starts a cluster of three, and a client of it.
func benchCluster(b *testing.B) (*netrpc.Client, context.Context) {
	return benchClusterOf(b, func(string) []netrpc.TLS { return nil })
}

func benchClusterOf(b *testing.B, files func(name string) []netrpc.TLS) (*netrpc.Client, context.Context) {
	manager := startProcess(b, "manager", files("manager/m")...)
	for i := range 3 {
		startProcess(b, "storage "+manager, files(fmt.Sprintf("node/n%d", i))...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	b.Cleanup(cancel)
	var d netrpc.Dialer
	for _, f := range files("client/bench") {
		d.TLS = f
	}
	client, err := d.Dial(ctx, []string{manager})
	require.NoError(b, err)
	b.Cleanup(client.Close)
	for {
		if _, err = client.Put(ctx, "first", nil); err == nil {
			return client, ctx
		}
		require.ErrorIs(b, err, netrpc.ErrUnavailable, "while the nodes register")
	}
}

func BenchmarkOperations(b *testing.B) {
	client, ctx := benchCluster(b)
	value := make([]byte, 100)
	const keys = 64
	key := make([]string, keys)
	for i := range key {
		key[i] = fmt.Sprintf("key%04d", i)
		_, err := client.Put(ctx, key[i], value)
		require.NoError(b, err)
	}
	echo, err := rpc.Dial("tcp", startProcess(b, "echo"))
	require.NoError(b, err)
	defer echo.Close()

	for _, sessions := range []int{1, 16, 64} {
		run := func(name string, op func(i int) error) {
			b.Run(fmt.Sprintf("%s/%d", name, sessions), func(b *testing.B) {
				atOnce(b, sessions, func(i int) func() error { return func() error { return op(i) } })
			})
		}
		run("echo", func(i int) error {
			var out EchoArgs
			return echo.Call("Echo.Echo", &EchoArgs{key[i], value}, &out)
		})
		run("put", func(i int) error {
			_, err := client.Put(ctx, key[i], value)
			return err
		})
		run("get", func(i int) error {
			_, err := client.Get(ctx, key[i])
			return err
		})
	}
}

// BenchmarkTLS compares a cluster with TLS and one without, of three processes and a manager
// each. They take turns of some milliseconds, so that both have the same machine, whatever
// else that does. Its metrics are operations a second of both, and what the one with TLS
// does of what the other does.
func BenchmarkTLS(b *testing.B) {
	ca := identitytest.New(b)
	plain, ctx := benchCluster(b)
	sealed, _ := benchClusterOf(b, func(name string) []netrpc.TLS {
		return []netrpc.TLS{netrpc.TLS(ca.Issue("gtstore://bench/" + name))}
	})
	for _, size := range []int{100, 64 << 10} {
		value := make([]byte, size)
		for _, callers := range []int{1, 64} {
			if size > 100 && callers > 1 {
				callers = 8
			}
			key := func(i int) string { return fmt.Sprintf("key%d", i) }
			for i := range callers {
				for _, c := range []*netrpc.Client{plain, sealed} {
					_, err := c.Put(ctx, key(i), value)
					require.NoError(b, err)
				}
			}
			for name, op := range map[string]func(c *netrpc.Client, i int) error{
				"put": func(c *netrpc.Client, i int) error { _, err := c.Put(ctx, key(i), value); return err },
				"get": func(c *netrpc.Client, i int) error { _, err := c.Get(ctx, key(i)); return err },
			} {
				b.Run(fmt.Sprintf("%s/%dB/%d", name, size, callers), func(b *testing.B) { inTurns(b, callers, plain, sealed, op) })
			}
		}
	}
}

// inTurns has two clients do b.N operations each, in turns, by so many callers.
func inTurns(b *testing.B, callers int, plain, sealed *netrpc.Client, op func(c *netrpc.Client, i int) error) {
	const each = 20 // of a caller in a turn
	var took [2]time.Duration
	turns := max(1, b.N/(each*callers))
	b.ResetTimer()
	for turn := range 2 * turns {
		which := (turn + turn/2) % 2 // so that either is first as often as the other
		c := [2]*netrpc.Client{plain, sealed}[which]
		var wg sync.WaitGroup
		begin := time.Now()
		for i := range callers {
			wg.Go(func() {
				for range each {
					if err := op(c, i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		took[which] += time.Since(begin)
	}
	done := float64(turns * each * callers)
	b.ReportMetric(done/took[0].Seconds(), "plain/s")
	b.ReportMetric(done/took[1].Seconds(), "tls/s")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "tls:plain")
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
}
