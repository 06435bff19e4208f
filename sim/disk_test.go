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

func TestDiskSyncs(t *testing.T) {
	var d disk
	var left []uint64
	leave := func(e *core.Envelope) { left = append(left, nonce(e)) }
	await := func(n uint64) { d.await(&core.Envelope{Body: &core.Ping{Nonce: n}}) }

	require.True(t, d.clean() && d.empty())
	require.False(t, d.begin(), "there is nothing to sync")
	d.write(set("b", "1"))
	await(1)
	d.write(set("a", "2"))
	await(2)
	await(3)
	require.True(t, d.begin())
	require.False(t, d.begin(), "one sync at a time")
	d.write([]core.Write{{Key: "b", Delete: true}, {Key: "c", Value: "3"}})
	await(4)
	require.Equal(t, "", contents(&d, ""), "not before the sync ends")
	d.finish(leave)
	require.Equal(t, "a=2 b=1 ", contents(&d, ""))
	require.Equal(t, []uint64{1, 2, 3}, left, "what came after the sync began waits for the next")
	require.True(t, d.begin())
	d.finish(leave)
	require.Equal(t, "a=2 c=3 ", contents(&d, ""))
	require.Equal(t, "c=3 ", contents(&d, "c"))
	require.Equal(t, []uint64{1, 2, 3, 4}, left)
	require.True(t, d.clean())
	require.ErrorContains(t, d.Range("", func(string, string) error { return fmt.Errorf("enough") }), "enough")
	d.wipe()
	require.True(t, d.empty())
}

func TestDiskCrashKeeps(t *testing.T) {
	for keep, want := range []string{"a=0 ", "a=1 ", "a=1 b=2 ", "b=2 c=3 ", "b=2 c=3 "} {
		var d disk
		d.write(set("a", "0"))
		d.begin()
		d.finish(func(*core.Envelope) {})
		d.write(set("a", "1"))
		d.write(set("b", "2"))
		d.begin() // under way or not makes no difference to what may survive
		d.write([]core.Write{{Key: "a", Delete: true}, {Key: "c", Value: "3"}})
		d.await(&core.Envelope{Body: &core.Ping{Nonce: 9}})
		d.crash(keep, 0)
		require.Equal(t, want, contents(&d, ""), "keep=%d", keep)
		require.True(t, d.clean())
		d.write(set("z", "9"))
		require.True(t, d.begin(), "the sync under way ended with the process")
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
				d.write([]core.Write{{Key: "k", Value: "v"}})
				if command {
					d.await(&core.Envelope{Body: &core.Committed{}})
				}
			}
			d.crash(c.keep, c.torn)
			require.Equal(t, Crash{c.lost, c.kept, c.commands}, d.crashed)
		})
	}
}
