package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every process of a cluster is ended in good order and started again, one after the other,
// the manager among them, while a load runs. No operation fails, and every node is who it
// was. Each storage node leaves its group before it ends: the group misses nobody.
func TestARollingRestartFailsNoOperation(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		reads string
	}{
		{"with a spare", 4, "confirm"},
		{"without a spare, with leases", 3, "lease"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := startDurable(t, c.nodes, "--replicas", "2", "--reads", c.reads)
			d.put("group", "")
			d.whole(1, 3)
			ids := d.ids()
			l := d.startLoad(6, keysOf(0)...)
			for _, m := range d.all {
				l.grow(50)
				d.restart(m)
			}
			log := d.manager.stderr.String()
			require.Contains(t, log, "cause=resigned")
			for _, missed := range []string{"cause=ended", "cause=silent", "cause=dispute"} {
				require.NotContains(t, log, missed)
			}
			l.grow(50)
			l.end()
			l.readAll()
			l.everyResult()
			require.Equal(t, ids, d.ids())
		})
	}
}

// restart ends a process in good order, starts it again, and waits until the group is whole.
func (d *durable) restart(m *member) {
	d.t.Helper()
	begin := time.Now()
	m.signal(syscall.SIGTERM)
	require.Zero(d.t, m.exitCode(), "%s: %s", m.name, &m.stderr)
	ended := time.Now()
	d.again(m)
	listens := time.Now()
	whole := d.whole(1, 3)
	d.t.Logf("%s: ended after %v, listens after %v more, and the group is whole %v later", m.name,
		ended.Sub(begin).Round(time.Millisecond), listens.Sub(ended).Round(time.Millisecond), whole.Round(time.Millisecond))
}
