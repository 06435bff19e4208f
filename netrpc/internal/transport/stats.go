package transport

import "sync/atomic"

// Stats are a transport's queues and bounds at one moment, and what it lost so far.
type Stats struct {
	Inbox, InboxMax             int // messages that wait for the node
	PeerQueues                  int // messages that wait to leave for peers
	Connections, ConnectionsMax int // that others have made
	Held, HeldMax               int // bytes held for those
	Queued, QueuedMax           int // bytes that wait to leave for peers

	LostFull        uint64 // messages for which a queue had no room
	LostUnreachable uint64 // that waited for a connection which could not be made
	LostGone        uint64 // to a client whose connection is gone

	RefusedHandshakes, RefusedMessages, RefusedEnded uint64 // as of Refusals
}

// lost counts messages that did not leave. Replies to clients are among them: who waits for
// one asks again.
type lost struct{ full, unreachable, gone atomic.Uint64 }

// Stats is for whoever may call Send.
func (t *Transport) Stats() Stats {
	in := t.opt.Inbox
	s := Stats{
		Inbox: int(in.count.Load()), InboxMax: in.countMax,
		ConnectionsMax: t.opt.ConnectionsMax,
		Held:           int(t.server.budget.used.Load()), HeldMax: t.server.budget.max,
		Queued: int(t.queued.used.Load()), QueuedMax: t.queued.max,
		LostFull: t.lost.full.Load(), LostUnreachable: t.lost.unreachable.Load(), LostGone: t.lost.gone.Load(),
		RefusedHandshakes: t.refusals.Handshakes.Load(), RefusedMessages: t.refusals.Messages.Load(), RefusedEnded: t.refusals.Ended.Load(),
	}
	t.server.mu.Lock()
	s.Connections = len(t.server.conns)
	t.server.mu.Unlock()
	for _, l := range t.links {
		s.PeerQueues += l.queue.length()
	}
	return s
}
