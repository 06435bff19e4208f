package core

import "time"

// How long to wait for an answer is learnt from the answers that came, as TCP does it
// (RFC 6298). The wait lies between a floor, which the caller gives, and a ceiling. The
// floor of a primary's report (AckTimeout) lies above TCP's smallest retransmission
// time-out, so that one lost packet is no death.
const (
	// patienceMax is the most that an answer over a connection in use is waited for.
	patienceMax = 2 * time.Second
	// firstPatience is how long to wait for a first answer, when nothing is known of the
	// round trips: three of them to another continent. Setting up the connection takes
	// two, and the answer one.
	firstPatience = 1500 * time.Millisecond
	// slowRate is the rate, in bytes a second, at which what is under way counts as
	// moving: half of 100 Mbit/s.
	slowRate = 6 << 20
)

// roundTrips is what was observed of the round trips on one way. The zero value
// has observed none.
type roundTrips struct {
	mean      time.Duration
	deviation time.Duration // mean, from the mean
	shortest  time.Duration // lately: how far away the other is, however much it has to do
	longest   time.Duration // lately: what has not been a death
}

func (r *roundTrips) known() bool { return r.mean > 0 }

// observe takes in how long an answer took. After a late answer, as when a packet was
// lost, the waits are longer for a while.
func (r *roundTrips) observe(took time.Duration) {
	took = min(max(took, 1), patienceMax)
	if !r.known() {
		r.mean, r.deviation, r.shortest, r.longest = took, took/2, took, took
		return
	}
	off := took - r.mean
	r.mean += off / 8
	r.deviation += (max(off, -off) - r.deviation) / 4
	r.shortest = min(took, r.shortest+(r.mean-r.shortest)/64)
	r.longest = max(took, r.longest-(r.longest-r.mean)/64)
}

// patience is how long to wait for an answer: floor at least, patienceMax at
// most, and firstPatience where none was ever observed.
func (r *roundTrips) patience(floor time.Duration) time.Duration {
	if !r.known() {
		return max(floor, firstPatience)
	}
	return max(floor, min(r.mean+4*r.deviation, patienceMax))
}

// transferTime is how long so many bytes may take on a slow network, in whole
// milliseconds.
func transferTime(bytes int) time.Duration {
	return time.Duration(bytes/(slowRate/1000)) * time.Millisecond
}

// resending is when something is sent again that was not answered: at longer and longer
// intervals, and later the more is under way.
type resending struct {
	sentAt      Time // when it was last sent again, or answered in part
	resendAt    Time // when to look
	resendAfter time.Duration
}

// expect begins to wait for an answer, for so long at least.
func (r *resending) expect(now Time, least time.Duration) {
	r.sentAt, r.resendAfter = now, least
	r.resendAt = now.After(least)
}

// overdue tells whether it is to be sent again. If not, resendAt says when to look. Bytes
// that are under way, to whomever, add to the time.
func (r *resending) overdue(now Time, underWay int) bool {
	r.resendAt = r.sentAt.After(r.resendAfter + transferTime(underWay))
	return now >= r.resendAt
}

// again notes that it is sent again, and waits twice as long until the next time, up to a
// bound.
func (r *resending) again(now Time, most time.Duration) {
	r.sentAt = now
	r.resendAfter = min(2*r.resendAfter, max(r.resendAfter, most))
	r.resendAt = now.After(r.resendAfter)
}
