package netrpc

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// written is a log whose clock a test moves.
type written struct {
	bytes.Buffer
	limiter *limiter
	now     time.Time
}

func newWritten() *written {
	w := &written{now: time.Unix(1_000_000, 0)}
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	w.limiter = newLimiter(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: noTime}))
	return w
}

func (w *written) log(t *testing.T, level slog.Level, text string, attrs ...any) {
	t.Helper()
	r := slog.NewRecord(w.now, level, text, 0)
	r.Add(attrs...)
	require.NoError(t, w.limiter.Handle(t.Context(), r))
}

// lines returns what was written since the last call.
func (w *written) lines() []string {
	text := strings.TrimSuffix(w.String(), "\n")
	w.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// A group that is frozen says the same six times a second, for as long as that takes.
func TestARepeatedLineIsSaidOnceAndThenCounted(t *testing.T) {
	w := newWritten()
	for range 180 * 6 {
		w.log(t, slog.LevelWarn, "a node does not answer", "group", 1, "epoch", 2, "seq", 3)
		w.now = w.now.Add(time.Second / 6)
	}
	lines := w.lines()
	require.Equal(t, "level=WARN msg=\"a node does not answer\" group=1 epoch=2 seq=3", lines[0], "at once")
	require.Regexp(t, `group=1 epoch=2 seq=3 repeated=6\d within=10s$`, lines[1])
	require.Regexp(t, `repeated=1\d\d within=2\ds$`, lines[2], "ever more rarely")
	require.Len(t, lines, 5)

	w.log(t, slog.LevelWarn, "a node does not answer", "group", 1, "epoch", 3)
	require.Len(t, w.lines(), 1, "another epoch is news")
	w.now = w.now.Add(time.Hour)
	w.limiter.state.tell(w.now) // as the timer does
	require.Len(t, w.lines(), 1, "the last repetitions are told, too, though nothing else is logged")
	w.now = w.now.Add(time.Hour)
	w.log(t, slog.LevelWarn, "a node does not answer", "group", 1, "epoch", 2)
	require.Equal(t, []string{"level=WARN msg=\"a node does not answer\" group=1 epoch=2"}, w.lines(), "it is forgotten")
}

// What only strangers cause, each line another one, is bounded in rate and in memory.
func TestLinesAreBoundedInRate(t *testing.T) {
	w := newWritten()
	const seconds, perSecond = 100, 1000
	for i := range seconds * perSecond {
		w.log(t, slog.LevelInfo, "refused a message", "other", i)
		w.now = w.now.Add(time.Second / perSecond)
	}
	lines := w.lines()
	require.Less(t, len(lines), burstMax+(seconds+1)*linesRate+1)
	require.Greater(t, len(lines), burstMax)
	require.LessOrEqual(t, len(w.limiter.state.said), linesMax)
	told := 0
	for _, line := range lines {
		var n int
		if _, text, ok := strings.Cut(line, "too many at once\" lines="); ok {
			_, err := fmt.Sscan(text, &n)
			require.NoError(t, err)
		}
		told += n
	}
	require.Positive(t, told, "that lines were left out is said")
	w.log(t, slog.LevelError, "NO COPY OF A GROUP IS LEFT")
	require.Len(t, w.lines(), 1, "an error is never left out")
}

// The events of a core node go to the log, each kind that is worth it.
func TestEventsAreLogged(t *testing.T) {
	w := newWritten()
	l := &eventLog{logger(slog.New(w.limiter.to))}
	for range 1000 {
		l.events([]core.Event{{Kind: core.EventSuspected, Group: 7, Epoch: 3, Node: 9}, {Kind: core.EventCommitted, Group: 7}, {Kind: core.EventRefused, Node: 8}}, &host{})
	}
	require.Equal(t, []string{
		`level=WARN msg="a node does not answer; told the manager" group=7 epoch=3 other=0000000000000009`,
		`level=INFO msg="refused a message for another node or cluster" other=0000000000000008`,
	}, w.lines())
}

// Who goes because somebody wants it to is no reason to look; who goes otherwise is.
func TestOnlyAnUnwantedRemovalIsAWarning(t *testing.T) {
	for cause := core.Cause(1); int(cause) < core.CauseCount; cause++ {
		level, text := Said(&core.Event{Kind: core.EventEvicted, Cause: cause})
		require.NotEmpty(t, text)
		wanted := cause == core.CauseResigned || cause == core.CauseDrained
		require.Equal(t, wanted, level == slog.LevelInfo, cause)
	}
}
