package core

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A drawnUse is one client amid a cluster that answers by the rules, but is changed all the time:
// other primaries, sessions that end or are forgotten, no room, the manager away. Messages come
// late, twice, in any order, or never. What is done for each call, by whichever primary, is counted.
type drawnUse struct {
	t    *testing.T
	rng  *rand.Rand
	now  Time
	c    *Client
	out  Output
	opt  ClientOptions
	mail drawnMail
	sent int
	calm bool // nothing is lost, refused or changed any more

	groups   map[GroupID]*drawnService
	units    map[string]GroupID
	calls    map[uint64]*drawnCall
	last     uint64
	sessions map[drawnSession]*drawnUsed
	stopped  bool
	closed   map[GroupID]bool
	counts   map[string]int
}

// A drawnService is a group, as if it were one node that never fails.
type drawnService struct {
	configs  []*Config // by epoch, from 1
	log      Seq
	values   map[string]Versioned
	sessions map[Seq]*modelSession
	heard    Epoch // the highest epoch that the client was told for certain
	opened   bool  // a session was asked for
}

// A drawnCall is a user's call, and what has become of it.
type drawnCall struct {
	*Call
	at      Time
	result  *Result
	done    int            // how often it was carried out
	outcome result         // of that
	got     map[Reply]bool // what a get was answered
	session Seq            // the last that it was sent in
	given   []Seq          // sessions of which it was told for certain that they had ended
	mapped  bool           // it was told who has the key
	opened  bool           // it was told of a session
	sent    bool           // and it has asked for more than that
	asked   bool
}

type drawnSession struct {
	group GroupID
	id    Seq
}

// A drawnUsed is what the client has done in a session.
type drawnUsed struct {
	opSeq uint64
	call  *drawnCall
	freed Time // when it was opened, or its last call ended
}

func newDrawnUse(t *testing.T, seed uint64) *drawnUse {
	w := &drawnUse{t: t, rng: rand.New(rand.NewPCG(seed, 6)), now: rigOrigin, groups: map[GroupID]*drawnService{}, units: map[string]GroupID{},
		calls: map[uint64]*drawnCall{}, sessions: map[drawnSession]*drawnUsed{}, closed: map[GroupID]bool{}, counts: map[string]int{}}
	o := ClientOptions{Self: peerOf("c1"), Manager: Peer{Addr: "m"}, Seed: seed, CallsMax: 4 + w.rng.IntN(8), RoutesMax: 1 + w.rng.IntN(6),
		SessionIdleMax: []time.Duration{200 * time.Millisecond, time.Second, 10 * time.Second}[w.rng.IntN(3)]}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	w.c, w.opt = c, c.opt
	for id := GroupID(1); id <= 2; id++ {
		w.groups[id] = &drawnService{values: map[string]Versioned{}, sessions: map[Seq]*modelSession{}}
		w.reconfigure(id)
	}
	return w
}

func (w *drawnUse) odds(n int) bool { return w.rng.IntN(n) == 0 }

// must ends the test if something is not as it must be.
func (w *drawnUse) must(ok bool, format string, args ...any) {
	if !ok {
		w.t.Fatalf(format, args...)
	}
}

// reconfigure gives a group another config, and perhaps another primary.
func (w *drawnUse) reconfigure(id GroupID) {
	g := w.groups[id]
	c := config(Epoch(len(g.configs)+1), fmt.Sprintf("n%d", 1+w.rng.IntN(3)+3*int(id)), fmt.Sprintf("n%d", 10+id))
	c.Group = id
	g.configs = append(g.configs, c)
}

func (g *drawnService) config() *Config { return g.configs[len(g.configs)-1] }

// step has something come to the client.
func (w *drawnUse) step(from Peer, body Message) {
	to := w.c.self
	if from == (Peer{}) {
		to = Peer{}
	}
	w.c.Step(w.now, Envelope{rigCluster, from, to, body}, &w.out)
	w.carry()
}

func (w *drawnUse) carry() {
	for i := 0; w.c.Deadline() <= w.now; i++ {
		w.must(i < 100, "the client never comes to rest")
		w.c.Tick(w.now, &w.out)
	}
	sent := slices.Clone(w.out.Send)
	w.stopped = w.stopped || w.out.Halt != nil
	w.out.Reset()
	for i := range sent {
		switch b := sent[i].Body.(type) {
		case *Result:
			w.onResult(b)
			continue
		case *Op:
			w.onSent(&sent[i], b)
		}
		w.post(sent[i])
	}
}

// post puts a message on its way.
func (w *drawnUse) post(e Envelope) {
	copies := 1
	if !w.calm {
		copies = []int{1, 1, 1, 1, 1, 0, 2}[w.rng.IntN(7)]
	}
	for range copies {
		wait := time.Duration(w.rng.IntN(3000)) * time.Microsecond
		if !w.calm && w.odds(8) {
			wait = time.Duration(w.rng.IntN(2000)) * time.Millisecond
		}
		w.sent++
		heap.Push(&w.mail, drawnLetter{w.now.After(wait), w.sent, e})
	}
}

// onResult: each call ends once, in time, with what has become of it.
func (w *drawnUse) onResult(r *Result) {
	c := w.calls[r.ID]
	w.must(c != nil && c.result == nil, "a result that nobody waits for: %+v", r)
	w.must(w.now <= c.at.After(c.Timeout), "a call ends after its time: %+v", r)
	c.result = r
	if s := w.sessions[drawnSession{r.Group, c.session}]; s != nil && s.call == c {
		s.freed = w.now
	}
	switch r.Status {
	case StatusOK, StatusNotFound, StatusConflict:
		if r.Status != StatusOK && !c.mapped && !c.asked { // a key that nobody has put
			break
		}
		if c.Kind == OpGet {
			w.must(c.got[Reply{Status: r.Status, Version: r.Version, Value: r.Value}], "%+v has the result %+v, and was answered %v", c.Call, r, c.got)
			break
		}
		w.must(c.done == 1 && c.outcome.status == r.Status && c.outcome.version == r.Version, "%+v has the result %+v, and came to %+v %d times", c.Call, r, c.outcome, c.done)
	}
	w.counts[r.Status.String()]++
}

// onSent holds an operation that leaves against what the client may ask for.
func (w *drawnUse) onSent(e *Envelope, op *Op) {
	g := w.groups[op.Group]
	i := slices.IndexFunc(g.configs[max(1, g.heard)-1:], func(c *Config) bool { return c.Chain[0] == e.To })
	w.must(i >= 0, "%+v is sent to %v, and the client knows of epoch %d", op, e.To, g.heard)
	if op.Kind == OpClose {
		w.closed[op.Group] = true
		return
	}
	c := w.calls[op.Req>>1]
	w.must(c != nil && c.result == nil, "%+v is for no call that is under way", op)
	c.asked = true
	if op.Kind == OpOpen {
		w.must(op.Req&1 == 1, "the answer to %+v could be taken for that of the write", op)
		g.opened = true
		return
	}
	c.sent = true
	w.must(op.Kind == c.Kind && op.Key == c.Key && op.Value == c.Value && op.Version == c.Version && op.Req&1 == 0, "%+v asks for %+v", c.Call, op)
	if op.Kind != OpGet {
		w.onWrite(op, c)
	}
}

// onWrite: a write is sent in one session, under one number, unless that session has ended for
// certain. A session has one write at a time, and none after one whose fate is not known.
func (w *drawnUse) onWrite(op *Op, c *drawnCall) {
	w.must(c.session == 0 || c.session == op.Session || slices.Contains(c.given, c.session), "%+v is sent in session %d, and was in %d", c.Call, op.Session, c.session)
	c.session = op.Session
	s := w.sessions[drawnSession{op.Group, op.Session}]
	w.must(s != nil, "%+v is in a session that nobody has opened", op)
	if s.call == c {
		w.must(op.OpSeq == s.opSeq, "%+v had the number %d", op, s.opSeq)
		return
	}
	w.must(op.OpSeq == s.opSeq+1, "%+v comes after number %d", op, s.opSeq)
	w.must(s.call == nil || s.call.result != nil && s.call.result.Status != StatusUnknown, "%+v is sent after a write whose fate is not known", op)
	w.must(w.now.Since(s.freed) <= w.opt.SessionIdleMax, "%+v is in a session that was idle for %v", op, w.now.Since(s.freed))
	s.call, s.opSeq = c, op.OpSeq
}

// arrive takes a message in where it is addressed to.
func (w *drawnUse) arrive(e *Envelope) {
	switch b := e.Body.(type) {
	case *Lookup:
		w.onLookup(e, b)
	case *Op:
		w.onOp(e, b)
	case *LookupReply, *Reply:
		w.tell(e)
	}
}

func (w *drawnUse) answer(e *Envelope, from Peer, m Message) {
	w.post(Envelope{rigCluster, from, e.From, m})
}

func (w *drawnUse) onLookup(e *Envelope, b *Lookup) {
	r := &LookupReply{Req: b.Req, Status: StatusOK, Placement: PlacementKey}
	id, known := w.units[b.Key]
	switch {
	case !w.calm && w.odds(6):
		if r.Status = StatusOverloaded; w.odds(2) {
			return // it is away
		}
	case !known && !b.Create:
		r.Status = StatusNotFound
	default:
		if !known {
			id = GroupID(1 + w.rng.IntN(2))
			w.units[b.Key] = id
		}
		r.Config = w.groups[id].config()
	}
	w.answer(e, peerOf("m"), r)
}

// onOp is what a storage node does: the primary carries it out, another one tells who that is, or
// was when it last heard.
func (w *drawnUse) onOp(e *Envelope, op *Op) {
	g := w.groups[op.Group]
	r := &Reply{Group: op.Group, Req: op.Req, Status: StatusNotPrimary, Epoch: g.config().Epoch}
	switch {
	case g.config().Chain[0] != e.To:
		if w.odds(2) {
			r.Config = g.configs[w.rng.IntN(len(g.configs))]
		}
	case !w.calm && w.odds(8):
		if r.Status = StatusOverloaded; w.odds(3) {
			r.Status = StatusNotPrimary // it reconciles, or was just started
		}
	default:
		if !w.serve(g, e.From.ID, op, r) {
			return
		}
	}
	w.answer(e, e.To, r)
}

// serve carries an operation out, by R12. It returns false if there is no answer.
func (w *drawnUse) serve(g *drawnService, from NodeID, op *Op, r *Reply) bool {
	r.Status = StatusOK
	switch op.Kind {
	case OpClose:
		for id, s := range g.sessions {
			if s.owner == from {
				delete(g.sessions, id)
			}
		}
		return false
	case OpOpen:
		g.log++
		g.sessions[g.log] = &modelSession{owner: from}
		r.Version = g.log
		return true
	case OpGet:
		v, there := g.values[op.Key]
		if r.Version, r.Value = v.Version, v.Data; !there {
			r.Status = StatusNotFound
		}
		if c := w.calls[op.Req>>1]; c != nil {
			c.got[Reply{Status: r.Status, Version: r.Version, Value: r.Value}] = true
		}
		return true
	}
	s := g.sessions[op.Session]
	switch {
	case s == nil || s.owner != from:
		r.Status = StatusSessionExpired
		return true
	case op.OpSeq < s.last:
		return false
	case op.OpSeq > s.last && s.ended:
		r.Status, r.Version = StatusSessionEnded, op.Session
		return true
	case op.OpSeq > s.last:
		g.log++
		m := modelState{values: g.values}
		s.last, s.outcome = op.OpSeq, m.write(g.log, &Entry{Kind: op.Kind, Key: op.Key, Value: op.Value, Version: op.Version})
		if c := w.calls[op.Req>>1]; c != nil {
			c.done++
			c.outcome = s.outcome
			w.must(c.done == 1, "%+v was carried out twice", c.Call)
		}
	}
	r.Status, r.Version = s.outcome.status, s.outcome.version
	return true
}

// tell has an answer come to the client. What it brings for certain, it must know from now on, and
// go on with at once.
func (w *drawnUse) tell(e *Envelope) {
	var c *drawnCall
	next := false // the call has what it waited for, and goes on
	switch b := e.Body.(type) {
	case *LookupReply:
		if c = w.calls[b.Req]; c != nil && c.result == nil && b.Status == StatusOK {
			next = !c.mapped && !c.asked
			c.mapped = true
			w.hear(b.Config)
		}
	case *Reply:
		c = w.calls[b.Req>>1]
		if c == nil || c.result != nil {
			break
		}
		if b.Config != nil && len(c.given) == 0 {
			w.hear(b.Config)
		}
		switch {
		case b.Req&1 == 1 && b.Status == StatusOK:
			key := drawnSession{b.Group, b.Version}
			if w.sessions[key] == nil {
				w.sessions[key] = &drawnUsed{freed: w.now}
			}
			next = !c.opened && !c.sent
			c.opened = true
		case b.Status == StatusSessionEnded:
			c.given = append(c.given, b.Version)
		}
	}
	before := w.sent
	w.step(e.From, e.Body)
	if next {
		w.must(c.result != nil || w.sent > before || !w.calm, "%+v has what it waited for, and does not go on", c.Call)
	}
}

func (w *drawnUse) hear(c *Config) {
	g := w.groups[c.Group]
	g.heard = max(g.heard, c.Epoch)
}

// user makes a call.
func (w *drawnUse) user() {
	w.last++
	c := &Call{ID: w.last, Kind: []OpKind{OpGet, OpPut, OpPut, OpCAS, OpDelete}[w.rng.IntN(5)], Key: fmt.Sprintf("k%d", w.rng.IntN(6)), Timeout: time.Duration(1+w.rng.IntN(3000)) * time.Millisecond}
	if w.calm {
		c.Timeout = 10 * time.Second
	}
	if c.Kind == OpPut || c.Kind == OpCAS {
		c.Value = fmt.Sprint(c.ID)
	}
	if id, known := w.units[c.Key]; known && c.Kind == OpCAS && w.odds(2) {
		c.Version = w.groups[id].values[c.Key].Version
	}
	w.calls[c.ID] = &drawnCall{Call: c, at: w.now, got: map[Reply]bool{}}
	w.step(Peer{}, c)
}

// next draws what happens.
func (w *drawnUse) next() {
	id := GroupID(1 + w.rng.IntN(2))
	g := w.groups[id]
	switch w.rng.IntN(12) {
	case 0:
		w.reconfigure(id)
	case 1:
		for s := range Seq(g.log + 1) {
			if x := g.sessions[s]; x != nil && w.odds(3) {
				if x.ended = true; w.odds(4) {
					delete(g.sessions, s)
				}
			}
		}
	case 2:
		w.step(Peer{}, &Cancel{ID: max(1, w.last-uint64(w.rng.IntN(4)))})
	case 3:
		w.step(w.c.self, &PeerDown{Peer: g.configs[w.rng.IntN(len(g.configs))].Chain[0], Refused: w.odds(2)})
	case 4:
		w.run(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
	default:
		w.user()
	}
	w.run(time.Duration(w.rng.IntN(30)) * time.Millisecond)
}

// run lets time pass.
func (w *drawnUse) run(d time.Duration) {
	for end := w.now.After(d); ; {
		next := w.c.Deadline()
		if len(w.mail) > 0 {
			next = min(next, w.mail[0].at)
		}
		if next > end || w.stopped && len(w.mail) == 0 {
			w.now = end
			return
		}
		if w.now = max(w.now, next); len(w.mail) > 0 && w.mail[0].at <= w.now {
			e := heap.Pop(&w.mail).(drawnLetter)
			if !w.stopped || e.To.ID != w.c.self.ID {
				w.arrive(&e.Envelope)
			}
		} else if !w.stopped {
			w.carry()
		}
	}
}

// play has things happen, then a calm in which all that is asked is done, and then the end of the
// client.
func (w *drawnUse) play() {
	for range 120 {
		w.next()
	}
	w.calm = true
	w.run(6 * time.Second)
	first := w.last + 1
	for range 20 {
		w.user()
		w.run(20 * time.Millisecond)
	}
	w.run(2 * time.Second)
	for id := first; id <= w.last; id++ {
		r := w.calls[id].result
		forgotten := r != nil && r.Status == StatusUnknown && r.Cause == StatusSessionExpired // before the calm
		w.must(r != nil && (r.Status == StatusOK || r.Status == StatusNotFound || r.Status == StatusConflict || forgotten), "in a calm %+v ends with %+v", w.calls[id].Call, r)
	}
	w.user()
	w.step(Peer{}, &Stop{})
	w.must(w.stopped, "the client does not stop")
	w.run(10 * time.Second)
	for id, c := range w.calls {
		w.must(c.result != nil, "call %d has no result", id)
		if r := c.result.Status; c.Kind != OpGet && r != StatusUnknown && r != StatusOK && r != StatusConflict && r != StatusNotFound {
			w.must(c.done == 0, "%+v ended with %+v, and was carried out", c.Call, c.result)
		}
	}
	for id, g := range w.groups {
		w.must(!g.opened || w.closed[id], "the client has closed, and group %d does not know", id)
	}
}

// TestAClientKeepsItsRules: whatever happens to the cluster and on the way, a write is carried out
// once at most, and its user hears what has become of it, or that this is not known.
func TestAClientKeepsItsRules(t *testing.T) {
	first, runs := drawnSeeds(t, 1, 150)
	for seed := first; seed < first+runs; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			w := newDrawnUse(t, seed)
			w.play()
			t.Log(w.counts)
		})
	}
}
