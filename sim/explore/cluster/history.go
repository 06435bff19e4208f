package cluster

import (
	"fmt"
	"slices"

	"gtstore/core"
	"gtstore/sim/history"
)

// op is an operation of the scenario.
type op struct {
	client  int
	kind    core.OpKind
	key     string
	value   string
	version core.Seq
	session core.Seq
	number  uint64
}

func (o *op) String() string {
	h := history.Operation{Client: clientName(o.client), Kind: o.kind, Key: o.key, Value: o.value, Version: o.version}
	return h.String()
}

func clientName(client int) string { return fmt.Sprintf("c%d", client+1) }

// envelope is the request as it reaches a host.
func (o *op) envelope(index, host int) *core.Envelope {
	return &core.Envelope{Cluster: cluster, From: clientPeer(o.client), To: hostPeer(host), Body: &core.Op{
		Group: group, Req: uint64(index) + 1, Kind: o.kind, Session: o.session, OpSeq: o.number, Key: o.key, Value: o.value, Version: o.version,
	}}
}

// opState is how far an operation is.
type opState uint8

const (
	opIdle    opState = iota
	opCalled          // a node has taken it in
	opRefused         // and a node has said that it does not serve it: the client may ask again
	opDone
)

// past is the history up to a state. An operation is called when it first reaches a
// node that takes it in, and returns when the answer leaves: the longest time between the two
// would prove less. It is never changed.
type past struct {
	key     key
	states  []opState
	results []core.Reply // of those that are done
	events  []int8       // op+1 for a call, -(op+1) for a return
	broken  *broken
}

func (p *past) clone() *past {
	return &past{states: slices.Clone(p.states), results: slices.Clone(p.results), events: slices.Clone(p.events)}
}

// done tells whether all operations are.
func (p *past) done() bool {
	return !slices.ContainsFunc(p.states, func(s opState) bool { return s != opDone })
}

// call notes that an operation is under way.
func (m *Model) call(id uint32, index int) uint32 {
	p := m.pasts.at(id)
	if p.states[index] == opCalled || p.states[index] == opDone {
		return id
	}
	n := p.clone()
	if n.states[index] == opIdle {
		n.events = append(n.events, int8(index+1))
	}
	n.states[index] = opCalled
	return m.keepPast(n)
}

// hear notes an answer.
func (m *Model) hear(id uint32, r *core.Reply) uint32 {
	p, index := m.pasts.at(id), int(r.Req)-1
	if m.requests == nil { // before the search
		m.asked = r
	}
	if index < 0 || index >= len(p.states) || p.states[index] == opDone || p.states[index] == opIdle {
		return id
	}
	n := p.clone()
	switch r.Status {
	case core.StatusNotPrimary, core.StatusUnavailable, core.StatusOverloaded:
		n.states[index] = opRefused
	default:
		n.states[index] = opDone
		n.results[index] = core.Reply{Status: r.Status, Version: r.Version, Value: r.Value}
		n.events = append(n.events, -int8(index+1))
	}
	return m.keepPast(n)
}

// keepPast returns the number of a history. Which of two calls that follow each other was
// first means nothing, nor of two returns.
func (m *Model) keepPast(p *past) uint32 {
	for i := range p.events {
		for j := i; j > 0 && (p.events[j] > 0) == (p.events[j-1] > 0) && p.events[j] < p.events[j-1]; j-- {
			p.events[j], p.events[j-1] = p.events[j-1], p.events[j]
		}
	}
	var b []byte
	for i, s := range p.states {
		b = append(b, byte(s))
		if s == opDone {
			r := &p.results[i]
			b = appendText(appendNumber(append(b, byte(r.Status)), uint64(r.Version)), r.Value)
		}
	}
	for _, e := range p.events {
		b = append(b, byte(e))
	}
	p.key = keyOf(b)
	if id, ok := m.pasts.find(p.key); ok {
		return id
	}
	if property, text := history.CheckLinearizable(m.operations(p)); property != "" {
		p.broken = &broken{property, text}
	}
	return m.pasts.put(p.key, p)
}

// operations is the history as package history wants it, with what was before the search.
func (m *Model) operations(p *past) []history.Operation {
	list := slices.Clone(m.before)
	order := 2 * len(list)
	first := len(list)
	for i := range m.ops {
		o := &m.ops[i]
		list = append(list, history.Operation{Client: clientName(o.client), Action: i, Kind: o.kind, Key: o.key, Value: o.value, Version: o.version})
	}
	for _, e := range p.events {
		order++
		if m.ops[max(e, -e)-1].kind == core.OpOpen { // it is no part of the history
			continue
		}
		if e > 0 {
			list[first+int(e)-1].CallOrder = order
			continue
		}
		h := &list[first-int(e)-1]
		h.ReturnOrder = order
		r := &p.results[-int(e)-1]
		status := r.Status
		switch status {
		case core.StatusSessionExpired:
			status = core.StatusUnknown // it may have been executed before
		case core.StatusSessionEnded:
			status = core.StatusUnavailable // it never was, and never will be
		}
		h.Result = &core.Result{Status: status, Version: r.Version, Value: r.Value}
	}
	return list
}
