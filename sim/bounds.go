package sim

import "time"

// The bounds within which a healthy node is never removed from its chain, and no
// group is presumed lost: a run in which that happens all the same violates
// eviction-without-cause, or loss-without-cause. They are what the cluster
// promises of a network and of machines that are tired, but not broken. A machine
// that stalls, or is slow, behind a network that loses packets, or did less than
// PauseGap ago, has two troubles at once, which add up: that is beyond them.
const (
	// Horizon is for how long before the removal everything that concerns a node
	// must have been within the bounds: its own host, the manager's and those of
	// the other members of its chain, and the links among them.
	Horizon = 4 * time.Second

	PauseMax = 250 * time.Millisecond // of a process
	// PauseGap is from the end of a pause or a stall of a process, its disk or one of
	// its links to the next of these: they add up for who waits.
	PauseGap = time.Second

	StallMax = 250 * time.Millisecond // of a link
	// LateMax is by how much one message may come later than the latency of its link
	// has it. On a link that keeps the order more holds up all that follows, and is a stall.
	LateMax = 50 * time.Millisecond

	LossMaxPermille = 50 // of packets that TCP loses,
	LossesMax       = 2  // of one packet, in a row: beyond, a link stalls for more than a second

	DiskMax = 250 * time.Millisecond // that a sync takes, or a disk stalls

	// OneWayMax is how long a message takes at most: half a round trip to another
	// continent, and a tenth for jitter.
	OneWayMax = 165 * time.Millisecond

	BandwidthMin = 12_500_000             // bytes a second: 100 Mbit/s
	QueueMax     = time.Second            // that a message waits at most for its turn to leave its host
	SlowMax      = 50 * time.Millisecond  // by which whatever a process does may begin later
	WorkMax      = 250 * time.Millisecond // that a message waits at most for its turn in a process that is busy

	DriftMaxPPM = 1000 // of a clock, either way
)

// bounds remembers until when something was beyond the bounds.
type bounds struct {
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
	w.bounds = bounds{hosts: all[:n], begins: all[n : 2*n], ends: all[2*n : 3*n], links: all[3*n:]}
	w.bounds.left = w.schedule.Shape.LatencyMax > OneWayMax
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
	if *end != neverYet && *begin != w.now && w.now-*end < int64(PauseGap) {
		w.troubleHost(h, w.now+took)
	}
	*begin, *end = w.now, max(*end, w.now+took)
}

// noteStall holds a link's stall that begins now against the bounds.
func (w *World) noteStall(from, to *Host, took int64) {
	if took > int64(StallMax) {
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
	case late > int64(StallMax):
		w.trouble(from, to, w.now+late)
	case late > int64(LateMax) && l.stream != 0 && l.flaky == 0: // a flaky one is beyond them as it is
		w.noteStall(from, to, late)
	}
}

// noteDiskStall does the same for a disk's.
func (w *World) noteDiskStall(h *Host, took int64) {
	if took > int64(DiskMax) {
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
		if w.now-h.pausedAt > int64(PauseMax) {
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
	case !h.up || h.stopped || h.slow > int64(SlowMax) || h.disk.latency > int64(DiskMax):
		return false
	case len(h.inbox) > 0 && w.now-h.inbox[0].since > int64(WorkMax):
		return false
	case h.paused && w.now-h.pausedAt > int64(PauseMax):
		return false
	case h.uplink.rate > 0 && h.uplink.rate < BandwidthMin:
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
	if !h.paused && (end == neverYet || w.now-end > int64(PauseGap)) && !h.busy && h.slow == 0 && h.disk.latency <= int64(DiskMax)/5 {
		return false
	}
	for _, other := range w.hosts {
		if w.loses(h, other) || w.loses(other, h) {
			return true
		}
	}
	return false
}

// loses tells whether a link loses packets, as TCP does, or did a moment ago: the last of
// them may still be missing.
func (w *World) loses(from, to *Host) bool {
	n := w.link(from, to).stream
	if n == 0 {
		return false
	}
	s := &w.net.streams[n]
	return s.loss > 0 || s.lossEnd > 0 && w.now-s.lossEnd <= int64(PauseGap)
}

// drifts tells whether a host's clock is beyond the bounds.
func (h *Host) drifts() bool {
	return h.clock.rate < million-DriftMaxPPM || h.clock.rate > million+DriftMaxPPM
}

// passable tells whether a link has been within the bounds for the whole horizon.
func (w *World) passable(from, to *Host) bool {
	l := w.link(from, to)
	if l.cut || l.clogged || l.flaky != 0 {
		return false
	}
	if l.stream != 0 {
		if s := &w.net.streams[l.stream]; s.mute || s.loss > LossMaxPermille {
			return false
		}
	}
	return w.past(w.bounds.links[from.index*len(w.hosts)+to.index])
}

// past tells whether a time is out of the horizon.
func (w *World) past(at int64) bool { return at == neverYet || w.now-at > int64(Horizon) }

// calm tells whether some hosts, and the links among them, have been within the
// bounds for the whole horizon.
func (w *World) calm(hosts []*Host) bool {
	if w.schedule.Shape.LatencyMax > OneWayMax {
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
