package schedule

import (
	"slices"
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
	Mutant string   // "NAME violates PROPERTY": the mutant that this schedule breaks, and the property violated; may be empty
	Shows  string   // the marks that a run must reach, else the verdict is "not applicable"; with blanks between them; may be empty
	Expect string   // the verdict expected: "holds" (also when empty), "violates PROPERTY" or "not applicable"

	Recorded *Recording // of the run that made the schedule worth saving; nil for none

	Shape    Shape
	Unhealed []string // storage nodes that the end of the faults does not mend, unless a group needs them
	Actions  []Action // in the order of At; equal times keep this order
	Deviate  []Deviation
}

// Broken returns the two parts of Mutant: the mutant of the core that the schedule
// breaks, and the property that this mutant violates. Both are "" when it names none.
func (s *Schedule) Broken() (mutant, property string) {
	mutant, property, ok := strings.Cut(s.Mutant, " violates ")
	if !ok || strings.ContainsAny(mutant, blanks) {
		return "", ""
	}
	return mutant, property
}

// Leases tells whether some group may get leases.
func (s *Schedule) Leases() bool {
	leased := func(a Action) bool { return a.Terms.Reads == core.ReadLease }
	return s.Shape.Reads == core.ReadLease || slices.ContainsFunc(s.Actions, leased)
}

// Shape is the cluster and its options.
type Shape struct {
	Managers  int // 1 for the host m, or 2 to ManagersMax for m1..mN
	Nodes     int // storage nodes n1..nN, 1 to NodesMax
	Replicas  int // k, 0 to 3
	Clients   int // clients c1..cM, 1 to ClientsMax
	Width     int // operations each client may have under way at once, from 1
	Durable   bool
	Reads     core.ReadMode
	MinChain  int
	Placement core.Placement
	Halt      bool // --on-group-loss halt; else continue
	Lossless  bool // no more copies are destroyed at a time than a group can spare, so that none may be lost
	LogKeep   int  // entries of a log that are kept at least, from 1
	Commands  int  // commands that a durable manager keeps before its records take them in, from 1
	Sessions  int  // open sessions of a group, from 1
	Chunk     int  // keys in one chunk of a snapshot, from 1
	Limits    Limits

	Quarantine time.Duration // the first of a node that left a chain; each doubles, up to ten times this

	Seed uint64

	LatencyMin, LatencyMax time.Duration // of a message; equal without jitter
	Connect                int           // round trips that setting up a connection takes before its first message leaves
	SyncLatency            time.Duration // of a disk sync, in durable mode
	OpTimeout              time.Duration // of each operation
	Batch                  int           // messages due together on one host that share an Output, from 1
	Clocks                 []Clock       // by host; those not named run true
}

// Limits are the bounds of what a storage node takes in, and of the time that it gives.
type Limits struct {
	Pending     int           // writes that a primary has under way, from 2, as a session that opens may end another
	Reads       int           // gets that wait for a round, from 1
	Parked      int           // requests that wait for a primary to reconcile, or behind a joining node, from 1
	JoinRate    int           // bytes a second to a joining node
	SessionTTL  time.Duration // after which an idle session ends
	SessionIdle time.Duration // after which a client uses an idle session no more
}

// Clock makes a host's clock differ from virtual time:
// local = Offset + virtual + virtual·PPM/1,000,000.
type Clock struct {
	Host   string
	Offset time.Duration
	PPM    int64
}

// Bounds of a schedule's hosts. The checks look at every host again and again, so a cluster
// of more than some dozen nodes is better run without them.
const (
	NodesMax    = 4000
	ManagersMax = 5
	ClientsMax  = 16
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

	Terms core.Terms // what is 0 stays as it is
}

// Want says how a call must end, as in "at 1s c1 get a -> ok v1". It shows failures
// that break no invariant, such as the needless loss of a group. The zero Want
// leaves it open.
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
	FateCount   // one more than the highest, for tables
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
