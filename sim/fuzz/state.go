package fuzz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gtstore/sim/mark"
)

const (
	stateFormat   = "gtstore fuzz search 2"
	stateBytesMax = 16 << 20 // ample: a place takes some hundred bytes, and the rest little
	pendingMax    = 10_000   // failures that wait to be shrunk; workers shrink first, so there are far fewer
)

// state is what an archive knows of its search. Its file holds it as JSON.
type state struct {
	Format   string        `json:"format"`
	Build    Build         `json:"build"` // of every process that worked on it
	Seed     uint64        `json:"seed"`
	Length   time.Duration `json:"length_ns"`          // as in Options
	Managers int           `json:"managers,omitempty"` // as in Options
	Learn    bool          `json:"learn"`              // as in Options
	Shard    string        `json:"shard"`              // as Shard.String
	Next     int           `json:"next"`               // the shard's schedules before this index are in Totals
	Totals   totals        `json:"totals"`
	Found    []*Found      `json:"found"`  // in the order in which they were found
	Others   int           `json:"others"` // failures at further places, when Found is full

	Pending []int `json:"pending"`          // the indices of failures that are still to be shrunk
	Learnt  []int `json:"learnt,omitempty"` // the indices of the schedules that a learner has kept
}

// totals are Stats as a state holds them.
type totals struct {
	Schedules  int            `json:"schedules"`
	Events     int            `json:"events"`
	Operations int            `json:"operations"`
	Faults     int            `json:"faults"`
	Messages   int            `json:"messages"`
	Writes     int            `json:"writes"`
	Gone       int            `json:"gone"`
	Joins      int            `json:"joins"`
	Lost       int            `json:"lost"`
	Evicted    int            `json:"evicted"`
	Uncaused   int            `json:"uncaused"`
	Presumed   int            `json:"presumed"`
	Calm       int            `json:"calm"`
	Virtual    time.Duration  `json:"virtual_ns"`
	Wall       time.Duration  `json:"wall_ns"`
	Kinds      map[string]int `json:"kinds"`
	Marks      map[string]int `json:"marks"` // by name, since a mark's number changes with the code

	// How many schedules had how many clients, keys and so on.
	ClientsBy    histogram `json:"clients_by"`
	KeysBy       histogram `json:"keys_by"`
	OperationsBy histogram `json:"operations_by"`
	FaultsBy     histogram `json:"faults_by"`
	MessagesBy   histogram `json:"messages_by"`
}

func totalsOf(s *Stats) totals {
	t := totals{
		Schedules: s.Schedules, Events: s.Events, Operations: s.Operations, Faults: s.Faults, Messages: s.Messages,
		Writes: s.Writes, Gone: s.Gone, Joins: s.Joins, Lost: s.Lost, Virtual: s.Virtual, Wall: s.Wall,
		Evicted: s.Evicted, Uncaused: s.Uncaused, Presumed: s.Presumed, Calm: s.Calm,
		Kinds: s.Kinds, Marks: map[string]int{},
		ClientsBy: s.clients, KeysBy: s.keys, OperationsBy: s.operations, FaultsBy: s.faults, MessagesBy: s.messages,
	}
	for _, m := range mark.All() {
		t.Marks[m.String()] = s.Marks[m]
	}
	return t
}

// stats returns the totals as Stats. A mark that the code no longer has is forgotten.
// add adds the totals of another part of the same search.
func (t *totals) add(o *totals) {
	t.Schedules += o.Schedules
	t.Events += o.Events
	t.Operations += o.Operations
	t.Faults += o.Faults
	t.Messages += o.Messages
	t.Writes += o.Writes
	t.Gone += o.Gone
	t.Joins += o.Joins
	t.Lost += o.Lost
	t.Evicted += o.Evicted
	t.Uncaused += o.Uncaused
	t.Presumed += o.Presumed
	t.Calm += o.Calm
	t.Virtual += o.Virtual
	t.Wall += o.Wall
	addCounts(&t.Kinds, o.Kinds)
	addCounts(&t.Marks, o.Marks)
	addCounts(&t.ClientsBy, o.ClientsBy)
	addCounts(&t.KeysBy, o.KeysBy)
	addCounts(&t.OperationsBy, o.OperationsBy)
	addCounts(&t.FaultsBy, o.FaultsBy)
	addCounts(&t.MessagesBy, o.MessagesBy)
}

func addCounts[M ~map[K]int, K comparable](to *M, from M) {
	if *to == nil {
		*to = M{}
	}
	for k, n := range from {
		(*to)[k] += n
	}
}

func (t *totals) stats() Stats {
	s := Stats{
		Schedules: t.Schedules, Events: t.Events, Operations: t.Operations, Faults: t.Faults, Messages: t.Messages,
		Writes: t.Writes, Gone: t.Gone, Joins: t.Joins, Lost: t.Lost, Virtual: t.Virtual, Wall: t.Wall,
		Evicted: t.Evicted, Uncaused: t.Uncaused, Presumed: t.Presumed, Calm: t.Calm,
		Kinds:   t.Kinds,
		clients: t.ClientsBy, keys: t.KeysBy, operations: t.OperationsBy, faults: t.FaultsBy, messages: t.MessagesBy,
	}
	for _, m := range mark.All() {
		s.Marks[m] = t.Marks[m.String()]
	}
	return s
}

// stateFile is the file of a shard's state. Each shard has its own, so that the archives
// of several may share a directory.
func stateFile(dir string, shard Shard) string {
	name := "search.json"
	if shard.N > 0 {
		name = fmt.Sprintf("search-%d-of-%d.json", shard.I, shard.N)
	}
	return filepath.Join(dir, name)
}

// lockName is the file that a process locks while it works on that state.
func lockName(stateFile string) string {
	return filepath.Join(filepath.Dir(stateFile), "."+filepath.Base(stateFile)+".lock")
}

// readState reads a state; nil when there is none yet. It leaves a file that is wrong as
// it is; the error says what is wrong and what to do.
func readState(file string, shard Shard) (*state, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the state of the search: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, stateBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the state of the search: %w", err)
	}
	s, err := parseState(text, shard)
	if err != nil {
		return nil, fmt.Errorf("%s is not the state of a search that could be gone on with: %w\nIt was left as it is. Move it away to begin at the first schedule, or choose another directory. The traces beside it can be replayed all the same: gtstore replay FILE", file, err)
	}
	return s, nil
}

func parseState(text []byte, shard Shard) (*state, error) {
	if len(text) > stateBytesMax {
		return nil, fmt.Errorf("it has more than %d bytes", stateBytesMax)
	}
	var head struct{ Format string }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	if head.Format != stateFormat { // first, since in another format all else may differ
		return nil, fmt.Errorf("its format is %q, and this build reads only its own, %q", head.Format, stateFormat)
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	if s.Shard != shard.String() {
		return nil, fmt.Errorf("it is of the shard %q, want %q", s.Shard, shard)
	}
	return &s, s.check(shard)
}

// check tells what in a state cannot be true. Then no search wrote it, or it was damaged
// since.
func (s *state) check(shard Shard) error {
	t := &s.Totals
	if s.Build.Go == "" || s.Build.Behaviour == "" {
		return errors.New("it does not say which build it is of")
	}
	for _, n := range []int{t.Schedules, t.Events, t.Operations, t.Faults, t.Messages, t.Writes, t.Gone, t.Joins, t.Lost,
		t.Evicted, t.Uncaused, t.Presumed, t.Calm, int(t.Virtual), int(t.Wall), s.Others} {
		if n < 0 {
			return fmt.Errorf("a total is %d", n)
		}
	}
	if !shard.has(s.Next) {
		return fmt.Errorf("the next schedule, %d, is none of the shard", s.Next)
	}
	if done := (s.Next - shard.first()) / shard.step(); done != t.Schedules {
		return fmt.Errorf("%d schedules were counted, but the next is schedule %d", t.Schedules, s.Next)
	}
	if len(s.Found) > PlacesMax {
		return fmt.Errorf("it has %d places, want at most %d", len(s.Found), PlacesMax)
	}
	if len(s.Pending) > pendingMax {
		return fmt.Errorf("%d failures are still to be shrunk, want at most %d", len(s.Pending), pendingMax)
	}
	for _, i := range s.Pending {
		if i >= s.Next || !shard.has(i) {
			return fmt.Errorf("schedule %d, which is to be shrunk, is none that was counted", i)
		}
	}
	if len(s.Learnt) > learntMax || !slices.IsSorted(s.Learnt) || !s.Learn && len(s.Learnt) > 0 {
		return errors.New("what it says to have learnt cannot be")
	}
	for _, i := range s.Learnt {
		if i >= s.Next || !shard.has(i) {
			return fmt.Errorf("schedule %d, which is to be varied, is none that was counted", i)
		}
	}
	failures := s.Others
	seen := map[string]bool{}
	for _, f := range s.Found {
		if f == nil || f.Property == "" || f.Seen < 1 || f.Index >= s.Next || !shard.has(f.Index) || f.Size < 0 {
			return errors.New("what it says of a failure cannot be")
		}
		name := fileName(f.Property, f.Place)
		if seen[name] {
			return fmt.Errorf("it has property %s, place %q twice", f.Property, f.Place)
		}
		seen[name] = true
		failures += f.Seen
	}
	if failures > t.Schedules {
		return fmt.Errorf("%d of %d schedules failed", failures, t.Schedules)
	}
	return nil
}

func (s *state) write(file string) error {
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	if len(text) >= stateBytesMax {
		return fmt.Errorf("the state of the search has %d bytes, and at most %d can be read again", len(text), stateBytesMax)
	}
	return WriteFile(file, append(text, '\n'))
}

// WriteFile replaces a file as a whole. Whenever the process or the machine ends, the
// file has its old content or its new one.
func WriteFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
