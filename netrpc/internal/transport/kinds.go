package transport

import (
	"iter"
	"slices"

	"gtstore/core"
	"gtstore/core/wire"
)

// A lane is one of the two ways into an inbox.
type lane uint8

const (
	laneGroup lane = iota // what keeps groups alive: between manager and nodes
	laneAsks              // what clients and operators ask for, and what they are told
	laneCount
)

// laneOf tells by which lane a message comes in. Replicate and Ack share one, and so
// do all that a node's patience is learnt from: how long they take must tell how long
// the others will.
func laneOf(m core.Message) lane {
	switch core.KindOf(m) {
	case core.KindOp, core.KindLookup, core.KindStatusQuery, core.KindForget, core.KindDrain, core.KindExport,
		core.KindReply, core.KindLookupReply, core.KindStatusReply, core.KindForgotten, core.KindDrained, core.KindExported,
		core.KindNotLeader, core.KindManagersQuery, core.KindManagersReply, core.KindCall, core.KindCancel:
		return laneAsks
	}
	return laneGroup
}

// isAnswer tells whether a message only ever answers another. An answer goes back on
// the connection on which the question came. So one that comes on a connection that
// somebody else made was not asked for. (Registered and Refused are no answers in
// this sense: the manager also sends them to the address of a node that it knows; and so is
// NotLeader, to a node that registers.)
func isAnswer(m core.Message) bool {
	switch core.KindOf(m) {
	case core.KindPong, core.KindProbeReply, core.KindAck, core.KindNack, core.KindChunkAck,
		core.KindReply, core.KindLookupReply, core.KindStatusReply, core.KindForgotten, core.KindDrained, core.KindExported,
		core.KindManagersReply:
		return true
	}
	return false
}

// namesAddress tells whether the receiver of a message keeps the address that its
// sender names. To all others the sender is the connection.
func namesAddress(m core.Message) bool {
	k := core.KindOf(m)
	return k == core.KindRegister || k == core.KindRegistered || k == core.KindEnlist
}

// namesConnection tells whether a message contains the address of a connection. Such an
// address means something only here, to whoever came by it. In a message it would have this
// process say something on a connection of somebody else.
func namesConnection(m core.Message) bool {
	c := configOf(m)
	switch m := m.(type) {
	case *core.Probe:
		return isConnection(m.Target.Addr)
	case *core.Config:
		c = m
	case *core.NotLeader:
		return isConnection(m.Leader.Addr)
	case *core.Registered:
		return slices.ContainsFunc(m.Managers, func(p core.Peer) bool { return isConnection(p.Addr) })
	case *core.ManagersQuery:
		return slices.ContainsFunc(m.Add, func(p core.Peer) bool { return isConnection(p.Addr) })
	}
	return c != nil && (isConnection(c.Joining.Addr) || slices.ContainsFunc(c.Chain, func(p core.Peer) bool { return isConnection(p.Addr) }))
}

// configOf returns the config that comes along with a message, or nil.
func configOf(m core.Message) *core.Config {
	switch m := m.(type) {
	case *core.Replicate:
		return m.Config
	case *core.Chunk:
		return m.Config
	case *core.Nack:
		return m.Config
	case *core.Reply:
		return m.Config
	case *core.Exported:
		return m.Config
	case *core.LookupReply:
		return m.Config
	}
	return nil
}

func isConnection(address string) bool { return address != "" && address[0] == clientMark }

// Bytes of memory that parts of a message hold, rounded up.
const (
	envelopeBytes = 256 // with the struct of its message
	configBytes   = 128
	peerBytes     = 32
	entryBytes    = 80
	itemBytes     = 48
	sessionBytes  = 40
	statusBytes   = 128
)

// sizeOf tells about how many bytes of memory an envelope holds, and never fewer than
// three quarters of them.
func sizeOf(e *core.Envelope) int {
	n := envelopeBytes + len(e.From.Addr) + len(e.To.Addr)
	switch m := e.Body.(type) {
	case *core.Replicate:
		n += sizeOfConfig(m.Config)
		for i := range m.Entries {
			n += entryBytes + len(m.Entries[i].Key) + len(m.Entries[i].Value)
		}
	case *core.Chunk:
		n += sizeOfConfig(m.Config) + sessionBytes*len(m.Sessions) + sizeOfItems(m.Items)
	case *core.Exported:
		n += sizeOfConfig(m.Config) + sizeOfItems(m.Items)
	case *core.Op:
		n += len(m.Key) + len(m.Value)
	case *core.Reply:
		n += len(m.Value) + sizeOfConfig(m.Config)
	case *core.Call:
		n += len(m.Key) + len(m.Value)
	case *core.Lookup:
		n += len(m.Key)
	case *core.LookupReply:
		n += sizeOfConfig(m.Config)
	case *core.Nack:
		n += sizeOfConfig(m.Config)
	case *core.Config:
		n += sizeOfConfig(m)
	case *core.Register:
		n += len(m.Name)
	case *core.Registered:
		for i := range m.Managers {
			n += peerBytes + len(m.Managers[i].Addr)
		}
	case *core.Quorum:
		n += len(m.Text)
	case *core.NotLeader:
		n += len(m.Leader.Addr)
	case *core.ManagersQuery:
		n += 8 * len(m.Remove)
		for i := range m.Add {
			n += peerBytes + len(m.Add[i].Addr)
		}
	case *core.ManagersReply:
		n += len(m.Why)
		for i := range m.Managers {
			n += 2*peerBytes + len(m.Managers[i].Addr)
		}
	case *core.Probe:
		n += len(m.Target.Addr)
	case *core.Pong:
		n += 16 * len(m.Groups)
		if m.Join != nil {
			n += 64
		}
	case *core.StatusReply:
		n += sizeOfStatus(m)
	}
	return n
}

func bytesOf(list []core.Envelope) int {
	n := 0
	for i := range list {
		n += sizeOf(&list[i])
	}
	return n
}

func sizeOfConfig(c *core.Config) int {
	if c == nil {
		return 0
	}
	n := configBytes + len(c.Joining.Addr)
	for i := range c.Chain {
		n += peerBytes + len(c.Chain[i].Addr)
	}
	return n
}

func sizeOfItems(items []core.Item) int {
	n := itemBytes * len(items)
	for i := range items {
		n += len(items[i].Key) + len(items[i].Value)
	}
	return n
}

func sizeOfStatus(m *core.StatusReply) int {
	n := 0
	for i := range m.Nodes {
		n += statusBytes + len(m.Nodes[i].Addr) + len(m.Nodes[i].Name)
	}
	for i := range m.Groups {
		n += statusBytes + 8*len(m.Groups[i].Chain)
	}
	return n
}

// largeIn is how many bytes are in values that are left aside: see wire.Aside.
func largeIn(list []core.Envelope) int {
	n := 0
	for i := range list {
		for v := range valuesOf(list[i].Body) {
			if len(v) >= wire.AsideBytesMin {
				n += len(v)
			}
		}
	}
	return n
}

// isMostlyOne tells whether a value is most of a batch, which came in so many bytes.
func isMostlyOne(list []core.Envelope, bytes int) bool {
	if len(list) != 1 {
		return false
	}
	for v := range valuesOf(list[0].Body) {
		if wire.IsMost(len(v), bytes) {
			return true
		}
	}
	return false
}

// valuesOf goes through the values in a message.
func valuesOf(m core.Message) iter.Seq[string] {
	return func(yield func(string) bool) {
		switch m := m.(type) {
		case *core.Op:
			yield(m.Value)
		case *core.Reply:
			yield(m.Value)
		case *core.Replicate:
			for i := range m.Entries {
				if !yield(m.Entries[i].Value) {
					return
				}
			}
		case *core.Chunk:
			for i := range m.Items {
				if !yield(m.Items[i].Value) {
					return
				}
			}
		}
	}
}
