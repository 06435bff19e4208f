package quorum

import (
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// site is where managers are founded under a seeded schedule of faults: a network that loses,
// repeats and delays, crashes, and data that are gone. A storage node registers wherever
// somebody leads: from then on it relies on that cluster.
type site struct {
	rng     *rand.Rand
	now     core.Time
	queue   eventQueue
	serial  int
	ids     core.NodeID
	size    int
	durable bool
	faults  bool
	calm    bool          // nobody registers any more
	far     time.Duration // that each message takes longer
	hosts   []*chair
	wrong   string

	ended  map[core.NodeID]bool // ids whose data are gone
	forgot map[core.NodeID]bool // those of them whose disks were not lost
	relied map[core.ClusterID]*reliance
	counts map[string]int

	oaths
	reckless bool            // a majority may lose its data
	cut      map[string]bool // addresses that are off the network
	silent   bool            // after the first, nobody registers for long
	dark     time.Duration   // so soon after the first registers the power goes; 0 for never
}

// reliance is who the managers are of a cluster that has applied a command.
type reliance struct {
	term    Term
	members map[core.NodeID]bool
	before  map[core.NodeID]bool // amid a change; else nil
}

// chair drives a manager.
type chair struct {
	s       *site
	addr    string
	node    *Manager // nil while it is down
	starts  int
	records map[string]string
	batches []batchOf
	syncing bool
	wrote   bool // since its data were last gone
	told    []core.Event
	wakeAt  core.Time
	round   uint64 // of its last questions
	roundAt core.Time
}

type batchOf struct {
	writes []core.Write
	after  []core.Envelope
	relied bool // it had applied a command
}

func (s *site) fail(format string, args ...any) {
	if s.wrong == "" {
		s.wrong = fmt.Sprintf("at %v: ", time.Duration(s.now)) + fmt.Sprintf(format, args...)
	}
}

func (s *site) chance(percent int) bool { return s.rng.IntN(100) < percent }

func (s *site) after(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.queue, event{s.now.After(d), s.serial, do})
}

func (s *site) run(until core.Time) {
	for len(s.queue) > 0 && s.queue[0].at <= until && s.wrong == "" {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
	s.now = until
}

func (s *site) every(d time.Duration, do func()) {
	s.after(d/2+time.Duration(s.rng.Int64N(int64(d))), func() {
		do()
		s.every(d, do)
	})
}

// Range implements core.Space.
func (c *chair) Range(prefix string, f func(k, v string) error) error {
	return (&seat{space: c.records}).Range(prefix, f)
}

func (c *chair) start() {
	c.starts++
	c.s.ids++
	var addresses []string
	for _, h := range c.s.hosts {
		addresses = append(addresses, h.addr)
	}
	opt := core.ManagerOptions{Self: core.Peer{ID: c.s.ids, Addr: c.addr}, Cluster: core.ClusterID(c.s.ids) << 32, Durable: c.s.durable, Replicas: 0}
	opt.Seed[1], opt.Seed[2], opt.Seed[3] = byte(c.s.ids), byte(c.s.ids>>8), byte(c.s.ids>>16)
	node, err := NewManager(opt, addresses, Options{ElectionTimeout: 150 * time.Millisecond, HeartbeatInterval: 25 * time.Millisecond}, c)
	if err != nil {
		c.s.fail("%s does not start: %v", c.addr, err)
		return
	}
	c.node, c.wakeAt = node, core.Never
	c.do(func(*core.Output) {})
	c.judgeStarted()
}

// crash ends the process. With gone its data are, too.
func (c *chair) crash(gone bool) {
	if c.node == nil {
		return
	}
	for _, b := range c.batches[:c.s.rng.IntN(len(c.batches)+1)] {
		c.write(&b)
	}
	if gone || !c.s.durable {
		clear(c.records)
		c.wrote = false
	}
	if c.isEmpty() {
		c.s.ended[c.node.Self().ID] = true
		c.s.endedAt[c.node.Self().ID] = c.s.now
		c.s.forgot[c.node.Self().ID] = c.s.durable && !gone
	}
	c.node, c.batches, c.syncing = nil, nil, false
}

// write has a batch on the disk.
func (c *chair) write(b *batchOf) {
	(&seat{space: c.records}).write(b.writes)
	c.s.noted[c.node.Self().ID] = c.s.noted[c.node.Self().ID] || b.relied
}

// isEmpty tells whether the next start is that of another manager.
func (c *chair) isEmpty() bool {
	var p promiseRecord
	if text, ok := c.records[keyPromise]; ok && len(c.records) == 1 {
		if err := read(keyPromise, text, tagPromise, &p); err != nil {
			c.s.fail("%s: %v", c.addr, err)
		}
		return p.cluster == 0
	}
	return len(c.records) == 0
}

func (c *chair) do(f func(out *core.Output)) {
	var out core.Output
	f(&out)
	for out.Halt == nil && c.node.Deadline() <= c.s.now {
		c.node.Tick(c.s.now, &out)
	}
	for _, e := range out.Events {
		switch e.Kind {
		case core.EventWaits:
			c.s.counts["waits"]++
		case core.EventFounded:
			c.s.counts["founded"]++
			c.judgeFounded()
		case core.EventAwaits, core.EventTooFew, core.EventDirectoryGone, core.EventRemoved, core.EventCopyRuns, core.EventListsDiffer:
			c.told = append(c.told, e)
		}
	}
	if out.Halt != nil {
		c.halted(out.Halt)
		return
	}
	relied := c.node.inner != nil && !c.node.isBlank()
	if relied {
		c.s.relies(c)
	}
	for _, e := range out.Send {
		c.leaves(&e)
		c.s.send(e)
	}
	if len(out.Persist) > 0 || len(out.After) > 0 {
		c.batches = append(c.batches, batchOf{out.Persist, out.After, relied})
		c.sync()
	} else if relied && len(c.batches) == 0 {
		c.s.noted[c.node.Self().ID] = true
	}
	if d := c.node.Deadline(); d < c.wakeAt || c.wakeAt <= c.s.now {
		c.wakeAt = d
		if node := c.node; d != core.Never {
			c.s.after(d.Since(c.s.now), func() {
				if c.node == node && c.s.now >= c.wakeAt {
					c.do(func(out *core.Output) { c.node.Tick(c.s.now, out) })
				}
			})
		}
	}
}

// halted starts a manager again that begins anew. It must be none whom anybody relies on.
func (c *chair) halted(why error) {
	id := c.node.Self().ID
	if !errors.Is(why, ErrAnew) {
		c.s.fail("%s halts: %v", c.addr, why)
		return
	}
	c.judgeAnew()
	for cluster, r := range c.s.relied {
		if r.members[id] && c.s.lives(r) {
			c.s.fail("%s begins anew, but is one of cluster %v, which lives", c.addr, cluster)
		}
	}
	if !c.isEmpty() {
		c.s.fail("%s begins anew over %d records", c.addr, len(c.records))
	}
	if c.wrote && len(c.records) == 0 {
		c.s.fail("%s leaves nothing of what it wrote: a directory like that passes for a damaged one", c.addr)
	}
	c.s.counts["anew"]++
	c.s.ended[id] = true
	c.s.endedAt[id] = c.s.now
	c.node, c.batches, c.syncing = nil, nil, false
	c.s.after(time.Millisecond, func() {
		if c.node == nil {
			c.start()
		}
	})
}

func (c *chair) sync() {
	if c.syncing {
		return
	}
	c.syncing = true
	covered, node := len(c.batches), c.node
	took := time.Duration(c.s.rng.IntN(5000)) * time.Microsecond
	if c.s.faults && c.s.chance(10) {
		took += time.Duration(c.s.rng.IntN(400)) * time.Millisecond
	}
	c.s.after(took, func() {
		if c.node != node {
			return
		}
		done := c.batches[:covered]
		c.batches, c.syncing = c.batches[covered:], false
		for _, b := range done {
			c.wrote = c.wrote || len(b.writes) > 0
			c.write(&b)
		}
		for _, b := range done {
			for _, e := range b.after {
				if c.node != node {
					return
				}
				if e.To.ID == c.node.Self().ID {
					c.do(func(out *core.Output) { c.node.Step(c.s.now, e, out) })
				} else {
					c.leaves(&e)
					c.s.send(e)
				}
			}
		}
		if c.node == node && len(c.batches) > 0 {
			c.sync()
		}
	})
}

func (s *site) at(addr string) *chair {
	i := slices.IndexFunc(s.hosts, func(c *chair) bool { return c.addr == addr })
	if i < 0 {
		return nil
	}
	return s.hosts[i]
}

func (s *site) send(e core.Envelope) {
	if s.faults && s.chance(10) || s.cut[e.From.Addr] || s.cut[e.To.Addr] {
		return
	}
	copies := 1
	if s.faults && s.chance(10) {
		copies = 2
	}
	for range copies {
		took := s.far + 500*time.Microsecond + time.Duration(s.rng.IntN(2000))*time.Microsecond
		if s.faults && s.chance(15) {
			took += time.Duration(s.rng.IntN(1500)) * time.Millisecond
		}
		s.after(took, func() {
			if h := s.at(e.To.Addr); h != nil && h.node != nil && !s.cut[h.addr] {
				h.arrives(&e)
				h.do(func(out *core.Output) { h.node.Step(s.now, e, out) })
			}
		})
	}
}

// relies notes that a command of a cluster was applied: a storage node may have been told that
// it is registered. There must be no other cluster.
func (s *site) relies(c *chair) {
	cluster, node := c.node.cluster(), c.node.node
	for other, r := range s.relied {
		if other != cluster && s.lives(r) {
			s.fail("there are the clusters %v and %v", other, cluster)
		}
	}
	r := s.relied[cluster]
	first := r == nil
	if !first && (!node.Settled() || node.leads < r.term) {
		return
	}
	if first {
		if s.reckless {
			s.after(time.Duration(s.rng.IntN(150))*time.Millisecond, s.disaster)
		} else if s.dark > 0 {
			s.after(s.dark, s.blackout)
		}
		r = &reliance{}
		s.relied[cluster] = r
	}
	r.term, r.members, r.before = max(r.term, node.leads), setOf(node.Members().Voters), setOf(node.Members().Outgoing)
	if first && !s.reckless && !s.lives(r) { // those who agreed lost their data just then
		s.counts["lost at once"]++
	}
	for id := range r.members {
		if first && s.forgot[id] {
			s.fail("%v is a founder of cluster %v, and a crash was enough for it to forget that", id, cluster)
		}
	}
}

func setOf(peers []core.Peer) map[core.NodeID]bool {
	set := map[core.NodeID]bool{}
	for _, p := range peers {
		set[p.ID] = true
	}
	return set
}

// lives tells whether a majority of managers have their data.
func (s *site) lives(r *reliance) bool {
	return len(r.members)/2+1 <= s.left(r.members) && (len(r.before) == 0 || len(r.before)/2+1 <= s.left(r.before))
}

func (s *site) left(members map[core.NodeID]bool) int {
	n := 0
	for id := range members {
		if !s.ended[id] {
			n++
		}
	}
	return n
}

// spares tells whether one more may lose its data: of those that somebody relies on, a
// majority has to be left.
func (s *site) spares(c *chair) bool {
	if s.reckless {
		return true
	}
	for _, r := range s.relied {
		for _, members := range []map[core.NodeID]bool{r.members, r.before} {
			if members[c.node.Self().ID] && s.left(members) <= len(members)/2+1 {
				return false
			}
		}
	}
	return true
}

func (s *site) fault() {
	c := s.hosts[s.rng.IntN(len(s.hosts))]
	gone := s.chance(40)
	switch {
	case !s.faults:
	case c.node == nil:
		if s.chance(50) {
			c.start()
		}
	case (gone || !s.durable) && !s.spares(c):
	default:
		s.counts["crash"]++
		c.crash(gone)
		s.after(time.Duration(s.rng.IntN(300))*time.Millisecond, func() {
			if c.node == nil {
				c.start()
			}
		})
	}
}

// register has a storage node look for somebody who leads.
func (s *site) register() {
	if s.chance(70) || s.calm || s.silent && len(s.relied) > 0 && s.faults { // not at once
		return
	}
	s.ids++
	n := core.Peer{ID: s.ids, Addr: "n"}
	for _, c := range s.hosts {
		if c.node != nil {
			c.do(func(out *core.Output) {
				c.node.Step(s.now, core.Envelope{From: n, To: core.Peer{Addr: c.addr}, Body: &core.Register{Boot: 1, Durable: s.durable, Secret: uint64(n.ID)}}, out)
			})
		}
	}
}

func newSite(seed uint64) *site {
	s := &site{rng: rand.New(rand.NewPCG(seed, 2)), ids: core.NodeID(seed << 20), ended: map[core.NodeID]bool{}, forgot: map[core.NodeID]bool{}, relied: map[core.ClusterID]*reliance{}, counts: map[string]int{}, oaths: newOaths(), cut: map[string]bool{}}
	s.size, s.durable = 3, s.chance(50)
	if s.chance(30) {
		s.size = 2 + s.rng.IntN(4)
	}
	for i := range s.size {
		s.hosts = append(s.hosts, &chair{s: s, addr: fmt.Sprintf("m%d", i+1), records: map[string]string{}})
	}
	return s
}

// foundUnderFaults starts managers one after the other, amid faults, and lets these end.
func foundUnderFaults(seed uint64) *site {
	s := newSite(seed)
	s.faults = true
	if own := rand.New(rand.NewPCG(seed, 3)); own.IntN(2) == 0 { // so that all else is drawn alike
		s.dark = time.Duration(1+own.IntN(150)) * time.Millisecond
	}
	for _, c := range s.hosts {
		s.after(time.Duration(s.rng.IntN(1500))*time.Millisecond, func() {
			if c.node == nil {
				c.start()
			}
		})
	}
	s.every(time.Duration(20+s.rng.IntN(300))*time.Millisecond, s.fault)
	s.every(500*time.Millisecond, s.register)
	s.reckless = s.chance(30)
	s.silent = s.reckless && s.chance(70)
	s.every(2*time.Second, s.disaster)
	s.every(700*time.Millisecond, s.cutSome)
	s.run(core.Time(6 * time.Second))
	s.faults = false
	clear(s.cut)
	for _, c := range s.hosts {
		if c.node == nil {
			c.start()
		}
	}
	s.run(s.now.After(28 * time.Second))
	s.calm = true
	s.run(s.now.After(2 * time.Second))
	if s.judge(); s.durable && s.wrong == "" && !s.isLost() && s.leads() != nil {
		s.copied()
	}
	return s
}

// judge: in the end there is one cluster, of all managers.
func (s *site) judge() {
	if s.wrong != "" || s.isLost() { // then that is for an operator to end
		return
	}
	var leader *chair
	for _, c := range s.hosts {
		if c.node.node != nil && c.node.node.leads != 0 {
			if leader != nil {
				s.fail("%s and %s lead", leader.addr, c.addr)
				return
			}
			leader = c
		}
	}
	if leader == nil {
		if s.counts["lost at once"] == 0 {
			s.fail("nobody leads")
		}
		return
	}
	cluster, members := leader.node.cluster(), leader.node.node.Members().Voters
	if len(members) != s.size {
		s.fail("there are %d managers, not %d", len(members), s.size)
	}
	for _, c := range s.hosts {
		switch in := c.node.inner; {
		case find(members, c.node.Self().ID) < 0:
			s.fail("%s is no manager of cluster %v, but in state %d", c.addr, cluster, c.node.state())
		case in == nil || in.Cluster() != cluster || in.Index() != leader.node.inner.Index():
			s.fail("%s has not all of cluster %v", c.addr, cluster)
		}
	}
	if s.relied[cluster] == nil {
		s.fail("nobody could register with cluster %v", cluster)
	}
}

// Whatever becomes of managers while they found a cluster, there is one in the end, of all of
// them, and never two. See doc.go.
func TestOneClusterIsFounded(t *testing.T) {
	first, seeds := draws(t, "GTSTORE_FOUNDINGS")
	seeds = max(seeds, 120)
	all := map[string]int{}
	for seed := first + 1; seed <= first+seeds; seed++ {
		s := foundUnderFaults(seed)
		require.Empty(t, s.wrong, "seed %d: %d managers, durable: %v, reckless: %v, %v", seed, s.size, s.durable, s.reckless, s.counts)
		for k, n := range s.counts {
			all[k] += n
		}
	}
	t.Log(all)
	for _, k := range []string{"founded", "anew", "crash", "waits", "disaster", "blackout", "taken in", "copied"} {
		require.NotZero(t, all[k], "%s: it never came to that: %v", k, slices.Sorted(maps.Keys(all)))
	}
	require.Greater(t, all["founded"], int(seeds), "some cluster was given up, and another founded")
	require.LessOrEqual(t, all["lost at once"], 1+int(seeds)/100, "by chance, in 3 of 1,000")
}

// Managers that are far from each other found a cluster too, and one of them leads it and goes on
// to: an answer takes longer than their first rounds do, they ask each other at the same time,
// and a vote takes longer than an election of near ones may.
func TestManagersThatAreFarFromEachOtherFoundACluster(t *testing.T) {
	for _, trip := range []time.Duration{100 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond} {
		for size := 2; size <= 5; size++ {
			s := newSite(uint64(size))
			s.hosts, s.size, s.far, s.durable = s.hosts[:0], size, trip/2, true
			for i := range size {
				c := &chair{s: s, addr: fmt.Sprintf("m%d", i+1), records: map[string]string{}}
				s.hosts = append(s.hosts, c)
				s.after(time.Duration(i*s.rng.IntN(200))*time.Millisecond, c.start)
			}
			s.run(core.Time(5*time.Second + 15*trip))
			require.Empty(t, s.wrong)
			require.Equal(t, 1, s.counts["founded"], "%d managers, round trips of %v", size, trip)
			for _, c := range s.hosts {
				require.Equal(t, s.hosts[0].node.cluster(), c.node.cluster())
			}
			leader := func() (core.Peer, Term) {
				p, term := s.hosts[0].node.node.Leader()
				return p, term
			}
			first, term := leader()
			require.NotZero(t, first.ID, "%d managers, round trips of %v: nobody leads", size, trip)
			s.run(s.now.After(20 * time.Second))
			now, later := leader()
			require.Equal(t, first, now, "%d managers, round trips of %v", size, trip)
			require.Equal(t, term, later, "%d managers, round trips of %v: elections follow each other", size, trip)

			for _, c := range s.hosts {
				c.crash(false)
			}
			for _, c := range s.hosts { // at the same time: so they ask each other at the same time, too
				c.start()
			}
			s.run(s.now.After(5*time.Second + 15*trip))
			require.Empty(t, s.wrong)
			first, _ = leader()
			require.NotZero(t, first.ID, "%d managers, round trips of %v: nobody leads after a restart", size, trip)
		}
	}
}

// foundedByThree is where three durable managers have founded a cluster, and nothing fails.
func foundedByThree() *site {
	s := newSite(1)
	s.durable, s.hosts = true, s.hosts[:0]
	for i := range 3 {
		s.hosts = append(s.hosts, &chair{s: s, addr: fmt.Sprintf("m%d", i+1), records: map[string]string{}})
	}
	for _, c := range s.hosts {
		c.start()
	}
	s.every(100*time.Millisecond, s.register)
	s.run(core.Time(2 * time.Second))
	return s
}

// A copy of a manager's directory is started at another address while the manager runs. Nobody
// takes it for the manager: two that are one could vote twice.
func TestACopyOfAManagerThatRunsIsNotListed(t *testing.T) {
	s := foundedByThree()
	founders := s.hosts[0].node.node.Members()
	for _, original := range s.hosts[:3] {
		copied := &chair{s: s, addr: "copy", records: maps.Clone(original.records)}
		s.hosts = append(s.hosts[:3], copied)
		copied.start()
		s.run(s.now.After(3 * time.Second))
		require.Equal(t, []core.Event{{Kind: core.EventCopyRuns, Text: original.addr}}, copied.told)
		require.Empty(t, original.told)
		copied.crash(true)
		for _, c := range s.hosts[:3] {
			require.Equal(t, founders, c.node.node.Members())
			require.Empty(t, c.node.node.moved)
		}
	}
	require.Empty(t, s.wrong)
}

// A manager asks to be taken in, ends, and comes back as another one, which is taken in. The word
// of the former arrives only then, while the other is down with its data: nobody takes its place.
func TestALateWordOfAFormerManagerPutsNobodyOut(t *testing.T) {
	s := foundedByThree()
	at := slices.IndexFunc(s.hosts, func(c *chair) bool { return c.node.node.leads == 0 })
	c, leader := s.hosts[at], s.hosts[slices.IndexFunc(s.hosts, func(c *chair) bool { return c.node.node.leads != 0 })]
	isOne := func() bool { return find(leader.node.node.Members().Voters, c.node.Self().ID) >= 0 }
	c.crash(true)
	s.ids++
	former := core.Peer{ID: s.ids, Addr: c.addr} // it ran meanwhile
	c.start()
	s.run(s.now.After(2 * time.Second))
	require.True(t, isOne())
	c.crash(false)
	s.run(s.now.After(time.Second))
	leader.do(func(out *core.Output) {
		leader.node.Step(s.now, core.Envelope{From: former, To: core.Peer{Addr: leader.addr}, Body: &core.Enlist{Durable: true}}, out)
	})
	s.run(s.now.After(time.Second))
	c.start()
	s.run(s.now.After(2 * time.Second))
	require.Empty(t, s.wrong)
	require.True(t, isOne())
	require.Equal(t, leader.node.inner.Index(), c.node.inner.Index())
}

// Whoever asks to be taken in at an address where no member is missing is in nobody's way: neither a
// stranger nor one at the address of a member that is well, however often they ask.
func TestNobodyKeepsAManagerFromBeingTakenIn(t *testing.T) {
	s := foundedByThree()
	at := slices.IndexFunc(s.hosts, func(c *chair) bool { return c.node.node.leads == 0 })
	c, leader := s.hosts[at], s.hosts[slices.IndexFunc(s.hosts, func(c *chair) bool { return c.node.node.leads != 0 })]
	for i, addr := range []string{"elsewhere", s.hosts[3-at-slices.Index(s.hosts, leader)].addr, leader.addr} {
		stranger := core.Peer{ID: core.NodeID(1)<<40 + core.NodeID(i), Addr: addr}
		s.every(time.Millisecond, func() {
			leader.do(func(out *core.Output) {
				leader.node.Step(s.now, core.Envelope{From: stranger, To: core.Peer{Addr: leader.addr}, Body: &core.Enlist{Durable: true}}, out)
			})
		})
	}
	c.crash(true)
	c.start()
	s.run(s.now.After(5 * time.Second))
	require.Empty(t, s.wrong)
	require.GreaterOrEqual(t, find(leader.node.node.Members().Voters, c.node.Self().ID), 0)
}

// Managers that come back with their data at other addresses, all of them at once, find each
// other by the list with which they are started, and are listed there from then on.
func TestManagersThatMovedFindEachOther(t *testing.T) {
	s := foundedByThree()
	cluster, ids := s.hosts[0].node.cluster(), map[core.NodeID]string{}
	for i, c := range s.hosts {
		require.NotZero(t, c.node.inner.Index())
		c.addr = fmt.Sprintf("moved%d", i+1)
		ids[c.node.Self().ID] = c.addr
	}
	for _, c := range s.hosts {
		c.crash(false)
	}
	for _, c := range s.hosts {
		c.start()
	}
	s.run(s.now.After(5 * time.Second))
	require.Empty(t, s.wrong)
	for _, c := range s.hosts {
		require.Equal(t, cluster, c.node.cluster())
		leader, _ := c.node.node.Leader()
		require.Equal(t, ids[leader.ID], leader.Addr)
		require.Len(t, c.node.node.Members().Voters, 3)
		for _, p := range c.node.node.Members().Voters {
			require.Equal(t, ids[p.ID], p.Addr)
		}
	}
}

// Two of three managers lose their data when there was one command only, and the third is started
// anew. It knows by its disk that the command was agreed on, and gives nothing up: that a cluster
// has lost its majority is for an operator to see.
func TestWhoHasAppliedACommandNeverBeginsAnew(t *testing.T) {
	for last := range 3 {
		s := newSite(1)
		s.durable, s.hosts = true, s.hosts[:0]
		for i := range 3 {
			s.hosts = append(s.hosts, &chair{s: s, addr: fmt.Sprintf("m%d", i+1), records: map[string]string{}})
		}
		for _, c := range s.hosts {
			c.start()
		}
		s.run(core.Time(2 * time.Second))
		for len(s.relied) == 0 {
			s.register()
			s.run(s.now.After(200 * time.Millisecond))
		}
		c := s.hosts[last]
		require.EqualValues(t, 1, c.node.inner.Index())
		cluster, id := c.node.cluster(), c.node.Self().ID
		for _, other := range s.hosts {
			other.crash(other != c)
		}
		for _, other := range s.hosts {
			other.start()
		}
		s.run(s.now.After(10 * time.Second))
		require.Empty(t, s.wrong)
		require.Zero(t, s.counts["anew"])
		require.Equal(t, id, c.node.Self().ID)
		require.Equal(t, cluster, c.node.cluster())
		require.EqualValues(t, 1, c.node.inner.Index())
	}
}

// What a durable member writes for that is one record for each start.
func TestTheFirstCommandIsNotedOnce(t *testing.T) {
	w := calmOf(1, 3, 0, durably(shortTimes))
	l := w.leader()
	states := func() (n int) { return l.writes[keyState] }
	before := states()
	w.write(t, "a")
	require.Equal(t, before+2, states(), "one with the entry, and one when it was agreed on")
	w.write(t, "b")
	require.Equal(t, before+3, states())
	l.crash()
	l.start()
	w.run(w.now.After(time.Second))
	before = states()
	w.write(t, "c")
	require.Equal(t, before+1, states())
}

// A member that is taken in before there is any command begins with a snapshot all the same, and notes the
// first command as the founders do.
func TestWhoIsTakenInNotesTheFirstCommandToo(t *testing.T) {
	w := calmOf(1, 3, 1, durably(shortTimes))
	l, fresh := w.leader(), w.hosts[3]
	l.do(func(*Output) { require.NoError(t, l.node.Change([]core.Peer{fresh.peer}, nil)) })
	w.run(w.now.After(time.Second))
	require.Equal(t, 1, w.counts["install"])
	w.write(t, "a")
	require.Equal(t, []string{"a"}, fresh.commands)
	fresh.crash()
	fresh.start()
	require.Equal(t, []string{"a"}, fresh.commands, "it has heard nobody yet")
	w.fine(t)
}

// The founders are forgotten when all who knew them are gone. Who did not know them may have been
// told after it said so, by one who lost its data only then: it is asked again.
func TestWhoMayHaveBeenToldOfTheFoundersIsAskedAgain(t *testing.T) {
	const cluster = 7
	f, err := newFounding([]string{"m1", "m2", "m3"}, "m3", true)
	require.NoError(t, err)
	says := func(addr string, s state, c core.ClusterID) {
		f.take(0, core.Peer{ID: 1, Addr: addr}, &say{round: f.round, state: s, cluster: c})
	}
	dead := func() bool { return f.isDead(cluster, 3, &Members{}, false) }
	f.begin(0, 0)
	says("m2", stateTaken, cluster)
	says("m1", stateEmpty, 0)
	require.True(t, f.noteGone(cluster))
	require.False(t, dead(), "m1 may have told m2 in between")

	f.begin(0, 0) // and another one in which nobody answers
	f.begin(0, 0)
	says("m1", stateEmpty, 0)
	require.False(t, f.noteGone(cluster))
	require.False(t, dead(), "m2 has not answered yet")
	says("m2", stateTaken, cluster)
	require.True(t, dead())

	f.begin(0, 0)
	says("m1", stateEmpty, 0)
	says("m2", stateBlank, cluster)
	require.False(t, dead(), "m2 was told")
}
