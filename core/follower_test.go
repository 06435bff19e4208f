package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// followed is a follower that was sent rounds 1 to asked and the log up to next-1.
func followed(asked uint64, matched, next Seq) follower {
	f := newFollower(peerOf("n2"), matched+1, 0)
	f.acked, f.matched, f.next, f.asked = 1, matched, next, asked
	return f
}

func TestAFollowerTakesAcks(t *testing.T) {
	for name, c := range map[string]struct {
		ack      Ack
		progress bool
		matched  Seq
		next     Seq
	}{
		"of more":                            {Ack{Epoch: 1, Round: 3, Matched: 7}, true, 7, 11},
		"of a later round only":              {Ack{Epoch: 1, Round: 4, Matched: 5}, true, 5, 11},
		"of a later epoch only":              {Ack{Epoch: 2, Round: 3, Matched: 5}, true, 5, 11},
		"that came before":                   {Ack{Epoch: 1, Round: 3, Matched: 5}, false, 5, 11},
		"that is late, and of less":          {Ack{Epoch: 1, Round: 2, Matched: 4}, false, 5, 11},
		"of more than was sent since a Nack": {Ack{Epoch: 1, Round: 5, Matched: 12}, true, 12, 13},
	} {
		t.Run(name, func(t *testing.T) {
			f := followed(5, 5, 11)
			f.round = 3
			require.Equal(t, c.progress, f.take(&c.ack))
			require.Equal(t, c.matched, f.matched)
			require.Equal(t, c.next, f.next)
			require.Greater(t, f.from, f.matched, "what is known to match is not sent again")
		})
	}
}

// A Nack takes back what is sent, but to no place before what is known to match, or
// was trimmed.
func TestANackTakesAFollowerBack(t *testing.T) {
	for name, c := range map[string]struct{ last, trimmed, next Seq }{
		"to where it says":             {8, 0, 9},
		"not before what it has acked": {2, 0, 6},
		"not before what was trimmed":  {2, 6, 7},
		"to the end of what may match": {10, 0, 11},
	} {
		t.Run(name, func(t *testing.T) {
			f := followed(5, 5, 20)
			f.takeBack(c.last, c.trimmed, 9)
			require.Equal(t, c.next, f.next)
			require.Equal(t, c.next, f.from)
			require.EqualValues(t, 9, f.back)
		})
	}
}

// What a follower owes is sent again at intervals that double, up to a bound. It is
// reported when it has made no progress for long enough, and then again and again.
func TestAFollowerThatMakesNoProgress(t *testing.T) {
	const resend, report = 50 * time.Millisecond, 300 * time.Millisecond
	f := followed(1, 5, 9)
	f.trips.observe(time.Millisecond)
	f.expect(0, resend, report)
	var sent, reported []time.Duration
	for now := Time(0); now <= Time(time.Second); now = now.After(10 * time.Millisecond) {
		if now >= f.resendAt && f.overdue(now, 0) {
			f.again(now, 4*resend)
			sent = append(sent, now.Since(0))
			require.Equal(t, f.from, f.next, "all of it")
		}
		if f.stuck(now, report, 0) {
			reported = append(reported, now.Since(0))
		}
	}
	ms := time.Millisecond
	require.Equal(t, []time.Duration{50 * ms, 150 * ms, 350 * ms, 550 * ms, 750 * ms, 950 * ms}, sent)
	require.Equal(t, []time.Duration{300 * ms, 600 * ms, 900 * ms}, reported)

	f.rest(Time(2 * time.Second))
	require.False(t, f.stuck(Time(time.Hour), report, 0), "it owes nothing")
}

// A follower that a lot is under way to, or that is far away, is given longer before it is
// sent the same again or is reported; but not for ever.
func TestAFollowerIsGivenTheTimeThatTheNetworkTakes(t *testing.T) {
	const resend, report = 50 * time.Millisecond, 300 * time.Millisecond
	after := func(trip time.Duration, underWay int) time.Duration {
		f := followed(1, 5, 9)
		if trip > 0 {
			f.trips.observe(trip)
		}
		f.expect(0, resend, report)
		for now := Time(0); ; now = now.After(time.Millisecond) {
			if f.stuck(now, report, underWay) {
				return now.Since(0)
			}
		}
	}
	require.Equal(t, firstPatience, after(0, 0), "nothing is known of the way")
	require.Equal(t, report, after(time.Millisecond, 0))
	require.Equal(t, 3*300*time.Millisecond, after(300*time.Millisecond, 0), "the mean, and four times its deviation")
	require.Equal(t, report+transferTime(1<<20), after(time.Millisecond, 1<<20))
	require.Equal(t, progressMax, after(time.Millisecond, 1<<30))
}

// A learner is asked for nothing: no commit, no read, no lease and no reconciliation waits
// for it.
func TestALearnerIsNotRequired(t *testing.T) {
	behind := followed(1, 2, 3)
	behind.round, behind.lease = 1, 1
	level := followed(4, 9, 10)
	level.peer, level.round, level.lease, level.acked = peerOf("n3"), 4, 100, 2

	list := followers{behind, level}
	matched, round := list.agreed(9, 4)
	require.EqualValues(t, []uint64{2, 1, 2}, []uint64{uint64(matched), round, uint64(list.required())})
	require.False(t, list.reconciled(2, 9))
	require.False(t, list.promised(50))

	list[0].learner = true
	matched, round = list.agreed(9, 4)
	require.EqualValues(t, []uint64{9, 4, 1}, []uint64{uint64(matched), round, uint64(list.required())})
	require.True(t, list.reconciled(2, 9))
	require.True(t, list.promised(50))
	require.False(t, list.promised(100), "a promise ends")

	matched, round = followers(nil).agreed(9, 4)
	require.EqualValues(t, []uint64{9, 4}, []uint64{uint64(matched), round}, "a lone primary needs nobody")
	require.Equal(t, "n3", list.without(behind.peer.ID).of(level.peer.ID).peer.Addr)
	require.Nil(t, list.of(7))
}

// An ack that is missing is not zero: a new primary waits for it, also when it has nothing
// to send (rule R5).
func TestAMissingAckIsNotZero(t *testing.T) {
	list := followers{newFollower(peerOf("n2"), 1, 0)}
	require.False(t, list.reconciled(1, 0))
	list[0].take(&Ack{Epoch: 1})
	require.True(t, list.reconciled(1, 0))
	require.False(t, list.reconciled(2, 0), "an ack of an earlier epoch")
	require.False(t, list.reconciled(1, 1), "it lacks what was inherited")
}
