package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of gets: what a primary may show, and how it makes sure that it
// still is the primary.

// together gives the node several messages that share an Output.
func (n *rig) together(from string, ms ...Message) {
	n.t.Helper()
	for _, m := range ms {
		n.node.Step(n.now, Envelope{Cluster: rigCluster, From: peerOf(from), To: n.self, Body: m}, &n.out)
	}
	n.finish()
	n.run()
}

// written is serving, with x=a committed at seq 2.
func written(t *testing.T, c *Config, options ...func(*StorageOptions)) *rig {
	t.Helper()
	n := serving(t, c, options...)
	n.step("c1", put(2, 1, 1, "x", "a"))
	for _, p := range c.Chain[1:] {
		n.answer(p.Addr)
	}
	same(t, &Reply{Group: 1, Req: 2, Status: StatusOK, Epoch: c.Epoch, Version: 2}, only[*Reply](n, "c1"))
	n.past = nil
	return n
}

// Rule R8: a primary that was cut off does not know that a successor has taken
// over and acknowledged writes. It answers a get only when every member that is
// still required has answered a round that began after the get came in.
func TestAStalePrimaryServesNoGet(t *testing.T) {
	n := written(t, config(1, "n1", "n2", "n3"))
	n.step("c2", get(1, "x"))
	n.answer("n3")
	n.tick(10 * time.Second)
	require.Empty(t, sent[*Reply](n, "c2"), "n2 is the primary of epoch 2 by now")

	current := config(2, "n2", "n3")
	n.step("n2", &Nack{Group: 1, Epoch: 2, Round: 4, Config: current})
	same(t, &Reply{Group: 1, Req: 1, Status: StatusNotPrimary, Epoch: 2, Config: current}, only[*Reply](n, "c2"))
	require.Empty(t, n.happened(EventRead))
	n.step("c2", get(2, "x"))
	same(t, &Reply{Group: 1, Req: 2, Status: StatusNotPrimary, Epoch: 2, Config: current}, only[*Reply](n, "c2"))
}

// Rule R8: an answer to a round that began before the get came in says nothing
// about the time since.
func TestAGetIsServedByALaterRoundOnly(t *testing.T) {
	n := written(t, config(1, "n1", "n2", "n3"))
	n.tick(50 * time.Millisecond) // a heartbeat, which is a round as well
	earlier := map[string]uint64{"n2": latest[*Replicate](n, "n2").Round, "n3": latest[*Replicate](n, "n3").Round}
	n.step("c2", get(1, "x"))
	for _, m := range []string{"n2", "n3"} {
		n.step(m, &Ack{Group: 1, Epoch: 1, Round: earlier[m], Matched: 2})
	}
	require.Empty(t, sent[*Reply](n, "c2"))
	n.answer("n2", "n3")
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 1, Version: 2, Value: "a"}, only[*Reply](n, "c2"))
}

// Rule R8: one round serves all the gets that wait for it, and a later round
// those of the earlier ones, in the order in which they came.
func TestOneRoundServesAllGetsThatWait(t *testing.T) {
	n := written(t, config(1, "n1", "n2", "n3"))
	n.together("c2", get(1, "x"), get(2, "y"), get(3, "x"))
	require.Len(t, sent[*Replicate](n, "n3"), 1)
	n.together("c2", get(4, "x"))
	require.Len(t, sent[*Replicate](n, "n2"), 2)
	first := only[*Replicate](n, "n3")

	for _, m := range []string{"n2", "n3"} {
		n.step(m, &Ack{Group: 1, Epoch: 1, Round: first.Round - 1, Matched: 2})
	}
	same(t, []*Reply{
		{Group: 1, Req: 1, Status: StatusOK, Epoch: 1, Version: 2, Value: "a"},
		{Group: 1, Req: 2, Status: StatusNotFound, Epoch: 1},
		{Group: 1, Req: 3, Status: StatusOK, Epoch: 1, Version: 2, Value: "a"},
	}, sent[*Reply](n, "c2"))

	n.together("c2", get(5, "x"))
	n.answer("n2", "n3")
	require.Len(t, sent[*Reply](n, "c2"), 2)
}

// Rule R8: the required set is fixed when the get arrives; a member that leaves
// is waited for no more, and the answers of those that stay still count.
func TestAGetDoesNotWaitForAMemberThatLeft(t *testing.T) {
	n := written(t, config(1, "n1", "n2", "n3"))
	n.step("c2", get(1, "x"))
	n.answer("n2")
	require.Empty(t, sent[*Reply](n, "c2"))
	n.step("m", config(2, "n1", "n2"))
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 2, Version: 2, Value: "a"}, only[*Reply](n, "c2"))

	n.step("c2", get(2, "x")) // one that arrives now needs a round of now
	require.Empty(t, sent[*Reply](n, "c2"))
	n.answer("n2")
	require.Len(t, sent[*Reply](n, "c2"), 1)
}

// Rule R8: only the commit point serves gets. What is behind it may be lost with
// this primary, and then the get would have seen a write that never was.
func TestAGetSeesNothingThatCanBeLost(t *testing.T) {
	n := written(t, config(1, "n1", "n2", "n3"))
	n.together("c1", put(3, 1, 2, "x", "b"), get(4, "x"), get(5, "y"), put(6, 1, 3, "y", "c"))
	r := latest[*Replicate](n, "n2")
	n.step("n3", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 4})
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 2}) // the round, but none of its entries yet
	same(t, []*Reply{
		{Group: 1, Req: 4, Status: StatusOK, Epoch: 1, Version: 2, Value: "a"},
		{Group: 1, Req: 5, Status: StatusNotFound, Epoch: 1},
	}, sent[*Reply](n, "c1"))
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: r.Round, Matched: 4})
	same(t, []*Reply{
		{Group: 1, Req: 3, Status: StatusOK, Epoch: 1, Version: 3},
		{Group: 1, Req: 6, Status: StatusOK, Epoch: 1, Version: 4},
	}, sent[*Reply](n, "c1"))
}

// A restarted node has a log that goes on behind the commit point that it knows: of that
// nothing may be seen until it is known to be committed.
func TestARestartedNodeShowsNothingUncommitted(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), durable)
	n.crash(0)
	n.restart().registered()
	same(t, map[string]Versioned{"x": {"a", 2}}, n.values())
	n.step("m", config(2, "n2", "n3"))
	n.step("c2", get(1, "x"))
	same(t, map[string]Versioned{"x": {"a", 2}}, n.values())
	n.answer("n3")
	n.answer("n3")
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 2, Version: 3, Value: "b"}, only[*Reply](n, "c2"))
}

const (
	lease = 90 * time.Millisecond
	// Clocks that drift by as much as a tenth make the margin worth looking at:
	// 90 ms by the fastest clock are 110 ms by the slowest.
	granted = 110 * time.Millisecond
)

func drifting(o *StorageOptions) { o.DriftPPM = 100_000 }

// requireServesAt fails unless the node begins to serve just when d has passed.
func (n *rig) requireServesAt(d time.Duration) {
	n.t.Helper()
	require.False(n.t, n.view().Serving)
	n.tick(d - 1)
	require.False(n.t, n.view().Serving, "too early")
	n.tick(1)
	require.True(n.t, n.view().Serving, "too late")
}

// Rule R9: a lease counts from when the primary sent the round, however late the
// answer comes: the replica has counted since it got it, which was in between.
func TestALeaseCountsFromTheSending(t *testing.T) {
	n := written(t, leased(lease, 1, "n1", "n2", "n3"), drifting)
	n.step("c2", get(1, "x"))
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 1, Version: 2, Value: "a"}, only[*Reply](n, "c2"))
	require.Equal(t, true, n.happened(EventRead)[0].Effect, "nobody was asked")
	require.Empty(t, sent[*Replicate](n, "n2"))

	n.pause(lease)
	n.step("c1", put(3, 1, 2, "x", "b"))
	n.pause(40 * time.Millisecond) // the answers are on their way
	n.answer("n2", "n3")
	n.pause(lease - 40*time.Millisecond - 1)
	n.step("c2", get(2, "x"))
	require.Len(t, sent[*Reply](n, "c2"), 1)
	n.pause(1)
	n.step("c2", get(3, "x"))
	require.Empty(t, sent[*Reply](n, "c2"))
	n.answer("n2", "n3")
	require.Len(t, sent[*Reply](n, "c2"), 1, "without a lease it asks")
}

// Rule R9: the lease of every required member must live, not of most.
func TestEveryMembersLeaseMustLive(t *testing.T) {
	n := written(t, leased(lease, 1, "n1", "n2", "n3"), drifting)
	n.pause(lease)
	n.step("c1", put(3, 1, 2, "x", "b"))
	n.answer("n2")
	n.step("c2", get(1, "x"))
	require.Empty(t, sent[*Reply](n, "c2"))
	require.False(t, n.view().Alone)
}

// Rule R9: the replica keeps its promise for G ≥ L·(1+ρ)/(1−ρ) by its own clock,
// from when it received the round. With L alone a fast clock would let it take
// over while the slow clock of the primary still shows a living lease.
func TestAGrantOutlastsALeaseByTheDrift(t *testing.T) {
	for _, c := range []struct {
		lease time.Duration
		ppm   int64
		want  time.Duration
	}{
		{lease, 100_000, granted},
		{100 * time.Millisecond, 1000, 100_200_201}, // 100 200 200.2 ns, rounded up
		{time.Minute, 100_000, 73_333_333_334},
		{lease, 0, lease},
		{0, 1000, 0},
	} {
		require.Equal(t, c.want, grant(c.lease, c.ppm), "%v at %d ppm", c.lease, c.ppm)
	}

	n := heir(t, leased(lease, 1, "n1", "n2", "n3"), drifting)
	n.tick(10 * time.Millisecond)
	n.step("m", leased(lease, 2, "n2", "n3"))
	n.answer("n3")
	n.step("c2", get(1, "x"))
	n.requireServesAt(granted - 10*time.Millisecond)
	n.answer("n3")
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 2, Version: 3, Value: "b"}, only[*Reply](n, "c2"))
}

// Rule R9: a restarted node does not remember when it last granted a lease, so
// it assumes that this was just now, and the longest there ever was.
func TestALeasePromiseOutlivesARestart(t *testing.T) {
	for name, shorter := range map[string]*Config{
		"of the lease of now":             nil,
		"of a longer one, of before":      leased(lease/3, 2, "n1", "n2", "n3"),
		"of one when there are no leases": config(2, "n1", "n2", "n3"),
	} {
		t.Run(name, func(t *testing.T) {
			n := heir(t, leased(lease, 1, "n1", "n2", "n3"), durable, drifting)
			if shorter != nil {
				n.step("m", shorter)
			}
			n.crash(0)
			n.pause(5 * time.Millisecond)
			n.restart().registered()
			n.step("m", leased(lease, 3, "n2", "n3"))
			n.step("n3", &Nack{Group: 1, Epoch: 3, Round: 1, Last: 2})
			n.answer("n3")
			n.requireServesAt(granted)
		})
	}
}

// Rule R9: a grant is honoured whatever the read mode is now: the old primary
// may not have heard of the change.
func TestAGrantOutlivesAChangeOfTheMode(t *testing.T) {
	n := heir(t, leased(lease, 1, "n1", "n2", "n3"), drifting)
	n.tick(10 * time.Millisecond)
	n.step("m", config(2, "n1", "n2", "n3"))
	n.tick(10 * time.Millisecond)
	n.step("n1", &Replicate{Group: 1, Epoch: 2, Round: 5, Prev: EntryID{1, 3}, Commit: 2}) // grants nothing, takes nothing back
	n.tick(10 * time.Millisecond)
	n.step("m", config(3, "n2", "n3"))
	n.answer("n3")
	n.requireServesAt(granted - 30*time.Millisecond)
}

// A replica that has granted nothing makes nobody wait.
func TestAPromotionWithoutAGrantDoesNotWait(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), drifting)
	n.step("m", config(2, "n2", "n3"))
	n.answer("n3")
	require.True(t, n.view().Serving)
}

// Rule R9: the clock is read after a request is dequeued. A process that stalled
// with a get in its queue must not answer it by the time of before.
func TestNoGetAfterAPauseIsServedByAnOldLease(t *testing.T) {
	n := written(t, leased(lease, 1, "n1", "n2", "n3"))
	n.pause(10 * time.Second)
	n.step("c2", get(1, "x"))
	require.Empty(t, sent[*Reply](n, "c2"))
	require.Empty(t, n.happened(EventRead))
	n.step("n2", &Nack{Group: 1, Epoch: 2, Round: 4, Config: leased(lease, 2, "n2", "n3")})
	require.Equal(t, StatusNotPrimary, only[*Reply](n, "c2").Status)
}

// Rules R1 and R9: a primary whose epoch is not durable could forget it in a
// crash, grant a lease in the one before, and be in no place to read alone.
func TestALeaseCountsOnceTheEpochIsDurable(t *testing.T) {
	n := written(t, leased(lease, 1, "n1", "n2", "n3"), durable)
	n.held = true
	n.step("m", leased(lease, 2, "n1", "n2"))
	require.False(t, n.view().Alone)
	n.step("c2", get(1, "x"))
	n.sync()
	require.Empty(t, sent[*Reply](n, "c2"), "it asks")
	n.answer("n2")
	require.Len(t, sent[*Reply](n, "c2"), 1)
	n.step("c2", get(2, "x"))
	require.Len(t, sent[*Reply](n, "c2"), 1, "the lease of before lives on")
}
