package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A node of the same boot may register as often as it likes; it is answered, and
// the Directory stays as it is.
func TestADuplicateRegisterChangesNothing(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	index := r.manager().Index()
	for range 3 {
		for _, name := range []string{"n1", "n2"} {
			received[*Registered](r, name)
			r.present(r.actors[name])
			require.Equal(t, []*Registered{{Boot: 1}}, received[*Registered](r, name))
		}
	}
	require.Equal(t, index, r.manager().Index())
	r.requireChain(1, "n1", "n2", "n3")
}

// A restarted primary serves only in an epoch above the one it had persisted,
// so its registering issues one: once, also when it registers twice before that
// is durable. A replica keeps its place and its epoch (rule R11).
func TestANewBootOfThePrimaryReissuesTheChain(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	n1, n2 := r.actors["n1"], r.actors["n2"]
	n2.boot = 2
	r.present(n2)
	r.requireChain(1, "n1", "n2", "n3")
	require.EqualValues(t, 2, r.manager().Node(1, r.now).Boot)

	for _, name := range []string{"n1", "n2", "n3"} {
		received[*Config](r, name)
	}
	r.held = true
	n1.boot = 2
	r.present(n1)
	r.present(n1)
	r.flush()
	r.requireChain(2, "n1", "n2", "n3")
	for _, name := range []string{"n1", "n2", "n3"} {
		require.Equal(t, []*Config{r.manager().Config(1)}, received[*Config](r, name), name)
	}
}

// A member that comes back at another address is of no use to a chain that
// names the old one.
func TestANewAddressOfAMemberReissuesTheChain(t *testing.T) {
	r := newRealm(t, 1, inDurableMode, replicas(0))
	r.place("a")
	r.move(r.actors["n1"], "n9")
	r.requireChain(2, "n9")
	require.Len(t, received[*Config](r, "n9"), 1)
}

// A start at another address says that its directory was moved there. It may be a copy, and
// the node may run. While the node answers at its address, no start elsewhere takes its place:
// that has not what was acknowledged since. Nor does one that only says that it is there. Where
// the node is not at its address any more, or is silent for longer than a stall, the start is
// taken.
func TestNoCopyTakesThePlaceOfANodeThatRuns(t *testing.T) {
	for name, c := range map[string]struct {
		health         health // of the node, at its address
		till           time.Duration
		taken, refused bool
	}{
		"it answers":            {well, 0, false, true},
		"it answers slowly":     {hanging, 0, false, true},
		"its address refuses":   {refusing, 0, true, false},
		"another answers":       {replaced, 0, true, false},
		"it is silent":          {silent, 1900 * time.Millisecond, false, false},
		"it is silent for long": {silent, 2100 * time.Millisecond, true, false},
	} {
		for _, more := range []struct {
			restarted bool
			addr      string // that the start says it has
		}{{false, "n9"}, {true, "n9"}, {false, "n1"}, {true, "n1"}} {
			t.Run(fmt.Sprintf("%s, and the start is at %s, manager restarted: %v", name, more.addr, more.restarted), func(t *testing.T) {
				r := newRealm(t, 1, inDurableMode, replicas(0))
				r.place("a")
				r.pass(time.Second)
				r.ail(c.health, "n1")
				if more.restarted { // it knows nothing yet of who answers
					r.crash(0)
					r.restart()
				}
				copied := &actor{peer: Peer{peerOf("n1").ID, more.addr}, boot: 2}
				if more.addr != "n1" {
					r.actors["n9"] = copied
				}
				for range 2 {
					r.present(copied)
				}
				for at := time.Duration(0); at < c.till; at += 100 * time.Millisecond {
					r.pass(100 * time.Millisecond)
					r.present(copied)
				}
				refusals := received[*Refused](r, more.addr)
				require.Equal(t, c.refused, len(refusals) > 0)
				for _, m := range refusals {
					require.Equal(t, RefusedRuns, m.Reason)
				}
				want := NodeRecord{peerOf("n1"), "n1", 0, 1}
				if c.taken {
					want = NodeRecord{copied.peer, more.addr, 0, 2}
				}
				require.Equal(t, want, r.manager().dir.node(peerOf("n1").ID).NodeRecord)
				require.Equal(t, c.refused, len(r.happened(EventCopied)) > 0, "people are told")
				if c.refused { // which it may not hear, if it said that it is where it is not
					r.actors["n1"].health = refusing
					r.pass(time.Minute)
					r.present(copied)
					require.EqualValues(t, 1, r.manager().dir.node(peerOf("n1").ID).Boot, "not even once the node has ended")
				}
			})
		}
	}
}

// A node that is started again so fast that nobody has noticed its end is asked, too: it
// answers as the start that wants its place.
func TestAFastRestartIsTakenWhenItAnswers(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		r := newRealm(t, 1, inDurableMode, replicas(0))
		r.place("a")
		r.pass(time.Second)
		if restarted {
			r.crash(0)
			r.restart()
		}
		r.actors["n1"].boot = 2
		r.trip = 10 * time.Millisecond
		r.present(r.actors["n1"])
		require.EqualValues(t, 1, r.manager().dir.node(peerOf("n1").ID).Boot)
		r.pass(11 * time.Millisecond)
		require.EqualValues(t, 2, r.manager().dir.node(peerOf("n1").ID).Boot, "at the first answer")
		require.EqualValues(t, 2, r.epoch(1))
		require.Empty(t, r.manager().contacts[0].claims)
	}
}

// What the node had answered before says nothing: it may have been stopped since. So only the
// answer to a ping counts that was sent after the start was heard of. Each of two starts gets
// its own.
func TestAnEarlierAnswerKeepsNoPlace(t *testing.T) {
	r := newRealm(t, 1, inDurableMode, replicas(0))
	r.place("a")
	r.trip = 20 * time.Millisecond
	r.pass(time.Second + 10*time.Millisecond) // a ping is on its way
	for i := range 2 * claimsMax {
		a := &actor{peer: Peer{peerOf("n1").ID, "n9"}, boot: 2}
		r.actors["n9"] = a
		secret := uint64(i % 2)
		for range 2 {
			r.stepRaw(Envelope{From: a.peer, To: Peer{Addr: "m"}, Body: &Register{Boot: 2, Secret: secret, Durable: true}})
		}
		r.serve()
		require.Equal(t, i < 4, len(received[*Refused](r, "n9")) == 0, "%d", i)
		r.pass(5 * time.Millisecond)
	}
	require.Len(t, r.manager().contacts[0].claims, 2)
	for i := range uint64(100) {
		r.stepRaw(Envelope{From: Peer{peerOf("n1").ID, "n9"}, To: Peer{Addr: "m"}, Body: &Register{Boot: 2, Secret: 2 + i, Durable: true}})
	}
	require.Len(t, r.manager().contacts[0].claims, claimsMax)
}

// presents has the manager get a Register of n1, and returns what it answers: whether it
// has registered that start, or refuses it.
func (r *realm) presents(addr string, m Register) (registered, refused bool) {
	r.t.Helper()
	m.Durable = true
	r.actors[addr] = &actor{peer: Peer{peerOf("n1").ID, addr}, boot: m.Boot}
	r.stepRaw(Envelope{From: r.actors[addr].peer, To: Peer{Addr: "m"}, Body: &m})
	r.serve()
	for _, a := range received[*Registered](r, addr) {
		registered = registered || a.Boot == m.Boot && (a.Secret == m.Inherited || m.Inherited == 0 && a.Secret == m.Secret)
	}
	for _, a := range received[*Refused](r, addr) {
		require.Contains(r.t, []Refusal{RefusedBoot, RefusedRuns}, a.Reason)
		require.Equal(r.t, m.Secret, a.Token)
		refused = true
	}
	return registered, refused
}

// Data are copied, and started twice, or a copy is put back: of all starts from the same
// moment the manager takes one, and none from an earlier one. The others are told to stop.
func TestOneStartFollowsTheOther(t *testing.T) {
	for name, c := range map[string]struct {
		addr                string
		next                Register
		registered, refused bool
	}{
		"the next start":                                                 {"n1", Register{Boot: 4, Secret: 14, Before: 13}, true, false},
		"it, elsewhere, while this one runs":                             {"n9", Register{Boot: 4, Secret: 14, Before: 13}, false, true},
		"the same start once more":                                       {"n1", Register{Boot: 3, Secret: 13, Before: 12}, true, false},
		"one that only carries on the secret":                            {"n1", Register{Boot: 4, Secret: 13, Before: 12}, false, true},
		"a copy of the moment before this start":                         {"n9", Register{Boot: 3, Secret: 23, Before: 12}, false, true},
		"it, which was started more often":                               {"n9", Register{Boot: 9, Secret: 23, Before: 12}, false, true},
		"an older copy":                                                  {"n1", Register{Boot: 2, Secret: 22, Before: 11}, false, true},
		"a copy of this start":                                           {"n9", Register{Boot: 3, Secret: 13, Before: 12}, false, true},
		"a Register of an earlier start, late":                           {"n1", Register{Boot: 2, Secret: 12, Before: 11}, false, true},
		"one of a start whose secret the present one goes on with, late": {"n1", Register{Boot: 2, Secret: 13, Before: 12}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 0, inDurableMode)
			for i := range uint64(3) {
				registered, _ := r.presents("n1", Register{Boot: Boot(i + 1), Secret: i + 11, Before: (i + 10) * min(i, 1)})
				require.True(t, registered)
			}
			index := r.manager().Index()
			registered, refused := r.presents(c.addr, c.next)
			require.Equal(t, c.registered, registered)
			require.Equal(t, c.refused, refused)
			n := r.manager().dir.node(peerOf("n1").ID)
			if c.registered {
				require.Equal(t, c.next.Secret, n.secret)
				require.Equal(t, c.addr, n.Addr)
			} else {
				require.Equal(t, index, r.manager().Index(), "nothing proposed")
				require.EqualValues(t, 13, n.secret)
				require.Equal(t, "n1", n.Addr)
			}
		})
	}
}

// Both Registers come before the first is durable: of two commands the later changes
// nothing.
func TestOfTwoStartsFromOneCopyTheFirstIsTaken(t *testing.T) {
	d := directoryOf("n1")
	register := func(addr string, secret uint64) *Command {
		return &Command{Kind: CommandRegister, Node: NodeRecord{Peer: Peer{peerOf("n1").ID, addr}, Boot: 2}, Secret: secret}
	}
	require.True(t, d.apply(register("n1", 5)).registered)
	require.False(t, d.apply(register("n9", 6)).registered)
	require.Equal(t, "n1", d.node(peerOf("n1").ID).Addr)
	require.EqualValues(t, 5, d.node(peerOf("n1").ID).secret)
}

// A start that was never confirmed may be in copies of the data. All may go by its secret to
// ask what the manager knows, and each learns it, but that is no registration: nobody takes
// anybody's place by it. Of those who then register with a secret of their own the first is
// taken, whoever counts more starts.
func TestOfCopiesOfAStartThatNobodyConfirmedOneIsTaken(t *testing.T) {
	for name, known := range map[string]bool{"the manager knows it": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, 0, inDurableMode)
			is := func(registered, refused bool) []bool { return []bool{registered, refused} }
			require.Equal(t, []bool{true, false}, is(r.presents("n1", Register{Boot: 1, Secret: 11})))
			if known {
				require.Equal(t, []bool{true, false}, is(r.presents("n1", Register{Boot: 2, Secret: 12, Before: 11})))
			}
			was := *r.manager().dir.node(peerOf("n1").ID)
			for i := range 3 {
				require.Equal(t, []bool{true, false}, is(r.presents("n1", Register{Boot: Boot(3 + 3*i), Secret: 20 + uint64(i), Before: 11, Inherited: 12})))
				require.Equal(t, []bool{true, false}, is(r.presents("n9", Register{Boot: Boot(5 + 3*i), Secret: 30 + uint64(i), Before: 11, Inherited: 12})))
			}
			is12 := was
			is12.secret = 12
			require.Equal(t, is12, *r.manager().dir.node(was.ID), "its start, address and group are as they were")

			require.Equal(t, []bool{true, false}, is(r.presents("n1", Register{Boot: 3, Secret: 13, Before: 12})))
			index := r.manager().Index()
			for name, m := range map[string]Register{
				"the copy":               {Boot: 5, Secret: 14, Before: 12},
				"it, started again":      {Boot: 6, Secret: 15, Before: 12, Inherited: 14},
				"of an earlier moment":   {Boot: 6, Secret: 16, Before: 11, Inherited: 12},
				"with the same number":   {Boot: 3, Secret: 14, Before: 12},
				"of one that never asks": {Boot: 7, Secret: 12, Before: 11},
			} {
				require.Equal(t, []bool{false, true}, is(r.presents("n9", m)), name)
			}
			_, refused := r.presents("n1", Register{Boot: 3, Secret: 13, Before: 11, Inherited: 12})
			require.False(t, refused, "its own question, late")
			require.Equal(t, index, r.manager().Index(), "nothing proposed")
			require.Equal(t, "n1", r.manager().dir.node(was.ID).Addr)
		})
	}
}

// A start may ask before the manager has heard of its node at all, and while Registers of
// earlier starts are under way. It is listed as the start before, so that these change
// nothing any more, and its own Register is the next.
func TestAStartThatAsksIsListedAsTheOneBefore(t *testing.T) {
	r := newRealm(t, 0, inDurableMode)
	nodes := r.manager().Nodes()
	registered, _ := r.presents("n1", Register{Boot: 3, Secret: 13, Before: 11, Inherited: 12})
	require.True(t, registered)
	require.Equal(t, nodes+1, r.manager().Nodes())
	require.EqualValues(t, 2, r.manager().dir.node(peerOf("n1").ID).Boot)
	registered, _ = r.presents("n1", Register{Boot: 1, Secret: 11})
	require.False(t, registered)
	registered, _ = r.presents("n1", Register{Boot: 3, Secret: 13, Before: 12})
	require.True(t, registered)
	require.EqualValues(t, 3, r.manager().dir.node(peerOf("n1").ID).Boot)
}

// A node says, at each start, which secret the manager confirmed last. It draws a new one
// only once that was confirmed and is durable. With one that it has inherited it asks, and
// serves only once its own was confirmed. A Refused that an earlier start has earned does
// not stop it.
func TestANodeSaysWhichStartItFollows(t *testing.T) {
	secret := uint64(10)
	n := newRig(t, "n1", true, func(s Space) (Node, error) {
		secret++
		return NewStorage(StorageOptions{Self: peerOf("n1"), Manager: Peer{Addr: "m"}, Secret: secret, Durable: true}, s)
	})
	start := func(keep int) {
		n.crash(keep)
		n.held = false
		n.restart()
	}
	says := func(secret, before, inherited uint64, why string) {
		t.Helper()
		m := latest[*Register](n, "m")
		require.Equal(t, []uint64{secret, before, inherited}, []uint64{m.Secret, m.Before, m.Inherited}, why)
		require.False(t, n.storage().registered, why)
	}
	all := 1 << 20
	says(11, 0, 0, "its first start")
	start(all)
	says(12, 0, 11, "nobody has confirmed it")
	n.held = true
	n.step("m", &Registered{Boot: 2, Secret: 11})
	start(0)
	says(13, 0, 11, "that is not durable")
	n.step("m", &Registered{Boot: 3, Secret: 11})
	says(13, 11, 0, "its own")
	n.step("m", &Registered{Boot: 3, Secret: 11})
	require.Empty(t, sent[*Register](n, "m"), "a late answer is none to that")
	require.False(t, n.storage().registered)
	start(all)
	says(14, 11, 13, "the one before may be known")
	n.step("m", &Refused{Reason: RefusedBoot, Wanted: peerOf("m").ID, What: KindRegister, Token: 13})
	require.NoError(t, n.halted, "a late Register of the one before was refused")
	n.step("m", &Registered{Boot: 4, Secret: 13})
	says(14, 13, 0, "its own")
	n.step("m", &Registered{Boot: 4, Secret: 14})
	require.True(t, n.storage().registered)
	start(all)
	says(15, 14, 0, "one that was confirmed is not carried on")
	n.step("m", &Registered{Boot: 5, Secret: 15})
	n.step("m", &Refused{Reason: RefusedBoot, Wanted: peerOf("m").ID, What: KindRegister, Token: 11})
	require.NoError(t, n.halted)
	n.step("m", &Refused{Reason: RefusedBoot, Wanted: peerOf("m").ID, What: KindRegister, Token: 15})
	require.ErrorIs(t, n.halted, ErrBoot)
}
