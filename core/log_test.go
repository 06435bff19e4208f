package core

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What a trim leaves is bounded in entries and in bytes, nothing that is needed goes, and
// a log is not copied for a few entries.
func TestATrimLeavesABoundedLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := Seq(rapid.IntRange(1, 8).Draw(t, "keep"))
		keepBytes := rapid.IntRange(1, 300).Draw(t, "keepBytes")
		largest := rapid.IntRange(0, 400).Draw(t, "largest")
		var l log
		for range rapid.IntRange(1, 60).Draw(t, "writes") {
			l.append(Entry{Epoch: 1, Kind: OpPut, Key: "k", Value: strings.Repeat("v", rapid.IntRange(0, largest).Draw(t, "size"))})
			needed := Seq(rapid.IntRange(0, int(l.last())).Draw(t, "up to"))
			base := l.base.Seq
			to := l.excess(needed, keep, keepBytes)
			require.GreaterOrEqual(t, to, base)
			if to > base {
				require.LessOrEqual(t, to, needed)
				require.True(t, to-base >= keep || size(l.entries[:to-base]) >= keepBytes, "worth a copy")
				l.trim(to)
			}
			require.Equal(t, size(l.entries), l.bytes)
			if needed > l.base.Seq {
				trimmable := l.entries[:needed-l.base.Seq]
				require.LessOrEqual(t, len(trimmable), 2*int(keep))
				if l.bytes > 2*keepBytes {
					require.Less(t, size(trimmable), 2*keepBytes+largest+2)
				}
			}
		}
	})
}

// Values of a MiB, thousands of them, of one key: the log does not hold them all.
func TestALogOfLargeValuesIsTrimmed(t *testing.T) {
	n := serving(t, config(1, "n1", "n2"))
	value := strings.Repeat("v", ValueBytesMax)
	for i := range uint64(100) {
		n.step("c1", put(i+2, 1, i+1, "x", value))
		n.answer("n2")
		n.mail, n.past = nil, nil
		require.LessOrEqual(t, n.storage().groups[0].log.bytes, 2*DefaultStorageOptions().LogKeepBytes+2*ValueBytesMax)
	}
	require.Greater(t, n.view().Base, Seq(60))
}

// A joining node that lags by too many bytes gets a new snapshot, as one that lags by
// too many entries does.
func TestAJoiningNodeThatLagsByManyBytesBeginsAnew(t *testing.T) {
	n := feeding(t, func(o *StorageOptions) { o.LogKeepBytes, o.JoinLagBytes = 1<<20, 4<<20 })
	value := strings.Repeat("v", 1<<19)
	for i := range uint64(20) {
		n.step("c1", put(i+3, 1, i+2, "x", value))
		require.LessOrEqual(t, n.storage().groups[0].log.bytes, 4<<20+1<<19+2)
	}
	chunks := n.ackChunks("n3")
	require.NotEmpty(t, chunks)
	require.Greater(t, chunks[0].Attempt, uint64(1))
}

// A batch for the disk is bounded, also when one key is written thousands of times, and
// while a joining node keeps the log from being trimmed.
func TestABatchForTheDiskIsBounded(t *testing.T) {
	n := newStorageAt(t, "n1", durable, func(o *StorageOptions) { o.LogKeepBytes = 1 << 20 }).registered()
	n.step("m", config(1, "n1"))
	n.settle()
	n.step("c1", open(1))
	n.settle()
	n.step("m", joined(2, 2, "n3", "n1"))
	n.settle()
	largest, applied := 0, 0
	session := n.storage().groups[0].state.sessions.records()[0].ID
	n.held = true
	for i := range uint64(200) {
		n.step("c1", put(i+2, session, i+1, "x", strings.Repeat("v", 1<<16)))
		for j := range n.gate.Pending() {
			bytes := 0
			writes, _ := n.gate.Batch(j)
			for _, w := range writes {
				bytes += len(w.Value)
				if strings.HasPrefix(w.Key, prefixProgress) {
					applied++
				}
			}
			largest = max(largest, bytes)
		}
		n.sync()
	}
	require.Zero(t, n.view().Base, "nothing was trimmed: n3 needs all of it")
	require.Greater(t, applied, 5)
	require.Less(t, largest, 1<<18, "the entry, and the key's one value")
	before := n.values()
	n.crash(1 << 20)
	n.restart()
	n.held = false
	n.step("m", config(3, "n1"))
	same(t, before, n.values())
}
