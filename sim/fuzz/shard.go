package fuzz

import (
	"fmt"
	"strconv"
	"strings"
)

// ShardsMax is into how many parts a search may be split.
const ShardsMax = 1 << 20

// Shard is a part of a search, for one of several machines. Part I of N, with I from 1,
// has the schedules whose index is congruent to I modulo N. Together the parts have every
// schedule once. The zero Shard is the whole search.
type Shard struct{ I, N int }

// ParseShard reads I/N.
func ParseShard(text string) (Shard, error) {
	i, n, _ := strings.Cut(text, "/")
	var s Shard
	var errI, errN error
	s.I, errI = strconv.Atoi(i)
	s.N, errN = strconv.Atoi(n)
	if errI != nil || errN != nil || s.I < 1 || s.I > s.N || s.N > ShardsMax {
		return Shard{}, fmt.Errorf("want i/n with 1 ≤ i ≤ n ≤ %d, such as 2/4 for the second of four machines", ShardsMax)
	}
	return s, nil
}

// String is I/N, which ParseShard reads; "" for the whole.
func (s Shard) String() string {
	if s.N == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.I, s.N)
}

// End is the index below which the part has so many schedules.
func (s Shard) End(schedules int) int { return s.first() + (schedules-1)*s.step() + 1 }

// first is the lowest index of the part.
func (s Shard) first() int { return s.I % s.step() }

// step is the distance between two indices of the part.
func (s Shard) step() int { return max(1, s.N) }

// has tells whether a schedule belongs to the part.
func (s Shard) has(index int) bool { return index >= 0 && index%s.step() == s.first() }
