package core

import (
	"fmt"
	"math"
	"time"
)

// Time is a point on the driver's monotonic clock, in nanoseconds from an
// origin of the driver's choosing. It is never persisted and never sent.
type Time int64

// Never is the Time no clock reaches.
const Never Time = math.MaxInt64

// longAgo is before any time a driver passes in, and far enough from both ends
// that differences to it do not overflow.
const longAgo Time = math.MinInt64 / 2

// After returns the time d later than t, saturating at Never.
func (t Time) After(d time.Duration) Time {
	if t > 0 && d >= time.Duration(Never-t) {
		return Never
	}
	return t + Time(d)
}

// Since returns how long before t the time u was; negative when u is later.
func (t Time) Since(u Time) time.Duration { return time.Duration(t - u) }

type (
	// NodeID names one incarnation of a node's data. It is drawn at random when
	// the data is created, so a node that lost its data is another node. Zero
	// means none.
	NodeID uint64
	// ClusterID names a cluster; drawn at random when its Directory is created.
	// Zero means not known yet.
	ClusterID uint64
	// GroupID names a storage group, counted from 1.
	GroupID uint64
	// Epoch is a group's configuration number, counted from 1.
	Epoch uint64
	// Seq is a position in a group's log, counted from 1. It is also the version
	// of a value (the seq of the entry that wrote it) and the id of a session
	// (the seq of the entry that opened it). Zero means none: absent, not open.
	Seq uint64
	// Boot counts the starts of a node's data, from 1.
	Boot uint64
	// Index counts the commands applied to the Directory.
	Index uint64
	// Term numbers the times in office of the leaders among several managers. A term has
	// one leader at most.
	Term uint64
)

func (id NodeID) String() string    { return fmt.Sprintf("%016x", uint64(id)) }
func (id ClusterID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Peer is a node and where to reach it. The core dials nobody: of Addr it knows no more than
// SplitAddr does.
type Peer struct {
	ID   NodeID
	Addr string
}

// EntryID names an entry of a log: its position, and the epoch of the primary that
// appended it. No two entries of a group have the same.
type EntryID struct {
	Epoch Epoch
	Seq   Seq
}

// Limits that every role enforces and the wire codec refuses to exceed.
const (
	KeyBytesMax   = 1 << 10 // a key has 1 to KeyBytesMax bytes, of any value
	ValueBytesMax = 1 << 20 // a value has 0 to ValueBytesMax bytes
	NameBytesMax  = 64      // a storage node's label
	AddrBytesMax  = 256     // a peer's address
	ReplicasMax   = 15      // replicas of a group (k)
	ChainMax      = 32      // members of a chain: above k+1 while nodes are being drained
	ManagersMax   = 32      // managers of a cluster that a message names
	WhyBytesMax   = 1 << 9  // the reason in a ManagersReply
	GroupsMax     = 1 << 12 // groups of a cluster, all of which one storage node may remember
	StatusPageMax = 1 << 8  // nodes, and groups, in one StatusReply

	SessionsMax   = 1 << 14 // sessions of a group, open or ended, and so in the last chunk of a snapshot
	ChunkItemsMax = 1 << 12 // keys in one Chunk
	ChunkBytesMax = 1 << 14 // key and value bytes in one Chunk; one key may exceed it alone

	BatchEntriesMax = 256           // entries in one Replicate
	BatchBytesMax   = ValueBytesMax // key and value bytes in one Replicate; one entry may exceed it alone
)

// OpKind says what an operation does.
type OpKind uint8

const (
	OpGet OpKind = iota + 1
	OpPut
	OpDelete
	OpCAS    // compare-and-swap: put if the current version equals Version; version 0 means absent
	OpOpen   // open a session: a log entry only, never a user's operation
	OpExpire // expire a session: a log entry only, never a user's operation
	OpClose  // end all sessions of a client that closes: a log entry only, never a user's operation
	opKindEnd
)

var opKindNames = [...]string{OpGet: "get", OpPut: "put", OpDelete: "delete", OpCAS: "cas", OpOpen: "open", OpExpire: "expire", OpClose: "close"}

// hasKey tells whether an operation acts on a key.
func (k OpKind) hasKey() bool { return k <= OpCAS }

func (k OpKind) String() string { return name(opKindNames[:], int(k), "OpKind") }

// Status is the outcome of a request, as a reply or a result carries it.
type Status uint8

const (
	StatusOK             Status = iota + 1
	StatusNotFound              // the key is absent
	StatusConflict              // compare-and-swap: the current version is another one
	StatusNotPrimary            // ask elsewhere: see the config that came along, if any
	StatusUnavailable           // cannot be served now; nothing was done
	StatusOverloaded            // a limit of the node was reached; nothing was done
	StatusTooLarge              // key or value outside the limits; nothing was done
	StatusSessionExpired        // the session is not the sender's, or nothing is known of it any more
	StatusGroupLost             // no copy of the group is left
	StatusUnknown               // a write may or may not have happened
	StatusSessionEnded          // the session had ended; this write was not executed in it and never will be
	statusEnd
)

var statusNames = [...]string{
	StatusOK: "ok", StatusNotFound: "not-found", StatusConflict: "conflict", StatusNotPrimary: "not-primary",
	StatusUnavailable: "unavailable", StatusOverloaded: "overloaded", StatusTooLarge: "too-large",
	StatusSessionExpired: "session-expired", StatusGroupLost: "group-lost", StatusUnknown: "unknown",
	StatusSessionEnded: "session-ended",
}

func (s Status) String() string { return name(statusNames[:], int(s), "Status") }

// ReadMode says how a primary makes sure that it still is one before a get.
type ReadMode uint8

const (
	ReadConfirm ReadMode = iota + 1 // a round to every required member (rule R8)
	ReadLease                       // alone, while every required member's lease lives (rule R9)
	readModeEnd
)

var readModeNames = [...]string{ReadConfirm: "confirm", ReadLease: "lease"}

func (m ReadMode) String() string { return name(readModeNames[:], int(m), "ReadMode") }

func name(names []string, i int, kind string) string {
	if i < len(names) && names[i] != "" {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}
