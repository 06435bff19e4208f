package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of how the manager heals groups and drains nodes.

// Rules R2 and R10: the Directory takes one join at a time, for a spare only, and
// makes a member of nobody but the node that joins, by the epoch and the join in
// which it caught up.
func TestOneNodeJoinsAtATime(t *testing.T) {
	d := newDirectory(PlacementKey)
	for _, name := range []string{"n1", "n2", "n3", "n4"} {
		d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(name), Boot: 1}})
	}
	id := func(name string) NodeRecord { return NodeRecord{Peer: Peer{ID: peerOf(name).ID}} }
	d.apply(&Command{Kind: CommandPlace, Unit: "k", Members: []NodeID{peerOf("n1").ID, peerOf("n2").ID}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	changes := func(c Command) bool { return len(d.apply(&c).changed) > 0 }
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 1, Node: id("n2")}), "a member cannot join")
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 7, Node: id("n3")}))
	require.True(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 1, Node: id("n3")}))
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 1, Node: id("n4")}), "decided in the epoch before")
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 2, Node: id("n4")}), "one at a time")
	require.True(t, d.node(peerOf("n4").ID).isSpare())

	require.False(t, changes(Command{Kind: CommandMember, Group: 1, Epoch: 1, Node: id("n3")}), "caught up in another epoch")
	require.False(t, changes(Command{Kind: CommandMember, Group: 1, Epoch: 2, Node: id("n4")}), "another node")
	require.True(t, changes(Command{Kind: CommandMember, Group: 1, Epoch: 2, Node: id("n3")}))
	require.Len(t, d.group(1).config.Chain, 3)
	require.Equal(t, peerOf("n3"), d.group(1).config.Chain[2], "the newest is the last to be promoted")
	require.Zero(t, d.group(1).config.Joining)
	require.False(t, changes(Command{Kind: CommandJoin, Group: 1, Epoch: 3}), "nothing to give up")
}

// quick is an option of a manager.
func quick(o *ManagerOptions) {
	o.JoinTimeout, o.QuarantineMin, o.QuarantineMax = time.Second, 2*time.Second, 16*time.Second
}

// joiningNode is the name of the node that joins group 1, or "".
func (r *realm) joiningNode() string { return r.manager().Config(1).Joining.Addr }

// Join racing with eviction, and who may ask for a member: only the primary, for
// the current epoch, and for exactly that join and that node (rule R2).
func TestCaughtUpOfAnotherEpochOrNode(t *testing.T) {
	r := newRealm(t, 5, quick)
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(time.Second)
	require.Equal(t, "n4", r.joiningNode())
	c := r.manager().Config(1)
	chain, epoch := r.members(1), r.epoch(1)
	require.Equal(t, []string{"n1", "n2"}, chain)
	good := CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: peerOf("n4").ID}
	for name, change := range map[string]func(b *CaughtUp) string{
		"an earlier epoch":   func(b *CaughtUp) string { b.Epoch--; return "n1" },
		"an epoch to come":   func(b *CaughtUp) string { b.Epoch++; return "n1" },
		"another join":       func(b *CaughtUp) string { b.Start--; return "n1" },
		"another node":       func(b *CaughtUp) string { b.Node = peerOf("n5").ID; return "n1" },
		"the node that left": func(b *CaughtUp) string { b.Node = peerOf("n3").ID; return "n1" },
		"no node":            func(b *CaughtUp) string { b.Node = 0; return "n1" },
		"another group":      func(b *CaughtUp) string { b.Group = 2; return "n1" },
		"from a replica":     func(*CaughtUp) string { return "n2" },
		"from itself":        func(*CaughtUp) string { return "n4" },
	} {
		b := good
		from := change(&b)
		r.say(from, &b)
		require.Equal(t, chain, r.members(1), name)
		require.Equal(t, epoch, r.epoch(1), name)
	}
	r.say("n1", &good)
	require.Equal(t, []string{"n1", "n2", "n4"}, r.members(1))
	require.Empty(t, r.joiningNode())
}

// Manager 6: a stalled joiner would hold the only slot of its group. It is given
// up, put in quarantine, and another spare is tried; one that makes progress is
// left alone.
func TestAStalledJoinerMakesRoom(t *testing.T) {
	r := newRealm(t, 5, quick)
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(600 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	start := r.manager().Config(1).Start
	for i := range uint64(30) {
		r.actors["n1"].join = &JoinProgress{Group: 1, Start: start, Keys: i, KeysTotal: 100, Bytes: i, BytesTotal: 100}
		r.pass(100 * time.Millisecond)
		require.Equal(t, "n4", r.joiningNode(), "it makes progress")
	}
	r.pass(1200 * time.Millisecond)
	require.Equal(t, "n5", r.joiningNode())
	require.NotEmpty(t, r.happened(EventJoinEnded))
	r.say("n1", &CaughtUp{Group: 1, Epoch: r.epoch(1), Start: start, Node: peerOf("n4").ID})
	require.Equal(t, []string{"n1", "n2"}, r.members(1), "it has caught up too late")
}

// Manager 6: a node starts again far away, and is asked to join before it can have answered a
// ping. It has the time of a first round trip.
func TestASpareFarAwayIsGivenTheTimeToAnswer(t *testing.T) {
	r := newRealm(t, 4, inDurableMode)
	r.trip = 300 * time.Millisecond
	r.pass(5 * time.Second)
	r.place("k")
	r.ail(refusing, "n4")
	r.pass(5 * time.Second)
	r.ail(refusing, "n3")
	r.pass(5 * time.Second)
	require.Equal(t, []string{"n1", "n2"}, r.members(1))
	require.Empty(t, r.joiningNode())
	r.ail(well, "n4")
	r.actors["n4"].boot++
	r.present(r.actors["n4"])
	r.happened(EventJoinEnded)
	for i := 0; r.joiningNode() == ""; i++ {
		require.Less(t, i, 100)
		r.pass(ping)
	}
	for range 30 {
		r.pass(ping)
		require.Empty(t, r.happened(EventJoinEnded))
	}
	require.Equal(t, "n4", r.joiningNode())
	r.ail(silent, "n4")
	r.pass(2 * time.Second)
	require.NotEmpty(t, r.happened(EventJoinEnded), "now it is silent")
}

// Manager 6: every group that is short gets a spare, the one with the fewest
// members first.
func TestMostEndangeredGroupIsHealedFirst(t *testing.T) {
	r := newRealm(t, 6, quick)
	r.place("a")
	r.place("b")
	r.ail(refusing, "n3", "n5", "n6")
	r.pass(time.Second)
	require.Equal(t, []string{"n4"}, r.members(2))
	r.register(peerOf("n7"))
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n7", r.manager().Config(2).Joining.Addr)
	require.Zero(t, r.manager().Config(1).Joining)
	r.register(peerOf("n8"))
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n8", r.manager().Config(1).Joining.Addr)
}

// Manager 6: --spares holds nodes back from new groups, not from healing; and
// healing comes before new groups.
func TestSparesAreHeldBack(t *testing.T) {
	r := newRealm(t, 6, quick, func(o *ManagerOptions) { o.Spares = 1 })
	r.place("a")
	r.place("b")
	require.Equal(t, 1, r.manager().Groups(), "three more nodes would make a group, but none would be left")
	r.register(peerOf("n7"))
	r.place("c")
	require.Equal(t, 2, r.manager().Groups())
	r.ail(refusing, "n3")
	r.pass(time.Second)
	require.Equal(t, "n7", r.joiningNode())
}

// drain has an operator ask for a node to be drained, and returns the answers
// that came at once.
func (r *realm) drain(req uint64, name string) []*Drained {
	r.t.Helper()
	r.stepRaw(Envelope{From: Peer{Addr: "op"}, To: Peer{Addr: "m"}, Body: &Drain{Req: req, Node: peerOf(name).ID}})
	r.serve()
	return received[*Drained](r, "op")
}

// Manager 6: a drained node's place goes to a spare before it leaves. Without a
// spare nothing is changed.
func TestDrain(t *testing.T) {
	r := newRealm(t, 4, quick)
	r.place("k")
	same(t, []*Drained{{Req: 1, Status: StatusNotFound}}, r.drain(1, "n9"))
	require.Empty(t, r.drain(2, "n1"))
	require.Empty(t, r.drain(3, "n1"), "twice at once")
	r.pass(100 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1), "it leaves when the other is there")
	c := r.manager().Config(1)
	r.say("n1", &CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: peerOf("n4").ID})
	r.pass(100 * time.Millisecond)
	require.Equal(t, []string{"n2", "n3", "n4"}, r.members(1))
	same(t, []*Drained{{Req: 2, Status: StatusOK}, {Req: 3, Status: StatusOK}}, received[*Drained](r, "op"))
	same(t, []*Drained{{Req: 4, Status: StatusOK}}, r.drain(4, "n1"))

	epoch := r.epoch(1)
	same(t, []*Drained{{Req: 5, Status: StatusUnavailable}}, r.drain(5, "n2"))
	r.pass(time.Minute)
	require.Equal(t, epoch, r.epoch(1), "no spare is left: n1 is not used again")
}

// Manager 6: the last copy stays whatever is asked, and its drain is refused.
func TestDrainOfTheLastCopy(t *testing.T) {
	r := newRealm(t, 1, quick, replicas(0))
	r.place("k")
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, r.drain(1, "n1"))
	r.pass(time.Minute)
	require.Equal(t, []string{"n1"}, r.members(1))
	require.EqualValues(t, 1, r.epoch(1))
}

// Manager 6: the spare that a drain counted on dies before it has caught up. The
// node stays, and whoever waits is told.
func TestDrainLosesItsSpare(t *testing.T) {
	r := newRealm(t, 4, quick)
	r.place("k")
	require.Empty(t, r.drain(1, "n1"))
	r.pass(100 * time.Millisecond)
	r.ail(refusing, "n4")
	r.pass(3 * time.Second)
	same(t, []*Drained{{Req: 1, Status: StatusUnavailable}}, received[*Drained](r, "op"))
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	require.Empty(t, r.joiningNode())
}

// Manager 6: two members of a group are drained at once. With a spare for each
// both go, one after the other; with a spare for one only that one does, and the
// other is refused at once: one spare is not promised twice.
func TestTwoMembersAreDrainedAtOnce(t *testing.T) {
	for spares, want := range map[int][]Status{1: {StatusOK, StatusUnavailable}, 2: {StatusOK, StatusOK}} {
		r := newRealm(t, 3+spares, quick)
		r.place("k")
		require.Empty(t, r.drain(1, "n1"))
		second := r.drain(2, "n2")
		require.Len(t, second, 2-spares)
		least := 3
		for range 40 {
			r.pass(100 * time.Millisecond)
			if c := r.manager().Config(1); c.Joining.ID != 0 {
				r.say(r.members(1)[0], &CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: c.Joining.ID})
			}
			least = min(least, len(r.members(1)))
		}
		var got []Status
		for _, d := range append(second, received[*Drained](r, "op")...) {
			got = append(got, d.Status)
		}
		require.ElementsMatch(t, want, got, "%d spares", spares)
		require.Len(t, r.members(1), 3, "%d spares", spares)
		require.Equal(t, 3, least, "the group is never short for a drain")
	}
}

// Manager 6: all nodes are drained at once. Nothing can take the members' places:
// all of them stay.
func TestDrainOfAllNodes(t *testing.T) {
	r := newRealm(t, 4, quick)
	r.place("k")
	same(t, []*Drained{{Req: 1, Status: StatusOK}}, r.drain(1, "n4"))
	for i, name := range []string{"n1", "n2", "n3"} {
		same(t, []*Drained{{Req: uint64(i + 2), Status: StatusUnavailable}}, r.drain(uint64(i+2), name))
	}
	r.pass(time.Minute)
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	require.EqualValues(t, 1, r.epoch(1))
}

// Manager 6: a node is drained while it joins. The join is given up for another
// spare, and the node can be stopped.
func TestDrainOfAJoiningNode(t *testing.T) {
	r := newRealm(t, 5, quick)
	r.place("k")
	r.ail(refusing, "n3")
	r.pass(600 * time.Millisecond)
	require.Equal(t, "n4", r.joiningNode())
	same(t, []*Drained{{Req: 1, Status: StatusOK}}, r.drain(1, "n4"))
	require.NotEqual(t, "n4", r.joiningNode())
	r.pass(200 * time.Millisecond)
	require.Equal(t, "n5", r.joiningNode())
}

// Manager 6: of nodes that are gone and in no group there are more and more. They
// are pinged only now and then, but members, dead or not, with every round; and a
// node that comes back is pinged with the next one.
func TestTheLongDeadArePingedSeldom(t *testing.T) {
	r := newRealm(t, 5, quick)
	r.place("k")
	r.ail(silent, "n4", "n5")
	r.pass(3 * time.Second)
	r.pings = 0
	r.pass(10 * time.Second)
	require.InDelta(t, 3*200+2*20, r.pings, 10)
	r.ail(well, "n4", "n5")
	r.present(r.actors["n4"])
	require.Empty(t, r.manager().spares(), "n4 has said that it lives, not that it hears the manager")
	r.pass(100 * time.Millisecond)
	require.Len(t, r.manager().spares(), 1)
	r.pass(600 * time.Millisecond)
	require.Len(t, r.manager().spares(), 2, "n5 has answered a ping")
}

// Manager 6: that holds also while an inquiry begins with every round, and takes nonces.
func TestTheLongDeadArePingedDuringInquiries(t *testing.T) {
	for _, nodes := range []int{4, 5} { // the last is dead
		r := newRealm(t, nodes, quick)
		r.place("k")
		last := "n" + string(rune('0'+nodes))
		r.ail(silent, last)
		r.pass(3 * time.Second)
		r.pings = 0
		for range 200 {
			r.say("c1", suspect(1, "n1"))
			r.pass(50 * time.Millisecond)
		}
		require.InDelta(t, (nodes-1)*200+20, r.pings, 10)
	}
}

// Manager 6: a node that leaves chains again and again waits longer each time
// before it is used again.
func TestQuarantineGrows(t *testing.T) {
	r := newRealm(t, 3, quick)
	r.place("k")
	var waits []time.Duration
	for range 3 {
		r.ail(refusing, "n3")
		r.pass(time.Second)
		require.Equal(t, []string{"n1", "n2"}, r.members(1))
		r.ail(well, "n3")
		from := r.now
		for r.joiningNode() == "" {
			r.pass(50 * time.Millisecond)
			require.Less(t, r.now.Since(from), time.Minute)
		}
		waits = append(waits, r.now.Since(from))
		c := r.manager().Config(1)
		r.say("n1", &CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: peerOf("n3").ID})
		require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	}
	require.Greater(t, waits[1], waits[0]+time.Second)
	require.Greater(t, waits[2], waits[1]+3*time.Second)
}
