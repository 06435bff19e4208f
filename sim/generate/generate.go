package generate

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/schedule"
)

// Schedule draws a short schedule: several clients on few keys, bursts of operations
// around the faults, and faults of some kinds only. Which kinds is drawn, too (swarm
// testing: Groce et al., ISSTA 2012), since a run with every kind of fault rarely gets
// deep into any of them.
//
// Only actions with an effect are drawn: nothing happens to a host that is down. A host
// that is paused or crashed comes back by an action, or when the faults end, which takes
// no action.
func Schedule(src Source) *schedule.Schedule {
	g := newGenerator(src)
	g.drawShape()
	if g.chance(labelLone, 6) {
		g.drawLone()
		g.tidy()
		return g.s
	}
	calm := g.chance("calm", 8)
	if calm {
		g.drawClocks(bounds.DriftMaxPPM)
		g.calm(ms(150), g.end, ms(100))
		g.drawCalls()
	} else {
		g.drawClocks(schedule.PPMMax)
		g.drawFaults()
		g.drawCalls()
		g.drawDeviations()
		g.drawUnhealed()
	}
	g.drawCommands()
	g.drawLimits()
	g.drawPlacement()
	g.drawManagers(calm)
	g.tidy()
	return g.s
}

// drawCommands draws after how many commands a durable manager folds them into its records.
func (g *generator) drawCommands() {
	if g.s.Shape.Durable {
		g.s.Shape.Commands = oneOf(g, "commands", schedule.CommandsMax, 1, 1, 2, 3, 5, 8)
	}
}

// drawPlacement draws whether keys are mapped one by one, or many together.
func (g *generator) drawPlacement() {
	g.s.Shape.Placement = oneOf(g, "placement", core.PlacementKey, core.PlacementKey, core.PlacementKey, 2, 4, core.SlotsMax)
}

// tidy puts the actions in the order of time, and numbers the written values in that
// order. It leaves out each heal for which an earlier one has left nothing to heal.
func (g *generator) tidy() {
	g.sortActions()
	broken, writes := false, 0
	g.s.Actions = slices.DeleteFunc(g.s.Actions, func(a schedule.Action) bool {
		was := broken
		switch a.Verb {
		case schedule.VerbPartition, schedule.VerbCut, schedule.VerbClog, schedule.VerbFlaky, schedule.VerbStall, schedule.VerbLossy, schedule.VerbMute:
			broken = true
		case schedule.VerbHeal:
			broken = false
			return !was
		}
		return false
	})
	for i := range g.s.Actions {
		if a := &g.s.Actions[i]; a.Verb == schedule.VerbPut || a.Verb == schedule.VerbCAS {
			writes++
			a.Value = "v" + strconv.Itoa(writes)
		}
	}
	g.enlarge()
}

// forever is later than every action: only the end of the faults undoes what lasts so long.
const forever = 2 * schedule.DurationMax

// window is a stretch of time.
type window struct{ from, to time.Duration }

type generator struct {
	src Source
	s   *schedule.Schedule
	end time.Duration // of the fault phase

	// By host, until when something lasts.
	away     map[string]time.Duration // it is down or paused, and nothing else may happen to it
	diskSlow map[string]time.Duration
	slow     map[string]time.Duration // the process is slow
	narrow   map[string]time.Duration // its bandwidth is bounded
	busy     map[string]time.Duration // messages cost it time

	ended  map[string]time.Duration // by host, when its process last ended
	pauses map[string][]window      // by host; a paused client makes no calls
	losses []time.Duration          // when copies of the data were destroyed
	bold   bool                     // destroy copies faster than groups can heal
	faults []time.Duration          // times around which calls gather: mostly those of the faults
	large  bool                     // some values are to be large
}

func newGenerator(src Source) *generator {
	return &generator{
		src:  src,
		s:    &schedule.Schedule{Expect: "holds", Shape: schedule.DefaultShape()},
		away: map[string]time.Duration{}, diskSlow: map[string]time.Duration{}, slow: map[string]time.Duration{},
		narrow: map[string]time.Duration{}, busy: map[string]time.Duration{}, ended: map[string]time.Duration{},
		pauses: map[string][]window{},
	}
}

// chance is true one time in n. The simpler choice is false.
func (g *generator) chance(label string, n int) bool { return g.src.Intn(label, n) == n-1 }

// oneOf draws one of the values. The first is the simplest choice.
func oneOf[T any](g *generator, label string, values ...T) T {
	return values[g.src.Intn(label, len(values))]
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// callTrips is by how many round trips calls and the fault phase are longer on a network
// that is wider than one site's (see Shape.BeyondNear).
const callTrips = 10

func (g *generator) drawShape() {
	sh := &g.s.Shape
	sh.Replicas = oneOf(g, "replicas", 0, 1, 1, 1, 2, 2, 2, 3)
	// From one group without a spare to two groups with two spares.
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
	sh.LogKeep = oneOf(g, "log-keep", schedule.LogKeepMax, 1, 1, 2, 4, 8, 16)
	sh.Chunk = oneOf(g, "chunk", core.ChunkItemsMax, 1, 1, 2)
	sh.Sessions = oneOf(g, "sessions", core.SessionsMax/4, core.SessionsMax/4, 4, 8)
	sh.Quarantine = ms(oneOf(g, "quarantine", 60_000, 100, 100, 100, 300, 1000))
	sh.Halt = g.chance("halt", 8)
	sh.Seed = uint64(g.src.Intn("seed", 1<<30))
	latency := oneOf(g, "latency", [2]int{1000, 1000}, [2]int{200, 2000}, [2]int{200, 2000}, [2]int{500, 5000},
		[2]int{500, 5000}, [2]int{200, 10000}, [2]int{1000, 10000})
	sh.LatencyMin, sh.LatencyMax = time.Duration(latency[0])*time.Microsecond, time.Duration(latency[1])*time.Microsecond
	sh.Connect = oneOf(g, "connect", 0, 0, 1, 2)
	if g.chance("far apart", 10) {
		far := ms(oneOf(g, "one way", 25, 38, 75, 150))
		sh.LatencyMin, sh.LatencyMax = far-sh.LatencyMin, far
	}
	sh.SyncLatency = time.Duration(oneOf(g, "sync", 1, 2, 3, 4, 6, 10)) * 500 * time.Microsecond
	sh.OpTimeout = ms(oneOf(g, "timeout", 2000, 1500, 1000, 700, 500)) + callTrips*sh.BeyondNear()
	sh.Batch = 1 + g.src.Intn("batch", 8)
	g.end = ms(1500+250*g.src.Intn("length", 11)) + callTrips*sh.BeyondNear()
	g.bold = g.chance("bold", 4)
}

// drawLimits draws bounds that a few clients reach, in one schedule of four: each alone, or
// several.
func (g *generator) drawLimits() {
	if !g.chance("small limits", 4) {
		return
	}
	l := &g.s.Shape.Limits
	l.Pending = oneOf(g, "pending limit", l.Pending, 2, 2, 3, 4)
	l.Reads = oneOf(g, "reads limit", l.Reads, 1, 2)
	l.Parked = oneOf(g, "parked limit", l.Parked, 1, 2)
	l.JoinRate = oneOf(g, "join rate", l.JoinRate, 1<<20)
	// A session that ends before its client can write in it is of no use.
	l.SessionTTL = oneOf(g, "session ttl", l.SessionTTL, ms(200), ms(200), ms(1000)) + callTrips*g.s.Shape.BeyondNear()
	l.SessionIdle = oneOf(g, "session idle", l.SessionIdle, ms(20), ms(100), ms(500))
}

// drawClocks gives every host an offset, and often a drift. The drift is within
// bounds.DriftMaxPPM, for which leases are safe. Where reads use no lease nothing
// depends on it, and it may be up to most.
func (g *generator) drawClocks(most int) {
	ppmMax := min(most, bounds.DriftMaxPPM)
	if most > bounds.DriftMaxPPM && g.s.Shape.Reads == core.ReadConfirm && g.chance("any drift", 3) {
		ppmMax = most
	}
	step := g.src.Intn("clock offsets", 10_000)
	drift := g.src.Intn("drift", 3) > 0
	for i, host := range g.hosts() {
		c := schedule.Clock{Host: host, Offset: ms((i + 1) * step % 10_000)}
		if drift {
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
	return slices.Concat(g.s.Shape.ManagerHosts(), g.nodes(), numbered("c", g.s.Shape.Clients))
}

func (g *generator) nodes() []string { return numbered("n", g.s.Shape.Nodes) }

func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = prefix + strconv.Itoa(i+1)
	}
	return names
}

// free lists those of the hosts that are up and not paused at that time.
func (g *generator) free(at time.Duration, hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return g.away[host] > at })
}

func (g *generator) add(a schedule.Action) { g.s.Actions = append(g.s.Actions, a) }

// until draws how long a fault lasts, adds the action that ends it, and returns when that
// is. It adds none that would come long after the fault phase, and returns forever.
func (g *generator) until(label string, at time.Duration, choices []int, undo schedule.Action) time.Duration {
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
	// Mostly few keys, so that operations meet. Sometimes more than the chunks of a
	// snapshot that are under way at once, so that a write can come between two chunks.
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}[:oneOf(g, "keys", 1, 2, 2, 3, 3, 4, 8)]
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

// gap draws the time between two calls of a burst, mostly so short that they overlap.
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
	a := schedule.Action{At: at, Verb: schedule.VerbGet, Key: keys[key]}
	kind := g.src.Intn("call", 100)
	switch {
	case kind < 40:
	case kind < 72:
		a.Verb = schedule.VerbPut
	case kind < 80:
		a.Verb = schedule.VerbDelete
	default:
		a.Verb = schedule.VerbCAS
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
		return // all clients are paused
	}
	g.add(a)
}

func (g *generator) paused(host string, at time.Duration) bool {
	return slices.ContainsFunc(g.pauses[host], func(w window) bool { return w.from <= at && at < w.to })
}

// ways lists the kinds of message that get deviations: how often each is drawn, up to
// which ordinal, and between which kinds of host it travels. A run has many Replicates
// on a link, and hardly a second Register.
var ways = []struct {
	kind       core.Kind
	weight     int
	ordinalMax int
	links      string // pairs of letters, from and to: m for the manager, n for nodes, c for clients
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
	{core.KindChunk, 3, 4, "nn"},
	{core.KindChunkAck, 3, 4, "nn"},
	{core.KindCaughtUp, 1, 2, "nm"},
	{core.KindLookupReply, 3, 10, "mc"},
	{core.KindProbe, 2, 2, "mn"},
	{core.KindProbeReply, 2, 2, "nm"},
	{core.KindRegister, 1, 2, "nm"},
	{core.KindRegistered, 1, 2, "mn"},
}

// drawUnhealed draws the nodes that the end of the faults does not mend: mostly none.
func (g *generator) drawUnhealed() {
	if !g.chance("some stay broken", 3) {
		return
	}
	for _, host := range g.nodes() {
		if g.chance("stays broken", 3) {
			g.s.Unhealed = append(g.s.Unhealed, host)
		}
	}
}

func (g *generator) drawDeviations() {
	named := map[schedule.Deviation]bool{}
	for range g.src.Intn("deviations", 21) {
		g.drawDeviation(named)
	}
}

// drawDeviation draws the fate of a message that is not among those named yet.
func (g *generator) drawDeviation(named map[schedule.Deviation]bool) {
	total := 0
	for _, way := range ways {
		total += way.weight
	}
	n, i := g.src.Intn("kind", total), 0
	for n >= ways[i].weight {
		n -= ways[i].weight
		i++
	}
	links := g.links(ways[i].links)
	if len(links) == 0 {
		return
	}
	d := schedule.Deviation{Kind: ways[i].kind, Link: links[g.src.Intn("link", len(links))]}
	n = g.src.Intn("ordinal", 100)
	d.Ordinal = 1 + n*n*ways[i].ordinalMax/10_000 // mostly low: a message with a high one may never be sent
	if named[d] {
		return // it has a fate already
	}
	named[d] = true
	g.drawFate(&d)
	g.s.Deviate = append(g.s.Deviate, d)
}

func (g *generator) drawFate(d *schedule.Deviation) {
	d.By = 0
	d.Fate = oneOf(g, "fate", schedule.FateDrop, schedule.FateDrop, schedule.FateDelay, schedule.FateDelay, schedule.FateDuplicate, schedule.FateCorrupt)
	if d.Fate == schedule.FateDelay {
		d.By = ms(oneOf(g, "delay", 5, 10, 20, 50, 100, 200, 500, 1000))
	}
}

// links lists the links of a way. In "mnnn" they are those from the manager to the
// nodes, and those between the nodes.
func (g *generator) links(way string) []schedule.Link {
	hosts := map[byte][]string{'m': g.s.Shape.ManagerHosts(), 'n': g.nodes(), 'c': numbered("c", g.s.Shape.Clients)}
	var links []schedule.Link
	for ; way != ""; way = way[2:] {
		for _, from := range hosts[way[0]] {
			for _, to := range hosts[way[1]] {
				if from != to {
					links = append(links, schedule.Link{From: from, To: to})
				}
			}
		}
	}
	return links
}
