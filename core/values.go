package core

import "slices"

// values are the keys and values of a group. Each key has a slot, so that a snapshot can be
// read slot by slot while writes go on. Meanwhile the values are pinned: every key keeps its
// slot, a new one comes last, and a deleted one leaves a hole.
//
// The map holds only the numbers of slots, and the slots are in slabs that never move: with
// the values in the map, or in one slice, a million keys would take a third more memory.
type values struct {
	slots  map[string]uint32
	slabs  [][]item // all but the last are full
	pinned bool
	holes  []int
	bytes  int // of all keys and values
}

// item is what a slot holds; a hole has no key.
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

// len is how many keys there are, and end how many slots, holes included.
func (v *values) len() int { return len(v.slots) }

func (v *values) end() int {
	last := len(v.slabs) - 1
	if last < 0 {
		return 0
	}
	return last*slabItems + len(v.slabs[last])
}

// at returns a slot below the end.
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
		slot = v.end()
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
	delete(v.slots, key)
	it := v.at(slot)
	v.bytes -= len(key) + len(it.data)
	*it = item{}
	if v.pinned {
		v.holes = append(v.holes, slot)
	} else {
		v.closeHole(slot)
	}
}

// closeHole moves the last key into a slot that was left.
func (v *values) closeHole(slot int) {
	last := v.end() - 1
	if moved := v.at(last); moved.key != "" && slot < last {
		*v.at(slot) = *moved
		v.slots[moved.key] = uint32(slot)
	}
	*v.at(last) = item{} // it keeps no string alive
	slab := &v.slabs[len(v.slabs)-1]
	if *slab = (*slab)[:last%slabItems]; len(*slab) == 0 {
		v.slabs = slices.Delete(v.slabs, len(v.slabs)-1, len(v.slabs))
	}
}

// pin keeps every key in its slot until unpin.
func (v *values) pin() { v.pinned = true }

func (v *values) unpin() {
	v.pinned = false
	slices.Sort(v.holes)
	for i := len(v.holes) - 1; i >= 0; i-- { // from the end, so that the last is a key or the hole itself
		v.closeHole(v.holes[i])
	}
	v.holes = nil
}
