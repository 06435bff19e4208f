package daemon

import (
	"fmt"
	"strings"
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
	placement                  placement
}

// placement is the value of a flag; empty it leaves the placement to the manager's data.
type placement struct{ of core.Placement }

// String implements pflag.Value, as do Set and Type.
func (p *placement) String() string {
	if p.of == 0 {
		return ""
	}
	return p.of.String()
}

// Set takes what String returns.
func (p *placement) Set(text string) (err error) {
	if p.of = 0; text != "" {
		p.of, err = core.ParsePlacement(text)
	}
	if err != nil {
		return fmt.Errorf("want key, or slots=N with a power of two from %d to %d, such as slots=16384", core.SlotsMin, core.SlotsMax)
	}
	return nil
}

// Type is the word for the value in the help.
func (p *placement) Type() string { return "key|slots=N" }

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
	cli.Int(flags, &f.replicas, "replicas", d.Replicas, 0, core.ReplicasMax, "k: a group has one primary and k replicas, and outlives k deaths")
	cli.Int(flags, &f.spares, "spares", 0, 0, core.SparesMax, "storage nodes that new groups leave unused, to take the places of the dead")
	cli.Int(flags, &f.minChain, "min-chain", d.MinChain, 1, core.ReplicasMax+1, "a group with fewer members takes no writes; 1 serves to the last member, and replicas+1 is the most")
	flags.Var(&f.placement, "placement", "chosen when the cluster is made: key maps each key to a group by itself; slots=N maps N slots, such as 16384, so that once all are mapped a new key needs no manager (default: key, or what the cluster was made with)")
	flags.Var(&f.reads, "reads", "confirm: a get asks every member; lease: the primary answers alone, clocks permitting")
	cli.Duration(flags, &f.lease, "lease", d.Lease, core.LeaseMin, core.LeaseMax, "length of a lease, with --reads lease")
	flags.Var(&f.onLoss, "on-group-loss", "when no copy of a group is left: end the manager, or go on with the other groups")
	cli.Duration(flags, &f.lostAfter, "lost-after", d.LostAfter, core.LostAfterMin, core.LostAfterMax, "for how long a node's address must refuse before its data is presumed lost")
	cli.Duration(flags, &f.pingInterval, "ping-interval", d.PingInterval, core.PingIntervalMin, core.PingIntervalMax, "between two pings of a node; longer with more than 1,000 nodes, for at most 20,000 pings a second")
	cli.Int(flags, &f.misses, "misses", d.MissesMax, core.MissesMin, core.MissesMax, "missed pings in a row before a node is suspected")
}

// Check tells which flags do not go together; of each alone the parser has made sure.
func (f *ManagerFlags) Check() error {
	if err := f.Options().Validate(); err != nil {
		return cli.Errorf(cli.ExitUsage, "%s", strings.TrimPrefix(err.Error(), "core: "))
	}
	return nil
}

// Options returns the core's options.
func (f *ManagerFlags) Options() core.ManagerOptions {
	o := core.ManagerOptions{
		Replicas: f.replicas, Spares: f.spares, MinChain: f.minChain, Reads: core.ReadConfirm, Placement: f.placement.of, HaltOnLoss: f.onLoss.Value == "halt",
		LostAfter: f.lostAfter, PingInterval: f.pingInterval, MissesMax: f.misses,
	}
	if f.reads.Value == "lease" {
		o.Reads, o.Lease = core.ReadLease, f.lease
	}
	return o
}
