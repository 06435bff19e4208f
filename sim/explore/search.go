package explore

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how to search. Zero values take the defaults that are named.
type Options struct {
	Workers   int   // goroutines; GOMAXPROCS by default
	MemoryMax int64 // bytes that the search and its model may hold; 1 GiB by default
	DepthMax  int   // steps; without a bound by default
	StatesMax int64 // the search ends with the level in which there are so many; no bound by default

	// State is the file in which a search that was interrupted goes on; none by default. Key
	// says what is searched: a file of another one is refused.
	State string
	Key   string
	Every time.Duration // how often the file is written; five minutes by default

	Progress func(Progress) // called about once a second
}

// Progress tells how far a search is.
type Progress struct {
	States    int64 // distinct ones
	Generated int64 // with those that were known already
	Depth     int   // of the level that is searched
	Frontier  int64 // states of that level that are left, and of the next one
	Memory    int64 // bytes
	Elapsed   time.Duration
}

// Result is what a search found.
type Result struct {
	States, Generated int64
	Passes            int // of which all is the last one's, but what was generated and the time
	Depth             int // steps to the states that are farthest away, of those that were reached
	Elapsed           time.Duration
	Memory            int64 // bytes held at the end

	Complete    bool   // every state that can be reached was
	Why         string // if not, why
	Interrupted bool
	Violation   *Violation

	// Miss bounds the chance that a state was taken for another one with the same print,
	// and so was not searched.
	Miss float64
}

const (
	memoryDefault = 1 << 30
	everyDefault  = 5 * time.Minute
	depthMost     = math.MaxUint16
)

// search is a search under way.
type search struct {
	options Options
	model   Model
	table   table

	mu    sync.Mutex
	level []*chunk // of the level that is searched, what is left
	next  []*chunk
	spare []*chunk

	depth     int // of level
	generated atomic.Int64
	left      atomic.Int64 // states of the level
	full      atomic.Bool  // the bound on memory was reached
	stop      atomic.Bool  // the workers are to hand back what they have
	first     *finding
	began     time.Time
	before    time.Duration // that earlier processes and passes took
	passes    int           // with this one
}

// Search visits every state that can be reached, level by level, so that the first
// violation is one that the fewest steps lead to. What it returns does not depend on the
// number of workers, unless a bound ends it. A Prover is searched until it is proven. An error
// is one of the state file.
func Search(ctx context.Context, model Model, o Options) (*Result, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.MemoryMax == 0 {
		o.MemoryMax = memoryDefault
	}
	if o.DepthMax == 0 {
		o.DepthMax = depthMost - 1
	}
	if o.Every == 0 {
		o.Every = everyDefault
	}
	s := &search{options: o, model: model, began: time.Now()}
	for {
		r, err := s.pass(ctx)
		if p, ok := model.(Prover); err != nil || r.Interrupted || !ok || p.Proven() {
			if r != nil {
				r.Elapsed = s.elapsed()
			}
			return r, err
		}
		s = &search{options: o, model: model, began: s.began, before: s.before, passes: r.Passes}
		s.generated.Store(r.Generated)
	}
}

// pass searches from where the state file is, or else from the beginning.
func (s *search) pass(ctx context.Context) (*Result, error) {
	s.bound()
	resumed, err := s.load()
	if err != nil {
		return nil, err
	}
	if !resumed {
		s.passes++
		s.start()
	}
	return s.run(ctx)
}

// start takes in the initial states.
func (s *search) start() {
	sink := &Sink{search: s, step: -1}
	s.model.Worker().Initial(sink)
	sink.flush()
	s.first = sink.first
	s.generated.Add(sink.generated)
	s.level, s.next = s.next, nil
}

// run searches level by level.
func (s *search) run(ctx context.Context) (*Result, error) {
	workers := make([]Worker, s.options.Workers)
	for i := range workers {
		workers[i] = s.model.Worker()
	}
	depth := s.depth
	for {
		if why, ended := s.ends(ctx); ended {
			r := s.result(depth, why)
			if r.Interrupted = why == interrupted; r.Interrupted {
				return r, s.save()
			}
			return r, s.forget()
		}
		if s.searchLevel(ctx, workers); len(s.next) > 0 {
			depth = s.depth + 1
		}
		switch {
		case len(s.level) == 0:
			s.depth++
			s.level, s.next = s.next, s.level
		case ctx.Err() == nil && !s.full.Load() && s.first == nil:
			if err := s.save(); err != nil {
				return nil, err
			}
		}
	}
}

const interrupted = "interrupted"

// ends tells whether the search ends here, and why it is not complete; "" if it is. A violation
// ends it when nothing of its level is left, as another one may come before it.
func (s *search) ends(ctx context.Context) (why string, ended bool) {
	o, whole := &s.options, len(s.next) == 0
	switch {
	case s.first != nil && (whole || ctx.Err() != nil):
		return fmt.Sprintf("ended with the violation, at depth %d", s.depth), true
	case s.full.Load():
		return fmt.Sprintf("memory bound reached at depth %d", s.depth), true
	case ctx.Err() != nil:
		return interrupted, true
	case whole && len(s.level) == 0:
		return "", true
	case whole && s.depth >= o.DepthMax:
		return fmt.Sprintf("bound of %d steps reached", o.DepthMax), true
	case whole && o.StatesMax > 0 && s.table.len() >= o.StatesMax:
		return fmt.Sprintf("bound of %d states reached at depth %d", o.StatesMax, s.depth), true
	}
	return "", false
}

// searchLevel searches the level, or until the context or the time to save ends it: then
// some of the level is left.
func (s *search) searchLevel(ctx context.Context, workers []Worker) {
	s.left.Store(count(s.level))
	s.stop.Store(false)
	sinks := make([]Sink, len(workers))
	done := make(chan struct{})
	var group sync.WaitGroup
	for i, w := range workers {
		sink := &sinks[i]
		*sink = Sink{search: s, depth: s.depth + 1}
		group.Go(func() { s.work(w, sink) })
	}
	go func() {
		group.Wait()
		close(done)
	}()
	s.watch(ctx, done)
	for i := range sinks {
		sink := &sinks[i]
		sink.flush()
		if sink.first != nil && sink.first.before(s.first) {
			s.first = sink.first
		}
	}
}

// watch waits for the workers, and tells them when to stop.
func (s *search) watch(ctx context.Context, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var saving <-chan time.Time
	if s.options.State != "" {
		timer := time.NewTimer(s.options.Every)
		defer timer.Stop()
		saving = timer.C
	}
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			s.stop.Store(true)
			<-done
			return
		case <-saving:
			s.stop.Store(true)
		case <-tick.C:
			if s.options.Progress != nil {
				s.options.Progress(s.progress())
			}
			s.bound()
		}
	}
}

func (s *search) work(w Worker, sink *Sink) {
	for !s.stop.Load() && !s.full.Load() {
		c := s.take()
		if c == nil {
			return
		}
		for i := range c.ends {
			sink.begin(c.prints[i])
			w.Next(c.at(i), sink)
		}
		s.left.Add(-int64(len(c.ends)))
		s.generated.Add(sink.generated)
		sink.generated = 0
		s.release(c)
	}
}

func (s *search) memory() int64 { return s.table.used.Load() + s.kept() }

// kept is what the model holds.
func (s *search) kept() int64 {
	if k, ok := s.model.(Keeper); ok {
		return k.Memory()
	}
	return 0
}

// bound leaves for the states what the model does not hold.
func (s *search) bound() {
	most := s.options.MemoryMax - s.kept()
	s.table.most.Store(most)
	if s.table.used.Load() > most {
		s.full.Store(true)
	}
}

func (s *search) elapsed() time.Duration { return s.before + time.Since(s.began) }

func (s *search) progress() Progress {
	s.mu.Lock()
	frontier := count(s.next)
	s.mu.Unlock()
	return Progress{
		States: s.table.len(), Generated: s.generated.Load(), Depth: s.depth,
		Frontier: s.left.Load() + frontier, Memory: s.memory(), Elapsed: s.elapsed(),
	}
}

func (s *search) result(depth int, why string) *Result {
	n := s.table.len()
	r := &Result{
		States: n, Generated: s.generated.Load(), Passes: s.passes, Depth: depth, Elapsed: s.elapsed(), Memory: s.memory(),
		Complete: why == "", Why: why, Miss: missChance(n),
	}
	if f := s.first; f != nil {
		steps, err := s.steps(f)
		if err != nil {
			steps = append(steps, err.Error())
		}
		r.Violation = &Violation{f.property, f.text, steps}
	}
	return r
}

// missChance bounds the chance that any two of n states have the same print: of the pairs
// each has it with 2^-64.
func missChance(n int64) float64 { return float64(n) * float64(n-1) / 2 / math.Exp2(64) }
