package core

import "time"

// A backup reads the state of a group from its primary, page by page, each on request: see
// reading. What it has read so far stands in its request and nowhere else, so a backup
// that is given up leaves nothing behind.
//
// Where a reading stands means something to one tenure only, as keys have other slots at
// another node. So under another primary, and when the log that it needs was trimmed, it
// begins anew. The log is kept for it for a moment, but not without a bound: a page takes
// up to a MiB of what has changed, so a backup keeps up with any load that leaves its
// primary time to answer.

const (
	// exportsMax bounds the pages that wait for a round. They leave together, each with up
	// to BatchBytesMax.
	exportsMax = 4
	// exportLooksMax bounds the log entries looked through for one page: whoever asks again
	// and again for what has changed costs the primary less than a millisecond each time.
	exportLooksMax = 1 << 12
	// exportPatience is how long after a page the log is kept for the next one.
	exportPatience = time.Second
)

// export is a request for a page that may be answered when round has been confirmed.
type export struct {
	client Peer
	m      *Export
	round  uint64
}

// onExport lets a request for a page wait for a round, as a get does: who was deposed
// must not say what is committed (rule R8).
func (g *group) onExport(from Peer, m *Export) {
	t := g.tenure
	if t == nil || !t.reconciled {
		g.refuseExport(from, m)
		return
	}
	for i := range t.exports {
		if e := &t.exports[i]; e.client.ID == from.ID && e.m.Req == m.Req { // sent again meanwhile
			e.client = from
			return
		}
	}
	if len(t.exports) >= exportsMax {
		g.send(from, &Exported{Group: g.id, Req: m.Req, Status: StatusOverloaded, Epoch: g.config.Epoch})
		return
	}
	t.exports = append(t.exports, export{from, m, t.round + 1})
	g.flushSoon()
}

// refuseExport says that this node does not serve the group, and who does, if it knows.
func (g *group) refuseExport(to Peer, m *Export) {
	r := &Exported{Group: g.id, Req: m.Req, Status: StatusNotPrimary, Epoch: g.config.Epoch}
	switch {
	case g.tenure != nil: // it is about to
		r.Status = StatusUnavailable
	case g.config.Epoch > 0 && (!g.isMember() || g.primary() != g.s.self.ID):
		r.Config = g.config
	}
	g.send(to, r)
}

// serveExports answers the requests whose round every required member has answered.
func (g *group) serveExports(round uint64) {
	t := g.tenure
	rest := t.exports[:0]
	for _, e := range t.exports {
		if e.round <= round {
			g.serveExport(e.client, e.m)
		} else {
			rest = append(rest, e)
		}
	}
	clear(t.exports[len(rest):])
	t.exports = rest
}

func (g *group) serveExport(to Peer, m *Export) {
	t := g.tenure
	anew := m.Tenure != t.began || m.Position < g.log.base.Seq || m.Position > g.commit
	r := reading{int(min(m.Cursor, uint64(g.state.values.len()))), m.Position}
	if anew {
		r = g.beginReading()
	}
	p := portion{items: g.s.opt.ChunkItems, bytes: BatchBytesMax, bytesMax: BatchBytesMax, fresh: int(min(m.Fresh, BatchBytesMax)), looks: exportLooksMax}
	items, changes, all := g.readOn(&r, p)
	fresh := 0
	for i := range items[changes:] {
		fresh += items[changes+i].bytes()
	}
	t.exported, t.exportedTill = r.position, g.s.now.After(exportPatience)
	g.send(to, &Exported{
		Group: g.id, Req: m.Req, Status: StatusOK, Epoch: g.config.Epoch, Tenure: t.began, Anew: anew, Items: items, Fresh: uint64(fresh),
		Cursor: uint64(r.cursor), Position: r.position, Commit: g.commit, Keys: uint64(g.state.values.len()), All: all,
	})
}

// keepForExport returns how far the log may be trimmed here, upTo at most. The members
// need no more of it than before.
func (g *group) keepForExport(upTo Seq) Seq {
	t := g.tenure
	if g.s.now >= t.exportedTill || t.exported+Seq(g.s.opt.JoinLagMax) < upTo || g.log.bytes > g.s.opt.JoinLagBytes {
		return upTo
	}
	return min(upTo, t.exported)
}
