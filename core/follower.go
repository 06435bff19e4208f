package core

import (
	"slices"
	"time"
)

// follower is what a primary knows of a node that follows it: of another member of its
// group, or of the joining node once that gets the log.
type follower struct {
	peer Peer
	// learner: the joining node, while nobody waits for it. All others are required: what
	// they have not acked is not committed (rule R3).
	learner bool

	// What it has said. An ack counts only in its epoch. Until the follower has acked in the
	// current one, acked is lower, and each Replicate brings the config along.
	acked   Epoch  // the highest epoch in which it acked
	matched Seq    // the prefix of the log that it holds durably
	round   uint64 // the highest round that it answered
	first   uint64 // rounds before this were sent before it had the snapshot, and count for nothing
	lease   Time   // it has promised to follow nobody else until then (rule R9)

	// What it was sent.
	asked uint64 // the last round
	from  Seq    // where to begin when something is sent again: what is before it matches, or may
	next  Seq    // where to go on
	back  uint64 // the round in which a Nack last took next back

	// What it owes. A follower that owes an answer is sent what it lacks again, at longer
	// and longer intervals, and is reported when it makes no progress.
	since    Time // when it last made progress while it owed something; Never when it owes nothing
	reportAt Time // Never before it has owed anything
	resending

	trips    roundTrips // of rounds
	question question   // of somebody who wants to know whether it still moves
}

// question is a Probe that is not answered yet; nobody asks if nonce is 0.
type question struct {
	nonce uint64
	by    Peer
}

// newFollower knows nothing of a follower yet: it is sent the log from there on, at once.
func newFollower(p Peer, from Seq, now Time) follower {
	return follower{peer: p, from: from, next: from, since: Never, resending: resending{resendAt: now}, reportAt: Never}
}

// take counts an ack of the current epoch, and returns whether it says anything new.
func (f *follower) take(a *Ack) (progress bool) {
	progress = a.Epoch > f.acked || a.Round > f.round || a.Matched > f.matched
	f.acked = a.Epoch
	f.round = max(f.round, a.Round)
	f.matched = max(f.matched, a.Matched)
	f.from = max(f.from, f.matched+1)
	f.next = max(f.next, f.from)
	return progress
}

// takeBack begins to send again behind last, the end of what may match. It never goes
// back before what is known to match, or was trimmed. The round notes when.
func (f *follower) takeBack(last, trimmed Seq, round uint64) {
	f.from = max(f.matched, trimmed, last) + 1
	f.next = f.from
	f.back = round
}

// holds tells whether the follower has answered all that it was asked, and holds the log
// up to there: then it owes nothing.
func (f *follower) holds(last Seq) bool { return f.round == f.asked && f.matched == last }

// expect starts the time in which a follower must make progress: the least that is given,
// and more where round trips are long.
func (f *follower) expect(now Time, resend, report time.Duration) {
	if f.trips.known() {
		resend = f.trips.patience(resend)
	}
	f.since = now
	f.resending.expect(now, resend)
	f.reportAt = now.After(f.trips.patience(report))
}

// rest notes that it owes nothing, and is next asked at that time.
func (f *follower) rest(until Time) { f.since, f.resendAt = Never, until }

// again has it sent all that it lacks once more.
func (f *follower) again(now Time, most time.Duration) {
	f.resending.again(now, most)
	f.next = f.from
}

// progressMax is the most that a primary waits for a follower's progress before it
// reports it, however much is under way.
const progressMax = patienceMax + time.Second

// stuck tells whether it is to be reported: it has made no progress for the least that is
// given, or longer where round trips are long or much is under way. The next report comes
// after the least again.
func (f *follower) stuck(now Time, least time.Duration, underWay int) bool {
	if f.since == Never || now < f.reportAt {
		return false
	}
	f.reportAt = f.since.After(min(f.trips.patience(least)+transferTime(underWay), progressMax))
	if now < f.reportAt {
		return false
	}
	f.reportAt = now.After(least)
	return true
}

// followers are all that a primary has, in the order of the chain, and the joining node
// behind them.
type followers []follower

// of returns the follower of that name, or nil.
func (list followers) of(id NodeID) *follower {
	for i := range list {
		if list[i].peer.ID == id {
			return &list[i]
		}
	}
	return nil
}

func (list followers) without(id NodeID) followers {
	return slices.DeleteFunc(list, func(f follower) bool { return f.peer.ID == id })
}

// required is how many are required.
func (list followers) required() int {
	n := 0
	for i := range list {
		if !list[i].learner {
			n++
		}
	}
	return n
}

// agreed returns the prefix of the log that all who are required and the primary hold
// durably, and the last round that all of them have answered (rules R4 and R8).
func (list followers) agreed(durable Seq, sent uint64) (matched Seq, round uint64) {
	matched, round = durable, sent
	for i := range list {
		if f := &list[i]; !f.learner {
			matched, round = min(matched, f.matched), min(round, f.round)
		}
	}
	return matched, round
}

// reconciled tells whether all who are required have acked in this epoch, and hold what its
// primary inherited (rule R5). One that has not acked may hold entries all the same: it must
// not be taken for an empty one.
func (list followers) reconciled(epoch Epoch, inherited Seq) bool {
	for i := range list {
		if f := &list[i]; !f.learner && (f.acked < epoch || f.matched < inherited) {
			return false
		}
	}
	return true
}

// promised tells whether all who are required have promised to follow nobody else until
// after now (rule R9).
func (list followers) promised(now Time) bool {
	for i := range list {
		if f := &list[i]; !f.learner && f.lease <= now {
			return false
		}
	}
	return true
}
