package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// spread counts the keys of each group.
func (r *realm) spread() map[GroupID]int {
	count := map[GroupID]int{}
	for _, id := range r.manager().dir.units {
		count[id]++
	}
	return count
}

// forget has an operator, who belongs to no cluster, say that a node's data is gone.
func (r *realm) forget(req uint64, id NodeID) {
	r.t.Helper()
	r.stepRaw(Envelope{From: Peer{Addr: "op"}, To: Peer{Addr: "m"}, Body: &Forget{Req: req, Node: id}})
	r.serve()
}

// Nodes that register are spares; a group is formed of k+1 of them, in the order
// in which they came, when a first put needs one. Nodes that are left over stay
// spares, and further keys go round the groups evenly (manager 1).
func TestGroupsAreFormedAtFirstPutsAndKeysGoRound(t *testing.T) {
	r := newRealm(t, 7)
	require.Zero(t, r.manager().Groups())
	for i := range 20 {
		r.place(fmt.Sprintf("key%d", i))
	}
	require.Equal(t, 2, r.manager().Groups())
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1), "the first is the primary")
	require.Equal(t, []string{"n4", "n5", "n6"}, r.members(2))
	require.Zero(t, r.manager().Node(6, r.now).Group, "n7 is left over")
	require.Equal(t, map[GroupID]int{1: 10, 2: 10}, r.spread())

	for i := range 20 { // later puts and gets find the same group
		key := fmt.Sprintf("key%d", i)
		require.Equal(t, r.manager().KeyGroup(key), r.lookup(key, i%2 == 0).Config.Group)
	}
	require.Equal(t, 20, r.manager().Units())
}

// Nodes come late and in any number. They wait until they are enough for a
// group, and the next new key is what forms it.
func TestNodesThatRegisterLateFormAGroupOnceTheyAreEnough(t *testing.T) {
	r := newRealm(t, 0)
	require.Equal(t, &LookupReply{Placement: PlacementKey, Req: 1, Status: StatusUnavailable, Have: 0, Need: 3}, r.lookup("a", true))
	r.register(peerOf("n1"))
	r.register(peerOf("n2"))
	require.Equal(t, &LookupReply{Placement: PlacementKey, Req: 2, Status: StatusUnavailable, Have: 2, Need: 3}, r.lookup("a", true))
	require.Zero(t, r.manager().Units(), "what was refused maps nothing")
	r.register(peerOf("n3"))
	require.EqualValues(t, 1, r.place("a"))

	r.register(peerOf("n4"))
	require.EqualValues(t, 1, r.place("b"))
	r.register(peerOf("n5"))
	require.EqualValues(t, 1, r.place("c"))
	r.register(peerOf("n6"))
	require.Equal(t, 1, r.manager().Groups(), "a node that comes forms nothing by itself")
	require.EqualValues(t, 2, r.place("d"))
	require.Equal(t, []string{"n4", "n5", "n6"}, r.members(2))
}

// A get, a delete or the like of a key that nobody has put maps nothing.
func TestAnUnmappedKeyIsNotFound(t *testing.T) {
	r := newRealm(t, 3)
	require.Equal(t, &LookupReply{Placement: PlacementKey, Req: 1, Status: StatusNotFound}, r.lookup("a", false))
	require.Zero(t, r.manager().Units())
	require.Zero(t, r.manager().Groups())
	for _, key := range []string{"", strings.Repeat("x", KeyBytesMax+1)} {
		require.Equal(t, StatusTooLarge, r.lookup(key, true).Status)
	}
	require.EqualValues(t, 1, r.place(strings.Repeat("x", KeyBytesMax)))
}

// Two clients put the same new key while the command of the first is on its way
// to the disk. There is one mapping, and both learn it (manager 1).
func TestTwoClientsMapTheSameNewKey(t *testing.T) {
	r := newRealm(t, 6, inDurableMode)
	index := r.manager().Index()
	r.held = true
	r.say("c1", &Lookup{Req: 1, Key: "a", Create: true})
	r.say("c2", &Lookup{Req: 1, Key: "a", Create: true})
	r.say("c1", &Lookup{Req: 1, Key: "a", Create: true}) // asked again
	r.say("c3", &Lookup{Req: 5, Key: "a"})               // a get: not mapped yet
	require.Equal(t, []*LookupReply{{Placement: PlacementKey, Req: 5, Status: StatusNotFound}}, received[*LookupReply](r, "c3"))
	r.flush()

	require.Equal(t, index+1, r.manager().Index())
	require.Equal(t, 1, r.manager().Groups())
	want := []*LookupReply{{Placement: PlacementKey, Req: 1, Status: StatusOK, Config: r.manager().Config(1)}}
	require.Equal(t, want, received[*LookupReply](r, "c1"), "one answer to one request")
	require.Equal(t, want, received[*LookupReply](r, "c2"))
}

// The mapping itself is idempotent: should two commands for a key ever be on
// their way, the first wins, and the second takes no nodes (manager 1).
func TestTheFirstMappingOfAKeyWins(t *testing.T) {
	d := directoryOf("n1", "n2")
	first := d.apply(&Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1}, Terms: Terms{ReadConfirm, 0, 1}})
	require.Equal(t, applied{formed: true, mapped: 1, isNew: true, changed: []*Config{config(1, "n1")}}, first)
	second := d.apply(&Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{2}, Terms: Terms{ReadConfirm, 0, 1}})
	require.Equal(t, applied{mapped: 1}, second)
	require.Zero(t, d.node(2).group)

	// Members that are in a group already, or gone, form none.
	third := d.apply(&Command{Kind: CommandPlace, Unit: "b", Members: []NodeID{2, 1}, Terms: Terms{ReadConfirm, 0, 1}})
	require.Equal(t, applied{mapped: 1, isNew: true}, third)
	d.apply(&Command{Kind: CommandGone, Node: NodeRecord{Peer: peerOf("n2")}})
	fourth := d.apply(&Command{Kind: CommandPlace, Unit: "c", Members: []NodeID{2}, Terms: Terms{ReadConfirm, 0, 1}})
	require.Equal(t, applied{mapped: 1, isNew: true}, fourth)
}

func directoryOf(names ...string) *Directory {
	d := newDirectory(PlacementKey)
	for _, name := range names {
		d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(name), Name: name, Boot: 1}})
	}
	return d
}

// Commands decide when they are applied. One of an epoch that is over changes
// nothing (manager 4), and none takes the last member out (rule R2).
func TestReconfigurationIsByCompareAndSetOnTheEpoch(t *testing.T) {
	d := directoryOf("n1", "n2", "n3")
	d.apply(&Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1, 2, 3}, Terms: Terms{ReadConfirm, 0, 1}})
	remove := func(e Epoch, ids ...NodeID) []*Config {
		return d.apply(&Command{Kind: CommandReconfigure, Group: 1, Epoch: e, Remove: ids}).changed
	}
	require.Equal(t, []*Config{config(2, "n2", "n3")}, remove(1, 1))
	require.Empty(t, remove(1, 1), "a second report of the same death")
	require.Empty(t, remove(1, 2))
	require.Empty(t, remove(3, 2))
	require.Empty(t, remove(2, 2, 3), "nobody would stay")
	require.Equal(t, []*Config{config(3, "n2", "n3")}, remove(2), "the same chain, issued again")
	require.Equal(t, []*Config{config(4, "n3")}, remove(3, 2))
	require.Empty(t, remove(4, 3))
	require.Zero(t, d.node(1).group, "who was removed is a spare")
}

// Two first puts at once must not count on the same spares: the second would
// find them taken and pile its key onto the first one's group (manager 1).
func TestTwoGroupsFormedAtOnceTakeDifferentSpares(t *testing.T) {
	r := newRealm(t, 5, inDurableMode, replicas(1))
	r.held = true
	r.say("c1", &Lookup{Req: 1, Key: "a", Create: true})
	r.say("c2", &Lookup{Req: 1, Key: "b", Create: true})
	r.say("c3", &Lookup{Req: 1, Key: "c", Create: true})
	r.flush()
	require.Equal(t, []string{"n1", "n2"}, r.members(1))
	require.Equal(t, []string{"n3", "n4"}, r.members(2))
	require.Equal(t, 2, r.manager().Groups())
	for _, c := range []string{"c1", "c2", "c3"} {
		require.Equal(t, StatusOK, received[*LookupReply](r, c)[0].Status, c)
	}
	require.Equal(t, map[GroupID]int{1: 2, 2: 1}, r.spread())
}

// A spare that has died must not be in a new group: its first writes would wait
// for a dead node (manager 1).
func TestDeadSparesAreNotPickedForANewGroup(t *testing.T) {
	for name, kill := range map[string]func(r *realm){
		"silent":    func(r *realm) { r.ail(silent, "n1") },
		"refusing":  func(r *realm) { r.ail(refusing, "n1") },
		"replaced":  func(r *realm) { r.ail(replaced, "n1") },
		"farewell":  func(r *realm) { r.say("n1", &Farewell{Boot: 1}) },
		"forgotten": func(r *realm) { r.forget(1, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 4)
			r.pass(time.Second)
			kill(r)
			r.pass(250 * time.Millisecond)
			r.place("a")
			require.Equal(t, []string{"n2", "n3", "n4"}, r.members(1))
		})
	}
}

// With fewer than k+1 spares a new key goes to the next group; with no group
// either it is refused, and the refusal says what is missing (manager 1).
func TestFewerSparesThanAGroupTakes(t *testing.T) {
	r := newRealm(t, 3)
	r.pass(time.Second)
	r.ail(silent, "n2")
	r.pass(1600 * time.Millisecond)
	require.Equal(t, &LookupReply{Placement: PlacementKey, Req: 1, Status: StatusUnavailable, Have: 2, Need: 3}, r.lookup("a", true))
	r.ail(well, "n2")
	r.pass(1100 * time.Millisecond) // who has been silent for long is pinged seldom
	require.EqualValues(t, 1, r.place("a"))

	for _, name := range []string{"n4", "n5", "n6", "n7", "n8"} {
		r.register(peerOf(name))
	}
	require.EqualValues(t, 2, r.place("b"))
	require.EqualValues(t, 1, r.place("c"))
	require.EqualValues(t, 2, r.place("d"))
	require.EqualValues(t, 1, r.place("e"))
}

// A node whose mode is not the cluster's would break its promises: it is
// refused and stops.
func TestModeMismatchIsRefused(t *testing.T) {
	for name, options := range map[string][]func(*ManagerOptions){"durable": {inDurableMode}, "memory": nil} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 0, options...)
			r.durable = !r.durable // of the node's Register only
			r.register(peerOf("n1"))
			require.Zero(t, r.manager().Nodes())
			refused := received[*Refused](r, "n1")
			require.Equal(t, []*Refused{{Reason: RefusedMode, What: KindRegister}}, refused)

			n := newStorageAt(t, "n1")
			n.stepRaw(Envelope{From: peerOf("m"), To: n.self, Body: refused[0]})
			require.ErrorIs(t, n.halted, ErrMode)
		})
	}
}

// An operator says that a node's data is gone. The node may be alive: whatever
// it says from now on is answered with the order to stop.
func TestAForgottenNodeIsToldToStop(t *testing.T) {
	r := newRealm(t, 4, inDurableMode)
	r.place("a")
	r.held = true
	r.forget(7, 3)
	require.Empty(t, received[*Forgotten](r, "op"), "not durable yet")
	require.Empty(t, received[*Refused](r, "n3"))
	r.flush()
	r.held = false
	require.Equal(t, []*Forgotten{{Req: 7, Status: StatusOK}}, received[*Forgotten](r, "op"))
	refused := received[*Refused](r, "n3")
	require.Len(t, refused, 1, "at once")
	require.Equal(t, RefusedForgotten, refused[0].Reason)
	r.flush()
	r.requireChain(2, "n1", "n2")

	index := r.manager().Index()
	n3 := r.actors["n3"]
	n3.boot = 2
	for _, say := range []func(){
		func() { r.present(n3) },
		func() { r.say("n3", &Pong{Nonce: r.manager().nonce, Boot: 1}) },
		func() { r.say("n3", suspect(2, "n1")) },
	} {
		say()
		require.Equal(t, RefusedForgotten, received[*Refused](r, "n3")[0].Reason)
	}
	require.Equal(t, index, r.manager().Index())
	require.Equal(t, StatusOK, r.lookup("b", true).Status)
	require.Equal(t, 1, r.manager().Groups(), "it is no spare")

	r.forget(8, 3)
	r.forget(9, 99)
	require.Equal(t, []*Forgotten{{Req: 8, Status: StatusOK}, {Req: 9, Status: StatusNotFound}}, received[*Forgotten](r, "op"))

	n := newStorageAt(t, "n3", durable).registered()
	n.step("m", refused[0])
	require.ErrorIs(t, n.halted, ErrForgotten)
}

// What belongs to another cluster, or is meant for another manager, is refused.
func TestANodeOfAnotherClusterIsRefused(t *testing.T) {
	r := newRealm(t, 1)
	other := ClusterID(0xd2)
	r.stepRaw(Envelope{Cluster: other, From: peerOf("n2"), To: Peer{Addr: "m"}, Body: &Register{Boot: 1}})
	r.stepRaw(Envelope{Cluster: rigCluster, From: peerOf("n2"), To: Peer{ID: 0x999, Addr: "m"}, Body: &Register{Boot: 1}})
	r.stepRaw(Envelope{Cluster: other, From: peerOf("c1"), To: Peer{Addr: "m"}, Body: &Lookup{Req: 1, Key: "a", Create: true}})
	r.serve()
	require.Equal(t, []*Refused{
		{Reason: RefusedOtherCluster, What: KindRegister},
		{Reason: RefusedOtherNode, Wanted: 0x999, What: KindRegister},
	}, received[*Refused](r, "n2"))
	require.Empty(t, received[*LookupReply](r, "c1"))
	require.Equal(t, 1, r.manager().Nodes())
	require.Zero(t, r.manager().Units())

	r.say("n1", suspect(1, "n1"))
	require.Len(t, r.happened(EventRefused), 3, "the node's own messages are welcome")
}

// A node that lost its data comes back under its old address. It is another
// node: a spare (rule "who a node is"). The member it was is found to be gone by
// what its address answers, and leaves the chain.
func TestAWipedNodeThatComesBackIsNotCounted(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	wiped := Peer{ID: 0x33, Addr: "n3"}
	r.register(wiped)
	r.requireChain(1, "n1", "n2", "n3")
	require.Equal(t, NodeID(3), r.manager().Config(1).Chain[2].ID, "its registering makes it no member")
	require.Zero(t, r.manager().Node(3, r.now).Group)

	r.pass(50 * time.Millisecond)
	require.NotEmpty(t, r.probed(), "the next ping finds another node at the address")
	r.requireChain(2, "n1", "n2")
	require.Zero(t, r.manager().Node(3, r.now).Group)
}

// The wiped node's side: whatever is addressed to the node it was is refused, and
// a config whose chain names that one concerns it no more (rule "who a node is").
func TestAWipedNodeTakesInNothingThatWasMeantForItsPast(t *testing.T) {
	n := newStorageAt(t, "n3").registered()
	old := Peer{ID: 0x33, Addr: "n3"}
	was := config(1, "n1", "n2")
	was.Chain = append(was.Chain, old)
	for _, m := range []Message{
		&Replicate{Group: 1, Epoch: 1, Round: 1, Config: was}, &Ping{Nonce: 1, Boot: 1}, &Probe{Nonce: 1}, was,
	} {
		n.stepRaw(Envelope{Cluster: rigCluster, From: peerOf("n1"), To: old, Body: m})
		require.Equal(t, &Refused{Reason: RefusedOtherNode, Wanted: 0x33, What: KindOf(m)}, only[*Refused](n, "n1"))
	}
	n.step("n1", was)
	n.step("n1", &Replicate{Group: 1, Epoch: 1, Round: 1, Config: was})
	require.Empty(t, sent[*Ack](n, "n1"))
	require.Zero(t, n.storage().Groups())
}

// The manager's identity is on the disk before it says a word: else it could
// gather a cluster whose id it has forgotten when it restarts.
func TestTheManagersIdentityIsDurableBeforeAnything(t *testing.T) {
	r := &realm{rig: newManagerAt(t, inDurableMode), actors: map[string]*actor{}}
	r.crash(0)
	clear(r.space)
	r.held, r.mail = true, nil
	r.restart()
	r.register(peerOf("n1"))
	r.say("c1", &Lookup{Req: 1, Key: "a"})
	r.tick(time.Second)
	require.Empty(t, r.mail)
	require.Empty(t, r.letters)
	r.crash(0)

	r.held = false
	r.restart()
	r.register(peerOf("n1"))
	require.Len(t, received[*Registered](r, "n1"), 1)
	id, cluster := r.manager().ID(), r.manager().Cluster()
	r.crash(0)
	again := ManagerOptions{Self: Peer{ID: 0x777, Addr: "m"}, Cluster: 0x778, Durable: true}
	m, err := NewManager(again, r.space)
	require.NoError(t, err)
	require.Equal(t, id, m.ID(), "what the driver draws is for an empty space")
	require.Equal(t, cluster, m.Cluster())
}

// A storage node makes its boot durable before it registers, and its identity
// with it.
func TestABootIsDurableBeforeItIsRegistered(t *testing.T) {
	n := newStorageAt(t, "n1", durable)
	require.EqualValues(t, 1, only[*Register](n, "m").Boot)
	n.held = true
	for range 3 { // starts that do not live to see their boot on the disk
		n.crash(0)
		n.restart()
		require.Empty(t, sent[*Register](n, "m"))
	}
	n.sync()
	require.EqualValues(t, 2, only[*Register](n, "m").Boot)
	require.Equal(t, peerOf("n1").ID, n.storage().ID())
}

// Every command of the Directory is durable before a reply or a config shows
// it: a manager that crashes in between has promised nothing.
func TestACommandIsDurableBeforeAnythingShowsIt(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(r *realm)
		shows string // who would hear of it
	}{
		"register":    {func(r *realm) { r.register(peerOf("n5")) }, "n5"},
		"map a key":   {func(r *realm) { r.say("c1", &Lookup{Req: 1, Key: "b", Create: true}) }, "c1"},
		"reconfigure": {func(r *realm) { r.ail(refusing, "n3"); r.say("c1", suspect(1, "n3")) }, "n2"},
		"reissue":     {func(r *realm) { r.actors["n1"].boot = 2; r.present(r.actors["n1"]) }, "n2"},
		"forget":      {func(r *realm) { r.forget(1, 4) }, "op"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 4, inDurableMode)
			r.place("a")
			r.pass(time.Second)
			before := r.manager().Index()
			r.letters, r.held = nil, true
			c.do(r)
			r.pass(40 * time.Millisecond)
			require.Empty(t, r.letters)
			require.Equal(t, before, r.manager().Index())

			r.crash(0)
			r.restart()
			require.Equal(t, before, r.manager().Index(), "lost with the crash, as if it had never been")
			r.ail(well, "n3") // who has not answered a manager that was started again is not taken for dead
			r.flush()
			r.pass(40 * time.Millisecond)
			r.letters = nil
			c.do(r)
			require.Empty(t, r.letters)
			r.flush()
			require.Equal(t, before+1, r.manager().Index())
			require.True(t, slices.ContainsFunc(r.letters, func(l letter) bool { return l.to == c.shows }), "%v", r.letters)
		})
	}
}

// A restarted durable manager has the same Directory, to the turn of the round
// robin, and goes on with it.
func TestARestartedManagerKeepsItsDirectory(t *testing.T) {
	r := newRealm(t, 8, inDurableMode)
	for _, key := range []string{"a", "b", "c"} {
		r.place(key)
	}
	r.ail(refusing, "n2")
	r.say("n1", suspect(1, "n2"))
	r.actors["n4"].boot = 2
	r.present(r.actors["n4"])
	r.forget(1, 8)
	before := r.manager().dir
	require.EqualValues(t, 2, r.epoch(1))
	require.EqualValues(t, 2, r.epoch(2))

	r.crash(0)
	r.restart()
	r.serve()
	same := cmp.AllowUnexported(Directory{}, nodeEntry{}, groupEntry{})
	require.Empty(t, cmp.Diff(before, r.manager().dir, same))
	require.EqualValues(t, 2, r.place("d"), "it was group 2's turn")
	require.Equal(t, StatusOK, r.lookup("a", false).Status)
}

// A manager that was started over an older copy of its disk must not go on: it
// would give epochs and keys away twice. The nodes remember the highest index
// they have seen, and say so (manager 7).
func TestAManagerWithAmnesiaHalts(t *testing.T) {
	for name, tell := range map[string]func(r *realm){
		"by a Pong":     func(r *realm) { r.pass(50 * time.Millisecond) },
		"by a Register": func(r *realm) { r.present(r.actors["n1"]) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 3, inDurableMode)
			old := rigSpace{}
			for k, v := range r.space {
				old[k] = v
			}
			seen := r.manager().Index()
			r.pass(100 * time.Millisecond)
			r.place("a")
			r.pass(100 * time.Millisecond)
			r.crash(0)

			r.space = old
			r.restart()
			require.Equal(t, seen, r.manager().Index())
			r.letters = nil
			tell(r)
			require.ErrorIs(t, r.halted, ErrAmnesia)
			require.Contains(t, r.halted.Error(), "it began at index 3, but node 0000000000000001 has seen index 4")
			require.Empty(t, r.letters, "it has said nothing that it might have to take back")
		})
	}
}

// A manager has lost the end of its Directory, and all nodes are started again with it. Their
// Registers raise its index above all that it had. Still it is found out, by what they have
// seen of its earlier starts, or by the groups and epochs that they know.
func TestAManagerThatLostCommandsAndGoesOnHalts(t *testing.T) {
	for name, c := range map[string]struct {
		forget func(a *actor)
		want   string
	}{
		"by what was seen":         {func(a *actor) { a.epochs = nil }, "it began at index 3, but node 0000000000000001 has seen index 5"},
		"by a group":               {func(a *actor) { a.seen = directorySeen{} }, "it has no group 1, but node 0000000000000001"},
		"by an epoch of its group": {func(a *actor) { a.seen, a.epochs[0].Epoch = directorySeen{}, 7 }, "it knows group 1 up to epoch 2, but node 0000000000000001 knows epoch 7"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 3, inDurableMode)
			old := maps.Clone(r.space)
			r.pass(100 * time.Millisecond)
			r.place("a")
			r.place("b")
			if strings.Contains(name, "epoch") {
				old = maps.Clone(r.space)
			}
			r.pass(100 * time.Millisecond)
			r.crash(0)
			r.space = old
			for _, a := range r.actors {
				a.boot++
				c.forget(a)
			}
			r.ail(refusing, "n1", "n2", "n3") // their Registers come through
			r.restart()
			for _, n := range []string{"n2", "n3", "n1"} {
				a := r.actors[n]
				for range 2 {
					r.stepRaw(Envelope{From: a.peer, To: Peer{Addr: "m"}, Body: &Register{Boot: a.boot, Durable: true}})
					r.serve()
				}
			}
			require.NoError(t, r.halted)
			require.GreaterOrEqual(t, r.manager().Index(), Index(5), "above all that it had")
			r.ail(well, "n1", "n2", "n3")
			r.pass(100 * time.Millisecond)
			require.ErrorIs(t, r.halted, ErrAmnesia)
			require.Contains(t, r.halted.Error(), c.want)
		})
	}
}

// What the disk has kept, in whole, is enough: a node that has seen all of it
// is no reason to halt.
func TestAManagerWithItsWholeMemoryGoesOn(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.pass(time.Second)
	r.crash(0)
	r.restart()
	r.serve()
	r.present(r.actors["n1"])
	r.pass(time.Second)
	require.NoError(t, r.halted)
	require.Equal(t, r.manager().Index(), r.actors["n1"].seen.index)
}

// In memory mode a manager that restarts is the manager of a new cluster. The
// nodes of the old one refuse its messages and go on with what they know.
func TestAManagerInMemoryThatRestartsIsANewCluster(t *testing.T) {
	n := newStorageAt(t, "n1").registered()
	n.step("m", config(1, "n1"))
	reborn := Peer{ID: 0x201, Addr: "m"}
	for _, m := range []Message{&Ping{Nonce: 1, Boot: 1}, config(2, "n2"), &Probe{Nonce: 2}} {
		n.stepRaw(Envelope{Cluster: 0xd2, From: reborn, To: n.self, Body: m})
		require.Equal(t, &Refused{Reason: RefusedOtherCluster, Wanted: 1, What: KindOf(m)}, only[*Refused](n, "m"))
	}
	n.stepRaw(Envelope{Cluster: 0xd2, From: reborn, To: n.self, Body: &Registered{Boot: 1}})
	require.Equal(t, rigCluster, n.storage().Cluster())
	require.EqualValues(t, 1, n.view().Config.Epoch)
	require.True(t, n.view().Serving)

	// It registers with the cluster it belongs to, and is not taken in.
	n.tick(2 * time.Second)
	latest[*Register](n, "m")
	m := newRealm(t, 0)
	m.stepRaw(Envelope{Cluster: 0xd2, From: n.self, To: Peer{ID: 0x999, Addr: "m"}, Body: &Register{Boot: 1}})
	require.Zero(t, m.manager().Nodes())
}

// damage changes one record of a space.
func (s rigSpace) damage(key string) {
	v := []byte(s[key])
	v[len(v)/2] ^= 1
	s[key] = string(v)
}

// managerSpace is a disk with three nodes, a group and a key, and nodeSpace
// that of a primary with three entries.
func managerSpace(t *testing.T) rigSpace {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.crash(0)
	return r.space
}

func nodeSpace(t *testing.T) rigSpace {
	n := newStorageAt(t, "n1", durable).registered()
	n.step("m", config(1, "n1"))
	for i := range 3 {
		n.step("c1", &Op{Group: 1, Req: uint64(2*i + 1), Kind: OpOpen})
	}
	require.EqualValues(t, 3, n.view().Last)
	n.crash(0)
	return n.space
}

func startManager(s Space) (Node, error) {
	return NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true}, s)
}

func startStorage(s Space) (Node, error) {
	return NewStorage(StorageOptions{Self: peerOf("n1"), Durable: true}, s)
}

// A crash may lose the last batches: that is no damage, for nobody was told of
// them (rule "durable before sent"). A record that does not read, or is missing
// between others, is: the node must not start over it, and says what is wrong.
func TestATornTailIsNoDamageAndAHoleIs(t *testing.T) {
	command := func(i uint64) string { return ordered(prefixCommand, i) }
	entry := func(i uint64) string { return ordered(prefixLog, 1, i) }
	for name, c := range map[string]struct {
		space func(*testing.T) rigSpace
		start func(Space) (Node, error)
		harm  func(s rigSpace)
		want  string // what the error says; "" when the node must start
	}{
		"manager, all of it":        {managerSpace, startManager, func(rigSpace) {}, ""},
		"manager, last lost":        {managerSpace, startManager, func(s rigSpace) { delete(s, command(4)) }, ""},
		"manager, last two lost":    {managerSpace, startManager, func(s rigSpace) { delete(s, command(4)); delete(s, command(3)) }, ""},
		"manager, nothing left":     {managerSpace, startManager, func(s rigSpace) { clear(s) }, ""},
		"manager, identity rotten":  {managerSpace, startManager, func(s rigSpace) { s.damage(keyIdentity) }, "the identity"},
		"manager, command rotten":   {managerSpace, startManager, func(s rigSpace) { s.damage(command(2)) }, "after index 1"},
		"manager, last one rotten":  {managerSpace, startManager, func(s rigSpace) { s.damage(command(4)) }, "after index 3"},
		"manager, command missing":  {managerSpace, startManager, func(s rigSpace) { delete(s, command(2)) }, "no command at index 2"},
		"manager, first missing":    {managerSpace, startManager, func(s rigSpace) { delete(s, command(1)) }, "no command at index 1"},
		"manager, command of other": {managerSpace, startManager, func(s rigSpace) { s[command(2)] = s[keyIdentity] }, "after index 1"},

		"node, all of it":       {nodeSpace, startStorage, func(rigSpace) {}, ""},
		"node, last lost":       {nodeSpace, startStorage, func(s rigSpace) { delete(s, entry(3)) }, ""},
		"node, log lost":        {nodeSpace, startStorage, func(s rigSpace) { delete(s, entry(3)); delete(s, entry(2)); delete(s, entry(1)) }, ""},
		"node, nothing left":    {nodeSpace, startStorage, func(s rigSpace) { clear(s) }, ""},
		"node, identity rotten": {nodeSpace, startStorage, func(s rigSpace) { s.damage(keyIdentity) }, "the identity"},
		"node, config rotten":   {nodeSpace, startStorage, func(s rigSpace) { s.damage(ordered(prefixConfig, 1)) }, "node 0000000000000001"},
		"node, entry rotten":    {nodeSpace, startStorage, func(s rigSpace) { s.damage(entry(2)) }, "group 1, after seq 1"},
		"node, last one rotten": {nodeSpace, startStorage, func(s rigSpace) { s.damage(entry(3)) }, "group 1, after seq 2"},
		"node, entry missing":   {nodeSpace, startStorage, func(s rigSpace) { delete(s, entry(2)) }, "no entry at seq 2"},
		"node, first missing":   {nodeSpace, startStorage, func(s rigSpace) { delete(s, entry(1)) }, "no entry at seq 1"},
	} {
		t.Run(name, func(t *testing.T) {
			space := c.space(t)
			c.harm(space)
			_, err := c.start(space)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.True(t, errors.Is(err, ErrDamaged), "%v", err)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// The identity is durable before anything else is, and a group's config before
// its entries (rule "durable before sent"). A disk that has the later and not the
// earlier is damaged: taken for an empty one, or the group for one that the node
// was never in, it would begin a new log over the remains of the old, which the
// next start reads.
func TestARecordMissingBeneathOthersIsDamage(t *testing.T) {
	for name, c := range map[string]struct {
		space func(*testing.T) rigSpace
		start func(Space) (Node, error)
		lost  string
		want  string
	}{
		"manager without its identity":  {managerSpace, startManager, keyIdentity, "identity"},
		"node without its identity":     {nodeSpace, startStorage, keyIdentity, "identity"},
		"node without a group's config": {nodeSpace, startStorage, ordered(prefixConfig, 1), "group 1"},
	} {
		t.Run(name, func(t *testing.T) {
			space := c.space(t)
			delete(space, c.lost)
			_, err := c.start(space)
			require.Error(t, err)
			require.True(t, errors.Is(err, ErrDamaged), "%v", err)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A node that was asked to stop says farewell. The manager then has no more use
// for it and says so; the node has what it wanted, and that is no error.
func TestAFarewellThatWasHeardEndsTheNode(t *testing.T) {
	n := newStorageAt(t, "n1").registered()
	n.stepRaw(Envelope{From: peerOf("n1"), To: peerOf("n1"), Body: &Stop{}})
	require.NotEmpty(t, sent[*Farewell](n, "m"))
	require.NoError(t, n.halted, "a farewell can be lost: it is said again")
	n.step("m", &Refused{Reason: RefusedForgotten, Wanted: peerOf("m").ID, What: KindRegister})
	require.ErrorIs(t, n.halted, ErrStopped)
}
