package admin

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browserEnv makes the test in a browser run, as in package sim/view; .ci/browser sets it.
const browserEnv = "GTSTORE_BROWSER"

// tab is a page in a real browser, with what it asked for and complained of.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	errors   []string
}

func newTab(t *testing.T) *tab {
	if os.Getenv(browserEnv) == "" {
		t.Skipf("it needs a browser; run: .ci/browser")
	}
	browser, err := exec.LookPath(os.Getenv(browserEnv))
	if err != nil {
		browser, err = exec.LookPath("chromium")
		require.NoError(t, err, "%s must name a browser, or chromium be installed", browserEnv)
	}
	b := &tab{t: t}
	ctx, stop := chromedp.NewContext(t.Context(), chromedp.WithListener(b.heard), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1280, 900)))
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
	case *log.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text)
	}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, actions...))
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := cdp.Call(b.ctx, chromedp.FromContext(b.ctx).Target, command, params)
	require.NoError(b.t, err)
	return r
}

func value[T any](b *tab, script string) T {
	b.t.Helper()
	x, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, script)
	return x
}

// awaits waits until the page says something.
func (b *tab) awaits(text string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return strings.Contains(value[string](b, "document.body.innerText"), text) }, time.Minute, 100*time.Millisecond,
		"the page should say %q", text)
}

// clean requires that the page asked for nothing but itself, and complained of nothing.
func (b *tab) clean(address string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.errors)
	for _, r := range b.requests {
		require.True(b.t, r == address || r == "about:blank" || strings.HasPrefix(r, "data:"), "the page asked for %s", r)
	}
}

// A person who has the page open sees a death, and the return to strength, without touching it;
// then that the manager is gone.
func TestBrowserStatusz(t *testing.T) {
	b := newTab(t)
	r := startRig(t, 1, 3)
	_, err := r.client.Put(t.Context(), "key", []byte("value"))
	require.NoError(t, err)
	address := "http://" + r.manager.Address() + "/statusz"
	b.run(chromedp.Navigate(address))
	b.awaits("Ready.")
	b.awaits("node1 > node2")
	require.Equal(t, "manager – GTStore", value[string](b, "document.title"))
	require.Equal(t, []string{"Groups", "Joins", "Nodes", "Recent events"}, value[[]string](b, `[...document.querySelectorAll("h2")].map(h => h.innerText)`))
	require.Equal(t, "3", value[string](b, `String(document.querySelectorAll("table")[1].tBodies[0].rows.length)`))
	require.True(t, value[bool](b, "document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off at the side")

	r.nodes[0].s.Close()
	b.awaits("node2 > node3")
	b.awaits("a node was removed from its chain: ended")
	require.Equal(t, "bad", value[string](b, `[...document.querySelectorAll("td")].find(c => c.innerText.startsWith("silent")).className`))
	b.clean(address)

	b.run(chromedp.Navigate("http://" + r.nodes[1].Address() + "/statusz"))
	b.awaits("primary")
	b.awaits("Followers")

	b.run(chromedp.Navigate(address))
	b.awaits("node2 > node3")
	r.manager.Close()
	b.awaits("No answer for")
	b.awaits("node2 > node3")
}
