package core

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"gtstore/core/wire"
)

// A durable manager keeps the Directory as records, one for each node, group and unit,
// and the commands since. The first, of an empty Directory, says the placement, and is as old
// as the manager's identity. A command is durable before anything that shows it. Once there are
// CommandsKeep of them that are applied, they are folded into the records: each record that
// they changed is written, once, and they are deleted, in one batch. So neither the size on
// the disk nor the time of a restart grows with what has happened, and no batch grows with
// the cluster or the number of keys.

// directoryRecord says which state of the Directory the other records are, and how many of
// them there are: one that is missing is noticed.
type directoryRecord struct {
	placement            Placement
	index                Index
	turn                 int
	nodes, groups, units int
}

// record is what the Directory's own record says.
func (d *Directory) record() *directoryRecord {
	return &directoryRecord{d.placement, d.index, d.turn, len(d.nodes), len(d.groups), len(d.units)}
}

func (d *directoryRecord) code(c *wire.Coder) {
	d.placement.code(c)
	wire.Uint(c, &d.index)
	for _, n := range []*int{&d.turn, &d.nodes, &d.groups, &d.units} {
		u := uint64(*n)
		wire.Uint(c, &u)
		c.CheckMax(int(u>>31), 0, "count of records, in 2^31")
		*n = int(u)
	}
}

// The group of a node, and what it joins, stand in the records of the groups.
func (n *nodeEntry) code(c *wire.Coder) {
	n.Peer.code(c)
	wire.String(c, &n.Name, NameBytesMax)
	wire.Uint(c, &n.Process)
	wire.Uint(c, &n.Boot)
	wire.Fixed64(c, &n.secret)
	c.Bool(&n.gone)
	c.Bool(&n.draining)
	c.Bool(&n.replaced)
}

// mapping is the group of a unit.
type mapping struct{ group GroupID }

func (m *mapping) code(c *wire.Coder) { wire.Uint(c, &m.group) }

// fold is what is to become of the commands that are durable and applied.
type fold struct {
	from    Index        // the records are to be the state at that index, so far
	nodes   []*nodeEntry // whose records the commands since have changed, each once or more
	groups  []GroupID
	units   []Unit
	batches [][]Write // that were made and not yet taken out
}

// noteChange notes which records a command has changed, and folds when it is time. Which they
// are shows in the command and in what it did: a command that changes a node names it, but for
// those that a new node replaces.
func (m *Manager) noteChange(c *Command, a *applied) {
	if !m.opt.Durable || m.several != nil {
		return
	}
	f := &m.fold
	if a.retired != nil {
		f.nodes = append(f.nodes, a.retired)
	} else if n := m.dir.node(c.Node.ID); n != nil {
		f.nodes = append(f.nodes, n)
	}
	f.nodes = append(f.nodes, a.replaced...)
	for _, config := range a.changed {
		f.groups = append(f.groups, config.Group)
	}
	if a.isNew {
		f.units = append(f.units, c.Unit)
	}
	if m.dir.index-f.from >= Index(m.opt.CommandsKeep) {
		f.batches = append(f.batches, m.makeFold())
		*f = fold{from: m.dir.index, nodes: f.nodes[:0], groups: f.groups[:0], units: f.units[:0], batches: f.batches}
	}
}

// makeFold returns the writes that make the records the state as it is, and delete the
// commands up to it.
func (m *Manager) makeFold() (writes []Write) {
	d, f := m.dir, &m.fold
	set := func(key string, tag byte, v coded) {
		writes = append(writes, Write{Key: key, Value: m.record(key, tag, v)})
	}
	slices.SortFunc(f.nodes, func(a, b *nodeEntry) int { return cmp.Compare(a.since, b.since) })
	for _, n := range slices.Compact(f.nodes) {
		if key := ordered(prefixNode, uint64(n.since)); d.node(n.ID) == n {
			set(key, tagNode, n)
		} else {
			writes = append(writes, Write{Key: key, Delete: true})
		}
	}
	slices.Sort(f.groups)
	for _, id := range slices.Compact(f.groups) {
		set(ordered(prefixGroup, uint64(id)), tagConfig, d.group(id).config)
	}
	for _, u := range f.units {
		set(prefixUnit+string(u), tagMapping, &mapping{d.units[u]})
	}
	set(keyDirectory, tagDirectory, d.record())
	clear(f.nodes) // the retired need not be kept
	return append(writes, Write{Key: ordered(prefixCommand, uint64(f.from+1)), Delete: true, End: ordered(prefixCommand, uint64(d.index+1))})
}

// persistFold takes out the next batch of a fold, with each command and each round of pings
// one at most: after a restart there can be many.
func (m *Manager) persistFold() {
	if f := &m.fold; len(f.batches) > 0 {
		m.out.Persist = append(m.out.Persist, f.batches[0]...)
		f.batches = f.batches[1:]
	}
}

// restore takes up what the records say.
func (d *Directory) restore(space Space) error {
	r := directoryReader{Directory: d}
	for _, kind := range []struct {
		prefix string
		read   func(key, text string) error
	}{{keyDirectory, r.readHead}, {prefixNode, r.readNode}, {prefixGroup, r.readGroup}, {prefixUnit, r.readUnit}} {
		if err := records(space, kind.prefix, kind.read); err != nil {
			return err
		}
	}
	err := r.complete()
	if r.head.placement == 0 {
		err = errNoDirectory
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

var errNoDirectory = errors.New("there is no record of the Directory")

// directoryReader fills a Directory from its records, which have to come in this order:
// head, nodes, groups, units.
type directoryReader struct {
	*Directory
	head    directoryRecord
	reader  reader
	mapping mapping
}

func (d *directoryReader) readHead(k, v string) error {
	var r directoryRecord
	if err := readRecord(k, v, tagDirectory, &r); err != nil {
		return err
	}
	d.head = r
	d.placement, d.index, d.turn = r.placement, r.index, r.turn
	return nil
}

func (d *directoryReader) readNode(k, v string) error {
	n := &nodeEntry{number: len(d.nodes)}
	if err := readRecord(k, v, tagNode, n); err != nil {
		return fmt.Errorf("the record of the node behind %d others: %w", n.number, err)
	}
	since, _ := number(k[len(prefixNode):])
	n.since = Index(since)
	if d.node(n.ID) != nil || n.ID == 0 {
		return fmt.Errorf("there are two records of node %v", n.ID)
	}
	d.nodes = append(d.nodes, n)
	d.byID[n.ID] = n
	return nil
}

// readGroup reads a config, and from it in which group each of its nodes is.
func (d *directoryReader) readGroup(k, v string) error {
	c, id := new(Config), GroupID(len(d.groups)+1)
	if err := readRecord(k, v, tagConfig, c); err != nil {
		return fmt.Errorf("the record of the group after %d: %w", id-1, err)
	}
	if c.Group != id {
		return fmt.Errorf("there is a record of group %d, but none of group %d", c.Group, id)
	}
	for i, p := range append(c.Chain[:len(c.Chain):len(c.Chain)], c.Joining) {
		n := d.node(p.ID)
		switch {
		case p.ID == 0:
		case n == nil || !n.isSpare():
			return fmt.Errorf("node %v of group %d has no record, or is in another group", p.ID, id)
		case i < len(c.Chain):
			n.group = id
		default:
			n.joining = id
		}
	}
	d.groups = append(d.groups, &groupEntry{config: c})
	return nil
}

func (d *directoryReader) readUnit(k, v string) error {
	if len(d.units) == 0 && len(d.groups) > 0 {
		d.units = make(map[Unit]GroupID, min(d.head.units, unitBytesMax/unitOverhead))
	}
	if err := d.reader.read(k, v, tagMapping, &d.mapping); err != nil {
		return fmt.Errorf("the record of a unit: %w", err)
	}
	u := Unit(k[len(prefixUnit):])
	if !d.placement.has(u) {
		return fmt.Errorf("there is a record of unit %q, which placement %v has not", u, d.placement)
	}
	if d.group(d.mapping.group) == nil {
		return fmt.Errorf("unit %q is of group %d, which has no record", u, d.mapping.group)
	}
	d.units[u] = d.mapping.group
	d.unitBytes += len(u) + unitOverhead
	return nil
}

// complete returns an error unless there are as many records as there should be.
func (d *directoryReader) complete() error {
	r := &d.head
	if len(d.nodes) != r.nodes || len(d.groups) != r.groups || len(d.units) != r.units || d.turn > 0 && d.turn >= len(d.groups) {
		return fmt.Errorf("the records at index %d are of %d nodes, %d groups and %d units, but should be of %d, %d and %d",
			r.index, len(d.nodes), len(d.groups), len(d.units), r.nodes, r.groups, r.units)
	}
	return nil
}
