package core

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What is drawn to happen to a court.

// TestAManagerConcludesWhatItHeard draws who answers a manager, when, and who reaches whom, and what
// is reported to it, and has a clerk say what it has to conclude. So each removal, each question
// and each loss has its cause, none that is due is left out, and none comes late.
func TestAManagerConcludesWhatItHeard(t *testing.T) {
	seen := map[string]int{}
	for range 4 {
		rapid.Check(t, func(r *rapid.T) { hold(r, seen) })
	}
	for _, what := range []string{"silent to all", "ended", "vouched for, and goes", "moved", "resigned", "nobody would stay", "witness outside", "proof lapsed", "too late an answer", "recruits"} {
		if seen[what] == 0 {
			t.Errorf("of what is drawn nothing comes to this any more: %s", what)
		}
	}
}

// hold draws what happens to one court.
func hold(r *rapid.T, seen map[string]int) {
	c := &court{T: r}
	c.opens(seen)
	for range rapid.IntRange(1, 14).Draw(r, "acts") {
		c.act()
		c.run(c.millis("pause", 0, 1, 30, 100, 250, 400, 700, 1300, 2500))
	}
	c.run(c.millis("end", 100, 3000, 8000))
	if c.number("long", 0, 9) == 0 {
		c.run(30 * time.Second)
	}
}

// one draws a node, a member more often than not.
func (c *court) one(label string) *player {
	if c.number(label+" is a member", 0, 4) > 0 && len(c.k.groups) > 0 {
		g := c.k.groups[c.number(label+"'s group", 0, len(c.k.groups)-1)].config
		id := g.Chain[c.number(label+"'s place", 0, len(g.Chain)-1)].ID
		for _, p := range c.players {
			if p.peer.ID == id {
				return p
			}
		}
	}
	return c.players[c.number(label, 0, len(c.players)-1)]
}

func (c *court) act() {
	p := c.one("who")
	act := rapid.SampledFrom([]string{
		"ail", "ail", "ail", "sleep", "sleep", "wake", "well", "well", "cut", "cut", "join", "client", "client", "primary", "primary", "primary", "resign",
		"hint", "stall", "stall", "stalls", "slow", "lose", "restart", "restart", "forget", "lag", "late", "stuck", "quiet", "odds", "odds", "odds", "odds", "apart", "apart", "returns", "gone", "gone", "drain", "drain", "leaves",
	}).Draw(c.T, "act")
	c.note("%s %v", act, p.peer)
	switch act {
	case "ail":
		p.mode, p.near = rapid.SampledFrom([]health{silent, refusing, hanging, replaced}).Draw(c.T, "mode"), c.number("near", 0, 2) == 0
	case "sleep":
		p.asleep, p.near = true, false
	case "wake":
		c.wake(p)
	case "well", "quiet":
		for _, p := range c.players {
			p.mode, p.near, p.deaf, p.slow, p.disk, p.lag, p.stuck = well, false, map[NodeID]bool{}, 0, 0, 0, false
			if act == "quiet" {
				p.mode = silent
			}
			c.wake(p)
		}
	case "cut":
		o := c.one("from whom")
		p.deaf[o.peer.ID] = !p.deaf[o.peer.ID]
		if c.number("both ways", 0, 1) == 0 {
			o.deaf[p.peer.ID] = p.deaf[o.peer.ID]
		}
	case "join": // nobody is there to reach it
		p.deaf[p.peer.ID] = true
	case "client", "primary", "resign":
		c.report(p, act)
	case "hint":
		at := p.peer
		if c.number("elsewhere", 0, 2) == 0 {
			at.Addr = "elsewhere"
		}
		c.tell(c.m.self, c.m.self, &PeerDown{Peer: at, Refused: c.number("refused", 0, 1) == 0})
	case "stall":
		c.now = c.now.After(c.millis("stall", 90, 150, 400, 1900, 2500, 3_600_000))
	case "stalls": // again and again
		each := c.millis("stall", 101, 150, 400, 1900)
		for range c.number("stalls", 5, 60) {
			c.now = c.now.After(each)
			c.run(0)
		}
	case "odds": // it and its primary do not reach each other, and others perhaps neither
		c.odds(p)
	case "apart": // the manager alone does not reach it
		p.mode, p.near = silent, true
		if c.number("complains", 0, 1) == 0 {
			c.odds(p)
		}
	case "returns": // the same, and then it is well, or is started again; what its primary waits for moves for a while
		c.returns(p)
	case "gone":
		c.gone(p)
	case "slow":
		p.slow, p.disk = c.millis("slow", 0, 60, 200, 500, 2100), c.millis("disk", 0, 100, 500, 900)
	case "lose":
		p.losses, p.pongs = c.number("losses", 1, 20), c.number("pings get through", 0, 1) == 0
	case "restart":
		c.restart(p)
	case "forget":
		if c.number("really", 0, 3) == 0 {
			c.tell(Peer{1 << 41, "c"}, c.m.self, &Forget{Req: uint64(len(c.log)), Node: p.peer.ID})
		}
	case "drain":
		c.tell(Peer{1 << 41, "c"}, c.m.self, &Drain{Req: uint64(len(c.log)), Node: p.peer.ID})
	case "leaves": // the primary is drained, and the one to follow it moves meanwhile
		if g := c.k.of(p.peer.ID); g != nil && len(g.config.Chain) > 1 && c.opt.Durable {
			c.tell(Peer{1 << 41, "c"}, c.m.self, &Drain{Req: uint64(len(c.log)), Node: g.config.Chain[0].ID})
			if o := c.at(g.config.Chain[1].Addr); o != nil {
				c.after(c.millis("moves after", 0, 100, 400, 1000), func() {
					o.slow = c.opt.LostAfter / 3
					c.restart(o)
				})
			}
		}
	case "lag":
		p.lag = c.millis("lag", 0, 300, 900)
	case "late": // an answer comes a second time
		c.says(p, c.millis("later", 0, 100, 1000), &Pong{Nonce: c.k.lastOf(p.peer.ID), Token: p.token, Boot: p.boot})
	case "stuck":
		p.stuck = !p.stuck
	}
}

// odds cuts a member off from its primary, which reports it again and again, and perhaps from others.
func (c *court) odds(p *player) {
	g := c.k.of(p.peer.ID)
	if g == nil {
		return
	}
	for i, m := range g.config.Chain {
		for _, o := range c.players {
			if o.peer.ID == m.ID && (i == 0 || c.number("reaches it", 0, 1) == 0) {
				o.deaf[p.peer.ID] = true
				if mends := c.millis("mends", 1e6, 700, 1800, 2500); i == 0 { // for a while
					c.after(mends, func() { o.deaf[p.peer.ID] = false })
					c.after(mends+c.millis("breaks", 200, 600, 1500), func() { o.deaf[p.peer.ID] = true })
				}
			}
		}
	}
	ends := c.millis("ends", 700, 2500, 6000, 9000)
	var complain func()
	complain = func() {
		now := c.k.groups[g.config.Group-1].config
		for _, o := range c.players {
			if o.peer.ID == now.Chain[0].ID && o != p && now.Position(p.peer.ID) > 0 && !o.asleep && o.mode != silent {
				c.tell(o.peer, c.m.self, &Suspect{Group: now.Group, Epoch: now.Epoch, Node: p.peer.ID, Token: o.token})
			}
		}
		if ends -= 130 * time.Millisecond; ends > 0 {
			c.after(130*time.Millisecond, complain)
		}
	}
	complain()
	c.run(c.millis("goes on", 0, 1000, 6000))
}

// returns has a member be silent to the manager alone for a while, and its primary report it.
func (c *court) returns(p *player) {
	g := c.k.of(p.peer.ID)
	if g == nil {
		return
	}
	p.mode, p.near = silent, true
	for _, o := range c.players {
		if o.peer.ID == g.config.Chain[0].ID && o != p {
			report := func() {
				c.tell(o.peer, c.m.self, &Suspect{Group: g.config.Group, Epoch: g.config.Epoch, Node: p.peer.ID, Token: o.token})
			}
			c.after(c.millis("reported", 0, 300, 1500), report)
			c.after(c.millis("until", 100, 400, 3000), func() { o.deaf[p.peer.ID] = true })
		}
	}
	again, down := c.opt.Durable && c.number("again", 0, 1) == 0, c.number("down", 0, 1) == 0
	c.after(c.millis("back", 500, 900, 1600, 1900), func() {
		if down {
			c.tell(c.m.self, c.m.self, &PeerDown{Peer: p.peer, Refused: true})
		}
		if p.mode = well; again {
			c.restart(p)
		}
	})
}

// gone has nobody be left of a group, in one way or another, and others say so.
func (c *court) gone(p *player) {
	g := c.k.of(p.peer.ID)
	if g == nil {
		return
	}
	way, later := rapid.SampledFrom([]health{silent, refusing, replaced, well}).Draw(c.T, "way"), c.millis("later", 300, 1500, 1e6)
	for _, m := range g.config.Chain {
		o := c.at(m.Addr)
		if o == nil || o.peer.ID != m.ID {
			continue
		}
		if o.mode = way; way == well { // a new node has its place
			o.ended = true
			o = c.starts(m.Addr)
		}
		if way != silent {
			c.after(later, func() { o.mode = refusing })
		}
		if c.number("told", 0, 2) > 0 {
			b := &Suspect{Group: g.config.Group, Epoch: g.config.Epoch, Node: m.ID, Refused: c.number("refused", 0, 1) == 0}
			for i := range 8 {
				c.after(time.Duration(1+i)*c.opt.LostAfter/3, func() { c.tell(Peer{1 << 41, "c"}, c.m.self, b) })
			}
		}
	}
	c.run(c.millis("lasts", 1000, 2500, 5000))
	if way == silent && c.number("for long", 0, 2) == 0 {
		c.run(11 * c.opt.LostAfter)
	}
	if o := c.at(g.config.Chain[0].Addr); o != nil && c.number("comes back", 0, 2) == 0 {
		o.mode = well
	}
}

func (k *clerk) lastOf(id NodeID) uint64 {
	if n := k.node(id); n != nil {
		return max(n.answered, 1)
	}
	return 1
}

func (c *court) wake(p *player) {
	held := p.held
	p.asleep, p.held = false, nil
	for _, e := range held {
		c.deliver(e)
	}
}

// report has a client, the primary, another member or the member itself report it, once or again and
// again.
func (c *court) report(p *player, who string) {
	g := c.k.of(p.peer.ID)
	if g == nil {
		g = c.k.joins(p.peer.ID)
	}
	if g == nil {
		return
	}
	if j := g.config.Joining; j.ID != 0 && who != "resign" && c.number("who joins", 0, 1) == 0 {
		if o := c.at(j.Addr); o != nil && o.peer.ID == j.ID {
			p = o
		}
	}
	epoch := g.config.Epoch
	if c.number("epoch", 0, 4) == 0 {
		epoch = max(1, epoch-1)
	}
	from, token := Peer{1 << 41, "c"}, uint64(0)
	switch q := c.k.groups[g.config.Group-1].config.Chain[0].ID; who {
	case "primary":
		for _, o := range c.players {
			if o.peer.ID == q {
				from, token = o.peer, o.token
			}
		}
	case "resign":
		from, token = p.peer, p.token
	}
	b := &Suspect{Group: g.config.Group, Epoch: epoch, Node: p.peer.ID, Refused: c.number("refused", 0, 2) == 0, Token: token}
	times, each := rapid.SampledFrom([]int{1, 2, 6, 15}).Draw(c.T, "times"), c.millis("each", 10, 100, 300)
	for i := range times {
		c.after(time.Duration(i)*each, func() { c.tell(from, c.m.self, b) })
	}
}

// restart ends a node's process and starts another: in memory mode that is another node. A durable
// one may be somewhere else then.
func (c *court) restart(p *player) {
	if p.ended {
		return
	}
	if !c.opt.Durable {
		p.ended = true
		c.starts(p.peer.Addr)
		return
	}
	p.boot++
	c.wake(p)
	p.mode, p.lag = well, 0
	if c.number("moves", 0, 3) == 0 {
		p.peer.Addr = fmt.Sprintf("n%d.%d", p.peer.ID, p.boot)
		if c.number("another is there", 0, 1) == 0 {
			c.starts(fmt.Sprintf("n%d", p.peer.ID))
		}
	}
	c.after(c.millis("takes", 0, 100, 1000), func() { c.registers(p) })
}
