package quorum

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/raft/v3"

	"gtstore/core"
)

// A Machine is the owner of a Node: the state that its members agree on, and who waits for
// it. The Node calls it within its own Step and Tick, and the Machine may call no more than
// Propose, Confirm, Leader and Members of the Node. An error of its Restore ends the node.
type Machine = core.Machine

// calmGap is how many election time-outs may pass from one leader to the next without the group
// passing for one that is just starting.
const calmGap = 10

// silenceMax is how many election time-outs a member has been silent, at least, when another one
// may take its place.
const silenceMax = 2

// voice is when a member was heard last, and whether its connection broke since.
type voice struct {
	id    core.NodeID
	at    core.Time
	broke bool
}

// voice is that of a member, for a leader; nil for all others.
func (n *Node) voice(id core.NodeID) *voice {
	if n.leads == 0 {
		return nil
	}
	if _, member := n.members.peer(id); !member {
		return nil
	}
	i := slices.IndexFunc(n.voices, func(v voice) bool { return v.id == id })
	if i < 0 {
		i, n.voices = len(n.voices), append(n.voices, voice{id: id})
	}
	return &n.voices[i]
}

// listen notes that a member was heard.
func (n *Node) listen(id core.NodeID) {
	if v := n.voice(id); v != nil {
		v.at, v.broke = n.now, false
	}
}

// silent tells whether a leader cannot count on a member now, for people: its connection broke,
// and it was not heard since; or it was not heard for long. A process that ended is silent at
// once so, though what is at its address by now may be another one that lacks its data.
func (n *Node) silent(id core.NodeID) bool {
	v := n.voice(id)
	return v != nil && v.broke || !n.hears(id)
}

// Output collects what the driver must do, as core.Output does; see there.
type Output struct {
	Send    []Envelope
	Persist []core.Write
	After   []Envelope
	Halt    error
}

// Node is one member of a group.
type Node struct {
	self    core.Peer
	opt     Options
	machine Machine
	raft    *raft.RawNode
	log     storage
	members Members
	moved   map[core.NodeID]string // members that are at another address than they list
	listed  []core.Peer            // what current returns; nil when members or moved have changed since
	applied Position
	random  rand.PCG

	started bool
	dirty   bool // the library may have something to hand out
	now     core.Time
	out     *Output // of the call under way
	heard   []core.Peer
	voices  []voice // of the members, since this node leads

	role     raft.SoftState
	leads    Term      // the term that the Machine was told to lead; 0 for none
	ledAt    core.Time // when it began to
	lostAt   core.Time // when there was a leader last, where there is none
	calm     core.Time // since when there have been leaders, with no gap longer than calmGap election time-outs
	changing bool      // a change of the members is not over; of a leader
	closing  bool      // and what ends it is to be proposed

	timeout  time.Duration // of silence before an election; as the options say, or longer: see Far
	tickAt   core.Time     // a leader's next heartbeat
	forgetAt core.Time     // when a silent leader is forgotten
	electAt  core.Time     // when to ask for votes
	doubtTo  core.Time     // until then what the leader says may be from before its connection broke
	defers   bool          // what it has asked whether there would be votes for it, it leaves to another one

	proposals []string // since the library was last given some
	pending   int      // bytes of commands that this leader has proposed and not applied
	reads     []uint64 // that no round was begun for
	round     readRound

	inChange bool // the library is taking over other members

	offers  bool        // the leader is to be told that this node could lead
	yieldTo core.NodeID // whom this leader is to have lead in its place; 0 for nobody

	nonce uint64 // of the last Stored
	owed  []owed // by nonce

	made      snapshot   // that the library asked for in this call
	transfers []transfer // to members that need a snapshot
	incoming  incoming
	folded    Position // the position of the durable snapshot
	foldBytes int      // its size
	parts     uint64   // in how many records it is

	relied  bool  // since this start, what is durable here tells that a command was agreed on
	written Index // the commit point in it
}

// readRound is the round of beats that confirms reads. There is one at a time: the next
// serves all that came meanwhile.
type readRound struct {
	number uint64
	reads  []uint64
	index  Index // to be applied before they are confirmed; 0 while the beats are not answered
}

// New starts a node over what it made durable before, and restores the Machine. It returns
// an error when the options are out of bounds or the Space is damaged.
func New(opt Options, space core.Space, machine Machine) (*Node, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	n := &Node{self: opt.Self, opt: opt, machine: machine, random: newRandom(&opt), timeout: opt.ElectionTimeout}
	n.log.node = n
	if err := n.restore(space); err != nil {
		return nil, err
	}
	var err error
	n.raft, err = raft.NewRawNode(&raft.Config{
		ID: uint64(n.self.ID), Storage: &n.log, Applied: uint64(n.applied.Index), Logger: quiet{},
		AsyncStorageWrites: true,
		// A tick is a heartbeat. Only leaders tick: the library draws the time-outs of
		// others from a source that no seed governs.
		HeartbeatTick: 1, ElectionTick: int(opt.ElectionTimeout / opt.HeartbeatInterval),
		PreVote: true, CheckQuorum: true, ReadOnlyOption: raft.ReadOnlySafe,
		DisableProposalForwarding: true, StepDownOnRemoval: true,
		MaxSizePerMsg: appendBytesMax, MaxInflightMsgs: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("quorum: manager %v: %w", n.self.ID, err)
	}
	n.dirty = true
	return n, nil
}

// Step takes in one message that arrived at time now.
func (n *Node) Step(now core.Time, in Envelope, out *Output) {
	n.begin(now, out)
	switch {
	case in.To.ID != n.self.ID || !isMember(in.From.ID):
	case in.From.ID == n.self.ID:
		if stored, ok := in.Body.(*Stored); ok {
			n.onStored(stored)
		}
	case n.isAhead(in.Body):
		n.climb(in)
	case n.mayHear(in.Body):
		n.onMessage(in)
	}
	n.out = nil
}

// Tick does what is due at time now.
func (n *Node) Tick(now core.Time, out *Output) {
	n.begin(now, out)
	n.noteRole() // what was taken in since the last call may have ended it
	n.tickTimers()
	n.tickTransfers()
	n.flush()
	n.drain()
	n.out = nil
}

// Down takes the hint that a member's connection broke or was refused. If that is the leader,
// an election begins sooner than its silence would bring it about. The others take no part
// in it while they hear the leader, so a hint that is wrong does no harm. A leader tells people
// that the member is silent, until it hears it.
func (n *Node) Down(now core.Time, id core.NodeID, out *Output) {
	n.begin(now, out)
	if v := n.voice(id); v != nil {
		v.broke = true
	}
	if n.role.Lead == uint64(id) && id != n.self.ID {
		n.forgetAt, n.doubtTo = now, now.After(n.heartbeat())
		n.electAt = min(n.electAt, now.After(n.draw()/4))
	}
	n.out = nil
}

// Deadline is when the node next wants a Tick, or Never; see core.Node.
func (n *Node) Deadline() core.Time {
	if !n.started || n.dirty {
		return 0
	}
	next := core.Never
	switch {
	case n.role.RaftState == raft.StateLeader:
		next = n.tickAt
	default:
		if n.role.Lead != raft.None {
			next = n.forgetAt
		}
		if n.mayCampaign() {
			next = min(next, n.electAt)
		}
	}
	for i := range n.transfers {
		next = min(next, n.transfers[i].resendAt)
	}
	return next
}

// Propose asks the members to agree on a command of 1 to CommandBytesMax bytes. It returns
// false if this node does not lead, or has too much under way. A command that is taken comes
// back by Apply, after all that were taken before it, unless Follow comes first.
func (n *Node) Propose(command string) bool {
	if len(command) == 0 || len(command) > CommandBytesMax {
		panic(fmt.Sprintf("quorum: a command of %d bytes was proposed: it must have 1 to %d", len(command), CommandBytesMax))
	}
	if n.leads == 0 || n.pending+len(command) > n.opt.PendingBytes {
		return false
	}
	n.proposals = append(n.proposals, command)
	n.pending += len(command)
	n.dirty = true
	return true
}

// Confirm asks for a majority's word that this node still leads. It returns false if it does
// not. Else Confirmed follows, or Follow. How many may wait is for the owner to bound.
func (n *Node) Confirm(read uint64) bool {
	if n.leads == 0 {
		return false
	}
	n.reads = append(n.reads, read)
	n.dirty = true
	return true
}

// Offer tells the leader that this node could lead in its place. It does nothing where nobody else
// leads.
func (n *Node) Offer() {
	if n.leads == 0 && n.role.Lead != raft.None {
		n.offers, n.dirty = true, true
	}
}

// Yield has another member lead in place of this node, if it leads and that one is there: it is
// brought up to date, and asks for votes at once. Until it leads, or for an election time-out, what
// is proposed waits. It does nothing amid a change of the members.
func (n *Node) Yield(id core.NodeID) {
	if _, member := n.members.peer(id); member && n.Settled() && id != n.self.ID {
		n.yieldTo, n.dirty = id, true
	}
}

// isYielding tells whether the library takes nothing, since another one is about to lead.
func (n *Node) isYielding() bool { return n.raft.BasicStatus().LeadTransferee != raft.None }

// Change proposes other members: those in add, with their addresses, and without those in
// remove. It is one step, in which the old and the new majority both have to agree. Whoever
// is added begins empty. Naming a member again gives it another address.
func (n *Node) Change(add []core.Peer, remove []core.NodeID) error {
	for i, p := range add {
		if find(add[:i], p.ID) >= 0 {
			return fmt.Errorf("quorum: manager %v is named twice: name it once: %w", p.ID, ErrMembers)
		}
		if other, ok := n.shares(p, add, remove); ok {
			return fmt.Errorf("quorum: manager %v cannot be at %s, where manager %v is, as only one of them would be reached: give one another address, or remove the other one in the same step: %w", p.ID, p.Addr, other, ErrMembers)
		}
	}
	return n.proposeMembers(add, remove)
}

// shares tells with whom a member would share its place after a change.
func (n *Node) shares(p core.Peer, add []core.Peer, remove []core.NodeID) (other core.NodeID, ok bool) {
	is := func(o core.Peer) bool { return o.ID != p.ID && core.Place(o.Addr) == core.Place(p.Addr) }
	if i := slices.IndexFunc(add, is); i >= 0 {
		return add[i].ID, true
	}
	for _, o := range n.current() {
		if is(o) && find(add, o.ID) < 0 && !slices.Contains(remove, o.ID) {
			return o.ID, true
		}
	}
	return 0, false
}

// proposeMembers is Change, but for what only an operator can get wrong.
func (n *Node) proposeMembers(add []core.Peer, remove []core.NodeID) error {
	switch {
	case n.leads == 0 || n.raft.BasicStatus().RaftState != raft.StateLeader: // the library may know more
		return fmt.Errorf("quorum: manager %v: %w", n.self.ID, ErrNotLeader)
	case n.changing, n.isYielding():
		return fmt.Errorf("quorum: manager %v: %w", n.self.ID, ErrChanging)
	}
	if err := n.members.plan(add, remove); err != nil {
		return err
	}
	if len(n.proposals) > 0 {
		n.propose() // what was proposed before comes before
	}
	if err := n.raft.ProposeConfChange(change(add, remove)); err != nil {
		return fmt.Errorf("quorum: manager %v: %w: %w", n.self.ID, ErrChanging, err)
	}
	n.changing, n.dirty = true, true
	return nil
}

// Replace changes the members like Change: p for another one that was at its address, and of the
// same name where there are names. It does
// nothing, and returns false, if there is none, if that has been heard lately, or if the
// members cannot be changed now.
func (n *Node) Replace(p core.Peer) bool {
	old, ok := n.former(p)
	return ok && n.Change([]core.Peer{p}, []core.NodeID{old}) == nil
}

// former is who was at the address of one that wants to be taken in, and has not been heard lately.
func (n *Node) former(p core.Peer) (old core.NodeID, ok bool) {
	i := slices.IndexFunc(n.members.Voters, func(v core.Peer) bool { return core.SameAddr(v.Addr, p.Addr) && v.ID != p.ID })
	if i < 0 || n.leads == 0 {
		return 0, false
	}
	old = n.members.Voters[i].ID
	return old, old != n.self.ID && !n.hears(old)
}

// Leader tells whom this node holds for the leader, and in which term; the zero Peer for
// nobody. Another may lead by now.
func (n *Node) Leader() (core.Peer, Term) {
	status := n.raft.BasicStatus()
	leader, _ := n.members.peer(core.NodeID(status.Lead))
	return n.peerNow(leader), Term(status.GetTerm())
}

// Members tells who the members are, as far as this node has applied.
func (n *Node) Members() Members { return n.members }

// Found tells at which address a member is, where that is not what the members list. It counts
// for this start. A leader lists it: see Relist. Whoever says so may be a copy of the member,
// which runs: two that are one could vote twice. So while somebody leads it is for the leader
// to believe, and not while it hears the member at the address that it knows.
func (n *Node) Found(p core.Peer) {
	known, member := n.members.peer(p.ID)
	if member && known.Addr == p.Addr && len(n.moved) == 0 {
		return // as the members list it: so it nearly always is, and a leader looks at each Tick
	}
	now := n.peerNow(known)
	name, _ := core.SplitAddr(now.Addr)
	p.Addr = core.NamedAddr(name, p.Addr) // nobody loses the name that it has
	switch {
	case !member, core.OtherName(known.Addr, p.Addr), len(p.Addr) > core.AddrBytesMax:
	case p.ID != n.self.ID && !core.SameAddr(now.Addr, p.Addr) && n.hears(p.ID):
	case known.Addr == p.Addr:
		delete(n.moved, p.ID)
		n.listed = nil
	default:
		if n.moved == nil {
			n.moved = make(map[core.NodeID]string)
		}
		n.moved[p.ID] = p.Addr
		n.listed = nil
	}
}

// hears tells whether this node leads and has heard a member within silenceMax election
// time-outs, or may hear it yet, as it has not led for so long; or follows somebody who may. The
// library counts from a moment on, and just after that whoever is well looks silent.
func (n *Node) hears(id core.NodeID) bool {
	if n.leads != 0 {
		at := n.ledAt
		if i := slices.IndexFunc(n.voices, func(v voice) bool { return v.id == id }); i >= 0 {
			at = max(at, n.voices[i].at)
		}
		return n.now.Since(at) <= silenceMax*n.timeout
	}
	return n.role.Lead != raft.None // and who leads is heard itself
}

// Relist has the members listed at the addresses at which they were found. A leader's driver
// calls it now and then; it does nothing while all is as it should be.
func (n *Node) Relist() {
	if !n.Settled() {
		return
	}
	n.Found(n.self)
	var add []core.Peer
	now := n.current()
	for i, p := range n.members.Voters {
		if now[i] != p {
			add = append(add, now[i])
		}
	}
	if len(add) > 0 {
		// If that is not possible now, it is later. One may be found where another one is listed
		// that has moved as well and is not found yet.
		_ = n.proposeMembers(add, nil)
	}
}

// peerNow is a member at the address at which it was found. Where this one has no certificate,
// nobody has a name.
func (n *Node) peerNow(p core.Peer) core.Peer {
	if addr, ok := n.moved[p.ID]; ok {
		p.Addr = addr
	}
	if name, _ := core.SplitAddr(n.self.Addr); name == "" {
		p.Addr = core.Place(p.Addr)
	}
	return p
}

// current are all members, also amid a change, at the addresses at which they were found. The
// list must not be changed; whoever keeps it keeps what it was.
func (n *Node) current() []core.Peer {
	if n.listed == nil {
		n.listed = n.list()
	}
	return n.listed
}

func (n *Node) list() []core.Peer {
	list := make([]core.Peer, 0, len(n.members.Voters))
	for _, p := range n.members.Voters {
		list = append(list, n.peerNow(p))
	}
	for _, p := range n.members.Outgoing {
		if find(list, p.ID) < 0 {
			list = append(list, n.peerNow(p))
		}
	}
	return list
}

// Settled tells whether this node leads, and no change of the members is under way. Then
// those who were removed are not needed any more, whoever else is lost.
func (n *Node) Settled() bool { return n.leads != 0 && !n.changing }

// Applied is the position up to which this node has applied the log.
func (n *Node) Applied() Position { return n.applied }

func (n *Node) begin(now core.Time, out *Output) {
	n.now, n.out = now, out
	if n.started {
		return
	}
	n.started = true
	n.lostAt, n.calm, n.doubtTo = now, now, now
	n.forgetAt = now.After(n.timeout)
	n.electAt = n.forgetAt.After(n.draw())
	if len(n.members.Voters) == 1 && len(n.members.Outgoing) == 0 {
		n.electAt = now // there is nobody to wait for
	}
	if n.opt.Durable && n.folded == founded && n.parts == 0 {
		n.persistSnapshot()
	}
}

// tripsOfAnElection are how many ways there and back an election time-out has to last: two ask for
// votes, and one more comes before a new leader's first word is answered.
const tripsOfAnElection = 3

// Far tells how long the way to a member and back takes. Elections wait for that: else those who
// are far from each other have no leader, or one after the other.
func (n *Node) Far(trip time.Duration) {
	n.timeout = max(n.opt.ElectionTimeout, tripsOfAnElection*trip)
}

// isFar tells whether its elections wait for longer than the options say.
func (n *Node) isFar() bool { return n.timeout > n.opt.ElectionTimeout }

// heartbeat is the time between a leader's words. The library counts it: an election time-out has
// always as many.
func (n *Node) heartbeat() time.Duration {
	return n.timeout / (n.opt.ElectionTimeout / n.opt.HeartbeatInterval)
}

// draw is how much longer than the time-out this node waits, this time, before it asks
// for votes: two that ask at the same time can both fail.
func (n *Node) draw() time.Duration {
	return time.Duration(n.random.Uint64() % uint64(n.timeout))
}

// mayCampaign tells whether this node may ask to lead a further term: it is a member, and there is
// one more that can be written.
func (n *Node) mayCampaign() bool {
	_, member := n.members.peer(n.self.ID)
	return member && Term(n.raft.BasicStatus().GetTerm()) < termMax-1
}

func (n *Node) tickTimers() {
	if n.role.RaftState == raft.StateLeader {
		if n.now >= n.tickAt {
			n.raft.Tick()
			n.tickAt, n.dirty = n.now.After(n.heartbeat()), true
			n.noteRole() // a leader that reaches no majority has just stepped down
		}
		return
	}
	if n.now >= n.forgetAt && n.role.Lead != raft.None {
		// As this node does not tick, the library would hold the leader for alive, and
		// refuse its vote to anybody else, until this node campaigns itself.
		n.mustStep(n.raft.ForgetLeader())
		n.dirty = true
	}
	if n.now >= n.electAt && n.mayCampaign() {
		n.mustStep(n.raft.Campaign())
		n.defers = false
		n.electAt, n.dirty = n.now.After(n.timeout+n.draw()), true
	}
}

func (n *Node) mustStep(err error) {
	if err != nil {
		panic(fmt.Sprintf("quorum: manager %v: %v", n.self.ID, err))
	}
}

// wait puts off the next election: there is a leader, or there is about to be one.
func (n *Node) wait() {
	n.forgetAt = n.now.After(n.timeout)
	n.electAt = n.forgetAt.After(n.draw())
}

// follow puts off the next election, as the leader was heard. What comes just after its
// connection broke may be from before that: a leader that is there is soon heard again.
func (n *Node) follow() {
	if n.wait(); n.now < n.doubtTo {
		n.forgetAt = n.now.After(2 * n.heartbeat())
		n.electAt = n.forgetAt.After(n.draw() / 4)
	}
}

// favour is called when this node has told another one that it would vote for it. That one is
// about to ask for votes, and gets the time to. Of two that have asked each other the one with
// the lesser id leaves it to the other: else each votes for itself, and nobody is elected until
// a whole time-out later. When a connection of a leader breaks, many ask at the same time.
func (n *Node) favour(id core.NodeID) {
	at := n.now.After(n.timeout/2 + n.draw()/4)
	switch n.raft.BasicStatus().RaftState {
	case raft.StateFollower:
		n.electAt = max(n.electAt, at)
	case raft.StatePreCandidate:
		if id > n.self.ID {
			n.defers = true
			n.electAt = min(n.electAt, at)
		}
	}
}

// termsAhead is how many terms a message may be ahead of a node that knows of any, and be believed at
// once: as many as there are in a day in which somebody is elected ten times a second. A term is
// durable, and the next one is higher: a lie about it must not bring the managers to the last that
// there is, beyond which nobody can lead.
const termsAhead = 1 << 20

func (n *Node) isAhead(m Message) bool {
	known := Term(n.raft.BasicStatus().GetTerm())
	return known > 0 && termOf(m) > known+termsAhead
}

// climb takes in of a message that is of a term far ahead no more than that there are later terms, and
// goes on by termsAhead of them, if it is in the name of a member. Were it dropped, those whom lies have
// brought far from each other could never elect a leader again. Who only asks, or would vote, tells
// nothing of terms.
func (n *Node) climb(in Envelope) {
	switch m := in.Body.(type) {
	case *Vote:
		if m.Pre {
			return
		}
	case *Voted:
		if m.Pre && !m.Refused {
			return
		}
	}
	known := Term(n.raft.BasicStatus().GetTerm())
	_ = n.raft.Step(toRaft(in.From.ID, n.self.ID, &Voted{Term: min(known+termsAhead, termMax-1), Refused: true}))
	n.electAt = min(n.electAt, n.now.After(n.draw()/4)) // there may be further to go
	n.dirty = true
}

// mayHear tells whether a message can be from a member that works, as far as this node can
// tell. The library takes one that cannot for a fault, and panics; so does a Machine.
func (n *Node) mayHear(m Message) bool {
	switch m := m.(type) {
	case *Beat: // tells a member of no more than what that has acknowledged
		return m.Commit <= n.log.last()
	case *Appended:
		return m.Refused || m.Index <= n.log.last()
	case *Append:
		return !slices.ContainsFunc(m.Entries, func(e Entry) bool { return e.Kind == EntryCommand && e.Data != "" && !n.machine.Reads(e.Data) })
	case *Lead: // comes behind all that the leader has
		return m.Term == Term(n.raft.BasicStatus().GetTerm()) && n.mayCampaign()
	case *Stored:
		return false
	}
	return true
}

func (n *Node) onMessage(in Envelope) {
	n.listen(in.From.ID)
	switch b := in.Body.(type) {
	case *Part:
		n.onPart(in.From, b)
		return
	case *PartTaken:
		n.onPartTaken(in.From, b)
		return
	case *Offer:
		if _, member := n.members.peer(in.From.ID); member && n.leads != 0 {
			n.machine.Offered(in.From.ID)
		}
		return
	}
	if i := find(n.heard, in.From.ID); i < 0 {
		n.heard = append(n.heard, in.From) // to be answered, also if it is not known here yet
	}
	before := n.raft.BasicStatus()
	if v, ok := in.Body.(*Voted); ok && v.Pre && !v.Refused && n.defers && before.RaftState == raft.StatePreCandidate {
		return // as if that were lost
	}
	if n.raft.Step(toRaft(in.From.ID, n.self.ID, in.Body)) != nil {
		return // of somebody who is no member any more
	}
	n.dirty = true
	after := n.raft.BasicStatus()
	switch in.Body.(type) {
	case *Append, *Beat:
		if after.Lead == uint64(in.From.ID) {
			n.follow()
		}
	case *Lead:
		n.wait() // it has asked for votes just now
	case *Vote:
		if after.GetVote() == uint64(in.From.ID) && (before.GetVote() != after.GetVote() || before.GetTerm() != after.GetTerm()) {
			n.wait()
		}
	}
}

// flush hands to the library what has come together since the last call: one batch of
// entries, and one round for all that is to be confirmed.
func (n *Node) flush() {
	if leader, known := n.members.peer(core.NodeID(n.role.Lead)); n.offers && known && n.leads == 0 {
		n.out.Send = append(n.out.Send, Envelope{n.self, n.peerNow(leader), &Offer{}})
	}
	if n.yieldTo != 0 && n.leads != 0 && !n.changing {
		n.raft.TransferLeader(uint64(n.yieldTo))
	}
	n.offers, n.yieldTo = false, 0
	if len(n.proposals) > 0 && !n.isYielding() {
		n.propose()
	}
	if len(n.reads) > 0 && len(n.round.reads) == 0 && n.leads != 0 {
		n.round = readRound{number: n.round.number + 1, reads: n.reads}
		n.reads = nil
		n.raft.ReadIndex(binary.LittleEndian.AppendUint64(nil, n.round.number))
	}
}

func (n *Node) onReadState(index Index, number uint64) {
	if number == n.round.number && len(n.round.reads) > 0 {
		n.round.index = index
	}
}

// serveReads confirms the reads of a round that was answered, once all is applied that was
// committed when it began.
func (n *Node) serveReads() {
	if n.leads == 0 || n.round.index == 0 || n.applied.Index < n.round.index {
		return
	}
	reads := n.round.reads
	n.round.reads, n.round.index = nil, 0
	for _, r := range reads {
		n.machine.Confirmed(r)
	}
	n.dirty = n.dirty || len(n.reads) > 0
}

// noteRole tells the Machine of a change of the leadership.
func (n *Node) noteRole() {
	status := n.raft.BasicStatus()
	was := n.role
	n.role = status.SoftState
	leads := n.role.RaftState == raft.StateLeader
	if n.leads != 0 && (!leads || Term(status.GetTerm()) != n.leads) {
		n.leads, n.changing, n.closing = 0, false, false
		n.proposals, n.pending = nil, 0
		n.reads, n.round = nil, readRound{number: n.round.number}
		n.machine.Follow()
	}
	switch led := was.Lead != raft.None; {
	case led && n.role.Lead == raft.None:
		n.lostAt = n.now
	case !led && n.role.Lead != raft.None && n.now.Since(n.lostAt) > calmGap*n.timeout:
		n.calm = n.now
	}
	switch {
	case leads && was.RaftState != raft.StateLeader:
		n.tickAt = n.now.After(n.heartbeat())
	case !leads && was.RaftState == raft.StateLeader:
		n.changing, n.closing = false, false // also where it has not led yet
		n.wait()
	}
	if !leads {
		n.transfers = slices.Delete(n.transfers, 0, len(n.transfers))
	}
}
