package sim

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/schedule"
)

// A stalled link delivers what was sent late, at once and in order; what was on
// its way arrives, and so does what goes the other way.
func TestAStallDelaysAndLosesNothing(t *testing.T) {
	l := newLab()
	out := l.run(t, `
at 8ms c1 put n1.n2 1
at 10ms stall n1>n2 200ms
at 20ms c1 put n1.n2 2
at 21ms c1 put n2.n1 3
at 50ms c1 put n1.n2 4
at 300ms c1 put n1.n2 5
`+later, RunOptions{})
	require.Equal(t, []string{"10ms ping 1", "211ms ping 2", "211ms ping 4", "302ms ping 5"}, l.took["n2"])
	require.Equal(t, []string{"23ms ping 3"}, l.took["n1"])
	require.Equal(t, 2, out.Fired.Stalled)
	require.Equal(t, 1, out.Fired.Verbs[schedule.VerbStall])
}

// With jitter and batches too, all that a stalled link carries comes in order.
func TestAStreamKeepsItsOrder(t *testing.T) {
	for _, batch := range []string{"1", "4"} {
		l := newLab()
		var calls strings.Builder
		for i := range 50 {
			fmt.Fprintf(&calls, "at %v c1 put n2 %d\n", ms(20+3*i), 100+i)
		}
		l.run(t, "cluster seed=7 batch="+batch+"\nnetwork latency=1ms..20ms\nat 10ms stall c1>n2 50ms\nat 11ms lossy c1>n2 300\n"+calls.String()+later, RunOptions{})
		require.Len(t, l.took["n2"], 50)
		for i := 1; i < 50; i++ {
			before, after := l.took["n2"][i-1], l.took["n2"][i]
			require.Less(t, before[strings.Index(before, "ping"):], after[strings.Index(after, "ping"):])
		}
	}
}

// What a lossy link loses comes a time-out later, or after a round trip when
// later traffic tells of the loss; and all that follows waits for it.
func TestALossyLinkIsLateAndNeverLoses(t *testing.T) {
	run := func(text string) (*lab, *Outcome) {
		l := newLab()
		return l, l.run(t, "cluster seed=3\nat 1ms lossy n1>n2 500\n"+text+"at 8s c1 get end\n", RunOptions{})
	}
	alone, out := run("at 1s c1 put n1.n2 1\nat 3s c1 put n1.n2 2\nat 5s c1 put n1.n2 3\nat 7s c1 put n1.n2 4\n")
	require.Len(t, alone.took["n2"], 4)
	require.Positive(t, out.Fired.Resent)
	late := 0
	for i, took := range alone.took["n2"] {
		at, err := time.ParseDuration(strings.Fields(took)[0])
		require.NoError(t, err)
		wait := at - time.Duration(2*i+1)*time.Second - time.Duration(2)*time.Millisecond
		if wait > 0 {
			late++
			require.GreaterOrEqual(t, wait, 200*time.Millisecond, "TCP's time-out")
		}
	}
	require.Equal(t, 3, out.Fired.Resent)
	require.Equal(t, 4, late, "one waits behind another")

	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "at %v c1 put n1.n2 %d\n", ms(1000+10*i), i)
	}
	busy, _ := run(text.String())
	require.Len(t, busy.took["n2"], 40)
}

// lateOf is by how much a run's first message from n1 to n2, sent at 10 ms, and
// its second, sent at 11 ms, come later than on a link without a fault.
func lateOf(t *testing.T, l *lab) (first, second time.Duration) {
	t.Helper()
	require.Len(t, l.took["n2"], 2)
	var at [2]time.Duration
	for i := range at {
		var err error
		at[i], err = time.ParseDuration(strings.Fields(l.took["n2"][i])[0])
		require.NoError(t, err)
		at[i] -= ms(12 + i)
	}
	return at[0], at[1]
}

// The second of two messages tells of the loss of the first, and so the first
// comes a round trip after the second was sent, not after the time-out.
func TestLaterTrafficTellsOfALoss(t *testing.T) {
	shortened := false
	for seed := range 64 {
		l := newLab()
		out := l.run(t, "cluster seed="+strconv.Itoa(seed+1)+"\nat 1ms lossy n1>n2 300\nat 10ms c1 put n1.n2 1\nat 11ms c1 put n1.n2 2\nat 3s c1 get end\n", RunOptions{})
		if out.Fired.Resent != 1 {
			continue
		}
		if first, second := lateOf(t, l); first == time.Duration(3)*time.Millisecond && second == time.Duration(2)*time.Millisecond {
			shortened = true
		}
	}
	require.True(t, shortened, "no seed shows it")
}

// The first message between two processes waits for the connection, and those
// behind it for the first. Both ways share it, and a new process needs a new one.
func TestSettingUpAConnectionTakesRoundTrips(t *testing.T) {
	l := newLab()
	l.run(t, `
network connect=2
at 10ms c1 put n2 1
at 11ms c1 put n2 2
at 30ms c1 put n2 3
at 40ms reset c1>n2
at 50ms c1 put n2 4
at 60ms crash n2
at 62ms c1 put n2 5
at 70ms restart n2
at 80ms c1 put n2 6
`+later, RunOptions{})
	require.Equal(t, []string{"15ms ping 1", "15ms ping 2", "31ms ping 3", "41ms c1 down refused=false", "55ms ping 4", "85ms ping 6"}, l.took["n2"],
		"a message goes 1 ms, two round trips take 4 ms")
	require.Equal(t, []string{"41ms n2 down refused=false", "61ms n2 down refused=false", "64ms n2 down refused=true"}, l.took["c1"],
		"a refusal comes at once: there is nobody to set up a connection with")
}

func TestAMutedConnectionIsReplaced(t *testing.T) {
	l := newLab()
	out := l.run(t, `
network connect=1
at 10ms c1 put n1.n2 1
at 20ms mute n1>n2
at 100ms c1 put n1.n2 2
at 101ms c1 put n2.n1 3
at 1090ms c1 put n1.n2 4
at 1200ms c1 put n1.n2 5
at 1300ms mute n1>n2
at 1310ms reset n1>n2
at 1320ms c1 put n1.n2 6
at 1900ms c1 get end
`, RunOptions{})
	require.Equal(t, []string{"16ms ping 1", "1.202s ping 5", "1.311s n1 down refused=false", "1.324s ping 6"}, l.took["n2"],
		"the first to vanish has a new connection made, which works a second and a round trip later")
	require.Contains(t, strings.Join(l.took["n1"], ","), "ping 3")
	require.Equal(t, 2, out.Fired.Muted)
}

// All that leaves a host shares its bandwidth, in order and by its size.
func TestBandwidthIsShared(t *testing.T) {
	l := newLab()
	l.run(t, `
at 5ms bandwidth n1 64000
at 10ms c1 put n1.n2 1
at 10ms c1 put n1.n3 2
at 10ms c1 put n1.n2 3
at 30ms bandwidth n1 0
at 40ms c1 put n1.n2 4
`+later, RunOptions{})
	require.Equal(t, []string{"13ms ping 1", "15ms ping 3", "42ms ping 4"}, l.took["n2"], "a small message has 64 bytes, which take 1 ms")
	require.Equal(t, []string{"14ms ping 2"}, l.took["n3"])
}

// A busy process takes in one message after the other, while its timers go on;
// what waits when it stops being busy is taken in at once.
func TestABusyHostTakesInOneAfterTheOther(t *testing.T) {
	l := newLab()
	l.begin = func(f *fake) {
		if f.host.name == "n2" {
			f.deadline = f.host.clock.local(int64(35 * time.Millisecond))
		}
	}
	l.run(t, `
at 5ms busy n2 10ms
at 10ms c1 put n2 1
at 11ms c1 put n2 2
at 12ms c1 put n2 3
at 13ms c1 put n2 4
at 14ms c1 put n2 5
at 33ms pause n2
at 43ms resume n2
at 55ms busy n2 0s
at 70ms c1 put n2 6
at 80ms busy n2 10ms
at 90ms c1 put n2 7
at 91ms c1 put n2 8
at 105ms crash n2
`+later, RunOptions{})
	require.Equal(t, []string{"21ms ping 1", "31ms ping 2", "43ms tick", "53ms ping 3", "63ms ping 4", "63ms ping 5", "71ms ping 6", "101ms ping 7", "900ms tick"}, l.took["n2"],
		"the work during the pause is done again, and what waits at a crash is lost")
}

func TestAStalledDiskSyncsLater(t *testing.T) {
	l := newLab()
	l.step = persistPings
	l.run(t, durable+`
at 10ms c1 put n1 1
at 12ms stall-disk n1 100ms
at 20ms c1 put n1 2
at 200ms c1 put n1 3
at 300ms stall-disk n1 10s
at 310ms c1 put n1 4
`+later, RunOptions{})
	require.Equal(t, []string{"113ms ping 1", "118ms ping 2", "207ms ping 3", "901ms ping 4"}, l.took["n2"],
		"what was under way ends with the stall, and the next sync 5 ms later; the end of the faults ends a stall")
}

// A node that moves takes its data and its identity along, and nothing is left
// where it was; the disk that it comes to loses what it held.
func TestAMoveTakesTheDataAlong(t *testing.T) {
	l := newLab()
	l.step = persistPings
	out := l.run(t, durable+`
at 10ms c1 put n1 1
at 10ms c1 put n2 2
at 30ms move n1 n2
at 40ms crash n2
at 50ms move n1 n2
at 60ms restart n2
at 70ms restart n1
`+later, RunOptions{})
	require.Equal(t, []int{2}, out.IdleActions, "n2 runs")
	n1, n2 := l.starts["n1"], l.starts["n2"]
	require.Len(t, n1, 2)
	require.Len(t, n2, 2)
	require.Equal(t, n1[0].self.ID, n2[1].self.ID)
	require.NotContains(t, []core.NodeID{n1[0].self.ID, n2[0].self.ID}, n1[1].self.ID)
	require.NotEmpty(t, n2[1].space)
	require.Empty(t, n1[1].space)
	require.NotContains(t, n2[1].space, "=2", "its own data is lost")
}

// A queue that its host has no bandwidth for ends with the bound, or is lost with
// the process.
func TestWhatWaitsForBandwidthIsNotLost(t *testing.T) {
	l := newLab()
	l.run(t, `
at 5ms bandwidth n1 1000
at 10ms c1 put n1.n2 1
at 10ms c1 put n1.n2 2
at 50ms bandwidth n1 0
at 60ms bandwidth n1 1000
at 65ms c1 put n1.n2 3
at 70ms crash n1
at 80ms bandwidth n1 1000
at 90ms restart n1
at 95ms c1 put n1.n2 4
`+later, RunOptions{})
	var pings []string
	for _, took := range l.took["n2"] {
		if strings.Contains(took, "ping") {
			pings = append(pings, took)
		}
	}
	require.Equal(t, []string{"51ms ping 1", "51ms ping 2", "161ms ping 4"}, pings)
}
