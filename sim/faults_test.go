package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

func TestAClogHoldsBackAndLosesNothing(t *testing.T) {
	l := newLab()
	out := l.run(t, `
at 10ms clog n1>n2
at 20ms c1 put n1.n2 1
at 21ms c1 put n1.n3 2
at 22ms c1 put n2.n1 3
at 30ms c1 put n1.n2 4
at 50ms unclog n1>n2
at 60ms c1 put n1.n2 5
at 100ms clog n1>n2
at 101ms c1 put n1.n2 6
`+later, RunOptions{})
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.ElementsMatch(t, []string{"51ms ping 1", "51ms ping 4", "62ms ping 5", "901ms ping 6"}, l.took["n2"],
		"what was held back arrives when the clog, or the phase of faults, ends")
	require.Equal(t, []string{"23ms ping 2"}, l.took["n3"])
	require.Equal(t, []string{"24ms ping 3"}, l.took["n1"])
	require.Equal(t, 3, out.Fired.Clogged)
}

func TestASlowHostTakesInLate(t *testing.T) {
	l := newLab()
	l.begin = func(f *fake) {
		if f.host.name == "n2" {
			f.deadline = f.host.clock.local(int64(30 * time.Millisecond))
		}
	}
	l.run(t, `
at 10ms c1 put n1.n2 1
at 15ms slow n2 7ms
at 20ms c1 put n1.n2 2
at 21ms c1 put n2.n1 3
at 40ms slow n2 0s
at 50ms c1 put n1.n2 4
`+later, RunOptions{})
	require.Equal(t, []string{"12ms ping 1", "29ms ping 2", "30ms tick", "52ms ping 4"}, l.took["n2"],
		"the timer was set before the host became slow")
	require.Equal(t, []string{"30ms ping 3"}, l.took["n1"])
}

func TestASyncThatFailsEndsTheProcess(t *testing.T) {
	l := newLab()
	l.step = persistPings
	out := l.run(t, durable+`
at 10ms c1 put n1 1
at 20ms fail-sync n1
at 21ms c1 put n1 2
at 50ms restart n1
at 60ms c1 put n1 3
`+later, RunOptions{})
	require.Equal(t, []string{"17ms ping 1", "28ms n1 down refused=false", "67ms ping 3"}, l.took["n2"], "what waited for the sync never leaves")
	require.Equal(t, "p1=x ", l.starts["n1"][1].space)
	require.Equal(t, []Halt{{Host: "n1", Node: l.starts["n1"][0].self.ID, At: 27 * time.Millisecond, Why: errSyncFailed.Error()}}, out.Halted)
}

func TestAFullDiskTakesNothing(t *testing.T) {
	l := newLab()
	l.step = persistPings
	out := l.run(t, durable+`
at 10ms c1 put n1 1
at 20ms full-disk n1
at 21ms c1 put n1 11
at 25ms c1 put n1 2
at 40ms restart n1
at 42ms c1 put n1 3
at 50ms free-disk n1
at 51ms restart n1
at 60ms c1 put n1 4
`+later, RunOptions{})
	require.Equal(t, []string{"17ms ping 1", "23ms ping 11", "32ms n1 down refused=false", "67ms ping 4"}, l.took["n2"], "what writes nothing goes on")
	require.Len(t, out.Halted, 2)
	require.Equal(t, errDiskFull.Error(), out.Halted[1].Why)
	require.Equal(t, "p1=x ", l.starts["n1"][2].space)
}

// A part of a batch is none of it: its bytes are there, and told from a whole.
func TestATornBatchIsWholeOrNothing(t *testing.T) {
	space := func(torn int) string {
		l := newLab()
		l.step = func(f *fake, _ core.Time, in core.Envelope, out *core.Output) {
			if p, ok := in.Body.(*core.Ping); ok {
				out.Persist = append(out.Persist, core.Write{Key: fmt.Sprintf("a%d", p.Nonce), Value: "x"}, core.Write{Key: "b", Value: "y"})
			}
		}
		l.run(t, durable+fmt.Sprintf("at 10ms c1 put n1 1\nat 13ms crash n1 torn=%d\nat 20ms restart n1\n", torn)+later, RunOptions{})
		return l.starts["n1"][1].space
	}
	whole := len(appendBatch(nil, []core.Write{{Key: "a1", Value: "x"}, {Key: "b", Value: "y"}}))
	for torn := range whole {
		require.Equal(t, "", space(torn), "%d of %d bytes", torn, whole)
	}
	require.Equal(t, "a1=x b=y ", space(whole))
}
