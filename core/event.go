package core

// EventKind names what happened.
type EventKind uint8

const (
	// Storage.
	EventAdopted      EventKind = iota + 1 // Group, Epoch: a higher config was taken over
	EventServing                           // Group, Epoch, Seq: the primary has reconciled up to Seq and serves
	EventDeposed                           // Group, Epoch: a primary adopted a config with another primary
	EventTruncated                         // Group, Epoch, Seq: a suffix from Seq on was cut off: it conflicts, or a joining node does not know it to be committed
	EventCommitted                         // Group, Epoch, Seq: the commit point moved up to Seq
	EventApplied                           // Group, Seq, Session, OpSeq, Status; Effect: the entry changed a value
	EventRetried                           // Group, Session, OpSeq: a retry came in; Status: its stored result, 0 while it is pending
	EventParked                            // Group: a request waits for the primary to reconcile, or for the joining node
	EventRead                              // Group, Epoch, Seq: a get was served at commit point Seq; Effect: by lease alone
	EventRefused                           // Node: a message from Node was refused
	EventDropped                           // Node: a message from Node made no sense here and was dropped
	EventTrimmed                           // Group, Epoch, Seq: the log up to Seq was forgotten
	EventDiscarded                         // Group, Epoch, Seq: what was held of the group, up to Seq, was given up
	EventInstalled                         // Group, Epoch, Seq: a joining node has all of a snapshot, of Seq
	EventCaughtUp                          // Group, Epoch, Seq: the joining node holds all that is committed, and the manager is asked to make it a member
	EventChunkRefused                      // Group, Epoch, Seq: the checksum of chunk number Seq was wrong
	EventSqueezed                          // Group, Epoch: writes are held back, since the joining node does not catch up
	EventKept                              // Group, Epoch, Seq: a joining node keeps what it holds up to Seq, in case that the log goes on from there
	EventResumed                           // Group, Epoch, Seq: the joining node holds all up to Seq, and gets the log from there and no snapshot
	EventFenced                            // Group, Epoch, Node: a message of Node in an earlier epoch was answered with the config
	EventResigns                           // Group, Epoch: the manager was asked to have the group go on without this node
	// Storage and client.
	EventSuspected // Group, Epoch, Node: Node was reported to the manager
	// Manager.
	EventRegistered    // Node: a node, or a new boot of one, is in the Directory
	EventFormed        // Group: a group was formed
	EventMapped        // Group: a unit was mapped to it
	EventReconfigured  // Group, Epoch: the group's config changed
	EventEvicted       // Group, Epoch, Node, Cause: this epoch is the first without Node
	EventProbing       // Group, Epoch, Node, Effect (its primary has reported it): Node is accused and the chain is probed
	EventCleared       // Group, Epoch, Node, Effect (what its primary waits for has moved): nobody is removed
	EventGone          // Node: its data is certainly gone
	EventLost          // Group, Epoch: no copy is left; Effect: certainly
	EventWithdrawn     // Group, Epoch: a member of a group presumed lost answered
	EventJoining       // Group, Epoch, Node: Node was told to join
	EventJoinEnded     // Group, Epoch, Node: its join was cancelled
	EventJoined        // Group, Epoch, Node: it is a member
	EventQuarantined   // Node: it is not to be used for a while
	EventAhead         // Node: it says that it has seen more of the Directory than there is
	EventPaused        // the manager noticed that it had stalled: that time does not count
	EventRetired       // Node, silent for long and in no chain, is off the manager's list
	EventLacks         // Group, Epoch, Seq: the primary's log ends before Seq, which a member knows to be committed
	EventNotTaken      // the manager, Node, has no room for another node: this one asks again
	EventCopied        // Node: a start was refused, since the node runs: that is on a copy of its data
	EventTerms         // Group, Epoch: the group got the terms that the manager was started with
	EventDiskLate      // a command of the manager has waited for its sync for DiskLate
	EventDiskInTime    // none does any more
	EventLeads         // Seq: the manager, one of several, leads in term Seq
	EventFollows       // Seq: and no more
	EventWaits         // Node: this manager is empty, while Node is one of a cluster that exists: it waits to be taken in
	EventListsDiffer   // Node, Text (how): this manager was started with other managers, or in another mode, than Node
	EventFounded       // this manager has founded a cluster, with those that it was told of
	EventAwaits        // Text (who, and why): this manager waits for others, to be of a cluster that somebody leads
	EventTooFew        // Text (who is missing): too few managers are there for one to lead
	EventDirectoryGone // Text (who is missing): so many have lost their data that none ever can
	EventRemoved       // Node (who says so, 0 for this one): this manager is none of its cluster any more
	EventCopyRuns      // Text (the address): a manager with this one's identity is heard there: this is on a copy of its data
	EventYields        // Node: no node has answered this leader for long, and it has that manager lead, whom nodes ask
	eventKindEnd
)

// EventKindCount is one more than the highest EventKind, for tables.
const EventKindCount = int(eventKindEnd)

var eventKindNames = [...]string{
	EventAdopted: "adopted", EventServing: "serving", EventDeposed: "deposed", EventTruncated: "truncated",
	EventCommitted: "committed", EventApplied: "applied", EventRetried: "retried", EventParked: "parked",
	EventRead: "read", EventRefused: "refused", EventDropped: "dropped", EventSuspected: "suspected",
	EventRegistered: "registered", EventFormed: "formed", EventMapped: "mapped", EventReconfigured: "reconfigured",
	EventProbing: "probing", EventCleared: "cleared", EventGone: "gone", EventLost: "lost",
	EventWithdrawn: "withdrawn", EventAhead: "ahead", EventPaused: "paused", EventRetired: "retired", EventTerms: "terms", EventDiskLate: "disk-late", EventDiskInTime: "disk-in-time", EventNotTaken: "not-taken", EventLacks: "lacks", EventCopied: "copied",
	EventTrimmed: "trimmed", EventDiscarded: "discarded", EventInstalled: "installed", EventCaughtUp: "caught-up", EventChunkRefused: "chunk-refused", EventSqueezed: "squeezed",
	EventKept: "kept", EventResumed: "resumed", EventFenced: "fenced", EventResigns: "resigns", EventEvicted: "evicted",
	EventLeads: "leads", EventFollows: "follows", EventWaits: "waits", EventListsDiffer: "lists-differ", EventFounded: "founded",
	EventAwaits: "awaits", EventTooFew: "too-few", EventDirectoryGone: "directory-gone", EventRemoved: "removed", EventCopyRuns: "copy-runs", EventYields: "yields",
	EventJoining: "joining", EventJoinEnded: "join-ended", EventJoined: "joined", EventQuarantined: "quarantined",
}

func (k EventKind) String() string { return name(eventKindNames[:], int(k), "EventKind") }

// Event is something that happened in a Step or a Tick. Which fields are set
// is said at its kind.
type Event struct {
	Kind    EventKind
	Status  Status
	Effect  bool
	Group   GroupID
	Epoch   Epoch
	Seq     Seq
	Node    NodeID
	Session Seq
	OpSeq   uint64
	Cause   Cause
	Text    string // for people
}

// Cause is why a member was removed from its chain.
type Cause uint8

const (
	CauseEnded    Cause = iota + 1 // its address refuses connections, or is another node's
	CauseSilent                    // it did not answer
	CauseDispute                   // it answers, but it and another member do not reach each other
	CauseResigned                  // it said that it cannot go on, or that it is about to stop
	CauseGone                      // its data is certainly gone
	CauseDrained                   // an operator wanted it, and a spare has its place
	causeEnd
)

// CauseCount is one more than the highest Cause, for tables.
const CauseCount = int(causeEnd)

var causeNames = [...]string{CauseEnded: "ended", CauseSilent: "silent", CauseDispute: "dispute", CauseResigned: "resigned", CauseGone: "gone", CauseDrained: "drained"}

func (c Cause) String() string { return name(causeNames[:], int(c), "Cause") }
