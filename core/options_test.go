package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is out of bounds is refused, and the message says the bounds. A ping interval
// below zero, for one, would have the manager tick without end.
func TestOptionsOutOfBoundsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*ManagerOptions)
		want string // "" is allowed
	}{
		{"the defaults", func(*ManagerOptions) {}, ""},
		{"pings in the past", func(o *ManagerOptions) { o.PingInterval = -time.Second }, "ping interval of -1s, want 1ms to 10s"},
		{"pings without a pause", func(o *ManagerOptions) { o.PingInterval = 1 }, "ping interval of 1ns, want 1ms to 10s"},
		{"pings once a minute", func(o *ManagerOptions) { o.PingInterval = time.Minute }, "ping interval of 1m0s, want 1ms to 10s"},
		{"no ping may be missed", func(o *ManagerOptions) { o.MissesMax = -1 }, "-1 missed pings before a node is suspected, want 1 to 100"},
		{"lost before it is silent", func(o *ManagerOptions) { o.LostAfter = -time.Second }, "presumed after -1s, want 10ms to 24h0m0s"},
		{"lost between two pings", func(o *ManagerOptions) { o.PingInterval, o.LostAfter = 10*time.Second, 2*time.Second }, "presumed after 2s, want at least 8s with pings every 10s of which 3 may be missed"},
		{"lost just after enough pings", func(o *ManagerOptions) { o.PingInterval, o.LostAfter = 10*time.Second, 8*time.Second }, ""},
		{"fewer replicas than none", func(o *ManagerOptions) { o.Replicas = -1 }, "-1 replicas, want 0 to 15"},
		{"a chain longer than groups are", func(o *ManagerOptions) { o.MinChain = 4 }, "minimum chain of 4, want 1 to 3 (replicas + 1)"},
		{"a lease in the past", func(o *ManagerOptions) { o.Reads, o.Lease = ReadLease, -1 }, "lease of -1ns, want 1ms to 1m0s"},
		{"no lease is no lease", func(o *ManagerOptions) { o.Lease = -1 }, ""},
		{"spares below zero", func(o *ManagerOptions) { o.Spares = -1 }, "-1 spares to be held back, want 0 to 4096"},
		{"probes that never end in time", func(o *ManagerOptions) { o.ProbeTimeout = -1 }, "ProbeTimeout of -1ns, want more than 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := ManagerOptions{Replicas: 2}
			c.set(&o)
			err := o.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			o.Self.ID, o.Cluster = 1, 1
			_, err = NewManager(o, Empty{})
			require.ErrorContains(t, err, c.want, "nor can such a manager be made")
		})
	}
	_, err := NewStorage(StorageOptions{Self: Peer{ID: 1}, HeartbeatInterval: -1}, Empty{})
	require.ErrorContains(t, err, "HeartbeatInterval of -1ns, want more than 0")
	_, err = NewStorage(StorageOptions{Self: Peer{ID: 1}, PendingMax: 1}, Empty{})
	require.ErrorContains(t, err, "pending limits 1 entries", "with one, a session that makes room for another would exceed it")
	_, err = NewClient(ClientOptions{Self: Peer{ID: 1}, BackoffMin: -1})
	require.ErrorContains(t, err, "BackoffMin of -1ns, want more than 0")
}
