package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Store is what is loaded. An error of Get says too that the key was absent: Fill has
// written all keys.
type Store interface {
	Put(ctx context.Context, key string, value []byte) error
	Get(ctx context.Context, key string) error
}

// Distribution says how often each key is used.
type Distribution string

// The distributions. Zipf uses the k-th key in proportion to 1/(k+1)^ZipfExponent.
const (
	Uniform Distribution = "uniform"
	Zipf    Distribution = "zipf"
)

// ZipfExponent is how uneven Zipf is: of a thousand keys the first gets a fifth of all
// operations, nearly.
const ZipfExponent = 1.1

// WaitingMax is how many operations of an open loop may wait by default, 8 bytes each.
const WaitingMax = 1 << 16

// KeyDigits are the digits of a key after its prefix.
const KeyDigits = 10

// Options say what the load is. Rate, Part, Parts and Progress may be left out, and Waiting
// without a Rate.
type Options struct {
	Clients      int     // operations under way at a time, at most; 1 or more
	Reads        float64 // the share of gets, 0 to 1
	ValueSize    int     // bytes
	Rate         int     // operations due in a second; 0 asks for a closed loop
	Keys         int     // how many keys there are; 1 or more
	Prefix       string  // of each key
	Distribution Distribution
	For          time.Duration // how long operations are begun, or due
	Timeout      time.Duration // of each operation
	Waiting      int           // operations of an open loop that wait, at most
	Seed         uint64        // of the choice of operations and keys

	// Part and Parts split the filling among several processes: this one writes every
	// Parts-th key, from number Part on.
	Part, Parts int

	// Progress is called now and then, by one goroutine at a time.
	Progress func(Progress)

	// Class names the class of an error, by which it is counted.
	Class func(error) string
}

// Progress tells how far a Fill or a Run is.
type Progress struct {
	Filled     int64         `json:"filled"`      // keys that this process has written in its Fill
	Operations int64         `json:"operations"`  // that succeeded in its Run
	Errors     int64         `json:"errors"`      // operations of its Run that failed
	NotStarted int64         `json:"not_started"` // see Recording
	Elapsed    time.Duration `json:"elapsed"`     // in its Run; 0 before that
}

// progressInterval is the time between two calls of Progress.
const progressInterval = 100 * time.Millisecond

// Load is a load on a store.
type Load struct {
	opt    Options
	store  func(client int) Store
	keys   []string
	value  []byte
	record *recorder

	filled, done, failed, notStarted, unfinished atomic.Int64
}

// New prepares a load. store returns the store of each client, from 0 to Clients-1; it may
// be the same one for all.
func New(opt Options, store func(client int) Store) *Load {
	l := &Load{opt: opt, store: store, keys: make([]string, opt.Keys), value: make([]byte, opt.ValueSize), record: newRecorder(&opt)}
	for i := range l.keys {
		l.keys[i] = fmt.Sprintf("%s%0*d", opt.Prefix, KeyDigits, i)
	}
	random := rand.New(rand.NewPCG(opt.Seed, 0))
	for i := range l.value { // not all alike, lest a store compress them
		l.value[i] = byte(random.Uint32())
	}
	return l
}

// Fill writes each key of its part once, so that gets find them. Each client writes at
// least one key, so that connections are open before anything is measured. It ends at the
// first error.
func (l *Load) Fill(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer l.report(func() time.Duration { return 0 })()
	writes := l.fillWrites()
	var all sync.WaitGroup
	for client := range l.opt.Clients {
		all.Go(func() {
			for i := client; i < writes && ctx.Err() == nil; i += l.opt.Clients {
				key := l.keys[(l.opt.Part+i*max(l.opt.Parts, 1))%l.opt.Keys]
				if err := l.within(ctx, func(ctx context.Context) error { return l.store(client).Put(ctx, key, l.value) }); err != nil {
					fail(err)
					return
				}
				l.filled.Add(1)
			}
		})
	}
	all.Wait()
	if l.filled.Load() == int64(writes) {
		return nil // whoever ends it now is too late
	}
	return context.Cause(ctx)
}

// fillWrites is how many writes Fill does.
func (l *Load) fillWrites() int {
	parts := max(l.opt.Parts, 1)
	keys := (l.opt.Keys - l.opt.Part + parts - 1) / parts
	return max(keys, l.opt.Clients)
}

// within does an operation within its time-out.
func (l *Load) within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.opt.Timeout)
	defer cancel()
	return do(ctx)
}

// Run puts the store under load and returns what it measured. When the time is over, the
// operations under way are waited for, and of an open loop those that were due, but no
// longer than the time-out. When the context ends, Run ends at once.
func (l *Load) Run(ctx context.Context) *Recording {
	begin := time.Now()
	end := l.report(func() time.Duration { return time.Since(begin) })
	if l.opt.Rate > 0 {
		l.open(ctx, begin)
	} else {
		l.closed(ctx, begin)
	}
	elapsed := time.Since(begin)
	end()
	r := l.record.recording()
	r.Elapsed, r.Interrupted = elapsed, ctx.Err() != nil
	r.NotStarted, r.Unfinished = l.notStarted.Load(), l.unfinished.Load()
	return r
}

func (l *Load) closed(ctx context.Context, begin time.Time) {
	var all sync.WaitGroup
	for i := range l.opt.Clients {
		all.Go(func() {
			c := l.client(i)
			for now := time.Now(); ctx.Err() == nil && now.Sub(begin) < l.opt.For; {
				now = c.do(ctx, begin, now)
			}
		})
	}
	all.Wait()
}

// open has the operations done that are due. Those for which there is no client wait, up to
// a bound: without one, a store that stalls for long would take all memory.
func (l *Load) open(ctx context.Context, begin time.Time) {
	due := make(chan time.Duration, l.opt.Waiting) // after begin
	var all sync.WaitGroup
	for i := range l.opt.Clients {
		all.Go(func() {
			c := l.client(i)
			for at := range due {
				if ctx.Err() != nil || time.Since(begin) > l.opt.For+l.opt.Timeout {
					l.notStarted.Add(1)
					continue
				}
				c.do(ctx, begin, begin.Add(at))
			}
		})
	}
	for i := 0; ; i++ {
		at := time.Duration(float64(i) * float64(time.Second) / float64(l.opt.Rate))
		if at >= l.opt.For || !sleep(ctx, at-time.Since(begin)) {
			break
		}
		select {
		case due <- at:
		default:
			l.notStarted.Add(1)
		}
	}
	close(due)
	all.Wait()
}

// sleep tells whether the context goes on after that time.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// report calls Progress until the function is called that it returns.
func (l *Load) report(elapsed func() time.Duration) (end func()) {
	if l.opt.Progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		for sleep(ctx, progressInterval) {
			l.opt.Progress(Progress{l.filled.Load(), l.done.Load(), l.failed.Load(), l.notStarted.Load(), elapsed()})
		}
	})
	return func() {
		cancel()
		ended.Wait()
	}
}

// client is one of those that do operations, one after the other.
type client struct {
	*Load
	store  Store
	shard  *shard
	random *rand.Rand
	zipf   *rand.Zipf // nil when all keys are used alike
}

func (l *Load) client(i int) *client {
	c := &client{Load: l, store: l.store(i), shard: l.record.shard(i), random: rand.New(rand.NewPCG(l.opt.Seed, uint64(i)+1))}
	if l.opt.Distribution == Zipf {
		c.zipf = rand.NewZipf(c.random, ZipfExponent, 1, uint64(l.opt.Keys-1))
	}
	return c
}

func (c *client) key() string {
	if c.zipf != nil {
		return c.keys[c.zipf.Uint64()]
	}
	return c.keys[c.random.IntN(len(c.keys))]
}

// do does an operation, records what came of it, and returns when it ended. Its latency
// counts from the moment at which it was due.
func (c *client) do(ctx context.Context, begin, due time.Time) time.Time {
	get, key := c.random.Float64() < c.opt.Reads, c.key()
	err := c.within(ctx, func(ctx context.Context) error {
		if get {
			return c.store.Get(ctx, key)
		}
		return c.store.Put(ctx, key, c.value)
	})
	now := time.Now()
	switch {
	case err == nil:
		c.done.Add(1)
		c.shard.success(get, now.Sub(due), now.Sub(begin))
	case ctx.Err() != nil: // whoever interrupted it is no error of the store
		c.unfinished.Add(1)
	default:
		c.failed.Add(1)
		c.shard.failure(get, c.opt.Class(err), err)
	}
	return now
}
