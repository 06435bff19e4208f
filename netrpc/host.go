package netrpc

import (
	"iter"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/transport"
)

const (
	stepsMax  = 256 // messages that share an Output
	stepBytes = 1 << 20

	// ticksMax bounds the ticks that follow each other. A node asks for few; one
	// that asked for ever would let neither its Output leave nor the host end.
	ticksMax = 64
)

// host drives a core node. Whoever brings it something steps it, unless somebody does
// already: then that one takes it in too. So on its way through a process a message is
// handed from one goroutine to another only when several come at once. The loop steps
// the node when something is due, or when others leave it that. In memory mode nothing
// is persisted, so After leaves with Send.
type host struct {
	node  core.Node
	self  core.Peer
	began time.Time
	log   *eventLog
	disk  *syncer          // nil in memory mode
	id    *identity.Source // nil without TLS
	seen  *watched         // nil without an observer

	inbox *transport.Inbox
	net   *transport.Transport
	// driver is the way in of what this process itself tells the node.
	driver *transport.Source
	// local, if set, takes the envelopes to the zero Peer: a client's results.
	local func(*core.Result)
	// other, if set, takes what is not for the node, and returns true.
	other func(*core.Envelope) bool

	once   sync.Once
	quit   chan struct{} // closed to end the loop
	done   chan struct{} // closed when it has ended
	halt   error         // why the node halted; to be read after done
	halted atomic.Bool
	looks  atomic.Uint64 // how often the timer has expired
	crowd  atomic.Bool   // there were several messages in the last turn that had some

	// Whoever has made busy true steps the node, and has all that follows to itself.
	busy    atomic.Bool
	timer   *time.Timer     // for the loop, to step the node when something is due
	timerAt core.Time       // when it expires
	news    bool            // Peers of the node may have changed
	own     []core.Envelope // from the node to itself, to be stepped back
	batch   []core.Envelope // that is being stepped
	out     core.Output
}

// start makes the host's queue and transport, and runs the loop.
func (h *host) start(l net.Listener, opt transport.Options) {
	h.began = time.Now()
	h.inbox = transport.NewInbox()
	h.driver = h.inbox.Source()
	h.quit, h.done = make(chan struct{}), make(chan struct{})
	h.timer, h.timerAt = time.NewTimer(0), 0
	opt.Self, opt.Identity, opt.Inbox, opt.Down, opt.Drive = h.self.ID, h.id, h.inbox, h.peerDown, h.drive
	h.busy.Store(true) // nothing is stepped before h.net is there
	h.net = transport.New(l, opt)
	h.expect()
	if h.disk != nil {
		h.disk.start(h) // before whatever comes in at once is to be made durable
	}
	h.busy.Store(false)
	go h.run()
}

// now is read for every message after it was taken from the queue. Go's
// monotonic clock stands still while a Linux machine is suspended: see doc.go
// on lease-reads.
func (h *host) now() core.Time { return core.Time(time.Since(h.began)) }

// tell gives the node a message of its own driver.
func (h *host) tell(from core.Peer, m core.Message) bool {
	return h.bring(core.Envelope{From: from, To: h.self, Body: m})
}

// bring gives the node an envelope that did not come from the network, once there is room.
func (h *host) bring(e core.Envelope) bool {
	if !h.driver.PutAll([]core.Envelope{e}) {
		return false
	}
	h.drive()
	return true
}

// peerDown passes on a hint. It must not block, and a hint may be lost.
func (h *host) peerDown(peer core.Peer, refused bool) {
	h.driver.Put(&core.Envelope{From: h.self, To: h.self, Body: &core.PeerDown{Peer: peer, Refused: refused}})
	h.drive()
}

// vouched gives the node what was held back until it was vouched for. It must not block.
func (h *host) vouched(e *core.Envelope) {
	h.driver.Put(e)
	h.drive()
}

// run is the loop.
func (h *host) run() {
	defer close(h.done)
	defer h.timer.Stop()
	for {
		h.drive()
		select {
		case <-h.inbox.Wake:
		case <-h.timer.C:
			h.looks.Add(1) // whoever steps the node just now may have looked before it was due
		case <-h.quit:
			for !h.halted.Load() && !h.busy.CompareAndSwap(false, true) { // and leave it: nobody steps the node any more
				time.Sleep(10 * time.Microsecond)
			}
			return
		}
	}
}

// turnsMax bounds what one who brings something does for others, before it leaves the
// rest to the loop.
const turnsMax = 8

// crowdMin is how many messages in a turn show that several bring something at once.
const crowdMin = 3

// drive steps the node through what is there and what is due, unless somebody does. When
// several bring something at once, the others go first: what shares a turn leaves as one
// batch.
func (h *host) drive() {
	if h.crowd.Load() {
		runtime.Gosched()
	}
	for range turnsMax {
		if !h.busy.CompareAndSwap(false, true) {
			return // who steps it looks again when its turn has ended
		}
		seen := h.inbox.Puts() + h.looks.Load()
		more := h.turn()
		if h.halt != nil {
			h.halted.Store(true) // and it stays busy: a node that has halted is not stepped any more
			h.end()
			return
		}
		h.busy.Store(false)
		if !more && h.inbox.Puts()+h.looks.Load() == seen {
			return
		}
	}
	h.inbox.Notify()
}

// turn steps the node through what can be taken now, and what is due. It returns false if
// there was nothing.
func (h *host) turn() bool {
	synced := h.disk != nil && h.endSyncs()
	if h.halt != nil {
		return true
	}
	h.batch = append(h.batch[:0], h.own...)
	h.own = h.own[:0]
	h.batch = h.inbox.Take(h.batch, stepsMax, stepBytes)
	if len(h.batch) == 0 && h.node.Deadline() > h.now() {
		h.arm()
		return synced
	}
	if crowd := len(h.batch) >= crowdMin; crowd != h.crowd.Load() {
		h.crowd.Store(crowd)
	}
	h.take(h.batch)
	clear(h.batch)
	h.halt = h.out.Halt
	h.carryOut()
	return true
}

// arm sets the timer for when something is due, or worth another try. A timer that
// expires before then is left: it is set again when it does.
func (h *host) arm() {
	now, at := h.now(), h.node.Deadline()
	if held := h.inbox.HeldBack(); held > 0 {
		at = min(at, now.After(held))
	}
	at = min(at, now.After(time.Hour))
	if now < h.timerAt && h.timerAt <= at {
		return
	}
	h.timerAt = at
	h.timer.Reset(at.Since(now))
}

// take steps the node through what arrived, and then ticks it while it asks for
// that. What is due after ticksMax of them is due in the next turn.
func (h *host) take(batch []core.Envelope) {
	for i := range batch {
		if h.other != nil && h.other(&batch[i]) {
			continue
		}
		h.news = h.news || core.KindOf(batch[i].Body) == core.KindRegistered
		now := h.now()
		if h.seen != nil {
			h.seen.took(&batch[i], now)
		}
		h.node.Step(now, batch[i], &h.out)
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
	if n, ok := h.node.(interface{ Peers() iter.Seq[core.Peer] }); ok {
		h.net.Expect(n.Peers())
	}
}

// carryOut does what the node wants done.
func (h *host) carryOut() {
	h.log.events(h.out.Events, h)
	if h.seen != nil {
		h.seen.Events(h.out.Events, h.nameOf)
	}
	for i := range h.out.Events {
		switch h.out.Events[i].Kind {
		case core.EventAdopted, core.EventRegistered, core.EventRetired, core.EventFounded, core.EventLeads, core.EventFollows:
			h.news = true
		}
	}
	if h.news {
		h.news = false
		h.expect()
	}
	answered := h.send(h.out.Send)
	if h.disk == nil {
		answered = h.send(h.out.After) || answered
	} else {
		answered = h.send(h.disk.take(&h.out)) || answered
	}
	h.out.Reset()
	h.tellUnderWay(answered)
}

// endSyncs lets leave what waited for syncs that have ended meanwhile. It returns false if
// there were none. A disk that has failed halts the node.
func (h *host) endSyncs() bool {
	left, some, err := h.disk.ended()
	if err != nil {
		h.halt = err
		return true
	}
	if some {
		h.tellUnderWay(h.send(left))
	}
	return some
}

// tellUnderWay tells the inbox how much the node has taken in and not answered yet.
func (h *host) tellUnderWay(answered bool) {
	operations, bytes := 0, 0
	if s, ok := h.node.(*core.Storage); ok {
		operations, bytes = s.UnderWay()
		if h.seen != nil && operations == 0 && (h.disk == nil || h.disk.gate.UnderWay() == 0) {
			h.seen.rests()
		}
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
			if h.seen != nil {
				h.seen.answers(e, h.now())
			}
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
