package core

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a node answers to a ping, of a manager that has lost nothing and of one that has.
func TestWhatAManagerMustHaveBegunWith(t *testing.T) {
	v := directorySeen{}
	for _, c := range []struct {
		what         string
		boot         Boot
		began, index Index
		least        Index
	}{
		{"the first manager", 1, 0, 4, 0},
		{"it goes on", 1, 0, 9, 0},
		{"it starts again, with all", 2, 9, 9, 9},
		{"it goes on", 2, 9, 14, 9},
		{"a ping of the first start, late", 1, 0, 5, 14},
		{"it starts again, without the end", 3, 10, 10, 14},
		{"that goes on, above all that was seen", 3, 10, 30, 14},
		{"an old copy of it starts, as often as this", 3, 4, 4, 30},
		{"an older one", 2, 2, 2, 30},
		{"the right one starts", 4, 30, 30, 30},
	} {
		require.Equal(t, c.least, v.hear(&Ping{Boot: c.boot, Began: c.began, Index: c.index}), c.what)
	}
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
