package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a node answers to a ping, of a manager that has lost nothing and of one that has.
func TestWhatAManagerMustHaveBegunWith(t *testing.T) {
	v := directorySeen{}
	for _, c := range []struct {
		what         string
		boot         Boot
		start        uint64
		began, index Index
		least        Index
		ok           bool
	}{
		{"the first manager", 1, 71, 0, 4, 0, true},
		{"it goes on", 1, 71, 0, 9, 0, true},
		{"it starts again, with all", 2, 72, 9, 9, 9, true},
		{"it goes on", 2, 72, 9, 14, 9, true},
		{"a ping of the first start, late", 1, 71, 0, 5, 0, false},
		{"it starts again, without the end", 3, 73, 10, 10, 14, true},
		{"that goes on, above all that was seen", 3, 73, 10, 30, 14, true},
		{"a copy of the one before starts again and again", 9, 83, 13, 40, 14, true},
		{"the right one goes on", 2, 72, 9, 15, 9, true},
		{"a copy of it starts, as often as this", 2, 92, 9, 50, 0, false},
		{"the right one starts", 3, 74, 15, 15, 15, true},
	} {
		least, ok := v.hear(&Ping{Boot: c.boot, Start: c.start, Began: c.began, Index: c.index})
		require.Equal(t, c.ok, ok, c.what)
		require.Equal(t, c.least, least, c.what)
	}
}

// Two managers run, on a directory and a copy of it. The nodes refuse the one that they heard
// second, and that one halts. Nobody but they can bring that about.
func TestOfTwoManagersOnOneDirectoryOneHalts(t *testing.T) {
	n := newStorageAt(t, "n1", durable).registered()
	n.step("m", &Ping{Nonce: 1, Token: 5, Boot: 2, Start: 7})
	require.Len(t, sent[*Pong](n, "m"), 1)
	n.step("m", &Ping{Nonce: 2, Token: 6, Boot: 2, Start: 8})
	require.Empty(t, sent[*Pong](n, "m"))
	refused := only[*Refused](n, "m")
	require.Equal(t, &Refused{Reason: RefusedBoot, Wanted: peerOf("n1").ID, What: KindPing, Token: 6}, refused)

	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.pass(time.Second)
	r.say("n1", refused)
	r.stepRaw(Envelope{Cluster: rigCluster, From: Peer{peerOf("n1").ID, "elsewhere"}, To: r.self,
		Body: &Refused{Reason: RefusedBoot, Wanted: peerOf("n1").ID, What: KindPing, Token: r.manager().contact(peerOf("n1").ID).token}})
	require.NoError(t, r.halted)
	r.actors["n2"].seen = directorySeen{boot: 1, start: 7}
	r.pass(time.Second)
	require.ErrorIs(t, r.halted, ErrOtherManager)
	require.Contains(t, r.halted.Error(), "node 0000000000000002")
}

// What was seen is durable with what comes next, so that it is known after a restart.
func TestANodeRemembersWhatItHasSeenOfTheDirectory(t *testing.T) {
	n := newStorageAt(t, "n1", durable).registered()
	n.step("m", &Ping{Nonce: 1, Boot: 1, Index: 14})
	n.step("m", config(1, "n1"))
	n.crash(0)
	n.restart()
	require.EqualValues(t, 14, latest[*Register](n, "m").Index)
	n.registered()
	n.step("m", &Ping{Nonce: 2, Boot: 2, Began: 10, Index: 20})
	require.EqualValues(t, 14, latest[*Pong](n, "m").Index)
}
