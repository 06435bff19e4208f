package sim

import (
	"gtstore/sim/network"
	"gtstore/sim/schedule"
)

// faultNetwork carries out an action on the network, and reports whether it changed
// anything; false as the second for one on something else.
func (w *World) faultNetwork(a *schedule.Action) (changed, ok bool) {
	switch a.Verb {
	case schedule.VerbPartition:
		return w.partition(a.Groups), true
	case schedule.VerbHeal:
		return w.healNetwork(), true
	case schedule.VerbCut:
		return w.onLinks(a.Link, func(from, to *Host) bool { return w.net.Cut(w.now, from.index, to.index) }), true
	case schedule.VerbClog:
		return w.onLinks(a.Link, func(from, to *Host) bool { return w.net.Clog(w.now, from.index, to.index) }), true
	case schedule.VerbUnclog:
		return w.onLinks(a.Link, func(from, to *Host) bool {
			changed, decisions := w.net.Unclog(w.now, from.index, to.index)
			w.carryOut(decisions)
			return changed
		}), true
	case schedule.VerbFlaky:
		return w.makeFlaky(a), true
	case schedule.VerbReset:
		return w.onLinks(a.Link, w.reset), true
	case schedule.VerbLossy:
		return w.onLinks(a.Link, func(from, to *Host) bool { return w.net.SetLoss(w.now, from.index, to.index, a.Rate) }), true
	case schedule.VerbMute:
		return w.onLinks(a.Link, func(from, to *Host) bool { return w.net.Mute(w.now, from.index, to.index) }), true
	case schedule.VerbStall:
		return w.onLinks(a.Link, func(from, to *Host) bool {
			w.carryOut(w.net.Stall(w.now, from.index, to.index, int64(a.Latency)))
			return true
		}), true
	}
	return false, false
}

// onLinks does something to a link, or to all when it is none, and reports whether
// that changed anything.
func (w *World) onLinks(l schedule.Link, do func(from, to *Host) bool) (changed bool) {
	if l == (schedule.Link{}) {
		for _, from := range w.hosts {
			for _, to := range w.hosts {
				changed = from != to && do(from, to) || changed
			}
		}
		return changed
	}
	from, to := w.hostNamed(l.From), w.hostNamed(l.To)
	return from != nil && to != nil && from != to && do(from, to)
}

// partition cuts every link between hosts of different groups.
func (w *World) partition(groups [][]string) (changed bool) {
	cut := func(from, to *Host) bool { return w.net.Cut(w.now, from.index, to.index) }
	for i, group := range groups {
		for _, others := range groups[i+1:] {
			for _, a := range group {
				for _, b := range others {
					changed = w.onLinks(schedule.Link{From: a, To: b}, cut) || changed
					changed = w.onLinks(schedule.Link{From: b, To: a}, cut) || changed
				}
			}
		}
	}
	return changed
}

// makeFlaky sets how unreliable a link is from now on, or every link.
func (w *World) makeFlaky(a *schedule.Action) bool {
	var links [][2]int
	changed := w.onLinks(a.Link, func(from, to *Host) bool {
		links = append(links, [2]int{from.index, to.index})
		return true
	})
	w.net.MakeFlaky(w.now, links, network.Rates{
		Drop: uint64(a.Drop), Duplicate: uint64(a.Duplicate), Delay: uint64(a.Delay), Corrupt: uint64(a.Corrupt),
		DelayMax: int64(a.DelayMax),
	})
	return changed
}

// reset breaks the connections between two hosts. Both learn of it.
func (w *World) reset(a, b *Host) bool {
	if !a.up || !b.up {
		return false
	}
	w.tellDown(a, b, b.peer, false)
	w.tellDown(b, a, a.peer, false)
	w.carryOut(w.net.Reset(w.now, a.index, b.index))
	return true
}

// healNetwork ends what is wrong with the network. The links of a host that stays broken
// to the manager and the nodes keep their cuts and clogs. Its links to clients are
// healed: the cluster has no reason to replace a node only because a client cannot reach it.
func (w *World) healNetwork() bool {
	changed, decisions := w.net.Heal(w.now, func(from, to int) bool {
		a, b := w.hosts[from], w.hosts[to]
		return (a.broken || b.broken) && a.role != RoleClient && b.role != RoleClient
	})
	w.carryOut(decisions)
	return changed
}

// lastArrival is when the last message comes of those that are on their way in order.
// Hosts that stay broken do not count.
func (w *World) lastArrival() int64 {
	return w.net.LastArrival(func(host int) bool { return !w.hosts[host].broken })
}
