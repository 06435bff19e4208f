package network

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/schedule"
)

// between is a calm network of so many hosts, which are up.
func between(hosts int) (*Network, *bounds.Ledger) {
	ledger := bounds.NewLedger(hosts)
	codes := make([]uint64, hosts)
	for i := range codes {
		codes[i] = uint64(i)
	}
	n := New(&schedule.Schedule{Shape: schedule.DefaultShape()}, codes, func(string) int { return -1 }, &ledger)
	for i := range hosts {
		n.SetUp(i, true)
	}
	return &n, &ledger
}

var ping = core.Envelope{Body: &core.Ping{Boot: 1}}

// sent is what is decided of one Ping from host 0 to host 1, the message in a slot.
func sent(t *testing.T, n *Network, now int64, slot uint32) []Decision {
	t.Helper()
	f := n.Send(now, 0, 1, core.KindPing, uint64(slot))
	require.Zero(t, f.Lost)
	require.Equal(t, 1, f.Copies())
	at, tie, other := n.Carry(now, &f, 0, slot, &ping)
	if other == nil {
		return []Decision{{What: Arrive, Slot: slot, At: at, Tie: tie}}
	}
	return slices.Clone(other)
}

func TestDecisions(t *testing.T) {
	const ms = int64(time.Millisecond) // the latency, too
	n, _ := between(2)
	require.Equal(t, []Decision{{What: Arrive, Slot: 7, At: 11 * ms, Tie: TieFree}}, sent(t, n, 10*ms, 7))

	require.True(t, n.Clog(20*ms, 0, 1))
	require.False(t, n.Clog(20*ms, 0, 1), "it is clogged")
	require.Empty(t, sent(t, n, 20*ms, 8), "it is held back")
	changed, decided := n.Unclog(30*ms, 0, 1)
	require.True(t, changed)
	require.Equal(t, []Decision{{What: Arrive, Slot: 8, At: 31 * ms, Tie: TieFree}}, decided)

	require.Equal(t, []Decision{{What: LookAtLink, From: 0, To: 1, At: 90 * ms}}, n.Stall(40*ms, 0, 1, 50*ms))
	require.Empty(t, sent(t, n, 50*ms, 9), "it waits")
	require.Empty(t, n.Waiting(60*ms, 0, 1), "on")
	require.Equal(t, []Decision{{What: Arrive, Slot: 9, At: 91 * ms, Tie: TieFree}}, n.Waiting(90*ms, 0, 1))
	require.Equal(t, 91*ms, n.LastArrival(func(int) bool { return true }))

	n.Stall(100*ms, 0, 1, 50*ms)
	require.Empty(t, sent(t, n, 100*ms, 10))
	require.Equal(t, []Decision{{What: Lose, Slot: 10, Why: LostByReset}}, n.Reset(110*ms, 0, 1))

	require.True(t, n.Mute(200*ms, 0, 1))
	require.Equal(t, []Decision{{What: Lose, Slot: 11, Why: LostOnMute}}, sent(t, n, 200*ms, 11))
	require.True(t, n.Cut(210*ms, 0, 1))
	require.Equal(t, LostInCut, n.Send(210*ms, 0, 1, core.KindPing, 12).Lost)
	require.Equal(t, Counts{Cut: 1, Clogged: 1, Stalled: 2, Muted: 1}, n.Counts())
}

// A host whose messages wait for long for its bandwidth is beyond the bounds.
func TestALongQueueIsBeyondTheBounds(t *testing.T) {
	n, ledger := between(2)
	require.Empty(t, n.SetBandwidth(0, 0, bounds.BandwidthMin))
	for i := range 12 {
		n.depart(0, 0, 1, outgoing{message{slot: uint32(i)}, 1 << 20})
		require.Equal(t, i < 11, ledger.HostQuiet(0, 0), "%d values of 1 MiB wait", i+1)
	}
	require.Len(t, n.DropUnsent(0), 12)
}

func TestSizesAreThoseOfKeysAndValues(t *testing.T) {
	small := sizeOf(&core.Envelope{Body: &core.Ping{Boot: 1}})
	value := strings.Repeat("x", 1<<20)
	for _, m := range []core.Message{
		&core.Replicate{Group: 1, Epoch: 1, Entries: []core.Entry{{Epoch: 1, Kind: core.OpPut, Key: "k", Value: value}}},
		&core.Op{Kind: core.OpPut, Key: "k", Value: value}, &core.Reply{Status: core.StatusOK, Value: value},
		&core.Chunk{Items: []core.Item{{Key: "k", Value: value, Version: 1}}},
	} {
		e := core.Envelope{Body: m}
		frame := len(core.AppendEnvelope(nil, &e))
		require.InDelta(t, frame, sizeOf(&e), 256, "%T", m)
	}
	require.Less(t, small, 128)
}
