package generate

import (
	"slices"
	"time"

	"gtstore/sim/bounds"
	"gtstore/sim/schedule"
)

// A lone schedule has one trouble, amid calls that go on all the time: one node fails, or a way of
// its, or one of several managers, or both at once. Nothing else is wrong, so it shows by itself
// what the cluster does about that, while in other schedules troubles meet, and one hides another.

// labelLone is of the draw whether a schedule is one.
const labelLone = "lone"

const (
	// loneFrom is when the trouble comes: the cluster has been founded, and has taken calls.
	loneFrom = time.Second
	// loneTill is how long after the trouble calls go on.
	loneTill = 11 * time.Second
	// loneCalls is how many calls there are at most.
	loneCalls = 120
)

// drawLone draws a lone schedule.
func (g *generator) drawLone() {
	sh := &g.s.Shape
	sh.Replicas = oneOf(g, "replicas", 1, 2, 2, 3)
	sh.Nodes = min(9, sh.Replicas+1+g.src.Intn("spares", 3)+g.src.Intn("second group", 2)*(sh.Replicas+1))
	sh.MinChain = 1
	sh.OpTimeout = sh.CalmTimeout()
	g.drawClocks(bounds.DriftMaxPPM)
	g.drawPlacement()
	g.drawCommands()
	g.drawManagers(true)
	g.s.Deviate = nil
	from := loneFrom + sh.ReturnTime() + ms(g.src.Intn("when", 200))
	till := from + loneTill + 2*callTrips*sh.BeyondNear()
	g.drawLoneCalls(till)
	managers := sh.Managers > 1 && g.chance("a manager", 2)
	if managers {
		g.loneManager(from + ms(oneOf(g, "beside", 0, 0, 50, 300)))
	}
	if !managers || g.chance("with a node", 2) {
		g.loneNode(from)
	}
	if back := from + ms(oneOf(g, "back", 5000, 300, 1000)); g.chance("it ends", 4) {
		g.endLone(back)
	}
}

// drawLoneCalls draws calls from the start on, one now and one then.
func (g *generator) drawLoneCalls(till time.Duration) {
	keys := []string{"a", "b", "c", "d"}[:oneOf(g, "keys", 1, 2, 2, 4)]
	least := max(ms(60), (till / loneCalls).Truncate(time.Millisecond))
	for at := ms(100); at < till; at += least + ms(g.src.Intn("gap", 60)) {
		g.call(at, keys)
	}
}

// loneNode has one storage node fail, or a way of its.
func (g *generator) loneNode(at time.Duration) {
	host := oneOf(g, "node", g.nodes()...)
	others := without(g.nodes(), host)
	other := oneOf(g, "other", others...)
	cut := func(from, to string) {
		g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: schedule.Link{From: from, To: to}})
	}
	kinds := []string{"crash", "crash", "pause", "isolate", "stop", "wipe", "restart", "apart", "apart", "unheard", "deaf", "from the manager", "from most", "from most nodes", "from most nodes", "unheard, and then dead", "twice", "slow"}
	if g.s.Shape.Durable {
		kinds = append(kinds, "slow disk", "stalled disk")
	}
	switch oneOf(g, "trouble", kinds...) {
	case "crash":
		g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
	case "pause":
		g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
	case "isolate":
		g.add(schedule.Action{At: at, Verb: schedule.VerbPartition, Groups: [][]string{{host}, without(g.hosts(), host)}})
	case "stop":
		g.add(schedule.Action{At: at, Verb: schedule.VerbStop, Host: host})
	case "wipe":
		g.add(schedule.Action{At: at, Verb: schedule.VerbWipe, Host: host})
		g.add(schedule.Action{At: at + ms(oneOf(g, "gone for", 20, 100, 400)), Verb: schedule.VerbRestart, Host: host})
	case "restart":
		g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
		g.add(schedule.Action{At: at + ms(oneOf(g, "gone for", 5, 20, 100, 400)), Verb: schedule.VerbRestart, Host: host})
	case "apart": // the two do not reach each other
		cut(host, other)
		cut(other, host)
	case "unheard":
		cut(host, other)
	case "deaf":
		cut(other, host)
	case "from the manager":
		for _, m := range g.s.Shape.ManagerHosts() {
			if !g.chance("hears it", 3) {
				cut(host, m)
			}
			cut(m, host)
		}
	case "from most": // one of the others reaches it
		for _, o := range append(without(others, other), g.s.Shape.ManagerHosts()...) {
			cut(host, o)
			cut(o, host)
		}
	case "from most nodes": // the manager reaches it, and one of the others
		for _, o := range without(others, other) {
			cut(host, o)
			cut(o, host)
		}
	case "unheard, and then dead": // others reach it until it dies
		for _, m := range g.s.Shape.ManagerHosts() {
			cut(host, m)
		}
		verb := oneOf(g, "dies", schedule.VerbCrash, schedule.VerbPause)
		g.add(schedule.Action{At: at + ms(oneOf(g, "dies after", 300, 600, 1000)), Verb: verb, Host: host})
	case "twice":
		g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
		g.add(schedule.Action{At: at + 3*time.Second, Verb: schedule.VerbResume, Host: host})
		g.add(schedule.Action{At: at + 7*time.Second, Verb: schedule.VerbPause, Host: host})
	case "slow":
		g.add(schedule.Action{At: at, Verb: schedule.VerbSlow, Host: host, Latency: ms(oneOf(g, "slowness", 100, 400, 1000))})
	case "slow disk":
		g.add(schedule.Action{At: at, Verb: schedule.VerbSlowDisk, Host: host, Latency: ms(oneOf(g, "latency", 300, 1000, 3000))})
	case "stalled disk":
		g.add(schedule.Action{At: at, Verb: schedule.VerbStallDisk, Host: host, Latency: ms(oneOf(g, "stalled", 400, 1500, 30_000))})
	}
}

// loneManager has one of several managers fail, or its ways.
func (g *generator) loneManager(at time.Duration) {
	hosts := g.s.Shape.ManagerHosts()
	host := oneOf(g, "manager", hosts...)
	away := func(others []string) {
		for _, o := range others {
			g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: schedule.Link{From: host, To: o}})
			g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: schedule.Link{From: o, To: host}})
		}
	}
	switch oneOf(g, "manager's trouble", "crash", "crash", "pause", "isolate", "no nodes", "no managers") {
	case "crash":
		g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
	case "pause":
		g.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
	case "isolate":
		away(without(g.hosts(), host))
	case "no nodes":
		away(g.nodes())
	case "no managers":
		away(without(hosts, host))
	}
}

// endLone ends whatever is wrong, if that has begun and does not end by itself.
func (g *generator) endLone(at time.Duration) {
	if slices.ContainsFunc(g.s.Actions, func(a schedule.Action) bool {
		return a.Verb.Operation() == 0 && (a.At >= at || a.Verb == schedule.VerbRestart || a.Verb == schedule.VerbResume)
	}) {
		return
	}
	heals := false
	for _, a := range g.s.Actions {
		end := schedule.Action{At: at, Host: a.Host}
		switch a.Verb {
		case schedule.VerbCrash, schedule.VerbStop:
			end.Verb = schedule.VerbRestart
		case schedule.VerbPause:
			end.Verb = schedule.VerbResume
		case schedule.VerbSlow:
			end.Verb = schedule.VerbSlow
		case schedule.VerbSlowDisk:
			end.Verb, end.Latency = schedule.VerbSlowDisk, g.s.Shape.SyncLatency
		case schedule.VerbCut, schedule.VerbPartition:
			if end.Verb, end.Host = schedule.VerbHeal, ""; heals {
				continue
			}
			heals = true
		default:
			continue
		}
		g.add(end)
	}
}
