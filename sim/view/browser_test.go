package view

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// browserEnv makes the tests in a browser run. go test does not bring a browser;
// .ci/browser installs one and sets this.
const browserEnv = "GTSTORE_BROWSER"

// tab is a page in a real browser, with the complaints of the browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	dir string

	mu       sync.Mutex
	requests []string
	errors   []string
}

func newTab(t *testing.T) *tab {
	if os.Getenv(browserEnv) == "" {
		t.Skipf("it needs a browser; run: .ci/browser")
	}
	browser := os.Getenv(browserEnv)
	if _, err := exec.LookPath(browser); err != nil {
		browser, err = exec.LookPath("chromium")
		require.NoError(t, err, "%s must name a browser, or chromium be installed", browserEnv)
	}
	b := &tab{t: t, dir: t.TempDir()}
	ctx, stop := chromedp.NewContext(t.Context(), chromedp.WithListener(b.heard), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1440, 900)))
	t.Cleanup(stop)
	b.ctx = ctx
	b.run(chromedp.Navigate("about:blank")) // starts the browser: a context with a timeout must not do that
	b.ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	return b
}

func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.errors = append(b.errors, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text)
	}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, actions...))
}

// call sends a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := cdp.Call(b.ctx, chromedp.FromContext(b.ctx).Target, command, params)
	require.NoError(b.t, err)
	return r
}

// open loads a page and returns its address.
func (b *tab) open(p *Page) string {
	b.t.Helper()
	file := filepath.Join(b.dir, "page.html")
	require.NoError(b.t, os.WriteFile(file, []byte(html(b.t, p)), 0o666))
	address := "file://" + file
	b.visit(address)
	return address
}

// visit goes to an address by way of an empty page, since a change of the fragment alone
// would not load the page.
func (b *tab) visit(address string) {
	b.t.Helper()
	b.run(chromedp.Navigate("about:blank"), chromedp.Navigate(address))
}

func value[T any](b *tab, script string) T {
	b.t.Helper()
	x, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, script)
	return x
}

// do runs a script for what it does.
func (b *tab) do(script string) { b.run(chromedp.Evaluate[chromedp.Void](script)) }

func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.run(chromedp.KeyEvent(key))
	}
}

func (b *tab) step() int { return value[int](b, "app.step") }

// clean requires that the page asked for nothing and complained of nothing.
func (b *tab) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.errors)
	for _, request := range b.requests {
		require.True(b.t, strings.HasPrefix(request, "file://"+b.dir) || strings.HasPrefix(request, "data:") || request == "about:blank", "the page asked for %s", request)
	}
}

// twoRuns is a page with two runs. The first went wrong, the second did not.
func twoRuns(t *testing.T) *Page {
	s := saved(t, "stale-primary-get.trace")
	bad := Record(s)
	bad.Core, bad.Removed, bad.Without = "a-mutant", "R8", "a stale primary serves a get"
	bad.Property, bad.Headline, bad.Bad = "linearizable", "Violated: linearizable: so it was", bad.Ops[3].Return
	bad.Focus = [2]int{bad.Bad, bad.Bad}
	return NewPage("stale-primary-get.trace", s, bad, Record(s))
}

// TestBrowserPage: a reader can use the page. Each part goes on where the one before ended.
func TestBrowserPage(t *testing.T) {
	b := newTab(t)
	p := twoRuns(t)
	b.open(p)
	require.Equal(t, "Violated: linearizable: so it was", value[string](b, `document.getElementById("headline").textContent`))
	require.Equal(t, p.Runs[0].Bad, b.step(), "it opens where it went wrong")
	require.Greater(t, value[int](b, `new Set(document.getElementById("canvas").getContext("2d").getImageData(0, 0, 900, 500).data).size`), 20, "the canvas is blank")

	for _, part := range []struct {
		name string
		try  func(*tab, *Page)
	}{
		{"keys", useKeys},
		{"slider", useSlider},
		{"states", seeStates},
		{"filters", useFilters},
		{"search", useSearch},
		{"pan", useMouse},
		{"the other run", chooseRun},
	} {
		t.Run(part.name, func(t *testing.T) {
			b.t = t
			part.try(b, p)
		})
	}
	b.t = t
	b.clean()
}

// useKeys: keys move from row to row, from moment to moment, and zoom.
func useKeys(b *tab, p *Page) {
	b.press(kb.Home)
	first := b.step()
	b.press("j", "j", kb.ArrowRight)
	third := b.step()
	require.Greater(b.t, third, first)
	require.Contains(b.t, value[string](b, `document.getElementById("live").textContent`), "Event 4 of ")
	b.press("k", kb.ArrowUp, kb.ArrowLeft)
	require.Equal(b.t, first, b.step())
	b.press("n")
	require.Equal(b.t, p.Runs[0].Moments[0].Step, b.step(), "n goes to the next moment")
	b.press(kb.End, "b")
	require.Equal(b.t, p.Runs[0].Bad, b.step())
	b.press("+")
	require.Greater(b.t, value[float64](b, "app.diagram.zoom"), 22.0)
	b.press("-", "-")
	require.Less(b.t, value[float64](b, "app.diagram.zoom"), 22.0)
}

// useSlider: the slider moves from row to row.
func useSlider(b *tab, _ *Page) {
	b.run(chromedp.Focus(chromedp.CSS("#range")))
	before := b.step()
	b.press(kb.ArrowRight)
	require.Greater(b.t, b.step(), before)
	b.press(kb.Home)
	require.Zero(b.t, value[int](b, "app.rows.row(app.step)"))
}

// seeStates: a step shows what it changed, and the state after it.
func seeStates(b *tab, p *Page) {
	change := p.Runs[0].Steps.Changes[len(p.Runs[0].Steps.Changes)/2]
	b.do(fmt.Sprintf("app.select(%d)", change[0]))
	require.Contains(b.t, value[string](b, `document.getElementById("changed").textContent`), p.Runs[0].Hosts[change[1]].Name)
	require.NotZero(b.t, value[int](b, `document.querySelectorAll("#states dd.fresh").length`))
}

// useFilters: what the reader hides is not drawn, until all is shown again.
func useFilters(b *tab, _ *Page) {
	rows := value[int](b, "app.rows.steps.length")
	b.press("h")
	require.Greater(b.t, value[int](b, "app.rows.steps.length"), rows, "heartbeats are shown")
	b.press("h", "f")
	heads := value[int](b, `document.querySelectorAll(".head").length`)
	b.run(chromedp.Click(chromedp.CSS("#hosts label:nth-child(6) input")))
	require.Equal(b.t, heads-1, value[int](b, `document.querySelectorAll(".head").length`))
	require.Less(b.t, value[int](b, "app.rows.steps.length"), rows)
	b.run(chromedp.Click(chromedp.CSS("#kinds label:nth-child(1) input")))
	require.Equal(b.t, 1, value[int](b, "app.filter.kinds.size"))
	b.do(`document.getElementById("group").value = 1; document.getElementById("group").dispatchEvent(new Event("change"))`)
	require.Equal(b.t, 1, value[int](b, "app.filter.group"))
	b.run(chromedp.Click(chromedp.CSS("#all")))
	require.Equal(b.t, rows, value[int](b, "app.rows.steps.length"))
	b.run(chromedp.Click(chromedp.CSS("#filters summary")))
}

// useSearch: a search marks the steps it finds, and goes to one of them.
func useSearch(b *tab, _ *Page) {
	b.press(kb.Home, "/")
	require.Equal(b.t, "search", value[string](b, "document.activeElement.id"))
	// The driver types the / as well. A keyboard does not, once the key is handled.
	b.do(`document.activeElement.value = ""`)
	b.press("s", "u", "s", "p", "e", "c", "t", kb.Enter)
	require.Equal(b.t, "suspect", value[string](b, "app.query"))
	require.Greater(b.t, value[int](b, "app.diagram.found.size"), 0)
	require.True(b.t, value[bool](b, "app.diagram.found.has(app.step)"))
	b.press(kb.Escape)
}

// useMouse: a drag scrolls, and a click selects.
func useMouse(b *tab, _ *Page) {
	b.press(kb.Home)
	b.run(
		chromedp.MouseEvent(chromedp.MousePressed, 500, 600, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, 500, 500, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, 500, 300, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseReleased, 500, 300, chromedp.ButtonLeft),
	)
	require.Greater(b.t, value[float64](b, "app.diagram.scroller.scrollTop"), 150.0)
	step := b.step()
	b.run(chromedp.MouseClickXY(500, 500))
	require.NotEqual(b.t, step, b.step(), "a click selects")
}

// chooseRun: the reader can choose the other run.
func chooseRun(b *tab, _ *Page) {
	b.run(chromedp.Click(chromedp.CSS(`input[name=run][value="1"]`)))
	require.Equal(b.t, "Holds: every check passed.", value[string](b, `document.getElementById("headline").textContent`))
}

func TestBrowserLink(t *testing.T) {
	b := newTab(t)
	address := b.open(twoRuns(t))
	b.press("h", "+", "j", "j")
	b.do(`app.filter.hidden.add(5); app.filter.kinds.add("Probe"); app.query = "put"; app.refilter(); app.select(app.step)`)
	const view = `JSON.stringify([app.runIndex, app.step, Math.round(app.diagram.zoom), [...app.filter.hidden], [...app.filter.kinds], app.filter.beats, app.query, app.rows.steps.length])`
	before := value[string](b, view)
	require.Eventually(t, func() bool { return value[bool](b, "location.hash === app.written") }, 5*time.Second, 20*time.Millisecond)
	fragment := value[string](b, "location.hash")
	require.Equal(t, fragment, value[string](b, `document.getElementById("link").hash`))
	b.visit(address + fragment)
	require.Equal(t, before, value[string](b, view))
	b.visit(address + "#step=1e99&zoom=x&run=-4&hide=nobody&group=%00")
	require.NotZero(t, value[int](b, "app.rows.steps.length"), "a fragment of nonsense does no harm")
	b.clean()
}

func TestBrowserHostile(t *testing.T) {
	b := newTab(t)
	s := parse(t, hostile)
	b.open(NewPage("<svg onload=window.pwned=6>.trace", s, Record(s)))
	b.press("j", "n", "n", "h", kb.End)
	require.True(t, value[bool](b, "window.pwned === undefined"))
	require.Zero(t, value[int](b, `document.querySelectorAll("img, svg, b:not(.head b):not(#changed b)").length`))
	require.Contains(t, value[string](b, `document.getElementById("about").textContent`), "<img src=x")
	b.clean()
}

// contrasts is the least contrast of the texts' colours with the paper.
const contrasts = `(() => {
	const style = getComputedStyle(document.documentElement);
	const light = (name) => {
		const [r, g, b] = style.getPropertyValue(name).trim().slice(1).match(/../g).map((x) => parseInt(x, 16) / 255)
			.map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
	const texts = ["--ink", "--muted", "--accent", "--good", "--bad", "--warn"].map((c) => Math.min(ratio(c, "--paper"), ratio(c, "--panel")));
	const badges = [0, 1, 2, 3, 4, 5].map((i) => ratio("--on-epoch", "--epoch" + i));
	return Math.min(...texts, ...badges);
})()`

func TestBrowserLooks(t *testing.T) {
	b := newTab(t)
	b.open(twoRuns(t))
	for _, scheme := range []string{"light", "dark"} {
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		require.GreaterOrEqual(t, value[float64](b, contrasts), 4.5, "%s: the contrast of texts", scheme)
		for _, width := range []int64{390, 768, 1440} {
			call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 844, DeviceScaleFactor: 2, Mobile: width < 500})
			require.LessOrEqual(t, value[int](b, "document.documentElement.scrollWidth"), int(width), "%s at %d: the page is wider than the screen", scheme, width)
			require.Greater(t, value[int](b, `app.diagram.scroller.clientHeight`), 200, "%s at %d: the diagram", scheme, width)
		}
	}
	b.clean()
}

func TestBrowserNames(t *testing.T) {
	b := newTab(t)
	b.open(twoRuns(t))
	b.press("f", "?")
	nodes := call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	seen := map[string]int{}
	for _, n := range nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role := strings.Trim(string(n.Role.Value), `"`)
		switch role {
		case "button", "checkbox", "radio", "slider", "searchbox", "combobox", "link", "image", "toolbar", "radiogroup", "complementary":
			seen[role]++
			require.NotNil(t, n.Name, "a %s without a name", role)
			require.NotEmpty(t, strings.Trim(string(n.Name.Value), `" `), "a %s without a name", role)
		case "status", "heading":
			seen[role]++
		}
	}
	for _, role := range []string{"button", "checkbox", "radio", "slider", "searchbox", "combobox", "link", "image", "status", "heading"} {
		require.NotZero(t, seen[role], "no %s: %v", role, seen)
	}
	b.clean()
}

// scroll goes through the whole diagram, a step each frame. It returns the times between
// frames, and the times that drawing took, in milliseconds.
const scroll = `new Promise((done) => {
	const s = app.diagram.scroller, frames = [], count = 240, most = s.scrollHeight - s.clientHeight;
	let n = 0, before = performance.now();
	app.diagram.frames = [];
	const next = (now) => {
		frames.push(now - before);
		before = now;
		s.scrollTop = most * n / count;
		if (n++ < count) requestAnimationFrame(next);
		else done([frames.slice(2), app.diagram.frames]);
	};
	requestAnimationFrame(next);
})`

// TestBrowserLong measures. It asserts the best of some loads and the median of the
// frames, since others use the machine, too.
func TestBrowserLong(t *testing.T) {
	b := newTab(t)
	s := long(t, 1300)
	run := Record(s)
	require.Greater(t, len(run.Steps.Kind), 10_000, "steps, to be a long trace")
	p := NewPage("long.trace", s, run)
	address := b.open(p)
	best := 1e9
	for range 3 {
		b.visit(address + "#beats=1")
		best = min(best, value[float64](b, `Math.max(performance.getEntriesByName("drawn")[0].startTime, ...performance.getEntriesByName("first-contentful-paint").map((e) => e.startTime))`))
	}
	require.Greater(t, value[int](b, "app.rows.steps.length"), 10_000)
	times := value[[][]float64](b, scroll)
	frame, draw := spread(times[0]), spread(times[1])
	info, err := os.Stat(filepath.Join(b.dir, "page.html"))
	require.NoError(t, err)
	t.Logf("%d steps, %d messages, %d KB: drawn after %.0f ms; while scrolling a frame every %.1f ms (95%%: %.1f), of which drawing %.1f ms (95%%: %.1f)",
		len(run.Steps.Kind), len(run.Messages.From), info.Size()>>10, best, frame[0], frame[1], draw[0], draw[1])
	require.Less(t, best, 1000.0, "milliseconds until the page is drawn")
	require.Less(t, draw[0], 1000.0/60, "milliseconds to draw a frame")
	b.clean()
}

// spread returns the median and the 95th percentile.
func spread(times []float64) [2]float64 {
	slices.Sort(times)
	return [2]float64{times[len(times)/2], times[len(times)*95/100]}
}
