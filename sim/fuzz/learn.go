package fuzz

import (
	"fmt"
	"slices"
	"sync"

	"gtstore/sim"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

const (
	// roundSize is after how many schedules a search that learns uses what it has learnt.
	roundSize = 32
	// learntMax bounds what it keeps: some 100 MiB. After that it only varies.
	learntMax = 2048
	// nicheMax is how many schedules it remembers for a situation.
	nicheMax = 64
	// freshOf is of how many schedules one is drawn from nothing.
	freshOf = 2

	saltVary = 0x6c6561726e // tells the draws of a variation from those of a fresh schedule
)

// A learner makes the schedules of a search that learns. It keeps each schedule in whose
// run a situation came about for the first time. It makes every second schedule by varying
// one of those: first it draws a situation, and rather one that few of them came to; then
// one of the schedules that did, and rather a short one. It varies that mostly near the
// time of the situation.
//
// Schedule i is the same for any number of workers: what it varies follows from the
// schedules up to the last but one round before its own. All of these have been counted,
// in the order of their indices, when it is made. The rounds of a shard are of its own
// schedules, so schedule i is another one in another shard.
type learner struct {
	seed  uint64
	shard Shard

	mu     sync.Mutex
	kept   []learnt          // in the order of their indices
	niches []niche           // of each situation that came about, in that order
	at     map[situation]int // its index in niches
}

// learnt is a schedule that was kept.
type learnt struct {
	index    int
	schedule *schedule.Schedule
}

// niche is a situation with the first schedules that came to it.
type niche struct {
	class class
	who   []member
}

type member struct {
	kept  int // index
	focus generate.Focus
}

func newLearner(seed uint64, shard Shard) *learner {
	return &learner{seed: seed, shard: shard, at: map[situation]int{}}
}

// needs returns the index below which all schedules of the shard must be counted before
// schedule i can be made.
func (l *learner) needs(i int) int {
	position := (i - l.shard.first()) / l.shard.step()
	return l.shard.first() + max(0, position/roundSize-1)*roundSize*l.shard.step()
}

// schedule makes schedule i.
func (l *learner) schedule(i int) *schedule.Schedule {
	src := generate.NewSource(splitmix.Spread(splitmix.Spread(l.seed^saltVary) + uint64(i)))
	l.mu.Lock()
	of := len(l.kept) // how many of those kept count for this one
	for of > 0 && l.kept[of-1].index >= l.needs(i) {
		of--
	}
	if of == 0 || src.Intn("fresh", freshOf) == 0 {
		l.mu.Unlock()
		return Schedule(l.seed, i)
	}
	one, other := l.draw(src, of), l.draw(src, of)
	l.mu.Unlock()
	return generate.Vary(src, one, other)
}

// shares is how many of so many draws each class of situation gets. There are few marks,
// and each tells much.
var shares = [...]class{classMark, classTaken, classTaken, classChange}

// draw draws a situation that is rare among the first schedules of those kept, and one of
// these that came to it.
func (l *learner) draw(src generate.Source, of int) generate.Parent {
	class := shares[src.Intn("class", len(shares))]
	// weigh goes over the situations of the class. The fewer schedules came to one, the more
	// it weighs.
	weigh := func(use func(who []member, weight int) (more bool)) {
		for i := range l.niches {
			who := l.niches[i].who
			for len(who) > 0 && who[len(who)-1].kept >= of {
				who = who[:len(who)-1]
			}
			if l.niches[i].class == class && len(who) > 0 && !use(who, 1000/len(who)) {
				return
			}
		}
	}
	total := 0
	weigh(func(_ []member, weight int) bool { total += weight; return true })
	left := src.Intn("niche", max(1, total))
	best := member{kept: src.Intn("any", of)} // when nothing of the class has come about
	weigh(func(who []member, weight int) bool {
		if left -= weight; left >= 0 {
			return true
		}
		best = who[src.Intn("varied", len(who))]
		other := who[src.Intn("varied", len(who))]
		if l.kept[other.kept].schedule.Size() < l.kept[best.kept].schedule.Size() {
			best = other
		}
		return false
	})
	return generate.Parent{Schedule: l.kept[best.kept].schedule, Focus: best.focus}
}

// note takes in what schedule i did, in the order of the indices.
func (l *learner) note(i int, s *schedule.Schedule, moments []moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	isNew := slices.ContainsFunc(moments, func(m moment) bool { _, ok := l.at[m.situation]; return !ok })
	if !isNew || len(l.kept) >= learntMax {
		return
	}
	for _, m := range moments {
		at, ok := l.at[m.situation]
		if !ok {
			at = len(l.niches)
			l.at[m.situation] = at
			l.niches = append(l.niches, niche{class: m.situation.class()})
		}
		if n := &l.niches[at]; len(n.who) < nicheMax {
			n.who = append(n.who, member{len(l.kept), m.focus})
		}
	}
	l.kept = append(l.kept, learnt{i, s})
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

// recall makes and runs again what an earlier process kept. All that it had seen came about
// in these. The error says that nothing new did in one of them: then they were not kept.
func (l *learner) recall(indices []int) error {
	for n, i := range indices {
		s := l.schedule(i)
		_, moments := runMoments(s)
		if l.note(i, s, moments); len(l.kept) != n+1 {
			return fmt.Errorf("the state of the search was changed: nothing came about for the first time in schedule %d, which it says to have learnt from. Choose another directory", i)
		}
	}
	return nil
}

// runMoments is a check that also returns what came about.
func runMoments(s *schedule.Schedule) (*sim.Outcome, []moment) {
	spy := &spy{}
	out := Check(s, sim.RunOptions{Observer: spy, Log: spy.log})
	return out, spy.moments(out)
}
