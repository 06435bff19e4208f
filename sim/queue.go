package sim

import (
	"gtstore/core"
	"gtstore/sim/network"
)

// itemKind says what is due when an item's time comes.
type itemKind uint8

const (
	itemMessage itemKind = iota + 1 // env arrives at host to over the network
	itemLocal                       // env is for one process at host to: from itself, its driver or its caller
	itemTimer                       // the deadline of host to
	itemSync                        // the sync under way at host to ends
	itemStart                       // host to starts for the first time
	itemRequest                     // the operator repeats a request until it is answered
	itemLink                        // what waits on the link from host from may go on
	itemUplink                      // a part of what waits has left host to, whose bandwidth is bounded
	itemDisk                        // a stall of host to's disk may be over
	itemWork                        // host to takes in the next message
	itemPhase                       // look whether the next phase of the run begins
)

// item is something that happens later. The queue owns its items and reuses
// them, so that a message costs no allocation.
type item struct {
	env    core.Envelope
	sum    uint64 // hash of env when it was sent, with CheckImmutable
	number uint64 // of a message, in the order of sending, 0 for none; or of a request or a part
	life   uint32 // the process that the item is for, where it is for one only
	from   int16
	to     int16
	kind   itemKind
}

// entry orders an item: by time, then by tie, then by insertion. The order
// field holds tie and insertion as one number, to compare them at once.
type entry struct {
	at    int64
	order uint64
	slot  uint32
}

func (e *entry) before(f *entry) bool {
	return e.at < f.at || e.at == f.at && e.order < f.order
}

// Ties from tieFree on are drawn; tieLocal comes before them, so that a
// process's messages to itself keep their order and come first.
const (
	tieLocal uint32 = 0
	tieFree  uint32 = network.TieFree
)

// queue is a heap of entries, four children to a node: half the depth of a
// binary heap, and the children share a cache line or two.
type queue struct {
	heap     []entry
	items    []item
	free     []uint32
	inserted uint32
}

// push adds an item and returns it to be filled in. The pointer is good until
// the next push.
func (q *queue) push(at int64, tie uint32) *item {
	slot := q.alloc()
	q.pushSlot(at, tie, slot)
	return &q.items[slot]
}

func (q *queue) alloc() uint32 {
	if n := len(q.free); n > 0 {
		slot := q.free[n-1]
		q.free = q.free[:n-1]
		return slot
	}
	q.items = append(q.items, item{})
	return uint32(len(q.items) - 1)
}

// release gives a slot back. It clears the item: a message kept alive by a free
// slot would make the memory of a run depend on its past.
func (q *queue) release(slot uint32) {
	q.items[slot] = item{}
	q.free = append(q.free, slot)
}

// pushSlot adds an item that has a slot already.
func (q *queue) pushSlot(at int64, tie uint32, slot uint32) {
	e := entry{at: at, order: uint64(tie)<<32 | uint64(q.inserted), slot: slot}
	q.inserted++
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = e
}

// top returns the first entry; the queue must not be empty.
func (q *queue) top() *entry { return &q.heap[0] }

// nextAt returns the time of the first entry, or never.
func (q *queue) nextAt() int64 {
	if len(q.heap) == 0 {
		return never
	}
	return q.heap[0].at
}

// pop removes the first entry. Its item stays until it is released.
func (q *queue) pop() entry {
	first := q.heap[0]
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap = q.heap[:n]
	if n == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&last) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = last
	return first
}
