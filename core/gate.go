package core

import "slices"

// A Gate keeps an Output's promise about its After, for every driver: an envelope leaves
// when the Persist of its Output, and of every Output before it, is durable. It holds
// what is not durable yet, in the order in which it was taken in; the disk itself is the
// driver's. A sync covers all that was taken in before it began and that no earlier sync
// covers. As many may be under way as the driver likes; they end in the order in which
// they began. The zero Gate holds nothing.
type Gate struct {
	batches []gated // not durable yet, oldest first
	syncs   []int   // of each sync under way, oldest first, how many of them it covers
	covered int     // how many of them the syncs cover together
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

// Begin begins a sync of the batches from first on, up to end and without it. It returns
// false when there is nothing that no sync covers.
func (g *Gate) Begin() (first, end int, ok bool) {
	first, end = g.covered, len(g.batches)
	if first == end {
		return 0, 0, false
	}
	g.syncs = append(g.syncs, end-first)
	g.covered = end
	return first, end, true
}

// UnderWay is how many syncs are under way.
func (g *Gate) UnderWay() int { return len(g.syncs) }

// Pending is how many batches of writes, each the Persist of one Output, are not durable.
func (g *Gate) Pending() int { return len(g.batches) }

// Batch is the i-th of them, counted from the oldest, and what waits for it. Both are
// good until the next call of the Gate.
func (g *Gate) Batch(i int) ([]Write, []Envelope) { return g.batches[i].writes, g.batches[i].after }

// End ends the oldest sync that is under way. It calls durable for each batch that the
// sync covered, in order, and leave for each envelope that waited for it; neither may keep
// what it is given, nor call the Gate.
func (g *Gate) End(durable func([]Write), leave func(*Envelope)) {
	if len(g.syncs) == 0 {
		return
	}
	ended := g.syncs[0]
	g.syncs = slices.Delete(g.syncs, 0, 1)
	for i := range ended {
		b := &g.batches[i]
		durable(b.writes)
		for j := range b.after {
			leave(&b.after[j])
		}
		clear(b.writes)
		clear(b.after)
		g.spare = append(g.spare, gated{b.writes[:0], b.after[:0]})
	}
	g.batches = slices.Delete(g.batches, 0, ended)
	g.covered -= ended
}

// Forget empties the Gate, as the end of the process does: what waited never leaves.
// Which of the batches the disk has written all the same is for the disk to say.
func (g *Gate) Forget() {
	clear(g.batches)
	g.batches, g.syncs, g.covered = g.batches[:0], g.syncs[:0], 0
}
