package core

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A primary whose network is broken reports one healthy member after the other.
// A third that reaches the accused shows who is at fault, and the primary goes
// (manager 3): else it would evict everyone and keep the group for itself.
func TestHalfBrokenPrimaryEvictsNobody(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.actors["n1"].cut = []string{"n2", "n3"}
	r.say("n1", suspect(1, "n2"))
	r.say("n1", suspect(1, "n3"))
	require.Equal(t, append(slices.Clone(everyMember), probing{"n1", "n2"}, probing{"n3", "n2"}), r.probed())
	r.pass(disputeMax - 100*time.Millisecond)
	r.requireChain(1, "n1", "n2", "n3")
	r.pass(110 * time.Millisecond)
	r.requireChain(2, "n2", "n3")
}

// A primary complains, and is asked again: what it waits for has moved since, so
// nobody goes, however often it complains (manager 3).
func TestTheAccuserIsAskedAgain(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.complain("n3", 10*time.Second)
	cleared := r.happened(EventCleared)
	require.NotEmpty(t, cleared)
	for _, e := range cleared {
		require.True(t, e.Effect, "because it moved")
	}
	r.requireChain(1, "n1", "n2", "n3")
}

// TCP sends a lost packet again after 0.2, 0.6 and 1.4 seconds. One that is lost three
// times in a row, on the way from a primary to a member, evicts neither: the member has
// acked it before the dispute is over (manager 3).
func TestAPacketLostThriceEvictsNobody(t *testing.T) {
	r := newRealm(t, 4)
	r.place("a")
	r.actors["n1"].cut = []string{"n2"}
	r.complain("n2", 1400*time.Millisecond-DefaultStorageOptions().AckTimeout)
	require.NotEmpty(t, r.happened(EventProbing))
	r.actors["n1"].cut = nil
	r.complain("n2", time.Second)
	r.requireChain(1, "n1", "n2", "n3")
}

// The only witness restarts while two others are in dispute. It was not at its address,
// but is there again, and must be asked anew: its word counts, and it is well enough to
// be the primary (manager 3).
func TestAWitnessThatRestartsIsAskedAnew(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.actors["n1"].cut = []string{"n3"}
	r.complain("n3", 100*time.Millisecond)
	r.ail(refusing, "n2")
	r.say("c1", suspect(1, "n2"))
	r.complain("n3", 100*time.Millisecond)
	r.ail(well, "n2")
	r.actors["n2"].boot++
	r.present(r.actors["n2"])
	r.complain("n3", disputeMax)
	r.requireChain(2, "n2", "n3")
}

// The accused restarts, and its primary has said in the meantime that its address refuses.
// That is of before: the primary is asked anew, and what it waits for has moved
// (manager 3).
func TestARefusalIsNotForEver(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.pass(time.Second)
	r.actors["n1"].disk, r.actors["n2"].disk = 400*time.Millisecond, 400*time.Millisecond // else n3 goes at once
	r.ail(refusing, "n3")
	r.say("n1", &Suspect{Group: 1, Epoch: 1, Node: peerOf("n3").ID, Refused: true})
	r.ail(well, "n3")
	r.actors["n3"].boot++
	r.present(r.actors["n3"])
	r.complain("n3", 3*time.Second)
	r.requireChain(1, "n1", "n2", "n3")
}

// What the accuser waited for has moved, while the accused was silent to the manager. When
// it is heard again nobody goes, though the accuser's word is of a while ago by then: it
// reports anew what it waits for now (manager 3).
func TestWhatHasMovedIsNotForgotten(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	n3 := r.actors["n3"]
	n3.health, n3.reachable = silent, true
	r.say("n1", suspect(1, "n3"))
	r.pass(300 * time.Millisecond)
	r.actors["n1"].cut = []string{"n3"}
	r.pass(500 * time.Millisecond)
	n3.health = well
	r.pass(disputeMax)
	r.requireChain(1, "n1", "n2", "n3")
}

// A word that takes longer than the others' are good for is a word all the same: the accuser,
// far away, says that what it waits for has moved, while the others are asked again and
// again (manager 3).
func TestALateWordCounts(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.actors["n1"].behind = 700 * time.Millisecond
	r.pass(time.Second)
	r.complain("n3", 10*time.Second)
	r.requireChain(1, "n1", "n2", "n3")
}

// A primary does not reach a member, and its disk is so slow that it proves itself too late
// each time that its report is inquired into. It is then inquired into itself, and proves
// itself in time: with that proof its report is judged, instead of beginning anew for ever
// (manager 3).
func TestAPrimaryWithASlowDiskIsHeard(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.actors["n1"].cut = []string{"n3"}
	r.actors["n1"].disk = 870 * time.Millisecond
	r.complain("n3", 4*time.Second)
	r.requireChain(2, "n2", "n3")
}

// The manager reaches both, but they do not reach each other. One must go, for
// the group can do no write; which one depends on who else reaches the accused
// (manager 3). Where only one would stay, the manager is slower to believe it.
func TestPartialPartition(t *testing.T) {
	for name, c := range map[string]struct {
		nodes, replicas int
		accused         string
		prepare         func(r *realm)
		asked           []probing // beside the accuser
		after           time.Duration
		chain           []string
	}{
		"a third member reaches the accused": {
			3, 2, "n3", func(r *realm) {}, []probing{{"n2", "n3"}}, disputeMax, []string{"n2", "n3"},
		},
		"a third member does not reach it either": {
			3, 2, "n3", func(r *realm) { r.actors["n2"].cut = []string{"n3"} }, []probing{{"n2", "n3"}}, disputeMax, []string{"n1", "n2"},
		},
		"one member reaches it, and one does not": {
			4, 3, "n4", func(r *realm) { r.actors["n2"].cut = []string{"n4"} }, []probing{{"n2", "n4"}, {"n3", "n4"}}, disputeMax, []string{"n1", "n2", "n3"},
		},
		"most of the others reach it": {
			5, 4, "n5", func(r *realm) { r.actors["n2"].cut = []string{"n5"} }, []probing{{"n2", "n5"}, {"n3", "n5"}, {"n4", "n5"}}, disputeMax, []string{"n2", "n3", "n4", "n5"},
		},
		"a spare in quarantine is a witness all the same": {
			3, 1, "n2", func(r *realm) { r.manager().contact(peerOf("n3").ID).quarantined = Never }, []probing{{"n3", "n2"}}, doubtsMax * disputeMax, []string{"n2"},
		},
		"a third member does not reach it, though a spare does": {
			4, 2, "n3", func(r *realm) { r.actors["n2"].cut = []string{"n3"} }, []probing{{"n2", "n3"}, {"n4", "n3"}}, disputeMax, []string{"n1", "n2"},
		},
		"only a spare is there as a witness": {
			3, 1, "n2", func(r *realm) {}, []probing{{"n3", "n2"}}, doubtsMax * disputeMax, []string{"n2"},
		},
		"the spare does not reach the accused": {
			3, 1, "n2", func(r *realm) { r.actors["n3"].cut = []string{"n2"} }, []probing{{"n3", "n2"}}, doubtsMax * disputeMax, []string{"n1"},
		},
		"no witness": {
			2, 1, "n2", func(r *realm) {}, nil, doubtsMax * disputeMax, []string{"n1"},
		},
		"the only spare is dead": {
			3, 1, "n2", func(r *realm) { r.ail(silent, "n3"); r.pass(300 * time.Millisecond); r.probed() }, nil, doubtsMax * disputeMax, []string{"n1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, c.nodes, replicas(c.replicas))
			r.place("a")
			c.prepare(r)
			r.actors["n1"].cut = []string{c.accused}
			r.complain(c.accused, c.after-100*time.Millisecond)
			var asked []probing
			for _, p := range r.words() {
				if p.to != "n1" && !slices.Contains(asked, p) {
					asked = append(asked, p)
				}
			}
			require.Equal(t, c.asked, asked)
			require.EqualValues(t, 1, r.epoch(1))
			r.complain(c.accused, 400*time.Millisecond)
			r.requireChain(2, c.chain...)
		})
	}
}

// A half-broken primary, a dead replica and a healthy one. The dead one cannot
// say who is at fault between the other two, so a spare is asked, which reaches
// the accused: the one that holds the group together is the healthy replica,
// and the half-broken primary must not end up as the group's only member
// (manager 3).
func TestASpareIsTheWitnessWhenTheThirdMemberIsSilent(t *testing.T) {
	r := newRealm(t, 4)
	r.place("a")
	r.pass(time.Second)
	r.probed()
	r.ail(silent, "n2")
	r.actors["n1"].cut = []string{"n2", "n3"}
	for range 10 {
		r.complain("n3", time.Second)
		require.Contains(t, r.members(1), "n3")
	}
	require.Contains(t, r.probed(), probing{"n4", "n3"}, "also when it has begun to join")
	require.Equal(t, []string{"n3"}, r.members(1))
}

// A witness clears the accused, and the member that would follow the accuser is
// dead: it is passed over, for the group must come to serve.
func TestWhoWouldFollowTheAccuserIsDead(t *testing.T) {
	r := newRealm(t, 4)
	r.place("a")
	r.actors["n1"].cut = []string{"n2", "n3"}
	r.ail(hanging, "n2")
	r.complain("n3", 10*time.Second)
	require.Equal(t, []string{"n3"}, r.members(1))
}

// Whoever is broken in whatever way, and whoever cannot reach whom: within some
// seconds a group of which a member is well has a primary that is, and that reaches
// all the others (manager 3).
func TestEveryInquiryEndsAndNoneForNothing(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := newRealm(t, 4, replicas(1+int(seed%3)))
		r.place("a")
		names := []string{"n1", "n2", "n3", "n4"}
		for _, name := range names {
			r.actors[name].health = []health{well, well, silent, hanging, refusing}[random.IntN(5)]
			for _, other := range names {
				if random.IntN(2) == 0 {
					r.actors[name].cut = append(r.actors[name].cut, other)
				}
			}
		}
		for range 40 {
			c := r.manager().Config(1)
			primary := r.actors[c.Chain[0].Addr]
			r.say("c1", suspect(c.Epoch, primary.peer.Addr))
			for _, p := range c.Chain[1:] {
				if primary.health == well && (slices.Contains(primary.cut, p.Addr) || r.actors[p.Addr].health != well) {
					r.say(primary.peer.Addr, suspect(c.Epoch, p.Addr))
				}
			}
			r.pass(300 * time.Millisecond)
		}
		c := r.manager().Config(1)
		primary := r.actors[c.Chain[0].Addr]
		works := primary.health == well
		for _, p := range c.Chain[1:] {
			works = works && r.actors[p.Addr].health == well && !slices.Contains(primary.cut, p.Addr)
		}
		someone := slices.ContainsFunc(c.Chain, func(p Peer) bool { return r.actors[p.Addr].health == well })
		require.True(t, works || !someone, "seed %d: %v cannot serve", seed, r.members(1))
	}
}

// The accuser itself fails the probe that its report started: it is the one to
// be judged then, whatever it says about others.
func TestAnAccuserThatDoesNotAnswerIsTheAccused(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.pass(time.Second)
	r.ail(silent, "n1")
	r.say("n1", suspect(1, "n3"))
	r.pass(360 * time.Millisecond)
	r.requireChain(1, "n1", "n2", "n3")
	r.pass(300 * time.Millisecond)
	r.requireChain(2, "n2", "n3")
}

// Gray failure: a node whose disk hangs goes on answering pings. It says how
// long its disk has owed it a sync; over the bound, it has to prove that it can
// write, and without that proof it goes, also as the primary (manager 3).
func TestASlowDiskBehindPongsIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		lag    time.Duration
		sick   []string // whose disks hang
		probes bool
		epoch  Epoch
		chain  []string
	}{
		"a lagging replica goes":                      {time.Second, []string{"n3"}, true, 2, []string{"n1", "n2"}},
		"a lagging primary is replaced":               {time.Second, []string{"n1"}, true, 2, []string{"n2", "n3"}},
		"not by a replica that lags as well":          {time.Second, []string{"n1", "n2"}, true, 2, []string{"n3"}},
		"nobody goes when all lag":                    {time.Second, []string{"n1", "n2", "n3"}, true, 1, []string{"n1", "n2", "n3"}},
		"a lag at the bound is none":                  {800 * time.Millisecond, []string{"n3"}, false, 1, []string{"n1", "n2", "n3"}},
		"a lag that is over when it comes to a proof": {time.Second, nil, true, 1, []string{"n1", "n2", "n3"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 3, inDurableMode)
			r.place("a")
			r.pass(time.Second)
			r.probed()
			r.ail(hanging, c.sick...)
			for _, sick := range c.sick {
				r.actors[sick].lag = c.lag
			}
			if c.sick == nil {
				r.actors["n2"].lag = c.lag
			}
			r.pass(3 * time.Second)
			require.Equal(t, c.probes, len(r.probed()) > 0)
			r.requireChain(c.epoch, c.chain...)
		})
	}
}

// The other side of it: in durable mode a storage node answers a probe only
// after a write, and tells how long its disk has kept it waiting (manager 3).
func TestAProbeIsAnsweredAfterADurableWrite(t *testing.T) {
	n := newStorageAt(t, "n1", durable).registered()
	n.held = true
	n.step("m", &Probe{Nonce: 7})
	n.tick(400 * time.Millisecond)
	require.Empty(t, sent[*ProbeReply](n, "m"))
	n.step("m", &Ping{Nonce: 8, Boot: 1})
	require.Equal(t, 400*time.Millisecond, only[*Pong](n, "m").Lag, "but it goes on answering pings")

	n.sync()
	require.Equal(t, &ProbeReply{Nonce: 7}, only[*ProbeReply](n, "m"))
	n.step("m", &Ping{Nonce: 9, Boot: 1})
	require.Zero(t, only[*Pong](n, "m").Lag)
}

// A probe with a target is answered when the target has answered, and not by
// whoever asked before.
func TestAWitnessReportsARoundTrip(t *testing.T) {
	n := newStorageAt(t, "n2").registered()
	n.step("m", &Probe{Nonce: 7, Target: peerOf("n3")})
	require.Empty(t, sent[*ProbeReply](n, "m"))
	asked := only[*Probe](n, "n3")
	require.Zero(t, asked.Target)

	n.step("n3", &ProbeReply{Nonce: asked.Nonce + 8}) // of the same slot, but to no open question
	require.Empty(t, sent[*ProbeReply](n, "m"))
	n.step("n3", &ProbeReply{Nonce: asked.Nonce})
	require.Equal(t, &ProbeReply{Nonce: 7}, only[*ProbeReply](n, "m"))
	n.step("n3", &ProbeReply{Nonce: asked.Nonce})
	require.Empty(t, sent[*ProbeReply](n, "m"), "once")
}

// Who asks again does so over another connection when the first has broken, and the
// answer goes there: the first is no longer read.
func TestAnAnswerGoesWhereItWasAskedForLast(t *testing.T) {
	over := func(n *rig, from, connection string, m Message) {
		n.stepRaw(Envelope{Cluster: rigCluster, From: Peer{ID: peerOf(from).ID, Addr: connection}, To: n.self, Body: m})
	}
	n := newStorageAt(t, "n2").registered()
	over(n, "m", "#1", &Probe{Nonce: 7, Target: peerOf("n3")})
	over(n, "m", "#2", &Probe{Nonce: 7, Target: peerOf("n3")})
	n.step("n3", &ProbeReply{Nonce: latest[*Probe](n, "n3").Nonce})
	require.Empty(t, sent[*ProbeReply](n, "#1"))
	require.Equal(t, &ProbeReply{Nonce: 7}, only[*ProbeReply](n, "#2"))

	r := newRealm(t, 4, quick)
	r.place("k")
	r.pass(time.Second)
	over(r.rig, "c1", "#1", &Drain{Req: 1, Node: peerOf("n1").ID})
	over(r.rig, "c1", "#2", &Drain{Req: 1, Node: peerOf("n1").ID})
	require.Len(t, r.manager().drains, 1)
	require.Equal(t, "#2", r.manager().drains[0].client.Addr)
}

// A witness's probe may be lost with a connection that breaks, and goes out again;
// once, for the next may break as well.
func TestAWitnessAsksAgainWhenTheConnectionBreaks(t *testing.T) {
	n := newStorageAt(t, "n2").registered()
	n.step("m", &Probe{Nonce: 7, Target: peerOf("n3")})
	asked := only[*Probe](n, "n3")
	n.step("n2", &PeerDown{Peer: peerOf("n4")})
	require.Empty(t, sent[*Probe](n, "n3"), "another's connection")
	n.step("n2", &PeerDown{Peer: peerOf("n3")})
	require.Equal(t, asked, only[*Probe](n, "n3"))
	n.step("n2", &PeerDown{Peer: peerOf("n3")})
	require.Empty(t, sent[*Probe](n, "n3"))
	n.step("n2", &PeerDown{Peer: peerOf("n3"), Refused: true})
	require.Equal(t, &ProbeReply{Nonce: 7, Refused: true}, only[*ProbeReply](n, "m"))
}

// A primary ends just when the manager asks it for proof, so that the question is
// lost with its connection. It is put again when the connection breaks, and refused:
// no ping need be waited for (manager 3).
func TestAQuestionLostWithItsConnectionIsPutAgain(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.ail(silent, "n1")
	r.say("c1", suspect(1, "n1"))
	broke := func() {
		r.stepRaw(Envelope{From: r.self, To: r.self, Body: &PeerDown{Peer: peerOf("n1")}})
		r.serve()
	}
	r.probed()
	broke()
	require.Equal(t, []probing{{to: "n1"}}, r.proofs())
	broke()
	require.Empty(t, r.proofs(), "once: every question may bring the next break")

	r = newRealm(t, 3)
	r.place("a")
	r.ail(silent, "n1")
	r.say("c1", suspect(1, "n1"))
	r.ail(refusing, "n1")
	r.requireChain(1, "n1", "n2", "n3")
	broke()
	r.requireChain(2, "n2", "n3")
}

// A primary says that it cannot go on. It goes as soon as the next one has proved itself,
// though it answers all the time, and is never the last.
func TestAPrimaryThatResignsIsFollowedByAnother(t *testing.T) {
	resigns := func(name string, epoch Epoch) *Suspect {
		return &Suspect{Group: 1, Epoch: epoch, Node: peerOf(name).ID}
	}
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.pass(time.Second)
	r.say("c1", resigns("n1", 1))
	r.pass(5 * time.Second)
	r.requireChain(1, "n1", "n2", "n3")
	r.say("n1", resigns("n1", 1))
	r.requireChain(2, "n2", "n3")
	r.pass(time.Second)
	r.ail(silent, "n3")
	r.say("n2", resigns("n2", r.epoch(1)))
	r.pass(time.Second)
	require.Equal(t, []string{"n2", "n3"}, r.members(1), "the other has not proved itself")
	r.ail(well, "n3")
	r.pass(time.Second)
	r.say("n2", resigns("n2", r.epoch(1)))
	r.pass(time.Second)
	require.Equal(t, []string{"n3"}, r.members(1))
	r.pass(time.Second)
	r.say("n3", resigns("n3", r.epoch(1)))
	r.pass(5 * time.Second)
	require.Contains(t, r.members(1), "n3")
}

// A replica that is about to stop says so as well, and goes: its primary does not wait for it
// in vain.
func TestAReplicaThatResignsGoes(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.pass(time.Second)
	r.say("n2", &Suspect{Group: 1, Epoch: 1, Node: peerOf("n2").ID})
	r.requireChain(2, "n1", "n3")
}

// A storm of reports leads to one inquiry at a time, and so to one probe of each
// member; when it ends without a result, the next waits a while (manager 3).
func TestAStormOfReportsChangesNothing(t *testing.T) {
	r := newRealm(t, 3)
	r.place("a")
	r.ail(silent, "n1", "n2", "n3")
	storm := func() {
		for i := range 500 {
			r.say("c1", suspect(1, everyMember[i%3].to))
			r.say("n1", suspect(1, "n2"))
		}
	}
	storm()
	require.Equal(t, everyMember, r.proofs())

	// It takes a second to find out that nobody answers; who does not is asked again
	// now and then.
	r.pass(1100 * time.Millisecond)
	storm()
	r.pass(900 * time.Millisecond)
	storm()
	require.Less(t, len(r.probed()), 3*2*50)
	require.Len(t, r.actors, 3)
	r.requireChain(1, "n1", "n2", "n3")
}

// A node that comes and goes stays for as long as it answers in time. Once it
// does not, it goes, and in quarantine its comings and goings are the group's
// concern no more: each of them would else be another epoch (manager 3).
func TestAFlappingNodeIsKeptOut(t *testing.T) {
	r := newRealm(t, 3, func(o *ManagerOptions) { o.QuarantineMin, o.QuarantineMax = time.Minute, time.Hour })
	r.place("a")
	for range 20 {
		r.ail(silent, "n3")
		r.pass(140 * time.Millisecond)
		r.ail(well, "n3")
		r.pass(60 * time.Millisecond)
	}
	require.Empty(t, r.probed(), "an answer in time ends the count of missed pings")
	r.requireChain(1, "n1", "n2", "n3")

	for range 20 {
		r.ail(silent, "n3")
		r.pass(600 * time.Millisecond)
		r.ail(well, "n3")
		r.pass(100 * time.Millisecond)
	}
	require.Len(t, r.happened(EventProbing), 1, "one inquiry")
	r.requireChain(2, "n1", "n2")
}

// A report speaks of one epoch and of a member of it. What was true of an
// earlier chain must not act on this one.
func TestReportsThatAreNotCurrentAreIgnored(t *testing.T) {
	r := newRealm(t, 4)
	r.place("a")
	r.ail(refusing, "n3")
	r.say("n1", suspect(1, "n3"))
	r.requireChain(2, "n1", "n2")
	r.ail(well, "n3")
	r.probed()
	r.happened(EventDropped)

	reports := []*Suspect{suspect(1, "n2"), suspect(3, "n2"), suspect(2, "n3"), suspect(2, "n4"), {Group: 2, Epoch: 1, Node: 2}, {Group: 0, Epoch: 2, Node: 2}}
	for _, s := range reports {
		r.say("n1", s)
	}
	require.Len(t, r.happened(EventDropped), len(reports))
	require.Empty(t, r.probed())
	r.say("n1", suspect(2, "n2"))
	require.NotEmpty(t, r.probed())
}

// A missed config is sent again for as long as a Pong shows a lower epoch, to
// members and to who was in the group before.
func TestConfigsAreSentAgainUntilAPongShowsThem(t *testing.T) {
	r := newRealm(t, 3, func(o *ManagerOptions) { o.QuarantineMin, o.QuarantineMax = time.Hour, time.Hour })
	r.place("a")
	r.pass(time.Second)
	n2, n3 := r.actors["n2"], r.actors["n3"]

	r.ail(refusing, "n3")
	r.say("n1", suspect(1, "n3"))
	r.requireChain(2, "n1", "n2")
	r.ail(well, "n3")
	for _, a := range []*actor{n2, n3} {
		a.epochs = []GroupEpoch{{1, 1}} // as if it had heard of nothing
		received[*Config](r, a.peer.Addr)
	}
	n1 := received[*Config](r, "n1")
	r.pass(40 * time.Millisecond)
	n2.epochs, n3.epochs = []GroupEpoch{{1, 1}}, []GroupEpoch{{1, 1}}
	r.pass(50 * time.Millisecond)
	require.Equal(t, []*Config{r.manager().Config(1)}, received[*Config](r, "n2"))
	require.Equal(t, []*Config{r.manager().Config(1)}, received[*Config](r, "n3"), "it left, and may not know it")
	require.Equal(t, []GroupEpoch{{1, 2}}, n3.epochs)

	n2.epochs = nil // its first config was lost
	r.pass(50 * time.Millisecond)
	require.Equal(t, []*Config{r.manager().Config(1)}, received[*Config](r, "n2"))

	r.pass(time.Second)
	for _, name := range []string{"n1", "n2", "n3"} {
		require.Empty(t, received[*Config](r, name), "%s knows it", name)
	}
	require.NotEmpty(t, n1)
}
