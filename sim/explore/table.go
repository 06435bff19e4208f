package explore

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// table is the set of prints of the states that were seen. With each stands the print of the
// state from which it was first reached, so that the way there can be found again. It is
// divided by the first bits of the prints, so that workers seldom wait for each other.
type table struct {
	shards [shardCount]shard
	used   atomic.Int64 // bytes
	most   atomic.Int64 // bytes
}

const (
	shardBits  = 8
	shardCount = 1 << shardBits
	slotsMin   = 1 << 6
	slotBytes  = 8 + 8 + 2
)

type shard struct {
	mu      sync.Mutex
	count   int
	prints  []uint64 // 0 in a free slot
	parents []uint64
	depths  []uint16
	_       [64]byte // its neighbour is another worker's
}

type inserted uint8

const (
	insertNew inserted = iota + 1
	insertKnown
	insertFull
)

// insert adds a print. Where several states of one level lead to it, the one with the least
// print counts, whoever comes first.
func (t *table) insert(print, parent uint64, depth uint16) inserted {
	s := &t.shards[print>>(64-shardBits)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if 5*(s.count+1) > 4*len(s.prints) && !t.grow(s) {
		return insertFull
	}
	i := s.find(print)
	if s.prints[i] == print {
		if s.depths[i] == depth && parent < s.parents[i] {
			s.parents[i] = parent
		}
		return insertKnown
	}
	s.prints[i], s.parents[i], s.depths[i] = print, parent, depth
	s.count++
	return insertNew
}

// find returns the slot of a print, or the free one where it belongs.
func (s *shard) find(print uint64) int {
	mask := len(s.prints) - 1
	i := int(bits.RotateLeft64(print, 32)) & mask
	for s.prints[i] != 0 && s.prints[i] != print {
		i = (i + 1) & mask
	}
	return i
}

// grow doubles a shard, if the bound allows it.
func (t *table) grow(s *shard) bool {
	slots := max(slotsMin, 2*len(s.prints))
	// While the slots move, both are there.
	if t.used.Add(int64(slots)*slotBytes) > t.most.Load() {
		t.used.Add(-int64(slots) * slotBytes)
		return false
	}
	prints, parents, depths := s.prints, s.parents, s.depths
	s.prints, s.parents, s.depths = make([]uint64, slots), make([]uint64, slots), make([]uint16, slots)
	for j, print := range prints {
		if print != 0 {
			i := s.find(print)
			s.prints[i], s.parents[i], s.depths[i] = print, parents[j], depths[j]
		}
	}
	t.used.Add(-int64(len(prints)) * slotBytes)
	return true
}

// parent returns from where a print was reached, and the depth; false if it is not there.
func (t *table) parent(print uint64) (parent uint64, depth int, ok bool) {
	s := &t.shards[print>>(64-shardBits)]
	if len(s.prints) == 0 {
		return 0, 0, false
	}
	i := s.find(print)
	return s.parents[i], int(s.depths[i]), s.prints[i] == print
}

func (t *table) len() (n int64) {
	for i := range t.shards {
		t.shards[i].mu.Lock()
		n += int64(t.shards[i].count)
		t.shards[i].mu.Unlock()
	}
	return n
}
