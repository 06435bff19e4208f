package sim

import "gtstore/sim/bounds"

// troubles remembers until when something was beyond the bounds.
type troubles struct {
	hosts  []int64 // by Host.index; virtual times, -1 for never
	links  []int64 // as network.links
	begins []int64 // of a host's last pause, or stall; -1 for none
	ends   []int64
	left   bool // something was beyond the bounds in this run
}

const neverYet = -1

func (w *World) initBounds() {
	n := len(w.hosts)
	all := make([]int64, 3*n+n*n)
	for i := range all {
		all[i] = neverYet
	}
	w.bounds = troubles{hosts: all[:n], begins: all[n : 2*n], ends: all[2*n : 3*n], links: all[3*n:]}
	w.bounds.left = w.schedule.Shape.LatencyMax > bounds.OneWayMax
	for _, h := range w.hosts {
		w.troubleIf(h, h.drifts())
	}
}

// troubleHost notes that a host is beyond the bounds until a time.
func (w *World) troubleHost(h *Host, until int64) {
	w.bounds.hosts[h.index] = max(w.bounds.hosts[h.index], until)
	w.bounds.left = true
}

func (w *World) troubleIf(h *Host, beyond bool) {
	if beyond {
		w.troubleHost(h, w.now)
	}
}

// trouble notes that a link is beyond the bounds until a time.
func (w *World) trouble(from, to *Host, until int64) {
	at := &w.bounds.links[from.index*len(w.hosts)+to.index]
	*at = max(*at, until)
	w.bounds.left = true
}

// noteHiccup holds a pause or a stall that begins now, at a host, its disk or one of
// its links, against the bounds: what follows another too soon adds up with it. What
// begins at the same moment is one and the same.
func (w *World) noteHiccup(h *Host, took int64) {
	b := &w.bounds
	begin, end := &b.begins[h.index], &b.ends[h.index]
	if *end != neverYet && *begin != w.now && w.now-*end < int64(bounds.PauseGap) {
		w.troubleHost(h, w.now+took)
	}
	*begin, *end = w.now, max(*end, w.now+took)
}

// noteStall holds a link's stall that begins now against the bounds.
func (w *World) noteStall(from, to *Host, took int64) {
	if took > int64(bounds.StallMax) {
		w.trouble(from, to, w.now+took)
	}
	w.noteHiccup(from, took)
	w.noteHiccup(to, took)
}

// noteLate holds a message that is sent now, and comes later than its link has it,
// against the bounds.
func (w *World) noteLate(from, to *Host, late int64) {
	l := w.link(from, to)
	switch {
	case late > int64(bounds.StallMax):
		w.trouble(from, to, w.now+late)
	case late > int64(bounds.LateMax) && l.stream != 0 && l.flaky == 0: // a flaky one is beyond them as it is
		w.noteStall(from, to, late)
	}
}

// noteDiskStall does the same for a disk's.
func (w *World) noteDiskStall(h *Host, took int64) {
	if took > int64(bounds.DiskMax) {
		w.troubleHost(h, w.now+took)
	}
	w.noteHiccup(h, took)
}

// noteChange holds what happens to a host's process against the bounds. That it
// starts for the first time is no trouble.
func (w *World) noteChange(h *Host, c Change) {
	switch c {
	case HostPaused:
		w.noteHiccup(h, 0)
		h.pausedAt = w.now
	case HostResumed:
		if w.now-h.pausedAt > int64(bounds.PauseMax) {
			w.troubleHost(h, w.now)
		}
		w.bounds.ends[h.index] = max(w.bounds.ends[h.index], w.now)
	case HostStarted:
		if h.incarnation > 1 {
			w.troubleHost(h, w.now)
		}
	default:
		w.troubleHost(h, w.now)
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
	case h.uplink.rate > 0 && h.uplink.rate < bounds.BandwidthMin:
		return false
	case h.drifts() || w.twice(h):
		return false
	}
	return w.past(w.bounds.hosts[h.index])
}

// noteTroubles looks, after each action, for hosts with two troubles at once.
func (w *World) noteTroubles() {
	if len(w.net.streams) <= 1 {
		return
	}
	for _, h := range w.hosts {
		w.troubleIf(h, w.twice(h))
	}
}

// twice tells whether a host's links lose packets while its process is slow, or its
// disk, or it stalls, or did a moment ago.
func (w *World) twice(h *Host) bool {
	end := w.bounds.ends[h.index]
	if !h.paused && (end == neverYet || w.now-end > int64(bounds.PauseGap)) && !h.busy && h.slow == 0 && h.disk.latency <= int64(bounds.DiskMax)/5 {
		return false
	}
	for _, other := range w.hosts {
		if w.Loses(h, other) || w.Loses(other, h) {
			return true
		}
	}
	return false
}

// Loses tells whether a link loses packets, as TCP does.
func (w *World) Loses(from, to *Host) bool {
	n := w.link(from, to).stream
	return n != 0 && w.net.streams[n].loss > 0
}

// drifts tells whether a host's clock is beyond the bounds.
func (h *Host) drifts() bool {
	return h.clock.rate < million-bounds.DriftMaxPPM || h.clock.rate > million+bounds.DriftMaxPPM
}

// passable tells whether a link has been within the bounds for the whole horizon.
func (w *World) passable(from, to *Host) bool {
	l := w.link(from, to)
	if l.cut || l.clogged || l.flaky != 0 {
		return false
	}
	if l.stream != 0 {
		if s := &w.net.streams[l.stream]; s.mute || s.loss > bounds.LossMaxPermille {
			return false
		}
	}
	return w.past(w.bounds.links[from.index*len(w.hosts)+to.index])
}

// past tells whether a time is out of the horizon.
func (w *World) past(at int64) bool { return at == neverYet || w.now-at > int64(bounds.Horizon) }

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
