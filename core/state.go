package core

import "sort"

// state is what a log of committed entries adds up to: the values and the
// sessions. It changes only by apply, in log order, the same on every member.
type state struct {
	values   map[string]value
	sessions []*session // ascending ids, which is the order of their opening
}

type value struct {
	data    string
	version Seq
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
		delete(st.values, e.Key)
		return result{StatusOK, seq}, true
	case OpCAS:
		if e.Version != current.version { // an absent key has version 0
			return result{StatusConflict, current.version}, false
		}
	}
	st.values[e.Key] = value{e.Value, seq}
	return result{StatusOK, seq}, true
}

func (st *state) expire(id Seq) {
	for i, s := range st.sessions {
		if s.id == id {
			st.sessions = append(st.sessions[:i], st.sessions[i+1:]...)
			return
		}
	}
}
