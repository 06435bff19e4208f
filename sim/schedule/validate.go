package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim/mark"
)

// Bounds of a schedule, so that a hostile or mistyped trace takes neither the machine's
// memory nor an hour of its time.
const (
	ActionsMax    = 10_000    // actions; deviations, too
	StoryMax      = 1_000     // lines of the heading
	WidthMax      = 64        // operations a client may have under way
	BatchMax      = 1_024     // messages that share an Output
	KeepMax       = 1_000_000 // unsynced batches that may survive a crash
	TornMax       = 1 << 24   // bytes of a batch that was being written at a crash
	RecordMax     = 1_000_000 // durable records of a host
	OrdinalMax    = 1_000_000 // of a message on its link
	LogKeepMax    = 1 << 16   // entries of a log that are kept at least
	CommandsMax   = 1 << 16   // commands of the Directory that a manager keeps
	PermilleMax   = 1_000     // of a flaky link's rates
	PPMMax        = 100_000   // a clock's drift, either way
	DurationMax   = time.Hour // every duration and every time
	keyBytesMax   = 2 * core.KeyBytesMax
	valueBytesMax = 2 * core.ValueBytesMax // beyond the core's limit, so that a schedule can show TooLarge
	sizesMax      = 64 << 20               // bytes of all padded values
	ConnectMax    = 8                      // round trips that setting up a connection takes
	LossMax       = 900                    // permille of packets that are lost: some must get through
	RateMin       = 1_000                  // bytes a second that a host may send, at least
	RateMax       = 1 << 40                // bytes a second that a host may send, at most
)

// DefaultShape is the shape of a schedule whose text says nothing of it: one group in
// memory, on a fast network.
func DefaultShape() Shape {
	return Shape{
		Managers: 1, Nodes: 3, Replicas: 2, Clients: 2, Width: 1, Reads: core.ReadConfirm, MinChain: 1, Placement: core.PlacementKey,
		LogKeep: LogKeepMax, Commands: CommandsMax, Sessions: core.SessionsMax / 4, Chunk: core.ChunkItemsMax, Quarantine: time.Minute,
		Limits: Limits{
			Pending: 1024, Reads: 4096, Parked: 1024, JoinRate: 22 << 20,
			SessionTTL: 10 * time.Minute, SessionIdle: time.Minute,
		},
		LatencyMin: time.Millisecond, LatencyMax: time.Millisecond, SyncLatency: time.Millisecond,
		OpTimeout: 2 * time.Second, Batch: 1,
	}
}

// Size is the number of a schedule's actions and deviations.
func (s *Schedule) Size() int { return len(s.Actions) + len(s.Deviate) }

// Clone is a copy that shares no memory that either could change.
func (s *Schedule) Clone() *Schedule {
	c := *s
	c.Story = append([]string(nil), s.Story...)
	if s.Recorded != nil {
		r := *s.Recorded
		r.Checkpoints = append([]uint16(nil), r.Checkpoints...)
		c.Recorded = &r
	}
	c.Unhealed = append([]string(nil), s.Unhealed...)
	c.Shape.Clocks = append([]Clock(nil), s.Shape.Clocks...)
	c.Actions = append([]Action(nil), s.Actions...)
	c.Deviate = append([]Deviation(nil), s.Deviate...)
	for i := range c.Actions {
		c.Actions[i].Groups = cloneGroups(c.Actions[i].Groups)
	}
	return &c
}

func cloneGroups(groups [][]string) [][]string {
	if groups == nil {
		return nil
	}
	c := make([][]string, len(groups))
	for i, group := range groups {
		c[i] = append([]string(nil), group...)
	}
	return c
}

// hostKind is a set of kinds of host.
type hostKind uint8

const (
	hostManager hostKind = 1 << iota
	hostStorage
	hostClient
)

// ManagerHost is the name of the manager's host in a schedule, where there is one; of several
// it is followed by a number.
const ManagerHost = "m"

// ManagerHosts are the names of the managers' hosts.
func (sh *Shape) ManagerHosts() []string {
	if sh.Managers <= 1 {
		return []string{ManagerHost}
	}
	names := make([]string, sh.Managers)
	for i := range names {
		names[i] = ManagerHost + strconv.Itoa(i+1)
	}
	return names
}

// hostKindOf tells what a host is; 0 when the shape has none of that name. A number
// with leading zeros names nobody, so that each host has one name.
func (sh *Shape) hostKindOf(host string) hostKind {
	if slices.Contains(sh.ManagerHosts(), host) {
		return hostManager
	}
	if len(host) < 2 {
		return 0
	}
	n, err := strconv.Atoi(host[1:])
	switch {
	case err != nil || n < 1 || strconv.Itoa(n) != host[1:]:
		return 0
	case host[0] == 'n' && n <= sh.Nodes:
		return hostStorage
	case host[0] == 'c' && n <= sh.Clients:
		return hostClient
	}
	return 0
}

// hostsNamed lists the hosts of some kinds, for an error's advice.
func (sh *Shape) hostsNamed(kinds hostKind) string {
	var names []string
	if kinds&hostManager != 0 {
		if names = append(names, ManagerHost); sh.Managers > 1 {
			names[0] = span(ManagerHost, sh.Managers)
		}
	}
	if kinds&hostStorage != 0 {
		names = append(names, span("n", sh.Nodes))
	}
	if kinds&hostClient != 0 {
		names = append(names, span("c", sh.Clients))
	}
	return strings.Join(names, " or ")
}

func span(prefix string, n int) string {
	if n == 1 {
		return prefix + "1"
	}
	return fmt.Sprintf("%s1 to %s%d", prefix, prefix, n)
}

// part names a part of a schedule. With it Parse finds the line of an error.
type part struct {
	name  string
	index int // of a story line, clock, action or deviation
}

// invalid is what is wrong with a schedule, and where.
type invalid struct {
	part part
	text string
}

// Validate tells what is wrong with a schedule, in the terms of its text: a host that
// does not exist, a verb that does not apply to its host, a bound exceeded, a value
// written twice (the check of linearizability tells writes apart by their values).
func (s *Schedule) Validate() error {
	bad := s.check()
	if bad == nil {
		return nil
	}
	switch bad.part.name {
	case "action":
		a := &s.Actions[bad.part.index]
		return fmt.Errorf("sim: action %d (%s): %s", bad.part.index+1, a, bad.text)
	case "deviation":
		d := &s.Deviate[bad.part.index]
		return fmt.Errorf("sim: deviation %d (%s): %s", bad.part.index+1, d, bad.text)
	}
	return fmt.Errorf("sim: %s: %s", bad.part.name, bad.text)
}

func (s *Schedule) check() *invalid {
	if bad := s.checkHead(); bad != nil {
		return bad
	}
	if bad := s.Shape.check(); bad != nil {
		return bad
	}
	for i, host := range s.Unhealed {
		switch {
		case s.Shape.hostKindOf(host) != hostStorage:
			return &invalid{part{"unhealed", 0}, s.Shape.noHost(host, hostStorage)}
		case slices.Contains(s.Unhealed[:i], host):
			return &invalid{part{"unhealed", 0}, host + " twice: want it once"}
		}
	}
	if n := len(s.Actions); n > ActionsMax {
		return &invalid{part{"action", ActionsMax}, fmt.Sprintf("there are %d actions: want at most %d", n, ActionsMax)}
	}
	if n := len(s.Deviate); n > ActionsMax {
		return &invalid{part{"deviation", ActionsMax}, fmt.Sprintf("there are %d deviations: want at most %d", n, ActionsMax)}
	}
	values := map[string]bool{}
	var last time.Duration
	sizes := 0
	for i := range s.Actions {
		a := &s.Actions[i]
		if sizes += min(a.Size, sizesMax); sizes > sizesMax {
			return &invalid{part{"action", i}, fmt.Sprintf("the padded values are too large: want at most %d bytes in all", sizesMax)}
		}
		if text := s.Shape.checkAction(a, last, values); text != "" {
			return &invalid{part{"action", i}, text}
		}
		last = a.At
	}
	named := map[Deviation]bool{}
	for i := range s.Deviate {
		if text := s.Shape.checkDeviation(&s.Deviate[i], named); text != "" {
			return &invalid{part{"deviation", i}, text}
		}
	}
	return nil
}

func (s *Schedule) checkHead() *invalid {
	if n := len(s.Story); n > StoryMax {
		return &invalid{part{"story", StoryMax}, fmt.Sprintf("the heading has %d lines: want at most %d", n, StoryMax)}
	}
	for i, line := range s.Story {
		if strings.ContainsAny(line, "\r\n") {
			return &invalid{part{"story", i}, "a line of the heading holds a line break: want one string a line"}
		}
	}
	if !oneLine(s.Rule) {
		return &invalid{part{"rule", 0}, fmt.Sprintf("%q: want one line without blanks around it, such as R7", s.Rule)}
	}
	if name, property := s.Broken(); s.Mutant != "" && (name == "" || property == "") || !oneLine(s.Mutant) {
		return &invalid{part{"mutant", 0}, fmt.Sprintf("%q: want NAME violates PROPERTY", s.Mutant)}
	}
	if bad := checkShows(s.Shows); bad != "" {
		return &invalid{part{"shows", 0}, bad}
	}
	if s.Recorded != nil {
		if bad := s.Recorded.check(); bad != "" {
			return &invalid{part{"recorded", 0}, bad}
		}
	}
	verdict := s.Expect == "" || s.Expect == "holds" || s.Expect == "not applicable" ||
		strings.HasPrefix(s.Expect, "violates ")
	if !verdict || !oneLine(s.Expect) {
		return &invalid{part{"expect", 0}, fmt.Sprintf("%q is no verdict: want holds, violates PROPERTY or not applicable", s.Expect)}
	}
	return nil
}

func oneLine(text string) bool {
	return text == strings.Trim(text, blanks) && !strings.ContainsAny(text, "\r\n")
}

func (sh *Shape) check() *invalid {
	for i := range shapeFields {
		f := &shapeFields[i]
		if !f.good(sh) {
			return &invalid{part{f.line, 0}, fmt.Sprintf("%s=%s: want %s", f.name, f.get(sh), f.want)}
		}
	}
	if sh.MinChain > sh.Replicas+1 {
		return &invalid{part{"cluster", 0}, fmt.Sprintf("min-chain=%d: want 1 to %d, the members of a full chain", sh.MinChain, sh.Replicas+1)}
	}
	for i, c := range sh.Clocks {
		bad := ""
		switch {
		case sh.hostKindOf(c.Host) == 0:
			bad = sh.noHost(c.Host, hostAll)
		case clockNamed(sh.Clocks[:i], c.Host):
			bad = c.Host + " has a clock already: want one a host"
		case c.Offset < -DurationMax || c.Offset > DurationMax:
			bad = fmt.Sprintf("offset=%s: want -%s to %s", c.Offset, DurationMax, DurationMax)
		case c.PPM < -PPMMax || c.PPM > PPMMax:
			bad = fmt.Sprintf("ppm=%d: want -%d to %d", c.PPM, PPMMax, PPMMax)
		}
		if bad != "" {
			return &invalid{part{"clock", i}, bad}
		}
	}
	return nil
}

func clockNamed(clocks []Clock, host string) bool {
	for _, c := range clocks {
		if c.Host == host {
			return true
		}
	}
	return false
}

func (sh *Shape) noHost(host string, kinds hostKind) string {
	return fmt.Sprintf("there is no host %q: want %s", host, sh.hostsNamed(kinds))
}

// checkAction tells what is wrong with an action; "" for nothing. The action before it
// is at time last, and values are those written so far.
func (sh *Shape) checkAction(a *Action, last time.Duration, values map[string]bool) string {
	spec := a.Verb.spec()
	if spec.name == "" {
		return fmt.Sprintf("there is no verb %d", uint8(a.Verb))
	}
	switch {
	case a.At < 0 || a.At > DurationMax:
		return fmt.Sprintf("the time %s: want 0s to %s", a.At, DurationMax)
	case a.At < last:
		return fmt.Sprintf("the time %s is before the action above it: want %s or later", a.At, last)
	}
	if extra := a.used() &^ spec.uses; extra != 0 {
		return fmt.Sprintf("%s does not take %s: want at TIME %s", spec.name, useNames[bits.TrailingZeros16(uint16(extra))], spec.usage)
	}
	if spec.uses&useHost != 0 {
		if bad := sh.checkHost(a, spec); bad != "" {
			return bad
		}
	}
	if everyLink := a.Verb.everyLink() && a.Link == (Link{}); spec.uses&useLink != 0 && !everyLink {
		if bad := sh.checkLink(a.Link); bad != "" {
			return bad
		}
	}
	if a.Verb == VerbTerms {
		return sh.checkTerms(&a.Terms)
	}
	if a.Verb == VerbPartition {
		return sh.checkGroups(a.Groups)
	}
	if spec.uses&useValue != 0 {
		if values[a.Value] {
			return fmt.Sprintf("the value %s is written twice: want values that tell the writes apart", word(a.Value))
		}
		values[a.Value] = true
	}
	return a.checkNumbers()
}

func (a *Action) checkNumbers() string {
	if a.Verb == VerbCAS && a.Version != "last" {
		n, err := strconv.ParseUint(a.Version, 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != a.Version {
			return fmt.Sprintf("the version %q: want last or a number", a.Version)
		}
	}
	switch {
	case a.Want != (Want{}) && a.Verb.Operation() == 0:
		return "only a client's call ends with a status: want no ->"
	case a.Want.Value != "" && (a.Verb != VerbGet || a.Want.Status != core.StatusOK):
		return "only a get that ends with ok has a value: want no value behind the status"
	case len(a.Key) > keyBytesMax:
		return fmt.Sprintf("the key has %d bytes: want at most %d", len(a.Key), keyBytesMax)
	case len(a.Value) > valueBytesMax:
		return fmt.Sprintf("the value has %d bytes: want at most %d", len(a.Value), valueBytesMax)
	case a.Size != 0 && (!isBare(a.Value) || a.Size <= len(a.Value) || a.Size > valueBytesMax):
		return fmt.Sprintf("%s*%d: want a bare word and more bytes than it has, at most %d", word(a.Value), a.Size, valueBytesMax)
	case a.Verb == VerbLossy && (a.Rate < 0 || a.Rate > LossMax):
		return fmt.Sprintf("%d: want a permille, 0 to %d", a.Rate, LossMax)
	case a.Rate < 0 || a.Rate > RateMax || a.Rate > 0 && a.Verb == VerbBandwidth && a.Rate < RateMin:
		return fmt.Sprintf("%d bytes a second: want 0 for no bound, or %d to %d", a.Rate, RateMin, RateMax)
	case a.Keep < 0 || a.Keep > KeepMax:
		return fmt.Sprintf("keep=%d: want 0 to %d", a.Keep, KeepMax)
	case a.Torn < 0 || a.Torn > TornMax:
		return fmt.Sprintf("torn=%d: want 0 to %d", a.Torn, TornMax)
	case a.Record < 0 || a.Record > RecordMax:
		return fmt.Sprintf("record=%d: want 0 to %d", a.Record, RecordMax)
	case a.Latency < 0 || a.Latency > DurationMax:
		return fmt.Sprintf("the latency %s: want 0s to %s", a.Latency, DurationMax)
	case a.DelayMax < 0 || a.DelayMax > DurationMax:
		return fmt.Sprintf("delay-max=%s: want 0s to %s", a.DelayMax, DurationMax)
	case a.Delay != 0 && a.DelayMax == 0:
		return "delay without delay-max: want how long a message may be delayed, such as delay-max=100ms"
	}
	for i, rate := range [...]int{a.Drop, a.Duplicate, a.Delay, a.Corrupt} {
		if rate < 0 || rate > PermilleMax {
			return fmt.Sprintf("%s=%d: want a permille, 0 to %d", rateNames[i], rate, PermilleMax)
		}
	}
	return ""
}

var rateNames = [...]string{"drop", "duplicate", "delay", "corrupt"}

func (sh *Shape) checkHost(a *Action, spec verbSpec) string {
	kind := sh.hostKindOf(a.Host)
	hosts := spec.hosts
	switch {
	case kind == 0:
		return sh.noHost(a.Host, hosts)
	case a.Verb.OnDisk() && !sh.Durable:
		return spec.name + ": no host has a disk: want mode=durable"
	case (a.Verb == VerbCrash || a.Verb == VerbRestart) && kind == hostManager && !sh.Durable && sh.Managers == 1:
		return fmt.Sprintf("%s m: a manager in memory that restarts is another cluster: want mode=durable, or %s",
			spec.name, sh.hostsNamed(hosts&^hostManager))
	case a.Verb == VerbWipe && kind == hostManager && sh.Managers > 1: // another one takes its place
	case kind&hosts == 0:
		return fmt.Sprintf("%s does not apply to %s: want %s", spec.name, a.Host, sh.hostsNamed(hosts))
	case spec.uses&useTarget == 0:
		return ""
	case !sh.Durable:
		return spec.name + ": in memory no data outlives its process: want mode=durable"
	case sh.hostKindOf(a.Target) != hostStorage:
		return sh.noHost(a.Target, hostStorage)
	case a.Target == a.Host:
		return fmt.Sprintf("%s %s %s: want two hosts", spec.name, a.Host, a.Target)
	}
	return ""
}

func (sh *Shape) checkTerms(t *core.Terms) string {
	switch {
	case !sh.Durable && sh.Managers == 1:
		return "terms: a manager in memory that restarts is another cluster: want mode=durable"
	case *t == core.Terms{}:
		return "terms of nothing: want reads=, lease= or min-chain="
	case t.Reads != 0 && t.Reads != core.ReadConfirm && t.Reads != core.ReadLease:
		return fmt.Sprintf("reads=%v: want confirm or lease", t.Reads)
	case t.Lease != 0 && (t.Lease < core.LeaseMin || t.Lease > core.LeaseMax):
		return fmt.Sprintf("lease=%s: want %s to %s", t.Lease, core.LeaseMin, core.LeaseMax)
	case int(t.MinChain) > sh.Replicas+1:
		return fmt.Sprintf("min-chain=%d: want 1 to %d, the members of a full chain", t.MinChain, sh.Replicas+1)
	}
	return ""
}

func (sh *Shape) checkLink(l Link) string {
	for _, host := range [...]string{l.From, l.To} {
		if sh.hostKindOf(host) == 0 {
			return sh.noHost(host, hostAll)
		}
	}
	if l.From == l.To {
		return fmt.Sprintf("%s>%s is no link: want two hosts", l.From, l.To)
	}
	return ""
}

func (sh *Shape) checkGroups(groups [][]string) string {
	if len(groups) < 2 {
		return "a partition has two groups at least: want partition HOST... | HOST..."
	}
	seen := map[string]bool{}
	for _, group := range groups {
		if len(group) == 0 {
			return "a group of the partition is empty: want partition HOST... | HOST..."
		}
		for _, host := range group {
			if sh.hostKindOf(host) == 0 {
				return sh.noHost(host, hostAll)
			}
			if seen[host] {
				return host + " is in the partition twice: want each host in one group at most"
			}
			seen[host] = true
		}
	}
	return ""
}

// checkDeviation tells what is wrong with a deviation; "" for nothing. A second fate for
// one message is refused, since a reader could not tell which of the two wins.
func (sh *Shape) checkDeviation(d *Deviation, named map[Deviation]bool) string {
	message := Deviation{Link: d.Link, Kind: d.Kind, Ordinal: d.Ordinal}
	switch {
	case d.Fate == 0 || d.Fate >= FateCount:
		return fmt.Sprintf("there is no fate %d", uint8(d.Fate))
	case !onWire(d.Kind):
		return fmt.Sprintf("%s is never on a wire: want a kind such as Replicate", d.Kind)
	case d.Ordinal < 1 || d.Ordinal > OrdinalMax:
		return fmt.Sprintf("the ordinal %d: want 1 to %d", d.Ordinal, OrdinalMax)
	case d.Fate != FateDelay && d.By != 0:
		return fmt.Sprintf("%s does not take a duration: want %s FROM>TO KIND#N", d.Fate, d.Fate)
	case d.Fate == FateDelay && (d.By <= 0 || d.By > DurationMax):
		return fmt.Sprintf("the delay %s: want more than 0s, at most %s", d.By, DurationMax)
	case named[message]:
		return fmt.Sprintf("%s>%s %s#%d has a fate already: want one a message", d.Link.From, d.Link.To, d.Kind, d.Ordinal)
	}
	named[message] = true
	return sh.checkLink(d.Link)
}

// onWire tells whether messages of the kind travel between hosts.
func onWire(k core.Kind) bool { return k >= core.KindRegister && !k.Local() }

// Shown returns the marks in Shows. The schedule must be valid.
func (s *Schedule) Shown() []mark.Mark {
	var list []mark.Mark
	for _, name := range strings.Fields(s.Shows) {
		list = append(list, mark.Named(name))
	}
	return list
}

// checkShows tells what is wrong with the marks that a schedule names; "" for nothing.
func checkShows(shows string) string {
	names := strings.Fields(shows)
	for i, name := range names {
		switch {
		case mark.Named(name) == 0:
			return fmt.Sprintf("%q is no mark: near it are %s", name, mark.Near(name))
		case slices.Contains(names[:i], name):
			return fmt.Sprintf("the mark %s twice: want it once", name)
		}
	}
	if strings.Join(names, " ") != shows {
		return fmt.Sprintf("%q: want marks with one blank between them", shows)
	}
	return ""
}
