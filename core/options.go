package core

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Why a node halts, as Output.Halt wraps it.
var (
	ErrStopped      = errors.New("stopped as asked")
	ErrForgotten    = errors.New("this node was forgotten")
	ErrOtherManager = errors.New("the nodes know a start of this manager that its data do not come from")
	ErrBoot         = errors.New("the manager knows a start of this node that its data do not come from")
	ErrRuns         = errors.New("this node runs at the address that it had")
	ErrOtherCluster = errors.New("the manager is of another cluster than this node's data")
	ErrMode         = errors.New("memory and durable mode do not mix in a cluster")
	ErrPlacement    = errors.New("the placement of a cluster never changes")
	ErrManagers     = errors.New("the data of a manager that is alone and of one of several do not mix")
	ErrAmnesia      = errors.New("the manager has lost a part of its Directory")
	ErrGroupLost    = errors.New("fatal: no copy of a group is left")
)

// ErrDamaged is why a node does not start: its durable records are not as it wrote them.
var ErrDamaged = errors.New("the durable records are damaged")

// Bounds of what a person chooses for a manager. Replicas, MinChain and Spares have
// theirs from what a cluster can hold.
const (
	PingIntervalMin, PingIntervalMax = time.Millisecond, 10 * time.Second
	MissesMin, MissesMax             = 1, 100 // of ManagerOptions.MissesMax
	LostAfterMin, LostAfterMax       = 10 * time.Millisecond, 24 * time.Hour
	LeaseMin, LeaseMax               = time.Millisecond, time.Minute
	SparesMax                        = nodesMax
)

// StorageOptions configure a storage node. Zero values of the later fields
// take the defaults of DefaultStorageOptions.
type StorageOptions struct {
	Self    Peer // ID is used only when the space is empty, else the data's own
	Manager Peer // ID may be 0: learnt when registered
	// Managers are several, in place of Manager; their IDs may be 0. The node follows
	// whichever of them leads, and learns of others from that.
	Managers []Peer
	Name     string
	Process  uint64 // the operating system's number for the process, a label for people
	Secret   uint64 // to be drawn at random at each start
	Durable  bool

	RegisterInterval  time.Duration // between Registers until answered
	SilenceMax        time.Duration // without a word from the manager before registering again
	HeartbeatInterval time.Duration // between a primary's words to a replica
	ResendInterval    time.Duration // before an unanswered Replicate goes out again; doubles up to 8 times that
	// AckTimeout is the least that a primary waits for a sign of progress before it
	// reports a replica; 500 ms by default in durable mode. It waits longer where
	// round trips are long, or many bytes under way, and up to progressMax.
	AckTimeout time.Duration
	DriftPPM   int64 // bound of the clocks' drift that leases allow for

	PendingMax      int  // uncommitted entries a primary holds, from 2: to open a session may take as many
	PendingBytesMax int  // and their key and value bytes
	ReadsMax        int  // gets that wait for a round
	ParkedMax       int  // requests that wait for a reconciling primary, or for a joining node to catch up
	SessionsMax     int  // open sessions of a group
	SessionsShared  bool // of these the clients of one name have no more than half: see NameBits
	SessionTTL      time.Duration
	LogKeep         int // entries of a group's log that are kept at least, 32,768 by default in durable mode; twice as many before it is trimmed
	ChunkItems      int // keys in one chunk of a snapshot, or part for a backup, at most ChunkItemsMax
	LogKeepBytes    int // of keys and values in these at most, 32 MiB by default in durable mode; a log of twice as many is trimmed
	JoinLagMax      int // entries kept for a joining node, 131,072 by default in durable mode; one further behind gets a new snapshot
	JoinLagBytes    int // likewise, of keys and values in the log
	JoinRate        int // bytes of keys and values a second in the snapshot for a joining node; 16 times as many while no client asks for anything
}

// DefaultStorageOptions are those of a cluster on one site's network.
func DefaultStorageOptions() StorageOptions {
	return StorageOptions{
		RegisterInterval: 100 * time.Millisecond, SilenceMax: time.Second,
		HeartbeatInterval: 50 * time.Millisecond, ResendInterval: 40 * time.Millisecond,
		AckTimeout: 300 * time.Millisecond, DriftPPM: 1000,
		PendingMax: 1024, PendingBytesMax: 16 << 20, ReadsMax: 4096, ParkedMax: 1024,
		SessionsMax: 4096, SessionTTL: 10 * time.Minute, LogKeep: 1024, LogKeepBytes: 16 << 20, ChunkItems: ChunkItemsMax, JoinLagMax: 1 << 16, JoinLagBytes: 256 << 20, JoinRate: 22 << 20,
	}
}

// In durable mode the log reaches back over a restart of some seconds: this is what 5,000
// puts a second of 1 KiB each write in six seconds.
const (
	logKeepDurable      = 1 << 15
	logKeepBytesDurable = 32 << 20
)

func (o *StorageOptions) complete() error {
	d := DefaultStorageOptions()
	o.RegisterInterval = cmp.Or(o.RegisterInterval, d.RegisterInterval)
	o.SilenceMax = cmp.Or(o.SilenceMax, d.SilenceMax)
	o.HeartbeatInterval = cmp.Or(o.HeartbeatInterval, d.HeartbeatInterval)
	o.ResendInterval = cmp.Or(o.ResendInterval, d.ResendInterval)
	if o.Durable {
		o.AckTimeout = cmp.Or(o.AckTimeout, 500*time.Millisecond) // an ack follows a sync
		// A node that restarts comes back with what it held: see group.resume.
		o.LogKeep, o.LogKeepBytes = cmp.Or(o.LogKeep, logKeepDurable), cmp.Or(o.LogKeepBytes, logKeepBytesDurable)
		o.JoinLagMax = cmp.Or(o.JoinLagMax, 4*logKeepDurable)
	}
	o.AckTimeout = cmp.Or(o.AckTimeout, d.AckTimeout)
	o.DriftPPM = cmp.Or(o.DriftPPM, d.DriftPPM)
	o.PendingMax = cmp.Or(o.PendingMax, d.PendingMax)
	o.PendingBytesMax = cmp.Or(o.PendingBytesMax, d.PendingBytesMax)
	o.ReadsMax = cmp.Or(o.ReadsMax, d.ReadsMax)
	o.ParkedMax = cmp.Or(o.ParkedMax, d.ParkedMax)
	o.SessionsMax = cmp.Or(o.SessionsMax, d.SessionsMax)
	o.SessionTTL = cmp.Or(o.SessionTTL, d.SessionTTL)
	o.LogKeep = cmp.Or(o.LogKeep, d.LogKeep)
	o.ChunkItems = cmp.Or(o.ChunkItems, d.ChunkItems)
	o.LogKeepBytes = cmp.Or(o.LogKeepBytes, d.LogKeepBytes)
	o.JoinLagMax = cmp.Or(o.JoinLagMax, d.JoinLagMax)
	o.JoinLagBytes = cmp.Or(o.JoinLagBytes, d.JoinLagBytes)
	o.JoinRate = cmp.Or(o.JoinRate, d.JoinRate)
	switch {
	case o.Self.ID == 0:
		return errors.New("core: StorageOptions.Self.ID is 0: draw one at random")
	case len(o.Managers) > ManagersMax:
		return fmt.Errorf("core: %d managers, at most %d", len(o.Managers), ManagersMax)
	case len(o.Name) > NameBytesMax:
		return fmt.Errorf("core: name of %d bytes, at most %d", len(o.Name), NameBytesMax)
	case len(o.Self.Addr) > AddrBytesMax:
		return fmt.Errorf("core: address of %d bytes, at most %d", len(o.Self.Addr), AddrBytesMax)
	case o.DriftPPM < 0 || o.DriftPPM > 100_000:
		return fmt.Errorf("core: drift bound of %d ppm, want 0 to 100000", o.DriftPPM)
	case o.SessionsMax < 1 || o.SessionsMax > SessionsMax/2:
		return fmt.Errorf("core: %d sessions of a group, want 1 to %d", o.SessionsMax, SessionsMax/2)
	case o.ChunkItems < 1 || o.ChunkItems > ChunkItemsMax:
		return fmt.Errorf("core: %d keys in a chunk, want 1 to %d", o.ChunkItems, ChunkItemsMax)
	case o.JoinRate < 1<<10 || o.JoinRate > 1<<40:
		return fmt.Errorf("core: a rate of %d bytes a second for a snapshot, want 1024 to %d", o.JoinRate, 1<<40)
	case o.LogKeep < 1 || o.JoinLagMax < 1:
		return fmt.Errorf("core: log bounds of %d and %d entries, want at least 1", o.LogKeep, o.JoinLagMax)
	case o.LogKeepBytes < 1 || o.JoinLagBytes < 2*o.LogKeepBytes:
		return fmt.Errorf("core: log bounds of %d and, for a joining node, %d bytes, want at least 1 and twice as many", o.LogKeepBytes, o.JoinLagBytes)
	case o.PendingMax < 2 || o.PendingBytesMax < KeyBytesMax+ValueBytesMax:
		return fmt.Errorf("core: pending limits %d entries and %d bytes cannot hold one write, or the two entries that opening a session may take", o.PendingMax, o.PendingBytesMax)
	}
	return positive(span{"RegisterInterval", o.RegisterInterval}, span{"SilenceMax", o.SilenceMax}, span{"HeartbeatInterval", o.HeartbeatInterval},
		span{"ResendInterval", o.ResendInterval}, span{"AckTimeout", o.AckTimeout}, span{"SessionTTL", o.SessionTTL})
}

// ManagerOptions configure a manager. Zero values of the later fields take the
// defaults of DefaultManagerOptions.
type ManagerOptions struct {
	Self    Peer      // ID is used only when the space is empty, else the Directory's own
	Cluster ClusterID // likewise
	Process uint64    // as in StorageOptions
	Durable bool
	Seed    [32]byte // of the tokens by which the manager knows its nodes: drawn at random for each start

	// Consensus makes the consensus of one of several managers, over what it made durable
	// before; see package core/quorum. Nil for a manager that is alone. It has the Self that
	// the data say. With it Cluster may be 0, for a manager that is to join others.
	Consensus func(m Machine, self Peer, space Space) (Consensus, error)

	Replicas   int       // k, 0 to ReplicasMax: a group has k+1 members
	MinChain   int       // from 1 (the default) to k+1: a shorter chain takes no writes
	Placement  Placement // of a new cluster, PlacementKey if 0; else 0, or what the Directory says
	Reads      ReadMode
	Lease      time.Duration // with ReadLease
	HaltOnLoss bool          // a lost group ends the manager; else the other groups go on

	PingInterval time.Duration // between two pings of a node; longer where there would be more than 20,000 pings a second
	MissesMax    int           // pings missed in a row before a node is probed
	// ProbeTimeout is the least time that a node which answers pings has to reply to a
	// probe; 800 ms by default in durable mode. It has longer where round trips are
	// long. A node whose disk lags by more than ProbeTimeout is probed.
	ProbeTimeout time.Duration
	LostAfter    time.Duration // of refused connections before a node is presumed lost; ten times that of silence
	DrainTime    time.Duration // between a loss that is certain and the manager's halt; LostAfter more if it is presumed
	WaitersMax   int           // lookups that wait for a command
	CommandsKeep int           // applied commands, from 1, that a durable manager keeps before its records take them in

	Spares        int           // uninitialised nodes that new groups leave for healing
	JoinTimeout   time.Duration // without progress before a join is cancelled and another spare tried
	QuarantineMin time.Duration // before a node that left a chain is used again; doubles each time,
	QuarantineMax time.Duration // up to this
}

// DefaultManagerOptions are those of a cluster on one site's network.
func DefaultManagerOptions() ManagerOptions {
	return ManagerOptions{
		Replicas: 2, MinChain: 1, Reads: ReadConfirm, Lease: 100 * time.Millisecond, HaltOnLoss: true,
		PingInterval: 50 * time.Millisecond, MissesMax: 3, ProbeTimeout: 200 * time.Millisecond,
		LostAfter: 2 * time.Second, DrainTime: time.Second, WaitersMax: 1 << 14, CommandsKeep: 256,
		JoinTimeout: 5 * time.Second, QuarantineMin: time.Second, QuarantineMax: time.Minute,
	}
}

// Validate tells which option is out of bounds, or does not go with another one. Self
// and Cluster may still be missing.
func (o ManagerOptions) Validate() error {
	o.Self.ID, o.Cluster = max(o.Self.ID, 1), max(o.Cluster, 1)
	return o.complete()
}

// silenceLeast is the least LostAfter with which a node that answers every ping is never
// taken for lost. Silence counts as a loss after ten times LostAfter (see lossOf), and
// evidence is fresh for twice the pings that may be missed (see evidenceGap).
func (o *ManagerOptions) silenceLeast() time.Duration {
	return 2 * time.Duration(o.MissesMax+1) * o.PingInterval / 10
}

func (o *ManagerOptions) complete() error {
	d := DefaultManagerOptions()
	o.MinChain = cmp.Or(o.MinChain, d.MinChain)
	o.Reads = cmp.Or(o.Reads, d.Reads)
	o.PingInterval = cmp.Or(o.PingInterval, d.PingInterval)
	o.MissesMax = cmp.Or(o.MissesMax, d.MissesMax)
	if o.Durable {
		o.ProbeTimeout = cmp.Or(o.ProbeTimeout, 800*time.Millisecond) // the reply follows a sync, perhaps behind one under way
	}
	o.ProbeTimeout = cmp.Or(o.ProbeTimeout, d.ProbeTimeout)
	o.LostAfter = cmp.Or(o.LostAfter, d.LostAfter)
	o.DrainTime = cmp.Or(o.DrainTime, d.DrainTime)
	o.WaitersMax = cmp.Or(o.WaitersMax, d.WaitersMax)
	o.CommandsKeep = cmp.Or(o.CommandsKeep, d.CommandsKeep)
	o.JoinTimeout = cmp.Or(o.JoinTimeout, d.JoinTimeout)
	o.QuarantineMin = cmp.Or(o.QuarantineMin, d.QuarantineMin)
	o.QuarantineMax = cmp.Or(o.QuarantineMax, d.QuarantineMax)
	if o.Reads == ReadLease {
		o.Lease = cmp.Or(o.Lease, d.Lease)
	} else {
		o.Lease = 0
	}
	switch {
	case o.Self.ID == 0 || o.Cluster == 0 && o.Consensus == nil:
		return errors.New("core: ManagerOptions.Self.ID or Cluster is 0: draw them at random")
	case o.Replicas < 0 || o.Replicas > ReplicasMax:
		return fmt.Errorf("core: %d replicas, want 0 to %d", o.Replicas, ReplicasMax)
	case o.Spares < 0 || o.Spares > nodesMax:
		return fmt.Errorf("core: %d spares to be held back, want 0 to %d", o.Spares, nodesMax)
	case o.CommandsKeep < 1:
		return fmt.Errorf("core: %d commands to be kept, want at least 1", o.CommandsKeep)
	case o.MinChain < 1 || o.MinChain > o.Replicas+1:
		return fmt.Errorf("core: minimum chain of %d, want 1 to %d (replicas + 1)", o.MinChain, o.Replicas+1)
	case o.Placement != 0 && !o.Placement.valid():
		return fmt.Errorf("core: %d slots, want a power of two from %d to %d", o.Placement, SlotsMin, SlotsMax)
	case o.Reads >= readModeEnd:
		return fmt.Errorf("core: read mode %v, want confirm or lease", o.Reads)
	case o.Reads == ReadLease && (o.Lease < LeaseMin || o.Lease > LeaseMax):
		return fmt.Errorf("core: lease of %v, want %v to %v", o.Lease, LeaseMin, LeaseMax)
	}
	return o.checkTimes()
}

func (o *ManagerOptions) checkTimes() error {
	switch {
	case o.PingInterval < PingIntervalMin || o.PingInterval > PingIntervalMax:
		return fmt.Errorf("core: ping interval of %v, want %v to %v", o.PingInterval, PingIntervalMin, PingIntervalMax)
	case o.MissesMax < MissesMin || o.MissesMax > MissesMax:
		return fmt.Errorf("core: %d missed pings before a node is suspected, want %d to %d", o.MissesMax, MissesMin, MissesMax)
	case o.LostAfter < LostAfterMin || o.LostAfter > LostAfterMax:
		return fmt.Errorf("core: a loss presumed after %v, want %v to %v", o.LostAfter, LostAfterMin, LostAfterMax)
	case o.LostAfter < o.silenceLeast():
		return fmt.Errorf("core: a loss presumed after %v, want at least %v with pings every %v of which %d may be missed: else a healthy node is taken for lost between two pings",
			o.LostAfter, o.silenceLeast(), o.PingInterval, o.MissesMax)
	}
	return positive(span{"ProbeTimeout", o.ProbeTimeout}, span{"DrainTime", o.DrainTime}, span{"JoinTimeout", o.JoinTimeout},
		span{"QuarantineMin", o.QuarantineMin}, span{"QuarantineMax", o.QuarantineMax})
}

// span is an option that is a time, and its name.
type span struct {
	name string
	time time.Duration
}

// positive refuses a time below 0: a node that is to act in the past acts without end.
func positive(list ...span) error {
	for _, s := range list {
		if s.time <= 0 {
			return fmt.Errorf("core: %s of %v, want more than 0", s.name, s.time)
		}
	}
	return nil
}

// ClientOptions configure a client. Zero values of the later fields take the
// defaults of DefaultClientOptions.
type ClientOptions struct {
	Self    Peer
	Manager Peer // ID may be 0: learnt from its first reply
	// Managers are several, in place of Manager, as in StorageOptions.
	Managers []Peer
	Seed     uint64 // of the jitter
	Steady   bool   // no jitter: for a search of states, to which chance adds nothing

	AttemptTimeout time.Duration // the least without a reply before the node is reported and the request sent again
	BackoffMin     time.Duration // before a refused request is tried again; doubles, with jitter,
	BackoffMax     time.Duration // up to this
	SessionIdleMax time.Duration // a session idle for longer is not used again; well below the primary's SessionTTL
	CallsMax       int           // under way at once
	RoutesMax      int           // units whose group is remembered
}

// DefaultClientOptions are those of a cluster on one site's network.
func DefaultClientOptions() ClientOptions {
	return ClientOptions{
		AttemptTimeout: 150 * time.Millisecond, BackoffMin: 5 * time.Millisecond, BackoffMax: 200 * time.Millisecond,
		SessionIdleMax: time.Minute, CallsMax: 1 << 14, RoutesMax: 1 << 20,
	}
}

func (o *ClientOptions) complete() error {
	d := DefaultClientOptions()
	o.AttemptTimeout = cmp.Or(o.AttemptTimeout, d.AttemptTimeout)
	o.BackoffMin = cmp.Or(o.BackoffMin, d.BackoffMin)
	o.BackoffMax = cmp.Or(o.BackoffMax, d.BackoffMax)
	o.SessionIdleMax = cmp.Or(o.SessionIdleMax, d.SessionIdleMax)
	o.CallsMax = cmp.Or(o.CallsMax, d.CallsMax)
	o.RoutesMax = cmp.Or(o.RoutesMax, d.RoutesMax)
	if o.Self.ID == 0 {
		return errors.New("core: ClientOptions.Self.ID is 0: draw one at random")
	}
	if len(o.Managers) > ManagersMax {
		return fmt.Errorf("core: %d managers, at most %d", len(o.Managers), ManagersMax)
	}
	return positive(span{"AttemptTimeout", o.AttemptTimeout}, span{"BackoffMin", o.BackoffMin}, span{"BackoffMax", o.BackoffMax}, span{"SessionIdleMax", o.SessionIdleMax})
}
