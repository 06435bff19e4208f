package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/sim/history"
)

// load is concurrent users whose history is recorded and must be linearizable.
type load struct {
	t      testing.TB
	client *netrpc.Client
	keys   []string
	quit   chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex
	order int
	ops   []*operation
}

// operation is an entry of the history, and when it returned on the wall clock.
type operation struct {
	history.Operation
	at time.Time
}

// startLoad runs users who do all kinds of operations on a few keys, each
// waiting a little between two.
func (c *cluster) startLoad(users int, keys ...string) *load {
	l := &load{t: c.t, client: c.client, keys: keys, quit: make(chan struct{})}
	for u := range users {
		client := c.client
		if u%2 == 1 {
			client = c.dial()
		}
		l.wg.Go(func() { l.use(client, u) })
	}
	return l
}

func (l *load) use(client *netrpc.Client, user int) {
	random := rand.New(rand.NewPCG(uint64(user), 0))
	version := map[string]core.Seq{}
	for n := 0; ; n++ {
		select {
		case <-l.quit:
			return
		case <-time.After(time.Duration(random.IntN(2000)) * time.Microsecond):
		}
		key := l.keys[random.IntN(len(l.keys))]
		op := &operation{}
		op.Client, op.Key, op.Value = fmt.Sprintf("c%d", user+1), key, fmt.Sprintf("u%d-%d", user, n)
		switch draw := random.IntN(20); {
		case draw < 9:
			op.Kind, op.Value = core.OpGet, ""
		case draw < 17:
			op.Kind = core.OpPut
		case draw < 19:
			op.Kind, op.Version = core.OpCAS, version[key]
		default:
			op.Kind, op.Value = core.OpDelete, ""
		}
		l.do(client, op)
		version[key] = op.Result.Version
	}
}

// do carries out an operation and notes it.
func (l *load) do(client *netrpc.Client, op *operation) {
	l.mu.Lock()
	l.order++
	op.CallOrder = l.order
	l.ops = append(l.ops, op)
	l.mu.Unlock()
	result := &core.Result{}
	err := within(func(ctx context.Context) error {
		var v netrpc.Value
		var err error
		switch op.Kind {
		case core.OpGet:
			v, err = client.Get(ctx, op.Key)
		case core.OpPut:
			v.Result, err = client.Put(ctx, op.Key, []byte(op.Value))
		case core.OpDelete:
			v.Result, err = client.Delete(ctx, op.Key)
		case core.OpCAS:
			v.Result, err = client.CompareAndSwap(ctx, op.Key, op.Version, []byte(op.Value))
		}
		result.Value, result.Version, result.Epoch, result.Group = string(v.Data), v.Version, v.Epoch, v.Group
		return err
	})
	result.Status = statusOf(err)
	if e := new(netrpc.Error); errors.As(err, &e) {
		result.Version = e.Version
	}
	l.mu.Lock()
	l.order++
	op.ReturnOrder, op.Result, op.at = l.order, result, time.Now()
	l.mu.Unlock()
}

func statusOf(err error) core.Status {
	switch {
	case err == nil:
		return core.StatusOK
	case errors.Is(err, netrpc.ErrNotFound):
		return core.StatusNotFound
	case errors.Is(err, netrpc.ErrConflict):
		return core.StatusConflict
	case errors.Is(err, netrpc.ErrUnknownOutcome):
		return core.StatusUnknown
	case errors.Is(err, netrpc.ErrGroupLost):
		return core.StatusGroupLost
	}
	return core.StatusUnavailable
}

// grow waits until there are so many more operations.
func (l *load) grow(more int) {
	l.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.ops)
	}
	end := count() + more
	require.Eventually(l.t, func() bool { return count() >= end }, patience, time.Millisecond, "%d more operations", more)
}

// stop ends the load and checks its history: every operation got a result, and
// some order explains them all.
func (l *load) stop() {
	l.t.Helper()
	l.end()
	l.everyResult()
}

// end has the users do no more.
func (l *load) end() {
	close(l.quit)
	l.wg.Wait()
}

// everyResult judges the history, and that every operation in it has a result.
func (l *load) everyResult() {
	l.t.Helper()
	counts := l.judge()
	require.Zero(l.t, counts[core.StatusUnknown]+counts[core.StatusUnavailable]+counts[core.StatusGroupLost],
		"with a working copy left, every operation has a result")
}

// finish ends a load and judges its history.
func (l *load) finish() map[core.Status]int {
	l.t.Helper()
	l.end()
	return l.judge()
}

// judge checks that some order explains the history. It returns how many operations
// ended how.
func (l *load) judge() map[core.Status]int {
	l.t.Helper()
	ops := make([]history.Operation, len(l.ops))
	counts := map[core.Status]int{}
	for i, op := range l.ops {
		ops[i] = op.Operation
		counts[op.Result.Status]++
	}
	l.t.Logf("%d operations: %v", len(ops), counts)
	property, text := history.CheckLinearizable(ops)
	require.Empty(l.t, property, text)
	return counts
}

// readAll gets every key of a load that has ended once more, as part of its history.
func (l *load) readAll() {
	for _, key := range l.keys {
		op := &operation{}
		op.Kind, op.Client, op.Key = core.OpGet, "reader", key
		l.do(l.client, op)
	}
}

// firstWriteAfter tells how long after a moment a write on one of the keys was
// first acknowledged in an epoch after the given one.
func (l *load) firstWriteAfter(at time.Time, epoch core.Epoch, group core.GroupID) time.Duration {
	l.t.Helper()
	var first *operation
	require.Eventually(l.t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		var acked []*operation
		for _, op := range l.ops {
			if op.Kind != core.OpGet && op.Result != nil && op.Result.Status == core.StatusOK &&
				op.Result.Group == group && op.Result.Epoch > epoch && op.at.After(at) {
				acked = append(acked, op)
			}
		}
		if len(acked) > 0 {
			first = slices.MinFunc(acked, func(a, b *operation) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
		}
		return first != nil
	}, patience, time.Millisecond, "a write is acknowledged in an epoch after %d", epoch)
	return first.at.Sub(at)
}
