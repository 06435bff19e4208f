package core

import "slices"

// A Gate keeps an Output's promise about its After, for every driver: an envelope leaves
// when the Persist of its Output, and of every Output before it, is durable. It holds
// what is not durable yet, in the order in which it was taken in; the disk itself is the
// driver's. At most one sync is under way at a time, and it covers all that was taken in
// before it began, so whatever comes during a sync shares the next one. The zero Gate
// holds nothing.
type Gate struct {
	batches []gated // not durable yet, oldest first
	covered int     // how many of them the sync under way covers; 0 with none under way
	spare   []gated // their memory is used again
}

// gated is what one Output wants to be durable, and what waits for that.
type gated struct {
	writes []Write
	after  []Envelope
}

// Take takes in what an Output wants to be durable, and what it wants to leave then. It
// copies both. What waits for nothing leaves at once, by way of leave.
func (g *Gate) Take(persist []Write, after []Envelope, leave func(*Envelope)) {
	if len(persist) > 0 {
		var b gated
		if n := len(g.spare); n > 0 {
			b, g.spare = g.spare[n-1], g.spare[:n-1]
		}
		b.writes = append(b.writes, persist...)
		g.batches = append(g.batches, b)
	}
	if n := len(g.batches); n > 0 {
		last := &g.batches[n-1]
		last.after = append(last.after, after...)
		return
	}
	for i := range after {
		leave(&after[i])
	}
}

// Begin begins a sync, and returns false when there is nothing to sync or one is under
// way. What the disk must write is in Pending.
func (g *Gate) Begin() bool {
	if g.covered > 0 || len(g.batches) == 0 {
		return false
	}
	g.covered = len(g.batches)
	return true
}

// Pending is how many batches of writes, each the Persist of one Output, are not durable.
func (g *Gate) Pending() int { return len(g.batches) }

// Batch is the i-th of them, counted from the oldest, and what waits for it. Both are
// good until the next call of the Gate.
func (g *Gate) Batch(i int) ([]Write, []Envelope) { return g.batches[i].writes, g.batches[i].after }

// End ends the sync under way. It calls durable for each batch that the sync covered, in
// order, and leave for each envelope that waited for it; neither may keep what it is given,
// nor call the Gate.
func (g *Gate) End(durable func([]Write), leave func(*Envelope)) {
	for i := range g.covered {
		b := &g.batches[i]
		durable(b.writes)
		for j := range b.after {
			leave(&b.after[j])
		}
		clear(b.writes)
		clear(b.after)
		g.spare = append(g.spare, gated{b.writes[:0], b.after[:0]})
	}
	g.batches = slices.Delete(g.batches, 0, g.covered)
	g.covered = 0
}

// Forget empties the Gate, as the end of the process does: what waited never leaves.
// Which of the batches the disk has written all the same is for the disk to say.
func (g *Gate) Forget() {
	clear(g.batches)
	g.batches, g.covered = g.batches[:0], 0
}
