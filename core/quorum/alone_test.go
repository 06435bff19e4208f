package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// candidate is one manager that is of no cluster yet, and what it is to conclude from what it hears, as
// section 11 of core/PROTOCOL.md has it. What the others are, and when their words come, is drawn.
type candidate struct {
	rng     *rand.Rand
	now     core.Time
	node    *Manager
	list    []string
	place   int
	durable bool
	disk    map[string]string
	batches []batchOf
	lives   core.NodeID // ids so far
	wrong   string
	counts  map[string]int

	others []life // by place
	put    []question

	// The model.
	id         core.NodeID
	promise    core.ClusterID
	promisedAt core.Time
	founded    []core.Peer    // where it has founded a cluster itself
	cluster    core.ClusterID // of which it is
	round      uint64
	asks       core.ClusterID
	answers    []*reply // of this round, by place
	goneIn     []uint64 // by place: in which round it was first heard that it is not of the cluster
	sworn      map[core.NodeID]core.ClusterID
	ending     bool
}

// life is what another manager is at present.
type life struct {
	id      core.NodeID
	state   state
	cluster core.ClusterID
}

type reply struct {
	life
	agrees bool
}

// question is one that was put to another manager, and what that would have answered then.
type question struct {
	place int
	round uint64
	then  life
}

func newCandidate(seed uint64) *candidate {
	c := &candidate{rng: rand.New(rand.NewPCG(seed, 3)), now: core.Time(time.Second), lives: core.NodeID(seed << 20), disk: map[string]string{}, counts: map[string]int{}, sworn: map[core.NodeID]core.ClusterID{}}
	for i := range 2 + c.rng.IntN(4) {
		c.list = append(c.list, fmt.Sprint("m", i+1))
		c.others = append(c.others, life{id: c.newID(), state: stateEmpty})
	}
	c.durable = c.chance(60)
	if c.chance(50) {
		c.place = c.rng.IntN(len(c.list))
	}
	c.start()
	return c
}

func (c *candidate) chance(percent int) bool { return c.rng.IntN(100) < percent }
func (c *candidate) newID() core.NodeID      { c.lives++; return c.lives }

func (c *candidate) fail(format string, args ...any) {
	if c.wrong == "" {
		c.wrong = fmt.Sprintf(format, args...)
	}
}

func (c *candidate) start() {
	id := c.newID()
	opt := core.ManagerOptions{Self: core.Peer{ID: id, Addr: c.list[c.place]}, Cluster: core.ClusterID(id) << 32, Durable: c.durable}
	var err error
	if c.node, err = NewManager(opt, c.list, Options{}, &seat{space: c.disk}); err != nil {
		c.fail("it does not start: %v", err)
		return
	}
	c.id, c.promise, c.cluster, c.founded, c.ending = c.node.Self().ID, c.node.promise, 0, nil, false
	c.promisedAt, c.round, c.asks, c.answers, c.goneIn = c.now, 0, 0, make([]*reply, len(c.list)), make([]uint64, len(c.list))
	c.put = nil
	c.call(nil)
}

// crash ends the process. A manager that keeps its data keeps the id by which it has promised something.
func (c *candidate) crash(gone bool) {
	before, ending := c.id, c.ending
	for _, b := range c.batches[:c.rng.IntN(len(c.batches)+1)] {
		(&seat{space: c.disk}).write(b.writes)
	}
	c.batches = nil
	if gone || !c.durable {
		clear(c.disk)
	}
	c.start()
	if c.durable && !gone && !ending && c.sworn[before] != 0 && c.wrong == "" && c.id != before {
		c.fail("%v has given its word, and is %v after a restart", before, c.id)
	}
	if c.id == before && c.promise != c.sworn[before] && c.sworn[before] != 0 {
		c.fail("%v is promised to %v after a restart, and has given its word to %v", c.id, c.promise, c.sworn[before])
	}
}

func (c *candidate) sync() {
	done := c.batches
	c.batches = nil
	for _, b := range done {
		(&seat{space: c.disk}).write(b.writes)
	}
	for _, b := range done {
		for _, e := range b.after {
			if e.To.ID != c.id {
				c.leaves(&e)
				continue
			}
			var out core.Output
			c.node.Step(c.now, e, &out)
			if out.Halt != nil && c.wrong == "" {
				if !c.ending {
					c.fail("it halts: %v", out.Halt)
				}
				c.counts["anew"]++
				c.batches = nil
				c.start()
				return
			}
		}
	}
}

// call brings it a message, or the time, and compares what it does with the model.
func (c *candidate) call(in *core.Envelope) {
	anew, found := false, false
	var out core.Output
	if in != nil {
		anew, found = c.expect(in)
		c.node.Step(c.now, *in, &out)
	}
	for !c.ending && c.node.Deadline() <= c.now {
		c.node.Tick(c.now, &out)
	}
	begins := slices.ContainsFunc(out.After, func(e core.Envelope) bool {
		s, ok := e.Body.(*core.Synced)
		return ok && s.Nonce == anewNonce
	})
	founds := slices.ContainsFunc(out.Events, func(e core.Event) bool { return e.Kind == core.EventFounded })
	switch {
	case c.cluster != 0 && begins && !c.mayBeDead():
		c.fail("it gives cluster %v up, which can still have a leader", c.cluster)
	case c.cluster == 0 && begins != anew:
		c.fail("begins anew: %v, and should: %v", begins, anew)
	case founds != found:
		c.fail("founds a cluster: %v, and should: %v", founds, found)
	case founds:
		c.counts["founded"]++
		c.cluster, c.goneIn, c.answers = c.asks, make([]uint64, len(c.list)), make([]*reply, len(c.list))
		for i, o := range c.founded {
			if p, ok := c.node.node.members.peer(o.ID); !ok || p.Addr != o.Addr {
				c.fail("founder %d is not %v", i, o)
			}
		}
	}
	c.ending = c.ending || begins
	for _, e := range out.Send {
		c.judge(&e)
		c.leaves(&e)
	}
	for _, e := range out.After {
		c.judge(&e)
	}
	if len(out.Persist)+len(out.After) > 0 {
		c.batches = append(c.batches, batchOf{writes: out.Persist, after: out.After})
	}
}

// judge compares a word with what it is to be at this moment.
func (c *candidate) judge(e *core.Envelope) {
	a, s := words(e)
	switch {
	case a != nil:
		if base := a.round - a.round%questionsMax; base != c.round {
			empties := c.place == 0 && c.promise == 0 && c.cluster == 0 && c.asks == 0 && c.all(func(r *reply) bool { return r.state <= statePromised && r.agrees })
			if a.founding != 0 && !empties {
				c.fail("it asks for founders, and not all others are empty")
			}
			c.round, c.asks, c.answers = base, a.founding, make([]*reply, len(c.list))
		}
		if i := slices.Index(c.list, e.To.Addr); i >= 0 {
			c.put = append(c.put, question{i, a.round, c.asked(i, a.founding)})
		}
	case s != nil && (s.cluster != max(c.promise, c.cluster) || (s.state == statePromised) != (c.promise != 0 && c.cluster == 0)):
		c.fail("it says that it is %d, of cluster %v, and has promised itself to %v, and is of %v", s.state, s.cluster, c.promise, c.cluster)
	}
}

// leaves judges what others may count on from now on.
func (c *candidate) leaves(e *core.Envelope) {
	_, s := words(e)
	_, enlists := e.Body.(*core.Enlist)
	if s == nil && !enlists || s != nil && s.cluster == 0 {
		return
	}
	word := max(c.promise, c.cluster) // the text of an Enlist does not name it
	if s != nil {
		word = s.cluster
	}
	if first := c.sworn[c.id]; first != 0 && first != word {
		c.fail("%v gives its word to %v, and has given it to %v", c.id, word, first)
	}
	c.sworn[c.id] = word
	var p promiseRecord
	if c.durable && !c.ending && (enlists && c.cluster == 0 || s != nil && s.state == statePromised) {
		if err := readOne(&seat{space: c.disk}, keyPromise, tagPromise, &p); err != nil || p != (promiseRecord{c.id, word}) {
			c.fail("it says that it is promised to %v, and its disk has %+v", word, p)
		}
	}
}

// asked is what another one answers to a question that comes to it now.
func (c *candidate) asked(place int, founding core.ClusterID) life {
	o := &c.others[place]
	if founding != 0 && o.state == stateEmpty && c.chance(85) {
		o.state, o.cluster = statePromised, founding
	}
	return *o
}

func (c *candidate) all(holds func(r *reply) bool) bool {
	for i, r := range c.answers {
		if i != c.place && (r == nil || !holds(r)) {
			return false
		}
	}
	return true
}

// promises has the model give its word, and tells whether it begins anew instead.
func (c *candidate) promises(to core.ClusterID) (anew bool) {
	if c.promise != 0 && c.promise != to {
		return c.now.Since(c.promisedAt) >= promiseTime
	}
	c.promise, c.promisedAt = to, c.now
	return false
}

// expect is what the model makes of a message.
func (c *candidate) expect(in *core.Envelope) (anew, found bool) {
	a, s := words(in)
	switch {
	case c.ending:
	case a != nil:
		if a.founding != 0 && a.durable == c.durable && slices.Equal(a.managers, c.list) && c.cluster == 0 && c.place != 0 {
			anew = c.promises(a.founding)
		}
	case s != nil:
		return c.expectSay(in.From, s)
	case in.To.ID != c.id || in.Cluster == 0 || c.cluster != 0:
	case c.promise != 0 && c.promise != in.Cluster:
		anew = c.now.Since(c.promisedAt) >= promiseTime
	default:
		c.cluster, c.promise = in.Cluster, 0
		c.answers, c.goneIn, c.asks = make([]*reply, len(c.list)), make([]uint64, len(c.list)), 0
		c.round = 0 // what was answered before counts no more
		c.counts["taken"]++
	}
	return anew, false
}

func (c *candidate) expectSay(from core.Peer, s *say) (anew, found bool) {
	if s.round-s.round%questionsMax != c.round {
		c.counts["late"]++
		return false, false
	}
	i := slices.Index(c.list, from.Addr)
	agrees := s.durable == c.durable && slices.Equal(s.managers, c.list)
	c.answers[i] = &reply{life{from.ID, s.state, s.cluster}, agrees}
	switch {
	case c.cluster != 0:
		if s.cluster == c.cluster {
			c.goneIn[i] = 0
		} else if c.goneIn[i] == 0 {
			c.goneIn[i] = c.round
		}
		return false, false
	case s.verdict == verdictRemoved && s.cluster == c.promise:
		c.counts["removed"]++
		return true, false
	case s.state >= stateBlank:
		if c.promises(s.cluster) {
			return true, false
		}
	}
	switch {
	case c.place != 0, c.asks != 0 && c.promise != 0:
	case c.asks == 0:
		return c.promise != 0 && c.all(func(r *reply) bool { return r.state <= statePromised && r.agrees }) &&
			(c.now.Since(c.promisedAt) >= promiseTime || c.all(func(r *reply) bool { return r.cluster != c.promise })), false
	case c.all(func(r *reply) bool { return r.state == statePromised && r.cluster == c.asks && r.agrees }):
		c.founded = []core.Peer{{ID: c.id, Addr: c.list[c.place]}}
		for i, r := range c.answers {
			if i != c.place {
				c.founded = append(c.founded, core.Peer{ID: r.id, Addr: c.list[i]})
			}
		}
		return false, true
	}
	return false, false
}

// mayBeDead tells whether what was said in this round leaves room for its cluster to be dead.
func (c *candidate) mayBeDead() bool {
	gone, knows, heard := 0, false, true
	for i, r := range c.answers {
		switch {
		case i == c.place:
		case r == nil:
			heard = false
		case r.cluster != c.cluster || len(c.founded) > 0 && !slices.ContainsFunc(c.founded, func(p core.Peer) bool { return p.ID == r.id }):
			gone++
			heard = heard && c.goneIn[i] != 0 && c.goneIn[i] < c.round
		case r.state >= stateBlank:
			knows = true
		}
	}
	return len(c.list)-gone < len(c.list)/2+1 || len(c.founded) == 0 && heard && !knows
}

// step does one thing that is drawn.
func (c *candidate) step() {
	other := c.rng.IntN(len(c.list))
	pool := []core.ClusterID{c.promise, c.cluster, c.asks, 0xa0, 0xb0}
	any := pool[c.rng.IntN(len(pool))]
	switch n := c.rng.IntN(100); {
	case n < 45 && len(c.put) > 0:
		i := len(c.put) - 1 - c.rng.IntN(min(len(c.put), 1+c.rng.IntN(3*len(c.list))))
		q := c.put[i]
		if c.chance(80) {
			c.put = slices.Delete(c.put, i, i+1)
		}
		l := q.then
		if c.chance(40) {
			l = c.others[q.place]
		}
		s := say{q.round, l.state, l.cluster, c.durable != c.chance(3), c.list, verdictNone, ""}
		if s.state >= stateBlank && c.chance(20) {
			s.verdict = verdictRemoved
		}
		c.call(&core.Envelope{From: core.Peer{ID: l.id, Addr: c.list[q.place]}, To: c.node.Self(), Body: &core.Quorum{Text: textOf(&s)}})
	case n < 60:
		c.now = c.now.After(time.Duration(c.rng.IntN(300)) * time.Millisecond)
		if c.chance(10) {
			c.now = c.now.After(time.Duration(c.rng.IntN(4000)) * time.Millisecond)
		}
		c.call(nil)
	case n < 70:
		if other != c.place {
			c.call(&core.Envelope{From: core.Peer{ID: c.others[other].id, Addr: c.list[other]}, To: core.Peer{Addr: c.list[c.place]}, Body: &core.Quorum{Text: textOf(&ask{1 + c.rng.Uint64N(100), c.list[other], any, c.durable != c.chance(3), c.list})}})
		}
	case n < 76:
		if other != c.place && any != 0 {
			to := c.node.Self()
			if c.chance(20) {
				to.ID-- // an earlier start
			}
			c.call(&core.Envelope{Cluster: any, From: core.Peer{ID: c.others[other].id, Addr: c.list[other]}, To: to, Body: &core.Quorum{Text: string(AppendMessage(nil, &Beat{Term: 1}))}})
		}
	case n < 88:
		c.sync()
	case n < 91:
		if c.cluster == 0 {
			c.crash(c.chance(20))
		}
	default:
		o := &c.others[other]
		if *o = (life{id: c.newID(), state: stateEmpty}); any != 0 && c.chance(50) {
			o.state, o.cluster = statePromised+state(c.rng.IntN(4)), any
		}
	}
}

// A manager gives its word to one founder, when it is durable; counts on the words of the others that they
// gave in one round; and begins anew when nobody can want its word any more, and never before.
func TestAnEmptyManagerConcludesWhatIsSaid(t *testing.T) {
	first, count := draws(t, "GTSTORE_ALONE")
	all := map[string]int{}
	for seed := first + 1; seed <= first+max(count, 1500); seed++ {
		c := newCandidate(seed)
		for range 120 {
			if c.wrong == "" {
				c.step()
			}
		}
		require.Empty(t, c.wrong, "seed %d: %d managers, at place %d, durable: %v", seed, len(c.list), c.place, c.durable)
		for k, n := range c.counts {
			all[k] += n
		}
	}
	t.Log(all)
	for _, k := range []string{"founded", "anew", "taken", "removed", "late"} {
		require.Greater(t, all[k], 50, "too few of what is to happen: %v", all)
	}
}
