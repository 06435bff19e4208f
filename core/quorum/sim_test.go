package quorum

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"

	"gtstore/core"
)

// world is a group under a seeded schedule of faults: a network that loses, repeats and
// reorders, disks that lose what was not synced, crashes, data that are gone, other members.
// It checks while it runs, and stops at the first thing that is wrong.
type world struct {
	rng     *rand.Rand
	now     core.Time
	queue   eventQueue
	serial  int
	hosts   []*host
	nextID  core.NodeID
	options Options
	bug     string // what the driver does wrong; "" for nothing
	faults  bool
	hints   int // percent of the broken connections that are told
	cut     map[[2]core.NodeID]bool
	drop    func(e Envelope) bool // tells which messages are lost on their way; nil for none
	trace   uint64
	wrong   string

	agreed  map[Index]string     // the state behind each entry, as a hash, and the members, by whoever applied it first
	leaders map[Term]core.NodeID // whom each term had
	acked   []string             // commands that a leader applied after it had proposed them
	ended   map[core.NodeID]bool // whose data are gone, or who was removed
	counts  map[string]int       // what happened
	sent    map[Kind]int
	longest int // message, in bytes
	opened  int // commands proposed
	reads   uint64
	askedAt map[uint64]int // by read: how many commands were acked when it was asked
	readAt  map[uint64]core.Time
	votes   map[ballot]core.NodeID
}

type event struct {
	at     core.Time
	serial int
	do     func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].serial < q[j].serial
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now.After(d), w.serial, do})
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *world) fail(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf("at %v: ", time.Duration(w.now)) + fmt.Sprintf(format, args...)
	}
}

func (w *world) note(text string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s", w.trace, w.now, text)
	w.trace = h.Sum64()
}

// batch is what one Output wants to be durable, and what waits for it.
type batch struct {
	writes []core.Write
	after  []Envelope
}

// host drives a node, and is the owner of its state.
type host struct {
	w       *world
	peer    core.Peer
	founds  []core.Peer
	node    *Node // nil while it is down
	starts  int
	records map[string]string // durable
	writes  map[string]int    // of each key
	batches []batch           // not durable yet
	syncing bool
	wakeAt  core.Time

	commands []string
	leads    Term
	mine     map[string]bool // proposed in this term and not applied
	ledger   ledger
}

// Range implements core.Space.
func (h *host) Range(prefix string, f func(k, v string) error) error {
	var keys []string
	for k := range h.records {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		if err := f(k, h.records[k]); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) write(writes []core.Write) {
	for _, w := range writes {
		switch {
		case !w.Delete:
			h.records[w.Key] = w.Value
			h.writes[w.Key]++
		case w.End == "":
			delete(h.records, w.Key)
		default:
			for k := range h.records {
				if k >= w.Key && k < w.End {
					delete(h.records, k)
				}
			}
		}
	}
}

// set writes a record.
func (h *host) set(key string, tag byte, v coded) {
	n := Node{out: new(Output), self: h.peer}
	n.persist(key, tag, v)
	h.write(n.out.Persist)
}

func (h *host) start() {
	opt := h.w.options
	h.starts++
	opt.Self, opt.Found, opt.Seed = h.peer, h.founds, uint64(h.starts)
	h.commands, h.leads, h.mine = nil, 0, map[string]bool{}
	node, err := New(opt, h, h)
	if err != nil {
		h.w.fail("%v does not start: %v", h.peer.Addr, err)
		return
	}
	h.node, h.wakeAt = node, core.Never
	h.check(node.Applied().Index)
	h.do(func(*Output) {})
}

// crash ends the process. Of what was not synced a first part is on the disk all the same.
func (h *host) crash() {
	for _, b := range h.batches[:h.w.rng.IntN(len(h.batches)+1)] {
		h.write(b.writes)
		h.judgeDisk()
	}
	h.node, h.batches, h.syncing = nil, nil, false
	h.leads = 0
	h.w.counts["crash"]++
	for _, other := range h.w.hosts { // some notice that the connection broke
		if other.node != nil && h.w.chance(h.w.hints) {
			h.w.after(time.Millisecond, func() { other.down(h.peer.ID) })
		}
	}
}

// do calls the node, and carries out what it says, as the contract of core.Output has it.
func (h *host) do(f func(out *Output)) {
	var out Output
	f(&out)
	for h.node.Deadline() <= h.w.now {
		h.node.Tick(h.w.now, &out)
	}
	if out.Halt != nil {
		h.w.fail("%v halts: %v", h.peer.Addr, out.Halt)
	}
	if who, t := h.node.Leader(); who.ID == h.peer.ID {
		if other, ok := h.w.leaders[t]; ok && other != h.peer.ID {
			h.w.fail("%v leads term %d, which %v led", h.peer.Addr, t, other)
		}
		h.w.leaders[t] = h.peer.ID
	}
	h.judgeOffice()
	for _, e := range out.Send {
		if _, ok := e.Body.(*Stored); ok {
			h.w.fail("%v says at once that its disk has what that is to write yet", h.peer.Addr)
		}
		h.judgeSaid(e)
		h.w.send(e)
	}
	h.w.note(fmt.Sprint(h.peer.Addr, len(out.Send), len(out.Persist), len(out.After)))
	if h.w.bug == "answers-before-its-disk" {
		for _, e := range out.After {
			if e.To.ID != h.peer.ID {
				h.w.send(e)
			}
		}
		out.After = slices.DeleteFunc(out.After, func(e Envelope) bool { return e.To.ID != h.peer.ID })
	}
	if len(out.Persist) > 0 || len(out.After) > 0 {
		h.batches = append(h.batches, batch{out.Persist, out.After})
		h.sync()
	}
	if d := h.node.Deadline(); d < h.wakeAt || h.wakeAt <= h.w.now {
		h.wakeAt = d
		if node := h.node; d != core.Never {
			h.w.after(d.Since(h.w.now), func() {
				if h.node == node && h.w.now >= h.wakeAt {
					h.do(func(out *Output) { h.node.Tick(h.w.now, out) })
				}
			})
		}
	}
}

func (h *host) down(id core.NodeID) {
	if h.node != nil {
		h.w.counts["down"]++
		h.do(func(out *Output) { h.node.Down(h.w.now, id, out) })
	}
}

func (h *host) sync() {
	if h.syncing {
		return
	}
	h.syncing = true
	covered, node := len(h.batches), h.node
	took := time.Duration(h.w.rng.IntN(3000)) * time.Microsecond
	if h.w.faults && h.w.chance(10) {
		took += time.Duration(h.w.rng.IntN(100)) * time.Millisecond
	}
	h.w.after(took, func() {
		if h.node != node {
			return
		}
		done := h.batches[:covered]
		h.batches, h.syncing = h.batches[covered:], false
		for _, b := range done {
			h.write(b.writes)
			h.judgeDisk()
		}
		for _, b := range done {
			for _, e := range b.after {
				if e.To.ID == h.peer.ID {
					h.do(func(out *Output) { h.node.Step(h.w.now, e, out) })
				} else {
					h.judgeSaid(e)
					h.w.send(e)
				}
			}
		}
		if len(h.batches) > 0 {
			h.sync()
		}
	})
}

// send gives a message to the network, which carries bytes.
func (w *world) send(e Envelope) {
	w.sent[KindOf(e.Body)]++
	if w.cut[[2]core.NodeID{e.From.ID, e.To.ID}] || w.faults && w.chance(3) {
		return
	}
	if v, ok := e.Body.(*Voted); ok && w.bug == "votes-for-everybody" && w.leaders[v.Term] != e.From.ID {
		e.Body = &Voted{Term: v.Term, Pre: v.Pre}
	}
	text := AppendMessage(nil, e.Body)
	w.longest = max(w.longest, len(text))
	copies := 1
	if w.faults && w.chance(3) {
		copies = 2
	}
	for range copies {
		took := 500*time.Microsecond + time.Duration(w.rng.IntN(2000))*time.Microsecond
		if w.faults && w.chance(5) {
			took += time.Duration(w.rng.IntN(400)) * time.Millisecond
		}
		left := w.now
		w.after(took, func() { w.deliver(e, text, left) })
	}
}

func (w *world) deliver(e Envelope, text []byte, left core.Time) {
	body, err := DecodeMessage(text)
	if err != nil {
		w.fail("a %T does not read: %v", e.Body, err)
		return
	}
	h := w.at(e.To.Addr)
	if h == nil || h.node == nil || h.peer.ID != e.To.ID || w.drop != nil && w.drop(e) {
		return
	}
	e.Body = body
	h.hears(e, left)
	h.do(func(out *Output) { h.node.Step(w.now, e, out) })
}

func (w *world) at(addr string) *host {
	for _, h := range w.hosts {
		if h.peer.Addr == core.Place(addr) {
			return h
		}
	}
	return nil
}

// Apply implements Machine.
func (h *host) Apply(command string) {
	h.commands = append(h.commands, command)
	h.judgeApplied()
	h.check(h.node.Applied().Index)
	if h.mine[command] {
		h.w.acked = append(h.w.acked, command)
		delete(h.mine, command)
	}
}

// check compares the state, and who the members are and were, with that of the first who applied as much.
func (h *host) check(at Index) {
	if at == 0 {
		return
	}
	state := fmt.Sprintf("%x of %d, %v", fnv64(h.Snapshot()), len(h.commands), h.node.Members())
	if first, ok := h.w.agreed[at]; !ok {
		h.w.agreed[at] = state
	} else if first != state {
		h.w.fail("%v: the state at %d is %s, but it was %s", h.peer.Addr, at, state, first)
	}
}

func fnv64(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// Lead implements Machine.
func (h *host) Lead(t Term, _ time.Duration) {
	h.leads = t
	h.begins()
	h.w.after(time.Duration(h.w.rng.Int64N(int64(silenceMax*h.w.options.ElectionTimeout))), func() { h.w.intrude(h) })
	h.w.counts["lead"]++
	if len(h.mine) > 0 {
		h.w.fail("%v leads again without having followed", h.peer.Addr)
	}
	if outgoing := h.node.Members().Outgoing; len(outgoing) > 0 {
		h.w.counts["lead amid a change"]++
		if h.node.Settled() {
			h.w.fail("%v leads amid a change of the members, and says that it is over", h.peer.Addr)
		}
	}
}

// Offered implements Machine.
func (h *host) Offered(id core.NodeID) {
	h.w.counts["offer"]++
	h.ledger.changedAt = h.w.now
	h.node.Yield(id)
}

// Follow implements Machine.
func (h *host) Follow() {
	h.leads, h.mine = 0, map[string]bool{}
	h.w.counts["follow"]++
}

// Confirmed implements Machine.
func (h *host) Confirmed(read uint64) {
	h.w.counts["read"]++
	h.judgeConfirmed(read)
	h.judgeRead(h.w.askedAt[read])
}

func (h *host) judgeRead(acked int) {
	for _, c := range h.w.acked[:acked] {
		if !slices.Contains(h.commands, c) {
			h.w.fail("%v: a read lacks %q, which was acknowledged before it was asked", h.peer.Addr, c)
			return
		}
	}
}

// Reads implements Machine, as does ReadsSnapshot.
func (h *host) Reads(command string) bool { return command != nonsense }

func (h *host) ReadsSnapshot(text string) bool { return text != nonsense }

// nonsense is no command, and no snapshot.
const nonsense = "\xff"

// Snapshot implements Machine.
func (h *host) Snapshot() string { return strings.Join(h.commands, "\n") }

// Restore implements Machine.
func (h *host) Restore(text string) error {
	h.commands = nil
	if text != "" {
		h.commands = strings.Split(text, "\n")
	}
	h.w.counts["restore"]++
	if h.node != nil { // as it runs, of another member
		h.w.counts["install"]++
	}
	return nil
}

func (h *host) propose() {
	if h.leads == 0 {
		return
	}
	h.do(func(*Output) {
		for range 1 + h.w.rng.IntN(3) {
			h.w.opened++
			c := fmt.Sprintf("c%d-%s", h.w.opened, strings.Repeat("x", h.w.rng.IntN(60)))
			if h.node.Propose(c) {
				h.mine[c] = true
				if h.w.bug == "acknowledges-at-once" {
					h.w.acked = append(h.w.acked, c)
				}
			}
		}
	})
}

func (h *host) read() {
	h.do(func(*Output) {
		h.w.reads++
		h.w.askedAt[h.w.reads], h.w.readAt[h.w.reads] = len(h.w.acked), h.w.now
		if h.w.bug == "reads-without-a-round" && h.leads != 0 {
			h.Confirmed(h.w.reads)
			return
		}
		if h.node.Confirm(h.w.reads) != (h.leads != 0) {
			h.w.fail("%v leads term %d, but does so not for a read", h.peer.Addr, h.leads)
		}
	})
}

func (w *world) newHost(addr string) *host {
	w.nextID++
	h := &host{w: w, peer: core.Peer{ID: w.nextID, Addr: addr}, records: map[string]string{}, writes: map[string]int{}}
	return h
}

// leader is a host that says that it leads, of the highest term.
func (w *world) leader() *host {
	var found *host
	for _, h := range w.hosts {
		if h.node != nil && h.leads != 0 && (found == nil || h.leads > found.leads) {
			found = h
		}
	}
	return found
}

// every repeats something while there are faults.
func (w *world) every(d time.Duration, do func()) {
	w.after(d/2+time.Duration(w.rng.Int64N(int64(d))), func() {
		if w.faults {
			do()
			w.every(d, do)
		}
	})
}

func (w *world) any() *host { return w.hosts[w.rng.IntN(len(w.hosts))] }

// renew puts another node, which is empty, in the place of one whose data are gone, or that
// was removed.
func (w *world) renew(h *host) {
	if h.node != nil {
		h.crash()
	}
	w.ended[h.peer.ID] = true
	i := slices.Index(w.hosts, h)
	id := h.peer.ID
	w.hosts[i] = w.newHost(h.peer.Addr)
	if w.bug == "same-id-without-data" {
		w.hosts[i].peer.ID = id
	}
	w.hosts[i].start()
}

// wipe takes the data of one voter, if all others have theirs and know of each other.
func (w *world) wipe() {
	l := w.leader()
	if l == nil {
		return
	}
	voters := l.node.Members().Voters
	if len(voters) < 3 || w.settled() == nil && w.bug != "same-id-without-data" {
		return
	}
	for _, p := range voters {
		if w.ended[p.ID] {
			return
		}
	}
	if h := w.at(voters[w.rng.IntN(len(voters))].Addr); h != nil {
		w.counts["wipe"]++
		w.renew(h)
	}
}

// settled is the leader, if all that it counts on runs, has applied as much, and knows the
// same members.
func (w *world) settled() *host {
	l := w.leader()
	if l == nil || !l.node.Settled() {
		return nil
	}
	for _, p := range l.node.Members().Voters {
		h := w.at(p.Addr)
		if h == nil || h.node == nil || h.peer.ID != p.ID || h.node.Applied() != l.node.Applied() {
			return nil
		}
	}
	return l
}

// change has the leader replace one member: one whose data are gone, if there is one.
func (w *world) change() {
	l := w.leader()
	if l == nil {
		return
	}
	voters := l.node.Members().Voters
	var out []core.NodeID
	for _, p := range voters {
		if w.ended[p.ID] {
			out = []core.NodeID{p.ID}
		}
	}
	var add []core.Peer
	for _, h := range w.hosts {
		if find(voters, h.peer.ID) < 0 && h.node != nil && !w.ended[h.peer.ID] {
			add = append(add, h.peer)
		}
	}
	if len(out) == 0 && len(voters) > 3 && w.chance(60) {
		out = []core.NodeID{voters[w.rng.IntN(len(voters))].ID}
	}
	if len(add) > 0 {
		add = add[w.rng.IntN(len(add)):][:1]
	}
	if len(add)+len(out) == 0 {
		return
	}
	l.do(func(*Output) {
		if err := l.node.Change(add, out); err == nil {
			w.counts["change"]++
		}
	})
}

// retire ends those that the leader knows to be removed.
func (w *world) retire() {
	l := w.leader()
	if l == nil || !l.node.Settled() {
		return
	}
	for _, id := range l.node.Members().Retired {
		for _, h := range w.hosts {
			if h.peer.ID == id {
				w.counts["retire"]++
				w.renew(h)
			}
		}
	}
}

func (w *world) cutSome() {
	clear(w.cut)
	if w.chance(50) {
		return
	}
	w.counts["cut"]++
	side := w.rng.IntN(1 << len(w.hosts))
	if l := w.leader(); l != nil && w.chance(40) {
		side = 1 << slices.Index(w.hosts, l)
	}
	oneWay := w.chance(30)
	for i, a := range w.hosts {
		for j, b := range w.hosts {
			if side>>i&1 != side>>j&1 && (!oneWay || side>>i&1 == 1) {
				w.cut[[2]core.NodeID{a.peer.ID, b.peer.ID}] = true
				if w.chance(w.hints) {
					b.down(a.peer.ID)
				}
			}
		}
	}
}

func (w *world) run(until core.Time) {
	if w.bug != "" { // a member that panics has noticed
		defer func() {
			if r := recover(); r != nil {
				w.fail("%v", r)
			}
		}()
	}
	for len(w.queue) > 0 && w.queue[0].at <= until && w.wrong == "" {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

const (
	faultsFor = 4 * time.Second
	calmFor   = 4 * time.Second
)

func emptyWorld(seed uint64, opt Options) *world {
	return &world{
		rng: rand.New(rand.NewPCG(seed, 1)), nextID: core.NodeID(seed << 8), options: opt,
		cut: map[[2]core.NodeID]bool{}, agreed: map[Index]string{}, leaders: map[Term]core.NodeID{}, ended: map[core.NodeID]bool{},
		counts: map[string]int{}, sent: map[Kind]int{}, askedAt: map[uint64]int{}, readAt: map[uint64]core.Time{}, votes: map[ballot]core.NodeID{},
	}
}

// found starts the members of a new group, and empty nodes beside it.
func (w *world) found(voters, beside int) {
	var founds []core.Peer
	for i := range voters + beside {
		h := w.newHost(fmt.Sprintf("m%d", i+1))
		w.hosts = append(w.hosts, h)
		if i < voters {
			founds = append(founds, h.peer)
		}
	}
	for i, h := range w.hosts {
		if i < voters {
			h.founds = founds
		}
		h.start()
	}
}

// calm is a group without faults, with so many founders, of which one leads. The nodes
// beside it are empty.
func calm(voters, beside int, opt Options) *world { return calmOf(1, voters, beside, opt) }

func calmOf(seed uint64, voters, beside int, opt Options) *world {
	w := emptyWorld(seed, opt)
	w.found(voters, beside)
	w.run(w.now.After(time.Second))
	return w
}

// live runs a schedule of faults to its end, on three to five founders with up to two nodes
// beside them.
func live(seed uint64, durable bool, bug string) *world {
	w := emptyWorld(seed, Options{Durable: durable, HeartbeatInterval: 25 * time.Millisecond, ElectionTimeout: 150 * time.Millisecond, LogBytes: 600, PendingBytes: 400, partBytes: 300})
	w.bug, w.faults, w.hints = bug, true, 50
	w.found(3+w.rng.IntN(3), w.rng.IntN(3))
	w.every(400*time.Millisecond, func() {
		if h := w.any(); h.node != nil {
			h.do(func(*Output) { h.node.Offer() })
		}
	})
	w.every(15*time.Millisecond, func() {
		if h := w.any(); h.node != nil {
			h.propose()
		}
	})
	w.every(8*time.Millisecond, func() {
		if h := w.any(); h.node != nil {
			h.read()
		}
	})
	w.every(500*time.Millisecond, func() { w.any().down(w.any().peer.ID) }) // a hint that may be wrong
	w.every(20*time.Millisecond, func() { w.intrude(w.any()) })
	w.every(400*time.Millisecond, w.cutSome)
	w.every(200*time.Millisecond, w.change)
	w.every(100*time.Millisecond, w.retire)
	w.every(200*time.Millisecond, w.wipe)
	if durable {
		w.every(250*time.Millisecond, func() {
			w.crashes(w.any())
		})
		w.every(4*time.Second, func() {
			for _, h := range w.hosts { // the power is gone
				w.crashes(h)
			}
		})
	}
	w.run(core.Time(faultsFor))
	w.faults = false
	clear(w.cut)
	w.run(core.Time(faultsFor + calmFor/2))
	w.judgeEnd()
	return w
}

// crashes ends a host's process, and starts another some time later.
func (w *world) crashes(h *host) {
	if h.node == nil {
		return
	}
	h.crash()
	w.after(time.Duration(w.rng.IntN(400))*time.Millisecond, func() {
		if h.node == nil && slices.Contains(w.hosts, h) {
			h.start()
		}
	})
}

// judgeEnd: now that the faults are over there is a leader, who can do all that it is for.
func (w *world) judgeEnd() {
	if w.wrong != "" {
		return
	}
	l := w.leader()
	if l == nil {
		w.fail("the faults ended, but nobody leads")
		return
	}
	acked, reads := len(w.acked), w.counts["read"]
	l.propose()
	l.read()
	w.run(core.Time(faultsFor + calmFor))
	switch {
	case w.wrong != "":
	case len(w.acked) == acked:
		w.fail("the faults ended, but %v commits nothing", l.peer.Addr)
	case w.counts["read"] == reads:
		w.fail("the faults ended, but %v confirms no read", l.peer.Addr)
	}
	for _, p := range l.node.Members().Voters {
		h := w.at(p.Addr)
		if w.wrong != "" || w.ended[p.ID] || h == nil || h.peer.ID != p.ID {
			continue
		}
		if h.node == nil || h.node.Applied() != l.node.Applied() {
			w.fail("the faults ended, but %v does not follow %v", p.Addr, l.peer.Addr)
		}
		h.judgeRead(len(w.acked))
	}
}
