package core

import (
	"fmt"
	"slices"
)

// What a clerk takes in: each message that the manager gets, and each of its ticks.

// hears follows one call of the manager, after it: in is nil for a Tick. It fails if the manager
// did anything else than it has to.
func (k *clerk) hears(now Time, in *Envelope, m *Manager, out *Output) {
	k.asks, k.pinged, k.tokens, k.events, k.orders, k.halts = nil, map[NodeID]uint64{}, map[NodeID]uint64{}, nil, nil, false
	for _, e := range slices.Concat(out.Send, out.After) {
		switch b := e.Body.(type) {
		case *Ping:
			k.pinged[e.To.ID], k.tokens[e.To.ID] = b.Nonce, b.Token
		case *Probe:
			k.asks = append(k.asks, asking{e.To.ID, b.Target.ID, b.Nonce})
		}
	}
	if k.passes(now) {
		k.inquireAnew()
	}
	switch {
	case in == nil:
		k.tick()
	case in.From.ID == m.self.ID:
		k.onSelf(in.Body, m, out)
	case k.node(in.From.ID) == nil || !k.node(in.From.ID).gone:
		k.onMessage(in)
	}
	for id, nonce := range k.pinged { // beside the rounds: a start, or a claim to a place
		if n := k.node(id); n != nil {
			n.pinged, n.token = nonce, k.tokens[id]
			n.sent.note(nonce, k.own)
		}
	}
	k.compare(out)
}

// inquireAnew: after a long stall nothing holds that was asked or proved before.
func (k *clerk) inquireAnew() {
	for _, g := range k.groups {
		if q := g.q; q != nil && !q.decided {
			k.seen["inquiry begun anew"]++
			next := g.next
			k.events = append(k.events, fmt.Sprintf("clears %d of group %d, moved false", q.accused, g.config.Group))
			g.q, g.next = nil, 0
			k.inquire(g, q.accused, q.accuser, nil)
			g.next = next
		}
	}
}

func (k *clerk) tick() {
	k.wake = Never
	if k.own >= k.pingAt {
		k.round()
	}
	for _, g := range k.groups {
		if q := g.q; q != nil && !q.decided {
			if k.due(q.again) {
				k.ask(g)
				k.askAbout(g)
			}
			k.judge(g)
		}
	}
	k.halts = k.due(k.haltAt)
}

func (k *clerk) round() {
	k.pingAt = k.own.After(k.opt.PingInterval)
	for _, n := range k.nodes {
		g := k.of(n.peer.ID)
		if n.gone {
			k.suspect(g, n.peer.ID, 0)
			continue
		}
		nonce := k.pinged[n.peer.ID]
		if nonce == 0 && (g != nil || n.missed < 20) {
			k.fail("node %d is not pinged", n.peer.ID)
		}
		if nonce != 0 {
			if !n.fresh {
				n.missed++
				n.steady = k.own
			}
			n.fresh, n.pinged, n.token = false, nonce, k.tokens[n.peer.ID]
			n.sent.note(nonce, k.own)
			delete(k.pinged, n.peer.ID)
		}
		if k.silent(n) {
			k.suspect(g, n.peer.ID, 0)
		}
	}
	k.askOthers()
	for _, g := range k.groups {
		k.judgeLoss(g)
	}
	k.heal()
}

func (k *clerk) onMessage(in *Envelope) {
	n := k.node(in.From.ID)
	switch b := in.Body.(type) {
	case *Register:
		if n != nil && b.Boot == n.boot && in.From.Addr == n.peer.Addr ||
			n != nil && b.Boot > n.boot && (n.refused != Never || n.other != Never || k.silent(n) && k.own.Since(n.quiet) >= k.opt.LostAfter) {
			k.heard(n)
		}
	case *Pong:
		k.onPong(n, b)
	case *ProbeReply:
		k.onReply(n, b)
	case *Suspect:
		k.onReport(in.From, b)
	case *Refused:
		if n := k.node(b.Wanted); n != nil && !n.gone && in.From.Addr == n.peer.Addr && b.Reason == RefusedOtherNode {
			if b.Token == n.token || n.other != Never {
				k.notThere(n, &n.other)
			}
			k.suspect(k.of(n.peer.ID), n.peer.ID, 0)
		}
	case *Drain:
		if n := k.node(b.Node); n != nil && !n.gone && !(n.draining && k.of(b.Node) == nil) {
			k.awaited[b.Node] = true
			k.drain(n)
		}
	case *CaughtUp:
		if g := k.joins(b.Node); g != nil && g.config.Epoch == b.Epoch && g.config.Start == b.Start && n == k.node(g.config.Chain[0].ID) && b.Token == n.token && !g.changing {
			g.changing = true
			k.orders = append(k.orders, fmt.Sprintf("group %d has %d as a member", g.config.Group, b.Node))
		}
	}
}

func (k *clerk) onPong(n *record, b *Pong) {
	if b.Token != n.token || b.Nonce <= n.answered || b.Nonce > n.pinged {
		return
	}
	n.answered, n.known = b.Nonce, true
	if n.missed >= ruleSilence {
		n.backAt = k.own
	}
	at, known := n.sent.of(b.Nonce)
	if known && (at >= n.backAt || n.trips.mean == 0) {
		n.trips.note(k.own.Since(at))
	}
	if known && k.own.Since(at) <= ruleLate {
		k.answeredNow(n)
	} else {
		k.seen["too late an answer"]++
		k.heard(n)
	}
	if g := k.of(n.peer.ID); g != nil {
		if p := b.Join; p != nil && p.Group == g.config.Group && p.Start == g.config.Start && *p != g.moved {
			g.moved, g.begun = *p, k.own
		}
		if b.Lag > k.opt.ProbeTimeout {
			k.suspect(g, n.peer.ID, 0)
		}
	}
}

// onReply: a proof, a member's word, or that of another.
func (k *clerk) onReply(n *record, b *ProbeReply) {
	g := k.of(n.peer.ID)
	if g != nil && g.q != nil && !g.q.decided && b.Nonce == g.q.question {
		if s := g.q.shown[n.peer.ID]; s.proof == answerOpen {
			s.proof, n.provedAt = answerYes, k.own
			k.answeredNow(n)
		}
		k.judge(g)
		return
	}
	for _, g := range k.groups {
		if q := g.q; q != nil && !q.decided && q.accused != n.peer.ID {
			if s := q.shown[n.peer.ID]; s != nil && s.open == b.Nonce && b.Nonce != 0 {
				if b.Refused {
					k.node(q.accused).told = k.own
					k.word1(q, n.peer.ID, answerNo)
				} else {
					k.word1(q, n.peer.ID, answerYes)
				}
				k.judge(g)
				return
			}
		}
	}
	for _, o := range k.nodes {
		if o.question == b.Nonce && b.Nonce != 0 {
			if o.question = 0; b.Refused {
				o.told = k.own
			} else {
				o.reached = k.own
			}
			return
		}
	}
}

// word1 takes a node's word about the accused.
func (k *clerk) word1(q *hearing, from NodeID, says answer) {
	if s := q.shown[from]; s != nil && from != q.accused {
		s.says, s.open = says, 0
		q.moved = q.moved || from == q.accuser && says == answerYes
	}
}

func (k *clerk) onReport(from Peer, b *Suspect) {
	if int(b.Group) > len(k.groups) {
		return
	}
	g, n := k.groups[b.Group-1], k.node(b.Node)
	c := g.config
	primary := from.ID == c.Chain[0].ID && b.Token == k.node(from.ID).token
	switch {
	case c.Epoch != b.Epoch:
	case c.Joining.ID == b.Node && primary:
		k.endJoin(g)
	case c.Position(b.Node) < 0:
	case from.ID == b.Node && b.Token == n.token:
		k.suspect(g, b.Node, 0)
		if q := g.q; q != nil && !q.decided && q.accused == b.Node {
			q.shown[b.Node].proof, q.shown[b.Node].resigned = answerNo, true
			k.judge(g)
		}
	default:
		if b.Refused {
			n.told = k.own
		} else {
			n.missedBy = k.own
		}
		if primary {
			k.suspect(g, b.Node, from.ID)
		} else if k.own.Since(n.provedAt) >= k.opt.PingInterval { // else it has just proved that it works
			k.suspect(g, b.Node, 0)
		}
		if q := g.q; b.Refused && q != nil && q.accused == b.Node {
			k.word1(q, from.ID, answerNo)
			k.judge(g)
		}
	}
}

// onSelf: the driver's hints, and commands that are applied.
func (k *clerk) onSelf(body Message, m *Manager, out *Output) {
	switch b := body.(type) {
	case *PeerDown:
		n := k.node(b.Peer.ID)
		if n == nil || n.gone || n.peer.Addr != b.Peer.Addr {
			return
		}
		g := k.of(n.peer.ID)
		if b.Refused {
			if k.opt.Durable {
				n.other = Never
			}
			k.notThere(n, &n.refused)
		} else if g != nil && g.q != nil && !g.q.decided {
			if s := g.q.shown[n.peer.ID]; s.proof == answerOpen && !s.hurried {
				s.hurried = true
				k.proof(g.q, n.peer.ID)
			}
		}
		k.suspect(g, n.peer.ID, 0)
	case *Committed:
		k.onCommand(&b.Command, m, out)
	}
}

func (k *clerk) onCommand(c *Command, m *Manager, out *Output) {
	n := k.node(c.Node.ID)
	switch c.Kind {
	case CommandRegister:
		k.onStart(c)
	case CommandDrain:
		n.deciding = false
		if g := k.of(n.peer.ID); !n.gone && !n.draining {
			n.draining, n.drained = true, k.own
			if g != nil && !k.mayDrain(g) {
				k.letStay(n)
			}
		}
	case CommandStay:
		n.deciding = false
		switch member := k.of(n.peer.ID) != nil; {
		case n.gone || n.draining && !member:
		case member:
			n.draining = false
			delete(k.awaited, n.peer.ID)
		case k.awaited[n.peer.ID]:
			k.drain(n)
		}
	case CommandGone:
		if !n.gone {
			n.gone = true
			g := k.of(n.peer.ID)
			k.suspect(g, n.peer.ID, 0)
			if g != nil {
				k.judgeLoss(g)
			}
		}
	case CommandJoin, CommandMember, CommandReconfigure:
		g := k.groups[c.Group-1]
		g.changing = false
		if n != nil {
			n.reserved = false
		}
		if c.Kind == CommandMember || len(c.Remove) > 0 {
			g.doubts = 0
		}
		if g.config.Epoch != c.Epoch {
			return
		}
		switch {
		case c.Kind == CommandMember:
			delete(g.failed, c.Node.ID)
		case c.Kind == CommandJoin && n != nil:
			g.begun, g.moved = k.own, JoinProgress{}
		}
	}
	for i := range m.Groups() { // the Directory has tests of its own
		if i == len(k.groups) {
			k.groups = append(k.groups, &docket{failed: map[NodeID]Time{}, begun: k.own})
		}
		if now := m.Config(GroupID(i + 1)); k.groups[i].config == nil || k.groups[i].config.Epoch != now.Epoch {
			k.groups[i].config, k.groups[i].q, k.groups[i].next = now, nil, 0
		}
	}
	if c.Kind == CommandReconfigure && m.Config(c.Group).Epoch == c.Epoch+1 {
		for _, id := range c.Remove {
			out := k.node(id)
			out.backAt = k.own
			if !out.draining {
				k.quarantine(out)
				k.groups[c.Group-1].failed[id] = k.own
			}
		}
	}
	k.settleDrains()
}

// onStart: what was known of the node's answers is of before, and what it was asked went to nobody.
func (k *clerk) onStart(c *Command) {
	n := k.node(c.Node.ID)
	if n == nil {
		n = &record{peer: c.Node.Peer, quiet: k.own, steady: k.own, fresh: true, token: noToken, provedAt: longAgo, backAt: longAgo, answeredAt: longAgo}
		*n = n.without()
		for _, o := range k.nodes {
			o.replaced = o.replaced || o.peer.Addr == n.peer.Addr && !o.gone
		}
		k.nodes = append(k.nodes, n)
	}
	if n.gone {
		return
	}
	if n.peer.Addr != c.Node.Addr {
		n.token, n.known = noToken, false
	}
	if c.Node.Boot > n.boot {
		n.replaced, n.draining = false, false
	}
	anew := c.Node.Boot > n.boot
	n.peer, n.boot = c.Node.Peer, max(n.boot, c.Node.Boot)
	n.since, n.trips = k.own, tripRecord{}
	if g := k.of(n.peer.ID); g != nil && g.q != nil && !g.q.decided {
		if s := g.q.shown[n.peer.ID]; s.proof == answerOpen {
			s.since, s.hurried = k.own, false
		}
	}
	k.answeredNow(n)
	if k.awaited[n.peer.ID] && anew { // its start has ended the drain
		k.drain(n)
	}
}

// compare holds what the manager did in this call against what it has to.
func (k *clerk) compare(out *Output) {
	var events, orders []string
	for _, e := range out.Events {
		switch by := "somebody"; e.Kind {
		case EventProbing:
			if e.Effect {
				by = "its primary"
			}
			events = append(events, fmt.Sprintf("inquires into %d of group %d, for %s", e.Node, e.Group, by))
		case EventCleared:
			events = append(events, fmt.Sprintf("clears %d of group %d, moved %t", e.Node, e.Group, e.Effect))
		case EventLost:
			events = append(events, fmt.Sprintf("group %d is lost, for certain %t", e.Group, e.Effect))
		case EventWithdrawn:
			events = append(events, fmt.Sprintf("withdraws the loss of group %d", e.Group))
		case EventQuarantined:
			events = append(events, fmt.Sprintf("puts %d in quarantine", e.Node))
		}
	}
	for _, e := range out.After {
		b, ok := e.Body.(*Committed)
		if !ok {
			continue
		}
		switch c := &b.Command; {
		case c.Kind == CommandReconfigure && len(c.Remove) > 0:
			orders = append(orders, fmt.Sprintf("group %d without %v", c.Group, c.Remove))
		case c.Kind == CommandReconfigure:
			orders = append(orders, fmt.Sprintf("group %d again", c.Group))
		case c.Kind == CommandJoin && c.Node.ID == 0:
			orders = append(orders, fmt.Sprintf("group %d has nobody join", c.Group))
		case c.Kind == CommandJoin:
			orders = append(orders, fmt.Sprintf("group %d has %d join", c.Group, c.Node.ID))
		case c.Kind == CommandDrain:
			orders = append(orders, fmt.Sprintf("drains %d", c.Node.ID))
		case c.Kind == CommandStay:
			orders = append(orders, fmt.Sprintf("%d stays", c.Node.ID))
		case c.Kind == CommandMember:
			orders = append(orders, fmt.Sprintf("group %d has %d as a member", c.Group, c.Node.ID))
		}
	}
	if !slices.Equal(events, k.events) {
		k.fail("it has to tell %q, and tells %q", k.events, events)
	}
	if !slices.Equal(orders, k.orders) {
		k.fail("it has to decide %q, and decides %q", k.orders, orders)
	}
	if len(k.asks) > 0 {
		k.fail("it asks for nothing: %v", k.asks)
	}
	if (out.Halt != nil) != k.halts {
		k.fail("it halts: %v, and has to: %t", out.Halt, k.halts)
	}
}

// looksAgain checks that the manager is to be called when anything is due.
func (k *clerk) looksAgain(deadline Time) {
	if at := k.driver.After(min(k.wake, k.pingAt, k.haltAt).Since(k.own)); deadline > at {
		k.fail("it looks again %v from now, and has to %v from now", deadline.Since(k.driver), at.Since(k.driver))
	}
}
