package history

import (
	"slices"

	"gtstore/core"
)

// How the operations on one key are judged in about linear time. What there is
// to find is an order in which every result is right, and in which an operation
// that returned before another was called comes first; an unknown write, one
// whose outcome is unknown, may come anywhere after its call or be left out.
//
// # What versions settle
//
// A version is the place of its write in the log, so the versions of a key rise
// from write to write, and two writes never share one. Every write that
// succeeded tells its version, every get and conflict the version it saw, and
// every cas that succeeded the one that it replaced. Sorted by version these
// writes are in their order, whatever their times: each begins an epoch, in
// which all those who saw its version take effect, in the order of their calls.
// If no result tells the write itself, it was an unknown one: the one with the
// value, if a get saw it, and else any. (Where several unknown writes have a
// value that a get saw, all this is of no help, and Porcupine judges. The values
// of a schedule tell its writes apart.)
//
// What is left is small: the absences, results that say that the key did not
// exist (not-found, and a conflict with version 0), and the hidden writes,
// unknown writes that took effect and whose version nobody tells. A hidden write
// ends the epoch, so both have their place in the gap after those who saw the
// epoch's version and before the next write.
//
// # What a gap can be good for
//
// Without hidden writes the key is in a gap what the epoch's write left: absent
// after a delete and before the first write, present otherwise. Hidden writes
// are of use only where an absence or the next write needs it otherwise:
//
//   - A hidden delete in a gap that began present. Then come absences, or a cas
//     that expects no key.
//   - A hidden put or cas where the key is absent and the next write is a
//     delete that found something.
//
// All others can be left out, for nobody tells their versions. That a hidden
// write left the version which an unknown cas then replaced is no exception: if a
// get saw the value of the cas, the version it replaced is an epoch as well,
// and if not, the hidden write can stand in for the cas.
//
// One time of absence in a gap is enough: between a first and a second one only
// hidden writes would take effect, so whoever fits into the second fits into the
// first, and the writes between are not needed.
//
// # Who comes when
//
// An operation can take effect as soon as all that returned before its call
// have. So the sweep goes through the gaps in order, and an absence is reached
// in the first gap in which every operation that returned before its call is
// behind it, other absences aside: no epoch ahead returned first. (Of two
// absences, the one that returned before the other's call is reached no later,
// and comes first.) Whenever the key is absent, all absences that were reached
// take effect: what changes nothing can be moved forward to any place where it
// can take effect and its result is right. So the absences that wait need not be
// told apart. All that matters about them is the first of their returns: nothing
// that was called after it may take effect while they wait.
//
// # Which of the unknown writes
//
// Of unknown writes that do the same the one that was called first is used: if
// an explanation uses a later one here, it uses the earlier one further on or
// never, and the two can change places, for what may take effect here may take
// effect further on as well. For the same reason one that can do less, here and
// further on, is used before one that can do more: a cas that expects the
// present version, which no later gap has; then, where the key is absent, a
// create; then a put.
//
// # What is left to try
//
// Only whether to use a hidden delete in a gap that began present. So the sweep
// carries a set of states, what the choices so far have led to, each as how many
// of each class are used and the first return of the absences that wait. A state
// that has used no more than another, of any class, and has no earlier return to
// wait for can do all that the other can, and displaces it. There are at most as
// many states as ways to have used three classes; in practice there are one or
// two, and the sweep takes the time of sorting the operations.

// sweepStepsMax is how many states the sweep may look at before it gives up. A
// schedule of the greatest size does not come near.
const sweepStepsMax = 1 << 25

// sweep judges the operations on one key.
type sweep struct {
	epochs   []epoch        // by version, after the time before the first write
	absences []*Operation   // in the order of their calls
	calls    [classes][]int // of the unknown writes, in their order
	swaps    []*Operation   // unknown cas that expect a version, unless bound to an epoch
	alike    bool           // several unknown writes have a value that was read
	next     []sweepState
	steps    int
}

// sweepState is what the choices up to a gap have led to.
type sweepState struct {
	waiting int          // the first return of the absences that were reached and wait
	used    [classes]int // of each class
}

// judge says whether an order explains the operations on one key, which come in
// the order of their calls.
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
	for i := range s.epochs {
		ahead := s.ahead(i)
		if s.epochs[i].called > ahead {
			return unexplained
		}
		first := noReturn // return of the absences that are reached in this gap
		for reached < len(s.absences) && s.absences[reached].CallOrder < ahead {
			first = min(first, s.absences[reached].ReturnOrder)
			reached++
		}
		s.next = nil
		for _, st := range states {
			if st.waiting = min(st.waiting, first); s.epochs[i].called < st.waiting {
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

// ahead is the first return of all epochs after epoch i.
func (s *sweep) ahead(i int) int {
	if i+1 == len(s.epochs) {
		return noReturn
	}
	return s.epochs[i+1].returned
}

// cross takes a state through the gap after epoch i.
func (s *sweep) cross(i int, st sweepState) {
	if s.epochs[i].absent() {
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

// mayCreate tells whether the write of epoch i can be a cas that expects no key.
func (s *sweep) mayCreate(i int) bool {
	if i == len(s.epochs) {
		return false
	}
	w := s.epochs[i].writer
	return w == nil || w.Kind == core.OpCAS && w.Version == 0
}

// enter lets the write of epoch i take effect, or the history end.
func (s *sweep) enter(i int, st sweepState, absent bool) {
	if i == len(s.epochs) {
		if st.waiting == noReturn {
			s.add(st)
		}
		return
	}
	e := &s.epochs[i]
	bound := min(e.returned, st.waiting)
	present := s.epochs[i-1].version
	if absent {
		present = 0
	}
	w := e.writer
	switch {
	case w == nil:
		s.useAny(st, present, bound)
	case w.CallOrder > bound:
	case w.Kind == core.OpPut, w.Kind == core.OpDelete && !absent, w.Kind == core.OpCAS && w.Version == present:
		s.add(st)
	case w.Kind == core.OpDelete:
		s.useAny(st, 0, bound)
	}
}

// useAny lets some unknown write leave a value where the key has the version
// present or, with 0, does not exist.
func (s *sweep) useAny(st sweepState, present core.Seq, bound int) {
	if present != 0 {
		if slices.ContainsFunc(s.swaps, func(op *Operation) bool { return op.Version == present && op.CallOrder < bound }) {
			s.add(st)
			return
		}
	} else if after, ok := s.use(st, classCreate, bound); ok {
		s.add(after)
		return
	}
	if after, ok := s.use(st, classPut, bound); ok {
		s.add(after)
	}
}

// use is the state after one more write of the class, if one was called before
// the bound.
func (s *sweep) use(st sweepState, class, bound int) (sweepState, bool) {
	n := st.used[class]
	if n == len(s.calls[class]) || s.calls[class][n] > bound {
		return st, false
	}
	st.used[class]++
	return st, true
}

// add notes a state for the next gap, unless another can do as much.
func (s *sweep) add(st sweepState) {
	s.steps += 1 + len(s.next)
	for i := range s.next {
		if s.next[i].serves(&st) {
			return
		}
	}
	s.next = append(slices.DeleteFunc(s.next, func(other sweepState) bool { return st.serves(&other) }), st)
}

// serves tells whether all that can follow the other state can follow this one.
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
