package network

import (
	"fmt"
	"math/bits"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/mark"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// Network is the state of all links between hosts, which go by their index. Times
// are virtual, in nanoseconds since the start of the run.
type Network struct {
	seed                    uint64
	batch                   int
	latencyMin, latencySpan int64
	roundTrips              int // round trips that setting up a connection takes

	hosts   []host
	links   []link        // from·hosts + to
	slots   []slot        // (from·hosts + to)·KindCount + kind
	far     map[int]*pair // instead, with more than denseMax hosts; by from·hosts + to
	pairs   []*pair       // the same, in the order in which they came to be
	rules   []Rates
	streams []stream // from 1

	deviations []deviation // from 1; those of a slot are a list
	deviated   int64       // when one last came about; 0 for never
	idle       []bool      // by the index of a deviation in the schedule: its message was not sent yet

	ledger  *bounds.Ledger // what is beyond the bounds is noted there
	counts  Counts
	reached mark.Set
	decided []Decision // by the call under way, of which the array is never nil
}

// host is what the network must know of one.
type host struct {
	code   uint64 // names it in draws, whatever the size of the cluster
	up     bool
	slow   int64 // by how much later it takes in what arrives
	uplink uplink
	near   []*pair // those that begin or end here, with more than denseMax hosts
}

// denseMax is how many hosts have room for all their links at once. In a larger cluster most
// hosts never send each other anything, so that a link has none until it is used.
const denseMax = 64

// pair is one link and its slots, with more than denseMax hosts.
type pair struct {
	from, to int
	link     link
	slots    [core.KindCount]slot
}

// slot counts the messages of one kind on one link.
type slot struct {
	count uint32
	first int32 // first in the list of deviations; 0 for none
}

type deviation struct {
	fate    schedule.Fate
	ordinal uint32
	by      int64
	index   int   // in Schedule.Deviate
	next    int32 // of the same slot; 0 at the end
}

// Counts says how often what really happened.
type Counts struct {
	Fates   [schedule.FateCount]int // messages with that fate, by schedule.Fate
	Cut     int                     // messages lost in a cut or partition
	Clogged int                     // messages held back
	Stalled int                     // messages that waited for what was before them on the link
	Resent  int                     // packets that were lost, and sent again
	Muted   int                     // messages lost on a connection that was silently dead
}

// Decision is one thing that the network decides in a call. They are to be carried
// out in their order.
type Decision struct {
	What     What
	Why      Loss
	From, To int16
	Slot     uint32 // the message's
	At       int64
	Part     uint64
	Tie      uint32
}

// What says what a Decision is.
type What uint8

const (
	Arrive     What = iota + 1 // the message in Slot arrives At; of those at one time, in the order of Tie
	Lose                       // the message in Slot is lost, and Why
	LookAtLink                 // call Waiting for the link From To, At
	LookAtHost                 // call Departed for the host From and that Part, At
)

// Loss says why a message does not arrive.
type Loss uint8

const (
	LostInCut Loss = iota + 1
	LostByDrop
	LostByCorruption
	LostOnMute
	LostByReset
	LostUnsent
)

var lossNames = [...]string{
	LostInCut: "cut", LostByDrop: "drop", LostByCorruption: "corrupt", LostOnMute: "muted", LostByReset: "reset", LostUnsent: "not sent",
}

func (l Loss) String() string {
	if int(l) < len(lossNames) && lossNames[l] != "" {
		return lossNames[l]
	}
	return fmt.Sprintf("Loss(%d)", uint8(l))
}

// TieFree is the least Tie of a Decision: 0 is free for what comes before all.
const TieFree uint32 = 1

// Salts that make independent draws from the hash that names a message. Those up to
// saltHosts are the hosts'.
const (
	saltHosts uint64 = iota + 5
	saltGroup
	saltDrop
	saltDuplicate
	saltDelay
	saltDelayBy
	saltCorrupt
	saltBit
	saltCopy
	saltConnect
	saltLoss
)

// batchStep is the grid on which messages arrive when hosts take them in
// batches: without it two would hardly ever be due together.
const batchStep = int64(100 * time.Microsecond)

// New is the network of a schedule, between hosts with those codes, of which none
// is up. It notes in the ledger what is beyond the bounds; index tells a host's
// index by its name, below 0 when there is none.
func New(s *schedule.Schedule, codes []uint64, index func(name string) int, ledger *bounds.Ledger) Network {
	hosts := len(codes)
	n := Network{
		seed: s.Shape.Seed, batch: max(1, s.Shape.Batch), roundTrips: s.Shape.Connect,
		latencyMin: int64(s.Shape.LatencyMin), latencySpan: max(0, int64(s.Shape.LatencyMax-s.Shape.LatencyMin)),
		hosts:   make([]host, hosts),
		rules:   make([]Rates, 1, 4),
		idle:    make([]bool, len(s.Deviate)),
		ledger:  ledger,
		decided: make([]Decision, 0, 16),
	}
	for i, code := range codes {
		n.hosts[i].code = code
	}
	if hosts > denseMax {
		n.far = make(map[int]*pair)
	} else {
		n.links, n.slots = make([]link, hosts*hosts), make([]slot, hosts*hosts*core.KindCount)
	}
	if n.roundTrips > 0 {
		n.streams = make([]stream, 1, 1+hosts*hosts)
		for from := range hosts {
			for to := range hosts {
				if from != to {
					n.streamOf(from, to, 0)
				}
			}
		}
	}
	n.deviations = make([]deviation, 1, len(s.Deviate)+1)
	for i := range s.Deviate {
		d := &s.Deviate[i]
		n.idle[i] = true
		from, to := index(d.Link.From), index(d.Link.To)
		if from < 0 || to < 0 || int(d.Kind) >= core.KindCount {
			continue
		}
		s := n.slot(from, to, d.Kind)
		n.deviations = append(n.deviations, deviation{
			fate: d.Fate, ordinal: uint32(d.Ordinal), by: int64(d.By), index: i, next: s.first,
		})
		s.first = int32(len(n.deviations) - 1)
	}
	return n
}

// Deviated returns when the schedule last said what becomes of a message; 0 for never.
func (n *Network) Deviated() int64 { return n.deviated }

// Counts tells how often what has happened so far.
func (n *Network) Counts() Counts { return n.counts }

// Marks returns the situations that the network alone sees, and has seen so far.
func (n *Network) Marks() *mark.Set { return &n.reached }

// IdleDeviations returns the deviations, as indices, whose message was not sent yet.
func (n *Network) IdleDeviations() (list []int) {
	for i, idle := range n.idle {
		if idle {
			list = append(list, i)
		}
	}
	return list
}

// SetUp says whether a process listens at a host from now on.
func (n *Network) SetUp(host int, up bool) { n.hosts[host].up = up }

// SetSlow says by how much later a host takes in what arrives from now on.
func (n *Network) SetSlow(host int, by int64) { n.hosts[host].slow = by }

func (n *Network) link(from, to int) *link {
	if n.far != nil {
		return &n.pair(from, to).link
	}
	return &n.links[from*len(n.hosts)+to]
}

func (n *Network) slot(from, to int, k core.Kind) *slot {
	if n.far != nil {
		return &n.pair(from, to).slots[k]
	}
	return &n.slots[(from*len(n.hosts)+to)*core.KindCount+int(k)]
}

// pair returns a link of a large cluster, which is made when it is first used.
func (n *Network) pair(from, to int) *pair {
	at := from*len(n.hosts) + to
	p := n.far[at]
	if p == nil {
		p = &pair{from: from, to: to}
		n.far[at] = p
		n.pairs = append(n.pairs, p)
		n.hosts[from].near = append(n.hosts[from].near, p)
		if from != to {
			n.hosts[to].near = append(n.hosts[to].near, p)
		}
	}
	return p
}

// used tells whether a link was ever used. Each link of a small cluster counts as such.
func (n *Network) used(from, to int) bool {
	return n.far == nil || n.far[from*len(n.hosts)+to] != nil
}

// all yields the links that were used, always in the same order.
func (n *Network) all(yield func(p at, l *link) bool) {
	for i := range n.links {
		if !yield(at{i / len(n.hosts), i % len(n.hosts)}, &n.links[i]) {
			return
		}
	}
	for _, p := range n.pairs {
		if !yield(at{p.from, p.to}, &p.link) {
			return
		}
	}
}

// at is where a link is.
type at struct{ from, to int }

// begin forgets what the last call decided.
func (n *Network) begin() { n.decided = n.decided[:0] }

// draw hashes what names a message: the link, the kind, and the how-manieth of
// that kind it is. Hosts go by their codes, which do not depend on how many
// there are, so that a smaller cluster leaves the fates of the rest alone.
func (n *Network) draw(from, to int, k core.Kind, ordinal uint32) uint64 {
	a, b := n.hosts[from].code, n.hosts[to].code
	name := a<<16 | b<<8 | uint64(k)
	if (a|b)>>8 != 0 { // else two links may have one name
		name = 1<<63 | a<<32 | b<<8 | uint64(k)
	}
	return splitmix.Mix(splitmix.Mix(n.seed, name), uint64(ordinal))
}

// latency turns a draw into how long a message takes, in nanoseconds.
func (n *Network) latency(draw uint64) int64 {
	if n.seed == 0 {
		return n.latencyMin
	}
	hi, _ := bits.Mul64(draw, uint64(n.latencySpan)+1)
	return n.latencyMin + int64(hi)
}

// Tie orders what is due at the same time. With batches all that is due at one
// host comes together.
func (n *Network) Tie(draw uint64, to int, at int64) uint32 {
	low := uint32(draw)
	switch {
	case n.batch <= 1 && n.seed == 0:
		return TieFree
	case n.batch <= 1:
		return max(low, TieFree)
	case n.seed == 0:
		return uint32(to+1) << 16
	}
	group := uint32(splitmix.Mix(splitmix.Mix(n.seed, uint64(at)), saltGroup<<8|n.hosts[to].code))
	return max(group, 1)<<16 | low&0xffff
}

// arrival returns when a message arrives that leaves now.
func (n *Network) arrival(now int64, to int, draw uint64, delay int64) int64 {
	at := now + n.latency(draw) + delay + n.hosts[to].slow
	if n.batch > 1 {
		at = (at + batchStep - 1) / batchStep * batchStep
	}
	return at
}

// Fate is what happens to one message that is sent.
type Fate struct {
	Lost     Loss // why it does not arrive; 0 when it does
	from, to int16
	copies   int // beyond the first
	delay    int64
	number   uint64 // of the message, for who sent it
	draw     uint64
}

// Bit is which bit of a frame of so many bytes flips.
func (f *Fate) Bit(bytes int) uint64 { return splitmix.Mix(f.draw, saltBit) % uint64(8*bytes) }

// Copies is how many copies of the message there are.
func (f *Fate) Copies() int { return 1 + f.copies }

// message is one that is on its way, or waits to be. Its slot is the name that who
// sent it has for it.
type message struct {
	slot   uint32
	kind   core.Kind
	number uint64
	draw   uint64
	delay  int64
}

// Send settles the fate of the next message of a kind on a link.
func (n *Network) Send(now int64, from, to int, k core.Kind, number uint64) Fate {
	s := n.slot(from, to, k)
	s.count++
	l := n.link(from, to)
	if l.cut {
		n.counts.Cut++
		return Fate{Lost: LostInCut}
	}
	f := Fate{from: int16(from), to: int16(to), number: number, draw: n.draw(from, to, k, s.count)}
	if l.rates != 0 || s.first != 0 {
		n.disturb(now, from, to, &f, l, s)
	}
	return f
}

// disturb lets happen to a message what its link does, and the schedule.
func (n *Network) disturb(now int64, from, to int, f *Fate, l *link, s *slot) {
	if l.rates != 0 {
		n.roll(f, &n.rules[l.rates])
	}
	for d := s.first; d != 0; d = n.deviations[d].next {
		if n.deviations[d].ordinal == s.count {
			n.deviate(f, &n.deviations[d])
			n.deviated = now
		}
	}
	if f.Lost != 0 {
		n.ledger.Link(from, to, now)
	}
	if f.delay > int64(bounds.LateMax) {
		n.noteLate(now, from, to, f.delay)
	}
}

// lose has a message lost. That it is dropped comes before that it is corrupt.
func (f *Fate) lose(why Loss) {
	if f.Lost != LostByDrop {
		f.Lost = why
	}
}

// roll draws what a flaky link does to a message.
func (n *Network) roll(f *Fate, r *Rates) {
	hit := func(permille, salt uint64) bool {
		return permille > 0 && splitmix.Mix(f.draw, salt)%1000 < permille
	}
	if hit(r.Drop, saltDrop) {
		f.lose(LostByDrop)
		n.counts.Fates[schedule.FateDrop]++
	}
	if hit(r.Corrupt, saltCorrupt) {
		f.lose(LostByCorruption)
		n.counts.Fates[schedule.FateCorrupt]++
	}
	if hit(r.Duplicate, saltDuplicate) {
		f.copies++
		n.counts.Fates[schedule.FateDuplicate]++
	}
	if r.DelayMax > 0 && hit(r.Delay, saltDelay) {
		f.delay += 1 + int64(splitmix.Mix(f.draw, saltDelayBy)%uint64(r.DelayMax))
		n.counts.Fates[schedule.FateDelay]++
	}
}

// deviate does to a message what the schedule says.
func (n *Network) deviate(f *Fate, d *deviation) {
	switch d.fate {
	case schedule.FateDrop:
		f.lose(LostByDrop)
	case schedule.FateDuplicate:
		f.copies++
	case schedule.FateDelay:
		f.delay += d.by
	case schedule.FateCorrupt:
		f.lose(LostByCorruption)
	}
	n.counts.Fates[d.fate]++
	n.idle[d.index] = false
}

// noteLate notes what is beyond the bounds about a message that is sent now, and comes so
// much later than its link's latency has it.
func (n *Network) noteLate(now int64, from, to int, late int64) {
	l := n.link(from, to)
	switch {
	case late > int64(bounds.StallMax):
		n.ledger.Link(from, to, now+late)
	case l.stream != 0 && l.rates == 0: // a flaky one is beyond them as it is
		n.ledger.LinkStall(from, to, now, late)
	}
}

// Carry has the i-th copy of a message, from 0, which is in that slot, leave its
// host. It returns when it arrives, and in which order of those at one time; or,
// where its link is out of the ordinary, what else is to be done.
func (n *Network) Carry(now int64, f *Fate, i int, slot uint32, e *core.Envelope) (at int64, tie uint32, other []Decision) {
	draw, to := f.draw, int(f.to)
	if i > 0 {
		draw = splitmix.Mix(draw, saltCopy+uint64(i-1))
	}
	if l := n.link(int(f.from), to); l.clogged || l.stream != 0 {
		return 0, 0, n.carryHeld(now, f, l, message{slot, core.KindOf(e.Body), f.number, draw, f.delay}, e)
	}
	at = n.arrival(now, to, draw, f.delay)
	return at, n.Tie(draw, to, at), nil
}

// carryHeld is Carry over a link that holds messages back, or keeps their order.
func (n *Network) carryHeld(now int64, f *Fate, l *link, m message, e *core.Envelope) []Decision {
	n.begin()
	if l.clogged {
		n.counts.Clogged++
		l.held = append(l.held, m)
	} else {
		n.carryInOrder(now, int(f.from), int(f.to), l, m, e)
	}
	return n.decided
}
