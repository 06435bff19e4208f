package core

import (
	"fmt"
	"slices"
	"time"
)

// A swarm is a manager and many storage nodes that are no more than their answers to it: a
// way to see what a cluster of thousands costs its manager. Every message takes swarmTrip
// one way.
type swarm struct {
	m    *Manager
	now  Time
	out  Output
	mail []swarmMail // under way, in the order of arrival

	tokens  map[NodeID]uint64
	configs map[NodeID]*Config    // the last that each node got
	dead    map[NodeID]bool       // silent
	cutOff  bool                  // the dead are silent to the manager alone
	stuck   bool                  // joins make no progress
	asleep  map[NodeID][]Envelope // whose processes pause, and what came meanwhile
	probes  map[NodeID]int        // how many each node got

	stepped func() // after each Step or Tick of the manager; nil for nothing
	changed int    // configs that a node got
	key     int    // the last that newKey has asked for

	sent [KindCount]int // by the manager
	got  [KindCount]int // by the manager, from nodes
	cost time.Duration  // of the manager's Steps and Ticks, by the clock on the wall
	most time.Duration  // of one of them
}

type swarmMail struct {
	at Time
	Envelope
}

const swarmTrip = 200 * time.Microsecond

func swarmPeer(i int) Peer { return Peer{ID: NodeID(1 + i), Addr: fmt.Sprintf("n%d", 1+i)} }

// newSwarm has so many nodes register, answer, and form groups until fewer are left than
// a group takes beyond the spares.
func newSwarm(nodes int, options ...func(*ManagerOptions)) *swarm {
	o := ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Replicas: 2, Durable: false}
	o.Self.ID = 1 << 40
	for _, option := range options {
		option(&o)
	}
	m, err := NewManager(o, Empty{})
	if err != nil {
		panic(err)
	}
	s := &swarm{
		m: m, now: Time(time.Hour),
		tokens: map[NodeID]uint64{}, configs: map[NodeID]*Config{}, dead: map[NodeID]bool{}, asleep: map[NodeID][]Envelope{}, probes: map[NodeID]int{},
	}
	s.run(0)
	for i := range nodes {
		s.step(swarmPeer(i), &Register{Boot: 1, Secret: 1, Durable: o.Durable})
	}
	s.run(2 * o.PingInterval)
	s.run(10 * time.Millisecond)
	for range (nodes - o.Spares) / (o.Replicas + 1) {
		s.newKey()
	}
	s.run(time.Second)
	s.changed = 0
	return s
}

// newKey has a client look up a key that nobody has written.
func (s *swarm) newKey() {
	s.key++
	s.step(Peer{1 << 41, "c"}, &Lookup{Req: uint64(s.key), Key: fmt.Sprintf("%016d", s.key), Create: true})
}

// step gives the manager a message now.
func (s *swarm) step(from Peer, b Message) {
	begin := time.Now()
	s.m.Step(s.now, Envelope{rigCluster, from, s.m.self, b}, &s.out)
	s.finish(begin)
}

func (s *swarm) finish(begin time.Time) {
	for s.m.Deadline() <= s.now {
		s.m.Tick(s.now, &s.out)
	}
	took := time.Since(begin)
	s.cost += took
	s.most = max(s.most, took)
	if s.stepped != nil {
		s.stepped()
	}
	sent := slices.Concat(s.out.Send, s.out.After)
	s.out.Reset()
	for i := range sent {
		if e := &sent[i]; e.To.ID == s.m.self.ID {
			s.step(s.m.self, e.Body)
		} else {
			s.sent[KindOf(e.Body)]++
			s.mail = append(s.mail, swarmMail{s.now.After(swarmTrip), *e})
		}
	}
}

// run lets d pass.
func (s *swarm) run(d time.Duration) {
	for end := s.now.After(d); ; {
		next := s.m.Deadline()
		if len(s.mail) > 0 {
			next = min(next, s.mail[0].at)
		}
		if next > end {
			s.now = end
			return
		}
		s.now = max(s.now, next)
		if len(s.mail) == 0 || s.mail[0].at > s.now {
			s.finish(time.Now())
			continue
		}
		e := s.mail[0].Envelope
		s.mail = s.mail[1:]
		if e.To.ID == s.m.self.ID {
			s.got[KindOf(e.Body)]++
			s.step(e.From, e.Body)
		} else if held, asleep := s.asleep[e.To.ID]; asleep {
			s.asleep[e.To.ID] = append(held, e)
		} else if !s.dead[e.To.ID] {
			s.answer(e)
		}
	}
}

// sleep has a node's process pause, and wake has it go on, with all that came meanwhile.
func (s *swarm) sleep(id NodeID) { s.asleep[id] = nil }

func (s *swarm) wake(id NodeID) {
	held := s.asleep[id]
	delete(s.asleep, id)
	for _, e := range held {
		s.answer(e)
	}
}

// answer is what a node that works, and has no disk to wait for, says to the manager. One
// that is asked about another says at once that it reaches it; never, when it is dead or
// asleep.
func (s *swarm) answer(e Envelope) {
	me := e.To
	reply := func(b Message) {
		s.mail = append(s.mail, swarmMail{s.now.After(swarmTrip), Envelope{rigCluster, me, e.From, b}})
	}
	switch b := e.Body.(type) {
	case *Ping:
		s.tokens[me.ID] = b.Token
		p := &Pong{Nonce: b.Nonce, Token: b.Token, Boot: 1}
		if c := s.configs[me.ID]; c != nil {
			p.Groups = []GroupEpoch{{c.Group, c.Epoch}}
		}
		reply(p)
	case *Probe:
		s.probes[me.ID]++
		_, asleep := s.asleep[b.Target.ID]
		if b.Target.ID == 0 || !s.dead[b.Target.ID] && !asleep || s.cutOff {
			reply(&ProbeReply{Nonce: b.Nonce})
		}
	case *Config:
		s.configs[me.ID] = b
		s.changed++
		if b.Chain[0] == me && b.Joining.ID != 0 && !s.dead[b.Joining.ID] && !s.stuck {
			reply(&CaughtUp{Group: b.Group, Epoch: b.Epoch, Start: b.Start, Node: b.Joining.ID, Token: s.tokens[me.ID]})
		}
	}
}

// full tells whether every group has all its members, and none of them is dead.
func (s *swarm) full() bool {
	for _, g := range s.m.dir.groups {
		if len(g.config.Chain) < s.m.opt.Replicas+1 || slices.ContainsFunc(g.config.Chain, func(p Peer) bool { return s.dead[p.ID] }) {
			return false
		}
	}
	return true
}

// count forgets what was measured so far.
func (s *swarm) count() { s.sent, s.got, s.cost, s.most = [KindCount]int{}, [KindCount]int{}, 0, 0 }
