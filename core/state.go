package core

import "slices"

// state is what a log of committed entries adds up to: the values and the
// sessions. It changes only by apply, in log order, the same on every member.
type state struct {
	values   map[string]value
	sessions sessions

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

// result is the logged outcome of a write.
type result struct {
	status  Status
	version Seq // written; with Conflict the current one
}

func newState() state { return state{values: make(map[string]value)} }

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
	}
	r, effect = st.write(seq, e)
	st.sessions.wrote(s, e.OpSeq, seq, r)
	return r, effect
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
