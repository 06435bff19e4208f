package core

import (
	"slices"
	"sort"
)

// state is what a log of committed entries adds up to: the values and the
// sessions. It changes only by apply, in log order, the same on every member.
type state struct {
	values   map[string]value
	sessions []*session // ascending ids, which is the order of their opening

	// order lists the keys, so that a snapshot can be read bit by bit while writes
	// go on. Meanwhile it is pinned: every key keeps its slot, a new one comes
	// last, and a deleted one leaves a hole.
	order  []string
	pinned bool
	holes  []int
	bytes  int // of all keys and values
}

type value struct {
	data    string
	version Seq
	slot    int // its index in state.order
}

// session remembers the last operation of a client's session and its result,
// so that a retry is answered and not executed again (rule R12).
type session struct {
	id     Seq
	last   uint64
	result result

	// touched is when the primary last heard of the session in its tenure. It
	// decides only when the primary proposes an expiry, and is not replicated.
	touched Time
}

// result is the logged outcome of a write.
type result struct {
	status  Status
	version Seq // written; with Conflict the current one
}

func newState() state { return state{values: make(map[string]value)} }

// session returns the open session with that id, or nil.
func (st *state) session(id Seq) *session {
	i := sort.Search(len(st.sessions), func(i int) bool { return st.sessions[i].id >= id })
	if i < len(st.sessions) && st.sessions[i].id == id {
		return st.sessions[i]
	}
	return nil
}

// apply carries out the committed entry at seq. Whether a value changed is
// told by effect.
func (st *state) apply(seq Seq, e *Entry) (r result, effect bool) {
	switch e.Kind {
	case OpOpen:
		st.sessions = append(st.sessions, &session{id: seq})
		return result{StatusOK, seq}, false
	case OpExpire:
		st.expire(e.Session)
		return result{status: StatusOK}, false
	}
	s := st.session(e.Session)
	switch {
	case s == nil:
		return result{status: StatusSessionExpired}, false
	case e.OpSeq == s.last:
		return s.result, false // a retry that was appended before the first was known
	case e.OpSeq < s.last:
		return result{status: StatusUnknown}, false // its client has moved on; nobody waits
	}
	s.last = e.OpSeq
	s.result, effect = st.write(seq, e)
	return s.result, effect
}

func (st *state) write(seq Seq, e *Entry) (result, bool) {
	current, present := st.values[e.Key]
	switch e.Kind {
	case OpDelete:
		if !present {
			return result{status: StatusNotFound}, false
		}
		st.remove(e.Key)
		return result{StatusOK, seq}, true
	case OpCAS:
		if e.Version != current.version { // an absent key has version 0
			return result{StatusConflict, current.version}, false
		}
	}
	st.set(e.Key, e.Value, seq)
	return result{StatusOK, seq}, true
}

// set gives a key a value, and a slot if it has none.
func (st *state) set(key, data string, version Seq) {
	v, present := st.values[key]
	if !present {
		v.slot = len(st.order)
		st.order = append(st.order, key)
		st.bytes += len(key)
	}
	st.bytes += len(data) - len(v.data)
	v.data, v.version = data, version
	st.values[key] = v
}

func (st *state) remove(key string) {
	v, present := st.values[key]
	if !present {
		return
	}
	delete(st.values, key)
	st.bytes -= len(key) + len(v.data)
	st.order[v.slot] = ""
	if st.pinned {
		st.holes = append(st.holes, v.slot)
	} else {
		st.closeHole(v.slot)
	}
}

// closeHole moves the last key into a slot that was left.
func (st *state) closeHole(slot int) {
	last := len(st.order) - 1
	if key := st.order[last]; key != "" && slot < last {
		v := st.values[key]
		v.slot = slot
		st.values[key] = v
		st.order[slot] = key
	}
	st.order = st.order[:last]
}

// pin keeps every key in its slot until unpin.
func (st *state) pin() { st.pinned = true }

func (st *state) unpin() {
	st.pinned = false
	slices.Sort(st.holes)
	for i := len(st.holes) - 1; i >= 0; i-- { // from the end, so that the last is a key or the hole itself
		st.closeHole(st.holes[i])
	}
	st.holes = nil
}

// records returns the sessions as a snapshot holds them.
func (st *state) records() []SessionRecord {
	list := make([]SessionRecord, len(st.sessions))
	for i, s := range st.sessions {
		list[i] = s.record()
	}
	return list
}

func (s *session) record() SessionRecord {
	return SessionRecord{s.id, s.last, s.result.status, s.result.version}
}

func (r *SessionRecord) session() *session {
	return &session{id: r.ID, last: r.Last, result: result{r.Status, r.Version}}
}

func (st *state) expire(id Seq) {
	for i, s := range st.sessions {
		if s.id == id {
			st.sessions = append(st.sessions[:i], st.sessions[i+1:]...)
			return
		}
	}
}
