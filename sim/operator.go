package sim

import (
	"time"

	"gtstore/core"
)

// operatorAddr is where the operator who says forget and drain gets the answers.
const operatorAddr = "op"

// operatorInterval is how long the operator waits for an answer before asking again.
const operatorInterval = 200 * time.Millisecond

// Request is a Forget, or a Drain, that the operator repeats until it is
// answered.
type Request struct {
	Node   core.NodeID
	Drain  bool
	Status core.Status // of the answer, 0 before
}

// operate makes the operator ask something of the manager.
func (w *World) operate(h *Host, drain bool) {
	w.requests = append(w.requests, Request{Node: h.peer.ID, Drain: drain})
	w.sendRequest(len(w.requests) - 1)
}

func (w *World) sendRequest(i int) {
	r := &w.requests[i]
	if r.Status != 0 {
		return
	}
	if m := w.Manager(); m.up {
		e := &core.Envelope{From: core.Peer{Addr: operatorAddr}, To: core.Peer{Addr: m.name}}
		if r.Drain {
			e.Body = &core.Drain{Req: uint64(i) + 1, Node: r.Node}
		} else {
			e.Body = &core.Forget{Req: uint64(i) + 1, Node: r.Node}
		}
		w.pushLocal(m, w.now, tieFree, e)
	}
	it := w.queue.push(w.now+int64(operatorInterval), tieFree)
	it.kind, it.number = itemRequest, uint64(i)
}

// answered takes the manager's answer to the operator.
func (w *World) answered(e *core.Envelope) {
	req, status := uint64(0), core.Status(0)
	switch b := e.Body.(type) {
	case *core.Forgotten:
		req, status = b.Req, b.Status
	case *core.Drained:
		req, status = b.Req, b.Status
	}
	if req > 0 && req <= uint64(len(w.requests)) {
		w.requests[req-1].Status = status
	}
}
