package core

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Several managers hand the Directory on as one text. Whatever was applied, the text reads as
// the same Directory, and the same Directory has the same text.
func TestTheTextOfADirectoryIsTheDirectory(t *testing.T) {
	presumed, halting := 0, 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		d := newDirectory(Placement(1 << rng.IntN(2)))
		for i := range 10 {
			d.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(fmt.Sprint("n", 1+i)), Boot: 1}})
		}
		for range 200 {
			c := randomCommand(rng, d, commandKindEnd)
			if c.Kind == CommandPlace {
				c.Unit = d.placement.Unit(string(c.Unit))
			}
			d.apply(c)
		}
		text := d.text(rigCluster)
		same, cluster, err := readDirectory(text)
		require.NoError(t, err)
		require.Equal(t, d, same)
		require.Equal(t, ClusterID(rigCluster), cluster)
		require.Equal(t, text, same.text(cluster))
		for _, g := range d.groups {
			presumed += int(min(1, g.presumed))
		}
		if d.halting {
			halting++
		}
		for cut := 0; cut < len(text); cut += 1 + rng.IntN(100) {
			_, _, err := readDirectory(text[:cut])
			require.Error(t, err, "cut off at %d of %d", cut, len(text))
		}
	}
	require.Positive(t, presumed)
	require.Positive(t, halting)
}

// A presumption is about the members of one epoch.
func TestAPresumedLossIsOfOneEpoch(t *testing.T) {
	d := directoryOf("n1", "n2")
	d.apply(&Command{Kind: CommandPlace, Unit: "a", Members: []NodeID{1, 2}, Terms: Terms{ReadConfirm, 0, 1}})
	presume := func(e Epoch, l loss) bool {
		return d.apply(&Command{Kind: CommandFound + CommandKind(l), Group: 1, Epoch: e}).presumed
	}
	require.False(t, presume(2, lossPresumed), "there is no such epoch yet")
	require.True(t, presume(1, lossPresumed))
	require.False(t, presume(1, lossPresumed), "it is so already")
	d.apply(&Command{Kind: CommandReconfigure, Group: 1, Epoch: 1})
	require.False(t, presume(1, lossNone), "that epoch is over")
	require.Equal(t, lossPresumed, d.group(1).presumed)
	require.True(t, presume(2, lossNone))
}
