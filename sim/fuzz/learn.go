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

	mu    sync.Mutex
	kept  []learnt // in the order of their indices
	seen  map[situation]bool
	drawn draws // from what can be varied now
}

// learnt is a schedule that was kept.
type learnt struct {
	index    int
	schedule *schedule.Schedule
	moments  []moment
}

// draws is how a schedule to vary is drawn from the first of those that were kept.
type draws struct {
	of      int               // how many
	byName  map[situation]int // index in the niches of its class
	classes [classCount]struct {
		niches []niche
		weight int // of all of them
	}
}

// niche is a situation with the schedules that came to it.
type niche struct {
	who []nicheMember
}

type nicheMember struct {
	kept  int // index
	focus generate.Focus
}

func newLearner(seed uint64, shard Shard) *learner {
	return &learner{seed: seed, shard: shard, seen: map[situation]bool{}}
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
	d := l.drawsFor(i)
	if d.of == 0 || src.Intn("fresh", freshOf) == 0 {
		l.mu.Unlock()
		return Schedule(l.seed, i)
	}
	one, other := l.draw(src, d), l.draw(src, d)
	l.mu.Unlock()
	return generate.Vary(src, one, other)
}

// weightOf is the weight of a niche: as much as one schedule's, shared by all that came to
// it.
func weightOf(n *niche) int { return max(1, 1000/len(n.who)) }

// drawsFor returns what schedule i is drawn from.
func (l *learner) drawsFor(i int) *draws {
	of := 0
	for of < len(l.kept) && l.kept[of].index < l.needs(i) {
		of++
	}
	if l.drawn.of > of || l.drawn.byName == nil {
		l.drawn = draws{byName: map[situation]int{}}
	}
	d := &l.drawn
	for ; d.of < of; d.of++ {
		for _, m := range l.kept[d.of].moments {
			c := &d.classes[m.situation.class()]
			at, ok := d.byName[m.situation]
			if ok {
				c.weight -= weightOf(&c.niches[at])
			} else {
				at = len(c.niches)
				d.byName[m.situation] = at
				c.niches = append(c.niches, niche{})
			}
			c.niches[at].who = append(c.niches[at].who, nicheMember{d.of, m.focus})
			c.weight += weightOf(&c.niches[at])
		}
	}
	return d
}

// shares is how many of so many draws each class of situation gets. Those of groups are
// the most, and the least telling.
var shares = [...]class{classMark, classMark, classTaken, classTaken, classTaken, classChange, classGroup}

func (l *learner) draw(src generate.Source, d *draws) generate.Parent {
	c := &d.classes[shares[src.Intn("class", len(shares))]]
	left, at := src.Intn("niche", c.weight), 0
	for left >= weightOf(&c.niches[at]) {
		left -= weightOf(&c.niches[at])
		at++
	}
	who := c.niches[at].who
	best := who[src.Intn("varied", len(who))]
	if other := who[src.Intn("varied", len(who))]; l.kept[other.kept].schedule.Size() < l.kept[best.kept].schedule.Size() {
		best = other
	}
	return generate.Parent{Schedule: l.kept[best.kept].schedule, Focus: best.focus}
}

// note takes in what schedule i did, in the order of the indices.
func (l *learner) note(i int, s *schedule.Schedule, moments []moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) >= learntMax {
		return
	}
	isNew := false
	for _, m := range moments {
		if !l.seen[m.situation] {
			l.seen[m.situation], isNew = true, true
		}
	}
	if isNew {
		l.kept = append(l.kept, learnt{i, s, moments})
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

// recall makes and runs again what an earlier process kept. All that it had seen came about
// in these.
func (l *learner) recall(indices []int) {
	for _, i := range indices {
		s := l.schedule(i)
		_, moments := runMoments(s)
		l.note(i, s, moments)
	}
}

// runMoments is a check that also returns what came about.
func runMoments(s *schedule.Schedule) (*sim.Outcome, []moment) {
	spy := &spy{}
	out := Check(s, sim.RunOptions{Observer: spy, Log: spy.log})
	return out, spy.moments(out)
}
