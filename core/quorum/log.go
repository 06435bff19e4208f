package quorum

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// storage is the log as the library reads it. It holds what the library handed out, also
// what is not durable yet: what depends on that waits in Output.After.
type storage struct {
	node    *Node
	base    Position    // the entry before the first
	entries []*pb.Entry // never changed in place: the library shares them
	bytes   int         // of entries: see sizeOf
	hard    hardState
}

// hardState is what a node must not forget.
type hardState struct {
	term   Term
	vote   uint64
	commit Index
}

func (h *hardState) toRaft() *pb.HardState {
	return &pb.HardState{Term: new(uint64(h.term)), Vote: new(h.vote), Commit: new(uint64(h.commit))}
}

func (s *storage) last() Index { return s.base.Index + Index(len(s.entries)) }

// at returns the entry at an index above base and not above last.
func (s *storage) at(i Index) *pb.Entry { return s.entries[i-s.base.Index-1] }

// term tells the term of an entry; ok is false for one that is not held.
func (s *storage) term(i Index) (t Term, ok bool) {
	switch {
	case i == s.base.Index:
		return s.base.Term, true
	case i < s.base.Index || i > s.last():
		return 0, false
	}
	return Term(s.at(i).GetTerm()), true
}

// append puts entries at their places; what stood there, and behind, is gone.
func (s *storage) append(entries []*pb.Entry) {
	keep := Index(entries[0].GetIndex()) - s.base.Index - 1
	if int(keep) > len(s.entries) {
		panic(fmt.Sprintf("quorum: manager %v: entry %d behind a log that ends at %d", s.node.self.ID, entries[0].GetIndex(), s.last()))
	}
	for _, e := range s.entries[keep:] {
		s.bytes -= sizeOf(e)
	}
	// The library may still hold a slice of what was there.
	if int(keep) < len(s.entries) {
		s.entries = s.entries[:keep:keep]
	}
	s.entries = append(s.entries, entries...)
	for _, e := range entries {
		s.bytes += sizeOf(e)
	}
}

// trim forgets what is up to a position that is held.
func (s *storage) trim(to Index) {
	term, _ := s.term(to)
	gone := s.entries[:to-s.base.Index]
	for _, e := range gone {
		s.bytes -= sizeOf(e)
	}
	// A new slice, so that the old one's memory goes.
	s.entries = append([]*pb.Entry(nil), s.entries[len(gone):]...)
	s.base = Position{term, to}
}

// reset begins an empty log behind a snapshot.
func (s *storage) reset(at Position) { s.base, s.entries, s.bytes = at, nil, 0 }

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return s.hard.toRaft(), s.node.members.confState(), nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	switch {
	case Index(lo) <= s.base.Index:
		return nil, raft.ErrCompacted
	case Index(hi) > s.last()+1:
		return nil, raft.ErrUnavailable
	}
	found := s.entries[Index(lo)-s.base.Index-1 : Index(hi)-s.base.Index-1]
	size, end := uint64(0), 0
	for end < len(found) {
		size += uint64(sizeOf(found[end]))
		if end > 0 && size > maxSize {
			break
		}
		end++
	}
	return found[:end:end], nil
}

// entryOverhead is more than what an entry takes beside its data, as the library counts.
const entryOverhead = 32

// sizeOf is what an entry counts for. One that holds no command takes something, too: every leader
// makes one.
func sizeOf(e *pb.Entry) int { return len(e.GetData()) + entryOverhead }

// holdsData tells whether there is a command, or a change of the members.
func (s *storage) holdsData() bool {
	return slices.ContainsFunc(s.entries, func(e *pb.Entry) bool { return len(e.GetData()) > 0 })
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) {
	t, ok := s.term(Index(i))
	switch {
	case ok:
		return uint64(t), nil
	case Index(i) < s.base.Index:
		return 0, raft.ErrCompacted
	}
	return 0, raft.ErrUnavailable
}

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return uint64(s.last()), nil }

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return uint64(s.base.Index) + 1, nil }

// Snapshot implements raft.Storage: the library asks for one to send. What it sends is the
// name alone; see transfer.go.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	n := s.node
	if n.inChange { // who the members are at n.applied is known only after that
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	if n.made.at != n.applied {
		n.made = snapshot{at: n.applied, members: n.members, text: n.machine.Snapshot()}
	}
	return n.made.toRaft(), nil
}

// snapshot is the state of the owner, and who the members were, at a position.
type snapshot struct {
	at      Position
	members Members
	text    string
}

func (s *snapshot) toRaft() *pb.Snapshot {
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(s.at.Index)), Term: new(uint64(s.at.Term)), ConfState: s.members.confState()}}
}

// quiet is the library's logger. What it would stop the process for is a fault of ours.
type quiet struct{}

func (quiet) Debug(...any)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Error(...any)            {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Info(...any)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Fatal(v ...any)          { panic("quorum: " + fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) {
	panic("quorum: " + fmt.Sprintf(f, v...))
}
func (quiet) Panic(v ...any) { panic("quorum: " + fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) {
	panic("quorum: " + fmt.Sprintf(f, v...))
}
