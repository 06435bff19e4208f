package sim

import "gtstore/sim/history"

// watched is a checker with another Observer behind it, which so sees what the
// checks have said of an event, and of a failed run its last moment too.
type watched struct {
	*checker
	also Observer
}

// Begin implements Observer, as do all that follow.
func (o *watched) Begin(w *World) {
	o.checker.Begin(w)
	o.also.Begin(w)
}

// AfterEvent calls both.
func (o *watched) AfterEvent(w *World, h *Host) {
	o.checker.AfterEvent(w, h)
	o.also.AfterEvent(w, h)
}

// AfterChange calls both.
func (o *watched) AfterChange(w *World, h *Host, c Change) {
	o.checker.AfterChange(w, h, c)
	o.also.AfterChange(w, h, c)
}

// AfterResult calls both.
func (o *watched) AfterResult(w *World, op *history.Operation) {
	o.checker.AfterResult(w, op)
	o.also.AfterResult(w, op)
}

// Settled is true when both are content.
func (o *watched) Settled(w *World) bool { return o.checker.Settled(w) && o.also.Settled(w) }

// End calls both.
func (o *watched) End(w *World) {
	o.checker.End(w)
	o.also.End(w)
}
