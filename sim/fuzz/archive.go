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

// PlacesMax is how many different failures an archive keeps; those of a search
// that finds more are only counted.
const PlacesMax = 1_000

// An Archive is a directory in which a search that goes on after failures keeps
// what it finds: for each property and Place one trace, the shortest that fails
// there; and the search's state, so that another process can go on with it.
//
// Of the failures of one place the first few are shrunk, and then ever fewer:
// what fails often must not keep the search from finding something else. Which
// these are follows from the order of the schedules, so what is archived depends
// on the seed alone, as long as shrinking ends by itself.
type Archive struct {
	dir, file string
	shard     Shard
	unlock    func()
	tell      func(Found)

	mu    sync.Mutex
	state state
	jobs  []*Failure // to be shrunk: those of state.Pending that nobody works on
}

// Found is a failure in an archive.
type Found struct {
	Property string `json:"property"`
	Place    string `json:"place"` // see Place
	Seen     int    `json:"seen"`  // schedules that failed so
	Index    int    `json:"index"` // of the schedule whose trace is in the archive
	Size     int    `json:"size"`  // of that trace, in actions and deviations

	File string `json:"-"` // of the trace
}

// fileName is the trace's name. The same failure has the same name in every
// archive, so that archives can be compared and put together.
func fileName(property, place string) string {
	h := fnv.New32a()
	h.Write([]byte(place))
	return fmt.Sprintf("%s-%08x.trace", fileWord(property), h.Sum32())
}

// OpenArchive opens the archive of a search, which it makes if there is none. It
// must be of the search's Length and Shard, and, when the seed was given, of its
// Seed; else it goes on with its own. Whenever a trace was written, tell, if not
// nil, is told; its calls do not overlap, and must not use the archive. The
// archive is this process's alone until Close.
func OpenArchive(dir string, search Options, seedGiven bool, tell func(Found)) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("cannot make the archive: %w", err)
	}
	a := &Archive{dir: dir, file: stateFile(dir, search.Shard), shard: search.Shard, tell: tell}
	var err error
	if a.unlock, err = lockFile(filepath.Join(dir, "."+filepath.Base(a.file)+".lock")); err != nil {
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
	s, err := readState(a.file, a.shard)
	switch {
	case err != nil:
		return err
	case s == nil:
		a.state = state{Format: stateFormat, Seed: search.Seed, Length: search.Length, Shard: a.shard.String(), Next: a.shard.first()}
		return a.state.write(a.file) // what cannot be written is to be known before the night
	case seedGiven && search.Seed != s.Seed:
		return fmt.Errorf("%s is the state of a search of seed %d, not of seed %d: leave the seed out to go on with it, or choose another directory", a.file, s.Seed, search.Seed)
	case search.Length != s.Length:
		return fmt.Errorf("%s is the state of a search of schedules of length %v, not %v (0s are the usual ones): choose another directory", a.file, s.Length, search.Length)
	}
	a.state = *s
	for _, f := range s.Found {
		f.File = filepath.Join(a.dir, fileName(f.Property, f.Place))
	}
	o := Options{Seed: s.Seed, Length: s.Length}
	for _, i := range s.Pending {
		a.jobs = append(a.jobs, &Failure{Seed: s.Seed, Index: i, Length: s.Length, Schedule: o.schedule(i)})
	}
	return nil
}

// Seed returns the search's seed.
func (a *Archive) Seed() uint64 { return a.state.Seed }

// Found returns the failures found so far, in the order in which they came.
func (a *Archive) Found() []Found {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := make([]Found, len(a.state.Found))
	for i, f := range a.state.Found {
		found[i] = *f
	}
	return found
}

// Others returns how many failures at further places there were when PlacesMax
// had been found.
func (a *Archive) Others() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.Others
}

func (a *Archive) next() int     { return a.state.Next }
func (a *Archive) totals() Stats { return a.state.Totals.stats() }

// save writes the state: everything before the schedule next is in the stats,
// and each of its failures was noted.
func (a *Archive) save(s *Stats, next int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Totals, a.state.Next = totalsOf(s), next
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

// note takes a failure in; failures come in the order of their schedules. The
// first of a place is saved as it is, at once.
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

// worthShrinking tells whether the failure that is the nth of its place is: the
// first four, and then every one that doubles their number.
func worthShrinking(n int) bool { return n <= 4 || bits.OnesCount(uint(n)) == 1 }

func (a *Archive) find(property, place string) *Found {
	for _, f := range a.state.Found {
		if f.Property == property && f.Place == place {
			return f
		}
	}
	return nil
}

// shrink makes a failure small, at the same place, and keeps it if it is the
// shortest there. When the context ends it, it remains pending.
func (a *Archive) shrink(ctx context.Context, f *Failure, check func(*schedule.Schedule) *sim.Outcome) error {
	if f.Violation == nil { // of an earlier process
		f.Violation = check(f.Schedule).Violation
	}
	var r *Shrunk
	var place string
	if f.Violation != nil { // else the code is another one now
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

// keep writes the trace of a failure, unless the one that is there is shorter,
// or as short and from an earlier schedule, and still fails at this place.
func (a *Archive) keep(known *Found, f *Failure, r *Shrunk, check func(*schedule.Schedule) *sim.Outcome) error {
	old, err := readTrace(known.File)
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

// readTrace reads a trace of the archive, nil if there is none. What is not a
// trace may be of worth to a person, and is not overwritten.
func readTrace(file string) (*schedule.Schedule, error) {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read a trace of the archive: %w", err)
	}
	s, err := schedule.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s, where a failure is to be saved, is not a trace: %w\nMove it away, and go on with the same command", file, err)
	}
	return s, nil
}
