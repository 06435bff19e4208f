package generate

import (
	"time"

	"gtstore/sim/schedule"
)

// Some situations take several faults in a row, which single faults hardly ever bring
// about. A pattern draws such a row, and counts as one fault.

// hamperJoin has a node come back without its data, so that it joins its group anew,
// if no other spare does. While the snapshot and the log come in, its disk, its process,
// the network around it or another node gets in the way.
func (g *generator) hamperJoin(at time.Duration) {
	host := g.node(at)
	if host == "" || !g.lose(at) {
		return
	}
	back := at + ms(oneOf(g, "gone for", 20, 50, 100))
	if back > g.end {
		return
	}
	g.add(schedule.Action{At: at, Verb: schedule.VerbWipe, Host: host})
	g.add(schedule.Action{At: back, Verb: schedule.VerbRestart, Host: host})
	g.ended[host], g.away[host] = at, back
	if g.s.Shape.Durable && g.diskSlow[host] <= at && g.chance("slow at it", 2) {
		slow := ms(oneOf(g, "latency", 20, 50, 100, 200))
		g.add(schedule.Action{At: at, Verb: schedule.VerbSlowDisk, Host: host, Latency: slow})
		g.diskSlow[host] = g.until("slow", back, breakTimes, schedule.Action{Verb: schedule.VerbSlowDisk, Host: host, Latency: g.s.Shape.SyncLatency})
	}
	for range 1 + g.src.Intn("hampered", 3) {
		back += ms(oneOf(g, "into the join", 10, 30, 60, 100, 150, 250))
		if back > g.end {
			return
		}
		g.hamper(host, back)
		g.faults = append(g.faults, back)
	}
}

// hamper adds one fault that gets in the way of a joining node.
func (g *generator) hamper(host string, at time.Duration) {
	free := g.away[host] <= at
	switch oneOf(g, "hamper", "deaf", "dumb", "dumb", "pause", "restart", "restart", "crash", "pause another") {
	case "deaf":
		g.clogAll(at, host, false)
	case "dumb":
		g.clogAll(at, host, true)
	case "pause":
		if free {
			g.pause(host, at)
		}
	case "restart":
		if free && (g.s.Shape.Durable || g.lose(at)) {
			g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
			g.add(schedule.Action{At: at + ms(5), Verb: schedule.VerbRestart, Host: host})
			g.ended[host], g.away[host] = at, at+ms(5)
		}
	case "crash":
		g.crash(at)
	case "pause another":
		g.pauseNode(at)
	}
}

// clogAll holds back for a while what a node sends to the others (out), or what they
// send to it.
func (g *generator) clogAll(at time.Duration, host string, out bool) {
	to := at + ms(oneOf(g, "unclog", breakTimes[:6]...))
	for _, other := range g.nodes() {
		link := schedule.Link{From: other, To: host}
		if out {
			link = schedule.Link{From: host, To: other}
		}
		if other != host {
			g.add(schedule.Action{At: at, Verb: schedule.VerbClog, Link: link})
			g.add(schedule.Action{At: to, Verb: schedule.VerbUnclog, Link: link})
		}
	}
}

// replaceAll gives one node after the other an empty disk, each at about the time when
// the one before has been replaced. In the end every copy of the data has come in a
// snapshot. Sometimes a client hears nothing from any node meanwhile, and later asks new
// primaries for the results of writes that earlier ones committed.
func (g *generator) replaceAll(at time.Duration) {
	if g.s.Shape.Replicas == 0 && !g.bold {
		return
	}
	pause := ms(oneOf(g, "replaced each", 800, 500, 350, 250, 200))
	if g.chance("a client is deaf", 2) {
		client := oneOf(g, "deaf", numbered("c", g.s.Shape.Clients)...)
		for _, host := range g.nodes() {
			g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: schedule.Link{From: host, To: client}})
		}
		g.until("heal", at, breakTimes[5:], schedule.Action{Verb: schedule.VerbHeal})
	}
	nodes := g.nodes()
	first := g.src.Intn("first replaced", len(nodes))
	for i := range nodes {
		host := nodes[(first+i)%len(nodes)]
		at += pause
		if at > g.end {
			return
		}
		if g.away[host] > at {
			continue
		}
		g.add(schedule.Action{At: at, Verb: schedule.VerbWipe, Host: host})
		g.add(schedule.Action{At: at + ms(20), Verb: schedule.VerbRestart, Host: host})
		g.ended[host], g.away[host] = at, at+ms(20)
		g.losses = append(g.losses, at)
		g.faults = append(g.faults, at)
	}
}
