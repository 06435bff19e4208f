package core

import (
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
		b.tick(origin.After(a.fedAt[i].Since(began)).Since(b.now))
		b.stepRaw(a.fed[i])
	}
	if b.node != nil {
		b.tick(origin.After(a.now.Since(began)).Since(b.now))
	}
	require.Equal(t, *said, *other, "%s: nodes that are encoded alike do not run on alike (seed %d)", why, seed)
	require.Equal(t, a.node == nil, b.node == nil)
	if a.node != nil {
		require.Equal(t, encode(a.node, a.now), encode(b.node, b.now), "%s: they are not encoded alike any more (seed %d)", why, seed)
	}
}

// storageHidden are the fields of a storage node that do not show, or not always.
var storageHidden = map[string]hidden{
	"Storage.opt":          {apart, "options never change"},
	"Storage.scratch":      {apart, "memory that is used again"},
	"common.out":           {apart, "of the call under way"},
	"common.recorder":      {apart, "memory that is used again"},
	"common.now":           {never, "each call begins by setting it"},
	"diskLag.since":        {sometimes, "counts while a sync is owed"},
	"relay.asked":          {sometimes, "a slot without a nonce is free"},
	"relay.by":             {sometimes, "likewise"},
	"relay.target":         {sometimes, "likewise"},
	"relay.again":          {sometimes, "likewise"},
	"relays.slots":         {parts, "likewise"},
	"group.s":              {apart, "leads back"},
	"log.bytes":            {follows, "of the entries"},
	"values.bytes":         {follows, "of the items"},
	"values.slots":         {follows, "of the items"},
	"unsaved.bytes":        {follows, "of the log"},
	"write.bytes":          {follows, "of the log"},
	"tenure.bytes":         {follows, "of what is pending"},
	"tenure.opening":       {follows, "of what is pending"},
	"tenure.ending":        {follows, "of what is pending"},
	"tenure.unparking":     {apart, "of the call under way"},
	"tenure.inherited":     {follows, "once it has reconciled it is committed, and counts no more"},
	"tenure.notBefore":     {sometimes, "counts until it has reconciled"},
	"tenure.exported":      {sometimes, "counts until exportedTill"},
	"sessions.slots":       {parts, "where a session is says nothing"},
	"session.slot":         {follows, "likewise"},
	"session.links":        {follows, "the order shows where it counts"},
	"session.placed":       {follows, "likewise"},
	"session.proposed":     {sometimes, "counts at a primary; a slot without an id is free"},
	"session.touched":      {sometimes, "likewise"},
	"session.owner":        {sometimes, "a slot without an id is free"},
	"session.last":         {sometimes, "likewise"},
	"session.ended":        {sometimes, "likewise"},
	"result.status":        {sometimes, "likewise"},
	"result.version":       {sometimes, "likewise"},
	"sessions.free":        {follows, "likewise"},
	"sessions.byID":        {follows, "of the sessions"},
	"sessions.owners":      {follows, "of the sessions: an owner's are in the order of their ids"},
	"sessions.idle":        {follows, "its order shows at a primary; a tenure begins by sorting it"},
	"sessions.ended":       {follows, "its order shows"},
	"sessions.touched":     {apart, "of the call under way"},
	"follower.sentAt":      {sometimes, "counts while the follower owes something"},
	"follower.reportAt":    {sometimes, "likewise"},
	"follower.resendAfter": {sometimes, "likewise"},
	"roundTrips.shortest":  {never, "nobody asks for it"},
	"roundTrips.longest":   {never, "nobody asks for it"},
	"transfer.timed":       {sometimes, "counts while a chunk is timed"},
	"squeeze.allowed":      {sometimes, "counts while writers are held back"},
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
		n := trio(t, true)
		for i := range uint64(4) {
			n.step(fmt.Sprintf("c%d", 2+i), open(1))
			n.answer("n2", "n3")
		}
		n.step("c3", &Op{Group: 1, Req: 2, Kind: OpClose})
		n.answer("n2", "n3")
		n.storage().opt.SessionTTL = time.Second
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
	"writers that are held back": func(t *testing.T) *rig {
		l := newLoaded(t, 100, chunkItems(2))
		l.trip, l.each = time.Millisecond, 20*time.Millisecond
		l.squeezed()
		l.write()
		return l.rig
	},
}

func TestTheEncodingShowsEachField(t *testing.T) {
	checks := map[reflect.Type]*fieldCheck{
		reflect.TypeFor[*Storage](): newFieldCheck(t, storageHidden),
	}
	everyState(t, func(t *testing.T, n *rig, seed uint64) { checks[reflect.TypeOf(n.node)].look(n, seed) })
	for node, f := range checks {
		f.finish(node)
		t.Logf("%v: %d changed nodes ran on as before", node, f.runOn)
	}
}
