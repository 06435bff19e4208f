// Package sim runs GTStore's core on a virtual clock, over a network that
// loses, repeats, delays, reorders and corrupts messages, on hosts that crash,
// stall and lose what their disks had not synced; and checks what comes of it.
//
// A Schedule says everything that happens from outside. It is data: it can be
// drawn (Generate), written as text and read again (String, Parse), run (Check),
// and made smaller while it still fails (Shrink). The same Schedule gives the
// same events in the same order, always: randomness inside a run is a hash of
// the seed and the name of the thing decided, so that it does not depend on what
// else happens.
//
// Check holds against each run:
//
//   - the invariants of the protocol, after every event (see checker);
//   - linearizability of the whole history, one key at a time, writes of unknown
//     outcome open for ever: by the order of the versions, and what that objects to
//     is put before Porcupine, which searches all orders;
//   - liveness: once the faults are over, every operation ends within
//     LivenessBound, every group of which a copy works serves again, its members
//     agree, and a group of which no copy is left is said to be lost.
//
// Check also notes which Marks a run reaches: situations with a name, such as a
// promotion with an uncommitted suffix. A search tells nothing of a situation that
// none of its schedules came to; and a trace whose heading says "shows MARK..."
// is not applicable when its run no longer does (see Outcome.Missing). With a
// Recording it also tells from which event on the code behaves otherwise than it
// did when the trace was saved.
//
// A message is named by link, kind and ordinal, as in "drop n1>n2 Replicate#3",
// so that a saved trace still means what it says after a small change of code.
package sim
