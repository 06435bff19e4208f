package core

import "slices"

// values are the keys and values of a group. Each key has a slot, so that the state can be
// read slot by slot while writes go on. A new key comes last. A deleted one makes room for
// the last, which is the only way in which a key moves: only ever to a lower slot.
//
// The map holds only the numbers of slots, and the slots are in slabs that never move: with
// the values in the map, or in one slice, a million keys would take a third more memory.
type values struct {
	slots map[string]uint32
	slabs [][]item // all but the last are full
	bytes int      // of all keys and values
}

// item is what a slot holds.
type item struct {
	key string
	value
}

type value struct {
	data    string
	version Seq
}

// slabItems is how many slots a slab has: the allocator has a size that fits it exactly.
const slabItems = 256

// len is how many keys there are, and slots.
func (v *values) len() int { return len(v.slots) }

// at returns a slot below len.
func (v *values) at(slot int) *item { return &v.slabs[slot/slabItems][slot%slabItems] }

// get returns a key's value, and whether there is one.
func (v *values) get(key string) (value, bool) {
	slot, present := v.slots[key]
	if !present {
		return value{}, false
	}
	return v.at(int(slot)).value, true
}

// slot returns where a key is, -1 for nowhere.
func (v *values) slot(key string) int {
	slot, present := v.slots[key]
	if !present {
		return -1
	}
	return int(slot)
}

// set gives a key a value, and a slot if it has none.
func (v *values) set(key, data string, version Seq) {
	slot := v.slot(key)
	if slot < 0 {
		slot = v.len()
		if slot%slabItems == 0 {
			v.slabs = append(v.slabs, nil)
		}
		last := &v.slabs[len(v.slabs)-1]
		*last = append(*last, item{key: key})
		v.slots[key] = uint32(slot)
		v.bytes += len(key)
	}
	it := v.at(slot)
	v.bytes += len(data) - len(it.data)
	it.value = value{data, version}
}

func (v *values) remove(key string) {
	slot := v.slot(key)
	if slot < 0 {
		return
	}
	v.bytes -= len(key) + len(v.at(slot).data)
	last := v.len() - 1
	if slot < last {
		*v.at(slot) = *v.at(last)
		v.slots[v.at(slot).key] = uint32(slot)
	}
	*v.at(last) = item{} // it keeps no string alive
	slab := &v.slabs[len(v.slabs)-1]
	if *slab = (*slab)[:last%slabItems]; len(*slab) == 0 {
		v.slabs = slices.Delete(v.slabs, len(v.slabs)-1, len(v.slabs))
	}
	delete(v.slots, key)
}
