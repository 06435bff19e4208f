package netrpc_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/identity/identitytest"
)

// process is one of those whose certificates change.
type process struct {
	name  string
	files identity.Files
	is    interface{ Security() netrpc.Security }
}

// All certificates, and the CA, change while clients write and read. Every connection is made
// anew under them, and no operation fails.
func TestCertificatesRotateUnderLoad(t *testing.T) {
	old, next := identitytest.New(t), identitytest.New(t)
	var all []*process
	begin := func(name string) (*process, netrpc.TLS) {
		p := &process{name: "gtstore://test/" + name}
		p.files = old.Issue(p.name)
		all = append(all, p)
		return p, netrpc.TLS(p.files)
	}
	p, tls := begin("manager/m")
	manager, err := netrpc.ServeManager(listen(t), core.ManagerOptions{Replicas: 2}, netrpc.Options{TLS: tls})
	require.NoError(t, err)
	p.is = manager
	t.Cleanup(manager.Close)
	servers := []*netrpc.Server{manager}
	for i := range 3 {
		p, tls := begin(fmt.Sprintf("node/n%d", i))
		s, err := netrpc.ServeStorage(listen(t), core.StorageOptions{Manager: core.Peer{Addr: manager.Self().Addr}}, netrpc.Options{TLS: tls})
		require.NoError(t, err)
		p.is = s
		t.Cleanup(s.Close)
		servers = append(servers, s)
	}

	p, tls = begin("client/app")
	client, err := (&netrpc.Dialer{TLS: tls}).Dial(t.Context(), []string{manager.Self().Addr})
	require.NoError(t, err)
	p.is = client
	t.Cleanup(client.Close)
	require.Eventually(t, func() bool {
		s, err := client.Status(t.Context())
		return err == nil && len(s.Nodes) == 3
	}, patience, time.Millisecond, "all are registered")

	stop, done := make(chan struct{}), new(sync.WaitGroup)
	var operations, failed atomic.Int64
	for w := range 4 {
		done.Go(func() {
			key := fmt.Sprintf("key%d", w)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				value := fmt.Sprint(i)
				_, err := client.Put(ctx, key, []byte(value))
				got, err2 := client.Get(ctx, key)
				cancel()
				if err != nil || err2 != nil || string(got.Data) != value {
					failed.Add(1)
					t.Errorf("%v, %v, %q is to be %q", err, err2, got.Data, value)
					return
				}
				operations.Add(1)
			}
		})
	}
	go func() { // so that somebody speaks with each process all the time
		for s := client; ; time.Sleep(50 * time.Millisecond) {
			select {
			case <-stop:
				return
			default:
				_, _ = s.Status(t.Context())
			}
		}
	}()
	// step changes the files of all, and waits until all have read them.
	step := func(what string, change func(p *process)) {
		t.Helper()
		before := make([]uint64, len(all))
		for i, p := range all {
			before[i] = p.is.Security().Reads
			change(p)
		}
		at := operations.Load()
		require.Eventually(t, func() bool {
			return failed.Load() > 0 || operations.Load() > at && !slices.ContainsFunc(all, func(p *process) bool { return p.is.Security().Reads == before[slices.Index(all, p)] })
		}, patience, time.Millisecond, what)
	}
	// Where the machine stands still, connections break, and are made anew before the old CA is
	// gone: then none ends for that, and all is changed once more.
	ended := func() bool {
		return !slices.ContainsFunc(servers, func(s *netrpc.Server) bool { return s.Security().Ended == 0 })
	}
	for deadline := time.Now().Add(3 * patience); !ended(); old, next = next, old {
		require.True(t, time.Now().Before(deadline), "connections of before end")
		step("both CAs are known", func(p *process) { old.Write(p.files.CA, append(bytes.Clone(old.PEM), next.PEM...)) })
		step("each has a certificate of the next CA", func(p *process) { next.Renew(p.files, p.name) })
		step("the old CA is gone", func(p *process) { next.Write(p.files.CA, next.PEM) })
		at, looked := operations.Load(), time.Now()
		require.Eventually(t, func() bool {
			return failed.Load() > 0 || operations.Load() > at+100 && (ended() || time.Since(looked) > 5*time.Second)
		}, patience, time.Millisecond, "it goes on")
		if failed.Load() > 0 {
			break
		}
	}
	close(stop)
	done.Wait()
	require.Zero(t, failed.Load())
	s, err := client.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Groups[0].Chain, 3, "nobody was evicted")
	require.EqualValues(t, 1, s.Groups[0].Epoch)
	for _, s := range servers {
		require.Zero(t, s.Security().Messages)
	}
	t.Logf("%d puts and gets, none failed", operations.Load())
}
