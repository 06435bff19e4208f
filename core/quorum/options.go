package quorum

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gtstore/core"
)

// Options configure a node. Zero values of the later fields take the defaults.
type Options struct {
	// Self: the ID is drawn at random when the data is created, and is the data's for ever.
	// A node that lost its data is another one: what it had promised is forgotten.
	Self core.Peer
	// Found lists the members of a new group, Self among them. It counts only while the
	// Space is empty; nodes that found the same group must be given the same list. A node
	// without it waits until it is told of a group that it is a member of.
	Found   []core.Peer
	Durable bool
	Seed    uint64 // of the election timer; to be drawn at random at each start

	HeartbeatInterval time.Duration // between a leader's words, 25 ms by default
	ElectionTimeout   time.Duration // of silence before an election, 8 heartbeats by default, at least 2, more where members are far; up to twice as long for each node, at random
	LogBytes          int           // of commands, each with entryOverhead, that are kept behind a snapshot, 8 MiB by default
	PendingBytes      int           // of commands that are proposed and not committed, 16 MiB by default

	partBytes int // of a snapshot in one message or record; partBytesMax but in tests
}

func (o *Options) complete() error {
	o.HeartbeatInterval = cmp.Or(o.HeartbeatInterval, 25*time.Millisecond)
	o.ElectionTimeout = cmp.Or(o.ElectionTimeout, 8*o.HeartbeatInterval)
	o.LogBytes = cmp.Or(o.LogBytes, 8<<20)
	o.PendingBytes = cmp.Or(o.PendingBytes, 16<<20)
	o.partBytes = cmp.Or(o.partBytes, partBytesMax)
	founders := Members{Voters: o.Found}
	switch {
	case !isMember(o.Self.ID):
		return fmt.Errorf("quorum: Options.Self.ID is %v: draw one at random, from 1 to 2^64-3", o.Self.ID)
	case o.HeartbeatInterval < 0 || o.ElectionTimeout < 2*o.HeartbeatInterval:
		return fmt.Errorf("quorum: election time-out of %v, at least twice the heartbeat's %v", o.ElectionTimeout, o.HeartbeatInterval)
	case o.LogBytes < 0 || o.PendingBytes < 0:
		return fmt.Errorf("quorum: log of %d bytes and %d that are pending: both must be above 0", o.LogBytes, o.PendingBytes)
	case len(o.Found) == 0:
		return nil
	case find(o.Found, o.Self.ID) < 0:
		return fmt.Errorf("quorum: Options.Found lacks this manager, %v", o.Self.ID)
	}
	for i, p := range o.Found {
		if find(o.Found[i+1:], p.ID) >= 0 {
			return fmt.Errorf("quorum: Options.Found names manager %v twice", p.ID)
		}
	}
	return founders.plan(o.Found, nil)
}

// founding is the state in which a new group begins.
func (o *Options) founding() Members {
	voters := slices.Clone(o.Found)
	slices.SortFunc(voters, func(a, b core.Peer) int { return cmp.Compare(a.ID, b.ID) })
	return Members{Voters: voters}
}

func newRandom(o *Options) rand.PCG { return *rand.NewPCG(o.Seed, uint64(o.Self.ID)) }
