package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/rpc"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
)

const (
	// unansweredMax bounds the Delivers under way in a direction. It is small: what
	// waits meanwhile goes in one batch.
	unansweredMax = 4

	// inlineBytesMax is how much whoever has something to send encodes and writes itself.
	// More would keep it too long from what it does.
	inlineBytesMax = 128 << 10

	// answersMax is how many answers may be on their way to the peer's own buffers before
	// no more is read: far more than a peer asks for that keeps to unanswered calls. So two
	// peers never wait for each other to read.
	answersMax = 64

	// peersNotedMax bounds the peers reported when a connection breaks. There is
	// one at most addresses; more where a node came back as another.
	peersNotedMax = 16
)

// duplex is a connection on which each end calls the other. One goroutine reads it, that
// of net/rpc's client: it is given the responses, and serves the requests between them.
// Whoever has something to say writes it, as far as that needs no waiting. So a message
// wakes one goroutine at its receiver, and none at its sender. What cannot be written at
// once is left to the goroutine that runs speak.
//
// The response to a Deliver says nothing but that there is room for the next. So it does
// not leave by itself, but with what is said next on the connection; at the latest when
// half of those that may be unanswered are, or with the response to a Hello.
type duplex struct {
	*stream
	t      *Transport
	owner  *conn // nil on a connection of ours
	client *rpc.Client
	queue  *Queue        // what is to be delivered to the peer
	source *Source       // by which what the peer delivers comes into the inbox
	broken chan struct{} // closed when nothing more will be read

	// Of the goroutine that reads.
	body      []byte // of the frame that is being read
	method    byte   // of the request that is being served, and its number
	seq       uint64
	like      core.Envelope
	delivered bool // something has come into the inbox that the node was not driven for
	late      bool // the request that is being served is answered later
	full      bool // there may be too many answers

	sent    atomic.Uint64 // Delivers so far
	writing atomic.Bool   // what is to be said is up to speak; mu is held when it becomes true

	mu      sync.Mutex
	changed sync.Cond   // less is to be written, or behind
	batch   Batch       // that is being encoded
	out     *buffer     // encoded and not written; nil for nothing
	held    int         // bytes that are charged for what is in out
	owed    int         // responses to Delivers in out
	answers int         // all responses that are in out, or being written
	urgent  bool        // the peer waits for something in out
	under   int         // Delivers of ours that are not answered
	taken   int         // Delivers of ours that were answered, so far
	asked   bool        // a Hello of ours is under way
	dead    bool        // nothing can be said any more
	behind  []behind    // for which there was no room in the inbox
	peers   []core.Peer // to whom something was sent; of a connection of ours
}

// behind is a batch for which there was no room, and the number of its Deliver.
type behind struct {
	list []core.Envelope
	seq  uint64
}

// ignored is where net/rpc reports calls that end. Nobody need be told: the codec sees
// their responses.
var ignored = make(chan *rpc.Call, 1)

func newDuplex(t *Transport, s *stream, owner *conn, queue *Queue, source *Source) *duplex {
	d := &duplex{stream: s, t: t, owner: owner, queue: queue, source: source, broken: make(chan struct{})}
	d.changed.L = &d.mu
	if owner != nil {
		owner.duplex.Store(d)
	}
	d.mu.Lock() // the goroutine that reads may want to say something at once
	defer d.mu.Unlock()
	d.client = rpc.NewClientWithCodec((*caller)(d))
	return d
}

// caller is a duplex as the codec of net/rpc's client, and so of the goroutine that reads.
type caller duplex

// WriteRequest implements rpc.ClientCodec: it encodes a request. The caller holds mu, and
// sees to it that it leaves.
func (c *caller) WriteRequest(r *rpc.Request, body any) error {
	d := (*duplex)(c)
	d.append(methodOf(r.ServiceMethod), r.Seq, body)
	return nil
}

// ReadResponseHeader implements rpc.ClientCodec. It serves the requests that come before
// the next response. An error ends the connection.
func (c *caller) ReadResponseHeader(r *rpc.Response) error {
	d := (*duplex)(c)
	for {
		err := d.next()
		if err == nil && d.method < callDone {
			if err = d.t.rpc.ServeRequest((*served)(d)); err == nil {
				continue
			}
		}
		if err == nil && d.method == callFailed {
			err = fmt.Errorf("the peer refused a call: %.256s", d.body)
		}
		if err != nil {
			d.end(err)
			return err
		}
		r.Seq = d.seq
		return nil
	}
}

// ReadResponseBody implements rpc.ClientCodec. The body is nil if nobody made the call.
func (c *caller) ReadResponseBody(body any) error {
	d := (*duplex)(c)
	err := decodeBody(d.body, false, body, &d.like)
	if body == nil {
		err = fmt.Errorf("%w: the answer to a call that was not made", errProtocol)
	}
	d.settled(0)
	if err != nil {
		d.end(err)
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch body.(type) {
	case *Empty:
		d.under--
		d.taken++
	case *Hello:
		d.asked = false
	}
	d.say()
	return nil
}

// Close implements rpc.ClientCodec.
func (c *caller) Close() error {
	(*duplex)(c).kill()
	return nil
}

// served is a duplex as the codec of net/rpc's server, for the one request that is read.
type served duplex

// ReadRequestHeader implements rpc.ServerCodec.
func (c *served) ReadRequestHeader(r *rpc.Request) error {
	r.ServiceMethod, r.Seq = methodNames[c.method], c.seq
	return nil
}

// ReadRequestBody implements rpc.ServerCodec. A batch learns on which connection it came.
func (c *served) ReadRequestBody(body any) error {
	d := (*duplex)(c)
	b, ok := body.(*Batch)
	if ok {
		b.duplex = d
	}
	err := decodeBody(d.body, d.in != nil && d.in.values, body, &d.like)
	if ok && d.in != nil {
		d.learn(len(d.in.b), isMostlyOne(b.envelopes, len(d.in.b)))
	}
	if ok && err == nil {
		b.envelopes, err = d.believe(b.envelopes)
	}
	if err != nil || !ok {
		d.settled(0)
	}
	return err
}

// WriteResponse implements rpc.ServerCodec.
func (c *served) WriteResponse(r *rpc.Response, body any) error {
	d := (*duplex)(c)
	if r.Error != "" { // it could not be decoded: the connection ends
		return nil
	}
	if d.late {
		d.late = false
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer(r.Seq, body)
	d.full = d.answers > answersMax
	return nil
}

// Close implements rpc.ServerCodec. A connection is not closed for one request.
func (c *served) Close() error { return nil }

// answer encodes a response. The caller holds mu.
func (d *duplex) answer(seq uint64, body any) {
	d.append(callDone, seq, body)
	d.answers++
	if _, ok := body.(*Empty); ok {
		d.owed++
	} else {
		d.urgent = true
	}
}

// append adds a frame to what is to be written. The caller holds mu.
func (d *duplex) append(kind byte, seq uint64, body any) {
	if d.out == nil {
		d.out = newBuffer()
	}
	m := d.out.begin()
	d.out.b = binary.AppendUvarint(append(d.out.b, kind), seq)
	appendBody(d.out, body)
	d.out.end(m)
}

// next reads the next frame.
func (d *duplex) next() error {
	if err := d.skipFrame(); err != nil {
		return err
	}
	d.gather()
	if d.full || !d.whole() {
		d.pause()
	}
	b, err := d.readFrame()
	if err != nil {
		return err
	}
	if len(b) < 2 || b[0] == 0 || b[0] >= frameKindEnd {
		return fmt.Errorf("%w: a malformed frame", errProtocol)
	}
	seq, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return fmt.Errorf("%w: a malformed frame", errProtocol)
	}
	switch {
	case d.owner == nil:
	case b[0] == methodHello: // which only asks for a sign of life
		d.owner.slow(helloWork, batchWork)
	default:
		d.owner.usedAt.Store(d.owner.clock())
	}
	d.method, d.seq, d.body = b[0], seq, b[1+n:]
	return nil
}

// settled gives back the memory of the frame that was read, and charges what stays of it.
func (d *duplex) settled(bytes int) {
	d.body = nil
	d.freeFrame() // before it is settled: what is not charged is not held
	if d.owner != nil {
		d.owner.settle(bytes)
	}
}

// pause is called before the goroutine that reads waits for something. What it has read
// is acted on, and what is to be said because of it is said.
func (d *duplex) pause() {
	if d.delivered {
		d.delivered = false
		d.t.opt.Drive()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.urgent || d.owed >= unansweredMax/2 {
		d.flush()
	}
	for !d.dead && (d.answers > answersMax || len(d.behind) >= d.t.opt.WindowMax) {
		d.changed.Wait()
	}
	d.full = false
}

// deliver puts a batch into the inbox, or lets it wait there for room. Meanwhile the peer
// can still ask for a sign of life.
func (d *duplex) deliver(b *Batch) {
	list := b.envelopes
	if d.owner != nil {
		work := workOf(list)
		list = d.owner.received(list)
		d.settled(bytesOf(list))
		d.owner.slow(work, work)
	} else {
		list = d.t.strangers(list)
		d.settled(0)
	}
	if len(list) == 0 {
		return
	}
	if d.put(list) {
		return
	}
	if d.delivered {
		d.delivered = false
		d.t.opt.Drive()
		if d.put(list) {
			return
		}
	}
	d.late = true
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behind = append(d.behind, behind{list, d.seq})
	if len(d.behind) == 1 {
		go d.catchUp()
	}
}

// put puts what was delivered into the inbox, if there is room, and nothing waits for that.
func (d *duplex) put(list []core.Envelope) bool {
	d.mu.Lock()
	ahead := len(d.behind)
	d.mu.Unlock()
	if ahead > 0 || d.source.put(list, false) != nil {
		return false
	}
	d.delivered = true
	return true
}

// catchUp waits for room for the batches that are behind.
func (d *duplex) catchUp() {
	for {
		d.mu.Lock()
		next := d.behind[0]
		d.mu.Unlock()
		if d.source.put(next.list, true) != nil && d.owner != nil {
			d.owner.account.give(bytesOf(next.list))
		}
		d.source.in.Notify()
		d.mu.Lock()
		d.behind = slices.Delete(d.behind, 0, 1)
		d.answer(next.seq, &Empty{})
		d.flush()
		d.changed.Broadcast()
		last := len(d.behind) == 0
		d.mu.Unlock()
		if last {
			return
		}
	}
}

// leave says what waits in the queue.
func (d *duplex) leave() {
	if d.writing.Load() {
		d.queue.Notify() // speak looks again
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		d.queue.Notify() // it may go by the next connection
		return
	}
	d.say()
}

// say encodes what waits and writes it, if that is little and needs no waiting; else it
// leaves that to speak. The caller holds mu.
func (d *duplex) say() {
	if d.writing.Load() || d.dead {
		return
	}
	waits := d.queue.size()
	if d.under == unansweredMax {
		waits = 0
	}
	if waits > inlineBytesMax {
		d.handOver()
		return
	}
	if waits > 0 {
		d.encode()
	}
	if d.urgent {
		d.flush()
	}
	if d.under < unansweredMax && d.queue.size() > 0 {
		d.handOver()
	}
}

func (d *duplex) handOver() {
	d.writing.Store(true)
	d.queue.Notify()
}

// encode makes one Deliver of what waits. The caller holds mu.
func (d *duplex) encode() {
	var bytes int
	d.batch.envelopes, bytes = d.queue.Take(d.batch.envelopes[:0], batchCountMax, batchBytesMax)
	if len(d.batch.envelopes) == 0 {
		return
	}
	if d.owner == nil {
		d.peers = notePeers(d.peers, d.batch.envelopes)
	}
	if bytes > keepBytesMax {
		if d.out == nil {
			d.out = newBuffer()
		}
		if need := len(d.out.b) + bytes - largeIn(d.batch.envelopes); need > cap(d.out.b) {
			d.out = d.out.grow(need)
		}
	}
	d.under++
	d.sent.Add(1)
	d.client.Go(methodNames[methodDeliver], &d.batch, &Empty{}, ignored)
	clear(d.batch.envelopes)
	d.held += bytes
	d.urgent = true
}

// noted returns those to whom something was sent.
func (d *duplex) noted() []core.Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers
}

// note adds those to whom something was sent on the connection before.
func (d *duplex) note(peers []core.Peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range peers {
		d.peers = notePeers(d.peers, []core.Envelope{{To: p}})
	}
}

// flush writes what is to be written, as far as that needs no waiting, and leaves the
// rest to speak. The caller holds mu.
func (d *duplex) flush() {
	if d.out == nil || d.writing.Load() || d.dead {
		return
	}
	n := d.writeNow(d.out)
	if n == d.out.size() {
		d.answers = 0
		d.wrote(d.takeOut())
		if d.carrier.behind() {
			d.handOver()
		}
		return
	}
	d.out.drop(n)
	d.handOver()
}

// takeOut takes what is to be written, and the bytes that are charged for it.
func (d *duplex) takeOut() (b *buffer, held int) {
	b, held = d.out, d.held
	d.out, d.held, d.owed, d.urgent = nil, 0, 0, false
	return b, held
}

// wrote frees what was written.
func (d *duplex) wrote(b *buffer, held int) {
	b.free()
	d.queue.account.give(held)
}

var errUnusedLine = errors.New("nothing was sent for long")

// speak says what others leave to it, until the connection breaks, the context ends, or
// nothing was sent for idle; then the error is errUnusedLine.
func (d *duplex) speak(ctx context.Context, idle time.Duration) error {
	timer := time.NewTimer(idle)
	defer timer.Stop()
	d.handOver()
	var sent uint64
	for {
		select {
		case <-d.queue.Wake:
			if err := d.sayAll(); err != nil {
				return err
			}
		case <-timer.C:
			if d.retire(&sent) {
				return errUnusedLine
			}
			timer.Reset(idle)
		case <-d.broken:
			return errBroken
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// retire tells whether nothing was sent since the last call. Then nothing will be.
func (d *duplex) retire(sent *uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.sent.Load()
	if *sent != n {
		*sent = n
		return false
	}
	d.dead = true
	return true
}

var errBroken = errors.New("the connection broke")

// sayAll writes what is to be written and what waits, but for what must wait for an answer.
func (d *duplex) sayAll() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writing.Store(true)
	for !d.dead {
		if d.out == nil && d.under < unansweredMax {
			d.encode()
		}
		if d.out == nil {
			if !d.carrier.behind() {
				break
			}
			d.out = newBuffer() // with nothing in it: what TLS holds goes
		}
		answers := d.answers
		b, held := d.takeOut()
		d.mu.Unlock()
		if d.owner != nil {
			d.owner.writeAt.Store(d.owner.clock())
		}
		err := d.writeFrames(b)
		if d.owner != nil {
			d.owner.writeAt.Store(0)
		}
		d.wrote(b, held)
		d.mu.Lock()
		d.answers -= answers
		d.changed.Broadcast()
		if err != nil {
			return err
		}
	}
	d.writing.Store(false)
	return nil
}

// kill closes the connection. What was to be said on it is lost.
func (d *duplex) kill() {
	d.stream.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	if d.out != nil {
		d.wrote(d.takeOut())
	}
	d.changed.Broadcast()
}

// end ends the connection; only the goroutine that reads calls it.
func (d *duplex) end(why error) {
	d.settled(0)
	d.t.ended(d.stream, why)
	if d.owner != nil {
		d.owner.linger(why)
	}
	d.kill()
	if d.owner != nil {
		d.owner.end(why)
	}
	close(d.broken)
}

// ask asks the peer for a sign of life. A process that is too busy to take envelopes in
// gives one all the same.
func (d *duplex) ask() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked || d.dead {
		return
	}
	d.asked, d.urgent = true, true
	d.client.Go(methodNames[methodHello], &Empty{}, new(Hello), ignored)
	d.flush()
}

// stuck tells whether as many Delivers as may be are unanswered, and none was answered
// since the last call.
func (d *duplex) stuck(taken *int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	stuck := d.under == unansweredMax && d.taken == *taken
	*taken = d.taken
	return stuck
}

// due tells whether an answer is due.
func (d *duplex) due() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.under > 0 || d.asked
}
