package core

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// village is a manager and all starts of one durable node: in its directory, one after the other, and in
// copies of that, while it runs or after it has ended. Messages are late, lost and repeated, and starts
// stall for a while.
type village struct {
	t       *testing.T
	rng     *rand.Rand
	seed    uint64
	now     Time
	manager *rig
	starts  []*start
	mail    []flying
	known   *start // whom the manager lists
	knownAt string // at that address
	copies  bool
	calm    bool
	counts  map[string]int
}

// start is a process of the node.
type start struct {
	*rig
	addr      string
	host      string // where what is for addr arrives, if nobody else is there
	secret    uint64
	directory int    // its number
	before    *start // in whose directory, or in a copy of it, it was started
	stallsTo  Time
	heardAt   Time // when something of it reached the manager last
	listed    bool // it was, at some time
}

type flying struct {
	at   Time
	from *start // nil for the manager
	e    Envelope
}

func (v *village) chance(percent int) bool { return v.rng.IntN(100) < percent }

func (v *village) require(ok bool, format string, args ...any) {
	v.t.Helper()
	require.True(v.t, ok, "seed %d, at %v: %s", v.seed, v.now.Since(rigOrigin), fmt.Sprintf(format, args...))
}

// begins starts a process over a copy of a directory.
func (v *village) begins(space rigSpace, before *start, addr, host string) *start {
	s := &start{addr: addr, host: host, before: before, secret: 1 + v.rng.Uint64N(1<<60), heardAt: v.now}
	boot := func(space Space) (Node, error) {
		return NewStorage(StorageOptions{Self: Peer{ID: 1, Addr: addr}, Manager: Peer{Addr: "m"}, Secret: s.secret, Durable: true, Name: "n1"}, space)
	}
	if s.directory = len(v.starts); before != nil && reflect.ValueOf(before.space).Pointer() == reflect.ValueOf(space).Pointer() {
		s.directory = before.directory
	}
	s.rig = &rig{t: v.t, boot: boot, self: Peer{ID: 1, Addr: addr}, now: v.now, durable: true, space: space}
	v.starts = append(v.starts, s)
	s.start()
	v.flies(s, s.rig)
	return s
}

func (s *start) runs() bool { return s.node != nil }

// at is the process at an address: who runs there, and does not only say so.
func (v *village) at(addr string) *start {
	for _, s := range v.starts {
		if s.runs() && s.host == addr {
			return s
		}
	}
	return nil
}

// flies takes what left a node.
func (v *village) flies(from *start, r *rig) {
	for _, e := range r.mail {
		copies := 1
		if !v.calm && v.chance(3) {
			copies = v.rng.IntN(2) * 2
		}
		for range copies {
			late := time.Duration(v.rng.IntN(20)) * time.Millisecond
			if !v.calm && v.chance(10) {
				late += time.Duration(v.rng.IntN(400)) * time.Millisecond
			}
			v.mail = append(v.mail, flying{v.now.After(late), from, e})
		}
	}
	r.mail = nil
}

// arrives brings a message to where it goes.
func (v *village) arrives(f *flying) {
	if f.from != nil {
		f.from.heardAt = v.now
		v.manager.stepRaw(f.e)
		v.flies(nil, v.manager)
		return
	}
	switch s := v.at(f.e.To.Addr); {
	case s == nil:
		if v.chance(80) {
			v.manager.stepRaw(Envelope{From: v.manager.self, To: v.manager.self, Body: &PeerDown{Peer: f.e.To, Refused: true}})
			v.flies(nil, v.manager)
		}
	case v.now >= s.stallsTo:
		s.stepRaw(f.e)
		v.flies(s, s.rig)
	}
}

// passes lets time pass.
func (v *village) passes(d time.Duration) {
	const step = 5 * time.Millisecond
	for end := v.now.After(d); v.now < end; {
		v.now = v.now.After(step)
		var due []flying
		v.mail = slices.DeleteFunc(v.mail, func(f flying) bool {
			if f.at <= v.now {
				due = append(due, f)
			}
			return f.at <= v.now
		})
		for i := range due {
			v.manager.now = v.now
			if s := v.at(due[i].e.To.Addr); s != nil {
				s.now = v.now
			}
			v.arrives(&due[i])
			v.judge()
		}
		if v.manager.node.Deadline() <= v.now {
			v.manager.now = v.now
			v.manager.tick(0)
			v.flies(nil, v.manager)
			v.judge()
		}
		for _, s := range v.starts {
			if s.runs() && v.now >= s.stallsTo && s.node.Deadline() <= v.now {
				s.now = v.now
				s.tick(0)
				v.flies(s, s.rig)
			}
		}
	}
}

// judge looks whom the manager lists. While the start that it knows runs, and was heard within the time
// after which a loss counts, no other takes its place; and who does follows that one.
func (v *village) judge() {
	n := v.manager.manager().dir.node(1)
	if n == nil {
		return
	}
	claims := len(v.manager.manager().contact(1).claims)
	v.require(claims <= claimsMax, "%d claims are remembered", claims)
	i := slices.IndexFunc(v.starts, func(s *start) bool { return s.secret == n.secret })
	if i < 0 {
		return
	}
	next, was, at := v.starts[i], v.known, v.knownAt
	if v.knownAt = n.Addr; next == was {
		return
	}
	v.known, next.listed = next, true
	v.counts["listed"]++
	if was == nil {
		return
	}
	if was.runs() && was.storage().registered && was.addr == was.host && at == was.addr { // else it does not serve yet, or is not where it says
		v.require(v.now.Since(was.heardAt) >= v.manager.manager().opt.LostAfter, "a start at %s takes the place of the one at %s, which runs and was heard %v ago (%s)", next.addr, was.addr, v.now.Since(was.heardAt), v.history())
		v.counts["taken from one that runs"]++
	}
	follows := false
	for s := next.before; s != nil && !follows; s = s.before {
		if follows = s == was; !follows && s.listed {
			break
		}
	}
	v.require(follows, "a start at %s takes the place of the one at %s, which it does not follow (%s)", next.addr, was.addr, v.history())
}

// history is who was started in which directory.
func (v *village) history() (text string) {
	for i, s := range v.starts {
		text += fmt.Sprintf("%d at %s in %d after %d; ", i, s.addr, s.directory, slices.Index(v.starts, s.before))
	}
	return text
}

func (v *village) addr() string { return fmt.Sprint("h", 1+v.rng.IntN(4)) }

// free is an address at which nobody is.
func (v *village) free() string {
	for {
		if a := v.addr(); v.at(a) == nil {
			return a
		}
	}
}

// any is a start that runs, or has run.
func (v *village) any() *start { return v.starts[v.rng.IntN(len(v.starts))] }

func (v *village) act() {
	last := v.starts[len(v.starts)-1]
	if v.copies {
		last = v.any()
	}
	switch v.rng.IntN(9) {
	case 0, 1: // it ends, and starts again, here or elsewhere; syncs under way are lost, or not
		if !last.runs() {
			break
		}
		last.crash(v.rng.IntN(3))
		v.counts["restart"]++
		if v.chance(50) {
			v.passes(time.Duration(v.rng.IntN(300)) * time.Millisecond)
		}
		addr := last.host
		if v.at(addr) != nil || v.chance(50) {
			addr = v.free()
		}
		if last.addr != last.host && v.chance(50) {
			addr = last.addr
		}
		if v.at(addr) == nil {
			v.begins(last.space, last, addr, addr)
		}
	case 2:
		if running := v.running(); v.copies && len(running) < 3 {
			v.counts["copy"]++
			addr := v.free()
			host := addr
			if v.chance(30) { // it says that it is where another one is
				addr = last.addr
				host = v.hidden()
			}
			for _, s := range v.starts { // the last that was in that directory
				if s.directory == last.directory {
					last = s
				}
			}
			v.begins(maps.Clone(last.space), last, addr, host)
		}
	case 3:
		if last.runs() {
			last.stallsTo = v.now.After(time.Duration(v.rng.IntN(1500)) * time.Millisecond)
		}
	case 5: // many say that they are started on copies
		if was := v.known; v.copies && was != nil && was.runs() && was.storage().registered && was.stallsTo <= v.now && v.chance(30) {
			for range v.rng.IntN(20) {
				m := &Register{Boot: was.storage().Boot() + 1, Secret: 1 + v.rng.Uint64N(1<<60), Before: was.secret, Durable: true, Name: "n1"}
				v.manager.now = v.now
				v.manager.stepRaw(Envelope{From: Peer{ID: 1, Addr: v.hidden()}, To: Peer{Addr: "m"}, Body: m})
				v.flies(nil, v.manager)
				v.judge()
			}
		}
	case 4:
		if v.copies && last.runs() && v.chance(50) && len(v.running()) > 1 {
			last.crash(0)
		}
	default:
		v.passes(time.Duration(v.rng.IntN(1000)) * time.Millisecond)
	}
}

func (v *village) running() (list []*start) {
	for _, s := range v.starts {
		if s.runs() {
			list = append(list, s)
		}
	}
	return list
}

// hidden is an address that nobody is told.
func (v *village) hidden() string { return fmt.Sprint("hidden", len(v.starts)) }

// Of all starts of a node, in its directory and in copies of that, the manager lists one that follows the
// one known, and none while that runs. One start after the other, without copies, is always taken.
func TestOfTheStartsOfANodeOneIsKnown(t *testing.T) {
	first, count := draws(t, "GTSTORE_STARTS")
	all := map[string]int{}
	for seed := first + 1; seed <= first+max(count, 150); seed++ {
		v := &village{t: t, rng: rand.New(rand.NewPCG(seed, 6)), seed: seed, now: rigOrigin, counts: all}
		v.copies = v.chance(60)
		v.manager = newManagerAt(t, inDurableMode, func(o *ManagerOptions) { o.Seed[0] = byte(seed) })
		v.begins(rigSpace{}, nil, "h1", "h1")
		for range 30 {
			v.act()
			for _, s := range v.starts {
				v.require(v.copies || s.halted == nil, "the only start of the node ends: %v", s.halted)
			}
		}
		v.calm = true
		v.passes(4 * time.Second)
		var serve []*start
		for _, s := range v.running() {
			if s.storage().registered {
				serve = append(serve, s)
			}
		}
		v.require(len(serve) <= 1, "%d starts of one node serve", len(serve))
		if running := v.running(); !v.copies && len(running) > 0 {
			v.require(len(serve) == 1 && serve[0] == running[0] && v.known == serve[0], "the start that runs is not known")
		}
	}
	t.Log(all)
	for what, least := range map[string]int{"listed": 300, "restart": 300, "copy": 100} {
		require.Greater(t, all[what], least, "too few of what is to happen: %v", all)
	}
}
