package sim

import (
	"maps"
	"slices"
	"strings"

	"gtstore/core"
)

// disk is what a host's durable storage holds, and what is on its way there. It
// implements core.Space.
type disk struct {
	space   map[string]string
	journal []core.Write // durable, but not yet taken over into space: see fold

	batches []batch // not durable yet, oldest first
	covered int     // how many of them the sync under way covers; 0 with none under way
	latency int64   // of a sync that begins now, in nanoseconds
	spare   []batch
}

// batch is what one Output wants to be durable, and what waits for it.
type batch struct {
	writes []core.Write
	after  []core.Envelope
}

// journalMax bounds the memory that the journal takes between two folds.
const journalMax = 1 << 14

// write adds a batch that the next sync to begin will cover.
func (d *disk) write(writes []core.Write) {
	var b batch
	if n := len(d.spare); n > 0 {
		b = d.spare[n-1]
		d.spare = d.spare[:n-1]
	}
	b.writes = append(b.writes, writes...)
	d.batches = append(d.batches, b)
}

// clean reports that everything written is durable.
func (d *disk) clean() bool { return len(d.batches) == 0 }

// await makes an envelope leave when all that is written now is durable. The
// disk must not be clean.
func (d *disk) await(e *core.Envelope) {
	last := &d.batches[len(d.batches)-1]
	last.after = append(last.after, *e)
}

// begin starts a sync of all batches and reports whether there is one to start.
func (d *disk) begin() bool {
	if d.covered > 0 || len(d.batches) == 0 {
		return false
	}
	d.covered = len(d.batches)
	return true
}

// finish ends the sync under way: what it covered is durable. It hands the
// envelopes that waited for that to leave, in order.
func (d *disk) finish(leave func(*core.Envelope)) {
	n := d.covered
	d.covered = 0
	for i := range n {
		b := &d.batches[i]
		d.journal = append(d.journal, b.writes...)
		for j := range b.after {
			leave(&b.after[j])
		}
		clear(b.writes)
		clear(b.after)
		d.spare = append(d.spare, batch{b.writes[:0], b.after[:0]})
	}
	d.batches = slices.Delete(d.batches, 0, n)
	if len(d.journal) > journalMax {
		d.fold()
	}
}

// crash loses what was not durable, but for the first keep batches: a disk may
// have written more than it said. Which envelopes waited is forgotten with the
// process that wanted to send them.
func (d *disk) crash(keep int) {
	for i := range min(max(keep, 0), len(d.batches)) {
		d.journal = append(d.journal, d.batches[i].writes...)
	}
	clear(d.batches)
	d.batches, d.covered = d.batches[:0], 0
}

// wipe empties the disk.
func (d *disk) wipe() {
	d.crash(0)
	d.space = nil
	clear(d.journal)
	d.journal = d.journal[:0]
}

// fold applies the journal to the space. Doing so only when somebody looks
// keeps hashing of keys off the path of every write.
func (d *disk) fold() {
	if d.space == nil {
		d.space = make(map[string]string)
	}
	for i := range d.journal {
		w := &d.journal[i]
		if w.Delete && w.Prefix {
			maps.DeleteFunc(d.space, func(key, _ string) bool { return strings.HasPrefix(key, w.Key) })
		} else if w.Delete {
			delete(d.space, w.Key)
		} else {
			d.space[w.Key] = w.Value
		}
	}
	clear(d.journal)
	d.journal = d.journal[:0]
}

// empty reports that nothing is durable.
func (d *disk) empty() bool {
	d.fold()
	return len(d.space) == 0
}

// Range implements core.Space over what is durable.
func (d *disk) Range(prefix string, f func(key, value string) error) error {
	d.fold()
	var keys []string
	for k := range d.space {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := f(k, d.space[k]); err != nil {
			return err
		}
	}
	return nil
}
