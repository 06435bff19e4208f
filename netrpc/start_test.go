package netrpc

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// lateDisk takes long to start, and is wronged by whoever writes before it has.
type lateDisk struct {
	core.Empty
	started, wronged atomic.Bool
	synced           chan func()
}

func (d *lateDisk) Start(synced func(), _ func(error)) {
	time.Sleep(200 * time.Millisecond)
	d.started.Store(true)
	d.synced <- synced
}

func (d *lateDisk) Write(func(func([]core.Write) bool)) {
	if !d.started.Load() {
		d.wronged.Store(true)
		return
	}
	go func() {
		synced := <-d.synced
		d.synced <- synced
		synced()
	}()
}

func (d *lateDisk) Close() error { return nil }

// Others may connect as soon as a process listens, and a node that is started again is
// waited for by many. Nothing that they say makes it write before its disk is there.
func TestNothingIsWrittenBeforeTheDiskHasStarted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	asked := make(chan error, 1)
	go func() {
		c, err := Dial(ctx, []string{l.Addr().String()})
		if err == nil {
			_, err = c.Status(ctx)
			c.Close()
		}
		asked <- err
	}()
	d := &lateDisk{synced: make(chan func(), 1)}
	s, err := ServeManager(l, core.ManagerOptions{}, Options{Disk: d})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, <-asked)
	require.False(t, d.wronged.Load())
}
