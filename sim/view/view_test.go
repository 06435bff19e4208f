package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/check"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// calm is a run that is short enough for a reader to see all of it.
const calm = `# A put whose Replicate is lost once is repeated.
cluster nodes=2 replicas=1 clients=1
at 100ms c1 put x a
drop n1>n2 Replicate#2
`

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := "testdata/" + name
	if *rewrite {
		require.NoError(t, os.WriteFile(file, got, 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), string(got)), "if the difference is meant: go test ./sim/view -rewrite")
}

func TestMermaidGolden(t *testing.T) {
	s := parse(t, calm)
	var b bytes.Buffer
	require.NoError(t, WriteMermaid(&b, NewPage("calm.trace", s, Record(s))))
	golden(t, "calm.mmd", b.Bytes())
}

func TestMermaidRefusesALongRun(t *testing.T) {
	s := long(t, 300)
	var b bytes.Buffer
	err := WriteMermaid(&b, NewPage("long.trace", s, Record(s)))
	long := (*TooLongError)(nil)
	require.True(t, errors.As(err, &long))
	require.Greater(t, long.Steps, mermaidStepsMax)
	require.Contains(t, err.Error(), fmt.Sprint(mermaidStepsMax))
	require.Zero(t, b.Len())
}

func TestPerfettoGolden(t *testing.T) {
	s := parse(t, calm)
	var b bytes.Buffer
	require.NoError(t, WritePerfetto(&b, NewPage("calm.trace", s, Record(s))))
	golden(t, "calm.perfetto.json", bytes.ReplaceAll(b.Bytes(), []byte("},{"), []byte("},\n{")))
}

// Every arrow that Perfetto draws begins and ends in a slice of its own track.
func TestPerfettoArrowsAreBound(t *testing.T) {
	s := saved(t, "stale-primary-get.trace")
	var b bytes.Buffer
	require.NoError(t, WritePerfetto(&b, NewPage("x", s, Record(s))))
	var out struct {
		TraceEvents []perfettoEvent `json:"traceEvents"`
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &out))
	slices := map[string]bool{}
	place := func(e *perfettoEvent) string { return fmt.Sprint(e.Pid, " ", e.Tid, " ", e.TS) }
	for i := range out.TraceEvents {
		if e := &out.TraceEvents[i]; e.Phase == "X" {
			slices[place(e)] = true
		}
	}
	ends := map[int]string{}
	for i := range out.TraceEvents {
		if e := &out.TraceEvents[i]; e.Phase == "s" || e.Phase == "f" {
			require.True(t, slices[place(e)], "%+v", e)
			ends[e.ID] += e.Phase
		}
	}
	require.NotEmpty(t, ends)
	for id, phases := range ends {
		require.Equal(t, "sf", phases, "arrow %d", id)
	}
}

func (run *Run) momentTexts() []string {
	var texts []string
	for _, m := range run.Moments {
		texts = append(texts, m.Text)
	}
	return texts
}

func TestMomentsTellTheStory(t *testing.T) {
	run := Record(saved(t, "stale-primary-get.trace"))
	require.Equal(t, "holds", run.Verdict)
	require.Equal(t, "Holds: every check passed.", run.Headline)
	require.Equal(t, -1, run.Bad)
	texts := strings.Join(run.momentTexts(), "\n")
	for _, want := range []string{
		"a partition: n1 | n2 n3 m c1", "n1 suspects n2 and n3", "the manager makes epoch 2 of group 1: n2 › n3",
		"n2 serves group 1 as the primary of epoch 2", "c1: put x=b → ok (version 3), after", "c2: get x → b (version 3)", "the network is whole again",
	} {
		require.Contains(t, texts, want)
	}
	require.LessOrEqual(t, len(run.Moments), momentsMax+1)
	for i := 1; i < len(run.Moments); i++ {
		require.LessOrEqual(t, run.Moments[i-1].Step, run.Moments[i].Step, "moments are in order")
	}
}

func TestBandsFollowTheFaults(t *testing.T) {
	run := Record(parse(t, `cluster nodes=3 replicas=2 clients=1 mode=durable
at 100ms c1 put x a
at 200ms partition n1 | m n2 n3 c1
at 300ms heal
at 400ms pause n2
at 450ms resume n2
at 500ms crash n3
at 600ms restart n3
at 700ms slow n1 5ms
at 710ms slow-disk n2 9ms
at 720ms clog n1>n2
at 730ms unclog n1>n2
at 740ms cut c1>n1
at 750ms flaky * drop=10
at 760ms lossy n1>n2 10
at 765ms bandwidth n1 12500000
at 770ms bandwidth n1 0
at 775ms busy n2 1ms
at 780ms lossy n1>n2 0
at 785ms busy n2 0s
at 800ms c1 get x
`))
	type band struct{ Host, Kind, Text string }
	var got []band
	for _, b := range run.Bands {
		host := "network"
		if b.Host >= 0 {
			host = run.Hosts[b.Host].Name
		}
		got = append(got, band{host, b.Kind, b.Text})
		require.Greater(t, b.To, b.From, "%v ends after it began, at the heal at the latest", got[len(got)-1])
		require.Contains(t, []StepKind{StepFault, StepHost}, run.Steps.Kind[b.From])
	}
	require.Empty(t, cmp.Diff([]band{
		{"n1", bandCut, "cut off"}, {"n2", bandPaused, "paused"}, {"n3", bandDown, "crashed"}, {"n1", bandSlow, "slow by 5ms"},
		{"n2", bandDisk, "a sync takes 9ms"}, {"network", bandClog, "n1>n2"}, {"network", bandCut, "c1>n1"}, {"network", bandFlaky, "every link"},
		{"network", bandLossy, "n1>n2"}, {"n1", bandNarrow, "sends 12500000 bytes a second"}, {"n2", bandBusy, "takes 1ms for each message"},
	}, got))
}

// A pause is one moment, not one for each message that waited for its end. A message that
// a trace delays is a moment.
func TestLateMessages(t *testing.T) {
	paused := Record(saved(t, "lost-declared-for-a-paused-node.trace"))
	texts := strings.Join(paused.momentTexts(), "\n")
	require.Contains(t, texts, "n1 stalls")
	require.Contains(t, texts, "n1 goes on")
	require.Contains(t, texts, "the manager declares group 1 lost")
	require.NotContains(t, texts, " late")
	delayed := Record(saved(t, "late-not-found.trace"))
	require.Contains(t, strings.Join(delayed.momentTexts(), "\n"), "c1 takes Reply not-found from n1, ")
}

// A run in which the simulator itself panics is shown as far as it went.
func TestABrokenSimulatorIsShown(t *testing.T) {
	s := parse(t, calm)
	s.Deviate[0].Fate = 99 // no valid schedule
	run := Record(s)
	require.Equal(t, "violates simulator-panic", run.Verdict)
	require.Contains(t, run.Headline, "Violated: simulator-panic: runtime error")
	require.Equal(t, StepBad, run.Steps.Kind[run.Bad])
	require.Greater(t, run.Bad, 10)
}

func TestNodeIDsAreNamed(t *testing.T) {
	n := names{1: "n1", 0xabc: "n2#2"}
	require.Equal(t, "the join of n2#2 follows that of n1", n.in("the join of "+core.NodeID(0xabc).String()+" follows that of "+core.NodeID(1).String()))
}

// state is what a page shows of a host after a step.
func (run *Run) state(host, step int) map[string]string {
	state := map[string]string{}
	for _, change := range run.Steps.Changes {
		if change[0] > step || change[1] != host {
			continue
		}
		for i := 2; i < len(change); i += 2 {
			if state[run.Strings[change[i]]] = run.Strings[change[i+1]]; change[i+1] == 0 {
				delete(state, run.Strings[change[i]]) // the field is gone
			}
		}
	}
	return state
}

func TestStatesAddUp(t *testing.T) {
	run := Record(saved(t, "divergent-suffix.trace"))
	last := len(run.Steps.Kind) - 1
	n2, n3 := run.state(2, last), run.state(3, last)
	require.Equal(t, "primary", n2["group 1/role"])
	require.Equal(t, "replica", n3["group 1/role"])
	require.Equal(t, "n2 › n3 › n1#2", n2["group 1/chain"], "what was n1 has joined as another node")
	require.Equal(t, n2["group 1/map"], n3["group 1/map"])
	require.Equal(t, n2["group 1/log tail"], n3["group 1/log tail"])
	require.Contains(t, n2["group 1/map"], "x=final-x")
	require.Equal(t, n2["group 1/chain"], run.state(0, last)["group 1/chain"])
	require.Equal(t, n2["group 1/epoch"], run.state(0, last)["group 1/epoch"])
	require.Equal(t, "group 1", run.state(0, last)["keys/x"])
}

// A run that is too long loses its beginning, and says so. Its last steps are those of
// the whole run.
func TestLongRunsAreCut(t *testing.T) {
	s := saved(t, "divergent-suffix.trace")
	whole, cut := Record(s), record(s, 100)
	require.Zero(t, whole.Skipped+whole.Thinned+cut.Thinned)
	require.Greater(t, cut.Skipped, 300)
	require.Less(t, len(cut.Steps.Kind), 250)
	require.Contains(t, cut.Strings[cut.Steps.Text[0]], "events before this are not shown")
	for host := range cut.Hosts {
		require.Empty(t, cmp.Diff(whole.state(host, len(whole.Steps.Kind)), cut.state(host, len(cut.Steps.Kind))), cut.Hosts[host].Name)
	}
	require.Equal(t, len(whole.Ops), len(cut.Ops))
	for i := range cut.Ops {
		require.Equal(t, whole.Ops[i].Result, cut.Ops[i].Result)
		require.LessOrEqual(t, cut.Ops[i].Call, cut.Ops[i].Return)
	}
}

// A run that is less long loses only steps that a reader does not see anyhow.
func TestLongRunsAreThinned(t *testing.T) {
	s := saved(t, "divergent-suffix.trace")
	whole, thin := Record(s), record(s, 300)
	require.Zero(t, thin.Skipped)
	require.Equal(t, len(whole.Steps.Kind)-len(thin.Steps.Kind), thin.Thinned)
	require.LessOrEqual(t, len(thin.Steps.Kind), 300)
	shown := func(run *Run) (list []string) {
		at := int64(0)
		for i := range run.Steps.Kind {
			if at += run.Steps.Time[i]; run.Steps.Routine[i] == 0 {
				list = append(list, fmt.Sprint(at, run.Steps.Host[i], run.stepName(i), run.Strings[run.Steps.Events[i]]))
			}
		}
		return list
	}
	require.Empty(t, cmp.Diff(shown(whole), shown(thin)))
	for host := range thin.Hosts {
		require.Empty(t, cmp.Diff(whole.state(host, len(whole.Steps.Kind)), thin.state(host, len(thin.Steps.Kind))))
	}
	require.Equal(t, whole.momentTexts(), thin.momentTexts())
	for i, m := range thin.Moments {
		require.Equal(t, whole.Steps.Kind[whole.Moments[i].Step], thin.Steps.Kind[m.Step], m.Text)
	}
}

// What is a livelock does not depend on who looks: an hour of several managers has more events
// than a short schedule may have. Here it is many nodes that are pinged.
func TestALongRunIsJudgedAsAReplayJudgesIt(t *testing.T) {
	s, err := schedule.Parse("cluster nodes=16 replicas=2 clients=1\nat 0s c1 put a v1\nat 1h c1 get a\n")
	require.NoError(t, err)
	out := newRecorder(s, math.MaxInt, math.MaxInt).watch() // it keeps nothing of it
	require.Greater(t, out.Events, 2_000_000)
	require.Equal(t, "holds", out.Verdict)
}

func TestRecordingChangesNothing(t *testing.T) {
	s := saved(t, "divergent-suffix.trace")
	plain, watched := check.Run(s), newRecorder(s, 0, StepsShownMax).watch()
	require.Equal(t, plain.Hash, watched.Hash)
	require.Equal(t, plain.Verdict, watched.Verdict)
	first, err := json.Marshal(Record(s))
	require.NoError(t, err)
	second, err := json.Marshal(Record(s))
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, second), "the same trace gives the same page")
}

// No schedule makes the core violate linearizability, so the sentence is tested on
// histories.
func TestExplainSaysWhatIsWrong(t *testing.T) {
	ok := func(value string, version core.Seq) *core.Result {
		return &core.Result{Status: core.StatusOK, Value: value, Version: version}
	}
	put := func(client, v string, call, back int, r *core.Result) history.Operation {
		return history.Operation{Client: client, Kind: core.OpPut, Key: "x", Value: v, CallOrder: call, ReturnOrder: back, Result: r}
	}
	get := func(client string, call, back int, r *core.Result) history.Operation {
		return history.Operation{Client: client, Kind: core.OpGet, Key: "x", CallOrder: call, ReturnOrder: back, Result: r}
	}
	for _, c := range []struct {
		name string
		ops  []history.Operation
		want string
		part int // how many operations show it, beside the stuck one
	}{
		{
			"a stale get",
			[]history.Operation{put("c1", "a", 1, 2, ok("", 1)), put("c1", "b", 3, 4, ok("", 2)), get("c2", 5, 6, ok("a", 1))},
			"c2 read x=a (version 1) after c1’s put x=b was acknowledged (version 2)", 2,
		},
		{
			"a get after a later one",
			[]history.Operation{put("c1", "a", 1, 2, ok("", 1)), put("c1", "b", 3, 9, ok("", 2)), get("c2", 4, 5, ok("b", 2)), get("c3", 6, 7, ok("a", 1))},
			"c3 read x=a (version 1) after c2 had read x=b (version 2)", 2,
		},
		{
			"a lost write",
			[]history.Operation{put("c1", "a", 1, 2, ok("", 1)), get("c2", 3, 4, &core.Result{Status: core.StatusNotFound})},
			"c2 found no x after c1’s put x=a was acknowledged (version 1)", 1,
		},
		{
			"a refused write that is seen",
			[]history.Operation{put("c1", "a", 1, 2, &core.Result{Status: core.StatusUnavailable}), get("c2", 3, 4, ok("a", 1))},
			"c2 read x=a (version 1), which c1’s put x=a wrote although it was answered unavailable", 1,
		},
		{
			"a value from nowhere",
			[]history.Operation{get("c2", 3, 4, ok("a", 1))},
			"c2 read x=a (version 1), which fits no order of the operations on x", 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			property, _ := history.CheckLinearizable(c.ops)
			require.Equal(t, "linearizable", property)
			stuck := history.Unexplained(c.ops)
			require.NotNil(t, stuck)
			text, part := explain(c.ops, stuck)
			require.Equal(t, c.want, text)
			require.Len(t, part, c.part)
		})
	}
	require.Nil(t, history.Unexplained([]history.Operation{put("c1", "a", 1, 2, ok("", 1)), get("c2", 3, 4, ok("a", 1))}))
}

// Every property that a check names is explained to the reader.
func TestEveryPropertyHasAMeaning(t *testing.T) {
	engine, err := filepath.Glob("../*.go")
	require.NoError(t, err)
	rooms, err := filepath.Glob("../*/*.go")
	require.NoError(t, err)
	for _, file := range append(engine, rooms...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, part := range strings.Split(string(text), `w.Fail("`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			require.NotEmpty(t, meanings[name], "%s: property %s", file, name)
		}
	}
}

// The texts of a trace never become markup or script of the page.
func TestHostileTextsAreInert(t *testing.T) {
	s := parse(t, hostile)
	text := html(t, NewPage("</title><script>window.pwned=7</script>", s, Record(s)))
	require.Equal(t, 2, strings.Count(text, "<script"), "the data and the page's own script")
	require.Equal(t, 2, strings.Count(text, "</script"))
	require.NotContains(t, text, "<img")
	require.Contains(t, text, "pwned", "it is shown as text")
	_, data, _ := strings.Cut(text, `id="data">`)
	data, _, _ = strings.Cut(data, "</script>")
	var page Page
	require.NoError(t, json.Unmarshal([]byte(data), &page))
	require.Equal(t, s.Story, page.Story)
}

func TestPageAsksForNothing(t *testing.T) {
	s := parse(t, calm)
	text := html(t, NewPage("calm.trace", s, Record(s)))
	for _, word := range []string{"http:", "https:", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML", "eval("} {
		require.NotContains(t, text, word)
	}
	require.Contains(t, text, "default-src 'none'")
}

func TestShowCutsAndQuotes(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"}, {"", `""`}, {"a b", `"a b"`}, {"\xff", `"\xff"`}, {"a=b", `"a=b"`}, {"é", "é"},
		{"line\nline", `"line\nline"`}, {"\u202e", `"\u202e"`}, {strings.Repeat("x", 30), strings.Repeat("x", 24) + "…"},
		{strings.Repeat("é", 24), strings.Repeat("é", 24)},
	} {
		require.Equal(t, c.want, show(c.in), "%q", c.in)
	}
}

func TestALongTraceTextIsCut(t *testing.T) {
	s := parse(t, calm)
	s.Actions[0].Value = strings.Repeat("v", 2*traceTextMax)
	p := NewPage("x", s, Record(s))
	require.Less(t, len(p.Trace), traceTextMax+100)
	require.Contains(t, p.Trace, "bytes more")
	require.Less(t, len(html(t, p)), 400<<10)
}
