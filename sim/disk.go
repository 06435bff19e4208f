package sim

import (
	"fmt"
	"maps"
	"math"
	"slices"

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

	gate    core.Gate // what is not durable yet
	latency int64     // of a sync that begins now, in nanoseconds

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
	errSyncFailed = fmt.Errorf("%w: a sync ended with an error", ErrDiskFailed)
	errDiskFull   = fmt.Errorf("%w: it is full", ErrDiskFailed)
	errUnreadable = fmt.Errorf("%w: a record cannot be read", ErrDiskFailed)
)

// journalMax bounds the memory that the journal takes between two folds.
const journalMax = 1 << 14

// finish ends the sync under way: what it covered is durable, and what waited for that
// leaves.
func (d *disk) finish(leave func(*core.Envelope)) {
	d.gate.End(func(writes []core.Write) { d.journal = append(d.journal, writes...) }, leave)
	if len(d.journal) > journalMax {
		d.fold()
	}
}

// crash loses what was not durable, but for the first keep batches: a disk may have
// written more than it said. Of the next batch, torn bytes were written: it survives only
// if they are all of it. The envelopes that waited are forgotten, with the process that
// wanted to send them.
func (d *disk) crash(keep, torn int) {
	pending := d.gate.Pending()
	keep = min(max(keep, 0), pending)
	for i := range keep {
		writes, _ := d.gate.Batch(i)
		d.journal = append(d.journal, writes...)
	}
	if torn > 0 && keep < pending {
		writes, _ := d.gate.Batch(keep)
		frame := appendBatch(nil, writes)
		if writes, err := decodeBatch(frame[:min(torn, len(frame))]); err == nil {
			d.journal = append(d.journal, writes...)
			keep++
		}
	}
	d.crashed = Crash{Lost: pending - keep, Kept: keep}
	for i := keep; i < pending; i++ {
		_, after := d.gate.Batch(i)
		for j := range after {
			if _, ok := after[j].Body.(*core.Committed); ok {
				d.crashed.Commands++
			}
		}
	}
	d.gate.Forget()
	d.failing = nil
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
		wire.String(c, &w.End, math.MaxInt32)
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
		if w.Delete && w.End != "" {
			maps.DeleteFunc(d.space, func(key, _ string) bool { return w.Key <= key && key < w.End })
			for _, set := range []map[string]bool{d.damaged, d.unread} {
				maps.DeleteFunc(set, func(key string, _ bool) bool { return w.Key <= key && key < w.End })
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
