package network

import (
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/mark"
)

// outgoing is a message that waits for its host's bandwidth.
type outgoing struct {
	message
	left int64 // bytes that have not left yet
}

// packetMax is how much of one link's traffic leaves a host before it is another
// link's turn.
const packetMax = 1 << 16

// uplink is how messages leave a host whose bandwidth is bounded: those of a link
// one after the other, and the links in turn, as the connections of a machine share
// its network.
type uplink struct {
	rate    int64        // bytes a second; 0 for no bound
	lines   [][]outgoing // by the index of the host at the other end
	turn    []int        // the lines in which something waits
	bytes   int64        // of all that waits
	sending uint64       // names the part that leaves now, among all that ever did; 0 for none
	sent    uint64
}

// depart has a message leave its host when its turn comes.
func (n *Network) depart(now int64, h, to int, m outgoing) {
	u := &n.hosts[h].uplink
	u.bytes += m.left
	if waits := u.bytes * int64(time.Second) / u.rate; waits > int64(bounds.QueueMax) {
		n.ledger.Host(h, now+waits)
	} else if waits > int64(mark.Wait) {
		n.mark(mark.ReplicateWaitedForBandwidth, m.message)
	}
	if u.lines == nil {
		u.lines = make([][]outgoing, len(n.hosts))
	}
	if len(u.lines[to]) == 0 {
		u.turn = append(u.turn, to)
	}
	u.lines[to] = append(u.lines[to], m)
	n.sendNext(now, h)
}

// part is how much of the first message of a line leaves at once.
func (m *outgoing) part() int64 { return min(m.left, packetMax) }

func (n *Network) sendNext(now int64, h int) {
	u := &n.hosts[h].uplink
	if u.sending != 0 || len(u.turn) == 0 {
		return
	}
	u.sent++
	u.sending = u.sent
	at := now + u.lines[u.turn[0]][0].part()*int64(time.Second)/u.rate
	n.decided = append(n.decided, Decision{What: LookAtHost, From: int16(h), At: at, Part: u.sending})
}

// Departed goes on with the next line when a part has left a host, and sends the
// message if that was its last.
func (n *Network) Departed(now int64, h int, part uint64) []Decision {
	n.begin()
	u := &n.hosts[h].uplink
	if u.sending != part {
		return nil
	}
	u.sending = 0
	to := u.turn[0]
	m := &u.lines[to][0]
	left := m.part()
	m.left -= left
	u.bytes -= left
	u.turn = u.turn[1:]
	if m.left == 0 {
		n.leave(now, h, to)
	}
	if len(u.lines[to]) > 0 {
		u.turn = append(u.turn, to)
	}
	n.sendNext(now, h)
	return n.decided
}

// leave puts the first message of a line on its link.
func (n *Network) leave(now int64, h, to int) {
	u := &n.hosts[h].uplink
	m := u.lines[to][0]
	u.lines[to] = u.lines[to][1:]
	u.bytes -= m.left
	n.enter(now, h, to, m.message)
}

// SetBandwidth bounds what leaves a host from now on, in bytes a second; 0 ends it,
// and what waits leaves at once.
func (n *Network) SetBandwidth(now int64, h int, rate int64) []Decision {
	n.begin()
	u := &n.hosts[h].uplink
	u.rate = rate
	if rate == 0 {
		turn := u.turn
		u.sending, u.turn = 0, nil
		for _, to := range turn {
			for len(u.lines[to]) > 0 {
				n.leave(now, h, to)
			}
		}
		return n.decided
	}
	for to := range n.hosts {
		if to != h {
			n.streamOf(h, to, now)
		}
	}
	return n.decided
}

// Narrow tells whether a host has less bandwidth than the bounds say.
func (n *Network) Narrow(h int) bool {
	rate := n.hosts[h].uplink.rate
	return rate > 0 && rate < bounds.BandwidthMin
}

// DropUnsent loses what has not left a host whose process ended.
func (n *Network) DropUnsent(h int) []Decision {
	n.begin()
	u := &n.hosts[h].uplink
	for _, to := range u.turn {
		for _, m := range u.lines[to] {
			n.decided = append(n.decided, Decision{What: Lose, Slot: m.slot, Why: LostUnsent})
		}
		u.lines[to] = nil
	}
	u.turn, u.bytes, u.sending = nil, 0, 0
	return n.decided
}

// sizeOf is about how many bytes an envelope takes on a wire.
func sizeOf(e *core.Envelope) int {
	const head, item = 64, 24
	size := head
	switch m := e.Body.(type) {
	case *core.Replicate:
		for i := range m.Entries {
			size += item + len(m.Entries[i].Key) + len(m.Entries[i].Value)
		}
	case *core.Chunk:
		size += item * len(m.Sessions)
		for i := range m.Items {
			size += item + len(m.Items[i].Key) + len(m.Items[i].Value)
		}
	case *core.Op:
		size += len(m.Key) + len(m.Value)
	case *core.Reply:
		size += len(m.Value)
	}
	return size
}
