package generate

import (
	"strconv"
	"time"

	"gtstore/core"
	"gtstore/sim/schedule"
)

const (
	// LongMin and LongMax bound the length of a schedule by LongSchedule.
	LongMin = 2 * time.Minute
	LongMax = schedule.DurationMax

	longLast  = time.Minute            // from the last failure to the end, at least
	healTime  = 12 * time.Second       // from one failure to the next, at least
	failMean  = 30 * time.Second       // from one failure to the next, on average
	calmMean  = 3 * time.Second        // from one trouble of a calm schedule to the next, on average
	burstMean = 2 * time.Second        // from one burst of calls to the next, on average
	burstMax  = 6                      // calls of a burst
	stopTime  = 500 * time.Millisecond // that a node takes to stop, at most: it says farewell first
)

// LongSchedule draws a schedule of that length, from LongMin to LongMax. Failures go on
// and on in it, one every 30 seconds, but never faster than groups can heal. A failure
// destroys no more copies than a group can spare, and whoever it hits is back before the
// next, as a new node if its data is gone. So no group may be lost, however long it goes
// on. One schedule in four has no failures, but constant trouble within the bounds: there
// nobody may be evicted.
func LongSchedule(src Source, length time.Duration) *schedule.Schedule {
	g := newGenerator(src)
	g.end = length - longLast
	g.drawLongShape()
	g.drawClocks(schedule.PPMMax)
	if g.chance("calm", 4) {
		g.end = 0 // no failures
		g.calm(5*time.Second, length-longLast, calmMean)
	}
	var failures []time.Duration
	for at := 5 * time.Second; at < g.end; {
		g.failure(at)
		failures = append(failures, at)
		at += healTime + ms(g.src.Intn("until next failure", int(2*(failMean-healTime)/time.Millisecond)))
	}
	for at := ms(100); at < length-time.Second && len(g.s.Actions) < schedule.ActionsMax-burstMax; {
		g.burst(at)
		at += ms(1 + g.src.Intn("until next burst", int(2*burstMean/time.Millisecond)))
	}
	g.drawCommands()
	g.drawPlacement()
	g.drawLongManagers(failures)
	g.tidy()
	return g.s
}

// drawLongManagers draws whether there are several managers. Then one of them ends with many
// of the failures, with its data or without.
func (g *generator) drawLongManagers(failures []time.Duration) {
	if !g.chance(labelSeveral, 6) {
		return
	}
	g.s.Shape.Managers = oneOf(g, labelManagers, managerCounts...)
	g.sortActions()
	g.spreadOverManagers()
	for _, at := range failures {
		if !g.chance("a manager too", 3) {
			continue
		}
		host := oneOf(g, "manager", g.s.Shape.ManagerHosts()...)
		a := g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host})
		if g.s.Shape.Durable && g.chance("wiped", 3) {
			a = schedule.Action{At: at, Verb: schedule.VerbWipe, Host: host}
		}
		g.outage(host, a)
	}
}

func (g *generator) drawLongShape() {
	sh := &g.s.Shape
	sh.Replicas = oneOf(g, "replicas", 1, 2, 2, 3)
	groups := 1 + g.src.Intn("groups", 2)
	sh.Nodes = groups*(sh.Replicas+1) + 1 + g.src.Intn("spares", 2)
	sh.Clients = 3
	sh.Durable, sh.Lossless = g.chance("durable", 2), true
	if g.chance("lease reads", 2) {
		sh.Reads = core.ReadLease
	}
	sh.LogKeep = oneOf(g, "log-keep", 1024, 1, 8, 64)
	sh.Chunk = oneOf(g, "chunk", core.ChunkItemsMax, 1, 2)
	sh.Sessions = oneOf(g, "sessions", core.SessionsMax/4, 4)
	sh.Quarantine = 300 * time.Millisecond // a later one takes up to ten times that, which is less than healTime
	sh.Seed = uint64(g.src.Intn("seed", 1<<30))
	sh.LatencyMin, sh.LatencyMax = 200*time.Microsecond, ms(oneOf(g, "latency", 1, 2, 5))
	sh.SyncLatency = ms(oneOf(g, "sync", 1, 2, 5))
	sh.OpTimeout = 5 * time.Second
	sh.Batch = 1 + g.src.Intn("batch", 8)
}

// longFailures are the kinds of failure, and how often each is drawn. Each failure is
// over after some seconds.
var longFailures = []struct {
	weight  int
	durable bool // in durable mode only
	draw    func(g *generator, at time.Duration)
}{
	{8, false, (*generator).loseCopies},
	{3, true, func(g *generator, at time.Duration) {
		for _, host := range g.victims(g.s.Shape.Nodes) {
			at += ms(g.src.Intn("crash", 200))
			g.outage(host, g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
		}
	}},
	{2, true, func(g *generator, at time.Duration) {
		g.outage(schedule.ManagerHost, g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: schedule.ManagerHost}))
	}},
	{2, false, func(g *generator, at time.Duration) {
		host := g.victims(1)[0]
		g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
		g.add(schedule.Action{At: at + g.lasting(), Verb: schedule.VerbResume, Host: host})
	}},
	{2, false, func(g *generator, at time.Duration) {
		host := g.victims(1)[0]
		g.add(schedule.Action{At: at, Verb: schedule.VerbPartition, Groups: [][]string{{host}, without(g.hosts(), host)}})
		g.add(schedule.Action{At: at + g.lasting(), Verb: schedule.VerbHeal})
	}},
	{2, false, func(g *generator, at time.Duration) {
		drop, delay := 1+g.src.Intn("drop", 50), g.src.Intn("delay", 100)
		g.add(schedule.Action{At: at, Verb: schedule.VerbFlaky, Drop: drop, Duplicate: drop, Delay: delay, DelayMax: ms(50)})
		g.add(schedule.Action{At: at + g.lasting(), Verb: schedule.VerbHeal})
	}},
	{2, false, func(g *generator, at time.Duration) { // a node is exchanged in good order
		host := g.victims(1)[0]
		g.add(schedule.Action{At: at, Verb: schedule.VerbDrain, Host: host})
		at += 2 * time.Second
		g.add(schedule.Action{At: at, Verb: schedule.VerbStop, Host: host})
		g.add(schedule.Action{At: at + stopTime + g.lasting(), Verb: schedule.VerbRestart, Host: host})
	}},
}

// failure draws a failure that begins at that time.
func (g *generator) failure(at time.Duration) {
	total := 0
	for _, f := range longFailures {
		if !f.durable || g.s.Shape.Durable {
			total += f.weight
		}
	}
	n := g.src.Intn("failure", total)
	for _, f := range longFailures {
		if f.durable && !g.s.Shape.Durable {
			continue
		}
		if n -= f.weight; n < 0 {
			f.draw(g, at)
			return
		}
	}
}

// loseCopies destroys the data of some nodes nearly at once: mostly of one node, at most
// of as many as a group can spare.
func (g *generator) loseCopies(at time.Duration) {
	n := 1
	if g.chance("several", 3) {
		n = g.s.Shape.Replicas
	}
	verb := schedule.VerbCrash
	if g.s.Shape.Durable {
		verb = schedule.VerbWipe
	}
	for _, host := range g.victims(n) {
		at += ms(g.src.Intn("loss", 500))
		g.outage(host, schedule.Action{At: at, Verb: verb, Host: host})
	}
}

// victims draws 1 to most storage nodes.
func (g *generator) victims(most int) []string {
	left := g.nodes()
	var list []string
	for range 1 + g.src.Intn("victims", most) {
		host := oneOf(g, "victim", left...)
		list = append(list, host)
		left = without(left, host)
	}
	return list
}

// outage adds an action that ends a host's process, and the restart some time later.
func (g *generator) outage(host string, a schedule.Action) {
	g.add(a)
	g.add(schedule.Action{At: a.At + g.lasting(), Verb: schedule.VerbRestart, Host: host})
}

// lasting draws how long a failure lasts.
func (g *generator) lasting() time.Duration {
	return ms(oneOf(g, "lasting", 50, 200, 500, 1000, 2000, 3500))
}

func without(list []string, name string) []string {
	var rest []string
	for _, s := range list {
		if s != name {
			rest = append(rest, s)
		}
	}
	return rest
}

// burst adds a few calls that overlap.
func (g *generator) burst(at time.Duration) {
	keys := make([]string, 8)
	for i := range keys {
		keys[i] = "k" + strconv.Itoa(i+1)
	}
	for range 1 + g.src.Intn("calls", burstMax) {
		g.call(at, keys)
		at += ms(g.src.Intn("gap", 10))
	}
}
