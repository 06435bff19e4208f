package load

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests run on synctest's clock: an operation takes exactly as long as it is told to.

// fake is a store in memory that takes a millisecond for each operation, and in which none
// ends while it stalls.
type fake struct {
	stall, resume time.Duration // after begin
	begin         time.Time
	err           error // of each operation, once it is set

	mu     sync.Mutex
	puts   map[string]int
	absent atomic.Int64 // gets of a key that was never put
	gets   atomic.Int64
}

const took = time.Millisecond

func newFake() *fake {
	return &fake{begin: time.Now(), puts: map[string]int{}}
}

func (f *fake) wait(ctx context.Context) error {
	end := time.Since(f.begin) + took
	if end > f.stall && end < f.resume {
		end = f.resume
	}
	if !sleep(ctx, end-time.Since(f.begin)) {
		return context.Cause(ctx)
	}
	return f.err
}

func (f *fake) Put(ctx context.Context, key string, _ []byte) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puts[key]++
	return nil
}

func (f *fake) Get(ctx context.Context, key string) error {
	if err := f.wait(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.puts[key] == 0 {
		f.absent.Add(1)
	}
	f.gets.Add(1)
	return nil
}

func options() Options {
	return Options{
		Clients: 4, Reads: 0.5, ValueSize: 10, Keys: 100, Prefix: "p/", Distribution: Uniform, For: 10 * time.Second,
		Timeout: 5 * time.Second, Waiting: WaitingMax, Seed: 1, Class: func(error) string { return "class" },
	}
}

// bubble runs a load on a fake store: the filling, and then what is to be measured.
func bubble(t *testing.T, opt Options, prepare func(*fake)) (r *Recording, f *fake) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f = newFake()
		l := New(opt, func(int) Store { return f })
		require.NoError(t, l.Fill(t.Context()))
		f.begin = time.Now()
		prepare(f)
		r = l.Run(t.Context())
	})
	return r, f
}

func counts(t *testing.T, r *Recording) (puts, gets Latencies) {
	t.Helper()
	puts, err := r.Puts.Latencies()
	require.NoError(t, err)
	gets, err = r.Gets.Latencies()
	require.NoError(t, err)
	return puts, gets
}

func sum(series []int64) (all int64) {
	for _, n := range series {
		all += n
	}
	return all
}

func nothing(*fake) {}

func TestAClosedLoopKeepsEachClientBusy(t *testing.T) {
	for _, d := range []Distribution{Uniform, Zipf} {
		t.Run(string(d), func(t *testing.T) {
			opt := options()
			opt.Distribution = d
			r, f := bubble(t, opt, nothing)
			puts, gets := counts(t, r)
			require.EqualValues(t, 4*10_000, puts.Count()+gets.Count(), "four clients, a millisecond each")
			require.InDelta(t, 20_000, gets.Count(), 1000, "half of them")
			require.Equal(t, f.gets.Load(), gets.Count())
			require.Zero(t, f.absent.Load(), "each key was written before")
			for _, l := range []Latencies{puts, gets} {
				require.InDelta(t, took, l.Percentile(50), float64(took)/1000)
				require.InDelta(t, took, l.Percentile(100), float64(took)/1000)
				require.InDelta(t, took, l.Mean(), float64(took)/1000)
			}
			require.Equal(t, opt.For, r.Elapsed)
			require.Len(t, r.Puts.Series, Points)
			// What ends with the last moment is not in the series.
			require.InDelta(t, 4*10_000, sum(r.Puts.Series)+sum(r.Gets.Series), 4)
			require.False(t, r.Interrupted)
			require.Zero(t, r.NotStarted+r.Unfinished)
		})
	}
}

func TestZipfPrefersTheFirstKeys(t *testing.T) {
	opt := options()
	opt.Reads, opt.Distribution, opt.Keys = 0, Zipf, 1000
	_, f := bubble(t, opt, nothing)
	require.InDelta(t, 40_000*0.18, f.puts["p/0000000000"], 400)
	require.Greater(t, f.puts["p/0000000001"], f.puts["p/0000000009"])
	require.NotZero(t, f.puts["p/0000000999"])

	opt.Keys = 1
	_, f = bubble(t, opt, nothing)
	require.Equal(t, map[string]int{"p/0000000000": 4 + 40_000}, f.puts)
}

func TestOnlyGetsOrOnlyPuts(t *testing.T) {
	for _, reads := range []float64{0, 1} {
		opt := options()
		opt.Reads, opt.For = reads, time.Second
		r, _ := bubble(t, opt, nothing)
		puts, gets := counts(t, r)
		require.EqualValues(t, 4000*reads, gets.Count())
		require.EqualValues(t, 4000*(1-reads), puts.Count())
		none := gets
		if reads == 1 {
			none = puts
		}
		require.Zero(t, none.Percentile(99), "of no operation")
		require.Zero(t, none.Mean())
	}
}

// The rule of an open loop: a second in which the store stalls delays all operations of that
// second. A closed loop sees four slow ones.
func TestAStallDelaysAllThatWasDueMeanwhile(t *testing.T) {
	stall := func(f *fake) { f.stall, f.resume = 2*time.Second, 3*time.Second }
	opt := options()
	opt.Reads = 0
	r, _ := bubble(t, opt, stall)
	closed, _ := counts(t, r)
	require.InDelta(t, took, closed.Percentile(99.9), float64(took)/1000)
	require.InDelta(t, time.Second, closed.Percentile(100), float64(2*took))

	opt.Rate = 1000
	r, _ = bubble(t, opt, stall)
	open, _ := counts(t, r)
	require.EqualValues(t, 10_000, open.Count(), "the rate is kept")
	require.InDelta(t, took, open.Percentile(50), float64(took)/1000)
	// 1,000 of the 10,000 waited: half of them for half a second or longer, as it takes
	// a third of a second more to catch up.
	require.Greater(t, open.Percentile(95), 500*time.Millisecond)
	require.InDelta(t, time.Second, open.Percentile(99.99), float64(10*took))
	require.Zero(t, sum(r.Puts.Series[20:30])-r.Puts.Series[20], "nothing ended while it stalled")
	require.Equal(t, opt.For, r.Elapsed)
}

// A store that is too slow for the rate must neither take all memory nor look fast.
func TestWhatIsDueAndNotStartedIsCounted(t *testing.T) {
	for _, c := range []struct {
		name              string
		waiting           int
		timeout           time.Duration
		started, slowness int64
	}{
		// Four clients do 4,000 a second, 40,000 in the ten seconds.
		{"too many wait", 1000, 5 * time.Second, 41_000, 240},
		{"the time is over", WaitingMax, time.Second, 44_000, 900},
		{"all of it can wait", WaitingMax * 2, time.Hour, 100_000, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := options()
			opt.Rate, opt.Waiting, opt.Timeout = 10_000, c.waiting, c.timeout
			r, _ := bubble(t, opt, nothing)
			puts, gets := counts(t, r)
			require.EqualValues(t, 100_000, puts.Count()+gets.Count()+r.NotStarted, "each that was due is somewhere")
			require.InDelta(t, c.started, puts.Count()+gets.Count(), 100)
			require.Greater(t, puts.Percentile(99), time.Duration(c.slowness)*time.Millisecond, "as long as they waited")
		})
	}
}

func TestErrorsAreCountedByClassAndNotAsLatencies(t *testing.T) {
	opt := options()
	opt.For = time.Second
	r, _ := bubble(t, opt, func(f *fake) { f.err = errors.New("out of order") })
	puts, gets := counts(t, r)
	require.Zero(t, puts.Count()+gets.Count())
	require.Len(t, r.Puts.Errors, 1)
	require.Len(t, r.Gets.Errors, 1)
	require.EqualValues(t, 4000, r.Puts.Errors[0].Count+r.Gets.Errors[0].Count)
	require.Equal(t, Errors{"class", r.Puts.Errors[0].Count, "out of order"}, r.Puts.Errors[0])
}

func TestAStoreThatNeverAnswersEndsTheLoadAllTheSame(t *testing.T) {
	for _, rate := range []int{0, 1000} {
		opt := options()
		opt.Rate = rate
		r, _ := bubble(t, opt, func(f *fake) { f.resume = time.Hour })
		puts, gets := counts(t, r)
		require.Zero(t, puts.Count()+gets.Count())
		failed := r.Puts.Errors[0].Count + r.Gets.Errors[0].Count
		if rate == 0 {
			require.EqualValues(t, 4*2, failed, "each client twice in ten seconds, with time-outs of five")
		} else {
			require.EqualValues(t, 10_000, failed+r.NotStarted)
		}
		require.LessOrEqual(t, r.Elapsed, opt.For+2*opt.Timeout)
		require.Equal(t, context.DeadlineExceeded.Error(), r.Puts.Errors[0].Example)
	}
}

func TestAnInterruptEndsTheLoadAtOnce(t *testing.T) {
	for _, rate := range []int{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			opt := options()
			opt.Rate = rate
			f := newFake()
			l := New(opt, func(int) Store { return f })
			require.NoError(t, l.Fill(t.Context()))
			f.begin, f.stall, f.resume = time.Now(), time.Second, time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			r := l.Run(ctx)
			require.True(t, r.Interrupted)
			require.Equal(t, 3*time.Second, r.Elapsed)
			require.EqualValues(t, 4, r.Unfinished, "the operations under way are no errors")
			require.Empty(t, r.Puts.Errors)
			puts, gets := counts(t, r)
			require.Positive(t, puts.Count()+gets.Count(), "what was measured before counts")
		})
	}
}

func TestFill(t *testing.T) {
	for _, c := range []struct{ clients, keys, parts int }{{1, 7, 1}, {4, 100, 1}, {8, 3, 1}, {2, 10, 3}, {5, 4, 4}, {4, 2, 3}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			writes := 0
			for part := range c.parts {
				opt := options()
				opt.Clients, opt.Keys, opt.Part, opt.Parts = c.clients, c.keys, part, c.parts
				l := New(opt, func(int) Store { return f })
				require.NoError(t, l.Fill(t.Context()))
				writes += l.fillWrites()
			}
			require.Len(t, f.puts, c.keys, "all parts together write every key")
			all := 0
			for _, n := range f.puts {
				all += n
			}
			require.Equal(t, writes, all, "once, or as often as each client writes one")
		})
	}
}

func TestFillEndsAtTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.err = errors.New("out of order")
		l := New(options(), func(int) Store { return f })
		require.ErrorIs(t, l.Fill(t.Context()), f.err)
		f.err = nil
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, l.Fill(ctx), context.Canceled)
	})
}

func TestProgressTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Progress
		opt := options()
		opt.For, opt.Keys = time.Second, 1000
		opt.Progress = func(p Progress) { seen = append(seen, p) }
		f := newFake()
		l := New(opt, func(int) Store { return f })
		require.NoError(t, l.Fill(t.Context()))
		require.Len(t, seen, 2, "a quarter of a second, ten times a second")
		require.InDelta(t, 400, seen[0].Filled, 4)
		l.Run(t.Context())
		last := seen[len(seen)-1]
		require.EqualValues(t, 1000, last.Filled)
		require.InDelta(t, 4*last.Elapsed.Milliseconds(), last.Operations, 8)
		require.GreaterOrEqual(t, last.Elapsed, 900*time.Millisecond)
	})
}

func TestMergedRecordingsAreOneLoad(t *testing.T) {
	opt := options()
	opt.For = time.Second
	one, _ := bubble(t, opt, nothing)
	failing, _ := bubble(t, opt, func(f *fake) { f.err = errors.New("out of order") })
	failing.NotStarted, failing.Unfinished, failing.Interrupted, failing.Elapsed = 3, 5, true, time.Minute
	both, err := Merge([]*Recording{one, failing, one})
	require.NoError(t, err)
	puts, gets := counts(t, both)
	before, _ := counts(t, one)
	require.EqualValues(t, 8000, puts.Count()+gets.Count())
	require.Equal(t, before.Percentile(99), puts.Percentile(99))
	require.Equal(t, 2*sum(one.Puts.Series), sum(both.Puts.Series))
	require.Equal(t, failing.Puts.Errors, both.Puts.Errors)
	require.EqualValues(t, 3, both.NotStarted)
	require.EqualValues(t, 5, both.Unfinished)
	require.True(t, both.Interrupted)
	require.Equal(t, time.Minute, both.Elapsed)

	_, err = Merge([]*Recording{one, {Puts: Operations{Latency: "nonsense"}}})
	require.ErrorContains(t, err, "cannot be read")
}

// A plot is looked at offline, and a browser is strict about SVG.
func TestAPlotIsWellFormedAndNeedsNothingElse(t *testing.T) {
	opt := options()
	opt.For = time.Second
	full, _ := bubble(t, opt, nothing)
	opt.Reads = 0
	onlyPuts, _ := bubble(t, opt, nothing)
	none, _ := bubble(t, opt, func(f *fake) { f.err = errors.New("out of order") })
	for _, c := range []struct {
		name  string
		r     *Recording
		lines int // rates, and percentiles of what succeeded
	}{{"puts and gets", full, 4}, {"puts only", onlyPuts, 3}, {"nothing succeeded", none, 2}} {
		for name, write := range map[string]func(io.Writer, string, string, *Recording) error{"svg": WriteSVG, "html": WriteHTML} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				var b bytes.Buffer
				require.NoError(t, write(&b, `<script>"&`+"\x00", "a < b", c.r))
				text := b.String()
				require.Equal(t, c.lines, strings.Count(text, "<polyline"))
				require.NotContains(t, text, "NaN")
				require.NotContains(t, text, "Inf")
				require.NotContains(t, text, "<script")
				require.Equal(t, 1, strings.Count(text, "http"), "only the name of SVG's elements")
				d := xml.NewDecoder(strings.NewReader(text))
				for {
					_, err := d.Token()
					if err == io.EOF {
						break
					}
					require.NoError(t, err)
				}
			})
		}
	}
}
