package core

// reading is how far a state was read that changes meanwhile. A joining node's snapshot
// is read so, and a backup.
//
// Each part has the present values of keys that were not read yet, and of those that were
// read before and have changed since, which the log tells. When all keys were read and
// the log was looked through up to the commit point, all parts together, of which later
// ones count, are the state at that point, exactly.
//
// Slots are read from the last to the first, because a key only moves to a lower one: so
// no key gets past the cursor unread. One that was read and then moves below the cursor
// is read again, which does no harm.
type reading struct {
	cursor   int // slots of the state from this on have been read
	position Seq // the log was looked through up to here
}

// bytes is the size of the item's user data.
func (i *Item) bytes() int { return len(i.Key) + len(i.Value) }

// beginReading has read nothing of the state as it is now.
func (g *group) beginReading() reading { return reading{g.state.values.len(), g.commit} }

// portion bounds a part.
type portion struct {
	items    int // keys
	bytes    int // of keys and values, without the last
	bytesMax int // and with it, unless it is alone
	fresh    int // of keys that are read for the first time, without the last
	looks    int // entries of the log that are looked through
}

// readOn reads the next part. The first changes of the items are what has changed of the
// keys read before; all tells that with this part nothing is left. The log must be
// there from the reading's position on.
func (g *group) readOn(r *reading, p portion) (items []Item, changes int, all bool) {
	values := &g.state.values
	size, full := 0, false
	room := func() bool { return !full && size < p.bytes && len(items) < p.items }
	add := func(it Item) bool {
		bytes := it.bytes()
		if full = len(items) > 0 && size+bytes > p.bytesMax; full {
			return false
		}
		items = append(items, it)
		size += bytes
		return true
	}
	r.cursor = min(r.cursor, values.len())
	for looks := 0; r.position < g.commit && room() && looks < p.looks; looks++ {
		next := r.position + 1
		if e := g.log.at(next); e.Key != "" {
			switch v, present := values.get(e.Key); {
			case !present:
				if !add(Item{Key: e.Key}) {
					continue
				}
			case values.slot(e.Key) >= r.cursor && v.version == next: // else a later entry, or the reading, brings it
				if !add(Item{e.Key, v.data, v.version}) {
					continue
				}
			}
		}
		r.position = next
	}
	changes = len(items)
	for changed := size; size-changed < p.fresh && r.cursor > 0 && room(); {
		if it := values.at(r.cursor - 1); add(Item{it.key, it.data, it.version}) {
			r.cursor--
		}
	}
	return items, changes, r.cursor == 0 && r.position == g.commit && room()
}
