package cluster

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim/explore"
)

// Way is a counterexample with all that a picture of it shows.
type Way struct {
	Hosts    []string      // as WayStep and WayMessage name them: the manager, the nodes, the clients
	Begin    [][][2]string // of each host, its state before the first step: names and values
	Messages []WayMessage
	Steps    []WayStep
	Wrong    *explore.Violation // in the end; nil if nothing is
	// NotApplicable says which step cannot be taken, as the code behaves otherwise than when the
	// way was found; nil if none. The way ends before it.
	NotApplicable error
}

// WayMessage is a message that was ever under way.
type WayMessage struct {
	From, To, Text string
	Kind           core.Kind
	Step           int // that sent it; -1 for one that is under way from the beginning
}

// WayStep is a step of a way.
type WayStep struct {
	Name  string
	Kind  WayKind
	Host  string
	Takes int         // index of the message that is taken in, or lost; -1 for none
	State [][2]string // what is new of the host's state: names and values
	Done  []WayAnswer
}

// WayAnswer is the answer to an operation.
type WayAnswer struct{ Client, Op, Result string }

// WayKind says what a step is.
type WayKind uint8

const (
	WayTakes  WayKind = iota // a message is taken in
	WayAgain                 // and is still under way
	WayLoses                 // it is lost, or refused
	WaySyncs                 // a disk has made something durable
	WayTimer                 // a timer goes off
	WayEnds                  // a process ends
	WayStarts                // a process starts
	WayOrders                // the manager decides
)

// Way takes the steps, as Replay does.
func (f *Found) Way() (*Way, error) {
	m, err := New(f.Scenario)
	if err != nil {
		return nil, err
	}
	m.drops = false
	v := &viewer{m: m, way: &Way{}, flying: map[uint32][]int{}, state: map[string]string{}}
	v.hosts()
	if begin := explore.Initial(m); len(begin) == 1 {
		v.begin(begin[0].State)
	}
	wrong, err := explore.Follow(&labelled{m, &v.labels}, f.Steps, v.step)
	if v.way.Wrong = wrong; err != nil {
		v.way.NotApplicable = errors.Join(ErrNotApplicable, err)
	}
	return v.way, nil
}

// labelled is a Model whose workers hand out the labels of the steps of Next.
type labelled struct {
	*Model
	labels *[]label
}

func (l *labelled) Worker() explore.Worker {
	*l.labels = (*l.labels)[:0]
	return &worker{m: l.Model, labels: l.labels}
}

// viewer sees the steps of a way.
type viewer struct {
	m      *Model
	way    *Way
	labels []label // of all steps from where the way is
	at     world
	flying map[uint32][]int // of a message of the model, those of the way that are under way
	state  map[string]string
	first  int // of the model's hosts among the way's
}

func (v *viewer) hosts() {
	if !v.m.several() {
		v.way.Hosts = []string{managerAddr}
	}
	v.first = len(v.way.Hosts)
	for i := range v.m.scenario.Hosts() {
		v.way.Hosts = append(v.way.Hosts, v.m.nameOf(i))
	}
	for i := range v.m.ops {
		if name := clientName(v.m.ops[i].client); !slices.Contains(v.way.Hosts, name) {
			v.way.Hosts = append(v.way.Hosts, name)
		}
	}
}

func (v *viewer) begin(state []byte) {
	v.m.decode(&v.at, state)
	for _, id := range v.at.messages {
		v.send(id, -1)
	}
	v.way.Begin = make([][][2]string, len(v.way.Hosts))
	for i := range v.at.hosts {
		v.way.Begin[v.first+i] = v.news(i)
	}
}

func (v *viewer) send(id uint32, step int) {
	e := &v.m.messages.at(id).envelope
	from, kind := e.From.Addr, core.KindOf(e.Body)
	if from == clientAddr {
		from = managerAddr // what is asked of a real manager comes from no client that is shown
	}
	text := describe(v.m.messages.at(id))
	if q, ok := e.Body.(*core.Quorum); ok {
		text = quorum.TextOf(q.Text)
	} else if _, after, ok := strings.Cut(text, ": "); ok {
		text = kind.String() + " " + after
	}
	v.flying[id] = append(v.flying[id], len(v.way.Messages))
	v.way.Messages = append(v.way.Messages, WayMessage{From: from, To: e.To.Addr, Text: text, Kind: kind, Step: step})
}

// step is the function for explore.Follow.
func (v *viewer) step(index int, to *explore.Successor) {
	l, n := v.labels[index], len(v.way.Steps)
	s := WayStep{Name: to.Name, Kind: l.kind(), Host: l.at(), Takes: -1}
	was, is := v.at, world{}
	v.m.decode(&is, to.State)
	v.at = is
	left := slices.Clone(was.messages)
	if l.message != nil {
		id, _ := v.m.messages.find(l.message.key)
		if flying := v.flying[id]; len(flying) > 0 {
			s.Takes = flying[0]
			if s.Kind != WayAgain {
				v.flying[id] = flying[1:]
				left = remove(left, id)
			}
		}
	}
	if l.op != nil {
		s.Takes = len(v.way.Messages)
		v.way.Messages = append(v.way.Messages, WayMessage{From: clientName(l.op.client), To: s.Host, Text: l.op.text(), Kind: core.KindOp, Step: n})
	}
	for _, id := range is.messages {
		if slices.Contains(left, id) {
			left = remove(left, id)
		} else {
			v.send(id, n)
		}
	}
	for _, id := range left { // the process to which it was under way has ended for good
		v.flying[id] = v.flying[id][1:]
	}
	if index := slices.Index(v.way.Hosts, s.Host) - v.first; index >= 0 {
		s.State = v.news(index)
	}
	s.Done = v.done(&was)
	v.way.Steps = append(v.way.Steps, s)
}

func remove(list []uint32, id uint32) []uint32 {
	i := slices.Index(list, id)
	return slices.Delete(list, i, i+1)
}

// news returns what is new of a host's state.
func (v *viewer) news(index int) (news [][2]string) {
	h := v.m.hosts.at(v.at.hosts[index])
	f, name := &h.facts, hostName(index)
	role := "down"
	switch {
	case h.up() && f.primary && f.serving:
		role = "primary"
	case h.up() && f.primary:
		role = "primary that does not serve"
	case h.up():
		role = "no primary"
	}
	values := [][2]string{
		{"role", role}, {"epoch", strconv.FormatUint(uint64(f.epoch), 10)}, {"durable epoch", strconv.FormatUint(uint64(f.durable), 10)},
		{"commit point", strconv.FormatUint(uint64(f.commit), 10)}, {"log up to", strconv.FormatUint(uint64(f.last()), 10)},
		{"batches that are not durable", strconv.Itoa(len(h.gate))},
	}
	if h.seat != nil {
		name, values = seatName(index), h.seat.values(len(h.gate))
	}
	for _, x := range values {
		if key := name + "/" + x[0]; v.state[key] != x[1] {
			v.state[key] = x[1]
			news = append(news, x)
		}
	}
	return news
}

// values are what a picture shows of one of several managers.
func (s *seat) values(pending int) [][2]string {
	v := &s.view
	role := "down"
	switch {
	case s.leads != 0:
		role = "leader"
	case s.up && v.Cluster != 0:
		role = "of a cluster"
	case s.up && v.Promise != 0:
		role = "empty, and promised"
	case s.up:
		role = "empty"
	}
	return [][2]string{
		{"role", role}, {"id", s.self.String()}, {"cluster", max(v.Cluster, v.Promise).String()}, {"term", strconv.FormatUint(uint64(v.Term), 10)},
		{"log up to", strconv.FormatUint(uint64(v.Last.Index), 10)}, {"applied up to", strconv.FormatUint(uint64(v.Applied.Index), 10)},
		{"batches that are not durable", strconv.Itoa(pending)},
	}
}

// done returns the operations that are answered in the step.
func (v *viewer) done(was *world) (list []WayAnswer) {
	p, q := v.m.pasts.at(was.past), v.m.pasts.at(v.at.past)
	for i, s := range q.states {
		if s == opDone && p.states[i] != opDone {
			r := &q.results[i]
			a := WayAnswer{clientName(v.m.ops[i].client), v.m.ops[i].text(), r.Status.String()}
			if r.Value != "" {
				a.Result += " " + r.Value
			}
			list = append(list, a)
		}
	}
	return list
}

// text is the operation without its client.
func (o *op) text() string { return strings.TrimPrefix(o.String(), clientName(o.client)+" ") }

func (l *label) kind() WayKind {
	switch l.what {
	case labelTakesAgain:
		return WayAgain
	case labelRefused, labelVoid:
		return WayLoses
	case labelSynced:
		return WaySyncs
	case labelTimer:
		return WayTimer
	case labelCrashes, labelStops, labelWiped:
		return WayEnds
	case labelStarts:
		return WayStarts
	case labelOrders, labelChief:
		return WayOrders
	}
	return WayTakes
}

// at is the host to which the step happens.
func (l *label) at() string {
	switch {
	case l.what == labelManager, l.what == labelOrders, l.what == labelChief:
		return managerAddr
	case l.what == labelVoid:
		return l.message.envelope.To.Addr
	case l.several:
		return seatName(l.host)
	}
	return hostName(l.host)
}
