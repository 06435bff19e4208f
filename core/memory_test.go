package core

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// heapInUse is how many bytes are in use after a collection.
func heapInUse() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// fresh makes a key of 16 bytes, and a value of 100, in memory of their own.
func fresh(i int) (key, value string) {
	return fmt.Sprintf("%016d", i), strings.Repeat(string(rune('a'+i%26)), 100)
}

// nodeWith is a storage node, alone in its group, to which a client has written those keys.
func nodeWith(t testing.TB, keys int) *Storage {
	s, err := NewStorage(StorageOptions{Self: peerOf("n1"), Manager: peerOf("m")}, Empty{})
	require.NoError(t, err)
	var out Output
	now, session := Time(time.Hour), Seq(0)
	step := func(from string, body Message) {
		carry(s, now, &out, Envelope{rigCluster, peerOf(from), s.self, body})
		for len(out.Send)+len(out.After) > 0 { // what it says to itself comes back
			sent := slices.Concat(out.Send, out.After)
			out.Reset()
			for _, e := range sent {
				if r, ok := e.Body.(*Reply); ok {
					session = max(session, r.Version)
				} else if e.To.ID == s.self.ID {
					carry(s, now, &out, e)
				}
			}
		}
	}
	step("m", &Registered{Boot: 1})
	step("m", config(1, "n1"))
	step("c1", &Op{Group: 1, Req: 1, Kind: OpOpen})
	id := session
	for i := range keys {
		k, v := fresh(i)
		step("c1", &Op{Group: 1, Req: uint64(i + 2), Session: id, OpSeq: uint64(i + 1), Kind: OpPut, Key: k, Value: v})
	}
	require.Equal(t, keys, s.Group(0, now).Keys)
	return s
}

func plainMap(keys int) map[string]string {
	m := make(map[string]string)
	for i := range keys {
		k, v := fresh(i)
		m[k] = v
	}
	return m
}

func managerWith(keys int) *Manager {
	s := newSwarm(30)
	for range keys {
		s.newKey()
		s.mail = s.mail[:0]
	}
	return s.m
}

// taken is how many bytes what make returns takes for each of the keys in it.
func taken[T any](keys int, make func(keys int) T) float64 {
	before := heapInUse()
	kept := make(keys)
	bytes := float64(heapInUse()) - float64(before)
	runtime.KeepAlive(kept)
	return bytes / float64(keys)
}

// A key of 16 bytes takes 100 bytes at the manager, at most. With a value of 100 bytes it
// takes at a storage node at most 1.2 times what a plain map of the same strings does.
func TestWhatAKeyTakes(t *testing.T) {
	const keys = 300_000
	require.Less(t, taken(keys, managerWith), 100.0)
	node := taken(keys, func(keys int) *Storage { return nodeWith(t, keys) })
	require.Less(t, node, 1.2*taken(keys, plainMap))
}

// BenchmarkMemory measures the same for numbers of keys on either side of a doubling of
// Go's map.
func BenchmarkMemory(b *testing.B) {
	for _, keys := range []int{900_000, 1_000_000, 1_800_000} {
		for _, bc := range []struct {
			name  string
			taken func() float64
		}{
			{"map", func() float64 { return taken(keys, plainMap) }},
			{"manager", func() float64 { return taken(keys, managerWith) }},
			{"node", func() float64 { return taken(keys, func(keys int) *Storage { return nodeWith(b, keys) }) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", bc.name, keys), func(b *testing.B) {
				bytes := 0.0
				for b.Loop() {
					bytes = bc.taken()
				}
				b.ReportMetric(bytes, "B/key")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
