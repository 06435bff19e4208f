package admin

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc"
)

// The operator's guide lists every metric, as the node describes it, and every event that is
// logged as more than a part of the story.
func TestTheGuideIsComplete(t *testing.T) {
	b, err := os.ReadFile("../../OPERATING.md")
	require.NoError(t, err)
	guide := string(b)

	r := startRig(t, 1, 2)
	_, err = r.client.Put(t.Context(), "key", []byte("value"))
	require.NoError(t, err)
	r.eventually(func() bool { return r.manager.sample("gtstore_cluster_keys") == 1 }, "the manager knows of the key")
	r.manager.observer.phases.WithLabelValues(phaseInquiry)
	seen := map[string]bool{"gtstore_syncs_under_way": true, "gtstore_sync_duration_seconds": true} // of durable mode
	for _, w := range append(r.nodes, r.manager) {
		all, err := w.scrape()
		require.NoError(t, err)
		for name, f := range all {
			if strings.HasPrefix(name, "gtstore_") {
				seen[name] = true
				row := fmt.Sprintf("| `%s` | %s | ", name, strings.ToLower(f.GetType().String()))
				var labels []string
				for _, l := range f.GetMetric()[0].GetLabel() {
					labels = append(labels, l.GetName())
				}
				require.Regexp(t, regexp.QuoteMeta(row)+"[a-z ]+ \\| "+strings.Join(labels, ", ")+" \\|", guide, "labels of %s", name)
				require.True(t, strings.Contains(guide, row) && strings.Contains(guide, f.GetHelp()), "the guide lacks %s%s", row, f.GetHelp())
			}
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(gtstore_[a-z_]+)` \\|").FindAllStringSubmatch(guide, -1) {
		require.True(t, seen[row[1]], "%s is in the guide, and there is no such metric", row[1])
	}
	for _, name := range regexp.MustCompile(`gtstore_[a-z_]+[a-z]`).FindAllString(guide, -1) {
		require.True(t, seen[strings.TrimSuffix(name, "_count")], "%s is in the guide, and there is no such metric", name)
	}

	for kind := core.EventKind(1); int(kind) < core.EventKindCount; kind++ {
		for _, certain := range []bool{true, false} {
			level, text := netrpc.Said(&core.Event{Kind: kind, Effect: certain})
			if level > 0 && text != "" {
				first := text[:len(text)-len(strings.TrimLeft(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz -"))]
				require.True(t, strings.Contains(guide, "`"+first), "%v: the guide lacks %q", kind, first)
			}
		}
	}
}
