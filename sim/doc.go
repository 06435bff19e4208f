// Package sim runs GTStore's core on a virtual clock, over a network that
// loses, repeats, delays, reorders and corrupts messages, on hosts that crash,
// stall and lose what their disks had not synced; and checks what comes of it.
//
// A schedule (package schedule) says everything that happens from outside; it can
// be drawn (package generate) and made smaller while it still fails (package
// shrink). The same schedule gives the same events in the same order, always:
// randomness inside a run is a hash of the seed and the name of the thing decided
// (package splitmix), so that it does not depend on what else happens.
//
// Check holds against each run:
//
//   - the invariants of the protocol, after every event (see checker);
//   - linearizability of the whole history (package history), writes of unknown
//     outcome open for ever;
//   - liveness: once the faults are over, every operation ends within
//     LivenessBound, every group of which a copy works serves again, its members
//     agree, and a group of which no copy is left is said to be lost.
//
// Check also notes which marks a run reaches (package mark): situations with a
// name, such as a promotion with an uncommitted suffix. A search tells nothing of a
// situation that none of its schedules came to; and a trace whose heading says
// "shows MARK..." is not applicable when its run no longer does (see
// Outcome.Missing).
package sim
