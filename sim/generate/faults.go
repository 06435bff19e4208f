package generate

import (
	"slices"
	"time"

	"gtstore/sim/schedule"
)

// faultKind is a kind of fault that a schedule has on or off.
type faultKind struct {
	name    string
	on      int // in how many of eight schedules
	weight  int // how often it is drawn in these
	durable bool
	draw    func(g *generator, at time.Duration)
}

var faultKinds = []faultKind{
	{"crash", 5, 6, false, (*generator).crash},
	{"pause", 4, 4, false, (*generator).pauseNode},
	{"partition", 4, 4, false, (*generator).partition},
	{"cut", 4, 4, false, (*generator).cut},
	{"flaky", 4, 4, false, (*generator).flaky},
	{"reset", 3, 3, false, (*generator).reset},
	{"pause manager", 3, 2, false, (*generator).pauseManager},
	{"pause client", 3, 2, false, (*generator).pauseClient},
	{"wipe", 3, 2, false, (*generator).wipe},
	{"clog", 3, 3, false, (*generator).clog},
	{"swizzle", 2, 1, false, (*generator).swizzle},
	{"slow node", 3, 2, false, (*generator).slowNode},
	{"slow disk", 4, 3, true, (*generator).slowDisk},
	{"failed sync", 3, 2, true, (*generator).failSync},
	{"full disk", 2, 1, true, (*generator).fullDisk},
	{"damaged disk", 4, 3, true, (*generator).damage},
	{"rolling restart", 2, 1, true, (*generator).rollingRestart},
	{"mass crash", 3, 2, true, (*generator).massCrash},
	{"crash manager", 4, 3, true, (*generator).crashManager},
	{"stop", 2, 1, false, (*generator).stop},
	{"forget", 2, 2, false, (*generator).forget},
	{"drain", 3, 2, false, (*generator).drain},
	{"hampered join", 5, 5, false, (*generator).hamperJoin},
	{"stall", 3, 3, false, (*generator).stall},
	{"lossy", 3, 2, false, (*generator).lossy},
	{"mute", 2, 2, false, (*generator).mute},
	{"bandwidth", 2, 2, false, (*generator).lowBandwidth},
	{"overload", 2, 2, false, (*generator).overload},
	{"stalled disk", 3, 2, true, (*generator).stallDisk},
	{"move", 3, 2, true, (*generator).move},
	{"stutter", 2, 1, false, (*generator).stutter},
	{"replace all", 4, 3, false, (*generator).replaceAll},
}

// drawFaults draws the fault plan in the order of time, so that what is down
// or paused at a fault is known when it is drawn.
func (g *generator) drawFaults() {
	var on []faultKind
	total := 1 // a fault that is none, the simplest
	for _, kind := range faultKinds {
		if kind.durable && !g.s.Shape.Durable {
			continue
		}
		if g.src.Intn(kind.name, 8) >= 8-kind.on {
			on = append(on, kind)
			total += kind.weight
		}
	}
	count := 6 + g.src.Intn("faults", 13)
	mean := (g.end - ms(150)) / time.Duration(count)
	at := ms(150)
	for range count {
		if n := g.src.Intn("fault", total); n > 0 {
			g.fault(on, n-1, at)
		}
		// Mostly spread over the phase, sometimes nearly at once.
		if n := g.src.Intn("until next", 10); n < 3 {
			at += ms(3 * n)
		} else {
			at += (mean * time.Duration(n-2) / 3).Truncate(time.Millisecond)
		}
		if at > g.end {
			break
		}
	}
	if !g.s.Shape.Durable && g.chance("eclipse", 24) {
		g.eclipse()
	}
}

// eclipse hides all nodes from the manager for so long that it presumes every
// group lost, from their silence alone; then they answer after all.
func (g *generator) eclipse() {
	g.add(schedule.Action{At: g.end + ms(210), Verb: schedule.VerbPartition, Groups: [][]string{{schedule.ManagerHost}, g.nodes()}})
	g.add(schedule.Action{At: g.end + ms(210) + 21*time.Second, Verb: schedule.VerbHeal})
}

// fault draws the fault that the n-th part of the weights stands for.
func (g *generator) fault(on []faultKind, n int, at time.Duration) {
	i := 0
	for n >= on[i].weight {
		n -= on[i].weight
		i++
	}
	before := len(g.s.Actions)
	on[i].draw(g, at)
	if len(g.s.Actions) > before {
		g.faults = append(g.faults, at)
	}
}

// lose tells whether a copy of the data may be destroyed, and if so notes it.
// Most schedules destroy no more copies than a group has to spare in the time
// it takes to heal: a lost group has little left to test.
func (g *generator) lose(at time.Duration) bool {
	recent := 0
	for _, t := range g.losses {
		if at-t < ms(800) {
			recent++
		}
	}
	if !g.bold && recent >= g.s.Shape.Replicas {
		return false
	}
	g.losses = append(g.losses, at)
	return true
}

// outageTimes are for how long, in ms, a host is down; -1: to the end.
var outageTimes = []int{20, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1200, -1}

func (g *generator) goDown(host string, at time.Duration) {
	g.down[host] = at
	g.busy[host] = g.until("outage", at, outageTimes, schedule.Action{Verb: schedule.VerbRestart, Host: host})
}

// survivors draws how many unsynced batches survive a crash, and how much of
// the next: mostly nothing, or too little for it to count.
func (g *generator) survivors(a schedule.Action) schedule.Action {
	if g.s.Shape.Durable {
		a.Keep = g.src.Intn("keep", 7)
		a.Torn = oneOf(g, "torn", 0, 0, 0, 1, 20, 100, schedule.TornMax)
	}
	return a
}

// node draws a storage node that is up and not paused; "" when there is none.
func (g *generator) node(at time.Duration) string {
	free := g.free(at, g.nodes())
	if len(free) == 0 {
		return ""
	}
	return oneOf(g, "node", free...)
}

func (g *generator) crash(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.s.Shape.Durable && !g.lose(at) {
		return
	}
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
	g.goDown(host, at)
}

func (g *generator) wipe(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.lose(at) {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbWipe, Host: host})
	g.goDown(host, at)
}

func (g *generator) stop(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.s.Shape.Durable && !g.lose(at) {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbStop, Host: host})
	g.goDown(host, at)
}

// forget tells the manager to give up a node that lost its process shortly
// before, whether it has come back or not.
func (g *generator) forget(at time.Duration) {
	recent := slices.DeleteFunc(g.nodes(), func(host string) bool {
		t, ok := g.down[host]
		return !ok || at-t > ms(1000)
	})
	if len(recent) == 0 || !g.lose(at) {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbForget, Host: oneOf(g, "forget", recent...)})
}

func (g *generator) drain(at time.Duration) {
	g.add(schedule.Action{At: at, Verb: schedule.VerbDrain, Host: oneOf(g, "drained", g.nodes()...)})
}

func (g *generator) crashManager(at time.Duration) {
	if g.busy[schedule.ManagerHost] > at {
		return
	}
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: schedule.ManagerHost}))
	g.goDown(schedule.ManagerHost, at)
}

// massCrash takes every storage node down, within a few milliseconds and
// sometimes with the manager, and up again one after the other.
func (g *generator) massCrash(at time.Duration) {
	hosts := g.free(at, g.nodes())
	if len(hosts) < 2 {
		return
	}
	if g.busy[schedule.ManagerHost] <= at && g.chance("with the manager", 3) {
		hosts = append(hosts, schedule.ManagerHost)
	}
	crash := g.survivors(schedule.Action{Verb: schedule.VerbCrash})
	down := ms(oneOf(g, "stagger down", 0, 1, 3))
	up := ms(oneOf(g, "stagger up", 0, 5, 30, 100))
	back := at + ms(oneOf(g, "mass outage", 20, 50, 100, 200, 400, 700))
	for i, host := range hosts {
		t := at + time.Duration(i)*down
		g.add(schedule.Action{At: t, Verb: schedule.VerbCrash, Host: host, Keep: (crash.Keep + i) % 7, Torn: crash.Torn})
		g.down[host] = t
		g.busy[host] = forever
		if t = back + time.Duration(i)*max(down, up); t <= g.end+ms(200) {
			g.add(schedule.Action{At: t, Verb: schedule.VerbRestart, Host: host})
			g.busy[host] = t
		}
	}
}

// rollingRestart takes the storage nodes down and up again one after the other,
// as for a new version: the next when the one before has been up for a while, or
// sooner than it takes.
func (g *generator) rollingRestart(at time.Duration) {
	outage, pause := ms(oneOf(g, "rolling outage", 5, 20, 60, 150)), ms(oneOf(g, "rolling pause", 1, 30, 100, 300))
	for _, host := range g.nodes() {
		if g.busy[host] > at {
			continue
		}
		if at > g.end {
			return
		}
		g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
		g.down[host] = at
		at += outage
		g.add(schedule.Action{At: at, Verb: schedule.VerbRestart, Host: host})
		g.busy[host] = at
		at += pause
	}
}

// failSync ends a process in the middle of making something durable.
func (g *generator) failSync(at time.Duration) {
	hosts := g.free(at, append(g.nodes(), schedule.ManagerHost))
	if len(hosts) == 0 {
		return
	}
	host := oneOf(g, "failing disk", hosts...)
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbFailSync, Host: host}))
	g.goDown(host, at)
}

// fullDisk keeps a host down until there is room again: a start needs some, too.
func (g *generator) fullDisk(at time.Duration) {
	hosts := g.free(at, append(g.nodes(), schedule.ManagerHost))
	if len(hosts) == 0 {
		return
	}
	host := oneOf(g, "full disk", hosts...)
	g.add(schedule.Action{At: at, Verb: schedule.VerbFullDisk, Host: host})
	if g.chance("starts in vain", 2) {
		g.add(schedule.Action{At: at + ms(10), Verb: schedule.VerbRestart, Host: host})
	}
	g.goDown(host, at)
	if to := g.busy[host]; to < forever { // room is made before the restart
		g.add(schedule.Action{At: to - ms(1), Verb: schedule.VerbFreeDisk, Host: host})
	}
}

// damage has a node that is down find its records damaged when it starts again;
// its operator then mostly gives up the data.
func (g *generator) damage(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.lose(at) {
		return
	}
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
	verb := oneOf(g, "damage", schedule.VerbRot, schedule.VerbRot, schedule.VerbMisdirect, schedule.VerbUnreadable)
	g.add(schedule.Action{At: at, Verb: verb, Host: host, Record: g.src.Intn("record", 40)})
	g.down[host] = at
	g.busy[host] = forever
	back := at + ms(oneOf(g, "notices", 20, 100, 300, 600))
	if back > g.end {
		return
	}
	g.add(schedule.Action{At: back, Verb: schedule.VerbRestart, Host: host})
	g.busy[host] = back
	if g.chance("gives up the data", 4) {
		return
	}
	back += ms(oneOf(g, "gives up after", 5, 50, 200))
	g.add(schedule.Action{At: back, Verb: schedule.VerbWipe, Host: host})
	g.add(schedule.Action{At: back + ms(5), Verb: schedule.VerbRestart, Host: host})
	g.busy[host] = back + ms(5)
}

// slowNode makes a process slow but not dead.
func (g *generator) slowNode(at time.Duration) {
	host := oneOf(g, "slow", append(g.nodes(), schedule.ManagerHost)...)
	if g.slow[host] > at {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbSlow, Host: host, Latency: ms(oneOf(g, "slowness", 5, 20, 50, 100, 200, 400))})
	g.slow[host] = g.until("slow", at, breakTimes, schedule.Action{Verb: schedule.VerbSlow, Host: host})
}

// stallTimes are for how long, in ms, a process is paused: from about a heartbeat
// to well beyond the time in which it is given up.
var stallTimes = []int{30, 60, 100, 150, 200, 300, 450, 600, 900, 1200, 1500}

func (g *generator) pauseNode(at time.Duration) {
	if host := g.node(at); host != "" {
		g.pause(host, at)
	}
}

func (g *generator) pauseManager(at time.Duration) { g.pause(schedule.ManagerHost, at) }

func (g *generator) pauseClient(at time.Duration) {
	g.pause(oneOf(g, "client", numbered("c", g.s.Shape.Clients)...), at)
}

func (g *generator) pause(host string, at time.Duration) {
	if g.busy[host] > at {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
	to := g.until("stall", at, stallTimes, schedule.Action{Verb: schedule.VerbResume, Host: host})
	g.busy[host] = to
	g.pauses[host] = append(g.pauses[host], window{at, to})
}

// breakTimes are for how long, in ms, a network fault lasts, unless another one
// heals first; -1: to the end.
var breakTimes = []int{30, 60, 100, 200, 300, 400, 600, 800, 1000, 1500, -1}

// partition parts the hosts in one of several ways; hosts in no group reach all.
func (g *generator) partition(at time.Duration) {
	var hosts []string
	nodes := g.nodes()
	switch oneOf(g, "partition", "isolate", "full", "manager", "nodes", "clients", "strand") {
	case "strand":
		g.strand(at)
		return
	case "isolate":
		one := oneOf(g, "isolated", nodes...)
		g.part(at, []string{one}, slices.DeleteFunc(g.hosts(), func(host string) bool { return host == one }))
		return
	case "manager":
		a, _ := g.halves(nodes)
		g.part(at, []string{schedule.ManagerHost}, a)
		return
	case "clients":
		_, b := g.halves(nodes)
		g.part(at, numbered("c", g.s.Shape.Clients)[:1+g.src.Intn("cut off", g.s.Shape.Clients)], b)
		return
	case "full":
		hosts = g.hosts()
	case "nodes": // the manager reaches both sides, which do not reach each other
		if hosts = nodes; len(hosts) == 1 {
			hosts = append(hosts, schedule.ManagerHost)
		}
	}
	a, b := g.halves(hosts)
	g.part(at, a, b)
}

// strand leaves a client alone with a node, which may be the primary that it
// knows, while all the others go on; and has calls come in when these may have
// a new primary. So a primary that was replaced without knowing it is read from.
func (g *generator) strand(at time.Duration) {
	pair := []string{oneOf(g, "stranded node", g.nodes()...), oneOf(g, "stranded client", numbered("c", g.s.Shape.Clients)...)}
	g.add(schedule.Action{At: at, Verb: schedule.VerbPartition, Groups: [][]string{
		pair, slices.DeleteFunc(g.hosts(), func(host string) bool { return slices.Contains(pair, host) }),
	}})
	g.until("heal", at, []int{600, 800, 1000, 1500, -1}, schedule.Action{Verb: schedule.VerbHeal})
	for _, after := range []int{400, 500, 700} {
		if t := at + ms(after); t < g.end {
			g.faults = append(g.faults, t)
		}
	}
}

// halves draws two parts of the hosts; neither is empty when there are two
// hosts or more, and of one host both are that one.
func (g *generator) halves(hosts []string) (a, b []string) {
	if len(hosts) == 1 {
		return hosts, hosts
	}
	mask := 1 + g.src.Intn("split", 1<<len(hosts)-2)
	for i, host := range hosts {
		if mask>>i&1 == 1 {
			a = append(a, host)
		} else {
			b = append(b, host)
		}
	}
	return a, b
}

func (g *generator) part(at time.Duration, a, b []string) {
	g.add(schedule.Action{At: at, Verb: schedule.VerbPartition, Groups: [][]string{a, b}})
	g.until("heal", at, breakTimes, schedule.Action{Verb: schedule.VerbHeal})
}

// link draws a link over which messages go: those between nodes first and
// often, the many to and from the clients seldom.
func (g *generator) link() schedule.Link {
	links := g.links("nnnnnnnnmnmnnmnmcnnccmmc")
	return links[g.src.Intn("link", len(links))]
}

func (g *generator) cut(at time.Duration) {
	g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: g.link()})
	g.until("heal", at, breakTimes, schedule.Action{Verb: schedule.VerbHeal})
}

// clog holds back what is sent on a link, and lets it all go at once.
func (g *generator) clog(at time.Duration) {
	link := g.link()
	g.add(schedule.Action{At: at, Verb: schedule.VerbClog, Link: link})
	g.until("unclog", at, breakTimes, schedule.Action{Verb: schedule.VerbUnclog, Link: link})
}

// swizzle clogs the links among some of the nodes one after the other, and
// unclogs them in another order: nothing is lost, but little comes in order.
// After FoundationDB's test of that name.
func (g *generator) swizzle(at time.Duration) {
	links := g.links("nnmnnm")
	n := min(len(links), 2+g.src.Intn("swizzled", 7))
	for i := range n { // a random part, in random order
		j := i + g.src.Intn("link", len(links)-i)
		links[i], links[j] = links[j], links[i]
	}
	step := ms(oneOf(g, "swizzle step", 1, 5, 20, 50))
	first := g.src.Intn("unclogged first", n)
	for i, link := range links[:n] {
		g.add(schedule.Action{At: at + time.Duration(i)*step, Verb: schedule.VerbClog, Link: link})
		turn := n + (i*(n-1)+first)%n // backwards from the first
		g.add(schedule.Action{At: at + time.Duration(turn+1)*step, Verb: schedule.VerbUnclog, Link: link})
	}
}

func (g *generator) reset(at time.Duration) {
	g.add(schedule.Action{At: at, Verb: schedule.VerbReset, Link: g.link()})
}

func (g *generator) flaky(at time.Duration) {
	a := schedule.Action{At: at, Verb: schedule.VerbFlaky}
	if !g.chance("every link", 2) {
		a.Link = g.link()
	}
	for _, rate := range []*int{&a.Drop, &a.Duplicate, &a.Delay, &a.Corrupt} {
		*rate = 50 * g.src.Intn("rate", 7)
	}
	if a.Delay > 0 {
		a.DelayMax = ms(oneOf(g, "delay-max", 5, 20, 50, 100, 200))
	} else if a.Drop+a.Duplicate+a.Corrupt == 0 {
		a.Drop = 50
	}
	g.add(a)
	g.until("heal", at, breakTimes, schedule.Action{Verb: schedule.VerbHeal})
}

// slowDisk makes a disk slow but not dead, which answers pings all the while.
func (g *generator) slowDisk(at time.Duration) {
	host := oneOf(g, "disk", append(g.nodes(), schedule.ManagerHost)...)
	if g.disk[host] > at {
		return
	}
	slow := ms(oneOf(g, "latency", 50, 80, 120, 200, 300, 400))
	g.add(schedule.Action{At: at, Verb: schedule.VerbSlowDisk, Host: host, Latency: slow})
	g.disk[host] = g.until("slow", at, breakTimes, schedule.Action{Verb: schedule.VerbSlowDisk, Host: host, Latency: g.s.Shape.SyncLatency})
}
