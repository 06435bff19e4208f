package main

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// The tests of this file run real processes on real sockets and end them with
// SIGKILL, in the manner of the tests of the public GTStore course.

func TestOneNode(t *testing.T) {
	c := startCluster(t, 1, "--replicas", "0")
	first := c.put("key1", "value1")
	require.Equal(t, "value1", c.get("key1"))
	second := c.put("key1", "value2")
	require.Equal(t, "value2", c.get("key1"))
	require.Greater(t, second.Version, first.Version)
}

func TestKeysAreSpreadOverTheGroups(t *testing.T) {
	const keys = 60
	c := startCluster(t, 7, "--replicas", "2")
	for i := range keys {
		c.put(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i))
	}
	for i := range keys {
		require.Equal(t, fmt.Sprintf("value%d", i), c.get(fmt.Sprintf("key%d", i)))
	}
	require.Eventually(t, func() bool { return c.status().Keys == keys }, patience, time.Millisecond, "the primaries have counted them")
	s := c.status()
	require.Len(t, s.Groups, 2, "seven nodes are two groups of three and a spare")
	for _, g := range s.Groups {
		require.EqualValues(t, keys/2, g.Keys, "round robin is even")
		require.Len(t, g.Chain, 3)
		require.Equal(t, core.GroupOK, g.State)
	}
}

// Three nodes, two replicas: the primary is killed under load. Everything is
// still there, and the group goes on.
func TestThePrimaryIsKilled(t *testing.T) {
	const keys = 20
	c := startCluster(t, 3, "--replicas", "2")
	for i := range keys {
		c.put(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i))
	}
	l := c.startLoad(6, "a", "b", "c", "d")
	for round := range 2 {
		l.grow(300)
		epoch := c.status().Groups[0].Epoch
		at := c.chain(1)[0].kill()
		t.Logf("kill %d: first write acknowledged %v after it", round+1, l.firstWriteAfter(at, epoch, 1).Round(100*time.Microsecond))
	}
	l.grow(300)
	l.stop()
	for i := range keys {
		require.Equal(t, fmt.Sprintf("value%d", i), c.get(fmt.Sprintf("key%d", i)))
	}
	c.put("key0", "after")
	require.Equal(t, "after", c.get("key0"))
	require.Len(t, c.status().Groups[0].Chain, 1)
}

func TestTwoMembersOfAGroupAreKilled(t *testing.T) {
	const keys = 20
	c := startCluster(t, 7, "--replicas", "3")
	for i := range keys {
		c.put(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i))
	}
	l := c.startLoad(6, "a", "b", "c", "d")
	for _, victim := range []int{0, 1} { // a primary, then a replica
		l.grow(300)
		epoch := c.status().Groups[0].Epoch
		at := c.chain(1)[victim].kill()
		t.Logf("killed member %d: first write in the next epoch after %v", victim, l.firstWriteAfter(at, epoch, 1).Round(100*time.Microsecond))
	}
	l.grow(300)
	l.stop()
	for i := range keys {
		require.Equal(t, fmt.Sprintf("value%d", i), c.get(fmt.Sprintf("key%d", i)))
	}
	c.eventually(func() bool { return len(c.status().Groups[0].Chain) == 4 }, "spares take the places of the dead")
}

// killGroup ends all of group 1 and returns a key of it and one of group 2.
func killGroup(t *testing.T, c *cluster) (lost, kept string) {
	t.Helper()
	lost, kept = "key1", "key2"
	require.EqualValues(t, 1, c.put(lost, "value1").Group)
	require.EqualValues(t, 2, c.put(kept, "value2").Group)
	for _, p := range c.chain(1) {
		p.kill()
	}
	return lost, kept
}

func TestAWholeGroupIsKilledAndTheManagerHalts(t *testing.T) {
	c := startCluster(t, 6, "--replicas", "2", "--lost-after", "500ms")
	lost, kept := killGroup(t, c)
	begin := time.Now()
	err := within(func(ctx context.Context) error {
		_, err := c.client.Get(ctx, lost)
		return err
	})
	require.ErrorIs(t, err, netrpc.ErrGroupLost)
	t.Logf("the client is told %v after the kill: %v", time.Since(begin).Round(time.Millisecond), err)
	require.Equal(t, 8, c.manager.exitCode())
	require.Contains(t, c.manager.stderr.String(), "fatal: no copy of a group is left: group 1")
	require.Equal(t, "value2", c.get(kept), "a group that works goes on being read while the manager is away")
}

func TestAWholeGroupIsKilledAndTheOthersGoOn(t *testing.T) {
	c := startCluster(t, 6, "--replicas", "2", "--lost-after", "500ms", "--on-group-loss", "continue")
	lost, kept := killGroup(t, c)
	for _, op := range []func(ctx context.Context) error{
		func(ctx context.Context) error { _, err := c.client.Get(ctx, lost); return err },
		func(ctx context.Context) error { _, err := c.client.Put(ctx, lost, nil); return err },
	} {
		require.ErrorIs(t, within(op), netrpc.ErrGroupLost)
	}
	require.Equal(t, "value2", c.get(kept))
	c.put(kept, "value3")
	require.EqualValues(t, 2, c.put("a new key", "").Group, "the round robin leaves the lost group out")
	require.EqualValues(t, 2, c.put("another", "").Group)
	s := c.status()
	require.Equal(t, core.GroupLost, s.Groups[0].State)
	require.Equal(t, core.GroupOK, s.Groups[1].State)
	select {
	case <-c.manager.exited:
		t.Fatal("the manager ended")
	default:
	}
}

// A primary is stopped, a successor takes over, and the stopped one goes on
// believing that it is the primary. Whoever asks it must not be answered from
// the past.
func TestAStoppedPrimaryServesNothingStale(t *testing.T) {
	for _, reads := range []string{"confirm", "lease"} {
		t.Run(reads, func(t *testing.T) {
			c := startCluster(t, 3, "--replicas", "2", "--reads", reads)
			c.put("key", "old")
			behind := c.dial() // knows the first primary, and nothing newer
			get := func(ctx context.Context) error {
				v, err := behind.Get(ctx, "key")
				if err == nil {
					require.NotEqual(t, "old", string(v.Data), "a stale read")
				}
				return err
			}
			_ = within(func(ctx context.Context) error { _, err := behind.Get(ctx, "key"); return err })

			l := c.startLoad(6, "a", "b", "c")
			l.grow(300)
			epoch := c.status().Groups[0].Epoch
			primary := c.chain(1)[0]
			at := time.Now()
			primary.signal(syscall.SIGSTOP)
			t.Logf("first write acknowledged %v after SIGSTOP", l.firstWriteAfter(at, epoch, 1).Round(100*time.Microsecond))
			c.put("key", "new")
			primary.signal(syscall.SIGCONT)
			l.grow(100)
			for range 50 {
				require.NoError(t, within(get))
			}
			l.stop()
			require.Equal(t, "new", c.get("key"))
			require.NotContains(t, c.chain(1), primary)
			c.eventually(func() bool {
				for _, n := range c.status().Nodes {
					if n.Addr == primary.addr {
						return n.State == core.NodeUp && n.Group == 0
					}
				}
				return false
			}, "the deposed primary is a spare again")
		})
	}
}
