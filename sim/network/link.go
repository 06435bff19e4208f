package network

import (
	"slices"

	"gtstore/core"
	"gtstore/sim/splitmix"
)

// link is the state of one direction between two hosts.
type link struct {
	cut     bool
	clogged bool          // what is sent is held back
	held    []message     // and that is what, in order
	talked  bool          // the two processes have exchanged a message: they have a connection
	pending []core.NodeID // nodes at the from end about which a PeerDown is on its way to the other
	rates   int16         // index into rules; 0 for none
	stream  int32         // index into streams; 0 for none
}

// Rates is how unreliable a flaky link is, in permille.
type Rates struct {
	Drop, Duplicate, Delay, Corrupt uint64
	DelayMax                        int64
}

// Connected reports that messages pass between the two both ways.
func (n *Network) Connected(a, b int) bool {
	return n.Passes(a, b) && n.Passes(b, a)
}

// Passes tells whether messages pass on a link.
func (n *Network) Passes(from, to int) bool {
	l := n.link(from, to)
	return !l.cut && !l.clogged
}

// Talk notes that a message was taken in: the two processes have a connection.
func (n *Network) Talk(from, to int) { n.link(from, to).talked, n.link(to, from).talked = true, true }

// Talked reports that there is a connection, over which one learns of the other's end.
func (n *Network) Talked(a, b int) bool {
	return n.used(a, b) && n.link(a, b).talked && n.Connected(a, b)
}

// TellDown decides when a host learns that a node at another host, or the connection to
// it, is gone: one latency from now. For each node, only one such news is on its way at
// a time, so a host that floods a dead one learns of it once per latency, as from a
// connection. TellDown returns false when the news is on its way already.
func (n *Network) TellDown(now int64, about, to int, id core.NodeID) (at int64, tie uint32, ok bool) {
	l := n.link(about, to)
	if slices.Contains(l.pending, id) {
		return 0, 0, false
	}
	l.pending = append(l.pending, id)
	s := n.slot(about, to, core.KindPeerDown)
	s.count++
	draw := n.draw(about, to, core.KindPeerDown, s.count)
	at = now + n.latency(draw)
	return at, n.Tie(draw, to, at), true
}

// ToldDown notes that the news has come.
func (n *Network) ToldDown(about, to int, id core.NodeID) {
	l := n.link(about, to)
	l.pending = slices.DeleteFunc(l.pending, func(other core.NodeID) bool { return other == id })
}

// Forget ends all connections of a host, at which a process now starts.
func (n *Network) Forget(h int) {
	forget := func(from, to int, l *link) {
		if l.talked = false; to == h {
			l.pending = l.pending[:0]
		}
		n.disconnect(l)
	}
	for _, p := range n.hosts[h].near {
		forget(p.from, p.to, &p.link)
	}
	if n.far == nil {
		for other := range n.hosts {
			forget(other, h, n.link(other, h))
			forget(h, other, n.link(h, other))
		}
	}
}

// Reset breaks what connection there is between two hosts.
func (n *Network) Reset(now int64, a, b int) []Decision {
	n.begin()
	n.Disconnect(a, b)
	n.dropHeld(now, a, b)
	n.dropHeld(now, b, a)
	n.ledger.Link(a, b, now)
	n.ledger.Link(b, a, now)
	return n.decided
}

// Cut lets no message pass on a link from now on. It tells, as do the others that
// break something, whether that changes anything.
func (n *Network) Cut(now int64, from, to int) bool {
	if from == to || n.link(from, to).cut {
		return false
	}
	n.link(from, to).cut = true
	n.ledger.Link(from, to, now)
	return true
}

// Clog holds back what is sent on a link from now on.
func (n *Network) Clog(now int64, from, to int) bool {
	if from == to || n.link(from, to).clogged {
		return false
	}
	n.link(from, to).clogged = true
	n.ledger.Link(from, to, now)
	return true
}

// Unclog lets arrive what was held back on a link, in some order unless the link
// is a stream, as if it had been sent now.
func (n *Network) Unclog(now int64, from, to int) (changed bool, d []Decision) {
	n.begin()
	changed = n.unclog(now, from, to)
	return changed, n.decided
}

func (n *Network) unclog(now int64, from, to int) bool {
	l := n.link(from, to)
	if !l.clogged {
		return false
	}
	l.clogged = false
	n.ledger.Link(from, to, now)
	for _, m := range l.held {
		m.draw, m.delay = splitmix.Mix(n.seed, m.number), 0
		if l.stream != 0 {
			n.pass(now, to, &n.streams[l.stream], m)
			continue
		}
		at := now + n.latency(m.draw) + n.hosts[to].slow
		n.decided = append(n.decided, Decision{What: Arrive, Slot: m.slot, At: at, Tie: n.Tie(m.draw, to, at)})
	}
	l.held = l.held[:0]
	return true
}

// MakeFlaky sets how unreliable some links are from now on; without rates they are
// reliable again.
func (n *Network) MakeFlaky(now int64, links [][2]int, r Rates) {
	rule := int16(0)
	if r.Drop|r.Duplicate|r.Delay|r.Corrupt != 0 {
		rule = int16(len(n.rules))
		n.rules = append(n.rules, r)
	}
	for _, l := range links {
		n.link(l[0], l[1]).rates = rule
		n.ledger.Link(l[0], l[1], now)
	}
}

// Heal ends all cuts, clogs, flaky and lossy links, stalls and mutes, and reports
// whether there were any. The links that stay broken keep their cuts and clogs.
func (n *Network) Heal(now int64, stays func(from, to int) bool) (changed bool, d []Decision) {
	n.begin()
	changed = len(n.streams) > 0 && n.healStreams(now)
	for at, l := range n.all {
		from, to := at.from, at.to
		if l.cut || l.clogged || l.rates != 0 {
			changed = true
			n.ledger.Link(from, to, now)
		}
		l.rates = 0
		if stays(from, to) {
			continue
		}
		l.cut = false
		n.unclog(now, from, to)
	}
	return changed, n.decided
}
