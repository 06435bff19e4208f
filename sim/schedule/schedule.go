package schedule

import (
	"strings"
	"time"

	"gtstore/core"
)

// A Schedule says everything that happens to a cluster from outside. It is
// pure data: a run of it always does the same. Its text form (Parse, String)
// is what traces/ holds.
type Schedule struct {
	Story  []string // the heading: what it shows, in sentences, one string a line
	Rule   string   // the rule it guards, e.g. "R7"; may be empty
	Mutant string   // "NAME violates PROPERTY": the core without a rule that this breaks, and how; may be empty
	Shows  string   // the marks that it must reach to show what it says, with blanks between them; may be empty
	Expect string   // the verdict expected: "holds" (also when empty), "violates PROPERTY" or "not applicable"

	Recorded *Recording // of the run for which it was saved; nil for none

	Shape    Shape
	Unhealed []string // storage nodes that stay as broken as they are when the faults end, unless a group needs them
	Actions  []Action // in the order of At; equal times keep this order
	Deviate  []Deviation
}

// Broken returns the mutant of the core that the schedule breaks, and the
// property that it then violates; "" when it names none.
func (s *Schedule) Broken() (mutant, property string) {
	mutant, property, ok := strings.Cut(s.Mutant, " violates ")
	if !ok || strings.ContainsAny(mutant, blanks) {
		return "", ""
	}
	return mutant, property
}

// Shape is the cluster and its options.
type Shape struct {
	Nodes    int // storage nodes n1..nN, 1 to HostsMax
	Replicas int // k, 0 to 3
	Clients  int // clients c1..cM, 1 to HostsMax
	Width    int // operations each client may have under way at once, from 1
	Durable  bool
	Reads    core.ReadMode
	MinChain int
	Halt     bool // --on-group-loss halt; else continue
	LogKeep  int  // entries of a log that are kept at least, from 1
	Chunk    int  // keys in one chunk of a snapshot, from 1

	Quarantine time.Duration // of a node that left a chain; later ones up to ten times that

	Seed uint64

	LatencyMin, LatencyMax time.Duration // of a message; equal without jitter
	Connect                int           // round trips that setting up a connection takes before its first message leaves
	SyncLatency            time.Duration // of a disk sync, in durable mode
	OpTimeout              time.Duration // of each operation
	Batch                  int           // messages due together on one host that share an Output, from 1
	Clocks                 []Clock       // by host; those not named run true
}

// Clock makes a host's clock differ from virtual time:
// local = Offset + virtual + virtual·PPM/1,000,000.
type Clock struct {
	Host   string
	Offset time.Duration
	PPM    int64
}

// HostsMax bounds the storage nodes, and the clients, of a schedule.
const HostsMax = 16

// Verb says what an Action does.
type Verb uint8

const (
	VerbPut        Verb = iota + 1 // Host (a client), Key, Value
	VerbGet                        // Host, Key
	VerbDelete                     // Host, Key
	VerbCAS                        // Host, Key, Value, Version: "last" (what the client last saw of the key) or a number
	VerbCrash                      // Host, Keep, Torn: its process dies; of its unsynced batches the first Keep survive, and Torn bytes of the next
	VerbRestart                    // Host: start it again; in memory mode as a new node. Without effect when up
	VerbWipe                       // Host: crash it and empty its disk
	VerbPause                      // Host: its process stalls, its clock goes on
	VerbResume                     // Host
	VerbPartition                  // Groups: hosts in different groups cannot reach each other; a host in none reaches all
	VerbCut                        // Link: no message passes this way
	VerbHeal                       // all cuts, partitions, clogs and flaky links end
	VerbClog                       // Link: messages are held back on this way
	VerbUnclog                     // Link: what was held back, and what follows, arrives
	VerbFlaky                      // Link (empty hosts: every link), Drop, Duplicate, Delay, Corrupt in permille, DelayMax
	VerbReset                      // Link: connections between the two hosts break; both are told
	VerbStall                      // Link, Latency: nothing leaves this way for so long; then all of it, late and in order
	VerbLossy                      // Link (empty hosts: every link), Rate in permille: packets are lost, and sent again after a time-out, in order
	VerbMute                       // Link: what is sent this way on the present connection vanishes, until another one is made
	VerbBandwidth                  // Host, Rate: so many bytes a second leave it, over all its links; 0: as many as it likes
	VerbSlowDisk                   // Host, Latency: its syncs take this long from now on
	VerbStallDisk                  // Host, Latency: no sync of it ends for so long; then all go on
	VerbFailSync                   // Host, Keep, Torn: its next sync fails, which ends its process; what survives is as at a crash
	VerbFullDisk                   // Host: it can write nothing, which ends its process at the next write, until FreeDisk
	VerbFreeDisk                   // Host
	VerbRot                        // Host, Record: a bit of that durable record flips
	VerbMisdirect                  // Host, Record: in the place of that durable record another one is read from now on
	VerbUnreadable                 // Host, Record: that durable record can be read no more
	VerbSlow                       // Host, Latency: whatever it does begins so much later from now on
	VerbBusy                       // Host, Latency: each message that it takes in costs it so much time from now on
	VerbStop                       // Host: the storage node is asked to stop (farewell)
	VerbForget                     // Host: an operator says that the data the host has now is gone
	VerbDrain                      // Host: an operator asks for the storage node's place to be moved to a spare
	VerbMove                       // Host, Target: the node's process ends, and its data comes to another host, which is down and loses its own
	VerbCount
)

// Action is one thing that happens at a time.
type Action struct {
	At   time.Duration
	Verb Verb
	Host string
	Link Link

	Target     string // host
	Rate       int
	Key, Value string
	Size       int // bytes of the value, which is then padded; 0 for as it stands
	Version    string
	Want       Want // of a client's call

	Keep    int
	Torn    int // bytes
	Record  int // counted from 0 in the order of keys, and from the first again after the last
	Groups  [][]string
	Latency time.Duration

	Drop, Duplicate, Delay, Corrupt int // permille
	DelayMax                        time.Duration
}

// Want says how a call must end: "at 1s c1 get a -> ok v1". It is for failures
// that break no invariant, such as a group that is lost without need. The zero
// Want leaves it open.
type Want struct {
	Status core.Status
	Value  string // of a get that ends with ok; "" for any
}

// Link is the way from one host to another.
type Link struct{ From, To string }

// Fate is what a Deviation does to one message.
type Fate uint8

const (
	FateDrop Fate = iota + 1
	FateDuplicate
	FateDelay   // By
	FateCorrupt // a bit of its frame flips; the receiver must notice
	FateCount
)

// Deviation changes the fate of one message, named by link, kind and ordinal:
// "drop n1>n2 Replicate#3" drops the third Replicate from n1 to n2.
type Deviation struct {
	Fate    Fate
	Link    Link
	Kind    core.Kind
	Ordinal int // from 1
	By      time.Duration
}

// Operation is the kind of operation that a verb calls, 0 for none.
func (v Verb) Operation() core.OpKind {
	switch v {
	case VerbPut:
		return core.OpPut
	case VerbGet:
		return core.OpGet
	case VerbDelete:
		return core.OpDelete
	case VerbCAS:
		return core.OpCAS
	}
	return 0
}
