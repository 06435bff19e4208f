package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"gtstore/core"
)

// manager stands for the cluster's manager: it issues any config that is legal by rule R2,
// whenever the search wants it to. Why a real one would issue it, as that a node was silent,
// is left out. It is never changed.
type manager struct {
	key     key
	configs []*core.Config // issued, by Epoch-1
	keys    []key          // of these
	boots   []core.Boot    // of each host, as registered
	chief   *chief         // of a real manager, else nil
	origin  origin
}

// config is the last one that was issued; nil before the group is formed.
func (g *manager) config() *core.Config {
	if len(g.configs) == 0 {
		return nil
	}
	return g.configs[len(g.configs)-1]
}

// order is what an order, or a message, makes of the manager.
type order struct {
	to     uint32
	sent   []uint32 // configs, to those whom they are about
	answer uint32   // a Registered, which is heard at once, with answers
	answers,
	legal bool

	// Of a real manager: what is wrong with the step, and whom it concerns.
	broken                 *broken
	accused, removed, lost []core.NodeID
	presumed               []core.NodeID // members of a group that is presumed lost
}

// What the manager may be told to do, beside a message: these stand above all numbers of
// messages. A number below 256 is added, such as the host's index.
const (
	orderEvict = 1<<31 + iota<<8
	orderJoin
	orderEndJoin
	orderTick // from here on to a real manager
	orderSync
	orderStart
	orderCrash   // and how many batches its disk keeps
	orderRefused // the host's address refuses
	orderAsk     // and which
)

func (m *Model) order(id, what uint32) *order {
	if o, ok := m.orders.get(pair(id, what)); ok {
		return o
	}
	return m.orders.put(pair(id, what), m.workOrder(id, what))
}

func (m *Model) workOrder(id, what uint32) *order {
	g := m.managers.at(id)
	if g.chief != nil {
		return m.workChief(id, what)
	}
	if what < inputSpecial {
		e := &m.messages.at(what).envelope
		switch b := e.Body.(type) {
		case *core.CaughtUp:
			return m.hearCaughtUp(id, g, e, b)
		case *core.Register:
			return m.hearRegister(g, e, b)
		}
		panic(fmt.Sprintf("the manager hears a %v", core.KindOf(e.Body)))
	}
	c, host := g.config(), hostPeer(int(what&0xff))
	switch what &^ 0xff {
	case orderEvict:
		if c.Position(host.ID) >= 0 && len(c.Chain) > 1 {
			return m.issue(g, g.boots, without(c, host))
		}
	case orderJoin:
		if c.Position(host.ID) < 0 && c.Joining.ID == 0 {
			n := *c
			n.Joining, n.Start = host, c.Epoch+1
			return m.issue(g, g.boots, n)
		}
	case orderEndJoin:
		if c.Joining.ID == host.ID {
			n := *c
			n.Joining, n.Start = core.Peer{}, 0
			return m.issue(g, g.boots, n)
		}
	}
	return &order{to: id}
}

func without(c *core.Config, host core.Peer) core.Config {
	n := *c
	n.Chain = slices.DeleteFunc(slices.Clone(c.Chain), func(p core.Peer) bool { return p.ID == host.ID })
	return n
}

// hearCaughtUp makes a node a member, as Manager.onCaughtUp and Directory.member do.
func (m *Model) hearCaughtUp(id uint32, g *manager, e *core.Envelope, b *core.CaughtUp) *order {
	c := g.config()
	if b.Node == 0 || c.Epoch != b.Epoch || c.Start != b.Start || c.Joining.ID != b.Node || c.Chain[0].ID != e.From.ID {
		return &order{to: id, legal: true}
	}
	n := *c
	n.Chain = append(slices.Clone(c.Chain), c.Joining)
	n.Joining, n.Start = core.Peer{}, 0
	return m.issue(g, g.boots, n)
}

// hearRegister answers, and begins another epoch where Directory.register does.
func (m *Model) hearRegister(g *manager, e *core.Envelope, b *core.Register) *order {
	i := indexOf(e.From)
	answer := m.keepMessage(&core.Envelope{Cluster: cluster, From: managerPeer, To: hostPeer(i), Body: &core.Registered{Boot: b.Boot, Secret: cmp.Or(b.Inherited, b.Secret)}})
	if b.Inherited != 0 { // it registers once more
		return &order{to: m.keepManager(&manager{configs: g.configs, boots: g.boots}), answer: answer, answers: true, legal: true}
	}
	boots := slices.Clone(g.boots)
	was := boots[i]
	boots[i] = max(was, b.Boot)
	var o *order
	switch c := g.config(); {
	case c == nil:
		o = &order{to: m.keepManager(&manager{boots: boots})}
	case b.Boot > was && was > 0 && c.Chain[0].ID == e.From.ID:
		o = m.issue(g, boots, *c)
	case b.Boot > was && c.Joining.ID == e.From.ID:
		n := *c
		n.Joining, n.Start = core.Peer{}, 0
		o = m.issue(g, boots, n)
	default:
		o = &order{to: m.keepManager(&manager{configs: g.configs, boots: boots})}
	}
	o.answer, o.answers, o.legal = answer, true, true
	return o
}

// issue gives the group its next config, and tells all whom it is about.
func (m *Model) issue(g *manager, boots []core.Boot, next core.Config) *order {
	next.Epoch = core.Epoch(len(g.configs) + 1)
	c := &next
	o := &order{legal: true}
	o.to = m.keepManager(&manager{configs: append(slices.Clip(g.configs), c), boots: boots})
	for _, p := range c.Chain {
		o.sent = append(o.sent, m.keepMessage(&core.Envelope{Cluster: cluster, From: managerPeer, To: p, Body: c}))
	}
	if c.Joining.ID != 0 {
		o.sent = append(o.sent, m.keepMessage(&core.Envelope{Cluster: cluster, From: managerPeer, To: c.Joining, Body: c}))
	}
	return o
}

func (m *Model) keepManager(g *manager) uint32 {
	var b []byte
	for _, c := range g.configs {
		k := key{}
		if c != nil {
			k = configKey(c)
		}
		g.keys = append(g.keys, k)
		b = appendNumber(b, g.keys[len(g.keys)-1][0])
	}
	b = append(b, '/')
	for _, boot := range g.boots {
		b = appendNumber(b, uint64(boot))
	}
	if c := g.chief; c != nil {
		b = g.appendChief(b)
		c.due = neverDue
		if c.node != nil && c.node.Deadline() != core.Never {
			c.due = max(0, c.node.Deadline().Since(c.now))
		}
		m.bytes.Add(int64(4096 + 4*len(b)))
	}
	g.key = keyOf(b)
	return m.managers.put(g.key, g)
}
