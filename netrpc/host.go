package netrpc

import (
	"iter"
	"net"
	"sync"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/transport"
)

const (
	stepsMax  = 256 // messages that share an Output
	stepBytes = 1 << 20

	// ticksMax bounds the ticks that follow each other. A node asks for few; one
	// that asked for ever would let neither its Output leave nor the host end.
	ticksMax = 64
)

// host drives a core node: the one loop that every role needs. In memory mode,
// the only one so far, nothing is persisted, so After leaves with Send.
type host struct {
	node  core.Node
	self  core.Peer
	began time.Time
	log   *eventLog

	inbox *transport.Inbox
	net   *transport.Transport
	// driver is the way in of what this process itself tells the node.
	driver *transport.Source
	// local, if set, takes the envelopes to the zero Peer: a client's results.
	local func(*core.Result)
	// other, if set, takes what is not for the node, and returns true.
	other func(*core.Envelope) bool

	news bool            // Peers of the node may have changed
	own  []core.Envelope // from the node to itself, to be stepped back
	out  core.Output
	once sync.Once
	quit chan struct{} // closed to end the loop
	done chan struct{} // closed when it has ended
	halt error         // why the node halted; to be read after done
}

// start makes the host's queue and transport, and runs the loop.
func (h *host) start(l net.Listener, opt transport.Options) {
	h.began = time.Now()
	h.inbox = transport.NewInbox()
	h.driver = h.inbox.Source()
	h.quit, h.done = make(chan struct{}), make(chan struct{})
	opt.Self, opt.Inbox, opt.Down = h.self.ID, h.inbox, h.peerDown
	h.net = transport.New(l, opt)
	h.expect()
	go h.run()
}

// now is read for every message after it was taken from the queue. Go's
// monotonic clock stands still while a Linux machine is suspended: see doc.go
// on lease-reads.
func (h *host) now() core.Time { return core.Time(time.Since(h.began)) }

// tell gives the node a message of its own driver.
func (h *host) tell(from core.Peer, m core.Message) bool {
	return h.driver.PutAll([]core.Envelope{{From: from, To: h.self, Body: m}})
}

// peerDown passes on a hint. It must not block, and a hint may be lost.
func (h *host) peerDown(peer core.Peer, refused bool) {
	h.driver.Put(&core.Envelope{From: h.self, To: h.self, Body: &core.PeerDown{Peer: peer, Refused: refused}})
}

// vouched gives the node what was held back until it was vouched for. It must not block.
func (h *host) vouched(e *core.Envelope) { h.driver.Put(e) }

func (h *host) run() {
	defer close(h.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var batch []core.Envelope
	for !h.ending() { // looked at each turn: a busy node is never idle
		batch = append(batch[:0], h.own...)
		h.own = h.own[:0]
		batch = h.inbox.Take(batch, stepsMax, stepBytes)
		if len(batch) == 0 && !h.due() {
			wait := h.untilDeadline()
			if held := h.inbox.HeldBack(); held > 0 {
				wait = min(wait, held)
			}
			timer.Reset(wait)
			select {
			case <-h.inbox.Wake:
			case <-timer.C:
			case <-h.quit:
				return
			}
			continue
		}
		h.take(batch)
		clear(batch)
		if h.out.Halt != nil {
			h.halt = h.out.Halt
			h.carryOut()
			return
		}
		h.carryOut()
	}
}

func (h *host) ending() bool {
	select {
	case <-h.quit:
		return true
	default:
		return false
	}
}

func (h *host) due() bool { return h.node.Deadline() <= h.now() }

func (h *host) untilDeadline() time.Duration {
	d := h.node.Deadline()
	if d == core.Never {
		return time.Hour
	}
	return d.Since(h.now())
}

// take steps the node through what arrived, and then ticks it while it asks for
// that. What is due after ticksMax of them is due in the next turn.
func (h *host) take(batch []core.Envelope) {
	for i := range batch {
		if h.other != nil && h.other(&batch[i]) {
			continue
		}
		h.news = h.news || core.KindOf(batch[i].Body) == core.KindRegistered
		h.node.Step(h.now(), batch[i], &h.out)
		if h.out.Halt != nil {
			return
		}
	}
	for range ticksMax {
		now := h.now()
		if h.out.Halt != nil || h.node.Deadline() > now {
			return
		}
		h.node.Tick(now, &h.out)
	}
}

// expect tells the transport whose messages come first. A client has no such peers: all
// that it hears comes on connections of its own.
func (h *host) expect() {
	if n, ok := h.node.(interface{ Peers() iter.Seq[core.NodeID] }); ok {
		h.net.Expect(n.Peers())
	}
}

// carryOut does what the node wants done.
func (h *host) carryOut() {
	h.log.events(h.out.Events)
	for i := range h.out.Events {
		switch h.out.Events[i].Kind {
		case core.EventAdopted, core.EventRegistered, core.EventRetired:
			h.news = true
		}
	}
	if h.news {
		h.news = false
		h.expect()
	}
	answered := h.send(h.out.Send)
	answered = h.send(h.out.After) || answered
	h.out.Reset()
	operations, bytes := 0, 0
	if s, ok := h.node.(*core.Storage); ok {
		operations, bytes = s.UnderWay()
	}
	h.inbox.UnderWay(operations, bytes, answered)
}

// send tells whether a client's operation was answered.
func (h *host) send(list []core.Envelope) (answered bool) {
	away := list[:0]
	for i := range list {
		switch e := &list[i]; {
		case e.To.ID == h.self.ID:
			h.own = append(h.own, *e)
		case e.To == core.Peer{}:
			if r, ok := e.Body.(*core.Result); ok && h.local != nil {
				h.local(r)
			}
		default:
			answered = answered || core.KindOf(e.Body) == core.KindReply
			away = append(away, *e)
		}
	}
	h.net.Send(away)
	return answered
}

// flushTime bounds how long a host that ends waits for its last words to leave.
const flushTime = 300 * time.Millisecond

// end makes the loop end.
func (h *host) end() { h.once.Do(func() { close(h.quit) }) }

// stop ends the loop if it still runs, and then the transport.
func (h *host) stop() {
	h.end()
	<-h.done
	h.net.Flush(flushTime)
	h.net.Close()
}
