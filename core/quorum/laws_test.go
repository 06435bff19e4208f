package quorum

import (
	"slices"
	"time"

	"gtstore/core"
)

// What always holds of a member, by what the network brought it and what its disk has: see judgeSaid,
// judgeDisk, judgeOffice, judgeConfirmed and intrude. Nothing here looks into the node.

// ledger is what a host has heard since it leads.
type ledger struct {
	ledAt     core.Time
	changedAt core.Time // when the members changed last, or it began to let another one lead
	members   Members
	heard     map[core.NodeID]core.Time // when an answer to this leader came last
	left      map[core.NodeID]core.Time // when the last one of those that came had left
}

func (h *host) begins() {
	h.ledger = ledger{ledAt: h.w.now, changedAt: h.w.now, members: h.node.Members(), heard: map[core.NodeID]core.Time{}, left: map[core.NodeID]core.Time{}}
}

// hears notes who has answered a leader.
func (h *host) hears(e Envelope, left core.Time) {
	switch b := e.Body.(type) {
	case *Beaten:
		h.hearsOf(e.From.ID, b.Term, left)
	case *Appended:
		h.hearsOf(e.From.ID, b.Term, left)
	}
}

func (h *host) hearsOf(id core.NodeID, t Term, left core.Time) {
	if h.leads != 0 && t == h.leads {
		h.ledger.heard[id], h.ledger.left[id] = h.w.now, max(left, h.ledger.left[id])
	}
}

// most tells whether something holds of a majority of the members, and amid a change of them of one of
// each list. A leader needs no word of itself.
func (h *host) most(holds func(id core.NodeID) bool) bool {
	members := h.node.Members()
	for _, list := range [][]core.Peer{members.Voters, members.Outgoing} {
		n := 0
		for _, p := range list {
			if p.ID == h.peer.ID || holds(p.ID) {
				n++
			}
		}
		if n < len(list)/2+1 && len(list) > 0 {
			return false
		}
	}
	return true
}

func (h *host) noteMembers() {
	if now := h.node.Members(); !slices.Equal(now.Voters, h.ledger.members.Voters) || !slices.Equal(now.Outgoing, h.ledger.members.Outgoing) {
		h.ledger.members, h.ledger.changedAt = now, h.w.now
	}
}

// judgeOffice: who has not heard a majority for two election time-outs leads no more. A member that is
// new, and one who is about to follow, have the time anew.
func (h *host) judgeOffice() {
	if h.leads == 0 {
		return
	}
	h.noteMembers()
	opt := &h.node.opt
	limit := 2*opt.ElectionTimeout + 2*opt.HeartbeatInterval
	if !h.most(func(id core.NodeID) bool { return h.w.now.Since(max(h.ledger.changedAt, h.ledger.heard[id])) <= limit }) {
		h.w.fail("%v leads term %d on, and has not heard a majority for %v", h.peer.Addr, h.leads, limit)
	}
}

// judgeConfirmed: that a read is confirmed takes the word of a majority that was given after it was asked.
func (h *host) judgeConfirmed(read uint64) {
	h.noteMembers()
	asked := h.w.readAt[read]
	if h.w.bug == "" && h.ledger.changedAt < asked && !h.most(func(id core.NodeID) bool { return h.ledger.left[id] >= asked }) {
		h.w.fail("%v confirms a read that was asked at %v, and no majority has said anything since", h.peer.Addr, time.Duration(asked))
	}
}

// holdsEntry tells whether an entry is on the disk, or in a snapshot there.
func (h *host) holdsEntry(i Index) bool {
	var head snapshotRecord
	if err := readOne(h, keySnapshot, tagSnapshot, &head); err != nil {
		h.w.fail("%v: %v", h.peer.Addr, err)
	}
	_, there := h.records[logKey(i)]
	return there || i <= head.at.Index
}

// judgeSaid: what a member votes for, or takes in, is on its disk when it says so; it votes once in a
// term, whatever happens to its process; and that its disk has something it says to itself only then.
func (h *host) judgeSaid(e Envelope) {
	if h.w.bug != "" || !h.w.options.Durable {
		return
	}
	var state stateRecord
	if err := readOne(h, keyState, tagState, &state); err != nil {
		h.w.fail("%v: %v", h.peer.Addr, err)
	}
	switch b := e.Body.(type) {
	case *Voted:
		if b.Pre || b.Refused {
			return
		}
		ballot := ballot{h.peer.ID, b.Term}
		if first, ok := h.w.votes[ballot]; ok && first != e.To.ID {
			h.w.fail("%v votes in term %d for %v, and has voted for %v", h.peer.Addr, b.Term, e.To.ID, first)
		}
		h.w.votes[ballot] = e.To.ID
		if state.term < b.Term || state.term == b.Term && state.vote != uint64(e.To.ID) {
			h.w.fail("%v votes in term %d for %v, and its disk has a vote for %v in term %d", h.peer.Addr, b.Term, e.To.ID, core.NodeID(state.vote), state.term)
		}
	case *Appended:
		if !b.Refused && (state.term < b.Term || state.term == b.Term && !h.holdsEntry(b.Index)) {
			h.w.fail("%v says in term %d that it holds entry %d, which its disk, at term %d, has not", h.peer.Addr, b.Term, b.Index, state.term)
		}
	}
}

// judgeDisk: after each batch the disk has a whole state, and nothing else: the parts of the one snapshot
// that counts, and the log from its beginning on without a hole. What stayed of an earlier one would stay
// for ever.
func (h *host) judgeDisk() {
	var head snapshotRecord
	if err := readOne(h, keySnapshot, tagSnapshot, &head); err != nil {
		h.w.fail("%v: %v", h.peer.Addr, err)
		return
	}
	live := map[string]bool{keyState: true, keySnapshot: true}
	for i := range head.parts {
		live[ordered(prefixPart, uint64(head.at.Index), i)] = true
	}
	i := head.base.Index + 1
	if head.parts == 0 && len(h.founds) > 0 {
		i = founded.Index + 1 // what its founders begin with is not written down
	}
	for ; h.records[logKey(i)] != ""; i++ {
		live[logKey(i)] = true
	}
	for k := range h.records {
		if !live[k] {
			h.w.fail("%v: %q is on the disk, where the snapshot is of %d, with %d parts, and the log ends before %d", h.peer.Addr, k, head.at.Index, head.parts, i)
		}
	}
}

// ballot is a member's vote in a term.
type ballot struct {
	voter core.NodeID
	term  Term
}

// judgeApplied: what is applied is on the disk.
func (h *host) judgeApplied() {
	if h.w.bug == "" && h.w.options.Durable && !h.holdsEntry(h.node.Applied().Index) {
		h.w.fail("%v applies entry %d, which its disk has not", h.peer.Addr, h.node.Applied().Index)
	}
}

// intrude has somebody new say that it is at the address of a member. A leader that hears that member, or
// has not led for long enough to, lets nobody take its place.
func (w *world) intrude(l *host) {
	if l.node == nil || l.leads == 0 {
		return
	}
	voters := l.node.Members().Voters
	p := voters[w.rng.IntN(len(voters))]
	if p.ID != l.peer.ID && w.now.Since(max(l.ledger.ledAt, l.ledger.heard[p.ID])) > silenceMax*w.options.ElectionTimeout {
		return // its place is free
	}
	w.counts["intrude"]++
	w.nextID++
	l.do(func(*Output) {
		if l.node.Replace(core.Peer{ID: w.nextID, Addr: p.Addr}) {
			w.fail("%v gives the place of %v, which it hears, to somebody else", l.peer.Addr, p.Addr)
		}
	})
}
