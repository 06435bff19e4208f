package core

import (
	"fmt"
	"math"

	"gtstore/core/wire"
)

// FrameBytesMax bounds every frame that this codec writes, and it reads none
// that is longer. It is above the longest Replicate (one entry of the largest key
// and value, or many that together hold BatchBytesMax), the longest Exported (likewise,
// with as many keys as it may have) and the longest Chunk (as many keys as it may have,
// the last of them of the largest size, and all sessions).
const (
	FrameBytesMax = wire.FrameBytes + 1 + 8 + 2*peerBytesMax + // kind, cluster, from, to
		10*varintBytesMax + configBytesMax + // the fields around entries or items
		max(replicateBytesMax, chunkBytesMax, exportedBytesMax, QuorumBytesMax)

	// QuorumBytesMax bounds what a Quorum carries: one command, or a part of a snapshot.
	QuorumBytesMax = 1<<20 + 1<<14

	replicateBytesMax = BatchEntriesMax*entryHeadBytesMax + BatchBytesMax + KeyBytesMax
	// The last chunk has all sessions, but no key that exceeds ChunkBytesMax.
	chunkItemBytesMax = ChunkBytesMax + KeyBytesMax + ValueBytesMax
	chunkBytesMax     = ChunkItemsMax*3*varintBytesMax + ChunkBytesMax +
		max(KeyBytesMax+ValueBytesMax, SessionsMax*(5*varintBytesMax+8))

	exportedBytesMax = ChunkItemsMax*3*varintBytesMax + BatchBytesMax + KeyBytesMax

	varintBytesMax    = 10
	peerBytesMax      = 8 + varintBytesMax + AddrBytesMax
	configBytesMax    = 8*varintBytesMax + (ChainMax+1)*peerBytesMax
	entryHeadBytesMax = 8 * varintBytesMax // everything but the bytes of key and value
)

// The least number of bytes of an element: what a count costs its sender.
const (
	peerBytesMin       = 8 + 1
	entryBytesMin      = 8
	groupEpochBytesMin = 2

	nodeStatusBytesMin  = peerBytesMin + 8
	groupStatusBytesMin = 9

	managerStatusBytesMin = peerBytesMin + 4
	itemBytesMin          = 3
	sessionBytesMin       = 13
)

// skipMax bounds the groups that a Command's Skip names.
const skipMax = 1 << 16

// AppendEnvelope appends the frame of e to dst. It allocates only if dst must
// grow. It panics if e holds a local message, or one that DecodeEnvelope would
// refuse: a node that cannot say what it means has lost its mind, and a message
// that no receiver accepts would only be resent for ever.
func AppendEnvelope(dst []byte, e *Envelope) []byte {
	return sealEnvelope(wire.NewFrame(dst), e)
}

// AppendEnvelopeAside is AppendEnvelope, but for large strings, which it leaves aside: see
// wire.Aside.
func AppendEnvelopeAside(dst []byte, e *Envelope, a wire.Aside) []byte {
	return sealEnvelope(wire.NewFrameAside(dst, a), e)
}

func sealEnvelope(c wire.Coder, e *Envelope) []byte {
	if kind := e.Body.kind(); kinds[kind].local {
		panic(fmt.Sprintf("core: node %v sends %v to node %v: a local message has no place on a wire", e.From.ID, kind, e.To.ID))
	}
	codeEnvelope(&c, e)
	if err := c.Err(); err != nil {
		panic(fmt.Sprintf("core: node %v sends %v to node %v outside the limits: %v", e.From.ID, e.Body.kind(), e.To.ID, err))
	}
	return c.Seal()
}

// DecodeEnvelope reads the envelope whose frame b is. What it returns does not
// refer to b. The error matches one of package wire's classes; the body of the
// returned envelope is then nil.
func DecodeEnvelope(b []byte) (Envelope, error) {
	var e Envelope
	err := DecodeEnvelopeInto(&e, b, "")
	return e, err
}

// DecodeEnvelopeInto is DecodeEnvelope for a receiver who has an envelope that
// is likely to be alike, such as the last one of the same connection: addresses
// that are equal to those in e are kept and not allocated again. After an error
// e is unchanged. The text is empty; or it is the same bytes as b, and then nobody
// may change these any more: a value that is most of them is a part of the text.
func DecodeEnvelopeInto(e *Envelope, b []byte, text string) error {
	if len(b) > FrameBytesMax {
		return fmt.Errorf("core: envelope: %w", &wire.Error{
			Class: wire.ErrLimit, What: "frame bytes", Got: uint64(len(b)), Limit: FrameBytesMax})
	}
	next := Envelope{From: e.From, To: e.To}
	c := wire.OpenFrameShared(b, text)
	codeEnvelope(&c, &next)
	if err := c.End(); err != nil {
		if next.Body == nil {
			return fmt.Errorf("core: envelope: %w", err)
		}
		return fmt.Errorf("core: %v: %w", next.Body.kind(), err)
	}
	*e = next
	return nil
}

// KindIn tells of which kind the envelope is whose frame b is, without looking at the rest of
// it; 0 if there is nothing. DecodeEnvelope tells whether the frame is good.
func KindIn(b []byte) Kind {
	if len(b) < 2 {
		return 0
	}
	return Kind(b[1]) // behind the version
}

// HashEnvelope returns a hash of all that e holds, for every kind of message,
// also outside the limits. It encodes into scratch, whose contents it discards,
// and returns it, perhaps grown, for the next call.
func HashEnvelope(scratch []byte, e *Envelope) (uint64, []byte) {
	c := wire.NewEncoder(scratch[:0])
	codeEnvelope(&c, e)
	scratch = c.Seal()
	return wire.Hash(scratch), scratch
}

func codeEnvelope(c *wire.Coder, e *Envelope) {
	var kind Kind
	if !c.Decoding() {
		kind = e.Body.kind()
	}
	wire.Enum(c, &kind, kindEnd)
	// A peer that sends local messages would speak for our driver.
	c.Check(!c.Decoding() || !kind.Local(), "local message")
	wire.Fixed64(c, &e.Cluster)
	e.From.code(c)
	e.To.code(c)
	if c.Decoding() {
		if c.Err() != nil {
			return
		}
		e.Body = kinds[kind].make()
	}
	codeMessage(c, e.Body)
}

// codeMessage calls the message's code. It is a switch, and not a method of
// Message, so that the Coder stays on the stack.
func codeMessage(c *wire.Coder, m Message) {
	switch m := m.(type) {
	case *Register:
		m.code(c)
	case *Registered:
		m.code(c)
	case *Farewell:
		m.code(c)
	case *Refused:
		m.code(c)
	case *Forget:
		m.code(c)
	case *Forgotten:
		m.code(c)
	case *StatusQuery:
		m.code(c)
	case *StatusReply:
		m.code(c)
	case *Ping:
		m.code(c)
	case *Pong:
		m.code(c)
	case *Probe:
		m.code(c)
	case *ProbeReply:
		m.code(c)
	case *Config:
		m.code(c)
	case *Lookup:
		m.code(c)
	case *LookupReply:
		m.code(c)
	case *Suspect:
		m.code(c)
	case *Replicate:
		m.code(c)
	case *Ack:
		m.code(c)
	case *Nack:
		m.code(c)
	case *Chunk:
		m.code(c)
	case *ChunkAck:
		m.code(c)
	case *CaughtUp:
		m.code(c)
	case *Drain:
		m.code(c)
	case *Drained:
		m.code(c)
	case *Op:
		m.code(c)
	case *Reply:
		m.code(c)
	case *Export:
		m.code(c)
	case *Exported:
		m.code(c)
	case *Quorum:
		m.code(c)
	case *NotLeader:
		m.code(c)
	case *ManagersQuery:
		m.code(c)
	case *ManagersReply:
		m.code(c)
	case *Enlist:
		c.Bool(&m.Durable)
	default:
		codeLocal(c, m)
	}
}

func codeLocal(c *wire.Coder, m Message) {
	switch m := m.(type) {
	case *Call:
		m.code(c)
	case *Cancel:
		m.code(c)
	case *Result:
		m.code(c)
	case *PeerDown:
		m.code(c)
	case *Stop:
	case *Synced:
		m.code(c)
	case *Committed:
		m.code(c)
	default:
		panic(fmt.Sprintf("core: no codec for a message of kind %v", m.kind()))
	}
}

func (m *Register) code(c *wire.Coder) {
	wire.Uint(c, &m.Boot)
	wire.Fixed64(c, &m.Secret)
	wire.Fixed64(c, &m.Before)
	c.Bool(&m.Durable)
	wire.Fixed64(c, &m.Inherited)
	wire.String(c, &m.Name, NameBytesMax)
	wire.Uint(c, &m.Process)
	wire.Uint(c, &m.Index)
}

func (m *Registered) code(c *wire.Coder) {
	wire.Uint(c, &m.Boot)
	wire.Fixed64(c, &m.Secret)
	for i := range wire.Slice(c, &m.Managers, ManagersMax, peerBytesMin) {
		m.Managers[i].code(c)
	}
}

func (m *Farewell) code(c *wire.Coder) {
	wire.Uint(c, &m.Boot)
	wire.Fixed64(c, &m.Token)
}

func (m *Refused) code(c *wire.Coder) {
	wire.Enum(c, &m.Reason, refusalEnd)
	wire.Fixed64(c, &m.Wanted)
	wire.Enum(c, &m.What, kindEnd)
	wire.Fixed64(c, &m.Token)
}

func (m *Forget) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Fixed64(c, &m.Node)
}

func (m *Forgotten) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Enum(c, &m.Status, statusEnd)
}

func (m *StatusQuery) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Uint(c, &m.NodeFrom)
	wire.Uint(c, &m.GroupFrom)
}

func (m *StatusReply) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Uint(c, &m.Process)
	wire.Uint(c, &m.Replicas)
	wire.Uint(c, &m.Keys)
	wire.Uint(c, &m.Mapped)
	m.Placement.code(c)
	wire.Uint(c, &m.NodeCount)
	wire.Uint(c, &m.GroupCount)
	wire.Int(c, &m.DiskLag)
	c.Check(m.DiskLag >= 0, "negative duration")
	for i := range wire.Slice(c, &m.Nodes, StatusPageMax, nodeStatusBytesMin) {
		m.Nodes[i].code(c)
	}
	for i := range wire.Slice(c, &m.Groups, StatusPageMax, groupStatusBytesMin) {
		m.Groups[i].code(c)
	}
}

func (n *NodeStatus) code(c *wire.Coder) {
	n.Peer.code(c)
	wire.String(c, &n.Name, NameBytesMax)
	wire.Uint(c, &n.Process)
	wire.Uint(c, &n.Boot)
	wire.Uint(c, &n.Group)
	wire.Uint(c, &n.Joining)
	wire.Enum(c, &n.State, nodeStateEnd)
	c.Bool(&n.Draining)
	wire.Int(c, &n.Quarantine)
	c.Check(n.Quarantine >= 0, "negative duration")
}

func (g *GroupStatus) code(c *wire.Coder) {
	wire.Uint(c, &g.Group)
	wire.Uint(c, &g.Epoch)
	wire.Enum(c, &g.State, groupStateEnd)
	for i := range wire.Slice(c, &g.Chain, ChainMax, 8) {
		wire.Fixed64(c, &g.Chain[i])
	}
	wire.Uint(c, &g.Keys)
	g.Terms.code(c)
	if wire.Optional(c, &g.Join) {
		wire.Fixed64(c, &g.Join.Node)
		wire.Int(c, &g.Join.Age)
		c.Check(g.Join.Age >= 0, "negative duration")
		g.Join.Progress.code(c)
	}
}

func (m *Ping) code(c *wire.Coder) {
	wire.Uint(c, &m.Nonce)
	wire.Uint(c, &m.Index)
	wire.Fixed64(c, &m.Token)
	wire.Uint(c, &m.Boot)
	wire.Fixed64(c, &m.Start)
	wire.Uint(c, &m.Began)
}

func (m *Pong) code(c *wire.Coder) {
	wire.Uint(c, &m.Nonce)
	wire.Fixed64(c, &m.Token)
	wire.Uint(c, &m.Boot)
	wire.Uint(c, &m.Index)
	for i := range wire.Slice(c, &m.Groups, GroupsMax, groupEpochBytesMin) {
		wire.Uint(c, &m.Groups[i].Group)
		wire.Uint(c, &m.Groups[i].Epoch)
	}
	if wire.Optional(c, &m.Join) {
		m.Join.code(c)
	}
	wire.Uint(c, &m.Serves)
	wire.Uint(c, &m.Keys)
	wire.Int(c, &m.Lag)
	c.Check(m.Lag >= 0, "negative duration")
}

func (j *JoinProgress) code(c *wire.Coder) {
	wire.Uint(c, &j.Group)
	wire.Uint(c, &j.Start)
	wire.Uint(c, &j.Keys)
	wire.Uint(c, &j.KeysTotal)
	wire.Uint(c, &j.Bytes)
	wire.Uint(c, &j.BytesTotal)
}

func (m *Probe) code(c *wire.Coder) {
	wire.Uint(c, &m.Nonce)
	m.Target.code(c)
	c.Bool(&m.Reach)
}

func (m *ProbeReply) code(c *wire.Coder) {
	wire.Uint(c, &m.Nonce)
	c.Bool(&m.Refused)
}

func (m *Config) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	for i := range wire.Slice(c, &m.Chain, ChainMax, peerBytesMin) {
		m.Chain[i].code(c)
	}
	c.Check(isChain(m.Chain), "chain that is empty or whose members are not distinct and nonzero")
	m.Joining.code(c)
	c.Check(m.Position(m.Joining.ID) < 0, "joining node that is a member")
	wire.Uint(c, &m.Start)
	wire.Enum(c, &m.Reads, readModeEnd)
	wire.Int(c, &m.Lease)
	c.Check(m.Lease >= 0, "negative duration")
	wire.Uint(c, &m.MinChain)
}

func (m *Lookup) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	codeKey(c, &m.Key, true)
	c.Bool(&m.Create)
}

func (m *LookupReply) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Enum(c, &m.Status, statusEnd)
	if wire.Optional(c, &m.Config) {
		m.Config.code(c)
	}
	wire.Uint(c, &m.Have)
	wire.Uint(c, &m.Need)
	m.Placement.code(c)
}

func (m *Suspect) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	wire.Fixed64(c, &m.Node)
	c.Bool(&m.Refused)
	wire.Fixed64(c, &m.Token)
}

func (m *Replicate) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	wire.Uint(c, &m.Round)
	if wire.Optional(c, &m.Config) {
		m.Config.code(c)
	}
	wire.Uint(c, &m.Prev.Epoch)
	wire.Uint(c, &m.Prev.Seq)
	batchBytes := 0
	for i := range wire.Slice(c, &m.Entries, BatchEntriesMax, entryBytesMin) {
		m.Entries[i].code(c)
		batchBytes += len(m.Entries[i].Key) + len(m.Entries[i].Value)
	}
	if len(m.Entries) > 1 {
		c.CheckMax(batchBytes, BatchBytesMax, "key and value bytes of a batch")
	}
	wire.Uint(c, &m.Commit)
	wire.Uint(c, &m.Trim)
}

func (m *Ack) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	wire.Uint(c, &m.Round)
	wire.Uint(c, &m.Matched)
	wire.Uint(c, &m.Committed)
}

func (m *Nack) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	wire.Uint(c, &m.Round)
	if wire.Optional(c, &m.Config) {
		m.Config.code(c)
	}
	wire.Uint(c, &m.Last)
}

func (m *Chunk) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	if wire.Optional(c, &m.Config) {
		m.Config.code(c)
	}
	wire.Uint(c, &m.Start)
	wire.Uint(c, &m.Tenure)
	wire.Uint(c, &m.Attempt)
	wire.Uint(c, &m.Number)
	wire.Fixed64(c, &m.Sum)
	m.codeContent(c)
}

// codeContent codes what the checksum is of.
func (m *Chunk) codeContent(c *wire.Coder) {
	codeItems(c, &m.Items, chunkItemBytesMax)
	c.Bool(&m.Last)
	wire.Uint(c, &m.At.Epoch)
	wire.Uint(c, &m.At.Seq)
	for i := range wire.Slice(c, &m.Sessions, SessionsMax, sessionBytesMin) {
		m.Sessions[i].code(c)
	}
}

func (i *Item) code(c *wire.Coder) {
	codeKey(c, &i.Key, true)
	wire.String(c, &i.Value, ValueBytesMax)
	wire.Uint(c, &i.Version)
}

func (s *SessionRecord) code(c *wire.Coder) {
	wire.Uint(c, &s.ID)
	wire.Fixed64(c, &s.Owner)
	wire.Uint(c, &s.Last)
	wire.Uint(c, &s.Status)
	c.Check(s.Status < statusEnd, "status")
	wire.Uint(c, &s.Version)
	wire.Uint(c, &s.Ended)
}

func (m *ChunkAck) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	wire.Uint(c, &m.Start)
	wire.Uint(c, &m.Tenure)
	wire.Uint(c, &m.Attempt)
	wire.Uint(c, &m.Next)
	c.Bool(&m.Refused)
	wire.Uint(c, &m.Held.Epoch)
	wire.Uint(c, &m.Held.Seq)
}

func (m *CaughtUp) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	wire.Uint(c, &m.Start)
	wire.Fixed64(c, &m.Node)
	wire.Fixed64(c, &m.Token)
}

func (m *Drain) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Fixed64(c, &m.Node)
}

func (m *Drained) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Enum(c, &m.Status, statusEnd)
}

func (m *Op) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Req)
	wire.Enum(c, &m.Kind, opKindEnd)
	c.Check(m.Kind != OpExpire, "op that is never a request")
	wire.Uint(c, &m.Session)
	wire.Uint(c, &m.OpSeq)
	codeKey(c, &m.Key, m.Kind.hasKey())
	wire.String(c, &m.Value, ValueBytesMax)
	wire.Uint(c, &m.Version)
}

func (m *Reply) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Req)
	wire.Enum(c, &m.Status, statusEnd)
	wire.Uint(c, &m.Epoch)
	wire.Uint(c, &m.Version)
	wire.String(c, &m.Value, ValueBytesMax)
	if wire.Optional(c, &m.Config) {
		m.Config.code(c)
	}
}

func (m *Export) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Req)
	wire.Uint(c, &m.Tenure)
	wire.Uint(c, &m.Cursor)
	wire.Uint(c, &m.Position)
	wire.Uint(c, &m.Fresh)
}

func (m *Exported) code(c *wire.Coder) {
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Req)
	wire.Enum(c, &m.Status, statusEnd)
	wire.Uint(c, &m.Epoch)
	if wire.Optional(c, &m.Config) {
		m.Config.code(c)
	}
	wire.Uint(c, &m.Tenure)
	c.Bool(&m.Anew)
	codeItems(c, &m.Items, BatchBytesMax)
	wire.Uint(c, &m.Fresh)
	wire.Uint(c, &m.Cursor)
	wire.Uint(c, &m.Position)
	wire.Uint(c, &m.Commit)
	wire.Uint(c, &m.Keys)
	c.Bool(&m.All)
}

// codeItems codes keys that together have no more bytes than that, unless there is only
// one.
func codeItems(c *wire.Coder, items *[]Item, bytesMax int) {
	bytes := 0
	for i := range wire.Slice(c, items, ChunkItemsMax, itemBytesMin) {
		(*items)[i].code(c)
		bytes += (*items)[i].bytes()
	}
	if len(*items) > 1 {
		c.CheckMax(bytes, bytesMax, "key and value bytes of items")
	}
}

// A Call is never decoded, so nothing bounds it: a user may well ask for a key
// that is too large, and be told so.
func (m *Call) code(c *wire.Coder) {
	wire.Uint(c, &m.ID)
	wire.Uint(c, &m.Kind)
	wire.String(c, &m.Key, math.MaxInt)
	wire.String(c, &m.Value, math.MaxInt)
	wire.Uint(c, &m.Version)
	wire.Int(c, &m.Timeout)
}

func (m *Cancel) code(c *wire.Coder) { wire.Uint(c, &m.ID) }

func (m *Result) code(c *wire.Coder) {
	wire.Uint(c, &m.ID)
	wire.Uint(c, &m.Status)
	wire.Uint(c, &m.Cause)
	c.Bool(&m.Sent)
	wire.Uint(c, &m.Version)
	wire.String(c, &m.Value, ValueBytesMax)
	wire.Fixed64(c, &m.Node)
	wire.Uint(c, &m.Group)
	wire.Uint(c, &m.Epoch)
	wire.Uint(c, &m.Have)
	wire.Uint(c, &m.Need)
	c.Bool(&m.Displaced)
}

func (m *PeerDown) code(c *wire.Coder) {
	m.Peer.code(c)
	c.Bool(&m.Refused)
}

func (m *Synced) code(c *wire.Coder) { wire.Uint(c, &m.Nonce) }

func (m *Committed) code(c *wire.Coder) {
	wire.Uint(c, &m.Index)
	m.Command.code(c)
}

func (m *Quorum) code(c *wire.Coder) { wire.String(c, &m.Text, QuorumBytesMax) }

func (m *NotLeader) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Fixed64(c, &m.Token)
	m.Leader.code(c)
	wire.Uint(c, &m.Term)
}

func (p *Peer) code(c *wire.Coder) {
	wire.Fixed64(c, &p.ID)
	wire.String(c, &p.Addr, AddrBytesMax)
}

func (e *Entry) code(c *wire.Coder) {
	wire.Uint(c, &e.Epoch)
	wire.Enum(c, &e.Kind, opKindEnd)
	c.Check(e.Kind != OpGet, "op that is never in a log")
	wire.Uint(c, &e.Owner)
	wire.Uint(c, &e.Session)
	wire.Uint(c, &e.OpSeq)
	codeKey(c, &e.Key, e.Kind.hasKey())
	wire.String(c, &e.Value, ValueBytesMax)
	wire.Uint(c, &e.Version)
}

// readCommand reads a command that several managers agree on.
func readCommand(text string) (c Command, err error) {
	d := wire.NewDecoder([]byte(text))
	c.code(&d)
	return c, d.End()
}

func (cmd *Command) code(c *wire.Coder) {
	wire.Enum(c, &cmd.Kind, commandKindEnd)
	cmd.Node.Peer.code(c)
	wire.String(c, &cmd.Node.Name, NameBytesMax)
	wire.Uint(c, &cmd.Node.Process)
	wire.Uint(c, &cmd.Node.Boot)
	wire.Fixed64(c, &cmd.Secret)
	wire.Fixed64(c, &cmd.Before)
	wire.Fixed64(c, &cmd.Inherited)
	codeKey(c, &cmd.Unit, cmd.Kind == CommandPlace)
	for i := range wire.Slice(c, &cmd.Members, ChainMax, 8) {
		wire.Fixed64(c, &cmd.Members[i])
	}
	for i := range wire.Slice(c, &cmd.Skip, skipMax, 1) {
		wire.Uint(c, &cmd.Skip[i])
	}
	if cmd.Kind == CommandPlace || cmd.Kind == CommandTerms {
		cmd.Terms.code(c)
	}
	wire.Uint(c, &cmd.Group)
	wire.Uint(c, &cmd.Epoch)
	for i := range wire.Slice(c, &cmd.Remove, ChainMax, 8) {
		wire.Fixed64(c, &cmd.Remove[i])
	}
}

func (t *Terms) code(c *wire.Coder) {
	wire.Enum(c, &t.Reads, readModeEnd)
	wire.Int(c, &t.Lease)
	c.Check(t.Lease >= 0, "negative duration")
	wire.Uint(c, &t.MinChain)
}

func (p *Placement) code(c *wire.Coder) {
	wire.Uint(c, p)
	c.Check(p.valid(), "placement")
}

// codeKey codes a key, or a unit, of 1 to KeyBytesMax bytes, or the empty key of what acts
// on none.
func codeKey[T ~string](c *wire.Coder, key *T, wanted bool) {
	wire.String(c, key, KeyBytesMax)
	c.Check((*key != "") == wanted, "key that is missing or in excess")
}

// isChain reports whether the peers can be a chain: some, distinct, none zero.
func isChain(chain []Peer) bool {
	for i, p := range chain {
		if p.ID == 0 {
			return false
		}
		for _, q := range chain[:i] {
			if p.ID == q.ID {
				return false
			}
		}
	}
	return len(chain) > 0
}

func (m *ManagersQuery) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	for i := range wire.Slice(c, &m.Add, ManagersMax, peerBytesMin) {
		m.Add[i].code(c)
	}
	for i := range wire.Slice(c, &m.Remove, ManagersMax, 8) {
		wire.Fixed64(c, &m.Remove[i])
	}
}

func (m *ManagersReply) code(c *wire.Coder) {
	wire.Uint(c, &m.Req)
	wire.Enum(c, &m.Status, statusEnd)
	wire.String(c, &m.Why, WhyBytesMax)
	wire.Uint(c, &m.Term)
	c.Bool(&m.Changing)
	for i := range wire.Slice(c, &m.Managers, ManagersMax, managerStatusBytesMin) {
		m.Managers[i].code(c)
	}
}

func (s *ManagerStatus) code(c *wire.Coder) {
	s.Peer.code(c)
	c.Bool(&s.Leads)
	c.Bool(&s.Silent)
	wire.Uint(c, &s.Lag)
	c.Bool(&s.Leaving)
}
