package quorum

import (
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"gtstore/core"
)

// owed are the library's messages to itself that wait until all before is durable.
type owed struct {
	nonce    uint64
	messages []*pb.Message
}

// propose hands over the commands that have come together, as one batch.
func (n *Node) propose() {
	m := &pb.Message{Type: pb.MsgProp.Enum(), From: new(uint64(n.self.ID))}
	for _, p := range n.proposals {
		m.Entries = append(m.Entries, &pb.Entry{Data: []byte(p)})
	}
	n.proposals = nil
	// It leads, and Propose has seen to the bytes.
	n.mustStep(n.raft.Step(m))
}

// drain carries out all that the library hands out.
func (n *Node) drain() {
	n.dirty = false
	for n.raft.HasReady() && n.out.Halt == nil {
		ready := n.raft.Ready()
		if ready.SoftState != nil || ready.HardState != nil {
			n.noteRole()
		}
		for _, m := range ready.Messages {
			switch m.GetType() {
			case pb.MsgStorageAppend:
				n.store(m)
			case pb.MsgStorageApply:
				n.apply(m)
			case pb.MsgSnap:
				n.beginTransfer(m)
			default:
				if to, ok := n.address(m); ok {
					n.out.Send = append(n.out.Send, Envelope{n.self, to, fromRaft(m)})
				}
			}
		}
		for _, r := range ready.ReadStates {
			n.onReadState(Index(r.Index), binary.LittleEndian.Uint64(r.RequestCtx))
		}
		n.serveReads()
		if n.closing && n.leads != 0 {
			n.closing = false
			_ = n.raft.Propose(nil) // one who was itself removed leads no more: then it is for the next one
		}
	}
	n.made = snapshot{}
	n.heard = n.heard[:0]
}

// address finds the receiver of a message: a member, or one who just spoke, at the address
// that it spoke from. Who is neither was one, and is told nothing. What goes to a member's own
// address, an answer too, takes a connection whose end is told: so who follows finds out at
// once that the leader's process has ended.
func (n *Node) address(m *pb.Message) (core.Peer, bool) {
	id := core.NodeID(m.GetTo())
	for _, list := range [...][]core.Peer{n.current(), n.heard} {
		if i := find(list, id); i >= 0 {
			return list[i], true
		}
	}
	return core.Peer{}, false
}

// store makes durable what the library wants to be, and lets leave after that what rests on
// it. A commit point alone is not written. But no entry is written without the commit point
// that was known when it came: a change of the members comes behind the one before it is
// committed, so no node that holds the second is started again by the members before the
// first. That of the first command is written by itself: see rely.
func (n *Node) store(m *pb.Message) {
	changed := false
	if !raft.IsEmptySnap(m.GetSnapshot()) {
		if n.install(); n.out.Halt != nil {
			return
		}
		changed = true
	}
	if m.Term != nil {
		next := hardState{Term(m.GetTerm()), m.GetVote(), Index(m.GetCommit())}
		changed = changed || next.term != n.log.hard.term || next.vote != n.log.hard.vote
		n.log.hard = next
	}
	if len(m.GetEntries()) > 0 {
		n.storeEntries(m.GetEntries())
		changed = true
	}
	if changed {
		n.persistState()
	}
	var own []*pb.Message
	for _, r := range m.GetResponses() {
		if core.NodeID(r.GetTo()) == n.self.ID {
			own = append(own, r)
		} else if to, ok := n.address(r); ok {
			n.out.After = append(n.out.After, Envelope{n.self, to, fromRaft(r)})
			if r.GetType() == pb.MsgPreVoteResp && !r.GetReject() {
				n.favour(to.ID)
			}
		}
	}
	if len(own) > 0 {
		n.nonce++
		n.owed = append(n.owed, owed{n.nonce, own})
		n.out.After = append(n.out.After, Envelope{n.self, n.self, &Stored{Nonce: n.nonce}})
	}
}

func (n *Node) persistState() {
	if n.opt.Durable {
		n.persist(keyState, tagState, &stateRecord{id: n.self.ID, hardState: n.log.hard})
		n.written = n.log.hard.commit
	}
}

// rely notes that a command was agreed on. The first one is written down, with the commit point:
// a restart could else not tell it from one that was never agreed on, and where all others have
// lost their data this node would give it up. It is one record for each start, at most: that there is
// a snapshot proves nothing, as one that a member is taken in with may hold no command.
func (n *Node) rely() {
	if !n.relied && n.written < n.applied.Index {
		n.persistState()
	}
	n.relied = true
}

func (n *Node) storeEntries(entries []*pb.Entry) {
	first, last := Index(entries[0].GetIndex()), n.log.last()
	n.log.append(entries)
	if !n.opt.Durable {
		return
	}
	if first <= last {
		n.unpersistLog(first, last)
	}
	for _, e := range entries {
		own := entryFromRaft(e)
		n.persist(logKey(Index(e.GetIndex())), tagLogEntry, &own)
	}
}

// onStored hands the library what it told itself to hear once all was durable.
func (n *Node) onStored(s *Stored) {
	for len(n.owed) > 0 && n.owed[0].nonce <= s.Nonce {
		for _, m := range n.owed[0].messages {
			_ = n.raft.Step(m) // one who was removed meanwhile has no say any more
		}
		n.owed = n.owed[1:]
		n.dirty = true
	}
}

// apply takes in committed entries, which are durable here.
func (n *Node) apply(m *pb.Message) {
	for _, e := range m.GetEntries() {
		n.applyEntry(e)
	}
	for _, r := range m.GetResponses() {
		n.mustStep(n.raft.Step(r))
	}
	n.fold()
}

func (n *Node) applyEntry(e *pb.Entry) {
	n.applied = Position{Term(e.GetTerm()), Index(e.GetIndex())}
	switch {
	case e.GetType() == pb.EntryConfChangeV2:
		n.applyChange(string(e.GetData()))
	case len(e.GetData()) > 0:
		if n.leads != 0 {
			n.pending -= len(e.GetData())
		}
		n.rely()
		n.machine.Apply(string(e.GetData()))
	case n.leads != 0:
		n.changing = n.closing || len(n.members.Outgoing) > 0
	case n.role.RaftState == raft.StateLeader && n.applied.Term == n.log.hard.term:
		// The entry with which this node began its term: all before it is applied, and
		// nothing of another leader can come. Amid a change of the members that an earlier one
		// began, the library ends it.
		n.leads, n.ledAt, n.voices = n.applied.Term, n.now, nil
		n.changing = n.closing || len(n.members.Outgoing) > 0
		n.machine.Lead(n.leads, n.now.Since(n.calm))
	}
}

func (n *Node) applyChange(data string) {
	ch, err := readChange(data)
	if err != nil {
		panic(fmt.Sprintf("quorum: manager %v: entry %d: %v", n.self.ID, n.applied.Index, err))
	}
	if !n.members.allows(&ch) {
		return // every member says so
	}
	n.inChange = true
	state := n.raft.ApplyConfChange(ch.conf)
	n.inChange = false
	n.members, n.listed = n.members.after(state, ch.added), nil
	n.voices = slices.DeleteFunc(n.voices, func(v voice) bool {
		_, stays := n.members.peer(v.id)
		return !stays
	})
	if n.role.RaftState == raft.StateLeader {
		// A change is over when one more entry is committed. With that goes the commit
		// point, so a majority of the new members knows durably that it is they who
		// count. Else they could be started again by the joint configuration, and wait
		// for those who were removed.
		n.changing, n.closing = true, len(n.members.Outgoing) == 0
	}
	n.transfers = slices.DeleteFunc(n.transfers, func(t transfer) bool {
		_, stays := n.members.peer(t.to.ID)
		return !stays
	})
}
