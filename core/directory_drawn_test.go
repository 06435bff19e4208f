package core

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawnDirectory is a Directory under commands that are drawn, in any order and with any
// contents: of managers that know too little, came too late, or were told nonsense by a node.
type drawnDirectory struct {
	*rapid.T
	d        *Directory
	secrets  uint64
	known    map[NodeID][]uint64        // secrets of the starts of a node that were taken
	followed map[NodeID]map[uint64]bool // secrets that a later start has followed
	turns    map[GroupID]int            // keys placed while nothing else concerned the round robin
}

func (t *drawnDirectory) number(label string, low, high int) int {
	return rapid.IntRange(low, high).Draw(t.T, label)
}

// near draws a number that is n as often as not, and else one beside it.
func (t *drawnDirectory) near(label string, n uint64) uint64 {
	return max(n, 1) - 1 + rapid.SampledFrom([]uint64{1, 1, 1, 0, 2}).Draw(t.T, label)
}

func (t *drawnDirectory) id() NodeID { return NodeID(t.number("node", 1, 8)) }

func (t *drawnDirectory) ids(label string, least int) (list []NodeID) {
	for range t.number(label, least, 3) {
		list = append(list, t.id())
	}
	return list
}

// of draws a group, its epoch or one beside it, and a node that is mostly one of its own.
func (t *drawnDirectory) of(c *Command) {
	c.Group = GroupID(t.number("group", 1, 3))
	g := t.d.group(c.Group)
	if g == nil {
		c.Epoch, c.Node.ID = 1, t.id()
		return
	}
	c.Epoch = Epoch(t.near("epoch", uint64(g.config.Epoch)))
	c.Node.ID = t.id()
	if j := g.config.Joining.ID; j != 0 && t.number("who joins", 0, 3) > 0 {
		c.Node.ID = j
	}
}

// amid draws, now and then, a command about a group amid a join: that the node that joins or a
// member is gone, or that the node is a member now; or else one that begins a join.
func (t *drawnDirectory) amid() *Command {
	for _, g := range t.d.groups {
		if t.number("amid a join", 0, 2) > 0 {
			continue
		}
		if g.config.Joining.ID == 0 {
			return &Command{Kind: CommandJoin, Group: g.config.Group, Epoch: g.config.Epoch, Node: NodeRecord{Peer: Peer{ID: t.id()}}}
		}
		c := &Command{Kind: CommandMember, Group: g.config.Group, Epoch: Epoch(t.near("epoch", uint64(g.config.Epoch))), Node: NodeRecord{Peer: Peer{ID: g.config.Joining.ID}}}
		switch t.number("what", 0, 3) {
		case 3:
			c = &Command{Kind: CommandGone, Node: c.Node}
		case 0, 1: // rapid draws low numbers more often
			c = &Command{Kind: CommandGone, Node: NodeRecord{Peer: Peer{ID: rapid.SampledFrom(g.config.Chain).Draw(t.T, "member").ID}}}
		}
		return c
	}
	return nil
}

func (t *drawnDirectory) draw() *Command {
	if c := t.amid(); c != nil {
		return c
	}
	c := &Command{Kind: CommandKind(t.number("kind", 1, int(commandKindEnd)-1))}
	if t.number("register", 0, 3) == 0 {
		c.Kind = CommandRegister
	}
	switch c.Kind {
	case CommandRegister:
		t.drawStart(c)
	case CommandPlace:
		c.Unit = Unit(fmt.Sprintf("k%d", t.number("unit", 1, 12)))
		if c.Members = t.ids("members", 0); t.number("twice", 0, 3) > 0 {
			slices.Sort(c.Members)
			c.Members = slices.Compact(c.Members) // as every manager has it
		} else {
			c.Members = nil
		}
		if t.number("skips", 0, 5) == 0 {
			c.Skip = []GroupID{GroupID(t.number("skip", 1, 3))}
		}
	case CommandReconfigure:
		t.of(c)
		c.Remove = t.ids("remove", 0)
	case CommandTerms:
		t.of(c)
		c.Terms = Terms{Reads: ReadConfirm, MinChain: uint32(t.number("min-chain", 0, 2))}
	case CommandRetire, CommandGone, CommandDrain, CommandStay:
		c.Node.ID = t.id()
		if g := t.d.group(GroupID(t.number("group", 1, 3))); g != nil && t.number("a member", 0, 2) > 0 { // till all are gone
			list := slices.Clone(g.config.Chain)
			if j := g.config.Joining; j.ID != 0 {
				list = append(list, j)
			}
			c.Node.ID = rapid.SampledFrom(list).Draw(t.T, "member").ID
		}
		if n := t.d.node(c.Node.ID); n != nil {
			c.Node.Boot = Boot(t.near("boot", uint64(n.Boot)))
		}
	case CommandJoin:
		if t.of(c); t.number("ends", 0, 3) == 0 {
			c.Node.ID = 0
		}
	default:
		t.of(c)
	}
	return c
}

// drawStart draws a start of a node: one after the known one, one from a copy of older data,
// one that moves, or one that only asks.
func (t *drawnDirectory) drawStart(c *Command) {
	id := t.id()
	for _, g := range t.d.groups { // amid a join more often than not
		if j := g.config.Joining.ID; j != 0 && t.number("who joins", 0, 1) == 0 {
			id = j
		}
	}
	t.secrets++
	c.Node = NodeRecord{Peer: Peer{ID: id, Addr: fmt.Sprintf("n%d", id)}, Boot: 1}
	c.Secret = t.secrets
	n, known := t.d.node(id), t.known[id]
	if n == nil {
		return
	}
	c.Node.Boot, c.Node.Addr = Boot(t.near("start", uint64(n.Boot)+1)), n.Addr
	if len(known) > 0 {
		c.Before = known[len(known)-1]
		if t.number("copy", 0, 2) == 0 {
			c.Before = rapid.SampledFrom(known).Draw(t.T, "before")
		}
	}
	switch t.number("start", 0, 5) {
	case 0:
		c.Node.Addr = "moved"
	case 1:
		c.Inherited = t.secrets + 1<<32
	case 2:
		c.Secret, c.Node.Boot = n.secret, n.Boot // again
	}
}

// groupState is what is compared of a group.
type groupState struct {
	config Config
	lost   bool
}

// TestADirectoryKeepsItsRulesUnderAnyCommands: a command that is refused changes nothing; a
// config follows the one before by the rules; who is used was free; a start follows another
// once; a unit stays where it is; and keys go round.
func TestADirectoryKeepsItsRulesUnderAnyCommands(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		t := &drawnDirectory{T: r, d: newDirectory(PlacementKey), known: map[NodeID][]uint64{}, followed: map[NodeID]map[uint64]bool{}, turns: map[GroupID]int{}}
		for range rapid.IntRange(1, 120).Draw(r, "commands") {
			t.apply(t.draw())
		}
	})
}

// sum is the Directory's hash, but for its index.
func (t *drawnDirectory) sum() uint64 {
	index := t.d.index
	t.d.index = 0
	defer func() { t.d.index = index }()
	return (&Manager{dir: t.d}).DirectoryHash()
}

func (t *drawnDirectory) apply(c *Command) {
	before, units, sum := map[NodeID]nodeEntry{}, maps.Clone(t.d.units), t.sum()
	for _, n := range t.d.nodes {
		before[n.ID] = *n
	}
	var groups []groupState
	for _, g := range t.d.groups {
		groups = append(groups, groupState{*g.config, t.d.lost(g)})
	}
	a := t.d.apply(c)
	refused := reflect.DeepEqual(a, applied{}) || c.Kind == CommandPlace && !a.isNew
	if refused && c.Kind != CommandHalt && c.Kind != CommandGoOn && c.Inherited == 0 && t.sum() != sum {
		t.Fatalf("%+v was refused, and changed something", c)
	}
	for unit, id := range units {
		if t.d.units[unit] != id {
			t.Fatalf("%+v moved %q from group %d to %d", c, unit, id, t.d.units[unit])
		}
	}
	t.checkNodes(c, a, before)
	t.checkGroups(c, a, before, groups)
	t.checkTurns(c, a)
}

// checkNodes: the list and the groups agree, and what became of a node is what may.
func (t *drawnDirectory) checkNodes(c *Command, a applied, before map[NodeID]nodeEntry) {
	for i, n := range t.d.nodes {
		was, old := before[n.ID]
		g, j := t.d.group(n.group), t.d.group(n.joining)
		switch {
		case n.number != i || t.d.node(n.ID) != n:
			t.Fatalf("%+v: node %d is not where the list has it", c, n.ID)
		case n.group != 0 && (n.joining != 0 || g == nil || g.config.Position(n.ID) < 0),
			n.joining != 0 && (j == nil || j.config.Joining.ID != n.ID):
			t.Fatalf("%+v: node %d is in group %d and joins %d, and these do not know it", c, n.ID, n.group, n.joining)
		case old && was.gone && !n.gone:
			t.Fatalf("%+v: what node %d held is back", c, n.ID)
		case old && was.isSpare() && !n.isSpare() && (was.gone || was.draining):
			t.Fatalf("%+v: node %d is used, and was not to be", c, n.ID)
		case old && was.Boot != n.Boot && (c.Kind != CommandRegister || c.Node.ID != n.ID || n.Boot < was.Boot || was.gone):
			t.Fatalf("%+v: node %d went from boot %d to %d", c, n.ID, was.Boot, n.Boot)
		case old && was.draining && !n.draining && c.Kind != CommandStay && !a.registered:
			t.Fatalf("%+v: node %d is not to be drained any more", c, n.ID)
		case old && n.joining != 0 && n.joining == was.joining && (n.gone || n.draining || n.Boot != was.Boot):
			t.Fatalf("%+v: node %d still joins, and has lost what came, or is not to be used", c, n.ID)
		case old && was.secret != n.secret && c.Inherited != 0 && (was.Boot != n.Boot || was.Addr != n.Addr || was.draining != n.draining):
			t.Fatalf("%+v only asked, and is taken for a start", c)
		}
	}
	if c.Kind == CommandRegister && a.registered {
		t.onStart(c, before)
	}
	if n := a.retired; n != nil {
		if was := before[n.ID]; !was.isSpare() || was.Boot != c.Node.Boot || t.d.node(n.ID) != nil {
			t.Fatalf("%+v: a node was retired that is used, or was started anew: %+v", c, was)
		}
		delete(t.known, n.ID)
		delete(t.followed, n.ID)
	}
}

// onStart: of several starts from the same data one is taken.
func (t *drawnDirectory) onStart(c *Command, before map[NodeID]nodeEntry) {
	id := c.Node.ID
	if _, old := before[id]; old {
		if t.followed[id] == nil {
			t.followed[id] = map[uint64]bool{}
		}
		if t.followed[id][c.Before] {
			t.Fatalf("%+v: a second start follows the same one", c)
		}
		t.followed[id][c.Before] = true
	}
	t.known[id] = append(t.known[id], c.Secret)
}

// checkGroups: each config follows the one before, and nobody was told another.
func (t *drawnDirectory) checkGroups(c *Command, a applied, before map[NodeID]nodeEntry, groups []groupState) {
	changed := 0
	for i, g := range t.d.groups {
		n := g.config
		if len(n.Chain) == 0 || n.Group != GroupID(i+1) {
			t.Fatalf("%+v: group %d has the config %+v", c, i+1, n)
		}
		for j, p := range n.Chain {
			if node := t.d.node(p.ID); n.Position(p.ID) != j || node == nil || node.group != n.Group || p.ID == n.Joining.ID {
				t.Fatalf("%+v: group %d has a chain that cannot be: %+v", c, n.Group, n)
			}
		}
		if i >= len(groups) {
			changed++
			continue
		}
		was := &groups[i].config
		if reflect.DeepEqual(was, n) {
			continue
		}
		changed++
		t.checkStep(c, was, n, groups[i].lost)
	}
	if changed != len(a.changed) && !(a.formed && changed == 1) {
		t.Fatalf("%+v: %d configs came into being, and %d are told", c, changed, len(a.changed))
	}
}

func (t *drawnDirectory) checkStep(c *Command, was, n *Config, lost bool) {
	named := c.Kind == CommandReconfigure || c.Kind == CommandJoin || c.Kind == CommandMember || c.Kind == CommandTerms
	grew := len(n.Chain) > len(was.Chain)
	stayed := 0
	for _, p := range was.Chain {
		if stayed < len(n.Chain) && n.Chain[stayed].ID == p.ID {
			stayed++
		}
	}
	switch {
	case n.Epoch != was.Epoch+1:
		t.Fatalf("%+v: group %d went from epoch %d to %d", c, n.Group, was.Epoch, n.Epoch)
	case named && (c.Group != n.Group || c.Epoch != was.Epoch):
		t.Fatalf("%+v changed group %d at epoch %d", c, n.Group, was.Epoch)
	case grew && (c.Kind != CommandMember || n.Chain[len(n.Chain)-1].ID != was.Joining.ID || was.Joining.ID == 0 || len(n.Chain) != len(was.Chain)+1 || lost || n.Joining.ID != 0):
		t.Fatalf("%+v: group %d got another member than who joined: %+v after %+v", c, n.Group, n, was)
	case stayed != min(len(n.Chain), len(was.Chain)):
		t.Fatalf("%+v: group %d is in another order: %+v after %+v", c, n.Group, n, was)
	case len(n.Chain) < len(was.Chain) && c.Kind != CommandReconfigure:
		t.Fatalf("%+v took members from group %d", c, n.Group)
	case n.Joining.ID != was.Joining.ID && n.Joining.ID != 0 && (was.Joining.ID != 0 || c.Kind != CommandJoin || n.Start != n.Epoch || lost):
		t.Fatalf("%+v: group %d has a join that cannot be: %+v after %+v", c, n.Group, n, was)
	case n.Joining.ID == 0 && n.Start != 0, n.Joining.ID == was.Joining.ID && n.Start != was.Start:
		t.Fatalf("%+v: the join of group %d has another name: %+v after %+v", c, n.Group, n, was)
	case n.Terms() != was.Terms() && (c.Kind != CommandTerms || n.Terms() != c.Terms):
		t.Fatalf("%+v: group %d got other terms: %+v after %+v", c, n.Group, n, was)
	}
}

// checkTurns: while no group is skipped, lost or new, each has its turn before one has two.
func (t *drawnDirectory) checkTurns(c *Command, a applied) {
	alone := c.Kind == CommandPlace && a.isNew && !a.formed && len(c.Skip) == 0
	if c.Kind == CommandGone || c.Kind == CommandPlace && a.isNew && !alone {
		clear(t.turns)
	}
	if !alone {
		return
	}
	if t.d.lost(t.d.group(a.mapped)) {
		t.Fatalf("%+v: group %d is lost, and got a key", c, a.mapped)
	}
	t.turns[a.mapped]++
	for i, g := range t.d.groups {
		if id := GroupID(i + 1); !t.d.lost(g) && t.turns[a.mapped] > t.turns[id]+1 {
			t.Fatalf("%+v: group %d has its turn for the %d. time, and group %d for the %d.", c, a.mapped, t.turns[a.mapped], id, t.turns[id])
		}
	}
}
