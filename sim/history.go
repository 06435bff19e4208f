package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gtstore/core"
)

// Operation is one call of a user and how it ended: an entry of the history
// that must be linearizable.
type Operation struct {
	Client  string // the host it was called at
	Action  int    // its index in Schedule.Actions; -1 for a Final one
	Final   bool   // of the probe for liveness, after the faults
	Kind    core.OpKind
	Key     string
	Value   string   // that a put or cas writes
	Version core.Seq // that a cas expects

	Called, Returned time.Duration // virtual times; good when the next two are not 0
	// CallOrder and ReturnOrder number all calls and returns of a run from 1, as
	// they happened; 0 for not yet. Times alone cannot tell a call at the moment
	// of a return from one before it.
	CallOrder, ReturnOrder int
	Result                 *core.Result // nil until it returned
}

func (op *Operation) String() string {
	text := op.Client + " " + op.Kind.String() + " " + op.Key
	switch op.Kind {
	case core.OpPut:
		text += " " + op.Value
	case core.OpCAS:
		text += fmt.Sprintf(" %d %s", op.Version, op.Value)
	}
	return text
}

// client is the workload of one client host.
type client struct {
	host     *Host
	ready    []int // operations whose time has come, in order
	begun    int   // how many of them were called
	underWay int
	width    int
	seen     map[string]core.Seq // the version of each key in the last result that told
}

// operatorAddr is where the operator who says forget and drain gets the answers.
const operatorAddr = "op"

// operatorInterval is how long the operator waits for an answer.
const operatorInterval = 200 * time.Millisecond

// request is a Forget, or a Drain, that the operator repeats until it is
// answered.
type request struct {
	node   core.NodeID
	drain  bool
	status core.Status // of the answer, 0 before
}

// makeHistory has an operation for every action that is one.
func (w *World) makeHistory() {
	s := w.schedule
	keys := map[string]bool{}
	for i := range s.Actions {
		a := &s.Actions[i]
		kind := a.Verb.operation()
		if kind == 0 {
			continue
		}
		w.ops = append(w.ops, Operation{Client: a.Host, Action: i, Kind: kind, Key: a.Key, Value: a.Value})
		if !keys[a.Key] {
			keys[a.Key] = true
			w.keys = append(w.keys, a.Key)
		}
	}
	w.unfinished = len(w.ops)
	// Enough for the final probe too: Observers may keep pointers to operations.
	w.ops = append(make([]Operation, 0, len(w.ops)+2*len(w.keys)), w.ops...)
	w.clients = make([]client, s.Shape.Clients)
	for i := range w.clients {
		w.clients[i] = client{host: w.hosts[1+w.storages+i], width: max(1, s.Shape.Width), seen: map[string]core.Seq{}}
	}
}

// operation returns the kind of operation that a verb calls, 0 for none.
func (v Verb) operation() core.OpKind {
	switch v {
	case VerbPut:
		return core.OpPut
	case VerbGet:
		return core.OpGet
	case VerbDelete:
		return core.OpDelete
	case VerbCAS:
		return core.OpCAS
	}
	return 0
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
		timeout := w.schedule.Shape.OpTimeout
		if op.Final { // the bound is in virtual time, whatever the client's clock shows
			timeout = c.host.clock.local(w.now + int64(w.schedule.Shape.LivenessBound())).Since(c.host.clock.local(w.now))
		}
		w.order++
		op.Called, op.CallOrder = time.Duration(w.now), w.order
		w.pushLocal(c.host, w.now, tieLocal, &core.Envelope{To: c.host.peer, Body: &core.Call{
			ID: uint64(i) + 1, Kind: op.Kind, Key: op.Key, Value: w.padded(op), Version: op.Version, Timeout: timeout,
		}})
		if w.log != nil {
			w.logOperation(LogCalled, c.host, op)
		}
	}
}

// padded returns what an operation writes. The history tells large values apart
// by what they are padded from.
func (w *World) padded(op *Operation) string {
	if op.Action < 0 || w.schedule.Actions[op.Action].Size == 0 {
		return op.Value
	}
	if w.large == nil {
		w.large = make(map[string]string)
	}
	size := w.schedule.Actions[op.Action].Size
	w.large[op.Value] = op.Value + strings.Repeat(sizeMark, size-len(op.Value))
	return w.large[op.Value]
}

// unpadded has a result tell a large value as the history does. It returns r
// itself unless its value is one of these, all of it.
func (w *World) unpadded(r *core.Result) *core.Result {
	name, _, ok := strings.Cut(r.Value, sizeMark)
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

// record takes in what a host says to its caller.
func (w *World) record(h *Host, e *core.Envelope) {
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
	w.hash = mix(w.hash, mix(r.ID<<8|uint64(r.Status), uint64(r.Version)))
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
func (w *World) checkWant(op *Operation) {
	if op.Final {
		return
	}
	want, got := w.schedule.Actions[op.Action].Want, Want{op.Result.Status, op.Result.Value}
	if want.Status == 0 || got == want || got.Status == want.Status && want.Value == "" {
		return
	}
	w.Fail("outcome", "%v ended with %v, not with %v", op, got, want)
}

// learn remembers the version of the key, if the result tells: it is what a
// later "cas KEY last" expects.
func (c *client) learn(op *Operation) {
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
		w.probe(Operation{Kind: core.OpPut, Key: key, Value: "final-" + key})
	}
}

func (w *World) probeGet(put *Operation) { w.probe(Operation{Kind: core.OpGet, Key: put.Key}) }

func (w *World) probe(op Operation) {
	op.Client, op.Action, op.Final = w.clients[0].host.name, -1, true
	w.ops = append(w.ops, op)
	w.unfinished++
	w.offer(len(w.ops) - 1)
}

// operate makes the operator ask something of the manager.
func (w *World) operate(h *Host, drain bool) {
	w.requests = append(w.requests, request{node: h.peer.ID, drain: drain})
	w.sendRequest(len(w.requests) - 1)
}

func (w *World) sendRequest(i int) {
	r := &w.requests[i]
	if r.status != 0 {
		return
	}
	if m := w.hosts[0]; m.up {
		e := &core.Envelope{From: core.Peer{Addr: operatorAddr}, To: core.Peer{Addr: m.name}}
		if r.drain {
			e.Body = &core.Drain{Req: uint64(i) + 1, Node: r.node}
		} else {
			e.Body = &core.Forget{Req: uint64(i) + 1, Node: r.node}
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
		w.requests[req-1].status = status
	}
}

// LogKind says what a LogRecord tells.
type LogKind uint8

const (
	LogSent      LogKind = iota + 1 // Env left From for To
	LogDelivered                    // Env is taken in at To
	LogLost                         // Env does not arrive; Text says why
	LogTicked                       // To was ticked
	LogCalled                       // Op begins at To
	LogReturned                     // Op has its result
	LogChanged                      // Text happened to To
	LogAction                       // Action, one of the schedule's; Text is its line
	LogSynced                       // To's disk has made durable what was being written
	LogHealed                       // the faults end now
)

var logKindNames = [...]string{
	LogSent: "send", LogDelivered: "take", LogLost: "lose", LogTicked: "tick", LogCalled: "call", LogReturned: "return",
	LogChanged: "host", LogAction: "action",
	LogSynced: "sync", LogHealed: "heal",
}

// LogRecord is one thing that happened in a run, for a person or a viewer.
type LogRecord struct {
	At       time.Duration // virtual time
	What     LogKind
	Event    int    // with LogDelivered and LogTicked: which event it is, from 1
	From, To string // hosts
	Number   uint64 // of a message, in the order of sending; 0 for one that crosses no network
	Env      *core.Envelope
	Op       *Operation
	Action   *Action
	Text     string
}

// String is one line. It does not depend on the run's memory, so that the logs
// of two runs can be compared.
func (r *LogRecord) String() string {
	text := fmt.Sprintf("%-12v %-6s", r.At, logKindNames[r.What])
	switch {
	case r.Env != nil:
		k := core.KindOf(r.Env.Body)
		text += fmt.Sprintf(" %s>%s %v", r.From, r.To, k)
		if r.Number > 0 {
			text += fmt.Sprintf(" [%d]", r.Number)
		}
		text += " " + withoutPadding(fmt.Sprintf("%+v", r.Env.Body))
	case r.Op != nil:
		text += " " + r.Op.String()
		if r.Op.Result != nil {
			text += fmt.Sprintf(": %+v", *r.Op.Result)
		}
	default:
		text += " " + r.To
	}
	if r.Text != "" {
		text += " (" + r.Text + ")"
	}
	return text
}

// withoutPadding leaves out all but the first of what large values are padded with.
func withoutPadding(text string) string {
	const run = sizeMark + sizeMark
	if !strings.Contains(text, run) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		if i == 0 || text[i] != sizeMark[0] || text[i-1] != sizeMark[0] {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

func (w *World) logMessage(what LogKind, from, to *Host, number uint64, e *core.Envelope, text string) {
	r := LogRecord{At: time.Duration(w.now), What: what, From: from.name, To: to.name, Number: number, Env: e, Text: text}
	if what == LogDelivered || what == LogTicked {
		r.Event = w.events
	}
	w.log(&r)
}

func (w *World) logLost(from, to *Host, number uint64, e *core.Envelope, why string) {
	if w.log != nil {
		w.logMessage(LogLost, from, to, number, e, why)
	}
}

func (w *World) logOperation(what LogKind, h *Host, op *Operation) {
	w.log(&LogRecord{At: time.Duration(w.now), What: what, To: h.name, Op: op})
}
