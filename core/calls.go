package core

import (
	"cmp"
	"container/heap"
	"slices"
)

// calls are the operations that a client has under way. They are a heap by dueAt: what
// one call costs does not depend on how many there are.
type calls []*call

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (cs calls) Len() int           { return len(cs) }
func (cs calls) Less(i, j int) bool { return cs[i].dueAt < cs[j].dueAt }
func (cs calls) Swap(i, j int) {
	cs[i], cs[j] = cs[j], cs[i]
	cs[i].place, cs[j].place = i, j
}

func (cs *calls) Push(x any) {
	x.(*call).place = len(*cs)
	*cs = append(*cs, x.(*call))
}

func (cs *calls) Pop() any {
	last := len(*cs) - 1
	c := (*cs)[last]
	(*cs)[last] = nil
	*cs = (*cs)[:last]
	return c
}

func (cs *calls) remove(c *call) { heap.Remove(cs, c.place) }

// moved puts a call in its place after its dueAt has changed.
func (cs *calls) moved(c *call) { heap.Fix(cs, c.place) }

// next is when the first call is due, or Never.
func (cs calls) next() Time {
	if len(cs) == 0 {
		return Never
	}
	return cs[0].dueAt
}

// due returns the calls that are due, oldest first.
func (cs calls) due(now Time) []*call {
	return oldestFirst(cs.dueBelow(0, now, nil))
}

// dueBelow adds those at or below a place in the heap. Below one that is not due, none is.
func (cs calls) dueBelow(place int, now Time, list []*call) []*call {
	if place >= len(cs) || cs[place].dueAt > now {
		return list
	}
	list = append(list, cs[place])
	return cs.dueBelow(2*place+2, now, cs.dueBelow(2*place+1, now, list))
}

// all returns all calls, oldest first.
func (cs calls) all() []*call { return oldestFirst(slices.Clone(cs)) }

// oldestFirst sorts calls by when they were called, so that what is done about them does
// not depend on the shape of the heap.
func oldestFirst(list []*call) []*call {
	slices.SortFunc(list, func(a, b *call) int { return cmp.Compare(a.number, b.number) })
	return list
}
