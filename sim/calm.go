package sim

import (
	"slices"
	"time"

	"gtstore/sim/bounds"
)

func (w *World) initLedger() {
	w.ledger = bounds.NewLedger(len(w.hosts))
	if w.schedule.Shape.LatencyMax > bounds.OneWayMax {
		w.ledger.Leave()
	}
	for _, h := range w.hosts {
		w.troubleIf(h, h.drifts())
	}
}

// troubleIf notes that a host is beyond the bounds now, if it is.
func (w *World) troubleIf(h *Host, beyond bool) {
	if beyond {
		w.ledger.Host(h.index, w.now)
	}
}

// noteChange holds what happens to a host's process against the bounds. That it
// starts for the first time is no trouble.
func (w *World) noteChange(h *Host, c Change) {
	switch c {
	case HostPaused:
		w.ledger.Hiccup(h.index, w.now, 0)
		h.pausedAt = w.now
	case HostResumed:
		w.ledger.Paused(h.index, w.now, w.now-h.pausedAt)
	case HostStarted:
		w.troubleIf(h, h.incarnation > 1)
	default:
		w.troubleIf(h, true)
	}
}

// well tells whether a host has been within the bounds for the whole horizon.
func (w *World) well(h *Host) bool {
	switch {
	case !h.up || h.stopped || h.slow > int64(bounds.SlowMax) || h.disk.latency > int64(bounds.DiskMax):
		return false
	case len(h.inbox) > 0 && w.now-h.inbox[0].since > int64(bounds.WorkMax):
		return false
	case h.paused && w.now-h.pausedAt > int64(bounds.PauseMax):
		return false
	case w.net.Narrow(h.index) || h.drifts() || w.twoTroubles(h):
		return false
	}
	return w.ledger.HostQuiet(h.index, w.now)
}

// noteTroubles looks, after each action, for hosts with two troubles at once.
func (w *World) noteTroubles() {
	if !w.net.KeepsOrder() {
		return
	}
	for _, h := range w.hosts {
		w.troubleIf(h, w.twoTroubles(h))
	}
}

// twoTroubles tells whether a host's links lose packets while its process is slow,
// or its disk, or it stalls; or did a moment ago.
func (w *World) twoTroubles(h *Host) bool {
	if !h.paused && !w.ledger.HadHiccup(h.index, w.now) && !h.busy && h.slow == 0 && h.disk.latency <= int64(bounds.DiskMax)/5 {
		return false
	}
	for _, other := range w.hosts {
		if w.net.LosesOrDid(w.now, h.index, other.index) || w.net.LosesOrDid(w.now, other.index, h.index) {
			return true
		}
	}
	return false
}

// drifts tells whether a host's clock is beyond the bounds.
func (h *Host) drifts() bool {
	return h.clock.rate < million-bounds.DriftMaxPPM || h.clock.rate > million+bounds.DriftMaxPPM
}

// passable tells whether a link has been within the bounds for the whole horizon.
func (w *World) passable(from, to *Host) bool {
	return w.net.Sound(from.index, to.index) && w.ledger.LinkQuiet(from.index, to.index, w.now)
}

// Free tells whether nothing at all is wrong with a host just now.
func (w *World) Free(h *Host) bool {
	return h.up && !h.paused && !h.stopped && h.slow == 0 && !h.busy && !h.drifts() && !w.net.Narrow(h.index) &&
		h.disk.latency <= int64(w.schedule.Shape.SyncLatency) && h.disk.stalled <= w.now && !h.disk.full && h.disk.failing == nil
}

// FreeSince returns since when something was last wrong with some hosts, or with what they send to
// each other; false if something is now.
func (w *World) FreeSince(hosts []*Host) (since time.Duration, free bool) {
	last := int64(0)
	for i, h := range hosts {
		if !w.Free(h) {
			return 0, false
		}
		last = max(last, w.ledger.HostSince(h.index))
		for _, other := range hosts[:i] {
			if !w.net.Free(w.now, h.index, other.index) || !w.net.Free(w.now, other.index, h.index) {
				return 0, false
			}
			last = max(last, w.ledger.LinkSince(h.index, other.index), w.ledger.LinkSince(other.index, h.index))
		}
	}
	return time.Duration(last), true
}

// CutOff tells whether nothing passes between a host and some others, either way.
func (w *World) CutOff(h *Host, others []*Host) bool {
	return !slices.ContainsFunc(others, func(other *Host) bool {
		return other != h && (w.net.Passes(h.index, other.index) || w.net.Passes(other.index, h.index))
	})
}

// Calm tells whether some hosts, and the links among them, have been within the
// bounds for the whole horizon.
func (w *World) Calm(hosts []*Host) bool {
	if w.schedule.Shape.LatencyMax > bounds.OneWayMax {
		return false
	}
	for i, h := range hosts {
		if !w.well(h) {
			return false
		}
		for _, other := range hosts[:i] {
			if !w.passable(h, other) || !w.passable(other, h) {
				return false
			}
		}
	}
	return true
}
