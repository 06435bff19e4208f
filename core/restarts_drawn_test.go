package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A desk is where a durable manager is started again and again: over what the last start left,
// over a copy of an earlier time, beside another one, with other terms, and with other placements.
// Its nodes answer, and remember what they have seen of the Directory. What they must say, and
// what the manager must make of it (manager 7), is noted beside it.
type desk struct {
	*rapid.T
	now   Time
	nodes []*witness
	late  time.Duration // of the answers
	first Placement
	seq   uint64
}

// witness is a node, and what is to be expected of it.
type witness struct {
	peer   Peer
	seen   directorySeen
	epochs map[GroupID]Epoch
	silent bool
	hangs  bool // it answers pings, and never proves that it works

	boot  Boot   // of the last start of the manager that it has heard
	start uint64 // that start
	index Index  // the highest that it was told
}

// post is one start of the manager.
type post struct {
	m     *Manager
	o     ManagerOptions
	space rigSpace
	out   Output
	late  []lateAnswer
	boot  Boot
	began Index
	halt  error
	must  bool // it has to halt: a node that it hears of knows more, or knows another start
}

// TestAManagerThatStartsAgain: it halts if and only if one of its nodes knows something that it lacks,
// or has heard another start that counts as many; it takes no other placement; and it gives its
// groups its terms, a few at a time, each once, and none amid an inquiry.
func TestAManagerThatStartsAgain(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := &desk{T: r, now: rigOrigin, late: rapid.SampledFrom([]time.Duration{0, 1, 30, 120}).Draw(r, "late") * time.Millisecond}
		copies := []rigSpace{{}}
		f.first = rapid.SampledFrom([]Placement{0, 64}).Draw(r, "placement")
		for range rapid.SampledFrom([]int{1, 2, 5, 5, 5, 34}).Draw(r, "nodes") {
			id := NodeID(len(f.nodes) + 1)
			f.nodes = append(f.nodes, &witness{peer: Peer{id, fmt.Sprintf("n%d", id)}, epochs: map[GroupID]Epoch{}})
		}
		for range rapid.SampledFrom([]int{2, 3, 6}).Draw(r, "starts") {
			at := len(copies) - 1
			if at > 0 && rapid.Bool().Draw(r, "older") {
				at = rapid.IntRange(1, at).Draw(r, "copy")
			}
			p := f.begins(copies[at])
			if p == nil {
				continue
			}
			var q *post
			if rapid.IntRange(0, 5).Draw(r, "two") == 0 && len(copies) > 1 {
				q = f.begins(copies[at])
			}
			for range rapid.SampledFrom([]int{1, 2, 5, 9}).Draw(r, "steps") {
				f.happens(p)
				if q != nil {
					f.happens(q)
				}
				if p.halt == nil && rapid.Bool().Draw(r, "copied") {
					copies = append(copies, maps.Clone(p.space))
				}
			}
			f.settles(p)
			copies = append(copies, p.space)
		}
	})
}

// begins starts a manager over a copy of a space; nil if it must not start with what was drawn.
func (f *desk) begins(space rigSpace) *post {
	o := DefaultManagerOptions()
	o.Self, o.Cluster, o.Durable, o.HaltOnLoss, o.Replicas = peerOf("m"), rigCluster, true, false, 0
	f.seq++
	o.Seed[0] = byte(f.seq)
	o.Placement = f.first
	if len(space) > 0 {
		o.Placement = rapid.SampledFrom([]Placement{f.first, 0, 0, 64, 128}).Draw(f.T, "asked for")
	}
	if rapid.IntRange(0, 1).Draw(f.T, "leases") == 1 {
		o.Reads, o.Lease = ReadLease, rapid.SampledFrom([]time.Duration{1, 2}).Draw(f.T, "lease")*time.Second
	}
	o.CommandsKeep = rapid.SampledFrom([]int{1, 7, 256}).Draw(f.T, "keep")
	p := &post{o: o, space: maps.Clone(space)}
	m, err := NewManager(o, p.space)
	placed := f.first
	if placed == 0 {
		placed = PlacementKey
	}
	if other := len(space) > 0 && o.Placement != 0 && o.Placement != placed; other || err != nil {
		if !other || !errors.Is(err, ErrPlacement) {
			f.Fatalf("it was made with %v, is started with %v, and says: %v", placed, o.Placement, err)
		}
		return nil
	}
	if m.Placement() != placed {
		f.Fatalf("it was made with %v, and goes on with %v", placed, m.Placement())
	}
	if every := rapid.IntRange(0, 3).Draw(f.T, "hang"); every > 0 {
		for i, n := range f.nodes {
			n.hangs = i%every == 0
		}
	}
	p.m, p.began = m, m.Index()
	f.run(p, 0)
	if len(space) == 0 {
		for _, n := range f.nodes {
			f.step(p, Envelope{From: n.peer, To: Peer{Addr: "m"}, Body: &Register{Boot: 1, Durable: true}})
		}
	}
	return p
}

// happens: keys are put, nodes fall silent or hang, are reported, and time passes.
func (f *desk) happens(p *post) {
	for range rapid.SampledFrom([]int{0, 1, 5, 34}).Draw(f.T, "keys") {
		f.seq++
		f.step(p, Envelope{From: peerOf("c1"), To: Peer{Addr: "m"}, Body: &Lookup{Req: f.seq, Key: fmt.Sprint("k", f.seq), Create: true}})
	}
	n := rapid.SampledFrom(f.nodes).Draw(f.T, "who")
	switch rapid.IntRange(0, 5).Draw(f.T, "what") {
	case 0:
		n.silent = true
	case 1:
		n.hangs = true
	case 2:
		n.silent, n.hangs = false, false
	}
	for range rapid.SampledFrom([]int{0, 1, 8}).Draw(f.T, "reports") {
		if p.halt != nil || p.m.Groups() == 0 {
			break
		}
		c := p.m.Config(GroupID(rapid.IntRange(1, p.m.Groups()).Draw(f.T, "group")))
		f.step(p, Envelope{Cluster: rigCluster, From: peerOf("c1"), To: p.m.self, Body: &Suspect{Group: c.Group, Epoch: c.Epoch, Node: c.Chain[0].ID}})
	}
	f.run(p, rapid.SampledFrom([]time.Duration{0, 1, 10, 50, 150, 400}).Draw(f.T, "passes")*time.Millisecond)
}

// settles has all nodes answer for a while: by then the manager has halted, or every group has its terms.
func (f *desk) settles(p *post) {
	for _, n := range f.nodes {
		n.silent, n.hangs = false, false
	}
	f.run(p, 1500*time.Millisecond)
	if (p.halt != nil) != p.must {
		f.Fatalf("boot %d, which began at index %d, has to halt: %t; it says: %v", p.boot, p.began, p.must, p.halt)
	}
	for i := range p.m.Groups() {
		if c := p.m.Config(GroupID(i + 1)); p.halt == nil && c.Terms() != p.m.Terms() {
			f.Fatalf("group %d still has the terms %+v", c.Group, c.Terms())
		}
	}
}

func (f *desk) step(p *post, e Envelope) {
	if p.halt == nil {
		p.m.Step(f.now, e, &p.out)
		f.carryOut(p, 0)
	}
}

// run lets d pass.
func (f *desk) run(p *post, d time.Duration) {
	for end := f.now.After(d); p.halt == nil; {
		at := p.m.Deadline()
		if len(p.late) > 0 {
			at = min(at, p.late[0].at)
		}
		if at > end {
			f.now = end
			return
		}
		f.now = max(f.now, at)
		if len(p.late) > 0 && p.late[0].at <= f.now {
			e := p.late[0].e
			p.late = p.late[1:]
			f.step(p, e)
			continue
		}
		p.m.Tick(f.now, &p.out)
		f.carryOut(p, 0)
	}
}

// carryOut does what the manager wants, and checks what it gives other terms.
func (f *desk) carryOut(p *post, terms int) {
	p.halt = p.out.Halt
	p.space.write(p.out.Persist)
	sent := slices.Concat(p.out.Send, p.out.After)
	p.out.Reset()
	for _, e := range sent {
		b, ok := e.Body.(*Committed)
		if !ok || b.Command.Kind != CommandTerms {
			continue
		}
		c := p.m.Config(b.Command.Group)
		primary := f.nodes[c.Chain[0].ID-1]
		if terms++; terms > 16 {
			f.Fatalf("%d groups get other terms at once", terms)
		}
		if p.m.Inquiring(c.Group) || c.Terms() == p.m.Terms() || primary.boot != p.boot {
			f.Fatalf("group %d gets other terms: inquired into %t, has %+v, its primary has answered %t", c.Group, p.m.Inquiring(c.Group), c.Terms(), primary.boot == p.boot)
		}
	}
	for _, e := range sent {
		switch {
		case p.halt != nil:
		case e.To.ID == p.m.self.ID:
			p.m.Step(f.now, e, &p.out)
			f.carryOut(p, 0)
		case int(e.To.ID) <= len(f.nodes):
			f.answer(p, f.nodes[e.To.ID-1], e.Body)
		}
	}
}

// answer is what a node says, and what comes of it.
func (f *desk) answer(p *post, n *witness, body Message) {
	if n.silent {
		return
	}
	var reply Message
	switch b := body.(type) {
	case *Config:
		n.epochs[b.Group] = max(n.epochs[b.Group], b.Epoch)
	case *Probe:
		if b.Target.ID == 0 && !n.hangs {
			reply = &ProbeReply{Nonce: b.Nonce}
		}
	case *Ping:
		p.boot = b.Boot
		f.expect(p, n, b)
		least, ok := n.seen.hear(b)
		if reply = (Message)(&Refused{Reason: RefusedBoot, Wanted: n.peer.ID, What: KindPing, Token: b.Token}); ok {
			pong := &Pong{Nonce: b.Nonce, Token: b.Token, Boot: 1, Index: least}
			for _, g := range slices.Sorted(maps.Keys(n.epochs)) {
				pong.Groups = append(pong.Groups, GroupEpoch{g, n.epochs[g]})
			}
			reply = pong
		}
	}
	if reply != nil {
		p.late = append(p.late, lateAnswer{f.now.After(f.late), Envelope{rigCluster, n.peer, p.m.self, reply}})
	}
}

// expect: a start that a node knows to lack something has to halt, and so has one that counts no more
// than another that the node has heard.
func (f *desk) expect(p *post, n *witness, b *Ping) {
	for g, e := range n.epochs {
		p.must = p.must || int(g) > p.m.Groups() || p.m.Config(g).Epoch < e
	}
	switch {
	case b.Boot == n.boot && b.Start == n.start:
		n.index = max(n.index, b.Index)
	case b.Boot <= n.boot, p.began < n.index:
		p.must = true
	default:
		n.boot, n.start, n.index = b.Boot, b.Start, max(n.index, b.Index)
	}
}
