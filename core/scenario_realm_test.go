package core

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A realm is a manager among storage nodes that the test plays. Messages take
// no time: while a node is well it answers what the manager sends it in the
// same instant, and a test says which node is not well and how.
type realm struct {
	*rig
	actors  map[string]*actor
	letters []letter // what left the manager and was not looked at, but for pings and probes
	pings   int
	trip    time.Duration // how long an answer takes
	late    []lateAnswer  // in the order of their times
	probes  []probing
	reqs    uint64
}

type letter struct {
	to   string
	body Message
}

type probing struct{ to, target string }

type lateAnswer struct {
	at Time
	e  Envelope
}

// actor is a storage node as the manager sees it.
type actor struct {
	peer   Peer
	boot   Boot
	token  uint64
	seen   directorySeen
	lag    time.Duration
	least  Index // what it last said that the manager must have begun with
	epochs []GroupEpoch
	join   *JoinProgress // of the join that it serves
	serves GroupID       // as its primary, with so many keys
	keys   uint64
	health health
	cut    []string // the peers whom it cannot reach

	reachable bool          // for other nodes, whatever its health is for the manager
	behind    time.Duration // how much later it answers
	disk      time.Duration // how much later than that it proves itself
}

// health says what becomes of what the manager sends to a node.
type health uint8

const (
	well     health = iota
	silent          // nothing comes back
	refusing        // its address refuses connections
	replaced        // its address answers as another node
	hanging         // it answers pings, but its disk writes nothing: no proof
)

// newRealm starts a manager of groups of three and registers n1 to nN, in order.
func newRealm(t *testing.T, nodes int, options ...func(*ManagerOptions)) *realm {
	t.Helper()
	r := &realm{rig: newManagerAt(t, options...), actors: map[string]*actor{}}
	for i := range nodes {
		r.register(peerOf("n" + string(rune('1'+i))))
	}
	return r
}

// replicas and inDurableMode are options of a manager.
func replicas(k int) func(*ManagerOptions) {
	return func(o *ManagerOptions) { o.Replicas = k }
}
func inDurableMode(o *ManagerOptions) { o.Durable = true }
func haltOnLoss(o *ManagerOptions)    { o.HaltOnLoss = true }

// register makes a node known, as its first start would.
func (r *realm) register(p Peer) *actor {
	r.t.Helper()
	a := &actor{peer: p, boot: 1}
	r.actors[p.Addr] = a
	r.present(a)
	return a
}

// present has a node send its Register.
func (r *realm) present(a *actor) {
	r.t.Helper()
	r.stepRaw(Envelope{From: a.peer, To: Peer{Addr: "m"}, Body: &Register{Boot: a.boot, Durable: r.durable, Name: a.peer.Addr, Index: a.seen.index}})
	r.serve()
}

// move has a node that has stopped start again at another address: it asks, and asks again
// when the old address has refused the manager.
func (r *realm) move(a *actor, to string) {
	r.t.Helper()
	r.actors[a.peer.Addr] = &actor{peer: a.peer, health: refusing}
	a.peer.Addr, a.boot = to, a.boot+1
	r.actors[to] = a
	r.present(a)
	r.present(a)
}

// say gives the manager a message and has the nodes answer what it asks them.
func (r *realm) say(from string, m Message) {
	r.t.Helper()
	if a := r.actors[from]; a != nil {
		m = a.signed(m)
	}
	r.step(from, m)
	r.serve()
}

// signed is what a node says, with the token that it was given.
func (a *actor) signed(m Message) Message {
	switch m := m.(type) {
	case *Farewell:
		return &Farewell{m.Boot, a.token}
	case *CaughtUp:
		c := *m
		c.Token = a.token
		return &c
	case *Suspect:
		c := *m
		c.Token = a.token
		return &c
	case *Pong:
		c := *m
		c.Token = a.token
		return &c
	}
	return m
}

// pass lets time pass.
func (r *realm) pass(d time.Duration) {
	r.t.Helper()
	end := r.now.After(d)
	for r.node != nil && r.now < end {
		next := max(r.now, min(end, r.node.Deadline()))
		if len(r.late) > 0 && r.late[0].at <= next {
			l := r.late[0]
			r.late = r.late[1:]
			r.now = max(r.now, l.at)
			r.stepRaw(l.e)
			r.serve()
			continue
		}
		r.tick(next.Since(r.now))
		r.serve()
		if next == end {
			break
		}
	}
	r.now = end
}

// flush makes everything durable that waits for it.
func (r *realm) flush() {
	r.t.Helper()
	r.sync()
	r.serve()
}

// serve carries what left the manager to the nodes.
func (r *realm) serve() {
	r.t.Helper()
	for len(r.mail) > 0 {
		e := r.mail[0]
		r.mail = r.mail[1:]
		switch b := e.Body.(type) {
		case *Ping:
			r.pings++
		case *Probe:
			r.probes = append(r.probes, probing{e.To.Addr, b.Target.Addr})
		default:
			r.letters = append(r.letters, letter{e.To.Addr, e.Body})
		}
		if a := r.actors[e.To.Addr]; a != nil && r.node != nil {
			r.answer(a, e)
		}
	}
}

func (r *realm) answer(a *actor, e Envelope) {
	r.t.Helper()
	health := a.health
	if e.To.ID != a.peer.ID && (health == well || health == hanging) {
		health = replaced
	}
	switch health {
	case silent:
		return
	case refusing:
		r.stepRaw(Envelope{From: r.self, To: r.self, Body: &PeerDown{Peer: e.To, Refused: true}})
		return
	case replaced:
		if isRequest(e.Body) {
			refused := &Refused{Reason: RefusedOtherNode, Wanted: e.To.ID, What: KindOf(e.Body)}
			if p, ok := e.Body.(*Ping); ok {
				refused.Token = p.Token
			}
			r.reply(a, refused)
		}
		return
	}
	switch b := e.Body.(type) {
	case *Config:
		a.adopt(b)
	case *Ping:
		least, ok := a.seen.hear(b)
		if !ok {
			r.reply(a, &Refused{Reason: RefusedBoot, Wanted: e.To.ID, What: KindPing, Token: b.Token})
			return
		}
		a.token, a.least = b.Token, least
		r.reply(a, &Pong{Token: b.Token, Nonce: b.Nonce, Boot: a.boot, Index: a.least, Groups: slices.Clone(a.epochs), Join: a.join, Serves: a.serves, Keys: a.keys, Lag: a.lag})
	case *Probe:
		target := r.actors[b.Target.Addr]
		switch {
		case a.health != well || target != nil && slices.Contains(a.cut, b.Target.Addr):
		case target == nil:
			r.replyAfter(r.trip+a.behind+a.disk, a, &ProbeReply{Nonce: b.Nonce})
		case target.peer.ID != b.Target.ID:
			r.reply(a, &ProbeReply{Nonce: b.Nonce, Refused: true})
		case target.health == well || target.reachable:
			r.reply(a, &ProbeReply{Nonce: b.Nonce})
		case target.health == refusing || target.health == replaced:
			r.reply(a, &ProbeReply{Nonce: b.Nonce, Refused: true})
		}
	}
}

// reply is a message that a node sends under its own name.
func (r *realm) reply(a *actor, m Message) {
	r.t.Helper()
	r.replyAfter(r.trip+a.behind, a, m)
}

func (r *realm) replyAfter(late time.Duration, a *actor, m Message) {
	r.t.Helper()
	e := Envelope{Cluster: rigCluster, From: a.peer, To: r.self, Body: m}
	if late > 0 {
		r.late = append(r.late, lateAnswer{r.now.After(late), e})
		slices.SortStableFunc(r.late, func(a, b lateAnswer) int { return cmp.Compare(a.at, b.at) })
		return
	}
	r.stepRaw(e)
}

func (a *actor) adopt(c *Config) {
	for i := range a.epochs {
		if a.epochs[i].Group == c.Group {
			a.epochs[i].Epoch = max(a.epochs[i].Epoch, c.Epoch)
			return
		}
	}
	if c.Position(a.peer.ID) >= 0 {
		a.epochs = append(a.epochs, GroupEpoch{c.Group, c.Epoch})
	}
}

// received takes the messages of one type that a peer got since they were last
// looked at.
func received[M Message](r *realm, who string) (list []M) {
	r.letters = slices.DeleteFunc(r.letters, func(l letter) bool {
		m, ok := l.body.(M)
		if ok = ok && l.to == who; ok {
			list = append(list, m)
		}
		return ok
	})
	return list
}

// lookup asks for the group of a key and returns the answer, of which there
// must be one.
func (r *realm) lookup(key string, create bool) *LookupReply {
	r.t.Helper()
	r.reqs++
	r.say("c1", &Lookup{Req: r.reqs, Key: key, Create: create})
	list := received[*LookupReply](r, "c1")
	require.Len(r.t, list, 1, "answers to the lookup of %q", key)
	require.Equal(r.t, r.reqs, list[0].Req)
	return list[0]
}

// place maps a key that is new and returns its group.
func (r *realm) place(key string) GroupID {
	r.t.Helper()
	a := r.lookup(key, true)
	require.Equal(r.t, StatusOK, a.Status)
	return a.Config.Group
}

// members and epoch are those of a group in the Directory.
func (r *realm) members(id GroupID) (names []string) {
	for _, p := range r.manager().Config(id).Chain {
		names = append(names, p.Addr)
	}
	return names
}

func (r *realm) epoch(id GroupID) Epoch { return r.manager().Config(id).Epoch }

// requireChain holds a group against what it must be. Where a spare is there, it
// may have begun to join since, which is an epoch more.
func (r *realm) requireChain(epoch Epoch, chain ...string) {
	r.t.Helper()
	require.Equal(r.t, chain, r.members(1))
	if c := r.manager().Config(1); c.Joining.ID != 0 && c.Start == c.Epoch {
		epoch++
	}
	require.Equal(r.t, epoch, r.epoch(1), "the epoch of %v", chain)
}

// ail makes nodes unwell, or well again.
func (r *realm) ail(h health, names ...string) {
	for _, name := range names {
		r.actors[name].health = h
	}
}

// probed takes the probes since they were last looked at; proofs only those that
// ask for a proof, and words only those about another node.
func (r *realm) probed() []probing {
	list := r.probes
	r.probes = nil
	return list
}

func (r *realm) proofs() []probing {
	return slices.DeleteFunc(r.probed(), func(p probing) bool { return p.target != "" })
}

func (r *realm) words() []probing {
	return slices.DeleteFunc(r.probed(), func(p probing) bool { return p.target == "" })
}

func suspect(epoch Epoch, name string) *Suspect {
	return &Suspect{Group: 1, Epoch: epoch, Node: peerOf(name).ID}
}

var everyMember = []probing{{to: "n1"}, {to: "n2"}, {to: "n3"}}

// answerAgain has nodes that went on answer what they were asked meanwhile: the
// last ping, and the probe of the inquiry if there is one.
func (r *realm) answerAgain(names ...string) {
	r.t.Helper()
	for _, name := range names {
		a := r.actors[name]
		r.reply(a, &Pong{Token: a.token, Nonce: r.manager().contact(a.peer.ID).pinged, Boot: a.boot, Index: a.least, Groups: slices.Clone(a.epochs)})
		if s := r.manager().watches[0].inquiry; s != nil {
			r.reply(a, &ProbeReply{Nonce: s.nonce})
		}
		r.serve()
	}
}

// complain has the primary of group 1 report a member again and again, as it does
// while it waits for it in vain.
func (r *realm) complain(name string, d time.Duration) {
	r.t.Helper()
	for ; d > 0; d -= 100 * time.Millisecond {
		if c := r.manager().Config(1); c.Position(peerOf(name).ID) > 0 {
			r.say(c.Chain[0].Addr, suspect(c.Epoch, name))
		}
		r.pass(100 * time.Millisecond)
	}
}
