package fuzz

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

const (
	// progressInterval is how often, at most, Options.Progress is called.
	progressInterval = 100 * time.Millisecond
	// saveInterval is how often a search saves its state: a process that is killed loses
	// as much of it.
	saveInterval = 5 * time.Second
)

// Options say what Search does.
type Options struct {
	Seed      uint64
	Schedules int           // only indices below this are run; 0 for no bound
	For       time.Duration // after this no new schedule begins; 0 for no bound
	Workers   int           // from 1
	Length    time.Duration // of each schedule, by generate.LongSchedule; 0 for generate.Schedule
	Managers  int           // of each schedule, for which generate.IsManagers holds; 0 for as it is drawn
	Shard     Shard         // the part of the schedules to run
	Learn     bool          // vary schedules that did something new; not with a Length, nor with Managers

	// Archive, if not nil, takes in every failure, and the search goes on after it. The
	// search begins where the archive's state says that an earlier one ended, with the
	// totals of that. It must be of the same Seed, Length, Managers and Shard.
	Archive *Archive

	// Progress, if not nil, is called now and then. Calls do not overlap.
	Progress func(*Stats)

	check func(*schedule.Schedule) *sim.Outcome // for tests; nil for Check
}

// Failure is a schedule that violates a property.
type Failure struct {
	Seed      uint64
	Index     int
	Length    time.Duration // as in Options
	Managers  int           // as in Options
	Learn     bool          // then Index is in the search of that Shard
	Shard     Shard
	Schedule  *schedule.Schedule
	Violation *sim.Violation
}

// Schedule returns schedule i of a seed.
func Schedule(seed uint64, i int) *schedule.Schedule {
	return generate.Schedule(source(seed, i))
}

func source(seed uint64, i int) generate.Source {
	return generate.NewSource(splitmix.Spread(splitmix.Spread(seed) + uint64(i)))
}

// schedule returns schedule i of the search.
func (o *Options) schedule(i int) *schedule.Schedule {
	src := source(o.Seed, i)
	if o.Managers > 0 {
		src = generate.WithManagers(src, o.Managers)
	}
	if o.Length == 0 {
		return generate.Schedule(src)
	}
	return generate.LongSchedule(src, o.Length)
}

// PropertyPanic is the property that a panic of the simulator itself violates. A panic
// of the core violates another one, which sim.Run names.
const PropertyPanic = "simulator-panic"

// Check is check.RunWith, but for a panic of the simulator. That is a violation, too, so
// that the schedule which shows it is saved and shrunk.
func Check(s *schedule.Schedule, o sim.RunOptions) (out *sim.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			v := &sim.Violation{Property: PropertyPanic, Text: fmt.Sprint(p), Stack: string(debug.Stack())}
			out = &sim.Outcome{Verdict: "violates " + v.Property, Violation: v}
		}
	}()
	return check.RunWith(s, o)
}

// plainly is Check without options.
func plainly(s *schedule.Schedule) *sim.Outcome { return Check(s, sim.RunOptions{}) }

// Search runs schedules until one fails, enough have run, the time is up, or the context
// ends. It finishes the schedules that have begun, and returns what it counted and the
// first failure, if any. With an Archive it goes on after failures, returns none, and
// has saved its state when it returns. First of all it looks for the canaries. The error
// says that one was missed (see Canary), that a schedule could not be made, or that the
// archive could not be written.
func Search(ctx context.Context, o Options) (*Stats, *Failure, error) {
	if o.check == nil {
		if err := Canary(); err != nil {
			return &Stats{}, nil, err
		}
	}
	l := &search{ctx: ctx, options: o, begin: time.Now(), waiting: map[int]*report{}, failed: -1}
	if l.options.check == nil {
		l.options.check = plainly
	}
	l.progress.L = &l.mu
	l.next = o.Shard.first()
	if o.Learn {
		l.learner = newLearner(o.Seed, o.Shard)
	}
	if o.Archive != nil {
		l.next = o.Archive.next()
		l.stats = o.Archive.totals()
		if o.Learn {
			if err := l.learner.recall(o.Archive.state.Learnt); err != nil {
				return &l.stats, nil, err
			}
		}
		o.Archive.remake(l.make)
	}
	l.counted, l.before = l.next, l.stats.Wall
	l.shown, l.saved = l.begin, l.begin
	var workers sync.WaitGroup
	for range o.Workers {
		workers.Go(l.work)
	}
	workers.Wait()
	l.stats.Wall = l.before + time.Since(l.begin)
	if o.Archive != nil {
		l.err = errors.Join(l.err, l.save())
	}
	return &l.stats, l.failure, l.err
}

// search is a Search under way. mu guards the fields below it.
type search struct {
	ctx     context.Context
	options Options
	begin   time.Time
	before  time.Duration // wall time of earlier searches, whose totals are in stats
	learner *learner      // nil when the search does not learn

	mu       sync.Mutex
	progress sync.Cond       // counted has changed, or the search ends
	next     int             // the index of the next schedule to run
	failed   int             // the lowest index known to fail; -1 for none
	counted  int             // all schedules before this index are in stats
	waiting  map[int]*report // by index: those done while one before them is not
	stats    Stats
	failure  *Failure
	err      error
	shown    time.Time
	saved    time.Time
}

// report is what came of one schedule.
type report struct {
	schedule *schedule.Schedule
	sample   sample
	moments  []moment
	failure  *Failure
	err      error
}

// work is one worker. It shrinks what waits for that before it runs another schedule: a
// failure is worth more, and the list of those that wait stays short.
func (l *search) work() {
	for {
		if a := l.options.Archive; a != nil {
			if job := a.takeJob(); job != nil {
				l.fail(a.shrink(l.ctx, job, l.options.check))
				continue
			}
		}
		i, ok := l.take()
		if !ok {
			return
		}
		l.put(i, l.run(i))
	}
}

// take returns the index of the next schedule to run, or false when the search ends. It
// gives the indices out in order. So when one is known to fail, all before it are done or
// under way, and no other is needed.
func (l *search) take() (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.over() {
		i := l.next
		if l.learner == nil || l.counted >= l.learner.needs(i) {
			l.next += l.options.Shard.step()
			return i, true
		}
		l.progress.Wait() // for those that work on the ones before
	}
	return 0, false
}

// over tells whether no schedule is to begin any more.
func (l *search) over() bool {
	return l.ctx.Err() != nil || l.failed >= 0 || l.err != nil ||
		l.options.Schedules > 0 && l.next >= l.options.Schedules ||
		l.options.For > 0 && time.Since(l.begin) >= l.options.For
}

// fail ends the search with an error, if there is one.
func (l *search) fail(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.progress.Broadcast()
}

// make returns schedule i of this search.
func (l *search) make(i int) *schedule.Schedule {
	if l.learner != nil {
		return l.learner.schedule(i)
	}
	return l.options.schedule(i)
}

// save saves the state of the search in its archive.
func (l *search) save() error {
	var learnt []int
	if l.learner != nil {
		learnt = l.learner.indices()
	}
	return l.options.Archive.save(&l.stats, l.counted, learnt)
}

func (l *search) run(i int) (r *report) {
	defer func() {
		if p := recover(); p != nil {
			r = &report{err: fmt.Errorf("making schedule %d of seed %d panicked: %v\n%s", i, l.options.Seed, p, debug.Stack())}
		}
	}()
	s := l.make(i)
	if err := s.Validate(); err != nil {
		return &report{err: fmt.Errorf("schedule %d of seed %d is not valid, which is a bug in its generator: %w", i, l.options.Seed, err)}
	}
	r = &report{schedule: s}
	var out *sim.Outcome
	if l.learner != nil {
		out, r.moments = runMoments(s)
	} else {
		out = l.options.check(s)
	}
	r.sample = sampleOf(s, out)
	if out.Violation != nil {
		o := &l.options
		r.failure = &Failure{Seed: o.Seed, Index: i, Length: o.Length, Managers: o.Managers, Learn: o.Learn, Shard: o.Shard, Schedule: s, Violation: out.Violation}
	}
	return r
}

// put takes in a report, and counts it and those that waited for it, when its turn comes.
func (l *search) put(i int, r *report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.progress.Broadcast()
	fails := r.failure != nil && l.options.Archive == nil
	if (fails || r.err != nil) && (l.failed < 0 || i < l.failed) {
		l.failed = i
	}
	l.waiting[i] = r
	for l.failure == nil && l.err == nil && l.waiting[l.counted] != nil {
		r := l.waiting[l.counted]
		delete(l.waiting, l.counted)
		l.count(r)
	}
	if l.options.Progress != nil && time.Since(l.shown) >= progressInterval {
		l.shown = time.Now()
		l.stats.Wall = l.before + time.Since(l.begin)
		l.options.Progress(&l.stats)
	}
	if a := l.options.Archive; a != nil && l.err == nil && time.Since(l.saved) >= saveInterval {
		l.saved = time.Now()
		l.stats.Wall = l.before + time.Since(l.begin)
		l.err = l.save()
	}
}

// count counts the next report. They come in the order of their schedules. A report
// whose failure could not be archived is not counted, so that a search that is taken up
// again runs its schedule again.
func (l *search) count(r *report) {
	switch a := l.options.Archive; {
	case r.err != nil:
		l.err = r.err
		return
	case r.failure == nil:
	case a == nil:
		l.failure = r.failure
	default:
		if l.err = a.note(r.failure, l.options.check); l.err != nil {
			return
		}
	}
	l.stats.add(&r.sample)
	if l.learner != nil && r.failure == nil { // variations of a failure fail mostly, too
		l.learner.note(l.counted, r.schedule, r.moments)
	}
	l.counted += l.options.Shard.step()
}
