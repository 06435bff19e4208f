package quorum

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"gtstore/core"
)

// toRaft turns a message into the library's. Parts have none: the library
// hears of a snapshot once all of it is there. Nor has an Offer, of which the owner hears.
func toRaft(from, to core.NodeID, m Message) *pb.Message {
	r := &pb.Message{From: new(uint64(from)), To: new(uint64(to))}
	switch m := m.(type) {
	case *Vote:
		r.Type, r.Term = pb.MsgVote.Enum(), new(uint64(m.Term))
		if m.Pre {
			r.Type = pb.MsgPreVote.Enum()
		}
		r.LogTerm, r.Index = new(uint64(m.Last.Term)), new(uint64(m.Last.Index))
		if m.Yielded {
			r.Context = []byte(yielded)
		}
	case *Voted:
		r.Type, r.Term, r.Reject = pb.MsgVoteResp.Enum(), new(uint64(m.Term)), new(m.Refused)
		if m.Pre {
			r.Type = pb.MsgPreVoteResp.Enum()
		}
	case *Append:
		r.Type, r.Term, r.Commit = pb.MsgApp.Enum(), new(uint64(m.Term)), new(uint64(m.Commit))
		r.LogTerm, r.Index = new(uint64(m.Prev.Term)), new(uint64(m.Prev.Index))
		for i := range m.Entries {
			r.Entries = append(r.Entries, entryToRaft(m.Prev.Index+1+Index(i), &m.Entries[i]))
		}
	case *Appended:
		r.Type, r.Term, r.Index, r.Reject = pb.MsgAppResp.Enum(), new(uint64(m.Term)), new(uint64(m.Index)), new(m.Refused)
		r.LogTerm, r.RejectHint = new(uint64(m.Hint.Term)), new(uint64(m.Hint.Index))
	case *Beat:
		r.Type, r.Term, r.Commit, r.Context = pb.MsgHeartbeat.Enum(), new(uint64(m.Term)), new(uint64(m.Commit)), context(m.Round)
	case *Beaten:
		r.Type, r.Term, r.Context = pb.MsgHeartbeatResp.Enum(), new(uint64(m.Term)), context(m.Round)
	case *Lead:
		r.Type, r.Term = pb.MsgTimeoutNow.Enum(), new(uint64(m.Term))
	default:
		panic(fmt.Sprintf("quorum: a message of kind %d is not for the library", m.kind()))
	}
	return r
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

func entryToRaft(i Index, e *Entry) *pb.Entry {
	r := &pb.Entry{Term: new(uint64(e.Term)), Index: new(uint64(i)), Type: pb.EntryNormal.Enum()}
	if e.Kind == EntryMembers {
		r.Type = pb.EntryConfChangeV2.Enum()
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

// context is what goes with a beat in the library's messages: a number, or nothing for 0.
func context(round uint64) []byte {
	if round == 0 {
		return nil
	}
	return binary.LittleEndian.AppendUint64(nil, round)
}

func round(context []byte) uint64 {
	if len(context) == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(context)
}
