package core

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func peersOf(names ...string) (peers []Peer) {
	for _, n := range names {
		peers = append(peers, peerOf(n))
	}
	return peers
}

func TestAStorageNodeHasThePeersOfItsConfigs(t *testing.T) {
	n := newStorageAt(t, "n1")
	require.Empty(t, slices.Collect(n.storage().Peers()), "its manager has not said yet who it is")
	n.registered()
	require.Equal(t, peersOf("m"), slices.Collect(n.storage().Peers()))
	n.step("m", joined(2, 2, "n3", "n1", "n2"))
	require.Len(t, n.happened(EventAdopted), 1, "by this a driver notices")
	require.Equal(t, peersOf("m", "n1", "n2", "n3"), slices.Collect(n.storage().Peers()))
	n.step("m", config(3, "n1", "n4"))
	require.Equal(t, peersOf("m", "n1", "n4"), slices.Collect(n.storage().Peers()), "n2 and n3 are in its group no more")
}

func TestAManagerHasThePeersOfItsDirectory(t *testing.T) {
	r := newRealm(t, 2)
	require.Equal(t, peersOf("n1", "n2"), slices.Collect(r.manager().Peers()))
	require.Len(t, r.happened(EventRegistered), 2, "by this a driver notices")
}
