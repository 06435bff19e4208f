package sim

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/sim/history"
)

// looker is an Observer that looks, at a client's event at a time, whether the
// manager, n1 and n2 are within the bounds.
type looker struct {
	at   time.Duration
	calm []bool
}

func (o *looker) Begin(*World)                                {}
func (o *looker) AfterChange(*World, *Host, Change)           {}
func (o *looker) AfterResult(w *World, op *history.Operation) {}
func (o *looker) Settled(*World) bool                         { return true }
func (o *looker) End(*World)                                  {}
func (o *looker) AfterEvent(w *World, h *Host) {
	if h.role == RoleClient && w.Now() == o.at && len(o.calm) == 0 {
		o.calm = append(o.calm, w.Calm([]*Host{w.hosts[0], w.Host("n1"), w.Host("n2")}))
	}
}

// calmAt tells whether they are within the bounds 10 s into a schedule of durable
// nodes.
func calmAt(t *testing.T, lines ...string) bool {
	t.Helper()
	o := &looker{at: 10 * time.Second}
	l := newLab()
	text := "cluster nodes=3 clients=1 mode=durable\n"
	head := true
	for _, line := range lines {
		if head = head && !strings.HasPrefix(line, "at "); head {
			text += line + "\n"
		}
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "at ") {
			text += line + "\n"
		}
	}
	out := l.run(t, text+"at 10s c1 put x y\n", RunOptions{Observer: o})
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.Empty(t, out.IdleActions)
	require.Len(t, o.calm, 1)
	return o.calm[0]
}

func TestWhatIsWithinTheBounds(t *testing.T) {
	for _, lines := range [][]string{
		{},
		{"network connect=1", "delay c1>n1 Ping#1 50ms", "at 8900ms c1 put n1 1", "at 9s pause n1", "at 9200ms resume n1"},
		{"delay c1>n1 Ping#1 250ms", "at 8900ms c1 put n1 1", "at 9s pause n1", "at 9200ms resume n1"}, // it holds up no others
		{"at 9s pause n1", "at 9250ms resume n1"},
		{"at 9800ms pause n1"},
		{"at 8s pause n1", "at 8250ms resume n1", "at 9250ms pause n1", "at 9500ms resume n1"},
		{"at 9s pause n1", "at 9s pause n2", "at 9250ms resume n1", "at 9250ms resume n2"},
		{"at 1s pause n1", "at 5s resume n1"},
		{"at 9s pause n3"},
		{"at 9s pause n3", "at 9100ms stall n1>n2 200ms"},
		{"at 9s stall-disk n1 200ms", "at 9s pause n1", "at 9s stall m>n1 200ms", "at 9200ms resume n1"},
		{"at 8s stall m>n1 250ms", "at 9250ms stall-disk n1 250ms"},
		{"at 9s stall n1>n2 250ms", "at 9s stall n2>n1 250ms"},
		{"at 8s stall n1>n2 250ms", "at 9250ms stall n1>n2 250ms"},
		{"at 9s stall n1>n3 5s"},
		{"at 1s cut n1>n2", "at 5900ms heal"},
		{"at 1s flaky * drop=1", "at 5900ms heal"},
		{"at 1s lossy * 50"},
		{"at 7s lossy m>n1 50", "at 7900ms lossy m>n1 0", "at 9s pause n1", "at 9200ms resume n1"},
		{"at 1s slow n1 50ms"},
		{"at 1s slow-disk n1 250ms"},
		{"at 9s stall-disk n1 250ms"},
		{"at 1s bandwidth n1 12500000"},
		{"at 1s busy n1 10ms"},
		{"at 1s crash n1", "at 5900ms restart n1"},
		{"network latency=165ms..165ms connect=2"},
		{"clock n1 ppm=1000 offset=5s"},
	} {
		require.True(t, calmAt(t, lines...), "%q", lines)
	}
}

func TestWhatIsBeyondTheBounds(t *testing.T) {
	for _, lines := range [][]string{
		{"at 9s pause n1", "at 9251ms resume n1"},
		{"at 9s pause m", "at 9251ms resume m"},
		{"at 9749ms pause n2"},
		{"at 8s pause n1", "at 8250ms resume n1", "at 9249ms pause n1", "at 9300ms resume n1"},
		{"at 9s stall n1>n2 251ms"},
		{"at 8s stall n1>n2 250ms", "at 9249ms stall n1>n2 1ms"},
		{"at 5s stall n1>m 2s"},
		{"at 8s stall m>n1 100ms", "at 8100ms pause n1", "at 8300ms resume n1"},
		{"at 8s stall m>n1 100ms", "at 9s stall n1>n3 100ms"},
		{"at 8s pause n1", "at 8100ms stall-disk n1 100ms", "at 8200ms resume n1"},
		{"network connect=1", "delay c1>n1 Ping#1 51ms", "at 8900ms c1 put n1 1", "at 9s pause n1", "at 9200ms resume n1"},
		{"delay n1>n2 Ping#1 251ms", "at 9s c1 put n1.n2 1"},
		{"at 8s stall-disk n1 200ms", "at 8100ms pause n1", "at 8101ms resume n1"},
		{"at 1s cut n1>n2"},
		{"at 1s cut n1>n2", "at 6s heal"},
		{"at 1s partition n1 | m", "at 6s heal"},
		{"at 1s clog m>n2"},
		{"at 1s clog m>n2", "at 6s unclog m>n2"},
		{"at 1s flaky * drop=1"},
		{"at 1s flaky n1>n2 drop=1", "at 6s heal"},
		{"at 1s mute n1>n2"},
		{"at 6s reset n1>n2"},
		{"at 7s lossy m>n1 50", "at 8100ms lossy m>n1 0", "at 9s pause n1", "at 9200ms resume n1"}, // what was lost may still be missing
		{"at 1s lossy * 51"},
		{"at 1s lossy n1>m 51", "at 6s lossy n1>m 10"},
		{"at 1s slow n1 51ms"},
		{"at 1s slow n1 51ms", "at 6s slow n1 0s"},
		{"at 1s slow-disk n1 251ms"},
		{"at 1s slow-disk m 251ms", "at 6s slow-disk m 1ms"},
		{"at 6s stall-disk n1 251ms"},
		{"at 6s stall-disk n1 250ms", "at 7s stall-disk n1 10ms"},
		{"at 1s bandwidth n1 12499999"},
		{"at 1s bandwidth m 12499999", "at 6s bandwidth m 0"},
		{"at 1s crash n1"},
		{"at 1s crash n1", "at 6s restart n1"},
		{"at 1s crash m", "at 6s restart m"},
		{"at 6s wipe n1", "at 6s restart n1"},
		{"at 1s crash n3", "at 6s move n1 n3", "at 6s restart n3", "at 6s restart n1"},
		{"network latency=166ms..166ms"},
		{"clock n1 ppm=1001"},
		{"clock n1 ppm=-1001"},
	} {
		require.False(t, calmAt(t, lines...), "%q", lines)
	}
}

// A host whose messages wait for long in its process is beyond the bounds.
func TestLongWaitsAreBeyondTheBounds(t *testing.T) {
	calls := func(n int, line string) []string {
		var lines []string
		for i := range n {
			lines = append(lines, strings.ReplaceAll(line, "#", strconv.Itoa(i+1)))
		}
		return lines
	}
	busy := append([]string{"at 6s busy n1 10ms"}, calls(24, "at 7s c1 put n1 #")...)
	require.True(t, calmAt(t, busy...))
	busy = append([]string{"at 6s busy n1 10ms"}, calls(60, "at 7s c1 put n1 #")...)
	require.False(t, calmAt(t, busy...))
}
