package disk

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/wire"
)

// A script has a node do all that makes it write, over as many starts as there are: it
// plays its manager, the other members and the clients, as the rules allow them.
type script interface {
	// life plays one start of the node. Some of what it does is never waited for.
	life(r *rig)
}

// storageScript is the part of the others in a storage node's life: replica, primary,
// joining node, replica again.
type storageScript struct {
	rng   *rand.Rand
	epoch core.Epoch // from 2 on: messages of epoch 1 are late
	round uint64

	log    []core.Entry // of the group, from seq 1 on
	commit core.Seq
	opSeq  uint64
	large  int // bytes of a value, at most
}

func newStorageScript(rng *rand.Rand) *storageScript {
	return &storageScript{rng: rng, epoch: 1, large: 4 << 10}
}

func (s *storageScript) life(r *rig) {
	r.tick(0)
	r.settle()
	r.step(peer(testManager), &core.Registered{Boot: r.storage().Boot(), Secret: testSecret})
	s.catchUp(r)
	for range 2 {
		s.replica(r, testPrimary, 8)
		s.probe(r)
		s.cut(r)
		s.replica(r, testOtherID, 4)
	}
	s.primary(r, 20)
	s.join(r)
	s.replica(r, testPrimary, 6)
}

// catchUp takes over what the node has kept of the log. What it lost nobody else had.
func (s *storageScript) catchUp(r *rig) {
	if r.storage().Groups() == 0 {
		return
	}
	v := r.storage().Group(0, 0)
	s.epoch = max(s.epoch, v.Config.Epoch)
	if v.Partial || v.Last == 0 { // it joins again
		return
	}
	s.log = s.log[:min(len(s.log), int(v.Last))]
	for len(s.log) < int(v.Last) {
		s.log = append(s.log, core.Entry{})
	}
	for seq := v.Base + 1; seq <= v.Last; seq++ {
		s.log[seq-1] = *r.storage().Entry(0, seq)
	}
	s.commit = max(v.Commit, min(s.commit, v.Last))
}

func (s *storageScript) config(joining bool, chain ...core.NodeID) *core.Config {
	s.epoch++
	c := &core.Config{Group: testGroup, Epoch: s.epoch, Reads: core.ReadConfirm, MinChain: 1}
	for _, id := range chain {
		c.Chain = append(c.Chain, peer(id))
	}
	if joining {
		c.Joining, c.Start = peer(testID), s.epoch
	}
	return c
}

func (s *storageScript) value() string {
	return strings.Repeat(string(rune('a'+s.rng.IntN(26))), s.rng.IntN(s.large))
}

func (s *storageScript) entry() core.Entry {
	if len(s.log) == 0 {
		return core.Entry{Epoch: s.epoch, Kind: core.OpOpen, Owner: testClient}
	}
	s.opSeq++
	e := core.Entry{Epoch: s.epoch, Kind: core.OpPut, Session: 1, OpSeq: s.opSeq, Key: fmt.Sprint("k", s.rng.IntN(12)), Value: s.value()}
	if s.rng.IntN(6) == 0 {
		e.Kind, e.Value = core.OpDelete, ""
	}
	return e
}

// replica has the node follow a primary. A node that is in no chain, or amid a snapshot,
// joins first.
func (s *storageScript) replica(r *rig, primary core.NodeID, rounds int) {
	if r.storage().Groups() > 0 {
		if v := r.storage().Group(0, 0); v.Partial || !inChain(v.Config) {
			s.join(r)
		}
	}
	c := s.config(false, primary, testID)
	r.step(peer(testManager), c)
	for range rounds {
		for range s.rng.IntN(5) {
			s.log = append(s.log, s.entry())
		}
		s.replicate(r, primary, c)
		r.tick(time.Duration(s.rng.IntN(3)) * time.Millisecond)
		r.step(peer(testManager), &core.Ping{Nonce: s.round, Index: core.Index(s.round), Token: 7, Boot: 1})
		if s.rng.IntN(4) == 0 {
			r.settle()
		}
		s.acked(r)
	}
}

func inChain(c *core.Config) bool { return c.Position(testID) >= 0 }

// replicate sends what the node lacks.
func (s *storageScript) replicate(r *rig, primary core.NodeID, c *core.Config) {
	v := r.storage().Group(0, 0)
	p := min(v.Last, core.Seq(len(s.log)))
	for p > v.Base && r.storage().Entry(0, p).Epoch != s.log[p-1].Epoch {
		p--
	}
	m := &core.Replicate{Group: testGroup, Epoch: s.epoch, Config: c, Commit: s.commit, Trim: s.commit}
	s.round++
	m.Round = s.round
	if p > 0 {
		m.Prev = core.EntryID{Epoch: s.log[p-1].Epoch, Seq: p}
	}
	m.Entries = append(m.Entries, s.log[p:]...)
	r.step(peer(primary), m)
}

// acked commits what the node has acked in this epoch.
func (s *storageScript) acked(r *rig) {
	for _, a := range took[*core.Ack](r) {
		if a.Epoch == s.epoch {
			s.commit = max(s.commit, a.Matched)
		}
	}
}

// cut has the next primary not know the end of the log. A message of an earlier one is late.
func (s *storageScript) cut(r *rig) {
	s.replicate(r, testPrimary, nil)
	r.step(peer(testPrimary), &core.Replicate{Group: testGroup, Epoch: 1, Round: 1})
	if n := len(s.log) - int(s.commit); n > 0 {
		s.log = s.log[:len(s.log)-s.rng.IntN(n+1)]
	}
}

func (s *storageScript) probe(r *rig) {
	s.round++
	r.step(peer(testManager), &core.Probe{Nonce: s.round})
}

// primary has the node serve alone.
func (s *storageScript) primary(r *rig, ops int) {
	r.step(peer(testManager), s.config(false, testID, testOtherID)) // who never answers
	r.settle()
	r.step(peer(testManager), s.config(false, testID))
	s.round++
	client := peer(testClient)
	r.step(client, &core.Op{Group: testGroup, Req: s.round, Kind: core.OpOpen})
	r.settle()
	var session core.Seq
	for _, m := range took[*core.Reply](r) {
		if m.Status == core.StatusOK && m.Req == s.round {
			session = m.Version
		}
	}
	require.NotZero(r.t, session, "it serves")
	for i := range ops {
		s.round++
		op := &core.Op{Group: testGroup, Req: s.round, Kind: core.OpPut, Session: session, OpSeq: uint64(i + 1), Key: fmt.Sprint("p", s.rng.IntN(12)), Value: s.value()}
		if s.rng.IntN(6) == 0 {
			op.Kind, op.Value = core.OpDelete, ""
		}
		r.step(client, op)
		if s.rng.IntN(3) == 0 {
			r.settle()
		}
	}
	r.settle()
	s.catchUp(r)
	s.commit = core.Seq(len(s.log))
}

const chunks = 3 // of a snapshot

// join has the node leave the chain, discard what it holds, and come back by a snapshot.
func (s *storageScript) join(r *rig) {
	r.step(peer(testManager), s.config(false, testPrimary, testOtherID))
	s.log = s.log[:s.commit]
	for len(s.log) < 4 { // a snapshot is of something
		s.log = append(s.log, s.entry())
	}
	s.commit = core.Seq(len(s.log))
	c := s.config(true, testPrimary, testOtherID)
	r.step(peer(testManager), c)
	sum := uint64(0)
	for i := range uint64(chunks) {
		m := &core.Chunk{Group: testGroup, Epoch: s.epoch, Config: c, Start: s.epoch, Tenure: s.epoch, Attempt: 1, Number: i}
		for j := range 3 {
			m.Items = append(m.Items, core.Item{Key: fmt.Sprintf("s%d-%d", i, j), Value: s.value(), Version: 1})
		}
		if m.Last = i == chunks-1; m.Last {
			m.At = core.EntryID{Epoch: s.log[s.commit-1].Epoch, Seq: s.commit}
			m.Sessions = []core.SessionRecord{{ID: 1, Owner: testClient, Last: s.opSeq, Status: core.StatusOK, Version: 1}}
		}
		m.Sum = chunkSum(m, sum)
		sum = m.Sum
		r.step(peer(testPrimary), m)
		if s.rng.IntN(2) == 0 {
			r.settle()
		}
	}
	r.settle()
	require.False(r.t, r.storage().Group(0, 0).Partial, "it has the snapshot")
	s.replicate(r, testPrimary, c)
	r.settle()
	took[*core.Ack](r)
}

// chunkSum is the checksum that goes with a chunk; before is that of the one before it.
func chunkSum(m *core.Chunk, before uint64) uint64 {
	c := wire.NewEncoder(nil)
	wire.Fixed64(&c, &before)
	for i := range wire.Slice(&c, &m.Items, len(m.Items), 1) {
		wire.String(&c, &m.Items[i].Key, core.KeyBytesMax)
		wire.String(&c, &m.Items[i].Value, core.ValueBytesMax)
		wire.Uint(&c, &m.Items[i].Version)
	}
	c.Bool(&m.Last)
	wire.Uint(&c, &m.At.Epoch)
	wire.Uint(&c, &m.At.Seq)
	for i := range wire.Slice(&c, &m.Sessions, len(m.Sessions), 1) {
		s := &m.Sessions[i]
		wire.Uint(&c, &s.ID)
		wire.Fixed64(&c, &s.Owner)
		wire.Uint(&c, &s.Last)
		wire.Uint(&c, &s.Status)
		wire.Uint(&c, &s.Version)
		wire.Uint(&c, &s.Ended)
	}
	return wire.Hash(c.Seal())
}

// managerScript is the part of nodes, clients and operators in a manager's life.
type managerScript struct {
	rng   *rand.Rand
	boots map[core.NodeID]core.Boot
	req   uint64
}

func newManagerScript(rng *rand.Rand) *managerScript {
	return &managerScript{rng: rng, boots: map[core.NodeID]core.Boot{}}
}

// lookupKey is the key that the lookup of that number asks for.
func lookupKey(req uint64) string { return fmt.Sprintf("key-%d-%s", req, strings.Repeat("x", 200)) }

const managerNodes = 8

func (s *managerScript) life(r *rig) {
	r.tick(0)
	for id := core.NodeID(1); id <= managerNodes; id++ {
		if s.req > 0 && s.boots[id] == 0 {
			continue
		}
		s.boots[id]++
		r.step(peer(id), &core.Register{Boot: s.boots[id], Secret: uint64(id), Durable: true, Name: fmt.Sprint("node", id)})
	}
	r.settle()
	for id := core.NodeID(1); id <= managerNodes && s.boots[id] > 0; id++ {
		r.step(peer(id), &core.Register{Boot: s.boots[id], Secret: uint64(id), Durable: true})
	}
	for range 30 {
		s.pass(r)
		for range s.rng.IntN(6) {
			s.req++
			r.step(peer(testClient), &core.Lookup{Req: s.req, Key: lookupKey(s.req), Create: true})
		}
		if s.rng.IntN(3) == 0 {
			r.settle()
		}
	}
	// They are spares, and never start anew.
	const forgotten, drained = managerNodes, managerNodes - 1
	s.boots[forgotten], s.boots[drained] = 0, 0
	for range 20 {
		r.step(peer(testClient), &core.Forget{Req: forgotten, Node: forgotten})
		r.step(peer(testClient), &core.Drain{Req: drained, Node: drained})
		r.settle()
		s.pass(r)
	}
}

// pass lets some time pass, and has the nodes answer.
func (s *managerScript) pass(r *rig) {
	r.tick(60 * time.Millisecond)
	for _, e := range r.mail {
		ping, ok := e.Body.(*core.Ping)
		if boot := s.boots[e.To.ID]; ok && boot > 0 {
			r.step(e.To, &core.Pong{Nonce: ping.Nonce, Token: ping.Token, Boot: boot, Index: ping.Began})
		}
	}
	r.mail = r.mail[:0]
}
