package cluster

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"gtstore/core"
	"gtstore/sim/explore"
	"gtstore/sim/history"
)

// The names of hosts in addresses. A host's NodeID is its index and one.
const (
	managerAddr = "m"
	clientAddr  = "c"

	managerID = core.NodeID(1 << 20)
	clientID  = core.NodeID(1 << 21) // and the client's index

	group   = core.GroupID(1)
	cluster = core.ClusterID(1)
)

func hostName(index int) string { return "n" + strconv.Itoa(index+1) }

func hostPeer(index int) core.Peer {
	return core.Peer{ID: core.NodeID(index + 1), Addr: hostName(index)}
}

func indexOf(p core.Peer) int { return int(p.ID) - 1 }

var managerPeer = core.Peer{ID: managerID, Addr: managerAddr}

func clientPeer(client int) core.Peer {
	return core.Peer{ID: clientID + core.NodeID(client), Addr: clientAddr}
}

// Model is all that a scenario's cluster can do. It implements explore.Model.
type Model struct {
	scenario *Scenario

	hosts    store[host]
	messages store[message]
	managers store[manager]
	ghosts   store[ghost]
	pasts    store[past]

	edges   memo[*edge]      // host, input
	orders  memo[*order]     // manager, order
	seen    memo[*ghostEdge] // ghost, host
	endings set              // prints of states, without budgets, from which all ends well

	// Of several managers: see seat.go.
	live      alive
	laters    memo[uint32] // host, span of time
	spans     sync.Map     // numbers of spans
	spanCount atomic.Uint32
	played    atomic.Int64           // inputs that were played back
	lookups   [][]uint32             // of each ask, to each host
	heard     func(e *core.Envelope) // what managers say before the search; nil in it
	quiet     bool                   // what managers ask each other of what they are is lost: see seat.go

	// What is known of dead messages: see dead.go.
	drops   bool
	dropped set // host, message
	wakes   set // host, message: though it does nothing there, it may do something later
	became  set // host, host

	bytes atomic.Int64 // about what the hosts and messages take

	begin    world // in which the search begins
	ops      []op
	whole    bool                // without any reduction; for tests
	asked    *core.Reply         // to a request before the search
	requests [][]uint32          // of each operation, to each host
	before   []history.Operation // of the time before
}

// message is a message under way. What is under way is a set in which some may be twice.
type message struct {
	key      key
	envelope core.Envelope // as the codec gave it back
	to       int           // the host's index; -1 for the manager, where that is no host
}

// keepMessage returns the number of a message. All messages pass through the codec.
func (m *Model) keepMessage(e *core.Envelope) uint32 {
	frame := core.AppendEnvelope(nil, e)
	k := keyOf(frame)
	if id, ok := m.messages.find(k); ok {
		return id
	}
	decoded, err := core.DecodeEnvelope(frame)
	if err != nil {
		panic(fmt.Sprintf("a %v does not decode: %v", core.KindOf(e.Body), err))
	}
	v := &message{key: k, envelope: decoded, to: indexOf(e.To)}
	switch {
	case m.several():
		v.to = m.seatAt(e.To.Addr)
	case e.To.Addr == managerAddr:
		v.to = -1
	}
	m.bytes.Add(int64(512 + len(frame)))
	return m.messages.put(k, v)
}

// keepHost returns the number of a host, and works out what is known of it.
func (m *Model) keepHost(h *host) uint32 {
	var array [4096]byte
	b := append(array[:0], byte(h.index))
	if h.up() {
		b = append(b, 1)
		b = h.node.AppendState(b, h.now)
	} else {
		b = append(b, 0, byte(h.knew))
		if h.ended {
			b = append(b, 1)
		}
	}
	b = appendNumber(b, h.disk.hash)
	b = appendBatches(b, h.gate)
	k := keyOf(b)
	if id, ok := m.hosts.find(k); ok {
		return id
	}
	h.key, h.name = k, mix(k[0], uint64(h.index)+1)
	h.due = neverDue
	h.facts, h.broken = facts{}, nil
	if h.up() {
		if d := h.node.Deadline(); d != core.Never {
			h.due = m.global(h.index, max(0, d.Since(h.now)))
		}
		h.facts = factsOf(h.node, h.now)
		h.broken = h.facts.check(h)
	}
	m.bytes.Add(int64(2048 + 4*len(b)))
	return m.hosts.put(k, h)
}

func appendBatches(b []byte, gate []batch) []byte {
	for i := range gate {
		b = append(b, 'b')
		for _, w := range gate[i].writes {
			b = appendText(appendText(b, w.Key), w.Value)
			b = appendText(b, w.End)
		}
		for j := range gate[i].after {
			var sum uint64
			sum, _ = core.HashEnvelope(nil, &gate[i].after[j])
			b = appendNumber(append(b, 'a'), sum)
		}
	}
	return b
}

// options are those of a start of a host's storage node, which draws that secret.
func (m *Model) options(index int, secret uint64) core.StorageOptions {
	o := core.StorageOptions{
		Self: hostPeer(index), Manager: core.Peer{Addr: managerAddr}, Name: hostName(index), Secret: secret,
		Durable: m.scenario.Durable,
		// Pings are not a part of the model, so that silence may not have a node register again.
		SilenceMax: silenceMax,
	}
	if m.scenario.Real { // in calm only the manager's pings go off
		o.HeartbeatInterval = silenceMax
	}
	o.SessionsMax = m.scenario.Sessions
	o.LogKeep, o.ChunkItems, o.JoinLagMax = m.scenario.LogKeep, m.scenario.Chunk, 8*m.scenario.LogKeep
	return o
}

// Worker implements explore.Model.
func (m *Model) Worker() explore.Worker { return &worker{m: m} }

// Memory implements explore.Keeper: about what the parts of states take, and what is
// remembered of them.
func (m *Model) Memory() int64 {
	return m.bytes.Load() + m.live.memory() + 250*int64(m.edges.len()) + 16*int64(m.endings.len()+m.dropped.len()+m.wakes.len()+m.became.len()) + 100*int64(m.seen.len()+m.orders.len())
}
