package check

import (
	"slices"
	"time"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim"
)

// What an election takes at most where nothing is wrong with a majority of the managers.
//
// Who follows waits for one time-out of silence, and for up to one more before it asks for votes.
// It gets them at once, unless another one asks at the same time and each refuses the other. Then
// they ask again after one to two time-outs, each at a time that it draws. That happens in one of a
// hundred elections, and so four times in a row in none that a search will see. Votes are
// asked for in two round trips, and the entry with which a term begins is committed in one. Where a
// member lacks more than that entry, it takes some more until it has it; and a connection may have to be
// made. What was sent, or written, before the faults ended may come late within the bounds.
const (
	electionTimeouts = 2 + 2*electionsSplit
	electionsSplit   = 3
	electionTrips    = 10
	electionSyncs    = 5
	electionLate     = 400 * time.Millisecond
)

// leaderLook is how often it is looked whether there is a leader.
const leaderLook = 25 * time.Millisecond

// election is what is known of how long there has been no leader.
type election struct {
	since   time.Duration // when there was one last, or no majority was able to elect one
	timeout time.Duration // the longest that a member of that majority has counted since
	looked  time.Duration

	leader  *sim.Host     // of a majority with nothing wrong; nil where there is none
	leading time.Duration // since when it leads
}

// checkLeader: where nothing is wrong with a majority of the managers, and the others are down or cut
// off, one of that majority leads within the bound above.
func (c *checker) checkLeader(w *sim.World, events []core.Event) {
	e := &c.council.election
	if happened(events, core.EventLeads) {
		e.since, e.timeout, e.looked = w.Now(), 0, w.Now()
	}
	if happened(events, core.EventYields) { // nodes ask another one, and none of them this one: see onManagerEvent
		e.leader = nil
	}
	if w.Now()-e.looked < leaderLook {
		return
	}
	e.looked = w.Now()
	able := c.able(w)
	free, ok := w.FreeSince(able)
	c.checkReign(w, able, free, ok)
	if !ok || len(able) == 0 || slices.ContainsFunc(able, func(h *sim.Host) bool { return h.Manager() != nil && h.Manager().Leads() }) {
		e.since, e.timeout = w.Now(), 0
		return
	}
	if free > e.since {
		e.since, e.timeout = free, 0
	}
	for _, h := range able {
		e.timeout = max(e.timeout, h.Node().(*quorum.Manager).ElectionTimeout())
	}
	if took, most := w.Now()-e.since, electionBound(w, e.timeout); took > most {
		w.Fail("leaderless", "no manager leads, though nothing is wrong with %d of %d managers since %v, and one is to lead within %v", len(able), len(c.council.members), e.since, most)
	}
}

// checkReign: where nothing is wrong with a majority of the managers, and the others are down or cut off,
// the one of them that leads goes on leading. Who comes back, or was cut off, deposes nobody. Free is
// since when nothing is wrong with these hosts, if ok. The leader may let another one lead that nodes
// ask, where it reaches none.
func (c *checker) checkReign(w *sim.World, able []*sim.Host, free time.Duration, ok bool) {
	e := &c.council.election
	leads := func(h *sim.Host) bool { return h.Manager() != nil && h.Manager().Leads() }
	if !ok || len(able) == 0 {
		e.leader = nil
		return
	}
	if e.leader != nil && slices.Contains(able, e.leader) && leads(e.leader) {
		return
	}
	if h := e.leader; h != nil && slices.Contains(able, h) && w.Now()-max(free, e.leading) > electionBound(w, h.Node().(*quorum.Manager).ElectionTimeout())/2 {
		w.Fail("deposed", "%s leads no more, though it led since %v, and nothing is wrong with it and %d of %d managers since %v", h.Name(), e.leading, len(able), len(c.council.members), free)
	}
	e.leader, e.leading = nil, w.Now()
	if i := slices.IndexFunc(able, leads); i >= 0 {
		e.leader = able[i]
	}
}

// electionBound is how long an election takes at most, with that time-out.
func electionBound(w *sim.World, timeout time.Duration) time.Duration {
	sh := &w.Schedule().Shape
	trips := time.Duration(electionTrips + 2*sh.Connect)
	return electionTimeouts*timeout + 2*trips*sh.LatencyMax + electionSyncs*sh.SyncLatency + electionLate
}

// able returns the hosts of a majority of the members, with whom nothing is wrong, and whom no other
// member can keep from electing a leader: those are down, or stall, or are cut off. None where that
// is not so, or where nobody relies on the cluster yet.
func (c *checker) able(w *sim.World) (able []*sim.Host) {
	a := &c.council
	if a.cluster == 0 || a.over {
		return nil
	}
	var others []*sim.Host
	for _, h := range w.Managers() {
		switch {
		case !h.Up() || h.Paused() || h.Stopped():
		case !slices.ContainsFunc(a.members, func(p core.Peer) bool { return p.ID == h.Peer().ID }): // it has no vote
		case w.Free(h):
			able = append(able, h)
		default:
			others = append(others, h)
		}
	}
	if alone := slices.IndexFunc(able, func(h *sim.Host) bool { return len(able) > 1 && w.CutOff(h, able) }); alone >= 0 {
		others, able = append(others, able[alone]), slices.Delete(able, alone, alone+1)
	}
	if 2*len(able) <= len(a.members) || slices.ContainsFunc(others, func(h *sim.Host) bool { return !w.CutOff(h, able) }) {
		return nil
	}
	return able
}
