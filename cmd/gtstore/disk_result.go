package main

import (
	"errors"
	"strings"

	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/netrpc/disk"
)

// diskResult is what disk prints of a directory with -o json.
type diskResult struct {
	Dir           string         `json:"dir"`
	Role          string         `json:"role"` // manager, storage
	Format        int            `json:"format"`
	RecordVersion int            `json:"record_version"`
	Copied        bool           `json:"copied"`  // or moved: a node needs --moved
	ID            string         `json:"id"`      // empty when it cannot be read, as the cluster
	Cluster       string         `json:"cluster"` // empty while a storage node is not registered
	Boots         core.Boot      `json:"boots"`
	Directory     *diskDirectory `json:"directory"` // of a manager; null where it cannot be read, or is not there yet
	Quorum        int            `json:"quorum"`    // records of one of several managers
	Groups        []diskGroup    `json:"groups"`    // of a storage node
	Files         diskFiles      `json:"files"`
	Aside         []diskAside    `json:"aside"`
	Records       diskRecords    `json:"records"`  // that were read
	Verified      *diskVerified  `json:"verified"` // with --verify
	Damaged       int            `json:"damaged"`  // how many things are
	Damage        []diskDamage   `json:"damage"`   // the first of them
	Remedy        string         `json:"remedy"`   // empty where there is no damage
}

type diskDirectory struct {
	Index     core.Index       `json:"index"`
	Folded    core.Index       `json:"folded"`    // which the records are of
	Commands  int              `json:"commands"`  // that are after that
	Pending   int              `json:"pending"`   // the last of these, which several managers may not have agreed on
	Cut       bool             `json:"cut"`       // it shows only what was read before the first damage
	Placement string           `json:"placement"` // which units there are: key, or slots=N; empty if it cannot be read
	Units     int              `json:"units"`     // that are mapped
	Nodes     []diskNode       `json:"nodes"`
	Groups    []directoryGroup `json:"groups"`
}

type diskNode struct {
	ID    string       `json:"id"`
	Name  string       `json:"name"`
	Addr  string       `json:"addr"`
	Boots core.Boot    `json:"boots"`
	State string       `json:"state"` // known, draining, drained, gone: whether it is up, no directory says
	Group core.GroupID `json:"group"` // 0 for none
	Role  string       `json:"role"`  // primary, replica, joining, spare, none
}

type directoryGroup struct {
	ID      core.GroupID `json:"id"`
	Epoch   core.Epoch   `json:"epoch"`
	Chain   []string     `json:"chain"`   // names, the primary first
	Joining string       `json:"joining"` // empty for nobody
	Units   int          `json:"units"`   // that are mapped to it
}

type diskGroup struct {
	ID         core.GroupID `json:"id"`
	Epoch      core.Epoch   `json:"epoch"` // 0 when the config is missing or damaged
	Chain      []diskPeer   `json:"chain"`
	Joining    *diskPeer    `json:"joining"`
	Part       string       `json:"part"` // this node's: primary, replica, joining, none
	Base       diskEntryID  `json:"base"` // the log begins after it
	Last       core.Seq     `json:"last"`
	Applied    core.Seq     `json:"applied"` // what the keys and sessions are the state of
	Entries    int          `json:"entries"`
	Keys       int          `json:"keys"`
	ValueBytes int64        `json:"value_bytes"`
	Sessions   int          `json:"sessions"`       // open ones
	Ended      int          `json:"ended_sessions"` // that are remembered
	Partial    bool         `json:"partial"`        // it has half a snapshot, which a start discards
}

type diskPeer struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"` // of its certificate
	Addr string `json:"addr"`
}

type diskEntryID struct {
	Epoch core.Epoch `json:"epoch"`
	Seq   core.Seq   `json:"seq"`
}

type diskPart struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

type diskFiles struct {
	Logs   diskPart `json:"logs"`
	Tables diskPart `json:"tables"`
	Other  diskPart `json:"other"`
}

type diskAside struct {
	Name string `json:"name"`
	Why  string `json:"why"`
	diskPart
}

type diskRecords struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

type diskVerified struct {
	diskPart       // the tables
	Points   int64 `json:"points"` // writes and deletes in tables and logs, those that were replaced too
}

type diskDamage struct {
	Record string `json:"record,omitempty"` // its key, printable
	File   string `json:"file,omitempty"`
	What   string `json:"what"`
}

// What to do about damage.
const (
	remedyStorage = "What to do: look at the disk, and start the node while the others of its group are up. It puts these data aside and begins anew, and they fill it."
	remedyWorn    = "What to do: look at the disk. So often damaged data was put aside here that the node does not start any more. Remove what was put aside, or give the node an empty directory on another disk, and start it while the others of its group are up."
	remedySeveral = "What to do: look at the disk, and start the manager in an empty directory while more than half of the managers are up. They take it in again."
	remedyManager = "What to do: nobody else knows what a manager knows. Restore the directory from a copy of this very state, or start a new cluster in empty directories."
)

// newDiskResult makes a report fit to be printed, also on a terminal: what a peer may have
// chosen is made printable here.
func newDiskResult(dir string, r *disk.Report) *diskResult {
	out := &diskResult{
		Dir: dir, Role: string(r.Role), Format: r.Format, RecordVersion: r.Records, Copied: r.Copied,
		Groups: []diskGroup{}, Aside: []diskAside{}, Damage: []diskDamage{},
		Files: diskFiles{diskPart(r.Logs), diskPart(r.Tables), diskPart(r.Other)},
	}
	for _, a := range r.Aside {
		out.Aside = append(out.Aside, diskAside{a.Name, netrpc.Printable(a.Why), diskPart(a.Part)})
	}
	for _, d := range r.Damage {
		out.Damage = append(out.Damage, diskDamage{File: d.File, What: netrpc.Printable(d.Err.Error())})
	}
	out.Damaged = len(out.Damage)
	if v := r.Verified; v != nil {
		out.Verified = &diskVerified{diskPart{v.Tables, v.Bytes}, v.Points}
	}
	if c := r.Contents; c != nil {
		out.take(c)
	}
	switch {
	case !r.Damaged():
	case out.Quorum > 0:
		out.Remedy = remedySeveral
	case r.Role == disk.Manager:
		out.Remedy = remedyManager
	case len(r.Aside) >= disk.AsideMax:
		out.Remedy = remedyWorn
	default:
		out.Remedy = remedyStorage
	}
	return out
}

// take adds what the records say.
func (r *diskResult) take(c *core.DiskReport) {
	if c.ID != 0 {
		r.ID, r.Boots = c.ID.String(), c.Boot
	}
	if c.Cluster != 0 {
		r.Cluster = c.Cluster.String()
	}
	r.Records = diskRecords{c.Records, c.Bytes}
	r.Damaged += c.Damaged
	for _, d := range c.Damage {
		r.Damage = append(r.Damage, diskDamage{Record: d.Record, What: damageText(d.Err)})
	}
	if r.Quorum = c.Quorum; r.Role == string(disk.Manager) && (r.Quorum == 0 || c.Directory.Placement != 0) {
		r.Directory = newDiskDirectory(&c.Directory)
	}
	for i := range c.Groups {
		r.Groups = append(r.Groups, newDiskGroup(&c.Groups[i], c.ID))
	}
}

// damageText says what is wrong with a record. What is wrong with a file is said there.
func damageText(err error) string {
	if errors.Is(err, core.ErrDamaged) {
		return "what comes after it cannot be read"
	}
	return netrpc.Printable(strings.TrimPrefix(err.Error(), "wire: "))
}

func newDiskGroup(g *core.DiskGroup, self core.NodeID) diskGroup {
	out := diskGroup{
		ID: g.Group, Chain: []diskPeer{}, Part: roleNone, Base: diskEntryID(g.Base), Last: g.Last, Applied: g.Applied,
		Entries: g.Entries, Keys: g.Keys, ValueBytes: g.ValueBytes, Sessions: g.Sessions, Ended: g.Ended, Partial: g.Partial,
	}
	c := g.Config
	if c == nil {
		return out
	}
	out.Epoch = c.Epoch
	for _, p := range c.Chain {
		out.Chain = append(out.Chain, newDiskPeer(p))
	}
	if c.Joining.ID != 0 {
		joining := newDiskPeer(c.Joining)
		out.Joining = &joining
	}
	switch at := c.Position(self); {
	case at == 0:
		out.Part = rolePrimary
	case at > 0:
		out.Part = roleReplica
	case c.Joining.ID == self:
		out.Part = roleJoining
	}
	return out
}

func newDiskPeer(p core.Peer) diskPeer {
	name, address := netrpc.SplitAddress(p.Addr)
	return diskPeer{p.ID.String(), netrpc.Printable(name), netrpc.Printable(address)}
}

func newDiskDirectory(d *core.DiskDirectory) *diskDirectory {
	out := &diskDirectory{Index: d.Index, Folded: d.Folded, Commands: d.Commands, Pending: d.Pending, Cut: d.Cut, Units: d.Units, Nodes: []diskNode{}, Groups: []directoryGroup{}}
	if d.Placement != 0 {
		out.Placement = d.Placement.String()
	}
	names, primaries := map[core.NodeID]string{}, map[core.NodeID]bool{}
	for _, n := range d.Nodes {
		names[n.ID] = netrpc.Printable(n.Name)
	}
	nameOf := func(id core.NodeID) string {
		if name := names[id]; name != "" || id == 0 {
			return name
		}
		return id.String()
	}
	for _, g := range d.Groups {
		c := g.Config
		primaries[c.Chain[0].ID] = true
		group := directoryGroup{ID: c.Group, Epoch: c.Epoch, Joining: nameOf(c.Joining.ID), Units: g.Units}
		for _, p := range c.Chain {
			group.Chain = append(group.Chain, nameOf(p.ID))
		}
		out.Groups = append(out.Groups, group)
	}
	for i := range d.Nodes {
		out.Nodes = append(out.Nodes, newDiskNode(&d.Nodes[i], primaries))
	}
	return out
}

func newDiskNode(n *core.NodeView, primaries map[core.NodeID]bool) diskNode {
	_, address := netrpc.SplitAddress(n.Addr)
	out := diskNode{ID: n.ID.String(), Name: netrpc.Printable(n.Name), Addr: netrpc.Printable(address), Boots: n.Boot, Group: n.Group, State: "known", Role: roleReplica}
	switch {
	case n.Joining != 0:
		out.Group, out.Role = n.Joining, roleJoining
	case n.Group == 0 && n.Gone:
		out.Role = roleNone
	case n.Group == 0:
		out.Role = roleSpare
	case primaries[n.ID]:
		out.Role = rolePrimary
	}
	switch {
	case n.Gone:
		out.State = "gone"
	case n.Draining && n.Group == 0:
		out.State = "drained"
	case n.Draining:
		out.State = "draining"
	}
	return out
}
