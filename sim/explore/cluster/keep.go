package cluster

import (
	"encoding/binary"
	"errors"
	"time"

	"gtstore/core"
)

// A host cannot be written down and read again: its node is code that runs. But each came of
// another one by one step. So what is saved of it is that step, and the other parts as they
// are; Load takes all the steps again.

// origin is how a host came about: from which other, by which input, or by how much time.
// Those from before the search come about in each process.
type origin struct {
	from, input uint32
	took        time.Duration
}

// Save implements explore.Keeper.
func (m *Model) Save() ([]byte, error) {
	var b []byte
	b = appendNumber(b, uint64(m.messages.len()))
	for id := range m.messages.len() {
		b = appendText(b, string(core.AppendEnvelope(nil, &m.messages.at(uint32(id)).envelope)))
	}
	b = appendNumber(b, uint64(m.managers.len()))
	for id := range m.managers.len() {
		g := m.managers.at(uint32(id))
		if g.chief != nil {
			b = appendNumber(appendNumber(appendNumber(b, pair(g.origin.from, g.origin.input)), uint64(g.origin.took)), g.key[0])
			continue
		}
		b = appendNumber(b, uint64(len(g.configs)))
		for _, c := range g.configs {
			b = appendText(b, string(configFrame(c)))
		}
		for _, boot := range g.boots {
			b = appendNumber(b, uint64(boot))
		}
	}
	b = appendNumber(b, uint64(m.ghosts.len()))
	for id := range m.ghosts.len() {
		b = m.ghosts.at(uint32(id)).append(b)
	}
	b = appendNumber(b, uint64(m.pasts.len()))
	for id := range m.pasts.len() {
		b = m.pasts.at(uint32(id)).append(b)
	}
	b = appendNumber(b, uint64(m.hosts.len()))
	for id := range m.hosts.len() {
		h := m.hosts.at(uint32(id))
		b = appendNumber(appendNumber(appendNumber(b, pair(h.origin.from, h.origin.input)), uint64(h.origin.took)), h.key[0])
	}
	for _, s := range m.learnt() {
		b = appendNumber(b, uint64(s.len()))
		for p := range s.all {
			b = appendNumber(b, p)
		}
	}
	return b, nil
}

func (g *ghost) append(b []byte) []byte {
	if g.record != nil {
		return appendText(b, g.record.text())
	}
	b = appendNumber(b, uint64(len(g.entries)))
	for i := range g.entries {
		e := &g.entries[i]
		for _, n := range [...]uint64{uint64(e.epoch), e.hash, e.op[0], e.op[1], uint64(e.at), e.values, e.applied, e.effect[0], e.effect[1]} {
			b = appendNumber(b, n)
		}
	}
	return b
}

func (p *past) append(b []byte) []byte {
	for i, s := range p.states {
		r := &p.results[i]
		b = appendText(appendNumber(appendNumber(appendNumber(b, uint64(s)), uint64(r.Status)), uint64(r.Version)), r.Value)
	}
	b = appendNumber(b, uint64(len(p.events)))
	for _, e := range p.events {
		b = appendNumber(b, uint64(int64(e)))
	}
	return b
}

var errOtherCode = errors.New("the code behaves otherwise than when it was written")

// Load implements explore.Keeper.
func (m *Model) Load(saved []byte) error {
	l := loader{saved}
	for id := range l.number() {
		e, err := core.DecodeEnvelope([]byte(l.text()))
		if err != nil {
			return err
		}
		if uint64(m.keepMessage(&e)) != id {
			return errOtherCode
		}
	}
	for id := range l.number() {
		if m.scenario.Real {
			if err := m.loadChief(&l, uint32(id)); err != nil {
				return err
			}
			continue
		}
		g := &manager{}
		for range l.number() {
			e, err := core.DecodeEnvelope([]byte(l.text()))
			if err != nil {
				return err
			}
			g.configs = append(g.configs, e.Body.(*core.Config))
		}
		for range m.scenario.Hosts() {
			g.boots = append(g.boots, core.Boot(l.number()))
		}
		if uint64(m.keepManager(g)) != id {
			return errOtherCode
		}
	}
	for id := range l.number() {
		g, err := l.ghost(m.several())
		if err != nil {
			return err
		}
		if uint64(m.keepGhost(g)) != id {
			return errOtherCode
		}
	}
	for id := range l.number() {
		if uint64(m.keepPast(l.past(len(m.ops)))) != id {
			return errOtherCode
		}
	}
	for id := range l.number() {
		from, took, k := l.number(), time.Duration(l.number()), l.number()
		again := uint32(id)
		switch {
		case int(id) < m.hosts.len():
		case took > 0:
			again = m.later(uint32(from>>32), took)
		default:
			again = m.after(uint32(from>>32), uint32(from)).to
		}
		if uint64(again) != id || m.hosts.at(again).key[0] != k {
			return errOtherCode
		}
	}
	for _, s := range m.learnt() {
		for range l.number() {
			s.add(l.number())
		}
	}
	return nil
}

// learnt is what is known of dead messages.
func (m *Model) learnt() []*set { return []*set{&m.dropped, &m.wakes, &m.became} }

// loadChief makes a real manager again, as Load does hosts.
func (m *Model) loadChief(l *loader, id uint32) error {
	from, took, k := l.number(), time.Duration(l.number()), l.number()
	again := id
	switch {
	case int(id) < m.managers.len():
	case took > 0:
		again = m.managerLater(uint32(from>>32), took)
	default:
		again = m.order(uint32(from>>32), uint32(from)).to
	}
	if again != id || m.managers.at(again).key[0] != k {
		return errOtherCode
	}
	return nil
}

// loader reads what Save wrote, whose checksum is right.
type loader struct{ b []byte }

func (l *loader) number() uint64 {
	n := binary.LittleEndian.Uint64(l.b)
	l.b = l.b[8:]
	return n
}

func (l *loader) text() string {
	n := binary.LittleEndian.Uint32(l.b)
	text := string(l.b[4 : 4+n])
	l.b = l.b[4+n:]
	return text
}

func (l *loader) ghost(several bool) (*ghost, error) {
	g := &ghost{}
	if several {
		var err error
		g.record, err = parseRecord(l.text())
		return g, err
	}
	for range l.number() {
		var e committed
		e.epoch, e.hash, e.op = core.Epoch(l.number()), l.number(), [2]uint64{l.number(), l.number()}
		e.at = core.Epoch(l.number())
		e.values, e.applied, e.effect = l.number(), l.number(), [2]uint64{l.number(), l.number()}
		g.entries = append(g.entries, e)
	}
	return g, nil
}

func (l *loader) past(ops int) *past {
	p := &past{}
	for range ops {
		p.states = append(p.states, opState(l.number()))
		p.results = append(p.results, core.Reply{Status: core.Status(l.number()), Version: core.Seq(l.number()), Value: l.text()})
	}
	for range l.number() {
		p.events = append(p.events, int8(int64(l.number())))
	}
	return p
}
