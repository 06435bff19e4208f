package core

import (
	"maps"
	"slices"
)

// A modelState is what a log of committed entries adds up to, written anew from R12 and the words
// of OpKind: for a test that has a node decide the same. Of how many sessions it remembers it
// knows no bound.
type modelState struct {
	values   map[string]Versioned
	sessions map[Seq]*modelSession
}

type modelSession struct {
	owner   NodeID
	last    uint64 // the number of its last write, 0 for none
	outcome result // of that
	ended   bool
}

// modelOf is the state after these entries.
func modelOf(log []Entry) *modelState {
	m := &modelState{map[string]Versioned{}, map[Seq]*modelSession{}}
	for i := range log {
		m.apply(Seq(i+1), &log[i])
	}
	return m
}

func (m *modelState) apply(seq Seq, e *Entry) result {
	ok := result{status: StatusOK}
	switch e.Kind {
	case OpOpen:
		m.sessions[seq] = &modelSession{owner: e.Owner}
		return result{StatusOK, seq}
	case OpExpire:
		if s := m.sessions[e.Session]; s != nil {
			s.ended = true
		}
		return ok
	case OpClose:
		maps.DeleteFunc(m.sessions, func(_ Seq, s *modelSession) bool { return s.owner == e.Owner })
		return ok
	}
	s := m.sessions[e.Session]
	if s == nil {
		return result{status: StatusSessionExpired}
	}
	if e.OpSeq < s.last {
		return result{status: StatusUnknown}
	}
	if e.OpSeq > s.last && s.ended {
		return result{StatusSessionEnded, e.Session}
	}
	if e.OpSeq > s.last {
		s.last, s.outcome = e.OpSeq, m.write(seq, e)
	}
	return s.outcome
}

func (m *modelState) write(seq Seq, e *Entry) result {
	v, present := m.values[e.Key]
	switch {
	case e.Kind == OpCAS && v.Version != e.Version:
		return result{StatusConflict, v.Version}
	case e.Kind == OpDelete && !present:
		return result{status: StatusNotFound}
	case e.Kind == OpDelete:
		delete(m.values, e.Key)
	default:
		m.values[e.Key] = Versioned{e.Value, seq}
	}
	return result{StatusOK, seq}
}

// open are the sessions that have not ended, by their ids.
func (m *modelState) open() (list []Seq) {
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		if !m.sessions[id].ended {
			list = append(list, id)
		}
	}
	return list
}

// owns tells whether anything is remembered of a client's sessions.
func (m *modelState) owns(client NodeID) bool {
	for _, s := range m.sessions {
		if s.owner == client {
			return true
		}
	}
	return false
}

// records are the sessions as a snapshot has them; that of an ended one says only that it is.
func (m *modelState) records() (list []SessionRecord) {
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		s := m.sessions[id]
		r := SessionRecord{ID: id, Owner: s.owner, Last: s.last, Status: s.outcome.status, Version: s.outcome.version}
		if s.ended {
			r.Ended = 1
		}
		list = append(list, r)
	}
	return list
}

// A modelWrite is an entry that a primary took in and has not committed, and who waits for it:
// nobody if the client is the zero Peer.
type modelWrite struct {
	kind    OpKind
	client  Peer
	req     uint64
	session Seq
	opSeq   uint64
	bytes   int
}

// A modelTenure is what a primary has to know, by R4, R5, R6, R8, R9 and R12.
type modelTenure struct {
	began      Epoch
	inherited  Seq
	notBefore  Time
	reconciled bool
	lacks      bool // a member said that its disk has lost something
	durable    Seq  // of its own log

	acked   map[NodeID]Epoch // of each member the last epoch in which it acked,
	matched map[NodeID]Seq   // up to where
	round   map[NodeID]uint64
	lease   map[NodeID]Time // and what it has promised

	begun   uint64          // the last round,
	rounds  map[uint64]Time // and when each began
	pending []modelWrite
	reads   []read
	exports []export
	parked  []ask

	touched  map[Seq]Time   // when a session was last heard of
	ending   map[Seq]bool   // an entry that ends it is pending
	proposed map[Seq]uint64 // the last number that was taken in
	fullAt   Time           // when it last had no room for a write, or did not serve
	exported Seq            // the last page of a backup told all up to here
	pagedAt  Time           // and when it left
}

// A modelJoiner is a joining node's side of a snapshot, by R10.
type modelJoiner struct {
	tenure   Epoch
	attempt  uint64
	next     uint64
	complete bool
	void     bool
	items    map[string]Versioned // of the chunks so far
}

// A modelGroup is what a node is to hold of its group.
type modelGroup struct {
	config   *Config
	log      []Entry // all of it: what the node has trimmed, too
	commit   Seq
	verified Seq
	state    *modelState
	start    Epoch
	joiner   *modelJoiner
	tenure   *modelTenure
}

func (m *modelGroup) last() Seq { return Seq(len(m.log)) }

func (m *modelGroup) partial() bool { return m.joiner != nil && !m.joiner.complete }

func (m *modelGroup) commitTo(seq Seq, done func(Seq, result)) {
	for m.commit < seq {
		m.commit++
		r := m.state.apply(m.commit, &m.log[m.commit-1])
		if done != nil {
			done(m.commit, r)
		}
	}
}

func (m *modelGroup) discard() {
	m.log, m.commit, m.verified, m.state = nil, 0, 0, modelOf(nil)
}

// idOf names an entry of a log; that of 0 is zero.
func idOf(log []Entry, seq Seq) EntryID {
	if seq == 0 {
		return EntryID{}
	}
	return EntryID{log[seq-1].Epoch, seq}
}

// has tells whether a log has the entry that is named.
func has(log []Entry, id EntryID) bool {
	return id.Seq <= Seq(len(log)) && idOf(log, id.Seq) == id
}

// take adds entries behind a place in a log that they follow. What conflicts is cut off.
func take(log []Entry, after Seq, entries []Entry) []Entry {
	for i, e := range entries {
		seq := after + Seq(i) + 1
		if seq <= Seq(len(log)) && log[seq-1].Epoch == e.Epoch {
			continue
		}
		log = append(slices.Clone(log[:min(seq-1, Seq(len(log)))]), e)
	}
	return log
}
