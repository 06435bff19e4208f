package core

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core/wire"
)

// scripted is a Consensus of which the test says who leads, and when. What is proposed is
// agreed on with the next Tick, and what is to be confirmed likewise, unless it is held.
type scripted struct {
	replaced []Peer
	m        Machine
	self     Peer
	leader   Peer
	term     Term
	held     bool
	proposed []string
	reads    []uint64
	heard    []string
	downs    []NodeID
	stored   []uint64
	say      []Envelope // with the next Tick
	full     bool       // there is no room for a command
	others   []Peer
	applied  []string
	toLead   bool
	calm     time.Duration // how long there have been leaders, when it leads
	toFollow bool
	offers   int
	offered  NodeID // by whom, with the next Tick
	yielded  []NodeID
	noted    func(command string) // is told what is proposed; nil for nobody
	agreedOn func(command string) // is told what was applied; nil for nobody
}

func (s *scripted) Step(_ Time, from Peer, text string, _ *Output) {
	s.heard = append(s.heard, from.Addr+" "+text)
}
func (s *scripted) Replace(p Peer)                         { s.replaced = append(s.replaced, p) }
func (s *scripted) Stored(_ Time, nonce uint64, _ *Output) { s.stored = append(s.stored, nonce) }
func (s *scripted) Down(_ Time, id NodeID, _ *Output)      { s.downs = append(s.downs, id) }
func (s *scripted) Offer()                                 { s.offers++ }
func (s *scripted) Yield(id NodeID)                        { s.yielded = append(s.yielded, id) }
func (s *scripted) Leader() (Peer, Term)                   { return s.leader, s.term }
func (s *scripted) Managers() []Peer                       { return append([]Peer{s.self}, s.others...) }

func (s *scripted) busy() bool {
	return s.toLead || s.toFollow || s.offered != 0 || len(s.say) > 0 || !s.held && len(s.proposed)+len(s.reads) > 0
}

func (s *scripted) Deadline() Time {
	if s.busy() {
		return 0
	}
	return Never
}

func (s *scripted) Tick(_ Time, out *Output) {
	out.Send = append(out.Send, s.say...)
	s.say = nil
	if s.offered != 0 {
		s.m.Offered(s.offered)
		s.offered = 0
	}
	if s.toFollow {
		s.toFollow, s.proposed, s.reads = false, nil, nil
		s.m.Follow()
	}
	if s.toLead {
		s.toLead, s.leader = false, s.self
		s.term++
		s.m.Lead(s.term, s.calm)
	}
	if s.held {
		return
	}
	for len(s.proposed) > 0 {
		c := s.proposed[0]
		s.proposed = s.proposed[1:]
		s.applied = append(s.applied, c)
		s.m.Apply(c)
		if s.agreedOn != nil {
			s.agreedOn(c)
		}
	}
	reads := s.reads
	s.reads = nil
	for _, r := range reads {
		s.m.Confirmed(r)
	}
}

func (s *scripted) Propose(command string) bool {
	if s.leader != s.self || s.full {
		return false
	}
	if s.noted != nil {
		s.noted(command)
	}
	s.proposed = append(s.proposed, command)
	return true
}

func (s *scripted) Confirm(read uint64) bool {
	s.reads = append(s.reads, read)
	return s.leader == s.self
}

// council is a realm whose manager is one of several, and their consensus.
type council struct {
	*realm
	consensus *scripted
}

func newCouncil(t *testing.T, options ...func(*ManagerOptions)) *council {
	c := &council{}
	withConsensus := func(o *ManagerOptions) {
		o.Consensus = func(m Machine, self Peer, _ Space) (Consensus, error) {
			c.consensus = &scripted{m: m, self: self, others: []Peer{{ID: 0x201, Addr: "m2"}, {ID: 0x202, Addr: "m3"}}}
			return c.consensus, nil
		}
	}
	c.realm = newRealm(t, 0, append(options, withConsensus)...)
	return c
}

// leading is a council whose manager leads, with nodes n1 to nN.
func leading(t *testing.T, nodes int, options ...func(*ManagerOptions)) *council {
	c := newCouncil(t, options...)
	c.leads()
	for i := range nodes {
		c.register(peerOf(fmt.Sprint("n", 1+i)))
	}
	return c
}

func (c *council) leads() {
	c.consensus.toLead = true
	c.turn()
}

// deposed has another manager lead from now on.
func (c *council) deposed() {
	c.consensus.toFollow, c.consensus.leader = true, c.consensus.others[0]
	c.consensus.term++
	c.turn()
}

func (c *council) turn() {
	c.t.Helper()
	c.tick(0)
	c.serve()
}

// agreed applies a command of another leader.
func (c *council) agreed(commands ...Command) {
	for i := range commands {
		c.consensus.m.Apply(encoded(&commands[i]))
	}
}

func encoded(c *Command) string {
	s := several{council: &scripted{full: true}}
	s.propose(nil, 0, *c)
	return s.backlog[0]
}

// kinds are those of the commands that were agreed on since.
func (c *council) kinds() (list []CommandKind) {
	for _, text := range c.consensus.applied {
		d := wireDecoder(text)
		list = append(list, d.Kind)
	}
	c.consensus.applied = nil
	return list
}

func (c *council) requests(req uint64) []Message {
	return []Message{
		&Lookup{Req: req, Key: "a", Create: true}, &Lookup{Req: req, Key: "b"},
		&Forget{Req: req, Node: 1}, &Drain{Req: req, Node: 1}, &StatusQuery{Req: req},
	}
}

// Who follows applies what was agreed on, and says nothing to nodes and clients but who leads.
func TestWhoFollowsSaysWhoLeads(t *testing.T) {
	c := newCouncil(t)
	c.agreed(registration("n1"), registration("n2"), registration("n3"),
		Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1, 2, 3}, Terms: Terms{ReadConfirm, 0, 1}})
	require.EqualValues(t, 4, c.manager().Index())
	require.Equal(t, []string{"n1", "n2", "n3"}, c.members(1))
	c.agreed(Command{Kind: CommandReconfigure, Group: 1, Epoch: 1, Remove: []NodeID{3}})
	require.Equal(t, []string{"n1", "n2"}, c.members(1))
	elsewhere := func(l *NotLeader) []*NotLeader { return []*NotLeader{l} }
	for i, m := range c.requests(7) {
		c.say("c1", m)
		require.Equal(t, elsewhere(&NotLeader{Req: 7}), received[*NotLeader](c.realm, "c1"), "request %d: nobody leads yet", i)
	}
	c.consensus.leader, c.consensus.term = c.consensus.others[1], 5
	for i, m := range c.requests(8) {
		c.say("c1", m)
		require.Equal(t, elsewhere(&NotLeader{Req: 8, Leader: Peer{0x202, "m3"}, Term: 5}), received[*NotLeader](c.realm, "c1"), "request %d", i)
	}
	c.step("n4", &Register{Boot: 1, Secret: 77, Name: "n4"})
	c.serve()
	require.Equal(t, elsewhere(&NotLeader{Token: 77, Leader: Peer{0x202, "m3"}, Term: 5}), received[*NotLeader](c.realm, "n4"))
	c.say("n1", &Suspect{Group: 1, Epoch: 1, Node: 2})
	c.say("n1", &Farewell{Boot: 1})
	c.stepRaw(Envelope{Cluster: rigCluster + 1, From: peerOf("c1"), To: c.self, Body: &Lookup{Req: 9, Key: "a"}})
	c.serve()
	require.Equal(t, []*Refused{{Reason: RefusedOtherCluster, Wanted: c.self.ID, What: KindLookup}}, received[*Refused](c.realm, "c1"), "it is of another cluster")
	c.pass(10 * time.Second)
	require.Empty(t, c.letters)
	require.Zero(t, c.pings)
	require.EqualValues(t, 5, c.manager().Index())
}

func registration(name string) Command {
	return Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(name), Name: name, Boot: 1}}
}

// What concerns the consensus goes to it, whoever leads, and comes from it under the name of
// the cluster.
func TestTheConsensusHearsWhatConcernsIt(t *testing.T) {
	c := newCouncil(t)
	m2 := c.consensus.others[0]
	c.stepRaw(Envelope{Cluster: rigCluster, From: m2, To: c.self, Body: &Quorum{Text: "vote"}})
	require.Equal(t, []string{"m2 vote"}, c.consensus.heard)
	for _, e := range []Envelope{
		{Cluster: rigCluster + 1, From: m2, To: c.self, Body: &Quorum{Text: "of another cluster"}},
		{Cluster: rigCluster, From: m2, To: Peer{ID: 1, Addr: "m"}, Body: &Quorum{Text: "for another manager"}},
		{Cluster: rigCluster, From: m2, To: Peer{Addr: "m"}, Body: &Quorum{Text: "for anybody"}},
	} {
		c.stepRaw(e)
	}
	require.Len(t, c.consensus.heard, 1)
	self := func(m Message) { c.stepRaw(Envelope{From: c.self, To: c.self, Body: m}) }
	self(&PeerDown{Peer: m2})
	self(&Synced{Nonce: 3})
	require.Equal(t, []NodeID{m2.ID}, c.consensus.downs)
	require.Equal(t, []uint64{3}, c.consensus.stored)
	c.consensus.say = []Envelope{{From: c.self, To: m2, Body: &Quorum{Text: "yes"}}}
	c.turn()
	require.Equal(t, []*Quorum{{Text: "yes"}}, received[*Quorum](c.realm, "m2"))
}

// A new leader gives everybody the grace of one that is new, and then looks after all that
// are registered: also after one that died exactly at the change.
func TestANewLeaderLooksAfterAll(t *testing.T) {
	c := newCouncil(t)
	c.agreed(registration("n1"), registration("n2"), registration("n3"), registration("n4"),
		Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1, 2, 3}, Terms: Terms{ReadConfirm, 0, 1}})
	for i := range 4 {
		name := fmt.Sprint("n", 1+i)
		c.actors[name] = &actor{peer: peerOf(name), boot: 1}
	}
	c.pass(time.Minute) // as a follower it knows nothing of them
	c.ail(silent, "n1")
	c.leads()
	require.Equal(t, []string{"n1", "n2", "n3"}, c.members(1), "nobody is judged at once")
	c.pass(100 * time.Millisecond)
	require.Equal(t, []string{"n1", "n2", "n3"}, c.members(1), "n1 has its grace")
	c.pass(3 * time.Second)
	require.Equal(t, []string{"n2", "n3"}, c.members(1)[:2])
	require.Equal(t, peerOf("n4"), c.manager().Config(1).Joining, "and its place is to be taken")
	a := c.lookup("a", true)
	require.Equal(t, []Peer{peerOf("n2"), peerOf("n3")}, a.Config.Chain[:2])
}

// A leader tells the nodes who the managers are when it begins to lead, and when they change: a
// node does not hear a manager that it does not know. To one that does not answer it says so again.
func TestALeaderIntroducesTheManagers(t *testing.T) {
	c := leading(t, 3)
	told := func(name string) (managers []Peer) {
		list := received[*Registered](c.realm, name)
		require.LessOrEqual(t, len(list), 1)
		for _, r := range list {
			managers = r.Managers
		}
		return managers
	}
	for _, name := range []string{"n1", "n2"} {
		received[*Registered](c.realm, name)
	}
	c.ail(silent, "n2")
	c.deposed()
	c.leads()
	c.pass(100 * time.Millisecond)
	require.Equal(t, c.manager().Council(), told("n1"))
	require.Equal(t, c.manager().Council(), told("n2"))
	c.pass(800 * time.Millisecond)
	require.Empty(t, told("n1"))
	require.Empty(t, told("n2"))
	c.pass(200 * time.Millisecond)
	require.Empty(t, told("n1"))
	require.NotEmpty(t, told("n2"), "it may not know this manager")
	c.consensus.others[1] = Peer{ID: 0x203, Addr: "m4"}
	c.pass(50 * time.Millisecond)
	require.Equal(t, c.manager().Council(), told("n1"))
}

// A leader and a primary die together. The address of the primary refuses the next leader: so
// its process has ended, and it goes at once. Where the managers are just starting, it may be
// starting as well, and has time.
func TestANewLeaderReplacesWhoseProcessHasEnded(t *testing.T) {
	for _, test := range []struct {
		name string
		calm time.Duration
		goes bool
	}{{"a leader follows another", time.Minute, true}, {"all are starting", 0, false}} {
		t.Run(test.name, func(t *testing.T) {
			c := newCouncil(t)
			c.agreed(registration("n1"), registration("n2"), registration("n3"),
				Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1, 2, 3}, Terms: Terms{ReadConfirm, 0, 1}})
			for i := range 3 {
				name := fmt.Sprint("n", 1+i)
				c.actors[name] = &actor{peer: peerOf(name), boot: 1}
			}
			c.pass(time.Minute)
			c.ail(refusing, "n1")
			c.consensus.calm = test.calm
			c.leads()
			c.pass(250 * time.Millisecond)
			require.Equal(t, test.goes, len(c.members(1)) == 2, "%v", c.members(1))
			c.pass(3 * time.Second)
			require.Equal(t, []string{"n2", "n3"}, c.members(1))
		})
	}
}

// A new leader carries on what an operator asked the old one for, and finishes it.
func TestANewLeaderCarriesADrainOn(t *testing.T) {
	c := newCouncil(t)
	c.agreed(registration("n1"), registration("n2"), registration("n3"), registration("n4"),
		Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1, 2, 3}, Terms: Terms{ReadConfirm, 0, 1}},
		Command{Kind: CommandDrain, Node: NodeRecord{Peer: Peer{ID: 1}}})
	for i := range 4 {
		name := fmt.Sprint("n", 1+i)
		c.actors[name] = &actor{peer: peerOf(name), boot: 1}
	}
	c.leads()
	c.pass(time.Second)
	config := c.manager().Config(1)
	require.Equal(t, peerOf("n4"), config.Joining)
	c.say("c9", &Drain{Req: 3, Node: 1}) // the operator asks again
	require.Empty(t, received[*Drained](c.realm, "c9"))
	c.say("n1", &CaughtUp{Group: 1, Epoch: config.Epoch, Start: config.Start, Node: 4})
	c.pass(time.Second)
	require.Equal(t, []string{"n2", "n3", "n4"}, c.members(1))
	require.Equal(t, []*Drained{{Req: 3, Status: StatusOK}}, received[*Drained](c.realm, "c9"))
}

// Who leads no more tells those who wait where to go, and does nothing of what it was about
// to do.
func TestWhoIsDeposedTellsThoseWhoWait(t *testing.T) {
	c := leading(t, 3)
	c.pass(time.Second)
	require.EqualValues(t, 1, c.place("a"))
	c.consensus.held = true
	c.say("c1", &Lookup{Req: 1, Key: "new", Create: true})
	c.say("c2", &Lookup{Req: 2, Key: "absent"})
	c.say("c3", &Forget{Req: 3, Node: 1})
	c.say("c4", &Drain{Req: 4, Node: 2})
	c.say("c5", &Drain{Req: 5, Node: 99})
	c.letters = nil
	c.deposed()
	for i := range 5 {
		who := fmt.Sprint("c", 1+i)
		require.Equal(t, []*NotLeader{{Req: uint64(1 + i), Leader: c.consensus.leader, Term: 2}}, received[*NotLeader](c.realm, who), who)
	}
	c.consensus.held = false
	pings, index := c.pings, c.manager().Index()
	c.ail(silent, "n1", "n2")
	c.pass(10 * time.Second)
	require.Equal(t, pings, c.pings)
	require.Equal(t, index, c.manager().Index(), "nothing that it had proposed came")
	require.Empty(t, c.letters)
	// Had one been agreed on all the same, it would be applied, and nobody would be told.
	c.agreed(Command{Kind: CommandGone, Node: NodeRecord{Peer: Peer{ID: 1}}})
	require.Empty(t, c.letters)
	require.Empty(t, c.manager().HeldBack())
}

// What is not in the Directory is denied only when the consensus says that it lacks nothing.
func TestADenialTakesTheWordOfTheOthers(t *testing.T) {
	c := leading(t, 3)
	c.consensus.held = true
	c.say("c1", &Lookup{Req: 1, Key: "absent"})
	for range 3 { // operators' tools ask again
		c.say("c2", &Forget{Req: 2, Node: 99})
		c.say("c3", &Drain{Req: 3, Node: 99})
	}
	require.Empty(t, received[*LookupReply](c.realm, "c1"))
	require.Empty(t, received[*Forgotten](c.realm, "c2"))
	require.Empty(t, received[*Drained](c.realm, "c3"))
	c.consensus.held = false
	c.turn()
	require.Equal(t, []*LookupReply{{Req: 1, Status: StatusNotFound, Placement: PlacementKey}}, received[*LookupReply](c.realm, "c1"))
	require.Equal(t, []*Forgotten{{Req: 2, Status: StatusNotFound}}, received[*Forgotten](c.realm, "c2"))
	require.Equal(t, []*Drained{{Req: 3, Status: StatusNotFound}}, received[*Drained](c.realm, "c3"))
}

// Nor does one that was deposed say of a node that it is drained: the node may have been started anew
// since, and be a member.
func TestThatANodeIsDrainedTakesTheWordOfTheOthers(t *testing.T) {
	for _, deposed := range []bool{true, false} {
		c := leading(t, 3)
		c.pass(time.Second)
		drained := func(req uint64) []*Drained {
			c.say("c3", &Drain{Req: req, Node: peerOf("n3").ID})
			return received[*Drained](c.realm, "c3")
		}
		require.Equal(t, []*Drained{{Req: 1, Status: StatusOK}}, drained(1))
		c.consensus.held = true // it does not reach the others
		require.Empty(t, drained(2))
		require.Empty(t, drained(2), "asked again")
		if deposed {
			c.deposed()
			require.Equal(t, []*NotLeader{{Req: 2, Leader: c.consensus.others[0], Term: 2}}, received[*NotLeader](c.realm, "c3"))
			continue
		}
		c.consensus.held = false
		c.turn()
		require.Equal(t, []*Drained{{Req: 2, Status: StatusOK}}, received[*Drained](c.realm, "c3"))
	}
}

// Nor does it say which groups there are: a backup would lack those that another leader has formed,
// and what was acknowledged in them before the backup began.
func TestTheStatusTakesTheWordOfTheOthers(t *testing.T) {
	for _, deposed := range []bool{true, false} {
		c := leading(t, 3)
		c.consensus.held = true
		for range 3 {
			c.say("c1", &StatusQuery{Req: 1})
		}
		require.Empty(t, received[*StatusReply](c.realm, "c1"))
		if deposed {
			c.deposed()
			require.Equal(t, []*NotLeader{{Req: 1, Leader: c.consensus.others[0], Term: 2}}, received[*NotLeader](c.realm, "c1"))
			continue
		}
		c.consensus.held = false
		c.turn()
		replies := received[*StatusReply](c.realm, "c1")
		require.Len(t, replies, 1)
		require.EqualValues(t, 1, replies[0].Req)
	}
}

// A leader that was deposed may hear of epochs that it does not know. It has lost nothing,
// and does not halt; one that leads all the same has. In memory mode it cannot have: there one
// node that is wrong would halt one leader after the other.
func TestALeaderThatLacksSomethingAsksWhetherItLeads(t *testing.T) {
	for _, deposed := range []bool{true, false} {
		t.Run(fmt.Sprintf("deposed=%v", deposed), func(t *testing.T) {
			c := leading(t, 3, inDurableMode)
			c.pass(time.Second)
			require.EqualValues(t, 1, c.place("a"))
			c.consensus.held = true
			c.actors["n2"].epochs = []GroupEpoch{{1, 9}}
			c.pass(time.Second)
			require.NotNil(t, c.node, "it is not judged yet")
			if deposed {
				c.deposed()
				c.consensus.held = false
				c.pass(time.Second)
				require.NotNil(t, c.node)
				return
			}
			c.consensus.held = false
			c.turn()
			require.Nil(t, c.node)
			require.ErrorIs(t, c.halted, ErrAmnesia)
		})
	}
	t.Run("in memory mode", func(t *testing.T) {
		c := leading(t, 3)
		c.pass(time.Second)
		require.EqualValues(t, 1, c.place("a"))
		c.actors["n2"].epochs = []GroupEpoch{{1, 9}}
		c.pass(100 * time.Millisecond)
		require.NoError(t, c.halted)
		require.Contains(t, c.happened(EventAhead), Event{Kind: EventAhead, Node: peerOf("n2").ID})
		c.pass(time.Second)
		require.NoError(t, c.halted)
	})
}

// Whatever the Directory of several managers holds, one that lags can get it in a snapshot. New keys
// are refused before.
func TestTheDirectoryOfSeveralManagersFitsInASnapshot(t *testing.T) {
	c := leading(t, 3)
	c.pass(time.Second)
	require.EqualValues(t, 1, c.place("a"))
	d := c.manager().dir
	text := func() int { return len(d.text(rigCluster)) }
	for _, size := range []int{1, 100, KeyBytesMax} {
		before, kept := text(), d.unitBytes
		for i := range 40 {
			u := Unit(strings.Repeat(string(rune('0'+i)), size))
			d.units[u] = groupMax
			d.unitBytes += len(u) + unitOverhead
		}
		require.Less(t, text()-before, d.unitBytes-kept, "keys of %d bytes", size)
	}

	d = newDirectory(PlacementKey) // as large as can be but for the units
	addr := strings.Repeat("a", AddrBytesMax)
	for i := range NodeID(nodesMax) {
		d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer{i + 1, addr}, strings.Repeat("n", NameBytesMax), math.MaxUint64, bootMax}, Secret: math.MaxUint64})
	}
	config := &Config{Group: groupMax, Epoch: countMax, Joining: Peer{nodesMax, addr}, Start: countMax, Reads: ReadLease, Lease: LeaseMax, MinChain: ChainMax}
	for i := range NodeID(ChainMax) {
		config.Chain = append(config.Chain, Peer{i + 1, addr})
	}
	for range groupMax {
		d.groups = append(d.groups, &groupEntry{config: config})
	}
	underWay := c.manager().opt.WaitersMax * (KeyBytesMax + unitOverhead)
	require.Less(t, text()+underWay, directoryRest)

	c.manager().dir.unitBytes = DirectoryTextMax - directoryRest
	require.Equal(t, StatusOverloaded, c.lookup("new", true).Status)
	require.Equal(t, StatusOK, c.lookup("a", true).Status)
	alone := newRealm(t, 3)
	alone.pass(time.Second)
	alone.manager().dir.unitBytes = DirectoryTextMax
	require.EqualValues(t, 1, alone.place("a"))
}

// A start of a manager is told from an earlier one by its count; the terms of several are
// counted likewise. A node hears the later leader, and the earlier one does not end for that.
func TestATermIsAsAStart(t *testing.T) {
	c := leading(t, 3)
	c.pass(time.Second)
	n1 := c.actors["n1"]
	require.EqualValues(t, 1, n1.seen.boot)
	n1.seen.boot, n1.seen.start = 7, 99 // another leader has been here, in term 7
	c.pass(time.Second)
	require.NotNil(t, c.node)
	c.deposed()
	c.consensus.term = 7
	c.leads()
	c.pass(100 * time.Millisecond)
	require.EqualValues(t, 8, n1.seen.boot)
	require.NotNil(t, c.node)
}

// A loss that is presumed is a command before anybody is told, and is withdrawn by one.
func TestAPresumedLossIsAgreedOn(t *testing.T) {
	c := leading(t, 4, replicas(2))
	c.pass(2 * time.Second)
	require.EqualValues(t, 1, c.place("a"))
	c.kinds()
	lost := func() bool { return c.lookup("a", false).Status == StatusGroupLost }
	c.refused("n1", "n2", "n3")
	c.pass(1500 * time.Millisecond)
	require.False(t, lost())
	c.consensus.held = true
	c.pass(3 * time.Second)
	require.False(t, lost(), "it is not agreed on")
	c.consensus.held = false
	c.pass(100 * time.Millisecond)
	require.Contains(t, c.kinds(), CommandLost)
	require.True(t, lost())
	require.EqualValues(t, 1, len(c.happened(EventLost)))

	// The next leader has it from the Directory, and takes it back when a member answers.
	c.deposed()
	c.leads()
	require.True(t, lost())
	c.consensus.held = true
	c.ail(well, "n2")
	c.pass(200 * time.Millisecond)
	require.True(t, lost(), "that it is found is not agreed on")
	c.consensus.held = false
	c.pass(100 * time.Millisecond)
	require.Contains(t, c.kinds(), CommandFound)
	require.False(t, lost())
}

// refused has addresses refuse connections, and the others say so too.
func (c *council) refused(names ...string) { c.ail(refusing, names...) }

// A manager that reaches nobody suspects itself: it neither presumes a loss nor halts.
func TestAManagerThatReachesNobodySuspectsItself(t *testing.T) {
	c := leading(t, 3, haltOnLoss)
	c.pass(2 * time.Second)
	require.EqualValues(t, 1, c.place("a"))
	c.kinds()
	c.refused("n1", "n2", "n3")
	for range 300 { // clients say the same
		for i := range 3 {
			c.say("c1", &Suspect{Group: 1, Epoch: c.epoch(1), Node: NodeID(1 + i), Refused: true})
		}
		c.pass(100 * time.Millisecond)
	}
	require.NotNil(t, c.node, "%v", c.halted)
	require.NotContains(t, c.kinds(), CommandLost)
	require.NotEqual(t, StatusGroupLost, c.lookup("a", false).Status)
}

// The managers halt together: by a command, and only while one leads. What was decided is
// looked into again by the next leader.
func TestManagersHaltTogether(t *testing.T) {
	c := leading(t, 4, haltOnLoss, inDurableMode)
	c.pass(2 * time.Second)
	c.kinds()
	require.EqualValues(t, 1, c.place("a"))
	for i := range 3 {
		c.say("c9", &Forget{Req: uint64(1 + i), Node: NodeID(1 + i)})
	}
	c.pass(1100 * time.Millisecond)
	require.Contains(t, c.kinds(), CommandHalt)
	require.NotNil(t, c.node, "the others have to hear of it")
	c.deposed()
	c.consensus.leader = Peer{}
	c.pass(10 * time.Second)
	require.NotNil(t, c.node, "nobody leads")
	c.leads()
	require.Contains(t, c.kinds(), CommandGoOn)
	c.pass(900 * time.Millisecond)
	require.NotNil(t, c.node)
	c.pass(1500 * time.Millisecond)
	require.Nil(t, c.node)
	require.ErrorIs(t, c.halted, ErrGroupLost)

	// One that follows ends as well.
	f := newCouncil(t)
	f.agreed(registration("n1"), Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1}, Terms: Terms{ReadConfirm, 0, 1}},
		Command{Kind: CommandGone, Node: NodeRecord{Peer: Peer{ID: 1}}}, Command{Kind: CommandHalt})
	f.consensus.leader = f.consensus.others[0]
	late := f.manager().dir.text(rigCluster)
	f.pass(2 * time.Second)
	require.ErrorIs(t, f.halted, ErrGroupLost)

	// So does one that lagged, and hears of it with the Directory. Who starts with that waits for a
	// leader's word.
	f = newCouncil(t)
	require.NoError(t, f.consensus.m.Restore(late))
	f.pass(2 * time.Second)
	require.NotNil(t, f.node, "nobody leads")
	f.consensus.leader = f.consensus.others[0]
	f.pass(time.Second)
	require.ErrorIs(t, f.halted, ErrGroupLost)
}

// A command for which the consensus has no room waits for it, and none overtakes it.
func TestCommandsWaitForRoom(t *testing.T) {
	c := leading(t, 6)
	c.pass(time.Second)
	c.kinds()
	c.consensus.full = true
	for _, key := range []string{"a", "b", "c"} {
		c.say("c1", &Lookup{Req: uint64(key[0]), Key: key, Create: true})
	}
	require.Empty(t, received[*LookupReply](c.realm, "c1"))
	c.consensus.full = false
	c.say("c1", &Lookup{Req: 1, Key: "d", Create: true})
	answers := received[*LookupReply](c.realm, "c1")
	require.Equal(t, []uint64{'a', 'b', 'c', 1}, slices.Collect(func(yield func(uint64) bool) {
		for _, a := range answers {
			if !yield(a.Req) {
				return
			}
		}
	}))
}

// What a leader had no room for ends with its term: in a later one it knows nothing of it.
func TestADeposedLeaderProposesNothingLater(t *testing.T) {
	c := leading(t, 4)
	c.pass(time.Second)
	c.consensus.full = true
	c.say("c1", &Lookup{Req: 1, Key: "a", Create: true})
	c.deposed()
	c.leads()
	c.consensus.full = false
	c.kinds()
	c.say("c1", &Lookup{Req: 2, Key: "b", Create: true})
	require.Equal(t, []CommandKind{CommandPlace}, c.kinds())
	require.Zero(t, c.manager().KeyGroup("a"))
}

// The data of a manager that is alone are not those of one of several.
func TestManagersAloneAndOfSeveralDoNotMix(t *testing.T) {
	alone := newManagerAt(t, inDurableMode)
	_, err := NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true, Consensus: func(Machine, Peer, Space) (Consensus, error) { return &scripted{}, nil }}, alone.space)
	require.ErrorIs(t, err, ErrManagers)
	c := newCouncil(t, inDurableMode)
	c.space[prefixQuorum+"state"] = "x"
	_, err = NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true}, c.space)
	require.ErrorIs(t, err, ErrManagers)
}

// A manager that joins others learns the cluster with the Directory. One that has a cluster
// takes no other's.
func TestAManagerLearnsItsClusterWithTheDirectory(t *testing.T) {
	c := newCouncil(t, func(o *ManagerOptions) { o.Cluster = 0 })
	d := directoryOf("n1", "n2")
	c.consensus.leader = c.consensus.others[0]
	c.stepRaw(Envelope{From: peerOf("c1"), To: Peer{Addr: "m"}, Body: &Lookup{Req: 1, Key: "a"}})
	c.serve()
	require.Empty(t, received[*NotLeader](c.realm, "c1"), "it has nothing to say yet")
	require.NoError(t, c.consensus.m.Restore(d.text(rigCluster)))
	require.Equal(t, rigCluster, c.manager().Cluster())
	require.EqualValues(t, 2, c.manager().Index())
	require.Equal(t, d.text(rigCluster), c.consensus.m.Snapshot())
	require.ErrorContains(t, c.consensus.m.Restore(d.text(rigCluster+1)), "was sent the Directory of cluster")
	require.ErrorIs(t, c.consensus.m.Restore("\x01"), ErrDamaged)
}

// The leader has a manager without data take the place of the one that was at its address.
func TestALeaderTakesAnEmptyManagerIn(t *testing.T) {
	c := leading(t, 0)
	enlist := func(m *Enlist) {
		c.stepRaw(Envelope{From: Peer{0x777, "m3"}, To: Peer{Addr: "m"}, Body: m})
	}
	enlist(&Enlist{})
	require.Equal(t, []Peer{{0x777, "m3"}}, c.consensus.replaced)
	enlist(&Enlist{Durable: true})
	require.Len(t, c.consensus.replaced, 1, "memory and durable mode do not mix")
	c.deposed()
	enlist(&Enlist{})
	require.Len(t, c.consensus.replaced, 1)
	alone := newManagerAt(t)
	alone.stepRaw(Envelope{From: Peer{0x777, "m3"}, To: Peer{Addr: "m"}, Body: &Enlist{}})
	require.NotNil(t, alone.node)
}

func wireDecoder(text string) (c Command) {
	d := wire.NewDecoder([]byte(text))
	c.code(&d)
	return c
}

// A node that is registered asks again and again when the leader does not reach it. A follower that
// it asks offers the leader to lead. One that has just started asks once, and then the leader.
func TestAFollowerWhomNodesAskOffersToLead(t *testing.T) {
	c := newCouncil(t)
	c.agreed(registration("n1"))
	c.consensus.leader = c.consensus.others[0]
	asks := func(name string, secret uint64, every, during time.Duration) {
		for range during / every {
			c.stepRaw(Envelope{From: peerOf(name), To: Peer{Addr: "m"}, Body: &Register{Boot: 1, Name: name, Secret: secret}})
			c.pass(every)
		}
	}
	c.pass(5 * time.Second)
	asks("n1", 0, 2*time.Second, 10*time.Second)
	asks("n2", 0, 100*time.Millisecond, 2*time.Second)
	require.Zero(t, c.consensus.offers, "one that starts now and then, and one that is not registered")
	asks("n1", 7, 100*time.Millisecond, 2*time.Second)
	require.Zero(t, c.consensus.offers, "one that is not who it says")
	asks("n1", 0, 100*time.Millisecond, 2*time.Second)
	require.Positive(t, c.consensus.offers)
	require.LessOrEqual(t, c.consensus.offers, 6, "once in 300 ms at most")
}

// A leader that has heard no node for long has another one lead, of whom nodes ask to be registered.
// While it hears a single one it stays, however that is, and as long as it may hear some yet.
func TestALeaderThatHearsNoNodeLetsAnotherOneLead(t *testing.T) {
	c := leading(t, 3)
	offered := func() {
		c.consensus.offered = 0x202
		c.turn()
	}
	c.pass(3 * time.Second)
	offered()
	c.ail(silent, "n1", "n2")
	c.pass(10 * time.Second)
	offered()
	require.Empty(t, c.consensus.yielded, "it hears n3")
	c.ail(silent, "n3")
	c.pass(firstPatience / 2)
	offered()
	require.Empty(t, c.consensus.yielded)
	c.pass(firstPatience)
	offered()
	require.Equal(t, []NodeID{0x202}, c.consensus.yielded)

	c.deposed()
	c.leads() // who leads anew hears nobody yet
	c.pass(firstPatience / 2)
	offered()
	require.Len(t, c.consensus.yielded, 1)
	for range 4 {
		c.say("n1", &Register{Boot: 1, Name: "n1"}) // heard, though no ping comes back
		c.pass(firstPatience / 4)
	}
	offered()
	require.Len(t, c.consensus.yielded, 2, "it reaches nobody")
}

// What another manager sends, or whoever says that he is one, is read before it is agreed on or restored.
// Whatever reads can be applied.
func TestAManagerReadsWhatItIsToAgreeOn(t *testing.T) {
	c := leading(t, 3)
	m := c.consensus.m
	good := encoded(&Command{Kind: CommandGone, Node: NodeRecord{Peer: peerOf("n1")}})
	require.True(t, m.Reads(good))
	for _, bad := range []string{"", "\xff\xffnonsense", good[:len(good)-1], good + "x"} {
		require.False(t, m.Reads(bad), "%q", bad)
	}
	state := m.Snapshot()
	require.True(t, m.ReadsSnapshot(state))
	for _, bad := range []string{"", "\xff\xffnonsense", state[:len(state)-1], c.manager().dir.text(c.manager().cluster + 1)} {
		require.False(t, m.ReadsSnapshot(bad))
	}

	rng := rand.New(rand.NewPCG(1, 2))
	read := 0
	for i := range 20_000 {
		switch i % 100 {
		case 0:
			c.deposed()
		case 99: // it leads with what others have made of the Directory
			c.leads()
			continue
		}
		command := randomCommand(rng, c.manager().dir, commandKindEnd)
		mad(rng, command)
		e := wire.NewEncoder(nil)
		if command.code(&e); e.Err() != nil {
			continue
		}
		text := string(e.Seal())
		if !m.Reads(text) {
			continue
		}
		read++
		require.NotPanics(t, func() { m.Apply(text) }, "%+v", command)
	}
	require.Greater(t, read, 10_000)
}

// mad gives a command some values that no manager would.
func mad(rng *rand.Rand, c *Command) {
	id := func() NodeID {
		return []NodeID{0, 999, peerOf("n1").ID, peerOf("n9").ID, NodeID(math.MaxUint64)}[rng.IntN(5)]
	}
	ids := func() (list []NodeID) {
		for range rng.IntN(4) {
			list = append(list, id())
		}
		return list
	}
	for range rng.IntN(3) {
		switch rng.IntN(8) {
		case 0:
			c.Group = []GroupID{0, 1, 77, groupMax}[rng.IntN(4)]
		case 1:
			c.Epoch = []Epoch{0, 1, countMax}[rng.IntN(3)]
		case 2:
			c.Node.ID = id()
		case 3:
			c.Node.Boot = []Boot{0, 1, bootMax}[rng.IntN(3)]
		case 4:
			c.Members = ids()
		case 5:
			c.Remove = ids()
		case 6:
			c.Skip = []GroupID{0, 1, 77, groupMax}[:rng.IntN(5)]
		case 7:
			c.Terms = Terms{Reads: ReadMode(rng.IntN(4)), MinChain: []uint32{0, 1, math.MaxUint32}[rng.IntN(3)]}
		}
	}
}
