package core

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of what must be durable before it is said: in each the disk is
// held, and the crash that could come then takes back what was not synced.

// The boot is durable before the Register that names it: two starts under one
// boot could not be told apart, and the manager would not see the second.
func TestARegisterLeavesOnceItsBootIsDurable(t *testing.T) {
	n := newStorageAt(t, "n1", durable)
	require.EqualValues(t, 1, only[*Register](n, "m").Boot)
	n.crash(0)
	n.held = true
	n.restart()
	n.tick(time.Second)
	require.Empty(t, sent[*Register](n, "m"))
	n.crash(0)

	n.restart()
	n.sync()
	require.EqualValues(t, 2, latest[*Register](n, "m").Boot, "nobody has heard of the boot that was lost")
	n.crash(0)
	n.restart()
	n.sync()
	require.EqualValues(t, 3, latest[*Register](n, "m").Boot)
	require.EqualValues(t, peerOf("n1").ID, n.storage().ID())
}

// Rule R1: nothing in an epoch leaves before the epoch and its config are
// durable. A crash would make the node one of the old epoch again, which has
// then already spoken in the new.
func TestAMessageLeavesOnceItsEpochIsDurable(t *testing.T) {
	for name, c := range map[string]struct {
		node    func(t *testing.T) *rig
		current *Config
		from    string
		in      Message // that makes it speak; nil when the config does
		to      string
		want    Kind
	}{
		"the Ack of a replica": {
			node:    func(t *testing.T) *rig { return heir(t, config(1, "n1", "n2", "n3"), durable) },
			current: config(2, "n1", "n2"),
			from:    "n1", in: replicate(2, 9, EntryID{1, 3}, 2), to: "n1", want: KindAck,
		},
		"the Nack of a log that does not fit": {
			node:    func(t *testing.T) *rig { return heir(t, config(1, "n1", "n2", "n3"), durable) },
			current: config(2, "n1", "n2"),
			from:    "n1", in: replicate(2, 9, EntryID{1, 7}, 2), to: "n1", want: KindNack,
		},
		"the Nack that fences": {
			node:    func(t *testing.T) *rig { return heir(t, config(1, "n1", "n2", "n3"), durable) },
			current: config(2, "n2", "n3"),
			from:    "n1", in: replicate(1, 9, EntryID{1, 3}, 2), to: "n1", want: KindNack,
		},
		"the Replicate of a new primary": {
			node:    func(t *testing.T) *rig { return heir(t, config(1, "n1", "n2", "n3"), durable) },
			current: config(2, "n2", "n3"), to: "n3", want: KindReplicate,
		},
		"the Replicate of the same primary": {
			node:    func(t *testing.T) *rig { return written(t, config(1, "n1", "n2", "n3"), durable) },
			current: config(2, "n1", "n2"), to: "n2", want: KindReplicate,
		},
		"the Reply that sends a client on": {
			node:    func(t *testing.T) *rig { return written(t, config(1, "n1", "n2", "n3"), durable) },
			current: config(2, "n2", "n3"), from: "c1", in: get(5, "x"), to: "c1", want: KindReply,
		},
		"the Reply with a stored result": {
			node:    func(t *testing.T) *rig { return written(t, config(1, "n1", "n2", "n3"), durable) },
			current: config(2, "n1", "n2"), from: "c1", in: put(5, 1, 1, "x", "a"), to: "c1", want: KindReply,
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := c.node(t)
			n.mail = nil
			n.held = true
			n.step("m", c.current)
			if c.in != nil {
				n.step(c.from, c.in)
			}
			said := func() (kinds []Kind) {
				for _, e := range n.mail {
					if e.To.Addr == c.to && KindOf(e.Body) == c.want {
						kinds = append(kinds, c.want)
					}
				}
				return kinds
			}
			require.Empty(t, said())
			n.step("m", &Ping{Nonce: 1, Boot: 1})
			require.EqualValues(t, 1, only[*Pong](n, "m").Groups[0].Epoch, "nor does it claim the epoch")
			n.sync()
			require.NotEmpty(t, said())
			n.step("m", &Ping{Nonce: 2, Boot: 1})
			require.EqualValues(t, 2, only[*Pong](n, "m").Groups[0].Epoch)
			n.crash(0)
			n.restart()
			require.Equal(t, c.current, n.view().Config)
		})
	}
}

// Entries are durable before the Ack that counts them: the primary tells its
// client on the strength of it.
func TestAnAckLeavesOnceItsEntriesAreDurable(t *testing.T) {
	n := heir(t, config(1, "n1", "n2"), durable)
	n.held = true
	n.step("n1", replicate(1, 2, EntryID{1, 3}, 2, wrote(1, 3, "x", "c")))
	require.Empty(t, sent[*Ack](n, "n1"))
	n.crash(0)
	n.restart()
	require.EqualValues(t, 3, n.view().Last)
	n.sync()
	n.registered()

	n.step("n1", replicate(1, 3, EntryID{1, 4}, 4)) // the primary thinks that it is there
	same(t, &Nack{Group: 1, Epoch: 1, Round: 3, Last: 3}, only[*Nack](n, "n1"))
	n.step("n1", replicate(1, 4, EntryID{1, 3}, 4, wrote(1, 3, "x", "c")))
	require.Empty(t, sent[*Ack](n, "n1"))
	n.sync()
	same(t, &Ack{Group: 1, Epoch: 1, Round: 4, Matched: 4}, only[*Ack](n, "n1"))
	n.crash(0)
	n.restart()
	require.EqualValues(t, 4, n.view().Last)
}

// A truncation is durable before the Ack as well: the cut suffix must not be
// there again after a crash, behind or instead of what was acked.
func TestATruncationIsDurableBeforeItsAck(t *testing.T) {
	n := following(t, "n3", config(1, "n1", "n2", "n3"), durable)
	n.step("n1", replicate(1, 1, EntryID{}, 1, opened(1), wrote(1, 1, "x", "lost"), wrote(1, 2, "x", "lost too")))
	sent[*Ack](n, "n1")
	n.step("m", config(2, "n2", "n3"))
	n.held = true
	n.step("n2", replicate(2, 1, EntryID{1, 1}, 1, wrote(2, 1, "x", "a")))
	require.Empty(t, sent[*Ack](n, "n2"))
	n.sync()
	same(t, &Ack{Group: 1, Epoch: 2, Round: 1, Matched: 2}, only[*Ack](n, "n2"))
	n.crash(0)
	n.restart()
	require.EqualValues(t, 2, n.view().Last)
	same(t, wrote(2, 1, "x", "a"), *n.storage().Entry(0, 2))
}

// Rule R4: the primary's own copy counts when it is durable and not before: if
// it crashed then, and the members' copies were lost to it later, the only copy
// of an acknowledged write would be gone.
func TestAPrimaryCountsItselfOnceItsLogIsDurable(t *testing.T) {
	for _, members := range [][]string{{"n2", "n3"}, nil} {
		t.Run(fmt.Sprintf("with %d members", len(members)), func(t *testing.T) {
			n := written(t, config(1, append([]string{"n1"}, members...)...), durable)
			n.held = true
			n.step("c1", put(3, 1, 2, "x", "b"))
			n.answer(members...)
			n.step("c2", get(4, "x"))
			n.answer(members...)
			require.Empty(t, sent[*Reply](n, "c1"))
			same(t, &Reply{Group: 1, Req: 4, Status: StatusOK, Epoch: 1, Version: 2, Value: "a"}, only[*Reply](n, "c2"))
			require.EqualValues(t, 2, n.view().Commit)
			n.sync()
			same(t, &Reply{Group: 1, Req: 3, Status: StatusOK, Epoch: 1, Version: 3}, only[*Reply](n, "c1"))
		})
	}
}

// Rule R5: what a new primary has inherited is as good as its disk.
func TestANewPrimaryServesOnceItsEpochIsDurable(t *testing.T) {
	n := heir(t, config(1, "n1", "n2", "n3"), durable)
	n.held = true
	n.step("n1", replicate(1, 2, EntryID{1, 3}, 2, wrote(1, 3, "x", "c")))
	n.step("m", config(2, "n2"))
	n.step("c2", get(1, "x"))
	require.False(t, n.view().Serving)
	require.EqualValues(t, 2, n.view().Commit)
	n.sync()
	same(t, &Reply{Group: 1, Req: 1, Status: StatusOK, Epoch: 2, Version: 4, Value: "c"}, only[*Reply](n, "c2"))
}

// A crash loses what was not synced, from the end: whatever is left, the node
// starts over it, in the highest epoch that is left, with a log that the primary
// can complete.
func TestCrashLosesTheUnsyncedBatches(t *testing.T) {
	type kept struct {
		Epoch Epoch
		Last  Seq
	}
	var got []kept
	for keep := range 6 {
		n := following(t, "n3", config(1, "n1", "n2", "n3"), durable)
		n.step("n1", replicate(1, 1, EntryID{}, 1, opened(1), wrote(1, 1, "x", "a")))
		n.held = true
		n.step("n1", replicate(1, 2, EntryID{1, 2}, 2, wrote(1, 2, "x", "lost"), wrote(1, 3, "x", "lost too")))
		n.step("m", config(2, "n2", "n3"))
		n.step("n2", replicate(2, 1, EntryID{1, 2}, 2, wrote(2, 2, "x", "b")))
		n.step("n2", replicate(2, 2, EntryID{2, 3}, 3, wrote(2, 3, "x", "c"), wrote(2, 4, "x", "d")))
		n.crash(keep)
		n.held = false
		n.restart().registered()
		got = append(got, kept{n.view().Config.Epoch, n.view().Last})
		n.mail = nil

		full := replicate(2, 3, EntryID{}, 5, opened(1), wrote(1, 1, "x", "a"), wrote(2, 2, "x", "b"), wrote(2, 3, "x", "c"), wrote(2, 4, "x", "d"))
		full.Config = config(2, "n2", "n3")
		n.step("n2", full)
		same(t, &Ack{Group: 1, Epoch: 2, Round: 3, Matched: 5, Committed: 5}, only[*Ack](n, "n2"))
		same(t, map[string]Versioned{"x": {"d", 5}}, n.values())
		n.crash(0)
		n.restart()
		require.EqualValues(t, 5, n.view().Last)
	}
	same(t, []kept{{1, 2}, {1, 4}, {2, 4}, {2, 3}, {2, 5}, {2, 5}}, got)
}

// The same for a primary, whose own suffix is lost with the crash: what it gets
// from a later primary is not taken for what it had.
func TestAPrimaryThatLostItsSuffixTakesAnother(t *testing.T) {
	n := written(t, config(1, "n1", "n2", "n3"), durable)
	n.held = true
	n.step("c1", put(3, 1, 2, "x", "b"))
	n.answer("n2") // which was faster
	n.crash(0)
	n.held = false
	n.restart().registered()
	require.EqualValues(t, 2, n.view().Last)

	n.step("m", config(2, "n1", "n2"))
	n.answer("n2")
	require.True(t, n.view().Serving)
	n.step("c1", put(4, 1, 2, "x", "b"))
	r := only[*Replicate](n, "n2")
	same(t, []Entry{wrote(2, 2, "x", "b")}, r.Entries) // of its new epoch, so that n2 gives way
	n.step("n2", &Ack{Group: 1, Epoch: 2, Round: r.Round, Matched: 3})
	same(t, &Reply{Group: 1, Req: 4, Status: StatusOK, Epoch: 2, Version: 3}, only[*Reply](n, "c1"))
}

// A record that is damaged, or stands in the place of another, is noticed at
// the next start, whichever it is: nothing is taken in that was not written there.
func TestARecordInThePlaceOfAnotherIsDamage(t *testing.T) {
	n := written(t, config(1, "n1"), durable, func(o *StorageOptions) { o.LogKeep = 1 })
	for i := range uint64(8) { // enough to have values, sessions and progress made durable
		n.step("c1", put(10+i, 1, 2+i, fmt.Sprint("k", i%3), fmt.Sprint(i)))
	}
	n.crash(0)
	kinds := map[string]bool{}
	for key, record := range n.space {
		if record == "" {
			continue
		}
		kind, _, _ := strings.Cut(key, "/")
		kinds[kind] = true
		for other, content := range n.space {
			if content == record || content == "" {
				continue
			}
			n.space[key] = content
			_, err := n.boot(n.space)
			require.ErrorIs(t, err, ErrDamaged, "%q read as %q", key, other)
		}
		for bit := range 8 * len(record) {
			flipped := []byte(record)
			flipped[bit/8] ^= 1 << (bit % 8)
			n.space[key] = string(flipped)
			_, err := n.boot(n.space)
			require.ErrorIs(t, err, ErrDamaged, "%q, bit %d", key, bit)
		}
		n.space[key] = record
	}
	require.Len(t, kinds, 6, "kinds of record: %v", kinds)
	n.restart()
}

// Nodes number what they ask, and a restart forgets how far it had come. An answer
// to a question of before, which comes late, says nothing about now: not that a
// node lives, and not that a witness reaches it.
func TestLateAnswerAfterARestart(t *testing.T) {
	m := newManagerAt(t, func(o *ManagerOptions) { o.Durable = true })
	m.stepRaw(Envelope{From: peerOf("n1"), To: Peer{Addr: "m"}, Body: &Register{Boot: 1, Durable: true}})
	m.tick(time.Second)
	var old []uint64
	for _, p := range sent[*Ping](m, "n1") {
		old = append(old, p.Nonce)
	}
	require.NotEmpty(t, old)
	m.crash(0)
	m.restart()
	m.tick(time.Second)
	ping := latest[*Ping](m, "n1")
	for _, nonce := range old {
		m.step("n1", &Pong{Token: ping.Token, Nonce: nonce, Boot: 1})
	}
	require.False(t, m.manager().Node(0, m.now).Answers)
	m.step("n1", &Pong{Token: ping.Token, Nonce: ping.Nonce, Boot: 1})
	require.True(t, m.manager().Node(0, m.now).Answers)

	n := newStorageAt(t, "n2", durable).registered()
	n.step("m", &Probe{Nonce: 7, Target: peerOf("n3")})
	late := only[*Probe](n, "n3").Nonce
	n.crash(0)
	n.restart()
	n.registered()
	n.step("m", &Probe{Nonce: 8, Target: peerOf("n3")})
	n.step("n3", &ProbeReply{Nonce: late})
	require.Empty(t, sent[*ProbeReply](n, "m"))
	n.step("n3", &ProbeReply{Nonce: only[*Probe](n, "n3").Nonce})
	require.EqualValues(t, 8, only[*ProbeReply](n, "m").Nonce)
}

// brokenSpace cannot read what begins with a prefix.
type brokenSpace struct {
	rigSpace
	prefix string
}

var errBroken = errors.New("the system cannot read it")

func (s brokenSpace) Range(prefix string, f func(key, value string) error) error {
	if strings.HasPrefix(prefix, s.prefix) {
		return errBroken
	}
	return s.rigSpace.Range(prefix, f)
}

// Data that cannot be read now may be whole: they must not be given up for damage.
func TestARecordThatCannotBeReadIsNotDamaged(t *testing.T) {
	for _, c := range []struct {
		space    rigSpace
		prefixes []string
		start    func(Space) (Node, error)
	}{
		{nodeSpace(t), []string{keyIdentity, prefixConfig, prefixProgress, prefixLog, prefixValue, prefixSession}, startStorage},
		{foldedSpace(t), []string{keyIdentity, keyDirectory, prefixNode, prefixGroup, prefixUnit, prefixCommand}, startManager},
	} {
		_, err := c.start(c.space)
		require.NoError(t, err)
		for _, p := range c.prefixes {
			_, err := c.start(brokenSpace{c.space, p})
			require.ErrorIs(t, err, errBroken, p)
			require.NotErrorIs(t, err, ErrDamaged, p)
		}
	}
}
