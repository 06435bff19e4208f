package disk

import (
	"fmt"
	"maps"
	"slices"

	"gtstore/core"
)

// claims is what a node has said that must outlive a crash: the last message of each kind.
// What a message of that kind said before, it says too.
type claims map[string]core.Envelope

func (c claims) clone() claims { return maps.Clone(c) }

func (c claims) add(e *core.Envelope) {
	name := core.KindOf(e.Body).String()
	switch m := e.Body.(type) {
	case *core.Reply:
		if m.Status != core.StatusOK {
			return
		}
	case *core.LookupReply:
		if m.Status != core.StatusOK {
			return
		}
	case *core.Registered:
		name = fmt.Sprintf("%s %d", name, e.To.ID)
	case *core.Drained:
		if m.Status != core.StatusOK {
			return
		}
	case *core.Nack:
		if m.Config == nil {
			return
		}
	case *core.Refused:
		if m.Reason != core.RefusedForgotten {
			return
		}
	case *core.Probe: // a question
		return
	}
	c[name] = *e
}

// An edge is a row of the table "durable before sent" in PROTOCOL.md, section 7: a message
// that a node has sent, and what a node that starts over its disk must know then.
type edge struct {
	kind  core.Kind
	holds func(n core.Node, e *core.Envelope) error
}

var edges = []edge{
	{core.KindRegister, func(n core.Node, e *core.Envelope) error {
		return atLeast("boot", n.(*core.Storage).Boot(), e.Body.(*core.Register).Boot+1)
	}},
	{core.KindPong, func(n core.Node, e *core.Envelope) error {
		m := e.Body.(*core.Pong)
		if err := atLeast("boot", n.(*core.Storage).Boot(), m.Boot+1); err != nil {
			return err
		}
		for _, g := range m.Groups {
			if g.Epoch > 0 {
				if _, err := epochOf(n, g.Group, g.Epoch); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{core.KindAck, func(n core.Node, e *core.Envelope) error {
		m := e.Body.(*core.Ack)
		v, err := epochOf(n, m.Group, m.Epoch)
		if err != nil || v.Config.Epoch > m.Epoch { // where another primary may have cut it off
			return err
		}
		return atLeast("the log's end", v.Last, m.Matched)
	}},
	{core.KindNack, func(n core.Node, e *core.Envelope) error {
		m := e.Body.(*core.Nack)
		_, err := epochOf(n, m.Group, m.Epoch)
		return err
	}},
	{core.KindReplicate, func(n core.Node, e *core.Envelope) error {
		m := e.Body.(*core.Replicate)
		_, err := epochOf(n, m.Group, m.Epoch)
		return err
	}},
	{core.KindReply, func(n core.Node, e *core.Envelope) error {
		m := e.Body.(*core.Reply)
		v, err := epochOf(n, m.Group, m.Epoch)
		if err != nil || v.Config.Chain[0].ID != testID || v.Config.Epoch > m.Epoch {
			return err
		}
		return atLeast("the log's end", v.Last, m.Version)
	}},
	{core.KindChunkAck, func(n core.Node, e *core.Envelope) error {
		m := e.Body.(*core.ChunkAck)
		v, err := epochOf(n, m.Group, m.Epoch)
		if err != nil || v.Config.Epoch > m.Epoch { // in which it may have left, and begun anew
			return err
		}
		if m.Next == chunks && v.Partial {
			return fmt.Errorf("it acked all %d chunks, and has a part of the snapshot", chunks)
		}
		return nil
	}},
	{core.KindProbeReply, func(n core.Node, e *core.Envelope) error { return nil }}, // of the Space: see probed
	{core.KindRegistered, func(n core.Node, e *core.Envelope) error {
		m, dir := e.Body.(*core.Registered), n.(*core.Manager)
		for i := range dir.Nodes() {
			if r := dir.Node(i, 0); r.Peer.ID == e.To.ID {
				return atLeast("the boot of the node", r.Boot, m.Boot)
			}
		}
		return fmt.Errorf("node %v is not registered", e.To.ID)
	}},
	{core.KindPing, func(n core.Node, e *core.Envelope) error {
		return atLeast("index", n.(*core.Manager).Index(), e.Body.(*core.Ping).Index)
	}},
	{core.KindConfig, func(n core.Node, e *core.Envelope) error {
		return issued(n.(*core.Manager), e.Body.(*core.Config))
	}},
	{core.KindLookupReply, func(n core.Node, e *core.Envelope) error {
		m := e.Body.(*core.LookupReply)
		if got := n.(*core.Manager).KeyGroup(lookupKey(m.Req)); got != m.Config.Group {
			return fmt.Errorf("the key of lookup %d is in group %d, want %d", m.Req, got, m.Config.Group)
		}
		return issued(n.(*core.Manager), m.Config)
	}},
	{core.KindForgotten, func(n core.Node, e *core.Envelope) error {
		return marked(n.(*core.Manager), core.NodeID(e.Body.(*core.Forgotten).Req), func(v core.NodeView) bool { return v.Gone })
	}},
	{core.KindRefused, func(n core.Node, e *core.Envelope) error {
		return marked(n.(*core.Manager), e.To.ID, func(v core.NodeView) bool { return v.Gone })
	}},
	{core.KindDrained, func(n core.Node, e *core.Envelope) error {
		return marked(n.(*core.Manager), core.NodeID(e.Body.(*core.Drained).Req), func(v core.NodeView) bool { return v.Draining })
	}},
}

// check holds a node that has started over what is left against all that was said.
func (c claims) check(n core.Node, s core.Space) error {
	for name, e := range c {
		i := slices.IndexFunc(edges, func(r edge) bool { return r.kind == core.KindOf(e.Body) })
		if i < 0 {
			return fmt.Errorf("no row says what a %s must follow", name)
		}
		if err := edges[i].holds(n, &e); err != nil {
			return fmt.Errorf("it has sent %s %+v to %v, but started anew: %w", name, e.Body, e.To.ID, err)
		}
		if edges[i].kind == core.KindProbeReply {
			if err := probed(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func probed(s core.Space) error {
	n := 0
	err := s.Range("probe", func(string, string) error { n++; return nil })
	if err == nil && n == 0 {
		err = fmt.Errorf("it has proved that it can write, and wrote nothing")
	}
	return err
}

func atLeast[N ~uint64 | ~uint32](what string, got, want N) error {
	if got < want {
		return fmt.Errorf("%s: %d, want %d", what, got, want)
	}
	return nil
}

func epochOf(n core.Node, id core.GroupID, epoch core.Epoch) (core.GroupView, error) {
	s := n.(*core.Storage)
	for i := range s.Groups() {
		if v := s.Group(i, 0); v.Group == id {
			return v, atLeast("epoch", v.Config.Epoch, epoch)
		}
	}
	return core.GroupView{}, fmt.Errorf("group %d is not known", id)
}

func issued(m *core.Manager, c *core.Config) error {
	if int(c.Group) > m.Groups() {
		return fmt.Errorf("there is no group %d", c.Group)
	}
	now := m.Config(c.Group)
	if now.Epoch == c.Epoch && !slices.Equal(now.Chain, c.Chain) {
		return fmt.Errorf("epoch %d of group %d has the chain %v", c.Epoch, c.Group, now.Chain)
	}
	return atLeast("the epoch issued", now.Epoch, c.Epoch)
}

func marked(m *core.Manager, id core.NodeID, is func(core.NodeView) bool) error {
	for i := range m.Nodes() {
		if v := m.Node(i, 0); v.Peer.ID == id && is(v) {
			return nil
		}
	}
	return fmt.Errorf("node %v is not marked", id)
}
