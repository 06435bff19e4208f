package core

import "fmt"

// Kind names a type of message.
type Kind uint8

const (
	KindRegister Kind = iota + 1
	KindRegistered
	KindFarewell
	KindRefused
	KindForget
	KindForgotten
	KindStatusQuery
	KindStatusReply
	KindPing
	KindPong
	KindProbe
	KindProbeReply
	KindConfig
	KindLookup
	KindLookupReply
	KindSuspect
	KindReplicate
	KindAck
	KindNack
	KindChunk
	KindChunkAck
	KindCaughtUp
	KindDrain
	KindDrained
	KindOp
	KindReply
	KindExport
	KindExported
	// Local messages: between a node, its driver and its caller; never on a wire.
	KindCall
	KindCancel
	KindResult
	KindPeerDown
	KindStop
	KindSynced
	KindCommitted
	// Of several managers. The numbers of those above stay as they are: the hashes of
	// recorded runs have them.
	KindQuorum
	KindNotLeader
	KindEnlist
	KindManagersQuery
	KindManagersReply
	kindEnd
)

// KindCount is one more than the highest Kind, for tables indexed by Kind.
const KindCount = int(kindEnd)

// kinds is all that is known of a kind of message but its fields.
var kinds = [KindCount]struct {
	name     string
	make     func() Message // a zero message
	request  bool           // its sender waits for an answer
	stranger bool           // a manager takes it in also from a sender that does not know the manager yet
	operator bool           // an operator's, who need be no node
	local    bool           // it never leaves its node
}{
	KindRegister:    {name: "Register", make: newOf[Register], request: true, stranger: true},
	KindRegistered:  {name: "Registered", make: newOf[Registered]},
	KindFarewell:    {name: "Farewell", make: newOf[Farewell]},
	KindRefused:     {name: "Refused", make: newOf[Refused]},
	KindForget:      {name: "Forget", make: newOf[Forget], request: true, stranger: true, operator: true},
	KindForgotten:   {name: "Forgotten", make: newOf[Forgotten]},
	KindStatusQuery: {name: "StatusQuery", make: newOf[StatusQuery], request: true, stranger: true, operator: true},
	KindStatusReply: {name: "StatusReply", make: newOf[StatusReply]},
	KindPing:        {name: "Ping", make: newOf[Ping], request: true},
	KindPong:        {name: "Pong", make: newOf[Pong]},
	KindProbe:       {name: "Probe", make: newOf[Probe], request: true},
	KindProbeReply:  {name: "ProbeReply", make: newOf[ProbeReply]},
	KindConfig:      {name: "Config", make: newOf[Config], request: true},
	KindLookup:      {name: "Lookup", make: newOf[Lookup], request: true, stranger: true},
	KindLookupReply: {name: "LookupReply", make: newOf[LookupReply]},
	KindSuspect:     {name: "Suspect", make: newOf[Suspect]},
	KindReplicate:   {name: "Replicate", make: newOf[Replicate], request: true},
	KindAck:         {name: "Ack", make: newOf[Ack]},
	KindNack:        {name: "Nack", make: newOf[Nack]},
	KindChunk:       {name: "Chunk", make: newOf[Chunk], request: true},
	KindChunkAck:    {name: "ChunkAck", make: newOf[ChunkAck]},
	KindCaughtUp:    {name: "CaughtUp", make: newOf[CaughtUp]},
	KindDrain:       {name: "Drain", make: newOf[Drain], request: true, stranger: true, operator: true},
	KindDrained:     {name: "Drained", make: newOf[Drained]},
	KindOp:          {name: "Op", make: newOf[Op], request: true},
	KindReply:       {name: "Reply", make: newOf[Reply]},
	KindExport:      {name: "Export", make: newOf[Export], request: true},
	KindExported:    {name: "Exported", make: newOf[Exported]},
	KindCall:        {name: "Call", make: newOf[Call], local: true},
	KindCancel:      {name: "Cancel", make: newOf[Cancel], local: true},
	KindResult:      {name: "Result", make: newOf[Result], local: true},
	KindPeerDown:    {name: "PeerDown", make: newOf[PeerDown], local: true},
	KindStop:        {name: "Stop", make: newOf[Stop], local: true},
	KindSynced:      {name: "Synced", make: newOf[Synced], local: true},
	KindCommitted:   {name: "Committed", make: newOf[Committed], local: true},
	KindQuorum:      {name: "Quorum", make: newOf[Quorum]},
	KindNotLeader:   {name: "NotLeader", make: newOf[NotLeader]},
	KindEnlist:      {name: "Enlist", make: newOf[Enlist], stranger: true},

	KindManagersQuery: {name: "ManagersQuery", make: newOf[ManagersQuery], request: true, stranger: true, operator: true},
	KindManagersReply: {name: "ManagersReply", make: newOf[ManagersReply]},
}

func newOf[T any, M interface {
	*T
	Message
}]() Message {
	return M(new(T))
}

// isRequest tells whether the sender of a message waits for an answer.
func isRequest(m Message) bool { return kinds[m.kind()].request }

func (k Kind) String() string {
	if int(k) < KindCount && k > 0 {
		return kinds[k].name
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// Local tells whether messages of the kind never leave their node.
func (k Kind) Local() bool { return int(k) >= KindCount || kinds[k].local }

// Message is a sealed set of pointers to the structs of message.go. A message is never
// changed once it was sent: sender and receivers may share it.
type Message interface{ kind() Kind }

// KindOf tells the type of a message.
func KindOf(m Message) Kind { return m.kind() }

func (*Register) kind() Kind    { return KindRegister }
func (*Registered) kind() Kind  { return KindRegistered }
func (*Farewell) kind() Kind    { return KindFarewell }
func (*Refused) kind() Kind     { return KindRefused }
func (*Forget) kind() Kind      { return KindForget }
func (*Forgotten) kind() Kind   { return KindForgotten }
func (*StatusQuery) kind() Kind { return KindStatusQuery }
func (*StatusReply) kind() Kind { return KindStatusReply }
func (*Ping) kind() Kind        { return KindPing }
func (*Pong) kind() Kind        { return KindPong }
func (*Probe) kind() Kind       { return KindProbe }
func (*ProbeReply) kind() Kind  { return KindProbeReply }
func (*Config) kind() Kind      { return KindConfig }
func (*Lookup) kind() Kind      { return KindLookup }
func (*LookupReply) kind() Kind { return KindLookupReply }
func (*Suspect) kind() Kind     { return KindSuspect }
func (*Replicate) kind() Kind   { return KindReplicate }
func (*Ack) kind() Kind         { return KindAck }
func (*Nack) kind() Kind        { return KindNack }
func (*Chunk) kind() Kind       { return KindChunk }
func (*ChunkAck) kind() Kind    { return KindChunkAck }
func (*CaughtUp) kind() Kind    { return KindCaughtUp }
func (*Drain) kind() Kind       { return KindDrain }
func (*Drained) kind() Kind     { return KindDrained }
func (*Op) kind() Kind          { return KindOp }
func (*Reply) kind() Kind       { return KindReply }
func (*Export) kind() Kind      { return KindExport }
func (*Exported) kind() Kind    { return KindExported }
func (*Call) kind() Kind        { return KindCall }
func (*Cancel) kind() Kind      { return KindCancel }
func (*Result) kind() Kind      { return KindResult }
func (*PeerDown) kind() Kind    { return KindPeerDown }
func (*Stop) kind() Kind        { return KindStop }
func (*Synced) kind() Kind      { return KindSynced }
func (*Committed) kind() Kind   { return KindCommitted }
func (*Quorum) kind() Kind      { return KindQuorum }
func (*NotLeader) kind() Kind   { return KindNotLeader }
func (*Enlist) kind() Kind      { return KindEnlist }

func (*ManagersQuery) kind() Kind { return KindManagersQuery }
func (*ManagersReply) kind() Kind { return KindManagersReply }
