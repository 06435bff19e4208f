package quorum

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"gtstore/core"
)

// inbound is a message of the library's, together with all that it points to: so it takes one
// piece of memory, and not one for each field.
type inbound struct {
	message                                   pb.Message
	kind                                      pb.MessageType
	from, to, term, commit, at, logTerm, hint uint64
	refused                                   bool
	round                                     [8]byte
}

// toRaft turns a message into the library's. Parts have none: the library
// hears of a snapshot once all of it is there. Nor has an Offer, of which the owner hears.
func toRaft(from, to core.NodeID, m Message) *pb.Message {
	in := &inbound{from: uint64(from), to: uint64(to)}
	r := &in.message
	r.Type, r.From, r.To, r.Term = &in.kind, &in.from, &in.to, &in.term
	switch m := m.(type) {
	case *Vote:
		in.kind, in.term = pb.MsgVote, uint64(m.Term)
		if m.Pre {
			in.kind = pb.MsgPreVote
		}
		in.place(m.Last)
		if m.Yielded {
			r.Context = []byte(yielded)
		}
	case *Voted:
		in.kind, in.term = pb.MsgVoteResp, uint64(m.Term)
		if m.Pre {
			in.kind = pb.MsgPreVoteResp
		}
		in.refuse(m.Refused)
	case *Append:
		in.kind, in.term = pb.MsgApp, uint64(m.Term)
		in.commitTo(m.Commit)
		in.place(m.Prev)
		for i := range m.Entries {
			r.Entries = append(r.Entries, entryToRaft(m.Prev.Index+1+Index(i), &m.Entries[i]))
		}
	case *Appended:
		in.kind, in.term = pb.MsgAppResp, uint64(m.Term)
		in.place(Position{m.Hint.Term, m.Index})
		in.refuse(m.Refused)
		in.hint, r.RejectHint = uint64(m.Hint.Index), &in.hint
	case *Beat:
		in.kind, in.term = pb.MsgHeartbeat, uint64(m.Term)
		in.commitTo(m.Commit)
		in.confirm(m.Round)
	case *Beaten:
		in.kind, in.term = pb.MsgHeartbeatResp, uint64(m.Term)
		in.confirm(m.Round)
	case *Lead:
		in.kind, in.term = pb.MsgTimeoutNow, uint64(m.Term)
	default:
		panic(fmt.Sprintf("quorum: a message of kind %d is not for the library", m.kind()))
	}
	return r
}

func (in *inbound) place(p Position) {
	in.logTerm, in.at = uint64(p.Term), uint64(p.Index)
	in.message.LogTerm, in.message.Index = &in.logTerm, &in.at
}

func (in *inbound) refuse(refused bool) { in.refused, in.message.Reject = refused, &in.refused }

func (in *inbound) commitTo(i Index) { in.commit, in.message.Commit = uint64(i), &in.commit }

// confirm has a number go with a beat, or nothing for 0.
func (in *inbound) confirm(round uint64) {
	if round != 0 {
		in.message.Context = binary.LittleEndian.AppendUint64(in.round[:0], round)
	}
}

// yielded goes with a vote in the library's messages that its leader has asked for.
const yielded = "CampaignTransfer"

// fromRaft turns a message of the library into one of ours.
func fromRaft(r *pb.Message) Message {
	term := Term(r.GetTerm())
	switch r.GetType() {
	case pb.MsgVote, pb.MsgPreVote:
		return &Vote{Term: term, Pre: r.GetType() == pb.MsgPreVote, Yielded: string(r.GetContext()) == yielded, Last: Position{Term(r.GetLogTerm()), Index(r.GetIndex())}}
	case pb.MsgVoteResp, pb.MsgPreVoteResp:
		return &Voted{Term: term, Pre: r.GetType() == pb.MsgPreVoteResp, Refused: r.GetReject()}
	case pb.MsgApp:
		m := &Append{Term: term, Prev: Position{Term(r.GetLogTerm()), Index(r.GetIndex())}, Commit: Index(r.GetCommit())}
		for _, e := range r.GetEntries() {
			m.Entries = append(m.Entries, entryFromRaft(e))
		}
		return m
	case pb.MsgAppResp:
		return &Appended{Term: term, Index: Index(r.GetIndex()), Refused: r.GetReject(), Hint: Position{Term(r.GetLogTerm()), Index(r.GetRejectHint())}}
	case pb.MsgHeartbeat:
		return &Beat{Term: term, Commit: Index(r.GetCommit()), Round: round(r.GetContext())}
	case pb.MsgHeartbeatResp:
		return &Beaten{Term: term, Round: round(r.GetContext())}
	case pb.MsgTimeoutNow:
		return &Lead{Term: term}
	}
	panic(fmt.Sprintf("quorum: the library sends a message of kind %v, which this group never asks for", r.GetType()))
}

// inboundEntry is an entry of the library's, together with all that it points to but the data.
type inboundEntry struct {
	entry    pb.Entry
	term, at uint64
	kind     pb.EntryType
}

func entryToRaft(i Index, e *Entry) *pb.Entry {
	in := &inboundEntry{term: uint64(e.Term), at: uint64(i), kind: pb.EntryNormal}
	r := &in.entry
	r.Term, r.Index, r.Type = &in.term, &in.at, &in.kind
	if e.Kind == EntryMembers {
		in.kind = pb.EntryConfChangeV2
	}
	if e.Data != "" {
		r.Data = []byte(e.Data)
	}
	return r
}

func entryFromRaft(r *pb.Entry) Entry {
	e := Entry{Term: Term(r.GetTerm()), Kind: EntryCommand, Data: string(r.GetData())}
	switch r.GetType() {
	case pb.EntryConfChangeV2:
		e.Kind = EntryMembers
	case pb.EntryNormal:
	default:
		panic(fmt.Sprintf("quorum: the library made an entry of type %v, which this group never asks for", r.GetType()))
	}
	return e
}

// round is the number that goes with a beat, 0 for none.
func round(context []byte) uint64 {
	if len(context) == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(context)
}
