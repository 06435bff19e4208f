package core

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Unit is what the Directory maps to a group: a key, or the number of a slot in decimal.
type Unit string

// Placement says which unit a key belongs to. It is PlacementKey, so that each key is
// mapped by itself; or it is the number of slots, and all keys of a slot are mapped
// together. It is chosen when the cluster is made and never changes: else a key would
// belong to another unit, and so perhaps to a group that does not have its value. 0 is
// none: not chosen, or not known yet.
type Placement uint32

// PlacementKey is below all numbers of slots, which are powers of two from SlotsMin to
// SlotsMax: so each slot has as many of the 65,536 values of the hash as every other.
const (
	PlacementKey Placement = 1
	SlotsMin               = 2
	SlotsMax               = 1 << 16
)

// ParsePlacement reads what String writes of a placement that is valid: key, or slots=N.
func ParsePlacement(text string) (Placement, error) {
	if text == PlacementKey.String() {
		return PlacementKey, nil
	}
	number, _ := strings.CutPrefix(text, "slots=")
	n, _ := strconv.ParseUint(number, 10, 32)
	if p := Placement(n); p.Slots() > 0 && p.valid() && p.String() == text {
		return p, nil
	}
	return 0, fmt.Errorf("core: placement %q, want key, or slots=N with a power of two from %d to %d, such as slots=16384", text, SlotsMin, SlotsMax)
}

func (p Placement) String() string {
	switch p {
	case 0:
		return "none"
	case PlacementKey:
		return "key"
	}
	return "slots=" + strconv.FormatUint(uint64(p), 10)
}

// Slots is how many slots there are, 0 where the keys themselves are mapped.
func (p Placement) Slots() int {
	if p <= PlacementKey {
		return 0
	}
	return int(p)
}

func (p Placement) valid() bool { return p <= SlotsMax && bits.OnesCount32(uint32(p)) == 1 }

// Unit returns the unit that a key belongs to. A slot is that of Redis Cluster, where there
// are 16,384: the CRC-16 of the key, modulo their number. If the key has a tag, the slot is
// the tag's, so that an application can keep keys together.
func (p Placement) Unit(key string) Unit {
	if p <= PlacementKey {
		return Unit(key)
	}
	return Unit(strconv.FormatUint(uint64(crc16(tag(key)))&uint64(p-1), 10))
}

// has tells whether there can be such a unit.
func (p Placement) has(u Unit) bool {
	if p <= PlacementKey {
		return isKey(string(u))
	}
	n, err := strconv.ParseUint(string(u), 10, 16)
	return err == nil && n < uint64(p) && strconv.FormatUint(n, 10) == string(u)
}

// tag returns what stands between the first { and the first } after it, as in
// {user1}.name; the whole key if there is no such pair, or nothing in it.
func tag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	if inside, _, closed := strings.Cut(rest, "}"); closed && inside != "" {
		return inside
	}
	return key
}

// crc16 is CRC-16/XMODEM: polynomial x^16+x^12+x^5+1, from 0, no bits reflected.
func crc16(text string) (sum uint16) {
	for i := range len(text) {
		sum = sum<<8 ^ crc16Table[byte(sum>>8)^text[i]]
	}
	return sum
}

var crc16Table = makeCRC16Table()

func makeCRC16Table() (table [256]uint16) {
	const polynomial = 0x1021
	for i := range table {
		sum := uint16(i) << 8
		for range 8 {
			carry := sum >> 15
			sum = sum<<1 ^ carry*polynomial
		}
		table[i] = sum
	}
	return table
}
