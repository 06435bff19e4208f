package core

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core/wire"
)

// threeManagers are their addresses, and chairs who they are.
var (
	threeManagers = []Peer{{Addr: "m1"}, {Addr: "m2"}, {Addr: "m3"}}
	chairs        = []Peer{{ID: 0x201, Addr: "m1"}, {ID: 0x202, Addr: "m2"}, {ID: 0x203, Addr: "m3"}}
)

func ofSeveral(o *StorageOptions) { o.Managers, o.Secret = threeManagers, 77 }

// from gives the node a message of a manager.
func (n *rig) from(manager Peer, m Message) {
	n.t.Helper()
	n.stepRaw(Envelope{Cluster: rigCluster, From: manager, To: n.self, Body: m})
}

func (n *rig) asked() (who []string) {
	for _, addr := range []string{"m1", "m2", "m3", "m4", "m5"} {
		for range sent[*Register](n, addr) {
			who = append(who, addr)
		}
	}
	return who
}

// A node that starts tries the managers in turn, and goes at once to the one that leads, as
// another says.
func TestANodeFindsTheLeader(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral)
	require.Equal(t, []string{"m1"}, n.asked())
	n.tick(100 * time.Millisecond)
	require.Equal(t, []string{"m2"}, n.asked(), "m1 did not answer")
	n.from(chairs[1], &NotLeader{Token: 77, Leader: Peer{}, Term: 3})
	require.Empty(t, n.asked(), "nobody leads: there is time")
	n.tick(100 * time.Millisecond)
	require.Equal(t, []string{"m3"}, n.asked())
	n.from(chairs[2], &NotLeader{Token: 77, Leader: chairs[0], Term: 4})
	require.Equal(t, []string{"m1"}, n.asked(), "at once")
	n.from(chairs[0], &NotLeader{Token: 77, Leader: chairs[1], Term: 3})
	require.Empty(t, n.asked(), "that was earlier")
	n.from(chairs[0], &NotLeader{Token: 78, Leader: chairs[1], Term: 9})
	require.Empty(t, n.asked(), "whoever says so has not got the Register")
	n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: chairs})
	n.tick(900 * time.Millisecond)
	require.Empty(t, n.asked())
	n.tick(100 * time.Millisecond)
	require.Equal(t, []string{"m2"}, n.asked(), "the leader is silent")
}

// A node follows whoever of the managers pings it: the one that leads. It hears nobody else,
// and nobody of another cluster.
func TestANodeFollowsWhoPingsIt(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral)
	stranger := Peer{ID: 0x999, Addr: "m2"}
	n.from(stranger, &Ping{Nonce: 1, Boot: 1, Start: 9})
	require.Empty(t, n.mail[1:], "it does not know that manager")
	n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: chairs})
	n.from(chairs[0], config(1, "n1", "n2"))
	n.from(chairs[0], &Ping{Nonce: 1, Boot: 1, Start: 9, Token: 5})
	n.from(chairs[1], &Ping{Nonce: 1, Boot: 2, Start: 8, Token: 6})
	require.Len(t, sent[*Pong](n, "m2"), 1)
	n.step("c1", &Op{Group: 1, Req: 1, Kind: OpGet, Key: "a"})
	for i := range 30 { // n2 acks nothing
		n.tick(100 * time.Millisecond)
		n.from(chairs[1], &Ping{Nonce: uint64(2 + i), Boot: 2, Start: 8, Token: 6})
	}
	reports := sent[*Suspect](n, "m2")
	require.NotEmpty(t, reports, "the leader is told")
	require.EqualValues(t, 6, reports[0].Token)
	require.Empty(t, sent[*Suspect](n, "m1"))
	n.from(chairs[0], &Ping{Nonce: 2, Boot: 1, Start: 9, Token: 5})
	require.Equal(t, RefusedBoot, only[*Refused](n, "m1").Reason, "it leads no more")
	sent[*Pong](n, "m2")
	n.from(stranger, &Ping{Nonce: 1, Boot: 3, Start: 7})
	require.Empty(t, sent[*Pong](n, "m2"))
}

// To nodes a term is as a start of the manager, but it may be above all boots that there can be.
func TestANodeHearsALeaderOfAnyTerm(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral)
	n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: chairs})
	for i, term := range []Boot{bootMax, bootMax + 1, 1 << 40, Boot(TermMax) - 1} {
		n.from(chairs[0], &Ping{Nonce: uint64(i), Boot: term, Start: 9, Token: 5})
		require.Len(t, sent[*Pong](n, "m1"), 1, term)
	}
	n.from(chairs[0], &Ping{Nonce: 9, Boot: Boot(TermMax), Start: 9, Token: 5})
	require.Empty(t, sent[*Pong](n, "m1"))
}

// A new manager in the place of another is one that the leader names.
func TestANodeLearnsOfNewManagers(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral)
	fourth := Peer{ID: 0x204, Addr: "m4"}
	n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: []Peer{chairs[0], chairs[1], fourth}})
	n.asked()
	n.from(fourth, &Ping{Nonce: 1, Boot: 2, Start: 8, Token: 6})
	require.Len(t, sent[*Pong](n, "m4"), 1)
	n.tick(time.Second)
	for _, want := range []string{"m4", "m3", "m1", "m2"} { // at m3 there may be one again
		require.Equal(t, []string{want}, n.asked())
		n.tick(100 * time.Millisecond)
	}
}

// A durable node remembers where the managers are: all of those that it was started with may have
// been replaced when it is started again. It tries its own list first.
func TestANodeRemembersTheManagers(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral, durable)
	others := []Peer{{ID: 0x204, Addr: "m4"}, chairs[1], {ID: 0x205, Addr: "m5"}}
	n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: chairs})
	n.from(chairs[1], &Registered{Boot: 1, Secret: 77, Managers: others})
	n.crash(n.gate.Pending())
	n.asked()
	n.restart()
	var who []string
	for range 6 {
		who = append(who, n.asked()...)
		n.tick(100 * time.Millisecond)
	}
	require.Equal(t, []string{"m1", "m2", "m3", "m4", "m5", "m1"}, who)
}

// At an address of one of several managers may be another cluster's. A node that is bound to
// a cluster passes it over, and does not halt for it.
func TestANodePassesAnotherClustersManagerOver(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral, durable)
	n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: chairs})
	n.crash(0)
	n.restart()
	n.stepRaw(Envelope{Cluster: rigCluster, From: Peer{ID: 0x901, Addr: "m1"}, To: n.self, Body: &Refused{Reason: RefusedOtherCluster, What: KindRegister, Token: 77}})
	require.NotNil(t, n.node)
	n.stepRaw(Envelope{Cluster: rigCluster + 1, From: Peer{ID: 0x901, Addr: "m1"}, To: n.self, Body: &Registered{Boot: 2, Secret: 77}})
	require.Equal(t, rigCluster, n.storage().Cluster())
	n.asked()
	n.tick(100 * time.Millisecond)
	require.Equal(t, []string{"m2"}, n.asked())
	n.from(chairs[1], &Refused{Reason: RefusedForgotten, What: KindRegister, Token: 77})
	require.ErrorIs(t, n.halted, ErrForgotten, "the leader of its own cluster is believed")
}

func atSeveral(o *ClientOptions) { o.Managers = threeManagers }

func (n *rig) lookedUp() (who []string) {
	for _, p := range threeManagers {
		for range sent[*Lookup](n, p.Addr) {
			who = append(who, p.Addr)
		}
	}
	return who
}

// A client goes where it is sent, and tries the others when one is silent, or gone.
func TestAClientFindsTheLeader(t *testing.T) {
	n := newClientAt(t, "c1", atSeveral)
	n.step("", &Call{ID: 1, Kind: OpPut, Key: "a", Timeout: time.Minute})
	require.Equal(t, []string{"m1"}, n.lookedUp())
	n.tick(150 * time.Millisecond)
	require.Equal(t, []string{"m2"}, n.lookedUp(), "m1 is silent")
	n.stepRaw(Envelope{From: n.self, To: n.self, Body: &PeerDown{Peer: Peer{Addr: "m2"}, Refused: true}})
	n.tick(10 * time.Millisecond)
	require.Equal(t, []string{"m3"}, n.lookedUp(), "m2 is gone")
	n.from(chairs[2], &NotLeader{Req: 1, Leader: chairs[0], Term: 4})
	require.Equal(t, []string{"m1"}, n.lookedUp(), "at once")
	n.from(chairs[0], &NotLeader{Req: 1, Leader: chairs[1], Term: 3})
	require.Empty(t, n.lookedUp(), "that was earlier: no storm")
	n.tick(40 * time.Millisecond)
	require.Equal(t, []string{"m1"}, n.lookedUp())
	n.from(chairs[0], &NotLeader{Req: 1, Term: 5})
	require.Empty(t, n.lookedUp())
	n.tick(80 * time.Millisecond)
	require.Equal(t, []string{"m2"}, n.lookedUp(), "nobody leads, as far as m1 knows")
	n.from(chairs[1], &LookupReply{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: config(1, "n1", "n2")})
	require.Len(t, sent[*Op](n, "n1"), 1)
}

// While nobody leads a client asks again and again, at most 80 ms later: an election is soon over.
func TestAClientFindsANewLeaderSoon(t *testing.T) {
	n := newClientAt(t, "c1", atSeveral)
	n.step("", &Call{ID: 1, Kind: OpPut, Key: "a", Timeout: time.Minute})
	asked := n.lookedUp()
	for range 20 {
		require.Len(t, asked, 1)
		i := slices.IndexFunc(chairs, func(p Peer) bool { return p.Addr == asked[0] })
		n.from(chairs[i], &NotLeader{Req: 1, Term: 5})
		n.tick(80 * time.Millisecond)
		asked = n.lookedUp()
	}
}

// A client expects by their names those managers that have answered it, and those that it was told lead,
// though it was given their addresses alone. One that answers from somewhere else is nobody of its list.
func TestAClientLearnsTheNamesOfTheManagers(t *testing.T) {
	n := newClientAt(t, "c1", atSeveral)
	known := func() (list []string) {
		for _, p := range n.node.(*Client).leaders.known {
			list = append(list, p.Addr)
		}
		return list
	}
	n.step("", &Call{ID: 1, Kind: OpPut, Key: "a", Timeout: time.Minute})
	n.from(called("a", chairs[0]), &NotLeader{Req: 1, Leader: called("c", chairs[2]), Term: 4})
	require.Equal(t, []string{"a@m1", "m2", "c@m3"}, known())
	n.from(called("x", Peer{0x209, "m9"}), &NotLeader{Req: 1, Term: 4})
	n.from(chairs[0], &NotLeader{Req: 1, Term: 4})
	require.Equal(t, []string{"a@m1", "m2", "c@m3"}, known())
	n.from(called("b", chairs[1]), &LookupReply{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: config(1, "n1", "n2")})
	require.Equal(t, []string{"a@m1", "b@m2", "c@m3"}, known())
	require.Equal(t, []Peer{{Addr: "m1"}, {Addr: "m2"}, {Addr: "m3"}}, threeManagers, "the list is the caller's")
}

// While an operation waits for its group, a manager that owes an answer is passed over too.
func TestAClientAsksAnotherManagerAboutItsGroup(t *testing.T) {
	n := newClientAt(t, "c1", atSeveral)
	n.step("", &Call{ID: 1, Kind: OpGet, Key: "a", Timeout: time.Minute})
	n.from(chairs[0], &LookupReply{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: config(1, "n1", "n2")})
	n.lookedUp()
	n.tick(2 * time.Second) // neither n1 nor m1 answers
	asked := n.lookedUp()
	require.Contains(t, asked, "m2")
	n.from(chairs[1], &NotLeader{Req: 1, Leader: chairs[2], Term: 2})
	require.Equal(t, []string{"m3"}, n.lookedUp())
	n.from(chairs[2], &LookupReply{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: config(2, "n2")})
	require.Len(t, sent[*Op](n, "n2"), 1)
}

// So is one that knows of nobody who leads: it may be cut off from the others, and they go on.
func TestAClientAsksPastAManagerThatIsCutOff(t *testing.T) {
	n := newClientAt(t, "c1", atSeveral)
	n.step("", &Call{ID: 1, Kind: OpGet, Key: "a", Timeout: time.Minute})
	n.from(chairs[0], &LookupReply{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: config(1, "n1", "n2")})
	for id := uint64(2); id < 5; id++ { // others wait for the same primary
		n.step("", &Call{ID: id, Kind: OpGet, Key: "a", Timeout: time.Minute})
	}
	n.lookedUp()
	var asked []string
	for range 100 { // n1 does not answer
		n.tick(20 * time.Millisecond)
		for i, m := range chairs[:2] {
			for _, l := range sent[*Lookup](n, m.Addr) {
				asked = append(asked, m.Addr)
				n.from(chairs[i], &NotLeader{Req: l.Req})
			}
		}
		if l := sent[*Lookup](n, "m3"); len(l) > 0 {
			n.from(chairs[2], &LookupReply{Req: l[0].Req, Status: StatusOK, Placement: PlacementKey, Config: config(2, "n2")})
			break
		}
	}
	require.Len(t, sent[*Op](n, "n2"), 4, "asked before: %v", asked)
	require.LessOrEqual(t, len(asked), 8, "no storm")
}

// A client that is bound to a cluster passes the manager of another one over, and follows no
// word of it.
func TestAClientPassesAnotherClustersManagerOver(t *testing.T) {
	n := newClientAt(t, "c1", atSeveral)
	n.step("", &Call{ID: 1, Kind: OpPut, Key: "a", Timeout: time.Minute})
	n.from(chairs[0], &NotLeader{Req: 1, Leader: chairs[1], Term: 4})
	n.from(chairs[1], &LookupReply{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: config(1, "n1")})
	n.step("", &Call{ID: 2, Kind: OpPut, Key: "b", Timeout: time.Minute})
	n.lookedUp()
	other := Peer{ID: 0x902, Addr: "m2"}
	n.stepRaw(Envelope{Cluster: rigCluster + 1, From: other, To: n.self, Body: &NotLeader{Req: 2, Leader: Peer{0x903, "m1"}, Term: 9}})
	n.stepRaw(Envelope{Cluster: rigCluster + 1, From: other, To: n.self, Body: &LookupReply{Req: 2, Status: StatusNotFound, Placement: PlacementKey}})
	require.Empty(t, n.lookedUp())
	n.from(other, &Refused{Reason: RefusedOtherCluster, Wanted: chairs[1].ID, What: KindLookup})
	n.tick(10 * time.Millisecond)
	require.Equal(t, []string{"m3"}, n.lookedUp())
}

// Whether an address is that of the manager that was asked does not hang on its name, which may be known
// only from the answer.
func TestAManagerThatWasAskedWithoutItsNameIsKnownByItsAnswer(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral)
	n.asked()
	n.from(called("a", chairs[0]), &Registered{Boot: 1, Secret: 77, Managers: []Peer{called("a", chairs[0]), chairs[1]}})
	n.tick(time.Second)
	require.Equal(t, []string{"m2"}, n.asked(), "the leader is silent, and the next one is asked at once")

	c := newClientAt(t, "c1", atSeveral)
	c.step("", &Call{ID: 1, Kind: OpPut, Key: "a", Timeout: time.Minute})
	c.from(chairs[0], &LookupReply{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: config(1, "n1")})
	c.stepRaw(Envelope{From: c.self, To: c.self, Body: &PeerDown{Peer: chairs[0], Refused: true}})
	c.step("", &Call{ID: 2, Kind: OpPut, Key: "b", Timeout: time.Minute})
	c.lookedUp()
	c.from(called("x", Peer{0x902, "m2"}), &Refused{Reason: RefusedOtherCluster, Wanted: 0x902, What: KindLookup})
	c.tick(10 * time.Millisecond)
	require.Equal(t, []string{"m3"}, c.lookedUp(), "at m2 there is another cluster's by now")
}

// What a node and a manager of several have on their disks reads as whole.
func TestTheDisksOfSeveralManagersAndTheirNodesAreWhole(t *testing.T) {
	n := newStorageAt(t, "n1", ofSeveral, durable)
	n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: chairs})
	c := newCouncil(t, inDurableMode)
	written := wire.NewRecord(nil) // by package quorum
	c.space[prefixQuorum+"state"] = string(written.SealFor(prefixQuorum + "state"))
	for _, space := range []Space{n.space, c.space} {
		report, err := Inspect(space)
		require.NoError(t, err)
		require.Empty(t, report.Damaged)
		require.Equal(t, rigCluster, report.Cluster)
	}
}

// sealedNode is a durable node with a certificate, of several managers that it was told without names.
func sealedNode(t *testing.T, change ...func(*StorageOptions)) *rig {
	return newStorageAt(t, "n1", append([]func(*StorageOptions){ofSeveral, durable, func(o *StorageOptions) { o.Self.Addr = "n1@n1" }}, change...)...)
}

func called(name string, p Peer) Peer { return Peer{p.ID, JoinAddr(name, p.Addr)} }

// tries are the addresses that a node with a certificate tries, in the order in which it does.
func (n *rig) tries(count int) (who []string) {
	for range count {
		for _, e := range n.node.(*Storage).leaders.known {
			if len(sent[*Register](n, e.Addr)) > 0 {
				who = append(who, e.Addr)
			}
		}
		n.tick(100 * time.Millisecond)
	}
	return who
}

// A node with a certificate expects the managers of whom it was told by their names: at the places
// of its list, too, and when it is started again. It knows whose an id is then. Without a certificate
// it expects none.
func TestANodeRemembersTheNamesOfTheManagers(t *testing.T) {
	n := sealedNode(t)
	names := []Peer{called("a", chairs[0]), called("b", chairs[1]), called("c", Peer{ID: 0x204, Addr: "m4"})}
	n.from(names[0], &Registered{Boot: 1, Secret: 77, Managers: names})
	known := n.storage().leaders.known
	require.Equal(t, append(names, Peer{Addr: "m3"}), known, "nobody is expected without a name where one with a name is")
	n.crash(n.gate.Pending())
	n.restart()
	require.Equal(t, []string{"a@m1", "b@m2", "m3", "c@m4", "a@m1"}, n.tries(5))
	require.Contains(t, slices.Collect(n.storage().Peers()), names[2], "whoever uses that id must have that name")

	n.crash(n.gate.Pending())
	n.boot = func(s Space) (Node, error) {
		return NewStorage(StorageOptions{Self: peerOf("n1"), Managers: threeManagers, Secret: 77, Durable: true}, s)
	}
	n.restart()
	require.Equal(t, []string{"m1", "m2", "m3", "m4", "m1"}, n.tries(5))
}

// The names of an operator's list count, and the others that a node has heard of are tried after them.
func TestANameInTheListIsTriedFirst(t *testing.T) {
	l := leaders{known: []Peer{{Addr: "z@m1"}, {Addr: "m2"}}}
	l.recall([]Peer{{1, "a@m1"}, {2, "b@m2"}}, true)
	require.Equal(t, []Peer{{Addr: "z@m1"}, {Addr: "b@m2"}, {Addr: "a@m1"}}, l.known)
	var who []string
	p := l.known[0]
	for range 4 {
		p = l.after(p)
		who = append(who, p.Addr)
	}
	require.Equal(t, []string{"b@m2", "a@m1", "z@m1", "b@m2"}, who)
	require.Equal(t, "b@m2", l.after(Peer{Addr: "m1"}).Addr, "an address without a name is that place's")
	l.meet(Peer{3, "c@m2"})
	require.Equal(t, "b@m2", l.known[1].Addr, "whoever is met under another name is another one")
}

// One manager that is alone has its name wherever an operator says that it is, unless another name is said.
func TestANodeRemembersTheNameOfTheManager(t *testing.T) {
	sealed := func(manager string) func(*StorageOptions) {
		return func(o *StorageOptions) {
			o.Self.Addr, o.Secret, o.Durable, o.Manager.Addr = "n1@n1", 77, true, manager
		}
	}
	n := newStorageAt(t, "n1", sealed("m"))
	n.from(Peer{0x201, "a@m"}, &Registered{Boot: 1, Secret: 77})
	for list, want := range map[string]string{"m": "a@m", "m9": "a@m9", "b@m": "b@m"} {
		n.crash(n.gate.Pending())
		n.boot = func(s Space) (Node, error) {
			o := StorageOptions{Self: peerOf("n1")}
			sealed(list)(&o)
			return NewStorage(o, s)
		}
		n.restart()
		require.Len(t, sent[*Register](n, want), 1)
		require.Contains(t, slices.Collect(n.storage().Peers()), Peer{0x201, want})
	}
}

// A record of the managers from before it had their ids is read.
func TestTheFormerRecordOfTheManagersIsRead(t *testing.T) {
	text := new(recorder).record(keyManagers, tagAddresses, &addressesRecord{[]string{"m4", "m1"}})
	list, err := readManagers(keyManagers, text)
	require.NoError(t, err)
	require.Equal(t, []Peer{{Addr: "m4"}, {Addr: "m1"}}, list)
	_, err = readManagers(keyManagers, text[:len(text)-1])
	require.Error(t, err)
	_, err = readManagers("manager", text)
	require.Error(t, err, "it was written elsewhere")
}
