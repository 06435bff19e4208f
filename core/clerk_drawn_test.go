package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// A court is a manager among nodes that are no more than what they say to it: when they answer,
// and whom they reach, is drawn. Whatever the manager does a clerk holds against the rules.
type court struct {
	*rapid.T
	m       *Manager
	opt     ManagerOptions
	k       *clerk
	now     Time
	out     Output
	halted  bool
	calls   int
	players []*player
	due     []deed // in the order of their times
	trip    time.Duration
	next    NodeID
	log     []string
}

type deed struct {
	at Time
	do func()
}

// player is a storage node.
type player struct {
	peer    Peer
	boot    Boot
	token   uint64
	mode    health
	asleep  bool // it answers everything when it wakes
	held    []Envelope
	near    bool // others reach it, whatever the manager does
	slow    time.Duration
	disk    time.Duration // how much later it proves that it works
	lag     time.Duration
	deaf    map[NodeID]bool // whom it does not reach
	stuck   bool            // its joins make no progress
	ended   bool            // another has its place
	started bool            // the manager has not confirmed its start yet
	losses  int             // messages to it that are lost
	pongs   bool            // only its answers to pings are not lost
	epochs  map[GroupID]*Config
	chunks  uint64
}

func (c *court) number(label string, low, high int) int {
	return rapid.IntRange(low, high).Draw(c.T, label)
}

func (c *court) millis(label string, list ...time.Duration) time.Duration {
	return rapid.SampledFrom(list).Draw(c.T, label) * time.Millisecond
}

func (c *court) fail(format string, args ...any) {
	c.Helper()
	c.Fatalf("%s\nat %v: %s", lastLines(c.log), c.now.Since(rigOrigin), fmt.Sprintf(format, args...))
}

func lastLines(lines []string) (text string) {
	for _, l := range lines[max(0, len(lines)-60):] {
		text += l + "\n"
	}
	return text
}

func (c *court) note(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf("%v ", c.now.Since(rigOrigin))+fmt.Sprintf(format, args...))
}

// opens draws a cluster, and starts its manager.
func (c *court) opens(seen map[string]int) {
	o := DefaultManagerOptions()
	o.Self, o.Cluster = peerOf("m"), rigCluster
	o.Self.ID = 1 << 40
	o.Replicas, o.Durable, o.HaltOnLoss = rapid.SampledFrom([]int{0, 1, 1, 2, 2, 3}).Draw(c.T, "replicas"), c.number("durable", 0, 1) == 1, c.number("halt", 0, 3) == 0
	o.PingInterval = c.millis("ping", 50, 50, 20, 100)
	o.MissesMax = c.number("misses", 3, 4)
	o.LostAfter = c.millis("lost after", 2000, 1000, 700)
	o.JoinTimeout = c.millis("join timeout", 5000, 1000)
	o.QuarantineMin = c.millis("quarantine", 1000, 300)
	o.QuarantineMax = 3 * o.QuarantineMin
	if o.Durable {
		o.ProbeTimeout = 800 * time.Millisecond
	}
	c.trip = c.millis("trip", 0, 1, 20, 120)
	m, err := NewManager(o, Empty{})
	if err != nil {
		c.Fatal(err)
	}
	c.m, c.opt, c.now = m, o, rigOrigin
	c.k = &clerk{opt: o, awaited: map[NodeID]bool{}, own: c.now, driver: c.now, calm: c.now, pingAt: c.now, wake: Never, haltAt: Never, fail: c.fail, seen: seen}
	m.Tick(c.now, &c.out)
	c.out.Reset()
	c.tell(m.self, m.self, &Synced{})
	groups := c.number("groups", 1, 2)
	for range groups*(o.Replicas+1) + c.number("spares", 0, 2) {
		c.starts(fmt.Sprintf("n%d", c.next+1))
	}
	c.run(2*o.PingInterval + 2*c.trip)
	for i := range groups {
		c.tell(Peer{1 << 41, "c"}, m.self, &Lookup{Req: uint64(i + 1), Key: fmt.Sprint(i), Create: true})
	}
}

// starts begins a new node at an address.
func (c *court) starts(addr string) *player {
	c.next++
	p := &player{peer: Peer{c.next, addr}, boot: 1, deaf: map[NodeID]bool{}, epochs: map[GroupID]*Config{}}
	c.players = append(c.players, p)
	c.registers(p)
	return p
}

// registers has a node ask to be registered until it hears that it is.
func (c *court) registers(p *player) {
	p.started = false
	boot := p.boot
	var ask func()
	ask = func() {
		if p.boot != boot || p.started || p.ended || p.mode == refusing {
			return
		}
		c.tell(p.peer, Peer{Addr: "m"}, &Register{Boot: p.boot, Durable: c.opt.Durable, Name: p.peer.Addr})
		c.after(500*time.Millisecond, ask)
	}
	ask()
}

func (c *court) after(d time.Duration, do func()) {
	at := c.now.After(d)
	i, _ := slices.BinarySearchFunc(c.due, at, func(d deed, at Time) int { return cmp.Or(cmp.Compare(d.at, at), -1) })
	c.due = slices.Insert(c.due, i, deed{at, do})
}

// tell gives the manager a message now.
func (c *court) tell(from, to Peer, b Message) {
	if c.halted {
		return
	}
	cluster := rigCluster
	if to.ID == 0 {
		cluster = 0
	}
	e := Envelope{cluster, from, to, b}
	c.m.Step(c.now, e, &c.out)
	c.carryOut(&e)
	for !c.halted && c.m.Deadline() <= c.now {
		c.ticks()
	}
}

// ticks has the manager do what is due.
func (c *court) ticks() {
	if c.calls++; c.calls > 100_000 {
		c.fail("it never comes to rest")
	}
	c.m.Tick(c.now, &c.out)
	c.carryOut(nil)
}

// carryOut has the clerk look at a call, and does what the manager wants. Its disk takes no time.
func (c *court) carryOut(in *Envelope) {
	if in != nil {
		if k := KindOf(in.Body); k != KindPong {
			c.note("%v %T %+v", in.From, in.Body, in.Body)
		}
	}
	c.k.hears(c.now, in, c.m, &c.out)
	for _, l := range slices.Concat(c.k.events, c.k.orders) {
		c.note("  %s", l)
	}
	c.k.looksAgain(c.m.Deadline())
	if c.halted = c.out.Halt != nil; c.halted {
		c.out.Reset()
		return
	}
	sent := slices.Concat(c.out.Send, c.out.After)
	c.out.Reset()
	for _, e := range sent { // its own first: nothing is under way when it is called next
		if e.To.ID == c.m.self.ID {
			e := e
			c.m.Step(c.now, e, &c.out)
			c.carryOut(&e)
		}
	}
	for _, e := range sent {
		if e.To.ID != c.m.self.ID && e.To.ID < 1<<40 {
			c.deliver(e)
		}
	}
}

// run lets d pass.
func (c *court) run(d time.Duration) {
	for end := c.now.After(d); !c.halted; {
		at := c.m.Deadline()
		if len(c.due) > 0 {
			at = min(at, c.due[0].at)
		}
		if at > end {
			c.now = end
			return
		}
		c.now = max(c.now, at)
		if len(c.due) > 0 && c.due[0].at <= c.now {
			do := c.due[0].do
			c.due = c.due[1:]
			do()
			continue
		}
		c.ticks()
	}
}

func (c *court) at(addr string) *player {
	for _, p := range c.players {
		if p.peer.Addr == addr && !p.ended {
			return p
		}
	}
	return nil
}

// deliver brings what the manager sends to whoever is at the address.
func (c *court) deliver(e Envelope) {
	p := c.at(e.To.Addr)
	late := c.trip
	if p != nil {
		late += p.slow
	}
	switch {
	case p == nil || p.mode == refusing:
		c.after(late/2, func() { c.tell(c.m.self, c.m.self, &PeerDown{Peer: e.To, Refused: true}) })
	case p.mode == silent:
	case p.losses > 0 && !(p.pongs && KindOf(e.Body) == KindPing):
		p.losses--
	case p.asleep:
		p.held = append(p.held, e)
	case p.peer.ID != e.To.ID || p.mode == replaced:
		if isRequest(e.Body) {
			r := &Refused{Reason: RefusedOtherNode, Wanted: e.To.ID, What: KindOf(e.Body)}
			if b, ok := e.Body.(*Ping); ok {
				r.Token = b.Token
			}
			from := Peer{1 << 42, p.peer.Addr}
			c.after(late, func() { c.tell(from, c.m.self, r) })
		}
	default:
		c.answer(p, e.Body, late)
	}
}

func (c *court) says(p *player, late time.Duration, b Message) {
	from := p.peer
	c.after(late, func() { c.tell(from, c.m.self, b) })
}

func (c *court) answer(p *player, body Message, late time.Duration) {
	switch b := body.(type) {
	case *Registered:
		p.started = p.started || b.Boot == p.boot
	case *Config:
		p.epochs[b.Group] = b
		if b.Chain[0].ID == p.peer.ID && b.Joining.ID != 0 {
			c.copies(p, b)
		}
	case *Ping:
		p.token = b.Token
		r := &Pong{Nonce: b.Nonce, Token: b.Token, Boot: p.boot, Lag: p.lag}
		for id := range GroupID(len(c.k.groups)) {
			if n := p.epochs[id+1]; n != nil {
				r.Groups = append(r.Groups, GroupEpoch{n.Group, n.Epoch})
				if n.Chain[0].ID == p.peer.ID && n.Joining.ID != 0 {
					if !p.stuck {
						p.chunks++
					}
					r.Join = &JoinProgress{Group: n.Group, Start: n.Start, Keys: p.chunks}
				}
			}
		}
		c.says(p, late, r)
	case *Probe:
		if b.Target.ID == 0 {
			if p.mode != hanging {
				c.says(p, late+p.disk, &ProbeReply{Nonce: b.Nonce})
			}
			return
		}
		switch o := c.at(b.Target.Addr); {
		case o != nil && o.peer.ID == b.Target.ID && c.reaches(p, o):
			c.says(p, late, &ProbeReply{Nonce: b.Nonce})
		case p.deaf[b.Target.ID]:
		case o == nil || o.peer.ID != b.Target.ID || o.mode == refusing || o.mode == replaced:
			c.says(p, late, &ProbeReply{Nonce: b.Nonce, Refused: true})
		}
	}
}

func (c *court) reaches(p, o *player) bool {
	return !p.deaf[o.peer.ID] && (o.near || !o.asleep && (o.mode == well || o.mode == hanging))
}

// copies has a primary bring its group's data to the joining node, if it reaches that.
func (c *court) copies(p *player, b *Config) {
	c.after(c.millis("join", 30, 300, 1200), func() {
		o := c.at(b.Joining.Addr)
		if p.mode == well && !p.asleep && !p.stuck && o != nil && c.reaches(p, o) && p.epochs[b.Group] == b {
			c.tell(p.peer, c.m.self, &CaughtUp{Group: b.Group, Epoch: b.Epoch, Start: b.Start, Node: b.Joining.ID, Token: p.token})
		}
	})
}
