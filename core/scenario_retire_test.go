package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of the list of nodes: who is taken off it, and what becomes of a node
// that comes back.

// shortLived has a node register that is never heard of again.
func (r *realm) shortLived(i int) {
	r.t.Helper()
	p := Peer{ID: NodeID(1<<32 + i), Addr: fmt.Sprintf("s%d", i)}
	r.stepRaw(Envelope{From: p, To: Peer{Addr: "m"}, Body: &Register{Boot: 1, Durable: r.durable, Name: "s"}})
}

// Manager 1: a process that crashes and starts again and again, in memory mode, is a new
// node each time. It neither keeps newcomers out nor is it pinged for ever.
func TestANodeThatCrashesAgainAndAgainDoesNotFillTheList(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	most := 0
	for i := range 2 * nodesMax {
		r.shortLived(i)
		r.mail = nil
		if i%64 == 0 {
			r.pass(500 * time.Millisecond)
			r.past = nil
		}
		most = max(most, r.manager().Nodes())
	}
	require.Less(t, most, nodesMax)
	r.register(peerOf("n4"))
	require.Len(t, received[*Registered](r, "n4"), 1)
	r.requireChain(1, "n1", "n2", "n3")

	r.pass(retireAfter + time.Second)
	require.Equal(t, 4, r.manager().Nodes())
	require.Len(t, r.manager().contacts, 4)
	for i, c := range r.manager().contacts {
		require.Equal(t, i, c.node.number)
		require.Same(t, c, r.manager().contact(c.node.ID))
	}
}

// A list that is full all the same says so to those whom it has no room for.
func TestANodeThatCannotBeTakenIsTold(t *testing.T) {
	r := newRealm(t, 0)
	for i := range nodesMax {
		r.shortLived(i)
	}
	r.mail = nil
	r.stepRaw(Envelope{From: peerOf("n1"), To: Peer{Addr: "m"}, Body: &Register{Boot: 1}})
	same(t, &Refused{Reason: RefusedFull, What: KindRegister}, only[*Refused](r.rig, "n1"))

	n := newStorageAt(t, "n1")
	n.stepRaw(Envelope{From: peerOf("m"), To: n.self, Body: &Refused{Reason: RefusedFull, What: KindRegister}})
	require.NoError(t, n.halted)
	require.Len(t, n.happened(EventNotTaken), 1)
	n.mail = nil
	n.tick(time.Second)
	require.NotEmpty(t, sent[*Register](n, "m"), "it asks again")
}

// Manager 1: a node that was only cut off for long is a spare when it comes back. What it held of a
// group is discarded before it joins one.
func TestARetiredNodeComesBackAsASpare(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.ail(silent, "n3")
	r.pass(retireAfter + time.Minute)
	require.Equal(t, []string{"n1", "n2"}, r.members(1))
	require.Nil(t, r.manager().contact(peerOf("n3").ID))

	r.ail(well, "n3")
	r.present(r.actors["n3"])
	r.pass(time.Second)
	require.Equal(t, 3, r.manager().Nodes())
	require.Equal(t, peerOf("n3").ID, r.manager().Config(1).Joining.ID)
}

// Members, also of a group that is lost, and nodes that answer stay on the list.
func TestWhoIsInAChainStaysOnTheList(t *testing.T) {
	r := newRealm(t, 4, replicas(0))
	r.place("a")
	r.ail(silent, "n1", "n3")
	r.pass(retireAfter + 10*time.Second)
	require.Equal(t, 3, r.manager().Nodes(), "n3, a spare, is gone")
	require.Equal(t, []string{"n1"}, r.members(1))
	r.forget(1, peerOf("n1").ID)
	r.pass(retireAfter + 10*time.Second)
	require.Equal(t, 3, r.manager().Nodes(), "the chain of a lost group is kept")
}

// A durable node comes back with its data, and people look for it, so it stays as long as
// there is room; so does one that is being drained.
func TestWhoMayComeBackStaysOnTheListWhileThereIsRoom(t *testing.T) {
	t.Run("durable", func(t *testing.T) {
		r := newRealm(t, 4, inDurableMode)
		r.ail(silent, "n4")
		r.pass(retireAfter + 10*time.Second)
		require.Equal(t, 4, r.manager().Nodes())
		for i := range nodesMax/2 - 3 { // one too many
			r.shortLived(i)
		}
		r.pass(time.Second)
		require.Nil(t, r.manager().contact(peerOf("n4").ID), "there is need for room")
		require.Equal(t, nodesMax/2, r.manager().Nodes())
	})
	t.Run("drained", func(t *testing.T) {
		r := newRealm(t, 4)
		r.say("c1", &Drain{Req: 1, Node: peerOf("n4").ID})
		r.ail(silent, "n4")
		r.pass(retireAfter + 10*time.Second)
		require.Equal(t, 4, r.manager().Nodes())
	})
}

// The command names the boot: a node that was started anew meanwhile stays, and so does
// one that has come to be used.
func TestARetirementIsByCompareAndSet(t *testing.T) {
	retire := func(name string, boot Boot) *Command {
		return &Command{Kind: CommandRetire, Node: NodeRecord{Peer: peerOf(name), Boot: boot}}
	}
	d := directoryOf("n1", "n2", "n3")
	d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf("n1"), Boot: 2}})
	require.Nil(t, d.apply(retire("n1", 1)).retired)
	d.apply(&Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{peerOf("n2").ID}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	require.Nil(t, d.apply(retire("n2", 1)).retired)
	require.NotNil(t, d.apply(retire("n1", 2)).retired)
	require.Nil(t, d.apply(retire("n1", 2)).retired, "once")
	require.Equal(t, 0, d.node(peerOf("n2").ID).number)
	require.Equal(t, 1, d.node(peerOf("n3").ID).number)
}

// Somebody asks to drain a node while it is taken off the list.
func TestADrainOfANodeThatRetires(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	for i := range nodesMax / 2 {
		r.shortLived(i)
	}
	r.ail(silent, "n3")
	r.pass(retireAfter - time.Second)
	r.held = true
	r.pass(2 * time.Second)
	require.True(t, r.manager().contact(peerOf("n3").ID).deciding)
	r.say("c1", &Drain{Req: 1, Node: peerOf("n3").ID})
	r.held = false
	r.flush()
	require.Equal(t, StatusNotFound, received[*Drained](r, "c1")[0].Status)
	require.Empty(t, r.manager().drains)
}

// While nothing is agreed on, what a known node or an operator says again and again asks for one
// command, and so holds no more memory the longer that lasts.
func TestWhatIsSaidAgainAsksForOneCommand(t *testing.T) {
	underWay := func(c *council) int { return len(c.manager().underWay) }
	t.Run("a start in place of one that is away", func(t *testing.T) {
		c := leading(t, 3, inDurableMode)
		c.pass(time.Second)
		c.ail(refusing, "n3")
		c.pass(time.Second)
		c.consensus.held = true
		before := underWay(c)
		copies := []*actor{{peer: Peer{peerOf("n3").ID, "n8"}, boot: 2}, {peer: Peer{peerOf("n3").ID, "n9"}, boot: 2}}
		for range 100 {
			for _, a := range copies {
				c.present(a)
			}
		}
		require.Equal(t, 1, underWay(c)-before)
		c.consensus.held = false
		c.turn()
		require.Equal(t, "n8", c.manager().dir.node(peerOf("n3").ID).Addr)
		c.actors["n8"] = &actor{peer: copies[0].peer, health: refusing}
		c.pass(time.Second)
		c.present(&actor{peer: Peer{peerOf("n3").ID, "n7"}, boot: 3})
		require.Equal(t, "n7", c.manager().dir.node(peerOf("n3").ID).Addr, "the next start is taken as well")
	})
	t.Run("its data is gone", func(t *testing.T) {
		c := leading(t, 3)
		c.pass(time.Second)
		c.consensus.held = true
		before := underWay(c)
		for range 100 {
			c.say("n3", &Farewell{Boot: 1})
			c.say("c1", &Forget{Req: 1, Node: peerOf("n3").ID})
			c.say("c2", &Forget{Req: 1, Node: peerOf("n3").ID})
		}
		require.Equal(t, 1, underWay(c)-before)
		require.Len(t, c.manager().forgets, 2)
		c.consensus.held = false
		c.turn()
		for _, who := range []string{"c1", "c2"} {
			require.Equal(t, []*Forgotten{{Req: 1, Status: StatusOK}}, received[*Forgotten](c.realm, who))
		}
	})
}

// While nothing is agreed on, since disks are slow, those who register are not on the list yet.
// They are counted all the same: else all of them would be listed afterwards, however many they
// are, and would be held until then.
func TestNodesThatAreAboutToBeListedHaveTheirPlaces(t *testing.T) {
	c := leading(t, 3)
	c.consensus.held = true
	for i := range 2 * nodesMax {
		c.shortLived(i)
		c.mail = nil
	}
	c.shortLived(1) // asks again
	require.LessOrEqual(t, len(c.manager().underWay), nodesMax)
	c.consensus.held = false
	c.turn()
	require.Equal(t, nodesMax, c.manager().Nodes())
	require.Empty(t, c.manager().listing)

	// The leader that has gone has left nothing of that.
	c = leading(t, 3)
	c.consensus.held = true
	for i := range nodesMax {
		c.shortLived(i)
		c.mail = nil
	}
	c.deposed()
	c.consensus.held = false
	c.leads()
	c.shortLived(nodesMax)
	c.turn()
	require.Equal(t, 4, c.manager().Nodes())
}
