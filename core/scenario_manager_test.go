package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client that is cut off from a healthy primary says that the primary is dead.
// Its report is worth a probe and nothing more (manager 3).
func TestAClientsBrokenNetworkCondemnsNobody(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	index := r.manager().Index()

	r.say("c1", suspect(1, "n1"))
	require.Equal(t, everyMember, r.probed(), "the report is looked into")
	require.Len(t, r.happened(EventCleared), 1)
	for range 20 {
		r.say("c1", suspect(1, "n1"))
		r.pass(100 * time.Millisecond)
	}
	r.requireChain(1, "n1", "n2", "n3")
	require.Equal(t, index, r.manager().Index(), "nothing was even proposed")
}

// The same report about a primary that is dead ends with its removal at once,
// as soon as the next member has proved itself.
func TestAClientsReportOfADeadPrimaryPromotesTheNext(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1")
	r.pass(150 * time.Millisecond)
	r.say("c1", suspect(1, "n1"))
	r.pass(190 * time.Millisecond)
	r.requireChain(1, "n1", "n2", "n3")
	r.pass(20 * time.Millisecond)
	r.requireChain(2, "n2", "n3")
	for _, name := range []string{"n1", "n2", "n3"} {
		configs := received[*Config](r, name)
		require.Equal(t, r.manager().Config(1), configs[len(configs)-1], "%s is told, the removed one too", name)
	}
}

// A refused connection needs no time-out: the node has failed the probe that
// is under way.
func TestARefusedProbeCountsAsNoAnswer(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.ail(refusing, "n1")
	r.say("c1", suspect(1, "n1"))
	r.requireChain(2, "n2", "n3")
}

// Two reports of one death must not take two members out, nor one epoch the
// other's place: a removal is by compare-and-set on the epoch (manager 4).
// Here both are reported before the removal is durable.
func TestTwoReportsOfTheSameDeathAreAppliedOnce(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	index := r.manager().Index()
	r.held = true

	r.ail(refusing, "n3")
	r.say("n1", suspect(1, "n3"))
	r.say("n1", suspect(1, "n3"))
	r.say("c1", suspect(1, "n3"))
	r.pass(time.Second) // the disk is slow
	r.requireChain(1, "n1", "n2", "n3")
	r.flush()
	r.requireChain(2, "n1", "n2")
	require.Equal(t, index+1, r.manager().Index(), "one inquiry, one command")

	r.say("n1", suspect(1, "n3"))
	r.say("n1", suspect(1, "n2"))
	require.Empty(t, r.happened(EventSuspected))
	r.flush()
	r.requireChain(2, "n1", "n2")
}

// Two commands of one epoch under way: the primary restarts, which re-issues
// its chain, while a removal by the old epoch waits for the disk. The second to
// be applied finds the epoch gone and changes nothing (manager 4); the dead
// member is found out again in the new one.
func TestTwoCommandsInFlightOnlyTheFirstCounts(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.held = true
	n1 := r.actors["n1"]

	n1.boot = 2
	r.present(n1)
	r.ail(refusing, "n3")
	r.say("c1", suspect(1, "n3"))
	r.requireChain(1, "n1", "n2", "n3")
	r.flush()
	r.requireChain(2, "n1", "n2", "n3")

	r.held = false
	r.pass(time.Second)
	r.requireChain(3, "n1", "n2")
}

// The manager stalls longer than anyone may be silent. The silence is its own: its
// time stands still meanwhile, and it takes in what came before it judges
// (manager 3).
func TestTheManagersOwnPauseEvictsNobody(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n2", "n3")
	r.pass(140 * time.Millisecond) // one ping short of a probe
	require.Empty(t, r.probed())

	r.happened(EventPaused)
	r.pause(30 * time.Second)
	r.ail(well, "n2")
	r.pass(150 * time.Millisecond)
	require.Len(t, r.happened(EventPaused), 1)
	require.Empty(t, r.happened(EventLost), "the time of the pause does not count")
	r.requireChain(1, "n1", "n2", "n3")

	r.pass(300 * time.Millisecond)
	r.requireChain(2, "n1", "n2")
}

// A pause in the middle of an inquiry: the answers may have come during the
// pause, and are taken in before anyone is judged (manager 3).
func TestAPauseInTheMiddleOfAnInquiry(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1")
	r.say("c1", suspect(1, "n1"))
	r.pass(140 * time.Millisecond)

	r.pause(time.Second)
	r.ail(well, "n1")
	r.answerAgain("n1")
	r.pass(time.Second)
	r.requireChain(1, "n1", "n2", "n3")
}

// A manager that stalls again and again gives no grace without end: a primary that
// hangs goes all the same (manager 3).
func TestAManagerThatStallsAllTheTimeStillDecides(t *testing.T) {
	for _, stall := range []time.Duration{80 * time.Millisecond, 400 * time.Millisecond} {
		r := newRealm(t, 3)
		r.place("a")
		r.pass(time.Second)
		r.ail(silent, "n1")
		for range 30 {
			r.pause(stall)
			r.pass(40 * time.Millisecond)
		}
		r.requireChain(2, "n2", "n3")
	}
}

// A manager that has just started knows of no silence, nor how long an answer
// takes: it asks everybody first (manager 3).
func TestAManagerThatJustStartedGivesEverybodyAGrace(t *testing.T) {
	r := newRealm(t, 4, inDurableMode)
	r.place("a")
	r.crash(0)
	r.pass(time.Hour)
	r.ail(silent, "n1", "n2", "n3", "n4")
	r.past = nil
	r.restart()
	r.serve()

	r.pass(1400 * time.Millisecond)
	require.Empty(t, r.probed())
	require.Equal(t, StatusOK, r.lookup("b", true).Status)
	require.Equal(t, 1, r.manager().Groups(), "who has not answered yet is no spare either")

	r.ail(well, "n2", "n3", "n4")
	r.pass(2 * time.Second)
	require.Contains(t, r.proofs(), probing{to: "n1"}, "n1 is still silent after the grace")
	r.requireChain(2, "n2", "n3")
}

// When everything was down, the manager may be there first: an address that refuses is of a
// node that is starting, and not of one that is dead, until that has had its time.
func TestAManagerThatJustStartedTakesNoRefusalForADeath(t *testing.T) {
	r := newRealm(t, 4, inDurableMode)
	r.place("a")
	r.crash(0)
	r.ail(refusing, "n1", "n3")
	r.restart()
	r.serve()
	for range 14 {
		r.say("c1", suspect(1, "n1"))
		r.pass(100 * time.Millisecond)
	}
	r.requireChain(1, "n1", "n2", "n3")

	r.ail(well, "n3")
	r.say("n3", &Register{Boot: 2, Durable: true})
	r.pass(2 * time.Second)
	r.requireChain(2, "n2", "n3")
}

// Who comes up after the manager, as after a power cut, has as much time to prove that it works as
// anybody: what it was asked while it was down it has not heard (manager 3).
func TestWhoStartsAfterTheManagerHasTimeToProveItself(t *testing.T) {
	r := newRealm(t, 4, inDurableMode)
	r.place("a")
	r.crash(0)
	r.ail(refusing, "n3")
	r.restart()
	r.serve()
	for range 10 {
		r.say("c1", suspect(1, "n3"))
		r.pass(100 * time.Millisecond)
	}
	r.ail(hanging, "n3") // its disk has much to do
	r.say("n3", &Register{Boot: 2, Durable: true})
	r.pass(500 * time.Millisecond)
	r.requireChain(1, "n1", "n2", "n3")

	r.pass(2 * time.Second)
	r.requireChain(2, "n1", "n2")
}

// A hiccup is not a death: who is silent for up to 250 ms, at whatever moment, is
// not removed, nor is anybody else (manager 3).
func TestAHiccupIsNoDeath(t *testing.T) {
	for _, ail := range [][]string{{"n1"}, {"n2"}, {"n3"}, {"n1", "n2"}, {"n1", "n2", "n3"}} {
		for hiccup := 60 * time.Millisecond; hiccup <= 250*time.Millisecond; hiccup += 10 * time.Millisecond {
			r := newRealm(t, 4)
			r.place("a")
			r.pass(time.Second + hiccup/3) // at another moment between two pings
			r.ail(silent, ail...)
			r.say("c1", suspect(1, "n1"))
			r.pass(hiccup)
			r.ail(well, ail...)
			r.answerAgain(ail...)
			r.pass(2 * time.Second)
			r.requireChain(1, "n1", "n2", "n3")
		}
	}
}

// The way to another continent takes 300 ms and back: each ping is answered, late
// and in time for the next but five (manager 3).
func TestLongRoundTripsAreNoSilence(t *testing.T) {
	r := newRealm(t, 0)
	r.trip = 900 * time.Millisecond // with the setting up of the connections
	for _, name := range []string{"n1", "n2", "n3"} {
		r.register(peerOf(name))
	}
	r.pass(300 * time.Millisecond)
	r.say("c1", &Lookup{Req: 1, Key: "a", Create: true})
	r.pass(800 * time.Millisecond)
	require.Equal(t, StatusOK, received[*LookupReply](r, "c1")[0].Status, "it waits for the first answers")
	r.trip = 300 * time.Millisecond
	r.pass(5 * time.Second)
	require.Empty(t, r.probed())
	r.say("c1", suspect(1, "n1"))
	r.pass(time.Second)
	r.requireChain(1, "n1", "n2", "n3")

	r.ail(silent, "n1")
	r.pass(3 * time.Second)
	r.requireChain(2, "n2", "n3")
}

// A node that answers everything, but ever later, is of no use to its group: it goes
// like one that is silent (manager 3).
func TestAnswersOfLongAgoAreNone(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.actors["n1"].behind = 2500 * time.Millisecond
	r.pass(10 * time.Second)
	r.requireChain(2, "n2", "n3")
}

// A member stalled until it was removed, and answers late. That says nothing of how long to
// wait for it when it is a member again, for this time it was taken for dead: the next
// time it goes as soon (manager 3).
func TestWhoWasTakenForDeadGetsNoMoreTimeForThat(t *testing.T) {
	r := newRealm(t, 3, quick)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n3")
	r.pass(110 * time.Millisecond)
	r.say("n1", suspect(1, "n3"))
	r.pass(260 * time.Millisecond)
	require.Equal(t, []string{"n1", "n2"}, r.members(1))

	c := r.manager().contact(peerOf("n3").ID)
	require.Less(t, c.missed, silenceMin, "so that its answers count")
	r.ail(well, "n3")
	for nonce := c.answered + 1; nonce <= c.pinged; nonce++ {
		r.reply(r.actors["n3"], &Pong{Nonce: nonce, Boot: 1, Index: r.manager().began})
	}
	require.Less(t, c.trips.patience(0), 50*time.Millisecond, "it tells how long it was away")
	for r.joiningNode() != "n3" {
		r.pass(50 * time.Millisecond)
	}
	r.caughtUp()
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	r.ail(silent, "n3")
	r.pass(400 * time.Millisecond)
	require.Equal(t, []string{"n1", "n2"}, r.members(1))
}

// An inquiry that begins with a round of pings is none of the others' business: their
// answers to that round count.
func TestAnInquiryBeginsAmidARoundOfPings(t *testing.T) {
	r := newRealm(t, 6, replicas(0))
	for i, key := range []string{"a", "b", "c", "d"} { // in groups of their own
		r.place(key)
		r.pass(50 * time.Millisecond)
		r.ail(silent, "n"+string(rune('1'+i)))
	}
	for range 200 {
		r.pass(10 * time.Millisecond)
		n := r.manager().Node(5, r.now)
		require.True(t, n.Answers, "%+v", n)
		require.Zero(t, n.Missed)
	}
}

// The manager is cut off from all, so all look dead. If it removed all but one,
// the crash of that one would be fatal. Nobody leaves on suspicion unless a
// member that stays has answered (manager 3).
func TestSuspicionOfAllEmptiesNoChain(t *testing.T) {
	for name, h := range map[string]health{"silent": silent, "refusing": refusing, "hanging": hanging} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 3)
			r.place("a")
			r.ail(h, "n1", "n2", "n3")
			for range 10 {
				r.say("c1", suspect(1, "n1"))
				r.say("c2", suspect(1, "n2"))
				r.pass(100 * time.Millisecond)
			}
			require.NotEmpty(t, r.probed())
			r.requireChain(1, "n1", "n2", "n3")
			require.Zero(t, r.manager().proposed-r.manager().Index())

			r.ail(well, "n3")
			for range 3 {
				r.say("c1", suspect(1, "n1"))
				r.pass(time.Second)
			}
			r.requireChain(2, "n3")
		})
	}
}

// Primary and first replica die together. The member that is to be promoted has
// proved itself, and then falls silent too: its proof is good for as long as it
// goes on answering (manager 3).
func TestAProofIsGoodWhileItsNodeAnswers(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1", "n2")
	r.say("c1", suspect(1, "n1"))
	r.pass(500 * time.Millisecond) // n2 is given longer
	r.ail(silent, "n3")
	r.pass(5 * time.Second)
	r.requireChain(1, "n1", "n2", "n3")

	r.ail(well, "n3")
	r.pass(3 * time.Second)
	r.requireChain(2, "n3")
}

// A late answer to the probes of an earlier inquiry says nothing about now.
func TestALateProbeReplyProvesNothing(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.ail(silent, "n2")
	r.say("c1", suspect(1, "n1"))
	old := r.manager().nonce
	require.Len(t, r.happened(EventCleared), 1)

	r.pass(50 * time.Millisecond) // a report is of no use so soon after a proof
	r.ail(refusing, "n1")
	r.say("c1", suspect(1, "n1"))
	r.say("n2", &ProbeReply{Nonce: old})
	r.requireChain(1, "n1", "n2", "n3")
	r.say("n2", &ProbeReply{Nonce: r.manager().nonce})
	r.requireChain(2, "n2", "n3")
}

// The last member is never evicted on suspicion: its group waits for it
// (manager 5).
func TestTheLastMemberIsNeverEvictedOnSuspicion(t *testing.T) {
	for name, h := range map[string]health{"silent": silent, "refusing": refusing, "hanging": hanging, "replaced": replaced} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 2, replicas(0)) // n2 is a spare and well
			r.place("a")
			index := r.manager().Index()
			r.ail(h, "n1")
			for range 15 {
				r.say("c1", suspect(1, "n1"))
				r.pass(100 * time.Millisecond)
			}
			r.requireChain(1, "n1")
			require.Equal(t, index, r.manager().Index())
			require.Equal(t, StatusOK, r.lookup("a", false).Status, "the group awaits n1")
		})
	}
}
