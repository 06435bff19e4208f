package core

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// with is a copy of the rig, with its disk, around another node.
func (n *rig) with(node Node) *rig {
	c := *n
	c.node, c.space, c.gate = node, maps.Clone(n.space), n.gate.Clone()
	c.inbox, c.took, c.mail, c.past, c.out = nil, slices.Clone(n.took), slices.Clone(n.mail), nil, Output{}
	return &c
}

// transcript is all that a node says from now on, with times from now.
func (n *rig) transcript() *[]string {
	var list []string
	var scratch []byte
	from := n.now
	n.heard = func(now Time, out *Output) {
		var hashes []uint64
		for _, e := range slices.Concat(out.Send, out.After) {
			var h uint64
			h, scratch = HashEnvelope(scratch, &e)
			hashes = append(hashes, h)
		}
		list = append(list, fmt.Sprintf("%v: send %d of %x, persist %v, events %v, halt %v", now.Since(from), len(out.Send), hashes, out.Persist, out.Events, out.Halt))
	}
	return &list
}

// assail steps messages and times of so many random choices into a node.
func assail(t *testing.T, n *rig, seed uint64, choices int) {
	random := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, choices)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	a := &attack{t: t, data: data, target: target{rig: n}}
	a.run(false)
}

// tickTo lets time pass until then, if it is not then already.
func (n *rig) tickTo(at Time) {
	if at > n.now {
		n.tick(at.Since(n.now))
	}
}

// alike requires that two nodes say the same from now on, whatever comes.
func alike(t *testing.T, a, b *rig, seed uint64, choices int, why string) {
	t.Helper()
	require.Equal(t, encode(a.node, a.now), encode(b.node, b.now), why)
	a, b = a.with(copyOf(a.node)), b.with(copyOf(b.node))
	said, other := a.transcript(), b.transcript()
	began, origin := a.now, b.now
	a.fedAt = []Time{}
	assail(t, a, seed, choices)
	for i := range a.fed {
		b.tickTo(origin.After(a.fedAt[i].Since(began)))
		b.stepRaw(a.fed[i])
	}
	if b.node != nil {
		b.tickTo(origin.After(a.now.Since(began)))
	}
	for i := range min(len(*said), len(*other)) {
		require.Equal(t, (*said)[i], (*other)[i], "%s: nodes that are encoded alike do not run on alike (seed %d)", why, seed)
	}
	require.Equal(t, len(*said), len(*other), "%s: nodes that are encoded alike do not run on alike (seed %d)", why, seed)
	require.Equal(t, a.node == nil, b.node == nil)
	if a.node != nil {
		require.True(t, bytes.Equal(encode(a.node, a.now), encode(b.node, b.now)), "%s: they are not encoded alike any more (seed %d)", why, seed)
	}
}

// storageHidden are the fields of a storage node that do not show, or not always.
var storageHidden = map[string]hidden{
	"leaders.known":         {apart, "none where there is one manager"},
	"Storage.opt":           {apart, "options never change"},
	"Storage.scratch":       {apart, "memory that is used again"},
	"common.out":            {apart, "of the call under way"},
	"common.recorder":       {apart, "memory that is used again"},
	"common.now":            {never, "each call begins by setting it"},
	"diskLag.since":         {sometimes, "counts while a sync is owed"},
	"relay.asked":           {sometimes, "a slot without a nonce is free"},
	"relay.by":              {sometimes, "likewise"},
	"relay.target":          {sometimes, "likewise"},
	"relay.again":           {sometimes, "likewise"},
	"relays.slots":          {parts, "likewise"},
	"group.s":               {apart, "leads back"},
	"log.bytes":             {follows, "of the entries"},
	"values.bytes":          {follows, "of the items"},
	"values.slots":          {follows, "of the items"},
	"unsaved.bytes":         {follows, "of the log"},
	"write.bytes":           {follows, "of the log"},
	"tenure.bytes":          {follows, "of what is pending"},
	"tenure.opening":        {follows, "of what is pending"},
	"tenure.unparking":      {apart, "of the call under way"},
	"tenure.inherited":      {follows, "once it has reconciled it is committed, and counts no more"},
	"tenure.notBefore":      {sometimes, "counts until it has reconciled"},
	"tenure.exported":       {sometimes, "counts until exportedTill"},
	"sessions.slots":        {parts, "where a session is says nothing"},
	"session.slot":          {follows, "likewise"},
	"session.links":         {follows, "the order shows where it counts"},
	"session.placed":        {follows, "likewise"},
	"session.proposed":      {sometimes, "counts at a primary; a slot without an id is free"},
	"session.touched":       {sometimes, "likewise"},
	"session.owner":         {sometimes, "a slot without an id is free"},
	"session.last":          {sometimes, "likewise"},
	"session.ended":         {sometimes, "likewise"},
	"result.status":         {sometimes, "likewise"},
	"result.version":        {sometimes, "likewise"},
	"sessions.free":         {follows, "likewise"},
	"sessions.byID":         {follows, "of the sessions"},
	"sessions.owners":       {follows, "of the sessions: an owner's are in the order of their ids"},
	"sessions.idle":         {follows, "its order shows at a primary; a tenure begins by sorting it"},
	"sessions.ended":        {follows, "its order shows"},
	"sessions.touched":      {apart, "of the call under way"},
	"follower.reportAt":     {sometimes, "counts while the follower owes something"},
	"resending.resendAt":    {sometimes, "counts while the joining node owes something"},
	"resending.sentAt":      {sometimes, "counts while somebody owes something"},
	"resending.resendAfter": {sometimes, "likewise"},
	"roundTrips.shortest":   {never, "nobody asks for it"},
	"roundTrips.longest":    {never, "nobody asks for it"},
	"transfer.timed":        {sometimes, "counts while a chunk is timed"},
	"squeeze.allowed":       {sometimes, "counts while writers are held back"},
}

// managerHidden are those of a manager.
var managerHidden = map[string]hidden{
	"Manager.opt":         {apart, "options never change"},
	"Manager.several":     {apart, "only a manager that is alone is copied"},
	"Manager.leads":       {apart, "a manager that is alone always does"},
	"Manager.term":        {apart, "a manager that is alone has none"},
	"watch.presuming":     {apart, "a manager that is alone presumes by itself"},
	"Manager.consensus":   {apart, "only a manager that is alone is copied, and its consensus has no state"},
	"Manager.denials":     {apart, "none waits between two calls of a manager that is alone"},
	"Manager.confirming":  {apart, "none waits between two calls of a manager that is alone"},
	"common.out":          {apart, "of the call under way"},
	"common.recorder":     {apart, "memory that is used again"},
	"common.now":          {follows, "all times of the manager are relative to it"},
	"Manager.tally":       {apart, "counted anew from the rest: see requireTally"},
	"Manager.glance":      {apart, "of the call under way"},
	"Manager.waiting":     {follows, "of the waiters"},
	"Manager.waits":       {follows, "of the waiters and the early"},
	"Manager.tokens":      {apart, "shows: see TestTheEncodingShowsWhatIsDrawn"},
	"Directory.halting":   {apart, "only several managers halt by a command, and those are not copied"},
	"groupEntry.presumed": {apart, "only several managers presume by a command, and those are not copied"},
	"Directory.byID":      {follows, "of the nodes"},
	"Directory.unitBytes": {follows, "of the units"},
	"nodeEntry.number":    {follows, "of the order of the nodes"},
	"contact.node":        {apart, "is in the Directory"},
	"contact.backAt":      {sometimes, "counts for pings that are not answered"},
	"contact.sentAt":      {sometimes, "counts for pings that are not answered"},
	"contact.drainSince":  {sometimes, "counts while the node is being drained"},
	"contact.flappedAt":   {sometimes, "counts when it was in quarantine"},
	"joinWatch.start":     {sometimes, "counts while the group has a joining node"},
	"joinWatch.begunAt":   {sometimes, "likewise"},
	"joinWatch.movedAt":   {sometimes, "likewise"},
	"joinWatch.progress":  {sometimes, "likewise"},
	"inquiry.config":      {apart, "is its group's"},
	"inquiry.wordsAt":     {sometimes, "counts when the others were asked"},
	"word.at":             {sometimes, "counts while a question is open"},
	"fold.nodes":          {apart, "are in the Directory, or off the list; which they are shows"},
	"fold.groups":         {sometimes, "counts once, however often the group has changed"},
}

// clientHidden are those of a client.
var clientHidden = map[string]hidden{
	"leaders.known":        {apart, "none where there is one manager"},
	"leaders.kept":         {apart, "a storage node keeps them, a client does not"},
	"Client.owedAt":        {apart, "counts where there are several managers"},
	"Client.opt":           {apart, "options never change"},
	"common.out":           {apart, "of the call under way"},
	"common.recorder":      {apart, "memory that is used again"},
	"common.now":           {never, "each call begins by setting it"},
	"Client.random":        {apart, "shows: see TestTheEncodingShowsWhatIsDrawn"},
	"roundTrips.shortest":  {never, "nobody asks for it"},
	"roundTrips.longest":   {never, "nobody asks for it"},
	"Client.calls":         {follows, "of timed"},
	"Client.called":        {follows, "numbers the calls"},
	"call.number":          {follows, "of the order of the calls"},
	"call.place":           {follows, "of when the calls are due"},
	"call.dueAt":           {follows, "of retryAt and deadline"},
	"call.route":           {apart, "is in routes; which it is shows"},
	"Call.Timeout":         {never, "counted when the call came"},
	"clientSession.usedAt": {sometimes, "counts while the session is idle"},
}

// moreStates are those, beside the states of the hostile tests, that together reach every
// field.
var moreStates = map[string]func(t *testing.T) *rig{
	"requests that wait for the reconciliation": func(t *testing.T) *rig {
		n := heir(t, config(1, "n1", "n2", "n3"))
		n.step("m", config(2, "n2", "n3"))
		n.step("c1", put(2, 1, 2, "x", "v"))
		n.step("c1", get(3, "x"))
		n.step("c1", cas(4, 1, 3, "y", 7, "v"))
		return n
	},
	"requests that wait for a round, and questions": func(t *testing.T) *rig {
		n := trio(t, true)
		n.step("c1", get(8, "k1"))
		n.step("c1", &Export{Group: 1, Req: 9, Fresh: 10})
		n.step("m", &Probe{Nonce: 7, Target: peerOf("n9")})
		n.step("m", &Probe{Nonce: 8, Target: peerOf("n2")})
		return n
	},
	"a backup that goes on": func(t *testing.T) *rig {
		n := trio(t, true)
		n.step("c1", &Export{Group: 1, Req: 9, Fresh: 1})
		n.answer("n2", "n3")
		n.step("c1", put(12, 1, 12, "z", "v"))
		n.step("c1", &Export{Group: 1, Req: 10, Tenure: 1, Cursor: 2, Position: 6, Fresh: 1})
		return n
	},
	"sessions of every kind": func(t *testing.T) *rig {
		n := serving(t, config(1, "n1", "n2", "n3"), func(o *StorageOptions) { o.SessionTTL = time.Second })
		for i := range uint64(4) {
			n.step(fmt.Sprintf("c%d", 2+i), open(1))
			n.answer("n2", "n3")
		}
		n.step("c3", &Op{Group: 1, Req: 2, Kind: OpClose})
		n.answer("n2", "n3")
		n.tick(500 * time.Millisecond)
		n.step("c4", put(3, 9, 1, "k1", "w"))
		n.answer("n2", "n3")
		return n
	},
	"a disk that is slow": func(t *testing.T) *rig {
		n := serving(t, config(1, "n1", "n2"), durable)
		n.held = true
		n.step("c1", put(2, 1, 1, "x", "v"))
		return n
	},
	"a disk that is ahead of what was saved": func(t *testing.T) *rig {
		n := serving(t, config(1, "n1", "n2"), durable)
		n.step("c1", put(2, 1, 1, "x", "v"))
		n.answer("n2")
		n.step("c1", &Op{Group: 1, Req: 3, Kind: OpClose})
		n.answer("n2")
		return n
	},
	"a primary whose disk lost what it had acked": func(t *testing.T) *rig {
		n := heir(t, config(1, "n1", "n2", "n3"), durable)
		n.step("m", config(2, "n2", "n3"))
		r := only[*Replicate](n, "n3")
		n.step("n3", &Ack{Group: 1, Epoch: 2, Round: r.Round, Matched: 3, Committed: 9})
		return n
	},
	"a manager whose primary resigns": func(t *testing.T) *rig {
		r := grouped(t)
		r.ail(silent, "n2", "n3")
		r.say("n1", suspect(1, "n1"))
		return r.rig
	},
	"writers that are held back": func(t *testing.T) *rig {
		l := newLoaded(t, 100, chunkItems(2))
		l.trip, l.each = time.Millisecond, 20*time.Millisecond
		l.squeezed()
		l.write()
		return l.rig
	},
	"a manager whose commands are under way": func(t *testing.T) *rig {
		r := grouped(t, inDurableMode)
		r.held = true
		r.say("c1", &Lookup{Req: 11, Key: "new", Create: true})
		r.say("c2", &Lookup{Req: 12, Key: "new", Create: true})
		r.say("c1", &Forget{Req: 13, Node: peerOf("n4").ID})
		r.say("c1", &Drain{Req: 14, Node: peerOf("n2").ID})
		r.shortLived(1)
		return r.rig
	},
	"a manager of nodes that have not answered": func(t *testing.T) *rig {
		n := newManagerAt(t)
		for _, name := range []string{"n1", "n2", "n3", "n4"} {
			n.step(name, &Register{Boot: 1, Secret: 5})
		}
		n.step("c1", &Lookup{Req: 11, Key: "new", Create: true})
		return n
	},
	"a node that remembers several managers": func(t *testing.T) *rig {
		n := newStorageAt(t, "n1", ofSeveral, durable)
		n.from(chairs[0], &Registered{Boot: 1, Secret: 77, Managers: chairs})
		return n
	},
	"a manager that has refused a drain": func(t *testing.T) *rig {
		r := newRealm(t, 3)
		r.pass(200 * time.Millisecond)
		r.place("a")
		r.drain(1, "n2")
		return r.rig
	},
	"a manager one of whose two groups has changed twice": func(t *testing.T) *rig {
		r := newRealm(t, 6, inDurableMode)
		r.place("a")
		r.place("b")
		r.actors["n1"].boot = 2
		r.present(r.actors["n1"])
		require.Equal(t, []GroupID{1, 2, 1}, r.manager().fold.groups)
		return r.rig
	},
	"a manager that folds": func(t *testing.T) *rig {
		r := grouped(t, inDurableMode)
		for i := range 4 {
			r.place(fmt.Sprint("key", i))
		}
		r.crash(1 << 20)
		r.boot = func(s Space) (Node, error) {
			return NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Replicas: 2, Durable: true, CommandsKeep: 1}, s)
		}
		return r.restart()
	},
	"a manager of a join that makes progress": func(t *testing.T) *rig {
		r := grouped(t)
		r.ail(refusing, "n3")
		r.pass(300 * time.Millisecond)
		c := r.manager().Config(1)
		r.actors[c.Chain[0].Addr].join = &JoinProgress{Group: 1, Start: c.Start, Keys: 1, KeysTotal: 2, Bytes: 3, BytesTotal: 4}
		r.pass(100 * time.Millisecond)
		return r.rig
	},
	"a manager of a node that may have moved": func(t *testing.T) *rig {
		r := newRealm(t, 3, inDurableMode)
		r.place("a")
		r.trip = time.Second
		r.present(&actor{peer: Peer{peerOf("n3").ID, "n9"}, boot: 2})
		return r.rig
	},
	"a manager of a node that may be replaced": func(t *testing.T) *rig {
		r := newRealm(t, 3, inDurableMode)
		r.place("a")
		r.begin("n3")
		return r.rig
	},
	"a manager that asks about a silent primary": func(t *testing.T) *rig {
		r := grouped(t)
		r.ail(silent, "n1", "n2", "n3")
		r.say("n2", suspect(1, "n1"))
		r.pass(400 * time.Millisecond)
		return r.rig
	},
	"a client whose calls back off": func(t *testing.T) *rig {
		n := knowing(t)
		n.ask(2, OpPut, "a")
		n.opened(1)
		n.ask(3, OpGet, "a")
		n.step("n1", &Reply{Group: 1, Req: 3 << 1, Status: StatusUnavailable, Epoch: 1})
		n.step("n1", &Reply{Group: 1, Req: 2 << 1, Status: StatusOK, Epoch: 1, Version: 2})
		n.ask(4, OpPut, "b")
		n.ask(5, OpPut, "b")
		n.tick(time.Second)
		n.step("n1", &Reply{Group: 1, Req: 4 << 1, Status: StatusOK, Epoch: 1, Version: 3})
		return n
	},
}

func TestTheEncodingShowsEachField(t *testing.T) {
	checks := map[reflect.Type]*fieldCheck{
		reflect.TypeFor[*Storage](): newFieldCheck(storageHidden),
		reflect.TypeFor[*Manager](): newFieldCheck(managerHidden),
		reflect.TypeFor[*Client]():  newFieldCheck(clientHidden),
	}
	everyState(t, func(t *testing.T, n *rig, seed uint64) { checks[reflect.TypeOf(n.node)].look(t, n, seed) })
	for node, f := range checks {
		f.finish(t, node)
		t.Logf("%v: %d changed nodes ran on as before", node, f.runOn)
	}
}

// What a node draws at random next is a part of its state. A steady client draws nothing.
func TestTheEncodingShowsWhatIsDrawn(t *testing.T) {
	m := newManagerAt(t).manager()
	before := encode(m, m.now)
	m.tokens.Uint64()
	require.NotEqual(t, before, encode(m, m.now))

	for _, steady := range []bool{false, true} {
		n := knowing(t, func(o *ClientOptions) { o.Steady = steady })
		c := n.node.(*Client)
		source := c.random
		n.ask(2, OpGet, "a")
		n.step("n1", &Reply{Group: 1, Req: 2 << 1, Status: StatusUnavailable, Epoch: 1})
		before := encode(c, n.now)
		require.Equal(t, steady, source == c.random)
		c.random = source
		require.Equal(t, steady, bytes.Equal(before, encode(c, n.now)))
	}
}

// The bytes of an envelope tell each of its fields, whatever it carries.
func TestTheEncodingOfAnEnvelopeShowsEachField(t *testing.T) {
	for kind := Kind(1); int(kind) < KindCount; kind++ {
		e := Envelope{rigCluster, peerOf("n1"), peerOf("n2"), kinds[kind].make()}
		complete(reflect.ValueOf(e.Body).Elem())
		before := e.AppendState(nil)
		c := &changes{used: map[string]bool{}, try: func(field string, _ bool) {
			require.NotEqual(t, before, e.AppendState(nil), "%v: %s", kind, field)
		}}
		c.walk("", reflect.ValueOf(e.Body).Elem(), func() {})
		c.walk("", reflect.ValueOf(&e.Cluster).Elem(), func() {})
		c.walk("", reflect.ValueOf(&e.From).Elem(), func() {})
		c.walk("", reflect.ValueOf(&e.To).Elem(), func() {})
		require.Equal(t, before, e.AppendState(nil))
	}
}

// complete gives each field of a message something. A Command with a 2 for its kind places a
// key, which only then has Terms.
func complete(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			complete(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		complete(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		complete(v.Index(0))
		complete(v.Index(1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("s")
	case reflect.Int64:
		v.SetInt(2)
	default:
		v.SetUint(2)
	}
}
