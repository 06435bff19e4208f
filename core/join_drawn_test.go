package core

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A drawnJoin is a primary, n1, that brings a node, n9, up to date while clients write. Both are
// real. How fast the network between them is and how far away n9, how much the group holds, how
// much is written and how fast, what the primary's options are, and what n9 holds already is
// drawn. The disks are as fast as can be.
type drawnJoin struct {
	t   *testing.T
	rng *rand.Rand
	now Time

	primary, joining *drawnNode
	config           *Config
	mail             drawnMail
	sent             int // messages, ever

	rate    int // of the network to n9, in bytes a second
	trip    time.Duration
	far     time.Duration // from the primary to n2, a member, if there is one
	loss    float64       // of what is between the primary and n9, and of what the manager gets
	deaf    float64       // of what the manager gets, beside that
	hears   *rand.Rand    // draws that
	freeAt  Time          // the network has room from then on
	matched Seq           // what n2 holds
	lies    bool          // n9 says that it holds another entry than it does

	writers  []*drawnWriter
	heavy    bool // more is written than the network to n9 carries
	values   int  // bytes of one
	value    string
	keys     int
	think    time.Duration // between a writer's answer and its next write
	joinRate int

	began, ended Time // of the join; Never before
	dead         Time // when n9 stops, or Never
	heard        Time // when n9 was last heard to have taken something in
	said         string
	pinged       Time
	progress     JoinProgress
	movedAt      Time              // when that last changed
	chunks       map[uint64]*Chunk // of the present attempt, that are under way
	taken        uint64            // bytes in those that were acked
	fed          bool              // it gets the log, or held all of what was
	attempt      uint64
	waits        Time // since when it waits for an answer
	again        Time // when chunks were last sent again
}

// A drawnNode is a node, and its mail to the others.
type drawnNode struct {
	*Storage
	out Output
}

type drawnWriter struct {
	client  Peer
	session Seq
	opSeq   uint64
	op      *Op // under way, or to be asked for
}

// drawnMail is what is under way, the first to arrive first.
type drawnMail []drawnLetter

type drawnLetter struct {
	at     Time
	number int
	Envelope
}

func (m drawnMail) Len() int { return len(m) }
func (m drawnMail) Less(i, j int) bool {
	return m[i].at < m[j].at || m[i].at == m[j].at && m[i].number < m[j].number
}
func (m drawnMail) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *drawnMail) Push(x any)   { *m = append(*m, x.(drawnLetter)) }
func (m *drawnMail) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// between draws a number whose logarithm is spread evenly.
func (w *drawnJoin) between(low, high float64) float64 {
	return low * math.Pow(high/low, w.rng.Float64())
}

func newDrawnJoin(t *testing.T, seed uint64) *drawnJoin {
	w := &drawnJoin{t: t, rng: rand.New(rand.NewPCG(seed, 5)), now: rigOrigin, began: Never, ended: Never, dead: Never, chunks: map[uint64]*Chunk{}}
	w.heavy = w.rng.IntN(2) == 0
	w.joinRate = int(w.between(1<<10, 32<<20))
	w.rate = int(w.between(slowRate, 64<<20)) // what is under way counts as moving at the least of these
	w.trip = time.Duration(w.between(0.1, 100) * float64(time.Millisecond))
	w.think = time.Duration(w.between(2, 100) * float64(time.Millisecond))
	w.values = int(w.between(10, 16<<10))
	writers := w.rng.IntN(12)
	if w.heavy {
		w.rate, w.joinRate, w.values = int(w.between(slowRate, 2*slowRate)), int(w.between(256<<10, 8<<20)), int(w.between(8<<10, 16<<10))
		w.think, writers = time.Duration(w.between(1, 4)*float64(time.Millisecond)), 8+w.rng.IntN(8)
	}
	w.keys = 1 + min(400, int(float64(min(w.joinRate, w.rate))*w.between(0.1, 3+40*1024/float64(w.joinRate)))/w.values)
	w.value = strings.Repeat("v", w.values)
	if w.rng.IntN(3) == 0 {
		w.loss = 0.03
	}
	if !w.heavy && w.rng.IntN(2) == 0 {
		w.far = time.Duration(w.between(0.1, 20) * float64(time.Millisecond))
	}
	w.hears = rand.New(rand.NewPCG(seed, 6))
	if w.hears.IntN(3) == 0 {
		w.deaf = 0.5
	}
	durable := w.rng.IntN(2) == 0
	o := StorageOptions{Self: peerOf("n1"), Manager: peerOf("m"), Durable: durable, JoinRate: w.joinRate,
		LogKeep: int(w.between(4, 1000)), LogKeepBytes: int(w.between(1<<10, 1<<20)), JoinLagMax: int(w.between(20, 5000)), ChunkItems: 1 + int(w.between(1, 100))}
	o.JoinLagBytes = int(float64(o.LogKeepBytes) * w.between(2, 100))
	if !w.heavy && w.rng.IntN(2) == 0 { // a log that is soon too long
		o.LogKeepBytes = w.values * (2 + w.rng.IntN(8))
		o.JoinLagBytes = 2*o.LogKeepBytes + w.rng.IntN(o.LogKeepBytes)
	}
	if w.heavy && w.rng.IntN(3) > 0 {
		o.JoinLagMax, o.JoinLagBytes = 0, 0 // as they are by default
	}
	w.primary = w.node(o)
	o.Self = peerOf("n9")
	w.joining = w.node(o)
	for i := range writers {
		p := peerOf("c1")
		p.ID += NodeID(i)
		w.writers = append(w.writers, &drawnWriter{client: p})
	}
	return w
}

func (w *drawnJoin) node(o StorageOptions) *drawnNode {
	s, err := NewStorage(o, Empty{})
	if err != nil {
		w.t.Fatal(err)
	}
	n := &drawnNode{Storage: s}
	w.step(n, peerOf("m"), &Registered{Boot: 1})
	return n
}

// step gives a node a message, or with none lets it do what is due.
func (w *drawnJoin) step(n *drawnNode, from Peer, body Message) {
	if body != nil {
		n.Step(w.now, Envelope{rigCluster, from, n.self, body}, &n.out)
	}
	for i := 0; n.Deadline() <= w.now; i++ {
		if i > 100 {
			w.t.Fatal("the node never comes to rest")
		}
		n.Tick(w.now, &n.out)
	}
	sent := append(append([]Envelope(nil), n.out.Send...), n.out.After...)
	n.out.Reset()
	for _, e := range sent {
		if e.To.ID == n.self.ID {
			w.step(n, n.self, e.Body)
		} else {
			w.leave(&e)
		}
	}
}

// leave puts a message on its way.
func (w *drawnJoin) leave(e *Envelope) {
	at := w.now
	joins := e.To.Addr == "n9" || e.From.Addr == "n9"
	unheard := e.To.Addr == "m" && w.hears.Float64() < w.deaf
	if (joins || e.To.Addr == "m") && w.rng.Float64() < w.loss || joins && w.now >= w.dead || unheard {
		w.onLost(e)
		return
	}
	switch {
	case e.To.Addr == "n9":
		w.noteChunk(e.Body)
		w.freeAt = max(w.freeAt, w.now).After(time.Duration(messageBytes(e.Body)) * time.Second / time.Duration(w.rate))
		at = w.freeAt.After(w.trip / 2)
	case joins:
		at = at.After(w.trip / 2)
	case e.To.Addr == "n2":
		at = at.After(w.far / 2)
	}
	w.sent++
	heap.Push(&w.mail, drawnLetter{at, w.sent, *e})
}

func (w *drawnJoin) onLost(e *Envelope) {
	if e.To.Addr == "n9" {
		w.noteChunk(e.Body)
	}
}

// messageBytes is what a message takes of the network.
func messageBytes(m Message) int {
	n := 64
	switch m := m.(type) {
	case *Chunk:
		for i := range m.Items {
			n += m.Items[i].bytes()
		}
	case *Replicate:
		n += size(m.Entries)
	}
	return n
}

// arrive takes a message in where it is addressed to.
func (w *drawnJoin) arrive(e *Envelope) {
	switch e.To.Addr {
	case "n1":
		lied := w.onHeard(e)
		w.step(w.primary, e.From, e.Body)
		if x := w.primary.groups[0].tenure.transfer; lied && x != nil && x.attempt == e.Body.(*ChunkAck).Attempt {
			w.t.Fatalf("the primary goes on from %+v, which is no entry of its log", e.Body)
		}
	case "n9":
		w.step(w.joining, e.From, e.Body)
	case "n2":
		if r, ok := e.Body.(*Replicate); ok {
			w.matched = max(w.matched, r.Prev.Seq+Seq(len(r.Entries)))
			w.leave(&Envelope{rigCluster, e.To, e.From, &Ack{Group: 1, Epoch: r.Epoch, Round: r.Round, Matched: r.Prev.Seq + Seq(len(r.Entries))}})
		}
	case "m":
		w.onManager(e)
	default:
		w.answered(e)
	}
}

// noteChunk: a chunk that was not acked is sent again when the time for that is over, and this is
// longer the more is under way.
func (w *drawnJoin) noteChunk(m Message) {
	c, ok := m.(*Chunk)
	if !ok {
		return
	}
	if c.Attempt != w.attempt {
		w.attempt, w.waits, w.taken, w.fed = c.Attempt, w.now, 0, false
		clear(w.chunks)
	}
	if len(w.chunks) == 0 {
		w.waits = w.now
	}
	if w.chunks[c.Number] == nil {
		w.chunks[c.Number] = c
		return
	}
	bytes := 0
	for _, c := range w.chunks {
		bytes += messageBytes(c) - 64
	}
	least := w.primary.opt.ResendInterval + transferTime(bytes)
	if waited := w.now.Since(w.waits); w.now != w.again && waited < least {
		w.t.Fatalf("chunk %d is sent again after %v, with %d bytes under way, for which that takes %v", c.Number, waited, bytes, least)
	}
	w.again, w.waits = w.now, w.now
}

// onHeard notes what the joining node says that it has. It tells whether that is not so.
func (w *drawnJoin) onHeard(e *Envelope) (lied bool) {
	if e.From.Addr != "n9" {
		return false
	}
	if said := fmt.Sprintf("%+v", e.Body); said != w.said {
		w.said, w.heard = said, w.now
	}
	a, ok := e.Body.(*ChunkAck)
	if !ok || a.Attempt != w.attempt {
		return false
	}
	if a.Held.Seq > 0 && w.lies {
		a.Held.Epoch++
		return true
	}
	w.fed = w.fed || a.Held.Seq > 0
	for n, c := range w.chunks {
		if n < a.Next {
			w.fed = w.fed || c.Last
			w.taken += uint64(messageBytes(c) - 64)
			delete(w.chunks, n)
			w.waits = w.now
		}
	}
	return false
}

// onManager: the manager makes the node a member when it is asked to.
func (w *drawnJoin) onManager(e *Envelope) {
	switch b := e.Body.(type) {
	case *Pong:
		if e.From.Addr == "n1" {
			w.onProgress(b.Join)
		}
	case *CaughtUp:
		if b.Epoch == w.config.Epoch && w.config.Joining.ID == b.Node {
			c := *w.config
			c.Epoch++
			c.Chain, c.Joining, c.Start = append(append([]Peer(nil), c.Chain...), c.Joining), Peer{}, 0
			w.ended = w.now
			w.issue(&c)
		}
	}
}

// joinTimeout is how long a join may make no progress before the manager gives it up.
var joinTimeout = DefaultManagerOptions().JoinTimeout

func (w *drawnJoin) onProgress(p *JoinProgress) {
	if p == nil || w.ended != Never || w.now >= w.dead {
		return
	}
	if !w.fed && p.Bytes > w.taken {
		w.t.Fatalf("%d bytes are told to be there, and %d are", p.Bytes, w.taken)
	}
	if *p != w.progress {
		w.progress, w.movedAt = *p, w.now
	}
	if idle := w.now.Since(w.movedAt); idle > joinTimeout {
		w.t.Fatalf("the join makes no progress for %v: %+v", idle, p)
	}
}

// answered: a client has its answer.
func (w *drawnJoin) answered(e *Envelope) {
	r, ok := e.Body.(*Reply)
	if !ok {
		return
	}
	for _, u := range w.writers {
		if u.client.ID != e.To.ID || u.op == nil || u.op.Req != r.Req {
			continue
		}
		again := 5 * time.Millisecond
		if r.Status == StatusOK {
			if u.op.Kind == OpOpen {
				u.session = r.Version
			}
			u.op, again = nil, w.think/2+time.Duration(w.rng.Int64N(int64(w.think)))
		}
		w.wake(u, again)
	}
}

// wake has a writer ask in some time.
func (w *drawnJoin) wake(u *drawnWriter, d time.Duration) {
	w.sent++
	heap.Push(&w.mail, drawnLetter{w.now.After(d), w.sent, Envelope{To: u.client}})
}

func (w *drawnJoin) ask(u *drawnWriter) {
	if u.op == nil {
		w.sent++
		u.op = &Op{Group: 1, Req: uint64(w.sent), Kind: OpOpen}
		if u.session > 0 {
			u.opSeq++
			u.op.Kind, u.op.Session, u.op.OpSeq, u.op.Key = OpPut, u.session, u.opSeq, fmt.Sprintf("k%d", w.rng.IntN(w.keys))
			if w.rng.IntN(10) == 0 {
				u.op.Kind = OpDelete
			} else {
				u.op.Value = w.value
			}
		}
	}
	w.step(w.primary, u.client, u.op)
}

// issue tells all of a config.
func (w *drawnJoin) issue(c *Config) {
	w.config = c
	w.step(w.primary, peerOf("m"), c)
	if w.now < w.dead {
		w.step(w.joining, peerOf("m"), c)
	}
}

// run lets time pass until done, or a time.
func (w *drawnJoin) run(until Time, done func() bool) {
	for !done() {
		next := min(w.primary.Deadline(), w.joining.Deadline(), w.pinged, until)
		if len(w.mail) > 0 {
			next = min(next, w.mail[0].at)
		}
		w.now = max(w.now, next)
		if w.now >= until {
			return
		}
		switch {
		case len(w.mail) > 0 && w.mail[0].at <= w.now:
			e := heap.Pop(&w.mail).(drawnLetter)
			if e.Body == nil {
				for _, u := range w.writers {
					if u.client.ID == e.To.ID {
						w.ask(u)
					}
				}
			} else {
				w.arrive(&e.Envelope)
			}
		case w.pinged <= w.now:
			w.pinged = w.now.After(50 * time.Millisecond)
			w.step(w.primary, peerOf("m"), &Ping{Nonce: 1, Boot: 1, Start: 5, Token: 3})
		default:
			w.step(w.primary, Peer{}, nil)
			w.step(w.joining, Peer{}, nil)
		}
		w.look()
	}
}

// look: a request waits for the joining node only as long as it has to, and for none that has
// stopped.
func (w *drawnJoin) look() {
	g := w.primary.groups[0]
	t := g.tenure
	if t == nil || !t.reconciled || len(t.parked) == 0 || w.primary.Deadline() <= w.now {
		return
	}
	if !g.holds() {
		w.t.Fatalf("%d requests wait for nothing", len(t.parked))
	}
	if silent := w.now.Since(max(w.heard, w.began)); silent > squeezeStall+100*time.Millisecond {
		w.t.Fatalf("%d requests wait for a node that was not heard for %v", len(t.parked), silent)
	}
}

// play fills the group, has n9 join, and ends when it is a member, with the same state.
func (w *drawnJoin) play() (took time.Duration) {
	held := w.rng.IntN(2) == 0
	chain := []string{"n1"}
	if w.far > 0 {
		chain = append(chain, "n2")
	}
	first := config(1, chain...)
	if held {
		first = config(1, append(chain, "n9")...)
	}
	w.issue(first)
	w.fill()
	without := config(2, chain...)
	w.issue(without)
	for _, u := range w.writers {
		w.wake(u, 0)
	}
	w.run(w.now.After(time.Duration(w.rng.Int64N(int64(time.Second)))), func() bool { return false })
	w.lies = held && w.rng.IntN(4) == 0
	joins := config(3, chain...)
	joins.Joining, joins.Start = w.joining.self, 3
	w.began, w.movedAt = w.now, w.now
	w.issue(joins)
	if w.rng.IntN(3) == 0 {
		w.dead = w.now.After(time.Duration(w.between(10, 3000)) * time.Millisecond)
	}
	w.run(w.now.After(w.bound()), func() bool { return w.ended != Never })
	if w.ended == Never {
		if w.dead == Never {
			w.t.Fatalf("the join does not end in %v: %+v, %d bytes a second", w.bound(), w.progress, w.rate)
		}
		return 0
	}
	took = w.ended.Since(w.began)
	w.writers = nil
	w.run(w.now.After(5*time.Second), func() bool { return w.dead != Never })
	if w.dead == Never {
		w.sameState()
	}
	return took
}

// bound is how long a join takes at most. It gets half of the network, as the writers are held
// back to half of what it takes in; and up to four attempts are made before that.
func (w *drawnJoin) bound() time.Duration {
	bytes := float64(w.keys * (w.values + 64))
	return 15*time.Second + time.Duration(10*bytes/float64(min(w.joinRate, w.rate))*float64(time.Second))
}

// fill writes all keys.
func (w *drawnJoin) fill() {
	u := &drawnWriter{client: peerOf("c99")}
	w.writers = append(w.writers, u)
	defer func() { w.writers = w.writers[:len(w.writers)-1] }()
	until := w.now.After(time.Hour)
	do := func(op *Op) {
		w.sent++
		op.Group, op.Req = 1, uint64(w.sent)
		u.op = op
		w.step(w.primary, u.client, op)
		w.run(until, func() bool { return u.op == nil })
	}
	do(&Op{Kind: OpOpen})
	for i := range w.keys {
		do(&Op{Kind: OpPut, Session: u.session, OpSeq: uint64(i + 1), Key: fmt.Sprintf("k%d", i), Value: w.value})
	}
	w.mail = w.mail[:0]
}

// sameState: the two hold the same.
func (w *drawnJoin) sameState() {
	p, j := w.primary.groups[0], w.joining.groups[0]
	if j.commit != p.commit || p.commit != p.log.last() {
		w.t.Fatalf("the member knows %d to be committed, and the primary %d of %d", j.commit, p.commit, p.log.last())
	}
	for slot := range p.state.values.len() {
		it := p.state.values.at(slot)
		if v, _ := j.state.values.get(it.key); v != it.value {
			w.t.Fatalf("%s is %+v, and at the new member %+v", it.key, it.value, v)
		}
	}
	if p.state.values.len() != j.state.values.len() {
		w.t.Fatal("the new member holds other keys")
	}
	same(w.t, p.state.sessions.records(), j.state.sessions.records())
}

// TestAJoinEndsUnderAnyLoad: a node that is told to join is a member in time, whatever is written,
// and however slow and far away it is; meanwhile the manager sees that it gets on, nothing is sent
// again that is only on its way, and no writer waits without a reason.
func TestAJoinEndsUnderAnyLoad(t *testing.T) {
	first, runs := drawnSeeds(t, 200, 40) // with 219, in which a trim ends what holds writers back
	for seed := first; seed < first+runs; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			w := newDrawnJoin(t, seed)
			writers := len(w.writers)
			took := w.play()
			t.Logf("it took %v of %v: %d keys of %d bytes, %d bytes a second of %d, %d writers, %v between writes", took, w.bound(), w.keys, w.values, w.joinRate, w.rate, writers, w.think)
		})
	}
}
