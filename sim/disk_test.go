package sim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/schedule"
)

func set(key, value string) []core.Write { return []core.Write{{Key: key, Value: value}} }

func contents(d *disk, prefix string) string {
	text := ""
	if err := d.Range(prefix, func(k, v string) error { text += k + "=" + v + " "; return nil }); err != nil {
		text += err.Error()
	}
	return text
}

func nonce(e *core.Envelope) uint64 { return e.Body.(*core.Ping).Nonce }

// put has a disk take in what an Output wants to be durable, and what waits for that.
func (d *disk) put(writes []core.Write, after ...core.Message) {
	var list []core.Envelope
	for _, m := range after {
		list = append(list, core.Envelope{Body: m})
	}
	d.gate.Take(writes, list, func(*core.Envelope) { panic("it leaves at once") })
}

func begin(d *disk) bool {
	_, _, some := d.gate.Begin()
	return some
}

func TestDiskSyncs(t *testing.T) {
	var d disk
	var left []uint64
	leave := func(e *core.Envelope) { left = append(left, nonce(e)) }
	require.True(t, d.empty())
	d.put(set("b", "1"), &core.Ping{Nonce: 1, Boot: 1})
	d.put(set("a", "2"), &core.Ping{Nonce: 2, Boot: 1})
	require.True(t, begin(&d))
	d.put([]core.Write{{Key: "b", Delete: true}, {Key: "c", Value: "3"}}, &core.Ping{Nonce: 3, Boot: 1})
	require.Equal(t, "", contents(&d, ""), "not before the sync ends")
	d.finish(leave)
	require.Equal(t, "a=2 b=1 ", contents(&d, ""))
	require.Equal(t, []uint64{1, 2}, left, "what came after the sync began waits for the next")
	require.True(t, begin(&d))
	d.finish(leave)
	require.Equal(t, "a=2 c=3 ", contents(&d, ""))
	require.Equal(t, "c=3 ", contents(&d, "c"))
	require.Equal(t, []uint64{1, 2, 3}, left)
	d.put([]core.Write{{Key: "b", Value: "4"}, {Key: "c1", Value: "5"}, {Key: "d", Value: "6"}, {Key: "b", Delete: true, End: "d"}, {Key: "c1", Value: "7"}})
	require.True(t, begin(&d))
	d.finish(leave)
	require.Equal(t, "a=2 c1=7 d=6 ", contents(&d, ""), "all from b on and before d, but for what was written after")
	require.ErrorContains(t, d.Range("", func(string, string) error { return fmt.Errorf("enough") }), "enough")
	d.wipe()
	require.True(t, d.empty())
}

func TestDiskCrashKeeps(t *testing.T) {
	for keep, want := range []string{"a=0 ", "a=1 ", "a=1 b=2 ", "b=2 c=3 ", "b=2 c=3 "} {
		var d disk
		d.put(set("a", "0"))
		d.gate.Begin()
		d.finish(func(*core.Envelope) {})
		d.put(set("a", "1"))
		d.put(set("b", "2"))
		d.gate.Begin() // under way or not makes no difference to what may survive
		d.put([]core.Write{{Key: "a", Delete: true}, {Key: "c", Value: "3"}}, &core.Ping{Nonce: 9, Boot: 1})
		d.crash(keep, 0)
		require.Equal(t, want, contents(&d, ""), "keep=%d", keep)
		require.Zero(t, d.gate.Pending())
		d.put(set("z", "9"))
		require.True(t, begin(&d), "the sync under way ended with the process")
		d.finish(func(*core.Envelope) { t.Error("what waited before the crash has left after it") })
	}
}

// What is counted of a crash is what did not survive it.
func TestDiskCountsWhatACrashLost(t *testing.T) {
	for _, c := range []struct {
		name                 string
		keep, torn           int
		lost, kept, commands int
	}{
		{"all", 0, 0, 3, 0, 2},
		{"but the first", 1, 0, 2, 1, 1},
		{"and a part of the second that is of no use", 1, 5, 2, 1, 1},
		{"but the second, which is whole", 1, schedule.TornMax, 1, 2, 1},
		{"nothing", 3, 0, 0, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d disk
			for _, command := range []bool{true, false, true} {
				var after []core.Message
				if command {
					after = append(after, &core.Committed{})
				}
				d.put(set("k", "v"), after...)
			}
			d.crash(c.keep, c.torn)
			require.Equal(t, Crash{c.lost, c.kept, c.commands}, d.crashed)
		})
	}
}
