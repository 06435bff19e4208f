package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

func encodeBase64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// statusResult is what status, and up once, print with -o json.
type statusResult struct {
	Cluster string        `json:"cluster"`
	Manager statusManager `json:"manager"` // of several the one that leads
	// Managers are all, if there are several, and Term is that of the one that leads.
	Managers []statusMember `json:"managers"`
	Term     core.Term      `json:"term"`
	Nodes    []statusNode   `json:"nodes"`
	Groups   []statusGroup  `json:"groups"`
	Spares   []string       `json:"spares"`
	Keys     uint64         `json:"keys"` // that exist
	// Placement is key, or slots=N. Mapped is how many keys, or slots, have a group.
	Placement string `json:"placement"`
	Mapped    uint64 `json:"mapped"`
	// Admin is where the admin listeners of the processes are, by name; only up knows.
	Admin  map[string]string `json:"admin,omitempty"`
	source *netrpc.Status    // that it was made from
}

type statusManager struct {
	Addr string `json:"addr"`
	PID  uint64 `json:"pid"`
	// DiskLag is how long it has waited for its disk to make a change of the cluster durable.
	DiskLag float64 `json:"disk_lag_seconds"`
}

type statusNode struct {
	ID    string       `json:"id"`
	Name  string       `json:"name"`
	Addr  string       `json:"addr"`
	PID   uint64       `json:"pid"`
	State string       `json:"state"` // up, silent, gone
	Group core.GroupID `json:"group"` // 0 for a spare
	Role  string       `json:"role"`  // primary, replica, joining, spare, none
	// Draining: an operator wants to stop it, and can once it is in no group.
	Draining   bool      `json:"draining"`
	Quarantine float64   `json:"quarantine_seconds"` // before it is used again
	Boot       core.Boot `json:"boot"`
}

type statusGroup struct {
	ID      core.GroupID `json:"id"`
	Epoch   core.Epoch   `json:"epoch"`
	State   string       `json:"state"` // ok, short, unavailable, lost
	Chain   []string     `json:"chain"` // the primary first
	Joining *string      `json:"joining"`
	Join    *statusJoin  `json:"join"` // how far that is
	Keys    uint64       `json:"keys"`

	Reads    string  `json:"reads"`         // confirm, lease
	Lease    float64 `json:"lease_seconds"` // 0 with confirm
	MinChain uint32  `json:"min_chain"`
}

// statusJoin is how far a join is. The totals are estimates: writes go on meanwhile.
type statusJoin struct {
	Keys       uint64  `json:"keys"`
	KeysTotal  uint64  `json:"keys_total"`
	Bytes      uint64  `json:"bytes"`
	BytesTotal uint64  `json:"bytes_total"`
	Percent    float64 `json:"percent"`
	Seconds    float64 `json:"seconds"`           // since it began
	Remaining  float64 `json:"remaining_seconds"` // estimated; 0 when nothing can be said yet
}

// Roles of a node.
const (
	rolePrimary = "primary"
	roleReplica = "replica"
	roleJoining = "joining"
	roleSpare   = "spare"
	roleNone    = "none" // in no group, and not to be used as it is: gone, or silent
)

func newStatusResult(s *netrpc.Status) *statusResult {
	r := &statusResult{
		Cluster: s.Cluster.String(), Manager: statusManager{s.Manager.Addr, s.Process, s.DiskLag.Seconds()}, Keys: s.Keys, Placement: s.Placement.String(), Mapped: s.Mapped,
		Managers: newStatusMembers(s.Managers), Term: s.Term,
		Nodes: []statusNode{}, Groups: []statusGroup{}, Spares: []string{}, source: s,
	}
	primaries := map[core.NodeID]bool{}
	for _, g := range s.Groups {
		out := statusGroup{ID: g.Group, Epoch: g.Epoch, State: g.State.String(), Keys: g.Keys, Chain: []string{},
			Reads: g.Terms.Reads.String(), Lease: g.Terms.Lease.Seconds(), MinChain: g.Terms.MinChain}
		for i, id := range g.Chain { // none at all, if that is what the manager says
			if i == 0 {
				primaries[id] = true
			}
			out.Chain = append(out.Chain, nameOf(s, id))
		}
		if g.Join != nil {
			name := nameOf(s, g.Join.Node)
			out.Joining, out.Join = &name, newStatusJoin(g.Join)
		}
		r.Groups = append(r.Groups, out)
	}
	for _, n := range s.Nodes {
		out := statusNode{
			ID: n.ID.String(), Name: nameOf(s, n.ID), Addr: n.Addr, PID: n.Process, State: n.State.String(),
			Group: n.Group, Role: roleReplica, Boot: n.Boot, Draining: n.Draining, Quarantine: n.Quarantine.Seconds(),
		}
		switch {
		case n.Joining != 0:
			out.Group, out.Role = n.Joining, roleJoining
		case n.Group == 0 && n.State != core.NodeUp:
			out.Role = roleNone
		case n.Group == 0:
			out.Role = roleSpare
			if !n.Draining && n.Quarantine == 0 {
				r.Spares = append(r.Spares, out.Name)
			}
		case primaries[n.ID]:
			out.Role = rolePrimary
		}
		r.Nodes = append(r.Nodes, out)
	}
	return r
}

func newStatusJoin(j *core.JoinStatus) *statusJoin {
	p := &j.Progress
	out := &statusJoin{Keys: p.Keys, KeysTotal: p.KeysTotal, Bytes: p.Bytes, BytesTotal: p.BytesTotal, Seconds: j.Age.Seconds()}
	if p.BytesTotal > 0 {
		share := float64(p.Bytes) / float64(p.BytesTotal)
		out.Percent = 100 * share
		if share > 0 {
			out.Remaining = out.Seconds * (1 - share) / share
		}
	}
	return out
}

func (j *statusJoin) text() string {
	if j.BytesTotal == 0 {
		return "beginning"
	}
	text := fmt.Sprintf("%.0f%%, %s of %s keys, %s of %s", j.Percent, cli.Grouped(int(j.Keys)), cli.Grouped(int(j.KeysTotal)), mebibytes(j.Bytes), mebibytes(j.BytesTotal))
	if j.Percent < 100 && j.Remaining > 0 {
		text += fmt.Sprintf(", about %v left", time.Duration(j.Remaining*float64(time.Second)).Round(time.Second))
	}
	return text
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func newStatus() *cobra.Command {
	var t target
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes and groups",
		Long: `Shows what the manager knows: of several managers which one leads, and by how many entries of
their log the others lag; nodes (up, silent, or gone for good; draining, drained and
fit to be stopped, or in quarantine after they left a group), groups (ok, short of members, unavailable, or
lost) with their chains, the primary first, the number of keys mapped to each, and the
spares that join groups, with how far their snapshots are. Where groups have other --reads,
--lease or --min-chain than by default, it counts those that have them. In a cluster of slots it
tells how many have a group.

A node that is silent and out of use is in no group, and nobody waits for it: most likely its
process has ended. It is a spare again if it answers after all, and gone once it is forgotten.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			if watch {
				return t.watch(cmd)
			}
			return t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
				s, err := statusOf(ctx, c)
				if err != nil {
					return err
				}
				return t.output.show(cmd.OutOrStdout(), newStatusResult(s))
			})
		},
	}
	t.add(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second, until interrupted; a look that fails is said, and the next one comes")
	return cmd
}

// errDisplaced ends a watch: another cluster has the address for good.
var errDisplaced = errors.New("the cluster is not there any more")

// watch shows the status again and again until the command is interrupted. --timeout
// bounds each look. Once there was one, a look that fails is said, and the next may succeed: a
// person who watches a cluster wants to see how it comes back.
func (t *target) watch(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	screen := t.output == formatText && cli.IsTerminal(out)
	var cluster core.ClusterID // of the first look: another cluster's state must not be shown as its own
	for {
		var b bytes.Buffer
		err := t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
			s, err := statusOf(ctx, c)
			if err != nil {
				return err
			}
			if cluster != 0 && s.Cluster != cluster {
				return cli.Errorf(cli.ExitUnavailable, "%w: %s", errDisplaced, netrpc.Displaced(s.Manager.Addr, cluster, s.Cluster))
			}
			cluster = s.Cluster
			return t.output.show(&b, newStatusResult(s))
		})
		if cmd.Context().Err() != nil {
			return nil
		}
		if err != nil && (cluster == 0 || errors.Is(err, errDisplaced)) {
			return err // there is nothing to watch, or not any more
		}
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v; looking again\n", time.Now().Format(time.TimeOnly), err)
		} else {
			if screen {
				fmt.Fprint(out, "\x1b[H\x1b[2J")
			}
			if t.output == formatText && !screen {
				b.WriteByte('\n')
			}
			if _, err := out.Write(b.Bytes()); err != nil {
				return cli.Failed(err)
			}
		}
		select {
		case <-time.After(time.Second):
		case <-cmd.Context().Done():
			return nil
		}
	}
}

// condition is a node's state in words.
func (n *statusNode) condition() string {
	text := n.State
	switch {
	case n.State == core.NodeGone.String():
	case n.Draining && (n.Role == roleSpare || n.Role == roleNone):
		text += ", drained"
	case n.Role == roleNone:
		text += ", out of use"
	case n.Draining:
		text += ", draining"
	}
	if n.Quarantine > 0 {
		text += fmt.Sprintf(", in quarantine for %v", time.Duration(n.Quarantine*float64(time.Second)).Round(100*time.Millisecond))
	}
	return text
}

// short counts the groups that have fewer members than they should.
func (r *statusResult) short() int {
	n := 0
	for _, g := range r.Groups {
		if len(g.Chain) <= r.source.Replicas {
			n++
		}
	}
	return n
}

// terms tells how the groups serve gets, and which chains take writes, where that is not as
// by default. Groups differ for as long as a manager that was started with other flags gives
// them these.
func (r *statusResult) terms() string {
	d := core.DefaultManagerOptions()
	var all []core.Terms // in the order of the first group that has them
	groups := map[core.Terms]int{}
	for i := range r.source.Groups {
		t := r.source.Groups[i].Terms
		if groups[t]++; groups[t] == 1 {
			all = append(all, t)
		}
	}
	if len(all) == 0 || len(all) == 1 && all[0] == (core.Terms{Reads: d.Reads, MinChain: uint32(d.MinChain)}) {
		return ""
	}
	text := "\n"
	for _, t := range all {
		lease := ""
		if t.Lease != 0 {
			lease = fmt.Sprintf(" --lease %v", t.Lease)
		}
		text += fmt.Sprintf("%d of %d groups with --reads %v%s --min-chain %d\n", groups[t], len(r.Groups), t.Reads, lease, t.MinChain)
	}
	return text
}

// lateText says that the manager waits for its disk; "" if it does not.
func lateText(s *netrpc.Status) string {
	if s.DiskLag < core.DiskLate {
		return ""
	}
	return fmt.Sprintf("the manager's disk has not ended a sync for %v: until it does, no new key gets a group and nothing is repaired", s.DiskLag.Round(time.Second))
}

// mapped tells how many slots have a group; "" where the keys themselves are mapped.
func (r *statusResult) mapped() string {
	slots := r.source.Placement.Slots()
	if slots == 0 {
		return ""
	}
	return fmt.Sprintf(", %s of %s slots mapped", cli.Grouped(int(r.Mapped)), cli.Grouped(slots))
}

func (r *statusResult) text() string {
	var b bytes.Buffer
	leads := ""
	if r.Term != 0 {
		leads = fmt.Sprintf(", which leads in term %d", r.Term)
	}
	fmt.Fprintf(&b, "cluster %s, manager %s (pid %d)%s, %s keys%s\n\n", r.Cluster, r.Manager.Addr, r.Manager.PID, leads, cli.Grouped(int(r.Keys)), r.mapped())
	if text := lateText(r.source); text != "" {
		fmt.Fprintf(&b, "%s\n\n", text)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if len(r.Managers) > 0 {
		writeMembers(w, r.Managers)
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "NODE\tADDRESS\tPID\tSTATE\tGROUP\tROLE")
	for _, n := range r.Nodes {
		group, role := "-", n.Role
		if n.Group != 0 {
			group = fmt.Sprint(n.Group)
		}
		if role == roleNone {
			role = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", n.Name, n.Addr, n.PID, n.condition(), group, role)
	}
	if len(r.Groups) > 0 {
		fmt.Fprintln(w)
		fmt.Fprintln(w, "GROUP\tEPOCH\tSTATE\tKEYS\tCHAIN")
	}
	for _, g := range r.Groups {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\n", g.ID, g.Epoch, g.State, cli.Grouped(int(g.Keys)), strings.Join(g.Chain, " > "))
	}
	joins := slices.ContainsFunc(r.Groups, func(g statusGroup) bool { return g.Join != nil })
	if joins {
		fmt.Fprintln(w)
		fmt.Fprintln(w, "JOINING\tGROUP\tPROGRESS")
	}
	for _, g := range r.Groups {
		if g.Join != nil {
			fmt.Fprintf(w, "%s\t%d\t%s\n", *g.Joining, g.ID, g.Join.text())
		}
	}
	w.Flush()
	b.WriteString(r.terms())
	if short := r.short(); short > 0 {
		fmt.Fprintf(&b, "\n%d of %d groups below strength, %d spares", short, len(r.Groups), len(r.Spares))
		if len(r.Spares) == 0 && !joins {
			b.WriteString(": start more storage nodes")
		}
		b.WriteString(".\n")
	}
	return b.String()
}
