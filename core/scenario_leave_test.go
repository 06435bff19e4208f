package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (n *rig) toStop() { n.stepRaw(Envelope{From: n.self, To: n.self, Body: &Stop{}}) }

// A primary that is asked to stop has the manager put the next of the chain in its place. It
// serves until then, sends those who ask it later on to that one, and only then says farewell.
func TestAPrimaryThatStopsHandsItsRoleOver(t *testing.T) {
	for _, mode := range []struct {
		name    string
		options []func(*StorageOptions)
	}{{"in memory", nil}, {"durable", []func(*StorageOptions){durable}}} {
		t.Run(mode.name, func(t *testing.T) {
			n := serving(t, config(1, "n1", "n2", "n3"), mode.options...)
			n.took = nil
			n.toStop()
			same(t, &Suspect{Group: 1, Epoch: 1, Node: n.self.ID}, only[*Suspect](n, "m"))
			require.Empty(t, sent[*Farewell](n, "m"))
			require.True(t, n.view().Serving)

			n.toStop()
			require.Empty(t, sent[*Suspect](n, "m"), "asked twice, it asks the manager no more often")
			n.tick(n.storage().opt.RegisterInterval)
			require.Len(t, sent[*Suspect](n, "m"), 1, "the first may have been lost")

			n.step("m", config(2, "n2", "n3"))
			require.NotEmpty(t, sent[*Farewell](n, "m"))
			n.step("c9", get(5, "x"))
			reply := only[*Reply](n, "c9")
			require.Equal(t, StatusNotPrimary, reply.Status)
			require.Equal(t, peerOf("n2").ID, reply.Config.Chain[0].ID)
			require.NoError(t, n.halted)
			n.tick(3 * n.storage().opt.RegisterInterval)
			require.ErrorIs(t, n.halted, ErrStopped)
		})
	}
}

// A replica that stops leaves its chain first, too. One in no chain, and the last of a chain,
// have nobody to leave it to, and stop at once.
func TestWhoLeavesItsChainBeforeItStops(t *testing.T) {
	n := newStorageAt(t, "n2").registered()
	n.step("m", config(1, "n1", "n2"))
	n.took = nil
	n.toStop()
	same(t, &Suspect{Group: 1, Epoch: 1, Node: n.self.ID}, only[*Suspect](n, "m"))
	n.step("m", config(2, "n1"))
	require.NotEmpty(t, sent[*Farewell](n, "m"))

	alone := serving(t, config(1, "n1"))
	alone.toStop()
	require.NotEmpty(t, sent[*Farewell](alone, "m"))
	require.False(t, alone.view().Serving)
	require.Empty(t, sent[*Suspect](alone, "m"))
}

// A manager that does not answer holds nobody up.
func TestANodeStopsThoughNobodyLetsItGo(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	n.took = nil
	n.toStop()
	for range leaveTries {
		require.True(t, n.view().Serving)
		n.tick(n.storage().opt.RegisterInterval)
	}
	require.False(t, n.view().Serving)
	require.NotEmpty(t, sent[*Farewell](n, "m"))
	n.tick(time.Second)
	require.ErrorIs(t, n.halted, ErrStopped)
}
