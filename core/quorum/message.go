package quorum

import "gtstore/core"

// Term numbers the times in office of leaders. A term has one leader at most.
type Term = core.Term

// Index is a position in the log, counted from 1.
type Index uint64

// Position names an entry of the log: no two entries have the same.
type Position struct {
	Term  Term
	Index Index
}

// EntryKind says what an entry of the log holds.
type EntryKind uint8

const (
	EntryCommand EntryKind = iota + 1 // a command of the owner; an empty one begins a term
	EntryMembers                      // a change of the members
	entryKindEnd
)

// Entry is one entry of the log. Its Index follows from where it stands.
type Entry struct {
	Term Term
	Kind EntryKind
	Data string
}

// Kind names a type of message.
type Kind uint8

const (
	KindVote Kind = iota + 1
	KindVoted
	KindAppend
	KindAppended
	KindBeat
	KindBeaten
	KindPart
	KindPartTaken
	KindOffer
	KindLead
	KindStored // local: never on a wire
	kindEnd
)

// Message is a sealed set of pointers to the structs below. A message is never changed
// once it was sent: sender and receivers may share it.
type Message interface{ kind() Kind }

// KindOf tells the type of a message.
func KindOf(m Message) Kind { return m.kind() }

func (*Vote) kind() Kind      { return KindVote }
func (*Voted) kind() Kind     { return KindVoted }
func (*Append) kind() Kind    { return KindAppend }
func (*Appended) kind() Kind  { return KindAppended }
func (*Beat) kind() Kind      { return KindBeat }
func (*Beaten) kind() Kind    { return KindBeaten }
func (*Part) kind() Kind      { return KindPart }
func (*PartTaken) kind() Kind { return KindPartTaken }
func (*Offer) kind() Kind     { return KindOffer }
func (*Lead) kind() Kind      { return KindLead }
func (*Stored) kind() Kind    { return KindStored }

// Envelope carries one message between two members.
type Envelope struct {
	From, To core.Peer
	Body     Message
}

// Vote asks for a vote. With Pre it only asks whether there would be one: so a member that
// was cut off does not depose a leader whom the others hear.
type Vote struct {
	Term    Term // to be led
	Pre     bool
	Yielded bool     // the leader has asked the sender to lead: it is to be deposed though it is heard
	Last    Position // the end of the sender's log
}

// Voted answers a Vote.
type Voted struct {
	Term    Term // the Vote's; with Refused that of the sender
	Pre     bool
	Refused bool
}

// Append carries entries from the leader. The receiver takes them if it holds Prev.
type Append struct {
	Term    Term
	Prev    Position
	Entries []Entry
	Commit  Index // what the leader knows to be committed
}

// Appended answers an Append. Up to Index the sender's log is the leader's, durably; with
// Refused it lacks the entry at Index, and may hold Hint.
type Appended struct {
	Term    Term
	Index   Index
	Refused bool
	Hint    Position
}

// Beat says that the leader is there. What it asks to be confirmed goes by the number Round.
type Beat struct {
	Term   Term
	Commit Index
	Round  uint64 // 0 for none
}

// Beaten answers a Beat and repeats its Round.
type Beaten struct {
	Term  Term
	Round uint64
}

// Part is a part of a snapshot, from the leader to a member whose log ends before the
// leader's begins. The leader sends the next part when the last one was taken.
type Part struct {
	Term    Term
	At      Position // whose state the snapshot is; with Term it names the snapshot
	Members Members  // at that position
	Number  uint64   // from 0
	Last    bool
	Data    string
}

// PartTaken answers a Part.
type PartTaken struct {
	Term Term // the Part's
	At   Index
	Next uint64 // the part that is needed next
	Done bool   // none is: the sender has the whole state, or a later one
}

// Offer tells the leader that the sender could lead in its place.
type Offer struct{}

// Lead is the leader's word to a member that it is to lead now.
type Lead struct{ Term Term }

// Stored is a node's message to itself by way of Output.After. When it comes, all is durable
// that was to be durable before it.
type Stored struct{ Nonce uint64 }

// termOf is the term of a message; 0 where it has none.
func termOf(m Message) Term {
	switch m := m.(type) {
	case *Vote:
		return m.Term
	case *Voted:
		return m.Term
	case *Append:
		return m.Term
	case *Appended:
		return m.Term
	case *Beat:
		return m.Term
	case *Beaten:
		return m.Term
	case *Part:
		return m.Term
	case *PartTaken:
		return m.Term
	case *Lead:
		return m.Term
	}
	return 0
}
