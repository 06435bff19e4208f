package generate

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"gtstore/sim/schedule"
)

const (
	// actionsVaried and deviationsVaried bound a varied schedule, so that variations of
	// variations do not take ever longer to run.
	actionsVaried    = 300
	deviationsVaried = 60
	// forgetAfter is how long after a process has ended an operator may say that its data
	// is gone, as in a schedule that is drawn.
	forgetAfter = time.Second
)

// Parent is a schedule to vary.
type Parent struct {
	Schedule *schedule.Schedule
	Focus    Focus
}

// Focus is where a run of a schedule is interesting; the zero Focus is nowhere.
type Focus struct {
	At      time.Duration
	Host    string
	Message schedule.Deviation // that the host took in, without a fate; zero for none
}

// Vary draws a schedule that is a little different from one: some times, faults, calls,
// fates of messages and values of the shape are others, or come from the other. It asks no
// more of the protocol than what Schedule draws does (see mend), and changes neither of the
// two.
func Vary(src Source, one, other Parent) *schedule.Schedule {
	g := newGenerator(src)
	c := one.Schedule.Clone()
	c.Story, c.Expect, c.Recorded = nil, "holds", nil
	v := &variation{generator: g, other: other.Schedule, focus: one.Focus, otherFocus: other.Focus}
	g.s = c
	v.focus.Host = v.host(v.focus.Host)
	v.focus.Message.Link = schedule.Link{From: v.host(v.focus.Message.Link.From), To: v.host(v.focus.Message.Link.To)}
	for _, a := range c.Actions {
		g.end = max(g.end, a.At)
	}
	g.end = max(g.end, ms(500))
	for range oneOf(g, "how much", 1, 1, 2, 2, 3, 4, 6) {
		v.change()
	}
	v.mend()
	g.tidy()
	if g.s.Validate() != nil { // hosts of a partition that came together, say
		return one.Schedule
	}
	return g.s
}

type variation struct {
	*generator
	other             *schedule.Schedule
	focus, otherFocus Focus
	managersLost      int // how many have lost their data
}

var changes = []struct {
	weight int
	make   func(*variation)
}{
	{4, (*variation).shiftOne},
	{3, (*variation).shiftRest},
	{3, (*variation).remove},
	{3, (*variation).repeat},
	{3, (*variation).elsewhere},
	{3, (*variation).amount},
	{5, (*variation).anotherFault},
	{3, (*variation).moreCalls},
	{4, (*variation).anotherDeviation},
	{4, (*variation).changeDeviation},
	{2, (*variation).changeShape},
	{4, (*variation).splice},
	{8, (*variation).deviateFocus},
	{8, (*variation).strikeFocus},
}

func (v *variation) change() {
	total := 0
	for _, c := range changes {
		total += c.weight
	}
	n, i := v.src.Intn("change", total), 0
	for n >= changes[i].weight {
		n -= changes[i].weight
		i++
	}
	changes[i].make(v)
}

// focused is how near to the focus an action is that is drawn for its sake.
const focused = 400 * time.Millisecond

// one draws one of the actions, mostly one near the focus; false when there is none.
func (v *variation) one(label string) (*schedule.Action, int, bool) {
	return v.oneThat(label, func(*schedule.Action) bool { return true })
}

// oneFault draws an action that is no call.
func (v *variation) oneFault(label string) (*schedule.Action, int, bool) {
	return v.oneThat(label, func(a *schedule.Action) bool { return a.Verb.Operation() == 0 })
}

func (v *variation) oneThat(label string, fits func(*schedule.Action) bool) (*schedule.Action, int, bool) {
	var all, near []int
	for i := range v.s.Actions {
		a := &v.s.Actions[i]
		if !fits(a) {
			continue
		}
		all = append(all, i)
		if (a.At - v.focus.At).Abs() <= focused {
			near = append(near, i)
		}
	}
	if v.focus.At > 0 && len(near) > 0 && v.src.Intn("near", 3) > 0 {
		all = near
	}
	if len(all) == 0 {
		return nil, 0, false
	}
	i := all[v.src.Intn(label, len(all))]
	return &v.s.Actions[i], i, true
}

// step draws by how much something comes earlier or later.
func (v *variation) step() time.Duration {
	by := oneOf(v.generator, "step", 500*time.Microsecond, ms(1), ms(2), ms(5), ms(10), ms(20), ms(50), ms(100), ms(250), ms(600))
	if v.chance("earlier", 2) {
		return -by
	}
	return by
}

func (v *variation) clamp(at time.Duration) time.Duration { return min(max(0, at), v.end) }

// near draws a time near the focus or an action, or any when there is neither.
func (v *variation) near() time.Duration {
	if v.focus.At > 0 && v.src.Intn("near", 3) > 0 {
		return v.clamp(v.focus.At + v.step())
	}
	if a, _, ok := v.one("near"); ok {
		return v.clamp(a.At + v.step())
	}
	return v.clamp(ms(v.src.Intn("at", int(v.end/time.Millisecond))))
}

// deviateFocus gives a fate to the message of the focus, or to one that comes soon before
// or after it on its link.
func (v *variation) deviateFocus() {
	d := v.focus.Message
	if d.Kind == 0 {
		v.anotherDeviation()
		return
	}
	d.Ordinal = max(1, d.Ordinal+oneOf(v.generator, "which", 0, 0, 0, 1, -1, 2, 3, -2))
	if !v.named()[d] {
		v.drawFate(&d)
		v.s.Deviate = append(v.s.Deviate, d)
	}
}

// strikeFocus has something happen to the host of the focus, soon before or after.
func (v *variation) strikeFocus() {
	host, at := v.focus.Host, v.near()
	if host == "" || host[0] == 'c' || isManager(host) && !v.s.Shape.Durable {
		v.anotherFault()
		return
	}
	back := v.clamp(at + ms(oneOf(v.generator, "back after", 5, 5, 20, 50, 100, 300)))
	switch oneOf(v.generator, "strike", "crash", "crash", "pause", "disk", "deaf", "dumb", "wipe") {
	case "crash":
		v.add(v.survivors(schedule.Action{At: at, Verb: schedule.VerbCrash, Host: host}))
		v.add(schedule.Action{At: back, Verb: schedule.VerbRestart, Host: host})
	case "pause":
		v.add(schedule.Action{At: at, Verb: schedule.VerbPause, Host: host})
		v.add(schedule.Action{At: back, Verb: schedule.VerbResume, Host: host})
	case "disk":
		if v.s.Shape.Durable {
			v.add(schedule.Action{At: at, Verb: schedule.VerbStallDisk, Host: host, Latency: back - at + ms(1)})
		}
	case "deaf":
		v.clogAll(at, host, false)
	case "dumb":
		v.clogAll(at, host, true)
	case "wipe":
		if !isManager(host) {
			v.add(schedule.Action{At: at, Verb: schedule.VerbWipe, Host: host})
			v.add(schedule.Action{At: back, Verb: schedule.VerbRestart, Host: host})
		}
	}
}

func (v *variation) shiftOne() {
	if a, _, ok := v.one("shifted"); ok {
		a.At = v.clamp(a.At + v.step())
	}
}

// shiftRest moves everything from some time on, and so keeps how what follows is related.
func (v *variation) shiftRest() {
	if a, _, ok := v.one("shifted from"); ok {
		from, by := a.At, v.step()
		for i := range v.s.Actions {
			if b := &v.s.Actions[i]; b.At >= from {
				b.At = v.clamp(b.At + by)
			}
		}
	}
}

func (v *variation) remove() {
	if _, i, ok := v.one("removed"); ok {
		v.s.Actions = slices.Delete(v.s.Actions, i, min(len(v.s.Actions), i+oneOf(v.generator, "removed too", 1, 1, 2, 4, 8)))
	}
}

// repeat has a fault happen again, with what follows it at the same host: a crash is of
// little use without its restart.
func (v *variation) repeat() {
	a, i, ok := v.oneFault("repeated")
	if !ok {
		return
	}
	again := []schedule.Action{*a}
	for _, b := range v.s.Actions[i+1:] {
		if b.Verb.Operation() == 0 && b.Host == a.Host && b.Link == a.Link {
			again = append(again, b)
			break
		}
	}
	at := v.near()
	for _, b := range again {
		b.At = v.clamp(at + b.At - a.At)
		v.add(b)
	}
}

// elsewhere has a fault happen to another host of its kind.
func (v *variation) elsewhere() {
	a, _, ok := v.oneFault("elsewhere")
	if !ok {
		return
	}
	swap := func(host string) string {
		switch {
		case host == "" || host == schedule.ManagerHost:
			return host
		case isManager(host):
			return oneOf(v.generator, "manager", v.s.Shape.ManagerHosts()...)
		case host[0] == 'n':
			return oneOf(v.generator, "node", v.nodes()...)
		}
		return oneOf(v.generator, "client", numbered("c", v.s.Shape.Clients)...)
	}
	a.Host, a.Link.From, a.Link.To = swap(a.Host), swap(a.Link.From), swap(a.Link.To)
}

// amount changes how long, how much or of what a fault is.
func (v *variation) amount() {
	a, _, ok := v.oneFault("amount")
	if !ok {
		return
	}
	twice := v.chance("twice", 2)
	switch {
	case a.Verb == schedule.VerbCrash || a.Verb == schedule.VerbFailSync:
		*a = v.survivors(*a)
	case a.Verb == schedule.VerbRot || a.Verb == schedule.VerbMisdirect || a.Verb == schedule.VerbUnreadable:
		a.Record = v.src.Intn("record", 40)
	case a.Latency > 0 && twice:
		a.Latency = min(2*a.Latency, 2*time.Second)
	case a.Latency > 0:
		a.Latency = max(a.Latency/2, ms(1))
	}
}

// anotherFault draws a fault as Schedule does.
func (v *variation) anotherFault() {
	var kinds []faultKind
	total := 0
	for _, kind := range faultKinds {
		if !kind.durable || v.s.Shape.Durable {
			kinds = append(kinds, kind)
			total += kind.weight
		}
	}
	v.bold = true // how many copies are lost is not counted over the variations
	v.fault(kinds, v.src.Intn("fault", total), v.near())
}

func (v *variation) moreCalls() {
	keys := v.keysUsed()
	at := v.near()
	for range 1 + v.src.Intn("calls", 6) {
		v.call(v.clamp(at), keys)
		at += v.gap()
	}
}

func (v *variation) keysUsed() []string {
	keys := []string{"a"}
	for i := range v.s.Actions {
		if key := v.s.Actions[i].Key; key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (v *variation) anotherDeviation() { v.drawDeviation(v.named()) }

// named are the messages that have a fate.
func (v *variation) named() map[schedule.Deviation]bool {
	named := map[schedule.Deviation]bool{}
	for _, d := range v.s.Deviate {
		named[schedule.Deviation{Kind: d.Kind, Link: d.Link, Ordinal: d.Ordinal}] = true
	}
	return named
}

func (v *variation) changeDeviation() {
	if len(v.s.Deviate) == 0 {
		v.anotherDeviation()
		return
	}
	i := v.src.Intn("deviation", len(v.s.Deviate))
	d := v.s.Deviate[i]
	v.s.Deviate = slices.Delete(v.s.Deviate, i, i+1)
	switch v.src.Intn("deviate", 4) {
	case 0:
		return
	case 1:
		v.drawFate(&d)
	default:
		d.Ordinal = max(1, d.Ordinal+oneOf(v.generator, "ordinal", 1, -1, 2, -2, 5, -5, 10))
	}
	if !v.named()[schedule.Deviation{Kind: d.Kind, Link: d.Link, Ordinal: d.Ordinal}] {
		v.s.Deviate = append(v.s.Deviate, d)
	}
}

// changeShape changes a value of the shape. It leaves out what other parts of a schedule
// were drawn for: how many hosts there are, what their disks, clocks and network are, and
// how much time calls have.
func (v *variation) changeShape() {
	fresh := newGenerator(v.src)
	fresh.drawShape()
	sh, f := &v.s.Shape, &fresh.s.Shape
	switch v.src.Intn("shape", 12) {
	case 0:
		sh.Seed = f.Seed
	case 1:
		sh.Batch = f.Batch
	case 2:
		sh.Width = f.Width
	case 3:
		sh.LogKeep = f.LogKeep
	case 4:
		sh.Chunk = f.Chunk
	case 5:
		sh.Sessions = f.Sessions
	case 6:
		sh.Quarantine = f.Quarantine
	case 7:
		sh.SyncLatency = f.SyncLatency
	case 8:
		sh.MinChain = min(f.MinChain, sh.Replicas+1)
	case 9:
		sh.Connect = f.Connect
	case 10:
		fresh.drawLimits()
		sh.Limits = f.Limits
	case 11:
		fresh.drawPlacement()
		sh.Placement = f.Placement
	}
}

// splice takes over the faults of a stretch of time of the other schedule, or some of its
// deviations.
func (v *variation) splice() {
	if len(v.other.Deviate) > 0 && v.chance("deviations", 3) {
		from := v.src.Intn("from", len(v.other.Deviate))
		for _, d := range v.other.Deviate[from:min(len(v.other.Deviate), from+4)] {
			d.Link.From, d.Link.To = v.host(d.Link.From), v.host(d.Link.To)
			if d.Link.From != d.Link.To && !v.named()[schedule.Deviation{Kind: d.Kind, Link: d.Link, Ordinal: d.Ordinal}] {
				v.s.Deviate = append(v.s.Deviate, d)
			}
		}
		return
	}
	if len(v.other.Actions) == 0 {
		return
	}
	from := v.other.Actions[v.src.Intn("from", len(v.other.Actions))].At
	if v.otherFocus.At > 0 && v.src.Intn("near", 3) > 0 {
		from = max(0, v.otherFocus.At-ms(oneOf(v.generator, "before", 20, 100, 300, 800)))
	}
	to := from + ms(oneOf(v.generator, "stretch", 50, 200, 500, 1000, 2000))
	by := time.Duration(0)
	if v.chance("at another time", 2) {
		by = v.near() - from
	}
	for i := range v.other.Actions {
		a := v.other.Actions[i]
		if a.Verb.Operation() != 0 || a.At < from || a.At > to || a.Verb.OnDisk() && !v.s.Shape.Durable {
			continue
		}
		a.At = v.clamp(a.At + by)
		a.Host, a.Target, a.Link.From, a.Link.To = v.host(a.Host), v.host(a.Target), v.host(a.Link.From), v.host(a.Link.To)
		groups := make([][]string, len(a.Groups))
		for g := range a.Groups {
			for _, host := range a.Groups[g] {
				groups[g] = append(groups[g], v.host(host))
			}
		}
		a.Groups = groups
		v.add(a)
	}
}

// host is the host that stands for one of the other schedule.
func (v *variation) host(name string) string {
	if name == "" {
		return name
	}
	n, _ := strconv.Atoi(name[1:])
	if isManager(name) {
		hosts := v.s.Shape.ManagerHosts()
		return hosts[max(0, n-1)%len(hosts)]
	}
	if name[0] == 'c' {
		return name[:1] + strconv.Itoa((n-1)%v.s.Shape.Clients+1)
	}
	return name[:1] + strconv.Itoa((n-1)%v.s.Shape.Nodes+1)
}

// isManager tells whether a host is a manager's.
func isManager(host string) bool { return host != "" && host[0] == schedule.ManagerHost[0] }

// renameManagers has what was drawn for one manager happen to the first of several.
func (v *variation) renameManagers() {
	if v.s.Shape.Managers == 1 {
		return
	}
	for i := range v.s.Actions {
		a := &v.s.Actions[i]
		for _, name := range []*string{&a.Host, &a.Link.From, &a.Link.To} {
			if isManager(*name) {
				*name = v.host(*name)
			}
		}
		if slices.ContainsFunc(a.Groups, func(group []string) bool { return slices.Contains(group, schedule.ManagerHost) }) {
			groups := make([][]string, len(a.Groups))
			for j, group := range a.Groups {
				for _, host := range group {
					groups[j] = append(groups[j], v.host(host))
				}
			}
			a.Groups = groups
		}
	}
}

// mend leaves out what no drawn schedule has, since nothing is promised then, or nothing
// comes of it:
//
//   - damage on the disk of a host that is up, or of the manager;
//   - that more than a minority of several managers lose their data;
//   - that an operator gives up data that may well be there;
//   - that data is moved to a host that is up;
//   - calls of a client that is paused;
//   - calls that must end well within the bounds, amid faults that were not drawn for it;
//   - what has no place in the shape, or is too much.
func (v *variation) mend() {
	sh := &v.s.Shape
	if calm := sh.CalmTimeout(); sh.OpTimeout >= calm {
		sh.OpTimeout = ms(2000) + callTrips*sh.BeyondNear()
	}
	v.renameManagers()
	v.managersLost = 0
	slices.SortStableFunc(v.s.Actions, func(a, b schedule.Action) int { return cmp.Compare(a.At, b.At) })
	crashed, paused, ended := map[string]bool{}, map[string]bool{}, map[string]time.Duration{}
	large := 0
	v.s.Actions = slices.DeleteFunc(v.s.Actions, func(a schedule.Action) bool {
		if a.Size > 0 {
			large++
		}
		if bad := v.unpromised(&a, crashed, paused, ended) || large > largeMax && a.Size > 0; bad {
			return true
		}
		switch a.Verb {
		case schedule.VerbCrash, schedule.VerbWipe:
			crashed[a.Host], ended[a.Host], paused[a.Host] = true, a.At, false
		case schedule.VerbStop, schedule.VerbFailSync, schedule.VerbFullDisk:
			ended[a.Host] = a.At
		case schedule.VerbMove:
			crashed[a.Host], ended[a.Host], ended[a.Target] = true, a.At, a.At
		case schedule.VerbRestart:
			crashed[a.Host] = false
		case schedule.VerbPause, schedule.VerbResume:
			paused[a.Host] = a.Verb == schedule.VerbPause
		}
		return false
	})
	v.s.Actions = v.s.Actions[:min(len(v.s.Actions), actionsVaried)]
	v.s.Deviate = v.s.Deviate[:min(len(v.s.Deviate), deviationsVaried)]
}

func (v *variation) unpromised(a *schedule.Action, crashed, paused map[string]bool, ended map[string]time.Duration) bool {
	switch a.Verb {
	case schedule.VerbRot, schedule.VerbMisdirect, schedule.VerbUnreadable:
		return isManager(a.Host) || !crashed[a.Host]
	case schedule.VerbForget:
		at, ok := ended[a.Host]
		return !ok || a.At-at > forgetAfter
	case schedule.VerbMove:
		return !crashed[a.Target] || crashed[a.Host] || paused[a.Host] || a.Host == a.Target
	case schedule.VerbRestart:
		return a.Host == schedule.ManagerHost && !v.s.Shape.Durable
	case schedule.VerbCrash, schedule.VerbWipe:
		if isManager(a.Host) && a.At > 0 && (a.Verb == schedule.VerbWipe || !v.s.Shape.Durable) {
			v.managersLost++
			return v.managersLost > (v.s.Shape.Managers-1)/2
		}
	case schedule.VerbPartition:
		seen := map[string]bool{}
		for _, group := range a.Groups {
			for _, host := range group {
				if seen[host] {
					return true
				}
				seen[host] = true
			}
		}
	case schedule.VerbLossy, schedule.VerbFlaky:
		return a.Link.From == a.Link.To && a.Link.From != ""
	}
	if a.Link.From != "" && a.Link.From == a.Link.To {
		return true
	}
	return a.Verb.Operation() != 0 && paused[a.Host]
}
