package quorum

import (
	"encoding/binary"
	"fmt"
	"strings"

	"gtstore/core"
	"gtstore/core/wire"
)

// The keys of a node's durable space. All begin with "quorum/", so that the owner's records
// can stand beside them.
const (
	keyState    = "quorum/state"
	keySnapshot = "quorum/snapshot"
	keyPromise  = "quorum/promise" // of a Manager without a state
	prefixPart  = "quorum/part/"   // + index of the snapshot + number
	prefixLog   = "quorum/log/"    // + index
)

// The first byte of a record, above those of package core.
const (
	tagState = 0xc0 + iota
	tagSnapshot
	tagPart
	tagLogEntry
	tagPromise
)

// founded is where the log of a new group begins: its members, and the owner's first state,
// are a snapshot at that position.
var founded = Position{Term: 1, Index: 1}

// coded is what has one list of its fields, for both directions.
type coded interface{ code(c *wire.Coder) }

// stateRecord is what a node must not forget, and whose it is.
type stateRecord struct {
	id core.NodeID
	hardState
}

func (s *stateRecord) code(c *wire.Coder) {
	wire.Fixed64(c, &s.id)
	count(c, &s.term)
	wire.Fixed64(c, &s.vote)
	count(c, &s.commit)
}

// promiseRecord is what a Manager must not forget that is empty: the id under which others may
// count on it, and the cluster. With the cluster 0 nobody may any more: it begins anew, under
// another id. Something has to be left even then, since a directory that holds nothing, though
// something was written to it, would pass for a damaged one.
type promiseRecord struct {
	id      core.NodeID
	cluster core.ClusterID
}

func (p *promiseRecord) code(c *wire.Coder) {
	wire.Fixed64(c, &p.id)
	wire.Fixed64(c, &p.cluster)
}

// snapshotRecord says which state the parts are, and where the log begins.
type snapshotRecord struct {
	at, base Position
	members  Members
	parts    uint64
}

func (s *snapshotRecord) code(c *wire.Coder) {
	s.at.code(c)
	s.base.code(c)
	s.members.code(c)
	count(c, &s.parts)
}

// partRecord is a part of a snapshot.
type partRecord struct{ data string }

func (p *partRecord) code(c *wire.Coder) { wire.String(c, &p.data, partBytesMax) }

func ordered(prefix string, numbers ...uint64) string {
	key := []byte(prefix)
	for _, n := range numbers {
		key = binary.BigEndian.AppendUint64(key, n)
	}
	return string(key)
}

func logKey(i Index) string { return ordered(prefixLog, uint64(i)) }

func (n *Node) persist(key string, tag byte, v coded) {
	n.out.Persist = append(n.out.Persist, write(key, tag, v))
}

func write(key string, tag byte, v coded) core.Write {
	c := wire.NewRecord(nil)
	c.Tag(tag)
	v.code(&c)
	if err := c.Err(); err != nil {
		panic(fmt.Sprintf("quorum: a %T to be made durable is outside the limits: %v", v, err))
	}
	return core.Write{Key: key, Value: string(c.SealFor(key))}
}

// unpersistLog deletes the entries from one index to another.
func (n *Node) unpersistLog(from, to Index) {
	if n.opt.Durable && from <= to {
		n.out.Persist = append(n.out.Persist, core.Write{Key: logKey(from), Delete: true, End: logKey(to + 1)})
	}
}

// persistSnapshot makes the state at the applied position durable, in place of an earlier
// one, in one batch with all else of this call.
func (n *Node) persistSnapshot() {
	if !n.opt.Durable {
		return
	}
	text := n.machine.Snapshot()
	if n.parts > 0 && n.folded != n.applied {
		old := uint64(n.folded.Index)
		n.out.Persist = append(n.out.Persist, core.Write{Key: ordered(prefixPart, old), Delete: true, End: ordered(prefixPart, old+1)})
	}
	n.folded, n.foldBytes, n.parts = n.applied, len(text), n.partCount(text)
	for i := range n.parts {
		n.persist(ordered(prefixPart, uint64(n.folded.Index), i), tagPart, &partRecord{n.partOf(text, i)})
	}
	n.persist(keySnapshot, tagSnapshot, &snapshotRecord{at: n.folded, base: n.log.base, members: n.members, parts: n.parts})
}

// fold trims the log of what is applied, once that is twice LogBytes, or twice the state
// where that is more: so a durable node writes no more for snapshots than for commands. The
// last LogBytes are kept for members that lag, and likewise what a member needs that gets a
// snapshot just now, unless that is four times as much as what begins this.
func (n *Node) fold() {
	limit := 2 * max(n.opt.LogBytes, n.foldBytes)
	bytes := n.log.bytes
	if bytes <= limit {
		return
	}
	for i := n.applied.Index + 1; i <= n.log.last(); i++ {
		bytes -= sizeOf(n.log.at(i))
	}
	if bytes <= limit {
		return
	}
	to, gone := n.log.base.Index, 0
	for to < n.applied.Index && bytes-gone > n.opt.LogBytes && (bytes > 4*limit || !n.sends(to)) {
		to++
		gone += sizeOf(n.log.at(to))
	}
	if gone < limit/4 {
		return // for so little no snapshot is worth it
	}
	n.unpersistLog(n.log.base.Index+1, to)
	n.log.trim(to)
	n.persistSnapshot()
}

// restore takes up what an earlier start made durable, or founds a group.
func (n *Node) restore(space core.Space) error {
	if !n.opt.Durable {
		space = core.Empty{}
	}
	var state stateRecord
	var head snapshotRecord
	if err := readOne(space, keyState, tagState, &state); err != nil {
		return err
	}
	if err := readOne(space, keySnapshot, tagSnapshot, &head); err != nil {
		return err
	}
	switch {
	case state.id != 0 && state.id != n.self.ID:
		return fmt.Errorf("quorum: these data are of manager %v, not of %v: start it under its own id", state.id, n.self.ID)
	case head.parts > 0:
		if err := n.restoreSnapshot(space, &head); err != nil {
			return err
		}
	case len(n.opt.Found) > 0:
		n.members, n.applied, n.folded = n.opt.founding(), founded, founded
		n.log.reset(founded)
	}
	n.log.hard, n.written = state.hardState, state.commit
	if err := n.restoreLog(space); err != nil {
		return err
	}
	if n.log.hard.commit > n.log.last() || n.log.last() < n.applied.Index {
		return fmt.Errorf("quorum: manager %v: %w: the log ends at %d, but %d is committed and the snapshot is of %d",
			n.self.ID, core.ErrDamaged, n.log.last(), n.log.hard.commit, n.applied.Index)
	}
	// The commit point is not written by itself, so it may be before the snapshot.
	n.log.hard.commit = max(n.log.hard.commit, n.applied.Index)
	n.log.hard.term = max(n.log.hard.term, n.applied.Term)
	return nil
}

func (n *Node) restoreSnapshot(space core.Space, head *snapshotRecord) error {
	var text strings.Builder
	number := uint64(0)
	err := records(space, ordered(prefixPart, uint64(head.at.Index)), func(k, v string) error {
		var part partRecord
		if k != ordered(prefixPart, uint64(head.at.Index), number) {
			return fmt.Errorf("the snapshot at %d has no part %d", head.at.Index, number)
		}
		number++
		err := read(k, v, tagPart, &part)
		text.WriteString(part.data)
		return err
	})
	if err != nil {
		return err
	}
	if number != head.parts {
		return fmt.Errorf("quorum: manager %v: %w: %d of the %d parts of the snapshot at %d are there", n.self.ID, core.ErrDamaged, number, head.parts, head.at.Index)
	}
	if err := n.machine.Restore(text.String()); err != nil {
		return fmt.Errorf("quorum: manager %v: the snapshot at %d: %w", n.self.ID, head.at.Index, err)
	}
	n.members, n.applied, n.folded = head.members, head.at, head.at
	n.foldBytes, n.parts = text.Len(), head.parts
	n.log.reset(head.base)
	return nil
}

func (n *Node) restoreLog(space core.Space) error {
	return records(space, prefixLog, func(k, v string) error {
		var e Entry
		if err := read(k, v, tagLogEntry, &e); err != nil {
			return fmt.Errorf("the entry behind %d: %w", n.log.last(), err)
		}
		next := n.log.last() + 1
		if k != logKey(next) {
			return fmt.Errorf("there is no entry at %d", next)
		}
		if before, _ := n.log.term(next - 1); e.Term < before || e.Term > n.log.hard.term {
			return fmt.Errorf("the entry at %d is of term %d, the one before it of %d, and the present term is %d", next, e.Term, before, n.log.hard.term)
		}
		held := entryToRaft(next, &e)
		n.log.entries = append(n.log.entries, held)
		n.log.bytes += sizeOf(held)
		return nil
	})
}

// records calls f with every record of a kind. What f returns is damage; an error of the
// Space itself is none.
func records(space core.Space, prefix string, f func(key, text string) error) error {
	return space.Range(prefix, func(k, v string) error {
		if err := f(k, v); err != nil {
			return fmt.Errorf("quorum: %w: %w", core.ErrDamaged, err)
		}
		return nil
	})
}

func readOne(space core.Space, key string, tag byte, v coded) error {
	return records(space, key, func(k, text string) error { return read(k, text, tag, v) })
}

func read(key, text string, tag byte, v coded) error {
	var c wire.Coder
	c.OpenRecord(text, key)
	c.Tag(tag)
	v.code(&c)
	if err := c.End(); err != nil {
		return fmt.Errorf("%T: %w", v, err)
	}
	return nil
}
