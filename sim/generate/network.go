package generate

import (
	"slices"
	"time"

	"gtstore/sim/bounds"
	"gtstore/sim/schedule"
)

// Faults that real networks and machines have: messages that are late, not lost;
// processes that are slow, not dead; data that comes up at another address.

// stall has a link, or both ways between two hosts, stall as TCP does after a loss.
func (g *generator) stall(at time.Duration) {
	a := schedule.Action{At: at, Verb: schedule.VerbStall, Link: g.link(), Latency: ms(oneOf(g, "stalled", 200, 50, 100, 200, 250, 250, 400, 800, 1500))}
	g.add(a)
	if g.chance("both ways", 2) {
		a.Link = schedule.Link{From: a.Link.To, To: a.Link.From}
		g.add(a)
	}
}

func (g *generator) lossy(at time.Duration) {
	a := schedule.Action{At: at, Verb: schedule.VerbLossy, Rate: oneOf(g, "loss", 10, 50, 50, 100, 300)}
	if g.chance("one link", 2) {
		a.Link = g.link()
	}
	g.add(a)
	g.until("lossy", at, breakTimes, schedule.Action{Verb: schedule.VerbLossy, Link: a.Link})
}

func (g *generator) mute(at time.Duration) {
	g.add(schedule.Action{At: at, Verb: schedule.VerbMute, Link: g.link()})
}

// lowBandwidth bounds what leaves a host. It makes values large, since only these feel it.
func (g *generator) lowBandwidth(at time.Duration) {
	host := oneOf(g, "sender", g.hosts()...)
	if g.narrow[host] > at {
		return
	}
	g.large = true
	g.add(schedule.Action{At: at, Verb: schedule.VerbBandwidth, Host: host, Rate: oneOf(g, "bandwidth", bounds.BandwidthMin, bounds.BandwidthMin, bounds.BandwidthMin/10, bounds.BandwidthMin/100)})
	g.narrow[host] = g.until("narrow", at, breakTimes, schedule.Action{Verb: schedule.VerbBandwidth, Host: host})
}

// overload makes each message cost a process so much time that it may fall behind.
func (g *generator) overload(at time.Duration) {
	host := oneOf(g, "busy", append(g.nodes(), schedule.ManagerHost)...)
	if g.busy[host] > at {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbBusy, Host: host, Latency: ms(oneOf(g, "cost", 1, 2, 5, 10, 20))})
	g.busy[host] = g.until("busy", at, breakTimes, schedule.Action{Verb: schedule.VerbBusy, Host: host})
}

func (g *generator) stallDisk(at time.Duration) {
	host := oneOf(g, "stalled disk", append(g.nodes(), schedule.ManagerHost)...)
	g.add(schedule.Action{At: at, Verb: schedule.VerbStallDisk, Host: host, Latency: ms(oneOf(g, "stalled", 50, 100, 200, 250, 400, 800, 1500))})
}

// move has a node's data come up at the address of another node, whose data is lost. At
// the old address there is nobody afterwards, or a new node.
func (g *generator) move(at time.Duration) {
	free := g.free(at, g.nodes())
	if len(free) < 2 || !g.lose(at) {
		return
	}
	from := oneOf(g, "moved", free...)
	to := oneOf(g, "moved to", without(free, from)...)
	g.add(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: to})
	g.add(schedule.Action{At: at, Verb: schedule.VerbMove, Host: from, Target: to})
	g.ended[from], g.ended[to], g.away[from] = at, at, forever
	g.goDown(to, at)
	if back := at + ms(oneOf(g, "another there", 20, 50, 200, 600, 1500)); back <= g.end && g.chance("another", 2) {
		g.add(schedule.Action{At: back, Verb: schedule.VerbRestart, Host: from})
		g.away[from] = back
	}
}

// stutter pauses a process again and again. It works in between, so no pause alone
// shows that it is dead.
func (g *generator) stutter(at time.Duration) {
	host := oneOf(g, "stutters", append(g.nodes(), schedule.ManagerHost)...)
	if g.away[host] > at {
		return
	}
	off, on := ms(oneOf(g, "off", 80, 60, 200, 240)), ms(oneOf(g, "on", 40, 100, 300, 1000))
	for range 3 + g.src.Intn("stutters", 8) {
		if at+off > g.end {
			break
		}
		g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
		g.add(schedule.Action{At: at + off, Verb: schedule.VerbResume, Host: host})
		at += off + on
	}
	g.away[host] = at
}

// A calm schedule has trouble, but all of it within the bounds (package bounds). So
// nobody may be evicted, no group presumed lost, and every call must end well.

// calm makes the schedule calm, with trouble between two times, once in mean on average.
func (g *generator) calm(from, to, mean time.Duration) {
	g.s.Shape.OpTimeout = g.s.Shape.CalmTimeout()
	troubles := []string{"pause", "pause", "stall", "slow", "busy"}
	if g.s.Shape.Durable {
		troubles = append(troubles, "slow disk", "stalled disk")
	}
	loss := g.chance("loss", 4) // then nothing else may stall: the two would add up
	if loss {
		g.add(schedule.Action{At: from, Verb: schedule.VerbLossy, Rate: oneOf(g, "loss", 10, bounds.LossMaxPermille)})
	}
	if g.chance("bandwidth", 3) {
		g.large = true
		for _, host := range g.hosts() {
			g.add(schedule.Action{At: from, Verb: schedule.VerbBandwidth, Host: host, Rate: bounds.BandwidthMin})
		}
	}
	quiet := map[string]time.Duration{} // by host: until when it, its disk and its links must have no more trouble
	for at := from; at < to && !loss; at += ms(1 + g.src.Intn("until next", int(2*mean/time.Millisecond))) {
		g.calmFault(at, troubles, quiet)
	}
}

func (g *generator) calmFault(at time.Duration, troubles []string, quiet map[string]time.Duration) {
	took := ms(oneOf(g, "took", 60, 120, 180, 240, int(bounds.PauseMax/time.Millisecond)))
	once := func(hosts ...string) bool {
		for _, host := range hosts {
			if quiet[host] > at {
				return false
			}
		}
		for _, host := range hosts {
			quiet[host] = at + took + bounds.PauseGap
		}
		return true
	}
	kind := oneOf(g, "trouble", troubles...)
	host := oneOf(g, "host", append(g.nodes(), schedule.ManagerHost)...)
	switch kind {
	case "pause":
		if once(host) {
			g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
			g.add(schedule.Action{At: at + took, Verb: schedule.VerbResume, Host: host})
		}
	case "stall":
		if link := g.link(); once(link.From, link.To) {
			g.add(schedule.Action{At: at, Verb: schedule.VerbStall, Link: link, Latency: min(took, bounds.StallMax)})
		}
	case "slow disk":
		if once(host) {
			g.add(schedule.Action{At: at, Verb: schedule.VerbSlowDisk, Host: host, Latency: took / 2})
			g.add(schedule.Action{At: at + 2*took, Verb: schedule.VerbSlowDisk, Host: host, Latency: g.s.Shape.SyncLatency})
		}
	case "stalled disk":
		if once(host) {
			g.add(schedule.Action{At: at, Verb: schedule.VerbStallDisk, Host: host, Latency: min(took, bounds.DiskMax)})
		}
	case "slow":
		if once(host) {
			g.add(schedule.Action{At: at, Verb: schedule.VerbSlow, Host: host, Latency: bounds.SlowMax / 2})
			g.add(schedule.Action{At: at + took, Verb: schedule.VerbSlow, Host: host})
		}
	case "busy":
		if once(host) {
			g.add(schedule.Action{At: at, Verb: schedule.VerbBusy, Host: host, Latency: ms(1)})
			g.add(schedule.Action{At: at + took, Verb: schedule.VerbBusy, Host: host})
		}
	}
}

// sizes are the sizes of large values, in bytes.
var sizes = []int{1 << 20, 1_000, 30_000, 200_000}

// largeMax is how many values of a schedule are large.
const largeMax = 24

// enlarge makes some values large, in a schedule that bounds bandwidth.
func (g *generator) enlarge() {
	if !g.large {
		return
	}
	left := largeMax
	for i := range g.s.Actions {
		if a := &g.s.Actions[i]; slices.Contains([]schedule.Verb{schedule.VerbPut, schedule.VerbCAS}, a.Verb) && left > 0 && g.chance("large", 6) {
			a.Size = oneOf(g, "size", sizes...)
			left--
		}
	}
}
