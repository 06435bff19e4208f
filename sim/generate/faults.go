package generate

import (
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/schedule"
)

// faultKind is a kind of fault. A schedule draws which kinds it has.
type faultKind struct {
	name    string
	on      int // how many of eight schedules have it
	weight  int // how often these draw it, against their other kinds
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
	{"close", 3, 2, false, (*generator).closeClient},
	{"terms", 4, 2, true, (*generator).terms},
}

// drawFaults draws the faults in the order of time, so that at each it is known which
// hosts are down or paused.
func (g *generator) drawFaults() {
	var on []faultKind
	total := 1 // the simplest choice is no fault
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
		// Most faults are spread over the phase, some come nearly at once.
		if n := g.src.Intn("until next", 10); n < 3 {
			at += ms(3 * n)
		} else {
			at += (mean * time.Duration(n-2) / 3).Truncate(time.Millisecond)
		}
		if at > g.end {
			break
		}
	}
	if !g.s.Shape.Durable && g.chance("eclipse", 8) {
		g.eclipse()
	}
}

// eclipse hides all nodes from the manager until it presumes every group lost, from
// their silence alone. Then they answer after all.
func (g *generator) eclipse() {
	g.add(schedule.Action{At: g.end + ms(210), Verb: schedule.VerbPartition, Groups: [][]string{{schedule.ManagerHost}, g.nodes()}})
	g.add(schedule.Action{At: g.end + ms(210) + 21*time.Second, Verb: schedule.VerbHeal})
}

// fault adds a fault of the kind whose share of the weights contains n.
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

// lose tells whether a copy of the data may be destroyed now, and notes it if so. In the
// time that a group takes to heal, most schedules destroy no more copies than it can
// spare: a lost group has little left to test.
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

// outageTimes are how long a host is down, in ms; -1 stands for to the end.
var outageTimes = []int{20, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1200, -1}

func (g *generator) goDown(host string, at time.Duration) {
	g.ended[host] = at
	g.away[host] = g.until("outage", at, outageTimes, schedule.Action{Verb: schedule.VerbRestart, Host: host})
}

// survivors draws how many unsynced batches survive a crash, and how many bytes of the
// next one: mostly none, or too few for it to count.
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

func (g *generator) closeClient(at time.Duration) {
	g.add(schedule.Action{At: at, Verb: schedule.VerbClose, Host: oneOf(g, "client", numbered("c", g.s.Shape.Clients)...)})
}

// forget has an operator say that a node's data is gone. The node has lost its process
// shortly before, and may be back.
func (g *generator) forget(at time.Duration) {
	recent := slices.DeleteFunc(g.nodes(), func(host string) bool {
		t, ok := g.ended[host]
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
	if g.away[schedule.ManagerHost] > at {
		return
	}
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: schedule.ManagerHost}))
	g.goDown(schedule.ManagerHost, at)
}

// terms restarts the manager with other terms, mostly so soon that the groups have seen
// nothing else of it. Leases only where no clock drifts further than they are safe for.
func (g *generator) terms(at time.Duration) {
	if g.away[schedule.ManagerHost] > at {
		return
	}
	drifts := slices.ContainsFunc(g.s.Shape.Clocks, func(c schedule.Clock) bool {
		return c.PPM > bounds.DriftMaxPPM || c.PPM < -bounds.DriftMaxPPM
	})
	var t core.Terms
	if reads := oneOf(g, "reads", 0, core.ReadConfirm, core.ReadLease, core.ReadLease); reads == core.ReadConfirm || !drifts {
		t.Reads = reads
	}
	t.Lease = ms(oneOf(g, "lease", 0, 0, 30, 100, 300))
	t.MinChain = uint32(g.src.Intn("min-chain", min(2, g.s.Shape.Replicas+1)+1))
	if t == (core.Terms{}) {
		t.Reads = core.ReadConfirm
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbTerms, Terms: t})
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: schedule.ManagerHost}))
	g.ended[schedule.ManagerHost] = at
	back := at + ms(oneOf(g, "back", 1, 10, 50, 200, 500))
	g.add(schedule.Action{At: back, Verb: schedule.VerbRestart, Host: schedule.ManagerHost})
	g.away[schedule.ManagerHost] = back
}

// massCrash takes every storage node down within a few milliseconds, sometimes with the
// manager, and brings them up again one after the other.
func (g *generator) massCrash(at time.Duration) {
	hosts := g.free(at, g.nodes())
	if len(hosts) < 2 {
		return
	}
	if g.away[schedule.ManagerHost] <= at && g.chance("with the manager", 3) {
		hosts = append(hosts, schedule.ManagerHost)
	}
	crash := g.survivors(schedule.Action{Verb: schedule.VerbCrash})
	down := ms(oneOf(g, "stagger down", 0, 1, 3))
	up := ms(oneOf(g, "stagger up", 0, 5, 30, 100))
	back := at + ms(oneOf(g, "mass outage", 20, 50, 100, 200, 400, 700))
	for i, host := range hosts {
		t := at + time.Duration(i)*down
		g.add(schedule.Action{At: t, Verb: schedule.VerbCrash, Host: host, Keep: (crash.Keep + i) % 7, Torn: crash.Torn})
		g.ended[host] = t
		g.away[host] = forever
		if t = back + time.Duration(i)*max(down, up); t <= g.end+ms(200) {
			g.add(schedule.Action{At: t, Verb: schedule.VerbRestart, Host: host})
			g.away[host] = t
		}
	}
}

// rollingRestart takes the storage nodes down and up again one after the other, as an
// upgrade does. Where the pause between two is short, the first is no use yet when the
// next goes down.
func (g *generator) rollingRestart(at time.Duration) {
	outage, pause := ms(oneOf(g, "rolling outage", 5, 20, 60, 150)), ms(oneOf(g, "rolling pause", 1, 30, 100, 300))
	for _, host := range g.nodes() {
		if g.away[host] > at {
			continue
		}
		if at > g.end {
			return
		}
		g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
		g.ended[host] = at
		at += outage
		g.add(schedule.Action{At: at, Verb: schedule.VerbRestart, Host: host})
		g.away[host] = at
		at += pause
	}
}

// failSync ends a process while it makes something durable.
func (g *generator) failSync(at time.Duration) {
	hosts := g.free(at, append(g.nodes(), schedule.ManagerHost))
	if len(hosts) == 0 {
		return
	}
	host := oneOf(g, "failing disk", hosts...)
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbFailSync, Host: host}))
	g.goDown(host, at)
}

// fullDisk keeps a host down until its disk has room again, since a start writes, too.
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
	if to := g.away[host]; to < forever { // room is made before the restart
		g.add(schedule.Action{At: to - ms(1), Verb: schedule.VerbFreeDisk, Host: host})
	}
}

// damage damages a record of a node that is down. The node notices when it starts
// again; its operator then mostly gives up the data.
func (g *generator) damage(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.lose(at) {
		return
	}
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
	verb := oneOf(g, "damage", schedule.VerbRot, schedule.VerbRot, schedule.VerbMisdirect, schedule.VerbUnreadable)
	g.add(schedule.Action{At: at, Verb: verb, Host: host, Record: g.src.Intn("record", 40)})
	g.ended[host] = at
	g.away[host] = forever
	back := at + ms(oneOf(g, "notices", 20, 100, 300, 600))
	if back > g.end {
		return
	}
	g.add(schedule.Action{At: back, Verb: schedule.VerbRestart, Host: host})
	g.away[host] = back
	if g.chance("gives up the data", 4) {
		return
	}
	back += ms(oneOf(g, "gives up after", 5, 50, 200))
	g.add(schedule.Action{At: back, Verb: schedule.VerbWipe, Host: host})
	g.add(schedule.Action{At: back + ms(5), Verb: schedule.VerbRestart, Host: host})
	g.away[host] = back + ms(5)
}

// slowNode makes a process slow.
func (g *generator) slowNode(at time.Duration) {
	host := oneOf(g, "slow", append(g.nodes(), schedule.ManagerHost)...)
	if g.slow[host] > at {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbSlow, Host: host, Latency: ms(oneOf(g, "slowness", 5, 20, 50, 100, 200, 400))})
	g.slow[host] = g.until("slow", at, breakTimes, schedule.Action{Verb: schedule.VerbSlow, Host: host})
}

// pauseTimes are how long a process is paused, in ms: from about a heartbeat to well
// beyond the silence after which a node is removed.
var pauseTimes = []int{30, 60, 100, 150, 200, 300, 450, 600, 900, 1200, 1500}

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
	if g.away[host] > at {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
	to := g.until("stall", at, pauseTimes, schedule.Action{Verb: schedule.VerbResume, Host: host})
	g.away[host] = to
	g.pauses[host] = append(g.pauses[host], window{at, to})
}

// breakTimes are how long a fault lasts, in ms, unless a heal ends it first; -1 stands
// for to the end.
var breakTimes = []int{30, 60, 100, 200, 300, 400, 600, 800, 1000, 1500, -1}

// partition draws a partition of one of several kinds. Hosts in no group reach all.
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

// strand cuts a client and a node off together, while all others go on. The node may be
// the primary that the client knows. Calls gather around the times at which the others
// may have a new primary, so that the client reads from one that was replaced without
// knowing it.
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

// halves cuts the hosts into two parts, neither of them empty. Of a single host both
// parts have it.
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

// link draws a link. Those between nodes come first and most often; those of clients,
// of which there are many, come seldom.
func (g *generator) link() schedule.Link {
	links := g.links("nnnnnnnnmnmnnmnmcnnccmmc")
	return links[g.src.Intn("link", len(links))]
}

func (g *generator) cut(at time.Duration) {
	g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: g.link()})
	g.until("heal", at, breakTimes, schedule.Action{Verb: schedule.VerbHeal})
}

// clog holds back what is sent on a link, and later lets all of it go at once.
func (g *generator) clog(at time.Duration) {
	link := g.link()
	g.add(schedule.Action{At: at, Verb: schedule.VerbClog, Link: link})
	g.until("unclog", at, breakTimes, schedule.Action{Verb: schedule.VerbUnclog, Link: link})
}

// swizzle clogs some links one after the other, and unclogs them in another order.
// Nothing is lost, but little comes in order. FoundationDB has a test of that name.
func (g *generator) swizzle(at time.Duration) {
	links := g.links("nnmnnm")
	n := min(len(links), 2+g.src.Intn("swizzled", 7))
	for i := range n { // shuffles the first n, as Fisher and Yates do
		j := i + g.src.Intn("link", len(links)-i)
		links[i], links[j] = links[j], links[i]
	}
	step := ms(oneOf(g, "swizzle step", 1, 5, 20, 50))
	first := g.src.Intn("unclogged first", n)
	for i, link := range links[:n] {
		g.add(schedule.Action{At: at + time.Duration(i)*step, Verb: schedule.VerbClog, Link: link})
		turn := n + (i*(n-1)+first)%n // when all are clogged, backwards from one of them
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

// slowDisk makes a disk slow. Its node answers pings all the while.
func (g *generator) slowDisk(at time.Duration) {
	host := oneOf(g, "disk", append(g.nodes(), schedule.ManagerHost)...)
	if g.diskSlow[host] > at {
		return
	}
	slow := ms(oneOf(g, "latency", 50, 80, 120, 200, 300, 400))
	g.add(schedule.Action{At: at, Verb: schedule.VerbSlowDisk, Host: host, Latency: slow})
	g.diskSlow[host] = g.until("slow", at, breakTimes, schedule.Action{Verb: schedule.VerbSlowDisk, Host: host, Latency: g.s.Shape.SyncLatency})
}
