package core

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An attack steps messages that no honest peer sends, under any name, into a node in some
// state. Each is made of a message that the node took before, or of a zero one, with some
// fields changed to values that are at a boundary, or near what the node has. Whatever a
// message says, nothing panics; and what a client or a stranger says, under its own name,
// harms no write that was acknowledged.
type attack struct {
	t    *testing.T
	data []byte // the choices to come: the attack ends with them
	target
	as      Role // whose certificate it has, so that it can say no more than that role; 0 for none
	steps   int
	open    []Envelope // the last that the node sent
	scratch []byte
}

// target is a node under attack.
type target struct {
	*rig
	// honest lets those who are honest go on for a moment; nil if there are none.
	honest func()
	// survives holds the node against what must be true of it after an attack by
	// outsiders: what was acknowledged before is served.
	survives func()
	// unknown: its id, drawn at random, was told to nobody but the manager.
	unknown bool
}

// sender is whom a message says that it is from.
type sender struct {
	peer    Peer
	insider bool // a manager, or a member of the group
}

var senders = []sender{
	{peer: Peer{ID: 0x999, Addr: "stranger"}},
	{peer: Peer{ID: 0x998, Addr: "n1"}}, // claims another's address
	{peer: Peer{ID: 0x997, Addr: "nowhere"}},
	{peer: Peer{ID: 0x996, Addr: "nobody"}},
	{peer: peerOf("c1")},
	{peer: peerOf("c2")},
	{peer: peerOf("n9")},
	{peer: Peer{}},
	{peer: peerOf("m"), insider: true},
	{peer: peerOf("n1"), insider: true},
	{peer: peerOf("n2"), insider: true},
	{peer: peerOf("n3"), insider: true},
	{peer: peerOf("n4"), insider: true},
}

// draw returns a choice of n, at most 256.
func (a *attack) draw(n int) int {
	if len(a.data) == 0 {
		return 0
	}
	c := int(a.data[0])
	a.data = a.data[1:]
	return c % n
}

func pick[T any](a *attack, list ...T) T { return list[a.draw(len(list))] }

// run attacks until the choices are used up. Outsiders use no name but their own, and do
// not say what only an operator may.
func (a *attack) run(outsiders bool) {
	templates := slices.DeleteFunc(a.took, func(e Envelope) bool { return kinds[KindOf(e.Body)].local })
	for len(a.data) > 0 && a.node != nil {
		from := senders[a.draw(len(senders))]
		if outsiders && from.insider {
			continue
		}
		var m Message
		if e, ok := a.reply(); ok && !outsiders {
			from.peer, m = e.From, e.Body
		} else if len(templates) > 0 && a.draw(4) > 0 {
			e := templates[a.draw(len(templates))]
			m = clone(reflect.ValueOf(e.Body)).Interface().(Message)
			if !outsiders && a.draw(4) > 0 {
				from.peer = e.From
			}
		} else {
			m = kinds[wireKinds()[a.draw(len(wireKinds()))]].make()
			a.fill(reflect.ValueOf(m).Elem(), 0)
		}
		for range a.draw(4) {
			a.mutate(reflect.ValueOf(m).Elem(), 0)
		}
		if k := KindOf(m); outsiders && kinds[k].operator && k != KindStatusQuery && a.as != RoleOperator {
			continue
		}
		if a.as != 0 && !a.maySay(&from.peer, m) {
			continue
		}
		to := pick(a, a.self, a.self, a.self, a.self, Peer{Addr: a.self.Addr}, peerOf("n3"))
		if outsiders && a.unknown && to == a.self {
			to.ID = 0
		}
		a.steps++
		a.stepRaw(Envelope{Cluster: pick(a, rigCluster, rigCluster, rigCluster, rigCluster, 0, 0xd2), From: from.peer, To: to, Body: m})
		if a.node == nil {
			break
		}
		a.goOn()
		a.look()
	}
	if outsiders && a.as != RoleOperator {
		require.True(a.t, a.halted == nil || errors.Is(a.halted, ErrStopped), a.halted)
		a.survives()
	}
}

// stolen is under which ids those are known that have a client's certificate.
const stolen = NodeID(0x57013e) << NameBits

// maySay makes of a sender whom a driver makes of it that looks at certificates. It returns
// false for what that would not take in.
func (a *attack) maySay(from *Peer, m Message) bool {
	own := RoleNode
	switch a.node.(type) {
	case *Manager:
		own = RoleManager
	case *Client:
		own = RoleClient
	}
	if a.as == RoleClient || a.as == RoleOperator {
		from.ID = stolen | from.ID&(1<<(64-NameBits)-1)
	}
	return KindOf(m).MaySend(a.as, own)
}

// reply is an answer to something that the node has sent and nobody has answered.
func (a *attack) reply() (Envelope, bool) {
	if len(a.open) == 0 || a.draw(3) > 0 {
		return Envelope{}, false
	}
	e := a.open[a.draw(len(a.open))]
	r := Envelope{From: e.To}
	switch b := e.Body.(type) {
	case *Ping:
		r.Body = &Pong{Nonce: b.Nonce, Token: b.Token, Boot: 1, Index: b.Began}
	case *Probe:
		r.Body = &ProbeReply{Nonce: b.Nonce}
	case *Replicate:
		r.Body = &Ack{Group: b.Group, Epoch: b.Epoch, Round: b.Round, Matched: b.Prev.Seq + Seq(len(b.Entries))}
		if a.draw(2) == 0 {
			r.Body = &Nack{Group: b.Group, Epoch: b.Epoch, Round: b.Round}
		}
	case *Chunk:
		r.Body = &ChunkAck{Group: b.Group, Epoch: b.Epoch, Start: b.Start, Tenure: b.Tenure, Attempt: b.Attempt, Next: b.Number + 1}
	case *Op:
		r.Body = &Reply{Group: b.Group, Req: b.Req, Status: StatusOK}
	case *Lookup:
		r.Body = &LookupReply{Placement: PlacementKey, Req: b.Req, Status: StatusOK, Config: config(1, "n1", "n2")}
	}
	return r, r.Body != nil
}

// goOn lets time pass now and then.
func (a *attack) goOn() {
	switch a.draw(8) {
	case 0:
		a.tick(pick(a, time.Millisecond, 20*time.Millisecond, 60*time.Millisecond, 400*time.Millisecond))
	case 1:
		if a.honest != nil {
			a.honest()
		}
	}
}

// look holds what the node says and holds against the limits.
func (a *attack) look() {
	for i := range a.mail {
		if e := &a.mail[i]; !kinds[KindOf(e.Body)].local {
			a.scratch = AppendEnvelope(a.scratch[:0], e) // it panics if the receiver would refuse it
		}
	}
	a.took, a.past = nil, nil
	if a.open = append(a.open, a.mail...); a.honest == nil {
		a.mail = nil
	}
	a.open = a.open[max(0, len(a.open)-64):]
	switch n := a.node.(type) {
	case *Storage:
		require.LessOrEqual(a.t, len(n.groups), GroupsMax)
		for _, g := range n.groups {
			require.LessOrEqual(a.t, len(g.state.sessions.byID), SessionsMax)
			if t := g.tenure; t != nil {
				o := n.opt
				require.LessOrEqual(a.t, len(t.reads), o.ReadsMax)
				require.LessOrEqual(a.t, len(t.exports), exportsMax)
				require.LessOrEqual(a.t, len(t.parked), o.ParkedMax)
				require.LessOrEqual(a.t, len(t.pending), o.PendingMax)
				require.LessOrEqual(a.t, t.bytes, o.PendingBytesMax)
				bytes := 0
				for _, p := range t.parked {
					bytes += len(p.op.Key) + len(p.op.Value)
				}
				require.LessOrEqual(a.t, bytes, o.PendingBytesMax)
				for _, r := range t.reads {
					require.Empty(a.t, r.op.Value)
				}
				if t.transfer != nil {
					require.LessOrEqual(a.t, len(t.transfer.window), chunksMax)
				}
			}
		}
	case *Manager:
		require.LessOrEqual(a.t, len(n.dir.nodes), nodesMax)
		require.LessOrEqual(a.t, n.waiting, n.opt.WaitersMax)
		require.LessOrEqual(a.t, len(n.early), n.opt.WaitersMax)
		require.LessOrEqual(a.t, len(n.waits), n.waiting+len(n.early))
		require.LessOrEqual(a.t, len(n.about), 2*nodesMax)
		requireTally(a.t, n)
		require.LessOrEqual(a.t, len(n.forgets), nodesMax)
		require.LessOrEqual(a.t, len(n.drains), nodesMax)
		require.LessOrEqual(a.t, len(n.watches), len(n.dir.nodes))
		require.NotContains(a.t, n.dir.byID, NodeID(0))
		require.NotContains(a.t, n.dir.byID, n.self.ID)
	case *Client:
		require.LessOrEqual(a.t, len(n.routes), groupMax)
	}
}

// near are numbers that the node has, or nearly has.
func (a *attack) near() (list []uint64) {
	switch n := a.node.(type) {
	case *Storage:
		list = append(list, uint64(n.boot), uint64(n.seen.index), uint64(n.seen.boot), n.relays.last)
		for _, g := range n.groups[:min(2, len(n.groups))] {
			list = append(list, uint64(g.config.Epoch), uint64(g.config.Start), uint64(g.log.base.Seq), uint64(g.log.last()), uint64(g.commit), uint64(g.verified))
			if g.tenure != nil {
				list = append(list, g.tenure.round, uint64(g.state.values.len()), uint64(g.tenure.exported))
				if x := g.tenure.transfer; x != nil {
					list = append(list, x.attempt, x.next)
				}
			}
			if g.joiner != nil {
				list = append(list, g.joiner.attempt, g.joiner.next)
			}
		}
	case *Manager:
		list = append(list, uint64(n.dir.index), n.nonce, uint64(n.boot), uint64(len(n.dir.groups)))
		for _, g := range n.dir.groups[:min(2, len(n.dir.groups))] {
			list = append(list, uint64(g.config.Epoch), uint64(g.config.Start))
		}
	case *Client:
		for _, c := range n.timed.all()[:min(2, len(n.timed))] {
			list = append(list, c.ID, c.req(false), c.req(true))
		}
	}
	return list
}

var boundaries = []uint64{0, 1, 2, 3, countMax, countMax + 1, bootMax, groupMax, 1 << 31, 1 << 32, 1 << 60, 1<<63 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64}

func (a *attack) number() uint64 {
	if list := a.near(); len(list) > 0 && a.draw(3) > 0 {
		return list[a.draw(len(list))] + pick[uint64](a, 0, 0, 1, math.MaxUint64)
	}
	return pick(a, boundaries...)
}

var long = strings.Repeat("k", ValueBytesMax+1)

// fill gives every field of a value something.
func (a *attack) fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			a.fill(v.Field(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), pick(a, 0, 1, 1, 2, 3, ChainMax+1), ChainMax+1))
		for i := range v.Len() {
			a.fill(v.Index(i), depth+1)
		}
	case reflect.Pointer:
		v.SetZero()
		if a.draw(2) == 0 && depth < 3 {
			v.Set(reflect.New(v.Type().Elem()))
			a.fill(v.Elem(), depth+1)
		}
	default:
		a.leaf(v)
	}
}

// leaf gives a field that has no fields a value.
func (a *attack) leaf(v reflect.Value) {
	switch v.Interface().(type) {
	case NodeID:
		v.SetUint(pick(a, uint64(a.self.ID), 1, 2, 3, 9, 0x200, 0x999, 0, math.MaxUint64))
		return
	case time.Duration:
		v.SetInt(pick[int64](a, 0, 1, -1, int64(100*time.Millisecond), int64(LeaseMax), int64(LeaseMax)+1, math.MaxInt64, math.MinInt64))
		return
	case GroupID:
		if a.draw(2) == 0 {
			v.SetUint(1)
			return
		}
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(pick(a, "x", "y", "n1", "n2", "", long[:KeyBytesMax], long[:KeyBytesMax+1], long[:AddrBytesMax+1], long[:ValueBytesMax], long))
	case reflect.Bool:
		v.SetBool(a.draw(2) == 0)
	case reflect.Uint8:
		v.SetUint(uint64(a.draw(14)))
	case reflect.Uint32:
		v.SetUint(a.number() % (1 << 32))
	default:
		v.SetUint(a.number())
	}
}

// mutate changes something somewhere in a value.
func (a *attack) mutate(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.NumField() > 0 {
			a.mutate(v.Field(a.draw(v.NumField())), depth+1)
		}
	case reflect.Slice:
		switch n := v.Len(); {
		case n == 0 || a.draw(4) == 0:
			a.fill(v, depth)
		case a.draw(3) == 0: // one of them twice
			v.Set(reflect.Append(v, v.Index(a.draw(n))))
		case a.draw(3) == 0:
			v.Set(v.Slice(0, n-1))
		default:
			a.mutate(v.Index(a.draw(n)), depth+1)
		}
	case reflect.Pointer:
		if v.IsNil() || a.draw(4) == 0 {
			a.fill(v, depth)
		} else {
			a.mutate(v.Elem(), depth+1)
		}
	default:
		a.leaf(v)
	}
}

// clone copies all that a message holds.
func clone(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(reflect.New(v.Type().Elem()))
			c.Elem().Set(clone(v.Elem()))
		}
	case reflect.Slice:
		for i := range v.Len() {
			c = reflect.Append(c, clone(v.Index(i)))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			c.Field(i).Set(clone(v.Field(i)))
		}
	default:
		c.Set(v)
	}
	return c
}
