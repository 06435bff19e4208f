package fuzz

import (
	"math/bits"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
	"gtstore/sim/mark"
	"gtstore/sim/splitmix"
)

// A feature is something that a run did, by its hash. A schedule whose run has a feature
// that no run before had is worth keeping: variations of it may go further there. Each of
// these is a feature:
//
//   - a step of a storage node, or of the manager: what the node was, in short, the kind of
//     message that it took in, the events that came of it, and what the node was then, with
//     how often that happened in the run, to a power of two;
//   - a state of a group, in short: what each of its members and joiners is, and what of
//     them has failed;
//   - a mark, and two marks in one run;
//   - how an operation ended.
//
// A state in short has no names, numbers or times: only the relations on which rules depend.
type feature uint64

// Salts that keep the kinds of feature apart.
const (
	saltStep uint64 = iota + 1
	saltGroup
	saltMarks
	saltResult
)

// spy collects the features of a run. It is a sim.Observer.
type spy struct {
	steps map[uint64]int // how often, by the step's hash
	other map[feature]bool
	hosts []uint64 // of each host, by Index, what its node is, in short
	group map[core.GroupID]uint64
}

func newSpy() *spy {
	return &spy{steps: map[uint64]int{}, other: map[feature]bool{}, group: map[core.GroupID]uint64{}}
}

// features returns those of the run that has ended.
func (s *spy) features(out *sim.Outcome) []feature {
	list := make([]feature, 0, len(s.steps)+len(s.other))
	for step, times := range s.steps {
		for n := bits.Len(uint(times)); n > 0; n-- { // what happened eight times happened four times
			list = append(list, feature(splitmix.Mix(splitmix.Mix(saltStep, step), uint64(n))))
		}
	}
	for f := range s.other {
		list = append(list, f)
	}
	var reached []mark.Mark
	for m, is := range out.Marks {
		if is {
			reached = append(reached, mark.Mark(m))
		}
	}
	for i, a := range reached {
		for _, b := range reached[:i+1] {
			list = append(list, feature(splitmix.Mix(saltMarks, uint64(a)<<16|uint64(b))))
		}
	}
	return list
}

// Begin implements sim.Observer.
func (s *spy) Begin(w *sim.World) { s.hosts = make([]uint64, len(w.Hosts())) }

// AfterEvent implements sim.Observer.
func (s *spy) AfterEvent(w *sim.World, h *sim.Host) {
	if h.Role() == sim.RoleClient {
		return
	}
	before := s.hosts[h.Index()]
	after := inShort(w, h)
	s.hosts[h.Index()] = after
	var events uint64
	for _, e := range h.Events() {
		events |= 1 << (uint64(e.Kind) & 63)
	}
	if before == after && events == 0 {
		return // a heartbeat, or the like
	}
	kind := core.Kind(0) // a Tick
	if in := w.Taken(); in != nil {
		kind = core.KindOf(in.Body)
	}
	s.steps[splitmix.Mix(splitmix.Mix(before, after), splitmix.Mix(events, uint64(h.Role())<<8|uint64(kind)))]++
	if before != after {
		s.groups(w)
	}
}

// AfterChange implements sim.Observer.
func (s *spy) AfterChange(w *sim.World, h *sim.Host, c sim.Change) {
	if h.Role() == sim.RoleClient {
		return
	}
	before := s.hosts[h.Index()]
	s.hosts[h.Index()] = inShort(w, h)
	s.steps[splitmix.Mix(splitmix.Mix(before, s.hosts[h.Index()]), uint64(c)<<32|uint64(h.Role()))]++
	s.groups(w)
}

// AfterResult implements sim.Observer.
func (s *spy) AfterResult(_ *sim.World, op *history.Operation) {
	s.other[feature(splitmix.Mix(saltResult, uint64(op.Kind)<<8|uint64(op.Result.Status)))] = true
}

// Settled implements sim.Observer.
func (s *spy) Settled(*sim.World) bool { return true }

// End implements sim.Observer.
func (s *spy) End(*sim.World) {}

// groups notes the states of all groups.
func (s *spy) groups(w *sim.World) {
	m, ok := w.Hosts()[0].Node().(*core.Manager)
	if !ok {
		return
	}
	for id := core.GroupID(1); int(id) <= m.Groups(); id++ {
		c := m.Config(id)
		lost, certain := m.Lost(id)
		state := mixed(uint64(len(c.Chain)), lost, certain, m.Inquiring(id), w.Hosts()[0].Up(), w.Hosts()[0].Paused())
		for _, p := range c.Chain {
			state = splitmix.Mix(state, memberInShort(w, p.ID, id, c.Epoch))
		}
		state = splitmix.Mix(state, memberInShort(w, c.Joining.ID, id, c.Epoch))
		if s.group[id] != state {
			s.group[id] = state
			s.other[feature(splitmix.Mix(saltGroup, state))] = true
		}
	}
}

// memberInShort is what a node of a group is, seen from the group's present epoch.
func memberInShort(w *sim.World, node core.NodeID, id core.GroupID, epoch core.Epoch) uint64 {
	if node == 0 {
		return 1
	}
	h := w.Holder(node)
	if h == nil {
		return 2
	}
	state := mixed(3, h.Up(), h.Paused(), h.Unsynced())
	n, ok := h.Node().(*core.Storage)
	if !ok {
		return state
	}
	for i := range n.Groups() {
		if v := n.Group(i, w.Local(h)); v.Group == id {
			return splitmix.Mix(splitmix.Mix(state, viewInShort(&v)), uint64(min(2, int(epoch)-int(v.Config.Epoch))))
		}
	}
	return splitmix.Mix(state, 4)
}

// inShort is what a host's node is.
func inShort(w *sim.World, h *sim.Host) uint64 {
	switch n := h.Node().(type) {
	case *core.Storage:
		state := mixed(5, h.Up(), h.Paused())
		for i := range n.Groups() {
			v := n.Group(i, w.Local(h))
			state = splitmix.Mix(state, viewInShort(&v))
		}
		return state
	case *core.Manager:
		inquiring, lost, joining, short := 0, 0, 0, 0
		for id := core.GroupID(1); int(id) <= n.Groups(); id++ {
			if n.Inquiring(id) {
				inquiring++
			}
			if is, _ := n.Lost(id); is {
				lost++
			}
			c := n.Config(id)
			if c.Joining.ID != 0 {
				joining++
			}
			if len(c.Chain) <= w.Schedule().Shape.Replicas {
				short++
			}
		}
		return mixed(6+uint64(inquiring)<<8+uint64(lost)<<16+uint64(joining)<<24+uint64(short)<<32, h.Up(), h.Paused())
	}
	return mixed(7, h.Up())
}

// viewInShort is a node's part in a group.
func viewInShort(v *core.GroupView) uint64 {
	return mixed(uint64(v.Required)<<8|few(v.Pending)<<16|few(int(v.Last-min(v.Last, v.Commit)))<<24,
		v.Primary, v.Serving, v.Alone, v.Joining, v.Partial, v.Durable < v.Config.Epoch, v.Verified < v.Last, v.Base > 0, v.Base == v.Last, v.Keys == 0)
}

// few is 0, 1, or 2 for more.
func few(n int) uint64 { return uint64(min(2, max(0, n))) }

func mixed(n uint64, flags ...bool) uint64 {
	for i, f := range flags {
		if f {
			n ^= 1 << (48 + i)
		}
	}
	return splitmix.Mix(0, n)
}
