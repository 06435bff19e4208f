package fuzz

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"gtstore/sim"
	"gtstore/sim/schedule"
)

// PlacesMax is how many different failures an archive keeps. Further ones are only
// counted.
const PlacesMax = 1_000

// An Archive is the directory of a search that goes on after failures. For each property
// and Place it has one trace, the shortest found so far. It also has the state of the
// search, with which another process can go on.
//
// The first few failures of a place are shrunk, and then ever fewer of them, so that a
// common failure does not keep the search from finding another. Which ones are shrunk
// follows from the order of the schedules. So what is archived depends on the seed
// alone, unless a time limit ends the shrinking (ShrinkTimeMax).
type Archive struct {
	dir, file string
	shard     Shard
	unlock    func()
	tell      func(Found)

	mu    sync.Mutex
	state state
	jobs  []*Failure // those of state.Pending that no worker shrinks yet
}

// Found is one property and Place in an archive.
type Found struct {
	Property string `json:"property"`
	Place    string `json:"place"`
	Seen     int    `json:"seen"`  // how many schedules failed there
	Index    int    `json:"index"` // of the schedule that became the archived trace
	Size     int    `json:"size"`  // of that trace, in actions and deviations

	File string `json:"-"` // of the trace
}

// fileName is the name of a trace's file. A property and place have the same one in
// every archive, so that archives can be compared and merged.
func fileName(property, place string) string {
	h := fnv.New32a()
	h.Write([]byte(place))
	return fmt.Sprintf("%s-%08x.trace", fileWord(property), h.Sum32())
}

// OpenArchive opens the archive of a search, or makes a new one. An archive that exists
// must be of this Build, and of the same Length, Managers, Learn and Shard. If seedGiven, it must be of the same Seed, too;
// else the search goes on with the archive's seed. tell, if not nil, is called after each
// trace that was written. Its calls do not overlap, and must not use the archive. Until
// Close no other process can open the archive.
func OpenArchive(dir string, search Options, seedGiven bool, tell func(Found)) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("cannot make the archive: %w", err)
	}
	a := &Archive{dir: dir, file: stateFile(dir, search.Shard), shard: search.Shard, tell: tell}
	var err error
	if a.unlock, err = lockFile(lockName(a.file)); err != nil {
		return nil, fmt.Errorf("cannot have the archive %s for this search alone: %w", dir, err)
	}
	if err := a.load(&search, seedGiven); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close lets other processes have the archive.
func (a *Archive) Close() { a.unlock() }

func (a *Archive) load(search *Options, seedGiven bool) error {
	if _, err := os.Stat(filepath.Join(a.dir, mergedName)); err == nil {
		return fmt.Errorf("%s is what a merge made, where no search goes on: choose another directory", a.dir)
	}
	s, err := readState(a.file, a.shard)
	switch {
	case err != nil:
		return err
	case s == nil:
		a.state = state{Format: stateFormat, Build: ThisBuild(), Seed: search.Seed, Length: search.Length, Managers: search.Managers, Learn: search.Learn, Shard: a.shard.String(), Next: a.shard.first()}
		return a.state.write(a.file) // a directory that takes no file is noticed now, not in the morning
	case seedGiven && search.Seed != s.Seed:
		return fmt.Errorf("%s is the state of a search of seed %d, not of seed %d: leave the seed out to go on with it, or choose another directory", a.file, s.Seed, search.Seed)
	case s.Build != ThisBuild():
		return fmt.Errorf("%s is the state of a search by another build (%v), and what holds for one need not hold for another (this is %v): go on with that build, or choose another directory; gtstore replay runs its traces with this build", a.file, s.Build, ThisBuild())
	case search.Learn != s.Learn:
		return fmt.Errorf("%s is the state of a search that learns: %v; of this one: %v: choose another directory", a.file, s.Learn, search.Learn)
	case search.Length != s.Length:
		return fmt.Errorf("%s is the state of a search of schedules of length %v, not %v (0s are the usual ones): choose another directory", a.file, s.Length, search.Length)
	case search.Managers != s.Managers:
		return fmt.Errorf("%s is the state of a search of schedules with %d managers, not %d (0 is as they are drawn): choose another directory", a.file, s.Managers, search.Managers)
	}
	a.state = *s
	for _, f := range s.Found {
		f.File = filepath.Join(a.dir, fileName(f.Property, f.Place))
	}
	return nil
}

// remake makes the failures again that an earlier process left pending.
func (a *Archive) remake(schedule func(i int) *schedule.Schedule) {
	s := &a.state
	for _, i := range s.Pending {
		a.jobs = append(a.jobs, &Failure{Seed: s.Seed, Index: i, Length: s.Length, Managers: s.Managers, Learn: s.Learn, Shard: a.shard, Schedule: schedule(i)})
	}
}

// Seed returns the search's seed.
func (a *Archive) Seed() uint64 { return a.state.Seed }

// Found returns what was found so far, in that order.
func (a *Archive) Found() []Found {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := make([]Found, len(a.state.Found))
	for i, f := range a.state.Found {
		found[i] = *f
	}
	return found
}

// Others returns how many failures came at further places after PlacesMax had been
// found.
func (a *Archive) Others() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.Others
}

func (a *Archive) next() int     { return a.state.Next }
func (a *Archive) totals() Stats { return a.state.Totals.stats() }

// save writes the state. The stats have every schedule before next, and each of their
// failures was noted; learnt are those that a learner has kept of them.
func (a *Archive) save(s *Stats, next int, learnt []int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Totals, a.state.Next, a.state.Learnt = totalsOf(s), next, learnt
	if err := a.state.write(a.file); err != nil {
		return fmt.Errorf("cannot save the state of the search: %w", err)
	}
	return nil
}

func (a *Archive) takeJob() *Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.jobs) == 0 {
		return nil
	}
	job := a.jobs[0]
	a.jobs = a.jobs[1:]
	return job
}

// note takes a failure in. Failures come in the order of their schedules. The first of a
// place is saved at once, as it is.
func (a *Archive) note(f *Failure, check func(*schedule.Schedule) *sim.Outcome) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	place := Place(f.Violation)
	known := a.find(f.Violation.Property, place)
	if known == nil {
		if len(a.state.Found) == PlacesMax {
			a.state.Others++
			return nil
		}
		known = &Found{Property: f.Violation.Property, Place: place, Index: f.Index, Size: f.Schedule.Size()}
		known.File = filepath.Join(a.dir, fileName(known.Property, place))
		if err := a.keep(known, f, &Shrunk{Schedule: f.Schedule, Violation: f.Violation}, check); err != nil {
			return err
		}
		a.state.Found = append(a.state.Found, known)
	}
	known.Seen++
	if worthShrinking(known.Seen) && len(a.state.Pending) < pendingMax {
		a.jobs = append(a.jobs, f)
		a.state.Pending = append(a.state.Pending, f.Index)
	}
	return nil
}

// worthShrinking tells whether the nth failure of a place is shrunk. These are the first
// four, and then the 8th, the 16th and so on.
func worthShrinking(n int) bool { return n <= 4 || bits.OnesCount(uint(n)) == 1 }

func (a *Archive) find(property, place string) *Found {
	for _, f := range a.state.Found {
		if f.Property == property && f.Place == place {
			return f
		}
	}
	return nil
}

// shrink shrinks a failure to a smaller one at the same place, and keeps that if it is
// the shortest there. If the context ends meanwhile, the failure remains pending.
func (a *Archive) shrink(ctx context.Context, f *Failure, check func(*schedule.Schedule) *sim.Outcome) error {
	if f.Violation == nil { // an earlier process found it
		f.Violation = check(f.Schedule).Violation
	}
	var r *Shrunk
	var place string
	if f.Violation != nil { // else the code has changed, and no longer fails
		place = Place(f.Violation)
		r = shrinkTo(ctx, f, nil, func(s *schedule.Schedule) *sim.Outcome {
			out := check(s)
			if out.Violation != nil && Place(out.Violation) != place {
				return &sim.Outcome{}
			}
			return out
		})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() == nil {
		a.state.Pending = slices.DeleteFunc(a.state.Pending, func(i int) bool { return i == f.Index })
	}
	if r == nil {
		return nil
	}
	if known := a.find(f.Violation.Property, place); known != nil {
		return a.keep(known, f, r, check)
	}
	return nil
}

// keep writes the trace of a failure. It leaves a trace that is there already if that
// still fails at this place, and is shorter, or as short and from an earlier schedule.
func (a *Archive) keep(known *Found, f *Failure, r *Shrunk, check func(*schedule.Schedule) *sim.Outcome) error {
	old, _, err := readTrace(known.File)
	if err != nil {
		return err
	}
	size := r.Schedule.Size()
	if old != nil && (old.Size() < size || old.Size() == size && known.Index < f.Index) {
		v := check(old).Violation
		if v != nil && v.Property == known.Property && Place(v) == known.Place {
			known.Size = old.Size()
			return nil
		}
	}
	if err := WriteFile(known.File, []byte(Trace(f, r).String())); err != nil {
		return fmt.Errorf("cannot save a trace: %w", err)
	}
	known.Index, known.Size = f.Index, size
	if a.tell != nil {
		a.tell(*known)
	}
	return nil
}

// readTrace reads a trace of the archive, and its text; nil when there is none. A file that
// is no trace is an error, since a person may need it and keep would overwrite it.
func readTrace(file string) (*schedule.Schedule, []byte, error) {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read a trace of the archive: %w", err)
	}
	s, err := schedule.Parse(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("%s, where the archive has a failure, is not a trace: %w\nMove it away, or copy it again, and go on with the same command", file, err)
	}
	return s, text, nil
}
