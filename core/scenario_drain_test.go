package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of what an operator was told of a drain, and what the manager does
// afterwards; and of whom it uses when it has few to choose from.

// caughtUp has the primary of group 1 say that the node which joins has caught up.
func (r *realm) caughtUp() {
	r.t.Helper()
	c := r.manager().Config(1)
	require.NotZero(r.t, c.Joining.ID)
	r.say(c.Chain[0].Addr, &CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: c.Joining.ID})
}

// Manager 6: a restart of the manager does not forget what an operator asked for.
// The node is not used again before it is started anew.
func TestADrainOutlivesTheManager(t *testing.T) {
	r := newRealm(t, 4, quick, inDurableMode)
	r.place("k")
	same(t, []*Drained{{Req: 1, Status: StatusOK}}, r.drain(1, "n4"))
	r.crash(0)
	r.restart()
	r.pass(time.Second)
	r.ail(refusing, "n3")
	r.pass(10 * time.Second)
	require.Equal(t, []string{"n1", "n2"}, r.members(1))
	require.Empty(t, r.joiningNode(), "n4 is drained")
	same(t, []*Drained{{Req: 2, Status: StatusOK}}, r.drain(2, "n4"))
	r.actors["n4"].boot++
	r.present(r.actors["n4"])
	r.pass(time.Second)
	require.Equal(t, "n4", r.joiningNode(), "it was started anew")
}

// Manager 6: the manager restarts while a member is being drained. The drain goes
// on, and whoever asks again hears how it ends.
func TestADrainGoesOnAfterARestart(t *testing.T) {
	r := newRealm(t, 4, quick, inDurableMode)
	r.place("k")
	require.Empty(t, r.drain(1, "n1"))
	r.crash(0)
	r.restart()
	r.pass(time.Second)
	require.Empty(t, r.drain(2, "n1"))
	require.Equal(t, "n4", r.joiningNode())
	r.caughtUp()
	r.pass(200 * time.Millisecond)
	require.Equal(t, []string{"n2", "n3", "n4"}, r.members(1))
	same(t, []*Drained{{Req: 2, Status: StatusOK}}, received[*Drained](r, "op"))
}

// Manager 6: a spare is to be drained while the command that makes a member of it
// is under way. What is told the operator takes that into account.
func TestDrainOfANodeThatIsAboutToBeUsed(t *testing.T) {
	r := newRealm(t, 1, quick, inDurableMode, replicas(0))
	r.held = true
	r.say("c1", &Lookup{Req: 1, Key: "k", Create: true})
	require.Empty(t, r.drain(1, "n1"))
	r.held = false
	r.flush()
	require.Equal(t, []string{"n1"}, r.members(1))
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, received[*Drained](r, "op"))

	r = newRealm(t, 4, quick, inDurableMode)
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(500 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	r.held = true
	r.caughtUp()
	require.Empty(t, r.drain(1, "n4"))
	r.held = false
	r.flush()
	require.Equal(t, []string{"n1", "n2", "n4"}, r.members(1))
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, received[*Drained](r, "op"))
}

// Manager 6: the only spare is joining in the place of a member that died. It is
// promised to that group: it cannot take a drained member's place as well.
func TestADrainTakesNothingFromHealing(t *testing.T) {
	r := newRealm(t, 4, quick, func(o *ManagerOptions) { o.MinChain = 3 })
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(500 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, r.drain(1, "n2"))
	r.caughtUp()
	r.pass(time.Second)
	require.Equal(t, []string{"n1", "n2", "n4"}, r.members(1))
	r.register(peerOf("n5"))
	r.pass(100 * time.Millisecond)
	require.Empty(t, r.drain(2, "n2"), "now there is one more")

	r = newRealm(t, 7, quick)
	r.place("a")
	r.place("b")
	require.Equal(t, 2, r.manager().Groups())
	require.Empty(t, r.drain(1, "n1"))
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n7", r.joiningNode())
	same(t, []*Drained{{Req: 2, Status: StatusUnavailable}}, r.drain(2, "n4")) // it is promised to another group
}

// Manager 6: a node that is to be drained is a member that its group needs by the
// time a spare has joined, for another has died. It stays.
func TestADrainNeverWeakensAGroup(t *testing.T) {
	r := newRealm(t, 4, quick)
	r.place("k")
	require.Empty(t, r.drain(1, "n1"))
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	r.ail(refusing, "n3")
	r.pass(500 * time.Millisecond)
	r.caughtUp()
	r.pass(time.Second)
	require.Equal(t, []string{"n1", "n2", "n4"}, r.members(1))
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, received[*Drained](r, "op"))
}

// Manager 6: a request that was refused comes once more, late. It changes nothing:
// the operator was told that the node stays.
func TestARefusedDrainComesAgain(t *testing.T) {
	r := newRealm(t, 3, quick)
	r.place("k")
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, r.drain(1, "n1"))
	r.register(peerOf("n4"))
	r.pass(100 * time.Millisecond)
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, r.drain(1, "n1"))
	r.pass(time.Minute)
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	require.Empty(t, r.drain(2, "n1"), "asked anew it is another matter")
}

// Manager 6: the spares answer the manager, but none of them manages to join. A
// drain that waits for them is given up and answered when each has tried.
func TestADrainIsAnsweredWhenNoSpareCanJoin(t *testing.T) {
	r := newRealm(t, 6, quick)
	r.place("k")
	require.Empty(t, r.drain(1, "n1"))
	tried := map[string]bool{}
	for range 100 {
		r.pass(100 * time.Millisecond)
		tried[r.joiningNode()] = true
	}
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, received[*Drained](r, "op"))
	require.True(t, tried["n4"] && tried["n5"] && tried["n6"])
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	require.Empty(t, r.joiningNode())
}

// Manager 6: the primary reaches one spare of many. Each is tried in its turn,
// however soon what it failed before is forgotten otherwise.
func TestEverySpareIsTriedInItsTurn(t *testing.T) {
	r := newRealm(t, 9, func(o *ManagerOptions) {
		o.JoinTimeout, o.QuarantineMin, o.QuarantineMax = time.Second, 100*time.Millisecond, 200*time.Millisecond
	})
	r.ail(refusing, "n4", "n5", "n6", "n7", "n8", "n9")
	r.pass(time.Second)
	r.place("k")
	r.ail(well, "n4", "n5", "n6", "n7", "n8", "n9")
	r.ail(refusing, "n3")
	var order []string
	for range 150 {
		r.pass(100 * time.Millisecond)
		if name := r.joiningNode(); name != "" && (len(order) == 0 || order[len(order)-1] != name) {
			order = append(order, name)
		}
	}
	require.GreaterOrEqual(t, len(order), 12)
	for i := 6; i < len(order); i++ {
		require.NotContains(t, order[i-5:i], order[i], "who failed longest ago comes first: %v", order)
	}
}

// Manager 6: all spares are in quarantine, and for long, as trouble was long. When
// one has been steady for some seconds it is used, by a group that is down to its
// last copy at once; one that does not stay up waits.
func TestSparesInQuarantineInWantOfOthers(t *testing.T) {
	wait := func(r *realm) time.Duration {
		from := r.now
		for r.joiningNode() == "" && r.now.Since(from) < 2*time.Minute {
			r.pass(50 * time.Millisecond)
		}
		return r.now.Since(from)
	}
	flapped := func() *realm { // n4 has joined six times, in vain
		r := newRealm(t, 4, func(o *ManagerOptions) { o.QuarantineMin, o.QuarantineMax = time.Second, time.Minute })
		r.place("k")
		r.ail(refusing, "n3")
		for range 6 {
			r.ail(well, "n4")
			require.Less(t, wait(r), time.Minute)
			r.ail(refusing, "n4")
			r.pass(200 * time.Millisecond)
			require.Empty(t, r.joiningNode())
		}
		return r
	}
	r := flapped()
	r.ail(well, "n4")
	require.InDelta(t, 7*time.Second, wait(r), float64(time.Second), "it has been steady")
	require.Equal(t, "n4", r.joiningNode())

	r = flapped()
	for range 10 {
		r.ail(well, "n4")
		r.pass(2 * time.Second)
		require.Empty(t, r.joiningNode(), "it does not stay up")
		r.ail(refusing, "n4")
		r.pass(300 * time.Millisecond)
	}

	r = flapped()
	r.ail(refusing, "n2")
	r.ail(well, "n4")
	require.Less(t, wait(r), 2*time.Second, "there is one copy left")
	require.Equal(t, []string{"n1"}, r.members(1))
}

// Manager 1: no group is left that could take a key. Nodes in quarantine form one
// rather than that the key is refused.
func TestAKeyThatNoGroupCanTake(t *testing.T) {
	r := newRealm(t, 3, func(o *ManagerOptions) {
		o.QuarantineMin, o.QuarantineMax, o.LostAfter = time.Minute, time.Minute, 10*time.Second
	})
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(time.Second)
	require.Equal(t, []string{"n1", "n2"}, r.members(1))
	r.ail(well, "n3")
	for _, name := range []string{"n1", "n2"} {
		r.say(name, &Farewell{Boot: 1})
		r.ail(silent, name)
	}
	r.register(peerOf("n4"))
	r.register(peerOf("n5"))
	r.pass(time.Second)
	a := r.lookup("l", true)
	require.Equal(t, StatusOK, a.Status)
	require.ElementsMatch(t, []string{"n3", "n4", "n5"}, r.members(a.Config.Group))
}

// Identity: a member was forgotten, and the one word of it was lost. It is told
// again, or it would go on serving what is gone for good.
func TestAForgottenMemberIsToldAgain(t *testing.T) {
	r := newRealm(t, 1, replicas(0), inDurableMode, func(o *ManagerOptions) { o.HaltOnLoss = false })
	r.place("k")
	r.say("c1", &Forget{Req: 1, Node: peerOf("n1").ID})
	require.NotEmpty(t, received[*Refused](r, "n1"))
	r.pass(time.Second)
	require.NotEmpty(t, received[*Refused](r, "n1"))
	r.crash(0)
	r.restart()
	r.pass(100 * time.Millisecond)
	require.NotEmpty(t, received[*Refused](r, "n1"))
}
