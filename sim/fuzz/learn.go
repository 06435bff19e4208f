package fuzz

import (
	"sync"

	"gtstore/sim"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

const (
	// roundSize is after how many schedules a search that learns uses what it has learnt.
	roundSize = 32
	// learntMax bounds what it keeps. After that it only varies.
	learntMax = 4096
	// freshOf is of how many schedules one is drawn from nothing.
	freshOf = 3

	saltVary = 0x6c6561726e // tells the draws of a variation from those of a fresh schedule
)

// A learner makes the schedules of a search that learns. It keeps each schedule whose run
// had a feature that no run before had, and makes most others by varying those.
//
// Schedule i is the same for any number of workers: what it varies follows from the
// schedules up to the last but one round before its own. All of these have been counted,
// in the order of their indices, when it is made. The rounds of a shard are of its own
// schedules, so schedule i is another one in another shard.
type learner struct {
	seed  uint64
	shard Shard

	mu   sync.Mutex
	kept []learnt // in the order of their indices
	seen map[feature]bool
}

type learnt struct {
	index    int
	schedule *schedule.Schedule
}

func newLearner(seed uint64, shard Shard) *learner {
	return &learner{seed: seed, shard: shard, seen: map[feature]bool{}}
}

// needs returns the index below which all schedules of the shard must be counted before
// schedule i can be made.
func (l *learner) needs(i int) int {
	position := (i - l.shard.first()) / l.shard.step()
	return l.shard.first() + max(0, position/roundSize-1)*roundSize*l.shard.step()
}

// schedule makes schedule i.
func (l *learner) schedule(i int) *schedule.Schedule {
	l.mu.Lock()
	kept := l.kept
	l.mu.Unlock()
	for len(kept) > 0 && kept[len(kept)-1].index >= l.needs(i) {
		kept = kept[:len(kept)-1]
	}
	src := generate.NewSource(splitmix.Spread(splitmix.Spread(l.seed^saltVary) + uint64(i)))
	if len(kept) == 0 || src.Intn("fresh", freshOf) == 0 {
		return Schedule(l.seed, i)
	}
	pick := func() *schedule.Schedule { // rather a later one, which has come further
		return kept[max(src.Intn("varied", len(kept)), src.Intn("varied", len(kept)))].schedule
	}
	return generate.Vary(src, pick(), pick())
}

// note takes in what schedule i did, in the order of the indices.
func (l *learner) note(i int, s *schedule.Schedule, features []feature) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) >= learntMax {
		return
	}
	isNew := false
	for _, f := range features {
		if !l.seen[f] {
			l.seen[f], isNew = true, true
		}
	}
	if isNew {
		l.kept = append(l.kept, learnt{i, s})
	}
}

// indices are those of what was kept. They are enough to know all of it again.
func (l *learner) indices() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]int, len(l.kept))
	for i, k := range l.kept {
		list[i] = k.index
	}
	return list
}

// recall makes and runs again what an earlier process kept: all features that it had seen
// are features of these.
func (l *learner) recall(indices []int) {
	for _, i := range indices {
		s := l.schedule(i)
		_, features := runFeatures(s)
		l.note(i, s, features)
	}
}

// runFeatures is a check that also returns the features of the run.
func runFeatures(s *schedule.Schedule) (*sim.Outcome, []feature) {
	spy := newSpy()
	out := Check(s, sim.RunOptions{Observer: spy})
	return out, spy.features(out)
}
