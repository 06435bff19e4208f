package netrpc_test

import (
	"bufio"
	"context"
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
)

// The benchmarks compare operations on a cluster of which every node is a
// process of its own with a plain net/rpc echo, gob and all, to one more
// process, in the same run:
//
//	go test ./netrpc -run '^$' -bench . -benchtime 3s
//
// A put is acknowledged by all three members; a get is a confirm-read.

// benchRole makes this test binary one of the processes.
const benchRole = "GTSTORE_BENCH_ROLE"

func init() {
	role, manager, _ := strings.Cut(os.Getenv(benchRole), " ")
	if role == "" {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	switch role {
	case "manager":
		_, err = netrpc.ServeManager(l, core.ManagerOptions{Replicas: 2}, netrpc.Options{})
	case "storage":
		_, err = netrpc.ServeStorage(l, core.StorageOptions{Manager: core.Peer{Addr: manager}}, netrpc.Options{})
	case "echo":
		s := rpc.NewServer()
		err = s.Register(new(Echo))
		go s.Accept(l)
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
func startProcess(b *testing.B, role string) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchRole+"="+role)
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

func BenchmarkOperations(b *testing.B) {
	manager := startProcess(b, "manager")
	for range 3 {
		startProcess(b, "storage "+manager)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	client, err := netrpc.Dial(ctx, []string{manager})
	require.NoError(b, err)
	defer client.Close()
	value := make([]byte, 100)
	const keys = 64
	key := make([]string, keys)
	for i := range key {
		key[i] = fmt.Sprintf("key%04d", i)
		for {
			if _, err = client.Put(ctx, key[i], value); err == nil {
				break
			}
			require.ErrorIs(b, err, netrpc.ErrUnavailable, "while the nodes register")
		}
	}
	echo, err := rpc.Dial("tcp", startProcess(b, "echo"))
	require.NoError(b, err)
	defer echo.Close()

	for _, sessions := range []int{1, 16, 64} {
		run := func(name string, op func(i int) error) {
			b.Run(fmt.Sprintf("%s/%d", name, sessions), func(b *testing.B) {
				var next atomic.Int64
				var wg sync.WaitGroup
				for s := range sessions {
					wg.Go(func() {
						for next.Add(1) <= int64(b.N) {
							if err := op(s); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
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
