package history

import (
	"slices"

	"gtstore/core"
)

// This file judges the operations on one key in about linear time. It looks for an
// order in which every result is right, and in which whatever returned before an
// operation was called comes before that operation. An unknown write, one whose outcome
// is unknown, may come anywhere after its call, or be left out.
//
// # What versions settle
//
// A version is the position of its write in the log. So the versions of a key rise from
// write to write, and no two writes share one. A write that succeeded tells its version.
// A get and a conflict tell the version that they saw. A cas that succeeded also tells
// the version that it replaced. Sorted by these versions the writes are in their order,
// whatever their times. Each begins an era. Whoever saw its version takes effect in that
// era; among themselves these come in the order of their calls.
//
// Some versions are told only by operations that saw them. Then the write was an unknown
// one: the one with the value, if a get returned the value, else any. (Where several
// unknown writes have a value that a get returned, this does not help, and Porcupine
// judges. The values of a schedule tell its writes apart.)
//
// Two things are left to place. Absences are results that say that the key did not
// exist: not-found, and a conflict with version 0. Hidden writes are unknown writes that
// took effect, and whose version nobody tells. Nobody sees an era's version after a
// hidden write. So both have their place in the gap between two eras: after those who
// saw the version, and before the next era's write.
//
// # What hidden writes are good for
//
// Without hidden writes, the key is in a gap what the era's write left: absent after a
// delete and before the first write, else present. A hidden write is of use only where
// an absence, or the next write, needs it otherwise:
//
//   - A hidden delete, in a gap that began present. Then come absences, or a cas that
//     expects no key.
//   - A hidden put or cas, where the key is absent and the next write is a delete that
//     found something.
//
// All others can be left out, since nobody tells their versions. There is one case that
// looks like an exception: a hidden write left the version that an unknown cas then
// replaced. If a get saw the value of the cas, the version that it replaced is an era as
// well. If not, the hidden write can stand in for the cas.
//
// One stretch of absence in a gap is enough. Between a first and a second one only
// hidden writes would take effect. So whoever fits into the second fits into the first,
// and the writes between are not needed.
//
// # When absences take effect
//
// An operation can take effect as soon as all that returned before its call have. The
// sweep goes through the gaps in order. It reaches an absence in the first gap after
// which no era has an operation that returned before the absence was called. (Other
// absences do not matter here: one that returned before this one was called is reached
// no later, and comes first.) Whenever the key is absent, all absences that were reached
// take effect. That loses nothing: an operation that changes nothing can be moved
// forward to any place where its result is right and its call is over. So the absences
// that wait need not be told apart. All that matters is the first return among them:
// nothing that was called after it may take effect while they wait.
//
// # Which unknown write is used
//
// Of unknown writes that do the same, the one that was called first is used. If an
// explanation uses a later one here, it uses the earlier one further on or never. The
// two can change places, since what may take effect here may take effect further on as
// well. For the same reason a write that can do less, here and further on, is used
// before one that can do more: first a cas that expects the present version, which no
// later gap has; then, where the key is absent, a create; then a put.
//
// # What is left to try
//
// One choice is left: whether to use a hidden delete in a gap that began present. So the
// sweep carries a set of states, one for each outcome of the choices so far. A state is
// how many unknown writes of each class were used, and the first return of the absences
// that wait. A state that has used no more of any class, and whose first return is no
// earlier, can do all that the other can, and displaces it. There are at most as many
// states as ways to have used three classes. In practice there are one or two, and the
// sweep takes the time of sorting the operations.

// sweepStepsMax is how many states the sweep may look at before it gives up. The largest
// schedule does not come near.
const sweepStepsMax = 1 << 25

// sweep judges the operations on one key.
type sweep struct {
	eras     []era          // by version; the first is the time before the first write
	absences []*Operation   // in the order of their calls
	calls    [classes][]int // by class, the calls of the unknown writes, in their order
	swaps    []*Operation   // each unknown cas that expects a version and is no era's writer
	alike    bool           // several unknown writes have a value that a get returned
	next     []sweepState   // the states after the gap that is being crossed
	steps    int
}

// sweepState is one outcome of the choices up to a gap.
type sweepState struct {
	waiting int          // the first return of the absences that were reached and wait
	used    [classes]int // by class, how many unknown writes were used
}

// judge says whether an order explains the operations on one key. They come in the order
// of their calls.
func judge(ops []*Operation) verdict {
	s := &sweep{}
	switch {
	case !s.collect(ops):
		return unexplained
	case s.alike:
		return searchOrder(ops, searchStepsMax)
	}
	return s.run(sweepStepsMax)
}

func (s *sweep) run(stepsMax int) verdict {
	states := []sweepState{{waiting: noReturn}}
	reached := 0
	for i := range s.eras {
		ahead := s.ahead(i)
		if s.eras[i].called > ahead {
			return unexplained
		}
		first := noReturn // the first return of the absences that are reached in this gap
		for reached < len(s.absences) && s.absences[reached].CallOrder < ahead {
			first = min(first, s.absences[reached].ReturnOrder)
			reached++
		}
		s.next = nil
		for _, st := range states {
			if st.waiting = min(st.waiting, first); s.eras[i].called < st.waiting {
				s.cross(i, st)
			}
		}
		if s.steps > stepsMax {
			return undecided
		}
		if len(s.next) == 0 {
			return unexplained
		}
		states = s.next
	}
	return explained
}

// ahead is the first return of all eras after era i.
func (s *sweep) ahead(i int) int {
	if i+1 == len(s.eras) {
		return noReturn
	}
	return s.eras[i+1].returned
}

// cross takes a state through the gap after era i.
func (s *sweep) cross(i int, st sweepState) {
	if s.eras[i].absent() {
		st.waiting = noReturn
		s.enter(i+1, st, true)
		return
	}
	s.enter(i+1, st, false)
	if st.waiting == noReturn && !s.mayCreate(i+1) {
		return
	}
	if gone, ok := s.use(st, classDelete, min(s.ahead(i), st.waiting)); ok {
		gone.waiting = noReturn
		s.enter(i+1, gone, true)
	}
}

// mayCreate tells whether the write of era i can be a cas that expects no key.
func (s *sweep) mayCreate(i int) bool {
	if i == len(s.eras) {
		return false
	}
	w := s.eras[i].writer
	return w == nil || w.Kind == core.OpCAS && w.Version == 0
}

// enter takes a state over the write of era i, if that can take effect then. After the
// last era it takes it to the end of the history, if no absence waits.
func (s *sweep) enter(i int, st sweepState, absent bool) {
	if i == len(s.eras) {
		if st.waiting == noReturn {
			s.add(st)
		}
		return
	}
	e := &s.eras[i]
	limit := min(e.returned, st.waiting)
	present := s.eras[i-1].version
	if absent {
		present = 0
	}
	w := e.writer
	switch {
	case w == nil:
		s.useAny(st, present, limit)
	case w.CallOrder > limit:
	case w.Kind == core.OpPut, w.Kind == core.OpDelete && !absent, w.Kind == core.OpCAS && w.Version == present:
		s.add(st)
	case w.Kind == core.OpDelete:
		s.useAny(st, 0, limit)
	}
}

// useAny takes a state over some unknown write that leaves a value. Before it the key has
// the version present, or does not exist where that is 0.
func (s *sweep) useAny(st sweepState, present core.Seq, limit int) {
	if present != 0 {
		if slices.ContainsFunc(s.swaps, func(op *Operation) bool { return op.Version == present && op.CallOrder < limit }) {
			s.add(st)
			return
		}
	} else if after, ok := s.use(st, classCreate, limit); ok {
		s.add(after)
		return
	}
	if after, ok := s.use(st, classPut, limit); ok {
		s.add(after)
	}
}

// use returns the state after one more write of the class, if one is left that was called
// before the limit.
func (s *sweep) use(st sweepState, class, limit int) (sweepState, bool) {
	n := st.used[class]
	if n == len(s.calls[class]) || s.calls[class][n] > limit {
		return st, false
	}
	st.used[class]++
	return st, true
}

// add keeps a state for the next gap, unless another one can do all that it can.
func (s *sweep) add(st sweepState) {
	s.steps += 1 + len(s.next)
	for i := range s.next {
		if s.next[i].serves(&st) {
			return
		}
	}
	s.next = append(slices.DeleteFunc(s.next, func(other sweepState) bool { return st.serves(&other) }), st)
}

// serves tells whether this state can do all that the other one can.
func (st *sweepState) serves(other *sweepState) bool {
	if st.waiting < other.waiting {
		return false
	}
	for class, n := range st.used {
		if n > other.used[class] {
			return false
		}
	}
	return true
}
