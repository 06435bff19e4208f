// Package check holds what must be true against every event of a run: the
// invariants of the protocol, what operators were told, what the cluster promises
// within the bounds, and that after the faults it is of use again. It looks on, as
// an Observer, and changes nothing.
//
// It also notes which marks a run comes to (see marker): to tell whether an event
// makes a situation, the marker needs what the checker knew before that event, so
// the two share that knowledge and one package.
package check
