package properties

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// What the scenarios of replication show beyond the invariants, to which TestTraces
// holds every trace.

func TestAStalePrimaryServesNoGet(t *testing.T) {
	p := play(t, "stale-primary-get")
	p.requireResult("c1 put x b", 1, 3, "n2", 2)
	get := p.requireResult("c2 get x", 2, 3, "n2", 2)
	require.Equal(t, "b", get.Result.Value)
	asked := false
	for _, r := range p.between(get.Called, get.Returned, core.KindOp) {
		asked = asked || r.From == "c2" && r.To == "n1"
	}
	require.True(t, asked, "c2 did ask the stale primary")
	for _, r := range p.between(get.Called, get.Returned, core.KindReply) {
		require.NotEqual(t, "n1", r.From, "which had nothing to say")
	}
}

// The primary dies with a put under way. Reconciliation gives the put to every member,
// and the retry, in the same session with the same number, finds its result.
func TestAPutInFlightSurvivesAPromotion(t *testing.T) {
	p := play(t, "put-in-flight-over-promotion")
	p.requireResult("c1 put x a", 1, 2, "n1", 1)
	put := p.requireResult("c1 put x b", 1, 3, "n2", 2)
	p.requireResult("c2 get x", 1, 3, "n2", 2)
	p.requireResult("c1 put x c", 1, 4, "n2", 2) // no second entry of x=b is in between

	var tries []*core.Op
	for _, r := range p.between(put.Called, put.Returned, core.KindOp) {
		tries = append(tries, r.Env.Body.(*core.Op))
	}
	require.GreaterOrEqual(t, len(tries), 2)
	for _, op := range tries {
		require.Equal(t, tries[0], op, "every try is the same operation")
	}
	require.Zero(t, p.Seen[core.EventTruncated])
}

// A replica is removed during a put. The primary goes on where it was, and the client
// notices nothing.
func TestAPutGoesOnWhenAReplicaIsRemoved(t *testing.T) {
	p := play(t, "reconfigured-under-a-put")
	put := p.requireResult("c1 put x b", 1, 3, "n1", 2)
	require.Less(t, put.Returned-put.Called, 20*time.Millisecond, "the death of n3 was heard of at once")
	require.Len(t, p.between(put.Called, put.Returned, core.KindOp), 1, "no retry")
	require.Empty(t, p.between(put.Called, put.Returned, core.KindLookup))
	// n2 acked x=b in epoch 1. Nobody asked it again before the answer left.
	for _, r := range p.between(put.Called, put.Returned, core.KindAck) {
		if a := r.Env.Body.(*core.Ack); r.From == "n2" && a.Epoch == 2 {
			require.GreaterOrEqual(t, r.At, put.Returned-time.Millisecond)
		}
	}
}

// Requests for mapped keys need no message to the manager, which stalls.
func TestRequestsForMappedKeysNeedNoManager(t *testing.T) {
	const from, to = 200 * time.Millisecond, 1500 * time.Millisecond
	p := play(t, "manager-away")
	done := 0
	for i := range p.Ops {
		if op := &p.Ops[i]; op.Called > from && op.Called < to {
			done++
			require.Equal(t, core.StatusOK, op.Result.Status, "%v", op)
			require.LessOrEqual(t, op.Returned-op.Called, 4*time.Millisecond, "%v: two round trips", op)
		}
	}
	require.Equal(t, 9, done)
	for _, r := range p.between(from+time.Millisecond, to, 0) {
		if r.To == "m" { // a node that has long heard nothing registers again
			require.Equal(t, core.KindRegister, core.KindOf(r.Env.Body), "%s to m at %v", r.From, r.At)
		}
	}
}

func TestADivergentSuffixIsCut(t *testing.T) {
	p := play(t, "divergent-suffix")
	p.requireResult("c2 put x c", 1, 5, "n2", 2)
	p.requireResult("c1 put x b", 1, 6, "n2", 2)
	require.Equal(t, "b", p.requireResult("c2 get x", 1, 6, "n2", 2).Result.Value)
	require.Equal(t, 1, p.Seen[core.EventTruncated], "n3 had x=b at seq 5")
}

func TestAPrimaryWaitsForASlowReplica(t *testing.T) {
	p := play(t, "slow-replica")
	put := p.result("c1 put x b", 1)
	require.Equal(t, core.StatusOK, put.Result.Status)
	require.Greater(t, put.Returned, 1200*time.Millisecond, "only the manager takes a member out")
	require.EqualValues(t, 2, put.Result.Epoch)
	suspects := 0
	for _, r := range p.between(put.Called, 1200*time.Millisecond, core.KindSuspect) {
		if r.From == "n1" {
			suspects++
		}
	}
	require.GreaterOrEqual(t, suspects, 3)
	for _, r := range p.between(put.Called, 1200*time.Millisecond, core.KindReply) {
		require.NotEqual(t, "n1", r.From)
	}
}

// n1 does not commit a put that slow n2 has not acked. When n2 is promoted, it lacks the
// put, and the retry there executes it.
func TestAPutSurvivesThePromotionOfASlowReplica(t *testing.T) {
	p := play(t, "promotion-of-a-slow-replica")
	put := p.requireResult("c1 put x b", 1, 3, "n2", 2)
	require.Greater(t, put.Returned, time.Second, "only the manager says who is to be n1's successor")
	require.Equal(t, "b", p.requireResult("c2 get x", 1, 3, "n2", 2).Result.Value)
	require.Equal(t, 1, p.Seen[core.EventTruncated], "n3 had n1's x=b at seq 3")
}

func TestANewPrimaryWaitsOutALease(t *testing.T) {
	p := play(t, "lease-outlives-the-cut")
	for n := 2; n <= 3; n++ {
		get := p.requireResult("c2 get x", n, 2, "n1", 1)
		require.LessOrEqual(t, get.Returned-get.Called, 2*time.Millisecond, "nobody was asked")
	}
	configs := p.between(0, 2175*time.Millisecond, core.KindConfig)
	last := configs[len(configs)-1]
	require.EqualValues(t, 2, last.Env.Body.(*core.Config).Epoch)
	require.Less(t, last.At, p.result("c2 get x", 2).Called, "n2 was promoted already")
	put := p.requireResult("c3 put x b", 1, 4, "n2", 2)
	require.Greater(t, put.Returned, p.result("c2 get x", 3).Returned)
	require.Equal(t, "b", p.requireResult("c2 get x", 4, 4, "n2", 2).Result.Value)
}

func TestAStalledPrimaryServesNoGetByAnOldLease(t *testing.T) {
	p := play(t, "stalled-primary-with-a-lease")
	put := p.requireResult("c3 put x b", 1, 4, "n2", 2)
	get := p.requireResult("c2 get x", 2, 4, "n2", 2)
	require.Less(t, put.Returned, get.Called)
	require.Equal(t, "b", get.Result.Value)
	asked := p.between(get.Called, get.Called, core.KindOp)
	require.Len(t, asked, 1)
	require.Equal(t, "n1", asked[0].To, "it was in the queue of the primary that stalled")
}

func TestARestartedPrimaryServesInANewEpochOnly(t *testing.T) {
	p := play(t, "restarted-primary")
	p.requireResult("c1 put x a", 1, 2, "n1", 1)
	put := p.requireResult("c1 put x b", 1, 3, "n1", 2)
	p.requireResult("c2 get x", 1, 3, "n1", 2)
	for _, r := range p.between(203*time.Millisecond, put.Returned, core.KindReplicate) {
		require.EqualValues(t, 2, r.Env.Body.(*core.Replicate).Epoch)
	}
}

func TestAnUnsyncedEntryIsNotAcked(t *testing.T) {
	p := play(t, "unsynced-replica")
	put := p.requireResult("c1 put x b", 1, 3, "n1", 1)
	require.Greater(t, put.Returned, 213*time.Millisecond, "n2's first copy was not durable")
	for _, r := range p.between(put.Called, 213*time.Millisecond, core.KindAck) {
		if r.From == "n2" {
			require.EqualValues(t, 2, r.Env.Body.(*core.Ack).Matched)
		}
	}
}
