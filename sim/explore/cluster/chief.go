package cluster

import (
	"sync"
	"time"

	"gtstore/core"
)

// In a scenario with the line "manager real" the manager is the core that is deployed, with
// its timers and its disk. It is a part of the state as the hosts are, and never changed.

// chief is the process of a real manager, and what is known of its past.
type chief struct {
	node *core.Manager // nil while it is down
	now  core.Time
	due  time.Duration // until its next Tick
	disk *disk
	gate []batch

	starts byte       // of its process: each has tokens of its own
	index  core.Index // of the Directory when it was last up
	hash   uint64     // likewise

	configs [][]*core.Config // of each group, by Epoch-1; nil for one that nobody has heard of
	asks    []asked          // by their place in the scenario
}

// asked is how far an ask is, and for a lookup the key's group.
type asked struct {
	done  bool
	group core.GroupID
}

// Times of a real manager in a scenario. Only pings go off in calm, and what the manager
// decides takes few of them.
const (
	chiefPing  = 100 * time.Millisecond
	chiefLost  = 50 * time.Millisecond
	chiefQuiet = 100 * time.Millisecond // quarantine, at least and at most
)

func (m *Model) chiefOptions(starts byte) core.ManagerOptions {
	return core.ManagerOptions{
		Self: managerPeer, Cluster: cluster, Durable: m.scenario.Durable, Seed: [32]byte{starts},
		Replicas: m.scenario.Members - 1, MinChain: max(1, m.scenario.MinChain), Reads: m.scenario.Reads, Lease: m.scenario.lease(),
		PingInterval: chiefPing, MissesMax: 1, LostAfter: chiefLost, QuarantineMin: chiefQuiet, QuarantineMax: chiefQuiet,
		JoinTimeout: 10 * chiefPing, CommandsKeep: m.scenario.CommandsKeep, Placement: m.scenario.Placement,
	}
}

// up tells whether there is a manager at work: the stub always is.
func (g *manager) up() bool { return g.chief == nil || g.chief.node != nil }

// dueOf is how long it takes until the manager's timer goes off.
func (g *manager) dueOf() time.Duration {
	if g.chief == nil || g.chief.node == nil {
		return neverDue
	}
	return g.chief.due
}

// managerLater returns a manager some time later, in which nothing happened to it.
func (m *Model) managerLater(id uint32, d time.Duration) uint32 {
	g := m.managers.at(id)
	if d == 0 || g.chief == nil {
		return id
	}
	c := *g.chief
	c.now = c.now.After(d)
	return m.keepManager(&manager{chief: &c, configs: g.configs, origin: origin{from: id, took: d}})
}

func (g *manager) appendChief(b []byte) []byte {
	c := g.chief
	b = append(b, c.starts)
	if c.node != nil {
		b = append(b, 1)
		b = c.node.AppendState(b, c.now)
	} else {
		b = append(b, 0)
		b = appendNumber(appendNumber(b, uint64(c.index)), c.hash)
	}
	b = appendNumber(b, c.disk.hash)
	b = appendBatches(b, c.gate)
	for _, list := range c.configs {
		b = append(b, 'g')
		for _, config := range list {
			sum := uint64(0)
			if config != nil {
				sum = configKey(config)[0]
			}
			b = appendNumber(b, sum)
		}
	}
	for _, a := range c.asks {
		n := byte(0)
		if a.done {
			n = 1
		}
		b = appendNumber(append(b, 'a', n), uint64(a.group))
	}
	return b
}

// chiefStepper drives a real manager through one input, as the driver of package core has to.
type chiefStepper struct {
	m    *Model
	g    *manager // what becomes of it
	c    *chief
	o    *order
	out  core.Output
	self []core.Envelope
}

// workChief works out what an input makes of a real manager.
func (m *Model) workChief(id, what uint32) *order {
	g := m.managers.at(id)
	c := *g.chief
	c.configs, c.asks = append([][]*core.Config(nil), c.configs...), append([]asked(nil), c.asks...)
	s := &chiefStepper{m: m, c: &c, o: &order{legal: true}, g: &manager{chief: &c, origin: origin{from: id, input: what}}}
	s.run(func() {
		if what < inputSpecial {
			s.clone()
			s.step(m.messages.at(what).envelope)
			return
		}
		n := int(what & 0xff)
		switch what &^ 0xff {
		case orderTick:
			s.clone()
			s.tick()
		case orderSync:
			s.sync()
		case orderStart:
			s.start()
		case orderCrash:
			c.index, c.hash = c.node.Index(), c.node.DirectoryHash()
			for _, b := range c.gate[:n] {
				c.disk = c.disk.with(b.writes)
			}
			c.node, c.gate = nil, nil
		case orderRefused:
			s.clone()
			s.step(core.Envelope{From: managerPeer, To: managerPeer, Body: &core.PeerDown{Peer: hostPeer(n), Refused: true}})
		case orderAsk:
			s.clone()
			s.step(*m.scenario.asks[n].envelope(n, g.config()))
		}
	})
	if len(c.configs) > 0 {
		s.g.configs = c.configs[0]
	}
	s.o.to = m.keepManager(s.g)
	return s.o
}

// run takes a panic of the core for what it is.
func (s *chiefStepper) run(do func()) {
	defer func() {
		if p := recover(); p != nil {
			s.fail("panic", "the manager: %v", p)
			s.c.node, s.c.gate = nil, nil
		}
	}()
	do()
	for len(s.self) > 0 && s.c.node != nil {
		e := s.self[0]
		s.self = s.self[1:]
		s.clone()
		s.step(e)
	}
}

func (s *chiefStepper) fail(property, format string, args ...any) {
	if s.o.broken == nil {
		s.o.broken = brokenf(property, format, args...)
	}
}

func (s *chiefStepper) clone() { s.c.node = s.c.node.Clone() }

func (s *chiefStepper) step(e core.Envelope) {
	s.c.node.Step(s.c.now, e, &s.out)
	s.ready()
}

func (s *chiefStepper) tick() {
	s.c.node.Tick(s.c.now, &s.out)
	s.ready()
}

func (s *chiefStepper) start() {
	var space core.Space = core.Empty{}
	if s.m.scenario.Durable {
		space = s.c.disk
	}
	s.c.starts++
	node, err := core.NewManager(s.m.chiefOptions(s.c.starts), space)
	if err != nil {
		s.fail("disk-refused", "the manager cannot start: %v", err)
		return
	}
	s.c.node = node
	if node.Index() < s.c.index || node.Index() == s.c.index && s.c.index > 0 && node.DirectoryHash() != s.c.hash {
		s.fail("directory-kept", "the manager restarted with another Directory at index %d than it had at index %d", node.Index(), s.c.index)
	}
	s.restored()
	s.tick()
}

func (s *chiefStepper) sync() {
	b := s.c.gate[0]
	s.c.gate = s.c.gate[1:]
	s.c.disk = s.c.disk.with(b.writes)
	for i := range b.after {
		s.leave(&b.after[i])
	}
}

// ready lets the manager do what is due, and carries out its Output.
func (s *chiefStepper) ready() {
	for n := 0; s.c.node.Deadline() <= s.c.now; n++ {
		if n == ticksMax {
			s.fail("driver-contract", "the manager wants a Tick again and again")
			break
		}
		s.c.node.Tick(s.c.now, &s.out)
	}
	s.look()
	for i := range s.out.Events {
		s.note(&s.out.Events[i])
	}
	for i := range s.out.Send {
		s.leave(&s.out.Send[i])
	}
	var gate core.Gate
	for i := range s.c.gate {
		gate.Take(s.c.gate[i].writes, s.c.gate[i].after, nil)
	}
	gate.Take(s.out.Persist, s.out.After, s.leave)
	s.c.gate = make([]batch, gate.Pending())
	for i := range s.c.gate {
		s.c.gate[i].writes, s.c.gate[i].after = gate.Batch(i)
	}
	if why := s.out.Halt; why != nil {
		s.fail("halt", "the manager halted: %v", why)
	}
	s.out.Reset()
}

// leave has a message leave the manager, which must not show what is not durable.
func (s *chiefStepper) leave(e *core.Envelope) {
	if e.To.ID == managerID {
		s.self = append(s.self, *e)
		return
	}
	if s.m.scenario.Durable {
		s.shows(e)
	}
	if e.To.Addr != clientAddr {
		s.o.sent = append(s.o.sent, s.m.keepMessage(e))
		return
	}
	s.answered(e)
}

// saved is what the manager's disk says, read once.
type saved struct {
	once   sync.Once
	report *core.DiskReport
	err    error
}

func (d *disk) directory() (*core.DiskDirectory, error) {
	d.saved.once.Do(func() { d.saved.report, d.saved.err = core.Inspect(d) })
	if d.saved.err != nil {
		return nil, d.saved.err
	}
	return &d.saved.report.Directory, nil
}
