package check

import (
	"gtstore/sim"
	"gtstore/sim/history"
)

// both is the checker and an Observer that is told of everything after it. So that
// one also sees what the checks have said of an event, and the last moment of a run
// that failed.
type both struct {
	*checker
	also sim.Observer
}

// Begin calls both, as do all that follow.
func (o *both) Begin(w *sim.World) {
	o.checker.Begin(w)
	o.also.Begin(w)
}

// AfterEvent implements sim.Observer.
func (o *both) AfterEvent(w *sim.World, h *sim.Host) {
	o.checker.AfterEvent(w, h)
	o.also.AfterEvent(w, h)
}

// AfterChange implements sim.Observer.
func (o *both) AfterChange(w *sim.World, h *sim.Host, c sim.Change) {
	o.checker.AfterChange(w, h, c)
	o.also.AfterChange(w, h, c)
}

// AfterResult implements sim.Observer.
func (o *both) AfterResult(w *sim.World, op *history.Operation) {
	o.checker.AfterResult(w, op)
	o.also.AfterResult(w, op)
}

// Settled is true when both are content.
func (o *both) Settled(w *sim.World) bool { return o.checker.Settled(w) && o.also.Settled(w) }

// End implements sim.Observer.
func (o *both) End(w *sim.World) {
	o.checker.End(w)
	o.also.End(w)
}
