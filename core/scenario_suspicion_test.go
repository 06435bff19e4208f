package core

import (
	"testing"
	"time"
)

// A client's reports always come just before the primary's, each while the inquiry of
// the other is under way. The primary's is not lost by that (rule manager 3).
func TestReportsThatComeInStepAreHeard(t *testing.T) {
	r := newRealm(t, 3)
	r.trip = 20 * time.Millisecond
	r.place("a")
	r.pass(time.Second)
	r.actors["n1"].cut = []string{"n3"}
	for range 20 {
		epoch := r.epoch(1)
		r.say("c1", suspect(epoch, "n2"))
		r.say("n1", suspect(epoch, "n3"))
		r.pass(100 * time.Millisecond)
	}
	r.requireChain(2, "n2", "n3")
}

// A primary hears the manager no more, but the others reach it, so the group works and
// there is time to wait for the way between the two (rule manager 3). When it stalls
// after all, what the others said a moment ago does not count any more.
func TestWhoIsSilentToTheManagerAloneHasTime(t *testing.T) {
	const step = 50 * time.Millisecond
	for name, c := range map[string]struct{ reached, stays, goes time.Duration }{
		"reached all the time": {time.Hour, 2100 * time.Millisecond, 2400 * time.Millisecond},
		"reached for a while":  {900 * time.Millisecond, 900 * time.Millisecond, 1500 * time.Millisecond},
		"reached by nobody":    {0, 300 * time.Millisecond, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 3)
			r.place("a")
			r.pass(time.Second)
			r.ail(silent, "n1")
			for at := time.Duration(0); at < c.goes; at += step {
				if at == c.stays {
					r.requireChain(1, "n1", "n2", "n3")
				}
				r.actors["n1"].reachable = at < c.reached
				r.pass(step)
			}
			r.requireChain(2, "n2", "n3")
		})
	}
}

// When most members are silent at once, it is rather the manager's own network, though
// one of each group answers: silence counts for less then (rule manager 3).
func TestOfManyWhoAreSilentNobodyGoesAtOnce(t *testing.T) {
	r := newRealm(t, 6)
	r.place("a")
	r.place("b")
	r.pass(time.Second)
	ill := []string{"n1", "n3", "n4", "n6"}
	r.ail(silent, ill...)
	r.pass(900 * time.Millisecond)
	r.ail(well, ill...)
	r.pass(time.Second)
	r.requireChain(1, "n1", "n2", "n3")

	r.ail(silent, ill...)
	r.pass(3 * time.Second)
	r.requireChain(3, "n2")
}

// What refuses, or answers as another node, at the address at which a node was before it
// moved is no answer to the question for proof that is on its way to the new one.
func TestAnOldAddressRefusesInAnInquiry(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	n3 := r.actors["n3"]
	delete(r.actors, "n3")
	old := n3.peer
	n3.peer.Addr, n3.boot = "n9", 2
	r.actors["n9"] = n3
	r.present(n3)
	r.requireChain(2, "n1", "n2", "n9")
	r.trip = 20 * time.Millisecond
	for range 20 {
		r.say("c1", &Suspect{Group: 1, Epoch: 2, Node: n3.peer.ID})
		r.stepRaw(Envelope{From: r.self, To: r.self, Body: &PeerDown{Peer: old, Refused: true}})
		r.stepRaw(Envelope{Cluster: rigCluster, From: Peer{ID: 99, Addr: "n3"}, To: r.self, Body: &Refused{Reason: RefusedOtherNode, Wanted: old.ID, What: KindPing}})
		r.serve()
		r.pass(50 * time.Millisecond)
	}
	r.requireChain(2, "n1", "n2", "n9")
}
