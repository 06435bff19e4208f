package core

import (
	"encoding/binary"
	"math"
	"time"

	"gtstore/core/wire"
)

// The canonical encoding of a node's state tells a search where it has been before. Two
// nodes with the same bytes answer the same messages, at the same times from now on, with
// the same outputs. So that as many as possible have the same:
//
//   - Times are relative to now. One that is over, where all that counts is whether it is
//     over, is now. One that lies so far back that nothing depends on by how much is put at
//     that bound; what bounds it is said where it is encoded.
//   - What the next step would set, before it reads it, is left out, as is what follows from
//     the rest, and what belongs to the call under way. Options are left out too: whoever
//     compares two nodes has made both with the same.
//   - Maps are in the order of their keys. A list keeps its order, unless it is said why that
//     means nothing.
//
// Counts that grow for ever (rounds, nonces, numbers of requests, positions of the log) stay
// as they are. Messages under way name them, so they could be made small only for all nodes
// and all messages together.
//
// TestTheEncodingShowsEachField has the list of the fields that are left out, with reasons.

// canon appends the encoding of a node's state.
type canon struct {
	b   []byte
	now Time
}

func (c *canon) num(n uint64) {
	if n < 0x80 {
		c.b = append(c.b, byte(n))
		return
	}
	c.b = binary.AppendUvarint(c.b, n)
}

// fixed is for numbers that were drawn at random, and checksums.
func (c *canon) fixed(n uint64) { c.b = binary.LittleEndian.AppendUint64(c.b, n) }

func (c *canon) bool(v bool) {
	n := byte(0)
	if v {
		n = 1
	}
	c.b = append(c.b, n)
}

func (c *canon) text(s string) {
	c.num(uint64(len(s)))
	c.b = append(c.b, s...)
}

func (c *canon) peer(p *Peer) {
	c.fixed(uint64(p.ID))
	c.text(p.Addr)
}

func (c *canon) span(d time.Duration) { c.num(uint64(d)) }

// due is a time that is only compared with the present: all that are over are alike.
func (c *canon) due(t Time) {
	if t == Never {
		c.num(0)
		return
	}
	c.num(1 + uint64(max(0, t.Since(c.now))))
}

// forever is longer than anything is ago.
const forever = time.Duration(math.MaxInt64)

// ago is how long ago something was, all that is as long ago as most being alike. It may lie
// ahead.
func (c *canon) ago(t Time, most time.Duration) {
	d := most
	if t != longAgo {
		d = min(c.now.Since(t), most)
	}
	c.num(uint64(d)<<1 ^ uint64(d>>63))
}

func (c *canon) config(m *Config) {
	c.num(uint64(m.Group))
	c.num(uint64(m.Epoch))
	c.num(uint64(len(m.Chain)))
	for i := range m.Chain {
		c.peer(&m.Chain[i])
	}
	c.peer(&m.Joining)
	c.num(uint64(m.Start))
	c.num(uint64(m.Reads))
	c.span(m.Lease)
	c.num(uint64(m.MinChain))
}

func (c *canon) entry(e *Entry) {
	c.num(uint64(e.Epoch))
	c.num(uint64(e.Kind))
	c.fixed(uint64(e.Owner))
	c.num(uint64(e.Session))
	c.num(e.OpSeq)
	c.text(e.Key)
	c.text(e.Value)
	c.num(uint64(e.Version))
}

// message appends what is wanted of a message that a node keeps. Only the content counts:
// from whom it came is kept beside it.
func (c *canon) message(m Message) {
	w := wire.NewEncoder(c.b)
	codeMessage(&w, m)
	c.b = w.Seal()
}

// AppendState appends to b all that an envelope says, for every kind of message: equal
// envelopes have the same bytes, and others have others. The Terms of a command that forms no
// group say nothing.
func (e *Envelope) AppendState(b []byte) []byte {
	c := wire.NewEncoder(b)
	codeEnvelope(&c, e)
	return c.Seal()
}

// AppendState appends to b what the gate holds: two gates with the same bytes go on alike.
func (g *Gate) AppendState(b []byte) []byte {
	c := canon{b: b}
	c.num(uint64(len(g.batches)))
	for i := range g.batches {
		batch := &g.batches[i]
		c.writes(batch.writes)
		c.num(uint64(len(batch.after)))
		for j := range batch.after {
			c.b = batch.after[j].AppendState(c.b)
		}
	}
	c.num(uint64(len(g.syncs)))
	for _, n := range g.syncs {
		c.num(uint64(n))
	}
	return c.b
}

func (c *canon) writes(list []Write) {
	c.num(uint64(len(list)))
	for i := range list {
		w := &list[i]
		c.text(w.Key)
		c.text(w.Value)
		c.bool(w.Delete)
		c.text(w.End)
	}
}
