package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// Points is how many intervals of the load are counted apart.
	Points = 100

	// unit is that of the latencies in a histogram.
	unit = time.Microsecond

	// digits are those of a latency that are kept: it is at most 0.1 % off.
	digits = 3

	// shardsMax bounds the memory for histograms, some 100 KiB each. Clients that share
	// a shard wait for one another for some ten nanoseconds.
	shardsMax = 8
)

// Recording is what was measured. As JSON it goes from one process to another.
type Recording struct {
	Elapsed     time.Duration `json:"elapsed"`     // from the begin to the end of the last operation
	Interval    time.Duration `json:"interval"`    // of the series
	Interrupted bool          `json:"interrupted"` // ended before its time
	Puts        Operations    `json:"puts"`
	Gets        Operations    `json:"gets"`

	// NotStarted are operations of an open loop that were due and not begun: too many
	// were waiting, or still waiting when the time-out had passed after the load's end.
	NotStarted int64 `json:"not_started"`

	// Unfinished are operations that were under way when the load was interrupted.
	Unfinished int64 `json:"unfinished"`
}

// Operations are those of one kind.
type Operations struct {
	// Latency is that of the operations that succeeded, in microseconds, as a histogram
	// in HdrHistogram's format V2, compressed and in base64.
	Latency string `json:"latency"`

	// Series counts the operations that succeeded, by the interval in which they ended.
	// What ended after the time for which operations were begun is not in it.
	Series []int64 `json:"series"`

	Errors []Errors `json:"errors"` // by class, in alphabetical order
}

// Errors are those of one class.
type Errors struct {
	Class   string `json:"class"`
	Count   int64  `json:"count"`
	Example string `json:"example"` // the text of one of them
}

// recorder takes down what came of operations.
type recorder struct {
	interval time.Duration
	shards   []*shard
}

// shard is the part of a recorder that some of the clients use.
type shard struct {
	interval time.Duration
	mu       sync.Mutex
	kinds    [2]tally // puts, gets
}

// tally is of one kind of operations.
type tally struct {
	latency *hdr.Histogram
	series  []int64
	errors  map[string]Errors
}

func newTally(longest time.Duration) tally {
	return tally{hdr.New(1, max(2, int64(longest/unit)), digits), make([]int64, Points), make(map[string]Errors)}
}

func newRecorder(opt *Options) *recorder {
	r := &recorder{interval: (opt.For + Points - 1) / Points, shards: make([]*shard, min(opt.Clients, shardsMax))}
	// An operation that is due at the start may wait until the load has ended and the
	// time-out has passed, and then take that long. Its client may be late by a little.
	longest := opt.For + 2*opt.Timeout + time.Minute
	for i := range r.shards {
		r.shards[i] = &shard{interval: r.interval, kinds: [2]tally{newTally(longest), newTally(longest)}}
	}
	return r
}

func (r *recorder) shard(client int) *shard { return r.shards[client%len(r.shards)] }

func (s *shard) tally(get bool) *tally {
	if get {
		return &s.kinds[1]
	}
	return &s.kinds[0]
}

// success records an operation that took so long and ended at that time of the load.
func (s *shard) success(get bool, latency, at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tally(get)
	// A process that was stopped for long counts with the longest time that there is.
	_ = t.latency.RecordValue(min(int64(latency/unit), t.latency.HighestTrackableValue()))
	if i := int(at / s.interval); i < len(t.series) {
		t.series[i]++
	}
}

func (s *shard) failure(get bool, class string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally(get).add(Errors{class, 1, err.Error()})
}

func (t *tally) add(e Errors) {
	if before, ok := t.errors[e.Class]; ok {
		e.Count, e.Example = e.Count+before.Count, before.Example
	}
	t.errors[e.Class] = e
}

// merge adds what another one has counted.
func (t *tally) merge(other tally) error {
	if dropped := t.latency.Merge(other.latency); dropped > 0 {
		return fmt.Errorf("%d latencies do not fit into the histogram: they are of another load", dropped)
	}
	for i := range min(len(t.series), len(other.series)) {
		t.series[i] += other.series[i]
	}
	for _, e := range other.errors {
		t.add(e)
	}
	return nil
}

// operations is what a tally comes to.
func (t *tally) operations() Operations {
	text, err := t.latency.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(err) // only for a version that it does not know
	}
	errors := slices.SortedFunc(maps.Values(t.errors), func(a, b Errors) int { return cmp.Compare(a.Class, b.Class) })
	return Operations{string(text), t.series, errors}
}

// tally is what operations came from.
func (o *Operations) tally() (tally, error) {
	latency, err := hdr.Decode([]byte(o.Latency))
	if err != nil {
		return tally{}, fmt.Errorf("a histogram that cannot be read: %w", err)
	}
	t := tally{latency, slices.Clone(o.Series), make(map[string]Errors)}
	for _, e := range o.Errors {
		t.add(e)
	}
	return t, nil
}

func (r *recorder) recording() *Recording {
	all := r.shards[0]
	for _, s := range r.shards[1:] {
		for kind := range s.kinds {
			if err := all.kinds[kind].merge(s.kinds[kind]); err != nil {
				panic(err) // all shards are of the same size
			}
		}
	}
	return &Recording{Interval: r.interval, Puts: all.kinds[0].operations(), Gets: all.kinds[1].operations()}
}

// Merge makes one recording of those of several processes under one load. There is at least
// one. An error says that they do not belong together, or cannot be read.
func Merge(recordings []*Recording) (*Recording, error) {
	m := *recordings[0]
	var err error
	for _, r := range recordings[1:] {
		m.Elapsed = max(m.Elapsed, r.Elapsed)
		m.Interrupted = m.Interrupted || r.Interrupted
		m.NotStarted += r.NotStarted
		m.Unfinished += r.Unfinished
		if m.Puts, err = mergeOperations(&m.Puts, &r.Puts); err != nil {
			return nil, err
		}
		if m.Gets, err = mergeOperations(&m.Gets, &r.Gets); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

func mergeOperations(a, b *Operations) (Operations, error) {
	sum, err := a.tally()
	if err != nil {
		return Operations{}, err
	}
	other, err := b.tally()
	if err != nil {
		return Operations{}, err
	}
	err = sum.merge(other)
	return sum.operations(), err
}

// Latencies are those of the operations of one kind that succeeded.
type Latencies struct{ histogram *hdr.Histogram }

// Latencies reads the histogram. The error says that it cannot be read.
func (o *Operations) Latencies() (Latencies, error) {
	t, err := o.tally()
	return Latencies{t.latency}, err
}

// Count is how many operations succeeded.
func (l Latencies) Count() int64 { return l.histogram.TotalCount() }

// Percentile is the latency within which that many percent of the operations ended; 100
// stands for all. It is 0 if there was no operation.
func (l Latencies) Percentile(percent float64) time.Duration {
	if l.Count() == 0 {
		return 0
	}
	return time.Duration(l.histogram.ValueAtPercentile(percent)) * unit
}

// Mean is the average latency.
func (l Latencies) Mean() time.Duration {
	if l.Count() == 0 {
		return 0
	}
	return time.Duration(l.histogram.Mean() * float64(unit))
}
