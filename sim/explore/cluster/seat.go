package cluster

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim/explore/canon"
)

// In a scenario with managers=N the hosts are managers, and there are no storage nodes. What they
// agree by is a library whose state cannot be copied. So a host has no node of its own: it is
// made again by playing back all that its process has taken in, as it is deterministic. What an
// input makes of a host is worked out once all the same, and whoever was made last is kept.

// seat is what is known of a host that is one of several managers, beside its disk.
type seat struct {
	up     bool
	starts byte        // of its process so far
	free   bool        // it may start without a budget: it never did, or it begins anew
	self   core.NodeID // of the last process

	view  quorum.View
	leads core.Term  // that it leads as a manager, which is somewhat later than the library does
	index core.Index // of its Directory
	state uint64     // a hash of all that was agreed on
}

func (s *seat) down() *seat { return &seat{starts: s.starts, free: s.free, self: s.self} }

func seatName(index int) string { return managerAddr + strconv.Itoa(index+1) }

// Times of several managers. An election comes before the next round of questions.
const (
	seatBeat     = 50 * time.Millisecond
	seatElection = 100 * time.Millisecond
	seatBegin    = core.Time(1000 * time.Hour) // of each clock, so that no time is near 0
)

func (m *Model) several() bool { return m.scenario.Managers > 0 }

// nameOf is the name of a host, which is its address.
func (m *Model) nameOf(index int) string {
	if m.several() {
		return seatName(index)
	}
	return hostName(index)
}

// drawn is the id that a start draws. It counts where the disk has none.
func drawn(index int, starts byte) core.NodeID { return core.NodeID(100*(index+1) + int(starts)) }

func (m *Model) newSeat(index int, starts byte, d *disk) (*quorum.Manager, error) {
	id := drawn(index, starts)
	opt := core.ManagerOptions{
		Self: core.Peer{ID: id, Addr: seatName(index)}, Cluster: core.ClusterID(id), Durable: m.scenario.Durable, Seed: [32]byte{byte(index), starts},
		PingInterval: core.PingIntervalMax, LostAfter: time.Hour, // there are no nodes that answer
	}
	var list []string
	for i := range m.scenario.Managers {
		list = append(list, seatName(i))
	}
	var space core.Space = core.Empty{}
	if m.scenario.Durable {
		space = d
	}
	return quorum.NewManager(opt, list, quorum.Options{HeartbeatInterval: seatBeat, ElectionTimeout: seatElection}, space)
}

// startSeat starts a manager's process.
func (s *stepper) startSeat() {
	n := s.h.seat.down()
	n.starts, n.free = n.starts+1, false
	s.h.seat = n
	node, err := s.m.newSeat(s.h.index, n.starts, s.h.disk)
	if err != nil {
		s.e.broken = brokenf("disk-refused", "%s cannot start: %v", seatName(s.h.index), err)
		return
	}
	n.up, n.self = true, node.Self().ID
	s.node = node
	s.tick()
}

// beginsAnew ends a manager that gives up its cluster. Whoever runs it starts it again.
func (s *stepper) beginsAnew() {
	if !s.m.scenario.Durable {
		s.h.disk = &disk{}
	}
	s.e.anew = true
	s.end()
	s.h.seat.free = true
}

// leaveSeat has a message leave a manager, which must not speak of what its disk has not.
func (s *stepper) leaveSeat(e *core.Envelope) {
	if e.To.ID == s.h.seat.self {
		s.self = append(s.self, *e)
		return
	}
	if s.again {
		return
	}
	if s.m.heard != nil {
		s.m.heard(e)
	}
	switch b := e.Body.(type) {
	case *core.Quorum:
		// Where all are of a cluster, and no disk is lost, nothing depends on the questions. Of those
		// that are repeated some are enough. The others are lost.
		if w := quorum.WordOf(b.Text); w.Founding && s.m.quiet || w.Repeated > int(s.m.scenario.budgets[budgetAgain]) {
			return
		}
		if s.m.scenario.Durable {
			s.rests(e.To.ID, b.Text)
		}
	case *core.Enlist:
		if s.m.scenario.Durable {
			s.keptPromise()
		}
	case *core.LookupReply:
		if b.Req == 0 {
			return // before the search
		}
		s.e.answers = append(s.e.answers, answer{int(b.Req) - 1, b.Status, groupOf(b)})
		return
	}
	if s.m.seatAt(e.To.Addr) >= 0 {
		s.e.sent = append(s.e.sent, s.m.keepMessage(e))
	}
}

// groupOf is the group that a client is told; 0 for none.
func groupOf(b *core.LookupReply) core.GroupID {
	if b.Config == nil {
		return 0
	}
	return b.Config.Group
}

// seatAt is the index of the manager at an address; -1 for none.
func (m *Model) seatAt(addr string) int {
	for i := range m.scenario.Managers {
		if seatName(i) == addr {
			return i
		}
	}
	return -1
}

// rests holds what is said to another manager against the disk.
func (s *stepper) rests(to core.NodeID, text string) {
	if w := quorum.WordOf(text); w.Founding {
		if w.Says {
			s.keptPromise()
		}
		return
	}
	fail := func(what string, args ...any) {
		if s.e.broken == nil {
			s.e.broken = brokenf("durable-before-sent", "%s says %s, and its disk has not", seatName(s.h.index), fmt.Sprintf(what, args...))
		}
	}
	b, err := quorum.DecodeMessage([]byte(text))
	if err != nil {
		s.e.broken = brokenf("codec", "%s says what does not read: %v", seatName(s.h.index), err)
		return
	}
	k := s.m.kept(s.h)
	if k.err != nil {
		s.e.broken = brokenf("disk-refused", "%s could not be started from its disk: %v", seatName(s.h.index), k.err)
		return
	}
	has := &k.view
	switch b := b.(type) {
	case *quorum.Voted:
		if !b.Pre && !b.Refused && (has.Term < b.Term || has.Term == b.Term && has.Vote != to) {
			fail("that it votes for %v in term %d", to, b.Term)
		}
	case *quorum.Appended:
		if !b.Refused && (has.Term < b.Term || has.Last.Index < b.Index) {
			fail("that it holds all up to %d in term %d", b.Index, b.Term)
		}
	case *quorum.PartTaken:
		if b.Done && max(has.Last.Index, has.Applied.Index) < b.At {
			fail("that it holds the snapshot at %d", b.At)
		}
	}
}

// keptPromise holds the promise of an empty manager that speaks to others against the disk.
func (s *stepper) keptPromise() {
	s.own()
	v := s.node.(*quorum.Manager).View()
	if v.Promise == 0 || v.Ending {
		return
	}
	if k := s.m.kept(s.h); s.e.broken == nil && (k.err != nil || k.self != s.h.seat.self || k.view.Promise != v.Promise && k.view.Cluster == 0) {
		s.e.broken = brokenf("durable-before-sent", "%s, which is %v and has promised itself to %v, speaks before its disk has that", seatName(s.h.index), s.h.seat.self, v.Promise)
	}
}

// kept is what a manager is that starts from a disk, worked out once.
type kept struct {
	once sync.Once
	self core.NodeID
	view quorum.View
	err  error
}

func (m *Model) kept(h *host) *kept {
	k := &h.disk.kept
	k.once.Do(func() {
		var node *quorum.Manager
		if node, k.err = m.newSeat(h.index, 0, h.disk); k.err == nil {
			k.self, k.view = node.Self().ID, node.View()
		}
	})
	return k
}

// seatCanon encodes a manager. What is left out makes no difference, for the reason given.
var seatCanon = canon.New(map[string]string{
	"core.ManagerOptions.Consensus": "options never change",
	"core.Manager.consensus":        "the same as several",
	"core.several.council":          "it holds the Node, which is at hand in the Manager of package quorum, and an Output of the call under way",
	"core.several.out":              "of the call under way",
	"core.common.out":               "of the call under way",
	"core.common.recorder":          "memory that is used again",
	"core.Manager.tally":            "counted anew from the rest",
	"core.Manager.glance":           "of the call under way",
	"core.Directory.byID":           "follows of the nodes",
	"quorum.Node.out":               "of the call under way",
	"quorum.Node.listed":            "follows of the members and of who has moved",
	"quorum.Node.machine":           "the owner, which is at hand",
	"quorum.storage.node":           "the owner, which is at hand",
	"quorum.Manager.now":            "set by each call before it is read",
	"quorum.Manager.startedAt":      "only for what people are told",
	"quorum.say.round":              "an answer is to this round, and shows by its state",
	"quorum.founding.said":          "only for what people are told",
	"quorum.founding.waits":         "only for what people are told",
	"quorum.founding.differs":       "only for what people are told",
	"quorum.founding.removed":       "only for what people are told",
	"quorum.founding.copied":        "only for what people are told",
	"quorum.founding.awaits":        "only for what people are told",
	"quorum.founding.absentees":     "only for what people are told",

	"raft.raft.logger":                    "it is told, and never asked",
	"raft.raft.traceLogger":               "it is told, and never asked",
	"raft.raftLog.logger":                 "it is told, and never asked",
	"raft.unstable.logger":                "it is told, and never asked",
	"raft.raft.tick":                      "follows of the role",
	"raft.raft.step":                      "follows of the role",
	"raft.raft.randomizedElectionTimeout": "only leaders tick, and these do not read it",
	"raft.raftLog.storage":                "it is the Node's log, which is at hand",
	"impl.MessageState":                   "memory that is used again",
	"strings.Builder.addr":                "it refers to itself",
})

// keepSeat returns the number of a host that is a manager, and works out what is known of it.
func (m *Model) keepSeat(s *stepper) uint32 {
	h := s.h
	var node *quorum.Manager
	if h.up() {
		s.own()
		node = s.node.(*quorum.Manager)
	}
	m.encodeSeat(h, node)
	if s.was != nil && s.was.seat.self != 0 && !s.m.hasData(h, s.was.seat) {
		s.e.gone = s.was.seat.self
	}
	id := m.hosts.put(h.key, h)
	if node != nil && m.hosts.at(id) == h {
		m.live.put(id, node)
	}
	return id
}

// hasData tells whether the data of a manager that has been something is still there.
func (m *Model) hasData(h *host, was *seat) bool {
	if h.up() {
		return h.seat.self == was.self
	}
	return m.scenario.Durable && m.kept(h).err == nil && m.kept(h).self == was.self
}

// encodeSeat gives the host its key, and what is known of it.
func (m *Model) encodeSeat(h *host, node *quorum.Manager) {
	var array [8192]byte
	b := append(array[:0], byte(h.index), h.seat.starts)
	b = appendNumber(b, uint64(h.seat.self))
	if h.due = neverDue; node != nil {
		b = append(b, 1)
		b = seatCanon.Append(b, node, h.now)
		h.seat = m.seatOf(h.seat, node)
		if d := node.Deadline(); d != core.Never {
			h.due = max(0, d.Since(h.now))
		}
	} else if h.seat.free {
		b = append(b, 2)
	} else {
		b = append(b, 0)
	}
	b = appendNumber(b, h.disk.hash)
	b = appendBatches(b, h.gate)
	h.key = keyOf(b)
	h.name = mix(h.key[0], uint64(h.index)+1)
	m.bytes.Add(int64(2048 + len(b)))
}

// seatOf is what is known of a manager that runs.
func (m *Model) seatOf(s *seat, node *quorum.Manager) *seat {
	n := s.down()
	n.up, n.view = true, node.View()
	c := node.Core()
	if c == nil {
		return n
	}
	n.index = c.Index()
	if c.Leads() {
		n.leads = c.Term()
	}
	n.state = mix(c.DirectoryHash(), uint64(n.index))
	for _, list := range [][]core.Peer{n.view.Members.Voters, n.view.Members.Outgoing} {
		for _, p := range list {
			n.state = mix(n.state, uint64(p.ID))
		}
		n.state = mix(n.state, 1)
	}
	return n
}

// laterSeat is later for a manager. Its process has taken in nothing, so it stays what it is.
func (m *Model) laterSeat(id uint32, d time.Duration) uint32 {
	span, _ := m.spans.LoadOrStore(d, m.spanCount.Add(1))
	k := pair(id, span.(uint32))
	if to, ok := m.laters.get(k); ok {
		return to
	}
	h := *m.hosts.at(id)
	h.now, h.origin = h.now.After(d), origin{from: id, took: d}
	node := m.revive(id)
	m.encodeSeat(&h, node)
	to := m.hosts.put(h.key, &h)
	m.live.put(m.processOf(id), node)
	return m.laters.put(k, to)
}

// processOf is the host in which the process of a host has last taken in something.
func (m *Model) processOf(id uint32) uint32 {
	for m.hosts.at(id).origin.took > 0 {
		id = m.hosts.at(id).origin.from
	}
	return id
}

// revive makes the process of a host, by playing back what it has taken in since one that is at
// hand, or since it started. The caller has it alone.
func (m *Model) revive(id uint32) *quorum.Manager {
	var way []uint32
	var node core.Node
	for {
		id = m.processOf(id)
		if n := m.live.take(id); n != nil {
			node = n
			break
		}
		way = append(way, id)
		o := m.hosts.at(id).origin
		if o.input == inputStart {
			break
		}
		id = o.from
	}
	m.played.Add(int64(len(way)))
	for i := len(way) - 1; i >= 0; i-- {
		o := m.hosts.at(way[i]).origin
		s := m.stepper(m.hosts.at(o.from), o.from, o.input)
		s.node, s.again = node, true
		s.take(o.input)
		node = s.node
	}
	return node.(*quorum.Manager)
}

// alive are processes that were made last.
type alive struct {
	mu    sync.Mutex
	nodes map[uint32]*quorum.Manager
	order []uint32
}

const (
	aliveMax   = 1 << 12
	aliveBytes = 24 << 10 // about what one takes
)

func (a *alive) take(id uint32) *quorum.Manager {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.nodes[id]
	delete(a.nodes, id)
	return n
}

func (a *alive) put(id uint32, n *quorum.Manager) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nodes == nil {
		a.nodes = make(map[uint32]*quorum.Manager)
	}
	a.nodes[id] = n
	a.order = append(a.order, id)
	for len(a.order) > aliveMax {
		delete(a.nodes, a.order[0])
		a.order = a.order[1:]
	}
}

// memory is about how many bytes they take.
func (a *alive) memory() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return aliveBytes * int64(len(a.nodes))
}
