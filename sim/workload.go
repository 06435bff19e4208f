package sim

import (
	"strconv"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// client is the workload of one client host.
type client struct {
	host     *Host
	ready    []int // operations whose time has come, in order
	begun    int   // how many of them were called
	underWay int
	width    int
	seen     map[string]core.Seq // the version of each key in the last result that told
}

// makeHistory has an operation for every action that is one.
func (w *World) makeHistory() {
	s := w.schedule
	keys := map[string]bool{}
	for i := range s.Actions {
		a := &s.Actions[i]
		kind := a.Verb.Operation()
		if kind == 0 {
			continue
		}
		w.ops = append(w.ops, history.Operation{Client: a.Host, Action: i, Kind: kind, Key: a.Key, Value: a.Value})
		if !keys[a.Key] {
			keys[a.Key] = true
			w.keys = append(w.keys, a.Key)
		}
	}
	w.unfinished = len(w.ops)
	// Enough for the final probe too: Observers may keep pointers to operations.
	w.ops = append(make([]history.Operation, 0, len(w.ops)+2*len(w.keys)), w.ops...)
	w.clients = make([]client, s.Shape.Clients)
	for i := range w.clients {
		w.clients[i] = client{host: w.hosts[1+w.storages+i], width: max(1, s.Shape.Width), seen: map[string]core.Seq{}}
	}
}

// offer makes an operation start as soon as its client has a free slot.
func (w *World) offer(op int) {
	h := w.hostNamed(w.ops[op].Client)
	if h == nil || h.role != RoleClient {
		return
	}
	c := &w.clients[h.index-1-w.storages]
	c.ready = append(c.ready, op)
	w.call(c)
}

// takeOver gives a new client what was meant for the one before it and never came to it.
// All that did come has its result.
func (w *World) takeOver(h *Host) {
	for i := range w.ops {
		if op := &w.ops[i]; op.Client == h.name && op.CallOrder > 0 && op.Result == nil {
			w.hand(h, i)
		}
	}
}

// call starts what the client may start.
func (w *World) call(c *client) {
	for c.underWay < c.width && c.begun < len(c.ready) {
		i := c.ready[c.begun]
		c.begun++
		c.underWay++
		op := &w.ops[i]
		if op.Kind == core.OpCAS {
			op.Version = c.expected(w.schedule.Actions[op.Action].Version, op.Key)
		}
		w.order++
		op.Called, op.CallOrder = time.Duration(w.now), w.order
		w.hand(c.host, i)
		if w.log != nil {
			w.logOperation(LogCalled, c.host, op)
		}
	}
}

// hand gives an operation to a client.
func (w *World) hand(h *Host, i int) {
	op := &w.ops[i]
	timeout := w.schedule.Shape.OpTimeout
	if op.Final { // the bound is in virtual time, whatever the client's clock shows
		timeout = h.clock.local(w.now + int64(w.schedule.Shape.LivenessBound())).Since(h.clock.local(w.now))
	}
	w.pushLocal(h, w.now, tieLocal, &core.Envelope{To: h.peer, Body: &core.Call{
		ID: uint64(i) + 1, Kind: op.Kind, Key: op.Key, Value: w.padded(op), Version: op.Version, Timeout: timeout,
	}})
}

// padded returns what an operation writes. The history tells large values apart
// by what they are padded from.
func (w *World) padded(op *history.Operation) string {
	if op.Action < 0 || w.schedule.Actions[op.Action].Size == 0 {
		return op.Value
	}
	if w.large == nil {
		w.large = make(map[string]string)
	}
	w.large[op.Value] = w.schedule.Actions[op.Action].Padded()
	return w.large[op.Value]
}

// unpadded has a result tell a large value as the history does. It returns r
// itself unless its value is one of these, all of it.
func (w *World) unpadded(r *core.Result) *core.Result {
	name, _, ok := strings.Cut(r.Value, schedule.Padding)
	if !ok || w.large[name] != r.Value {
		return r
	}
	short := *r
	short.Value = name
	return &short
}

func (c *client) expected(text, key string) core.Seq {
	if text == "last" {
		return c.seen[key]
	}
	n, _ := strconv.ParseUint(text, 10, 64) // Validate has seen to it
	return core.Seq(n)
}

// takeResult takes in what a host says to its caller.
func (w *World) takeResult(h *Host, e *core.Envelope) {
	r, ok := e.Body.(*core.Result)
	if !ok {
		w.Fail("driver-contract", "%s sent a %v to nobody", h.name, core.KindOf(e.Body))
		return
	}
	if h.role != RoleClient || r.ID == 0 || r.ID > uint64(len(w.ops)) || w.ops[r.ID-1].Client != h.name || w.ops[r.ID-1].CallOrder == 0 {
		w.Fail("result", "%s returned a result of a call %d that it was not given", h.name, r.ID)
		return
	}
	op := &w.ops[r.ID-1]
	if op.Result != nil {
		w.Fail("result", "%s returned a second result, %v, of its call %v, after %v", h.name, r.Status, op, op.Result.Status)
		return
	}
	w.order++
	if len(w.large) > 0 {
		r = w.unpadded(r)
	}
	op.Result, op.Returned, op.ReturnOrder = r, time.Duration(w.now), w.order
	w.hash = splitmix.Mix(w.hash, splitmix.Mix(r.ID<<8|uint64(r.Status), uint64(r.Version)))
	w.unfinished--
	c := &w.clients[h.index-1-w.storages]
	c.underWay--
	c.learn(op)
	if w.log != nil {
		w.logOperation(LogReturned, h, op)
	}
	w.checkWant(op)
	if w.options.Observer != nil {
		w.options.Observer.AfterResult(w, op)
	}
	if op.Final && op.Kind == core.OpPut {
		w.probeGet(op)
	}
	w.call(c)
	if w.unfinished == 0 {
		w.pushPhase(0)
	}
}

// checkWant holds a result against what the schedule says of it.
func (w *World) checkWant(op *history.Operation) {
	if op.Final {
		return
	}
	want, got := w.schedule.Actions[op.Action].Want, schedule.Want{Status: op.Result.Status, Value: op.Result.Value}
	if want.Status == 0 || got == want || got.Status == want.Status && want.Value == "" {
		return
	}
	w.Fail("outcome", "%v ended with %v, not with %v", op, got, want)
}

// learn remembers the version of the key, if the result tells: it is what a
// later "cas KEY last" expects.
func (c *client) learn(op *history.Operation) {
	switch r := op.Result; r.Status {
	case core.StatusOK:
		c.seen[op.Key] = r.Version
		if op.Kind == core.OpDelete {
			c.seen[op.Key] = 0
		}
	case core.StatusConflict:
		c.seen[op.Key] = r.Version
	case core.StatusNotFound:
		c.seen[op.Key] = 0
	}
}

// probePuts begins the probe for liveness: a fresh value to every key of the
// workload, and when that is written a get.
func (w *World) probePuts() {
	c := &w.clients[0]
	c.width = 2 * len(w.keys)
	for _, key := range w.keys {
		w.probe(history.Operation{Kind: core.OpPut, Key: key, Value: "final-" + key})
	}
}

func (w *World) probeGet(put *history.Operation) {
	w.probe(history.Operation{Kind: core.OpGet, Key: put.Key})
}

func (w *World) probe(op history.Operation) {
	op.Client, op.Action, op.Final = w.clients[0].host.name, -1, true
	w.ops = append(w.ops, op)
	w.unfinished++
	w.offer(len(w.ops) - 1)
}
