package core

import "time"

// A joining node that takes in less than what the writers change never catches up,
// and the group stays short for as long as the load lasts. When that has gone on
// for a while, the primary holds the writers back: only half as much may be written as
// the joining node takes in. So what it lacks is halved again and again, and the join
// ends. The writes are parked in the order in which they came, within the limits of what
// may be parked. A joining node that makes no progress holds up nobody.

const (
	// squeezeAfter is how long a joining node may lag before writers are held back.
	squeezeAfter = time.Second
	// squeezeStall is how long they wait for one that does not move.
	squeezeStall = 500 * time.Millisecond
	// attemptsMax is how many attempts at a snapshot are made before writers are held
	// back. A new one is made when the joining node has fallen too far behind.
	attemptsMax = 3
	// squeezeSlack bounds what may be written at once.
	squeezeSlack = chunksMin * ChunkBytesMax
)

// squeeze is what the primary knows of how fast its joining node catches up.
type squeeze struct {
	squeezed   bool
	allowed    int  // weight of what may be written; what was admitted last may exceed it
	caughtUpAt Time // when all that had changed was last sent, with room for more, or the attempt began
	movedAt    Time // when the joining node last took something in
	fed        Seq  // up to here the log counts as taken in
}

// weight is what an entry with so many bytes of key and value counts for.
func weight(bytes int) int { return bytes + 64 }

// moved counts what the joining node was sent or took in.
func (q *squeeze) moved(weight int) {
	if q.squeezed {
		q.allowed = min(q.allowed+weight/2, squeezeSlack)
	}
}

// considerSqueeze begins to hold writers back, or ends it.
func (g *group) considerSqueeze(x *transfer) {
	now := g.s.now
	moves := now.Since(x.movedAt) < squeezeStall
	switch {
	case x.squeezed && !moves:
		x.squeezed = false
	case !x.squeezed && moves && (now.Since(x.caughtUpAt) > squeezeAfter || x.attempt > attemptsMax):
		x.squeezed, x.allowed = true, 0
		g.event(EventSqueezed, g.commit)
	}
	if x.squeezed {
		g.s.wakeBy(x.movedAt.After(squeezeStall))
	}
}

// holds tells whether nothing may be written for now. The joining node must not fall
// so far behind that it needs a new snapshot.
func (g *group) holds() bool {
	x := g.tenure.transfer
	return x != nil && x.squeezed && (x.allowed <= 0 || g.log.last() > g.joinNeeds(x)+Seq(g.s.opt.JoinLagMax/2) || g.log.bytes > g.s.opt.JoinLagBytes/2)
}

// mustWait tells whether a write that comes now has to wait: for the joining node,
// or behind those that wait already.
func (g *group) mustWait() bool {
	return g.holds() || len(g.tenure.parked) > 0 && !g.tenure.unparking
}

// park lets a request wait. Sent again meanwhile, it keeps its place.
func (g *group) park(from Peer, op *Op) {
	t := g.tenure
	bytes := op.bytes()
	for i := range t.parked {
		p := &t.parked[i]
		if p.client.ID == from.ID && p.op.Req == op.Req {
			p.client = from
			return
		}
		bytes += p.op.bytes()
	}
	if len(t.parked) >= g.s.opt.ParkedMax || bytes > g.s.opt.PendingBytesMax {
		g.refuse(from, op.Req, StatusOverloaded, nil)
		return
	}
	t.parked = append(t.parked, ask{from, op})
	g.event(EventParked, 0)
}

// unparkSoon has what waited taken in with the next Tick, if it need not wait any
// more.
func (g *group) unparkSoon() {
	if t := g.tenure; t != nil && t.reconciled && len(t.parked) > 0 && !t.unparking && !g.holds() {
		g.flushSoon()
	}
}

// unpark takes in what waited, as far as it need not wait any more.
func (g *group) unpark() {
	t := g.tenure
	if !t.reconciled {
		return
	}
	t.unparking = true
	for len(t.parked) > 0 && !g.holds() {
		a := t.parked[0]
		t.parked[0] = ask{}
		t.parked = t.parked[1:]
		g.onOp(a.client, a.op)
	}
	t.unparking = false
}
