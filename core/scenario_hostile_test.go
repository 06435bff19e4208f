package core

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of what a peer may say that is broken, or lies. TestHostileMessagesHarmNobody
// looks for more of them.

// A group's number was narrowed before it was compared, a join of group 0 was looked up, and
// an id of 0 was sent on: each ended the manager.
func TestNumbersOutOfRangeEndNoManager(t *testing.T) {
	unanswered := func(r *realm) (nonce, token uint64) { // a ping to n4
		r.actors["n4"].health = silent
		r.pass(50 * time.Millisecond)
		c := r.manager().contact(peerOf("n4").ID)
		return c.pinged, c.token
	}
	for name, attack := range map[string]func(r *realm){
		"the group of a report":          func(r *realm) { r.say("c1", &Suspect{Group: 1 << 63, Epoch: 1, Node: 1}) },
		"the group of a caught-up node":  func(r *realm) { r.say("n1", &CaughtUp{Group: math.MaxUint64, Epoch: 1, Start: 1, Node: 4}) },
		"an index that nobody has":       func(r *realm) { r.stepRaw(stranger(&Register{Boot: 1, Index: 1 << 60})) },
		"a boot whose nonces overflow":   func(r *realm) { r.stepRaw(stranger(&Register{Boot: 1 << 40})) },
		"a name that no disk would take": func(r *realm) { r.stepRaw(stranger(&Register{Boot: 1, Name: strings.Repeat("n", NameBytesMax+1)})) },
		"the groups of a Pong": func(r *realm) {
			nonce, token := unanswered(r)
			r.step("n4", &Pong{Nonce: nonce, Token: token, Boot: 1, Groups: []GroupEpoch{{1 << 63, 1}}})
		},
		"the join of a spare": func(r *realm) {
			nonce, token := unanswered(r)
			r.step("n4", &Pong{Nonce: nonce, Token: token, Boot: 1, Join: &JoinProgress{}})
		},
		"no id": func(r *realm) {
			r.stepRaw(Envelope{From: Peer{Addr: "x"}, To: Peer{Addr: "m"}, Body: &Register{Boot: 1}})
		},
		"the manager's own id": func(r *realm) {
			r.stepRaw(Envelope{From: Peer{ID: r.self.ID, Addr: "x"}, To: Peer{Addr: "m"}, Body: &Register{Boot: 1}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 4)
			r.place("a")
			index := r.manager().Index()
			attack(r)
			r.pass(100 * time.Millisecond)
			require.NoError(t, r.halted)
			require.Equal(t, index, r.manager().Index(), "nothing of it is in the Directory")
			r.requireChain(1, "n1", "n2", "n3")
		})
	}
}

func stranger(m Message) Envelope {
	return Envelope{From: Peer{ID: 0x999, Addr: "x"}, To: Peer{Addr: "m"}, Body: m}
}

// Three strangers registered, and a fourth message had them form a group: nobody ever
// answered for it. A node is used once it has answered, at its address (rule manager 1).
func TestInventedNodesFormNoGroup(t *testing.T) {
	r := newRealm(t, 0)
	for _, id := range []NodeID{0x991, 0x992, 0x993} {
		r.stepRaw(Envelope{From: Peer{ID: id, Addr: id.String()}, To: Peer{Addr: "m"}, Body: &Register{Boot: 1}})
	}
	r.say("c1", &Lookup{Req: 1, Key: "a", Create: true})
	for nonce := range uint64(10) { // an answer to a ping that it never got
		for _, id := range []NodeID{0x991, 0x992, 0x993} {
			r.stepRaw(Envelope{Cluster: rigCluster, From: Peer{ID: id}, To: r.self, Body: &Pong{Nonce: firstNonce(1) + nonce, Boot: 1}})
		}
	}
	r.pass(2 * time.Second)
	require.Zero(t, r.manager().Groups())
	require.Equal(t, StatusUnavailable, received[*LookupReply](r, "c1")[0].Status)

	for _, name := range []string{"n1", "n2", "n3"} {
		r.register(peerOf(name))
	}
	require.Equal(t, GroupID(1), r.place("a"))
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
}

// A node's token goes to its address alone. Without it nobody says farewell, reports, or
// has a node made a member in that one's name, nor says that its address is another's.
func TestNobodySpeaksForANodeWithoutItsToken(t *testing.T) {
	r := newRealm(t, 4)
	r.place("a")
	well := r.manager().Config(1)
	for _, p := range well.Chain { // that it cannot go on
		r.step(p.Addr, &Suspect{Group: 1, Epoch: well.Epoch, Node: p.ID, Token: 12345})
		r.serve()
		r.pass(time.Second)
		require.Equal(t, well, r.manager().Config(1), "%v goes on", p)
	}
	r.ail(refusing, "n3")
	r.pass(time.Second)
	require.Equal(t, "n4", r.joiningNode())
	c := r.manager().Config(1)
	primary := c.Chain[0].Addr
	for _, m := range []Message{
		&Farewell{Boot: 1},
		&CaughtUp{Group: 1, Epoch: c.Epoch, Start: c.Start, Node: c.Joining.ID},
		&Suspect{Group: 1, Epoch: c.Epoch, Node: c.Joining.ID},
		&Pong{Nonce: r.manager().nonce, Boot: 1, Index: 1 << 50},
		&Refused{Reason: RefusedOtherNode, Wanted: peerOf(primary).ID, What: KindProbe},
	} {
		r.step(primary, m)
		r.serve()
		require.Equal(t, c, r.manager().Config(1), "%v", KindOf(m))
		require.NoError(t, r.halted)
	}
	r.pass(time.Second)
	require.Equal(t, c, r.manager().Config(1))
	r.caughtUp()
	require.Equal(t, []string{"n1", "n2", "n4"}, r.members(1), "with it, it does")
}

// What stops a storage node, and what tells it who its manager is, carries the secret that
// it has told the manager alone. The ids are known to everybody.
func TestNobodyStopsANodeWithoutItsSecret(t *testing.T) {
	secret := func(o *StorageOptions) { o.Secret = 11 }
	for _, why := range []Refusal{RefusedForgotten, RefusedBoot, RefusedMode} {
		n := newStorageAt(t, "n1", secret)
		n.step("m", &Registered{Boot: 1})
		require.False(t, n.storage().registered)
		n.step("m", &Refused{Reason: why, Wanted: peerOf("m").ID, What: KindRegister})
		n.step("m", &Refused{Reason: why, Wanted: peerOf("m").ID, What: KindRegister, Token: 12})
		require.NoError(t, n.halted)
		n.step("m", &Registered{Boot: 1, Secret: 11})
		require.True(t, n.storage().registered)
		n.step("m", &Refused{Reason: why, Wanted: peerOf("m").ID, What: KindRegister})
		require.NoError(t, n.halted)
		n.step("m", &Refused{Reason: why, Wanted: peerOf("m").ID, What: KindRegister, Token: 11})
		require.Error(t, n.halted)
	}

}

// A node's data in the wrong cluster is a mistake that only a person can put right. It is
// noticed at the first Register of a start. A node that serves is not stopped by somebody
// who has taken its manager's address.
func TestANodeOfAnotherClusterStopsUnlessItServes(t *testing.T) {
	other := newRealm(t, 0, inDurableMode)
	register := &Register{Boot: 2, Secret: 11, Durable: true}
	other.stepRaw(Envelope{Cluster: 0xd2, From: peerOf("n1"), To: Peer{Addr: "m"}, Body: register})
	other.serve()
	refused := received[*Refused](other, "n1")
	require.Equal(t, []*Refused{{Reason: RefusedOtherCluster, What: KindRegister, Token: 11}}, refused)

	n := newStorageAt(t, "n1", durable, func(o *StorageOptions) { o.Secret = 11 })
	n.step("m", &Registered{Boot: 1, Secret: 11})
	n.step("c9", refused[0])
	require.NoError(t, n.halted, "it serves")
	n.crash(1 << 20)
	n.restart()
	forged := *refused[0]
	forged.Token = 12
	n.step("c9", &forged)
	require.NoError(t, n.halted)
	n.step("c9", refused[0])
	require.ErrorIs(t, n.halted, ErrOtherCluster)
}

// Nobody registers in the name of a node: a dead one would seem to live, so that its
// group is never declared lost, and it would stay on the list for ever.
func TestNobodyRegistersInTheNameOfANode(t *testing.T) {
	r := newRealm(t, 1, replicas(0), haltOnLoss)
	p := Peer{ID: 77, Addr: "n7"}
	register := func(secret uint64, boot Boot) {
		r.stepRaw(Envelope{From: p, To: Peer{Addr: "m"}, Body: &Register{Boot: boot, Secret: secret, Durable: r.durable}})
		r.serve()
	}
	register(5, 1)
	require.Equal(t, 2, r.manager().Nodes())
	r.pass(time.Second)
	quiet := r.manager().contact(p.ID).quietSince
	register(6, 1)
	require.Equal(t, quiet, r.manager().contact(p.ID).quietSince)
	require.Equal(t, []*Refused{{Reason: RefusedBoot, What: KindRegister, Token: 6}}, received[*Refused](r, "n7"), "which the node itself does not believe")
	register(5, 1)
	require.Less(t, quiet, r.manager().contact(p.ID).quietSince)

	d := directoryOf("n1")
	require.False(t, d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf("n1"), Boot: 2}, Secret: 3, Before: 2}).registered, "nor by a later boot")
	require.True(t, d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf("n1"), Boot: 2}}).registered)
}

// In memory mode a process is another node whenever it starts, and stays where it is: a
// Register that moves a node, or counts its starts, is of somebody else.
func TestARegistrationIsNotTakenOver(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	for _, e := range []Envelope{
		{From: peerOf("n1"), To: Peer{Addr: "m"}, Body: &Register{Boot: 2}},
		{From: Peer{ID: peerOf("n1").ID, Addr: "elsewhere"}, To: Peer{Addr: "m"}, Body: &Register{Boot: 1}},
	} {
		r.stepRaw(e)
		r.pass(time.Second)
		r.requireChain(1, "n1", "n2", "n3")
		require.Equal(t, "n1", r.manager().Config(1).Chain[0].Addr)
	}
}

// A stranger, or a client, that claims to have seen more of the Directory than there is halts
// nobody, not even in durable mode. It is not taken in, and the operator is told (rule
// manager 7); what a node of the Directory says at its address counts, see
// TestAManagerWithAmnesiaHalts.
func TestAClaimToHaveSeenMoreHaltsNobody(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	for _, from := range []Peer{{ID: 0x999, Addr: "x"}, peerOf("n1"), {ID: peerOf("n1").ID, Addr: "x"}} {
		r.stepRaw(Envelope{From: from, To: Peer{Addr: "m"}, Body: &Register{Boot: 1, Durable: true, Index: 1 << 20}})
		require.Equal(t, []Event{{Kind: EventAhead, Node: from.ID}}, r.happened(EventAhead))
	}
	require.Nil(t, r.manager().contact(0x999))
	r.pass(time.Second)
	require.NoError(t, r.halted)
	r.requireChain(1, "n1", "n2", "n3")
}

// A manager that makes a node a member which has only a part of the snapshot is not
// believed by that node, which goes on with the join.
func TestNobodyIsAMemberAmidASnapshot(t *testing.T) {
	chunks := snapshotOf(t, 5)
	n := following(t, "n3", joined(2, 2, "n3", "n1"))
	n.step("n1", chunks[0])
	n.step("m", config(3, "n1", "n3"))
	require.EqualValues(t, 2, n.view().Config.Epoch)
	early := replicate(3, 1, EntryID{1, 6}, 6)
	early.Config = config(3, "n1", "n3")
	n.mail = nil
	n.step("n1", early)
	require.Empty(t, n.mail, "a Nack would be answered at once, again and again")
	for _, c := range chunks[1:] {
		n.step("n1", c)
	}
	require.False(t, n.view().Partial)
	n.step("m", config(3, "n1", "n3"))
	require.EqualValues(t, 3, n.view().Config.Epoch)
}

// A primary finds a member in its chain that it never had: what that holds is not known, so
// it begins anew, and serves when the member has shown it.
func TestAChainThatGrewWithoutAJoinIsReconciled(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.step("c1", put(2, 1, 1, "x", "a"))
	n.answer("n2")
	only[*Reply](n, "c1")
	n.step("m", config(2, "n1", "n2", "n3"))
	require.False(t, n.view().Serving)
	n.answer("n2")
	require.False(t, n.view().Serving)
	n.answer("n3")
	require.True(t, n.view().Serving)
	require.Equal(t, "a", n.values()["x"].Data)
}

// What is committed is the same in all logs, and what this epoch's primary has said it does
// not take back. A primary that says otherwise is not followed, but the replica goes on.
func TestAReplicaTakesNoContradiction(t *testing.T) {
	for name, lie := range map[string]*Replicate{
		"of what is committed": replicate(3, 2, EntryID{1, 1}, 2, wrote(2, 1, "x", "lie")),
		"of what was said":     replicate(3, 2, EntryID{1, 2}, 2, wrote(2, 3, "x", "lie")),
		"in its prev":          replicate(3, 2, EntryID{2, 2}, 2),
		"an epoch that falls":  replicate(3, 2, EntryID{1, 3}, 2, wrote(3, 3, "x", "b"), wrote(2, 4, "x", "c")),
		"an epoch to come":     replicate(3, 2, EntryID{1, 3}, 2, wrote(4, 3, "x", "b")),
		"a get in the log":     replicate(3, 2, EntryID{1, 3}, 2, Entry{Epoch: 3, Kind: OpGet, Key: "x"}),
	} {
		t.Run(name, func(t *testing.T) {
			n := heir(t, config(1, "n1", "n2", "n3"))
			n.step("m", config(3, "n1", "n2", "n3"))
			n.step("n1", replicate(3, 1, EntryID{1, 2}, 2, wrote(1, 2, "x", "b")))
			only[*Ack](n, "n1")
			n.step("n1", lie)
			require.Empty(t, sent[*Ack](n, "n1"))
			require.Empty(t, sent[*Nack](n, "n1"))
			require.Equal(t, map[string]Versioned{"x": {"a", 2}}, n.values())
			n.step("n1", replicate(3, 3, EntryID{1, 3}, 3))
			require.EqualValues(t, 3, only[*Ack](n, "n1").Matched)
		})
	}
}

// A config that no manager issues changes nothing, whoever brings it.
func TestAConfigOutOfRangeIsDropped(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"no chain":            func(c *Config) { c.Chain = nil },
		"a member twice":      func(c *Config) { c.Chain = append(c.Chain, c.Chain[0]) },
		"nobody as a member":  func(c *Config) { c.Chain = append(c.Chain, Peer{}) },
		"a group of nobody's": func(c *Config) { c.Group = groupMax + 1 },
		"the last epoch":      func(c *Config) { c.Epoch = math.MaxUint64 },
		"a lease for ever":    func(c *Config) { c.Reads, c.Lease = ReadLease, math.MaxInt64 },
		"a lease of nothing":  func(c *Config) { c.Reads, c.Lease = ReadLease, 1 },
		"a join of a member":  func(c *Config) { c.Joining, c.Start = c.Chain[1], 2 },
		"a join to come":      func(c *Config) { c.Joining, c.Start = peerOf("n4"), 3 },
		"a long address":      func(c *Config) { c.Chain[1].Addr = strings.Repeat("a", AddrBytesMax+1) },
	} {
		t.Run(name, func(t *testing.T) {
			n := heir(t, config(1, "n1", "n2", "n3"))
			c := config(2, "n1", "n2", "n3")
			change(c)
			n.step("m", c)
			n.step("n3", &Nack{Group: 1, Epoch: c.Epoch, Config: c})
			r := replicate(2, 1, EntryID{1, 3}, 2)
			r.Config = c
			n.step("n1", r)
			require.EqualValues(t, 1, n.view().Config.Epoch)
			n.step("m", config(2, "n1", "n2", "n3"))
			require.EqualValues(t, 2, n.view().Config.Epoch)
		})
	}
}

// Only the manager says what only the manager can.
func TestNobodySpeaksForTheManager(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), durable)
	n.crash(1 << 20)
	n.restart() // it has not heard the manager yet, but knows who that is
	for _, m := range []Message{
		config(2, "n3", "n1"), &Ping{Nonce: 1, Boot: 1}, &Probe{Nonce: 1}, &Registered{Boot: 2},
		&Refused{Reason: RefusedForgotten, Wanted: 2, What: KindRegister},
		&Nack{Group: 1, Epoch: 2, Config: config(2, "n1", "n3")},
		func() Message {
			r := replicate(2, 1, EntryID{1, 3}, 3)
			r.Config = config(2, "n1", "n2")
			return r
		}(),
	} {
		for _, from := range []string{"c1", "n9"} {
			n.step(from, m)
			require.NoError(t, n.halted, "%v", KindOf(m))
			require.EqualValues(t, 1, n.view().Config.Epoch, "%v", KindOf(m))
			require.Empty(t, sent[*Pong](n, from))
		}
	}
	for _, from := range []string{"c1", "n9"} { // that a config names its sender proves nothing
		n.step(from, &Nack{Group: 1, Epoch: 2, Config: joined(2, 2, from, "n3", "n1")})
		n.step(from, &Nack{Group: 1, Epoch: 2, Config: config(2, "n3", from)})
		require.EqualValues(t, 1, n.view().Config.Epoch)
	}
}

// Requests that wait are bounded in bytes as well.
func TestParkedRequestsAreBoundedInBytes(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), func(o *StorageOptions) { o.PendingBytesMax = 2 << 20 })
	n.step("m", config(2, "n2", "n3"))
	big := strings.Repeat("v", ValueBytesMax)
	n.step("c1", put(1, 1, 3, "y", big))
	n.step("c1", put(2, 1, 4, "y", big))
	require.Equal(t, StatusOverloaded, only[*Reply](n, "c1").Status)
	n.step("c1", &Op{Group: 1, Req: 3, Kind: OpGet, Key: "y", Value: big})
	require.Empty(t, sent[*Reply](n, "c1"), "a get has no value, so none is kept for it")
}
