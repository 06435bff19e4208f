package quorum

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/core/wire"
)

// ErrAnew is why a manager halts that is to be started again, with another id: it was to be one
// of the founders of a cluster that nobody can found any more, and had applied none of its
// commands. What is durable is empty by then.
var ErrAnew = errors.New("the cluster of which this manager was to be a founder cannot be founded any more: it begins anew")

const (
	askWait     = 250 * time.Millisecond // for the answers to a round; doubles while some are missing
	askWaitMax  = 2 * time.Second        // up to this
	looksMax    = 5                      // at the way to the others, where it seems far, once somebody leads
	promiseTime = 2 * time.Second        // since it was last asked for, before a promise can be given to another founder
)

// The first byte of a text between founders. No Message begins with one.
const (
	tagAsk = 0xf0 + iota
	tagSay
)

// ask is the question of a manager without a command to the others: what they are. With
// Founding it asks them to be founders of that cluster.
type ask struct {
	round    uint64
	address  string         // of who asks
	founding core.ClusterID // 0 for none
	durable  bool
	managers []string
}

// say answers the ask of the same round. Who says it is known by the address in the envelope,
// and its id is the one with which it will be a founder.
type say struct {
	round    uint64
	state    state
	cluster  core.ClusterID // of which it is, or to which it has promised itself; 0 for none
	durable  bool
	managers []string

	verdict   verdict // of who asks
	elsewhere string  // with verdictElsewhere: where it is heard
}

// state is how far a manager is.
type state uint8

const (
	stateEmpty    state = iota + 1
	statePromised       // empty, and to be of a cluster
	stateTaken          // of a cluster of which it does not know the founders: so it cannot lead
	stateBlank          // of a cluster, of which it has applied no command
	stateMember
	stateEnd
)

func isFounding(text string) bool { return text != "" && text[0] >= tagAsk }

func codeAddresses(c *wire.Coder, list *[]string) {
	for i := range wire.Slice(c, list, MembersMax, 1) {
		wire.String(c, &(*list)[i], core.AddrBytesMax)
	}
}

func (a *ask) code(c *wire.Coder) {
	c.Tag(tagAsk)
	count(c, &a.round)
	wire.String(c, &a.address, core.AddrBytesMax)
	wire.Fixed64(c, &a.founding)
	c.Bool(&a.durable)
	codeAddresses(c, &a.managers)
}

func (s *say) code(c *wire.Coder) {
	c.Tag(tagSay)
	count(c, &s.round)
	wire.Enum(c, &s.state, stateEnd)
	wire.Fixed64(c, &s.cluster)
	c.Check((s.cluster == 0) == (s.state == stateEmpty), "of a cluster or not")
	c.Bool(&s.durable)
	codeAddresses(c, &s.managers)
	wire.Enum(c, &s.verdict, verdictEnd)
	wire.String(c, &s.elsewhere, core.AddrBytesMax)
}

// founding is what a manager does until it knows a command of its cluster.
type founding struct {
	told     []string // the addresses of all, in the order in which each of them was told
	managers []string // the same, with the names that the cluster has where the list has none: see resolve
	place    int      // of this one
	durable  bool

	promise    core.ClusterID // of which this empty manager is to be; 0 for none
	promisedAt core.Time      // when it was last asked for that, or has asked for it

	round   uint64         // of its first questions: see questionsMax. What was said to an earlier start does not count
	asks    core.ClusterID // what this round asks for; 0 for nothing
	askAt   core.Time      // of the next round
	wait    time.Duration
	answers []answer // of this round, by place in managers
	gone    []uint64 // by place: the round in which it was first heard that it is gone; 0 if it is not

	asked [MembersMax]asking // by place in managers
	trip  time.Duration      // the longest way to one of them and back; 0 while none is known
	looks int                // how often that is still looked at again while somebody leads

	said              []said // by the address
	waits, differs    bool   // this was told
	removed, copied   bool   // and this
	awaits, absentees string // and this last
}

// questionsMax are the questions of a round to one manager that are told apart: by their number,
// which is that of the round and one more for each.
const questionsMax = 8

// asking is when a manager was asked in this round, and how long the way there and back takes.
type asking struct {
	at   [questionsMax]core.Time
	last int           // question of this round
	trip time.Duration // 0 while it is not known
}

// answer is what a manager has said in a round.
type answer struct {
	from core.Peer
	say
}

func newFounding(managers []string, self string, durable bool) (founding, error) {
	f := founding{told: slices.Clone(managers), place: placeOf(managers, self), durable: durable, wait: askWait, answers: make([]answer, len(managers)), gone: make([]uint64, len(managers))}
	switch {
	case len(managers) == 0 || len(managers) > MembersMax:
		return f, fmt.Errorf("quorum: %d managers, want 1 to %d, best 3 or 5", len(managers), MembersMax)
	case f.place < 0:
		return f, fmt.Errorf("quorum: the managers are %q, and this one, %s, is not among them: name it as the others do", managers, core.Place(self))
	case core.OtherName(managers[f.place], self):
		return f, fmt.Errorf("quorum: the list of managers has %s, and this one is %s by its certificate: correct the list of each manager, or give this one the certificate of that name", managers[f.place], self)
	}
	for i, address := range managers {
		if placeOf(managers[:i], address) >= 0 {
			return f, fmt.Errorf("quorum: manager %s is named twice", core.Place(address))
		}
	}
	f.told[f.place] = self
	f.managers = f.told
	return f, nil
}

// placeOf is where on a list the place of an address is; -1 for nowhere.
func placeOf(list []string, address string) int {
	return slices.IndexFunc(list, func(a string) bool { return core.Place(a) == core.Place(address) })
}

// indexOf is where on a list the manager at an address is: one at that place that has no other
// name; -1 for nowhere.
func indexOf(list []string, address string) int {
	return slices.IndexFunc(list, func(a string) bool { return core.SameAddr(a, address) })
}

// resolve gives the addresses of the list the names that members at these places have. So a
// cluster that was founded goes by names, whatever the list says.
func (f *founding) resolve(members []core.Peer) {
	f.managers = slices.Clone(f.told)
	for _, p := range members {
		if i := placeOf(f.managers, p.Addr); i >= 0 {
			name, _ := core.SplitAddr(p.Addr)
			f.managers[i] = core.NamedAddr(name, f.managers[i])
		}
	}
}

// begin begins a round.
func (f *founding) begin(now core.Time, asks core.ClusterID) *ask {
	f.round += questionsMax
	f.asks = asks
	f.askAt = now.After(f.wait)
	f.wait = min(2*f.wait, askWaitMax)
	clear(f.answers)
	for i := range f.asked {
		f.asked[i].at, f.asked[i].last = [questionsMax]core.Time{now}, 0
	}
	return f.question()
}

// again is one more question of this round, for one who has not answered yet, but is there.
func (f *founding) again(now core.Time, address string) *ask {
	a, q := &f.asked[indexOf(f.managers, address)], f.question()
	if a.last < questionsMax-1 {
		a.last++
		a.at[a.last] = now
	}
	q.round += uint64(a.last)
	return q
}

// question is what is asked in this round.
func (f *founding) question() *ask {
	return &ask{f.round, f.managers[f.place], f.asks, f.durable, f.managers}
}

// promises has this empty manager be of that cluster, if it is of one: as a founder, or taken in
// later. It is of no other: of two lists of managers in which its id stood, one would count on
// what it did for the other. As long as the first cluster may still want it, others wait. After
// that it is to begin anew.
func (f *founding) promises(now core.Time, c core.ClusterID) (anew bool) {
	if f.promise != 0 && f.promise != c {
		return f.isLapsed(now)
	}
	f.promise, f.promisedAt = c, now
	return false
}

// isLapsed tells whether nobody has wanted what was promised for some time.
func (f *founding) isLapsed(now core.Time) bool { return now.Since(f.promisedAt) >= promiseTime }

// take takes in an answer of this round.
func (f *founding) take(now core.Time, from core.Peer, s *say) {
	i, question := indexOf(f.managers, from.Addr), int(s.round%questionsMax)
	if i < 0 || i == f.place || question > f.asked[i].last {
		return
	}
	if !f.answers[i].is() {
		f.measure(&f.asked[i], now.Since(f.asked[i].at[question]))
	}
	f.answers[i] = answer{from, *s}
}

// measure takes in how long the first answer of a round took. One that took long for another
// reason, a stall or a disk, is believed no more than twice as much as the one before.
func (f *founding) measure(a *asking, trip time.Duration) {
	if trip = max(trip, time.Nanosecond); a.trip > 0 {
		trip = min(trip, 2*a.trip)
	}
	a.trip, f.trip = trip, 0
	for i := range f.asked {
		f.trip = max(f.trip, f.asked[i].trip)
	}
}

// isOfThisRound tells whether an answer is to a question of this round.
func (f *founding) isOfThisRound(s *say) bool {
	return s.round-s.round%questionsMax == f.round && s.round > 0
}

// misses tells whether that address has not answered in this round.
func (f *founding) misses(address string) bool {
	i := indexOf(f.managers, address)
	return i >= 0 && i != f.place && !f.answers[i].is()
}

// anew forgets what was answered: this manager has become another since it asked.
func (f *founding) anew(now core.Time) {
	f.round += questionsMax
	f.asks = 0
	clear(f.answers)
	clear(f.gone)
	f.wait, f.askAt = askWait, now.After(askWait)
}

// all tells whether all others have answered in this round, and of each holds what is asked.
func (f *founding) all(holds func(a *answer) bool) bool {
	for i := range f.answers {
		if i != f.place && (!f.answers[i].is() || !holds(&f.answers[i])) {
			return false
		}
	}
	return true
}

func (a *answer) is() bool { return a.round != 0 }

// agrees tells whether one was started with the same managers, and in the same mode. A list
// without a name agrees with one that has it.
func (f *founding) agrees(durable bool, managers []string) bool {
	return f.durable == durable && slices.EqualFunc(f.managers, managers, core.SameAddr)
}

// isDead tells whether a cluster can never have a leader, by what was said in this round. Who
// knows no founders counts the list: if no majority of it is left, or nobody who knows the
// founders. Who knows them counts them. Who holds commands that it has not applied gives them
// up only where all have said that they have applied none.
func (f *founding) isDead(c core.ClusterID, self core.NodeID, founders *Members, holdsCommands bool) bool {
	gone, newer, informed := 0, false, len(founders.Voters) > 0
	for i := range f.answers {
		a := &f.answers[i]
		_, founder := founders.peer(a.from.ID)
		switch {
		case !a.is():
		case a.cluster != c, a.state == statePromised && informed && !founder: // it may be taken in yet, but it holds nothing
			gone++
		case a.state >= stateBlank && !founder:
			newer = true
		}
	}
	switch left := len(f.managers) - gone; {
	case holdsCommands && !f.all(func(a *answer) bool { return a.cluster != c || a.state < stateMember }):
		return false
	case !informed:
		return left < len(f.managers)/2+1 || f.nobodyKnows(c)
	case newer: // the members have changed since, and are to be heard of
		return false
	}
	return f.tooFew(c, self, founders.Voters) || f.tooFew(c, self, founders.Outgoing)
}

// nobodyKnows tells whether all who knew the founders of a cluster are gone. One that did not know
// them when it answered may have been told since, by another one that lost its data only after that.
// So who is gone must have been so before this round: then all others were asked later than that.
func (f *founding) nobodyKnows(c core.ClusterID) bool {
	for i := range f.answers {
		a := &f.answers[i]
		switch {
		case i == f.place:
		case !a.is(), a.cluster == c && a.state > stateTaken, a.cluster != c && (f.gone[i] == 0 || f.gone[i] == f.round):
			return false
		}
	}
	return true
}

// noteGone notes who is gone: it has said that it is not of that cluster, and never will be under the
// id that the founders know. It tells whether one was not known to be before this round.
func (f *founding) noteGone(c core.ClusterID) (news bool) {
	for i := range f.answers {
		switch a := &f.answers[i]; {
		case !a.is():
		case a.cluster == c:
			f.gone[i] = 0
		case f.gone[i] == 0:
			f.gone[i], news = f.round, true
		}
	}
	return news
}

// tooFew tells whether no majority of these members of a cluster is left.
func (f *founding) tooFew(c core.ClusterID, self core.NodeID, members []core.Peer) bool {
	gone := 0
	for _, p := range members {
		i := indexOf(f.managers, p.Addr)
		switch {
		case p.ID == self || i < 0:
		case i == f.place, f.answers[i].is() && (f.answers[i].from.ID != p.ID || f.answers[i].cluster != c):
			gone++ // another one is there now, or it is of another cluster
		}
	}
	return gone > 0 && len(members)-gone < len(members)/2+1
}
