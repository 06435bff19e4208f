package sim

import (
	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/schedule"
)

// fault carries out an action that is no operation, and reports whether it
// changed anything.
func (w *World) fault(a *schedule.Action) bool {
	if changed, ok := w.faultNetwork(a); ok {
		return changed
	}
	if a.Verb == schedule.VerbTerms {
		changed := false
		for _, h := range w.managers {
			changed = h.setTerms(&a.Terms) || changed
		}
		return changed
	}
	h := w.hostNamed(a.Host)
	if h == nil {
		return false
	}
	switch a.Verb {
	case schedule.VerbPause:
		if !h.up || h.paused {
			return false
		}
		w.pause(h)
	case schedule.VerbResume:
		if !h.up || !h.paused {
			return false
		}
		w.resume(h)
	case schedule.VerbSlow:
		w.troubleIf(h, max(h.slow, int64(a.Latency)) > int64(bounds.SlowMax))
		w.setSlow(h, int64(a.Latency))
	case schedule.VerbBandwidth:
		w.troubleIf(h, w.net.Narrow(h.index) || a.Rate > 0 && a.Rate < bounds.BandwidthMin)
		w.carryOut(w.net.SetBandwidth(w.now, h.index, int64(a.Rate)))
	case schedule.VerbBusy:
		w.setCost(h, int64(a.Latency))
	default:
		if a.Verb.OnDisk() {
			return w.faultDisk(a, h)
		}
		return w.faultProcess(a, h)
	}
	return true
}

// faultDisk carries out an action on a host's disk.
func (w *World) faultDisk(a *schedule.Action, h *Host) bool {
	d := &h.disk
	switch a.Verb {
	case schedule.VerbSlowDisk:
		w.troubleIf(h, max(d.latency, int64(a.Latency)) > int64(bounds.DiskMax))
		d.latency = int64(a.Latency)
	case schedule.VerbStallDisk:
		w.stallDisk(h, int64(a.Latency))
	case schedule.VerbFailSync:
		if !h.up || d.failing != nil {
			return false
		}
		d.failing = a
	case schedule.VerbFullDisk, schedule.VerbFreeDisk:
		full := a.Verb == schedule.VerbFullDisk
		if d.full == full {
			return false
		}
		d.full = full
	default:
		return d.damage(a.Record, a.Verb)
	}
	return true
}

// faultProcess carries out an action on the process, or the data, of a host.
func (w *World) faultProcess(a *schedule.Action, h *Host) bool {
	switch a.Verb {
	case schedule.VerbCrash:
		if !h.up {
			return false
		}
		w.kill(h, a.Keep, a.Torn, HostCrashed)
	case schedule.VerbRestart:
		if h.up {
			return false
		}
		w.start(h)
	case schedule.VerbWipe:
		if h.up {
			w.kill(h, 0, 0, HostCrashed)
		}
		h.disk.wipe()
		w.changed(h, HostWiped)
	case schedule.VerbStop, schedule.VerbClose:
		if !h.up {
			return false
		}
		h.stopped = true
		w.pushLocal(h, w.now, tieLocal, &core.Envelope{From: h.peer, To: h.peer, Body: &core.Stop{}})
	case schedule.VerbMove:
		return w.move(h, w.hostNamed(a.Target))
	case schedule.VerbForget, schedule.VerbDrain:
		if h.incarnation == 0 || h.peer.ID == 0 {
			return false
		}
		w.operate(h, a.Verb == schedule.VerbDrain)
	default:
		return false
	}
	return true
}
