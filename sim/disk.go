package sim

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"

	"gtstore/core"
	"gtstore/core/wire"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
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

	stalled int64    // until when no sync ends
	waiting []uint32 // the syncs that would have ended; those of ended processes among them

	full    bool             // nothing more can be written
	failing *schedule.Action // the next sync that ends fails as this says; nil if none is to
	damaged map[string]bool  // keys whose records are not as they were written
	unread  map[string]bool  // and those that cannot be read at all

	crashed Crash
}

// Crash is what the end of a process has done to the batches that were not durable.
type Crash struct {
	Lost, Kept int
	Commands   int // of the manager, in those lost
}

var (
	errDiskFailed = errors.New("the disk failed: a sync ended with an error")
	errDiskFull   = errors.New("the disk failed: it is full")
	errUnreadable = errors.New("the disk failed: a record cannot be read")
)

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
// have written more than it said. Of the batch after them torn bytes were
// written, from which it is recovered only when they are all of it. Which
// envelopes waited is forgotten with the process that wanted to send them.
func (d *disk) crash(keep, torn int) {
	keep = min(max(keep, 0), len(d.batches))
	for i := range keep {
		d.journal = append(d.journal, d.batches[i].writes...)
	}
	if torn > 0 && keep < len(d.batches) {
		frame := appendBatch(nil, d.batches[keep].writes)
		if writes, err := decodeBatch(frame[:min(torn, len(frame))]); err == nil {
			d.journal = append(d.journal, writes...)
			keep++
		}
	}
	d.crashed = Crash{Lost: len(d.batches) - keep, Kept: keep}
	for _, b := range d.batches[keep:] {
		for i := range b.after {
			if _, ok := b.after[i].Body.(*core.Committed); ok {
				d.crashed.Commands++
			}
		}
	}
	clear(d.batches)
	d.batches, d.covered, d.failing = d.batches[:0], 0, nil
}

// appendBatch appends a batch as it stands in the disk's journal: a frame, so
// that a part of it is told from all of it.
func appendBatch(dst []byte, writes []core.Write) []byte {
	c := wire.NewFrame(dst)
	codeBatch(&c, &writes)
	return c.Seal()
}

func decodeBatch(frame []byte) (writes []core.Write, err error) {
	c := wire.OpenFrame(frame)
	codeBatch(&c, &writes)
	return writes, c.End()
}

func codeBatch(c *wire.Coder, writes *[]core.Write) {
	list := wire.Slice(c, writes, math.MaxInt32, 4)
	for i := range list {
		w := &list[i]
		wire.String(c, &w.Key, math.MaxInt32)
		wire.String(c, &w.Value, math.MaxInt32)
		c.Bool(&w.Delete)
		c.Bool(&w.Prefix)
	}
}

// damage does something to the durable record that comes number-th in the
// order of keys, and reports whether there was one. A record without content
// has nothing to damage.
func (d *disk) damage(number int, verb schedule.Verb) bool {
	d.fold()
	var keys []string
	for k, v := range d.space {
		if v != "" {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return false
	}
	slices.Sort(keys)
	key := keys[number%len(keys)]
	switch verb {
	case schedule.VerbRot:
		record := []byte(d.space[key])
		bit := splitmix.Mix(uint64(number), uint64(len(record))) % uint64(8*len(record))
		record[bit/8] ^= 1 << (bit % 8)
		d.space[key] = string(record)
	case schedule.VerbMisdirect:
		other := d.space[keys[(number+1)%len(keys)]]
		if d.space[key] == other {
			return false
		}
		d.space[key] = other
	case schedule.VerbUnreadable:
		note(&d.unread, key)
	}
	note(&d.damaged, key)
	return true
}

func note(set *map[string]bool, key string) {
	if *set == nil {
		*set = make(map[string]bool)
	}
	(*set)[key] = true
}

// intact reports that whatever was made durable can be read as it was written.
func (d *disk) intact() bool {
	if len(d.damaged) > 0 {
		d.fold() // a record that was written again is as good as new
	}
	return len(d.damaged) == 0
}

// wipe empties the disk.
func (d *disk) wipe() {
	d.crash(0, 0)
	d.space, d.damaged, d.unread = nil, nil, nil
	clear(d.journal)
	d.journal = d.journal[:0]
}

// take takes over what is durable on another disk, and leaves that empty.
func (d *disk) take(from *disk) {
	from.fold()
	d.space, d.damaged, d.unread = from.space, from.damaged, from.unread
	from.wipe()
}

// fold applies the journal to the space. Doing so only when somebody looks
// keeps hashing of keys off the path of every write.
func (d *disk) fold() {
	if d.space == nil {
		d.space = make(map[string]string)
	}
	for i := range d.journal {
		w := &d.journal[i]
		delete(d.damaged, w.Key)
		delete(d.unread, w.Key)
		if w.Delete && w.Prefix {
			maps.DeleteFunc(d.space, func(key, _ string) bool { return strings.HasPrefix(key, w.Key) })
			for _, set := range []map[string]bool{d.damaged, d.unread} {
				maps.DeleteFunc(set, func(key string, _ bool) bool { return strings.HasPrefix(key, w.Key) })
			}
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
		if d.unread[k] {
			return errUnreadable
		}
		if err := f(k, d.space[k]); err != nil {
			return err
		}
	}
	return nil
}
