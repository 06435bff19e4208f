package core

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzGate holds a Gate against what an Output promises: each byte is one thing that a
// driver does, and writes and envelopes are numbered in the order in which they came.
func FuzzGate(f *testing.F) {
	f.Add([]byte{0x12, 0x01, 0xfd, 0xfe})                   // a write with its envelope, then an envelope alone
	f.Add([]byte{0x11, 0xfd, 0x11, 0xfe, 0x01, 0xfd, 0xfe}) // what comes during a sync shares the next
	f.Add([]byte{0x11, 0x21, 0xfd, 0xfe})                   // one sync covers two batches
	f.Add([]byte{0x11, 0x22, 0xfd, 0xff, 0x01, 0x11, 0xfe}) // a crash in the middle of a sync
	f.Add([]byte{0x11, 0xfd, 0x12, 0x01, 0xfd, 0xfe, 0xfe}) // two syncs under way, of which the first ends first
	f.Fuzz(func(t *testing.T, script []byte) {
		var (
			g             Gate
			taken, synced uint64   // writes taken in, and made durable
			needs         []uint64 // of each envelope that waits: the writes that must be durable
			syncs         []uint64 // of each sync under way: the writes that it makes durable
		)
		leave := func(e *Envelope) {
			require.NotEmpty(t, needs, "nothing waits")
			require.LessOrEqual(t, needs[0], synced, "it left before what it waits for was durable")
			require.Equal(t, needs[0], e.Body.(*Synced).Nonce, "it overtook another")
			needs = needs[1:]
		}
		for _, b := range script {
			switch b {
			case 0xfd:
				covered := synced
				if n := len(syncs); n > 0 {
					covered = syncs[n-1]
				}
				first, end, began := g.Begin()
				require.Equal(t, taken > covered, began)
				if began {
					syncs = append(syncs, taken)
					require.Equal(t, g.Pending(), end)
					writes, _ := g.Batch(first)
					require.Equal(t, strconv.FormatUint(covered+1, 10), writes[0].Key, "a sync covers what no sync before it does")
				}
			case 0xfe:
				g.End(func(writes []Write) {
					for _, w := range writes {
						synced++
						require.Equal(t, strconv.FormatUint(synced, 10), w.Key, "writes are made durable in order")
					}
				}, leave)
				if len(syncs) > 0 {
					require.Equal(t, syncs[0], synced)
					syncs = syncs[1:]
				}
				require.Len(t, syncs, g.UnderWay())
			case 0xff:
				g.Forget()
				syncs, needs, taken = nil, nil, synced
			default:
				persist, after := []Write(nil), []Envelope(nil)
				for range b >> 4 {
					taken++
					persist = append(persist, Write{Key: strconv.FormatUint(taken, 10)})
				}
				for range b & 0xf {
					needs = append(needs, taken)
					after = append(after, Envelope{Body: &Synced{Nonce: taken}})
				}
				g.Take(persist, after, leave)
				clear(persist) // the Gate has copied both
				clear(after)
			}
			if len(needs) > 0 { // the others need no less
				require.Greater(t, needs[0], synced, "it waits for nothing, and did not leave")
			}
			require.Equal(t, taken > synced, g.Pending() > 0)
		}
	})
}
