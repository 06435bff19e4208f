package daemon

import "runtime"

// heapFloor is how much the collector of garbage takes a node to hold at least. It runs
// each time that as much was allocated as is held. A node that holds little would run it
// hundreds of times a second under load, which took a sixth of its throughput.
const heapFloor = 32 << 20

// raiseHeap has a process with little to hold let some garbage gather, until release is
// called. What it holds for that is never read or written, so it takes up addresses and no
// memory.
func raiseHeap() (release func()) {
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
