package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/core/quorum"
)

// host is a storage node, or one of several managers, with its disk. It is never changed:
// whatever happens to a host makes another one. So it is a part of many states, and what one
// message does to it is worked out once.
type host struct {
	key    key
	name   uint64 // a hash of the key, and of which host it is
	index  int
	node   *core.Storage // nil while the host is down, and of a manager
	seat   *seat         // what is known of a manager; nil of a storage node
	now    core.Time     // of its clock
	due    time.Duration // until its next Tick, by no clock's drift
	disk   *disk
	gate   []batch    // what is not durable yet, oldest first
	knew   core.Epoch // of a host that is down: the highest epoch that was durable
	ended  bool       // it was stopped or forgotten, and does not start again
	origin origin
	facts  facts
	broken *broken // what is wrong with it, whatever the others are
}

const neverDue = time.Duration(1<<63 - 1)

func (h *host) up() bool { return h.node != nil || h.seat != nil && h.seat.up }

// batch is what one Output wants to be durable, and what waits for that.
type batch struct {
	writes []core.Write
	after  []core.Envelope
}

// disk is what is durable. It is never changed.
type disk struct {
	space map[string]string
	hash  uint64
	saved saved // of a real manager
	kept  kept  // of one of several
}

// with returns the disk after some more writes.
func (d *disk) with(writes []core.Write) *disk {
	space := maps.Clone(d.space)
	if space == nil {
		space = make(map[string]string)
	}
	for i := range writes {
		switch w := &writes[i]; {
		case w.Delete && w.End != "":
			maps.DeleteFunc(space, func(k, _ string) bool { return w.Key <= k && k < w.End })
		case w.Delete:
			delete(space, w.Key)
		default:
			space[w.Key] = w.Value
		}
	}
	n := &disk{space: space}
	for k, v := range space {
		n.hash += mix(keyOf([]byte(k))[0], keyOf([]byte(v))[1]) // in any order
	}
	return n
}

// draw returns the secret of a start from the disk: each start leaves another identity.
func (d *disk) draw(seed uint64) uint64 {
	return mix(seed, keyOf([]byte(d.space["identity"]))[0])
}

// Range implements core.Space.
func (d *disk) Range(prefix string, f func(key, value string) error) error {
	for _, k := range slices.Sorted(maps.Keys(d.space)) {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix {
			if err := f(k, d.space[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// broken is a violation that one step of a host shows.
type broken struct{ property, text string }

func brokenf(property, format string, args ...any) *broken {
	return &broken{property, fmt.Sprintf(format, args...)}
}

// edge is what one input makes of a host.
type edge struct {
	to     uint32
	sent   []uint32      // messages to other hosts
	asked  []uint32      // messages to the manager
	told   []*core.Reply // to clients
	broken *broken

	cut     core.Seq // the first position that it cut off its log, or 0
	gave    bool     // it gave up what it held
	applied []core.Event

	// Of one of several managers:
	answers []answer    // to clients
	gone    core.NodeID // whose data is no more; 0 for none
	anew    bool        // since it begins anew
}

// quiet tells whether the input has done nothing at all.
func (e *edge) quiet(from uint32) bool {
	return e.to == from && len(e.sent)+len(e.asked)+len(e.told)+len(e.answers) == 0 && e.broken == nil
}

// What may happen to a host, beside a message: these stand above all numbers of messages.
const (
	inputTick    = 1<<31 + iota
	inputSync    // the oldest batch becomes durable
	inputStart   // a process starts
	inputCrash   // with inputKeep times the batches that the disk has written all the same
	inputStop    // an operator wants it to stop
	inputRefused // with inputKeep times the index of the host whose address refuses
	inputWipe    // a process ends, and its disk is lost
	inputKeep    = 1 << 8
	inputSpecial = 1 << 31
)

// after returns the edge of a host for an input, which it works out the first time.
func (m *Model) after(id, input uint32) *edge {
	if e, ok := m.edges.get(pair(id, input)); ok {
		return e
	}
	return m.edges.put(pair(id, input), m.work(m.hosts.at(id), id, input))
}

// work works out what an input makes of a host.
func (m *Model) work(h *host, id, input uint32) *edge {
	s := m.stepper(h, id, input)
	s.take(input)
	if s.h.seat != nil {
		s.e.to = m.keepSeat(s)
	} else {
		s.e.to = m.keepHost(s.h)
	}
	return s.e
}

func (m *Model) stepper(h *host, id, input uint32) *stepper {
	n := *h
	n.origin = origin{from: id, input: input}
	return &stepper{m: m, from: id, was: h, h: &n, e: &edge{}}
}

// take has the host take in the input.
func (s *stepper) take(input uint32) {
	s.run(func() {
		switch {
		case input < inputSpecial:
			s.step(s.m.messages.at(input).envelope)
		case input == inputTick:
			s.tick()
		case input == inputSync:
			s.sync()
		case input == inputStart:
			s.start()
		case input == inputStop:
			s.toSelf(&core.Stop{})
		case input == inputWipe:
			s.crash(0)
			s.h.disk = &disk{}
		case (input-inputRefused)%inputKeep == 0:
			s.toSelf(&core.PeerDown{Peer: hostPeer(int(input-inputRefused) / inputKeep), Refused: true})
		default:
			s.crash(int(input-inputCrash) / inputKeep)
		}
		s.settle()
	})
}

// later returns a host some time later, in which nothing happened to it.
func (m *Model) later(id uint32, d time.Duration) uint32 {
	if d == 0 {
		return id
	}
	if m.several() {
		return m.laterSeat(id, d)
	}
	h := *m.hosts.at(id)
	h.now, h.origin = h.now.After(m.local(h.index, d)), origin{from: id, took: d}
	return m.keepHost(&h)
}

const million = 1_000_000

// rate is by how much a host's clock goes on in a million nanoseconds.
func (m *Model) rate(index int) time.Duration {
	if index == 0 {
		return time.Duration(million - m.scenario.Drift)
	}
	return time.Duration(million + m.scenario.Drift)
}

// local is how much a host's clock goes on meanwhile, and global how long that takes at
// least.
func (m *Model) local(index int, d time.Duration) time.Duration {
	if m.scenario.Drift == 0 {
		return d
	}
	return d * m.rate(index) / million
}

func (m *Model) global(index int, local time.Duration) time.Duration {
	if m.scenario.Drift == 0 || local == neverDue {
		return local
	}
	return (local*million + m.rate(index) - 1) / m.rate(index)
}

// stepper drives one node through one input, as the driver of package core has to.
type stepper struct {
	m    *Model
	from uint32
	was  *host
	h    *host // what becomes of it
	node core.Node
	e    *edge
	out  core.Output
	self []core.Envelope // what it says to itself

	again bool // all this was worked out before: only what becomes of the node is wanted
}

// run takes a panic of the core for what it is.
func (s *stepper) run(do func()) {
	defer func() {
		if p := recover(); p != nil {
			s.e.broken = brokenf("panic", "%s: %v", s.m.nameOf(s.h.index), p)
			s.end()
		}
	}()
	do()
}

// own gives the host a node of its own. A step that only the disk takes needs none.
func (s *stepper) own() {
	switch {
	case s.node != nil:
	case s.h.seat != nil:
		s.node = s.m.revive(s.from)
	default:
		s.h.node = s.h.node.Clone()
		s.node = s.h.node
	}
}

// end ends the process, and what was not durable is gone.
func (s *stepper) end() {
	s.node, s.h.node, s.h.gate = nil, nil, nil
	if s.h.seat != nil {
		s.h.seat = s.h.seat.down()
	}
}

func (s *stepper) step(e core.Envelope) {
	s.own()
	s.node.Step(s.h.now, e, &s.out)
	s.ready()
}

func (s *stepper) toSelf(b core.Message) {
	self := hostPeer(s.h.index)
	s.step(core.Envelope{From: self, To: self, Body: b})
}

func (s *stepper) tick() {
	s.own()
	s.node.Tick(s.h.now, &s.out)
	s.ready()
}

// ticksMax bounds the Ticks that a node may want before its Output leaves.
const ticksMax = 100

// ready lets the node do what is due, and carries out its Output.
func (s *stepper) ready() {
	for n := 0; s.node.Deadline() <= s.h.now; n++ {
		if n == ticksMax {
			s.e.broken = brokenf("driver-contract", "%s wants a Tick again and again", s.m.nameOf(s.h.index))
			break
		}
		s.node.Tick(s.h.now, &s.out)
	}
	for i := range s.out.Events {
		s.note(&s.out.Events[i])
	}
	for i := range s.out.Send {
		s.leave(&s.out.Send[i])
	}
	// A Gate that takes in what waits already, and then the Output, is the Gate that was there.
	var gate core.Gate
	for i := range s.h.gate {
		gate.Take(s.h.gate[i].writes, s.h.gate[i].after, nil)
	}
	gate.Take(s.out.Persist, s.out.After, s.leave)
	s.h.gate = make([]batch, gate.Pending())
	for i := range s.h.gate {
		s.h.gate[i].writes, s.h.gate[i].after = gate.Batch(i)
	}
	switch why := s.out.Halt; {
	case why == nil:
	case s.m.scenario.Real && (errors.Is(why, core.ErrStopped) || errors.Is(why, core.ErrForgotten)):
		s.h.knew, s.h.ended = s.was.facts.durable, true
		s.end()
	case errors.Is(why, quorum.ErrAnew):
		s.beginsAnew()
	case s.e.broken == nil:
		s.e.broken = brokenf("halt", "%s halted: %v", s.m.nameOf(s.h.index), why)
	}
	s.out.Reset()
}

// settle lets the node hear what it says to itself.
func (s *stepper) settle() {
	for len(s.self) > 0 && s.h.up() {
		e := s.self[0]
		s.self = s.self[1:]
		s.step(e)
	}
}

func (s *stepper) leave(e *core.Envelope) {
	if s.h.seat != nil {
		s.leaveSeat(e)
		return
	}
	switch {
	case e.To.ID == core.NodeID(s.h.index+1):
		s.self = append(s.self, *e)
	case e.To.Addr == managerAddr:
		_, caughtUp := e.Body.(*core.CaughtUp)
		_, register := e.Body.(*core.Register)
		if s.m.scenario.Real || caughtUp || register {
			s.e.asked = append(s.e.asked, s.m.keepMessage(e))
		}
	case e.To.Addr == clientAddr:
		if r, ok := e.Body.(*core.Reply); ok {
			s.e.told = append(s.e.told, r)
		}
	default:
		s.e.sent = append(s.e.sent, s.m.keepMessage(e))
	}
}

func (s *stepper) note(e *core.Event) {
	switch e.Kind {
	case core.EventTruncated:
		if s.e.cut == 0 || e.Seq < s.e.cut {
			s.e.cut = e.Seq
		}
	case core.EventDiscarded:
		s.e.gave = s.e.gave || e.Seq > 0
	case core.EventApplied:
		s.e.applied = append(s.e.applied, *e)
	}
}

// sync makes the oldest batch durable: each batch has a sync of its own under way.
func (s *stepper) sync() {
	b := s.h.gate[0]
	s.h.gate = s.h.gate[1:]
	s.h.disk = s.h.disk.with(b.writes)
	for i := range b.after {
		s.leave(&b.after[i])
	}
}

// crash ends the process. The disk has perhaps written more than it said.
func (s *stepper) crash(keep int) {
	s.h.knew = s.was.facts.durable
	for _, b := range s.h.gate[:keep] {
		s.h.disk = s.h.disk.with(b.writes)
	}
	s.end()
	if !s.m.scenario.Durable {
		s.h.disk = &disk{}
	}
}

func (s *stepper) start() {
	if s.h.seat != nil {
		s.startSeat()
		return
	}
	var space core.Space = core.Empty{}
	secret := uint64(s.h.index) + 1
	if s.m.scenario.Durable {
		space = s.h.disk
		secret = s.h.disk.draw(secret)
	}
	node, err := core.NewStorage(s.m.options(s.h.index, secret), space)
	if err != nil {
		s.e.broken = brokenf("disk-refused", "%s cannot start: %v", hostName(s.h.index), err)
		return
	}
	s.h.node, s.node = node, node
	s.tick()
	if g := factsOf(node, s.h.now); g.epoch < s.h.knew && s.e.broken == nil {
		s.e.broken = brokenf("epoch-memory", "%s restarted and knows epoch %d, but epoch %d was durable", hostName(s.h.index), g.epoch, s.h.knew)
	}
	s.h.knew = 0
}
