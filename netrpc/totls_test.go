package netrpc

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/identity/identitytest"
)

// memoryDisk is a Disk that outlives its server.
type memoryDisk struct {
	mu      sync.Mutex
	records map[string]string
	synced  func()
}

func (d *memoryDisk) Start(synced func(), _ func(error)) { d.synced = synced }
func (d *memoryDisk) Close() error                       { return nil }

func (d *memoryDisk) Write(persists func(yield func([]core.Write) bool)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for writes := range persists {
		for _, w := range writes {
			switch {
			case w.Delete && w.End != "":
				maps.DeleteFunc(d.records, func(k, _ string) bool { return k >= w.Key && k < w.End })
			case w.Delete:
				delete(d.records, w.Key)
			default:
				d.records[w.Key] = w.Value
			}
		}
	}
	go d.synced()
}

func (d *memoryDisk) Range(prefix string, f func(key, value string) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(d.records)) {
		if strings.HasPrefix(k, prefix) {
			if err := f(k, d.records[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// A cluster whose data are from before it had certificates goes on with them, and one whose
// certificates are taken away goes on, too.
func TestAClusterChangesToTLSAndBack(t *testing.T) {
	ca := identitytest.New(t)
	disks := make([]*memoryDisk, 4)
	addresses := make([]string, len(disks))
	for i := range disks {
		disks[i] = &memoryDisk{records: make(map[string]string)}
		addresses[i] = "127.0.0.1:0"
	}
	run := func(sealed bool, f func(ctx context.Context, c *Client)) {
		files := func(name string) TLS {
			if !sealed {
				return TLS{}
			}
			return TLS(ca.Issue("gtstore://test/" + name))
		}
		var servers []*Server
		for i, d := range disks {
			l, err := net.Listen("tcp", addresses[i])
			require.NoError(t, err)
			addresses[i] = l.Addr().String()
			var s *Server
			if i == 0 {
				s, err = ServeManager(l, core.ManagerOptions{Replicas: 2}, Options{Disk: d, TLS: files("manager/m")})
			} else {
				name := fmt.Sprintf("n%d", i)
				s, err = ServeStorage(l, core.StorageOptions{Manager: core.Peer{Addr: addresses[0]}, Name: name}, Options{Disk: d, TLS: files("node/" + name)})
			}
			require.NoError(t, err)
			servers = append(servers, s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, err := (&Dialer{TLS: files("client/app")}).Dial(ctx, addresses[:1])
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			s, err := c.Status(ctx)
			return err == nil && len(s.Nodes) == 3
		}, patience, time.Millisecond)
		f(ctx, c)
		c.Close()
		for _, s := range servers {
			s.Close()
			require.NoError(t, s.Err())
		}
	}
	run(false, func(ctx context.Context, c *Client) {
		_, err := c.Put(ctx, "k", []byte("plain"))
		require.NoError(t, err)
	})
	run(true, func(ctx context.Context, c *Client) {
		v, err := c.Get(ctx, "k")
		require.NoError(t, err)
		require.Equal(t, "plain", string(v.Data))
		_, err = c.Put(ctx, "k", []byte("sealed"))
		require.NoError(t, err)
	})
	for range 2 {
		run(true, func(ctx context.Context, c *Client) {
			v, err := c.Get(ctx, "k")
			require.NoError(t, err)
			require.Equal(t, "sealed", string(v.Data))
		})
	}
	run(false, func(ctx context.Context, c *Client) {
		v, err := c.Get(ctx, "k")
		require.NoError(t, err)
		require.Equal(t, "sealed", string(v.Data))
	})
}
