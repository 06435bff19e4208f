package fuzz

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gtstore/sim"
	"gtstore/sim/schedule"
)

const (
	mergedFormat = "gtstore fuzz merge 1"
	mergedName   = "merged.json"
)

// Merged is what came of the archives of one search, which ran on many machines.
type Merged struct {
	Format   string        `json:"format"`
	Build    Build         `json:"build"` // that searched
	Seed     uint64        `json:"seed"`
	Length   time.Duration `json:"length_ns"`
	Managers int           `json:"managers,omitempty"`
	Learn    bool          `json:"learn"`
	Of       int           `json:"of"`    // into how many shards the search was split; 0 when it was not
	Parts    []Part        `json:"parts"` // those that were merged, in the order of their shards
	// Missing are the shards, by number, of which there was no archive, or one of a search
	// that ran nothing.
	Missing []int `json:"missing"`

	Totals totals  `json:"totals"`
	Found  []Found `json:"found"` // what still fails, by property and place
	// Gone is what does not fail any more. That can be only when the build that merges is
	// another one.
	Gone   []Found `json:"gone"`
	Others int     `json:"others"`
}

// Part is one of the archives that were merged.
type Part struct {
	Shard     string `json:"shard"` // as Shard.String
	Schedules int    `json:"schedules"`

	dir    string
	shard  Shard
	state  *state
	unlock func()
}

// Stats returns the totals of all parts.
func (m *Merged) Stats() *Stats {
	s := m.Totals.stats()
	return &s
}

// Merge makes one archive of those in dirs, each of which may have the archives of several
// shards. For each property and place it takes the shortest trace that this build sees
// fail there, and it adds the totals up.
//
// The archives must be of one search: of the same Build, Seed, Length and Managers, and each of
// another Shard. out must not exist. It appears as a whole when all is done, and not after
// an error. The error says what is wrong with which
// archive, and what to do. Search does not go on in out, and Merge does not take it in.
func Merge(ctx context.Context, out string, dirs []string) (*Merged, error) {
	return mergeWith(ctx, out, dirs, ThisBuild(), nil)
}

// mergeWith is Merge by a build, and with a check for tests; nil for that of a search.
func mergeWith(ctx context.Context, out string, dirs []string, by Build, check func(*schedule.Schedule) *sim.Outcome) (*Merged, error) {
	if check == nil {
		if err := Canary(); err != nil {
			return nil, err
		}
	}
	if err := checkOut(out); err != nil {
		return nil, err
	}
	parts, err := openParts(dirs)
	defer func() {
		for _, p := range parts {
			p.unlock()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := checkParts(parts); err != nil {
		return nil, err
	}
	m := newMerged(parts)
	if check == nil {
		check = plainly
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(out)), 0o777); err != nil {
		return nil, fmt.Errorf("cannot make the folder of %s: %w", out, err)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(filepath.Clean(out)), "."+filepath.Base(out)+".*")
	if err != nil {
		return nil, fmt.Errorf("cannot write beside %s: %w", out, err)
	}
	err = m.write(ctx, temporary, parts, by, check)
	if err == nil {
		// MkdirTemp leaves it to its owner alone.
		err = errors.Join(os.Chmod(temporary, 0o755), os.Rename(temporary, out))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nothing was merged, and %s is as it was: %w", out, err), os.RemoveAll(temporary))
	}
	for i := range m.Found {
		m.Found[i].File = filepath.Join(out, fileName(m.Found[i].Property, m.Found[i].Place))
	}
	return m, nil
}

// checkOut refuses a place where something is already: somebody might need that.
func checkOut(out string) error {
	_, err := os.Lstat(out)
	switch {
	case err == nil:
		return fmt.Errorf("cannot merge into %s, which is there already: name a directory that is not, or move this one away", out)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot merge into %s: %w", out, err)
	}
	return nil
}

// openParts reads every archive that is in the directories. The caller unlocks the parts,
// also after an error.
func openParts(dirs []string) (parts []*Part, err error) {
	var known []fs.FileInfo
	for i, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return parts, fmt.Errorf("cannot read an archive: %w", err)
		}
		for j := range known {
			if os.SameFile(known[j], info) {
				return parts, fmt.Errorf("%s and %s are the same directory: name it once", dirs[j], dirs[i])
			}
		}
		known = append(known, info)
		if _, err := os.Stat(filepath.Join(dir, mergedName)); err == nil {
			return parts, fmt.Errorf("%s is what a merge made: name the archives that it was made of, and others beside them", dir)
		}
		before := len(parts)
		files, err := os.ReadDir(dir)
		if err != nil {
			return parts, fmt.Errorf("cannot read an archive: %w", err)
		}
		for _, f := range files {
			shard, ok := shardOf(f.Name())
			if !ok {
				continue
			}
			p, err := openPart(dir, shard)
			if err != nil {
				return parts, err
			}
			parts = append(parts, p)
		}
		if len(parts) == before {
			return parts, fmt.Errorf("%s is no archive: it has no search.json, and no search-1-of-4.json or the like. Name directories that were the --out of gtstore fuzz --keep-going", dir)
		}
	}
	slices.SortStableFunc(parts, func(a, b *Part) int { return cmp.Compare(a.shard.I, b.shard.I) })
	return parts, nil
}

// shardOf tells of which shard the state in a file of that name is.
func shardOf(name string) (Shard, bool) {
	if name == filepath.Base(stateFile("", Shard{})) {
		return Shard{}, true
	}
	var s Shard
	fmt.Sscanf(name, "search-%d-of-%d.json", &s.I, &s.N)
	return s, s.N > 0 && name == filepath.Base(stateFile("", s))
}

func openPart(dir string, shard Shard) (*Part, error) {
	file := stateFile(dir, shard)
	unlock, err := lockToRead(lockName(file))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	s, err := readState(file, shard)
	if err == nil && s == nil {
		err = fmt.Errorf("%s was there a moment ago, and is gone: let nobody change the archives meanwhile", file)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	for _, f := range s.Found {
		f.File = filepath.Join(dir, fileName(f.Property, f.Place))
	}
	return &Part{Shard: shard.String(), Schedules: s.Totals.Schedules, dir: dir, shard: shard, state: s, unlock: unlock}, nil
}

// checkParts refuses archives that are not of one search.
func checkParts(parts []*Part) error {
	first := parts[0]
	for i, p := range parts {
		differ := func(what string, a, b any) error {
			return fmt.Errorf("%s is of %s %v, but %s of %v: only the parts of one search can be merged; leave one of the two out",
				stateFile(first.dir, first.shard), what, a, stateFile(p.dir, p.shard), b)
		}
		switch {
		case p.state.Seed != first.state.Seed:
			return differ("seed", first.state.Seed, p.state.Seed)
		case p.state.Length != first.state.Length:
			return differ("schedules of length", first.state.Length, p.state.Length)
		case p.state.Managers != first.state.Managers:
			return differ("managers of each schedule", first.state.Managers, p.state.Managers)
		case p.state.Learn != first.state.Learn:
			return differ("a search that learns:", first.state.Learn, p.state.Learn)
		case p.state.Build != first.state.Build:
			return differ("the build", first.state.Build, p.state.Build)
		case i > 0 && p.shard == parts[i-1].shard:
			return fmt.Errorf("%s and %s are of the same part of the search: leave the older of the two out",
				stateFile(parts[i-1].dir, p.shard), stateFile(p.dir, p.shard))
		case p.shard.N != first.shard.N:
			return differ("a search in so many parts:", max(1, first.shard.N), max(1, p.shard.N))
		}
	}
	return nil
}

// newMerged adds up what the parts know.
func newMerged(parts []*Part) *Merged {
	s := parts[0].state
	m := &Merged{Format: mergedFormat, Build: s.Build, Seed: s.Seed, Length: s.Length, Managers: s.Managers, Learn: s.Learn, Of: parts[0].shard.N,
		Missing: []int{}, Found: []Found{}, Gone: []Found{}}
	ran := map[int]bool{}
	for _, p := range parts {
		m.Parts = append(m.Parts, *p)
		m.Totals.add(&p.state.Totals)
		m.Others += p.state.Others
		ran[p.shard.I] = p.Schedules > 0
	}
	for i := 1; i <= m.Of; i++ {
		if !ran[i] {
			m.Missing = append(m.Missing, i)
		}
	}
	if m.Of == 0 && !ran[0] {
		m.Missing = append(m.Missing, 1)
	}
	return m
}

// write writes the merged archive into a directory.
func (m *Merged) write(ctx context.Context, dir string, parts []*Part, by Build, check func(*schedule.Schedule) *sim.Outcome) error {
	byName := map[string][]*Found{}
	for _, p := range parts {
		for _, f := range p.state.Found {
			name := fileName(f.Property, f.Place)
			byName[name] = append(byName[name], f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		best, text, err := shortest(byName[name], check)
		switch {
		case err != nil:
			return err
		case text == nil && by == m.Build:
			return fmt.Errorf("%s does not fail as its archive says, though this is the build that saw it fail: the file was changed since; copy that archive again", best.File)
		case text == nil:
			m.Gone = append(m.Gone, *best)
		case len(m.Found) == PlacesMax:
			m.Others += best.Seen
		default:
			if err := WriteFile(filepath.Join(dir, name), text); err != nil {
				return fmt.Errorf("cannot write a trace: %w", err)
			}
			m.Found = append(m.Found, *best)
		}
	}
	for _, list := range [][]Found{m.Found, m.Gone} {
		slices.SortFunc(list, func(a, b Found) int {
			return cmp.Or(cmp.Compare(a.Property, b.Property), cmp.Compare(a.Place, b.Place))
		})
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, mergedName), append(text, '\n'))
}

// shortest returns the shortest of the traces of one place that fails there, with its
// text. When none fails, it returns the first, and no text.
func shortest(same []*Found, check func(*schedule.Schedule) *sim.Outcome) (*Found, []byte, error) {
	type candidate struct {
		found    *Found
		schedule *schedule.Schedule
		text     []byte
	}
	var list []candidate
	seen := 0
	for _, f := range same {
		seen += f.Seen
		s, text, err := readTrace(f.File)
		if err == nil && s == nil {
			err = fmt.Errorf("%s is missing, of which the archive says that it shows %s: copy that archive again, with all its files", f.File, f.Property)
		}
		if err != nil {
			return nil, nil, err
		}
		list = append(list, candidate{f, s, text})
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.schedule.Size(), b.schedule.Size()), cmp.Compare(a.found.Index, b.found.Index))
	})
	best := *list[0].found
	best.Seen = seen
	for _, c := range list {
		v := check(c.schedule).Violation
		if v != nil && v.Property == best.Property && Place(v) == best.Place {
			best.Index, best.Size = c.found.Index, c.schedule.Size()
			return &best, c.text, nil
		}
	}
	return &best, nil, nil
}
