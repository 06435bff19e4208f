package sim

import (
	"time"

	"gtstore/sim/mark"
	"gtstore/sim/schedule"
)

// Keys returns the keys of the workload; the slice must not be changed.
func (w *World) Keys() []string { return w.keys }

// Requests returns what the operator has asked of the manager so far; the slice
// must not be changed.
func (w *World) Requests() []Request { return w.requests }

// Faults tells how many faults the schedule has brought about so far.
func (w *World) Faults() (n int) {
	for verb, times := range w.fired.Verbs {
		if schedule.Verb(verb).Operation() == 0 {
			n += times
		}
	}
	return n
}

// Marks returns the situations that the engine alone sees, and has seen so far.
func (w *World) Marks() (s mark.Set) {
	s.Add(&w.came)
	s.Add(w.net.Marks())
	return s
}

// LeftBounds reports that something was beyond the bounds in this run.
func (w *World) LeftBounds() bool { return w.ledger.Left() }

// PausedAt returns when the process was last paused, in virtual time.
func (h *Host) PausedAt() time.Duration { return time.Duration(h.pausedAt) }

// HasData reports that something is durable on the host's disk.
func (h *Host) HasData() bool { return !h.disk.empty() }

// Unsynced reports that something was written that is not durable yet.
func (h *Host) Unsynced() bool { return !h.disk.clean() }

// SyncLatency returns how long a sync of the disk takes that begins now.
func (h *Host) SyncLatency() time.Duration { return time.Duration(h.disk.latency) }

// LastCrash tells what the last crash has done to what was not durable.
func (h *Host) LastCrash() Crash { return h.disk.crashed }

// ClockRate returns by how much the host's clock goes on in a million nanoseconds.
func (h *Host) ClockRate() uint64 { return h.clock.rate }
