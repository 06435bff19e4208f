package transport

import (
	"container/heap"
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
)

// Inbox holds what waits for a node. It has a source for each connection, and the
// sources take turns: whoever has had least goes first, so that one who floods delays
// itself. There are two lanes. What keeps groups alive comes before what clients ask,
// but a part of each turn is for the clients.
type Inbox struct {
	// Wake holds a token when there may be something to take.
	Wake chan struct{}

	countMax int          // of all that waits
	bytesMax int          // of what waits from one source
	count    atomic.Int64 // of all that waits
	puts     atomic.Uint64

	// Many fill an inbox at the same time. They meet at this lock only when their
	// source has nothing: else the node would wait for its turn among them.
	mu     sync.Mutex
	lanes  [laneCount]turns
	closed atomic.Bool
	eased  []*Source // those of whom something was taken in this Take
	under  underWay
}

// underWay is how many operations the node has taken and not answered. A node
// refuses operations beyond its own limits, whosever they are; and whoever asks next waits
// for those under way. So no more are taken than underCountEach for each source that has
// lately asked for some, and never more than the node is sure to have room for. The others
// wait for their turn here. A node that answers nothing for answerPatience is given more:
// it may be far from the others of its group, or refuse.
type underWay struct {
	patience       time.Duration // answerPatience
	entries, bytes int
	since          time.Time // the last answer, or when there was room

	generation   uint64 // in which sources are counted
	generationAt time.Time
	asked, last  int // sources that have asked in this generation, and in the last
}

const (
	underCountEach = 128     // entries
	underCountMax  = 512     // of all sources; well below the limits of core: see LIMITS.md
	underBytesMax  = 4 << 20 // likewise
	answerPatience = 10 * time.Millisecond
)

// room tells whether another operation may be taken.
func (u *underWay) room() bool {
	if u.fits() {
		return true
	}
	now := time.Now()
	if now.Sub(u.since) < u.patience {
		return false
	}
	u.entries, u.bytes, u.since = 0, 0, now
	return true
}

func (u *underWay) fits() bool {
	return u.entries < min(underCountEach*max(1, u.asked, u.last), underCountMax) && u.bytes < underBytesMax
}

func (u *underWay) taken(s *Source, op *core.Op, size int) {
	if s.asked != u.generation {
		s.asked = u.generation
		u.asked++
	}
	u.entries++
	if op.Kind == core.OpOpen {
		u.entries++ // when there are too many sessions, one is ended for it
	}
	u.bytes += size
}

// UnderWay notes how many operations the node has not answered, the bytes of their keys
// and values, and whether it has answered some since the last call.
func (in *Inbox) UnderWay(operations, bytes int, answered bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	u := &in.under
	now := time.Now()
	if answered || u.fits() {
		u.since = now
	}
	u.entries, u.bytes = operations, bytes
	if now.Sub(u.generationAt) > u.patience {
		u.generation++
		u.generationAt, u.last, u.asked = now, u.asked, 0
	}
}

// HeldBack tells how long to wait at most before Take is worth another try, though Wake
// has no token: 0 when nothing is held back.
func (in *Inbox) HeldBack() time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lanes[laneAsks].Len() == 0 {
		return 0
	}
	return in.under.patience
}

const (
	// messageCost is what each message costs in a turn beside its bytes: about as
	// much work as so many bytes make.
	messageCost = 4 << 10

	clientsPart = 4 // one part in so many of each turn is for what clients ask

	inboxCountMax  = 4096    // envelopes that wait; a source has a quarter of the places that are free
	sourceCountMin = 8       // and no fewer than this
	sourceBytesMax = 4 << 20 // bytes of one source that wait, but for the last batch of them
)

// Source is a connection's way into an Inbox. Within a lane its envelopes keep their
// order.
type Source struct {
	in      *Inbox
	of      *namesake              // what its name has; nil for none
	account *account               // to which what waits is charged; nil for none
	expects func(core.NodeID) bool // who may use the lane of groups by it; nil for all
	freed   int                    // taken in this Take; guarded by the Inbox
	asked   uint64                 // the generation in which it last asked for an operation; likewise

	mu     sync.Mutex // after that of the Inbox
	room   sync.Cond
	ways   [laneCount]way
	count  int
	bytes  int
	closed bool
}

// way is what a source has in one lane.
type way struct {
	fifo
	source *Source
	lane   lane
	listed bool   // among the turns, or about to be
	had    uint64 // what it has had, in bytes; guarded by the Inbox
	turn   uint64 // what it goes by: had, or what its name has had; likewise
}

// total is what a way's name has had, or what it has had itself if that has none. The name's
// ways share one part of the lane.
func (w *way) total() *uint64 {
	if s := w.source; s.of != nil {
		return &s.of.had[w.lane]
	}
	return &w.had
}

// turns are the ways of a lane that have something, the one that has had least first.
type turns struct {
	ways []*way
	now  uint64 // what the way that was last served had had
}

func (t *turns) Len() int           { return len(t.ways) }
func (t *turns) Less(i, j int) bool { return t.ways[i].turn < t.ways[j].turn }
func (t *turns) Swap(i, j int)      { t.ways[i], t.ways[j] = t.ways[j], t.ways[i] }
func (t *turns) Push(x any)         { t.ways = append(t.ways, x.(*way)) }

func (t *turns) Pop() any {
	last := len(t.ways) - 1
	w := t.ways[last]
	t.ways[last] = nil
	t.ways = t.ways[:last]
	return w
}

// second is what the way after the first has had.
func (t *turns) second() uint64 {
	least := uint64(math.MaxUint64)
	for _, w := range t.ways[1:min(3, len(t.ways))] {
		least = min(least, w.turn)
	}
	return least
}

// NewInbox makes an empty inbox.
func NewInbox() *Inbox {
	return &Inbox{Wake: make(chan struct{}, 1), countMax: inboxCountMax, bytesMax: sourceBytesMax, under: underWay{patience: answerPatience, since: time.Now(), generation: 1}}
}

// Source makes a way in. It takes nothing more once it holds 4 MiB, or a
// quarter as many envelopes as there are places left of 4,096.
func (in *Inbox) Source() *Source { return in.source(nil) }

func (in *Inbox) source(a *account) *Source {
	s := &Source{in: in, account: a}
	s.room.L = &s.mu
	for i := range s.ways {
		s.ways[i].source, s.ways[i].lane = s, lane(i)
	}
	return s
}

// laneOf tells by which lane an envelope comes in: who is not expected has no priority.
func (s *Source) laneOf(e *core.Envelope) lane {
	l := laneOf(e.Body)
	if l == laneGroup && s.expects != nil && !s.expects(e.From.ID) {
		return laneAsks
	}
	return l
}

// limit is how many envelopes a source may hold now. It is small when many hold some: what
// a flood brings must be taken by the node before more of it is read, or the processors
// are busy with nothing but the reading.
func (s *Source) limit() int {
	free := s.in.countMax - int(s.in.count.Load())
	if s.of != nil && int(s.of.waiting.Load())-s.count > free/nameShare {
		return 1 // its name has more than its part by others
	}
	return max(min(sourceCountMin, s.in.countMax), free/shareOfFree)
}

func (s *Source) full() bool  { return s.count >= s.limit() || s.bytes >= s.in.bytesMax }
func (s *Source) ended() bool { return s.closed || s.in.closed.Load() }

// Put appends an envelope, or returns false when the source is full or closed.
func (s *Source) Put(e *core.Envelope) bool { return s.put([]core.Envelope{*e}, false) == nil }

// PutAll appends envelopes; it waits while the source is full, and returns false when
// it is closed.
func (s *Source) PutAll(list []core.Envelope) bool { return s.put(list, true) == nil }

var errFull = errors.New("no room in the inbox")

// put appends all of the list or nothing, and returns errFull or net.ErrClosed. It wakes
// nobody to take it, unless it waits: whoever puts sees to it that the node is driven.
func (s *Source) put(list []core.Envelope, wait bool) error {
	var fresh [laneCount]*way // that have something now, and had nothing
	s.mu.Lock()
	for wait && s.full() && !s.ended() {
		s.in.Notify()
		s.room.Wait()
	}
	var err error
	switch {
	case s.ended():
		err = net.ErrClosed
	case s.full():
		err = errFull
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	for i := range list {
		l, size := s.laneOf(&list[i]), sizeOf(&list[i])
		w := &s.ways[l]
		w.push(&list[i], size)
		s.count++
		s.bytes += size
		if !w.listed {
			w.listed = true
			fresh[l] = w
		}
	}
	s.mu.Unlock()
	s.waits(len(list))
	s.in.list(fresh)
	if s.in.closed.Load() { // perhaps before it was listed: then nobody woke those who wait
		s.mu.Lock()
		s.room.Broadcast()
		s.mu.Unlock()
	}
	s.in.puts.Add(1) // when it can be taken
	return nil
}

// waits counts envelopes that wait, or with a negative n wait no more.
func (s *Source) waits(n int) {
	s.in.count.Add(int64(n))
	if s.of != nil {
		s.of.waiting.Add(int64(n))
	}
}

// Close ends a source. What clients have asked for by it is dropped: nobody can be
// answered any more. What concerns groups can still be taken.
func (s *Source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	w := &s.ways[laneAsks]
	s.count -= w.len()
	s.bytes -= w.bytes
	if s.account != nil {
		s.account.give(w.bytes)
	}
	s.waits(-w.len())
	w.fifo = fifo{}
	s.room.Broadcast()
}

// ease wakes those who wait once the source is half empty: to wake them for each place
// would cost more than it brings.
func (s *Source) ease() {
	s.mu.Lock()
	if s.count <= s.limit()/2 && s.bytes <= s.in.bytesMax/2 {
		s.room.Broadcast()
	}
	s.mu.Unlock()
}

// list gives ways their turn; nil is none.
func (in *Inbox) list(ways [laneCount]*way) {
	for l, w := range ways {
		if w == nil {
			continue
		}
		in.mu.Lock()
		t := &in.lanes[l]
		total := w.total()
		*total = max(*total, t.now) // whoever was away has saved nothing up
		w.turn = *total
		heap.Push(t, w)
		in.mu.Unlock()
	}
}

// Puts is how often something was put, so far. What was put then can be taken.
func (in *Inbox) Puts() uint64 { return in.puts.Load() }

// Notify wakes whoever waits for Wake.
func (in *Inbox) Notify() {
	select {
	case in.Wake <- struct{}{}:
	default:
	}
}

// Take moves up to countMax envelopes to dst, fewer once they hold bytesMax.
func (in *Inbox) Take(dst []core.Envelope, countMax, bytesMax int) []core.Envelope {
	in.mu.Lock()
	defer in.mu.Unlock()
	count, bytes := 0, 0
	if in.lanes[laneAsks].Len() > 0 {
		count, bytes = countMax/clientsPart, bytesMax/clientsPart
	}
	end := len(dst) + countMax
	dst, taken := in.take(&in.lanes[laneGroup], dst, end-count, bytesMax-bytes)
	// One large message of a group may have taken more than was left for groups.
	dst, _ = in.take(&in.lanes[laneAsks], dst, end, max(bytes, bytesMax-taken))
	for i, s := range in.eased {
		if s.account != nil {
			s.account.give(s.freed)
		}
		s.freed = 0
		s.ease()
		in.eased[i] = nil
	}
	in.eased = in.eased[:0]
	return dst
}

// take moves what is in a lane to dst, until dst has end envelopes.
func (in *Inbox) take(t *turns, dst []core.Envelope, end, bytesMax int) (list []core.Envelope, bytes int) {
	asks := t == &in.lanes[laneAsks]
	for t.Len() > 0 && len(dst) < end && bytes < bytesMax {
		if asks && !in.under.room() {
			break
		}
		w, next := t.ways[0], t.second()
		s, total := w.source, w.total()
		if w.turn < *total { // another of its name was served meanwhile
			w.turn = *total
			heap.Fix(t, 0)
			continue
		}
		before, count := bytes, len(dst)
		s.mu.Lock()
		for w.len() > 0 && len(dst) < end && bytes < bytesMax && *total <= next && !(asks && !in.under.room()) {
			var size int
			dst, size = w.pop(dst)
			bytes += size
			t.now = *total
			*total += messageCost + uint64(size)
			if op, ok := dst[len(dst)-1].Body.(*core.Op); ok {
				in.under.taken(s, op, size)
			}
		}
		w.tidy()
		s.count -= len(dst) - count
		s.bytes -= bytes - before
		more := w.len() > 0 // not if its source was closed
		w.listed = more
		w.turn = *total
		s.mu.Unlock()
		s.waits(count - len(dst))
		if s.freed == 0 && bytes > before {
			in.eased = append(in.eased, s)
		}
		s.freed += bytes - before
		if more {
			heap.Fix(t, 0)
		} else {
			heap.Pop(t)
		}
	}
	return dst, bytes
}

// Empty tells whether there is nothing to take.
func (in *Inbox) Empty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.lanes[laneGroup].Len() == 0 && in.lanes[laneAsks].Len() == 0
}

// Close makes every put fail from now on. What is in the inbox can be taken.
func (in *Inbox) Close() {
	in.closed.Store(true)
	in.mu.Lock()
	for l := range in.lanes {
		for _, w := range in.lanes[l].ways {
			w.source.mu.Lock() // for one that is about to wait
			w.source.room.Broadcast()
			w.source.mu.Unlock()
		}
	}
	in.mu.Unlock()
	in.Notify()
}
