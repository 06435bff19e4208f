package wire

import (
	"encoding/binary"
	"math/bits"
)

// Hash returns a 64-bit hash of b, the same on every machine and in every run.
// It is for finding changes and comparing runs; it resists no attacker.
//
// It folds 8 bytes at a time by a 64×64-bit multiplication, as wyhash does: the
// simulator hashes every message twice, and a hash byte by byte would be most
// of its work.
func Hash(b []byte) uint64 {
	const k0, k1 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db // odd, half of the bits set; from wyhash
	h := fold(uint64(len(b))^k0, k1)
	for len(b) >= 8 {
		h = fold(h^binary.LittleEndian.Uint64(b), k1) ^ k0
		b = b[8:]
	}
	var tail [8]byte
	copy(tail[:], b)
	h = fold(h^binary.LittleEndian.Uint64(tail[:]), k1)
	return fold(h^k0, k1)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
