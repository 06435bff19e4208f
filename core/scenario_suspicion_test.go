package core

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client's reports always come just before the primary's, each while the inquiry of
// the other is under way. The primary's is not lost by that (manager 3).
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
// there is time to wait for the way between the two (manager 3). When it stalls
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

// The manager stalls while it waits for an answer, which comes meanwhile, but not first:
// no part of the stall is the other's silence (manager 3).
func TestAStallIsNobodysSilence(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1")
	r.pass(300 * time.Millisecond)
	r.pause(200 * time.Millisecond)
	r.ail(well, "n1")
	require.Equal(t, StatusOK, r.lookup("a", false).Status)
	r.answerAgain("n1")
	r.pass(time.Second)
	r.requireChain(1, "n1", "n2", "n3")
}

// What was proved before a long stall says nothing: who proved itself may have died since, and who
// was silent is about to be back (manager 3).
func TestALongStallEndsProofs(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1")
	r.say("c1", suspect(1, "n1"))
	r.pass(100 * time.Millisecond)
	r.ail(silent, "n2", "n3")
	r.ail(refusing, "n1") // it is being started again
	r.pause(time.Hour)
	r.pass(100 * time.Millisecond)
	r.requireChain(1, "n1", "n2", "n3")
	r.pass(10 * time.Second)
	r.requireChain(1, "n1", "n2", "n3")

	r.ail(well, "n2", "n3")
	r.pass(time.Second)
	r.requireChain(2, "n2", "n3")
}

// A primary that only the others reached ends: what they said of it before is void, and it
// goes at once (manager 3).
func TestWhoEndsIsNotVouchedForAnyMore(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1")
	r.actors["n1"].reachable = true
	r.pass(500 * time.Millisecond)
	r.requireChain(1, "n1", "n2", "n3")
	r.ail(refusing, "n1")
	r.actors["n1"].reachable = false
	r.pass(60 * time.Millisecond)
	r.requireChain(2, "n2", "n3")
}

// The question for proof is lost, with a connection: it is put again, and who answers then
// has proved itself in time (manager 3).
func TestAQuestionThatWasLostIsPutAgain(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1")
	r.say("c1", suspect(1, "n1"))
	r.pass(150 * time.Millisecond)
	r.ail(well, "n1")
	r.pass(3 * time.Second)
	r.requireChain(1, "n1", "n2", "n3")
}

// When most members are silent at once, it is rather the manager's own network, though
// one of each group answers: silence counts for less then (manager 3).
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
	n3 := r.actors["n3"]
	old := n3.peer
	r.move(n3, "n9")
	delete(r.actors, "n3")
	r.place("a")
	r.requireChain(1, "n1", "n2", "n9")
	r.trip = 20 * time.Millisecond
	for range 20 {
		r.say("c1", &Suspect{Group: 1, Epoch: 1, Node: n3.peer.ID})
		r.stepRaw(Envelope{From: r.self, To: r.self, Body: &PeerDown{Peer: old, Refused: true}})
		r.stepRaw(Envelope{Cluster: rigCluster, From: Peer{ID: 99, Addr: "n3"}, To: r.self, Body: &Refused{Reason: RefusedOtherNode, Wanted: old.ID, What: KindPing}})
		r.serve()
		r.pass(50 * time.Millisecond)
	}
	r.requireChain(1, "n1", "n2", "n9")
}

// A member is so far away that each of its acks takes 400 ms. Its primary learns that, and
// waits; but when no more come, it says so.
func TestAPrimaryLearnsHowFarAwayAMemberIs(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	write := func(i uint64) {
		n.step("c1", put(i+1, 1, i, "x", "a"))
		n.tick(200 * time.Millisecond)
		n.tick(200 * time.Millisecond)
	}
	for i := uint64(1); i <= 10; i++ {
		write(i)
		n.answer("n2")
	}
	sent[*Suspect](n, "m")
	for i := uint64(11); i <= 20; i++ {
		write(i)
		n.answer("n2")
	}
	require.Empty(t, sent[*Suspect](n, "m"))
	write(21)
	n.tick(2 * time.Second)
	require.NotEmpty(t, sent[*Suspect](n, "m"))
}

// Two members take in 4 MiB each, which at half of 100 Mbit/s is on its way for 1.3 s.
// That is no silence.
func TestAPrimaryWaitsForBigValues(t *testing.T) {
	n := serving(t, config(1, "n1", "n2", "n3"))
	big := strings.Repeat("x", 1<<20)
	for i := uint64(1); i <= 4; i++ {
		n.step("c1", put(i+1, 1, i, "x", big))
	}
	n.tick(700 * time.Millisecond)
	n.tick(700 * time.Millisecond)
	require.Empty(t, sent[*Suspect](n, "m"))
	n.tick(300 * time.Millisecond)
	require.NotEmpty(t, sent[*Suspect](n, "m"))
}
