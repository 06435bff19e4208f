package fuzz

import (
	"cmp"
	"slices"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/generate"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// A situation is something that a node went through in a run, by its hash. It has no names, numbers or times: only the relations on which rules depend. Each of these
// is one:
//
//   - a storage node or the manager took in a message: of which kind, from whom, how its
//     epoch and its positions are to those of the node, what the node was, and which events
//     came of it;
//   - a process started, ended or stalled: what its node was;
//   - a mark was reached.
type situation uint64

// class is what a situation is about. It is the low bits of a situation.
type class uint64

const (
	classMark   class = iota
	classTaken        // a message, by a node
	classChange       // a process
	classCount
)

func (s situation) class() class { return class(s) % classCount }

func situationOf(c class, what uint64) situation {
	hash := splitmix.Mix(uint64(c), what)
	return situation(hash - hash%uint64(classCount) + uint64(c))
}

// moment is a situation and where it first came about in a run: unknown of a mark.
type moment struct {
	situation situation
	focus     generate.Focus
}

// spy collects the situations of a run. It is a sim.Observer, and its log is to be the
// run's Log: that tells which message is which of its kind on its link.
type spy struct {
	sent    map[way]int        // how many messages of each
	ordinal []int              // of each message on its way, by its number
	taken   schedule.Deviation // what was taken in last, without a fate
	seen    map[situation]generate.Focus
	views   [][]core.GroupView // of each host, by Index: its node's groups, before the event
}

// moments returns what came about in the run that has ended, in an order of their own.
func (s *spy) moments(out *sim.Outcome) []moment {
	list := make([]moment, 0, len(s.seen))
	for m, reached := range out.Marks {
		if reached {
			list = append(list, moment{situation: situationOf(classMark, uint64(m))})
		}
	}
	for situation, focus := range s.seen {
		list = append(list, moment{situation, focus})
	}
	slices.SortFunc(list, func(a, b moment) int { return cmp.Compare(a.situation, b.situation) })
	return list
}

// log counts the messages, as a schedule's deviations do.
func (s *spy) log(r *sim.LogRecord) {
	switch r.What {
	case sim.LogSent: // its number is the next one
		on := way{packed(r.From), packed(r.To), core.KindOf(r.Env.Body)}
		s.sent[on]++
		s.ordinal = append(s.ordinal, s.sent[on])
	case sim.LogDelivered:
		s.taken = schedule.Deviation{}
		if r.Number > 0 {
			s.taken = schedule.Deviation{Link: schedule.Link{From: r.From, To: r.To}, Kind: core.KindOf(r.Env.Body), Ordinal: s.ordinal[r.Number-1]}
		}
	}
}

// way is a link and a kind of message, made for a fast map: every message needs one.
type way struct {
	from, to uint64
	kind     core.Kind
}

// packed is a host's name, which has at most five bytes, as a number.
func packed(name string) (n uint64) {
	for i := range len(name) {
		n = n<<8 | uint64(name[i])
	}
	return n
}

// note notes a situation that a host has come to, or through which a group has gone with
// it.
func (s *spy) note(w *sim.World, h *sim.Host, c class, what uint64) {
	n := situationOf(c, what)
	if _, ok := s.seen[n]; ok {
		return
	}
	f := generate.Focus{At: w.Now(), Host: h.Name()}
	if w.Taken() != nil {
		f.Message = s.taken
	}
	s.seen[n] = f
}

// Begin implements sim.Observer.
func (s *spy) Begin(w *sim.World) {
	s.seen = map[situation]generate.Focus{}
	s.sent, s.ordinal = map[way]int{}, nil
	s.views = make([][]core.GroupView, len(w.Hosts()))
}

// AfterEvent implements sim.Observer.
func (s *spy) AfterEvent(w *sim.World, h *sim.Host) {
	var events uint64
	for _, e := range h.Events() {
		events |= 1 << (uint64(e.Kind) & 63)
	}
	in := w.Taken()
	switch n := h.Node().(type) {
	case *core.Storage:
		if in != nil {
			s.note(w, h, classTaken, splitmix.Mix(takenInShort(in, s.views[h.Index()]), events))
		} else if events != 0 {
			s.note(w, h, classTaken, splitmix.Mix(1, events))
		}
		s.look(w, h, n)
	case *core.Client:
	default: // a manager, alone or one of several
		if events != 0 && in != nil {
			s.note(w, h, classTaken, splitmix.Mix(uint64(core.KindOf(in.Body))<<8|2, events))
		} else if events != 0 {
			s.note(w, h, classTaken, splitmix.Mix(3, events))
		}
	}
}

// look takes in what a storage node is.
func (s *spy) look(w *sim.World, h *sim.Host, n *core.Storage) {
	views := s.views[h.Index()][:0]
	for i := range n.Groups() {
		views = append(views, n.Group(i, w.Local(h)))
	}
	s.views[h.Index()] = views
}

// AfterChange implements sim.Observer.
func (s *spy) AfterChange(w *sim.World, h *sim.Host, c sim.Change) {
	what := uint64(c)<<8 | uint64(h.Role())
	if h.Unsynced() {
		what |= 1 << 16
	}
	for i := range s.views[h.Index()] {
		s.note(w, h, classChange, splitmix.Mix(what, viewInShort(&s.views[h.Index()][i])))
	}
	s.note(w, h, classChange, what)
	if n, ok := h.Node().(*core.Storage); ok {
		s.look(w, h, n)
	}
}

// AfterResult implements sim.Observer.
func (s *spy) AfterResult(w *sim.World, op *history.Operation) {
	s.note(w, w.Host(op.Client), classTaken, uint64(op.Kind)<<16|uint64(op.Result.Status)<<8|4)
}

// Settled implements sim.Observer.
func (s *spy) Settled(*sim.World) bool { return true }

// End implements sim.Observer.
func (s *spy) End(*sim.World) {}

func viewOf(views []core.GroupView, id core.GroupID) *core.GroupView {
	for i := range views {
		if views[i].Group == id {
			return &views[i]
		}
	}
	return nil
}

// takenInShort is what a message is to the node that took it in.
func takenInShort(in *core.Envelope, views []core.GroupView) uint64 {
	what := uint64(core.KindOf(in.Body))
	var group core.GroupID
	var epoch core.Epoch
	switch m := in.Body.(type) {
	case *core.Replicate:
		group, epoch = m.Group, m.Epoch
		if v := viewOf(views, group); v != nil {
			what |= compared(m.Prev.Seq, v.Last)<<8 | compared(m.Prev.Seq+core.Seq(len(m.Entries)), v.Last)<<10 |
				compared(m.Commit, v.Commit)<<12 | few(len(m.Entries))<<14
		}
	case *core.Ack:
		group, epoch = m.Group, m.Epoch
		if v := viewOf(views, group); v != nil {
			what |= compared(m.Matched, v.Last)<<8 | compared(m.Matched, v.Commit)<<10
		}
	case *core.Nack:
		group, epoch = m.Group, m.Epoch
	case *core.Chunk:
		group, epoch = m.Group, m.Epoch
		what |= few(int(m.Attempt))<<8 | few(int(m.Number))<<10
		what = mixed(what, m.Last, len(m.Items) == 0)
	case *core.ChunkAck:
		group, epoch = m.Group, m.Epoch
		what |= few(int(m.Attempt))<<8 | few(int(m.Next))<<10
		what = mixed(what, m.Refused, m.Held.Seq > 0)
	case *core.Config:
		group, epoch = m.Group, m.Epoch
		what |= uint64(len(m.Chain)) << 8
		what = mixed(what, m.Joining.ID != 0)
	case *core.Op:
		group = m.Group
		what |= uint64(m.Kind) << 8
	default:
		return what
	}
	v := viewOf(views, group)
	if v == nil {
		return splitmix.Mix(what, 1)
	}
	from := uint64(few(v.Config.Position(in.From.ID)+1)) << 8
	if in.From.ID == v.Config.Joining.ID {
		from = 3 << 8
	}
	return splitmix.Mix(splitmix.Mix(what, viewInShort(v)), compared(epoch, v.Config.Epoch)|from)
}

// viewInShort is a node's part in a group.
func viewInShort(v *core.GroupView) uint64 {
	return mixed(role(v)<<8|few(v.Pending)<<16, v.Durable < v.Config.Epoch, v.Commit < v.Last)
}

// role is what part a node has in a group: from none to its serving primary.
func role(v *core.GroupView) uint64 {
	switch {
	case v.Serving && v.Config.Joining.ID != 0:
		return 7
	case v.Serving:
		return 6
	case v.Primary:
		return 5
	case v.Joining && v.Partial:
		return 4
	case v.Joining:
		return 3
	case v.Verified < v.Last:
		return 2
	}
	return 1
}

// compared is 1, 2 or 3 where a is less than b, equal or greater.
func compared[N ~uint64](a, b N) uint64 { return uint64(2 + cmp.Compare(a, b)) }

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
