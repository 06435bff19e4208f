package cluster

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// key is a hash of all that a part of a state holds.
type key [2]uint64

// keyOf hashes bytes 8 at a time, as package wire does, in two lanes with different
// constants.
func keyOf(b []byte) key {
	const k0, k1, k2, k3 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3
	h, l := fold(uint64(len(b))^k0, k1), fold(uint64(len(b))^k2, k3)
	word := func(x uint64) {
		h = fold(h^x, k1) ^ k0
		l = fold(l+x, k3) ^ k2
	}
	for len(b) >= 8 {
		word(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	var tail [8]byte
	copy(tail[:], b)
	word(binary.LittleEndian.Uint64(tail[:]))
	return key{fold(h^k0, k1), fold(l^k2, k3)}
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix hashes two numbers into one.
func mix(a, b uint64) uint64 {
	return fold(a^0xa0761d6478bd642f, bits.RotateLeft64(b, 29)^0xe7037ed1a0b428db)
}

// store keeps one of each of the equal parts of states, and numbers them from 0 in the order
// in which they came. So the numbers differ between runs, and the keys do not.
type store[T any] struct {
	shards [storeShards]struct {
		mu  sync.RWMutex
		ids map[key]uint32
	}
	mu       sync.Mutex // of what follows, for writing
	n        atomic.Uint32
	segments [segmentsMax]atomic.Pointer[[segmentSize]*T]
}

const (
	storeShards = 64
	segmentSize = 1 << 12
	segmentsMax = 1 << 14
)

func (s *store[T]) at(id uint32) *T { return s.segments[id/segmentSize].Load()[id%segmentSize] }

func (s *store[T]) len() int { return int(s.n.Load()) }

// find returns the number of the part with that key.
func (s *store[T]) find(k key) (uint32, bool) {
	d := &s.shards[k[0]%storeShards]
	d.mu.RLock()
	id, ok := d.ids[k]
	d.mu.RUnlock()
	return id, ok
}

// put adds a part, unless somebody else has added its equal meanwhile.
func (s *store[T]) put(k key, v *T) uint32 {
	d := &s.shards[k[0]%storeShards]
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.ids[k]; ok {
		return id
	}
	if d.ids == nil {
		d.ids = make(map[key]uint32)
	}
	s.mu.Lock()
	id := s.n.Load()
	segment := s.segments[id/segmentSize].Load()
	if segment == nil {
		segment = new([segmentSize]*T)
		s.segments[id/segmentSize].Store(segment)
	}
	segment[id%segmentSize] = v
	s.n.Store(id + 1)
	s.mu.Unlock()
	d.ids[k] = id
	return id
}

// memo remembers what was worked out for two numbers.
type memo[T any] struct {
	shards [memoShards]struct {
		mu sync.RWMutex
		m  map[uint64]T
	}
}

const memoShards = 128

func pair(a, b uint32) uint64 { return uint64(a)<<32 | uint64(b) }

func (m *memo[T]) get(k uint64) (T, bool) {
	d := &m.shards[fold(k, 0x9e3779b97f4a7c15)%memoShards]
	d.mu.RLock()
	v, ok := d.m[k]
	d.mu.RUnlock()
	return v, ok
}

// put remembers v, or returns what somebody else has put there meanwhile.
func (m *memo[T]) put(k uint64, v T) T {
	d := &m.shards[fold(k, 0x9e3779b97f4a7c15)%memoShards]
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.m[k]; ok {
		return old
	}
	if d.m == nil {
		d.m = make(map[uint64]T)
	}
	d.m[k] = v
	return v
}

// set is a memo of numbers alone.
type set struct{ memo[struct{}] }

func (s *set) has(k uint64) bool {
	_, ok := s.get(k)
	return ok
}

// add is quick for a number that is there already.
func (s *set) add(k uint64) {
	if !s.has(k) {
		s.put(k, struct{}{})
	}
}

// all gives all numbers, in any order, while nobody adds any.
func (s *set) all(yield func(uint64) bool) {
	for i := range s.shards {
		for k := range s.shards[i].m {
			if !yield(k) {
				return
			}
		}
	}
}

func (m *memo[T]) len() (n int) {
	for i := range m.shards {
		d := &m.shards[i]
		d.mu.RLock()
		n += len(d.m)
		d.mu.RUnlock()
	}
	return n
}
