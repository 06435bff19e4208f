package schedule

import "time"

const (
	// LivenessBound is how long after the end of all faults every operation may
	// take, in virtual time, on one site's network: see Shape.LivenessBound.
	LivenessBound = 10 * time.Second
	// nearTrip is the longest round trip on one site's network. On a longer one all
	// that takes round trips takes longer, so each of the limits on virtual time
	// grows by so many round trips as are said at it for what is beyond.
	nearTrip      = 20 * time.Millisecond
	livenessTrips = 100
	settleTrips   = 10
	returnTrips   = 10
	// SettleMax is how long after the last action the faults last, unless every
	// operation has ended before: what was called last shall feel them.
	SettleMax = 500 * time.Millisecond
	// returnTime is what nodes that start again at the heal get to register, before
	// the cluster is probed: a put that finds too few nodes is refused at once.
	returnTime = time.Second
	// CalmTimeout is how long each call of a calm schedule may take on one site's
	// network, behind whatever large values are under way: see Shape.CalmTimeout.
	CalmTimeout = 8 * time.Second
	// eventsMax and eventsMaxRate bound a run whose nodes never come to rest: so many
	// events, and so many more for each second of the schedule. A busy cluster makes
	// a tenth of that; and a livelock that took much longer to notice could not be
	// shrunk.
	eventsMax     = 1_000_000
	eventsMaxRate = 10_000
)

// BeyondNear is what a round trip takes at most, beyond one on one site's network.
func (sh *Shape) BeyondNear() time.Duration { return max(0, 2*sh.LatencyMax-nearTrip) }

// LivenessBound is how long after the end of all faults every operation may take.
func (sh *Shape) LivenessBound() time.Duration {
	return LivenessBound + livenessTrips*sh.BeyondNear()
}

func (sh *Shape) SettleMax() time.Duration { return SettleMax + settleTrips*sh.BeyondNear() }

func (sh *Shape) ReturnTime() time.Duration { return returnTime + returnTrips*sh.BeyondNear() }

// FinalMax is how long the probe for liveness may take: a put and a get after
// it, each of which the client ends itself after LivenessBound.
func (sh *Shape) FinalMax() time.Duration { return 2*sh.LivenessBound() + time.Second }

// CalmTimeout is how long each call of a calm schedule may take: one in which
// nothing is beyond the bounds within which a node may be removed.
func (sh *Shape) CalmTimeout() time.Duration {
	return CalmTimeout + livenessTrips*sh.BeyondNear()
}

// EventsMax is how many events a run may have: one of more is a livelock.
func (s *Schedule) EventsMax() int {
	most := eventsMax
	if n := len(s.Actions); n > 0 {
		most += eventsMaxRate * int(s.Actions[n-1].At/time.Second)
	}
	return most
}
