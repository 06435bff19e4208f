package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/generate"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// lab runs schedules on nodes that only do what a test wants of them.
//
// A client carries out "put n1 5" by sending n1 a Ping with nonce 5, and "put
// n1.n2 5" by making n1 send that Ping to n2. Every call has its result at once.
type lab struct {
	took   map[string][]string // by host: what its nodes took in, with the times
	starts map[string][]*fake
	step   func(f *fake, now core.Time, in core.Envelope, out *core.Output) // beyond that, of managers and storage nodes
	tick   func(f *fake, now core.Time, out *core.Output)
	begin  func(f *fake) // sets a first deadline
}

type fake struct {
	lab      *lab
	host     *Host
	self     core.Peer
	space    string
	deadline core.Time
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func newLab() *lab {
	return &lab{took: map[string][]string{}, starts: map[string][]*fake{}}
}

func (l *lab) newNode(_ *schedule.Schedule, h *Host, _ uint64) (core.Node, error) {
	f := &fake{lab: l, host: h, self: h.peer, space: contents(&h.disk, ""), deadline: core.Never}
	l.starts[h.name] = append(l.starts[h.name], f)
	if l.begin != nil {
		l.begin(f)
	}
	return f, nil
}

func (l *lab) run(t *testing.T, text string, o RunOptions) *Outcome {
	t.Helper()
	s, err := schedule.Parse(text)
	require.NoError(t, err)
	require.NoError(t, s.Validate())
	o.newNode, o.CheckImmutable, o.SkipLinearizability = l.newNode, true, true
	return Run(s, o)
}

func (f *fake) Deadline() core.Time { return f.deadline }

func (f *fake) Tick(now core.Time, out *core.Output) {
	f.deadline = core.Never
	f.note(now, "tick")
	if f.lab.tick != nil {
		f.lab.tick(f, now, out)
	}
}

func (f *fake) note(now core.Time, format string, args ...any) {
	at := time.Duration(f.host.clock.virtual(now))
	f.lab.took[f.host.name] = append(f.lab.took[f.host.name], fmt.Sprintf("%v ", at)+fmt.Sprintf(format, args...))
}

func (f *fake) ping(to string, n uint64, out *core.Output) {
	out.Send = append(out.Send, f.to(to, n))
}

func (f *fake) to(addr string, n uint64) core.Envelope {
	return core.Envelope{From: f.self, To: core.Peer{Addr: addr}, Body: &core.Ping{Nonce: n, Boot: 1}}
}

func (f *fake) Step(now core.Time, in core.Envelope, out *core.Output) {
	switch m := in.Body.(type) {
	case *core.Call:
		var n uint64
		if _, err := fmt.Sscan(m.Value, &n); err == nil {
			if via, to, ok := strings.Cut(m.Key, "."); ok {
				out.Send = append(out.Send, core.Envelope{From: f.self, To: core.Peer{Addr: via}, Body: &core.Lookup{Key: to, Req: n}})
			} else {
				f.ping(m.Key, n, out)
			}
		}
		out.Send = append(out.Send, core.Envelope{From: f.self, Body: &core.Result{ID: m.ID, Status: core.StatusOK, Version: 7}})
	case *core.Lookup:
		f.ping(m.Key, m.Req, out)
	case *core.Ping:
		f.note(now, "ping %d", m.Nonce)
	case *core.PeerDown:
		f.note(now, "%s down refused=%v", m.Peer.Addr, m.Refused)
	default:
		f.note(now, "%v", core.KindOf(m))
	}
	if f.lab.step != nil && f.host.role != RoleClient {
		f.lab.step(f, now, in, out)
	}
}

// later keeps the faults of a schedule from ending before that time: the run
// heals when all operations have ended.
const later = "at 900ms c1 get end\n"

func TestOneWayCut(t *testing.T) {
	l := newLab()
	out := l.run(t, `
at 10ms cut n1>n2
at 20ms c1 put n1.n2 1
at 20ms c1 put n2.n1 2
at 30ms heal
at 40ms c1 put n1.n2 3
`+later, RunOptions{})
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.Equal(t, []string{"42ms ping 3"}, l.took["n2"])
	require.Equal(t, []string{"22ms ping 2"}, l.took["n1"])
	require.Equal(t, 1, out.Fired.Cut)
	require.Empty(t, out.IdleActions)
}

func TestPartition(t *testing.T) {
	l := newLab()
	l.run(t, `
at 9ms c1 put n1.n2 1
at 10.5ms partition n1 n3 | n2 m
at 20ms c1 put n1.n2 2
at 20ms c1 put n2.n1 3
at 20ms c1 put n1.n3 4
at 20ms c1 put m.n3 5
at 20ms c1 put m.n2 6
`+later, RunOptions{})
	require.Equal(t, []string{"11ms ping 1", "22ms ping 6"}, l.took["n2"], "what was on its way arrives")
	require.Equal(t, []string{"22ms ping 4"}, l.took["n3"])
	require.Empty(t, l.took["n1"])
	require.Empty(t, l.took["c1"], "no host hears of a cut")
}

func TestPeerDown(t *testing.T) {
	l := newLab()
	out := l.run(t, `
cluster nodes=4 clients=2
at 10ms c1 put n1 1
at 10ms c1 put n1.n2 2
at 10ms c1 put n1.n3 8
at 20ms cut n1>n3
at 30ms crash n1
at 35ms pause n2
at 40ms c1 put n1 3
at 40ms c1 put n1 4
at 40ms c2 put n3.n1 5
at 50ms c2 put n2.n1 6
at 60ms resume n2
at 70ms restart n1
at 80ms c1 put n1 7
`+later, RunOptions{})
	require.Equal(t, []string{
		"31ms n1 down refused=false", // it had a connection
		"42ms n1 down refused=true",  // once for both messages
	}, l.took["c1"])
	require.Equal(t, []string{
		"12ms ping 2", "31ms n1 down refused=false",
		"62ms n1 down refused=true", // asked at 51ms, took it in at 60ms
	}, l.took["n2"])
	require.Equal(t, []string{"12ms ping 8"}, l.took["n3"], "the news cannot reach it")
	require.Empty(t, l.took["n4"], "it had nothing to do with n1")
	require.Equal(t, []string{"11ms ping 1", "81ms ping 7"}, l.took["n1"])
	require.Equal(t, 3, out.Fired.Refused)
	require.NotEqual(t, l.starts["n1"][0].self.ID, l.starts["n1"][1].self.ID, "in memory mode it is a new node")
}

func TestReset(t *testing.T) {
	l := newLab()
	l.run(t, "at 10ms reset n1>n2\n"+later, RunOptions{})
	require.Equal(t, []string{"11ms n2 down refused=false"}, l.took["n1"])
	require.Equal(t, []string{"11ms n1 down refused=false"}, l.took["n2"])
}

func TestMessagesOutliveTheirSenderAndReachTheNextProcess(t *testing.T) {
	l := newLab()
	l.run(t, `
network latency=10ms
at 10ms c1 put n1.n2 1
at 25ms crash n1
at 26ms crash n2
at 27ms restart n2
`+later, RunOptions{})
	require.Contains(t, l.took["n2"], "30ms ping 1")
}

func TestPauseAndResume(t *testing.T) {
	l := newLab()
	l.begin = func(f *fake) {
		if f.host.name == "n1" {
			f.deadline = f.host.clock.local(int64(25 * time.Millisecond))
		}
	}
	l.run(t, `
clock n1 offset=-1s ppm=500
at 10ms pause n1
at 20ms c1 put n1 1
at 21ms c2 put n1 2
at 22ms c1 put n1 3
at 40ms resume n1
at 50ms c1 put n1 4
`+later, RunOptions{})
	require.Equal(t, []string{"40ms ping 1", "40ms tick", "40ms ping 2", "40ms ping 3", "51ms ping 4"}, l.took["n1"])
}

func TestDeadlineAtOnce(t *testing.T) {
	l := newLab()
	l.step = func(f *fake, now core.Time, in core.Envelope, out *core.Output) {
		if f.host.name == "n1" {
			f.deadline = now
		}
	}
	l.tick = func(f *fake, now core.Time, out *core.Output) {
		f.ping("n2", 2, out)
	}
	o := RunOptions{}
	sends := 0
	o.Log = func(r *LogRecord) {
		if r.What == LogSent && r.From == "n1" {
			sends++
		}
	}
	out := l.run(t, "at 10ms c1 put n1 1\n", o)
	require.Equal(t, []string{"11ms ping 1", "11ms tick"}, l.took["n1"])
	require.Equal(t, 1, sends)
	require.Equal(t, 1, out.Ticks)
}

func TestClocksDrift(t *testing.T) {
	l := newLab()
	l.begin = func(f *fake) {
		if f.host.role == RoleStorage {
			f.deadline = core.Time(clockOrigin + 100*time.Millisecond)
		}
	}
	l.run(t, "clock n1 offset=10ms ppm=0\nclock n2 offset=0s ppm=-50000\n"+later, RunOptions{})
	require.Equal(t, []string{"90ms tick"}, l.took["n1"])
	require.Equal(t, []string{"105.263158ms tick"}, l.took["n2"])
	require.Equal(t, []string{"100ms tick"}, l.took["n3"])
}

func TestDeviations(t *testing.T) {
	l := newLab()
	out := l.run(t, `
at 10ms c1 put n1 1
at 20ms c1 put n1 2
at 30ms c1 put n1 3
at 40ms c1 put n1 4
at 50ms c1 put n1 5
at 50ms c2 put n1 6
`+later+`
drop c1>n1 Ping#2
duplicate c1>n1 Ping#3
delay c1>n1 Ping#4 100ms
corrupt c1>n1 Ping#5
drop c1>n1 Pong#1
`, RunOptions{})
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.Equal(t, []string{"11ms ping 1", "31ms ping 3", "31ms ping 3", "51ms ping 6", "141ms ping 4"}, l.took["n1"])
	require.Equal(t, [schedule.FateCount]int{schedule.FateDrop: 1, schedule.FateDuplicate: 1, schedule.FateDelay: 1, schedule.FateCorrupt: 1}, out.Fired.Fates)
	require.Equal(t, []int{4}, out.IdleDeviations)
}

// What happens to a message depends on its name, not on what else is sent.
func TestDrawsArePositional(t *testing.T) {
	const head = "cluster nodes=3 clients=2 seed=7\nnetwork latency=1ms..9ms\nat 1ms flaky * drop=300 duplicate=300 delay=300 delay-max=50ms\n"
	few, many := newLab(), newLab()
	text, more := "", ""
	for i := range 20 {
		line := fmt.Sprintf("at %dms c1 put n1 %d\n", 10+10*i, i+1)
		text += line
		more += line + fmt.Sprintf("at %dms c2 put n1.n2 %d\nat %dms c2 put m %d\n", 10+10*i, 100+i, 10+10*i, 200+i)
	}
	few.run(t, head+text+later, RunOptions{})
	many.run(t, strings.Replace(head, "nodes=3", "nodes=5", 1)+more+later, RunOptions{})
	require.Equal(t, few.took["n1"], many.took["n1"])
	require.NotEqual(t, 20, len(few.took["n1"]), "the link was flaky")
}

func TestFlakyLinks(t *testing.T) {
	l := newLab()
	text := "cluster nodes=3 clients=2 seed=3\nat 1ms flaky c1>n1 drop=200 duplicate=100 delay=100 corrupt=100 delay-max=20ms\n"
	for i := range 500 {
		text += fmt.Sprintf("at %dms c1 put n1 %d\n", 10+i, i)
		text += fmt.Sprintf("at %dms c1 put n2 %d\n", 10+i, 1000+i)
	}
	out := l.run(t, text, RunOptions{})
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.Len(t, l.took["n2"], 500)
	require.InDelta(t, 100, out.Fired.Fates[schedule.FateDrop], 30)
	for _, f := range []schedule.Fate{schedule.FateDuplicate, schedule.FateDelay, schedule.FateCorrupt} {
		require.InDelta(t, 50, out.Fired.Fates[f], 25, "%v", f)
	}
	require.InDelta(t, 500-100-50+50, len(l.took["n1"]), 60)
}

const durable = "cluster nodes=3 clients=2 mode=durable\ndisk sync=5ms\n"

// persistPings makes every ping durable before it is passed on to n2.
func persistPings(f *fake, now core.Time, in core.Envelope, out *core.Output) {
	if p, ok := in.Body.(*core.Ping); ok && f.host.name == "n1" {
		key := fmt.Sprintf("p%d", p.Nonce)
		if p.Nonce < 10 {
			out.Persist = append(out.Persist, core.Write{Key: key, Value: "x"})
		}
		f.ping("n3", p.Nonce, out)
		out.After = append(out.After, f.to("n2", p.Nonce), core.Envelope{From: f.self, To: f.self, Body: &core.Synced{Nonce: p.Nonce}})
	}
}

func TestAfterWaitsForEarlierPersists(t *testing.T) {
	l := newLab()
	l.step = persistPings
	l.run(t, durable+`
at 9ms c1 put n1 10
at 10ms c1 put n1 1
at 12ms c1 put n1 2
at 13ms c1 put n1 11
at 40ms slow-disk n1 100ms
at 40ms c1 put n1 3
`+later, RunOptions{})
	require.Equal(t, []string{
		"11ms ping 10", // nothing to wait for
		"17ms ping 1",  // at 11ms, synced at 16ms
		"22ms ping 2",  // at 13ms, during that sync: synced by the next, at 21ms
		"22ms ping 11", // at 14ms, persists nothing itself, but waits for what is before it
		"142ms ping 3",
	}, l.took["n2"])
	require.Equal(t, []string{"11ms ping 10", "12ms ping 1", "14ms ping 2", "15ms ping 11", "42ms ping 3"}, l.took["n3"])
	require.Equal(t, []string{
		"10ms ping 10", "10ms Synced", "11ms ping 1", "13ms ping 2", "14ms ping 11",
		"16ms Synced", "21ms Synced", "21ms Synced", "41ms ping 3", "141ms Synced",
	}, l.took["n1"])
}

func TestCrashKeepsSomeBatches(t *testing.T) {
	for keep, want := range []string{"p1=x ", "p1=x p2=x ", "p1=x p2=x p3=x "} {
		l := newLab()
		l.step = persistPings
		l.run(t, durable+fmt.Sprintf(`
at 10ms c1 put n1 1
at 20ms c1 put n1 2
at 21ms c1 put n1 3
at 23ms crash n1 keep=%d
at 40ms restart n1
at 50ms crash n2
at 60ms restart n2
at 70ms wipe n1
at 80ms restart n1
`, keep)+later, RunOptions{})
		starts := l.starts["n1"]
		require.Equal(t, want, starts[1].space)
		require.Equal(t, starts[0].self, starts[1].self, "its data says who it is")
		require.NotContains(t, strings.Join(l.took["n2"], ","), "ping 2", "what waited for the sync is lost")
		require.Equal(t, "", starts[2].space)
		require.NotEqual(t, starts[0].self, starts[2].self)
		require.NotEqual(t, l.starts["n2"][0].self, l.starts["n2"][1].self, "without data it is a new node")
	}
}

func TestHalt(t *testing.T) {
	l := newLab()
	l.step = func(f *fake, now core.Time, in core.Envelope, out *core.Output) {
		persistPings(f, now, in, out)
		if p, ok := in.Body.(*core.Ping); ok && p.Nonce == 2 && f.host.name == "n1" {
			out.Halt = errors.New("enough")
		}
	}
	out := l.run(t, durable+`
at 10ms c1 put n1 1
at 11ms c1 put n1 2
at 12ms c1 put n1 3
`+later, RunOptions{})
	require.Equal(t, []Halt{{Host: "n1", Node: l.starts["n1"][0].self.ID, At: 12 * time.Millisecond, Why: "enough"}}, out.Halted)
	require.Equal(t, []string{"12ms ping 1", "13ms ping 2"}, l.took["n3"], "what may leave at once does")
	require.Empty(t, l.took["n2"], "what waits for the disk does not")
	require.Len(t, l.starts["n1"], 1, "in durable mode what has halted stays down")
	require.Equal(t, []string{"13ms n1 down refused=false", "14ms n1 down refused=true"}, l.took["c1"],
		"the ping that is refused was for whoever is at the address")
}

// Of each node that a host has been the sender hears that it is refused, as from a
// connection that was to carry messages for all of them.
func TestEveryNodeOfADeadHostIsReported(t *testing.T) {
	l := newLab()
	l.step = func(f *fake, _ core.Time, in core.Envelope, out *core.Output) {
		if p, ok := in.Body.(*core.Ping); ok && f.host.name == "n1" {
			for range 2 {
				out.Send = append(out.Send, core.Envelope{From: f.self, To: core.Peer{ID: core.NodeID(p.Nonce), Addr: "n2"}, Body: &core.Ping{Boot: 1}})
			}
		}
	}
	l.run(t, `
at 10ms crash n2
at 20ms c1 put n1 5
at 20ms c1 put n1 6
`+later, RunOptions{})
	require.Equal(t, []string{"21ms ping 5", "21ms ping 6", "23ms n2 down refused=true", "23ms n2 down refused=true"}, l.took["n1"])
}

func TestStopForgetAndHeal(t *testing.T) {
	l := newLab()
	forgets := 0
	l.step = func(f *fake, now core.Time, in core.Envelope, out *core.Output) {
		switch m := in.Body.(type) {
		case *core.Stop:
			out.Halt = errors.New("stopped")
		case *core.Forget:
			if forgets++; forgets == 2 { // the first answer is lost
				out.Send = append(out.Send, core.Envelope{From: f.self, To: in.From, Body: &core.Forgotten{Req: m.Req, Status: core.StatusOK}})
			}
		}
	}
	out := l.run(t, `
cluster nodes=4 clients=2
at 10ms stop n1
at 20ms crash n2
at 30ms forget n2
at 40ms pause n3
at 50ms crash n4
at 60ms restart n1
at 70ms stop n1
`+later, RunOptions{})
	require.Equal(t, "holds", out.Verdict, "%v", out.Violation)
	require.Len(t, l.starts["n1"], 2, "what was stopped stays so, unless the schedule restarts it")
	require.Len(t, l.starts["n2"], 2)
	require.Len(t, l.starts["n4"], 2)
	require.Equal(t, []string{"30ms Forget", "230ms Forget"}, l.took["m"], "repeated until it is answered")
	require.Equal(t, 900*time.Millisecond, out.Healed)
}

func TestFaultsLastUntilOperationsFeelThem(t *testing.T) {
	l := newLab()
	l.begin = func(f *fake) {
		if f.host.role == RoleClient {
			l.starts["silent"] = append(l.starts["silent"], f)
		}
	}
	o := RunOptions{}
	o.Observer = &watcher{}
	s, err := schedule.Parse("at 10ms crash n1\nat 20ms c1 get x\n")
	require.NoError(t, err)
	o.newNode = func(s *schedule.Schedule, h *Host, seed uint64) (core.Node, error) {
		if h.role == RoleClient {
			return silent{}, nil
		}
		return l.newNode(s, h, seed)
	}
	out := Run(s, o)
	require.Equal(t, 520*time.Millisecond, out.Healed)
	require.Equal(t, "violates liveness", out.Verdict)
	require.Equal(t, "c1 get x, called at 20ms, has not ended 10s after the faults did", out.Violation.Text)
}

// silent takes everything in and says nothing.
type silent struct{}

func (silent) Step(core.Time, core.Envelope, *core.Output) {}
func (silent) Tick(core.Time, *core.Output)                {}
func (silent) Deadline() core.Time                         { return core.Never }

type watcher struct {
	log    []string
	events int
	fail   int // at which event
}

func (o *watcher) Begin(*World)        { o.log = append(o.log, "begin") }
func (o *watcher) End(*World)          { o.log = append(o.log, "end") }
func (o *watcher) Settled(*World) bool { return true }
func (o *watcher) AfterEvent(w *World, h *Host) {
	o.events++
	if o.events == o.fail {
		w.Fail("enough", "event %d at %s", o.events, h.Name())
	}
}
func (o *watcher) AfterChange(w *World, h *Host, c Change) {
	o.log = append(o.log, fmt.Sprintf("%v %s %v", w.Now(), h.Name(), c))
}
func (o *watcher) AfterResult(w *World, op *history.Operation) {
	o.log = append(o.log, fmt.Sprintf("%v %v", w.Now(), op))
}

func TestObserver(t *testing.T) {
	const text = "cluster nodes=1 replicas=0 clients=1\nat 10ms c1 put n1 1\nat 20ms wipe n1\nat 30ms restart n1\nat 40ms pause m\n"
	o := &watcher{}
	out := newLab().run(t, text, RunOptions{Observer: o})
	require.Equal(t, []string{
		"begin", "0s m started", "0s c1 started", "100µs n1 started", "10ms c1 put n1 1", "20ms n1 crashed", "20ms n1 wiped",
		"30ms n1 started", "40ms m paused", "40ms m resumed", "1.04s c1 put n1 final-n1", "1.04s c1 get n1", "end",
	}, o.log)
	require.Equal(t, out.Events, o.events)
	require.Len(t, out.Ops, 3)
	require.True(t, out.Ops[1].Final)

	out = newLab().run(t, text, RunOptions{Observer: &watcher{fail: 2}})
	require.Equal(t, "violates enough", out.Verdict)
	require.Equal(t, Violation{Property: "enough", Text: "event 2 at n1", Event: 2, At: 11 * time.Millisecond}, *out.Violation)
	require.Equal(t, []int{1, 2, 3}, out.IdleActions, "what was not reached")
}

// A schedule may say how its calls must end, which judges them alone.
func TestWantedOutcomes(t *testing.T) {
	const text = `at 100ms c1 put k v1 -> ok
at 200ms c1 get k -> ok v1
at 300ms c1 get l -> not-found
at 400ms c1 cas k 0 v2 -> conflict
at 500ms c1 get k -> `
	for want, verdict := range map[string]string{
		"ok v1": "holds", "ok": "holds", "ok v2": "violates outcome", "not-found": "violates outcome",
	} {
		s, err := schedule.Parse(text + want)
		require.NoError(t, err)
		out := Run(s, RunOptions{})
		require.Equal(t, verdict, out.Verdict, want)
		if out.Violation != nil {
			require.Equal(t, "c1 get k ended with ok v1, not with "+want, out.Violation.Text)
		}
	}
}

func TestViolationsOfTheContract(t *testing.T) {
	for name, c := range map[string]struct {
		property, text string
		step           func(f *fake, now core.Time, in core.Envelope, out *core.Output)
	}{
		"panic": {"panic", "n1: broken", func(*fake, core.Time, core.Envelope, *core.Output) { panic("broken\nat 0x1234") }},
		"deadline": {"livelock", "n1 asks for another Tick", func(f *fake, now core.Time, _ core.Envelope, _ *core.Output) {
			f.lab.tick = func(f *fake, now core.Time, _ *core.Output) { f.deadline = now }
			f.deadline = now
		}},
		"events": {"livelock", "more than 1000 events", func(f *fake, now core.Time, _ core.Envelope, out *core.Output) {
			out.Send = append(out.Send, core.Envelope{From: f.self, To: f.self, Body: &core.Synced{}})
		}},
		"address": {"driver-contract", `n1 sent a Ping to "n7"`, func(f *fake, now core.Time, _ core.Envelope, out *core.Output) {
			f.ping("n7", 1, out)
		}},
		"local": {"driver-contract", `n1 sent a Synced to "n2"`, func(f *fake, now core.Time, _ core.Envelope, out *core.Output) {
			out.Send = append(out.Send, core.Envelope{From: f.self, To: core.Peer{Addr: "n2"}, Body: &core.Synced{}})
		}},
		"result": {"result", "n1 returned a result", func(f *fake, now core.Time, _ core.Envelope, out *core.Output) {
			out.Send = append(out.Send, core.Envelope{From: f.self, Body: &core.Result{ID: 1}})
		}},
		"immutable": {"immutability", "a Ping from n1 to n2 was changed", func(f *fake, now core.Time, _ core.Envelope, out *core.Output) {
			if f.host.name != "n1" {
				return
			}
			f.ping("n2", 1, out)
			changed := out.Send[0].Body.(*core.Ping)
			f.lab.tick = func(*fake, core.Time, *core.Output) { changed.Nonce++ }
			f.deadline = now + 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab()
			l.step = c.step
			out := l.run(t, "at 10ms c1 put n1 1\n"+later, RunOptions{EventsMax: 1000})
			require.NotNil(t, out.Violation)
			require.Equal(t, c.property, out.Violation.Property, out.Violation.Text)
			require.Contains(t, out.Violation.Text, c.text)
			require.NotContains(t, out.Violation.Text, "0x")
			require.Equal(t, c.property == "panic", out.Violation.Stack != "")
		})
	}
}

func TestBatches(t *testing.T) {
	l := newLab()
	steps := map[core.Time]int{}
	l.step = func(f *fake, now core.Time, in core.Envelope, out *core.Output) {
		if f.host.name == "n1" {
			f.deadline = now
			steps[now]++
		}
	}
	l.tick = func(f *fake, now core.Time, out *core.Output) {
		require.LessOrEqual(t, steps[now], 4)
		steps[now] = 0
	}
	text := "cluster nodes=3 clients=2 width=20 seed=5 batch=4\nnetwork latency=1ms..2ms\n"
	for i := range 40 {
		text += fmt.Sprintf("at 10ms c%d put n1 %d\n", 1+i%2, i)
	}
	l.run(t, text+"at 20ms pause n1\nat 21ms c1 put n1 98\nat 22ms c2 put n1 99\nat 40ms resume n1\n"+later, RunOptions{})
	ticks := 0
	for _, line := range l.took["n1"] {
		if strings.HasSuffix(line, "tick") {
			ticks++
		}
	}
	require.Len(t, l.took["n1"], 42+ticks)
	require.Less(t, ticks, 25, "messages that are due together share an Output")
	require.Equal(t, []string{"40ms ping 98", "40ms ping 99", "40ms tick"}, l.took["n1"][len(l.took["n1"])-3:])
}

func TestWidthAndLastVersion(t *testing.T) {
	l := newLab()
	out := l.run(t, "cluster nodes=3 clients=2 width=1\nat 10ms c1 put a x\nat 10ms c1 cas a last y\nat 10ms c2 cas a last z\nat 10ms c2 cas a 3 w\n", RunOptions{})
	var called []string
	for i := range out.Ops[:4] {
		op := &out.Ops[i]
		called = append(called, fmt.Sprintf("%d-%d %v", op.CallOrder, op.ReturnOrder, op))
	}
	slices.Sort(called)
	require.Equal(t, []string{"1-3 c1 put a x", "2-5 c2 cas a 0 z", "4-7 c1 cas a 7 y", "6-8 c2 cas a 3 w"}, called)
}

func TestDeterminism(t *testing.T) {
	distinct := map[uint64]bool{}
	for seed := range uint64(40) {
		s := generate.Schedule(generate.NewSource(seed))
		first := Run(s, RunOptions{KeepHashes: true, CheckImmutable: true})
		again := Run(s, RunOptions{KeepHashes: true, SkipLinearizability: true, Log: func(*LogRecord) {}})
		require.Equal(t, first.Hashes, again.Hashes, "seed %d", seed)
		require.Equal(t, first.Hash, again.Hash, "seed %d", seed)
		require.Equal(t, first.Events, again.Events)
		require.Len(t, first.Hashes, first.Events)
		full := Run(s, RunOptions{FullHash: true, SkipLinearizability: true})
		require.Equal(t, full.Hash, Run(s, RunOptions{FullHash: true, SkipLinearizability: true}).Hash, "seed %d", seed)
		distinct[first.Hash] = true
	}
	require.Len(t, distinct, 40)
}

// Runs share nothing: several at once give what each gives alone.
func TestRunsAreIndependent(t *testing.T) {
	alone := Run(generate.Schedule(generate.NewSource(1)), RunOptions{}).Hash
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			require.Equal(t, alone, Run(generate.Schedule(generate.NewSource(1)), RunOptions{}).Hash)
		})
	}
}

// bouncer answers every Ping with a Ping, so that a run is nothing but engine.
// Each begins a few exchanges, which go on for ever.
type bouncer struct {
	self     core.Peer
	deadline core.Time
	begun    int
	to       core.Peer
	body     core.Message
}

func (b *bouncer) Deadline() core.Time { return b.deadline }
func (b *bouncer) Tick(now core.Time, out *core.Output) {
	b.deadline = now + core.Time(20*time.Millisecond)
	if b.begun++; b.begun <= 10 {
		out.Send = append(out.Send, core.Envelope{From: b.self, To: b.to, Body: b.body})
	}
}
func (b *bouncer) Step(now core.Time, in core.Envelope, out *core.Output) {
	if core.KindOf(in.Body) == core.KindPing {
		out.Send = append(out.Send, core.Envelope{From: b.self, To: in.From, Body: in.Body})
	}
}

// BenchmarkEngine measures what an event costs beside the core.
func BenchmarkEngine(b *testing.B) {
	s, err := schedule.Parse("cluster nodes=6 clients=2 seed=1\nnetwork latency=500µs..5ms\nat 0s c1 get x\n")
	require.NoError(b, err)
	events := 0
	b.ReportAllocs()
	for events < b.N {
		out := Run(s, RunOptions{EventsMax: min(1_000_000, b.N-events), SkipLinearizability: true, newNode: func(_ *schedule.Schedule, h *Host, _ uint64) (core.Node, error) {
			if h.role == RoleClient {
				return silent{}, nil
			}
			return &bouncer{self: h.peer, deadline: 0, to: core.Peer{Addr: fmt.Sprintf("n%d", 1+h.index%6)}, body: &core.Ping{Nonce: 1, Boot: 1}}, nil
		}})
		events += out.Events
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

// BenchmarkRun measures whole schedules, as the properties run them.
func BenchmarkRun(b *testing.B) {
	events, sum, lin := 0, time.Duration(0), time.Duration(0)
	b.ReportAllocs()
	for i := range b.N {
		out := Run(generate.Schedule(generate.NewSource(uint64(i))), RunOptions{})
		events += out.Events
		sum += out.Virtual
		lin += out.Lin
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(sum.Seconds()/b.Elapsed().Seconds(), "simulated-s/s")
	b.ReportMetric(float64(lin)/float64(b.Elapsed())*100, "%lin")
}

// Also of one that ends in the middle of an event.
func TestRecordingOfAPanic(t *testing.T) {
	for at := 1; at <= 4; at++ {
		w := &World{schedule: &schedule.Schedule{}, events: at, hash: splitmix.Mix(0, uint64(at))}
		w.recording.Every = 1
		for n := 1; n < at; n++ {
			w.recording.Checkpoint(n, splitmix.Mix(0, uint64(n)))
		}
		require.NoError(t, (&schedule.Schedule{Shape: schedule.DefaultShape(), Recorded: w.outcome().Recording}).Validate())
	}
}
