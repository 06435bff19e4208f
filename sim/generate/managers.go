package generate

import (
	"cmp"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/sim/schedule"
)

// Labels of draws that WithManagers makes for itself.
const (
	labelSeveral  = "several managers"
	labelManagers = "managers"
)

// managerCounts are how many managers there are where there are several, each as likely.
var managerCounts = []int{3, 3, 3, 5}

// IsManagers tells whether schedules can be drawn that all have n managers.
func IsManagers(n int) bool { return n == 1 || slices.Contains(managerCounts, n) }

// WithManagers returns a source from which every schedule is drawn with n managers, for which
// IsManagers holds. All else is drawn from src.
func WithManagers(src Source, n int) Source { return &managersSource{src, n} }

type managersSource struct {
	Source
	managers int
}

func (s *managersSource) Intn(label string, n int) int {
	switch {
	case label == labelSeveral && s.managers == 1:
		return 0
	case label == labelSeveral:
		return n - 1 // that is what chance takes for yes
	case label == labelManagers:
		return slices.Index(managerCounts, s.managers)
	}
	return s.Source.Intn(label, n)
}

// drawManagers draws in one schedule of six that there are several managers. What was to
// happen to the one manager happens to some of them then, and more besides.
func (g *generator) drawManagers(calm bool) {
	sh := &g.s.Shape
	if !g.chance(labelSeveral, 6) {
		return
	}
	sh.Managers = oneOf(g, labelManagers, managerCounts...)
	g.sortActions()
	g.spreadOverManagers()
	if !calm {
		spare := (sh.Managers - 1) / 2 // how many may still lose their data
		g.drawFoundingFaults(&spare)
		g.drawManagerFaults(&spare)
	}
}

func (g *generator) sortActions() {
	slices.SortStableFunc(g.s.Actions, func(a, b schedule.Action) int { return cmp.Compare(a.At, b.At) })
}

// spreadOverManagers has each fault of the one manager concern one of several. What ends a
// fault concerns the same as what began it.
func (g *generator) spreadOverManagers() {
	sh := &g.s.Shape
	hosts := sh.ManagerHosts()
	draw := func() string { return oneOf(g, "manager", hosts...) }
	begun := map[schedule.Verb]string{} // by the verb that ends it
	swap := func(name *string, with func() string) {
		if *name == schedule.ManagerHost {
			*name = with()
		}
	}
	for i := range g.s.Actions {
		a := &g.s.Actions[i]
		swap(&a.Host, func() string {
			switch a.Verb {
			case schedule.VerbCrash, schedule.VerbFailSync, schedule.VerbFullDisk:
				begun[schedule.VerbRestart] = draw()
				begun[schedule.VerbFreeDisk] = begun[schedule.VerbRestart]
				g.away[begun[schedule.VerbRestart]] = forever
				return begun[schedule.VerbRestart]
			case schedule.VerbPause:
				begun[schedule.VerbResume] = draw()
				g.away[begun[schedule.VerbResume]] = forever
				return begun[schedule.VerbResume]
			case schedule.VerbRestart, schedule.VerbResume:
				g.away[begun[a.Verb]] = a.At
				return begun[a.Verb]
			}
			if begun[a.Verb] == "" {
				begun[a.Verb] = draw()
			}
			host := begun[a.Verb]
			if a.Verb == schedule.VerbSlow || a.Verb == schedule.VerbBusy || a.Verb == schedule.VerbSlowDisk {
				if a.Latency == 0 || a.Latency == sh.SyncLatency { // it is over
					begun[a.Verb] = ""
				}
			}
			return host
		})
		swap(&a.Link.From, draw)
		swap(&a.Link.To, draw)
		for _, group := range a.Groups {
			for j := range group {
				swap(&group[j], draw)
			}
		}
	}
	for i := range g.s.Shape.Clocks {
		swap(&g.s.Shape.Clocks[i].Host, func() string { return hosts[0] })
	}
	named := map[schedule.Deviation]bool{}
	g.s.Deviate = slices.DeleteFunc(g.s.Deviate, func(d schedule.Deviation) bool {
		return d.Link.From == schedule.ManagerHost || d.Link.To == schedule.ManagerHost
	})
	for range g.src.Intn("deviations of managers", 6) {
		d := schedule.Deviation{Link: g.managerLink(), Kind: core.KindQuorum, Ordinal: 1 + g.src.Intn("ordinal", 30)}
		if !named[d] {
			named[d] = true
			g.drawFate(&d)
			g.s.Deviate = append(g.s.Deviate, d)
		}
	}
}

// drawFoundingFaults draws in half of the schedules what happens to managers that are about to
// found their cluster. Who is down from the first moment on has lost nothing yet.
func (g *generator) drawFoundingFaults(spare *int) {
	if !g.chance("amid the founding", 2) {
		return
	}
	hosts := g.s.Shape.ManagerHosts()
	// All of it takes two round trips and an election, more where somebody is missing.
	within := 30 + int(4*g.s.Shape.LatencyMax/time.Millisecond) + g.src.Intn("founding", 400)
	for _, host := range hosts {
		if g.away[host] == 0 && g.chance("starts late", 3) {
			g.away[host] = ms(1 + g.src.Intn("start", within))
			g.add(schedule.Action{Verb: schedule.VerbCrash, Host: host})
			g.add(schedule.Action{At: g.away[host], Verb: schedule.VerbRestart, Host: host})
		}
	}
	for range g.src.Intn("founding faults", 4) {
		at, host := ms(g.src.Intn("when", within)), oneOf(g, "manager", hosts...)
		switch oneOf(g, "founding fault", "crash", "crash", "cut", "wipe") {
		case "crash":
			g.crashOneManager(at, host, spare)
		case "cut":
			link := g.managerLink()
			g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: link})
			g.until("founders cut", at, breakTimes, schedule.Action{Verb: schedule.VerbHeal})
		case "wipe":
			g.wipeOneManager(at, host, spare)
		}
	}
}

// drawManagerFaults draws what happens to managers beside what would happen to one alone. Of
// those in memory, and of those whose data are gone, no more than a minority at once: else
// the cluster is gone.
func (g *generator) drawManagerFaults(spare *int) {
	hosts := g.s.Shape.ManagerHosts()
	for range 1 + g.src.Intn("manager faults", 6) {
		at := ms(300) + time.Duration(g.src.Intn("when", int(g.end-ms(200))))
		at = at.Truncate(time.Millisecond)
		host := oneOf(g, "manager", hosts...)
		switch oneOf(g, "manager fault", "crash", "crash", "isolate", "one way", "pause", "wipe", "all", "with a node", "no nodes") {
		case "crash":
			g.crashOneManager(at, host, spare)
		case "with a node":
			if g.s.Shape.Durable {
				g.crash(at)
			}
			g.crashOneManager(at, host, spare)
		case "isolate":
			g.part(at, []string{host}, without(g.hosts(), host))
		case "one way":
			for _, other := range without(hosts, host) {
				link := schedule.Link{From: host, To: other}
				if g.chance("deaf", 2) {
					link.From, link.To = link.To, link.From
				}
				g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: link})
			}
			g.until("one way", at, breakTimes, schedule.Action{Verb: schedule.VerbHeal})
		case "no nodes": // it hears the other managers
			for _, node := range g.nodes() {
				g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: schedule.Link{From: host, To: node}})
				g.add(schedule.Action{At: at, Verb: schedule.VerbCut, Link: schedule.Link{From: node, To: host}})
			}
			g.until("no nodes", at, []int{300, 2000, -1}, schedule.Action{Verb: schedule.VerbHeal})
		case "pause":
			g.pause(host, at)
		case "wipe":
			g.wipeOneManager(at, host, spare)
		case "all":
			if !g.s.Shape.Durable {
				continue
			}
			for i, host := range hosts {
				if g.away[host] <= at {
					g.crashOneManager(at+ms(i), host, spare)
				}
			}
		}
	}
}

func (g *generator) crashOneManager(at time.Duration, host string, spare *int) {
	if g.away[host] > at {
		return
	}
	if !g.s.Shape.Durable {
		if *spare == 0 {
			return
		}
		*spare--
	}
	g.add(g.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
	g.goDown(host, at)
}

func (g *generator) wipeOneManager(at time.Duration, host string, spare *int) {
	if g.s.Shape.Durable && *spare > 0 && g.away[host] <= at {
		*spare--
		g.add(schedule.Action{At: at, Verb: schedule.VerbWipe, Host: host})
		g.goDown(host, at)
	}
}

// managerLink is a link between two managers.
func (g *generator) managerLink() schedule.Link {
	hosts := g.s.Shape.ManagerHosts()
	from := oneOf(g, "from", hosts...)
	return schedule.Link{From: from, To: oneOf(g, "to", without(hosts, from)...)}
}
