package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// looker is an Observer that looks, at a client's event at a time, whether the
// manager, n1 and n2 are within the bounds.
type looker struct {
	at   time.Duration
	calm []bool
}

func (o *looker) Begin(*World)                        {}
func (o *looker) AfterChange(*World, *Host, Change)   {}
func (o *looker) AfterResult(w *World, op *Operation) {}
func (o *looker) Settled(*World) bool                 { return true }
func (o *looker) End(*World)                          {}
func (o *looker) AfterEvent(w *World, h *Host) {
	if h.role == RoleClient && w.Now() == o.at && len(o.calm) == 0 {
		o.calm = append(o.calm, w.calm([]*Host{w.hosts[0], w.Host("n1"), w.Host("n2")}))
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

// A host whose messages wait for long is beyond the bounds, whatever bounds it.
func TestLongWaitsAreBeyondTheBounds(t *testing.T) {
	calls := func(n int, line string) []string {
		var lines []string
		for i := range n {
			lines = append(lines, strings.ReplaceAll(line, "#", numberedName("", i+1)))
		}
		return lines
	}
	busy := append([]string{"at 6s busy n1 10ms"}, calls(24, "at 7s c1 put n1 #")...)
	require.True(t, calmAt(t, busy...))
	busy = append([]string{"at 6s busy n1 10ms"}, calls(60, "at 7s c1 put n1 #")...)
	require.False(t, calmAt(t, busy...))
	h := &Host{up: true, clock: newClock(Clock{})}
	w := &World{schedule: &Schedule{}, hosts: []*Host{h}}
	w.initBounds()
	h.uplink.rate = BandwidthMin
	for i := range 12 {
		slot := w.queue.alloc()
		w.queue.items[slot].env = core.Envelope{Body: &core.Ping{}}
		w.depart(h, outgoing{slot: slot, left: 1 << 20})
		require.Equal(t, i < 11, w.well(h), "%d values of 1 MiB wait", i+1)
	}
}

func TestInquiriesMustComeToSomething(t *testing.T) {
	inquire := func(times int, ends core.Event, q inquiries) string {
		c, w := &checker{}, &World{}
		for range times {
			q.open = true
			c.onInquiry(w, &q, nil, &ends)
		}
		if w.violation == nil {
			return ""
		}
		return w.violation.Property
	}
	answered, alone := inquiries{accuser: 1, answered: true}, inquiries{accuser: 1}
	cleared := core.Event{Kind: core.EventCleared, Group: 1, Epoch: 1}
	require.Empty(t, inquire(inquiriesMax, cleared, answered))
	require.Equal(t, "inquiry-without-end", inquire(inquiriesMax+1, cleared, answered))
	require.Empty(t, inquire(10*inquiriesMax, cleared, alone), "nobody but the accuser answered")
	require.Empty(t, inquire(10*inquiriesMax, cleared, inquiries{answered: true}), "no primary began it")
	moved := cleared
	moved.Effect = true
	require.Empty(t, inquire(10*inquiriesMax, moved, answered), "the accuser got what it waited for")
	inturn := func(nodes ...core.NodeID) string {
		c, w, q := &checker{}, &World{}, inquiries{}
		for range inquiriesMax {
			for i, node := range nodes {
				q.open, q.accuser, q.accused, q.answered = true, 1, node, true
				ends := core.Event{Kind: core.EventCleared, Group: 1, Epoch: 1, Node: node, Effect: i == len(nodes)-1}
				c.onInquiry(w, &q, nil, &ends)
			}
		}
		if w.violation == nil {
			return ""
		}
		return w.violation.Property
	}
	require.Empty(t, inturn(2, 2, 2), "a hiccup now and then, in an epoch that lasts long")
	require.Equal(t, "inquiry-without-end", inturn(2, 2, 3), "one member moves, but the other never does")
	decided := core.Event{Kind: core.EventReconfigured, Group: 1, Epoch: 2}
	require.Empty(t, inquire(10*inquiriesMax, decided, answered), "a new epoch is a decision")
}

func TestCallsEndWellWithinTheBounds(t *testing.T) {
	ended := func(status core.Status, change func(*World, *Operation)) string {
		s := &Schedule{Shape: DefaultShape()}
		s.Shape.OpTimeout = calmTimeout
		w, op := &World{schedule: s}, &Operation{Called: 2 * time.Second, Result: &core.Result{Status: status}}
		change(w, op)
		(&checker{}).onResult(w, op)
		if w.violation == nil {
			return ""
		}
		return w.violation.Property
	}
	same := func(*World, *Operation) {}
	require.Equal(t, "failed-without-cause", ended(core.StatusUnavailable, same))
	require.Equal(t, "failed-without-cause", ended(core.StatusUnknown, same))
	require.Empty(t, ended(core.StatusOK, same))
	require.Empty(t, ended(core.StatusNotFound, same))
	require.Empty(t, ended(core.StatusConflict, same))
	for _, change := range []func(*World, *Operation){
		func(w *World, _ *Operation) { w.bounds.left = true },
		func(w *World, _ *Operation) { w.schedule.Shape.OpTimeout-- },
		func(w *World, _ *Operation) { w.schedule.Shape.Replicas = 3 },
		func(_ *World, op *Operation) { op.Called = returnTime - 1 },
	} {
		require.Empty(t, ended(core.StatusUnavailable, change))
	}
}
