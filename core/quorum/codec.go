package quorum

import (
	"fmt"

	"gtstore/core"
	"gtstore/core/wire"
)

// Limits that the codec refuses to exceed.
const (
	CommandBytesMax = 1 << 20 // of one command
	MembersMax      = 15      // voters, and as many amid a change that are to leave
	RetiredMax      = 1 << 10 // members that left and are remembered

	partBytesMax   = 1 << 18         // of a snapshot in one Part, or in one record
	appendBytesMax = 1 << 18         // of entries in one Append; one entry may exceed it alone
	entriesMax     = appendBytesMax  // in one Append: none is smaller than a byte
	dataBytesMax   = CommandBytesMax // of one entry

	entryBytesMin = 3
	peerBytesMin  = 9
)

// countMax is above every index and number that a group can come to, termMax above every term:
// core tells nodes of terms, and counts to less.
const (
	countMax = 1 << 62
	termMax  = core.TermMax
)

// AppendMessage appends the encoding of m to dst, without a frame: whoever carries it has
// one. It panics if m is local or outside the limits: no receiver would take it.
func AppendMessage(dst []byte, m Message) []byte {
	kind := m.kind()
	if kind == KindStored {
		panic("quorum: a local message has no place on a wire")
	}
	c := wire.NewEncoder(dst)
	wire.Enum(&c, &kind, kindEnd)
	codeMessage(&c, m)
	if err := c.Err(); err != nil {
		panic(fmt.Sprintf("quorum: a message of kind %d is outside the limits: %v", kind, err))
	}
	return c.Seal()
}

// DecodeMessage reads what AppendMessage wrote. What it returns does not refer to b. The
// error matches one of package wire's classes.
func DecodeMessage(b []byte) (Message, error) { return decodeMessage(b, newMessage) }

// decodeMessage reads into what is made for the message's kind.
func decodeMessage(b []byte, empty func(Kind) Message) (Message, error) {
	c := wire.NewDecoder(b)
	var kind Kind
	wire.Enum(&c, &kind, KindStored)
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("quorum: message: %w", err)
	}
	m := empty(kind)
	codeMessage(&c, m)
	if err := c.End(); err != nil {
		return nil, fmt.Errorf("quorum: message of kind %d: %w", kind, err)
	}
	return m, nil
}

func newMessage(kind Kind) Message {
	switch kind {
	case KindVote:
		return new(Vote)
	case KindVoted:
		return new(Voted)
	case KindAppend:
		return new(Append)
	case KindAppended:
		return new(Appended)
	case KindBeat:
		return new(Beat)
	case KindBeaten:
		return new(Beaten)
	case KindPart:
		return new(Part)
	case KindPartTaken:
		return new(PartTaken)
	case KindOffer:
		return new(Offer)
	case KindLead:
		return new(Lead)
	}
	panic(fmt.Sprintf("quorum: no message of kind %d", kind))
}

// codeMessage is a switch, and not a method of Message, so that the Coder stays on the
// stack.
func codeMessage(c *wire.Coder, m Message) {
	switch m := m.(type) {
	case *Vote:
		codeTerm(c, &m.Term)
		c.Bool(&m.Pre)
		c.Bool(&m.Yielded)
		c.Check(!m.Pre || !m.Yielded, "vote that only asks, and is to count")
		m.Last.code(c)
	case *Voted:
		codeTerm(c, &m.Term)
		c.Bool(&m.Pre)
		c.Bool(&m.Refused)
	case *Append:
		m.code(c)
	case *Appended:
		codeTerm(c, &m.Term)
		count(c, &m.Index)
		c.Bool(&m.Refused)
		m.Hint.code(c)
	case *Beat:
		codeTerm(c, &m.Term)
		count(c, &m.Commit)
		count(c, &m.Round)
	case *Beaten:
		codeTerm(c, &m.Term)
		count(c, &m.Round)
	case *Part:
		codeTerm(c, &m.Term)
		m.At.code(c)
		c.Check(m.At.Index < countMax/2, "snapshot behind which there is no room for a log")
		m.Members.code(c)
		count(c, &m.Number)
		c.Bool(&m.Last)
		wire.String(c, &m.Data, partBytesMax)
	case *PartTaken:
		codeTerm(c, &m.Term)
		count(c, &m.At)
		count(c, &m.Next)
		c.Bool(&m.Done)
	case *Offer:
	case *Lead:
		codeTerm(c, &m.Term)
	default:
		panic(fmt.Sprintf("quorum: no codec for a message of kind %d", m.kind()))
	}
}

func (m *Append) code(c *wire.Coder) {
	codeTerm(c, &m.Term)
	m.Prev.code(c)
	c.Check(m.Prev.Index > 0, "entries behind nothing: a group begins with a snapshot")
	term, bytes := m.Prev.Term, 0
	for i := range wire.Slice(c, &m.Entries, entriesMax, entryBytesMin) {
		e := &m.Entries[i]
		e.code(c)
		c.Check(e.Term >= term, "terms of entries that fall")
		term = e.Term
		bytes += len(e.Data)
	}
	c.Check(term <= m.Term, "entry of a later term")
	if len(m.Entries) > 1 {
		c.CheckMax(bytes, appendBytesMax, "bytes of entries")
	}
	count(c, &m.Commit)
}

// count codes a number that is below countMax: no sum of two overflows.
func count[T ~uint64](c *wire.Coder, n *T) {
	wire.Uint(c, n)
	c.Check(*n < countMax, "number above any that can be")
}

// codeTerm codes the term of a message. The library takes one of term 0 for its own.
func codeTerm(c *wire.Coder, t *Term) {
	wire.Uint(c, t)
	c.Check(*t > 0, "message of no term")
	c.Check(*t < termMax, "term above any that can be")
}

func (p *Position) code(c *wire.Coder) {
	count(c, &p.Term)
	count(c, &p.Index)
}

func (e *Entry) code(c *wire.Coder) {
	count(c, &e.Term)
	wire.Enum(c, &e.Kind, entryKindEnd)
	wire.String(c, &e.Data, dataBytesMax)
	if e.Kind == EntryMembers {
		_, err := readChange(e.Data)
		c.Check(err == nil, "change of members")
	}
}

func codePeers(c *wire.Coder, peers *[]core.Peer) {
	for i := range wire.Slice(c, peers, MembersMax, peerBytesMin) {
		p := &(*peers)[i]
		wire.Fixed64(c, &p.ID)
		c.Check(isMember(p.ID), "id that no member has")
		wire.String(c, &p.Addr, core.AddrBytesMax)
	}
}

func (m *Members) code(c *wire.Coder) {
	codePeers(c, &m.Voters)
	codePeers(c, &m.Outgoing)
	c.Check(len(m.Voters) > 0 && isList(m.Voters) && isList(m.Outgoing), "members that are none, twice the same or out of order")
	for i := range wire.Slice(c, &m.Retired, RetiredMax, 8) {
		wire.Fixed64(c, &m.Retired[i])
	}
}
