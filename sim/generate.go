package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gtstore/core"
)

// Generate draws a schedule worth running: several clients on few keys, bursts
// of operations around the faults, and faults of some kinds only. Which kinds
// is itself drawn (swarm testing: Groce et al., ISSTA 2012), since a run with
// every fault on rarely gets deep into any one of them.
//
// Only enabled actions are drawn: nothing happens to a host that is down, and
// what is paused or crashed comes back within the schedule, or is left to the
// end of the fault phase, which needs no action.
func Generate(src Source) *Schedule {
	g := &generator{
		src:    src,
		s:      &Schedule{Expect: "holds", Shape: DefaultShape()},
		busy:   map[string]time.Duration{},
		disk:   map[string]time.Duration{},
		down:   map[string]time.Duration{},
		pauses: map[string][]window{},
	}
	g.drawShape()
	g.drawClocks()
	g.drawFaults()
	g.drawCalls()
	g.drawDeviations()
	g.tidy()
	return g.s
}

// tidy puts the actions in order, numbers the values in it, and leaves out the
// heals that find nothing to heal, since another came before.
func (g *generator) tidy() {
	slices.SortStableFunc(g.s.Actions, func(a, b Action) int { return cmp.Compare(a.At, b.At) })
	broken, writes := false, 0
	g.s.Actions = slices.DeleteFunc(g.s.Actions, func(a Action) bool {
		was := broken
		switch a.Verb {
		case VerbPartition, VerbCut, VerbFlaky:
			broken = true
		case VerbHeal:
			broken = false
			return !was
		}
		return false
	})
	for i := range g.s.Actions {
		if a := &g.s.Actions[i]; a.Verb == VerbPut || a.Verb == VerbCAS {
			writes++
			a.Value = "v" + strconv.Itoa(writes)
		}
	}
}

// forever is the end of what only the end of the fault phase undoes.
const forever = 2 * DurationMax

// window is a stretch of time.
type window struct{ from, to time.Duration }

type generator struct {
	src Source
	s   *Schedule
	end time.Duration // of the fault phase

	busy   map[string]time.Duration // until when nothing may happen to a host: it is down or paused
	disk   map[string]time.Duration // until when its disk is slow
	down   map[string]time.Duration // when it last lost its process, for forget
	pauses map[string][]window      // of a client, which makes no calls meanwhile
	losses []time.Duration          // when copies of the data were destroyed
	bold   bool                     // destroy copies faster than groups can heal
	faults []time.Duration          // when the faults are: calls gather around them
}

// chance is true one time in n; false is the simpler.
func (g *generator) chance(label string, n int) bool { return g.src.Intn(label, n) == n-1 }

// oneOf draws one of the values, the first being the simplest.
func oneOf[T any](g *generator, label string, values ...T) T {
	return values[g.src.Intn(label, len(values))]
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func (g *generator) drawShape() {
	sh := &g.s.Shape
	sh.Replicas = oneOf(g, "replicas", 0, 1, 1, 1, 2, 2, 2, 3)
	// From just enough for a group to two groups and two spares.
	sh.Nodes = min(9, sh.Replicas+1+g.src.Intn("nodes", sh.Replicas+4))
	sh.Clients = oneOf(g, "clients", 2, 3, 3, 3, 4, 4, 5, 6)
	sh.Width = 1 + g.src.Intn("width", 2)
	sh.Durable = g.chance("durable", 2)
	if g.chance("lease reads", 2) {
		sh.Reads = core.ReadLease
	}
	if g.chance("min-chain", 8) {
		sh.MinChain = min(2, sh.Replicas+1)
	}
	sh.LogKeep = oneOf(g, "log-keep", LogKeepMax, 1, 2, 4, 8, 16)
	sh.Chunk = oneOf(g, "chunk", core.ChunkItemsMax, 1, 1, 2)
	sh.Quarantine = ms(oneOf(g, "quarantine", 60_000, 100, 100, 100, 300, 1000))
	sh.Halt = g.chance("halt", 8)
	sh.Seed = uint64(g.src.Intn("seed", 1<<30))
	latency := oneOf(g, "latency", [2]int{1000, 1000}, [2]int{200, 2000}, [2]int{200, 2000}, [2]int{500, 5000},
		[2]int{500, 5000}, [2]int{200, 10000}, [2]int{1000, 10000})
	sh.LatencyMin, sh.LatencyMax = time.Duration(latency[0])*time.Microsecond, time.Duration(latency[1])*time.Microsecond
	sh.SyncLatency = time.Duration(oneOf(g, "sync", 1, 2, 3, 4, 6, 10)) * 500 * time.Microsecond
	sh.OpTimeout = ms(oneOf(g, "timeout", 2000, 1500, 1000, 700, 500))
	sh.Batch = 1 + g.src.Intn("batch", 8)
	g.end = ms(1500 + 250*g.src.Intn("length", 11))
	g.bold = g.chance("bold", 4)
}

// drawClocks gives every host an offset of its own, and often a drift that the
// leases' bound of 1,000 ppm covers also between two hosts that drift apart.
func (g *generator) drawClocks() {
	const ppmMax = 500
	step := g.src.Intn("clock offsets", 10_000)
	drift := g.src.Intn("drift", 3) > 0
	for i, host := range g.hosts() {
		c := Clock{Host: host, Offset: ms((i + 1) * step % 10_000)}
		if drift && i <= g.s.Shape.Nodes {
			n := g.src.Intn("ppm", 2*ppmMax+1)
			c.PPM = int64((n + 1) / 2)
			if n%2 == 0 {
				c.PPM = -c.PPM
			}
		}
		if c.Offset != 0 || c.PPM != 0 {
			g.s.Shape.Clocks = append(g.s.Shape.Clocks, c)
		}
	}
}

// hosts are the manager, the storage nodes and the clients, in this order.
func (g *generator) hosts() []string {
	return append(append([]string{ManagerHost}, g.nodes()...), numbered("c", g.s.Shape.Clients)...)
}

func (g *generator) nodes() []string { return numbered("n", g.s.Shape.Nodes) }

func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = prefix + strconv.Itoa(i+1)
	}
	return names
}

// free lists the hosts to which something may happen at that time.
func (g *generator) free(at time.Duration, hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return g.busy[host] > at })
}

func (g *generator) add(a Action) { g.s.Actions = append(g.s.Actions, a) }

// until draws how long a fault lasts and adds what ends it; what would end it
// long after the fault phase is left out. It returns when the fault ends.
func (g *generator) until(label string, at time.Duration, choices []int, undo Action) time.Duration {
	i := g.src.Intn(label, len(choices))
	undo.At = at + ms(choices[i])
	if choices[i] < 0 || undo.At > g.end+ms(200) {
		return forever
	}
	g.add(undo)
	return undo.At
}

// drawCalls draws the operations, in bursts: at the start, around the faults
// and between them.
func (g *generator) drawCalls() {
	keys := []string{"a", "b", "c", "d"}[:oneOf(g, "keys", 1, 2, 2, 3, 3, 4)]
	left := 30 + g.src.Intn("operations", 61)
	bursts := 5 + g.src.Intn("bursts", 6)
	for b := range bursts {
		n := left / (bursts - b)
		left -= n
		at := ms(100)
		switch {
		case b == 0 && g.chance("early", 4):
			at = 0 // before the nodes have registered
		case b > 0:
			at = (g.end * time.Duration(b) / time.Duration(bursts)).Truncate(time.Millisecond)
			if f := g.src.Intn("burst at", 2*len(g.faults)+1); f > 0 {
				at = max(0, g.faults[(f-1)/2]-ms(oneOf(g, "burst before", 0, 5, 20, 50)))
			}
		}
		for range n {
			g.call(at, keys)
			at += g.gap()
		}
	}
}

// gap draws the time between two calls of a burst: mostly so short that they
// overlap.
func (g *generator) gap() time.Duration {
	n := g.src.Intn("gap", 32)
	if n < 24 {
		return time.Duration(n) * 500 * time.Microsecond
	}
	return ms((n - 23) * 10)
}

func (g *generator) call(at time.Duration, keys []string) {
	client, key := g.src.Intn("caller and key", g.s.Shape.Clients*len(keys)), 0
	client, key = client%g.s.Shape.Clients, client/g.s.Shape.Clients
	a := Action{At: at, Verb: VerbGet, Key: keys[key]}
	kind := g.src.Intn("call", 100)
	switch {
	case kind < 40:
	case kind < 72:
		a.Verb = VerbPut
	case kind < 80:
		a.Verb = VerbDelete
	default:
		a.Verb = VerbCAS
		switch {
		case kind < 94:
			a.Version = "last"
		case kind < 97:
			a.Version = "0"
		default:
			a.Version = strconv.Itoa(1 + g.src.Intn("version", 20))
		}
	}
	for i := range g.s.Shape.Clients {
		a.Host = fmt.Sprintf("c%d", (client+i)%g.s.Shape.Clients+1)
		if !g.paused(a.Host, at) {
			break
		}
	}
	if g.paused(a.Host, at) {
		return // every client is
	}
	g.add(a)
}

func (g *generator) paused(host string, at time.Duration) bool {
	return slices.ContainsFunc(g.pauses[host], func(w window) bool { return w.from <= at && at < w.to })
}

// ways lists, for the kinds of message worth a deviation, between which kinds
// of host they travel, how often to draw them, and up to which ordinal: a run
// has many Replicates on a link and hardly a second Register.
var ways = []struct {
	kind       core.Kind
	weight     int
	ordinalMax int
	links      string // pairs of m, n and c: from, to
}{
	{core.KindReplicate, 10, 20, "nn"},
	{core.KindAck, 8, 20, "nn"},
	{core.KindConfig, 5, 4, "mn"},
	{core.KindOp, 5, 12, "cn"},
	{core.KindReply, 5, 12, "nc"},
	{core.KindSuspect, 2, 3, "nmcm"},
	{core.KindPing, 3, 20, "mnnn"},
	{core.KindPong, 3, 20, "nmnn"},
	{core.KindNack, 1, 2, "nn"},
	{core.KindLookupReply, 3, 10, "mc"},
	{core.KindProbe, 2, 2, "mn"},
	{core.KindProbeReply, 2, 2, "nm"},
	{core.KindRegister, 1, 2, "nm"},
	{core.KindRegistered, 1, 2, "mn"},
}

func (g *generator) drawDeviations() {
	total := 0
	for _, way := range ways {
		total += way.weight
	}
	named := map[Deviation]bool{}
	for range g.src.Intn("deviations", 21) {
		n, i := g.src.Intn("kind", total), 0
		for n >= ways[i].weight {
			n -= ways[i].weight
			i++
		}
		links := g.links(ways[i].links)
		if len(links) == 0 {
			continue
		}
		d := Deviation{Kind: ways[i].kind, Link: links[g.src.Intn("link", len(links))]}
		n = g.src.Intn("ordinal", 100)
		d.Ordinal = 1 + n*n*ways[i].ordinalMax/10_000 // low ones more often: these are sent more often
		if named[d] {
			continue // one fate a message
		}
		named[d] = true
		d.Fate = oneOf(g, "fate", FateDrop, FateDrop, FateDelay, FateDelay, FateDuplicate, FateCorrupt)
		if d.Fate == FateDelay {
			d.By = ms(oneOf(g, "delay", 5, 10, 20, 50, 100, 200, 500, 1000))
		}
		g.s.Deviate = append(g.s.Deviate, d)
	}
}

// links lists the links of a way, e.g. "mnnn": from the manager to the nodes,
// and between the nodes.
func (g *generator) links(way string) []Link {
	hosts := map[byte][]string{'m': {ManagerHost}, 'n': g.nodes(), 'c': numbered("c", g.s.Shape.Clients)}
	var links []Link
	for ; way != ""; way = way[2:] {
		for _, from := range hosts[way[0]] {
			for _, to := range hosts[way[1]] {
				if from != to {
					links = append(links, Link{from, to})
				}
			}
		}
	}
	return links
}

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
	{"slow disk", 4, 3, true, (*generator).slowDisk},
	{"mass crash", 3, 2, true, (*generator).massCrash},
	{"crash manager", 4, 3, true, (*generator).crashManager},
	{"stop", 2, 1, false, (*generator).stop},
	{"forget", 2, 2, false, (*generator).forget},
	{"drain", 3, 2, false, (*generator).drain},
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
	g.add(Action{At: g.end + ms(210), Verb: VerbPartition, Groups: [][]string{{ManagerHost}, g.nodes()}})
	g.add(Action{At: g.end + ms(210) + 21*time.Second, Verb: VerbHeal})
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

// outages are for how long, in ms, a host is down; -1: to the end.
var outages = []int{20, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1200, -1}

func (g *generator) goDown(host string, at time.Duration) {
	g.down[host] = at
	g.busy[host] = g.until("outage", at, outages, Action{Verb: VerbRestart, Host: host})
}

// keep draws how many unsynced batches survive a crash.
func (g *generator) keep() int {
	if !g.s.Shape.Durable {
		return 0
	}
	return g.src.Intn("keep", 7)
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
	g.add(Action{At: at, Verb: VerbCrash, Host: host, Keep: g.keep()})
	g.goDown(host, at)
}

func (g *generator) wipe(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.lose(at) {
		return
	}
	g.add(Action{At: at, Verb: VerbWipe, Host: host})
	g.goDown(host, at)
}

func (g *generator) stop(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.s.Shape.Durable && !g.lose(at) {
		return
	}
	g.add(Action{At: at, Verb: VerbStop, Host: host})
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
	g.add(Action{At: at, Verb: VerbForget, Host: oneOf(g, "forget", recent...)})
}

func (g *generator) drain(at time.Duration) {
	g.add(Action{At: at, Verb: VerbDrain, Host: oneOf(g, "drained", g.nodes()...)})
}

func (g *generator) crashManager(at time.Duration) {
	if g.busy[ManagerHost] > at {
		return
	}
	g.add(Action{At: at, Verb: VerbCrash, Host: ManagerHost, Keep: g.keep()})
	g.goDown(ManagerHost, at)
}

// massCrash takes every storage node down, within a few milliseconds and
// sometimes with the manager, and up again one after the other.
func (g *generator) massCrash(at time.Duration) {
	hosts := g.free(at, g.nodes())
	if len(hosts) < 2 {
		return
	}
	if g.busy[ManagerHost] <= at && g.chance("with the manager", 3) {
		hosts = append(hosts, ManagerHost)
	}
	keep := g.keep()
	down := ms(oneOf(g, "stagger down", 0, 1, 3))
	up := ms(oneOf(g, "stagger up", 0, 5, 30, 100))
	back := at + ms(oneOf(g, "mass outage", 20, 50, 100, 200, 400, 700))
	for i, host := range hosts {
		t := at + time.Duration(i)*down
		g.add(Action{At: t, Verb: VerbCrash, Host: host, Keep: (keep + i) % 7})
		g.down[host] = t
		g.busy[host] = forever
		if t = back + time.Duration(i)*max(down, up); t <= g.end+ms(200) {
			g.add(Action{At: t, Verb: VerbRestart, Host: host})
			g.busy[host] = t
		}
	}
}

// stalls are for how long, in ms, a process is paused: from about a heartbeat
// to well beyond the time in which it is given up.
var stalls = []int{30, 60, 100, 150, 200, 300, 450, 600, 900, 1200, 1500}

func (g *generator) pauseNode(at time.Duration) {
	if host := g.node(at); host != "" {
		g.pause(host, at)
	}
}

func (g *generator) pauseManager(at time.Duration) { g.pause(ManagerHost, at) }

func (g *generator) pauseClient(at time.Duration) {
	g.pause(oneOf(g, "client", numbered("c", g.s.Shape.Clients)...), at)
}

func (g *generator) pause(host string, at time.Duration) {
	if g.busy[host] > at {
		return
	}
	g.add(Action{At: at, Verb: VerbPause, Host: host})
	to := g.until("stall", at, stalls, Action{Verb: VerbResume, Host: host})
	g.busy[host] = to
	g.pauses[host] = append(g.pauses[host], window{at, to})
}

// breaks are for how long, in ms, a network fault lasts, unless another one
// heals first; -1: to the end.
var breaks = []int{30, 60, 100, 200, 300, 400, 600, 800, 1000, 1500, -1}

// partition parts the hosts in one of several ways; hosts in no group reach all.
func (g *generator) partition(at time.Duration) {
	var hosts []string
	nodes := g.nodes()
	switch oneOf(g, "partition", "isolate", "full", "manager", "nodes", "clients") {
	case "isolate":
		one := oneOf(g, "isolated", nodes...)
		g.part(at, []string{one}, slices.DeleteFunc(g.hosts(), func(host string) bool { return host == one }))
		return
	case "manager":
		a, _ := g.halves(nodes)
		g.part(at, []string{ManagerHost}, a)
		return
	case "clients":
		_, b := g.halves(nodes)
		g.part(at, numbered("c", g.s.Shape.Clients)[:1+g.src.Intn("cut off", g.s.Shape.Clients)], b)
		return
	case "full":
		hosts = g.hosts()
	case "nodes": // the manager reaches both sides, which do not reach each other
		if hosts = nodes; len(hosts) == 1 {
			hosts = append(hosts, ManagerHost)
		}
	}
	a, b := g.halves(hosts)
	g.part(at, a, b)
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
	g.add(Action{At: at, Verb: VerbPartition, Groups: [][]string{a, b}})
	g.until("heal", at, breaks, Action{Verb: VerbHeal})
}

// link draws a link over which messages go: those between nodes first and
// often, the many to and from the clients seldom.
func (g *generator) link() Link {
	links := g.links("nnnnnnnnmnmnnmnmcnnccmmc")
	return links[g.src.Intn("link", len(links))]
}

func (g *generator) cut(at time.Duration) {
	g.add(Action{At: at, Verb: VerbCut, Link: g.link()})
	g.until("heal", at, breaks, Action{Verb: VerbHeal})
}

func (g *generator) reset(at time.Duration) {
	g.add(Action{At: at, Verb: VerbReset, Link: g.link()})
}

func (g *generator) flaky(at time.Duration) {
	a := Action{At: at, Verb: VerbFlaky}
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
	g.until("heal", at, breaks, Action{Verb: VerbHeal})
}

// slowDisk makes a disk slow but not dead, which answers pings all the while.
func (g *generator) slowDisk(at time.Duration) {
	host := oneOf(g, "disk", append(g.nodes(), ManagerHost)...)
	if g.disk[host] > at {
		return
	}
	slow := ms(oneOf(g, "latency", 50, 80, 120, 200, 300, 400))
	g.add(Action{At: at, Verb: VerbSlowDisk, Host: host, Latency: slow})
	g.disk[host] = g.until("slow", at, breaks, Action{Verb: VerbSlowDisk, Host: host, Latency: g.s.Shape.SyncLatency})
}
