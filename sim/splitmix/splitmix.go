package splitmix

const golden = 0x9e3779b97f4a7c15

// Mix hashes two numbers into one.
func Mix(a, b uint64) uint64 { return finish(a ^ (b+1)*golden) }

// Spread gives numbers that are near each other images that are not.
func Spread(x uint64) uint64 { return finish(x + golden) }

// finish is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
func finish(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
