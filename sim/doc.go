// Package sim runs GTStore's core on a virtual clock, over a network that
// loses, repeats, delays, reorders and corrupts messages, on hosts that crash,
// stall and lose what their disks had not synced.
//
// A schedule (package schedule) says everything that happens from outside; it can
// be drawn (package generate) and made smaller while it still fails (package
// shrink). The same schedule gives the same events in the same order, always:
// randomness inside a run is a hash of the seed and the name of the thing decided
// (package splitmix), so that it does not depend on what else happens.
//
// Run itself judges what only the engine sees: that nodes keep their contract with
// their driver, that every call has one result, that each ends within
// schedule.LivenessBound once the faults are over, and that the history is linearizable
// (package history). All else is judged by Observers; package check has them.
package sim
