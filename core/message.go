package core

import "time"

// Register is how a storage node presents itself to the manager, until it is
// answered, and again when it has long heard nothing.
type Register struct {
	Boot    Boot
	Secret  uint64 // of this start of the node, told to the manager alone
	Before  uint64 // the Secret that the manager last knew the node's data by; 0 if it knows none
	Durable bool   // refused when it is not the cluster's mode

	// Inherited is the Secret of an earlier start, to which the manager has not confirmed it;
	// 0 if there is none. It may be in more than one copy of the data. So with this message
	// the start only asks which of the two the manager goes by, and then registers.
	Inherited uint64

	Name    string // a label for people, at most NameBytesMax bytes
	Process uint64 // a label for people: the operating system's number for the process
	Index   Index  // the highest Directory index the node has seen
}

// Registered answers the Register of that boot; the envelope tells the cluster.
type Registered struct {
	Boot   Boot
	Secret uint64 // the Register's, or what that has inherited: it was the manager who got it
	// Managers are all managers of the cluster, where there are several; else none.
	Managers []Peer
}

// Farewell is a storage node's last word: it has stopped serving. In memory
// mode its data is gone with it.
type Farewell struct {
	Boot  Boot
	Token uint64 // of the manager's last Ping
}

// Refusal says why a message was refused.
type Refusal uint8

const (
	RefusedOtherNode    Refusal = iota + 1 // this address is now another node's
	RefusedOtherCluster                    // this node belongs to another cluster
	RefusedForgotten                       // the sender was forgotten, or said farewell: it must stop serving
	RefusedBoot                            // a start of the sender is known that its data do not come from: it must stop serving
	RefusedMode                            // memory mode in a durable cluster, or the reverse
	RefusedFull                            // the cluster lists as many nodes as it can: try again later
	RefusedRuns                            // the sender's node answers at the address that it had: this is a copy, and must stop
	refusalEnd
)

var refusalNames = [...]string{
	RefusedOtherNode: "other-node", RefusedOtherCluster: "other-cluster", RefusedForgotten: "forgotten",
	RefusedBoot: "boot", RefusedMode: "mode", RefusedFull: "full", RefusedRuns: "runs",
}

func (r Refusal) String() string { return name(refusalNames[:], int(r), "Refusal") }

// Refused answers a message that its receiver must not take in.
type Refused struct {
	Reason Refusal
	Wanted NodeID // the NodeID that the refused message was addressed to
	What   Kind   // the kind of the refused message
	Token  uint64 // of the refused Ping; or to stop a storage node, its Secret
}

// Forget is an operator's word that a node's data is gone for good.
type Forget struct {
	Req  uint64
	Node NodeID
}

// Forgotten answers the Forget with the same Req.
type Forgotten struct {
	Req    uint64
	Status Status // OK, or NotFound when no such node is registered
}

// StatusQuery asks the manager what it knows of nodes and groups, one page of
// each from the given places on, counted from 0.
type StatusQuery struct {
	Req                 uint64
	NodeFrom, GroupFrom uint32
}

// StatusReply answers the StatusQuery with the same Req.
type StatusReply struct {
	Req                   uint64
	Process               uint64 // the manager's
	Replicas              uint32 // k
	Keys                  uint64 // that exist, as the primaries said last
	Mapped                uint64 // units that have a group, also those whose keys are all deleted
	Placement             Placement
	NodeCount, GroupCount uint32
	DiskLag               time.Duration // how long the oldest command that is not durable yet has waited
	Nodes                 []NodeStatus  // in the order of registration, at most StatusPageMax
	Groups                []GroupStatus // by id, at most StatusPageMax
}

// Ping asks a storage node for a Pong. It brings a token to the node's address: a number
// that the manager drew for this node there, and tells nobody else. What comes with it is
// from whoever is at that address.
type Ping struct {
	Nonce uint64
	Index Index // the manager's durable Directory index
	Token uint64
	Boot  Boot   // the manager's
	Start uint64 // drawn for this start of the manager
	Began Index  // of the Directory when this start began
}

// GroupEpoch is a group a node is or was in, and the highest epoch of it that
// the node has made durable.
type GroupEpoch struct {
	Group GroupID
	Epoch Epoch
}

// Pong answers the Ping with the same Nonce.
type Pong struct {
	Nonce  uint64
	Token  uint64 // the Ping's
	Boot   Boot
	Index  Index // what the manager must have begun with, at least: see directorySeen
	Groups []GroupEpoch
	Join   *JoinProgress // of the join that the node serves as a primary, if any
	Serves GroupID       // the group that the node serves as its primary, or 0
	Keys   uint64        // how many keys exist in that
	Lag    time.Duration // how long the node's disk has owed it a sync; 0 when it owes none
}

// JoinProgress tells how far a primary has brought a joining node. Its numbers count up
// while the join makes progress, and start anew with a new attempt.
type JoinProgress struct {
	Group             GroupID
	Start             Epoch
	Keys, KeysTotal   uint64 // sent, and in the group; what the joining node held already counts as sent
	Bytes, BytesTotal uint64 // of the keys and values that it has, as fast as the rate allows them, and about as many as there are
}

// Probe asks a node for proof that it works: in durable mode the reply follows
// a durable write. With a target the node reports a round trip to that peer; a
// primary that waits for the target as a member of its group reports the next
// progress of that member's log instead.
type Probe struct {
	Nonce  uint64
	Target Peer // zero: the receiver itself
	Reach  bool // asks only whether the receiver is reached, not whether it works
}

// ProbeReply answers the Probe with the same Nonce.
type ProbeReply struct {
	Nonce   uint64
	Refused bool // of a probe with a target: its address refuses connections, or is another node's
}

// Config is one configuration of a group. The Config of a (group, epoch) never
// changes.
type Config struct {
	Group    GroupID
	Epoch    Epoch
	Chain    []Peer // ordered; the first is the primary; 1 to ChainMax
	Joining  Peer   // a node that is to become a member; zero for none
	Start    Epoch  // the epoch in which that join was started, which names it
	Reads    ReadMode
	Lease    time.Duration // length L of a lease, with Reads == ReadLease; else 0
	MinChain uint32        // a shorter chain takes no writes
}

// Position returns the index of a node in the chain, or -1.
func (c *Config) Position(id NodeID) int {
	for i := range c.Chain {
		if c.Chain[i].ID == id {
			return i
		}
	}
	return -1
}

// Lookup asks the manager for the group of a key, which is that of the key's unit.
type Lookup struct {
	Req    uint64
	Key    string
	Create bool // map the key's unit if it is not mapped
}

// LookupReply answers the Lookup with the same Req.
type LookupReply struct {
	Req    uint64
	Status Status // OK, NotFound, Unavailable, Overloaded, TooLarge or GroupLost
	// Placement is the cluster's, so that the client knows which other keys are in that group.
	Placement  Placement
	Config     *Config // with OK and GroupLost
	Have, Need uint32  // with Unavailable: nodes that could form a group, and how many it takes
}

// Suspect reports that a node did not answer in time (from a client or a
// primary); it counts only while group and epoch are current.
type Suspect struct {
	Group   GroupID
	Epoch   Epoch
	Node    NodeID
	Refused bool   // its address refuses connections, or is another node's
	Token   uint64 // a primary's: of the manager's last Ping
}

// Entry is one entry of a group's log. Its seq is its position.
type Entry struct {
	Epoch   Epoch // of the primary that appended it
	Kind    OpKind
	Owner   NodeID // with OpOpen and OpClose: the client whose session, or sessions, they are; else 0
	Session Seq    // the session of an operation; with OpExpire the one that expires
	OpSeq   uint64 // the operation's number in its session
	Key     string
	Value   string
	Version Seq // with OpCAS: the version expected
}

// Replicate carries log entries from the primary to a replica, and with none
// it is a heartbeat. Each asks for an Ack or a Nack of its Round.
type Replicate struct {
	Group   GroupID
	Epoch   Epoch
	Round   uint64  // rises within an epoch
	Config  *Config // until the replica has acked in this epoch; else nil
	Prev    EntryID // the entry before Entries; zero at the start of the log
	Entries []Entry
	Commit  Seq // the primary's commit point
	Trim    Seq // every member of the chain holds all up to here, durably
}

// Ack says that the replica's log matches the primary's, durably, up to
// Matched. A primary sends itself one when its own log is durable.
type Ack struct {
	Group   GroupID
	Epoch   Epoch
	Round   uint64
	Matched Seq
	// Committed is the replica's commit point, if the Replicate brought a Config; else 0. A
	// primary whose log ends before it has lost what was durable.
	Committed Seq
}

// Nack refuses a Replicate. With a Config, the reason is that this Config is of a higher
// epoch. Without one, the log does not hold Prev (the primary tries after Last), or the
// replica does not know the config of that epoch.
type Nack struct {
	Group  GroupID
	Epoch  Epoch // the replica's, 0 when it does not know the group
	Round  uint64
	Config *Config
	Last   Seq
}

// Chunk is a part of a snapshot, from the primary to a joining node. The chunks
// of an attempt come in order and are of no use without each other. A value
// that changes after it was sent is sent again; the last chunk says of which
// log position all of it together is the state. The first attempt of a tenure also asks:
// a node that holds a committed prefix takes nothing of it, and answers with that.
type Chunk struct {
	Group    GroupID
	Epoch    Epoch
	Config   *Config // until the joining node has answered in this epoch
	Start    Epoch   // names the join
	Tenure   Epoch   // with Attempt names the attempt: when the primary became one,
	Attempt  uint64  // and a count from 1
	Number   uint64  // from 0
	Items    []Item
	Sum      uint64 // checksum of all chunks of the attempt up to this one
	Last     bool
	At       EntryID         // with Last
	Sessions []SessionRecord // with Last: all of them, in the order of their ids
}

// Item is a key of a snapshot.
type Item struct {
	Key     string
	Value   string
	Version Seq // 0: the key is absent
}

// SessionRecord is a session as a snapshot holds it: its last operation and the
// result of that.
type SessionRecord struct {
	ID      Seq
	Owner   NodeID
	Last    uint64
	Status  Status // 0 when there was no operation yet
	Version Seq
	Ended   Seq // of the entry that ended it; 0 while it is open
}

// ChunkAck tells which chunk a joining node needs next; all before are durable. Or it
// answers the first attempt of a primary by what the node holds already: the primary goes on
// from there with the log, or begins a snapshot in its second attempt.
type ChunkAck struct {
	Group   GroupID
	Epoch   Epoch
	Start   Epoch
	Tenure  Epoch
	Attempt uint64
	Next    uint64
	Refused bool    // the attempt is void: a checksum was wrong, or a restart lost what it had brought
	Held    EntryID // all up to here is committed, and durable here; zero for no such answer
}

// CaughtUp asks the manager to make the joining node a member. The primary has counted
// the node as required since before it sent this.
type CaughtUp struct {
	Group GroupID
	Epoch Epoch
	Start Epoch
	Node  NodeID
	Token uint64 // of the manager's last Ping
}

// Drain asks the manager to move a node's place to a spare, so that the node can
// be stopped.
type Drain struct {
	Req  uint64
	Node NodeID
}

// Drained answers the Drain with the same Req.
type Drained struct {
	Req uint64
	// OK: the node is in no chain and will not be used again until it restarts, or
	// its data is gone already. NotFound: no such node is registered. Unavailable:
	// no spare can take its place; it stays as it is. GroupLost: it is in a group
	// of which no copy is left. Overloaded: too many drains.
	Status Status
}

// Op is one operation on one key, or with OpOpen the wish for a session, or with
// OpClose the end of all sessions of the sender. A write is named by (Session, OpSeq)
// for ever; Req only names the reply.
type Op struct {
	Group   GroupID
	Req     uint64
	Kind    OpKind
	Session Seq    // 0 for OpGet, OpOpen and OpClose
	OpSeq   uint64 // from 1, rising within the session; 0 for OpGet, OpOpen and OpClose
	Key     string
	Value   string
	Version Seq
}

// Reply answers the Op with the same Req.
type Reply struct {
	Group   GroupID
	Req     uint64
	Status  Status
	Epoch   Epoch
	Version Seq // of the value got or written; with Conflict the current one; for OpOpen and SessionEnded the session
	Value   string
	Config  *Config // with NotPrimary, when a later one is known
}

// Export asks a primary for a part of its group's state: for a backup. The first names no
// tenure. Each later one repeats what the Exported before it said, so that the primary
// goes on from there.
type Export struct {
	Group    GroupID
	Req      uint64
	Tenure   Epoch
	Cursor   uint64
	Position Seq
	Fresh    uint64 // bytes of keys and values that may be read for the first time; the last key may exceed it
}

// Exported answers the Export with the same Req. A value that changes after it was sent is
// sent again: of what several parts say about a key the last counts.
type Exported struct {
	Group    GroupID
	Req      uint64
	Status   Status // OK, NotPrimary, Unavailable or Overloaded; what follows Config comes with OK
	Epoch    Epoch
	Config   *Config // with NotPrimary, when a later one is known
	Tenure   Epoch   // in which the primary became one
	Anew     bool    // what earlier parts said is void: they are of another tenure, or too old
	Items    []Item
	Fresh    uint64 // bytes of keys and values in these that were read for the first time
	Cursor   uint64 // keys of the state that were not read yet, about
	Position Seq    // what has changed up to here is known
	Commit   Seq    // of the primary's state
	Keys     uint64 // in it
	All      bool   // all parts since Anew are the state at Position, which is Commit
}

// Call is a user's operation, from the local caller (the zero Peer) to its
// client node.
type Call struct {
	ID      uint64 // unique in the client's life, 1 to 2^63-1
	Kind    OpKind
	Key     string
	Value   string
	Version Seq
	Timeout time.Duration // from the Step that takes it in
}

// Cancel ends the Call with that ID now: its user waits no longer. The Result
// is that of a time-out.
type Cancel struct{ ID uint64 }

// Result ends the Call with the same ID; addressed to the zero Peer.
type Result struct {
	ID         uint64
	Status     Status
	Cause      Status // with Unknown and Unavailable: the last refusal, or 0 when there was no answer
	Sent       bool   // a write's Op has left, or a get's
	Version    Seq
	Value      string
	Node       NodeID // who served it
	Group      GroupID
	Epoch      Epoch
	Have, Need uint32 // as in LookupReply
	Displaced  bool   // with Unknown and Unavailable: another cluster's manager is at the manager's address
}

// PeerDown is the driver's hint that a connection broke or was refused.
type PeerDown struct {
	Peer    Peer
	Refused bool // the address refused a connection; else a connection was reset
}

// Stop asks a storage node to leave its chains, stop serving, say farewell and halt, or a client to end
// its calls and its sessions and halt.
type Stop struct{}

// Synced is a node's message to itself by way of Output.After. When it comes, all is
// durable that the node asked to make durable before it.
type Synced struct{ Nonce uint64 }

// Committed is the manager's message to itself by way of Output.After: the
// command at that index is durable and is to be applied.
type Committed struct {
	Index   Index
	Command Command
}

// Quorum carries what the consensus of one manager says to that of another. Core does not
// know what it means: see package core/quorum.
type Quorum struct{ Text string }

// NotLeader answers what only the leader among several managers can answer.
type NotLeader struct {
	Req    uint64 // of the request, if that has one
	Token  uint64 // the Secret of a Register: so its sender knows that a manager has got it
	Leader Peer   // zero while none is known
	Term   Term   // in which it leads, or of which none is known
}

// Enlist asks the leader among several managers to take the sender, which has no data, in
// place of the manager that was at its address.
type Enlist struct {
	Durable bool // refused when it is not the cluster's mode
}

// ManagersQuery is an operator's question who the managers are, for the one that leads; and
// the wish for others, if it names any to be added or removed.
type ManagersQuery struct {
	Req    uint64
	Add    []Peer // at most ManagersMax; one that is there already gets another address
	Remove []NodeID
}

// ManagersReply answers the ManagersQuery with the same Req.
type ManagersReply struct {
	Req    uint64
	Status Status // OK; or Unavailable: they were not changed, and Why says the reason
	Why    string // at most WhyBytesMax
	Term   Term   // in which the sender leads; 0 of a manager that is alone
	// Changing: a change of the managers is not over. Those who leave are still needed.
	Changing bool
	Managers []ManagerStatus
}

// ManagerStatus is a manager as the one that leads sees it.
type ManagerStatus struct {
	Peer
	Leads   bool
	Silent  bool   // its connection broke, or it has not answered for about an election time-out
	Lag     uint64 // entries of the managers' log that it is not known to hold
	Leaving bool   // amid a change: it is to be removed
}
