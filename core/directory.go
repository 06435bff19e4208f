package core

import (
	"fmt"
	"slices"
)

// Directory is the manager's replicated state. It changes only by apply, one
// command after the other, so that whoever applies the same commands has the
// same Directory.
type Directory struct {
	index     Index
	nodes     []*nodeEntry // in the order of registration, nodesMax at most
	byID      map[NodeID]*nodeEntry
	groups    []*groupEntry
	placement Placement // which unit a key belongs to; from the beginning
	units     map[Unit]GroupID
	unitBytes int // about what units takes in memory
	turn      int // whose turn it is in the round robin of groups
	// halting: several managers are about to end, since a group is lost.
	halting bool
}

// The map of units only grows: a unit keeps its group though all its keys are deleted,
// since a client may still believe the old mapping, and would be told that a key is absent
// by a group that no longer has it.
const (
	unitBytesMax = 2 << 30
	unitOverhead = 128 // of an entry of a map

	// DirectoryTextMax bounds the Directory as one of several managers gets it that lags: a larger
	// one could never be taken in. In the text a unit takes less than in memory, and the rest has
	// room for nodes and groups.
	DirectoryTextMax = 1 << 30
	directoryRest    = 64 << 20
)

// hasRoom tells whether there is room for another unit.
func (m *Manager) hasRoom() bool {
	if m.several != nil {
		return m.dir.unitBytes < DirectoryTextMax-directoryRest
	}
	return m.dir.unitBytes < unitBytesMax
}

// nodeEntry is a registered node. It is a member of the group that group names, or on
// the way to become a member of the one that joining names. When both are 0 it is an
// uninitialised node (a spare).
type nodeEntry struct {
	NodeRecord
	secret  uint64 // of its start; see follows
	number  int    // its index in Directory.nodes, and in Manager.contacts
	since   Index  // of the command that listed it: their order is that of nodes
	group   GroupID
	joining GroupID
	gone    bool // its data is certainly gone: it said farewell in memory mode, or was forgotten
	// draining: an operator wants to stop it. It is not to be used until it is started
	// anew, and as a member it is to go when others are there.
	draining bool
	// replaced: a new node began at its address after it registered, so whoever answers
	// there may have been started on its disk, after that had lost its data.
	replaced bool
}

type groupEntry struct {
	config *Config
	// presumed is how sure several managers are that no copy is left. One that is alone
	// keeps this to itself: see watch.
	presumed loss
}

// applied tells what a command changed.
type applied struct {
	registered bool         // Register: the record is new
	replaced   []*nodeEntry // Register: those whose address a new node has
	formed     bool         // Place: a group was formed
	mapped     GroupID      // Place: the group of the unit, 0 when there is none for it
	isNew      bool         // Place: the unit was not mapped before
	gone       bool         // Gone: the node was there and not gone before
	drain      bool         // Drain, Stay: it is to be drained, or no more
	retired    *nodeEntry   // Retire: it is off the list, where its number was its place
	changed    []*Config    // the configs that came into being
	presumed   bool         // Found, Silent, Lost: it is news
}

// follows tells whether a start of the node that registers comes after the one that is
// known, or is that one. Its data then are those that the known start left: they say which
// secret the manager knew last. So of two starts from copies of one directory only the first
// is taken, and none from a copy that is older than the known start. A node begins no new
// secret while it has not heard that the manager knows the last one, as the manager may know
// it.
func (n *nodeEntry) follows(c *Command) bool {
	switch {
	case c.Inherited != 0:
		return c.Inherited == n.secret || c.Before == n.secret
	case c.Node.Boot == n.Boot: // an address is for a whole start
		return c.Secret == n.secret && c.Node.Addr == n.Addr
	}
	return c.Node.Boot > n.Boot && c.Before == n.secret
}

func (n *nodeEntry) isSpare() bool { return n.group == 0 && n.joining == 0 }

func newDirectory(p Placement) *Directory {
	return &Directory{placement: p, byID: make(map[NodeID]*nodeEntry), units: make(map[Unit]GroupID)}
}

// node returns the registered node with that id, or nil.
func (d *Directory) node(id NodeID) *nodeEntry { return d.byID[id] }

func (d *Directory) group(id GroupID) *groupEntry {
	if id < 1 || id > GroupID(len(d.groups)) {
		return nil
	}
	return d.groups[id-1]
}

// lost tells whether no copy of the group is left for certain.
func (d *Directory) lost(g *groupEntry) bool {
	for _, p := range g.config.Chain {
		if !d.node(p.ID).gone {
			return false
		}
	}
	return true
}

// apply carries out the next command.
func (d *Directory) apply(c *Command) applied {
	d.index++
	switch c.Kind {
	case CommandRegister:
		return d.register(c)
	case CommandPlace:
		return d.place(c)
	case CommandReconfigure:
		return d.reconfigure(c)
	case CommandGone:
		return d.forget(c)
	case CommandJoin:
		return d.join(c)
	case CommandMember:
		return d.member(c)
	case CommandDrain:
		return d.drain(c)
	case CommandStay:
		return d.letStay(c)
	case CommandRetire:
		return d.retire(c)
	case CommandTerms:
		return d.setTerms(c)
	case CommandFound, CommandDoubtful, CommandLost:
		return d.presume(c)
	case CommandHalt, CommandGoOn:
		d.halting = c.Kind == CommandHalt
		return applied{}
	}
	panic(fmt.Sprintf("core: directory command at index %d is of unknown kind %d", d.index, c.Kind))
}

func (d *Directory) register(c *Command) applied {
	n := d.node(c.Node.ID)
	if c.Inherited != 0 && n != nil {
		if !n.gone && n.follows(c) {
			n.secret = c.Inherited
		}
		return applied{}
	}
	if n == nil {
		n = &nodeEntry{NodeRecord: c.Node, secret: c.Secret, number: len(d.nodes), since: d.index}
		if c.Inherited != 0 { // that start is over, and the present one still to register
			n.Boot--
			n.secret = c.Inherited
		}
		d.nodes = append(d.nodes, n)
		d.byID[n.ID] = n
		return applied{registered: true, replaced: d.replace(n)}
	}
	moved := n.Addr != c.Node.Addr
	if n.gone || c.Node.Boot == n.Boot || !n.follows(c) {
		return applied{}
	}
	n.NodeRecord, n.secret = c.Node, c.Secret
	n.draining, n.replaced = false, false
	a := applied{registered: true}
	if g := d.group(n.group); g != nil && (moved || g.config.Chain[0].ID == n.ID) {
		a.changed = append(a.changed, d.issue(g, nil))
	}
	if n.joining != 0 {
		a.changed = append(a.changed, d.endJoin(d.group(n.joining)))
	}
	return a
}

// replace notes at whose addresses a new node has begun, and returns them.
func (d *Directory) replace(by *nodeEntry) (list []*nodeEntry) {
	for _, n := range d.nodes {
		if n.Addr == by.Addr && n != by && !n.gone && !n.replaced {
			n.replaced = true
			list = append(list, n)
		}
	}
	return list
}

func (d *Directory) place(c *Command) applied {
	if id, ok := d.units[c.Unit]; ok {
		return applied{mapped: id}
	}
	var a applied
	g := d.form(c.Members, &c.Terms)
	if g != nil {
		a.formed, a.changed = true, []*Config{g.config}
	} else if g = d.next(c.Skip); g == nil {
		return applied{}
	}
	a.mapped, a.isNew = g.config.Group, true
	d.units[c.Unit] = a.mapped
	d.unitBytes += len(c.Unit) + unitOverhead
	return a
}

// form makes a group of uninitialised nodes: the first is the primary.
func (d *Directory) form(members []NodeID, t *Terms) *groupEntry {
	chain := make([]Peer, 0, len(members))
	for _, id := range members {
		n := d.node(id)
		if n == nil || n.gone || n.draining || !n.isSpare() {
			return nil
		}
		chain = append(chain, n.Peer)
	}
	if len(chain) == 0 {
		return nil
	}
	id := GroupID(len(d.groups) + 1)
	for _, p := range chain {
		d.node(p.ID).group = id
	}
	g := &groupEntry{config: &Config{Group: id, Epoch: 1, Chain: chain, Reads: t.Reads, Lease: t.Lease, MinChain: t.MinChain}}
	d.groups = append(d.groups, g)
	return g
}

// next takes the group whose turn it is in the round robin, passing over those
// that are lost or to be skipped; nil when none is left.
func (d *Directory) next(skip []GroupID) *groupEntry {
	for range d.groups {
		g := d.groups[d.turn%len(d.groups)]
		d.turn = (d.turn + 1) % len(d.groups)
		if !slices.Contains(skip, g.config.Group) && !d.lost(g) {
			return g
		}
	}
	return nil
}

// reconfigure takes members out of a chain: by compare-and-set on the epoch,
// and never the last (rule R2).
func (d *Directory) reconfigure(c *Command) applied {
	g := d.group(c.Group)
	if g == nil || g.config.Epoch != c.Epoch {
		return applied{}
	}
	stay := 0
	for _, p := range g.config.Chain {
		if !slices.Contains(c.Remove, p.ID) {
			stay++
		}
	}
	if stay == 0 {
		return applied{}
	}
	return applied{changed: []*Config{d.issue(g, c.Remove)}}
}

// issue gives a group its next config: the chain without the removed, in its
// order, so that a primary is followed by the next member that survives. The
// removed are in no group and thereby uninitialised nodes again.
func (d *Directory) issue(g *groupEntry, remove []NodeID) *Config {
	next := *g.config
	next.Epoch++
	if next.Joining.ID != 0 {
		next.Joining = d.node(next.Joining.ID).Peer
	}
	next.Chain = make([]Peer, 0, len(g.config.Chain))
	for _, p := range g.config.Chain {
		n := d.node(p.ID)
		if slices.Contains(remove, p.ID) {
			n.group = 0
		} else {
			next.Chain = append(next.Chain, n.Peer)
		}
	}
	g.config = &next
	return &next
}

func (d *Directory) forget(c *Command) applied {
	n := d.node(c.Node.ID)
	if n == nil || n.gone {
		return applied{}
	}
	n.gone = true
	a := applied{gone: true}
	if n.joining != 0 {
		a.changed = append(a.changed, d.endJoin(d.group(n.joining)))
	}
	return a
}

// drain marks a node as one that is not to be used. Commands that were about to use the
// node come before it, so what the operator is told stays true.
func (d *Directory) drain(c *Command) applied {
	n := d.node(c.Node.ID)
	if n == nil || n.gone || n.draining {
		return applied{}
	}
	n.draining = true
	a := applied{drain: true}
	if n.joining != 0 {
		a.changed = append(a.changed, d.endJoin(d.group(n.joining)))
	}
	return a
}

// letStay takes a drain back, while the node is still a member.
func (d *Directory) letStay(c *Command) applied {
	n := d.node(c.Node.ID)
	if n == nil || n.gone || !n.draining || n.group == 0 {
		return applied{}
	}
	n.draining = false
	return applied{drain: true}
}

// join starts or ends a join. A join is named by the epoch in which it starts.
func (d *Directory) join(c *Command) applied {
	g := d.group(c.Group)
	if g == nil || g.config.Epoch != c.Epoch {
		return applied{}
	}
	if c.Node.ID == 0 {
		if g.config.Joining.ID == 0 {
			return applied{}
		}
		return applied{changed: []*Config{d.endJoin(g)}}
	}
	n := d.node(c.Node.ID)
	if n == nil || n.gone || n.draining || !n.isSpare() || g.config.Joining.ID != 0 || len(g.config.Chain) == ChainMax || d.lost(g) {
		return applied{}
	}
	n.joining = c.Group
	next := d.issue(g, nil)
	next.Joining, next.Start = n.Peer, next.Epoch
	return applied{changed: []*Config{next}}
}

func (d *Directory) endJoin(g *groupEntry) *Config {
	d.node(g.config.Joining.ID).joining = 0
	next := d.issue(g, nil)
	next.Joining, next.Start = Peer{}, 0
	return next
}

// presume notes that a group is held for lost, or no more. It is about the members of one
// epoch: of others the manager that said so may know nothing.
func (d *Directory) presume(c *Command) applied {
	g := d.group(c.Group)
	l := loss(c.Kind - CommandFound) // they are in the order of the losses
	if g == nil || g.config.Epoch != c.Epoch || g.presumed == l {
		return applied{}
	}
	g.presumed = l
	return applied{presumed: true}
}

// member makes the node that joins the last of the chain. Only its primary may
// ask for that, and does so for exactly one join and epoch (rule R2). A group
// that was lost meanwhile stays lost: clients have been told.
func (d *Directory) member(c *Command) applied {
	g := d.group(c.Group)
	if g == nil || g.config.Epoch != c.Epoch || c.Node.ID == 0 || g.config.Joining.ID != c.Node.ID || d.lost(g) {
		return applied{}
	}
	n := d.node(c.Node.ID)
	n.group, n.joining = n.joining, 0
	next := d.issue(g, nil)
	next.Chain = append(next.Chain, n.Peer)
	next.Joining, next.Start = Peer{}, 0
	return applied{changed: []*Config{next}}
}
