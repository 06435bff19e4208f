package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A workbench is a primary among members, and perhaps a joining node, that take in what they get at drawn
// speeds, and at times nothing. What it tells the manager of them is held against what they did.
type workbench struct {
	*rapid.T
	s    *Storage
	opt  StorageOptions
	now  Time
	out  Output
	due  []deed // in the order of their times
	list []*member
	size []int // of the log's entries
	join *joinSide

	stopAt, leaveAsked Time // when it was asked to stop, or Never; when it last asked to be let go
	ended              bool
	nonce              uint64
	key                int
}

// member is a replica.
type member struct {
	peer  Peer
	delay time.Duration // of its answers
	rate  int           // bytes that it takes in, in a millisecond
	deaf  bool
	free  Time // when it has taken in what came before

	holds Seq // what it has
	// What the primary knows.
	asked, answered uint64
	acked           bool
	matched, sent   Seq
	since, told     Time // since when it owes progress; when it was reported last
	most            int  // bytes under way since then
	trips           tripRecord
	rounds          map[uint64]Time
}

// joinSide is the joining node.
type joinSide struct {
	peer    Peer
	delay   time.Duration
	next    uint64
	sizes   map[uint64]int // of the chunks that it was sent
	sent    uint64
	acked   int // bytes that it has said that it has
	all     bool
	shown   uint64
	shownAt Time
	waits   bool // all that was sent is acked, and it is not all: the primary waits for the rate
}

// TestAPrimaryReportsWhoOwesItAnswers: who takes in what it was sent, however slowly, is not reported, and
// who does not is; a join's progress is what the joining node has, and what the rate allows; and
// a member that is asked to stop says so, and serves until it is let go.
func TestAPrimaryReportsWhoOwesItAnswers(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := &workbench{T: r, now: rigOrigin, stopAt: Never, size: []int{0}}
		b.opens()
		for range rapid.IntRange(1, 25).Draw(r, "acts") {
			b.act()
			b.run(b.pick("pause", 0, 1, 20, 100, 300, 900, 2500))
		}
		b.run(b.pick("end", 100, 4000))
	})
}

func (b *workbench) pick(label string, list ...time.Duration) time.Duration {
	return rapid.SampledFrom(list).Draw(b.T, label) * time.Millisecond
}

func (b *workbench) opens() {
	o := DefaultStorageOptions()
	o.Self, o.Manager = peerOf("n1"), Peer{Addr: "m"}
	o.JoinRate = rapid.SampledFrom([]int{32 << 10, 1 << 20, 1 << 30}).Draw(b.T, "rate")
	o.ChunkItems = rapid.SampledFrom([]int{1, 16}).Draw(b.T, "items")
	s, err := NewStorage(o, Empty{})
	if err != nil {
		b.Fatal(err)
	}
	b.s, b.opt = s, *s.opt
	b.ticks()
	b.step(peerOf("m"), &Registered{Boot: 1})
	n := config(1, "n1", "n2", "n3")
	n.Chain = n.Chain[:rapid.IntRange(2, 3).Draw(b.T, "members")]
	for _, p := range n.Chain[1:] {
		b.list = append(b.list, &member{peer: p, rate: 1 << 20, since: Never, told: longAgo, rounds: map[uint64]Time{}})
	}
	b.step(peerOf("m"), &Ping{Nonce: 1, Token: 7, Boot: 1})
	b.step(peerOf("m"), n)
	b.run(time.Millisecond)
	b.step(peerOf("c1"), &Op{Group: 1, Req: 1, Kind: OpOpen})
	b.run(time.Millisecond)
	for range rapid.IntRange(0, 12).Draw(b.T, "before") {
		b.put()
	}
	b.run(50 * time.Millisecond)
}

func (b *workbench) put() {
	b.key++
	size := rapid.SampledFrom([]int{1, 1, 20_000, 300_000, 1 << 20}).Draw(b.T, "size")
	b.step(peerOf("c1"), &Op{Group: 1, Req: uint64(b.key + 1), Kind: OpPut, Session: 1, OpSeq: uint64(b.key), Key: fmt.Sprint("k", b.key%9), Value: strings.Repeat("x", size)})
}

func (b *workbench) act() {
	m := rapid.SampledFrom(b.list).Draw(b.T, "who")
	switch rapid.IntRange(0, 9).Draw(b.T, "act") {
	case 0, 1, 2:
		for range rapid.IntRange(1, 4).Draw(b.T, "puts") {
			b.put()
		}
	case 3:
		m.deaf = !m.deaf
	case 4, 5:
		m.delay, m.rate = b.pick("delay", 0, 5, 100, 400, 900), rapid.SampledFrom([]int{1 << 20, 12_000, 5_000}).Draw(b.T, "speed")
	case 6:
		if b.join == nil {
			b.join = &joinSide{peer: peerOf("n9"), delay: b.pick("joins at", 0, 10, 300), sizes: map[uint64]int{}}
			c := *b.s.Config(1)
			c.Epoch, c.Joining, c.Start = c.Epoch+1, b.join.peer, c.Epoch+1
			for _, m := range b.list {
				m.acked = false
			}
			b.step(peerOf("m"), &c)
		}
	case 7, 8:
		for range rapid.IntRange(1, 20).Draw(b.T, "pings") {
			b.nonce++
			b.step(peerOf("m"), &Ping{Nonce: 1 + b.nonce, Token: 7, Boot: 1})
			b.run(20 * time.Millisecond)
		}
	case 9:
		if rapid.IntRange(0, 4).Draw(b.T, "stops") == 0 && b.stopAt == Never {
			b.stopAt = b.now
			b.step(b.s.self, &Stop{})
			if b.leaveAsked != b.now {
				b.Fatalf("it is asked to stop, and does not say so")
			}
		}
	}
}

func (b *workbench) after(at Time, do func()) {
	i, _ := slices.BinarySearchFunc(b.due, at, func(d deed, at Time) int { return cmp.Or(cmp.Compare(d.at, at), -1) })
	b.due = slices.Insert(b.due, i, deed{at, do})
}

func (b *workbench) step(from Peer, m Message) {
	if !b.ended {
		b.s.Step(b.now, Envelope{rigCluster, from, b.s.self, m}, &b.out)
		b.ticks()
	}
}

// ticks has the primary do what is due, and carries out what it wants: its memory takes no time.
func (b *workbench) ticks() {
	for b.s.Deadline() <= b.now {
		b.s.Tick(b.now, &b.out)
	}
	sent := slices.Concat(b.out.Send, b.out.After)
	b.out.Reset()
	for i := range sent {
		if sent[i].To.ID == b.s.self.ID {
			b.step(b.s.self, sent[i].Body)
		}
	}
	for i := range sent {
		b.sees(sent[i].To, sent[i].Body)
	}
	b.checkSilence()
}

// run lets d pass.
func (b *workbench) run(d time.Duration) {
	for end := b.now.After(d); !b.ended; {
		at := b.s.Deadline()
		if len(b.due) > 0 {
			at = min(at, b.due[0].at)
		}
		if at > end {
			b.now = end
			b.checkSilence()
			return
		}
		b.now = max(b.now, at)
		if len(b.due) > 0 && b.due[0].at <= b.now {
			do := b.due[0].do
			b.due = b.due[1:]
			do()
			continue
		}
		b.ticks()
	}
}

func (b *workbench) sees(to Peer, body Message) {
	switch m := body.(type) {
	case *Replicate:
		for _, o := range b.list {
			if o.peer.ID == to.ID {
				b.replicated(o, m)
			}
		}
		if j := b.join; j != nil && to.ID == j.peer.ID {
			b.after(b.now.After(j.delay), func() {
				b.step(j.peer, &Ack{Group: 1, Epoch: m.Epoch, Round: m.Round, Matched: m.Prev.Seq + Seq(len(m.Entries))})
			})
		}
	case *Suspect:
		b.reported(m)
	case *Chunk:
		b.copied(m)
	case *Pong:
		b.shows(m)
	case *Farewell:
		if b.stopAt != Never && b.now.Since(b.stopAt) < 3*b.opt.RegisterInterval {
			b.Fatalf("it says farewell %v after it was asked to stop, and nobody has let it go", b.now.Since(b.stopAt))
		}
		b.ended = true
	}
}

// replicated has a member take in what it was sent, after a time.
func (b *workbench) replicated(o *member, m *Replicate) {
	bytes := 0
	for i := range m.Entries {
		e := &m.Entries[i]
		if seq := m.Prev.Seq + 1 + Seq(i); int(seq) == len(b.size) {
			b.size = append(b.size, len(e.Key)+len(e.Value))
		}
		bytes += len(e.Key) + len(e.Value)
	}
	o.sent = max(o.sent, m.Prev.Seq+Seq(len(m.Entries)))
	o.asked = max(o.asked, m.Round)
	if _, known := o.rounds[m.Round]; !known {
		o.rounds[m.Round] = b.now
	}
	if o.since == Never {
		o.since = b.now
	}
	if o.deaf {
		return
	}
	o.free = max(o.free, b.now).After(time.Duration(bytes/o.rate) * time.Millisecond)
	b.after(o.free.After(o.delay), func() {
		if m.Prev.Seq <= o.holds {
			o.holds = max(o.holds, m.Prev.Seq+Seq(len(m.Entries)))
		}
		a := &Ack{Group: 1, Epoch: m.Epoch, Round: m.Round, Matched: min(o.holds, m.Prev.Seq+Seq(len(m.Entries)))}
		b.acked(o, a)
		b.step(o.peer, a)
	})
}

// acked notes what the primary hears: whether a member has moved, and what it still owes.
func (b *workbench) acked(o *member, a *Ack) {
	if a.Epoch != b.s.Config(1).Epoch {
		return
	}
	if moved := !o.acked || a.Round > o.answered || a.Matched > o.matched; moved {
		o.trips.note(b.now.Since(o.rounds[a.Round]))
		o.since = b.now
	}
	o.acked, o.answered, o.matched = true, max(o.answered, a.Round), max(o.matched, a.Matched)
	if o.answered == o.asked && int(o.matched) == len(b.size)-1 {
		o.since = Never
	}
}

// underWay is how many bytes were sent to anybody and not acked.
func (b *workbench) underWay() (bytes int) {
	for _, o := range b.list {
		for seq := o.matched + 1; seq <= o.sent; seq++ {
			bytes += b.size[seq]
		}
	}
	return bytes
}

// patience is how long a member may make no progress, while so many bytes are under way.
func (b *workbench) patience(o *member, bytes int) time.Duration {
	return min(o.trips.wait(b.opt.AckTimeout)+time.Duration(bytes)*time.Second/(6<<20), 3*time.Second)
}

func (b *workbench) reported(m *Suspect) {
	if m.Node == b.s.self.ID {
		b.leaveAsked = b.now
		return
	}
	for _, o := range b.list {
		if o.peer.ID != m.Node {
			continue
		}
		switch wait := b.patience(o, b.underWay()) - 2*time.Millisecond; {
		case o.since == Never:
			b.Fatalf("it reports %s, which owes nothing", o.peer.Addr)
		case b.now.Since(o.since) < wait:
			b.Fatalf("it reports %s, which has moved %v ago, and %d bytes are under way: it has %v", o.peer.Addr, b.now.Since(o.since), b.underWay(), wait)
		case b.now.Since(o.told) < b.opt.AckTimeout:
			b.Fatalf("it reports %s, and has done so %v ago", o.peer.Addr, b.now.Since(o.told))
		}
		o.told = b.now
	}
}

// checkSilence: who makes no progress for as long as there is any reason to wait is reported, and
// again and again.
func (b *workbench) checkSilence() {
	for _, o := range b.list {
		if b.ended {
			return
		}
		if o.since == Never {
			o.most = 0
			continue
		}
		if o.most = max(o.most, b.underWay()); b.join != nil {
			o.most = 1 << 30 // what is under way to it is not counted here
		}
		if late := b.now.Since(max(o.since.After(b.patience(o, o.most)), o.told.After(b.opt.AckTimeout))); late > 2*time.Millisecond+b.patience(o, o.most)-b.opt.AckTimeout {
			b.Fatalf("%s has not moved for %v, and is not reported", o.peer.Addr, b.now.Since(o.since))
		}
	}
}

// copied has the joining node take in a chunk, after a time, and in order.
func (b *workbench) copied(c *Chunk) {
	j := b.join
	bytes := 0
	for i := range c.Items {
		bytes += len(c.Items[i].Key) + len(c.Items[i].Value)
	}
	j.sizes[c.Number] = bytes
	j.sent = max(j.sent, c.Number+1)
	j.waits = false
	b.after(b.now.After(j.delay), func() {
		if c.Number == j.next {
			j.next++
			j.acked += bytes
			j.all = j.all || c.Last
		}
		j.waits = !j.all && j.next == j.sent
		b.step(j.peer, &ChunkAck{Group: 1, Epoch: c.Epoch, Start: c.Start, Tenure: c.Tenure, Attempt: c.Attempt, Next: j.next})
	})
}

// shows: a join's progress is no more than the joining node has, and while the primary waits for the
// rate it grows.
func (b *workbench) shows(p *Pong) {
	j := b.join
	if j == nil || p.Join == nil || j.all {
		return
	}
	switch {
	case int(p.Join.Bytes) > j.acked:
		b.Fatalf("the join shows %d bytes, and the joining node has %d", p.Join.Bytes, j.acked)
	case j.waits && j.shownAt != 0 && b.now.Since(j.shownAt) >= 5*time.Millisecond && p.Join.Bytes <= j.shown && j.shown > 0:
		b.Fatalf("the primary waits for the rate, and the join has shown %d bytes for %v, of %d that the joining node has", j.shown, b.now.Since(j.shownAt), j.acked)
	}
	if j.shown, j.shownAt = p.Join.Bytes, b.now; !j.waits {
		j.shownAt = 0
	}
}
