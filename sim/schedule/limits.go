package schedule

import "time"

const (
	// LivenessBound is how long after the end of all faults every operation may
	// take, in virtual time, on one site's network: see Shape.LivenessBound.
	LivenessBound = 10 * time.Second
	// nearTrip is the longest round trip on one site's network. On a wider network all
	// that takes round trips takes longer. So each limit on virtual time grows by
	// BeyondNear, once for each of the round trips that stand here for it.
	nearTrip      = 20 * time.Millisecond
	livenessTrips = 100
	settleTrips   = 10
	returnTrips   = 10
	// SettleMax is how long the faults go on after the last action, so that the last
	// calls feel them. They end sooner when every operation has ended. See
	// Shape.SettleMax.
	SettleMax = 500 * time.Millisecond
	// returnTime is how long nodes that start again when the faults end have to
	// register, before a put probes the cluster: one that finds too few nodes is refused
	// at once. See Shape.ReturnTime.
	returnTime = time.Second
	// electionTime is how long several managers may take to elect one, at most.
	electionTime  = 500 * time.Millisecond
	electionTrips = 12
	// FoundingTime is how much longer all of that takes where several managers have not founded
	// their cluster by then: a promise to a founder that is no more lapses after 2 s, and who
	// has to hear of that, and begins anew, asks every 2 s.
	FoundingTime = 5 * time.Second
	// CalmTimeout is how long each call of a calm schedule may take on one site's
	// network, behind whatever large values are under way: see Shape.CalmTimeout.
	CalmTimeout = 8 * time.Second
	// eventsMax and eventsMaxRate bound a run whose nodes never come to rest: so many
	// events, and so many more for each second of the schedule. A busy cluster makes
	// a tenth of that. A higher bound would notice a livelock too late for shrinking,
	// which runs it again and again.
	eventsMax     = 1_000_000
	eventsMaxRate = 10_000
)

// BeyondNear is by how much the longest round trip of this network exceeds the longest
// one on one site's network.
func (sh *Shape) BeyondNear() time.Duration { return max(0, 2*sh.LatencyMax-nearTrip) }

// LivenessBound is how long after the end of all faults every operation may take.
func (sh *Shape) LivenessBound() time.Duration {
	return LivenessBound + livenessTrips*sh.BeyondNear()
}

// SettleMax is how long the faults go on after the last action, at most.
func (sh *Shape) SettleMax() time.Duration { return SettleMax + settleTrips*sh.BeyondNear() }

// ReturnTime is how long nodes that start again when the faults end have to register.
// Several managers have to elect one of them before.
func (sh *Shape) ReturnTime() time.Duration {
	t := returnTime + returnTrips*sh.BeyondNear()
	if sh.Managers > 1 {
		t += electionTime + electionTrips*sh.BeyondNear()
	}
	return t
}

// FinalMax is how long the probe for liveness may take: a put, then a get. The client
// ends each of them itself after LivenessBound.
func (sh *Shape) FinalMax() time.Duration { return 2*sh.LivenessBound() + time.Second }

// CalmTimeout is how long each call of a calm schedule may take. A schedule is calm
// when all of its trouble is within the bounds (package bounds).
func (sh *Shape) CalmTimeout() time.Duration {
	return CalmTimeout + livenessTrips*sh.BeyondNear()
}

// EventsMax is how many events a run may have. A run with more is a livelock.
func (s *Schedule) EventsMax() int {
	most := eventsMax
	if n := len(s.Actions); n > 0 {
		most += eventsMaxRate * int(s.Actions[n-1].At/time.Second)
	}
	return most
}
