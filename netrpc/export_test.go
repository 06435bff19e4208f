package netrpc_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// taken is what an export has told of a group so far.
type taken struct {
	values map[string]core.Item
	anew   int
	last   *core.Exported
}

func (x *taken) part(r *core.Exported) error {
	if r.Anew {
		x.anew++
		x.values = map[string]core.Item{}
	}
	for _, it := range r.Items {
		if it.Version == 0 {
			delete(x.values, it.Key)
		} else {
			x.values[it.Key] = it
		}
	}
	x.last = r
	return nil
}

// A group is read while clients write and delete, and its primary dies meanwhile: it is
// begun anew, and what was acknowledged before is in it.
func TestAnExportGoesOnUnderANewPrimary(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience) // it does a lot
	defer cancel()
	c := startCluster(t, 4, core.ManagerOptions{Replicas: 2})
	client := c.dial()
	const keys = 100
	value := make([]byte, 1000)
	before := map[string]core.Seq{}
	for i := range keys {
		r, err := client.Put(ctx, fmt.Sprint("k", i), value)
		require.NoError(t, err)
		before[fmt.Sprint("k", i)] = r.Version
	}
	first, err := client.Get(ctx, "k0")
	require.NoError(t, err)

	writing, stop := context.WithCancel(ctx)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := w; writing.Err() == nil; i += 4 {
				_, _ = client.Put(writing, fmt.Sprint("k", i%keys), value) // what becomes of it does not matter
				_, _ = client.Delete(writing, fmt.Sprint("gone", i%keys))
				_, _ = client.Put(writing, fmt.Sprint("gone", i%keys), value)
			}
		})
	}
	x, killed := &taken{}, false
	e := client.Exporter(50_000, patience) // 2 s
	require.NoError(t, e.Group(ctx, first.Group, func(r *core.Exported) error {
		if !killed && !r.Anew {
			killed = true
			c.server(first.Node).Close()
		}
		return x.part(r)
	}))
	stop()
	writers.Wait()
	require.True(t, killed)
	require.Greater(t, x.anew, 1)
	require.Greater(t, x.last.Epoch, first.Epoch)
	require.EqualValues(t, len(x.values), x.last.Keys)
	for key, version := range before {
		require.GreaterOrEqual(t, x.values[key].Version, version, key)
		require.Len(t, x.values[key].Value, len(value))
	}
	n, err := e.Keys(ctx, first.Group)
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, uint64(keys))
}

// A group of 120 kB at 100 kB a second takes about that long. What may be read at once, at
// the beginning and by the last key, is less than a third of that.
func TestAnExportKeepsToItsRate(t *testing.T) {
	ctx := patient(t)
	c := startCluster(t, 1, core.ManagerOptions{Replicas: 0}).dial()
	for i := range 120 {
		_, err := c.Put(ctx, fmt.Sprint("k", i), make([]byte, 1000))
		require.NoError(t, err)
	}
	begin, x := time.Now(), &taken{}
	require.NoError(t, c.Exporter(100_000, patience).Group(ctx, 1, x.part))
	require.Len(t, x.values, 120)
	require.Greater(t, time.Since(begin), 800*time.Millisecond)
	require.Equal(t, 1, x.anew)
}

func TestAnExportThatCannotEnd(t *testing.T) {
	ctx := patient(t)
	cluster := startCluster(t, 2, core.ManagerOptions{Replicas: 1})
	c := cluster.dial()
	put, err := c.Put(ctx, "k", []byte("v"))
	require.NoError(t, err)
	e := c.Exporter(1<<20, 300*time.Millisecond)

	full := errors.New("the disk is full")
	require.Equal(t, full, e.Group(ctx, 1, func(*core.Exported) error { return full }))
	err = e.Group(ctx, 7, new(taken).part)
	require.ErrorIs(t, err, netrpc.ErrUnavailable)
	require.ErrorContains(t, err, "for 300ms no primary of group 7 has answered; the last cause: the manager tells no primary of group 7")

	var given atomic.Bool
	cancelled, cancel := context.WithCancel(ctx)
	err = c.Exporter(1<<20, patience).Group(cancelled, 1, func(r *core.Exported) error {
		given.Store(true)
		cancel()
		r.All = false // there is more to come
		return nil
	})
	require.True(t, given.Load())
	require.ErrorIs(t, err, netrpc.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)

	for _, s := range cluster.nodes {
		s.Close()
	}
	_, err = e.Keys(ctx, put.Group)
	require.True(t, errors.Is(err, netrpc.ErrUnavailable) || errors.Is(err, netrpc.ErrGroupLost), err)
	require.Eventually(t, func() bool {
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, err := c.Get(short, "k") // it misses the group, too, so that the manager believes it
		require.Error(t, err)
		_, err = e.Keys(ctx, put.Group)
		return errors.Is(err, netrpc.ErrGroupLost)
	}, patience, 10*time.Millisecond)
	c.Close()
	require.ErrorIs(t, e.Group(ctx, 1, new(taken).part), netrpc.ErrClosed)
}
