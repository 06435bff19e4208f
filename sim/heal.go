package sim

import (
	"errors"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
)

// heal ends all faults, but for those of hosts that are to stay broken. Even there a
// bound on the bandwidth ends, and messages cost no time any more: such a load is no
// fault of the host. What was stopped or has halted stays down, with two exceptions: the
// host of a storage node that halted in memory mode starts a new one, and a host whose
// disk had failed or was full starts again.
func (w *World) heal() {
	if w.log != nil {
		w.log(&LogRecord{At: time.Duration(w.now), What: LogHealed, Text: "the faults end"})
	}
	w.leaveBroken()
	w.healNetwork()
	for _, h := range w.hosts {
		w.troubleIf(h, h.slow > int64(bounds.SlowMax) || h.disk.latency > int64(bounds.DiskMax) || w.net.Narrow(h.index))
		w.carryOut(w.net.SetBandwidth(w.now, h.index, 0))
		w.setCost(h, 0)
		if h.broken {
			continue
		}
		w.setSlow(h, 0)
		h.disk.stalled = min(h.disk.stalled, w.now)
		w.resumeDisk(h)
		h.disk.latency, h.disk.full, h.disk.failing = int64(w.schedule.Shape.SyncLatency), false, nil
		switch {
		case h.paused:
			w.resume(h)
		case h.up || h.stopped || h.incarnation == 0:
		case h.halted == nil || h.role == RoleStorage && !w.schedule.Shape.Durable || errors.Is(h.halted, errSyncFailed) || errors.Is(h.halted, errDiskFull):
			w.start(h)
		}
	}
}

// leaveBroken settles which hosts stay broken: those that the schedule names. But the
// members of a group do not, when no host that is healed anyway has a copy of it.
func (w *World) leaveBroken() {
	for _, name := range w.schedule.Unhealed {
		w.hostNamed(name).broken = true
	}
	m := w.Manager().Manager()
	if m == nil {
		return
	}
	for i := range m.Groups() {
		chain := m.Config(core.GroupID(i + 1)).Chain
		if slices.ContainsFunc(chain, func(p core.Peer) bool {
			h := w.Holder(p.ID)
			return h != nil && !h.broken && !h.stopped && (h.up || !h.disk.empty() && h.disk.intact())
		}) {
			continue
		}
		for _, p := range chain {
			h := w.Holder(p.ID)
			if h == nil {
				h = w.hostNamed(p.Addr)
			}
			h.broken = false
		}
	}
}
