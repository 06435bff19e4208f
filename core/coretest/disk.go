package coretest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"gtstore/core"
)

// A Disk is a disk under test. It is open from the start.
type Disk interface {
	core.Space

	// Write begins a sync of a batch; several are under way.
	Write(batch []core.Write)
	// Synced returns how many batches have been told as synced since the last start. With
	// wait it first waits for all of them.
	Synced(wait bool) int
	// Crash ends the process, with the power or without it, and starts another over what
	// is left. The draw is for what is.
	Crash(draw func(label string, max int) int)
	// Stop ends the process in good order, and starts another.
	Stop()
}

// Conform has a disk written to, and crash, at random, and holds it against a model: after
// a crash the first of the batches are there, in order, each as a whole, and at least those
// that were told as synced; after a stop all are. Range yields exactly what is there with a
// prefix, in the order of bytes.
func Conform(t *rapid.T, d Disk) {
	states := []map[string]string{{}} // after so many of the batches since the last start
	restarted := func(least int) {
		found := all(t, d, "")
		i := slices.IndexFunc(states[least:], func(s map[string]string) bool { return maps.Equal(s, found) })
		if i < 0 {
			require.Equal(t, states[least], found, "of %d batches %d are there for certain; what is there was never the state since", len(states)-1, least)
		}
		states = []map[string]string{found}
	}
	t.Repeat(map[string]func(*rapid.T){
		"write": func(t *rapid.T) {
			for range rapid.IntRange(1, 6).Draw(t, "batches") {
				batch := drawBatch(t)
				states = append(states, after(states[len(states)-1], batch))
				d.Write(batch)
			}
		},
		"await": func(t *rapid.T) {
			require.Equal(t, len(states)-1, d.Synced(true), "each batch is told once")
		},
		"crash": func(t *rapid.T) {
			told := d.Synced(false)
			require.Less(t, told, len(states))
			d.Crash(func(label string, max int) int { return rapid.IntRange(0, max).Draw(t, label) })
			restarted(told)
		},
		"stop": func(t *rapid.T) {
			d.Synced(true)
			d.Stop()
			restarted(len(states) - 1)
		},
		"range": func(t *rapid.T) {
			d.Synced(true)
			now := states[len(states)-1]
			prefix := rapid.SampledFrom(prefixes).Draw(t, "prefix")
			want := maps.Clone(now)
			maps.DeleteFunc(want, func(k, _ string) bool { return !strings.HasPrefix(k, prefix) })
			require.Equal(t, want, all(t, d, prefix), "prefix %q", prefix)
			stop, calls := fmt.Errorf("enough"), 0
			err := d.Range(prefix, func(string, string) error { calls++; return stop })
			if len(want) > 0 {
				require.Equal(t, stop, err)
				require.Equal(t, 1, calls)
			} else {
				require.NoError(t, err)
			}
		},
	})
}

// all reads what is there with a prefix, which is in order.
func all(t *rapid.T, d core.Space, prefix string) map[string]string {
	found, last := map[string]string{}, ""
	require.NoError(t, d.Range(prefix, func(k, v string) error {
		if len(found) > 0 {
			require.Less(t, last, k, "keys come in the order of their bytes, once each")
		}
		last, found[k] = k, v
		return nil
	}))
	return found
}

// prefixes are some that keys share. The order of bytes is not that of letters, and a
// prefix of the greatest bytes has no key behind it.
var prefixes = []string{"", "a", "a/", "a/\x00", "a/\xff", "a0", "b", "\xff", "\xff\xff"}

func drawKey(t *rapid.T) string {
	return rapid.SampledFrom(prefixes[1:]).Draw(t, "prefix") + rapid.SampledFrom([]string{"", "\x00", "k", "\x7f", "\x80", "\xff"}).Draw(t, "rest")
}

func drawBatch(t *rapid.T) (batch []core.Write) {
	for range rapid.IntRange(1, 5).Draw(t, "writes") {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			from, to := drawKey(t), drawKey(t)
			if from == to {
				to += "\x00"
			}
			batch = append(batch, core.Write{Key: min(from, to), Delete: true, End: max(from, to)})
		case 1, 2:
			batch = append(batch, core.Write{Key: drawKey(t), Delete: true})
		default:
			v := strings.Repeat(rapid.SampledFrom([]string{"x", "\x00", "yz"}).Draw(t, "value"), rapid.SampledFrom([]int{0, 1, 100, 3000}).Draw(t, "length"))
			batch = append(batch, core.Write{Key: drawKey(t), Value: v})
		}
	}
	return batch
}

// after is the state after a batch.
func after(before map[string]string, batch []core.Write) map[string]string {
	s := maps.Clone(before)
	for _, w := range batch {
		switch {
		case w.Delete && w.End != "":
			maps.DeleteFunc(s, func(k, _ string) bool { return w.Key <= k && k < w.End })
		case w.Delete:
			delete(s, w.Key)
		default:
			s[w.Key] = w.Value
		}
	}
	return s
}
