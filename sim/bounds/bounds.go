package bounds

import "time"

// The bounds within which a healthy node is never removed from its chain, and no
// group is presumed lost: a run in which that happens all the same violates
// eviction-without-cause, or loss-without-cause. Within them the cluster keeps its
// promise on a network and machines that are tired, but not broken. A machine that stalls
// or is slow, behind a network that loses packets, has two troubles at once. So has one
// whose network lost packets, or that stalled, less than PauseGap before the other trouble.
// Two troubles add up, and that is beyond the bounds.
const (
	// Horizon is for how long before the removal everything that concerns a node
	// must have been within the bounds: its own host, the manager's and those of
	// the other members of its chain, and the links among them.
	Horizon = 4 * time.Second

	PauseMax = 250 * time.Millisecond // of a process
	// PauseGap is from the end of a pause or a stall of a process, its disk or one of
	// its links to the next of these: they add up for who waits.
	PauseGap = time.Second

	StallMax = 250 * time.Millisecond // of a link
	// LateMax is by how much one message may come later than the latency of its link
	// has it. On a link that keeps the order more holds up all that follows, and is a stall.
	LateMax = 50 * time.Millisecond

	LossMaxPermille = 50 // of packets that TCP loses,
	LossesMax       = 2  // of one packet, in a row: beyond, a link stalls for more than a second

	DiskMax = 250 * time.Millisecond // that a sync takes, or a disk stalls

	// OneWayMax is how long a message takes at most: half a round trip to another
	// continent, and a tenth for jitter.
	OneWayMax = 165 * time.Millisecond

	BandwidthMin = 12_500_000             // bytes a second: 100 Mbit/s
	QueueMax     = time.Second            // that a message waits at most for its turn to leave its host
	SlowMax      = 50 * time.Millisecond  // by which whatever a process does may begin later
	WorkMax      = 250 * time.Millisecond // that a message waits at most for its turn in a process that is busy

	DriftMaxPPM = 1000 // of a clock, either way
)
