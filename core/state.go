package core

// state is what a log of committed entries adds up to: the values and the
// sessions. It changes only by apply, in log order, the same on every member.
type state struct {
	values   values
	sessions sessions
}

// result is the logged outcome of a write.
type result struct {
	status  Status
	version Seq // written; with Conflict the current one
}

func newState() state { return state{values: values{slots: make(map[string]uint32)}} }

// apply carries out the committed entry at seq. Whether a value changed is
// told by effect.
func (st *state) apply(seq Seq, e *Entry) (r result, effect bool) {
	switch e.Kind {
	case OpOpen:
		st.sessions.open(seq, e.Owner)
		return result{StatusOK, seq}, false
	case OpExpire:
		st.sessions.end(st.sessions.find(e.Session), seq)
		return result{status: StatusOK}, false
	case OpClose:
		st.sessions.forget(e.Owner)
		return result{status: StatusOK}, false
	}
	s := st.sessions.find(e.Session)
	switch {
	case s == nil:
		return result{status: StatusSessionExpired}, false
	case e.OpSeq == s.last:
		return s.result, false // a retry that was appended before the first was known
	case e.OpSeq < s.last:
		return result{status: StatusUnknown}, false // its client has moved on; nobody waits
	case s.ended > 0: // a primary whose log ends here says so, and must be right
		return result{StatusSessionEnded, s.id}, false
	}
	r, effect = st.write(seq, e)
	st.sessions.wrote(s, e.OpSeq, r)
	return r, effect
}

func (st *state) write(seq Seq, e *Entry) (result, bool) {
	current, present := st.values.get(e.Key)
	switch e.Kind {
	case OpDelete:
		if !present {
			return result{status: StatusNotFound}, false
		}
		st.values.remove(e.Key)
		return result{StatusOK, seq}, true
	case OpCAS:
		if e.Version != current.version { // an absent key has version 0
			return result{StatusConflict, current.version}, false
		}
	}
	st.values.set(e.Key, e.Value, seq)
	return result{StatusOK, seq}, true
}
