package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireLost holds what the manager says of group 1 against what it must be.
func (r *realm) requireLost(lost, certain bool) {
	r.t.Helper()
	isLost, isCertain := r.manager().Lost(1)
	require.Equal(r.t, []bool{lost, certain}, []bool{isLost, isCertain}, "lost, certain")
	want := StatusOK
	if lost {
		want = StatusGroupLost
	}
	answer := r.lookup("a", false)
	require.Equal(r.t, want, answer.Status, "whoever asks for the group is told")
	require.Equal(r.t, r.manager().Config(1), answer.Config)
}

// Every member of a group says farewell in memory mode, where the data goes
// with the node. With the last of them no copy is left: that is certain.
func TestAGroupIsLostForCertainWhenAllSaidFarewell(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	for i, name := range []string{"n1", "n2", "n3"} {
		r.requireLost(false, false)
		r.ail(silent, name)
		r.say(name, &Farewell{Boot: 1})
		if i < 2 {
			require.Equal(t, []string{"n1", "n2", "n3"}[i+1:], r.members(1), "the others go on")
		}
	}
	r.requireLost(true, true)
	lost := r.happened(EventLost)
	require.Equal(t, []Event{{Kind: EventLost, Group: 1, Epoch: 3, Effect: true}}, lost)
}

// A whole chain may die at once: nobody is left who could have been promoted.
func TestAGroupIsLostForCertainWhenAllDieAtOnce(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.ail(silent, "n1", "n2", "n3")
	r.forget(1, 1)
	r.forget(2, 2)
	r.requireLost(false, false)
	r.forget(3, 3)
	r.requireLost(true, true)
	r.requireChain(1, "n1", "n2", "n3")
}

// A farewell of an earlier boot is late: that node is back. And a durable node
// that says farewell has only stopped: its data waits for it.
func TestAFarewellThatIsNoLoss(t *testing.T) {
	r := newRealm(t, 1, inDurableMode, replicas(0))
	r.place("a")
	r.ail(silent, "n1")
	r.say("n1", &Farewell{Boot: 1})
	require.NotEmpty(t, r.probed(), "it is worth a probe")
	r.pass(time.Minute)
	r.requireLost(false, false)

	m := newRealm(t, 1, replicas(0))
	m.place("a")
	m.say("n1", &Farewell{Boot: 2})
	m.say("n1", &Farewell{Boot: 0})
	require.Len(t, m.happened(EventDropped), 2)
	m.requireLost(false, false)
}

// What it takes to presume that a group is lost: every address refuses, and
// somebody else says so too, or answers as another node, for LostAfter; or all is
// silent for ten times that, while somebody is heard. A stopped durable node keeps
// its data, so there only a new node counts that has begun at the address.
func TestWhatItTakesToPresumeALoss(t *testing.T) {
	const never = time.Hour
	memory := func(*ManagerOptions) {}
	for name, c := range map[string]struct {
		mode   func(*ManagerOptions)
		health [2]health // of n1 and n2
		gone   bool      // n1 says farewell, or is forgotten
		others health    // of n3, a spare
		begun  bool      // new nodes have begun at the addresses that answer as others
		client bool      // one says now and then that both refuse
		after  time.Duration
	}{
		"memory, refused":                 {memory, [2]health{refusing, refusing}, false, well, false, false, 2 * time.Second},
		"memory, another node answers":    {memory, [2]health{replaced, replaced}, false, well, false, false, 2 * time.Second},
		"memory, silent":                  {memory, [2]health{silent, silent}, false, well, false, false, 20 * time.Second},
		"memory, one of the two silent":   {memory, [2]health{refusing, silent}, false, well, false, false, 20 * time.Second},
		"memory, one gone, one silent":    {memory, [2]health{silent, silent}, true, well, false, false, 20 * time.Second},
		"memory, one gone, one refuses":   {memory, [2]health{silent, refusing}, true, well, false, false, 2 * time.Second},
		"memory, one hangs":               {memory, [2]health{refusing, hanging}, false, well, false, false, never},
		"memory, nobody is reached":       {memory, [2]health{refusing, refusing}, false, refusing, false, false, never},
		"memory, nobody is heard":         {memory, [2]health{silent, silent}, false, silent, false, false, never},
		"memory, refused to a client too": {memory, [2]health{refusing, refusing}, false, refusing, false, true, 2 * time.Second},
		"memory, silent, a client misses": {memory, [2]health{silent, silent}, false, silent, false, true, 20 * time.Second},
		"durable, refused":                {inDurableMode, [2]health{refusing, refusing}, false, well, false, true, never},
		"durable, silent":                 {inDurableMode, [2]health{silent, silent}, false, well, false, true, never},
		"durable, another node answers":   {inDurableMode, [2]health{replaced, replaced}, false, well, false, false, never},
		"durable, a new node answers":     {inDurableMode, [2]health{replaced, replaced}, false, well, true, false, 2 * time.Second},
		"durable, one refuses, one new":   {inDurableMode, [2]health{replaced, refusing}, false, well, true, false, never},
		"durable, one of the two refuses": {inDurableMode, [2]health{replaced, refusing}, false, well, false, false, never},
		"durable, one gone, one refuses":  {inDurableMode, [2]health{silent, refusing}, true, well, false, false, never},
		"durable, one gone, one other":    {inDurableMode, [2]health{silent, replaced}, true, well, false, false, never},
		"durable, one gone, one new":      {inDurableMode, [2]health{silent, replaced}, true, well, true, false, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 3, c.mode, replicas(1))
			r.place("a")
			r.pass(time.Second)
			r.ail(c.health[0], "n1")
			r.ail(c.health[1], "n2")
			r.ail(c.others, "n3")
			for i, h := range c.health {
				if c.begun && h == replaced {
					r.begin([]string{"n1", "n2"}[i])
				}
			}
			if c.gone && r.durable {
				r.forget(1, 1)
			} else if c.gone {
				r.say("n1", &Farewell{Boot: 1})
			}
			pass := func(d time.Duration) {
				for ; d > 0; d -= 20 * time.Millisecond {
					r.pass(20 * time.Millisecond)
					if c.client {
						r.blame("n1", "n2")
					}
				}
			}
			if c.after == never {
				pass(5 * time.Minute)
				r.requireLost(false, false)
				return
			}
			pass(c.after - 60*time.Millisecond)
			r.requireLost(false, false)
			pass(160 * time.Millisecond)
			r.requireLost(true, false)
		})
	}
}

// begin registers a new node at the address of another.
func (r *realm) begin(at string) {
	r.register(Peer{ID: peerOf(at).ID + 0x90, Addr: at})
}

// Whatever is at the address of a durable node that is down, its data may be on its disk: a
// manager that is to halt on a loss does not. Clients are told of one only while a new node
// is there, which may have begun on that very disk.
func TestNothingHaltsForADurableNodeThatIsDown(t *testing.T) {
	r := newRealm(t, 2, inDurableMode, replicas(0), haltOnLoss)
	r.place("a")
	n1 := r.actors["n1"]
	r.ail(replaced, "n1") // by a node of another cluster
	r.pass(time.Minute)
	r.requireLost(false, false)

	r.ail(refusing, "n1")
	r.pass(time.Second)
	r.begin("n1")
	r.pass(time.Second)
	r.ail(refusing, "n1") // it was there for a moment only
	r.pass(time.Minute)
	r.requireLost(false, false)

	r.ail(well, "n1")
	r.pass(time.Minute)
	r.requireLost(true, false)
	require.NoError(t, r.halted)

	n1.health = well
	r.move(n1, "n9")
	r.pass(100 * time.Millisecond)
	r.requireLost(false, false)
	r.pass(time.Minute)
	require.NoError(t, r.halted)
}

// blame has a client report members of group 1, as it does when their addresses
// refuse it.
func (r *realm) blame(names ...string) {
	for _, name := range names {
		s := suspect(r.epoch(1), name)
		s.Refused = true
		r.say("c1", s)
	}
}

// Connections that are refused on the manager's own side, or answers that do not
// reach it, are no loss: for as long as somebody else reaches the members, whatever
// the manager sees.
func TestAMemberThatAnotherReachesIsNotLost(t *testing.T) {
	for _, h := range []health{refusing, silent} {
		r := newRealm(t, 2, replicas(0), haltOnLoss)
		r.place("a")
		r.actors["n1"].reachable = true
		r.ail(h, "n1")
		r.pass(time.Minute)
		r.requireLost(false, false)
		require.NoError(t, r.halted)
	}
}

// A node that has moved registers from elsewhere, and the command that says so waits
// for the manager's disk. Another node is at the old address meanwhile; but this one
// lives.
func TestANodeThatRegistersElsewhereIsNotLost(t *testing.T) {
	r := newRealm(t, 2, replicas(0), inDurableMode, haltOnLoss)
	r.place("a")
	r.held = true
	r.ail(replaced, "n1")
	for range 100 {
		r.stepRaw(Envelope{From: Peer{ID: 1, Addr: "n9"}, To: Peer{Addr: "m"}, Body: &Register{Boot: 2, Durable: true, Name: "n1"}})
		r.serve()
		r.pass(100 * time.Millisecond)
	}
	r.requireLost(false, false)
	require.NoError(t, r.halted)
}

// Refusals with a gap between them are not one stretch: in the gap the node may
// have been there. And refusals that have ended prove nothing about now.
func TestEvidenceOfALossMustNotHaveGaps(t *testing.T) {
	r := newRealm(t, 2, replicas(0))
	r.place("a")
	r.pass(time.Second)
	for range 4 {
		r.ail(refusing, "n1")
		r.pass(1500 * time.Millisecond)
		r.requireLost(false, false)
		r.ail(silent, "n1")
		r.pass(1500 * time.Millisecond)
		r.requireLost(false, false)
	}
	r.ail(refusing, "n1")
	r.pass(2100 * time.Millisecond)
	r.requireLost(true, false)
}

// A node of another cluster, or with another complaint, at the address says
// nothing about the data of this one.
func TestOtherRefusalsAreNoEvidence(t *testing.T) {
	r := newRealm(t, 1, inDurableMode, replicas(0))
	r.place("a")
	r.ail(silent, "n1")
	for range 100 {
		r.say("n1", &Refused{Reason: RefusedOtherCluster, Wanted: 1, What: KindPing})
		r.say("n1", &Refused{Reason: RefusedMode, Wanted: 1, What: KindPing})
		r.pass(50 * time.Millisecond)
	}
	r.requireLost(false, false)
}

// Lost declared for a node that was only paused: for LostAfter and longer its
// silence means nothing, and once it does the declaration is taken back as soon
// as that very node answers, with the same chain at the next epoch
// (manager 5).
func TestALossDeclaredForAPausedNodeIsWithdrawn(t *testing.T) {
	r := newRealm(t, 2, replicas(0), haltOnLoss)
	r.place("a")
	r.ail(silent, "n1")
	r.pass(19 * time.Second)
	r.requireLost(false, false)
	r.pass(time.Minute)
	r.requireLost(true, false)
	require.NoError(t, r.halted, "a loss presumed by silence alone never halts")

	r.ail(well, "n1")
	r.pass(50 * time.Millisecond)
	require.Len(t, r.happened(EventWithdrawn), 1)
	r.requireLost(false, false)
	r.requireChain(2, "n1")
	require.Equal(t, []GroupEpoch{{1, 2}}, r.actors["n1"].epochs)
}

// A loss that was presumed from refusals is withdrawn during the drain time, and
// the manager does not halt.
func TestAWithdrawnLossCancelsTheHalt(t *testing.T) {
	r := newRealm(t, 2, replicas(1), haltOnLoss)
	r.place("a")
	r.ail(refusing, "n1", "n2")
	r.pass(1900 * time.Millisecond)
	r.blame("n1", "n2")
	r.pass(2900 * time.Millisecond)
	r.requireLost(true, false)
	r.ail(well, "n2")
	r.pass(50 * time.Millisecond)
	r.requireLost(false, false)
	require.GreaterOrEqual(t, r.epoch(1), Epoch(2))
	r.pass(10 * time.Second)
	require.NoError(t, r.halted)
	require.Equal(t, []string{"n2"}, r.members(1), "it goes on with who answered")
}

// What is withdrawn for one group does not save the manager from another's loss.
func TestAWithdrawnLossDoesNotCancelTheHaltForAnother(t *testing.T) {
	r := newRealm(t, 3, replicas(0), haltOnLoss)
	r.place("a")
	r.place("b")
	r.ail(refusing, "n1", "n2")
	r.pass(4900 * time.Millisecond)
	r.ail(well, "n1")
	r.pass(3100 * time.Millisecond)
	require.ErrorIs(t, r.halted, ErrGroupLost)
	require.Contains(t, r.halted.Error(), "group 2")
}

// Once presumed, a loss is not taken back because the evidence ends.
func TestOnlyAnAnswerWithdrawsALoss(t *testing.T) {
	r := newRealm(t, 2, replicas(0))
	r.place("a")
	r.ail(refusing, "n1")
	r.pass(2100 * time.Millisecond)
	r.requireLost(true, false)
	r.ail(silent, "n1")
	r.pass(15 * time.Second)
	r.requireLost(true, false)
	r.register(Peer{ID: 0x11, Addr: "n1"}) // another node at the address is not the answer either
	r.pass(time.Second)
	r.requireLost(true, false)
	require.Empty(t, r.happened(EventWithdrawn))
}

// By default a lost group ends the manager. Before, everybody who asks during
// the drain time is told; and it takes longer to act on a presumption than to tell.
func TestALostGroupHaltsTheManagerAfterTheDrainTime(t *testing.T) {
	for name, c := range map[string]struct {
		lose  func(r *realm)
		after int // in tenths of a second
		how   string
	}{
		"certainly": {func(r *realm) { r.forget(1, 1) }, 9, "certainly: each said farewell or was forgotten"},
		"presumably": {func(r *realm) {
			r.ail(refusing, "n1")
			for lost := false; !lost; lost, _ = r.manager().Lost(1) {
				r.pass(10 * time.Millisecond)
			}
		}, 29, "presumably: their addresses no longer answer for them"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 2, replicas(0), haltOnLoss)
			r.place("a")
			r.place("b")
			c.lose(r)
			for range c.after {
				r.pass(100 * time.Millisecond)
				require.NoError(t, r.halted)
				require.Equal(t, StatusGroupLost, r.lookup("a", true).Status)
				require.Equal(t, StatusOK, r.lookup("b", true).Status)
			}
			r.pass(110 * time.Millisecond)
			require.ErrorIs(t, r.halted, ErrGroupLost)
			require.ErrorContains(t, r.halted, "group 1")
			require.ErrorContains(t, r.halted, c.how)
		})
	}
}

// A manager that stalls has told nobody meanwhile: that time is not of the drain
// time.
func TestAPauseIsNoPartOfTheDrainTime(t *testing.T) {
	r := newRealm(t, 1, replicas(0), haltOnLoss)
	r.place("a")
	r.forget(1, 1)
	r.pause(5 * time.Second)
	r.pass(850 * time.Millisecond)
	require.NoError(t, r.halted)
	r.requireLost(true, true)
	r.pass(200 * time.Millisecond)
	require.ErrorIs(t, r.halted, ErrGroupLost)
}

// With the other policy the manager keeps the other groups serving, and new keys
// go to none that is lost.
func TestTheOtherGroupsGoOnAfterALoss(t *testing.T) {
	for name, lose := range map[string]func(r *realm){
		"certain":  func(r *realm) { r.forget(1, 1) },
		"presumed": func(r *realm) { r.ail(refusing, "n1"); r.pass(2100 * time.Millisecond) },
		"silent":   func(r *realm) { r.ail(silent, "n1"); r.pass(21 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 3, replicas(0))
			for _, key := range []string{"a", "b", "c"} {
				r.place(key)
			}
			lose(r)
			require.Equal(t, StatusGroupLost, r.lookup("a", true).Status)
			require.Equal(t, StatusOK, r.lookup("b", true).Status)
			for _, key := range []string{"d", "e", "f", "g"} {
				r.place(key)
			}
			require.Equal(t, map[GroupID]int{1: 1, 2: 3, 3: 3}, r.spread())
			r.pass(10 * time.Second)
			require.NoError(t, r.halted)
		})
	}
}

// When every group is lost and no spares are left, a new key has nowhere to go.
func TestNewKeysAreRefusedWhenEveryGroupIsLost(t *testing.T) {
	r := newRealm(t, 1, replicas(0))
	r.place("a")
	r.forget(1, 1)
	require.Equal(t, &LookupReply{Placement: PlacementKey, Req: 2, Status: StatusUnavailable, Have: 0, Need: 1}, r.lookup("b", true))
	require.Zero(t, r.manager().KeyGroup("b"))
	r.register(peerOf("n2"))
	require.EqualValues(t, 2, r.place("b"))
	require.Equal(t, StatusGroupLost, r.lookup("a", true).Status)
}

// A group that is certainly lost when a mapping is applied gets no key, even if
// the mapping was proposed before the loss was known; nor one that was lost then.
func TestTheRoundRobinPassesOverLostGroups(t *testing.T) {
	d := directoryOf("n1", "n2", "n3")
	for i, key := range []string{"a", "b", "c"} {
		d.apply(&Command{Kind: CommandPlace, Unit: Unit(key), Members: []NodeID{NodeID(i + 1)}, Terms: Terms{ReadConfirm, 0, 1}})
	}
	d.apply(&Command{Kind: CommandGone, Node: NodeRecord{Peer: peerOf("n1")}})
	next := func(key string, skip ...GroupID) GroupID {
		return d.apply(&Command{Kind: CommandPlace, Unit: Unit(key), Skip: skip}).mapped
	}
	require.EqualValues(t, 2, next("d"))
	require.EqualValues(t, 3, next("e"))
	require.EqualValues(t, 2, next("f"))
	require.EqualValues(t, 2, next("g", 3))
	require.EqualValues(t, 0, next("h", 3, 2))
	require.EqualValues(t, 3, next("h"), "what was refused is not mapped, and may be later")
}

// A presumption is the manager's, not the Directory's: after a restart the nodes
// get as long again to show themselves. A certain loss stays one.
func TestARestartedManagerJudgesPresumedLossesAfresh(t *testing.T) {
	r := newRealm(t, 2, inDurableMode, replicas(0))
	r.place("a")
	r.place("b")
	r.begin("n1")
	r.forget(1, 2)
	r.pass(2100 * time.Millisecond)
	r.requireLost(true, false)
	require.Equal(t, StatusGroupLost, r.lookup("b", false).Status)

	r.crash(0)
	r.restart()
	r.serve()
	for range 19 {
		r.requireLost(false, false)
		r.pass(100 * time.Millisecond)
		require.Equal(t, StatusGroupLost, r.lookup("b", false).Status)
	}
	r.pass(200 * time.Millisecond)
	r.requireLost(true, false)
}

// An operator is told where the members were, and with certificates by which name.
func TestAFatalLossTellsPlacesAndNames(t *testing.T) {
	m := newManagerAt(t).manager()
	err := m.groupLost(&Config{Group: 1, Epoch: 2, Chain: []Peer{{0x101, "node1@10.0.0.1:7401"}, {0x102, "10.0.0.2:7401"}}}, true)
	require.ErrorContains(t, err, "group 1, epoch 2, members node1 at 10.0.0.1:7401, 0000000000000102 at 10.0.0.2:7401 are gone, certainly")
}
