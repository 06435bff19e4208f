package core

import (
	"fmt"
	"time"
)

// Storage is a storage node: it holds the logs and the maps of its groups, as
// primary or as replica.
type Storage struct {
	common
	opt     *StorageOptions
	manager Peer // of several the one that leads, or that is tried
	leaders leaders
	boot    Boot
	seen    directorySeen
	token   uint64 // of the last Ping
	secret  uint64 // of this start: what proves to this node that the manager got its Register
	known   uint64 // the last of these that the manager has confirmed: see nodeEntry.follows

	// leaseMax is no less than the lease of any config that this node is in, or that it may
	// have granted by and not waited out. It is persisted: a restarted node assumes that it
	// has just granted one (rule R9).
	leaseMax time.Duration

	groups []*group // in the order in which they became known

	started    bool
	registered bool
	registerAt Time // when the next Register is due
	leaveBy    Time // until when it may leave its chains after a Stop; Never before
	leaveAt    Time // when to ask for that again
	stopAt     Time // when to halt, once it has stopped; Never before
	relays     relays
	disk       diskLag

	dirty bool // some group has work to flush before the Output leaves

	scratch []byte // for checksums
}

// NewStorage starts a storage node over what it made durable before. It returns
// an error when the options are out of bounds or the space is damaged.
func NewStorage(opt StorageOptions, space Space) (*Storage, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	s := &Storage{common: common{self: opt.Self}, opt: &opt, manager: opt.Manager, leaders: leaders{known: opt.Managers}, secret: opt.Secret, leaveBy: Never, leaveAt: Never, stopAt: Never}
	if opt.Durable {
		if err := s.restore(space); err != nil {
			return nil, err
		}
	}
	if s.leaders.several() {
		s.manager.Addr = s.leaders.known[0].Addr
	}
	s.boot++
	s.relays.last = firstNonce(s.boot)
	return s, nil
}

// Step implements Node.
func (s *Storage) Step(now Time, in Envelope, out *Output) {
	s.begin(now, out)
	if in.From.ID == s.self.ID && in.To.ID == s.self.ID {
		s.onSelf(in.Body)
	} else if !inRange(&in) {
		s.drop(in.From)
	} else if s.accepts(in) {
		s.onMessage(in)
	}
	s.end()
}

// Tick implements Node.
func (s *Storage) Tick(now Time, out *Output) {
	s.begin(now, out)
	s.alarm = Never
	s.tickNode()
	for _, g := range s.groups {
		g.tick()
	}
	s.dirty = false
	for _, g := range s.groups {
		s.dirty = s.dirty || g.dirty
	}
	s.end()
}

// Deadline implements Node.
func (s *Storage) Deadline() Time {
	switch {
	case !s.started:
		return 0
	case s.dirty:
		return s.now
	}
	return s.alarm
}

// UnderWay is how many operations of clients the node has taken in and not answered yet,
// and the bytes of the keys and values that they bring.
func (s *Storage) UnderWay() (operations, bytes int) {
	for _, g := range s.groups {
		if t := g.tenure; t != nil {
			operations += len(t.pending) + len(t.reads) + len(t.exports) + len(t.parked)
			bytes += t.bytes
			for i := range t.parked {
				bytes += t.parked[i].op.bytes()
			}
		}
	}
	return operations, bytes
}

func (s *Storage) begin(now Time, out *Output) {
	s.now, s.out = now, out
	if !s.started {
		s.start()
	}
}

func (s *Storage) end() {
	if s.seen.noted < s.seen.index && len(s.out.Persist) > 0 { // it takes no sync of its own
		s.persistIdentity()
	}
	s.disk.watch(s)
	s.out = nil
}

// start makes the boot durable before the first Register can leave.
func (s *Storage) start() {
	s.started = true
	s.persistIdentity()
	for _, g := range s.groups {
		g.grantUntil = s.now.After(grant(s.leaseMax, s.opt.DriftPPM))
		if g.partial() { // a part of a snapshot is of no use
			g.joiner.begun = false
			g.unpersistData()
		} else {
			g.commitTo(g.noted)
		}
	}
	s.register()
}

func (s *Storage) tickNode() {
	if s.now >= s.stopAt {
		s.out.Halt = ErrStopped
		return
	}
	if s.now >= s.registerAt {
		if s.leaders.several() && !s.stopping() && SameAddr(s.manager.Addr, s.leaders.asked) { // and it does not answer
			s.manager = s.leaders.after(s.manager)
		}
		s.register()
	}
	s.leave()
	s.wakeBy(min(s.registerAt, s.leaveAt, s.stopAt))
}

// register presents the node to the manager, or once stopping says farewell.
func (s *Storage) register() {
	s.registerAt = s.now.After(s.opt.RegisterInterval)
	s.wakeBy(s.registerAt)
	if s.stopping() {
		s.after(s.manager, &Farewell{Boot: s.boot, Token: s.token})
		return
	}
	to := s.manager
	if !s.registered {
		to.ID = 0 // whoever is the manager now
	}
	s.leaders.asked = to.Addr
	inherited := uint64(0)
	if s.inherits() {
		inherited = s.secret
	}
	s.after(to, &Register{Boot: s.boot, Secret: s.opt.Secret, Before: s.known, Inherited: inherited, Durable: s.opt.Durable, Name: s.opt.Name, Process: s.opt.Process, Index: s.seen.index})
}

func (s *Storage) stopping() bool { return s.stopAt != Never }

// suspect reports a member to the manager; by its own name the node asks to be let go.
func (s *Storage) suspect(g *group, id NodeID, refused bool) {
	if id == s.self.ID {
		s.event(Event{Kind: EventResigns, Group: g.id, Epoch: g.config.Epoch})
	} else {
		s.event(Event{Kind: EventSuspected, Group: g.id, Epoch: g.config.Epoch, Node: id})
	}
	g.send(s.manager, &Suspect{Group: g.id, Epoch: g.config.Epoch, Node: id, Refused: refused, Token: s.token})
}

// onPeerDown takes the hint that a connection broke, or that an address refuses
// connections or is another node's.
func (s *Storage) onPeerDown(peer Peer, refused bool) {
	for _, g := range s.groups {
		g.onFollowerDown(peer, refused)
	}
	s.relays.down(s, peer, refused)
}

// accepts tells whether a message from elsewhere is for this node and from its
// cluster. It refuses requests that are not, so that their senders know.
func (s *Storage) accepts(in Envelope) bool {
	reason := Refusal(0)
	switch {
	case in.To.ID != s.self.ID && in.To.ID != 0:
		reason = RefusedOtherNode
	case s.cluster == 0:
		// No cluster is known yet: only answers to Register are taken in.
		_, ok := in.Body.(*Registered)
		_, refused := in.Body.(*Refused)
		_, elsewhere := in.Body.(*NotLeader)
		return ok || refused || elsewhere
	case in.Cluster != s.cluster && !(in.Cluster == 0 && KindOf(in.Body) == KindProbe):
		reason = RefusedOtherCluster
	default:
		return true
	}
	s.refuse(in, reason, 0)
	return false
}

func (s *Storage) onSelf(m Message) {
	switch m := m.(type) {
	case *Ack:
		if g := s.group(m.Group); g != nil {
			g.onAck(s.self, m)
		}
	case *Synced:
		s.disk.onSynced(m)
	case *PeerDown:
		s.onPeerDown(m.Peer, m.Refused)
	case *Stop:
		s.onStop()
	}
}

func (s *Storage) onMessage(in Envelope) {
	r, refused := in.Body.(*Refused)
	switch {
	case !s.mayHear(&in):
		s.drop(in.From)
		return
	case refused:
		s.onRefused(in, r)
		return
	case s.stopping():
		if op, ok := in.Body.(*Op); ok { // who has not heard of it yet must not wait for nothing
			s.onOp(in.From, op)
		}
		return
	}
	switch m := in.Body.(type) {
	case *Registered:
		s.onRegistered(in, m)
	case *NotLeader:
		s.onNotLeader(m)
	case *Ping:
		s.onPing(in, m)
	case *Probe:
		s.onProbe(in, m)
	case *ProbeReply:
		s.onProbeReply(in, m)
	case *Config:
		s.adopt(in.From, m)
	case *Replicate:
		s.onReplicate(in.From, m)
	case *Ack:
		if g := s.group(m.Group); g != nil {
			g.onAck(in.From, m)
		}
	case *Nack:
		if g := s.group(m.Group); g != nil {
			g.onNack(in.From, m)
		}
	case *Op:
		s.onOp(in.From, m)
	case *Export:
		s.onExport(in.From, m)
	case *Chunk:
		s.onChunk(in.From, m)
	case *ChunkAck:
		if g := s.group(m.Group); g != nil {
			g.onChunkAck(in.From, m)
		}
	default:
		s.drop(in.From)
	}
}

func (s *Storage) onRegistered(in Envelope, m *Registered) {
	if m.Boot != s.boot || in.Cluster == 0 || s.cluster != 0 && in.Cluster != s.cluster {
		s.drop(in.From)
		return
	}
	s.manager = in.From
	s.learn(m.Managers)
	if s.cluster == 0 || s.known != s.secret {
		s.cluster, s.known = in.Cluster, s.secret
		if s.inherits() { // other copies of the data may have it
			s.secret = s.opt.Secret
			s.persistIdentity()
			s.register()
			return
		}
		s.persistIdentity()
	}
	s.registered = true
	s.registerAt = s.now.After(s.opt.SilenceMax)
}

// onNotLeader follows another manager's word on who leads. Where it names nobody, another
// manager is tried in time.
func (s *Storage) onNotLeader(m *NotLeader) {
	if !s.stopping() && s.leaders.follow(m, &s.manager) {
		s.registered = false
		s.register()
	}
}

// inherits tells whether the node still goes by the secret of an earlier start.
func (s *Storage) inherits() bool { return s.secret != s.opt.Secret }

// onRefused learns that this node must stop, or that a member's address is now
// another node's, which is as good as a refused connection.
func (s *Storage) onRefused(in Envelope, m *Refused) {
	if m.Reason == RefusedOtherNode {
		s.onPeerDown(Peer{m.Wanted, in.From.Addr}, true)
		return
	}
	switch m.Reason {
	case RefusedForgotten:
		if s.leaveBy != Never {
			s.out.Halt = ErrStopped // its farewell was heard, or an operator has it go at once
			return
		}
		s.halt(ErrForgotten)
	case RefusedBoot:
		s.halt(ErrBoot)
	case RefusedRuns:
		s.halt(ErrRuns)
	case RefusedMode:
		s.halt(ErrMode)
	case RefusedOtherCluster:
		if s.leaders.several() { // one of the addresses may be another cluster's by now
			s.event(Event{Kind: EventRefused, Node: in.From.ID})
			return
		}
		s.halt(ErrOtherCluster)
	case RefusedFull:
		s.event(Event{Kind: EventNotTaken, Node: in.From.ID})
	}
}

// halt ends the node: the manager has no place for it, ever.
func (s *Storage) halt(why error) {
	for _, g := range s.groups {
		g.depose(nil)
	}
	s.out.Halt = fmt.Errorf("core: storage node %v, boot %d: %w", s.self.ID, s.boot, why)
}

// onStop begins to leave. While this node is in a chain with others, it asks the manager to
// have them go on without it, and serves meanwhile: so nobody waits for a node that has ended.
func (s *Storage) onStop() {
	if s.leaveBy == Never {
		s.leaveBy, s.leaveAt = s.now.After(leaveTries*s.opt.RegisterInterval), s.now
		s.leave()
	}
}

// leaveTries is how often a node that stops asks to be let go. It does not wait for a manager
// that does not answer.
const leaveTries = 3

// leave asks the manager to let this node go, again and again, and stops once it is in no
// chain with others, or has asked often enough.
func (s *Storage) leave() {
	if s.leaveBy == Never || s.stopping() {
		return
	}
	missed := false
	for _, g := range s.groups {
		if g.isMember() && len(g.config.Chain) > 1 {
			if missed = true; s.now >= s.leaveAt {
				s.suspect(g, s.self.ID, false)
			}
		}
	}
	if !missed || s.now >= s.leaveBy {
		s.stop()
		return
	}
	if s.now >= s.leaveAt {
		s.leaveAt = s.now.After(s.opt.RegisterInterval)
	}
	s.wakeBy(min(s.leaveAt, s.leaveBy))
}

// stop ends all service before the first farewell leaves.
func (s *Storage) stop() {
	s.leaveAt = Never
	for _, g := range s.groups {
		g.depose(nil)
	}
	s.stopAt = s.now.After(3 * s.opt.RegisterInterval) // farewells can be lost: say three
	s.register()
	s.wakeBy(s.stopAt)
}

func (s *Storage) onPing(in Envelope, m *Ping) {
	least, ok := s.seen.hear(m)
	if !ok {
		s.refuse(in, RefusedBoot, 0)
		return
	}
	if s.leaders.several() && in.From.ID != s.manager.ID {
		s.manager = s.leaders.named(in.From.ID)
	}
	if s.registered { // else the manager may know an earlier boot only, and must get a Register
		s.registerAt = s.now.After(s.opt.SilenceMax)
	}
	s.token = m.Token
	s.shortenLease()
	pong := &Pong{Nonce: m.Nonce, Token: m.Token, Boot: s.boot, Index: least, Lag: s.disk.lag(s.now)}
	if len(s.groups) > 0 {
		pong.Groups = make([]GroupEpoch, len(s.groups))
		for i, g := range s.groups {
			pong.Groups[i] = GroupEpoch{g.id, g.durable}
			if g.tenure == nil {
				continue
			}
			pong.Serves, pong.Keys = g.id, uint64(g.state.values.len())
			if g.tenure.transfer != nil {
				pong.Join = g.progress()
			}
		}
	}
	s.send(in.From, pong)
}

// groupFor returns the group of a message, after it has adopted the config that came
// along with a higher epoch. It returns nil for a group that is not known here.
func (s *Storage) groupFor(from Peer, id GroupID, epoch Epoch, c *Config) *group {
	g := s.group(id)
	if (g == nil || epoch > g.config.Epoch) && c != nil && c.Group == id && c.Epoch == epoch {
		s.adopt(from, c)
		g = s.group(id)
	}
	return g
}

func (s *Storage) onReplicate(from Peer, m *Replicate) {
	if g := s.groupFor(from, m.Group, m.Epoch, m.Config); g != nil {
		g.onReplicate(from, m)
		return
	}
	s.send(from, &Nack{Group: m.Group, Round: m.Round})
}

func (s *Storage) onChunk(from Peer, m *Chunk) {
	if g := s.groupFor(from, m.Group, m.Epoch, m.Config); g != nil {
		g.onChunk(from, m)
		return
	}
	s.drop(from)
}

func (s *Storage) onOp(from Peer, m *Op) {
	if g := s.group(m.Group); g != nil {
		g.onOp(from, m)
		return
	}
	s.send(from, &Reply{Group: m.Group, Req: m.Req, Status: StatusNotPrimary})
}

func (s *Storage) onExport(from Peer, m *Export) {
	if g := s.group(m.Group); g != nil {
		g.onExport(from, m)
		return
	}
	s.send(from, &Exported{Group: m.Group, Req: m.Req, Status: StatusNotPrimary})
}

// group returns what the node knows of a group, or nil.
func (s *Storage) group(id GroupID) *group {
	for _, g := range s.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

// adopt takes over a config if it is higher than the known one (rule R1). What
// leaves in its epoch waits for it to be durable: see group.send. A group this
// node has never been in is none of its business. A node in the middle of a snapshot can
// be no member: nobody who saw it catch up has said so.
func (s *Storage) adopt(from Peer, c *Config) {
	if s.opt.Durable && !s.registered && c.Position(s.self.ID) == 0 {
		s.drop(from)
		return
	}
	g := s.group(c.Group)
	if g == nil {
		if c.Epoch == 0 || c.Position(s.self.ID) < 0 && c.Joining.ID != s.self.ID { // there are GroupsMax at most
			return
		}
		g = newGroup(s, c.Group)
		s.groups = append(s.groups, g)
	}
	if c.Epoch <= g.config.Epoch {
		return
	}
	if g.partial() && c.Position(s.self.ID) >= 0 {
		s.drop(from)
		return
	}
	if c.Lease > s.leaseMax {
		s.leaseMax = c.Lease
		s.persistIdentity()
	}
	g.adopt(c)
	s.leave()
}
