package schedule

import (
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim/splitmix"
)

// aRecording is of a run of so many events, whose hash after event n is hash(n).
func aRecording(events int, hash func(n int) uint64) (r *Recording, last uint64, hashes []uint64) {
	r = &Recording{Every: 1}
	for n := 1; n <= events; n++ {
		last = hash(n)
		hashes = append(hashes, last)
		r.Checkpoint(n, last)
	}
	r.Events, r.Hash = events, last
	return r, last, hashes
}

func plain(n int) uint64 { return splitmix.Mix(0, uint64(n)) }

func TestRecordingHasCheckpoints(t *testing.T) {
	for _, c := range []struct{ events, every int }{
		{1, 1}, {64, 1}, {65, 2}, {128, 2}, {129, 2}, {130, 4}, {1000, 16}, {100_000, 2048},
	} {
		r, last, hashes := aRecording(c.events, plain)
		require.Equal(t, c.every, r.Every, "%d events", c.events)
		require.Len(t, r.Checkpoints, c.events/c.every)
		for i, check := range r.Checkpoints {
			require.Equal(t, uint16(hashes[(i+1)*r.Every-1]>>48), check)
		}
		require.Empty(t, r.check())
		require.Nil(t, r.Compare(c.events, last, hashes))
		s := &Schedule{Shape: DefaultShape(), Recorded: r}
		back, err := Parse(s.String())
		require.NoError(t, err)
		require.Equal(t, s, back)
	}
}

func TestDivergence(t *testing.T) {
	// from makes a hash that differs from event n on.
	from := func(n int) func(int) uint64 {
		return func(i int) uint64 {
			if i >= n {
				return splitmix.Mix(1, uint64(i))
			}
			return plain(i)
		}
	}
	short, _, _ := aRecording(50, plain)
	long, _, _ := aRecording(1000, plain) // with a checkpoint every 16 events
	for _, c := range []struct {
		name   string
		r      *Recording
		events int
		hash   func(int) uint64
		want   string
	}{
		{"a few events", short, 50, from(17), "diverged at event 17"},
		{"the first one", short, 60, from(1), "diverged at event 1"},
		{"many events", long, 1000, from(530), "diverged at event 529 to 544"},
		{"at a checkpoint", long, 1000, from(544), "diverged at event 529 to 544"},
		{"after one", long, 1000, from(545), "diverged at event 545 to 560"},
		{"it goes on", short, 51, plain, "diverged at event 51"},
		{"it ends", short, 40, plain, "diverged at event 41"},
		{"it goes on for long", long, 2000, plain, "diverged at event 993 to 1001"},
		{"it ends between checkpoints", long, 530, plain, "diverged at event 529 to 531"},
		{"it ends at a checkpoint", long, 528, plain, "diverged at event 529"},
		{"it does nothing", long, 0, plain, "diverged at event 1"},
	} {
		_, last, hashes := aRecording(c.events, c.hash)
		d := c.r.Compare(c.events, last, hashes)
		require.NotNil(t, d, c.name)
		require.Equal(t, c.want, d.String(), c.name)
		require.Equal(t, c.r.Events, d.Recorded)
	}

	// A host may end after the last event.
	_, last, hashes := aRecording(50, plain)
	require.Equal(t, "diverged at event 51", short.Compare(50, last+1, hashes).String())
}

func TestWithRecording(t *testing.T) {
	r := &Recording{3, 4, 2, []uint16{5}}
	const line = "recorded events=3 hash=0000000000000004 every=2 checkpoints=0005\n"
	for _, c := range []struct{ name, text, want string }{
		{"after the heading", "# a\nrule R1\n\n# b\nat 1s c1 get a\n", "# a\nrule R1\n" + line + "\n# b\nat 1s c1 get a\n"},
		{"without a heading", "# a\n# b\n\nat 1s c1 get a\n# c\n", "# a\n# b\n" + line + "\nat 1s c1 get a\n# c\n"},
		{"in the place of another", "rule R1\nrecorded x\nunhealed n1\nat 1s heal", "rule R1\nunhealed n1\n" + line + "at 1s heal"},
		{"a heading at the end", "at 1s heal\nrule R1\n", line + "at 1s heal\nrule R1\n"},
		{"nothing", "", line},
		{"a deviation", "drop\tn1>n2 Ack#1\n", line + "drop\tn1>n2 Ack#1\n"},
	} {
		require.Equal(t, c.want, WithRecording(c.text, r), c.name)
		require.Equal(t, c.want, WithRecording(c.want, r), "%s, again", c.name)
	}
}
