package core

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A drawnGroup is one storage node, n1, amid a group of which all else is drawn: who leads it in
// which epoch and has which log, what comes to n1 in which order, twice, late or never, what
// clients ask, when its disk syncs, when it crashes, and what its options are. Beside it a model,
// written from PROTOCOL.md, says what n1 must hold, ack, and answer after each event.
//
// The others keep the rules: whoever is promoted has all that is committed, and a member that
// follows n1 acks what it holds. But a commit point that they tell may be one that n1 has no part
// in, as if it were a learner.
type drawnGroup struct {
	*rig
	rng *rand.Rand
	opt StorageOptions
	m   modelGroup

	config    *Config           // the last that the manager has issued
	configs   map[Epoch]*Config // all of them
	tenures   map[Epoch]Epoch   // in which epoch the primary of an epoch became one
	others    map[NodeID]*drawnMember
	logs      map[Epoch][]Entry // of the primary of an epoch, if that is not n1
	known     map[Epoch]Seq     // what it knew to be committed when its epoch ended
	all       map[EntryID]Entry // every entry that there ever was
	committed []Entry
	round     uint64
	attempts  []*drawnAttempt
	queue     []Envelope // from n1 to the others, not delivered yet
	back      []Envelope // and from them to n1

	users  []*drawnUser
	asked  []Envelope // what they asked last, to be asked again
	backup drawnBackup
	req    uint64
	pairs  int // values that were drawn

	replies  []owedReply
	nacks    []*Nack
	refusals []Status            // of backups
	pages    map[uint64]owedPage // parts of a backup that must leave, by their requests
	owed     []owedAck           // acks, in the order in which they must leave

	begunBefore uint64        // the rounds of n1 before the present event
	grant       Time          // what n1 has promised, and
	promised    Time          // by acks that have left
	life        int           // counts what n1 gave up of its log
	sure        Seq           // the commit point that it knew when it last acked
	chunks      ChunkAck      // the last that left
	kept        map[Epoch]Seq // up to where it has acked, by acks that have left
	epochOut    Epoch         // the highest epoch of a message that has left
	toTrim      Seq           // all members hold the log up to here
	wasBase     Seq           // what it has trimmed
	told        bool          // it has said of itself that it cannot go on
	lossy       bool          // its disk has lost something
	compared    Seq           // the state was held against the model's there
	comparedIn  int
	moved       bool // the present event committed something

	busy   bool           // clients ask for much
	idle   bool           // little is committed
	large  bool           // clients write values of which few may be under way
	counts map[string]int // how often what was drawn
}

// A drawnMember is another storage node of the group.
type drawnMember struct {
	peer     Peer
	epoch    Epoch // the highest that it has adopted
	log      []Entry
	verified Seq
	commit   Seq
}

// A drawnAttempt is a try of a primary at sending its state.
type drawnAttempt struct {
	start, tenure Epoch
	epoch         Epoch // in which it began
	from          Peer
	number        uint64
	chunks        []*Chunk
	state         []Entry // the log that all of them together are the state of
}

// A drawnUser is a client: its sessions, and the number of the last write in each.
type drawnUser struct {
	peer     Peer
	sessions []Seq
	last     map[Seq]uint64
}

// A drawnBackup is an operator's tool that reads the group.
type drawnBackup struct {
	next   *Export // what it asks next
	latest uint64  // what it asked last; an answer to what it asked before is of no use
	keys   map[string]Versioned
	asked  map[uint64]*Export
}

// An owedAck must leave once all before it is durable.
type owedAck struct {
	message Message
	life    int  // of what was acked
	commit  Seq  // the commit point when it was made
	promise Time // to follow nobody else till then; 0 for none
}

// An owedReply must come, and be one of these.
type owedReply struct {
	to  Peer
	may []Reply
}

// An owedPage is a part of a backup that was served in a tenure, by an event that brought the commit
// point from since to till.
type owedPage struct {
	since, till Seq
	tenure      *modelTenure
	at          Time
}

const drawnValueMax = 60

// largeValues are what large values begin with: they share their memory, as there are many.
var largeValues = []string{strings.Repeat("x", ValueBytesMax), strings.Repeat("y", ValueBytesMax), strings.Repeat("z", ValueBytesMax)}

func newDrawnGroup(t *testing.T, seed uint64) *drawnGroup {
	rng := rand.New(rand.NewPCG(seed, 3))
	w := &drawnGroup{
		rng: rng, configs: map[Epoch]*Config{}, tenures: map[Epoch]Epoch{}, others: map[NodeID]*drawnMember{}, logs: map[Epoch][]Entry{}, known: map[Epoch]Seq{},
		all: map[EntryID]Entry{}, kept: map[Epoch]Seq{}, pages: map[uint64]owedPage{}, counts: map[string]int{},
	}
	o := StorageOptions{
		Durable: w.odds(2), PendingMax: 2 + rng.IntN(8), ReadsMax: 1 + rng.IntN(4), ParkedMax: 1 + rng.IntN(5), SessionsMax: 1 + rng.IntN(5), SessionsShared: w.odds(2),
		SessionTTL: time.Duration(1+rng.IntN(8)) * time.Second, LogKeep: 16 + rng.IntN(8), LogKeepBytes: 1 << 20, ChunkItems: 1 + rng.IntN(4),
	}
	if w.busy = w.odds(3); w.busy {
		o.LogKeep, o.PendingMax = 8+rng.IntN(4), 8
	}
	if w.odds(2) {
		o.LogKeepBytes = 3*drawnValueMax + rng.IntN(300)
		o.JoinLagBytes = 1 << 24
	}
	if w.idle = !w.busy && w.odds(3); w.idle && !o.Durable { // a log that is trimmed as soon as it may be
		o.LogKeepBytes, o.JoinLagBytes = 1+rng.IntN(drawnValueMax), 1<<24
	}
	if w.large = w.odds(3); w.large {
		o.PendingBytesMax = KeyBytesMax + ValueBytesMax
	}
	w.rig = newStorageAt(t, "n1", func(p *StorageOptions) {
		o.Self, o.Manager, o.Name = p.Self, p.Manager, p.Name
		*p = o
	})
	w.opt = *w.storage().opt
	t.Cleanup(func() {
		for _, e := range w.took[max(0, len(w.took)-6):] {
			if t.Failed() {
				t.Logf("one of the last that came: from %s %T %+v", e.From.Addr, e.Body, e.Body)
			}
		}
	})
	w.held = o.Durable && w.odds(2)
	for i := 2; i <= 4; i++ {
		p := peerOf(fmt.Sprintf("n%d", i))
		w.others[p.ID] = &drawnMember{peer: p}
	}
	for i := 1; i <= 4; i++ {
		p := peerOf(fmt.Sprintf("c%d", i))
		p.ID |= NodeID(i%2) << NameBits
		w.users = append(w.users, &drawnUser{peer: p, last: map[Seq]uint64{}})
	}
	w.backup = drawnBackup{next: &Export{Group: 1}, keys: map[string]Versioned{}, asked: map[uint64]*Export{}}
	w.m.state = modelOf(nil)
	w.m.config = &Config{Group: 1}
	w.register()
	chain := []string{"n1"}
	for i := range rng.IntN(3) {
		chain = append(chain, fmt.Sprintf("n%d", i+2))
	}
	rng.Shuffle(len(chain), func(i, j int) { chain[i], chain[j] = chain[j], chain[i] })
	c := config(1, chain...)
	if len(chain) > 1 && w.odds(4) { // it joins before anything is written
		i := c.Position(w.me())
		c.Chain, c.Joining, c.Start = slices.Delete(c.Chain, i, i+1), w.self, 1
	}
	w.terms(c)
	w.issue(c)
	w.deliver("m", c)
	return w
}

// must ends the test if something is not as it must be.
func (w *drawnGroup) must(ok bool, format string, args ...any) {
	if !ok {
		w.t.Fatalf(format, args...)
	}
}

// odds is true in one of n cases.
func (w *drawnGroup) odds(n int) bool { return w.rng.IntN(n) == 0 }

// upTo draws a number from low to high; low if that is the higher one.
func (w *drawnGroup) upTo(low, high Seq) Seq {
	if high <= low {
		return low
	}
	return low + Seq(w.rng.Uint64N(uint64(high-low)+1))
}

func (w *drawnGroup) me() NodeID { return w.self.ID }

// register has the manager take in the start of the node.
func (w *drawnGroup) register() {
	if !w.storage().Registered() {
		w.step("m", &Registered{Boot: w.storage().Boot()})
		w.after()
	}
}

// terms draws how a config has its gets served, and how short its chain may be.
func (w *drawnGroup) terms(c *Config) {
	c.Reads, c.Lease, c.MinChain = ReadConfirm, 0, uint32(w.rng.IntN(2)+w.rng.IntN(2))
	if w.odds(2) {
		c.Reads, c.Lease = ReadLease, []time.Duration{20 * time.Millisecond, 300 * time.Millisecond, 4 * time.Second}[w.rng.IntN(3)]
	}
}

// issue makes a config the manager's last.
func (w *drawnGroup) issue(c *Config) {
	before := w.config
	w.configs[c.Epoch] = c
	w.config = c
	first := c.Chain[0].ID
	w.tenures[c.Epoch] = c.Epoch
	if before != nil {
		w.known[before.Epoch] = Seq(len(w.committed))
		if before.Chain[0].ID == first {
			w.tenures[c.Epoch] = w.tenures[before.Epoch]
		}
	}
	for _, p := range c.Chain {
		if o := w.others[p.ID]; o != nil && !has(o.log, idOf(w.committed, Seq(len(w.committed)))) {
			o.log = take(o.log, 0, w.committed)
		}
	}
	if o := w.others[first]; o != nil {
		w.logs[c.Epoch] = o.log
		o.adopt(c.Epoch)
	}
}

func (o *drawnMember) adopt(e Epoch) {
	if e > o.epoch {
		o.epoch, o.verified = e, 0
	}
}

// change draws the next config: somebody leaves, n1 begins to join or ends that, or becomes a
// member, another one is a member without anybody's word, the terms change, or only the epoch.
func (w *drawnGroup) change() {
	c := *w.config
	c.Epoch++
	c.Chain = slices.Clone(c.Chain)
	whole := w.m.config.Epoch == w.config.Epoch && !w.m.partial() && has(w.m.log, idOf(w.committed, Seq(len(w.committed))))
	ready := whole || w.m.config.Position(w.me()) >= 0 && has(w.m.log, idOf(w.committed, Seq(len(w.committed))))
	switch w.rng.IntN(6) {
	case 0, 1:
		if len(c.Chain) > 1 {
			i := w.rng.IntN(len(c.Chain))
			c.Chain = slices.Delete(c.Chain, i, i+1)
		}
	case 2, 3:
		switch {
		case c.Position(w.me()) >= 0:
		case c.Joining.ID == 0:
			c.Joining, c.Start = w.self, c.Epoch
		case whole && w.odds(2):
			c.Chain, c.Joining, c.Start = append(c.Chain, w.self), Peer{}, 0
		case w.odds(3):
			c.Joining, c.Start = Peer{}, 0
		}
	case 4:
		p := peerOf(fmt.Sprintf("n%d", 2+w.rng.IntN(3)))
		if c.Position(p.ID) < 0 {
			c.Chain = append(c.Chain, p)
			w.others[p.ID].log = slices.Clone(w.committed[:w.upTo(0, Seq(len(w.committed)))])
		}
	case 5:
		w.terms(&c)
	}
	if c.Chain[0].ID == w.me() && !ready {
		// Its disk has lost what it had acked: the others know. One that never had it is not promoted.
		if !w.lossy || len(c.Chain) == 1 {
			return
		}
	}
	if c.Chain[0].ID == w.me() {
		w.syncs() // of what is committed without its part n1 has acked nothing: it must not be lost now
	}
	w.issue(&c)
	if w.config.Chain[0].ID == w.me() && len(c.Chain) > len(w.configs[c.Epoch-1].Chain) {
		w.deliver("m", &c) // else n1 could commit without the one that nobody required before
	}
}

// renew has the manager issue the same chain again, as when a member has moved.
func (w *drawnGroup) renew() {
	if c := *w.config; c.Chain[0].ID != w.me() {
		c.Epoch++
		w.issue(&c)
	}
}

// promote makes n1 the primary at once, of those behind it in the chain; where nobody is, of
// another one.
func (w *drawnGroup) promote() {
	c := *w.config
	at := c.Position(w.me())
	if at < 0 || w.mayLeadAlone() {
		return
	}
	c.Epoch++
	c.Chain = slices.Clone(c.Chain[at:])
	if len(c.Chain) == 1 {
		i := slices.IndexFunc([]string{"n2", "n3", "n4"}, func(n string) bool { return w.config.Position(peerOf(n).ID) < 0 })
		if i < 0 {
			return
		}
		c.Chain = append(c.Chain, peerOf([]string{"n2", "n3", "n4"}[i]))
	}
	w.register()
	w.issue(&c)
	w.deliver("m", &c)
}

// deliver has a message come to n1 from a peer of that name.
func (w *drawnGroup) deliver(from string, m Message) {
	w.deliverFrom(peerOf(from), m)
}

func (w *drawnGroup) deliverFrom(from Peer, m Message) {
	w.noteRounds()
	deaf := w.storage().Cluster() == 0 // until it is registered
	w.stepRaw(Envelope{Cluster: rigCluster, From: from, To: w.self, Body: m})
	if deaf {
		w.after()
		return
	}
	switch m := m.(type) {
	case *Config:
		w.adopt(m)
	case *Replicate:
		w.onReplicate(from, m)
	case *Chunk:
		w.onChunk(from, m)
	case *Ack:
		w.onAck(from, m)
	case *Nack:
		if m.Config != nil && w.m.config.names(from.ID) {
			w.adopt(m.Config)
		}
	case *Op:
		w.onOp(from, m)
	case *Export:
		w.onExport(from, m)
	}
	w.after()
}

// noteRounds remembers what n1 had sent before an event.
func (w *drawnGroup) noteRounds() {
	w.begunBefore = 0
	if t := w.m.tenure; t != nil {
		w.begunBefore = t.begun
	}
}

// pass lets time pass, one deadline of n1 after the other.
func (w *drawnGroup) pass(d time.Duration) {
	end := w.now.After(d)
	for i := 0; w.now < end; i++ {
		require.Less(w.t, i, 10_000)
		w.noteRounds()
		w.tick(min(end, max(w.node.Deadline(), w.now)).Since(w.now))
		w.after()
		if w.node.Deadline() <= w.now {
			break
		}
	}
}

// after does what follows an event in the model, and holds n1 against it.
func (w *drawnGroup) after() {
	w.moved = false
	w.settle()
	w.reconcile()
	w.absorb()
	w.settle()
	w.advance()
	w.look()
	w.compare()
}

// settle: a disk that is as fast as can be has synced.
func (w *drawnGroup) settle() {
	if !w.held {
		w.synced()
	}
}

// syncs has the disk make all durable.
func (w *drawnGroup) syncs() {
	if w.held {
		w.noteRounds()
		w.sync()
		w.synced()
		w.after()
	}
}

// synced: all that was to be durable is.
func (w *drawnGroup) synced() {
	if t := w.m.tenure; t != nil {
		t.durable = w.m.last()
	}
}

// epochDurable tells whether the config that n1 has adopted is on its disk.
func (w *drawnGroup) epochDurable() bool { return w.durableEpoch() >= w.m.config.Epoch }

func (w *drawnGroup) durableEpoch() Epoch {
	key := ordered(prefixConfig, 1)
	text, found := w.space[key]
	if !w.durable {
		return w.m.config.Epoch
	}
	if !found {
		return 0
	}
	var c Config
	require.NoError(w.t, readRecord(key, text, tagConfig, &c))
	return c.Epoch
}

// play draws what happens, and then has all that is under way arrive.
func (w *drawnGroup) play(events int) {
	for range events {
		w.next()
	}
	w.settleDown()
}

func (w *drawnGroup) next() {
	if w.busy && !w.odds(3) {
		w.user()
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 3:
		w.change()
	case w.idle && n >= 92:
		w.renew()
	case n < 8:
		w.deliver("m", w.config)
	case n < 10:
		e := Epoch(1 + w.rng.Uint64N(uint64(w.config.Epoch)))
		w.deliver("m", w.configs[e])
	case n < 20:
		w.pass([]time.Duration{0, time.Millisecond, 10 * time.Millisecond, 60 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second}[w.rng.IntN(7)])
	case n < 28:
		w.syncs()
	case n < 30:
		if w.durable {
			w.crashes()
		}
	case n < 33:
		w.deliver("m", &Ping{Nonce: 1, Token: 7, Boot: 1, Start: 5})
	case n < 35:
		w.register()
	case n < 58:
		w.fromPrimary()
	case n < 80:
		w.deliverSome()
	default:
		w.user()
	}
}

// ---- what a primary that is not n1 sends

// grow has the primary of an epoch append some entries.
func (w *drawnGroup) grow(e Epoch) {
	log := slices.Clone(w.logs[e])
	for range w.rng.IntN(4) {
		entry := w.drawEntry(e, Seq(len(log)))
		log = append(log, entry)
		w.all[EntryID{e, Seq(len(log))}] = entry
	}
	w.logs[e] = log
	if e == w.config.Epoch {
		w.others[w.config.Chain[0].ID].log = log
	}
}

func (w *drawnGroup) drawEntry(e Epoch, last Seq) Entry {
	some := 1 + w.upTo(0, min(last, 12))
	switch w.rng.IntN(8) {
	case 0, 1:
		return Entry{Epoch: e, Kind: OpOpen, Owner: w.users[w.rng.IntN(len(w.users))].peer.ID}
	case 2:
		if w.odds(2) {
			return Entry{Epoch: e, Kind: OpExpire, Session: some}
		}
		return Entry{Epoch: e, Kind: OpClose, Owner: w.users[w.rng.IntN(len(w.users))].peer.ID}
	}
	kind := []OpKind{OpPut, OpPut, OpCAS, OpDelete}[w.rng.IntN(4)]
	entry := Entry{Epoch: e, Kind: kind, Session: some, OpSeq: uint64(1 + w.rng.IntN(4)), Key: w.key()}
	if kind != OpDelete {
		entry.Value = w.value()
	}
	if kind == OpCAS {
		entry.Version = w.version(entry.Key)
	}
	return entry
}

func (w *drawnGroup) key() string { return fmt.Sprintf("k%d", w.rng.IntN(6)) }

func (w *drawnGroup) value() string {
	w.pairs++
	return strings.Repeat(fmt.Sprint(w.pairs%10), 1+w.rng.IntN(drawnValueMax))
}

// version is mostly the present one.
func (w *drawnGroup) version(key string) Seq {
	if w.odds(4) {
		return w.upTo(0, 5)
	}
	return w.m.state.values[key].Version
}

func (w *drawnGroup) fromPrimary() {
	e := w.m.config.Epoch
	if w.odds(8) || w.configs[e] == nil {
		e = Epoch(1 + w.rng.Uint64N(uint64(w.config.Epoch)))
	} else if w.odds(4) {
		e = w.config.Epoch
	}
	c := w.configs[e]
	if c.Chain[0].ID == w.me() {
		return
	}
	if c.Joining.ID == w.me() && (w.m.partial() || w.odds(3)) || len(w.attempts) > 0 && w.odds(10) {
		w.sendChunk(e)
		return
	}
	w.sendReplicate(e)
}

func (w *drawnGroup) sendReplicate(e Epoch) {
	c := w.configs[e]
	if w.odds(2) {
		w.grow(e)
	}
	log := w.logs[e]
	last := Seq(len(log))
	prev := w.upTo(0, last)
	switch w.rng.IntN(4) {
	case 0:
		prev = min(last, w.m.verified)
	case 1:
		prev = min(last, w.m.last())
	case 2:
		prev = w.upTo(min(last, w.m.commit), last)
	}
	end := w.upTo(prev, min(last, prev+6))
	commit := w.known[e]
	if e == w.config.Epoch {
		// Mostly what n1 has acked; or more, of which it has no part.
		least := Seq(len(w.committed))
		acked, before := w.kept[e], w.ackedOf(log)
		goesOn := before > acked && w.odds(2)
		if goesOn { // a primary that was one before counts what was acked then (R6)
			acked = before
		}
		commit = w.upTo(least, max(least, min(last, acked)))
		if w.odds(6) {
			commit = w.upTo(least, last)
		}
		if w.idle && !goesOn && !w.odds(12) {
			commit = least
		}
		w.commits(log[:commit])
	}
	if w.odds(4) {
		commit = w.upTo(0, commit) // it comes late
	}
	w.round++
	r := &Replicate{Group: 1, Epoch: e, Round: w.round, Prev: idOf(log, prev), Entries: slices.Clone(log[prev:end]), Commit: commit}
	if w.odds(2) {
		r.Trim = w.upTo(0, min(commit, w.ackedOf(w.committed)))
	}
	if w.odds(2) || w.m.config.Epoch < e {
		r.Config = c
	}
	if w.odds(6) {
		r.Config = nil
	}
	w.deliverFrom(c.Chain[0], r)
}

// ackedOf is up to where n1 has acked what is in a log, and holds it.
func (w *drawnGroup) ackedOf(log []Entry) Seq {
	sure := Seq(0)
	for e, seq := range w.kept {
		of := w.logs[e]
		for seq > sure && !(seq <= Seq(len(log)) && seq <= Seq(len(of)) && idOf(of, seq) == idOf(log, seq)) {
			seq--
		}
		sure = max(sure, seq)
	}
	if !has(w.m.log, idOf(log, sure)) {
		return 0
	}
	return sure
}

// commits notes what is committed. All others hold it.
func (w *drawnGroup) commits(log []Entry) {
	if len(log) <= len(w.committed) {
		return
	}
	for i := range w.committed {
		w.must(w.committed[i] == log[i], "what was committed at seq %d was %+v, and is %+v", i+1, w.committed[i], log[i])
	}
	w.committed = slices.Clone(log)
	for _, p := range w.config.Chain {
		if o := w.others[p.ID]; o != nil && w.config.Chain[0].ID != w.me() {
			o.log = take(o.log, 0, w.committed)
		}
	}
}

// sendChunk sends a part of a snapshot: the next one of the present attempt, or any other.
func (w *drawnGroup) sendChunk(e Epoch) {
	c := w.configs[e]
	var now *drawnAttempt
	for _, a := range w.attempts {
		if a.start == c.Start && a.tenure == w.tenures[e] && (now == nil || a.number > now.number) {
			now = a
		}
	}
	if c.Joining.ID == w.me() && e == w.config.Epoch && (now == nil || w.odds(6)) {
		now = w.attempt(now)
	}
	a := now
	if a == nil || w.odds(5) && len(w.attempts) > 0 {
		if len(w.attempts) == 0 {
			return
		}
		a = w.attempts[w.rng.IntN(len(w.attempts))]
	}
	number := w.rng.IntN(len(a.chunks))
	if j := w.m.joiner; j != nil && !w.odds(5) {
		number = 0
		if j.tenure == a.tenure && j.attempt == a.number {
			number = min(int(j.next), len(a.chunks)-1)
		}
	}
	m := *a.chunks[number]
	m.Epoch = max(e, a.epoch)
	if w.odds(2) && w.configs[m.Epoch].Chain[0] == a.from {
		m.Config = w.configs[m.Epoch]
	}
	if w.odds(20) {
		m.Sum++ // no checksum of a message shows it
	}
	w.deliverFrom(a.from, &m)
	if w.m.partial() && w.odds(4) {
		w.giveUp()
	}
}

// giveUp has the manager end the join of n1, which may be amid a snapshot.
func (w *drawnGroup) giveUp() {
	if w.config.Joining.ID != w.me() {
		return
	}
	c := *w.config
	c.Epoch++
	c.Joining, c.Start = Peer{}, 0
	w.issue(&c)
	w.deliver("m", &c)
}

// attempt begins another attempt at a snapshot of all that is committed, in some chunks. The
// first ones may have what has changed meanwhile.
func (w *drawnGroup) attempt(before *drawnAttempt) *drawnAttempt {
	e := w.config.Epoch
	if w.odds(2) {
		w.grow(e)
		w.commits(w.logs[e][:w.upTo(Seq(len(w.committed)), Seq(len(w.logs[e])))])
	}
	a := &drawnAttempt{epoch: e, start: w.config.Start, tenure: w.tenures[e], from: w.config.Chain[0], number: 1, state: w.committed}
	if before != nil {
		a.number = before.number + 1
	}
	earlier := modelOf(w.committed[:w.upTo(Seq(len(w.committed))/2, Seq(len(w.committed)))])
	present := modelOf(w.committed)
	sent := map[string]Versioned{}
	parts := 1 + w.rng.IntN(3)
	keys := slices.Sorted(maps.Keys(earlier.values))
	sum := uint64(0)
	for i := range parts {
		m := &Chunk{Group: 1, Start: a.start, Tenure: a.tenure, Attempt: a.number, Number: uint64(i)}
		for _, k := range keys {
			if w.rng.IntN(parts) == 0 {
				v := earlier.values[k]
				m.Items = append(m.Items, Item{k, v.Data, v.Version})
				sent[k] = v
			}
		}
		if i == parts-1 {
			for _, k := range slices.Sorted(maps.Keys(sent)) {
				if _, there := present.values[k]; !there {
					m.Items = append(m.Items, Item{Key: k})
				}
			}
			for _, k := range slices.Sorted(maps.Keys(present.values)) {
				if v := present.values[k]; sent[k] != v {
					m.Items = append(m.Items, Item{k, v.Data, v.Version})
				}
			}
			m.Last, m.At, m.Sessions = true, idOf(w.committed, Seq(len(w.committed))), present.records()
		}
		sum = new(Storage).sum(m, sum)
		m.Sum = sum
		a.chunks = append(a.chunks, m)
	}
	w.attempts = append(w.attempts, a)
	return a
}

// ---- what those who follow n1 say

// deliverSome delivers a message between n1 and one of the others, twice, or not at all.
func (w *drawnGroup) deliverSome() {
	list := &w.queue
	if len(w.back) > 0 && (len(w.queue) == 0 || w.odds(2)) {
		list = &w.back
	}
	if len(*list) == 0 {
		w.fromPrimary()
		return
	}
	i := 0
	if w.odds(4) {
		i = w.rng.IntN(len(*list))
	}
	e := (*list)[i]
	if !w.odds(8) {
		*list = slices.Delete(*list, i, i+1)
	}
	if w.odds(10) {
		return
	}
	if e.To.ID == w.me() {
		w.deliverFrom(e.From, e.Body)
	} else {
		w.follow(w.others[e.To.ID], e.Body.(*Replicate))
	}
}

// follow is what a member does with the Replicate of n1, by R1 and R7.
func (w *drawnGroup) follow(o *drawnMember, m *Replicate) {
	say := func(b Message) {
		w.back = append(w.back, Envelope{Cluster: rigCluster, From: o.peer, To: w.self, Body: b})
		w.back = w.back[max(0, len(w.back)-40):]
	}
	if m.Config != nil {
		o.adopt(m.Epoch)
	}
	switch {
	case m.Epoch < o.epoch:
		say(&Nack{Group: 1, Epoch: o.epoch, Round: m.Round, Config: w.configs[o.epoch]})
		return
	case m.Epoch > o.epoch:
		say(&Nack{Group: 1, Epoch: o.epoch, Round: m.Round})
		return
	}
	if !has(o.log, m.Prev) {
		say(&Nack{Group: 1, Epoch: m.Epoch, Round: m.Round, Last: min(Seq(len(o.log)), max(o.commit, m.Prev.Seq-1))})
		return
	}
	o.log = take(o.log, m.Prev.Seq, m.Entries)
	o.verified = max(o.verified, m.Prev.Seq+Seq(len(m.Entries)))
	o.commit = max(o.commit, min(m.Commit, o.verified))
	a := &Ack{Group: 1, Epoch: m.Epoch, Round: m.Round, Matched: o.verified}
	if m.Config != nil {
		a.Committed = o.commit
	}
	say(a)
}

// ---- what clients ask

func (w *drawnGroup) user() {
	u := w.users[w.rng.IntN(len(w.users))]
	w.req++
	switch n := w.rng.IntN(20); {
	case n < 3:
		w.ask(u.peer, open(w.req))
	case n < 6:
		w.ask(u.peer, get(w.req, w.key()))
	case n < 7 && w.odds(3):
		w.ask(u.peer, &Op{Group: 1, Req: w.req, Kind: OpClose})
	case n < 9:
		w.askBackup()
	case n < 13 && len(w.asked) > 0:
		e := w.asked[max(0, len(w.asked)-1-w.rng.IntN(1+w.rng.IntN(12)))]
		op := *e.Body.(*Op)
		if w.odds(2) {
			op.Req = w.req
		}
		w.ask(e.From, &op)
	default:
		w.write(u)
		if w.large { // another one soon after
			w.req++
			w.write(w.users[w.rng.IntN(len(w.users))])
		}
	}
}

// write asks for the next write in a session, sometimes in one of another client.
func (w *drawnGroup) write(u *drawnUser) {
	owner := u
	if w.odds(20) {
		owner = w.users[w.rng.IntN(len(w.users))]
	}
	if len(owner.sessions) == 0 {
		w.ask(u.peer, open(w.req))
		return
	}
	s := owner.sessions[max(0, len(owner.sessions)-1-w.rng.IntN(3))]
	op := &Op{Group: 1, Req: w.req, Kind: []OpKind{OpPut, OpPut, OpCAS, OpDelete}[w.rng.IntN(4)], Session: s, Key: w.key()}
	if owner == u {
		u.last[s]++
	}
	op.OpSeq = owner.last[s]
	if op.Kind != OpDelete {
		op.Value = w.value()
		if w.large && !w.odds(3) {
			op.Value = largeValues[w.pairs%len(largeValues)][:ValueBytesMax/2+w.rng.IntN(ValueBytesMax/2)]
		}
	}
	if op.Kind == OpCAS {
		op.Version = w.version(op.Key)
	}
	if w.odds(40) {
		op.Key = ""
	}
	w.ask(u.peer, op)
}

func (w *drawnGroup) ask(from Peer, op *Op) {
	if op.Kind != OpOpen || w.odds(3) {
		w.asked = append(w.asked, Envelope{From: from, Body: op})
	}
	w.asked = w.asked[max(0, len(w.asked)-12):]
	w.deliverFrom(from, op)
}

func (w *drawnGroup) askBackup() {
	b := &w.backup
	m := *b.next
	m.Req, m.Fresh = w.req, uint64(w.rng.IntN(200))
	if w.odds(12) {
		m.Position = w.upTo(0, w.m.last()+3)
		m.Cursor = uint64(w.rng.IntN(4))
	}
	b.asked[m.Req] = &m
	if b.latest = m.Req; m.Position != b.next.Position || m.Cursor != b.next.Cursor {
		b.latest = 0
	}
	w.deliverFrom(peerOf("c9"), &m)
}

// TestAStorageNodeDoesAsTheModelSays: whatever happens in which order, the node holds, acks and
// answers what the rules of a group say.
func TestAStorageNodeDoesAsTheModelSays(t *testing.T) {
	first, runs := drawnSeeds(t, 1, 300)
	counts := map[string]int{}
	for seed := first; seed < first+runs; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			w := newDrawnGroup(t, seed)
			w.play(150)
			for k, n := range w.counts {
				counts[k] += n
			}
		})
	}
	t.Log(counts)
}

// drawnSeeds is which seeds a test that draws runs: so many from the first on; or what
// GTSTORE_DRAWN says, as FIRST,COUNT.
func drawnSeeds(t *testing.T, from, runs uint64) (first, count uint64) {
	t.Helper()
	text := os.Getenv("GTSTORE_DRAWN")
	if text == "" {
		return from, runs
	}
	_, err := fmt.Sscanf(text, "%d,%d", &first, &count)
	require.NoError(t, err, "GTSTORE_DRAWN is the first seed and how many: 1000,20000")
	return first, count
}
