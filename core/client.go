package core

import (
	"container/heap"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Client does the operations of a user's program: it asks the manager where a
// key lives, then talks to that group's primary, again and again until there is
// a result or the call's time is over.
type Client struct {
	common
	opt     ClientOptions
	manager Peer // of several the one that leads, or that is tried
	leaders leaders
	owed    bool // one of several owes an answer
	owedAt  Time // since when
	// displaced: another manager answers at the manager's address.
	displaced bool
	random    rand.PCG // of jitter only

	trips roundTrips // of operations, from when they were first sent to a primary

	calls  map[uint64]*call // by Call.ID
	timed  calls            // the same calls, by when they are due
	called uint64           // how many calls there were
	routes map[GroupID]*route

	placement Placement // 0 until the cluster has told it; until then units is empty
	units     map[Unit]GroupID
}

// route is what a client knows of a group.
type route struct {
	config  *Config
	askedAt Time             // when the manager was last asked about its silence, for whichever call
	opened  bool             // a session was asked for
	idle    []*clientSession // the last used is the last
}

// clientSession is a session in a group. It does one operation at a time.
type clientSession struct {
	id     Seq
	opSeq  uint64 // of its last operation
	usedAt Time
}

// call is an operation under way.
type call struct {
	*Call
	number   uint64 // how many calls came before it
	place    int    // in Client.timed
	dueAt    Time   // when it is looked at: at retryAt, or before that at its deadline
	deadline Time
	retryAt  Time // when to try again, or to ask the manager, if there is no answer
	attempts int
	waiting  bool // backing off: answers to the last attempt are of no more interest

	asked      uint64        // Req of what the target is asked for
	askedAt    Time          // when it was first asked for that
	sentAt     Time          // and when last
	inquiredAt Time          // when the manager was last asked about the silence
	again      time.Duration // after which it is sent to the target again; doubles

	route   *route         // nil until the key's group is known
	session *clientSession // of a write, once it has one
	target  Peer           // whom the last attempt asked
	sent    bool           // the operation itself has left at least once
	cause   Status         // the last refusal
	have    uint32
	need    uint32
}

// NewClient starts a client. It returns an error when the options are out of
// bounds.
func NewClient(opt ClientOptions) (*Client, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	manager := opt.Manager
	if len(opt.Managers) > 0 {
		manager = opt.Managers[0]
	}
	return &Client{
		common: common{self: opt.Self, alarm: Never}, opt: opt, manager: manager, leaders: leaders{known: opt.Managers}, random: *rand.NewPCG(opt.Seed, uint64(opt.Self.ID)),
		calls: make(map[uint64]*call), units: make(map[Unit]GroupID), routes: make(map[GroupID]*route),
	}, nil
}

// Step implements Node.
func (c *Client) Step(now Time, in Envelope, out *Output) {
	c.now, c.out = now, out
	switch b := in.Body.(type) {
	case *Call:
		c.onCall(b)
	case *Stop:
		c.close()
	case *Cancel:
		if call := c.calls[b.ID]; call != nil {
			c.timeOut(call)
		}
	case *PeerDown:
		c.onPeerDown(b.Peer, b.Refused)
	default:
		if !inRange(&in) {
			c.drop(in.From)
		} else if c.accepts(in) {
			c.onReply(in)
		}
	}
	c.out = nil
}

// Tick implements Node.
func (c *Client) Tick(now Time, out *Output) {
	c.now, c.out = now, out
	for _, call := range c.timed.due(now) {
		if now >= call.deadline {
			c.timeOut(call)
			continue
		}
		c.retry(call)
		c.wakeFor(call)
	}
	c.alarm = c.timed.next()
	c.out = nil
}

// Deadline implements Node.
func (c *Client) Deadline() Time { return c.alarm }

// wakeFor has a call looked at when it is next due. It follows each change of its retryAt.
func (c *Client) wakeFor(call *call) {
	call.dueAt = min(call.retryAt, call.deadline)
	c.timed.moved(call)
	c.wakeBy(call.dueAt)
}

func (c *Client) accepts(in Envelope) bool {
	k := KindOf(in.Body)
	if in.To.ID == c.self.ID && (in.Cluster == c.cluster || c.cluster == 0 && (k == KindLookupReply || k == KindNotLeader)) {
		return true
	}
	c.event(Event{Kind: EventRefused, Node: in.From.ID})
	return false
}

func (c *Client) onReply(in Envelope) {
	switch b := in.Body.(type) {
	case *LookupReply:
		if call := c.calls[b.Req]; call != nil {
			c.onLookupReply(in, call, b)
		}
	case *Reply:
		if call := c.calls[b.Req>>1]; call != nil {
			c.onOpReply(in, call, b)
		}
	case *Refused:
		c.onRefused(in, b)
	case *NotLeader:
		if call := c.calls[b.Req]; call != nil && c.leaders.several() {
			c.leaders.meet(in.From)
			c.onNotLeader(in.From, call, b)
		}
	default:
		c.drop(in.From)
	}
}

// onRefused: an address that is now another node's is as good as a broken
// connection. At the manager's it is another cluster's manager, and the calls
// that end meanwhile say so.
func (c *Client) onRefused(in Envelope, b *Refused) {
	if c.leaders.several() {
		if b.Reason == RefusedOtherCluster && SameAddr(in.From.Addr, c.manager.Addr) { // another cluster's is there by now
			c.onPeerDown(c.manager, true)
		}
	} else if b.Wanted == c.manager.ID && (b.Reason == RefusedOtherNode || b.Reason == RefusedOtherCluster) {
		c.displaced = true
	}
	if b.Reason == RefusedOtherNode {
		c.onPeerDown(Peer{b.Wanted, in.From.Addr}, true)
	}
}

func (c *Client) onCall(b *Call) {
	status := Status(0)
	switch {
	case len(b.Key) < 1 || len(b.Key) > KeyBytesMax || len(b.Value) > ValueBytesMax:
		status = StatusTooLarge
	case len(c.timed) >= c.opt.CallsMax:
		status = StatusOverloaded
	}
	if status != 0 || c.calls[b.ID] != nil {
		c.send(Peer{}, &Result{ID: b.ID, Status: status})
		return
	}
	call := &call{Call: b, number: c.called, deadline: c.now.After(b.Timeout), dueAt: Never}
	c.called++
	c.calls[b.ID] = call
	heap.Push(&c.timed, call)
	if id, ok := c.units[c.placement.Unit(b.Key)]; ok {
		call.route = c.routes[id]
	}
	c.attempt(call)
	c.wakeFor(call)
}

// attempt sends what brings the call forward: the lookup of its group, the
// opening of a session for a write, or the operation itself.
func (c *Client) attempt(call *call) {
	call.attempts++
	call.waiting = false
	call.retryAt = c.now.After(c.patience())
	call.sentAt = c.now
	if call.route == nil {
		c.lookup(call)
		call.target = c.manager
		return
	}
	op := &Op{Group: call.route.config.Group, Req: call.req(false), Kind: call.Kind}
	switch {
	case call.Kind == OpGet:
		op.Key = call.Key
		call.sent = true
	case call.session == nil && !c.borrow(call):
		op.Kind, op.Req = OpOpen, call.req(true)
		call.route.opened = true
	default:
		op.Session, op.OpSeq = call.session.id, call.session.opSeq
		op.Key, op.Value, op.Version = call.Key, call.Value, call.Version
		call.sent = true
	}
	if primary := call.route.config.Chain[0]; op.Req != call.asked || primary != call.target {
		call.target, call.asked = primary, op.Req
		call.askedAt, call.again = c.now, max(c.patience(), c.crowded())+transferTime(op.bytes())
	}
	c.send(call.target, op)
}

// patience is how long to wait for an answer before asking the manager about it.
func (c *Client) patience() time.Duration {
	if !c.trips.known() {
		return c.opt.AttemptTimeout
	}
	return c.trips.patience(c.opt.AttemptTimeout)
}

func (c *Client) lookup(call *call) {
	if c.leaders.several() {
		c.chooseManager()
	}
	create := call.Kind == OpPut || call.Kind == OpCAS && call.Version == 0
	c.send(c.manager, &Lookup{Req: call.ID, Key: call.Key, Create: create})
}

// chooseManager tries the next of several managers where the last owes an answer for long.
func (c *Client) chooseManager() {
	switch {
	case !c.owed:
		c.owed, c.owedAt = true, c.now
	case c.now.Since(c.owedAt) >= c.patience():
		c.manager, c.owedAt = c.leaders.after(c.manager), c.now
	}
}

// leaderlessMost is how many attempts count for the back-off where no manager leads: 80 ms at most,
// by default. An election is soon over, and who has backed off for long finds the leader late.
const leaderlessMost = 5

// onNotLeader asks the manager that leads, or if none does, another one after a while: who knows
// of no leader may be cut off from the others.
func (c *Client) onNotLeader(from Peer, call *call, b *NotLeader) {
	c.owed = false
	call.attempts = min(call.attempts, leaderlessMost)
	if b.Leader.ID == 0 && SameAddr(from.Addr, c.manager.Addr) {
		c.manager = c.leaders.after(c.manager)
	}
	switch follows := c.leaders.follow(b, &c.manager); {
	case follows && call.route != nil:
		c.lookup(call)
	case follows && !call.waiting:
		c.attempt(call)
		c.wakeFor(call)
	case b.Leader.ID == 0 && call.route == nil:
		c.backOff(call, 0)
	case call.route == nil && !call.waiting && call.target != c.manager: // others have been told before
		c.attempt(call)
		c.wakeFor(call)
	case call.route == nil:
		c.backOff(call, 0)
	}
}

// borrow gives a write an idle session and with it the number that names the
// write for ever. Sessions that were idle for long may have expired: they are
// given up before anything is sent in them.
func (c *Client) borrow(call *call) bool {
	idle := call.route.idle
	for len(idle) > 0 {
		s := idle[len(idle)-1]
		idle = idle[:len(idle)-1]
		if c.now.Since(s.usedAt) <= c.opt.SessionIdleMax {
			call.route.idle = idle
			call.take(s)
			return true
		}
	}
	call.route.idle = nil
	return false
}

func (call *call) take(s *clientSession) {
	s.opSeq++
	call.session = s
}

// retry is called when an attempt was not answered, or a back-off is over. It reports a
// silent primary and asks the manager for a newer config. It asks the primary again too,
// since the manager may be away. The wait before that grows each time: most likely what
// was sent is big, and still on its way.
func (c *Client) retry(call *call) {
	if call.route == nil || call.waiting {
		if call.route != nil && c.mayAsk(call) {
			c.lookup(call)
		}
		c.attempt(call)
		return
	}
	c.inquire(call)
	if c.now.Since(call.sentAt) >= call.again {
		call.again = max(call.again, min(2*call.again, patienceMax/4))
		c.attempt(call)
	}
	call.retryAt = c.now.After(c.patience() / 3) // the manager decides soon
}

// inquire reports a silent primary and asks for a newer config.
func (c *Client) inquire(call *call) {
	if c.mayAsk(call) {
		c.suspect(call, false)
		c.lookup(call)
	}
}

// mayAsk tells whether to ask the manager about a call's group, and notes that it is
// done. Each call may once per patience, or per crowded time if that is longer. Some call
// of a group's may three times per patience: what it learns serves them all.
func (c *Client) mayAsk(call *call) bool {
	if c.now.Since(call.inquiredAt) < max(c.patience(), c.crowded()) && c.now.Since(call.route.askedAt) < c.patience()/3 {
		return false
	}
	call.inquiredAt, call.route.askedAt = c.now, c.now
	return true
}

// retriesPerSecond bounds how often a client with many calls under way asks again.
const retriesPerSecond = 20_000

// crowded is how long it takes to ask again for every call at that rate.
func (c *Client) crowded() time.Duration {
	return time.Duration(len(c.timed)) * time.Second / retriesPerSecond
}

func (c *Client) suspect(call *call, refused bool) {
	g := call.route.config
	c.event(Event{Kind: EventSuspected, Group: g.Group, Epoch: g.Epoch, Node: call.target.ID})
	c.send(c.manager, &Suspect{Group: g.Group, Epoch: g.Epoch, Node: call.target.ID, Refused: refused})
}

// backOff waits before the next attempt, longer each time, with jitter so that
// many clients do not come back together.
func (c *Client) backOff(call *call, cause Status) {
	if call.waiting {
		return
	}
	call.cause = cause
	call.waiting = true
	most := c.opt.BackoffMin << min(call.attempts-1, 16)
	most = max(min(most, c.opt.BackoffMax), c.crowded())
	wait := most / 2
	if !c.opt.Steady {
		wait += time.Duration(rand.New(&c.random).Int64N(int64(most/2) + 1))
	}
	call.retryAt = c.now.After(wait)
	c.wakeFor(call)
}

func (c *Client) onLookupReply(in Envelope, call *call, b *LookupReply) {
	if c.cluster == 0 {
		c.cluster, c.placement = in.Cluster, b.Placement
	}
	if b.Placement != c.placement { // no manager says so: a cluster's never changes
		c.drop(in.From)
		return
	}
	c.manager, c.displaced, c.owed = in.From, false, false
	c.leaders.meet(in.From)
	switch b.Status {
	case StatusOK:
		if b.Config == nil {
			return // makes no sense; the next attempt asks again
		}
		c.learn(call.Key, b.Config)
		if call.route == nil {
			call.route = c.routes[b.Config.Group]
			c.attempt(call)
			c.wakeFor(call)
		}
		return
	case StatusGroupLost:
		c.refused(call, in, StatusGroupLost, b.Config)
		return
	}
	if call.route != nil {
		return // a late answer: the key has been mapped since
	}
	switch b.Status {
	case StatusNotFound:
		c.notMapped(call, in)
	case StatusOverloaded:
		c.backOff(call, b.Status)
	case StatusUnavailable:
		call.have, call.need = b.Have, b.Need
		c.refused(call, in, b.Status, nil)
	default:
		c.refused(call, in, b.Status, nil)
	}
}

// notMapped ends a call on a key that no put has ever reached, nor any other of its unit.
func (c *Client) notMapped(call *call, in Envelope) {
	switch {
	case call.Kind == OpCAS:
		c.finish(call, &Result{Status: StatusConflict, Node: in.From.ID})
	default:
		c.finish(call, &Result{Status: StatusNotFound, Node: in.From.ID})
	}
}

// refused ends a call that nobody will serve. A write that was sent may have
// happened all the same.
func (c *Client) refused(call *call, in Envelope, status Status, config *Config) {
	r := &Result{Status: status, Node: in.From.ID, Have: call.have, Need: call.need}
	if config != nil {
		r.Group, r.Epoch = config.Group, config.Epoch
	}
	if call.isWrite() && call.sent {
		r.Status, r.Cause = StatusUnknown, status
	}
	c.finish(call, r)
}

func (call *call) isWrite() bool { return call.Kind != OpGet }

func (c *Client) onOpReply(in Envelope, call *call, b *Reply) {
	if call.route == nil || b.Group != call.route.config.Group || !call.awaits(b.Req) {
		c.drop(in.From)
		return
	}
	if b.Config != nil && b.Config.Group == b.Group {
		c.learn("", b.Config)
	}
	switch b.Status {
	case StatusOK, StatusNotFound, StatusConflict:
		c.onAnswer(in, call, b)
	case StatusNotPrimary:
		if call.waiting || in.From.ID != call.target.ID {
			return
		}
		if call.route.config.Chain[0].ID != call.target.ID {
			c.attempt(call) // the reply, or another, has told where to go
			c.wakeFor(call)
			return
		}
		c.backOff(call, b.Status)
	case StatusSessionExpired:
		call.session = nil // not to be used by anybody again
		c.refused(call, in, b.Status, call.route.config)
	case StatusSessionEnded:
		c.onSessionEnded(call, b)
	case StatusTooLarge:
		c.refused(call, in, b.Status, call.route.config)
	default:
		c.backOff(call, b.Status)
	}
}

// awaits tells whether a reply is to something that the call has sent.
func (call *call) awaits(req uint64) bool {
	if req == call.req(false) {
		return call.sent
	}
	return call.asked == req || call.session != nil
}

// onSessionEnded takes up a write anew in another session. The reply is certain that the
// write was not executed and never will be, so this is not a second time.
func (c *Client) onSessionEnded(call *call, b *Reply) {
	if call.session == nil || b.Version != call.session.id || b.Req != call.req(false) {
		return // about another session: one that this call has given up already
	}
	call.session, call.sent = nil, false
	c.backOff(call, b.Status)
}

// req names the call's operation, or the opening of the session for it: the
// answer to one must not be taken for that of the other.
func (call *call) req(opening bool) uint64 {
	if opening {
		return call.ID<<1 | 1
	}
	return call.ID << 1
}

// onAnswer ends the call with a result; or it was a session that was opened.
func (c *Client) onAnswer(in Envelope, call *call, b *Reply) {
	if in.From.ID == call.target.ID && b.Req == call.asked {
		c.trips.observe(c.now.Since(call.askedAt))
	}
	if b.Req == call.req(true) {
		if call.session != nil {
			return // opened twice: one is enough, the other will expire
		}
		call.take(&clientSession{id: b.Version, usedAt: c.now})
		c.attempt(call)
		c.wakeFor(call)
		return
	}
	c.finish(call, &Result{Status: b.Status, Version: b.Version, Value: b.Value, Node: in.From.ID, Group: b.Group, Epoch: b.Epoch})
}

// timeOut ends a call whose time is over, or whose user waits no longer.
func (c *Client) timeOut(call *call) {
	r := &Result{Status: StatusUnavailable, Cause: call.cause, Have: call.have, Need: call.need, Displaced: c.displaced}
	if call.route != nil {
		r.Group, r.Epoch = call.route.config.Group, call.route.config.Epoch
	}
	if call.isWrite() && call.sent {
		r.Status = StatusUnknown
	}
	c.finish(call, r)
}

func (c *Client) finish(call *call, r *Result) {
	r.ID, r.Sent = call.ID, call.sent
	c.send(Peer{}, r)
	// A session whose last write is unknown is given up. Somebody else may have numbered
	// a write in it, and then every later one would end unknown too.
	if s := call.session; s != nil && r.Status != StatusUnknown {
		s.usedAt = c.now
		call.route.idle = append(call.route.idle, s)
	}
	delete(c.calls, call.ID)
	c.timed.remove(call)
}

// close ends all calls, asks each group to end the client's sessions, and halts. It waits
// for no answer: what is not closed is dropped when it was idle for long.
func (c *Client) close() {
	for _, call := range c.timed.all() {
		c.timeOut(call)
	}
	for _, id := range slices.Sorted(maps.Keys(c.routes)) {
		if r := c.routes[id]; r.opened {
			c.send(r.config.Chain[0], &Op{Group: id, Kind: OpClose})
		}
	}
	c.out.Halt = ErrStopped
}

// learn remembers a config unless a higher epoch is known, and the group of a
// key's unit. That a unit has no group is never remembered.
func (c *Client) learn(key string, config *Config) {
	r := c.routes[config.Group]
	if r == nil {
		r = &route{config: config}
		c.routes[config.Group] = r
	} else if config.Epoch > r.config.Epoch {
		r.config = config
		c.redirect(r)
	}
	if key == "" {
		return
	}
	u := c.placement.Unit(key)
	if _, known := c.units[u]; !known && len(c.units) >= c.opt.RoutesMax {
		clear(c.units) // they are learnt again as they are used
	}
	c.units[u] = config.Group
}

// redirect sends what was asked of an earlier primary to the present one, also what
// backs off: that was because of the earlier one.
func (c *Client) redirect(r *route) {
	for _, call := range c.timed.all() {
		if call.route == r && call.target.ID != r.config.Chain[0].ID {
			call.attempts = 0
			c.attempt(call)
			c.wakeFor(call)
		}
	}
}

// onPeerDown is called when a connection broke, or an address refused one. Calls that
// waited for that peer are soon tried again. A storage node is reported at once; once, as
// what the manager says to that sends all calls of the group on.
func (c *Client) onPeerDown(peer Peer, refused bool) {
	if c.leaders.several() && peer.Addr == c.manager.Addr {
		c.manager, c.owed = c.leaders.after(c.manager), false
	}
	var told *Config // a group whose members were tried
	var asked *route // a group about which the manager was asked
	for _, call := range c.timed.all() {
		if call.route != nil && refused && told != call.route.config && call.route.config.holds(peer) {
			told = call.route.config
			c.bearWitness(told, peer)
		}
		if call.waiting || call.target != peer {
			continue
		}
		if call.route != nil && call.route != asked {
			asked = call.route
			c.suspect(call, refused)
			c.lookup(call)
		}
		c.backOff(call, 0)
	}
}

// bearWitness tries the other members of a group whose primary refuses connections. A
// member that refuses too is reported, so that the loss of the group does not rest on
// the manager's word alone.
func (c *Client) bearWitness(config *Config, peer Peer) {
	if peer != config.Chain[0] {
		c.send(c.manager, &Suspect{Group: config.Group, Epoch: config.Epoch, Node: peer.ID, Refused: true})
		return
	}
	for _, p := range config.Chain[1:] {
		c.send(p, &Probe{Reach: true})
	}
}

// holds tells whether the chain has the node, at that address.
func (c *Config) holds(p Peer) bool { return slices.Contains(c.Chain, p) }
