package daemon

import (
	"time"

	"github.com/spf13/pflag"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
)

// ManagerFlags are the flags that say how a cluster is run; gtstore up takes
// them too.
type ManagerFlags struct {
	replicas, spares, minChain int
	reads, onLoss              cli.OneOf
	lease, lostAfter           time.Duration
	pingInterval               time.Duration
	misses                     int
}

// NewManagerFlags returns the flags with their defaults.
func NewManagerFlags() *ManagerFlags {
	return &ManagerFlags{
		reads:  cli.OneOf{Value: "confirm", Values: []string{"confirm", "lease"}},
		onLoss: cli.OneOf{Value: "halt", Values: []string{"halt", "continue"}},
	}
}

// Add defines the flags.
func (f *ManagerFlags) Add(flags *pflag.FlagSet) {
	d := core.DefaultManagerOptions()
	flags.IntVar(&f.replicas, "replicas", d.Replicas, "k: a group has one primary and k replicas, and outlives k deaths")
	flags.IntVar(&f.spares, "spares", 0, "storage nodes that new groups leave unused, to take the places of the dead")
	flags.IntVar(&f.minChain, "min-chain", d.MinChain, "a group with fewer members takes no writes; 1 serves to the last member")
	flags.Var(&f.reads, "reads", "confirm: a get asks every member; lease: the primary answers alone, clocks permitting")
	flags.DurationVar(&f.lease, "lease", d.Lease, "length of a lease, with --reads lease")
	flags.Var(&f.onLoss, "on-group-loss", "when no copy of a group is left: end the manager, or go on with the other groups")
	flags.DurationVar(&f.lostAfter, "lost-after", d.LostAfter, "for how long a node's address must refuse before its data is presumed lost")
	flags.DurationVar(&f.pingInterval, "ping-interval", d.PingInterval, "between two pings of a node")
	flags.IntVar(&f.misses, "misses", d.MissesMax, "missed pings in a row before a node is suspected")
}

// Options returns the core's options.
func (f *ManagerFlags) Options() core.ManagerOptions {
	o := core.ManagerOptions{
		Replicas: f.replicas, Spares: f.spares, MinChain: f.minChain, Reads: core.ReadConfirm, HaltOnLoss: f.onLoss.Value == "halt",
		LostAfter: f.lostAfter, PingInterval: f.pingInterval, MissesMax: f.misses,
	}
	if f.reads.Value == "lease" {
		o.Reads, o.Lease = core.ReadLease, f.lease
	}
	return o
}
